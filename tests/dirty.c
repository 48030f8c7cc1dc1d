// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is dirty and when it is clean again: the first write to a page, msync,
 * fsync, fdatasync, sync, the flusher, and the next write.  Asked of both
 * accounts: the module's, and Dirty:, nr_dirtied, nr_written of the kernel.
 */
#include "kselftest_harness.h"
#include "vmademo_test.h"

/* The flusher's: how old a page must be, and how often it looks; 1/100 s. */
static const char *const clocks[] = {
	"/proc/sys/vm/dirty_expire_centisecs",
	"/proc/sys/vm/dirty_writeback_centisecs",
};

#define CLOCKS 2

FIXTURE(dirty)
{
	int64_t clock[CLOCKS];
	const char *skip;
	int fd;
	struct account before;
	int64_t dirty, dirtied, written;
};

FIXTURE_SETUP(dirty)
{
	self->fd = open(NODE, O_RDWR);
	ASSERT_GE(self->fd, 0) TH_LOG("%s: %s", NODE, strerror(errno));
	ASSERT_EQ(0, fsync(self->fd));
	for (int i = 0; i < CLOCKS; i++)
		self->clock[i] = read_number(clocks[i]);
	if (!machine_is_quiet())
		self->skip = "other writers on this machine change Dirty:";
}

FIXTURE_TEARDOWN(dirty)
{
	struct account now = account_now();
	char text[24];

	for (int i = 0; i < CLOCKS; i++) {
		snprintf(text, sizeof(text), "%" PRId64, self->clock[i]);
		write_text(clocks[i], text);
	}
	/* At rest, what was dirtied is either written or still dirty */
	EXPECT_EQ(now.dirty_folios, now.dirtied_folios - now.written_folios);
	EXPECT_EQ(now.dirty_bytes, now.dirtied_bytes - now.written_bytes);
	close(self->fd);
}

static unsigned char *map(struct __test_metadata *_metadata, int fd, off_t offset)
{
	unsigned char *p = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE,
				MAP_SHARED, fd, offset);

	ASSERT_NE(MAP_FAILED, p);
	return p;
}

static void start(FIXTURE_DATA(dirty) * self)
{
	self->before = account_now();
	self->dirty = meminfo("Dirty");
	self->dirtied = vmstat("nr_dirtied");
	self->written = vmstat("nr_written");
}

/*
 * Since start(): the folios dirtied, written and dirty now, in both accounts.  They have
 * `size` bytes each; the kernel counts pages.
 */
static void expect_of(struct __test_metadata *_metadata,
		      FIXTURE_DATA(dirty) * self, int64_t size, int dirtied,
		      int written)
{
	struct account d = account_since(&self->before);
	int64_t pages = size / PAGE;

	EXPECT_EQ(dirtied, d.dirtied_folios);
	EXPECT_EQ(dirtied * size, d.dirtied_bytes);
	EXPECT_EQ(written, d.written_folios);
	EXPECT_EQ(written * size, d.written_bytes);
	EXPECT_EQ(dirtied - written, d.dirty_folios);
	EXPECT_EQ((dirtied - written) * size, d.dirty_bytes);

	EXPECT_EQ(dirtied * pages, vmstat("nr_dirtied") - self->dirtied);
	EXPECT_EQ(written * pages, vmstat("nr_written") - self->written);
	EXPECT_EQ((dirtied - written) * size, meminfo("Dirty") - self->dirty);
	EXPECT_EQ(0, meminfo("Writeback"));
}

static void expect(struct __test_metadata *_metadata,
		   FIXTURE_DATA(dirty) * self, int dirtied, int written)
{
	expect_of(_metadata, self, folio_size_of(self->fd), dirtied, written);
}

/* The folios that so many pages take. */
static int folios(FIXTURE_DATA(dirty) * self, int pages)
{
	return in_folios(self->fd, pages * PAGE);
}

/* Once a folio, however many writes; reading dirties nothing. */
TEST_F(dirty, once_a_folio)
{
	RUN_IF_READY();

	unsigned char *p = map(_metadata, self->fd, PLACE(0));

	start(self);
	for (int i = 0; i < 64; i++)
		touch(p + i * PAGE);
	expect(_metadata, self, 0, 0);
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < 10; i++)
			put(p + i * PAGE + round, 1);
	expect(_metadata, self, folios(self, 10), 0);
	EXPECT_EQ(10, account_since(&self->before).first_writes);
}

/* Cleaning protects the page again: the next write is the first once more. */
TEST_F(dirty, again_after_msync)
{
	RUN_IF_READY();

	unsigned char *p = map(_metadata, self->fd, PLACE(1));
	int n = folios(self, 20);

	start(self);
	for (int round = 1; round <= 3; round++) {
		for (int i = 0; i < 20; i++)
			put(p + i * PAGE, round);
		expect(_metadata, self, n * round, n * (round - 1));
		EXPECT_EQ(0, msync(p, 64 * PAGE, MS_SYNC));
		expect(_metadata, self, n * round, n * round);
	}
	if (folios_are_pages(self->fd))
		EXPECT_EQ(60, account_since(&self->before).first_writes);
	for (int i = 0; i < 20; i++)
		EXPECT_EQ(3, touch(p + i * PAGE));
}

/* msync writes the pages of its range and no other. */
TEST_F(dirty, msync_of_a_part)
{
	RUN_IF_READY();

	unsigned char *p = map(_metadata, self->fd, PLACE(16));

	fault_by_pages(p, 64 * PAGE);
	start(self);
	for (int i = 0; i < 20; i++)
		put(p + i * PAGE, 1);
	EXPECT_EQ(0, msync(p + 5 * PAGE, 10 * PAGE, MS_SYNC));
	expect_of(_metadata, self, PAGE, 20, 10);
	/* The ten in the middle are protected, the others are not */
	for (int i = 0; i < 20; i++)
		put(p + i * PAGE, 2);
	expect_of(_metadata, self, PAGE, 30, 10);
}

TEST_F(dirty, msync_async_leaves_it_to_the_flusher)
{
	RUN_IF_READY();

	unsigned char *p = map(_metadata, self->fd, PLACE(3));

	start(self);
	put(p, 1);
	EXPECT_EQ(0, msync(p, PAGE, MS_ASYNC));
	expect(_metadata, self, 1, 0);
}

#define CLEANED_BY(name, place, statement)                                    \
	TEST_F(dirty, name)                                                   \
	{                                                                     \
		RUN_IF_READY();                                               \
                                                                              \
		unsigned char *p = map(_metadata, self->fd, PLACE(place));    \
		int n = folios(self, 7);                                      \
                                                                              \
		start(self);                                                  \
		for (int round = 1; round <= 2; round++) {                    \
			for (int i = 0; i < 7; i++)                           \
				put(p + i * PAGE, round);                     \
			expect(_metadata, self, n *round, n *(round - 1));    \
			statement;                                            \
			expect(_metadata, self, n *round, n *round);          \
		}                                                             \
		if (folios_are_pages(self->fd))                               \
			EXPECT_EQ(14,                                         \
				  account_since(&self->before).first_writes); \
	}

CLEANED_BY(cleaned_by_fsync, 4, EXPECT_EQ(0, fsync(self->fd)))
CLEANED_BY(cleaned_by_fdatasync, 5, EXPECT_EQ(0, fdatasync(self->fd)))
CLEANED_BY(cleaned_by_sync, 6, sync())

/* The flusher comes by itself; its clock is wound to make it soon. */
TEST_F(dirty, cleaned_by_the_flusher)
{
	RUN_IF_READY();

	unsigned char *p = map(_metadata, self->fd, PLACE(7));
	int n = folios(self, 7);

	for (int i = 0; i < CLOCKS; i++)
		ASSERT_EQ(0, write_text(clocks[i], "20"));
	start(self);
	for (int round = 1; round <= 2; round++) {
		for (int i = 0; i < 7; i++)
			put(p + i * PAGE, round);
		/* The test's own time limit ends this if nobody comes */
		while (node_value("dirty_folios") > 0)
			usleep(20000);
		expect(_metadata, self, n * round, n * round);
	}
}

/* write(2) dirties the same pages in the same account, without a fault. */
TEST_F(dirty, by_write)
{
	RUN_IF_READY();

	char data[3 * PAGE];

	memset(data, 1, sizeof(data));
	start(self);
	/* Straddles: touches four pages */
	ASSERT_EQ(sizeof(data),
		  pwrite(self->fd, data, sizeof(data), PLACE(8) + 100));
	expect(_metadata, self, folios(self, 4), 0);
	EXPECT_EQ(0, account_since(&self->before).first_writes);
	ASSERT_EQ(0, fsync(self->fd));
	expect(_metadata, self, folios(self, 4), folios(self, 4));
}

TEST_F(dirty, o_sync_writes_are_clean_at_once)
{
	RUN_IF_READY();

	int fd = open(NODE, O_RDWR | O_SYNC);

	ASSERT_GE(fd, 0);
	start(self);
	ASSERT_EQ(1, pwrite(fd, "x", 1, PLACE(9)));
	expect(_metadata, self, 1, 1);
	close(fd);
}

/* munmap and exit clean nothing. */
TEST_F(dirty, munmap_leaves_it_dirty)
{
	RUN_IF_READY();

	unsigned char *p = map(_metadata, self->fd, PLACE(10));

	start(self);
	put(p, 1);
	munmap(p, 64 * PAGE);
	expect(_metadata, self, 1, 0);
}

/* Clean pages stay: there is no other copy of them. */
TEST_F(dirty, clean_pages_are_not_dropped)
{
	RUN_IF_READY();

	unsigned char *p = map(_metadata, self->fd, PLACE(11));
	unsigned char byte = 0;

	for (int i = 0; i < 64; i++)
		put(p + i * PAGE, i + 1);
	ASSERT_EQ(0, msync(p, 64 * PAGE, MS_SYNC));
	EXPECT_EQ(0, madvise(p, 64 * PAGE, MADV_DONTNEED));
	munmap(p, 64 * PAGE);
	EXPECT_EQ(0, posix_fadvise(self->fd, PLACE(11), 64 * PAGE,
				   POSIX_FADV_DONTNEED));
	ASSERT_EQ(0, write_text("/proc/sys/vm/drop_caches", "3"));
	for (int i = 0; i < 64; i++) {
		EXPECT_EQ(1, pread(self->fd, &byte, 1, PLACE(11) + i * PAGE));
		EXPECT_EQ(i + 1, byte);
	}
}

/* Two mappings of one page: cleaning must protect it in both. */
TEST_F(dirty, cleaning_protects_every_mapping)
{
	RUN_IF_READY();

	unsigned char *a = map(_metadata, self->fd, PLACE(12));
	unsigned char *b = map(_metadata, self->fd, PLACE(12) - 5 * PAGE);

	put(a, 1);
	put(b + 5 * PAGE, 2);
	ASSERT_EQ(0, msync(a, PAGE, MS_SYNC));
	start(self);
	put(b + 5 * PAGE, 3);
	expect(_metadata, self, 1, 0);
	ASSERT_EQ(0, msync(b + 5 * PAGE, PAGE, MS_SYNC));
	put(a, 4);
	expect(_metadata, self, 2, 1);
}

TEST_HARNESS_MAIN
