// SPDX-License-Identifier: GPL-2.0-only
/*
 * How a buffer's folios get what is in them: read in from the store, zeroed, written to by
 * write(2).  How large they are, and how they are made, is in folio.c.
 *
 * A page of store none takes room (vmademo.h) from the moment when it is up to date
 * until it leaves the page cache; .free_folio in evict.c gives that back.  For
 * store ram the store itself takes room when a page becomes dirty.
 *
 * Locks: see the comment at each function.  The mapping's invalidate lock (shared)
 * before the folio lock, where a folio is added.  Inside the folio lock, those of
 * vmademo_make_room().
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>

#include "compat.h"
#include "power.h"
#include "rules.h"
#include "store/store.h"
#include "trace.h"
#include "vmademo.h"

/* ---- reading in ---------------------------------------------------------- */

/* The store is asked for a folio, all of it.  By way of the store's run(). */
static int store_read(struct vmademo_buffer *buf, struct folio *folio)
{
	u64 begin = vmademo_begin(trace_vmademo_read_in_enabled());
	int err = vmademo_is_off_to_read(buf) ? -EIO : buf->store->read(buf, folio);
	u64 ns = vmademo_took(buf, VMADEMO_LATENCY_READ_IN, begin);

	trace_vmademo_read_in(buf->inode->i_ino, folio_pos(folio), folio_size(folio), err,
			      ns);
	if (err)
		vmademo_count(buf, VMADEMO_READ_ERRORS);
	else
		vmademo_count_folio(buf, VMADEMO_READ_IN, folio);
	return err;
}

/* Fills a locked folio that is not up to date.  By way of the store's run(). */
static int fill_folio(void *arg)
{
	struct folio *folio = arg;
	struct vmademo_buffer *buf = vmademo_buffer_of(folio->mapping);
	int err = 0;

	/* Nothing is read of what write(2) is about to add beyond the end */
	if (buf->store->read && folio_pos(folio) < i_size_read(buf->inode))
		err = store_read(buf, folio);
	else
		folio_zero_range(folio, 0, folio_size(folio));
	if (err)
		return err;
	flush_dcache_folio(folio);
	folio_mark_uptodate(folio);
	return 0;
}

/**
 * vmademo_fill() - fill a folio that is not up to date from the store
 * @buf: the buffer; it has a store
 * @folio: locked; no rule is about to read it in
 *
 * Context: May sleep, if the store blocks.
 * Return: 0, and the folio is up to date; -EIO, also if the store has no power; -ENOMEM.
 */
int vmademo_fill(struct vmademo_buffer *buf, struct folio *folio)
{
	return buf->store->run(buf, fill_folio, folio);
}

/* Somebody needs a folio that is not up to date: from the store, unless a rule says no. */
static int read_in(struct vmademo_buffer *buf, struct folio *folio)
{
	struct vmademo_rule_entry *after = NULL;
	loff_t pos = folio_pos(folio);
	int err = 0;

	if (pos < i_size_read(buf->inode))
		err = vmademo_rule_begin(buf, VMADEMO_OP_READ_IN, pos, folio_size(folio),
					 &after);
	if (!err)
		err = vmademo_fill(buf, folio);
	vmademo_rule_end(buf, after);
	if (err)
		WRITE_ONCE(buf->read_failed, true);	/* see fault_read.c */
	return err;
}

/* For store none.  A page that has no room must not stay, or there is no limit. */
static int take_room(struct folio *folio, bool ahead)
{
	struct vmademo_buffer *buf = vmademo_buffer_of(folio->mapping);
	unsigned int tries = 0;
	int err;

	/* Its memory is broken: it may not be touched, nor is it zeroes */
	if (vmademo_folio_is_broken(folio))
		return -EIO;
	do
		err = vmademo_room_take(buf, folio_nr_pages(folio));
	while (err && !ahead && !folio_test_large(folio) &&
	       vmademo_make_room(buf, err, mapping_gfp_mask(folio->mapping), &tries));
	if (err)
		vmademo_remove_folio(folio->mapping, folio);
	return err;
}

/* Called with the folio locked, for one that is not up to date; unlocks it. */
int vmademo_read_folio(struct file *file, struct folio *folio)
{
	struct vmademo_buffer *buf = vmademo_buffer_of(folio->mapping);
	int err;

	if (buf->store->read)
		err = read_in(buf, folio);
	else
		err = take_room(folio, false) ?: fill_folio(folio);
	folio_unlock(folio);
	return err;
}

/* A folio that is read ahead, and locked. */
static void fill_ahead(struct vmademo_buffer *buf, struct folio *folio)
{
	loff_t pos = folio_pos(folio);
	size_t len = folio_size(folio);

	/* Whoever needs one of its pages makes that one: see folio.c */
	if (folio_test_large(folio) && vmademo_is_ruled(buf, VMADEMO_OPS_PAGES, pos, len))
		vmademo_remove_folio(folio->mapping, folio);
	else if (!vmademo_is_ruled(buf, VMADEMO_OP_BIT(READ_IN), pos, len) &&
		 (buf->store->read || !take_room(folio, true)))
		fill_folio(folio);
}

/*
 * Reads ahead, as far as the kernel's readahead or madvise and fadvise think it wise.
 * A folio that fails is left as it is: a task that needs it asks .read_folio, and is
 * told.  So is one that has a rule, which waits for that task.
 */
static int read_ahead(void *arg)
{
	struct readahead_control *rac = arg;
	struct vmademo_buffer *buf = vmademo_buffer_of(rac->mapping);
	struct folio *folio;

	if (buf->store->prepare && readahead_count(rac) > 1 && !vmademo_is_off_to_read(buf))
		buf->store->prepare(buf, readahead_pos(rac), readahead_length(rac));
	while ((folio = readahead_folio(rac))) {
		folio_get(folio);
		fill_ahead(buf, folio);
		folio_unlock(folio);
		folio_put(folio);
	}
	return 0;
}

void vmademo_readahead(struct readahead_control *rac)
{
	struct vmademo_buffer *buf = vmademo_buffer_of(rac->mapping);

	if (buf->store->read)
		buf->store->run(buf, read_ahead, rac);
	/* khugepaged looks for pages to put together; without a store, it would make new ones */
	else if (!(current->flags & PF_KTHREAD))
		read_ahead(rac);
}

/**
 * vmademo_get_or_read() - the page at a position, read in if it is not cached
 * @mapping: the buffer's
 * @pos: a byte of it
 *
 * Context: May sleep.  Takes the folio lock.
 * Return: the folio, up to date and with a reference; NULL if there is nothing to
 *         read, as it is not cached and there is no store, or @pos is beyond the end; or
 *         an ERR_PTR.
 */
struct folio *vmademo_get_or_read(struct address_space *mapping, loff_t pos)
{
	struct folio *folio;

	if (pos >= i_size_read(mapping->host))
		return NULL;
	if (vmademo_buffer_of(mapping)->store->read)
		return read_mapping_folio(mapping, pos >> PAGE_SHIFT, NULL);
	folio = vmademo_lock_folio(mapping, pos >> PAGE_SHIFT);
	if (folio)
		folio_unlock(folio);
	return folio;
}

/**
 * vmademo_wait_stable() - wait until a folio may be written to
 * @folio: locked
 *
 * The store gets it as it was at one moment.  Whoever waits for that holds locks, and the
 * store may stand still: so the wait can be ended by a kill.
 *
 * Context: May sleep.
 * Return: 0; -EINTR if the task is being killed.
 */
int vmademo_wait_stable(struct folio *folio)
{
	if (!vmademo_buffer_of(folio->mapping)->store->read)
		return 0;
	return folio_wait_writeback_killable(folio);
}

/**
 * vmademo_zero_part() - write zeroes to a part of a folio
 * @folio: the folio; the caller holds it
 * @start: the first byte, a position in the buffer
 * @end: the byte after the last, in the same page or at its end
 * @dirty: it is data, to be written back
 *
 * Context: May sleep.  Takes the folio lock.
 * Return: 0; -EINTR if the task is being killed, and the page is under write-back.
 */
int vmademo_zero_part(struct folio *folio, loff_t start, loff_t end, bool dirty)
{
	int err = 0;

	folio_lock(folio);
	/* A memory error may have taken it away */
	if (folio->mapping && !vmademo_folio_is_broken(folio)) {
		err = vmademo_wait_stable(folio);
		if (err)
			goto unlock;
		folio_zero_range(folio, offset_in_folio(folio, start), end - start);
		if (dirty)
			folio_mark_dirty(folio);
	}
unlock:
	folio_unlock(folio);
	return err;
}

/**
 * vmademo_zero_tail() - clear what lies in the last page beyond the end
 * @inode: the buffer's; its size is about to grow
 *
 * A mapping can write there, because a page is the least that can be mapped.  It
 * is no data, and must not become data.  To clear it dirties nothing: it was
 * cleared, too, when the page was last written back.
 *
 * Context: May sleep.  The caller holds i_rwsem.  Takes the folio lock.
 * Return: as vmademo_zero_part().
 */
int vmademo_zero_tail(struct inode *inode)
{
	loff_t size = i_size_read(inode);
	struct folio *folio;
	int err;

	if (!vmademo_is_cached(inode->i_mapping, size >> PAGE_SHIFT))
		return 0;
	folio = vmademo_lock_folio(inode->i_mapping, size >> PAGE_SHIFT);
	if (!folio)
		return 0;
	folio_unlock(folio);
	/* Or of the last folio, if it could not be split when the buffer was made smaller */
	err = vmademo_zero_part(folio, size, folio_pos(folio) + folio_size(folio), false);
	folio_put(folio);
	return err;
}

/* ---- write(2) ------------------------------------------------------------ */

/* The folio at a position, made if it is not cached; locked, and with room in the store. */
static struct folio *get_to_write(struct address_space *mapping, loff_t pos,
				  unsigned int len)
{
	pgoff_t index = pos >> PAGE_SHIFT;
	struct vmademo_buffer *buf = vmademo_buffer_of(mapping);
	gfp_t gfp = mapping_gfp_constraint(mapping, GFP_KERNEL);
	struct folio *folio = NULL;
	int err = 0;

	if (buf->order && !buf->store->read)
		folio = vmademo_make_folio(mapping, index, mapping_gfp_mask(mapping),
					   buf->order);
	else if (buf->order)
		vmademo_make_large(mapping, index, buf->order);
	if (folio)
		return folio;
	/* i_rwsem keeps punching and truncation away until the folio is dirty */
	if (buf->store->reserve)
		err = buf->store->reserve(buf, index, gfp);
	if (err < 0)
		return ERR_PTR(err);
	folio = vmademo_get_folio(mapping, index, buf->store->blocks);
	if (IS_ERR(folio) || !buf->store->reserve || !folio_test_large(folio))
		return folio;
	/* An allocation may wait for a task that waits for this folio: so let go of its lock */
	folio_unlock(folio);
	/* A dirty one has it, but maybe not where a part was punched */
	if (folio_test_dirty(folio))
		err = vmademo_reserve(buf, folio, index,
				      DIV_ROUND_UP(offset_in_page(pos) + len, PAGE_SIZE), gfp);
	else
		err = vmademo_reserve(buf, folio, folio->index, folio_nr_pages(folio), gfp);
	folio_lock(folio);
	if (!err && folio->mapping == mapping)
		return folio;
	/* Gone by a memory error, or to reclaim */
	folio_unlock(folio);
	folio_put(folio);
	return ERR_PTR(err ?: -EAGAIN);
}

/*
 * write(2) is about to copy len bytes to pos, or as many of them as the folio has.  Hands
 * over the folio, locked.  Bytes of it that are not written must be right before it is up to
 * date: so fill it, unless all of it will be overwritten.  Called with i_rwsem held.
 */
int vmademo_write_begin(struct address_space *mapping, loff_t pos,
			unsigned int len, struct folio **foliop)
{
	struct vmademo_buffer *buf = vmademo_buffer_of(mapping);
	struct folio *folio;
	int err;

	/* What has such a rule has a folio of its own, and comes by itself */
	err = vmademo_rule(buf, VMADEMO_OP_MKWRITE, pos,
			   min_t(size_t, len, PAGE_SIZE - offset_in_page(pos)));
	if (err)
		return err;
	do {
		folio = get_to_write(mapping, pos, len);
	} while (folio == ERR_PTR(-EAGAIN));
	if (IS_ERR(folio))
		return PTR_ERR(folio);
	err = vmademo_wait_stable(folio);
	if (!err && vmademo_folio_is_broken(folio))
		err = -EIO;
	if (!err && !folio_test_uptodate(folio)) {
		bool whole = pos == folio_pos(folio) && len >= folio_size(folio);

		if (!buf->store->read)
			err = take_room(folio, false) ?: whole ? 0 : fill_folio(folio);
		else if (!whole)
			err = read_in(buf, folio);
	}
	if (err) {
		folio_unlock(folio);
		folio_put(folio);
		return err;
	}
	*foliop = folio;
	return 0;
}

/* copied of the len bytes have arrived.  Unlocks the folio and lets it go. */
int vmademo_write_end(struct address_space *mapping, loff_t pos,
		      unsigned int len, unsigned int copied, struct folio *folio)
{
	if (!folio_test_uptodate(folio)) {
		/*
		 * .write_begin counted on a whole page.  After a bad user
		 * pointer the rest is garbage: take nothing, and the caller
		 * comes again with what it has.
		 */
		if (copied < len) {
			copied = 0;
			/* Of store none it has taken room, and may stay */
			if (!vmademo_buffer_of(mapping)->store->read)
				fill_folio(folio);
		} else {
			folio_mark_uptodate(folio);
		}
	}
	if (copied) {
		flush_dcache_folio(folio);
		folio_mark_dirty(folio);
		/* The caller holds i_rwsem; a node's write never comes this far */
		if (pos + copied > i_size_read(mapping->host))
			i_size_write(mapping->host, pos + copied);
	}
	folio_unlock(folio);
	folio_put(folio);
	return copied;
}

/* ---- holes --------------------------------------------------------------- */

/* The first page from index on that is cached (or, with hole, that is not). */
static pgoff_t next_cached(struct address_space *mapping, pgoff_t index, pgoff_t past,
			   bool hole)
{
	struct folio_batch batch;
	pgoff_t next = index, from = index;
	unsigned int i;

	folio_batch_init(&batch);
	while (next < past &&
	       filemap_get_folios(mapping, &from, past - 1, &batch)) {
		for (i = 0; i < folio_batch_count(&batch); i++) {
			struct folio *folio = batch.folios[i];

			if (!folio_test_uptodate(folio))
				continue;
			if (!hole || folio->index > next) {
				next = hole ? next : max(next, folio->index);
				folio_batch_release(&batch);
				return next;
			}
			next = folio->index + folio_nr_pages(folio);
		}
		folio_batch_release(&batch);
		if (fatal_signal_pending(current))
			break;
		cond_resched();
	}
	return hole ? min(next, past) : past;
}

/* What the page cache has of it, as a position. */
static loff_t seek_cached(struct vmademo_buffer *buf, loff_t pos, loff_t size,
			  int whence)
{
	pgoff_t past = DIV_ROUND_UP_ULL(size, PAGE_SIZE);

	return max(pos, (loff_t)next_cached(buf->inode->i_mapping, pos >> PAGE_SHIFT,
					    past, whence == SEEK_HOLE) << PAGE_SHIFT);
}

/**
 * vmademo_seek() - lseek(2) with SEEK_DATA and SEEK_HOLE
 * @buf: the buffer
 * @pos: where to begin
 * @whence: SEEK_DATA or SEEK_HOLE
 *
 * Data is what is cached, and what the store has.
 *
 * Context: May sleep.  Takes i_rwsem for reading.
 * Return: the position; -ENXIO beyond the end or if no data follows; or what the store
 *         says.
 */
loff_t vmademo_seek(struct vmademo_buffer *buf, loff_t pos, int whence)
{
	loff_t size, cached, stored = LLONG_MAX;

	if (down_read_killable(&buf->inode->i_rwsem))
		return -EINTR;
	size = i_size_read(buf->inode);
	if (pos < 0 || pos >= size) {
		pos = -ENXIO;
		goto unlock;
	}
	if (whence == SEEK_DATA) {
		cached = seek_cached(buf, pos, size, whence);
		if (buf->store->seek && cached > pos)
			stored = buf->store->seek(buf, pos, whence);
		pos = min(cached, stored);
		if (pos >= size)
			pos = -ENXIO;
		goto unlock;
	}
	/* A hole is where both have one */
	for (;;) {
		cached = seek_cached(buf, pos, size, whence);
		stored = cached;
		if (buf->store->seek && cached < size)
			stored = buf->store->seek(buf, cached, whence);
		pos = min(stored, size);
		if (pos < 0 || stored == cached || pos == size)
			break;
		if (fatal_signal_pending(current)) {
			pos = -EINTR;
			break;
		}
	}
unlock:
	inode_unlock_shared(buf->inode);
	return pos;
}
