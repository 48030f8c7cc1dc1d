// SPDX-License-Identifier: GPL-2.0-only
/*
 * read, write, splice, sendfile and lseek, and that each agrees byte for byte
 * with what a mapping shows.
 */
#include <limits.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "vmademo_test.h"

#define PAGES 16
#define LEN   (PAGES * PAGE)

FIXTURE(io)
{
	int fd;
	off_t size;
	unsigned char *map; /* LEN bytes at PLACE(0) */
	unsigned char data[PAGES * PAGE_MAX], back[PAGES * PAGE_MAX];
};

FIXTURE_SETUP(io)
{
	unsigned int seed = 42;

	self->fd = open(NODE, O_RDWR);
	ASSERT_GE(self->fd, 0) TH_LOG("%s: %s", NODE, strerror(errno));
	self->size = node_value("size");
	self->map = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, PLACE(0));
	ASSERT_NE(MAP_FAILED, self->map);
	for (size_t i = 0; i < LEN; i++)
		self->data[i] = rand_r(&seed);
	memset(self->map, 0, LEN);
}

FIXTURE_TEARDOWN(io)
{
	munmap(self->map, LEN);
	close(self->fd);
}

/* Whether none of the LEN bytes at the place is in the page cache. */
static bool uncached(int fd, off_t place)
{
	void *p = mmap(NULL, LEN, PROT_READ, MAP_SHARED, fd, place);
	bool none = p != MAP_FAILED && cached_pages(p, LEN) == 0;

	if (p != MAP_FAILED)
		munmap(p, LEN);
	return none;
}

/* Lengths and offsets that fall on, before, after and across page borders. */
struct span {
	size_t at, len;
};

#define SPANS 10

static struct span span(unsigned int i)
{
	const struct span spans[SPANS] = {
		{ 0, 1 },
		{ 0, PAGE },
		{ PAGE - 1, 2 },
		{ 5, PAGE },
		{ PAGE, PAGE },
		{ 2 * PAGE - 1, 1 },
		{ 3 * PAGE + 7, 3 * PAGE - 9 },
		{ PAGE + 100, 5 * PAGE + 1 },
		{ 0, LEN },
		{ LEN - 1, 1 },
	};

	return spans[i];
}

TEST_F(io, write_shows_in_the_mapping)
{
	for (size_t i = 0; i < SPANS; i++) {
		const size_t at = span(i).at, len = span(i).len;

		memset(self->map, 0xee, LEN);
		ASSERT_EQ(len, pwrite(self->fd, self->data, len, PLACE(0) + at));
		EXPECT_EQ(0, memcmp(self->map + at, self->data, len))
		TH_LOG("span %zu", i);
		for (size_t j = 0; j < LEN; j++)
			if (j < at || j >= at + len)
				ASSERT_EQ(0xee, self->map[j]);
	}
}

TEST_F(io, read_shows_what_was_mapped)
{
	memcpy(self->map, self->data, LEN);
	for (size_t i = 0; i < SPANS; i++) {
		const size_t at = span(i).at, len = span(i).len;

		memset(self->back, 0xee, LEN);
		ASSERT_EQ(len, pread(self->fd, self->back, len, PLACE(0) + at));
		EXPECT_EQ(0, memcmp(self->back, self->data + at, len))
		TH_LOG("span %zu", i);
		if (len < LEN)
			EXPECT_EQ(0xee, self->back[len]);
	}
}

TEST_F(io, position_and_vectors)
{
	struct iovec out[3] = {
		{ self->data, 3 },
		{ self->data + 3, PAGE },
		{ self->data + 3 + PAGE, 2 * PAGE },
	};
	struct iovec in[2] = {
		{ self->back, 17 },
		{ self->back + 17, LEN - 17 },
	};

	ASSERT_EQ(PLACE(0) + 9, lseek(self->fd, PLACE(0) + 9, SEEK_SET));
	EXPECT_EQ(3 + 3 * PAGE, writev(self->fd, out, 3));
	EXPECT_EQ(PLACE(0) + 12 + 3 * PAGE, lseek(self->fd, 0, SEEK_CUR));
	EXPECT_EQ(0, memcmp(self->map + 9, self->data, 3 + 3 * PAGE));
	ASSERT_EQ(PLACE(0) + 9, lseek(self->fd, PLACE(0) + 9, SEEK_SET));
	EXPECT_EQ(LEN, readv(self->fd, in, 2));
	EXPECT_EQ(0, memcmp(self->back, self->data, 3 + 3 * PAGE));
}

TEST_F(io, seeking)
{
	EXPECT_EQ(self->size, lseek(self->fd, 0, SEEK_END));
	EXPECT_EQ(self->size - 5, lseek(self->fd, -5, SEEK_END));
	EXPECT_EQ(self->size - 3, lseek(self->fd, 2, SEEK_CUR));
	EXPECT_FAILS(EINVAL, lseek(self->fd, self->size + 1, SEEK_SET));
	EXPECT_FAILS(EINVAL, lseek(self->fd, -1, SEEK_SET));
	EXPECT_EQ(self->size - 3, lseek(self->fd, 0, SEEK_CUR));
}

/* At the end: reads are short, then 0; writes are short, then ENOSPC. */
TEST_F(io, the_end)
{
	const off_t near = self->size - 10;

	EXPECT_EQ(10, pwrite(self->fd, self->data, 100, near));
	EXPECT_EQ(10, pread(self->fd, self->back, 100, near));
	EXPECT_EQ(0, memcmp(self->back, self->data, 10));
	EXPECT_EQ(0, pread(self->fd, self->back, 100, self->size));
	EXPECT_EQ(0, pread(self->fd, self->back, 100, self->size + PAGE));
	EXPECT_FAILS(ENOSPC, pwrite(self->fd, self->data, 1, self->size));
	EXPECT_FAILS(ENOSPC, pwrite(self->fd, self->data, 1, self->size + PAGE));
	EXPECT_EQ(-1, pwrite(self->fd, self->data, 1, LLONG_MAX));
	EXPECT_NE(0, errno);
	EXPECT_FAILS(EINVAL, pread(self->fd, self->back, 1, -1));
	/* Nothing to write is no error, even there */
	EXPECT_EQ(0, pwrite(self->fd, self->data, 0, self->size));
	EXPECT_EQ(self->size, node_value("size"));
}

TEST_F(io, append_is_the_end)
{
	int fd = open(NODE, O_WRONLY | O_APPEND);

	ASSERT_GE(fd, 0);
	EXPECT_FAILS(ENOSPC, write(fd, "x", 1));
	close(fd);
}

/* A buffer that is bad from some byte on: what came before it is transferred. */
TEST_F(io, bad_user_pointers)
{
	unsigned char *edge = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ssize_t n;

	ASSERT_NE(MAP_FAILED, edge);
	ASSERT_EQ(0, munmap(edge + PAGE, PAGE));
	memset(edge, 7, PAGE);

	EXPECT_FAILS(EFAULT, pwrite(self->fd, edge + PAGE, 10, PLACE(0)));
	EXPECT_FAILS(EFAULT, pread(self->fd, edge + PAGE, 10, PLACE(0)));

	/* 100 good bytes, then none: never more than those, nothing else changed */
	memset(self->map, 0xee, LEN);
	n = pwrite(self->fd, edge + PAGE - 100, 2 * PAGE, PLACE(0));
	EXPECT_TRUE(n == 100 || (n == -1 && errno == EFAULT));
	for (size_t i = 0; i < LEN; i++)
		ASSERT_EQ((ssize_t)i < n ? 7 : 0xee, self->map[i]);
	n = pread(self->fd, edge + PAGE - 100, 2 * PAGE, PLACE(0));
	EXPECT_TRUE(n == 100 || (n == -1 && errno == EFAULT));
	munmap(edge, PAGE);
}

/*
 * A whole page is written to a page that is not cached, from a buffer that is
 * bad half way: the page must not show what was in that memory before.
 */
TEST_F(io, bad_pointer_into_an_uncached_page)
{
	unsigned char *edge = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const off_t place = PLACE(1);

	ASSERT_NE(MAP_FAILED, edge);
	ASSERT_EQ(0, munmap(edge + PAGE, PAGE));
	memset(edge, 7, PAGE);
	if (!uncached(self->fd, place))
		SKIP(return, CACHED_ALREADY);
	soil_free_memory();
	for (int i = 0; i < 16; i++) {
		ssize_t n = pwrite(self->fd, edge + PAGE / 2, PAGE,
				   place + i * PAGE);

		EXPECT_TRUE(n == PAGE / 2 || (n == -1 && errno == EFAULT));
		ASSERT_EQ(PAGE,
			  pread(self->fd, self->back, PAGE, place + i * PAGE));
		for (size_t j = PAGE / 2; j < PAGE; j++)
			ASSERT_EQ(0, self->back[j]);
	}
	munmap(edge, PAGE);
}

/* A part of a page that is not cached: the rest of it is zero. */
TEST_F(io, partial_write_to_an_uncached_page)
{
	if (!uncached(self->fd, PLACE(4)))
		SKIP(return, CACHED_ALREADY);
	soil_free_memory();
	for (int i = 0; i < 16; i++) {
		const off_t place = PLACE(4) + i * PAGE;

		ASSERT_EQ(10, pwrite(self->fd, self->data, 10, place + 100 * i));
		ASSERT_EQ(PAGE, pread(self->fd, self->back, PAGE, place));
		for (size_t j = 0; j < PAGE; j++)
			ASSERT_EQ(j - 100 * i < 10 ? self->data[j - 100 * i] : 0,
				  self->back[j]);
	}
}

/* A read allocates what it reads and nothing ahead; then one fault maps it. */
TEST_F(io, no_readahead)
{
	const off_t place = PLACE(5);
	struct account before = account_now(), d;
	unsigned char *p;
	int64_t major;

	if (!uncached(self->fd, place))
		SKIP(return, CACHED_ALREADY);
	for (int i = 0; i < 8; i++)
		ASSERT_EQ(PAGE,
			  pread(self->fd, self->back, PAGE, place + i * PAGE));
	EXPECT_EQ(8 * PAGE, account_since(&before).cached_bytes);
	p = mmap(NULL, LEN, PROT_READ, MAP_SHARED, self->fd, place);
	ASSERT_NE(MAP_FAILED, p);
	before = account_now();
	major = major_faults();
	for (int i = 0; i < 8; i++)
		EXPECT_EQ(0, touch(p + i * PAGE));
	d = account_since(&before);
	EXPECT_EQ(0, d.read_faults);
	EXPECT_EQ(major, major_faults());
	/* To be told what will be needed is another thing */
	EXPECT_EQ(0, madvise(p + 8 * PAGE, LEN - 8 * PAGE, MADV_WILLNEED));
	EXPECT_EQ(8 * PAGE, account_since(&before).cached_bytes);
	munmap(p, LEN);
}

/* The device's own mapping as the buffer of a read from the device. */
TEST_F(io, read_into_its_own_mapping)
{
	memcpy(self->map, self->data, LEN);
	EXPECT_EQ(2 * PAGE, pread(self->fd, self->map + 8 * PAGE + 5, 2 * PAGE,
				  PLACE(0) + 10));
	EXPECT_EQ(0, memcmp(self->map + 8 * PAGE + 5, self->data + 10, 2 * PAGE));
	EXPECT_EQ(2 * PAGE, pwrite(self->fd, self->map + 10, 2 * PAGE,
				   PLACE(0) + 12 * PAGE + 3));
	EXPECT_EQ(0,
		  memcmp(self->map + 12 * PAGE + 3, self->data + 10, 2 * PAGE));
}

TEST_F(io, splice_out_and_in)
{
	off_t from = PLACE(0) + 100, to = PLACE(2) + 300;
	size_t left = 6 * PAGE;
	int pipefd[2];
	ssize_t n, m;

	memcpy(self->map, self->data, LEN);
	ASSERT_EQ(0, pipe(pipefd));
	while (left) {
		n = splice(self->fd, &from, pipefd[1], NULL, left, 0);
		ASSERT_LT(0, n);
		left -= n;
		while (n) {
			m = splice(pipefd[0], NULL, self->fd, &to, n, 0);
			ASSERT_LT(0, m);
			n -= m;
		}
	}
	EXPECT_EQ(PLACE(0) + 100 + 6 * PAGE, from);
	EXPECT_EQ(PLACE(2) + 300 + 6 * PAGE, to);
	ASSERT_EQ(6 * PAGE,
		  pread(self->fd, self->back, 6 * PAGE, PLACE(2) + 300));
	EXPECT_EQ(0, memcmp(self->back, self->data + 100, 6 * PAGE));

	/* At the end there is nothing to take and no room */
	from = self->size;
	EXPECT_EQ(0, splice(self->fd, &from, pipefd[1], NULL, PAGE, 0));
	ASSERT_EQ(5, write(pipefd[1], "12345", 5));
	to = self->size;
	EXPECT_FAILS(ENOSPC, splice(pipefd[0], NULL, self->fd, &to, 5, 0));
	close(pipefd[0]);
	close(pipefd[1]);
}

TEST_F(io, sendfile_out_and_in)
{
	int file = syscall(SYS_memfd_create, "copy", 0);
	off_t from = PLACE(0) + 77;

	ASSERT_GE(file, 0);
	memcpy(self->map, self->data, LEN);
	ASSERT_EQ(9 * PAGE, sendfile(file, self->fd, &from, 9 * PAGE));
	ASSERT_EQ(9 * PAGE, pread(file, self->back, 9 * PAGE, 0));
	EXPECT_EQ(0, memcmp(self->back, self->data + 77, 9 * PAGE));

	from = 0;
	ASSERT_EQ(PLACE(3) + 5, lseek(self->fd, PLACE(3) + 5, SEEK_SET));
	ASSERT_EQ(9 * PAGE, sendfile(self->fd, file, &from, 9 * PAGE));
	memset(self->back, 0, LEN);
	ASSERT_EQ(9 * PAGE, pread(self->fd, self->back, 9 * PAGE, PLACE(3) + 5));
	EXPECT_EQ(0, memcmp(self->back, self->data + 77, 9 * PAGE));
	close(file);
}

/* Another file's O_DIRECT transfers from and to the mapping. */
TEST_F(io, o_direct_of_another_file)
{
	int disk = open("/dev/ram0", O_RDWR | O_DIRECT);
	struct account before;

	if (disk < 0)
		SKIP(return, "needs /dev/ram0 (modprobe brd)");
	memcpy(self->map, self->data, LEN);
	ASSERT_EQ(LEN / 2, pwrite(disk, self->map, LEN / 2, 0));
	ASSERT_EQ(0, msync(self->map, LEN, MS_SYNC));
	before = account_now();
	ASSERT_EQ(LEN / 2, pread(disk, self->map + LEN / 2, LEN / 2, 0));
	/* What came in that way is dirty like any write */
	EXPECT_EQ(in_folios(self->fd, LEN / 2),
		  account_since(&before).dirtied_folios);
	EXPECT_EQ(0, memcmp(self->map + LEN / 2, self->data, LEN / 2));
	close(disk);
}

TEST_F(io, fadvise_is_understood)
{
	static const int advice[] = {
		POSIX_FADV_NORMAL,   POSIX_FADV_RANDOM,	  POSIX_FADV_SEQUENTIAL,
		POSIX_FADV_WILLNEED, POSIX_FADV_DONTNEED, POSIX_FADV_NOREUSE,
	};

	memcpy(self->map, self->data, LEN);
	for (size_t i = 0; i < sizeof(advice) / sizeof(advice[0]); i++)
		EXPECT_EQ(0, posix_fadvise(self->fd, PLACE(0), LEN, advice[i]));
	EXPECT_EQ(EINVAL, posix_fadvise(self->fd, 0, LEN, 99));
	EXPECT_EQ(0, memcmp(self->map, self->data, LEN));
}

/* Pages that were never written read as zeroes, by either way. */
TEST_F(io, never_written_is_zero)
{
	unsigned char *p = mmap(NULL, MIB, PROT_READ, MAP_SHARED, self->fd,
				PLACE(40));

	ASSERT_NE(MAP_FAILED, p);
	if (cached_pages(p, MIB))
		SKIP(return, CACHED_ALREADY);
	soil_free_memory();
	/* The first half by fault, the second by read */
	for (size_t at = 0; at < MIB / 2; at++)
		ASSERT_EQ(0, p[at]);
	for (size_t at = 0; at < MIB; at += LEN) {
		ASSERT_EQ(LEN, pread(self->fd, self->back, LEN, PLACE(40) + at));
		for (size_t i = 0; i < LEN; i++)
			ASSERT_EQ(0, self->back[i] | p[at + i]);
	}
	munmap(p, MIB);
}

/* 5000 random transfers, by either way, against a copy in memory. */
TEST_F(io, random_transfers_agree)
{
	unsigned char *model = calloc(1, LEN);
	unsigned int seed = 7;

	ASSERT_NE(NULL, model);
	for (int step = 0; step < 5000; step++) {
		size_t at = rand_r(&seed) % LEN;
		size_t len = rand_r(&seed) % (LEN - at) + 1;
		size_t from = rand_r(&seed) % (LEN - len + 1);

		switch (rand_r(&seed) % 6) {
		case 0:
			ASSERT_EQ(len, pwrite(self->fd, self->data + from, len,
					      PLACE(0) + at));
			memcpy(model + at, self->data + from, len);
			break;
		case 1:
			memcpy(self->map + at, self->data + from, len);
			memcpy(model + at, self->data + from, len);
			break;
		case 2:
			ASSERT_EQ(len, pread(self->fd, self->back, len,
					     PLACE(0) + at));
			ASSERT_EQ(0, memcmp(self->back, model + at, len))
			TH_LOG("step %d", step);
			break;
		case 3:
			ASSERT_EQ(0, memcmp(self->map + at, model + at, len))
			TH_LOG("step %d", step);
			break;
		case 4:
			ASSERT_EQ(0, madvise(self->map, LEN, MADV_DONTNEED));
			break;
		case 5:
			ASSERT_EQ(0, msync(self->map, LEN, MS_SYNC));
			break;
		}
	}
	ASSERT_EQ(0, memcmp(self->map, model, LEN));
	free(model);
}

TEST_HARNESS_MAIN
