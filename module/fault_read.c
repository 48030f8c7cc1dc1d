// SPDX-License-Identifier: GPL-2.0-only
/*
 * A fault on a page that is to be read in from a store, where filemap_fault() alone would not do:
 * large folios, stores that have failed to read, and stores without power.
 *
 * Locks: called as .fault is, see fault.c.  Takes the mapping's invalidate lock (shared), then
 * the folio lock.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "compat.h"
#include "power.h"
#include "rules.h"
#include "store/store.h"
#include "vmademo.h"

/*
 * Of a store that does not block, a folio is read in at once, and handed over.  The kernel would
 * let go of the lock of the address space, as if for a disk, and have the fault taken again.
 */
static vm_fault_t read_now(struct vm_fault *vmf, struct vmademo_buffer *buf)
{
	struct address_space *mapping = buf->inode->i_mapping;
	vm_fault_t ret = 0;
	struct folio *folio;

	filemap_invalidate_lock_shared(mapping);
	/* Whoever has locked it may have met a rule that has him wait */
	folio = vmademo_trylock_folio(mapping, vmf->pgoff);
	if (!folio)
		goto unlock;
	if (vmf->pgoff < DIV_ROUND_UP(i_size_read(buf->inode), PAGE_SIZE) &&
	    !vmademo_is_ruled(buf, VMADEMO_OP_BIT(READ_IN), folio_pos(folio), folio_size(folio)) &&
	    (folio_test_uptodate(folio) || !vmademo_fill(buf, folio))) {
		vmf->page = folio_file_page(folio, vmf->pgoff);
		ret = VM_FAULT_LOCKED;
	} else {
		folio_unlock(folio);
		folio_put(folio);
	}
unlock:
	filemap_invalidate_unlock_shared(mapping);
	return ret;
}

/* With a store, what is read in for a page is a folio. */
static vm_fault_t make_large(struct vm_fault *vmf, struct vmademo_buffer *buf)
{
	unsigned int order = vmademo_fault_order(vmf, buf);
	vm_fault_t ret = 0;

	if (!order || !vmademo_make_large(buf->inode->i_mapping, vmf->pgoff, order))
		return ret;
	if (!buf->store->blocks)
		ret = read_now(vmf, buf);
	return ret | VM_FAULT_MAJOR;	/* to the kernel it is cached, but it is still to be read */
}

/*
 * The store has no power: what is not there does not come.  To ask the page cache would have the
 * fault taken again, and who populates a mapping (mlock, MAP_POPULATE) would ask for ever.
 */
static bool cannot_come(struct vm_fault *vmf, struct vmademo_buffer *buf)
{
	struct folio *folio;
	bool there;

	if (!vmademo_is_off_to_read(buf))
		return false;
	rcu_read_lock();
	folio = xa_load(&buf->inode->i_mapping->i_pages, vmf->pgoff);
	there = folio && !xa_is_value(folio) && folio_test_uptodate(folio);
	rcu_read_unlock();
	if (!there)
		vmademo_count(buf, VMADEMO_READ_ERRORS);
	return !there;
}

/*
 * The store was asked for it, and failed.  The kernel would let go of the lock of the address
 * space to ask once more, and have the fault taken again: who populates a mapping would ask for
 * ever.  To a fault that was taken again already, it tells the failure.  That one reads with the
 * lock held, as the second try of each fault does.
 */
static vm_fault_t ask_again(struct vm_fault *vmf, struct vmademo_buffer *buf)
{
	struct folio *folio = vmademo_get_cached(buf->inode->i_mapping, vmf->pgoff);
	struct vm_fault again = *vmf;
	vm_fault_t ret;

	if (!folio)
		return 0;
	if (!folio_test_locked(folio) && !folio_test_uptodate(folio))
		again.flags |= FAULT_FLAG_TRIED;
	folio_put(folio);
	if (again.flags == vmf->flags)
		return 0;
	ret = filemap_fault(&again);
	vmf->page = again.page;
	return ret;
}

/**
 * vmademo_fault_read() - a fault on a buffer with a store: before the page cache is asked
 * @vmf: the fault
 * @buf: the buffer; its store reads large folios, has failed to read, or has lost its power
 *
 * Context: May sleep.  Takes the invalidate lock for reading, then the folio lock.
 * Return: what the fault answers, with vmf->page locked if that is VM_FAULT_LOCKED; 0 or
 *         VM_FAULT_MAJOR, and it goes on with filemap_fault().
 */
vm_fault_t vmademo_fault_read(struct vm_fault *vmf, struct vmademo_buffer *buf)
{
	if (cannot_come(vmf, buf))
		return VM_FAULT_SIGBUS;
	if (READ_ONCE(buf->read_failed)) {
		vm_fault_t ret = ask_again(vmf, buf);

		if (ret)
			return ret;
	}
	return buf->order ? make_large(vmf, buf) : 0;
}
