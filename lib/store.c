// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buffers with a store, of each kind: made, looked at from below, and ended.
 *
 * VMADEMO_EXT4 names a folder on an ext4 file system where files may be made;
 * scripts/vm/guest-check has one.  /dev/ram0 (modprobe brd) is overwritten.
 */
#include "store.h"

/* The name of the file for a kind of store, or NULL if it has none here. */
const char *store_path(enum store_kind kind)
{
	static char path[256];
	const char *ext4 = getenv("VMADEMO_EXT4");

	switch (kind) {
	case STORE_TMPFS:
		return "/tmp/vmademo-store";
	case STORE_EXT4:
		if (!ext4 || !*ext4)
			return NULL;
		snprintf(path, sizeof(path), "%s/vmademo-store", ext4);
		return path;
	case STORE_BLOCK:
		return access(BLOCK_DEVICE, R_OK | W_OK) ? NULL : BLOCK_DEVICE;
	default:
		return NULL;
	}
}

/*
 * A new buffer of this kind that reads as zeroes.  *lower becomes a descriptor of what
 * is below it, or -1.  Returns -1 and errno; ENODEV if this machine has no such store.
 */
int create_store(enum store_kind kind, uint64_t size, int *lower)
{
	const char *path = store_path(kind);
	char zeroes[PAGE_MAX] = { 0 };
	int fd;

	*lower = -1;
	if (kind == STORE_TREE)
		return create_in_tree("ram", size);
	if (kind == STORE_RAM)
		return create_with(VMADEMO_STORE_RAM, size, 0);
	if (!path) {
		errno = ENODEV;
		return -1;
	}
	*lower = open(path,
		      kind == STORE_BLOCK
			      ? O_RDWR | O_CLOEXEC
			      : O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC,
		      0600);
	if (*lower < 0)
		return -1;
	if (kind == STORE_BLOCK) {
		for (uint64_t at = 0; at < size; at += PAGE)
			if (pwrite(*lower, zeroes, PAGE, at) != PAGE)
				return -1;
	} else if (ftruncate(*lower, size)) {
		return -1;
	}
	fd = create_with(VMADEMO_STORE_FILE, size, *lower);
	if (fd < 0) {
		close(*lower);
		*lower = -1;
	}
	return fd;
}

/* Closes what create_store() gave. */
void end_store(enum store_kind kind, int fd, int lower)
{
	close(fd);
	if (lower < 0)
		return;
	close(lower);
	if (kind != STORE_BLOCK)
		unlink(store_path(kind));
}

/*
 * What the store has at an offset, seen from below; -1 if it cannot be looked at, -2 if it has
 * nothing there.
 */
int lower_byte(int lower, off_t at)
{
	unsigned char byte;

	if (lower < 0)
		return -1;
	return pread(lower, &byte, 1, at) == 1 ? byte : -2;
}

/* What this open file is told when it asks: an errno, or 0. */
int told(int fd)
{
	return fsync(fd) ? errno : 0;
}
