// SPDX-License-Identifier: GPL-2.0-only
/*
 * What comes into the page cache from a store, and what goes out of it again: reading
 * ahead, as madvise and posix_fadvise ask for it, and eviction.  A page that was
 * evicted is read in again when it is next touched.
 */
#define PAGES 256UL
#define SIZE  (PAGES * PAGE)

#define STORE_SIZE SIZE
#include "store_fixture.h"

/* On the store is its number in each page; nothing is cached. */
static void number_the_pages(struct __test_metadata *_metadata,
			     FIXTURE_DATA(store) * self)
{
	for (size_t i = 0; i < PAGES; i++)
		put(self->map + i * PAGE, i);
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, power_cut(self->fd));
}

static bool is_cached(const unsigned char *p)
{
	return cached_pages((void *)p, PAGE) == 1;
}

/*
 * One page is touched in the middle.  Without advice what lies around it is read in
 * with it; SEQUENTIAL: what follows; RANDOM: nothing else.
 */
TEST_F(store, advice)
{
	RUN_IF_READY();
	RUN_IF_FOLIOS_ARE_PAGES(self->fd);
	number_the_pages(_metadata, self);

	unsigned char *p = self->map + 128 * PAGE;
	struct account before;
	int64_t normal, sequential, random;

	before = account_of(self->fd);
	EXPECT_EQ(128, touch(p));
	normal = account_of_since(self->fd, &before).read_in_folios;
	EXPECT_LT(1, normal);
	EXPECT_TRUE(is_cached(p - PAGE));
	EXPECT_TRUE(is_cached(p + PAGE));

	ASSERT_EQ(0, power_cut(self->fd));
	ASSERT_EQ(0, madvise(self->map, SIZE, MADV_SEQUENTIAL));
	before = account_of(self->fd);
	EXPECT_EQ(128, touch(p));
	sequential = account_of_since(self->fd, &before).read_in_folios;
	EXPECT_LT(1, sequential);
	EXPECT_FALSE(is_cached(p - PAGE));
	EXPECT_TRUE(is_cached(p + PAGE));

	ASSERT_EQ(0, power_cut(self->fd));
	ASSERT_EQ(0, madvise(self->map, SIZE, MADV_RANDOM));
	before = account_of(self->fd);
	EXPECT_EQ(128, touch(p));
	random = account_of_since(self->fd, &before).read_in_folios;
	EXPECT_EQ(1, random);
	EXPECT_FALSE(is_cached(p - PAGE));
	EXPECT_FALSE(is_cached(p + PAGE));
}

/* A walk through all pages: each is read in once, but with how many faults? */
TEST_F(store, faults_of_a_walk)
{
	RUN_IF_READY();
	number_the_pages(_metadata, self);

	static const int advice[] = { MADV_NORMAL, MADV_SEQUENTIAL, MADV_RANDOM };
	int64_t major[3];

	for (int i = 0; i < 3; i++) {
		struct account before = account_of(self->fd);

		ASSERT_EQ(0, madvise(self->map, SIZE, advice[i]));
		major[i] = major_faults();
		for (size_t at = 0; at < SIZE; at += PAGE)
			ASSERT_EQ((unsigned char)(at / PAGE),
				  touch(self->map + at));
		major[i] = major_faults() - major[i];
		EXPECT_EQ(in_folios(self->fd, SIZE),
			  account_of_since(self->fd, &before).read_in_folios);
		ASSERT_EQ(0, power_cut(self->fd));
	}
	/* One for a read-ahead of many pages; one for each folio */
	EXPECT_GT(PAGES / 8, major[0]);
	EXPECT_GT(PAGES / 8, major[1]);
	EXPECT_EQ(in_folios(self->fd, SIZE), major[2]);
}

/* Read in before it is needed: touching is no major fault then. */
TEST_F(store, willneed)
{
	RUN_IF_READY();
	number_the_pages(_metadata, self);

	int64_t major;

	/* No more at once */
	for (size_t at = 16 * PAGE; at < 48 * PAGE; at += READ_AHEAD)
		ASSERT_EQ(0, madvise(self->map + at, READ_AHEAD, MADV_WILLNEED));
	EXPECT_EQ(32, cached_pages(self->map, SIZE));
	major = major_faults();
	for (size_t i = 16; i < 48; i++)
		EXPECT_EQ(i, touch(self->map + i * PAGE));
	EXPECT_EQ(major, major_faults());
}

/* read(2) is read ahead too, unless it is told to be random. */
TEST_F(store, by_read)
{
	RUN_IF_READY();
	number_the_pages(_metadata, self);

	unsigned char byte;

	ASSERT_EQ(1, pread(self->fd, &byte, 1, 0));
	EXPECT_LT(1, cached_pages(self->map, SIZE));
	ASSERT_EQ(0, power_cut(self->fd));
	ASSERT_EQ(0, posix_fadvise(self->fd, 0, 0, POSIX_FADV_RANDOM));
	for (size_t i = 0; i < PAGES; i += 5) {
		ASSERT_EQ(1, pread(self->fd, &byte, 1, i * PAGE));
		EXPECT_EQ((unsigned char)i, byte);
	}
	EXPECT_EQ((PAGES + 4) / 5, cached_pages(self->map, SIZE));
}

/* The administrator's limit holds for files that are opened from then on. */
TEST_F(store, read_ahead_kb)
{
	RUN_IF_READY();
	number_the_pages(_metadata, self);

	const char *knob = bdi_file(self->fd, "read_ahead_kb");
	const int64_t was = read_number(knob);
	unsigned char *p;
	int fd;

	EXPECT_LE(16, was);
	ASSERT_EQ(0, write_text(knob, "0"));
	fd = reopen(self->fd, O_RDONLY);
	ASSERT_EQ(0, write_text(knob, "128"));
	ASSERT_GE(fd, 0);
	p = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(128, touch(p + 128 * PAGE));
	EXPECT_EQ(folio_size_of(fd) / PAGE, cached_pages(p, SIZE));
	munmap(p, SIZE);
	close(fd);
}

/* ---- eviction ------------------------------------------------------------ */

static int pageout(FIXTURE_DATA(store) * self)
{
	struct account before = account_of(self->fd);

	if (madvise(self->map, SIZE, MADV_PAGEOUT))
		return -1;
	if (account_of_since(self->fd, &before).evicted_bytes)
		return 0;
	/* Linux 6.1 does no more with large folios than to split and unmap them */
	for (size_t at = 0; at < SIZE; at += PAGE)
		touch(self->map + at);
	return madvise(self->map, SIZE, MADV_PAGEOUT);
}

static int fadvise(FIXTURE_DATA(store) * self)
{
	/* Mapped pages are left alone */
	return madvise(self->map, SIZE, MADV_DONTNEED)
		       ?: posix_fadvise(self->fd, 0, 0, POSIX_FADV_DONTNEED);
}

static int drop_caches(FIXTURE_DATA(store) * self)
{
	return madvise(self->map, SIZE, MADV_DONTNEED)
		       ?: write_text("/proc/sys/vm/drop_caches", "1");
}

static const struct {
	int (*evict)(FIXTURE_DATA(store) * self);
	int dirty; /* how many of one dirty folio are dirty afterwards */
} ways[] = {
	{ pageout, 1 },
	{ fadvise, 0 }, /* starts to write them back */
	{ drop_caches, 1 },
};

/* Clean pages go, and come back with their bytes; a dirty one is not lost. */
TEST_F(store, evicted)
{
	RUN_IF_READY();
	number_the_pages(_metadata, self);

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct account before, d;

		for (size_t at = 0; at < SIZE; at += PAGE)
			touch(self->map + at);
		put(self->map + 7 * PAGE + 1, i + 10);
		before = account_of(self->fd);
		EXPECT_EQ(SIZE, before.cached_bytes);
		EXPECT_EQ(1, before.dirty_folios);

		ASSERT_EQ(0, ways[i].evict(self)) TH_LOG("way %zu", i);
		d = account_of_since(self->fd, &before);
		/* The kernel may keep what it has just looked at */
		EXPECT_LE((SIZE - folio_size_of(self->fd)) * 3 / 4,
			  d.evicted_bytes)
		TH_LOG("way %zu", i);
		EXPECT_EQ(-d.cached_bytes, d.evicted_bytes)
		TH_LOG("way %zu", i);
		EXPECT_EQ(ways[i].dirty * before.dirty_bytes,
			  before.dirty_bytes + d.dirty_bytes)
		TH_LOG("way %zu", i);
		EXPECT_EQ(0, d.lost_folios);

		for (size_t at = 0; at < SIZE; at += PAGE)
			EXPECT_EQ((unsigned char)(at / PAGE),
				  touch(self->map + at));
		EXPECT_EQ(i + 10, touch(self->map + 7 * PAGE + 1));
		d = account_of_since(self->fd, &before);
		EXPECT_EQ(d.evicted_bytes, d.read_in_bytes);
		ASSERT_EQ(0, fsync(self->fd));
	}
}

TEST_HARNESS_MAIN
