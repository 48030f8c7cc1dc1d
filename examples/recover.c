// SPDX-License-Identifier: GPL-2.0-only
/*
 * A SIGBUS handler that recovers.  Whoever maps a file must expect that a page is not there
 * when it is touched: the file was made shorter, its disk cannot read the page, the device
 * was unplugged.  The kernel sends SIGBUS, which ends the program unless there is a handler.
 *
 *   recover FILE BYTES
 *
 * Adds up each page of a mapping of FILE, and says which pages are not there.
 *
 * To copy: guarded_copy() and what it needs.  It works with threads: the signal comes to the
 * thread that touches, and each has a place of its own to return to.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What this thread is reading now, and where it goes on if it cannot. */
static __thread struct {
	sigjmp_buf back;
	volatile uintptr_t start, end;
} guard;

static struct sigaction previous;

static void on_sigbus(int signal, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr;

	if (at >= guard.start && at < guard.end)
		siglongjmp(guard.back, 1);
	/* Somebody else's: as if there were no handler.  The touch is made once more */
	sigaction(SIGBUS, &previous, NULL);
}

/* Once, before the first guarded_copy(). */
static int guard_begin(void)
{
	struct sigaction action = { .sa_flags = SA_SIGINFO };

	action.sa_sigaction = on_sigbus;
	sigemptyset(&action.sa_mask);
	return sigaction(SIGBUS, &action, &previous);
}

/*
 * Copies from a mapping; false if a byte is not there.  Nothing but the copying may be done
 * between sigsetjmp() and the end: what is half done, say a lock that is held, stays so.
 */
static bool guarded_copy(void *to, const void *from, size_t len)
{
	/* Saves the signal mask: within the handler, SIGBUS is blocked */
	if (sigsetjmp(guard.back, 1)) {
		guard.end = 0;
		return false;
	}
	guard.start = (uintptr_t)from;
	guard.end = (uintptr_t)from + len;
	memcpy(to, from, len);
	/* memcpy() is to be over before the guard is */
	__asm__ volatile("" ::: "memory");
	guard.end = 0;
	return true;
}

int main(int argc, char **argv)
{
	const size_t page = sysconf(_SC_PAGESIZE);
	const size_t len = argc == 3 ? strtoull(argv[2], NULL, 0) : 0;
	unsigned char *copy = malloc(page);
	const unsigned char *map;
	int fd, missing = 0;

	if (!len || !copy) {
		fprintf(stderr, "usage: recover FILE BYTES\n");
		return 2;
	}
	fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	map = fd < 0 ? MAP_FAILED : mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED || guard_begin()) {
		perror(argv[1]);
		return 2;
	}
	for (size_t at = 0; at < len; at += page) {
		size_t n = len - at < page ? len - at : page;
		unsigned long sum = 0;

		if (guarded_copy(copy, map + at, n)) {
			for (size_t i = 0; i < n; i++)
				sum += copy[i];
			printf("page %zu: %lu\n", at / page, sum);
		} else {
			printf("page %zu: not there\n", at / page);
			missing++;
		}
	}
	return missing ? 1 : 0;
}
