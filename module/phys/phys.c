// SPDX-License-Identifier: GPL-2.0-only
/*
 * The nodes of physical windows, /dev/vmademo-physN.  Offset 0 of a node is its
 * window's first byte.  read, write and lseek are those of drivers/char/mem.c,
 * bounded by the window; but a read that fails on its way says how far it came.
 *
 * Where a window's memory comes from is in claim.c, how it is mapped in map.c, how it
 * is taken away again in revoke.c.
 *
 * Lifetime: the memory is given back after the node is gone.  Each mapping holds
 * its file and each file the module, so no mapping is left then.
 *
 * Locks: none of its own; vmademo_window_copy() takes the window's.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/capability.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/security.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/uaccess.h>
#include <linux/vmademo.h>

#include "compat.h"
#include "phys/phys.h"
#include "vmademo.h"

#define MAX_WINDOWS	16

static struct vmademo_window *windows[MAX_WINDOWS];

/* ---- the node ------------------------------------------------------------ */

static int phys_open(struct inode *inode, struct file *file)
{
	struct vmademo_window *w = vmademo_window_of(file);

	if (!READ_ONCE(vmademo_ready))
		return -ENXIO;
	if (!capable(CAP_SYS_RAWIO))
		return -EPERM;
	if (READ_ONCE(w->revoked))
		return -ENODEV;
	/* Leave it to the checks of mmap to judge the offset, all of it */
	vmademo_allow_unsigned_offset(file);
	/* One place that knows all mappings, by whatever node in whatever /dev */
	file->f_mapping = w->inode->i_mapping;
	return security_locked_down(LOCKDOWN_DEV_MEM);
}

/* As on /dev/mem there is no end to seek from. */
static loff_t phys_llseek(struct file *file, loff_t offset, int whence)
{
	u64 pos = offset;	/* offsets are unsigned here */

	switch (whence) {
	case SEEK_SET:
		break;
	case SEEK_CUR:
		pos += file->f_pos;
		break;
	default:
		return -EINVAL;
	}
	/* The last 4095 offsets would be taken for error codes */
	if (pos >= (u64)-MAX_ERRNO)
		return -EOVERFLOW;
	file->f_pos = pos;
	return pos;
}

/*
 * Copies by way of a page of our own, because copying from or to the user may
 * sleep and fault, and the window's lock is not held over that.  Whatever ends it,
 * what was copied before is told.
 */
static ssize_t phys_copy(struct file *file, char __user *user, size_t count,
			 loff_t *ppos, bool write)
{
	struct vmademo_window *w = vmademo_window_of(file);
	u64 pos = *ppos;
	size_t done = 0;
	void *bounce;
	int err = 0;

	if (READ_ONCE(w->revoked))
		return -ENODEV;
	if (pos >= w->bytes)
		return write && count ? -EFBIG : 0;
	count = min_t(u64, count, w->bytes - pos);
	bounce = (void *)__get_free_page(GFP_KERNEL);
	if (!bounce)
		return -ENOMEM;

	while (!err && done < count && !fatal_signal_pending(current)) {
		u64 at = pos + done;
		size_t len = min_t(size_t, count - done,
				   PAGE_SIZE - offset_in_page(at));
		size_t good = len;

		if (write)
			good -= copy_from_user(bounce, user + done, len);
		err = vmademo_window_copy(w, at, bounce, good, write);
		if (err)
			break;
		if (!write)
			good -= copy_to_user(user + done, bounce, len);
		done += good;
		if (good < len)
			err = -EFAULT;
		cond_resched();
	}
	free_page((unsigned long)bounce);
	*ppos += done;
	return done ?: err;
}

static ssize_t phys_read(struct file *file, char __user *to, size_t count,
			 loff_t *ppos)
{
	return phys_copy(file, to, count, ppos, false);
}

static ssize_t phys_write(struct file *file, const char __user *from,
			  size_t count, loff_t *ppos)
{
	return phys_copy(file, (char __user *)from, count, ppos, true);
}

static long phys_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	if (cmd != VMADEMO_IOC_REVOKE)
		return -ENOTTY;
	if (!(file->f_mode & FMODE_WRITE))
		return -EBADF;
	vmademo_phys_revoke(vmademo_window_of(file));
	return 0;
}

/* Virtual and physical address agree modulo 2 MiB: room for huge entries. */
static unsigned long phys_get_unmapped_area(struct file *file,
					    unsigned long addr,
					    unsigned long len,
					    unsigned long pgoff,
					    unsigned long flags)
{
	unsigned long pfn = PHYS_PFN(vmademo_window_of(file)->base);

	return thp_get_unmapped_area(file, addr, len,
				     pgoff + pfn % PHYS_PFN(PMD_SIZE), flags);
}

#define PHYS_FOPS							\
	.owner		= THIS_MODULE,					\
	.open		= phys_open,					\
	.llseek		= phys_llseek,					\
	.read		= phys_read,					\
	.write		= phys_write,					\
	.unlocked_ioctl	= phys_ioctl,					\
	.compat_ioctl	= compat_ptr_ioctl,				\
	VMADEMO_UNSIGNED_OFFSET						\
	.get_unmapped_area = phys_get_unmapped_area

static const struct file_operations phys_legacy_fops = {
	PHYS_FOPS,
	.mmap		= vmademo_phys_mmap,
};

#ifdef VMADEMO_HAS_MMAP_PREPARE
static const struct file_operations phys_prepare_fops = {
	PHYS_FOPS,
	.mmap_prepare	= vmademo_phys_mmap_prepare,
};
#endif

/* ---- sysfs --------------------------------------------------------------- */

static struct vmademo_window *window_of_device(struct device *dev)
{
	/* misc_register() makes the miscdevice the device's driver data */
	return container_of(dev_get_drvdata(dev), struct vmademo_window, misc);
}

#define WINDOW_ATTR(_name, _mode, _format, _value)			\
static ssize_t _name##_show(struct device *dev,				\
			    struct device_attribute *attr, char *page)	\
{									\
	struct vmademo_window *w = window_of_device(dev);		\
									\
	return sysfs_emit(page, _format "\n", _value);			\
}									\
static DEVICE_ATTR(_name, _mode, _name##_show, NULL)

/* Physical addresses are for root only, as in /proc/iomem */
WINDOW_ATTR(base, 0400, "0x%llx", (unsigned long long)w->base);
WINDOW_ATTR(size, 0444, "%llu", w->bytes);
WINDOW_ATTR(memtype, 0444, "%s", vmademo_memtype_names[w->memtype]);
WINDOW_ATTR(map, 0444, "%s", w->lazy ? "lazy" : "eager");
WINDOW_ATTR(revoked, 0444, "%d", READ_ONCE(w->revoked));
WINDOW_ATTR(mappings, 0444, "%ld", atomic_long_read(&w->mappings));
WINDOW_ATTR(faults, 0444, "%lld", (long long)atomic64_read(&w->faults));
WINDOW_ATTR(huge_faults, 0444, "%lld", (long long)atomic64_read(&w->huge_faults));
WINDOW_ATTR(first_writes, 0444, "%lld",
	    (long long)atomic64_read(&w->first_writes));

static struct attribute *phys_attrs[] = {
	&dev_attr_base.attr,
	&dev_attr_size.attr,
	&dev_attr_memtype.attr,
	&dev_attr_map.attr,
	&dev_attr_revoked.attr,
	&dev_attr_mappings.attr,
	&dev_attr_faults.attr,
	&dev_attr_huge_faults.attr,
	&dev_attr_first_writes.attr,
	NULL
};
ATTRIBUTE_GROUPS(phys);

/* ---- making and ending them ---------------------------------------------- */

static void window_free(struct vmademo_window *w)
{
	vmademo_window_give_back(w);
	iput(w->inode);		/* or NULL */
	kfree(w);
}

/* Makes window n, and takes its memory; it has no node yet. */
static int window_make(unsigned int n, char *text, const char *memtype, bool lazy)
{
	struct vmademo_window *w = kzalloc(sizeof(*w), GFP_KERNEL);
	int err = -ENOMEM;

	if (!w) {
		pr_err("phys=: out of memory\n");
		return err;
	}
	init_rwsem(&w->lock);
	mutex_init(&w->revoking);
	INIT_LIST_HEAD(&w->same_driver);
	INIT_LIST_HEAD(&w->mmaps);
	spin_lock_init(&w->mmaps_lock);
	w->lazy = lazy;
	snprintf(w->name, sizeof(w->name), "vmademo-phys%u", n);
	w->misc.minor = MISC_DYNAMIC_MINOR;
	w->misc.name = w->name;
	w->misc.fops = &phys_legacy_fops;
	w->misc.mode = 0600;
	w->misc.groups = phys_groups;
	err = vmademo_window_take(w, text, memtype);
	if (err)
		goto free;
	w->inode = vmademo_inode_create(NULL);
	if (!w->inode) {
		pr_err("phys=: out of memory\n");
		err = -ENOMEM;
		goto free;
	}
	windows[n] = w;
	return 0;
free:
	window_free(w);
	return err;
}

/**
 * vmademo_phys_prepare() - check what windows are asked for, and take their memory
 * @list: "SIZE[@BASE],...", or "none"
 * @memtypes: "wb", "wc" or "uc" for each, separated by commas; or fewer
 * @way: "eager" or "lazy"
 *
 * Says in the log what was wrong; then nothing is kept.
 *
 * Context: May sleep.
 * Return: 0, or a negative errno.
 */
int __init vmademo_phys_prepare(const char *list, const char *memtypes,
				const char *way)
{
	char *copy, *types, *text, *rest, *rest_types;
	bool lazy = !strcmp(way, "lazy");
	unsigned int n = 0;
	int err = 0;

	if (!lazy && strcmp(way, "eager")) {
		pr_err("phys_map=%s: must be eager or lazy\n", way);
		return -EINVAL;
	}
	if (!strcmp(list, "none"))
		list = NULL;

	copy = kstrdup(list ?: "", GFP_KERNEL);
	types = kstrdup(memtypes, GFP_KERNEL);
	if (!copy || !types) {
		pr_err("phys=: out of memory\n");
		err = -ENOMEM;
	}
	rest = list ? copy : NULL;
	rest_types = types;
	while (!err && (text = strsep(&rest, ","))) {
		const char *type = rest_types ? strsep(&rest_types, ",") : "";

		if (n == MAX_WINDOWS) {
			pr_err("phys=: more than %d windows\n", MAX_WINDOWS);
			err = -EINVAL;
			break;
		}
		err = window_make(n, text, type, lazy);
		if (!err)
			n++;
	}
	if (!err && rest_types && (*rest_types || rest_types != types)) {
		pr_err("phys_memtype=: more types than windows: %s\n", rest_types);
		err = -EINVAL;
	}
	kfree(types);
	kfree(copy);
	if (err)
		vmademo_phys_unregister();
	return err;
}

/**
 * vmademo_phys_register() - make the nodes of the windows
 * @legacy_mmap: .mmap, even if the kernel has .mmap_prepare
 *
 * Says in the log what was wrong.
 *
 * Context: May sleep.
 * Return: 0, or a negative errno; then vmademo_phys_unregister() is due all the same.
 */
int __init vmademo_phys_register(bool legacy_mmap)
{
	unsigned int n;
	int err;

	for (n = 0; n < MAX_WINDOWS && windows[n]; n++) {
#ifdef VMADEMO_HAS_MMAP_PREPARE
		if (!legacy_mmap)
			windows[n]->misc.fops = &phys_prepare_fops;
#endif
		err = misc_register(&windows[n]->misc);
		if (err) {
			pr_err("failed to make %s: %pe\n", windows[n]->name,
			       ERR_PTR(err));
			return err;
		}
		windows[n]->registered = true;
	}
	return 0;
}

/**
 * vmademo_phys_unregister() - take the nodes away and give the memory back
 *
 * No file may be open; module references see to that.
 *
 * Context: May sleep.
 */
void vmademo_phys_unregister(void)
{
	unsigned int n;

	for (n = 0; n < MAX_WINDOWS && windows[n]; n++) {
		if (windows[n]->registered)
			misc_deregister(&windows[n]->misc);
		window_free(windows[n]);
		windows[n] = NULL;
	}
	vmademo_pci_exit();
}
