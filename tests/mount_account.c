// SPDX-License-Identifier: GPL-2.0-only
/*
 * What debugfs tells of a mounted tree: its account, beside what statfs and VMADEMO_IOC_INFO say
 * of it; and its rules in words.
 */
#include <pthread.h>
#include <sys/sysmacros.h>

#include "kselftest_harness.h"
#include "../lib/tree.h"
#include "rules.h"

KEEP_A_RULE

FIXTURE(account)
{
	int dir;
	char file[64], rules[64];
};

FIXTURE_SETUP(account)
{
	struct stat st;

	if (access("/sys/kernel/debug/vmademo", F_OK))
		SKIP(return, "no debugfs");
	ASSERT_EQ(0, mount_tree("store=ram,size=256p,folio_size=1p"));
	self->dir = open(TREE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_EQ(0, fstat(self->dir, &st));
	sprintf(self->file, DEBUGFS "tree-%u/account", minor(st.st_dev));
	sprintf(self->rules, DEBUGFS "tree-%u/rules", minor(st.st_dev));
}

FIXTURE_TEARDOWN(account)
{
	close(self->dir);
	EXPECT_EQ(0, umount_tree()) TH_LOG("umount: %s", strerror(errno));
	EXPECT_FAILS(ENOENT, access(self->file, F_OK));
	EXPECT_FAILS(ENOENT, access(self->rules, F_OK));
}

static int read_all(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, size - 1);

	close(fd);
	text[n < 0 ? 0 : n] = '\0';
	return n < 0 ? -1 : 0;
}

/* The number behind a name in the account; -1 if there is none. */
static int64_t number(FIXTURE_DATA(account) * self, const char *name)
{
	const size_t len = strlen(name);
	char text[600];

	if (read_all(self->file, text, sizeof(text)))
		return -1;
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		if (!strncmp(line, name, len) && line[len] == ' ')
			return strtoll(line + len, NULL, 10);
	return -1;
}

static bool is_in(const char *path, const char *what)
{
	char text[1000];

	return !read_all(path, text, sizeof(text)) && strstr(text, what);
}

TEST_F(account, beside_what_others_say)
{
	struct vmademo_crash c = { 0 };
	struct vmademo_info info = { 0 };
	struct vmademo_power off = { .flags = VMADEMO_POWER_OFF }, on = { 0 };
	int fd = new_file(AT "a");

	ASSERT_LE(0, fd);
	EXPECT_EQ(1, number(self, "inodes"));
	EXPECT_EQ(256 * PAGE, number(self, "limit_bytes"));
	EXPECT_EQ(0, number(self, "cuts"));
	EXPECT_TRUE(is_in(self->file, "power on\n"));
	ASSERT_EQ(0, mkdir(AT "d", 0700) + link(AT "a", AT "d/b"));
	ASSERT_EQ((ssize_t)(2 * PAGE),
		  pwrite(fd, (char[2 * PAGE_MAX]){ 1 }, 2 * PAGE, 0));
	EXPECT_EQ(inodes_taken(), number(self, "inodes"));
	EXPECT_EQ(room_taken(), number(self, "bytes"));
	EXPECT_EQ((int64_t)(2 * PAGE), number(self, "bytes"));
	EXPECT_EQ(3, number(self, "pending_names"));

	ASSERT_EQ(0, ioctl(self->dir, VMADEMO_IOC_CRASH, &c));
	ASSERT_EQ(0, ioctl(self->dir, VMADEMO_IOC_INFO, &info));
	EXPECT_EQ(3, (int64_t)info.lost_names);
	EXPECT_EQ(3, number(self, "lost_names"));
	EXPECT_EQ((int64_t)c.lost_folios, number(self, "lost_folios"));
	EXPECT_EQ((int64_t)(2 * PAGE), number(self, "lost_bytes"));
	EXPECT_EQ(0, number(self, "written_folios"));
	EXPECT_EQ(0, number(self, "torn_folios"));
	EXPECT_EQ(1, number(self, "cuts"));
	EXPECT_EQ(0, number(self, "pending_names"));
	close(fd);

	ASSERT_EQ(0, mkdir(AT "e", 0700));
	ASSERT_EQ(0, ioctl(self->dir, VMADEMO_IOC_POWER, &off));
	EXPECT_TRUE(is_in(self->file, "power off\n"));
	EXPECT_EQ(2, number(self, "cuts"));
	EXPECT_EQ(1, number(self, "lost_names"));
	/* What is done meanwhile is undone when it comes back */
	ASSERT_EQ(0, mkdir(AT "f", 0700) + mkdir(AT "f/g", 0700));
	ASSERT_EQ(0, ioctl(self->dir, VMADEMO_IOC_POWER, &on));
	EXPECT_TRUE(is_in(self->file, "power on\n"));
	EXPECT_EQ(2, number(self, "cuts"));
	EXPECT_EQ(3, number(self, "lost_names"));
	ASSERT_EQ(0, sync_tree());
	EXPECT_EQ(0, number(self, "inodes"));
	EXPECT_EQ(0, number(self, "bytes"));
}

TEST_F(account, is_not_for_all)
{
	struct stat st;

	ASSERT_EQ(0, stat(self->file, &st));
	EXPECT_EQ(0400, st.st_mode & 0777);
	ASSERT_EQ(0, stat(self->rules, &st));
	EXPECT_EQ(0600, st.st_mode & 0777);
}

TEST_F(account, rules_in_words)
{
	int fd;

	EXPECT_EQ(0, write_text(self->rules,
				"add,op=create,status=ENOSPC,times=1"));
	EXPECT_TRUE(is_in(self->rules, "op=create,"));
	EXPECT_FAILS(ENOSPC, new_file(AT "a"));
	EXPECT_TRUE(is_in(self->rules, "hits=1\n"));
	fd = new_file(AT "a");
	ASSERT_LE(0, fd);

	/* And of every file */
	EXPECT_EQ(0, write_text(self->rules, "add,op=write,status=EIO"));
	EXPECT_FAILS(EIO, pwrite(fd, "x", 1, 0));
	EXPECT_EQ(0, write_text(self->rules, "removeall"));
	EXPECT_EQ(1, pwrite(fd, "x", 1, 0));
	EXPECT_FALSE(is_in(self->rules, "op="));
	close(fd);
}

TEST_F(account, words_that_are_refused)
{
	static const char *const wrong[] = {
		"add",
		"add,op=nothing,status=EIO",
		"add,op=create,status=SIGBUS",
		"add,op=rename,start=1,status=EIO",
		"add,op=create,status=EIO,status=EIO",
		"del,id=77",
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		EXPECT_EQ(-1, write_text(self->rules, wrong[i]))
		TH_LOG("%s", wrong[i]);
	}
	EXPECT_FALSE(is_in(self->rules, "op="));
}

/* Who has it open does not keep the tree. */
TEST_F(account, open_while_the_tree_goes)
{
	int a = open(self->file, O_RDONLY | O_CLOEXEC);
	int r = open(self->rules, O_RDWR | O_CLOEXEC);
	char c;

	ASSERT_LE(0, r);
	ASSERT_EQ(0, mkdir(AT "pending", 0700));
	EXPECT_TRUE(is_in(self->file, "pending_names 1"));
	close(self->dir);
	ASSERT_EQ(0, umount_tree());
	EXPECT_FAILS(EIO, read(a, &c, 1));
	EXPECT_FAILS(EIO, write(r, "removeall", 9));
	close(a);
	close(r);
	ASSERT_EQ(0, mount_tree("store=none"));
	self->dir = open(TREE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	EXPECT_FALSE(is_in(self->file, "pending_names 1"));
}

static void *read_on(void *arg)
{
	const char *file = arg;
	char text[600];

	for (int i = 0; i < 3000; i++) {
		read_all(file, text, sizeof(text));
		write_text("/dev/null", text);
	}
	return NULL;
}

/* Read while trees come and go, and are cut. */
TEST_F(account, read_while_trees_come_and_go)
{
	struct vmademo_crash c;
	pthread_t readers[2];

	ASSERT_EQ(0, pthread_create(&readers[0], NULL, read_on, self->file));
	ASSERT_EQ(0, pthread_create(&readers[1], NULL, read_on, self->rules));
	for (int i = 0; i < 60; i++) {
		close(new_file(AT "a"));
		c = (struct vmademo_crash){ .seed = i, .written_permille = 500 };
		ASSERT_EQ(0, ioctl(self->dir, VMADEMO_IOC_CRASH, &c));
		close(self->dir);
		ASSERT_EQ(0, umount_tree());
		ASSERT_EQ(0, mount_tree("store=ram"));
		self->dir = open(TREE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(readers[i], NULL);
}

TEST_HARNESS_MAIN
