// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pages of a file in another order: remap_file_pages(2), which Linux since 4.0
 * does by mmap, and the same by mmap itself.  Each page that does not follow the
 * one before it costs a VMA.
 */
#include <limits.h>

#include "kselftest_harness.h"
#include "vmademo_test.h"

#define PAGES 16
#define LEN   (PAGES * PAGE)

FIXTURE(remap)
{
	int fd;
	unsigned char *map;
};

FIXTURE_VIEWS(remap);

/* Every page of the file begins with its number. */
FIXTURE_SETUP(remap)
{
	self->fd = open_view(variant->view);
	ASSERT_GE(self->fd, 0) TH_LOG("%s", strerror(errno));
	for (unsigned char i = 0; i < 2 * PAGES; i++) {
		ASSERT_EQ(1, pwrite(self->fd, &i, 1, i * PAGE));
	}
	self->map = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
	ASSERT_EQ(1, fd_value(self->fd, "mappings"));
	/* The program itself must take no faults while they are counted */
	ASSERT_EQ(0, mlockall(MCL_CURRENT));
	ASSERT_EQ(0, munlock(self->map, LEN));
}

FIXTURE_TEARDOWN(remap)
{
	munmap(self->map, LEN);
	EXPECT_EQ(0, fd_value(self->fd, "mappings"));
	close(self->fd);
}

/* Newer C libraries do not offer it. */
static int remap_file_pages_(void *addr, size_t size, int prot, size_t pgoff,
			     int flags)
{
	return syscall(SYS_remap_file_pages, addr, size, prot, pgoff, flags);
}

static int by_remap_file_pages(int fd, void *addr, size_t size, size_t pgoff)
{
	return remap_file_pages_(addr, size, 0, pgoff, 0);
}

static int by_mmap(int fd, void *addr, size_t size, size_t pgoff)
{
	return mmap(addr, size, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd,
		    (off_t)pgoff * PAGE) == addr
		       ? 0
		       : -1;
}

static int (*const ways[])(int, void *, size_t, size_t) = {
	by_remap_file_pages,
	by_mmap,
};

/* The last page first: memory is reversed, the file is not. */
TEST_F(remap, reversed)
{
	for (int way = 0; way < 2; way++) {
		unsigned char *p = self->map, byte;
		int64_t minor, in_order;

		for (int i = 0; i < PAGES; i++) {
			ASSERT_EQ(0, ways[way](self->fd, p + i * PAGE, PAGE,
					       PAGES - 1 - i))
			TH_LOG("%s", strerror(errno));
		}
		EXPECT_EQ(PAGES, fd_value(self->fd, "mappings"));
		EXPECT_EQ(PAGES, vmas_in(p, LEN));

		/* Both ways map the pages at once, for reading */
		minor = minor_faults();
		for (int i = 0; i < PAGES; i++)
			EXPECT_EQ(PAGES - 1 - i, touch(p + i * PAGE));
		EXPECT_EQ(minor, minor_faults());

		for (int i = 0; i < PAGES; i++)
			put(p + i * PAGE + 1, 100 + i);
		for (int i = 0; i < PAGES; i++) {
			EXPECT_EQ(1, pread(self->fd, &byte, 1, i * PAGE));
			EXPECT_EQ(i, byte);
			EXPECT_EQ(1, pread(self->fd, &byte, 1, i * PAGE + 1));
			EXPECT_EQ(100 + PAGES - 1 - i, byte);
		}

		/* In order again, they are one */
		for (int i = 0; i < PAGES; i++) {
			ASSERT_EQ(0, ways[way](self->fd, p + i * PAGE, PAGE, i));
		}
		for (int i = 0; i < PAGES; i++)
			EXPECT_EQ(i, touch(p + i * PAGE));
		in_order = fd_value(self->fd, "mappings");
		EXPECT_EQ(vmas_in(p, LEN), in_order);
		EXPECT_EQ(1, in_order);
	}
}

/* Several pages at once, and over pieces that were remapped before. */
TEST_F(remap, pieces)
{
	unsigned char *p = self->map, byte = 0;

	ASSERT_EQ(0, remap_file_pages_(p + 4 * PAGE, 4 * PAGE, 0, 20, 0));
	ASSERT_EQ(0,
		  remap_file_pages_(p + 6 * PAGE, 4 * PAGE, 0, 2, MAP_NONBLOCK));
	/* To a page that is not mapped ahead a write finds its own way */
	put(p + 9 * PAGE + 1, 111);
	EXPECT_EQ(1, pread(self->fd, &byte, 1, 5 * PAGE + 1));
	EXPECT_EQ(111, byte);
	for (int i = 0; i < PAGES; i++) {
		int page = i < 4 ? i : i < 6 ? i + 16 : i < 10 ? i - 4 : i;

		EXPECT_EQ(page, touch(p + i * PAGE)) TH_LOG("page %d", i);
	}
	/* Before, 4 and 5, 6 to 9, and behind */
	EXPECT_EQ(4, fd_value(self->fd, "mappings"));
	EXPECT_EQ(4, vmas_in(p, LEN));
	/* Two places can show one page */
	put(p + 2 * PAGE, 222);
	EXPECT_EQ(222, touch(p + 6 * PAGE));
}

/* The pages are mapped ahead, but with MAP_NONBLOCK they are not. */
TEST_F(remap, mapped_ahead)
{
	static const int flags[] = { 0, MAP_NONBLOCK };

	for (int i = 0; i < 2; i++) {
		int64_t minor;

		ASSERT_EQ(0, remap_file_pages_(self->map, PAGE, 0, 5, flags[i]));
		minor = minor_faults();
		touch(self->map);
		EXPECT_EQ(minor + i, minor_faults());
	}
}

#define REFUSED(error, ...)                                    \
	do {                                                   \
		EXPECT_EQ(-1, remap_file_pages_(__VA_ARGS__)); \
		EXPECT_EQ(error, errno);                       \
	} while (0)

TEST_F(remap, refused)
{
	unsigned char *p = self->map, *private;

	private = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE, self->fd,
		       0);
	ASSERT_NE(MAP_FAILED, private);
	/* Shared mappings only, and with the protection that they have */
	REFUSED(EINVAL, private, PAGE, 0, 5, 0);
	REFUSED(EINVAL, p, PAGE, PROT_READ, 5, 0);
	REFUSED(EINVAL, p, 0, 0, 5, 0);
	if (!IS_32_BIT)
		REFUSED(EINVAL, p, PAGE, 0, -1UL, 0);
	/* All that it is to replace must be there, and of the same file */
	ASSERT_EQ(0, munmap(p + 3 * PAGE, PAGE));
	REFUSED(EINVAL, p + 3 * PAGE, PAGE, 0, 5, 0);
	REFUSED(EINVAL, p + 2 * PAGE, 4 * PAGE, 0, 5, 0);

	for (int i = 0; i < PAGES; i++) {
		EXPECT_EQ(i, touch(private + i * PAGE));
		if (i != 3)
			EXPECT_EQ(i, touch(p + i * PAGE));
	}
	munmap(private, LEN);
}

/*
 * As mmap, it wants the end to be a file offset.  For a regular file the kernel asks
 * that before it does anything.  For a device it is the driver that refuses, and
 * by then the kernel has unmapped what was to be replaced.
 */
TEST_F(remap, refused_by_the_driver)
{
	unsigned char *p = self->map;

	if (IS_32_BIT)
		SKIP(return, "a 32-bit program cannot name these offsets");

	REFUSED(EOVERFLOW, p + 5 * PAGE, PAGE, 0, LONG_MAX / PAGE, 0);
	EXPECT_EQ(variant->view == NODE_VIEW ? SIGSEGV : 0,
		  touch_signal(p + 5 * PAGE, 0));
	EXPECT_EQ(4, touch(p + 4 * PAGE));
	EXPECT_EQ(6, touch(p + 6 * PAGE));
	EXPECT_EQ(variant->view == NODE_VIEW ? 2 : 1,
		  fd_value(self->fd, "mappings"));
	EXPECT_EQ(vmas_in(p, LEN), fd_value(self->fd, "mappings"));
}

/* Beyond the end of the file there is nothing to map ahead, only to touch. */
TEST_F(remap, beyond_the_end)
{
	size_t end = fd_value(self->fd, "size") / PAGE;

	ASSERT_EQ(0, remap_file_pages_(self->map, PAGE, 0, end, 0));
	EXPECT_EQ(SIGBUS, touch_signal(self->map, 0));
	ASSERT_EQ(0, remap_file_pages_(self->map, PAGE, 0, end - 1, 0));
	EXPECT_EQ(0, touch_signal(self->map, 0));
}

TEST_HARNESS_MAIN
