// SPDX-License-Identifier: GPL-2.0-only
/*
 * Has the kernel's allocations fail, where it can be told to (fail-nth in /proc).
 */
#include "nomem.h"

/* A stack that cannot grow for want of memory is SIGSEGV: have it grown before. */
void grow_the_stack(void)
{
	volatile char deep[256 * 1024];

	for (size_t i = 0; i < sizeof(deep); i += PAGE)
		deep[i] = 1;
}

void fail_from_now(int fd, int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", nth);

	/* This system call can be the one that is made to fail */
	while (pwrite(fd, text, len, 0) != len)
		;
}

/* Ends it.  Returns whether there was an nth allocation to fail. */
int failed(int fd)
{
	char text[16] = "1";
	int err = errno;

	/* As can this one; then the operation was spared */
	if (pread(fd, text, sizeof(text) - 1, 0) < 0)
		text[0] = '1';
	if (atoi(text))
		fail_from_now(fd, 0);
	errno = err;
	return atoi(text) == 0;
}

/* EFAULT: the kernel counts copying to and from the user among what may fail. */
int says_no_memory(int err)
{
	return err == ENOMEM || err == EAGAIN || err == EFAULT;
}
