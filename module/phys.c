// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/vmademo-phys0: a window of physical memory, mapped as
 * drivers/char/mem.c maps /dev/mem: the same checks, in the same order, with
 * the same error codes, then remap_pfn_range() over the whole mapping.  It sets
 * all page table entries at mmap time, so there is no fault to handle.  The
 * entries are bare page frame numbers: no page is referenced or counted through
 * them, and so none of these mappings can be used for O_DIRECT.
 *
 * The window is memory that the module allocates.  Offset 0 of the node is the
 * window's first byte.
 *
 * Lifetime: the pages are freed after the node is gone.  Each mapping holds its
 * file and each file the module, so no mapping is left then.
 *
 * Locks: none.
 */
#include <linux/capability.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/security.h>
#include <linux/sizes.h>
#include <linux/sysfs.h>

#include "compat.h"
#include "vmademo.h"

#define WINDOW_BYTES	SZ_2M

static struct {
	struct page *pages;	/* the first of WINDOW_BYTES / PAGE_SIZE */
	phys_addr_t base;
	atomic_long_t mappings;	/* VMAs that map the window now */
} window;

static int phys_open(struct inode *inode, struct file *file)
{
	if (!READ_ONCE(vmademo_ready))
		return -ENXIO;
	if (!capable(CAP_SYS_RAWIO))
		return -EPERM;
	/* Leave it to phys_mmap_check() to judge the offset, all of it */
	vmademo_allow_unsigned_offset(file);
	return security_locked_down(LOCKDOWN_DEV_MEM);
}

/*
 * vm_private_data marks a VMA that is counted.  If remapping fails, a VMA made by
 * .mmap_prepare is closed without ever having been counted.
 */
static void phys_vma_open(struct vm_area_struct *vma)
{
	atomic_long_inc(&window.mappings);
	vma->vm_private_data = &window;
}

static void phys_vma_close(struct vm_area_struct *vma)
{
	if (vma->vm_private_data)
		atomic_long_dec(&window.mappings);
}

#ifdef VMADEMO_HAS_MMAP_PREPARE
static int phys_vma_mapped(unsigned long start, unsigned long end,
			   pgoff_t pgoff, const struct file *file,
			   void **private_data)
{
	atomic_long_inc(&window.mappings);
	*private_data = &window;
	return 0;
}
#endif

static const struct vm_operations_struct phys_vm_ops = {
#ifdef VMADEMO_HAS_MMAP_PREPARE
	.mapped	= phys_vma_mapped,
#endif
	.open	= phys_vma_open,
	.close	= phys_vma_close,
};

/* Can the processor address @last at all?  (Not exported by the kernel.) */
static bool phys_addr_ok(phys_addr_t last)
{
#ifdef CONFIG_X86
	return !(last >> boot_cpu_data.x86_phys_bits);
#else
	return true;
#endif
}

/* The checks of mmap_mem(), for a window at @base. */
static int phys_mmap_check(phys_addr_t base, unsigned long pgoff, size_t size)
{
	phys_addr_t offset = (phys_addr_t)pgoff << PAGE_SHIFT;
	phys_addr_t first = base + offset;

	/* The offset must fit, or a high page would be mapped as a low one */
	if (offset >> PAGE_SHIFT != pgoff)
		return -EINVAL;
	/* No wrap: the end would seem to lie below the limit */
	if (first < offset || first + size - 1 < first)
		return -EINVAL;
	/* An address that is too wide would set reserved page table bits */
	if (!phys_addr_ok(first + size - 1))
		return -EINVAL;
	/* Not our memory */
	if (offset + size > WINDOW_BYTES)
		return -EPERM;
	return 0;
}

static int phys_mmap(struct file *file, struct vm_area_struct *vma)
{
	size_t size = vma->vm_end - vma->vm_start;
	int err = phys_mmap_check(window.base, vma->vm_pgoff, size);

	if (err)
		return err;
	vma->vm_ops = &phys_vm_ops;
	/*
	 * Sets VM_IO, VM_PFNMAP, VM_DONTEXPAND and VM_DONTDUMP.  One call for
	 * the whole VMA: a private mapping is refused in pieces, and on x86
	 * each piece would look its memory type up page by page.
	 */
	if (remap_pfn_range(vma, vma->vm_start,
			    PHYS_PFN(window.base) + vma->vm_pgoff, size,
			    vma->vm_page_prot))
		return -EAGAIN;
	phys_vma_open(vma);	/* .open is not called for the first one */
	return 0;
}

/* The same by the other door; fault.c says what the difference is. */
#ifdef VMADEMO_HAS_MMAP_PREPARE
static int phys_mmap_prepare(struct vm_area_desc *desc)
{
	int err = phys_mmap_check(window.base, desc->pgoff,
				  vma_desc_size(desc));

	if (err)
		return err;
	desc->vm_ops = &phys_vm_ops;
	mmap_action_remap_full(desc, PHYS_PFN(window.base) + desc->pgoff);
	desc->action.error_override = -EAGAIN;
	return 0;
}
#endif

/* Not const, because which .mmap it has is chosen when the module is loaded */
static struct file_operations phys_fops __ro_after_init = {
	.owner		= THIS_MODULE,
	.open		= phys_open,
	.mmap		= phys_mmap,
	VMADEMO_UNSIGNED_OFFSET
	.get_unmapped_area = thp_get_unmapped_area,
};

static ssize_t size_show(struct device *dev, struct device_attribute *attr,
			 char *page)
{
	return sysfs_emit(page, "%u\n", WINDOW_BYTES);
}
static DEVICE_ATTR_RO(size);

static ssize_t mappings_show(struct device *dev, struct device_attribute *attr,
			     char *page)
{
	return sysfs_emit(page, "%ld\n", atomic_long_read(&window.mappings));
}
static DEVICE_ATTR_RO(mappings);

static struct attribute *phys_attrs[] = {
	&dev_attr_size.attr,
	&dev_attr_mappings.attr,
	NULL
};
ATTRIBUTE_GROUPS(phys);

static struct miscdevice phys_misc = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "vmademo-phys0",
	.fops	= &phys_fops,
	.mode	= 0600,
	.groups	= phys_groups,
};

/**
 * vmademo_phys_register() - allocate the window and make its node
 * @legacy_mmap: .mmap, even if the kernel has .mmap_prepare
 *
 * Context: May sleep.
 * Return: 0, or a negative errno.
 */
int __init vmademo_phys_register(bool legacy_mmap)
{
	int err;

	if (!legacy_mmap)
		vmademo_use_mmap_prepare(&phys_fops, phys_mmap_prepare);
	window.pages = alloc_pages(GFP_KERNEL | __GFP_ZERO,
				   get_order(WINDOW_BYTES));
	if (!window.pages)
		return -ENOMEM;
	window.base = page_to_phys(window.pages);
	err = misc_register(&phys_misc);
	if (err)
		__free_pages(window.pages, get_order(WINDOW_BYTES));
	return err;
}

/**
 * vmademo_phys_unregister() - take the node away and free the window
 *
 * No file may be open; module references see to that.
 *
 * Context: May sleep.
 */
void vmademo_phys_unregister(void)
{
	misc_deregister(&phys_misc);
	__free_pages(window.pages, get_order(WINDOW_BYTES));
}
