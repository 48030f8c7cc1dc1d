// SPDX-License-Identifier: GPL-2.0-only
/*
 * Physical memory, as the kernel lists it: what is where, and of which type.
 */
#include "window.h"

/* What memmap=16M$256M on the kernel's command line leaves alone; 0 if nothing. */
uint64_t reserved_memory(void)
{
	char line[4096] = "";
	FILE *f = fopen("/proc/cmdline", "r");

	if (f && !fgets(line, sizeof(line), f))
		line[0] = '\0';
	if (f)
		fclose(f);
	return strstr(line, "memmap=16M$256M") ? 256 * MIB : 0;
}

/* Where a range of this name begins, by /proc/iomem; 0 if there is none. */
uint64_t named_memory(const char *name)
{
	unsigned long long start = 0;
	char line[256];
	FILE *f = fopen("/proc/iomem", "r");

	while (f && fgets(line, sizeof(line), f)) {
		if (strstr(line, name) && sscanf(line, " %llx-", &start) == 1)
			break;
		start = 0;
	}
	if (f)
		fclose(f);
	return start;
}

/* The first 2^n that is no physical address: what /dev/mem says; 0 if that is not there. */
static int bits_of_dev_mem(void)
{
	int fd = open("/dev/mem", O_RDONLY | O_CLOEXEC), bits;

	if (fd < 0)
		return 0;
	for (bits = 32; bits < 63; bits++) {
		void *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd,
			       1LL << bits);

		if (p != MAP_FAILED)
			munmap(p, PAGE);
		else if (errno == EINVAL)
			break;
	}
	close(fd);
	return bits;
}

/* The width of a physical address, in bits. */
int physical_bits(void)
{
	char line[4096];
	int bits = 0;
	FILE *f = fopen("/proc/cpuinfo", "r");

	while (f && !bits && fgets(line, sizeof(line), f))
		sscanf(line, "address sizes : %d bits physical", &bits);
	if (f)
		fclose(f);
	/* Other machines than x86 have no such line */
	return bits ? bits : bits_of_dev_mem();
}

/* Whether this range, and no part of it, has an entry of this name in /proc/iomem. */
int iomem_has(uint64_t base, uint64_t len, const char *name)
{
	unsigned long long start, end;
	char line[256];
	int has = 0;
	FILE *f = fopen("/proc/iomem", "r");

	while (f && !has && fgets(line, sizeof(line), f))
		has = sscanf(line, " %llx-%llx", &start, &end) == 2 &&
		      start == base && end == base + len - 1 &&
		      strstr(line, name);
	if (f)
		fclose(f);
	return has;
}

/*
 * How many ranges within this one have a memory type of their own, the kernel's
 * mappings and those of programs; -1 if the kernel does not tell.
 */
int memory_types(uint64_t base, uint64_t len)
{
	FILE *f = fopen("/sys/kernel/debug/x86/pat_memtype_list", "r");
	unsigned long long start;
	char line[256];
	int n = 0;

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "PAT: [mem %llx-", &start) == 1 &&
		    start - base < len)
			n++;
	fclose(f);
	return n;
}
