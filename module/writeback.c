// SPDX-License-Identifier: GPL-2.0-only
/*
 * How a buffer's folios are filled, dirtied, written back, evicted and discarded: the
 * address_space_operations.  What is read in and written back goes through the
 * buffer's store (store.h).  With store none nothing stands behind the page cache: a
 * page that was never written reads as zeroes, and writing back moves no data.  It
 * still takes each folio through all the states that a folio of a disk file goes
 * through, which is what makes the kernel's account come out.
 *
 * Locks: see the comment at each function.  Most are called with the folio locked;
 * .dirty_folio may be called under the page table lock instead, and may not sleep.
 */
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/writeback.h>

#include "compat.h"
#include "store/store.h"
#include "vmademo.h"

/**
 * vmademo_populate() - make sure that a page is cached; for the store none
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

/*
 * The locked folio at pos, read in if it is not cached; NULL if it is not and there is
 * nothing to read; or an ERR_PTR.
 */
static struct folio *lock_or_read(struct address_space *mapping, loff_t pos)
{
	pgoff_t index = pos >> PAGE_SHIFT;
	struct folio *folio;

	if (!vmademo_buffer_of(mapping)->store->read)
		return vmademo_lock_folio(mapping, index);
	for (;;) {
		folio = read_mapping_folio(mapping, index, NULL);
		if (IS_ERR(folio))
			return folio;
		folio_lock(folio);
		if (folio->mapping == mapping)
			return folio;
		/* Reclaim was faster */
		folio_unlock(folio);
		folio_put(folio);
	}
}

/**
 * vmademo_read_in() - read in the page of which pos is not the first byte
 * @mapping: the buffer's
 * @pos: if it is the first byte of a page, or beyond the end, nothing is done
 *
 * Context: May sleep.  Takes the folio lock.
 * Return: 0, or the store's error.
 */
int vmademo_read_in(struct address_space *mapping, loff_t pos)
{
	struct folio *folio;

	if (!offset_in_page(pos) || pos >= i_size_read(mapping->host))
		return 0;
	folio = lock_or_read(mapping, pos);
	if (IS_ERR_OR_NULL(folio))
		return PTR_ERR_OR_ZERO(folio);
	folio_unlock(folio);
	folio_put(folio);
	return 0;
}

static void zero_and_put(struct folio *folio, loff_t start, loff_t end, bool dirty)
{
	folio_wait_stable(folio);
	folio_zero_range(folio, offset_in_folio(folio, start), end - start);
	if (dirty)
		folio_mark_dirty(folio);
	folio_unlock(folio);
	folio_put(folio);
}

/**
 * vmademo_zero_part() - write zeroes to a part of a page
 * @mapping: the buffer's
 * @start: the first byte
 * @end: the byte after the last, in the same page or at its end
 *
 * Context: May sleep.  Takes the folio lock.
 * Return: 0, or the store's error, if the page was not cached.
 */
int vmademo_zero_part(struct address_space *mapping, loff_t start, loff_t end)
{
	struct folio *folio;

	if (start == end)
		return 0;
	folio = lock_or_read(mapping, start);
	if (IS_ERR_OR_NULL(folio))
		return PTR_ERR_OR_ZERO(folio);
	zero_and_put(folio, start, end, true);
	return 0;
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
	struct folio *folio = NULL;

	if (offset_in_page(size))
		folio = vmademo_lock_folio(inode->i_mapping, size >> PAGE_SHIFT);
	if (folio)
		zero_and_put(folio, size, round_up(size, PAGE_SIZE), false);
}

/* Fills a locked folio that is not up to date.  Called by way of the store's call(). */
static int fill_folio(void *arg)
{
	struct folio *folio = arg;
	struct vmademo_buffer *buf = vmademo_buffer_of(folio->mapping);
	int err;

	/* Nothing is read of what write(2) is about to add beyond the end */
	if (!buf->store->read || folio_pos(folio) >= i_size_read(buf->inode)) {
		folio_zero_range(folio, 0, folio_size(folio));
		folio_mark_uptodate(folio);
		return 0;
	}
	err = buf->store->read(buf, folio);
	if (err)
		return err;
	folio_mark_uptodate(folio);
	vmademo_count(buf, VMADEMO_READ_IN_FOLIOS);
	vmademo_count_by(buf, VMADEMO_READ_IN_BYTES, folio_size(folio));
	return 0;
}

/* Called with the folio locked, for one that is not up to date; unlocks it. */
static int vmademo_read_folio(struct file *file, struct folio *folio)
{
	struct vmademo_buffer *buf = vmademo_buffer_of(folio->mapping);
	int err = buf->store->call(buf, fill_folio, folio);

	if (err)
		vmademo_count(buf, VMADEMO_READ_ERRORS);
	folio_unlock(folio);
	return err;
}

/*
 * Reads ahead, as far as the kernel's readahead or madvise and fadvise think it wise.
 * A folio that fails is left as it is: whoever needs it asks .read_folio, and is told.
 */
static int read_ahead(void *arg)
{
	struct readahead_control *rac = arg;
	struct vmademo_buffer *buf = vmademo_buffer_of(rac->mapping);
	struct folio *folio;

	if (buf->store->prepare && readahead_count(rac) > 1)
		buf->store->prepare(buf, readahead_pos(rac), readahead_length(rac));
	while ((folio = readahead_folio(rac))) {
		fill_folio(folio);
		folio_unlock(folio);
	}
	return 0;
}

static void vmademo_readahead(struct readahead_control *rac)
{
	struct vmademo_buffer *buf = vmademo_buffer_of(rac->mapping);

	buf->store->call(buf, read_ahead, rac);
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
	struct vmademo_buffer *buf = vmademo_buffer_of(mapping);
	struct folio *folio = vmademo_get_folio(mapping, pos >> PAGE_SHIFT);

	if (IS_ERR(folio))
		return PTR_ERR(folio);
	if (!folio_test_uptodate(folio) && len != folio_size(folio)) {
		int err = buf->store->call(buf, fill_folio, folio);

		if (err) {
			vmademo_count(buf, VMADEMO_READ_ERRORS);
			folio_unlock(folio);
			folio_put(folio);
			return err;
		}
	}
	vmademo_hand_over(folio);
	return 0;
}

/* copied of the len bytes have arrived.  Unlocks the folio and lets it go. */
static int vmademo_write_end(VMADEMO_WRITE_END_ARGS)
{
	struct vmademo_buffer *buf = vmademo_buffer_of(mapping);
	struct folio *folio = vmademo_handed_over();

	if (!folio_test_uptodate(folio)) {
		/*
		 * .write_begin counted on a whole page.  After a bad user
		 * pointer the rest is garbage: take nothing, and the caller
		 * comes again with what it has.
		 */
		if (copied < len) {
			copied = 0;
			if (!buf->store->read)
				fill_folio(folio);
		} else {
			folio_mark_uptodate(folio);
		}
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

/**
 * vmademo_write_folio() - write a folio to the store
 * @folio: locked, and its dirty bit cleared by folio_clear_dirty_for_io(), which also
 *         write-protected the page tables: the next write through a mapping comes to
 *         .page_mkwrite again.  Is unlocked
 *
 * If the store does not take it, it stays clean, and each open file is told by its next
 * fsync: as with a file on a disk.
 *
 * Context: May sleep.  Called by way of the store's call().
 * Return: 0: the other folios shall have their chance.
 */
int vmademo_write_folio(struct folio *folio)
{
	struct address_space *mapping = folio->mapping;
	struct vmademo_buffer *buf = vmademo_buffer_of(mapping);
	loff_t size = i_size_read(buf->inode), pos = folio_pos(folio);
	size_t bytes = folio_size(folio);
	/* Beyond the end only while it is being truncated: then it is discarded */
	size_t len = clamp_t(loff_t, size - pos, 0, bytes);
	int err = 0;

	/* What a mapping wrote beyond the end is not to be written back */
	if (len && len < bytes)
		folio_zero_segment(folio, len, bytes);

	folio_start_writeback(folio);
	folio_unlock(folio);
	if (len)
		err = buf->store->write(buf, folio, 0, len);
	if (err) {
		mapping_set_error(mapping, err);
		vmademo_count(buf, VMADEMO_WRITE_ERRORS);
		vmademo_count(buf, VMADEMO_LOST_FOLIOS);
		vmademo_count_by(buf, VMADEMO_LOST_BYTES, bytes);
	} else if (len) {
		vmademo_count(buf, VMADEMO_WRITTEN_FOLIOS);
		vmademo_count_by(buf, VMADEMO_WRITTEN_BYTES, bytes);
	} else {
		vmademo_count(buf, VMADEMO_DISCARDED_FOLIOS);
		vmademo_count_by(buf, VMADEMO_DISCARDED_BYTES, bytes);
	}
	folio_end_writeback(folio);
	return 0;
}

struct write_out {
	struct address_space *mapping;
	struct writeback_control *wbc;
};

static int write_out(void *arg)
{
	struct write_out *w = arg;

	return vmademo_write_dirty(w->mapping, w->wbc, vmademo_write_folio);
}

/* Called by msync, fsync, sync(2) and the flusher; takes folio locks. */
static int vmademo_writepages(struct address_space *mapping,
			      struct writeback_control *wbc)
{
	struct vmademo_buffer *buf = vmademo_buffer_of(mapping);
	struct write_out w = { .mapping = mapping, .wbc = wbc };

	return buf->store->call(buf, write_out, &w);
}

/*
 * Reclaim, drop_caches or POSIX_FADV_DONTNEED would like to drop this clean folio.
 * If it is the only copy: no.  (Somebody may still take hold of the folio and keep it
 * in the page cache; it was counted as evicted then.)
 */
static bool vmademo_release_folio(struct folio *folio, gfp_t gfp)
{
	struct vmademo_buffer *buf = vmademo_buffer_of(folio->mapping);

	if (!buf->store->read || folio_test_dirty(folio))
		return false;
	vmademo_count(buf, VMADEMO_EVICTED_FOLIOS);
	vmademo_count_by(buf, VMADEMO_EVICTED_BYTES, folio_size(folio));
	return true;
}

/*
 * The folio, or a part of it, is being truncated; it is locked, and no longer
 * mapped.  A folio that goes while it is dirty is never written: count it, so that
 * the account comes out.  After a power cut it is lost, and not what anybody wanted.
 */
static void vmademo_invalidate_folio(struct folio *folio, size_t offset,
				     size_t length)
{
	struct vmademo_buffer *buf = vmademo_buffer_of(folio->mapping);

	if (offset || length < folio_size(folio))
		return;
	if (folio_test_dirty(folio)) {
		folio_cancel_dirty(folio);
		vmademo_count(buf, buf->crashing ? VMADEMO_LOST_FOLIOS :
						   VMADEMO_DISCARDED_FOLIOS);
		vmademo_count_by(buf, buf->crashing ? VMADEMO_LOST_BYTES :
						      VMADEMO_DISCARDED_BYTES,
				 folio_size(folio));
	}
}

const struct address_space_operations vmademo_aops = {
	.read_folio	= vmademo_read_folio,
	.readahead	= vmademo_readahead,
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
 * vmademo_flush() - make what was written to the store lasting
 * @buf: the buffer
 * @datasync: only what it takes to read it again
 *
 * An error is recorded, for each open file to be told by its next fsync.
 *
 * Context: May sleep.
 * Return: 0, -EIO or -ENOSPC.
 */
int vmademo_flush(struct vmademo_buffer *buf, bool datasync)
{
	int err;

	if (!buf->store->flush)
		return 0;
	vmademo_count(buf, datasync ? VMADEMO_DATA_FLUSHES : VMADEMO_FLUSHES);
	err = buf->store->flush(buf, datasync);
	if (err)
		mapping_set_error(buf->inode->i_mapping, err);
	return err;
}

/**
 * vmademo_fsync() - write back a range, wait, and flush: fsync, fdatasync, msync
 * @file: any file whose f_mapping is a buffer's
 * @start: first byte
 * @end: last byte
 * @datasync: fdatasync: the store need not save what only describes the data
 *
 * Context: May sleep.  Takes no lock that a fault needs: msync calls it with
 *          the mmap lock dropped.
 * Return: 0, or the error of a write-back that this file was not yet told of.
 */
int vmademo_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	int err = file_write_and_wait_range(file, start, end);
	int told;

	vmademo_flush(vmademo_buffer_of(file->f_mapping), datasync);
	/* Also what the flush has recorded, since others may have had the error first */
	told = file_check_and_advance_wb_err(file);
	return err ?: told;
}
