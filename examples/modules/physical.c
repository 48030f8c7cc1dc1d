// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device that is mapped, and whose memory is a range of physical addresses, as of /dev/mem:
 * /dev/vmademo-physical.
 *
 * For drivers of devices whose registers or memory a program uses.  To be safe on every machine,
 * this one maps memory that it has allocated itself.
 *
 * Shows: which offsets may be mapped; remap_pfn_range(), which makes all page table entries when
 * the mapping is made; the same by .mmap_prepare, the successor of .mmap.
 *
 * Leaves out: .access, for debuggers; .fsync, so that msync(MS_SYNC) is EINVAL; taking the memory
 * away while it is mapped, as when a device is unplugged.  The entries are bare page frame
 * numbers: the kernel refuses to pin them (O_DIRECT), to populate, and to grow the mapping.  On
 * x86 before Linux 6.16, a program cannot fork while it has a private mapping of which it has
 * written to the first page.
 *
 * Locks: takes none.  Both hooks are called with the mmap lock held for writing.
 */
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/version.h>

static unsigned int nr_pages = 16;
module_param_named(pages, nr_pages, uint, 0444);
MODULE_PARM_DESC(pages, "size of the device, in pages");

static void *memory;
static unsigned long first_pfn;	/* of a device: PHYS_PFN(pci_resource_start(pdev, bar)) */

/*
 * Is this part of the mapping ours?  mmap_mem() takes physical addresses for offsets, and must see
 * for itself that they do not wrap, that the processor has them, and that the program may see
 * them.  Offsets that begin with the range need one test; in pages, and without a sum, so that
 * nothing can wrap.
 */
static int physical_check(unsigned long pgoff, unsigned long len)
{
	return len > nr_pages || pgoff > nr_pages - len ? -EINVAL : 0;
}

static int physical_mmap(struct file *file, struct vm_area_struct *vma)
{
	int err = physical_check(vma->vm_pgoff, vma_pages(vma));

	if (err)
		return err;
	/*
	 * For registers: vma->vm_page_prot = pgprot_noncached(vma->vm_page_prot).  This sets VM_IO,
	 * VM_PFNMAP, VM_DONTEXPAND and VM_DONTDUMP.  A private mapping works, because it is
	 * remapped as a whole.
	 */
	if (remap_pfn_range(vma, vma->vm_start, first_pfn + vma->vm_pgoff,
			    vma->vm_end - vma->vm_start, vma->vm_page_prot))
		return -EAGAIN;
	return 0;
}

static const struct file_operations physical_fops = {
	.owner	= THIS_MODULE,	/* open files hold the module, and mappings hold their file */
	.mmap	= physical_mmap,
};

static struct miscdevice physical_misc = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "vmademo-physical",
	.fops	= &physical_fops,
	.mode	= 0600,
};

#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 2, 0) /* .mmap_prepare has its final form */
static bool legacy_mmap;
module_param(legacy_mmap, bool, 0444);
MODULE_PARM_DESC(legacy_mmap, "map by .mmap");

/* The VMA does not exist yet.  This only describes it; the kernel remaps it afterwards. */
static int physical_mmap_prepare(struct vm_area_desc *desc)
{
	int err = physical_check(desc->pgoff, vma_desc_size(desc) >> PAGE_SHIFT);

	if (err)
		return err;
	/* For registers: desc->page_prot = pgprot_noncached(desc->page_prot) */
	mmap_action_remap_full(desc, first_pfn + desc->pgoff);
	desc->action.error_override = -EAGAIN;
	return 0;
}

/* A file has exactly one of the two hooks. */
static const struct file_operations physical_prepare_fops = {
	.owner		= THIS_MODULE,
	.mmap_prepare	= physical_mmap_prepare,
};

static void __init physical_choose_hook(void)
{
	if (!legacy_mmap)
		physical_misc.fops = &physical_prepare_fops;
}
#else
static void __init physical_choose_hook(void) { }
#endif

static int __init physical_init(void)
{
	int err;

	if (!nr_pages)
		return -EINVAL;
	/* Zeroed, or the program reads what others have left in it */
	memory = alloc_pages_exact(array_size(nr_pages, PAGE_SIZE),
				   GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN);
	if (!memory)
		return -ENOMEM;
	first_pfn = PHYS_PFN(virt_to_phys(memory));
	physical_choose_hook();
	err = misc_register(&physical_misc);	/* last: it can be opened now */
	if (err)
		free_pages_exact(memory, array_size(nr_pages, PAGE_SIZE));
	return err;
}

static void __exit physical_exit(void)
{
	misc_deregister(&physical_misc);
	/* Nobody maps it any more: with bare page frame numbers, no reference would save it */
	free_pages_exact(memory, array_size(nr_pages, PAGE_SIZE));
}

module_init(physical_init);
module_exit(physical_exit);
MODULE_DESCRIPTION("Example: mmap of physical memory");
MODULE_LICENSE("GPL");
