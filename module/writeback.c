// SPDX-License-Identifier: GPL-2.0-only
/*
 * How a buffer's folios are dirtied and written back.  What is written back goes to the
 * buffer's store (store/store.h).  With store none, writing back moves no data.  It still takes
 * each folio through all the states that a folio of a disk file goes through, which is what
 * makes the kernel's counters add up.
 *
 * Where the store can block, write-back is asynchronous: .writepages starts it, and one
 * work item of the buffer ends it, folio by folio, as a disk would.  So the flusher,
 * which serves many, waits for no store.  The page cache's own tag says what is under
 * write-back: it is the queue, and takes no memory.
 *
 * Locks: .writepages takes the buffer's shape_lock (shared), then folio locks;
 * the work item takes none.  Others are called with the folio locked;
 * .dirty_folio may be called under the page table lock instead, and may not sleep.
 */
#include <linux/backing-dev.h>
#include <linux/cgroup.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/writeback.h>

#include "compat.h"
#include "power.h"
#include "rules.h"
#include "store/store.h"
#include "trace.h"
#include "vmademo.h"

/* This part of the machine's memory, in pages. */
#define MUCH_DIRTY	64

/*
 * What a store does not take must not use up what the whole machine may have dirty.  So
 * if much of a buffer is dirty, its device gets a strict limit: its share of what was
 * written lately, which for a store that is stuck is soon nothing.  Then its own users
 * wait, and others do not.  (Not strict from the beginning: a new device has a share of
 * nothing, and its first dirty page would call the flusher.)
 */
static void limit_dirty(struct vmademo_buffer *buf)
{
	struct backing_dev_info *bdi = buf->inode->i_sb->s_bdi;
	unsigned long pages = wb_stat(&bdi->wb, WB_RECLAIMABLE) +
			      wb_stat(&bdi->wb, WB_WRITEBACK);
	unsigned long much = totalram_pages() / MUCH_DIRTY;

	if (pages > much && !(bdi->capabilities & BDI_CAP_STRICTLIMIT)) {
		buf->strict = true;
		bdi->capabilities |= BDI_CAP_STRICTLIMIT;
	} else if (buf->strict && pages < much / 2) {
		/* Not what the administrator has asked for */
		buf->strict = false;
		bdi->capabilities &= ~BDI_CAP_STRICTLIMIT;
	}
}

/**
 * vmademo_dirty_folio() - a folio becomes dirty
 * @mapping: the page cache
 * @folio: the folio
 *
 * Every way to make a folio dirty ends here (but for memory errors, which set the bit
 * themselves): .page_mkwrite, write(2), drivers that had pinned it, and munmap, which finds
 * the dirty bit in the page table.
 *
 * Context: May not sleep: munmap holds the page table lock, and not the folio's.
 * Return: whether it was clean before; the bit is tested and set in one step, so each change
 *         is counted once.
 */
bool vmademo_dirty_folio(struct address_space *mapping, struct folio *folio)
{
	struct vmademo_buffer *buf = vmademo_buffer_of(mapping);

	if (!filemap_dirty_folio(mapping, folio))
		return false;
	vmademo_count_folio(buf, VMADEMO_DIRTIED, folio);
	trace_vmademo_dirty(buf->inode->i_ino, folio);
	if (buf->store->blocks)
		limit_dirty(buf);
	return true;
}

/* ---- writing back -------------------------------------------------------- */

/**
 * vmademo_store_write() - the store is given a part of a folio
 * @buf: the buffer
 * @folio: locked or under write-back
 * @offset: the first byte, in the folio
 * @len: bytes
 *
 * Context: May sleep, if the store blocks.
 * Return: 0, -EIO, also if its power is off or the memory is broken, -ENOSPC; -ENOMEM if it can
 *         be tried again.
 */
int vmademo_store_write(struct vmademo_buffer *buf, struct folio *folio,
			size_t offset, size_t len)
{
	int err = -EIO;

	down_read(&buf->store_gate);
	/* To read broken memory would be the end of the machine */
	if (!vmademo_is_off_to_write(buf) && !vmademo_folio_is_broken(folio))
		err = buf->store->write(buf, folio, offset, len);
	up_read(&buf->store_gate);

	if (err && err != -ENOMEM)
		vmademo_count(buf, VMADEMO_WRITE_ERRORS);
	return err;
}

/*
 * So much of it is below the buffer's end.  Nothing, only while it is being truncated: then it is
 * discarded.
 */
static size_t data_in(struct vmademo_buffer *buf, struct folio *folio)
{
	loff_t left = i_size_read(buf->inode) - folio_pos(folio);

	return clamp_t(loff_t, left, 0, folio_size(folio));
}

/*
 * What a folio under write-back was begun for, of len bytes; the caller ends it.  With err the
 * store is not asked.  Returns what came of it.
 *
 * If the store does not take the folio, it stays clean, and each open file is told by
 * its next fsync: as with a file on a disk.  But while a power cut is under way it is dirty
 * again: it is for the cut to say what happened to be written.
 */
static int write_out(struct vmademo_buffer *buf, struct folio *folio, size_t len, int err)
{
	u64 begin = vmademo_begin(trace_vmademo_write_out_enabled()), ns;

	/* What a cut writes meets no rule */
	if (vmademo_rules_on() && len && !err && !vmademo_cut_writes(buf))
		err = vmademo_rule_write_out(buf, folio, len);
	else if (len && buf->store->write && !err)
		err = vmademo_store_write(buf, folio, 0, len);
	ns = vmademo_took(buf, VMADEMO_LATENCY_WRITE_OUT, begin);
	trace_vmademo_write_out(buf->inode->i_ino, folio_pos(folio), len, err, ns);
	if (err)
		mapping_set_error(folio->mapping, err);
	if (err == -ENOMEM || (err == -EIO && vmademo_cut_is_due(buf))) {
		/* Dirty again, and counted once; or a writer was faster, and counted */
		if (!filemap_dirty_folio(folio->mapping, folio))
			vmademo_count_folio(buf, VMADEMO_DISCARDED, folio);
		else
			WRITE_ONCE(buf->redirtied, buf->redirtied + 1);
	} else if (err) {
		vmademo_count_folio(buf, VMADEMO_LOST, folio);
	} else {
		vmademo_count_folio(buf, len ? VMADEMO_WRITTEN : VMADEMO_DISCARDED,
				    folio);
	}
	return err;
}

/**
 * vmademo_write_work() - ends write-back: the work item of a buffer
 * @work: the buffer's write_work
 *
 * One run finds all that was started before it; what is started later queues the item
 * once more.
 *
 * Context: A worker of the buffer's own.
 */
void vmademo_write_work(struct work_struct *work)
{
	struct vmademo_buffer *buf = container_of(work, struct vmademo_buffer,
						  write_work);
	struct folio_batch batch;
	pgoff_t index = 0;
	unsigned int i;
	int err = 0;

	folio_batch_init(&batch);
	while (filemap_get_folios_tag(buf->inode->i_mapping, &index, ULONG_MAX,
				      PAGECACHE_TAG_WRITEBACK, &batch)) {
		for (i = 0; i < folio_batch_count(&batch); i++)
			if (folio_test_writeback(batch.folios[i])) {
				/* If there is no memory, there is none for the rest */
				err = write_out(buf, batch.folios[i],
						data_in(buf, batch.folios[i]),
						err == -ENOMEM ? err : 0);
				folio_end_writeback(batch.folios[i]);
			}
		folio_batch_release(&batch);
		cond_resched();
	}
	limit_dirty(buf);
}

/* For a memory cgroup of version 1, it does: in who allocates memory, whatever lock he holds. */
static bool reclaim_waits_for_writeback(void)
{
#ifdef CONFIG_MEMCG
	return !cgroup_subsys_on_dfl(memory_cgrp_subsys);
#else
	return false;
#endif
}

/*
 * The same as vmademo_write_folio(), with the folio that was written before it.  For the first
 * folio of a mapping that is under write-back, the kernel puts the inode on a list of the
 * superblock, and for the last takes it off: so that it does so once, the write-back of a folio
 * ends when that of the next has begun.  It is under write-back while we wait for the lock of
 * the next, as on a disk: who holds that lock may not wait for another folio.
 */
static int write_next(struct folio *folio, void *data)
{
	struct vmademo_buffer *buf = vmademo_buffer_of(folio->mapping);
	size_t len = data_in(buf, folio);
	struct folio **last = data;

	/* What a mapping wrote beyond the end is not to be written back */
	if (len && len < folio_size(folio))
		folio_zero_segment(folio, len, folio_size(folio));

	folio_start_writeback(folio);
	folio_unlock(folio);
	if (buf->store->blocks) {
		/* At once: a task may hold the lock of the next folio and wait for this */
		queue_work(buf->writes, &buf->write_work);
		return 0;
	}
	if (*last)
		folio_end_writeback(*last);
	*last = folio;
	write_out(buf, folio, len, 0);
	/* A rule may have somebody wait who holds the lock of the next; and see above */
	if (vmademo_rules_on() || reclaim_waits_for_writeback()) {
		folio_end_writeback(folio);
		*last = NULL;
	}
	return 0;
}

/**
 * vmademo_write_folio() - write a folio back
 * @folio: locked, and its dirty bit cleared by folio_clear_dirty_for_io(), which also
 *         write-protected the page tables: the next write through a mapping comes to
 *         .page_mkwrite again.  Is unlocked
 *
 * When this returns, write-back has started; if the store cannot block, it has ended.
 *
 * Context: May sleep.
 */
void vmademo_write_folio(struct folio *folio)
{
	struct folio *last = NULL;

	write_next(folio, &last);
	if (last)
		folio_end_writeback(last);
}

/**
 * vmademo_wait_writeback() - wait until no page of a range is under write-back
 * @buf: the buffer
 * @start: the first byte
 * @last: the last byte
 *
 * Its errors stay for those who ask by fsync.
 *
 * Context: May sleep.  With shape_lock held for writing, none is started anew.
 * Return: 0; -EINTR if the task is being killed, and the store may stand still.
 */
int vmademo_wait_writeback(struct vmademo_buffer *buf, loff_t start, loff_t last)
{
	pgoff_t index = start >> PAGE_SHIFT;
	struct folio_batch batch;
	unsigned int i;
	int err = 0;

	folio_batch_init(&batch);
	while (!err && filemap_get_folios_tag(buf->inode->i_mapping, &index,
					      last >> PAGE_SHIFT,
					      PAGECACHE_TAG_WRITEBACK, &batch)) {
		for (i = 0; i < folio_batch_count(&batch) && !err; i++)
			if (buf->store->blocks)
				err = folio_wait_writeback_killable(batch.folios[i]);
			else
				folio_wait_writeback(batch.folios[i]);
		folio_batch_release(&batch);
		cond_resched();
	}
	return err;
}

/**
 * vmademo_writepages() - start to write dirty folios back
 * @mapping: the page cache
 * @wbc: which of them
 *
 * Called by msync, fsync, sync(2) and the flusher.
 *
 * Context: May sleep.  Takes the buffer's shape_lock (shared).
 * Return: 0, or the first error.
 */
int vmademo_writepages(struct address_space *mapping, struct writeback_control *wbc)
{
	struct vmademo_buffer *buf = vmademo_buffer_of(mapping);
	struct folio *last = NULL;
	int err;

	/* Or a folio of which a part is to go could be clean too early: vmademo_keep_edge() */
	down_read(&buf->shape_lock);
	err = vmademo_write_dirty(mapping, wbc, write_next, &last);
	if (last)
		folio_end_writeback(last);
	up_read(&buf->shape_lock);
	return err;
}

/**
 * vmademo_store_flush() - make what was written to the store durable
 * @buf: the buffer
 * @datasync: only what it takes to read it again
 * @size: what the size was before that was written; it is durable then, too
 *
 * An error is recorded, for each open file to be told by its next fsync.
 *
 * Context: May sleep.
 * Return: 0, -EIO or -ENOSPC; -EINTR if the task is being killed, which is not recorded.
 */
int vmademo_store_flush(struct vmademo_buffer *buf, bool datasync, loff_t size)
{
	struct vmademo_rule_entry *after;
	u64 begin, ns;
	int err = vmademo_rule_begin(buf, VMADEMO_OP_FLUSH, 0, 1, &after);

	if (err || !buf->store->flush)
		goto record;
	if (vmademo_is_off(buf)) {
		err = -EIO;
		goto record;
	}
	vmademo_count(buf, datasync ? VMADEMO_DATA_FLUSHES : VMADEMO_FLUSHES);
	begin = vmademo_begin(trace_vmademo_flush_enabled());
	err = buf->store->flush(buf, datasync) ?: vmademo_size_flush(buf, size);
	ns = vmademo_took(buf, VMADEMO_LATENCY_FLUSH, begin);
	trace_vmademo_flush(buf->inode->i_ino, datasync, err, ns);
record:
	vmademo_rule_end(buf, after);
	if (err && err != -EINTR)
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
 * Context: May sleep.  msync calls it with the mmap lock dropped.  Takes the
 *          buffer's shape_lock (shared), but waits for the store without it.
 * Return: 0, or the error of a write-back that this file was not yet told of; -EIO if a
 *         power cut was simulated meanwhile.
 */
int vmademo_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	struct vmademo_buffer *buf = vmademo_buffer_of(file->f_mapping);
	unsigned int cuts = READ_ONCE(buf->cuts);
	loff_t size = i_size_read(buf->inode);
	int err = file_write_and_wait_range(file, start, end);
	int told, flushed;

	/* Nothing to flush, and no power that can go */
	if (!buf->store->flush && !buf->tree && !vmademo_rules_on())
		return err;
	flushed = vmademo_store_flush(buf, datasync, size);
	/* What is gone is not dirty, and not durable either */
	if (!err && vmademo_was_cut(buf, cuts))
		err = -EIO;
	/* Also what the flush has recorded, since others may have had the error first */
	told = file_check_and_advance_wb_err(file);
	err = err ?: told ?: flushed;
	if (!err && buf->tree)
		err = vmademo_log_fsync(buf->tree, file_dentry(file));
	/* Nor are names, if the power went and came back before that */
	if (!err && vmademo_was_cut(buf, cuts))
		err = -EIO;
	return err;
}
