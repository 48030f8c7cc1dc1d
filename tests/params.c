// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module's parameters: good values do what they say, bad ones refuse the
 * load with one line in the log.  Loads and unloads; VMADEMO_KO names the module.
 */
#include <sys/stat.h>

#include "../lib/window.h"
#include "params_fixture.h"

TEST_F(params, good_sizes)
{
	RUN_IF_READY();

	static const struct {
		const char *text;
		int64_t bytes;
	} good[] = {
		{ "", 64 * MIB },
		{ "size=65536", 64 * 1024 },
		{ "size=64K", 64 * 1024 },
		{ "size=192k", 192 * 1024 },
		{ "size=1M", MIB },
		{ "size=3m", 3 * MIB },
		{ "size=1G", 1024 * MIB },
		{ "size=0x20000", 128 * 1024 },
		{ "size=0x40K", 64 * 1024 },
		{ "size=0002M", 2 * MIB },
		{ "size=1048576G", 1LL << 50 },
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		char line[256], last;
		int fd;

		ASSERT_EQ(0, load_module(good[i].text))
		TH_LOG("%s: %s", good[i].text, strerror(errno));
		EXPECT_EQ(1, log_lines(self->kmsg, line, sizeof(line)));
		EXPECT_EQ(good[i].bytes, node_value("size"));
		fd = open(NODE, O_RDWR);
		ASSERT_GE(fd, 0);
		EXPECT_EQ(good[i].bytes, lseek(fd, 0, SEEK_END));
		/* The last byte is there, and the one after it is not */
		EXPECT_EQ(1, pwrite(fd, "z", 1, good[i].bytes - 1));
		EXPECT_EQ(1, pread(fd, &last, 1, good[i].bytes - 1));
		EXPECT_EQ('z', last);
		EXPECT_EQ(-1, pwrite(fd, "z", 1, good[i].bytes));
		close(fd);
		ASSERT_EQ(0, unload_module());
	}
}

TEST_F(params, bad_sizes)
{
	RUN_IF_READY();

	static const char *const number = "not a number of bytes";
	static const char *const pages = "whole pages";
	static const char *const large = "more than a file can have";
	const struct {
		const char *text, *why;
	} bad[] = {
		{ "size=", number },
		{ "size=M", number },
		{ "size=abc", number },
		{ "size=-4096", number },
		{ "size=+4096", number },
		{ "size=4096x", number },
		{ "size=4KK", number },
		{ "size=4KiB", number },
		{ "size=1.5M", number },
		{ "size=0x", number },
		{ "size=4T", number },
		{ "size=4096,4096", number },
		{ "size=11111111111111111111111111111111", number },
		{ "size=18446744073709551616", number },
		{ "size=0", pages },
		{ "size=0K", pages },
		{ "size=1", pages },
		{ "size=4095", pages },
		{ "size=4097", pages },
		{ "size=5K", pages },
		/* Whole pages end a page before 2^63 */
		{ "size=9223372036854775808", large },
		{ "size=17179869184G", large },
		{ "size=8589934592G", large },
		{ "size=18446744073709551615K", large },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char line[256];

		EXPECT_EQ(-1, load_module(bad[i].text))
		TH_LOG("%s", bad[i].text);
		EXPECT_EQ(EINVAL, errno);
		EXPECT_EQ(1, log_lines(self->kmsg, line, sizeof(line)))
		TH_LOG("%s", bad[i].text);
		EXPECT_NE(NULL, strstr(line, bad[i].text))
		TH_LOG("%s: %s", bad[i].text, line);
		EXPECT_NE(NULL, strstr(line, bad[i].why))
		TH_LOG("%s: %s", bad[i].text, line);
		EXPECT_FALSE(module_is_loaded());
		EXPECT_EQ(-1, access(NODE, F_OK));
		EXPECT_EQ(-1, access("/sys/class/bdi/vmademo", F_OK));
	}
}

/* What was given can be read again, and cannot be changed. */
TEST_F(params, shown_in_sysfs)
{
	static const char size[] = "/sys/module/vmademo/parameters/size";

	RUN_IF_READY();
	ASSERT_EQ(0, load_module("size=8M"));
	EXPECT_TRUE(file_says(size, "8M\n"));
	EXPECT_EQ(-1, write_text(size, "4M"));
	EXPECT_TRUE(file_says("/sys/class/misc/vmademo/size", "8388608\n"));
	EXPECT_TRUE(file_says("/sys/class/misc/vmademo/store", "none\n"));
}

TEST_F(params, good_windows)
{
	RUN_IF_READY();

	char parameters[256], path[128];

	ASSERT_EQ(0, load_module("phys=none"));
	EXPECT_EQ(-1, access(WINDOW, F_OK));
	EXPECT_EQ(0, access(NODE, F_OK));
	ASSERT_EQ(0, unload_module());
	ASSERT_EQ(0, load_module("phys=128K,3M,0x20000 phys_map=lazy"));
	for (int i = 0; i < 3; i++) {
		static const int64_t sizes[] = { MIB / 8, 3 * MIB, MIB / 8 };

		snprintf(path, sizeof(path),
			 "/sys/class/misc/vmademo-phys%d/size", i);
		EXPECT_EQ(sizes[i], read_number(path));
		snprintf(path, sizeof(path),
			 "/sys/class/misc/vmademo-phys%d/memtype", i);
		EXPECT_TRUE(file_says(path, "wb\n"));
		snprintf(path, sizeof(path),
			 "/sys/class/misc/vmademo-phys%d/map", i);
		EXPECT_TRUE(file_says(path, "lazy\n"));
	}
	EXPECT_EQ(-1, access("/dev/vmademo-phys3", F_OK));
	ASSERT_EQ(0, unload_module());

	/* A window that is aligned can have entries of 2 MiB */
	ASSERT_EQ(0, load_module("phys=2M"));
	EXPECT_EQ(0, window_base() % (2 * MIB));
	ASSERT_EQ(0, unload_module());

	if (!reserved_memory())
		SKIP(return, "no memory is reserved by memmap=");
	snprintf(parameters, sizeof(parameters),
		 "phys=1M@0x%" PRIx64 ",1p,1M@%" PRIu64 " phys_memtype=uc,wb,wc",
		 reserved_memory() + 8 * MIB, reserved_memory() + 10 * MIB);
	ASSERT_EQ(0, load_module(parameters));
	EXPECT_TRUE(file_says("/sys/class/misc/vmademo-phys0/memtype", "uc\n"));
	EXPECT_TRUE(file_says("/sys/class/misc/vmademo-phys1/memtype", "wb\n"));
	EXPECT_TRUE(file_says("/sys/class/misc/vmademo-phys2/memtype", "wc\n"));
	EXPECT_EQ(reserved_memory() + 8 * MIB, window_base());
}

/* Each is refused with one line, and nothing stays claimed. */
TEST_F(params, bad_windows)
{
	RUN_IF_READY();

	static const char *const pages = "must be one or more whole pages";
	static const char *const address = "not the address of a page";
	static const char *const ram = "is the system's RAM";
	static const char *const piece = "in one piece";
	static const char *const type = "must be wb, wc or uc";
	static const char *const own = "which is wb";
	static const char *const ahead = "must be auto, or a power of two";
	/* Where that begins: at 1 MiB on x86 */
	const unsigned long long at = named_memory("System RAM") + MIB;
	char on_ram[64], over_ram[64];
	const struct bad_parameters bad[] = {
		{ "phys=", pages, EINVAL },
		{ "phys=0", pages, EINVAL },
		{ "phys=1", pages, EINVAL },
		{ "phys=4097", pages, EINVAL },
		{ "phys=all", pages, EINVAL },
		{ "phys=2M,", pages, EINVAL },
		{ "phys=-4K", pages, EINVAL },
		{ "phys=@1G", pages, EINVAL },
		{ "phys=99999999999G", pages, EINVAL },
		{ "phys=1p@", address, EINVAL },
		{ "phys=1p@1", address, EINVAL },
		{ "phys=1p@here", address, EINVAL },
		{ "phys=1p@0x10000000000000000", address, EINVAL },
		{ "phys=1p@1p@1p", address, EINVAL },
		{ on_ram, ram, EINVAL },
		{ over_ram, ram, EINVAL },
		{ "phys=1p@0x4000000000000000", "bits of a physical address",
		  EINVAL },
		{ "phys=128K@0xffffffffffff0000", "bits of a physical address",
		  EINVAL },
		{ "phys=64M", piece, ENOMEM },
		{ "phys=1G", piece, ENOMEM },
		{ "phys=1,2M phys_map=eager", pages, EINVAL },
		{ "phys=2M,1p,5", pages, EINVAL },
		{ "phys=1p,1p,1p,1p,1p,1p,1p,1p,1p,1p,1p,1p,1p,1p,1p,1p,1p",
		  "more than 16", EINVAL },
		{ "phys_map=", "must be eager or lazy", EINVAL },
		{ "phys_map=never", "must be eager or lazy", EINVAL },
		{ "map_ahead=", ahead, EINVAL },
		{ "map_ahead=0", ahead, EINVAL },
		{ "map_ahead=2K", ahead, EINVAL },
		{ "map_ahead=12K", ahead, EINVAL },
		{ "map_ahead=64M", ahead, EINVAL },
		{ "map_ahead=automatic", ahead, EINVAL },
		{ "map_ahead=0000000000000000000000000000000000000065536",
		  ahead, EINVAL },
		{ "phys_memtype=wt", type, EINVAL },
		{ "phys_memtype=wc", own, EINVAL },
		{ "phys_memtype=uc", own, EINVAL },
		{ "phys_memtype=wb,wb", "more types than windows", EINVAL },
		{ "phys=none phys_memtype=wb", "more types than windows", EINVAL },
	};

	snprintf(on_ram, sizeof(on_ram), "phys=1M@0x%llx", at);
	snprintf(over_ram, sizeof(over_ram), "phys=1G@0x%llx", at);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		expect_refused(_metadata, self->kmsg, &bad[i]);
}

/* Whoever has the range is named. */
TEST_F(params, windows_that_others_have)
{
	RUN_IF_READY();

	const uint64_t base = reserved_memory();
	char parameters[256], line[256];

	if (!base)
		SKIP(return, "no memory is reserved by memmap=");
	/* The module itself, across a border, and inside */
	for (int offset = -1; offset <= 1; offset++) {
		snprintf(parameters, sizeof(parameters),
			 "phys=2M@%" PRIu64 ",2M@%" PRIu64, base + 4 * MIB,
			 base + 4 * MIB + offset * (int64_t)PAGE);
		EXPECT_FAILS(EBUSY, load_module(parameters));
		EXPECT_EQ(1, log_lines(self->kmsg, line, sizeof(line)));
		EXPECT_NE(NULL, strstr(line, "in use by vmademo-phys0"))
		TH_LOG("%s", line);
	}
	/* It was given back */
	snprintf(parameters, sizeof(parameters), "phys=2M@%" PRIu64,
		 base + 4 * MIB);
	EXPECT_EQ(0, load_module(parameters));
	EXPECT_EQ(0, unload_module());

	/* A persistent memory, while its driver has it */
	if (system("modprobe nfit && modprobe nd_pmem") ||
	    access("/dev/pmem0", F_OK))
		SKIP(return, "the machine has no persistent memory");
	snprintf(parameters, sizeof(parameters), "phys=1M@0x%" PRIx64,
		 named_memory("Persistent Memory"));
	log_lines(self->kmsg, line, sizeof(line));
	EXPECT_FAILS(EBUSY, load_module(parameters));
	EXPECT_EQ(1, log_lines(self->kmsg, line, sizeof(line)));
	EXPECT_NE(NULL, strstr(line, "in use by namespace0.0"))
	TH_LOG("%s: %s", parameters, line);
}

/*
 * The smallest program: 64 bits, one segment, exit(7).  (A static program of the GNU libc
 * will not do: it expects the name of what it runs to be a path.)
 */
static const unsigned char program[] = {
	0x7f, 'E',  'L',  'F', 2,  1,	 1,  0, 0, 0, 0,    0,
	0,    0,    0,	  0, /* ident */
	2,    0,    62,	  0,   1,  0,	 0,  0, /* type, machine, version */
	0x78, 0,    0x40, 0,   0,  0,	 0,  0, /* entry */
	64,   0,    0,	  0,   0,  0,	 0,  0, /* program headers */
	0,    0,    0,	  0,   0,  0,	 0,  0, /* section headers */
	0,    0,    0,	  0,   64, 0,	 56, 0, 1, 0, 0,    0,
	0,    0,    0,	  0, /* flags, sizes */
	1,    0,    0,	  0,   5,  0,	 0,  0, /* load; read and execute */
	0,    0,    0,	  0,   0,  0,	 0,  0, /* offset */
	0,    0,    0x40, 0,   0,  0,	 0,  0, /* address */
	0,    0,    0x40, 0,   0,  0,	 0,  0, /* physical address */
	0x84, 0,    0,	  0,   0,  0,	 0,  0, /* bytes in the file */
	0x84, 0,    0,	  0,   0,  0,	 0,  0, /* bytes in memory */
	0,    0x10, 0,	  0,   0,  0,	 0,  0, /* alignment */
	0xb8, 60,   0,	  0,   0,  0xbf, 7,  0, 0, 0, 0x0f, 0x05, /* exit(7) */
};

/* Copies the program to a buffer and runs it; 0, or the errno. */
static int run_from_buffer(void)
{
	int written = create_buffer(0), fd, status;
	pid_t pid;

	if (write(written, program, sizeof(program)) != sizeof(program))
		return -1;
	fchmod(written, 0700);
	/* What is open for writing may not be run */
	fd = reopen(written, O_RDONLY);
	close(written);
	pid = fork();
	if (pid == 0) {
		char *const argv[] = { "exit", NULL }, *const envp[] = { NULL };

		syscall(SYS_execveat, fd, "", argv, envp,
			0x1000 /* AT_EMPTY_PATH */);
		/* It is a program of x86: others let it in, and then do not know it */
		_exit(errno == EACCES ? EACCES : errno == ENOEXEC ? 7 : 1);
	}
	waitpid(pid, &status, 0);
	close(fd);
	if (!WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status) == 7 ? 0 : WEXITSTATUS(status);
}

/* Maps a buffer so, and then protects it so; 0, or the errno. */
static int map_to_run(bool later)
{
	int fd = create_buffer(PAGE), err = 0;
	void *p = mmap(NULL, PAGE, later ? PROT_READ : PROT_READ | PROT_EXEC,
		       MAP_SHARED, fd, 0);

	if (p == MAP_FAILED ||
	    (later && mprotect(p, PAGE, PROT_READ | PROT_EXEC)))
		err = errno;
	close(fd);
	if (p != MAP_FAILED)
		munmap(p, PAGE);
	return err;
}

/*
 * Nobody runs a program from a buffer who could not run it from a file, unless the
 * administrator allows it.
 */
TEST_F(params, exec)
{
	static const char exec[] = "/sys/module/vmademo/parameters/exec";

	RUN_IF_READY();
	for (int given = 0; given < 2; given++) {
		ASSERT_EQ(0, load_module(given ? "exec=0" : ""));
		EXPECT_TRUE(file_says(exec, "N\n"));
		EXPECT_EQ(EACCES, run_from_buffer());
		EXPECT_EQ(EPERM, map_to_run(false));
		EXPECT_EQ(EACCES, map_to_run(true));
		ASSERT_EQ(0, unload_module());
	}
	ASSERT_EQ(0, load_module("exec=1"));
	EXPECT_TRUE(file_says(exec, "Y\n"));
	EXPECT_EQ(0, run_from_buffer());
	EXPECT_EQ(0, map_to_run(false));
	EXPECT_EQ(0, map_to_run(true));
	ASSERT_EQ(0, unload_module());
}

/* A limit for the memory of all buffers; what it does is in `ram_room`. */
TEST_F(params, ram_limit)
{
	RUN_IF_READY();

	static const char *const good[] = { "ram_limit=65536", "ram_limit=1M",
					    "ram_limit=0x10K",
					    "ram_limit=1048576G" };
	static const char *const bad[] = { "ram_limit=", "ram_limit=all",
					   "ram_limit=-1", "ram_limit=1.5M",
					   "ram_limit=11111111111111111111111" };
	char line[256];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ASSERT_EQ(0, load_module(good[i])) TH_LOG("%s", good[i]);
		EXPECT_EQ(1, log_lines(self->kmsg, line, sizeof(line)))
		TH_LOG("%s: %s", good[i], line);
		EXPECT_LT(0,
			  read_number("/sys/module/vmademo/parameters/ram_limit"));
		ASSERT_EQ(0, unload_module());
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct bad_parameters b = { bad[i], "not a number of bytes",
						  EINVAL };

		expect_refused(_metadata, self->kmsg, &b);
		/* Where it was taken, the others have their turn, too */
		if (module_is_loaded())
			ASSERT_EQ(0, unload_module());
	}
}

/*
 * That nobody has claimed a range does not mean that nothing is there: registers of the
 * chipset, what the firmware keeps, what a bridge passes on.
 */
TEST_F(params, windows_on_what_is_not_free)
{
	RUN_IF_READY();

	static const char *const names[] = {
		"Reserved",   "PCI Bus",      "Video ROM", "ACPI",
		"PCI ECAM",   "PCI MMCONFIG", "IOAPIC",	   "HPET",
		"Local APIC", "pl011",	      "pcie@"
	};
	static const char free_for_all[] =
		"in no BAR of a PCI device, and not reserved by memmap=";
	char line[256], parameters[128], said[256];
	int refused = 0, busy = 0, firmware = 0, err;
	FILE *f = fopen("/proc/iomem", "r");

	ASSERT_NE(NULL, f);
	while (fgets(line, sizeof(line), f)) {
		unsigned long long start, end;
		bool wanted = false;

		if (sscanf(line, " %llx-%llx", &start, &end) != 2 ||
		    start % PAGE || end - start < PAGE - 1 ||
		    start == reserved_memory() || start == edu_bar() ||
		    start == ivshmem_bar())
			continue;
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			wanted |= !!strstr(line, names[i]);
		if (!wanted)
			continue;
		for (int last = 0; last <= 1; last++) {
			snprintf(parameters, sizeof(parameters),
				 "phys=1p@0x%llx", last ? end + 1 - PAGE : start);
			EXPECT_EQ(-1, load_module(parameters))
			TH_LOG("%s %s", parameters, line);
			err = errno;
			if (module_is_loaded())
				unload_module();
			EXPECT_EQ(1, log_lines(self->kmsg, said, sizeof(said)));
			if (err == EBUSY) {
				busy++;
				EXPECT_NE(NULL, strstr(said, "in use by"))
				TH_LOG("%s", said);
				continue;
			}
			EXPECT_EQ(EINVAL, err);
			EXPECT_NE(NULL, strstr(said, free_for_all))
			TH_LOG("%s: %s", parameters, said);
			refused++;
			firmware += !!strstr(line, "Reserved");
		}
	}
	fclose(f);
	/* There were some of each */
	if (!refused && strcmp(bar_memtype(), "wb"))
		SKIP(return,
			   "the device tree names no such memory that is whole pages");
	EXPECT_LT(0, refused);
	/* (A device tree tells of no firmware) */
	if (!strcmp(bar_memtype(), "wb")) {
		EXPECT_LT(0, busy);
		EXPECT_LT(0, firmware);
	}
}

/* All of it must be in the BAR, or in what memmap= keeps. */
TEST_F(params, windows_that_are_too_large)
{
	RUN_IF_READY();

	char parameters[192], said[256], more[32] = "";
	struct bad_parameters bad = { parameters, "in no BAR of a PCI device",
				      EINVAL };
	const uint64_t edu = edu_bar(), reserved = reserved_memory();

	if (!edu)
		SKIP(return, "the machine has no edu device");
	snprintf(parameters, sizeof(parameters), "phys=2M@0x%" PRIx64, edu);
	expect_refused(_metadata, self->kmsg, &bad);
	snprintf(parameters, sizeof(parameters), "phys=2p@0x%" PRIx64,
		 edu + MIB - PAGE);
	expect_refused(_metadata, self->kmsg, &bad);
	if (reserved) {
		snprintf(parameters, sizeof(parameters), "phys=32M@0x%" PRIx64,
			 reserved);
		bad.why = "is the system's RAM";
		expect_refused(_metadata, self->kmsg, &bad);
		snprintf(more, sizeof(more), ",16M@0x%" PRIx64, reserved);
	}
	/* Windows of one device, and of another, are granted side by side */
	snprintf(parameters, sizeof(parameters),
		 "phys=1p@0x%" PRIx64 ",1p@0x%" PRIx64 ",1p@0x%" PRIx64
		 "%s phys_memtype=uc,uc,%s",
		 edu, edu + MIB - PAGE, ivshmem_bar(), more, bar_memtype());
	EXPECT_EQ(0, load_module(parameters));
	EXPECT_EQ(0, access("/dev/vmademo-phys2", F_OK));
	EXPECT_EQ(reserved ? 0 : -1, access("/dev/vmademo-phys3", F_OK));
	EXPECT_EQ(0, unload_module());
	log_lines(self->kmsg, said, sizeof(said));
	/* One that is refused keeps none of the others, and not the device */
	snprintf(parameters, sizeof(parameters),
		 "phys=1p@0x%" PRIx64 ",1p@0xa0000 phys_memtype=uc", edu);
	bad.why = "in no BAR of a PCI device";
	expect_refused(_metadata, self->kmsg, &bad);
	EXPECT_FALSE(iomem_has(edu, PAGE, "vmademo"));
	EXPECT_EQ(-1, access("/sys/bus/pci/drivers/vmademo", F_OK));
}

/* Which hook the mapping goes through is a choice; a bad one is refused. */
TEST_F(params, legacy_mmap)
{
	static const char legacy[] = "/sys/module/vmademo/parameters/legacy_mmap";
	char line[256];

	RUN_IF_READY();
	ASSERT_EQ(0, load_module("legacy_mmap=1"));
	EXPECT_TRUE(file_says(legacy, "Y\n"));
	ASSERT_EQ(0, unload_module());
	ASSERT_EQ(0, load_module("legacy_mmap=0"));
	EXPECT_TRUE(file_says(legacy, "N\n"));
	ASSERT_EQ(0, unload_module());
	log_lines(self->kmsg, line, sizeof(line));
	EXPECT_FAILS(EINVAL, load_module("legacy_mmap=perhaps"));
	/* This one the kernel checks itself, and says so */
	EXPECT_EQ(1, log_lines(self->kmsg, line, sizeof(line)));
	EXPECT_NE(NULL, strstr(line, "legacy_mmap")) TH_LOG("%s", line);
}

TEST_HARNESS_MAIN
