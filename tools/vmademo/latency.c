// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long things took: histograms that the module keeps while latency_on is on.  That is one
 * switch for all buffers, so commands that run at the same time share it by a lock on the
 * file: who is the last one switches it off, unless it was on before the first.
 */
#include <fcntl.h>
#include <sys/file.h>

#include "vmademo.h"

static int switch_fd = -1;
static bool was_on;

static bool is_on(void)
{
	char c = 0;

	return read(switch_fd, &c, 1) == 1 && c == '1';
}

static bool set(const char *value)
{
	return write(switch_fd, value, 1) == 1;
}

/* Returns whether times will be told; not without debugfs. */
bool latency_begin(void)
{
	bool alone;

	switch_fd = open(DEBUGFS "latency_on", O_RDWR | O_CLOEXEC);
	if (switch_fd < 0)
		return false;
	/* If others are at it, it is theirs that is on */
	alone = !flock(switch_fd, LOCK_EX | LOCK_NB);
	was_on = alone && is_on();
	if (!set("1") || flock(switch_fd, LOCK_SH)) {
		close(switch_fd);
		switch_fd = -1;
		return false;
	}
	atexit(latency_end);
	return true;
}

void latency_end(void)
{
	if (switch_fd < 0)
		return;
	if (!was_on && !flock(switch_fd, LOCK_EX | LOCK_NB) && !set("0"))
		complain(DEBUGFS "latency_on stays on: %s", strerror(errno));
	close(switch_fd);
	switch_fd = -1;
}

struct bucket {
	uint64_t from, count;
};

static void sum_up(struct times *times, const struct bucket *buckets, size_t nr)
{
	uint64_t seen = 0;

	for (size_t i = 0; i < nr; i++) {
		/* The last one that is not in it; a bucket at 0 is up to 1 */
		uint64_t below = buckets[i].from ? 2 * buckets[i].from : 2;

		seen += buckets[i].count;
		if (!times->median_below && 2 * seen >= times->count)
			times->median_below = below;
		times->longest_below = below;
	}
}

/**
 * latency_read() - the times of a buffer
 * @ino: which
 * @times: filled, one for each kind that happened
 *
 * Return: how many kinds; 0 if the buffer has no directory.
 */
int latency_read(uint64_t ino, struct times times[NR_TIMES])
{
	static const char *const kinds[NR_TIMES] = { "fault", "mkwrite",
						     "read_in", "write_out",
						     "flush" };
	char *path = must_print(DEBUGFS "%llu/latency", (unsigned long long)ino);
	struct bucket buckets[NR_TIMES][64];
	size_t nr[NR_TIMES] = { 0 };
	unsigned long long from, count;
	FILE *file = fopen(path, "re");
	char kind[32];
	int found = 0;

	free(path);
	if (!file)
		return 0;
	while (fscanf(file, "%31s %llu %llu", kind, &from, &count) == 3)
		for (size_t i = 0; i < NR_TIMES; i++)
			if (!strcmp(kind, kinds[i]) && nr[i] < 64)
				buckets[i][nr[i]++] = (struct bucket){ from,
								       count };
	fclose(file);
	for (size_t i = 0; i < NR_TIMES; i++) {
		struct times *t = &times[found];

		if (!nr[i])
			continue;
		found++;
		*t = (struct times){ .kind = kinds[i] };
		for (size_t j = 0; j < nr[i]; j++)
			t->count += buckets[i][j].count;
		sum_up(t, buckets[i], nr[i]);
	}
	return found;
}
