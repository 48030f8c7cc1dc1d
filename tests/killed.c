// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whoever waits for a store that stands still can be killed, as long as a lock or a pipe is
 * held meanwhile that others wait for: or the store's file system may wait for one of
 * these others, and nothing would ever go on.  And what is killed has changed nothing.
 */
#include <linux/falloc.h>

#include "kselftest_harness.h"
#include "../lib/slow_store.h"
#include "../lib/store.h"
#include "stores.h"

#define PAGES 64
/* The last page is one in part */
#define SIZE ((PAGES - 1) * PAGE + 1000)

FIXTURE(stuck)
{
	const char *skip;
	struct slow store;
	int fd;
	unsigned char *map;
	char hung[24];
};

static unsigned char byte_at(size_t page)
{
	return page % 200 + 20;
}

/*
 * The first and the last page are under write-back, which does not end; the second is
 * dirty; and those behind it are not cached.
 */
FIXTURE_SETUP(stuck)
{
	memset(self, 0, sizeof(*self));
	self->skip = slow_make(&self->store, FROZEN_EXT4, SIZE);
	if (self->skip)
		return;
	folio_size_wanted = PAGE;
	self->fd = create_with(VMADEMO_STORE_FILE, 0, self->store.file);
	ASSERT_GE(self->fd, 0) TH_LOG("create: %s", strerror(errno));
	self->map = mmap(NULL, 2 * SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
	for (size_t page = 0; page < PAGES; page++)
		put(self->map + page * PAGE, byte_at(page));
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, madvise(self->map, SIZE, MADV_PAGEOUT));
	ASSERT_EQ(0, posix_fadvise(self->fd, 0, 0, POSIX_FADV_DONTNEED));
	snprintf(self->hung, sizeof(self->hung), "%" PRId64,
		 read_number(hung_task));
	write_text(hung_task, "0");

	ASSERT_EQ(0, slow_stop(&self->store));
	put(self->map, byte_at(0));
	put(self->map + (PAGES - 1) * PAGE, byte_at(PAGES - 1));
	ASSERT_EQ(0, sync_file_range(self->fd, 0, 0, SYNC_FILE_RANGE_WRITE));
	put(self->map + PAGE, byte_at(1));
}

FIXTURE_TEARDOWN(stuck)
{
	if (self->skip)
		return;
	slow_go(&self->store);
	write_text(hung_task, self->hung);
	/* All is as it was, in the buffer and on its store */
	EXPECT_EQ(0, fsync(self->fd));
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(SIZE, lseek(self->fd, 0, SEEK_END));
		for (size_t page = 0; page < PAGES; page++) {
			EXPECT_EQ(byte_at(page), touch(self->map + page * PAGE))
			TH_LOG("page %zu", page);
		}
		EXPECT_EQ(SIZE, lseek(self->store.file, 0, SEEK_END));
		EXPECT_EQ(0, power_cut(self->fd));
	}
	EXPECT_EQ(0, fd_value(self->fd, "lost_folios"));
	EXPECT_ACCOUNT_ADDS_UP(self->fd);
	munmap(self->map, 2 * SIZE);
	close(self->fd);
	slow_end(&self->store);
}

/* ---- what waits ---------------------------------------------------------- */

static void write_a_page(int fd, unsigned char *map)
{
	pwrite(fd, "x", 1, 0);
}

static void splice_a_page(int fd, unsigned char *map)
{
	loff_t at = 0;
	int ends[2];

	if (pipe(ends) == 0 && write(ends[1], "x", 1) == 1)
		splice(ends[0], NULL, fd, &at, 1, 0);
}

static void write_by_mapping(int fd, unsigned char *map)
{
	put(map, 1);
}

/* The kernel itself writes to the mapping. */
static void read_into_mapping(int fd, unsigned char *map)
{
	int zero = open("/dev/zero", O_RDONLY);

	read(zero, map, 1);
}

static void write_beyond_the_end(int fd, unsigned char *map)
{
	pwrite(fd, "x", 1, SIZE + 10 * PAGE);
}

static void shrink(int fd, unsigned char *map)
{
	ftruncate(fd, PAGE + 1);
}

static void grow(int fd, unsigned char *map)
{
	ftruncate(fd, SIZE + PAGE);
}

static void punch(int fd, unsigned char *map)
{
	fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE + 100);
}

static void zero_range(int fd, unsigned char *map)
{
	fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, SIZE + PAGE);
}

static void allocate(int fd, unsigned char *map)
{
	fallocate(fd, 0, 0, SIZE + PAGE);
}

static void cut_power(int fd, unsigned char *map)
{
	power_cut(fd);
}

static void cut_power_with_all_written(int fd, unsigned char *map)
{
	struct vmademo_crash c = { .written_permille = 1000 };

	ioctl(fd, VMADEMO_IOC_CRASH, &c);
}

static void cut_power_with_torn_pages(int fd, unsigned char *map)
{
	struct vmademo_crash c = { .torn = PAGES };

	ioctl(fd, VMADEMO_IOC_CRASH, &c);
}

static void take_one(int fd, unsigned char *map)
{
	struct vmademo_crash c = { .written_permille = 1000 };

	take_snapshot(fd, &c);
}

#define CALL(function)              \
	{                           \
#function, function \
	}

static const struct call {
	const char *name;
	void (*function)(int fd, unsigned char *map);
} calls[] = {
	CALL(write_a_page),
	CALL(splice_a_page),
	CALL(write_by_mapping),
	CALL(read_into_mapping),
	CALL(write_beyond_the_end),
	CALL(shrink),
	CALL(grow),
	CALL(punch),
	CALL(zero_range),
	CALL(allocate),
	CALL(cut_power),
	CALL(cut_power_with_all_written),
	CALL(cut_power_with_torn_pages),
	CALL(take_one),
};

#define CALLS (int)(sizeof(calls) / sizeof(calls[0]))

static pid_t start(FIXTURE_DATA(stuck) * self, const struct call *call)
{
	pid_t pid = fork();

	if (pid == 0) {
		call->function(self->fd, self->map);
		_exit(0);
	}
	return pid;
}

/* Each of them waits for the store, and is gone when it is killed. */
TEST_F(stuck, each_can_be_killed)
{
	RUN_IF_READY();

	for (int i = 0; i < CALLS; i++) {
		pid_t pid = start(self, &calls[i]);

		EXPECT_TRUE(waits(pid)) TH_LOG("%s", calls[i].name);
		kill(pid, SIGKILL);
		ASSERT_TRUE(ends(pid)) TH_LOG("%s", calls[i].name);
	}
}

/* Also if several of them wait for one another. */
TEST_F(stuck, all_can_be_killed)
{
	RUN_IF_READY();

	pid_t pids[CALLS];

	for (int i = 0; i < CALLS; i++)
		pids[i] = start(self, &calls[i]);
	for (int i = 0; i < CALLS; i++) {
		EXPECT_TRUE(waits(pids[i])) TH_LOG("%s", calls[i].name);
	}
	for (int i = 0; i < CALLS; i++)
		kill(pids[i], SIGKILL);
	for (int i = 0; i < CALLS; i++) {
		ASSERT_TRUE(ends(pids[i])) TH_LOG("%s", calls[i].name);
	}
}

/*
 * Also the second alone, while the first goes on waiting and holds what it needs.  (The
 * kernel itself takes the lock for ftruncate, and cannot be killed there.)
 */
TEST_F(stuck, the_second_can_be_killed)
{
	RUN_IF_READY();

	static void (*const firsts[])(int fd, unsigned char *map) = {
		write_a_page, write_by_mapping, punch
	};

	for (int i = 0; i < 3; i++) {
		const struct call first = { "", firsts[i] };
		pid_t pid = start(self, &first), second;

		EXPECT_TRUE(waits(pid));
		for (int n = 0; n < CALLS; n++) {
			if (calls[n].function == shrink ||
			    calls[n].function == grow)
				continue;
			second = start(self, &calls[n]);
			EXPECT_TRUE(waits(second)) TH_LOG("%s", calls[n].name);
			kill(second, SIGKILL);
			ASSERT_TRUE(ends(second))
			TH_LOG("%d, %s", i, calls[n].name);
		}
		kill(pid, SIGKILL);
		ASSERT_TRUE(ends(pid));
	}
}

/* A power cut that is killed before it could tear a page loses none. */
TEST(killed_power_cut)
{
	struct slow slow;
	const char *skip = slow_make(&slow, FROZEN_EXT4, 4 * PAGE);
	struct vmademo_crash c = { .torn = 1 };
	unsigned char *map;
	char hung[24];
	pid_t pid;
	int fd;

	if (skip)
		SKIP(return, "%s", skip);
	snprintf(hung, sizeof(hung), "%" PRId64, read_number(hung_task));
	write_text(hung_task, "0");
	fd = create_with(VMADEMO_STORE_FILE, 0, slow.file);
	ASSERT_GE(fd, 0);
	map = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, slow_stop(&slow));
	for (int i = 0; i < 4; i++)
		put(map + i * PAGE, 2);
	pid = fork();
	if (pid == 0) {
		ioctl(fd, VMADEMO_IOC_CRASH, &c);
		_exit(0);
	}
	EXPECT_TRUE(waits(pid));
	kill(pid, SIGKILL);
	EXPECT_TRUE(ends(pid));
	slow_go(&slow);
	write_text(hung_task, hung);
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(2, touch(map + i * PAGE));
	EXPECT_EQ(0, fd_value(fd, "lost_folios"));
	EXPECT_EQ(0, fsync(fd));
	munmap(map, 4 * PAGE);
	close(fd);
	slow_end(&slow);
}

/* ---- in the middle of a punch -------------------------------------------- */

#define HALF 16

FIXTURE(half)
{
	const char *skip;
	struct slow store;
	int fd;
	unsigned char *map;
};

FIXTURE_SETUP(half)
{
	memset(self, 0, sizeof(*self));
	self->skip = slow_make(&self->store, MUTE_FUSE, HALF * PAGE);
	if (self->skip)
		return;
	self->fd = create_with(VMADEMO_STORE_FILE, 0, self->store.file);
	ASSERT_GE(self->fd, 0) TH_LOG("create: %s", strerror(errno));
	self->map = mmap(NULL, HALF * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
	for (int i = 0; i < HALF; i++)
		put(self->map + i * PAGE, byte_at(i));
	ASSERT_EQ(0, fsync(self->fd));
	FUSE_WRITES_LEFT(&self->store) = 5;
}

/* What a failed punch has made zero in the file is written there again. */
FIXTURE_TEARDOWN(half)
{
	if (self->skip)
		return;
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < HALF; i++) {
			EXPECT_EQ(byte_at(i), touch(self->map + i * PAGE))
			TH_LOG("page %d", i);
		}
		EXPECT_EQ(0, fsync(self->fd));
		EXPECT_EQ(0, power_cut(self->fd));
	}
	EXPECT_ACCOUNT_ADDS_UP(self->fd);
	munmap(self->map, HALF * PAGE);
	close(self->fd);
	slow_go(&self->store);
	slow_end(&self->store);
}

/* A file that cannot punch, and fails when zeroes are written. */
TEST_F(half, failed)
{
	RUN_IF_READY();

	*self->store.mute = FAIL_WRITE;
	EXPECT_FAILS(EIO, fallocate(self->fd,
				    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				    0, HALF * PAGE));
	EXPECT_EQ(ANSWER, *self->store.mute);
}

TEST_F(half, killed)
{
	RUN_IF_READY();

	pid_t pid;

	*self->store.mute = HOLD_WRITE;
	pid = fork();
	if (pid == 0) {
		fallocate(self->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  0, HALF * PAGE);
		_exit(0);
	}
	for (int i = 0; i < LONG * 100 && *self->store.mute != HOLDS_WRITE; i++)
		usleep(10000);
	EXPECT_EQ(HOLDS_WRITE, *self->store.mute);
	kill(pid, SIGKILL);
	*self->store.mute = ANSWER;
	EXPECT_TRUE(ends(pid));
}

/* A call that changes the store waits.  A read fault on another page does not. */
TEST_F(stuck, faults_go_on)
{
	RUN_IF_READY();

	for (int i = 0; i < CALLS; i++) {
		unsigned char *place = self->map + (2 + i) * PAGE;
		pid_t pid = start(self, &calls[i]), reader;

		EXPECT_TRUE(waits(pid)) TH_LOG("%s", calls[i].name);
		reader = fork();
		if (reader == 0) {
			/* Then it does not end */
			while (touch(place) != byte_at(2 + i))
				pause();
			_exit(0);
		}
		EXPECT_TRUE(ends(reader)) TH_LOG("%s", calls[i].name);
		kill(reader, SIGKILL);
		kill(pid, SIGKILL);
		ASSERT_TRUE(ends(pid)) TH_LOG("%s", calls[i].name);
	}
}

TEST_HARNESS_MAIN
