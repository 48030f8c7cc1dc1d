// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which calls make dirty pages clean, and which only sound so; that no way to leave
 * a mapping cleans anything; and where the dirty bit is before anybody looks: in
 * the page table, or in the page's flags.
 */
#include <linux/kernel-page-flags.h>

#include "kselftest_harness.h"
#include "vmademo_test.h"

#define PAGES 4
#define LEN   (PAGES * PAGE)

FIXTURE(cleaning)
{
	int fd;
	unsigned char *map;
};

FIXTURE_VIEWS(cleaning);

FIXTURE_SETUP(cleaning)
{
	self->fd = open_view(variant->view);
	ASSERT_GE(self->fd, 0) TH_LOG("%s", strerror(errno));
	self->map = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, fd_value(self->fd, "dirty_folios"));
	/* The program itself must take no faults while they are counted */
	ASSERT_EQ(0, mlockall(MCL_CURRENT));
	ASSERT_EQ(0, munlock(self->map, LEN));
}

FIXTURE_TEARDOWN(cleaning)
{
	munmap(self->map, LEN);
	close(self->fd);
}

static void write_all(unsigned char *p, unsigned char value)
{
	for (int i = 0; i < PAGES; i++)
		put(p + i * PAGE, value);
}

/* ---- the calls ----------------------------------------------------------- */

static int msync_async(int fd, void *p)
{
	return msync(p, LEN, MS_ASYNC);
}

static int msync_invalidate(int fd, void *p)
{
	return msync(p, LEN, MS_INVALIDATE);
}

static int msync_sync(int fd, void *p)
{
	return msync(p, LEN, MS_SYNC);
}

static int call_fsync(int fd, void *p)
{
	return fsync(fd);
}

static int call_fdatasync(int fd, void *p)
{
	return fdatasync(fd);
}

static int call_sync_file_range(int fd, void *p)
{
	return sync_file_range(
		fd, 0, LEN, SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
}

static int call_fadvise(int fd, void *p)
{
	/* Clean pages could be dropped, so the dirty ones are written first */
	errno = posix_fadvise(fd, 0, LEN, POSIX_FADV_DONTNEED);
	return errno ? -1 : 0;
}

static int call_sync(int fd, void *p)
{
	sync();
	return 0;
}

static int call_syncfs(int fd, void *p)
{
	return syncfs(fd);
}

static int reopen_and_close(int fd, void *p)
{
	return close(dup(fd));
}

/*
 * What each does on the node and on the regular file: the errno, or 0, and whether
 * the pages are clean then.  Two calls ask the file's own inode, which for a node
 * is the one in /dev: it is no file that has ranges, and syncfs cleans the file
 * system that /dev is.
 */
static const struct {
	const char *name;
	int (*call)(int fd, void *p);
	int error[2], cleans[2];
} calls[] = {
	{ "msync(MS_ASYNC)", msync_async, { 0, 0 }, { 0, 0 } },
	{ "msync(MS_INVALIDATE)", msync_invalidate, { 0, 0 }, { 0, 0 } },
	{ "msync(MS_SYNC)", msync_sync, { 0, 0 }, { 1, 1 } },
	{ "fsync", call_fsync, { 0, 0 }, { 1, 1 } },
	{ "fdatasync", call_fdatasync, { 0, 0 }, { 1, 1 } },
	{ "sync_file_range", call_sync_file_range, { ESPIPE, 0 }, { 0, 1 } },
	{ "posix_fadvise(DONTNEED)", call_fadvise, { 0, 0 }, { 1, 1 } },
	{ "sync", call_sync, { 0, 0 }, { 1, 1 } },
	{ "syncfs", call_syncfs, { 0, 0 }, { 0, 1 } },
	{ "close", reopen_and_close, { 0, 0 }, { 0, 0 } },
};

/* A page that was cleaned is protected too, so that the next write tells. */
TEST_F(cleaning, by_a_call)
{
	const int64_t folios = in_folios(self->fd, LEN);

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		int regular = variant->view != NODE_VIEW;
		int cleans = calls[i].cleans[regular];
		int error = calls[i].error[regular];
		struct account before, d;
		int ret;

		write_all(self->map, 1);
		before = account_of(self->fd);
		EXPECT_EQ(folios, before.dirty_folios);

		errno = 0;
		ret = calls[i].call(self->fd, self->map);
		EXPECT_EQ(error ? -1 : 0, ret) TH_LOG("%s", calls[i].name);
		EXPECT_EQ(error, errno) TH_LOG("%s", calls[i].name);
		d = account_of_since(self->fd, &before);
		EXPECT_EQ(cleans ? folios : 0, d.written_folios)
		TH_LOG("%s", calls[i].name);
		EXPECT_EQ(cleans ? -folios : 0, d.dirty_folios)
		TH_LOG("%s", calls[i].name);

		write_all(self->map, 2);
		d = account_of_since(self->fd, &before);
		EXPECT_EQ(cleans ? PAGES : 0, d.first_writes)
		TH_LOG("%s", calls[i].name);
		EXPECT_EQ(cleans ? folios : 0, d.dirtied_folios)
		TH_LOG("%s", calls[i].name);
		EXPECT_EQ(0, d.dirty_folios) TH_LOG("%s", calls[i].name);
		ASSERT_EQ(0, fsync(self->fd));
	}
}

/* All that MS_INVALIDATE still does is to refuse what is locked. */
TEST_F(cleaning, invalidate_of_locked_pages)
{
	write_all(self->map, 1);
	ASSERT_EQ(0, mlock(self->map + PAGE, PAGE));
	EXPECT_FAILS(EBUSY, msync(self->map, LEN, MS_INVALIDATE));
	EXPECT_FAILS(EBUSY, msync(self->map, LEN, MS_SYNC | MS_INVALIDATE));
	EXPECT_EQ(in_folios(self->fd, LEN) - in_folios(self->fd, PAGE),
		  fd_value(self->fd, "dirty_folios"));
	ASSERT_EQ(0, munlock(self->map, LEN));
	EXPECT_EQ(0, msync(self->map, LEN, MS_SYNC | MS_INVALIDATE));
	EXPECT_EQ(0, fd_value(self->fd, "dirty_folios"));
	EXPECT_EQ(1, touch(self->map));
}

/* ---- leaving ------------------------------------------------------------- */

static void leave_by_munmap(void *p)
{
	munmap(p, LEN);
}

static void leave_by_dontneed(void *p)
{
	madvise(p, LEN, MADV_DONTNEED);
}

static void leave_by_mapping_over(void *p)
{
	mmap(p, LEN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

static void leave_by_exit(void *p)
{
	_exit(0);
}

static void leave_by_signal(void *p)
{
	raise(SIGKILL);
}

/* However the writer goes, its pages stay dirty, for somebody else to clean. */
TEST_F(cleaning, not_by_leaving)
{
	static void (*const leave[])(void *) = {
		leave_by_munmap, leave_by_dontneed, leave_by_mapping_over,
		leave_by_exit,	 leave_by_signal,
	};
	const int64_t folios = in_folios(self->fd, LEN);

	for (size_t i = 0; i < sizeof(leave) / sizeof(leave[0]); i++) {
		struct account before = account_of(self->fd), d;
		unsigned char byte = 0;
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (pid == 0) {
			write_all(self->map, 10 + i);
			leave[i](self->map);
			_exit(0);
		}
		ASSERT_EQ(pid, waitpid(pid, NULL, 0));
		d = account_of_since(self->fd, &before);
		EXPECT_EQ(PAGES, d.first_writes) TH_LOG("way %zu", i);
		EXPECT_EQ(folios, d.dirty_folios) TH_LOG("way %zu", i);
		EXPECT_EQ(0, d.written_folios) TH_LOG("way %zu", i);
		EXPECT_EQ(1, pread(self->fd, &byte, 1, LEN - PAGE));
		EXPECT_EQ(10 + i, byte);

		ASSERT_EQ(0, fsync(self->fd));
		d = account_of_since(self->fd, &before);
		EXPECT_EQ(folios, d.written_folios) TH_LOG("way %zu", i);
		EXPECT_EQ(0, d.dirty_folios) TH_LOG("way %zu", i);
	}
}

/* ---- where the dirty bit is ---------------------------------------------- */

/* Entry number n of a file in /proc that has 64 bits a page; 0 if none. */
static uint64_t entry(const char *path, uint64_t n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t value = 0;

	if (fd < 0)
		return 0;
	if (pread(fd, &value, sizeof(value), n * sizeof(value)) != sizeof(value))
		value = 0;
	close(fd);
	return value;
}

/* The number of the physical page that is mapped at p; 0 if there is none. */
static uint64_t frame_at(const void *p)
{
	/* Bits 0-54 of the entry, if bit 63 says that they are one */
	uint64_t e = entry("/proc/self/pagemap", (uintptr_t)p / PAGE);

	return e >> 63 ? e & ((1ULL << 55) - 1) : 0;
}

static int page_flag(uint64_t frame, int flag)
{
	return entry("/proc/kpageflags", frame) >> flag & 1;
}

/*
 * tmpfs writes nothing back and does not ask to be told of the first write.  So a
 * page that was read is writable at once, and when it is written to, only the
 * processor notes it: in the page table.  smaps looks there.  The page's own flag
 * is set when the kernel takes the page out of the page table.
 */
TEST(in_the_page_table)
{
	int fd = syscall(SYS_memfd_create, "tmpfs", 0);
	unsigned char *p;
	uint64_t frame;
	int64_t minor;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, PAGE));
	ASSERT_EQ(0, mlockall(MCL_CURRENT));
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, p);

	/* A hole that is read becomes a clean page */
	EXPECT_EQ(0, touch(p));
	frame = frame_at(p);
	if (!frame || !page_flag(frame, KPF_UPTODATE))
		SKIP(return, "/proc/self/pagemap, /proc/kpageflags: not here");
	EXPECT_EQ(0, page_flag(frame, KPF_DIRTY));
	EXPECT_EQ(PAGE, smaps_value(p, "Private_Clean"));
	EXPECT_EQ(0, smaps_value(p, "Private_Dirty"));

	minor = minor_faults();
	put(p, 1);
	EXPECT_EQ(minor, minor_faults());
	EXPECT_EQ(0, page_flag(frame, KPF_DIRTY));
	EXPECT_EQ(0, smaps_value(p, "Private_Clean"));
	EXPECT_EQ(PAGE, smaps_value(p, "Private_Dirty"));

	ASSERT_EQ(0, munmap(p, PAGE));
	EXPECT_EQ(1, page_flag(frame, KPF_DIRTY));
	close(fd);
}

/*
 * On the device, which writes back, the first write is a fault, and the page is
 * dirty at once wherever one looks.  Cleaning makes the next write the first again.
 */
TEST_F(cleaning, by_asking_at_the_first_write)
{
	/* The pages of one folio are dirty together */
	const int64_t dirty = folios_are_pages(self->fd) ? PAGE : LEN;
	struct account before;
	unsigned char *p = self->map;
	uint64_t frame;
	int64_t minor;

	ASSERT_EQ(0, madvise(p, LEN, MADV_DONTNEED));
	touch(p);
	frame = frame_at(p);
	if (!frame || !page_flag(frame, KPF_UPTODATE))
		SKIP(return, "/proc/self/pagemap, /proc/kpageflags: not here");

	before = account_of(self->fd);
	for (int round = 1; round <= 3; round++) {
		EXPECT_EQ(0, page_flag(frame, KPF_DIRTY));
		EXPECT_EQ(0, smaps_value(p, "Private_Dirty"));

		minor = minor_faults();
		put(p, round);
		EXPECT_EQ(minor + 1, minor_faults());
		put(p + 1, round);
		EXPECT_EQ(minor + 1, minor_faults());
		EXPECT_EQ(round,
			  account_of_since(self->fd, &before).first_writes);
		EXPECT_EQ(1, page_flag(frame, KPF_DIRTY));
		EXPECT_EQ(dirty, smaps_value(p, "Private_Dirty"));

		ASSERT_EQ(0, msync(p, PAGE, MS_SYNC));
		EXPECT_EQ(frame, frame_at(p));
	}
}

TEST_HARNESS_MAIN
