/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the fuzzer's calls are made with: files, sizes and offsets, memory.
 *
 * Offsets are few: near 0, the end, 2 MiB, and where numbers of some width end.  So
 * calls meet each other, and what a buffer can come to hold is bounded, some MiB.
 *
 * Memory to be mapped over is one range of addresses, the arena.  Behind it is a wide
 * range that cannot be touched: a length that is too long ends there.
 */
#ifndef VMADEMO_FUZZ_CHOOSE_H
#define VMADEMO_FUZZ_CHOOSE_H

#include "fuzz.h"

#define ARENA_LEN (32 * MIB)
#define GUARD_LEN ((IS_32_BIT ? 64 : 4096) * MIB)
#define LONGEST	  (512UL * 1024) /* of what is filled with data */

static unsigned char *arena;

static int make_arena(void)
{
	const size_t huge = 2 * MIB;
	/* Where there is room, the same place in each process and run */
	void *place = (void *)(IS_32_BIT ? 0UL : (unsigned long)(1ULL << 44));
	unsigned char *p = mmap(place, ARENA_LEN + huge + GUARD_LEN, PROT_NONE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
				0);

	if (p == MAP_FAILED)
		return -1;
	arena = (unsigned char *)(((uintptr_t)p + huge - 1) & ~(huge - 1));
	return 0;
}

/* ---- files --------------------------------------------------------------- */

#define BIT_OF(kind) (1U << (kind))
#define BUFFERS	     (BIT_OF(BUFFER_FILE) | BIT_OF(NODE_FILE))
#define OURS	     (BUFFERS | BIT_OF(WINDOW_FILE))
#define ANY_FILE     (OURS | BIT_OF(LOWER_FILE) | BIT_OF(PLAIN_FILE))

static struct file *file_at(struct worker *w, unsigned int i)
{
	return i < COMMON ? &common[i] : &w->own[i - COMMON];
}

/* An open file of one of these kinds; most calls take what is ours. */
static struct file some_file(struct worker *w, unsigned int kinds)
{
	static const struct file none = { .fd = -1, .kind = CLOSED };
	unsigned int from = below(w, COMMON + OWN);

	for (unsigned int i = 0; i < COMMON + OWN; i++) {
		const struct file *f = file_at(w, (from + i) % (COMMON + OWN));

		if (f->kind != CLOSED && kinds & BIT_OF(f->kind))
			return *f;
	}
	return none;
}

/* Keeps a new file open, perhaps in the place of another one. */
static void keep_file(struct worker *w, int fd, enum kind kind)
{
	struct file *f;

	if (fd < 0)
		return;
	f = &w->own[below(w, OWN)];
	if (f->kind != CLOSED)
		close(f->fd);
	*f = (struct file){ .fd = fd, .kind = kind };
}

static const char *kind_name(enum kind kind)
{
	static const char *const names[] = { "closed", "node",	"buffer",
					     "window", "lower", "plain" };

	return names[kind];
}

/* For the log: FILE_FORMAT and FILE_ARGS(f). */
#define FILE_FORMAT  "%s:%d"
#define FILE_ARGS(f) kind_name((f).kind), (f).fd

/* ---- sizes, offsets, lengths --------------------------------------------- */

static uint64_t size_of(struct file f)
{
	struct vmademo_info info;
	struct stat st;

	if (f.kind == NODE_FILE)
		return ioctl(f.fd, VMADEMO_IOC_INFO, &info) ? 0 : info.size;
	return fstat(f.fd, &st) ? 0 : st.st_size;
}

/* A little more or less, where mistakes are made. */
static int64_t nearby(struct worker *w)
{
	const int64_t page = PAGE;
	const int64_t near[] = { 0,	   0,	      1,	-1,
				 page - 1, page,      page + 1, 1 - page,
				 -page,	   -page - 1, 2 * page, 511 };

	return ANY_OF(w, near);
}

static uint64_t some_offset(struct worker *w, struct file f)
{
	const uint64_t wide[] = {
		1ULL << 31, 1ULL << 32, 1ULL << 44,	 INT64_MAX,
		INT64_MAX,  1ULL << 63, -(uint64_t)PAGE, UINT64_MAX,
	};
	uint64_t offset = 0;

	switch (below(w, 16)) {
	case 0 ... 7:
		offset = below(w, 64 * PAGE);
		if (one_in(w, 2))
			offset &= ~(PAGE - 1);
		break;
	case 8:
		offset = nearby(w);
		break;
	case 9 ... 12:
		offset = size_of(f) + nearby(w);
		break;
	case 13:
		offset = 2 * MIB + nearby(w);
		break;
	default:
		/* What is not ours is kept small */
		if (f.kind != PLAIN_FILE)
			offset = ANY_OF(w, wide) + nearby(w);
	}
	if (f.kind == PLAIN_FILE)
		offset %= MIB;
	return offset > largest ? offset % largest : offset;
}

/* Nearly all sizes are small, but some are as large as can be. */
static uint64_t some_size(struct worker *w)
{
	static const struct file none = { .fd = -1, .kind = CLOSED };

	return some_offset(w, none);
}

/* The length of what is filled with data: never so much that it does harm. */
static size_t some_length(struct worker *w)
{
	const size_t lengths[] = {
		0,    1,	2,	  511,		512,	   PAGE - 1,
		PAGE, PAGE + 1, 2 * PAGE, 2 * PAGE - 1, 64 * 1024, 3 * PAGE
	};

	switch (below(w, 8)) {
	case 0 ... 3:
		return ANY_OF(w, lengths);
	case 4 ... 5:
		return below(w, 16 * PAGE);
	case 6:
		return (1 + below(w, 16)) * PAGE;
	default:
		return one_in(w, 4) ? below(w, LONGEST) : below(w, 32 * PAGE);
	}
}

/* The length of a range that nothing is filled in: also absurd ones. */
static uint64_t some_range(struct worker *w)
{
	return one_in(w, 8) ? some_size(w) : some_length(w);
}

/* ---- memory -------------------------------------------------------------- */

/* A whole page of the arena; mostly where something was mapped lately. */
static unsigned char *some_page(struct worker *w)
{
	const struct ranges *m = &w->mapped[below(w, COUNT(w->mapped))];
	uint64_t n = draw(w);

	if (m->len && n % 8)
		return m->start + n / 8 % (m->len / PAGE) * PAGE;
	return arena + n / 8 % (ARENA_LEN / PAGE) * PAGE;
}

static size_t within_arena(const unsigned char *p, size_t len)
{
	size_t most = arena + ARENA_LEN - p;

	return len < most ? len : most;
}

static void was_mapped(struct worker *w, unsigned char *p, size_t len)
{
	len = (len + PAGE - 1) & ~(PAGE - 1);
	w->mapped[w->mappings++ % COUNT(w->mapped)] =
		(struct ranges){ .start = p, .len = len };
}

static void *const bad_memory[] = { NULL, (void *)1UL, (void *)~4095UL };

/*
 * Memory for a call to read from or write to.  Of a file that is a store, never a
 * mapping of a buffer: the file is locked then while it faults, and may be what the
 * fault waits for.
 */
static void *some_memory(struct worker *w, struct file f, size_t *len)
{
	unsigned char *p;

	if (f.kind == LOWER_FILE || one_in(w, 2)) {
		*len = *len < SCRATCH ? *len : SCRATCH;
		return w->scratch;
	}
	if (one_in(w, 24))
		return ANY_OF(w, bad_memory);
	p = some_page(w) + (one_in(w, 2) ? 0 : below(w, PAGE));
	/* Now and then up to what cannot be touched, and beyond */
	*len = one_in(w, 16) ? *len : within_arena(p, *len);
	return p;
}

#endif /* VMADEMO_FUZZ_CHOOSE_H */
