// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages of a mapping: touched, where that may raise a signal; found in the page cache; faulted in
 * one by one.
 */
#include "lib.h"

sigjmp_buf touch_return;
siginfo_t touch_info;

/* A handler for such signals: has sigsetjmp(touch_return) return the signal. */
void touch_caught(int sig, siginfo_t *info, void *context)
{
	(void)context;
	touch_info = *info;
	siglongjmp(touch_return, sig);
}

/* Reads, or writes 1 to, *p.  Returns the signal that it raised, or 0. */
int touch_signal(void *p, int write)
{
	struct sigaction sa = { .sa_flags = SA_SIGINFO }, bus, segv;
	int sig;

	sa.sa_sigaction = touch_caught;
	sigemptyset(&sa.sa_mask);
	sigaction(SIGBUS, &sa, &bus);
	sigaction(SIGSEGV, &sa, &segv);
	sig = sigsetjmp(touch_return, 1);
	if (!sig) {
		if (write)
			put(p, 1);
		else
			touch(p);
	}
	sigaction(SIGBUS, &bus, NULL);
	sigaction(SIGSEGV, &segv, NULL);
	return sig;
}

/* Pages of [p, p + len) that the page cache holds. */
long cached_pages(void *p, size_t len)
{
	unsigned char vec[4096];
	size_t pages = len / PAGE;
	long n = 0;

	if (pages > sizeof(vec) || mincore(p, len, vec))
		return -1;
	for (size_t i = 0; i < pages; i++)
		n += vec[i] & 1;
	return n;
}

/*
 * Faults of this mapping make single pages, whatever the size of the buffer's folios is.
 * What the kernel reads ahead would still come in large folios: so it reads nothing ahead.
 */
void fault_by_pages(void *p, size_t len)
{
	/* Where the kernel does not know the advice there are only single pages */
	madvise(p, len, MADV_NOHUGEPAGE);
	madvise(p, len, MADV_RANDOM);
}

/*
 * Leaves bytes that are not 0 in the memory that is free, so that a page which
 * should have been zeroed and was not does show (unless the kernel was booted
 * with init_on_alloc=1: then it does that itself, and hides it).
 */
void soil_free_memory(void)
{
	const size_t len = 64 * MIB;
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return;
	memset(p, 0x5a, len);
	munmap(p, len);
}
