// SPDX-License-Identifier: GPL-2.0-only
/*
 * A file that grows while it is mapped.  Two ways to follow it: map more than there
 * is and stay below the end; or map the new part behind the old one.  And what
 * becomes of whoever is too early, and of what was cut off.
 */
#include <linux/falloc.h>

#include "kselftest_harness.h"
#include "vmademo_test.h"

#define START	(2 * PAGE) /* the size at first */
#define LARGEST (64 * PAGE)

FIXTURE(growing)
{
	int fd;
	unsigned char *map; /* all that the file may ever have */
};

FIXTURE_SETUP(growing)
{
	self->fd = create_buffer(START);
	ASSERT_GE(self->fd, 0) TH_LOG("create: %s", strerror(errno));
	self->map = mmap(NULL, LARGEST, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
}

FIXTURE_TEARDOWN(growing)
{
	munmap(self->map, LARGEST);
	close(self->fd);
}

/* ---- the ways to grow ---------------------------------------------------- */

static int by_ftruncate(int fd, off_t size)
{
	return ftruncate(fd, size);
}

static int by_write(int fd, off_t size)
{
	return pwrite(fd, "", 1, size - 1) == 1 ? 0 : -1;
}

static int by_fallocate(int fd, off_t size)
{
	return fallocate(fd, 0, size - PAGE, PAGE);
}

static int by_ioctl(int fd, off_t size)
{
	struct vmademo_resize r = { .size = size };

	return ioctl(fd, VMADEMO_IOC_RESIZE, &r);
}

static int (*const grow[])(int fd, off_t size) = {
	by_ftruncate,
	by_write,
	by_fallocate,
	by_ioctl,
};

#define WAYS (int)(sizeof(grow) / sizeof(grow[0]))

/* However it grows, the mapping made ahead shows the new part, and nothing moves. */
TEST_F(growing, mapped_ahead)
{
	off_t size = START;

	put(self->map, 100);
	for (int way = 0; way < WAYS; way++, size += 2 * PAGE) {
		unsigned char *end = self->map + size;
		unsigned char byte = 0;

		EXPECT_EQ(SIGBUS, touch_signal(end, 0)) TH_LOG("way %d", way);
		EXPECT_EQ(SIGBUS, touch_signal(end, 1)) TH_LOG("way %d", way);
		ASSERT_EQ(0, grow[way](self->fd, size + 2 * PAGE))
		TH_LOG("way %d: %s", way, strerror(errno));
		/* Whoever was too early has left nothing there */
		EXPECT_EQ(0, touch(end));
		put(end, way + 1);
		put(end + PAGE, way + 51);
		EXPECT_EQ(SIGBUS, touch_signal(end + 2 * PAGE, 0));
		/* And it is the file that is written to, at that place */
		ASSERT_EQ(1, pread(self->fd, &byte, 1, size));
		EXPECT_EQ(way + 1, byte);
		ASSERT_EQ(1, pread(self->fd, &byte, 1, size + PAGE));
		EXPECT_EQ(way + 51, byte);
	}
	EXPECT_EQ(100, touch(self->map));
	EXPECT_EQ(1, fd_value(self->fd, "mappings"));
	EXPECT_EQ(3 * WAYS, fd_value(self->fd, "sigbus"));
}

/* The node's size is fixed for all calls but the ioctl. */
TEST(a_node_grows_by_ioctl_only)
{
	int fd = open(NODE, O_RDWR);
	off_t size = node_value("size");
	unsigned char *p;

	ASSERT_LE(0, fd);
	p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		 size - PAGE);
	ASSERT_NE(MAP_FAILED, p);
	put(p, 5);
	EXPECT_FAILS(EINVAL, by_ftruncate(fd, size + PAGE));
	EXPECT_FAILS(ENOSPC, by_write(fd, size + PAGE));
	EXPECT_FAILS(ENODEV, by_fallocate(fd, size + PAGE));
	EXPECT_EQ(SIGBUS, touch_signal(p + PAGE, 1));
	ASSERT_EQ(0, by_ioctl(fd, size + PAGE));
	EXPECT_EQ(0, touch_signal(p + PAGE, 1));
	EXPECT_EQ(5, touch(p));
	ASSERT_EQ(0, by_ioctl(fd, size));
	EXPECT_EQ(SIGBUS, touch_signal(p + PAGE, 0));
	EXPECT_EQ(5, touch(p));
	munmap(p, 2 * PAGE);
	close(fd);
}

/*
 * The other way: reserve addresses, map what is there, and when the file has grown
 * map only the new part behind it.  What was mapped is not touched: its pages take
 * no new fault.  For a device that wants to know of each VMA that goes (.close),
 * Linux 6.1 makes a VMA of each part; 6.12 makes the one that is there longer.
 */
TEST_F(growing, the_new_part_is_mapped_behind)
{
	unsigned char *p = mmap(NULL, LARGEST, PROT_NONE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct account before;
	unsigned char byte = 0;
	int64_t mappings;

	ASSERT_NE(MAP_FAILED, p);
	munmap(self->map, LARGEST);
	ASSERT_EQ(0, fd_value(self->fd, "mappings"));
	ASSERT_EQ(p, mmap(p, START, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_FIXED, self->fd, 0));
	memset(p, 7, START);
	before = account_of(self->fd);

	for (off_t size = START; size < LARGEST; size *= 2) {
		ASSERT_EQ(0, ftruncate(self->fd, 2 * size));
		ASSERT_EQ(p + size, mmap(p + size, size, PROT_READ | PROT_WRITE,
					 MAP_SHARED | MAP_FIXED, self->fd, size));
		for (off_t i = 0; i < START; i++) {
			ASSERT_EQ(7, p[i]);
		}
		put(p + START - 1, 7);
		EXPECT_EQ(0, account_of_since(self->fd, &before).write_faults);
		EXPECT_EQ(0, account_of_since(self->fd, &before).read_faults);
		EXPECT_EQ(0, touch(p + 2 * size - 1));
		before = account_of(self->fd);
	}

	mappings = fd_value(self->fd, "mappings");
	EXPECT_EQ(vmas_in(p, LARGEST), mappings);
	EXPECT_EQ(1, mappings);
	put(p + LARGEST - 1, 9);
	EXPECT_EQ(1, pread(self->fd, &byte, 1, LARGEST - 1));
	EXPECT_EQ(9, byte);
	munmap(p, LARGEST);
	EXPECT_EQ(0, fd_value(self->fd, "mappings"));
	self->map = p;
}

/*
 * A part is mapped again between two that are there: all three are one again.
 */
TEST_F(growing, a_gap_is_filled)
{
	unsigned char *p = self->map;
	int64_t mappings;

	ASSERT_EQ(0, ftruncate(self->fd, LARGEST));
	for (int i = 0; i < 3; i++)
		put(p + i * PAGE, i + 1);
	ASSERT_EQ(0, munmap(p + PAGE, PAGE));
	EXPECT_EQ(2, fd_value(self->fd, "mappings"));
	ASSERT_EQ(p + PAGE, mmap(p + PAGE, PAGE, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_FIXED, self->fd, PAGE));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(i + 1, touch(p + i * PAGE));
	mappings = fd_value(self->fd, "mappings");
	EXPECT_EQ(vmas_in(p, LARGEST), mappings);
	EXPECT_EQ(1, mappings);
}

/* ---- shrinking ----------------------------------------------------------- */

/* What is cut off under a mapping is gone; grown again, there are zeroes. */
TEST_F(growing, shrunk_and_grown_again)
{
	const off_t cut = 3 * PAGE + 100;

	ASSERT_EQ(0, ftruncate(self->fd, 8 * PAGE));
	for (int way = 0; way < WAYS; way++) {
		memset(self->map, 7, 8 * PAGE);
		ASSERT_EQ(0, ftruncate(self->fd, cut));
		EXPECT_EQ(SIGBUS, touch_signal(self->map + 4 * PAGE, 0));
		EXPECT_EQ(7, touch(self->map + cut - 1));
		/* In the last page one can write beyond the end, in vain */
		put(self->map + cut, 8);
		put(self->map + 4 * PAGE - 1, 8);

		ASSERT_EQ(0, grow[way](self->fd, 8 * PAGE));
		for (off_t i = 0; i < 8 * PAGE; i++) {
			ASSERT_EQ(i < cut ? 7 : 0, self->map[i])
			TH_LOG("way %d, byte %ld", way, (long)i);
		}
	}
	EXPECT_EQ(1, fd_value(self->fd, "mappings"));
}

/* ---- who is too early ---------------------------------------------------- */

static int growing_fd;
static volatile int caught;
static unsigned char *growing_map;

/* Makes the file long enough.  To return is to try the access again. */
static void grow_for(int sig, siginfo_t *info, void *context)
{
	off_t at = (unsigned char *)info->si_addr - growing_map;

	caught++;
	if (ftruncate(growing_fd, (at / PAGE + 1) * PAGE))
		_exit(99);
}

/* SIGBUS can be the way to grow: the access that was too early is made again. */
TEST_F(growing, the_handler_grows_the_file)
{
	struct sigaction sa = { .sa_flags = SA_SIGINFO };

	sa.sa_sigaction = grow_for;
	ASSERT_EQ(0, sigaction(SIGBUS, &sa, NULL));
	growing_fd = self->fd;
	growing_map = self->map;

	for (off_t at = 0; at < LARGEST; at += PAGE / 2)
		put(self->map + at, 1 + at / PAGE);
	EXPECT_EQ((LARGEST - START) / PAGE, caught);
	EXPECT_EQ(LARGEST, fd_value(self->fd, "size"));
	EXPECT_EQ(caught, fd_value(self->fd, "sigbus"));
	for (off_t at = 0; at < LARGEST; at += PAGE / 2) {
		unsigned char byte = 0;

		ASSERT_EQ(1, pread(self->fd, &byte, 1, at));
		EXPECT_EQ(1 + at / PAGE, byte);
	}
}

/* Its own end of a pipe, and the other's. */
static int hear, tell;

/* Asks the other process for more, and waits until it is there. */
static void ask_for_more(int sig, siginfo_t *info, void *context)
{
	off_t at = (unsigned char *)info->si_addr - growing_map;

	caught++;
	if (write(tell, &at, sizeof(at)) != sizeof(at) ||
	    read(hear, &at, sizeof(at)) != sizeof(at))
		_exit(98);
}

/* A reader that is too early waits in its handler for the writer in another process. */
TEST_F(growing, a_reader_waits_for_the_writer)
{
	struct sigaction sa = { .sa_flags = SA_SIGINFO };
	int down[2], up[2], status, asked = 0;
	off_t at;
	pid_t pid;

	ASSERT_EQ(0, pipe(down));
	ASSERT_EQ(0, pipe(up));
	memset(self->map, 1, PAGE);
	memset(self->map + PAGE, 2, PAGE);
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		close(up[0]);
		close(down[1]);
		hear = down[0];
		tell = up[1];
		growing_map = self->map;
		sa.sa_sigaction = ask_for_more;
		sigaction(SIGBUS, &sa, NULL);
		for (at = 0; at < LARGEST; at += PAGE)
			if (touch(self->map + at) != 1 + at / PAGE)
				_exit(1);
		_exit(caught != (LARGEST - START) / PAGE);
	}
	close(up[1]);
	close(down[0]);
	/* The page is whole before it is part of the file: write, not map */
	while (read(up[0], &at, sizeof(at)) == sizeof(at)) {
		unsigned char page[PAGE];

		memset(page, 1 + at / PAGE, PAGE);
		ASSERT_EQ(PAGE, pwrite(self->fd, page, PAGE, at));
		ASSERT_EQ(sizeof(at), write(down[1], &at, sizeof(at)));
		asked++;
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ((LARGEST - START) / PAGE, asked);
}

TEST_HARNESS_MAIN
