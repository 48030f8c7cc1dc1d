/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Files that stop, and who waits for them.
 */
#ifndef VMADEMO_LIB_SLOW_STORE_H
#define VMADEMO_LIB_SLOW_STORE_H

#include <sys/mount.h>

#include <linux/fs.h> /* FITHAW */

#include "store.h"

#define FUSE_MOUNT "/tmp/vmademo-fuse"

/* Seconds in which everything is done that does not wait for ever. */
#define LONG 60

/* While somebody is meant to wait, the kernel need not warn of it. */
extern const char hung_task[];

enum slow_kind { FROZEN_EXT4, MUTE_FUSE };

/*
 * What the server does: answer; be silent; keep an fsync or a read waiting, and that it has
 * one; let one fsync fail; let the write fail, or wait, that FUSE_WRITES_LEFT counts down to, and
 * that it has one.
 */
enum mute {
	ANSWER,
	SILENT,
	HOLD_FSYNC,
	HOLDS_FSYNC,
	FAIL_FSYNC,
	HOLD_READ,
	HOLDS_READ,
	FAIL_WRITE,
	HOLD_WRITE,
	HOLDS_WRITE
};

/* Beside *mute: how many writes are still to come, that one included. */
#define FUSE_WRITES_LEFT(s) ((s)->mute[1])

struct slow {
	enum slow_kind kind;
	int file; /* the file */
	int end; /* a byte here ends it */
	int mount; /* of ext4 */
	volatile int *mute; /* shared with the server: enum mute */
	pid_t helper; /* the server, or who thaws */
};

/* ---- fuse.c -------------------------------------------------------------- */

const char *fuse_make(struct slow *s);

/* ---- slow_store.c -------------------------------------------------------- */

const char *slow_make(struct slow *s, enum slow_kind kind, uint64_t size);
int slow_stop(struct slow *s);
void slow_go(struct slow *s);
void slow_end(struct slow *s);
bool ends(pid_t pid);
char state_of(pid_t pid);
bool waits(pid_t pid);

#endif /* VMADEMO_LIB_SLOW_STORE_H */
