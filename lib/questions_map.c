// SPDX-License-Identifier: GPL-2.0-only
/*
 * Questions about a mapping itself: how it is made, touched, moved, synced.
 */
#include "questions.h"

/* "yes", or the name of the errno that says no. */
const char *yes_or_errno(struct subject *s, int64_t result)
{
	const char *name;

	if (result != -1)
		return "yes";
	name = errno == EWOULDBLOCK ? "EWOULDBLOCK" : strerrorname_np(errno);
	snprintf(s->text, sizeof(s->text), "`%s`", name);
	return s->text;
}

static const char *mapped(struct subject *s, void *p, size_t len)
{
	if (p == MAP_FAILED)
		return yes_or_errno(s, -1);
	munmap(p, len);
	return "yes";
}

const char *ask_shared(struct subject *s)
{
	return mapped(s, mmap(NULL, LEN, RW, MAP_SHARED, s->fd, 0), LEN);
}

const char *ask_private(struct subject *s)
{
	unsigned char *p = mmap(NULL, LEN, RW, MAP_PRIVATE, s->fd, 0);
	const char *answer;

	if (p == MAP_FAILED)
		return yes_or_errno(s, -1);
	put(s->map, 1);
	put(p, 2);
	answer = touch(s->map) == 1 ? "a copy" : "no copy";
	munmap(p, LEN);
	return answer;
}

const char *ask_private_part(struct subject *s)
{
	return mapped(s, mmap(NULL, PAGE, RW, MAP_PRIVATE, s->fd, PAGE), PAGE);
}

const char *ask_past_the_end(struct subject *s)
{
	unsigned char *p = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, s->fd,
				s->size - PAGE);
	const char *answer;

	if (p == MAP_FAILED)
		return yes_or_errno(s, -1);
	answer = touch_signal(p, 0) == 0 && touch_signal(p + PAGE, 0) == SIGBUS
			 ? "yes; SIGBUS there"
			 : "yes";
	munmap(p, 2 * PAGE);
	return answer;
}

const char *ask_overflow(struct subject *s)
{
	return mapped(s,
		      mmap(NULL, 2 * PAGE, RW, MAP_SHARED, s->fd,
			   INT64_MAX - 2 * PAGE + 1),
		      2 * PAGE);
}

const char *ask_map_sync(struct subject *s)
{
	return mapped(
		s, mmap(NULL, PAGE, RW, MAP_SHARED_VALIDATE | MAP_SYNC, s->fd, 0),
		PAGE);
}

const char *ask_write_of_read_only(struct subject *s)
{
	int fd = reopen(s->fd, O_RDONLY);
	const char *answer = mapped(s, mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0),
				    PAGE);

	close(fd);
	return answer;
}

static const char *faults(struct subject *s, int64_t number, int64_t pages)
{
	if (!number)
		return "no fault";
	if (number == pages)
		return "1 fault a page";
	snprintf(s->text, sizeof(s->text), "%" PRId64 " fault%s", number,
		 number == 1 ? "" : "s");
	return s->text;
}

static const char *count_faults(struct subject *s, int write)
{
	const size_t len = FAULT_AROUND, pages = len / PAGE;
	unsigned char *p;
	int64_t before;

	/* In the page cache, and clean */
	memset(s->map, 1, len);
	if (s->kind != ON_WINDOW)
		fsync(s->fd);
	/* What the kernel may map at once is aligned to its length */
	p = mmap(aligned_room(len, len), len, RW, MAP_SHARED | MAP_FIXED, s->fd,
		 0);
	if (p == MAP_FAILED)
		return yes_or_errno(s, -1);
	if (write)
		for (size_t i = 0; i < pages; i++)
			touch(p + i * PAGE);
	before = minor_faults();
	for (size_t i = 0; i < pages; i++) {
		if (write)
			put(p + i * PAGE, 1);
		else
			touch(p + i * PAGE);
	}
	before = minor_faults() - before;
	munmap(p, len);
	return faults(s, before, pages);
}

const char *ask_touching(struct subject *s)
{
	return count_faults(s, 0);
}

const char *ask_writing(struct subject *s)
{
	return count_faults(s, 1);
}

const char *ask_msync(struct subject *s)
{
	return yes_or_errno(s, msync(s->map, LEN, MS_SYNC));
}

static const char *remap(struct subject *s, size_t to, int flags)
{
	unsigned char *p = mmap(NULL, LEN, RW, MAP_SHARED, s->fd, 0), *q;
	const char *answer;

	if (p == MAP_FAILED)
		return yes_or_errno(s, -1);
	q = mremap(p, LEN, to, flags,
		   flags & MREMAP_FIXED ? p + 4096 * PAGE : NULL);
	answer = yes_or_errno(s, q == MAP_FAILED ? -1 : 0);
	if (q == MAP_FAILED)
		munmap(p, LEN);
	else
		munmap(q, to);
	return answer;
}

const char *ask_mremap_growing(struct subject *s)
{
	return remap(s, 2 * LEN, MREMAP_MAYMOVE);
}

const char *ask_mremap_shrinking(struct subject *s)
{
	return remap(s, LEN / 2, 0);
}

const char *ask_mremap_moving(struct subject *s)
{
	return remap(s, LEN, MREMAP_MAYMOVE | MREMAP_FIXED);
}

const char *ask_remap_file_pages(struct subject *s)
{
	unsigned char *p = mmap(NULL, LEN, RW, MAP_SHARED, s->fd, 0);
	const char *answer;

	if (p == MAP_FAILED)
		return yes_or_errno(s, -1);
	answer = yes_or_errno(s, syscall(SYS_remap_file_pages, p, PAGE, 0, 3, 0));
	munmap(p, LEN);
	return answer;
}

const char *ask_mlock(struct subject *s)
{
	const char *answer = yes_or_errno(s, mlock(s->map, LEN));

	munlock(s->map, LEN);
	return answer;
}

const char *ask_mincore(struct subject *s)
{
	unsigned char vec[16];

	return yes_or_errno(s, mincore(s->map, LEN, vec));
}
