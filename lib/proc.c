// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's account: what /proc says of the machine and of a mapping.
 */
#include "lib.h"

int64_t proc_value(const char *path, const char *name)
{
	char line[256];
	int64_t value = -1;
	size_t len = strlen(name);
	FILE *f;

	/* Counters are kept per processor; this adds what is outstanding */
	write_text("/proc/sys/vm/stat_refresh", "1");
	f = fopen(path, "r");
	if (!f)
		return -1;
	while (value < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, len) && strchr(": ", line[len]))
			value = strtoll(line + len + 1, NULL, 10);
	fclose(f);
	return value;
}

/* A line of /proc/meminfo, in bytes. */
int64_t meminfo(const char *name)
{
	int64_t kib = proc_value("/proc/meminfo", name);

	return kib < 0 ? kib : kib * 1024;
}

int64_t vmstat(const char *name)
{
	return proc_value("/proc/vmstat", name);
}

/* These are the whole machine's; to compare them exactly, they must be ours. */
int machine_is_quiet(void)
{
	int64_t dirty = meminfo("Dirty"), cached = meminfo("Cached");

	usleep(100000);
	return dirty >= 0 && meminfo("Dirty") == dirty &&
	       meminfo("Cached") == cached;
}

int64_t minor_faults(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return ru.ru_minflt;
}

int64_t major_faults(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return ru.ru_majflt;
}

/* VMAs that start in [p, p + len), as /proc/self/maps has them. */
int vmas_in(const void *p, size_t len)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long start;
	char line[512];
	int n = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-", &start) == 1 &&
		    start - (uintptr_t)p < len)
			n++;
	if (f)
		fclose(f);
	return n;
}

/* A line of /proc/self/smaps on the VMA at p, in bytes; -1 if there is none. */
int64_t smaps_value(const void *p, const char *name)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long start, end;
	size_t len = strlen(name);
	int64_t value = -1;
	char line[512];
	int here = 0;

	while (f && value < 0 && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = start <= (uintptr_t)p && (uintptr_t)p < end;
		else if (here && !strncmp(line, name, len) && line[len] == ':')
			value = strtoll(line + len + 1, NULL, 10) * 1024;
	}
	if (f)
		fclose(f);
	return value;
}

/* Whether VmFlags: of the VMA at p has the flag, two letters; see proc(5). */
int vm_flag(const void *p, const char *flag)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long start, end;
	char line[512];
	int here = 0, has = 0;

	while (f && !has && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = start <= (uintptr_t)p && (uintptr_t)p < end;
		else if (here && !strncmp(line, "VmFlags:", 8))
			has = !!strstr(line + 8, flag);
	}
	if (f)
		fclose(f);
	return has;
}
