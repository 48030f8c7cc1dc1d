/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's calls that move data and room: read, written, spliced and copied;
 * allocated and cut; written back.
 */
#ifndef VMADEMO_FUZZ_IO_H
#define VMADEMO_FUZZ_IO_H

#include <linux/falloc.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "fuzz_choose.h"

/* ---- read, written, moved ------------------------------------------------ */

static int some_rwf(struct worker *w)
{
	static const int flags[] = { 0,
				     0,
				     0,
				     RWF_DSYNC,
				     RWF_SYNC,
				     RWF_NOWAIT,
				     RWF_APPEND,
				     RWF_HIPRI,
				     RWF_DSYNC | RWF_APPEND,
				     0x20 /* RWF_NOAPPEND */,
				     0x80,
				     -1 };

	return ANY_OF(w, flags);
}

/* A few pieces of memory; not more than one of them is long. */
static int some_pieces(struct worker *w, struct file f, struct iovec iov[4])
{
	int n = 1 + below(w, 4);

	for (int i = 0; i < n; i++) {
		iov[i].iov_len = i ? below(w, 3 * PAGE) : some_length(w);
		iov[i].iov_base = some_memory(w, f, &iov[i].iov_len);
	}
	return n;
}

static void do_pread(struct worker *w)
{
	struct file f = some_file(w, ANY_FILE);
	size_t len = some_length(w);
	void *p = some_memory(w, f, &len);
	uint64_t at = some_offset(w, f);

	CALL(w, pread(f.fd, p, len, at),
	     "pread(" FILE_FORMAT ", %p, %#zx, %#llx)", FILE_ARGS(f), p, len,
	     LLU(at));
}

static void do_pwrite(struct worker *w)
{
	struct file f = some_file(w, ANY_FILE);
	size_t len = some_length(w);
	void *p = some_memory(w, f, &len);
	uint64_t at = some_offset(w, f);

	CALL(w, pwrite(f.fd, p, len, at),
	     "pwrite(" FILE_FORMAT ", %p, %#zx, %#llx)", FILE_ARGS(f), p, len,
	     LLU(at));
}

/* Where the file is at, which others move as well. */
static void do_read_write(struct worker *w)
{
	struct file f = some_file(w, OURS | BIT_OF(LOWER_FILE));
	struct iovec iov[4];
	int n = some_pieces(w, f, iov);

	if (one_in(w, 2))
		CALL(w, readv(f.fd, iov, n), "readv(" FILE_FORMAT ", %d, %#zx)",
		     FILE_ARGS(f), n, iov[0].iov_len);
	else
		CALL(w, writev(f.fd, iov, n), "writev(" FILE_FORMAT ", %d, %#zx)",
		     FILE_ARGS(f), n, iov[0].iov_len);
}

static void do_preadv2(struct worker *w)
{
	struct file f = some_file(w, ANY_FILE);
	struct iovec iov[4];
	int n = some_pieces(w, f, iov), flags = some_rwf(w);
	uint64_t at = some_offset(w, f);

	CALL(w, preadv2(f.fd, iov, n, at, flags),
	     "preadv2(" FILE_FORMAT ", %d, %#llx, %#x)", FILE_ARGS(f), n,
	     LLU(at), flags);
}

static void do_pwritev2(struct worker *w)
{
	struct file f = some_file(w, ANY_FILE);
	struct iovec iov[4];
	int n = some_pieces(w, f, iov), flags = some_rwf(w);
	uint64_t at = some_offset(w, f);

	CALL(w, pwritev2(f.fd, iov, n, at, flags),
	     "pwritev2(" FILE_FORMAT ", %d, %#llx, %#x)", FILE_ARGS(f), n,
	     LLU(at), flags);
}

static void do_lseek(struct worker *w)
{
	static const int whence[] = { SEEK_SET,	 SEEK_CUR,  SEEK_END,
				      SEEK_DATA, SEEK_HOLE, 7 };
	struct file f = some_file(w, ANY_FILE);
	int how = ANY_OF(w, whence);
	uint64_t at = f.kind == PLAIN_FILE ? below(w, MIB) : some_offset(w, f);

	CALL(w, lseek(f.fd, at, how), "lseek(" FILE_FORMAT ", %#llx, %d)",
	     FILE_ARGS(f), LLU(at), how);
}

/* The pipe never blocks, and is emptied by what moves from it. */
static void do_splice(struct worker *w)
{
	struct file f = some_file(w, ANY_FILE);
	off64_t at = some_offset(w, f);
	size_t len = some_length(w);
	unsigned int flags = SPLICE_F_NONBLOCK | below(w, 16);

	if (one_in(w, 2))
		CALL(w, splice(f.fd, &at, w->pipe[1], NULL, len, flags),
		     "splice(" FILE_FORMAT " at %#llx, pipe, %#zx, %#x)",
		     FILE_ARGS(f), LLU(at), len, flags);
	else
		CALL(w, splice(w->pipe[0], NULL, f.fd, &at, len, flags),
		     "splice(pipe, " FILE_FORMAT " at %#llx, %#zx, %#x)",
		     FILE_ARGS(f), LLU(at), len, flags);
}

static void do_vmsplice(struct worker *w)
{
	static const struct file none = { .fd = -1, .kind = CLOSED };
	struct iovec iov = { .iov_len = some_length(w) };
	unsigned int flags = SPLICE_F_NONBLOCK |
			     (one_in(w, 4) ? SPLICE_F_GIFT : 0);

	iov.iov_base = some_memory(w, none, &iov.iov_len);
	/* What was given away may not be changed: so nothing of its own */
	if (iov.iov_base == w->scratch)
		flags &= ~SPLICE_F_GIFT;
	CALL(w, vmsplice(w->pipe[below(w, 2)], &iov, 1, flags),
	     "vmsplice(pipe, %p, %#zx, %#x)", iov.iov_base, iov.iov_len, flags);
}

static void do_tee(struct worker *w)
{
	size_t len = some_length(w);
	int other[2];

	if (pipe2(other, O_NONBLOCK | O_CLOEXEC))
		return;
	CALL(w, tee(w->pipe[0], other[1], len, SPLICE_F_NONBLOCK),
	     "tee(pipe, another, %#zx)", len);
	close(other[0]);
	close(other[1]);
}

static void do_pipe(struct worker *w)
{
	struct file f = some_file(w, OURS);
	size_t len = some_length(w);
	void *p = some_memory(w, f, &len);

	if (one_in(w, 2))
		CALL(w, read(w->pipe[0], p, len), "read(pipe, %p, %#zx)", p, len);
	else
		CALL(w, write(w->pipe[1], p, len), "write(pipe, %p, %#zx)", p,
		     len);
}

static void do_sendfile(struct worker *w)
{
	struct file from = some_file(w, ANY_FILE), to = some_file(w, ANY_FILE);
	off64_t at = some_offset(w, from);
	size_t len = some_length(w);

	CALL(w, sendfile64(to.fd, from.fd, one_in(w, 4) ? NULL : &at, len),
	     "sendfile(" FILE_FORMAT ", " FILE_FORMAT " at %#llx, %#zx)",
	     FILE_ARGS(to), FILE_ARGS(from), LLU(at), len);
}

static void do_copy_file_range(struct worker *w)
{
	struct file from = some_file(w, ANY_FILE), to = some_file(w, ANY_FILE);
	off64_t in = some_offset(w, from), out = some_offset(w, to);
	size_t len = some_length(w);

	CALL(w, copy_file_range(from.fd, &in, to.fd, &out, len, 0),
	     "copy_file_range(" FILE_FORMAT " at %#llx, " FILE_FORMAT
	     " at %#llx, %#zx)",
	     FILE_ARGS(from), LLU(in), FILE_ARGS(to), LLU(out), len);
}

/* ---- allocated, cut, written back ---------------------------------------- */

static void do_fallocate(struct worker *w)
{
	static const int modes[] = {
		0,
		FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_ZERO_RANGE,
		FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_COLLAPSE_RANGE,
		FALLOC_FL_INSERT_RANGE,
		FALLOC_FL_UNSHARE_RANGE,
		0x80, /* FALLOC_FL_WRITE_ZEROES */
		FALLOC_FL_PUNCH_HOLE,
		-1,
	};
	struct file f = some_file(w, BUFFERS | BIT_OF(LOWER_FILE));
	int mode = ANY_OF(w, modes);
	uint64_t at = some_offset(w, f), len = some_range(w);

	/* Room is asked for in moderation: a memfd has no limit but the memory */
	if (!(mode & FALLOC_FL_PUNCH_HOLE) && len > LONGEST && len < 1ULL << 63)
		len = LONGEST;
	CALL(w, fallocate(f.fd, mode, at, len),
	     "fallocate(" FILE_FORMAT ", %#x, %#llx, %#llx)", FILE_ARGS(f),
	     mode, LLU(at), LLU(len));
}

static void do_ftruncate(struct worker *w)
{
	struct file f = some_file(w, BUFFERS | BIT_OF(LOWER_FILE));
	uint64_t size = some_offset(w, f);

	CALL(w, ftruncate(f.fd, size), "ftruncate(" FILE_FORMAT ", %#llx)",
	     FILE_ARGS(f), LLU(size));
}

/* As other calls answer. */
static int fadvise(int fd, off_t at, off_t len, int advice)
{
	errno = posix_fadvise(fd, at, len, advice);
	return errno ? -1 : 0;
}

static void do_fadvise(struct worker *w)
{
	struct file f = some_file(w, OURS);
	uint64_t at = some_offset(w, f), len = some_range(w);
	int advice = below(w, 8);

	if (one_in(w, 4)) {
		CALL(w, readahead(f.fd, at, len),
		     "readahead(" FILE_FORMAT ", %#llx, %#llx)", FILE_ARGS(f),
		     LLU(at), LLU(len));
		return;
	}
	CALL(w, fadvise(f.fd, at, len, advice),
	     "fadvise(" FILE_FORMAT ", %#llx, %#llx, %d)", FILE_ARGS(f),
	     LLU(at), LLU(len), advice);
}

static void do_sync(struct worker *w)
{
	struct file f = some_file(w, ANY_FILE);
	uint64_t at = some_offset(w, f), len = some_range(w);
	unsigned int flags = below(w, 9);

	switch (below(w, 12)) {
	case 0 ... 3:
		CALL(w, fsync(f.fd), "fsync(" FILE_FORMAT ")", FILE_ARGS(f));
		break;
	case 4 ... 6:
		CALL(w, fdatasync(f.fd), "fdatasync(" FILE_FORMAT ")",
		     FILE_ARGS(f));
		break;
	case 7 ... 9:
		CALL(w, sync_file_range(f.fd, at, len, flags),
		     "sync_file_range(" FILE_FORMAT ", %#llx, %#llx, %#x)",
		     FILE_ARGS(f), LLU(at), LLU(len), flags);
		break;
	case 10:
		CALL(w, syncfs(f.fd), "syncfs(" FILE_FORMAT ")", FILE_ARGS(f));
		break;
	default:
		CALL(w, (sync(), 0), "sync()");
	}
}

#endif /* VMADEMO_FUZZ_IO_H */
