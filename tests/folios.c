// SPDX-License-Identifier: GPL-2.0-only
/*
 * Large folios: what one fault brings in, what is dirty then and written back; and that
 * nothing is lost when only a part of a folio goes, whether or not it can be split.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "stores.h"

#define HUGE (2 * MIB)
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
		.kind = store_kind, .size = HUGE                      \
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
	folio_size_wanted = variant->size;
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

static uint64_t below(FIXTURE_DATA(folios) * self, uint64_t n)
{
	self->random = self->random * 6364136223846793005ULL + 1;
	return (self->random >> 33) % n;
}

/* Another byte everywhere, in the buffer and in what it is compared with. */
static void fill(FIXTURE_DATA(folios) * self)
{
	for (size_t at = 0; at < SIZE; at += 256)
		memset(self->copy + at, at / 256 % 251 + 1,
		       SIZE - at < 256 ? SIZE - at : 256);
	memcpy(self->map, self->copy, SIZE);
}

static bool same(FIXTURE_DATA(folios) * self)
{
	return !memcmp(self->map, self->copy, SIZE);
}

/* On a kernel with all its checks on, everything takes long. */
static int rounds(int all)
{
	return access("/sys/kernel/debug/kmemleak", F_OK) ? all : all / 2;
}

/* One that nobody else holds, so that the kernel can split it; a pipe holds a page. */
static int hold_page(FIXTURE_DATA(folios) * self, size_t page, int ends[2])
{
	struct iovec part = { self->map + page * PAGE, PAGE };

	return pipe(ends) || vmsplice(ends[1], &part, 1, 0) != PAGE;
}

static void let_go(int ends[2])
{
	close(ends[0]);
	close(ends[1]);
}

/* ---- how large ----------------------------------------------------------- */

TEST_F(folios, one_fault_brings_one)
{
	RUN_IF_READY();

	struct account before = account_of(self->fd), d;

	EXPECT_EQ(variant->size, fd_value(self->fd, "folio_size"));
	EXPECT_EQ(0, touch(self->map + HUGE + 2 * PAGE));
	d = account_of_since(self->fd, &before);
	EXPECT_EQ(variant->size, d.cached_bytes);
	EXPECT_EQ(1, d.read_faults);
	EXPECT_EQ(0, d.dirtied_bytes);
	EXPECT_EQ(variant->kind == NO_STORE ? 0 : variant->size, d.read_in_bytes);
	/* Its other pages are there, those of the next are not */
	EXPECT_EQ(0, touch(self->map + HUGE));
	EXPECT_EQ(0, touch(self->map + HUGE + variant->size - 1));
	EXPECT_EQ(variant->size, account_of(self->fd).cached_bytes);
	EXPECT_EQ(0, touch(self->map + HUGE + variant->size));
	EXPECT_EQ(2 * variant->size, account_of(self->fd).cached_bytes);
}

/* None reaches beyond the end: there, they are smaller. */
TEST_F(folios, all_of_it)
{
	RUN_IF_READY();

	struct account a;

	for (size_t page = 0; page < PAGES; page++)
		put(self->map + page * PAGE, 1);
	a = account_of(self->fd);
	EXPECT_EQ(PAGES * PAGE, a.cached_bytes);
	/* With a file below, the flusher may have come */
	EXPECT_LE(PAGES * PAGE, a.dirty_bytes + a.written_bytes);
	if (!a.written_bytes) {
		EXPECT_EQ(PAGES * PAGE, a.dirtied_bytes);
		EXPECT_EQ(4 * HUGE / variant->size + 1, a.dirty_folios);
	}
	EXPECT_EQ(0, msync(self->map, SIZE, MS_SYNC));
	a = account_of(self->fd);
	EXPECT_EQ(0, a.dirty_bytes);
	EXPECT_EQ(a.dirtied_bytes, a.written_bytes);
	EXPECT_LE(4 * HUGE / variant->size + 1, a.written_folios);
}

/* One byte makes a folio dirty, and msync writes it back. */
TEST_F(folios, first_write)
{
	RUN_IF_READY();

	struct account before = account_of(self->fd), d;

	put(self->map + HUGE + 7 * PAGE + 3, 'x');
	self->copy[HUGE + 7 * PAGE + 3] = 'x';
	d = account_of_since(self->fd, &before);
	EXPECT_EQ(1, d.dirtied_folios);
	EXPECT_EQ(variant->size, d.dirty_bytes);
	EXPECT_EQ(0, msync(self->map + HUGE + 7 * PAGE, PAGE, MS_SYNC));
	d = account_of_since(self->fd, &before);
	EXPECT_EQ(1, d.written_folios);
	EXPECT_EQ(0, d.dirty_bytes);
	/* Dirty once more */
	put(self->map + HUGE, 'y');
	self->copy[HUGE] = 'y';
	EXPECT_EQ(variant->size, account_of(self->fd).dirty_bytes);
	EXPECT_EQ(0, fsync(self->fd));
	if (variant->kind != NO_STORE) {
		EXPECT_EQ(0, power_cut(self->fd));
	}
	EXPECT_TRUE(same(self));
}

/*
 * An instruction that reads and writes may read first.  Who then takes away what is mapped
 * to read, and only has the write come again, never sees it get on.
 */
TEST_F(folios, read_and_written_at_once)
{
	RUN_IF_READY();

	unsigned char *map = aligned_room(SIZE, HUGE);

	/* Where one entry can map 2 MiB */
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

/* write(2) makes them too, and leaves what is around it. */
TEST_F(folios, write_in_the_middle)
{
	RUN_IF_READY();

	const size_t at = HUGE + PAGE + 100, len = 2 * PAGE;

	memset(self->copy + at, 'w', len);
	EXPECT_EQ(len, pwrite(self->fd, self->copy + at, len, at));
	EXPECT_EQ(variant->size, account_of(self->fd).dirty_bytes);
	/* All of one */
	memset(self->copy + 2 * HUGE, 'v', HUGE);
	EXPECT_EQ(HUGE, pwrite(self->fd, self->copy + 2 * HUGE, HUGE, 2 * HUGE));
	EXPECT_EQ(0, fsync(self->fd));
	if (variant->kind != NO_STORE) {
		EXPECT_EQ(0, power_cut(self->fd));
	}
	EXPECT_TRUE(same(self));
}

/* ---- when a part goes ---------------------------------------------------- */

enum { CLEAN, DIRTY, HELD_CLEAN, HELD_DIRTY, WAYS };

static void punch_somewhere(struct __test_metadata *_metadata,
			    FIXTURE_DATA(folios) * self, int way)
{
	/* To a byte, a sector, a page, 64 KiB */
	const unsigned int units[] = { 1, 512, PAGE, 64 * 1024 };
	const unsigned int unit = units[below(self, 4)];
	size_t at = below(self, SIZE) / unit * unit;
	size_t len = (below(self, 2) ? below(self, 4 * PAGE)
				     : below(self, 3 * MIB)) /
		     unit * unit;
	size_t page = (at + below(self, 2 * PAGE)) / PAGE;
	int ends[2];

	len = len ? len : unit;
	if (at + len > SIZE)
		len = SIZE - at;
	if (page >= PAGES)
		page = PAGES - 1;
	if (way == CLEAN || way == HELD_CLEAN)
		ASSERT_EQ(0, fsync(self->fd));
	if (way >= HELD_CLEAN)
		ASSERT_EQ(0, hold_page(self, page, ends));
	ASSERT_EQ(0, fallocate(self->fd,
			       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at,
			       len))
	TH_LOG("[%zu, %zu): %s", at, at + len, strerror(errno));
	memset(self->copy + at, 0, len);
	EXPECT_TRUE(same(self))
	TH_LOG("[%zu, %zu) in way %d, with page %zu held", at, at + len, way,
	       page);
	if (way >= HELD_CLEAN)
		let_go(ends);
}

TEST_F(folios, punched)
{
	RUN_IF_READY();

	for (int i = 0; i < rounds(8); i++) {
		for (int way = 0; way < WAYS; way++) {
			fill(self);
			punch_somewhere(_metadata, self, way);
			punch_somewhere(_metadata, self, way);
		}
		EXPECT_EQ(0, fsync(self->fd));
		EXPECT_ACCOUNT_ADDS_UP(self->fd);
		EXPECT_EQ(0, account_of(self->fd).dirty_bytes);
		if (variant->kind != NO_STORE)
			EXPECT_EQ(0, power_cut(self->fd));
		EXPECT_TRUE(same(self)) TH_LOG("round %d", i);
		EXPECT_EQ(0, account_of(self->fd).lost_bytes);
	}
}

/* What is beyond the new end is gone, and does not come back. */
TEST_F(folios, cut_off)
{
	RUN_IF_READY();

	int ends[2];

	if (variant->kind == STORE_BLOCK)
		SKIP(return, "its size is fixed");
	for (int i = 0; i < rounds(8); i++) {
		size_t size = below(self, 2) ? below(self, SIZE)
					     : below(self, PAGES) * PAGE;
		bool held = i & 1;

		fill(self);
		if (i & 2)
			ASSERT_EQ(0, fsync(self->fd));
		if (held)
			ASSERT_EQ(0, hold_page(self, size / PAGE, ends));
		ASSERT_EQ(0, ftruncate(self->fd, size));
		if (!held)
			EXPECT_GE((size + PAGE - 1) / PAGE * PAGE,
				  account_of(self->fd).cached_bytes)
		TH_LOG("cut off at %zu", size);
		EXPECT_EQ(0, memcmp(self->map, self->copy, size))
		TH_LOG("cut off at %zu", size);
		if (size + PAGE <= SIZE)
			EXPECT_EQ(SIGBUS, touch_signal(self->map + SIZE - 1, 0));
		if (held)
			let_go(ends);
		ASSERT_EQ(0, ftruncate(self->fd, SIZE));
		memset(self->copy + size, 0, SIZE - size);
		EXPECT_TRUE(same(self)) TH_LOG("cut off at %zu", size);
		EXPECT_EQ(0, fsync(self->fd));
		EXPECT_ACCOUNT_ADDS_UP(self->fd);
		if (variant->kind != NO_STORE) {
			EXPECT_EQ(0, power_cut(self->fd));
			EXPECT_TRUE(same(self)) TH_LOG("cut off at %zu", size);
		}
	}
}

/* Advice for a part of a folio splits it: that is no eviction. */
TEST_F(folios, split_by_advice)
{
	RUN_IF_READY();

	struct account before, d;

	if (variant->kind == NO_STORE)
		SKIP(return, "nothing is evicted");
	fill(self);
	ASSERT_EQ(0, fsync(self->fd));
	before = account_of(self->fd);
	EXPECT_EQ(0, madvise(self->map + HUGE, PAGE, MADV_COLD));
	d = account_of_since(self->fd, &before);
	EXPECT_EQ(0, d.cached_bytes);
	EXPECT_EQ(0, d.evicted_bytes);
	EXPECT_TRUE(same(self));
}

/* ---- mapped by one entry -------------------------------------------------- */

/* A new mapping, where one entry can map 2 MiB, for which that is wished. */
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
	if (variant->size == HUGE && variant->kind == NO_STORE)
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

/* ---- power cuts ---------------------------------------------------------- */

/* Sectors of all of a folio are chosen from, and each is the old one or the new one. */
TEST_F(folios, torn)
{
	RUN_IF_READY();

	struct vmademo_crash cut = { .seed = 5, .torn = 1 };
	size_t sectors = variant->size / 512, old = 0, half = 0;

	if (variant->kind == NO_STORE)
		SKIP(return, "it needs a store");
	memset(self->map + HUGE, 'o', variant->size);
	ASSERT_EQ(0, fsync(self->fd));
	memset(self->map + HUGE, 'n', variant->size);
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_CRASH, &cut));
	EXPECT_EQ(1, cut.torn_folios);
	EXPECT_EQ(1, cut.lost_folios);
	EXPECT_EQ(variant->size, cut.lost_bytes);
	for (size_t i = 0; i < sectors; i++) {
		unsigned char *sector = self->map + HUGE + i * 512;

		ASSERT_TRUE(*sector == 'o' || *sector == 'n');
		for (int at = 1; at < 512; at++)
			ASSERT_EQ(*sector, sector[at]);
		old += *sector == 'o';
		half += i < sectors / 2 && *sector == 'o';
	}
	/* About every second one, in both halves */
	EXPECT_LT(sectors / 4, old);
	EXPECT_GT(sectors * 3 / 4, old);
	EXPECT_LT(0, half);
	EXPECT_GT(old, half);
}

TEST_HARNESS_MAIN
