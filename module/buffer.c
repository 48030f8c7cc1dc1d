// SPDX-License-Identifier: GPL-2.0-only
/*
 * A buffer's life.  A buffer lives the way a disk lives behind its block
 * device node: as an inode on a pseudo filesystem that nobody can mount.  Its
 * folios are page cache, so the kernel itself keeps the account of them: Dirty:
 * in /proc/meminfo, bdi/vmademo/stats in debugfs, the flusher, msync, mincore.
 *
 * Who holds a buffer: the node its own, from load to unload; and each regular file
 * that shows it, by its dentry, which open files, mappings and O_PATH descriptors
 * hold.  Open nodes and their mappings need no reference of their own, because
 * they hold the module; none comes to be before the load has succeeded
 * (vmademo_ready).
 *
 * Locks: resize and punch are called with the inode's i_rwsem held and take the
 * mapping's invalidate lock, then folio locks.
 */
#include <linux/backing-dev.h>
#include <linux/dcache.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>
#include <linux/slab.h>
#include <linux/vmademo.h>

#include "compat.h"
#include "store/store.h"
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

	/*
	 * A file outlives the buffer, and gets what is still dirty, as it would
	 * after close(2).  Every other store ends here.
	 */
	if (buf && buf->file && !buf->read_only)
		filemap_write_and_wait(&inode->i_data);
	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	if (!buf)
		return;		/* the filesystem's root, or a window's */
	buf->store->close(buf);
	free_percpu(buf->stats);
	kfree(buf);
}

/*
 * The module must stay as long as there is a way to one of its inodes.  An open
 * file's f_op->owner is not enough: it is given back before the file's dentry, and
 * a descriptor opened with O_PATH has none.  So each dentry holds the module.
 */
static int vmademo_d_init(struct dentry *dentry)
{
	__module_get(THIS_MODULE);	/* the caller of ioctl() holds it too */
	return 0;
}

static void vmademo_d_release(struct dentry *dentry)
{
	module_put(THIS_MODULE);
}

/* What /proc/PID/maps and readlink of /proc/PID/fd/N show, as for a memfd. */
static char *vmademo_d_dname(struct dentry *dentry, char *buffer, int buflen)
{
	static const char name[] = "/vmademo (deleted)";

	if (buflen < sizeof(name))
		return ERR_PTR(-ENAMETOOLONG);
	return memcpy(buffer + buflen - sizeof(name), name, sizeof(name));
}

static const struct dentry_operations vmademo_dentry_ops = {
	.d_init		= vmademo_d_init,
	.d_release	= vmademo_d_release,
	.d_dname	= vmademo_d_dname,
};

/* The end of sync(2): what is dirty has been written to the stores. */
static int vmademo_sync_fs(struct super_block *sb, int wait)
{
	return wait ? vmademo_store_file_sync() : 0;
}

static const struct super_operations vmademo_super_ops = {
	.statfs		= simple_statfs,
	.sync_fs	= vmademo_sync_fs,
	.drop_inode	= vmademo_drop_inode,
	.evict_inode	= vmademo_evict_inode,
};

static int vmademo_init_fs_context(struct fs_context *fc)
{
	struct pseudo_fs_context *ctx = init_pseudo(fc, VMADEMO_FS_MAGIC);

	if (!ctx)
		return -ENOMEM;
	ctx->ops = &vmademo_super_ops;
	ctx->dops = &vmademo_dentry_ops;
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

	err = vmademo_store_file_init();
	if (err)
		return err;
	vmademo_mnt = kern_mount(&vmademo_fs_type);
	if (IS_ERR(vmademo_mnt)) {
		err = PTR_ERR(vmademo_mnt);
		goto exit_store;
	}

	err = super_setup_bdi_name(vmademo_mnt->mnt_sb, "vmademo");
	if (err)
		goto unmount;
	/* Newer kernels refuse to map a pseudo file to run; a memfd may be, so may this */
	vmademo_mnt->mnt_sb->s_iflags &= ~SB_I_NOEXEC;
	return 0;

unmount:
	kern_unmount(vmademo_mnt);
exit_store:
	vmademo_store_file_exit();
	return err;
}

/**
 * vmademo_buffers_exit() - take the filesystem away
 *
 * Nobody may hold a buffer any more.  A close() may still be on its way from the
 * dentry, which held the module, to the mount; wait until it has let go of that,
 * so that the unmount is complete when this returns.
 *
 * Context: May sleep.
 */
void vmademo_buffers_exit(void)
{
	mntget(vmademo_mnt);		/* may_umount() expects two holders */
	while (!may_umount(vmademo_mnt))
		msleep(20);
	mntput(vmademo_mnt);
	kern_unmount(vmademo_mnt);
	vmademo_store_file_exit();
}

/**
 * vmademo_is_buffer() - is this the inode of a buffer?
 * @inode: any inode
 *
 * Context: Any.
 * Return: true, if so.
 */
bool vmademo_is_buffer(const struct inode *inode)
{
	return inode->i_sb == vmademo_mnt->mnt_sb;
}

/**
 * vmademo_inode_create() - a new inode of the filesystem, with nothing behind it
 *
 * Context: May sleep.
 * Return: the inode, to be given back with iput(), or NULL.
 */
struct inode *vmademo_inode_create(void)
{
	struct inode *inode = new_inode(vmademo_mnt->mnt_sb);

	if (inode) {
		inode->i_ino = get_next_ino();
		inode->i_mode = S_IFREG | 0600;
	}
	return inode;
}

/* What the page cache of a buffer may do with its folios follows from the store. */
static void set_mapping(struct vmademo_buffer *buf)
{
	struct address_space *mapping = buf->inode->i_mapping;

	mapping->a_ops = &vmademo_aops;
	/*
	 * drop_caches asks .release_folio, and truncation calls .invalidate_folio,
	 * only where we say so.
	 */
	mapping_set_release_always(mapping);
	if (!buf->store->read) {
		/* The page cache is the only copy: reclaim may not have it */
		mapping_set_unevictable(mapping);
	} else {
		/* The store gets a folio as it was at one moment: no write meanwhile */
		mapping_set_stable_writes(mapping);
	}
	if (buf->file)
		vmademo_keep_reclaim_off(mapping);
}

/**
 * vmademo_buffer_create() - make a buffer
 * @size: bytes, 0 to MAX_LFS_FILESIZE
 * @store: what stands behind it
 * @file: for the store file: what vmademo_store_file_open() returned, and @size is
 *        what vmademo_store_file_size() said; otherwise NULL.  The buffer takes the
 *        file over, and also if this fails
 *
 * It reads as zeroes, or as the file does.  No page is allocated until somebody
 * touches it.
 *
 * Context: May sleep.
 * Return: the buffer, to be given back with vmademo_buffer_put(), or an ERR_PTR.
 */
struct vmademo_buffer *
vmademo_buffer_create(loff_t size, const struct vmademo_store_ops *store,
		      struct file *file)
{
	struct vmademo_buffer *buf;
	struct inode *inode;
	loff_t has;
	int err;

	buf = kzalloc(sizeof(*buf), GFP_KERNEL_ACCOUNT);
	if (!buf)
		goto put_file;
	buf->store = store;
	xa_init(&buf->ram);
	buf->stats = alloc_percpu_gfp(struct vmademo_stats, GFP_KERNEL_ACCOUNT);
	if (!buf->stats)
		goto free_buf;	/* too rare to test: taken from large chunks */
	inode = vmademo_inode_create();
	if (!inode)
		goto free_stats;

	buf->inode = inode;
	inode->i_private = buf;
	inode->i_op = &vmademo_file_iops;
	inode->i_fop = &vmademo_file_fops;	/* for who opens it by /proc */
	vmademo_inode_created(inode);
	i_size_write(inode, size);

	if (file)
		vmademo_store_file_attach(buf, file);
	set_mapping(buf);
	if (buf->read_only)
		inode->i_mode &= ~0222;

	/* The flusher passes over an inode that is not hashed */
	insert_inode_hash(inode);

	has = file ? i_size_read(file->f_mapping->host) : size;
	if (size > has) {
		err = store->resize(buf, has, size);
		if (err) {
			vmademo_buffer_put(buf);
			return ERR_PTR(err);
		}
	}
	return buf;

free_stats:
	free_percpu(buf->stats);
free_buf:
	kfree(buf);
put_file:
	if (file)
		fput(file);
	return ERR_PTR(-ENOMEM);
}

/**
 * vmademo_buffer_put() - give a buffer back; the last one frees it
 * @buf: what vmademo_buffer_create() returned
 *
 * What was in it is gone, dirty or not, but for what is in a file.
 *
 * Context: May sleep.
 */
void vmademo_buffer_put(struct vmademo_buffer *buf)
{
	iput(buf->inode);
}

/**
 * vmademo_buffer_get() - hold a buffer that somebody else holds already
 * @buf: the buffer; give it back with vmademo_buffer_put()
 *
 * Context: Any.
 */
void vmademo_buffer_get(struct vmademo_buffer *buf)
{
	ihold(buf->inode);
}

/**
 * vmademo_buffer_alloc_file() - an open regular file that shows a buffer
 * @buf: the buffer; the file takes over the caller's hold on it
 * @flags: O_RDONLY, O_WRONLY or O_RDWR
 *
 * Context: May sleep.  The caller holds the module.
 * Return: the open file, or an ERR_PTR; then the caller still holds the buffer.
 */
struct file *vmademo_buffer_alloc_file(struct vmademo_buffer *buf, int flags)
{
	struct file *file;

	file = alloc_file_pseudo(buf->inode, vmademo_mnt, "vmademo",
				 flags | O_LARGEFILE, &vmademo_file_fops);
	if (!IS_ERR(file)) {
		/* What opening a path does */
		file->f_mode |= FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE;
		file_ra_state_init(&file->f_ra, file->f_mapping);
	}
	return file;
}

/**
 * vmademo_buffer_resize() - set the size of a buffer
 * @buf: the buffer
 * @size: bytes, 0 to MAX_LFS_FILESIZE
 *
 * What was beyond the new end is gone, from mappings too, private copies
 * included.  What is new reads as zeroes.
 *
 * Context: May sleep.  The caller holds i_rwsem for writing.
 * Return: 0; -EINVAL if the size is fixed; or what the store says.  Then the size is
 *         as it was, but what was dirty beyond the new end may be gone.
 */
int vmademo_buffer_resize(struct vmademo_buffer *buf, loff_t size)
{
	struct inode *inode = buf->inode;
	loff_t from = i_size_read(inode);
	int err = 0;

	if (buf->fixed_size && size != from)
		return -EINVAL;
	/* No page may come between the change of the size and its consequences */
	filemap_invalidate_lock(inode->i_mapping);
	if (size > from) {
		err = buf->store->resize(buf, from, size);
		if (!err) {
			vmademo_zero_tail(inode);
			truncate_setsize(inode, size);
		}
	} else {
		/* First the folios, or one that is written back comes too late */
		truncate_setsize(inode, size);
		if (size < from)
			err = buf->store->resize(buf, from, size);
		if (err)
			i_size_write(inode, from);
	}
	filemap_invalidate_unlock(inode->i_mapping);
	return err;
}

/**
 * vmademo_buffer_punch() - make a range zero and free its pages
 * @buf: the buffer
 * @start: the first byte
 * @end: the byte after the last, more than @start
 *
 * Private copies stay.  Pages of which only a part is in the range stay, and that
 * part is written to with zeroes.
 *
 * Context: May sleep.  The caller holds i_rwsem for writing.
 * Return: 0, or what the store says.
 */
int vmademo_buffer_punch(struct vmademo_buffer *buf, loff_t start, loff_t end)
{
	struct address_space *mapping = buf->inode->i_mapping;
	loff_t size = i_size_read(buf->inode);
	int err;

	/* Pages of which a part stays are needed; before anything is changed */
	err = vmademo_read_in(mapping, start);
	if (!err)
		err = vmademo_read_in(mapping, end);
	if (err)
		return err;

	filemap_invalidate_lock(mapping);
	/* What is beyond the end is no data: nothing to write zeroes to */
	if (start >= size) {
		;
	} else if (start >> PAGE_SHIFT == end >> PAGE_SHIFT) {
		err = vmademo_zero_part(mapping, start, end);
	} else {
		loff_t tail = round_down(end, PAGE_SIZE);

		err = vmademo_zero_part(mapping, start,
					round_up(start, PAGE_SIZE));
		/* It has data up to the end, or up to the buffer's, if that is in it */
		if (!err && tail < size)
			err = vmademo_zero_part(mapping, tail, end);
	}
	if (err)
		goto unlock;
	truncate_pagecache_range(buf->inode, start, end - 1);
	/* Of the store, whole pages; parts were zeroed in the page cache */
	start = round_up(start, PAGE_SIZE);
	end = end < size ? round_down(end, PAGE_SIZE) : round_up(size, PAGE_SIZE);
	if (start < end)
		err = buf->store->discard(buf, start, end);
unlock:
	filemap_invalidate_unlock(mapping);
	return err;
}
