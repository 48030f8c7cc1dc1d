// SPDX-License-Identifier: GPL-2.0-only
/*
 * The moment at which the power of stores goes: it is one for several buffers, and comes in
 * the middle of whatever somebody does.
 *
 * VMADEMO_STEPS: two hundred for each time in the test that races.
 */
#include <linux/falloc.h>
#include <pthread.h>
#include <stdatomic.h>

#define PAGES 64UL
#define SIZE  (PAGES * PAGE)

#define STORE_SIZE SIZE
#include "../lib/slow_store.h"
#include "store_fixture.h"

/* ---- one moment ---------------------------------------------------------- */

#define BUFFERS 4

struct chain {
	int fds[BUFFERS];
	uint64_t acknowledged; /* of the last one */
};

/* Number n goes to the next buffer only when the one before has it. */
static void *write_one_after_the_other(void *arg)
{
	struct chain *c = arg;

	for (uint64_t n = 1;; n++) {
		for (int i = 0; i < BUFFERS; i++)
			if (pwrite(c->fds[i], &n, sizeof(n), 0) != sizeof(n) ||
			    fdatasync(c->fds[i]))
				goto on;
		c->acknowledged = n;
		continue;
on:
		/* The answer was no: on with the others nevertheless, which have no power */
		for (int i = 0; i < BUFFERS; i++)
			if (pwrite(c->fds[i], &n, sizeof(n), 0) >= 0 &&
			    !fdatasync(c->fds[i]))
				return (void *)1;
		return NULL;
	}
}

TEST(one_moment)
{
	const char *steps = getenv("VMADEMO_STEPS");
	int rounds = steps && *steps ? atoi(steps) / 200 : 50;
	struct chain c = { 0 };
	pthread_t thread;
	int under_way = 0;

	if (rounds < 20)
		rounds = 20;
	for (int i = 0; i < BUFFERS; i++) {
		c.fds[i] = create_with(VMADEMO_STORE_RAM, PAGE, 0);
		ASSERT_GE(c.fds[i], 0);
	}
	for (int round = 0; round < rounds; round++) {
		/* Asked of one of them, in whatever order */
		int fds[BUFFERS - 1];
		struct vmademo_power p = { .fds = (uintptr_t)fds,
					   .count = BUFFERS - 1 };
		uint64_t first = 0, n, before = 0;
		void *wrong;

		for (int i = 0; i < BUFFERS - 1; i++)
			fds[i] = c.fds[(round + (round & 4 ? i + 1 : BUFFERS - 1 - i)) %
				       BUFFERS];
		c.acknowledged = 0;
		ASSERT_EQ(0, pthread_create(&thread, NULL,
					    write_one_after_the_other, &c));
		usleep(1000 + round * 37 % 3000);
		p.flags = VMADEMO_POWER_OFF;
		ASSERT_EQ(0,
			  ioctl(c.fds[round % BUFFERS], VMADEMO_IOC_POWER, &p));
		pthread_join(thread, &wrong);
		EXPECT_EQ(NULL, wrong) TH_LOG("one still had power");
		under_way += c.acknowledged > 0;
		p = (struct vmademo_power){ .fds = (uintptr_t)fds,
					    .count = BUFFERS - 1 };
		ASSERT_EQ(0,
			  ioctl(c.fds[round % BUFFERS], VMADEMO_IOC_POWER, &p));
		/* n, n, n - 1, n - 1 */
		for (int i = 0; i < BUFFERS; i++) {
			ASSERT_EQ(sizeof(n), pread(c.fds[i], &n, sizeof(n), 0));
			if (i == 0)
				first = n;
			else
				EXPECT_GE(before, n);
			before = n;
		}
		EXPECT_GE(n + 1, first);
		EXPECT_LE(c.acknowledged, n);
		n = 0;
		for (int i = 0; i < BUFFERS; i++) {
			ASSERT_EQ(sizeof(n), pwrite(c.fds[i], &n, sizeof(n), 0));
			fsync(c.fds[i]);
			ASSERT_EQ(0, fsync(c.fds[i]));
		}
	}
	/* Or it would prove nothing */
	EXPECT_LT(0, under_way);
	for (int i = 0; i < BUFFERS; i++) {
		EXPECT_ACCOUNT_ADDS_UP(c.fds[i]);
		close(c.fds[i]);
	}
}

/* ---- somebody is at it --------------------------------------------------- */

struct busy {
	int fd;
	unsigned char *map;
	atomic_int stop;
	int bad; /* a byte that nobody has written */
};

static void *be_busy(void *arg)
{
	struct busy *b = arg;
	unsigned int seed = 1;
	unsigned char page[PAGE];

	memset(page, 'x', PAGE);
	while (!b->stop) {
		size_t at = rand_r(&seed) % PAGES * PAGE;

		switch (rand_r(&seed) % 6) {
		case 0:
			fsync(b->fd);
			break;
		case 1:
			if (pread(b->fd, page, PAGE, at) == PAGE && page[9] &&
			    page[9] != 'x')
				b->bad = page[9];
			memset(page, 'x', PAGE);
			break;
		case 2:
			fallocate(b->fd,
				  FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				  at, PAGE);
			break;
		case 3:
			msync(b->map + at, PAGE, MS_SYNC);
			break;
		default:
			if (pwrite(b->fd, page, PAGE, at) < 0 && errno != EIO)
				b->bad = 1;
		}
	}
	return NULL;
}

TEST_F(store, while_somebody_works)
{
	RUN_IF_READY();

	struct busy b = { .fd = self->fd, .map = self->map };
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, be_busy, &b));
	for (int i = 0; i < 60; i++) {
		struct vmademo_power p = { .flags = VMADEMO_POWER_OFF,
					   .seed = i,
					   .written_permille = i % 3 * 300,
					   .torn = i % 4 };

		ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_POWER, &p));
		if (i % 5 == 0)
			usleep(3000);
		if (i % 7 == 0)
			ASSERT_EQ(0, power_cut(self->fd));
		ASSERT_EQ(0, power_on(self->fd));
		if (i % 3 == 0)
			usleep(5000);
	}
	b.stop = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	EXPECT_EQ(0, b.bad);
	fsync(self->fd);
	ASSERT_EQ(0, fsync(self->fd));
	EXPECT_EQ(0, account_of(self->fd).dirty_folios);
}

struct call {
	int fd, err;
	bool off;
};

static void *make_call(void *arg)
{
	struct call *c = arg;

	c->err = (c->off ? power_off(c->fd) : fsync(c->fd)) ? errno : 0;
	return NULL;
}

static bool wait_for(volatile int *value, int wanted)
{
	for (int i = 0; i < LONG * 100 && *value != wanted; i++)
		usleep(10000);
	return *value == wanted;
}

static bool wait_until_off(int fd)
{
	for (int i = 0; i < LONG * 100 && !is_off(fd); i++)
		usleep(10000);
	return is_off(fd);
}

/*
 * The first of two pages is on its way when the power goes, and arrives; the second is not, and
 * does not.  The fsync that wants both says EIO.
 */
TEST(in_the_middle_of_write_back)
{
	struct slow slow;
	const char *skip = slow_make(&slow, MUTE_FUSE, SIZE);
	struct call off = { .off = true }, sync = { 0 };
	pthread_t syncer, switcher;
	unsigned char byte;

	if (skip)
		SKIP(return, "%s", skip);
	folio_size_wanted = PAGE;
	sync.fd = create_with(VMADEMO_STORE_FILE, 0, slow.file);
	ASSERT_GE(sync.fd, 0);
	off.fd = sync.fd;
	ASSERT_EQ(1, pwrite(sync.fd, "a", 1, 0));
	ASSERT_EQ(1, pwrite(sync.fd, "b", 1, 2 * PAGE));
	FUSE_WRITES_LEFT(&slow) = 1;
	*slow.mute = HOLD_WRITE;
	ASSERT_EQ(0, pthread_create(&syncer, NULL, make_call, &sync));
	ASSERT_TRUE(wait_for(slow.mute, HOLDS_WRITE));
	ASSERT_EQ(0, pthread_create(&switcher, NULL, make_call, &off));
	ASSERT_TRUE(wait_until_off(off.fd));
	*slow.mute = ANSWER;
	pthread_join(syncer, NULL);
	pthread_join(switcher, NULL);
	EXPECT_EQ(EIO, sync.err);
	EXPECT_EQ(0, off.err);
	ASSERT_EQ(0, power_on(off.fd));
	EXPECT_EQ(1, pread(off.fd, &byte, 1, 0));
	EXPECT_EQ('a', byte);
	EXPECT_EQ(1, pread(off.fd, &byte, 1, 2 * PAGE));
	EXPECT_EQ(0, byte);
	EXPECT_ACCOUNT_ADDS_UP(off.fd);
	close(off.fd);
	slow_go(&slow);
	slow_end(&slow);
}

/* A store that stands still: the caller is killed, and the power is off nevertheless. */
static void kill_who_waits(struct __test_metadata *_metadata, enum slow_kind kind)
{
	struct slow slow;
	const char *skip = slow_make(&slow, kind, SIZE);
	struct call sync = { 0 };
	pthread_t syncer;
	unsigned char byte;
	char hung[16];
	pid_t pid;

	if (skip)
		SKIP(return, "%s", skip);
	snprintf(hung, sizeof(hung), "%d", (int)read_number(hung_task));
	write_text(hung_task, "0");
	sync.fd = create_with(VMADEMO_STORE_FILE, 0, slow.file);
	ASSERT_GE(sync.fd, 0);
	ASSERT_EQ(1, pwrite(sync.fd, "a", 1, 0));
	ASSERT_EQ(0, fsync(sync.fd));
	ASSERT_EQ(1, pwrite(sync.fd, "b", 1, 0));
	/* A child that ends would close it, and FUSE would wait for the write */
	close(slow.file);
	slow.file = -1;
	ASSERT_EQ(0, slow_stop(&slow));
	ASSERT_EQ(0, pthread_create(&syncer, NULL, make_call, &sync));
	/* Until it is on its way */
	for (int i = 0; i < LONG * 100 && account_of(sync.fd).dirty_folios; i++)
		usleep(10000);
	EXPECT_EQ(0, account_of(sync.fd).dirty_folios);
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		power(sync.fd, (struct vmademo_power){ .flags = VMADEMO_POWER_OFF,
						       .written_permille = 500,
						       .torn = 1 });
		_exit(0);
	}
	EXPECT_TRUE(wait_until_off(sync.fd));
	EXPECT_EQ(0, waitpid(pid, NULL, WNOHANG));
	kill(pid, SIGKILL);
	EXPECT_TRUE(ends(pid));
	EXPECT_TRUE(is_off(sync.fd));
	/* So is who would switch it on */
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		power_on(sync.fd);
		_exit(0);
	}
	usleep(50000);
	EXPECT_EQ(0, waitpid(pid, NULL, WNOHANG));
	kill(pid, SIGKILL);
	EXPECT_TRUE(ends(pid));
	EXPECT_TRUE(is_off(sync.fd));
	slow_go(&slow);
	pthread_join(syncer, NULL);
	EXPECT_EQ(EIO, sync.err);
	EXPECT_TRUE(is_off(sync.fd));
	EXPECT_EQ(EIO, told(sync.fd));
	ASSERT_EQ(0, power_on(sync.fd));
	if (kind == FROZEN_EXT4) {
		EXPECT_EQ(1, pread(sync.fd, &byte, 1, 0));
		/* It was on its way */
		EXPECT_EQ('b', byte);
	}
	EXPECT_ACCOUNT_ADDS_UP(sync.fd);
	close(sync.fd);
	slow_end(&slow);
	write_text(hung_task, hung);
}

TEST(killed_frozen)
{
	kill_who_waits(_metadata, FROZEN_EXT4);
}

TEST(killed_mute)
{
	kill_who_waits(_metadata, MUTE_FUSE);
}

TEST_HARNESS_MAIN
