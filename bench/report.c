// SPDX-License-Identifier: GPL-2.0-only
/* What was measured: tables for people, and a line for each figure. */
#include <inttypes.h>
#include <stdio.h>
#include <sys/utsname.h>

#include "bench.h"

#define MIB (1UL << 20)

const char *const figures[FIGURES] = {
	[FRESH_READ] = "read, a new page",
	[FRESH_WRITE] = "write, a new page",
	[FRESH_POPULATE] = "MAP_POPULATE, a new page",
	[READ] = "read, a page that is cached",
	[READ_RANDOM] = "the same, at random",
	[READ_ADVISED] = "the same, with MADV_HUGEPAGE",
	[READ_SPARSE] = "the same, one of 64 pages",
	[WRITE] = "write, a page that is cached",
	[POPULATE] = "MAP_POPULATE, a page that is cached",
	[MKWRITE] = "write, a page that msync has cleaned",
	[MSYNC] = "msync, a dirty page",
	[MSYNC_ONE] = "msync with one dirty page, all of it",
	[READ_4] = "read, a cached page, 4 processes",
	[WRITE_4] = "write, a cached page, 4 processes",
	[UNMAP] = "munmap, a page",
	[FORK] = "fork, a page that is mapped",
	[EVICT] = "drop, a clean page",
	[READ_IN] = "read in, a page",
	[READ_CALL] = "read(2) of 4 KiB",
	[READ_CALL_LARGE] = "read(2) of 1 MiB, a page",
	[WRITE_CALL] = "write(2) of 4 KiB",
	[WRITE_CALL_LARGE] = "write(2) of 1 MiB, a page",
	[MMAP_CALL] = "mmap and munmap, nothing touched",
	[CREATE] = "make a buffer, kept open",
	[CREATE_MANY] = "the same, beside 10,000",
	[CREATE_CLOSE] = "make a buffer and close it",
	[WINDOW_MAP] = "mmap of a window, a page",
	[WINDOW_READ] = "read, a page of a window",
	[WINDOW_WRITE] = "write, a page of a window",
	[WINDOW_READ_SMALL] = "read, with entries of 4 KiB",
	[WINDOW_WRITE_SMALL] = "write, with entries of 4 KiB",
};

static const struct {
	const char *name;
	enum subject subjects[8];
	int nr;
} tables[] = {
	{ "pages of 4 KiB",
	  { NONE, RAM, TMPFS, EXT4, EXT4_DAX, DEV_DAX, SHARED, PRIVATE },
	  8 },
	{ "larger ones",
	  { NONE_64K, RAM_64K, NONE_2M, TMPFS_2M, HUGETLB, DEV_DAX_2M, PRIVATE_2M },
	  7 },
	{ "windows", { EAGER, LAZY, DEV_MEM }, 3 },
};

static void print_cost(int64_t cost)
{
	if (!cost)
		printf(" %10s", "-");
	else if (cost < 10000)
		printf(" %10.1f", cost / 100.0);
	else
		printf(" %10" PRId64, (cost + 50) / 100);
}

static bool any(int table, int figure)
{
	for (int i = 0; i < tables[table].nr; i++)
		if (costs[tables[table].subjects[i]][figure].instructions)
			return true;
	return false;
}

static void print_table(int table)
{
	printf("#\n# %4lu MiB, %-28s", len / MIB, tables[table].name);
	for (int i = 0; i < tables[table].nr; i++)
		printf(" %10s", subjects[tables[table].subjects[i]]);
	printf("\n");
	for (int f = 0; f < FIGURES; f++) {
		if (!any(table, f))
			continue;
		printf("# %-38s", figures[f]);
		for (int i = 0; i < tables[table].nr; i++)
			print_cost(
				costs[tables[table].subjects[i]][f].instructions);
		printf("\n");
	}
}

void print_tables(void)
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		if (tables[i].subjects[0] != EAGER || any(i, WINDOW_MAP))
			print_table(i);
}

void print_csv(void)
{
	struct utsname u;

	uname(&u);
	for (int f = 0; f < FIGURES; f++)
		for (int s = 0; s < SUBJECTS; s++)
			if (costs[s][f].instructions)
				printf("csv,%s,%lu,\"%s\",%s,%.2f,%.6f\n",
				       u.release, len / MIB, figures[f],
				       subjects[s],
				       costs[s][f].instructions / 100.0,
				       costs[s][f].faults / 1e6);
}
