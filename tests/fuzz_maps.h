/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's calls on mappings, all of them inside the arena: made, moved and undone;
 * advised; touched, by themselves and by others; and by a child that is killed.
 */
#ifndef VMADEMO_FUZZ_MAPS_H
#define VMADEMO_FUZZ_MAPS_H

#include <linux/userfaultfd.h>
#include <sys/prctl.h>
#include <sys/uio.h>

#include "fuzz_files.h"

/* Whole pages, at most so many that filling them all does no harm. */
static size_t some_pages(struct worker *w)
{
	static const size_t pages[] = { 1, 2, 3, 8, 16, 17, 64 };

	return ANY_OF(w, pages) * PAGE;
}

/* ---- made, moved, undone ------------------------------------------------- */

static const int protections[] = {
	PROT_READ | PROT_WRITE,
	PROT_READ | PROT_WRITE,
	PROT_READ | PROT_WRITE,
	PROT_READ | PROT_WRITE,
	PROT_READ | PROT_WRITE,
	PROT_READ | PROT_WRITE,
	PROT_READ,
	PROT_WRITE,
	PROT_NONE,
	PROT_READ | PROT_EXEC,
	PROT_READ | PROT_WRITE | PROT_EXEC,
};

/* So that there is something to touch from the beginning: a part of each buffer. */
static void map_common(void)
{
	for (int i = 0; i < COMMON; i++)
		if (common[i].kind != CLOSED && common[i].kind != PLAIN_FILE)
			mmap(arena + i * 64 * PAGE, 64 * PAGE,
			     PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			     common[i].fd, 0);
}

static void do_mmap(struct worker *w)
{
	static const int kinds[] = {
		MAP_SHARED,  MAP_SHARED,	  MAP_SHARED,
		MAP_PRIVATE, MAP_SHARED_VALIDATE, MAP_SHARED_VALIDATE | MAP_SYNC
	};
	static const int more[] = { 0,
				    0,
				    0,
				    MAP_POPULATE,
				    MAP_LOCKED,
				    MAP_NORESERVE,
				    MAP_NONBLOCK,
				    MAP_POPULATE | MAP_NONBLOCK,
				    MAP_STACK };
	struct file f = some_file(w, OURS);
	unsigned char *p = arena + below(w, ARENA_LEN / PAGE) * PAGE;
	int prot = ANY_OF(w, protections), flags = ANY_OF(w, kinds);
	uint64_t at = some_offset(w, f) & ~(PAGE - 1);
	size_t len = within_arena(p, some_pages(w));

	flags |= MAP_FIXED | ANY_OF(w, more);
	/* What is beyond the end can be mapped too, but there is not much to see */
	if (!one_in(w, 3))
		at = at / PAGE % (size_of(f) / PAGE + 1) * PAGE;
	if (one_in(w, 8)) {
		/* So that an entry of 2 MiB can map it; or all of a large file */
		p = arena + below(w, 8) * 2 * MIB;
		at &= ~(uint64_t)(2 * MIB - 1);
		len = within_arena(p, (1 + below(w, 4)) * 2 * MIB);
		flags &= ~(MAP_POPULATE | MAP_LOCKED);
	}
	if (one_in(w, 32))
		len -= below(w, PAGE);
	if (CALL(w, (intptr_t)mmap(p, len, prot, flags, f.fd, at),
		 "mmap(%p, %#zx, %d, %#x, " FILE_FORMAT ", %#llx)", p, len,
		 prot, flags, FILE_ARGS(f), LLU(at)) != -1)
		was_mapped(w, p, len);
}

/* Where the kernel likes, with any length; gone again at once, or moved. */
static void do_mmap_anywhere(struct worker *w)
{
	struct file f = some_file(w, OURS);
	uint64_t at = some_offset(w, f) & ~(PAGE - 1), len = some_range(w);
	int flags = one_in(w, 4) ? MAP_PRIVATE | MAP_NORESERVE : MAP_SHARED;
	unsigned char *to = some_page(w);
	void *p;

	p = (void *)(intptr_t)CALL(
		w,
		(intptr_t)mmap(NULL, len, PROT_READ | PROT_WRITE, flags, f.fd, at),
		"mmap(NULL, %#llx, %#x, " FILE_FORMAT ", %#llx)", LLU(len),
		flags, FILE_ARGS(f), LLU(at));
	if (p == MAP_FAILED)
		return;
	len = (len + PAGE - 1) & ~(PAGE - 1);
	/* Once it has moved, its place may be somebody else's */
	if (one_in(w, 2) && len == within_arena(to, len) &&
	    mremap(p, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to)
		was_mapped(w, to, len);
	else
		munmap(p, len);
}

static void do_munmap(struct worker *w)
{
	unsigned char *p = some_page(w);
	size_t len = within_arena(p, some_pages(w));

	CALL(w, munmap(p, len), "munmap(%p, %#zx)", p, len);
}

static void do_mremap(struct worker *w)
{
	unsigned char *p = some_page(w), *to = some_page(w);
	size_t old = within_arena(p, some_pages(w));
	size_t new = within_arena(to, some_pages(w));
	int flags = one_in(w, 3) ? 0 : MREMAP_MAYMOVE | MREMAP_FIXED;

	if (!flags)
		new = within_arena(p, new);
	else if (one_in(w, 4))
		flags |= 4 /* MREMAP_DONTUNMAP */, new = old;
	/* An old length of 0 makes a second mapping */
	if (flags && one_in(w, 16))
		old = 0;
	if (CALL(w, (intptr_t)mremap(p, old, new, flags, to),
		 "mremap(%p, %#zx, %#zx, %#x, %p)", p, old, new, flags, to) != -1)
		was_mapped(w, flags ? to : p, new);
}

static void do_mprotect(struct worker *w)
{
	unsigned char *p = some_page(w);
	size_t len = within_arena(p, some_pages(w));
	int prot = ANY_OF(w, protections);

	CALL(w, mprotect(p, len, prot), "mprotect(%p, %#zx, %d)", p, len, prot);
}

static void do_remap_file_pages(struct worker *w)
{
	unsigned char *p = some_page(w);
	size_t len = within_arena(p, some_pages(w)), pgoff = below(w, 64);

	CALL(w, syscall(SYS_remap_file_pages, p, len, 0, pgoff, 0),
	     "remap_file_pages(%p, %#zx, %zd)", p, len, pgoff);
}

/* ---- advised ------------------------------------------------------------- */

static void do_madvise(struct worker *w)
{
	/* All but MADV_HWPOISON and MADV_SOFT_OFFLINE: they take pages for good */
	static const int advices[] = {
		MADV_NORMAL,
		MADV_RANDOM,
		MADV_SEQUENTIAL,
		MADV_WILLNEED,
		MADV_DONTNEED,
		MADV_DONTNEED,
		MADV_FREE,
		MADV_REMOVE,
		MADV_REMOVE,
		MADV_DONTFORK,
		MADV_DOFORK,
		MADV_MERGEABLE,
		MADV_UNMERGEABLE,
		MADV_HUGEPAGE,
		MADV_NOHUGEPAGE,
		MADV_DONTDUMP,
		MADV_DODUMP,
		MADV_WIPEONFORK,
		MADV_KEEPONFORK,
		MADV_COLD,
		MADV_PAGEOUT,
		MADV_PAGEOUT,
		MADV_POPULATE_READ,
		MADV_POPULATE_WRITE,
		24 /* MADV_DONTNEED_LOCKED */,
		25 /* MADV_COLLAPSE */,
		102 /* MADV_GUARD_INSTALL */,
		103 /* MADV_GUARD_REMOVE */,
		1234,
	};
	unsigned char *p = some_page(w);
	size_t len = within_arena(p, some_pages(w));
	int advice = ANY_OF(w, advices);

	if (advice == 25) {
		p = arena + (p - arena) / (2 * MIB) * (2 * MIB);
		len = 2 * MIB;
	}
	CALL(w, madvise(p, len, advice), "madvise(%p, %#zx, %d)", p, len, advice);
}

static void do_msync(struct worker *w)
{
	unsigned char *p = some_page(w);
	size_t len = within_arena(p, some_pages(w));
	int flags = below(w, 8);

	CALL(w, msync(p, len, flags), "msync(%p, %#zx, %d)", p, len, flags);
}

static void do_mlock(struct worker *w)
{
	unsigned char *p = some_page(w);
	size_t len = within_arena(p, some_pages(w));

	switch (below(w, 4)) {
	case 0:
		CALL(w, mlock(p, len), "mlock(%p, %#zx)", p, len);
		break;
	case 1:
		CALL(w, mlock2(p, len, MLOCK_ONFAULT),
		     "mlock2(%p, %#zx, MLOCK_ONFAULT)", p, len);
		break;
	default:
		CALL(w, munlock(p, len), "munlock(%p, %#zx)", p, len);
	}
}

static void do_mincore(struct worker *w)
{
	unsigned char *p = some_page(w), resident[64];
	size_t len = within_arena(p, some_pages(w));

	CALL(w, mincore(p, len, resident), "mincore(%p, %#zx)", p, len);
}

/* On a mapping of a file it is refused, but the kernel asks about the VMA first. */
static void do_userfaultfd(struct worker *w)
{
	unsigned char *p = some_page(w);
	size_t len = within_arena(p, some_pages(w));
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register r = { .range = { .start = (uintptr_t)p,
						.len = len },
				     .mode = 1 + below(w, 7) };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return;
	if (!ioctl(fd, UFFDIO_API, &api))
		CALL(w, ioctl(fd, UFFDIO_REGISTER, &r),
		     "userfaultfd register(%p, %#zx, %llu)", p, len, r.mode);
	close(fd); /* wakes whoever waits for an answer */
}

/* ---- touched ------------------------------------------------------------- */

enum touch { READ, WRITE, ADD, SWAP, FILL, COPY, ACROSS, NR_TOUCHES };

/* May be left by a jump, and not come back. */
__attribute__((noinline)) static void touch_by(enum touch how, unsigned char *p,
					       size_t at, unsigned char *q,
					       size_t len)
{
	switch (how) {
	case READ:
		touch(p + at);
		break;
	case ADD:
		__atomic_fetch_add(p + at, 1, __ATOMIC_SEQ_CST);
		break;
	case SWAP:
		__atomic_exchange_n(p + at, 7, __ATOMIC_SEQ_CST);
		break;
	case FILL:
		memset(p, len, within_arena(p, len));
		break;
	case COPY:
		memmove(p, q, within_arena(p > q ? p : q, len));
		break;
	case ACROSS:
		if (p + PAGE < arena + ARENA_LEN)
			memcpy(p + at, &len, sizeof(len));
		break;
	default:
		put(p + at, len);
	}
}

__attribute__((noinline)) static int touch_somehow(struct worker *w,
						   enum touch how,
						   unsigned char *p, size_t at,
						   unsigned char *q, size_t len)
{
	return TOUCH(w, touch_by(how, p, at, q, len));
}

static void do_touch(struct worker *w)
{
	unsigned char *p = some_page(w), *q = some_page(w);
	size_t at = one_in(w, 2) ? 0 : below(w, PAGE);
	size_t len = 1 + below(w, one_in(w, 4) ? 4 * PAGE : PAGE);
	static const char *const names[] = { "read", "write", "add",	"swap",
					     "fill", "copy",  "across", "write" };
	enum touch how = below(w, COUNT(names));
	int sig;

	/* A border of two pages */
	if (how == ACROSS)
		at = PAGE - 4;
	before_call(w, "touch %p, %s %#zx from %p", p + at, names[how], len, q);
	sig = touch_somehow(w, how, p, at, q, len);
	/* For the log */
	errno = sig == SIGBUS ? EFAULT : EACCES;
	after_call(w, sig ? -1 : 0);
}

/* By another process, or by this one in the way another would. */
static void do_process_vm(struct worker *w)
{
	struct iovec mine = { .iov_base = w->scratch, .iov_len = some_pages(w) };
	struct iovec other = { .iov_base = some_page(w) };
	const struct slot *slot = &shared->slots[below(w, MAX_WORKERS)];
	pid_t pid = w->alone || !slot->pid ? getpid() : slot->pid;
	/* A process that is gone may have left its number to another */
	bool gone = slot->gone && pid == slot->pid;

	if (gone)
		pid = getpid();
	other.iov_len = within_arena(other.iov_base, mine.iov_len);
	if (one_in(w, 2))
		CALL(w, process_vm_readv(pid, &mine, 1, &other, 1, 0),
		     "process_vm_readv(%d, %p, %#zx)", pid, other.iov_base,
		     other.iov_len);
	else
		CALL(w, process_vm_writev(pid, &mine, 1, &other, 1, 0),
		     "process_vm_writev(%d, %p, %#zx)", pid, other.iov_base,
		     other.iov_len);
}

static const char *direct_path(char *path, size_t len)
{
	const char *folder = ext4_folder() ? ext4_folder() : "/tmp";

	snprintf(path, len, "%s/vmademo-fuzz-direct", folder);
	return path;
}

/* A disk reads into the mapping and writes from it, by itself. */
static void do_direct(struct worker *w)
{
	unsigned char *p = some_page(w);
	size_t len = within_arena(p, some_pages(w));
	uint64_t at = below(w, 64) * PAGE;
	char path[256];
	int fd;

	direct_path(path, sizeof(path));
	fd = open(path, O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	if (one_in(w, 2))
		CALL(w, pread(fd, p, len, at), "pread(direct, %p, %#zx, %#llx)",
		     p, len, LLU(at));
	else
		CALL(w, pwrite(fd, p, len, at),
		     "pwrite(direct, %p, %#zx, %#llx)", p, len, LLU(at));
	close(fd);
}

/* ---- the machine --------------------------------------------------------- */

/* A memory cgroup with the first worker's process in it, if there are such. */
#define CGROUPS "/tmp/fuzz-cgroup"
#define CGROUP	CGROUPS "/fuzz"

static void do_memory(struct worker *w)
{
	static const char *const what[][2] = {
		{ "/proc/sys/vm/drop_caches", "1" },
		{ "/proc/sys/vm/drop_caches", "3" },
		{ "/proc/sys/vm/compact_memory", "1" },
		{ "/proc/self/clear_refs", "4" },
		{ "/proc/self/clear_refs", "1" },
		{ CGROUP "/memory.reclaim", "4M" },
		{ CGROUP "/memory.reclaim", "64K" },
		{ CGROUP "/memory.reclaim", "32M" },
	};
	unsigned int i = below(w, COUNT(what));

	CALL(w, write_text(what[i][0], what[i][1]), "write(%s)", what[i][0]);
}

static void make_calls(struct worker *w, uint64_t count);

/*
 * A child inherits all and goes on by itself, until it is done or killed.  Only a
 * worker that is alone always waits: when a signal comes is nothing a seed decides.
 */
static void do_fork(struct worker *w)
{
	uint64_t random = draw(w);
	unsigned int count = 1 + below(w, 24), patience = below(w, 4000);
	bool kill_it = !w->alone && one_in(w, 2);
	int status;
	pid_t pid;

	if (w->is_child)
		return;
	pid = CALL(w, fork(), "fork(), %u calls", count);
	if (pid < 0)
		return;
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		w->slot = &shared->children[w->number];
		w->slot->pid = getpid();
		w->slot->tid = getpid();
		w->is_child = true;
		w->follows = NULL;
		w->kcov = NULL;
		w->random = random;
		make_calls(w, count);
		_exit(0);
	}
	if (kill_it) {
		usleep(patience);
		kill(pid, SIGKILL);
	}
	before_call(w, "waitpid(%d)", pid);
	if (waitpid(pid, &status, 0) != pid)
		status = -1;
	after_call(w, 0);
	shared->children[w->number].pid = 0;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && kill_it)
		__atomic_add_fetch(&shared->children_killed, 1, __ATOMIC_RELAXED);
	else if (status)
		failure("a child of worker %d ended with status %#x", w->number,
			status);
}

#endif /* VMADEMO_FUZZ_MAPS_H */
