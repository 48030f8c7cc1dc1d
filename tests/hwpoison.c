// SPDX-License-Identifier: GPL-2.0-only
/*
 * A memory error in a page of a buffer.  With a store the page is given up: what was not
 * written back is lost and told, and what the store has comes back.  Without one it was
 * the only copy: nobody reads it again, by whatever way.
 *
 * MADV_HWPOISON makes such an error; it costs the machine a page each time.
 *
 * The kernel splits a large folio first.  Where somebody else holds it at that moment (compaction,
 * say), it cannot: then all of the folio stays as it was, as in any file system.
 */
#include <sys/sendfile.h>

#define STORE_SIZE (8 * PAGE)

#include "store_fixture.h"

#ifndef MADV_HWPOISON
#define MADV_HWPOISON 100
#endif

static void ignore(int sig)
{
}

/*
 * Makes the error; what madvise says.  The kernel may warn the program by a SIGBUS,
 * without its having touched the page.
 */
static int poison(void *p)
{
	struct sigaction sa = { .sa_handler = ignore }, old;
	int ret;

	sigaction(SIGBUS, &sa, &old);
	ret = madvise(p, PAGE, MADV_HWPOISON);
	sigaction(SIGBUS, &old, NULL);
	return ret;
}

/* Has poison() failed since a large folio could not be split? */
static bool unsplit(int fd)
{
	return folio_size_of(fd) > (int64_t)PAGE &&
	       (errno == EHWPOISON || errno == EBUSY);
}

/* Whether the kernel can be told of memory errors. */
static bool can_poison(void)
{
	void *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool can;

	put(p, 1);
	can = !poison(p);
	munmap(p, PAGE);
	return can;
}

/* A dirty page is not read and not written back; the store's is there again. */
TEST_F(store, dirty_page)
{
	RUN_IF_READY();

	unsigned char *bad = self->map + 2 * PAGE, *again, bytes[PAGE];
	int other = reopen(self->fd, O_RDWR), ret;

	if (!can_poison())
		SKIP(return, "this kernel does not handle memory errors");
	ASSERT_GE(other, 0);
	memset(self->map, 'o', STORE_SIZE);
	ASSERT_EQ(0, fsync(self->fd));
	memset(bad, 'n', PAGE);
	ret = poison(bad);
	if (ret && unsplit(self->fd))
		SKIP(return, "a large folio could not be split");
	EXPECT_EQ(0, ret) TH_LOG("%s", strerror(errno));
	if (touch_signal(bad, 0)) {
		EXPECT_EQ(BUS_MCEERR_AR, touch_info.si_code);
		EXPECT_EQ(bad, touch_info.si_addr);
	} else {
		EXPECT_EQ('o', touch(bad));
	}
	EXPECT_EQ(EIO, told(self->fd));
	EXPECT_EQ(0, told(self->fd));
	EXPECT_EQ(EIO, told(other));
	EXPECT_EQ(0, fd_value(self->fd, "dirty_folios"));
	ASSERT_EQ(PAGE, pread(self->fd, bytes, PAGE, 2 * PAGE));
	for (size_t i = 0; i < PAGE; i++) {
		ASSERT_EQ('o', bytes[i]);
	}
	again = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd,
		     2 * PAGE);
	ASSERT_NE(MAP_FAILED, again);
	EXPECT_EQ('o', touch(again));
	/* And it goes on */
	memset(again, 'p', PAGE);
	EXPECT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, power_cut(self->fd));
	EXPECT_EQ('p', touch(again));
	EXPECT_EQ('o', touch(self->map + PAGE));
	EXPECT_EQ('o', touch(self->map + 3 * PAGE));
	munmap(again, PAGE);
	close(other);
}

/* A clean page is read in again, and nobody is told. */
TEST_F(store, clean_page)
{
	RUN_IF_READY();

	int ret;

	if (!can_poison())
		SKIP(return, "this kernel does not handle memory errors");
	memset(self->map, 'o', STORE_SIZE);
	ASSERT_EQ(0, fsync(self->fd));
	ret = poison(self->map + PAGE);
	if (ret && unsplit(self->fd))
		SKIP(return, "a large folio could not be split");
	EXPECT_EQ(0, ret) TH_LOG("%s", strerror(errno));
	EXPECT_EQ(0, touch_signal(self->map + PAGE, 0));
	EXPECT_EQ('o', touch(self->map + PAGE));
	EXPECT_EQ(0, told(self->fd));
	put(self->map + PAGE, 'p');
	EXPECT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, power_cut(self->fd));
	EXPECT_EQ('p', touch(self->map + PAGE));
}

/* ---- the only copy ------------------------------------------------------- */

FIXTURE(only_copy)
{
	const char *skip;
	int fd;
	unsigned char *map;
	size_t size;
};

FIXTURE_VARIANT(only_copy)
{
	bool dirty;
	unsigned long pages; /* of a folio; 0: as many as one entry maps */
};

FIXTURE_VARIANT_ADD(only_copy, dirty){ .dirty = true, .pages = 1 };
FIXTURE_VARIANT_ADD(only_copy, clean){ .dirty = false, .pages = 1 };
FIXTURE_VARIANT_ADD(only_copy, dirty_of_8){ .dirty = true, .pages = 8 };
FIXTURE_VARIANT_ADD(only_copy, clean_of_8){ .dirty = false, .pages = 8 };
FIXTURE_VARIANT_ADD(only_copy, dirty_huge){ .dirty = true };
FIXTURE_VARIANT_ADD(only_copy, clean_huge){ .dirty = false };

FIXTURE_SETUP(only_copy)
{
	if (!can_poison()) {
		self->skip = "this kernel does not handle memory errors";
		return;
	}
	self->size = variant->pages ? STORE_SIZE : PMD_SIZE;
	folio_size_wanted = variant->pages ? variant->pages * PAGE : self->size;
	for (int try = 0; try < 5; try++) {
		self->fd = create_buffer(self->size);
		ASSERT_GE(self->fd, 0);
		self->map = mmap(NULL, self->size, PROT_READ | PROT_WRITE,
				 MAP_SHARED, self->fd, 0);
		ASSERT_NE(MAP_FAILED, self->map);
		memset(self->map, 'o', self->size);
		if (!variant->dirty)
			ASSERT_EQ(0, fsync(self->fd));
		/* What it answers is the kernel's opinion of how well that went */
		if (!poison(self->map + 2 * PAGE) || !unsplit(self->fd) ||
		    try == 4)
			break;
		munmap(self->map, self->size);
		close(self->fd);
	}
}

FIXTURE_TEARDOWN(only_copy)
{
	if (self->skip)
		return;
	EXPECT_ACCOUNT_ADDS_UP(self->fd);
	munmap(self->map, self->size);
	close(self->fd);
}

/* Refused, and not answered with what the page may have, or with zeroes. */
TEST_F(only_copy, is_refused)
{
	RUN_IF_READY();

	unsigned char bytes[4 * PAGE], *again;
	off_t at = 2 * PAGE;
	int ends[2];

	ASSERT_EQ(0, pipe(ends));
	memset(bytes, 'n', sizeof(bytes));
	EXPECT_FAILS(EIO, pread(self->fd, bytes, PAGE, 2 * PAGE));
	EXPECT_FAILS(EIO, pread(self->fd, bytes, 1, 2 * PAGE + 7));
	EXPECT_FAILS(EIO, pwrite(self->fd, bytes, 1, 2 * PAGE));
	EXPECT_FAILS(EIO, pwrite(self->fd, bytes, PAGE, 2 * PAGE));
	EXPECT_FAILS(EIO, splice(self->fd, &at, ends[1], NULL, PAGE, 0));
	/* Up to there, and not beyond */
	EXPECT_EQ(2 * PAGE, pread(self->fd, bytes, 4 * PAGE, 0));
	EXPECT_EQ('o', bytes[0]);
	EXPECT_EQ(SIGBUS, touch_signal(self->map + 2 * PAGE, 0));
	EXPECT_EQ(SIGBUS, touch_signal(self->map + 2 * PAGE, 1));
	again = mmap(NULL, STORE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		     self->fd, 0);
	ASSERT_NE(MAP_FAILED, again);
	EXPECT_EQ(0, touch_signal(again + PAGE, 0));
	EXPECT_EQ(SIGBUS, touch_signal(again + 2 * PAGE, 0));
	EXPECT_EQ(SIGBUS, touch_signal(again + 2 * PAGE, 1));
	EXPECT_EQ('o', touch(again + 3 * PAGE));
	munmap(again, STORE_SIZE);
	/* Its neighbours are in good health */
	EXPECT_EQ(PAGE, pwrite(self->fd, bytes, PAGE, PAGE));
	EXPECT_EQ(PAGE, pread(self->fd, bytes, PAGE, 3 * PAGE));
	EXPECT_EQ('o', bytes[PAGE - 1]);
	close(ends[0]);
	close(ends[1]);
}

/* Whoever gives it up gets a new page. */
TEST_F(only_copy, until_it_is_discarded)
{
	RUN_IF_READY();

	struct vmademo_discard d = { 2 * PAGE, PAGE, { 0 } };
	unsigned char byte = 1, *again;

	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_DISCARD, &d));
	ASSERT_EQ(1, pread(self->fd, &byte, 1, 2 * PAGE));
	EXPECT_EQ(0, byte);
	again = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd,
		     2 * PAGE);
	ASSERT_NE(MAP_FAILED, again);
	EXPECT_EQ(0, touch_signal(again, 1));
	EXPECT_EQ(1, touch(again));
	EXPECT_EQ(1, pwrite(self->fd, "x", 1, 2 * PAGE));
	EXPECT_EQ('x', touch(again));
	munmap(again, PAGE);
	EXPECT_EQ(0, ftruncate(self->fd, 0));
}

TEST_HARNESS_MAIN
