// SPDX-License-Identifier: GPL-2.0-only
/*
 * What of a mapping is in the core dump of a program that crashes: by the filter
 * in /proc/PID/coredump_filter and by MADV_DONTDUMP.  The dump is read as what it
 * is, an ELF file with one PT_LOAD for each VMA.
 */
#include <link.h>

#include "kselftest_harness.h"
#include "vmademo_test.h"

#define PATTERN "/proc/sys/kernel/core_pattern"
#define CORE	"/tmp/vmademo-core"
#define LEN	(4 * PAGE)

/* Of 32 or 64 bits, as this program is. */
typedef ElfW(Ehdr) elf_header;
typedef ElfW(Phdr) elf_segment;

/* Bits of the filter; by default the anonymous and the ELF headers are dumped. */
#define DEFAULT_FILTER 0x33
#define ANON_SHARED    0x02
#define MAPPED_PRIVATE 0x04
#define MAPPED_SHARED  0x08

FIXTURE(coredump)
{
	const char *skip;
	int fd;
	unsigned char *shared, *private;
	/*
	 * How the shared mapping is seen: the node's as that of a file; a buffer
	 * of its own has no name, so its pages cannot be had elsewhere.
	 */
	unsigned int kind;
};

FIXTURE_VIEWS(coredump);

FIXTURE_SETUP(coredump)
{
	self->skip = NULL;
	if (access("/proc/self/coredump_filter", W_OK) || access(PATTERN, W_OK))
		self->skip = "the kernel dumps no core, or not where we want it";
	self->kind = variant->view == NODE_VIEW ? MAPPED_SHARED : ANON_SHARED;
	self->fd = open_view(variant->view);
	ASSERT_GE(self->fd, 0) TH_LOG("%s", strerror(errno));
	self->shared = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED,
			    self->fd, PLACE(1));
	self->private = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE,
			     self->fd, PLACE(1));
	ASSERT_NE(MAP_FAILED, self->shared);
	ASSERT_NE(MAP_FAILED, self->private);
	for (size_t i = 0; i < LEN; i++)
		self->shared[i] = i * 7 / 3;
	ASSERT_EQ(0, fsync(self->fd));
}

FIXTURE_TEARDOWN(coredump)
{
	unlink(CORE);
	munmap(self->shared, LEN);
	munmap(self->private, LEN);
	close(self->fd);
}

/* Lets a child of this process, with its mappings, crash and dump core. */
static void crash(struct __test_metadata *_metadata, unsigned int filter)
{
	const struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	char old[256] = "", text[16];
	FILE *f = fopen(PATTERN, "r");
	pid_t pid = -1, waited;
	int status = 0;

	unlink(CORE);
	if (f && fgets(old, sizeof(old), f)) {
		write_text(PATTERN, CORE ".%p");
		pid = fork();
		if (pid == 0) {
			snprintf(text, sizeof(text), "%#x", filter);
			write_text("/proc/self/coredump_filter", text);
			setrlimit(RLIMIT_CORE, &limit);
			signal(SIGABRT, SIG_DFL);
			abort();
		}
		waited = waitpid(pid, &status, 0);
		write_text(PATTERN, old);
		ASSERT_EQ(pid, waited);
	}
	if (f)
		fclose(f);
	ASSERT_LT(0, pid);
	ASSERT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGABRT, WTERMSIG(status));
	EXPECT_TRUE(WCOREDUMP(status));
	snprintf(old, sizeof(old), CORE ".%d", pid);
	ASSERT_EQ(0, rename(old, CORE));
}

/*
 * How many bytes from addr on the dump holds of the VMA that addr is in; -1 if it
 * has no such VMA.  The first len of them are read to data.
 */
static ssize_t dumped(const void *addr, void *data, size_t len)
{
	const uintptr_t at = (uintptr_t)addr;
	int core = open(CORE, O_RDONLY);
	elf_header elf = { 0 };
	elf_segment segment;
	ssize_t found = -1;

	if (pread(core, &elf, sizeof(elf), 0) != sizeof(elf) ||
	    memcmp(elf.e_ident, ELFMAG, SELFMAG) || elf.e_type != ET_CORE)
		elf.e_phnum = 0;
	for (int i = 0; i < elf.e_phnum; i++) {
		const size_t size = sizeof(segment);

		if (pread(core, &segment, size, elf.e_phoff + i * size) != size)
			break;
		if (segment.p_type != PT_LOAD || at < segment.p_vaddr ||
		    at >= segment.p_vaddr + segment.p_memsz)
			continue;
		found = segment.p_vaddr + segment.p_filesz - at;
		if (segment.p_filesz == 0)
			found = 0;
		if (found >= (ssize_t)len)
			found = pread(core, data, len,
				      segment.p_offset + at - segment.p_vaddr);
		break;
	}
	close(core);
	return found;
}

/* A file's pages are not dumped by default: they can be had from the file. */
TEST_F(coredump, shared_without_the_filter)
{
	RUN_IF_READY();

	unsigned char data[LEN];

	crash(_metadata, DEFAULT_FILTER & ~self->kind);
	EXPECT_EQ(0, dumped(self->shared, data, LEN));
	EXPECT_EQ(0, dumped(self->private, data, LEN));
	/* The dump is good: what is on the stack is there */
	EXPECT_EQ(LEN, dumped(data, data, LEN));
}

TEST_F(coredump, shared_by_the_filter)
{
	RUN_IF_READY();

	struct account before = account_of(self->fd), d;
	unsigned char data[LEN];

	/* One page is not mapped: the dump takes a fault for it */
	ASSERT_EQ(0, madvise(self->shared, PAGE, MADV_DONTNEED));
	crash(_metadata, self->kind | (DEFAULT_FILTER & ~ANON_SHARED));
	ASSERT_EQ(LEN, dumped(self->shared, data, LEN));
	EXPECT_EQ(0, memcmp(data, self->shared, LEN));
	/* Dumping only reads */
	d = account_of_since(self->fd, &before);
	EXPECT_EQ(0, d.dirtied_folios);
	EXPECT_EQ(0, d.first_writes);
	EXPECT_EQ(0, d.cow_faults);
}

/* A VMA that has a private copy in it is dumped, all of it, by default. */
TEST_F(coredump, private_copies)
{
	RUN_IF_READY();

	unsigned char data[LEN];

	put(self->private + PAGE + 5, 99);
	crash(_metadata, DEFAULT_FILTER);
	ASSERT_EQ(LEN, dumped(self->private, data, LEN));
	EXPECT_EQ(0, memcmp(data, self->private, LEN));
	EXPECT_EQ(99, data[PAGE + 5]);
	EXPECT_NE(99, touch(self->shared + PAGE + 5));
	EXPECT_EQ(self->kind == ANON_SHARED ? LEN : 0,
		  dumped(self->shared, data, LEN));
}

/* Without a copy it needs a bit of its own. */
TEST_F(coredump, private_by_the_filter)
{
	RUN_IF_READY();

	unsigned char data[LEN];

	crash(_metadata, MAPPED_PRIVATE);
	ASSERT_EQ(LEN, dumped(self->private, data, LEN));
	EXPECT_EQ(0, memcmp(data, self->shared, LEN));
}

/* A program may keep secrets, or what is large, out of its dumps. */
TEST_F(coredump, madv_dontdump)
{
	RUN_IF_READY();

	unsigned char data[LEN];

	put(self->private, 99);
	ASSERT_EQ(0, madvise(self->private, LEN, MADV_DONTDUMP));
	ASSERT_EQ(0, madvise(self->shared + PAGE, PAGE, MADV_DONTDUMP));
	crash(_metadata, DEFAULT_FILTER | MAPPED_SHARED);
	EXPECT_EQ(0, dumped(self->private, data, LEN));
	/* Only that page of the other: it is a VMA of its own now */
	EXPECT_EQ(PAGE, dumped(self->shared, data, PAGE));
	EXPECT_EQ(0, memcmp(data, self->shared, PAGE));
	EXPECT_EQ(0, dumped(self->shared + PAGE, data, PAGE));
	EXPECT_EQ(2 * PAGE, dumped(self->shared + 2 * PAGE, data, 2 * PAGE));

	ASSERT_EQ(0, madvise(self->private, LEN, MADV_DODUMP));
	crash(_metadata, DEFAULT_FILTER);
	EXPECT_EQ(LEN, dumped(self->private, data, LEN));
	EXPECT_EQ(99, data[0]);
}

/* Beyond the end there is no page: zeroes stand for it, and the dump goes on. */
TEST_F(coredump, beyond_the_end)
{
	RUN_IF_READY();

	unsigned char data[LEN], zero[2 * PAGE_MAX] = { 0 };
	unsigned char *p = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED,
				self->fd, node_value("size") - 2 * PAGE);

	ASSERT_NE(MAP_FAILED, p);
	memset(p, 77, 2 * PAGE);
	crash(_metadata, DEFAULT_FILTER | MAPPED_SHARED);
	ASSERT_EQ(LEN, dumped(p, data, LEN));
	EXPECT_EQ(0, memcmp(data, p, 2 * PAGE));
	EXPECT_EQ(0, memcmp(data + 2 * PAGE, zero, 2 * PAGE));
	ASSERT_EQ(LEN, dumped(self->shared, data, LEN));
	EXPECT_EQ(0, memcmp(data, self->shared, LEN));
	munmap(p, LEN);
}

/* Physical memory is never dumped: to read it may make a device do something. */
TEST_F(coredump, a_window_is_left_out)
{
	RUN_IF_READY();

	int fd = open(WINDOW, O_RDWR);
	unsigned char data[LEN], *window;

	ASSERT_GE(fd, 0);
	window = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, window);
	memset(window, 5, LEN);
	memset(data, 6, LEN);
	crash(_metadata, 0xff);
	EXPECT_EQ(0, dumped(window, data, LEN));
	EXPECT_EQ(LEN, dumped(self->shared, data, LEN));
	munmap(window, LEN);
	close(fd);
}

TEST_HARNESS_MAIN
