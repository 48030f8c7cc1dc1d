// SPDX-License-Identifier: GPL-2.0-only
/*
 * How much more two processors do than one: pages that are touched in the same time, by two
 * threads on one mapping, by two processes on one file, and by two processes on a file each.
 *
 * That is wall time, so it says something on a machine only that has nothing else to do, and
 * only about how the two compare.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>

#include "../lib/lib.h"

#include "bench.h"

#define ROUNDS 24

enum sharing { ALONE, THREADS, ONE_FILE, TWO_FILES, SHARINGS };

static const char *const sharings[] = { "one thread", "two threads, one mapping",
					"two processes, one file",
					"two processes, two files" };

struct worker {
	enum subject s;
	int fd;
	enum way way;
	unsigned char *p; /* a mapping, or NULL: one for each round */
	size_t first, nr; /* pages */
};

static void work(const struct worker *w)
{
	unsigned char *p = w->p ?: map(w->s, w->fd, 0);

	for (size_t i = w->first; i < w->first + w->nr; i++) {
		if (w->way == WRITING)
			put(p + i * PAGE, 1);
		else
			touch(p + i * PAGE);
	}
	if (!w->p)
		munmap(p, len);
}

static void *work_in_thread(void *arg)
{
	work(arg);
	return NULL;
}

static void in_threads(struct worker *w)
{
	pthread_t thread;

	w[0].p = map(w->s, w->fd, 0);
	w[1].p = w[0].p;
	pthread_create(&thread, NULL, work_in_thread, &w[1]);
	work(&w[0]);
	pthread_join(thread, NULL);
	munmap(w[0].p, len);
}

static void in_processes(struct worker *w)
{
	pid_t pid = fork();

	if (!pid) {
		work(&w[1]);
		_exit(0);
	}
	work(&w[0]);
	waitpid(pid, NULL, 0);
}

/* Nanoseconds a page: the least of some rounds. */
static double one(enum subject s, enum sharing how, enum way way)
{
	const size_t nr = how == ALONE ? 1 : 2;
	struct worker w[2];
	int64_t best = INT64_MAX;
	int fds[2];

	for (int i = 0; i < 2; i++) {
		fds[i] = make(s);
		munmap(map(s, fds[i], MAP_POPULATE), len);
	}
	for (int round = 0; round < ROUNDS; round++) {
		int64_t start;

		for (size_t i = 0; i < 2; i++)
			w[i] = (struct worker){
				.s = s,
				.fd = fds[how == TWO_FILES ? i : 0],
				.way = way,
				.first = how == THREADS ? i * pages / 2 : 0,
				.nr = how == THREADS ? pages / 2 : pages,
			};
		fsync(fds[0]);
		fsync(fds[1]);
		start = now();
		if (how == ALONE)
			work(&w[0]);
		else if (how == THREADS)
			in_threads(w);
		else
			in_processes(w);
		if (now() - start < best)
			best = now() - start;
	}
	close(fds[0]);
	close(fds[1]);
	return (double)best / (how == THREADS ? pages : pages * nr);
}

void measure_scaling(void)
{
	static const enum subject of[] = { NONE, RAM, NONE_2M, TMPFS, EXT4 };

	len = 16 * MIB;
	pages = len / PAGE;
	printf("# %-28s", "times what one thread does");
	for (enum sharing i = THREADS; i < SHARINGS; i++)
		printf(" %26s", sharings[i]);
	printf("\n");
	for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		for (enum way way = READING; way <= WRITING; way += WRITING) {
			double alone = one(of[i], ALONE, way);

			printf("# %-10s %-17s", subjects[of[i]],
			       way == WRITING ? "write, a page" : "read, a page");
			for (enum sharing j = THREADS; j < SHARINGS; j++)
				printf(" %26.2f", alone / one(of[i], j, way));
			printf("\n");
		}
	}
}
