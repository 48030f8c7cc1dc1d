// SPDX-License-Identifier: GPL-2.0-only
/*
 * Windows on real devices (those of QEMU): registers of a PCI device, memory that
 * is shared with the world outside the machine, and how each is cached.
 */
#include "kselftest_harness.h"
#include "vmademo_test.h"
#include "windows.h"

FIXTURE(devices)
{
	const char *skip;
};

FIXTURE_VARIANT(devices)
{
	bool lazy;
};

FIXTURE_VARIANT_ADD(devices, eager){
	.lazy = false,
};

FIXTURE_VARIANT_ADD(devices, lazy){
	.lazy = true,
};

FIXTURE_SETUP(devices)
{
	if (!getenv("VMADEMO_KO"))
		self->skip = "VMADEMO_KO does not name the module to load";
	else if (!ivshmem_bar() || !edu_bar())
		self->skip = "the machine has no ivshmem or no edu device";
}

FIXTURE_TEARDOWN(devices)
{
}

/* Loads the module for a window of the device, and maps all of it. */
static void *map_device(struct __test_metadata *_metadata, uint64_t base,
			size_t len, const char *memtype, bool lazy)
{
	char parameters[256];
	void *p;
	int fd;

	snprintf(parameters, sizeof(parameters),
		 "phys=%zu@0x%" PRIx64 " phys_memtype=%s phys_map=%s", len,
		 base, memtype, lazy ? "lazy" : "eager");
	if (module_is_loaded())
		ASSERT_EQ(0, unload_module());
	ASSERT_EQ(0, load_module(parameters));
	fd = open(WINDOW, O_RDWR);
	ASSERT_GE(fd, 0);
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	close(fd);
	return p;
}

/* Registers of edu, by their offset; each is read and written as 32 bits. */
enum { EDU_IDENT = 0, EDU_INVERT = 4, EDU_FACTORIAL = 8, EDU_STATUS = 0x20 };

/* A device that does something when it is written to. */
TEST_F(devices, registers)
{
	RUN_IF_READY();

	volatile uint32_t *reg = map_device(_metadata, edu_bar(), MIB, "uc",
					    variant->lazy);
	int mem = open("/proc/self/mem", O_RDWR);
	uint32_t value = 0;

	EXPECT_EQ(0x010000ed, reg[EDU_IDENT / 4]);
	reg[EDU_INVERT / 4] = 0x12345678;
	EXPECT_EQ(~0x12345678U, reg[EDU_INVERT / 4]);
	/* It computes while its status says busy */
	reg[EDU_FACTORIAL / 4] = 10;
	while (reg[EDU_STATUS / 4] & 1)
		;
	EXPECT_EQ(3628800, reg[EDU_FACTORIAL / 4]);

	/* As a debugger reads and writes them */
	EXPECT_EQ(4, pread(mem, &value, 4, (off_t)(uintptr_t)reg));
	EXPECT_EQ(0x010000ed, value);
	value = 0xff;
	EXPECT_EQ(4, pwrite(mem, &value, 4,
			    (off_t)(uintptr_t)(reg + EDU_INVERT / 4)));
	EXPECT_EQ(~0xffU, reg[EDU_INVERT / 4]);
	close(mem);
	munmap((void *)reg, MIB);
}

/* Outside is a file: it wrote at 0, and looks later for what is at 1 MiB. */
TEST_F(devices, shared_with_the_outside)
{
	RUN_IF_READY();

	static const char words[] = "from the guest\n";
	char *p = map_device(_metadata, ivshmem_bar(), 4 * MIB, "wb",
			     variant->lazy);

	EXPECT_EQ(0, memcmp(p, "from the host\n", 14));
	memset(p + MIB, 0, sizeof(words));
	memcpy(p + MIB, words, sizeof(words) - 1);
	munmap(p, 4 * MIB);
}

/* What one way of mapping wrote, the other reads, byte for byte. */
TEST_F(devices, eager_and_lazy_agree)
{
	RUN_IF_READY();

	const uint64_t bar = ivshmem_bar();
	const size_t len = 3 * MIB;
	unsigned int seed = 5;
	char *p = map_device(_metadata, bar + 4 * MIB, len, "wb", variant->lazy);

	for (size_t i = 0; i < len; i++)
		p[i] = rand_r(&seed);
	munmap(p, len);
	p = map_device(_metadata, bar + 4 * MIB, len, "wb", !variant->lazy);
	seed = 5;
	for (size_t i = 0; i < len; i++)
		ASSERT_EQ((char)rand_r(&seed), p[i]);
	munmap(p, len);
}

/* Wherever a window begins, what is aligned in memory gets large entries. */
TEST_F(devices, a_base_at_an_odd_place)
{
	RUN_IF_READY();

	char *p = map_device(_metadata, ivshmem_bar() + 17 * MIB, 8 * MIB, "wb",
			     variant->lazy);

	for (size_t at = 0; at < 8 * MIB; at += PAGE)
		put(p + at, at / PAGE);
	for (size_t at = 0; at < 8 * MIB; at += PAGE)
		ASSERT_EQ((unsigned char)(at / PAGE), touch(p + at));
	if (variant->lazy && huge_entries() && !IS_32_BIT)
		EXPECT_EQ(3, window_value("huge_faults"));
	munmap(p, 8 * MIB);
}

/*
 * The type of memory, as the processor was told (x86).  "wb" is what the firmware
 * said of the range, and for a BAR it said uncached.
 */
TEST_F(devices, memory_types)
{
	RUN_IF_READY();

	static const struct {
		const char *memtype, *installed;
	} types[] = {
		{ "uc", "uncached-minus" },
		{ "wc", "write-combining" },
		{ "wb", "uncached-minus" },
	};
	const uint64_t base = ivshmem_bar() + 8 * MIB;

	for (size_t i = 0; i < 3; i++) {
		char *p = map_device(_metadata, base, MIB, types[i].memtype,
				     variant->lazy);
		char line[256], expected[64];
		int right = 0, wrong = 0;
		FILE *f = fopen("/sys/kernel/debug/x86/pat_memtype_list", "r");

		if (!f)
			SKIP(return, "the kernel does not list memory types");
		put(p + PAGE, 1);
		EXPECT_EQ(1, touch(p + PAGE));
		snprintf(expected, sizeof(expected), "0x%016" PRIx64 "-", base);
		while (fgets(line, sizeof(line), f)) {
			if (!strstr(line, expected))
				continue;
			if (strstr(line, types[i].installed))
				right++;
			else
				wrong++;
		}
		fclose(f);
		/* The kernel's mapping, and if it is eager the program's */
		EXPECT_LE(variant->lazy ? 1 : 2, right)
		TH_LOG("%s", types[i].memtype);
		EXPECT_EQ(0, wrong) TH_LOG("%s", types[i].memtype);
		f = fopen("/sys/class/misc/vmademo-phys0/memtype", "r");
		ASSERT_NE(NULL, f);
		ASSERT_NE(NULL, fgets(line, sizeof(line), f));
		fclose(f);
		EXPECT_EQ(0, strncmp(line, types[i].memtype, 2));
		munmap(p, MIB);
	}
}

/* Uncached access, by O_SYNC as on /dev/mem: where the memory is uncached. */
TEST_F(devices, o_sync)
{
	RUN_IF_READY();

	char *p = map_device(_metadata, ivshmem_bar(), MIB, "uc", variant->lazy);
	int fd = open(WINDOW, O_RDWR | O_SYNC);
	char *q = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	ASSERT_NE(MAP_FAILED, q);
	put(p + 100, 1);
	EXPECT_EQ(1, touch(q + 100));
	close(fd);
	munmap(p, MIB);
	munmap(q, MIB);
}

TEST_HARNESS_MAIN
