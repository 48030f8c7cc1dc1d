// SPDX-License-Identifier: GPL-2.0-only
/*
 * The programs in examples/ do what they say.
 */
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "kselftest_harness.h"
#include "stores.h"

#define main recover_main
#include "../examples/recover.c"
#undef main
#define main msync_again_main
#include "../examples/msync_again.c"
#undef main
#define main ring_main
#include "../examples/ring.c"
#undef main
#define main growing_main
#include "../examples/growing.c"
#undef main

/* What the program printed, in a static place; *status is how it ended. */
static const char *output_of(int (*program)(int, char **), char **argv,
			     int *status)
{
	static char text[2 * PAGE_MAX];
	int argc = 0, ends[2];
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	while (argv[argc])
		argc++;
	fflush(NULL);
	if (pipe(ends))
		return "no pipe";
	pid = fork();
	if (pid == 0) {
		dup2(ends[1], STDOUT_FILENO);
		exit(program(argc, argv));
	}
	close(ends[1]);
	while ((n = read(ends[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += n;
	text[len] = '\0';
	close(ends[0]);
	waitpid(pid, status, 0);
	*status = WIFEXITED(*status) ? WEXITSTATUS(*status) : -WTERMSIG(*status);
	return text;
}

static char *path_of(int fd)
{
	static char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

/* Beyond the end of the buffer the pages are not there, and the program lives. */
TEST(recover)
{
	int fd = create_buffer(2 * PAGE), status;
	char bytes[24];
	char *argv[] = { "recover", path_of(fd), bytes, NULL };

	ASSERT_GE(fd, 0);
	snprintf(bytes, sizeof(bytes), "%lu", 4 * PAGE - 384);
	ASSERT_EQ(1, pwrite(fd, "\5", 1, PAGE + 10));
	EXPECT_STREQ("page 0: 0\npage 1: 5\npage 2: not there\npage 3: not there\n",
		     output_of(recover_main, argv, &status));
	EXPECT_EQ(1, status);
	snprintf(bytes, sizeof(bytes), "%lu", 2 * PAGE);
	EXPECT_STREQ("page 0: 0\npage 1: 5\n",
		     output_of(recover_main, argv, &status));
	EXPECT_EQ(0, status);
	close(fd);
}

/* A touch that is not guarded ends the program, as without the handler. */
TEST(recover_not_guarded)
{
	int fd = create_buffer(PAGE), status;
	unsigned char *p = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	pid_t pid;

	ASSERT_NE(MAP_FAILED, p);
	pid = fork();
	if (pid == 0) {
		unsigned char copy[8];

		guard_begin();
		if (guarded_copy(copy, p + PAGE, 8) || !guarded_copy(copy, p, 8))
			_exit(1);
		touch(p + PAGE);
		_exit(2);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGBUS, WTERMSIG(status));
	munmap(p, 2 * PAGE);
	close(fd);
}

/* More numbers than there are slots: the sender waits for the receiver. */
TEST(ring)
{
	int fd = create_buffer(PAGE), status;
	char *send[] = { "ring", "send", path_of(fd), "1", "2", "3",  "4",
			 "5",	 "6",	 "7",	      "8", "9", "10", NULL };
	char *receive[] = { "ring", "receive", path_of(fd), "4", NULL };
	pid_t pid;

	ASSERT_GE(fd, 0);
	pid = fork();
	if (pid == 0)
		_exit(ring_main(13, send));
	EXPECT_STREQ("1\n2\n3\n4\n", output_of(ring_main, receive, &status));
	EXPECT_EQ(0, status);
	receive[3] = "6";
	EXPECT_STREQ("5\n6\n7\n8\n9\n10\n",
		     output_of(ring_main, receive, &status));
	EXPECT_EQ(0, status);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	close(fd);
}

/* It grows from nothing, over the end of a page; and no room is an error, not SIGBUS. */
TEST(growing)
{
	int fd = create_with(VMADEMO_STORE_RAM, PAGE, 0), status;
	char line[PAGE - 6], expected[2 * PAGE];
	char *argv[] = { "growing", path_of(fd), "begin", "1", "2", NULL };
	struct vmademo_rule full = { .op = VMADEMO_OP_ALLOCATE, .status = ENOSPC };

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, ftruncate(fd, 0));
	EXPECT_STREQ("begin\n1\n2\n", output_of(growing_main, argv, &status));
	EXPECT_EQ(0, status);
	memset(line, 'l', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	argv[2] = line;
	argv[3] = "end";
	argv[4] = NULL;
	snprintf(expected, sizeof(expected), "begin\n1\n2\n%s\nend\n", line);
	EXPECT_STREQ(expected, output_of(growing_main, argv, &status));
	EXPECT_EQ(0, status);
	EXPECT_EQ(strlen(expected), lseek(fd, 0, SEEK_END));
	ASSERT_EQ(0, ioctl(fd, VMADEMO_IOC_RULE_ADD, &full));
	EXPECT_STREQ("", output_of(growing_main, argv, &status));
	EXPECT_EQ(1, status);
	EXPECT_EQ(strlen(expected), lseek(fd, 0, SEEK_END));
	EXPECT_EQ(0, fd_value(fd, "sigbus"));
	close(fd);
}

#define FULL "/tmp/vmademo-full"

/*
 * The store is on a file system that is full.  The wrong program says that it has saved, and
 * after a power cut nothing is there.  The right one says that it has not; and when there
 * is room again, what it has saved is there.
 */
TEST(msync_again)
{
	char *argv[] = { "msync_again", "wrong", NULL, "important", NULL };
	int lower, filler, fd, status;
	char page[PAGE_MAX] = { 1 }, text[16] = "";

	mkdir(FULL, 0700);
	ASSERT_EQ(0, mount("tmpfs", FULL, "tmpfs", 0, "size=16K"));
	lower = open(FULL "/store", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	filler = open(FULL "/filler", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_GE(lower, 0);
	ASSERT_EQ(0, ftruncate(lower, PAGE));
	while (write(filler, page, PAGE) == PAGE)
		;
	fd = create_with(VMADEMO_STORE_FILE, 0, lower);
	ASSERT_GE(fd, 0);
	argv[2] = path_of(fd);
	EXPECT_STREQ("saved\n", output_of(msync_again_main, argv, &status));
	EXPECT_EQ(0, status);
	ASSERT_EQ(0, power_cut(fd));
	ASSERT_EQ(10, pread(fd, text, 10, 0));
	EXPECT_STREQ("", text);
	EXPECT_EQ(1, fd_value(fd, "lost_folios"));

	argv[1] = "right";
	EXPECT_STREQ("not saved\n", output_of(msync_again_main, argv, &status));
	EXPECT_EQ(1, status);
	ASSERT_EQ(0, ftruncate(filler, 0));
	EXPECT_STREQ("saved\n", output_of(msync_again_main, argv, &status));
	EXPECT_EQ(0, status);
	ASSERT_EQ(0, power_cut(fd));
	ASSERT_EQ(10, pread(fd, text, 10, 0));
	EXPECT_STREQ("important", text);
	close(fd);
	close(lower);
	close(filler);
	EXPECT_EQ(0, umount(FULL));
	rmdir(FULL);
}

TEST_HARNESS_MAIN
