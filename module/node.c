// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/vmademo: a character device that shows a buffer as a block device node
 * shows a disk.  open() points file->f_mapping at the buffer's inode; read,
 * write, splice, fsync, lseek, posix_fadvise and mmap all follow f_mapping, so
 * they meet in one page cache and always agree.
 *
 * What the kernel asks of the node's own inode instead does not see the buffer:
 * fstat's size is 0, ftruncate and fallocate fail.  For those there is the
 * regular-file view, view.c.
 *
 * Locks: none of its own; see view.c for write(2).
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/printk.h>

#include "compat.h"
#include "vmademo.h"

static struct inode *buffer_inode(const struct file *file)
{
	return file->f_mapping->host;
}

static int vmademo_open(struct inode *inode, struct file *file)
{
	/* misc_open() left the miscdevice here */
	struct vmademo_node *node = container_of(file->private_data,
						 struct vmademo_node, misc);

	if (!READ_ONCE(vmademo_ready))
		return -ENXIO;
	if (file->f_mode & FMODE_WRITE && node->buf->read_only)
		return -EROFS;
	file->f_mapping = node->buf->inode->i_mapping;
	file->f_mode |= FMODE_CAN_ODIRECT;	/* see view.c */
	/* Only errors from now on are this file's to report */
	file->f_wb_err = filemap_sample_wb_err(file->f_mapping);
	return 0;
}

/* As for a block device: no seeking past the end. */
static loff_t vmademo_llseek(struct file *file, loff_t offset, int whence)
{
	loff_t size = i_size_read(buffer_inode(file));

	if (whence == SEEK_DATA || whence == SEEK_HOLE) {
		offset = vmademo_seek(vmademo_buffer_of(file->f_mapping), offset,
				      whence);
		if (offset < 0)
			return offset;
		whence = SEEK_SET;
	}
	return fixed_size_llseek(file, offset, whence, size);
}

#define NODE_FOPS							\
	.owner		= THIS_MODULE,					\
	.open		= vmademo_open,					\
	.llseek		= vmademo_llseek,				\
	.read_iter	= vmademo_read_iter,				\
	.write_iter	= vmademo_write_within,				\
	.splice_read	= vmademo_splice_read,				\
	.splice_write	= iter_file_splice_write,			\
	.fsync		= vmademo_fsync,				\
	.unlocked_ioctl	= vmademo_node_ioctl,				\
	.compat_ioctl	= compat_ptr_ioctl,				\
	.show_fdinfo	= vmademo_show_fdinfo,				\
	/* Address and offset agree modulo 2 MiB: room for huge page tables */ \
	.get_unmapped_area = thp_get_unmapped_area

static const struct file_operations vmademo_node_legacy_fops = {
	NODE_FOPS,
	.mmap		= vmademo_mmap,
};

#ifdef VMADEMO_HAS_MMAP_PREPARE
static const struct file_operations vmademo_node_prepare_fops = {
	NODE_FOPS,
	.mmap_prepare	= vmademo_mmap_prepare,
};
#endif

static struct vmademo_node vmademo_node = {
	.misc = {
		.minor	= MISC_DYNAMIC_MINOR,
		.name	= "vmademo",
		.fops	= &vmademo_node_legacy_fops,
		.mode	= 0600,
		.groups	= vmademo_stats_groups,
	},
};

/* How often it says how far it is, and how much it does in between, in bytes. */
#define TELL_EVERY	(10 * HZ)
#define TELL_PIECE	(256 << 20)

static int __init preallocate(struct vmademo_buffer *buf)
{
	loff_t size = i_size_read(buf->inode), at, end;
	unsigned long next = jiffies + TELL_EVERY;
	int err = 0;

	for (at = 0; at < size && !err; at = end) {
		end = min_t(loff_t, at + TELL_PIECE, size);
		inode_lock(buf->inode);
		err = vmademo_allocate(buf, at, end);
		inode_unlock(buf->inode);
		if (time_after(jiffies, next)) {
			pr_info("prealloc: %lld of %lld MiB\n", at >> 20, size >> 20);
			next = jiffies + TELL_EVERY;
		}
	}
	return err;
}

/**
 * vmademo_node_register() - make /dev/vmademo and the buffer behind it
 * @size: of the buffer in bytes
 * @store: what stands behind it
 * @file: for the store file, as for vmademo_buffer_create(), which takes it over
 * @legacy_mmap: .mmap, even if the kernel has .mmap_prepare
 * @prealloc: allocate all of it before anybody can open it
 *
 * Context: May sleep.
 * Return: 0, or a negative errno; -EINTR if the task is being killed.
 */
int __init vmademo_node_register(loff_t size,
				 const struct vmademo_store_ops *store,
				 struct file *file, bool legacy_mmap, bool prealloc)
{
	int err = 0;

#ifdef VMADEMO_HAS_MMAP_PREPARE
	if (!legacy_mmap)
		vmademo_node.misc.fops = &vmademo_node_prepare_fops;
#endif
	vmademo_node.buf = vmademo_buffer_create(size, store, file, vmademo_default_order,
						 true);
	if (IS_ERR(vmademo_node.buf))
		return PTR_ERR(vmademo_node.buf);
	if (prealloc)
		err = preallocate(vmademo_node.buf);
	if (!err)
		err = misc_register(&vmademo_node.misc);
	if (err)
		vmademo_buffer_end(vmademo_node.buf);
	return err;
}

/**
 * vmademo_node_unregister() - take /dev/vmademo and its buffer away
 *
 * No file may be open; module references see to that.
 *
 * Context: May sleep.
 */
void vmademo_node_unregister(void)
{
	misc_deregister(&vmademo_node.misc);
	vmademo_buffer_end(vmademo_node.buf);
}
