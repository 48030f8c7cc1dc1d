// SPDX-License-Identifier: GPL-2.0-only
/*
 * What mappings cost, in instructions: of a buffer, and of its peers on the same machine.
 *
 *   bench MIB [SUBJECT]   of so many MiB, of all subjects or of one; with 64 and all, windows
 *                         too, and the targets are checked
 *   bench scaling         how much more two processors do than one
 *
 * VMADEMO_FIGURE is the name of a figure that is looked at from outside (scripts/vm/count.c).
 *
 * Needs a machine whose clock counts instructions, one a nanosecond, and for `scaling` one with
 * two processors that really run at once: scripts/bench has them.  Prints tables, lines that
 * begin with "csv,", and for each target whether it is met; fails if one is not.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <unistd.h>
#include <sys/resource.h>

#include "bench.h"

#define TARGETS_AT 64
#define MIB	   (1UL << 20)

size_t len, pages;
enum figure profiled = FIGURES;

void fail(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

int main(int argc, char **argv)
{
	struct rlimit files = { 20000, 20000 };
	const char *what = argc > 1 ? argv[1] : "64";
	const char *only = argc > 2 ? argv[2] : NULL;
	const char *figure = getenv("VMADEMO_FIGURE");
	bool all = true, check;

	setrlimit(RLIMIT_NOFILE, &files);
	/* What the kernel does after booting is over; it costs no instructions to wait */
	sleep(30);
	len = strtoul(what, NULL, 10) * MIB;
	if (!len) {
		measure_scaling();
		return 0;
	}
	while (figure && profiled-- > 0)
		if (!strcmp(figures[profiled], figure))
			break;
	pages = len / sysconf(_SC_PAGESIZE);
	check = len == TARGETS_AT * MIB && !only;
	for (enum subject s = NONE; s <= DEV_DAX_2M; s++) {
		if ((only && strcmp(only, subjects[s])) || !is_there(s))
			continue;
		fprintf(stderr, "# %s\n", subjects[s]);
		measure(s);
		if ((check || only) && (s == NONE || s == TMPFS))
			measure_create(s);
	}
	if (check)
		measure_windows();
	print_tables();
	print_csv();
	if (check)
		all = check_targets();
	fflush(stdout);
	return !all;
}
