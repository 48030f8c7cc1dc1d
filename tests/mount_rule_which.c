// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules on the names of a mounted tree, and on truncations: which events they meet, what is no
 * event, and what no such rule can say.
 */
#include "kselftest_harness.h"
#include "mount_rule_names.h"

KEEP_A_RULE

/* ---- which events -------------------------------------------------------- */

FIXTURE(which)
{
	int unused;
};

FIXTURE_SETUP(which)
{
	ASSERT_EQ(0, new_tree("store=ram,size=256p,folio_size=1p"));
}

FIXTURE_TEARDOWN(which)
{
	EXPECT_EQ(0, end_tree());
}

/* The third in the tree, wherever it is; then no more. */
TEST_F(which, in_turn)
{
	int64_t id = ADD_RULE(dir, .op = VMADEMO_OP_CREATE, .skip = 2,
			      .times = 1, .status = EDQUOT);

	ASSERT_LT(0, id);
	EXPECT_EQ(0, mkdir(AT "1", 0700));
	EXPECT_EQ(0, mkdir(AT "d/2", 0700));
	EXPECT_FAILS(EDQUOT, mkdir(AT "1/3", 0700));
	EXPECT_EQ(0, mkdir(AT "1/4", 0700));
	EXPECT_EQ(4, get_rule(dir, id).matches);
	/* What is there already is no event; nor is another operation */
	EXPECT_FAILS(EEXIST, mkdir(AT "1", 0700));
	EXPECT_FAILS(EEXIST, move(AT "1", AT "d", RENAME_NOREPLACE));
	EXPECT_EQ(0, opened(open(AT "a", O_RDWR | O_CREAT, 0600)));
	EXPECT_EQ(0, rmdir(AT "1/4"));
	EXPECT_EQ(0, link(AT "a", AT "1/l"));
	EXPECT_EQ(4, get_rule(dir, id).matches);
}

/* One in three, by lot: the same seed, the same ones. */
TEST_F(which, by_lot)
{
	int failed[2][60], n = 0;

	for (int i = 0; i < 2; i++) {
		int64_t id = ADD_RULE(dir, .op = VMADEMO_OP_LINK, .one_in = 3,
				      .seed = 7, .status = EIO);

		for (int k = 0; k < 60; k++) {
			failed[i][k] = link(AT "a", AT "l");
			n += !!failed[i][k];
			unlink(AT "l");
		}
		EXPECT_EQ(60, get_rule(dir, id).matches);
		ASSERT_EQ(0, del_rule(dir, id));
	}
	EXPECT_EQ(0, memcmp(failed[0], failed[1], sizeof(failed[0])));
	EXPECT_LT(10, n);
	EXPECT_GT(80, n);
}

TEST_F(which, whose)
{
	int64_t mine = ADD_RULE(dir, .op = VMADEMO_OP_UNLINK, .pid = getpid(),
				.status = EIO);
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(errno_of(unlink(AT "b")));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_FAILS(EIO, unlink(AT "a"));
	EXPECT_EQ(1, get_rule(dir, mine).matches);
}

/* The pages between the old end and the new one, and the one with the lower of them. */
TEST_F(which, pages_of_a_truncation)
{
	const struct {
		off_t from, to;
		bool hits; /* page 2 or 3 */
	} cases[] = {
		{ 0, 0, false },
		{ 0, 2 * PAGE, false },
		{ 0, 2 * PAGE + 1, true },
		{ 2 * PAGE - 1, 0, false },
		{ 2 * PAGE, 2 * PAGE, true },
		{ 10 * PAGE, 4 * PAGE, false },
		{ 10 * PAGE, 4 * PAGE - 1, true },
		{ 4 * PAGE, 10 * PAGE, false },
		{ 4 * PAGE - 1, 4 * PAGE - 1, true },
		{ PAGE, MAX_SIZE, true },
		{ MAX_SIZE, 3 * PAGE, true },
		{ MAX_SIZE, MAX_SIZE, false },
		{ MAX_SIZE, MAX_SIZE - 1, false },
	};
	int buffer = create_with(VMADEMO_STORE_RAM, 0, 0);

	ASSERT_LE(0, buffer);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (int k = 0; k < 3; k++) {
			/* Of the tree, of a file of it, of a buffer that is in none */
			int fd = k == 2 ? buffer : file, of = k ? fd : dir;
			int64_t id, all;

			ASSERT_EQ(0, ftruncate(fd, cases[i].from));
			id = ADD_RULE(of, .op = VMADEMO_OP_TRUNCATE, .start = 2,
				      .nr = 2, .status = ENOSPC);
			ASSERT_LT(0, id);
			all = ADD_RULE(of, .op = VMADEMO_OP_TRUNCATE,
				       .skip = UINT64_MAX, .status = EIO);
			EXPECT_EQ(cases[i].hits ? ENOSPC : 0,
				  errno_of(ftruncate(fd, cases[i].to)))
			TH_LOG("case %zu", i);
			EXPECT_EQ(cases[i].hits, hits_of(of, id))
			TH_LOG("case %zu", i);
			/* A rule for all pages meets each */
			EXPECT_LE(!cases[i].hits, get_rule(of, all).matches)
			TH_LOG("case %zu", i);
			ASSERT_EQ(0, del_rule(of, 0));
		}
	}
	close(buffer);
}

/* A rule is its own tree's, and ends with it. */
TEST_F(which, another_tree)
{
	static const char other[] = "/tmp/vmademo-other";
	int64_t id = ADD_RULE(dir, .op = VMADEMO_OP_CREATE, .status = EIO);

	mkdir(other, 0700);
	ASSERT_LT(0, id);
	ASSERT_EQ(0, mount("none", other, "vmademo", 0, "store=ram,size=4M"));
	EXPECT_EQ(0, mkdir("/tmp/vmademo-other/d", 0700));
	EXPECT_EQ(0, hits_of(dir, id));
	EXPECT_EQ(0, umount(other));
	EXPECT_FAILS(EIO, mkdir(AT "new", 0700));
}

#define TRACING "/sys/kernel/debug/tracing/"
#define EVENT	TRACING "events/vmademo/vmademo_rule_hit/enable"

static bool is_traced(const char *line)
{
	static char text[65536];
	int fd = open(TRACING "trace", O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += n;
	close(fd);
	text[len] = '\0';
	return strstr(text, line);
}

/* Which file or directory it is about: of a new file, its directory. */
TEST_F(which, traced)
{
	static const struct {
		uint32_t op;
		int (*call)(void);
		const char *about;
	} cases[] = {
		{ VMADEMO_OP_CREATE, make_below, AT "d" },
		{ VMADEMO_OP_RENAME, move_across, AT "a" },
		{ VMADEMO_OP_UNLINK, remove_dir, AT "e" },
		{ VMADEMO_OP_LINK, link_file, AT "a" },
		{ VMADEMO_OP_TRUNCATE, cut_short, AT "a" },
		{ VMADEMO_OP_FSYNC_DIR, sync_dir, TREE },
	};

	if (write_text(EVENT, "1"))
		SKIP(return, "this kernel cannot trace");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char line[128];
		struct stat st;
		int64_t id = ADD_RULE(dir, .op = cases[i].op, .status = EROFS);

		ASSERT_LT(0, id);
		ASSERT_EQ(0, stat(cases[i].about, &st));
		EXPECT_FAILS(EROFS, cases[i].call());
		snprintf(line, sizeof(line),
			 "vmademo_rule_hit: ino=%lu id=%lld op=%s page=0 status=%d\n",
			 (unsigned long)st.st_ino, (long long)id,
			 legal[cases[i].op].op, EROFS);
		EXPECT_TRUE(is_traced(line)) TH_LOG("%s", line);
	}
	write_text(EVENT, "0");
	close(open(TRACING "trace", O_WRONLY | O_TRUNC | O_CLOEXEC));
}

/* Of a buffer in no tree: what is refused has changed nothing; and a cut before or after it. */
TEST(truncation_of_a_buffer)
{
	int fd = create_with(VMADEMO_STORE_RAM, 4 * PAGE, 0);
	struct vmademo_resize r = { .size = PAGE };

	ASSERT_LE(0, fd);
	ASSERT_EQ(2, pwrite(fd, "ok", 2, 3 * PAGE));
	ASSERT_EQ(0, fsync(fd));
	ASSERT_LT(0, ADD_RULE(fd, .op = VMADEMO_OP_TRUNCATE, .status = EFBIG,
			      .times = 2));
	EXPECT_FAILS(EFBIG, ftruncate(fd, PAGE));
	EXPECT_FAILS(EFBIG, ioctl(fd, VMADEMO_IOC_RESIZE, &r));
	EXPECT_EQ(4 * PAGE, lseek(fd, 0, SEEK_END));
	ASSERT_LT(0, ADD_RULE(fd, .op = VMADEMO_OP_TRUNCATE, .flags = CRASH,
			      .times = 1));
	EXPECT_FAILS(EIO, ftruncate(fd, PAGE));
	ASSERT_EQ(0, power_on(fd));
	EXPECT_EQ(4 * PAGE, lseek(fd, 0, SEEK_END));
	ASSERT_LT(0, ADD_RULE(fd, .op = VMADEMO_OP_TRUNCATE,
			      .flags = CRASH | AFTER, .times = 1));
	EXPECT_EQ(0, ftruncate(fd, PAGE));
	ASSERT_EQ(0, power_on(fd));
	EXPECT_EQ(4 * PAGE, lseek(fd, 0, SEEK_END));
	ASSERT_LT(0, ADD_RULE(fd, .op = VMADEMO_OP_TRUNCATE, .share = 1000,
			      .flags = CRASH | AFTER | OFF, .times = 1));
	EXPECT_EQ(0, ftruncate(fd, PAGE));
	EXPECT_TRUE(is_off(fd));
	EXPECT_FAILS(EIO, ftruncate(fd, 2 * PAGE));
	ASSERT_EQ(0, power_on(fd));
	EXPECT_EQ(PAGE, lseek(fd, 0, SEEK_END));
	close(fd);
}

/* ---- what is asked for --------------------------------------------------- */

TEST_F(which, refused)
{
	int buffer = create_with(VMADEMO_STORE_RAM, PAGE, 0), rules = 0;

	for (uint32_t op = 0; op < OPS; op++) {
		bool names = op >= BUFFER_OPS,
		     no_page = names || op == VMADEMO_OP_FLUSH;

		for (size_t i = 0; i < STATUSES; i++) {
			bool can = is_legal(op, statuses[i].name);
			int64_t id = ADD_RULE(dir, .op = op,
					      .status = statuses[i].status);

			EXPECT_EQ(can, id > 0)
			TH_LOG("%s %s", legal[op].op, statuses[i].name);
			rules += can;
		}
		EXPECT_EQ(rules, count_rules(dir));
		EXPECT_EQ(!no_page, ADD_RULE(dir, .op = op, .delay_us = 1,
					     .start = 1) > 0);
		EXPECT_EQ(!no_page,
			  ADD_RULE(dir, .op = op, .delay_us = 1, .nr = 1) > 0);
		EXPECT_EQ(!names, ADD_RULE(file, .op = op, .delay_us = 1) > 0);
		EXPECT_EQ(!names, ADD_RULE(buffer, .op = op, .delay_us = 1) > 0);
		ASSERT_EQ(0, del_rule(dir, 0));
		rules = 0;
		if (!names)
			continue;
		EXPECT_FAILS(EINVAL, ADD_RULE(dir, .op = op));
		EXPECT_FAILS(EINVAL, ADD_RULE(dir, .op = op, .torn = 1,
					      .flags = VMADEMO_RULE_TORN));
		EXPECT_FAILS(EINVAL, ADD_RULE(dir, .op = op, .status = EIO,
					      .flags = CRASH | AFTER));
		EXPECT_FAILS(EINVAL, ADD_RULE(file, .op = op, .status = EIO));
		EXPECT_EQ(0, count_rules(dir));
	}
	EXPECT_FAILS(EINVAL, ADD_RULE(dir, .op = OPS, .status = EIO));
	close(buffer);
}

TEST(without_a_store)
{
	ASSERT_EQ(0, new_tree("store=none,size=256p"));
	for (uint32_t op = VMADEMO_OP_TRUNCATE; op < OPS; op++)
		EXPECT_FAILS(EOPNOTSUPP, ADD_RULE(dir, .op = op, .flags = CRASH));
	for (const struct doing *doing = doings; doing < doings + DOINGS;
	     doing++) {
		const char *before = PICTURE(true);

		ASSERT_LT(0, ADD_RULE(dir, .op = doing->op, .status = EIO,
				      .times = 1));
		EXPECT_EQ(EIO, errno_of(doing->call())) AT_DOING;
		EXPECT_STREQ(before, PICTURE(true)) AT_DOING;
	}
	/* A page is not said to have a rule for them; with a rule of its own, it is */
	for (int i = 0; i < 2; i++) {
		uint8_t states[1];
		struct vmademo_pages p = { .count = 1,
					   .states = (uintptr_t)states };

		ASSERT_EQ(0, del_rule(dir, 0));
		ASSERT_LT(0, ADD_RULE(dir, .status = EIO, .skip = UINT64_MAX,
				      .op = i ? VMADEMO_OP_TRUNCATE
					      : VMADEMO_OP_LINK));
		ASSERT_EQ(0, ioctl(file, VMADEMO_IOC_PAGES, &p));
		EXPECT_EQ(i ? VMADEMO_PAGE_RULED : 0,
			  states[0] & VMADEMO_PAGE_RULED);
	}
	ASSERT_EQ(0, end_tree());
}

TEST_HARNESS_MAIN
