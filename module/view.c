// SPDX-License-Identifier: GPL-2.0-only
/*
 * The regular-file view of a buffer.  Much in the kernel works on regular files
 * only, and asks the file's own inode: fstat, ftruncate, fallocate, MADV_REMOVE,
 * sync_file_range, copy_file_range, opening /proc/PID/fd/N.  On a device node none
 * of that can work.  So a buffer's inode is a regular file, and this is how
 * programs get at it.  Both views share one page cache and one size.
 *
 * Unlike the node, a regular file grows when it is written beyond its end.
 *
 * Locks: the buffer's i_rwsem around all that writes or changes the size; under
 * it the invalidate lock of the mapping and folio locks.
 */
#include <linux/fs.h>
#include <linux/falloc.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "compat.h"
#include "store/store.h"
#include "vmademo.h"

/*
 * With store none nothing is faster for being read before it is asked for, and pages
 * would be allocated that nobody touches.  posix_fadvise() may have set it again.
 */
static void set_readahead(struct file *file)
{
	if (!vmademo_buffer_of(file->f_mapping)->store->read)
		file->f_ra.ra_pages = 0;
}

/**
 * vmademo_read_iter() - .read_iter of node and regular file
 * @iocb: what file, and where
 * @to: where to
 *
 * Context: May sleep.
 * Return: bytes, or a negative errno.
 */
ssize_t vmademo_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	set_readahead(iocb->ki_filp);
	return generic_file_read_iter(iocb, to);
}

/**
 * vmademo_splice_read() - .splice_read of node and regular file
 * @file: what file
 * @ppos: where; is moved on
 * @pipe: where to
 * @len: bytes
 * @flags: SPLICE_F_...
 *
 * Context: May sleep.
 * Return: bytes, or a negative errno.
 */
ssize_t vmademo_splice_read(struct file *file, loff_t *ppos,
			    struct pipe_inode_info *pipe, size_t len,
			    unsigned int flags)
{
	set_readahead(file);
	return vmademo_filemap_splice_read(file, ppos, pipe, len, flags);
}

/**
 * vmademo_write_within() - .write_iter of what cannot grow: as on a disk
 * @iocb: what file, and where
 * @from: what
 *
 * What fits is written, and at the end nothing does.
 *
 * Context: May sleep.  Takes i_rwsem.
 * Return: bytes, or a negative errno; -ENOSPC at the end.
 */
ssize_t vmademo_write_within(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = iocb->ki_filp->f_mapping->host;
	loff_t size;
	ssize_t ret;

	inode_lock(inode);
	ret = generic_write_checks(iocb, from);
	if (ret <= 0)
		goto unlock;
	size = i_size_read(inode);
	if (iocb->ki_pos >= size) {
		ret = -ENOSPC;
		goto unlock;
	}
	iov_iter_truncate(from, size - iocb->ki_pos);
	ret = __generic_file_write_iter(iocb, from);
	if (ret > 0)
		vmademo_inode_modified(inode);	/* seen by the view's fstat */
unlock:
	inode_unlock(inode);
	if (ret > 0)
		ret = generic_write_sync(iocb, ret);	/* O_SYNC, O_DSYNC */
	return ret;
}

static ssize_t vmademo_file_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct vmademo_buffer *buf = inode->i_private;
	loff_t size, end;
	ssize_t ret;
	int err;

	if (buf->fixed_size)
		return vmademo_write_within(iocb, from);

	inode_lock(inode);
	ret = generic_write_checks(iocb, from);
	if (ret <= 0)
		goto unlock;
	size = i_size_read(inode);
	end = iocb->ki_pos + ret;
	/* What comes to lie between the old end and the data is zero */
	if (end > size) {
		err = buf->store->resize(buf, size, size);
		if (err) {
			ret = err;
			goto unlock;
		}
	}
	if (iocb->ki_pos > size)
		vmademo_zero_tail(inode);
	ret = __generic_file_write_iter(iocb, from);
	/* Cut short by a bad address, it may leave pages beyond the end */
	if (end > i_size_read(inode))
		truncate_pagecache(inode, i_size_read(inode));
unlock:
	inode_unlock(inode);
	if (ret > 0)
		ret = generic_write_sync(iocb, ret);	/* O_SYNC, O_DSYNC */
	return ret;
}

static long vmademo_file_fallocate(struct file *file, int mode, loff_t offset,
				   loff_t len)
{
	struct inode *inode = file_inode(file);
	struct vmademo_buffer *buf = inode->i_private;
	loff_t end = offset + len;	/* no overflow: vfs_fallocate() */
	loff_t size, last;
	int err = 0;

	switch (mode & ~FALLOC_FL_KEEP_SIZE) {
	case 0:
	case FALLOC_FL_PUNCH_HOLE:	/* always with KEEP_SIZE */
	case FALLOC_FL_ZERO_RANGE:
		break;
	default:
		return -EOPNOTSUPP;
	}

	inode_lock(inode);
	size = i_size_read(inode);
	if (!(mode & FALLOC_FL_KEEP_SIZE) && end > size) {
		err = buf->fixed_size ? -ENOSPC : inode_newsize_ok(inode, end);
		if (err)
			goto unlock;
	}
	/* Pages beyond the end are not kept: with KEEP_SIZE there is less to do */
	last = mode & FALLOC_FL_KEEP_SIZE ? min(end, size) : end;
	if (mode & FALLOC_FL_PUNCH_HOLE) {
		err = file_modified(file) ?:
		      vmademo_buffer_punch(buf, offset, end);
		goto unlock;
	}
	/* So the size comes first, and is taken back if there is no room */
	if (last > size)
		err = vmademo_buffer_resize(buf, last);
	if (err)
		goto unlock;
	if (last > offset)
		err = buf->store->allocate(buf, offset, last);
	if (!err)
		err = file_modified(file);
	if (!err && mode & FALLOC_FL_ZERO_RANGE && offset < size) {
		err = vmademo_buffer_punch(buf, offset, min(end, size));
		if (!err)
			err = buf->store->allocate(buf, offset, min(end, size));
	}
	if (err && last > size)
		vmademo_buffer_resize(buf, size);
unlock:
	inode_unlock(inode);
	return err;
}

/* truncate, ftruncate, O_TRUNC, fchmod, fchown, futimens.  Called with i_rwsem held. */
static int vmademo_file_setattr(VMADEMO_IDMAP *idmap, struct dentry *dentry,
				struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);
	int err = setattr_prepare(idmap, dentry, attr);

	if (err)
		return err;
	if (attr->ia_valid & ATTR_SIZE) {
		loff_t from = i_size_read(inode);

		err = vmademo_buffer_resize(inode->i_private, attr->ia_size);
		if (err)
			return err;
		/* truncate(2) leaves the times to us, ftruncate(2) brings them */
		if (attr->ia_size != from)
			vmademo_inode_modified(inode);
	}
	setattr_copy(idmap, inode, attr);
	mark_inode_dirty(inode);
	return 0;
}

const struct inode_operations vmademo_file_iops = {
	.setattr	= vmademo_file_setattr,
	.getattr	= simple_getattr,	/* st_blocks: what is cached */
};

/* Who opens it by /proc/PID/fd. */
static int vmademo_file_open_again(struct inode *inode, struct file *file)
{
	struct vmademo_buffer *buf = inode->i_private;

	if (file->f_mode & FMODE_WRITE && buf->read_only)
		return -EROFS;
	return generic_file_open(inode, file);
}

/*
 * Has no .owner, because what it would hold is not enough: the module is needed
 * until the last path to the file is gone.  See vmademo_dentry_ops in buffer.c.
 */
struct file_operations vmademo_file_fops __ro_after_init = {
	.open		= vmademo_file_open_again,
	.llseek		= generic_file_llseek,
	.read_iter	= vmademo_read_iter,
	.write_iter	= vmademo_file_write_iter,
	.splice_read	= vmademo_splice_read,
	.splice_write	= iter_file_splice_write,
	.fsync		= vmademo_fsync,
	.fallocate	= vmademo_file_fallocate,
	.unlocked_ioctl	= vmademo_file_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.show_fdinfo	= vmademo_show_fdinfo,
	.mmap		= vmademo_mmap,
	.get_unmapped_area = thp_get_unmapped_area,
};

/**
 * vmademo_file_init() - choose how regular files are mapped
 * @legacy_mmap: .mmap, even if the kernel has .mmap_prepare
 *
 * Context: Any; before the first regular file is made.
 */
void __init vmademo_file_init(bool legacy_mmap)
{
	if (!legacy_mmap)
		vmademo_use_mmap_prepare(&vmademo_file_fops,
					 vmademo_mmap_prepare);
}

/**
 * vmademo_file_open() - a descriptor of a regular file that shows a buffer
 * @buf: the buffer; the file takes over the caller's hold on it, and also if this
 *       fails
 * @flags: O_RDONLY, O_WRONLY or O_RDWR, and O_CLOEXEC or nothing
 *
 * Context: May sleep.  The caller holds the module.
 * Return: the descriptor, or a negative errno.
 */
int vmademo_file_open(struct vmademo_buffer *buf, int flags)
{
	struct file *file;
	int fd = get_unused_fd_flags(flags & O_CLOEXEC);

	if (fd < 0) {
		vmademo_buffer_put(buf);
		return fd;
	}
	file = vmademo_buffer_alloc_file(buf, flags & O_ACCMODE);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		vmademo_buffer_put(buf);
		return PTR_ERR(file);
	}
	fd_install(fd, file);
	return fd;
}
