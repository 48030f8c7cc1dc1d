// SPDX-License-Identifier: GPL-2.0-only
/*
 * How large a folio is, and how it is made.  A buffer has a largest size for its folios
 * (folio_size=); a mapping with MADV_HUGEPAGE gets 2 MiB and one with MADV_NOHUGEPAGE single
 * pages.  A folio is as large as that allows, aligned, below the buffer's end, where nothing
 * is cached yet and no rule is about single pages; if there is no memory or no room for it, it
 * is a smaller one.
 *
 * What is dirty, written back, evicted and counted is a folio.  To the store it is so many
 * pages.  The kernel splits a large folio when a part of it goes; it may be unable to, because
 * somebody holds it, and then it stays as it is, with zeroes in that part.
 *
 * Locks: the mapping's invalidate lock (shared), then the folio lock.  What cuts a folio has
 * the locks of shape.c.  Where there is no room for a page, those of vmademo_make_room(), with
 * neither held.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "compat.h"
#include "rules.h"
#include "store/store.h"
#include "vmademo.h"

/* The largest one that can be where @index is. */
static unsigned int fitting_order(struct address_space *mapping, pgoff_t index,
				  unsigned int order)
{
	pgoff_t past = DIV_ROUND_UP(i_size_read(mapping->host), PAGE_SIZE);
	pgoff_t first, pages;

	for (; order; order--) {
		if (order == 1 && !VMADEMO_HAS_ORDER_1)
			continue;
		pages = 1UL << order;
		first = round_down(index, pages);
		if (first + pages <= past && first + pages > first &&
		    !vmademo_is_ruled(vmademo_buffer_of(mapping), VMADEMO_OPS_PAGES,
				      (loff_t)first << PAGE_SHIFT, pages << PAGE_SHIFT) &&
		    !filemap_range_has_page(mapping, (loff_t)first << PAGE_SHIFT,
					    ((loff_t)(first + pages) << PAGE_SHIFT) - 1))
			break;
	}
	return order;
}

/* What a large folio may cost: it is only a wish. */
static gfp_t gfp_for(gfp_t gfp, unsigned int order)
{
	return order ? gfp | __GFP_NORETRY | __GFP_NOWARN : gfp;
}

/* Returns it locked, in the page cache; or an ERR_PTR. */
static struct folio *make_one(struct address_space *mapping, pgoff_t index, gfp_t gfp,
			      unsigned int order)
{
	struct vmademo_buffer *buf = vmademo_buffer_of(mapping);
	const bool none = !buf->store->read;
	unsigned int tries = 0;
	struct folio *folio;
	int err;

	gfp = gfp_for(gfp, order);
	index = round_down(index, 1UL << order);
	do
		err = none ? vmademo_room_take(buf, 1UL << order) : 0;
	while (err && !order && vmademo_make_room(buf, err, gfp, &tries));
	if (err)
		return ERR_PTR(err);
	folio = vmademo_alloc_folio(none ? gfp | __GFP_ZERO : gfp, order);
	if (!folio) {
		err = -ENOMEM;
		goto give_back;
	}

	/* The lock keeps the size still until the folio is in */
	filemap_invalidate_lock_shared(mapping);
	err = -EEXIST;
	if (index + (1UL << order) <= DIV_ROUND_UP(i_size_read(mapping->host), PAGE_SIZE))
		err = filemap_add_folio(mapping, folio, index, gfp);
	/* It would be mapped as a whole; whoever makes a rule now waits for its lock (rules.c) */
	if (!err && order && vmademo_is_ruled(buf, VMADEMO_OPS_PAGES, folio_pos(folio),
					      folio_size(folio))) {
		vmademo_remove_folio(mapping, folio);
		folio_unlock(folio);
		err = -EEXIST;
	}
	if (!err && none)
		folio_mark_uptodate(folio);
	filemap_invalidate_unlock_shared(mapping);
	if (!err)
		return folio;
	folio_put(folio);
give_back:
	if (none) {
		vmademo_tree_give_back(buf, 1UL << order);
		vmademo_room_give_back(1UL << order);
	}
	return ERR_PTR(err);
}

/**
 * vmademo_make_folio() - make the folio of a page that is not cached
 * @mapping: the buffer's
 * @index: the page; nothing is done if it is beyond the end
 * @gfp: how to allocate
 * @order: how large it may be
 *
 * filemap_fault() could do it by way of .read_folio, but it would drop the mmap
 * lock as if for a disk, take the fault a second time and count a major one.
 * Without a store there is no disk: allocate, add.
 *
 * Context: May sleep.  Takes the invalidate lock for reading, then the folio lock.
 * Return: the folio, locked and with a reference, and without a store up to date; NULL if
 *         it is cached, or @index beyond the end; or an ERR_PTR: -ENOMEM; -ENOSPC.
 */
struct folio *vmademo_make_folio(struct address_space *mapping, pgoff_t index, gfp_t gfp,
				 unsigned int order)
{
	struct folio *folio;

	if (vmademo_is_cached(mapping, index))
		return NULL;
	if (order)
		order = fitting_order(mapping, index, order);
	for (;;) {
		folio = make_one(mapping, index, gfp, order);
		if (!order || !IS_ERR(folio))
			break;
		/* A smaller one, then a page */
		order = order > VMADEMO_SMALLER_ORDER ?
			fitting_order(mapping, index, VMADEMO_SMALLER_ORDER) : 0;
	}
	/* Another fault was faster, or there is no such page */
	return folio == ERR_PTR(-EEXIST) ? NULL : folio;
}

/**
 * vmademo_make_large() - let what is read in, or written to, come into one large folio
 * @mapping: of a buffer with a store
 * @index: the page
 * @order: how large it may be
 *
 * If that cannot be, a folio is made by whoever needs it.
 *
 * Context: May sleep.  Takes the invalidate lock for reading, then the folio lock.
 * Return: whether a folio is there that was not before.  It is not up to date.
 */
bool vmademo_make_large(struct address_space *mapping, pgoff_t index, unsigned int order)
{
	struct folio *folio = NULL;

	if (vmademo_is_cached(mapping, index))
		return false;
	order = fitting_order(mapping, index, order);
	if (order)
		folio = make_one(mapping, index, mapping_gfp_mask(mapping), order);
	if (IS_ERR_OR_NULL(folio))
		return false;
	folio_unlock(folio);
	folio_put(folio);
	return true;
}

/**
 * vmademo_reserve() - the store takes room for what is about to become dirty
 * @buf: the buffer; its store has @reserve
 * @folio: the caller holds it
 * @index: the first page, in this folio
 * @pages: how many
 * @gfp: how to allocate
 *
 * If it fails, some of the pages may have got room, and keep it.
 *
 * Context: May sleep.  The caller holds i_rwsem or the invalidate lock.
 * Return: 0; -ENOSPC or -ENOMEM.
 */
int vmademo_reserve(struct vmademo_buffer *buf, struct folio *folio, pgoff_t index,
		    unsigned long pages, gfp_t gfp)
{
	pgoff_t past = min(index + pages, folio_next_index(folio));
	int ret;

	for (; index < past; index++) {
		ret = buf->store->reserve(buf, index, gfp);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/**
 * vmademo_keep_edge() - a folio of which only a part goes must not go as a whole
 * @buf: the buffer
 * @edge: a position; where a part begins to go, or the first byte that stays
 *
 * If the kernel cannot split it, it drops the folio, if that is clean.  Without a store that
 * would be data; with one, what whoever has pinned it writes.  So then it becomes dirty, and must
 * stay so until it has been cut.
 *
 * Context: May sleep.  The caller holds i_rwsem for writing, and without a store shape_lock,
 *          which keeps write-back away.  Takes the folio lock.
 * Return: 0; -ENOSPC or -ENOMEM if there is no room for that.
 */
int vmademo_keep_edge(struct vmademo_buffer *buf, loff_t edge)
{
	struct address_space *mapping = buf->inode->i_mapping;
	struct folio *folio;
	int err = 0;

	if (!vmademo_is_cached(mapping, edge >> PAGE_SHIFT))
		return 0;
	folio = vmademo_lock_folio(mapping, edge >> PAGE_SHIFT);
	if (!folio)
		return 0;
	if (!folio_test_large(folio) || folio_pos(folio) == edge)
		goto unlock;
	buf->has_cut_folio = true;
	/* What has broken memory is not written back; without a store it is not written anywhere */
	if (folio_test_dirty(folio) || !folio_test_uptodate(folio) ||
	    (buf->store->read && vmademo_folio_is_broken(folio)))
		goto unlock;
	if (!buf->store->read || folio_maybe_dma_pinned(folio)) {
		/* With a folio locked, reclaim must not wait for the write-back of another */
		if (buf->store->reserve)
			err = vmademo_reserve(buf, folio, folio->index,
					      folio_nr_pages(folio), GFP_NOFS);
		if (!err)
			folio_mark_dirty(folio);
	}
unlock:
	folio_unlock(folio);
	folio_put(folio);
	return err;
}
