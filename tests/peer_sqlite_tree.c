// SPDX-License-Identifier: GPL-2.0-only
/*
 * SQLite in a mounted tree, which nobody here wrote, and power cuts of the tree: of data, sizes
 * and names.  With synchronous=FULL each transaction that was acknowledged is there afterwards,
 * but for the last one with journal_mode=DELETE: there it is committed when the journal is
 * unlinked, and only EXTRA syncs the directory.  With OFF more are lost.
 *
 * VMADEMO_STEPS: a thousand for each cut.  VMADEMO_SEED: of the first one.
 */
#include <stdatomic.h>

#include "kselftest_harness.h"
#include "../lib/tree.h"
#include "rules.h"
#include "sqlite.h"

KEEP_A_RULE

#ifndef HAVE_SQLITE
TEST(sqlite)
{
	SKIP(return, "built without SQLite");
}
#else

#define FILE_DB AT "db"

FIXTURE(sqlite)
{
	atomic_int *acknowledged;
};

FIXTURE_VARIANT(sqlite)
{
	const char *options, *synchronous;
	bool breaks;
};

FIXTURE_VARIANT_ADD(sqlite, ordered_full){
	.options = "store=ram,size=4M,names=ordered",
	.synchronous = "FULL",
};

FIXTURE_VARIANT_ADD(sqlite, ordered_extra){
	.options = "store=ram,size=4M,names=ordered",
	.synchronous = "EXTRA",
};

FIXTURE_VARIANT_ADD(sqlite, posix_full){
	.options = "store=ram,size=4M,names=posix",
	.synchronous = "FULL",
};

FIXTURE_VARIANT_ADD(sqlite, posix_extra){
	.options = "store=ram,size=4M,names=posix",
	.synchronous = "EXTRA",
};

FIXTURE_VARIANT_ADD(sqlite, ordered_off){
	.options = "store=ram,size=4M,names=ordered",
	.synchronous = "OFF",
	.breaks = true,
};

FIXTURE_VARIANT_ADD(sqlite, posix_off){
	.options = "store=ram,size=4M,names=posix",
	.synchronous = "OFF",
	.breaks = true,
};

FIXTURE_SETUP(sqlite)
{
	self->acknowledged = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->acknowledged);
}

FIXTURE_TEARDOWN(sqlite)
{
	munmap(self->acknowledged, PAGE);
}

/* Commits until it is killed. */
static pid_t start(const char *journal, const char *synchronous,
		   atomic_int *acknowledged, int go[2])
{
	pid_t pid = fork();

	if (pid)
		return pid;
	commit_until_killed(FILE_DB, journal, synchronous, acknowledged, go);
	return 0;
}

/*
 * One cut, that follows from the seed: at a write-out or flush of any file, or when so many
 * transactions are acknowledged.  The process is killed then.  Sets how many it was told of
 * before; returns how many are there, -1 if all is broken, -2 if the test is.
 */
static int cut_one(int dir, const char *journal, const char *synchronous,
		   atomic_int *acknowledged, unsigned int seed, int *told_of)
{
	struct vmademo_power off = { .flags = VMADEMO_POWER_OFF, .seed = seed };
	const int after = rand_r(&seed) % (COMMITS - 1) + 1,
		  by_rule = rand_r(&seed) % 2;
	struct vmademo_rule rule = {
		.op = rand_r(&seed) % 3 ? VMADEMO_OP_FLUSH : VMADEMO_OP_WRITE_OUT,
		.times = 1,
		.seed = seed,
		.flags = VMADEMO_RULE_CRASH | VMADEMO_RULE_OFF | VMADEMO_RULE_KILL,
	};
	int go[2], status;
	pid_t pid;

	atomic_store(acknowledged, 0);
	rule.share = rand_r(&seed) % 4 * 333;
	rule.cut_torn = rand_r(&seed) % 3;
	off.written_permille = rule.share;
	off.torn = rule.cut_torn;
	rule.skip = rand_r(&seed) % 150;
	if (make_db(FILE_DB, journal) || pipe(go))
		return -2;
	pid = start(journal, synchronous, acknowledged, go);
	rule.pid = pid;
	/* Without sync, these events do not come */
	if (by_rule && strcmp(synchronous, "OFF") && add_rule(dir, rule) <= 0)
		return -2;
	close(go[0]);
	write(go[1], "x", 1);
	close(go[1]);
	while (!is_off(dir) && atomic_load(acknowledged) < after &&
	       !waitpid(pid, &status, WNOHANG))
		usleep(200);
	*told_of = atomic_load(acknowledged);
	power(dir, off);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	if (power_on(dir) || del_rule(dir, 0))
		return -2;
	return look_apart(FILE_DB, journal);
}

TEST_F_TIMEOUT(sqlite, cut, 3000)
{
	const char *steps = getenv("VMADEMO_STEPS"),
		   *given = getenv("VMADEMO_SEED");
	const int rounds = steps && *steps ? atoi(steps) / 1000 + 14 : 40;
	unsigned int first = given && *given ? strtoul(given, NULL, 0) : 1;
	int broken = 0, cuts = 0;

	for (int round = 0; round < rounds && !(variant->breaks && broken);
	     round++) {
		const unsigned int seed = first + round;
		const char *journal = journals[seed % 4];
		const bool delete = !strcmp(journal, "DELETE") &&
				    strcmp(variant->synchronous, "EXTRA");
		int told_of = 0, left, dir;

		ASSERT_EQ(0, mount_tree(variant->options));
		dir = open(TREE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		left = cut_one(dir, journal, variant->synchronous,
			       self->acknowledged, seed, &told_of);
		close(dir);
		ASSERT_EQ(0, umount_tree()) TH_LOG("%s", strerror(errno));
		ASSERT_NE(-2, left) TH_LOG("%s", strerror(errno));
		cuts++;
		/* One more may be there, that was not told of any more */
		if (left >= told_of - delete &&left <= COMMITS)
			continue;
		if (!broken++)
			TH_LOG("seed %u, journal %s: %d acknowledged, %d left",
			       seed, journal, told_of, left);
	}
	EXPECT_EQ(variant->breaks, broken > 0);
	TH_LOG("%d cuts, %d broken", cuts, broken);
}
#endif /* HAVE_SQLITE */

TEST_HARNESS_MAIN
