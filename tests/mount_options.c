// SPDX-License-Identifier: GPL-2.0-only
/*
 * mount -t vmademo: its options, right and wrong; remount; who may, what holds the module, and
 * how a tree ends.
 */
#include <sched.h>

#include "kselftest_harness.h"
#include "../lib/tree.h"
#include "vmademo_test.h"

#ifndef FSCONFIG_SET_STRING
#define FSCONFIG_SET_STRING 1
#endif

FIXTURE(options)
{
	int64_t refs;
};

static int64_t module_refs(void)
{
	return read_number("/sys/module/vmademo/refcnt");
}

FIXTURE_SETUP(options)
{
	self->refs = module_refs();
}

FIXTURE_TEARDOWN(options)
{
	umount2(TREE, MNT_DETACH);
	EXPECT_EQ(self->refs, module_refs());
}

/* The line of /proc/mounts, in a static place. */
static const char *proc_mounts(void)
{
	static char line[512];
	FILE *f = fopen("/proc/mounts", "r");

	while (f && fgets(line, sizeof(line), f)) {
		if (strstr(line, TREE " vmademo ")) {
			fclose(f);
			return line;
		}
	}
	if (f)
		fclose(f);
	return "";
}

/* What the kernel says why an option is refused, in a static place. */
static const char *log_of(const char *key, const char *value)
{
	static char line[256];
	int fs = syscall(SYS_fsopen, "vmademo", 0);
	ssize_t n;

	if (fs < 0)
		return "no fsopen";
	line[0] = '\0';
	if (!syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, key, value, 0)) {
		close(fs);
		return "taken";
	}
	n = read(fs, line, sizeof(line) - 1);
	line[n < 0 ? 0 : n] = '\0';
	/* One line it is */
	if (read(fs, line, 1) > 0)
		snprintf(line, sizeof(line), "more than one line");
	close(fs);
	return line;
}

TEST_F(options, by_default)
{
	struct statfs s;
	struct stat st;
	int fd;

	ASSERT_EQ(0, mount_tree(NULL)) TH_LOG("mount: %s", strerror(errno));
	EXPECT_NE(NULL, strstr(proc_mounts(), ",store=none,"))
	TH_LOG("%s", proc_mounts());
	EXPECT_NE(NULL,
		  strstr(proc_mounts(), ",mode=755,uid=0,gid=0,names=durable"));
	ASSERT_EQ(0, stat(TREE, &st));
	EXPECT_EQ(S_IFDIR | 0755, st.st_mode);
	EXPECT_EQ(2, st.st_nlink);
	ASSERT_EQ(0, statfs(TREE, &s));
	EXPECT_EQ(0x564d4144, s.f_type);
	EXPECT_EQ(PAGE, s.f_bsize);
	EXPECT_EQ(255, s.f_namelen);
	/* As much as all buffers together may have */
	EXPECT_EQ(read_number("/sys/module/vmademo/parameters/ram_limit"),
		  (int64_t)(s.f_blocks * PAGE));
	EXPECT_EQ(s.f_blocks, s.f_bfree);
	EXPECT_EQ(s.f_files, s.f_ffree);
	fd = new_file(AT "a");
	ASSERT_LE(0, fd);
	EXPECT_EQ(largest_folio(-1), largest_folio(fd));
	close(fd);
}

TEST_F(options, all_of_them)
{
	const char *all = "store=ram,size=4M,folio_size=64K,mode=1751,uid=7,gid=8";
	struct statfs s;
	struct stat st;
	int fd;

	ASSERT_EQ(0, mount_tree(all));
	EXPECT_NE(NULL,
		  strstr(proc_mounts(), ",store=ram,size=4096K,folio_size=64K,"))
	TH_LOG("%s", proc_mounts());
	EXPECT_NE(NULL,
		  strstr(proc_mounts(), ",mode=1751,uid=7,gid=8,names=ordered"));
	ASSERT_EQ(0, stat(TREE, &st));
	EXPECT_EQ(S_IFDIR | 01751, st.st_mode);
	EXPECT_EQ(7, st.st_uid);
	EXPECT_EQ(8, st.st_gid);
	ASSERT_EQ(0, statfs(TREE, &s));
	EXPECT_EQ(4 * MIB / PAGE, s.f_blocks);
	EXPECT_EQ(4 * MIB / PAGE, s.f_files);
	fd = new_file(AT "a");
	ASSERT_LE(0, fd);
	EXPECT_EQ(64 * KIB, largest_folio(fd));
	close(fd);
}

/* Each is refused, with one line that says what was wrong. */
TEST_F(options, wrong_ones)
{
	static const struct {
		const char *key, *value, *says;
	} wrong[] = {
		{ "store", "file", "store=file: must be none or ram" },
		{ "store", "", "store" },
		{ "size", "0", "size=0: must be one or more whole pages" },
		{ "size", "4097", "size=4097: must be one or more whole pages" },
		{ "size", "4095", "size=4095: must be one or more whole pages" },
		{ "size", "-1", "size=-1: not a number of bytes" },
		{ "size", "1T", "size=1T: not a number of bytes" },
		{ "size", "50%", "size=50%: not a number of bytes" },
		{ "size", "9223372036854775807", "more than a file can have" },
		{ "size", "17179869184G", "more than a file can have" },
		{ "folio_size", "0", "folio_size=0: must be a power of two" },
		{ "folio_size", "2048",
		  "folio_size=2048: must be a power of two" },
		{ "folio_size", "12K", "folio_size=12K: must be a power of two" },
		{ "folio_size", "64M", "folio_size=64M: must be a power of two" },
		{ "mode", "10000", "mode=10000: must be permission bits" },
		{ "mode", "789", "mode" },
		{ "uid", "4294967295", "uid=4294967295: no user has that number" },
		{ "uid", "-1", "uid" },
		{ "gid", "4294967295",
		  "gid=4294967295: no group has that number" },
		{ "gid", "root", "gid" },
		{ "names", "lost",
		  "names=lost: must be durable, ordered or posix" },
		{ "nr_inodes", "3", "nr_inodes" },
	};
	char option[64];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(option, sizeof(option), "%s=%s", wrong[i].key,
			 wrong[i].value);
		EXPECT_EQ(-1, mount_tree(option)) TH_LOG("%s", option);
		EXPECT_EQ(EINVAL, errno)
		TH_LOG("%s: %s", option, strerror(errno));
		EXPECT_NE(NULL, strstr(log_of(wrong[i].key, wrong[i].value),
				       wrong[i].says))
		TH_LOG("%s: %s", option, log_of(wrong[i].key, wrong[i].value));
	}
	/* As a flag */
	EXPECT_FAILS(EINVAL, mount_tree("store"));
	EXPECT_FAILS(EINVAL, mount_tree("frobnicate"));
	EXPECT_FAILS(EINVAL, mount_tree("names=ordered"));
	EXPECT_FAILS(EINVAL, mount_tree("names=posix,store=none"));
	EXPECT_STREQ("", proc_mounts());
}

TEST_F(options, remount)
{
	int fd;

	ASSERT_EQ(0, mount_tree("store=ram,size=256p,mode=700"));
	fd = new_file(AT "a");
	ASSERT_LE(0, fd);
	for (int i = 0; i < 32; i++)
		ASSERT_EQ(5, pwrite(fd, "hello", 5, i * PAGE));
	EXPECT_EQ(32 * PAGE, room_taken());

	/* What mount(8) does: all that holds, once more */
	EXPECT_EQ(0,
		  mount("none", TREE, "vmademo", MS_REMOUNT,
			"store=ram,size=8M,mode=700,uid=0,gid=0,names=ordered"));
	EXPECT_NE(NULL, strstr(proc_mounts(), ",size=8192K,"));
	EXPECT_EQ(0, mount("none", TREE, "vmademo", MS_REMOUNT, NULL));
	EXPECT_NE(NULL, strstr(proc_mounts(), ",size=8192K,"));
	/* Just what is in use, and a page less */
	EXPECT_FAILS(EINVAL, mount("none", TREE, "vmademo", MS_REMOUNT,
				   in_bytes("size=31p")));
	EXPECT_EQ(0, mount("none", TREE, "vmademo", MS_REMOUNT,
			   in_bytes("size=32p")));
	EXPECT_FAILS(ENOSPC, pwrite(fd, "hello", 5, 32 * PAGE));
	EXPECT_EQ(0, mount("none", TREE, "vmademo", MS_REMOUNT,
			   in_bytes("size=33p")));
	EXPECT_EQ(5, pwrite(fd, "hello", 5, 32 * PAGE));

	EXPECT_FAILS(EINVAL,
		     mount("none", TREE, "vmademo", MS_REMOUNT, "store=none"));
	EXPECT_FAILS(EINVAL, mount("none", TREE, "vmademo", MS_REMOUNT,
				   "folio_size=128K"));
	EXPECT_FAILS(EINVAL,
		     mount("none", TREE, "vmademo", MS_REMOUNT, "mode=777"));
	EXPECT_FAILS(EINVAL, mount("none", TREE, "vmademo", MS_REMOUNT, "uid=1"));
	EXPECT_FAILS(EINVAL, mount("none", TREE, "vmademo", MS_REMOUNT, "gid=1"));
	EXPECT_FAILS(EINVAL,
		     mount("none", TREE, "vmademo", MS_REMOUNT, "names=posix"));
	EXPECT_FAILS(EINVAL,
		     mount("none", TREE, "vmademo", MS_REMOUNT, "size=1"));

	/* Read-only: not while a file is open for writing */
	EXPECT_FAILS(EBUSY, mount("none", TREE, "vmademo",
				  MS_REMOUNT | MS_RDONLY, NULL));
	close(fd);
	EXPECT_EQ(0,
		  mount("none", TREE, "vmademo", MS_REMOUNT | MS_RDONLY, NULL));
	EXPECT_FAILS(EROFS, new_file(AT "b"));
	EXPECT_FAILS(EROFS, open(AT "a", O_RDWR));
	EXPECT_EQ(0, mount("none", TREE, "vmademo", MS_REMOUNT, NULL));
	fd = new_file(AT "b");
	EXPECT_LE(0, fd);
	close(fd);
}

/* Two mounts are two trees; one tree can be seen at two places. */
TEST_F(options, each_mount_is_a_tree)
{
	const char *other = "/tmp/vmademo-other";
	struct stat a, b;

	mkdir(other, 0700);
	ASSERT_EQ(0, mount_tree(NULL));
	ASSERT_EQ(0, mount("none", other, "vmademo", 0, NULL));
	ASSERT_EQ(0, write_file(AT "a", "one"));
	EXPECT_EQ(-1, access("/tmp/vmademo-other/a", F_OK));
	ASSERT_EQ(0, stat(TREE, &a));
	ASSERT_EQ(0, stat(other, &b));
	EXPECT_NE(a.st_dev, b.st_dev);
	EXPECT_FAILS(EXDEV, rename(AT "a", "/tmp/vmademo-other/a"));
	EXPECT_FAILS(EXDEV, link(AT "a", "/tmp/vmademo-other/a"));
	ASSERT_EQ(0, umount(other));
	ASSERT_EQ(0, mount(TREE, other, NULL, MS_BIND, NULL));
	EXPECT_STREQ("one", text_of("/tmp/vmademo-other/a"));
	EXPECT_EQ(0, umount(other));
	rmdir(other);
}

TEST_F(options, busy)
{
	unsigned char *map;
	int fd, dir;

	ASSERT_EQ(0, mount_tree("store=ram"));
	EXPECT_EQ(self->refs + 1, module_refs());
	EXPECT_FAILS(EAGAIN, unload_module());
	fd = new_file(AT "a");
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, PAGE));
	EXPECT_FAILS(EBUSY, umount_tree());
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	close(fd);
	EXPECT_FAILS(EBUSY, umount_tree());
	/* Lazily: whoever has it mapped keeps it, and with it the module */
	put(map, 'x');
	ASSERT_EQ(0, umount2(TREE, MNT_DETACH));
	EXPECT_STREQ("", proc_mounts());
	EXPECT_FAILS(EAGAIN, unload_module());
	EXPECT_EQ('x', touch(map));
	EXPECT_EQ(0, msync(map, PAGE, MS_SYNC));
	ASSERT_EQ(0, munmap(map, PAGE));
	EXPECT_EQ(self->refs, module_refs());

	/* A directory that somebody is in */
	ASSERT_EQ(0, mount_tree(NULL));
	dir = open(TREE, O_PATH | O_DIRECTORY | O_CLOEXEC);
	ASSERT_LE(0, dir);
	EXPECT_FAILS(EBUSY, umount_tree());
	close(dir);
	EXPECT_EQ(0, umount_tree());
}

/* It takes memory that no reclaim gets back: root's only, and no user namespace's root. */
TEST_F(options, root_only)
{
	int status;
	pid_t pid = fork();

	mkdir(TREE, 0700);
	if (!pid) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
			_exit(2);
		_exit(mount("none", TREE, "vmademo", 0, NULL) == -1 && errno == EPERM
			      ? 0
			      : 1);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* modprobe finds it by this name, and so does the administrator. */
TEST_F(options, known_by_name)
{
	char line[64];
	bool found = false;
	FILE *f = fopen("/proc/filesystems", "r");

	ASSERT_NE(NULL, f);
	while (fgets(line, sizeof(line), f))
		found |= !strcmp(line, "nodev\tvmademo\n");
	fclose(f);
	EXPECT_TRUE(found);
}

TEST_HARNESS_MAIN
