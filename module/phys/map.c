// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mapping a physical window, in two ways.
 *
 * Eager, as drivers/char/mem.c maps /dev/mem: the checks of mmap_mem(), then
 * remap_pfn_range() makes all page table entries at mmap time.  There is no fault
 * to handle.
 *
 * Up to Linux 6.15, one remap_pfn_range() over a whole VMA makes x86 reserve the
 * memory type of the range and mark the VMA (VM_PAT).  The mark is no count: after
 * the program unmaps, protects or moves a part, the reservation stays until reboot;
 * and two that zap at once free it twice.  The window has reserved its type itself
 * (claim.c), so a shared mapping of a device is made in two pieces, which only look
 * the type up.  A private one cannot be made in pieces, and is refused there.  For
 * RAM nothing is reserved: the mark is taken off.
 *
 * Lazy: mmap only marks the VMA; .fault and .huge_fault make entries when one is
 * touched, of 2 MiB where address and window allow it and the kernel can (6.12
 * and newer), and otherwise all that one page table has.  What is large is mapped like
 * this.
 *
 * Either way the entries are bare page frame numbers (VM_PFNMAP): no page is
 * referenced or counted through them.  So O_DIRECT, which wants to hold pages, is
 * refused, and the mapping must be gone before the memory is.
 *
 * Locks: mmap lock or VMA lock (held by the kernel), then the window's lock, then
 * page table locks.
 */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/mm.h>

#include "compat.h"
#include "phys/phys.h"
#include "phys/check.h"
#include "trace.h"
#include "vmademo.h"

/**
 * vmademo_phys_bits() - how many bits a physical address has
 *
 * (The kernel's own check, valid_mmap_phys_addr_range(), is not exported.)
 *
 * Context: Any.
 * Return: bits.
 */
unsigned int vmademo_phys_bits(void)
{
#ifdef CONFIG_X86
	return boot_cpu_data.x86_phys_bits;
#elif defined(PHYS_MASK_SHIFT)
	return PHYS_MASK_SHIFT;	/* arm64: what page tables have room for */
#else
	return 8 * sizeof(phys_addr_t);
#endif
}

/*
 * The window's kernel mapping has set the memory type; x86 gives every other
 * mapping the same, whatever is asked.  Ask for it all the same: elsewhere the
 * entry is what counts, and two types for one memory corrupt it.
 */
static pgprot_t window_prot(const struct vmademo_window *w, pgprot_t prot)
{
	/* A device sees plain bytes, also where memory is encrypted */
	if (!w->own)
		prot = pgprot_decrypted(prot);
	switch (w->memtype) {
	case VMADEMO_UC:
		return pgprot_device(prot);	/* as ioremap() */
	case VMADEMO_WC:
		return pgprot_writecombine(prot);
	default:
		return prot;
	}
}

/* Private, and not just because it was opened to be read only. */
static bool makes_copies(const struct vm_area_struct *vma)
{
	return (vma->vm_flags & (VM_SHARED | VM_MAYWRITE)) == VM_MAYWRITE;
}

/*
 * The checks of mmap_mem() in their order; and one before them, because a window
 * can go away.  @private: a mapping whose writes go to copies.
 */
static int phys_mmap_check(const struct file *file, unsigned long pgoff,
			   unsigned long size, bool private)
{
	struct vmademo_window *w = vmademo_window_of(file);
	/*
	 * vmf_insert_pfn() is a BUG in a VMA where writes make copies: the kernel
	 * could not tell a copy from a bare page frame.  remap_pfn_range() over
	 * the whole VMA leaves the first frame number in vm_pgoff, which tells.
	 */
	bool private_ok = !private ||
			  (!w->lazy && (w->own || !VMADEMO_REMAP_MARKS_VMA));
	int err;

	if (READ_ONCE(w->revoked))
		return -ENODEV;
	err = vmademo_phys_check(w->base, w->bytes, vmademo_phys_bits(),
				 PAGE_SHIFT, pgoff, size, private_ok);
	if (err)
		return err;
	/* /proc/PID/maps shows vm_pgoff: the physical address, if it is private */
	if (private && !capable(CAP_SYS_RAWIO))
		return -EPERM;
	/*
	 * O_DSYNC asks for uncached access, as on /dev/mem, where x86 answers by
	 * the kind of memory: another type, a warning, EAGAIN.  Memory has one
	 * type, to map it with two loses writes: so it is refused here.
	 */
	if (file->f_flags & O_DSYNC && w->memtype != VMADEMO_UC)
		return -EINVAL;
	return 0;
}

/*
 * vm_private_data marks a VMA that is counted.  If remapping fails, a VMA made by
 * .mmap_prepare is closed without ever having been counted.
 */
static void phys_vma_open(struct vm_area_struct *vma)
{
	struct vmademo_window *w = vmademo_window_of(vma->vm_file);

	atomic_long_inc(&w->mappings);
	vma->vm_private_data = w;
	trace_vmademo_vma_open(w->misc.minor, vma->vm_start, vma->vm_end);
}

static void phys_vma_close(struct vm_area_struct *vma)
{
	struct vmademo_window *w = vma->vm_private_data;

	if (!w)
		return;
	atomic_long_dec(&w->mappings);
	trace_vmademo_vma_close(w->misc.minor, vma->vm_start, vma->vm_end);
	vmademo_forget_mmap(w, vma->vm_mm);
}

#ifdef VMADEMO_HAS_MMAP_PREPARE
/* The entries are made.  A revocation that came in between did not see them. */
static int phys_vma_mapped(unsigned long start, unsigned long end,
			   pgoff_t pgoff, const struct file *file,
			   void **private_data)
{
	struct vmademo_window *w = vmademo_window_of(file);

	if (READ_ONCE(w->revoked))
		return -ENODEV;
	atomic_long_inc(&w->mappings);
	*private_data = w;
	trace_vmademo_vma_open(w->misc.minor, start, end);
	return 0;
}
#endif

/* Where in the window an address of a mapping is, in bytes. */
static u64 window_offset(const struct vm_area_struct *vma, unsigned long addr)
{
	return ((u64)vma->vm_pgoff << PAGE_SHIFT) + (addr - vma->vm_start);
}

/*
 * For ptrace and /proc/PID/mem, which cannot get at a page.  generic_access_phys()
 * follows the page table: it does not see what was not touched yet, and warns and
 * fails on RAM.  A private mapping may have copies, which only the page table knows.
 */
static int phys_access(struct vm_area_struct *vma, unsigned long addr, void *buf,
		       int len, int write)
{
	struct vmademo_window *w = vmademo_window_of(vma->vm_file);

	if (makes_copies(vma))
		return -EINVAL;
	if (write && !(vma->vm_flags & VM_WRITE))
		return -EINVAL;
	/* More may be asked for than the VMA has: the caller comes again */
	len = min_t(int, len, PAGE_SIZE - offset_in_page(addr));
	return vmademo_window_copy(w, window_offset(vma, addr), buf, len, write) ?: len;
}

static const struct vm_operations_struct phys_eager_ops = {
#ifdef VMADEMO_HAS_MMAP_PREPARE
	.mapped	= phys_vma_mapped,
#endif
	.open	= phys_vma_open,
	.close	= phys_vma_close,
	.access	= phys_access,
	/* No .fault: where there is no entry any more, the kernel says SIGBUS */
};

struct neighbours {
	struct mm_struct *mm;
	unsigned long ahead;	/* from page of addresses to page of memory */
	bool known;
	pgprot_t prot;
};

/* The kernel has found out what an entry for this memory is like. */
static int look_at_entry(pte_t *pte, unsigned long addr, void *arg)
{
	struct neighbours *n = arg;

	if (pte_present(*pte)) {
		n->prot = pte_pgprot(*pte);
		n->known = true;
	}
	return 0;
}

static int make_neighbour(pte_t *pte, unsigned long addr, void *arg)
{
	const struct neighbours *n = arg;
	unsigned long pfn = PHYS_PFN(addr) + n->ahead;

	if (pte_none(*pte))
		set_pte_at(n->mm, addr, pte, pte_mkspecial(pfn_pte(pfn, n->prot)));
	return 0;
}

/*
 * A fault costs as much as some thirty entries: so all are made that the page table has.
 * Nothing is lost if this fails: the next fault makes its own.
 */
static void make_neighbours(struct vmademo_window *w, struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct neighbours n = { .mm = vma->vm_mm };
	struct vmademo_span span;
	unsigned long start, bytes;

	vmademo_span_all(&span, vmf);
	if (span.first == span.last)
		return;
	start = vmf->address - ((vmf->pgoff - span.first) << PAGE_SHIFT);
	n.ahead = PHYS_PFN(w->base) + span.first - PHYS_PFN(start);
	bytes = (span.last - span.first + 1) << PAGE_SHIFT;
	if (!apply_to_page_range(n.mm, vmf->address, PAGE_SIZE, look_at_entry, &n) &&
	    n.known)
		apply_to_page_range(n.mm, start, bytes, make_neighbour, &n);
}

/*
 * With only the VMA lock held, another thread may just have got one by .huge_fault: whether
 * the kernel calls that first can change at any time (PR_SET_THP_DISABLE).  The window's lock
 * keeps it so.
 */
static bool has_large_entry(const struct vm_fault *vmf)
{
#ifdef VMADEMO_HAS_HUGE_PFN
	return pmd_leaf(pmdp_get_lockless(vmf->pmd));
#else
	return false;
#endif
}

/* For whoever traces: what the fault came to, and how long it took since @begin (0: not known). */
static vm_fault_t traced(struct vmademo_window *w, struct vm_fault *vmf, vm_fault_t ret,
			 u64 begin)
{
	trace_vmademo_fault(w->inode->i_ino, vmf->pgoff, vmf->address, vmf->flags, ret,
			    begin ? ktime_get_ns() - begin : 0);
	return ret;
}

/* Makes the entry for one page, and for those around it. */
static vm_fault_t phys_fault(struct vm_fault *vmf)
{
	const u64 begin = vmademo_begin(trace_vmademo_fault_enabled());
	struct vm_area_struct *vma = vmf->vma;
	struct vmademo_window *w = vmademo_window_of(vma->vm_file);
	vm_fault_t ret = VM_FAULT_SIGBUS;
	/* Or a second fault would make it writable at once */
	bool write = vmf->flags & FAULT_FLAG_WRITE;
	pgprot_t prot = write ? window_prot(w, vm_get_page_prot(vma->vm_flags)) :
				vma->vm_page_prot;

	atomic64_inc(&w->faults);
	down_read(&w->lock);
	if (has_large_entry(vmf)) {
		ret = VM_FAULT_NOPAGE;	/* not by us */
	} else if (!w->revoked) {
		ret = vmf_insert_pfn_prot(vma, vmf->address,
					  PHYS_PFN(w->base) + vmf->pgoff, prot);
		if (ret == VM_FAULT_NOPAGE) {
			make_neighbours(w, vmf);
			if (write)
				atomic64_inc(&w->first_writes);
		}
	}
	up_read(&w->lock);
	return traced(w, vmf, ret, begin);
}

/*
 * Nothing is cached that could be mapped here.  But that there is a .map_pages tells newer
 * kernels that .fault is content with the VMA lock; see fault.c.
 */
static vm_fault_t phys_map_pages(struct vm_fault *vmf, pgoff_t start, pgoff_t end)
{
	return 0;
}

#ifdef VMADEMO_HAS_HUGE_PFN
/*
 * Makes an entry for 2 MiB, if both ends of the mapping and the window allow it;
 * VM_FAULT_FALLBACK asks the kernel to call .fault instead.  Called again when an
 * entry that may only be read is written to.
 */
static vm_fault_t phys_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	const u64 begin = vmademo_begin(trace_vmademo_fault_enabled());
	struct vm_area_struct *vma = vmf->vma;
	struct vmademo_window *w = vmademo_window_of(vma->vm_file);
	unsigned long addr = vmf->address & PMD_MASK;
	bool write = vmf->flags & FAULT_FLAG_WRITE;
	vm_fault_t ret = VM_FAULT_SIGBUS;
	unsigned long pfn;
	pmd_t pmd;

	if (order != PMD_SHIFT - PAGE_SHIFT || addr < vma->vm_start ||
	    addr + PMD_SIZE > vma->vm_end)
		return VM_FAULT_FALLBACK;
	pfn = PHYS_PFN(w->base + window_offset(vma, addr));
	if (pfn & (PHYS_PFN(PMD_SIZE) - 1))
		return VM_FAULT_FALLBACK;

	atomic64_inc(&w->faults);
	/* For writing: .fault may just be making a page table here */
	down_write(&w->lock);
	pmd = pmdp_get_lockless(vmf->pmd);
	if (!pmd_none(pmd) && !pmd_leaf(pmd))
		ret = VM_FAULT_FALLBACK;
	else if (!w->revoked)
		ret = vmademo_insert_huge_pfn(vmf, pfn, write);
	up_write(&w->lock);
	if (ret == VM_FAULT_NOPAGE) {
		atomic64_inc(&w->huge_faults);
		if (write)
			atomic64_inc(&w->first_writes);
	}
	return traced(w, vmf, ret, begin);
}
#endif

/* The first write to a page whose entry allows reading only. */
static vm_fault_t phys_pfn_mkwrite(struct vm_fault *vmf)
{
	struct vmademo_window *w = vmademo_window_of(vmf->vma->vm_file);

	if (READ_ONCE(w->revoked))
		return VM_FAULT_SIGBUS;
	atomic64_inc(&w->first_writes);
	return 0;	/* go on: make it writable */
}

static const struct vm_operations_struct phys_lazy_ops = {
#ifdef VMADEMO_HAS_MMAP_PREPARE
	.mapped		= phys_vma_mapped,
#endif
	.open		= phys_vma_open,
	.close		= phys_vma_close,
	.fault		= phys_fault,
	.map_pages	= phys_map_pages,
#ifdef VMADEMO_HAS_HUGE_PFN
	.huge_fault	= phys_huge_fault,
#endif
	.pfn_mkwrite	= phys_pfn_mkwrite,
	.access		= phys_access,
};

/*
 * Makes all entries of a VMA; what is made before an error, the kernel undoes.  In
 * pieces only where it must be: there the kernel looks up the type of each page.
 */
static int phys_mmap_eager(struct vmademo_window *w, struct vm_area_struct *vma,
			   size_t size)
{
	unsigned long pfn = PHYS_PFN(w->base) + vma->vm_pgoff;
	int err;

	if (w->own || !VMADEMO_REMAP_MARKS_VMA) {
		err = remap_pfn_range(vma, vma->vm_start, pfn, size,
				      vma->vm_page_prot);
		vmademo_forget_memtype(vma);
		return err;
	}
	/* The flags that remap_pfn_range() sets */
	vmademo_vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	if (vmf_insert_pfn(vma, vma->vm_start, pfn) != VM_FAULT_NOPAGE)
		return -ENOMEM;
	if (size == PAGE_SIZE)
		return 0;
	return remap_pfn_range(vma, vma->vm_start + PAGE_SIZE, pfn + 1,
			       size - PAGE_SIZE, vma->vm_page_prot);
}

/**
 * vmademo_phys_mmap() - map a part of a window
 * @file: an open node
 * @vma: the new mapping
 *
 * Context: Called with the mmap lock held for writing.
 * Return: 0; -EINVAL, -EPERM, -EAGAIN as mmap_mem(); -ENODEV if it was revoked
 *         (-EAGAIN by the other hook, if that happens meanwhile).
 */
int vmademo_phys_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct vmademo_window *w = vmademo_window_of(file);
	size_t size = vma->vm_end - vma->vm_start;
	bool private = makes_copies(vma);
	int err;

	if (!w->lazy && vmademo_note_mmap(w, vma->vm_mm))
		return -EAGAIN;
	/* After that: whoever revokes it now waits, or it is seen here */
	err = phys_mmap_check(file, vma->vm_pgoff, size, private);
	if (err)
		goto forget;
	/*
	 * The window's lock would keep nothing off here: .fault asks again.  And
	 * it must not be held, for to set flags locks the VMA.
	 */
	vma->vm_page_prot = window_prot(w, vma->vm_page_prot);
	if (w->lazy) {
		vmademo_vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND |
				     VM_DONTDUMP);
		vma->vm_ops = &phys_lazy_ops;
	} else {
		vma->vm_ops = &phys_eager_ops;
		if (phys_mmap_eager(w, vma, size)) {
			err = -EAGAIN;
			goto forget;
		}
	}
	phys_vma_open(vma);	/* .open is not called for the first one */
	return 0;
forget:
	if (!w->lazy)
		vmademo_forget_mmap(w, vma->vm_mm);
	return err;
}

#ifdef VMADEMO_HAS_MMAP_PREPARE
/**
 * vmademo_phys_mmap_prepare() - the same by the other hook; see mmap.c
 * @desc: the mapping to be
 *
 * Context: Called with the mmap lock held for writing.
 * Return: as vmademo_phys_mmap().
 */
int vmademo_phys_mmap_prepare(struct vm_area_desc *desc)
{
	struct vmademo_window *w = vmademo_window_of(desc->file);
	int err = phys_mmap_check(desc->file, desc->pgoff, vma_desc_size(desc),
				  !vma_desc_test(desc, VMA_SHARED_BIT) &&
				  vma_desc_test(desc, VMA_MAYWRITE_BIT));

	if (err)
		return err;
	desc->page_prot = window_prot(w, desc->page_prot);
	if (w->lazy) {
		vma_desc_set_flags(desc, VMA_IO_BIT, VMA_PFNMAP_BIT,
				   VMA_DONTEXPAND_BIT, VMA_DONTDUMP_BIT);
		desc->vm_ops = &phys_lazy_ops;
	} else {
		desc->vm_ops = &phys_eager_ops;
		mmap_action_remap_full(desc, PHYS_PFN(w->base) + desc->pgoff);
		desc->action.error_override = -EAGAIN;
	}
	return 0;
}
#endif
