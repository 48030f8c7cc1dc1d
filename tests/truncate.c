// SPDX-License-Identifier: GPL-2.0-only
/*
 * The size of a buffer that is a regular file, and its holes: ftruncate, writing
 * beyond the end, fallocate, MADV_REMOVE; and what a refusal leaves behind.
 */
#include <linux/falloc.h>

#include "file_fixture.h"

/* Smaller: what is beyond the end is gone, for mappings too. */
TEST_F(file, ftruncate_smaller)
{
	memset(self->map, 7, 16 * PAGE);
	ASSERT_EQ(0, ftruncate(self->fd, 2 * PAGE + 10));
	EXPECT_EQ(2 * PAGE + 10, stat_of(self->fd).st_size);
	EXPECT_EQ(7, touch(self->map + 2 * PAGE + 9));
	/* The rest of the last page is zero, and then there is nothing */
	EXPECT_EQ(0, touch(self->map + 2 * PAGE + 10));
	EXPECT_EQ(0, touch(self->map + 3 * PAGE - 1));
	EXPECT_EQ(SIGBUS, touch_signal(self->map + 3 * PAGE, 0));
	EXPECT_EQ(3 * PAGE, fd_value(self->fd, "cached_bytes"));
	EXPECT_EQ(13 * PAGE, fd_value(self->fd, "discarded_bytes"));

	/* What was cut off does not come back */
	ASSERT_EQ(0, ftruncate(self->fd, 8 * PAGE));
	for (size_t i = 2 * PAGE + 10; i < 8 * PAGE; i++)
		ASSERT_EQ(0, self->map[i]);
	EXPECT_EQ(7, touch(self->map + 2 * PAGE + 9));
}

/* Private copies are cut off too, as POSIX wants it. */
TEST_F(file, ftruncate_takes_private_copies)
{
	unsigned char *private = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE, self->fd, 0);

	ASSERT_NE(MAP_FAILED, private);
	put(private + 4 * PAGE, 9);
	ASSERT_EQ(0, ftruncate(self->fd, 2 * PAGE));
	EXPECT_EQ(SIGBUS, touch_signal(private + 4 * PAGE, 0));
	ASSERT_EQ(0, ftruncate(self->fd, 8 * PAGE));
	EXPECT_EQ(0, touch(private + 4 * PAGE));
	munmap(private, 8 * PAGE);
}

TEST_F(file, ftruncate_refused)
{
	struct rlimit limit = { .rlim_cur = 20 * PAGE, .rlim_max = 20 * PAGE };

	EXPECT_FAILS(EINVAL, ftruncate(self->fd, -1));
	signal(SIGXFSZ, SIG_IGN);
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &limit));
	EXPECT_FAILS(EFBIG, ftruncate(self->fd, 20 * PAGE + 1));
	EXPECT_FAILS(EFBIG, fallocate(self->fd, 0, 0, 20 * PAGE + 1));
	EXPECT_EQ(SIZE, stat_of(self->fd).st_size);
	EXPECT_EQ(0, ftruncate(self->fd, 20 * PAGE));
}

TEST_F(file, write_extends)
{
	char back[8];

	ASSERT_EQ(4, pwrite(self->fd, "data", 4, 20 * PAGE));
	EXPECT_EQ(20 * PAGE + 4, stat_of(self->fd).st_size);
	EXPECT_EQ(4, pread(self->fd, back, 8, 20 * PAGE));
	EXPECT_EQ(0, memcmp(back, "data", 4));
	/* Between the old end and the data there are zeroes */
	for (size_t i = SIZE; i < 20 * PAGE; i++)
		ASSERT_EQ(0, self->map[i]);
	EXPECT_EQ(0, memcmp(self->map + 20 * PAGE, "data", 4));
	EXPECT_EQ(20 * PAGE + 4, lseek(self->fd, 0, SEEK_END));
	/* Seeking past the end is allowed on a file */
	EXPECT_EQ(99 * PAGE, lseek(self->fd, 99 * PAGE, SEEK_SET));
	EXPECT_EQ(0, read(self->fd, back, 8));
}

/* Allocated: the pages are there, and no first touch needs memory. */
TEST_F(file, fallocate_allocates)
{
	ASSERT_EQ(0, fallocate(self->fd, 0, 2 * PAGE + 1, 2 * PAGE));
	EXPECT_EQ(SIZE, stat_of(self->fd).st_size);
	EXPECT_EQ(whole_folios(self->fd, 3 * PAGE),
		  fd_value(self->fd, "cached_bytes"));
	EXPECT_EQ(0, touch(self->map + 3 * PAGE));
	EXPECT_EQ(0, fd_value(self->fd, "read_faults"));

	/* Beyond the end it grows, unless told not to */
	ASSERT_EQ(0, fallocate(self->fd, FALLOC_FL_KEEP_SIZE, 0, 30 * PAGE));
	EXPECT_EQ(SIZE, stat_of(self->fd).st_size);
	EXPECT_EQ(17 * PAGE, fd_value(self->fd, "cached_bytes"));
	ASSERT_EQ(0, fallocate(self->fd, 0, 20 * PAGE, 50));
	EXPECT_EQ(20 * PAGE + 50, stat_of(self->fd).st_size);
	EXPECT_EQ(18 * PAGE, fd_value(self->fd, "cached_bytes"));
	EXPECT_EQ(0, fd_value(self->fd, "dirty_bytes"));
}

/* More than the machine has is refused, and nothing changes. */
TEST_F(file, fallocate_of_more_than_there_is)
{
	const off_t much = 2 * meminfo("MemTotal");

	EXPECT_FAILS(ENOSPC, fallocate(self->fd, 0, 0, much));
	EXPECT_EQ(SIZE, stat_of(self->fd).st_size);
	EXPECT_EQ(0, fd_value(self->fd, "cached_bytes"));
	/* What would lie beyond the end takes no memory, so it may be much */
	EXPECT_EQ(0, fallocate(self->fd, FALLOC_FL_KEEP_SIZE, 0, much));
	EXPECT_EQ(17 * PAGE, fd_value(self->fd, "cached_bytes"));
}

static void punch(struct __test_metadata *_metadata, FIXTURE_DATA(file) * self,
		  int by_madvise, size_t from, size_t len)
{
	const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	if (by_madvise) {
		ASSERT_EQ(0, madvise(self->map + from, len, MADV_REMOVE));
	} else {
		ASSERT_EQ(0, fallocate(self->fd, mode, from, len));
	}
}

TEST_F(file, punch_hole)
{
	const size_t from = 3 * PAGE + 100, end = 9 * PAGE - 100;

	memset(self->map, 7, 16 * PAGE);
	punch(_metadata, self, 0, from, end - from);
	for (size_t i = 0; i < 16 * PAGE; i++)
		ASSERT_EQ(i >= from && i < end ? 0 : 7, self->map[i]);
	EXPECT_EQ(SIZE, stat_of(self->fd).st_size);
	EXPECT_EQ(4 * PAGE, fd_value(self->fd, "discarded_bytes"));

	/* Inside one page; across one border; a page; and beyond the end */
	memset(self->map, 7, 16 * PAGE);
	punch(_metadata, self, 0, PAGE + 1, 5);
	punch(_metadata, self, 0, 3 * PAGE - 1, 2);
	punch(_metadata, self, 0, 5 * PAGE, PAGE);
	punch(_metadata, self, 0, 40 * PAGE, PAGE);
	for (size_t i = 0; i < 16 * PAGE; i++)
		ASSERT_EQ((i >= PAGE + 1 && i < PAGE + 6) ||
					  i == 3 * PAGE - 1 || i == 3 * PAGE ||
					  (i >= 5 * PAGE && i < 6 * PAGE)
				  ? 0
				  : 7,
			  self->map[i]);
	EXPECT_EQ(SIZE, stat_of(self->fd).st_size);
}

TEST_F(file, madv_remove)
{
	unsigned char *private = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE, self->fd, 0);
	char byte = 1;

	ASSERT_NE(MAP_FAILED, private);
	memset(self->map, 7, 16 * PAGE);
	put(private + 4 * PAGE, 9);
	punch(_metadata, self, 1, 4 * PAGE, 2 * PAGE);
	EXPECT_EQ(14 * PAGE, fd_value(self->fd, "cached_bytes"));
	EXPECT_EQ(1, pread(self->fd, &byte, 1, 5 * PAGE));
	EXPECT_EQ(0, byte);
	EXPECT_EQ(0, touch(self->map + 4 * PAGE));
	/* A private copy is its owner's, hole or not */
	EXPECT_EQ(9, touch(private + 4 * PAGE));
	munmap(private, 8 * PAGE);
}

/* A part of a page that is punched is written to: it is dirty again. */
TEST_F(file, punched_parts_are_dirty)
{
	fault_by_pages(self->map, 32 * PAGE);
	memset(self->map, 7, 16 * PAGE);
	ASSERT_EQ(0, fsync(self->fd));
	punch(_metadata, self, 0, PAGE - 10, 2 * PAGE + 20);
	EXPECT_EQ(2, fd_value(self->fd, "dirty_folios"));
	EXPECT_EQ(0, fd_value(self->fd, "discarded_folios"));
}

/* So is the last page, if it stays: up to the end of the file, or further. */
TEST_F(file, punched_to_the_end)
{
	fault_by_pages(self->map, 32 * PAGE);
	for (size_t beyond = 0; beyond < 3; beyond++) {
		memset(self->map, 7, SIZE);
		ASSERT_EQ(0, fsync(self->fd));
		punch(_metadata, self, 0, 14 * PAGE, SIZE + beyond - 14 * PAGE);
		EXPECT_EQ(15 * PAGE, fd_value(self->fd, "cached_bytes"));
		EXPECT_EQ(1, fd_value(self->fd, "dirty_folios"))
		TH_LOG("%zu bytes beyond", beyond);
		EXPECT_EQ(7, touch(self->map + 14 * PAGE - 1));
		for (size_t i = 14 * PAGE; i < SIZE; i++)
			ASSERT_EQ(0, self->map[i]);
	}
}

TEST_F(file, zero_range)
{
	memset(self->map, 7, 16 * PAGE);
	ASSERT_EQ(0, fallocate(self->fd, FALLOC_FL_ZERO_RANGE, 2 * PAGE - 5,
			       3 * PAGE));
	for (size_t i = 0; i < 16 * PAGE; i++)
		ASSERT_EQ(i >= 2 * PAGE - 5 && i < 5 * PAGE - 5 ? 0 : 7,
			  self->map[i]);
	/* Allocated, other than a hole */
	EXPECT_EQ(16 * PAGE, fd_value(self->fd, "cached_bytes"));
	ASSERT_EQ(0, fallocate(self->fd,
			       FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0,
			       30 * PAGE));
	EXPECT_EQ(SIZE, stat_of(self->fd).st_size);
	ASSERT_EQ(0, fallocate(self->fd, FALLOC_FL_ZERO_RANGE, 0, 18 * PAGE + 1));
	EXPECT_EQ(18 * PAGE + 1, stat_of(self->fd).st_size);
}

TEST_F(file, fallocate_refused)
{
	static const int unknown[] = {
		FALLOC_FL_COLLAPSE_RANGE,
		FALLOC_FL_INSERT_RANGE,
		FALLOC_FL_PUNCH_HOLE,
	};

	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		EXPECT_FAILS(EOPNOTSUPP,
			     fallocate(self->fd, unknown[i], 0, PAGE));
	}
	EXPECT_FAILS(EINVAL, fallocate(self->fd, 0, 0, 0));
	EXPECT_FAILS(EINVAL, fallocate(self->fd, 0, -1, PAGE));
	EXPECT_FAILS(EFBIG, fallocate(self->fd, 0, INT64_MAX - 5, PAGE));
	EXPECT_EQ(SIZE, stat_of(self->fd).st_size);
}

/* By path, truncate(2) leaves it to the file system to move the times. */
TEST_F(file, truncate_by_path)
{
	const struct timespec past[2] = { { .tv_sec = 1 }, { .tv_sec = 2 } };
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->fd);
	ASSERT_EQ(0, futimens(self->fd, past));
	ASSERT_EQ(0, truncate(path, SIZE));
	EXPECT_EQ(2, stat_of(self->fd).st_mtime);
	ASSERT_EQ(0, truncate(path, SIZE - 1));
	EXPECT_LT(2, stat_of(self->fd).st_mtime);
	EXPECT_EQ(SIZE - 1, stat_of(self->fd).st_size);
}

/* What fails changes nothing, not even the times. */
TEST_F(file, refused_leaves_the_times)
{
	const struct timespec past[2] = { { .tv_sec = 1 }, { .tv_sec = 2 } };

	ASSERT_EQ(0, futimens(self->fd, past));
	EXPECT_FAILS(ENOSPC, fallocate(self->fd, 0, 0, 2 * meminfo("MemTotal")));
	EXPECT_EQ(-1, fallocate(self->fd, FALLOC_FL_COLLAPSE_RANGE, 0, PAGE));
	EXPECT_EQ(2, stat_of(self->fd).st_mtime);
	EXPECT_EQ(SIZE, stat_of(self->fd).st_size);
}

/* A page from an address that is not there: the write fails, and leaves nothing. */
TEST_F(file, write_from_a_bad_address)
{
	char *edge = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct account d, before;
	int64_t minor;

	ASSERT_NE(MAP_FAILED, edge);
	ASSERT_EQ(0, munmap(edge + PAGE, PAGE));
	/* Beyond the end: no page stays there */
	EXPECT_FAILS(EFAULT, pwrite(self->fd, edge + PAGE, PAGE, 64 * PAGE));
	EXPECT_EQ(SIZE, stat_of(self->fd).st_size);
	EXPECT_EQ(0, fd_value(self->fd, "cached_bytes"));
	/* Inside: what is punched then, and touched, is as it ever was */
	EXPECT_FAILS(EFAULT, pwrite(self->fd, edge + PAGE, PAGE, 2 * PAGE));
	ASSERT_EQ(0, fallocate(self->fd,
			       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       2 * PAGE + 10, 10));
	ASSERT_EQ(0, mlockall(MCL_CURRENT));
	ASSERT_EQ(0, munlock(self->map, 32 * PAGE));
	ASSERT_EQ(0, madvise(self->map, 17 * PAGE, MADV_DONTNEED));
	before = account_of(self->fd);
	minor = minor_faults();
	EXPECT_EQ(0, touch(self->map + 2 * PAGE));
	EXPECT_EQ(1, minor_faults() - minor);
	d = account_of_since(self->fd, &before);
	EXPECT_EQ(1, d.read_faults + d.fault_around_hits);
	munmap(edge, PAGE);
}

/* Beyond the end there is nothing to punch, and nothing gets dirty. */
TEST_F(file, punch_beyond_the_end)
{
	put(self->map + SIZE - 1, 7);
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, fallocate(self->fd,
			       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, SIZE,
			       50));
	EXPECT_EQ(0, fd_value(self->fd, "dirty_folios"));
	EXPECT_EQ(7, touch(self->map + SIZE - 1));
}

/* The kernel's account of what was never written is the module's. */
TEST_F(file, discarded_is_cancelled_io)
{
	const int64_t before = proc_value("/proc/self/io",
					  "cancelled_write_bytes");

	if (before < 0)
		SKIP(return, "the kernel keeps no account of I/O");
	memset(self->map, 7, 16 * PAGE);
	ASSERT_EQ(0, ftruncate(self->fd, 0));
	EXPECT_EQ(16 * PAGE, fd_value(self->fd, "discarded_bytes"));
	EXPECT_EQ(16 * PAGE,
		  proc_value("/proc/self/io", "cancelled_write_bytes") - before);
}

TEST_HARNESS_MAIN
