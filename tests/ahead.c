// SPDX-License-Identifier: GPL-2.0-only
/*
 * How many pages one fault maps: map_ahead=, advice, and how a program reads.
 */
#include <stdbool.h>

#include "kselftest_harness.h"
#include "vmademo_test.h"

FIXTURE(ahead)
{
	int fd;
};

FIXTURE_SETUP(ahead)
{
	self->fd = open(NODE, O_RDWR);
	ASSERT_GE(self->fd, 0) TH_LOG("%s: %s", NODE, strerror(errno));
	/* The program itself must take no faults while they are counted */
	ASSERT_EQ(0, mlockall(MCL_CURRENT));
}

FIXTURE_TEARDOWN(ahead)
{
	map_ahead("auto");
	close(self->fd);
}

#define MANY 2048 /* pages: four page tables */

static int64_t faults_to_read(unsigned char *p, size_t step, bool backwards)
{
	int64_t before = minor_faults();

	for (size_t i = 0; i < MANY; i += step)
		touch(p + (backwards ? MANY - 1 - i : i) * PAGE);
	return minor_faults() - before;
}

/* What is said is what was asked for. */
TEST_F(ahead, parameter)
{
	static const char path[] = "/sys/module/vmademo/parameters/map_ahead";

	ASSERT_EQ(0, map_ahead("64K"));
	EXPECT_TRUE(file_says(path, "65536\n"));
	ASSERT_EQ(0, map_ahead("auto"));
	EXPECT_TRUE(file_says(path, "auto\n"));
}

/* The more a program reads one page after the other, the more pages are mapped at once. */
TEST_F(ahead, maps)
{
	const unsigned int around = FAULT_AROUND / PAGE;
	const unsigned int tables = (MANY * PAGE + PMD_SIZE - 1) / PMD_SIZE;
	/* 16, 16, 32, 64, 128, 256, until it is all that a page table has */
	const unsigned int growing = 1 + __builtin_ctzl(MANY / tables / around);
	const struct {
		const char *ahead;
		int advice;
		bool backwards;
		int64_t faults;
	} ways[] = {
		{ "auto", MADV_NORMAL, false, growing + tables - 1 },
		{ "auto", MADV_NORMAL, true, MANY / around },
		{ "auto", MADV_SEQUENTIAL, false, tables },
		{ "auto", MADV_SEQUENTIAL, true, tables },
		{ "auto", MADV_RANDOM, false, MANY },
		{ "1p", MADV_SEQUENTIAL, false, MANY },
		{ "2p", MADV_RANDOM, true, MANY / 2 },
		{ "16p", MADV_NORMAL, false, MANY / 16 },
		{ "256p", MADV_RANDOM, false, MANY / 256 },
		{ "512p", MADV_NORMAL, true, MANY / 512 },
	};
	/* One entry maps such a folio, whatever is wanted */
	const bool huge = folio_size_of(self->fd) == (int64_t)PMD_SIZE;
	const int64_t folios = MANY * PAGE / folio_size_of(self->fd);
	size_t len = MANY * PAGE;
	unsigned char *p;
	int64_t faults, wanted;

	for (uint64_t i = 0; i < MANY; i++)
		ASSERT_EQ(8, pwrite(self->fd, &i, 8, PLACE(20) + i * PAGE));
	p = aligned_room(len, PMD_SIZE);
	ASSERT_NE(MAP_FAILED, p);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		ASSERT_EQ(0, map_ahead(ways[i].ahead));
		ASSERT_EQ(p, mmap(p, len, PROT_READ, MAP_SHARED | MAP_FIXED,
				  self->fd, PLACE(20)));
		ASSERT_EQ(0, madvise(p, len, ways[i].advice));
		faults = faults_to_read(p, 1, ways[i].backwards);
		wanted = huge ? tables : ways[i].faults;
		/* Linux 7.0 and newer map all of the folio that .fault returns */
		if (faults == folios && wanted > folios)
			wanted = folios;
		EXPECT_EQ(wanted, faults) TH_LOG("way %zu", i);
		for (size_t n = 0; n < MANY; n++)
			ASSERT_EQ(n, number_at(p + n * PAGE));
	}

	/* At both ends of a small mapping in the middle of a page table */
	ASSERT_EQ(0, map_ahead("512p"));
	ASSERT_EQ(p, mmap(p, len, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	ASSERT_EQ(p + 100 * PAGE,
		  mmap(p + 100 * PAGE, 3 * PAGE, PROT_READ,
		       MAP_SHARED | MAP_FIXED, self->fd, PLACE(20) + 7 * PAGE));
	EXPECT_EQ(8, number_at(p + 101 * PAGE));
	EXPECT_EQ(7, number_at(p + 100 * PAGE));
	EXPECT_EQ(9, number_at(p + 102 * PAGE));
	EXPECT_EQ(SIGSEGV, touch_signal(p + 99 * PAGE, 0));
	EXPECT_EQ(SIGSEGV, touch_signal(p + 103 * PAGE, 0));
	munmap(p, len);
}

/* What is no such number is refused, and the old one holds. */
TEST_F(ahead, refuses)
{
	static const char *const bad[] = { "\n",
					   "0",
					   "1",
					   "4095",
					   "12K",
					   "64M",
					   "-1",
					   "auto2",
					   "4K 8K",
					   "2G",
					   "18446744073709551616",
					   "0000000000000000000065536" };
	char text[24] = "";
	int fd;

	ASSERT_EQ(0, map_ahead("64K"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		EXPECT_EQ(-1, map_ahead(bad[i])) TH_LOG("%s", bad[i]);
		EXPECT_EQ(EINVAL, errno);
	}
	fd = open("/sys/module/vmademo/parameters/map_ahead", O_RDONLY);
	EXPECT_EQ(6, read(fd, text, sizeof(text) - 1));
	EXPECT_STREQ("65536\n", text);
	close(fd);
}

TEST_HARNESS_MAIN
