// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lazy windows: how many entries one fault makes, small and large ones beside each other.
 * The same is done to eager ones, which take no fault.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>

#include "../lib/traced.h"
#include "window_fixture.h"

/* Lazy: fewer pages a fault, when somebody asks for that; and never beyond the VMA. */
TEST_F(window, map_ahead)
{
	RUN_IF_READY();

	const struct {
		const char *ahead;
		int advice;
		size_t bytes;
	} ways[] = { { "1p", MADV_NORMAL, PAGE },
		     { "4p", MADV_NORMAL, 4 * PAGE },
		     { "512p", MADV_RANDOM, 512 * PAGE },
		     { "auto", MADV_RANDOM, PAGE },
		     { "auto", MADV_NORMAL, PMD_SIZE } };
	/* Not aligned as the window is: no entry of 2 MiB fits */
	const size_t len = LEN - 16 * PAGE;
	unsigned char *room, *p;
	int64_t faults;

	room = aligned_room(LEN, PMD_SIZE);
	ASSERT_NE(MAP_FAILED, room);
	p = room + 8 * PAGE;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		size_t first = (uintptr_t)p / ways[i].bytes;
		size_t last = (uintptr_t)(p + len - 1) / ways[i].bytes;

		ASSERT_EQ(0, map_ahead(ways[i].ahead));
		ASSERT_EQ(p, mmap(p, len, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_FIXED, self->fd, 0));
		ASSERT_EQ(0, madvise(p, len, ways[i].advice));
		faults = window_value("faults");
		/* From the end, and each second page only */
		for (size_t at = len; at; at -= PAGE)
			if (at / PAGE % 2 || ways[i].bytes > PAGE)
				put_number(p + at - PAGE, i * LEN + at);
		for (size_t at = PAGE; at <= len; at += PAGE) {
			if (at / PAGE % 2 || ways[i].bytes > PAGE)
				ASSERT_EQ(i * LEN + at, number_at(p + at - PAGE));
		}
		EXPECT_EQ(!self->lazy		  ? 0
			  : ways[i].bytes == PAGE ? len / PAGE / 2
						  : last - first + 1,
			  window_value("faults") - faults)
		TH_LOG("%s", ways[i].ahead);
	}
	/* What is beyond the mapping was not made to look like it */
	EXPECT_EQ(SIGSEGV, touch_signal(p - PAGE, 0));
	EXPECT_EQ(SIGSEGV, touch_signal(p + len, 0));
	munmap(room, LEN);
	ASSERT_EQ(0, map_ahead("auto"));
}

/* Who traces is told how long a fault took; an eager window has none. */
TEST_F(window, traced)
{
	RUN_IF_READY();

	unsigned char *p = map(_metadata, self->fd, LEN, 0);
	long long ns;

	if (write_text(EVENTS "vmademo_fault/enable", "1"))
		SKIP(return, "this kernel cannot trace");
	clear_trace();
	put(p + PAGE, 1);
	ns = slowest(" vmademo_fault: ");
	ASSERT_EQ(0, write_text(EVENTS "vmademo_fault/enable", "0"));
	EXPECT_EQ(self->lazy, ns >= 0);
	munmap(p, LEN);
}

struct flipper {
	unsigned char *volatile p;
	volatile int round, done[2], stop;
};

static void *touch_each_round(void *arg, int me)
{
	struct flipper *f = arg;

	for (int seen = 0; !f->stop;) {
		if (f->round == seen)
			continue;
		seen = f->round;
		put(f->p + me * PAGE, seen);
		f->done[me] = seen;
	}
	return NULL;
}

static void *touch_first(void *arg)
{
	return touch_each_round(arg, 0);
}

static void *touch_second(void *arg)
{
	return touch_each_round(arg, 1);
}

static void *flip(void *arg)
{
	struct flipper *f = arg;

	while (!f->stop) {
		prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
		prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
	}
	return NULL;
}

/* Two threads touch the same 2 MiB; whether that may be one entry changes all the time. */
TEST_F(window, large_and_small_at_once)
{
	RUN_IF_READY();

	void *(*const threads[])(void *) = { touch_first, touch_second, flip };
	struct flipper f = { 0 };
	pthread_t thread[3];

	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, threads[i], &f));
	for (int i = 1; i <= 60; i++) {
		f.p = map(_metadata, self->fd, LEN, 0);
		f.round = i;
		while (f.done[0] != i || f.done[1] != i)
			sched_yield();
		EXPECT_EQ((unsigned char)i, touch(f.p));
		EXPECT_EQ((unsigned char)i, touch(f.p + PAGE));
		munmap(f.p, LEN);
	}
	f.stop = 1;
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
}

TEST_HARNESS_MAIN
