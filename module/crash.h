/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which folios happened to be written before a power cut: crash.c chooses them, and so does
 * snapshot.c, for a cut that does not happen.
 *
 * Locks: the caller holds i_rwsem.
 */
#ifndef VMADEMO_CRASH_H
#define VMADEMO_CRASH_H

#include <linux/mm.h>
#include <linux/prandom.h>
#include <linux/sizes.h>

#include "vmademo.h"

/* The sectors of the largest folio. */
#define VMADEMO_CUT_SECTORS	((PAGE_SIZE << VMADEMO_MAX_ORDER) / SZ_512)

/**
 * struct vmademo_cut - a power cut, and what it does to the folios that are not on the store
 * @buf: of which buffer
 * @crash: what is asked for
 * @in_flight: what is under write-back is not on the store yet
 * @random: what follows from the seed
 * @dirty: where in the buffer these folios begin, in pages; in random order
 * @count: how many they are
 * @written: so many of them, the first ones, happened to be written
 * @past_torn: from there on up to this one, in part
 * @which: which sectors of one of these were; 64 Kibit with pages of 16 KiB
 */
struct vmademo_cut {
	struct vmademo_buffer *buf;
	struct vmademo_crash *crash;
	bool in_flight;
	struct rnd_state random;
	pgoff_t *dirty;
	size_t count;
	size_t written;
	size_t past_torn;
	unsigned long *which;
};

int vmademo_cut_choose(struct vmademo_cut *cut);
void vmademo_cut_sectors(struct vmademo_cut *cut, unsigned int sectors);
void vmademo_cut_end(struct vmademo_cut *cut);

#endif /* VMADEMO_CRASH_H */
