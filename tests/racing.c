// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nothing that was acknowledged is lost, whatever happens at the same time: programs
 * write pages and sync them, others allocate, punch, truncate, evict and read, and the
 * power is cut again and again.
 *
 * VMADEMO_STEPS: a hundred for each power cut.  What races shows only where two processors
 * really run at once.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <linux/falloc.h>

#include "kselftest_harness.h"
#include "stores.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

/* ---- one syncs, one allocates -------------------------------------------- */

#define CHUNK (32 * PAGE)

struct allocator {
	int fd;
	atomic_size_t end; /* where the chunk ends that is being synced */
	size_t size;
	int err;
};

/* Loses a little time, so that the two meet in every way. */
static void dawdle(unsigned int *seed)
{
	for (int n = rand_r(seed) % 8192; n; n--)
		atomic_signal_fence(memory_order_seq_cst);
}

static void *allocate_what_is_synced(void *arg)
{
	struct allocator *a = arg;
	unsigned int seed = 1;

	for (size_t at = 0; at < a->size && !a->err; at += CHUNK) {
		for (int n = 1; atomic_load(&a->end) <= at; n++)
			if (n % 100000 == 0)
				usleep(1);
		dawdle(&seed);
		if (fallocate(a->fd, 0, at, CHUNK))
			a->err = errno;
	}
	return NULL;
}

FIXTURE(synced)
{
	char unused;
};

FIXTURE_STORES(synced);

FIXTURE_SETUP(synced)
{
}

FIXTURE_TEARDOWN(synced)
{
}

/*
 * Room is made for a page in the moment in which it is written back for the first time:
 * what was written is not replaced by the zeroes of a new page.
 */
TEST_F(synced, while_somebody_allocates)
{
	const size_t size = 4 * MIB; /* what a block device may have at least */
	unsigned int seed = 2;

	for (int n = 0; n < 8; n++) {
		struct allocator a = { .size = size };
		size_t at, lost = 0;
		unsigned char *map;
		pthread_t thread;
		int lower;

		a.fd = create_store(variant->kind, size, &lower);
		if (a.fd < 0 && errno == ENODEV)
			SKIP(return, "no such store on this machine");
		ASSERT_GE(a.fd, 0) TH_LOG("create: %s", strerror(errno));
		map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, a.fd,
			   0);
		ASSERT_NE(MAP_FAILED, map);
		memset(map, n + 1, size);
		ASSERT_EQ(0, pthread_create(&thread, NULL,
					    allocate_what_is_synced, &a));
		for (at = 0; at < size; at += CHUNK) {
			atomic_store(&a.end, at + CHUNK);
			dawdle(&seed);
			ASSERT_EQ(0, msync(map + at, CHUNK, MS_SYNC));
		}
		pthread_join(thread, NULL);
		ASSERT_EQ(0, a.err);
		ASSERT_EQ(0, power_cut(a.fd));
		for (at = 0; at < size; at += PAGE)
			lost += touch(map + at) != n + 1;
		EXPECT_EQ(0, lost);
		EXPECT_ACCOUNT_ADDS_UP(a.fd);
		munmap(map, size);
		end_store(variant->kind, a.fd, lower);
	}
}

/* ---- one punches, one writes to the hole --------------------------------- */

struct filler {
	int fd;
	unsigned char *map;
	atomic_int punched;
	bool seen; /* the hole, before the call that makes it has returned */
	bool written; /* to it, and acknowledged */
};

/* Waits until the first page is zero, writes to it, and syncs that. */
static void *fill_the_hole(void *arg)
{
	struct filler *f = arg;
	unsigned char byte = 1;

	while (pread(f->fd, &byte, 1, 0) == 1 && byte && !atomic_load(&f->punched))
		posix_fadvise(f->fd, 0, PAGE, POSIX_FADV_DONTNEED);
	f->seen = !byte && !atomic_load(&f->punched);
	put(f->map, 'x');
	f->written = !byte && !msync(f->map, PAGE, MS_SYNC);
	return NULL;
}

/* Whoever has seen the hole and written to it finds what he wrote. */
TEST_F(synced, while_somebody_punches)
{
	const size_t size = (variant->kind == STORE_BLOCK ? 4 : 24) * MIB;
	static unsigned char bytes[MIB];
	int seen = 0;

	memset(bytes, 0xaa, sizeof(bytes));
	for (int n = 0; n < 12; n++) {
		struct filler f = { .punched = 0 };
		unsigned char byte = 0;
		pthread_t thread;
		int lower;

		f.fd = create_store(variant->kind, size, &lower);
		if (f.fd < 0 && errno == ENODEV)
			SKIP(return, "no such store on this machine");
		ASSERT_GE(f.fd, 0) TH_LOG("create: %s", strerror(errno));
		f.map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
			     f.fd, 0);
		ASSERT_NE(MAP_FAILED, f.map);
		for (size_t at = 0; at < size; at += sizeof(bytes))
			ASSERT_EQ(sizeof(bytes),
				  pwrite(f.fd, bytes, sizeof(bytes), at));
		ASSERT_EQ(0, fsync(f.fd));
		ASSERT_EQ(0, pthread_create(&thread, NULL, fill_the_hole, &f));
		usleep(10000);
		ASSERT_EQ(0, fallocate(f.fd,
				       (n % 2 ? FALLOC_FL_PUNCH_HOLE
					      : FALLOC_FL_ZERO_RANGE) |
					       FALLOC_FL_KEEP_SIZE,
				       0, size));
		atomic_store(&f.punched, 1);
		pthread_join(thread, NULL);
		seen += f.seen;
		EXPECT_EQ(1, pread(f.fd, &byte, 1, 0));
		if (f.written)
			EXPECT_EQ('x', byte);
		munmap(f.map, size);
		end_store(variant->kind, f.fd, lower);
	}
	TH_LOG("the hole was seen early %d times", seen);
}

/* ---- everybody at once --------------------------------------------------- */

#define WRITERS 3
#define EACH	32 /* pages that belong to one writer */
#define WRITTEN (WRITERS * EACH)
#define SHAPED \
	64 /* pages behind them that others punch, and as many to cut off */
#define SIZE ((WRITTEN + 2 * SHAPED) * PAGE)

/*
 * What is known of a page.  Each round has a number; a page has that of the last one
 * that reached it, in three places, or is zero.
 */
struct page_state {
	_Atomic uint32_t begun; /* this round may be there */
	_Atomic uint32_t sure; /* this one was acknowledged: it, or a later one */
	_Atomic uint32_t floor; /* punched since: only later ones, or none */
	_Atomic uint32_t punches; /* each makes what is sure unsure */
};

FIXTURE(everybody)
{
	const char *_Atomic failed; /* what may not be */
	const char *skip;
	enum store_kind kind;
	int fd, lower;
	unsigned char *map;
	struct page_state page[WRITTEN];
	atomic_int stop;
	/* What is acknowledged counts if no cut was going on meanwhile */
	atomic_uint cuts_begun, cuts_ended;
	atomic_ulong sure, seen;
	atomic_size_t now; /* a page that somebody is about to sync */
	atomic_int error;
};

FIXTURE_STORES(everybody);

FIXTURE_SETUP(everybody)
{
	memset(self, 0, sizeof(*self));
	self->kind = variant->kind;
	self->fd = create_store(variant->kind, SIZE, &self->lower);
	if (self->fd < 0 && errno == ENODEV) {
		self->skip = "no such store on this machine";
		return;
	}
	ASSERT_GE(self->fd, 0) TH_LOG("create: %s", strerror(errno));
	self->map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
}

FIXTURE_TEARDOWN(everybody)
{
	if (self->skip)
		return;
	EXPECT_ACCOUNT_ADDS_UP(self->fd);
	munmap(self->map, SIZE);
	end_store(variant->kind, self->fd, self->lower);
}

struct worker {
	FIXTURE_DATA(everybody) * race;
	unsigned int number, seed;
};

static void must(FIXTURE_DATA(everybody) * race, bool right, const char *what)
{
	if (right)
		return;
	atomic_store(&race->error, errno);
	atomic_store(&race->failed, what);
	atomic_store(&race->stop, 1);
}

#define MUST(race, call) must(race, call, #call)

static uint64_t word_of(size_t page, uint32_t round)
{
	return (uint64_t)(page + 1) << 32 | round;
}

static volatile uint64_t *words_of(FIXTURE_DATA(everybody) * race, size_t page)
{
	return (void *)(race->map + page * PAGE);
}

static uint64_t read_word(FIXTURE_DATA(everybody) * race, size_t page,
			  size_t place, bool by_a_call)
{
	uint64_t word = 0;

	if (!by_a_call)
		return words_of(race, page)[place];
	must(race,
	     pread(race->fd, &word, sizeof(word), page * PAGE + place * 8) ==
		     sizeof(word),
	     "a page cannot be read");
	return word;
}

/* Does a word of the page show something older than what was acknowledged before? */
static bool is_lost(FIXTURE_DATA(everybody) * race, size_t page, size_t place,
		    bool by_a_call)
{
	struct page_state *state = &race->page[page];
	uint32_t punches = atomic_load(&state->punches);
	uint32_t floor = atomic_load(&state->floor);
	uint32_t sure = atomic_load(&state->sure);
	uint64_t word = read_word(race, page, place, by_a_call);
	uint32_t round = word;

	must(race, round <= atomic_load(&state->begun),
	     "a page has what nobody has written");
	must(race, !word || word == word_of(page, round),
	     "a page has what belongs to another");
	must(race, !word || round > floor, "what was punched has come back");
	return round < sure && punches == atomic_load(&state->punches);
}

/*
 * Whatever is in the page now, it is nothing older than what was acknowledged before.
 * (After MADV_PAGEOUT a processor may still see the page that is gone, until the kernel
 * tells it, of many such pages at once.  A call sees the page that is there.)
 */
static void look_at(FIXTURE_DATA(everybody) * race, size_t page)
{
	const size_t places[] = { 0, PAGE / 16, PAGE / 8 - 1 };

	for (size_t i = 0; i < 3; i++)
		if (is_lost(race, page, places[i], false))
			must(race, !is_lost(race, page, places[i], true),
			     "what was acknowledged is lost");
	atomic_fetch_add(&race->seen, 1);
}

static bool write_pages(FIXTURE_DATA(everybody) * race, size_t first, size_t n,
			uint32_t round, int fd)
{
	uint64_t words[PAGE / 8];
	bool ok = true;

	for (size_t page = first; page < first + n; page++) {
		atomic_store(&race->page[page].begun, round);
		for (size_t i = 0; i < PAGE / 8; i++) {
			words[i] = word_of(page, round);
			/* As many stores as it has sectors are enough */
			if (fd < 0 && (i % 64 == 0 || i == PAGE / 8 - 1))
				words_of(race, page)[i] = words[i];
		}
		if (fd >= 0)
			ok &= pwrite(fd, words, PAGE, page * PAGE) == PAGE;
	}
	return ok;
}

/* A call that makes durable: 0, but for EIO if a power cut met it half way. */
static void synced(FIXTURE_DATA(everybody) * race, bool ok, unsigned int ended,
		   const char *what)
{
	must(race,
	     ok || (errno == EIO && atomic_load(&race->cuts_begun) != ended),
	     what);
}

#define SYNCED(race, call) synced(race, call, ended, #call)

/* Writes some of its pages in one of four ways, and notes what it is told of them. */
static void *write_and_sync(void *arg)
{
	FIXTURE_DATA(everybody) *race = ((struct worker *)arg)->race;
	struct worker *w = arg;
	int dsync = reopen(race->fd, O_RDWR | O_DSYNC);

	MUST(race, dsync >= 0);
	for (uint32_t round = 1; !atomic_load(&race->stop); round++) {
		size_t from = rand_r(&w->seed) % EACH;
		size_t n = 1 + rand_r(&w->seed) % (EACH - from);
		size_t first = w->number * EACH + from;
		unsigned int ended = atomic_load(&race->cuts_ended);
		bool alone = atomic_load(&race->cuts_begun) == ended;

		atomic_store(&race->now, first);
		switch (rand_r(&w->seed) % 4) {
		case 0:
			MUST(race, write_pages(race, first, n, round, -1));
			SYNCED(race, !msync(race->map + first * PAGE, n * PAGE,
					    MS_SYNC));
			break;
		case 1:
			MUST(race, write_pages(race, first, n, round, -1));
			SYNCED(race, !fdatasync(race->fd));
			break;
		case 2:
			MUST(race, write_pages(race, first, n, round, race->fd));
			SYNCED(race, !fsync(race->fd));
			break;
		case 3:
			SYNCED(race, write_pages(race, first, n, round, dsync));
			break;
		}
		alone &= atomic_load(&race->cuts_begun) == ended;
		for (size_t i = first; alone && i < first + n; i++) {
			atomic_store(&race->page[i].sure, round);
			atomic_fetch_add(&race->sure, 1);
		}
		for (size_t i = first; i < first + n; i++)
			look_at(race, i);
		if (rand_r(&w->seed) % 4)
			continue;
		/* So that there is something to allocate again */
		for (size_t i = first; i < first + n; i++) {
			atomic_store(&race->page[i].sure, 0);
			/* Afterwards: look_at() loads them the other way round */
			atomic_fetch_add(&race->page[i].punches, 1);
		}
		MUST(race, !fallocate(race->fd,
				      FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				      first * PAGE, n * PAGE));
		for (size_t i = first; i < first + n; i++)
			atomic_store(&race->page[i].floor, round);
	}
	close(dsync);
	return NULL;
}

/* Makes room for what the writers write, and drops it from the page cache. */
static void *allocate_and_evict(void *arg)
{
	FIXTURE_DATA(everybody) *race = ((struct worker *)arg)->race;
	struct worker *w = arg;

	while (!atomic_load(&race->stop)) {
		/* Where the writers are just now, or anywhere */
		size_t first = rand_r(&w->seed) % 4 ? atomic_load(&race->now)
						    : rand_r(&w->seed) % WRITTEN;
		size_t n = 1 + rand_r(&w->seed) % (WRITTEN - first);

		MUST(race,
		     !fallocate(race->fd,
				rand_r(&w->seed) % 2 ? FALLOC_FL_KEEP_SIZE : 0,
				first * PAGE, n * PAGE));
		if (rand_r(&w->seed) % 4 == 0)
			madvise(race->map + first * PAGE, n * PAGE, MADV_PAGEOUT);
		look_at(race, first);
	}
	return NULL;
}

/* Behind the writers' pages: punches, zeroes, cuts off, grows again. */
static void *change_the_shape(void *arg)
{
	FIXTURE_DATA(everybody) *race = ((struct worker *)arg)->race;
	struct worker *w = arg;
	const bool may_resize = race->kind != STORE_BLOCK;

	while (!atomic_load(&race->stop)) {
		off_t at = (WRITTEN + rand_r(&w->seed) % SHAPED) * PAGE +
			   rand_r(&w->seed) % PAGE;
		off_t len = 1 + rand_r(&w->seed) % (SHAPED * PAGE);
		off_t size = SIZE - (1 + rand_r(&w->seed) % (SHAPED * PAGE));

		MUST(race, pwrite(race->fd, "data", 4, at) == 4);
		switch (rand_r(&w->seed) % 4) {
		case 0:
			MUST(race, !fallocate(race->fd,
					      FALLOC_FL_PUNCH_HOLE |
						      FALLOC_FL_KEEP_SIZE,
					      at, len));
			break;
		case 1:
			MUST(race, !fallocate(race->fd,
					      FALLOC_FL_ZERO_RANGE |
						      FALLOC_FL_KEEP_SIZE,
					      at, len));
			break;
		case 2:
			if (may_resize)
				MUST(race, !ftruncate(race->fd, size));
			break;
		case 3:
			if (may_resize)
				MUST(race, !ftruncate(race->fd, SIZE));
			break;
		}
	}
	return NULL;
}

TEST_F_TIMEOUT(everybody, at_once, 3000)
{
	RUN_IF_READY();
	if (variant->kind == STORE_TREE)
		SKIP(return,
			   "a cut of a tree is told by EIO to whatever it meets");

	const char *steps = getenv("VMADEMO_STEPS");
	const int cuts = (steps && *steps ? atoi(steps) : 20000) / 100;
	struct worker workers[WRITERS + 2];
	pthread_t threads[WRITERS + 2];
	unsigned int seed = 1;

	for (int i = 0; i < WRITERS + 2; i++) {
		workers[i] = (struct worker){ self, i, i + 1 };
		ASSERT_EQ(0, pthread_create(&threads[i], NULL,
					    i < WRITERS	   ? write_and_sync
					    : i == WRITERS ? allocate_and_evict
							   : change_the_shape,
					    &workers[i]));
	}
	for (int cut = 0; cut < cuts && !atomic_load(&self->stop); cut++) {
		struct vmademo_crash c = {
			.seed = cut,
			.written_permille = rand_r(&seed) % 1002,
			.torn = rand_r(&seed) % 4,
		};
		unsigned long sure = atomic_load(&self->sure);

		/* Something to lose, and now and then in the middle of it */
		while (atomic_load(&self->sure) < sure + 1 + rand_r(&seed) % 16 &&
		       !atomic_load(&self->stop))
			usleep(20);
		atomic_fetch_add(&self->cuts_begun, 1);
		MUST(self, !ioctl(self->fd, VMADEMO_IOC_CRASH, &c));
		atomic_fetch_add(&self->cuts_ended, 1);
		for (size_t page = 0; page < WRITTEN; page++)
			look_at(self, page);
	}
	atomic_store(&self->stop, 1);
	for (int i = 0; i < WRITERS + 2; i++)
		pthread_join(threads[i], NULL);
	EXPECT_EQ(NULL, self->failed)
	TH_LOG("%s (%s)", self->failed, strerror(self->error));
	TH_LOG("%" PRId64 " power cuts, %lu pages acknowledged, %lu looked at",
	       account_of(self->fd).crashes, self->sure, self->seen);
	EXPECT_EQ(0, account_of(self->fd).write_errors);
}

TEST_HARNESS_MAIN
