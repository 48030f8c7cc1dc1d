// SPDX-License-Identifier: GPL-2.0-only
/*
 * Store "ram": a page of the kernel's for each page that was written to.  It is
 * the stable copy: what a simulated power cut leaves.  A page that it does not have
 * reads as zeroes.
 *
 * The page is allocated when the folio becomes dirty, by the task that dirties it: so
 * that task's memory cgroup is charged, "full" is told to that task, and writing back
 * needs no memory.  A page is freed only where nothing is dirty any more or can
 * become so: see store.h.
 *
 * Locks: that of the xarray.  The content of a page is guarded by the folio that is
 * read or written; but that it is not freed meanwhile, when it is read, by the xarray's.
 */
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <linux/vmademo.h>
#include <linux/xarray.h>

#include "store/store.h"
#include "vmademo.h"

/**
 * vmademo_ram_free() - free a page of the store, and give its room back
 * @buf: the buffer
 * @page: the page, which nobody finds any more
 *
 * Context: Any but an interrupt.
 */
void vmademo_ram_free(struct vmademo_buffer *buf, struct page *page)
{
	__free_page(page);
	atomic_long_dec(&buf->ram_pages);
	vmademo_tree_give_back(buf, 1);
	vmademo_room_give_back(1);
}

/**
 * vmademo_ram_alloc() - allocate a page for the store, of zeroes
 * @buf: the buffer
 * @gfp: how
 *
 * Context: May sleep, as @gfp says.
 * Return: the page, or an ERR_PTR: -ENOSPC, -ENOMEM.
 */
struct page *vmademo_ram_alloc(struct vmademo_buffer *buf, gfp_t gfp)
{
	struct page *page;
	int err = vmademo_room_take(buf, 1);

	if (err)
		return ERR_PTR(err);
	page = alloc_page(gfp | __GFP_HIGHMEM | __GFP_ACCOUNT | __GFP_ZERO |
			  __GFP_NOWARN);
	if (!page) {
		vmademo_tree_give_back(buf, 1);
		vmademo_room_give_back(1);
		return ERR_PTR(-ENOMEM);
	}
	atomic_long_inc(&buf->ram_pages);
	return page;
}

static int ram_reserve(struct vmademo_buffer *buf, pgoff_t index, gfp_t gfp)
{
	unsigned int tries = 0;
	struct page *page;
	void *old;

	if (xa_load(&buf->ram, index))
		return 0;
	do
		page = vmademo_ram_alloc(buf, gfp);
	while (IS_ERR(page) && vmademo_make_room(buf, PTR_ERR(page), gfp, &tries));
	if (IS_ERR(page))
		return PTR_ERR(page);
	/* In one step: another task may be at the same page */
	old = xa_cmpxchg(&buf->ram, index, NULL, page, gfp | __GFP_NOWARN);
	if (!old)
		return 1;
	vmademo_ram_free(buf, page);
	return xa_is_err(old) ? -ENOMEM : 0;
}

/* So many pages, 64 KiB, are copied with the lock of the xarray held. */
#define READ_AT_ONCE	DIV_ROUND_UP(0x10000, PAGE_SIZE)

static void read_pages(struct vmademo_buffer *buf, struct folio *folio, long i, long past)
{
	XA_STATE(xas, &buf->ram, folio->index + i);
	struct page *page;

	/* Some, uprobes among them, read without the invalidate lock: it may be discarded */
	xas_lock(&xas);
	for (page = xas_load(&xas); i < past; page = xas_next(&xas), i++)
		if (page)
			copy_highpage(folio_page(folio, i), page);
		else
			clear_highpage(folio_page(folio, i));
	xas_unlock(&xas);
}

static int ram_read(struct vmademo_buffer *buf, struct folio *folio)
{
	long i, pages = folio_nr_pages(folio);

	for (i = 0; i < pages; i += READ_AT_ONCE)
		read_pages(buf, folio, i, min_t(long, i + READ_AT_ONCE, pages));
	return 0;
}

static bool is_zero(struct page *page, size_t offset, size_t len)
{
	void *data = kmap_local_page(page);
	bool zero = !memchr_inv(data + offset, 0, len);

	kunmap_local(data);
	return zero;
}

static int write_page(struct vmademo_buffer *buf, struct folio *folio, size_t offset,
		      size_t len)
{
	pgoff_t index = folio->index + (offset >> PAGE_SHIFT);
	struct page *from = folio_page(folio, offset >> PAGE_SHIFT);
	struct page *page = xa_load(&buf->ram, index);
	int err;

	offset = offset_in_page(offset);
	/*
	 * It was reserved before the folio became dirty, but for a part that was punched and
	 * could not be split off: that is zero, unless whoever has pinned it writes there.
	 */
	if (unlikely(!page)) {
		if (is_zero(from, offset, len))
			return 0;
		err = ram_reserve(buf, index, GFP_NOIO | __GFP_NORETRY);
		if (err < 0)
			return -ENOSPC;
		page = xa_load(&buf->ram, index);
	}
	/* On some kernels much faster than to copy any part of a page */
	if (len == PAGE_SIZE)
		copy_highpage(page, from);
	else
		memcpy_page(page, offset, from, offset, len);
	return 0;
}

static int ram_write(struct vmademo_buffer *buf, struct folio *folio,
		     size_t offset, size_t len)
{
	size_t part, end = offset + len;
	int err = 0;

	for (; offset < end && !err; offset += part) {
		part = min(end - offset, PAGE_SIZE - offset_in_page(offset));
		err = write_page(buf, folio, offset, part);
	}
	if (!err)
		vmademo_size_reached(buf, folio_pos(folio) + end);
	return err;
}

/* What was written is where it will stay: counted, but nothing to do. */
static int ram_flush(struct vmademo_buffer *buf, bool datasync)
{
	return 0;
}

/* Frees whole pages; zeroes what is in the range of others. */
static int ram_discard(struct vmademo_buffer *buf, loff_t start, loff_t end,
		       bool keep)
{
	unsigned long index;
	struct page *page;

	xa_for_each_range(&buf->ram, index, page, start >> PAGE_SHIFT,
			  (end - 1) >> PAGE_SHIFT) {
		loff_t first = max(start, (loff_t)index << PAGE_SHIFT);
		loff_t past = min(end, ((loff_t)index + 1) << PAGE_SHIFT);

		if (past - first == PAGE_SIZE && !keep) {
			xa_erase(&buf->ram, index);
			vmademo_ram_free(buf, page);
		} else {
			memzero_page(page, offset_in_page(first), past - first);
		}
		cond_resched();
	}
	return 0;
}

/**
 * vmademo_ram_discard() - free the pages of a range; what is in others is made zero
 * @buf: the buffer
 * @start: the first byte
 * @end: the byte after the last; nothing happens if that is not more
 *
 * Context: May sleep.  As of discard in struct vmademo_store_ops.
 */
void vmademo_ram_discard(struct vmademo_buffer *buf, loff_t start, loff_t end)
{
	if (start < end)
		ram_discard(buf, start, end, false);
}

static int ram_resize(struct vmademo_buffer *buf, loff_t from, loff_t to, bool keep)
{
	/* Nothing is there beyond the end: it can only shrink */
	if (to < from)
		vmademo_size_shrink(buf, to);
	return 0;
}

static void ram_release(struct vmademo_buffer *buf, pgoff_t index)
{
	vmademo_ram_free(buf, xa_erase(&buf->ram, index));
}

static loff_t ram_seek(struct vmademo_buffer *buf, loff_t pos, int whence)
{
	unsigned long index = pos >> PAGE_SHIFT;

	if (whence == SEEK_HOLE) {
		while (xa_load(&buf->ram, index)) {
			if (fatal_signal_pending(current))
				return -EINTR;
			index++;
			cond_resched();
		}
	} else if (!xa_find(&buf->ram, &index, ULONG_MAX, XA_PRESENT)) {
		return LLONG_MAX;
	}
	return max(pos, (loff_t)index << PAGE_SHIFT);
}

static u64 ram_used(struct vmademo_buffer *buf)
{
	return (u64)atomic_long_read(&buf->ram_pages) << PAGE_SHIFT;
}

static int ram_run(struct vmademo_buffer *buf, int (*function)(void *arg),
		   void *arg)
{
	return function(arg);
}

static void ram_close(struct vmademo_buffer *buf)
{
	unsigned long index;
	struct page *page;

	vmademo_size_end(buf);
	xa_for_each(&buf->ram, index, page) {
		vmademo_ram_free(buf, page);
		cond_resched();
	}
	xa_destroy(&buf->ram);
}

const struct vmademo_store_ops vmademo_store_ram = {
	.kind		= VMADEMO_STORE_RAM,
	.name		= "ram",
	.read		= ram_read,
	.reserve	= ram_reserve,
	.release	= ram_release,
	.write		= ram_write,
	.flush		= ram_flush,
	.discard	= ram_discard,
	.resize		= ram_resize,
	.seek		= ram_seek,
	.used		= ram_used,
	.run		= ram_run,
	.close		= ram_close,
};
