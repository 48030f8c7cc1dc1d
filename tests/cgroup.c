// SPDX-License-Identifier: GPL-2.0-only
/*
 * A memory cgroup that may have less than its program writes to a buffer: the page cache
 * and what the store ram holds are charged to it.  Version 2; it is mounted for the
 * test.
 */
#include <sys/mount.h>
#include <sys/stat.h>

#include "kselftest_harness.h"
#include "stores.h"

#define CGROUPS "/tmp/vmademo-cgroups"
#define CGROUP	CGROUPS "/box"

/* Makes it; NULL, or why there can be none here. */
static const char *cgroup_make(uint64_t max)
{
	char text[24];

	mkdir(CGROUPS, 0700);
	if (mount("cgroup2", CGROUPS, "cgroup2", 0, NULL))
		return "this kernel has no cgroup version 2";
	if (write_text(CGROUPS "/cgroup.subtree_control", "+memory") ||
	    (mkdir(CGROUP, 0700) && errno != EEXIST)) {
		umount(CGROUPS);
		return "no memory controller for cgroup version 2";
	}
	snprintf(text, sizeof(text), "%" PRIu64, max);
	if (write_text(CGROUP "/memory.max", text)) {
		umount(CGROUPS);
		return "the cgroup takes no limit";
	}
	write_text(CGROUP "/memory.swap.max", "0");
	return NULL;
}

/* The calling process joins it. */
static int cgroup_join(void)
{
	return write_text(CGROUP "/cgroup.procs", "0");
}

/* Ends it; nobody may be in it. */
static int cgroup_end(void)
{
	int err = 0;

	/* Whoever has just ended may still be counted */
	for (int i = 0; i < 1000 && (err = rmdir(CGROUP)) && errno == EBUSY; i++)
		usleep(10000);
	write_text(CGROUPS "/cgroup.subtree_control", "-memory");
	return umount(CGROUPS) || err ? -1 : 0;
}

FIXTURE(cgroup)
{
	const char *skip;
	int fd;
};

FIXTURE_VARIANT(cgroup)
{
	uint32_t store;
};

FIXTURE_VARIANT_ADD(cgroup, none){ .store = VMADEMO_STORE_NONE };
FIXTURE_VARIANT_ADD(cgroup, ram){ .store = VMADEMO_STORE_RAM };

FIXTURE_SETUP(cgroup)
{
	self->skip = cgroup_make(32 * MIB);
	if (!self->skip)
		self->fd = create_with(variant->store, 150 * MIB, 0);
}

FIXTURE_TEARDOWN(cgroup)
{
	if (self->skip)
		return;
	EXPECT_ACCOUNT_ADDS_UP(self->fd);
	close(self->fd);
	EXPECT_EQ(0, cgroup_end());
}

/* Whoever writes pays, for the page cache and for what the store holds. */
TEST_F(cgroup, written)
{
	RUN_IF_READY();

	int64_t oom = vmstat("oom_kill");
	int status;
	pid_t pid;

	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		const size_t step = 4 * MIB;
		unsigned char *p;

		if (cgroup_join())
			_exit(1);
		for (size_t at = 0; at + step <= 150 * MIB; at += step) {
			p = mmap(NULL, step, PROT_READ | PROT_WRITE, MAP_SHARED,
				 self->fd, at);
			if (p == MAP_FAILED)
				_exit(2);
			memset(p, 1, step);
			if (msync(p, step, MS_SYNC))
				_exit(3);
			munmap(p, step);
		}
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	TH_LOG("it ended with status %#x, the cgroup has %" PRId64
	       " bytes, %" PRId64 " killed",
	       status, read_number(CGROUP "/memory.current"),
	       vmstat("oom_kill") - oom);
	EXPECT_TRUE(WIFSIGNALED(status) &&
		    (WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGBUS));
	EXPECT_GE(32 * MIB, read_number(CGROUP "/memory.current"));
	EXPECT_EQ(0, fsync(self->fd));
	EXPECT_EQ(0, fd_value(self->fd, "lost_folios"));
}

/* What only the store has counts, until it is given back. */
TEST_F(cgroup, counted)
{
	RUN_IF_READY();

	const int64_t size = 8 * MIB;
	int status;
	pid_t pid;

	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		static char page[PAGE_MAX] = { 1 };

		if (cgroup_join())
			_exit(1);
		for (off_t at = 0; at < size; at += PAGE)
			if (pwrite(self->fd, page, PAGE, at) != PAGE)
				_exit(2);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	ASSERT_EQ(0, fsync(self->fd));
	if (variant->store == VMADEMO_STORE_RAM) {
		ASSERT_EQ(0, power_cut(self->fd));
		EXPECT_EQ(0, fd_value(self->fd, "cached_bytes"));
	}
	EXPECT_LE(size, read_number(CGROUP "/memory.current"));
	/* Until it is flushed, a power cut would bring it back */
	ASSERT_EQ(0, ftruncate(self->fd, 0));
	ASSERT_EQ(0, fsync(self->fd));
	/* What is counted per processor comes later */
	for (int i = 0; i < 500; i++) {
		if (read_number(CGROUP "/memory.current") < size / 2)
			break;
		usleep(10000);
	}
	EXPECT_GT(size / 2, read_number(CGROUP "/memory.current"));
}

/* More than the cgroup may have: refused, and given back. */
TEST_F(cgroup, allocated)
{
	RUN_IF_READY();

	int64_t cached = fd_value(self->fd, "cached_bytes"), free;
	int status;
	pid_t pid;

	free = meminfo("MemFree");
	/* Often enough that what is kept would be seen beside what the kernel frees later */
	for (int i = 0; i < 5; i++) {
		pid = fork();
		ASSERT_LE(0, pid);
		if (pid == 0) {
			if (cgroup_join())
				_exit(1);
			if (!fallocate(self->fd, 0, 0, 100 * MIB))
				_exit(2);
			_exit(errno == ENOSPC || errno == ENOMEM || errno == EINTR
				      ? 0
				      : 3);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(status == 0 ||
			    (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL))
		TH_LOG("status %#x", status);
		EXPECT_EQ(cached, fd_value(self->fd, "cached_bytes"));
	}
	EXPECT_LT(free - 64 * (int64_t)MIB, meminfo("MemFree"));
}

/* A memfd below: the task that made the buffer pays, not the kernel's worker. */
TEST(memfd_below)
{
	const char *skip = cgroup_make(32 * MIB);
	int status;
	pid_t pid;

	if (skip)
		SKIP(return, "%s", skip);
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		static char bytes[4 * MIB] = { 1 };
		int lower = memfd_create("below", MFD_CLOEXEC), fd;

		if (cgroup_join() || ftruncate(lower, 100 * MIB))
			_exit(1);
		fd = create_with(VMADEMO_STORE_FILE, 0, lower);
		if (fd < 0)
			_exit(1);
		for (size_t at = 0; at < 100 * MIB; at += sizeof(bytes))
			if (pwrite(fd, bytes, sizeof(bytes), at) < 0 || fsync(fd))
				_exit(2);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_NE(0, status) TH_LOG("100 MiB are in a cgroup of 32 MiB");
	EXPECT_FALSE(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	EXPECT_GE(32 * MIB, read_number(CGROUP "/memory.peak") < 0
				    ? 0
				    : read_number(CGROUP "/memory.peak"));
	EXPECT_EQ(0, cgroup_end());
}

TEST_HARNESS_MAIN
