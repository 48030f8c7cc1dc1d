// SPDX-License-Identifier: GPL-2.0-only
/*
 * Physical windows, of each kind and by each way of mapping: what a mapping of bare
 * page frame numbers can and cannot do.
 */
#include "window_fixture.h"

/* Each offset shows its own page: two mappings of one page are one memory. */
TEST_F(window, offsets)
{
	RUN_IF_READY();

	unsigned char *whole = map(_metadata, self->fd, LEN, 0);

	for (size_t at = 0; at < LEN; at += PAGE)
		put_number(whole + at, 0xabc0000 + at);
	for (size_t at = 0; at < LEN; at += 37 * PAGE) {
		unsigned char *p = map(_metadata, self->fd, PAGE, at);

		EXPECT_EQ(0xabc0000 + at, number_at(p));
		put_number(p + 8, at);
		EXPECT_EQ(at, number_at(whole + at + 8));
		munmap(p, PAGE);
	}
	munmap(whole, LEN);
}

/* How many page tables a mapping of all of the window has entries in. */
static int64_t tables(const unsigned char *p)
{
	return (uintptr_t)(p + LEN - 1) / (PMD_SIZE) -
	       (uintptr_t)p / (PMD_SIZE) + 1;
}

/*
 * Eager: all entries are there, touching takes no fault.  Lazy: a fault a page table, or an
 * entry of 2 MiB where the kernel can do that.
 */
TEST_F(window, faults)
{
	RUN_IF_READY();

	unsigned char *p = map(_metadata, self->fd, LEN, 0);
	int64_t minor, faults = window_value("faults");
	int64_t huge = window_value("huge_faults");
	const int64_t due = self->lazy ? tables(p) : 0;

	/* (Not for a program of 32 bits, which gets small entries) */
	if (IS_32_BIT)
		self->pages_an_entry = 1;
	else
		EXPECT_EQ(0, (uintptr_t)p % (PMD_SIZE));
	minor = minor_faults();
	for (size_t at = 0; at < LEN; at += PAGE)
		touch(p + at);
	EXPECT_EQ(due, minor_faults() - minor);
	EXPECT_EQ(due, window_value("faults") - faults);
	EXPECT_EQ(self->lazy && self->pages_an_entry > 1 ? due : 0,
		  window_value("huge_faults") - huge);
	munmap(p, LEN);

	/* A mapping that begins in the middle has small entries at its ends */
	p = map(_metadata, self->fd, LEN - 2 * PAGE, PAGE);
	for (size_t at = 0; at < LEN - 2 * PAGE; at += PAGE)
		put_number(p + at, at);
	for (size_t at = 0; at < LEN - 2 * PAGE; at += PAGE)
		ASSERT_EQ(at, number_at(p + at));
	munmap(p, LEN - 2 * PAGE);
}

/* Lazy: the first write to an entry that was made for reading is noticed. */
TEST_F(window, first_writes)
{
	RUN_IF_READY();

	unsigned char *p = map(_metadata, self->fd, LEN, 0);
	int64_t before = window_value("first_writes");
	const int64_t entries = LEN / PAGE / self->pages_an_entry;

	for (size_t at = 0; at < LEN; at += PAGE)
		touch(p + at);
	EXPECT_EQ(before, window_value("first_writes"));
	for (int round = 0; round < 2; round++)
		for (size_t at = 0; at < LEN; at += PAGE)
			put(p + at, round);
	EXPECT_EQ(self->lazy ? entries : 0,
		  window_value("first_writes") - before);
	munmap(p, LEN);
	/* Written to at once: one for each fault */
	p = map(_metadata, self->fd, LEN, 0);
	for (size_t at = 0; at < LEN; at += PAGE)
		put(p + at, 3);
	EXPECT_EQ(self->lazy ? entries + tables(p) : 0,
		  window_value("first_writes") - before);
	munmap(p, LEN);
}

TEST_F(window, mappings_are_counted)
{
	RUN_IF_READY();

	int64_t before = window_value("mappings");
	unsigned char *p = map(_metadata, self->fd, 16 * PAGE, 0);
	int status;
	pid_t pid;

	EXPECT_EQ(before + 1, window_value("mappings"));
	ASSERT_EQ(0, munmap(p + 4 * PAGE, PAGE));
	EXPECT_EQ(before + 2, window_value("mappings"));
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0)
		_exit(window_value("mappings") != before + 4);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	munmap(p, 16 * PAGE);
	EXPECT_EQ(before, window_value("mappings"));
	/* A refused mapping is not counted */
	EXPECT_EQ(EPERM, map_error(self->fd, PAGE, LEN));
	EXPECT_EQ(before, window_value("mappings"));
}

TEST_F(window, fork_and_partial_munmap)
{
	RUN_IF_READY();

	unsigned char *p = map(_metadata, self->fd, LEN, 0);
	int status;
	pid_t pid;

	put(p + 5 * PAGE, 5);
	put(p + LEN - 1, 9);
	ASSERT_EQ(1, pwrite(self->fd, "7", 1, 7 * PAGE));
	ASSERT_EQ(0, munmap(p, 3 * PAGE));
	EXPECT_EQ(5, touch(p + 5 * PAGE));
	/* Where the mapping begins now is not where the window begins */
	EXPECT_EQ('7', touch(p + 7 * PAGE));
	EXPECT_EQ(SIGSEGV, touch_signal(p, 0));
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		put(p + 6 * PAGE, 6);
		_exit(touch(p + 5 * PAGE) != 5 || touch(p + LEN - 1) != 9);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(6, touch(p + 6 * PAGE));
	munmap(p + 3 * PAGE, LEN - 3 * PAGE);
}

/*
 * Private: eager as /dev/mem, what is written is a copy.  Lazy, it is refused; and
 * so is what is not RAM, where the kernel could not undo it in pieces.
 */
TEST_F(window, private_mapping)
{
	RUN_IF_READY();

	unsigned char *shared = map(_metadata, self->fd, 3 * PAGE, 0), byte;
	int mem;
	unsigned char *private = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE, self->fd, PAGE);

	if (!self->private_ok) {
		EXPECT_EQ(MAP_FAILED, private);
		EXPECT_EQ(EINVAL, errno);
		/* To read only as well: it could be made writable later */
		EXPECT_EQ(MAP_FAILED,
			  mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, self->fd, 0));
		EXPECT_EQ(EINVAL, errno);
		munmap(shared, 3 * PAGE);
		return;
	}
	ASSERT_NE(MAP_FAILED, private);
	put(shared + PAGE, 1);
	put(shared + 2 * PAGE, 2);
	EXPECT_EQ(1, touch(private));
	put(private, 9);
	EXPECT_EQ(9, touch(private));
	/* A debugger cannot tell a copy from the window: it gets neither */
	mem = open("/proc/self/mem", O_RDONLY);
	EXPECT_FAILS(EIO, pread(mem, &byte, 1, (off_t)(uintptr_t) private));
	close(mem);
	EXPECT_EQ(1, touch(shared + PAGE));
	EXPECT_EQ(2, touch(private + PAGE));
	munmap(private, 2 * PAGE);
	munmap(shared, 3 * PAGE);
}

TEST_F(window, mprotect_down_and_up)
{
	RUN_IF_READY();

	unsigned char *p = map(_metadata, self->fd, LEN, 0);
	int ro = open(WINDOW, O_RDONLY);
	void *q;

	put(p + PAGE, 1);
	ASSERT_EQ(0, mprotect(p, LEN, PROT_READ));
	EXPECT_EQ(1, touch(p + PAGE));
	EXPECT_EQ(SIGSEGV, touch_signal(p + PAGE, 1));
	ASSERT_EQ(0, mprotect(p + PAGE, PAGE, PROT_READ | PROT_WRITE));
	put(p + PAGE, 2);
	EXPECT_EQ(2, touch(p + PAGE));
	EXPECT_EQ(SIGSEGV, touch_signal(p + 2 * PAGE, 1));
	munmap(p, LEN);

	/* Opened to read, it cannot be made writable */
	ASSERT_GE(ro, 0);
	EXPECT_EQ(MAP_FAILED,
		  mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, ro, 0));
	EXPECT_EQ(EACCES, errno);
	q = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, ro, 0);
	ASSERT_NE(MAP_FAILED, q);
	EXPECT_FAILS(EACCES, mprotect(q, PAGE, PROT_READ | PROT_WRITE));
	munmap(q, PAGE);
	close(ro);
}

/* Moving and shrinking need no page: they work.  Growing is refused. */
TEST_F(window, move_and_shrink)
{
	RUN_IF_READY();

	unsigned char *p = map(_metadata, self->fd, 4 * PAGE, 0), *q;
	unsigned char *room = mmap(NULL, 4 * PAGE, PROT_NONE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	put(p + PAGE, 42);
	put(p + 3 * PAGE, 43);
	ASSERT_NE(MAP_FAILED, room);
	q = mremap(p, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, room);
	ASSERT_EQ(room, q);
	EXPECT_EQ(42, touch(q + PAGE));
	EXPECT_EQ(43, touch(q + 3 * PAGE));
	EXPECT_EQ(MAP_FAILED, mremap(q, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE));
	EXPECT_EQ(EFAULT, errno);
	ASSERT_EQ(q, mremap(q, 4 * PAGE, 2 * PAGE, 0));
	EXPECT_EQ(42, touch(q + PAGE));
	EXPECT_EQ(SIGSEGV, touch_signal(q + 2 * PAGE, 0));
	munmap(q, 2 * PAGE);
}

/*
 * All of it is moved, touched before: entries of 2 MiB go along where the new place
 * suits them, and are made anew, smaller, where it does not.
 */
TEST_F(window, large_entries_move)
{
	RUN_IF_READY();

	unsigned char *p = map(_metadata, self->fd, LEN, 0);
	unsigned char *room = mmap(NULL, 3 * LEN, PROT_NONE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char *even = room + (-(uintptr_t)room & (PMD_SIZE - 1));
	unsigned char *const places[] = { even, even + LEN + PAGE };
	int64_t mappings = window_value("mappings");

	ASSERT_NE(MAP_FAILED, room);
	for (size_t at = 0; at < LEN; at += PAGE)
		put_number(p + at, at + 1);
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(places[i],
			  mremap(p, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED,
				 places[i]));
		EXPECT_EQ(SIGSEGV, touch_signal(p, 0));
		EXPECT_EQ(mappings, window_value("mappings"));
		p = places[i];
		for (size_t at = 0; at < LEN; at += PAGE) {
			ASSERT_EQ(at + 1, number_at(p + at));
			put_number(p + at, at + 1);
		}
	}
	munmap(room, 3 * LEN);
	EXPECT_EQ(mappings - 1, window_value("mappings"));
}

/* What a private mapping has written to is copied in a child too. */
TEST_F(window, private_copies_at_fork)
{
	RUN_IF_READY();

	unsigned char *private;
	int status;
	pid_t pid;

	if (!self->private_ok)
		return;
	private = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE,
		       self->fd, 0);
	ASSERT_NE(MAP_FAILED, private);
	put(private, 9);
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		put(private + 1, 1);
		_exit(touch(private) != 9);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(9, touch(private));
	EXPECT_EQ(1, window_value("mappings"));
	munmap(private, 2 * PAGE);
	EXPECT_EQ(0, window_value("mappings"));
}

/* What can be done to a mapping of 16 pages in pieces; all of it is unmapped then. */
static void take_apart(struct __test_metadata *_metadata, int fd, int flags)
{
	unsigned char *room = mmap(NULL, 16 * PAGE, PROT_NONE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char *p = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, flags,
				fd, 0);
	int status;
	pid_t pid;

	ASSERT_NE(MAP_FAILED, p);
	/* The first page, one within, the last */
	EXPECT_EQ(0, munmap(p, PAGE));
	EXPECT_EQ(0, munmap(p + 4 * PAGE, PAGE));
	EXPECT_EQ(0, munmap(p + 15 * PAGE, PAGE));
	EXPECT_EQ(0, mprotect(p + 6 * PAGE, PAGE, PROT_READ));
	EXPECT_EQ(0, mprotect(p + 6 * PAGE, PAGE, PROT_READ | PROT_WRITE));
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		munmap(p + 8 * PAGE, PAGE);
		_exit(touch(p + 7 * PAGE) != touch(p + 7 * PAGE));
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	/* A part moves away, and something else takes its place */
	EXPECT_EQ(room, mremap(p + 10 * PAGE, 2 * PAGE, 2 * PAGE,
			       MREMAP_MAYMOVE | MREMAP_FIXED, room));
	EXPECT_EQ(p + 12 * PAGE,
		  mmap(p + 12 * PAGE, PAGE, PROT_READ,
		       MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	EXPECT_EQ(0, madvise(p + PAGE, PAGE, MADV_DONTFORK));
	munmap(p, 16 * PAGE);
	munmap(room, 16 * PAGE);
}

/*
 * x86 remembers of each range of a device how it is cached; eager mappings are on
 * that list on some kernels.  Whatever is done to them, nothing stays on it: what did
 * would decide how the next driver gets the memory.
 */
TEST_F(window, memory_types_do_not_stay)
{
	RUN_IF_READY();

	const int before = memory_types(self->base, LEN);
	unsigned char *p;

	if (before < 0)
		SKIP(return, "the kernel does not list memory types");
	for (int i = 0; i < 3; i++)
		take_apart(_metadata, self->fd, MAP_SHARED);
	if (self->private_ok)
		take_apart(_metadata, self->fd, MAP_PRIVATE);
	/* One page, and all of it, undone at once */
	p = map(_metadata, self->fd, PAGE, 2 * PAGE);
	munmap(p, PAGE);
	p = map(_metadata, self->fd, LEN, 0);
	munmap(p, LEN);
	EXPECT_EQ(before, memory_types(self->base, LEN));
	EXPECT_EQ(0, window_value("mappings"));
}

/* There are no pages to pin, to sync or to give advice on. */
TEST_F(window, what_needs_pages_is_refused)
{
	RUN_IF_READY();

	static const int advice[] = { MADV_DONTNEED, MADV_FREE,
				      MADV_POPULATE_READ, MADV_POPULATE_WRITE };
	unsigned char *p = map(_metadata, self->fd, 4 * PAGE, 0);
	static const char *const flags[] = { "io", "pf", "de", "dd" };

	EXPECT_FAILS(EINVAL, msync(p, 4 * PAGE, MS_SYNC));
	EXPECT_FAILS(EINVAL, fsync(self->fd));
	for (size_t i = 0; i < sizeof(advice) / sizeof(advice[0]); i++) {
		EXPECT_EQ(-1, madvise(p, PAGE, advice[i]));
		EXPECT_EQ(EINVAL, errno) TH_LOG("advice %d", advice[i]);
	}
	/* Device memory, bare frames, not to grow, not in a core dump */
	for (size_t i = 0; i < 4; i++) {
		EXPECT_TRUE(vm_flag(p, flags[i])) TH_LOG("%s", flags[i]);
	}
	/* And it stays out of core dumps */
	EXPECT_FAILS(EINVAL, madvise(p, 4 * PAGE, MADV_DODUMP));
	munmap(p, 4 * PAGE);
}

/*
 * O_DIRECT asks for the pages behind the buffer.  The same write from plain
 * memory shows that it is the window that is refused.
 */
TEST_F(window, o_direct_is_refused)
{
	RUN_IF_READY();

	unsigned char *p = map(_metadata, self->fd, PAGE, 0), *plain;
	int disk = open("/dev/ram0", O_RDWR | O_DIRECT);

	if (disk < 0)
		SKIP(return, "needs /dev/ram0 (modprobe brd)");
	plain = aligned_alloc(PAGE, PAGE);
	ASSERT_NE(NULL, plain);
	memset(plain, 1, PAGE);
	EXPECT_EQ(PAGE, pwrite(disk, plain, PAGE, 0));
	EXPECT_FAILS(EFAULT, pwrite(disk, p, PAGE, 0));
	EXPECT_FAILS(EFAULT, pread(disk, p, PAGE, 0));
	free(plain);
	close(disk);
	munmap(p, PAGE);
}

TEST_HARNESS_MAIN
