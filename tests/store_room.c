// SPDX-License-Identifier: GPL-2.0-only
/*
 * A store that is full, and a program that is killed: what becomes of pages that were
 * dirty.  The file is sparse, on a tmpfs of 1 MiB that something else has filled.
 */
#include <sys/mount.h>
#include <sys/stat.h>

#include "kselftest_harness.h"
#include "stores.h"

#define ROOM  "/tmp/vmademo-room"
#define STORE ROOM "/store"
#define REST  ROOM "/rest"
#define SIZE  (16 * PAGE)

FIXTURE(full)
{
	int fd, lower;
	unsigned char *map;
};

FIXTURE_SETUP(full)
{
	char page[PAGE_MAX] = { 0 };
	int rest;

	mkdir(ROOM, 0700);
	ASSERT_EQ(0, mount("tmpfs", ROOM, "tmpfs", 0, "size=1M"));
	self->lower = open(STORE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_GE(self->lower, 0);
	ASSERT_EQ(0, ftruncate(self->lower, SIZE));
	rest = open(REST, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (write(rest, page, PAGE) == PAGE)
		;
	ASSERT_EQ(ENOSPC, errno);
	close(rest);
	self->fd = create_with(VMADEMO_STORE_FILE, 0, self->lower);
	ASSERT_GE(self->fd, 0) TH_LOG("create: %s", strerror(errno));
	self->map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
}

FIXTURE_TEARDOWN(full)
{
	EXPECT_ACCOUNT_ADDS_UP(self->fd);
	munmap(self->map, SIZE);
	close(self->fd);
	close(self->lower);
	EXPECT_EQ(0, umount(ROOM));
	rmdir(ROOM);
}

TEST_F(full, told_once_to_each_open_file)
{
	int before = reopen(self->fd, O_RDONLY), after;
	struct account start = account_of(self->fd), d;

	ASSERT_GE(before, 0);
	memset(self->map, 90, 4 * PAGE);
	EXPECT_FAILS(ENOSPC, msync(self->map, SIZE, MS_SYNC));
	EXPECT_EQ(0, told(self->fd));
	EXPECT_EQ(ENOSPC, told(before));
	EXPECT_EQ(0, told(before));
	after = reopen(self->fd, O_RDONLY);
	ASSERT_GE(after, 0);
	EXPECT_EQ(0, told(after));
	close(before);
	close(after);

	d = account_of_since(self->fd, &start);
	EXPECT_EQ(in_folios(self->fd, 4 * PAGE), d.dirtied_folios);
	EXPECT_EQ(0, d.written_folios);
	EXPECT_EQ(in_folios(self->fd, 4 * PAGE), d.write_errors);
	EXPECT_EQ(in_folios(self->fd, 4 * PAGE), d.lost_folios);
	EXPECT_EQ(whole_folios(self->fd, 4 * PAGE), d.lost_bytes);
	EXPECT_EQ(0, d.dirty_folios);
	/* Still cached, and gone when it no longer is */
	EXPECT_EQ(90, touch(self->map));
	ASSERT_EQ(0, power_cut(self->fd));
	EXPECT_EQ(0, touch(self->map));
}

/* Nobody has asked yet: sync(2) and sync_file_range() without waiting tell nobody. */
TEST_F(full, told_to_who_comes_later_if_nobody_knows)
{
	int after;

	put(self->map, 90);
	sync();
	after = reopen(self->fd, O_RDONLY);
	ASSERT_GE(after, 0);
	EXPECT_EQ(ENOSPC, told(after));
	EXPECT_EQ(0, told(after));
	EXPECT_EQ(ENOSPC, told(self->fd));
	/* The folios themselves fail here: so this knows, too */
	put(self->map, 91);
	EXPECT_FAILS(ENOSPC, sync_file_range(self->fd, 0, SIZE,
					     SYNC_FILE_RANGE_WRITE |
						     SYNC_FILE_RANGE_WAIT_AFTER));
	EXPECT_EQ(0, told(self->fd));
	EXPECT_EQ(ENOSPC, told(after));
	close(after);
}

TEST_F(full, o_sync)
{
	int fd = reopen(self->fd, O_RDWR | O_DSYNC);

	ASSERT_GE(fd, 0);
	EXPECT_FAILS(ENOSPC, pwrite(fd, "data", 4, 0));
	EXPECT_EQ(0, told(fd));
	EXPECT_EQ(ENOSPC, told(self->fd));
	/* fallocate(2) is how to know before */
	EXPECT_FAILS(ENOSPC, fallocate(self->fd, 0, 0, SIZE));
	EXPECT_EQ(0, told(self->fd));
	close(fd);
}

TEST_F(full, written_when_there_is_room)
{
	fault_by_pages(self->map, SIZE);
	memset(self->map, 90, PAGE);
	memset(self->map + PAGE, 90, PAGE);
	EXPECT_FAILS(ENOSPC, msync(self->map, SIZE, MS_SYNC));
	ASSERT_EQ(0, unlink(REST));
	EXPECT_EQ(0, told(self->fd));
	EXPECT_EQ(0, lower_byte(self->lower, 0));
	put(self->map, 91);
	EXPECT_EQ(0, msync(self->map, SIZE, MS_SYNC));
	EXPECT_EQ(91, lower_byte(self->lower, 0));
	EXPECT_EQ(90, lower_byte(self->lower, PAGE - 1));
	/* This one nobody has changed since */
	EXPECT_EQ(0, lower_byte(self->lower, PAGE));
	EXPECT_EQ(4, pwrite(self->fd, "data", 4, 2 * PAGE));
	EXPECT_EQ(0, told(self->fd));
	EXPECT_EQ('d', lower_byte(self->lower, 2 * PAGE));
}

/* ---- a program that is killed -------------------------------------------- */

FIXTURE(killed)
{
	const char *skip;
	unsigned char *told; /* what the program has written to each page */
	const char *path;
};

FIXTURE_VARIANT(killed)
{
	enum store_kind kind;
};

FIXTURE_VARIANT_ADD(killed, tmpfs){ .kind = STORE_TMPFS };
FIXTURE_VARIANT_ADD(killed, ext4){ .kind = STORE_EXT4 };
FIXTURE_VARIANT_ADD(killed, block){ .kind = STORE_BLOCK };

FIXTURE_SETUP(killed)
{
	self->path = store_path(variant->kind);
	if (!self->path) {
		self->skip = "no such store on this machine";
		return;
	}
	self->told = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->told);
}

FIXTURE_TEARDOWN(killed)
{
	if (self->skip)
		return;
	munmap(self->told, PAGE);
	if (variant->kind != STORE_BLOCK)
		unlink(self->path);
}

/* Writes round after round to all pages; from the third on, syncs each. */
static void write_until_killed(enum store_kind kind, unsigned char *told)
{
	int lower, fd = create_store(kind, SIZE, &lower);
	unsigned char *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
				  MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		_exit(1);
	for (int round = 1;; round = round % 250 + 1) {
		for (size_t i = 0; i < SIZE / PAGE; i++) {
			put(map + i * PAGE, round);
			put(told + i, round);
		}
		if (round == 2)
			put(told + SIZE / PAGE, 1);
		if (round > 2)
			msync(map, SIZE, MS_SYNC);
	}
}

/*
 * Dirty, or in the middle of being written back: when the program is gone, and with it
 * the last open file and mapping, the file has it all.
 */
TEST_F(killed, file_has_all)
{
	RUN_IF_READY();

	for (int n = 0; n < 8; n++) {
		int status, fd;
		pid_t pid;

		memset(self->told, 0, PAGE);
		pid = fork();
		ASSERT_GE(pid, 0);
		if (!pid) {
			write_until_killed(variant->kind, self->told);
			_exit(1);
		}
		while (!touch(self->told + SIZE / PAGE) &&
		       !waitpid(pid, &status, WNOHANG))
			usleep(1000);
		usleep(n * 3000);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));
		fd = open(self->path, O_RDONLY | O_CLOEXEC);
		ASSERT_GE(fd, 0);
		for (size_t i = 0; i < SIZE / PAGE; i++) {
			unsigned char is, was = self->told[i];

			ASSERT_EQ(1, pread(fd, &is, 1, i * PAGE));
			/* It may have been killed between one put() and the next */
			EXPECT_TRUE(is == was || is == was % 250 + 1)
			TH_LOG("page %zu has %d, not %d", i, is, was);
		}
		EXPECT_NE(0, self->told[0]);
		close(fd);
	}
}

TEST_HARNESS_MAIN
