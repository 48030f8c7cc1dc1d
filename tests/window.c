// SPDX-License-Identifier: GPL-2.0-only
/*
 * The physical window: mmap_mem's error codes in their order, and what a
 * mapping of bare page frame numbers can and cannot do.
 */
#include <sys/sendfile.h>
#include <linux/capability.h>

#include "kselftest_harness.h"
#include "vmademo_test.h"

#define WINDOW_LEN (2 * MIB)

FIXTURE(window)
{
	int fd;
};

FIXTURE_SETUP(window)
{
	self->fd = open(WINDOW, O_RDWR);
	ASSERT_GE(self->fd, 0) TH_LOG("%s: %s", WINDOW, strerror(errno));
	ASSERT_EQ(WINDOW_LEN, read_number("/sys/class/misc/vmademo-phys0/size"));
}

FIXTURE_TEARDOWN(window)
{
	close(self->fd);
}

static unsigned char *map(struct __test_metadata *_metadata, int fd, size_t len,
			  off_t offset)
{
	unsigned char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED,
				fd, offset);

	ASSERT_NE(MAP_FAILED, p) TH_LOG("%s", strerror(errno));
	return p;
}

static int map_error(int fd, size_t len, uint64_t offset)
{
	void *p = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, (off_t)offset);

	if (p == MAP_FAILED)
		return errno;
	munmap(p, len);
	return 0;
}

/* The width of a physical address, in bits. */
static int physical_bits(void)
{
	char line[4096];
	int bits = 0;
	FILE *f = fopen("/proc/cpuinfo", "r");

	while (f && !bits && fgets(line, sizeof(line), f))
		sscanf(line, "address sizes : %d bits physical", &bits);
	if (f)
		fclose(f);
	return bits;
}

TEST_F(window, error_codes_of_mmap_mem)
{
	const int bits = physical_bits();
	const uint64_t last = WINDOW_LEN - PAGE;

	ASSERT_LT(0, bits);
	EXPECT_EQ(0, map_error(self->fd, WINDOW_LEN, 0));
	EXPECT_EQ(0, map_error(self->fd, PAGE, last));
	/* One page past the end, and the end crossed: not ours */
	EXPECT_EQ(EPERM, map_error(self->fd, PAGE, WINDOW_LEN));
	EXPECT_EQ(EPERM, map_error(self->fd, 2 * PAGE, last));
	EXPECT_EQ(EPERM, map_error(self->fd, WINDOW_LEN + PAGE, 0));
	EXPECT_EQ(EPERM, map_error(self->fd, PAGE, 1ULL << (bits - 1)));
	/* No such physical address */
	EXPECT_EQ(EINVAL, map_error(self->fd, PAGE, 1ULL << bits));
	/* It is asked of the last byte, before it is asked whose it is */
	EXPECT_EQ(EINVAL, map_error(self->fd, 2 * PAGE, (1ULL << bits) - PAGE));
	if (IS_32_BIT)
		return;
	/* With the window's base added, it wraps around the end of them all */
	EXPECT_EQ(EINVAL, map_error(self->fd, PAGE, -(uint64_t)PAGE));
	/* An end that is no 64-bit offset: mmap itself says so */
	EXPECT_EQ(EOVERFLOW, map_error(self->fd, 2 * PAGE, -(uint64_t)PAGE));
}

/* Where nothing can be mapped, /dev/mem gives the same answers. */
TEST_F(window, dev_mem_answers_the_same)
{
	const int bits = physical_bits();
	const struct {
		uint64_t len, offset;
	} at[] = {
		{ PAGE, 1ULL << bits },
		{ 2 * PAGE, (1ULL << bits) - PAGE },
		{ PAGE, -(uint64_t)PAGE },
		{ 2 * PAGE, -(uint64_t)PAGE },
		{ PAGE, 1ULL << 63 },
		{ 4 * PAGE, -(uint64_t)(4 * PAGE) },
		{ PAGE, (1ULL << 63) - PAGE },
		{ 1ULL << bits, 1ULL << (bits - 1) },
	};
	int mem = open("/dev/mem", O_RDWR);

	if (mem < 0)
		SKIP(return, "this kernel has no /dev/mem");
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		int theirs;

		if (at[i].len > SIZE_MAX)
			continue;
		theirs = map_error(mem, at[i].len, at[i].offset);

		EXPECT_NE(0, theirs);
		EXPECT_EQ(theirs, map_error(self->fd, at[i].len, at[i].offset))
		TH_LOG("%" PRIx64 " bytes at %" PRIx64, at[i].len, at[i].offset);
	}
	close(mem);
}

/* Each offset shows its own page: two mappings of one page are one memory. */
TEST_F(window, offsets)
{
	unsigned char *whole = map(_metadata, self->fd, WINDOW_LEN, 0);

	for (size_t at = 0; at < WINDOW_LEN; at += PAGE)
		*(volatile uint64_t *)(whole + at) = 0xabc0000 + at;
	for (size_t at = 0; at < WINDOW_LEN; at += 37 * PAGE) {
		unsigned char *p = map(_metadata, self->fd, PAGE, at);

		EXPECT_EQ(0xabc0000 + at, *(volatile uint64_t *)p);
		*(volatile uint64_t *)(p + 8) = at;
		EXPECT_EQ(at, *(volatile uint64_t *)(whole + at + 8));
		munmap(p, PAGE);
	}
	munmap(whole, WINDOW_LEN);
}

/* All entries are made at mmap time: touching takes no fault. */
TEST_F(window, no_faults)
{
	unsigned char *p = map(_metadata, self->fd, WINDOW_LEN, 0);
	int64_t minor;

	minor = minor_faults();
	for (size_t at = 0; at < WINDOW_LEN; at += PAGE)
		put(p + at, touch(p + at) + 1);
	EXPECT_EQ(minor, minor_faults());
	munmap(p, WINDOW_LEN);
}

TEST_F(window, mappings_are_counted)
{
	static const char path[] = "/sys/class/misc/vmademo-phys0/mappings";
	int64_t before = read_number(path);
	unsigned char *p = map(_metadata, self->fd, 16 * PAGE, 0);
	int status;
	pid_t pid;

	EXPECT_EQ(before + 1, read_number(path));
	ASSERT_EQ(0, munmap(p + 4 * PAGE, PAGE));
	EXPECT_EQ(before + 2, read_number(path));
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0)
		_exit(read_number(path) != before + 4);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	munmap(p, 16 * PAGE);
	EXPECT_EQ(before, read_number(path));
	/* A refused mapping is not counted */
	EXPECT_EQ(EPERM, map_error(self->fd, PAGE, WINDOW_LEN));
	EXPECT_EQ(before, read_number(path));
}

TEST_F(window, fork_and_partial_munmap)
{
	unsigned char *p = map(_metadata, self->fd, 8 * PAGE, PAGE);
	int status;
	pid_t pid;

	put(p + 5 * PAGE, 5);
	ASSERT_EQ(0, munmap(p, 3 * PAGE));
	EXPECT_EQ(5, touch(p + 5 * PAGE));
	EXPECT_EQ(SIGSEGV, touch_signal(p, 0));
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		put(p + 6 * PAGE, 6);
		_exit(touch(p + 5 * PAGE) != 5);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(6, touch(p + 6 * PAGE));
	munmap(p + 3 * PAGE, 5 * PAGE);
}

/* Private, as /dev/mem: what is written is a copy. */
TEST_F(window, private_mapping)
{
	unsigned char *shared = map(_metadata, self->fd, 2 * PAGE, 0);
	unsigned char *private = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE, self->fd, 0);

	ASSERT_NE(MAP_FAILED, private);
	put(shared, 1);
	put(shared + PAGE, 2);
	EXPECT_EQ(1, touch(private));
	put(private, 9);
	EXPECT_EQ(9, touch(private));
	EXPECT_EQ(1, touch(shared));
	EXPECT_EQ(2, touch(private + PAGE));
	munmap(private, 2 * PAGE);
	munmap(shared, 2 * PAGE);
}

/* There are no pages to pin, to grow by, to sync or to give advice on. */
TEST_F(window, what_needs_pages_is_refused)
{
	unsigned char *p = map(_metadata, self->fd, 4 * PAGE, 0);

	EXPECT_EQ(-1, msync(p, 4 * PAGE, MS_SYNC));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, fsync(self->fd));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mremap(p, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, madvise(p, PAGE, MADV_DONTNEED));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, madvise(p, PAGE, MADV_POPULATE_READ));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, read(self->fd, &(char){ 0 }, 1));
	EXPECT_EQ(EINVAL, errno);
	munmap(p, 4 * PAGE);
}

/* A device that only maps: what else a file can do is refused. */
TEST_F(window, what_it_has_not_is_refused)
{
	int ro = open(WINDOW, O_RDONLY), fds[2];

	ASSERT_GE(ro, 0);
	EXPECT_EQ(MAP_FAILED,
		  mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, ro, 0));
	EXPECT_EQ(EACCES, errno);
	close(ro);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ,
				   MAP_SHARED_VALIDATE | MAP_SYNC, self->fd, 0));
	EXPECT_EQ(EOPNOTSUPP, errno);
	EXPECT_EQ(-1, lseek(self->fd, 0, SEEK_END));
	EXPECT_EQ(ESPIPE, errno);
	EXPECT_EQ(-1, write(self->fd, "x", 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, open(WINDOW, O_RDWR | O_DIRECT));
	EXPECT_EQ(EINVAL, errno);
	ASSERT_EQ(0, pipe(fds));
	EXPECT_EQ(-1, splice(self->fd, NULL, fds[1], NULL, PAGE, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, sendfile(fds[1], self->fd, NULL, PAGE));
	EXPECT_EQ(EINVAL, errno);
	/* Advice is taken, and means nothing */
	EXPECT_EQ(0, posix_fadvise(self->fd, 0, PAGE, POSIX_FADV_DONTNEED));
	EXPECT_EQ(-1, ftruncate(self->fd, PAGE));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, fallocate(self->fd, 0, 0, PAGE));
	EXPECT_EQ(ENODEV, errno);
}

/* Moving and shrinking need no page: they work. */
TEST_F(window, move_and_shrink)
{
	unsigned char *p = map(_metadata, self->fd, 4 * PAGE, 0), *q;
	unsigned char *room = mmap(NULL, 4 * PAGE, PROT_NONE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	put(p + PAGE, 42);
	ASSERT_NE(MAP_FAILED, room);
	q = mremap(p, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, room);
	ASSERT_EQ(room, q);
	EXPECT_EQ(42, touch(q + PAGE));
	ASSERT_EQ(q, mremap(q, 4 * PAGE, 2 * PAGE, 0));
	EXPECT_EQ(42, touch(q + PAGE));
	EXPECT_EQ(SIGSEGV, touch_signal(q + 2 * PAGE, 0));
	munmap(q, 2 * PAGE);
}

/*
 * O_DIRECT asks for the pages behind the buffer.  The same write from plain
 * memory shows that it is the window that is refused.
 */
TEST_F(window, o_direct_is_refused)
{
	unsigned char *p = map(_metadata, self->fd, PAGE, 0), *plain;
	int disk = open("/dev/ram0", O_RDWR | O_DIRECT);

	if (disk < 0)
		SKIP(return, "needs /dev/ram0 (modprobe brd)");
	plain = aligned_alloc(PAGE, PAGE);
	ASSERT_NE(NULL, plain);
	memset(plain, 1, PAGE);
	EXPECT_EQ(PAGE, pwrite(disk, plain, PAGE, 0));
	EXPECT_EQ(-1, pwrite(disk, p, PAGE, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, pread(disk, p, PAGE, 0));
	EXPECT_EQ(EFAULT, errno);
	free(plain);
	close(disk);
	munmap(p, PAGE);
}

/* Root without CAP_SYS_RAWIO may not open it. */
TEST_F(window, needs_cap_sys_rawio)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct caps[2];

	ASSERT_EQ(0, syscall(SYS_capget, &header, caps));
	caps[0].effective &= ~(1U << CAP_SYS_RAWIO);
	ASSERT_EQ(0, syscall(SYS_capset, &header, caps));
	EXPECT_EQ(-1, open(WINDOW, O_RDONLY));
	EXPECT_EQ(EPERM, errno);
	/* The buffer's node does not ask for it */
	EXPECT_LE(0, open(NODE, O_RDONLY));
	caps[0].effective |= 1U << CAP_SYS_RAWIO;
	ASSERT_EQ(0, syscall(SYS_capset, &header, caps));
	EXPECT_LE(0, open(WINDOW, O_RDONLY));
}

TEST_HARNESS_MAIN
