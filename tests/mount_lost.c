// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a power cut does to the names of a tree: with names=ordered, names=posix and
 * names=durable; and to what is open, to links, modes and room.
 */
#include "names_fixture.h"

KEEP_A_RULE

/* A new file: which fsync makes its name durable? */
TEST_F(names, created)
{
	const int lost = !variant->durable;
	int fd = new_file(AT "a"), sub;

	EXPECT_EQ(lost, info_of_tree(self->dir).pending_names);
	EXPECT_EQ(lost, cut(self->dir));
	EXPECT_EQ(lost, info_of_tree(self->dir).lost_names);
	EXPECT_EQ(0, info_of_tree(self->dir).pending_names);
	EXPECT_EQ(variant->durable, is_there(AT "a"));
	close(fd);
	unlink(AT "a");
	ASSERT_EQ(0, sync_tree());

	/* That of the file */
	fd = new_file(AT "a");
	EXPECT_EQ(0, fsync(fd));
	EXPECT_EQ(variant->posix, cut(fd));
	EXPECT_EQ(!variant->posix, is_there(AT "a"));
	close(fd);
	unlink(AT "a");
	ASSERT_EQ(0, sync_tree());

	/* That of another one */
	fd = new_file(AT "other");
	EXPECT_EQ(0, sync_tree());
	ASSERT_EQ(0, write_file(AT "a", "text"));
	EXPECT_EQ(0, fdatasync(fd));
	EXPECT_EQ(variant->posix, cut(fd));
	EXPECT_EQ(!variant->posix, is_there(AT "a"));
	unlink(AT "a");
	ASSERT_EQ(0, sync_tree());

	/* That of the directory */
	ASSERT_EQ(0, write_file(AT "a", "text"));
	EXPECT_EQ(0, fsync(self->dir));
	EXPECT_EQ(0, cut(self->dir));
	EXPECT_TRUE(is_there(AT "a"));
	unlink(AT "a");
	ASSERT_EQ(0, sync_tree());

	/* That of another directory */
	ASSERT_EQ(0, mkdir(AT "d", 0700));
	ASSERT_EQ(0, sync_tree());
	sub = open(AT "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_EQ(0, write_file(AT "a", "text"));
	EXPECT_EQ(0, fsync(sub));
	EXPECT_EQ(variant->posix, cut(sub));
	EXPECT_EQ(!variant->posix, is_there(AT "a"));
	close(sub);
	close(fd);
}

/* Whoever syncs a new directory finds what is in it, and the directory. */
TEST_F(names, in_a_new_directory)
{
	int sub;

	ASSERT_EQ(0, mkdir(AT "d", 0700));
	ASSERT_EQ(0, mkdir(AT "d/e", 0700));
	ASSERT_EQ(0, write_file(AT "d/e/a", "text"));
	sub = open(AT "d/e", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	EXPECT_EQ(0, fsync(sub));
	EXPECT_EQ(0, cut(sub));
	EXPECT_TRUE(is_there(AT "d/e/a"));
	close(sub);
}

/* What is removed is there again, with what was stored of it, and is the same file. */
TEST_F(names, removed)
{
	struct stat before, after;
	int fd, d;

	ASSERT_EQ(0, write_file(AT "a", "text"));
	ASSERT_EQ(0, mkdir(AT "d", 0750));
	ASSERT_EQ(0, symlink("to", AT "l"));
	ASSERT_EQ(0, sync_tree());
	fd = open(AT "a", O_RDWR | O_CLOEXEC);
	d = open(AT "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_EQ(0, fstat(fd, &before));
	ASSERT_EQ(0, unlink(AT "a"));
	ASSERT_EQ(0, rmdir(AT "d"));
	ASSERT_EQ(0, unlink(AT "l"));
	/* Another one of that name, now and in between */
	ASSERT_EQ(0, write_file(AT "d", "other"));
	ASSERT_EQ(0, unlink(AT "d"));
	ASSERT_EQ(0, write_file(AT "a", "other"));
	EXPECT_EQ(variant->durable ? 0 : 6, cut(fd));
	if (variant->durable) {
		EXPECT_FALSE(is_there(AT "d"));
		close(fd);
		close(d);
		return;
	}
	EXPECT_STREQ("text", text_of(AT "a"));
	ASSERT_EQ(0, stat(AT "a", &after));
	EXPECT_EQ(before.st_ino, after.st_ino);
	EXPECT_EQ(1, after.st_nlink);
	/* Whoever has it open sees that it is there */
	ASSERT_EQ(0, fstat(fd, &after));
	EXPECT_EQ(1, after.st_nlink);
	EXPECT_EQ(2, pwrite(fd, "ne", 2, 0));
	EXPECT_STREQ("next", (pwrite(fd, "nex", 3, 0), text_of(AT "a")));
	ASSERT_EQ(0, stat(AT "d", &after));
	EXPECT_EQ(S_IFDIR | 0750, after.st_mode);
	EXPECT_EQ(2, after.st_nlink);
	/* The descriptor that was open before is of the same directory */
	close(openat(d, "in", O_CREAT | O_RDWR | O_CLOEXEC, 0600));
	EXPECT_TRUE(is_there(AT "d/in"));
	EXPECT_EQ(1, readlink(AT "l", (char[9]){ 0 }, 1));
	/* And a file system can be mounted on it */
	ASSERT_EQ(0, mount("none", AT "d", "tmpfs", 0, NULL));
	EXPECT_EQ(0, umount(AT "d"));
	close(fd);
	close(d);
}

/* A file whose name is lost is as one that was unlinked while it is open. */
TEST_F(names, open_without_a_name)
{
	struct stat st;
	char *map;
	int fd;

	if (variant->durable)
		SKIP(return, "nothing is lost");
	ASSERT_EQ(0, mkdir(AT "d", 0700));
	fd = new_file(AT "d/a");
	ASSERT_EQ(0, ftruncate(fd, PAGE));
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, chdir(AT "d"));
	/* In order, a size that was set is one, too */
	EXPECT_EQ(variant->posix ? 2 : 3, cut(fd));
	EXPECT_FALSE(is_there(AT "d"));
	ASSERT_EQ(0, fstat(fd, &st));
	EXPECT_EQ(0, st.st_nlink);
	/* Its size was not durable either */
	EXPECT_EQ(0, st.st_size);
	EXPECT_EQ(1, pwrite(fd, "x", 1, 0));
	EXPECT_EQ('x', map[0]);
	EXPECT_FAILS(ENOENT, open("b", O_CREAT | O_RDWR, 0600));
	ASSERT_EQ(0, chdir("/"));
	munmap(map, PAGE);
	close(fd);
	EXPECT_EQ(0, sync_tree());
	EXPECT_EQ(0, room_taken());
	EXPECT_EQ(0, inodes_taken());
}

/* A rename over a file: the old one or the new one, and its data only if that was synced. */
TEST_F(names, replaced)
{
	for (int synced = 0; synced < 2; synced++) {
		int olds = 0, news = 0, empty = 0;

		for (int seed = 0; seed < 40; seed++) {
			struct vmademo_crash c = { .written_permille = 1,
						   .seed = seed };
			const char *text;

			ASSERT_EQ(0, write_file(AT "f", "old"));
			ASSERT_EQ(0, sync_file(AT "f"));
			ASSERT_EQ(0, sync_tree());
			ASSERT_EQ(0, write_file(AT "n", "new"));
			if (synced) {
				ASSERT_EQ(0, sync_file(AT "n"));
			}
			ASSERT_EQ(0, rename(AT "n", AT "f"));
			ASSERT_EQ(0, ioctl(self->dir, VMADEMO_IOC_CRASH, &c));
			text = text_of(AT "f");
			olds += !strcmp(text, "old");
			news += !strcmp(text, "new");
			empty += !strcmp(text, "");
			unlink(AT "n");
			unlink(AT "f");
		}
		EXPECT_EQ(40, olds + news + empty);
		if (synced) {
			EXPECT_EQ(0, empty);
		}
		/* It may be written without being asked, but seldom is */
		EXPECT_LT(0, synced ? news : empty);
		if (variant->durable) {
			EXPECT_EQ(0, olds);
		} else {
			EXPECT_LT(0, olds);
		}
	}
}

/* From one directory to another: with names=posix, each of them is durable by itself. */
TEST_F(names, moved)
{
	static const bool synced[][2] = {
		{ false, false }, { true, false }, { false, true }, { true, true }
	};

	for (size_t i = 0; i < 4; i++) {
		bool from, to;
		struct stat st;

		ASSERT_EQ(0, mkdir(AT "x", 0700));
		ASSERT_EQ(0, mkdir(AT "y", 0700));
		ASSERT_EQ(0, write_file(AT "x/a", "text"));
		ASSERT_EQ(0, sync_file(AT "x/a"));
		ASSERT_EQ(0, sync_tree());
		ASSERT_EQ(0, rename(AT "x/a", AT "y/a"));
		if (synced[i][0]) {
			ASSERT_EQ(0, sync_file(AT "x"));
		}
		if (synced[i][1]) {
			ASSERT_EQ(0, sync_file(AT "y"));
		}
		ASSERT_LE(0, cut(self->dir));
		from = is_there(AT "x/a");
		to = is_there(AT "y/a");
		if (variant->posix) {
			EXPECT_EQ(!synced[i][0], from);
			EXPECT_EQ(synced[i][1], to);
		} else {
			EXPECT_EQ(i > 0 || variant->durable, to);
			EXPECT_EQ(!to, from);
		}
		if (from || to) {
			const char *path = from ? AT "x/a" : AT "y/a";

			EXPECT_STREQ("text", text_of(path));
			ASSERT_EQ(0, stat(path, &st));
			EXPECT_EQ(from + to, st.st_nlink);
		}
		unlink(AT "x/a");
		unlink(AT "y/a");
		ASSERT_EQ(0, rmdir(AT "x"));
		ASSERT_EQ(0, rmdir(AT "y"));
	}
	EXPECT_EQ(0, sync_tree());
	EXPECT_EQ(0, room_taken());
	EXPECT_EQ(0, inodes_taken());
}

/* Mode and owner, which only an fsync of the inode makes durable. */
TEST_F(names, attributes)
{
	struct stat st;

	ASSERT_EQ(0, write_file(AT "a", "text"));
	ASSERT_EQ(0, sync_tree());
	ASSERT_EQ(0, chmod(AT "a", 0640));
	ASSERT_EQ(0, chown(AT "a", 12, 34));
	EXPECT_EQ(variant->durable ? 0 : 2, cut(self->dir));
	ASSERT_EQ(0, stat(AT "a", &st));
	EXPECT_EQ(S_IFREG | (variant->durable ? 0640 : 0600), st.st_mode);
	EXPECT_EQ(variant->durable ? 12 : 0, st.st_uid);
	EXPECT_EQ(variant->durable ? 34 : 0, st.st_gid);
	ASSERT_EQ(0, chmod(AT "a", 0604));
	ASSERT_EQ(0, sync_file(AT "a"));
	EXPECT_EQ(0, cut(self->dir));
	ASSERT_EQ(0, stat(AT "a", &st));
	EXPECT_EQ(S_IFREG | 0604, st.st_mode);
}

/* All happened to be durable, or none; and what is lost is told. */
TEST_F(names, shares)
{
	for (int all = 0; all < 2; all++) {
		struct vmademo_power p = { .flags = VMADEMO_POWER_OFF,
					   .written_permille = all ? 1000 : 0 };

		ASSERT_EQ(0, mkdir(AT "d", 0700));
		ASSERT_EQ(0, write_file(AT "d/a", "text"));
		ASSERT_EQ(0, link(AT "d/a", AT "b"));
		ASSERT_EQ(0, rename(AT "b", AT "c"));
		ASSERT_EQ(0, ioctl(self->dir, VMADEMO_IOC_POWER, &p));
		EXPECT_EQ(all || variant->durable ? 0 : 4, p.lost_names);
		EXPECT_EQ(all || variant->durable, is_there(AT "c"));
		EXPECT_EQ(all || variant->durable, is_there(AT "d/a"));
		ASSERT_EQ(0, power_on(self->dir));
		unlink(AT "d/a");
		unlink(AT "c");
		rmdir(AT "d");
		ASSERT_EQ(0, sync_tree());
	}
	EXPECT_EQ(0, inodes_taken());
}

/* What goes back goes from a directory that is removed, which nothing else holds any more. */
TEST_F(names, from_a_removed_directory)
{
	ASSERT_EQ(0, mkdir(AT "x", 0700));
	ASSERT_EQ(0, mkdir(AT "y", 0700));
	ASSERT_EQ(0, mkdir(AT "z", 0700));
	ASSERT_EQ(0, write_file(AT "x/a", "text"));
	ASSERT_EQ(0, sync_file(AT "x/a"));
	ASSERT_EQ(0, sync_tree());
	ASSERT_EQ(0, rename(AT "x/a", AT "y/a"));
	ASSERT_EQ(0, rename(AT "y/a", AT "z/a"));
	ASSERT_EQ(0, sync_file(AT "y"));
	ASSERT_EQ(0, sync_file(AT "z"));
	ASSERT_EQ(0, unlink(AT "z/a"));
	ASSERT_EQ(0, rmdir(AT "z"));
	ASSERT_EQ(0, fsync(self->dir));
	/* With posix, nobody has made durable that it is gone from the first */
	EXPECT_EQ(variant->posix, cut(self->dir));
	EXPECT_EQ(variant->posix, is_there(AT "x/a"));
	EXPECT_FALSE(is_there(AT "y/a"));
	EXPECT_FALSE(is_there(AT "z"));
	EXPECT_EQ(2 + variant->posix, inodes_taken());
	if (variant->posix) {
		EXPECT_STREQ("text", text_of(AT "x/a"));
		ASSERT_EQ(0, unlink(AT "x/a"));
	}
	ASSERT_EQ(0, rmdir(AT "x"));
	ASSERT_EQ(0, rmdir(AT "y"));
	EXPECT_EQ(0, sync_tree());
	EXPECT_EQ(0, inodes_taken());
}

/* A cut by a rule, at the very moment: what was done before is lost. */
TEST_F(names, by_a_rule)
{
	int fd = new_file(AT "a");
	int64_t id;

	ASSERT_EQ(0, sync_tree());
	id = ADD_RULE(fd, .op = VMADEMO_OP_FLUSH, .times = 1,
		      .flags = VMADEMO_RULE_CRASH);
	ASSERT_LT(0, id);
	ASSERT_EQ(0, rename(AT "a", AT "b"));
	ASSERT_EQ(4, pwrite(fd, "text", 4, 0));
	EXPECT_FAILS(EIO, fsync(fd));
	EXPECT_EQ(0, cut(fd));
	EXPECT_EQ(variant->durable, is_there(AT "b"));
	EXPECT_EQ(!variant->durable, is_there(AT "a"));
	close(fd);
}

/* A file cannot be flushed, and has lost its name: other names, and its end, do not wait for it. */
TEST_F(names, of_one_that_fails)
{
	int fd = new_file(AT "a");

	ASSERT_GE(fd, 0);
	ASSERT_LT(0, ADD_RULE(fd, .op = VMADEMO_OP_FLUSH, .status = EIO));
	ASSERT_EQ(1, write(fd, "x", 1));
	close(fd);
	ASSERT_EQ(0, unlink(AT "a"));
	close(new_file(AT "b"));
	EXPECT_EQ(variant->durable ? 0 : -1, syncfs(self->dir));
	EXPECT_EQ(0, info_of_tree(self->dir).pending_names);
	EXPECT_EQ(0, cut(self->dir));
	EXPECT_TRUE(is_there(AT "b"));
	EXPECT_EQ(1, inodes_taken());
	EXPECT_EQ(0, room_taken());
	/* It is gone, and is told of no more */
	EXPECT_EQ(0, syncfs(self->dir));
}

/* Unmounted, whatever is pending, on and off. */
TEST_F(names, ends_with_the_mount)
{
	for (int off = 0; off < 2; off++) {
		ASSERT_EQ(0, mkdir(AT "d", 0700));
		ASSERT_EQ(0, write_file(AT "d/a", "text"));
		ASSERT_EQ(0, rename(AT "d/a", AT "b"));
		ASSERT_EQ(0, rmdir(AT "d"));
		if (off) {
			ASSERT_EQ(0, power_off(self->dir));
			ASSERT_EQ(0, mkdir(AT "e", 0700));
		}
		close(self->dir);
		ASSERT_EQ(0, umount_tree());
		ASSERT_EQ(0, mount_tree(variant->options));
		self->dir = open(TREE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		EXPECT_EQ(0, inodes_taken());
	}
}

TEST_HARNESS_MAIN
