/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's calls on files: made, opened and closed; the requests; asked and told.
 */
#ifndef VMADEMO_FUZZ_FILES_H
#define VMADEMO_FUZZ_FILES_H

#include <poll.h>
#include <sys/file.h>

#include "fuzz_choose.h"

/* ---- made, opened, closed ------------------------------------------------ */

enum below_it {
	NOTHING,
	RAM,
	ON_TMPFS,
	MEMFD,
	SEALED,
	ON_EXT4,
	BLOCK,
	READ_ONLY,
	NR_BELOW
};

static const char *const below_names[NR_BELOW] = { "none",	   "ram",
						   "tmpfs",	   "memfd",
						   "sealed memfd", "ext4",
						   "block",	   "read only" };

/* A new file without a name in this folder. */
static int nameless(const char *folder, int number, int flags)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/vmademo-fuzz.%d.%d", folder, getpid(),
		 number);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | flags, 0600);
	if (fd >= 0)
		unlink(path);
	return fd;
}

static const char *ext4_folder(void)
{
	const char *ext4 = getenv("VMADEMO_EXT4");

	return ext4 && *ext4 ? ext4 : NULL;
}

/* What a buffer can stand on, with that many bytes; -1 if there is no such thing. */
static int open_below(enum below_it kind, int number, uint64_t size)
{
	int fd = -1, again;

	switch (kind) {
	case ON_TMPFS:
	case READ_ONLY:
		fd = nameless("/tmp", number, 0);
		break;
	case MEMFD:
	case SEALED:
		fd = memfd_create("vmademo-fuzz",
				  MFD_CLOEXEC | MFD_ALLOW_SEALING);
		break;
	case ON_EXT4:
		if (ext4_folder())
			fd = nameless(ext4_folder(), number, 0);
		break;
	case BLOCK:
		return open(BLOCK_DEVICE, O_RDWR | O_CLOEXEC);
	default:
		return -1;
	}
	if (fd < 0)
		return -1;
	if (ftruncate(fd, size))
		size = 0;
	if (kind == SEALED) {
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
	} else if (kind == READ_ONLY) {
		again = reopen(fd, O_RDONLY);
		close(fd);
		fd = again;
	}
	return fd;
}

static void do_create(struct worker *w)
{
	enum below_it kind = below(w, NR_BELOW);
	struct file node = some_file(w, BIT_OF(NODE_FILE));
	struct vmademo_create c = { .size = some_size(w),
				    .flags = below(w, 4),
				    .store = kind < ON_TMPFS
						     ? kind
						     : VMADEMO_STORE_FILE };
	int lower = open_below(kind, w->number, below(w, 32 * PAGE)), fd;

	if (kind >= ON_TMPFS) {
		c.store_fd = lower;
		if (one_in(w, 2))
			c.size = 0;
		if (one_in(w, 16))
			c.store_fd = some_file(w, ANY_FILE).fd;
	}
	if (one_in(w, 2))
		c.folio_size = PAGE << below(w, 10);
	if (one_in(w, 24))
		c.folio_size = draw(w);
	if (one_in(w, 24))
		c.reserved[below(w, 5)] = draw(w);
	if (one_in(w, 24))
		c.store = draw(w);
	if (one_in(w, 24))
		c.flags = draw(w);
	fd = CALL(w,
		  ioctl(node.fd, VMADEMO_IOC_CREATE, one_in(w, 32) ? NULL : &c),
		  "CREATE on " FILE_FORMAT
		  ": %s, size %#llx, store %u of fd %d, folio_size %#x",
		  FILE_ARGS(node), below_names[kind], LLU(c.size), c.store,
		  c.store_fd, c.folio_size);
	keep_file(w, fd, BUFFER_FILE);
	if (lower >= 0 && one_in(w, 3))
		keep_file(w, lower, LOWER_FILE);
	else if (lower >= 0)
		close(lower);
}

static const int open_flags[] = {
	O_RDWR,
	O_RDWR,
	O_RDONLY,
	O_WRONLY,
	O_PATH,
	O_RDWR | O_DIRECT,
	O_RDWR | O_APPEND,
	O_RDWR | O_SYNC,
	O_RDWR | O_DSYNC,
	O_RDWR | O_TRUNC,
	O_RDWR | O_NONBLOCK,
	O_RDONLY | O_NOATIME,
	O_RDWR | O_CREAT | O_TRUNC | O_DIRECT,
	O_RDONLY | O_DIRECTORY,
	O_RDWR | O_APPEND | O_DIRECT | O_SYNC,
};

#define SECOND_WINDOW "/dev/vmademo-phys1"

static void do_open(struct worker *w)
{
	static const char *const names[] = { NODE, NODE, NODE, WINDOW,
					     SECOND_WINDOW };
	unsigned int which = below(w, COUNT(names));
	int flags = ANY_OF(w, open_flags) | O_CLOEXEC;

	keep_file(w,
		  CALL(w, open(names[which], flags, 0600), "open(%s, %#x)",
		       names[which], flags),
		  which < 3 ? NODE_FILE : WINDOW_FILE);
}

static void do_reopen(struct worker *w)
{
	struct file f = some_file(w, ANY_FILE);
	int flags = ANY_OF(w, open_flags);

	keep_file(w,
		  CALL(w, reopen(f.fd, flags), "reopen(" FILE_FORMAT ", %#x)",
		       FILE_ARGS(f), flags),
		  f.kind);
}

static void do_open_file(struct worker *w)
{
	struct file f = some_file(w, OURS);
	struct vmademo_open_file o = { .flags = below(w, 2) };

	if (one_in(w, 16))
		o.reserved[below(w, 3)] = draw(w);
	if (one_in(w, 16))
		o.flags = draw(w);
	keep_file(w,
		  CALL(w, ioctl(f.fd, VMADEMO_IOC_OPEN_FILE, &o),
		       "OPEN_FILE on " FILE_FORMAT, FILE_ARGS(f)),
		  BUFFER_FILE);
}

static void do_dup(struct worker *w)
{
	struct file f = some_file(w, ANY_FILE);

	keep_file(w, CALL(w, dup(f.fd), "dup(" FILE_FORMAT ")", FILE_ARGS(f)),
		  f.kind);
}

static void do_close(struct worker *w)
{
	struct file *f = &w->own[below(w, OWN)];

	if (f->kind == CLOSED)
		return;
	CALL(w, close(f->fd), "close(" FILE_FORMAT ")", FILE_ARGS(*f));
	f->kind = CLOSED;
}

/* ---- requests ------------------------------------------------------------ */

static void do_resize(struct worker *w)
{
	struct file f = some_file(w, BUFFERS);
	struct vmademo_resize r = { .size = some_offset(w, f) };

	if (one_in(w, 24))
		r.reserved = draw(w);
	CALL(w, ioctl(f.fd, VMADEMO_IOC_RESIZE, &r),
	     "RESIZE of " FILE_FORMAT " to %#llx", FILE_ARGS(f), LLU(r.size));
}

static void do_discard(struct worker *w)
{
	struct file f = some_file(w, BUFFERS);
	struct vmademo_discard d = { .offset = some_offset(w, f),
				     .length = some_range(w) };
	uint64_t size = size_of(f);

	/* It must be all inside */
	if (size && !one_in(w, 4)) {
		d.offset %= size;
		if (d.length > size - d.offset)
			d.length = size - d.offset;
	}
	CALL(w, ioctl(f.fd, VMADEMO_IOC_DISCARD, &d),
	     "DISCARD of " FILE_FORMAT " at %#llx, %#llx", FILE_ARGS(f),
	     LLU(d.offset), LLU(d.length));
}

static void do_info(struct worker *w)
{
	struct file f = some_file(w, OURS);
	struct vmademo_info info;

	CALL(w, ioctl(f.fd, VMADEMO_IOC_INFO, one_in(w, 32) ? NULL : &info),
	     "INFO on " FILE_FORMAT, FILE_ARGS(f));
}

static void do_crash(struct worker *w)
{
	static const uint32_t torn[] = { 0, 0, 1, 3, 1000, UINT32_MAX };
	static const uint32_t permille[] = { 0,	   1,	 500,  999,
					     1000, 1001, 1002, UINT32_MAX };
	struct file f = some_file(w, BUFFERS);
	struct vmademo_crash c = { .seed = draw(w),
				   .written_permille = ANY_OF(w, permille),
				   .torn = ANY_OF(w, torn) };

	if (one_in(w, 24))
		c.flags = draw(w);
	CALL(w, ioctl(f.fd, VMADEMO_IOC_CRASH, &c),
	     "CRASH of " FILE_FORMAT ", seed %#llx, %u permille, %u torn",
	     FILE_ARGS(f), LLU(c.seed), c.written_permille, c.torn);
}

/* Mostly given back: what stays away, nothing else finds a mistake in. */
static void do_revoke(struct worker *w)
{
	struct file f = some_file(w, BUFFERS);

	if (one_in(w, 3))
		CALL(w, ioctl(f.fd, VMADEMO_IOC_REVOKE),
		     "REVOKE of " FILE_FORMAT, FILE_ARGS(f));
	if (!one_in(w, 8))
		CALL(w, ioctl(f.fd, VMADEMO_IOC_RESTORE),
		     "RESTORE of " FILE_FORMAT, FILE_ARGS(f));
}

/* Mostly switched on again, for the same reason. */
static void do_power(struct worker *w)
{
	static const uint32_t permille[] = { 0, 1, 500, 1000, 1001, 1002 };
	struct file f = some_file(w, BUFFERS);
	int fds[4], n = below(w, 5);
	struct vmademo_power p = { .flags = VMADEMO_POWER_OFF,
				   .count = n,
				   .fds = n ? (uintptr_t)fds : 0,
				   .seed = draw(w),
				   .written_permille = ANY_OF(w, permille),
				   .torn = below(w, 4) };

	for (int i = 0; i < n; i++)
		fds[i] = some_file(w, one_in(w, 16) ? OURS : BUFFERS).fd;
	if (one_in(w, 24))
		p.flags = draw(w);
	if (one_in(w, 24))
		p.count = draw(w);
	if (one_in(w, 24))
		p.reserved[below(w, 4)] = draw(w);
	if (one_in(w, 3))
		CALL(w, ioctl(f.fd, VMADEMO_IOC_POWER, one_in(w, 32) ? NULL : &p),
		     "POWER off of " FILE_FORMAT
		     " and %u others, seed %#llx, %u permille, %u torn",
		     FILE_ARGS(f), p.count, LLU(p.seed), p.written_permille,
		     p.torn);
	if (one_in(w, 8))
		return;
	/* Those that can be, one by one: one that cannot has nothing switched */
	for (int i = -1; i < n; i++) {
		p = (struct vmademo_power){ 0 };
		CALL(w, ioctl(i < 0 ? f.fd : fds[i], VMADEMO_IOC_POWER, &p),
		     "POWER on of " FILE_FORMAT ", or of number %d",
		     FILE_ARGS(f), i);
	}
}

static void do_pages(struct worker *w)
{
	struct file f = some_file(w, OURS);
	struct vmademo_pages p = { .offset = some_offset(w, f),
				   .count = some_range(w) / PAGE };
	size_t len = SCRATCH;

	if (!one_in(w, 4))
		p.offset &= ~(PAGE - 1);
	/* A buffer may be as large as can be, and its pages are all looked at */
	if (p.count > SCRATCH && !one_in(w, 16))
		p.count %= SCRATCH;
	p.states = (uintptr_t)some_memory(w, f, &len);
	/* Not so many that memory is overwritten which is not meant */
	if (p.count > len)
		p.count = len;
	if (one_in(w, 24))
		p.reserved[below(w, 4)] = draw(w);
	CALL(w, ioctl(f.fd, VMADEMO_IOC_PAGES, one_in(w, 32) ? NULL : &p),
	     "PAGES of " FILE_FORMAT " at %#llx, %llu pages", FILE_ARGS(f),
	     LLU(p.offset), LLU(p.count));
}

static void do_stats(struct worker *w)
{
	struct file f = some_file(w, OURS);
	union {
		struct vmademo_stats stats;
		unsigned char bytes[2 * PAGE_MAX];
	} u = { .stats.size = sizeof(u.stats) };

	if (one_in(w, 3))
		u.stats.size = below(w, sizeof(u));
	if (one_in(w, 16))
		u.stats.size = draw(w);
	if (one_in(w, 8))
		u.bytes[below(w, sizeof(u))] = 1;
	CALL(w, ioctl(f.fd, VMADEMO_IOC_STATS, one_in(w, 32) ? NULL : &u),
	     "STATS of " FILE_FORMAT ", size %u", FILE_ARGS(f), u.stats.size);
}

/* Any number, with memory that is zeroes or is not there; revoking now and then. */
static void do_ioctl(struct worker *w)
{
	static const unsigned long known[] = {
		VMADEMO_IOC_CREATE,
		VMADEMO_IOC_OPEN_FILE,
		VMADEMO_IOC_RESIZE,
		VMADEMO_IOC_DISCARD,
		VMADEMO_IOC_INFO,
		VMADEMO_IOC_CRASH,
		VMADEMO_IOC_RULE_ADD,
		VMADEMO_IOC_RULE_DEL,
		VMADEMO_IOC_RULE_LIST,
		VMADEMO_IOC_RESTORE,
		VMADEMO_IOC_PAGES,
		VMADEMO_IOC_STATS,
		VMADEMO_IOC_POWER,
		0x4004667f /* FIONREAD */,
		0x80086601 /* FS_IOC_GETFLAGS */,
		0x1260 /* BLKGETSIZE */,
	};
	struct file f = some_file(w, OURS);
	unsigned long request = ANY_OF(w, known);
	unsigned char zeroes[512] = { 0 };
	void *arg = one_in(w, 3) ? ANY_OF(w, bad_memory) : zeroes;
	int fd;

	switch (below(w, 24)) {
	case 0 ... 7:
		request = draw(w);
		break;
	case 8 ... 15:
		request = 0xbe00 | below(w, 64) | below(w, 128) << 16 |
			  below(w, 4) << 30;
		break;
	case 16:
		if (one_in(w, 8))
			request = VMADEMO_IOC_REVOKE;
	}
	fd = CALL(w, ioctl(f.fd, request, arg),
		  "ioctl(" FILE_FORMAT ", %#lx, %p)", FILE_ARGS(f), request, arg);
	if (fd > 0 &&
	    (request == VMADEMO_IOC_CREATE || request == VMADEMO_IOC_OPEN_FILE))
		close(fd);
}

/* ---- asked and told ------------------------------------------------------ */

static void do_attributes(struct worker *w)
{
	struct file f = some_file(w, OURS);
	struct timespec times[2] = { { .tv_sec = below(w, 1U << 31) },
				     { .tv_nsec = UTIME_NOW } };
	struct pollfd poll_it = { .fd = f.fd, .events = POLLIN | POLLOUT };
	struct stat st;
	mode_t mode = below(w, 01000) | 0600;
	int flags;

	switch (below(w, 8)) {
	case 0 ... 1:
		CALL(w, fstat(f.fd, &st), "fstat(" FILE_FORMAT ")", FILE_ARGS(f));
		break;
	case 2:
		/* Nodes keep theirs */
		if (f.kind == BUFFER_FILE)
			CALL(w, fchmod(f.fd, mode),
			     "fchmod(" FILE_FORMAT ", %o)", FILE_ARGS(f), mode);
		break;
	case 3:
		CALL(w, futimens(f.fd, times), "futimens(" FILE_FORMAT ")",
		     FILE_ARGS(f));
		break;
	case 4:
		flags = LOCK_NB | 1 << below(w, 4);
		CALL(w, flock(f.fd, flags), "flock(" FILE_FORMAT ", %d)",
		     FILE_ARGS(f), flags);
		break;
	case 5:
		CALL(w, poll(&poll_it, 1, 0), "poll(" FILE_FORMAT ")",
		     FILE_ARGS(f));
		break;
	case 6:
		CALL(w, fchown(f.fd, 0, 0), "fchown(" FILE_FORMAT ")",
		     FILE_ARGS(f));
		break;
	default:
		flags = some_of(w, O_APPEND | O_DIRECT | O_NONBLOCK | O_NOATIME);
		CALL(w, fcntl(f.fd, F_SETFL, flags),
		     "fcntl(" FILE_FORMAT ", F_SETFL, %#x)", FILE_ARGS(f), flags);
	}
}

#define LATENCY_ON "/sys/kernel/debug/vmademo/latency_on"

/* What debugfs can switch. */
static void do_switch(struct worker *w)
{
	static const char *const names[] = {
		LATENCY_ON,
		"/sys/kernel/debug/vmademo/buffers",
		"/sys/kernel/debug/vmademo/vmademo/latency",
	};
	static const char *const words[] = { "0", "1", "2", "x", "" };
	const char *name = ANY_OF(w, names), *word = ANY_OF(w, words);

	if (name == names[0] && !code_is_patched_at_once())
		word = "1";
	CALL(w, write_text(name, word), "'%s' to %s", word, name);
}

/* What the module and the kernel tell about it, to whoever asks. */
static void do_tell(struct worker *w)
{
	static const char *const names[] = {
		"/sys/class/misc/vmademo/dirty_bytes",
		"/sys/class/misc/vmademo/mappings",
		"/sys/class/misc/vmademo/cached_bytes",
		"/sys/class/misc/vmademo/written_bytes",
		"/sys/class/misc/vmademo-phys0/mappings",
		"/sys/kernel/debug/vmademo/mappings",
		"/sys/kernel/debug/vmademo/vmademo/latency",
		"/proc/self/smaps",
		"/proc/self/maps",
		"/proc/meminfo",
	};
	struct file f = some_file(w, OURS);
	char path[64];
	int fd;

	if (one_in(w, 3))
		snprintf(path, sizeof(path), "%s", ANY_OF(w, names));
	else
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", f.fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	CALL(w, read(fd, w->scratch, SCRATCH), "read(%s)", path);
	close(fd);
}

#endif /* VMADEMO_FUZZ_FILES_H */
