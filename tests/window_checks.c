// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which part of a physical window may be mapped: mmap_mem's error codes in their
 * order, 10,000 random mappings, and the arithmetic where no machine could try it.
 */
#include <sys/statvfs.h>

#include "window_fixture.h"
#include "../module/phys/check.h"

/* So many pages can be named by an offset */
#define PAGES_ADDRESSED (IS_32_BIT ? 1ULL << 32 : UINT64_MAX / PAGE + 1)

TEST_F(window, error_codes_of_mmap_mem)
{
	RUN_IF_READY();

	const int bits = physical_bits();
	const uint64_t last = LEN - PAGE;

	ASSERT_LT(0, bits);
	EXPECT_EQ(0, map_error(self->fd, LEN, 0));
	EXPECT_EQ(0, map_error(self->fd, PAGE, last));
	/* One page past the end, and the end crossed: not ours */
	EXPECT_EQ(EPERM, map_error(self->fd, PAGE, LEN));
	EXPECT_EQ(EPERM, map_error(self->fd, 2 * PAGE, last));
	EXPECT_EQ(EPERM, map_error(self->fd, LEN + PAGE, 0));
	EXPECT_EQ(EPERM, map_error(self->fd, PAGE, 1ULL << (bits - 1)));
	/* No such physical address */
	EXPECT_EQ(EINVAL, map_error(self->fd, PAGE, 1ULL << bits));
	/* It is asked of the last byte, before it is asked whose it is */
	EXPECT_EQ(EINVAL, map_error(self->fd, 2 * PAGE, (1ULL << bits) - PAGE));
	/* Uncached access to what is cached, asked in the place of mmap_mem's */
	close(self->fd);
	self->fd = open(WINDOW, O_RDWR | O_SYNC);
	EXPECT_EQ(EINVAL, map_error(self->fd, PAGE, 0));
	EXPECT_EQ(EPERM, map_error(self->fd, PAGE, LEN));
	if (IS_32_BIT)
		return;
	/* With the window's base added, it wraps around the end of them all */
	EXPECT_EQ(EINVAL, map_error(self->fd, PAGE, -(uint64_t)PAGE));
	/* An end that is no 64-bit offset: mmap itself says so */
	EXPECT_EQ(EOVERFLOW, map_error(self->fd, 2 * PAGE, -(uint64_t)PAGE));
}

/* Where nothing can be mapped, /dev/mem gives the same answers. */
TEST_F(window, dev_mem_answers_the_same)
{
	RUN_IF_READY();

	const int bits = physical_bits();
	const struct {
		uint64_t len, offset;
	} at[] = {
		{ PAGE, 1ULL << bits },
		{ 2 * PAGE, (1ULL << bits) - PAGE },
		{ PAGE, -(uint64_t)PAGE },
		{ 2 * PAGE, -(uint64_t)PAGE },
		{ PAGE, 1ULL << 63 },
		{ 4 * PAGE, -(uint64_t)(4 * PAGE) },
		{ PAGE, (1ULL << 63) - PAGE },
		{ 1ULL << bits, 1ULL << (bits - 1) },
	};
	int mem = open("/dev/mem", O_RDWR);

	if (mem < 0)
		SKIP(return, "this kernel has no /dev/mem");
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		int theirs;

		if (at[i].len > SIZE_MAX)
			continue;
		theirs = map_error(mem, at[i].len, at[i].offset);

		/* arm64 does not see that the end wraps around; the module does */
		if (!theirs && strcmp(bar_memtype(), "wb")) {
			EXPECT_EQ(EINVAL,
				  map_error(self->fd, at[i].len, at[i].offset));
			continue;
		}
		EXPECT_NE(0, theirs);
		EXPECT_EQ(theirs, map_error(self->fd, at[i].len, at[i].offset))
		TH_LOG("%" PRIx64 " bytes at %" PRIx64, at[i].len, at[i].offset);
	}
	close(mem);
}

/* What mmap_mem answers, counted in pages, where nothing can overflow. */
static int answer(uint64_t base, int bits, uint64_t pgoff, uint64_t pages,
		  bool refused)
{
	if (base + pgoff + pages > (1ULL << bits) / PAGE || refused)
		return EINVAL;
	return pgoff + pages > LEN / PAGE ? EPERM : 0;
}

/* Those that ask for no other answer; and one that does. */
static const int more_flags[] = {
	0,
	MAP_POPULATE,
	MAP_NORESERVE,
	MAP_LOCKED,
	MAP_NONBLOCK | MAP_POPULATE,
	MAP_SYNC,
};

/* 10,000 random mappings: each is answered as a model of the checks says. */
TEST_F(window, random_mappings)
{
	RUN_IF_READY();

	const unsigned int all = LEN / PAGE;
	const int bits = physical_bits();
	const int fds[] = { self->fd, self->fd, open(WINDOW, O_RDONLY),
			    open(WINDOW, O_RDWR | O_SYNC) };
	unsigned int seed = 11;
	int seen[200] = { 0 };
	struct statvfs dev;

	ASSERT_EQ(0, statvfs(WINDOW, &dev));
	for (int step = 0; step < 10000; step++) {
		const bool private = rand_r(&seed) % 4 == 0;
		/* All combinations, most often one to read */
		const int prot = rand_r(&seed) % 8 |
				 (rand_r(&seed) % 4 ? PROT_READ : PROT_NONE);
		const int more = more_flags[rand_r(&seed) % 6];
		const int which = rand_r(&seed) % 4;
		uint64_t pages = rand_r(&seed) % (all + 6) + 1;
		uint64_t pgoff = rand_r(&seed) % (all + 76);
		uint64_t size = pages * PAGE;
		int flags = more | (private ? MAP_PRIVATE : MAP_SHARED_VALIDATE);
		int expected;
		unsigned char *p;

		switch (rand_r(&seed) % 6) {
		case 0: /* somewhere far */
			pgoff = ((uint64_t)rand_r(&seed) << 21 ^ rand_r(&seed)) &
				(PAGES_ADDRESSED - 1);
			break;
		case 1: /* near the end of all addresses */
			pgoff = ((1ULL << bits) / PAGE) -
				rand_r(&seed) % (all + 76);
			break;
		case 2: /* small, so that more of them fit */
			size = PAGE;
			break;
		}
		if (IS_32_BIT)
			pgoff &= 0xffffffff;
		if (pgoff + size / PAGE > PAGES_ADDRESSED)
			expected = EOVERFLOW; /* mmap itself */
		else if (more & MAP_SYNC && !private)
			expected = EOPNOTSUPP; /* likewise; a private one need not */
		else if (which == 2 && prot & PROT_WRITE && !private)
			expected = EACCES; /* likewise */
		else if (prot & PROT_EXEC && dev.f_flag & ST_NOEXEC)
			expected = EPERM; /* likewise */
		else
			expected = answer(self->base / PAGE, bits, pgoff,
					  size / PAGE,
					  private && !self->private_ok);
		/* None of these windows is uncached; that is asked last */
		if (!expected && which == 3)
			expected = EINVAL;
		p = mmap64(NULL, size, prot, flags, fds[which], pgoff * PAGE);
		ASSERT_EQ(expected, p == MAP_FAILED ? errno : 0)
		TH_LOG("step %d: %" PRIu64 " bytes at page %" PRIu64
		       " prot %d flags %#x descriptor %d",
		       step, size, pgoff, prot, flags, which);
		if (expected < 200)
			seen[expected]++;
		if (p == MAP_FAILED)
			continue;
		/* It is that part of the window, and a copy is not */
		if (prot & PROT_WRITE) {
			uint64_t back = 0, was = 0;

			ASSERT_EQ(8, pread(self->fd, &was, 8,
					   pgoff * PAGE + size - 8));
			ASSERT_EQ(was, number_at(p + size - 8));
			put_number(p + size - 8, step);
			ASSERT_EQ(8, pread(self->fd, &back, 8,
					   pgoff * PAGE + size - 8));
			ASSERT_EQ(private ? was : step, back);
			ASSERT_EQ(step, number_at(p + size - 8));
		} else if (!(prot & (PROT_READ | PROT_EXEC))) {
			ASSERT_EQ(SIGSEGV, touch_signal(p, 0));
		}
		munmap(p, size);
	}
	/* All answers came */
	EXPECT_LT(0, seen[0]);
	EXPECT_LT(0, seen[EINVAL]);
	EXPECT_LT(0, seen[EPERM]);
	EXPECT_LT(0, seen[EACCES]);
	EXPECT_LT(0, seen[EOPNOTSUPP]);
	EXPECT_EQ(0, window_value("mappings"));
	close(fds[2]);
	close(fds[3]);
}

/* ---- the arithmetic of the checks, where no machine could try it --------- */

TEST(table_of_checks)
{
	/* These are numbers: with pages of 4 KiB, whatever there are here */
	const uint64_t G = 1ULL << 30, M = 1ULL << 20, P = 4096,
		       high = 1ULL << 52;
	const struct {
		uint64_t base, bytes, pgoff, size;
		unsigned int bits;
		bool private_ok;
		int result;
	} rows[] = {
		/* inside, its last page, all of it */
		{ G, 2 * M, 0, P, 40, true, 0 },
		{ G, 2 * M, 511, P, 40, true, 0 },
		{ G, 2 * M, 0, 2 * M, 40, true, 0 },
		{ 0, P, 0, P, 40, true, 0 },
		/* one past, across the end, larger than it */
		{ G, 2 * M, 512, P, 40, true, -EPERM },
		{ G, 2 * M, 511, 2 * P, 40, true, -EPERM },
		{ G, 2 * M, 0, 2 * M + P, 40, true, -EPERM },
		{ 0, P, 1, P, 40, true, -EPERM },
		/* the last page there is; one further */
		{ (1ULL << 40) - M, M, 255, P, 40, true, 0 },
		{ (1ULL << 40) - M, M, 256, P, 40, true, -EINVAL },
		{ (1ULL << 40) - M, M, 255, 2 * P, 40, true, -EINVAL },
		/* 64 bits of address: up to the very last byte, no wrap */
		{ -(uint64_t)P, P, 0, P, 64, true, 0 },
		{ -(uint64_t)P, P, 1, P, 64, true, -EINVAL },
		{ -(uint64_t)P, P, 0, 2 * P, 64, true, -EINVAL },
		{ G, 2 * M, high - 1, P, 64, true, -EINVAL },
		{ G, 2 * M, high - G / P - 1, 2 * P, 64, true, -EINVAL },
		{ G, 2 * M, high - G / P - 1, P, 64, true, -EPERM },
		/* an offset that is no number of bytes */
		{ G, 2 * M, high, P, 64, true, -EINVAL },
		{ G, 2 * M, UINT64_MAX, P, 64, true, -EINVAL },
		/* private is asked after what can be, before whose it is */
		{ G, 2 * M, 0, P, 40, false, -EINVAL },
		{ G, 2 * M, 512, P, 40, false, -EINVAL },
		/* a window that fills all there is */
		{ 0, 1ULL << 40, (1ULL << 28) - 1, P, 40, true, 0 },
		{ 0, 1ULL << 40, 0, 1ULL << 40, 40, true, 0 },
		{ 0, 1ULL << 40, 1, 1ULL << 40, 40, true, -EINVAL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		EXPECT_EQ(rows[i].result,
			  vmademo_phys_check(rows[i].base, rows[i].bytes,
					     rows[i].bits, 12, rows[i].pgoff,
					     rows[i].size, rows[i].private_ok))
		TH_LOG("row %zu", i);
	}
}

TEST_HARNESS_MAIN
