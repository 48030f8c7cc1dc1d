// SPDX-License-Identifier: GPL-2.0-only
/*
 * The store refuses: what a request that fails leaves behind is what was there before,
 * in the buffer and in the backing file.  Refused by a seal, by a limit of the
 * process, by a file system that is full; and by a pointer that leads nowhere.
 */
#include <sys/mount.h>
#include <sys/uio.h>
#include <linux/falloc.h>

#include "kselftest_harness.h"
#include "stores.h"

#ifndef F_SEAL_SHRINK
#define F_SEAL_SHRINK 0x0002
#define F_SEAL_GROW   0x0004
#endif

#define SIZE	  (4 * PAGE + 1000)
#define FILE_SIZE (8 * PAGE)

/* ---- a backing file with seals ------------------------------------------- */

FIXTURE(sealed)
{
	int fd, lower;
	size_t in_file;
	unsigned char *map;
};

/* The backing file, and what of it is the buffer: all of it, or the beginning. */
FIXTURE_VARIANT(sealed)
{
	bool longer; /* the file, than the buffer */
};

FIXTURE_VARIANT_ADD(sealed, whole_file){ .longer = false };
FIXTURE_VARIANT_ADD(sealed, part_of_file){ .longer = true };

static unsigned char byte_at(size_t at)
{
	return at % 251 + 1;
}

/* A memfd of which each byte tells where it is. */
static int make_memfd(size_t size)
{
	int fd = syscall(SYS_memfd_create, "store", 3U /* with seals */);
	unsigned char bytes[FILE_SIZE];

	for (size_t i = 0; i < size; i++)
		bytes[i] = byte_at(i);
	return fd >= 0 && pwrite(fd, bytes, size, 0) == (ssize_t)size ? fd : -1;
}

FIXTURE_SETUP(sealed)
{
	self->in_file = variant->longer ? FILE_SIZE : SIZE;
	self->lower = make_memfd(self->in_file);
	ASSERT_GE(self->lower, 0);
	self->fd = create_with(VMADEMO_STORE_FILE, SIZE, self->lower);
	ASSERT_GE(self->fd, 0) TH_LOG("create: %s", strerror(errno));
	self->map = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
}

FIXTURE_TEARDOWN(sealed)
{
	EXPECT_ACCOUNT_ADDS_UP(self->fd);
	munmap(self->map, FILE_SIZE);
	close(self->fd);
	close(self->lower);
}

/* The buffer has its size and its bytes, and the file below has all of its. */
static void expect_all_there(struct __test_metadata *_metadata, int fd,
			     int lower, const unsigned char *map, size_t in_file)
{
	unsigned char bytes[2 * FILE_SIZE];

	EXPECT_EQ(SIZE, lseek(fd, 0, SEEK_END));
	EXPECT_EQ(SIZE, fd_value(fd, "size"));
	for (size_t at = 0; at < SIZE; at++) {
		ASSERT_EQ(byte_at(at), touch(map + at))
		TH_LOG("byte %zu of the buffer", at);
	}
	EXPECT_EQ(in_file, lseek(lower, 0, SEEK_END));
	EXPECT_EQ(in_file, pread(lower, bytes, sizeof(bytes), 0));
	for (size_t at = 0; at < in_file; at++) {
		ASSERT_EQ(byte_at(at), bytes[at])
		TH_LOG("byte %zu of the backing file", at);
	}
}

/* Also after what is dirty was written back, and when it is read in again. */
static void expect_nothing_changed(struct __test_metadata *_metadata,
				   FIXTURE_DATA(sealed) * self, size_t in_file)
{
	expect_all_there(_metadata, self->fd, self->lower, self->map, in_file);
	for (size_t at = 0; at < SIZE; at += PAGE)
		put(self->map + at, byte_at(at));
	EXPECT_EQ(0, fsync(self->fd));
	expect_all_there(_metadata, self->fd, self->lower, self->map, in_file);
	EXPECT_EQ(0, power_cut(self->fd));
	expect_all_there(_metadata, self->fd, self->lower, self->map, in_file);
}

TEST_F(sealed, cannot_shrink)
{
	const size_t sizes[] = { 0,	   1,	     100,
				 PAGE - 1, PAGE,     PAGE + 1,
				 SIZE - 1, 4 * PAGE, 4 * PAGE + 1 };
	struct vmademo_resize r = { 0 };

	ASSERT_EQ(0, fcntl(self->lower, F_ADD_SEALS, F_SEAL_SHRINK));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		/* In the page cache, and not */
		touch(self->map + (i % 2 ? sizes[i] : 0));
		EXPECT_FAILS(EPERM, ftruncate(self->fd, sizes[i]));
		r.size = sizes[i];
		EXPECT_FAILS(EPERM, ioctl(self->fd, VMADEMO_IOC_RESIZE, &r));
		expect_all_there(_metadata, self->fd, self->lower, self->map,
				 self->in_file);
	}
	EXPECT_EQ(-1, reopen(self->fd, O_RDWR | O_TRUNC));
	/* To be all of a shorter file, the rest of it would have to go */
	if (self->in_file > SIZE) {
		EXPECT_FAILS(EPERM, ftruncate(self->fd, 6 * PAGE));
		EXPECT_FAILS(EPERM, fallocate(self->fd, 0, PAGE, 5 * PAGE));
		EXPECT_FAILS(EPERM, fallocate(self->fd, FALLOC_FL_ZERO_RANGE,
					      SIZE, PAGE));
	}
	expect_nothing_changed(_metadata, self, self->in_file);
}

/* What was written by a mapping and is not yet on the store stays, too. */
TEST_F(sealed, cannot_shrink_while_dirty)
{
	for (size_t at = 0; at < SIZE; at++)
		put(self->map + at, 255);
	ASSERT_EQ(0, fcntl(self->lower, F_ADD_SEALS, F_SEAL_SHRINK));
	EXPECT_FAILS(EPERM, ftruncate(self->fd, PAGE + 1));
	for (size_t at = 0; at < SIZE; at++) {
		ASSERT_EQ(255, touch(self->map + at))
		TH_LOG("byte %zu of the buffer", at);
	}
	for (size_t at = 0; at < SIZE; at++)
		put(self->map + at, byte_at(at));
	expect_nothing_changed(_metadata, self, self->in_file);
}

/* To grow is refused: what the file has beyond the buffer is not cut off before. */
TEST_F(sealed, cannot_grow)
{
	const size_t sizes[] = { FILE_SIZE + 1, FILE_SIZE + PAGE, 64 * PAGE };
	struct vmademo_resize r = { 0 };

	ASSERT_EQ(0, fcntl(self->lower, F_ADD_SEALS, F_SEAL_GROW));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		EXPECT_FAILS(EPERM, ftruncate(self->fd, sizes[i]));
		r.size = sizes[i];
		EXPECT_FAILS(EPERM, ioctl(self->fd, VMADEMO_IOC_RESIZE, &r));
		EXPECT_FAILS(EPERM, fallocate(self->fd, 0, 0, sizes[i]));
		EXPECT_FAILS(EPERM, fallocate(self->fd, FALLOC_FL_ZERO_RANGE, 0,
					      sizes[i]));
		expect_all_there(_metadata, self->fd, self->lower, self->map,
				 self->in_file);
	}
	expect_nothing_changed(_metadata, self, self->in_file);
}

/* ---- who may not open the file by its name -------------------------------- */

#define HIDDEN "/tmp/vmademo-hidden"

/*
 * A process that was given a descriptor may do by it what it allows, also if the file's
 * mode keeps it from opening it.
 */
TEST(given_a_descriptor)
{
	int lower, status;
	pid_t pid;

	lower = open(HIDDEN, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ASSERT_GE(lower, 0);
	ASSERT_EQ(0, ftruncate(lower, FILE_SIZE));
	ASSERT_EQ(0, chmod(NODE, 0666));
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		unsigned char *map, bytes[FILE_SIZE];
		int fd;

		for (size_t i = 0; i < FILE_SIZE; i++)
			bytes[i] = byte_at(i);
		if (setgid(65533) || setuid(65534) ||
		    open(HIDDEN, O_RDWR) >= 0 || errno != EACCES)
			_exit(1);
		fd = create_with(VMADEMO_STORE_FILE, 0, lower);
		if (fd < 0)
			_exit(errno == EACCES ? 42 : 2);
		map = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			   fd, 0);
		if (map == MAP_FAILED ||
		    pwrite(fd, bytes, FILE_SIZE, 0) != FILE_SIZE || fsync(fd))
			_exit(3);
		if (ftruncate(fd, PAGE + 1)) {
			/* At least it is as it was */
			put(map + PAGE + 2, byte_at(PAGE + 2));
			_exit(fsync(fd) || memcmp(map, bytes, FILE_SIZE) ? 4 : 5);
		}
		if (lseek(lower, 0, SEEK_END) != PAGE + 1 ||
		    ftruncate(fd, 2 * PAGE) ||
		    lseek(lower, 0, SEEK_END) != 2 * PAGE ||
		    touch(map + PAGE) != byte_at(PAGE) || touch(map + PAGE + 1))
			_exit(6);
		if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			      PAGE) ||
		    touch(map) || fallocate(fd, 0, 0, 3 * PAGE) || fsync(fd))
			_exit(7);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, chmod(NODE, 0600));
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(0, WEXITSTATUS(status));
	EXPECT_EQ(3 * PAGE, lseek(lower, 0, SEEK_END));
	close(lower);
	unlink(HIDDEN);
}

/* ---- limits -------------------------------------------------------------- */

FIXTURE(part)
{
	const char *skip;
	int fd, lower;
	unsigned char *map;
};

/* The beginning of a file on each file system. */
FIXTURE_VARIANT(part)
{
	enum store_kind kind;
};

FIXTURE_VARIANT_ADD(part, tmpfs){ .kind = STORE_TMPFS };
FIXTURE_VARIANT_ADD(part, ext4){ .kind = STORE_EXT4 };

FIXTURE_SETUP(part)
{
	const char *path = store_path(variant->kind);
	unsigned char bytes[FILE_SIZE];

	if (!path) {
		self->skip = "no such store on this machine";
		return;
	}
	for (size_t i = 0; i < FILE_SIZE; i++)
		bytes[i] = byte_at(i);
	self->lower = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ASSERT_GE(self->lower, 0);
	ASSERT_EQ(FILE_SIZE, write(self->lower, bytes, FILE_SIZE));
	self->fd = create_with(VMADEMO_STORE_FILE, SIZE, self->lower);
	ASSERT_GE(self->fd, 0);
	self->map = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
}

FIXTURE_TEARDOWN(part)
{
	if (self->skip)
		return;
	EXPECT_ACCOUNT_ADDS_UP(self->fd);
	munmap(self->map, FILE_SIZE);
	end_store(variant->kind, self->fd, self->lower);
}

/* Beyond the process's limit: SIGXFSZ and EFBIG, and all is there. */
TEST_F(part, over_the_limit_of_file_sizes)
{
	RUN_IF_READY();

	struct rlimit old, less = { 16 * PAGE, RLIM_INFINITY };
	struct vmademo_resize r = { .size = 16 * PAGE + 1 };

	getrlimit(RLIMIT_FSIZE, &old);
	less.rlim_max = old.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &less));
	EXPECT_FAILS(EFBIG, ftruncate(self->fd, r.size));
	EXPECT_FAILS(EFBIG, ioctl(self->fd, VMADEMO_IOC_RESIZE, &r));
	EXPECT_FAILS(EFBIG, fallocate(self->fd, 0, 0, r.size));
	EXPECT_FAILS(EFBIG, pwrite(self->fd, "x", 1, 16 * PAGE));
	setrlimit(RLIMIT_FSIZE, &old);
	expect_all_there(_metadata, self->fd, self->lower, self->map, FILE_SIZE);
}

/* More than the file system can have in one file. */
TEST_F(part, over_the_limit_of_the_file_system)
{
	RUN_IF_READY();

	const uint64_t size = (uint64_t)INT64_MAX + 1 - 2 * PAGE;
	struct vmademo_resize r = { .size = size };

	if (variant->kind != STORE_EXT4)
		SKIP(return, "this file system takes every size");
	EXPECT_FAILS(EFBIG, ftruncate(self->fd, size));
	EXPECT_FAILS(EFBIG, ioctl(self->fd, VMADEMO_IOC_RESIZE, &r));
	EXPECT_EQ(-1, fallocate(self->fd, 0, size - PAGE, PAGE));
	EXPECT_EQ(-1, pwrite(self->fd, "x", 1, size));
	expect_all_there(_metadata, self->fd, self->lower, self->map, FILE_SIZE);
}

/* A write beyond the end that takes nothing leaves the file whole. */
TEST_F(part, bad_pointer)
{
	RUN_IF_READY();

	const size_t places[] = { SIZE,		 SIZE + 1,  5 * PAGE,
				  FILE_SIZE - 1, FILE_SIZE, FILE_SIZE + PAGE + 9 };
	void *nowhere = mmap(NULL, 4 * PAGE, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int append = reopen(self->fd, O_WRONLY | O_APPEND);
	struct iovec iov[2] = { { nowhere, 100 }, { nowhere, 2 * PAGE } };

	ASSERT_GE(append, 0);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		EXPECT_FAILS(EFAULT, pwrite(self->fd, nowhere, 10, places[i]));
		EXPECT_FAILS(EFAULT,
			     pwrite(self->fd, nowhere, 3 * PAGE, places[i]));
		EXPECT_FAILS(EFAULT, pwritev(self->fd, iov, 2, places[i]));
		expect_all_there(_metadata, self->fd, self->lower, self->map,
				 FILE_SIZE);
	}
	EXPECT_FAILS(EFAULT, write(append, nowhere, 10));
	EXPECT_FAILS(EFAULT, write(append, nowhere, 2 * PAGE));
	close(append);
	EXPECT_EQ(0, pwrite(self->fd, nowhere, 0, FILE_SIZE));
	EXPECT_EQ(0, fsync(self->fd));
	expect_all_there(_metadata, self->fd, self->lower, self->map, FILE_SIZE);
	EXPECT_EQ(0, power_cut(self->fd));
	expect_all_there(_metadata, self->fd, self->lower, self->map, FILE_SIZE);
}

/* What does succeed makes the buffer all of the file. */
TEST_F(part, grown_by_writing)
{
	RUN_IF_READY();

	unsigned char byte = 1;

	ASSERT_EQ(1, pwrite(self->fd, "x", 1, SIZE + 10));
	ASSERT_EQ(0, fsync(self->fd));
	EXPECT_EQ(SIZE + 11, lseek(self->lower, 0, SEEK_END));
	for (size_t at = SIZE; at < SIZE + 10; at++) {
		EXPECT_EQ(1, pread(self->lower, &byte, 1, at));
		EXPECT_EQ(0, byte);
		EXPECT_EQ(0, touch(self->map + at));
	}
	EXPECT_EQ(byte_at(SIZE - 1), touch(self->map + SIZE - 1));
	EXPECT_EQ('x', touch(self->map + SIZE + 10));
	ASSERT_EQ(0, ftruncate(self->fd, SIZE + 1));
	ASSERT_EQ(0, ftruncate(self->fd, FILE_SIZE));
	EXPECT_EQ(FILE_SIZE, lseek(self->lower, 0, SEEK_END));
	for (size_t at = SIZE; at < FILE_SIZE; at++) {
		ASSERT_EQ(0, touch(self->map + at));
		ASSERT_EQ(1, pread(self->lower, &byte, 1, at));
		ASSERT_EQ(0, byte);
	}
}

/* The same, and it is allocated: what the file had there, and what it had not. */
TEST_F(part, grown_by_allocating)
{
	RUN_IF_READY();

	const size_t end = FILE_SIZE + 20 * PAGE;
	unsigned char byte = 1;
	struct stat st;

	ASSERT_EQ(0, fallocate(self->fd, FALLOC_FL_ZERO_RANGE, 2 * PAGE,
			       end - 2 * PAGE));
	EXPECT_EQ(end, lseek(self->lower, 0, SEEK_END));
	ASSERT_EQ(0, fstat(self->lower, &st));
	EXPECT_LE(end, 512UL * st.st_blocks);
	for (size_t at = 0; at < FILE_SIZE; at++)
		ASSERT_EQ(at < 2 * PAGE ? byte_at(at) : 0, touch(self->map + at));
	EXPECT_EQ(0, fsync(self->fd));
	for (size_t at = 2 * PAGE; at < end; at += 100) {
		ASSERT_EQ(1, pread(self->lower, &byte, 1, at));
		ASSERT_EQ(0, byte);
	}
}

/* ---- a full file system -------------------------------------------------- */

#define ROOM "/tmp/vmademo-no-room"

/* Allocating more than there is: refused, and the file's rest is there. */
TEST(no_room)
{
	unsigned char bytes[FILE_SIZE], *map;
	int lower, fd;

	mkdir(ROOM, 0700);
	ASSERT_EQ(0, mount("tmpfs", ROOM, "tmpfs", 0, "size=1M"));
	lower = open(ROOM "/store", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_GE(lower, 0);
	for (size_t i = 0; i < FILE_SIZE; i++)
		bytes[i] = byte_at(i);
	ASSERT_EQ(FILE_SIZE, write(lower, bytes, FILE_SIZE));
	fd = create_with(VMADEMO_STORE_FILE, SIZE, lower);
	ASSERT_GE(fd, 0);
	map = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	for (size_t size = 2 * MIB; size <= 1024 * MIB; size *= 2) {
		EXPECT_FAILS(ENOSPC, fallocate(fd, 0, 0, size));
		EXPECT_FAILS(ENOSPC, fallocate(fd, 0, size, PAGE + MIB));
		EXPECT_FAILS(ENOSPC,
			     fallocate(fd, FALLOC_FL_ZERO_RANGE, PAGE, size));
		expect_all_there(_metadata, fd, lower, map, FILE_SIZE);
	}
	EXPECT_EQ(0, power_cut(fd));
	expect_all_there(_metadata, fd, lower, map, FILE_SIZE);
	munmap(map, FILE_SIZE);
	close(fd);
	close(lower);
	EXPECT_EQ(0, umount(ROOM));
	rmdir(ROOM);
}

/* A file that is longer than its buffer, and may not grow: the buffer grows over it. */
TEST(sealed_and_longer)
{
	unsigned char old[4 * PAGE], new[PAGE], bytes[PAGE];
	int lower = memfd_create("below", MFD_CLOEXEC | MFD_ALLOW_SEALING), fd;

	memset(old, 'o', sizeof(old));
	memset(new, 'n', sizeof(new));
	ASSERT_EQ(sizeof(old), pwrite(lower, old, sizeof(old), 0));
	ASSERT_EQ(0, fcntl(lower, F_ADD_SEALS, F_SEAL_GROW));
	fd = create_with(VMADEMO_STORE_FILE, PAGE, lower);
	ASSERT_GE(fd, 0) TH_LOG("%s", strerror(errno));
	EXPECT_EQ(PAGE, pwrite(fd, new, PAGE, 2 * PAGE));
	EXPECT_EQ(0, fsync(fd));
	EXPECT_EQ(0, power_cut(fd));
	EXPECT_EQ(PAGE, pread(fd, bytes, PAGE, 2 * PAGE));
	EXPECT_EQ(0, memcmp(bytes, new, PAGE));
	EXPECT_EQ(PAGE, pread(fd, bytes, PAGE, 0));
	EXPECT_EQ(0, memcmp(bytes, old, PAGE));
	/* What the buffer has grown over was never its own */
	memset(new, 0, sizeof(new));
	EXPECT_EQ(PAGE, pread(fd, bytes, PAGE, PAGE));
	EXPECT_EQ(0, memcmp(bytes, new, PAGE));
	EXPECT_EQ(PAGE, pread(lower, bytes, PAGE, PAGE));
	EXPECT_EQ(0, memcmp(bytes, new, PAGE));
	close(fd);
	close(lower);
}

TEST_HARNESS_MAIN
