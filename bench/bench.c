// SPDX-License-Identifier: GPL-2.0-only
/*
 * What mappings cost, in instructions: of a buffer, and of its peers on the same machine.
 *
 * Needs a machine whose clock counts instructions, one a nanosecond: make bench has one.
 * Prints a table, and for each target whether it is met; fails if one is not.  A figure is
 * that of one page of 64 MiB, without the loop that touches the pages, or of one call.
 */
#include <stdbool.h>
#include <time.h>

#include "../tests/vmademo_test.h"
#include "../tests/windows.h"

#define LEN   (64 * MIB)
#define PAGES (LEN / PAGE)
#define CALLS 1000

/* ---- what is measured ---------------------------------------------------- */

enum figure {
	FRESH_READ,
	FRESH_WRITE,
	READ,
	READ_RANDOM,
	WRITE,
	MKWRITE,
	MSYNC,
	MSYNC_ONE,
	UNMAP,
	READ_CALL,
	READ_CALL_LARGE,
	WRITE_CALL,
	WRITE_CALL_LARGE,
	CREATE,
	WINDOW_MAP,
	WINDOW_READ,
	WINDOW_WRITE,
	WINDOW_READ_SMALL,
	WINDOW_WRITE_SMALL,
	FIGURES,
};

static const char *const figures[] = {
	[FRESH_READ] = "read, a new page",
	[FRESH_WRITE] = "write, a new page",
	[READ] = "read, a page that is cached",
	[READ_RANDOM] = "the same, at random",
	[WRITE] = "write, a page that is cached",
	[MKWRITE] = "write, a page that msync has cleaned",
	[MSYNC] = "msync, a dirty page",
	[MSYNC_ONE] = "msync with one dirty page, all of it",
	[UNMAP] = "munmap, a page",
	[READ_CALL] = "read(2) of 4 KiB",
	[READ_CALL_LARGE] = "read(2) of 1 MiB, a page",
	[WRITE_CALL] = "write(2) of 4 KiB",
	[WRITE_CALL_LARGE] = "write(2) of 1 MiB, a page",
	[CREATE] = "make a buffer",
	[WINDOW_MAP] = "mmap of a window, a page",
	[WINDOW_READ] = "read, a page of a window",
	[WINDOW_WRITE] = "write, a page of a window",
	[WINDOW_READ_SMALL] = "read, with entries of 4 KiB",
	[WINDOW_WRITE_SMALL] = "write, with entries of 4 KiB",
};

enum subject {
	NONE,
	NONE_64K,
	NONE_2M,
	RAM,
	RAM_64K,
	TMPFS,
	TMPFS_2M,
	HUGETLB,
	EXT4,
	EAGER,
	LAZY,
	DEV_MEM,
	SUBJECTS,
};

static const char *const subjects[] = {
	[NONE] = "none",	 [NONE_64K] = "none 64K",
	[NONE_2M] = "none 2M",	 [RAM] = "ram",
	[RAM_64K] = "ram 64K",	 [TMPFS] = "tmpfs",
	[TMPFS_2M] = "tmpfs 2M", [HUGETLB] = "hugetlb",
	[EXT4] = "ext4",	 [EAGER] = "eager",
	[LAZY] = "lazy",	 [DEV_MEM] = "/dev/mem",
};

/* In hundredths of an instruction; 0 is not measured. */
static int64_t costs[SUBJECTS][FIGURES];

/* ---- targets ------------------------------------------------------------- */

static const struct target {
	enum figure figure;
	enum subject ours, peer;
	/* at most so many hundredths of the peer */
	int percent;
	/* Where ext4 has large folios, it is the peer of those with 64 KiB */
	bool small_peer, large_peer;
} targets[] = {
	{ FRESH_READ, NONE, TMPFS, 68 },
	{ FRESH_WRITE, NONE, TMPFS, 100 },
	{ READ, NONE, TMPFS, 86 },
	/* It is counted, and asked how many to map */
	{ READ_RANDOM, NONE, TMPFS, 102 },
	{ MKWRITE, NONE, EXT4, 78 },
	{ MSYNC, RAM, EXT4, 90, .small_peer = true },
	{ MSYNC, RAM_64K, EXT4, 90, .large_peer = true },
	{ MSYNC_ONE, NONE, EXT4, 55 },
	/* tmpfs has calls of its own for it, and nothing to mark as dirty */
	{ READ_CALL, NONE, EXT4, 100 },
	{ READ_CALL_LARGE, NONE, TMPFS, 79 },
	{ WRITE_CALL, NONE, EXT4, 95 },
	{ WRITE_CALL_LARGE, NONE, EXT4, 90, .small_peer = true },
	{ WRITE_CALL_LARGE, NONE_64K, EXT4, 100, .large_peer = true },
	{ CREATE, NONE, TMPFS, 120 },
	{ FRESH_WRITE, NONE_2M, HUGETLB, 109 },
};

/* No peer does this: in hundredths of an instruction. */
static const struct limit {
	enum figure figure;
	enum subject ours;
	int64_t most;
} limits[] = {
	{ READ, NONE_2M, 1600 },
	{ MKWRITE, NONE_2M, 3300 },
	{ MSYNC, NONE_2M, 800 },
	{ WINDOW_READ, LAZY, 6600 },
	{ WINDOW_WRITE, LAZY, 6600 },
	{ WINDOW_READ_SMALL, LAZY, 6800 },
	{ WINDOW_WRITE_SMALL, LAZY, 6800 },
};

/* ---- measuring ----------------------------------------------------------- */

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* The least of some rounds is kept: an interrupt is not ours. */
static void keep(enum subject s, enum figure f, int64_t instructions,
		 int64_t parts)
{
	int64_t cost = instructions * 100 / parts;

	if (!costs[s][f] || cost < costs[s][f])
		costs[s][f] = cost;
}

static void fail(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

static unsigned char *map(int fd)
{
	unsigned char *p = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED,
				fd, 0);

	if (p == MAP_FAILED)
		fail("mmap");
	return p;
}

/* A page of each, in an order without a stride; PAGES is a power of two. */
static size_t shuffled(size_t i)
{
	return i * 7919 % PAGES;
}

enum way { READING, READING_AT_RANDOM, WRITING };

/* Instructions to touch all pages of a mapping. */
static int64_t touch_all(unsigned char *p, enum way way)
{
	int64_t start = now();

	for (size_t i = 0; i < PAGES; i++) {
		if (way == WRITING)
			put(p + i * PAGE, 1);
		else if (way == READING)
			touch(p + i * PAGE);
		else
			touch(p + shuffled(i) * PAGE);
	}
	return now() - start;
}

/* What the loop takes by itself: all of it is mapped, and may be written. */
static int64_t loop(unsigned char *p, enum way way)
{
	int64_t first = touch_all(p, way), second = touch_all(p, way);

	return first < second ? first : second;
}

static void measure_new(enum subject s, int fd, enum way way)
{
	unsigned char *p = map(fd);
	int64_t all = touch_all(p, way);

	keep(s, way == WRITING ? FRESH_WRITE : FRESH_READ, all - loop(p, way),
	     PAGES);
	munmap(p, LEN);
}

/* All pages are cached, and clean. */
static void measure_cached(enum subject s, int fd)
{
	static const enum figure figure[] = { READ, READ_RANDOM, WRITE };
	int64_t start, all;
	unsigned char *p;

	for (enum way way = READING; way <= WRITING; way++) {
		p = map(fd);
		all = touch_all(p, way);
		keep(s, figure[way], all - loop(p, way), PAGES);
		if (way < WRITING) {
			start = now();
			munmap(p, LEN);
			keep(s, UNMAP, now() - start, PAGES);
		}
	}
	start = now();
	msync(p, LEN, MS_SYNC);
	keep(s, MSYNC, now() - start, PAGES);
	all = touch_all(p, WRITING);
	keep(s, MKWRITE, all - loop(p, WRITING), PAGES);
	msync(p, LEN, MS_SYNC);
	put(p + LEN / 2, 1);
	start = now();
	msync(p, LEN, MS_SYNC);
	keep(s, MSYNC_ONE, now() - start, 1);
	munmap(p, LEN);
}

static void measure_calls(enum subject s, int fd)
{
	static unsigned char bytes[MIB];
	int64_t start;

	start = now();
	for (size_t i = 0; i < CALLS; i++)
		if (pread(fd, bytes, PAGE, i * PAGE) != PAGE)
			fail("read");
	keep(s, READ_CALL, now() - start, CALLS);
	start = now();
	for (size_t at = 0; at < LEN; at += MIB)
		if (pread(fd, bytes, MIB, at) != MIB)
			fail("read");
	keep(s, READ_CALL_LARGE, now() - start, PAGES);
	fsync(fd);
	start = now();
	for (size_t i = 0; i < CALLS; i++)
		if (pwrite(fd, bytes, PAGE, i * PAGE) != PAGE)
			fail("write");
	keep(s, WRITE_CALL, now() - start, CALLS);
	fsync(fd);
	start = now();
	for (size_t at = 0; at < LEN; at += MIB)
		if (pwrite(fd, bytes, MIB, at) != MIB)
			fail("write");
	keep(s, WRITE_CALL_LARGE, now() - start, PAGES);
	fsync(fd);
}

/* ---- subjects ------------------------------------------------------------ */

static int make(enum subject s)
{
	const char *ext4 = getenv("BENCH_EXT4");
	char path[256];
	int fd;

	folio_size_wanted = s == NONE_64K || s == RAM_64K ? 64 * 1024
			    : s == NONE_2M		  ? 2 * MIB
							  : PAGE;
	switch (s) {
	case NONE:
	case NONE_64K:
	case NONE_2M:
		return create_buffer(LEN);
	case RAM:
	case RAM_64K:
		return create_with(VMADEMO_STORE_RAM, LEN, 0);
	case TMPFS:
		fd = memfd_create("tmpfs", 0);
		break;
	case TMPFS_2M:
		fd = open("/tmpfs-2M", O_RDWR | O_TMPFILE, 0600);
		break;
	case HUGETLB:
		fd = memfd_create("hugetlb", MFD_HUGETLB);
		break;
	default:
		snprintf(path, sizeof(path), "%s/file", ext4 ?: "");
		fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
		unlink(path);
	}
	if (fd >= 0 && ftruncate(fd, LEN))
		fail("ftruncate");
	return fd;
}

static void measure_file(enum subject s)
{
	for (int round = 0; round < 2; round++) {
		for (enum way way = READING; way <= WRITING; way += WRITING) {
			int fd = make(s);

			if (fd < 0)
				fail(subjects[s]);
			measure_new(s, fd, way);
			if (way == WRITING) {
				fsync(fd);
				measure_cached(s, fd);
				/* It has no write(2) */
				if (s != HUGETLB)
					measure_calls(s, fd);
			}
			close(fd);
		}
	}
}

/* They are kept open: what the last one costs is what each costs. */
static void measure_create(enum subject s)
{
	struct vmademo_create c = { .size = MIB };
	int node = open(NODE, O_RDWR);
	static int fds[CALLS];
	int64_t start;

	for (int round = 0; round < 2; round++) {
		/* What was closed is not yet freed */
		sleep(1);
		start = now();
		for (int i = 0; i < CALLS; i++)
			fds[i] = s == TMPFS
					 ? memfd_create("tmpfs", 0)
					 : ioctl(node, VMADEMO_IOC_CREATE, &c);
		keep(s, CREATE, now() - start, CALLS);
		for (int i = 0; i < CALLS; i++)
			if (fds[i] < 0 || close(fds[i]))
				fail("a thousand files");
	}
	close(node);
}

/*
 * A mapping at the next address that suits entries of 2 MiB, or one page behind it, where
 * none fits.
 */
static unsigned char *map_window(enum subject s, int fd, uint64_t offset,
				 bool small)
{
	const size_t large = 2 * MIB;
	unsigned char *p = mmap(NULL, LEN + 2 * large, PROT_NONE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int64_t start;

	p += -(uintptr_t)p % large + (small ? PAGE : 0);
	/* What is there must not be unmapped at our cost */
	munmap(p, LEN);
	start = now();
	p = mmap(p, LEN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		 offset);
	if (p == MAP_FAILED)
		fail("mmap of a window");
	keep(s, WINDOW_MAP, now() - start, PAGES);
	return p;
}

static void measure_window(enum subject s, const char *path, uint64_t offset)
{
	static const enum figure figure[] = { WINDOW_READ, WINDOW_WRITE,
					      WINDOW_READ_SMALL,
					      WINDOW_WRITE_SMALL };
	int fd = open(path, O_RDWR);

	if (fd < 0)
		fail(path);
	for (int i = 0; i < 2 * 4; i++) {
		enum way way = i % 2 ? WRITING : READING;
		unsigned char *p = map_window(s, fd, offset, i % 4 >= 2);
		int64_t all = touch_all(p, way);

		keep(s, figure[i % 4], all - loop(p, way), PAGES);
		munmap(p, LEN);
	}
	close(fd);
}

static void measure_windows(void)
{
	const uint64_t bar = ivshmem_bar();
	char phys[64];

	if (!bar)
		fail("no memory of a device");
	/* While the module has not claimed it, or /dev/mem would refuse */
	if (unload_module())
		fail("rmmod");
	measure_window(DEV_MEM, "/dev/mem", bar);
	snprintf(phys, sizeof(phys), "64M@0x%" PRIx64, bar);
	if (!use_window(phys, 0))
		fail("insmod");
	measure_window(EAGER, WINDOW, 0);
	if (!use_window(phys, 1))
		fail("insmod");
	measure_window(LAZY, WINDOW, 0);
}

/* ---- what came of it ----------------------------------------------------- */

static void print_cost(int64_t cost)
{
	if (!cost)
		printf(" %10s", "-");
	else if (cost < 10000)
		printf(" %10.1f", cost / 100.0);
	else
		printf(" %10" PRId64, (cost + 50) / 100);
}

static void print_table(void)
{
	printf("# %-38s", "instructions");
	for (int s = 0; s < SUBJECTS; s++)
		printf(" %10s", subjects[s]);
	printf("\n");
	for (int f = 0; f < FIGURES; f++) {
		printf("# %-38s", figures[f]);
		for (int s = 0; s < SUBJECTS; s++)
			print_cost(costs[s][f]);
		printf("\n");
	}
}

static int number;

static bool report(bool met, enum figure figure, enum subject ours)
{
	printf("%s %d %s: %s is ", met ? "ok" : "not ok", ++number,
	       figures[figure], subjects[ours]);
	return met;
}

static bool check_target(struct target t)
{
	int64_t ours = costs[t.ours][t.figure], peer = costs[t.peer][t.figure];
	bool met = report(ours && peer && ours * 100 <= peer * t.percent,
			  t.figure, t.ours);

	printf("%.2f of %s, at most %.2f\n", peer ? (double)ours / peer : 0,
	       subjects[t.peer], t.percent / 100.0);
	return met;
}

static bool check_limit(struct limit l)
{
	int64_t ours = costs[l.ours][l.figure];
	bool met = report(ours && ours <= l.most, l.figure, l.ours);

	printf("%.1f, at most %.1f\n", ours / 100.0, l.most / 100.0);
	return met;
}

/* Whether all are met. */
static bool check_targets(void)
{
	const int n = sizeof(targets) / sizeof(targets[0]);
	const int l = sizeof(limits) / sizeof(limits[0]);
	/* Where the kernel marks VMAs, each page is asked how it is cached */
	const struct target eager = { WINDOW_MAP, EAGER, DEV_MEM,
				      remap_marks_vma() ? 75 : 15 };
	const bool large_ext4 = costs[EXT4][READ] * 2 < costs[TMPFS][READ];
	bool all = true;

	printf("1..%d\n", n + l + 1);
	for (int i = 0; i < n; i++) {
		if (targets[i].small_peer && large_ext4)
			printf("ok %d # SKIP ext4 has large folios\n", ++number);
		else if (targets[i].large_peer && !large_ext4)
			printf("ok %d # SKIP ext4 has no large folios\n",
			       ++number);
		else
			all &= check_target(targets[i]);
	}
	for (int i = 0; i < l; i++)
		all &= check_limit(limits[i]);
	all &= check_target(eager);
	return all;
}

int main(void)
{
	struct rlimit files = { 2 * CALLS, 2 * CALLS };
	bool all;

	setrlimit(RLIMIT_NOFILE, &files);
	/* What the kernel does after booting is over; here, idling costs nothing */
	sleep(30);
	for (enum subject s = NONE; s <= EXT4; s++)
		measure_file(s);
	measure_create(NONE);
	measure_create(TMPFS);
	measure_windows();
	print_table();
	all = check_targets();
	fflush(stdout);
	return !all;
}
