// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where a mapping ends and what is refused: SIGBUS, SIGSEGV, and each errno of
 * mmap on the node.
 */
#include <limits.h>

#include "kselftest_harness.h"
#include "vmademo_test.h"

FIXTURE(edges)
{
	int fd;
	off_t size;
};

FIXTURE_SETUP(edges)
{
	self->fd = open(NODE, O_RDWR);
	ASSERT_GE(self->fd, 0) TH_LOG("%s: %s", NODE, strerror(errno));
	self->size = lseek(self->fd, 0, SEEK_END);
	ASSERT_EQ(node_value("size"), self->size);
}

FIXTURE_TEARDOWN(edges)
{
	close(self->fd);
}

/* Expects mmap to fail; the six arguments are mmap's. */
#define REFUSED(error, ...)                    \
	do {                                   \
		void *got = mmap(__VA_ARGS__); \
                                               \
		EXPECT_EQ(MAP_FAILED, got);    \
		EXPECT_EQ(error, errno);       \
	} while (0)

/* Inside the mapping, beyond the end of the buffer: SIGBUS, and counted. */
TEST_F(edges, sigbus_beyond_the_end)
{
	unsigned char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE,
				MAP_SHARED, self->fd, self->size - 2 * PAGE);
	struct account before, d;

	ASSERT_NE(MAP_FAILED, p);
	before = account_now();
	EXPECT_EQ(0, touch_signal(p, 0));
	EXPECT_EQ(0, touch_signal(p + 2 * PAGE - 1, 1));
	EXPECT_EQ(SIGBUS, touch_signal(p + 2 * PAGE, 0));
	EXPECT_EQ(BUS_ADRERR, touch_info.si_code);
	EXPECT_EQ(p + 2 * PAGE, touch_info.si_addr);
	EXPECT_EQ(SIGBUS, touch_signal(p + 4 * PAGE - 1, 1));
	EXPECT_EQ(p + 4 * PAGE - 1, touch_info.si_addr);
	d = account_since(&before);
	EXPECT_EQ(2, d.sigbus);
	EXPECT_GE(2 * PAGE, d.cached_bytes);
	/* Nothing was left behind beyond the end */
	EXPECT_EQ(0, cached_pages(p + 2 * PAGE, 2 * PAGE));

	/* A private mapping ends at the same place */
	munmap(p, 4 * PAGE);
	p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, self->fd,
		 self->size - 2 * PAGE);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0, touch_signal(p + PAGE, 1));
	EXPECT_EQ(SIGBUS, touch_signal(p + 2 * PAGE, 1));
	munmap(p, 4 * PAGE);
}

/* The kernel's own access to such a page is EFAULT, not a signal. */
TEST_F(edges, system_calls_beyond_the_end_get_efault)
{
	unsigned char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
				MAP_SHARED, self->fd, self->size);
	int fds[2];

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, pipe(fds));
	EXPECT_EQ(-1, write(fds[1], p, 1));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, madvise(p, PAGE, MADV_POPULATE_READ));
	EXPECT_EQ(EFAULT, errno);
	munmap(p, 2 * PAGE);
}

/* Outside the mapping there is nothing, even if the buffer goes on. */
TEST_F(edges, sigsegv_beyond_the_mapping)
{
	/* PROT_NONE pages around it keep others from being mapped there */
	unsigned char *reserve = mmap(NULL, 4 * PAGE, PROT_NONE,
				      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char *p;

	ASSERT_NE(MAP_FAILED, reserve);
	ASSERT_EQ(0, munmap(reserve, 4 * PAGE));
	p = mmap(reserve, 4 * PAGE, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, self->fd, PLACE(0));
	ASSERT_EQ(reserve, p);
	ASSERT_EQ(0, munmap(p + 2 * PAGE, 2 * PAGE));
	EXPECT_EQ(0, touch_signal(p + 2 * PAGE - 1, 1));
	EXPECT_EQ(SIGSEGV, touch_signal(p + 2 * PAGE, 0));
	EXPECT_EQ(SEGV_MAPERR, touch_info.si_code);
	munmap(p, 2 * PAGE);
}

TEST_F(edges, writing_to_a_read_only_mapping)
{
	unsigned char *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->fd,
				PLACE(1));
	struct account before;

	ASSERT_NE(MAP_FAILED, p);
	before = account_now();
	EXPECT_EQ(SIGSEGV, touch_signal(p, 1));
	EXPECT_EQ(SEGV_ACCERR, touch_info.si_code);
	EXPECT_EQ(0, account_since(&before).first_writes);
	/* With leave, it can be written to */
	ASSERT_EQ(0, mprotect(p, PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, touch_signal(p, 1));
	EXPECT_EQ(1, account_since(&before).first_writes);
	munmap(p, PAGE);
}

TEST_F(edges, refused_by_length_and_alignment)
{
	REFUSED(EINVAL, NULL, 0, PROT_READ, MAP_SHARED, self->fd, 0);
	REFUSED(EINVAL, NULL, PAGE, PROT_READ, MAP_SHARED, self->fd, 1);
	REFUSED(EINVAL, NULL, PAGE, PROT_READ, MAP_SHARED, self->fd, PAGE / 2);
	REFUSED(EINVAL, NULL, PAGE, PROT_READ, 0, self->fd, 0);
	REFUSED(EINVAL, (void *)1, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED,
		self->fd, 0);
	REFUSED(ENOMEM, NULL, -PAGE, PROT_READ, MAP_SHARED, self->fd, 0);
}

/* An offset past the end maps, as for a file; there is just nothing there. */
TEST_F(edges, offset_past_the_end)
{
	unsigned char *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->fd,
				self->size + 10 * MIB);

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(SIGBUS, touch_signal(p, 0));
	munmap(p, PAGE);
}

/* The end of a mapping must be a file offset; the last such place will do. */
TEST_F(edges, offset_overflow)
{
	const off_t last = LLONG_MAX - PAGE + 1; /* the last whole page */
	int64_t mappings = node_value("mappings");
	unsigned char *p;

	if (IS_32_BIT)
		SKIP(return, "a 32-bit program cannot name these offsets");

	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->fd, last - PAGE);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(SIGBUS, touch_signal(p, 0));
	munmap(p, PAGE);

	REFUSED(EOVERFLOW, NULL, PAGE, PROT_READ, MAP_SHARED, self->fd, last);
	REFUSED(EOVERFLOW, NULL, 2 * PAGE, PROT_READ, MAP_SHARED, self->fd,
		last - PAGE);
	REFUSED(EOVERFLOW, NULL, PAGE, PROT_READ, MAP_SHARED, self->fd,
		LLONG_MIN);
	REFUSED(EOVERFLOW, NULL, PAGE, PROT_READ, MAP_SHARED, self->fd,
		-(off_t)PAGE);
	REFUSED(EOVERFLOW, NULL, 2 * PAGE, PROT_READ, MAP_SHARED, self->fd,
		-(off_t)PAGE);
	EXPECT_EQ(mappings, node_value("mappings"));
}

TEST_F(edges, refused_by_the_way_it_was_opened)
{
	int ro = open(NODE, O_RDONLY), wo = open(NODE, O_WRONLY);
	unsigned char *p;

	ASSERT_GE(ro, 0);
	ASSERT_GE(wo, 0);
	REFUSED(EACCES, NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, ro, 0);
	REFUSED(EACCES, NULL, PAGE, PROT_WRITE, MAP_SHARED, wo, 0);
	REFUSED(EACCES, NULL, PAGE, PROT_READ, MAP_PRIVATE, wo, 0);

	/* A private copy may be written, a shared mapping never */
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, ro, 0);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0, touch_signal(p, 1));
	munmap(p, PAGE);
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, ro, 0);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-1, mprotect(p, PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	munmap(p, PAGE);
	close(ro);
	close(wo);
}

TEST_F(edges, map_sync_is_not_offered)
{
	REFUSED(EOPNOTSUPP, NULL, PAGE, PROT_READ | PROT_WRITE,
		MAP_SHARED_VALIDATE | MAP_SYNC, self->fd, 0);
}

/* What the kernel asks of the node's own inode does not know the buffer. */
TEST_F(edges, a_node_is_no_file)
{
	EXPECT_EQ(-1, ftruncate(self->fd, PAGE));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, fallocate(self->fd, 0, 0, PAGE));
	EXPECT_EQ(ENODEV, errno);
	EXPECT_EQ(-1, open(NODE, O_RDWR | O_DIRECT));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, syscall(SYS_ioctl, self->fd, 0x1234, 0));
	EXPECT_EQ(ENOTTY, errno);
}

TEST_HARNESS_MAIN
