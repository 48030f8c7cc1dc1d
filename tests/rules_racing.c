// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules are made, deleted and listed while others fault, write, sync and cut: each fault that
 * begins after a rule was made meets it, each that begins after it was deleted does not.
 *
 * VMADEMO_STEPS: a hundred for each rule.  What races shows only where two processors really
 * run at once.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "kselftest_harness.h"
#include "rules.h"

KEEP_A_RULE

#define PAGES 32UL

static int rounds(void)
{
	const char *steps = getenv("VMADEMO_STEPS");

	return (steps && *steps ? atoi(steps) : 100000) / 100;
}

struct race {
	int fd;
	unsigned char *map, *private;
	atomic_int stop;
	atomic_long done;
};

/* Has its pages unmapped and mapped, written, cleaned, all the time. */
static void *disturb(void *arg)
{
	struct race *r = arg;
	unsigned int seed = (uintptr_t)&seed;

	while (!atomic_load(&r->stop)) {
		size_t at = rand_r(&seed) % PAGES * PAGE;
		char bytes[2 * PAGE];

		/* No SIGBUS here: the kernel touches the page, and says EFAULT */
		switch (rand_r(&seed) % 8) {
		case 0:
		case 1:
			madvise(r->map + at, PAGE, MADV_POPULATE_READ);
			break;
		case 2:
		case 3:
			madvise(r->map + at, PAGE, MADV_POPULATE_WRITE);
			break;
		case 4:
			madvise(r->private + at, PAGE, MADV_POPULATE_WRITE);
			madvise(r->private + at, PAGE, MADV_DONTNEED);
			break;
		case 5:
			madvise(r->map + at, PAGE, MADV_DONTNEED);
			break;
		case 6:
			pread(r->fd, bytes, sizeof(bytes), at);
			pwrite(r->fd, bytes, 10, at);
			break;
		default:
			msync(r->map + at, PAGE, MS_SYNC);
		}
		atomic_fetch_add(&r->done, 1);
	}
	return NULL;
}

FIXTURE(race)
{
	struct race r;
	pthread_t thread;
	int patched;
};

FIXTURE_VARIANT(race)
{
	uint32_t store;
};

FIXTURE_VARIANT_ADD(race, none){ .store = VMADEMO_STORE_NONE };
FIXTURE_VARIANT_ADD(race, ram){ .store = VMADEMO_STORE_RAM };

FIXTURE_SETUP(race)
{
	struct race *r = &self->r;

	self->patched = keep_code_patched();
	r->fd = create_with(variant->store, PAGES * PAGE, 0);
	ASSERT_GE(r->fd, 0);
	r->map = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
		      r->fd, 0);
	ASSERT_NE(MAP_FAILED, r->map);
	r->private = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE, r->fd, 0);
	ASSERT_NE(MAP_FAILED, r->private);
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, disturb, r));
	/* On a machine with much to do, the test could be over before it has begun */
	while (!atomic_load(&r->done))
		usleep(100);
}

FIXTURE_TEARDOWN(race)
{
	struct race *r = &self->r;

	atomic_store(&r->stop, 1);
	pthread_join(self->thread, NULL);
	EXPECT_LT(0, atomic_load(&r->done));
	EXPECT_EQ(0, del_rule(r->fd, 0));
	fsync(r->fd);
	EXPECT_ACCOUNT_ADDS_UP(r->fd);
	munmap(r->map, PAGES * PAGE);
	munmap(r->private, PAGES * PAGE);
	close(r->fd);
	close(self->patched);
}

/* With the rule there, each touch raises SIGBUS, whatever was mapped in that moment. */
static void add_and_touch(struct __test_metadata *_metadata, struct race *r,
			  int keep_key)
{
	int other = create_buffer(PAGE), missed = 0, late = 0;
	unsigned int seed = 1;

	/* The hooks are patched in once, or each time */
	if (keep_key)
		ASSERT_LT(0,
			  ADD_RULE(other, .op = VMADEMO_OP_READ, .status = EIO));
	for (int n = keep_key ? rounds() : rounds() / 20 + 1; n; n--) {
		bool write = rand_r(&seed) % 2;
		size_t page = rand_r(&seed) % PAGES;
		int64_t id, more;

		id = ADD_RULE(r->fd,
			      .op = write ? VMADEMO_OP_MKWRITE
					  : VMADEMO_OP_READ_FAULT,
			      .start = page, .nr = 1,
			      .status = VMADEMO_STATUS_SIGBUS);
		ASSERT_LT(0, id);
		/* A write fault of the other thread may map the page to be read, too */
		more = write ? 0
			     : ADD_RULE(r->fd, .op = VMADEMO_OP_WRITE_FAULT,
					.start = page, .nr = 1,
					.status = VMADEMO_STATUS_SIGBUS);
		for (int i = 0; i < 3; i++)
			missed += touch_signal(r->map + page * PAGE, write) !=
				  SIGBUS;
		ASSERT_EQ(0, del_rule(r->fd, id));
		if (more)
			ASSERT_EQ(0, del_rule(r->fd, more));
		late += touch_signal(r->map + page * PAGE, write) != 0;
	}
	close(other);
	EXPECT_EQ(0, missed);
	EXPECT_EQ(0, late);
}

TEST_F(race, make_and_touch)
{
	add_and_touch(_metadata, &self->r, 1);
}

TEST_F(race, the_first_and_the_last)
{
	add_and_touch(_metadata, &self->r, 0);
}

/* Somebody faults, and somebody makes, deletes and lists; no count is lost. */
static void *make_and_delete(void *arg)
{
	struct race *r = arg;
	unsigned int seed = (uintptr_t)&seed;

	while (!atomic_load(&r->stop)) {
		struct vmademo_rule rule = {
			.op = rand_r(&seed) % (VMADEMO_OP_TRUNCATE + 1),
			.delay_us = rand_r(&seed) % 50 + 1,
			.times = rand_r(&seed) % 8,
		};

		if (rule.op == VMADEMO_OP_READ)
			continue;
		if (rule.op != VMADEMO_OP_FLUSH) {
			rule.start = rand_r(&seed) % PAGES;
			rule.nr = rand_r(&seed) % 8;
		}
		ioctl(r->fd, VMADEMO_IOC_RULE_ADD, &rule);
		for (int n = rand_r(&seed) % 3; n; n--) {
			struct vmademo_rule next = { .id = 1 };

			if (!ioctl(r->fd, VMADEMO_IOC_RULE_LIST, &next))
				del_rule(r->fd, next.id);
		}
	}
	return NULL;
}

TEST_F(race, count)
{
	struct race *r = &self->r;
	int64_t id = ADD_RULE(r->fd, .op = VMADEMO_OP_READ, .start = PAGES - 1,
			      .skip = UINT64_MAX, .status = EIO);
	int n = rounds() * 10;
	pthread_t thread;
	uint64_t before;
	char byte;

	ASSERT_EQ(1, id);
	ASSERT_EQ(0, pthread_create(&thread, NULL, make_and_delete, r));
	/* The other thread reads less than that, and counts by itself */
	before = get_rule(r->fd, id).matches;
	for (int i = 0; i < n; i++)
		ASSERT_EQ(1, pread(r->fd, &byte, 1, (PAGES - 1) * PAGE));
	EXPECT_LE(before + n, get_rule(r->fd, id).matches);
	atomic_store(&r->stop, 1);
	pthread_join(thread, NULL);
	/* What is exact: hits of two at once */
	ASSERT_EQ(0, del_rule(r->fd, 0));
	EXPECT_EQ(0, count_rules(r->fd));
}

struct readers {
	int fd, n, failed;
};

static void *read_often(void *arg)
{
	struct readers *r = arg;
	char byte;

	for (int i = 0; i < r->n; i++)
		r->failed += pread(r->fd, &byte, 1, 0) != 1;
	return NULL;
}

/* Two at once: skip and times are exact. */
TEST_F(race, exact)
{
	for (int round = 0; round < 10; round++) {
		struct readers a = { .fd = self->r.fd, .n = rounds() }, b = a;
		int64_t id = ADD_RULE(a.fd, .op = VMADEMO_OP_READ, .start = 0,
				      .nr = 1, .skip = 10, .times = rounds(),
				      .status = EIO);
		int64_t all = ADD_RULE(a.fd, .op = VMADEMO_OP_READ, .nr = 1,
				       .one_in = 3, .seed = round,
				       .status = EAGAIN);
		pthread_t thread;

		ASSERT_LT(0, id);
		ASSERT_LT(0, all);
		ASSERT_EQ(0, pthread_create(&thread, NULL, read_often, &b));
		read_often(&a);
		pthread_join(thread, NULL);
		/* The disturber reads page 0 as well, now and then */
		EXPECT_EQ(rounds(), hits_of(a.fd, id));
		EXPECT_LE(a.failed + b.failed,
			  hits_of(a.fd, id) + hits_of(a.fd, all));
		EXPECT_LE(2 * rounds(), get_rule(a.fd, id).matches);
		ASSERT_EQ(0, del_rule(a.fd, 0));
	}
}

TEST_HARNESS_MAIN
