// SPDX-License-Identifier: GPL-2.0-only
/*
 * The vm_operations of a mapping of a buffer.  Read it from the bottom: the table
 * says what the kernel may ask of a mapping; mmap.c installs it.
 *
 * The life of a page, as a program makes it happen in a shared mapping:
 *
 *   read, not cached       .map_pages declines, .fault makes a zeroed folio and hands
 *                          it over, or has it read in from the store (which takes the fault a
 *                          second time, unless it is a large folio of store ram)
 *   read, cached           .map_pages maps some pages around (ahead.c); no .fault
 *   the same, of 2 MiB     .huge_fault maps all of it, where huge pages are asked for
 *   write, not mapped      .fault, then .page_mkwrite: the folio is dirty
 *   write, mapped to read  .page_mkwrite only
 *   write, after msync     .page_mkwrite again: cleaning write-protected it
 *   touch beyond the end   .fault answers SIGBUS
 *
 * Pages are always named by vmf->pgoff.  The address tells nothing: after a
 * partial munmap or a mapping at an offset, vm_start is not page 0.
 *
 * Locks: called with the mmap lock or, by newer kernels, only the VMA lock held,
 * so nothing here may look at other VMAs.  Takes the mapping's invalidate lock
 * (shared), then the folio lock.  Must not take i_rwsem: write(2) faults on its
 * user buffer while it holds that.
 */
#include <linux/file.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "compat.h"
#include "rules.h"
#include "store/store.h"
#include "trace.h"
#include "vmademo.h"

static enum vmademo_counter fault_kind(const struct vm_fault *vmf)
{
	if (!(vmf->flags & FAULT_FLAG_WRITE))
		return VMADEMO_READ_FAULTS;
	if (vmf->vma->vm_flags & VM_SHARED)
		return VMADEMO_WRITE_FAULTS;
	return VMADEMO_COW_FAULTS;
}

/* What a fault has seen that began when there was no rule. */
static const struct vmademo_rule_seen no_rules;

/* What rules call the same. */
static unsigned int fault_op(const struct vm_fault *vmf)
{
	switch (fault_kind(vmf)) {
	case VMADEMO_READ_FAULTS:
		return VMADEMO_OP_READ_FAULT;
	case VMADEMO_WRITE_FAULTS:
		return VMADEMO_OP_WRITE_FAULT;
	default:
		return VMADEMO_OP_COW_FAULT;
	}
}

/**
 * vmademo_fault_order() - how large a folio may be that a fault makes
 * @vmf: the fault
 * @buf: the buffer
 *
 * Context: Any.
 * Return: the logarithm of so many pages.
 */
unsigned int vmademo_fault_order(const struct vm_fault *vmf, const struct vmademo_buffer *buf)
{
	const unsigned long flags = vmf->vma->vm_flags;

	if (likely(!(flags & (VM_HUGEPAGE | VM_NOHUGEPAGE))))
		return buf->order;
	if (flags & VM_NOHUGEPAGE)
		return 0;
	/* If it says single pages, a store's page cache knows of no large folios */
	return buf->order || !buf->store->read ? VMADEMO_MAX_ORDER : 0;
}

/* Without a store, a page that is not cached is new. */
static __always_inline vm_fault_t new_page(struct vm_fault *vmf,
					   struct vmademo_buffer *buf)
{
	struct folio *folio = vmademo_make_folio(buf->inode->i_mapping, vmf->pgoff,
						 vmf->gfp_mask, vmademo_fault_order(vmf, buf));

	if (!folio)
		return 0;
	/* No memory is OOM; no room raises SIGBUS, as on a full tmpfs */
	if (IS_ERR(folio))
		return vmf_error(PTR_ERR(folio));
	vmf->page = folio_file_page(folio, vmf->pgoff);
	return VM_FAULT_LOCKED;
}

/* The page of a fault, made, found, or read in by .readahead or .read_folio. */
static __always_inline vm_fault_t get_page_of(struct vm_fault *vmf)
{
	struct vmademo_buffer *buf = vmademo_buffer_of(vmf->vma->vm_file->f_mapping);
	vm_fault_t ret = 0, major = 0;

	if (!buf->store->read) {
		ret = new_page(vmf, buf);
	} else if (buf->order | READ_ONCE(buf->power) | READ_ONCE(buf->read_failed)) {
		major = vmademo_fault_read(vmf, buf);
		if (major & ~VM_FAULT_MAJOR)
			return major;
	}
	return ret ?: filemap_fault(vmf) | major;
}

/* The kernel does not map it. */
static vm_fault_t take_back(struct vm_fault *vmf)
{
	struct folio *folio = page_folio(vmf->page);

	vmf->page = NULL;
	folio_unlock(folio);
	folio_put(folio);
	return VM_FAULT_SIGBUS;
}

/* Returns vmf->page, locked and with a reference; the kernel maps it. */
static __always_inline vm_fault_t fault(struct vm_fault *vmf)
{
	struct vmademo_buffer *buf = vmademo_buffer_of(vmf->vma->vm_file->f_mapping);
	vm_fault_t ret;

	vmademo_count(buf, fault_kind(vmf));
	if (vmademo_fault_revoked(buf)) {
		ret = VM_FAULT_SIGBUS;
	} else if (vmademo_rules_on()) {
		ret = vmademo_rule_fault(vmf, fault_op(vmf), get_page_of);
	} else {
		ret = get_page_of(vmf);
		/* The first rule may have come meanwhile */
		if (vmademo_rules_on() && ret & VM_FAULT_LOCKED)
			ret = vmademo_rule_late(vmf, fault_op(vmf), no_rules) ?: ret;
	}
	/* Once more, with the folio locked: see revocation.c */
	if (ret & VM_FAULT_LOCKED && vmademo_fault_revoked(buf))
		ret = take_back(vmf);
	/*
	 * VM_FAULT_RETRY means that the lock was dropped, and with it what
	 * keeps vmf->vma, the file and the buffer: touch none of them then.
	 * With the other two it is still held.
	 */
	if (unlikely(ret & (VM_FAULT_SIGBUS | VM_FAULT_HWPOISON)))
		vmademo_count(buf, VMADEMO_SIGBUS);
	return ret;
}

/*
 * With a clock, for the histograms and for whoever traces.  A fault that has waited may have given
 * up the lock, and with it what keeps the file: so it is held here.
 */
static noinline vm_fault_t timed(struct vm_fault *vmf, vm_fault_t (*hook)(struct vm_fault *vmf),
				 enum vmademo_latency_kind kind)
{
	struct file *file = get_file(vmf->vma->vm_file);
	struct vmademo_buffer *buf = vmademo_buffer_of(file->f_mapping);
	u64 begin = ktime_get_ns();
	vm_fault_t ret = hook(vmf);
	u64 ns = vmademo_took(buf, kind, begin);

	if (kind == VMADEMO_LATENCY_FAULT)
		trace_vmademo_fault(buf->inode->i_ino, vmf->pgoff, vmf->address, vmf->flags,
				    ret, ns);
	else
		trace_vmademo_mkwrite(buf->inode->i_ino, vmf->pgoff, vmf->address, ret, ns);
	fput(file);
	return ret;
}

static vm_fault_t vmademo_fault(struct vm_fault *vmf)
{
	if (static_branch_unlikely(&vmademo_latency_on) || trace_vmademo_fault_enabled())
		return timed(vmf, fault, VMADEMO_LATENCY_FAULT);
	return fault(vmf);
}

/* Not what is revoked or has a rule for faults: it must come to .fault. */
static vm_fault_t map_span(struct vm_fault *vmf, struct vmademo_span *span)
{
	struct vmademo_buffer *buf = vmademo_buffer_of(vmf->vma->vm_file->f_mapping);
	vm_fault_t ret = 0;

	if (!vmademo_rules_on() && !static_branch_unlikely(&vmademo_revocable))
		return filemap_map_pages(vmf, span->first, span->last);
	/* Whoever revokes it or makes a rule waits for this to be over */
	rcu_read_lock();
	if (!READ_ONCE(buf->revoked) &&
	    vmademo_rule_span(buf, vmf->pgoff, &span->first, &span->last))
		ret = filemap_map_pages(vmf, span->first, span->last);
	rcu_read_unlock();
	return ret;
}

/*
 * Maps what is cached around the address of a read fault.  May not sleep: newer
 * kernels call it under RCU.  To them, that there is a .map_pages also says that
 * .fault is content with the VMA lock; without it, every fault would be taken a
 * second time with the mmap lock.
 */
static vm_fault_t vmademo_map_pages(struct vm_fault *vmf, pgoff_t start,
				    pgoff_t end)
{
	struct address_space *mapping = vmf->vma->vm_file->f_mapping;
	struct vmademo_buffer *buf = vmademo_buffer_of(mapping);
	struct vmademo_span span = { .first = start, .last = end };
	vm_fault_t ret = 0;

	vmademo_count(buf, VMADEMO_FAULT_AROUND);
	vmademo_span_begin(&span, vmf);
	/* Then .fault is called anyway; to look for its neighbours first costs more */
	if (span.likely || vmademo_is_cached(mapping, vmf->pgoff)) {
		ret = map_span(vmf, &span);
		if (ret & VM_FAULT_NOPAGE)
			vmademo_count(buf, VMADEMO_FAULT_AROUND_HITS);
		vmademo_span_end(&span, vmf, ret & VM_FAULT_NOPAGE);
	}
	trace_vmademo_map_pages(buf->inode->i_ino, vmf->pgoff, span.first, span.last,
				ret & VM_FAULT_NOPAGE);
	return ret;
}

/*
 * The store takes room for a page that is about to become dirty: here, where the task
 * can be told, and can wait for memory.  The folio comes locked, if it is still there.
 */
static vm_fault_t reserve_and_lock(struct vm_fault *vmf, struct folio *folio)
{
	struct address_space *mapping = vmf->vma->vm_file->f_mapping;
	struct vmademo_buffer *buf = vmademo_buffer_of(mapping);
	int err = 0;

	/* Punching and truncation must not take the room away before it is dirty */
	filemap_invalidate_lock_shared(mapping);
	/*
	 * A dirty one has it, but maybe not where a part was punched and could not be split
	 * off.  One entry, or one fault, may make all of it writable: so all of it gets room.
	 */
	if (folio->mapping == mapping && folio_test_dirty(folio) && !buf->has_cut_folio)
		err = vmademo_reserve(buf, folio, vmf->pgoff, 1, GFP_KERNEL);
	else if (folio->mapping == mapping)
		err = vmademo_reserve(buf, folio, folio->index, folio_nr_pages(folio),
				      GFP_KERNEL);
	if (!err)
		err = folio_lock_killable(folio);
	filemap_invalidate_unlock_shared(mapping);
	return err ? vmf_error(err) : 0;
}

/*
 * The times of the inode are no finer than a tick; to find out that nothing changes costs
 * more than this.  The node has times of its own.
 */
static void update_times(struct file *file, struct vmademo_buffer *buf)
{
	unsigned long now = jiffies;

	if (file_inode(file) == buf->inode) {
		if (READ_ONCE(buf->times_set) == now)
			return;
		WRITE_ONCE(buf->times_set, now);
	}
	file_update_time(file);
}

/*
 * A shared mapping is about to write to a page that is mapped to read.  To
 * return VM_FAULT_LOCKED says: the folio is still ours, it is dirty, go on.  The
 * lock is kept until the page table entry is writable, so that write-back
 * cannot clean the folio in between and miss the write.
 *
 * A file system that can be frozen also calls sb_start_pagefault() and
 * sb_end_pagefault() around it.  Ours cannot.
 */
static __always_inline vm_fault_t first_write(struct vm_fault *vmf,
					      struct vmademo_rule_seen seen)
{
	struct file *file = vmf->vma->vm_file;
	struct address_space *mapping = file->f_mapping;
	struct vmademo_buffer *buf = vmademo_buffer_of(mapping);
	struct folio *folio = page_folio(vmf->page);
	vm_fault_t ret = 0;

	update_times(file, buf);
	if (buf->store->reserve)
		ret = reserve_and_lock(vmf, folio);
	else if (folio_lock_killable(folio))
		ret = VM_FAULT_SIGBUS;	/* the task is being killed */
	if (unlikely(ret))
		return ret;
	if (folio->mapping != mapping) {
		/*
		 * Removed while we waited for the lock: let it fault again.
		 * (By truncation or migration; the tests cannot time it.)
		 */
		folio_unlock(folio);
		ret = VM_FAULT_NOPAGE;
	} else if (vmademo_wait_stable(folio)) {
		/* The task is being killed: it gets no further than this */
		folio_unlock(folio);
		ret = VM_FAULT_SIGBUS;
	} else if (vmademo_fault_revoked(buf)) {
		folio_unlock(folio);
		ret = VM_FAULT_SIGBUS;
	} else {
		if (vmademo_rules_on())
			ret = vmademo_rule_mkwrite_late(vmf, seen);
		if (likely(!ret)) {
			folio_mark_dirty(folio);
			vmademo_count(buf, VMADEMO_FIRST_WRITES);
			ret = VM_FAULT_LOCKED;
		}
	}
	return ret;
}

static noinline vm_fault_t first_write_ruled(struct vm_fault *vmf)
{
	struct vmademo_rule_seen seen;

	return vmademo_rule_mkwrite(vmf, &seen) ?: first_write(vmf, seen);
}

static __always_inline vm_fault_t page_mkwrite(struct vm_fault *vmf)
{
	struct vmademo_buffer *buf = vmademo_buffer_of(vmf->vma->vm_file->f_mapping);
	vm_fault_t ret = vmademo_rules_on() ? first_write_ruled(vmf) : first_write(vmf, no_rules);

	if (unlikely(ret & (VM_FAULT_SIGBUS | VM_FAULT_HWPOISON)))
		vmademo_count(buf, VMADEMO_SIGBUS);
	return ret;
}

static vm_fault_t vmademo_page_mkwrite(struct vm_fault *vmf)
{
	if (static_branch_unlikely(&vmademo_latency_on) || trace_vmademo_mkwrite_enabled())
		return timed(vmf, page_mkwrite, VMADEMO_LATENCY_MKWRITE);
	return page_mkwrite(vmf);
}

/*
 * A cached folio of 2 MiB is mapped to read by one entry, where the kernel asks for that: with
 * MADV_HUGEPAGE, or if transparent huge pages are always enabled.  The same comes of .map_pages;
 * this spares half of the way.  The size is asked with the folio locked: who makes the buffer
 * smaller sets it first, and then takes what is mapped away.
 */
static vm_fault_t read_huge(struct vm_fault *vmf)
{
	struct address_space *mapping = vmf->vma->vm_file->f_mapping;
	struct vmademo_buffer *buf = vmademo_buffer_of(mapping);
	struct vmademo_span span = { .order = VMADEMO_MAX_ORDER };
	vm_fault_t ret = VM_FAULT_FALLBACK;
	struct folio *folio;

	/* Nobody has asked yet whether all of it is in this VMA, or where it is to be aligned */
	if (!vmademo_huge_fits(vmf))
		return ret;
	folio = vmademo_get_cached(mapping, vmf->pgoff);
	if (!folio)
		return ret;
	if (folio_order(folio) != VMADEMO_MAX_ORDER || !folio_trylock(folio))
		goto put;
	span.first = folio->index;
	span.last = folio_next_index(folio) - 1;
	if (folio->mapping == mapping && folio_test_uptodate(folio) &&
	    folio_order(folio) == VMADEMO_MAX_ORDER && !vmademo_folio_is_broken(folio) &&
	    span.last < DIV_ROUND_UP(i_size_read(mapping->host), PAGE_SIZE))
		ret = vmademo_insert_huge_folio(vmf, folio);
	folio_unlock(folio);
	if (ret & VM_FAULT_NOPAGE) {
		vmademo_count(buf, VMADEMO_FAULT_AROUND);
		vmademo_count(buf, VMADEMO_FAULT_AROUND_HITS);
		vmademo_span_end(&span, vmf, true);
		trace_vmademo_map_pages(buf->inode->i_ino, vmf->pgoff, span.first, span.last, true);
	}
put:
	folio_put(folio);
	return ret;
}

/*
 * A write to 2 MiB that one entry maps to read, since msync cleaned them, say.  The kernel
 * would split the entry, and call .page_mkwrite for each page.  But where nothing is mapped,
 * it maps all of it: so the entry goes, and this same fault goes on with .fault.  To return
 * VM_FAULT_NOPAGE, and have it come again, would not do: an instruction that reads from the
 * same 2 MiB would map them to read again, and never get on.
 */
static void drop_huge_entry(struct vm_fault *vmf)
{
	const pgoff_t pages = PMD_SIZE >> PAGE_SHIFT;

	unmap_mapping_pages(vmf->vma->vm_file->f_mapping, round_down(vmf->pgoff, pages),
			    pages, false);
}

static vm_fault_t vmademo_huge_fault(struct vm_fault *vmf, bool pmd)
{
	vm_fault_t ret = VM_FAULT_FALLBACK;

	if (!pmd)
		return ret;
	if (!pmd_none(*vmf->pmd)) {
		if (vmf->flags & FAULT_FLAG_WRITE && vmf->vma->vm_flags & VM_SHARED)
			drop_huge_entry(vmf);
	} else if (VMADEMO_HAS_HUGE_FOLIO && !(vmf->flags & FAULT_FLAG_WRITE)) {
		/* Whoever revokes it or makes a rule waits for this to be over */
		rcu_read_lock();
		if (!vmademo_rules_on() && !static_branch_unlikely(&vmademo_revocable))
			ret = read_huge(vmf);
		rcu_read_unlock();
	}
	return ret;
}

VMADEMO_HUGE_FAULT_HOOK(vmademo_huge_fault)

/*
 * There is no .open and no .close.  They would tell when a mapping comes and goes, but a
 * VMA that has .close is not merged again once it was split: after mprotect of every
 * second page and back, 512 VMAs would stay.  A device that counts its mappings pays
 * that; vmademo_mappings() in stats.c counts them when it is asked.
 */
const struct vm_operations_struct vmademo_vm_ops = {
	.fault		= vmademo_fault,
	.map_pages	= vmademo_map_pages,
	.page_mkwrite	= vmademo_page_mkwrite,
	.huge_fault	= vmademo_huge_fault_hook,
};
