// SPDX-License-Identifier: GPL-2.0-only
/*
 * vmademo: a device of known behaviour to map.  Load, unload, parameters.
 *
 * Parameters are checked before any node is made.  A bad one refuses the load with
 * one line in the log that says what was wrong.
 *
 * Locks: none.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/pagemap.h>
#include <linux/rcupdate.h>

#include "vmademo.h"

/*
 * A node can be opened from the moment it is registered, but an open file does not
 * keep a module whose init function fails.  So open() answers ENXIO until nothing
 * can fail any more.  Registering and opening a misc device exclude each other.
 */
bool vmademo_ready __read_mostly;

static char *size = "64M";
module_param(size, charp, 0444);
MODULE_PARM_DESC(size, "size of the buffer in bytes, with K, M or G (default 64M)");

static bool legacy_mmap;
module_param(legacy_mmap, bool, 0444);
MODULE_PARM_DESC(legacy_mmap, "use .mmap where the kernel has .mmap_prepare too (default 0)");

static char *phys = "2M";
module_param(phys, charp, 0400);	/* physical addresses */
MODULE_PARM_DESC(phys, "physical windows, SIZE@BASE,...; SIZE alone: memory of the module's own; none (default 2M)");

static char *phys_memtype = "";
module_param(phys_memtype, charp, 0444);
MODULE_PARM_DESC(phys_memtype, "wb, wc or uc,... for each window (default wb)");

static char *phys_map = "eager";
module_param(phys_map, charp, 0444);
MODULE_PARM_DESC(phys_map, "eager: windows are mapped at once; lazy: when touched (default eager)");

static int parse_size(loff_t *result)
{
	u64 bytes;
	int err = vmademo_parse_bytes(size, &bytes);

	if (err == -EINVAL) {
		pr_err("size=%s: not a number of bytes, with K, M, G or nothing behind it\n",
		       size);
		return err;
	}
	if (err || bytes > MAX_LFS_FILESIZE) {
		pr_err("size=%s: more than a file can have, %lld bytes\n", size,
		       (long long)MAX_LFS_FILESIZE);
		return -EINVAL;
	}
	if (!bytes || bytes % PAGE_SIZE) {
		pr_err("size=%s: must be one or more whole pages of %lu bytes\n",
		       size, PAGE_SIZE);
		return -EINVAL;
	}
	*result = bytes;
	return 0;
}

static int __init vmademo_init(void)
{
	loff_t bytes;
	int err;

	err = parse_size(&bytes);
	if (err)
		return err;
	err = vmademo_buffers_init();
	if (err) {
		pr_err("no file system for buffers: error %d\n", err);
		return err;
	}
	/* Says itself what was wrong */
	err = vmademo_phys_prepare(phys, phys_memtype, phys_map);
	if (err)
		goto exit_buffers;
	vmademo_file_init(legacy_mmap);
	err = vmademo_node_register(bytes, legacy_mmap);
	if (err) {
		pr_err("/dev/vmademo: not made: error %d\n", err);
		goto free_windows;
	}
	err = vmademo_phys_register(legacy_mmap);
	if (err)
		goto unregister_node;
	WRITE_ONCE(vmademo_ready, true);
	pr_info("/dev/vmademo: %lld bytes, store none\n", (long long)bytes);
	return 0;

unregister_node:
	vmademo_node_unregister();
free_windows:
	vmademo_phys_unregister();
exit_buffers:
	vmademo_buffers_exit();
	return err;
}

static void __exit vmademo_exit(void)
{
	vmademo_phys_unregister();
	vmademo_node_unregister();
	vmademo_buffers_exit();
	/*
	 * A fault that returned VM_FAULT_RETRY gave up its hold on the module
	 * inside filemap_fault(); the last instructions of vmademo_fault() may
	 * still be ahead of it.  This waits until every task has left them.
	 */
	synchronize_rcu_tasks();
}

module_init(vmademo_init);
module_exit(vmademo_exit);

MODULE_DESCRIPTION("A device of known behaviour to map");
MODULE_AUTHOR("The vmademo developers");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
