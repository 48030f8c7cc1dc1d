// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who else gets at a mapping: other processes, by process_vm_readv and
 * process_vm_writev, by ptrace as a debugger does, by /proc/PID/mem; pipes, by
 * vmsplice; and disks, by O_DIRECT.  A write that comes in one of these ways is
 * dirty, or a private copy, as if the process had written itself.
 */
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "vmademo_test.h"

#define LEN (4 * PAGE)

/* ---- three ways to read and write a long in another process -------------- */

/* Each returns 0, or -1 and errno. */

static int vm_read(pid_t pid, void *addr, long *value)
{
	struct iovec mine = { value, sizeof(*value) };
	struct iovec theirs = { addr, sizeof(*value) };

	return process_vm_readv(pid, &mine, 1, &theirs, 1, 0) < 0 ? -1 : 0;
}

static int vm_write(pid_t pid, void *addr, long value)
{
	struct iovec mine = { &value, sizeof(value) };
	struct iovec theirs = { addr, sizeof(value) };

	return process_vm_writev(pid, &mine, 1, &theirs, 1, 0) < 0 ? -1 : 0;
}

static int peek(pid_t pid, void *addr, long *value)
{
	errno = 0;
	*value = ptrace(PTRACE_PEEKDATA, pid, addr, NULL);
	return errno ? -1 : 0;
}

static int poke(pid_t pid, void *addr, long value)
{
	return ptrace(PTRACE_POKEDATA, pid, addr, value);
}

static int open_mem(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	return open(path, O_RDWR | O_CLOEXEC);
}

static int mem_read(pid_t pid, void *addr, long *value)
{
	int fd = open_mem(pid), err;
	ssize_t n = pread(fd, value, sizeof(*value), (uintptr_t)addr);

	err = errno;
	close(fd);
	errno = err;
	return n < 0 ? -1 : 0;
}

static int mem_write(pid_t pid, void *addr, long value)
{
	int fd = open_mem(pid), err;
	ssize_t n = pwrite(fd, &value, sizeof(value), (uintptr_t)addr);

	err = errno;
	close(fd);
	errno = err;
	return n < 0 ? -1 : 0;
}

static const struct way {
	const char *name;
	int (*read)(pid_t pid, void *addr, long *value);
	int (*write)(pid_t pid, void *addr, long value);
	int error; /* where there is nothing */
	bool force; /* writes even what the process itself may not */
} ways[] = {
	{ "process_vm_readv and _writev", vm_read, vm_write, EFAULT, false },
	{ "ptrace", peek, poke, EIO, true },
	{ "/proc/PID/mem", mem_read, mem_write, EIO, true },
};

#define WAYS (sizeof(ways) / sizeof(ways[0]))

/* ---- a process that has it mapped, and is stopped ------------------------ */

FIXTURE(remote)
{
	const char *skip;
	int fd;
	off_t place;
	pid_t pid;
	/* Addresses in the other process; nothing of it is mapped in this one */
	unsigned char *shared, *private;
	unsigned char *read_only, *private_read_only;
	unsigned char *end; /* the last page of the file, then nothing */
	struct account before;
};

FIXTURE_VIEWS(remote);

static void *map(FIXTURE_DATA(remote) * self, int prot, int flags, off_t offset)
{
	return mmap(NULL, LEN, prot, flags, self->fd, offset);
}

FIXTURE_SETUP(remote)
{
	off_t end = node_value("size");
	int status;

	if (process_vm_readv(getpid(), NULL, 0, NULL, 0, 0) && errno == ENOSYS) {
		self->skip = "this kernel has no process_vm_readv";
		return;
	}

	self->fd = open_view(variant->view);
	ASSERT_GE(self->fd, 0) TH_LOG("%s", strerror(errno));
	self->place = PLACE(1);
	for (long i = 0; i < 4; i++) {
		const long number = 1000 + i;

		ASSERT_EQ(sizeof(number),
			  pwrite(self->fd, &number, sizeof(number),
				 self->place + i * PAGE));
	}
	ASSERT_EQ(0, fsync(self->fd));
	self->shared = map(self, PROT_READ | PROT_WRITE, MAP_SHARED, self->place);
	self->private = map(self, PROT_READ | PROT_WRITE, MAP_PRIVATE,
			    self->place);
	self->read_only = map(self, PROT_READ, MAP_SHARED, self->place);
	self->private_read_only = map(self, PROT_READ, MAP_PRIVATE, self->place);
	self->end = map(self, PROT_READ | PROT_WRITE, MAP_SHARED, end - PAGE);
	ASSERT_NE(MAP_FAILED, self->shared);
	ASSERT_NE(MAP_FAILED, self->private);
	ASSERT_NE(MAP_FAILED, self->read_only);
	ASSERT_NE(MAP_FAILED, self->private_read_only);
	ASSERT_NE(MAP_FAILED, self->end);

	self->pid = fork();
	ASSERT_LE(0, self->pid);
	if (self->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(0);
	}
	ASSERT_EQ(self->pid, waitpid(self->pid, &status, 0));
	ASSERT_TRUE(WIFSTOPPED(status));
	munmap(self->shared, LEN);
	munmap(self->private, LEN);
	munmap(self->read_only, LEN);
	munmap(self->private_read_only, LEN);
	munmap(self->end, LEN);
	self->before = account_of(self->fd);
}

FIXTURE_TEARDOWN(remote)
{
	int status;

	if (self->skip)
		return;
	/* It goes on where it was stopped, and ends by itself */
	EXPECT_EQ(0, ptrace(PTRACE_DETACH, self->pid, NULL, NULL));
	EXPECT_EQ(self->pid, waitpid(self->pid, &status, 0));
	EXPECT_EQ(0, status);
	close(self->fd);
}

static long in_the_file(FIXTURE_DATA(remote) * self, off_t at)
{
	ssize_t n;
	long value;

	n = pread(self->fd, &value, sizeof(value), self->place + at);
	return n == sizeof(value) ? value : -1;
}

/* A read is a read fault of the other process; it dirties nothing. */
TEST_F(remote, reading)
{
	RUN_IF_READY();

	struct account d;

	for (const struct way *way = ways; way < ways + WAYS; way++) {
		long value;

		for (int i = 0; i < 4; i++) {
			EXPECT_EQ(0, way->read(self->pid,
					       self->shared + i * PAGE, &value))
			TH_LOG("%s: %s", way->name, strerror(errno));
			EXPECT_EQ(1000 + i, value);
			EXPECT_EQ(0, way->read(self->pid,
					       self->private + i * PAGE, &value));
			EXPECT_EQ(1000 + i, value);
		}
	}
	d = account_of_since(self->fd, &self->before);
	/* The first has mapped those around it; cached they were */
	EXPECT_EQ(2, d.fault_around_hits);
	EXPECT_EQ(0, d.read_faults);
	EXPECT_EQ(0, d.cow_faults);
	EXPECT_EQ(0, d.first_writes);
	EXPECT_EQ(0, d.dirtied_folios);
}

/* A write to a shared page asks .page_mkwrite, and is in the file. */
TEST_F(remote, writing_to_a_shared_mapping)
{
	RUN_IF_READY();

	int n = 0;

	for (const struct way *way = ways; way < ways + WAYS; way++) {
		unsigned char *p = self->shared + n * PAGE;
		struct account d;

		EXPECT_EQ(0, way->write(self->pid, p, 20 + n))
		TH_LOG("%s: %s", way->name, strerror(errno));
		/* The second write to a page is not the first */
		EXPECT_EQ(0, way->write(self->pid, p + 8, 30 + n));
		EXPECT_EQ(20 + n, in_the_file(self, n * PAGE));
		EXPECT_EQ(30 + n, in_the_file(self, n * PAGE + 8));
		n++;
		d = account_of_since(self->fd, &self->before);
		EXPECT_EQ(n, d.write_faults);
		EXPECT_EQ(n, d.first_writes);
		EXPECT_EQ(in_folios(self->fd, n * PAGE), d.dirtied_folios);
	}
	/* Cleaned, it is protected from them too */
	ASSERT_EQ(0, fsync(self->fd));
	EXPECT_EQ(0, poke(self->pid, self->shared, 1));
	EXPECT_EQ(1, fd_value(self->fd, "dirty_folios"));
}

/* A write to a private page makes the copy that the process itself would make. */
TEST_F(remote, writing_to_a_private_mapping)
{
	RUN_IF_READY();

	int n = 0;

	for (const struct way *way = ways; way < ways + WAYS; way++) {
		unsigned char *p = self->private + n * PAGE;
		struct account d;
		long value = -1;

		EXPECT_EQ(0, way->write(self->pid, p, 20 + n));
		EXPECT_EQ(0, way->read(self->pid, p, &value));
		EXPECT_EQ(20 + n, value);
		EXPECT_EQ(1000 + n, in_the_file(self, n * PAGE));
		n++;
		d = account_of_since(self->fd, &self->before);
		EXPECT_EQ(n, d.cow_faults);
		EXPECT_EQ(0, d.first_writes);
		EXPECT_EQ(0, d.dirtied_folios);
	}
}

/*
 * A debugger may write where the process itself may not, to set breakpoints: but
 * only to a private copy.  The file of a shared mapping is safe from it.
 */
TEST_F(remote, writing_to_read_only_mappings)
{
	RUN_IF_READY();

	int n = 0;

	for (const struct way *way = ways; way < ways + WAYS; way++) {
		unsigned char *p = self->private_read_only + n * PAGE;
		long value = -1;

		EXPECT_EQ(-1, way->write(self->pid, self->read_only, 1));
		EXPECT_EQ(way->error, errno) TH_LOG("%s", way->name);
		EXPECT_EQ(way->force ? 0 : -1, way->write(self->pid, p, 20 + n));
		EXPECT_EQ(0, way->read(self->pid, p, &value));
		EXPECT_EQ(way->force ? 20 + n : 1000 + n, value);
		EXPECT_EQ(1000 + n, in_the_file(self, n * PAGE));
		n++;
	}
	EXPECT_EQ(0, account_of_since(self->fd, &self->before).dirtied_folios);
}

/* Beyond the end: an errno for whoever asks, and no SIGBUS for whose mapping it is. */
TEST_F(remote, beyond_the_end)
{
	RUN_IF_READY();

	int64_t n = 0;

	for (const struct way *way = ways; way < ways + WAYS; way++) {
		long value;

		EXPECT_EQ(-1, way->read(self->pid, self->end + PAGE, &value));
		EXPECT_EQ(way->error, errno) TH_LOG("%s", way->name);
		EXPECT_EQ(-1, way->write(self->pid, self->end + PAGE, 1));
		EXPECT_EQ(way->error, errno) TH_LOG("%s", way->name);
		/* It was a fault all the same, and the fault said SIGBUS */
		n += 2;
		EXPECT_LE(n, account_of_since(self->fd, &self->before).sigbus);
	}
	EXPECT_EQ(0, account_of_since(self->fd, &self->before).cached_bytes);
}

/* Across the end: what there is comes, and no more. */
TEST_F(remote, across_the_end)
{
	RUN_IF_READY();

	unsigned char data[2 * PAGE];
	struct iovec mine = { data, sizeof(data) };
	struct iovec theirs = { self->end, sizeof(data) };
	int mem = open_mem(self->pid);

	ASSERT_EQ(1, pwrite(self->fd, "x", 1, node_value("size") - 1));
	EXPECT_EQ(PAGE, process_vm_readv(self->pid, &mine, 1, &theirs, 1, 0));
	EXPECT_EQ('x', data[PAGE - 1]);
	data[PAGE - 1] = 'y';
	EXPECT_EQ(PAGE, process_vm_writev(self->pid, &mine, 1, &theirs, 1, 0));
	EXPECT_EQ(1, pread(self->fd, data, 1, node_value("size") - 1));
	EXPECT_EQ('y', data[0]);
	EXPECT_EQ(PAGE, pread(mem, data, 2 * PAGE, (uintptr_t)self->end));
	EXPECT_EQ('y', data[PAGE - 1]);
	close(mem);
}

/* ---- this process's own mapping ------------------------------------------ */

FIXTURE(own)
{
	int fd;
	unsigned char *shared, *private;
	struct account before;
};

FIXTURE_VIEWS(own);

FIXTURE_SETUP(own)
{
	self->fd = open_view(variant->view);
	ASSERT_GE(self->fd, 0) TH_LOG("%s", strerror(errno));
	self->shared = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED,
			    self->fd, PLACE(0));
	self->private = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE,
			     self->fd, PLACE(0));
	ASSERT_NE(MAP_FAILED, self->shared);
	ASSERT_NE(MAP_FAILED, self->private);
	memset(self->shared, 1, LEN);
	ASSERT_EQ(0, fsync(self->fd));
	self->before = account_of(self->fd);
}

FIXTURE_TEARDOWN(own)
{
	munmap(self->shared, LEN);
	munmap(self->private, LEN);
	close(self->fd);
}

/* /proc/self/mem is the memory of the program that reads it, as a file. */
TEST_F(own, proc_self_mem)
{
	const int mem = open("/proc/self/mem", O_RDWR);
	unsigned char data[LEN];

	ASSERT_GE(mem, 0);
	EXPECT_EQ(LEN, pread(mem, data, LEN, (uintptr_t)self->shared));
	EXPECT_EQ(0, memcmp(data, self->shared, LEN));
	memset(data, 2, LEN);
	EXPECT_EQ(PAGE, pwrite(mem, data, PAGE, (uintptr_t)self->shared + 10));
	EXPECT_EQ(2, touch(self->shared + PAGE + 9));
	EXPECT_EQ(1, touch(self->shared + PAGE + 10));
	EXPECT_EQ(in_folios(self->fd, 2 * PAGE),
		  account_of_since(self->fd, &self->before).dirtied_folios);
	EXPECT_EQ(PAGE,
		  pwrite(mem, data, PAGE, (uintptr_t)self->private + 2 * PAGE));
	EXPECT_EQ(2, touch(self->private + 2 * PAGE));
	EXPECT_EQ(1, touch(self->shared + 2 * PAGE));
	EXPECT_EQ(in_folios(self->fd, 2 * PAGE),
		  account_of_since(self->fd, &self->before).dirtied_folios);
	close(mem);
}

/* vmsplice gives the page itself to the pipe: later writes show in it. */
TEST_F(own, vmsplice_gives_the_page)
{
	struct iovec iov = { self->shared, PAGE };
	unsigned char data[PAGE];
	int fds[2];

	ASSERT_EQ(0, pipe(fds));
	ASSERT_EQ(PAGE, vmsplice(fds[1], &iov, 1, 0));
	put(self->shared + 5, 55);
	ASSERT_EQ(PAGE, read(fds[0], data, PAGE));
	EXPECT_EQ(1, data[4]);
	EXPECT_EQ(55, data[5]);

	/* The pipe keeps it, when nobody has it mapped any more */
	ASSERT_EQ(PAGE, vmsplice(fds[1], &iov, 1, 0));
	ASSERT_EQ(0, munmap(self->shared, LEN));
	ASSERT_EQ(1, pwrite(self->fd, "x", 1, PLACE(0) + 6));
	ASSERT_EQ(PAGE, read(fds[0], data, PAGE));
	EXPECT_EQ('x', data[6]);
	close(fds[0]);
	close(fds[1]);
}

/* Beyond the end there is no page to give. */
TEST_F(own, vmsplice_beyond_the_end)
{
	void *p = mmap(NULL, LEN, PROT_READ, MAP_SHARED, self->fd,
		       node_value("size") - PAGE);
	struct iovec iov = { p, 2 * PAGE };
	int fds[2];

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, pipe(fds));
	EXPECT_EQ(PAGE, vmsplice(fds[1], &iov, 1, 0));
	iov.iov_base = (char *)p + PAGE;
	EXPECT_FAILS(EFAULT, vmsplice(fds[1], &iov, 1, 0));
	munmap(p, LEN);
	close(fds[0]);
	close(fds[1]);
}

/* A disk reads from the mapping, and writes to it, without a copy in between. */
TEST_F(own, o_direct_of_a_disk)
{
	int disk = open("/dev/ram0", O_RDWR | O_DIRECT);
	struct account d;

	if (disk < 0)
		SKIP(return, "needs /dev/ram0 (modprobe brd)");
	for (size_t i = 0; i < LEN; i++)
		self->shared[i] = i * 7 / 3;
	ASSERT_EQ(LEN, pwrite(disk, self->shared, LEN, 0));
	memset(self->shared, 0, LEN);
	ASSERT_EQ(0, fsync(self->fd));
	self->before = account_of(self->fd);

	/* From the disk to the shared mapping: dirty like any write */
	ASSERT_EQ(2 * PAGE, pread(disk, self->shared, 2 * PAGE, 0));
	d = account_of_since(self->fd, &self->before);
	EXPECT_EQ(2, d.first_writes);
	EXPECT_EQ(in_folios(self->fd, 2 * PAGE), d.dirtied_folios);
	/* To the private one: copies */
	ASSERT_EQ(2 * PAGE,
		  pread(disk, self->private + 2 * PAGE, 2 * PAGE, 2 * PAGE));
	d = account_of_since(self->fd, &self->before);
	EXPECT_EQ(2, d.cow_faults);
	EXPECT_EQ(in_folios(self->fd, 2 * PAGE), d.dirtied_folios);
	for (size_t i = 0; i < 2 * PAGE; i++) {
		ASSERT_EQ((unsigned char)(i * 7 / 3), self->shared[i]);
		ASSERT_EQ((unsigned char)((i + 2 * PAGE) * 7 / 3),
			  self->private[i + 2 * PAGE]);
		ASSERT_EQ(0, self->shared[i + 2 * PAGE]);
	}
	close(disk);
}

TEST_HARNESS_MAIN
