// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the kernel has traced, by tracefs.
 */
#include "traced.h"

void clear_trace(void)
{
	close(open(TRACING "trace", O_WRONLY | O_TRUNC | O_CLOEXEC));
}

/* The ns of the slowest of these events since clear_trace(); -1 if none has any. */
long long slowest(const char *event)
{
	long long ns, most = -1;
	FILE *f = fopen(TRACING "trace", "r");
	char line[512], *at;

	while (f && fgets(line, sizeof(line), f)) {
		at = strstr(line, event) ? strstr(line, " ns=") : NULL;
		ns = at ? strtoll(at + 4, NULL, 10) : -1;
		most = ns > most ? ns : most;
	}
	if (f)
		fclose(f);
	clear_trace();
	return most;
}
