// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is done to a backing file: a part of it is read or written, its size is set, a
 * range of it is allocated or becomes zero.
 *
 * A file system that is being frozen lets nobody begin to write.  Who waits for that
 * here can be killed, and takes no lock: it may hold a buffer's i_rwsem and a pipe, and
 * the freezing may wait for somebody who waits for the same pipe.  So all that writes or
 * changes is called between vmademo_backing_start_write() and _end_write(), and nothing
 * here calls what does that by itself: vfs_fallocate(), kernel_write().
 *
 * Locks: what the file's own operations take, i_rwsem among them.
 */
#include <linux/blkdev.h>
#include <linux/bvec.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/uio.h>

#include "compat.h"
#include "store/store.h"

/**
 * vmademo_backing_start_write() - keep a file system from being frozen
 * @file: a file on it
 * @wait: until it is not frozen, or say at once that it is
 *
 * vmademo_backing_end_write() must follow.
 *
 * Context: With @wait, may sleep.
 * Return: 0; -EAGAIN without @wait; -EINTR if the task is being killed.
 */
int vmademo_backing_start_write(struct file *file, bool wait)
{
	while (!file_start_write_trylock(file)) {
		if (!wait)
			return -EAGAIN;
		if (fatal_signal_pending(current))
			return -EINTR;
		schedule_timeout_killable(msecs_to_jiffies(20));
	}
	return 0;
}

/**
 * vmademo_backing_end_write() - the file system may be frozen again
 * @file: a file on it
 */
void vmademo_backing_end_write(struct file *file)
{
	file_end_write(file);
}

/* May it be changed?  It could when it was opened. */
static int may_change(struct file *file)
{
	struct inode *inode = file_inode(file);

	if (IS_APPEND(inode) || IS_IMMUTABLE(inode))
		return -EPERM;
	if (IS_SWAPFILE(inode))
		return -ETXTBSY;
	/* It would drop what it has cached before it says so itself */
	if (S_ISBLK(inode->i_mode) && bdev_read_only(I_BDEV(file->f_mapping->host)))
		return -EPERM;
	return 0;
}

/**
 * vmademo_backing_mapping() - where the kernel notes what write-back of a file has lost
 * @file: the file
 *
 * Context: Any.
 * Return: the page cache; of a file of an overlay, that of the file below.
 */
struct address_space *vmademo_backing_mapping(struct file *file)
{
	if (S_ISBLK(file_inode(file)->i_mode))
		return file->f_mapping;
	return d_real_inode(file->f_path.dentry)->i_mapping;
}

/**
 * vmademo_backing_transfer() - one call of the file's .read_iter or .write_iter
 * @file: the file
 * @bvec: the memory that is read into or written from
 * @pos: where in the file
 * @write: write, do not read
 *
 * Context: May sleep.
 * Return: bytes, or a negative errno.
 */
ssize_t vmademo_backing_transfer(struct file *file, const struct bio_vec *bvec,
				 loff_t pos, bool write)
{
	struct iov_iter iter;
	struct kiocb kiocb;

	iov_iter_bvec(&iter, write ? ITER_SOURCE : ITER_DEST, bvec, 1, bvec->bv_len);
	init_sync_kiocb(&kiocb, file);
	kiocb.ki_pos = pos;
	return write ? file->f_op->write_iter(&kiocb, &iter) :
		       file->f_op->read_iter(&kiocb, &iter);
}

/**
 * vmademo_backing_set_size() - make a file shorter or longer
 * @file: the file
 * @size: in bytes
 *
 * With the right of the descriptor, which is what the buffer was made with.
 *
 * Context: May sleep.
 * Return: 0, or what the file says.
 */
int vmademo_backing_set_size(struct file *file, loff_t size)
{
	struct inode *inode = file_inode(file);
	struct iattr attr = {
		.ia_valid = ATTR_SIZE | ATTR_MTIME | ATTR_CTIME | ATTR_FILE,
		.ia_size = size,
		.ia_file = file,
	};
	int err;

	if (size == i_size_read(inode))
		return 0;
	err = may_change(file);
	if (err)
		return err;
	inode_lock(inode);
	err = file_remove_privs(file) ?: vmademo_notify_change(file, &attr);
	inode_unlock(inode);
	return err;
}

static int change(struct file *file, int mode, loff_t start, loff_t len)
{
	int err;

	if (!file->f_op->fallocate)
		return -EOPNOTSUPP;
	if (start + len > file_inode(file)->i_sb->s_maxbytes)
		return -EFBIG;
	err = may_change(file);
	return err ?: file->f_op->fallocate(file, mode | FALLOC_FL_KEEP_SIZE, start, len);
}

/**
 * vmademo_backing_allocate() - see to it that a range can be written later
 * @file: the file, whose size stays
 * @start: the first byte
 * @end: the byte after the last
 *
 * Context: May sleep.
 * Return: 0, or what the file says.
 */
int vmademo_backing_allocate(struct file *file, loff_t start, loff_t end)
{
	return change(file, 0, start, end - start);
}

/*
 * May zeroes be written over a range?  Not where holes look like data: to write zeroes
 * there would allocate what nobody has, for as long as there is room.
 */
static bool may_write_zeroes(struct file *file)
{
	struct inode *inode = file->f_mapping->host;
	loff_t size = i_size_read(inode);

	return S_ISBLK(inode->i_mode) || (loff_t)inode->i_blocks << 9 >= size ||
	       vfs_llseek(file, 0, SEEK_HOLE) < size;
}

/* For files that cannot punch.  Sets *begun if something has changed. */
static int write_zeroes(struct file *file, loff_t start, loff_t end, bool *begun)
{
	while (start < end) {
		loff_t data = vfs_llseek(file, start, SEEK_DATA);
		struct bio_vec zeroes = { .bv_page = ZERO_PAGE(0) };
		ssize_t n;

		if (data == -ENXIO || data >= end)
			return 0;
		start = max(start, data);	/* or it cannot tell */
		if (fatal_signal_pending(current))
			return -EINTR;
		zeroes.bv_len = min_t(loff_t, end - start,
				      PAGE_SIZE - offset_in_page(start));
		n = vmademo_backing_transfer(file, &zeroes, start, true);
		if (n <= 0)
			return n ?: -EIO;
		*begun = true;
		start += n;
		cond_resched();
	}
	return 0;
}

static int zero_by_fallocate(struct file *file, loff_t start, loff_t end, bool *begun)
{
	int err = 0;

	/* In pieces: a block device may have to write them, and cannot be killed */
	for (; start < end && !err; start += SZ_64M) {
		if (fatal_signal_pending(current))
			return -EINTR;
		err = change(file, FALLOC_FL_ZERO_RANGE, start,
			     min_t(loff_t, end - start, SZ_64M));
		*begun |= !err;
	}
	return err;
}

/**
 * vmademo_backing_zero() - make a range of a backing file zero
 * @file: the file
 * @start: the first byte
 * @end: the byte after the last
 * @keep: it is to stay allocated
 *
 * Context: May sleep.
 * Return: 0; -EOPNOTSUPP if there is no sane way; -EINTR if the task is being killed; or
 *         what the file says, but -EIO if it refuses the rest of what it has begun.
 */
int vmademo_backing_zero(struct file *file, loff_t start, loff_t end, bool keep)
{
	/* A block device takes whole blocks only */
	loff_t whole = S_ISBLK(file_inode(file)->i_mode) ?
			       round_down(end, (loff_t)PAGE_SIZE) : end;
	bool begun = false;
	int err = 0;

	if (start < whole) {
		err = keep ? -EOPNOTSUPP :
			     change(file, FALLOC_FL_PUNCH_HOLE, start, whole - start);
		if (err == -EOPNOTSUPP)
			err = zero_by_fallocate(file, start, whole, &begun);
		if (!err) {
			start = whole;
			begun = true;
		}
	}
	if (start < end && (!err || err == -EOPNOTSUPP || err == -EINVAL))
		err = may_write_zeroes(file) ? write_zeroes(file, start, end, &begun) :
					       -EOPNOTSUPP;
	return err && begun && err != -EINTR && err != -ENOSPC ? -EIO : err;
}
