// SPDX-License-Identifier: GPL-2.0-only
/*
 * Inodes and directories of a mounted tree.  Names are kept where the kernel looks them up,
 * in its cache of directory entries, and nowhere else: each entry is held until it is removed,
 * and holds its inode.  So no shortage of memory takes a file away that has a name.  What is
 * done to names is put in the log (log.c), if the tree has one.
 *
 * Regular files are buffers (buffer.c), with the operations of the regular-file view (view.c).
 *
 * Locks: none of its own.  The kernel holds i_rwsem of the directories where names change, and
 * that of an inode that loses or gets a name.
 */
#include <linux/dcache.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/namei.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "compat.h"
#include "power.h"
#include "trace.h"
#include "tree/log.h"
#include "tree/tree.h"
#include "view.h"

static struct kmem_cache *inode_cache __ro_after_init;
static const struct inode_operations dir_iops, file_iops;
static const struct file_operations dir_fops;

/* ---- inodes -------------------------------------------------------------- */

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

/* As many as there are pages, and the root: they take memory that no reclaim gets back. */
static int count_one(struct super_block *sb)
{
	struct vmademo_tree *tree = vmademo_tree_of(sb);

	do {
		if (atomic_long_inc_return(&tree->inodes) - 1 <= READ_ONCE(tree->limit))
			return 0;
		atomic_long_dec(&tree->inodes);
	} while (vmademo_log_make_room(tree));
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
	int err = count_one(sb);
	struct inode *inode;

	if (err)
		return ERR_PTR(err);
	inode = new_inode(sb);
	if (inode)
		return inode;
	vmademo_inode_uncount(sb);
	return ERR_PTR(-ENOMEM);
}

static struct inode *make_inode(VMADEMO_IDMAP *idmap, struct super_block *sb,
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
		inode->i_op = &file_iops;
		break;
	case S_IFDIR:
		inode->i_op = &dir_iops;
		inode->i_fop = &dir_fops;
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
	struct inode *inode = make_inode(VMADEMO_NO_IDMAP, sb, NULL, S_IFDIR | mode, 0);

	if (!IS_ERR(inode)) {
		inode->i_uid = uid;
		inode->i_gid = gid;
	}
	return inode;
}

/* ---- names --------------------------------------------------------------- */

static void tell(const char *op, const struct inode *dir, const struct dentry *dentry,
		 const struct dentry *name)
{
	trace_vmademo_name(op, dir->i_ino, d_inode(dentry)->i_ino, name->d_name.name);
}

/* The new inode gets its name, or is given back. */
static int name_it(struct inode *dir, struct dentry *dentry, struct inode *inode)
{
	struct vmademo_name_op *op = vmademo_log_begin(VMADEMO_NAME_CREATE, dentry, NULL);

	if (IS_ERR(op)) {
		iput(inode);
		return PTR_ERR(op);
	}
	vmademo_add_name(dentry, inode);
	vmademo_inode_modified(dir);
	if (S_ISDIR(inode->i_mode))
		inc_nlink(dir);		/* the new one's ".." */
	tell("create", dir, dentry, dentry);
	vmademo_log_end(op, dentry, 0);
	return 0;
}

static int make_name(VMADEMO_IDMAP *idmap, struct inode *dir, struct dentry *dentry,
		     umode_t mode, dev_t dev)
{
	struct inode *inode = make_inode(idmap, dir->i_sb, dir, mode, dev);

	return IS_ERR(inode) ? PTR_ERR(inode) : name_it(dir, dentry, inode);
}

static int create_file(VMADEMO_IDMAP *idmap, struct inode *dir, struct dentry *dentry,
		       umode_t mode)
{
	return make_name(idmap, dir, dentry, mode | S_IFREG, 0);
}

static int make_dir(VMADEMO_IDMAP *idmap, struct inode *dir, struct dentry *dentry,
		    umode_t mode)
{
	return make_name(idmap, dir, dentry, mode | S_IFDIR, 0);
}

static int make_symlink(VMADEMO_IDMAP *idmap, struct inode *dir, struct dentry *dentry,
			const char *target)
{
	char *copy = kstrdup(target, GFP_KERNEL_ACCOUNT);
	struct inode *inode;

	if (!copy)
		return -ENOMEM;
	inode = make_inode(idmap, dir->i_sb, dir, S_IFLNK | 0777, 0);
	if (IS_ERR(inode)) {
		kfree(copy);
		return PTR_ERR(inode);
	}
	inode->i_link = copy;
	i_size_write(inode, strlen(copy));
	return name_it(dir, dentry, inode);
}

/* O_TMPFILE: it has no name, but can get one by linkat(2). */
static int make_tmpfile(VMADEMO_IDMAP *idmap, struct inode *dir, struct file *file,
			umode_t mode)
{
	struct inode *inode = make_inode(idmap, dir->i_sb, dir, mode, 0);

	if (!IS_ERR(inode))
		d_tmpfile(file, inode);
	return finish_open_simple(file, PTR_ERR_OR_ZERO(inode));
}

/*
 * A further name is counted as an inode is, for the memory that it takes.  The first is not; nor
 * is one that a file without a name gets.
 */
static int link_name(struct dentry *from, struct inode *dir, struct dentry *dentry)
{
	bool further = d_inode(from)->i_nlink;
	int err = further ? count_one(dir->i_sb) : 0;
	struct vmademo_name_op *op;

	if (err)
		return err;
	op = vmademo_log_begin(VMADEMO_NAME_LINK, dentry, NULL);
	if (IS_ERR(op)) {
		err = PTR_ERR(op);
	} else {
		err = simple_link(from, dir, dentry);
		if (!err)
			tell("link", dir, dentry, dentry);
		vmademo_log_end(op, dentry, err);
	}
	if (err && further)
		vmademo_inode_uncount(dir->i_sb);
	return err;
}

static bool is_further(const struct dentry *dentry)
{
	const struct inode *inode = d_inode(dentry);

	return inode && !S_ISDIR(inode->i_mode) && inode->i_nlink > 1;
}

static int unlink_name(struct inode *dir, struct dentry *dentry)
{
	struct vmademo_name_op *op = vmademo_log_begin(VMADEMO_NAME_UNLINK, dentry, NULL);
	bool further = is_further(dentry);
	int err;

	if (IS_ERR(op))
		return PTR_ERR(op);
	err = d_is_dir(dentry) ? simple_rmdir(dir, dentry) : simple_unlink(dir, dentry);
	if (!err)
		tell("unlink", dir, dentry, dentry);
	if (!err && further)
		vmademo_inode_uncount(dir->i_sb);
	vmademo_log_end(op, dentry, err);
	return err;
}

static int rename_name(VMADEMO_IDMAP *idmap, struct inode *dir, struct dentry *dentry,
		       struct inode *to_dir, struct dentry *to, unsigned int flags)
{
	bool exchange = flags & RENAME_EXCHANGE, further = !exchange && is_further(to);
	struct vmademo_name_op *op;
	int err;

	op = vmademo_log_begin(exchange ? VMADEMO_NAME_EXCHANGE : VMADEMO_NAME_RENAME, dentry, to);
	if (IS_ERR(op))
		return PTR_ERR(op);
	err = simple_rename(idmap, dir, dentry, to_dir, to, flags);
	if (!err)
		tell(exchange ? "exchange" : "rename", to_dir, dentry, to);
	if (!err && exchange)
		tell("exchange", dir, to, dentry);
	if (!err && further)
		vmademo_inode_uncount(dir->i_sb);
	vmademo_log_end(op, dentry, err);
	return err;
}

/* chmod, chown and what comes with them; a file can also be truncated. */
static int set_attributes(VMADEMO_IDMAP *idmap, struct dentry *dentry, struct iattr *attr)
{
	bool logged = attr->ia_valid & (ATTR_MODE | ATTR_UID | ATTR_GID) &&
		      !(attr->ia_valid & ATTR_SIZE);
	struct vmademo_name_op *op = NULL;
	int err;

	if (logged)
		op = vmademo_log_begin(VMADEMO_NAME_ATTR, dentry, NULL);
	if (IS_ERR(op))
		return PTR_ERR(op);
	err = S_ISREG(d_inode(dentry)->i_mode) ? vmademo_view_setattr(idmap, dentry, attr) :
						 simple_setattr(idmap, dentry, attr);
	vmademo_log_end(op, dentry, err);
	return err;
}

static int fsync_dir(struct file *file, loff_t start, loff_t end, int datasync)
{
	return vmademo_log_fsync(vmademo_tree_of(file_inode(file)->i_sb), file_dentry(file));
}

VMADEMO_CREATE_HOOK(create_file)
VMADEMO_MKDIR_HOOK(make_dir)

static const struct inode_operations dir_iops = {
	.create		= VMADEMO_CREATE,
	.lookup		= simple_lookup,
	.link		= link_name,
	.unlink		= unlink_name,
	.symlink	= make_symlink,
	.mkdir		= vmademo_mkdir_hook,
	.rmdir		= unlink_name,
	.mknod		= make_name,
	.rename		= rename_name,
	.tmpfile	= make_tmpfile,
	.setattr	= set_attributes,
	.listxattr	= vmademo_listxattr,
};

static const struct inode_operations file_iops = {
	.setattr	= set_attributes,
	.getattr	= vmademo_view_getattr,
	.listxattr	= vmademo_listxattr,
};

static const struct file_operations dir_fops = {
	.open		= dcache_dir_open,
	.release	= dcache_dir_close,
	.llseek		= dcache_dir_lseek,
	.read		= generic_read_dir,
	.iterate_shared	= dcache_readdir,
	.fsync		= fsync_dir,
	.unlocked_ioctl	= vmademo_dir_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.setlease	= generic_setlease,
};

/* ---- load and unload ----------------------------------------------------- */

static void init_once(void *object)
{
	inode_init_once(&((struct vmademo_tree_inode *)object)->inode);
}

/**
 * vmademo_names_init() - before the first mount
 *
 * Context: May sleep.
 * Return: 0; -ENOMEM.
 */
int __init vmademo_names_init(void)
{
	inode_cache = kmem_cache_create("vmademo_inode", sizeof(struct vmademo_tree_inode), 0,
					SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT, init_once);
	return inode_cache ? 0 : -ENOMEM;
}

/**
 * vmademo_names_exit() - after the last mount
 *
 * Context: May sleep.
 */
void vmademo_names_exit(void)
{
	/* Inodes are freed after a grace period */
	rcu_barrier();
	kmem_cache_destroy(inode_cache);
}
