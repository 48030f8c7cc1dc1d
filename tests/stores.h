/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Buffers with a store, of each kind: made, looked at from below, and ended.
 *
 * VMADEMO_EXT4 names a folder on an ext4 file system where files may be made;
 * scripts/vm/guest-check has one.  /dev/ram0 (modprobe brd) is overwritten.
 */
#ifndef VMADEMO_STORES_H
#define VMADEMO_STORES_H

#include <sys/stat.h>

#include "vmademo_test.h"

/* The first is store ram as well, of a file of a mounted tree. */
enum store_kind {
	STORE_TREE = -1,
	STORE_RAM,
	STORE_TMPFS,
	STORE_EXT4,
	STORE_BLOCK
};

#define BLOCK_DEVICE "/dev/ram0"

/* The name of the file for a kind of store, or NULL if it has none here. */
static inline const char *store_path(enum store_kind kind)
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
static inline int create_store(enum store_kind kind, uint64_t size, int *lower)
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
static inline void end_store(enum store_kind kind, int fd, int lower)
{
	close(fd);
	if (lower < 0)
		return;
	close(lower);
	if (kind != STORE_BLOCK)
		unlink(store_path(kind));
}

/* A power cut in which nothing more was written; 0, or -1 and errno. */
static inline int power_cut(int fd)
{
	struct vmademo_crash c = { 0 };

	return ioctl(fd, VMADEMO_IOC_CRASH, &c);
}

/* What this open file is told when it asks: an errno, or 0. */
static inline int told(int fd)
{
	return fsync(fd) ? errno : 0;
}

/* What is dirty now is what was dirtied and has gone nowhere. */
#define EXPECT_ACCOUNT_ADDS_UP(fd)                                          \
	do {                                                                \
		struct account account_ = account_of(fd);                   \
                                                                            \
		if (folios_are_pages(fd))                                   \
			EXPECT_EQ(account_.dirty_folios,                    \
				  account_.dirtied_folios -                 \
					  account_.written_folios -         \
					  account_.discarded_folios -       \
					  account_.lost_folios);            \
		EXPECT_EQ(account_.dirty_bytes,                             \
			  account_.dirtied_bytes - account_.written_bytes - \
				  account_.discarded_bytes -                \
				  account_.lost_bytes);                     \
	} while (0)

/*
 * Runs every test of a fixture on each kind: FIXTURE_STORES(name) after FIXTURE().  Their
 * folio_size is 0; a fixture may add variants with another one.
 */
#define FIXTURE_STORES(fixture)              \
	FIXTURE_VARIANT(fixture)             \
	{                                    \
		enum store_kind kind;        \
		uint32_t folio_size;         \
	};                                   \
	FIXTURE_VARIANT_ADD(fixture, ram){   \
		.kind = STORE_RAM,           \
	};                                   \
	FIXTURE_VARIANT_ADD(fixture, tree){  \
		.kind = STORE_TREE,          \
	};                                   \
	FIXTURE_VARIANT_ADD(fixture, tmpfs){ \
		.kind = STORE_TMPFS,         \
	};                                   \
	FIXTURE_VARIANT_ADD(fixture, ext4){  \
		.kind = STORE_EXT4,          \
	};                                   \
	FIXTURE_VARIANT_ADD(fixture, block)  \
	{                                    \
		.kind = STORE_BLOCK,         \
	}

#endif /* VMADEMO_STORES_H */
