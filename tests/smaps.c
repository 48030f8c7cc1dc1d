// SPDX-License-Identifier: GPL-2.0-only
/*
 * What /proc/PID/smaps says of shared and private mappings, of the device and of no
 * file, after the same reads and writes; and what changes when a second process
 * maps some of the same pages.  The table is printed as the test runs.
 */
#include "kselftest_harness.h"
#include "vmademo_test.h"

/* Of eight pages, four are read, two are written to, two are not touched. */
#define PAGES	8
#define LEN	(PAGES * PAGE)
#define READ	4
#define WRITTEN 2

/* The columns, in pages. */
static const char *const columns[] = {
	"Rss",		 "Pss",		  "Shared_Clean", "Shared_Dirty",
	"Private_Clean", "Private_Dirty", "Anonymous",	  "Referenced",
};

#define COLUMNS (int)(sizeof(columns) / sizeof(columns[0]))

/* The four kinds: what each shows while it is alone, and then with another. */
static const struct kind {
	const char *name;
	int flags;
	double alone[COLUMNS], both[COLUMNS];
} kinds[] = {
	/* The file's own pages */
	{ "shared file",
	  MAP_SHARED,
	  { 6, 6, 0, 0, 4, 2, 0, 6 },
	  { 6, 5, 1, 1, 3, 1, 0, 6 } },
	/* The file's pages until they are written to, then copies */
	{ "private file",
	  MAP_PRIVATE,
	  { 6, 6, 0, 0, 4, 2, 2, 6 },
	  { 6, 5, 1, 1, 3, 1, 2, 6 } },
	/* A file of tmpfs that has no name: so its pages are not "Anonymous" */
	{ "shared anonymous",
	  MAP_SHARED | MAP_ANONYMOUS,
	  { 6, 6, 0, 0, 4, 2, 0, 6 },
	  { 6, 5, 1, 1, 3, 1, 0, 6 } },
	/* What is only read is the one page of zeroes, which is not counted */
	{ "private anonymous",
	  MAP_PRIVATE | MAP_ANONYMOUS,
	  { 2, 2, 0, 0, 0, 2, 2, 2 },
	  { 2, 1.5, 0, 1, 0, 1, 2, 2 } },
};

#define KINDS (int)(sizeof(kinds) / sizeof(kinds[0]))

FIXTURE(smaps)
{
	int fd;
};

FIXTURE_VIEWS(smaps);

FIXTURE_SETUP(smaps)
{
	struct vmademo_discard d = { .length = KINDS * MIB };

	self->fd = open_view(variant->view);
	ASSERT_GE(self->fd, 0) TH_LOG("%s", strerror(errno));
	/* What is cached would be mapped around what is read */
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_DISCARD, &d));
}

FIXTURE_TEARDOWN(smaps)
{
	close(self->fd);
}

static unsigned char *map(struct __test_metadata *_metadata, int fd, int prot,
			  int flags, off_t offset)
{
	unsigned char *p;

	if (flags & MAP_ANONYMOUS) {
		fd = -1;
		offset = 0;
	}
	p = mmap(NULL, LEN, prot, flags, fd, offset);
	ASSERT_NE(MAP_FAILED, p);
	/* Those of one folio would be dirty together */
	fault_by_pages(p, LEN);
	return p;
}

static void read_and_write(unsigned char *p)
{
	for (int i = 0; i < READ; i++)
		touch(p + i * PAGE);
	for (int i = READ; i < READ + WRITTEN; i++)
		put(p + i * PAGE, 1);
}

static void expect_row(struct __test_metadata *_metadata, const char *name,
		       const unsigned char *p, const double *pages)
{
	char line[256];
	int at = snprintf(line, sizeof(line), "%-18s", name);

	for (int c = 0; c < COLUMNS; c++) {
		int64_t bytes = smaps_value(p, columns[c]);

		at += snprintf(line + at, sizeof(line) - at, " %14g",
			       (double)bytes / PAGE);
		EXPECT_EQ(pages[c] * PAGE, bytes)
		TH_LOG("%s, %s", name, columns[c]);
	}
	printf("# %s\n", line);
	fflush(stdout);
}

static void print_heading(const char *what)
{
	printf("# %-18s", what);
	for (int c = 0; c < COLUMNS; c++)
		printf(" %14s", columns[c]);
	printf("\n");
	fflush(stdout);
}

TEST_F(smaps, table)
{
	unsigned char *p[KINDS];
	int up[2], down[2], status;
	char byte = 'x';
	pid_t pid;

	for (int k = 0; k < KINDS; k++)
		p[k] = map(_metadata, self->fd, PROT_READ | PROT_WRITE,
			   kinds[k].flags, PLACE(k));
	print_heading("pages, alone");
	for (int k = 0; k < KINDS; k++) {
		EXPECT_EQ(0, smaps_value(p[k], "Rss"));
		read_and_write(p[k]);
		expect_row(_metadata, kinds[k].name, p[k], kinds[k].alone);
	}

	/* A child that keeps one page of each that was read, one written to */
	ASSERT_EQ(0, pipe(up));
	ASSERT_EQ(0, pipe(down));
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		close(down[1]);
		for (int k = 0; k < KINDS; k++) {
			munmap(p[k] + PAGE, (READ - 1) * PAGE);
			munmap(p[k] + (READ + 1) * PAGE,
			       (PAGES - READ - 1) * PAGE);
			touch(p[k]);
			touch(p[k] + READ * PAGE);
		}
		_exit(write(up[1], &byte, 1) != 1 ||
		      read(down[0], &byte, 1) != 0);
	}
	close(up[1]);
	ASSERT_EQ(1, read(up[0], &byte, 1));
	print_heading("pages, with a child");
	for (int k = 0; k < KINDS; k++)
		expect_row(_metadata, kinds[k].name, p[k], kinds[k].both);
	close(down[1]);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	/* When it is gone all is as it was */
	print_heading("pages, alone again");
	for (int k = 0; k < KINDS; k++)
		expect_row(_metadata, kinds[k].name, p[k], kinds[k].alone);

	for (int k = 0; k < KINDS; k++)
		munmap(p[k], LEN);
}

/* Cleaning makes dirty pages clean, but a private copy is dirty for good. */
TEST_F(smaps, after_msync)
{
	for (int k = 0; k < 2; k++) {
		unsigned char *p = map(_metadata, self->fd,
				       PROT_READ | PROT_WRITE, kinds[k].flags,
				       PLACE(k));
		int shared = kinds[k].flags == MAP_SHARED;

		read_and_write(p);
		ASSERT_EQ(0, msync(p, LEN, MS_SYNC));
		EXPECT_EQ((READ + (shared ? WRITTEN : 0)) * PAGE,
			  smaps_value(p, "Private_Clean"));
		EXPECT_EQ((shared ? 0 : WRITTEN) * PAGE,
			  smaps_value(p, "Private_Dirty"));
		munmap(p, LEN);
	}
}

/* Referenced is what was used since somebody began to watch. */
TEST_F(smaps, clear_refs)
{
	unsigned char *p = map(_metadata, self->fd, PROT_READ | PROT_WRITE,
			       MAP_SHARED, 0);

	read_and_write(p);
	EXPECT_EQ((READ + WRITTEN) * PAGE, smaps_value(p, "Referenced"));
	ASSERT_EQ(0, write_text("/proc/self/clear_refs", "1"));
	EXPECT_EQ(0, smaps_value(p, "Referenced"));
	EXPECT_EQ((READ + WRITTEN) * PAGE, smaps_value(p, "Rss"));
	put(p + (PAGES - 1) * PAGE, 1);
	EXPECT_EQ(PAGE, smaps_value(p, "Referenced"));
	munmap(p, LEN);
}

/* Which flags a mapping has: r, w, x now; mr, mw, me, ms: may be, by mprotect. */
TEST_F(smaps, flags)
{
	static const char *const names[] = { " rd", " wr", " sh", " mr",
					     " mw", " me", " ms", " ac" };
	static const struct {
		const char *name;
		int open, prot, flags;
		unsigned char has[8];
	} rows[] = {
		{ "shared",
		  O_RDWR,
		  PROT_READ | PROT_WRITE,
		  MAP_SHARED,
		  { 1, 1, 1, 1, 1, 1, 1, 0 } },
		{ "shared, to read",
		  O_RDWR,
		  PROT_READ,
		  MAP_SHARED,
		  { 1, 0, 1, 1, 1, 1, 1, 0 } },
		/* Can never be written: the kernel treats it as not shared */
		{ "shared, read-only file",
		  O_RDONLY,
		  PROT_READ,
		  MAP_SHARED,
		  { 1, 0, 0, 1, 0, 1, 1, 0 } },
		/* Copies of all of it may be needed: that is accounted (ac) */
		{ "private",
		  O_RDWR,
		  PROT_READ | PROT_WRITE,
		  MAP_PRIVATE,
		  { 1, 1, 0, 1, 1, 1, 0, 1 } },
		{ "private, read-only file",
		  O_RDONLY,
		  PROT_READ,
		  MAP_PRIVATE,
		  { 1, 0, 0, 1, 1, 1, 0, 0 } },
		{ "shared anonymous",
		  O_RDWR,
		  PROT_READ | PROT_WRITE,
		  MAP_SHARED | MAP_ANONYMOUS,
		  { 1, 1, 1, 1, 1, 1, 1, 0 } },
		{ "private anonymous",
		  O_RDWR,
		  PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS,
		  { 1, 1, 0, 1, 1, 1, 0, 1 } },
	};
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->fd);
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		int fd = open(path, rows[r].open | O_CLOEXEC);
		unsigned char *p = map(_metadata, fd, rows[r].prot,
				       rows[r].flags, 0);

		printf("# %-24s", rows[r].name);
		for (int f = 0; f < 8; f++) {
			int has = vm_flag(p, names[f]), want = rows[r].has[f];

			/* No buffer's file may be run (the parameter exec) */
			if (!strcmp(names[f], " me") &&
			    variant->view == FILE_VIEW &&
			    !(rows[r].flags & MAP_ANONYMOUS))
				want = 0;
			printf("%s", has ? names[f] : "   ");
			EXPECT_EQ(want, has)
			TH_LOG("%s:%s", rows[r].name, names[f]);
		}
		printf("\n");
		fflush(stdout);
		munmap(p, LEN);
		close(fd);
	}
}

/* A line of smaps_rollup, which adds up all VMAs of the process, in bytes. */
static int64_t rollup(const char *name)
{
	int64_t kib = proc_value("/proc/self/smaps_rollup", name);

	return kib < 0 ? -1 : kib * 1024;
}

/* The sum of all is by as much larger as the mapping shows itself. */
TEST_F(smaps, in_the_sum)
{
	unsigned char *p = map(_metadata, self->fd, PROT_READ | PROT_WRITE,
			       MAP_SHARED, 0);
	int64_t file, shmem;

	/* Twice, so that to ask has all the memory it needs */
	rollup("Pss_File");
	file = rollup("Pss_File");
	shmem = rollup("Pss_Shmem");
	ASSERT_LE(0, file);
	read_and_write(p);
	EXPECT_EQ(file + (READ + WRITTEN) * (int64_t)PAGE, rollup("Pss_File"));
	EXPECT_EQ(shmem, rollup("Pss_Shmem"));
	munmap(p, LEN);
	EXPECT_EQ(file, rollup("Pss_File"));
}

TEST_HARNESS_MAIN
