// SPDX-License-Identifier: GPL-2.0-only
/*
 * What it costs to map 64 MiB of physical memory, in instructions: by /dev/mem, by
 * an eager window, by a lazy one.  Needs a machine whose clock counts instructions,
 * one a nanosecond (scripts/vm -c), and then VMADEMO_COUNTED is set.
 */
#include <time.h>

#include "kselftest_harness.h"
#include "vmademo_test.h"
#include "windows.h"

#define LEN (64 * MIB)

struct cost {
	/* instructions, of the second of two rounds */
	int64_t map, touch, unmap;
};

static int64_t instructions(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* Maps, touches every page, unmaps; the first round warms up. */
static struct cost measure(int fd, off_t offset)
{
	struct cost cost = { -1, -1, -1 };

	for (int round = 0; round < 2; round++) {
		int64_t start = instructions(), mapped, touched;
		unsigned char *p = mmap(NULL, LEN, PROT_READ | PROT_WRITE,
					MAP_SHARED, fd, offset);

		if (p == MAP_FAILED)
			return cost;
		mapped = instructions();
		for (size_t at = 0; at < LEN; at += PAGE)
			touch(p + at);
		touched = instructions();
		munmap(p, LEN);
		cost.unmap = instructions() - touched;
		cost.touch = touched - mapped;
		cost.map = mapped - start;
	}
	return cost;
}

static void print(const char *name, struct cost c)
{
	printf("# %-22s %10" PRId64 " %10" PRId64 " %10" PRId64 "\n", name,
	       c.map, c.touch, c.unmap);
}

TEST(of_mapping_64_mib)
{
	const uint64_t bar = ivshmem_bar();
	struct cost mem, eager, lazy;
	char phys[64];
	int fd;

	if (!getenv("VMADEMO_COUNTED") || !*getenv("VMADEMO_COUNTED"))
		SKIP(return,
			   "the clock of this machine does not count instructions");
	ASSERT_NE(0, bar);
	/* What the kernel does after booting is over; here, idling costs nothing */
	sleep(30);

	/* While the module has not claimed the range, or /dev/mem would refuse */
	ASSERT_EQ(0, unload_module());
	fd = open("/dev/mem", O_RDWR);
	ASSERT_GE(fd, 0);
	mem = measure(fd, bar);
	ASSERT_LT(0, mem.map);
	close(fd);

	snprintf(phys, sizeof(phys), "64M@0x%" PRIx64, bar);
	ASSERT_TRUE(use_window(phys, 0));
	fd = open(WINDOW, O_RDWR);
	ASSERT_GE(fd, 0);
	eager = measure(fd, 0);
	close(fd);
	ASSERT_TRUE(use_window(phys, 1));
	fd = open(WINDOW, O_RDWR);
	ASSERT_GE(fd, 0);
	lazy = measure(fd, 0);
	close(fd);

	printf("# instructions, 64 MiB         mmap      touch     munmap\n");
	print("/dev/mem", mem);
	print("window, eager", eager);
	print("window, lazy", lazy);
	fflush(stdout);

	/* Most of what /dev/mem costs is to ask of each page whether it may */
	EXPECT_GE(mem.map * 15 / 100, eager.map);
	/* To map lazily is to do nothing yet, however large it is */
	EXPECT_GE(eager.map / 100, lazy.map);
	/* With entries of 2 MiB the 32 faults are cheap too; the loop is not ours */
	if (huge_entries()) {
		EXPECT_GE(mem.map / 100, lazy.map + lazy.touch - eager.touch);
		EXPECT_GE(eager.map / 10, lazy.map + lazy.touch - eager.touch);
	}
}

TEST_HARNESS_MAIN
