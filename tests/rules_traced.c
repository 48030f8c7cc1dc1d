// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each operation with each outcome that it can have, once: what the program sees, that it is
 * counted, and that it is traced.
 */
#include <linux/falloc.h>

#include "kselftest_harness.h"
#include "../lib/traced.h"
#include "rules_pairs.h"

KEEP_A_RULE

#define PAGES  16UL
#define RULED  3UL
#define EVENT  EVENTS "vmademo_rule_hit/enable"
#define KILLED (1000 + SIGKILL)
#define BUS    (1000 + SIGBUS)

FIXTURE(pair)
{
	int fd;
	unsigned char *map, *private;
	bool traces;
	int done; /* pairs */
};

FIXTURE_SETUP(pair)
{
	self->fd = create_with(VMADEMO_STORE_RAM, PAGES * PAGE, 0);
	ASSERT_GE(self->fd, 0);
	self->map = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	self->private = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE, self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
	ASSERT_NE(MAP_FAILED, self->private);
	/* A page that is read in is one that is asked for */
	ASSERT_EQ(0, posix_fadvise(self->fd, 0, 0, POSIX_FADV_RANDOM));
	/* Some debug kernels cannot trace */
	self->traces = write_text(EVENT, "1") == 0;
}

FIXTURE_TEARDOWN(pair)
{
	if (self->traces)
		write_text(EVENT, "0");
	clear_trace();
	munmap(self->map, PAGES * PAGE);
	munmap(self->private, PAGES * PAGE);
	close(self->fd);
}

/* What the operation is done by; 0, or an errno. */
static int call(FIXTURE_DATA(pair) * self, unsigned int op)
{
	const off_t at = RULED * PAGE;
	char byte = 'w';
	void *p;

	switch (op) {
	case VMADEMO_OP_READ_FAULT:
		touch(self->map + at);
		return 0;
	case VMADEMO_OP_COW_FAULT:
		put(self->private + at, 'c');
		return 0;
	case VMADEMO_OP_WRITE_FAULT:
	case VMADEMO_OP_MKWRITE:
		put(self->map + at, 'w');
		return 0;
	case VMADEMO_OP_READ_IN:
	case VMADEMO_OP_READ:
		return pread(self->fd, &byte, 1, at) == 1 ? 0 : errno;
	case VMADEMO_OP_WRITE:
		return pwrite(self->fd, &byte, 1, at) == 1 ? 0 : errno;
	case VMADEMO_OP_WRITE_OUT:
	case VMADEMO_OP_FLUSH:
		if (pwrite(self->fd, &byte, 1, at) != 1)
			return errno;
		return fdatasync(self->fd) ? errno : 0;
	case VMADEMO_OP_MMAP:
		p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->fd, at);
		return p == MAP_FAILED ? errno : 0;
	case VMADEMO_OP_ALLOCATE:
		return fallocate(self->fd, 0, at, PAGE) ? errno : 0;
	default:
		return ftruncate(self->fd, PAGES * PAGE) ||
				       ftruncate(self->fd, at + 1) ||
				       ftruncate(self->fd, PAGES * PAGE)
			       ? errno
			       : 0;
	}
}

/* A process does it; its errno, or 1000 and the signal that has killed it. */
static int seen(FIXTURE_DATA(pair) * self, pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

/* What is to be seen of this rule; -1 if it is another test's business. */
static int to_be_seen(const struct vmademo_rule *rule)
{
	if (rule->flags & VMADEMO_RULE_KILL)
		return KILLED;
	if (rule->flags & VMADEMO_RULE_CRASH)
		return -1;
	if (rule->status && rule->op <= VMADEMO_OP_MKWRITE)
		return BUS;
	return rule->status;
}

/* The rule's line in the trace, and there is no other. */
static bool is_traced(struct __test_metadata *_metadata,
		      FIXTURE_DATA(pair) * self,
		      const struct vmademo_rule *rule, int64_t id)
{
	const char *op = legal[rule->op].op;
	char line[512], expected[256];
	int lines = 0, right = 0;
	struct stat st;
	FILE *f;

	fstat(self->fd, &st);
	snprintf(expected, sizeof(expected),
		 "vmademo_rule_hit: ino=%lu id=%" PRId64
		 " op=%s page=%lu status=%u\n",
		 (unsigned long)st.st_ino, id, op,
		 rule->op == VMADEMO_OP_FLUSH ? 0 : RULED, rule->status);
	f = fopen(TRACING "trace", "r");
	while (f && fgets(line, sizeof(line), f)) {
		char *event = strstr(line, "vmademo_rule_hit:");

		if (!event)
			continue;
		lines++;
		right += !strcmp(event, expected);
		if (strcmp(event, expected))
			TH_LOG("%s, not %s", event, expected);
	}
	if (f)
		fclose(f);
	return lines == 1 && right == 1;
}

static void one_pair(struct __test_metadata *_metadata,
		     FIXTURE_DATA(pair) * self, struct vmademo_rule rule)
{
	int expected = to_be_seen(&rule), what, go[2];
	struct account before;
	int64_t id, crashes;
	char byte;
	pid_t pid;

	/* What was before is over; the page is clean, on the store, and mapped by nobody */
	ASSERT_EQ(1, pwrite(self->fd, "x", 1, RULED * PAGE));
	if (fsync(self->fd))
		ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, madvise(self->map, PAGES * PAGE, MADV_DONTNEED));
	if (rule.op == VMADEMO_OP_READ_IN)
		ASSERT_EQ(0, power_cut(self->fd));
	/* Who is to be killed must be known when the rule is made */
	ASSERT_EQ(0, pipe(go));
	pid = fork();
	if (pid == 0) {
		close(go[1]);
		_exit(read(go[0], &byte, 1) == 1 ? call(self, rule.op) : 255);
	}
	close(go[0]);
	if (rule.op != VMADEMO_OP_FLUSH) {
		rule.start = RULED;
		rule.nr = 1;
	}
	if (rule.op == VMADEMO_OP_WRITE_OUT && rule.flags & VMADEMO_RULE_KILL)
		rule.pid = pid;
	rule.times = 1;
	id = add_rule(self->fd, rule);
	ASSERT_LT(0, id) TH_LOG("%s: %s", legal[rule.op].op, strerror(errno));
	before = account_of(self->fd);
	crashes = before.crashes;
	clear_trace();
	ASSERT_EQ(1, write(go[1], "x", 1));
	what = seen(self, pid);
	close(go[1]);
	before = account_of_since(self->fd, &before);
	if (expected >= 0) {
		EXPECT_EQ(expected, what)
		TH_LOG("%s status %u flags %x", legal[rule.op].op, rule.status,
		       rule.flags);
	}
	EXPECT_EQ(1, hits_of(self->fd, id));
	EXPECT_EQ(1, before.rule_hits);
	/* The cut itself may be under way still; until it is done, there is no power */
	if (!(rule.flags & VMADEMO_RULE_CRASH) || rule.flags & VMADEMO_RULE_OFF)
		EXPECT_EQ(!!(rule.flags & VMADEMO_RULE_OFF), is_off(self->fd));
	if (self->traces) {
		EXPECT_TRUE(is_traced(_metadata, self, &rule, id))
		TH_LOG("%s status %u flags %x", legal[rule.op].op, rule.status,
		       rule.flags);
	}
	ASSERT_EQ(0, power_on(self->fd));
	EXPECT_EQ(crashes + !!(rule.flags & VMADEMO_RULE_CRASH),
		  account_of(self->fd).crashes);
	ASSERT_EQ(0, del_rule(self->fd, id));
	self->done++;
}

TEST_F_TIMEOUT(pair, status, 600)
{
	int there_are = 0;

	for (unsigned int op = 0; op < BUFFER_OPS; op++)
		for (size_t i = 0; i < STATUSES; i++)
			if (is_legal(op, statuses[i].name)) {
				one_pair(_metadata, self,
					 (struct vmademo_rule){
						 .op = op,
						 .status = statuses[i].status });
				there_are++;
			}
	EXPECT_EQ(there_are, self->done);
	EXPECT_LT(50, self->done);
}

TEST_F_TIMEOUT(pair, others, 600)
{
	static const uint32_t cuts[] = {
		VMADEMO_RULE_CRASH,
		VMADEMO_RULE_CRASH | VMADEMO_RULE_OFF,
		VMADEMO_RULE_CRASH | VMADEMO_RULE_KILL,
		VMADEMO_RULE_CRASH | VMADEMO_RULE_OFF | VMADEMO_RULE_KILL,
		/* What follows is for operations that can be the last one */
		VMADEMO_RULE_CRASH | VMADEMO_RULE_AFTER,
		VMADEMO_RULE_CRASH | VMADEMO_RULE_AFTER | VMADEMO_RULE_OFF,
	};

	for (unsigned int op = 0; op < BUFFER_OPS; op++) {
		bool last = (op >= VMADEMO_OP_READ_IN && op <= VMADEMO_OP_FLUSH) ||
			    op == VMADEMO_OP_TRUNCATE;

		one_pair(_metadata, self,
			 (struct vmademo_rule){ .op = op, .delay_us = 1 });
		for (int i = 0; i < (last ? 6 : 4); i++)
			one_pair(_metadata, self,
				 (struct vmademo_rule){ .op = op,
							.flags = cuts[i] });
	}
	one_pair(_metadata, self,
		 (struct vmademo_rule){ .op = VMADEMO_OP_WRITE_OUT,
					.flags = VMADEMO_RULE_TORN });
	EXPECT_EQ(12 * 5 + 4 * 2 + 1, self->done);
}

TEST_HARNESS_MAIN
