// SPDX-License-Identifier: GPL-2.0-only
/*
 * Store "file": a regular file, or a block device.  Read and written through its own
 * page cache, as a loop device does it, so any file will do.
 *
 * What reads and writes it runs in a worker of our own:
 *  - it holds no locks.  Some files take their i_rwsem to be read, and a fault may come
 *    while somebody reads another such file into a mapping of the buffer;
 *  - it has no signals.  A program that is being killed must still write back what
 *    it leaves, and file systems give up writing when a fatal signal is pending;
 *  - it may not wait for write-back in order to get memory (PF_MEMALLOC_NOIO), since
 *    that could be ours;
 *  - it is throttled by what is dirty on the lower device alone (PF_LOCAL_THROTTLE),
 *    not by the folios that wait for it;
 *  - it has the rights of who made the buffer, not those of a kernel thread, whom no
 *    quota stops.
 *
 * Limits: the file must not be changed by others meanwhile, least of all by write(2)
 * with a mapping of the buffer as its source: that holds the file's i_rwsem while it
 * faults, and the fault may wait for somebody who needs that i_rwsem.  As long as the
 * file's file system is frozen, writing back waits.
 *
 * Locks: stores_lock, around the list alone; what the file's own operations take.
 */
#include <linux/completion.h>
#include <linux/cred.h>
#include <linux/fadvise.h>
#include <linux/falloc.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/list.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/namei.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/vmademo.h>
#include <linux/workqueue.h>

#include "store/store.h"
#include "vmademo.h"

static struct workqueue_struct *vmademo_wq;

/* All buffers with such a store, for sync(2). */
static LIST_HEAD(stores);
static DEFINE_MUTEX(stores_lock);

/* ---- the worker ---------------------------------------------------------- */

struct call {
	struct work_struct work;
	struct completion done;
	const struct cred *cred;
	int (*function)(void *arg);
	void *arg;
	int ret;
};

static void call_work(struct work_struct *work)
{
	struct call *call = container_of(work, struct call, work);
	const struct cred *mine = override_creds(call->cred);
	unsigned int noio = memalloc_noio_save();

	current->flags |= PF_LOCAL_THROTTLE;
	call->ret = call->function(call->arg);
	current->flags &= ~PF_LOCAL_THROTTLE;
	memalloc_noio_restore(noio);
	revert_creds(mine);
	complete(&call->done);
}

/* Runs a function in the worker and waits, whatever signals come. */
static int file_call(struct vmademo_buffer *buf, int (*function)(void *arg),
		     void *arg)
{
	struct call call = {
		.cred = buf->file->f_cred,
		.function = function,
		.arg = arg,
	};

	INIT_WORK_ONSTACK(&call.work, call_work);
	init_completion(&call.done);
	queue_work(vmademo_wq, &call.work);
	wait_for_completion(&call.done);
	destroy_work_on_stack(&call.work);
	return call.ret;
}

/* ---- reading and writing ------------------------------------------------- */

/* Two answers are enough for who asked to write back: full, or broken. */
static int write_error(ssize_t err)
{
	switch (err) {
	case -ENOSPC:
	case -EDQUOT:
	case -EFBIG:
		return -ENOSPC;
	default:
		return -EIO;
	}
}

static int file_read(struct vmademo_buffer *buf, struct folio *folio)
{
	/* What lies beyond the buffer's end is no data, whatever the file has there */
	loff_t left = i_size_read(buf->inode) - folio_pos(folio);
	size_t len = clamp_t(loff_t, left, 0, folio_size(folio)), done = 0;
	ssize_t n = 0;

	while (done < len) {
		void *data = kmap_local_folio(folio, done);
		loff_t pos = folio_pos(folio) + done;

		n = kernel_read(buf->file, data, len - done, &pos);
		kunmap_local(data);
		if (n <= 0)
			break;	/* an error; or the file ends: the rest is zeroes */
		done += n;
	}
	if (n < 0)
		return n == -ENOMEM ? n : -EIO;
	folio_zero_range(folio, done, folio_size(folio) - done);
	return 0;
}

/* Has all of it read at once, and not page by page. */
static void file_prepare(struct vmademo_buffer *buf, loff_t pos, loff_t len)
{
	vfs_fadvise(buf->file, pos, len, POSIX_FADV_WILLNEED);
}

static int write_all(struct file *file, const void *data, size_t len, loff_t pos)
{
	while (len) {
		ssize_t n = kernel_write(file, data, len, &pos);

		if (n <= 0)
			return write_error(n);
		data += n;
		len -= n;
	}
	return 0;
}

static int file_write(struct vmademo_buffer *buf, struct folio *folio,
		      size_t offset, size_t len)
{
	void *data = kmap_local_folio(folio, offset);
	int err = write_all(buf->file, data, len, folio_pos(folio) + offset);

	kunmap_local(data);
	return err;
}

static int file_flush(struct vmademo_buffer *buf, bool datasync)
{
	int err = vfs_fsync(buf->file, datasync);

	return err ? write_error(err) : 0;
}

/* ---- what changes the file's shape --------------------------------------- */

struct change {
	struct file *file;
	int mode;
	loff_t start;
	loff_t end;
};

/* For file systems that cannot punch. */
static int write_zeroes(struct file *file, loff_t start, loff_t end)
{
	const void *zeroes = page_address(ZERO_PAGE(0));
	int err = 0;

	for (; start < end && !err; start += PAGE_SIZE)
		err = write_all(file, zeroes, min_t(loff_t, end - start, PAGE_SIZE),
				start);
	return err;
}

static int discard_work(void *arg)
{
	const struct change *c = arg;
	loff_t end = min(c->end, i_size_read(c->file->f_mapping->host));
	int err;

	if (c->start >= end)
		return 0;
	err = vfs_fallocate(c->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			    c->start, end - c->start);
	/* A block device takes whole blocks only, and may be unable to */
	if (err == -EOPNOTSUPP || err == -EINVAL)
		err = write_zeroes(c->file, c->start, end);
	return err;
}

static int file_discard(struct vmademo_buffer *buf, loff_t start, loff_t end)
{
	struct change c = { .file = buf->file, .start = start, .end = end };

	return file_call(buf, discard_work, &c);
}

static int resize_work(void *arg)
{
	const struct change *c = arg;
	loff_t smaller = min(c->start, c->end);
	int err = 0;

	/* Also if the buffer was a part of the file: now it is all of it */
	if (i_size_read(c->file->f_mapping->host) > smaller)
		err = vfs_truncate(&c->file->f_path, smaller);
	if (!err && c->end > smaller)
		err = vfs_truncate(&c->file->f_path, c->end);
	return err;
}

static int file_resize(struct vmademo_buffer *buf, loff_t from, loff_t to)
{
	struct change c = { .file = buf->file, .start = from, .end = to };

	/* Called so before the buffer grows by writing, which takes the file along */
	if (from == to && i_size_read(buf->file->f_mapping->host) <= to)
		return 0;
	return file_call(buf, resize_work, &c);
}

static int allocate_work(void *arg)
{
	const struct change *c = arg;

	return vfs_fallocate(c->file, FALLOC_FL_KEEP_SIZE, c->start,
			     c->end - c->start);
}

static int file_allocate(struct vmademo_buffer *buf, loff_t start, loff_t end)
{
	struct change c = { .file = buf->file, .start = start, .end = end };

	/* What a block device has is allocated */
	return buf->fixed_size ? 0 : file_call(buf, allocate_work, &c);
}

/* ---- making and ending --------------------------------------------------- */

static void file_close(struct vmademo_buffer *buf)
{
	mutex_lock(&stores_lock);
	list_del(&buf->store_list);
	mutex_unlock(&stores_lock);
	fput(buf->file);
}

const struct vmademo_store_ops vmademo_store_file = {
	.kind		= VMADEMO_STORE_FILE,
	.name		= "file",
	.read		= file_read,
	.prepare	= file_prepare,
	.write		= file_write,
	.flush		= file_flush,
	.discard	= file_discard,
	.resize		= file_resize,
	.allocate	= file_allocate,
	.call		= file_call,
	.close		= file_close,
};

/* Something that can be a store? */
static bool holds_data(const struct inode *inode)
{
	/* Of our own: then a folio would wait for itself to be written */
	if ((!S_ISREG(inode->i_mode) && !S_ISBLK(inode->i_mode)) ||
	    vmademo_is_buffer(inode))
		return false;
	/*
	 * The kernel's own words, made up when they are read.  (Much of /proc can be
	 * read like any file, and sysfs says that a file has a page.)
	 */
	switch (inode->i_sb->s_magic) {
	case PROC_SUPER_MAGIC:
	case SYSFS_MAGIC:
	case CGROUP_SUPER_MAGIC:
	case CGROUP2_SUPER_MAGIC:
	case RDTGROUP_SUPER_MAGIC:
		return false;
	default:
		return true;
	}
}

/* Is it open for what is needed: by what kernel_read() and kernel_write() call? */
static int check_file(const struct file *file)
{
	if (!file->f_op->read_iter || file->f_op->read)
		return -EINVAL;
	if (file->f_mode & FMODE_WRITE &&
	    (!file->f_op->write_iter || file->f_op->write))
		return -EINVAL;
	return 0;
}

/**
 * vmademo_store_file_open() - open a file once more, to be a store
 * @path: where it is
 * @read_only: it shall not be written to
 *
 * An open file of its own, because flags such as O_APPEND belong to that, and so does
 * which errors of writing it back were reported.
 *
 * Context: May sleep.
 * Return: the file, or an ERR_PTR: -EINVAL if it can be no store; -EBUSY if it is a
 *         block device that is mounted or otherwise claimed.
 */
struct file *vmademo_store_file_open(const struct path *path, bool read_only)
{
	const struct inode *inode = d_inode(path->dentry);
	int flags = O_LARGEFILE | (read_only ? O_RDONLY : O_RDWR);
	struct file *file;
	int err;

	/* Before it is opened, which for a device may do things */
	if (!holds_data(inode))
		return ERR_PTR(-EINVAL);
	if (S_ISBLK(inode->i_mode) && !read_only)
		flags |= O_EXCL;	/* claimed, as mount(2) does */
	/* What is there may not be written over, whatever was open before */
	if ((IS_APPEND(inode) || IS_IMMUTABLE(inode)) && !read_only)
		return ERR_PTR(-EPERM);
	file = dentry_open(path, flags, current_cred());
	if (IS_ERR(file))
		return file;
	err = check_file(file);
	if (err) {
		fput(file);
		return ERR_PTR(err);
	}
	/*
	 * What is read ahead is decided above.  If it were here too, good pages would
	 * be in one large folio with a bad one, and unreadable as that.
	 */
	file->f_mode |= FMODE_RANDOM;
	return file;
}

/**
 * vmademo_store_file_open_name() - the same for a name, when the module is loaded
 * @name: an absolute path
 *
 * What cannot be opened for writing is opened for reading.
 *
 * Context: May sleep.
 * Return: the file, or an ERR_PTR.
 */
struct file *vmademo_store_file_open_name(const char *name)
{
	struct file *file;
	struct path path;
	int err = kern_path(name, LOOKUP_FOLLOW, &path);

	if (err)
		return ERR_PTR(err);
	file = vmademo_store_file_open(&path, false);
	err = PTR_ERR_OR_ZERO(file);
	if (err == -EROFS || err == -EACCES || err == -EPERM)
		file = vmademo_store_file_open(&path, true);
	path_put(&path);
	return file;
}

/**
 * vmademo_store_file_size() - how large shall a buffer on a file be?
 * @file: the file
 * @size: in: what is asked for in bytes, 0 for the file's; out: the answer
 *
 * Context: Any.
 * Return: 0; -EINVAL if it is more than the file has, and that cannot grow; -EFBIG if it
 *         is more than the file or this process may have.
 */
int vmademo_store_file_size(struct file *file, loff_t *size)
{
	loff_t has = i_size_read(file->f_mapping->host);

	if (!*size)
		*size = has;
	if (*size <= has)
		return 0;
	if (!(file->f_mode & FMODE_WRITE) || S_ISBLK(file_inode(file)->i_mode))
		return -EINVAL;
	return inode_newsize_ok(file_inode(file), *size);
}

/**
 * vmademo_store_file_attach() - put a file behind a new buffer
 * @buf: the buffer, which nobody else knows yet
 * @file: the file; the buffer takes it over
 *
 * Context: May sleep.
 */
void vmademo_store_file_attach(struct vmademo_buffer *buf, struct file *file)
{
	buf->file = file;
	buf->read_only = !(file->f_mode & FMODE_WRITE);
	buf->fixed_size = buf->read_only || S_ISBLK(file_inode(file)->i_mode);
	mutex_lock(&stores_lock);
	list_add(&buf->store_list, &stores);
	mutex_unlock(&stores_lock);
}

/**
 * vmademo_store_file_sync() - flush all files that are stores: the end of sync(2)
 *
 * Context: May sleep.
 * Return: 0, or the first error.
 */
int vmademo_store_file_sync(void)
{
	struct inode *last = NULL;
	struct vmademo_buffer *buf;
	int ret = 0;

	mutex_lock(&stores_lock);
	list_for_each_entry(buf, &stores, store_list) {
		int err;

		if (buf->read_only || !igrab(buf->inode))
			continue;
		/*
		 * Flushing may take long; others shall be able to make and to close
		 * buffers meanwhile.  This one stays in the list, since we hold it.
		 */
		mutex_unlock(&stores_lock);
		iput(last);
		last = buf->inode;
		err = vmademo_flush(buf, false);
		if (!ret)
			ret = err;
		mutex_lock(&stores_lock);
	}
	mutex_unlock(&stores_lock);
	iput(last);
	return ret;
}

/**
 * vmademo_store_file_init() - make the worker
 *
 * Context: May sleep.
 * Return: 0 or -ENOMEM.
 */
int vmademo_store_file_init(void)
{
	/* A rescuer, because memory may be freed by what it writes */
	vmademo_wq = alloc_workqueue("vmademo", WQ_MEM_RECLAIM | WQ_UNBOUND, 0);
	return vmademo_wq ? 0 : -ENOMEM;
}

/**
 * vmademo_store_file_exit() - end the worker; there is no such store any more
 *
 * Context: May sleep.
 */
void vmademo_store_file_exit(void)
{
	destroy_workqueue(vmademo_wq);
}
