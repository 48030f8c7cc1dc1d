// SPDX-License-Identifier: GPL-2.0-only
/*
 * A disk that fails: who is told, how often, by what errno, and what becomes of the
 * data.  Every answer is that of a plain file: the same tests run on a buffer whose
 * store is the disk, on one whose store is a file of ext4 on the disk, and on that file
 * itself, which is the reference.  Where a buffer differs, the test says why.
 */
#include <sys/uio.h>
#include <sys/utsname.h>

#include "kselftest_harness.h"
#include "../lib/failing_disk.h"
#include "../lib/slow_store.h"
#include "stores.h"

#define SIZE (16 * PAGE)

enum subject { STORE_IS_DISK, STORE_IS_FILE, EXT4_ITSELF };

FIXTURE(failing)
{
	const char *skip;
	struct failing_disk disk;
	int fd; /* the subject; page N is full of N + 1 */
	int lower; /* the file below it, or -1 */
	unsigned char *map; /* of fd */
	bool is_buffer;
};

FIXTURE_VARIANT(failing)
{
	enum subject subject;
};

FIXTURE_VARIANT_ADD(failing, store_is_disk){ .subject = STORE_IS_DISK };
FIXTURE_VARIANT_ADD(failing, store_is_file){ .subject = STORE_IS_FILE };
FIXTURE_VARIANT_ADD(failing, ext4_itself){ .subject = EXT4_ITSELF };

FIXTURE_SETUP(failing)
{
	unsigned char page[PAGE];
	int file;

	self->map = MAP_FAILED;
	self->fd = -1;
	self->lower = -1;
	self->is_buffer = variant->subject != EXT4_ITSELF;
	self->skip = disk_missing();
	if (self->skip)
		return;
	ASSERT_EQ(0, disk_make(&self->disk)) TH_LOG("%s", strerror(errno));
	if (variant->subject != STORE_IS_DISK && disk_format(&self->disk)) {
		ASSERT_EQ(ENODEV, errno) TH_LOG("%s", strerror(errno));
		self->skip = "there is no mke2fs, or no ext4";
		disk_end(&self->disk);
		return;
	}
	file = variant->subject == STORE_IS_DISK
		       ? open(self->disk.path, O_RDWR | O_CLOEXEC)
		       : open(DISK_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_GE(file, 0);
	for (size_t i = 0; i < SIZE / PAGE; i++) {
		memset(page, i + 1, PAGE);
		ASSERT_EQ(PAGE, pwrite(file, page, PAGE, i * PAGE));
	}
	ASSERT_EQ(0, fsync(file));
	if (variant->subject != STORE_IS_DISK)
		ASSERT_EQ(0, disk_locate(&self->disk, file));

	self->fd = file;
	if (self->is_buffer) {
		self->lower = file;
		self->fd = create_with(VMADEMO_STORE_FILE, SIZE, file);
		ASSERT_GE(self->fd, 0) TH_LOG("create: %s", strerror(errno));
	}
	self->map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
}

FIXTURE_TEARDOWN(failing)
{
	if (self->skip)
		return;
	if (self->is_buffer)
		EXPECT_ACCOUNT_ADDS_UP(self->fd);
	munmap(self->map, SIZE);
	close(self->fd);
	close(self->lower);
	disk_end(&self->disk);
}

static bool kernel_is_at_least(int x, int y)
{
	struct utsname name;
	int a, b;

	uname(&name);
	if (sscanf(name.release, "%d.%d", &a, &b) != 2)
		return false;
	return a > x || (a == x && b >= y);
}

/* Drops what the page caches have; nothing may be dirty. */
static void forget(FIXTURE_DATA(failing) * self)
{
	madvise(self->map, SIZE, MADV_DONTNEED);
	posix_fadvise(self->fd, 0, 0, POSIX_FADV_DONTNEED);
	if (self->lower >= 0)
		posix_fadvise(self->lower, 0, 0, POSIX_FADV_DONTNEED);
}

/* ---- writing back -------------------------------------------------------- */

TEST_F(failing, told_once_to_each_open_file)
{
	RUN_IF_READY();

	int before = reopen(self->fd, O_RDWR), after;

	ASSERT_GE(before, 0);
	ASSERT_EQ(0, disk_fails(&self->disk, 0, SIZE));
	memset(self->map, 90, PAGE);
	EXPECT_FAILS(EIO, msync(self->map, SIZE, MS_SYNC));
	EXPECT_EQ(0, told(self->fd));
	EXPECT_EQ(0, msync(self->map, SIZE, MS_SYNC));
	EXPECT_EQ(EIO, told(before));
	EXPECT_EQ(0, told(before));
	/* It is known by now: nothing to whoever comes later */
	after = reopen(self->fd, O_RDWR);
	ASSERT_GE(after, 0);
	EXPECT_EQ(0, told(after));
	close(before);
	close(after);
}

/*
 * The one who asks is killed while the disk hangs, and then the disk fails.  Nobody was told of
 * it: so the next one is.
 */
TEST_F(failing, told_though_who_asked_is_killed)
{
	RUN_IF_READY();

	int other = reopen(self->fd, O_RDWR), status;
	pid_t pid;

	ASSERT_GE(other, 0);
	memset(self->map, 90, PAGE);
	ASSERT_EQ(0, disk_hangs(&self->disk));
	pid = fork();
	if (pid == 0) {
		int fd = reopen(self->fd, O_RDWR);

		fdatasync(fd);
		_exit(0);
	}
	EXPECT_TRUE(waits(pid));
	kill(pid, SIGKILL);
	ASSERT_EQ(0, disk_fails(&self->disk, 0, SIZE));
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(SIGKILL, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	EXPECT_EQ(EIO, told(other));
	EXPECT_EQ(0, told(other));
	EXPECT_EQ(EIO, told(self->fd));
	close(other);
}

/* What the file did not take when its buffer ended, it tells by itself: there is no room for it. */
TEST_F(failing, told_by_the_file_at_the_end)
{
	RUN_IF_READY();

	unsigned char page[PAGE];
	int full;

	if (variant->subject != STORE_IS_FILE)
		SKIP(return, "it is about a file below that can lack room");
	memset(page, 1, PAGE);
	ASSERT_EQ(0, ftruncate(self->fd, 2 * SIZE));
	ASSERT_EQ(0, fsync(self->fd));
	full = open(DISK_MOUNT "/full", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_GE(full, 0);
	while (write(full, page, PAGE) == (ssize_t)PAGE)
		;
	ASSERT_EQ(PAGE, pwrite(self->fd, page, PAGE, SIZE));
	EXPECT_EQ(0, told(self->lower));
	munmap(self->map, SIZE);
	close(self->fd);
	EXPECT_EQ(ENOSPC, told(self->lower));
	EXPECT_EQ(0, told(self->lower));
	close(full);
	/* The next one is as good as ever */
	self->fd = create_with(VMADEMO_STORE_FILE, 0, self->lower);
	ASSERT_GE(self->fd, 0);
	self->map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
	EXPECT_EQ(0, told(self->fd));
}

/* Nor was anybody told by a sync(2) before, which the file's own write-back had told. */
TEST_F(failing, told_by_the_file_though_there_was_a_sync)
{
	RUN_IF_READY();

	int later;

	if (variant->subject == EXT4_ITSELF)
		SKIP(return, "it is about two files");
	ASSERT_EQ(0, disk_fails(&self->disk, 0, SIZE));
	memset(self->map, 90, PAGE);
	sync();
	munmap(self->map, SIZE);
	close(self->fd);
	later = reopen(self->lower, O_RDWR);
	ASSERT_GE(later, 0);
	EXPECT_EQ(EIO, told(later));
	EXPECT_EQ(0, told(later));
	close(later);
	ASSERT_EQ(0, disk_is_good(&self->disk));
	self->fd = create_with(VMADEMO_STORE_FILE, SIZE, self->lower);
	ASSERT_GE(self->fd, 0);
	self->map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
}

/* sync(2) tells nobody: so a file opened after it is told. */
TEST_F(failing, told_to_who_comes_later_if_nobody_knows)
{
	RUN_IF_READY();

	int after, later;

	ASSERT_EQ(0, disk_fails(&self->disk, 0, SIZE));
	memset(self->map, 90, PAGE);
	sync();
	after = reopen(self->fd, O_RDONLY);
	ASSERT_GE(after, 0);
	EXPECT_EQ(EIO, told(after));
	EXPECT_EQ(0, told(after));
	later = reopen(self->fd, O_RDONLY);
	ASSERT_GE(later, 0);
	EXPECT_EQ(0, told(later));
	EXPECT_EQ(EIO, told(self->fd));
	EXPECT_EQ(0, told(self->fd));
	close(after);
	close(later);
}

static int by_fsync(int fd, void *map)
{
	return fsync(fd);
}

static int by_fdatasync(int fd, void *map)
{
	return fdatasync(fd);
}

static int by_msync(int fd, void *map)
{
	return msync(map, PAGE, MS_SYNC);
}

static int by_msync_async(int fd, void *map)
{
	return msync(map, PAGE, MS_ASYNC);
}

static int by_write(int fd, void *map)
{
	return pwrite(fd, "data", 4, 10) < 0 ? -1 : 0;
}

static int by_pwritev2(int fd, void *map)
{
	struct iovec iov = { "data", 4 };

	return pwritev2(fd, &iov, 1, 10, RWF_DSYNC) < 0 ? -1 : 0;
}

static int by_range(int fd, void *map)
{
	return sync_file_range(fd, 0, SIZE,
			       SYNC_FILE_RANGE_WAIT_BEFORE |
				       SYNC_FILE_RANGE_WRITE |
				       SYNC_FILE_RANGE_WAIT_AFTER);
}

static int by_range_started(int fd, void *map)
{
	return sync_file_range(fd, 0, SIZE, SYNC_FILE_RANGE_WRITE);
}

static int by_syncfs(int fd, void *map)
{
	return syncfs(fd);
}

/*
 * Every way to ask: what it answers, and what an fsync of the same open file says
 * after it.
 *
 * sync_file_range() answers otherwise with a buffer.  By its contract it flushes no disk:
 * with a buffer it ends in the page cache of the file below.  The fsync that has to
 * follow it tells.
 */
TEST_F(failing, whom_to_ask)
{
	RUN_IF_READY();

	const int range = self->is_buffer ? 0 : EIO;
	const struct {
		const char *name;
		int flags, (*ask)(int fd, void *map), answer, then;
	} ways[] = {
		{ "fsync", 0, by_fsync, EIO, 0 },
		{ "fdatasync", 0, by_fdatasync, EIO, 0 },
		{ "msync", 0, by_msync, EIO, 0 },
		{ "msync, MS_ASYNC", 0, by_msync_async, 0, EIO },
		{ "write", 0, by_write, 0, EIO },
		{ "write, O_SYNC", O_SYNC, by_write, EIO, 0 },
		{ "write, O_DSYNC", O_DSYNC, by_write, EIO, 0 },
		{ "pwritev2, RWF_DSYNC", 0, by_pwritev2, EIO, 0 },
		{ "sync_file_range", 0, by_range, range, EIO - range },
		{ "the same, no waiting", 0, by_range_started, 0, EIO },
		{ "syncfs", 0, by_syncfs, EIO, EIO },
	};

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		int fd = reopen(self->fd, O_RDWR | ways[i].flags), answer;
		void *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
				 fd, 0);

		ASSERT_GE(fd, 0);
		ASSERT_NE(MAP_FAILED, map);
		syncfs(fd); /* what it may know already */
		put(map, 90 + i);
		ASSERT_EQ(0, disk_fails(&self->disk, 0, SIZE));
		answer = ways[i].ask(fd, map) ? errno : 0;
		EXPECT_EQ(ways[i].answer, answer) TH_LOG("%s", ways[i].name);
		EXPECT_EQ(ways[i].then, told(fd)) TH_LOG("%s", ways[i].name);
		EXPECT_EQ(0, told(fd)) TH_LOG("%s", ways[i].name);
		EXPECT_EQ(EIO, told(self->fd)) TH_LOG("%s", ways[i].name);
		ASSERT_EQ(0, disk_is_good(&self->disk));
		EXPECT_EQ(0, told(self->fd));
		munmap(map, SIZE);
		close(fd);
	}
}

/* A page that could not be written is clean, and written again when it is changed again. */
TEST_F(failing, written_when_the_disk_is_good_again)
{
	RUN_IF_READY();
	if (self->is_buffer)
		RUN_IF_FOLIOS_ARE_PAGES(self->fd);

	ASSERT_EQ(0, disk_fails(&self->disk, 0, SIZE));
	memset(self->map, 90, PAGE);
	memset(self->map + 2 * PAGE, 90, PAGE);
	EXPECT_FAILS(EIO, msync(self->map, SIZE, MS_SYNC));
	EXPECT_EQ(1, disk_byte(&self->disk, 0));
	EXPECT_EQ(90, touch(self->map));

	ASSERT_EQ(0, disk_is_good(&self->disk));
	EXPECT_EQ(0, told(self->fd));
	EXPECT_EQ(1, disk_byte(&self->disk, 0));
	put(self->map, 91);
	EXPECT_EQ(0, msync(self->map, SIZE, MS_SYNC));
	EXPECT_EQ(91, disk_byte(&self->disk, 0));
	EXPECT_EQ(90, disk_byte(&self->disk, 1));
	EXPECT_EQ(4, pwrite(self->fd, "data", 4, PAGE));
	EXPECT_EQ(0, told(self->fd));
	EXPECT_EQ('d', disk_byte(&self->disk, PAGE));
	/* What was not is as it was, once it leaves the page cache */
	EXPECT_EQ(90, touch(self->map + 2 * PAGE));
	forget(self);
	EXPECT_EQ(3, touch(self->map + 2 * PAGE));
	EXPECT_EQ(91, touch(self->map));
}

/* One page that fails is no reason not to write the others. */
TEST_F(failing, others_are_written)
{
	RUN_IF_READY();

	ASSERT_EQ(0, disk_fails(&self->disk, PAGE, PAGE));
	memset(self->map, 90, 4 * PAGE);
	EXPECT_FAILS(EIO, msync(self->map, SIZE, MS_SYNC));
	EXPECT_EQ(90, disk_byte(&self->disk, 0));
	EXPECT_EQ(2, disk_byte(&self->disk, PAGE));
	EXPECT_EQ(90, disk_byte(&self->disk, 2 * PAGE));
	EXPECT_EQ(90, disk_byte(&self->disk, 3 * PAGE));
	EXPECT_EQ(0, told(self->fd));
}

/*
 * In the account of a buffer: the file below took the folios into its page cache, so
 * they count as written, and it is the flush that fails.
 */
TEST_F(failing, counted)
{
	RUN_IF_READY();

	struct account before = account_of(self->fd), d;

	if (!self->is_buffer)
		return;
	ASSERT_EQ(0, disk_fails(&self->disk, 0, SIZE));
	memset(self->map, 90, 3 * PAGE);
	EXPECT_FAILS(EIO, msync(self->map, SIZE, MS_SYNC));
	d = account_of_since(self->fd, &before);
	EXPECT_EQ(in_folios(self->fd, 3 * PAGE), d.dirtied_folios);
	EXPECT_EQ(in_folios(self->fd, 3 * PAGE), d.written_folios);
	EXPECT_EQ(0, d.dirty_folios);
	EXPECT_EQ(0, d.write_errors);
	EXPECT_EQ(0, d.lost_folios);
	EXPECT_EQ(1, d.data_flushes);
}

/*
 * But where the file below must read a page of which only a part is written, and cannot,
 * the folio itself fails: lost.
 */
TEST_F(failing, lost)
{
	RUN_IF_READY();

	struct account before, d;
	int other;

	if (!self->is_buffer)
		return;
	munmap(self->map, SIZE);
	close(self->fd);
	folio_size_wanted = PAGE;
	self->fd = create_with(VMADEMO_STORE_FILE, 2 * PAGE + 100, self->lower);
	ASSERT_GE(self->fd, 0);
	other = reopen(self->fd, O_RDONLY);
	ASSERT_GE(other, 0);
	self->map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
	memset(self->map, 90, 3 * PAGE);
	posix_fadvise(self->lower, 0, 0, POSIX_FADV_DONTNEED);
	before = account_of(self->fd);
	ASSERT_EQ(0, disk_fails(&self->disk, 2 * PAGE, PAGE));
	EXPECT_FAILS(EIO, msync(self->map, SIZE, MS_SYNC));
	d = account_of_since(self->fd, &before);
	EXPECT_EQ(2, d.written_folios);
	EXPECT_EQ(1, d.write_errors);
	EXPECT_EQ(1, d.lost_folios);
	EXPECT_EQ(PAGE, d.lost_bytes);
	EXPECT_EQ(0, account_of(self->fd).dirty_folios);
	EXPECT_EQ(0, told(self->fd));
	EXPECT_EQ(EIO, told(other));
	EXPECT_EQ(0, told(other));
	ASSERT_EQ(0, disk_is_good(&self->disk));
	EXPECT_EQ(90, disk_byte(&self->disk, PAGE));
	EXPECT_EQ(3, disk_byte(&self->disk, 2 * PAGE));
	close(other);
}

/* An error that the file below already has, and that nobody was told of. */
TEST_F(failing, older_than_the_buffer)
{
	RUN_IF_READY();

	int fd;

	munmap(self->map, SIZE);
	if (self->is_buffer)
		close(self->fd);
	ASSERT_EQ(0, disk_fails(&self->disk, 0, SIZE));
	fd = self->is_buffer ? self->lower : self->fd;
	ASSERT_EQ(4, pwrite(fd, "data", 4, 0));
	sync();
	ASSERT_EQ(0, disk_is_good(&self->disk));
	self->fd = self->is_buffer ? create_with(VMADEMO_STORE_FILE, 0, fd)
				   : reopen(fd, O_RDWR);
	ASSERT_GE(self->fd, 0);
	EXPECT_EQ(EIO, told(self->fd));
	EXPECT_EQ(0, told(self->fd));
	EXPECT_EQ(EIO, told(fd));
	if (!self->is_buffer)
		close(fd);
}

/* ---- reading in ---------------------------------------------------------- */

TEST_F(failing, read_in)
{
	RUN_IF_READY();
	if (self->is_buffer)
		RUN_IF_FOLIOS_ARE_PAGES(self->fd);

	unsigned char bytes[2 * PAGE], *bad = self->map + 4 * PAGE;
	struct account before, d;
	int notes[2];

	ASSERT_EQ(0, pipe(notes));
	forget(self);
	if (self->is_buffer)
		before = account_of(self->fd);
	ASSERT_EQ(0, disk_fails(&self->disk, 4 * PAGE, 2 * PAGE));
	for (int write = 0; write < 2; write++) {
		EXPECT_EQ(SIGBUS, touch_signal(bad + 5, write));
		EXPECT_EQ(BUS_ADRERR, touch_info.si_code);
		EXPECT_EQ(bad + 5, touch_info.si_addr);
	}
	EXPECT_FAILS(EIO, pread(self->fd, bytes, 1, 4 * PAGE));
	lseek(self->fd, 5 * PAGE - 1, SEEK_SET);
	EXPECT_FAILS(EIO, read(self->fd, bytes, 2));
	/* What comes before it can be had */
	EXPECT_EQ(PAGE, pread(self->fd, bytes, 2 * PAGE, 3 * PAGE));
	EXPECT_EQ(4, bytes[PAGE - 1]);
	/* Older kernels try for ever, with any file but a buffer */
	if (self->is_buffer || kernel_is_at_least(6, 9))
		EXPECT_FAILS(EFAULT, madvise(bad, PAGE, MADV_POPULATE_READ));
	if (self->is_buffer) {
		unsigned char *p;

		EXPECT_NE(0, mlock(bad, PAGE));
		EXPECT_EQ(0, munlock(bad, PAGE));
		p = mmap(NULL, SIZE, PROT_READ, MAP_SHARED | MAP_POPULATE,
			 self->fd, 0);
		ASSERT_NE(MAP_FAILED, p);
		EXPECT_EQ(7, touch(p + 6 * PAGE));
		munmap(p, SIZE);
	}
	EXPECT_FAILS(EFAULT, write(notes[1], bad, 1));
	if (self->is_buffer) {
		d = account_of_since(self->fd, &before);
		EXPECT_LE(6, d.read_errors);
		EXPECT_EQ(0, d.write_errors);
		EXPECT_EQ(0, d.dirtied_folios);
	}
	/* The neighbours, and the page itself afterwards */
	EXPECT_EQ(4, touch(bad - 1));
	EXPECT_EQ(7, touch(bad + 2 * PAGE));
	ASSERT_EQ(0, disk_is_good(&self->disk));
	EXPECT_EQ(5, touch(bad));
	EXPECT_EQ(1, pread(self->fd, bytes, 1, 6 * PAGE - 1));
	EXPECT_EQ(6, bytes[0]);
	/* Nothing that was to be written was lost */
	EXPECT_EQ(0, told(self->fd));
	close(notes[0]);
	close(notes[1]);
}

/* write(2) of a part of a page needs the rest of it; of a whole page it does not. */
TEST_F(failing, written_in_part)
{
	RUN_IF_READY();
	if (self->is_buffer)
		RUN_IF_FOLIOS_ARE_PAGES(self->fd);

	unsigned char page[PAGE];

	memset(page, 90, PAGE);
	forget(self);
	ASSERT_EQ(0, disk_fails(&self->disk, 4 * PAGE, 2 * PAGE));
	EXPECT_FAILS(EIO, pwrite(self->fd, "abc", 3, 4 * PAGE + 10));
	EXPECT_FAILS(EIO, pwrite(self->fd, "abc", 3, 6 * PAGE - 3));
	EXPECT_EQ(PAGE, pwrite(self->fd, page, PAGE, 5 * PAGE));
	ASSERT_EQ(0, disk_is_good(&self->disk));
	EXPECT_EQ(3, pwrite(self->fd, "abc", 3, 4 * PAGE + 10));
	EXPECT_EQ(0, told(self->fd));
	EXPECT_EQ(5, disk_byte(&self->disk, 4 * PAGE + 9));
	EXPECT_EQ('a', disk_byte(&self->disk, 4 * PAGE + 10));
	EXPECT_EQ(5, disk_byte(&self->disk, 4 * PAGE + 13));
	EXPECT_EQ(90, disk_byte(&self->disk, 5 * PAGE));
}

TEST_HARNESS_MAIN
