// SPDX-License-Identifier: GPL-2.0-only
/*
 * The requests of include/uapi/linux/vmademo.h: checks what programs pass, then
 * calls who does it.  Nothing is done before everything is checked.
 *
 * Locks: the buffer's i_rwsem around what changes its size or content.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/pagemap.h>
#include <linux/uaccess.h>
#include <linux/vmademo.h>

#include "compat.h"
#include "power.h"
#include "rules.h"
#include "store/store.h"
#include "vmademo.h"

/* Whether all of an array of reserved fields is 0. */
#define RESERVED_OK(array)	(!memchr_inv(array, 0, sizeof(array)))

static struct vmademo_buffer *buffer_of(const struct file *file)
{
	return vmademo_buffer_of(file->f_mapping);
}

/* An open file of our own on what a descriptor of the caller shows, as a store. */
static struct file *open_store(int fd)
{
	struct file *given = fget(fd), *file;

	if (!given)
		return ERR_PTR(-EBADF);
	if (given->f_mode & FMODE_READ)
		file = vmademo_store_file_open(&given->f_path,
					       !(given->f_mode & FMODE_WRITE));
	else
		file = ERR_PTR(-EBADF);
	fput(given);
	return file;
}

static long ioctl_create(struct file *node, void __user *arg)
{
	static const struct vmademo_store_ops *const stores[] = {
		[VMADEMO_STORE_NONE] = &vmademo_store_none,
		[VMADEMO_STORE_RAM] = &vmademo_store_ram,
		[VMADEMO_STORE_FILE] = &vmademo_store_file,
	};
	struct vmademo_create c;
	struct vmademo_buffer *buf;
	struct file *file = NULL;
	loff_t size;
	unsigned int order = vmademo_default_order;
	int fd, err;

	if (copy_from_user(&c, arg, sizeof(c)))
		return -EFAULT;
	if (c.folio_size && vmademo_parse_order(c.folio_size, &order))
		return -EINVAL;
	if (c.flags & ~(VMADEMO_FD_CLOEXEC | VMADEMO_CREATE_DURABLE_SIZE) ||
	    c.store >= ARRAY_SIZE(stores) || !RESERVED_OK(c.reserved) ||
	    c.size > VMADEMO_MAX_SIZE || (c.store != VMADEMO_STORE_FILE && c.store_fd))
		return -EINVAL;
	/* A node that nobody can open for writing is open as far as can be */
	if (!(node->f_mode & FMODE_WRITE) && !buffer_of(node)->read_only)
		return -EBADF;

	/* First, because a buffer that is made may have made its file longer */
	fd = get_unused_fd_flags(c.flags & VMADEMO_FD_CLOEXEC ? O_CLOEXEC : 0);
	if (fd < 0)
		return fd;
	size = c.size;
	if (c.store == VMADEMO_STORE_FILE) {
		file = open_store(c.store_fd);
		err = PTR_ERR_OR_ZERO(file);
		if (err)
			goto put_fd;
		err = vmademo_store_file_size(file, &size);
		if (err) {
			fput(file);
			goto put_fd;
		}
	}
	buf = vmademo_buffer_create(size, stores[c.store], file, order, false);
	err = PTR_ERR_OR_ZERO(buf);
	if (err)
		goto put_fd;
	if (c.store == VMADEMO_STORE_RAM && !(c.flags & VMADEMO_CREATE_DURABLE_SIZE))
		vmademo_size_is_set(buf, size);
	vmademo_buffer_give(buf);
	return vmademo_view_open(buf, fd, buf->read_only ? O_RDONLY : O_RDWR);

put_fd:
	put_unused_fd(fd);
	return err;
}

static long ioctl_open_file(struct file *file, void __user *arg)
{
	struct vmademo_buffer *buf = buffer_of(file);
	struct vmademo_open_file o;
	int fd;

	if (copy_from_user(&o, arg, sizeof(o)))
		return -EFAULT;
	if (o.flags & ~VMADEMO_FD_CLOEXEC || !RESERVED_OK(o.reserved))
		return -EINVAL;

	fd = get_unused_fd_flags(o.flags & VMADEMO_FD_CLOEXEC ? O_CLOEXEC : 0);
	if (fd < 0)
		return fd;
	vmademo_buffer_get(buf);
	return vmademo_view_open(buf, fd, file->f_flags & O_ACCMODE);
}

/* The content was changed by way of this file.  Called with i_rwsem held. */
static int modified(struct file *file)
{
	struct inode *inode = file->f_mapping->host;

	if (file_inode(file) == inode)
		return file_modified(file);
	vmademo_inode_modified(inode);	/* by the node: nobody else does it */
	return 0;
}

static long ioctl_resize(struct file *file, void __user *arg)
{
	struct inode *inode = file->f_mapping->host;
	struct vmademo_resize r;
	int err;

	if (copy_from_user(&r, arg, sizeof(r)))
		return -EFAULT;
	if (r.reserved || r.size > VMADEMO_MAX_SIZE)
		return -EINVAL;
	if (!(file->f_mode & FMODE_WRITE))
		return -EBADF;

	err = vmademo_lock_data(buffer_of(file));
	if (err)
		return err;
	err = inode_newsize_ok(inode, r.size);	/* RLIMIT_FSIZE */
	if (!err)
		err = vmademo_truncate(buffer_of(file), r.size);
	if (!err)
		err = modified(file);
	inode_unlock(inode);
	return err;
}

static long ioctl_discard(struct file *file, void __user *arg)
{
	struct inode *inode = file->f_mapping->host;
	struct vmademo_discard d;
	loff_t size;
	int err;

	if (copy_from_user(&d, arg, sizeof(d)))
		return -EFAULT;
	if (!RESERVED_OK(d.reserved) || !d.length)
		return -EINVAL;
	if (!(file->f_mode & FMODE_WRITE))
		return -EBADF;

	err = vmademo_lock_data(buffer_of(file));
	if (err)
		return err;
	size = i_size_read(inode);
	if (d.offset > size || d.length > size - d.offset)
		err = -EINVAL;
	else
		err = vmademo_punch(buffer_of(file), d.offset,
				    d.offset + d.length);
	if (!err)
		err = modified(file);
	inode_unlock(inode);
	return err;
}

/* All files of a tree together, one after another. */
static void info_of_tree(struct vmademo_tree *tree, struct vmademo_info *info)
{
	struct vmademo_buffer *buf = NULL;

	*info = (struct vmademo_info) {
		.size		= (u64)READ_ONCE(tree->limit) << PAGE_SHIFT,
		.store		= tree->store->kind,
		.flags		= READ_ONCE(tree->power) ? VMADEMO_INFO_OFF : 0,
		.folio_size	= PAGE_SIZE << tree->order,
		.pending_names	= vmademo_log_pending(tree),
		.lost_names	= READ_ONCE(tree->lost_names),
	};
	info->durable_size = info->size;
	while ((buf = vmademo_power_next(tree, buf))) {
		info->cached_bytes += vmademo_cached_bytes(buf);
		info->dirty_bytes += vmademo_dirty_bytes(buf);
		info->mappings += vmademo_mappings(buf);
	}
}

static void info_of_buffer(struct vmademo_buffer *buf, struct vmademo_info *info)
{
	loff_t size = i_size_read(buf->inode);

	*info = (struct vmademo_info) {
		.size		= size,
		.cached_bytes	= vmademo_cached_bytes(buf),
		.dirty_bytes	= vmademo_dirty_bytes(buf),
		.mappings	= vmademo_mappings(buf),
		.ino		= buf->inode->i_ino,
		.store		= buf->store->kind,
		.flags		= (buf->read_only ? VMADEMO_INFO_READ_ONLY : 0) |
				  (READ_ONCE(buf->revoked) ? VMADEMO_INFO_REVOKED : 0) |
				  (vmademo_is_told_off(buf) ? VMADEMO_INFO_OFF : 0),
		.folio_size	= PAGE_SIZE << buf->order,
		.durable_size	= vmademo_size_durable(buf),
	};
}

static long ioctl_info(struct file *file, void __user *arg)
{
	struct vmademo_tree *tree = vmademo_tree_of_dir(file);
	struct vmademo_info info;

	if (tree)
		info_of_tree(tree, &info);
	else
		info_of_buffer(buffer_of(file), &info);
	return copy_to_user(arg, &info, sizeof(info)) ? -EFAULT : 0;
}

/**
 * vmademo_may_rule() - may the caller make rules, and switch the power?
 * @file: any file whose f_mapping is a buffer's
 *
 * Both can have the mappings of others raise SIGBUS: that takes the right to write.  Where
 * nobody has that, it is the owner's.
 */
bool vmademo_may_rule(const struct file *file)
{
	const struct vmademo_buffer *buf = buffer_of(file);

	return file->f_mode & FMODE_WRITE ||
	       (buf->read_only && (uid_eq(current_fsuid(), buf->inode->i_uid) ||
				   capable(CAP_SYS_ADMIN)));
}

/* Whose rules are asked for, and may the caller make some? */
static int ruled(struct file *file, struct vmademo_target *of)
{
	*of = (struct vmademo_target) { .tree = vmademo_tree_of_dir(file) };
	if (of->tree)
		return vmademo_may_cut_tree(file);
	of->buf = buffer_of(file);
	return vmademo_may_rule(file) ? 0 : -EBADF;
}

static long ioctl_rule_add(struct file *file, void __user *arg)
{
	struct vmademo_target of;
	struct vmademo_rule r;
	const char *word;
	int err;

	if (copy_from_user(&r, arg, sizeof(r)))
		return -EFAULT;
	if (r.id || r.hits || r.matches || !RESERVED_OK(r.reserved))
		return -EINVAL;
	err = ruled(file, &of);
	if (err)
		return err;
	err = vmademo_rule_check(&of, &r, &word);
	if (err)
		return err;
	err = r.flags & VMADEMO_RULE_CRASH && of.buf && of.buf->tree ?
		      vmademo_may_cut_tree(file) : 0;
	if (err)
		return err;
	/* Afterwards it would be too late to find that there is no place for the answer */
	if (copy_to_user(arg, &r, sizeof(r)))
		return -EFAULT;
	err = vmademo_rule_add(&of, &r);
	if (!err && copy_to_user(arg, &r, sizeof(r))) {
		vmademo_rule_del(&of, r.id);
		err = -EFAULT;
	}
	return err;
}

static long ioctl_rule_del(struct file *file, void __user *arg)
{
	struct vmademo_target of;
	struct vmademo_rule_id r;
	int err;

	if (copy_from_user(&r, arg, sizeof(r)))
		return -EFAULT;
	if (r.reserved)
		return -EINVAL;
	err = ruled(file, &of);
	return err ?: vmademo_rule_del(&of, r.id);
}

static long ioctl_rule_list(struct file *file, void __user *arg)
{
	struct vmademo_target of = { .tree = vmademo_tree_of_dir(file) };
	struct vmademo_rule r, given;
	int err;

	if (!of.tree)
		of.buf = buffer_of(file);
	if (copy_from_user(&r, arg, sizeof(r)))
		return -EFAULT;
	given = (struct vmademo_rule) { .id = r.id };
	if (memcmp(&given, &r, sizeof(r)))
		return -EINVAL;
	err = vmademo_rule_next(&of, &r);
	if (err)
		return err;
	return copy_to_user(arg, &r, sizeof(r)) ? -EFAULT : 0;
}

static long ioctl_revoke(struct file *file, bool revoke)
{
	struct vmademo_buffer *buf = buffer_of(file);

	/* What nobody can open for writing is open as far as can be */
	if (!(file->f_mode & FMODE_WRITE) && !buf->read_only)
		return -EBADF;
	return revoke ? vmademo_revoke(buf) : vmademo_restore(buf);
}

static long ioctl_pages(struct file *file, void __user *arg)
{
	struct vmademo_pages p;
	u64 count;
	int err;

	if (copy_from_user(&p, arg, sizeof(p)))
		return -EFAULT;
	if (p.flags || p.reserved0 || !RESERVED_OK(p.reserved) || !p.count ||
	    p.offset % PAGE_SIZE || p.offset > VMADEMO_MAX_SIZE)
		return -EINVAL;
	count = p.count;
	err = vmademo_pages(buffer_of(file), p.offset >> PAGE_SHIFT, &count,
			    u64_to_user_ptr(p.states));
	if (err)
		return err;
	return put_user(count, &((struct vmademo_pages __user *)arg)->count);
}

/* As clone3(2) and its like: either side may know a longer struct than the other. */
static long ioctl_stats(struct file *file, void __user *arg)
{
	struct vmademo_stats stats;
	struct vmademo_tree *tree;
	u32 size;
	int err;

	if (get_user(size, (__u32 __user *)arg))
		return -EFAULT;
	if (size < VMADEMO_STATS_SIZE_VER0)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	err = copy_struct_from_user(&stats, sizeof(stats), arg, size);
	if (err)
		return err;
	if (stats.flags)
		return -EINVAL;
	stats.size = min_t(size_t, size, sizeof(stats));
	tree = vmademo_tree_of_dir(file);
	if (tree)
		vmademo_stats_of_tree(tree, &stats);
	else
		vmademo_stats_fill(buffer_of(file), &stats);
	/* What lies behind is 0 already */
	return copy_to_user(arg, &stats, stats.size) ? -EFAULT : 0;
}

/**
 * vmademo_dir_ioctl() - .unlocked_ioctl of directories of a mounted tree, and the end of others
 * @file: the directory; or any file whose f_mapping is a buffer's
 * @cmd: the request: what a tree and a buffer both have
 * @arg: its argument, an address of the caller
 *
 * Context: May sleep.
 * Return: 0 or a negative errno.
 */
long vmademo_dir_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *p = (void __user *)arg;

	switch (cmd) {
	case VMADEMO_IOC_CRASH:
		return vmademo_ioctl_crash(file, p);
	case VMADEMO_IOC_POWER:
		return vmademo_ioctl_power(file, p);
	case VMADEMO_IOC_RULE_ADD:
		return ioctl_rule_add(file, p);
	case VMADEMO_IOC_RULE_DEL:
		return ioctl_rule_del(file, p);
	case VMADEMO_IOC_RULE_LIST:
		return ioctl_rule_list(file, p);
	case VMADEMO_IOC_STATS:
		return ioctl_stats(file, p);
	case VMADEMO_IOC_INFO:
		return ioctl_info(file, p);
	default:
		return -ENOTTY;
	}
}

/**
 * vmademo_view_ioctl() - .unlocked_ioctl of the regular-file view
 * @file: any file whose f_mapping is a buffer's
 * @cmd: the request
 * @arg: its argument, an address of the caller
 *
 * Context: May sleep.
 * Return: 0 or more, as the request says, or a negative errno.
 */
long vmademo_view_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *p = (void __user *)arg;

	switch (cmd) {
	case VMADEMO_IOC_RESIZE:
		return ioctl_resize(file, p);
	case VMADEMO_IOC_DISCARD:
		return ioctl_discard(file, p);
	case VMADEMO_IOC_SNAPSHOT:
		return vmademo_ioctl_snapshot(file, p);
	case VMADEMO_IOC_REVOKE:
		return ioctl_revoke(file, true);
	case VMADEMO_IOC_RESTORE:
		return ioctl_revoke(file, false);
	case VMADEMO_IOC_PAGES:
		return ioctl_pages(file, p);
	default:	/* what a tree has, too */
		return vmademo_dir_ioctl(file, cmd, arg);
	}
}

/**
 * vmademo_node_ioctl() - .unlocked_ioctl of the node
 * @file: an open node
 * @cmd: the request: what the view has, and those that return new descriptors
 * @arg: its argument, an address of the caller
 *
 * Context: May sleep.
 * Return: 0 or more, as the request says, or a negative errno.
 */
long vmademo_node_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *p = (void __user *)arg;

	switch (cmd) {
	case VMADEMO_IOC_CREATE:
		return ioctl_create(file, p);
	case VMADEMO_IOC_OPEN_FILE:
		return ioctl_open_file(file, p);
	default:
		return vmademo_view_ioctl(file, cmd, arg);
	}
}
