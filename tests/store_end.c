// SPDX-License-Identifier: GPL-2.0-only
/*
 * A store that goes, or is not what it was, and a buffer that goes before all is in its store:
 * nobody is given zeroes for data, or a promise for what is still under way.
 */
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/loop.h>

#include "kselftest_harness.h"
#include "../lib/slow_store.h"
#include "stores.h"

#define PAGES 16UL
#define SIZE  (PAGES * PAGE)
#define IMAGE "/tmp/vmademo-image"

/* ---- a disk -------------------------------------------------------------- */

FIXTURE(disk)
{
	const char *skip;
	int image, loop, fd; /* each page of fd is full of its number + 1 */
	unsigned char *map;
};

FIXTURE_SETUP(disk)
{
	struct loop_config c = { 0 };
	unsigned char page[PAGE_MAX];
	char name[32];
	int control;

	system("modprobe -q loop");
	control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	if (control < 0) {
		self->skip = "there is no loop";
		return;
	}
	snprintf(name, sizeof(name), "/dev/loop%d",
		 ioctl(control, LOOP_CTL_GET_FREE));
	close(control);
	self->image = open(IMAGE, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ASSERT_LE(0, self->image);
	ASSERT_EQ(0, ftruncate(self->image, SIZE));
	self->loop = open(name, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->loop);
	c.fd = self->image;
	ASSERT_EQ(0, ioctl(self->loop, LOOP_CONFIGURE, &c));
	self->fd = create_with(VMADEMO_STORE_FILE, SIZE, self->loop);
	ASSERT_LE(0, self->fd) TH_LOG("create: %s", strerror(errno));
	for (size_t i = 0; i < PAGES; i++) {
		memset(page, i + 1, PAGE);
		ASSERT_EQ(PAGE, pwrite(self->fd, page, PAGE, i * PAGE));
	}
	ASSERT_EQ(0, fsync(self->fd));
	self->map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
	posix_fadvise(self->fd, 0, 0, POSIX_FADV_DONTNEED);
	posix_fadvise(self->loop, 0, 0, POSIX_FADV_DONTNEED);
}

FIXTURE_TEARDOWN(disk)
{
	if (self->skip)
		return;
	EXPECT_ACCOUNT_ADDS_UP(self->fd);
	munmap(self->map, SIZE);
	close(self->fd);
	ioctl(self->loop, LOOP_CLR_FD);
	close(self->loop);
	close(self->image);
	unlink(IMAGE);
}

/* As it is when a disk is pulled out: then all of it is beyond the end. */
TEST_F(disk, becomes_smaller)
{
	RUN_IF_READY();

	const size_t left = PAGES / 2;
	unsigned char page[PAGE_MAX] = { 99 };

	ASSERT_EQ(0, ftruncate(self->image, left * PAGE));
	ASSERT_EQ(0, ioctl(self->loop, LOOP_SET_CAPACITY, 0));
	EXPECT_EQ(left, touch(self->map + (left - 1) * PAGE));
	EXPECT_EQ(SIGBUS, touch_signal(self->map + left * PAGE, 0));
	EXPECT_EQ(SIGBUS, touch_signal(self->map + (PAGES - 1) * PAGE, 1));
	EXPECT_FAILS(EIO, pread(self->fd, page, PAGE, left * PAGE));
	EXPECT_FAILS(EIO, fallocate(self->fd,
				    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				    (PAGES - 2) * PAGE, PAGE));
	EXPECT_EQ(EIO, told(self->fd));
	/* Nor is that a lack of room */
	EXPECT_EQ(PAGE, pwrite(self->fd, page, PAGE, (PAGES - 3) * PAGE));
	EXPECT_EQ(EIO, told(self->fd));
	EXPECT_EQ(PAGE, pwrite(self->fd, page, PAGE, 0));
	EXPECT_EQ(0, told(self->fd));
}

/* It cannot be punched any more, and loses nothing of what it has. */
TEST_F(disk, becomes_read_only)
{
	RUN_IF_READY();

	unsigned char page[PAGE_MAX], lower[PAGE_MAX];
	int yes = 1, no = 0;

	memset(page, 99, PAGE);
	ASSERT_EQ(PAGE, pwrite(self->fd, page, PAGE, 0));
	/* To the page cache of the disk */
	ASSERT_EQ(0, sync_file_range(self->fd, 0, SIZE,
				     SYNC_FILE_RANGE_WRITE |
					     SYNC_FILE_RANGE_WAIT_AFTER));
	ASSERT_EQ(0, account_of(self->fd).dirty_bytes);
	ASSERT_EQ(0, ioctl(self->loop, BLKROSET, &yes));
	EXPECT_FAILS(EPERM, fallocate(self->fd,
				      FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				      0, 2 * PAGE));
	ASSERT_EQ(0, ioctl(self->loop, BLKROSET, &no));
	EXPECT_EQ(0, told(self->fd));
	ASSERT_EQ(PAGE, pread(self->loop, lower, PAGE, 0));
	EXPECT_EQ(0, memcmp(page, lower, PAGE));
	EXPECT_EQ(2, touch(self->map + PAGE));
}

/* ---- the last descriptor ------------------------------------------------- */

/* What was written before a sync is there when it returns, also of a buffer that is closed. */
TEST(sync_waits_for_the_last_close)
{
	struct slow store;
	const char *skip = slow_make(&store, FROZEN_EXT4, SIZE);
	int fd, status, ends[2];
	pid_t closes, syncs;
	char byte = 0;

	if (skip)
		SKIP(return, "%s", skip);
	fd = create_with(VMADEMO_STORE_FILE, SIZE, store.file);
	ASSERT_LE(0, fd);
	ASSERT_EQ(1, pwrite(fd, "x", 1, 0));
	ASSERT_EQ(0, slow_stop(&store));
	ASSERT_EQ(0, pipe(ends));
	/* Who closes it last waits for the thaw: that must be the child */
	closes = fork();
	if (!closes) {
		close(ends[1]);
		_exit(read(ends[0], &byte, 1) || close(fd));
	}
	close(fd);
	close(ends[1]);
	EXPECT_TRUE(waits(closes));
	syncs = fork();
	if (!syncs) {
		sync();
		_exit(0);
	}
	EXPECT_TRUE(waits(syncs));
	slow_go(&store);
	ASSERT_EQ(closes, waitpid(closes, &status, 0));
	ASSERT_EQ(syncs, waitpid(syncs, &status, 0));
	EXPECT_EQ(1, pread(store.file, &byte, 1, 0));
	EXPECT_EQ('x', byte);
	slow_end(&store);
}

TEST_HARNESS_MAIN
