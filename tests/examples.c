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

/* What the program printed, in a static place; *status is how it ended. */
static const char *output_of(int (*program)(int, char **), char **argv,
			     int *status)
{
	static char text[1024];
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
	char *argv[] = { "recover", path_of(fd), "16000", NULL };

	ASSERT_GE(fd, 0);
	ASSERT_EQ(1, pwrite(fd, "\5", 1, PAGE + 10));
	EXPECT_STREQ("page 0: 0\npage 1: 5\npage 2: not there\npage 3: not there\n",
		     output_of(recover_main, argv, &status));
	EXPECT_EQ(1, status);
	argv[2] = "8192";
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
	char page[PAGE] = { 1 }, text[16] = "";

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
