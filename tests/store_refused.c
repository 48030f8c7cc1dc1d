// SPDX-License-Identifier: GPL-2.0-only
/*
 * What can be a store, and what is refused; by what errno, and that nothing changes
 * then.  And what else depends on how the file was opened and how large it is.
 */
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <linux/fs.h>

#include "kselftest_harness.h"
#include "stores.h"

#define FOLDER "/tmp/vmademo-refused"
#define STORE  FOLDER "/store"
#define SIZE   (8 * PAGE)

/* How many descriptors this process has open. */
static int descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Asks for a buffer on a descriptor; the errno, or 0 if it was made. */
static int answer(uint64_t size, int fd)
{
	int buffer = create_with(VMADEMO_STORE_FILE, size, fd);

	if (buffer < 0)
		return errno;
	close(buffer);
	return 0;
}

FIXTURE(refused)
{
	int file; /* page N is full of N + 1 */
	int count; /* of descriptors */
	struct stat st;
};

FIXTURE_SETUP(refused)
{
	unsigned char page[PAGE];

	mkdir(FOLDER, 0700);
	self->file = open(STORE, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ASSERT_GE(self->file, 0);
	for (size_t i = 0; i < SIZE / PAGE; i++) {
		memset(page, i + 1, PAGE);
		ASSERT_EQ(PAGE, pwrite(self->file, page, PAGE, i * PAGE));
	}
	ASSERT_EQ(0, fstat(self->file, &self->st));
	self->count = descriptors();
}

FIXTURE_TEARDOWN(refused)
{
	EXPECT_EQ(self->count, descriptors());
	close(self->file);
	unlink(STORE);
	EXPECT_EQ(0, rmdir(FOLDER));
}

/* The file is as it was made. */
static bool unchanged(FIXTURE_DATA(refused) * self)
{
	struct stat st;
	unsigned char byte;

	if (fstat(self->file, &st) || st.st_size != self->st.st_size ||
	    st.st_mtim.tv_nsec != self->st.st_mtim.tv_nsec)
		return false;
	for (size_t i = 0; i < SIZE / PAGE; i++)
		if (pread(self->file, &byte, 1, i * PAGE) != 1 || byte != i + 1)
			return false;
	return true;
}

/* ---- what is no store ---------------------------------------------------- */

TEST_F(refused, wrong_kind_of_file)
{
	static const struct {
		const char *path;
		int flags;
	} files[] = {
		{ FOLDER, O_RDONLY },
		{ "/dev/null", O_RDWR },
		{ "/dev/zero", O_RDONLY },
		{ NODE, O_RDWR },
		{ FOLDER "/fifo", O_RDWR },
		{ "/proc/self/maps", O_RDONLY },
		{ "/proc/self/mem", O_RDWR },
		{ "/proc/version", O_RDONLY },
		{ "/proc/meminfo", O_RDONLY },
		{ "/proc/sys/kernel/hostname", O_RDWR },
		{ "/sys/class/misc/vmademo/size", O_RDONLY },
		{ "/sys/module/vmademo/parameters/size", O_RDONLY },
		{ "/sys/kernel/mm/transparent_hugepage/enabled", O_RDWR },
	};

	ASSERT_EQ(0, mkfifo(FOLDER "/fifo", 0600));
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		int fd = open(files[i].path, files[i].flags | O_CLOEXEC);

		if (fd < 0 && errno == ENOENT)
			continue;
		ASSERT_GE(fd, 0) TH_LOG("%s", files[i].path);
		EXPECT_EQ(EINVAL, answer(0, fd)) TH_LOG("%s", files[i].path);
		EXPECT_EQ(EINVAL, answer(PAGE, fd)) TH_LOG("%s", files[i].path);
		close(fd);
	}
	unlink(FOLDER "/fifo");
}

/* What has no name at all. */
TEST_F(refused, nameless)
{
	int ends[2], fd;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	EXPECT_EQ(EINVAL, answer(PAGE, ends[0]));
	close(ends[0]);
	close(ends[1]);
	ASSERT_EQ(0, pipe(ends));
	EXPECT_EQ(EINVAL, answer(PAGE, ends[0]));
	EXPECT_EQ(EBADF, answer(PAGE, ends[1]));
	close(ends[0]);
	close(ends[1]);
	fd = syscall(SYS_eventfd2, 0, O_CLOEXEC);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(EINVAL, answer(PAGE, fd));
	close(fd);
	/* But a memfd is a file like any other */
	fd = syscall(SYS_memfd_create, "store", 1U /* MFD_CLOEXEC */);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(0, answer(PAGE, fd));
	close(fd);
}

/* A buffer would wait for itself. */
TEST_F(refused, buffers)
{
	int node = open(NODE, O_RDWR | O_CLOEXEC);
	int fds[] = { open_file_view(node), create_buffer(SIZE),
		      create_with(VMADEMO_STORE_RAM, SIZE, 0),
		      create_with(VMADEMO_STORE_FILE, SIZE, self->file) };

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		ASSERT_GE(fds[i], 0);
		EXPECT_EQ(EINVAL, answer(PAGE, fds[i])) TH_LOG("%zu", i);
		EXPECT_EQ(EINVAL, answer(0, fds[i])) TH_LOG("%zu", i);
		close(fds[i]);
	}
	close(node);
	EXPECT_TRUE(unchanged(self));
}

TEST_F(refused, descriptor_that_cannot_be_read)
{
	int path = open(STORE, O_PATH | O_CLOEXEC);
	int write = open(STORE, O_WRONLY | O_CLOEXEC);

	EXPECT_EQ(EBADF, answer(0, path));
	EXPECT_EQ(EBADF, answer(0, write));
	close(path);
	close(write);
	EXPECT_EQ(EBADF, answer(0, write)); /* closed */
	EXPECT_EQ(EBADF, answer(0, -1));
	EXPECT_EQ(EBADF, answer(0, 1 << 20));
	EXPECT_TRUE(unchanged(self));
}

TEST_F(refused, arguments)
{
	EXPECT_FAILS(EINVAL, create_with(VMADEMO_STORE_NONE, SIZE, self->file));
	EXPECT_FAILS(EINVAL, create_with(VMADEMO_STORE_RAM, SIZE, self->file));
	EXPECT_FAILS(EINVAL, create_with(VMADEMO_STORE_RAM, SIZE, -1));
	EXPECT_FAILS(EINVAL, create_with(3, SIZE, self->file));
	EXPECT_FAILS(EINVAL,
		     create_with(VMADEMO_STORE_FILE, 1ULL << 63, self->file));
	EXPECT_TRUE(unchanged(self));
}

TEST_F(refused, larger_than_may_be)
{
	struct rlimit old, less = { 4 * SIZE, RLIM_INFINITY };
	int fd = open(STORE, O_RDONLY | O_CLOEXEC);

	EXPECT_EQ(EINVAL, answer(SIZE + 1, fd));
	EXPECT_EQ(0, answer(SIZE, fd));
	close(fd);
	getrlimit(RLIMIT_FSIZE, &old);
	less.rlim_max = old.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &less));
	EXPECT_EQ(EFBIG, answer(4 * SIZE + 1, self->file));
	setrlimit(RLIMIT_FSIZE, &old);
	EXPECT_TRUE(unchanged(self));
}

TEST_F(refused, block_devices)
{
	const char *mounted = getenv("VMADEMO_EXT4");
	int fd = open(BLOCK_DEVICE, O_RDWR | O_CLOEXEC), buffer;
	uint64_t bytes = 0;

	if (fd < 0)
		SKIP(return, "no block device to try it on");
	ASSERT_EQ(0, ioctl(fd, BLKGETSIZE64, &bytes));
	EXPECT_EQ(EINVAL, answer(bytes + 1, fd));
	EXPECT_EQ(EINVAL, answer(bytes + PAGE, fd));
	buffer = create_with(VMADEMO_STORE_FILE, 0, fd);
	ASSERT_GE(buffer, 0);
	EXPECT_EQ(bytes, lseek(buffer, 0, SEEK_END));
	/* It has it for itself */
	EXPECT_EQ(EBUSY, answer(0, fd));
	EXPECT_FAILS(EBUSY, open(BLOCK_DEVICE, O_RDWR | O_EXCL | O_CLOEXEC));
	close(buffer);
	EXPECT_EQ(0, answer(0, fd));
	close(fd);

	if (!mounted || access("/dev/vda", R_OK | W_OK))
		return;
	fd = open("/dev/vda", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return; /* some kernels do not let write to a mounted one */
	EXPECT_EQ(EBUSY, answer(0, fd));
	close(fd);
}

/* What must not be written over, and what is written behind its end. */
TEST_F(refused, append)
{
	const char *folder = getenv("VMADEMO_EXT4");
	char path[256], bytes[8];
	int fd, flags, buffer;

	/* O_APPEND belongs to the caller's open file, not to ours */
	fd = open(STORE, O_RDWR | O_APPEND | O_CLOEXEC);
	ASSERT_GE(fd, 0);
	buffer = create_with(VMADEMO_STORE_FILE, 0, fd);
	ASSERT_GE(buffer, 0);
	EXPECT_EQ(4, pwrite(buffer, "data", 4, PAGE));
	EXPECT_EQ(0, fsync(buffer));
	EXPECT_EQ(4, pread(fd, bytes, 4, PAGE));
	EXPECT_EQ(0, memcmp(bytes, "data", 4));
	EXPECT_EQ(SIZE, lseek(fd, 0, SEEK_END));
	close(buffer);
	close(fd);

	if (!folder || !*folder)
		SKIP(return, "no ext4 to make a file on that can only grow");
	snprintf(path, sizeof(path), "%s/vmademo-append", folder);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(4, write(fd, "data", 4));
	for (int i = 0; i < 2; i++) {
		flags = i ? FS_IMMUTABLE_FL : FS_APPEND_FL;
		ASSERT_EQ(0, ioctl(fd, FS_IOC_SETFLAGS, &flags));
		EXPECT_EQ(EPERM, answer(0, fd));
		EXPECT_EQ(EPERM, answer(PAGE, fd));
		EXPECT_EQ(4, lseek(fd, 0, SEEK_END));
		/* To read it is allowed */
		buffer = open(path, O_RDONLY | O_CLOEXEC);
		EXPECT_EQ(0, answer(0, buffer));
		close(buffer);
	}
	flags = 0;
	EXPECT_EQ(0, ioctl(fd, FS_IOC_SETFLAGS, &flags));
	close(fd);
	unlink(path);
}

/* ---- read only ----------------------------------------------------------- */

TEST_F(refused, writing_to_a_read_only_buffer)
{
	int given = open(STORE, O_RDONLY | O_CLOEXEC), fd, again;
	struct vmademo_discard d = { .length = PAGE };
	struct vmademo_resize r = { .size = PAGE };
	struct vmademo_info info;
	unsigned char *map;
	char path[64];

	fd = create_with(VMADEMO_STORE_FILE, 0, given);
	ASSERT_GE(fd, 0);
	close(given);
	EXPECT_EQ(O_RDONLY, fcntl(fd, F_GETFL) & O_ACCMODE);
	ASSERT_EQ(0, ioctl(fd, VMADEMO_IOC_INFO, &info));
	EXPECT_EQ(VMADEMO_INFO_READ_ONLY, info.flags);
	EXPECT_EQ(VMADEMO_STORE_FILE, info.store);
	EXPECT_EQ(SIZE, info.size);

	EXPECT_FAILS(EBADF, pwrite(fd, "x", 1, 0));
	EXPECT_FAILS(EINVAL, ftruncate(fd, PAGE));
	EXPECT_FAILS(EBADF, fallocate(fd, 0, 0, PAGE));
	EXPECT_FAILS(EBADF, ioctl(fd, VMADEMO_IOC_RESIZE, &r));
	EXPECT_FAILS(EBADF, ioctl(fd, VMADEMO_IOC_DISCARD, &d));
	EXPECT_FAILS(EBADF, power_cut(fd));
	EXPECT_FAILS(EROFS, reopen(fd, O_RDWR));
	EXPECT_FAILS(EROFS, reopen(fd, O_WRONLY));
	EXPECT_FAILS(EROFS, reopen(fd, O_RDWR | O_TRUNC));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	EXPECT_FAILS(EINVAL, truncate(path, PAGE));
	EXPECT_EQ(MAP_FAILED,
		  mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	EXPECT_EQ(EACCES, errno);

	again = reopen(fd, O_RDONLY);
	ASSERT_GE(again, 0);
	map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, again, 0);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_FAILS(EACCES, mprotect(map, SIZE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(2, touch(map + PAGE));
	EXPECT_EQ(0, fsync(again));
	EXPECT_EQ(0, msync(map, SIZE, MS_SYNC));
	munmap(map, SIZE);
	/* A private copy is the caller's */
	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	put(map + PAGE, 9);
	munmap(map, SIZE);
	close(again);
	close(fd);
	EXPECT_TRUE(unchanged(self));
}

/* ---- sizes --------------------------------------------------------------- */

static off_t size_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? -1 : st.st_size;
}

static int byte_at(int fd, off_t at)
{
	unsigned char byte;

	return pread(fd, &byte, 1, at) == 1 ? byte : -1;
}

TEST_F(refused, size_of_the_file_or_more)
{
	int fd = create_with(VMADEMO_STORE_FILE, 0, self->file);

	ASSERT_GE(fd, 0);
	EXPECT_EQ(SIZE, size_of(fd));
	close(fd);
	EXPECT_TRUE(unchanged(self));

	fd = create_with(VMADEMO_STORE_FILE, SIZE + PAGE + 5, self->file);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(SIZE + PAGE + 5, size_of(fd));
	EXPECT_EQ(SIZE + PAGE + 5, size_of(self->file));
	EXPECT_EQ(8, byte_at(fd, SIZE - 1));
	EXPECT_EQ(0, byte_at(fd, SIZE));
	EXPECT_EQ(0, byte_at(fd, SIZE + PAGE + 4));
	close(fd);
	EXPECT_EQ(SIZE + PAGE + 5, size_of(self->file));
}

/* The beginning of a file: the rest stays as long as the buffer has that size. */
TEST_F(refused, size_of_a_part)
{
	struct vmademo_resize larger = { .size = 4 * PAGE };
	int fd = create_with(VMADEMO_STORE_FILE, PAGE + 10, self->file);

	ASSERT_GE(fd, 0);
	EXPECT_EQ(PAGE + 10, size_of(fd));
	EXPECT_EQ(2, byte_at(fd, PAGE + 9));
	EXPECT_EQ(-1, byte_at(fd, PAGE + 10));
	EXPECT_EQ(1, pwrite(fd, "x", 1, PAGE + 9));
	EXPECT_EQ(0, fsync(fd));
	EXPECT_EQ(SIZE, size_of(self->file));
	EXPECT_EQ('x', byte_at(self->file, PAGE + 9));
	EXPECT_EQ(2, byte_at(self->file, PAGE + 10));
	EXPECT_EQ(8, byte_at(self->file, SIZE - 1));

	/* To grow it shows zeroes, and not what the file had there */
	ASSERT_EQ(0, ioctl(fd, VMADEMO_IOC_RESIZE, &larger));
	EXPECT_EQ(4 * PAGE, size_of(self->file));
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ('x', byte_at(fd, PAGE + 9));
		EXPECT_EQ(0, byte_at(fd, PAGE + 10));
		EXPECT_EQ(0, byte_at(fd, 2 * PAGE));
		EXPECT_EQ(0, byte_at(fd, 4 * PAGE - 1));
		EXPECT_EQ(0, fsync(fd));
		EXPECT_EQ(0, power_cut(fd));
	}
	close(fd);
}

TEST_F(refused, a_part_that_grows_by_writing)
{
	int fd = create_with(VMADEMO_STORE_FILE, PAGE + 10, self->file);

	ASSERT_GE(fd, 0);
	EXPECT_EQ(3, pwrite(fd, "end", 3, 3 * PAGE));
	EXPECT_EQ(0, fsync(fd));
	EXPECT_EQ(3 * PAGE + 3, size_of(self->file));
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(2, byte_at(fd, PAGE + 9));
		EXPECT_EQ(0, byte_at(fd, PAGE + 10));
		EXPECT_EQ(0, byte_at(fd, 3 * PAGE - 1));
		EXPECT_EQ('e', byte_at(fd, 3 * PAGE));
		EXPECT_EQ(0, power_cut(fd));
	}
	close(fd);
}

TEST_F(refused, a_part_that_is_cut_off)
{
	int fd = create_with(VMADEMO_STORE_FILE, 3 * PAGE, self->file);

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, ftruncate(fd, PAGE));
	EXPECT_EQ(PAGE, size_of(self->file));
	ASSERT_EQ(0, ftruncate(fd, 2 * PAGE));
	EXPECT_EQ(0, byte_at(fd, PAGE));
	EXPECT_EQ(2 * PAGE, size_of(self->file));
	close(fd);
}

TEST_HARNESS_MAIN
