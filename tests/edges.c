// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where a mapping ends and what is refused: SIGBUS outside the file, SIGSEGV
 * outside the mapping, the rest of the last page, and each errno of mmap.
 */
#include <limits.h>

#include "kselftest_harness.h"
#include "vmademo_test.h"

FIXTURE(edges)
{
	int fd;
	off_t size;
};

FIXTURE_VIEWS(edges);

FIXTURE_SETUP(edges)
{
	self->fd = open_view(variant->view);
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
	before = account_of(self->fd);
	EXPECT_EQ(0, touch_signal(p, 0));
	EXPECT_EQ(0, touch_signal(p + 2 * PAGE - 1, 1));
	EXPECT_EQ(SIGBUS, touch_signal(p + 2 * PAGE, 0));
	EXPECT_EQ(BUS_ADRERR, touch_info.si_code);
	EXPECT_EQ(p + 2 * PAGE, touch_info.si_addr);
	EXPECT_EQ(SIGBUS, touch_signal(p + 4 * PAGE - 1, 1));
	EXPECT_EQ(p + 4 * PAGE - 1, touch_info.si_addr);
	d = account_of_since(self->fd, &before);
	EXPECT_EQ(2, d.sigbus);
	EXPECT_GE(whole_folios(self->fd, 2 * PAGE), d.cached_bytes);
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
	EXPECT_FAILS(EFAULT, write(fds[1], p, 1));
	EXPECT_FAILS(EFAULT, madvise(p, PAGE, MADV_POPULATE_READ));
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
	before = account_of(self->fd);
	EXPECT_EQ(SIGSEGV, touch_signal(p, 1));
	EXPECT_EQ(SEGV_ACCERR, touch_info.si_code);
	EXPECT_EQ(0, account_of_since(self->fd, &before).first_writes);
	/* With leave, it can be written to */
	ASSERT_EQ(0, mprotect(p, PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, touch_signal(p, 1));
	EXPECT_EQ(1, account_of_since(self->fd, &before).first_writes);
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
	int64_t mappings = fd_value(self->fd, "mappings");
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
	EXPECT_EQ(mappings, fd_value(self->fd, "mappings"));
}

TEST_F(edges, refused_by_the_way_it_was_opened)
{
	int ro = reopen(self->fd, O_RDONLY), wo = reopen(self->fd, O_WRONLY);
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
	EXPECT_FAILS(EACCES, mprotect(p, PAGE, PROT_READ | PROT_WRITE));
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
TEST(a_node_is_no_file)
{
	int fd = open(NODE, O_RDWR);

	ASSERT_GE(fd, 0);
	EXPECT_FAILS(EINVAL, ftruncate(fd, PAGE));
	EXPECT_FAILS(ENODEV, fallocate(fd, 0, 0, PAGE));
	EXPECT_FAILS(ENOTTY, syscall(SYS_ioctl, fd, 0x1234, 0));
	close(fd);
}

/* ---- a file whose end is inside a page ----------------------------------- */

#define TAIL (PAGE + 100) /* its size */

FIXTURE(tail)
{
	int fd;
	unsigned char *p; /* three pages: one more than the file has */
};

FIXTURE_SETUP(tail)
{
	self->fd = create_buffer(TAIL);
	ASSERT_GE(self->fd, 0);
	self->p = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
		       self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->p);
}

FIXTURE_TEARDOWN(tail)
{
	munmap(self->p, 3 * PAGE);
	close(self->fd);
}

/* The first byte that is not 0 of the rest of the last page; PAGE if none. */
static size_t rest_is_zero(const unsigned char *p)
{
	size_t i = TAIL % PAGE;

	while (i < PAGE && touch(p + PAGE + i) == 0)
		i++;
	return i;
}

/* The page is there to its end, and reads as zeroes; the next page is not. */
TEST_F(tail, rest_of_the_last_page)
{
	soil_free_memory();
	memset(self->p, 7, TAIL);
	EXPECT_EQ(PAGE, rest_is_zero(self->p));
	EXPECT_EQ(0, touch_signal(self->p + 2 * PAGE - 1, 0));
	EXPECT_EQ(SIGBUS, touch_signal(self->p + 2 * PAGE, 0));
}

/* What is written there is not in the file, by whatever way one looks. */
TEST_F(tail, written_there_is_no_data)
{
	unsigned char back[2 * PAGE];

	memset(self->p, 7, 2 * PAGE);
	EXPECT_EQ(TAIL, lseek(self->fd, 0, SEEK_END));
	EXPECT_EQ(TAIL, pread(self->fd, back, sizeof(back), 0));
	/* The page is shared all the same: others see it as long as it lasts */
	EXPECT_EQ(7, touch(self->p + 2 * PAGE - 1));
}

/* Writing back clears it. */
TEST_F(tail, not_written_back)
{
	memset(self->p, 7, 2 * PAGE);
	ASSERT_EQ(0, msync(self->p, 2 * PAGE, MS_SYNC));
	EXPECT_EQ(PAGE, rest_is_zero(self->p));
	for (size_t i = 0; i < TAIL; i++)
		ASSERT_EQ(7, self->p[i]);
}

/* However the file grows over it, it is not there. */
#define NOT_THERE_AFTER(name, grow)                                            \
	TEST_F(tail, name)                                                     \
	{                                                                      \
		for (int written_back = 0; written_back < 2; written_back++) { \
			ASSERT_EQ(0, ftruncate(self->fd, TAIL));               \
			memset(self->p, 7, 2 * PAGE);                          \
			if (written_back)                                      \
				ASSERT_EQ(0, fsync(self->fd));                 \
			grow;                                                  \
			EXPECT_EQ(PAGE, rest_is_zero(self->p));                \
			EXPECT_EQ(7, touch(self->p + TAIL - 1));               \
		}                                                              \
	}

NOT_THERE_AFTER(ftruncate_uncovers_zeroes,
		ASSERT_EQ(0, ftruncate(self->fd, 3 * PAGE)))
NOT_THERE_AFTER(write_uncovers_zeroes,
		ASSERT_EQ(1, pwrite(self->fd, "x", 1, 2 * PAGE + 50)))
NOT_THERE_AFTER(fallocate_uncovers_zeroes,
		ASSERT_EQ(0, fallocate(self->fd, 0, 2 * PAGE, PAGE)))

/* Cut and grown again: no byte of before comes back. */
TEST_F(tail, cut_and_grown)
{
	memset(self->p, 7, TAIL);
	ASSERT_EQ(0, ftruncate(self->fd, PAGE + 10));
	ASSERT_EQ(0, ftruncate(self->fd, TAIL));
	EXPECT_EQ(7, touch(self->p + PAGE + 9));
	for (size_t i = PAGE + 10; i < 2 * PAGE; i++)
		ASSERT_EQ(0, self->p[i]);
}

TEST_HARNESS_MAIN
