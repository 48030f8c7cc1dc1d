// SPDX-License-Identifier: GPL-2.0-only
/*
 * The modules in examples/modules, each asked the same: when its pages come, when they are dirty,
 * and when they and the module go.
 */
#include <pthread.h>
#include <sys/uio.h>

#include "example_modules.h"

/* Only the page cache can be dirty: exactly what was written to, until it is cleaned. */
TEST_F(module, dirty)
{
	int64_t before, dirtied, written,
		page = variant->kind == CACHE ? PAGE : 0;
	unsigned char *p, *q;

	RUN_IF_READY();
	sync();
	EXPECT_TRUE(machine_is_quiet());
	before = meminfo("Dirty");
	dirtied = vmstat("nr_dirtied");
	written = vmstat("nr_written");
	p = map_all(self->fd);
	ASSERT_NE(MAP_FAILED, p);
	q = map(self->fd, MAP_PRIVATE, 0, N);
	ASSERT_NE(MAP_FAILED, q);
	for (int i = 0; i < N; i++)
		touch(p + i * PAGE);
	put(q + 7 * PAGE, 1);
	EXPECT_EQ(before, meminfo("Dirty"));
	for (int i = 0; i < 10; i++)
		put(p + (i % 5) * PAGE, i);
	EXPECT_EQ(before + 5 * page, meminfo("Dirty"));
	EXPECT_EQ(page ? 0 : -1, msync(p + PAGE, PAGE, MS_SYNC));
	if (!page) {
		EXPECT_EQ(EINVAL, errno);
	}
	EXPECT_EQ(before + 4 * page, meminfo("Dirty"));
	EXPECT_EQ(page ? 0 : -1, msync(p, N * PAGE, MS_SYNC));
	EXPECT_EQ(before, meminfo("Dirty"));
	EXPECT_EQ(0, meminfo("Writeback"));
	EXPECT_EQ(page ? 5 : 0, vmstat("nr_dirtied") - dirtied);
	EXPECT_EQ(page ? 5 : 0, vmstat("nr_written") - written);
	EXPECT_EQ(0, msync(p, N * PAGE, MS_ASYNC));
	/* A page that is clean is noticed again */
	put(p, 2);
	EXPECT_EQ(before + page, meminfo("Dirty"));
	munmap(p, N * PAGE);
	munmap(q, N * PAGE);
	EXPECT_EQ(before + page, meminfo("Dirty"));
	EXPECT_EQ(page ? 0 : -1, fsync(self->fd));
	EXPECT_EQ(before, meminfo("Dirty"));
	/* What is dirty when the module goes is nobody's any more */
	p = map_all(self->fd);
	ASSERT_NE(MAP_FAILED, p);
	memset(p, 1, N * PAGE);
	munmap(p, N * PAGE);
	EXPECT_EQ(before + N * page, meminfo("Dirty"));
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(0, unload(variant));
	self->loaded = false;
	EXPECT_EQ(before, meminfo("Dirty"));
}

#define INTERVAL "/proc/sys/vm/dirty_writeback_centisecs"
#define EXPIRE	 "/proc/sys/vm/dirty_expire_centisecs"

/* sync(2) and the flusher clean it too. */
TEST_F(module, flusher)
{
	int64_t before, interval = read_number(INTERVAL),
			expire = read_number(EXPIRE);
	char text[32];
	unsigned char *p;

	RUN_IF_READY();
	sync();
	before = meminfo("Dirty");
	p = map_all(self->fd);
	ASSERT_NE(MAP_FAILED, p);
	memset(p, 1, N * PAGE);
	sync();
	EXPECT_EQ(before, meminfo("Dirty"));
	memset(p, 2, N * PAGE);
	EXPECT_EQ(0, write_text(EXPIRE, "1"));
	EXPECT_EQ(0, write_text(INTERVAL, "1"));
	while (meminfo("Dirty") > before)
		usleep(10000);
	snprintf(text, sizeof(text), "%" PRId64, expire);
	EXPECT_EQ(0, write_text(EXPIRE, text));
	snprintf(text, sizeof(text), "%" PRId64, interval);
	EXPECT_EQ(0, write_text(INTERVAL, text));
	munmap(p, N * PAGE);
}

/* There is no store: what is clean must stay, too. */
TEST_F(module, kept)
{
	unsigned char *p;

	RUN_IF_READY();
	p = map_all(self->fd);
	ASSERT_NE(MAP_FAILED, p);
	memset(p, 9, N * PAGE);
	msync(p, N * PAGE, MS_SYNC);
	madvise(p, N * PAGE, MADV_PAGEOUT);
	munmap(p, N * PAGE);
	posix_fadvise(self->fd, 0, 0, POSIX_FADV_DONTNEED);
	EXPECT_EQ(0, write_text("/proc/sys/vm/drop_caches", "3"));
	p = map_all(self->fd);
	ASSERT_NE(MAP_FAILED, p);
	for (size_t i = 0; i < N; i++) {
		EXPECT_EQ(9, p[i * PAGE]);
		EXPECT_EQ(9, p[i * PAGE + PAGE - 1]);
	}
	munmap(p, N * PAGE);
}

/* It cannot be unloaded while it is open or mapped, and then it can. */
TEST_F(module, busy)
{
	int pipes[2], status;
	unsigned char *p;
	pid_t pid;
	char c;

	RUN_IF_READY();
	EXPECT_FAILS(EWOULDBLOCK, unload(variant));
	p = map_all(self->fd);
	ASSERT_NE(MAP_FAILED, p);
	put(p, 1);
	close(self->fd);
	self->fd = -1;
	EXPECT_FAILS(EWOULDBLOCK, unload(variant));
	/* ... by whomever */
	ASSERT_EQ(0, pipe(pipes));
	pid = fork();
	if (pid == 0) {
		close(pipes[1]);
		(void)!read(pipes[0], &c, 1);
		_exit(touch(p));
	}
	munmap(p, N * PAGE);
	EXPECT_FAILS(EWOULDBLOCK, unload(variant));
	close(pipes[0]);
	close(pipes[1]);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(1, WEXITSTATUS(status));
	EXPECT_EQ(0, unload(variant));
	self->loaded = false;
}

/* A page that somebody holds outlives the module. */
TEST_F(module, held)
{
	struct iovec iov = { .iov_len = PAGE };
	unsigned char *p, copy[PAGE], nines[PAGE];
	int pipes[2];

	RUN_IF_READY();
	memset(nines, 9, PAGE);
	ASSERT_EQ(0, pipe(pipes));
	p = map_all(self->fd);
	ASSERT_NE(MAP_FAILED, p);
	memcpy(p, nines, PAGE);
	iov.iov_base = p;
	if (variant->kind == PHYSICAL) {
		/* Such a page cannot be held */
		EXPECT_FAILS(EFAULT, vmsplice(pipes[1], &iov, 1, 0));
	} else {
		ASSERT_EQ(PAGE, vmsplice(pipes[1], &iov, 1, 0));
	}
	munmap(p, N * PAGE);
	close(self->fd);
	self->fd = -1;
	ASSERT_EQ(0, unload(variant));
	self->loaded = false;
	soil_free_memory();
	if (variant->kind != PHYSICAL) {
		ASSERT_EQ(PAGE, read(pipes[0], copy, PAGE));
		EXPECT_EQ(0, memcmp(nines, copy, PAGE));
	}
	close(pipes[0]);
	close(pipes[1]);
}

/* Unloading frees all of it. */
TEST_F(module, freed)
{
	const int pages = SOME_MIB, times = 8;
	int64_t before, lost;
	unsigned char *p;

	RUN_IF_READY();
	RELOAD(pages);
	before = meminfo("MemFree");
	for (int i = 0; i < times; i++) {
		p = map(self->fd, MAP_SHARED, 0, pages);
		ASSERT_NE(MAP_FAILED, p);
		memset(p, i, pages * PAGE);
		munmap(p, pages * PAGE);
		RELOAD(pages);
	}
	lost = before - meminfo("MemFree");
	EXPECT_LT(lost, (int64_t)(times * pages * PAGE / 2));
}

TEST_F(module, sizes)
{
	unsigned char *p;

	RUN_IF_READY();
	RELOAD(1);
	p = map(self->fd, MAP_SHARED, 0, 1);
	ASSERT_NE(MAP_FAILED, p);
	put(p + PAGE - 1, 1);
	munmap(p, PAGE);
	if (variant->kind != CACHE) {
		EXPECT_EQ(MAP_FAILED, map(self->fd, MAP_SHARED, 0, 2));
	}
	close(self->fd);
	self->fd = -1;
	ASSERT_EQ(0, unload(variant));
	self->loaded = false;
	EXPECT_FAILS(EINVAL, load(variant, 0));
	if (variant->kind == CACHE) {
		/* Its pages are not there before they are touched */
		EXPECT_EQ(0, load(variant, UINT32_MAX));
		EXPECT_EQ(0, unload(variant));
	} else {
		EXPECT_FAILS(ENOMEM, load(variant, UINT32_MAX));
	}
	EXPECT_EQ(-1, open_node(variant, O_RDWR));
}

#define MANY 2048

static pthread_barrier_t start;

static void *touch_many(void *at)
{
	pthread_barrier_wait(&start);
	for (size_t i = 0; i < MANY; i++)
		put((unsigned char *)at + i * PAGE, 1);
	return NULL;
}

/* Two that touch a page first at the same time get the same page. */
TEST_F(module, two_at_once)
{
	unsigned char *p, *q;
	pthread_t thread;
	int missed = 0;

	RUN_IF_READY();
	/* The largest piece of memory that can be had is half of that */
	if (variant->kind == PHYSICAL)
		SKIP(return, "its pages are there before they are touched");
	RELOAD(MANY);
	p = map(self->fd, MAP_SHARED, 0, MANY);
	ASSERT_NE(MAP_FAILED, p);
	q = map(self->fd, MAP_SHARED, 0, MANY);
	ASSERT_NE(MAP_FAILED, q);
	pthread_barrier_init(&start, NULL, 2);
	ASSERT_EQ(0, pthread_create(&thread, NULL, touch_many, q + 1));
	touch_many(p);
	pthread_join(thread, NULL);
	munmap(p, MANY * PAGE);
	for (size_t i = 0; i < MANY; i++)
		missed += touch(q + i * PAGE) != 1 ||
			  touch(q + i * PAGE + 1) != 1;
	munmap(q, MANY * PAGE);
	p = map(self->fd, MAP_SHARED, 0, MANY);
	ASSERT_NE(MAP_FAILED, p);
	for (size_t i = 0; i < MANY; i++)
		missed += touch(p + i * PAGE) != 1 ||
			  touch(p + i * PAGE + 1) != 1;
	EXPECT_EQ(0, missed);
	munmap(p, MANY * PAGE);
}

TEST_HARNESS_MAIN
