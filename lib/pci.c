// SPDX-License-Identifier: GPL-2.0-only
/*
 * PCI devices of this machine, and where their memory is.
 */
#include <dirent.h>

#include "window.h"

#define PCI_DEVICES "/sys/bus/pci/devices"

/* The address of the first PCI device of this kind, such as 0000:00:01.0; or "". */
void pci_device(unsigned int vendor, unsigned int device, char name[32])
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
uint64_t pci_bar(unsigned int vendor, unsigned int device, int bar)
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

/* QEMU's ivshmem-plain: 64 MiB that are a file outside the machine. */
uint64_t ivshmem_bar(void)
{
	return pci_bar(IVSHMEM, 2);
}

/* QEMU's edu device: registers. */
uint64_t edu_bar(void)
{
	return pci_bar(EDU, 0);
}
