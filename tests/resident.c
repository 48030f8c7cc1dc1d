// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is in memory, and what must stay there: mlock, mlock2, munlock, mincore
 * and cachestat.
 */
#include "kselftest_harness.h"
#include "vmademo_test.h"

/* From Linux 6.5 on; the same number on all machines. */
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

/* As the kernel's header has them; another name each, should libc have them too. */
struct range_of_bytes {
	uint64_t off, len;
};

struct cache_state {
	uint64_t cached, dirty, writeback, evicted, recently_evicted;
};

#define PAGES 32
#define LEN   (PAGES * PAGE)

FIXTURE(resident)
{
	int fd;
	unsigned char *shared, *private; /* LEN bytes, none of them cached */
	struct account before;
	int64_t minor;
};

FIXTURE_VIEWS(resident);

FIXTURE_SETUP(resident)
{
	struct vmademo_discard d = { .offset = PLACE(0) };

	self->fd = open_view(variant->view);
	ASSERT_GE(self->fd, 0) TH_LOG("%s", strerror(errno));
	d.length = whole_folios(self->fd, LEN);
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_DISCARD, &d));
	/* The program itself must take no faults while they are counted */
	ASSERT_EQ(0, mlockall(MCL_CURRENT));
	self->shared = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED,
			    self->fd, PLACE(0));
	self->private = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE,
			     self->fd, PLACE(0));
	ASSERT_NE(MAP_FAILED, self->shared);
	ASSERT_NE(MAP_FAILED, self->private);
	self->before = account_of(self->fd);
	self->minor = minor_faults();
}

FIXTURE_TEARDOWN(resident)
{
	munmap(self->shared, LEN);
	munmap(self->private, LEN);
	close(self->fd);
}

/* What this process has locked, in bytes. */
static int64_t locked(void)
{
	return proc_value("/proc/self/status", "VmLck") * 1024;
}

/* How many faults it takes to touch each page of a mapping. */
static int64_t faults_to_touch(unsigned char *p, bool write)
{
	int64_t minor = minor_faults();

	for (size_t i = 0; i < PAGES; i++) {
		if (write)
			put(p + i * PAGE, 1);
		else
			touch(p + i * PAGE);
	}
	return minor_faults() - minor;
}

/*
 * mlock takes the faults at once, all those to read.  The pages of a shared mapping
 * are not dirty before they are written to, so the first write still asks.
 */
TEST_F(resident, mlock_shared)
{
	const int64_t before = locked();
	struct account d;

	ASSERT_EQ(0, mlock(self->shared, LEN));
	EXPECT_EQ(before + (int64_t)LEN, locked());
	d = account_of_since(self->fd, &self->before);
	EXPECT_EQ(in_folios(self->fd, LEN), d.read_faults);
	EXPECT_EQ(whole_folios(self->fd, LEN), d.cached_bytes);
	EXPECT_EQ(0, d.dirtied_folios);
	EXPECT_EQ(0, faults_to_touch(self->shared, false));
	EXPECT_EQ(PAGES, faults_to_touch(self->shared, true));
	EXPECT_EQ(0, faults_to_touch(self->shared, true));
	EXPECT_EQ(in_folios(self->fd, LEN), fd_value(self->fd, "dirty_folios"));
	/* Locked is in memory, not dirty for ever */
	ASSERT_EQ(0, fsync(self->fd));
	EXPECT_EQ(0, faults_to_touch(self->shared, false));
	EXPECT_EQ(PAGES, faults_to_touch(self->shared, true));
	/* Nor can it be given back before it is unlocked */
	EXPECT_FAILS(EINVAL, madvise(self->shared, LEN, MADV_DONTNEED));
	ASSERT_EQ(0, munlock(self->shared, LEN));
	EXPECT_EQ(before, locked());
	EXPECT_EQ(0, madvise(self->shared, LEN, MADV_DONTNEED));
	EXPECT_LT(0, faults_to_touch(self->shared, false));
}

/* Of a private mapping it makes the copies too: no write faults any more. */
TEST_F(resident, mlock_private)
{
	ASSERT_EQ(0, mlock(self->private, LEN));
	EXPECT_EQ(PAGES, account_of_since(self->fd, &self->before).cow_faults);
	EXPECT_EQ(0, faults_to_touch(self->private, true));
	EXPECT_EQ(0, touch(self->shared));
}

/* MLOCK_ONFAULT locks what is touched, when it is touched. */
TEST_F(resident, mlock_on_fault)
{
	const int64_t before = locked();

	ASSERT_EQ(0, mlock2(self->shared, LEN, MLOCK_ONFAULT));
	EXPECT_EQ(before + (int64_t)LEN, locked());
	EXPECT_EQ(0, account_of_since(self->fd, &self->before).cached_bytes);
	put(self->shared + 3 * PAGE, 1);
	EXPECT_EQ(folio_size_of(self->fd),
		  account_of_since(self->fd, &self->before).cached_bytes);
	ASSERT_EQ(0, munlock(self->shared, LEN));
	EXPECT_EQ(before, locked());
}

/* Beyond the end there is nothing to lock. */
TEST_F(resident, mlock_beyond_the_end)
{
	void *p = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, self->fd,
		       node_value("size") - PAGE);

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0, mlock(p, PAGE));
	EXPECT_FAILS(ENOMEM, mlock(p, 2 * PAGE));
	munmap(p, 2 * PAGE);
}

/* mincore tells what the page cache has, mapped here or not. */
TEST_F(resident, mincore)
{
	RUN_IF_FOLIOS_ARE_PAGES(self->fd);

	unsigned char vec[PAGES];

	EXPECT_EQ(0, cached_pages(self->shared, LEN));
	ASSERT_EQ(1, pwrite(self->fd, "x", 1, PLACE(0) + 5 * PAGE));
	touch(self->shared + 9 * PAGE);
	ASSERT_EQ(0, mincore(self->shared, LEN, vec));
	for (int i = 0; i < PAGES; i++)
		EXPECT_EQ(i == 5 || i == 9, vec[i] & 1);
	/* The other mapping is of the same pages */
	EXPECT_EQ(2, cached_pages(self->private, LEN));
	/* Asking is no touching */
	EXPECT_EQ(1, account_of_since(self->fd, &self->before).read_faults);
	EXPECT_FAILS(EINVAL, mincore(self->shared + 1, LEN, vec));
}

static struct cache_state cachestat(struct __test_metadata *_metadata, int fd,
				    off_t offset, uint64_t len)
{
	struct range_of_bytes range = { offset, len };
	struct cache_state state;

	memset(&state, 0xff, sizeof(state));
	EXPECT_EQ(0, syscall(SYS_cachestat, fd, &range, &state, 0));
	return state;
}

/* cachestat counts the same, and what is dirty, without a mapping. */
TEST_F(resident, cachestat)
{
	RUN_IF_FOLIOS_ARE_PAGES(self->fd);

	struct cache_state state;

	/* If it is there, it misses a descriptor or a range */
	if (syscall(SYS_cachestat, -1, NULL, NULL, 0) == -1 && errno != EBADF &&
	    errno != EFAULT)
		SKIP(return, "the kernel has no cachestat (Linux 6.5)");

	state = cachestat(_metadata, self->fd, PLACE(0), LEN);
	EXPECT_EQ(0, state.cached);
	EXPECT_EQ(0, state.dirty);
	touch(self->shared);
	for (int i = 10; i < 15; i++)
		put(self->shared + i * PAGE, 1);
	ASSERT_EQ(1, pwrite(self->fd, "x", 1, PLACE(0) + 20 * PAGE));
	state = cachestat(_metadata, self->fd, PLACE(0), LEN);
	EXPECT_EQ(7, state.cached);
	EXPECT_EQ(6, state.dirty);
	EXPECT_EQ(0, state.writeback);
	EXPECT_EQ(0, state.evicted);
	/* Of a part */
	state = cachestat(_metadata, self->fd, PLACE(0) + 12 * PAGE, 2 * PAGE);
	EXPECT_EQ(2, state.cached);
	EXPECT_EQ(2, state.dirty);

	/* To the end of the file, which is length 0: as the account has it */
	state = cachestat(_metadata, self->fd, 0, 0);
	EXPECT_EQ(fd_value(self->fd, "cached_bytes"), state.cached * PAGE);
	EXPECT_EQ(fd_value(self->fd, "dirty_folios"), state.dirty);
	ASSERT_EQ(0, fsync(self->fd));
	state = cachestat(_metadata, self->fd, PLACE(0), LEN);
	EXPECT_EQ(7, state.cached);
	EXPECT_EQ(0, state.dirty);
}

TEST_HARNESS_MAIN
