/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests and the demo share: the device's name, the two accounts (the
 * module's under /sys, the kernel's under /proc), and the module itself.
 */
#ifndef VMADEMO_TEST_H
#define VMADEMO_TEST_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <linux/vmademo.h>

#include "../module/counters.h"

#define NODE   "/dev/vmademo"
#define WINDOW "/dev/vmademo-phys0"
#define PAGE   ((unsigned long)getpagesize())
#define KIB    1024UL
#define MIB    (1024UL * 1024)

/* The largest page that a machine has, for arrays */
#define PAGE_MAX 65536UL

/*
 * Seconds that a test may take.  Under emulation, on a busy machine, on a kernel
 * with all its checks on, only a hang takes this long.
 */
#ifdef TEST_TIMEOUT_DEFAULT
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 300
#endif

/*
 * First line of a test whose set-up may find that it cannot be run here; it then
 * leaves the reason in self->skip.  (The harness of Linux 6.1 runs the test even
 * if the set-up calls SKIP.)
 */
#define RUN_IF_READY()                                  \
	do {                                            \
		if (self->skip)                         \
			SKIP(return, "%s", self->skip); \
	} while (0)

/* Why a test that needs new pages does not run a second time. */
#define CACHED_ALREADY "the pages are cached already; load the module afresh"

/* The offset in the buffer where test number n may do what it likes. */
#define PLACE(n) ((off_t)(n)*MIB)

/* The largest size of a buffer on 64 bits: whole pages that a file can have. */
#define MAX_SIZE ((uint64_t)INT64_MAX + 1 - PAGE)

/* A 32-bit program can name offsets below 2^44 only: libc refuses others. */
#define IS_32_BIT (sizeof(long) < 8)

#ifndef MAP_SYNC
#define MAP_SHARED_VALIDATE 0x03
#define MAP_SYNC	    0x080000
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

/* The first number in a file that holds one value; -1 if there is none. */
static inline int64_t read_number(const char *path)
{
	long long value = -1;
	FILE *f = fopen(path, "r");

	if (!f)
		return -1;
	if (fscanf(f, "%lld", &value) != 1)
		value = -1;
	fclose(f);
	return value;
}

static inline int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = write(fd, text, strlen(text));
	close(fd);
	return n < 0 ? -1 : 0;
}

#define THP "/sys/kernel/mm/transparent_hugepage/"

/*
 * Has the kernel ask .huge_fault, and khugepaged look, where MADV_HUGEPAGE is said: with little
 * memory both are off.  With false, it is again as it was.
 */
static inline int wish_huge_pages(bool on)
{
	static char before[16];
	char words[64] = "";
	FILE *f = fopen(THP "enabled", "r");

	if (!f)
		return -1;
	if (on && fgets(words, sizeof(words), f) && strchr(words, '['))
		sscanf(strchr(words, '[') + 1, "%15[a-z]", before);
	fclose(f);
	return write_text(THP "enabled", on ? "madvise" : before);
}

/* A call that answers -1 and this errno. */
#define EXPECT_FAILS(err, call)        \
	do {                           \
		errno = 0;             \
		EXPECT_EQ(-1, (call)); \
		EXPECT_EQ(err, errno); \
	} while (0)

/* Whether the first line of a file is this one. */
static inline bool file_says(const char *path, const char *expected)
{
	char text[64] = "";
	FILE *f = fopen(path, "r");

	if (!f)
		return false;
	if (!fgets(text, sizeof(text), f))
		text[0] = '\0';
	fclose(f);
	return !strcmp(text, expected);
}

/* What one entry of a higher table maps: 2 MiB with pages of 4 KiB, 32 MiB with 16 KiB. */
static inline size_t pmd_size(void)
{
	static size_t bytes;

	if (!bytes) {
		int64_t said = read_number(
			"/sys/kernel/mm/transparent_hugepage/hpage_pmd_size");

		bytes = said > 0 ? said : 2 * MIB;
	}
	return bytes;
}

#define PMD_SIZE pmd_size()

/* In a table, which must be constant, the size of a folio that is as large as that. */
#define PMD_FOLIO 1U

static inline uint32_t folio_bytes(uint32_t size)
{
	return size == PMD_FOLIO ? PMD_SIZE : size;
}

/* What the kernel maps around a page that is touched, and reads at once, unless told otherwise. */
#define FAULT_AROUND (64 * KIB)
#define READ_AHEAD   (128 * KIB)

/* The same text, in a static place, with bytes for pages: "phys=2p" becomes "phys=8192". */
static inline const char *in_bytes(const char *text)
{
	static char bytes[512];
	size_t len = 0;

	while (text && *text && len < sizeof(bytes) - 24) {
		size_t digits = strspn(text, "0123456789");

		if (digits && text[digits] == 'p' &&
		    strchr(", @\n", text[digits + 1])) {
			len += sprintf(bytes + len, "%lu",
				       strtoul(text, NULL, 10) * PAGE);
			text += digits + 1;
		} else {
			digits = digits ? digits : 1;
			memcpy(bytes + len, text, digits);
			len += digits;
			text += digits;
		}
	}
	bytes[len] = '\0';
	return text ? bytes : NULL;
}

/* How many bytes one fault maps, 2p is two pages; "auto" is what holds without it. */
static inline int map_ahead(const char *bytes)
{
	return write_text("/sys/module/vmademo/parameters/map_ahead",
			  in_bytes(bytes));
}

/* ---- the module's account ------------------------------------------------ */

static inline int64_t node_value(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/class/misc/vmademo/%s", name);
	return read_number(path);
}

/* The counters of one buffer; the fields have the names of the module's. */
struct account {
#define EVENT(NAME, name)  name,
#define FOLIOS(NAME, name) name##_folios, name##_bytes,
	int64_t VMADEMO_COUNTERS(EVENT, FOLIOS) dirty_folios, dirty_bytes, cached_bytes;
#undef EVENT
#undef FOLIOS
};

/* One value of the buffer behind fd, by its name; -1 if there is none. */
static inline int64_t fd_value(int fd, const char *name)
{
	size_t len = strlen(name);
	int64_t value = -1;
	char path[64], line[128];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	if (!f)
		return -1;
	while (value < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, len) && line[len] == ':')
			value = strtoll(line + len + 1, NULL, 10);
	fclose(f);
	return value;
}

/* The largest size of a folio of the buffer behind fd, or of the node's if that is -1. */
static inline int64_t largest_folio(int fd)
{
	return fd < 0 ? read_number("/sys/module/vmademo/parameters/folio_size")
		      : fd_value(fd, "folio_size");
}

/* Has each page of it a folio of its own?  Then pages can be counted by folios. */
static inline bool folios_are_pages(int fd)
{
	return largest_folio(fd) == (int64_t)PAGE;
}

/*
 * How many bytes a folio at its beginning has: the largest size, or less if the buffer ends
 * before.
 */
static inline int64_t folio_size_of(int fd)
{
	int64_t size = fd < 0 ? node_value("size") : fd_value(fd, "size");
	int64_t page = PAGE, bytes = largest_folio(fd);

	while (bytes > page && bytes - page >= size)
		bytes /= 2;
	return bytes;
}

/* How many of them so many bytes take, from a border between two on. */
static inline int64_t in_folios(int fd, uint64_t bytes)
{
	uint64_t size = folio_size_of(fd);

	return (bytes + size - 1) / size;
}

/* ... and how many bytes these have. */
static inline int64_t whole_folios(int fd, uint64_t bytes)
{
	return in_folios(fd, bytes) * folio_size_of(fd);
}

/*
 * Faults of this mapping make single pages, whatever the size of the buffer's folios is.
 * What the kernel reads ahead would still come in large folios: so it reads nothing ahead.
 */
static inline void fault_by_pages(void *p, size_t len)
{
	/* Where the kernel does not know the advice there are only single pages */
	madvise(p, len, MADV_NOHUGEPAGE);
	madvise(p, len, MADV_RANDOM);
}

/* First line of a test that is about single pages of the buffer behind fd. */
#define RUN_IF_FOLIOS_ARE_PAGES(fd)                                         \
	do {                                                                \
		if (!folios_are_pages(fd))                                  \
			SKIP(return, "it is about folios of single pages"); \
	} while (0)

/* A file of the backing device of the buffer behind fd, in a static place. */
static inline const char *bdi_file(int fd, const char *name)
{
	static char path[128];
	char line[128], bdi[32] = "?";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "bdi: %31s", bdi);
	if (f)
		fclose(f);
	snprintf(path, sizeof(path), "/sys/class/bdi/%s/%s", bdi, name);
	return path;
}

/* The account of the buffer behind fd; of the node's by sysfs if fd is -1. */
static inline struct account account_of(int fd)
{
	static const char *const names[] = {
#define EVENT(NAME, name)  #name,
#define FOLIOS(NAME, name) #name "_folios", #name "_bytes",
		VMADEMO_COUNTERS(EVENT, FOLIOS) "dirty_folios", "dirty_bytes",
		"cached_bytes"
#undef EVENT
#undef FOLIOS
	};
	struct account a;
	int64_t *n = (int64_t *)&a;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		n[i] = fd < 0 ? node_value(names[i]) : fd_value(fd, names[i]);
	return a;
}

static inline struct account account_now(void)
{
	return account_of(-1);
}

static inline struct account account_minus(struct account now,
					   const struct account *before)
{
	int64_t *n = (int64_t *)&now;
	const int64_t *b = (const int64_t *)before;

	for (size_t i = 0; i < sizeof(now) / sizeof(*n); i++)
		n[i] -= b[i];
	return now;
}

/* What has changed since; dirty_... and cached_... may be negative. */
static inline struct account account_since(const struct account *before)
{
	return account_minus(account_now(), before);
}

static inline struct account account_of_since(int fd, const struct account *before)
{
	return account_minus(account_of(fd), before);
}

/*
 * Emulated processors that really run at once may execute what is half patched (QEMU 7.2; a
 * real one does not).  So on such a machine a test does not switch, while others run, what the
 * module has in its code: whether there are rules, revocations, or times are noted.
 */
static inline bool code_is_patched_at_once(void)
{
	const char *parallel = getenv("VMADEMO_PARALLEL");

	return !parallel || !*parallel;
}

/* ---- the two kinds of file ----------------------------------------------- */

/* Of the buffers that a program makes from now on; 0 is as the module is loaded. */
static uint32_t folio_size_wanted __attribute__((unused));

/* A new buffer with such a store, as a regular file; -1 and errno. */
static inline int create_with(uint32_t store, uint64_t size, int store_fd)
{
	struct vmademo_create c = {
		.size = size,
		.flags = VMADEMO_FD_CLOEXEC,
		.store = store,
		.store_fd = store_fd,
		.folio_size = folio_size_wanted,
	};
	int node = open(NODE, O_RDWR | O_CLOEXEC), fd, err;

	if (node < 0 && errno == EROFS) /* its store cannot be written to */
		node = open(NODE, O_RDONLY | O_CLOEXEC);
	if (node < 0)
		return -1;
	fd = ioctl(node, VMADEMO_IOC_CREATE, &c);
	err = errno;
	close(node);
	errno = err;
	return fd;
}

/* The same without a store. */
static inline int create_buffer(uint64_t size)
{
	return create_with(VMADEMO_STORE_NONE, size, 0);
}

/*
 * A new file, without a name, of a mounted tree of its own; -1 and errno.  Nobody else sees
 * the tree, and it ends with the file.  (By number: the headers of mount(2) do not go with
 * those of the kernel.)
 */
static inline int create_in_tree(const char *store, uint64_t size)
{
	char path[64] = "/tmp/vmademo-view-XXXXXX", options[64];
	unsigned int len;
	int fd = -1, err;

	len = snprintf(options, sizeof(options), "store=%s", store);
	if (folio_size_wanted)
		snprintf(options + len, sizeof(options) - len, ",folio_size=%u",
			 folio_size_wanted);
	if (!mkdtemp(path))
		return -1;
	if (!syscall(SYS_mount, "none", path, "vmademo", 0, options)) {
		fd = open(path, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
		/* Or a power cut would leave it without a size */
		if (fd >= 0 && (ftruncate(fd, size) || fsync(fd))) {
			close(fd);
			fd = -1;
		}
		err = errno;
		syscall(SYS_umount2, path, 2 /* MNT_DETACH */);
		errno = err;
	}
	err = errno;
	rmdir(path);
	errno = err;
	return fd;
}

/* The regular-file view of the buffer behind an open node; -1 and errno. */
static inline int open_file_view(int node)
{
	struct vmademo_open_file o = { .flags = VMADEMO_FD_CLOEXEC };

	return ioctl(node, VMADEMO_IOC_OPEN_FILE, &o);
}

/*
 * For tests that run on all kinds: the node, or a new buffer of the node's size as a regular
 * file, or as a file of a mounted tree.
 */
enum view { NODE_VIEW, FILE_VIEW, TREE_VIEW };

static inline int open_view(enum view view)
{
	if (view == TREE_VIEW)
		return create_in_tree("none", node_value("size"));
	return view == NODE_VIEW ? open(NODE, O_RDWR | O_CLOEXEC)
				 : create_buffer(node_value("size"));
}

/* Opens the file behind fd once more, node or regular file; -1 and errno. */
static inline int reopen(int fd, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags | O_CLOEXEC);
}

/* Runs every test of a fixture on each: FIXTURE_VIEWS(name) after FIXTURE(). */
#define FIXTURE_VIEWS(fixture)              \
	FIXTURE_VARIANT(fixture)            \
	{                                   \
		enum view view;             \
	};                                  \
	FIXTURE_VARIANT_ADD(fixture, node){ \
		.view = NODE_VIEW,          \
	};                                  \
	FIXTURE_VARIANT_ADD(fixture, file){ \
		.view = FILE_VIEW,          \
	};                                  \
	FIXTURE_VARIANT_ADD(fixture, tree)  \
	{                                   \
		.view = TREE_VIEW,          \
	}

/* ---- the kernel's account ------------------------------------------------ */

static inline int64_t proc_value(const char *path, const char *name)
{
	char line[256];
	int64_t value = -1;
	size_t len = strlen(name);
	FILE *f;

	/* Counters are kept per processor; this adds what is outstanding */
	write_text("/proc/sys/vm/stat_refresh", "1");
	f = fopen(path, "r");
	if (!f)
		return -1;
	while (value < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, len) && strchr(": ", line[len]))
			value = strtoll(line + len + 1, NULL, 10);
	fclose(f);
	return value;
}

/* A line of /proc/meminfo, in bytes. */
static inline int64_t meminfo(const char *name)
{
	int64_t kib = proc_value("/proc/meminfo", name);

	return kib < 0 ? kib : kib * 1024;
}

static inline int64_t vmstat(const char *name)
{
	return proc_value("/proc/vmstat", name);
}

/* These are the whole machine's; to compare them exactly, they must be ours. */
static inline int machine_is_quiet(void)
{
	int64_t dirty = meminfo("Dirty"), cached = meminfo("Cached");

	usleep(100000);
	return dirty >= 0 && meminfo("Dirty") == dirty &&
	       meminfo("Cached") == cached;
}

static inline int64_t minor_faults(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return ru.ru_minflt;
}

static inline int64_t major_faults(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return ru.ru_majflt;
}

/* ---- what /proc tells about a mapping ------------------------------------ */

/* VMAs that start in [p, p + len), as /proc/self/maps has them. */
static inline int vmas_in(const void *p, size_t len)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long start;
	char line[512];
	int n = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-", &start) == 1 &&
		    start - (uintptr_t)p < len)
			n++;
	if (f)
		fclose(f);
	return n;
}

/* A line of /proc/self/smaps on the VMA at p, in bytes; -1 if there is none. */
static inline int64_t smaps_value(const void *p, const char *name)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long start, end;
	size_t len = strlen(name);
	int64_t value = -1;
	char line[512];
	int here = 0;

	while (f && value < 0 && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = start <= (uintptr_t)p && (uintptr_t)p < end;
		else if (here && !strncmp(line, name, len) && line[len] == ':')
			value = strtoll(line + len + 1, NULL, 10) * 1024;
	}
	if (f)
		fclose(f);
	return value;
}

/* Whether VmFlags: of the VMA at p has the flag, two letters; see proc(5). */
static inline int vm_flag(const void *p, const char *flag)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long start, end;
	char line[512];
	int here = 0, has = 0;

	while (f && !has && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = start <= (uintptr_t)p && (uintptr_t)p < end;
		else if (here && !strncmp(line, "VmFlags:", 8))
			has = !!strstr(line + 8, flag);
	}
	if (f)
		fclose(f);
	return has;
}

/* ---- touching ------------------------------------------------------------ */

static inline unsigned char touch(const void *p)
{
	return *(const volatile unsigned char *)p;
}

static inline void put(void *p, unsigned char value)
{
	*(volatile unsigned char *)p = value;
}

static sigjmp_buf touch_return;
static siginfo_t touch_info;

static inline void touch_caught(int sig, siginfo_t *info, void *context)
{
	(void)context;
	touch_info = *info;
	siglongjmp(touch_return, sig);
}

/* Reads, or writes 1 to, *p.  Returns the signal that it raised, or 0. */
static inline int touch_signal(void *p, int write)
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
static inline long cached_pages(void *p, size_t len)
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
 * Leaves bytes that are not 0 in the memory that is free, so that a page which
 * should have been zeroed and was not does show (unless the kernel was booted
 * with init_on_alloc=1: then it does that itself, and hides it).
 */
static inline void soil_free_memory(void)
{
	const size_t len = 64 * MIB;
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return;
	memset(p, 0x5a, len);
	munmap(p, len);
}

/* ---- the module ---------------------------------------------------------- */

/* Loads the module that is in a file; 0 or -1 and errno. */
static inline int load_module_file(const char *path, const char *parameters)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), ret, err;

	if (fd < 0)
		return -1;
	ret = syscall(SYS_finit_module, fd, parameters, 0);
	err = errno;
	close(fd);
	errno = err;
	return ret;
}

/*
 * Loads the module that VMADEMO_KO names, with VMADEMO_PARAMS before the
 * parameters, in which 2p is the size of two pages; 0 or -1 and errno.
 */
static inline int load_module(const char *parameters)
{
	const char *path = getenv("VMADEMO_KO"), *more = getenv("VMADEMO_PARAMS");
	char all[1024];

	snprintf(all, sizeof(all), "%s %s", more ? more : "",
		 in_bytes(parameters));
	return load_module_file(path ? path : "", all);
}

static inline int unload_module(void)
{
	return syscall(SYS_delete_module, "vmademo", O_NONBLOCK);
}

static inline int module_is_loaded(void)
{
	return access("/sys/module/vmademo/refcnt", F_OK) == 0;
}

#endif /* VMADEMO_TEST_H */
