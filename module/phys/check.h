/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The arithmetic of mapping a physical window: the checks of mmap_mem() in
 * drivers/char/mem.c, in its order and with its error codes.  Plain numbers in,
 * an errno out: the tests compile this file too, and try it where no machine
 * could.
 *
 * Locks: none.
 */
#ifndef VMADEMO_PHYS_CHECK_H
#define VMADEMO_PHYS_CHECK_H

#ifdef __KERNEL__
#include <linux/errno.h>
#else
#include <errno.h>
#include <stdbool.h>
#endif
#include <linux/types.h>

/**
 * vmademo_phys_check() - may this part of a window be mapped?
 * @base: the window's first byte, a physical address
 * @bytes: its length, at least one page
 * @bits: how many bits a physical address has, at most 64
 * @page_shift: of the page size
 * @pgoff: the mapping's offset in the window, in pages
 * @size: the mapping's length in bytes, whole pages, at least one
 * @private_ok: it is shared, or private mappings are possible
 *
 * Return: 0; -EINVAL if the processor has no such address, or if it may not be
 *         mapped privately; -EPERM if it is not in the window.
 */
static inline int vmademo_phys_check(__u64 base, __u64 bytes,
				     unsigned int bits, unsigned int page_shift,
				     __u64 pgoff, __u64 size,
				     bool private_ok)
{
	__u64 offset = pgoff << page_shift;
	__u64 first = base + offset;
	__u64 last = first + size - 1;

	/* The offset must fit, or a page far beyond is taken for a near one */
	if (offset >> page_shift != pgoff)
		return -EINVAL;
	/* No wrap: the end would seem to lie below the limits that follow */
	if (first < offset || last < first)
		return -EINVAL;
	/* An address that is too wide sets bits that page tables reserve */
	if (bits < 64 && last >> bits)
		return -EINVAL;
	/* Copies would be taken for the window's own pages */
	if (!private_ok)
		return -EINVAL;
	/* Somebody else's memory */
	if (offset >= bytes || size > bytes - offset)
		return -EPERM;
	return 0;
}

#endif /* VMADEMO_PHYS_CHECK_H */
