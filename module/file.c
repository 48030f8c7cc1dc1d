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
#include <linux/sched/signal.h>

#include "compat.h"
#include "vmademo.h"

static ssize_t vmademo_file_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	loff_t end;
	ssize_t ret;

	inode_lock(inode);
	ret = generic_write_checks(iocb, from);
	if (ret > 0) {
		end = iocb->ki_pos + ret;
		/* What comes to lie between the old end and the data is zero */
		if (iocb->ki_pos > i_size_read(inode))
			vmademo_zero_tail(inode);
		ret = __generic_file_write_iter(iocb, from);
		/* Cut short by a bad address, it may leave pages beyond the end */
		if (end > i_size_read(inode))
			vmademo_buffer_resize(inode->i_private,
					      i_size_read(inode));
	}
	inode_unlock(inode);
	if (ret > 0)
		ret = generic_write_sync(iocb, ret);	/* O_SYNC, O_DSYNC */
	return ret;
}

/* Makes every page of [offset, end) cached. */
static int allocate(struct address_space *mapping, loff_t offset, loff_t end)
{
	/* Rather refuse than have others killed for memory */
	gfp_t gfp = mapping_gfp_mask(mapping) | __GFP_RETRY_MAYFAIL | __GFP_NOWARN;
	pgoff_t index = offset >> PAGE_SHIFT;
	pgoff_t past = DIV_ROUND_UP(end, PAGE_SIZE);
	int err;

	for (; index < past; index++) {
		if (fatal_signal_pending(current))
			return -EINTR;
		err = vmademo_populate(mapping, index, gfp);
		if (err)
			return err;
		cond_resched();
	}
	return 0;
}

static long vmademo_file_fallocate(struct file *file, int mode, loff_t offset,
				   loff_t len)
{
	struct inode *inode = file_inode(file);
	loff_t end = offset + len;	/* no overflow: vfs_fallocate() */
	loff_t size, last;
	int err;

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
		err = inode_newsize_ok(inode, end);
		if (err)
			goto unlock;
	}
	/* Pages beyond the end are not kept: with KEEP_SIZE there is less to do */
	last = mode & FALLOC_FL_KEEP_SIZE ? min(end, size) : end;
	err = -ENOSPC;
	if (!(mode & FALLOC_FL_PUNCH_HOLE) && last > offset &&
	    (last - offset) >> PAGE_SHIFT > totalram_pages())
		goto unlock;
	err = file_modified(file);
	if (err)
		goto unlock;

	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		vmademo_buffer_punch(inode->i_private, offset, end);
	if (mode & FALLOC_FL_PUNCH_HOLE)
		goto unlock;

	/* So the size comes first, and is taken back if there is no memory */
	if (last > size)
		vmademo_buffer_resize(inode->i_private, last);
	if (last > offset)
		err = allocate(inode->i_mapping, offset, last);
	if (err && last > size)
		vmademo_buffer_resize(inode->i_private, size);
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
		/* truncate(2) leaves the times to us, ftruncate(2) brings them */
		if (attr->ia_size != i_size_read(inode))
			vmademo_inode_modified(inode);
		vmademo_buffer_resize(inode->i_private, attr->ia_size);
	}
	setattr_copy(idmap, inode, attr);
	mark_inode_dirty(inode);
	return 0;
}

const struct inode_operations vmademo_file_iops = {
	.setattr	= vmademo_file_setattr,
	.getattr	= simple_getattr,	/* st_blocks: what is cached */
};

/*
 * Has no .owner, because what it would hold is not enough: the module is needed
 * until the last path to the file is gone.  See vmademo_dentry_ops in buffer.c.
 */
struct file_operations vmademo_file_fops __ro_after_init = {
	.open		= generic_file_open,
	.llseek		= generic_file_llseek,
	.read_iter	= generic_file_read_iter,
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
