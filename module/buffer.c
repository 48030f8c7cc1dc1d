// SPDX-License-Identifier: GPL-2.0-only
/*
 * A buffer's life.  A buffer lives the way a disk lives behind its block
 * device node: as an inode on a pseudo filesystem (super.c).  Its folios are page
 * cache, so the kernel itself counts them: Dirty: in /proc/meminfo, bdi/NAME/stats
 * in debugfs, the flusher, msync, mincore.
 *
 * Who holds a buffer: the node its own, from load to unload; and each regular file
 * that shows it, by its dentry, which open files, mappings and O_PATH descriptors
 * hold; in a mounted tree (tree/), each name does, too.  Open nodes and their mappings
 * need no reference of their own, because they hold the module; none comes to be before
 * the load has succeeded (vmademo_ready).
 *
 * Locks: none.
 */
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/rwsem.h>
#include <linux/slab.h>
#include <linux/vmademo.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "power.h"
#include "store/store.h"
#include "vmademo.h"

atomic_long_t vmademo_room_used = ATOMIC_LONG_INIT(0);
unsigned long vmademo_room_limit __read_mostly;

/* Of buffers that say nothing: folio_size= */
unsigned int vmademo_default_order __read_mostly;

/**
 * vmademo_parse_order() - check the size of a folio
 * @bytes: what was asked for
 * @order: set to the logarithm of how many pages that are
 *
 * Context: Any.
 * Return: 0; -EINVAL if it is no power of two between a page and 2 MiB (or what one page
 *         table maps), or if the kernel knows none larger than a page.
 */
int vmademo_parse_order(u64 bytes, unsigned int *order)
{
	if (!is_power_of_2(bytes) || bytes < PAGE_SIZE ||
	    bytes > (u64)PAGE_SIZE << VMADEMO_MAX_ORDER)
		return -EINVAL;
	*order = ilog2(bytes) - PAGE_SHIFT;
	return 0;
}

/* What the page cache of a buffer may do with its folios follows from the store. */
static void set_mapping(struct vmademo_buffer *buf)
{
	struct address_space *mapping = buf->inode->i_mapping;

	/*
	 * drop_caches asks .release_folio, and truncation calls .invalidate_folio,
	 * only where we say so.
	 */
	mapping_set_release_always(mapping);
	if (!buf->store->read) {
		mapping->a_ops = &vmademo_none_aops;
		/* The page cache is the only copy: reclaim may not have it */
		mapping_set_unevictable(mapping);
		mapping_set_gfp_mask(mapping, mapping_gfp_mask(mapping) | VMADEMO_GFP_OF_SPLIT);
	} else {
		mapping->a_ops = &vmademo_store_aops;
		/* The store gets a folio as it was at one moment: no write meanwhile */
		mapping_set_stable_writes(mapping);
	}
	/*
	 * What readahead may use, and how much write(2) may come with at once.  MADV_HUGEPAGE is
	 * not bound by it, but the page cache must know that there may be large folios.
	 */
	vmademo_set_max_order(mapping, buf->store->read ? buf->order : max_t(u8, buf->order, 1));
	if (buf->store->blocks)
		vmademo_keep_reclaim_off(mapping);
}

static struct vmademo_buffer *alloc_buffer(const struct vmademo_store_ops *store,
					   unsigned int order)
{
	struct vmademo_buffer *buf = kmem_cache_zalloc(vmademo_buffer_cache, GFP_KERNEL);

	if (!buf)
		return NULL;
	buf->store = store;
	buf->order = order;
	buf->times_set = jiffies - 1;
	init_rwsem(&buf->shape_lock);
	init_rwsem(&buf->store_gate);
	xa_init_flags(&buf->ram, XA_FLAGS_ACCOUNT);
	xa_init_flags(&buf->old_pages, XA_FLAGS_ACCOUNT);
	INIT_LIST_HEAD(&buf->old);
	/* Unless somebody says so: vmademo_size_is_set() */
	buf->size_kept = VMADEMO_SIZE_DURABLE;
	INIT_WORK(&buf->write_work, vmademo_write_work);
	INIT_WORK(&buf->put_work, vmademo_put_work);
	INIT_WORK(&buf->cut_work, vmademo_cut_work);
	return buf;
}

static void set_inode(struct vmademo_buffer *buf, struct inode *inode)
{
	buf->inode = inode;
	inode->i_op = &vmademo_view_iops;
	inode->i_fop = vmademo_view_fops;	/* opened by a path, or by /proc/PID/fd */
	vmademo_inode_created(inode);
}

/**
 * vmademo_buffer_in_tree() - make the buffer of a file of a mounted tree
 * @inode: the file, new and empty, not hashed; it owns the buffer from now on
 * @tree: the tree
 *
 * Context: May sleep.
 * Return: 0; -ENOMEM.
 */
int vmademo_buffer_in_tree(struct inode *inode, struct vmademo_tree *tree)
{
	struct vmademo_buffer *buf = alloc_buffer(tree->store, tree->order);

	if (!buf)
		return -ENOMEM;
	set_inode(buf, inode);
	inode->i_private = buf;
	set_mapping(buf);
	buf->tree = tree;
	if (buf->store == &vmademo_store_ram)
		vmademo_size_is_set(buf, 0);
	vmademo_power_add(buf);
	insert_inode_hash(inode);
	vmademo_debugfs_add(buf, false);
	return 0;
}

/**
 * vmademo_buffer_create() - make a buffer
 * @size: bytes, 0 to VMADEMO_MAX_SIZE
 * @store: what stands behind it
 * @file: for store file: what vmademo_store_file_open() returned, and @size is
 *        what vmademo_store_file_size() said; otherwise NULL.  The buffer takes the
 *        file over, and also if this fails
 * @order: the logarithm of how many pages its folios have at most
 * @for_node: it is to be a node's, and ends by vmademo_buffer_end()
 *
 * It reads as zeroes, or as the file does.  No page is allocated until it is touched.
 *
 * Context: May sleep.
 * Return: the buffer, to be given back with vmademo_buffer_put(), or an ERR_PTR:
 *         -ENFILE if there are too many with a store; -EBUSY if the file is behind
 *         another buffer; what making the file longer may answer.
 */
struct vmademo_buffer *
vmademo_buffer_create(loff_t size, const struct vmademo_store_ops *store,
		      struct file *file, unsigned int order, bool for_node)
{
	struct vmademo_buffer *buf;
	struct inode *inode;
	loff_t has;
	int err = -ENOMEM;

	buf = alloc_buffer(store, order);
	if (!buf)
		goto put_file;
	buf->mnt = vmademo_mount_get(store, for_node);
	if (IS_ERR(buf->mnt)) {
		err = PTR_ERR(buf->mnt);
		goto free_buf;
	}
	inode = vmademo_inode_create(buf->mnt);
	if (!inode)
		goto put_mount;
	set_inode(buf, inode);
	i_size_write(inode, size);
	if (file) {
		err = vmademo_store_file_attach(buf, file);
		if (err)
			goto put_inode;
		inode->i_sb->s_maxbytes = min(inode->i_sb->s_maxbytes,
					      file_inode(file)->i_sb->s_maxbytes);
	}
	inode->i_private = buf;
	set_mapping(buf);
	if (buf->read_only)
		inode->i_mode &= ~0222;
	/* One of its own, which sync(2) asks for its buffer */
	if (store->read)
		inode->i_sb->s_fs_info = inode;

	/* Not for khugepaged to collapse, as a program that nobody writes to */
	if (!buf->read_only && !vmademo_exec)
		atomic_inc(&inode->i_writecount);

	/* The flusher passes over an inode that is not hashed */
	insert_inode_hash(inode);
	vmademo_debugfs_add(buf, for_node);

	has = file ? i_size_read(file->f_mapping->host) : size;
	if (size > has) {
		err = store->start_change ? store->start_change(buf, true) : 0;
		if (!err) {
			err = store->resize(buf, has, size, false);
			if (store->end_change)
				store->end_change(buf);
		}
		if (err) {
			if (for_node)
				vmademo_buffer_end(buf);
			else
				vmademo_buffer_put(buf);
			return ERR_PTR(err);
		}
	}
	return buf;

put_inode:
	iput(inode);
put_mount:
	vmademo_mount_put(buf->mnt, for_node);
free_buf:
	kmem_cache_free(vmademo_buffer_cache, buf);
put_file:
	if (file)
		fput(file);
	return ERR_PTR(err);
}

/**
 * vmademo_buffer_give() - a buffer that nobody knows yet becomes the caller's
 * @buf: the buffer
 *
 * Nobody can find it by a name: it is gone when it is closed, as a memfd.  Who made it may
 * open it again, by /proc/self/fd.
 *
 * Context: Any.
 */
void vmademo_buffer_give(struct vmademo_buffer *buf)
{
	clear_nlink(buf->inode);
	buf->inode->i_uid = current_fsuid();
	buf->inode->i_gid = current_fsgid();
}

/**
 * vmademo_buffer_get() - hold a buffer that is held already
 * @buf: the buffer; give it back with vmademo_buffer_put()
 *
 * Context: Any.
 */
void vmademo_buffer_get(struct vmademo_buffer *buf)
{
	ihold(buf->inode);
	mntget(buf->mnt);
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
	struct vfsmount *mnt = buf->mnt;

	iput(buf->inode);
	mntput(mnt);
}

/**
 * vmademo_buffer_end() - the same for a node's buffer, when nobody else holds it
 * @buf: the buffer
 *
 * Context: May sleep.
 */
void vmademo_buffer_end(struct vmademo_buffer *buf)
{
	struct vfsmount *mnt = buf->mnt;

	iput(buf->inode);
	vmademo_mount_put(mnt, true);
}
