// SPDX-License-Identifier: GPL-2.0-only
/*
 * Figures of a mapping of a file or of memory, and of the calls that do the same.  A figure is
 * that of one page, without the loop that touches the pages, or of one call.
 */
#include <time.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "../lib/lib.h"

#include "bench.h"

#define CALLS	  1000
#define MANY	  10000
#define PROCESSES 4
#define SPARSE	  64 /* of so many pages, one is touched */

struct cost costs[SUBJECTS][FIGURES];

int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int64_t faults(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return r.ru_minflt + r.ru_majflt;
}

/* In whole instructions and faults; to ask for the faults is not counted. */
__attribute__((noinline)) struct cost begin(void)
{
	struct cost start = { .faults = faults() };

	start.instructions = now();
	return start;
}

__attribute__((noinline)) struct cost since(struct cost start)
{
	struct cost all = { .instructions = now() - start.instructions };

	all.faults = faults() - start.faults;
	return all;
}

/* They are only to be seen from outside. */
__attribute__((noinline, noclone)) static void chosen(void)
{
	asm volatile("# the last interval is meant");
}

__attribute__((noinline, noclone)) static void kept(void)
{
	asm volatile("# the next one may be");
}

/* The least of some rounds is kept: an interrupt is not ours. */
void keep(enum subject s, enum figure f, struct cost all, int64_t loop,
	  int64_t parts)
{
	struct cost cost = {
		(all.instructions - loop) * 100 / parts,
		all.faults * 1000000 / parts,
	};

	/* What costs less than that is not nothing */
	if (!cost.instructions)
		cost.instructions = 1;
	if (!costs[s][f].instructions ||
	    cost.instructions < costs[s][f].instructions)
		costs[s][f] = cost;
	if (f == profiled) {
		printf("profile,%" PRId64 "\n", parts);
		chosen();
	}
	kept();
}

/* A page of each, in an order without a stride; `pages` is a power of two. */
static size_t shuffled(size_t i)
{
	return i * 7919 % pages;
}

struct cost touch_all(unsigned char *p, enum way way)
{
	struct cost start = begin();

	for (size_t i = 0; i < pages; i++) {
		if (way == WRITING)
			put(p + i * PAGE, 1);
		else if (way == READING)
			touch(p + i * PAGE);
		else
			touch(p + shuffled(i) * PAGE);
	}
	return since(start);
}

static int64_t less(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* What the loop takes by itself: all of it is mapped, and may be written. */
int64_t loop(unsigned char *p, enum way way)
{
	int64_t first = touch_all(p, way).instructions;

	return less(first, touch_all(p, way).instructions);
}

static void unmap(enum subject s, unsigned char *p)
{
	struct cost start = begin();

	munmap(p, len);
	keep(s, UNMAP, since(start), 0, pages);
}

/* ---- new pages ----------------------------------------------------------- */

static void measure_new(enum subject s, int fd, enum way way)
{
	unsigned char *p = map(s, fd, 0);
	struct cost all = touch_all(p, way);

	keep(s, way == WRITING ? FRESH_WRITE : FRESH_READ, all, loop(p, way),
	     pages);
	if (way == READING)
		unmap(s, p);
	else
		munmap(p, len);
}

static void measure_populate(enum subject s, int fd, enum figure figure)
{
	struct cost start = begin();
	unsigned char *p = map(s, fd, MAP_POPULATE);

	keep(s, figure, since(start), 0, pages);
	munmap(p, len);
}

/* ---- pages that are cached ----------------------------------------------- */

static int64_t fork_once(void)
{
	int64_t start = now();
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
	return now() - start;
}

/* Above what it is without the mapping. */
static void measure_fork(enum subject s, int fd)
{
	int64_t without = less(fork_once(), fork_once()), with;
	unsigned char *p;

	p = map(s, fd, 0);
	touch_all(p, WRITING);
	with = less(fork_once(), fork_once());
	keep(s, FORK, (struct cost){ .instructions = with - without }, 0, pages);
	munmap(p, len);
}

static void measure_sparse(enum subject s, int fd)
{
	unsigned char *p = map(s, fd, 0);
	struct cost start = begin(), all;

	for (size_t i = 0; i < pages; i += SPARSE)
		touch(p + i * PAGE);
	all = since(start);
	start = begin();
	for (size_t i = 0; i < pages; i += SPARSE)
		touch(p + i * PAGE);
	keep(s, READ_SPARSE, all, since(start).instructions, pages / SPARSE);
	munmap(p, len);
}

/* Closed by the parent, that is the word for all children. */
static void wait_for_word(const int word[2])
{
	char byte;

	read(word[0], &byte, 1);
}

static void give_word(const int word[2])
{
	close(word[1]);
	close(word[0]);
}

/* Each of some processes has a mapping of its own; they begin at once. */
static void measure_processes(enum subject s, int fd, enum way way)
{
	int go[2], end[2], ready[2];
	unsigned char *p = map(s, fd, 0);
	int64_t one, start;
	char byte;

	touch_all(p, way);
	one = loop(p, way);
	munmap(p, len);
	if (pipe(go) || pipe(end) || pipe(ready))
		fail("pipe");
	for (int i = 0; i < PROCESSES; i++) {
		if (fork())
			continue;
		close(go[1]);
		close(end[1]);
		p = map(s, fd, 0);
		write(ready[1], "", 1);
		wait_for_word(go);
		touch_all(p, way);
		write(ready[1], "", 1);
		wait_for_word(end);
		_exit(0);
	}
	/* If one of them dies, there is an end to waiting */
	close(ready[1]);
	for (int i = 0; i < PROCESSES; i++)
		if (read(ready[0], &byte, 1) != 1)
			fail("a process");
	start = now();
	give_word(go);
	for (int i = 0; i < PROCESSES; i++)
		if (read(ready[0], &byte, 1) != 1)
			fail("a process");
	keep(s, way == WRITING ? WRITE_4 : READ_4,
	     (struct cost){ .instructions = now() - start }, one * PROCESSES,
	     pages * PROCESSES);
	give_word(end);
	while (wait(NULL) > 0)
		;
	close(ready[0]);
}

static void measure_mmap(enum subject s, int fd)
{
	struct cost start = begin();

	for (int i = 0; i < CALLS; i++)
		munmap(map(s, fd, 0), len);
	keep(s, MMAP_CALL, since(start), 0, CALLS);
}

/* All pages are cached, and clean. */
static void measure_cached(enum subject s, int fd)
{
	static const enum figure figure[] = { READ, READ_RANDOM, WRITE };
	struct cost all, start;
	unsigned char *p;

	if (s == NONE_2M || s == TMPFS_2M) {
		p = map(s, fd, 0);
		madvise(p, len, MADV_HUGEPAGE);
		all = touch_all(p, READING);
		keep(s, READ_ADVISED, all, loop(p, READING), pages);
		unmap(s, p);
	}
	for (enum way way = READING; way <= WRITING; way++) {
		p = map(s, fd, 0);
		all = touch_all(p, way);
		keep(s, figure[way], all, loop(p, way), pages);
		if (way < WRITING)
			unmap(s, p);
	}
	if (is_file(s)) {
		start = begin();
		msync(p, len, MS_SYNC);
		keep(s, MSYNC, since(start), 0, pages);
		all = touch_all(p, WRITING);
		keep(s, MKWRITE, all, loop(p, WRITING), pages);
		msync(p, len, MS_SYNC);
		put(p + len / 2, 1);
		start = begin();
		msync(p, len, MS_SYNC);
		keep(s, MSYNC_ONE, since(start), 0, 1);
	}
	munmap(p, len);
	measure_sparse(s, fd);
	measure_populate(s, fd, POPULATE);
	measure_processes(s, fd, READING);
	measure_processes(s, fd, WRITING);
	fsync(fd);
}

/* ---- pages that come and go ---------------------------------------------- */

static void measure_reading_in(enum subject s, int fd)
{
	struct cost start, all;
	unsigned char *p;

	fsync(fd);
	start = begin();
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	keep(s, EVICT, since(start), 0, pages);
	p = map(s, fd, 0);
	all = touch_all(p, READING);
	keep(s, READ_IN, all, loop(p, READING), pages);
	munmap(p, len);
}

/* ---- calls --------------------------------------------------------------- */

static void measure_calls(enum subject s, int fd)
{
	static unsigned char bytes[MIB];
	struct cost start;

	start = begin();
	for (size_t i = 0; i < CALLS; i++)
		if (pread(fd, bytes, PAGE, i % pages * PAGE) != PAGE)
			fail("read");
	keep(s, READ_CALL, since(start), 0, CALLS);
	start = begin();
	for (size_t at = 0; at < len; at += MIB)
		if (pread(fd, bytes, MIB, at) != MIB)
			fail("read");
	keep(s, READ_CALL_LARGE, since(start), 0, pages);
	fsync(fd);
	start = begin();
	for (size_t i = 0; i < CALLS; i++)
		if (pwrite(fd, bytes, PAGE, i % pages * PAGE) != PAGE)
			fail("write");
	keep(s, WRITE_CALL, since(start), 0, CALLS);
	fsync(fd);
	start = begin();
	for (size_t at = 0; at < len; at += MIB)
		if (pwrite(fd, bytes, MIB, at) != MIB)
			fail("write");
	keep(s, WRITE_CALL_LARGE, since(start), 0, pages);
	fsync(fd);
}

static void measure_made(enum subject s, int fd)
{
	measure_fork(s, fd);
	measure_mmap(s, fd);
	if (!has_pages(s) || s == SHARED)
		return;
	fsync(fd);
	measure_cached(s, fd);
	if (has_store(s))
		measure_reading_in(s, fd);
	if (has_calls(s))
		measure_calls(s, fd);
}

/**
 * measure() - all figures of one subject
 * @s: the subject
 */
void measure(enum subject s)
{
	for (int round = 0; round < 2; round++) {
		int fd = make(s);

		if (is_file(s) || fd < 0) {
			measure_new(s, fd, READING);
			close(fd);
			fd = make(s);
			measure_populate(s, fd, FRESH_POPULATE);
			close(fd);
			fd = make(s);
			measure_new(s, fd, WRITING);
		}
		measure_made(s, fd);
		close(fd);
	}
}

/* ---- buffers that are made ----------------------------------------------- */

static int make_small(enum subject s, int node)
{
	struct vmademo_create c = { .size = MIB };
	int fd = s == TMPFS ? memfd_create("tmpfs", 0)
			    : ioctl(node, VMADEMO_IOC_CREATE, &c);

	if (fd < 0)
		fail("many files");
	return fd;
}

/**
 * measure_create() - what it costs to make one
 * @s: NONE or TMPFS
 *
 * They are kept open: what the last one costs is what each costs.
 */
void measure_create(enum subject s)
{
	int node = open("/dev/vmademo", O_RDWR);
	static int fds[MANY + CALLS];
	struct cost start;

	for (int round = 0; round < 2; round++) {
		/* What was closed is not yet freed */
		sleep(1);
		start = begin();
		for (int i = 0; i < CALLS; i++)
			fds[i] = make_small(s, node);
		keep(s, CREATE, since(start), 0, CALLS);
		for (int i = CALLS; i < MANY; i++)
			fds[i] = make_small(s, node);
		start = begin();
		for (int i = MANY; i < MANY + CALLS; i++)
			fds[i] = make_small(s, node);
		keep(s, CREATE_MANY, since(start), 0, CALLS);
		for (int i = 0; i < MANY + CALLS; i++)
			close(fds[i]);
		sleep(1);
		start = begin();
		for (int i = 0; i < CALLS; i++)
			close(make_small(s, node));
		keep(s, CREATE_CLOSE, since(start), 0, CALLS);
	}
	close(node);
}
