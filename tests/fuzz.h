/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The frame of the fuzzer: what its workers share, their random numbers, and the log
 * of their calls.
 *
 * A worker is a thread.  What it does follows from the seed and its number alone: it
 * takes every decision by draw().  The numbers drawn for a call are kept on a tape, so
 * that a call can be made once more, a little different (fuzz_kcov.h).
 */
#ifndef VMADEMO_FUZZ_H
#define VMADEMO_FUZZ_H

#include <stdarg.h>
#include <stdbool.h>
#include <time.h>

#include "stores.h"

#define MAX_WORKERS 16
#define MAX_CALLS   96 /* in the table of calls */
#define LAST	    16 /* calls of a worker that are shown when something fails */
#define TAPE	    24 /* numbers drawn for a call that are kept */
#define CHAIN	    4 /* calls in a row that are kept and made once more */

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define LLU(x)	     ((unsigned long long)(x)) /* for printf */

/* One call as it was made: which one, and the numbers drawn for it. */
struct tape {
	int call, length;
	uint64_t numbers[TAPE];
};

struct input {
	int length;
	struct tape calls[CHAIN];
};

struct line {
	char text[136];
	int64_t result;
	int err;
	bool done;
};

/* What everybody can see of a worker, or of the child that it has forked. */
struct slot {
	int pid, tid;
	uint64_t calls;
	bool gone;
	struct line last[LAST];
};

#define PC_SLOTS 16384 /* a power of two, more than the module has */
#define INPUTS	 2048

struct shared {
	struct slot slots[MAX_WORKERS], children[MAX_WORKERS];
	struct {
		uint64_t made, worked;
	} tally[MAX_CALLS];
	uint64_t children_killed, signals, models_checked;
	bool stop, failed;
	char failure[400];
	/* For fuzz_kcov.h */
	uint64_t module_text, pcs[PC_SLOTS];
	unsigned int pc_count, input_count;
	struct input inputs[INPUTS];
};

static struct shared *shared;

enum kind {
	CLOSED,
	NODE_FILE,
	BUFFER_FILE,
	WINDOW_FILE,
	LOWER_FILE,
	PLAIN_FILE
};

struct file {
	int fd;
	enum kind kind;
};

/* Files that a worker has for itself, and open files that all have */
#define OWN	10
#define COMMON	14
#define SCRATCH (256UL * 1024)

struct ranges {
	unsigned char *start;
	size_t len;
};

struct worker {
	int number;
	uint64_t random;
	bool alone, is_child;
	struct slot *slot;
	/* The call being made: its tape, and the one that it follows, if any */
	struct tape tape;
	const struct tape *follows;
	struct input chain;
	/* A touch of memory that may raise a signal */
	sigjmp_buf back;
	volatile sig_atomic_t touching;
	struct file own[OWN];
	int pipe[2];
	unsigned char *scratch; /* memory of its own that can be read and written */
	struct ranges mapped[6];
	unsigned int mappings;
	struct model *model;
	uint64_t *kcov;
};

static __thread struct worker *myself;
static struct file common[COMMON];

/* What VMADEMO_FUZZ_VERBOSE names, for all calls; or -1. */
static int verbose = -1;
static uint64_t largest = UINT64_MAX; /* size or offset */

static bool avoided(const char *name)
{
	const char *list = getenv("VMADEMO_FUZZ_AVOID"), *at = list;
	size_t len = strlen(name);

	while (at && (at = strstr(at, name))) {
		if ((at == list || at[-1] == ',' || at[-1] == ' ') &&
		    (!at[len] || at[len] == ',' || at[len] == ' '))
			return true;
		at += len;
	}
	return false;
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

/* ---- failing ------------------------------------------------------------- */

/* The first failure is kept, and everybody stops. */
__attribute__((format(printf, 1, 2))) static void failure(const char *format, ...)
{
	va_list args;

	if (__atomic_exchange_n(&shared->failed, true, __ATOMIC_SEQ_CST))
		return;
	va_start(args, format);
	vsnprintf(shared->failure, sizeof(shared->failure), format, args);
	va_end(args);
	__atomic_store_n(&shared->stop, true, __ATOMIC_SEQ_CST);
}

/* ---- random numbers ------------------------------------------------------ */

static uint64_t scramble(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

static uint64_t next_random(uint64_t *state)
{
	return scramble(*state += 0x9e3779b97f4a7c15ULL);
}

/* The next number of the tape that is followed, if it has one, or a new one. */
static uint64_t draw(struct worker *w)
{
	uint64_t value = next_random(&w->random);
	int at = w->tape.length;

	if (at >= TAPE)
		return value;
	/* One in six is another one */
	if (w->follows && at < w->follows->length && scramble(value) % 6)
		value = w->follows->numbers[at];
	w->tape.numbers[at] = value;
	w->tape.length++;
	return value;
}

static uint64_t below(struct worker *w, uint64_t n)
{
	return draw(w) % n;
}

static bool one_in(struct worker *w, unsigned int n)
{
	return below(w, n) == 0;
}

#define ANY_OF(w, array) ((array)[below(w, COUNT(array))])

/* Some of the bits. */
static unsigned int some_of(struct worker *w, unsigned int bits)
{
	return bits & draw(w) & draw(w);
}

/* ---- the log ------------------------------------------------------------- */

/* What may be answered.  A number of the kernel's own, say ERESTARTSYS, may not. */
static bool known_errno(int err)
{
	static const int known[] = {
		EPERM,	ENOENT,	 ESRCH,	    EINTR,	  EIO,	     ENXIO,
		EBADF,	EAGAIN,	 ENOMEM,    EACCES,	  EFAULT,    EBUSY,
		EEXIST, EXDEV,	 ENODEV,    EINVAL,	  ENFILE,    EMFILE,
		ENOTTY, ETXTBSY, EFBIG,	    ENOSPC,	  ESPIPE,    EROFS,
		EPIPE,	ENOSYS,	 ENODATA,   EOVERFLOW,	  EDQUOT,    EOPNOTSUPP,
		ELOOP,	ENOTDIR, EISDIR,    ETIMEDOUT,	  EHWPOISON, E2BIG,
		EXDEV,	ERANGE,	 ENOTEMPTY, ENAMETOOLONG,
	};

	for (size_t i = 0; i < COUNT(known); i++)
		if (known[i] == err)
			return true;
	return false;
}

__attribute__((format(printf, 2, 3))) static void
before_call(struct worker *w, const char *format, ...)
{
	struct line *line = &w->slot->last[w->slot->calls % LAST];
	va_list args;

	va_start(args, format);
	vsnprintf(line->text, sizeof(line->text), format, args);
	va_end(args);
	line->done = false;
	if (verbose >= 0)
		dprintf(verbose, "fuzz %d%s: %s\n", w->number,
			w->is_child ? " child" : "", line->text);
	errno = 0;
}

static int64_t after_call(struct worker *w, int64_t result)
{
	struct line *line = &w->slot->last[w->slot->calls % LAST];
	int err = errno;

	line->result = result;
	line->err = result == -1 ? err : 0;
	line->done = true;
	if (result == -1 && !known_errno(err))
		failure("errno %d of %s", err, line->text);
	__atomic_add_fetch(&shared->tally[w->tape.call].made, 1,
			   __ATOMIC_RELAXED);
	if (result != -1)
		__atomic_add_fetch(&shared->tally[w->tape.call].worked, 1,
				   __ATOMIC_RELAXED);
	__atomic_add_fetch(&w->slot->calls, 1, __ATOMIC_SEQ_CST);
	errno = err;
	return result;
}

/* Writes to the log what is about to be called, calls it, and what came of it. */
#define CALL(w, call, ...) \
	(before_call(w, __VA_ARGS__), after_call(w, (int64_t)(call)))

static void show_slot(const struct slot *slot, const char *what, int number)
{
	uint64_t n = slot->calls;

	if (!slot->pid)
		return;
	printf("# %s %d (pid %d, thread %d%s), %llu calls, the last ones:\n",
	       what, number, slot->pid, slot->tid, slot->gone ? ", done" : "",
	       (unsigned long long)n);
	for (uint64_t i = n >= LAST ? n - LAST + 1 : 0; i <= n; i++) {
		const struct line *line = &slot->last[i % LAST];

		if (!line->text[0])
			continue;
		if (!line->done)
			printf("#   %s ...\n", line->text);
		else if (line->result == -1)
			printf("#   %s: %s\n", line->text, strerror(line->err));
		else
			printf("#   %s = %lld\n", line->text,
			       (long long)line->result);
	}
}

/* ---- touching ------------------------------------------------------------ */

static void touch_failed(int sig, siginfo_t *info, void *context)
{
	struct worker *w = myself;

	(void)context;
	if (w && w->touching)
		siglongjmp(w->back, sig);
	failure("signal %d at %p where none may come", sig, info->si_addr);
	_exit(9);
}

static void catch_touches(void)
{
	/* Not blocked while handled: so it need not be restored */
	struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_NODEFER };

	sa.sa_sigaction = touch_failed;
	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

/* TOUCH(w, statements): 0, or the signal that they raised. */
#define TOUCH(w, ...)                                           \
	({                                                      \
		int sig_ = sigsetjmp((w)->back, 0);             \
                                                                \
		if (!sig_) {                                    \
			(w)->touching = 1;                      \
			__VA_ARGS__;                            \
		} else {                                        \
			__atomic_add_fetch(&shared->signals, 1, \
					   __ATOMIC_RELAXED);   \
		}                                               \
		(w)->touching = 0;                              \
		sig_;                                           \
	})

#endif /* VMADEMO_FUZZ_H */
