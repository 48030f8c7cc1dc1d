// SPDX-License-Identifier: GPL-2.0-only
/*
 * How a buffer's folios leave the page cache: evicted or discarded, split, or given up since their
 * memory is broken; and the address_space_operations.
 *
 * Locks: all are called with the folio locked, but .free_folio.
 */
#include <linux/gfp.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched.h>

#include "compat.h"
#include "store/store.h"
#include "trace.h"
#include "vmademo.h"

/*
 * A large folio that could not be split when the buffer was made smaller reaches beyond its
 * end.  To split it now would drop what is there without asking: dirty, it would not be
 * counted, and of store none its room would not be given back.  So it stays as it is.
 */
static bool reaches_beyond_the_end(struct folio *folio)
{
	pgoff_t past = DIV_ROUND_UP(i_size_read(folio->mapping->host), PAGE_SIZE);

	return folio_test_large(folio) && folio->index < past &&
	       folio_next_index(folio) > past;
}

/*
 * MADV_COLLAPSE or khugepaged would like to put this folio and its neighbours together to one
 * of 2 MiB (Linux 7.3).  It has taken the folio off the list of reclaim; reclaim itself, which
 * does that too, says so.  It is refused: one entry would hide from .fault what a rule is about;
 * and it holds the locks of these folios while it reads in others, which takes the lock that
 * truncation has while it waits for them.
 */
static bool is_collapsed(struct folio *folio, gfp_t gfp)
{
	return gfp & __GFP_DIRECT_RECLAIM && !(current->flags & PF_MEMALLOC) &&
	       !folio_test_lru(folio) && folio_order(folio) < VMADEMO_MAX_ORDER;
}

/*
 * Reclaim, drop_caches or POSIX_FADV_DONTNEED would like to drop this clean folio.
 * (Somebody may still take hold of the folio and keep it in the page cache; it was
 * counted as evicted then.)
 */
static bool vmademo_release_folio(struct folio *folio, gfp_t gfp)
{
	struct vmademo_buffer *buf = vmademo_buffer_of(folio->mapping);

	/* It is only to be split: who drops it or puts it together asks for none that is dirty */
	if (folio_test_dirty(folio))
		return !reaches_beyond_the_end(folio);
	if (READ_ONCE(buf->reshaper) == current)
		return true;
	if (is_collapsed(folio, gfp))
		return false;
	if (folio_mapped(folio))
		return true;
	vmademo_count_folio(buf, VMADEMO_EVICTED, folio);
	trace_vmademo_evict(folio->mapping->host->i_ino, folio);
	return true;
}

/*
 * The kernel splits a folio in which memory is broken, so that only that page is given up.  Of all
 * who ask, a split alone passes on the flag of this mapping; others would drop the folio.  While
 * the size changes, what the split finds beyond the end would go without being counted.
 */
static bool is_split_for_error(struct folio *folio, gfp_t gfp)
{
	return gfp & VMADEMO_GFP_OF_SPLIT && folio_test_large(folio) && folio_test_lru(folio) &&
	       vmademo_folio_is_broken(folio) &&
	       !READ_ONCE(vmademo_buffer_of(folio->mapping)->reshaper);
}

/* The same for store none: it is the only copy.  But it may be split. */
static bool vmademo_keep_folio(struct folio *folio, gfp_t gfp)
{
	return (READ_ONCE(vmademo_buffer_of(folio->mapping)->reshaper) == current ||
		is_split_for_error(folio, gfp)) &&
	       !reaches_beyond_the_end(folio);
}

/*
 * The folio, or a part of it, is being truncated; it is locked, and no longer
 * mapped.  A folio that goes while it is dirty is never written: count it, so that
 * the counters add up.  After a power cut it is lost, and not what anybody wanted.
 */
static void vmademo_invalidate_folio(struct folio *folio, size_t offset,
				     size_t length)
{
	struct vmademo_buffer *buf = vmademo_buffer_of(folio->mapping);

	if (offset || length < folio_size(folio))
		return;
	if (folio_test_dirty(folio)) {
		folio_cancel_dirty(folio);
		if (buf->crashing) {
			vmademo_count_folio(buf, VMADEMO_LOST, folio);
			trace_vmademo_lose(buf->inode->i_ino, folio);
		} else {
			vmademo_count_folio(buf, VMADEMO_DISCARDED, folio);
			trace_vmademo_discard(buf->inode->i_ino, folio);
		}
	}
}

/*
 * The same for store none: it leaves the page cache, and a tree gets its room back here.  When
 * it has left, it does not say any more whose it was.
 */
static void vmademo_invalidate_only_copy(struct folio *folio, size_t offset, size_t length)
{
	if (!offset && length == folio_size(folio) && folio_test_uptodate(folio))
		vmademo_tree_give_back(vmademo_buffer_of(folio->mapping),
				       folio_nr_pages(folio));
	vmademo_invalidate_folio(folio, offset, length);
}

/* A folio of store none has left the page cache: it gives back its room (fill.c). */
static void vmademo_free_folio(struct folio *folio)
{
	if (folio_test_uptodate(folio))
		vmademo_room_give_back(folio_nr_pages(folio));
}

/*
 * The memory of a folio of store none is broken: nobody has another copy.  It stays, so
 * that it is not taken for zeroes; and since it is not up to date any more, reading asks
 * .read_folio, which refuses.
 */
static int vmademo_keep_broken(struct address_space *mapping, struct folio *folio)
{
	if (folio_test_uptodate(folio)) {
		folio_clear_uptodate(folio);
		vmademo_tree_give_back(vmademo_buffer_of(mapping), folio_nr_pages(folio));
		vmademo_room_give_back(folio_nr_pages(folio));
	}
	return 0;
}

VMADEMO_WRITE_HOOKS(vmademo_write_begin, vmademo_write_end)
VMADEMO_ERROR_HOOK(vmademo_keep_broken)

const struct address_space_operations vmademo_none_aops = {
	.read_folio	= vmademo_read_folio,
	.readahead	= vmademo_readahead,
	.dirty_folio	= vmademo_dirty_folio,
	.write_begin	= vmademo_write_begin_hook,
	.write_end	= vmademo_write_end_hook,
	.writepages	= vmademo_writepages,
	.invalidate_folio = vmademo_invalidate_only_copy,
	.release_folio	= vmademo_keep_folio,
	.free_folio	= vmademo_free_folio,
	.migrate_folio	= filemap_migrate_folio,
	.VMADEMO_ERROR_REMOVE = vmademo_error_hook,
};

const struct address_space_operations vmademo_store_aops = {
	.read_folio	= vmademo_read_folio,
	.readahead	= vmademo_readahead,
	.dirty_folio	= vmademo_dirty_folio,
	.write_begin	= vmademo_write_begin_hook,
	.write_end	= vmademo_write_end_hook,
	.writepages	= vmademo_writepages,
	.invalidate_folio = vmademo_invalidate_folio,
	.release_folio	= vmademo_release_folio,
	.migrate_folio	= filemap_migrate_folio,
	/* The store has the page, or the error is told by the next fsync */
	.VMADEMO_ERROR_REMOVE = VMADEMO_GENERIC_ERROR_REMOVE,
};
