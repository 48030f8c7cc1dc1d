// SPDX-License-Identifier: GPL-2.0-only
/*
 * Taking a buffer away from everybody, and giving it back: what programs see meanwhile, and
 * that no byte is lost.  What happens at the same moment: see revoke_racing.c.
 */
#include <linux/falloc.h>
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "../lib/slow_store.h"
#include "stores.h"

#define PAGES 32UL
#define SIZE  (PAGES * PAGE)
#define HUGE  PMD_SIZE

/* With store none, which create_store() does not make, and through the node. */
#define NONE	    ((enum store_kind)100)
#define NODE_ITSELF ((enum store_kind)101)

FIXTURE(revoke)
{
	const char *skip;
	int fd, lower;
	unsigned char *map;
	size_t size, folio; /* in bytes */
};

FIXTURE_STORES(revoke);
FIXTURE_VARIANT_ADD(revoke, none){ .kind = NONE };
FIXTURE_VARIANT_ADD(revoke, node){ .kind = NODE_ITSELF };
FIXTURE_VARIANT_ADD(revoke, none_64k){ .kind = NONE, .folio_size = 65536 };
FIXTURE_VARIANT_ADD(revoke, none_2m){ .kind = NONE, .folio_size = PMD_FOLIO };
FIXTURE_VARIANT_ADD(revoke, ram_64k){ .kind = STORE_RAM, .folio_size = 65536 };
FIXTURE_VARIANT_ADD(revoke, ram_2m){ .kind = STORE_RAM, .folio_size = PMD_FOLIO };

FIXTURE_SETUP(revoke)
{
	self->lower = -1;
	folio_size_wanted = variant->folio_size
				    ? folio_bytes(variant->folio_size)
				    : PAGE;
	self->size = variant->folio_size == PMD_FOLIO ? 2 * HUGE : SIZE;
	if (variant->kind == NONE)
		self->fd = create_buffer(self->size);
	else if (variant->kind == NODE_ITSELF)
		self->fd = open(NODE, O_RDWR | O_CLOEXEC);
	else
		self->fd = create_store(variant->kind, self->size, &self->lower);
	if (self->fd < 0 && errno == ENODEV) {
		self->skip = "no such store on this machine";
		return;
	}
	ASSERT_GE(self->fd, 0) TH_LOG("create: %s", strerror(errno));
	self->folio = fd_value(self->fd, "folio_size");
	if (self->size < self->folio) /* the node's */
		self->size = self->folio;
	self->map = mmap(NULL, self->size, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
	for (size_t i = 0; i < self->size / PAGE; i++)
		put(self->map + i * PAGE, i + 1);
	/* One entry maps all of a folio, so that this is tried, too */
	if (variant->folio_size == PMD_FOLIO && !IS_32_BIT)
		EXPECT_EQ(self->size, smaps_value(self->map, "FilePmdMapped"));
}

FIXTURE_TEARDOWN(revoke)
{
	if (self->skip)
		return;
	EXPECT_EQ(0, ioctl(self->fd, VMADEMO_IOC_RESTORE));
	EXPECT_ACCOUNT_ADDS_UP(self->fd);
	munmap(self->map, self->size);
	if (self->lower < 0)
		close(self->fd);
	else
		end_store(variant->kind, self->fd, self->lower);
}

static uint32_t info_flags(int fd)
{
	struct vmademo_info info = { 0 };

	return ioctl(fd, VMADEMO_IOC_INFO, &info) ? ~0U : info.flags;
}

/* Has each page the byte that was put there? */
static bool all_right(FIXTURE_DATA(revoke) * self, const unsigned char *map)
{
	for (size_t i = 0; i < self->size / PAGE; i++)
		if (touch(map + i * PAGE) != (unsigned char)(i + 1))
			return false;
	return true;
}

/* What maps it is empty: shared, private, copied, never touched, of others. */
TEST_F(revoke, mappings)
{
	RUN_IF_READY();

	unsigned char *copies, *untouched, *read_only;
	int to_child[2], from_child[2], status;
	struct account before;
	char byte = 0;
	pid_t pid;

	copies = mmap(NULL, self->size, PROT_READ | PROT_WRITE, MAP_PRIVATE,
		      self->fd, 0);
	untouched = mmap(NULL, self->size, PROT_READ, MAP_SHARED, self->fd, 0);
	read_only = mmap(NULL, self->size, PROT_READ, MAP_PRIVATE, self->fd, 0);
	ASSERT_NE(MAP_FAILED, copies);
	ASSERT_NE(MAP_FAILED, untouched);
	ASSERT_NE(MAP_FAILED, read_only);
	put(copies + PAGE, 77);
	EXPECT_EQ(3, touch(copies + 2 * PAGE));
	EXPECT_EQ(1, touch(read_only));
	ASSERT_EQ(0, pipe(to_child));
	ASSERT_EQ(0, pipe(from_child));
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		/* Its own copies, and those that it shares with its parent */
		put(copies + 3 * PAGE, 78);
		put(self->map + PAGE, 2);
		if (write(from_child[1], "x", 1) != 1 ||
		    read(to_child[0], &byte, 1) != 1)
			_exit(1);
		_exit(touch_signal(copies + PAGE, 0) != SIGBUS ||
		      touch_signal(copies + 3 * PAGE, 1) != SIGBUS ||
		      touch_signal(self->map + PAGE, 0) != SIGBUS);
	}
	ASSERT_EQ(1, read(from_child[0], &byte, 1));
	before = account_of(self->fd);
	EXPECT_EQ(0, fd_value(self->fd, "revoked"));
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_REVOKE));
	EXPECT_EQ(1, fd_value(self->fd, "revoked"));
	EXPECT_EQ(variant->kind == NODE_ITSELF, node_value("revoked"));
	EXPECT_EQ(VMADEMO_INFO_REVOKED,
		  info_flags(self->fd) & VMADEMO_INFO_REVOKED);
	EXPECT_EQ(0, smaps_value(self->map, "Rss"));
	EXPECT_EQ(0, smaps_value(copies, "Rss"));
	EXPECT_EQ(0, smaps_value(read_only, "Rss"));
	ASSERT_EQ(1, write(to_child[1], "x", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);

	EXPECT_EQ(SIGBUS, touch_signal(self->map, 0));
	EXPECT_EQ(BUS_ADRERR, touch_info.si_code);
	EXPECT_EQ(self->map, (unsigned char *)touch_info.si_addr);
	EXPECT_EQ(SIGBUS, touch_signal(self->map + self->size - PAGE, 1));
	EXPECT_EQ(SIGBUS, touch_signal(copies + PAGE, 0));
	EXPECT_EQ(SIGBUS, touch_signal(copies + 2 * PAGE, 1));
	EXPECT_EQ(SIGBUS, touch_signal(untouched, 0));
	EXPECT_EQ(SIGBUS, touch_signal(read_only, 0));
	EXPECT_EQ(9, account_of(self->fd).sigbus - before.sigbus);
	/* Twice is once */
	EXPECT_EQ(0, ioctl(self->fd, VMADEMO_IOC_REVOKE));
	EXPECT_EQ(1, account_of(self->fd).revocations - before.revocations);
	/* They can be moved about */
	untouched = mremap(untouched, self->size, 2 * self->size, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, untouched);
	EXPECT_EQ(SIGBUS, touch_signal(untouched, 0));
	EXPECT_EQ(0, mprotect(read_only, self->size, PROT_READ | PROT_WRITE));
	EXPECT_EQ(SIGBUS, touch_signal(read_only, 1));

	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_RESTORE));
	EXPECT_EQ(0, fd_value(self->fd, "revoked"));
	EXPECT_EQ(0, info_flags(self->fd) & VMADEMO_INFO_REVOKED);
	EXPECT_TRUE(all_right(self, self->map));
	EXPECT_TRUE(all_right(self, untouched));
	EXPECT_TRUE(all_right(self, read_only));
	/* What was written to copies is gone */
	EXPECT_TRUE(all_right(self, copies));
	put(copies, 5);
	put(self->map, 6);
	EXPECT_EQ(5, touch(copies));
	EXPECT_EQ(6, touch(untouched));
	EXPECT_EQ(0, ioctl(self->fd, VMADEMO_IOC_RESTORE));
	munmap(copies, self->size);
	munmap(untouched, 2 * self->size);
	munmap(read_only, self->size);
	for (int i = 0; i < 2; i++) {
		close(to_child[i]);
		close(from_child[i]);
	}
}

static int map_fails(int fd, int flags)
{
	void *p = mmap(NULL, PAGE, PROT_READ, flags, fd, 0);

	if (p == MAP_FAILED)
		return -1;
	munmap(p, PAGE);
	return 0;
}

/* Whatever asks for its bytes, or changes them, is ENODEV; the rest works. */
TEST_F(revoke, calls)
{
	RUN_IF_READY();

	struct vmademo_resize r = { .size = self->size / 2 };
	struct vmademo_discard d = { .length = self->size };
	int pipes[2], other, file = open(NODE, O_RDWR | O_CLOEXEC), again;
	const bool is_node = variant->kind == NODE_ITSELF;
	char bytes[64] = "no";
	struct iovec mine = { bytes, 1 }, its = { self->map, 1 };
	unsigned char vec[2 * HUGE / PAGE];
	struct stat st;
	off_t at = 0, to = PAGE;

	ASSERT_EQ(0, pipe(pipes));
	other = create_buffer(PAGE);
	ASSERT_GE(other, 0);
	if (is_node) {
		close(file);
		file = open_file_view(self->fd);
	} else {
		close(file);
		file = reopen(self->fd, O_RDWR);
	}
	ASSERT_GE(file, 0);
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_REVOKE));
	for (int i = 0; i < 2; i++) {
		int fd = i ? file : self->fd;

		EXPECT_FAILS(ENODEV, map_fails(fd, MAP_SHARED));
		EXPECT_FAILS(ENODEV, map_fails(fd, MAP_PRIVATE));
		EXPECT_FAILS(ENODEV, map_fails(fd, MAP_SHARED | MAP_POPULATE));
		EXPECT_FAILS(ENODEV, pread(fd, bytes, 1, 0));
		EXPECT_FAILS(ENODEV, pread(fd, bytes, 1, 1ULL << 40));
		EXPECT_FAILS(ENODEV, pwrite(fd, bytes, 1, 0));
		EXPECT_FAILS(ENODEV, pwritev2(fd, &mine, 1, 0, RWF_DSYNC));
		at = 0;
		EXPECT_FAILS(ENODEV, splice(fd, &at, pipes[1], NULL, PAGE, 0));
		ASSERT_EQ(2, write(pipes[1], "no", 2));
		EXPECT_FAILS(ENODEV, splice(pipes[0], NULL, fd, &at, 2, 0));
		EXPECT_EQ(0, ioctl(fd, VMADEMO_IOC_REVOKE));
		EXPECT_FAILS(ENODEV, ioctl(fd, VMADEMO_IOC_RESIZE, &r));
		EXPECT_FAILS(ENODEV, ioctl(fd, VMADEMO_IOC_DISCARD, &d));
		EXPECT_EQ(0, fsync(fd));
		EXPECT_EQ(0, lseek(fd, 0, SEEK_SET));
	}
	EXPECT_FAILS(ENODEV, fallocate(file, 0, 0, self->size));
	EXPECT_FAILS(ENODEV,
		     fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       0, self->size));
	EXPECT_FAILS(ENODEV,
		     fallocate(file, FALLOC_FL_ZERO_RANGE, 0, self->size));
	EXPECT_FAILS(ENODEV, ftruncate(file, 0));
	EXPECT_FAILS(ENODEV, reopen(file, O_RDWR | O_TRUNC));
	EXPECT_FAILS(ENODEV, copy_file_range(file, &at, file, &to, 1, 0));
	EXPECT_FAILS(EFAULT, process_vm_readv(getpid(), &mine, 1, &its, 1, 0));
	EXPECT_FAILS(EFAULT, write(pipes[1], self->map, 1));
	/* From the mapping into another buffer, with its lock held */
	EXPECT_FAILS(EFAULT, pwrite(other, self->map, 1, 0));
	EXPECT_FAILS(EFAULT, pread(other, self->map, 1, 0));

	EXPECT_EQ(0, fstat(file, &st));
	EXPECT_EQ(is_node ? node_value("size") : self->size, st.st_size);
	EXPECT_EQ(0, mincore(self->map, self->size, vec));
	EXPECT_EQ(0, msync(self->map, self->size, MS_SYNC));
	EXPECT_EQ(0, fchmod(file, 0600));
	again = reopen(self->fd, O_RDONLY);
	EXPECT_GE(again, 0);
	EXPECT_FAILS(ENODEV, pread(again, bytes, 1, 0));
	/* Whoever cannot write cannot give it back, nor take it away */
	EXPECT_FAILS(EBADF, ioctl(again, VMADEMO_IOC_RESTORE));
	EXPECT_FAILS(ENODEV, pread(self->fd, bytes, 1, 0));
	ASSERT_EQ(0, ioctl(file, VMADEMO_IOC_RESTORE));
	EXPECT_FAILS(EBADF, ioctl(again, VMADEMO_IOC_REVOKE));
	EXPECT_EQ(1, pread(again, bytes, 1, 0));
	EXPECT_EQ(1, bytes[0]);
	/* Others were not touched */
	EXPECT_EQ(1, pread(other, bytes, 1, 0));
	EXPECT_TRUE(all_right(self, self->map));
	close(again);
	close(file);
	close(other);
	close(pipes[0]);
	close(pipes[1]);
}

/* What was dirty is written back meanwhile, and what is not stays. */
TEST_F(revoke, no_byte_is_lost)
{
	RUN_IF_READY();

	const bool has_store = variant->kind <= STORE_BLOCK;

	EXPECT_EQ(self->size, account_of(self->fd).dirty_bytes);
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_REVOKE));
	EXPECT_EQ(self->size, account_of(self->fd).dirty_bytes);
	/* Nobody wrote it back */
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_RESTORE));
	EXPECT_TRUE(all_right(self, self->map));
	/* Now somebody does */
	put(self->map + 5 * PAGE, 6);
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_REVOKE));
	EXPECT_EQ(0, fsync(self->fd));
	EXPECT_EQ(0, account_of(self->fd).dirty_bytes);
	EXPECT_EQ(0, account_of(self->fd).lost_folios);
	if (has_store) {
		/* To the store, so that a power cut takes nothing */
		EXPECT_EQ(0, power_cut(self->fd));
		EXPECT_EQ(0, account_of(self->fd).cached_bytes);
		EXPECT_EQ(0, account_of(self->fd).lost_folios);
	}
	/* The touch brings no page in */
	EXPECT_EQ(SIGBUS, touch_signal(self->map, 0));
	EXPECT_EQ(has_store ? 0 : self->size, account_of(self->fd).cached_bytes);
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_RESTORE));
	EXPECT_TRUE(all_right(self, self->map));
	EXPECT_EQ(0, account_of(self->fd).dirty_bytes);
	/* The first write comes to .page_mkwrite again */
	put(self->map, 1);
	EXPECT_EQ(self->folio, account_of(self->fd).dirty_bytes);
}

/* Locked in memory, all brought in beforehand, told to be copied: no difference. */
TEST_F(revoke, locked_and_pinned)
{
	RUN_IF_READY();

	struct iovec iov = { self->map + 2 * PAGE, PAGE };
	unsigned char bytes[PAGE];
	int pipes[2];

	ASSERT_EQ(0, mlock(self->map, self->size));
	ASSERT_EQ(0, pipe(pipes));
	/* A page in a pipe is there to stay */
	ASSERT_EQ(PAGE, vmsplice(pipes[1], &iov, 1, 0));
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_REVOKE));
	EXPECT_EQ(SIGBUS, touch_signal(self->map, 0));
	EXPECT_EQ(0, munlock(self->map, self->size));
	EXPECT_EQ(PAGE, read(pipes[0], bytes, PAGE));
	EXPECT_EQ(3, bytes[0]);
	/* Unmapped meanwhile, and mapped again afterwards */
	EXPECT_EQ(0, munmap(self->map + 8 * PAGE, 8 * PAGE));
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_RESTORE));
	EXPECT_EQ(self->map + 8 * PAGE,
		  mmap(self->map + 8 * PAGE, 8 * PAGE, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_FIXED, self->fd, 8 * PAGE));
	EXPECT_TRUE(all_right(self, self->map));
	close(pipes[0]);
	close(pipes[1]);
}

/* The last descriptor and mapping go while it is revoked: its file has all of it. */
TEST(a_file_behind_it_has_all)
{
	const char *path = "/tmp/vmademo-revoked";
	int lower = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), fd;
	unsigned char *map, byte;

	ASSERT_GE(lower, 0);
	ASSERT_EQ(0, ftruncate(lower, SIZE));
	fd = create_with(VMADEMO_STORE_FILE, 0, lower);
	ASSERT_GE(fd, 0);
	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	for (size_t i = 0; i < PAGES; i++)
		put(map + i * PAGE, i + 1);
	ASSERT_EQ(0, ioctl(fd, VMADEMO_IOC_REVOKE));
	munmap(map, SIZE);
	close(fd);
	for (size_t i = 0; i < PAGES; i++) {
		ASSERT_EQ(1, pread(lower, &byte, 1, i * PAGE));
		EXPECT_EQ(i + 1, byte);
	}
	close(lower);
	unlink(path);
}

/* A buffer that nobody can write to can be revoked by who has it open. */
TEST(read_only)
{
	const char *path = "/tmp/vmademo-revoked";
	int lower = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), fd;
	unsigned char *map, byte;

	ASSERT_GE(lower, 0);
	ASSERT_EQ(PAGE, pwrite(lower, memset(malloc(PAGE), 7, PAGE), PAGE, 0));
	close(lower);
	lower = open(path, O_RDONLY | O_CLOEXEC);
	fd = create_with(VMADEMO_STORE_FILE, 0, lower);
	ASSERT_GE(fd, 0);
	map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(7, touch(map));
	ASSERT_EQ(0, ioctl(fd, VMADEMO_IOC_REVOKE));
	EXPECT_EQ(VMADEMO_INFO_REVOKED | VMADEMO_INFO_READ_ONLY, info_flags(fd));
	EXPECT_EQ(SIGBUS, touch_signal(map, 0));
	EXPECT_FAILS(ENODEV, pread(fd, &byte, 1, 0));
	ASSERT_EQ(0, ioctl(fd, VMADEMO_IOC_RESTORE));
	EXPECT_EQ(7, touch(map));
	munmap(map, PAGE);
	close(fd);
	close(lower);
	unlink(path);
}

/*
 * A page is being read in at that moment, by a fault that cannot give up its lock: the store
 * is not waited for, and when it answers, the page is not mapped.
 */
TEST(read_in_meanwhile)
{
	struct slow slow;
	const char *skip = slow_make(&slow, MUTE_FUSE, SIZE);
	unsigned char *map, byte;
	int fd, memory, status;
	pid_t pid;

	if (skip)
		SKIP(return, "%s", skip);
	fd = create_with(VMADEMO_STORE_FILE, 0, slow.file);
	ASSERT_GE(fd, 0);
	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	*slow.mute = HOLD_READ;
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		memory = open("/proc/self/mem", O_RDONLY);
		if (pread(memory, &byte, 1, (uintptr_t)map) == 1)
			_exit(2);
		_exit(touch_signal(map, 0) != SIGBUS);
	}
	for (int i = 0; i < LONG * 100 && *slow.mute != HOLDS_READ; i++)
		usleep(10000);
	ASSERT_EQ(HOLDS_READ, *slow.mute);
	ASSERT_EQ(0, ioctl(fd, VMADEMO_IOC_REVOKE));
	EXPECT_EQ(HOLDS_READ, *slow.mute);
	*slow.mute = ANSWER;
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(SIGBUS, touch_signal(map, 0));
	ASSERT_EQ(0, ioctl(fd, VMADEMO_IOC_RESTORE));
	EXPECT_EQ(0, touch(map));
	munmap(map, SIZE);
	close(fd);
	slow_go(&slow);
	slow_end(&slow);
}

/* Killed while it waits for a write that does not end: nothing has changed. */
TEST(killed)
{
	struct slow slow;
	const char *skip = slow_make(&slow, FROZEN_EXT4, SIZE);
	const int64_t hung = read_number(hung_task);
	pid_t writer, revoker;
	unsigned char *map;
	char text[24];
	int fd, status;

	if (skip)
		SKIP(return, "%s", skip);
	fd = create_with(VMADEMO_STORE_FILE, 0, slow.file);
	ASSERT_GE(fd, 0);
	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	put(map, 1);
	put(map + PAGE, 1);
	ASSERT_EQ(0, fsync(fd));
	write_text(hung_task, "0");
	ASSERT_EQ(0, slow_stop(&slow));
	put(map, 2);
	ASSERT_EQ(0, sync_file_range(fd, 0, PAGE, SYNC_FILE_RANGE_WRITE));
	writer = fork();
	if (writer == 0)
		_exit(pwrite(fd, "x", 1, 0) != 1);
	usleep(500000);
	revoker = fork();
	if (revoker == 0)
		_exit(ioctl(fd, VMADEMO_IOC_REVOKE) == 0);
	usleep(500000);
	EXPECT_EQ(0, waitpid(revoker, &status, WNOHANG));
	kill(revoker, SIGKILL);
	EXPECT_TRUE(ends(revoker));
	EXPECT_EQ(0, fd_value(fd, "revoked"));
	EXPECT_EQ(1, touch(map + PAGE));
	slow_go(&slow);
	ASSERT_EQ(writer, waitpid(writer, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ('x', touch(map));
	snprintf(text, sizeof(text), "%" PRId64, hung);
	write_text(hung_task, text);
	munmap(map, SIZE);
	close(fd);
	slow_end(&slow);
}

TEST_HARNESS_MAIN
