// SPDX-License-Identifier: GPL-2.0-only
/*
 * A store that stands still or fails is the business of those who use it.  Nobody else
 * waits for it, is throttled because of it, or is told of its errors.
 */
#include <linux/io_uring.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"
#include "../lib/slow_store.h"
#include "stores.h"

#define SIZE   (64 * MIB)
#define MSYNCS 600

FIXTURE(slow)
{
	const char *skip;
	struct slow store;
	int fd;
	unsigned char *map;
	pid_t waiter;
	char dirty_ratio[24], hung[24];
};

FIXTURE_VARIANT(slow)
{
	enum slow_kind kind;
};

FIXTURE_VARIANT_ADD(slow, frozen_ext4){ .kind = FROZEN_EXT4 };
FIXTURE_VARIANT_ADD(slow, mute_fuse){ .kind = MUTE_FUSE };

FIXTURE_SETUP(slow)
{
	memset(self, 0, sizeof(*self));
	snprintf(self->dirty_ratio, sizeof(self->dirty_ratio), "%" PRId64,
		 read_number("/proc/sys/vm/dirty_ratio"));
	self->skip = slow_make(&self->store, variant->kind, SIZE);
	if (self->skip)
		return;
	self->fd = create_with(VMADEMO_STORE_FILE, 0, self->store.file);
	ASSERT_GE(self->fd, 0) TH_LOG("create: %s", strerror(errno));
	/* To close it asks the server; so no child of ours is to have it */
	close(self->store.file);
	self->store.file = -1;
	self->map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
	/* Those who wait are meant to */
	snprintf(self->hung, sizeof(self->hung), "%" PRId64,
		 read_number(hung_task));
	write_text(hung_task, "0");
	/* Until it stops, it works */
	put(self->map, 1);
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, slow_stop(&self->store));
}

FIXTURE_TEARDOWN(slow)
{
	if (self->skip)
		return;
	slow_go(&self->store);
	write_text("/proc/sys/vm/dirty_ratio", self->dirty_ratio);
	write_text(hung_task, self->hung);
	if (self->waiter) {
		kill(self->waiter, SIGKILL);
		waitpid(self->waiter, NULL, 0);
	}
	fsync(self->fd);
	EXPECT_ACCOUNT_ADDS_UP(self->fd);
	munmap(self->map, SIZE);
	close(self->fd);
	slow_end(&self->store);
}

/* Runs it in a process of its own; true if that succeeds, and is not stuck. */
static bool goes_on(bool (*function)(void *arg), void *arg)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(!function(arg));
	for (int i = 0; i < LONG * 100; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return status == 0;
		usleep(10000);
	}
	kill(pid, SIGKILL);
	return false;
}

/* Somebody waits for the slow store. */
static void start_waiter(FIXTURE_DATA(slow) * self)
{
	self->waiter = fork();
	if (self->waiter)
		return;
	put(self->map + PAGE, 2);
	msync(self->map, 2 * PAGE, MS_SYNC);
	_exit(0);
}

static void wait_for_writeback(void)
{
	for (int i = 0; i < LONG * 100 && meminfo("Writeback") <= 0; i++)
		usleep(10000);
}

#define NO_STORE -1

/* What somebody does with a buffer of theirs, from its making to its end. */
static bool live(void *arg)
{
	int kind = *(int *)arg;
	unsigned char *map, byte;
	int lower = -1, fd;

	fd = kind == NO_STORE ? create_buffer(MIB)
			      : create_store(kind, MIB, &lower);
	if (fd < 0)
		return false;
	map = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED || touch(map + 5 * PAGE))
		return false;
	memset(map, 7, MIB / 2);
	if (msync(map, MIB, MS_SYNC) || fsync(fd) || syncfs(fd) ||
	    (kind != NO_STORE && power_cut(fd)) || touch(map + PAGE) != 7 ||
	    ftruncate(fd, PAGE) || fallocate(fd, 0, 0, 8 * PAGE) ||
	    pread(fd, &byte, 1, 0) != 1 || byte != 7)
		return false;
	end_store(kind == NO_STORE ? STORE_RAM : kind, fd, lower);
	return true;
}

/* Others make, use and end buffers with no store, in memory and on another disk. */
TEST_F(slow, others_live_on)
{
	RUN_IF_READY();

	int kinds[] = { NO_STORE, STORE_RAM, STORE_TMPFS }, i = 0;

	start_waiter(self);
	wait_for_writeback();
	for (bool ok = true; ok && i < 3; i++) {
		ok = goes_on(live, &kinds[i]);
		EXPECT_TRUE(ok) TH_LOG("kind %d", kinds[i]);
	}
}

struct msyncer {
	unsigned char *map;
	int started;
};

static void *msync_it(void *arg)
{
	struct msyncer *m = arg;

	__atomic_fetch_add(&m->started, 1, __ATOMIC_RELAXED);
	msync(m->map, 2 * PAGE, MS_SYNC);
	return NULL;
}

static bool start_msyncs(struct msyncer *m)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, PTHREAD_STACK_MIN + 64 * KIB);
	for (int i = 0; i < MSYNCS; i++)
		if (pthread_create(&thread, &attr, msync_it, m))
			return false;
	while (__atomic_load_n(&m->started, __ATOMIC_RELAXED) < MSYNCS)
		usleep(10000);
	return true;
}

/* However many wait there, what others read and write has its turn. */
TEST_F(slow, many_who_wait)
{
	RUN_IF_READY();

	int kinds[] = { NO_STORE, STORE_RAM, STORE_TMPFS }, i = 0;
	struct msyncer m = { .map = self->map };

	self->waiter = fork();
	if (self->waiter == 0) {
		put(self->map, 2);
		_exit(!start_msyncs(&m) || pause());
	}
	wait_for_writeback();
	/* All of them have asked when nothing changes any more */
	for (int i = 0; i < 200; i++)
		usleep(10000);
	for (bool ok = true; ok && i < 3; i++) {
		ok = goes_on(live, &kinds[i]);
		EXPECT_TRUE(ok) TH_LOG("kind %d", kinds[i]);
	}
}

static bool write_without_store(void *arg)
{
	static char page[PAGE_MAX];
	size_t size = *(size_t *)arg;
	int fd = create_buffer(size);

	for (size_t at = 0; at < size; at += PAGE)
		if (pwrite(fd, page, PAGE, at) != PAGE)
			return false;
	close(fd);
	return true;
}

/*
 * A program dirties all it may of a buffer that cannot be written back.  Whoever writes to a
 * buffer without a store does not wait in its place.
 */
TEST_F(slow, writers_are_not_throttled)
{
	RUN_IF_READY();

	int64_t before;
	/* No less than this part of the memory, says docs/buffers.md */
	size_t limit = meminfo("MemTotal") / 32, innocent = limit + 8 * MIB;
	char text[24];

	ASSERT_GT(SIZE, limit);
	snprintf(text, sizeof(text), "%zu", limit);
	ASSERT_EQ(0, write_text("/proc/sys/vm/dirty_bytes", text));
	self->waiter = fork();
	if (self->waiter == 0) {
		memset(self->map, 3, SIZE);
		_exit(0);
	}
	/*
	 * It has come as far as it comes: what follows is a page now and then.  (A mute
	 * server does not even give the pages to write to.)
	 */
	do {
		before = fd_value(self->fd, "dirtied_bytes");
		usleep(500000);
	} while ((variant->kind == FROZEN_EXT4 && before < 4 * (int64_t)MIB) ||
		 before + 256 * 1024 < fd_value(self->fd, "dirtied_bytes"));
	TH_LOG("%" PRId64 " KiB dirty", before / 1024);
	EXPECT_TRUE(goes_on(write_without_store, &innocent));
}

/* ---- closed by the kernel ------------------------------------------------ */

/* The descriptor is given to a ring, whose end, in a thread of the kernel, closes it. */
static int close_by_the_kernel(int fd)
{
	static const char sysctl[] = "/proc/sys/kernel/io_uring_disabled";
	int64_t disabled = read_number(sysctl);
	struct io_uring_params p = { 0 };
	int ring, err;

	if (disabled > 0)
		write_text(sysctl, "0");
	ring = syscall(SYS_io_uring_setup, 4, &p);
	if (disabled > 0)
		write_text(sysctl, disabled == 1 ? "1" : "2");
	if (ring < 0)
		return -1;
	err = syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, &fd, 1);
	close(fd);
	close(ring);
	return err;
}

/*
 * One thread of the kernel closes such files for everybody.  It does not wait for a store
 * that stands still.  What was dirty is written once the store goes on.
 */
TEST(closed_by_the_kernel)
{
	struct slow slow;
	const char *skip = slow_make(&slow, FROZEN_EXT4, MIB);
	char hung[24], byte = 0;
	struct pollfd end;
	int fd, ends[2];

	if (skip)
		SKIP(return, "%s", skip);
	ASSERT_EQ(0, pipe2(ends, O_CLOEXEC));
	if (close_by_the_kernel(dup(ends[1]))) {
		slow_go(&slow);
		slow_end(&slow);
		SKIP(return, "this machine has no io_uring");
	}
	snprintf(hung, sizeof(hung), "%" PRId64, read_number(hung_task));
	write_text(hung_task, "0");
	fd = create_with(VMADEMO_STORE_FILE, 0, slow.file);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(1, pwrite(fd, "x", 1, 5));
	ASSERT_EQ(0, slow_stop(&slow));
	EXPECT_EQ(0, close_by_the_kernel(fd));
	usleep(200000);
	EXPECT_EQ(0, close_by_the_kernel(ends[1]));
	end = (struct pollfd){ .fd = ends[0], .events = POLLIN };
	EXPECT_EQ(1, poll(&end, 1, LONG * 1000));
	EXPECT_EQ(POLLHUP, end.revents);
	/* It is not there yet */
	EXPECT_EQ(1, pread(slow.file, &byte, 1, 5));
	EXPECT_EQ(0, byte);
	slow_go(&slow);
	for (int i = 0; i < LONG * 100 && byte != 'x'; i++) {
		usleep(10000);
		pread(slow.file, &byte, 1, 5);
	}
	EXPECT_EQ('x', byte);
	write_text(hung_task, hung);
	close(ends[0]);
	slow_end(&slow);
}

/* ---- errors -------------------------------------------------------------- */

#define ROOM "/tmp/vmademo-room"

/* syncfs tells of what was lost on the caller's own store, and of no other. */
TEST(errors_of_others)
{
	int lower, failing, others[4], node = open(NODE, O_RDWR | O_CLOEXEC);
	char page[PAGE_MAX] = { 1 };
	unsigned char *map;

	mkdir(ROOM, 0700);
	ASSERT_EQ(0, mount("tmpfs", ROOM, "tmpfs", 0, "size=64K"));
	lower = open(ROOM "/store", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_EQ(0, ftruncate(lower, MIB));
	failing = create_with(VMADEMO_STORE_FILE, 0, lower);
	ASSERT_GE(failing, 0);
	others[0] = create_with(VMADEMO_STORE_RAM, MIB, 0);
	others[1] = create_buffer(MIB);
	others[2] = open_file_view(node);
	others[3] = create_with(VMADEMO_STORE_RAM, MIB, 0);
	for (int i = 0; i < 4; i++) {
		ASSERT_GE(others[i], 0);
		ASSERT_EQ(0, syncfs(others[i]));
		ASSERT_EQ(PAGE, pwrite(others[i], page, PAGE, 0));
	}
	map = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, failing, 0);
	ASSERT_NE(MAP_FAILED, map);
	memset(map, 1, MIB);
	EXPECT_FAILS(ENOSPC, msync(map, MIB, MS_SYNC));
	for (int i = 0; i < 4; i++) {
		EXPECT_EQ(0, syncfs(others[i])) TH_LOG("%d", i);
		EXPECT_EQ(0, fsync(others[i]));
		EXPECT_EQ(0, fd_value(others[i], "dirty_bytes"));
	}
	EXPECT_EQ(-1, syncfs(failing));
	EXPECT_EQ(0, syncfs(failing));
	munmap(map, MIB);
	close(failing);
	for (int i = 0; i < 4; i++) {
		EXPECT_EQ(0, syncfs(others[i]));
		close(others[i]);
	}
	close(node);
	close(lower);
	EXPECT_EQ(0, umount(ROOM));
	rmdir(ROOM);
}

/* ---- whose bdi ----------------------------------------------------------- */

/* The folder of the buffer's bdi, as fdinfo names it; an empty string if it does not. */
static void bdi_of(int fd, char *folder, size_t size)
{
	char path[64], line[128], name[64];
	FILE *f;

	folder[0] = '\0';
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "bdi: %63s", name) == 1)
			snprintf(folder, size, "/sys/class/bdi/%s", name);
	if (f)
		fclose(f);
}

/* One for each buffer with a store, as long as it lives; one for all without. */
TEST(each_has_a_device)
{
	int fds[4] = { create_with(VMADEMO_STORE_RAM, MIB, 0),
		       create_with(VMADEMO_STORE_RAM, MIB, 0),
		       create_buffer(MIB), create_buffer(MIB) };
	char bdi[4][128];

	for (int i = 0; i < 4; i++) {
		ASSERT_GE(fds[i], 0);
		bdi_of(fds[i], bdi[i], sizeof(bdi[i]));
		EXPECT_NE('\0', bdi[i][0]);
		EXPECT_EQ(0, access(bdi[i], F_OK)) TH_LOG("%s", bdi[i]);
	}
	EXPECT_STRNE(bdi[0], bdi[1]);
	EXPECT_STRNE(bdi[0], bdi[2]);
	EXPECT_STREQ(bdi[2], bdi[3]);
	close(fds[0]);
	for (int i = 0; i < LONG * 100 && !access(bdi[0], F_OK); i++)
		usleep(10000);
	EXPECT_EQ(-1, access(bdi[0], F_OK));
	EXPECT_EQ(0, access(bdi[1], F_OK));
	for (int i = 1; i < 4; i++)
		close(fds[i]);
}

TEST_HARNESS_MAIN
