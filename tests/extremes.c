// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sizes and ranges at their ends: the largest buffer, ranges that end with it, and a
 * buffer that is shorter than its backing file, of which nothing beyond the buffer's
 * end may change.
 */
#include <sys/mount.h>
#include <linux/falloc.h>

#include "kselftest_harness.h"
#include "../lib/slow_store.h"
#include "stores.h"

FIXTURE(largest)
{
	const char *skip;
	int lower;
};

FIXTURE_VARIANT(largest)
{
	uint32_t store;
};

FIXTURE_VARIANT_ADD(largest, none){ .store = VMADEMO_STORE_NONE };
FIXTURE_VARIANT_ADD(largest, ram){ .store = VMADEMO_STORE_RAM };
/* On tmpfs, whose files may be as large */
FIXTURE_VARIANT_ADD(largest, file){ .store = VMADEMO_STORE_FILE };

FIXTURE_SETUP(largest)
{
	self->lower = 0;
	if (IS_32_BIT) {
		self->skip = "a 32-bit program cannot name all offsets";
		return;
	}
	if (variant->store == VMADEMO_STORE_FILE) {
		self->lower = open("/tmp/vmademo-store",
				   O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		ASSERT_GE(self->lower, 0);
	}
}

FIXTURE_TEARDOWN(largest)
{
	if (self->lower) {
		close(self->lower);
		unlink("/tmp/vmademo-store");
	}
}

/* The last byte of a buffer is written, cut off, and is not there again. */
static void cut_off_all(struct __test_metadata *_metadata, int fd, uint64_t size)
{
	char byte = 0;

	ASSERT_EQ(1, pwrite(fd, "x", 1, size - 1));
	ASSERT_EQ(1, pwrite(fd, "y", 1, 5));
	EXPECT_EQ(0, fsync(fd));
	EXPECT_EQ(1, pread(fd, &byte, 1, size - 1));
	EXPECT_EQ('x', byte);
	EXPECT_EQ(0, ftruncate(fd, 0));
	EXPECT_EQ(0, fd_value(fd, "size"));
	EXPECT_EQ(0, ftruncate(fd, size));
	EXPECT_EQ(1, pread(fd, &byte, 1, size - 1));
	EXPECT_EQ(0, byte);
	EXPECT_EQ(1, pread(fd, &byte, 1, 5));
	EXPECT_EQ(0, byte);
}

/* A size is refused, or all of it can be used. */
TEST_F(largest, refused_or_usable)
{
	RUN_IF_READY();

	const uint64_t sizes[] = { MAX_SIZE - PAGE - 1, MAX_SIZE - PAGE,
				   MAX_SIZE - 1,	MAX_SIZE,
				   MAX_SIZE + 1,	INT64_MAX };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int fd = create_with(variant->store, sizes[i], self->lower);

		if (sizes[i] > MAX_SIZE) {
			EXPECT_TRUE(fd < 0 && errno == EINVAL)
			TH_LOG("size %" PRIu64, sizes[i]);
		} else {
			ASSERT_GE(fd, 0) TH_LOG("size %" PRIu64, sizes[i]);
		}
		if (fd < 0)
			continue;
		cut_off_all(_metadata, fd, sizes[i]);
		EXPECT_ACCOUNT_ADDS_UP(fd);
		close(fd);
		if (self->lower)
			ASSERT_EQ(0, ftruncate(self->lower, 0));
	}
}

TEST_F(largest, grown_to)
{
	RUN_IF_READY();

	struct vmademo_resize r = { .size = MAX_SIZE };
	int fd;

	if (self->lower)
		ASSERT_EQ(0, ftruncate(self->lower, 100));
	fd = create_with(variant->store, 100, self->lower);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, ioctl(fd, VMADEMO_IOC_RESIZE, &r));
	cut_off_all(_metadata, fd, MAX_SIZE);
	for (int i = 0; i < 3; i++) {
		const uint64_t over[] = { MAX_SIZE + 1, INT64_MAX,
					  (uint64_t)INT64_MAX + 1 };

		r.size = over[i];
		EXPECT_FAILS(EINVAL, ioctl(fd, VMADEMO_IOC_RESIZE, &r));
		errno = 0;
		EXPECT_EQ(-1, ftruncate(fd, over[i]));
		EXPECT_TRUE(errno == EFBIG || errno == EINVAL);
	}
	EXPECT_EQ(MAX_SIZE, fd_value(fd, "size"));
	/* By writing and allocating it grows no further, either */
	EXPECT_FAILS(EFBIG, pwrite(fd, "x", 1, MAX_SIZE));
	EXPECT_EQ(1, pwrite(fd, "xy", 2, MAX_SIZE - 1));
	EXPECT_FAILS(EFBIG, fallocate(fd, 0, MAX_SIZE - PAGE, PAGE + 1));
	EXPECT_EQ(MAX_SIZE, fd_value(fd, "size"));
	EXPECT_EQ(0, fsync(fd));
	EXPECT_ACCOUNT_ADDS_UP(fd);
	close(fd);
}

/* What is punched up to the end is gone from the store, too. */
TEST_F(largest, punched_up_to_the_end)
{
	RUN_IF_READY();

	const uint64_t sizes[] = { MAX_SIZE - 1, MAX_SIZE, INT64_MAX };
	const size_t punched[] = { 1, 100, PAGE, PAGE + 100, 2 * PAGE };
	unsigned char bytes[4 * PAGE];

	for (int i = 0; i < 30; i++) {
		const uint64_t size = sizes[i / 10];
		const size_t length = punched[i / 2 % 5];
		struct vmademo_discard d = { size - length, length, { 0 } };
		int fd = create_with(variant->store, size, self->lower);

		if (fd < 0 && size > MAX_SIZE)
			continue;
		ASSERT_GE(fd, 0);
		memset(bytes, 7, sizeof(bytes));
		ASSERT_EQ(sizeof(bytes), pwrite(fd, bytes, sizeof(bytes),
						size - sizeof(bytes)));
		ASSERT_EQ(0, fsync(fd));
		if (i % 2) {
			EXPECT_EQ(0, fallocate(fd,
					       FALLOC_FL_PUNCH_HOLE |
						       FALLOC_FL_KEEP_SIZE,
					       d.offset, d.length));
		} else {
			EXPECT_EQ(0, ioctl(fd, VMADEMO_IOC_DISCARD, &d));
		}
		EXPECT_EQ(0, fsync(fd));
		if (variant->store != VMADEMO_STORE_NONE)
			EXPECT_EQ(0, power_cut(fd));
		ASSERT_EQ(sizeof(bytes),
			  pread(fd, bytes, sizeof(bytes), size - sizeof(bytes)));
		for (size_t at = 0; at < sizeof(bytes); at++) {
			ASSERT_EQ(at < sizeof(bytes) - length ? 7 : 0, bytes[at])
			TH_LOG("size %" PRIu64 ", %zu bytes punched, byte %zu",
			       size, length, at);
		}
		EXPECT_ACCOUNT_ADDS_UP(fd);
		close(fd);
	}
}

/* The node takes the same sizes. */
TEST(the_node)
{
	struct vmademo_resize r = { .size = MAX_SIZE }, back;
	int node = open(NODE, O_RDWR | O_CLOEXEC);
	unsigned char *p, byte = 1;

	if (IS_32_BIT)
		SKIP(return, "a 32-bit program cannot name all offsets");
	ASSERT_GE(node, 0);
	back = (struct vmademo_resize){ .size = node_value("size") };
	ASSERT_EQ(0, ioctl(node, VMADEMO_IOC_RESIZE, &r));
	EXPECT_EQ(MAX_SIZE, lseek(node, 0, SEEK_END));
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, node,
		 MAX_SIZE - PAGE);
	ASSERT_NE(MAP_FAILED, p);
	put(p + PAGE - 1, 9);
	EXPECT_EQ(0, fsync(node));
	EXPECT_EQ(1, pread(node, &byte, 1, MAX_SIZE - 1));
	EXPECT_EQ(9, byte);
	EXPECT_FAILS(ENOSPC, pwrite(node, "x", 1, MAX_SIZE));
	for (uint64_t over = MAX_SIZE + 1; over;
	     over = over == INT64_MAX ? 0 : INT64_MAX) {
		r.size = over;
		EXPECT_FAILS(EINVAL, ioctl(node, VMADEMO_IOC_RESIZE, &r));
	}
	ASSERT_EQ(0, ioctl(node, VMADEMO_IOC_RESIZE, &back));
	EXPECT_EQ(SIGBUS, touch_signal(p, 0));
	munmap(p, PAGE);
	close(node);
}

/* ---- a buffer that is the beginning of a file ---------------------------- */

#define IN_FILE	  (2 * PAGE + 1808)
#define IN_BUFFER (PAGE + 904)

FIXTURE(shorter)
{
	const char *skip;
	int fd, lower;
	unsigned char *map;
};

FIXTURE_VARIANT(shorter)
{
	enum store_kind kind;
};

FIXTURE_VARIANT_ADD(shorter, tmpfs){ .kind = STORE_TMPFS };
FIXTURE_VARIANT_ADD(shorter, ext4){ .kind = STORE_EXT4 };

/* Each byte of the file differs from the one a page or 256 before it. */
static unsigned char byte_of_file(size_t at)
{
	return at % 251 + 1;
}

FIXTURE_SETUP(shorter)
{
	const char *path = store_path(variant->kind);
	unsigned char bytes[IN_FILE];

	if (!path) {
		self->skip = "no such store on this machine";
		return;
	}
	for (size_t i = 0; i < IN_FILE; i++)
		bytes[i] = byte_of_file(i);
	self->lower = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ASSERT_GE(self->lower, 0);
	ASSERT_EQ(IN_FILE, write(self->lower, bytes, IN_FILE));
	self->fd = create_with(VMADEMO_STORE_FILE, IN_BUFFER, self->lower);
	ASSERT_GE(self->fd, 0) TH_LOG("create: %s", strerror(errno));
	self->map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
}

/* Of the file, from `zero` to the buffer's end is zero; and nothing else has changed. */
static void expect_file(struct __test_metadata *_metadata, int lower, size_t zero)
{
	unsigned char bytes[3 * PAGE_MAX] = { 0 };

	EXPECT_EQ(IN_FILE, pread(lower, bytes, IN_FILE, 0));
	EXPECT_EQ(IN_FILE, lseek(lower, 0, SEEK_END));
	for (size_t i = 0; i < IN_FILE; i++) {
		bool is_zero = i >= zero && i < IN_BUFFER;

		ASSERT_EQ(is_zero ? 0 : byte_of_file(i), bytes[i])
		TH_LOG("byte %zu of the backing file", i);
	}
}

FIXTURE_TEARDOWN(shorter)
{
	if (self->skip)
		return;
	EXPECT_ACCOUNT_ADDS_UP(self->fd);
	munmap(self->map, 2 * PAGE);
	end_store(variant->kind, self->fd, self->lower);
}

TEST_F(shorter, discarded)
{
	RUN_IF_READY();

	struct vmademo_discard d = { .offset = PAGE, .length = IN_BUFFER - PAGE };

	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_DISCARD, &d));
	EXPECT_EQ(0, touch(self->map + PAGE));
	ASSERT_EQ(0, fsync(self->fd));
	expect_file(_metadata, self->lower, PAGE);
	/* A part of its last page, then all of it */
	d = (struct vmademo_discard){ .offset = 100, .length = IN_BUFFER - 100 };
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_DISCARD, &d));
	ASSERT_EQ(0, fsync(self->fd));
	expect_file(_metadata, self->lower, 100);
	d = (struct vmademo_discard){ .offset = 0, .length = IN_BUFFER };
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_DISCARD, &d));
	ASSERT_EQ(0, fsync(self->fd));
	expect_file(_metadata, self->lower, 0);
}

/* A hole may begin and end anywhere: it is cut at the buffer's end. */
TEST_F(shorter, punched)
{
	RUN_IF_READY();

	const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	ASSERT_EQ(0, fallocate(self->fd, mode, 2 * PAGE, PAGE));
	ASSERT_EQ(0, fallocate(self->fd, mode, IN_BUFFER, PAGE));
	ASSERT_EQ(0, fsync(self->fd));
	expect_file(_metadata, self->lower, IN_BUFFER);
	ASSERT_EQ(0, fallocate(self->fd, mode, IN_BUFFER - 1, 1 << 30));
	ASSERT_EQ(0, fsync(self->fd));
	expect_file(_metadata, self->lower, IN_BUFFER - 1);
	ASSERT_EQ(0, fallocate(self->fd, mode, PAGE, 10 * PAGE));
	ASSERT_EQ(0, fsync(self->fd));
	expect_file(_metadata, self->lower, PAGE);
	ASSERT_EQ(0, fallocate(self->fd, mode, 0, INT32_MAX));
	ASSERT_EQ(0, fsync(self->fd));
	expect_file(_metadata, self->lower, 0);
}

TEST_F(shorter, zeroed)
{
	RUN_IF_READY();

	ASSERT_EQ(0, fallocate(self->fd, FALLOC_FL_ZERO_RANGE, PAGE,
			       IN_BUFFER - PAGE));
	ASSERT_EQ(0, fsync(self->fd));
	expect_file(_metadata, self->lower, PAGE);
	ASSERT_EQ(0, fallocate(self->fd,
			       FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0,
			       10 * PAGE));
	EXPECT_EQ(IN_BUFFER, fd_value(self->fd, "size"));
	ASSERT_EQ(0, fsync(self->fd));
	expect_file(_metadata, self->lower, 0);
}

/* Allocating and writing back end with the buffer, too. */
TEST_F(shorter, allocated_and_written)
{
	RUN_IF_READY();

	ASSERT_EQ(0, fallocate(self->fd, 0, 0, IN_BUFFER));
	ASSERT_EQ(0, fallocate(self->fd, FALLOC_FL_KEEP_SIZE, PAGE, 10 * PAGE));
	memset(self->map + PAGE, 0, PAGE);
	ASSERT_EQ(0, msync(self->map, 2 * PAGE, MS_SYNC));
	expect_file(_metadata, self->lower, PAGE);
	ASSERT_EQ(0, power_cut(self->fd));
	EXPECT_EQ(byte_of_file(PAGE - 1), touch(self->map + PAGE - 1));
	EXPECT_EQ(0, touch(self->map + PAGE));
	expect_file(_metadata, self->lower, PAGE);
}

/* ---- a file that can have no holes --------------------------------------- */

#define NO_HOLES "/tmp/vmademo-no-holes"
#define SPARSE	 (192 * MIB)

/*
 * On ramfs, which cannot punch and does not say where its holes are.  Whatever the
 * answer is, memory is not filled with zeroes.
 */
TEST(discarded_where_no_holes_can_be)
{
	struct vmademo_discard d = { .offset = 0, .length = SPARSE };
	unsigned char byte = 1, *p;
	int64_t before;
	int lower, fd;

	mkdir(NO_HOLES, 0700);
	ASSERT_EQ(0, mount("ramfs", NO_HOLES, "ramfs", 0, NULL));
	lower = open(NO_HOLES "/store", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_GE(lower, 0);
	ASSERT_EQ(0, ftruncate(lower, SPARSE));
	fd = create_with(VMADEMO_STORE_FILE, 0, lower);
	ASSERT_GE(fd, 0);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4 * PAGE);
	ASSERT_NE(MAP_FAILED, p);
	put(p, 7);
	ASSERT_EQ(0, msync(p, PAGE, MS_SYNC));
	before = meminfo("Cached");
	if (ioctl(fd, VMADEMO_IOC_DISCARD, &d)) {
		EXPECT_EQ(EOPNOTSUPP, errno);
		EXPECT_EQ(7, touch(p));
		EXPECT_EQ(0, power_cut(fd));
		EXPECT_EQ(7, touch(p));
		EXPECT_EQ(1, pread(lower, &byte, 1, 4 * PAGE));
		EXPECT_EQ(7, byte);
	} else {
		EXPECT_EQ(0, touch(p));
		EXPECT_EQ(0, power_cut(fd));
		EXPECT_EQ(0, touch(p));
		EXPECT_EQ(1, pread(lower, &byte, 1, 4 * PAGE));
		EXPECT_EQ(0, byte);
	}
	EXPECT_GT(before + (int64_t)SPARSE / 4, meminfo("Cached"));
	EXPECT_ACCOUNT_ADDS_UP(fd);
	munmap(p, PAGE);
	close(fd);
	close(lower);
	EXPECT_EQ(0, umount(NO_HOLES));
	rmdir(NO_HOLES);
}

/*
 * On a file system that can only be written to, to discard 64 GiB would take very long.
 * It is refused, or who asked can be killed, and the buffer is free then.
 */
TEST(discarded_for_very_long)
{
	const uint64_t size = 64 * 1024ULL * MIB;
	struct vmademo_discard d = { .length = size };
	int fd, status = 0;
	struct slow store;
	const char *skip;
	bool ended;
	pid_t pid;

	skip = slow_make(&store, MUTE_FUSE, size);
	if (skip)
		SKIP(return, "%s", skip);
	fd = create_with(VMADEMO_STORE_FILE, 0, store.file);
	ASSERT_GE(fd, 0);
	/* Or the child would wait for it at its end, to close it */
	close(store.file);
	store.file = -1;
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0)
		_exit(ioctl(fd, VMADEMO_IOC_DISCARD, &d) && errno != EOPNOTSUPP);
	usleep(500000);
	kill(pid, SIGKILL);
	/* A second does; a minute is for ever */
	ended = false;
	for (int i = 0; i < 6000 && !ended; i++) {
		ended = waitpid(pid, &status, WNOHANG) == pid;
		usleep(10000);
	}
	EXPECT_TRUE(ended);
	if (ended) {
		EXPECT_TRUE(status == 0 || WIFSIGNALED(status));
		EXPECT_EQ(0, ftruncate(fd, PAGE));
	}
	slow_go(&store);
	if (!ended)
		waitpid(pid, &status, 0);
	close(fd);
	slow_end(&store);
}

TEST_HARNESS_MAIN
