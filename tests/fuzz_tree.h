/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's calls on names in a mounted tree.  There are few names, so that workers meet.
 * What is opened there is a buffer to all other calls.
 */
#ifndef VMADEMO_FUZZ_TREE_H
#define VMADEMO_FUZZ_TREE_H

#include <dirent.h>
#include <linux/fs.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

#include "fuzz_choose.h"

#define TREE "/tmp/vmademo-fuzz-tree"

static const char *some_name(struct worker *w, char *path)
{
	static const char *const dirs[] = { "", "", "d0/", "d1/", "d0/d1/" };
	static const char *const names[] = { "a",  "b", "c", "d0",
					     "d1", "l", ".", "/" };

	snprintf(path, 320, TREE "/%s%s", ANY_OF(w, dirs), ANY_OF(w, names));
	if (one_in(w, 64))
		memset(path + strlen(TREE) + 1, 'n', 255 + below(w, 2));
	return path;
}

static void do_tree_open(struct worker *w)
{
	static const int kinds[] = { O_CREAT, O_CREAT, O_CREAT | O_EXCL,
				     O_CREAT | O_TRUNC, 0 };
	char path[320] = "";
	int flags = ANY_OF(w, kinds) | O_CLOEXEC;

	flags |= one_in(w, 4) ? O_RDONLY : O_RDWR;
	if (one_in(w, 8)) {
		flags = O_RDWR | O_TMPFILE | O_CLOEXEC;
		snprintf(path, sizeof(path), TREE);
	} else {
		some_name(w, path);
	}
	if (one_in(w, 16))
		flags |= O_DIRECT | O_APPEND;
	keep_file(w,
		  CALL(w, open(path, flags, 0600), "open(%.60s, %#x)", path,
		       flags),
		  BUFFER_FILE);
}

static void do_tree_rename(struct worker *w)
{
	static const unsigned int flags[] = {
		0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT, 7
	};
	char from[320] = "", to[320] = "";
	unsigned int how = ANY_OF(w, flags);

	some_name(w, from);
	some_name(w, to);
	CALL(w, syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, how),
	     "renameat2(%.40s, %.40s, %u)", from, to, how);
}

static void do_tree_names(struct worker *w)
{
	char path[320] = "", other[320] = "";
	struct file f;

	some_name(w, path);
	switch (below(w, 8)) {
	case 0 ... 1:
		CALL(w, unlink(path), "unlink(%.60s)", path);
		break;
	case 2:
		CALL(w, mkdir(path, 0700), "mkdir(%.60s)", path);
		break;
	case 3:
		CALL(w, rmdir(path), "rmdir(%.60s)", path);
		break;
	case 4:
		CALL(w, symlink("a", path), "symlink(%.60s)", path);
		break;
	case 5:
		some_name(w, other);
		CALL(w, link(path, other), "link(%.40s, %.40s)", path, other);
		break;
	case 6:
		f = some_file(w, BIT_OF(BUFFER_FILE));
		snprintf(other, sizeof(other), "/proc/self/fd/%d", f.fd);
		CALL(w,
		     linkat(AT_FDCWD, other, AT_FDCWD, path, AT_SYMLINK_FOLLOW),
		     "linkat(" FILE_FORMAT ", %.60s)", FILE_ARGS(f), path);
		break;
	default:
		/* Not a pipe, which to open would wait */
		CALL(w, mknod(path, S_IFSOCK | 0600, 0), "mknod(%.60s)", path);
	}
}

/* Of pages or of names; the latter more often, and with what they can have. */
static struct vmademo_rule tree_rule(struct worker *w)
{
	static const uint32_t statuses[] = { EIO,    EIO,
					     ENOSPC, ENOMEM,
					     EROFS,  VMADEMO_STATUS_SIGBUS };
	static const uint32_t shares[] = { 0, 1, 500, 1000 };
	struct vmademo_rule r = { .op = one_in(w, 3)
						? below(w, VMADEMO_OP_TRUNCATE)
						: VMADEMO_OP_TRUNCATE +
							  below(w, 6),
				  .skip = below(w, 4),
				  .times = 1 + below(w, 2),
				  .seed = draw(w) };

	if (one_in(w, 2))
		r.status = ANY_OF(w, statuses);
	if (one_in(w, 3))
		r.delay_us = below(w, 3000);
	if (one_in(w, 3)) {
		r.flags = VMADEMO_RULE_CRASH;
		r.share = ANY_OF(w, shares);
		if (one_in(w, 3))
			r.flags |= VMADEMO_RULE_OFF;
		if (one_in(w, 2))
			r.flags |= VMADEMO_RULE_AFTER, r.status = 0;
	}
	if (one_in(w, 16))
		r.nr = below(w, 3);
	return r;
}

static void do_tree_ask(struct worker *w)
{
	static const char *const names[] = { "user.a", "user.b", "user.",
					     "trusted.a" };
	char path[320] = "", options[64];
	const char *name = ANY_OF(w, names);
	size_t len = one_in(w, 4) ? below(w, 70000) : below(w, 100);
	struct vmademo_crash c = { .seed = draw(w) };
	struct vmademo_rule r = tree_rule(w);
	struct vmademo_rule_id id = { .id = below(w, 8) };
	struct vmademo_stats stats = { .size = sizeof(stats) };
	struct vmademo_info info;
	struct statfs s;
	int fd;

	some_name(w, path);
	switch (below(w, 9)) {
	case 0 ... 1:
		CALL(w, setxattr(path, name, w->scratch, len, below(w, 4)),
		     "setxattr(%.60s, %s, %zu)", path, name, len);
		break;
	case 2:
		CALL(w, getxattr(path, name, w->scratch, len),
		     "getxattr(%.60s, %s, %zu)", path, name, len);
		break;
	case 3:
		CALL(w, listxattr(path, (char *)w->scratch, len),
		     "listxattr(%.60s, %zu)", path, len);
		break;
	case 4:
		CALL(w, removexattr(path, name), "removexattr(%.60s, %s)", path,
		     name);
		break;
	case 5:
		CALL(w, truncate(path, below(w, 64 * PAGE)), "truncate(%.60s)",
		     path);
		break;
	case 6:
		CALL(w, statfs(path, &s), "statfs(%.60s)", path);
		break;
	case 7:
		/* The largest that it may be stays as it was; below what is used it fails */
		snprintf(options, sizeof(options), "size=%uK",
			 16 * 1024 + 4 * (unsigned int)below(w, 16));
		CALL(w, mount("none", TREE, "vmademo", MS_REMOUNT, options),
		     "remount(%s)", options);
		break;
	default:
		fd = open(path, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			break;
		if (one_in(w, 8))
			CALL(w, ioctl(fd, VMADEMO_IOC_CRASH, &c),
			     "CRASH of %.60s", path);
		else if (one_in(w, 8))
			CALL(w, ioctl(fd, VMADEMO_IOC_RULE_ADD, &r),
			     "RULE_ADD on %.60s: op %u, flags %#x, status %#x, skip %llu, delay %u",
			     path, r.op, r.flags, r.status, LLU(r.skip),
			     r.delay_us);
		else if (one_in(w, 4))
			CALL(w, ioctl(fd, VMADEMO_IOC_RULE_DEL, &id),
			     "RULE_DEL on %.60s", path);
		else if (one_in(w, 8))
			CALL(w, ioctl(fd, VMADEMO_IOC_STATS, &stats),
			     "STATS of %.60s", path);
		else if (one_in(w, 8))
			CALL(w, ioctl(fd, VMADEMO_IOC_INFO, &info),
			     "INFO of %.60s", path);
		else if (one_in(w, 2))
			CALL(w, fsync(fd), "fsync(%.60s)", path);
		else
			CALL(w,
			     syscall(SYS_getdents64, fd, w->scratch,
				     below(w, 4096)),
			     "getdents64(%.60s)", path);
		close(fd);
	}
}

/* ---- before and after ----------------------------------------------------- */

static void mount_fuzz_tree(unsigned int round)
{
	static const char *const options[] = { "store=ram", "store=none",
					       "store=ram,folio_size=64K",
					       "store=ram,names=posix",
					       "store=ram,names=durable" };
	char all[128];

	mkdir(TREE, 0700);
	snprintf(all, sizeof(all), "%s,size=16M",
		 options[round % COUNT(options)]);
	if (mount("none", TREE, "vmademo", 0, all))
		failure("no tree can be mounted (%s): %s", all, strerror(errno));
	mkdir(TREE "/d0", 0700);
	mkdir(TREE "/d0/d1", 0700);
	mkdir(TREE "/d1", 0700);
}

static void remove_all(const char *path, int depth)
{
	DIR *dir = opendir(path);
	char name[600];
	struct dirent *d;

	while (dir && (d = readdir(dir))) {
		if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, d->d_name);
		if (d->d_type == DT_DIR && depth < 30) {
			remove_all(name, depth + 1);
			rmdir(name);
		} else {
			unlink(name);
		}
	}
	if (dir)
		closedir(dir);
}

/* Nobody has a file of it open: with the names goes all that it has taken. */
static void umount_fuzz_tree(void)
{
	int fd = open(TREE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct vmademo_rule_id all = { 0 };
	struct vmademo_power on = { 0 };
	struct statfs s = { 0 };

	/* Or a rule could keep a name from being removed */
	ioctl(fd, VMADEMO_IOC_RULE_DEL, &all);
	/* What was done to names while it was off comes back with the power */
	ioctl(fd, VMADEMO_IOC_POWER, &on);
	remove_all(TREE, 0);
	/* It may first tell errors of files that are gone */
	for (int i = 0; i < 3 && syncfs(fd); i++)
		;
	close(fd);
	/* The root stays, and would keep the room of its attributes */
	removexattr(TREE, "user.a");
	removexattr(TREE, "user.b");
	for (int i = 0; i < 300; i++) {
		if (!statfs(TREE, &s) && s.f_bfree == s.f_blocks &&
		    s.f_ffree == s.f_files)
			break;
		usleep(100000);
	}
	if (s.f_bfree != s.f_blocks || s.f_ffree != s.f_files)
		failure("a tree without names has %llu pages, %llu inodes",
			LLU(s.f_blocks - s.f_bfree), LLU(s.f_files - s.f_ffree));
	if (umount(TREE)) {
		failure("the tree cannot be unmounted: %s", strerror(errno));
		umount2(TREE, MNT_DETACH);
	}
	rmdir(TREE);
}

#endif /* VMADEMO_FUZZ_TREE_H */
