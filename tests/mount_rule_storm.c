// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names of a tree are made, moved and removed by several processes, while rules on them come and
 * go that fail, wait and cut the power.  Nobody waits for ever, no call fails as none may, and with
 * the last name goes all that the tree has taken.
 */
#include <fcntl.h>
#include <ftw.h>
#include <linux/fs.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"
#include "../lib/tree.h"
#include "rules.h"

KEEP_A_RULE

#define WORKERS 3
#define ROUNDS	200
#define FIRST	VMADEMO_OP_TRUNCATE
#define NR	(VMADEMO_OP_FSYNC_DIR + 1 - FIRST)

struct shared {
	volatile bool stop;
	int strange; /* calls that failed as none may */
	int hit; /* those that a rule has answered */
	int done;
};

FIXTURE(storm)
{
	struct shared *shared;
	int dir;
};

FIXTURE_VARIANT(storm)
{
	const char *options;
	bool cuts;
};

FIXTURE_VARIANT_ADD(storm, none){
	.options = "store=none,size=2048p",
};

FIXTURE_VARIANT_ADD(storm, ordered){
	.options = "store=ram,size=2048p,folio_size=1p",
	.cuts = true,
};

FIXTURE_VARIANT_ADD(storm, posix){
	.options = "store=ram,size=2048p,folio_size=1p,names=posix",
	.cuts = true,
};

FIXTURE_VARIANT_ADD(storm, durable){
	.options = "store=ram,size=2048p,folio_size=1p,names=durable",
	.cuts = true,
};

FIXTURE_SETUP(storm)
{
	self->shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->shared);
	ASSERT_EQ(0, mount_tree(variant->options));
	ASSERT_EQ(0, mkdir(AT "d0", 0700));
	ASSERT_EQ(0, mkdir(AT "d1", 0700));
	ASSERT_EQ(0, sync_tree());
	self->dir = open(TREE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_LE(0, self->dir);
}

FIXTURE_TEARDOWN(storm)
{
	close(self->dir);
	EXPECT_EQ(0, umount_tree());
}

static const char *some_name(unsigned int *seed, char *path)
{
	snprintf(path, 64, AT "%s%c",
		 (const char *[]){ "", "d0/", "d1/" }[rand_r(seed) % 3],
		 'a' + rand_r(seed) % 5);
	return path;
}

static int opened(int fd)
{
	if (fd < 0)
		return -1;
	pwrite(fd, "text", 4, 0);
	close(fd);
	return 0;
}

static int sync_some(const char *path, int flags)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | flags), ret = fsync(fd),
	    err = errno;

	close(fd);
	errno = err;
	return fd < 0 ? 0 : ret;
}

static int do_one(unsigned int *seed)
{
	static const unsigned int how[] = { 0, 0, RENAME_NOREPLACE,
					    RENAME_EXCHANGE };
	char from[64], to[64];

	some_name(seed, from);
	some_name(seed, to);
	switch (rand_r(seed) % 10) {
	case 0 ... 1:
		return opened(open(from, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC,
				   0600));
	case 2 ... 3:
		return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to,
			       how[rand_r(seed) % 4]);
	case 4:
		return unlink(from);
	case 5:
		return link(from, to);
	case 6:
		return mkdir(from, 0700) ?: rmdir(from);
	case 7:
		return truncate(from, rand_r(seed) % (3 * PAGE));
	case 8:
		return sync_some(from, 0);
	default:
		return sync_some(rand_r(seed) % 2 ? AT "d0" : TREE, O_DIRECTORY);
	}
}

static void work(struct shared *s, unsigned int seed)
{
	while (!s->stop) {
		if (!do_one(&seed)) {
			__atomic_add_fetch(&s->done, 1, __ATOMIC_RELAXED);
			continue;
		}
		switch (errno) {
		case ENOENT: /* Others have been at that name */
		case EEXIST:
		case EISDIR:
		case ENOTDIR:
		case ENOTEMPTY:
		case EINVAL:
		case EPERM: /* a hard link to a directory */
			break;
		case EDQUOT: /* No rule but ours */
		case EIO: /* the power is off */
			__atomic_add_fetch(&s->hit, 1, __ATOMIC_RELAXED);
			break;
		case ENOSPC: /* too many while it is off */
			break;
		default:
			__atomic_add_fetch(&s->strange, 1, __ATOMIC_RELAXED);
			fprintf(stderr, "# %s\n", strerror(errno));
		}
	}
}

static void change_rules(struct __test_metadata *_metadata,
			 FIXTURE_DATA(storm) * self, bool cuts,
			 unsigned int *seed)
{
	static const uint32_t when[] = { 0, VMADEMO_RULE_AFTER };
	struct vmademo_rule rule = {
		.op = FIRST + rand_r(seed) % NR,
		.one_in = rand_r(seed) % 8,
		.seed = rand_r(seed),
		.times = rand_r(seed) % 4,
	};

	switch (rand_r(seed) % 4) {
	case 0:
		rule.delay_us = 1 + rand_r(seed) % 3000;
		rule.times = 3;
		break;
	case 1:
		if (cuts) {
			rule.times = 1;
			rule.share = rand_r(seed) % 1002;
			rule.flags = VMADEMO_RULE_CRASH | when[rand_r(seed) % 2] |
				     (rand_r(seed) % 4 ? 0 : VMADEMO_RULE_OFF);
			break;
		}
		/* fall through */
	default:
		rule.status = EDQUOT;
	}
	ASSERT_LT(0, add_rule(self->dir, rule));
	usleep(rand_r(seed) % 3000);
	if (cuts && rand_r(seed) % 4 == 0)
		ASSERT_EQ(0, power_on(self->dir));
	if (rand_r(seed) % 3 == 0)
		ASSERT_EQ(0, del_rule(self->dir, 0));
}

static int remove_one(const char *path, const struct stat *st, int kind,
		      struct FTW *ftw)
{
	return ftw->level ? remove(path) : 0;
}

TEST_F_TIMEOUT(storm, rules_and_names, 600)
{
	bool slow = access("/sys/kernel/debug/kmemleak", F_OK) == 0;
	unsigned int seed = 1;
	pid_t pid[WORKERS];
	int status;

	for (int i = 0; i < WORKERS; i++) {
		pid[i] = fork();
		if (!pid[i]) {
			close(self->dir);
			work(self->shared, i + 10);
			_exit(0);
		}
	}
	for (int i = 0; i < (slow ? ROUNDS / 4 : ROUNDS); i++)
		change_rules(_metadata, self, variant->cuts, &seed);
	/* One is killed in the middle of whatever it does */
	kill(pid[0], SIGKILL);
	ASSERT_EQ(0, del_rule(self->dir, 0));
	ASSERT_EQ(0, power_on(self->dir) && errno != EOPNOTSUPP);
	self->shared->stop = true;
	for (int i = 0; i < WORKERS; i++)
		ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
	EXPECT_EQ(0, self->shared->strange);
	EXPECT_LT(0, self->shared->hit);
	EXPECT_LT(0, self->shared->done);
	ASSERT_EQ(0, nftw(TREE, remove_one, 8, FTW_DEPTH | FTW_PHYS))
	TH_LOG("%s", strerror(errno));
	ASSERT_EQ(0, sync_tree());
	EXPECT_EQ(0, inodes_taken());
	EXPECT_EQ(0, room_taken());
}

TEST_HARNESS_MAIN
