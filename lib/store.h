/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Buffers with a store, and the power of stores.
 */
#ifndef VMADEMO_LIB_STORE_H
#define VMADEMO_LIB_STORE_H

#include <sys/stat.h>

#include "lib.h"

/* The first is store ram as well, of a file of a mounted tree. */
enum store_kind {
	STORE_TREE = -1,
	STORE_RAM,
	STORE_TMPFS,
	STORE_EXT4,
	STORE_BLOCK
};

#define BLOCK_DEVICE "/dev/ram0"

/* ---- store.c ------------------------------------------------------------- */

const char *store_path(enum store_kind kind);
int create_store(enum store_kind kind, uint64_t size, int *lower);
void end_store(enum store_kind kind, int fd, int lower);
int lower_byte(int lower, off_t at);
int told(int fd);

/* ---- power.c ------------------------------------------------------------- */

int power_cut(int fd);
int power(int fd, struct vmademo_power p);
int power_off(int fd);
int power_on(int fd);
bool is_off(int fd);
int take_snapshot(int fd, struct vmademo_crash *cut);

#endif /* VMADEMO_LIB_STORE_H */
