// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules of a mounted tree, made on any of its directories: they are for all of its files, also
 * for those that are made later, and count the events of all of them.  And the counters of all
 * files together.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "../lib/tree.h"
#include "rules.h"

#define FILES 4
#define PAGES 8UL
#define SIZE  (PAGES * PAGE)

KEEP_A_RULE

FIXTURE(tree)
{
	int dir, fd[FILES];
	unsigned char *map[FILES];
};

/* Each page of each file is mapped, and can be written to without a fault. */
static int new_mapped(const char *path, unsigned char **map)
{
	int fd = new_file(path);

	if (fd < 0 || ftruncate(fd, SIZE))
		return -1;
	*map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (*map == MAP_FAILED)
		return -1;
	memset(*map, 'o', SIZE);
	return fd;
}

FIXTURE_SETUP(tree)
{
	static const char *const names[FILES] = { AT "a", AT "b", AT "d/c",
						  AT "d/d" };

	ASSERT_EQ(0, mount_tree("store=ram,folio_size=1p"));
	ASSERT_EQ(0, mkdir(AT "d", 0700));
	self->dir = open(AT "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_LE(0, self->dir);
	for (int i = 0; i < FILES; i++) {
		self->fd[i] = new_mapped(names[i], &self->map[i]);
		ASSERT_LE(0, self->fd[i]);
		ASSERT_EQ(0, fsync(self->fd[i]));
		memset(self->map[i], 'n', SIZE);
	}
}

FIXTURE_TEARDOWN(tree)
{
	for (int i = 0; i < FILES; i++) {
		munmap(self->map[i], SIZE);
		close(self->fd[i]);
	}
	close(self->dir);
	EXPECT_EQ(0, umount_tree()) TH_LOG("umount: %s", strerror(errno));
}

static uint64_t matches_of(int fd, int64_t id)
{
	return get_rule(fd, id).matches;
}

static struct vmademo_stats stats_of(int fd)
{
	struct vmademo_stats stats = { .size = sizeof(stats) };

	if (ioctl(fd, VMADEMO_IOC_STATS, &stats))
		stats.size = 0;
	return stats;
}

/* Mapped or yet to be made: a page that has a rule has it in each file. */
TEST_F(tree, in_every_file)
{
	int root = open(TREE, O_RDONLY | O_DIRECTORY), late;
	unsigned char *map;
	char byte;
	int64_t id = ADD_RULE(self->dir, .op = VMADEMO_OP_MKWRITE, .start = 3,
			      .nr = 1, .status = ENOSPC);

	ASSERT_LT(0, id) TH_LOG("%s", strerror(errno));
	ASSERT_LE(0, root);
	for (int i = 0; i < FILES; i++) {
		EXPECT_EQ(0, touch_signal(self->map[i] + 2 * PAGE, 1));
		EXPECT_EQ(SIGBUS, touch_signal(self->map[i] + 3 * PAGE, 1));
		EXPECT_FAILS(ENOSPC, pwrite(self->fd[i], "x", 1, 3 * PAGE));
		EXPECT_EQ(1, pread(self->fd[i], &byte, 1, 3 * PAGE));
	}
	late = new_file(AT "late");
	ASSERT_LE(0, late);
	ASSERT_EQ(0, ftruncate(late, SIZE));
	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, late, 0);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(SIGBUS, touch_signal(map + 3 * PAGE, 1));
	EXPECT_EQ(0, touch_signal(map + 4 * PAGE, 1));
	/* It is the tree's: any directory tells of it, and no file does */
	EXPECT_EQ(2 * FILES + 1, hits_of(root, id));
	EXPECT_EQ(1, count_rules(self->dir));
	EXPECT_EQ(0, count_rules(self->fd[0]));
	EXPECT_EQ(ENOENT, del_rule(self->fd[0], id) ? errno : 0);
	ASSERT_EQ(0, del_rule(root, id));
	EXPECT_EQ(0, touch_signal(map + 3 * PAGE, 1));
	EXPECT_EQ(0, count_rules(self->dir));
	munmap(map, SIZE);
	close(late);
	close(root);
}

/* The rules of the file come first; an event that one of them meets is none for the tree's. */
TEST_F(tree, the_files_own_first)
{
	int64_t all, own, never;
	char byte;

	all = ADD_RULE(self->dir, .op = VMADEMO_OP_READ, .status = EAGAIN);
	own = ADD_RULE(self->fd[1], .op = VMADEMO_OP_READ, .status = EIO,
		       .skip = 1, .times = 1);
	never = ADD_RULE(self->dir, .op = VMADEMO_OP_READ, .status = EINTR);
	ASSERT_LT(0, all);
	ASSERT_LT(0, own);
	ASSERT_LT(0, never);
	EXPECT_FAILS(EAGAIN, pread(self->fd[0], &byte, 1, 0));
	EXPECT_FAILS(EAGAIN, pread(self->fd[1], &byte, 1, 0));
	EXPECT_FAILS(EIO, pread(self->fd[1], &byte, 1, 0));
	EXPECT_EQ(2, hits_of(self->dir, all));
	EXPECT_EQ(2, matches_of(self->dir, all));
	EXPECT_EQ(2, matches_of(self->fd[1], own));
	EXPECT_EQ(0, matches_of(self->dir, never));
	/* To delete all of the file's leaves the tree's, and the other way round */
	ASSERT_EQ(0, del_rule(self->fd[1], 0));
	EXPECT_FAILS(EAGAIN, pread(self->fd[1], &byte, 1, 0));
	own = ADD_RULE(self->fd[1], .op = VMADEMO_OP_READ, .status = EIO);
	ASSERT_LT(0, own);
	ASSERT_EQ(0, del_rule(self->dir, 0));
	EXPECT_EQ(1, pread(self->fd[0], &byte, 1, 0));
	EXPECT_FAILS(EIO, pread(self->fd[1], &byte, 1, 0));
}

/* Of all files together, so many pages arrive, and nothing else. */
TEST_F(tree, the_nth_write_out_of_all)
{
	for (unsigned int n = 0; n < FILES * PAGES; n += 5) {
		unsigned int arrived = 0;
		int64_t id;

		for (int i = 0; i < FILES; i++) {
			memset(self->map[i], 'o', SIZE);
			ASSERT_EQ(0, fsync(self->fd[i]));
			memset(self->map[i], 'n', SIZE);
		}
		id = ADD_RULE(self->dir, .op = VMADEMO_OP_WRITE_OUT, .skip = n,
			      .times = 1,
			      .flags = VMADEMO_RULE_CRASH | VMADEMO_RULE_OFF);
		ASSERT_LT(0, id);
		for (int i = 0; i < FILES; i++)
			fsync(self->fd[i]);
		EXPECT_EQ(1, hits_of(self->dir, id));
		ASSERT_EQ(0, del_rule(self->dir, id));
		ASSERT_EQ(0, power_on(self->dir));
		for (int i = 0; i < FILES; i++)
			for (size_t at = 0; at < SIZE; at += PAGE)
				arrived += touch(self->map[i] + at) == 'n';
		EXPECT_EQ(n, arrived);
	}
}

/* The answer to a fault that has waited is for that file's page, not another's. */
TEST_F(tree, delayed_faults)
{
	int64_t id = ADD_RULE(self->dir, .op = VMADEMO_OP_READ_FAULT,
			      .start = 5, .nr = 1, .delay_us = 1000,
			      .status = VMADEMO_STATUS_SIGBUS, .skip = 1,
			      .one_in = 2, .seed = 1);

	int bus = 0;

	ASSERT_LT(0, id);
	for (int n = 0; n < 20; n++)
		for (int i = 0; i < FILES; i++) {
			ASSERT_EQ(0, madvise(self->map[i], SIZE, MADV_DONTNEED));
			bus += touch_signal(self->map[i] + 5 * PAGE, 0) == SIGBUS;
		}
	EXPECT_EQ(hits_of(self->dir, id), bus);
	EXPECT_EQ(20 * FILES, matches_of(self->dir, id));
	EXPECT_LT(0, hits_of(self->dir, id));
	EXPECT_GT(20 * FILES, hits_of(self->dir, id));
}

TEST_F(tree, refused)
{
	struct vmademo_rule r = { .op = VMADEMO_OP_READ, .status = EIO };
	struct vmademo_stats stats = { .size = VMADEMO_STATS_SIZE_VER0 - 1 };
	int status, none;
	pid_t pid;

	ASSERT_EQ(0, chmod(TREE, 0777));
	ASSERT_EQ(0, chmod(AT "d", 0777));
	pid = fork();
	if (pid == 0) {
		int dir;

		if (setresuid(65534, 65534, 65534))
			_exit(1);
		dir = open(AT "d", O_RDONLY | O_DIRECTORY);
		if (dir < 0 || !ioctl(dir, VMADEMO_IOC_RULE_ADD, &r) ||
		    errno != EPERM)
			_exit(2);
		if (del_rule(dir, 0) == 0 || errno != EPERM)
			_exit(3);
		/* To look is everybody's */
		_exit(count_rules(dir) == 0 && stats_of(dir).size ? 0 : 4);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	r.start = UINT64_MAX;
	EXPECT_FAILS(EINVAL, ioctl(self->dir, VMADEMO_IOC_RULE_ADD, &r));
	EXPECT_FAILS(ENOENT, del_rule(self->dir, 1));
	EXPECT_FAILS(EINVAL, ioctl(self->dir, VMADEMO_IOC_STATS, &stats));
	EXPECT_FAILS(ENOTTY, ioctl(self->dir, VMADEMO_IOC_PAGES, &stats));
	none = open("/tmp", O_RDONLY | O_DIRECTORY);
	EXPECT_FAILS(ENOTTY, ioctl(none, VMADEMO_IOC_RULE_ADD, &r));
	close(none);
	EXPECT_EQ(0, count_rules(self->dir));
}

TEST(without_a_store)
{
	struct vmademo_rule r = { .op = VMADEMO_OP_WRITE_OUT,
				  .flags = VMADEMO_RULE_CRASH };
	char byte;
	int dir, fd;

	ASSERT_EQ(0, mount_tree("store=none"));
	dir = open(TREE, O_RDONLY | O_DIRECTORY);
	fd = new_file(AT "a");
	ASSERT_LE(0, fd);
	EXPECT_FAILS(EOPNOTSUPP, ioctl(dir, VMADEMO_IOC_RULE_ADD, &r));
	ASSERT_LT(0, ADD_RULE(dir, .op = VMADEMO_OP_READ, .status = EIO));
	ASSERT_EQ(1, pwrite(fd, "x", 1, 0));
	EXPECT_FAILS(EIO, pread(fd, &byte, 1, 0));
	close(fd);
	close(dir);
	/* They end with the tree: another one has none */
	ASSERT_EQ(0, umount_tree());
	ASSERT_EQ(0, mount_tree("store=none"));
	dir = open(TREE, O_RDONLY | O_DIRECTORY);
	EXPECT_EQ(0, count_rules(dir));
	close(dir);
	ASSERT_EQ(0, umount_tree());
}

/* Large folios that are cached cannot be divided; where there is a rule, none is made. */
TEST(large_folios)
{
	unsigned char *map;
	int64_t id;
	int dir, fd;

	ASSERT_EQ(0, mount_tree("store=ram,folio_size=64K"));
	dir = open(TREE, O_RDONLY | O_DIRECTORY);
	fd = new_mapped(AT "a", &map);
	ASSERT_LE(0, fd);
	if (largest_folio(fd) == (int64_t)PAGE)
		SKIP(goto end, "its folios are pages");
	EXPECT_FAILS(EBUSY, ADD_RULE(dir, .op = VMADEMO_OP_MKWRITE,
				     .status = EIO, .nr = 2));
	EXPECT_EQ(0, count_rules(dir));
	munmap(map, SIZE);
	close(fd);
	ASSERT_EQ(0, unlink(AT "a"));
	/* Until that is durable, it may come back */
	ASSERT_EQ(0, sync_tree());
	id = ADD_RULE(dir, .op = VMADEMO_OP_MKWRITE, .start = 1, .nr = 1,
		      .status = EIO);
	ASSERT_LT(0, id);
	fd = new_file(AT "a");
	ASSERT_EQ(0, ftruncate(fd, SIZE));
	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	EXPECT_EQ(0, touch_signal(map, 1));
	EXPECT_EQ(SIGBUS, touch_signal(map + PAGE, 1));
end:
	munmap(map, SIZE);
	close(fd);
	close(dir);
	ASSERT_EQ(0, umount_tree());
}

/* All files together, and those that are gone. */
TEST_F(tree, counters_of_all)
{
	struct vmademo_stats before = stats_of(self->dir), s;
	struct vmademo_info info;
	unsigned char *map;
	uint64_t sum = 0;
	int fd;

	for (int i = 0; i < FILES; i++)
		sum += stats_of(self->fd[i]).first_writes;
	EXPECT_EQ(sum, before.first_writes);
	EXPECT_LE(FILES * PAGES, before.dirtied_folios);
	fd = new_mapped(AT "new", &map);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fsync(fd));
	munmap(map, SIZE);
	close(fd);
	s = stats_of(self->dir);
	EXPECT_EQ(PAGES, s.dirtied_folios - before.dirtied_folios);
	EXPECT_EQ(1, s.flushes - before.flushes);
	ASSERT_EQ(0, unlink(AT "new"));
	sync();
	EXPECT_EQ(s.dirtied_folios, stats_of(self->dir).dirtied_folios);
	EXPECT_EQ(s.written_bytes + FILES * SIZE,
		  stats_of(self->dir).written_bytes);
	/* What is there now */
	ASSERT_EQ(0, ioctl(self->dir, VMADEMO_IOC_INFO, &info));
	EXPECT_EQ(FILES * SIZE, info.cached_bytes);
	EXPECT_EQ(0, info.dirty_bytes);
	EXPECT_EQ(FILES, info.mappings);
	EXPECT_EQ(VMADEMO_STORE_RAM, info.store);
	EXPECT_EQ(0, info.flags);
	EXPECT_EQ(0, info.ino);
	put(self->map[1], 1);
	ASSERT_EQ(0, ioctl(self->dir, VMADEMO_IOC_INFO, &info));
	EXPECT_EQ(PAGE, info.dirty_bytes);
	ASSERT_EQ(0, power_off(self->dir));
	ASSERT_EQ(0, ioctl(self->dir, VMADEMO_IOC_INFO, &info));
	EXPECT_EQ(VMADEMO_INFO_OFF, info.flags);
	ASSERT_EQ(0, power_on(self->dir));
	/* And what the last cut has lost */
	memset(self->map[0], 'x', SIZE);
	ASSERT_EQ(0, power_cut(self->fd[0]));
	EXPECT_EQ(PAGES, stats_of(self->dir).last_crash_lost_folios);
}

static atomic_bool stop;

/* Makes files, writes to them, maps them, and lets them go.  A cut may undo their size. */
static void *make_files(void *arg)
{
	static const char bytes[PAGES * PAGE_MAX];
	const char *path = arg;

	while (!atomic_load(&stop)) {
		int fd = new_file(path);
		void *map;

		pwrite(fd, bytes, SIZE, 0);
		map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_POPULATE, fd, 0);
		pwrite(fd, bytes, 1, PAGE);
		fsync(fd);
		munmap(map, SIZE);
		unlink(path);
		close(fd);
	}
	return NULL;
}

/* Rules come and go while files do; the last file may go while its pages are looked for. */
TEST_F(tree, while_files_come_and_go)
{
	pthread_t threads[2];
	int64_t id;
	int kept;

	kept = keep_code_patched();
	atomic_store(&stop, false);
	ASSERT_EQ(0, pthread_create(&threads[0], NULL, make_files, AT "x"));
	ASSERT_EQ(0, pthread_create(&threads[1], NULL, make_files, AT "d/y"));
	for (int n = 0; n < 100; n++) {
		id = ADD_RULE(self->dir,
			      .op = n % 2 ? VMADEMO_OP_MKWRITE
					  : VMADEMO_OP_READ_FAULT,
			      .delay_us = 1, .nr = n % 4);
		ASSERT_LT(0, id) TH_LOG("%s", strerror(errno));
		if (n % 3 == 0)
			ASSERT_EQ(0, power_cut(self->fd[0]));
		ASSERT_EQ(0, del_rule(self->dir, n % 5 ? id : 0));
	}
	atomic_store(&stop, true);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	EXPECT_EQ(0, count_rules(self->dir));
	if (kept >= 0)
		close(kept);
}

TEST_HARNESS_MAIN
