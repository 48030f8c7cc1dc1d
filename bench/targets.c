// SPDX-License-Identifier: GPL-2.0-only
/* What is to be reached, beside a peer on the same machine, or by itself; and whether it is. */
#include "../lib/lib.h"
#include "../lib/window.h"

#include "bench.h"

static const struct target {
	enum figure figure;
	enum subject ours, peer;
	/* at most so many hundredths of the peer */
	int percent;
	/* Where ext4 has large folios, it is the peer of those with 64 KiB */
	bool small_peer, large_peer;
} targets[] = {
	{ FRESH_READ, NONE, TMPFS, 68 },
	{ FRESH_WRITE, NONE, TMPFS, 100 },
	{ READ, NONE, TMPFS, 86 },
	/* It is counted, and asked how many to map */
	{ READ_RANDOM, NONE, TMPFS, 102 },
	/* The kernel's own part of it, the same for any file, is 0.78 of ext4's on 6.12 */
	{ MKWRITE, NONE, EXT4, 83 },
	{ MSYNC, RAM, EXT4, 90, .small_peer = true },
	{ MSYNC, RAM_64K, EXT4, 90, .large_peer = true },
	{ MSYNC_ONE, NONE, EXT4, 55 },
	/* tmpfs has calls of its own for it, and nothing to mark as dirty */
	{ READ_CALL, NONE, EXT4, 100 },
	{ READ_CALL_LARGE, NONE, TMPFS, 80 },
	{ WRITE_CALL, NONE, EXT4, 95 },
	{ WRITE_CALL_LARGE, NONE, EXT4, 90, .small_peer = true },
	{ WRITE_CALL_LARGE, NONE_64K, EXT4, 100, .large_peer = true },
	{ CREATE, NONE, TMPFS, 120 },
	{ FRESH_WRITE, NONE_2M, HUGETLB, 109 },
};

/* No peer does this: in hundredths of an instruction. */
static const struct limit {
	enum figure figure;
	enum subject ours;
	int64_t most;
	/* Where one fault maps all of a large folio */
	bool by_folios;
} limits[] = {
	{ READ, NONE_2M, 1600 },
	{ MKWRITE, NONE_2M, 3300 },
	{ MSYNC, NONE_2M, 800 },
	/* More than half of it is to zero the new page, and to copy */
	{ READ_IN, RAM_64K, 175000, .by_folios = true },
	{ WINDOW_READ, LAZY, 6600 },
	{ WINDOW_WRITE, LAZY, 6600 },
	{ WINDOW_READ_SMALL, LAZY, 6800 },
	{ WINDOW_WRITE_SMALL, LAZY, 6800 },
};

static int number;

static bool report(bool met, enum figure figure, enum subject ours)
{
	printf("%s %d %s: %s is ", met ? "ok" : "not ok", ++number,
	       figures[figure], subjects[ours]);
	return met;
}

static bool check_target(struct target t)
{
	int64_t ours = costs[t.ours][t.figure].instructions;
	int64_t peer = costs[t.peer][t.figure].instructions;
	bool met = report(ours && peer && ours * 100 <= peer * t.percent,
			  t.figure, t.ours);

	printf("%.2f of %s, at most %.2f\n", peer ? (double)ours / peer : 0,
	       subjects[t.peer], t.percent / 100.0);
	return met;
}

static bool check_limit(struct limit l)
{
	int64_t ours = costs[l.ours][l.figure].instructions;
	bool met = report(ours && ours <= l.most, l.figure, l.ours);

	printf("%.1f, at most %.1f\n", ours / 100.0, l.most / 100.0);
	return met;
}

/* Whether all are met. */
bool check_targets(void)
{
	const int n = sizeof(targets) / sizeof(targets[0]);
	const int l = sizeof(limits) / sizeof(limits[0]);
	/* Where the kernel marks VMAs, each page is asked how it is cached */
	const struct target eager = { WINDOW_MAP, EAGER, DEV_MEM,
				      remap_marks_vma() ? 75 : 15 };
	const bool large_ext4 = costs[EXT4][READ].instructions * 2 <
				costs[TMPFS][READ].instructions;
	const bool by_folios = costs[NONE_64K][FRESH_WRITE].instructions * 2 <
			       costs[NONE][FRESH_WRITE].instructions;
	bool all = true;

	printf("1..%d\n", n + l + 1);
	for (int i = 0; i < n; i++) {
		if (targets[i].small_peer && large_ext4)
			printf("ok %d # SKIP ext4 has large folios\n", ++number);
		else if (targets[i].large_peer && !large_ext4)
			printf("ok %d # SKIP ext4 has no large folios\n",
			       ++number);
		else
			all &= check_target(targets[i]);
	}
	for (int i = 0; i < l; i++) {
		if (limits[i].by_folios && !by_folios)
			printf("ok %d # SKIP a fault maps a page of a large folio\n",
			       ++number);
		else
			all &= check_limit(limits[i]);
	}
	all &= check_target(eager);
	return all;
}
