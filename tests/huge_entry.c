// SPDX-License-Identifier: GPL-2.0-only
/*
 * A large folio that is mapped by one entry, of 2 MiB with pages of 4 KiB: what that shows, and
 * where there is none.
 */
#define HUGE	   PMD_SIZE
#define HUGE_FOLIO PMD_FOLIO
#include "folios_fixture.h"

/*
 * An instruction that reads and writes may read first.  Who then takes away what is mapped
 * to read, and only has the write come again, never sees it get on.
 */
TEST_F(folios, read_and_written_at_once)
{
	RUN_IF_READY();

	unsigned char *map = aligned_room(SIZE, HUGE);

	/* Where one entry can map a folio */
	ASSERT_EQ(map, mmap(map, SIZE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_FIXED, self->fd, 0));
	fill(self);
	for (size_t at = HUGE; at < HUGE + 4 * PAGE; at += PAGE) {
		ASSERT_EQ(0, msync(map, SIZE, MS_SYNC));
		touch(map + HUGE);
		self->copy[at]++;
		EXPECT_EQ(self->copy[at],
			  __atomic_add_fetch(map + at, 1, __ATOMIC_SEQ_CST));
	}
	EXPECT_TRUE(same(self));
	munmap(map, SIZE);
}

/* A new mapping, where one entry can map a folio, for which that is wished. */
static unsigned char *map_wished(int fd)
{
	unsigned char *map = aligned_room(SIZE, HUGE);

	/* A kernel without huge pages has no .huge_fault either */
	wish_huge_pages(true);
	if (mmap(map, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		 0) != map ||
	    (madvise(map, SIZE, MADV_HUGEPAGE) && errno != EINVAL))
		return NULL;
	return map;
}

/* What is cached is mapped by one read each, and is the same; the first write is counted. */
TEST_F(folios, wished)
{
	RUN_IF_READY();

	struct account before, d;
	unsigned char *map;

	fill(self);
	ASSERT_EQ(0, fsync(self->fd));
	map = map_wished(self->fd);
	ASSERT_NE(NULL, map);
	before = account_of(self->fd);
	for (size_t at = 0; at < 4 * HUGE; at += HUGE)
		EXPECT_EQ(self->copy[at + 5 * PAGE], touch(map + at + 5 * PAGE));
	d = account_of_since(self->fd, &before);
	EXPECT_EQ(0, d.read_faults);
	EXPECT_EQ(4, d.fault_around);
	EXPECT_EQ(4, d.fault_around_hits);
	/* With a store, what was made by write-back or reading may be smaller */
	if (variant->size == HUGE_FOLIO && variant->kind == NO_STORE)
		EXPECT_EQ(4 * HUGE / KIB,
			  smaps_value(map, "FilePmdMapped") / KIB);
	EXPECT_EQ(0, memcmp(map, self->copy, SIZE));
	EXPECT_EQ(0, d.dirtied_bytes);
	put(map + HUGE + 9, 'w');
	self->copy[HUGE + 9] = 'w';
	EXPECT_EQ(1, account_of_since(self->fd, &before).dirtied_folios);
	EXPECT_TRUE(same(self));
	EXPECT_EQ(0, memcmp(map, self->copy, SIZE));
	munmap(map, SIZE);
	wish_huge_pages(false);
}

/* Where one entry would show other pages, or reach beyond the mapping, there is none. */
TEST_F(folios, wished_where_it_does_not_fit)
{
	RUN_IF_READY();

	const struct {
		size_t at, length, offset;
	} bad[] = {
		{ 0, HUGE, PAGE },     { 0, 2 * HUGE, HUGE - PAGE },
		{ PAGE, 2 * HUGE, 0 }, { PAGE, 2 * HUGE, PAGE },
		{ 0, HUGE / 2, 0 },    { HUGE - PAGE, 2 * HUGE, HUGE - PAGE },
	};
	unsigned char *map, *p;

	fill(self);
	ASSERT_EQ(0, fsync(self->fd));
	map = map_wished(self->fd);
	ASSERT_NE(NULL, map);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ASSERT_EQ(map,
			  mmap(map, SIZE, PROT_NONE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
		p = mmap(map + bad[i].at, bad[i].length, PROT_READ,
			 MAP_SHARED | MAP_FIXED, self->fd, bad[i].offset);
		ASSERT_EQ(map + bad[i].at, p);
		madvise(p, bad[i].length, MADV_HUGEPAGE);
		for (size_t at = 0; at < bad[i].length; at += PAGE) {
			ASSERT_EQ(self->copy[bad[i].offset + at], touch(p + at))
			TH_LOG("mapping %zu, %zu", i, at);
		}
		EXPECT_EQ(SIGSEGV, touch_signal(p + bad[i].length, 0));
		if (bad[i].at)
			EXPECT_EQ(SIGSEGV, touch_signal(p - 1, 0));
	}
	munmap(map, SIZE);
	wish_huge_pages(false);
}

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE  103
#endif

/* As new as .huge_fault is for files, for which the kernel has had guards since. */
static bool huge_fault_is_asked(unsigned char *map)
{
	return !madvise(map, PAGE, MADV_GUARD_INSTALL) &&
	       !madvise(map, PAGE, MADV_GUARD_REMOVE);
}

/*
 * A folio that could not be split reaches beyond the end.  A touch there raises SIGBUS; but
 * Linux 6.1 maps all of the folio by one entry, and zeroes are read.
 */
TEST_F(folios, wished_beyond_the_end)
{
	RUN_IF_READY();

	const size_t end = 2 * HUGE + 3 * PAGE;
	unsigned char *map;
	int ends[2];

	if (variant->kind == STORE_BLOCK)
		SKIP(return, "its size is the device's");
	fill(self);
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, hold_page(self, 2 * HUGE / PAGE, ends));
	ASSERT_EQ(0, ftruncate(self->fd, end));
	map = map_wished(self->fd);
	ASSERT_NE(NULL, map);
	EXPECT_EQ(self->copy[2 * HUGE], touch(map + 2 * HUGE));
	if (!huge_fault_is_asked(map) && smaps_value(map, "FilePmdMapped")) {
		EXPECT_EQ(0, touch(map + end));
		EXPECT_EQ(0, touch(map + 3 * HUGE - 1));
	} else {
		EXPECT_EQ(SIGBUS, touch_signal(map + end, 0));
		EXPECT_EQ(SIGBUS, touch_signal(map + 3 * HUGE - 1, 0));
	}
	munmap(map, SIZE);
	wish_huge_pages(false);
	let_go(ends);
	ASSERT_EQ(0, ftruncate(self->fd, SIZE));
}

TEST_HARNESS_MAIN
