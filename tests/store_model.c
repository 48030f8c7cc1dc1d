// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random operations on a buffer with a store, against a model in memory: the bytes
 * as programs see them, the bytes that the store has, and which pages are dirty.
 * Writes, two ways of reading, syncs of all kinds, eviction, holes, other sizes; and
 * power cuts, after which each dirty page must be as it was in one or the other, or
 * a mix of whole sectors, and every other page as the store had it.  With store ram a cut may
 * undo what the size has become, and then what was cut off is there again.
 *
 * VMADEMO_SEED replays a run, VMADEMO_STEPS says how many operations.  A failure
 * tells both.
 */
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "../lib/random.h"
#include "stores.h"

#define PAGES  24UL
#define MAX    (PAGES * PAGE)
#define SPAN   (3 * PAGE) /* longest range of one operation */
#define SECTOR 512UL

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

FIXTURE(store_model)
{
	const char *skip;
	int fd, lower;
	unsigned char *map;
	/* The model; zero beyond the size */
	size_t size;
	unsigned char seen[PAGES * PAGE_MAX], stored[PAGES * PAGE_MAX];
	/* What a cut leaves in any case; how large it is after one, and then of what was cut off */
	size_t kept, durable;
	unsigned char old[PAGES * PAGE_MAX];
	bool dirty[PAGES];
	unsigned char data[3 * PAGE_MAX], back[3 * PAGE_MAX];
	unsigned int seed, first_seed;
	int64_t step;
	bool fixed; /* the size cannot change */
	unsigned int undone;
	bool size_is_lost; /* it changes, but not for good at once */
};

FIXTURE_STORES(store_model);

/* What a failed check prints. */
#define AT(name)                                                            \
	TH_LOG("VMADEMO_SEED=%u step %" PRId64 ": " name, self->first_seed, \
	       self->step)

#define RUN(name)                                           \
	static void name(struct __test_metadata *_metadata, \
			 FIXTURE_DATA(store_model) * self)

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t pages(size_t bytes)
{
	return (bytes + PAGE - 1) / PAGE;
}

/* A range that begins below the limit, ends there at the latest, is SPAN at most. */
static size_t range(FIXTURE_DATA(store_model) * self, size_t limit, size_t *len)
{
	size_t at = below(&self->seed, limit);

	/* Borders of pages and sectors are where mistakes are made */
	if (below(&self->seed, 4) == 0)
		at -= at % PAGE;
	else if (below(&self->seed, 4) == 0)
		at -= at % SECTOR;
	*len = least(below(&self->seed, SPAN) + 1, limit - at);
	return at;
}

static void fill(FIXTURE_DATA(store_model) * self, size_t len)
{
	unsigned char value = below(&self->seed, 255) + 1;

	for (size_t i = 0; i < len; i++)
		self->data[i] = value + i % 7;
}

/* ---- the model ----------------------------------------------------------- */

static void model_dirty(FIXTURE_DATA(store_model) * self, size_t at, size_t len)
{
	for (size_t page = at / PAGE; page < pages(at + len); page++)
		self->dirty[page] = true;
}

static void model_resize(FIXTURE_DATA(store_model) * self, size_t size)
{
	if (size < self->kept) {
		memcpy(self->old + size, self->stored + size, self->kept - size);
		self->kept = size;
	}
	self->size = size;
	if (!self->size_is_lost) {
		self->kept = size;
		self->durable = size;
	}
}

static void model_put(FIXTURE_DATA(store_model) * self, size_t at, size_t len)
{
	memcpy(self->seen + at, self->data, len);
	if (at + len > self->size)
		model_resize(self, at + len);
	model_dirty(self, at, len);
}

/*
 * Written back: always whole pages.  Of larger folios, which pages go with them is not known:
 * so then all of it is written back.
 */
static void model_sync(FIXTURE_DATA(store_model) * self, size_t at, size_t len)
{
	if (!folios_are_pages(self->fd)) {
		fdatasync(self->fd);
		at = 0;
		len = MAX;
	}
	for (size_t page = at / PAGE; page < pages(at + len); page++) {
		memcpy(self->stored + page * PAGE, self->seen + page * PAGE,
		       PAGE);
		self->dirty[page] = false;
	}
	/* Whatever was written, there was a flush */
	self->kept = self->size;
	self->durable = self->size;
}

/* These pages are gone: nothing of them is dirty any more. */
static void model_drop(FIXTURE_DATA(store_model) * self, size_t page, size_t past)
{
	for (; page < past; page++)
		self->dirty[page] = false;
}

static int model_count(const FIXTURE_DATA(store_model) * self)
{
	int n = 0;

	for (size_t page = 0; page < PAGES; page++)
		n += self->dirty[page];
	return n;
}

FIXTURE_SETUP(store_model)
{
	const char *seed = getenv("VMADEMO_SEED");

	self->first_seed = seed && *seed ? strtoul(seed, NULL, 0) : 1;
	self->seed = self->first_seed;
	self->size = MAX;
	self->kept = MAX;
	self->durable = MAX;
	self->size_is_lost = variant->kind == STORE_RAM ||
			     variant->kind == STORE_TREE;
	self->fixed = variant->kind == STORE_BLOCK;
	self->fd = create_store(variant->kind, MAX, &self->lower);
	if (self->fd < 0 && errno == ENODEV) {
		self->skip = "no such store on this machine";
		return;
	}
	ASSERT_GE(self->fd, 0) TH_LOG("create: %s", strerror(errno));
	self->map = mmap(NULL, MAX, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
}

FIXTURE_TEARDOWN(store_model)
{
	if (self->skip)
		return;
	munmap(self->map, MAX);
	end_store(variant->kind, self->fd, self->lower);
}

/* ---- the operations ------------------------------------------------------ */

RUN(op_read)
{
	size_t len, at = range(self, MAX, &len), want = 0;

	if (at < self->size)
		want = least(len, self->size - at);
	ASSERT_EQ(want, pread(self->fd, self->back, len, at)) AT("read");
	ASSERT_EQ(0, memcmp(self->back, self->seen + at, want)) AT("read");
}

/* May make the buffer larger, where that is possible; or be durable at once. */
RUN(op_write)
{
	size_t len, at = range(self, self->fixed ? self->size : MAX, &len);
	struct iovec iov = { .iov_base = self->data, .iov_len = len };
	bool durable = below(&self->seed, 4) == 0;

	fill(self, len);
	ASSERT_EQ(len, pwritev2(self->fd, &iov, 1, at, durable ? RWF_DSYNC : 0))
	AT("write");
	model_put(self, at, len);
	if (durable)
		model_sync(self, at, len);
}

RUN(op_map_read)
{
	size_t len, at;

	if (!self->size)
		return;
	at = range(self, self->size, &len);
	ASSERT_EQ(0, memcmp(self->map + at, self->seen + at, len))
	AT("map read");
}

/* Up to the end of the last page; what is beyond the size is not data. */
RUN(op_map_write)
{
	size_t len, at;

	if (!self->size)
		return;
	at = range(self, pages(self->size) * PAGE, &len);
	fill(self, len);
	memcpy(self->map + at, self->data, len);
	model_dirty(self, at, len);
	if (at < self->size)
		model_put(self, at, least(len, self->size - at));
}

RUN(op_msync)
{
	size_t at = below(&self->seed, PAGES) * PAGE;
	size_t len = below(&self->seed, MAX - at) + 1;

	ASSERT_EQ(0, msync(self->map + at, len, MS_SYNC)) AT("msync");
	model_sync(self, at, len);
}

RUN(op_fsync)
{
	ASSERT_EQ(0,
		  below(&self->seed, 2) ? fsync(self->fd) : fdatasync(self->fd))
	AT("fsync");
	model_sync(self, 0, MAX);
}

/* Only what is clean may go, so the model does not change. */
RUN(op_pageout)
{
	ASSERT_EQ(0, madvise(self->map, MAX, MADV_PAGEOUT)) AT("MADV_PAGEOUT");
}

/* Written back, then dropped: mapped pages stay, so not by the mapping. */
RUN(op_drop)
{
	ASSERT_EQ(0, madvise(self->map, MAX, MADV_DONTNEED)) AT("drop");
	ASSERT_EQ(0, fdatasync(self->fd)) AT("drop");
	model_sync(self, 0, MAX);
	ASSERT_EQ(0, posix_fadvise(self->fd, 0, 0, POSIX_FADV_DONTNEED))
	AT("drop");
}

/*
 * Whole pages at once, and there the last one counts as whole if the range goes to the
 * end of the buffer.  Of others a part is written to, with zeroes.
 */
RUN(op_discard)
{
	struct vmademo_discard d = { 0 };
	size_t len, at, end, first, past;

	if (!self->size)
		return;
	at = range(self, self->size, &len);
	end = at + len;
	d.offset = at;
	d.length = len;
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_DISCARD, &d)) AT("discard");

	memset(self->seen + at, 0, len);
	first = pages(at) * PAGE;
	past = end < self->size ? end - end % PAGE : pages(end) * PAGE;
	if (first < past)
		memset(self->stored + first, 0, past - first);
	model_drop(self, pages(at), end / PAGE);
	if (at % PAGE || at / PAGE == end / PAGE)
		model_dirty(self, at, 1);
	if (end % PAGE)
		model_dirty(self, end, 1);
}

/* What is cut off is gone from the store, but it may come back. */
RUN(op_resize)
{
	struct vmademo_resize r = { .size = below(&self->seed, MAX + 1) };

	if (self->fixed)
		return;
	if (below(&self->seed, 4) == 0)
		r.size -= r.size % PAGE;
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_RESIZE, &r)) AT("resize");
	model_resize(self, r.size);
	memset(self->seen + r.size, 0, MAX - r.size);
	memset(self->stored + r.size, 0, MAX - r.size);
	model_drop(self, pages(r.size), PAGES);
}

/*
 * The size after a cut.  Where the two agree, what is there tells whether it was undone that
 * something was cut off.
 */
static void size_after(struct __test_metadata *_metadata,
		       FIXTURE_DATA(store_model) * self, bool nothing_written)
{
	const size_t size = lseek(self->fd, 0, SEEK_END), kept = self->kept;
	const size_t durable = self->durable;
	bool undone = size == durable &&
		      !memcmp(self->map + kept, self->old + kept, durable - kept);

	ASSERT_TRUE(undone || !nothing_written) AT("size");
	if (undone) {
		self->undone += durable > kept;
		memcpy(self->seen + kept, self->old + kept, durable - kept);
		memcpy(self->stored + kept, self->old + kept, durable - kept);
		model_drop(self, pages(kept), PAGES);
	} else {
		ASSERT_LE(kept, size) AT("size");
		ASSERT_LE(size, self->size) AT("size");
	}
	memset(self->seen + size, 0, MAX - size);
	memset(self->stored + size, 0, MAX - size);
	model_drop(self, pages(size), PAGES);
	self->size = size;
	self->kept = size;
	self->durable = size;
}

/* Is every sector of the page one of the two that it can be? */
static bool is_mix(const FIXTURE_DATA(store_model) * self, size_t page)
{
	for (size_t at = page * PAGE; at < (page + 1) * PAGE; at += SECTOR)
		if (memcmp(self->map + at, self->seen + at, SECTOR) &&
		    memcmp(self->map + at, self->stored + at, SECTOR))
			return false;
	return true;
}

RUN(op_crash)
{
	static const unsigned int permille[] = { 0, 0, 1000, 500 };
	struct vmademo_crash c = {
		.seed = self->step,
		.written_permille = permille[below(&self->seed, 4)],
		.torn = below(&self->seed, 2) ? below(&self->seed, 6) : 0,
	};
	const int dirty = model_count(self);
	int not_new = 0, not_old = 0, mixes = 0;

	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_CRASH, &c)) AT("power cut");
	/* All written: so is the size, and nothing is undone */
	if (c.written_permille == 1000) {
		ASSERT_EQ(self->size, lseek(self->fd, 0, SEEK_END)) AT("size");
	} else if (self->kept != self->size || self->kept != self->durable)
		size_after(_metadata, self, !c.written_permille && !c.torn);
	self->kept = self->size;
	self->durable = self->size;
	ASSERT_EQ(least(c.torn, c.lost_folios), c.torn_folios) AT("power cut");
	if (folios_are_pages(self->fd)) {
		ASSERT_EQ(dirty, c.written_folios + c.lost_folios)
		AT("power cut");
		ASSERT_LE(dirty * c.written_permille / 1000, c.written_folios)
		AT("power cut");
		ASSERT_GE((dirty * c.written_permille + 999) / 1000,
			  c.written_folios)
		AT("power cut");
	}

	for (size_t page = 0; page < pages(self->size); page++) {
		unsigned char *is = self->map + page * PAGE;
		bool new = !memcmp(is, self->seen + page * PAGE, PAGE);
		bool old = !memcmp(is, self->stored + page * PAGE, PAGE);

		if (self->dirty[page]) {
			ASSERT_TRUE(is_mix(self, page)) AT("garbage");
		} else {
			ASSERT_TRUE(old) AT("a clean page is lost");
		}
		not_new += !new;
		not_old += !old;
		mixes += !new && !old;
		memcpy(self->stored + page * PAGE, is, PAGE);
	}
	if (folios_are_pages(self->fd)) {
		ASSERT_LE(not_new, c.lost_folios) AT("power cut");
		ASSERT_LE(not_old, c.written_folios + c.torn_folios)
		AT("power cut");
		ASSERT_LE(mixes, c.torn_folios) AT("power cut");
	} else {
		ASSERT_TRUE(c.torn_folios || !mixes) AT("power cut");
	}
	memcpy(self->seen, self->stored, MAX);
	memset(self->dirty, 0, sizeof(self->dirty));
}

/* Everything is compared, and the account must add up. */
RUN(op_check)
{
	struct stat st;

	ASSERT_EQ(self->size, lseek(self->fd, 0, SEEK_END)) AT("size");
	ASSERT_EQ(0, memcmp(self->map, self->seen, self->size)) AT("all");
	/* A file that is the store may be shorter, if it was grown by writing */
	if (self->lower >= 0 && !self->fixed) {
		ASSERT_EQ(0, fstat(self->lower, &st)) AT("store's size");
		ASSERT_LE(st.st_size, self->size) AT("store's size");
	}
	if (folios_are_pages(self->fd)) {
		ASSERT_EQ(model_count(self), fd_value(self->fd, "dirty_folios"))
		AT("dirty");
	} else {
		/* What is not dirty is on the store: its folio may be dirty */
		ASSERT_GE(fd_value(self->fd, "dirty_bytes"),
			  model_count(self) ? (int64_t)PAGE : 0)
		AT("dirty");
	}
	EXPECT_ACCOUNT_ADDS_UP(self->fd);
}

static const struct {
	void (*run)(struct __test_metadata *_metadata,
		    FIXTURE_DATA(store_model) * self);
	unsigned int weight;
} ops[] = {
	{ op_read, 12 },      { op_write, 16 }, { op_map_read, 14 },
	{ op_map_write, 18 }, { op_msync, 6 },	{ op_fsync, 3 },
	{ op_pageout, 4 },    { op_drop, 3 },	{ op_discard, 7 },
	{ op_resize, 6 },     { op_crash, 10 }, { op_check, 1 },
};

TEST_F(store_model, random_operations)
{
	RUN_IF_READY();

	const char *steps = getenv("VMADEMO_STEPS");
	const int64_t last = steps && *steps ? strtoll(steps, NULL, 0) : 10000;
	unsigned int total = 0;
	struct account now;

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		total += ops[i].weight;
	for (self->step = 1; self->step <= last; self->step++) {
		unsigned int pick = below(&self->seed, total);
		size_t i = 0;

		while (pick >= ops[i].weight)
			pick -= ops[i++].weight;
		ops[i].run(_metadata, self);
	}
	op_check(_metadata, self);
	now = account_of(self->fd);
	EXPECT_LT(0, now.evicted_folios);
	EXPECT_LT(0, now.lost_folios);
	EXPECT_EQ(self->size_is_lost, self->undone > 0);
	EXPECT_EQ(0, now.write_errors);
}

TEST_HARNESS_MAIN
