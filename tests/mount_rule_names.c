// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules on the names of a mounted tree, and on truncations: each operation, by each call that
 * does it, with each outcome.  What fails has changed nothing; and a power cut before or after it
 * leaves exactly the names that it should, with names=ordered, posix and durable.
 */
#include "kselftest_harness.h"
#include "mount_rule_names.h"

KEEP_A_RULE

/* ---- outcomes ------------------------------------------------------------ */

FIXTURE(names)
{
	int unused;
};

#include "names_variants.h"

FIXTURE_SETUP(names)
{
}

FIXTURE_TEARDOWN(names)
{
	umount2(TREE, MNT_DETACH);
}

/* Is it an operation of the log?  With ordered, a size that was set is one, too. */
static bool is_logged(const FIXTURE_VARIANT(names) * variant,
		      const struct doing *doing)
{
	if (doing->op == VMADEMO_OP_TRUNCATE)
		return !variant->durable && !variant->posix;
	return doing->logged && !variant->durable;
}

/* What fails has changed nothing; and what has not, is done. */
TEST_F_TIMEOUT(names, status, 300)
{
	for (const struct doing *doing = doings; doing < doings + DOINGS;
	     doing++) {
		struct vmademo_stats stats = { .size = sizeof(stats) };
		unsigned int n = 0;
		const char *before;

		ASSERT_EQ(0, new_tree(variant->options));
		before = PICTURE(true);
		for (size_t i = 0; i < STATUSES; i++) {
			int64_t id;

			if (!is_legal(doing->op, statuses[i].name))
				continue;
			id = ADD_RULE(dir, .op = doing->op, .times = 1,
				      .status = statuses[i].status);
			ASSERT_LT(0, id) AT_DOING;
			EXPECT_EQ(statuses[i].status, errno_of(doing->call()))
			AT_DOING;
			EXPECT_STREQ(before, PICTURE(true)) AT_DOING;
			EXPECT_EQ(1, hits_of(dir, id)) AT_DOING;
			EXPECT_EQ(1, get_rule(dir, id).matches) AT_DOING;
			ASSERT_EQ(0, del_rule(dir, id));
			n++;
		}
		EXPECT_LE(5, n);
		ASSERT_EQ(0, ioctl(dir, VMADEMO_IOC_STATS, &stats));
		EXPECT_EQ(n, stats.rule_hits) AT_DOING;
		EXPECT_EQ(0, errno_of(doing->call())) AT_DOING;
		EXPECT_EQ(is_logged(variant, doing), info_of_tree().pending_names)
		AT_DOING;
		if (doing->logged)
			EXPECT_STRNE(before, PICTURE(true)) AT_DOING;
		ASSERT_EQ(0, end_tree());
	}
}

/* Before it: it has not been.  It fails, whether the power comes back by itself or not. */
TEST_F_TIMEOUT(names, cut_before, 300)
{
	for (const struct doing *doing = doings; doing < doings + DOINGS;
	     doing++) {
		const char *before;

		ASSERT_EQ(0, new_tree(variant->options));
		before = PICTURE(true);
		for (int i = 0; i < 4; i++) {
			struct vmademo_rule rule = {
				.op = doing->op,
				.times = 1,
				.flags = CRASH | (i % 2 ? OFF : 0),
				.share = i * 333,
				.status = i == 3 ? ENOSPC : 0,
			};
			int64_t id = add_rule(dir, rule);

			ASSERT_LT(0, id) AT_DOING;
			EXPECT_EQ(rule.status ?: EIO, errno_of(doing->call()))
			AT_DOING;
			if (i % 2)
				EXPECT_TRUE(is_off(dir));
			/* Until the cut is done */
			ASSERT_EQ(0, power_on(dir));
			EXPECT_FALSE(is_off(dir));
			EXPECT_STREQ(before, PICTURE(true)) AT_DOING;
			EXPECT_EQ(0, info_of_tree().lost_names) AT_DOING;
			EXPECT_EQ(1, hits_of(dir, id)) AT_DOING;
			ASSERT_EQ(0, del_rule(dir, id));
		}
		EXPECT_EQ(0, errno_of(doing->call())) AT_DOING;
		ASSERT_EQ(0, end_tree());
	}
}

/* After it: it is done, and is one of those that the cut may undo. */
TEST_F_TIMEOUT(names, cut_after, 300)
{
	for (const struct doing *doing = doings; doing < doings + DOINGS;
	     doing++) {
		char before[4096], done[4096];

		ASSERT_EQ(0, new_tree(variant->options));
		picture(false, before, sizeof(before));
		ASSERT_EQ(0, doing->call());
		picture(false, done, sizeof(done));
		ASSERT_EQ(0, end_tree());
		for (int i = 0; i < 4; i++) {
			bool kept = i < 2,
			     lost = !kept && is_logged(variant, doing),
			     undone = lost ||
				      (!kept && doing->op == VMADEMO_OP_TRUNCATE);

			ASSERT_EQ(0, new_tree(variant->options));
			ASSERT_LT(0, ADD_RULE(dir, .op = doing->op, .times = 1,
					      .flags = CRASH | AFTER |
						       (i % 2 ? OFF : 0),
					      .share = kept ? 1000 : 0));
			EXPECT_EQ(0, errno_of(doing->call())) AT_DOING;
			ASSERT_EQ(0, power_on(dir));
			EXPECT_STREQ(undone ? before : done, PICTURE(false))
			AT_DOING;
			EXPECT_EQ(0, info_of_tree().pending_names);
			EXPECT_EQ(lost, info_of_tree().lost_names)
			AT_DOING;
			ASSERT_EQ(0, end_tree());
		}
	}
}

/* What was done before and is not durable: with ordered, no later than what comes after it. */
TEST_F(names, what_was_before)
{
	ASSERT_EQ(0, new_tree(variant->options));
	ASSERT_EQ(0, mkdir(AT "new", 0700));
	ASSERT_LT(0, ADD_RULE(dir, .op = VMADEMO_OP_FSYNC_DIR, .times = 1,
			      .flags = CRASH));
	EXPECT_FAILS(EIO, fsync(dir));
	/* Who syncs a directory holds no lock, and has waited for the cut */
	EXPECT_EQ(!variant->durable, info_of_tree().lost_names);
	EXPECT_EQ(variant->durable, !access(AT "new", F_OK));
	rmdir(AT "new");
	ASSERT_EQ(0, sync_tree());
	ASSERT_EQ(0, mkdir(AT "new", 0700));
	ASSERT_LT(0, ADD_RULE(dir, .op = VMADEMO_OP_FSYNC_DIR, .times = 1,
			      .flags = CRASH | AFTER));
	EXPECT_EQ(0, fsync(dir));
	ASSERT_EQ(0, power_on(dir));
	EXPECT_EQ(0, info_of_tree().lost_names);
	EXPECT_EQ(0, access(AT "new", F_OK));
	ASSERT_EQ(0, end_tree());
}

/*
 * What is done next, while the cut may be under way, comes after it: it stays, and is one event
 * though the call may have begun more than once.
 */
TEST_F(names, what_comes_next)
{
	int64_t counting;

	ASSERT_EQ(0, new_tree(variant->options));
	for (int i = 0; i < 10; i++)
		ASSERT_EQ(0, write_file(AT "big", "much to lose"));
	ASSERT_LT(0, ADD_RULE(dir, .op = VMADEMO_OP_CREATE, .times = 10,
			      .skip = 0, .one_in = 1, .flags = CRASH));
	counting = ADD_RULE(dir, .op = VMADEMO_OP_RENAME, .status = EIO,
			    .skip = UINT64_MAX);
	ASSERT_LT(0, counting);
	for (int i = 0; i < 10; i++) {
		EXPECT_FAILS(EIO, mkdir(AT "new", 0700));
		EXPECT_EQ(0, rename(i % 2 ? AT "e2" : AT "e",
				    i % 2 ? AT "e" : AT "e2"));
		EXPECT_EQ(0, access(i % 2 ? AT "e" : AT "e2", F_OK));
		EXPECT_EQ(!variant->durable, info_of_tree().pending_names);
		EXPECT_EQ(i + 1, get_rule(dir, counting).matches);
		ASSERT_EQ(0, power_on(dir));
		ASSERT_EQ(0, sync_tree());
	}
	EXPECT_EQ(0, access(AT "e", F_OK));
	ASSERT_EQ(0, end_tree());
}

/* Whoever does it is killed, and it has not been; or has, and is undone. */
TEST_F_TIMEOUT(names, killed, 300)
{
	for (const struct doing *doing = doings; doing < doings + DOINGS;
	     doing++) {
		for (int i = 0; i < 4; i++) {
			bool after = i % 2;
			int status, go[2];
			char byte, before[4096];
			pid_t pid;

			ASSERT_EQ(0, new_tree(variant->options));
			picture(false, before, sizeof(before));
			ASSERT_EQ(0, pipe(go));
			pid = fork();
			if (!pid) {
				close(go[1]);
				if (read(go[0], &byte, 1) == 1)
					doing->call();
				pause();
			}
			ASSERT_LT(0, ADD_RULE(dir, .op = doing->op, .times = 1,
					      .pid = i / 2 ? pid : 0,
					      .flags = CRASH | KILL | OFF |
						       (after ? AFTER : 0)));
			ASSERT_EQ(1, write(go[1], "x", 1));
			ASSERT_EQ(pid, waitpid(pid, &status, 0));
			EXPECT_TRUE(WIFSIGNALED(status) &&
				    WTERMSIG(status) == SIGKILL)
			AT_DOING;
			close(go[0]);
			close(go[1]);
			EXPECT_TRUE(is_off(dir));
			ASSERT_EQ(0, power_on(dir));
			if (!after || !variant->durable)
				EXPECT_STREQ(before, PICTURE(false)) AT_DOING;
			ASSERT_EQ(0, end_tree());
		}
	}
}

static void wait_for_hit(int64_t id)
{
	while (hits_of(dir, id) < 1)
		usleep(1000);
}

/* Who waits can be killed, and then nothing has been done; and goes on when the rule is deleted. */
TEST_F_TIMEOUT(names, delay, 300)
{
	for (const struct doing *doing = doings; doing < doings + DOINGS;
	     doing++) {
		char before[4096], done[4096];
		int64_t id;
		int status;
		pid_t pid;

		ASSERT_EQ(0, new_tree(variant->options));
		picture(false, before, sizeof(before));
		for (int i = 0; i < 2; i++) {
			id = ADD_RULE(dir, .op = doing->op, .delay_us = LONG);
			ASSERT_LT(0, id);
			pid = fork();
			if (!pid)
				_exit(errno_of(doing->call()));
			wait_for_hit(id);
			if (!i)
				kill(pid, SIGKILL);
			else
				ASSERT_EQ(0, del_rule(dir, id));
			ASSERT_EQ(pid, waitpid(pid, &status, 0));
			if (!i) {
				EXPECT_TRUE(WIFSIGNALED(status)) AT_DOING;
				EXPECT_STREQ(before, PICTURE(false)) AT_DOING;
				ASSERT_EQ(0, del_rule(dir, id));
			} else {
				EXPECT_EQ(0, status) AT_DOING;
			}
		}
		picture(false, done, sizeof(done));
		if (doing->logged)
			EXPECT_STRNE(before, done) AT_DOING;
		ASSERT_EQ(0, end_tree());
	}
}

/* A cut while somebody waits with the lock of the directory: it is done when he goes on. */
TEST_F(names, cut_while_one_waits)
{
	struct vmademo_crash c = { 0 };
	int64_t id;
	int status;
	pid_t pid, other;

	ASSERT_EQ(0, new_tree(variant->options));
	ASSERT_EQ(0, rename(AT "a", AT "new"));
	id = ADD_RULE(dir, .op = VMADEMO_OP_UNLINK, .delay_us = LONG);
	ASSERT_LT(0, id);
	pid = fork();
	if (!pid)
		_exit(errno_of(unlink(AT "new")));
	wait_for_hit(id);
	other = fork();
	if (!other)
		_exit(errno_of(ioctl(dir, VMADEMO_IOC_CRASH, &c)));
	while (!variant->durable && !is_off(dir))
		usleep(1000);
	ASSERT_EQ(0, del_rule(dir, id));
	ASSERT_EQ(other, waitpid(other, &status, 0));
	EXPECT_EQ(0, status);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	/* It has begun again, and what it was about is not there any more */
	EXPECT_EQ(variant->durable ? 0 : ENOENT, WEXITSTATUS(status));
	EXPECT_EQ(variant->durable, !!access(AT "a", F_OK));
	EXPECT_NE(0, access(AT "new", F_OK));
	ASSERT_EQ(0, end_tree());
}

/* And while an fsync of the directory waits: it is not to say that the names are durable. */
TEST_F(names, cut_while_fsync_waits)
{
	struct vmademo_crash c = { 0 };
	int64_t id;
	int status;
	pid_t pid;

	ASSERT_EQ(0, new_tree(variant->options));
	ASSERT_EQ(0, rename(AT "a", AT "new"));
	id = ADD_RULE(dir, .op = VMADEMO_OP_FSYNC_DIR, .delay_us = LONG);
	ASSERT_LT(0, id);
	pid = fork();
	if (!pid)
		_exit(errno_of(fsync(dir)));
	wait_for_hit(id);
	ASSERT_EQ(0, ioctl(dir, VMADEMO_IOC_CRASH, &c));
	EXPECT_FALSE(is_off(dir));
	EXPECT_EQ(variant->durable, !!access(AT "a", F_OK));
	ASSERT_EQ(0, del_rule(dir, id));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(EIO, WEXITSTATUS(status));
	EXPECT_EQ(0, fsync(dir));
	ASSERT_EQ(0, end_tree());
}

TEST_HARNESS_MAIN
