// SPDX-License-Identifier: GPL-2.0-only
/*
 * What changes a buffer's shape: its size, holes, allocation in advance.  All or
 * nothing: the store is asked first, and only when it has agreed does the page cache
 * follow, which cannot fail.
 *
 * Locks: called with the inode's i_rwsem held for writing.  Takes the buffer's shape_lock,
 * then the mapping's invalidate lock, then folio locks; in a mounted tree log->lock (tree/log.h)
 * inside the invalidate lock.  While the store changes, the
 * first keeps write-back from starting, and what is under way is waited for; the second
 * keeps folios from entering the page cache.  Whoever waits for a store here can be killed.
 */
#include <linux/fs.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>

#include "compat.h"
#include "power.h"
#include "rules.h"
#include "store/store.h"
#include "vmademo.h"

/**
 * vmademo_lock_shape() - no page comes into the page cache, none is written back
 * @buf: the buffer
 * @start: the first byte of what is about to change
 * @last: the last byte; what is under write-back there is waited for
 *
 * Context: May sleep.  The caller holds i_rwsem for writing.  Takes shape_lock, and last
 *          the mapping's invalidate lock: no fault waits for write-back.
 * Return: 0, and vmademo_unlock_shape() must follow; -EINTR if the task is being killed.
 */
int vmademo_lock_shape(struct vmademo_buffer *buf, loff_t start, loff_t last)
{
	int err;

	/* Nothing stands still there, and what failed must be taken back */
	if (!buf->store->blocks) {
		down_write(&buf->shape_lock);
		vmademo_wait_writeback(buf, start, last);
		filemap_invalidate_lock(buf->inode->i_mapping);
		WRITE_ONCE(buf->reshaper, current);
		return 0;
	}
	err = down_write_killable(&buf->shape_lock);
	if (err)
		return err;
	err = vmademo_wait_writeback(buf, start, last);
	if (!err)
		err = down_write_killable(&buf->inode->i_mapping->invalidate_lock);
	if (err)
		up_write(&buf->shape_lock);
	else
		WRITE_ONCE(buf->reshaper, current);
	return err;
}

void vmademo_unlock_shape(struct vmademo_buffer *buf)
{
	WRITE_ONCE(buf->reshaper, NULL);
	filemap_invalidate_unlock(buf->inode->i_mapping);
	up_write(&buf->shape_lock);
}

/*
 * The store is about to change, and then the page cache.  A page that was read in between
 * would be dropped, with what a mapping has written to it meanwhile: so faults wait.
 * Returns -EIO if its power is off.  A power cut that it meets comes first: then the page cache
 * is empty.
 */
static int lock_store(struct vmademo_buffer *buf, loff_t start, loff_t last)
{
	const struct vmademo_store_ops *store = buf->store;
	int err = 0;

	/* Wait without these locks, and once more if it must be waited again with them */
	do {
		err = vmademo_power_here(buf);
		if (err)
			return err;
		if (store->start_change) {
			err = store->start_change(buf, true);
			if (err)
				return err;
			/* Or who freezes it would wait for us, and we for write-back */
			store->end_change(buf);
		}
		err = vmademo_lock_shape(buf, start, last);
		if (err)
			return err;
		if (store->start_change)
			err = store->start_change(buf, false);
		if (!err && vmademo_is_off(buf)) {
			err = -EAGAIN;
			if (store->end_change)
				store->end_change(buf);
		}
		if (err)
			vmademo_unlock_shape(buf);
	} while (err);
	/*
	 * The store's file takes its i_rwsem.  lockdep knows that file systems fault with
	 * theirs held, and that a fault takes this lock.  But no fault on a mapping of a
	 * buffer may come from I/O on its own backing file (store/file.c).
	 */
	if (store->blocks)
		lockdep_off();
	return 0;
}

/* The store has changed, or not. */
static void store_is_done(struct vmademo_buffer *buf)
{
	if (buf->store->blocks)
		lockdep_on();
	if (buf->store->end_change)
		buf->store->end_change(buf);
}

/*
 * The same for what a cut, which may set the size, must not come between: returns -EAGAIN if one
 * has come since @cuts was read.
 */
static int lock_store_uncut(struct vmademo_buffer *buf, loff_t start, loff_t last,
			    unsigned int cuts)
{
	int err = lock_store(buf, start, last);

	if (!err && buf->cuts != cuts) {
		store_is_done(buf);
		vmademo_unlock_shape(buf);
		err = -EAGAIN;
	}
	return err;
}

/* -EAGAIN if a cut has come since @cuts was read. */
static int resize(struct vmademo_buffer *buf, loff_t size, bool keep, unsigned int cuts)
{
	struct inode *inode = buf->inode;
	loff_t from = i_size_read(inode);
	struct vmademo_name_op *op;
	int err;

	if (size == from)
		return 0;
	if (buf->fixed_size)
		return -EINVAL;
	/* A folio that is written back could make the file longer again */
	err = lock_store_uncut(buf, min(size, from), LLONG_MAX, cuts);
	if (err)
		return err;
	err = vmademo_log_size_begin(buf, &op);
	if (!err && size < from)
		err = vmademo_keep_edge(buf, size);
	if (!err && buf->store->resize)
		err = buf->store->resize(buf, from, size, keep);
	store_is_done(buf);
	if (!err) {
		if (size > from)
			vmademo_zero_tail(inode);
		else	/* A split drops what is beyond the end: not before it is counted */
			truncate_inode_pages_range(inode->i_mapping, size, -1);
		truncate_setsize(inode, size);
	}
	vmademo_log_size_end(buf, op, err);
	vmademo_unlock_shape(buf);
	return err;
}

/**
 * vmademo_resize() - set the size of a buffer
 * @buf: the buffer
 * @size: bytes, 0 to VMADEMO_MAX_SIZE
 *
 * What was beyond the new end is gone, from mappings too, private copies
 * included.  What is new reads as zeroes.
 *
 * Context: May sleep.  The caller holds i_rwsem for writing.
 * Return: 0; -EINVAL if the size is fixed; or what the store says.
 */
int vmademo_resize(struct vmademo_buffer *buf, loff_t size)
{
	unsigned int cuts;
	int err;

	/* A cut that is due comes before this, and may set the size */
	do {
		err = vmademo_cut_now(buf);
		cuts = buf->cuts;
		if (!err)
			err = resize(buf, size, false, cuts);
	} while (err == -EAGAIN && buf->cuts != cuts);
	return err;
}

/**
 * vmademo_extend() - make a buffer larger by a part that is allocated, and stays so
 * @buf: the buffer
 * @size: bytes; if it has as many, nothing is done
 * @cuts: power cuts before that was allocated
 *
 * Context: May sleep.  The caller holds i_rwsem for writing.
 * Return: as vmademo_resize(); -EAGAIN if there was a cut since.
 */
int vmademo_extend(struct vmademo_buffer *buf, loff_t size, unsigned int cuts)
{
	if (buf->cuts != cuts)
		return -EAGAIN;
	return size > i_size_read(buf->inode) ? resize(buf, size, true, cuts) : 0;
}

/**
 * vmademo_truncate() - set the size because a program has asked for it: an event for rules
 * @buf: the buffer
 * @size: bytes, 0 to VMADEMO_MAX_SIZE
 *
 * Context: May sleep.  The caller holds i_rwsem for writing.
 * Return: as vmademo_resize(), or what a rule says.
 */
int vmademo_truncate(struct vmademo_buffer *buf, loff_t size)
{
	loff_t from = i_size_read(buf->inode), low = min(from, size);
	struct vmademo_rule_entry *after = NULL;
	/* A call that begins again is no event yet */
	int err = vmademo_log_size_let_cut(buf);

	/* That one refuses it, whoever asks */
	if (!err && !buf->fixed_size)
		err = vmademo_rule_begin(buf, VMADEMO_OP_TRUNCATE, low,
					 max(max(from, size) - low, (loff_t)1), &after);
	if (err)
		return err;
	err = vmademo_resize(buf, size);
	vmademo_rule_end(buf, after);
	return err;
}

/**
 * vmademo_grow() - a write is about to come that ends beyond the end
 * @buf: the buffer
 * @end: where it ends
 *
 * The store must be able to grow with it; this is the time to say no.
 *
 * Context: May sleep.  The caller holds i_rwsem for writing, and has asked whether it has power.
 * Return: 0; or what the store says.
 */
int vmademo_grow(struct vmademo_buffer *buf, loff_t end)
{
	return buf->store->grow ? buf->store->grow(buf, end) : 0;
}

/**
 * vmademo_drop_beyond() - a write beyond the end came less far, or what was to be allocated there
 *                         could not be: nothing of it may stay
 * @buf: the buffer
 * @end: how far it was to come
 *
 * Context: May sleep.  The caller holds i_rwsem for writing.  Without a store, takes shape_lock.
 */
void vmademo_drop_beyond(struct vmademo_buffer *buf, loff_t end)
{
	struct inode *inode = buf->inode;
	loff_t size = i_size_read(inode), past = round_up(size, (loff_t)PAGE_SIZE);

	/* Without a store it has no copy: so write-back, which waits for nobody, is kept away */
	if (!buf->store->read)
		down_write(&buf->shape_lock);
	vmademo_keep_edge(buf, past);
	/* Not a part of a page, for which write-back would be waited */
	truncate_pagecache(inode, past);
	if (!buf->store->read)
		up_write(&buf->shape_lock);
	if (buf->store->grow)
		buf->store->grow(buf, size);
	/* What was reserved for pages that nobody could make dirty */
	if (buf->store->reserve && past < end) {
		filemap_invalidate_lock(inode->i_mapping);
		buf->store->discard(buf, past, round_up(end, (loff_t)PAGE_SIZE), false);
		filemap_invalidate_unlock(inode->i_mapping);
	}
}

static int reserve_part(struct vmademo_buffer *buf, struct folio *folio)
{
	if (!folio || !buf->store->reserve)
		return 0;
	/* Then it cannot be taken back, see there */
	if (folio_test_large(folio))
		return vmademo_reserve(buf, folio, folio->index, folio_nr_pages(folio),
				       GFP_KERNEL);
	return buf->store->reserve(buf, folio->index, GFP_KERNEL);
}

/* For store none: each page is there. */
static void zero_cached(struct vmademo_buffer *buf, loff_t start, loff_t end)
{
	struct folio *folio;

	for (; start < end; start += PAGE_SIZE) {
		folio = vmademo_get_or_read(buf->inode->i_mapping, start);
		if (IS_ERR_OR_NULL(folio))
			continue;
		vmademo_zero_part(folio, start, start + PAGE_SIZE, true);
		folio_put(folio);
		cond_resched();
	}
}

/*
 * The store has failed in the middle, or the task is being killed: some of [start, end) may be
 * zero there.  What is cached is written back once more; what is not may be gone, and
 * the next fsync tells.
 */
static void restore(struct vmademo_buffer *buf, loff_t start, loff_t end, int err)
{
	struct address_space *mapping = buf->inode->i_mapping;
	pgoff_t first = start >> PAGE_SHIFT, last = (end - 1) >> PAGE_SHIFT, index = first;
	unsigned long missing = last - first + 1;
	struct folio_batch batch;
	unsigned int i;

	/* It refuses such requests altogether, and has done nothing */
	if (err == -EOPNOTSUPP || err == -EPERM || err == -ETXTBSY || err == -EFBIG ||
	    err == -EINVAL)
		return;
	folio_batch_init(&batch);
	while (filemap_get_folios(mapping, &index, last, &batch)) {
		for (i = 0; i < folio_batch_count(&batch); i++) {
			struct folio *folio = batch.folios[i];

			folio_lock(folio);
			if (folio->mapping == mapping && folio_test_uptodate(folio) &&
			    !vmademo_folio_is_broken(folio)) {
				folio_mark_dirty(folio);
				missing -= min(folio_next_index(folio), last + 1) -
					   max(folio->index, first);
			}
			folio_unlock(folio);
		}
		folio_batch_release(&batch);
		cond_resched();
	}
	if (missing)
		mapping_set_error(mapping, -EIO);
}

static void put(struct folio **folio)
{
	if (*folio)
		folio_put(*folio);
	*folio = NULL;
}

static bool is_gone(const struct address_space *mapping, const struct folio *folio)
{
	return folio && folio->mapping != mapping;
}

/* Makes [start, to) zero; with keep, what is allocated stays so. */
static int make_zero(struct vmademo_buffer *buf, loff_t start, loff_t to, bool keep)
{
	struct address_space *mapping = buf->inode->i_mapping;
	struct folio *head = NULL, *tail = NULL;
	loff_t first, past, stored, end;
	unsigned int cuts;
	int err, taken;

again:
	cuts = buf->cuts;
	/* What is beyond the end is no data */
	end = min(to, i_size_read(buf->inode));
	if (start >= end)
		return 0;
	/* Whole pages, from first to past */
	first = round_up(start, (loff_t)PAGE_SIZE);
	past = round_down(end, (loff_t)PAGE_SIZE);
	/* In the store, the last page too, as far as it has data */
	stored = end == i_size_read(buf->inode) ? end : past;

	/* Pages of which a part stays are needed, and are held until they are zeroed */
	if (start < first)
		head = vmademo_get_or_read(mapping, start);
	if (IS_ERR(head))
		return PTR_ERR(head);
	if (first <= past && past < end)
		tail = vmademo_get_or_read(mapping, past);
	if (IS_ERR(tail)) {
		err = PTR_ERR(tail);
		tail = NULL;
		goto out;
	}

	/* Also those of which a part stays */
	err = lock_store_uncut(buf, start, end - 1, cuts);
	/* By broken memory */
	if (!err && (is_gone(mapping, head) || is_gone(mapping, tail))) {
		store_is_done(buf);
		vmademo_unlock_shape(buf);
		err = -EAGAIN;
	}
	if (err == -EAGAIN) {
		put(&head);
		put(&tail);
		/* A rule may cut the power each time that they are read in */
		if (fatal_signal_pending(current))
			return -EINTR;
		goto again;
	}
	if (err)
		goto out;
	taken = reserve_part(buf, head);
	err = min(taken, 0) ?: min(reserve_part(buf, tail), 0);
	if (err && taken > 0)
		buf->store->release(buf, head->index);
	if (!err && first < past)
		err = vmademo_keep_edge(buf, first) ?: vmademo_keep_edge(buf, past);
	if (!err && first < stored && buf->store->discard) {
		err = buf->store->discard(buf, first, stored, keep);
		if (err)
			restore(buf, first, stored, err);
	}
	store_is_done(buf);
	if (!err && head)
		vmademo_zero_part(head, start, min(end, first), true);
	if (!err && tail)
		vmademo_zero_part(tail, past, end, true);
	/* What is held cannot be split */
	put(&head);
	put(&tail);
	if (!err && first < past && keep && !buf->store->read)
		zero_cached(buf, first, past);
	else if (!err && first < past)
		truncate_pagecache_range(buf->inode, first, past - 1);
	vmademo_unlock_shape(buf);
out:
	put(&head);
	put(&tail);
	return err;
}

/**
 * vmademo_punch() - make a range zero and free its pages
 * @buf: the buffer
 * @start: the first byte
 * @end: the byte after the last, more than @start
 *
 * Private copies stay.  Pages of which only a part is in the range stay, and that
 * part is written to with zeroes.
 *
 * Context: May sleep.  The caller holds i_rwsem for writing.
 * Return: 0; -EOPNOTSUPP if the store cannot do it at all; or what the store says.
 */
int vmademo_punch(struct vmademo_buffer *buf, loff_t start, loff_t end)
{
	return make_zero(buf, start, end, false);
}

/**
 * vmademo_zero_range() - make a range zero, and keep it allocated
 * @buf: the buffer
 * @start: the first byte
 * @end: the byte after the last; what is beyond the buffer's end is nothing
 *
 * Context: May sleep.  The caller holds i_rwsem for writing.
 * Return: as vmademo_punch().
 */
int vmademo_zero_range(struct vmademo_buffer *buf, loff_t start, loff_t end)
{
	return make_zero(buf, start, end, true);
}

/**
 * vmademo_allocate() - see to it that a range can be written to later
 * @buf: the buffer
 * @start: the first byte
 * @end: the byte after the last, more than @start; with store none not beyond the
 *       buffer's end
 *
 * Context: May sleep.  The caller holds i_rwsem for writing.
 * Return: 0; -ENOSPC, -ENOMEM; -EINTR if a fatal signal came.
 */
int vmademo_allocate(struct vmademo_buffer *buf, loff_t start, loff_t end)
{
	int err;

	/* To make a folio takes the invalidate lock itself */
	if (!buf->store->read)
		return vmademo_allocate_pages(buf, start, end);
	err = lock_store(buf, start, end - 1);
	if (err)
		return err;
	err = buf->store->allocate ? buf->store->allocate(buf, start, end) :
				     vmademo_allocate_pages(buf, start, end);
	store_is_done(buf);
	vmademo_unlock_shape(buf);
	return err;
}
