// SPDX-License-Identifier: GPL-2.0-only
/*
 * What meets a power cut of a mounted tree that is not done yet: it comes after it, as after any
 * VMADEMO_IOC_CRASH, and is not told that there is no power.  And who may cut it by which way.
 *
 * A write(2) that waits for a page of its source holds the file; the cut waits for that, and so
 * does what is tried, which came first.
 */
#include <linux/falloc.h>

#include "kselftest_harness.h"
#include "../lib/slow_store.h"
#include "../lib/tree.h"
#include "rules.h"

KEEP_A_RULE

#define PAGES 16UL
#define SIZE  (PAGES * PAGE)

FIXTURE(met)
{
	int dir, fd, source;
	unsigned char *map, *slow;
	char hung[24];
};

FIXTURE_SETUP(met)
{
	ASSERT_EQ(0, mount_tree("store=ram,folio_size=1p"))
	TH_LOG("mount: %s", strerror(errno));
	self->dir = open(TREE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	self->fd = new_file(AT "a");
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, ftruncate(self->fd, SIZE));
	/* Or a cut would undo that */
	ASSERT_EQ(0, fsync(self->fd));
	self->map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
	self->source = create_with(VMADEMO_STORE_NONE, PAGE, 0);
	self->slow = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->source, 0);
	ASSERT_NE(MAP_FAILED, self->slow);
	snprintf(self->hung, sizeof(self->hung), "%" PRId64,
		 read_number(hung_task));
	write_text(hung_task, "0");
}

FIXTURE_TEARDOWN(met)
{
	write_text(hung_task, self->hung);
	EXPECT_ACCOUNT_ADDS_UP(self->fd);
	munmap(self->map, SIZE);
	munmap(self->slow, PAGE);
	close(self->source);
	close(self->fd);
	close(self->dir);
	EXPECT_EQ(0, umount_tree()) TH_LOG("umount: %s", strerror(errno));
}

/* ---- what is tried ------------------------------------------------------- */

static unsigned char taken[PAGES * PAGE_MAX];

static int shrink(int fd)
{
	return ftruncate(fd, 100);
}

static int grow(int fd)
{
	return ftruncate(fd, SIZE + 100);
}

static int resize(int fd)
{
	struct vmademo_resize r = { .size = 2 * SIZE };

	return ioctl(fd, VMADEMO_IOC_RESIZE, &r);
}

/* Of the first page and the last one of it, a part stays. */
static int punch(int fd)
{
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100,
			 3 * PAGE);
}

static int zero(int fd)
{
	return fallocate(fd, FALLOC_FL_ZERO_RANGE, 100, 3 * PAGE);
}

static int allocate(int fd)
{
	return fallocate(fd, 0, PAGE, 2 * SIZE);
}

static int append(int fd)
{
	return pwrite(fd, "x", 1, SIZE + 100) == 1 ? 0 : -1;
}

/* It shows what the cut leaves. */
static int snapshot(int fd)
{
	int s = take_snapshot(fd, NULL);

	if (s < 0)
		return -1;
	return pread(s, taken, SIZE, 0) == SIZE && taken[5 * PAGE] == 'n'
		       ? 0
		       : (errno = ENODATA, -1);
}

static const struct {
	const char *name;
	int (*call)(int fd);
	/* What the size is then */
	unsigned int pages, bytes;
	bool zeroes;
} calls[] = {
	{ "shrink", shrink, 0, 100, false },
	{ "grow", grow, PAGES, 100, false },
	{ "resize", resize, 2 * PAGES, 0, false },
	{ "punch", punch, PAGES, 0, true },
	{ "zero", zero, PAGES, 0, true },
	{ "allocate", allocate, 2 * PAGES + 1, 0, false },
	{ "append", append, PAGES, 101, false },
	{ "snapshot", snapshot, PAGES, 0, false },
};

static pid_t start_writer(int fd, const unsigned char *from)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(pwrite(fd, from, 1, 6 * PAGE) == 1 ? 0 : errno);
	return pid;
}

static pid_t start_cut(int dir, uint32_t permille)
{
	struct vmademo_crash c = { .written_permille = permille };
	pid_t pid = fork();

	if (pid == 0)
		_exit(ioctl(dir, VMADEMO_IOC_CRASH, &c) ? errno : 0);
	return pid;
}

TEST_F(met, comes_after_it)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		/* All of it happens to be written, or nothing */
		const bool all = calls[i].call == snapshot;
		int64_t id = ADD_RULE(self->source, .op = VMADEMO_OP_READ_FAULT,
				      .delay_us = VMADEMO_DELAY_MAX);
		int64_t crashes = account_of(self->fd).crashes;
		pid_t writer, tried, cut;
		int status;

		ASSERT_LT(0, id);
		ASSERT_EQ(0, ftruncate(self->fd, SIZE));
		memset(self->map, 'o', SIZE);
		ASSERT_EQ(0, fsync(self->fd));
		memset(self->map, 'n', SIZE);
		writer = start_writer(self->fd, self->slow);
		while (hits_of(self->source, id) < 1)
			usleep(1000);
		tried = fork();
		if (tried == 0)
			_exit(calls[i].call(self->fd) ? errno : 0);
		EXPECT_TRUE(waits(tried)) TH_LOG("%s", calls[i].name);
		cut = start_cut(self->dir, all ? 1000 : 0);
		while (!is_off(self->fd))
			usleep(1000);
		EXPECT_TRUE(waits(cut));
		ASSERT_EQ(0, del_rule(self->source, id));
		ASSERT_EQ(writer, waitpid(writer, &status, 0));
		EXPECT_EQ(0, status);
		ASSERT_EQ(tried, waitpid(tried, &status, 0));
		EXPECT_EQ(0, status)
		TH_LOG("%s: %s", calls[i].name, strerror(WEXITSTATUS(status)));
		ASSERT_EQ(cut, waitpid(cut, &status, 0));
		EXPECT_EQ(0, status);
		EXPECT_FALSE(is_off(self->fd));
		EXPECT_EQ(crashes + 1, account_of(self->fd).crashes);

		EXPECT_EQ((off_t)(calls[i].pages * PAGE + calls[i].bytes),
			  lseek(self->fd, 0, SEEK_END))
		TH_LOG("%s", calls[i].name);
		for (off_t at = 0;
		     at < SIZE &&
		     at < (off_t)(calls[i].pages * PAGE + calls[i].bytes);
		     at++) {
			bool zero = calls[i].zeroes && at >= 100 &&
				    at < 3 * (off_t)PAGE + 100;

			/* What the writer brought it lost */
			if (at == 6 * PAGE && all)
				continue;
			ASSERT_EQ(zero ? 0 : all ? 'n' : 'o', self->map[at])
			TH_LOG("%s: byte %ld", calls[i].name, (long)at);
		}
		/* And so it is on the store */
		ASSERT_EQ(0, fsync(self->fd));
		ASSERT_EQ(0, power_cut(self->fd));
		if (calls[i].zeroes) {
			EXPECT_EQ('o', self->map[99]);
			EXPECT_EQ(0, self->map[100]);
			EXPECT_EQ(0, self->map[3 * PAGE + 99]);
			EXPECT_EQ('o', self->map[3 * PAGE + 100]);
		}
	}
}

/* Whoever does the cut himself, and is killed, leaves it to be done. */
TEST_F(met, killed)
{
	int64_t id = ADD_RULE(self->source, .op = VMADEMO_OP_READ_FAULT,
			      .delay_us = VMADEMO_DELAY_MAX);
	int64_t slow_write = ADD_RULE(self->fd, .op = VMADEMO_OP_WRITE_OUT,
				      .times = 1, .delay_us = VMADEMO_DELAY_MAX);
	pid_t syncer, writer, tried, cut;
	int status;

	ASSERT_LT(0, id);
	ASSERT_LT(0, slow_write);
	memset(self->map, 'n', SIZE);
	/* No cut goes on until its page is written */
	syncer = fork();
	if (syncer == 0)
		_exit(msync(self->map, PAGE, MS_SYNC) ? errno : 0);
	while (hits_of(self->fd, slow_write) < 1)
		usleep(1000);
	writer = start_writer(self->fd, self->slow);
	while (hits_of(self->source, id) < 1)
		usleep(1000);
	tried = fork();
	if (tried == 0)
		_exit(punch(self->fd) ? errno : 0);
	EXPECT_TRUE(waits(tried));
	cut = start_cut(self->dir, 500);
	while (!is_off(self->fd))
		usleep(1000);
	ASSERT_EQ(0, del_rule(self->source, id));
	ASSERT_EQ(writer, waitpid(writer, &status, 0));
	EXPECT_TRUE(waits(tried));
	kill(tried, SIGKILL);
	EXPECT_TRUE(ends(tried));
	EXPECT_TRUE(is_off(self->fd));
	ASSERT_EQ(0, del_rule(self->fd, slow_write));
	ASSERT_EQ(syncer, waitpid(syncer, &status, 0));
	EXPECT_EQ(EIO, WEXITSTATUS(status));
	ASSERT_EQ(cut, waitpid(cut, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_FALSE(is_off(self->fd));
	EXPECT_EQ(1, account_of(self->fd).crashes);
	EXPECT_EQ(0, ftruncate(self->fd, 100));
}

/* ---- by which way -------------------------------------------------------- */

/* A directory says nothing about writing; where it is mounted says it. */
TEST_F(met, read_only_mount)
{
	static const char other[] = "/tmp/vmademo-read-only";
	int alone = create_with(VMADEMO_STORE_RAM, PAGE, 0), dir;
	struct vmademo_power p = { .flags = VMADEMO_POWER_OFF,
				   .count = 1,
				   .fds = (uintptr_t)&dir };

	mkdir(other, 0700);
	ASSERT_EQ(0, mount(TREE, other, NULL, MS_BIND, NULL));
	ASSERT_EQ(0, mount(NULL, other, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY,
			   NULL));
	dir = open(other, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_LE(0, dir);
	put(self->map, 'n');
	EXPECT_FAILS(EROFS, power_cut(dir));
	EXPECT_FAILS(EROFS, power_off(dir));
	EXPECT_FAILS(EROFS, power_on(dir));
	EXPECT_FAILS(EROFS, ioctl(alone, VMADEMO_IOC_POWER, &p));
	EXPECT_FALSE(is_off(alone));
	EXPECT_EQ('n', touch(self->map));
	EXPECT_EQ(0, power_cut(self->dir));
	EXPECT_EQ(0, touch(self->map));
	close(dir);
	ASSERT_EQ(0, umount(other));
	rmdir(other);
	close(alone);
}

TEST_HARNESS_MAIN
