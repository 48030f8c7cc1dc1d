// SPDX-License-Identifier: GPL-2.0-only
/*
 * Windows on real devices (those of QEMU): registers of a PCI device, memory that
 * is shared with the world outside the machine, and how each is cached; whose a
 * device is, and when it goes.
 */
#include "../lib/window.h"
#include "params_fixture.h"

FIXTURE(devices)
{
	const char *skip;
	int kmsg;
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
	self->kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ASSERT_GE(self->kmsg, 0);
	ASSERT_NE(-1, lseek(self->kmsg, 0, SEEK_END));
}

FIXTURE_TEARDOWN(devices)
{
	close(self->kmsg);
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

	/* As read(2) and write(2) do: this device knows nothing but 32 bits */
	uint32_t regs[3] = { 0 };
	int fd = open(WINDOW, O_RDWR);

	EXPECT_EQ(12, pread(fd, regs, 12, 0));
	EXPECT_EQ(0x010000ed, regs[0]);
	EXPECT_EQ(~0xffU, regs[1]);
	EXPECT_EQ(3628800, regs[2]);
	regs[0] = 0x55aa;
	EXPECT_EQ(4, pwrite(fd, regs, 4, EDU_INVERT));
	EXPECT_EQ(~0x55aaU, reg[EDU_INVERT / 4]);
	close(fd);
	munmap((void *)reg, MIB);
}

/* Outside is a file: it wrote at 0, and looks later for what is at 1 MiB. */
TEST_F(devices, shared_with_the_outside)
{
	RUN_IF_READY();

	static const char words[] = "from the guest\n";
	char *p = map_device(_metadata, ivshmem_bar(), 4 * MIB, bar_memtype(),
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
	char *p = map_device(_metadata, bar + 4 * MIB, len, bar_memtype(),
			     variant->lazy);

	for (size_t i = 0; i < len; i++)
		p[i] = rand_r(&seed);
	munmap(p, len);
	p = map_device(_metadata, bar + 4 * MIB, len, bar_memtype(),
		       !variant->lazy);
	seed = 5;
	for (size_t i = 0; i < len; i++)
		ASSERT_EQ((char)rand_r(&seed), p[i]);
	munmap(p, len);
}

/* Wherever a window begins, what is aligned in memory gets large entries. */
TEST_F(devices, a_base_at_an_odd_place)
{
	RUN_IF_READY();

	const size_t at_mib = 17, mib = 8;
	/* So many times what one entry maps, aligned */
	const size_t past = (at_mib + mib) * MIB / PMD_SIZE;
	const size_t first = (at_mib * MIB + PMD_SIZE - 1) / PMD_SIZE;
	char *p = map_device(_metadata, ivshmem_bar() + at_mib * MIB, mib * MIB,
			     bar_memtype(), variant->lazy);

	for (size_t at = 0; at < 8 * MIB; at += PAGE)
		put(p + at, at / PAGE);
	for (size_t at = 0; at < 8 * MIB; at += PAGE)
		ASSERT_EQ((unsigned char)(at / PAGE), touch(p + at));
	if (variant->lazy && huge_entries() && !IS_32_BIT)
		EXPECT_EQ(past > first ? past - first : 0,
			  window_value("huge_faults"));
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

	if (memory_types(base, MIB) < 0)
		SKIP(return,
			   "the kernel does not list memory types: it is not x86");
	for (size_t i = 0; i < 3; i++) {
		char *p = map_device(_metadata, base, MIB, types[i].memtype,
				     variant->lazy);
		char line[256], expected[64];
		int right = 0, wrong = 0;
		FILE *f = fopen("/sys/kernel/debug/x86/pat_memtype_list", "r");

		ASSERT_NE(NULL, f);
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
		/* The kernel's mapping; and the program's, where it is reserved */
		EXPECT_LE(variant->lazy || remap_marks_vma() ? 1 : 2, right)
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

/* ---- whose a device is ---------------------------------------------------- */

/* The name of a device's driver, or "". */
static const char *driver_of(const char *device)
{
	static char target[256];
	char path[128];
	ssize_t n;

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/driver", device);
	n = readlink(path, target, sizeof(target) - 1);
	target[n < 0 ? 0 : n] = '\0';
	return strrchr(target, '/') ? strrchr(target, '/') + 1 : target;
}

/* Writes a device's name into a file of a driver, such as bind; 0 or -1. */
static int tell_driver(const char *driver, const char *file, const char *device)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/%s/%s", driver, file);
	return write_text(path, device);
}

/* Whether the kernel's log, from where it was read last, has this in a line. */
static bool log_has(int kmsg, const char *text)
{
	char record[2048];
	bool has = false;
	ssize_t n;

	while ((n = read(kmsg, record, sizeof(record) - 1)) > 0) {
		record[n] = '\0';
		if (strstr(record, text))
			has = true;
	}
	return has;
}

static void load_window_of(struct __test_metadata *_metadata, uint64_t base,
			   size_t len, bool lazy)
{
	munmap(map_device(_metadata, base, len, "uc", lazy), len);
}

/* While there is a window, the module is the driver; before and after, nobody is. */
TEST_F(devices, driven_by_the_module)
{
	RUN_IF_READY();

	char edu[32];

	pci_device(EDU, edu);
	if (module_is_loaded())
		ASSERT_EQ(0, unload_module());
	EXPECT_STREQ("", driver_of(edu));
	load_window_of(_metadata, edu_bar(), MIB, variant->lazy);
	EXPECT_STREQ("vmademo", driver_of(edu));
	/* Others of its kind, or another kind, it does not take */
	pci_device(IVSHMEM, edu);
	EXPECT_STREQ("", driver_of(edu));
	EXPECT_EQ(-1, tell_driver("vmademo", "bind", edu));
	EXPECT_EQ(0, tell_driver("vmademo", "new_id", "1af4 1110"));
	EXPECT_STREQ("", driver_of(edu));
	ASSERT_EQ(0, unload_module());
	pci_device(EDU, edu);
	EXPECT_STREQ("", driver_of(edu));
	EXPECT_EQ(-1, access("/sys/bus/pci/drivers/vmademo", F_OK));
}

/*
 * A driver may use a BAR that it did not claim, such as one with its MSI-X table: what
 * has a driver is refused.  And what the module drives, no other driver gets.
 */
TEST_F(devices, drivers_have_their_devices)
{
	RUN_IF_READY();

	const uint64_t bar = pci_bar(VIRTIO_DISK, 1);
	char disk[32], phys[128], line[256];

	pci_device(VIRTIO_DISK, disk);
	if (!disk[0] || !bar || strcmp(driver_of(disk), "virtio-pci"))
		SKIP(return, "the machine has no virtio disk with a driver");
	if (PAGE > 4096)
		SKIP(return, "its BAR is smaller than a page");
	if (module_is_loaded())
		ASSERT_EQ(0, unload_module());
	EXPECT_FALSE(iomem_has(bar, PAGE, "virtio"));
	snprintf(phys, sizeof(phys),
		 "phys=1p@0x%" PRIx64 " phys_map=%s phys_memtype=%s", bar,
		 variant->lazy ? "lazy" : "eager", bar_memtype());
	log_lines(self->kmsg, line, sizeof(line));
	EXPECT_FAILS(EBUSY, load_module(phys));
	EXPECT_EQ(1, log_lines(self->kmsg, line, sizeof(line)));
	EXPECT_NE(NULL, strstr(line, "in use by virtio-pci"))
	TH_LOG("%s", line);
	EXPECT_STREQ("virtio-pci", driver_of(disk));

	ASSERT_EQ(0, tell_driver("virtio-pci", "unbind", disk));
	EXPECT_EQ(0, load_module(phys));
	EXPECT_STREQ("vmademo", driver_of(disk));
	EXPECT_EQ(-1, tell_driver("virtio-pci", "bind", disk));
	EXPECT_STREQ("vmademo", driver_of(disk));
	EXPECT_EQ(0, unload_module());
	EXPECT_EQ(0, tell_driver("virtio-pci", "bind", disk));
	EXPECT_STREQ("virtio-pci", driver_of(disk));
}

/* The window on p is gone: from mappings, and from whoever has it open. */
static void expect_gone(struct __test_metadata *_metadata, unsigned char *p,
			int fd)
{
	char byte = 0;

	EXPECT_EQ(SIGBUS, touch_signal(p, 0));
	EXPECT_EQ(SIGBUS, touch_signal(p + PAGE, 1));
	EXPECT_EQ(1, window_value("revoked"));
	EXPECT_FAILS(ENODEV, pread(fd, &byte, 1, 0));
	EXPECT_FAILS(ENODEV, pwrite(fd, &byte, 1, 0));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0));
	EXPECT_EQ(ENODEV, errno);
	EXPECT_FAILS(ENODEV, open(WINDOW, O_RDWR));
}

/*
 * Unplugged while it is mapped, and plugged in again, here or at another address: the
 * new one is not ours.
 */
TEST_F(devices, unplugged)
{
	RUN_IF_READY();

	const uint64_t base = edu_bar();
	const int types = memory_types(base, MIB);
	unsigned char *p = map_device(_metadata, base, MIB, "uc", variant->lazy);
	int fd = open(WINDOW, O_RDWR);
	char device[32], path[128];
	unsigned char *q;

	ASSERT_GE(fd, 0);
	q = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGE);
	ASSERT_NE(MAP_FAILED, q);
	EXPECT_EQ(0x010000ed, *(volatile uint32_t *)p);
	/* (All its registers have 32 bits, and nothing else is answered) */
	*(volatile uint32_t *)q;
	EXPECT_TRUE(iomem_has(base, MIB, "vmademo-phys0"));
	pci_device(EDU, device);
	snprintf(path, sizeof(path), PCI_DEVICES "/%s/remove", device);
	log_has(self->kmsg, "");
	ASSERT_EQ(0, write_text(path, "1"));
	expect_gone(_metadata, p, fd);
	EXPECT_EQ(SIGBUS, touch_signal(q, 0));
	EXPECT_FALSE(iomem_has(base, MIB, "vmademo"));
	EXPECT_TRUE(log_has(self->kmsg, "vmademo-phys0 is revoked"));

	ASSERT_EQ(0, write_text("/sys/bus/pci/rescan", "1"));
	ASSERT_NE(0, edu_bar());
	pci_device(EDU, device);
	EXPECT_STREQ("", driver_of(device));
	expect_gone(_metadata, p, fd);
	munmap(p, MIB);
	munmap(q, 2 * PAGE);
	close(fd);
	ASSERT_EQ(0, unload_module());
	/* It released nothing that was not its own */
	EXPECT_FALSE(log_has(self->kmsg, "free nonexistent"));
	EXPECT_EQ(types, memory_types(base, MIB));

	/* It serves as before */
	p = map_device(_metadata, edu_bar(), MIB, "uc", variant->lazy);
	EXPECT_EQ(0x010000ed, *(volatile uint32_t *)p);
	munmap(p, MIB);
}

/* Taken from the module only, by whoever wants to bind another driver: the same. */
TEST_F(devices, unbound)
{
	RUN_IF_READY();

	const uint64_t base = edu_bar();
	unsigned char *p = map_device(_metadata, base, MIB, "uc", variant->lazy);
	int fd = open(WINDOW, O_RDWR);
	char device[32];

	ASSERT_GE(fd, 0);
	pci_device(EDU, device);
	EXPECT_EQ(0x010000ed, *(volatile uint32_t *)p);
	ASSERT_EQ(0, tell_driver("vmademo", "unbind", device));
	expect_gone(_metadata, p, fd);
	EXPECT_FALSE(iomem_has(base, MIB, "vmademo"));
	/* Bound again by hand, it is not given back */
	EXPECT_EQ(-1, tell_driver("vmademo", "bind", device));
	expect_gone(_metadata, p, fd);
	munmap(p, MIB);
	close(fd);
	ASSERT_EQ(0, unload_module());
}

TEST_HARNESS_MAIN
