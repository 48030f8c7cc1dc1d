// SPDX-License-Identifier: GPL-2.0-only
/*
 * What debugfs has: histograms of how long things take, and every mapping of every buffer.
 */
#include <dirent.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/prctl.h>

#include "kselftest_harness.h"
#include "../lib/slow_store.h"
#include "vmademo_test.h"

#define DEBUGFS "/sys/kernel/debug/vmademo/"

#define PAGES 16UL
#define SIZE  (PAGES * PAGE)

static const char *no_debugfs(void)
{
	return access(DEBUGFS "mappings", F_OK) ? "this kernel has no debugfs"
						: NULL;
}

#define RUN_IF_DEBUGFS()                         \
	do {                                     \
		const char *why = no_debugfs();  \
                                                 \
		if (why)                         \
			SKIP(return, "%s", why); \
	} while (0)

/* A file of the directory of the buffer behind fd, in a static place. */
static const char *file_of(int fd, const char *name)
{
	static char path[128];
	struct vmademo_info info = { 0 };

	ioctl(fd, VMADEMO_IOC_INFO, &info);
	snprintf(path, sizeof(path), DEBUGFS "%llu/%s",
		 (unsigned long long)info.ino, name);
	return path;
}

/*
 * How often something was noted that took at least so many nanoseconds; -1 if the file is not
 * what it should be.
 */
static int64_t noted(const char *path, const char *kind, uint64_t at_least)
{
	FILE *f = fopen(path, "r");
	unsigned long long from, count, last = 0;
	char name[32], before[32] = "";
	int64_t sum = 0;
	int n = 0;

	if (!f)
		return -1;
	while (sum >= 0 &&
	       (n = fscanf(f, "%31s %llu %llu\n", name, &from, &count)) == 3) {
		/* A power of two, in order, and not empty */
		if (!count || from & (from - 1) ||
		    (!strcmp(name, before) && from <= last))
			sum = -1;
		else if (!strcmp(name, kind) && from >= at_least)
			sum += count;
		strcpy(before, name);
		last = from;
	}
	fclose(f);
	return n == EOF || n <= 0 ? sum : -1;
}

static bool is_empty(const char *path)
{
	char byte;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool empty = fd >= 0 && read(fd, &byte, 1) == 0;

	close(fd);
	return empty;
}

/* All that can take time. */
static void do_all(struct __test_metadata *_metadata, int fd)
{
	unsigned char *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
				  MAP_SHARED, fd, 0);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, madvise(map, SIZE, MADV_RANDOM));
	for (size_t i = 0; i < PAGES; i++)
		touch(map + i * PAGE);
	for (size_t i = 0; i < PAGES; i += 2)
		put(map + i * PAGE, 1);
	ASSERT_EQ(0, fsync(fd));
	ASSERT_EQ(0, madvise(map, SIZE, MADV_DONTNEED));
	/* (With store none, that keeps them) */
	ASSERT_EQ(0, posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	put(map, 2);
	ASSERT_EQ(0, fdatasync(fd));
	munmap(map, SIZE);
}

static void compare(struct __test_metadata *_metadata, const char *path,
		    const struct account *a)
{
	EXPECT_EQ(a->read_faults + a->write_faults + a->cow_faults,
		  noted(path, "fault", 0));
	EXPECT_EQ(a->first_writes, noted(path, "mkwrite", 0));
	EXPECT_EQ(a->read_in_folios, noted(path, "read_in", 0));
	EXPECT_EQ(a->written_folios, noted(path, "write_out", 0));
	EXPECT_EQ(a->flushes + a->data_flushes, noted(path, "flush", 0));
}

/* As often as it was counted, and not at all while it is off. */
TEST(as_counted)
{
	RUN_IF_DEBUGFS();

	for (uint32_t store = VMADEMO_STORE_NONE; store <= VMADEMO_STORE_RAM;
	     store++) {
		int fd = create_with(store, SIZE, 0);
		struct account before, now;

		ASSERT_GE(fd, 0);
		ASSERT_EQ(0, write_text(DEBUGFS "buffers", "1"));
		EXPECT_EQ(0, read_number(DEBUGFS "latency_on"));
		do_all(_metadata, fd);
		EXPECT_TRUE(is_empty(file_of(fd, "latency")));
		ASSERT_EQ(0, write_text(DEBUGFS "latency_on", "1"));
		EXPECT_EQ(1, read_number(DEBUGFS "latency_on"));
		before = account_of(fd);
		do_all(_metadata, fd);
		now = account_of_since(fd, &before);
		EXPECT_LT(0, now.first_writes);
		EXPECT_LT(0, now.written_folios);
		EXPECT_EQ(!!store, now.read_in_folios > 0);
		compare(_metadata, file_of(fd, "latency"), &now);
		/* Off again, it stays; then it is begun anew */
		ASSERT_EQ(0, write_text(DEBUGFS "latency_on", "0"));
		do_all(_metadata, fd);
		compare(_metadata, file_of(fd, "latency"), &now);
		ASSERT_EQ(0, write_text(file_of(fd, "latency"), "0"));
		EXPECT_TRUE(is_empty(file_of(fd, "latency")));
		close(fd);
		ASSERT_EQ(0, write_text(DEBUGFS "buffers", "0"));
	}
}

/* The node's is always there. */
TEST(node)
{
	RUN_IF_DEBUGFS();

	const char *path = DEBUGFS "vmademo/latency";
	int fd = open(NODE, O_RDWR | O_CLOEXEC);
	struct account before;

	ASSERT_GE(fd, 0);
	EXPECT_TRUE(is_empty(path));
	ASSERT_EQ(0, write_text(DEBUGFS "latency_on", "1"));
	before = account_of(fd);
	do_all(_metadata, fd);
	ASSERT_EQ(0, write_text(DEBUGFS "latency_on", "0"));
	before = account_of_since(fd, &before);
	compare(_metadata, path, &before);
	close(fd);
}

static int write_error(const char *path, const char *text)
{
	return write_text(path, text) ? errno : 0;
}

TEST(switches)
{
	RUN_IF_DEBUGFS();

	EXPECT_EQ(EINVAL, write_error(DEBUGFS "latency_on", "2"));
	EXPECT_EQ(EINVAL, write_error(DEBUGFS "latency_on", "x"));
	EXPECT_EQ(EINVAL, write_error(DEBUGFS "buffers", "2"));
	EXPECT_EQ(0, write_error(DEBUGFS "latency_on", "0"));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, write_error(DEBUGFS "latency_on", "1"));
	EXPECT_EQ(1, read_number(DEBUGFS "latency_on"));
	EXPECT_EQ(0, write_error(DEBUGFS "latency_on", "0"));
}

/* A buffer's directory comes when it is asked for, and goes with the buffer. */
TEST(directories)
{
	RUN_IF_DEBUGFS();

	int first = create_buffer(PAGE), second, held;
	char path[128], byte;

	ASSERT_GE(first, 0);
	EXPECT_EQ(0, read_number(DEBUGFS "buffers"));
	EXPECT_FAILS(ENOENT, access(file_of(first, "latency"), F_OK));
	ASSERT_EQ(0, write_text(DEBUGFS "buffers", "1"));
	EXPECT_EQ(0, access(file_of(first, "latency"), F_OK));
	second = create_with(VMADEMO_STORE_RAM, PAGE, 0);
	ASSERT_GE(second, 0);
	strcpy(path, file_of(second, "latency"));
	EXPECT_EQ(0, access(path, F_OK));
	/* Who reads it does not keep the buffer */
	held = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_GE(held, 0);
	close(second);
	EXPECT_FAILS(ENOENT, access(path, F_OK));
	EXPECT_EQ(-1, read(held, &byte, 1));
	close(held);
	ASSERT_EQ(0, write_text(DEBUGFS "buffers", "0"));
	EXPECT_EQ(0, access(file_of(first, "latency"), F_OK));
	second = create_buffer(PAGE);
	EXPECT_FAILS(ENOENT, access(file_of(second, "latency"), F_OK));
	close(second);
	strcpy(path, file_of(first, "latency"));
	close(first);
	EXPECT_FAILS(ENOENT, access(path, F_OK));
}

/* The wait for a store is in it, also where the fault has given up its lock meanwhile. */
TEST(slow_store)
{
	RUN_IF_DEBUGFS();

	const uint64_t held = 1ULL << 27; /* ns; the store takes longer */
	struct slow slow;
	const char *skip = slow_make(&slow, MUTE_FUSE, SIZE);
	unsigned char *map;
	int fd, status;
	pid_t pid;

	if (skip)
		SKIP(return, "%s", skip);
	fd = create_with(VMADEMO_STORE_FILE, 0, slow.file);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, write_text(DEBUGFS "buffers", "1"));
	ASSERT_EQ(0, write_text(DEBUGFS "latency_on", "1"));
	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	/* Ahead, the file below is asked for it before it is read */
	ASSERT_EQ(0, madvise(map, SIZE, MADV_RANDOM));
	*slow.mute = HOLD_READ;
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0)
		_exit(touch(map));
	for (int i = 0; i < LONG * 100 && *slow.mute != HOLDS_READ; i++)
		usleep(10000);
	ASSERT_EQ(HOLDS_READ, *slow.mute);
	usleep(300000);
	*slow.mute = ANSWER;
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_LE(1, noted(file_of(fd, "latency"), "fault", held));
	EXPECT_LE(1, noted(file_of(fd, "latency"), "read_in", held));
	EXPECT_EQ(0, noted(file_of(fd, "latency"), "write_out", 0));
	ASSERT_EQ(0, write_text(DEBUGFS "latency_on", "0"));
	ASSERT_EQ(0, write_text(DEBUGFS "buffers", "0"));
	munmap(map, SIZE);
	close(fd);
	slow_go(&slow);
	slow_end(&slow);
}

/* ---- mappings ------------------------------------------------------------- */

/* How many lines of it are exactly this. */
static int lines(const char *wanted)
{
	FILE *f = fopen(DEBUGFS "mappings", "r");
	char line[512];
	int n = 0;

	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		n += !strcmp(line, wanted);
	}
	if (f)
		fclose(f);
	return n;
}

/* A kernel without memory cgroups does not know whose an address space is. */
static bool knows_owners(void)
{
	FILE *f = fopen("/proc/kallsyms", "r");
	bool found = false;
	char line[256];

	while (f && !found && fgets(line, sizeof(line), f))
		found = !!strstr(line, " mm_update_next_owner\n");
	if (f)
		fclose(f);
	return found;
}

static const char *line_of(pid_t pid, const char *command, void *p, size_t len,
			   const char *flags, uint64_t offset, uint64_t ino)
{
	static char line[256];

	if (!knows_owners()) {
		pid = 0;
		command = "-";
	}
	snprintf(line, sizeof(line), "%d %s %lx-%lx %s %llx %llu", pid, command,
		 (unsigned long)p, (unsigned long)p + len, flags,
		 (unsigned long long)offset, (unsigned long long)ino);
	return line;
}

TEST(mappings)
{
	RUN_IF_DEBUGFS();

	struct vmademo_info info, node;
	int fd = create_buffer(SIZE), node_fd = open(NODE, O_RDWR | O_CLOEXEC);
	int to_child[2], from_child[2], status;
	unsigned char *shared, *copies, *of_node;
	pid_t pid;
	char byte;

	ASSERT_GE(fd, 0);
	ASSERT_GE(node_fd, 0);
	ASSERT_EQ(0, ioctl(fd, VMADEMO_IOC_INFO, &info));
	ASSERT_EQ(0, ioctl(node_fd, VMADEMO_IOC_INFO, &node));
	shared = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	copies = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 3 * PAGE);
	of_node = mmap(NULL, 2 * PAGE, PROT_NONE, MAP_SHARED, node_fd, PAGE);
	ASSERT_NE(MAP_FAILED, shared);
	ASSERT_NE(MAP_FAILED, copies);
	ASSERT_NE(MAP_FAILED, of_node);
	prctl(PR_SET_NAME, "me");
	EXPECT_EQ(1, lines(line_of(getpid(), "me", shared, SIZE, "rw-s", 0,
				   info.ino)));
	EXPECT_EQ(1, lines(line_of(getpid(), "me", copies, PAGE, "r--p",
				   3 * PAGE, info.ino)));
	EXPECT_EQ(1, lines(line_of(getpid(), "me", of_node, 2 * PAGE, "---s",
				   PAGE, node.ino)));
	/* A child, whose name is awkward */
	ASSERT_EQ(0, pipe(to_child));
	ASSERT_EQ(0, pipe(from_child));
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		prctl(PR_SET_NAME, "a b\nc\\");
		munmap(shared + PAGE, PAGE);
		_exit(write(from_child[1], "x", 1) != 1 ||
		      read(to_child[0], &byte, 1) != 1);
	}
	ASSERT_EQ(1, read(from_child[0], &byte, 1));
	EXPECT_EQ(1, lines(line_of(pid, "a\\040b\\012c\\134", shared, PAGE,
				   "rw-s", 0, info.ino)));
	EXPECT_EQ(1, lines(line_of(pid, "a\\040b\\012c\\134", shared + 2 * PAGE,
				   SIZE - 2 * PAGE, "rw-s", 2 * PAGE, info.ino)));
	EXPECT_EQ(1, lines(line_of(getpid(), "me", shared, SIZE, "rw-s", 0,
				   info.ino)));
	ASSERT_EQ(1, write(to_child[1], "x", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, lines(line_of(pid, "a\\040b\\012c\\134", shared, PAGE,
				   "rw-s", 0, info.ino)));
	munmap(shared, SIZE);
	munmap(copies, PAGE);
	munmap(of_node, 2 * PAGE);
	EXPECT_EQ(0, fd_value(fd, "mappings"));
	EXPECT_EQ(0, lines(line_of(getpid(), "me", shared, SIZE, "rw-s", 0,
				   info.ino)));
	close(fd);
	close(node_fd);
	for (int i = 0; i < 2; i++) {
		close(to_child[i]);
		close(from_child[i]);
	}
}

/* More than fits into a page of text, and each once. */
TEST(many_mappings)
{
	RUN_IF_DEBUGFS();

	enum { MANY = 600 };
	int fd = create_buffer(2 * MANY * PAGE), found = 0;
	struct vmademo_info info;
	char line[512], ino[32];
	FILE *f;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, ioctl(fd, VMADEMO_IOC_INFO, &info));
	for (int i = 0; i < MANY; i++)
		ASSERT_NE(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED,
					   fd, 2L * i * PAGE));
	snprintf(ino, sizeof(ino), " %llu\n", (unsigned long long)info.ino);
	f = fopen(DEBUGFS "mappings", "r");
	ASSERT_NE(NULL, f);
	while (fgets(line, sizeof(line), f))
		found += strlen(line) > strlen(ino) &&
			 !strcmp(line + strlen(line) - strlen(ino), ino);
	fclose(f);
	EXPECT_EQ(MANY, found);
	close(fd);
}

/* ---- all of it at once ----------------------------------------------------- */

/* Read while buffers, mappings and processes come and go. */
TEST(under_load)
{
	RUN_IF_DEBUGFS();

	const char *steps = getenv("VMADEMO_STEPS");
	int rounds = (steps && *steps ? atoi(steps) : 20000) / 100, status;
	atomic_int *stop = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	static char text[65536];
	struct dirent *entry;
	pid_t pid[3];
	char path[300];
	DIR *dir;
	int fd;

	ASSERT_NE(MAP_FAILED, stop);
	ASSERT_EQ(0, write_text(DEBUGFS "latency_on", "1"));
	for (int i = 0; i < 3; i++) {
		pid[i] = fork();
		ASSERT_LE(0, pid[i]);
		while (!pid[i] && !atomic_load(stop)) {
			unsigned char *p;

			fd = create_with(i == 1, SIZE, 0);
			if (fd < 0)
				_exit(1);
			p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
				 fd, 0);
			close(fd);
			put(p, 1);
			if (i == 2 && fork() == 0) {
				put(p + PAGE, 1);
				_exit(0);
			}
			munmap(p, SIZE);
			while (waitpid(-1, NULL, 0) > 0)
				;
		}
		if (!pid[i])
			_exit(0);
	}
	for (int i = 0; i < rounds; i++) {
		if (i % 20 == 0 && code_is_patched_at_once())
			EXPECT_EQ(0, write_text(DEBUGFS "latency_on",
						i / 20 % 2 ? "1" : "0"));
		EXPECT_EQ(0, write_text(DEBUGFS "buffers", i % 2 ? "0" : "1"));
		fd = open(DEBUGFS "mappings", O_RDONLY | O_CLOEXEC);
		EXPECT_LE(0, read(fd, text, sizeof(text)));
		close(fd);
		dir = opendir(DEBUGFS);
		while ((entry = readdir(dir))) {
			snprintf(path, sizeof(path), DEBUGFS "%s/latency",
				 entry->d_name);
			fd = open(path, O_RDWR | O_CLOEXEC);
			if (fd < 0)
				continue;
			/* The buffer may be gone now: then there is an error */
			errno = 0;
			EXPECT_TRUE(read(fd, text, sizeof(text)) >= 0 ||
				    errno == EIO);
			close(fd);
		}
		closedir(dir);
	}
	atomic_store(stop, 1);
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
		EXPECT_EQ(0, status);
	}
	write_text(DEBUGFS "latency_on", "0");
	write_text(DEBUGFS "buffers", "0");
	munmap(stop, PAGE);
}

TEST_HARNESS_MAIN
