/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guidance, on a kernel with KCOV and a module built for it (KCOV_INSTRUMENT): which
 * places of the module's code a call reached.  Only the module is instrumented, so all
 * that is reported is the module's.  A call that reached a new place is kept, with
 * the calls before it; half of the time such calls are made once more, with some of
 * their numbers changed.  What runs in a worker of the kernel is not seen.
 */
#ifndef VMADEMO_FUZZ_KCOV_H
#define VMADEMO_FUZZ_KCOV_H

#include <sys/ioctl.h>

#include "fuzz.h"

#define KCOV_FILE	"/sys/kernel/debug/kcov"
#define KCOV_INIT_TRACE _IOR('c', 1, unsigned long)
#define KCOV_ENABLE	_IO('c', 100)
#define KCOV_TRACE_PC	0
#define KCOV_ENTRIES	(64UL * 1024)

static bool kcov_wanted(void)
{
	/* A 64-bit kernel's numbers are not those of a 32-bit program */
	return !IS_32_BIT && number_from("VMADEMO_KCOV", 0) &&
	       access(KCOV_FILE, R_OK | W_OK) == 0;
}

/* The module is loaded somewhere else each time: places are told from here. */
static void kcov_new_module(void)
{
	unsigned long long text = 0;
	FILE *f = fopen("/sys/module/vmademo/sections/.text", "r");

	if (f && fscanf(f, "%llx", &text) != 1)
		text = 0;
	if (f)
		fclose(f);
	shared->module_text = text;
}

/* From now on this thread's places are recorded. */
static void kcov_start(struct worker *w)
{
	uint64_t *map;
	int fd;

	w->kcov = NULL;
	if (!kcov_wanted())
		return;
	fd = open(KCOV_FILE, O_RDWR | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, KCOV_INIT_TRACE, KCOV_ENTRIES))
		return;
	map = mmap(NULL, KCOV_ENTRIES * sizeof(*map), PROT_READ | PROT_WRITE,
		   MAP_SHARED, fd, 0);
	if (map != MAP_FAILED && !ioctl(fd, KCOV_ENABLE, KCOV_TRACE_PC))
		w->kcov = map;
}

static void kcov_forget(struct worker *w)
{
	if (w->kcov)
		__atomic_store_n(w->kcov, 0, __ATOMIC_RELAXED);
}

/* Whether nobody was there before. */
static bool is_new_place(uint64_t pc)
{
	unsigned int i = scramble(pc) % PC_SLOTS;

	for (unsigned int n = 0; n < PC_SLOTS; n++, i = (i + 1) % PC_SLOTS) {
		uint64_t there = __atomic_load_n(&shared->pcs[i],
						 __ATOMIC_RELAXED);

		if (there == pc)
			return false;
		if (there)
			continue;
		if (__atomic_compare_exchange_n(&shared->pcs[i], &there, pc,
						false, __ATOMIC_SEQ_CST,
						__ATOMIC_SEQ_CST)) {
			__atomic_add_fetch(&shared->pc_count, 1,
					   __ATOMIC_SEQ_CST);
			return true;
		}
		if (there == pc)
			return false;
	}
	return false;
}

/* After a call: keeps it, and what led to it, if it reached what none has. */
static void kcov_collect(struct worker *w)
{
	unsigned int at;
	uint64_t n;
	bool new = false;

	if (!w->kcov)
		return;
	n = __atomic_load_n(w->kcov, __ATOMIC_RELAXED);
	for (uint64_t i = 1; i <= n && i < KCOV_ENTRIES; i++)
		new |= is_new_place(w->kcov[i] - shared->module_text);
	if (!new)
		return;
	at = __atomic_fetch_add(&shared->input_count, 1, __ATOMIC_SEQ_CST);
	if (at < INPUTS)
		shared->inputs[at] = w->chain;
}

/* Calls to be made once more, or NULL. */
static const struct input *kcov_choose(struct worker *w)
{
	unsigned int count = __atomic_load_n(&shared->input_count,
					     __ATOMIC_SEQ_CST);

	/*
	 * Decided beside the tape, which has the numbers of one call.  An input has
	 * up to CHAIN calls, and half of all are such.
	 */
	if (!w->kcov || !count || next_random(&w->random) % (CHAIN + 1))
		return NULL;
	if (count > INPUTS)
		count = INPUTS;
	return &shared->inputs[next_random(&w->random) % count];
}

#endif /* VMADEMO_FUZZ_KCOV_H */
