// SPDX-License-Identifier: GPL-2.0-only
/*
 * A buffer's life.  A buffer lives the way a disk lives behind its block
 * device node: as an inode on a pseudo filesystem that nobody can mount.  Its
 * folios are page cache, so the kernel itself keeps the account of them: Dirty:
 * in /proc/meminfo, bdi/vmademo/stats in debugfs, the flusher, msync, mincore.
 *
 * Who holds a buffer: the node, from load to unload.  Open files and mappings
 * need no reference of their own, because each of them holds the module; and none
 * comes to be before the load has succeeded (vmademo_ready).
 *
 * Locks: none of its own.
 */
#include <linux/backing-dev.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>
#include <linux/slab.h>

#include "compat.h"
#include "vmademo.h"

#define VMADEMO_FS_MAGIC	0x564d4144	/* "VMAD" */

static struct vfsmount *vmademo_mnt;

/* Nobody looks a buffer up again by its inode number: no use in keeping it. */
static int vmademo_drop_inode(struct inode *inode)
{
	return 1;
}

static void vmademo_evict_inode(struct inode *inode)
{
	struct vmademo_buffer *buf = inode->i_private;

	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	if (!buf)
		return;		/* the filesystem's root */
	free_percpu(buf->stats);
	kfree(buf);
}

static const struct super_operations vmademo_super_ops = {
	.statfs		= simple_statfs,
	.drop_inode	= vmademo_drop_inode,
	.evict_inode	= vmademo_evict_inode,
};

static int vmademo_init_fs_context(struct fs_context *fc)
{
	struct pseudo_fs_context *ctx = init_pseudo(fc, VMADEMO_FS_MAGIC);

	if (!ctx)
		return -ENOMEM;
	ctx->ops = &vmademo_super_ops;
	return 0;
}

/*
 * .owner stays NULL: the superblock would hold the module, and the module
 * holds the superblock until it is unloaded, which would then be never.
 */
static struct file_system_type vmademo_fs_type = {
	.name			= "vmademo",
	.init_fs_context	= vmademo_init_fs_context,
	.kill_sb		= kill_anon_super,
};

/**
 * vmademo_buffers_init() - make the filesystem that buffers live on
 *
 * The filesystem gets a backing device (bdi) of its own.  Without one nothing
 * here would be counted as dirty and no flusher would come.
 *
 * Context: May sleep.
 * Return: 0, or a negative errno.
 */
int vmademo_buffers_init(void)
{
	int err;

	vmademo_mnt = kern_mount(&vmademo_fs_type);
	if (IS_ERR(vmademo_mnt))
		return PTR_ERR(vmademo_mnt);

	err = super_setup_bdi_name(vmademo_mnt->mnt_sb, "vmademo");
	if (err) {
		kern_unmount(vmademo_mnt);
		return err;
	}
	/*
	 * No readahead: nothing is faster for being read before it is asked
	 * for, and pages would be allocated that nobody touches.
	 */
	vmademo_mnt->mnt_sb->s_bdi->ra_pages = 0;
	return 0;
}

/**
 * vmademo_buffers_exit() - take the filesystem away
 *
 * Every buffer must be gone.
 *
 * Context: May sleep.
 */
void vmademo_buffers_exit(void)
{
	kern_unmount(vmademo_mnt);
}

/**
 * vmademo_buffer_create() - make a buffer that reads as zeroes
 * @size: bytes, a multiple of the page size
 *
 * No page is allocated until somebody touches it.
 *
 * Context: May sleep.
 * Return: the buffer, to be given back with vmademo_buffer_put(), or an ERR_PTR.
 */
struct vmademo_buffer *vmademo_buffer_create(loff_t size)
{
	struct vmademo_buffer *buf;
	struct inode *inode;

	buf = kzalloc(sizeof(*buf), GFP_KERNEL);
	if (!buf)
		return ERR_PTR(-ENOMEM);
	buf->stats = alloc_percpu(struct vmademo_stats);
	if (!buf->stats)
		goto free_buf;	/* too rare to test: taken from large chunks */
	inode = new_inode(vmademo_mnt->mnt_sb);
	if (!inode)
		goto free_stats;

	buf->inode = inode;
	inode->i_private = buf;
	inode->i_ino = get_next_ino();
	inode->i_mode = S_IFREG | 0600;
	i_size_write(inode, size);

	inode->i_mapping->a_ops = &vmademo_aops;
	/*
	 * The page cache is the only copy.  Neither reclaim nor drop_caches
	 * may take a clean folio away: the first is kept off by unevictable,
	 * the second asks .release_folio, and only where we say so.
	 */
	mapping_set_unevictable(inode->i_mapping);
	mapping_set_release_always(inode->i_mapping);

	/* The flusher passes over an inode that is not hashed */
	insert_inode_hash(inode);
	return buf;

free_stats:
	free_percpu(buf->stats);
free_buf:
	kfree(buf);
	return ERR_PTR(-ENOMEM);
}

/**
 * vmademo_buffer_put() - give a buffer back; the last one frees it
 * @buf: what vmademo_buffer_create() returned
 *
 * What was in it is gone, dirty or not.
 *
 * Context: May sleep.
 */
void vmademo_buffer_put(struct vmademo_buffer *buf)
{
	iput(buf->inode);
}
