// SPDX-License-Identifier: GPL-2.0-only
/*
 * What each page of a range is at this moment: one byte a page, as mincore(2) and cachestat(2)
 * tell of a file, but more.
 *
 * Locks: none is held from page to page.  The page cache is looked up under RCU, and the
 * store takes its own locks.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmademo.h>

#include "compat.h"
#include "rules.h"
#include "store/store.h"
#include "vmademo.h"

/* So many are looked up before they are copied to the caller. */
#define CHUNK	PAGE_SIZE

/* Where the store has data, as far as it was asked: from @data up to @hole. */
struct stored {
	loff_t data;
	loff_t hole;
};

static u8 state_of(struct folio *folio)
{
	return VMADEMO_PAGE_CACHED |
	       (folio_test_uptodate(folio) ? VMADEMO_PAGE_UPTODATE : 0) |
	       (folio_test_dirty(folio) ? VMADEMO_PAGE_DIRTY : 0) |
	       (folio_test_writeback(folio) ? VMADEMO_PAGE_WRITEBACK : 0) |
	       (folio_mapped(folio) ? VMADEMO_PAGE_MAPPED : 0) |
	       (folio_test_large(folio) ? VMADEMO_PAGE_LARGE : 0);
}

static void look_up_cached(struct address_space *mapping, u8 *states, pgoff_t first,
			   unsigned long count)
{
	pgoff_t index = first, last = first + count - 1;
	struct folio_batch batch;
	unsigned int i;

	folio_batch_init(&batch);
	while (filemap_get_folios(mapping, &index, last, &batch)) {
		for (i = 0; i < folio_batch_count(&batch); i++) {
			struct folio *folio = batch.folios[i];
			/* A large one may begin before the range, and end behind it */
			pgoff_t from = max(folio->index, first);
			pgoff_t past = min(folio->index + folio_nr_pages(folio), last + 1);

			if (from < past)
				memset(states + (from - first), state_of(folio), past - from);
		}
		folio_batch_release(&batch);
		cond_resched();
	}
}

static int look_up_stored(struct vmademo_buffer *buf, struct stored *stored, u8 *states,
			  pgoff_t first, unsigned long count)
{
	loff_t pos = (loff_t)first << PAGE_SHIFT;
	loff_t past = (loff_t)(first + count) << PAGE_SHIFT;

	while (pos < past) {
		/* Each stretch of data is asked for once, however long it is */
		if (pos >= stored->hole) {
			stored->data = buf->store->seek(buf, pos, SEEK_DATA);
			if (stored->data < 0)
				return stored->data;
			stored->hole = stored->data;
			if (stored->data != LLONG_MAX)
				stored->hole = buf->store->seek(buf, stored->data,
								SEEK_HOLE);
			if (stored->hole < 0)
				return stored->hole;
			/* Changed in between */
			stored->hole = max(stored->hole, pos + (loff_t)PAGE_SIZE);
		}
		pos = max(pos, round_down(stored->data, (loff_t)PAGE_SIZE));
		for (; pos < min(past, stored->hole); pos += PAGE_SIZE)
			states[(pos >> PAGE_SHIFT) - first] |= VMADEMO_PAGE_STORED;
	}
	return 0;
}

static void look_up_ruled(struct vmademo_buffer *buf, u8 *states, pgoff_t first,
			  unsigned long count)
{
	unsigned long i;

	if (!vmademo_rules_on())
		return;
	for (i = 0; i < count; i++)
		if (vmademo_is_ruled(buf, ~VMADEMO_OPS_NO_PAGE,
				     (loff_t)(first + i) << PAGE_SHIFT, PAGE_SIZE))
			states[i] |= VMADEMO_PAGE_RULED;
}

/**
 * vmademo_pages() - tell what the pages of a range are
 * @buf: the buffer
 * @first: the first page
 * @count: how many pages; set to how many there are up to the buffer's end
 * @to: where to: a byte for each
 *
 * Context: May sleep.
 * Return: 0; -EFAULT; -ENOMEM; -EINTR if the task is being killed; or what the store says.
 */
int vmademo_pages(struct vmademo_buffer *buf, pgoff_t first, u64 *count, u8 __user *to)
{
	struct stored stored = { 0 };
	u8 *states = kmalloc(CHUNK, GFP_KERNEL);
	u64 done = 0, n;
	int err = 0;

	if (!states)
		return -ENOMEM;
	while (!err && done < *count) {
		u64 pages = DIV_ROUND_UP_ULL(i_size_read(buf->inode), PAGE_SIZE);

		if (first + done >= pages)
			break;
		n = min3(*count - done, pages - (first + done), (u64)CHUNK);
		memset(states, 0, n);
		look_up_cached(buf->inode->i_mapping, states, first + done, n);
		look_up_ruled(buf, states, first + done, n);
		if (buf->store->seek)
			err = look_up_stored(buf, &stored, states, first + done, n);
		if (!err && copy_to_user(to + done, states, n))
			err = -EFAULT;
		if (!err && fatal_signal_pending(current))
			err = -EINTR;
		done += n;
	}
	kfree(states);
	*count = done;
	return err;
}
