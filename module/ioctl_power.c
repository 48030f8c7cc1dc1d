// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMADEMO_IOC_CRASH and VMADEMO_IOC_POWER: checks what programs pass, finds the buffers and
 * trees that they name, and calls crash.c and power.c.  Nothing is done before everything is
 * checked.
 *
 * Locks: none.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/vmademo.h>

#include "power.h"
#include "store/store.h"
#include "vmademo.h"

/**
 * vmademo_may_cut_tree() - may the caller cut or switch the power of a mounted tree?
 * @file: of the tree
 *
 * That has others lose what they wrote to files of their own: it takes who may do anything in
 * the tree, the owner of its root or CAP_SYS_ADMIN.
 *
 * Context: Any.
 * Return: 0; -EPERM; -EROFS for a directory where it is mounted read only.
 */
int vmademo_may_cut_tree(const struct file *file)
{
	const struct inode *inode = file_inode(file);
	const struct inode *root = d_inode(inode->i_sb->s_root);

	if (!uid_eq(current_fsuid(), root->i_uid) && !capable(CAP_SYS_ADMIN))
		return -EPERM;
	/* A file must be open for writing, but that no directory can be */
	return S_ISDIR(inode->i_mode) && __mnt_is_readonly(file->f_path.mnt) ? -EROFS : 0;
}

/**
 * vmademo_ioctl_crash() - VMADEMO_IOC_CRASH
 * @file: any file whose f_mapping is a buffer's, or a directory of a mounted tree
 * @arg: its argument, an address of the caller
 *
 * Context: May sleep.
 * Return: 0 or a negative errno.
 */
long vmademo_ioctl_crash(struct file *file, void __user *arg)
{
	struct vmademo_target of;
	struct vmademo_crash c;
	int err;

	if (copy_from_user(&c, arg, sizeof(c)))
		return -EFAULT;
	if (c.flags || c.reserved0 || memchr_inv(c.reserved, 0, sizeof(c.reserved)) ||
	    c.written_permille > VMADEMO_WRITTEN_ONE || c.lost_folios || c.lost_bytes ||
	    c.written_folios || c.torn_folios || c.lost_names)
		return -EINVAL;
	of.tree = vmademo_tree_of_dir(file);
	if (!of.tree && !(file->f_mode & FMODE_WRITE))
		return -EBADF;
	if (!of.tree) {
		of.buf = vmademo_buffer_of(file->f_mapping);
		of.tree = of.buf->tree;
	}
	err = of.tree ? vmademo_may_cut_tree(file) : 0;
	if (err)
		return err;

	/* Afterwards it would be too late to find that there is no place for the answer */
	if (copy_to_user(arg, &c, sizeof(c)))
		return -EFAULT;
	err = of.tree ? vmademo_crash_tree(of.tree, &c) : vmademo_crash(of.buf, &c);
	if (err)
		return err;
	return copy_to_user(arg, &c, sizeof(c)) ? -EFAULT : 0;
}

/* The buffer of an open file, or the tree; or an errno, if its power cannot be switched. */
static int powered(const struct file *file, struct vmademo_target *of)
{
	const struct vmademo_store_ops *store;
	int err;

	*of = (struct vmademo_target) { .tree = vmademo_tree_of_dir(file) };
	if (!of->tree) {
		/* Inodes of windows are also on a superblock of ours */
		if (!vmademo_is_buffer(file->f_mapping->host) ||
		    !file->f_mapping->host->i_private)
			return -EINVAL;
		if (!vmademo_may_rule(file))
			return -EBADF;
		of->buf = vmademo_buffer_of(file->f_mapping);
	}
	store = of->tree ? of->tree->store : of->buf->store;
	if (of->buf && of->buf->tree)
		*of = (struct vmademo_target) { .tree = of->buf->tree };
	err = of->tree ? vmademo_may_cut_tree(file) : 0;
	if (err)
		return err;
	return store->read ? 0 : -EOPNOTSUPP;
}

/* Files that a request names, and what they are of; held until put_named(). */
struct named {
	struct file *files[VMADEMO_POWER_MAX];
	struct vmademo_target of[VMADEMO_POWER_MAX + 1];
	unsigned int count;		/* of @of, of which the first has no file here */
};

static void put_named(struct named *n)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(n->files) && n->files[i]; i++)
		fput(n->files[i]);
	kfree(n);
}

static int add_named(struct named *n, struct file *file)
{
	struct vmademo_target of;
	unsigned int i;
	int err = powered(file, &of);

	if (err)
		return err;
	for (i = 0; i < n->count; i++)
		if (n->of[i].buf == of.buf && n->of[i].tree == of.tree)
			return -EINVAL;
	n->of[n->count++] = of;
	return 0;
}

static struct named *get_named(struct file *file, const __s32 __user *fds, u32 count)
{
	struct named *n = kzalloc(sizeof(*n), GFP_KERNEL_ACCOUNT);
	int err, fd;
	u32 i;

	if (!n)
		return ERR_PTR(-ENOMEM);
	err = add_named(n, file);
	for (i = 0; i < count && !err; i++) {
		err = get_user(fd, fds + i);
		if (err)
			break;
		n->files[i] = fget(fd);
		err = n->files[i] ? add_named(n, n->files[i]) : -EBADF;
	}
	if (!err)
		return n;
	put_named(n);
	return ERR_PTR(err);
}

static int power_on_all(struct named *n)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < n->count && !err; i++)
		err = vmademo_power_on(&n->of[i]);
	return err;
}

static int power_off_all(struct named *n, struct vmademo_power *p)
{
	struct vmademo_power_off off = {
		.of = n->of,
		.count = n->count,
		.cut = {
			.seed = p->seed,
			.written_permille = p->written_permille,
			.torn = p->torn,
		},
	};
	int err = vmademo_power_off(&off);

	p->lost_folios = off.cut.lost_folios;
	p->lost_bytes = off.cut.lost_bytes;
	p->written_folios = off.cut.written_folios;
	p->torn_folios = off.cut.torn_folios;
	p->lost_names = off.cut.lost_names;
	return err;
}

/**
 * vmademo_ioctl_power() - VMADEMO_IOC_POWER
 * @file: any file whose f_mapping is a buffer's, or a directory of a mounted tree
 * @arg: its argument, an address of the caller
 *
 * Context: May sleep.
 * Return: 0 or a negative errno.
 */
long vmademo_ioctl_power(struct file *file, void __user *arg)
{
	struct vmademo_power p;
	struct named *n;
	int err;

	if (copy_from_user(&p, arg, sizeof(p)))
		return -EFAULT;
	if (p.flags & ~VMADEMO_POWER_OFF || p.count > VMADEMO_POWER_MAX ||
	    (!p.count && p.fds) || p.written_permille > VMADEMO_WRITTEN_ONE || p.lost_folios ||
	    p.lost_bytes || p.written_folios || p.torn_folios || p.lost_names ||
	    memchr_inv(p.reserved, 0, sizeof(p.reserved)))
		return -EINVAL;
	if (!p.flags && (p.seed || p.written_permille || p.torn))
		return -EINVAL;
	/* Afterwards it would be too late to find that there is no place for the answer */
	if (copy_to_user(arg, &p, sizeof(p)))
		return -EFAULT;
	n = get_named(file, u64_to_user_ptr(p.fds), p.count);
	if (IS_ERR(n))
		return PTR_ERR(n);
	err = p.flags ? power_off_all(n, &p) : power_on_all(n);
	put_named(n);
	if (err)
		return err;
	return copy_to_user(arg, &p, sizeof(p)) ? -EFAULT : 0;
}
