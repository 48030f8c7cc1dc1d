/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What can be done to the names of a mounted tree, and to a size: each operation by each call that
 * does it; and a tree to do it to.
 */
#ifndef VMADEMO_MOUNT_RULE_NAMES_TEST_H
#define VMADEMO_MOUNT_RULE_NAMES_TEST_H

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/syscall.h>

#include "../lib/tree.h"
#include "rules.h"
#include "rules_pairs.h"

#define LONG  VMADEMO_DELAY_MAX
#define CRASH VMADEMO_RULE_CRASH
#define OFF   VMADEMO_RULE_OFF
#define KILL  VMADEMO_RULE_KILL
#define AFTER VMADEMO_RULE_AFTER

/* ---- what is done -------------------------------------------------------- */

static int dir = -1, file = -1, nameless = -1; /* of the tree */

static inline int opened(int fd)
{
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static int make_file(void)
{
	return opened(new_file(AT "new"));
}

static int make_below(void)
{
	return opened(new_file(AT "d/new"));
}

static int make_dir(void)
{
	return mkdir(AT "new", 0700);
}

static int make_symlink(void)
{
	return symlink("to", AT "new");
}

static int make_node(void)
{
	return mknod(AT "new", S_IFIFO | 0600, 0);
}

static int make_tmpfile(void)
{
	return opened(open(TREE, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600));
}

static int move(const char *from, const char *to, unsigned int flags)
{
	return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

static int move_file(void)
{
	return rename(AT "a", AT "new");
}

static int move_over(void)
{
	return rename(AT "a", AT "b");
}

static int move_across(void)
{
	return rename(AT "a", AT "d/new");
}

static int move_dir(void)
{
	return rename(AT "d", AT "e");
}

static int move_noreplace(void)
{
	return move(AT "a", AT "new", RENAME_NOREPLACE);
}

static int exchange(void)
{
	return move(AT "a", AT "d/in", RENAME_EXCHANGE);
}

static int remove_one(void)
{
	return unlink(AT "a");
}

static int remove_last(void)
{
	return unlink(AT "b");
}

static int remove_dir(void)
{
	return rmdir(AT "e");
}

static int link_file(void)
{
	return link(AT "a", AT "d/new");
}

static int link_nameless(void)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", nameless);
	return linkat(AT_FDCWD, path, AT_FDCWD, AT "new", AT_SYMLINK_FOLLOW);
}

static int cut_short(void)
{
	return truncate(AT "a", 1);
}

static int cut_open(void)
{
	return ftruncate(file, 5000);
}

static int cut_opening(void)
{
	return opened(open(AT "a", O_RDWR | O_TRUNC | O_CLOEXEC));
}

static int cut_by_request(void)
{
	struct vmademo_resize r = { .size = 3 };

	return ioctl(file, VMADEMO_IOC_RESIZE, &r);
}

static int sync_dir(void)
{
	return fsync(dir);
}

static int sync_dir_data(void)
{
	return fdatasync(dir);
}

static const struct doing {
	int (*call)(void);
	uint32_t op;
	bool logged; /* as an operation on names */
} doings[] = {
	{ make_file, VMADEMO_OP_CREATE, true },
	{ make_below, VMADEMO_OP_CREATE, true },
	{ make_dir, VMADEMO_OP_CREATE, true },
	{ make_symlink, VMADEMO_OP_CREATE, true },
	{ make_node, VMADEMO_OP_CREATE, true },
	{ make_tmpfile, VMADEMO_OP_CREATE, false },
	{ move_file, VMADEMO_OP_RENAME, true },
	{ move_over, VMADEMO_OP_RENAME, true },
	{ move_across, VMADEMO_OP_RENAME, true },
	{ move_dir, VMADEMO_OP_RENAME, true },
	{ move_noreplace, VMADEMO_OP_RENAME, true },
	{ exchange, VMADEMO_OP_RENAME, true },
	{ remove_one, VMADEMO_OP_UNLINK, true },
	{ remove_last, VMADEMO_OP_UNLINK, true },
	{ remove_dir, VMADEMO_OP_UNLINK, true },
	{ link_file, VMADEMO_OP_LINK, true },
	{ link_nameless, VMADEMO_OP_LINK, true },
	{ cut_short, VMADEMO_OP_TRUNCATE, false },
	{ cut_open, VMADEMO_OP_TRUNCATE, false },
	{ cut_opening, VMADEMO_OP_TRUNCATE, false },
	{ cut_by_request, VMADEMO_OP_TRUNCATE, false },
	{ sync_dir, VMADEMO_OP_FSYNC_DIR, false },
	{ sync_dir_data, VMADEMO_OP_FSYNC_DIR, false },
};

#define DOINGS (sizeof(doings) / sizeof(doings[0]))
/* Where it went wrong */
#define AT_DOING \
	TH_LOG("doing %zu, op %s", (size_t)(doing - doings), legal[doing->op].op)

static int errno_of(int ret)
{
	return ret ? errno : 0;
}

/* ---- what is there ------------------------------------------------------- */

static int new_tree(const char *options)
{
	if (mount_tree(options) || write_file(AT "a", "text a") ||
	    write_file(AT "b", "text b") || link(AT "a", AT "twice") ||
	    mkdir(AT "d", 0700) || mkdir(AT "e", 0700) ||
	    write_file(AT "d/in", "inside"))
		return -1;
	dir = open(TREE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	file = open(AT "a", O_RDWR | O_CLOEXEC);
	nameless = open(TREE, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (nameless < 0 || write(nameless, "nameless", 8) != 8)
		return -1;
	return sync_tree();
}

static int end_tree(void)
{
	close(dir);
	close(file);
	close(nameless);
	return umount_tree();
}

static struct vmademo_info info_of_tree(void)
{
	struct vmademo_info info = { 0 };

	ioctl(dir, VMADEMO_IOC_INFO, &info);
	return info;
}

/*
 * All names, in the same place each time: the same text, the same tree.  With @exact, which only
 * one and the same tree has: times, numbers, what is taken, and what is not durable.
 */
static const char *picture(bool exact, char *text, size_t room)
{
	static const char *const names[] = { ".", "a", "b",    "twice", "new",
					     "d", "e", "d/in", "d/new", "e/in" };
	size_t len = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[64];
		struct stat st;

		snprintf(path, sizeof(path), AT "%s", names[i]);
		if (lstat(path, &st))
			continue;
		len += snprintf(text + len, room - len, "%s: %o %lu %lld %s\n",
				names[i], st.st_mode, (unsigned long)st.st_nlink,
				(long long)st.st_size,
				S_ISREG(st.st_mode) ? text_of(path) : "");
		if (exact)
			len += snprintf(text + len, room - len,
					" %lu %lld.%09ld %lld.%09ld\n",
					(unsigned long)st.st_ino,
					(long long)st.st_mtim.tv_sec,
					(long)st.st_mtim.tv_nsec,
					(long long)st.st_ctim.tv_sec,
					(long)st.st_ctim.tv_nsec);
	}
	if (exact)
		snprintf(text + len, room - len, "%lld %lld %llu\n",
			 (long long)room_taken(), (long long)inodes_taken(),
			 (unsigned long long)info_of_tree().pending_names);
	return text;
}

#define PICTURE(exact) picture(exact, (char[4096]){ 0 }, 4096)

#endif /* VMADEMO_MOUNT_RULE_NAMES_TEST_H */
