// SPDX-License-Identifier: GPL-2.0-only
/*
 * How many pages one fault maps: those around the page that is touched, too.  A fault costs
 * more than to make the page table entries of several pages.  (What would cost less still, to keep
 * whole page tables for the next process that maps the same, a module cannot do: the kernel
 * has no call for it.)
 *
 * By default it is as many as the kernel asks for, 64 KiB; twice as many each time that a
 * fault comes just behind what the last one mapped, up to all that one page table has;
 * with MADV_SEQUENTIAL that from the beginning, with MADV_RANDOM one page.
 *
 * Locks: none.  Called with the VMA locked for reading: two threads may write down
 * different things at once, and the next fault maps some pages more or fewer.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/init.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "vmademo.h"

/* In pages; 0 is as above. */
static unsigned int fixed;

/* What stands behind map_ahead= when the module is loaded; too long to be right, if cut. */
static char at_load[64] = "auto";
static bool loaded;

static int parse(const char *text, unsigned int *pages)
{
	u64 bytes = 0;

	if (strcmp(text, "auto") &&
	    (vmademo_parse_bytes(text, &bytes) || !is_power_of_2(bytes) ||
	     bytes < PAGE_SIZE || bytes > PMD_SIZE))
		return -EINVAL;
	*pages = bytes >> PAGE_SHIFT;
	return 0;
}

static int set_map_ahead(const char *text, const struct kernel_param *param)
{
	char word[sizeof(at_load)];
	unsigned int pages;
	int err;

	strscpy(word, text, sizeof(word));
	strim(word);	/* the newline */
	/* The kernel would have its own line in the log */
	if (!loaded) {
		strscpy(at_load, word, sizeof(at_load));
		return 0;
	}
	err = parse(word, &pages);
	if (!err)
		WRITE_ONCE(fixed, pages);
	return err;
}

static int get_map_ahead(char *page, const struct kernel_param *param)
{
	unsigned long pages = READ_ONCE(fixed);

	return pages ? sysfs_emit(page, "%lu\n", pages * PAGE_SIZE) :
		       sysfs_emit(page, "auto\n");
}

static const struct kernel_param_ops map_ahead_ops = {
	.set = set_map_ahead,
	.get = get_map_ahead,
};

module_param_cb(map_ahead, &map_ahead_ops, NULL, 0644);
MODULE_PARM_DESC(map_ahead, "bytes that one read fault maps, and any fault of a lazy window, with K or M; auto: as accesses come (default auto)");

/**
 * vmademo_ahead_init() - check what was said when the module was loaded
 *
 * Context: May sleep.
 * Return: 0, or -EINVAL with a line in the log.
 */
int __init vmademo_ahead_init(void)
{
	loaded = true;
	if (!parse(at_load, &fixed))
		return 0;
	pr_err("map_ahead=%s: must be auto, or a power of two from %lu to %lu\n",
	       at_load, PAGE_SIZE, PMD_SIZE);
	return -EINVAL;
}

/*
 * So many pages around the one that is touched, a power of two, aligned as the page table
 * is; as far as the page table and the VMA have them.
 */
static void around(struct vmademo_span *span, const struct vm_fault *vmf,
		   unsigned long pages)
{
	const struct vm_area_struct *vma = vmf->vma;
	unsigned long at = pte_index(vmf->address) & (pages - 1);

	span->first = vmf->pgoff - min(at, vmf->pgoff - vma->vm_pgoff);
	span->last = vmf->pgoff + min(pages - 1 - at,
				      ((vma->vm_end - vmf->address) >> PAGE_SHIFT) - 1);
}

/**
 * vmademo_span_all() - what a fault maps where that costs little a page
 * @span: set to it
 * @vmf: the fault
 *
 * Context: Any.
 */
void vmademo_span_all(struct vmademo_span *span, const struct vm_fault *vmf)
{
	unsigned int pages = READ_ONCE(fixed);

	if (!pages)
		pages = vmf->vma->vm_flags & VM_RAND_READ ? 1 : PTRS_PER_PTE;
	around(span, vmf, pages);
}

/*
 * What the last fault that mapped something left in the VMA: the page behind, and the
 * logarithm of how many it mapped.  vm_private_data is the driver's own, and starts as NULL.
 */
#define STREAM(next, order)	((next) << 4 | (order))
#define STREAM_ORDER(stream)	((stream) & 15)

/**
 * vmademo_span_begin() - what a read fault maps, as far as it is cached
 * @span: the pages that the kernel asks for; set to those to be mapped
 * @vmf: the fault
 *
 * Context: Any.
 */
void vmademo_span_begin(struct vmademo_span *span, const struct vm_fault *vmf)
{
	unsigned long stream = (unsigned long)READ_ONCE(vmf->vma->vm_private_data);
	unsigned int pages = READ_ONCE(fixed);

	span->order = ilog2(span->last - span->first + 1);
	span->likely = stream;
	if (pages) {
		around(span, vmf, pages);
	} else if (vmf->vma->vm_flags & VM_RAND_READ) {
		around(span, vmf, 1);
	} else if (vmf->vma->vm_flags & VM_SEQ_READ) {
		around(span, vmf, PTRS_PER_PTE);
	} else if (stream && stream == STREAM(vmf->pgoff, STREAM_ORDER(stream))) {
		/* Or it has come to where nothing is read in yet, and the span is long */
		span->likely = false;
		span->order = min_t(unsigned int, STREAM_ORDER(stream) + 1,
				    ilog2(PTRS_PER_PTE));
		around(span, vmf, 1UL << span->order);
	}
}

/**
 * vmademo_span_end() - note for the next fault what became of this one
 * @span: what vmademo_span_begin() said
 * @vmf: the fault
 * @mapped: the page that is touched was among those mapped
 *
 * Context: Any.
 */
void vmademo_span_end(const struct vmademo_span *span, const struct vm_fault *vmf,
		      bool mapped)
{
	WRITE_ONCE(vmf->vma->vm_private_data,
		   mapped ? (void *)STREAM(span->last + 1, span->order) : NULL);
}
