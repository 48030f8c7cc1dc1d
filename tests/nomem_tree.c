// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory runs out in a mounted tree (nomem.h): what fails has changed no name, takes no room and
 * no inode, and nothing of it can be lost by a power cut.
 */
#include <sys/xattr.h>

#include "../lib/store.h"
#include "../lib/tree.h"
#include "nomem.h"

/* What a failure must leave as it is. */
struct state {
	int64_t room, inodes, pending;
};

static struct state state_of_tree(void)
{
	int fd = open(TREE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct vmademo_info info = { 0 };
	struct state s;

	if (ioctl(fd, VMADEMO_IOC_INFO, &info))
		info.pending_names = -1;
	close(fd);
	s.room = room_taken();
	s.inodes = inodes_taken();
	s.pending = info.pending_names;
	return s;
}

static bool same_state(const struct state *a, const struct state *b)
{
	return a->room == b->room && a->inodes == b->inodes &&
	       a->pending == b->pending;
}

static bool is_there(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/*
 * An operation that makes `path`, which `undo` removes.  What is gone is so for good after
 * sync_tree(), which also has all that was done before durable.
 */
#define EACH_MAKING(path, operation, undo)                            \
	do {                                                          \
		struct state was_, is_;                               \
                                                                      \
		EACH_FAILURE(                                         \
			ASSERT_EQ(0, sync_tree());                    \
			was_ = state_of_tree(), operation,            \
			if (!ok) {                                    \
				is_ = state_of_tree();                \
				EXPECT_TRUE(same_state(&was_, &is_)); \
			} EXPECT_EQ(ok, is_there(path));              \
			if (ok) { undo; });                           \
	} while (0)

TEST_F(nomem, mounting)
{
	RUN_IF_READY();

	mkdir(TREE, 0700);
	EACH_FAILURE(, mount_tree("store=ram,size=256p,names=posix") == 0,
		     if (ok) ASSERT_EQ(0, umount_tree()));
	EXPECT_EQ(-1, umount_tree());
}

TEST_F(nomem, making_names)
{
	RUN_IF_READY();

	int fd;

	ASSERT_EQ(0, mount_tree("store=ram"));
	ASSERT_EQ(0, write_file(AT "old", "old"));
	EACH_MAKING(AT "new", (fd = new_file(AT "new")) >= 0, close(fd);
		    ASSERT_EQ(0, unlink(AT "new")));
	EACH_MAKING(AT "new", mkdir(AT "new", 0700) == 0,
		    ASSERT_EQ(0, rmdir(AT "new")));
	EACH_MAKING(AT "new", symlink("old", AT "new") == 0,
		    ASSERT_EQ(0, unlink(AT "new")));
	EACH_MAKING(AT "new", mknod(AT "new", S_IFIFO | 0600, 0) == 0,
		    ASSERT_EQ(0, unlink(AT "new")));
	EACH_MAKING(AT "new", link(AT "old", AT "new") == 0,
		    ASSERT_EQ(0, unlink(AT "new")));
	EACH_MAKING(AT "new", rename(AT "old", AT "new") == 0,
		    ASSERT_EQ(0, rename(AT "new", AT "old")));
	EXPECT_STREQ("old", text_of(AT "old"));
	EXPECT_EQ(0, umount_tree());
}

/* A file that has no name yet, and gets one. */
TEST_F(nomem, naming_a_file)
{
	RUN_IF_READY();

	char path[64];
	int fd;

	ASSERT_EQ(0, mount_tree("store=ram"));
	EACH_FAILURE(,
		     (fd = open(TREE, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)) >= 0,
		     if (ok) close(fd);
		     EXPECT_EQ(0, state_of_tree().pending));
	fd = open(TREE, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	ASSERT_GE(fd, 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	EACH_MAKING(AT "new",
		    linkat(AT_FDCWD, path, AT_FDCWD, AT "new",
			   AT_SYMLINK_FOLLOW) == 0,
		    break);
	close(fd);
	EXPECT_EQ(0, umount_tree());
}

/* One that goes, or takes another's place: both are as they were if that fails. */
TEST_F(nomem, changing_names)
{
	RUN_IF_READY();

	struct state was, is;

	ASSERT_EQ(0, mount_tree("store=ram"));
	ASSERT_EQ(0, mkdir(AT "d", 0700));
	ASSERT_EQ(0, write_file(AT "b", "b"));
#define EACH_CHANGE(operation)                                      \
	EACH_FAILURE(                                               \
		ASSERT_EQ(0, write_file(AT "a", "a"));              \
		ASSERT_EQ(0, write_file(AT "d/c", "c"));            \
		ASSERT_EQ(0, sync_tree());                          \
		was = state_of_tree(), (operation) == 0, if (!ok) { \
			is = state_of_tree();                       \
			EXPECT_TRUE(same_state(&was, &is));         \
			EXPECT_STREQ("a", text_of(AT "a"));         \
			EXPECT_STREQ("c", text_of(AT "d/c"));       \
		})
	EACH_CHANGE(unlink(AT "a"));
	EACH_CHANGE(rename(AT "a", AT "d/c"));
	EACH_CHANGE(renameat2(AT_FDCWD, AT "a", AT_FDCWD, AT "d/c",
			      RENAME_EXCHANGE));
	EACH_CHANGE(chmod(AT "a", 0640));
	EACH_CHANGE(setxattr(AT "a", "user.x", "value", 5, 0));
	EACH_CHANGE(setxattr(AT "a", "user.x", "other", 5, XATTR_REPLACE));
	EXPECT_STREQ("b", text_of(AT "b"));
	EXPECT_EQ(0, umount_tree());
}

/*
 * A size is part of what a cut can take back: without memory to note it, it stays as it is.
 * Without memory to put aside what is cut off, it is durable at once, and no operation.
 */
TEST_F(nomem, changing_sizes)
{
	RUN_IF_READY();

	struct state was, is;
	int64_t pending;
	int fd, dir;

	ASSERT_EQ(0, mount_tree("store=ram,size=256p"));
	dir = open(TREE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = new_file(AT "a");
	ASSERT_GE(fd, 0);
#define EACH_SIZE(operation, new)                                                \
	EACH_FAILURE(                                                            \
		ASSERT_EQ(0, ftruncate(fd, 0));                                  \
		ASSERT_EQ(2, pwrite(fd, "ab", 2, 0)); ASSERT_EQ(0, sync_tree()); \
		was = state_of_tree(), (operation) == 0,                         \
		if (!ok) {                                                       \
			is = state_of_tree();                                    \
			EXPECT_TRUE(same_state(&was, &is));                      \
			EXPECT_STREQ("ab", text_of(AT "a"));                     \
		} EXPECT_EQ(ok ? (new) : 2, size_of(fd));                        \
		pending = state_of_tree().pending; ASSERT_EQ(0, power_cut(dir)); \
		EXPECT_EQ(ok && !pending ? (new) : 2, size_of(fd)))
	EACH_SIZE(ftruncate(fd, 1), 1);
	EACH_SIZE(ftruncate(fd, 4 * PAGE), 4 * PAGE);
	EACH_SIZE(fallocate(fd, 0, PAGE, PAGE), 2 * PAGE);
	close(dir);
	close(fd);
	EXPECT_EQ(0, umount_tree());
}

/* To take names back and to make them durable needs no memory, but to copy the request. */
TEST_F(nomem, power_cut)
{
	RUN_IF_READY();

	struct vmademo_crash c;
	int dir;

	ASSERT_EQ(0, mount_tree("store=ram"));
	dir = open(TREE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_GE(dir, 0);
	for (int nth = 2; nth <= 20; nth++) {
		c = (struct vmademo_crash){ .seed = nth };
		ASSERT_EQ(0, write_file(AT "a", "a"));
		ASSERT_EQ(0, rename(AT "a", AT "b"));
		ASSERT_EQ(0, mkdir(AT "d", 0700));
		fail_from_now(self->fail_nth, nth);
		if (nth % 2) {
			/* It is done, also if what came of it cannot be copied */
			EXPECT_TRUE(!ioctl(dir, VMADEMO_IOC_CRASH, &c) ||
				    errno == EFAULT);
		} else {
			EXPECT_EQ(0, fsync(dir));
		}
		failed(self->fail_nth);
		EXPECT_EQ(0, state_of_tree().pending);
		EXPECT_EQ(nth % 2 ? 0 : 2, is_there(AT "b") + is_there(AT "d"));
		unlink(AT "b");
		rmdir(AT "d");
		ASSERT_EQ(0, sync_tree());
	}
	close(dir);
	EXPECT_EQ(0, umount_tree());
}

TEST_HARNESS_MAIN
