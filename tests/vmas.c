// SPDX-License-Identifier: GPL-2.0-only
/*
 * How many VMAs map the buffer: the module counts them when somebody asks.  Whatever is
 * done, its count is that of the kernel, which /proc/PID/maps shows; and what was
 * split joins again, as with any file.
 */
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "kselftest_harness.h"
#include "vmademo_test.h"

#define LEN (32 * PAGE)

FIXTURE(vmas)
{
	int fd;
};

FIXTURE_VIEWS(vmas);

FIXTURE_SETUP(vmas)
{
	self->fd = open_view(variant->view);
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, fd_value(self->fd, "mappings"));
}

FIXTURE_TEARDOWN(vmas)
{
	EXPECT_EQ(0, fd_value(self->fd, "mappings"));
	close(self->fd);
}

/* The lines of /proc/self/maps that are of this file. */
static int64_t lines_of_maps(int fd)
{
	unsigned int major, minor;
	unsigned long inode;
	int64_t lines = 0;
	char line[512];
	struct stat st;
	FILE *f;

	if (fstat(fd, &st))
		return -1;
	f = fopen("/proc/self/maps", "r");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %*s %*s %x:%x %lu", &major, &minor,
			   &inode) == 3 &&
		    inode == st.st_ino && makedev(major, minor) == st.st_dev)
			lines++;
	fclose(f);
	return lines;
}

/* Both accounts say the same, and it is this many. */
#define EXPECT_VMAS(number)                                        \
	do {                                                       \
		EXPECT_EQ(number, fd_value(self->fd, "mappings")); \
		EXPECT_EQ(number, lines_of_maps(self->fd));        \
	} while (0)

static unsigned char *map(struct __test_metadata *_metadata, int fd, int flags)
{
	unsigned char *p = mmap(NULL, LEN, PROT_READ | PROT_WRITE, flags, fd, 0);

	ASSERT_NE(MAP_FAILED, p);
	return p;
}

TEST_F(vmas, a_thousand_in_one_process)
{
	static unsigned char *p[1000];

	for (int i = 0; i < 1000; i++) {
		/* From the last to the first: neighbours that do not join */
		p[i] = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			    i % 3 ? MAP_SHARED : MAP_PRIVATE, self->fd,
			    (999 - i) * 2 * PAGE);
		ASSERT_NE(MAP_FAILED, p[i]);
		put(p[i], i);
	}
	EXPECT_VMAS(1000);
	for (int i = 0; i < 1000; i++)
		EXPECT_EQ((unsigned char)i, touch(p[i]));
	for (int i = 0; i < 1000; i += 2)
		ASSERT_EQ(0, munmap(p[i], PAGE));
	EXPECT_VMAS(500);
	for (int i = 1; i < 1000; i += 2)
		ASSERT_EQ(0, munmap(p[i], PAGE));
	EXPECT_VMAS(0);
}

/* Each process has VMAs of its own, copied by fork. */
TEST_F(vmas, a_hundred_processes)
{
	unsigned char *p = map(_metadata, self->fd, MAP_SHARED);
	static pid_t pid[100];
	int ready[2], end[2];
	char byte;

	ASSERT_EQ(0, pipe(ready));
	ASSERT_EQ(0, pipe(end));
	for (int i = 0; i < 100; i++) {
		pid[i] = fork();
		ASSERT_LE(0, pid[i]);
		if (pid[i] == 0) {
			close(end[1]);
			put(p + i, i + 1);
			if (write(ready[1], "x", 1) != 1)
				_exit(1);
			_exit(read(end[0], &byte, 1) != 0);
		}
	}
	for (int i = 0; i < 100; i++)
		ASSERT_EQ(1, read(ready[0], &byte, 1));
	EXPECT_EQ(101, fd_value(self->fd, "mappings"));
	EXPECT_EQ(1, lines_of_maps(self->fd));
	for (int i = 0; i < 100; i++)
		EXPECT_EQ(i + 1, touch(p + i));
	/* Half of them are killed, the others end by themselves */
	for (int i = 0; i < 50; i++)
		ASSERT_EQ(0, kill(pid[i], SIGKILL));
	close(end[1]);
	for (int i = 0; i < 100; i++) {
		int status;

		ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
		EXPECT_EQ(i < 50 ? SIGKILL : 0, status);
	}
	EXPECT_VMAS(1);
	munmap(p, LEN);
}

/* munmap in the middle makes two of one. */
TEST_F(vmas, split_by_munmap)
{
	unsigned char *p = map(_metadata, self->fd, MAP_SHARED);

	EXPECT_VMAS(1);
	ASSERT_EQ(0, munmap(p, 2 * PAGE));
	EXPECT_VMAS(1);
	ASSERT_EQ(0, munmap(p + LEN - 2 * PAGE, 2 * PAGE));
	EXPECT_VMAS(1);
	ASSERT_EQ(0, munmap(p + 10 * PAGE, 2 * PAGE));
	EXPECT_VMAS(2);
	ASSERT_EQ(0, munmap(p, LEN));
	EXPECT_VMAS(0);
}

/* Another protection, or another advice that is kept in the VMA, too. */
TEST_F(vmas, split_by_flags)
{
	unsigned char *p = map(_metadata, self->fd, MAP_SHARED);

	ASSERT_EQ(0, mprotect(p + 4 * PAGE, 4 * PAGE, PROT_READ));
	EXPECT_VMAS(3);
	ASSERT_EQ(0, madvise(p + 12 * PAGE, 4 * PAGE, MADV_RANDOM));
	EXPECT_VMAS(5);
	ASSERT_EQ(0, mlock(p + 20 * PAGE, 4 * PAGE));
	EXPECT_VMAS(7);
	/* Made equal again they are one */
	ASSERT_EQ(0, munlock(p + 20 * PAGE, 4 * PAGE));
	EXPECT_VMAS(5);
	ASSERT_EQ(0, madvise(p + 12 * PAGE, 4 * PAGE, MADV_NORMAL));
	EXPECT_VMAS(3);
	ASSERT_EQ(0, mprotect(p, LEN, PROT_READ | PROT_WRITE));
	EXPECT_VMAS(1);
	munmap(p, LEN);
}

/*
 * A tracker that protects page after page and takes it back is no nearer to the limit of
 * VMAs than before.
 */
TEST_F(vmas, merged_again)
{
	const size_t pages = 512;
	struct vmademo_info info = { 0 };
	unsigned char *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
				MAP_SHARED, self->fd, 0);

	ASSERT_NE(MAP_FAILED, p);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 1; i < pages; i += 2) {
			ASSERT_EQ(0, mprotect(p + i * PAGE, PAGE, PROT_READ));
		}
		EXPECT_VMAS(pages);
		ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_INFO, &info));
		EXPECT_EQ(pages, info.mappings);
		if (variant->view == NODE_VIEW)
			EXPECT_EQ(pages, node_value("mappings"));
		/* Touched or not, from the front or from the back */
		for (size_t i = 1; i < pages; i += 2) {
			size_t at = round == 1 ? pages - i : i;

			if (round == 2)
				touch(p + at * PAGE);
			ASSERT_EQ(0, mprotect(p + at * PAGE, PAGE,
					      PROT_READ | PROT_WRITE));
		}
		EXPECT_VMAS(1);
		ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_INFO, &info));
		EXPECT_EQ(1, info.mappings);
	}
	/* A private mapping, too, and one that is mapped in pieces */
	ASSERT_EQ(0, munmap(p, pages * PAGE));
	EXPECT_VMAS(0);
	for (size_t i = 0; i < pages; i++) {
		ASSERT_EQ(p + i * PAGE,
			  mmap(p + i * PAGE, PAGE, PROT_READ,
			       MAP_PRIVATE | MAP_FIXED, self->fd, i * PAGE));
	}
	EXPECT_VMAS(1);
	munmap(p, pages * PAGE);
}

/* Mapped side by side, with offsets that go on: they join. */
TEST_F(vmas, neighbours)
{
	unsigned char *p = map(_metadata, self->fd, MAP_SHARED), *q;

	ASSERT_EQ(0, munmap(p + 8 * PAGE, LEN - 8 * PAGE));
	for (int i = 2; i < 4; i++) {
		q = mmap(p + i * 8 * PAGE, 8 * PAGE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, self->fd, i * 8 * PAGE);
		ASSERT_EQ(p + i * 8 * PAGE, q);
	}
	/* The gap is closed last: it touches both */
	q = mmap(p + 8 * PAGE, 8 * PAGE, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, self->fd, 8 * PAGE);
	ASSERT_EQ(p + 8 * PAGE, q);
	EXPECT_VMAS(1);
	for (int i = 0; i < 32; i++)
		put(p + i * PAGE, i);
	munmap(p, LEN);
	/* Each page went where the offset says */
	for (int i = 0; i < 32; i++) {
		unsigned char byte = 0xff;

		EXPECT_EQ(1, pread(self->fd, &byte, 1, i * PAGE));
		EXPECT_EQ(i, byte);
	}
}

/* Mapped over: the old one ends where the new one begins. */
TEST_F(vmas, mapped_over)
{
	unsigned char *p = map(_metadata, self->fd, MAP_SHARED);

	ASSERT_EQ(p + PAGE, mmap(p + PAGE, PAGE, PROT_READ,
				 MAP_PRIVATE | MAP_FIXED, self->fd, 7 * PAGE));
	EXPECT_VMAS(3);
	ASSERT_EQ(p, mmap(p, LEN, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_VMAS(0);
	munmap(p, LEN);
}

/* A mapping that is refused leaves nothing behind. */
TEST_F(vmas, refused)
{
	unsigned char *p = map(_metadata, self->fd, MAP_SHARED);

	EXPECT_EQ(MAP_FAILED,
		  mmap(p, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE,
		       self->fd, 0));
	EXPECT_EQ(EEXIST, errno);
	EXPECT_EQ(MAP_FAILED,
		  mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->fd, 1));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ,
				   MAP_SHARED_VALIDATE | MAP_SYNC, self->fd, 0));
	EXPECT_VMAS(1);
	munmap(p, LEN);
}

/* A child does not get what is marked so, and a program that is run nothing. */
TEST_F(vmas, not_inherited)
{
	unsigned char *p = map(_metadata, self->fd, MAP_SHARED);
	int ready[2], status;
	char byte;
	pid_t pid;

	ASSERT_EQ(0, madvise(p, 8 * PAGE, MADV_DONTFORK));
	EXPECT_VMAS(2);
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0)
		_exit(fd_value(self->fd, "mappings") != 3 ||
		      touch_signal(p, 0) != SIGSEGV ||
		      touch_signal(p + 8 * PAGE, 0));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_VMAS(2);

	/*
	 * When the pipe says that it was closed by exec, what exec left is gone, or
	 * will be as soon as whoever else looked at it in the kernel lets go.
	 */
	ASSERT_EQ(0, pipe2(ready, O_CLOEXEC));
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		execl("/bin/sleep", "sleep", "1000", NULL);
		_exit(1);
	}
	close(ready[1]);
	ASSERT_EQ(0, read(ready[0], &byte, 1));
	for (int i = 0; i < 1000 && fd_value(self->fd, "mappings") != 2; i++)
		usleep(10000);
	EXPECT_VMAS(2);
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(SIGKILL, status);
	munmap(p, LEN);
}

/* Two thousand random changes: the accounts never part. */
TEST_F(vmas, random_changes)
{
	unsigned char *p = map(_metadata, self->fd, MAP_SHARED);
	unsigned int seed = 3;

	for (int step = 0; step < 2000; step++) {
		size_t first = rand_r(&seed) % 32;
		size_t pages = rand_r(&seed) % (32 - first) + 1;
		unsigned char *at = p + first * PAGE;
		int64_t vmas;

		switch (rand_r(&seed) % 6) {
		case 0:
			ASSERT_EQ(0, munmap(at, pages * PAGE));
			break;
		case 1:
			ASSERT_EQ(at, mmap(at, pages * PAGE, PROT_READ,
					   MAP_SHARED | MAP_FIXED, self->fd,
					   first * PAGE));
			break;
		case 2:
			/* ENOMEM if there is a hole in it; done up to there */
			if (mprotect(at, pages * PAGE, PROT_READ | PROT_WRITE))
				ASSERT_EQ(ENOMEM, errno);
			break;
		case 3:
			if (mprotect(at, pages * PAGE, PROT_READ))
				ASSERT_EQ(ENOMEM, errno);
			break;
		case 4:
			if (madvise(at, pages * PAGE,
				    rand_r(&seed) % 2 ? MADV_SEQUENTIAL
						      : MADV_NORMAL))
				ASSERT_EQ(ENOMEM, errno);
			break;
		case 5:
			/* EFAULT if there is a hole in it */
			if (mremap(at, pages * PAGE, pages * PAGE,
				   MREMAP_MAYMOVE | MREMAP_FIXED,
				   p + LEN - pages * PAGE) == MAP_FAILED)
				ASSERT_TRUE(errno == EFAULT || errno == EINVAL);
			break;
		}
		vmas = lines_of_maps(self->fd);
		ASSERT_EQ(vmas, fd_value(self->fd, "mappings"))
		TH_LOG("step %d", step);
	}
	munmap(p, LEN);
}

TEST_HARNESS_MAIN
