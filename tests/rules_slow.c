// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules that delay an event.
 *
 * That a delay is over in time is not asserted; that it is not over too soon is, and that who
 * waits for a minute is free when the rule is deleted.
 */
#include <pthread.h>
#include <time.h>
#include <linux/falloc.h>

#include "kselftest_harness.h"
#include "rules.h"

KEEP_A_RULE

#define PAGES 16UL
#define LONG  VMADEMO_DELAY_MAX
#define SHORT 50000U

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

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
	case VMADEMO_OP_ALLOCATE:
		return fallocate(s->fd, 0, 0, PAGE);
	default:
		return ftruncate(s->fd, PAGES * PAGE);
	}
}

static void *happens(void *arg)
{
	struct slow *s = arg;

	s->result = happen(s);
	return NULL;
}

#define NR_OPS (VMADEMO_OP_TRUNCATE + 1)

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

/* A fault that may not give up its lock waits with it. */
TEST_F(slow, in_a_debugger)
{
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	off_t at = (off_t)(uintptr_t)self->map;
	int64_t id = ADD_RULE(self->fd, .op = VMADEMO_OP_READ_FAULT,
			      .delay_us = SHORT),
		start = now_us();
	char byte;

	ASSERT_GE(mem, 0);
	ASSERT_LT(0, id);
	EXPECT_EQ(1, pread(mem, &byte, 1, at));
	EXPECT_EQ('x', byte);
	EXPECT_LE(SHORT, now_us() - start);
	EXPECT_EQ(1, hits_of(self->fd, id));
	ASSERT_EQ(0, del_rule(self->fd, id));
	/* Or is told: EIO */
	id = ADD_RULE(self->fd, .op = VMADEMO_OP_READ_FAULT, .delay_us = SHORT,
		      .status = VMADEMO_STATUS_SIGBUS);
	ASSERT_LT(0, id);
	EXPECT_FAILS(EIO, pread(mem, &byte, 1, at));
	EXPECT_EQ(1, hits_of(self->fd, id));
	close(mem);
}

static void *read_mem(void *arg)
{
	struct slow *s = arg;
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	char byte;

	s->result = pread(mem, &byte, 1, (off_t)(uintptr_t)s->map) == 1 ? 0
									: errno;
	close(mem);
	return NULL;
}

/* A rule that is made while a fault is under way, and the page is read in, is met by it. */
TEST_F(slow, made_meanwhile)
{
	struct slow s = { self->fd, self->map, self->private, 0, -1 };
	pthread_t thread;
	int64_t id;

	ASSERT_EQ(0, power_cut(self->fd));
	id = ADD_RULE(self->fd, .op = VMADEMO_OP_READ_IN, .nr = 1,
		      .delay_us = LONG);
	ASSERT_LT(0, id);
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_mem, &s));
	while (hits_of(self->fd, id) < 1)
		usleep(1000);
	/* Nor does it wait for the store */
	ASSERT_LT(0, ADD_RULE(self->fd, .op = VMADEMO_OP_READ_FAULT, .nr = 1,
			      .status = VMADEMO_STATUS_SIGBUS));
	EXPECT_EQ(1, hits_of(self->fd, id));
	ASSERT_EQ(0, del_rule(self->fd, id));
	pthread_join(thread, NULL);
	EXPECT_EQ(EIO, s.result);
	EXPECT_EQ(SIGBUS, touch_signal(self->map, 0));
}

/* First the delay, then the error, and both by one event. */
TEST_F(slow, delay_and_status)
{
	char byte;
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
	EXPECT_FAILS(EIO, pread(self->fd, &byte, 1, 0));
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

/* The same for one that has a folio read in, be that a page or large. */
TEST_F(slow, others_go_on_while_it_reads_in)
{
	static const uint32_t sizes[] = { 1, 16 };

	for (int i = 0; i < 2; i++) {
		struct slow s = { .op = VMADEMO_OP_READ_FAULT, .result = -1 };
		int64_t id, start = now_us();
		pthread_t thread;
		void *p;

		folio_size_wanted = sizes[i] * PAGE;
		s.fd = create_with(VMADEMO_STORE_RAM, PAGES * PAGE, 0);
		folio_size_wanted = 0;
		ASSERT_LE(0, s.fd);
		ASSERT_EQ(1, pwrite(s.fd, "x", 1, 0));
		ASSERT_EQ(0, fsync(s.fd));
		ASSERT_EQ(0, power_cut(s.fd));
		s.map = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_SHARED, s.fd, 0);
		ASSERT_NE(MAP_FAILED, s.map);
		id = ADD_RULE(s.fd, .op = VMADEMO_OP_READ_IN, .delay_us = LONG);
		ASSERT_LT(0, id);
		ASSERT_EQ(0, pthread_create(&thread, NULL, happens, &s));
		wait_for_hit(s.fd, id);
		p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			 0);
		ASSERT_NE(MAP_FAILED, p);
		munmap(p, PAGE);
		/* The mapping itself, too */
		EXPECT_EQ(0,
			  mprotect(s.map, PAGES * PAGE, PROT_READ | PROT_WRITE));
		EXPECT_GT(LONG, now_us() - start);
		ASSERT_EQ(0, del_rule(s.fd, id));
		pthread_join(thread, NULL);
		EXPECT_EQ(0, s.result);
		munmap(s.map, PAGES * PAGE);
		close(s.fd);
	}
}

/* Whoever waits can be killed, whatever it is. */
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
static volatile sig_atomic_t came;

static void note(int sig)
{
	came++;
}

TEST_F(slow, signals)
{
	struct sigaction sa = { .sa_handler = note };
	int64_t id = ADD_RULE(self->fd, .op = VMADEMO_OP_READ_FAULT,
			      .delay_us = 4 * SHORT,
			      .status = VMADEMO_STATUS_SIGBUS, .times = 1);
	struct itimerspec at = { .it_value.tv_nsec = SHORT * 1000 };
	struct sigevent by = { .sigev_notify = SIGEV_SIGNAL,
			       .sigev_signo = SIGUSR1 };
	int64_t start = now_us();
	timer_t timer;

	ASSERT_LT(0, id);
	sigaction(SIGUSR1, &sa, NULL);
	ASSERT_EQ(0, timer_create(CLOCK_MONOTONIC, &by, &timer));
	ASSERT_EQ(0, timer_settime(timer, 0, &at, NULL));
	EXPECT_EQ(SIGBUS, touch_signal(self->map, 0));
	EXPECT_LE(4 * SHORT, now_us() - start);
	EXPECT_EQ(1, came);
	EXPECT_EQ(1, hits_of(self->fd, id));
	EXPECT_EQ(1, get_rule(self->fd, id).matches);
	timer_delete(timer);
}

TEST_HARNESS_MAIN
