/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A buffer of the worker's own, of which it knows each byte: an array and a size say
 * what must be read, whatever goes on around it.  No power is cut here.  At the
 * end the counters must add up, and what stands below must hold the same.
 */
#ifndef VMADEMO_FUZZ_MODEL_H
#define VMADEMO_FUZZ_MODEL_H

#include <linux/falloc.h>

#include "fuzz_files.h"
#include "fuzz_io.h"

#define MODEL_MAX  (48 * PAGE)
#define MODEL_SPAN (3 * PAGE)

#define REST_LEN 5000
static const unsigned char rest = 0xaa;

struct model {
	int fd, lower;
	enum below_it kind;
	bool head; /* of a longer file, of which the rest may not change */
	size_t size;
	unsigned char *map;
	unsigned char bytes[48 * PAGE_MAX]; /* zero beyond the size */
	unsigned char data[3 * PAGE_MAX];
};

static void model_failed(struct worker *w, const char *how, size_t at)
{
	const struct model *m = w->model;

	failure("worker %d: %s of its buffer (store %s, size %#zx) is wrong at %#zx",
		w->number, how, below_names[m->kind], m->size, at);
}

/* Whether what was read is what it must be. */
static void model_check(struct worker *w, const char *how,
			const unsigned char *is, size_t at, size_t len)
{
	const struct model *m = w->model;
	const unsigned char *be = m->bytes + at;
	size_t first = 0, last = len;

	while (first < len && is[first] == be[first])
		first++;
	if (first == len) {
		__atomic_add_fetch(&shared->models_checked, 1, __ATOMIC_RELAXED);
		return;
	}
	while (is[last - 1] == be[last - 1])
		last--;
	failure("worker %d: %s (store %s, size %#zx): from %#zx to %#zx, %#x.. in place of %#x..",
		w->number, how, below_names[m->kind], m->size, at + first,
		at + last, is[first], be[first]);
}

static void model_resized(struct model *m, size_t size)
{
	if (size < m->size)
		memset(m->bytes + size, 0, m->size - size);
	m->size = size;
}

static void model_begin(struct worker *w, uint64_t which)
{
	static const enum below_it kinds[] = { NOTHING, RAM, MEMFD, SEALED,
					       ON_TMPFS };
	struct model *m = w->model;

	memset(m, 0, sizeof(*m));
	m->kind = kinds[which % COUNT(kinds)];
	if ((m->kind == SEALED && avoided("sealed")) ||
	    (m->kind == ON_TMPFS && avoided("rest")))
		m->kind = RAM;
	m->head = m->kind == ON_TMPFS;
	if (m->kind == SEALED || m->head)
		m->size = MODEL_MAX / 2 + 100;
	m->lower = open_below(m->kind, w->number, m->size);
	for (size_t at = 0; m->head && at < REST_LEN; at++)
		if (pwrite(m->lower, &rest, 1, m->size + at) != 1)
			failure("no file for the model of worker %d", w->number);
	folio_size_wanted = PAGE << which % 5;
	m->fd = create_with(m->kind < ON_TMPFS ? m->kind : VMADEMO_STORE_FILE,
			    m->size, m->lower < 0 ? 0 : m->lower);
	m->map = MAP_FAILED;
	if (m->fd >= 0)
		m->map = mmap(NULL, MODEL_MAX, PROT_READ | PROT_WRITE,
			      MAP_SHARED, m->fd, 0);
	if (m->map == MAP_FAILED)
		failure("no buffer for the model of worker %d (store %s): %s",
			w->number, below_names[m->kind], strerror(errno));
}

static void model_read(struct worker *w, size_t at, size_t len)
{
	struct model *m = w->model;
	ssize_t n = CALL(w, pread(m->fd, m->data, len, at),
			 "model: pread(%#zx, %#zx)", at, len);
	size_t be = at < m->size ? m->size - at : 0;

	if (be > len)
		be = len;
	if (n >= 0 && n != be)
		model_failed(w, "the length of a read", at + n);
	else if (n > 0)
		model_check(w, "a read of its buffer", m->data, at, n);
}

/* By itself, so that the caller's variables are in no register when it jumps back. */
__attribute__((noinline)) static int copy_caught(struct worker *w, void *to,
						 const void *from, size_t len)
{
	return TOUCH(w, memcpy(to, from, len));
}

/* All of it is inside the size, but may be refused a page. */
static void model_touch(struct worker *w, size_t at, size_t len, bool write)
{
	struct model *m = w->model;

	before_call(w, "model: touch(%#zx, %#zx, %d)", at, len, write);
	while (len) {
		size_t part = PAGE - at % PAGE;
		int sig;

		if (part > len)
			part = len;
		if (write)
			sig = copy_caught(w, m->map + at, m->data, part);
		else
			sig = copy_caught(w, m->data, m->map + at, part);
		if (sig == SIGSEGV)
			failure("worker %d: a mapping is gone", w->number);
		if (sig)
			break;
		if (write)
			memcpy(m->bytes + at, m->data, part);
		else
			model_check(w, "a mapping of its buffer", m->data, at,
				    part);
		at += part;
		len -= part;
	}
	after_call(w, 0);
	/* Refused for want of room, but not because it is beyond the end */
	if (len && write && pread(m->fd, m->data, 1, at) == 1)
		m->bytes[at] = m->data[0];
}

static void model_clean(struct worker *w)
{
	struct model *m = w->model;

	switch (below(w, 6)) {
	case 0:
		CALL(w, fsync(m->fd), "model: fsync");
		break;
	case 1:
		CALL(w, msync(m->map, MODEL_MAX, MS_SYNC), "model: msync");
		break;
	case 2:
		CALL(w, madvise(m->map, MODEL_MAX, MADV_DONTNEED),
		     "model: MADV_DONTNEED");
		break;
	case 3:
		CALL(w, madvise(m->map, MODEL_MAX, MADV_PAGEOUT),
		     "model: MADV_PAGEOUT");
		break;
	default:
		CALL(w, fadvise(m->fd, 0, 0, POSIX_FADV_DONTNEED),
		     "model: FADV_DONTNEED");
	}
}

/* A byte that is not 0 is data, and takes room. */
static void model_seek(struct worker *w, size_t from)
{
	struct model *m = w->model;
	size_t at = from;
	struct stat st;

	while (at < m->size && !m->bytes[at])
		at++;
	if (at >= m->size)
		return;
	if (CALL(w, lseek(m->fd, at, SEEK_DATA), "model: SEEK_DATA(%#zx)", at) !=
	    at)
		model_failed(w, "SEEK_DATA", at);
	if (CALL(w, lseek(m->fd, at, SEEK_HOLE), "model: SEEK_HOLE(%#zx)", at) <=
	    at)
		model_failed(w, "SEEK_HOLE", at);
	if (!avoided("blocks") && !CALL(w, fstat(m->fd, &st), "model: fstat") &&
	    !st.st_blocks)
		model_failed(w, "st_blocks", at);
}

static void do_model(struct worker *w)
{
	struct model *m = w->model;
	size_t at = below(w, MODEL_MAX), len = 1 + below(w, MODEL_SPAN);
	unsigned char value = 1 + below(w, 255);
	struct vmademo_discard d = { 0 };
	ssize_t n;
	int mode;

	if (w->is_child || m->fd < 0)
		return;
	if (one_in(w, 3))
		at &= ~(PAGE - 1);
	if (len > MODEL_MAX - at)
		len = MODEL_MAX - at;
	/* Its size stays, or what is behind it would go */
	if (m->head) {
		at %= m->size;
		len = len < m->size - at ? len : m->size - at;
	}
	for (size_t i = 0; i < len; i++)
		m->data[i] = value + i % 7;
	switch (below(w, 13)) {
	case 0 ... 2:
		n = CALL(w, pwrite(m->fd, m->data, len, at),
			 "model: pwrite(%#zx, %#zx)", at, len);
		if (n > 0) {
			memcpy(m->bytes + at, m->data, n);
			if (at + n > m->size)
				m->size = at + n;
		}
		break;
	case 3 ... 4:
		model_read(w, at, len);
		break;
	case 5 ... 7:
		n = below(w, 2);
		if (at < m->size)
			model_touch(w, at,
				    len < m->size - at ? len : m->size - at, n);
		break;
	case 8:
		if (!m->head &&
		    !CALL(w, ftruncate(m->fd, at), "model: ftruncate(%#zx)", at))
			model_resized(m, at);
		break;
	case 9:
		mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
		if (one_in(w, 2))
			mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
		if (!CALL(w, fallocate(m->fd, mode, at, len),
			  "model: fallocate(%#x, %#zx, %#zx)", mode, at, len))
			memset(m->bytes + at, 0, len);
		break;
	case 10:
		if (one_in(w, 2)) {
			if (!CALL(w, fallocate(m->fd, 0, at, len),
				  "model: fallocate(0, %#zx, %#zx)", at, len) &&
			    at + len > m->size)
				model_resized(m, at + len);
		} else if (at + len <= m->size) {
			d.offset = at;
			d.length = len;
			if (!CALL(w, ioctl(m->fd, VMADEMO_IOC_DISCARD, &d),
				  "model: DISCARD(%#zx, %#zx)", at, len))
				memset(m->bytes + at, 0, len);
		}
		break;
	case 11:
		model_seek(w, at);
		break;
	default:
		model_clean(w);
	}
}

/*
 * dirtied = written + discarded + lost + dirty, once nothing is on its way any more.  In
 * bytes: a folio may be split.
 */
static bool adds_up(const struct account *a)
{
	return a->dirtied_bytes == a->written_bytes + a->discarded_bytes +
					   a->lost_bytes + a->dirty_bytes;
}

/* Of the buffer behind fd, or of the node's if that is -1. */
static void counters_add_up(int fd, const char *whose)
{
	struct account a = account_of(fd);

	for (int i = 0; i < 300 && !shared->failed; i++) {
		a = account_of(fd);
		if (adds_up(&a))
			return;
		usleep(100000);
	}
	failure("%s: %lld bytes dirtied; %lld written, %lld discarded, %lld lost, %lld dirty",
		whose, (long long)a.dirtied_bytes, (long long)a.written_bytes,
		(long long)a.discarded_bytes, (long long)a.lost_bytes,
		(long long)a.dirty_bytes);
}

static void model_end(struct worker *w)
{
	struct model *m = w->model;
	struct stat st;

	if (m->fd < 0 || shared->stop)
		return;
	for (size_t at = 0; at < MODEL_MAX; at += MODEL_SPAN)
		model_read(w, at, MODEL_SPAN);
	fsync(m->fd);
	counters_add_up(m->fd, "a worker's own buffer");
	/* For want of memory something may have been lost; it was counted */
	if (m->lower >= 0 && !account_of(m->fd).lost_bytes) {
		size_t size = m->size + (m->head ? REST_LEN : 0);

		if (fstat(m->lower, &st) ||
		    (st.st_size != size && !avoided("storesize")))
			model_failed(w, "the store's size", st.st_size);
		for (size_t at = m->size; at < size; at++)
			if (pread(m->lower, m->data, 1, at) != 1 ||
			    m->data[0] != rest)
				model_failed(w, "the store behind the end", at);
		for (size_t at = 0; at < m->size && !shared->stop;
		     at += MODEL_SPAN) {
			size_t left = m->size - at;
			ssize_t n = pread(m->lower, m->data,
					  left < MODEL_SPAN ? left : MODEL_SPAN,
					  at);

			if (n > 0)
				model_check(w, "the store of its buffer",
					    m->data, at, n);
		}
	}
	munmap(m->map, MODEL_MAX);
	close(m->fd);
	if (m->lower >= 0)
		close(m->lower);
}

#endif /* VMADEMO_FUZZ_MODEL_H */
