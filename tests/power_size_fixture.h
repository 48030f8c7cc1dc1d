/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fixture `size`: a buffer with store ram, or a file of a mounted tree, each byte of which is
 * that of its page, and durable.
 */
#ifndef VMADEMO_POWER_SIZE_FIXTURE_H
#define VMADEMO_POWER_SIZE_FIXTURE_H

#include "kselftest_harness.h"
#include "../lib/tree.h"
#include "rules.h"

#define SIZE (8 * PAGE)

FIXTURE(size)
{
	int fd;
	unsigned char *map; /* more than there is */
};

FIXTURE_VARIANT(size)
{
	enum store_kind kind;
};

FIXTURE_VARIANT_ADD(size, ram){
	.kind = STORE_RAM,
};

FIXTURE_VARIANT_ADD(size, tree){
	.kind = STORE_TREE,
};

/* Each byte is that of its page, and durable. */
FIXTURE_SETUP(size)
{
	int lower;

	folio_size_wanted = PAGE;
	self->fd = create_store(variant->kind, SIZE, &lower);
	ASSERT_LE(0, self->fd);
	self->map = mmap(NULL, 4 * SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
	for (size_t page = 0; page < SIZE / PAGE; page++)
		memset(self->map + page * PAGE, 'a' + page, PAGE);
	ASSERT_EQ(0, fsync(self->fd));
}

FIXTURE_TEARDOWN(size)
{
	munmap(self->map, 4 * SIZE);
	close(self->fd);
}

static inline int64_t durable_size_of(int fd)
{
	struct vmademo_info info;

	return ioctl(fd, VMADEMO_IOC_INFO, &info) ? -1
						  : (int64_t)info.durable_size;
}

/* The first byte in [from, to) that is not this one; -1 if all are. */
static inline off_t other_than(int fd, unsigned char byte, off_t from, off_t to)
{
	for (unsigned char got; from < to; from++)
		if (pread(fd, &got, 1, from) != 1 || got != byte)
			return from;
	return -1;
}

/* All pages of a buffer are as they were in the beginning, from this byte on. */
static inline off_t changed(int fd, off_t from)
{
	off_t at = -1;

	for (; from < (off_t)SIZE && at < 0; from += PAGE - from % PAGE)
		at = other_than(fd, 'a' + from / PAGE, from,
				from + PAGE - from % PAGE);
	return at;
}

#endif /* VMADEMO_POWER_SIZE_FIXTURE_H */
