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

#include <linux/err.h>
#include <linux/file.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/pagemap.h>
#include <linux/rcupdate.h>
#include <linux/sysfs.h>

#include "rules.h"
#include "store/store.h"
#include "vmademo.h"

/*
 * A node can be opened from the moment it is registered, but an open file does not
 * keep a module whose init function fails.  So open() answers ENXIO until nothing
 * can fail any more.  Registering and opening a misc device exclude each other.
 */
bool vmademo_ready __read_mostly;

/* A pointer of its own tells that nobody said size= */
static const char default_size[] = "64M";
static char *size = (char *)default_size;
module_param(size, charp, 0444);
MODULE_PARM_DESC(size, "size of the buffer in bytes, with K, M or G (default 64M, or that of the file in store=)");

static char *store = "none";
module_param(store, charp, 0444);
MODULE_PARM_DESC(store, "what stands behind the buffer: none, ram, or the path of a file or block device (default none)");

static bool legacy_mmap;
module_param(legacy_mmap, bool, 0444);
MODULE_PARM_DESC(legacy_mmap, "use .mmap where the kernel has .mmap_prepare too (default 0)");

/* Shows what holds, not what was given; read when the module is loaded */
static int get_ram_limit(char *page, const struct kernel_param *param)
{
	return sysfs_emit(page, "%llu\n", (u64)vmademo_room_limit << PAGE_SHIFT);
}

static const struct kernel_param_ops ram_limit_ops = {
	.set = param_set_charp,
	.get = get_ram_limit,
	.free = param_free_charp,
};

static char *ram_limit;
module_param_cb(ram_limit, &ram_limit_ops, &ram_limit, 0444);
MODULE_PARM_DESC(ram_limit, "memory for all buffers together that cannot be reclaimed, in bytes, with K, M or G (default half of the memory)");

module_param_named(max_stores, vmademo_max_stores, uint, 0444);
MODULE_PARM_DESC(max_stores, "how many buffers with a store there can be besides the node's (default 1024)");

module_param_named(exec, vmademo_exec, bool, 0444);
MODULE_PARM_DESC(exec, "allow executing regular files of buffers, and mapping them PROT_EXEC; not for the node and mounted trees (default 0)");

static int get_folio_size(char *page, const struct kernel_param *param)
{
	return sysfs_emit(page, "%lu\n", PAGE_SIZE << vmademo_default_order);
}

static const struct kernel_param_ops folio_size_ops = {
	.set = param_set_charp,
	.get = get_folio_size,
	.free = param_free_charp,
};

static char *folio_bytes;
module_param_cb(folio_size, &folio_size_ops, &folio_bytes, 0444);
MODULE_PARM_DESC(folio_size, "bytes that a folio has at most, a power of two from one page to what one page table maps, 2M with pages of 4 KiB (default one page)");

static bool prealloc;
module_param(prealloc, bool, 0444);
MODULE_PARM_DESC(prealloc, "allocate all of the node's buffer when the module is loaded (default 0)");

static char *phys = "2M";
module_param_hw(phys, charp, iomem, 0400);	/* refused by kernel lockdown */
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
		pr_err("size=%s: not a number of bytes; expected digits, optionally with K, M or G\n",
		       size);
		return err;
	}
	if (err || bytes > VMADEMO_MAX_SIZE) {
		pr_err("size=%s: more than a file can have, %lld bytes\n", size,
		       (long long)VMADEMO_MAX_SIZE);
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

static int __init parse_ram_limit(void)
{
	u64 bytes = (u64)totalram_pages() << PAGE_SHIFT >> 1;

	if (ram_limit && (vmademo_parse_bytes(ram_limit, &bytes) || !bytes)) {
		pr_err("ram_limit=%s: not a number of bytes; expected digits, optionally with K, M or G\n",
		       ram_limit);
		return -EINVAL;
	}
	vmademo_room_limit = min_t(u64, bytes >> PAGE_SHIFT, LONG_MAX);
	return 0;
}

static int __init parse_folio_size(void)
{
	u64 bytes;

	if (!folio_bytes)
		return 0;
	if (!vmademo_parse_bytes(folio_bytes, &bytes) &&
	    !vmademo_parse_order(bytes, &vmademo_default_order))
		return 0;
	pr_err("folio_size=%s: must be a power of two from %lu to %lu\n", folio_bytes,
	       PAGE_SIZE, PAGE_SIZE << VMADEMO_MAX_ORDER);
	return -EINVAL;
}

/* After vmademo_super_init().  Sets the file, or NULL, and may change the size. */
static const struct vmademo_store_ops *__init parse_store(struct file **file,
							  loff_t *bytes)
{
	long err;

	*file = NULL;
	if (!strcmp(store, "none"))
		return &vmademo_store_none;
	if (!strcmp(store, "ram"))
		return &vmademo_store_ram;
	if (store[0] != '/') {
		pr_err("store=%s: must be none, ram, or a path that begins with /\n",
		       store);
		return ERR_PTR(-EINVAL);
	}
	*file = vmademo_store_file_open_name(store);
	if (IS_ERR(*file)) {
		err = PTR_ERR(*file);
		pr_err("store=%s: %s: %pe\n", store,
		       err == -EINVAL ? "not a file or block device that can be a store" :
					"cannot be opened", *file);
		return ERR_PTR(err);
	}
	if (size == default_size)
		*bytes = 0;
	err = vmademo_store_file_size(*file, bytes);
	if (!err && *bytes)
		return &vmademo_store_file;
	if (!err)
		pr_err("store=%s: is empty; give a size=\n", store);
	else
		pr_err("store=%s: has less than size=%s, and cannot grow to it: %pe\n",
		       store, size, ERR_PTR(err));
	fput(*file);
	return ERR_PTR(err ?: -EINVAL);
}

static int __init vmademo_init(void)
{
	const struct vmademo_store_ops *ops;
	struct file *file;
	loff_t bytes;
	int err;

	err = parse_size(&bytes);
	if (err)
		return err;
	err = parse_ram_limit() ?: parse_folio_size();
	if (err)
		return err;
	err = vmademo_ahead_init();
	if (err)
		return err;
	err = vmademo_super_init();
	if (err) {
		pr_err("failed to make a file system for buffers: %pe\n", ERR_PTR(err));
		return err;
	}
	vmademo_debugfs_init();
	/* Says itself what was wrong */
	err = vmademo_phys_prepare(phys, phys_memtype, phys_map);
	if (err)
		goto exit_super;
	vmademo_view_init(legacy_mmap);
	/* Says itself what was wrong */
	ops = parse_store(&file, &bytes);
	if (IS_ERR(ops)) {
		err = PTR_ERR(ops);
		goto free_windows;
	}
	err = vmademo_node_register(bytes, ops, file, legacy_mmap, prealloc);
	if (err) {
		pr_err("failed to make /dev/vmademo: %pe%s\n", ERR_PTR(err),
		       prealloc && (err == -ENOSPC || err == -ENOMEM) ?
		       ": no room for prealloc=1, see ram_limit" : "");
		goto free_windows;
	}
	err = vmademo_phys_register(legacy_mmap);
	if (err)
		goto unregister_node;
	/* Last, because nothing keeps it from being mounted at once */
	err = vmademo_tree_init();
	if (err) {
		pr_err("failed to register the file system: %pe\n", ERR_PTR(err));
		goto unregister_node;
	}
	WRITE_ONCE(vmademo_ready, true);
	pr_info("/dev/vmademo: %lld bytes, store %s\n", (long long)bytes, store);
	return 0;

unregister_node:
	vmademo_node_unregister();
	vmademo_phys_unregister();
	/*
	 * An open() that found a node has failed, but the kernel may still be about
	 * to let go of its file_operations, which lie in the module; and nothing
	 * waits for that when a load fails.  Before there was a node, nobody could
	 * come here.
	 */
	synchronize_rcu_tasks();
	goto exit_super;
free_windows:
	vmademo_phys_unregister();
exit_super:
	vmademo_super_exit();
	vmademo_rules_exit();
	vmademo_debugfs_exit();
	return err;
}

static void __exit vmademo_exit(void)
{
	vmademo_tree_exit();
	vmademo_phys_unregister();
	vmademo_node_unregister();
	vmademo_super_exit();
	vmademo_rules_exit();
	vmademo_debugfs_exit();
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
MODULE_VERSION("0.2.0");
