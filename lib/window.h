/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Physical windows: where in this machine there is something to map, and loading the module
 * with it.
 */
#ifndef VMADEMO_LIB_WINDOW_H
#define VMADEMO_LIB_WINDOW_H

#include "lib.h"

/* ---- pci.c --------------------------------------------------------------- */

#define PCI_DEVICES "/sys/bus/pci/devices"

/* Vendor and device, as QEMU has them */
#define IVSHMEM	    0x1af4, 0x1110
#define EDU	    0x1234, 0x11e8
#define VIRTIO_DISK 0x1af4, 0x1001

void pci_device(unsigned int vendor, unsigned int device, char name[32]);
uint64_t pci_bar(unsigned int vendor, unsigned int device, int bar);
uint64_t ivshmem_bar(void);
uint64_t edu_bar(void);

/* ---- memory.c ------------------------------------------------------------ */

uint64_t reserved_memory(void);
uint64_t named_memory(const char *name);
int physical_bits(void);
int iomem_has(uint64_t base, uint64_t len, const char *name);
int memory_types(uint64_t base, uint64_t len);

/* ---- window.c ------------------------------------------------------------ */

int64_t window_value(const char *name);
uint64_t window_base(void);
const char *bar_memtype(void);
int use_window(const char *phys, int lazy);

#endif /* VMADEMO_LIB_WINDOW_H */
