// SPDX-License-Identifier: GPL-2.0-only
/*
 * Store "file": a regular file, or a block device: the backing file.  Read and written
 * through its own page cache, as a loop device does it, so any file will do.  What may
 * be a backing file is in open.c, what is done to it in backing.c.
 *
 * What reads and writes it runs in workers, because a worker
 *  - holds no locks.  Some files take their i_rwsem to be read, and a fault may come
 *    while somebody reads another such file into a mapping of the buffer;
 *  - has no signals.  A program that is being killed must still write back what
 *    it leaves, and file systems give up writing when a fatal signal is pending;
 *  - is throttled by what is dirty on the lower device alone (PF_LOCAL_THROTTLE),
 *    not by the folios that wait for it.
 * (But a simulated power cut tears pages in its caller, which can be killed.)
 * It takes on the rights and the memory cgroup of the task that made the buffer: a kernel
 * thread is stopped by no quota and no limit.  Writing may not wait for write-back in
 * order to get memory, since that could be ours; reading may not enter a file system for
 * it.
 *
 * Each buffer has two queues: what is read never waits for what is written, and a
 * backing file that is slow, frozen or mute delays the users of its buffer only.
 *
 * Limits: nobody may do I/O on the backing file with a mapping of the buffer as its
 * memory, in either direction: some file systems hold the file's i_rwsem while they fault,
 * and the fault waits for that i_rwsem.  Neither may others change the file.
 *
 * Locks: rest_lock; then what the backing file's own operations take.  i_lock of the buffer's
 * inode, inside all others: what is recorded of the file's errors.
 */
#include <linux/bvec.h>
#include <linux/completion.h>
#include <linux/cred.h>
#include <linux/errseq.h>
#include <linux/fadvise.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/stat.h>
#include <linux/vmademo.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "store/store.h"
#include "vmademo.h"

/* ---- the workers --------------------------------------------------------- */

struct job {
	struct work_struct work;
	struct completion done;
	const struct vmademo_buffer *buf;
	unsigned int noio;
	int (*function)(void *arg);
	void *arg;
	int ret;
};

static void do_job(struct work_struct *work)
{
	struct job *job = container_of(work, struct job, work);
	const struct cred *mine = override_creds(job->buf->file->f_cred);
	struct mem_cgroup *memcg = set_active_memcg(job->buf->memcg);
	unsigned int nofs = memalloc_nofs_save();

	current->flags |= PF_LOCAL_THROTTLE | job->noio;
	job->ret = job->function(job->arg);
	current->flags &= ~(PF_LOCAL_THROTTLE | job->noio);
	memalloc_nofs_restore(nofs);
	set_active_memcg(memcg);
	revert_creds(mine);
	complete(&job->done);
}

/* Runs a function in a worker and waits, whatever signals come. */
static int file_run(struct vmademo_buffer *buf, int (*function)(void *arg),
		    void *arg)
{
	struct job job = {
		.buf = buf,
		.noio = current->flags & PF_MEMALLOC_NOIO,
		.function = function,
		.arg = arg,
	};

	INIT_WORK_ONSTACK(&job.work, do_job);
	init_completion(&job.done);
	queue_work(buf->reads, &job.work);
	wait_for_completion(&job.done);
	destroy_work_on_stack(&job.work);
	return job.ret;
}

/* ---- reading and writing ------------------------------------------------- */

/* Few answers are enough for a task that asked to write back: full, broken, once more. */
static int write_error(ssize_t err)
{
	switch (err) {
	case -ENOMEM:
		return -ENOMEM;
	case -ENOSPC:
	case -EDQUOT:
	case -EFBIG:
		return -ENOSPC;
	default:
		return -EIO;
	}
}

static ssize_t transfer(struct file *file, struct folio *folio, size_t offset,
			size_t len, bool write)
{
	struct bio_vec bvec = {
		.bv_page = folio_page(folio, 0),
		.bv_offset = offset,
		.bv_len = len,
	};

	return vmademo_backing_transfer(file, &bvec, folio_pos(folio) + offset, write);
}

/* It was as large as the buffer: if it is not any more, what is missing is no zeroes. */
static bool is_disk(const struct vmademo_buffer *buf)
{
	return S_ISBLK(file_inode(buf->file)->i_mode);
}

static int file_read(struct vmademo_buffer *buf, struct folio *folio)
{
	/* What lies beyond the buffer's end is no data, whatever the file has there */
	loff_t end = min(i_size_read(buf->inode), READ_ONCE(buf->file_end));
	size_t len = clamp_t(loff_t, end - folio_pos(folio), 0, folio_size(folio));
	size_t done = 0;

	while (done < len) {
		ssize_t n = transfer(buf->file, folio, done, len - done, false);

		if (n < 0)
			return n == -ENOMEM ? n : -EIO;
		if (!n && is_disk(buf))
			return -EIO;
		if (!n)
			break;	/* the file ends: the rest is zeroes */
		done += n;
	}
	folio_zero_range(folio, done, folio_size(folio) - done);
	return 0;
}

/* Has all of it read at once, and not page by page. */
static void file_prepare(struct vmademo_buffer *buf, loff_t pos, loff_t len)
{
	vfs_fadvise(buf->file, pos, len, POSIX_FADV_WILLNEED);
}

/*
 * The buffer has grown over bytes of the file that were never its own.  They have to be
 * gone before data comes after them.
 */
static int clear_rest(struct vmademo_buffer *buf)
{
	loff_t size, end = i_size_read(buf->inode);
	int err = mutex_lock_killable(&buf->rest_lock);

	if (err)
		return err;
	size = i_size_read(file_inode(buf->file));
	if (buf->file_end < size) {
		err = vmademo_backing_zero(buf->file, buf->file_end, min(size, end), false);
		/* A file that cannot do that can be cut off there */
		if (err)
			err = vmademo_backing_set_size(buf->file, buf->file_end);
		/* As large as the buffer; what is missing reads as zeroes */
		if (!err && vmademo_backing_set_size(buf->file, end) && size > end)
			/* A sealed one stays as large as it is */
			err = vmademo_backing_zero(buf->file, end, size, false);
	}
	if (!err)
		WRITE_ONCE(buf->file_end, LLONG_MAX);
	mutex_unlock(&buf->rest_lock);
	return err;
}

static int file_write(struct vmademo_buffer *buf, struct folio *folio,
		      size_t offset, size_t len)
{
	const struct cred *mine = override_creds(buf->file->f_cred);
	struct mem_cgroup *memcg = set_active_memcg(buf->memcg);
	unsigned int noio = memalloc_noio_save();
	size_t end = offset + len;
	int err = vmademo_backing_start_write(buf->file, true);

	if (err)
		goto revert;
	current->flags |= PF_LOCAL_THROTTLE;
	if (unlikely(folio_pos(folio) + end > READ_ONCE(buf->file_end)))
		err = clear_rest(buf);
	while (!err && offset < end) {
		ssize_t n = transfer(buf->file, folio, offset, end - offset, true);

		if (n <= 0)
			err = n ?: -EIO;
		else
			offset += n;
	}
	current->flags &= ~PF_LOCAL_THROTTLE;
	vmademo_backing_end_write(buf->file);
revert:
	memalloc_noio_restore(noio);
	set_active_memcg(memcg);
	revert_creds(mine);
	/* To a disk that has become smaller, all beyond its end is a lack of room */
	if (err == -ENOSPC && is_disk(buf))
		err = -EIO;
	err = err ? write_error(err) : 0;
	if (err && err != -ENOMEM)
		WRITE_ONCE(buf->file_lost, true);
	return err;
}

static int rest_job(void *arg)
{
	struct vmademo_buffer *buf = arg;
	int err = vmademo_backing_start_write(buf->file, true);

	if (err)
		return err;
	err = clear_rest(buf);
	vmademo_backing_end_write(buf->file);
	return err;
}

/* What could not be flushed is not dirty any more: so -ENOMEM, which says that it is, is none. */
static int flush_error(int err)
{
	err = write_error(err);
	return err == -ENOMEM ? -EIO : err;
}

/*
 * What the file's own write-back has lost, the file tells once, to whoever asks first.  That may
 * be a task that is being killed, or has yet to say so when the next one asks.  So it is recorded
 * here, for each file that is open on the buffer.
 */
static void record_lost(struct vmademo_buffer *buf)
{
	struct address_space *mapping = vmademo_backing_mapping(buf->file);
	int err;

	spin_lock(&buf->inode->i_lock);
	err = errseq_check_and_advance(&mapping->wb_err, &buf->file_told);
	if (err) {
		mapping_set_error(buf->inode->i_mapping, flush_error(err));
		WRITE_ONCE(buf->file_lost, true);
	}
	spin_unlock(&buf->inode->i_lock);
}

/* The task is being killed, and has not waited for the file: that says nothing about it. */
static bool was_killed(int err)
{
	return fatal_signal_pending(current) &&
	       (err == -EINTR || err == -ERESTARTSYS || err == -ERESTARTNOINTR ||
		err == -ERESTARTNOHAND);
}

static int file_flush(struct vmademo_buffer *buf, bool datasync)
{
	int err = 0;

	if (READ_ONCE(buf->file_end) < i_size_read(buf->inode))
		err = file_run(buf, rest_job, buf);
	if (!err) {
		err = vfs_fsync(buf->file, datasync);
		record_lost(buf);
	}
	if (was_killed(err))
		return -EINTR;
	return err ? flush_error(err) : 0;
}

/* ---- what changes the file's shape --------------------------------------- */

/*
 * Here the caller itself goes to the file, with the rights of the task that made the
 * buffer: it is the caller that can be killed, and that pays for memory.
 */

static int file_discard(struct vmademo_buffer *buf, loff_t start, loff_t end,
			bool keep)
{
	const struct cred *mine = override_creds(buf->file->f_cred);
	loff_t size;
	int err = 0;

	/* What is beyond the buffer's end is somebody else's */
	end = min3(end, i_size_read(buf->inode), READ_ONCE(buf->file_end));
	size = i_size_read(buf->file->f_mapping->host);
	if (size < end && is_disk(buf))
		err = -EIO;
	end = min(end, size);
	if (!err && start < end)
		err = vmademo_backing_zero(buf->file, start, end, keep);
	revert_creds(mine);
	return err;
}

static int file_start_change(struct vmademo_buffer *buf, bool wait)
{
	return vmademo_backing_start_write(buf->file, wait);
}

static void file_end_change(struct vmademo_buffer *buf)
{
	vmademo_backing_end_write(buf->file);
}

/* One step that can fail; what follows only tidies up. */
static int file_resize(struct vmademo_buffer *buf, loff_t from, loff_t to, bool keep)
{
	const struct cred *mine = override_creds(buf->file->f_cred);
	loff_t rest, was;
	int err = mutex_lock_killable(&buf->rest_lock);

	if (err)
		goto revert;
	was = i_size_read(file_inode(buf->file));
	rest = min(was, to);
	err = vmademo_backing_set_size(buf->file, to);
	/* It failed half way: the buffer stays as it is, but what is not cached is gone */
	if (err && i_size_read(file_inode(buf->file)) < was)
		mapping_set_error(buf->inode->i_mapping, -EIO);
	/* Bytes of the file that the buffer has grown over; see clear_rest() */
	if (!err && (buf->file_end >= rest ||
		     !vmademo_backing_zero(buf->file, buf->file_end, rest, keep)))
		WRITE_ONCE(buf->file_end, LLONG_MAX);
	mutex_unlock(&buf->rest_lock);
revert:
	revert_creds(mine);
	return err;
}

static int file_grow(struct vmademo_buffer *buf, loff_t to)
{
	const struct cred *mine;
	loff_t size;
	int err = vmademo_backing_start_write(buf->file, true);

	if (err)
		return err;
	mine = override_creds(buf->file->f_cred);
	err = mutex_lock_killable(&buf->rest_lock);
	if (err)
		goto revert;
	size = i_size_read(file_inode(buf->file));
	if (to > i_size_read(buf->inode)) {
		buf->file_was = size;
		err = to > size ? vmademo_backing_set_size(buf->file, to) : 0;
	} else if (size > max(to, buf->file_was)) {
		vmademo_backing_set_size(buf->file, max(to, buf->file_was));
	}
	mutex_unlock(&buf->rest_lock);
revert:
	revert_creds(mine);
	vmademo_backing_end_write(buf->file);
	return err;
}

static int file_allocate(struct vmademo_buffer *buf, loff_t start, loff_t end)
{
	const struct cred *mine;
	int err = 0;

	/* What a block device has is allocated */
	if (buf->fixed_size)
		return 0;
	mine = override_creds(buf->file->f_cred);
	/* Or what is allocated there would be cut off later */
	if (min(end, i_size_read(buf->inode)) > READ_ONCE(buf->file_end))
		err = clear_rest(buf);
	if (!err)
		err = vmademo_backing_allocate(buf->file, start, end);
	revert_creds(mine);
	return err;
}

/* ---- what it has --------------------------------------------------------- */

static loff_t file_seek(struct vmademo_buffer *buf, loff_t pos, int whence)
{
	loff_t ret = -EINVAL, end = READ_ONCE(buf->file_end);

	if (pos < end)
		ret = vfs_llseek(buf->file, pos, whence);
	else
		ret = -ENXIO;
	if (whence == SEEK_DATA) {
		/* -EINVAL: a block device, which is all data */
		if (ret == -ENXIO || ret >= end)
			return LLONG_MAX;
		return ret == -EINVAL ? pos : ret;
	}
	if (ret == -ENXIO)
		return pos;
	return ret < 0 && ret != -EINVAL ? ret : min_t(u64, ret, end);
}

static u64 file_used(struct vmademo_buffer *buf)
{
	const struct cred *mine;
	struct kstat stat;
	int err;

	if (S_ISBLK(file_inode(buf->file)->i_mode))
		return i_size_read(buf->inode);
	mine = override_creds(buf->file->f_cred);
	err = vfs_getattr(&buf->file->f_path, &stat, STATX_BLOCKS,
			  AT_STATX_DONT_SYNC);
	revert_creds(mine);
	return err ? 0 : stat.blocks << 9;
}

static void file_close(struct vmademo_buffer *buf)
{
	destroy_workqueue(buf->writes);
	destroy_workqueue(buf->reads);
	vmademo_store_file_detach(buf);
	mem_cgroup_put(buf->memcg);
	fput(buf->file);
}

const struct vmademo_store_ops vmademo_store_file = {
	.kind		= VMADEMO_STORE_FILE,
	.name		= "file",
	.blocks		= true,
	.read		= file_read,
	.prepare	= file_prepare,
	.write		= file_write,
	.flush		= file_flush,
	.discard	= file_discard,
	.resize		= file_resize,
	.grow		= file_grow,
	.allocate	= file_allocate,
	.seek		= file_seek,
	.used		= file_used,
	.start_change	= file_start_change,
	.end_change	= file_end_change,
	.run		= file_run,
	.close		= file_close,
};
