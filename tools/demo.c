// SPDX-License-Identifier: GPL-2.0-only
/*
 * A walk through what a mapping does, on /dev/vmademo.  Every figure is read
 * from the kernel or the module when it is printed: "kernel" is getrusage,
 * /proc/meminfo, /proc/self/pagemap and /proc/kpageflags; "module" is
 * /sys/class/misc/vmademo.
 */
#include <stdarg.h>

#include "demo.h"

#define PAGES 64

void die(const char *what)
{
	fprintf(stderr, "demo: %s: %s\n", what, strerror(errno));
	exit(1);
}

void title(const char *text)
{
	static int number;

	printf("\n%d. %s\n", ++number, text);
}

void line(const char *what, const char *format, ...)
{
	va_list args;

	printf("   %-50s ", what);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

static unsigned char *map(const char *node, size_t len, int flags, off_t offset)
{
	int fd = open(node, O_RDWR);
	unsigned char *p;

	if (fd < 0)
		die(node);
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, flags, fd, offset);
	if (p == MAP_FAILED)
		die("mmap");
	close(fd);
	return p;
}

static uint64_t entry(const char *path, uint64_t index)
{
	uint64_t value = 0;
	int fd = open(path, O_RDONLY);

	if (fd < 0 || pread(fd, &value, 8, index * 8) != 8)
		die(path);
	close(fd);
	return value;
}

/* The page's frame number by our own page table; 0 if it is not mapped. */
static uint64_t frame(const void *p)
{
	uint64_t e = entry("/proc/self/pagemap", (uintptr_t)p / PAGE);

	return e >> 63 ? e & ((1ULL << 55) - 1) : 0;
}

static void picture(unsigned char *p)
{
	char states[PAGES + 1] = "";

	for (int i = 0; i < PAGES; i++) {
		uint64_t pfn = frame(p + i * PAGE);

		if (pfn) /* bit 4 of a page's flags: dirty */
			states[i] = entry("/proc/kpageflags", pfn) >> 4 & 1
					    ? 'W'
					    : 'r';
		else
			states[i] = cached_pages(p + i * PAGE, PAGE) ? 'c' : '.';
	}
	printf("   [%s]\n", states);
}

/* Reads the 64 pages by a new mapping and says what it took. */
static void read_pages(void)
{
	unsigned char *p = map(NODE, PAGES * PAGE, MAP_SHARED, 0);
	struct account a = account_now(), d;
	int64_t minor = minor_faults();

	for (int i = 0; i < PAGES; i++)
		touch(p + i * PAGE);
	minor = minor_faults() - minor;
	d = account_since(&a);
	line("minor faults (kernel)", "%" PRId64, minor);
	line("calls of .fault, of .map_pages (module)", "%" PRId64 ", %" PRId64,
	     d.read_faults, d.fault_around);
	line("pages made (module)", "%" PRId64, d.cached_bytes / (int64_t)PAGE);
	munmap(p, PAGES * PAGE);
}

static void faults(void)
{
	title("Demand faults: 64 new pages are read, one after the other");
	read_pages();
	title("Fault-around: the same by a new mapping; the pages are cached now");
	read_pages();
}

static void sharing(void)
{
	unsigned char *p = map(NODE, PAGE, MAP_SHARED, 0);
	unsigned char *q = map(NODE, PAGE, MAP_PRIVATE, 0);
	struct account a = account_now();
	int status;
	pid_t pid;

	title("Two processes: a shared write, and a private one");
	put(p, 'S');
	put(q + 1, 'P');
	line("this process wrote", "S by MAP_SHARED, P by MAP_PRIVATE");
	line("copy-on-write faults (module)", "%" PRId64,
	     account_since(&a).cow_faults);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		/* Nothing inherited: a mapping of its own */
		unsigned char *r = map(NODE, PAGE, MAP_SHARED, 0);

		line("another process reads there", "%c and %s", touch(r),
		     touch(r + 1) ? "P" : "0");
		exit(0);
	}
	waitpid(pid, &status, 0);
	munmap(p, PAGE);
	munmap(q, PAGE);
}

static void dirtying(void)
{
	/* The last 16 of these 64 pages are new */
	unsigned char *p = map(NODE, PAGES * PAGE, MAP_SHARED, 16 * PAGE);
	struct account a;

	title("First writes: 10 of the pages are written to, each 100 times");
	sync();
	for (int i = 0; i < PAGES / 2; i++)
		touch(p + i * PAGE);
	line("Dirty: before (kernel)", "%" PRId64 " bytes", meminfo("Dirty"));
	a = account_now();
	for (int round = 0; round < 100; round++)
		for (int i = 0; i < 10; i++)
			put(p + 3 * i * PAGE + round, 1);
	line("calls of .page_mkwrite (module)", "%" PRId64,
	     account_since(&a).first_writes);
	line("Dirty: after (kernel)", "%" PRId64 " bytes", meminfo("Dirty"));
	printf("   The 64 pages: . not cached  c cached  r mapped, clean  W dirty\n");
	picture(p);

	title("msync: written back and protected again");
	a = account_now();
	if (msync(p, PAGES * PAGE, MS_SYNC))
		die("msync");
	line("folios written back (module)", "%" PRId64,
	     account_since(&a).written_folios);
	line("Dirty: (kernel)", "%" PRId64 " bytes", meminfo("Dirty"));
	picture(p);
	a = account_now();
	put(p, 2);
	line("one more write: calls of .page_mkwrite (module)", "%" PRId64,
	     account_since(&a).first_writes);
	line("Dirty: (kernel)", "%" PRId64 " bytes", meminfo("Dirty"));
	picture(p);
	munmap(p, PAGES * PAGE);
}

static const char *signal_name(int sig)
{
	return sig == SIGBUS	? "SIGBUS"
	       : sig == SIGSEGV ? "SIGSEGV"
				: "no signal";
}

static void edges(void)
{
	int64_t size = node_value("size");
	unsigned char *p = map(NODE, 2 * PAGE, MAP_SHARED, size - PAGE);
	struct account a = account_now();

	title("The ends: a mapping of two pages, the buffer ends after the first");
	line("touching the last page of the buffer", "%s",
	     signal_name(touch_signal(p, 0)));
	line("touching the page beyond it", "%s",
	     signal_name(touch_signal(p + PAGE, 0)));
	line("SIGBUS served (module)", "%" PRId64, account_since(&a).sigbus);
	munmap(p + PAGE, PAGE);
	line("the same, after that page is unmapped", "%s",
	     signal_name(touch_signal(p + PAGE, 0)));
	munmap(p, PAGE);
}

/* Shows one line of what /proc/self/smaps says of the mapping at p. */
static void smaps_line(const void *p, const char *name, const char *what)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char text[256];
	uintptr_t start, end;
	int ours = 0;

	while (f && fgets(text, sizeof(text), f)) {
		if (sscanf(text, "%" SCNxPTR "-%" SCNxPTR, &start, &end) == 2)
			ours = start == (uintptr_t)p;
		if (!ours || strncmp(text, name, strlen(name)))
			continue;
		text[strcspn(text, "\n")] = '\0';
		line(what, "%s",
		     text + strlen(name) + strspn(text + strlen(name), " "));
		break;
	}
	if (f)
		fclose(f);
}

static void window(void)
{
	unsigned char *p = map(WINDOW, 2 * MIB, MAP_SHARED, 0);
	int64_t minor = minor_faults();

	title("The physical window: 2 MiB by remap_pfn_range");
	for (size_t at = 0; at < 2 * MIB; at += PAGE)
		put(p + at, 1);
	minor = minor_faults() - minor;
	line("minor faults for writing all its 512 pages (kernel)", "%" PRId64,
	     minor);
	smaps_line(p,
		   "Rss:", "of them counted as this process's memory (kernel)");
	smaps_line(p,
		   "VmFlags:", "flags: pf bare frame numbers, io, de no growth");
	munmap(p, 2 * MIB);
	if (mmap(NULL, PAGE, PROT_READ, MAP_SHARED, open(WINDOW, O_RDWR),
		 2 * MIB) == MAP_FAILED)
		line("mapping the page after its end", "%s", strerror(errno));
}

int main(void)
{
	/* Shall take no faults of its own while they are counted */
	if (mlockall(MCL_CURRENT))
		die("mlockall");
	printf("/dev/vmademo: %" PRId64 " bytes\n", node_value("size"));
	faults();
	sharing();
	dirtying();
	edges();
	window();
	demo_rules();
	return 0;
}
