// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a first course on operating systems asks of mmap of files: the mmap lab of
 * MIT's 6.1810, as a device answers it.  Shared and private, lazy, at an offset,
 * unmapped in parts, across fork.
 */
#include "kselftest_harness.h"
#include "vmademo_test.h"

#define PAGES 4
#define LEN   (PAGES * PAGE)

FIXTURE(lab)
{
	int fd;
};

FIXTURE_VIEWS(lab);

/* What the file has at first in each byte of its page number i. */
static unsigned char content(int i)
{
	return 'A' + i;
}

FIXTURE_SETUP(lab)
{
	unsigned char page[PAGE];

	self->fd = open_view(variant->view);
	ASSERT_GE(self->fd, 0) TH_LOG("%s", strerror(errno));
	for (int i = 0; i < 2 * PAGES; i++) {
		memset(page, content(i), PAGE);
		ASSERT_EQ(PAGE, pwrite(self->fd, page, PAGE, i * PAGE));
	}
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, fd_value(self->fd, "mappings"));
}

FIXTURE_TEARDOWN(lab)
{
	EXPECT_EQ(0, fd_value(self->fd, "mappings"));
	close(self->fd);
}

/* The same file opened once more, in another way. */
static int open_again(int fd, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags | O_CLOEXEC);
}

/* Whether page number i of the file is at p, whole and unchanged. */
static int is_page(const unsigned char *p, int i)
{
	for (size_t at = 0; at < PAGE; at++)
		if (touch(p + at) != content(i))
			return 0;
	return 1;
}

/* A byte of the file, asked for by read(2). */
static int byte_of(int fd, off_t at)
{
	unsigned char byte;

	return pread(fd, &byte, 1, at) == 1 ? byte : -1;
}

static void *map(int fd, int prot, int flags)
{
	return mmap(NULL, LEN, prot, flags, fd, 0);
}

#define READ_WRITE (PROT_READ | PROT_WRITE)

/* Both kinds of mapping show the file. */
TEST_F(lab, shows_the_file)
{
	static const int flags[] = { MAP_SHARED, MAP_PRIVATE };

	for (int kind = 0; kind < 2; kind++) {
		unsigned char *p = map(self->fd, PROT_READ, flags[kind]);

		ASSERT_NE(MAP_FAILED, p);
		for (int i = 0; i < PAGES; i++)
			EXPECT_TRUE(is_page(p + i * PAGE, i));
		/* Mapped to be read, it cannot be written */
		EXPECT_EQ(SIGSEGV, touch_signal(p, 1));
		EXPECT_TRUE(is_page(p, 0));
		ASSERT_EQ(0, munmap(p, LEN));
	}
}

/* A private mapping may be written, even of a file that may not. */
TEST_F(lab, private_of_a_read_only_file)
{
	int ro = open_again(self->fd, O_RDONLY);
	unsigned char *p;

	ASSERT_LE(0, ro);
	p = map(ro, READ_WRITE, MAP_PRIVATE);
	ASSERT_NE(MAP_FAILED, p);
	close(ro);
	memset(p, 'z', 2 * PAGE);
	EXPECT_EQ('z', touch(p + 2 * PAGE - 1));
	EXPECT_TRUE(is_page(p + 2 * PAGE, 2));
	/* The file does not see it: not now, and not when it is unmapped */
	EXPECT_EQ(content(0), byte_of(self->fd, 0));
	ASSERT_EQ(0, munmap(p, LEN));
	EXPECT_EQ(content(0), byte_of(self->fd, 0));
	EXPECT_EQ(0, fd_value(self->fd, "dirty_folios"));
}

/* A shared mapping may do what the descriptor may. */
TEST_F(lab, shared_of_a_read_only_file)
{
	int ro = open_again(self->fd, O_RDONLY);
	unsigned char *p;

	ASSERT_LE(0, ro);
	EXPECT_EQ(MAP_FAILED, map(ro, READ_WRITE, MAP_SHARED));
	EXPECT_EQ(EACCES, errno);
	p = map(ro, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_TRUE(is_page(p, 0));
	ASSERT_EQ(0, munmap(p, LEN));
	close(ro);
}

/* A mapping does not need the descriptor that it was made with. */
TEST_F(lab, stays_after_close)
{
	int fd = open_again(self->fd, O_RDWR);
	unsigned char *p;

	ASSERT_LE(0, fd);
	p = map(fd, READ_WRITE, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, close(fd));
	for (int i = 0; i < PAGES; i++)
		EXPECT_TRUE(is_page(p + i * PAGE, i));
	put(p + 1, 'q');
	EXPECT_EQ('q', byte_of(self->fd, 1));
	ASSERT_EQ(0, munmap(p, LEN));
}

/* What was written by a shared mapping is in the file, mapped or not. */
TEST_F(lab, shared_writes_are_the_files)
{
	unsigned char *p = map(self->fd, READ_WRITE, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	for (int i = 0; i < PAGES; i++) {
		put(p + i * PAGE, '0' + i);
		put(p + (i + 1) * PAGE - 1, '5' + i);
	}
	ASSERT_EQ(0, munmap(p, LEN));
	for (int i = 0; i < PAGES; i++) {
		EXPECT_EQ('0' + i, byte_of(self->fd, i * PAGE));
		EXPECT_EQ(content(i), byte_of(self->fd, i * PAGE + 1));
		EXPECT_EQ('5' + i, byte_of(self->fd, (i + 1) * PAGE - 1));
	}
	/* The page after the mapping is as it was */
	EXPECT_EQ(content(PAGES), byte_of(self->fd, LEN));
}

/* Unmapped bit by bit: what is gone faults, what is left can still be used. */
TEST_F(lab, unmapped_in_parts)
{
	unsigned char *p = map(self->fd, READ_WRITE, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	put(p, 'h');
	put(p + 3 * PAGE, 't');

	/* The head */
	ASSERT_EQ(0, munmap(p, PAGE));
	EXPECT_EQ(SIGSEGV, touch_signal(p, 0));
	EXPECT_TRUE(is_page(p + PAGE, 1));
	EXPECT_TRUE(is_page(p + 2 * PAGE, 2));
	EXPECT_EQ('t', touch(p + 3 * PAGE));
	EXPECT_EQ('h', byte_of(self->fd, 0));

	/* The tail */
	ASSERT_EQ(0, munmap(p + 3 * PAGE, PAGE));
	EXPECT_EQ(SIGSEGV, touch_signal(p + 3 * PAGE, 0));
	EXPECT_TRUE(is_page(p + PAGE, 1));
	EXPECT_EQ('t', byte_of(self->fd, 3 * PAGE));
	put(p + 2 * PAGE, 'm');
	EXPECT_EQ('m', byte_of(self->fd, 2 * PAGE));
	EXPECT_EQ(1, fd_value(self->fd, "mappings"));

	/* The rest; that there is nothing any more in some of it does not matter */
	ASSERT_EQ(0, munmap(p, LEN));
	EXPECT_EQ(SIGSEGV, touch_signal(p + PAGE, 0));
	EXPECT_EQ(0, fd_value(self->fd, "mappings"));
}

/* Two files mapped at once do not get in each other's way. */
TEST_F(lab, two_files)
{
	int other = create_buffer(LEN);
	unsigned char *p = map(self->fd, READ_WRITE, MAP_SHARED), *q;

	ASSERT_LE(0, other);
	q = map(other, READ_WRITE, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_NE(MAP_FAILED, q);
	memset(q, 'q', LEN);
	for (int i = 0; i < PAGES; i++)
		EXPECT_TRUE(is_page(p + i * PAGE, i));
	put(p, 'p');
	ASSERT_EQ(0, munmap(p, LEN));
	EXPECT_EQ('q', touch(q));
	EXPECT_EQ('q', byte_of(other, LEN - 1));
	EXPECT_EQ('p', byte_of(self->fd, 0));
	ASSERT_EQ(0, munmap(q, LEN));
	close(other);
}

/* The child has the parent's mappings, and may undo its own of them. */
TEST_F(lab, fork_takes_the_mappings_along)
{
	unsigned char *shared = map(self->fd, READ_WRITE, MAP_SHARED);
	unsigned char *private = map(self->fd, READ_WRITE, MAP_PRIVATE);
	int status;
	pid_t pid;

	ASSERT_NE(MAP_FAILED, shared);
	ASSERT_NE(MAP_FAILED, private);
	put(private, 'p');
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		/* One touched by the parent before, and one by nobody */
		if (touch(private) != 'p' || !is_page(shared + PAGE, 1))
			_exit(1);
		put(private, 'c');
		put(shared + 2 * PAGE, 'c');
		if (fd_value(self->fd, "mappings") != 4)
			_exit(2);
		if (munmap(shared, LEN) || munmap(private, LEN))
			_exit(3);
		_exit(fd_value(self->fd, "mappings") != 2);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ('p', touch(private));
	EXPECT_TRUE(is_page(shared + PAGE, 1));
	EXPECT_EQ('c', touch(shared + 2 * PAGE));
	EXPECT_EQ(content(0), byte_of(self->fd, 0));
	ASSERT_EQ(0, munmap(shared, LEN));
	ASSERT_EQ(0, munmap(private, LEN));
}

/* To map is to promise.  Only what is touched costs a fault and a page. */
TEST_F(lab, lazy)
{
	const size_t huge = IS_32_BIT ? 1024 * MIB
				      : (size_t)(1024ULL * 1024 * MIB);
	struct account before, d;
	unsigned char *p;
	int64_t minor;

	ASSERT_EQ(0, mlockall(MCL_CURRENT));
	before = account_of(self->fd);
	minor = minor_faults();
	p = mmap(NULL, huge, READ_WRITE, MAP_SHARED, self->fd, PLACE(2));
	EXPECT_EQ(minor, minor_faults());
	ASSERT_NE(MAP_FAILED, p);
	d = account_of_since(self->fd, &before);
	if (cached_pages(p, MIB) && !d.cached_bytes)
		SKIP(munmap(p, huge); return, CACHED_ALREADY);
	EXPECT_EQ(0, d.cached_bytes);
	EXPECT_EQ(0, d.read_faults);

	minor = minor_faults();
	touch(p + 7 * PAGE);
	put(p + 4 * MIB, 1);
	EXPECT_EQ(minor + 2, minor_faults());
	d = account_of_since(self->fd, &before);
	EXPECT_EQ(2 * folio_size_of(self->fd), d.cached_bytes);
	EXPECT_EQ(1, d.read_faults);
	EXPECT_EQ(1, d.write_faults);
	/* The file is not as long as that */
	EXPECT_EQ(SIGBUS, touch_signal(p + huge - PAGE, 0));
	ASSERT_EQ(0, munmap(p, huge));
}

/* Mapped from an offset on, the first page is not the file's first. */
TEST_F(lab, at_an_offset)
{
	unsigned char *p = mmap(NULL, 2 * PAGE, READ_WRITE, MAP_SHARED,
				self->fd, 3 * PAGE);

	ASSERT_NE(MAP_FAILED, p);
	/* To be written to, and to be read, is not the same way to a page */
	put(p + PAGE, 'o');
	EXPECT_EQ('o', byte_of(self->fd, 4 * PAGE));
	EXPECT_EQ(content(4), touch(p + PAGE + 1));
	EXPECT_TRUE(is_page(p, 3));
	ASSERT_EQ(0, munmap(p, PAGE));
	EXPECT_EQ('o', touch(p + PAGE));
	ASSERT_EQ(0, munmap(p + PAGE, PAGE));
	EXPECT_EQ('o', byte_of(self->fd, 4 * PAGE));
}

/* One byte more than a page is two pages; a byte more than those is nobody's. */
TEST_F(lab, beyond_the_mapped_part)
{
	unsigned char *p = mmap(NULL, 4 * PAGE, PROT_NONE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	/* To keep others from being mapped behind it */
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(p, mmap(p, PAGE + 1, READ_WRITE, MAP_SHARED | MAP_FIXED,
			  self->fd, 0));
	EXPECT_TRUE(is_page(p + PAGE, 1));
	EXPECT_EQ(SIGSEGV, touch_signal(p + 2 * PAGE, 0));
	EXPECT_EQ(SEGV_ACCERR, touch_info.si_code);
	EXPECT_EQ(p + 2 * PAGE, touch_info.si_addr);
	ASSERT_EQ(0, munmap(p + 2 * PAGE, 2 * PAGE));
	EXPECT_EQ(SIGSEGV, touch_signal(p + 2 * PAGE, 1));
	EXPECT_EQ(SEGV_MAPERR, touch_info.si_code);
	/* It was no write to the file's third page */
	EXPECT_EQ(content(2), byte_of(self->fd, 2 * PAGE));
	ASSERT_EQ(0, munmap(p, 2 * PAGE));
}

TEST_HARNESS_MAIN
