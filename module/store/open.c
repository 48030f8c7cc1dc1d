// SPDX-License-Identifier: GPL-2.0-only
/*
 * What may be the backing file of a buffer: opening it, and putting it behind a new
 * buffer.
 *
 * Locks: stores_lock, around the list of backing files alone.
 */
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/magic.h>
#include <linux/memcontrol.h>
#include <linux/mutex.h>
#include <linux/namei.h>
#include <linux/vmademo.h>
#include <linux/workqueue.h>

#include "store/store.h"
#include "vmademo.h"

/* Not in magic.h */
#define CONFIGFS_MAGIC		0x62656570
#define FUNCTIONFS_MAGIC	0xa647361

/* All buffers with a backing file. */
static LIST_HEAD(stores);
static DEFINE_MUTEX(stores_lock);

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
	case CONFIGFS_MAGIC:
	case FUNCTIONFS_MAGIC:
		return false;
	default:
		return true;
	}
}

/* Has it what backing.c calls?  With .write it may be no file of bytes. */
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
 * @read_only: it is not to be written to
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
	if (IS_SWAPFILE(inode))
		return ERR_PTR(-ETXTBSY);
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
 * vmademo_store_file_size() - how large a buffer on a file is to be
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
 * @buf: the buffer, which nobody else knows yet; its size is set
 * @file: the file; the buffer takes it over if this succeeds
 *
 * Context: May sleep.
 * Return: 0; -EBUSY if it is behind another buffer, and one of the two may write to it;
 *         -ENOMEM.
 */
int vmademo_store_file_attach(struct vmademo_buffer *buf, struct file *file)
{
	const struct inode *inode = file->f_mapping->host;
	loff_t size = i_size_read(buf->inode);
	struct vmademo_buffer *other;
	int err = -ENOMEM;

	buf->read_only = !(file->f_mode & FMODE_WRITE);
	buf->fixed_size = buf->read_only || S_ISBLK(inode->i_mode);
	buf->file_end = buf->fixed_size || size >= i_size_read(inode) ? LLONG_MAX :
									size;
	mutex_init(&buf->rest_lock);
	/* With rescuers, because memory may be freed by what they write */
	buf->reads = alloc_workqueue("vmademo-r/%lu", WQ_MEM_RECLAIM | WQ_UNBOUND, 0,
				     (unsigned long)buf->inode->i_ino);
	if (!buf->reads)
		return err;
	buf->writes = alloc_workqueue("vmademo-w/%lu", WQ_MEM_RECLAIM | WQ_UNBOUND, 1,
				      (unsigned long)buf->inode->i_ino);
	if (!buf->writes)
		goto destroy_reads;

	mutex_lock(&stores_lock);
	err = 0;
	list_for_each_entry(other, &stores, stores)
		if (other->file->f_mapping->host == inode &&
		    !(other->read_only && buf->read_only))
			err = -EBUSY;
	if (!err) {
		buf->file = file;
		buf->file_told = errseq_sample(&vmademo_backing_mapping(file)->wb_err);
		list_add(&buf->stores, &stores);
	}
	mutex_unlock(&stores_lock);
	if (!err) {
		buf->memcg = get_mem_cgroup_from_mm(current->mm);
		return 0;
	}
	destroy_workqueue(buf->writes);
destroy_reads:
	destroy_workqueue(buf->reads);
	return err;
}

/**
 * vmademo_store_file_detach() - the buffer lets go of its backing file
 * @buf: the buffer
 *
 * Context: May sleep.
 */
void vmademo_store_file_detach(struct vmademo_buffer *buf)
{
	mutex_lock(&stores_lock);
	list_del(&buf->stores);
	mutex_unlock(&stores_lock);
}
