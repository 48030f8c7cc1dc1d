// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random operations against a model in memory: after each of them the buffer must
 * hold what an array of bytes and a size say.  Reads, writes, two mappings at
 * different offsets, msync, truncation, holes, growing, copies, re-opening,
 * MADV_DONTNEED; on the node, what a node can do, and on a regular file.
 *
 * VMADEMO_SEED replays a run, VMADEMO_STEPS says how many operations.  A failure
 * tells both.
 */
#include <linux/falloc.h>

#include "kselftest_harness.h"
#include "../lib/random.h"
#include "vmademo_test.h"

#define PAGES 48UL
#define MAX   (PAGES * PAGE)
#define SPAN  (3 * PAGE) /* longest range of one operation */

FIXTURE(model)
{
	int fd;
	size_t size; /* the model: its size and its bytes, zero beyond */
	unsigned char bytes[PAGES * PAGE_MAX];
	unsigned char data[3 * PAGE_MAX], back[3 * PAGE_MAX];
	/* Of the mappings: where in the buffer they begin */
	unsigned char *map[2];
	size_t start[2];
	unsigned int seed, first_seed;
	int64_t step;
	off_t node_size;
	bool node;
};

FIXTURE_VIEWS(model);

/* What a failed check prints. */
#define AT(name)                                                            \
	TH_LOG("VMADEMO_SEED=%u step %" PRId64 ": " name, self->first_seed, \
	       self->step)

#define RUN(name)                                           \
	static void name(struct __test_metadata *_metadata, \
			 FIXTURE_DATA(model) * self)

/* A range that begins below the limit and is at most SPAN long. */
static size_t range(FIXTURE_DATA(model) * self, size_t limit, size_t *len)
{
	size_t at = below(&self->seed, limit);

	*len = below(&self->seed, SPAN) + 1;
	if (*len > limit - at)
		*len = limit - at;
	/* Page borders are where mistakes are made */
	if (below(&self->seed, 4) == 0)
		at -= at % PAGE;
	return at;
}

static size_t pages_of_size(const FIXTURE_DATA(model) * self)
{
	return (self->size + PAGE - 1) / PAGE;
}

static void fill(FIXTURE_DATA(model) * self, size_t len)
{
	unsigned char value = below(&self->seed, 255) + 1;

	for (size_t i = 0; i < len; i++)
		self->data[i] = value + i % 7;
}

static void model_size(FIXTURE_DATA(model) * self, size_t size)
{
	if (size < self->size)
		memset(self->bytes + size, 0, self->size - size);
	self->size = size;
}

static void model_put(FIXTURE_DATA(model) * self, size_t at, const void *from,
		      size_t len)
{
	memcpy(self->bytes + at, from, len);
	if (at + len > self->size)
		self->size = at + len;
}

static void map_one(struct __test_metadata *_metadata,
		    FIXTURE_DATA(model) * self, int i)
{
	const size_t len = MAX - self->start[i];

	self->map[i] = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED,
			    self->fd, self->start[i]);
	ASSERT_NE(MAP_FAILED, self->map[i]);
}

FIXTURE_SETUP(model)
{
	const char *seed = getenv("VMADEMO_SEED");
	struct vmademo_resize r = { .size = 0 };

	self->node = variant->view == NODE_VIEW;
	self->node_size = node_value("size");
	self->first_seed = seed && *seed ? strtoul(seed, NULL, 0) : 1;
	self->seed = self->first_seed;
	self->fd = open_view(variant->view);
	ASSERT_GE(self->fd, 0);
	/* Begins as an empty buffer */
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_RESIZE, &r));
	self->start[1] = 5 * PAGE;
	map_one(_metadata, self, 0);
	map_one(_metadata, self, 1);
}

FIXTURE_TEARDOWN(model)
{
	struct vmademo_resize r = { .size = self->node_size };

	EXPECT_EQ(0, ioctl(self->fd, VMADEMO_IOC_RESIZE, &r));
	close(self->fd);
}

/* ---- the operations ------------------------------------------------------ */

RUN(op_read)
{
	size_t len, at = range(self, MAX, &len), want = 0;

	if (at < self->size)
		want = len < self->size - at ? len : self->size - at;
	ASSERT_EQ(want, pread(self->fd, self->back, len, at)) AT("read");
	ASSERT_EQ(0, memcmp(self->back, self->bytes + at, want)) AT("read");
}

/* A file grows by it.  A node takes what fits, and at its end nothing. */
RUN(op_write)
{
	size_t len, at = range(self, MAX, &len);
	ssize_t want = len;

	fill(self, len);
	if (self->node && at + len > self->size)
		want = at < self->size ? (ssize_t)(self->size - at) : -1;
	ASSERT_EQ(want, pwrite(self->fd, self->data, len, at)) AT("write");
	if (want > 0) {
		model_put(self, at, self->data, want);
	} else {
		ASSERT_EQ(ENOSPC, errno) AT("write");
	}
}

RUN(op_map_read)
{
	int i = below(&self->seed, 2);
	size_t len, at = range(self, MAX - self->start[i], &len);

	/* at is in the mapping, from in the buffer */
	const size_t from = self->start[i] + at;

	if (from >= pages_of_size(self) * PAGE) {
		ASSERT_EQ(SIGBUS, touch_signal(self->map[i] + at, 0))
		AT("map read beyond the end");
		return;
	}
	if (from >= self->size)
		return; /* the rest of the last page: may be anything */
	if (len > self->size - from)
		len = self->size - from;
	ASSERT_EQ(0, memcmp(self->map[i] + at, self->bytes + from, len))
	AT("map read");
}

/* Up to the end of the last page: what is beyond the size is not data. */
RUN(op_map_write)
{
	int i = below(&self->seed, 2);
	size_t len, at = range(self, MAX - self->start[i], &len);
	const size_t from = self->start[i] + at;
	const size_t end = pages_of_size(self) * PAGE;

	if (from >= end) {
		ASSERT_EQ(SIGBUS, touch_signal(self->map[i] + at, 1))
		AT("map write beyond the end");
		return;
	}
	if (len > end - from)
		len = end - from;
	fill(self, len);
	memcpy(self->map[i] + at, self->data, len);
	if (from >= self->size)
		return;
	if (len > self->size - from)
		len = self->size - from;
	model_put(self, from, self->data, len);
}

RUN(op_msync)
{
	int i = below(&self->seed, 2);

	ASSERT_EQ(0, msync(self->map[i], MAX - self->start[i],
			   below(&self->seed, 2) ? MS_SYNC : MS_ASYNC))
	AT("msync");
}

RUN(op_fsync)
{
	ASSERT_EQ(0,
		  below(&self->seed, 2) ? fsync(self->fd) : fdatasync(self->fd))
	AT("fsync");
}

RUN(op_dontneed)
{
	int i = below(&self->seed, 2);

	ASSERT_EQ(0, madvise(self->map[i], MAX - self->start[i], MADV_DONTNEED))
	AT("MADV_DONTNEED");
}

/* Smaller or larger, by the request or by ftruncate. */
RUN(op_resize)
{
	struct vmademo_resize r = { .size = below(&self->seed, MAX + 1) };

	if (below(&self->seed, 4) == 0)
		r.size -= r.size % PAGE;
	if (self->node || below(&self->seed, 2)) {
		ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_RESIZE, &r))
		AT("resize");
	} else {
		ASSERT_EQ(0, ftruncate(self->fd, r.size)) AT("ftruncate");
	}
	model_size(self, r.size);
}

RUN(op_punch)
{
	size_t len, at;
	struct vmademo_discard d = { 0 };

	if (!self->size)
		return;
	at = range(self, self->size, &len);
	d.offset = at;
	d.length = len;
	if (self->node || below(&self->seed, 2)) {
		ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_DISCARD, &d))
		AT("discard");
	} else {
		ASSERT_EQ(0, fallocate(self->fd,
				       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				       at, len))
		AT("punch");
	}
	memset(self->bytes + at, 0, len);
}

/* MADV_REMOVE takes whole pages; on a node it is refused. */
RUN(op_madv_remove)
{
	int i = below(&self->seed, 2);
	const size_t pages = PAGES - self->start[i] / PAGE;
	const size_t at = below(&self->seed, pages) * PAGE;
	const size_t len = (below(&self->seed, pages - at / PAGE) + 1) * PAGE;
	size_t from = self->start[i] + at, end = from + len;

	if (self->node) {
		ASSERT_EQ(-1, madvise(self->map[i] + at, len, MADV_REMOVE))
		AT("MADV_REMOVE");
		return;
	}
	ASSERT_EQ(0, madvise(self->map[i] + at, len, MADV_REMOVE))
	AT("MADV_REMOVE");
	memset(self->bytes + from, 0, end - from);
}

/* Zeroes a range, or allocates it; may grow the file. */
RUN(op_allocate)
{
	size_t len, at = range(self, MAX, &len);
	int mode = below(&self->seed, 2) ? FALLOC_FL_ZERO_RANGE : 0;

	if (self->node)
		return;
	if (below(&self->seed, 2))
		mode |= FALLOC_FL_KEEP_SIZE;
	ASSERT_EQ(0, fallocate(self->fd, mode, at, len)) AT("fallocate");
	if (mode & FALLOC_FL_ZERO_RANGE && at < self->size)
		memset(self->bytes + at, 0,
		       len < self->size - at ? len : self->size - at);
	if (!(mode & FALLOC_FL_KEEP_SIZE) && at + len > self->size)
		self->size = at + len;
}

RUN(op_append)
{
	size_t len = below(&self->seed, SPAN) + 1;

	if (self->node || self->size + len > MAX)
		return;
	fill(self, len);
	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, O_APPEND)) AT("append");
	ASSERT_EQ(len, write(self->fd, self->data, len)) AT("append");
	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, 0)) AT("append");
	model_put(self, self->size, self->data, len);
}

/* Within the buffer, ranges that do not overlap: by the kernel or by maps. */
RUN(op_copy)
{
	size_t len, to, from;
	off_t in, out;

	if (self->size < 2)
		return;
	from = range(self, self->size / 2, &len);
	if (len > self->size / 2 - from)
		len = self->size / 2 - from;
	to = self->size / 2 + below(&self->seed, self->size - self->size / 2);
	if (len > self->size - to)
		len = self->size - to;
	memcpy(self->data, self->bytes + from, len);
	if (self->node || below(&self->seed, 2)) {
		memcpy(self->map[0] + to, self->map[0] + from, len);
	} else {
		in = from;
		out = to;
		while (out < (off_t)(to + len))
			ASSERT_LT(0, copy_file_range(self->fd, &in, self->fd,
						     &out, to + len - out, 0))
		AT("copy_file_range");
	}
	model_put(self, to, self->data, len);
}

RUN(op_reopen)
{
	int fd = reopen(self->fd, O_RDWR);

	ASSERT_GE(fd, 0) AT("re-open");
	close(self->fd);
	self->fd = fd;
}

/* Another mapping in the place of one of them, at another offset. */
RUN(op_remap)
{
	int i = below(&self->seed, 2);

	ASSERT_EQ(0, munmap(self->map[i], MAX - self->start[i])) AT("munmap");
	self->start[i] = i ? below(&self->seed, PAGES) * PAGE : 0;
	map_one(_metadata, self, i);
}

/* Everything is compared, and the account must add up. */
RUN(op_check)
{
	struct account now = account_of(self->fd);

	ASSERT_EQ(self->size, lseek(self->fd, 0, SEEK_END)) AT("size");
	ASSERT_EQ(0, memcmp(self->map[0], self->bytes, self->size)) AT("all");
	/* One that is split is several */
	if (folios_are_pages(self->fd)) {
		ASSERT_EQ(now.dirtied_folios, now.written_folios +
						      now.discarded_folios +
						      now.dirty_folios)
		AT("account");
	}
	ASSERT_EQ(now.dirtied_bytes,
		  now.written_bytes + now.discarded_bytes + now.dirty_bytes)
	AT("account");
	ASSERT_GE(pages_of_size(self) * PAGE, now.cached_bytes) AT("account");
	ASSERT_EQ(2, fd_value(self->fd, "mappings")) AT("account");
}

static const struct {
	void (*run)(struct __test_metadata *_metadata,
		    FIXTURE_DATA(model) * self);
	unsigned int weight;
} ops[] = {
	{ op_read, 15 },       { op_write, 15 },   { op_map_read, 20 },
	{ op_map_write, 20 },  { op_msync, 4 },	   { op_fsync, 3 },
	{ op_dontneed, 3 },    { op_resize, 6 },   { op_punch, 5 },
	{ op_madv_remove, 2 }, { op_allocate, 3 }, { op_append, 2 },
	{ op_copy, 5 },	       { op_reopen, 2 },   { op_remap, 3 },
};

TEST_F(model, random_operations)
{
	const char *steps = getenv("VMADEMO_STEPS");
	const int64_t last = steps && *steps ? strtoll(steps, NULL, 0) : 100000;
	unsigned int total = 0;

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		total += ops[i].weight;
	for (self->step = 1; self->step <= last; self->step++) {
		unsigned int pick = below(&self->seed, total);
		size_t i = 0;

		while (pick >= ops[i].weight)
			pick -= ops[i++].weight;
		ops[i].run(_metadata, self);
		if (self->step % 500 == 0)
			op_check(_metadata, self);
	}
	op_check(_metadata, self);
}

TEST_HARNESS_MAIN
