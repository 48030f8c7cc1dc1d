// SPDX-License-Identifier: GPL-2.0-only
/*
 * How a range of a backing file becomes zero: by punching a hole, by having the file
 * system or the device zero it, or by writing zeroes.
 *
 * Locks: what the file's own operations take.
 */
#include <linux/fs.h>
#include <linux/falloc.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>

#include "store/store.h"

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

/* For files that cannot punch. */
static int write_zeroes(struct file *file, loff_t start, loff_t end)
{
	const void *zeroes = page_address(ZERO_PAGE(0));

	while (start < end) {
		loff_t data = vfs_llseek(file, start, SEEK_DATA);
		ssize_t n;

		if (data == -ENXIO || data >= end)
			return 0;
		start = max(start, data);	/* or it cannot tell */
		if (fatal_signal_pending(current))
			return -EINTR;
		n = kernel_write(file, zeroes,
				 min_t(loff_t, end - start,
				       PAGE_SIZE - offset_in_page(start)), &start);
		if (n <= 0)
			return n ?: -EIO;
		cond_resched();
	}
	return 0;
}

static int zero_by_fallocate(struct file *file, loff_t start, loff_t end)
{
	int mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
	int err = 0;

	/* In pieces: a block device may have to write them, and cannot be killed */
	for (; start < end && !err; start += SZ_64M) {
		if (fatal_signal_pending(current))
			return -EINTR;
		err = vfs_fallocate(file, mode, start,
				    min_t(loff_t, end - start, SZ_64M));
	}
	return err;
}

/**
 * vmademo_store_file_zero() - make a range of a backing file zero
 * @file: the file
 * @start: the first byte
 * @end: the byte after the last
 * @keep: it is to stay allocated
 *
 * Context: May sleep.
 * Return: 0; -EOPNOTSUPP if there is no sane way; -EINTR if the task is being killed; or
 *         what the file says.
 */
int vmademo_store_file_zero(struct file *file, loff_t start, loff_t end, bool keep)
{
	/* A block device takes whole blocks only */
	loff_t whole = S_ISBLK(file_inode(file)->i_mode) ?
			       round_down(end, (loff_t)PAGE_SIZE) : end;
	int err = 0;

	if (start < whole) {
		err = keep ? -EOPNOTSUPP :
			     vfs_fallocate(file, FALLOC_FL_PUNCH_HOLE |
					   FALLOC_FL_KEEP_SIZE, start, whole - start);
		if (err == -EOPNOTSUPP)
			err = zero_by_fallocate(file, start, whole);
		if (!err)
			start = whole;
	}
	if (start < end && (!err || err == -EOPNOTSUPP || err == -EINVAL))
		err = may_write_zeroes(file) ? write_zeroes(file, start, end) :
					       -EOPNOTSUPP;
	return err;
}
