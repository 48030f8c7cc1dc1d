/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of physical windows share: where in this machine there is
 * something to map, and loading the module with it.
 */
#ifndef VMADEMO_WINDOWS_H
#define VMADEMO_WINDOWS_H

#include <dirent.h>
#include <sys/utsname.h>

#include "vmademo_test.h"

#define PCI_DEVICES "/sys/bus/pci/devices"

/* The address of the first PCI device of this kind, such as 0000:00:01.0; or "". */
static inline void pci_device(unsigned int vendor, unsigned int device,
			      char name[32])
{
	DIR *dir = opendir(PCI_DEVICES);
	struct dirent *entry;

	name[0] = '\0';
	while (dir && !name[0] && (entry = readdir(dir))) {
		unsigned int v = 0, d = 0;
		char path[512];
		FILE *f;

		snprintf(path, sizeof(path), PCI_DEVICES "/%s/uevent",
			 entry->d_name);
		f = fopen(path, "r");
		while (f && fgets(path, sizeof(path), f))
			if (sscanf(path, "PCI_ID=%x:%x", &v, &d) == 2)
				break;
		if (f)
			fclose(f);
		if (v == vendor && d == device)
			snprintf(name, 32, "%.31s", entry->d_name);
	}
	if (dir)
		closedir(dir);
}

/* A BAR of the first PCI device of this kind: its address, or 0. */
static inline uint64_t pci_bar(unsigned int vendor, unsigned int device, int bar)
{
	unsigned long long start = 0;
	char name[32], path[128];
	FILE *f;

	pci_device(vendor, device, name);
	snprintf(path, sizeof(path), PCI_DEVICES "/%s/resource", name);
	f = name[0] ? fopen(path, "r") : NULL;
	for (int i = 0; f && i <= bar; i++)
		if (fscanf(f, "%llx %*x %*x", &start) != 1)
			start = 0;
	if (f)
		fclose(f);
	return start;
}

/* Vendor and device, as QEMU has them */
#define IVSHMEM	    0x1af4, 0x1110
#define EDU	    0x1234, 0x11e8
#define VIRTIO_DISK 0x1af4, 0x1001

/* QEMU's ivshmem-plain: 64 MiB that are a file outside the machine. */
static inline uint64_t ivshmem_bar(void)
{
	return pci_bar(IVSHMEM, 2);
}

/* QEMU's edu device: registers. */
static inline uint64_t edu_bar(void)
{
	return pci_bar(EDU, 0);
}

/* What memmap=16M$256M on the kernel's command line leaves alone; 0 if nothing. */
static inline uint64_t reserved_memory(void)
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
static inline uint64_t named_memory(const char *name)
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
static inline int bits_of_dev_mem(void)
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
static inline int physical_bits(void)
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
static inline int iomem_has(uint64_t base, uint64_t len, const char *name)
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

static inline int64_t window_value(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/class/misc/vmademo-phys0/%s", name);
	return read_number(path);
}

static inline uint64_t window_base(void)
{
	unsigned long long base = 0;
	FILE *f = fopen("/sys/class/misc/vmademo-phys0/base", "r");

	if (f && fscanf(f, "%llx", &base) != 1)
		base = 0;
	if (f)
		fclose(f);
	return base;
}

static inline int parameter_is(const char *name, const char *value)
{
	char path[128], text[128] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/sys/module/vmademo/parameters/%s", name);
	f = fopen(path, "r");
	if (f && !fgets(text, sizeof(text), f))
		text[0] = '\0';
	if (f)
		fclose(f);
	text[strcspn(text, "\n")] = '\0';
	return !strcmp(text, value);
}

/* How the memory of a BAR can be cached: on x86 as the firmware says, elsewhere not. */
static inline const char *bar_memtype(void)
{
	struct utsname here;

	return !uname(&here) && !strncmp(here.machine, "x86", 3) ? "wb" : "wc";
}

/* Loads the module with this window, if it is not so loaded; whether it is. */
static inline int use_window(const char *phys, int lazy)
{
	const char *map = lazy ? "lazy" : "eager";
	const char *memtype = strchr(phys, '@') ? bar_memtype() : "wb";
	char parameters[256];

	if (parameter_is("phys", phys) && parameter_is("phys_map", map))
		return 1;
	snprintf(parameters, sizeof(parameters),
		 "phys=%s phys_map=%s phys_memtype=%s", phys, map, memtype);
	if (module_is_loaded() && unload_module())
		return 0;
	return load_module(parameters) == 0;
}

/* Whether the kernel has a function of this name. */
static inline int kernel_has(const char *function)
{
	FILE *f = fopen("/proc/kallsyms", "r");
	char line[256], end[64];
	int has = 0;

	snprintf(end, sizeof(end), " %s\n", function);
	while (f && !has && fgets(line, sizeof(line), f))
		has = !!strstr(line, end);
	if (f)
		fclose(f);
	return has;
}

/*
 * Whether this kernel makes entries of 2 MiB for bare page frames.  That came with
 * Linux 6.12, together with this function.
 */
static inline int huge_entries(void)
{
	return kernel_has("follow_pfnmap_start");
}

/*
 * Whether remap_pfn_range() marks a VMA on this kernel (x86, up to Linux 6.15): then
 * no device's memory is mapped privately.
 */
static inline int remap_marks_vma(void)
{
	return kernel_has("track_pfn_copy");
}

/*
 * How many ranges within this one have a memory type of their own, the kernel's
 * mappings and those of programs; -1 if the kernel does not tell.
 */
static inline int memory_types(uint64_t base, uint64_t len)
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

#endif /* VMADEMO_WINDOWS_H */
