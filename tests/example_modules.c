// SPDX-License-Identifier: GPL-2.0-only
/*
 * The modules in examples/modules, each asked the same: what a mapping shows, to whom, and where
 * it ends.
 */
#include "example_modules.h"

/* What a program reads there nobody has left there. */
TEST_F(module, begins_with_zeroes)
{
	static const unsigned char zeroes[PAGE_MAX];
	const int pages = SOME_MIB;
	unsigned char *p;

	RUN_IF_READY();
	soil_free_memory();
	RELOAD(pages);
	p = map(self->fd, MAP_SHARED, 0, pages);
	ASSERT_NE(MAP_FAILED, p);
	for (int i = 0; i < pages; i++) {
		ASSERT_EQ(0, memcmp(p + i * PAGE, zeroes, PAGE))
		TH_LOG("page %d", i);
	}
	munmap(p, pages * PAGE);
}

/* Whoever maps it sees the same, now and later. */
TEST_F(module, shared)
{
	unsigned char *p, *q;
	int fd;

	RUN_IF_READY();
	p = map_all(self->fd);
	ASSERT_NE(MAP_FAILED, p);
	for (int i = 0; i < N; i++)
		memset(p + i * PAGE, i + 1, PAGE);
	fd = open_node(variant, O_RDONLY);
	ASSERT_GE(fd, 0);
	q = mmap(NULL, N * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, q);
	EXPECT_EQ(0, memcmp(p, q, N * PAGE));
	put(p + 5 * PAGE, 77);
	EXPECT_EQ(77, touch(q + 5 * PAGE));
	munmap(p, N * PAGE);
	munmap(q, N * PAGE);
	close(fd);
	p = map_all(self->fd);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(77, touch(p + 5 * PAGE));
	for (int i = 0; i < N; i++) {
		EXPECT_EQ(i + 1, touch(p + i * PAGE + 1));
	}
	munmap(p, N * PAGE);
}

/* The page follows from the offset, also after a part of the mapping is gone. */
TEST_F(module, parts)
{
	unsigned char *p, *q;

	RUN_IF_READY();
	p = map_all(self->fd);
	ASSERT_NE(MAP_FAILED, p);
	for (int i = 0; i < N; i++)
		put(p + i * PAGE, i);
	for (int i = 0; i < N; i++) {
		q = map(self->fd, MAP_SHARED, i, 1);
		ASSERT_NE(MAP_FAILED, q);
		EXPECT_EQ(i, touch(q));
		munmap(q, PAGE);
	}
	ASSERT_EQ(0, munmap(p, PAGE));
	ASSERT_EQ(0, munmap(p + 5 * PAGE, PAGE));
	ASSERT_EQ(0, mprotect(p + 8 * PAGE, PAGE, PROT_READ));
	EXPECT_EQ(SIGSEGV, touch_signal(p + 8 * PAGE, 1));
	ASSERT_EQ(0, mprotect(p + 8 * PAGE, PAGE, PROT_READ | PROT_WRITE));
	/* Entries are dropped, and made again */
	EXPECT_EQ(variant->kind == PHYSICAL ? -1 : 0,
		  madvise(p + 6 * PAGE, (N - 6) * PAGE, MADV_DONTNEED));
	for (int i = 1; i < N; i++) {
		if (i == 5)
			continue;
		EXPECT_EQ(i, touch(p + i * PAGE));
	}
	put(p + 8 * PAGE, 88);
	q = map(self->fd, MAP_SHARED, 8, 1);
	ASSERT_NE(MAP_FAILED, q);
	EXPECT_EQ(88, touch(q));
	munmap(q, PAGE);
	munmap(p, N * PAGE);
}

/* Writes to a private mapping go to copies.  What was not written to is no copy. */
TEST_F(module, private)
{
	unsigned char *p, *q;

	RUN_IF_READY();
	p = map_all(self->fd);
	ASSERT_NE(MAP_FAILED, p);
	q = map(self->fd, MAP_PRIVATE, 0, N);
	ASSERT_NE(MAP_FAILED, q);
	memset(p, 3, 3 * PAGE);
	EXPECT_EQ(3, touch(q + PAGE));
	put(q + PAGE, 4);
	put(q + 9 * PAGE, 4); /* not touched before */
	put(p + PAGE + 1, 5);
	put(p + 2 * PAGE, 6);
	EXPECT_EQ(3, touch(p + PAGE));
	EXPECT_EQ(0, touch(p + 9 * PAGE));
	EXPECT_EQ(4, touch(q + PAGE));
	EXPECT_EQ(3, touch(q + PAGE + 1));
	EXPECT_EQ(4, touch(q + 9 * PAGE));
	EXPECT_EQ(6, touch(q + 2 * PAGE));
	munmap(q, N * PAGE);
	EXPECT_EQ(3, touch(p + PAGE));
	munmap(p, N * PAGE);
}

/* Who may only read the device cannot write to it. */
TEST_F(module, read_only)
{
	unsigned char *p;
	int fd;

	RUN_IF_READY();
	fd = open_node(variant, O_RDONLY);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(MAP_FAILED, map_all(fd));
	EXPECT_EQ(EACCES, errno);
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0, touch(p));
	EXPECT_FAILS(EACCES, mprotect(p, PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(SIGSEGV, touch_signal(p, 1));
	munmap(p, PAGE);
	p = map(fd, MAP_PRIVATE, 0, 1);
	ASSERT_NE(MAP_FAILED, p);
	put(p, 1);
	munmap(p, PAGE);
	p = map_all(self->fd);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0, touch(p));
	munmap(p, N * PAGE);
	close(fd);
}

TEST_F(module, fork)
{
	unsigned char *p, *q;
	int status;
	pid_t pid;

	RUN_IF_READY();
	p = map_all(self->fd);
	ASSERT_NE(MAP_FAILED, p);
	q = map(self->fd, MAP_PRIVATE, 0, N);
	ASSERT_NE(MAP_FAILED, q);
	put(p, 1);
	put(q + PAGE, 2);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (pid == 0) {
		bool right = touch(p) == 1 && touch(q + PAGE) == 2;

		put(p + 2 * PAGE, 3); /* the parent has not touched it */
		put(q + PAGE, 4);
		munmap(p, N * PAGE);
		_exit(!right);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(3, touch(p + 2 * PAGE));
	EXPECT_EQ(2, touch(q + PAGE));
	EXPECT_EQ(0, touch(p + PAGE));
	munmap(p, N * PAGE);
	munmap(q, N * PAGE);
}

/* A mapping can be moved; if it can grow, then not beyond the end of the device. */
TEST_F(module, mremap)
{
	unsigned char *p, *q, *place;

	RUN_IF_READY();
	p = map(self->fd, MAP_SHARED, N - 2, 2);
	ASSERT_NE(MAP_FAILED, p);
	put(p, 1);
	put(p + PAGE, 2);
	place = mmap(NULL, 8 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		     0);
	ASSERT_NE(MAP_FAILED, place);
	q = mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place);
	ASSERT_EQ(place, q);
	EXPECT_EQ(SIGSEGV, touch_signal(p, 0));
	EXPECT_EQ(1, touch(q));
	p = mremap(q, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE);
	if (variant->kind == PHYSICAL) {
		EXPECT_EQ(MAP_FAILED, p);
		EXPECT_EQ(EFAULT, errno);
		p = q;
	} else {
		ASSERT_NE(MAP_FAILED, p);
		EXPECT_EQ(SIGBUS, touch_signal(p + 2 * PAGE, 0));
		EXPECT_EQ(SIGBUS, touch_signal(p + 3 * PAGE, 1));
	}
	EXPECT_EQ(2, touch(p + PAGE));
	ASSERT_EQ(p, mremap(p, 2 * PAGE, PAGE, 0));
	EXPECT_EQ(1, touch(p));
	munmap(p, 4 * PAGE);
	munmap(place, 8 * PAGE);
}

/* Only a file can be mapped beyond its end, and no device where offsets end. */
TEST_F(module, offsets)
{
	/* So many pages are 2^63 bytes */
	const uint64_t half = (1ULL << 63) / PAGE;
	const struct {
		uint64_t page, pages;
	} beyond[] = {
		{ 0, N + 1 },
		{ 1, N },
		{ N - 1, 2 },
		{ N, 1 },
		{ N + 1, 1 },
		{ (1ULL << 32) - 1, 1 },
		{ 1ULL << 32, 1 },
		{ (1ULL << 32) + 1, N },
		/* The last offset of a file; then 2^63, and the end of the numbers */
		{ half - 1, 1 },
		{ half - 2, 2 },
		{ half, 1 },
		{ half + 1, N - 1 },
		{ 2 * half - 2, 1 },
		{ 2 * half - 1, 1 },
		{ 2 * half - 1, 2 },
		{ 2 * half - N, N },
	};

	RUN_IF_READY();
	for (size_t i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++) {
		uint64_t page = beyond[i].page, pages = beyond[i].pages;
		uint64_t end = page + pages;
		int error = variant->kind == CACHE || end >= 2 * half ? EOVERFLOW
								      : EINVAL;
		unsigned char *p;

		if (IS_32_BIT && page >> 32)
			continue;
		p = map(self->fd, MAP_SHARED, page, pages);
		if (variant->kind != CACHE || end >= half) {
			EXPECT_EQ(MAP_FAILED, p) TH_LOG("page %" PRIu64, page);
			EXPECT_EQ(error, errno) TH_LOG("page %" PRIu64, page);
			continue;
		}
		ASSERT_NE(MAP_FAILED, p) TH_LOG("page %" PRIu64, page);
		EXPECT_EQ(page < N ? 0 : SIGBUS, touch_signal(p, 0));
		EXPECT_EQ(SIGBUS, touch_signal(p + (pages - 1) * PAGE, 0));
		EXPECT_EQ(SIGBUS, touch_signal(p + (pages - 1) * PAGE, 1));
		munmap(p, pages * PAGE);
	}
}

/* What the kernel may do with the mapping. */
TEST_F(module, flags)
{
	bool bare = variant->kind == PHYSICAL;
	unsigned char *p, vec[N];

	RUN_IF_READY();
	p = map_all(self->fd);
	ASSERT_NE(MAP_FAILED, p);
	if (by_legacy_hook(variant->kind)) {
		EXPECT_EQ(0,
			  access("/sys/module/vmademo_physical/parameters/legacy_mmap",
				 F_OK));
	}
	EXPECT_EQ(bare, vm_flag(p, "pf"));
	EXPECT_EQ(bare, vm_flag(p, "io"));
	EXPECT_EQ(bare, vm_flag(p, "de"));
	EXPECT_EQ(bare, vm_flag(p, "dd"));
	EXPECT_FALSE(vm_flag(p, "mm"));
	EXPECT_EQ(0, mincore(p, N * PAGE, vec));
	EXPECT_EQ(bare ? -1 : 0, madvise(p, N * PAGE, MADV_POPULATE_READ));
	EXPECT_EQ(bare ? -1 : 0, madvise(p, N * PAGE, MADV_POPULATE_WRITE));
	if (bare) {
		EXPECT_EQ(EINVAL, errno);
	} else {
		EXPECT_EQ(N * PAGE, smaps_value(p, "Rss"));
	}
	munmap(p, N * PAGE);
}

TEST_HARNESS_MAIN
