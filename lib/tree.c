// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mounted trees of buffers.
 */
#include "tree.h"

/* Mounts a tree with these options, in which 2p is the size of two pages; 0, or -1 and errno. */
int mount_tree(const char *options)
{
	mkdir(TREE, 0700);
	return mount("none", TREE, "vmademo", 0, in_bytes(options));
}

int umount_tree(void)
{
	return umount(TREE);
}

int new_file(const char *path)
{
	return open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

/* A new file with this text in it; 0, or -1 and errno. */
int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	size_t len = strlen(text);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = write(fd, text, len);
	close(fd);
	return n == (ssize_t)len ? 0 : -1;
}

/* What is in a file, in a static place; "-" and errno if it cannot be read. */
const char *text_of(const char *path)
{
	static char text[256];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return "-";
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n < 0)
		return "-";
	text[n] = '\0';
	return text;
}

int64_t size_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? -1 : st.st_size;
}

/*
 * What was done to names is durable from here on, and what they have held is gone.  A write-out
 * that a cut has met may have failed, and is told once.
 */
int sync_tree(void)
{
	int fd = open(TREE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret = syncfs(fd);

	if (ret && errno == EIO)
		ret = syncfs(fd);
	close(fd);
	return ret;
}

int sync_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), ret = fsync(fd);

	close(fd);
	return ret;
}

/* Bytes of the tree's room that are taken, and its inodes. */
int64_t room_taken(void)
{
	struct statfs s;

	return statfs(TREE, &s) ? -1
				: (int64_t)(s.f_blocks - s.f_bfree) * s.f_bsize;
}

int64_t inodes_taken(void)
{
	struct statfs s;

	return statfs(TREE, &s) ? -1 : (int64_t)(s.f_files - s.f_ffree);
}
