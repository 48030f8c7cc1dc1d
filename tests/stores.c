// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a store is: writing back puts a buffer's bytes there, and a page that is not
 * cached is read from there.  On each kind: memory that the kernel holds, a file on
 * tmpfs and on ext4, a block device.  A file is also looked at from below.
 */
#include <linux/falloc.h>
#include <linux/fs.h>

#define SIZE	   (64 * PAGE)
#define STORE_SIZE SIZE
#include "store_fixture.h"

#define EXPECT_BELOW(value, at)                                        \
	do {                                                           \
		if (self->lower >= 0)                                  \
			EXPECT_EQ(value, lower_byte(self->lower, at)); \
	} while (0)

TEST_F(store, is_what_was_asked_for)
{
	RUN_IF_READY();

	struct vmademo_info info;

	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_INFO, &info));
	EXPECT_EQ(variant->kind <= STORE_RAM ? VMADEMO_STORE_RAM
					     : VMADEMO_STORE_FILE,
		  info.store);
	EXPECT_EQ(0, info.flags);
	EXPECT_EQ(SIZE, info.size);
	EXPECT_EQ(0, info.cached_bytes);
}

/* Dirty until it is written back; then the store has it, and not a byte before. */
TEST_F(store, written_by_msync)
{
	RUN_IF_READY();

	struct account before = account_of(self->fd), d;

	memset(self->map + PAGE, 7, 3 * PAGE);
	d = account_of_since(self->fd, &before);
	EXPECT_EQ(in_folios(self->fd, 3 * PAGE), d.dirty_folios);
	EXPECT_BELOW(0, PAGE);
	ASSERT_EQ(0, msync(self->map, SIZE, MS_SYNC));
	d = account_of_since(self->fd, &before);
	EXPECT_EQ(0, d.dirty_folios);
	EXPECT_EQ(in_folios(self->fd, 3 * PAGE), d.written_folios);
	EXPECT_EQ(whole_folios(self->fd, 3 * PAGE), d.written_bytes);
	EXPECT_EQ(0, d.write_errors);
	EXPECT_BELOW(0, PAGE - 1);
	EXPECT_BELOW(7, PAGE);
	EXPECT_BELOW(7, 4 * PAGE - 1);
	EXPECT_BELOW(0, 4 * PAGE);
}

/* Dropped from the page cache, it comes back from the store; by fault and by read. */
TEST_F(store, read_in)
{
	RUN_IF_READY();

	struct account before, d;
	unsigned char byte;

	for (size_t i = 0; i < SIZE / PAGE; i++)
		put(self->map + i * PAGE + 9, i + 1);
	ASSERT_EQ(0, fdatasync(self->fd));
	ASSERT_EQ(0, power_cut(self->fd));
	before = account_of(self->fd);
	EXPECT_EQ(0, before.cached_bytes);

	for (size_t i = 0; i < SIZE / PAGE; i++)
		EXPECT_EQ(i + 1, touch(self->map + i * PAGE + 9));
	d = account_of_since(self->fd, &before);
	EXPECT_EQ(in_folios(self->fd, SIZE), d.read_in_folios);
	EXPECT_EQ(SIZE, d.read_in_bytes);
	EXPECT_EQ(0, d.dirtied_folios);

	ASSERT_EQ(0, power_cut(self->fd));
	for (size_t i = 0; i < SIZE / PAGE; i++) {
		ASSERT_EQ(1, pread(self->fd, &byte, 1, i * PAGE + 9));
		EXPECT_EQ(i + 1, byte);
	}
}

/* write(2) of a part of a page keeps the rest of what the store has. */
TEST_F(store, written_in_part)
{
	RUN_IF_READY();

	unsigned char *bad;

	memset(self->map, 3, 2 * PAGE);
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, power_cut(self->fd));
	ASSERT_EQ(4, pwrite(self->fd, "abcd", 4, PAGE - 2));
	EXPECT_EQ(3, touch(self->map + PAGE - 3));
	EXPECT_EQ('a', touch(self->map + PAGE - 2));
	EXPECT_EQ('d', touch(self->map + PAGE + 1));
	EXPECT_EQ(3, touch(self->map + PAGE + 2));
	/* A bad address half-way leaves what was there */
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, power_cut(self->fd));
	bad = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, bad);
	memset(bad, 9, 2 * PAGE);
	ASSERT_EQ(0, mprotect(bad + PAGE, PAGE, PROT_NONE));
	EXPECT_EQ(PAGE / 2, pwrite(self->fd, bad + PAGE / 2, PAGE, 0));
	EXPECT_EQ(9, touch(self->map + PAGE / 2 - 1));
	EXPECT_EQ(3, touch(self->map + PAGE / 2));
	munmap(bad, 2 * PAGE);
}

/* A hole that is punched is one in the store too, and parts of pages are zeroed. */
TEST_F(store, discarded)
{
	RUN_IF_READY();

	struct vmademo_discard d = { .offset = PAGE + 100, .length = 3 * PAGE };
	struct stat before, after;

	memset(self->map, 5, 8 * PAGE);
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, power_cut(self->fd));
	if (self->lower >= 0) {
		fsync(self->lower);
		ASSERT_EQ(0, fstat(self->lower, &before));
	}
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_DISCARD, &d));
	EXPECT_BELOW(5, 2 * PAGE - 1); /* a part: not before it is written back */
	EXPECT_BELOW(0, 2 * PAGE);
	EXPECT_BELOW(0, 4 * PAGE - 1);
	ASSERT_EQ(0, fsync(self->fd));
	if (self->lower >= 0 && variant->kind != STORE_BLOCK) {
		ASSERT_EQ(0, fstat(self->lower, &after));
		EXPECT_EQ(before.st_blocks - 2 * PAGE / 512, after.st_blocks);
	}
	for (int again = 0; again < 2; again++) {
		EXPECT_EQ(5, touch(self->map + PAGE + 99));
		EXPECT_EQ(0, touch(self->map + PAGE + 100));
		EXPECT_EQ(0, touch(self->map + 4 * PAGE + 99));
		EXPECT_EQ(5, touch(self->map + 4 * PAGE + 100));
		ASSERT_EQ(0, power_cut(self->fd));
	}
}

/* A part of one page, which is not cached: read in, zeroed, written back. */
TEST_F(store, discarded_inside_a_page)
{
	RUN_IF_READY();

	struct vmademo_discard d = { .offset = 10, .length = 20 };

	memset(self->map, 5, PAGE);
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, power_cut(self->fd));
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_DISCARD, &d));
	EXPECT_EQ(1, account_of(self->fd).dirty_folios);
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, power_cut(self->fd));
	EXPECT_EQ(5, touch(self->map + 9));
	EXPECT_EQ(0, touch(self->map + 10));
	EXPECT_EQ(0, touch(self->map + 29));
	EXPECT_EQ(5, touch(self->map + 30));
}

/* What was cut off does not come back when the buffer grows again. */
TEST_F(store, cut_off_and_grown)
{
	RUN_IF_READY();

	struct stat st;

	if (variant->kind == STORE_BLOCK) {
		EXPECT_FAILS(EINVAL, ftruncate(self->fd, PAGE));
		EXPECT_EQ(0, ftruncate(self->fd, SIZE));
		EXPECT_FAILS(EINVAL, ftruncate(self->fd, SIZE + 1));
		EXPECT_FAILS(ENOSPC, pwrite(self->fd, "x", 1, SIZE));
		EXPECT_EQ(1, pwrite(self->fd, "xy", 2, SIZE - 1));
		EXPECT_FAILS(ENOSPC, fallocate(self->fd, 0, SIZE, 1));
		return;
	}
	memset(self->map, 6, SIZE);
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, ftruncate(self->fd, PAGE + 10));
	if (self->lower >= 0) {
		ASSERT_EQ(0, fstat(self->lower, &st));
		EXPECT_EQ(PAGE + 10, st.st_size);
	}
	EXPECT_EQ(SIGBUS, touch_signal(self->map + 2 * PAGE, 0));
	ASSERT_EQ(0, ftruncate(self->fd, SIZE));
	/* Or a power cut would undo it */
	ASSERT_EQ(0, fsync(self->fd));
	for (int again = 0; again < 2; again++) {
		EXPECT_EQ(6, touch(self->map + PAGE + 9));
		EXPECT_EQ(0, touch(self->map + PAGE + 10));
		EXPECT_EQ(0, touch(self->map + 2 * PAGE));
		EXPECT_EQ(0, touch(self->map + SIZE - 1));
		ASSERT_EQ(0, power_cut(self->fd));
	}
	if (self->lower >= 0) {
		ASSERT_EQ(0, fstat(self->lower, &st));
		EXPECT_EQ(SIZE, st.st_size);
	}
}

/* Written beyond the end: what lies between is zero, and the store grows along. */
TEST_F(store, grown_by_writing)
{
	RUN_IF_READY();

	struct stat st;

	if (variant->kind == STORE_BLOCK)
		return; /* see cut_off_and_grown */
	ASSERT_EQ(0, ftruncate(self->fd, 10));
	put(self->map, 1);
	put(self->map + 20, 2); /* beyond the end: no data */
	ASSERT_EQ(3, pwrite(self->fd, "end", 3, 3 * PAGE + 5));
	EXPECT_EQ(0, touch(self->map + 20));
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, power_cut(self->fd));
	EXPECT_EQ(1, touch(self->map));
	EXPECT_EQ(0, touch(self->map + 20));
	EXPECT_EQ(0, touch(self->map + 2 * PAGE));
	EXPECT_EQ('e', touch(self->map + 3 * PAGE + 5));
	if (self->lower >= 0) {
		ASSERT_EQ(0, fstat(self->lower, &st));
		EXPECT_EQ(3 * PAGE + 8, st.st_size);
	}
}

/* What a mapping writes behind the end, in the last page, is not for the store. */
TEST_F(store, nothing_beyond_the_end)
{
	RUN_IF_READY();

	struct stat st;

	if (variant->kind == STORE_BLOCK)
		return;
	ASSERT_EQ(0, ftruncate(self->fd, PAGE + 10));
	memset(self->map + PAGE, 8, PAGE);
	ASSERT_EQ(0, msync(self->map, 2 * PAGE, MS_SYNC));
	if (self->lower >= 0) {
		ASSERT_EQ(0, fstat(self->lower, &st));
		EXPECT_EQ(PAGE + 10, st.st_size);
	}
	ASSERT_EQ(0, power_cut(self->fd));
	EXPECT_EQ(8, touch(self->map + PAGE + 9));
	EXPECT_EQ(0, touch(self->map + PAGE + 10));
}

/* Room that fallocate promised is there, and zero. */
TEST_F(store, allocated)
{
	RUN_IF_READY();

	struct stat st;

	memset(self->map, 4, 4 * PAGE);
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0,
		  fallocate(self->fd, FALLOC_FL_KEEP_SIZE, 2 * PAGE, 4 * PAGE));
	EXPECT_EQ(4, touch(self->map + 3 * PAGE));
	EXPECT_EQ(0, touch(self->map + 5 * PAGE));
	ASSERT_EQ(0, fallocate(self->fd, FALLOC_FL_ZERO_RANGE, PAGE, 2 * PAGE));
	EXPECT_EQ(4, touch(self->map + PAGE - 1));
	EXPECT_EQ(0, touch(self->map + PAGE));
	EXPECT_EQ(4, touch(self->map + 3 * PAGE));
	if (self->lower >= 0 && variant->kind != STORE_BLOCK) {
		fsync(self->lower);
		ASSERT_EQ(0, fstat(self->lower, &st));
		EXPECT_LE(6 * PAGE / 512, st.st_blocks);
	}
	if (variant->kind == STORE_BLOCK)
		return;
	ASSERT_EQ(0, fallocate(self->fd, 0, SIZE, PAGE));
	EXPECT_EQ(SIZE + PAGE, lseek(self->fd, 0, SEEK_END));
}

/*
 * Each end of a sync is a flush of the store, of the kind that was asked for.  (msync
 * asks for the kind of fdatasync.)
 */
TEST_F(store, flushed)
{
	RUN_IF_READY();

	struct account before = account_of(self->fd), d;

	ASSERT_EQ(0, fsync(self->fd));
	d = account_of_since(self->fd, &before);
	EXPECT_EQ(1, d.flushes);
	EXPECT_EQ(0, d.data_flushes);
	ASSERT_EQ(0, msync(self->map, SIZE, MS_SYNC));
	ASSERT_EQ(0, fdatasync(self->fd));
	d = account_of_since(self->fd, &before);
	EXPECT_EQ(1, d.flushes);
	EXPECT_EQ(2, d.data_flushes);
	ASSERT_EQ(0, msync(self->map, SIZE, MS_ASYNC));
	ASSERT_EQ(0, sync_file_range(self->fd, 0, SIZE,
				     SYNC_FILE_RANGE_WRITE |
					     SYNC_FILE_RANGE_WAIT_AFTER));
	d = account_of_since(self->fd, &before);
	EXPECT_EQ(1, d.flushes);
	EXPECT_EQ(2, d.data_flushes);
	put(self->map, 1);
	sync();
	d = account_of_since(self->fd, &before);
	EXPECT_EQ(0, d.dirty_folios);
	EXPECT_EQ(2, d.flushes);
	EXPECT_BELOW(1, 0);
}

/* Written back, the bytes are in the file's page cache; flushed, they are on its disk. */
TEST_F(store, flushed_to_the_disk)
{
	RUN_IF_READY();

	if (variant->kind != STORE_EXT4 && variant->kind != STORE_BLOCK)
		SKIP(return, "there is no disk below");
	sync();
	memset(self->map, 1, SIZE);
	ASSERT_EQ(0, sync_file_range(self->fd, 0, SIZE,
				     SYNC_FILE_RANGE_WRITE |
					     SYNC_FILE_RANGE_WAIT_AFTER));
	EXPECT_EQ(0, account_of(self->fd).dirty_folios);
	EXPECT_LE((int64_t)SIZE, meminfo("Dirty"));
	ASSERT_EQ(0, fdatasync(self->fd));
	EXPECT_GT((int64_t)SIZE, meminfo("Dirty"));
}

/*
 * A frozen file system takes nothing, so a task that syncs waits, and so may one that
 * writes much; thawed, all is well.
 */
TEST_F(store, frozen)
{
	RUN_IF_READY();

	int folder, status, other, lower;
	pid_t pid, syncer;

	if (variant->kind != STORE_EXT4)
		SKIP(return, "only ext4 can be frozen");
	folder = open(getenv("VMADEMO_EXT4"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_GE(folder, 0);
	ASSERT_EQ(0, ioctl(folder, FIFREEZE, 0));
	/* To touch and to read is none of its business */
	pid = fork();
	if (pid == 0) {
		memset(self->map, 9, SIZE);
		_exit(msync(self->map, SIZE, MS_SYNC) != 0);
	}
	/* ... nor is it to make and to close another buffer, while sync(2) waits too */
	syncer = fork();
	if (syncer == 0) {
		sync();
		_exit(0);
	}
	usleep(200000);
	EXPECT_EQ(0, waitpid(pid, &status, WNOHANG));
	other = create_store(STORE_TMPFS, PAGE, &lower);
	EXPECT_LE(0, other);
	end_store(STORE_TMPFS, other, lower);
	EXPECT_BELOW(0, 0);
	EXPECT_EQ(9, touch(self->map));
	EXPECT_EQ(0, ioctl(folder, FITHAW, 0));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	ASSERT_EQ(syncer, waitpid(syncer, NULL, 0));
	EXPECT_BELOW(9, SIZE - 1);
	close(folder);
}

/* O_DSYNC goes down to the store. */
TEST_F(store, o_sync)
{
	RUN_IF_READY();

	struct account before = account_of(self->fd), d;
	int fd = reopen(self->fd, O_RDWR | O_DSYNC);

	ASSERT_GE(fd, 0);
	ASSERT_EQ(5, pwrite(fd, "hello", 5, 0));
	d = account_of_since(self->fd, &before);
	EXPECT_EQ(0, d.dirty_folios);
	EXPECT_EQ(1, d.data_flushes);
	EXPECT_BELOW('h', 0);
	close(fd);
}

TEST_HARNESS_MAIN
