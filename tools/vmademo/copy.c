// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copies what is in a directory into another one, as it is: files with their holes, directories,
 * symbolic links, hard links; owners, modes, times, and attributes of users.
 */
#include <dirent.h>
#include <fcntl.h>
#include <fts.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "vmademo.h"

/* A file with several names, when it was met first. */
struct linked {
	dev_t dev;
	ino_t ino;
	char *path; /* of the copy */
};

struct copying {
	const char *what; /* the option */
	bool seed;
	bool made; /* the directory was not there */
	dev_t to; /* on which there are the copies, for a seed */
	struct linked *linked;
	size_t nr_linked;
};

__attribute__((noreturn)) static void fail(const struct copying *copying,
					   const char *path)
{
	if (copying->seed && (errno == ENOSPC || errno == EDQUOT))
		die("%s: there is no room for %s: --size says how much there is",
		    copying->what, path);
	die_errno("%s: %s cannot be copied", copying->what, path);
}

/* ---- one file ------------------------------------------------------------ */

/**
 * copy_data() - copy the bytes of a file, or of a buffer
 * @from: the file
 * @to: an empty one
 * @size: of it
 *
 * What is a hole becomes one.
 *
 * Return: whether that could be done; errno says why not.
 */
bool copy_data(int from, int to, off_t size)
{
	static char bytes[1 << 16];
	off_t pos = 0, end;

	while ((pos = lseek(from, pos, SEEK_DATA)) >= 0) {
		end = lseek(from, pos, SEEK_HOLE);
		while (pos < end) {
			size_t want = sizeof(bytes);
			ssize_t n;

			if (end - pos < (off_t)want)
				want = end - pos;
			n = pread(from, bytes, want, pos);
			if (n < 0)
				return false;
			if (!n)
				break;
			/* With little room, a part of it */
			n = pwrite(to, bytes, n, pos);
			if (n < 0)
				return false;
			pos += n;
		}
	}
	/* There is nothing but a hole any more */
	return errno == ENXIO && !ftruncate(to, size);
}

static void copy_file(struct copying *copying, const char *path,
		      const struct stat *st, const char *as)
{
	int from = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), to;

	if (from < 0)
		fail(copying, path);
	to = open(as, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (to < 0 || !copy_data(from, to, st->st_size) || close(to))
		fail(copying, path);
	close(from);
}

/* Has it another name that was met already?  Otherwise this one is kept, if it may have. */
static const char *linked_to(struct copying *copying, const struct stat *st,
			     const char *as)
{
	struct linked *linked;

	if (S_ISDIR(st->st_mode) || st->st_nlink < 2)
		return NULL;
	for (size_t i = 0; i < copying->nr_linked; i++) {
		linked = &copying->linked[i];
		if (linked->dev == st->st_dev && linked->ino == st->st_ino)
			return linked->path;
	}
	copying->linked =
		must_alloc(copying->linked,
			   (copying->nr_linked + 1) * sizeof(*copying->linked));
	copying->linked[copying->nr_linked++] = (struct linked){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.path = must_print("%s", as),
	};
	return NULL;
}

static void copy_symlink(struct copying *copying, const char *path, const char *as)
{
	char text[4096];
	ssize_t n = readlink(path, text, sizeof(text) - 1);

	if (n < 0)
		fail(copying, path);
	text[n] = '\0';
	if (symlink(text, as))
		fail(copying, path);
}

/* ---- what it is like ----------------------------------------------------- */

static void copy_attributes(struct copying *copying, const char *path,
			    const char *as)
{
	static char names[1 << 16], value[1 << 16];
	ssize_t len = llistxattr(path, names, sizeof(names)), n;

	for (const char *name = names; name < names + len;
	     name += strlen(name) + 1) {
		if (strncmp(name, "user.", 5))
			continue;
		n = lgetxattr(path, name, value, sizeof(value));
		if (n < 0 || lsetxattr(as, name, value, n, 0))
			fail(copying, path);
	}
}

/* The times last: all else changes them. */
static void copy_state(struct copying *copying, const char *path,
		       const struct stat *st, const char *as)
{
	const struct timespec times[] = { st->st_atim, st->st_mtim };

	copy_attributes(copying, path, as);
	/* Where it cannot have that owner, it is ours */
	if (lchown(as, st->st_uid, st->st_gid) && errno != EPERM)
		fail(copying, path);
	if ((!S_ISLNK(st->st_mode) && chmod(as, st->st_mode & 07777)) ||
	    utimensat(AT_FDCWD, as, times, AT_SYMLINK_NOFOLLOW))
		fail(copying, path);
}

/* ---- all of them --------------------------------------------------------- */

static void copy_one(struct copying *copying, const FTSENT *entry, const char *as)
{
	const struct stat *st = entry->fts_statp;
	const char *path = entry->fts_path, *other;

	switch (entry->fts_info) {
	case FTS_D:
		if (copying->seed && st->st_dev == copying->to)
			die("%s: the tree itself is in it: let TMPDIR be another place",
			    copying->what);
		if (!mkdir(as, 0700))
			copying->made |= !entry->fts_level;
		else if (errno != EEXIST || entry->fts_level)
			fail(copying, path);
		return;
	case FTS_DP:
		/* A directory that somebody has made for it stays as it is */
		if (entry->fts_level || copying->seed || copying->made)
			copy_state(copying, path, st, as);
		return;
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
		errno = entry->fts_errno;
		fail(copying, path);
	}
	other = linked_to(copying, st, as);
	if (other) {
		if (link(other, as))
			fail(copying, path);
		return;
	}
	if (S_ISREG(st->st_mode))
		copy_file(copying, path, st, as);
	else if (S_ISLNK(st->st_mode))
		copy_symlink(copying, path, as);
	else if (copying->seed)
		die("%s: %s is neither a file, nor a directory, nor a symbolic link",
		    copying->what, path);
	else if (mknod(as, st->st_mode, st->st_rdev))
		fail(copying, path);
	copy_state(copying, path, st, as);
}

/**
 * must_be_empty() - end the command if a directory to copy to has something in it
 * @what: the option that names it
 * @to: the directory; it need not be there
 */
void must_be_empty(const char *what, const char *to)
{
	DIR *dir = opendir(to);
	struct dirent *entry;
	bool empty = dir;
	struct stat st;

	/* A symbolic link that leads nowhere is in the way, too */
	if (!dir)
		empty = errno == ENOENT && lstat(to, &st);
	while (dir && (entry = readdir(dir)))
		empty &= !strcmp(entry->d_name, ".") ||
			 !strcmp(entry->d_name, "..");
	if (!empty)
		die("%s: %s is there, and is not an empty directory", what, to);
	if (dir)
		closedir(dir);
}

/**
 * copy_tree() - copy what is in a directory
 * @what: the option that asks for it
 * @from: the directory
 * @to: another one, empty, or made if it is not there
 * @seed: what a program is to begin with: then sockets, devices and such are refused
 */
void copy_tree(const char *what, const char *from, const char *to, bool seed)
{
	/* With a slash, it may be a symbolic link */
	char *root = must_print("%s/", from);
	char *const roots[] = { root, NULL };
	struct copying copying = { .what = what, .seed = seed };
	size_t len = strlen(root);
	struct stat st;
	FTSENT *entry;
	FTS *walk;

	if (stat(from, &st))
		die_errno("%s: %s", what, from);
	if (!S_ISDIR(st.st_mode))
		die("%s: %s is not a directory", what, from);
	if (seed && stat(to, &st))
		die_errno("%s: %s", what, to);
	copying.to = st.st_dev;
	walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	if (!walk)
		die_errno("%s: %s", what, from);
	while ((errno = 0, entry = fts_read(walk))) {
		char *as = must_print("%s/%s", to,
				      entry->fts_level ? entry->fts_path + len
						       : "");

		copy_one(&copying, entry, as);
		free(as);
	}
	if (errno)
		fail(&copying, from);
	fts_close(walk);
	while (copying.nr_linked)
		free(copying.linked[--copying.nr_linked].path);
	free(copying.linked);
	free(root);
}
