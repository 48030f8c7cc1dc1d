// SPDX-License-Identifier: GPL-2.0-only
/*
 * Larger than memory: a buffer that is, mapped at once or by windows, costs what is
 * touched of it; so does the far end of the largest buffer.  A private mapping must
 * promise memory for copies, which the kernel may refuse.
 */
#include "kselftest_harness.h"
#include "vmademo_test.h"

static const char overcommit[] = "/proc/sys/vm/overcommit_memory";

/* What memory and swap can hold together. */
static uint64_t machine(void)
{
	return meminfo("MemTotal") + meminfo("SwapTotal");
}

FIXTURE(large)
{
	int fd;
	uint64_t size;
	int64_t overcommit;
};

FIXTURE_SETUP(large)
{
	self->size = 4 * machine();
	self->fd = create_buffer(self->size);
	ASSERT_GE(self->fd, 0) TH_LOG("create: %s", strerror(errno));
	self->overcommit = read_number(overcommit);
	ASSERT_EQ(0, write_text(overcommit, "0"));
}

FIXTURE_TEARDOWN(large)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, self->overcommit);
	EXPECT_EQ(0, write_text(overcommit, text));
	close(self->fd);
}

/*
 * Several times the machine's memory.  A program of 64 bits maps it at once; one of
 * 32 bits has no addresses for all of it, and moves a window over it.
 */
TEST_F(large, larger_than_memory)
{
	const uint64_t window = IS_32_BIT ? 256 * MIB : self->size;
	const int64_t folio = folio_size_of(self->fd);
	/* Of larger folios fewer: an eightieth of the memory, or they would be written back */
	const uint64_t every = 1000 * PAGE + 320 * (folio - PAGE);
	int64_t mapped = 0, pages = 0;
	uint64_t number, at = 0;

	for (uint64_t from = 0; from < self->size; from += window, mapped++) {
		uint64_t len = self->size - from < window ? self->size - from
							  : window;
		unsigned char *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
					MAP_SHARED | MAP_NORESERVE, self->fd,
					from);

		ASSERT_NE(MAP_FAILED, p) TH_LOG("%s", strerror(errno));
		EXPECT_EQ(pages * folio, fd_value(self->fd, "cached_bytes"));
		for (; at < from + len; at += every, pages++)
			memcpy(p + (at - from), &at, sizeof(at));
		ASSERT_EQ(0, munmap(p, len));
	}
	EXPECT_LE(self->size / every, pages);
	EXPECT_EQ(pages * folio, fd_value(self->fd, "cached_bytes"));
	EXPECT_EQ(pages, fd_value(self->fd, "dirty_folios"));
	EXPECT_EQ(pages, fd_value(self->fd, "write_faults"));
	if (!IS_32_BIT)
		EXPECT_EQ(1, mapped);

	/* Each is in its place, and next to it there is nothing */
	for (at = 0; at < self->size; at += every) {
		ASSERT_EQ(8, pread(self->fd, &number, 8, at));
		ASSERT_EQ(at, number);
	}
	ASSERT_EQ(8, pread(self->fd, &number, 8, every + PAGE));
	EXPECT_EQ(0, number);
}

/*
 * The largest buffer there can be, at its far end: the last page that a mapping can
 * reach.  (A program of 32 bits reaches 2^44; there it is libc that refuses.)
 */
TEST_F(large, the_far_end)
{
	const off_t far = IS_32_BIT ? (1LL << 44) - PAGE
				    : (off_t)(MAX_SIZE - PAGE);
	int fd = create_buffer(MAX_SIZE);
	unsigned char *p, byte = 0;

	ASSERT_LE(0, fd) TH_LOG("create: %s", strerror(errno));
	EXPECT_EQ(MAP_FAILED,
		  mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, far + PAGE));
	EXPECT_EQ(IS_32_BIT ? EINVAL : EOVERFLOW, errno);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, far);
	ASSERT_NE(MAP_FAILED, p) TH_LOG("%s", strerror(errno));
	EXPECT_EQ(0, touch(p));
	put(p + PAGE - 1, 9);
	EXPECT_EQ(1, pread(fd, &byte, 1, far + PAGE - 1));
	EXPECT_EQ(9, byte);
	/* Between here and there is nothing */
	EXPECT_EQ(PAGE, fd_value(fd, "cached_bytes"));
	ASSERT_EQ(0, msync(p, PAGE, MS_SYNC));
	EXPECT_EQ(1, fd_value(fd, "written_folios"));
	/* The page goes when the buffer is cut off before it */
	ASSERT_EQ(0, ftruncate(fd, far));
	EXPECT_EQ(SIGBUS, touch_signal(p, 0));
	EXPECT_EQ(0, fd_value(fd, "cached_bytes"));
	munmap(p, PAGE);
	close(fd);
}

/* Maps so much, says 0 or the errno, and unmaps it again. */
static int try_to_map(int fd, int prot, int flags, uint64_t len)
{
	void *p = mmap(NULL, len, prot, flags, fd, 0);

	if (p == MAP_FAILED)
		return errno;
	munmap(p, len);
	return 0;
}

#define READ_WRITE (PROT_READ | PROT_WRITE)

/*
 * Every page of a private mapping that can be written may become a copy.  By
 * default the kernel looks at each mapping by itself, and refuses the one that could
 * never be filled: more than all memory and swap.  MAP_NORESERVE says that it will
 * not be.
 */
TEST_F(large, private_by_default)
{
	const uint64_t most = machine();
	unsigned char *p;

	if (IS_32_BIT && most > 1024 * MIB)
		SKIP(return, "more memory than a 32-bit program has addresses");

	EXPECT_EQ(0, try_to_map(self->fd, READ_WRITE, MAP_PRIVATE, most));
	EXPECT_EQ(ENOMEM,
		  try_to_map(self->fd, READ_WRITE, MAP_PRIVATE, most + PAGE));
	EXPECT_EQ(0, try_to_map(self->fd, READ_WRITE,
				MAP_PRIVATE | MAP_NORESERVE, most + PAGE));
	/* Not to be written to: no copies.  It is asked when that changes. */
	EXPECT_EQ(0, try_to_map(self->fd, PROT_READ, MAP_PRIVATE, most + PAGE));
	p = mmap(NULL, most + PAGE, PROT_READ, MAP_PRIVATE, self->fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_FAILS(ENOMEM, mprotect(p, most + PAGE, READ_WRITE));
	EXPECT_EQ(0, mprotect(p, most, READ_WRITE));
	munmap(p, most + PAGE);
	EXPECT_EQ(0, fd_value(self->fd, "cached_bytes"));

	/* It is used as any other: copies where it is written to */
	p = mmap(NULL, most + PAGE, READ_WRITE, MAP_PRIVATE | MAP_NORESERVE,
		 self->fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	for (uint64_t at = 0; at < most; at += most / PAGE / 20 * PAGE)
		put(p + at, 1);
	put(p + most, 2);
	EXPECT_EQ(1, touch(p));
	EXPECT_EQ(2, touch(p + most));
	EXPECT_LE(22, fd_value(self->fd, "cow_faults"));
	EXPECT_EQ(0, fd_value(self->fd, "dirtied_folios"));
	munmap(p, most + PAGE);
}

/* Overcommit 1: nothing is refused.  2: MAP_NORESERVE does not help. */
TEST_F(large, private_by_the_other_rules)
{
	const uint64_t much = machine() + PAGE;

	if (IS_32_BIT && much > 1024 * MIB)
		SKIP(return, "more memory than a 32-bit program has addresses");

	ASSERT_EQ(0, write_text(overcommit, "1"));
	EXPECT_EQ(0, try_to_map(self->fd, READ_WRITE, MAP_PRIVATE, much));
	ASSERT_EQ(0, write_text(overcommit, "2"));
	EXPECT_EQ(ENOMEM, try_to_map(self->fd, READ_WRITE,
				     MAP_PRIVATE | MAP_NORESERVE, much));
	/* A shared mapping needs no copies: it is none of this */
	EXPECT_EQ(0, try_to_map(self->fd, READ_WRITE, MAP_SHARED, much));
}

TEST_HARNESS_MAIN
