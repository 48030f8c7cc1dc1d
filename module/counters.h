/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The counters of a buffer: the one list from which the module makes its enum,
 * the files in sysfs and the lines of fdinfo, and the tests their struct.
 *
 * EVENT(NAME, name) counts events.  FOLIOS(NAME, name) is two counters, folios and
 * their bytes: name_folios and name_bytes.  What is counted often comes first: see
 * VMADEMO_NR_OFTEN in vmademo.h.  A new one is also added to struct vmademo_stats in
 * include/uapi/linux/vmademo.h: there at the END, since programs were built with what is
 * before it (VMADEMO_STATS_SIZE_VER0 stays).
 * docs/counters.md describes each.
 *
 * Locks: none.
 */
#ifndef VMADEMO_COUNTERS_H
#define VMADEMO_COUNTERS_H

#define VMADEMO_COUNTERS(EVENT, FOLIOS)						\
	/* .fault for a read */							\
	EVENT(READ_FAULTS, read_faults)						\
	/* .fault for a write, shared mapping */				\
	EVENT(WRITE_FAULTS, write_faults)					\
	/* .fault for a write, private mapping */				\
	EVENT(COW_FAULTS, cow_faults)						\
	/* .map_pages, and those that spared a .fault */			\
	EVENT(FAULT_AROUND, fault_around)					\
	EVENT(FAULT_AROUND_HITS, fault_around_hits)				\
	/* .page_mkwrite that let the write go on */				\
	EVENT(FIRST_WRITES, first_writes)					\
	/* clean to dirty */							\
	FOLIOS(DIRTIED, dirtied)						\
	/* dirty to written back */						\
	FOLIOS(WRITTEN, written)						\
	/* gone by truncation while dirty */					\
	FOLIOS(DISCARDED, discarded)						\
	/* filled from the store */						\
	FOLIOS(READ_IN, read_in)						\
	/* given to reclaim; the store has them */				\
	FOLIOS(EVICTED, evicted)						\
	/* dirty to gone: power cut, failed write */				\
	FOLIOS(LOST, lost)							\
	/* folios that the store did not give, did not take */			\
	EVENT(READ_ERRORS, read_errors)						\
	EVENT(WRITE_ERRORS, write_errors)					\
	/* of the store, with its metadata; of its data only */			\
	EVENT(FLUSHES, flushes)							\
	EVENT(DATA_FLUSHES, data_flushes)					\
	/* simulated power cuts */						\
	EVENT(CRASHES, crashes)							\
	/* .fault and .page_mkwrite that raised SIGBUS */			\
	EVENT(SIGBUS, sigbus)							\
	/* VMADEMO_IOC_REVOKE that took it away */				\
	EVENT(REVOCATIONS, revocations)						\
	/* rules that have acted */						\
	EVENT(RULE_HITS, rule_hits)

#endif /* VMADEMO_COUNTERS_H */
