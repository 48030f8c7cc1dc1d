// SPDX-License-Identifier: GPL-2.0-only
/*
 * The power of a mounted tree: it goes for every file at one moment, by a request on any file
 * or directory, or by a rule; names stay.
 */
#include <pthread.h>

#include "kselftest_harness.h"
#include "../lib/tree.h"
#include "rules.h"

KEEP_A_RULE

#define FILES 6
#define PAGES 16UL
#define SIZE  (PAGES * PAGE)

FIXTURE(tree)
{
	int dir, fd[FILES];
	unsigned char *map[FILES];
};

static const char *name(int i)
{
	static char path[64];

	snprintf(path, sizeof(path), AT "%s%d", i % 2 ? "d/" : "", i);
	return path;
}

FIXTURE_SETUP(tree)
{
	ASSERT_EQ(0, mount_tree("store=ram,folio_size=1p"))
	TH_LOG("mount: %s", strerror(errno));
	ASSERT_EQ(0, mkdir(AT "d", 0700));
	self->dir = open(AT "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_LE(0, self->dir);
	for (int i = 0; i < FILES; i++) {
		self->fd[i] = new_file(name(i));
		ASSERT_LE(0, self->fd[i]);
		ASSERT_EQ(0, ftruncate(self->fd[i], SIZE));
		self->map[i] = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
				    MAP_SHARED, self->fd[i], 0);
		ASSERT_NE(MAP_FAILED, self->map[i]);
		memset(self->map[i], 'o', SIZE);
		ASSERT_EQ(0, fsync(self->fd[i]));
	}
}

FIXTURE_TEARDOWN(tree)
{
	for (int i = 0; i < FILES; i++) {
		EXPECT_ACCOUNT_ADDS_UP(self->fd[i]);
		munmap(self->map[i], SIZE);
		close(self->fd[i]);
	}
	close(self->dir);
	EXPECT_EQ(0, umount_tree()) TH_LOG("umount: %s", strerror(errno));
}

static int crash(int fd, struct vmademo_crash *c)
{
	return ioctl(fd, VMADEMO_IOC_CRASH, c);
}

/* Whoever asks: every file loses what is not stored, and none its name if that is durable. */
TEST_F(tree, every_file)
{
	int tmp = open(TREE, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600), asked[3];

	asked[0] = self->dir;
	asked[1] = self->fd[3];
	asked[2] = open(TREE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_LE(0, asked[2]);
	ASSERT_LE(0, tmp);
	for (int n = 0; n < 3; n++) {
		struct vmademo_crash c = { .seed = n };

		for (int i = 0; i < FILES; i++)
			memset(self->map[i], 'n', (i + 1) * PAGE);
		ASSERT_EQ(4, pwrite(tmp, "gone", 4, 0));
		ASSERT_EQ(0, write_file(AT "new", "text"));
		ASSERT_EQ(0, fsync(self->dir));
		ASSERT_EQ(0, write_file(AT "newer", "text"));
		ASSERT_EQ(0, crash(asked[n], &c)) TH_LOG("%s", strerror(errno));
		/* 1 + 2 + ... pages, and one of each of the other three */
		EXPECT_EQ(FILES * (FILES + 1) / 2 + 3, c.lost_folios);
		EXPECT_EQ(c.lost_folios * PAGE, c.lost_bytes);
		EXPECT_EQ(0, c.written_folios);
		EXPECT_EQ(1, c.lost_names);
		for (int i = 0; i < FILES; i++) {
			EXPECT_EQ(n + 1, account_of(self->fd[i]).crashes);
			EXPECT_EQ(i + 1, fd_value(self->fd[i],
						  "last_crash_lost_folios"));
			EXPECT_FALSE(is_off(self->fd[i]));
			for (size_t at = 0; at < SIZE; at += PAGE / 2)
				ASSERT_EQ('o', touch(self->map[i] + at));
		}
		/* Nothing of it was durable, and so its size was not */
		EXPECT_EQ(0, lseek(tmp, 0, SEEK_END));
		EXPECT_STREQ("", text_of(AT "new"));
		EXPECT_FAILS(ENOENT, access(AT "newer", F_OK));
		ASSERT_EQ(0, unlink(AT "new"));
		ASSERT_EQ(0, fsync(self->dir));
	}
	close(tmp);
	close(asked[2]);
	/* It goes on */
	put(self->map[0], 'p');
	EXPECT_EQ(0, fsync(self->fd[0]));
	ASSERT_EQ(0, power_cut(self->fd[0]));
	EXPECT_EQ('p', touch(self->map[0]));
}

/* What happens to be written: the same for the same seed, and not the same in each file. */
TEST_F(tree, seeds)
{
	unsigned char first[FILES][SIZE];
	struct vmademo_power p;
	bool differ = false;

	for (uint64_t seed = 0; seed < 6; seed++) {
		for (int again = 0; again < 3; again++) {
			struct vmademo_crash c = { .seed = seed,
						   .written_permille = 400,
						   .torn = 2 };

			for (int i = 0; i < FILES; i++) {
				memset(self->map[i], 'o', SIZE);
				ASSERT_EQ(0, fsync(self->fd[i]));
				memset(self->map[i], 'n', SIZE);
			}
			/* POWER does the same */
			p = (struct vmademo_power){
				.flags = VMADEMO_POWER_OFF,
				.seed = seed,
				.written_permille = 400,
				.torn = 2,
			};
			if (again == 2) {
				ASSERT_EQ(0, ioctl(self->dir, VMADEMO_IOC_POWER,
						   &p));
				c.lost_folios = p.lost_folios;
				c.written_folios = p.written_folios;
				c.torn_folios = p.torn_folios;
				ASSERT_EQ(0, power_on(self->dir));
			} else {
				ASSERT_EQ(0, crash(self->fd[again], &c));
			}
			EXPECT_EQ(FILES * PAGES,
				  c.lost_folios + c.written_folios);
			EXPECT_LT(FILES * PAGES / 4, c.written_folios);
			EXPECT_EQ(2 * FILES, c.torn_folios);
			for (int i = 0; i < FILES && !again; i++)
				memcpy(first[i], self->map[i], SIZE);
			for (int i = 0; i < FILES; i++)
				EXPECT_EQ(0,
					  memcmp(first[i], self->map[i], SIZE));
		}
		for (int i = 1; i < FILES; i++)
			differ |= !!memcmp(first[0], first[i], SIZE);
	}
	EXPECT_TRUE(differ);
}

/* Whether an older file is still there does not change what a seed does to the others. */
TEST_F(tree, seeds_stay)
{
	unsigned char first[FILES][SIZE];

	for (int round = 0; round < 2; round++) {
		struct vmademo_crash c = { .seed = 3, .written_permille = 400 };

		for (int i = 0; i < FILES; i++) {
			memset(self->map[i], 'o', SIZE);
			ASSERT_EQ(0, fsync(self->fd[i]));
			memset(self->map[i], 'n', SIZE);
		}
		ASSERT_EQ(0, crash(self->dir, &c));
		for (int i = 0; i < FILES && !round; i++)
			memcpy(first[i], self->map[i], SIZE);
		for (int i = 1; i < FILES; i++)
			EXPECT_EQ(0, memcmp(first[i], self->map[i], SIZE));
		if (round)
			break;
		munmap(self->map[0], SIZE);
		close(self->fd[0]);
		ASSERT_EQ(0, unlink(name(0)));
		ASSERT_EQ(0, sync_tree());
		self->fd[0] = new_file(name(0));
		ASSERT_EQ(0, ftruncate(self->fd[0], SIZE));
		self->map[0] = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
				    MAP_SHARED, self->fd[0], 0);
		ASSERT_NE(MAP_FAILED, self->map[0]);
	}
	/* The new one has a seed of its own */
	EXPECT_NE(0, memcmp(first[0], self->map[0], SIZE));
}

/* Off, and on again. */
TEST_F(tree, off)
{
	unsigned char *new_map;
	int fd;

	memset(self->map[2], 'n', SIZE);
	ASSERT_EQ(0, power_off(self->fd[1]));
	for (int i = 0; i < FILES; i++) {
		EXPECT_TRUE(is_off(self->fd[i]));
		EXPECT_EQ(SIGBUS, touch_signal(self->map[i], 0));
		EXPECT_FAILS(EIO, ftruncate(self->fd[i], 0));
		EXPECT_EQ(EIO, told(self->fd[i]));
	}
	EXPECT_FAILS(EIO, open(name(0), O_RDWR | O_TRUNC));
	/* Names can be changed, but not for long: see below */
	fd = new_file(AT "new");
	ASSERT_LE(0, fd);
	EXPECT_TRUE(is_off(fd));
	EXPECT_FAILS(EIO, ftruncate(fd, SIZE));
	EXPECT_FAILS(EIO, pwrite(fd, "x", 1, 0));
	EXPECT_EQ(0, rename(name(5), AT "other"));
	EXPECT_EQ(0, unlink(AT "other"));
	/* Off twice, a cut while it is off */
	ASSERT_EQ(0, power_off(self->dir));
	ASSERT_EQ(0, power_cut(self->dir));
	EXPECT_TRUE(is_off(fd));

	EXPECT_FAILS(EIO, fsync(self->dir));
	ASSERT_EQ(0, power_on(self->dir));
	ASSERT_EQ(0, power_on(self->fd[4]));
	/* What was done to them while it was off never was */
	EXPECT_FAILS(ENOENT, access(AT "new", F_OK));
	EXPECT_FAILS(ENOENT, access(AT "other", F_OK));
	EXPECT_EQ(0, access(name(5), F_OK));
	EXPECT_FALSE(is_off(fd));
	for (int i = 0; i < FILES; i++) {
		EXPECT_FALSE(is_off(self->fd[i]));
		for (size_t at = 0; at < SIZE; at += PAGE / 2)
			ASSERT_EQ('o', touch(self->map[i] + at));
	}
	ASSERT_EQ(0, ftruncate(fd, SIZE));
	new_map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, new_map);
	put(new_map, 'x');
	told(fd);
	EXPECT_EQ(0, fsync(fd));
	munmap(new_map, SIZE);
	/* Its name is lost: when it is closed it gives its room back, with the power off, too */
	ASSERT_EQ(0, power_off(self->dir));
	close(fd);
	EXPECT_EQ((int64_t)(FILES * SIZE), room_taken());
	ASSERT_EQ(0, power_on(self->dir));
}

/* A rule of one file cuts all of them. */
TEST_F(tree, by_a_rule)
{
	unsigned char page[PAGE_MAX] = { 0 };
	int patched = keep_code_patched();

	ASSERT_LT(0, ADD_RULE(self->fd[0], .op = VMADEMO_OP_WRITE_OUT, .skip = 2,
			      .times = 1, .flags = VMADEMO_RULE_CRASH));
	memset(self->map[0], 'n', 5 * PAGE);
	memset(self->map[3], 'n', 5 * PAGE);
	EXPECT_FAILS(EIO, fsync(self->fd[0]));
	/* Until it is done */
	EXPECT_EQ(1, pwrite(self->fd[1], "x", 1, 0));
	ASSERT_EQ(0, power_on(self->dir));
	for (int i = 0; i < 5; i++) {
		EXPECT_EQ(i < 2 ? 'n' : 'o', touch(self->map[0] + i * PAGE));
		EXPECT_EQ('o', touch(self->map[3] + i * PAGE));
	}
	for (int i = 0; i < FILES; i++)
		EXPECT_EQ(1, account_of(self->fd[i]).crashes);

	/* And with off it stays off, for all */
	ASSERT_LT(0, ADD_RULE(self->fd[2], .op = VMADEMO_OP_WRITE, .times = 1,
			      .flags = VMADEMO_RULE_CRASH | VMADEMO_RULE_OFF));
	memset(self->map[4], 'n', SIZE);
	EXPECT_EQ(PAGE, pwrite(self->fd[2], page, PAGE, 0));
	/* write(2) has waited for every cut */
	for (int i = 0; i < FILES; i++) {
		EXPECT_TRUE(is_off(self->fd[i]));
		EXPECT_EQ(2, account_of(self->fd[i]).crashes);
	}
	ASSERT_EQ(0, power_on(self->dir));
	EXPECT_EQ('o', touch(self->map[4]));
	EXPECT_EQ('o', touch(self->map[2]));
	close(patched);
}

/* sync(2) and syncfs(2) end with the store of each file, and each is told if that fails. */
TEST_F(tree, sync_reaches_every_file)
{
	int64_t before[FILES];

	for (int i = 0; i < FILES; i++) {
		before[i] = account_of(self->fd[i]).flushes;
		put(self->map[i], 'n');
	}
	ASSERT_EQ(0, syncfs(self->dir));
	for (int i = 0; i < FILES; i++) {
		EXPECT_LT(before[i], account_of(self->fd[i]).flushes);
		EXPECT_EQ(0, account_of(self->fd[i]).dirty_folios);
		before[i] = account_of(self->fd[i]).flushes;
	}
	sync();
	for (int i = 0; i < FILES; i++)
		EXPECT_LT(before[i], account_of(self->fd[i]).flushes);
	ASSERT_EQ(0, power_off(self->dir));
	EXPECT_FAILS(EIO, syncfs(self->dir));
	ASSERT_EQ(0, power_on(self->dir));
	for (int i = 0; i < FILES; i++) {
		EXPECT_EQ(EIO, told(self->fd[i]));
		EXPECT_EQ('n', touch(self->map[i]));
	}
}

/* Beside others; and what cannot be. */
TEST_F(tree, with_others)
{
	int alone = create_with(VMADEMO_STORE_RAM, SIZE, 0), none, fds[2];
	struct vmademo_power p = { .flags = VMADEMO_POWER_OFF,
				   .count = 1,
				   .fds = (uintptr_t)fds };
	struct vmademo_crash c = { 0 };

	ASSERT_LE(0, alone);
	fds[0] = self->fd[2];
	EXPECT_EQ(1, pwrite(alone, "x", 1, 0));
	put(self->map[0], 'n');
	EXPECT_EQ(0, ioctl(alone, VMADEMO_IOC_POWER, &p));
	EXPECT_EQ(2, p.lost_folios);
	EXPECT_TRUE(is_off(alone));
	EXPECT_TRUE(is_off(self->fd[5]));
	p = (struct vmademo_power){ .count = 1, .fds = (uintptr_t)fds };
	EXPECT_EQ(0, ioctl(alone, VMADEMO_IOC_POWER, &p));
	EXPECT_FALSE(is_off(alone));
	EXPECT_FALSE(is_off(self->fd[5]));

	/* Two files of a tree are that tree twice */
	EXPECT_FAILS(EINVAL, ioctl(self->dir, VMADEMO_IOC_POWER, &p));
	fds[1] = self->dir;
	p.count = 2;
	EXPECT_FAILS(EINVAL, ioctl(alone, VMADEMO_IOC_POWER, &p));
	close(alone);

	EXPECT_FAILS(ENOTTY, ioctl(self->dir, VMADEMO_IOC_PAGES, &c));
	EXPECT_FAILS(ENOTTY, ioctl(self->dir, VMADEMO_IOC_REVOKE));
	c.written_permille = VMADEMO_WRITTEN_ONE + 1;
	EXPECT_FAILS(EINVAL, crash(self->dir, &c));
	EXPECT_FAILS(EFAULT, crash(self->dir, NULL));
	/* A directory of another file system */
	fds[0] = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	p.count = 1;
	EXPECT_FAILS(EINVAL, ioctl(self->dir, VMADEMO_IOC_POWER, &p));
	close(fds[0]);

	/* Without a store there is nothing to lose */
	mkdir("/tmp/vmademo-none", 0700);
	ASSERT_EQ(0, mount("none", "/tmp/vmademo-none", "vmademo", 0,
			   "store=none"));
	none = open("/tmp/vmademo-none", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	c.written_permille = 0;
	EXPECT_FAILS(EOPNOTSUPP, crash(none, &c));
	EXPECT_FAILS(EOPNOTSUPP, power_off(none));
	close(none);
	EXPECT_EQ(0, umount("/tmp/vmademo-none"));
	rmdir("/tmp/vmademo-none");
}

/* It is for the owner of the tree, and for root. */
TEST_F(tree, who_may)
{
	int status, mine;
	pid_t pid;

	ASSERT_EQ(0, chmod(TREE, 0777));
	for (int owner = 0; owner < 2; owner++) {
		ASSERT_EQ(0, chown(TREE, owner ? 1234 : 4321, 0));
		/* Or a cut would give it back */
		ASSERT_EQ(0, fsync(self->dir));
		pid = fork();
		if (!pid) {
			int dir, bad = 0;
			int64_t id;

			if (setresuid(1234, 1234, 1234))
				_exit(100);
			dir = open(TREE, O_RDONLY | O_DIRECTORY);
			mine = open(AT "mine", O_RDWR | O_CREAT, 0600);
			if (dir < 0 || mine < 0)
				_exit(101);
#define ANSWER(call)                                                    \
	do {                                                            \
		errno = 0;                                              \
		bad += ((call) < 0 ? errno : 0) != (owner ? 0 : EPERM); \
	} while (0)
			ANSWER(power_cut(dir));
			ANSWER(power_cut(mine));
			ANSWER(power_off(mine));
			ANSWER(power_on(dir));
			ANSWER(ADD_RULE(mine, .op = VMADEMO_OP_FLUSH,
					.flags = VMADEMO_RULE_CRASH));
			/* Other rules are his own affair */
			id = ADD_RULE(mine, .op = VMADEMO_OP_FLUSH,
				      .status = EIO);
			_exit(id < 0 ? 50 : bad);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(0, status) TH_LOG("owner %d", owner);
		ASSERT_EQ(owner ? -1 : 0, unlink(AT "mine"));
	}
	/* Open to read, it is not enough, whoever asks */
	mine = open(name(0), O_RDONLY | O_CLOEXEC);
	EXPECT_FAILS(EBADF, power_cut(mine));
	EXPECT_FAILS(EBADF, power_off(mine));
	close(mine);
}

/*
 * One moment: a program writes number after number, durably, into one file after the other.
 * Whenever the power goes, no file is ahead of one that was written before it; and when one file
 * has said that it has none, no other still has.
 */
struct counting {
	int *fd;
	unsigned long done;
	int failed, worked_after;
};

static bool put_number(int fd, unsigned long n)
{
	return pwrite(fd, &n, sizeof(n), 0) == sizeof(n) && !fdatasync(fd);
}

static void *count_on(void *arg)
{
	struct counting *c = arg;

	for (unsigned long n = 1; c->failed < 0; n++) {
		for (int i = 0; i < FILES && c->failed < 0; i++)
			if (!put_number(c->fd[i], n))
				c->failed = i;
		if (c->failed < 0)
			c->done = n;
	}
	for (int i = 1; i < FILES; i++)
		c->worked_after += put_number(c->fd[(c->failed + i) % FILES],
					      -1UL);
	return NULL;
}

TEST_F(tree, at_one_moment)
{
	unsigned long n[FILES];
	int cut_between = 0;

	for (int round = 0; round < 100; round++) {
		struct counting c = { .fd = self->fd, .failed = -1 };
		pthread_t thread;

		for (int i = 0; i < FILES; i++) {
			told(self->fd[i]);
			ASSERT_TRUE(put_number(self->fd[i], 0));
		}
		ASSERT_EQ(0, pthread_create(&thread, NULL, count_on, &c));
		usleep(200 + round * 97 % 1500);
		ASSERT_EQ(0, power_off(self->fd[round % FILES]));
		pthread_join(thread, NULL);
		ASSERT_EQ(0, c.worked_after);
		ASSERT_EQ(0, power_on(self->dir));
		for (int i = 0; i < FILES; i++)
			ASSERT_EQ(sizeof(n[i]),
				  pread(self->fd[i], &n[i], sizeof(n[i]), 0));
		for (int i = 1; i < FILES; i++)
			ASSERT_GE(n[i - 1], n[i]);
		/* What was acknowledged is there */
		ASSERT_LE(c.done, n[FILES - 1]);
		ASSERT_GE(c.done + 1, n[0]);
		cut_between += n[0] != n[FILES - 1];
	}
	/* Or it would prove nothing */
	EXPECT_LT(0, cut_between);
}

TEST_HARNESS_MAIN
