// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long things took: histograms that the module keeps while latency_on is on.  That is one
 * switch for all buffers, so commands that run at the same time share it by a lock on the
 * file: whoever is the last one switches it off, unless it was on before the first.
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

const char *const latency_kinds[NR_TIMES] = { "fault", "mkwrite", "read_in",
					      "write_out", "flush" };

/* The node's has no number for its name. */
static FILE *open_times(uint64_t ino)
{
	char *path = must_print(DEBUGFS "%llu/latency", (unsigned long long)ino);
	FILE *file = fopen(path, "re");
	struct vmademo_info info;
	int fd;

	free(path);
	if (file)
		return file;
	fd = open(NODE, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		get_info(fd, &info);
		if (info.ino == ino)
			file = fopen(DEBUGFS "vmademo/latency", "re");
		close(fd);
	}
	return file;
}

/**
 * latency_counts() - the histograms of a buffer
 * @ino: which
 * @counts: filled: of each of latency_kinds, how many took less than latency_below() of the
 *	bucket, and not less than that of the bucket before
 *
 * Return: whether the buffer has them.
 */
bool latency_counts(uint64_t ino, uint64_t counts[NR_TIMES][NR_BUCKETS])
{
	unsigned long long from, count;
	FILE *file = open_times(ino);
	char kind[32];

	memset(counts, 0, NR_TIMES * sizeof(counts[0]));
	if (!file)
		return false;
	while (fscanf(file, "%31s %llu %llu", kind, &from, &count) == 3)
		for (size_t i = 0; i < NR_TIMES; i++)
			if (!strcmp(kind, latency_kinds[i]))
				counts[i][from ? 63 - __builtin_clzll(from) : 0] =
					count;
	fclose(file);
	return true;
}

/* Nanoseconds; the first bucket is from 0. */
uint64_t latency_below(int bucket)
{
	return bucket < NR_BUCKETS - 1 ? 2ULL << bucket : UINT64_MAX;
}

void latency_sum(struct times *times, const uint64_t counts[NR_BUCKETS])
{
	uint64_t seen = 0;

	times->count = 0;
	times->median_below = 0;
	times->longest_below = 0;
	for (int i = 0; i < NR_BUCKETS; i++)
		times->count += counts[i];
	for (int i = 0; i < NR_BUCKETS; i++) {
		seen += counts[i];
		if (!counts[i])
			continue;
		if (!times->median_below && 2 * seen >= times->count)
			times->median_below = latency_below(i);
		times->longest_below = latency_below(i);
	}
}

/**
 * latency_read() - the times of a buffer
 * @ino: which
 * @times: filled, one for each kind that happened
 *
 * Return: how many kinds; 0 if the buffer has no histograms.
 */
int latency_read(uint64_t ino, struct times times[NR_TIMES])
{
	uint64_t counts[NR_TIMES][NR_BUCKETS];
	int found = 0;

	if (!latency_counts(ino, counts))
		return 0;
	for (size_t i = 0; i < NR_TIMES; i++) {
		times[found].kind = latency_kinds[i];
		latency_sum(&times[found], counts[i]);
		found += !!times[found].count;
	}
	return found;
}

/* Nanoseconds for people. */
char *latency_words(uint64_t ns)
{
	if (ns < 1000)
		return must_print("%llu ns", (unsigned long long)ns);
	if (ns < 10000)
		return must_print("%.1f us", ns / 1e3);
	if (ns < 1000000)
		return must_print("%llu us",
				  (unsigned long long)((ns + 999) / 1000));
	return must_print("%.1f ms", ns / 1e6);
}
