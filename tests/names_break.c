// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names of a tree and power cuts: what an adversary tries.
 */
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"
#include "../lib/tree.h"
#include "rules.h"

KEEP_A_RULE

static bool is_there(const char *path)
{
	return !access(path, F_OK);
}

static int64_t cut(int fd)
{
	struct vmademo_crash c = { 0 };

	return ioctl(fd, VMADEMO_IOC_CRASH, &c) ? -errno : (int64_t)c.lost_names;
}

static void start(struct __test_metadata *_metadata, const char *options, int *dir)
{
	ASSERT_EQ(0, mount_tree(options));
	*dir = open(TREE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_LE(0, *dir);
}

/* A new file is moved, and only the directory that it is moved to is synced. */
TEST(moved_new)
{
	int dir;

	start(_metadata, "store=ram,size=256p,names=posix", &dir);
	ASSERT_EQ(0, mkdir(AT "x", 0700));
	ASSERT_EQ(0, mkdir(AT "y", 0700));
	ASSERT_EQ(0, sync_tree());
	ASSERT_EQ(0, write_file(AT "x/a", "text"));
	ASSERT_EQ(0, rename(AT "x/a", AT "y/a"));
	EXPECT_EQ(0, sync_file(AT "y"));
	EXPECT_LE(0, cut(dir));
	EXPECT_TRUE(is_there(AT "y/a"));
	EXPECT_FALSE(is_there(AT "x/a"));
	close(dir);
	EXPECT_EQ(0, umount_tree());
}

/* The same of one that was renamed before. */
TEST(moved_twice)
{
	int dir;

	start(_metadata, "store=ram,size=256p,names=posix", &dir);
	ASSERT_EQ(0, mkdir(AT "x", 0700));
	ASSERT_EQ(0, mkdir(AT "y", 0700));
	ASSERT_EQ(0, write_file(AT "x/0", "text"));
	ASSERT_EQ(0, sync_tree());
	ASSERT_EQ(0, rename(AT "x/0", AT "x/a"));
	ASSERT_EQ(0, rename(AT "x/a", AT "y/a"));
	EXPECT_EQ(0, sync_file(AT "y"));
	TH_LOG("lost %d", (int)cut(dir));
	EXPECT_TRUE(is_there(AT "y/a"));
	EXPECT_TRUE(is_there(AT "x/0"));
	EXPECT_FALSE(is_there(AT "x/a"));
	close(dir);
	EXPECT_EQ(0, umount_tree());
}

/* ---- two at once --------------------------------------------------------- */

static atomic_int stop;

static void *crashes(void *arg)
{
	while (!atomic_load(&stop))
		cut((int)(long)arg);
	return NULL;
}

static void *makes(void *arg)
{
	while (!atomic_load(&stop)) {
		mkdir(AT "d", 0700);
		close(open(AT "d/a", O_CREAT | O_RDWR, 0600));
		unlink(AT "d/a");
		rmdir(AT "d");
	}
	return NULL;
}

static void *links(void *arg)
{
	while (!atomic_load(&stop)) {
		close(open(AT "x/a", O_CREAT | O_RDWR, 0600));
		link(AT "x/a", AT "y/b");
		close(open(AT "y/c", O_CREAT | O_RDWR, 0600));
		rename(AT "y/c", AT "y/b");
		unlink(AT "x/a");
		unlink(AT "y/b");
		unlink(AT "y/c");
	}
	return NULL;
}

static void race(struct __test_metadata *_metadata, void *(*what)(void *))
{
	pthread_t a, b;
	int dir;

	start(_metadata, "store=ram,size=4096p", &dir);
	ASSERT_EQ(0, mkdir(AT "x", 0700));
	ASSERT_EQ(0, mkdir(AT "y", 0700));
	ASSERT_EQ(0, sync_tree());
	atomic_store(&stop, 0);
	pthread_create(&a, NULL, crashes, (void *)(long)dir);
	pthread_create(&b, NULL, what, NULL);
	sleep(10);
	atomic_store(&stop, 1);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	unlink(AT "d/a");
	rmdir(AT "d");
	unlink(AT "x/a");
	unlink(AT "y/b");
	unlink(AT "y/c");
	EXPECT_EQ(0, rmdir(AT "x"));
	EXPECT_EQ(0, rmdir(AT "y"));
	EXPECT_EQ(0, sync_tree());
	EXPECT_EQ(0, inodes_taken());
	EXPECT_EQ(0, room_taken());
	close(dir);
	EXPECT_EQ(0, umount_tree());
}

TEST(create_in_what_goes)
{
	race(_metadata, makes);
}

TEST(link_to_what_goes)
{
	race(_metadata, links);
}

/* ---- what comes back before its own cut is done --------------------------- */

static char *slow;

/* From memory that takes two seconds to come: meanwhile the cut of the file waits. */
static pid_t writes_slowly(int fd)
{
	pid_t pid = fork();

	if (!pid)
		_exit(pwrite(fd, slow, 1, 0) != 1);
	return pid;
}

static int tree_dir;
static unsigned int off_seed;

static void *switches_off(void *arg)
{
	power(tree_dir, (struct vmademo_power){ .flags = VMADEMO_POWER_OFF,
						.seed = off_seed,
						.written_permille = 999 });
	return NULL;
}

/*
 * A removed file is there again because of a cut.  What a program writes to it then was not
 * written before the cut.
 */
TEST(written_when_it_is_back)
{
	char a[2 * PAGE], b[PAGE];
	int backs = 0, changed = 0, news;

	memset(a, 'A', sizeof(a));
	memset(b, 'B', sizeof(b));
	for (off_seed = 1; off_seed < 12; off_seed++) {
		pthread_t off;
		pid_t writer;
		int fd, i, k;

		start(_metadata, "store=ram,size=256p,folio_size=1p", &tree_dir);
		k = new_file(AT "k");
		ASSERT_EQ(sizeof(a), write(k, a, sizeof(a)));
		slow = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, k, 0);
		ASSERT_NE(MAP_FAILED, slow);
		fd = new_file(AT "j");
		ASSERT_EQ(sizeof(a), write(fd, a, sizeof(a)));
		ASSERT_EQ(0, fsync(fd));
		/* Or it would wait for the writer */
		ASSERT_EQ(0, unlink(AT "j"));
		ASSERT_LT(0, ADD_RULE(k, .op = VMADEMO_OP_READ_FAULT,
				      .times = 1, .delay_us = 2000000));
		writer = writes_slowly(fd);
		usleep(200000);
		pthread_create(&off, NULL, switches_off, NULL);
		for (i = 0; i < 60 && !is_there(AT "j"); i++)
			usleep(10000);
		news = open(AT "j", O_RDWR | O_CLOEXEC, 0600);
		if (i < 60)
			backs++;
		if (news >= 0 && i < 60) {
			char *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
					 MAP_SHARED, news, PAGE);

			unsigned char in = 0;

			ASSERT_NE(MAP_FAILED, map);
			mincore(map, PAGE, &in);
			if (in & 1)
				memcpy(map, b, sizeof(b));
			munmap(map, PAGE);
		}
		close(news);
		waitpid(writer, NULL, 0);
		pthread_join(off, NULL);
		ASSERT_EQ(0, power_on(tree_dir));
		news = open(AT "j", O_RDONLY | O_CLOEXEC);
		if (news >= 0 && pread(news, b, 1, PAGE) == 1 && b[0] != 'A')
			changed++;
		b[0] = 'B';
		close(news);
		close(fd);
		munmap(slow, PAGE);
		close(k);
		close(tree_dir);
		EXPECT_EQ(0, umount_tree());
	}
	TH_LOG("%d times back early, %d changed", backs, changed);
	EXPECT_EQ(0, changed);
}

/* ---- while the power is off ------------------------------------------------ */

static long slab_kib(void)
{
	char line[200];
	long kib = -1;
	FILE *f = fopen("/proc/meminfo", "r");

	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "Slab: %ld", &kib) == 1)
			break;
	fclose(f);
	return kib;
}

TEST(much_while_off)
{
	struct vmademo_info info = { 0 };
	int dir, i;
	long before;

	start(_metadata, "store=ram,size=16p", &dir);
	ASSERT_EQ(0, write_file(AT "a", ""));
	ASSERT_EQ(0, sync_tree());
	ASSERT_EQ(0, power_off(dir));
	before = slab_kib();
	for (i = 0;
	     i < 50000 && !rename(AT "a", AT "b") && !rename(AT "b", AT "a"); i++)
		;
	ioctl(dir, VMADEMO_IOC_INFO, &info);
	TH_LOG("%d rounds (%s), %llu pending, slab %ld KiB more", i,
	       strerror(errno), (unsigned long long)info.pending_names,
	       slab_kib() - before);
	EXPECT_LT(0, i);
	EXPECT_GT(30000, slab_kib() - before);
	close(dir);
	EXPECT_EQ(0, umount_tree());
}

TEST_HARNESS_MAIN
