/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A disk whose sectors fail when they are told to.
 */
#ifndef VMADEMO_LIB_FAILING_DISK_H
#define VMADEMO_LIB_FAILING_DISK_H

#include "store.h"

#define DISK_MOUNT   "/tmp/vmademo-failing"
#define DISK_FILE    DISK_MOUNT "/file"
#define DISK_SECTORS (4 * MIB / 512)
#define DISK_PIECES  16

/* Where a piece of a file is on the disk, in bytes. */
struct disk_piece {
	uint64_t in_file, on_disk, length;
};

struct failing_disk {
	int control; /* of the device mapper */
	int ram; /* the RAM disk, read past the page cache */
	char path[32]; /* /dev/dm-N */
	struct disk_piece pieces[DISK_PIECES]; /* of the file, in order */
	size_t n;
};

int disk_fails(struct failing_disk *d, uint64_t start, uint64_t length);
int disk_hangs(struct failing_disk *d);
int disk_is_good(struct failing_disk *d);
void disk_end(struct failing_disk *d);
const char *disk_missing(void);
int disk_make(struct failing_disk *d);
int disk_format(struct failing_disk *d);
int disk_locate(struct failing_disk *d, int fd);
int disk_byte(struct failing_disk *d, uint64_t at);

#endif /* VMADEMO_LIB_FAILING_DISK_H */
