/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the verb top share: top.c looks at the buffer and obeys keys, top_view.c
 * draws.
 */
#ifndef VMADEMO_TOP_H
#define VMADEMO_TOP_H

#include "names.h"
#include "picture.h"
#include "trace.h"

#define KEPT 64

/* What a tracepoint told. */
struct happening {
	char when[20], who[32], what[96];
	bool bad; /* it failed, or was made to */
};

/**
 * struct top - what is looked at, and what was seen
 * @target: as it was named
 * @fd: it
 * @is_dir: it is a directory of buffers
 * @offset, @length: what the picture is of
 * @interval: seconds
 * @paused: nothing new is looked at
 * @show_times: the histograms are wanted
 * @info, @stats: of the last look
 * @before: of the one before that
 * @seconds: between the two; 0: there was none
 * @picture: of the last look
 * @across: cells in a line of it
 * @no_picture: why there is none; NULL: there is
 * @times: histograms since the beginning
 * @no_times: why there are none
 * @events: a ring
 * @nr_events: that were told, in all
 * @no_events: why none is
 */
struct top {
	const char *target;
	int fd;
	bool is_dir;
	uint64_t offset, length;
	double interval;
	bool paused, show_times;

	struct vmademo_info info;
	struct vmademo_stats stats, before;
	double seconds;

	struct picture picture;
	size_t across;
	const char *no_picture;

	uint64_t times[NR_TIMES][NR_BUCKETS];
	const char *no_times;

	struct happening events[KEPT];
	uint64_t nr_events;
	const char *no_events;
};

/* top_view.c */
void view_begin(void);
void view_end(void);
size_t view_picture_rows(const struct top *top);
size_t view_width(void);
void view_draw(const struct top *top);

#endif /* VMADEMO_TOP_H */
