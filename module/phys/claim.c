// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where the memory of a physical window comes from.  The administrator names it when
 * the module is loaded: SIZE@BASE, a range in a BAR of a PCI device without a driver
 * (pci.c) or one that was kept from the kernel by memmap= (reserved.c); or SIZE, memory
 * that the module allocates.  Nothing else is granted: that nobody has claimed a range does
 * not mean that no firmware, bridge or timer is there.
 *
 * Locks: the window's lock, for writing, when its range is released.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/security.h>
#include <linux/string.h>

#include "compat.h"
#include "phys/phys.h"
#include "vmademo.h"

const char * const vmademo_memtype_names[] = {
	[VMADEMO_WB] = "wb", [VMADEMO_WC] = "wc", [VMADEMO_UC] = "uc",
};

static int note_holder(struct resource *found, void *arg)
{
	const char **name = arg;
	struct resource *r;

	/* What is passed is a copy without the name: look for the original */
	for (r = found->parent->child; r; r = r->sibling)
		if (r->start <= found->start && found->end <= r->end && r->name)
			*name = r->name;
	return 1;	/* the first will do */
}

/*
 * Who has claimed a part of the range, for the log.  The lock of the resource tree
 * is not exported, so the name is read without it, as devm_request_resource()
 * does: do not load the module while the device in question is being taken away.
 */
static const char *holder_of(phys_addr_t base, u64 bytes)
{
	const char *name = NULL;

	walk_iomem_res_desc(IORES_DESC_NONE, IORESOURCE_MEM | IORESOURCE_BUSY,
			    base, base + bytes - 1, &name, note_holder);
	return name;
}

/* Memory of our own: in one piece, aligned to its size rounded up to 2^n. */
static int window_allocate(struct vmademo_window *w)
{
	w->own = alloc_pages_exact(w->bytes, GFP_KERNEL | __GFP_ZERO |
				   __GFP_RETRY_MAYFAIL | __GFP_NOWARN);
	if (!w->own) {
		pr_err("phys=: failed to allocate %llu bytes in one piece\n", w->bytes);
		return -ENOMEM;
	}
	w->base = virt_to_phys(w->own);
	return 0;
}

/* A range that somebody named: it must be possible, no RAM, and not forbidden. */
static int window_check(const struct vmademo_window *w)
{
	phys_addr_t last = w->base + w->bytes - 1;
	int err;

	if (last < w->base || (vmademo_phys_bits() < 64 &&
			       (u64)last >> vmademo_phys_bits())) {
		pr_err("phys=: %pa and %llu bytes: beyond the %u bits of a physical address\n",
		       &w->base, w->bytes, vmademo_phys_bits());
		return -EINVAL;
	}
	if (region_intersects(w->base, w->bytes, IORESOURCE_SYSTEM_RAM,
			      IORES_DESC_NONE) != REGION_DISJOINT) {
		pr_err("phys=: %pa to %pa: this is the system's RAM\n", &w->base, &last);
		return -EINVAL;
	}
	err = security_locked_down(LOCKDOWN_DEV_MEM);
	if (err)
		pr_err("phys=: %pa to %pa: not allowed: %pe\n", &w->base, &last,
		       ERR_PTR(err));
	return err;
}

/* A range in no BAR. */
static int window_take_reserved(struct vmademo_window *w)
{
	phys_addr_t last = w->base + w->bytes - 1;
	int reserved = vmademo_is_reserved(w->base, last);
	const char *holder;

	if (reserved > 0)
		return vmademo_window_request(w);
	if (reserved < 0) {
		pr_err("phys=: failed to read /proc/cmdline: %pe\n", ERR_PTR(reserved));
		return reserved;
	}
	holder = holder_of(w->base, w->bytes);
	if (holder) {
		pr_err("phys=: %pa to %pa: in use by %s\n", &w->base, &last, holder);
		return -EBUSY;
	}
	pr_err("phys=: %pa to %pa: in no BAR of a PCI device, and not reserved by memmap=\n",
	       &w->base, &last);
	return -EINVAL;
}

/**
 * vmademo_window_request() - take a range from all others, and map it
 * @w: the window; it has a right to the range
 *
 * Says in the log what was wrong; then nothing is taken.
 *
 * Context: May sleep.
 * Return: 0; -EBUSY if others have it, -ENOMEM.
 */
int vmademo_window_request(struct vmademo_window *w)
{
	phys_addr_t last = w->base + w->bytes - 1;

	if (!request_mem_region(w->base, w->bytes, w->name)) {
		pr_err("phys=: %pa to %pa: in use by %s\n", &w->base, &last,
		       holder_of(w->base, w->bytes) ?: "somebody");
		return -EBUSY;
	}
	/* This also fixes the memory type, for all mappings to come */
	switch (w->memtype) {
	case VMADEMO_UC:
		w->io = ioremap(w->base, w->bytes);
		break;
	case VMADEMO_WC:
		w->io = ioremap_wc(w->base, w->bytes);
		break;
	default:
		w->io = ioremap_cache(w->base, w->bytes);
		break;
	}
	if (!w->io) {
		release_mem_region(w->base, w->bytes);
		pr_err("phys=: %pa to %pa: the kernel cannot map it\n", &w->base,
		       &last);
		return -ENOMEM;
	}
	return 0;
}

/**
 * vmademo_window_release() - undo vmademo_window_request(), if it succeeded
 * @w: the window; nothing is mapped of it, and nothing will be
 *
 * Context: May sleep.  Takes the window's lock for writing.
 */
void vmademo_window_release(struct vmademo_window *w)
{
	void __iomem *io;

	down_write(&w->lock);
	io = w->io;
	w->io = NULL;
	up_write(&w->lock);
	if (!io)
		return;
	iounmap(io);
	release_mem_region(w->base, w->bytes);
}

/**
 * vmademo_window_take() - read what window is asked for, and take its memory
 * @w: the window, with its name
 * @text: "SIZE" or "SIZE@BASE"; is changed
 * @memtype: "wb", "wc", "uc", or "" for wb
 *
 * Says in the log what was wrong.  vmademo_window_give_back() is due in any case.
 *
 * Context: May sleep.
 * Return: 0; -EINVAL, -EBUSY if others have the range or its device, -EPERM if the
 *         kernel is locked down, -ENOMEM, or what pci.c says.
 */
int vmademo_window_take(struct vmademo_window *w, char *text, const char *memtype)
{
	char *at = strchr(text, '@');
	u64 base = 0;
	int type = VMADEMO_WB, err;

	if (at) {
		*at = '\0';
		if (vmademo_parse_bytes(at + 1, &base) || base % PAGE_SIZE ||
		    (phys_addr_t)base != base) {
			pr_err("phys=: base %s: not the address of a page\n", at + 1);
			return -EINVAL;
		}
	}
	if (vmademo_parse_bytes(text, &w->bytes) || !w->bytes ||
	    w->bytes % PAGE_SIZE || (size_t)w->bytes != w->bytes) {
		pr_err("phys=: size %s: must be one or more whole pages of %lu bytes\n",
		       text, PAGE_SIZE);
		return -EINVAL;
	}
	if (*memtype)
		type = match_string(vmademo_memtype_names,
				    ARRAY_SIZE(vmademo_memtype_names), memtype);
	if (type < 0) {
		pr_err("phys_memtype=: %s: must be wb, wc or uc\n", memtype);
		return -EINVAL;
	}
	if (!at && type != VMADEMO_WB) {
		pr_err("phys_memtype=: %s: memory of the module's own is RAM, which is wb\n",
		       memtype);
		return -EINVAL;
	}
	w->base = base;
	w->memtype = type;
	if (!at)
		return window_allocate(w);
	err = window_check(w);
	if (err)
		return err;
	err = vmademo_pci_take(w);
	return err == -ENOENT ? window_take_reserved(w) : err;
}

/**
 * vmademo_window_give_back() - let go of a window's memory
 * @w: the window; nothing may be mapped of it
 *
 * Context: May sleep.
 */
void vmademo_window_give_back(struct vmademo_window *w)
{
	vmademo_pci_give_back(w);
	vmademo_window_release(w);
	if (w->own)
		free_pages_exact(w->own, w->bytes);
}
