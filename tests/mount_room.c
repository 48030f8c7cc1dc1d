// SPDX-License-Identifier: GPL-2.0-only
/*
 * The room of a mounted tree: size= is its limit, what goes gives it back, and what was taken
 * is not lost, whatever the machine is short of.
 */
#include <linux/falloc.h>
#include <sys/xattr.h>

#include "kselftest_harness.h"
#include "../lib/tree.h"
#include "stores.h"

#define PAGES 64UL
#define ROOM  "64p" /* so many */

FIXTURE(room)
{
	int64_t used;
	int fd;
};

FIXTURE_VARIANT(room)
{
	const char *options;
	bool ram;
};

FIXTURE_VARIANT_ADD(room, none){
	.options = "store=none,size=" ROOM ",folio_size=1p",
};

FIXTURE_VARIANT_ADD(room, ram){
	.options = "store=ram,names=durable,size=" ROOM ",folio_size=1p",
	.ram = true,
};

FIXTURE_VARIANT_ADD(room, none_large){
	.options = "store=none,size=" ROOM ",folio_size=64K",
};

FIXTURE_VARIANT_ADD(room, ram_large){
	.options = "store=ram,names=durable,size=" ROOM ",folio_size=64K",
	.ram = true,
};

FIXTURE_SETUP(room)
{
	self->used = node_value("ram_used");
	ASSERT_EQ(0, mount_tree(variant->options))
	TH_LOG("mount: %s", strerror(errno));
	self->fd = new_file(AT "a");
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(room)
{
	EXPECT_ACCOUNT_ADDS_UP(self->fd);
	close(self->fd);
	ASSERT_EQ(0, umount_tree());
	/* Of all buffers together, too */
	EXPECT_EQ(self->used, node_value("ram_used"));
}

static void drop_caches(void)
{
	write_text("/proc/sys/vm/drop_caches", "3");
}

static unsigned char *map_file(int fd, size_t len)
{
	return mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

TEST_F(room, write_until_it_is_full)
{
	char page[PAGE];
	int64_t before = node_value("ram_used");
	int other = new_file(AT "b");

	memset(page, 'x', PAGE);
	for (unsigned int i = 0; i < PAGES; i++)
		ASSERT_EQ(PAGE, write(self->fd, page, PAGE));
	EXPECT_EQ(PAGES * PAGE, room_taken());
	EXPECT_EQ(before + (int64_t)(PAGES * PAGE), node_value("ram_used"));
	EXPECT_FAILS(ENOSPC, write(self->fd, page, PAGE));
	EXPECT_FAILS(ENOSPC, write(self->fd, page, 1));
	EXPECT_EQ(PAGES * PAGE, lseek(self->fd, 0, SEEK_END));
	/* The limit is the tree's, not the file's */
	EXPECT_FAILS(ENOSPC, write(other, page, 1));
	EXPECT_EQ(0, lseek(other, 0, SEEK_END));
	/* What is there can be overwritten */
	EXPECT_EQ(PAGE, pwrite(self->fd, page, PAGE, 5 * PAGE));
	/* With a page less, one more; of a longer write as much as fits */
	ASSERT_EQ(0, ftruncate(self->fd, (PAGES - 1) * PAGE));
	EXPECT_EQ((PAGES - 1) * PAGE, room_taken());
	EXPECT_EQ(1, write(other, page, 1));
	EXPECT_EQ(1, pwrite(other, page, 2, PAGE - 1));
	EXPECT_FAILS(ENOSPC, pwrite(other, page, 1, PAGE));
	EXPECT_EQ(PAGE, lseek(other, 0, SEEK_END));
	close(other);
	ASSERT_EQ(0, unlink(AT "b"));
	EXPECT_EQ((PAGES - 1) * PAGE, room_taken());
	EXPECT_EQ(0, fsync(self->fd));
	drop_caches();
	for (unsigned int i = 0; i < PAGES - 1; i++) {
		ASSERT_EQ(PAGE, pread(self->fd, page, PAGE, i * PAGE));
		ASSERT_EQ('x', page[7]);
	}
}

TEST_F(room, a_mapping_raises_sigbus)
{
	unsigned char *map;
	unsigned int i;

	ASSERT_EQ(0, ftruncate(self->fd, 2 * PAGES * PAGE));
	map = map_file(self->fd, 2 * PAGES * PAGE);
	ASSERT_NE(MAP_FAILED, map);
	for (i = 0; i < 2 * PAGES && !touch_signal(map + i * PAGE, 1); i++)
		map[i * PAGE] = i + 1;
	EXPECT_EQ(PAGES, i);
	EXPECT_EQ(PAGES * PAGE, room_taken());
	EXPECT_EQ(SIGBUS, touch_signal(map + i * PAGE, 1));
	/* A hole of store ram needs no room to be read; without a store each page does */
	EXPECT_EQ(variant->ram ? 0 : SIGBUS,
		  touch_signal(map + (2 * PAGES - 1) * PAGE, 0));
	/* Nothing of what got room is lost later */
	EXPECT_EQ(0, msync(map, 2 * PAGES * PAGE, MS_SYNC));
	EXPECT_EQ(0, madvise(map, 2 * PAGES * PAGE, MADV_DONTNEED));
	drop_caches();
	for (unsigned int n = 0; n < i; n++)
		ASSERT_EQ(n + 1, touch(map + n * PAGE));
	/* Room for so much, and it goes on */
	ASSERT_EQ(0, fallocate(self->fd,
			       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			       largest_folio(self->fd)));
	EXPECT_EQ(0, touch_signal(map + i * PAGE, 1));
	EXPECT_EQ(SIGBUS,
		  touch_signal(map + i * PAGE + largest_folio(self->fd), 1));
	EXPECT_EQ(PAGES * PAGE, room_taken());
	munmap(map, 2 * PAGES * PAGE);
}

TEST_F(room, allocated_in_advance)
{
	char page[PAGE_MAX] = { 0 };
	unsigned char *map;

	EXPECT_FAILS(ENOSPC, fallocate(self->fd, 0, 0, (PAGES + 1) * PAGE));
	EXPECT_EQ(0, room_taken());
	EXPECT_EQ(0, lseek(self->fd, 0, SEEK_END));
	/* So many that nobody could list them */
	EXPECT_FAILS(ENOSPC, fallocate(self->fd, 0, 0, 1ULL << 40));
	ASSERT_EQ(0, fallocate(self->fd, 0, 0, PAGES * PAGE));
	EXPECT_EQ(PAGES * PAGE, room_taken());
	map = map_file(self->fd, PAGES * PAGE);
	ASSERT_NE(MAP_FAILED, map);
	for (unsigned int i = 0; i < PAGES; i++)
		ASSERT_EQ(0, touch_signal(map + i * PAGE, 1));
	EXPECT_FAILS(ENOSPC, pwrite(self->fd, page, 1, PAGES * PAGE));
	EXPECT_EQ(PAGES * PAGE, lseek(self->fd, 0, SEEK_END));
	munmap(map, PAGES * PAGE);
	ASSERT_EQ(0, ftruncate(self->fd, 0));
	EXPECT_EQ(0, room_taken());
}

/* A file may be as long as any, and takes room for what is in it. */
TEST_F(room, sparse)
{
	struct stat st;
	char byte;
	off_t far = IS_32_BIT ? 1LL << 40 : (off_t)(MAX_SIZE - PAGE);

	ASSERT_EQ(0, ftruncate(self->fd, far + PAGE));
	EXPECT_EQ(0, room_taken());
	ASSERT_EQ(1, pwrite(self->fd, "x", 1, far));
	ASSERT_EQ(1, pwrite(self->fd, "y", 1, 1 << 20));
	EXPECT_EQ(0, room_taken() % (int64_t)PAGE);
	EXPECT_GE(room_taken(), 2 * PAGE);
	EXPECT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, fstat(self->fd, &st));
	EXPECT_EQ(far + PAGE, st.st_size);
	EXPECT_EQ(room_taken(), st.st_blocks * 512);
	EXPECT_EQ(1 << 20, lseek(self->fd, 0, SEEK_DATA));
	ASSERT_EQ(1, pread(self->fd, &byte, 1, far));
	EXPECT_EQ('x', byte);
	/* Until it is flushed, a power cut would undo it */
	ASSERT_EQ(0, ftruncate(self->fd, 0));
	ASSERT_EQ(0, fsync(self->fd));
	EXPECT_EQ(0, room_taken());
}

/* What has a name stays, closed, unmapped and with the machine short of memory. */
TEST_F(room, nothing_goes_with_memory)
{
	char path[64], text[32];

	ASSERT_EQ(0, mkdir(AT "d", 0700));
	for (int i = 0; i < 16; i++) {
		snprintf(path, sizeof(path), AT "d/%d", i);
		snprintf(text, sizeof(text), "text %d", i);
		ASSERT_EQ(0, write_file(path, text));
		/* Written back or not */
		if (i % 2)
			sync();
	}
	for (int i = 0; i < 3; i++)
		drop_caches();
	for (int i = 0; i < 16; i++) {
		snprintf(path, sizeof(path), AT "d/%d", i);
		snprintf(text, sizeof(text), "text %d", i);
		EXPECT_STREQ(text, text_of(path));
		EXPECT_EQ(0, unlink(path));
	}
	EXPECT_EQ(0, room_taken());
	EXPECT_EQ(2, inodes_taken());
}

/* Files, directories and links take memory themselves: as many as there are pages. */
TEST_F(room, inodes)
{
	char path[64];
	unsigned int i;
	int fd;

	for (i = 1; i < PAGES; i++) {
		snprintf(path, sizeof(path), AT "%u", i);
		switch (i % 4) {
		case 0:
			ASSERT_EQ(0, mkdir(path, 0700));
			break;
		case 1:
			ASSERT_EQ(0, symlink("a", path));
			break;
		case 2:
			ASSERT_EQ(0, mkfifo(path, 0600));
			break;
		default:
			ASSERT_EQ(0, write_file(path, ""));
		}
	}
	EXPECT_EQ(PAGES, inodes_taken());
	EXPECT_EQ(0, room_taken());
	EXPECT_FAILS(ENOSPC, new_file(AT "b"));
	EXPECT_FAILS(ENOSPC, mkdir(AT "b", 0700));
	EXPECT_FAILS(ENOSPC, symlink("a", AT "b"));
	EXPECT_FAILS(ENOSPC, mkfifo(AT "b", 0600));
	EXPECT_FAILS(ENOSPC, open(TREE, O_RDWR | O_TMPFILE, 0600));
	EXPECT_FAILS(ENOENT, open(AT "b", O_RDONLY));
	/* A further name takes memory, too */
	EXPECT_FAILS(ENOSPC, link(AT "a", AT "b"));
	/* One that is open is there until it is closed */
	fd = open(AT "3", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, unlink(AT "3"));
	EXPECT_FAILS(ENOSPC, mkdir(AT "c", 0700));
	close(fd);
	EXPECT_EQ(0, mkdir(AT "c", 0700));
}

/* Each way in which a file gets and loses a further name, which counts as an inode. */
TEST_F(room, further_names)
{
	const int64_t inodes = inodes_taken();
	char path[64];
	int fd;

	ASSERT_EQ(0, write_file(AT "b", "b"));
	ASSERT_EQ(0, link(AT "a", AT "a1"));
	ASSERT_EQ(0, link(AT "a", AT "a2"));
	ASSERT_EQ(0, link(AT "b", AT "b1"));
	EXPECT_EQ(inodes + 4, inodes_taken());
	/* Over one of several names, over the last one, over one of its own */
	ASSERT_EQ(0, rename(AT "b1", AT "a1"));
	EXPECT_EQ(inodes + 3, inodes_taken());
	ASSERT_EQ(0, rename(AT "a2", AT "a"));
	EXPECT_EQ(inodes + 3, inodes_taken());
	ASSERT_EQ(0, syscall(SYS_renameat2, AT_FDCWD, AT "a", AT_FDCWD, AT "b",
			     2 /* RENAME_EXCHANGE */));
	EXPECT_EQ(inodes + 3, inodes_taken());
	ASSERT_EQ(0, unlink(AT "a2"));
	EXPECT_EQ(inodes + 2, inodes_taken());
	ASSERT_EQ(0, rename(AT "a1", AT "b"));
	EXPECT_EQ(inodes + 2, inodes_taken());
	ASSERT_EQ(0, unlink(AT "b"));
	ASSERT_EQ(0, unlink(AT "a"));
	/* The fixture's is open */
	EXPECT_EQ(inodes, inodes_taken());
	/* A file without a name gets its first one, and a second */
	fd = open(TREE, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	ASSERT_LE(0, fd);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ASSERT_EQ(0, linkat(AT_FDCWD, path, AT_FDCWD, AT "t", AT_SYMLINK_FOLLOW));
	EXPECT_EQ(inodes + 1, inodes_taken());
	ASSERT_EQ(0, link(AT "t", AT "t1"));
	EXPECT_EQ(inodes + 2, inodes_taken());
	close(fd);
	ASSERT_EQ(0, unlink(AT "t"));
	ASSERT_EQ(0, unlink(AT "t1"));
	EXPECT_EQ(inodes, inodes_taken());
}

/* Attributes take room, and give it back. */
TEST_F(room, attributes)
{
	static char value[60000];
	char name[32], page[PAGE_MAX] = { 0 };
	/* 15, or 4 of 16 KiB */
	const int64_t pages = (sizeof(value) + PAGE - 1) / PAGE;
	int64_t all, n;

	ASSERT_EQ(0, fsetxattr(self->fd, "user.a", "x", 1, 0));
	EXPECT_EQ(PAGE, room_taken());
	ASSERT_EQ(0, fsetxattr(self->fd, "user.a", value, 60000, 0));
	EXPECT_EQ(pages * (int64_t)PAGE, room_taken());
	ASSERT_EQ(0, fsetxattr(self->fd, "user.a", "x", 1, 0));
	EXPECT_EQ(PAGE, room_taken());
	ASSERT_EQ(0, fremovexattr(self->fd, "user.a"));
	EXPECT_EQ(0, room_taken());

	/* Of several inodes until it is full; names count, too */
	for (n = 0; n < 20; n++) {
		snprintf(name, sizeof(name), AT "x%d", (int)n);
		ASSERT_EQ(0, mkdir(name, 0700));
		if (setxattr(name, "user.a", value, 60000, 0))
			break;
	}
	EXPECT_EQ(ENOSPC, errno);
	EXPECT_EQ(PAGES / pages, n);
	all = room_taken();
	EXPECT_EQ(n * pages * (int64_t)PAGE, all);
	for (int i = 0; i < (int)(PAGES - n * pages); i++)
		ASSERT_EQ(PAGE, write(self->fd, page, PAGE));
	EXPECT_FAILS(ENOSPC, write(self->fd, page, PAGE));
	EXPECT_FAILS(ENOSPC, fsetxattr(self->fd, "user.a", "x", 1, 0));
	EXPECT_EQ(PAGES * PAGE, room_taken());
	while (n >= 0) {
		snprintf(name, sizeof(name), AT "x%d", (int)n--);
		ASSERT_EQ(0, rmdir(name));
	}
	ASSERT_EQ(0, ftruncate(self->fd, 0));
	EXPECT_EQ(0, room_taken());
	EXPECT_EQ(0, fsetxattr(self->fd, "user.a", "x", 1, 0));
}

/* Memory that breaks: the page is not given back twice. */
TEST_F(room, broken_memory)
{
	unsigned char *map;

	ASSERT_EQ(0, ftruncate(self->fd, 4 * PAGE));
	map = map_file(self->fd, 4 * PAGE);
	ASSERT_NE(MAP_FAILED, map);
	put(map, 'x');
	EXPECT_EQ(0, fsync(self->fd));
	if (largest_folio(self->fd) > (int64_t)PAGE ||
	    madvise(map, PAGE, 100 /* MADV_HWPOISON */)) {
		munmap(map, 4 * PAGE);
		SKIP(return, "no memory can be said to be broken");
	}
	munmap(map, 4 * PAGE);
	EXPECT_EQ(variant->ram ? (int64_t)PAGE : 0, room_taken());
	ASSERT_EQ(0, ftruncate(self->fd, 0));
	/* Now a power cut would not bring it back; the broken page may be told of */
	told(self->fd);
	EXPECT_EQ(0, room_taken());
	ASSERT_EQ(1, pwrite(self->fd, "x", 1, 0));
	EXPECT_EQ(PAGE, room_taken());
}

/* An end with all of it in use, dirty, mapped, without a name. */
TEST_F(room, the_end_gives_all_back)
{
	unsigned char *map;
	int fd = open(TREE, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, PAGES * PAGE));
	map = map_file(fd, PAGES * PAGE);
	ASSERT_NE(MAP_FAILED, map);
	memset(map, 'x', PAGES * PAGE);
	EXPECT_EQ(PAGES * PAGE, room_taken());
	close(fd);
	munmap(map, PAGES * PAGE);
	EXPECT_EQ(0, room_taken());
	for (unsigned int i = 0; i < PAGES; i++)
		ASSERT_EQ(1, pwrite(self->fd, "x", 1, i * PAGE));
	/* The fixture looks */
}

/* All buffers together have a limit, too: the tree's may be larger. */
TEST(limit_of_all)
{
	char page[PAGE_MAX] = { 0 };
	int fd;

	umount2(TREE, MNT_DETACH);
	if (unload_module() || load_module("ram_limit=16p"))
		SKIP(return, "the module cannot be loaded afresh");
	ASSERT_EQ(0,
		  mount_tree("store=ram,size=256p,folio_size=1p,names=durable"));
	fd = new_file(AT "a");
	ASSERT_LE(0, fd);
	for (int i = 0; i < 16; i++)
		ASSERT_EQ(PAGE, write(fd, page, PAGE));
	EXPECT_FAILS(ENOSPC, write(fd, page, PAGE));
	EXPECT_EQ(16 * PAGE, room_taken());
	ASSERT_EQ(0, unlink(AT "a"));
	close(fd);
	EXPECT_EQ(0, room_taken());
	ASSERT_EQ(0, umount_tree());
	ASSERT_EQ(0, unload_module());
	ASSERT_EQ(0, load_module(""));
}

TEST_HARNESS_MAIN
