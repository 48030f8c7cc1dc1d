// SPDX-License-Identifier: GPL-2.0-only
/*
 * A simulated power cut: what is not on the store is gone.  First some dirty folios,
 * as many as asked for and chosen by a seed, "happened to have been written", and some
 * others in part; then every folio is dropped from the page cache and from all
 * mappings.  The next touch reads what the store has.  What becomes of the size is in
 * store/ram_size.c.
 *
 * Programs live on, and go on writing if they like: what they write before their page is
 * dropped is lost, what they write afterwards is not.  An fsync that the cut meets half way
 * is EIO (writeback.c).  Private copies are their own memory, and stay.
 *
 * Locks: i_rwsem over all of it; while folios are dropped, the buffer's shape_lock, so
 * that no write-back starts, and the mapping's invalidate lock, so that no folio comes in
 * between; folio locks.  While the power is off (power.c), shape_lock also while some are
 * written, so that nobody else's write passes for one of these.
 */
#include <linux/bitmap.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/prandom.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/vmademo.h>
#include <linux/writeback.h>

#include "compat.h"
#include "crash.h"
#include "power.h"
#include "store/store.h"
#include "trace.h"
#include "vmademo.h"

static u32 below(struct vmademo_cut *cut, u32 n)
{
	return prandom_u32_state(&cut->random) % n;
}

static unsigned int next_folios(struct vmademo_cut *cut, pgoff_t *index,
				struct folio_batch *batch)
{
	struct address_space *mapping = cut->buf->inode->i_mapping;

	/* What is under write-back has another tag, and both are wanted in one order */
	if (cut->in_flight)
		return filemap_get_folios(mapping, index, ULONG_MAX, batch);
	return filemap_get_folios_tag(mapping, index, ULONG_MAX, PAGECACHE_TAG_DIRTY, batch);
}

static bool is_not_stored(struct vmademo_cut *cut, struct folio *folio)
{
	if (folio_test_dirty(folio))
		return true;
	if (!cut->in_flight)
		return false;
	if (folio_test_writeback(folio))
		return true;
	/* For a moment it is not dirty any more, and not yet under write-back */
	if (folio_test_uptodate(folio) && folio_test_locked(folio) &&
	    !folio_lock_killable(folio))
		folio_unlock(folio);
	return folio_test_writeback(folio) || folio_test_dirty(folio);
}

/* Lists the folios that are not on the store; all of them, or as many as there is room for. */
static size_t list(struct vmademo_cut *cut, size_t room)
{
	struct folio_batch batch;
	pgoff_t index = 0;
	size_t count = 0;
	unsigned int i;

	folio_batch_init(&batch);
	while (next_folios(cut, &index, &batch)) {
		for (i = 0; i < folio_batch_count(&batch); i++) {
			struct folio *folio = batch.folios[i];

			if (!is_not_stored(cut, folio))
				continue;
			if (count < room)
				cut->dirty[count] = folio->index;
			count++;
		}
		folio_batch_release(&batch);
		cond_resched();
	}
	return count;
}

static void shuffle(struct vmademo_cut *cut)
{
	size_t i;

	for (i = cut->count; i > 1; i--) {
		size_t other = below(cut, i);	/* swap() evaluates twice */

		swap(cut->dirty[i - 1], cut->dirty[other]);
	}
}

/**
 * vmademo_cut_choose() - what happened to be written before a power cut
 * @cut: of which buffer, and what is asked for; becomes which folios
 *
 * Context: May sleep.  The caller holds i_rwsem, and calls vmademo_cut_end() in any case.
 * Return: 0; -ENOMEM.
 */
int vmademo_cut_choose(struct vmademo_cut *cut)
{
	size_t room = list(cut, 0);

	cut->dirty = kvmalloc_array(room + 1, sizeof(*cut->dirty), GFP_KERNEL);
	if (cut->crash->torn)
		cut->which = bitmap_alloc(VMADEMO_CUT_SECTORS, GFP_KERNEL);
	if (!cut->dirty || (cut->crash->torn && !cut->which))
		return -ENOMEM;
	/* Mappings may have changed it meanwhile: fewer, or more than there is room for */
	cut->count = min(list(cut, room), room);
	prandom_seed_state(&cut->random, cut->crash->seed);
	shuffle(cut);
	/* Rounded at random, so that one folio of one is written now and then */
	cut->written = div_u64((u64)cut->count * cut->crash->written_permille +
			       below(cut, 1000), 1000);
	if (cut->crash->written_permille == VMADEMO_WRITTEN_ONE)
		cut->written = min_t(size_t, cut->count, 1);
	cut->past_torn = cut->written +
			 min_t(size_t, cut->crash->torn, cut->count - cut->written);
	return 0;
}

/**
 * vmademo_cut_end() - free what vmademo_cut_choose() has allocated
 * @cut: the cut
 */
void vmademo_cut_end(struct vmademo_cut *cut)
{
	bitmap_free(cut->which);
	kvfree(cut->dirty);
}

/* The whole folio gets to the store, if it is still dirty. */
static int write_one(struct vmademo_cut *cut, pgoff_t index)
{
	struct folio *folio = vmademo_lock_folio(cut->buf->inode->i_mapping, index);
	int err;

	if (!folio)
		return 0;
	err = vmademo_wait_stable(folio);
	if (!err && folio_clear_dirty_for_io(folio)) {
		vmademo_write_folio(folio);	/* unlocks it */
		cut->crash->written_folios++;
	} else {
		folio_unlock(folio);
	}
	folio_put(folio);
	return err;
}

/**
 * vmademo_cut_sectors() - which sectors of a torn folio happened to be written
 * @cut: the cut; the torn ones are asked for in their order
 * @sectors: how many it has
 *
 * Sets a bit in @cut->which for each; any of them, in any order, for that is how disks write,
 * but not none and not all.
 */
void vmademo_cut_sectors(struct vmademo_cut *cut, unsigned int sectors)
{
	unsigned int i, chosen;

	for (i = 0; i < sectors; i++)
		__assign_bit(i, cut->which, below(cut, 2));
	chosen = bitmap_weight(cut->which, sectors);
	if (!chosen || chosen == sectors)
		__change_bit(below(cut, sectors), cut->which);
}

/* Some of its sectors do, but not all.  It stays dirty, and will be lost. */
static int tear_one(struct vmademo_cut *cut, pgoff_t index)
{
	struct vmademo_buffer *buf = cut->buf;
	struct folio *folio = vmademo_lock_folio(buf->inode->i_mapping, index);
	unsigned int sector, sectors = PAGE_SIZE / SZ_512;
	loff_t left = 0;
	int err;

	/* It may be smaller than when it was listed */
	if (folio) {
		left = i_size_read(buf->inode) - folio_pos(folio);
		sectors = min_t(size_t, folio_size(folio) / SZ_512, VMADEMO_CUT_SECTORS);
	}
	vmademo_cut_sectors(cut, sectors);
	if (!folio)
		return 0;
	err = vmademo_wait_stable(folio);
	if (err)
		goto unlock;
	if (folio_test_dirty(folio)) {
		cut->crash->torn_folios++;
		trace_vmademo_tear(buf->inode->i_ino, folio);
	}
	for_each_set_bit(sector, cut->which, sectors) {
		size_t at = sector * SZ_512;
		size_t len = clamp_t(loff_t, left - (loff_t)at, 0, SZ_512);

		if (len && folio_test_dirty(folio) && !fatal_signal_pending(current))
			vmademo_store_write(buf, folio, at, len);
	}
unlock:
	folio_unlock(folio);
	folio_put(folio);
	return err;
}

/* What the flusher may have done before. */
static int write_some(struct vmademo_cut *cut)
{
	size_t i;
	int err = 0;

	for (i = 0; i < cut->written && !err; i++)
		err = write_one(cut, cut->dirty[i]);
	if (!err)
		err = vmademo_wait_writeback(cut->buf, 0, LLONG_MAX);
	for (i = cut->written; i < cut->past_torn && !err; i++)
		err = tear_one(cut, cut->dirty[i]);
	/* Or what could not be torn in time would be lost */
	if (!err && fatal_signal_pending(current))
		err = -EINTR;
	return err;
}

/**
 * vmademo_cut_write() - some of what is dirty happened to be written before a power cut
 * @buf: the buffer
 * @crash: what is asked for, checked; and what came of it
 *
 * Context: May sleep.  The caller holds i_rwsem.
 * Return: 0; -ENOMEM; -EINTR if the task is being killed.
 */
int vmademo_cut_write(struct vmademo_buffer *buf, struct vmademo_crash *crash)
{
	struct vmademo_cut cut = { .buf = buf, .crash = crash };
	int err;

	if (!crash->written_permille && !crash->torn)
		return 0;
	err = vmademo_cut_choose(&cut);
	if (!err)
		err = write_some(&cut);
	vmademo_cut_end(&cut);
	return err;
}

/**
 * vmademo_lose_all() - everything leaves the page cache, written or not
 * @buf: the buffer
 *
 * Context: May sleep.  The caller holds i_rwsem and what vmademo_lock_shape() takes.
 */
void vmademo_lose_all(struct vmademo_buffer *buf)
{
	buf->crashing = true;
	WRITE_ONCE(buf->cuts, buf->cuts + 1);
	smp_wmb();	/* before anything is gone */
	truncate_inode_pages(buf->inode->i_mapping, 0);
	smp_wmb();	/* after all is gone */
	WRITE_ONCE(buf->cuts, buf->cuts + 1);
	buf->crashing = false;
}

/**
 * vmademo_cut_lose() - a power cut: what is not on the store is gone
 * @buf: the buffer
 * @crash: what vmademo_cut_write() has done; what was lost is added
 *
 * Context: May sleep.  The caller holds i_rwsem.
 * Return: 0; -EINTR if the task is being killed: then nothing was lost.
 */
int vmademo_cut_lose(struct vmademo_buffer *buf, struct vmademo_crash *crash)
{
	int err = vmademo_lock_shape(buf, 0, LLONG_MAX);
	u64 folios, bytes;

	if (err)
		return err;
	folios = vmademo_counter_sum(buf, VMADEMO_LOST);
	bytes = vmademo_counter_sum(buf, VMADEMO_LOST_BYTES);
	vmademo_lose_all(buf);
	vmademo_size_cut(buf, crash);
	buf->last_crash_lost_folios =
		vmademo_counter_sum(buf, VMADEMO_LOST) - folios;
	buf->last_crash_lost_bytes = vmademo_counter_sum(buf, VMADEMO_LOST_BYTES) - bytes;
	vmademo_count(buf, VMADEMO_CRASHES);
	vmademo_unlock_shape(buf);

	crash->lost_folios = buf->last_crash_lost_folios;
	crash->lost_bytes = buf->last_crash_lost_bytes;
	trace_vmademo_crash(buf->inode->i_ino, crash->seed, crash->written_folios,
			    crash->torn_folios, crash->lost_folios);
	return 0;
}

/**
 * vmademo_crash() - simulate a power cut, after which the power is back at once
 * @buf: the buffer
 * @crash: what is asked for, checked; and what came of it
 *
 * While the power is off already, nothing happens to be written.
 *
 * Context: May sleep.  Takes i_rwsem.
 * Return: 0; -EOPNOTSUPP if there is no store; -ENOMEM; -EINTR if the task is being
 *         killed.  If it fails, nothing was lost.
 */
int vmademo_crash(struct vmademo_buffer *buf, struct vmademo_crash *crash)
{
	int err;

	if (!buf->store->read)
		return -EOPNOTSUPP;
	err = vmademo_lock_inode(buf->inode);
	if (err)
		return err;
	/* One that is under way is another one, which comes first */
	if (vmademo_is_off(buf))
		err = vmademo_cut_now(buf);
	/* The power of a tree has come back meanwhile: it goes for all of its files, or for none */
	if (!err && buf->tree && !vmademo_is_off(buf)) {
		inode_unlock(buf->inode);
		return 0;
	}
	if (!err && !vmademo_is_off(buf))
		err = vmademo_cut_write(buf, crash);
	if (!err)
		err = vmademo_cut_lose(buf, crash);
	inode_unlock(buf->inode);
	return err;
}
