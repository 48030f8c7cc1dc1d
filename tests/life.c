// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long things live: the module is held by open files, by mappings and by
 * paths, lets go after the last, and leaves nothing behind.  Loads and unloads the module;
 * VMADEMO_KO names it.
 */
#include <sys/inotify.h>
#include <sys/stat.h>

#include "kselftest_harness.h"
#include "stores.h"

FIXTURE(life)
{
	const char *skip;
};

FIXTURE_SETUP(life)
{
	if (!getenv("VMADEMO_KO"))
		self->skip = "VMADEMO_KO does not name the module to load";
	else if (!module_is_loaded())
		ASSERT_EQ(0, load_module(""));
}

FIXTURE_TEARDOWN(life)
{
	if (!self->skip && !module_is_loaded())
		load_module("");
}

TEST_F(life, nodes_are_roots_own)
{
	RUN_IF_READY();

	struct stat st;

	ASSERT_EQ(0, stat(NODE, &st));
	EXPECT_EQ(S_IFCHR | 0600, st.st_mode);
	EXPECT_EQ(0, st.st_uid);
	ASSERT_EQ(0, stat(WINDOW, &st));
	EXPECT_EQ(S_IFCHR | 0600, st.st_mode);
	EXPECT_EQ(0, st.st_uid);
}

static void refused(struct __test_metadata *_metadata)
{
	EXPECT_FAILS(EWOULDBLOCK, unload_module());
	EXPECT_TRUE(module_is_loaded());
}

static void unloads(struct __test_metadata *_metadata)
{
	ASSERT_EQ(0, unload_module());
	EXPECT_FALSE(module_is_loaded());
	EXPECT_EQ(-1, access(NODE, F_OK));
	EXPECT_EQ(-1, access(WINDOW, F_OK));
	EXPECT_EQ(-1, access("/sys/class/bdi/vmademo", F_OK));
	EXPECT_EQ(-1, access("/sys/class/misc/vmademo", F_OK));
}

TEST_F(life, open_file_holds_the_module)
{
	RUN_IF_READY();

	static const char *const nodes[] = { NODE, WINDOW };

	for (int i = 0; i < 2; i++) {
		int fd = open(nodes[i], O_RDWR);

		ASSERT_GE(fd, 0);
		refused(_metadata);
		close(fd);
	}
	unloads(_metadata);
}

TEST_F(life, mapping_holds_the_module)
{
	RUN_IF_READY();

	static const char *const nodes[] = { NODE, WINDOW };

	for (int i = 0; i < 2; i++) {
		int fd = open(nodes[i], O_RDWR);
		unsigned char *p;

		ASSERT_GE(fd, 0);
		p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			 0);
		ASSERT_NE(MAP_FAILED, p);
		close(fd);
		put(p, 1);
		refused(_metadata);
		/* One page of it is enough */
		munmap(p, PAGE);
		munmap(p + 2 * PAGE, 2 * PAGE);
		refused(_metadata);
		put(p + PAGE, 1);
		munmap(p + PAGE, PAGE);
	}
	unloads(_metadata);
}

/* A child that exits or is killed with everything mapped lets go of it too. */
TEST_F(life, exit_without_munmap)
{
	RUN_IF_READY();

	for (int killed = 0; killed < 2; killed++) {
		int ready[2], status;
		unsigned char *p;
		char byte;
		pid_t pid;
		int fd;

		fd = open(NODE, O_RDWR);
		ASSERT_GE(fd, 0);
		p = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		ASSERT_NE(MAP_FAILED, p);
		ASSERT_EQ(0, pipe(ready));
		pid = fork();
		ASSERT_LE(0, pid);
		if (pid == 0) {
			int window = open(WINDOW, O_RDWR);

			mmap(NULL, PAGE, PROT_READ, MAP_SHARED, window, 0);
			put(p, 1);
			if (write(ready[1], "x", 1) != 1 || !killed)
				_exit(0);
			pause();
		}
		ASSERT_EQ(1, read(ready[0], &byte, 1));
		munmap(p, MIB);
		close(fd);
		if (killed) {
			EXPECT_EQ(1, node_value("mappings"));
			refused(_metadata);
			kill(pid, SIGKILL);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		close(ready[0]);
		close(ready[1]);
		EXPECT_EQ(0, node_value("mappings"));
		EXPECT_EQ(0,
			  read_number("/sys/class/misc/vmademo-phys0/mappings"));
	}
	unloads(_metadata);
}

/* What is dirty when the module goes, goes with it. */
TEST_F(life, unload_with_dirty_pages)
{
	RUN_IF_READY();

	int64_t dirty, cached;
	char data[MIB];
	int fd;

	if (!machine_is_quiet())
		SKIP(return, "other writers on this machine change Dirty:");
	ASSERT_EQ(0, unload_module());
	dirty = meminfo("Dirty");
	cached = meminfo("Cached");
	ASSERT_EQ(0, load_module(""));
	fd = open(NODE, O_RDWR);
	ASSERT_GE(fd, 0);
	memset(data, 1, sizeof(data));
	for (int i = 0; i < 8; i++)
		ASSERT_EQ(sizeof(data), write(fd, data, sizeof(data)));
	EXPECT_EQ(8 * MIB, meminfo("Dirty") - dirty);
	EXPECT_EQ(8 * MIB, meminfo("Cached") - cached);
	close(fd);
	unloads(_metadata);
	EXPECT_EQ(dirty, meminfo("Dirty"));
	EXPECT_EQ(cached, meminfo("Cached"));
	ASSERT_EQ(0, load_module(""));
	fd = open(NODE, O_RDWR);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(1, read(fd, data, 1));
	EXPECT_EQ(0, data[0]);
	close(fd);
}

static void use_once(struct __test_metadata *_metadata)
{
	static char mib[MIB];
	unsigned char *p;
	int fd = open(NODE, O_RDWR);

	ASSERT_GE(fd, 0);
	p = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	for (size_t at = 0; at < MIB; at += PAGE)
		put(p + at, 1);
	msync(p, MIB / 2, MS_SYNC);
	munmap(p, MIB);
	close(fd);
	fd = open(WINDOW, O_RDWR);
	ASSERT_GE(fd, 0);
	p = mmap(NULL, 2 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	put(p, 1);
	munmap(p, 2 * MIB);
	close(fd);
	/* A store holds pages of its own */
	memset(mib, 2, MIB);
	fd = create_with(VMADEMO_STORE_RAM, MIB, 0);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(MIB, write(fd, mib, MIB));
	ASSERT_EQ(0, fsync(fd));
	close(fd);
}

/*
 * 100 times 1 MiB of buffer, 2 MiB of window, and 1 MiB of buffer on as much of a
 * store, would be 500 MiB, if they were kept; some are allowed for what else goes on in
 * the machine.
 */
TEST_F_TIMEOUT(life, load_and_unload_100_times, 900)
{
	RUN_IF_READY();

	int64_t free_before = 0, inodes = 0;

	for (int i = -5; i < 100; i++) {
		if (i == 0) { /* the first few rounds fill caches */
			free_before = meminfo("MemFree");
			inodes = read_number("/proc/sys/fs/inode-nr");
		}
		if (module_is_loaded())
			ASSERT_EQ(0, unload_module());
		ASSERT_EQ(0, load_module(i % 2 ? "store=ram" : ""));
		use_once(_metadata);
	}
	/* A debug kernel keeps some for itself; a MiB each time is 100 MiB */
	EXPECT_GT((int64_t)(32 * MIB), free_before - meminfo("MemFree"));
	EXPECT_GT(inodes + 50, read_number("/proc/sys/fs/inode-nr"));
	unloads(_metadata);
}

/* As long as there is a way to a buffer, there is the module. */
TEST_F(life, as_long_as_there_is_a_way_to_a_buffer)
{
	RUN_IF_READY();

	int fd = create_buffer(MIB), other, node;
	char path[64];
	void *p;

	ASSERT_GE(fd, 0);
	refused(_metadata);
	/* By a mapping alone */
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	close(fd);
	put(p, 1);
	refused(_metadata);
	munmap(p, PAGE);
	/* By a path to it that was never opened, alone */
	fd = create_buffer(MIB);
	ASSERT_GE(fd, 0);
	other = reopen(fd, O_PATH);
	ASSERT_GE(other, 0);
	close(fd);
	refused(_metadata);
	close(other);

	/* By the view of the node's buffer, and by a path to that */
	node = open(NODE, O_RDWR);
	ASSERT_GE(node, 0);
	fd = open_file_view(node);
	ASSERT_GE(fd, 0);
	close(node);
	other = reopen(fd, O_PATH);
	ASSERT_GE(other, 0);
	refused(_metadata);
	close(fd);
	refused(_metadata);
	close(other);

	/* Whoever only watches a buffer does not hold the module */
	fd = create_buffer(MIB);
	ASSERT_GE(fd, 0);
	other = inotify_init();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (other >= 0)
		EXPECT_LE(0, inotify_add_watch(other, path, IN_MODIFY));
	ASSERT_EQ(1, pwrite(fd, "x", 1, 0));
	refused(_metadata);
	close(fd);

	EXPECT_EQ(0, unload_module()) TH_LOG("%s", strerror(errno));
	close(other);
}

/* Unloading while the last descriptor is on its way: nothing is left behind. */
TEST_F(life, unloading_meets_the_last_close)
{
	RUN_IF_READY();

	for (int round = 0; round < 50; round++) {
		int fd = create_buffer(MIB), status;
		pid_t pid;

		ASSERT_GE(fd, 0);
		ASSERT_EQ(MIB / 4, pwrite(fd, malloc(MIB), MIB / 4, 0));
		pid = fork();
		ASSERT_LE(0, pid);
		if (pid == 0) {
			close(fd);
			_exit(0);
		}
		close(fd);
		while (unload_module())
			if (errno != EWOULDBLOCK)
				break;
		EXPECT_FALSE(module_is_loaded());
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_EQ(0, load_module(""));
	}
}

TEST_HARNESS_MAIN
