/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The questions of `answers`, one function each: does something to a mapping or its
 * file, and says in a word or two what came of it.  Each leaves things as they were.
 */
#ifndef VMADEMO_QUESTIONS_H
#define VMADEMO_QUESTIONS_H

#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <linux/falloc.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>

#include "vmademo_test.h"

#define LEN  (16 * PAGE)
#define CELL 80

enum { ON_NODE, ON_FILE, ON_WINDOW, KINDS };

struct subject {
	int kind;
	int fd;
	off_t size;
	unsigned char *map; /* LEN bytes, shared, at offset 0 */
	int32_t pipe[2];
	int disk; /* another file, open with O_DIRECT */
	char text[CELL];
};

/* "yes", or the name of the errno that says no. */
static const char *yes_or_errno(struct subject *s, int64_t result)
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

#define RW (PROT_READ | PROT_WRITE)

static const char *ask_shared(struct subject *s)
{
	return mapped(s, mmap(NULL, LEN, RW, MAP_SHARED, s->fd, 0), LEN);
}

static const char *ask_private(struct subject *s)
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

static const char *ask_private_part(struct subject *s)
{
	return mapped(s, mmap(NULL, PAGE, RW, MAP_PRIVATE, s->fd, PAGE), PAGE);
}

static const char *ask_past_the_end(struct subject *s)
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

static const char *ask_overflow(struct subject *s)
{
	return mapped(s,
		      mmap(NULL, 2 * PAGE, RW, MAP_SHARED, s->fd,
			   INT64_MAX - 2 * PAGE + 1),
		      2 * PAGE);
}

static const char *ask_map_sync(struct subject *s)
{
	return mapped(
		s, mmap(NULL, PAGE, RW, MAP_SHARED_VALIDATE | MAP_SYNC, s->fd, 0),
		PAGE);
}

static const char *ask_write_of_read_only(struct subject *s)
{
	int fd = reopen(s->fd, O_RDONLY);
	const char *answer = mapped(s, mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0),
				    PAGE);

	close(fd);
	return answer;
}

static const char *faults(struct subject *s, int64_t number)
{
	if (!number)
		return "no fault";
	snprintf(s->text, sizeof(s->text), "%" PRId64 " fault%s", number,
		 number == 1 ? "" : "s");
	return s->text;
}

static const char *count_faults(struct subject *s, int write)
{
	unsigned char *p;
	int64_t before;

	/* In the page cache, and clean */
	memset(s->map, 1, LEN);
	if (s->kind != ON_WINDOW)
		fsync(s->fd);
	/* 16 pages that the kernel may map at once are aligned to 16 pages */
	p = mmap(aligned_room(LEN, LEN), LEN, RW, MAP_SHARED | MAP_FIXED, s->fd,
		 0);
	if (p == MAP_FAILED)
		return yes_or_errno(s, -1);
	if (write)
		for (size_t i = 0; i < 16; i++)
			touch(p + i * PAGE);
	before = minor_faults();
	for (size_t i = 0; i < 16; i++) {
		if (write)
			put(p + i * PAGE, 1);
		else
			touch(p + i * PAGE);
	}
	before = minor_faults() - before;
	munmap(p, LEN);
	return faults(s, before);
}

static const char *ask_touching(struct subject *s)
{
	return count_faults(s, 0);
}

static const char *ask_writing(struct subject *s)
{
	return count_faults(s, 1);
}

static const char *ask_msync(struct subject *s)
{
	return yes_or_errno(s, msync(s->map, LEN, MS_SYNC));
}

static const char *ask_fsync(struct subject *s)
{
	return yes_or_errno(s, fsync(s->fd));
}

static const char *ask_sync_file_range(struct subject *s)
{
	return yes_or_errno(s, sync_file_range(s->fd, 0, LEN,
					       SYNC_FILE_RANGE_WRITE));
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

static const char *ask_mremap_growing(struct subject *s)
{
	return remap(s, 2 * LEN, MREMAP_MAYMOVE);
}

static const char *ask_mremap_shrinking(struct subject *s)
{
	return remap(s, LEN / 2, 0);
}

static const char *ask_mremap_moving(struct subject *s)
{
	return remap(s, LEN, MREMAP_MAYMOVE | MREMAP_FIXED);
}

static const char *ask_remap_file_pages(struct subject *s)
{
	unsigned char *p = mmap(NULL, LEN, RW, MAP_SHARED, s->fd, 0);
	const char *answer;

	if (p == MAP_FAILED)
		return yes_or_errno(s, -1);
	answer = yes_or_errno(s, syscall(SYS_remap_file_pages, p, PAGE, 0, 3, 0));
	munmap(p, LEN);
	return answer;
}

static const char *ask_mlock(struct subject *s)
{
	const char *answer = yes_or_errno(s, mlock(s->map, LEN));

	munlock(s->map, LEN);
	return answer;
}

static const char *ask_mincore(struct subject *s)
{
	unsigned char vec[16];

	return yes_or_errno(s, mincore(s->map, LEN, vec));
}

static const char *ask_o_direct(struct subject *s)
{
	return yes_or_errno(s, pwrite(s->disk, s->map, LEN, 0));
}

static const char *ask_vmsplice(struct subject *s)
{
	struct iovec iov = { s->map, PAGE };
	char page[PAGE];
	int64_t n = vmsplice(s->pipe[1], &iov, 1, 0);

	if (n > 0 && read(s->pipe[0], page, n) != n)
		return "lost";
	return yes_or_errno(s, n);
}

static const char *ask_system_call(struct subject *s)
{
	int64_t n = write(s->pipe[1], s->map, 10);
	char data[10];

	if (n > 0 && read(s->pipe[0], data, n) != n)
		return "lost";
	return yes_or_errno(s, n);
}

static const char *ask_process_vm(struct subject *s)
{
	char data[10];
	struct iovec to = { data, 10 }, from = { s->map, 10 };

	return yes_or_errno(s, process_vm_readv(getpid(), &to, 1, &from, 1, 0));
}

static const char *ask_proc_mem(struct subject *s)
{
	int fd = open("/proc/self/mem", O_RDONLY);
	char data[10];
	const char *answer =
		yes_or_errno(s, pread(fd, data, 10, (off_t)(uintptr_t)s->map));

	close(fd);
	return answer;
}

/* For as long as a ring may want it, its pages are pinned to be written to. */
static const char *ask_fixed_buffer(struct subject *s)
{
	static const char sysctl[] = "/proc/sys/kernel/io_uring_disabled";
	struct io_uring_params params = { 0 };
	struct iovec iov = { s->map, LEN };
	const int64_t disabled = read_number(sysctl);
	const char *answer;
	int ring;

	/* From Linux 6.6 on it can be switched off; asked only here */
	if (disabled > 0)
		write_text(sysctl, "0");
	ring = syscall(SYS_io_uring_setup, 1, &params);
	if (disabled > 0)
		write_text(sysctl, disabled == 1 ? "1" : "2");
	if (ring < 0)
		return yes_or_errno(s, ring);
	answer = yes_or_errno(s, syscall(SYS_io_uring_register, ring,
					 IORING_REGISTER_BUFFERS, &iov, 1));
	close(ring);
	return answer;
}

static const char *ask_userfaultfd(struct subject *s)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)s->map, .len = LEN },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	const char *answer;

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api))
		return yes_or_errno(s, -1);
	answer = yes_or_errno(s, ioctl(fd, UFFDIO_REGISTER, &reg));
	close(fd);
	return answer;
}

static const char *ask_read(struct subject *s)
{
	char data[10];

	return yes_or_errno(s, pread(s->fd, data, 10, 0));
}

static const char *ask_write(struct subject *s)
{
	return yes_or_errno(s, pwrite(s->fd, "x", 1, 0));
}

static const char *ask_splice(struct subject *s)
{
	off_t at = 0;
	char page[PAGE];
	int64_t n = splice(s->fd, &at, s->pipe[1], NULL, 10, 0);

	if (n > 0 && read(s->pipe[0], page, n) != n)
		return "lost";
	return yes_or_errno(s, n);
}

static const char *ask_sendfile(struct subject *s)
{
	int to = syscall(SYS_memfd_create, "copy", 0);
	off_t at = 0;
	const char *answer = yes_or_errno(s, sendfile(to, s->fd, &at, 10));

	close(to);
	return answer;
}

static const char *ask_copy_file_range(struct subject *s)
{
	off_t in = 0, out = PAGE;

	return yes_or_errno(s, copy_file_range(s->fd, &in, s->fd, &out, 10, 0));
}

static const char *ask_lseek(struct subject *s)
{
	return yes_or_errno(s, lseek(s->fd, 10, SEEK_SET));
}

static const char *ask_lseek_past(struct subject *s)
{
	return yes_or_errno(s, lseek(s->fd, s->size + 1, SEEK_SET));
}

static const char *ask_fadvise(struct subject *s)
{
	errno = posix_fadvise(s->fd, 0, LEN, POSIX_FADV_WILLNEED);
	return yes_or_errno(s, errno ? -1 : 0);
}

static const char *ask_readahead(struct subject *s)
{
	return yes_or_errno(s, readahead(s->fd, 0, LEN));
}

static const char *ask_read_at_the_end(struct subject *s)
{
	char data[10];
	int64_t n = pread(s->fd, data, 10, s->size);

	return n ? yes_or_errno(s, n) : "0";
}

static const char *ask_write_at_the_end(struct subject *s)
{
	int64_t n = pwrite(s->fd, "x", 1, s->size);
	struct vmademo_resize r = { .size = s->size };

	if (n != 1)
		return yes_or_errno(s, n);
	ioctl(s->fd, VMADEMO_IOC_RESIZE, &r);
	return "grows";
}

static const char *ask_o_direct_open(struct subject *s)
{
	int fd = reopen(s->fd, O_RDONLY | O_DIRECT);
	const char *answer = yes_or_errno(s, fd);

	if (fd >= 0)
		close(fd);
	return answer;
}

static const char *ask_ftruncate(struct subject *s)
{
	return yes_or_errno(s, ftruncate(s->fd, s->size));
}

static const char *ask_fallocate(struct subject *s)
{
	return yes_or_errno(s, fallocate(s->fd, 0, 0, LEN));
}

static const char *ask_punch(struct subject *s)
{
	return yes_or_errno(
		s, fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			     0, LEN));
}

static const char *ask_ioctl(struct subject *s)
{
	struct vmademo_resize r = { .size = s->size };

	return yes_or_errno(s, ioctl(s->fd, VMADEMO_IOC_RESIZE, &r));
}

static const char *ask_fstat(struct subject *s)
{
	struct stat st;

	if (fstat(s->fd, &st))
		return yes_or_errno(s, -1);
	return st.st_size == s->size ? "its size" : "size 0: a character device";
}

static const char *ask_reopen(struct subject *s)
{
	int fd = reopen(s->fd, O_RDWR);
	const char *answer = yes_or_errno(s, fd);

	if (fd >= 0)
		close(fd);
	return answer;
}

static const char *ask_unload(struct subject *s)
{
	return yes_or_errno(s, unload_module());
}

#endif /* VMADEMO_QUESTIONS_H */
