// SPDX-License-Identifier: GPL-2.0-only
/*
 * Physical windows by other ways than mapping them: who may open them, read and
 * write, a debugger's access.
 */
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <linux/capability.h>

#include "window_fixture.h"

/* One page, with nothing mapped behind it. */
static unsigned char *map_before_a_hole(struct __test_metadata *_metadata,
					int fd, off_t offset)
{
	unsigned char *room = mmap(NULL, 2 * PAGE, PROT_NONE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char *p = mmap(room, PAGE, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_FIXED, fd, offset);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, munmap(room + PAGE, PAGE));
	return p;
}

/* What a debugger does: it sees and changes what is mapped, touched or not. */
TEST_F(window, peek_and_poke)
{
	RUN_IF_READY();

	unsigned char *p = map(_metadata, self->fd, 4 * PAGE, PAGE);
	unsigned char *ro = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->fd, 0);
	unsigned char page[PAGE];
	unsigned char *last;
	int mem = open("/proc/self/mem", O_RDWR), status;
	uint64_t number = 0x1122334455667788;
	pid_t child;

	ASSERT_NE(MAP_FAILED, ro);
	ASSERT_EQ(8, pwrite(self->fd, &number, 8, 2 * PAGE + 16));
	number = 0;
	ASSERT_EQ(8, pread(mem, &number, 8, (off_t)(uintptr_t)(p + PAGE + 16)));
	EXPECT_EQ(0x1122334455667788, number);
	number = 0x99;
	ASSERT_EQ(8, pwrite(mem, &number, 8,
			    (off_t)(uintptr_t)(p + 3 * PAGE + 24)));
	EXPECT_EQ(0x99, number_at(p + 3 * PAGE + 24));
	/* Across a page border */
	put_number(p + 2 * PAGE - 8, 1);
	put_number(p + 2 * PAGE, 2);
	ASSERT_EQ(8,
		  pread(mem, &number, 8, (off_t)(uintptr_t)(p + 2 * PAGE - 4)));
	EXPECT_EQ(2ULL << 32, number);
	/* Where the mapping ends, so does what is read; and so at the window's end */
	last = map_before_a_hole(_metadata, self->fd, LEN - PAGE);
	put(last + PAGE - 1, 9);
	ASSERT_EQ(100,
		  pread(mem, page, PAGE, (off_t)(uintptr_t)(last + PAGE - 100)));
	EXPECT_EQ(9, page[99]);
	munmap(last, PAGE);
	ASSERT_EQ(8, pwrite(self->fd, &number, 8, 5 * PAGE));
	last = map_before_a_hole(_metadata, self->fd, 4 * PAGE);
	memset(page, 3, PAGE);
	ASSERT_EQ(100, pwrite(mem, page, PAGE,
			      (off_t)(uintptr_t)(last + PAGE - 100)));
	EXPECT_EQ(3, touch(last + PAGE - 1));
	ASSERT_EQ(8, pread(self->fd, page, 8, 5 * PAGE));
	EXPECT_EQ(0, memcmp(page, &number, 8));
	munmap(last, PAGE);
	/* What the program may not write, /proc/self/mem may not either */
	EXPECT_FAILS(EIO, pwrite(mem, &number, 8, (off_t)(uintptr_t)ro));

	child = fork();
	ASSERT_LE(0, child);
	if (child == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		_exit(touch(p) != 77);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_TRUE(WIFSTOPPED(status));
	put(p + 8, 55);
	EXPECT_EQ(55, ptrace(PTRACE_PEEKDATA, child, p + 8, 0) & 0xff);
	EXPECT_EQ(0, ptrace(PTRACE_POKEDATA, child, p, (void *)77L));
	EXPECT_EQ(77, touch(p));
	ptrace(PTRACE_CONT, child, 0, 0);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	close(mem);
	munmap(p, 4 * PAGE);
	munmap(ro, PAGE);
}

/* All that can be copied; but arm64 does not count the 64 bytes in which it cannot go on. */
static bool is_up_to(ssize_t most, ssize_t n)
{
	return n == most ||
	       (strcmp(bar_memtype(), "wb") && n < most && n > most - 64);
}

/* read, write and lseek, as /dev/mem has them, within the window. */
TEST_F(window, read_and_write)
{
	RUN_IF_READY();

	unsigned char *p = map(_metadata, self->fd, LEN, 0);
	unsigned char data[3 * PAGE], back[3 * PAGE];
	unsigned char *edge = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ssize_t n;

	ASSERT_EQ(0, munmap(edge + PAGE, PAGE));
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = i * 7 / 3;
	ASSERT_EQ(2 * PAGE, pwrite(self->fd, data, 2 * PAGE, PAGE + 5));
	for (size_t i = 0; i < 2 * PAGE; i++)
		ASSERT_EQ(data[i], touch(p + PAGE + 5 + i));
	ASSERT_EQ(2 * PAGE, pread(self->fd, back, 2 * PAGE, PAGE + 5));
	EXPECT_EQ(0, memcmp(data, back, 2 * PAGE));

	/* The position moves; it can be anywhere, but not counted from the end */
	ASSERT_EQ(100, lseek(self->fd, 100, SEEK_SET));
	ASSERT_EQ(10, write(self->fd, data, 10));
	EXPECT_EQ(110, lseek(self->fd, 0, SEEK_CUR));
	EXPECT_EQ(2 * LEN, lseek(self->fd, 2 * LEN, SEEK_SET));
	EXPECT_FAILS(EINVAL, lseek(self->fd, 0, SEEK_END));
	EXPECT_FAILS(EOVERFLOW, lseek(self->fd, -1, SEEK_SET));

	/* At the end: reads are short, then 0; writes are short, then EFBIG */
	EXPECT_EQ(10, pwrite(self->fd, data, 100, LEN - 10));
	EXPECT_EQ(10, pread(self->fd, back, 100, LEN - 10));
	EXPECT_EQ(0, pread(self->fd, back, 1, LEN));
	EXPECT_EQ(0, pread(self->fd, back, 1, LEN + PAGE));
	EXPECT_FAILS(EFBIG, pwrite(self->fd, data, 1, LEN));
	EXPECT_EQ(0, pwrite(self->fd, data, 0, LEN));

	/* Bad addresses: what came before is written, or read */
	memset(edge, 7, PAGE);
	put(p + PAGE / 2, 1);
	EXPECT_FAILS(EFAULT, pwrite(self->fd, edge + PAGE, 10, 0));
	n = pwrite(self->fd, edge + PAGE / 2, PAGE, 0);
	EXPECT_TRUE(is_up_to(PAGE / 2, n)) TH_LOG("%zd", n);
	EXPECT_EQ(7, touch(p + n - 1));
	EXPECT_EQ(1, touch(p + PAGE / 2));
	memset(edge, 0, PAGE);
	n = pread(self->fd, edge + PAGE / 2, PAGE, 0);
	EXPECT_TRUE(is_up_to(PAGE / 2, n)) TH_LOG("%zd", n);
	EXPECT_EQ(touch(p + n - 1), edge[PAGE / 2 + n - 1]);
	EXPECT_FAILS(EFAULT, pread(self->fd, edge + PAGE, 10, 0));
	munmap(edge, PAGE);
	munmap(p, LEN);
}

/* A device that maps: what else a file can do is refused. */
TEST_F(window, what_it_has_not_is_refused)
{
	RUN_IF_READY();

	/* What a buffer has, and what nobody has */
	static const unsigned long requests[] = {
		VMADEMO_IOC_CREATE,  VMADEMO_IOC_OPEN_FILE, VMADEMO_IOC_RESIZE,
		VMADEMO_IOC_DISCARD, VMADEMO_IOC_INFO,	    VMADEMO_IOC_RESTORE,
		VMADEMO_IOC_PAGES,   VMADEMO_IOC_STATS,	    _IO(0xBE, 0xff),
	};
	int fds[2];

	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ,
				   MAP_SHARED_VALIDATE | MAP_SYNC, self->fd, 0));
	EXPECT_EQ(EOPNOTSUPP, errno);
	EXPECT_FAILS(EINVAL, open(WINDOW, O_RDWR | O_DIRECT));
	ASSERT_EQ(0, pipe(fds));
	EXPECT_FAILS(EINVAL, splice(self->fd, NULL, fds[1], NULL, PAGE, 0));
	EXPECT_FAILS(EINVAL, ftruncate(self->fd, PAGE));
	EXPECT_FAILS(ENODEV, fallocate(self->fd, 0, 0, PAGE));
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		EXPECT_EQ(-1, ioctl(self->fd, requests[i], NULL));
		EXPECT_EQ(ENOTTY, errno) TH_LOG("request %zu", i);
	}
}

/* Root without CAP_SYS_RAWIO may not open it; another user neither. */
TEST_F(window, who_may_open_it)
{
	RUN_IF_READY();

	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct caps[2];

	ASSERT_EQ(0, syscall(SYS_capget, &header, caps));
	caps[0].effective &= ~(1U << CAP_SYS_RAWIO);
	ASSERT_EQ(0, syscall(SYS_capset, &header, caps));
	EXPECT_FAILS(EPERM, open(WINDOW, O_RDONLY));
	/* The buffer's node does not ask for it */
	EXPECT_LE(0, open(NODE, O_RDONLY));
	caps[0].effective |= 1U << CAP_SYS_RAWIO;
	ASSERT_EQ(0, syscall(SYS_capset, &header, caps));
	EXPECT_LE(0, open(WINDOW, O_RDONLY));

	/* Not even where the mode of the node would let everybody in */
	ASSERT_EQ(0, chmod(WINDOW, 0666));
	ASSERT_EQ(0, setuid(65534));
	EXPECT_FAILS(EPERM, open(WINDOW, O_RDONLY));
	EXPECT_FAILS(EACCES, open(NODE, O_RDONLY));
}

/* The offset of the mapping at p, as /proc/self/maps has it; -1 if there is none. */
static int64_t shown_offset(const void *p)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long long start, offset;
	int64_t found = -1;
	char line[512];

	while (f && found < 0 && fgets(line, sizeof(line), f))
		if (sscanf(line, "%llx-%*x %*s %llx", &start, &offset) == 2 &&
		    start == (uintptr_t)p)
			found = offset;
	if (f)
		fclose(f);
	return found;
}

/*
 * Of an eager private mapping, /proc/PID/maps shows the physical address.  So it
 * takes the right to know it, also if somebody else opened the window; a shared
 * mapping shows the offset in the window, and takes the open file.
 */
TEST_F(window, who_may_see_the_address)
{
	RUN_IF_READY();

	unsigned char *shared = map(_metadata, self->fd, PAGE, PAGE), *private;
	int status;
	pid_t pid;

	EXPECT_EQ(PAGE, shown_offset(shared));
	private = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, self->fd, PAGE);
	if (self->private_ok) {
		ASSERT_NE(MAP_FAILED, private);
		EXPECT_EQ(self->base + PAGE, shown_offset(private));
		munmap(private, PAGE);
	}
	munmap(shared, PAGE);
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		if (setuid(65534))
			_exit(1);
		shared = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->fd, PAGE);
		if (shared == MAP_FAILED || shown_offset(shared) != PAGE)
			_exit(2);
		private = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, self->fd,
			       PAGE);
		if (private != MAP_FAILED)
			_exit(3);
		_exit(errno == (self->private_ok ? EPERM : EINVAL) ? 0 : 4);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_HARNESS_MAIN
