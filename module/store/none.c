// SPDX-License-Identifier: GPL-2.0-only
/*
 * Store "none": nothing stands behind the page cache.  A page that was never written
 * reads as zeroes, and writing back moves no data; it only counts.  So there is
 * nothing to do here: what the page cache does by itself is in fill.c, writeback.c
 * and shape.c.
 *
 * Locks: none.
 */
#include <linux/vmademo.h>

#include "store/store.h"

const struct vmademo_store_ops vmademo_store_none = {
	.kind	= VMADEMO_STORE_NONE,
	.name	= "none",
};
