// SPDX-License-Identifier: GPL-2.0-only
/*
 * Store "ram": a page of the kernel's for each page that was written back.  It is
 * the stable copy: what a simulated power cut leaves.  A page that it does not have
 * reads as zeroes.
 *
 * Locks: that of the xarray.  The content of a page is guarded by the folio that is
 * read or written, see store.h.
 */
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/vmademo.h>
#include <linux/xarray.h>

#include "store/store.h"
#include "vmademo.h"

/* Returns the page at index, made if there was none, or NULL. */
static struct page *get_page_at(struct vmademo_buffer *buf, pgoff_t index,
				gfp_t gfp)
{
	struct page *page = xa_load(&buf->ram, index);

	if (page)
		return page;
	page = alloc_page(gfp | __GFP_HIGHMEM | __GFP_ZERO | __GFP_NOWARN);
	if (page && xa_err(xa_store(&buf->ram, index, page, gfp | __GFP_NOWARN))) {
		__free_page(page);
		return NULL;
	}
	return page;
}

static int ram_read(struct vmademo_buffer *buf, struct folio *folio)
{
	struct page *page = xa_load(&buf->ram, folio->index);

	if (page)
		copy_highpage(folio_page(folio, 0), page);
	else
		folio_zero_range(folio, 0, folio_size(folio));
	return 0;
}

/*
 * Reclaim may be what waits for this folio to be written: so the allocation may wait
 * for no write-back in turn.
 */
static int ram_write(struct vmademo_buffer *buf, struct folio *folio,
		     size_t offset, size_t len)
{
	struct page *page = get_page_at(buf, folio->index, GFP_NOIO);

	if (!page)
		return -ENOSPC;
	memcpy_page(page, offset, folio_page(folio, 0), offset, len);
	return 0;
}

/* What was written is where it will stay: counted, but nothing to do. */
static int ram_flush(struct vmademo_buffer *buf, bool datasync)
{
	return 0;
}

/* Frees whole pages; zeroes what is in the range of others. */
static int ram_discard(struct vmademo_buffer *buf, loff_t start, loff_t end)
{
	unsigned long index;
	struct page *page;

	xa_for_each_range(&buf->ram, index, page, start >> PAGE_SHIFT,
			  (end - 1) >> PAGE_SHIFT) {
		loff_t first = max(start, (loff_t)index << PAGE_SHIFT);
		loff_t past = min(end, ((loff_t)index + 1) << PAGE_SHIFT);

		if (past - first == PAGE_SIZE) {
			xa_erase(&buf->ram, index);
			__free_page(page);
		} else {
			memzero_page(page, offset_in_page(first), past - first);
		}
		cond_resched();
	}
	return 0;
}

static int ram_resize(struct vmademo_buffer *buf, loff_t from, loff_t to)
{
	/* Nothing is there beyond the end: it can only shrink */
	return to < from ? ram_discard(buf, to, round_up(from, PAGE_SIZE)) : 0;
}

static int ram_allocate(struct vmademo_buffer *buf, loff_t start, loff_t end)
{
	pgoff_t index = start >> PAGE_SHIFT;
	pgoff_t past = DIV_ROUND_UP(end, PAGE_SIZE);

	if (past - index > totalram_pages())
		return -ENOSPC;
	for (; index < past; index++) {
		if (fatal_signal_pending(current))
			return -EINTR;
		/* Rather refuse than have others killed for memory */
		if (!get_page_at(buf, index, GFP_KERNEL | __GFP_RETRY_MAYFAIL))
			return -ENOSPC;
		cond_resched();
	}
	return 0;
}

static void ram_close(struct vmademo_buffer *buf)
{
	unsigned long index;
	struct page *page;

	xa_for_each(&buf->ram, index, page) {
		__free_page(page);
		cond_resched();
	}
	xa_destroy(&buf->ram);
}

const struct vmademo_store_ops vmademo_store_ram = {
	.kind		= VMADEMO_STORE_RAM,
	.name		= "ram",
	.read		= ram_read,
	.write		= ram_write,
	.flush		= ram_flush,
	.discard	= ram_discard,
	.resize		= ram_resize,
	.allocate	= ram_allocate,
	.call		= vmademo_call_here,
	.close		= ram_close,
};
