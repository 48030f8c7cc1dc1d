// SPDX-License-Identifier: GPL-2.0-only
/*
 * A call meets a power cut that undoes what the size was when the program called: the cut comes
 * first, and the call does to what is there then what it would have done if it had been made
 * later.  Whether the cut is still to be done when the call begins is a matter of chance; the
 * outcome is not.
 */
#include <fcntl.h>
#include <pthread.h>
#include <linux/falloc.h>
#include <sys/wait.h>

#include "power_size_fixture.h"

KEEP_A_RULE

#define ROUNDS 10

/* The size is undone at once, or as soon as somebody is about to change it. */
static int lose_size(int fd)
{
	int64_t rule = ADD_RULE(fd, .op = VMADEMO_OP_FLUSH, .times = 1,
				.flags = VMADEMO_RULE_CRASH);

	return rule > 0 && fsync(fd) && errno == EIO ? 0 : -1;
}

/* All of it is as in the beginning. */
static void begin_again(struct __test_metadata *_metadata,
			FIXTURE_DATA(size) * self)
{
	ASSERT_EQ(0, ftruncate(self->fd, SIZE));
	for (size_t page = 0; page < SIZE / PAGE; page++)
		memset(self->map + page * PAGE, 'a' + page, PAGE);
	if (fsync(self->fd))
		ASSERT_EQ(0, fsync(self->fd));
}

/* It was cut off, which is undone, and then cut off elsewhere. */
TEST_F(size, cut_off)
{
	for (int i = 0; i < ROUNDS; i++) {
		begin_again(_metadata, self);
		ASSERT_EQ(0, ftruncate(self->fd, PAGE));
		ASSERT_EQ(0, lose_size(self->fd));
		ASSERT_EQ(0, ftruncate(self->fd, 2 * PAGE));
		EXPECT_EQ(2 * PAGE, size_of(self->fd));
		EXPECT_EQ(-1, other_than(self->fd, 'b', PAGE, 2 * PAGE));
		/* What was beyond it is gone */
		ASSERT_EQ(0, ftruncate(self->fd, SIZE));
		EXPECT_EQ(-1, other_than(self->fd, 0, 2 * PAGE, SIZE));
		ASSERT_EQ(0, ftruncate(self->fd, 2 * PAGE));
		/* And stays so after the next cut */
		if (fsync(self->fd))
			ASSERT_EQ(0, fsync(self->fd));
		EXPECT_EQ(2 * PAGE, durable_size_of(self->fd));
		ASSERT_EQ(0, power_cut(self->fd));
		EXPECT_EQ(2 * PAGE, size_of(self->fd));
	}
}

/* To where it was before the cut. */
TEST_F(size, cut_off_again)
{
	for (int i = 0; i < ROUNDS; i++) {
		begin_again(_metadata, self);
		ASSERT_EQ(0, ftruncate(self->fd, PAGE));
		ASSERT_EQ(0, lose_size(self->fd));
		ASSERT_EQ(0, ftruncate(self->fd, PAGE));
		EXPECT_EQ(PAGE, size_of(self->fd));
		usleep(1000);
		EXPECT_EQ(PAGE, size_of(self->fd));
	}
}

/* To allocate makes nothing smaller. */
TEST_F(size, allocated)
{
	for (int i = 0; i < ROUNDS; i++) {
		begin_again(_metadata, self);
		ASSERT_EQ(0, ftruncate(self->fd, PAGE));
		ASSERT_EQ(0, lose_size(self->fd));
		ASSERT_EQ(0, fallocate(self->fd, 0, 0, 2 * PAGE));
		EXPECT_EQ(SIZE, size_of(self->fd));
		EXPECT_EQ(-1, changed(self->fd, 0));
	}
}

/* And the size is what was asked for, though what had been there was taken back. */
TEST_F(size, allocated_larger)
{
	for (int i = 0; i < ROUNDS; i++) {
		begin_again(_metadata, self);
		ASSERT_EQ(0, ftruncate(self->fd, 4 * SIZE));
		ASSERT_EQ(0, lose_size(self->fd));
		ASSERT_EQ(0, fallocate(self->fd, 0, SIZE, SIZE));
		EXPECT_EQ(2 * SIZE, size_of(self->fd));
		EXPECT_EQ(-1, changed(self->fd, 0));
		EXPECT_EQ(-1, other_than(self->fd, 0, SIZE, 2 * SIZE));
	}
}

/* But not if the size is to be kept; then nothing is allocated beyond it, either. */
TEST_F(size, allocated_inside)
{
	for (int i = 0; i < ROUNDS; i++) {
		int64_t room;

		begin_again(_metadata, self);
		room = node_value("ram_used");
		ASSERT_EQ(0, ftruncate(self->fd, 4 * SIZE));
		ASSERT_EQ(0, lose_size(self->fd));
		ASSERT_EQ(0,
			  fallocate(self->fd, FALLOC_FL_KEEP_SIZE, SIZE, SIZE));
		EXPECT_EQ(SIZE, size_of(self->fd));
		EXPECT_EQ(room, node_value("ram_used"));
	}
}

/* Behind what is there after the cut, no more and no less. */
TEST_F(size, appended)
{
	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, O_APPEND));
	for (int i = 0; i < ROUNDS; i++) {
		begin_again(_metadata, self);
		ASSERT_EQ(0, ftruncate(self->fd, i % 2 ? PAGE : 4 * SIZE));
		ASSERT_EQ(0, lose_size(self->fd));
		ASSERT_EQ(1, write(self->fd, "x", 1));
		EXPECT_EQ(SIZE + 1, size_of(self->fd));
		EXPECT_EQ(-1, other_than(self->fd, 'x', SIZE, SIZE + 1));
		EXPECT_EQ(-1, changed(self->fd, 0));
	}
}

/* What is punched is punched in all that there is. */
TEST_F(size, punched)
{
	for (int i = 0; i < ROUNDS; i++) {
		begin_again(_metadata, self);
		ASSERT_EQ(0, ftruncate(self->fd, PAGE));
		ASSERT_EQ(0, lose_size(self->fd));
		ASSERT_EQ(0, fallocate(self->fd,
				       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				       0, 4 * SIZE));
		EXPECT_EQ(SIZE, size_of(self->fd));
		EXPECT_EQ(-1, other_than(self->fd, 0, 0, SIZE));
	}
}

/* Also if the cut comes when a page is read in of which a part stays. */
TEST_F(size, punched_while_it_is_read_in)
{
	static const int modes[] = { FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE };

	for (int i = 0; i < 2; i++) {
		begin_again(_metadata, self);
		/* Nothing is cached */
		ASSERT_EQ(0, power_cut(self->fd));
		ASSERT_EQ(0, ftruncate(self->fd, 2 * PAGE));
		ASSERT_LT(0, ADD_RULE(self->fd, .op = VMADEMO_OP_READ_IN,
				      .times = 1, .flags = VMADEMO_RULE_CRASH));
		ASSERT_EQ(0, fallocate(self->fd, modes[i] | FALLOC_FL_KEEP_SIZE,
				       100, 4 * SIZE));
		EXPECT_EQ(SIZE, size_of(self->fd));
		EXPECT_EQ(-1, other_than(self->fd, 'a', 0, 100));
		EXPECT_EQ(-1, other_than(self->fd, 0, 100, SIZE));
	}
}

/* ---- while the call already holds the buffer ----------------------------- */

struct call {
	int fd;
	off_t size;
};

static void *truncate_to(void *arg)
{
	struct call *call = arg;

	return ftruncate(call->fd, call->size) ? call : NULL;
}

/* A rule has it wait; the size is lost meanwhile; the rule lets it go on. */
TEST_F(size, cut_off_while_it_waits)
{
	struct call call = { self->fd, 2 * PAGE };
	pthread_t truncates;
	int64_t rule;
	void *failed;

	ASSERT_EQ(0, ftruncate(self->fd, PAGE));
	rule = ADD_RULE(self->fd, .op = VMADEMO_OP_TRUNCATE,
			.delay_us = 20000000, .times = 1);
	ASSERT_LT(0, rule);
	ASSERT_EQ(0, pthread_create(&truncates, NULL, truncate_to, &call));
	while (hits_of(self->fd, rule) == 0)
		usleep(1000);
	ASSERT_EQ(0, lose_size(self->fd));
	EXPECT_TRUE(is_off(self->fd));
	ASSERT_EQ(0, del_rule(self->fd, rule));
	pthread_join(truncates, &failed);
	EXPECT_EQ(NULL, failed);
	EXPECT_EQ(2 * PAGE, size_of(self->fd));
	EXPECT_EQ(-1, other_than(self->fd, 'b', PAGE, 2 * PAGE));
	ASSERT_EQ(0, ftruncate(self->fd, SIZE));
	EXPECT_EQ(-1, other_than(self->fd, 0, 2 * PAGE, SIZE));
}

/* To make a part of a page zero has it read in, and each time a rule cuts the power. */
TEST_F(size, again_and_again)
{
	int64_t rule;
	int status;
	pid_t pid;

	/* Nothing is cached */
	ASSERT_EQ(0, power_cut(self->fd));
	rule = ADD_RULE(self->fd, .op = VMADEMO_OP_READ_IN,
			.flags = VMADEMO_RULE_CRASH);
	ASSERT_LT(0, rule);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		fallocate(self->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  PAGE + 100, 50);
		_exit(0);
	}
	while (hits_of(self->fd, rule) < 3)
		usleep(1000);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	ASSERT_EQ(0, del_rule(self->fd, rule));
	EXPECT_EQ(-1, changed(self->fd, 0));
}

TEST_HARNESS_MAIN
