// SPDX-License-Identifier: GPL-2.0-only
/*
 * mremap(2): a mapping is made longer or shorter, moved, or doubled.  Its pages go
 * along, with all that the page tables know of them: nothing faults again.
 */
#include "kselftest_harness.h"
#include "vmademo_test.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4 /* for mappings of files since Linux 5.13 */
#endif

#define PAGES 8
#define LEN   (PAGES * PAGE)
#define ROOM  (4 * LEN)

FIXTURE(mremap)
{
	int fd;
	unsigned char *map; /* of PAGES pages, with nothing behind it in ROOM */
	unsigned char *other; /* as much room elsewhere */
};

FIXTURE_VIEWS(mremap);

static unsigned char *reserve(void)
{
	return mmap(NULL, ROOM, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* Every page of the file begins with its number. */
FIXTURE_SETUP(mremap)
{
	self->fd = open_view(variant->view);
	ASSERT_GE(self->fd, 0) TH_LOG("%s", strerror(errno));
	for (unsigned char i = 0; i < 4 * PAGES; i++) {
		ASSERT_EQ(1, pwrite(self->fd, &i, 1, i * PAGE));
	}
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, mlockall(MCL_CURRENT));
	self->map = reserve();
	self->other = reserve();
	ASSERT_NE(MAP_FAILED, self->map);
	ASSERT_NE(MAP_FAILED, self->other);
	ASSERT_EQ(self->map, mmap(self->map, LEN, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_FIXED, self->fd, 0));
	ASSERT_EQ(0, munmap(self->map + LEN, ROOM - LEN));
}

FIXTURE_TEARDOWN(mremap)
{
	munmap(self->map, ROOM);
	munmap(self->other, ROOM);
	EXPECT_EQ(0, fd_value(self->fd, "mappings"));
	close(self->fd);
}

/* Longer: in its place if there is room behind it, else only if it may move. */
TEST_F(mremap, grows)
{
	unsigned char *p = self->map, *q;

	ASSERT_EQ(p, mremap(p, LEN, 2 * LEN, 0));
	EXPECT_EQ(1, fd_value(self->fd, "mappings"));
	for (int i = 0; i < 2 * PAGES; i++)
		EXPECT_EQ(i, touch(p + i * PAGE));

	ASSERT_EQ(p + 2 * LEN,
		  mmap(p + 2 * LEN, PAGE, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_EQ(MAP_FAILED, mremap(p, 2 * LEN, 3 * LEN, 0));
	EXPECT_EQ(ENOMEM, errno);
	q = mremap(p, 2 * LEN, 3 * LEN, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, q);
	EXPECT_NE(p, q);
	EXPECT_EQ(1, fd_value(self->fd, "mappings"));
	EXPECT_EQ(SIGSEGV, touch_signal(p, 0));
	for (int i = 0; i < 3 * PAGES; i++)
		EXPECT_EQ(i, touch(q + i * PAGE));
	munmap(q, 3 * LEN);
}

/* Shorter: as munmap of the tail. */
TEST_F(mremap, shrinks)
{
	unsigned char *p = self->map, byte = 0;

	put(p + LEN - 1, 9);
	ASSERT_EQ(p, mremap(p, LEN, 3 * PAGE, 0));
	EXPECT_EQ(1, fd_value(self->fd, "mappings"));
	EXPECT_EQ(2, touch(p + 2 * PAGE));
	EXPECT_EQ(SIGSEGV, touch_signal(p + 3 * PAGE, 0));
	EXPECT_EQ(1, pread(self->fd, &byte, 1, LEN - 1));
	EXPECT_EQ(9, byte);
	EXPECT_EQ(1, fd_value(self->fd, "dirty_folios"));
}

/* To a chosen place; what was mapped there is gone. */
TEST_F(mremap, to_a_fixed_place)
{
	const int flags = MREMAP_MAYMOVE | MREMAP_FIXED;
	unsigned char *p = self->map, *q = self->other;

	ASSERT_EQ(q, mmap(q, 2 * LEN, PROT_READ, MAP_SHARED | MAP_FIXED,
			  self->fd, LEN));
	EXPECT_EQ(2, fd_value(self->fd, "mappings"));
	EXPECT_EQ(MAP_FAILED, mremap(p, LEN, LEN, MREMAP_FIXED, q));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mremap(p, LEN, LEN, flags, p + PAGE));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mremap(p, LEN, LEN, flags, q + 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(PAGES, touch(q));

	ASSERT_EQ(q, mremap(p, LEN, LEN, flags, q));
	EXPECT_EQ(2, fd_value(self->fd, "mappings"));
	EXPECT_EQ(SIGSEGV, touch_signal(p, 0));
	for (int i = 0; i < PAGES; i++)
		EXPECT_EQ(i, touch(q + i * PAGE));
	/* The rest of what was there */
	EXPECT_EQ(2 * PAGES, touch(q + LEN));
	/* Of what is moved, all must be mapped */
	EXPECT_EQ(MAP_FAILED, mremap(p, LEN, LEN, MREMAP_MAYMOVE));
	EXPECT_EQ(EFAULT, errno);
}

/*
 * Moved pages stay mapped, and if they were writable and dirty they are so in the
 * new place.  And cleaning finds them there: it protects them again.
 */
TEST_F(mremap, dirty_pages_go_along)
{
	unsigned char *p = self->map, *q = self->other;
	struct account before, d;
	int64_t minor;

	for (int i = 0; i < PAGES; i++)
		put(p + i * PAGE, 50 + i);
	before = account_of(self->fd);
	EXPECT_EQ(in_folios(self->fd, LEN), before.dirty_folios);
	ASSERT_EQ(q, mremap(p, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED, q));
	EXPECT_EQ(LEN, smaps_value(q, "Private_Dirty"));

	minor = minor_faults();
	for (int i = 0; i < PAGES; i++)
		put(q + i * PAGE, 60 + i);
	EXPECT_EQ(minor, minor_faults());
	d = account_of_since(self->fd, &before);
	EXPECT_EQ(0, d.first_writes);
	EXPECT_EQ(0, d.written_folios);
	EXPECT_EQ(0, d.dirty_folios);

	ASSERT_EQ(0, msync(q, LEN, MS_SYNC));
	d = account_of_since(self->fd, &before);
	EXPECT_EQ(in_folios(self->fd, LEN), d.written_folios);
	for (int i = 0; i < PAGES; i++)
		put(q + i * PAGE, 70 + i);
	d = account_of_since(self->fd, &before);
	EXPECT_EQ(PAGES, d.first_writes);
	EXPECT_EQ(in_folios(self->fd, LEN), d.dirtied_folios);
}

/*
 * The old place stays mapped, but empty: each page is a new fault there.  (The new
 * address is looked at even without MREMAP_FIXED, so it has to be passed.)
 */
TEST_F(mremap, dontunmap)
{
	const int flags = MREMAP_MAYMOVE | MREMAP_DONTUNMAP;
	unsigned char *p = self->map, *q;
	struct account before, d;
	int64_t minor;

	put(p, 50);
	touch(p + PAGE);
	before = account_of(self->fd);
	q = mremap(p, LEN, LEN, flags, NULL);
	ASSERT_NE(MAP_FAILED, q);
	EXPECT_EQ(2, fd_value(self->fd, "mappings"));
	EXPECT_EQ(0, smaps_value(p, "Rss"));
	EXPECT_LE(2 * PAGE, smaps_value(q, "Rss"));

	minor = minor_faults();
	put(q, 51);
	EXPECT_EQ(minor, minor_faults());
	EXPECT_EQ(0, account_of_since(self->fd, &before).first_writes);
	/* It is one file, so the old place shows what the new one wrote */
	EXPECT_EQ(51, touch(p));
	EXPECT_LT(minor, minor_faults());
	put(p, 52);
	EXPECT_EQ(52, touch(q));
	/* Writable there only when somebody has asked; it was dirty already */
	d = account_of_since(self->fd, &before);
	EXPECT_EQ(1, d.first_writes);
	EXPECT_EQ(0, d.dirtied_folios);
	munmap(q, LEN);
	EXPECT_EQ(1, fd_value(self->fd, "mappings"));

	/* It is a move: neither another size nor staying is possible */
	EXPECT_EQ(MAP_FAILED, mremap(p, LEN, 2 * LEN, flags, NULL));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mremap(p, LEN, LEN, MREMAP_DONTUNMAP, NULL));
	EXPECT_EQ(EINVAL, errno);
}

/* Private copies are only where they were moved to. */
TEST_F(mremap, dontunmap_of_private_copies)
{
	unsigned char *p = self->map, *q;

	ASSERT_EQ(p, mmap(p, LEN, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_FIXED, self->fd, 0));
	put(p + 3 * PAGE, 99);
	q = mremap(p, LEN, LEN, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	ASSERT_NE(MAP_FAILED, q);
	EXPECT_EQ(99, touch(q + 3 * PAGE));
	EXPECT_EQ(3, touch(p + 3 * PAGE));
	put(p + 3 * PAGE, 98);
	EXPECT_EQ(99, touch(q + 3 * PAGE));
	munmap(q, LEN);
}

/* An old size of 0 leaves the mapping and makes another of the same pages. */
TEST_F(mremap, doubled)
{
	unsigned char *p = self->map, *q, *private;

	q = mremap(p + PAGE, 0, 4 * PAGE, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, q);
	EXPECT_EQ(2, fd_value(self->fd, "mappings"));
	put(q, 77);
	EXPECT_EQ(77, touch(p + PAGE));
	for (int i = 1; i < 4; i++)
		EXPECT_EQ(i + 1, touch(q + i * PAGE));
	munmap(q, 4 * PAGE);
	EXPECT_EQ(77, touch(p + PAGE));
	/* There is always a move in it */
	EXPECT_EQ(MAP_FAILED, mremap(p, 0, LEN, 0));
	EXPECT_EQ(ENOMEM, errno);

	/* Of a private mapping, what would that be? */
	private = mmap(NULL, LEN, PROT_READ, MAP_PRIVATE, self->fd, 0);
	ASSERT_NE(MAP_FAILED, private);
	EXPECT_EQ(MAP_FAILED, mremap(private, 0, LEN, MREMAP_MAYMOVE));
	EXPECT_EQ(EINVAL, errno);
	munmap(private, LEN);
}

/* A mapping may become longer than the file.  There is just nothing there. */
TEST_F(mremap, grows_beyond_the_end)
{
	off_t size = fd_value(self->fd, "size");
	unsigned char *p;

	p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd,
		 size - 2 * PAGE);
	ASSERT_NE(MAP_FAILED, p);
	put(p + PAGE, 11);
	p = mremap(p, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(11, touch(p + PAGE));
	EXPECT_EQ(SIGBUS, touch_signal(p + 2 * PAGE, 0));
	EXPECT_EQ(SIGBUS, touch_signal(p + 3 * PAGE, 1));
	munmap(p, 4 * PAGE);
}

/* From the middle: two VMAs are left, and each part still shows its pages. */
TEST_F(mremap, moved_from_the_middle)
{
	const int flags = MREMAP_MAYMOVE | MREMAP_FIXED;
	unsigned char *p = self->map, *q = self->other;

	for (int i = 0; i < PAGES; i++)
		put(p + i * PAGE + 1, 50 + i);
	ASSERT_EQ(q, mremap(p + 3 * PAGE, 2 * PAGE, 2 * PAGE, flags, q));
	EXPECT_EQ(3, fd_value(self->fd, "mappings"));
	EXPECT_EQ(2, vmas_in(p, LEN));
	for (int i = 0; i < PAGES; i++) {
		unsigned char *at = i == 3 || i == 4 ? q + (i - 3) * PAGE
						     : p + i * PAGE;

		EXPECT_EQ(i, touch(at)) TH_LOG("page %d", i);
		EXPECT_EQ(50 + i, touch(at + 1)) TH_LOG("page %d", i);
	}
	EXPECT_EQ(SIGSEGV, touch_signal(p + 3 * PAGE, 0));
	EXPECT_EQ(SIGSEGV, touch_signal(p + 4 * PAGE, 0));
	/* What was dirty still is, and is written back from where it is now */
	ASSERT_EQ(0, msync(q, 2 * PAGE, MS_SYNC));
	EXPECT_EQ(in_folios(self->fd, LEN) - in_folios(self->fd, 2 * PAGE),
		  fd_value(self->fd, "dirty_folios"));

	/* Back again; whether the kernel joins them differs, the count follows */
	ASSERT_EQ(p + 3 * PAGE,
		  mremap(q, 2 * PAGE, 2 * PAGE, flags, p + 3 * PAGE));
	EXPECT_EQ(vmas_in(p, LEN), fd_value(self->fd, "mappings"));
	for (int i = 0; i < PAGES; i++)
		EXPECT_EQ(50 + i, touch(p + i * PAGE + 1));
}

TEST_HARNESS_MAIN
