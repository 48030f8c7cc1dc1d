// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules together with what else a buffer can do: be taken away, tell what its pages are, tell
 * how long things took, count.
 */
#include <pthread.h>

#include "kselftest_harness.h"
#include "rules.h"

KEEP_A_RULE

#define PAGES 16UL
#define SIZE  (PAGES * PAGE)

FIXTURE(with)
{
	int fd;
	unsigned char *map;
};

FIXTURE_SETUP(with)
{
	self->fd = create_with(VMADEMO_STORE_RAM, SIZE, 0);
	ASSERT_GE(self->fd, 0);
	self->map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
	memset(self->map, 'a', SIZE);
	ASSERT_EQ(0, msync(self->map, SIZE, MS_SYNC));
}

FIXTURE_TEARDOWN(with)
{
	munmap(self->map, SIZE);
	close(self->fd);
}

/* The pages that have a rule, a bit for each; all bits on an error. */
static unsigned int ruled(int fd)
{
	unsigned char states[PAGES];
	struct vmademo_pages p = { .count = PAGES, .states = (uintptr_t)states };
	unsigned int bits = 0;

	if (ioctl(fd, VMADEMO_IOC_PAGES, &p) || p.count != PAGES)
		return ~0U;
	for (size_t i = 0; i < PAGES; i++)
		if (states[i] & VMADEMO_PAGE_RULED)
			bits |= 1U << i;
	return bits;
}

TEST_F(with, pages_tell)
{
	int64_t first, other;

	EXPECT_EQ(0, ruled(self->fd));
	first = ADD_RULE(self->fd, .op = VMADEMO_OP_MKWRITE, .start = 3,
			 .nr = 2, .status = ENOSPC);
	ASSERT_GT(first, 0);
	EXPECT_EQ(0x18, ruled(self->fd));
	/* Of calls, too */
	other = ADD_RULE(self->fd, .op = VMADEMO_OP_WRITE, .start = 15,
			 .status = EIO);
	ASSERT_GT(other, 0);
	EXPECT_EQ(0x8018, ruled(self->fd));
	ASSERT_EQ(0, del_rule(self->fd, first));
	EXPECT_EQ(0x8000, ruled(self->fd));
	ASSERT_EQ(0, del_rule(self->fd, other));
	/* A flush is of no page; and only those of this buffer are told */
	ASSERT_GT(ADD_RULE(self->fd, .op = VMADEMO_OP_FLUSH, .status = EIO), 0);
	EXPECT_EQ(0, ruled(self->fd));
}

static int64_t stats_hits(int fd)
{
	struct vmademo_stats stats = { .size = sizeof(stats) };

	return ioctl(fd, VMADEMO_IOC_STATS, &stats) ? -1 : stats.rule_hits;
}

/* What is revoked is refused before a rule is asked, and meets it afterwards. */
TEST_F(with, revoked)
{
	int64_t fault, call, map, made;
	char byte;

	fault = ADD_RULE(self->fd, .op = VMADEMO_OP_READ_FAULT, .start = 2,
			 .nr = 1, .status = VMADEMO_STATUS_SIGBUS);
	call = ADD_RULE(self->fd, .op = VMADEMO_OP_READ, .status = EIO);
	map = ADD_RULE(self->fd, .op = VMADEMO_OP_MMAP, .status = EAGAIN);
	ASSERT_GT(fault, 0);
	ASSERT_GT(call, 0);
	ASSERT_GT(map, 0);
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_REVOKE));
	EXPECT_EQ(SIGBUS, touch_signal(self->map + 2 * PAGE, 0));
	EXPECT_FAILS(ENODEV, pread(self->fd, &byte, 1, 0));
	EXPECT_FAILS(ENODEV, pwrite(self->fd, &byte, 1, 0));
	EXPECT_FAILS(ENODEV, fallocate(self->fd, 0, 0, PAGE));
	EXPECT_FAILS(ENODEV,
		     (long)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->fd, 0));
	EXPECT_EQ(0, stats_hits(self->fd));
	/* To make one works meanwhile */
	made = ADD_RULE(self->fd, .op = VMADEMO_OP_MKWRITE, .start = 5, .nr = 1,
			.status = EIO);
	EXPECT_GT(made, 0);
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_RESTORE));

	EXPECT_EQ(SIGBUS, touch_signal(self->map + 2 * PAGE, 0));
	EXPECT_EQ(SIGBUS, touch_signal(self->map + 5 * PAGE, 1));
	EXPECT_EQ(0, touch_signal(self->map + 6 * PAGE, 1));
	EXPECT_FAILS(EIO, pread(self->fd, &byte, 1, 0));
	EXPECT_FAILS(EAGAIN,
		     (long)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->fd, 0));
	EXPECT_EQ(1, hits_of(self->fd, fault));
	EXPECT_EQ(1, hits_of(self->fd, made));
	EXPECT_EQ(4, stats_hits(self->fd));
	ASSERT_EQ(0, del_rule(self->fd, 0));
	EXPECT_EQ('a', touch(self->map + 2 * PAGE));
}

static void *touch_it(void *page)
{
	return (void *)(intptr_t)touch_signal(page, 0);
}

/* A fault that waits by a rule does not get its page from what is revoked meanwhile. */
TEST_F(with, revoked_meanwhile)
{
	pthread_t thread;
	void *signal;
	int64_t id;

	id = ADD_RULE(self->fd, .op = VMADEMO_OP_READ_FAULT, .start = 2,
		      .nr = 1, .delay_us = VMADEMO_DELAY_MAX);
	ASSERT_GT(id, 0);
	ASSERT_EQ(0,
		  pthread_create(&thread, NULL, touch_it, self->map + 2 * PAGE));
	while (hits_of(self->fd, id) == 0)
		usleep(1000);
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_REVOKE));
	/* It waits no longer */
	ASSERT_EQ(0, del_rule(self->fd, id));
	ASSERT_EQ(0, pthread_join(thread, &signal));
	EXPECT_EQ(SIGBUS, (intptr_t)signal);
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_RESTORE));
	EXPECT_EQ('a', touch(self->map + 2 * PAGE));
}

/* How many of this kind took that long, in nanoseconds, or longer. */
static unsigned long took(int fd, const char *kind, unsigned long long ns)
{
	unsigned long long from;
	unsigned long n, sum = 0;
	char path[128], word[32];
	struct stat st;
	FILE *f;

	fstat(fd, &st);
	snprintf(path, sizeof(path), DEBUGFS "%lu/latency",
		 (unsigned long)st.st_ino);
	f = fopen(path, "r");
	while (f && fscanf(f, "%31s %llu %lu", word, &from, &n) == 3)
		if (!strcmp(word, kind) && from >= ns)
			sum += n;
	if (f)
		fclose(f);
	return sum;
}

/* A buffer with a rule has a file that tells how long things took, and a delay is in it. */
TEST_F(with, latency_has_the_delay)
{
	const char *switch_file = DEBUGFS "latency_on";
	const unsigned long long least = 1 << 24; /* 16.8 ms */
	const unsigned int delay_us = 20000;

	if (access(switch_file, F_OK))
		SKIP(return, "no debugfs");
	ASSERT_EQ(0, write_text(switch_file, "1"));
	ASSERT_GT(ADD_RULE(self->fd, .op = VMADEMO_OP_READ_FAULT, .start = 1,
			   .nr = 1, .delay_us = delay_us),
		  0);
	ASSERT_GT(ADD_RULE(self->fd, .op = VMADEMO_OP_MKWRITE, .start = 4,
			   .nr = 1, .delay_us = delay_us),
		  0);
	EXPECT_EQ('a', touch(self->map + PAGE));
	put(self->map + 4 * PAGE, 'b');
	EXPECT_GE(took(self->fd, "fault", least), 1);
	EXPECT_GE(took(self->fd, "mkwrite", least), 1);
	ASSERT_EQ(0, write_text(switch_file, "0"));
}

/* Whoever has pages brought in before they are touched does not try for ever. */
TEST_F(with, populating)
{
	const struct vmademo_rule rules[] = {
		{ .op = VMADEMO_OP_READ_IN, .status = EIO },
		{ .op = VMADEMO_OP_READ_IN, .status = EIO, .delay_us = 1000 },
		{ .op = VMADEMO_OP_READ_IN, .status = ENOMEM },
		{ .op = VMADEMO_OP_READ_FAULT, .status = VMADEMO_STATUS_SIGBUS },
		{ .op = VMADEMO_OP_READ_FAULT,
		  .status = VMADEMO_STATUS_SIGBUS,
		  .delay_us = 1000 },
		{ .op = VMADEMO_OP_READ_FAULT, .status = VMADEMO_STATUS_HWPOISON },
	};

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		struct vmademo_rule rule = rules[i];
		unsigned char *at = self->map + 5 * PAGE, *p;
		int64_t id;

		rule.start = 5;
		rule.nr = 1;
		ASSERT_EQ(0, power_cut(self->fd));
		id = add_rule(self->fd, rule);
		ASSERT_LT(0, id);
		p = mmap(NULL, SIZE, PROT_READ, MAP_SHARED | MAP_POPULATE,
			 self->fd, 0);
		ASSERT_NE(MAP_FAILED, p);
		EXPECT_NE(0, mlock(at, PAGE));
		EXPECT_EQ(0, munlock(at, PAGE));
		EXPECT_NE(0, madvise(at, PAGE, MADV_POPULATE_READ));
		EXPECT_EQ('a', touch(p + 4 * PAGE));
		EXPECT_LE(3, hits_of(self->fd, id)) TH_LOG("rule %zu", i);
		ASSERT_EQ(0, del_rule(self->fd, id));
		EXPECT_EQ(0, mlock(at, PAGE));
		EXPECT_EQ(0, munlock(at, PAGE));
		EXPECT_EQ('a', touch(p + 5 * PAGE));
		munmap(p, SIZE);
	}
}

TEST_HARNESS_MAIN
