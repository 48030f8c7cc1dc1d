// SPDX-License-Identifier: GPL-2.0-only
/*
 * How a buffer's folios are filled, dirtied, written back and discarded: the
 * address_space_operations.  Nothing stands behind the page cache ("store
 * none"): a page that was never written reads as zeroes, and writing back moves
 * no data.  It still takes each folio through all the states that a folio of a
 * disk file goes through, which is what makes the kernel's account come out.
 *
 * Locks: see the comment at each function.  Most are called with the folio locked;
 * .dirty_folio may be called under the page table lock instead, and may not sleep.
 */
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/writeback.h>

#include "compat.h"
#include "vmademo.h"

/**
 * vmademo_populate() - make sure that a page is cached
 * @mapping: the buffer's
 * @index: the page; nothing is done if it is beyond the end
 * @gfp: how to allocate
 *
 * filemap_fault() could do it by way of .read_folio, but it would drop the mmap
 * lock as if for a disk, take the fault a second time and count a major one.
 * There is no disk: allocate, zero, add.
 *
 * Context: May sleep.  Takes the invalidate lock for reading, then the folio lock.
 * Return: 0, or -ENOMEM.
 */
int vmademo_populate(struct address_space *mapping, pgoff_t index, gfp_t gfp)
{
	struct folio *folio;
	int err = 0;

	if (xa_load(&mapping->i_pages, index))
		return 0;
	folio = vmademo_alloc_folio(gfp, 0);
	if (!folio)
		return -ENOMEM;
	folio_zero_range(folio, 0, folio_size(folio));

	/* The lock keeps the size still until the folio is in */
	filemap_invalidate_lock_shared(mapping);
	if (index < DIV_ROUND_UP(i_size_read(mapping->host), PAGE_SIZE)) {
		err = filemap_add_folio(mapping, folio, index, gfp);
		if (!err) {
			folio_mark_uptodate(folio);
			folio_unlock(folio);
		} else if (err == -EEXIST) {
			err = 0;	/* another fault was faster */
		}
	}
	filemap_invalidate_unlock_shared(mapping);
	folio_put(folio);
	return err;
}

static void zero_cached(struct address_space *mapping, loff_t start, loff_t end,
			bool dirty)
{
	struct folio *folio;

	if (start == end)
		return;
	folio = vmademo_lock_folio(mapping, start >> PAGE_SHIFT);
	if (!folio)
		return;
	folio_wait_stable(folio);
	folio_zero_range(folio, offset_in_folio(folio, start), end - start);
	if (dirty)
		folio_mark_dirty(folio);
	folio_unlock(folio);
	folio_put(folio);
}

/**
 * vmademo_zero_part() - write zeroes to a part of a page, if it is cached
 * @mapping: the buffer's
 * @start: the first byte
 * @end: the byte after the last, in the same page or at its end
 *
 * Context: May sleep.  Takes the folio lock.
 */
void vmademo_zero_part(struct address_space *mapping, loff_t start, loff_t end)
{
	zero_cached(mapping, start, end, true);
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
 */
void vmademo_zero_tail(struct inode *inode)
{
	loff_t size = i_size_read(inode);

	zero_cached(inode->i_mapping, size, round_up(size, PAGE_SIZE), false);
}

/* Called with the folio locked, for one that is not up to date; unlocks it. */
static int vmademo_read_folio(struct file *file, struct folio *folio)
{
	folio_zero_range(folio, 0, folio_size(folio));
	folio_mark_uptodate(folio);
	folio_unlock(folio);
	return 0;
}

/*
 * Every way to make a folio dirty ends here (but for memory errors, which set the
 * bit themselves): .page_mkwrite, write(2), drivers that had pinned it, and
 * munmap, which finds the dirty bit in the page table.  That one
 * holds the page table lock and not the folio's: so this may not sleep.
 * filemap_dirty_folio() says whether the folio was clean before; the bit is tested
 * and set in one step, so each change is counted once.
 */
static bool vmademo_dirty_folio(struct address_space *mapping,
				struct folio *folio)
{
	struct vmademo_buffer *buf = vmademo_buffer_of(mapping);

	if (!filemap_dirty_folio(mapping, folio))
		return false;
	vmademo_count(buf, VMADEMO_DIRTIED_FOLIOS);
	vmademo_count_by(buf, VMADEMO_DIRTIED_BYTES, folio_size(folio));
	return true;
}

/*
 * write(2) is about to copy len bytes to pos.  Hands over the folio, locked.
 * Bytes of the page that are not written must be right before it is up to date:
 * so fill it, unless all of it will be overwritten.
 */
static int vmademo_write_begin(VMADEMO_WRITE_BEGIN_ARGS)
{
	struct folio *folio = vmademo_get_folio(mapping, pos >> PAGE_SHIFT);

	if (IS_ERR(folio))
		return PTR_ERR(folio);
	if (!folio_test_uptodate(folio) && len != folio_size(folio)) {
		folio_zero_range(folio, 0, folio_size(folio));
		folio_mark_uptodate(folio);
	}
	vmademo_hand_over(folio);
	return 0;
}

/* copied of the len bytes have arrived.  Unlocks the folio and lets it go. */
static int vmademo_write_end(VMADEMO_WRITE_END_ARGS)
{
	struct folio *folio = vmademo_handed_over();

	if (!folio_test_uptodate(folio)) {
		/*
		 * .write_begin counted on a whole page.  After a bad user
		 * pointer the rest is garbage: take nothing, and the caller
		 * comes again with what it has.
		 */
		if (copied < len) {
			folio_zero_range(folio, 0, folio_size(folio));
			copied = 0;
		}
		folio_mark_uptodate(folio);
	}
	if (copied) {
		folio_mark_dirty(folio);
		/* The caller holds i_rwsem; a node's write never comes this far */
		if (pos + copied > i_size_read(mapping->host))
			i_size_write(mapping->host, pos + copied);
	}
	folio_unlock(folio);
	folio_put(folio);
	return copied;
}

/*
 * Called with the folio locked and its dirty bit cleared; unlocks it.  The page
 * tables were write-protected when the bit was cleared, so the next write
 * through a mapping comes to .page_mkwrite again.
 */
static int vmademo_write_folio(struct folio *folio)
{
	struct vmademo_buffer *buf = vmademo_buffer_of(folio->mapping);
	loff_t size = i_size_read(buf->inode), pos = folio_pos(folio);

	/* What a mapping wrote beyond the end is not to be written back */
	if (size > pos && size < pos + folio_size(folio))
		folio_zero_segment(folio, size - pos, folio_size(folio));

	vmademo_count(buf, VMADEMO_WRITTEN_FOLIOS);
	vmademo_count_by(buf, VMADEMO_WRITTEN_BYTES, folio_size(folio));

	folio_start_writeback(folio);
	folio_unlock(folio);
	/* With no store to wait for, the write is complete at once */
	folio_end_writeback(folio);
	return 0;
}

/* Called by msync, fsync, sync(2) and the flusher; takes folio locks. */
static int vmademo_writepages(struct address_space *mapping,
			      struct writeback_control *wbc)
{
	return vmademo_write_dirty(mapping, wbc, vmademo_write_folio);
}

/*
 * drop_caches or POSIX_FADV_DONTNEED would like to drop this clean folio.  It
 * is the only copy: no.
 */
static bool vmademo_release_folio(struct folio *folio, gfp_t gfp)
{
	return false;
}

/*
 * The folio, or a part of it, is being truncated; it is locked, and no longer
 * mapped.  A folio that goes while it is dirty is never written: count it, so that
 * the account comes out.
 */
static void vmademo_invalidate_folio(struct folio *folio, size_t offset,
				     size_t length)
{
	struct vmademo_buffer *buf = vmademo_buffer_of(folio->mapping);

	if (offset || length < folio_size(folio))
		return;
	if (folio_test_dirty(folio)) {
		folio_cancel_dirty(folio);
		vmademo_count(buf, VMADEMO_DISCARDED_FOLIOS);
		vmademo_count_by(buf, VMADEMO_DISCARDED_BYTES,
				 folio_size(folio));
	}
}

const struct address_space_operations vmademo_aops = {
	.read_folio	= vmademo_read_folio,
	.dirty_folio	= vmademo_dirty_folio,
	.write_begin	= vmademo_write_begin,
	.write_end	= vmademo_write_end,
	.writepages	= vmademo_writepages,
	.invalidate_folio = vmademo_invalidate_folio,
	.release_folio	= vmademo_release_folio,
	.migrate_folio	= filemap_migrate_folio,
	/* No .error_remove_folio: a folio with a memory error stays, for SIGBUS */
};

/**
 * vmademo_fsync() - write back a range and wait: fsync, fdatasync, msync
 * @file: any file whose f_mapping is a buffer's
 * @start: first byte
 * @end: last byte
 * @datasync: fdatasync; no difference, a buffer has no metadata to save
 *
 * Context: May sleep.  Takes no lock that a fault needs: msync calls it with
 *          the mmap lock dropped.
 * Return: 0, or the error of a write-back that this file was not yet told of.
 */
int vmademo_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	return file_write_and_wait_range(file, start, end);
}
