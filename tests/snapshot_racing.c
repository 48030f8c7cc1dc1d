// SPDX-License-Identifier: GPL-2.0-only
/*
 * Snapshots of a buffer that is written to all the time: each is of one moment.  What was
 * acknowledged before is in it, and nothing that was written because of what it lacks.
 *
 * VMADEMO_STEPS: a hundred for each snapshot.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <linux/falloc.h>

#include "kselftest_harness.h"
#include "stores.h"

#define WRITERS 2
#define EACH	16UL /* pages of one */
#define SIZE	((WRITERS * EACH + 8) * PAGE)
#define WORDS	(PAGE / sizeof(uint64_t))

struct writer {
	pthread_t thread;
	int fd;
	unsigned char *pages;
	atomic_ullong acknowledged;
	bool by_write;
	int err;
};

static atomic_bool stop;

static void fill(uint64_t *page, uint64_t n)
{
	for (size_t i = 0; i < WORDS; i++)
		((volatile uint64_t *)page)[i] = n;
}

/* Page after page gets n, and each is durable before the next one is touched. */
static void *write_in_order(void *arg)
{
	struct writer *w = arg;
	uint64_t page[WORDS];

	for (uint64_t n = 1; !atomic_load(&stop) && !w->err; n++) {
		for (size_t i = 0; i < EACH && !w->err; i++) {
			unsigned char *p = w->pages + i * PAGE;

			if (w->by_write) {
				fill(page, n);
				if (pwrite(w->fd, page, PAGE,
					   8 * PAGE + i * PAGE) != PAGE ||
				    fdatasync(w->fd))
					w->err = errno;
			} else {
				fill((uint64_t *)p, n);
				if (msync(p, PAGE, MS_SYNC))
					w->err = errno;
			}
		}
		if (!w->err)
			atomic_store(&w->acknowledged, n);
	}
	return NULL;
}

/* Changes the shape of the first pages, which nobody else looks at. */
static void *punch(void *arg)
{
	struct writer *w = arg;
	unsigned int seed = 1;

	while (!atomic_load(&stop)) {
		size_t at = rand_r(&seed) % (7 * PAGE);

		pwrite(w->fd, "x", 1, at);
		fallocate(w->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at,
			  PAGE / 2);
	}
	return NULL;
}

FIXTURE(racing)
{
	char unused;
};

FIXTURE_VARIANT(racing)
{
	enum store_kind kind;
};

FIXTURE_VARIANT_ADD(racing, ram){ .kind = STORE_RAM };
FIXTURE_VARIANT_ADD(racing, tmpfs){ .kind = STORE_TMPFS };

FIXTURE_SETUP(racing)
{
}

FIXTURE_TEARDOWN(racing)
{
}

static void look(struct __test_metadata *_metadata, const unsigned char *pages,
		 uint64_t acknowledged, bool torn)
{
	uint64_t least = UINT64_MAX, before = UINT64_MAX;

	for (size_t i = 0; i < EACH; i++) {
		const uint64_t *page = (const uint64_t *)(pages + i * PAGE);
		uint64_t most = 0;

		for (size_t k = 0; k < WORDS; k++) {
			if (page[k] > most)
				most = page[k];
			if (page[k] < least)
				least = page[k];
			/* It was filled from its beginning, and copied at one moment */
			if (k && !torn) {
				ASSERT_LE(page[k], page[k - 1]);
			}
		}
		ASSERT_LE(acknowledged, least);
		/* It was touched when the one before was durable */
		ASSERT_LE(most, before)
		TH_LOG("page %zu: %llu, before: %llu", i,
		       (unsigned long long)most, (unsigned long long)before);
		before = least;
		least = UINT64_MAX;
	}
}

TEST_F_TIMEOUT(racing, of_one_moment, 600)
{
	const char *steps = getenv("VMADEMO_STEPS");
	int rounds = steps && *steps ? atoi(steps) / 100 : 100, lower, fd;
	unsigned char bytes[SIZE];
	struct writer writers[WRITERS] = { 0 };
	pthread_t puncher;
	unsigned char *map;

	if (rounds < 20)
		rounds = 20;
	fd = create_store(variant->kind, SIZE, &lower);
	ASSERT_GE(fd, 0);
	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	atomic_store(&stop, false);
	for (int i = 0; i < WRITERS; i++) {
		writers[i].fd = fd;
		writers[i].pages = map + (8 + i * EACH) * PAGE;
		writers[i].by_write = i == 0;
		ASSERT_EQ(0, pthread_create(&writers[i].thread, NULL,
					    write_in_order, &writers[i]));
	}
	ASSERT_EQ(0, pthread_create(&puncher, NULL, punch, &writers[0]));
	for (int round = 0; round < rounds; round++) {
		struct vmademo_crash c = { .seed = round,
					   .written_permille = round % 3 * 500,
					   .torn = round % 4 };
		uint64_t acknowledged[WRITERS];
		int snapshot;

		for (int i = 0; i < WRITERS; i++)
			acknowledged[i] = atomic_load(&writers[i].acknowledged);
		snapshot = take_snapshot(fd, &c);
		ASSERT_GE(snapshot, 0) TH_LOG("%s", strerror(errno));
		ASSERT_EQ(SIZE, pread(snapshot, bytes, SIZE, 0));
		for (int i = 0; i < WRITERS; i++)
			look(_metadata, bytes + (8 + i * EACH) * PAGE,
			     acknowledged[i], c.torn);
		close(snapshot);
		usleep(round % 7 * 500);
	}
	atomic_store(&stop, true);
	for (int i = 0; i < WRITERS; i++) {
		ASSERT_EQ(0, pthread_join(writers[i].thread, NULL));
		EXPECT_EQ(0, writers[i].err);
		EXPECT_LT(0, atomic_load(&writers[i].acknowledged));
	}
	ASSERT_EQ(0, pthread_join(puncher, NULL));
	EXPECT_ACCOUNT_ADDS_UP(fd);
	munmap(map, SIZE);
	end_store(variant->kind, fd, lower);
}

static void *fill_again_and_again(void *arg)
{
	for (uint64_t n = 1; !atomic_load(&stop); n++)
		fill(arg, n);
	return NULL;
}

/* A page that is written to without a pause: what is new in a copy comes before what is old. */
TEST_F_TIMEOUT(racing, while_it_is_filled, 600)
{
	const char *steps = getenv("VMADEMO_STEPS");
	int rounds = steps && *steps ? atoi(steps) / 20 + 50 : 500, lower, fd;
	struct vmademo_crash c;
	uint64_t page[WORDS], *map;
	pthread_t thread;

	fd = create_store(variant->kind, PAGE, &lower);
	ASSERT_GE(fd, 0);
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	atomic_store(&stop, false);
	ASSERT_EQ(0, pthread_create(&thread, NULL, fill_again_and_again, map));
	for (int round = 0; round < rounds; round++) {
		int snapshot;

		c = (struct vmademo_crash){ .written_permille = 1000 };
		snapshot = take_snapshot(fd, &c);
		ASSERT_GE(snapshot, 0);
		ASSERT_EQ(PAGE, pread(snapshot, page, PAGE, 0));
		for (size_t k = 1; k < WORDS; k++)
			ASSERT_LE(page[k], page[k - 1]);
		close(snapshot);
		msync(map, PAGE, round % 3 ? MS_ASYNC : MS_SYNC);
	}
	atomic_store(&stop, true);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	munmap(map, PAGE);
	end_store(variant->kind, fd, lower);
}

TEST_HARNESS_MAIN
