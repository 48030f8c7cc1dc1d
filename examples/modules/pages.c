// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device that is mapped, and whose memory is pages of the driver's own: /dev/vmademo-pages.
 *
 * For drivers that share memory with a program: a ring, a log, a frame buffer.  The pages need not
 * be contiguous, and come when they are touched.
 *
 * Shows: the smallest .fault; the reference that each mapped page needs; what happens to
 * a mapping that grows, and to a page that somebody still holds when the module is unloaded.
 *
 * Leaves out: read and write; .fsync, so that msync(MS_SYNC) is EINVAL; a size that changes; who
 * is to pay for the pages after the process has ended.  Nothing is ever written back: the
 * kernel counts none of it as dirty.
 *
 * Locks: takes none.  .fault is called with the mmap lock held for reading, so that many
 * may be here at once; it may sleep.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>

static unsigned int nr_pages = 16;
module_param_named(pages, nr_pages, uint, 0444);
MODULE_PARM_DESC(pages, "size of the device, in pages");

/* NULL: nobody has touched it yet.  A page that is there stays until the module goes. */
static struct page **pages;

/*
 * The page is named by vmf->pgoff.  The address tells nothing: after a partial munmap or with
 * an offset, vm_start is not page 0.
 */
static vm_fault_t pages_fault(struct vm_fault *vmf)
{
	struct page *page, *first;

	/* .mmap has checked the length, but mremap may have made it longer since */
	if (vmf->pgoff >= nr_pages)
		return VM_FAULT_SIGBUS;

	page = READ_ONCE(pages[vmf->pgoff]);
	if (!page) {
		/* Zeroed, or the program reads what others have left in it */
		page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
		if (!page)
			return VM_FAULT_OOM;
		/* Two may fault at once: the page of the first is everybody's */
		first = cmpxchg(&pages[vmf->pgoff], NULL, page);
		if (first) {
			put_page(page);
			page = first;
		}
	}

	/* The page table's reference: the kernel drops it when it unmaps the page */
	get_page(page);
	vmf->page = page;
	return 0;
}

/*
 * No .open and .close: nothing is kept for each mapping, and VMAs without .close are merged.
 * No .map_pages: it would tell newer kernels that .fault is content with the lock of the VMA.
 */
static const struct vm_operations_struct pages_vm_ops = {
	.fault	= pages_fault,
};

static int pages_mmap(struct file *file, struct vm_area_struct *vma)
{
	unsigned long len = vma_pages(vma);

	/* In pages, and without a sum: so nothing can wrap */
	if (len > nr_pages || vma->vm_pgoff > nr_pages - len)
		return -EINVAL;
	/* What the file was opened for, the kernel has checked already */
	vma->vm_ops = &pages_vm_ops;
	return 0;
}

static const struct file_operations pages_fops = {
	/* Each open file holds the module, and each mapping holds its file */
	.owner	= THIS_MODULE,
	.mmap	= pages_mmap,
};

static struct miscdevice pages_misc = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "vmademo-pages",
	.fops	= &pages_fops,
	.mode	= 0600,
};

static int __init pages_init(void)
{
	int err;

	if (!nr_pages)
		return -EINVAL;
	/* The number is the administrator's: too many are ENOMEM, without a warning */
	pages = kvcalloc(nr_pages, sizeof(*pages), GFP_KERNEL | __GFP_NOWARN);
	if (!pages)
		return -ENOMEM;
	/* Last: from here on it can be opened */
	err = misc_register(&pages_misc);
	if (err)
		kvfree(pages);
	return err;
}

static void __exit pages_exit(void)
{
	unsigned int i;

	misc_deregister(&pages_misc);
	/* Not mapped any more, but perhaps held: in a pipe by vmsplice, or by a device */
	for (i = 0; i < nr_pages; i++)
		if (pages[i])
			put_page(pages[i]);
	kvfree(pages);
}

module_init(pages_init);
module_exit(pages_exit);
MODULE_DESCRIPTION("Example: mmap of the driver's own pages");
MODULE_LICENSE("GPL");
