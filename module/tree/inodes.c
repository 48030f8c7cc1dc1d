// SPDX-License-Identifier: GPL-2.0-only
/*
 * Inodes of a mounted tree: made, counted, and ended.  Regular files are buffers (buffer.c), with
 * the operations of the regular-file view (view.c); names.c has what can be done to names.
 *
 * Locks: none of its own.
 */
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "compat.h"
#include "power.h"
#include "tree/log.h"
#include "tree/tree.h"
#include "vmademo.h"

static struct kmem_cache *inode_cache __ro_after_init;

/**
 * vmademo_alloc_inode() - .alloc_inode
 * @sb: of which tree
 *
 * Context: May sleep.
 * Return: the inode, or NULL.
 */
struct inode *vmademo_alloc_inode(struct super_block *sb)
{
	struct vmademo_tree_inode *ti = alloc_inode_sb(sb, inode_cache, GFP_KERNEL);

	if (!ti)
		return NULL;
	vmademo_attributes_init(&ti->attributes);
	return &ti->inode;
}

/**
 * vmademo_free_inode() - .free_inode
 * @inode: nobody looks at it any more, not even a path walk under RCU
 *
 * Context: Any; called by RCU.
 */
void vmademo_free_inode(struct inode *inode)
{
	if (S_ISLNK(inode->i_mode))
		kfree(inode->i_link);
	kmem_cache_free(inode_cache,
			container_of(inode, struct vmademo_tree_inode, inode));
}

/**
 * vmademo_inode_take() - an inode is about to be made, or a further name of one
 * @sb: of which tree
 *
 * There are as many as there are pages, and the root: they take memory that no reclaim gets back.
 *
 * Context: May sleep.
 * Return: 0, and it is counted; -ENOSPC.
 */
int vmademo_inode_take(struct super_block *sb)
{
	struct vmademo_tree *tree = vmademo_tree_of(sb);
	unsigned int tries = 0;

	do {
		if (atomic_long_inc_return(&tree->inodes) - 1 <= READ_ONCE(tree->limit))
			return 0;
		atomic_long_dec(&tree->inodes);
	} while (tries++ < VMADEMO_ROOM_TRIES && vmademo_log_make_room(tree));
	return -ENOSPC;
}

/**
 * vmademo_inode_count() - a further name comes back, and there is room for it or not
 * @sb: of which tree
 *
 * Context: Any.
 */
void vmademo_inode_count(struct super_block *sb)
{
	atomic_long_inc(&vmademo_tree_of(sb)->inodes);
}

/**
 * vmademo_inode_uncount() - an inode goes, or a further name of one
 * @sb: of which tree
 *
 * Context: Any.
 */
void vmademo_inode_uncount(struct super_block *sb)
{
	atomic_long_dec(&vmademo_tree_of(sb)->inodes);
}

/**
 * vmademo_evict_name() - .evict_inode: the last name and the last descriptor are gone
 * @inode: the inode
 *
 * What a file has held is given back.
 *
 * Context: May sleep.
 */
void vmademo_evict_name(struct inode *inode)
{
	struct vmademo_buffer *buf = inode->i_private;

	if (buf)
		vmademo_power_remove(buf);
	vmademo_evict_inode(inode);
	vmademo_attributes_free(inode);
	vmademo_inode_uncount(inode->i_sb);
}

static struct inode *new_counted(struct super_block *sb)
{
	int err = vmademo_inode_take(sb);
	struct inode *inode;

	if (err)
		return ERR_PTR(err);
	inode = new_inode(sb);
	if (inode)
		return inode;
	vmademo_inode_uncount(sb);
	return ERR_PTR(-ENOMEM);
}

/**
 * vmademo_make_inode() - make an inode
 * @idmap: of the mount
 * @sb: of which tree
 * @dir: the directory that it is for; NULL for the root
 * @mode: its kind and permissions
 * @dev: of a device
 *
 * Context: May sleep.
 * Return: the inode, or an ERR_PTR.
 */
struct inode *vmademo_make_inode(VMADEMO_IDMAP *idmap, struct super_block *sb,
				 const struct inode *dir, umode_t mode, dev_t dev)
{
	struct inode *inode = new_counted(sb);
	int err;

	if (IS_ERR(inode))
		return inode;
	inode->i_ino = get_next_ino();
	inode_init_owner(idmap, inode, dir, mode);
	vmademo_inode_created(inode);
	switch (mode & S_IFMT) {
	case S_IFREG:
		err = vmademo_buffer_in_tree(inode, vmademo_tree_of(sb));
		if (err) {
			iput(inode);
			return ERR_PTR(err);
		}
		inode->i_op = &vmademo_tree_file_iops;
		break;
	case S_IFDIR:
		inode->i_op = &vmademo_dir_iops;
		inode->i_fop = &vmademo_dir_fops;
		inc_nlink(inode);	/* its "." */
		lockdep_annotate_inode_mutex_key(inode);
		break;
	case S_IFLNK:
		inode->i_op = &simple_symlink_inode_operations;
		break;
	default:
		init_special_inode(inode, mode, dev);
		break;
	}
	return inode;
}

/**
 * vmademo_make_root() - the root directory of a new tree
 * @sb: of which tree
 * @mode: its permissions
 * @uid: whose it is
 * @gid: whose it is
 *
 * Context: May sleep.
 * Return: the inode, or an ERR_PTR.
 */
struct inode *vmademo_make_root(struct super_block *sb, umode_t mode, kuid_t uid, kgid_t gid)
{
	struct inode *inode = vmademo_make_inode(VMADEMO_NO_IDMAP, sb, NULL, S_IFDIR | mode, 0);

	if (!IS_ERR(inode)) {
		inode->i_uid = uid;
		inode->i_gid = gid;
	}
	return inode;
}

/* ---- load and unload ----------------------------------------------------- */

static void init_once(void *object)
{
	inode_init_once(&((struct vmademo_tree_inode *)object)->inode);
}

/**
 * vmademo_inodes_init() - before the first mount
 *
 * Context: May sleep.
 * Return: 0; -ENOMEM.
 */
int __init vmademo_inodes_init(void)
{
	inode_cache = kmem_cache_create("vmademo_inode", sizeof(struct vmademo_tree_inode), 0,
					SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT, init_once);
	return inode_cache ? 0 : -ENOMEM;
}

/**
 * vmademo_inodes_exit() - after the last mount
 *
 * Context: May sleep.
 */
void vmademo_inodes_exit(void)
{
	/* Inodes are freed after a grace period */
	rcu_barrier();
	kmem_cache_destroy(inode_cache);
}
