// SPDX-License-Identifier: GPL-2.0-only
/*
 * What it costs, in instructions: to map 64 MiB of physical memory, by /dev/mem, by an
 * eager window, by a lazy one; and to touch a page of a buffer, beside tmpfs.
 *
 * Needs a machine whose clock counts instructions, one a nanosecond (scripts/vm/boot -c), and
 * then VMADEMO_COUNTED is set.
 */
#include <time.h>

#include "kselftest_harness.h"
#include "../lib/window.h"
#include "vmademo_test.h"
#include "stores.h"

#define LEN (64 * MIB)

struct cost {
	/* instructions, the least of five rounds: an interrupt is not ours */
	int64_t map, touch, unmap;
};

static int64_t instructions(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* Maps, touches every page, unmaps. */
static int64_t less(int64_t least, int64_t now)
{
	return least < 0 || now < least ? now : least;
}

static struct cost measure(int fd, off_t offset, size_t len)
{
	struct cost cost = { -1, -1, -1 };

	for (int round = 0; round < 5; round++) {
		int64_t start = instructions(), mapped, touched;
		unsigned char *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
					MAP_SHARED, fd, offset);

		if (p == MAP_FAILED)
			return cost;
		mapped = instructions();
		for (size_t at = 0; at < len; at += PAGE)
			touch(p + at);
		touched = instructions();
		munmap(p, len);
		cost.unmap = less(cost.unmap, instructions() - touched);
		cost.touch = less(cost.touch, touched - mapped);
		cost.map = less(cost.map, mapped - start);
	}
	return cost;
}

static void print(const char *name, struct cost c)
{
	printf("# %-22s %10" PRId64 " %10" PRId64 " %10" PRId64 "\n", name,
	       c.map, c.touch, c.unmap);
}

static bool counted(void)
{
	const char *set = getenv("VMADEMO_COUNTED");

	if (!set || !*set)
		return false;
	/* What the kernel does after booting is over; here, idling costs nothing */
	sleep(30);
	return true;
}

#define NOT_COUNTED "the clock of this machine does not count instructions"

/* Of one page of 16 MiB: the first touch, a write after that, a touch when cached. */
struct fault_cost {
	int64_t fresh, first_write, cached;
};

static struct fault_cost measure_faults(int fd)
{
	const size_t len = 16 * MIB, pages = len / PAGE;
	struct fault_cost cost = { 0 };
	int64_t start;
	unsigned char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED,
				fd, 0);

	if (p == MAP_FAILED)
		return cost;
	/* One fault for each page: nothing is mapped around it */
	madvise(p, len, MADV_RANDOM);
	start = instructions();
	for (size_t at = 0; at < len; at += PAGE)
		touch(p + at);
	cost.fresh = (instructions() - start) / pages;
	start = instructions();
	for (size_t at = 0; at < len; at += PAGE)
		put(p + at, 1);
	cost.first_write = (instructions() - start) / pages;
	munmap(p, len);

	/* Or the flusher's work would be counted, too */
	fsync(fd);
	p = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return cost;
	start = instructions();
	for (size_t at = 0; at < len; at += PAGE)
		touch(p + at);
	cost.cached = (instructions() - start) / pages;
	munmap(p, len);
	return cost;
}

static void print_faults(const char *name, struct fault_cost c)
{
	printf("# %-22s %10" PRId64 " %10" PRId64 " %10" PRId64 "\n", name,
	       c.fresh, c.first_write, c.cached);
}

TEST(of_a_page)
{
	struct fault_cost none, ram, tmpfs;
	int fd;

	if (!counted())
		SKIP(return, NOT_COUNTED);

	fd = syscall(SYS_memfd_create, "tmpfs", 0);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, ftruncate(fd, 16 * MIB));
	tmpfs = measure_faults(fd);
	close(fd);
	fd = open(NODE, O_RDWR);
	ASSERT_GE(fd, 0);
	none = measure_faults(fd);
	close(fd);
	fd = create_with(VMADEMO_STORE_RAM, 16 * MIB, 0);
	ASSERT_GE(fd, 0);
	ram = measure_faults(fd);
	close(fd);

	printf("# instructions a page         fresh first write     cached\n");
	print_faults("tmpfs", tmpfs);
	print_faults("store none", none);
	print_faults("store ram", ram);
	fflush(stdout);

	/* tmpfs has no first write to be told of, and nothing to account */
	EXPECT_GE(tmpfs.fresh * 125 / 100, none.fresh);
	EXPECT_GE(tmpfs.cached * 110 / 100 + 10, none.cached);
}

TEST(of_mapping_64_mib)
{
	const uint64_t bar = ivshmem_bar();
	struct cost mem, eager, lazy, page;
	char phys[64];
	int fd;

	if (!counted())
		SKIP(return, NOT_COUNTED);
	ASSERT_NE(0, bar);

	/* While the module has not claimed the range, or /dev/mem would refuse */
	ASSERT_EQ(0, unload_module());
	fd = open("/dev/mem", O_RDWR);
	ASSERT_GE(fd, 0);
	mem = measure(fd, bar, LEN);
	ASSERT_LT(0, mem.map);
	close(fd);

	snprintf(phys, sizeof(phys), "64M@0x%" PRIx64, bar);
	ASSERT_TRUE(use_window(phys, 0));
	fd = open(WINDOW, O_RDWR);
	ASSERT_GE(fd, 0);
	eager = measure(fd, 0, LEN);
	close(fd);
	ASSERT_TRUE(use_window(phys, 1));
	fd = open(WINDOW, O_RDWR);
	ASSERT_GE(fd, 0);
	lazy = measure(fd, 0, LEN);
	page = measure(fd, 0, PAGE);
	close(fd);

	printf("# instructions, 64 MiB         mmap      touch     munmap\n");
	print("/dev/mem", mem);
	print("window, eager", eager);
	print("window, lazy", lazy);
	print("one page of it", page);
	fflush(stdout);

	/*
	 * Most of what /dev/mem costs is to ask of each page whether it may; and, on
	 * some kernels, an eager window asks of each how it is cached.
	 */
	EXPECT_GE(mem.map * (remap_marks_vma() ? 75 : 15) / 100, eager.map);
	/* To map lazily is to do nothing yet, however large it is */
	EXPECT_GE(page.map * 2, lazy.map);
	EXPECT_GE(eager.map / 10, lazy.map);
	/* With large entries the few faults are cheap too; the loop is not ours */
	if (huge_entries()) {
		EXPECT_GE(mem.map / 100, lazy.map + lazy.touch - eager.touch);
		EXPECT_GE(eager.map / 10, lazy.map + lazy.touch - eager.touch);
	}
}

TEST_HARNESS_MAIN
