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
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "compat.h"
#include "power.h"
#include "rules.h"
#include "store/store.h"
#include "view.h"
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

/* Before any lock is taken: what a buffer that is revoked answers, or a rule. */
static int refused(struct vmademo_buffer *buf, unsigned int op, loff_t pos, u64 len)
{
	return READ_ONCE(buf->revoked) ? -ENODEV : vmademo_rule(buf, op, pos, len);
}

/**
 * vmademo_read_iter() - .read_iter of node and regular file
 *
 * O_DIRECT is taken, as by tmpfs, and means nothing: the page cache is the device.
 *
 * @iocb: what file, and where
 * @to: where to
 *
 * Context: May sleep.
 * Return: bytes, or a negative errno.
 */
ssize_t vmademo_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	int err = refused(vmademo_buffer_of(iocb->ki_filp->f_mapping), VMADEMO_OP_READ,
			  iocb->ki_pos, iov_iter_count(to));

	if (err)
		return err;
	set_readahead(iocb->ki_filp);
	iocb->ki_flags &= ~IOCB_DIRECT;
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
	int err = 0;

	/* As one event, it meets its rules once */
	if (!VMADEMO_SPLICE_IS_READ)
		err = refused(vmademo_buffer_of(file->f_mapping), VMADEMO_OP_READ, *ppos, len);
	if (err)
		return err;
	set_readahead(file);
	return vmademo_filemap_splice_read(file, ppos, pipe, len, flags);
}

/* The end of a write: O_SYNC, O_DSYNC.  cuts was read while i_rwsem was held. */
static ssize_t end_write(struct kiocb *iocb, ssize_t ret, unsigned int cuts)
{
	ret = generic_write_sync(iocb, ret);
	if (ret > 0 && iocb_is_dsync(iocb) &&
	    vmademo_was_cut(vmademo_buffer_of(iocb->ki_filp->f_mapping), cuts))
		return -EIO;
	return ret;
}

static int write_refused(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = iocb->ki_filp->f_mapping->host;

	return refused(inode->i_private, VMADEMO_OP_WRITE,
		       iocb->ki_flags & IOCB_APPEND ? i_size_read(inode) : iocb->ki_pos,
		       iov_iter_count(from));
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
	unsigned int cuts;
	loff_t size;
	ssize_t ret;

	/* io_uring tries that first, and then has a worker do it */
	if (iocb->ki_flags & IOCB_NOWAIT)
		return -EAGAIN;
	iocb->ki_flags &= ~IOCB_DIRECT;
	ret = write_refused(iocb, from) ?: vmademo_lock_data(vmademo_buffer_of(inode->i_mapping));
	if (ret)
		return ret;
	size = i_size_read(inode);
	/* Also where the end is that of all files, which would be EFBIG */
	if (iocb->ki_pos >= size && iov_iter_count(from)) {
		ret = -ENOSPC;
		goto unlock;
	}
	ret = generic_write_checks(iocb, from);
	if (ret <= 0)
		goto unlock;
	if (iocb->ki_pos >= size) {	/* O_APPEND */
		ret = -ENOSPC;
		goto unlock;
	}
	iov_iter_truncate(from, size - iocb->ki_pos);
	ret = __generic_file_write_iter(iocb, from);
	if (ret > 0)
		vmademo_inode_modified(inode);	/* seen by the view's fstat */
unlock:
	cuts = vmademo_buffer_of(inode->i_mapping)->cuts;
	inode_unlock(inode);
	return ret > 0 ? end_write(iocb, ret, cuts) : ret;
}

static ssize_t vmademo_view_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct vmademo_buffer *buf = inode->i_private;
	unsigned int cuts;
	loff_t end;
	ssize_t ret;
	int err;

	if (buf->fixed_size)
		return vmademo_write_within(iocb, from);

	if (iocb->ki_flags & IOCB_NOWAIT)
		return -EAGAIN;
	iocb->ki_flags &= ~IOCB_DIRECT;
	ret = write_refused(iocb, from) ?: vmademo_lock_data(buf);
	if (ret)
		return ret;
	do {
		cuts = buf->cuts;
		ret = generic_write_checks(iocb, from);
		if (ret <= 0)
			goto unlock;
		end = iocb->ki_pos + ret;
		err = end > i_size_read(inode) ? vmademo_power_here(buf) : 0;
		/* A cut may have set the size: and O_APPEND is to write at the end */
	} while (!err && cuts != buf->cuts);
	if (!err && end > i_size_read(inode))
		err = vmademo_grow(buf, end);
	if (err) {
		ret = err;
		goto unlock;
	}
	/* What comes to lie between the old end and the data is zero */
	err = iocb->ki_pos > i_size_read(inode) ? vmademo_zero_tail(inode) : 0;
	ret = err ? err : __generic_file_write_iter(iocb, from);
	/* Cut short by a bad address, it may leave pages beyond the end */
	if (end > i_size_read(inode))
		vmademo_drop_beyond(buf, end);
unlock:
	cuts = buf->cuts;
	inode_unlock(inode);
	return ret > 0 ? end_write(iocb, ret, cuts) : ret;
}

/*
 * A range is allocated, and made zero as far as there is data; it may reach beyond the
 * end.  With store none the size comes first, since no page is kept beyond it, and is taken
 * back if there is no room.  With any other it comes last: to take it back could cut off
 * bytes of the backing file that were never the buffer's.
 */
static int allocate(struct vmademo_buffer *buf, loff_t start, loff_t end, int mode)
{
	loff_t size = i_size_read(buf->inode);
	bool keep_size = mode & FALLOC_FL_KEEP_SIZE;
	bool size_first = !buf->store->read && !keep_size && end > size;
	int err = size_first ? vmademo_resize(buf, end) : 0;
	loff_t to, furthest = 0;
	unsigned int cuts;

	if (err)
		return err;
	do {
		/* A cut may set the size, and take back what was allocated beyond the new end */
		cuts = buf->cuts;
		to = keep_size ? min(end, i_size_read(buf->inode)) : end;
		furthest = max(furthest, to);
		err = start < to ? vmademo_allocate(buf, start, to) : 0;
		if (!err && mode & FALLOC_FL_ZERO_RANGE)
			err = vmademo_zero_range(buf, start, size_first ? min(end, size) : to);
		if (!err && !size_first)
			err = vmademo_extend(buf, keep_size ? 0 : end, cuts);
	} while (err == -EAGAIN && buf->cuts != cuts);
	if (err && size_first)
		vmademo_resize(buf, size);
	/* What was reserved there; it would be kept until the file ends */
	if ((err || keep_size) && furthest > i_size_read(buf->inode) && buf->store->reserve)
		vmademo_drop_beyond(buf, furthest);
	return err;
}

static long vmademo_view_fallocate(struct file *file, int mode, loff_t offset,
				   loff_t len)
{
	struct inode *inode = file_inode(file);
	struct vmademo_buffer *buf = inode->i_private;
	loff_t end = offset + len;	/* no overflow: vfs_fallocate() */
	loff_t size;
	int err;

	switch (mode & ~FALLOC_FL_KEEP_SIZE) {
	case 0:
	case FALLOC_FL_PUNCH_HOLE:	/* always with KEEP_SIZE */
	case FALLOC_FL_ZERO_RANGE:
		break;
	default:
		return -EOPNOTSUPP;
	}

	/* It may set the size */
	err = mode & FALLOC_FL_KEEP_SIZE ? 0 : vmademo_log_size_let_cut(buf);
	err = err ?: refused(buf, VMADEMO_OP_ALLOCATE, offset, len) ?: vmademo_lock_data(buf);
	if (err)
		return err;
	/* Nor may one have begun before this had the buffer */
	err = mode & FALLOC_FL_KEEP_SIZE ? 0 : vmademo_log_size_let_cut(buf);
	if (err)
		goto unlock;
	size = i_size_read(inode);
	/* Pages beyond the end are not kept: with KEEP_SIZE there is less to do */
	if (!(mode & FALLOC_FL_KEEP_SIZE) && end > size)
		err = buf->fixed_size ? -ENOSPC : inode_newsize_ok(inode, end);
	if (err || (mode & FALLOC_FL_KEEP_SIZE && offset >= size))
		goto unlock;
	if (mode & FALLOC_FL_PUNCH_HOLE)
		err = vmademo_punch(buf, offset, end);
	else
		err = allocate(buf, offset, end, mode);
	/* Last: a request that fails leaves the times as they were */
	if (!err)
		err = file_modified(file);
unlock:
	inode_unlock(inode);
	return err;
}

/* SEEK_DATA and SEEK_HOLE ask the page cache and the store. */
static loff_t vmademo_view_llseek(struct file *file, loff_t offset, int whence)
{
	struct inode *inode = file_inode(file);

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return generic_file_llseek(file, offset, whence);
	offset = vmademo_seek(inode->i_private, offset, whence);
	return offset < 0 ? offset :
			    vfs_setpos(file, offset, inode->i_sb->s_maxbytes);
}

/* truncate, ftruncate, O_TRUNC, fchmod, fchown, futimens.  Called with i_rwsem held. */
int vmademo_view_setattr(VMADEMO_IDMAP *idmap, struct dentry *dentry,
			 struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);
	struct vmademo_buffer *buf = inode->i_private;
	int err = setattr_prepare(idmap, dentry, attr);

	if (err)
		return err;
	if (attr->ia_valid & ATTR_SIZE && buf->revoked)
		return -ENODEV;
	if (attr->ia_valid & ATTR_SIZE) {
		loff_t from = i_size_read(inode);
		unsigned int cuts = buf->cuts;

		err = vmademo_truncate(buf, attr->ia_size);
		if (err)
			return err;
		/* truncate(2) leaves the times to us, ftruncate(2) brings them */
		if (attr->ia_size != from || buf->cuts != cuts)
			vmademo_inode_modified(inode);
	}
	setattr_copy(idmap, inode, attr);
	/* The next write by a mapping sets them anew, and be it in this tick (fault.c) */
	WRITE_ONCE(buf->times_set, jiffies - 1);
	mark_inode_dirty(inode);
	return 0;
}

/* st_blocks: what the store holds or, if that is more, what is cached. */
int vmademo_view_getattr(VMADEMO_IDMAP *idmap, const struct path *path,
			 struct kstat *stat, u32 request_mask, unsigned int flags)
{
	struct vmademo_buffer *buf = d_inode(path->dentry)->i_private;
	int err = simple_getattr(idmap, path, stat, request_mask, flags);

	if (!err && buf->store->used && request_mask & STATX_BLOCKS)
		stat->blocks = max_t(u64, stat->blocks, buf->store->used(buf) >> 9);
	return err;
}

const struct inode_operations vmademo_view_iops = {
	.setattr	= vmademo_view_setattr,
	.getattr	= vmademo_view_getattr,
};

/* Opened by a name in a tree, or again by /proc/PID/fd. */
static int vmademo_view_open_again(struct inode *inode, struct file *file)
{
	struct vmademo_buffer *buf = inode->i_private;

	if (file->f_mode & FMODE_WRITE && buf->read_only)
		return -EROFS;
	/* By the page cache: it is as direct as memory can be */
	file->f_mode |= FMODE_CAN_ODIRECT;
	return generic_file_open(inode, file);
}

/*
 * Has no .owner, because what it would hold is not enough: the module is needed
 * until the last path to the file is gone.  See buffer.c.
 */
#define VIEW_FOPS							\
	.open		= vmademo_view_open_again,			\
	.llseek		= vmademo_view_llseek,				\
	.read_iter	= vmademo_read_iter,				\
	.write_iter	= vmademo_view_write_iter,			\
	.splice_read	= vmademo_splice_read,				\
	.splice_write	= iter_file_splice_write,			\
	.fsync		= vmademo_fsync,				\
	.fallocate	= vmademo_view_fallocate,			\
	.setlease	= generic_setlease,				\
	.unlocked_ioctl	= vmademo_view_ioctl,				\
	.compat_ioctl	= compat_ptr_ioctl,				\
	.show_fdinfo	= vmademo_show_fdinfo,				\
	.get_unmapped_area = thp_get_unmapped_area

static const struct file_operations vmademo_view_legacy_fops = {
	VIEW_FOPS,
	.mmap		= vmademo_mmap,
};

#ifdef VMADEMO_HAS_MMAP_PREPARE
static const struct file_operations vmademo_view_prepare_fops = {
	VIEW_FOPS,
	.mmap_prepare	= vmademo_mmap_prepare,
};
#endif

const struct file_operations *vmademo_view_fops __ro_after_init =
	&vmademo_view_legacy_fops;

/**
 * vmademo_view_init() - choose how regular files are mapped
 * @legacy_mmap: .mmap, even if the kernel has .mmap_prepare
 *
 * Context: Any; before the first regular file is made.
 */
void __init vmademo_view_init(bool legacy_mmap)
{
#ifdef VMADEMO_HAS_MMAP_PREPARE
	if (!legacy_mmap)
		vmademo_view_fops = &vmademo_view_prepare_fops;
#endif
}

/**
 * vmademo_view_open() - make a descriptor one of a regular file that shows a buffer
 * @buf: the buffer; the caller's hold on it is taken over, and also if this fails
 * @fd: what get_unused_fd_flags() returned; is given back if this fails
 * @flags: O_RDONLY, O_WRONLY or O_RDWR
 *
 * Context: May sleep.  The caller holds the module.
 * Return: the descriptor, or a negative errno.
 */
int vmademo_view_open(struct vmademo_buffer *buf, int fd, int flags)
{
	struct file *file;

	ihold(buf->inode);	/* for the file, which holds the mount, too */
	file = alloc_file_pseudo(buf->inode, buf->mnt, "vmademo", flags | O_LARGEFILE,
				 vmademo_view_fops);
	if (IS_ERR(file)) {
		iput(buf->inode);
		put_unused_fd(fd);
		fd = PTR_ERR(file);
	} else {
		/* What opening a path does */
		file->f_mode |= FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE |
				FMODE_CAN_ODIRECT;
		file_ra_state_init(&file->f_ra, file->f_mapping);
	}
	vmademo_buffer_put(buf);
	if (!IS_ERR(file))
		fd_install(fd, file);
	return fd;
}
