/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fixture `folios`: a buffer of large folios, of two sizes, with each kind of store; a mapping
 * of all of it; and a copy of what it must have.
 */
#ifndef VMADEMO_FOLIOS_FIXTURE_H
#define VMADEMO_FOLIOS_FIXTURE_H

#include <sys/uio.h>

#include "kselftest_harness.h"
#include "stores.h"

/* The larger size; a program may say another one before */
#ifndef HUGE
#define HUGE	   (2 * MIB)
#define HUGE_FOLIO HUGE
#endif
/* Four of the largest, and a part of a page */
#define SIZE  (4 * HUGE + 1000)
#define PAGES ((SIZE + PAGE - 1) / PAGE)

/* Besides enum store_kind */
#define NO_STORE ((enum store_kind) - 1)

FIXTURE(folios)
{
	const char *skip;
	int fd, lower;
	unsigned char *map, *copy;
	uint64_t random;
};

FIXTURE_VARIANT(folios)
{
	enum store_kind kind;
	uint32_t size;
};

#define BOTH_SIZES(name, store_kind)                                  \
	FIXTURE_VARIANT_ADD(folios, name##_64k){ .kind = store_kind,  \
						 .size = 64 * 1024 }; \
	FIXTURE_VARIANT_ADD(folios, name##_2m)                        \
	{                                                             \
		.kind = store_kind, .size = HUGE_FOLIO                \
	}

BOTH_SIZES(none, NO_STORE);
BOTH_SIZES(ram, STORE_RAM);
BOTH_SIZES(tmpfs, STORE_TMPFS);
BOTH_SIZES(ext4, STORE_EXT4);
BOTH_SIZES(block, STORE_BLOCK);

FIXTURE_SETUP(folios)
{
	memset(self, 0, sizeof(*self));
	self->lower = -1;
	self->random = 1;
	folio_size_wanted = folio_bytes(variant->size);
	self->fd = variant->kind == NO_STORE
			   ? create_buffer(SIZE)
			   : create_store(variant->kind, SIZE, &self->lower);
	/* A disk may be too small */
	if (self->fd < 0 && (errno == ENODEV || errno == ENOSPC)) {
		self->skip = "no such store on this machine";
		return;
	}
	ASSERT_GE(self->fd, 0) TH_LOG("create: %s", strerror(errno));
	self->map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
	self->copy = calloc(1, SIZE);
	ASSERT_NE(NULL, self->copy);
}

FIXTURE_TEARDOWN(folios)
{
	if (self->skip)
		return;
	EXPECT_ACCOUNT_ADDS_UP(self->fd);
	munmap(self->map, SIZE);
	free(self->copy);
	if (variant->kind == NO_STORE)
		close(self->fd);
	else
		end_store(variant->kind, self->fd, self->lower);
}

/* Another byte everywhere, in the buffer and in what it is compared with. */
static inline void fill(FIXTURE_DATA(folios) * self)
{
	for (size_t at = 0; at < SIZE; at += 256)
		memset(self->copy + at, at / 256 % 251 + 1,
		       SIZE - at < 256 ? SIZE - at : 256);
	memcpy(self->map, self->copy, SIZE);
}

static inline bool same(FIXTURE_DATA(folios) * self)
{
	return !memcmp(self->map, self->copy, SIZE);
}

/* One that nobody else holds, so that the kernel can split it; a pipe holds a page. */
static inline int hold_page(FIXTURE_DATA(folios) * self, size_t page, int ends[2])
{
	struct iovec part = { self->map + page * PAGE, PAGE };

	return pipe(ends) || vmsplice(ends[1], &part, 1, 0) != PAGE;
}

static inline void let_go(int ends[2])
{
	close(ends[0]);
	close(ends[1]);
}

#endif /* VMADEMO_FOLIOS_FIXTURE_H */
