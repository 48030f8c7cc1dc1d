// SPDX-License-Identifier: GPL-2.0-only
/*
 * Power cuts of hundreds of buffers at once, each of which waits for a write(2) under way: they
 * keep nobody else waiting, whatever of the kernel's workers he needs.
 */
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "kselftest_harness.h"
#include "../lib/slow_store.h"
#include "rules.h"

/* More than a queue of the kernel runs at once, on most kernels; all checked, fewer. */
#define MANY 520
#define FEW  24

static int fds[MANY];
static const unsigned char *slow;
static atomic_int done;

static void *write_slowly(void *fd)
{
	/* When it goes on there may be no power */
	pwrite(*(int *)fd, slow, 1, 0);
	atomic_fetch_add(&done, 1);
	return NULL;
}

/* So large that all processors help. */
static pid_t allocate_much(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		int fd = create_with(VMADEMO_STORE_NONE, 8 * MIB, 0);

		_exit(fd < 0 || fallocate(fd, 0, 0, 8 * MIB));
	}
	return pid;
}

TEST(nobody_else_waits)
{
	static pthread_t threads[MANY];
	struct rlimit files = { MANY + 64, MANY + 64 };
	int source, status, many = MANY;
	pthread_attr_t small;
	char hung[24];
	int64_t id;
	pid_t pid;

	if (access("/sys/kernel/debug/kmemleak", F_OK) == 0)
		many = FEW;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &files));
	snprintf(hung, sizeof(hung), "%" PRId64, read_number(hung_task));
	write_text(hung_task, "0");
	source = create_with(VMADEMO_STORE_NONE, PAGE, 0);
	slow = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, source, 0);
	ASSERT_NE(MAP_FAILED, slow);
	id = ADD_RULE(source, .op = VMADEMO_OP_READ_FAULT,
		      .delay_us = VMADEMO_DELAY_MAX);
	ASSERT_LT(0, id);
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, PTHREAD_STACK_MIN + 64 * KIB);
	for (int i = 0; i < many; i++) {
		fds[i] = create_with(VMADEMO_STORE_RAM, PAGE, 0);
		ASSERT_LE(0, fds[i]) TH_LOG("%d: %s", i, strerror(errno));
		ASSERT_LT(0, ADD_RULE(fds[i], .op = VMADEMO_OP_FLUSH,
				      .flags = VMADEMO_RULE_CRASH |
					       VMADEMO_RULE_OFF));
	}
	for (int i = 0; i < many; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], &small, write_slowly,
					    &fds[i]));
	while (hits_of(source, id) < many)
		usleep(10000);
	/* By a rule, so that nobody waits for it here */
	for (int i = 0; i < many; i++)
		ASSERT_EQ(EIO, told(fds[i]));
	pid = allocate_much();
	EXPECT_TRUE(ends(pid));
	/* And not because these did */
	EXPECT_EQ(0, atomic_load(&done));
	/* Who is in the same queue may wait; but not longer than they do */
	ASSERT_EQ(0, del_rule(source, id));
	for (int i = 0; i < many; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
		ASSERT_EQ(0, power_on(fds[i]));
		EXPECT_EQ(1, account_of(fds[i]).crashes);
		close(fds[i]);
	}
	pid = allocate_much();
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	write_text(hung_task, hung);
	close(source);
}

TEST_HARNESS_MAIN
