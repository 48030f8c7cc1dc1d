// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMADEMO_IOC_POWER: checks what programs pass, finds the buffers that they name, and calls
 * power.c.  Nothing is done before everything is checked.
 *
 * Locks: none.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/vmademo.h>

#include "power.h"
#include "store/store.h"
#include "vmademo.h"

/* The buffer of an open file; or an ERR_PTR, if its power cannot be switched. */
static struct vmademo_buffer *powered(const struct file *file)
{
	struct vmademo_buffer *buf;

	/* Inodes of windows are also on a superblock of ours */
	if (!vmademo_is_buffer(file->f_mapping->host) || !file->f_mapping->host->i_private)
		return ERR_PTR(-EINVAL);
	if (!vmademo_may_rule(file))
		return ERR_PTR(-EBADF);
	buf = vmademo_buffer_of(file->f_mapping);
	return buf->store->read ? buf : ERR_PTR(-EOPNOTSUPP);
}

/* Files and buffers that a request names; held until put_named(). */
struct named {
	struct file *files[VMADEMO_POWER_MAX];
	struct vmademo_buffer *bufs[VMADEMO_POWER_MAX + 1];
	unsigned int count;		/* of buffers, of which the first has no file here */
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
	struct vmademo_buffer *buf = powered(file);
	unsigned int i;

	if (IS_ERR(buf))
		return PTR_ERR(buf);
	for (i = 0; i < n->count; i++)
		if (n->bufs[i] == buf)
			return -EINVAL;
	n->bufs[n->count++] = buf;
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
		err = vmademo_power_on(n->bufs[i]);
	return err;
}

static int power_off_all(struct named *n, struct vmademo_power *p)
{
	struct vmademo_power_off off = {
		.bufs = n->bufs,
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
	return err;
}

/**
 * vmademo_ioctl_power() - VMADEMO_IOC_POWER
 * @file: any file whose f_mapping is a buffer's
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
	    (!p.count && p.fds) || p.written_permille > 1000 || p.lost_folios ||
	    p.lost_bytes || p.written_folios || p.torn_folios ||
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
