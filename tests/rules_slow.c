// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules that delay an event, and rules that let only some parts of a write-out arrive.
 *
 * That a delay is over in time is not asserted; that it is not over too soon is, and that who
 * waits for a minute is free when the rule is deleted.
 */
#include <pthread.h>
#include <time.h>
#include <linux/falloc.h>

#include "kselftest_harness.h"
#include "rules.h"

#define PAGES 16UL
#define LONG  VMADEMO_DELAY_MAX
#define SHORT 50000U

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

/* ---- delays -------------------------------------------------------------- */

FIXTURE(slow)
{
	int fd;
	unsigned char *map, *private;
};

FIXTURE_SETUP(slow)
{
	self->fd = create_with(VMADEMO_STORE_RAM, PAGES * PAGE, 0);
	ASSERT_GE(self->fd, 0);
	self->map = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	self->private = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE, self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
	ASSERT_NE(MAP_FAILED, self->private);
	ASSERT_EQ(1, pwrite(self->fd, "x", 1, 0));
	ASSERT_EQ(0, fsync(self->fd));
}

FIXTURE_TEARDOWN(slow)
{
	munmap(self->map, PAGES * PAGE);
	munmap(self->private, PAGES * PAGE);
	close(self->fd);
}

struct slow {
	int fd;
	unsigned char *map, *private;
	uint32_t op;
	int result;
};

/* Has one event of this operation happen on page 0. */
static int happen(const struct slow *s)
{
	char byte = 'x';
	void *p;

	switch (s->op) {
	case VMADEMO_OP_READ_FAULT:
		return touch_signal(s->map, 0);
	case VMADEMO_OP_WRITE_FAULT:
	case VMADEMO_OP_MKWRITE:
		return touch_signal(s->map, 1);
	case VMADEMO_OP_COW_FAULT:
		return touch_signal(s->private, 1);
	case VMADEMO_OP_READ_IN:
		return power_cut(s->fd) || pread(s->fd, &byte, 1, 0) != 1;
	case VMADEMO_OP_WRITE_OUT:
		return pwrite(s->fd, &byte, 1, 0) != 1 || fsync(s->fd);
	case VMADEMO_OP_FLUSH:
		return fsync(s->fd);
	case VMADEMO_OP_MMAP:
		p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, s->fd, 0);
		munmap(p, PAGE);
		return p == MAP_FAILED;
	case VMADEMO_OP_READ:
		return pread(s->fd, &byte, 1, 0) != 1;
	case VMADEMO_OP_WRITE:
		return pwrite(s->fd, &byte, 1, 0) != 1;
	default:
		return fallocate(s->fd, 0, 0, PAGE);
	}
}

static void *happens(void *arg)
{
	struct slow *s = arg;

	s->result = happen(s);
	return NULL;
}

#define NR_OPS (VMADEMO_OP_ALLOCATE + 1)

/* Each event takes so long at least, once, and then is what it would have been. */
TEST_F(slow, delay)
{
	for (uint32_t op = 0; op < NR_OPS; op++) {
		struct slow s = { self->fd, self->map, self->private, op, -1 };
		int64_t id = ADD_RULE(self->fd, .op = op, .delay_us = SHORT,
				      .times = 1),
			start = now_us();

		ASSERT_LT(0, id);
		EXPECT_EQ(0, happen(&s)) TH_LOG("op %u", op);
		EXPECT_LE(SHORT, now_us() - start) TH_LOG("op %u", op);
		EXPECT_EQ(1, hits_of(self->fd, id)) TH_LOG("op %u", op);
		ASSERT_EQ(0, del_rule(self->fd, id));
	}
}

/* A delayed fault is a major one, and is met once, though the kernel takes it twice. */
TEST_F(slow, a_fault_waits_once)
{
	int64_t id = ADD_RULE(self->fd, .op = VMADEMO_OP_READ_FAULT,
			      .delay_us = SHORT),
		start, faults;

	ASSERT_LT(0, id);
	ASSERT_EQ('x', touch(self->map)); /* cached from now on */
	ASSERT_EQ(0, madvise(self->map, PAGE, MADV_DONTNEED));
	faults = major_faults();
	start = now_us();
	EXPECT_EQ('x', touch(self->map));
	EXPECT_LE(SHORT, now_us() - start);
	EXPECT_EQ(faults + 1, major_faults());
	EXPECT_EQ(2, hits_of(self->fd, id));
	EXPECT_EQ(2, get_rule(self->fd, id).matches);
	/* Now it is mapped */
	EXPECT_EQ('x', touch(self->map));
	EXPECT_EQ(2, hits_of(self->fd, id));
}

/* First the delay, then the error, and both by one event. */
TEST_F(slow, delay_and_status)
{
	int64_t id = ADD_RULE(self->fd, .op = VMADEMO_OP_WRITE_FAULT,
			      .delay_us = SHORT, .times = 1,
			      .status = VMADEMO_STATUS_SIGBUS),
		start = now_us();

	ASSERT_LT(0, id);
	EXPECT_EQ(SIGBUS, touch_signal(self->map, 1));
	EXPECT_LE(SHORT, now_us() - start);
	EXPECT_EQ(1, hits_of(self->fd, id));
	EXPECT_EQ(0, touch_signal(self->map, 1));
	EXPECT_EQ(1, hits_of(self->fd, id));

	id = ADD_RULE(self->fd, .op = VMADEMO_OP_READ, .delay_us = SHORT,
		      .status = EIO, .times = 1);
	start = now_us();
	EXPECT_FAILS(EIO, pread(self->fd, &(char[1]){ 0 }, 1, 0));
	EXPECT_LE(SHORT, now_us() - start);
	EXPECT_EQ(1, hits_of(self->fd, id));
}

/* Until the rule acts; it is set to wait for a minute. */
static void wait_for_hit(int fd, int64_t id)
{
	while (hits_of(fd, id) < 1)
		usleep(1000);
}

/* Whoever waits goes on when the rule is deleted. */
TEST_F(slow, deleted)
{
	for (uint32_t op = 0; op < NR_OPS; op++) {
		struct slow s = { self->fd, self->map, self->private, op, -1 };
		int64_t id = ADD_RULE(self->fd, .op = op, .delay_us = LONG),
			start = now_us();
		pthread_t thread;

		ASSERT_LT(0, id);
		ASSERT_EQ(0, pthread_create(&thread, NULL, happens, &s));
		wait_for_hit(self->fd, id);
		ASSERT_EQ(0, del_rule(self->fd, op % 2 ? id : 0));
		pthread_join(thread, NULL);
		EXPECT_EQ(0, s.result) TH_LOG("op %u", op);
		EXPECT_GT(LONG, now_us() - start) TH_LOG("op %u", op);
		put(self->map, 'x');
		fsync(self->fd);
	}
}

/* While a fault waits, other threads map, unmap and fault. */
TEST_F(slow, others_go_on)
{
	static const uint32_t ops[] = { VMADEMO_OP_READ_FAULT,
					VMADEMO_OP_WRITE_FAULT,
					VMADEMO_OP_COW_FAULT };

	for (int i = 0; i < 3; i++) {
		struct slow s = { self->fd, self->map, self->private, ops[i], -1 };
		int64_t id = ADD_RULE(self->fd, .op = ops[i], .nr = 1,
				      .delay_us = LONG),
			start = now_us();
		pthread_t thread;
		char *p;

		ASSERT_LT(0, id);
		ASSERT_EQ(0, pthread_create(&thread, NULL, happens, &s));
		wait_for_hit(self->fd, id);
		p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		ASSERT_NE(MAP_FAILED, p);
		put(p, 1);
		munmap(p, PAGE);
		EXPECT_EQ(0, touch_signal(self->map + PAGE, 1));
		/* Even the mapping itself can go */
		if (i == 2) {
			munmap(self->private, PAGES * PAGE);
			self->private = mmap(self->private, PAGES * PAGE,
					     PROT_READ | PROT_WRITE,
					     MAP_PRIVATE | MAP_ANONYMOUS |
						     MAP_FIXED_NOREPLACE,
					     -1, 0);
			ASSERT_EQ(s.private, self->private);
		}
		EXPECT_GT(LONG, now_us() - start);
		ASSERT_EQ(0, del_rule(self->fd, id));
		pthread_join(thread, NULL);
		EXPECT_EQ(0, s.result);
	}
}

/* Who waits can be killed, whatever it is. */
TEST_F(slow, killed)
{
	for (uint32_t op = 0; op < NR_OPS; op++) {
		struct slow s = { self->fd, self->map, self->private, op, -1 };
		int64_t id = ADD_RULE(self->fd, .op = op, .delay_us = LONG),
			start = now_us();
		int status;
		pid_t pid;

		/* Its worker or the task that waits for it goes on; see below */
		ASSERT_LT(0, id);
		pid = fork();
		if (!pid) {
			happen(&s);
			_exit(0);
		}
		wait_for_hit(self->fd, id);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		TH_LOG("op %u", op);
		EXPECT_GT(LONG, now_us() - start) TH_LOG("op %u", op);
		ASSERT_EQ(0, del_rule(self->fd, id));
		put(self->map, 'x');
		fsync(self->fd);
	}
}

/* A signal with a handler comes after the delay; the delay is not begun anew. */
static void do_nothing(int sig)
{
}

TEST_F(slow, signals)
{
	struct sigaction sa = { .sa_handler = do_nothing };
	int64_t id = ADD_RULE(self->fd, .op = VMADEMO_OP_READ_FAULT,
			      .delay_us = 4 * SHORT,
			      .status = VMADEMO_STATUS_SIGBUS, .times = 1);
	struct itimerspec at = { .it_value.tv_nsec = SHORT * 1000 };
	struct sigevent by = { .sigev_notify = SIGEV_SIGNAL,
			       .sigev_signo = SIGUSR1 };
	timer_t timer;

	ASSERT_LT(0, id);
	sigaction(SIGUSR1, &sa, NULL);
	ASSERT_EQ(0, timer_create(CLOCK_MONOTONIC, &by, &timer));
	ASSERT_EQ(0, timer_settime(timer, 0, &at, NULL));
	EXPECT_EQ(SIGBUS, touch_signal(self->map, 0));
	EXPECT_EQ(1, hits_of(self->fd, id));
	EXPECT_EQ(1, get_rule(self->fd, id).matches);
	timer_delete(timer);
}

/* ---- torn writes --------------------------------------------------------- */

FIXTURE(torn)
{
	int fd, lower;
	unsigned char *map;
};

FIXTURE_STORES(torn);

#define RULED 2UL

FIXTURE_SETUP(torn)
{
	self->fd = create_store(variant->kind, MIB, &self->lower);
	if (self->fd < 0 && errno == ENODEV)
		return;
	ASSERT_GE(self->fd, 0);
	self->map = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
	memset(self->map, 'a', PAGES * PAGE);
	ASSERT_EQ(0, fsync(self->fd));
}

FIXTURE_TEARDOWN(torn)
{
	if (self->fd < 0)
		return;
	munmap(self->map, MIB);
	end_store(variant->kind, self->fd, self->lower);
}

#define RUN_IF_THERE()                                                 \
	do {                                                           \
		if (self->fd < 0)                                      \
			SKIP(return, "no such store on this machine"); \
	} while (0)

/*
 * Writes b to pages RULED - 1 to RULED + 1, syncs, cuts the power, and puts what the store
 * has of page RULED to `page`.  Returns what fsync said.
 */
static int write_and_look(int fd, unsigned char *map, unsigned char *page)
{
	int said;

	memset(map + (RULED - 1) * PAGE, 'b', 3 * PAGE);
	said = told(fd);
	power_cut(fd);
	memcpy(page, map + RULED * PAGE, PAGE);
	if (touch(map + RULED * PAGE - 1) != 'b' ||
	    touch(map + (RULED + 1) * PAGE) != 'b')
		said = -1;
	memset(map + RULED * PAGE, 'a', PAGE);
	return said;
}

/* How many parts of this size have arrived; -1 if one has in part. */
static int arrived(const unsigned char *page, size_t part)
{
	int n = 0;

	for (size_t at = 0; at < PAGE; at += part) {
		for (size_t i = 1; i < part; i++)
			if (page[at + i] != page[at])
				return -1;
		n += page[at] == 'b';
	}
	return n;
}

TEST_F(torn, parts)
{
	RUN_IF_THERE();

	static const struct {
		uint32_t torn, granularity, arrive;
	} cases[] = {
		{ 500, 0, 4 },	  { 500, 512, 4 },  { 0, 0, 0 },
		{ 1000, 0, 8 },	  { 1, 0, 1 },	    { 999, 0, 7 },
		{ 250, 1024, 1 }, { 500, 1, 2048 }, { 1, 1, 4 },
		{ 999, 4096, 1 }, { 750, 2, 1536 }, { 0, 4096, 0 },
	};
	unsigned char page[PAGE];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t part = cases[i].granularity ?: 512;
		struct account before;
		int64_t id;

		ASSERT_EQ(0, fsync(self->fd));
		id = ADD_RULE(self->fd, .op = VMADEMO_OP_WRITE_OUT,
			      .start = RULED, .nr = 1, .flags = VMADEMO_RULE_TORN,
			      .seed = 3, .torn = cases[i].torn,
			      .granularity = cases[i].granularity);
		ASSERT_LT(0, id);
		before = account_of(self->fd);
		/* It is told as success */
		EXPECT_EQ(0, write_and_look(self->fd, self->map, page));
		EXPECT_EQ(cases[i].arrive, arrived(page, part))
		TH_LOG("torn=%u granularity=%u", cases[i].torn,
		       cases[i].granularity);
		before = account_of_since(self->fd, &before);
		EXPECT_EQ(1, hits_of(self->fd, id));
		EXPECT_EQ(0, before.lost_folios);
		EXPECT_EQ(3, before.written_folios);
		ASSERT_EQ(0, del_rule(self->fd, id));
	}
}

/* The same seed has the same parts arrive; and another one others. */
TEST_F(torn, seeds)
{
	RUN_IF_THERE();

	unsigned char page[3][PAGE];

	for (int n = 0; n < 3; n++) {
		ASSERT_EQ(0, fsync(self->fd));
		ASSERT_LT(0, ADD_RULE(self->fd, .op = VMADEMO_OP_WRITE_OUT,
				      .start = RULED, .nr = 1,
				      .flags = VMADEMO_RULE_TORN, .torn = 500,
				      .granularity = 64, .seed = n / 2));
		EXPECT_EQ(0, write_and_look(self->fd, self->map, page[n]));
		EXPECT_EQ(32, arrived(page[n], 64));
		ASSERT_EQ(0, del_rule(self->fd, 0));
	}
	EXPECT_EQ(0, memcmp(page[0], page[1], PAGE));
	EXPECT_NE(0, memcmp(page[0], page[2], PAGE));
}

/* Torn, and told as a failure. */
TEST_F(torn, and_failed)
{
	RUN_IF_THERE();

	unsigned char page[PAGE];
	struct account before = account_of(self->fd);
	int64_t id = ADD_RULE(self->fd, .op = VMADEMO_OP_WRITE_OUT,
			      .start = RULED, .nr = 1, .status = EIO, .times = 1,
			      .flags = VMADEMO_RULE_TORN, .torn = 500);

	ASSERT_LT(0, id);
	EXPECT_EQ(EIO, write_and_look(self->fd, self->map, page));
	EXPECT_EQ(4, arrived(page, 512));
	before = account_of_since(self->fd, &before);
	EXPECT_EQ(1, before.lost_folios);
	EXPECT_EQ(1, before.write_errors);
	EXPECT_ACCOUNT_COMES_OUT(self->fd);
}

/* The last page has fewer bytes; what is not data is not written. */
TEST_F(torn, the_last_page)
{
	RUN_IF_THERE();

	unsigned char want[PAGE], page[PAGE];

	if (variant->kind == STORE_BLOCK)
		SKIP(return, "its size is fixed");
	ASSERT_EQ(0, ftruncate(self->fd, RULED * PAGE + 700));
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_LT(0, ADD_RULE(self->fd, .op = VMADEMO_OP_WRITE_OUT,
			      .start = RULED, .flags = VMADEMO_RULE_TORN,
			      .torn = 500, .times = 1));
	memset(self->map + RULED * PAGE, 'b', 700);
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, power_cut(self->fd));
	/* One of its two parts */
	ASSERT_EQ(700, pread(self->fd, page, PAGE, RULED * PAGE));
	memset(want, 'a', sizeof(want));
	if (page[0] == 'b')
		memset(want, 'b', 512);
	else
		memset(want + 512, 'b', 188);
	EXPECT_EQ(0, memcmp(want, page, 700));
}

TEST_HARNESS_MAIN
