// SPDX-License-Identifier: GPL-2.0-only
/*
 * Store "none": nothing stands behind the page cache.  A page that was never written
 * reads as zeroes, and writing back moves no data; it only accounts.
 *
 * Locks: none of its own; allocating takes the invalidate lock (shared), then folio
 * locks.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/vmademo.h>

#include "store/store.h"
#include "vmademo.h"

static int none_write(struct vmademo_buffer *buf, struct folio *folio,
		      size_t offset, size_t len)
{
	return 0;
}

static int none_discard(struct vmademo_buffer *buf, loff_t start, loff_t end)
{
	return 0;	/* it was, when the folios went */
}

static int none_resize(struct vmademo_buffer *buf, loff_t from, loff_t to)
{
	return 0;
}

/* Makes every page cached. */
static int none_allocate(struct vmademo_buffer *buf, loff_t start, loff_t end)
{
	struct address_space *mapping = buf->inode->i_mapping;
	/* Rather refuse than have others killed for memory */
	gfp_t gfp = mapping_gfp_mask(mapping) | __GFP_RETRY_MAYFAIL | __GFP_NOWARN;
	pgoff_t index = start >> PAGE_SHIFT;
	pgoff_t past = DIV_ROUND_UP(end, PAGE_SIZE);
	int err;

	if (past - index > totalram_pages())
		return -ENOSPC;
	for (; index < past; index++) {
		if (fatal_signal_pending(current))
			return -EINTR;
		err = vmademo_populate(mapping, index, gfp);
		if (err)
			return err;
		cond_resched();
	}
	return 0;
}

/**
 * vmademo_call_here() - .call of stores that can be read and written anywhere
 * @buf: the buffer
 * @function: what to run
 * @arg: its argument
 *
 * Context: that of the caller.
 * Return: what the function returns.
 */
int vmademo_call_here(struct vmademo_buffer *buf, int (*function)(void *arg),
		      void *arg)
{
	return function(arg);
}

static void none_close(struct vmademo_buffer *buf)
{
}

const struct vmademo_store_ops vmademo_store_none = {
	.kind		= VMADEMO_STORE_NONE,
	.name		= "none",
	.write		= none_write,
	.discard	= none_discard,
	.resize		= none_resize,
	.allocate	= none_allocate,
	.call		= vmademo_call_here,
	.close		= none_close,
};
