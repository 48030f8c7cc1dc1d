// SPDX-License-Identifier: GPL-2.0-only
/*
 * While a power cut of a tree is under way: files of it are used again as soon as their own part
 * is done, and the tree can be unmounted.  A rule that has one file wait holds the cut up.
 */
#include <pthread.h>

#include "kselftest_harness.h"
#include "../lib/tree.h"
#include "rules.h"

KEEP_A_RULE

FIXTURE(under_way)
{
	int dir, a, b, waits;
	int64_t rule;
	pthread_t threads[3];
};

FIXTURE_SETUP(under_way)
{
	ASSERT_EQ(0, mount_tree("store=ram,size=4096p,folio_size=1p"));
	self->dir = open(TREE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	self->a = new_file(AT "a");
	self->b = new_file(AT "b");
	self->waits = new_file(AT "waits");
	ASSERT_LE(0, self->waits);
	ASSERT_EQ(0, sync_tree());
}

FIXTURE_TEARDOWN(under_way)
{
	close(self->a);
	close(self->b);
	close(self->waits);
	close(self->dir);
	EXPECT_EQ(0, umount_tree()) TH_LOG("umount: %s", strerror(errno));
}

#define SELF FIXTURE_DATA(under_way) * self

static int64_t cut(int dir, uint32_t permille, uint64_t seed)
{
	struct vmademo_crash c = { .written_permille = permille, .seed = seed };

	return ioctl(dir, VMADEMO_IOC_CRASH, &c) ? -errno : (int64_t)c.lost_names;
}

static void *wait_by_rule(void *arg)
{
	SELF = arg;

	return ftruncate(self->waits, 1) ? self : NULL;
}

static void *cut_all(void *arg)
{
	SELF = arg;

	return cut(self->dir, 0, 0) < 0 ? self : NULL;
}

/* A cut begins, and goes on until let_go(). */
static void hold(struct __test_metadata *_metadata, SELF)
{
	self->rule = ADD_RULE(self->waits, .op = VMADEMO_OP_TRUNCATE,
			      .delay_us = 20000000, .times = 1);
	ASSERT_LT(0, self->rule);
	ASSERT_EQ(0, pthread_create(&self->threads[0], NULL, wait_by_rule, self));
	while (hits_of(self->waits, self->rule) == 0)
		usleep(1000);
	ASSERT_EQ(0, pthread_create(&self->threads[1], NULL, cut_all, self));
	while (!is_off(self->dir))
		usleep(1000);
}

static void let_go(struct __test_metadata *_metadata, SELF, int threads)
{
	void *failed;

	ASSERT_EQ(0, del_rule(self->waits, self->rule));
	for (int i = 0; i < threads; i++) {
		ASSERT_EQ(0, pthread_join(self->threads[i], &failed));
		EXPECT_EQ(NULL, failed) TH_LOG("thread %d", i);
	}
}

static void *set_three(void *arg)
{
	SELF = arg;

	return ftruncate(self->a, PAGE) || fallocate(self->b, 0, 0, PAGE) ||
			       fallocate(self->a, 0, 0, 2 * PAGE)
		       ? self
		       : NULL;
}

/* What is undone later is the end of what was done. */
TEST_F(under_way, sizes_in_order)
{
	for (uint64_t seed = 0; seed < 16; seed++) {
		hold(_metadata, self);
		ASSERT_EQ(0, pthread_create(&self->threads[2], NULL, set_three,
					    self));
		usleep(100000);
		let_go(_metadata, self, 3);
		EXPECT_LE(0, cut(self->dir, 500, seed));
		if (size_of(self->a) == 2 * PAGE) {
			EXPECT_EQ(PAGE, size_of(self->b))
			TH_LOG("seed %d", (int)seed);
		}
		if (!size_of(self->a)) {
			EXPECT_EQ(0, size_of(self->b))
			TH_LOG("seed %d", (int)seed);
		}
		ASSERT_EQ(0, ftruncate(self->a, 0) + ftruncate(self->b, 0) +
				     ftruncate(self->waits, 0));
		ASSERT_EQ(0, sync_tree());
	}
}

static void *switch_off(void *arg)
{
	SELF = arg;

	usleep(500 * (1 + self->rule));
	return power_off(self->dir) ? self : NULL;
}

/* The pages are there, and then the size cannot be set: they go again. */
TEST_F(under_way, allocation)
{
	const int64_t taken = room_taken();
	int failed = 0;
	void *wrong;

	for (self->rule = 0; self->rule < 30; self->rule++) {
		ASSERT_EQ(0, pthread_create(&self->threads[0], NULL, switch_off,
					    self));
		failed += fallocate(self->a, 0, 0, 3072 * PAGE) != 0;
		ASSERT_EQ(0, pthread_join(self->threads[0], &wrong));
		ASSERT_EQ(NULL, wrong);
		ASSERT_EQ(0, power_on(self->dir));
		EXPECT_EQ(0, size_of(self->a));
		EXPECT_EQ(taken, room_taken()) TH_LOG("%d", (int)self->rule);
		ASSERT_EQ(0, ftruncate(self->a, 1) || ftruncate(self->a, 0));
	}
	EXPECT_LT(0, failed);
}

/* ---- and the tree goes --------------------------------------------------- */

#define MOVES 3000

/* The log is long, and the names are cut when the pages of a file are. */
TEST(unmounted)
{
	const struct vmademo_rule crash = {
		.op = VMADEMO_OP_CREATE,
		.flags = VMADEMO_RULE_CRASH | VMADEMO_RULE_AFTER,
		.share = 1000,
	};
	unsigned char page[PAGE];

	memset(page, 'p', sizeof(page));
	for (int round = 0; round < 25; round++) {
		int dir, fd;

		ASSERT_EQ(0, mount_tree("store=ram,size=4096p,folio_size=1p"));
		dir = open(TREE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		fd = new_file(AT "0");
		ASSERT_LE(0, fd);
		for (int i = 0; i < round * 40; i++)
			ASSERT_EQ(PAGE, pwrite(fd, page, PAGE, i * PAGE));
		close(fd);
		for (int i = 0; i < MOVES; i++)
			ASSERT_EQ(0, rename(i % 2 ? AT "1" : AT "0",
					    i % 2 ? AT "0" : AT "1"));
		ASSERT_LT(0, add_rule(dir, crash));
		close(dir);
		close(new_file(AT "last"));
		ASSERT_EQ(0, umount_tree());
	}
}

TEST_HARNESS_MAIN
