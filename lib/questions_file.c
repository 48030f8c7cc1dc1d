// SPDX-License-Identifier: GPL-2.0-only
/*
 * Questions about the file behind a mapping.
 */
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <linux/falloc.h>

#include "questions.h"

const char *ask_fsync(struct subject *s)
{
	return yes_or_errno(s, fsync(s->fd));
}

const char *ask_sync_file_range(struct subject *s)
{
	return yes_or_errno(s, sync_file_range(s->fd, 0, LEN,
					       SYNC_FILE_RANGE_WRITE));
}

const char *ask_read(struct subject *s)
{
	char data[10];

	return yes_or_errno(s, pread(s->fd, data, 10, 0));
}

const char *ask_write(struct subject *s)
{
	return yes_or_errno(s, pwrite(s->fd, "x", 1, 0));
}

const char *ask_splice(struct subject *s)
{
	off_t at = 0;
	char page[PAGE];
	int64_t n = splice(s->fd, &at, s->pipe[1], NULL, 10, 0);

	if (n > 0 && read(s->pipe[0], page, n) != n)
		return "lost";
	return yes_or_errno(s, n);
}

const char *ask_sendfile(struct subject *s)
{
	int to = syscall(SYS_memfd_create, "copy", 0);
	off_t at = 0;
	const char *answer = yes_or_errno(s, sendfile(to, s->fd, &at, 10));

	close(to);
	return answer;
}

const char *ask_copy_file_range(struct subject *s)
{
	off_t in = 0, out = PAGE;

	return yes_or_errno(s, copy_file_range(s->fd, &in, s->fd, &out, 10, 0));
}

const char *ask_lseek(struct subject *s)
{
	return yes_or_errno(s, lseek(s->fd, 10, SEEK_SET));
}

const char *ask_lseek_past(struct subject *s)
{
	return yes_or_errno(s, lseek(s->fd, s->size + 1, SEEK_SET));
}

const char *ask_fadvise(struct subject *s)
{
	errno = posix_fadvise(s->fd, 0, LEN, POSIX_FADV_WILLNEED);
	return yes_or_errno(s, errno ? -1 : 0);
}

const char *ask_readahead(struct subject *s)
{
	return yes_or_errno(s, readahead(s->fd, 0, LEN));
}

const char *ask_read_at_the_end(struct subject *s)
{
	char data[10];
	int64_t n = pread(s->fd, data, 10, s->size);

	return n ? yes_or_errno(s, n) : "0";
}

const char *ask_write_at_the_end(struct subject *s)
{
	int64_t n = pwrite(s->fd, "x", 1, s->size);
	struct vmademo_resize r = { .size = s->size };

	if (n != 1)
		return yes_or_errno(s, n);
	ioctl(s->fd, VMADEMO_IOC_RESIZE, &r);
	return "grows";
}

const char *ask_o_direct_open(struct subject *s)
{
	int fd = reopen(s->fd, O_RDONLY | O_DIRECT);
	const char *answer = yes_or_errno(s, fd);

	if (fd >= 0)
		close(fd);
	return answer;
}

const char *ask_ftruncate(struct subject *s)
{
	return yes_or_errno(s, ftruncate(s->fd, s->size));
}

const char *ask_fallocate(struct subject *s)
{
	return yes_or_errno(s, fallocate(s->fd, 0, 0, LEN));
}

const char *ask_punch(struct subject *s)
{
	return yes_or_errno(
		s, fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			     0, LEN));
}

const char *ask_ioctl(struct subject *s)
{
	struct vmademo_resize r = { .size = s->size };

	return yes_or_errno(s, ioctl(s->fd, VMADEMO_IOC_RESIZE, &r));
}

const char *ask_fstat(struct subject *s)
{
	struct stat st;

	if (fstat(s->fd, &st))
		return yes_or_errno(s, -1);
	return st.st_size == s->size ? "its size" : "size 0: a character device";
}

const char *ask_reopen(struct subject *s)
{
	int fd = reopen(s->fd, O_RDWR);
	const char *answer = yes_or_errno(s, fd);

	if (fd >= 0)
		close(fd);
	return answer;
}

const char *ask_unload(struct subject *s)
{
	return yes_or_errno(s, unload_module());
}
