// SPDX-License-Identifier: GPL-2.0-only
/*
 * madvise: what each advice does to a mapping of the device, seen in its faults,
 * its page cache, its flags, and in a child.  What is answered with which errno is
 * a table of its own: `answers`.
 */
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "vmademo_test.h"

#ifndef MADV_COLD
#define MADV_COLD    20
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE  103
#endif

#define LEN (32 * PAGE)

FIXTURE(advice)
{
	int fd;
	bool node;
	unsigned char *p; /* LEN bytes, shared, nothing of it cached */
};

FIXTURE_VIEWS(advice);

FIXTURE_SETUP(advice)
{
	struct vmademo_discard all = { 0 };

	self->node = variant->view == NODE_VIEW;
	self->fd = open_view(variant->view);
	ASSERT_GE(self->fd, 0);
	all.length = whole_folios(self->fd, LEN);
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_DISCARD, &all));
	self->p = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd,
		       0);
	ASSERT_NE(MAP_FAILED, self->p);
}

FIXTURE_TEARDOWN(advice)
{
	munmap(self->p, LEN);
	close(self->fd);
}

/* Every page gets its number. */
static void number_pages(unsigned char *p)
{
	for (size_t i = 0; i < LEN / PAGE; i++)
		put(p + i * PAGE, i + 1);
}

static bool pages_have_numbers(const unsigned char *p)
{
	for (size_t i = 0; i < LEN / PAGE; i++)
		if (touch(p + i * PAGE) != i + 1)
			return false;
	return true;
}

/* All LEN bytes. */
static int advise(unsigned char *p, int advice)
{
	const size_t step = advice == MADV_WILLNEED ? READ_AHEAD : LEN;

	for (size_t at = 0; at < LEN; at += step)
		if (madvise(p + at, step, advice))
			return -1;
	return 0;
}

/*
 * How the pages will be used.  There is nothing to read ahead from, so only
 * WILLNEED makes a difference to the faults: it makes the pages beforehand.
 */
TEST_F(advice, faults_of_a_first_pass)
{
	static const struct {
		int advice;
		const char *flag;
		bool faults;
	} passes[] = {
		{ MADV_NORMAL, "rd", true },
		{ MADV_RANDOM, "rr", true },
		{ MADV_SEQUENTIAL, "sr", true },
		{ MADV_WILLNEED, "rd", false },
	};

	for (size_t i = 0; i < 4; i++) {
		struct vmademo_discard all = { .length = whole_folios(self->fd,
								      LEN) };
		struct account before, since;

		ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_DISCARD, &all));
		ASSERT_EQ(0, madvise(self->p, LEN, MADV_NORMAL));
		ASSERT_EQ(0, advise(self->p, passes[i].advice));
		EXPECT_TRUE(vm_flag(self->p, passes[i].flag));
		EXPECT_EQ(passes[i].faults ? 0 : LEN / PAGE,
			  cached_pages(self->p, LEN));
		before = account_of(self->fd);
		for (size_t at = 0; at < LEN; at += PAGE)
			EXPECT_EQ(0, touch(self->p + at));
		since = account_of_since(self->fd, &before);
		EXPECT_EQ(passes[i].faults ? in_folios(self->fd, LEN) : 0,
			  since.read_faults)
		TH_LOG("advice %d", passes[i].advice);
		/*
		 * Cached pages are mapped many at a time, with no call of .fault; each time
		 * twice as many, after the second
		 */
		if (!passes[i].faults) {
			EXPECT_LE(1 + __builtin_ctzl(LEN / FAULT_AROUND),
				  since.fault_around_hits);
			EXPECT_GE(LEN / FAULT_AROUND + 1,
				  since.fault_around_hits);
		}
	}
}

/* Forgets the mapping, not the buffer: the next touch finds the same bytes. */
TEST_F(advice, dontneed_of_shared_pages)
{
	int64_t minor;

	number_pages(self->p);
	EXPECT_EQ(LEN, smaps_value(self->p, "Rss"));
	ASSERT_EQ(0, madvise(self->p, LEN, MADV_DONTNEED));
	EXPECT_EQ(0, smaps_value(self->p, "Rss"));
	EXPECT_EQ(LEN / PAGE, cached_pages(self->p, LEN));
	/* It was dirty in the page table only as far as the page knew already */
	EXPECT_EQ(in_folios(self->fd, LEN), fd_value(self->fd, "dirty_folios"));
	minor = minor_faults();
	EXPECT_TRUE(pages_have_numbers(self->p));
	EXPECT_LT(minor, minor_faults());
}

/* A private copy is thrown away: the buffer's bytes come back. */
TEST_F(advice, dontneed_of_private_copies)
{
	unsigned char *private = mmap(NULL, LEN, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE, self->fd, 0);

	ASSERT_NE(MAP_FAILED, private);
	number_pages(self->p);
	memset(private, 0xaa, LEN);
	ASSERT_EQ(0, madvise(private, LEN, MADV_DONTNEED));
	EXPECT_TRUE(pages_have_numbers(private));
	munmap(private, LEN);
}

/* Accepted, but the only copy of a page is never reclaimed. */
TEST_F(advice, cold_and_pageout)
{
	number_pages(self->p);
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, madvise(self->p, LEN, MADV_COLD));
	ASSERT_EQ(0, madvise(self->p, LEN, MADV_PAGEOUT));
	EXPECT_EQ(LEN / PAGE, cached_pages(self->p, LEN));
	EXPECT_TRUE(pages_have_numbers(self->p));
}

/* Frees the pages: a regular file can do that, a character device cannot. */
TEST_F(advice, remove)
{
	number_pages(self->p);
	if (self->node) {
		EXPECT_FAILS(ENODEV, madvise(self->p, LEN, MADV_REMOVE));
		EXPECT_TRUE(pages_have_numbers(self->p));
		return;
	}
	ASSERT_EQ(0, madvise(self->p, LEN / 2, MADV_REMOVE));
	EXPECT_EQ(0, cached_pages(self->p, LEN / 2));
	EXPECT_EQ(0, touch(self->p));
	EXPECT_EQ(LEN / PAGE / 2 + 1, touch(self->p + LEN / 2));
}

/* Only anonymous memory can be freed so, or wiped in a child. */
TEST_F(advice, for_anonymous_memory_only)
{
	unsigned char *private = mmap(NULL, LEN, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE, self->fd, 0);

	ASSERT_NE(MAP_FAILED, private);
	number_pages(self->p);
	EXPECT_FAILS(EINVAL, madvise(self->p, LEN, MADV_FREE));
	EXPECT_FAILS(EINVAL, madvise(private, LEN, MADV_FREE));
	EXPECT_FAILS(EINVAL, madvise(self->p, LEN, MADV_WIPEONFORK));
	EXPECT_FAILS(EINVAL, madvise(private, LEN, MADV_WIPEONFORK));
	EXPECT_TRUE(pages_have_numbers(self->p));
	munmap(private, LEN);
}

/* A child does not get what is marked so, until it is unmarked. */
TEST_F(advice, dontfork)
{
	int status;
	pid_t pid;

	number_pages(self->p);
	ASSERT_EQ(0, madvise(self->p, LEN, MADV_DONTFORK));
	EXPECT_TRUE(vm_flag(self->p, "dc"));
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0)
		_exit(touch_signal(self->p, 0) != SIGSEGV);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);

	ASSERT_EQ(0, madvise(self->p, LEN, MADV_DOFORK));
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0)
		_exit(!pages_have_numbers(self->p));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* Marks that the kernel keeps with the VMA, and takes off again. */
TEST_F(advice, marks)
{
	static const struct {
		int on, off;
		const char *flag;
	} marks[] = {
		{ MADV_DONTDUMP, MADV_DODUMP, "dd" },
		{ MADV_HUGEPAGE, MADV_NOHUGEPAGE, "hg" },
		{ MADV_MERGEABLE, MADV_UNMERGEABLE, "mg" },
	};

	for (size_t i = 0; i < 3; i++) {
		/* Linux merges private pages only, and marks no others */
		int flags = marks[i].on == MADV_MERGEABLE ? MAP_PRIVATE
							  : MAP_SHARED;
		unsigned char *p = mmap(NULL, LEN, PROT_READ | PROT_WRITE,
					flags, self->fd, 0);

		ASSERT_NE(MAP_FAILED, p);
		if (madvise(p, LEN, marks[i].on)) {
			/* The kernel was built without it */
			EXPECT_EQ(EINVAL, errno);
		} else {
			EXPECT_TRUE(vm_flag(p, marks[i].flag))
			TH_LOG("%s", marks[i].flag);
			EXPECT_EQ(0, madvise(p, LEN, marks[i].off));
			EXPECT_FALSE(vm_flag(p, marks[i].flag))
			TH_LOG("%s", marks[i].flag);
		}
		munmap(p, LEN);
	}
}

/* One touch brings in all that one entry can map; see also folio_room.c. */
TEST_F(advice, hugepage)
{
	const size_t huge = PMD_SIZE;
	unsigned char *p = mmap(NULL, huge, PROT_READ | PROT_WRITE, MAP_SHARED,
				self->fd, 0);
	struct vmademo_discard d = { .length = huge };

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, madvise(p, huge, MADV_HUGEPAGE));
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_DISCARD, &d));
	put(p, 1);
	EXPECT_LE(PAGE, smaps_value(p, "Rss"));
	EXPECT_EQ(huge / PAGE, cached_pages(p, huge));
	munmap(p, huge);
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_DISCARD, &d));
}

/* Guarded pages are SIGSEGV (files: Linux 6.15); what was there comes back. */
TEST_F(advice, guard)
{
	struct account before;

	number_pages(self->p);
	if (madvise(self->p + 4 * PAGE, 2 * PAGE, MADV_GUARD_INSTALL)) {
		EXPECT_EQ(EINVAL, errno);
		EXPECT_TRUE(pages_have_numbers(self->p));
		return;
	}
	before = account_of(self->fd);
	EXPECT_EQ(SIGSEGV, touch_signal(self->p + 4 * PAGE, 0));
	EXPECT_EQ(SIGSEGV, touch_signal(self->p + 6 * PAGE - 1, 1));
	EXPECT_EQ(0, touch_signal(self->p + 6 * PAGE, 0));
	/* The driver is not asked */
	EXPECT_EQ(0, account_of_since(self->fd, &before).read_faults);
	ASSERT_EQ(0, madvise(self->p, LEN, MADV_GUARD_REMOVE));
	EXPECT_TRUE(pages_have_numbers(self->p));
}

/* Advice to another process, here to itself, by process_madvise. */
TEST_F(advice, by_process_madvise)
{
	const size_t parts = LEN / READ_AHEAD;
	struct iovec iov[parts];
	int pidfd = syscall(SYS_pidfd_open, getpid(), 0);

	ASSERT_GE(pidfd, 0);
	for (size_t i = 0; i < parts; i++)
		iov[i] = (struct iovec){ self->p + i * READ_AHEAD, READ_AHEAD };
	EXPECT_EQ(LEN, syscall(SYS_process_madvise, pidfd, iov, parts,
			       MADV_WILLNEED, 0));
	EXPECT_EQ(LEN / PAGE, cached_pages(self->p, LEN));
	close(pidfd);
}

TEST_F(advice, refused)
{
	ASSERT_EQ(0, munmap(self->p + 8 * PAGE, PAGE));
	/* Over a hole it is followed as far as there is something */
	EXPECT_FAILS(ENOMEM, madvise(self->p, LEN, MADV_WILLNEED));
	EXPECT_EQ(8, cached_pages(self->p, 8 * PAGE));
	EXPECT_FAILS(EINVAL, madvise(self->p + 1, PAGE, MADV_WILLNEED));
	EXPECT_FAILS(EINVAL, madvise(self->p, PAGE, 999));
	EXPECT_EQ(0, madvise(self->p, 0, MADV_DONTNEED));
}

TEST_HARNESS_MAIN
