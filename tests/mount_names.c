// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names in a mounted tree: files, directories, links, symbolic links, renames, files without a
 * name, attributes, locks, and who watches.  With each store that a tree can have.
 */
#include <dirent.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include "kselftest_harness.h"
#include "../lib/tree.h"
#include "rules.h"

FIXTURE(names)
{
	int unused;
};

FIXTURE_VARIANT(names)
{
	const char *options;
};

FIXTURE_VARIANT_ADD(names, none){
	.options = "store=none,folio_size=1p",
};

FIXTURE_VARIANT_ADD(names, ram){
	.options = "store=ram,folio_size=1p",
};

FIXTURE_SETUP(names)
{
	ASSERT_EQ(0, mount_tree(variant->options))
	TH_LOG("mount: %s", strerror(errno));
}

FIXTURE_TEARDOWN(names)
{
	EXPECT_EQ(0, umount_tree()) TH_LOG("umount: %s", strerror(errno));
}

static int renameat2_(const char *from, const char *to, unsigned int flags)
{
	return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

static int nlink_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) ? -1 : (int)st.st_nlink;
}

static unsigned long long ino_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) ? 0 : st.st_ino;
}

/* How many names a directory has, but . and .. */
static int names_in(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *d;
	int n = -2;

	while (dir && (d = readdir(dir)))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

/* A file is what the regular-file view of a buffer is: counters, requests, fdinfo. */
TEST_F(names, a_file_is_a_buffer)
{
	struct vmademo_info info = { 0 };
	unsigned char *map;
	char link[256], fd_path[64];
	struct stat st;
	ssize_t n;
	int fd = new_file(AT "a");

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fstat(fd, &st));
	EXPECT_EQ(S_IFREG | 0600, st.st_mode);
	EXPECT_EQ(0, st.st_size);
	EXPECT_EQ(1, st.st_nlink);
	ASSERT_EQ(0, ftruncate(fd, 16 * PAGE));
	map = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	for (int i = 0; i < 16; i++)
		EXPECT_EQ(0, touch(map + i * PAGE));
	put(map + 3 * PAGE, 'x');
	ASSERT_EQ(0, ioctl(fd, VMADEMO_IOC_INFO, &info));
	EXPECT_EQ(16 * PAGE, info.size);
	EXPECT_EQ(1, info.mappings);
	EXPECT_EQ(st.st_ino, info.ino);
	EXPECT_EQ(strstr(variant->options, "ram") ? VMADEMO_STORE_RAM
						  : VMADEMO_STORE_NONE,
		  info.store);
	EXPECT_EQ(whole_folios(fd, PAGE), account_of(fd).dirty_bytes);
	EXPECT_EQ(1, account_of(fd).first_writes);
	EXPECT_EQ(0, msync(map, 16 * PAGE, MS_SYNC));
	EXPECT_EQ(0, account_of(fd).dirty_bytes);
	EXPECT_EQ(whole_folios(fd, PAGE), account_of(fd).written_bytes);
	EXPECT_ACCOUNT_ADDS_UP(fd);
	/* It has a name, which a program can use */
	snprintf(fd_path, sizeof(fd_path), "/proc/self/fd/%d", fd);
	n = readlink(fd_path, link, sizeof(link) - 1);
	ASSERT_LT(0, n);
	link[n] = '\0';
	EXPECT_STREQ(AT "a", link);
	/* What makes buffers is the node's */
	EXPECT_FAILS(ENOTTY, ioctl(fd, VMADEMO_IOC_CREATE, &info));
	EXPECT_FAILS(ENOTTY, ioctl(fd, VMADEMO_IOC_OPEN_FILE, &info));
	munmap(map, 16 * PAGE);
	close(fd);
	/* What it has stays, with nobody looking */
	fd = open(AT "a", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(1, pread(fd, link, 1, 3 * PAGE));
	EXPECT_EQ('x', link[0]);
	EXPECT_FAILS(EBADF, write(fd, "x", 1));
	close(fd);
	fd = open(AT "a", O_RDWR | O_TRUNC | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, lseek(fd, 0, SEEK_END));
	close(fd);
	fd = open(AT "a", O_RDWR | O_DIRECT | O_CLOEXEC);
	EXPECT_LE(0, fd);
	close(fd);
}

TEST_F(names, directories)
{
	char name[300];
	DIR *dir;
	int fd;

	ASSERT_EQ(0, mkdir(AT "d", 0700));
	EXPECT_FAILS(EEXIST, mkdir(AT "d", 0700));
	EXPECT_EQ(3, nlink_of(TREE));
	ASSERT_EQ(0, mkdir(AT "d/e", 0700));
	EXPECT_EQ(3, nlink_of(AT "d"));
	ASSERT_EQ(0, write_file(AT "d/e/f", "text"));
	EXPECT_STREQ("text", text_of(AT "d/e/f"));
	EXPECT_FAILS(ENOTEMPTY, rmdir(AT "d"));
	EXPECT_FAILS(ENOTDIR, rmdir(AT "d/e/f"));
	EXPECT_FAILS(EISDIR, unlink(AT "d/e"));
	EXPECT_FAILS(ENOENT, open(AT "nobody", O_RDONLY));
	EXPECT_FAILS(ENOTDIR, open(AT "d/e/f/g", O_RDONLY));
	EXPECT_FAILS(EISDIR, open(AT "d", O_RDWR));

	/* The longest name, and one that is longer */
	memset(name, 'n', sizeof(name));
	memcpy(name, AT, strlen(AT));
	name[strlen(AT) + 255] = '\0';
	ASSERT_EQ(0, write_file(name, "long"));
	EXPECT_STREQ("long", text_of(name));
	EXPECT_EQ(2, names_in(TREE));
	ASSERT_EQ(0, unlink(name));
	name[strlen(AT) + 255] = 'n';
	name[strlen(AT) + 256] = '\0';
	EXPECT_FAILS(ENAMETOOLONG, open(name, O_RDWR | O_CREAT, 0600));

	/* Many; read while they go */
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), AT "d/%d", i);
		fd = new_file(name);
		ASSERT_LE(0, fd);
		close(fd);
	}
	EXPECT_EQ(301, names_in(AT "d"));
	dir = opendir(AT "d");
	ASSERT_NE(NULL, dir);
	for (struct dirent *d; (d = readdir(dir));) {
		snprintf(name, sizeof(name), AT "d/%s", d->d_name);
		if (d->d_type != DT_DIR)
			EXPECT_EQ(0, unlink(name));
	}
	closedir(dir);
	EXPECT_EQ(1, names_in(AT "d"));

	/* A directory can be flushed */
	fd = open(AT "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, fsync(fd));
	EXPECT_EQ(0, fdatasync(fd));
	EXPECT_EQ(0, syncfs(fd));
	/* Gone, but open */
	ASSERT_EQ(0, unlink(AT "d/e/f"));
	ASSERT_EQ(0, rmdir(AT "d/e"));
	ASSERT_EQ(0, rmdir(AT "d"));
	EXPECT_EQ(2, nlink_of(TREE));
	EXPECT_FAILS(ENOENT, openat(fd, "x", O_RDWR | O_CREAT, 0600));
	close(fd);
}

/* Of the permissions, the umask and a group that a directory hands down. */
TEST_F(names, whose_they_are)
{
	struct stat st;
	int fd;
	mode_t mask = umask(027);

	ASSERT_EQ(0, mkdir(AT "d", 0777));
	ASSERT_EQ(0, stat(AT "d", &st));
	EXPECT_EQ(S_IFDIR | 0750, st.st_mode);
	fd = open(AT "a", O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fstat(fd, &st));
	EXPECT_EQ(S_IFREG | 0640, st.st_mode);
	close(fd);
	umask(mask);
	ASSERT_EQ(0, chown(AT "d", 5, 6));
	ASSERT_EQ(0, chmod(AT "d", 02775));
	ASSERT_EQ(0, mkdir(AT "d/e", 0700));
	ASSERT_EQ(0, stat(AT "d/e", &st));
	EXPECT_EQ(0, st.st_uid);
	EXPECT_EQ(6, st.st_gid);
	EXPECT_EQ(S_IFDIR | S_ISGID | 0700, st.st_mode);
	ASSERT_EQ(0, truncate(AT "a", 100));
	ASSERT_EQ(0, stat(AT "a", &st));
	EXPECT_EQ(100, st.st_size);
}

TEST_F(names, links)
{
	int fd;

	ASSERT_EQ(0, write_file(AT "a", "text"));
	ASSERT_EQ(0, mkdir(AT "d", 0700));
	ASSERT_EQ(0, link(AT "a", AT "d/b"));
	EXPECT_FAILS(EEXIST, link(AT "a", AT "d/b"));
	EXPECT_FAILS(EPERM, link(AT "d", AT "e"));
	EXPECT_EQ(2, nlink_of(AT "a"));
	EXPECT_EQ(ino_of(AT "a"), ino_of(AT "d/b"));
	ASSERT_EQ(0, unlink(AT "a"));
	EXPECT_EQ(1, nlink_of(AT "d/b"));
	EXPECT_STREQ("text", text_of(AT "d/b"));
	/* The last name goes, and it is open: as long as that lasts, it is there */
	fd = open(AT "d/b", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, unlink(AT "d/b"));
	EXPECT_FAILS(ENOENT, open(AT "d/b", O_RDONLY));
	EXPECT_EQ(4, pwrite(fd, "gone", 4, PAGE));
	EXPECT_EQ(PAGE + 4, lseek(fd, 0, SEEK_END));
	EXPECT_EQ(0, fsync(fd));
	close(fd);
	EXPECT_EQ(0, room_taken());
}

TEST_F(names, symbolic_links)
{
	char target[4096], found[4096];
	struct stat st;

	ASSERT_EQ(0, write_file(AT "a", "text"));
	ASSERT_EQ(0, symlink("a", AT "l"));
	EXPECT_STREQ("text", text_of(AT "l"));
	ASSERT_EQ(0, lstat(AT "l", &st));
	EXPECT_EQ(S_IFLNK | 0777, st.st_mode);
	EXPECT_EQ(1, st.st_size);
	EXPECT_FAILS(EEXIST, symlink("b", AT "l"));
	ASSERT_EQ(0, symlink("nobody", AT "m"));
	EXPECT_FAILS(ENOENT, open(AT "m", O_RDONLY));
	ASSERT_EQ(0, symlink("n", AT "n"));
	EXPECT_FAILS(ELOOP, open(AT "n", O_RDONLY));
	/* The longest */
	memset(target, 't', sizeof(target));
	target[4095] = '\0';
	ASSERT_EQ(0, symlink(target, AT "long"));
	EXPECT_EQ(4095, readlink(AT "long", found, sizeof(found)));
	EXPECT_EQ(0, memcmp(target, found, 4095));
	EXPECT_EQ(0, unlink(AT "l"));
	EXPECT_STREQ("text", text_of(AT "a"));
}

TEST_F(names, renames)
{
	unsigned long long a, b;

	ASSERT_EQ(0, write_file(AT "a", "a"));
	ASSERT_EQ(0, write_file(AT "b", "b"));
	ASSERT_EQ(0, mkdir(AT "d", 0700));
	a = ino_of(AT "a");
	b = ino_of(AT "b");
	EXPECT_FAILS(EEXIST, renameat2_(AT "a", AT "b", RENAME_NOREPLACE));
	EXPECT_STREQ("b", text_of(AT "b"));
	ASSERT_EQ(0, renameat2_(AT "a", AT "d/c", RENAME_NOREPLACE));
	EXPECT_FAILS(ENOENT, renameat2_(AT "a", AT "b", 0));
	EXPECT_EQ(a, ino_of(AT "d/c"));
	ASSERT_EQ(0, renameat2_(AT "d/c", AT "b", RENAME_EXCHANGE));
	EXPECT_EQ(a, ino_of(AT "b"));
	EXPECT_EQ(b, ino_of(AT "d/c"));
	EXPECT_FAILS(ENOENT, renameat2_(AT "b", AT "x", RENAME_EXCHANGE));
	EXPECT_FAILS(EINVAL, renameat2_(AT "b", AT "x", RENAME_WHITEOUT));
	EXPECT_FAILS(EINVAL, renameat2_(AT "b", AT "x",
					RENAME_NOREPLACE | RENAME_EXCHANGE));
	/* Over another: that one is gone */
	ASSERT_EQ(0, rename(AT "d/c", AT "b"));
	EXPECT_EQ(b, ino_of(AT "b"));
	EXPECT_STREQ("b", text_of(AT "b"));
	EXPECT_EQ(0, names_in(AT "d"));

	/* Directories, and what they count */
	ASSERT_EQ(0, mkdir(AT "d/e", 0700));
	ASSERT_EQ(0, mkdir(AT "f", 0700));
	EXPECT_EQ(4, nlink_of(TREE));
	EXPECT_FAILS(EINVAL, rename(AT "d", AT "d/e/d"));
	EXPECT_FAILS(EISDIR, rename(AT "b", AT "d"));
	EXPECT_FAILS(ENOTDIR, rename(AT "d", AT "b"));
	EXPECT_FAILS(ENOTEMPTY, rename(AT "f", AT "d"));
	ASSERT_EQ(0, rename(AT "f", AT "d/e"));
	EXPECT_EQ(3, nlink_of(TREE));
	EXPECT_EQ(3, nlink_of(AT "d"));
	/* A directory and a file change places */
	ASSERT_EQ(0, renameat2_(AT "d/e", AT "b", RENAME_EXCHANGE));
	EXPECT_EQ(4, nlink_of(TREE));
	EXPECT_EQ(2, nlink_of(AT "d"));
	EXPECT_STREQ("b", text_of(AT "d/e"));
	ASSERT_EQ(0, rmdir(AT "b"));
}

/* What is renamed over lives on for whoever has it open or mapped. */
TEST_F(names, renamed_over_while_mapped)
{
	unsigned char *old, *new;
	int fd = new_file(AT "a");
	int other = new_file(AT "b");

	ASSERT_LE(0, fd);
	ASSERT_LE(0, other);
	ASSERT_EQ(0, ftruncate(fd, 4 * PAGE));
	ASSERT_EQ(0, ftruncate(other, 4 * PAGE));
	old = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	new = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0);
	ASSERT_NE(MAP_FAILED, old);
	ASSERT_NE(MAP_FAILED, new);
	close(fd);
	put(old, 'o');
	put(new, 'n');
	ASSERT_EQ(0, rename(AT "b", AT "a"));
	EXPECT_EQ('o', touch(old));
	put(old + PAGE, 'p');
	EXPECT_EQ(0, msync(old, 4 * PAGE, MS_SYNC));
	EXPECT_EQ('o', touch(old));
	EXPECT_EQ('n', *text_of(AT "a"));
	put(new, 'm');
	EXPECT_EQ('m', *text_of(AT "a"));
	munmap(old, 4 * PAGE);
	munmap(new, 4 * PAGE);
	/* One page of one file is left */
	EXPECT_EQ(PAGE, room_taken());
	EXPECT_EQ(1, inodes_taken());
	close(other);
}

TEST_F(names, without_a_name)
{
	char path[64];
	struct stat st;
	int fd = open(TREE, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);

	ASSERT_LE(0, fd) TH_LOG("%s", strerror(errno));
	ASSERT_EQ(0, fstat(fd, &st));
	EXPECT_EQ(0, st.st_nlink);
	EXPECT_EQ(0, names_in(TREE));
	EXPECT_EQ(1, inodes_taken());
	EXPECT_EQ(4, write(fd, "text", 4));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ASSERT_EQ(0, linkat(AT_FDCWD, path, AT_FDCWD, AT "a", AT_SYMLINK_FOLLOW));
	EXPECT_EQ(1, nlink_of(AT "a"));
	close(fd);
	EXPECT_STREQ("text", text_of(AT "a"));
	/* One that never gets any is gone when it is closed */
	fd = open(TREE, O_RDWR | O_TMPFILE | O_EXCL | O_CLOEXEC, 0600);
	ASSERT_LE(0, fd);
	EXPECT_EQ(4, write(fd, "text", 4));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	EXPECT_FAILS(ENOENT, linkat(AT_FDCWD, path, AT_FDCWD, AT "b",
				    AT_SYMLINK_FOLLOW));
	close(fd);
	EXPECT_EQ(1, inodes_taken());
}

TEST_F(names, attributes)
{
	static char value[65536 + 1];
	char list[64], name[64], found[16];

	memset(value, 'v', sizeof(value));
	ASSERT_EQ(0, write_file(AT "a", "text"));
	ASSERT_EQ(0, mkdir(AT "d", 0700));
	EXPECT_EQ(0, listxattr(AT "a", list, sizeof(list)));
	EXPECT_FAILS(ENODATA, getxattr(AT "a", "user.x", found, sizeof(found)));
	EXPECT_FAILS(ENODATA, setxattr(AT "a", "user.x", "1", 1, XATTR_REPLACE));
	EXPECT_FAILS(ENODATA, removexattr(AT "a", "user.x"));
	ASSERT_EQ(0, setxattr(AT "a", "user.x", "12", 2, XATTR_CREATE));
	EXPECT_FAILS(EEXIST, setxattr(AT "a", "user.x", "1", 1, XATTR_CREATE));
	EXPECT_EQ(2, getxattr(AT "a", "user.x", found, sizeof(found)));
	EXPECT_EQ(0, memcmp("12", found, 2));
	EXPECT_EQ(2, getxattr(AT "a", "user.x", NULL, 0));
	EXPECT_FAILS(ERANGE, getxattr(AT "a", "user.x", found, 1));
	ASSERT_EQ(0, setxattr(AT "a", "user.x", "345", 3, XATTR_REPLACE));
	EXPECT_EQ(3, getxattr(AT "a", "user.x", found, sizeof(found)));
	/* An empty one is there */
	ASSERT_EQ(0, setxattr(AT "a", "user.y", "", 0, 0));
	EXPECT_EQ(0, getxattr(AT "a", "user.y", found, sizeof(found)));
	EXPECT_EQ(14, listxattr(AT "a", NULL, 0));
	EXPECT_EQ(14, listxattr(AT "a", list, sizeof(list)));
	EXPECT_EQ(0, memcmp("user.x\0user.y", list, 14));
	EXPECT_FAILS(ERANGE, listxattr(AT "a", list, 13));
	ASSERT_EQ(0, removexattr(AT "a", "user.x"));
	EXPECT_EQ(7, listxattr(AT "a", list, sizeof(list)));
	/* They are the inode's, not the name's */
	ASSERT_EQ(0, rename(AT "a", AT "b"));
	EXPECT_EQ(0, getxattr(AT "b", "user.y", found, sizeof(found)));
	ASSERT_EQ(0, setxattr(AT "d", "user.x", "d", 1, 0));
	EXPECT_EQ(1, getxattr(AT "d", "user.x", found, sizeof(found)));

	/* Others there are not */
	EXPECT_FAILS(EOPNOTSUPP, setxattr(AT "b", "trusted.x", "1", 1, 0));
	EXPECT_FAILS(EOPNOTSUPP, setxattr(AT "b", "nobody.x", "1", 1, 0));
	EXPECT_FAILS(EOPNOTSUPP,
		     getxattr(AT "b", "system.posix_acl_access", NULL, 0));
	ASSERT_EQ(0, symlink("b", AT "l"));
	EXPECT_FAILS(EPERM, lsetxattr(AT "l", "user.x", "1", 1, 0));

	/* What one inode can have: 128 of them, 128 KiB */
	EXPECT_FAILS(E2BIG, setxattr(AT "b", "user.z", value, 65537, 0));
	ASSERT_EQ(0, setxattr(AT "b", "user.z", value, 65536, 0));
	ASSERT_EQ(0, setxattr(AT "b", "user.zz", value, 65536, 0));
	EXPECT_FAILS(ENOSPC, setxattr(AT "b", "user.zzz", value, 1, 0));
	EXPECT_FAILS(ENOSPC, setxattr(AT "b", "user.y", value, 1, 0));
	EXPECT_EQ(0, getxattr(AT "b", "user.y", found, sizeof(found)));
	ASSERT_EQ(0, setxattr(AT "b", "user.z", value, 65535, 0));
	ASSERT_EQ(0, setxattr(AT "b", "user.y", value, 1, 0));
	ASSERT_EQ(0, removexattr(AT "b", "user.zz"));
	for (int i = 2; i < 128; i++) {
		snprintf(name, sizeof(name), "user.%d", i);
		ASSERT_EQ(0, setxattr(AT "b", name, "", 0, 0));
	}
	EXPECT_FAILS(ENOSPC, setxattr(AT "b", "user.one", "", 0, 0));
	ASSERT_EQ(0, removexattr(AT "b", "user.2"));
	EXPECT_EQ(0, setxattr(AT "b", "user.one", "", 0, 0));
}

TEST_F(names, locks_and_leases)
{
	int fd = new_file(AT "a"), other = open(AT "a", O_RDWR | O_CLOEXEC);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	ASSERT_LE(0, fd);
	ASSERT_LE(0, other);
	ASSERT_EQ(0, flock(fd, LOCK_EX));
	EXPECT_FAILS(EWOULDBLOCK, flock(other, LOCK_EX | LOCK_NB));
	ASSERT_EQ(0, flock(fd, LOCK_UN));
	EXPECT_EQ(0, flock(other, LOCK_EX | LOCK_NB));
	EXPECT_EQ(0, fcntl(fd, F_OFD_SETLK, &lock));
	EXPECT_FAILS(EAGAIN, fcntl(other, F_OFD_SETLK, &lock));
	close(other);
	EXPECT_EQ(0, fcntl(fd, F_SETLEASE, F_WRLCK))
	TH_LOG("%s", strerror(errno));
	EXPECT_EQ(F_WRLCK, fcntl(fd, F_GETLEASE));
	EXPECT_EQ(0, fcntl(fd, F_SETLEASE, F_UNLCK));
	close(fd);
}

TEST_F(names, watched)
{
	char events[4096] __attribute__((aligned(8)));
	int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	uint32_t seen = 0;
	ssize_t n;

	ASSERT_LE(0, watch);
	ASSERT_LE(0, inotify_add_watch(watch, TREE, IN_ALL_EVENTS));
	ASSERT_EQ(0, write_file(AT "a", "text"));
	ASSERT_EQ(0, rename(AT "a", AT "b"));
	ASSERT_EQ(0, unlink(AT "b"));
	n = read(watch, events, sizeof(events));
	for (ssize_t at = 0; at < n;) {
		struct inotify_event *e = (void *)(events + at);

		seen |= e->mask;
		at += sizeof(*e) + e->len;
	}
	EXPECT_EQ(IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_FROM |
			  IN_MOVED_TO | IN_DELETE,
		  seen & (IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE |
			  IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE));
	close(watch);
}

/* Pipes, sockets and devices can have names, too. */
TEST_F(names, special_files)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX,
				       .sun_path = AT "socket" };
	int fd, s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char byte;

	ASSERT_EQ(0, mkfifo(AT "fifo", 0600));
	fd = open(AT "fifo", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(1, write(fd, "x", 1));
	EXPECT_EQ(1, read(fd, &byte, 1));
	close(fd);
	EXPECT_EQ(0, bind(s, (struct sockaddr *)&address, sizeof(address)));
	close(s);
	ASSERT_EQ(0, mknod(AT "null", S_IFCHR | 0600, 1 << 8 | 3));
	fd = open(AT "null", O_RDWR | O_CLOEXEC);
	EXPECT_LE(0, fd);
	EXPECT_EQ(1, write(fd, "x", 1));
	close(fd);
	ASSERT_EQ(0, mknod(AT "file", S_IFREG | 0600, 0));
	EXPECT_EQ(0, write_file(AT "file", "text"));
	EXPECT_STREQ("text", text_of(AT "file"));
}

#define JUST_SAY_SO "VMADEMO_JUST_SAY_SO"

/* This program itself, run from the tree */
__attribute__((constructor)) static void just_say_so(void)
{
	if (getenv(JUST_SAY_SO))
		_exit(42);
}

/* A program runs from it. */
TEST_F(names, programs)
{
	char part[65536];
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), to, status;
	ssize_t n;
	pid_t pid;

	to = open(AT "program", O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	ASSERT_LE(0, from);
	ASSERT_LE(0, to);
	while ((n = read(from, part, sizeof(part))) > 0)
		ASSERT_EQ(n, write(to, part, n));
	close(from);
	close(to);
	pid = fork();
	if (!pid) {
		setenv(JUST_SAY_SO, "1", 1);
		execl(AT "program", "program", NULL);
		_exit(9);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(42, WEXITSTATUS(status));
	/* Unless the mount says no */
	ASSERT_EQ(0, mount("none", TREE, NULL, MS_REMOUNT | MS_BIND | MS_NOEXEC,
			   NULL));
	EXPECT_FAILS(EACCES, execl(AT "program", "program", NULL));
}

/* Taken away and given back, or with a rule: that file alone, under whatever name. */
TEST_F(names, one_file_alone)
{
	int fd = new_file(AT "a"), other = new_file(AT "b");
	int patched = keep_code_patched();
	unsigned char *map;

	ASSERT_LE(0, fd);
	ASSERT_LE(0, other);
	ASSERT_EQ(0, ftruncate(fd, 4 * PAGE));
	map = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	put(map, 'x');
	ASSERT_EQ(0, ioctl(fd, VMADEMO_IOC_REVOKE));
	EXPECT_EQ(SIGBUS, touch_signal(map, 0));
	EXPECT_FAILS(ENODEV, truncate(AT "a", 0));
	EXPECT_EQ(1, write(other, "y", 1));
	/* Names are not its bytes */
	ASSERT_EQ(0, rename(AT "a", AT "c"));
	ASSERT_EQ(0, link(AT "c", AT "d"));
	ASSERT_EQ(0, ioctl(fd, VMADEMO_IOC_RESTORE));
	EXPECT_EQ('x', touch(map));

	ASSERT_LT(0, ADD_RULE(fd, .op = VMADEMO_OP_MKWRITE, .start = 2, .nr = 1,
			      .status = ENOSPC));
	EXPECT_EQ(SIGBUS, touch_signal(map + 2 * PAGE, 1));
	EXPECT_EQ(0, touch_signal(map + PAGE, 1));
	close(fd);
	munmap(map, 4 * PAGE);
	/* It stays with the file, which is there as long as it has a name */
	fd = open(AT "d", O_RDWR | O_CLOEXEC);
	EXPECT_FAILS(ENOSPC, pwrite(fd, "z", 1, 2 * PAGE));
	EXPECT_EQ(1, pwrite(other, "z", 1, 2 * PAGE));
	EXPECT_EQ(0, del_rule(fd, 0));
	EXPECT_EQ(1, pwrite(fd, "z", 1, 2 * PAGE));
	close(fd);
	close(other);
	close(patched);
}

/* What is on a mount cannot be behind another buffer. */
TEST_F(names, no_store_of_another)
{
	int fd = new_file(AT "a");

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, PAGE));
	EXPECT_FAILS(EINVAL, create_with(VMADEMO_STORE_FILE, 0, fd));
	close(fd);
}

TEST_HARNESS_MAIN
