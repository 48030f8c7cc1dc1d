// SPDX-License-Identifier: GPL-2.0-only
/*
 * Questions about a mapping as memory that others use: system calls, other processes, rings.
 */
#include <sys/uio.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>

#include "questions.h"

const char *ask_o_direct(struct subject *s)
{
	return yes_or_errno(s, pwrite(s->disk, s->map, LEN, 0));
}

const char *ask_vmsplice(struct subject *s)
{
	struct iovec iov = { s->map, PAGE };
	char page[PAGE];
	int64_t n = vmsplice(s->pipe[1], &iov, 1, 0);

	if (n > 0 && read(s->pipe[0], page, n) != n)
		return "lost";
	return yes_or_errno(s, n);
}

const char *ask_system_call(struct subject *s)
{
	int64_t n = write(s->pipe[1], s->map, 10);
	char data[10];

	if (n > 0 && read(s->pipe[0], data, n) != n)
		return "lost";
	return yes_or_errno(s, n);
}

const char *ask_process_vm(struct subject *s)
{
	char data[10];
	struct iovec to = { data, 10 }, from = { s->map, 10 };

	return yes_or_errno(s, process_vm_readv(getpid(), &to, 1, &from, 1, 0));
}

const char *ask_proc_mem(struct subject *s)
{
	int fd = open("/proc/self/mem", O_RDONLY);
	char data[10];
	const char *answer =
		yes_or_errno(s, pread(fd, data, 10, (off_t)(uintptr_t)s->map));

	close(fd);
	return answer;
}

/* For as long as a ring may want it, its pages are pinned to be written to. */
const char *ask_fixed_buffer(struct subject *s)
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

const char *ask_userfaultfd(struct subject *s)
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
