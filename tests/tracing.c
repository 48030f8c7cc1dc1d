// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tracepoints: a known program leaves exactly this sequence of events, and no other.
 */
#include <sys/stat.h>

#include "kselftest_harness.h"
#include "../lib/traced.h"
#include "../lib/tree.h"
#include "../lib/window.h"
#include "stores.h"

FIXTURE(traced)
{
	const char *skip;
	int fd;
	unsigned char *map;
};

FIXTURE_VARIANT(traced)
{
	uint32_t store;
};

FIXTURE_VARIANT_ADD(traced, none){ .store = VMADEMO_STORE_NONE };
FIXTURE_VARIANT_ADD(traced, ram){ .store = VMADEMO_STORE_RAM };

#define PAGES 16UL

FIXTURE_SETUP(traced)
{
	if (access(TRACING "trace", R_OK)) {
		self->skip = "this kernel cannot trace";
		return;
	}
	ASSERT_EQ(0, write_text(EVENTS "enable", "1"));
	folio_size_wanted = PAGE;
	self->fd = create_with(variant->store, PAGES * PAGE, 0);
	ASSERT_GE(self->fd, 0);
	clear_trace();
	self->map = mmap(NULL, 2 * PAGES * PAGE, PROT_READ | PROT_WRITE,
			 MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
}

FIXTURE_TEARDOWN(traced)
{
	if (self->skip)
		return;
	munmap(self->map, 2 * PAGES * PAGE);
	close(self->fd);
	write_text(EVENTS "enable", "0");
	clear_trace();
}

/*
 * What was traced since clear_trace() and has this word in it, from the event's name on, one
 * a line.  Numbers that differ from run to run, behind these names, become a star.
 */
static const char *traced(const char *word)
{
	static const char *const vary[] = { "address=0x", "ns=", "start=0x",
					    "end=0x" };
	static char text[8192];
	char line[512], *event, *digits;
	FILE *f = fopen(TRACING "trace", "r");
	size_t len = 0;

	text[0] = '\0';
	while (f && fgets(line, sizeof(line), f)) {
		event = strstr(line, " vmademo_");
		if (!event || !strstr(event, word))
			continue;
		event += strlen(" vmademo_");
		for (size_t i = 0; i < sizeof(vary) / sizeof(vary[0]); i++) {
			digits = strstr(event, vary[i]);
			if (!digits)
				continue;
			digits += strlen(vary[i]);
			memmove(digits + 1,
				digits + strspn(digits, "0123456789abcdef"),
				strlen(digits) + 1 -
					strspn(digits, "0123456789abcdef"));
			*digits = '*';
		}
		len += snprintf(text + len, sizeof(text) - len, "%s", event);
		if (len >= sizeof(text))
			break;
	}
	if (f)
		fclose(f);
	clear_trace();
	return text;
}

/* The same with the buffer's number, which becomes a star, too. */
static const char *traced_of(int fd)
{
	static char out[8192];
	struct stat st;
	char ino[32];
	const char *in, *at;
	size_t len = 0;

	fstat(fd, &st);
	snprintf(ino, sizeof(ino), "ino=%lu ", (unsigned long)st.st_ino);
	in = traced(ino);
	out[0] = '\0';
	for (at = in; (in = strstr(at, ino)); at = in + strlen(ino))
		len += snprintf(out + len, sizeof(out) - len, "%.*s",
				(int)(in - at), at);
	snprintf(out + len, sizeof(out) - len, "%s", at);
	return out;
}

/* The life of a page, as fault.c tells it. */
TEST_F(traced, life_of_a_page)
{
	RUN_IF_READY();

	const bool ram = variant->store == VMADEMO_STORE_RAM;

	EXPECT_STREQ("mmap: page=0 pages=32\n", traced_of(self->fd));
	if (!ram) {
		/* Read, and not cached; for store ram see below */
		ASSERT_EQ(0, madvise(self->map, PAGES * PAGE, MADV_RANDOM));
		EXPECT_EQ(0, touch(self->map + 2 * PAGE));
		EXPECT_NE(NULL, strstr(traced_of(self->fd),
				       "map_pages: page=2 first=2 last=2 mapped=0\n"
				       "fault: page=2 address=0x* flags="));
		/* Written to */
		put(self->map + 2 * PAGE, 1);
		EXPECT_STREQ(
			in_bytes("dirty: page=2 bytes=1p\n"
				 "mkwrite: page=2 address=0x* result=LOCKED ns=*\n"),
			traced_of(self->fd));
	}
	/* Written by a call */
	ASSERT_EQ(PAGE, pwrite(self->fd, self->map + 2 * PAGE, PAGE, 3 * PAGE));
	if (!ram) {
		EXPECT_STREQ(in_bytes("dirty: page=3 bytes=1p\n"),
			     traced_of(self->fd));
	}
	traced_of(self->fd);
	/* Written back */
	ASSERT_EQ(0, fdatasync(self->fd));
	if (ram) {
		EXPECT_STREQ(in_bytes("write_out: pos=3p bytes=1p err=0 ns=*\n"
				      "flush: datasync=1 err=0 ns=*\n"),
			     traced_of(self->fd));
	} else {
		EXPECT_STREQ(in_bytes("write_out: pos=2p bytes=1p err=0 ns=*\n"
				      "write_out: pos=3p bytes=1p err=0 ns=*\n"),
			     traced_of(self->fd));
	}
	/* Dirty again, and cut off */
	ASSERT_EQ(1, pwrite(self->fd, "x", 1, 3 * PAGE));
	ASSERT_EQ(0, ftruncate(self->fd, 3 * PAGE));
	EXPECT_STREQ(in_bytes("dirty: page=3 bytes=1p\n"
			      "discard: page=3 bytes=1p\n"),
		     traced_of(self->fd));
	/* Beyond the end */
	EXPECT_EQ(SIGBUS, touch_signal(self->map + 3 * PAGE, 1));
	EXPECT_NE(NULL, strstr(traced_of(self->fd), "result=SIGBUS ns=*\n"));
}

/* What only a store does: read in, evict, lose. */
TEST_F(traced, store)
{
	RUN_IF_READY();

	struct vmademo_crash c = { .seed = 7 };
	unsigned char byte;

	if (variant->store == VMADEMO_STORE_NONE)
		SKIP(return, "there is no store");
	ASSERT_EQ(0, posix_fadvise(self->fd, 0, 0, POSIX_FADV_RANDOM));
	ASSERT_EQ(1, pwrite(self->fd, "x", 1, 5 * PAGE));
	ASSERT_EQ(0, fsync(self->fd));
	traced_of(self->fd);
	ASSERT_EQ(0, posix_fadvise(self->fd, 0, 0, POSIX_FADV_DONTNEED));
	EXPECT_STREQ(in_bytes("evict: page=5 bytes=1p\n"), traced_of(self->fd));
	ASSERT_EQ(1, pread(self->fd, &byte, 1, 5 * PAGE));
	EXPECT_STREQ(in_bytes("read_in: pos=5p bytes=1p err=0 ns=*\n"),
		     traced_of(self->fd));
	ASSERT_EQ(1, pwrite(self->fd, "y", 1, 5 * PAGE));
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_CRASH, &c));
	EXPECT_STREQ(in_bytes("dirty: page=5 bytes=1p\n"
			      "lose: page=5 bytes=1p\n"
			      "crash: seed=7 written=0 torn=0 lost=1\n"),
		     traced_of(self->fd));
	c = (struct vmademo_crash){ .seed = 7, .torn = 1 };
	ASSERT_EQ(1, pwrite(self->fd, "y", 1, 5 * PAGE));
	clear_trace();
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_CRASH, &c));
	EXPECT_STREQ(in_bytes("tear: page=5 bytes=1p\n"
			      "lose: page=5 bytes=1p\n"
			      "crash: seed=7 written=0 torn=1 lost=1\n"),
		     traced_of(self->fd));
	/* When nobody watches, nothing is written down */
	ASSERT_EQ(0, write_text(EVENTS "enable", "0"));
	ASSERT_EQ(1, pwrite(self->fd, "z", 1, 5 * PAGE));
	EXPECT_STREQ("", traced_of(self->fd));
}

/* A rule that acts, among what it does. */
TEST_F(traced, rules)
{
	RUN_IF_READY();

	struct vmademo_rule r = {
		.op = VMADEMO_OP_MKWRITE, .start = 3, .nr = 2, .status = ENOSPC
	};

	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_RULE_ADD, &r));
	traced_of(self->fd);
	EXPECT_EQ(-1, pwrite(self->fd, "x", 1, 4 * PAGE));
	EXPECT_STREQ("rule_hit: id=1 op=mkwrite page=4 status=28\n",
		     traced_of(self->fd));
	EXPECT_EQ(SIGBUS, touch_signal(self->map + 3 * PAGE, 1));
	EXPECT_NE(NULL,
		  strstr(traced_of(self->fd),
			 "rule_hit: id=1 op=mkwrite page=3 status=28\n"
			 "mkwrite: page=3 address=0x* result=SIGBUS ns=*\n"));
}

/* How long a hook takes, also one that gives up the lock while it waits. */
TEST_F(traced, nanoseconds)
{
	RUN_IF_READY();

	struct vmademo_rule slow_read = { .op = VMADEMO_OP_READ_FAULT,
					  .delay_us = 30000 };
	struct vmademo_rule slow_write = { .op = VMADEMO_OP_MKWRITE,
					   .delay_us = 30000 };

	ASSERT_EQ(0, touch(self->map + PAGE));
	EXPECT_LE(0, slowest(" vmademo_fault: "));
	put(self->map + 2 * PAGE, 1);
	EXPECT_LE(0, slowest(" vmademo_mkwrite: "));
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_RULE_ADD, &slow_read));
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_RULE_ADD, &slow_write));
	clear_trace();
	EXPECT_EQ(0, touch_signal(self->map + 5 * PAGE, 0));
	EXPECT_LE(30000000, slowest(" vmademo_fault: "));
	EXPECT_EQ(0, touch_signal(self->map + 5 * PAGE, 1));
	EXPECT_LE(30000000, slowest(" vmademo_mkwrite: "));
}

/* A snapshot, the power, revocation: each once, and what is so already is no event. */
TEST_F(traced, power_and_revocation)
{
	RUN_IF_READY();

	struct vmademo_crash cut = { .seed = 7 };
	struct stat st, to;
	char expected[128];
	int fd;

	if (variant->store == VMADEMO_STORE_NONE)
		SKIP(return, "there is no store");
	ASSERT_EQ(0, fstat(self->fd, &st));
	ASSERT_EQ(1, pwrite(self->fd, "x", 1, 5 * PAGE));
	fd = take_snapshot(self->fd, &cut);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, fstat(fd, &to));
	close(fd);
	snprintf(expected, sizeof(expected),
		 "snapshot: ino=%lu to=%lu seed=7 written=0 torn=0 lost=1\n",
		 (unsigned long)st.st_ino, (unsigned long)to.st_ino);
	EXPECT_STREQ(expected, traced("snapshot: "));
#define EXPECT_ONCE(name, request)                                       \
	do {                                                             \
		snprintf(expected, sizeof(expected), name ": ino=%lu\n", \
			 (unsigned long)st.st_ino);                      \
		for (int i_ = 0; i_ < 2; i_++) {                         \
			ASSERT_EQ(0, request);                           \
			EXPECT_STREQ(i_ ? "" : expected,                 \
				     traced(" vmademo_" name));          \
		}                                                        \
	} while (0)
	EXPECT_ONCE("power_off", power_off(self->fd));
	EXPECT_ONCE("power_on", power_on(self->fd));
	EXPECT_ONCE("revoke_buffer", ioctl(self->fd, VMADEMO_IOC_REVOKE));
	EXPECT_ONCE("restore", ioctl(self->fd, VMADEMO_IOC_RESTORE));
}

static int count(const char *text, const char *word)
{
	int n = 0;

	while ((text = strstr(text, word))) {
		text += strlen(word);
		n++;
	}
	return n;
}

/* A window's mappings come and go, also by halves; then it is taken away. */
static long ino_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) ? -1 : (long)st.st_ino;
}

/* What is done to names in a tree, and what fails is not. */
TEST_F(traced, names)
{
	char expected[512];
	long root, d, a, f;
	int fd;

	RUN_IF_READY();
	ASSERT_EQ(0, mount_tree(NULL));
	root = ino_of(TREE);
	ASSERT_EQ(0, mkdir(AT "d", 0700));
	EXPECT_EQ(-1, mkdir(AT "d", 0700));
	fd = new_file(AT "a b");
	close(fd);
	d = ino_of(AT "d");
	a = ino_of(AT "a b");
	ASSERT_EQ(0, link(AT "a b", AT "d/l"));
	ASSERT_EQ(0, rename(AT "a b", AT "d/a"));
	EXPECT_EQ(-1, rmdir(AT "d"));
	ASSERT_EQ(0, unlink(AT "d/l"));
	fd = new_file(AT "f");
	close(fd);
	f = ino_of(AT "f");
	ASSERT_EQ(0, renameat2(AT_FDCWD, AT "f", AT_FDCWD, AT "d/a",
			       RENAME_EXCHANGE));
	ASSERT_EQ(0, unlink(AT "d/a"));
	ASSERT_EQ(0, rmdir(AT "d"));
	snprintf(expected, sizeof(expected),
		 "name: op=create dir=%ld ino=%ld name=d\n"
		 "name: op=create dir=%ld ino=%ld name=a b\n"
		 "name: op=link dir=%ld ino=%ld name=l\n"
		 "name: op=rename dir=%ld ino=%ld name=a\n"
		 "name: op=unlink dir=%ld ino=%ld name=l\n"
		 "name: op=create dir=%ld ino=%ld name=f\n"
		 "name: op=exchange dir=%ld ino=%ld name=a\n"
		 "name: op=exchange dir=%ld ino=%ld name=f\n"
		 "name: op=unlink dir=%ld ino=%ld name=a\n"
		 "name: op=unlink dir=%ld ino=%ld name=d\n",
		 root, d, root, a, d, a, d, a, d, a, root, f, d, f, root, a, d,
		 f, root, d);
	EXPECT_STREQ(expected, traced(" vmademo_name: "));
	EXPECT_EQ(0, umount_tree());
}

TEST_F(traced, windows)
{
	RUN_IF_READY();

	int fd = open(WINDOW, O_RDWR | O_CLOEXEC);
	unsigned char *p;
	const char *text;

	if (variant->store != VMADEMO_STORE_NONE)
		SKIP(return, "once is enough");
	ASSERT_GE(fd, 0);
	clear_trace();
	p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	munmap(p + PAGE, PAGE);
	munmap(p, 4 * PAGE);
	text = traced("minor=");
	EXPECT_EQ(0, strncmp("vma_open: minor=", text, 16));
	/* In two pieces at the end: each that came went */
	EXPECT_LE(2, count(text, "vma_open: "));
	EXPECT_EQ(count(text, "vma_open: "), count(text, "vma_close: "));
	ASSERT_EQ(0, ioctl(fd, VMADEMO_IOC_REVOKE));
	EXPECT_EQ(0, strncmp("revoke: minor=", traced("minor="), 14));
	close(fd);
}

TEST_HARNESS_MAIN
