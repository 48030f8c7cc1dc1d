// SPDX-License-Identifier: GPL-2.0-only
/*
 * A storm in a mounted tree: files made, written, mapped, renamed over each other, linked and
 * unlinked by several threads, while others read them, list the directory and sync.  What gets
 * a name that all know is complete before; so whoever opens that name sees one whole file.
 * And who lacks room, while others take and give up some.
 */
#include <dirent.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sys/xattr.h>

#include "kselftest_harness.h"
#include "../lib/tree.h"
#include "vmademo_test.h"

#define WRITERS 3
#define NAMES	5 /* that all know */
#define PAGES	3UL

static int rounds;
static volatile bool stop;
static bool cutting; /* the power goes now and then: files need not be whole */
static int broken; /* files that were not whole */
static int strange; /* calls that failed as none may */
static int seen; /* whole files */

FIXTURE(storm)
{
	int unused;
};

FIXTURE_VARIANT(storm)
{
	const char *options;
};

FIXTURE_VARIANT_ADD(storm, none){
	.options = "store=none,size=2048p",
};

FIXTURE_VARIANT_ADD(storm, ram){
	.options = "store=ram,size=2048p",
};

FIXTURE_VARIANT_ADD(storm, ram_large){
	.options = "store=ram,size=2048p,folio_size=4p",
};

FIXTURE_SETUP(storm)
{
	bool slow = access("/sys/kernel/debug/kmemleak", F_OK) == 0;

	rounds = slow ? 100 : 400;
	stop = false;
	cutting = false;
	broken = 0;
	strange = 0;
	seen = 0;
	ASSERT_EQ(0, mount_tree(variant->options));
	ASSERT_EQ(0, mkdir(AT "d", 0700));
}

FIXTURE_TEARDOWN(storm)
{
	EXPECT_EQ(0, umount_tree());
}

static void count(int *what)
{
	__atomic_add_fetch(what, 1, __ATOMIC_RELAXED);
}

/* Either it works, or another thread has been at that name, or the tree is full. */
static void may_fail(int ret)
{
	if (ret < 0 && errno != ENOENT && errno != EEXIST &&
	    errno != ENOTEMPTY && errno != ENOSPC && errno != EISDIR &&
	    errno != ENOTDIR && !(cutting && errno == EIO)) {
		count(&strange);
		fprintf(stderr, "# %s\n", strerror(errno));
	}
}

static const char *known(char *path, unsigned int n)
{
	snprintf(path, 64, "%s%u", n & 1 ? AT "d/" : AT, n % NAMES);
	return path;
}

static __thread sigjmp_buf copy_return;

static void copy_failed(int sig)
{
	siglongjmp(copy_return, sig);
}

static void copy_to(void *to, const void *from, size_t len)
{
	if (!cutting || !sigsetjmp(copy_return, 1))
		memcpy(to, from, len);
}

/* A whole file, by write(2) or by a mapping, under a name of the thread's own. */
static int make_whole(const char *own, unsigned char letter, bool map_it)
{
	unsigned char bytes[PAGES * PAGE], *map;
	int fd = open(own, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int ret = 0;

	if (fd < 0)
		return -1;
	memset(bytes, letter, sizeof(bytes));
	if (!map_it) {
		ret = pwrite(fd, bytes, sizeof(bytes), 0) == sizeof(bytes) ? 0
									   : -1;
	} else if (ftruncate(fd, sizeof(bytes))) {
		ret = -1;
	} else {
		map = mmap(NULL, sizeof(bytes), PROT_READ | PROT_WRITE,
			   MAP_SHARED, fd, 0);
		if (map == MAP_FAILED) {
			count(&strange);
		} else {
			/* Without power it raises SIGBUS, which is the thread's own */
			copy_to(map, bytes, sizeof(bytes));
			if (letter & 1)
				msync(map, sizeof(bytes), MS_SYNC);
			munmap(map, sizeof(bytes));
		}
	}
	close(fd);
	return ret;
}

static void *make_and_move(void *number)
{
	unsigned int seed = (intptr_t)number + 1;
	char own[64], path[64], other[64];
	int fd;

	snprintf(own, sizeof(own), AT "own%d", (int)(intptr_t)number);
	for (int i = 0; i < rounds; i++) {
		unsigned int n = rand_r(&seed);

		if (make_whole(own, 'a' + n % 26, n & 64)) {
			may_fail(-1);
			continue;
		}
		known(path, n >> 8);
		known(other, n >> 12);
		switch (n >> 16 & 7) {
		case 0:
			may_fail(link(own, path));
			break;
		case 1:
			may_fail(unlink(path));
			break;
		case 2:
			may_fail(syscall(SYS_renameat2, AT_FDCWD, path,
					 AT_FDCWD, other, RENAME_EXCHANGE));
			break;
		case 3:
			may_fail(rename(path, other));
			break;
		case 4:
			fd = open(TREE, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
			may_fail(fd);
			if (fd >= 0) {
				may_fail(pwrite(fd, "x", 1, n % 100 * PAGE));
				close(fd);
			}
			break;
		case 5:
			may_fail(mkdir(AT "d/e", 0700));
			may_fail(rmdir(AT "d/e"));
			break;
		}
		/* Not after link(): what all know would be truncated */
		if ((n >> 16 & 7) == 0)
			may_fail(unlink(own));
		else
			may_fail(rename(own, path));
	}
	return NULL;
}

static void look_at(const char *path)
{
	unsigned char bytes[PAGES * PAGE + 1], *map;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool whole = true;
	ssize_t n;

	if (fd < 0) {
		may_fail(fd);
		return;
	}
	n = pread(fd, bytes, sizeof(bytes), 0);
	map = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (cutting) {
		/* What is there is what is left of it */
	} else if (n != (ssize_t)(PAGES * PAGE) || map == MAP_FAILED) {
		count(&broken);
	} else {
		for (size_t i = 0; i < PAGES * PAGE; i++)
			whole = whole && bytes[i] == bytes[0] &&
				map[i] == bytes[0];
		count(whole ? &seen : &broken);
	}
	if (map != MAP_FAILED)
		munmap(map, PAGES * PAGE);
}

static void *look(void *unused)
{
	unsigned int seed = 99;
	struct dirent *d;
	char path[64];
	DIR *dir;

	(void)unused;
	while (!stop) {
		for (int i = 0; i < 20; i++)
			look_at(known(path, rand_r(&seed) >> 4));
		dir = opendir(AT "d");
		while (dir && (d = readdir(dir)))
			if (!d->d_name[0])
				count(&strange);
		if (dir)
			closedir(dir);
	}
	return NULL;
}

static void *sync_and_drop(void *unused)
{
	int fd = open(TREE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)unused;
	while (!stop) {
		syncfs(fd);
		write_text("/proc/sys/vm/drop_caches", "3");
		usleep(1000);
	}
	close(fd);
	return NULL;
}

static void *cut(void *unused)
{
	int fd = open(TREE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)unused;
	for (unsigned int i = 0; !stop; i++) {
		struct vmademo_crash c = { .seed = i,
					   .written_permille = i % 3 * 400,
					   .torn = i % 2 };
		struct vmademo_power p = { .flags = VMADEMO_POWER_OFF, .seed = i };

		if (ioctl(fd, VMADEMO_IOC_CRASH, &c))
			count(&strange);
		usleep(500);
		if (ioctl(fd, VMADEMO_IOC_POWER, &p))
			count(&strange);
		p = (struct vmademo_power){ 0 };
		if (ioctl(fd, VMADEMO_IOC_POWER, &p))
			count(&strange);
		usleep(2000);
	}
	close(fd);
	return NULL;
}

static void run_storm(struct __test_metadata *_metadata)
{
	pthread_t writers[WRITERS], others[3];
	int n = cutting ? 3 : 2;
	char path[64];

	for (intptr_t i = 0; i < WRITERS; i++)
		ASSERT_EQ(0, pthread_create(&writers[i], NULL, make_and_move,
					    (void *)i));
	ASSERT_EQ(0, pthread_create(&others[0], NULL, look, NULL));
	ASSERT_EQ(0, pthread_create(&others[1], NULL, sync_and_drop, NULL));
	if (cutting)
		ASSERT_EQ(0, pthread_create(&others[2], NULL, cut, NULL));
	for (int i = 0; i < WRITERS; i++)
		pthread_join(writers[i], NULL);
	stop = true;
	for (int i = 0; i < n; i++)
		pthread_join(others[i], NULL);
	EXPECT_EQ(0, broken);
	EXPECT_EQ(0, strange);
	if (!cutting)
		EXPECT_LT(0, seen);
	/* All that has a name is whole still; and all that took room goes */
	for (unsigned int n = 0; n < 2 * NAMES; n++) {
		look_at(known(path, n));
		unlink(path);
	}
	for (int i = 0; i < WRITERS; i++) {
		snprintf(path, sizeof(path), AT "own%d", i);
		unlink(path);
	}
	EXPECT_EQ(0, broken);
	/* A cut may have brought the one back, and have taken the other */
	if (cutting)
		rmdir(AT "d/e");
	if (rmdir(AT "d")) {
		EXPECT_TRUE(cutting && errno == ENOENT)
		TH_LOG("%s", strerror(errno));
	}
	EXPECT_EQ(0, sync_tree());
	EXPECT_EQ(0, room_taken());
	EXPECT_EQ(0, inodes_taken());
}

TEST_F(storm, of_names)
{
	run_storm(_metadata);
}

TEST_F(storm, with_power_cuts)
{
	if (strstr(variant->options, "none"))
		SKIP(return, "without a store there is nothing to cut");
	cutting = true;
	signal(SIGBUS, copy_failed);
	run_storm(_metadata);
}

/* Who lacks room is told so, however much others do that might give some up. */
TEST(no_room_while_others_go_on)
{
	char text[PAGE * 256];
	pid_t pid;
	int fd;

	ASSERT_EQ(0, mount_tree("store=ram,size=256p,folio_size=1p"));
	fd = new_file(AT "a");
	ASSERT_LE(0, fd);
	memset(text, 'x', sizeof(text));
	ASSERT_EQ(sizeof(text), write(fd, text, sizeof(text)));
	pid = fork();
	for (int i = 0; !pid; i++)
		chmod(AT "a", i % 2 ? 0600 : 0640);
	for (int i = 0; i < 5; i++) {
		EXPECT_FAILS(ENOSPC, setxattr(AT "a", "user.a", "x", 1, 0));
		EXPECT_FAILS(ENOSPC, pwrite(fd, text, PAGE, sizeof(text)));
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(fd);
	ASSERT_EQ(0, umount_tree());
}

/* And who lacks what is just being given up, gets it. */
TEST(room_while_it_is_freed)
{
	/* It takes a while until the first is free: they are cached */
	const size_t pages = 64 * MIB / PAGE, some = 200;
	static char text[MIB];
	char page[PAGE_MAX] = { 0 }, options[64];
	struct vmademo_info info = { 0 };
	int dir, fd, status;
	pid_t pid;

	snprintf(options, sizeof(options), "store=ram,size=%zup,folio_size=1p",
		 pages + some / 2);
	ASSERT_EQ(0, mount_tree(options));
	dir = open(TREE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_LE(0, dir);
	for (int round = 0; round < 3; round++) {
		fd = new_file(AT "a");
		ASSERT_LE(0, fd);
		for (size_t i = 0; i < pages * PAGE / MIB; i++)
			ASSERT_EQ(MIB, write(fd, text, MIB));
		ASSERT_EQ(0, fsync(fd));
		close(fd);
		ASSERT_EQ(0, sync_tree());
		fd = new_file(AT "b");
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, unlink(AT "a"));
		pid = fork();
		if (!pid)
			_exit(fsync(fd));
		/* It is durable, and being freed */
		while (!ioctl(dir, VMADEMO_IOC_INFO, &info) && info.pending_names)
			;
		for (size_t i = 0; i < some; i++) {
			EXPECT_EQ(PAGE, pwrite(fd, page, PAGE, i * PAGE))
			TH_LOG("page %zu: %s", i, strerror(errno));
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(0, status);
		close(fd);
		ASSERT_EQ(0, unlink(AT "b"));
		ASSERT_EQ(0, sync_tree());
	}
	close(dir);
	ASSERT_EQ(0, umount_tree());
}

TEST_HARNESS_MAIN
