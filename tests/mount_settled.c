// SPDX-License-Identifier: GPL-2.0-only
/*
 * What makes names and sizes durable though nobody asked for a sync: a log that is full, no
 * room, a remount.  And what does not: that another tree is full.
 */
#include <sys/xattr.h>

#include "names_fixture.h"

#define OTHER "/tmp/vmademo-other"

/* The signal that ends who writes to all pages of a mapping; 0 if none. */
static int fill_signal(int fd, size_t size)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		char *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
				 fd, 0);

		memset(map, 'x', size);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

/* What was removed takes room until that is durable, or until somebody wants the room. */
TEST_F(names, room)
{
	char text[PAGE * 200];
	int fd;

	memset(text, 'x', sizeof(text));
	for (int i = 0; i < 5; i++) {
		fd = new_file(AT "a");
		ASSERT_LE(0, fd);
		ASSERT_EQ(sizeof(text), write(fd, text, sizeof(text)))
		TH_LOG("round %d: %s", i, strerror(errno));
		ASSERT_EQ(0, fsync(fd));
		close(fd);
		ASSERT_EQ(0, unlink(AT "a"));
	}
	/* The same by a mapping, that raises no SIGBUS */
	fd = new_file(AT "b");
	ASSERT_EQ(0, ftruncate(fd, sizeof(text)));
	EXPECT_EQ(0, fill_signal(fd, sizeof(text)));
	close(fd);
	ASSERT_EQ(0, unlink(AT "b"));
	/* And inodes */
	for (int i = 0; i < 600; i++) {
		fd = new_file(AT "c");
		ASSERT_LE(0, fd) TH_LOG("file %d: %s", i, strerror(errno));
		close(fd);
		ASSERT_EQ(0, unlink(AT "c"));
	}
	ASSERT_EQ(0, sync_tree());
	EXPECT_EQ(0, room_taken());
	EXPECT_EQ(0, inodes_taken());
}

/* The operation after 4,096 makes all of it durable, and none that comes later. */
TEST_F(names, full)
{
	const int lost = !variant->durable;

	ASSERT_EQ(0, write_file(AT "a", "text"));
	ASSERT_EQ(0, sync_tree());
	for (int round = 0; round < 5; round++) {
		for (int i = 1; i <= 4096; i++)
			ASSERT_EQ(0, chmod(AT "a", i % 2 ? 0600 : 0640));
		EXPECT_EQ(4096 * lost, info_of_tree(self->dir).pending_names);
		ASSERT_EQ(0, rename(AT "a", AT "b"));
		ASSERT_EQ(0, rename(AT "b", AT "c"));
		EXPECT_EQ(lost, info_of_tree(self->dir).pending_names);
		EXPECT_EQ(lost, cut(self->dir));
		EXPECT_EQ(variant->durable, is_there(AT "c"));
		EXPECT_EQ(lost, is_there(AT "b"));
		ASSERT_EQ(0, rename(lost ? AT "b" : AT "c", AT "a"));
		ASSERT_EQ(0, sync_tree());
	}
	if (variant->posix || variant->durable)
		return;
	/* A size counts, too: here the last one, and after that */
	for (int round = 1; round <= 5; round++) {
		struct stat st;

		for (int i = 1; i <= 4096; i++)
			ASSERT_EQ(0, chmod(AT "a", i % 2 ? 0600 : 0640));
		ASSERT_EQ(0, truncate(AT "a", round * 100));
		EXPECT_EQ(0, info_of_tree(self->dir).pending_names);
		ASSERT_EQ(0, truncate(AT "a", 10));
		EXPECT_EQ(1, info_of_tree(self->dir).pending_names);
		EXPECT_EQ(1, cut(self->dir));
		ASSERT_EQ(0, stat(AT "a", &st));
		EXPECT_EQ(round * 100, st.st_size);
	}
}

/* The same for attributes, which are durable at once. */
TEST_F(names, room_for_attributes)
{
	static char value[20000];
	char text[PAGE * 255];
	int fd = new_file(AT "a");

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, mkdir(AT "d", 0700));
	memset(text, 'x', sizeof(text));
	ASSERT_EQ(sizeof(text), write(fd, text, sizeof(text)));
	ASSERT_EQ(0, fsync(fd));
	ASSERT_EQ(0, sync_tree());
	EXPECT_FAILS(ENOSPC, setxattr(AT "d", "user.a", value, sizeof(value), 0));
	/* There is what a file that was made smaller has had */
	ASSERT_EQ(0, ftruncate(fd, PAGE));
	EXPECT_EQ(0, setxattr(AT "d", "user.a", value, sizeof(value), 0));
	ASSERT_EQ(0, removexattr(AT "d", "user.a"));
	ASSERT_EQ(sizeof(text), pwrite(fd, text, sizeof(text), 0));
	ASSERT_EQ(0, fsync(fd));
	EXPECT_FAILS(ENOSPC, setxattr(AT "d", "user.a", value, sizeof(value), 0));
	/* And what was removed */
	close(fd);
	ASSERT_EQ(0, unlink(AT "a"));
	EXPECT_EQ(!variant->durable, info_of_tree(self->dir).pending_names);
	EXPECT_EQ(0, setxattr(AT "d", "user.a", value, sizeof(value), 0));
	EXPECT_EQ(0, info_of_tree(self->dir).pending_names);
	/* More than an inode may have makes no room */
	ASSERT_EQ(0, mkdir(AT "e", 0700));
	EXPECT_EQ(0, setxattr(AT "d", "user.b", text, 60000, 0));
	EXPECT_FAILS(ENOSPC, setxattr(AT "d", "user.c", text, 60000, 0));
	EXPECT_EQ(!variant->durable, info_of_tree(self->dir).pending_names);
}

static const char *text_at(int fd, off_t pos)
{
	static char text[5];

	return pread(fd, text, 4, pos) == 4 ? text : "-";
}

static int64_t size_of_tree(void)
{
	struct statfs s;

	return statfs(TREE, &s) ? -1 : (int64_t)(s.f_blocks * s.f_bsize);
}

static int remount(unsigned long flags, const char *options)
{
	return mount("none", TREE, "vmademo", MS_REMOUNT | flags,
		     options ? in_bytes(options) : NULL);
}

/* Of what is read-only the kernel syncs nothing: so all is durable before. */
TEST_F(names, read_only)
{
	int fd;

	ASSERT_EQ(0, write_file(AT "a", "text"));
	ASSERT_EQ(0, write_file(AT "b", ""));
	/* To the kernel, it is in use as long as the log holds it */
	ASSERT_EQ(0, unlink(AT "b"));
	ASSERT_EQ(0, remount(MS_RDONLY, NULL)) TH_LOG("%s", strerror(errno));
	EXPECT_EQ(0, sync_tree());
	EXPECT_EQ(0, info_of_tree(self->dir).pending_names);
	ASSERT_EQ(0, remount(0, NULL));
	EXPECT_EQ(0, cut(self->dir));
	EXPECT_STREQ("text", text_of(AT "a"));
	EXPECT_FALSE(is_there(AT "b"));

	/* Also if nobody looks at the tree in between */
	fd = new_file(AT "c");
	ASSERT_EQ(0, ftruncate(fd, 3 * PAGE));
	ASSERT_EQ(4, pwrite(fd, "text", 4, 2 * PAGE));
	close(fd);
	ASSERT_EQ(0, remount(MS_RDONLY, NULL));
	EXPECT_EQ(-EROFS, cut(self->dir));
	ASSERT_EQ(0, remount(0, NULL));
	EXPECT_EQ(0, cut(self->dir));
	fd = open(AT "c", O_RDONLY | O_CLOEXEC);
	EXPECT_EQ(3 * (int64_t)PAGE, size_of(fd));
	EXPECT_STREQ("text", text_at(fd, 2 * PAGE));
	close(fd);

	/* Not without power: then it stays as it is, and so do its options */
	ASSERT_EQ(0, write_file(AT "a", "more"));
	ASSERT_EQ(0, power_off(self->dir));
	EXPECT_FAILS(EIO, remount(MS_RDONLY, "size=128p"));
	EXPECT_EQ(0, write_file(AT "d", ""));
	ASSERT_EQ(0, unlink(AT "d"));
	EXPECT_FAILS(variant->durable ? EIO : EBUSY, remount(MS_RDONLY, NULL));
	ASSERT_EQ(0, power_on(self->dir));
	EXPECT_EQ(256 * (int64_t)PAGE, size_of_tree());
	EXPECT_EQ(0, remount(MS_RDONLY, NULL));
}

static int fill_tree(const char *path)
{
	char page[PAGE_MAX] = { 0 };
	int fd = new_file(path);

	while (write(fd, page, PAGE) == PAGE)
		;
	close(fd);
	return errno;
}

/* One tree is full: others lose nothing by it. */
TEST_F(names, another_is_full)
{
	int fd = new_file(AT "a");
	struct stat st;

	ASSERT_EQ(0, ftruncate(fd, 8 * PAGE));
	ASSERT_EQ(4, pwrite(fd, "text", 4, 7 * PAGE));
	ASSERT_EQ(0, fsync(fd));
	ASSERT_EQ(0, sync_tree());
	ASSERT_EQ(0, ftruncate(fd, 0));
	ASSERT_EQ(0, rename(AT "a", AT "b"));
	mkdir(OTHER, 0700);
	ASSERT_EQ(0, mount("none", OTHER, "vmademo", 0,
			   in_bytes("store=ram,size=16p")));
	EXPECT_EQ(ENOSPC, fill_tree(OTHER "/full"));
	EXPECT_EQ(0, umount(OTHER));
	rmdir(OTHER);
	EXPECT_LE(0, cut(self->dir));
	EXPECT_EQ(variant->durable, is_there(AT "b"));
	ASSERT_EQ(0, fstat(fd, &st));
	EXPECT_EQ(8 * (int64_t)PAGE, st.st_size);
	EXPECT_STREQ("text", text_at(fd, 7 * PAGE));
	close(fd);
}

/* A buffer without a store lacks no room because of what only waits to be durable. */
TEST(for_store_none)
{
	unsigned char *map;
	char page[PAGE_MAX] = { 0 };
	int fd, none;

	umount2(TREE, MNT_DETACH);
	if (unload_module() || load_module("ram_limit=64p folio_size=1p"))
		SKIP(return, "the module cannot be loaded afresh");
	ASSERT_EQ(0, mount_tree("store=ram,size=256p"));
	for (int round = 0; round < 2; round++) {
		fd = new_file(AT "a");
		for (int i = 0; i < 63; i++)
			ASSERT_EQ(PAGE, write(fd, page, PAGE));
		ASSERT_EQ(0, fsync(fd));
		none = create_with(VMADEMO_STORE_NONE, 32 * PAGE, 0);
		ASSERT_LE(0, none);
		map = mmap(NULL, 32 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			   none, 0);
		EXPECT_EQ(0, touch_signal(map, 1));
		EXPECT_EQ(SIGBUS, touch_signal(map + 31 * PAGE, 1));
		/* Removed, or smaller */
		if (round) {
			ASSERT_EQ(0, ftruncate(fd, 0));
		} else {
			ASSERT_EQ(0, unlink(AT "a"));
			close(fd);
		}
		for (int i = 1; i < 31; i++)
			EXPECT_EQ(0, touch_signal(map + i * PAGE, i % 2));
		EXPECT_EQ(PAGE, pwrite(none, page, PAGE, 31 * PAGE));
		munmap(map, 32 * PAGE);
		close(none);
		if (round)
			close(fd);
	}
	ASSERT_EQ(0, umount_tree());
	ASSERT_EQ(0, unload_module());
	ASSERT_EQ(0, load_module(""));
}

TEST_HARNESS_MAIN
