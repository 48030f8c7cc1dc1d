// SPDX-License-Identifier: GPL-2.0-only
/*
 * prealloc=1: all of the node's buffer is allocated when the module is loaded.  Then no
 * page is made later, and none is refused; and a load that fails keeps nothing.
 *
 * Loads the module; VMADEMO_KO names it.
 */
#include <sys/stat.h>

#include "params_fixture.h"
#include "stores.h"

#define SIZE	   (32 * MIB)
#define FILE_BELOW "/tmp/vmademo-prealloc"

/* What is counted per processor may be this far off */
#define ABOUT (4 * MIB)

/* A leak repeats; what the kernel keeps for later, the first time, does not. */
#define ROUNDS 3

static unsigned char *map_node(struct __test_metadata *_metadata, size_t size)
{
	int fd = open(NODE, O_RDWR | O_CLOEXEC);
	unsigned char *p;

	ASSERT_GE(fd, 0);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	close(fd);
	return p;
}

static void prealloc_without_a_store(struct __test_metadata *_metadata)
{
	unsigned char *p;

	ASSERT_EQ(0, load_module("size=32M prealloc=1"));
	EXPECT_EQ(SIZE, node_value("cached_bytes"));
	p = map_node(_metadata, SIZE);
	for (size_t at = 0; at < SIZE; at += 64) {
		ASSERT_EQ(0, *(uint64_t *)(p + at));
	}
	/* No page is made for a read; but compaction may have a folio locked for a moment */
	EXPECT_GE(2, node_value("read_faults"));
	for (size_t at = 0; at < SIZE; at += PAGE)
		put(p + at, 1);
	EXPECT_EQ(SIZE, node_value("cached_bytes"));
	/* Or more, if the flusher has come meanwhile */
	EXPECT_LE(in_folios(-1, SIZE), node_value("dirtied_folios"));
	munmap(p, SIZE);
	ASSERT_EQ(0, unload_module());
}

TEST_F(params, without_a_store)
{
	RUN_IF_READY();

	int64_t lost = INT64_MAX;

	for (int i = 0; i < ROUNDS && lost > (int64_t)ABOUT; i++) {
		int64_t free;

		soil_free_memory();
		free = meminfo("MemFree");
		prealloc_without_a_store(_metadata);
		lost = free - meminfo("MemFree");
	}
	EXPECT_GE((int64_t)ABOUT, lost);
}

/* All room is taken, and it is enough. */
TEST_F(params, with_store_ram)
{
	RUN_IF_READY();

	unsigned char *p;
	int fd;

	ASSERT_EQ(0, load_module("store=ram size=32M ram_limit=32M prealloc=1"));
	fd = create_buffer(MIB);
	ASSERT_GE(fd, 0);
	EXPECT_FAILS(ENOSPC, pwrite(fd, "x", 1, 0));
	p = map_node(_metadata, SIZE);
	for (size_t at = 0; at < SIZE; at += PAGE)
		ASSERT_EQ(0, touch_signal(p + at, 1));
	EXPECT_EQ(0, msync(p, SIZE, MS_SYNC));
	EXPECT_EQ(0, node_value("lost_folios"));
	EXPECT_EQ(in_folios(-1, SIZE), node_value("written_folios"));
	munmap(p, SIZE);
	close(fd);
	ASSERT_EQ(0, unload_module());
}

TEST_F(params, with_a_file)
{
	RUN_IF_READY();

	struct stat st;
	int fd = open(FILE_BELOW, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, load_module("store=" FILE_BELOW " size=32M prealloc=1"));
	ASSERT_EQ(0, fstat(fd, &st));
	EXPECT_EQ(SIZE, st.st_size);
	EXPECT_LE(SIZE, 512UL * st.st_blocks);
	ASSERT_EQ(0, unload_module());
	/* Without it, the file has no blocks */
	ASSERT_EQ(0, ftruncate(fd, 0));
	ASSERT_EQ(0, load_module("store=" FILE_BELOW " size=32M"));
	ASSERT_EQ(0, fstat(fd, &st));
	EXPECT_GT(MIB, 512UL * st.st_blocks);
	ASSERT_EQ(0, unload_module());
	close(fd);
	unlink(FILE_BELOW);
}

TEST_F(params, no_room)
{
	RUN_IF_READY();

	static const char *const stores[] = { "none", "ram" };
	char parameters[96], line[256];

	for (int i = 0; i < 2; i++) {
		int64_t lost = INT64_MAX;

		snprintf(parameters, sizeof(parameters),
			 "store=%s size=32M ram_limit=31M prealloc=1", stores[i]);
		for (int j = 0; j < ROUNDS && lost > (int64_t)ABOUT; j++) {
			int64_t free = meminfo("MemFree");

			EXPECT_FAILS(ENOSPC, load_module(parameters));
			EXPECT_EQ(1, log_lines(self->kmsg, line, sizeof(line)));
			EXPECT_NE(NULL, strstr(line, "prealloc=1"))
			TH_LOG("%s", line);
			EXPECT_FALSE(module_is_loaded());
			EXPECT_EQ(-1, access(NODE, F_OK));
			lost = free - meminfo("MemFree");
		}
		EXPECT_GE((int64_t)ABOUT, lost);
	}
	/* Exactly enough */
	EXPECT_EQ(0, load_module("size=32M ram_limit=32M prealloc=1"));
	EXPECT_EQ(0, unload_module());
}

/* Who loads it is killed in the middle: nothing of it is left. */
TEST_F(params, killed)
{
	RUN_IF_READY();

	/* Longer than it takes to start a process, not to kill it */
	const int64_t size = meminfo("MemTotal") / 3 / (2 * MIB) * 2 * MIB;
	int64_t free = meminfo("MemFree");
	char parameters[64], line[256];
	int ended = 0, status;

	snprintf(parameters, sizeof(parameters), "size=%" PRId64 " prealloc=1",
		 size);
	for (int i = 0; i < 20 && !ended; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(load_module(parameters));
		while (free - meminfo("MemFree") < size / 8 &&
		       !module_is_loaded() && !waitpid(pid, &status, WNOHANG))
			usleep(1000);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		ended = access(NODE, F_OK) && WIFSIGNALED(status);
		if (!ended)
			ASSERT_EQ(0, unload_module());
	}
	EXPECT_NE(0, ended) TH_LOG("it was never in the middle of it");
	EXPECT_FALSE(module_is_loaded());
	/* It was killed when it had twice as much */
	EXPECT_GE(size / 16, free - meminfo("MemFree"));
	EXPECT_LE(1, log_lines(self->kmsg, line, sizeof(line)));
	EXPECT_NE(NULL, strstr(line, "failed to make /dev/vmademo: -"))
	TH_LOG("%s", line);
}

TEST_HARNESS_MAIN
