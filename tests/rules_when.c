// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules: when they act, on whom, in which order, and many of them.
 */
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "rules.h"

#define PAGES 64UL

FIXTURE(when)
{
	int fd;
	unsigned char *map;
};

FIXTURE_SETUP(when)
{
	self->fd = create_buffer(PAGES * PAGE);
	ASSERT_GE(self->fd, 0);
	self->map = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
}

FIXTURE_TEARDOWN(when)
{
	munmap(self->map, PAGES * PAGE);
	close(self->fd);
}

/* Reads a byte of page 0 so many times; a bit for each that failed, the first one lowest. */
static uint64_t failing_reads(int fd, int times)
{
	uint64_t failed = 0;
	char byte;

	for (int i = 0; i < times; i++)
		if (pread(fd, &byte, 1, 0) != 1)
			failed |= 1ULL << i;
	return failed;
}

TEST_F(when, skip_and_times)
{
	static const struct {
		uint64_t skip, times, failed;
	} cases[] = {
		{ 0, 0, 0x3ff },	  { 0, 1, 1 },
		{ 3, 0, 0x3f8 },	  { 3, 2, 0x18 },
		{ 9, 5, 0x200 },	  { 10, 1, 0 },
		{ 1, UINT64_MAX, 0x3fe }, { UINT64_MAX, 1, 0 },
		{ 0, 1ULL << 63, 0x3ff },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t id = ADD_RULE(self->fd, .op = VMADEMO_OP_READ,
				      .status = EIO, .skip = cases[i].skip,
				      .times = cases[i].times);
		struct vmademo_rule r;

		ASSERT_LT(0, id);
		EXPECT_EQ(cases[i].failed, failing_reads(self->fd, 10))
		TH_LOG("case %zu", i);
		r = get_rule(self->fd, id);
		EXPECT_EQ(10, r.matches);
		EXPECT_EQ(__builtin_popcountll(cases[i].failed), r.hits);
		EXPECT_EQ(cases[i].skip, r.skip);
		EXPECT_EQ(cases[i].times, r.times);
		ASSERT_EQ(0, del_rule(self->fd, id));
	}
}

/* One in so many, at random: the same seed, the same ones. */
TEST_F(when, one_in)
{
	uint64_t which[3];

	for (int n = 0; n < 3; n++) {
		int64_t id = ADD_RULE(self->fd, .op = VMADEMO_OP_READ,
				      .status = EIO, .one_in = 4,
				      .seed = n == 2 ? 43 : 42);

		ASSERT_LT(0, id);
		which[n] = failing_reads(self->fd, 64);
		ASSERT_EQ(0, del_rule(self->fd, id));
		/* 16, more or less */
		EXPECT_LE(6, __builtin_popcountll(which[n]));
		EXPECT_GE(30, __builtin_popcountll(which[n]));
	}
	EXPECT_EQ(which[0], which[1]);
	EXPECT_NE(which[0], which[2]);
	/* It begins after those that pass, and ends after those that hit */
	ASSERT_LT(0, ADD_RULE(self->fd, .op = VMADEMO_OP_READ, .status = EIO,
			      .one_in = 4, .seed = 42, .skip = 5));
	EXPECT_EQ(which[0] << 5, failing_reads(self->fd, 64));
	ASSERT_EQ(0, del_rule(self->fd, 0));
	ASSERT_LT(0, ADD_RULE(self->fd, .op = VMADEMO_OP_READ, .status = EIO,
			      .one_in = 4, .seed = 42, .times = 1));
	EXPECT_EQ(which[0] & -which[0], failing_reads(self->fd, 64));
	ASSERT_EQ(0, del_rule(self->fd, 0));
	/* Each, and hardly ever */
	ASSERT_LT(0, ADD_RULE(self->fd, .op = VMADEMO_OP_READ, .status = EIO,
			      .one_in = 1, .times = 3));
	ASSERT_LT(0, ADD_RULE(self->fd, .op = VMADEMO_OP_READ, .status = EIO,
			      .one_in = UINT32_MAX));
	EXPECT_EQ(7, failing_reads(self->fd, 64));
}

/*
 * A fault counts once, though the kernel may take it twice: what is not cached drops the lock
 * while it is read in.
 */
TEST_F(when, a_fault_counts_once)
{
	int fd = create_with(VMADEMO_STORE_RAM, PAGES * PAGE, 0);
	unsigned char *map = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
				  MAP_SHARED, fd, 0);
	struct vmademo_rule r;
	int64_t id;

	ASSERT_GE(fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, madvise(map, PAGES * PAGE, MADV_RANDOM));
	id = ADD_RULE(fd, .op = VMADEMO_OP_READ_FAULT, .skip = 5,
		      .status = VMADEMO_STATUS_SIGBUS);
	ASSERT_LT(0, id);
	for (size_t i = 0; i < 5; i++)
		EXPECT_EQ(0, touch_signal(map + i * PAGE, 0));
	EXPECT_EQ(SIGBUS, touch_signal(map + 5 * PAGE, 0));
	r = get_rule(fd, id);
	EXPECT_EQ(6, r.matches);
	EXPECT_EQ(1, r.hits);
	munmap(map, PAGES * PAGE);
	close(fd);
}

/* The oldest whose turn it is; the others do not count. */
TEST_F(when, order)
{
	int64_t first = ADD_RULE(self->fd, .op = VMADEMO_OP_READ, .status = EIO,
				 .times = 1);
	int64_t second = ADD_RULE(self->fd, .op = VMADEMO_OP_READ,
				  .status = ENOMEM, .skip = 1, .times = 1);
	int64_t third = ADD_RULE(self->fd, .op = VMADEMO_OP_READ,
				 .status = EAGAIN);
	static const int told[] = { EIO, EAGAIN, ENOMEM, EAGAIN };
	char byte;

	ASSERT_LT(0, first);
	ASSERT_LT(0, second);
	ASSERT_LT(0, third);
	for (int i = 0; i < 4; i++)
		EXPECT_FAILS(told[i], pread(self->fd, &byte, 1, 0));
	EXPECT_EQ(4, get_rule(self->fd, first).matches);
	EXPECT_EQ(3, get_rule(self->fd, second).matches);
	EXPECT_EQ(2, get_rule(self->fd, third).matches);
}

/* Of a call that touches many pages each rule is asked once, that of the first page first. */
TEST_F(when, many_pages)
{
	char all[16 * PAGE];
	int64_t wide = ADD_RULE(self->fd, .op = VMADEMO_OP_READ, .start = 2,
				.nr = 9, .status = EAGAIN, .skip = 100);
	int64_t cut = ADD_RULE(self->fd, .op = VMADEMO_OP_READ, .start = 4,
			       .nr = 1, .status = ENOMEM, .skip = 100);
	int64_t late = ADD_RULE(self->fd, .op = VMADEMO_OP_READ, .start = 10,
				.status = EIO);
	int64_t early = ADD_RULE(self->fd, .op = VMADEMO_OP_READ, .start = 1,
				 .nr = 1, .status = EINTR, .times = 1);

	ASSERT_LT(0, early);
	EXPECT_FAILS(EINTR, pread(self->fd, all, sizeof(all), 0));
	EXPECT_EQ(0, get_rule(self->fd, wide).matches);
	EXPECT_FAILS(EIO, pread(self->fd, all, sizeof(all), 0));
	EXPECT_EQ(1, get_rule(self->fd, wide).matches);
	EXPECT_EQ(1, get_rule(self->fd, cut).matches);
	EXPECT_EQ(1, get_rule(self->fd, late).matches);
	EXPECT_EQ(2, get_rule(self->fd, early).matches);
	/* From the middle of one on */
	EXPECT_EQ(PAGE, pread(self->fd, all, PAGE, 3 * PAGE));
	EXPECT_EQ(2, get_rule(self->fd, wide).matches);
	EXPECT_EQ(1, get_rule(self->fd, cut).matches);
}

/* ---- whose --------------------------------------------------------------- */

/* In a child: 0 if it can read the byte, or the errno. */
static int child_reads(int fd)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		char byte;

		_exit(pread(fd, &byte, 1, 0) == 1 ? 0 : errno);
	}
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

/* In a child: the signal that touching the page raises. */
static int child_touches(unsigned char *at)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(touch_signal(at, 0));
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

static void *reads_in_thread(void *arg)
{
	char byte;

	return (void *)(intptr_t)(pread(*(int *)arg, &byte, 1, 0) == 1 ? 0
								       : errno);
}

/* A process, with its threads and not its children; nor those that it looks into. */
TEST_F(when, pid)
{
	unsigned char *at = self->map + 3 * PAGE;
	char byte;
	struct iovec mine = { &byte, 1 }, its = { at, 1 };
	pthread_t thread;
	int64_t id, fault;
	void *ret;
	int status, go[2], ready[2];
	pid_t pid;

	id = ADD_RULE(self->fd, .op = VMADEMO_OP_READ, .status = EIO,
		      .pid = getpid());
	fault = ADD_RULE(self->fd, .op = VMADEMO_OP_READ_FAULT,
			 .status = VMADEMO_STATUS_SIGBUS, .pid = getpid());
	ASSERT_LT(0, id);
	ASSERT_LT(0, fault);
	EXPECT_EQ(getpid(), get_rule(self->fd, id).pid);
	EXPECT_FAILS(EIO, pread(self->fd, &byte, 1, 0));
	EXPECT_EQ(SIGBUS, touch_signal(at, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, reads_in_thread, &self->fd));
	pthread_join(thread, &ret);
	EXPECT_EQ(EIO, (intptr_t)ret);
	EXPECT_EQ(0, child_reads(self->fd));
	EXPECT_EQ(0, child_touches(at));
	EXPECT_EQ(2, hits_of(self->fd, id));
	EXPECT_EQ(1, hits_of(self->fd, fault));

	/* A child's memory, touched from here, is the child's */
	ASSERT_EQ(0, pipe(go));
	ASSERT_EQ(0, pipe(ready));
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		write(ready[1], "", 1);
		read(go[0], &byte, 1);
		_exit(0);
	}
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	EXPECT_EQ(1, process_vm_readv(pid, &mine, 1, &its, 1, 0));
	ASSERT_EQ(0, del_rule(self->fd, fault));
	fault = ADD_RULE(self->fd, .op = VMADEMO_OP_READ_FAULT,
			 .status = VMADEMO_STATUS_SIGBUS, .pid = pid);
	ASSERT_LT(0, fault);
	EXPECT_EQ(0, touch_signal(at, 0));
	EXPECT_FAILS(EFAULT, process_vm_readv(pid, &mine, 1, &its, 1, 0));
	EXPECT_EQ(1, hits_of(self->fd, fault));
	write(go[1], "", 1);
	waitpid(pid, &status, 0);
	/* The process is gone; its rule is not, and it cannot have a new one */
	EXPECT_EQ(1, hits_of(self->fd, fault));
	EXPECT_FAILS(ESRCH, ADD_RULE(self->fd, .op = VMADEMO_OP_READ,
				     .status = EIO, .pid = pid));
	close(go[0]);
	close(go[1]);
	close(ready[0]);
	close(ready[1]);
}

/* A child has the mappings, and so it meets the rules; a copy that it made stays. */
TEST_F(when, fork)
{
	unsigned char *at = self->map + 3 * PAGE;

	put(at, 1);
	ASSERT_LT(0, ADD_RULE(self->fd, .op = VMADEMO_OP_READ_FAULT, .start = 3,
			      .nr = 1, .status = VMADEMO_STATUS_SIGBUS));
	EXPECT_EQ(SIGBUS, child_touches(at));
	EXPECT_EQ(0, child_touches(at + PAGE));
	EXPECT_EQ(SIGBUS, touch_signal(at, 0));
	ASSERT_EQ(0, del_rule(self->fd, 0));
	EXPECT_EQ(0, child_touches(at));
}

/* ---- many ---------------------------------------------------------------- */

#define MANY 1000

/* A thousand, each for a page of its own: each page meets its own, and no other any. */
TEST_F(when, a_thousand)
{
	int fd = create_buffer(4 * MANY * PAGE);
	char byte;
	int bad = 0;

	ASSERT_GE(fd, 0);
	/* Not in the order of the pages */
	for (int i = 0; i < MANY; i++) {
		int page = i * 387 % MANY;

		ASSERT_EQ(i + 1, ADD_RULE(fd, .op = VMADEMO_OP_READ,
					  .start = 4 * page + 1, .nr = 2,
					  .status = page % 2 ? EIO : EAGAIN));
	}
	EXPECT_EQ(MANY, count_rules(fd));
	for (int i = 0; i < 4 * MANY; i++) {
		int want = i % 4 == 0 || i % 4 == 3 ? 0
			   : i / 4 % 2		    ? EIO
						    : EAGAIN;

		errno = 0;
		if (pread(fd, &byte, 1, i * PAGE) == 1)
			bad += want != 0;
		else
			bad += want != errno;
	}
	EXPECT_EQ(0, bad);
	for (int i = 1; i <= MANY; i++)
		bad += hits_of(fd, i) != 2;
	EXPECT_EQ(0, bad);
	/* There can be so many, and no more */
	for (int i = MANY; i < VMADEMO_RULES_MAX; i++)
		ASSERT_LT(0, ADD_RULE(fd, .op = VMADEMO_OP_WRITE, .status = EIO));
	EXPECT_FAILS(ENOSPC, ADD_RULE(fd, .op = VMADEMO_OP_READ, .status = EIO));
	ASSERT_EQ(0, del_rule(fd, 7));
	EXPECT_EQ(VMADEMO_RULES_MAX + 1,
		  ADD_RULE(fd, .op = VMADEMO_OP_READ, .status = EIO));
	ASSERT_EQ(0, del_rule(fd, 0));
	EXPECT_EQ(0, count_rules(fd));
	EXPECT_EQ(1, pread(fd, &byte, 1, PAGE));
	close(fd);
}

/* Rules that overlap in every way, against the plain walk over all of them. */
TEST_F(when, overlapping)
{
	struct vmademo_rule rules[40];
	unsigned int seed = 1;
	int n = 0, bad = 0;
	char byte;

	for (int step = 0; step < 200; step++) {
		if (n == 40 || (n && rand_r(&seed) % 3 == 0)) {
			int which = rand_r(&seed) % n;

			ASSERT_EQ(0, del_rule(self->fd, rules[which].id));
			memmove(rules + which, rules + which + 1,
				(--n - which) * sizeof(rules[0]));
		} else {
			struct vmademo_rule r = {
				.op = VMADEMO_OP_READ,
				.start = rand_r(&seed) % PAGES,
				.nr = rand_r(&seed) % 16,
				.status = rand_r(&seed) % 2 ? EIO : EAGAIN,
			};

			ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_RULE_ADD, &r));
			rules[n++] = r;
		}
		for (size_t page = 0; page < PAGES; page++) {
			int want = 0;

			for (int i = n - 1; i >= 0; i--)
				if (page >= rules[i].start &&
				    (!rules[i].nr ||
				     page - rules[i].start < rules[i].nr))
					want = rules[i].status;
			errno = 0;
			pread(self->fd, &byte, 1, page * PAGE);
			bad += errno != want;
		}
	}
	EXPECT_EQ(0, bad);
}

TEST_HARNESS_MAIN
