// SPDX-License-Identifier: GPL-2.0-only
/*
 * Directories of a mounted tree.  Names are kept where the kernel looks them up, in its cache of
 * directory entries, and nowhere else: each entry is held until it is removed, and holds its
 * inode.  So no shortage of memory takes a file away that has a name.  What is done to names is
 * put in the log (log.c), if the tree has one.
 *
 * What is done to names is an event for rules (rules.h), before anything is done or taken; where
 * the power is cut after it, it is in the log.
 *
 * Locks: none of its own.  The kernel holds i_rwsem of the directories where names change, and
 * that of an inode that loses or gets a name.
 */
#include <linux/dcache.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/namei.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "compat.h"
#include "power.h"
#include "rules.h"
#include "trace.h"
#include "tree/log.h"
#include "tree/tree.h"
#include "view.h"

static void tell(const char *op, const struct inode *dir, const struct dentry *dentry,
		 const struct dentry *name)
{
	trace_vmademo_name(op, dir->i_ino, d_inode(dentry)->i_ino, name->d_name.name);
}

/* An operation on names is about to be done; end_event() must follow, unless this fails. */
static int begin_event(const struct inode *inode, unsigned int op,
		       struct vmademo_rule_entry **after)
{
	struct vmademo_tree *tree = vmademo_tree_of(inode->i_sb);
	/* A call that begins again is no event yet, and has made no file that counts */
	int err = vmademo_log_let_cut(tree);

	return err ?: vmademo_rule_name(tree, op, inode->i_ino, after);
}

static void end_event(const struct inode *inode, struct vmademo_rule_entry *after)
{
	vmademo_rule_name_end(vmademo_tree_of(inode->i_sb), after);
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
	struct vmademo_rule_entry *after;
	struct inode *inode;
	int err = begin_event(dir, VMADEMO_OP_CREATE, &after);

	if (err)
		return err;
	inode = vmademo_make_inode(idmap, dir->i_sb, dir, mode, dev);
	err = IS_ERR(inode) ? PTR_ERR(inode) : name_it(dir, dentry, inode);
	end_event(dir, after);
	return err;
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

static int make_link_to(VMADEMO_IDMAP *idmap, struct inode *dir, struct dentry *dentry,
			const char *target)
{
	char *copy = kstrdup(target, GFP_KERNEL_ACCOUNT);
	struct inode *inode;

	if (!copy)
		return -ENOMEM;
	inode = vmademo_make_inode(idmap, dir->i_sb, dir, S_IFLNK | 0777, 0);
	if (IS_ERR(inode)) {
		kfree(copy);
		return PTR_ERR(inode);
	}
	inode->i_link = copy;
	i_size_write(inode, strlen(copy));
	return name_it(dir, dentry, inode);
}

static int make_symlink(VMADEMO_IDMAP *idmap, struct inode *dir, struct dentry *dentry,
			const char *target)
{
	struct vmademo_rule_entry *after;
	int err = begin_event(dir, VMADEMO_OP_CREATE, &after);

	if (err)
		return err;
	err = make_link_to(idmap, dir, dentry, target);
	end_event(dir, after);
	return err;
}

/* O_TMPFILE: it has no name, but can get one by linkat(2). */
static int make_tmpfile(VMADEMO_IDMAP *idmap, struct inode *dir, struct file *file,
			umode_t mode)
{
	struct vmademo_rule_entry *after;
	struct inode *inode;
	int err = begin_event(dir, VMADEMO_OP_CREATE, &after);

	if (err)
		return finish_open_simple(file, err);
	inode = vmademo_make_inode(idmap, dir->i_sb, dir, mode, 0);
	if (!IS_ERR(inode))
		d_tmpfile(file, inode);
	end_event(dir, after);
	return finish_open_simple(file, PTR_ERR_OR_ZERO(inode));
}

/*
 * A further name is counted as an inode is, for the memory that it takes.  The first is not; nor
 * is one that a file without a name gets.
 */
static int add_link(struct dentry *from, struct inode *dir, struct dentry *dentry)
{
	bool further = d_inode(from)->i_nlink;
	int err = further ? vmademo_inode_take(dir->i_sb) : 0;
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

static int link_name(struct dentry *from, struct inode *dir, struct dentry *dentry)
{
	struct vmademo_rule_entry *after;
	int err = begin_event(d_inode(from), VMADEMO_OP_LINK, &after);

	if (err)
		return err;
	err = add_link(from, dir, dentry);
	end_event(dir, after);
	return err;
}

static bool is_further(const struct dentry *dentry)
{
	const struct inode *inode = d_inode(dentry);

	return inode && !S_ISDIR(inode->i_mode) && inode->i_nlink > 1;
}

static int remove(struct inode *dir, struct dentry *dentry)
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

static int unlink_name(struct inode *dir, struct dentry *dentry)
{
	struct vmademo_rule_entry *after;
	int err = begin_event(d_inode(dentry), VMADEMO_OP_UNLINK, &after);

	if (err)
		return err;
	err = remove(dir, dentry);
	end_event(dir, after);
	return err;
}

static int move(VMADEMO_IDMAP *idmap, struct inode *dir, struct dentry *dentry,
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

static int rename_name(VMADEMO_IDMAP *idmap, struct inode *dir, struct dentry *dentry,
		       struct inode *to_dir, struct dentry *to, unsigned int flags)
{
	struct vmademo_rule_entry *after;
	int err;

	if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	err = begin_event(d_inode(dentry), VMADEMO_OP_RENAME, &after);
	if (err)
		return err;
	err = move(idmap, dir, dentry, to_dir, to, flags);
	end_event(dir, after);
	return err;
}

#define LOGGED_ATTRS	(ATTR_MODE | ATTR_UID | ATTR_GID)

/* chmod, chown and what comes with them, or a truncation. */
static int set_some(VMADEMO_IDMAP *idmap, struct dentry *dentry, struct iattr *attr)
{
	struct vmademo_name_op *op = NULL;
	int err;

	if (attr->ia_valid & LOGGED_ATTRS)
		op = vmademo_log_begin(VMADEMO_NAME_ATTR, dentry, NULL);
	if (IS_ERR(op))
		return PTR_ERR(op);
	err = S_ISREG(d_inode(dentry)->i_mode) ? vmademo_view_setattr(idmap, dentry, attr) :
						 simple_setattr(idmap, dentry, attr);
	vmademo_log_end(op, dentry, err);
	return err;
}

/* A truncation can take the set-user-ID bit away: that is an operation of its own, and first. */
static int set_attributes(VMADEMO_IDMAP *idmap, struct dentry *dentry, struct iattr *attr)
{
	struct iattr mode = *attr, size = *attr;
	int err;

	if (!(attr->ia_valid & ATTR_SIZE) || !(attr->ia_valid & LOGGED_ATTRS))
		return set_some(idmap, dentry, attr);
	mode.ia_valid &= ~ATTR_SIZE;
	size.ia_valid &= ~LOGGED_ATTRS;
	/* A size that cannot be must not change the mode */
	err = setattr_prepare(idmap, dentry, &size) ?: set_some(idmap, dentry, &mode);
	return err ?: set_some(idmap, dentry, &size);
}

static int fsync_dir(struct file *file, loff_t start, loff_t end, int datasync)
{
	const struct inode *dir = file_inode(file);
	struct vmademo_tree *tree = vmademo_tree_of(dir->i_sb);
	u64 cuts = READ_ONCE(tree->cuts);
	struct vmademo_rule_entry *after;
	int err = vmademo_rule_name(tree, VMADEMO_OP_FSYNC_DIR, dir->i_ino, &after);

	if (err)
		return err;
	err = vmademo_log_fsync(tree, file_dentry(file));
	/* Names that a cut has undone are not durable, though the power is back */
	if (!err && READ_ONCE(tree->cuts) != cuts)
		err = -EIO;
	end_event(dir, after);
	return err;
}

VMADEMO_CREATE_HOOK(create_file)
VMADEMO_MKDIR_HOOK(make_dir)

const struct inode_operations vmademo_dir_iops = {
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

const struct inode_operations vmademo_tree_file_iops = {
	.setattr	= set_attributes,
	.getattr	= vmademo_view_getattr,
	.listxattr	= vmademo_listxattr,
};

const struct file_operations vmademo_dir_fops = {
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
