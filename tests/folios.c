// SPDX-License-Identifier: GPL-2.0-only
/*
 * Large folios: what one fault brings in, what is dirty then and written back; and that
 * nothing is lost when only a part of a folio goes, whether or not it can be split.
 */
#include <fcntl.h>
#include <linux/falloc.h>

#include "folios_fixture.h"

static uint64_t below(FIXTURE_DATA(folios) * self, uint64_t n)
{
	self->random = self->random * 6364136223846793005ULL + 1;
	return (self->random >> 33) % n;
}

/* On a kernel with all its checks on, everything takes long. */
static int rounds(int all)
{
	return access("/sys/kernel/debug/kmemleak", F_OK) ? all : all / 2;
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
	/* Where nothing can block, the same fault maps it: it is not taken a second time */
	if (variant->kind == NO_STORE || variant->kind == STORE_RAM)
		EXPECT_EQ(1, d.fault_around);
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
	/* With a file below, the flusher may have come, and be at work */
	EXPECT_LE(PAGES * PAGE, a.dirtied_bytes);
	if (a.dirty_bytes == a.dirtied_bytes) {
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
