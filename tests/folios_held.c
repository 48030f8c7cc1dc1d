// SPDX-License-Identifier: GPL-2.0-only
/*
 * Large folios that cannot be split, because somebody holds a page of them (here a pipe), or
 * that are not ready yet: what is around a hole stays, what is written into it has room, and
 * no rule is overlooked.
 *
 * Loads the module; VMADEMO_KO names it.
 */
#include <linux/falloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/uio.h>

#include "params_fixture.h"
#include "rules.h"

#define HUGE   (2 * MIB)
#define ROUNDS 30

static atomic_bool stop;

static void *sync_it(void *fd)
{
	while (!atomic_load(&stop))
		fsync((intptr_t)fd);
	return NULL;
}

/* With a page of the folios at both ends in a pipe, and somebody who has them clean. */
static void cut(struct __test_metadata *_metadata, bool truncate)
{
	const size_t size = 8 * MIB, folio = 65536, from = folio / 2,
		     to = size - folio / 2;
	unsigned char *map, *copy = malloc(size);
	pthread_t thread;
	int fd, lost = 0;

	ASSERT_EQ(0, load_module("size=8M"));
	folio_size_wanted = folio;
	fd = create_buffer(size);
	ASSERT_GE(fd, 0);
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	memset(copy, 'x', size);
	ASSERT_EQ(0,
		  pthread_create(&thread, NULL, sync_it, (void *)(intptr_t)fd));
	for (int i = 0; i < ROUNDS; i++) {
		struct iovec parts[] = { { map + from - PAGE, PAGE },
					 { map + to + PAGE, PAGE } };
		int ends[2];

		memcpy(map, copy, size);
		ASSERT_EQ(0, pipe(ends));
		ASSERT_EQ(2 * PAGE, vmsplice(ends[1], parts, 2, 0));
		EXPECT_EQ(0, truncate ? ftruncate(fd, from)
				      : fallocate(fd,
						  FALLOC_FL_PUNCH_HOLE |
							  FALLOC_FL_KEEP_SIZE,
						  from, to - from));
		lost += memcmp(map, copy, from) ||
			(!truncate && memcmp(map + to, copy + to, size - to));
		close(ends[0]);
		close(ends[1]);
		if (truncate) {
			ASSERT_EQ(0, ftruncate(fd, size));
		}
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, lost);
	EXPECT_ACCOUNT_ADDS_UP(fd);
	munmap(map, size);
	close(fd);
	free(copy);
	EXPECT_EQ(0, unload_module());
}

TEST_F(params, punched_while_synced)
{
	RUN_IF_READY();
	cut(_metadata, false);
}

TEST_F(params, cut_off_while_synced)
{
	RUN_IF_READY();
	cut(_metadata, true);
}

/*
 * What was punched while somebody held the folio, and so could not split off, is zero and has
 * no room: a write there must take it, though the folio is dirty, and must not fail later.
 */
TEST_F(params, punched_while_held)
{
	RUN_IF_READY();

	const size_t first = HUGE / PAGE / 5, past = HUGE / PAGE / 5 * 4;
	struct vmademo_discard hole = { .offset = first * PAGE,
					.length = (past - first) * PAGE };
	unsigned char *map;
	int fd, other, ends[2], failed = 0, lost = 0;
	bool *refused = calloc(past, 1);
	struct iovec page;

	ASSERT_EQ(0, load_module("size=8M folio_size=2M store=ram ram_limit=4M"));
	folio_size_wanted = 0;
	fd = create_with(VMADEMO_STORE_RAM, HUGE, 0);
	other = create_with(VMADEMO_STORE_RAM, 2 * HUGE, 0);
	ASSERT_GE(fd, 0);
	ASSERT_GE(other, 0);
	map = aligned_room(HUGE, HUGE);
	ASSERT_EQ(map, mmap(map, HUGE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_FIXED, fd, 0));
	memset(map, 'a', HUGE);
	page = (struct iovec){ map, PAGE };
	ASSERT_EQ(0, pipe(ends));
	ASSERT_EQ(PAGE, vmsplice(ends[1], &page, 1, 0));
	ASSERT_EQ(0, ioctl(fd, VMADEMO_IOC_DISCARD, &hole));
	close(ends[0]);
	close(ends[1]);
	ASSERT_EQ(0, madvise(map, HUGE, MADV_DONTNEED));
	put(map, 'b');
	/* All the room that is left */
	for (size_t at = 0; at < 2 * HUGE; at += PAGE)
		if (pwrite(other, "x", 1, at) != 1)
			break;
	for (size_t i = first; i < past; i++) {
		refused[i] = touch_signal(map + i * PAGE, 1) == SIGBUS;
		failed += refused[i];
	}
	/* What has no room is told at once; nothing that was written is lost */
	EXPECT_EQ(0, fsync(fd)) TH_LOG("%d pages had no room", failed);
	EXPECT_EQ(0, power_cut(fd));
	for (size_t i = first; i < past; i++)
		lost += !refused[i] && touch(map + i * PAGE) != 1;
	EXPECT_EQ(0, lost);
	free(refused);
	EXPECT_EQ('b', touch(map));
	munmap(map, HUGE);
	close(fd);
	close(other);
	EXPECT_EQ(0, unload_module());
}

static void *touch_page(void *p)
{
	touch(p);
	return NULL;
}

/* A rule for a page of a large folio that is being read in: refused, not overlooked. */
TEST_F(params, ruled_while_read_in)
{
	RUN_IF_READY();

	pthread_t thread;
	unsigned char *map;
	int64_t slow;
	int fd;

	ASSERT_EQ(0, load_module("size=8M"));
	folio_size_wanted = HUGE;
	fd = create_with(VMADEMO_STORE_RAM, 2 * HUGE, 0);
	ASSERT_GE(fd, 0);
	map = mmap(NULL, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	slow = ADD_RULE(fd, .op = VMADEMO_OP_READ_IN,
			.delay_us = VMADEMO_DELAY_MAX);
	ASSERT_GT(slow, 0);
	ASSERT_EQ(0, pthread_create(&thread, NULL, touch_page, map));
	while (hits_of(fd, slow) == 0)
		usleep(1000);
	EXPECT_FAILS(EBUSY, ADD_RULE(fd, .op = VMADEMO_OP_READ_FAULT, .start = 5,
				     .nr = 1, .status = VMADEMO_STATUS_SIGBUS));
	ASSERT_EQ(0, del_rule(fd, slow));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	munmap(map, 2 * HUGE);
	close(fd);
	EXPECT_EQ(0, unload_module());
}

TEST_HARNESS_MAIN
