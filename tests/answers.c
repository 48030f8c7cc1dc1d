// SPDX-License-Identifier: GPL-2.0-only
/*
 * What each kind of mapping answers: asks the node, a regular file and the window
 * the same questions, prints the answers as a table, and compares it with the
 * table in the README, whose path is in VMADEMO_README.
 *
 * A cell "A; before: B" holds if the answer is A or B: older kernels give B.
 */
#include <ctype.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <linux/falloc.h>

#include "kselftest_harness.h"
#include "vmademo_test.h"

#ifndef MADV_COLD
#define MADV_COLD    20
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#define LEN  (16 * PAGE)
#define CELL 80

enum { ON_NODE, ON_FILE, ON_WINDOW, KINDS };

struct subject {
	int kind;
	int fd;
	off_t size;
	unsigned char *map; /* LEN bytes, shared, at offset 0 */
	int32_t pipe[2];
	int disk; /* another file, open with O_DIRECT */
	char text[CELL];
};

/* "yes", or the name of the errno that says no. */
static const char *yes_or_errno(struct subject *s, int64_t result)
{
	const char *name;

	if (result != -1)
		return "yes";
	name = errno == EWOULDBLOCK ? "EWOULDBLOCK" : strerrorname_np(errno);
	snprintf(s->text, sizeof(s->text), "`%s`", name);
	return s->text;
}

static const char *mapped(struct subject *s, void *p, size_t len)
{
	if (p == MAP_FAILED)
		return yes_or_errno(s, -1);
	munmap(p, len);
	return "yes";
}

#define RW (PROT_READ | PROT_WRITE)

static const char *ask_shared(struct subject *s)
{
	return mapped(s, mmap(NULL, LEN, RW, MAP_SHARED, s->fd, 0), LEN);
}

static const char *ask_private(struct subject *s)
{
	unsigned char *p = mmap(NULL, LEN, RW, MAP_PRIVATE, s->fd, 0);
	const char *answer;

	if (p == MAP_FAILED)
		return yes_or_errno(s, -1);
	put(s->map, 1);
	put(p, 2);
	answer = touch(s->map) == 1 ? "a copy" : "no copy";
	munmap(p, LEN);
	return answer;
}

static const char *ask_private_part(struct subject *s)
{
	return mapped(s, mmap(NULL, PAGE, RW, MAP_PRIVATE, s->fd, PAGE), PAGE);
}

static const char *ask_past_the_end(struct subject *s)
{
	unsigned char *p = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, s->fd,
				s->size - PAGE);
	const char *answer;

	if (p == MAP_FAILED)
		return yes_or_errno(s, -1);
	answer = touch_signal(p, 0) == 0 && touch_signal(p + PAGE, 0) == SIGBUS
			 ? "yes; SIGBUS there"
			 : "yes";
	munmap(p, 2 * PAGE);
	return answer;
}

static const char *ask_overflow(struct subject *s)
{
	return mapped(s,
		      mmap(NULL, 2 * PAGE, RW, MAP_SHARED, s->fd,
			   INT64_MAX - 2 * PAGE + 1),
		      2 * PAGE);
}

static const char *ask_map_sync(struct subject *s)
{
	return mapped(
		s, mmap(NULL, PAGE, RW, MAP_SHARED_VALIDATE | MAP_SYNC, s->fd, 0),
		PAGE);
}

static const char *ask_write_of_read_only(struct subject *s)
{
	int fd = reopen(s->fd, O_RDONLY);
	const char *answer = mapped(s, mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0),
				    PAGE);

	close(fd);
	return answer;
}

static const char *faults(struct subject *s, int64_t number)
{
	if (!number)
		return "no fault";
	snprintf(s->text, sizeof(s->text), "%" PRId64 " fault%s", number,
		 number == 1 ? "" : "s");
	return s->text;
}

static const char *count_faults(struct subject *s, int write)
{
	unsigned char *reserve, *p;
	int64_t before;

	/* In the page cache, and clean */
	memset(s->map, 1, LEN);
	if (s->kind != ON_WINDOW)
		fsync(s->fd);
	/* 16 pages that the kernel may map at once are aligned to 16 pages */
	reserve = mmap(NULL, 2 * LEN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	p = reserve + (-(uintptr_t)reserve & (LEN - 1));
	p = mmap(p, LEN, RW, MAP_SHARED | MAP_FIXED, s->fd, 0);
	if (p == MAP_FAILED)
		return yes_or_errno(s, -1);
	if (write)
		for (size_t i = 0; i < 16; i++)
			touch(p + i * PAGE);
	before = minor_faults();
	for (size_t i = 0; i < 16; i++) {
		if (write)
			put(p + i * PAGE, 1);
		else
			touch(p + i * PAGE);
	}
	before = minor_faults() - before;
	munmap(reserve, 2 * LEN);
	return faults(s, before);
}

static const char *ask_touching(struct subject *s)
{
	return count_faults(s, 0);
}

static const char *ask_writing(struct subject *s)
{
	return count_faults(s, 1);
}

static const char *ask_msync(struct subject *s)
{
	return yes_or_errno(s, msync(s->map, LEN, MS_SYNC));
}

static const char *ask_fsync(struct subject *s)
{
	return yes_or_errno(s, fsync(s->fd));
}

static const char *ask_sync_file_range(struct subject *s)
{
	return yes_or_errno(s, sync_file_range(s->fd, 0, LEN,
					       SYNC_FILE_RANGE_WRITE));
}

static const char *remap(struct subject *s, size_t to, int flags)
{
	unsigned char *p = mmap(NULL, LEN, RW, MAP_SHARED, s->fd, 0), *q;
	const char *answer;

	if (p == MAP_FAILED)
		return yes_or_errno(s, -1);
	q = mremap(p, LEN, to, flags,
		   flags & MREMAP_FIXED ? p + 4096 * PAGE : NULL);
	answer = yes_or_errno(s, q == MAP_FAILED ? -1 : 0);
	if (q == MAP_FAILED)
		munmap(p, LEN);
	else
		munmap(q, to);
	return answer;
}

static const char *ask_mremap_growing(struct subject *s)
{
	return remap(s, 2 * LEN, MREMAP_MAYMOVE);
}

static const char *ask_mremap_shrinking(struct subject *s)
{
	return remap(s, LEN / 2, 0);
}

static const char *ask_mremap_moving(struct subject *s)
{
	return remap(s, LEN, MREMAP_MAYMOVE | MREMAP_FIXED);
}

static const char *ask_remap_file_pages(struct subject *s)
{
	unsigned char *p = mmap(NULL, LEN, RW, MAP_SHARED, s->fd, 0);
	const char *answer;

	if (p == MAP_FAILED)
		return yes_or_errno(s, -1);
	answer = yes_or_errno(s, syscall(SYS_remap_file_pages, p, PAGE, 0, 3, 0));
	munmap(p, LEN);
	return answer;
}

static const char *ask_mlock(struct subject *s)
{
	const char *answer = yes_or_errno(s, mlock(s->map, LEN));

	munlock(s->map, LEN);
	return answer;
}

static const char *ask_mincore(struct subject *s)
{
	unsigned char vec[16];

	return yes_or_errno(s, mincore(s->map, LEN, vec));
}

static const char *ask_o_direct(struct subject *s)
{
	return yes_or_errno(s, pwrite(s->disk, s->map, LEN, 0));
}

static const char *ask_vmsplice(struct subject *s)
{
	struct iovec iov = { s->map, PAGE };
	char page[PAGE];
	int64_t n = vmsplice(s->pipe[1], &iov, 1, 0);

	if (n > 0 && read(s->pipe[0], page, n) != n)
		return "lost";
	return yes_or_errno(s, n);
}

static const char *ask_system_call(struct subject *s)
{
	int64_t n = write(s->pipe[1], s->map, 10);
	char data[10];

	if (n > 0 && read(s->pipe[0], data, n) != n)
		return "lost";
	return yes_or_errno(s, n);
}

static const char *ask_process_vm(struct subject *s)
{
	char data[10];
	struct iovec to = { data, 10 }, from = { s->map, 10 };

	return yes_or_errno(s, process_vm_readv(getpid(), &to, 1, &from, 1, 0));
}

static const char *ask_proc_mem(struct subject *s)
{
	int fd = open("/proc/self/mem", O_RDONLY);
	char data[10];
	const char *answer =
		yes_or_errno(s, pread(fd, data, 10, (off_t)(uintptr_t)s->map));

	close(fd);
	return answer;
}

static const char *ask_read(struct subject *s)
{
	char data[10];

	return yes_or_errno(s, pread(s->fd, data, 10, 0));
}

static const char *ask_write(struct subject *s)
{
	return yes_or_errno(s, pwrite(s->fd, "x", 1, 0));
}

static const char *ask_splice(struct subject *s)
{
	off_t at = 0;
	char page[PAGE];
	int64_t n = splice(s->fd, &at, s->pipe[1], NULL, 10, 0);

	if (n > 0 && read(s->pipe[0], page, n) != n)
		return "lost";
	return yes_or_errno(s, n);
}

static const char *ask_sendfile(struct subject *s)
{
	int to = syscall(SYS_memfd_create, "copy", 0);
	off_t at = 0;
	const char *answer = yes_or_errno(s, sendfile(to, s->fd, &at, 10));

	close(to);
	return answer;
}

static const char *ask_copy_file_range(struct subject *s)
{
	off_t in = 0, out = PAGE;

	return yes_or_errno(s, copy_file_range(s->fd, &in, s->fd, &out, 10, 0));
}

static const char *ask_lseek(struct subject *s)
{
	return yes_or_errno(s, lseek(s->fd, 10, SEEK_SET));
}

static const char *ask_lseek_past(struct subject *s)
{
	return yes_or_errno(s, lseek(s->fd, s->size + 1, SEEK_SET));
}

static const char *ask_fadvise(struct subject *s)
{
	errno = posix_fadvise(s->fd, 0, LEN, POSIX_FADV_WILLNEED);
	return yes_or_errno(s, errno ? -1 : 0);
}

static const char *ask_readahead(struct subject *s)
{
	return yes_or_errno(s, readahead(s->fd, 0, LEN));
}

static const char *ask_read_at_the_end(struct subject *s)
{
	char data[10];
	int64_t n = pread(s->fd, data, 10, s->size);

	return n ? yes_or_errno(s, n) : "0";
}

static const char *ask_write_at_the_end(struct subject *s)
{
	int64_t n = pwrite(s->fd, "x", 1, s->size);
	struct vmademo_resize r = { .size = s->size };

	if (n != 1)
		return yes_or_errno(s, n);
	ioctl(s->fd, VMADEMO_IOC_RESIZE, &r);
	return "grows";
}

static const char *ask_o_direct_open(struct subject *s)
{
	int fd = reopen(s->fd, O_RDONLY | O_DIRECT);
	const char *answer = yes_or_errno(s, fd);

	if (fd >= 0)
		close(fd);
	return answer;
}

static const char *ask_ftruncate(struct subject *s)
{
	return yes_or_errno(s, ftruncate(s->fd, s->size));
}

static const char *ask_fallocate(struct subject *s)
{
	return yes_or_errno(s, fallocate(s->fd, 0, 0, LEN));
}

static const char *ask_punch(struct subject *s)
{
	return yes_or_errno(
		s, fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			     0, LEN));
}

static const char *ask_ioctl(struct subject *s)
{
	struct vmademo_resize r = { .size = s->size };

	return yes_or_errno(s, ioctl(s->fd, VMADEMO_IOC_RESIZE, &r));
}

static const char *ask_fstat(struct subject *s)
{
	struct stat st;

	if (fstat(s->fd, &st))
		return yes_or_errno(s, -1);
	return st.st_size == s->size ? "its size" : "size 0: a character device";
}

static const char *ask_reopen(struct subject *s)
{
	int fd = reopen(s->fd, O_RDWR);
	const char *answer = yes_or_errno(s, fd);

	if (fd >= 0)
		close(fd);
	return answer;
}

static const char *ask_unload(struct subject *s)
{
	return yes_or_errno(s, unload_module());
}

static const char *advise(struct subject *s, int advice)
{
	unsigned char *p = mmap(NULL, LEN, RW, MAP_SHARED, s->fd, 0);
	const char *answer;

	if (p == MAP_FAILED)
		return yes_or_errno(s, -1);
	answer = yes_or_errno(s, madvise(p, LEN, advice));
	munmap(p, LEN);
	return answer;
}

#define ADVICE(advice)                                     \
	static const char *ask_##advice(struct subject *s) \
	{                                                  \
		return advise(s, advice);                  \
	}

ADVICE(MADV_NORMAL)
ADVICE(MADV_RANDOM)
ADVICE(MADV_SEQUENTIAL)
ADVICE(MADV_WILLNEED)
ADVICE(MADV_DONTNEED)
ADVICE(MADV_COLD)
ADVICE(MADV_PAGEOUT)
ADVICE(MADV_FREE)
ADVICE(MADV_REMOVE)
ADVICE(MADV_POPULATE_READ)
ADVICE(MADV_POPULATE_WRITE)
ADVICE(MADV_HUGEPAGE)
ADVICE(MADV_DONTFORK)
ADVICE(MADV_WIPEONFORK)
ADVICE(MADV_DONTDUMP)
ADVICE(MADV_MERGEABLE)
ADVICE(MADV_GUARD_INSTALL)

static const struct {
	const char *what;
	const char *(*ask)(struct subject *s);
} rows[] = {
	{ "`MAP_SHARED`", ask_shared },
	{ "`MAP_PRIVATE`, all of it, and write", ask_private },
	{ "`MAP_PRIVATE`, a part of it", ask_private_part },
	{ "map past the end", ask_past_the_end },
	{ "offset + length over 2⁶³", ask_overflow },
	{ "`MAP_SYNC` with `MAP_SHARED_VALIDATE`", ask_map_sync },
	{ "opened read-only, `PROT_WRITE` shared", ask_write_of_read_only },
	{ "touch 16 pages that are cached", ask_touching },
	{ "then write to them", ask_writing },
	{ "`msync(MS_SYNC)`", ask_msync },
	{ "`fsync`, `fdatasync`", ask_fsync },
	{ "`sync_file_range`", ask_sync_file_range },
	{ "`mremap` to grow", ask_mremap_growing },
	{ "`mremap` to shrink", ask_mremap_shrinking },
	{ "`mremap` to move", ask_mremap_moving },
	{ "`remap_file_pages`", ask_remap_file_pages },
	{ "`mlock`", ask_mlock },
	{ "`mincore`", ask_mincore },
	{ "pass it to a system call", ask_system_call },
	{ "O_DIRECT of another file from it", ask_o_direct },
	{ "`vmsplice`", ask_vmsplice },
	{ "`process_vm_readv`", ask_process_vm },
	{ "`/proc/PID/mem`, `ptrace`", ask_proc_mem },
	{ "`read`", ask_read },
	{ "`write`", ask_write },
	{ "`splice`", ask_splice },
	{ "`sendfile`", ask_sendfile },
	{ "`copy_file_range`", ask_copy_file_range },
	{ "`lseek`", ask_lseek },
	{ "`lseek` past the end", ask_lseek_past },
	{ "`posix_fadvise`", ask_fadvise },
	{ "`readahead`", ask_readahead },
	{ "`read` at the end", ask_read_at_the_end },
	{ "`write` at the end", ask_write_at_the_end },
	{ "open with `O_DIRECT`", ask_o_direct_open },
	{ "`ftruncate`", ask_ftruncate },
	{ "`fallocate`", ask_fallocate },
	{ "`fallocate` to punch a hole", ask_punch },
	{ "`VMADEMO_IOC_RESIZE`", ask_ioctl },
	{ "`fstat`", ask_fstat },
	{ "open `/proc/PID/fd/N`", ask_reopen },
	{ "`rmmod` while it is open or mapped", ask_unload },
	{ "`MADV_NORMAL`", ask_MADV_NORMAL },
	{ "`MADV_RANDOM`", ask_MADV_RANDOM },
	{ "`MADV_SEQUENTIAL`", ask_MADV_SEQUENTIAL },
	{ "`MADV_WILLNEED`", ask_MADV_WILLNEED },
	{ "`MADV_DONTNEED`", ask_MADV_DONTNEED },
	{ "`MADV_COLD`", ask_MADV_COLD },
	{ "`MADV_PAGEOUT`", ask_MADV_PAGEOUT },
	{ "`MADV_FREE`", ask_MADV_FREE },
	{ "`MADV_REMOVE`", ask_MADV_REMOVE },
	{ "`MADV_POPULATE_READ`", ask_MADV_POPULATE_READ },
	{ "`MADV_POPULATE_WRITE`", ask_MADV_POPULATE_WRITE },
	{ "`MADV_HUGEPAGE`", ask_MADV_HUGEPAGE },
	{ "`MADV_DONTFORK`", ask_MADV_DONTFORK },
	{ "`MADV_WIPEONFORK`", ask_MADV_WIPEONFORK },
	{ "`MADV_DONTDUMP`", ask_MADV_DONTDUMP },
	{ "`MADV_MERGEABLE`", ask_MADV_MERGEABLE },
	{ "`MADV_GUARD_INSTALL`", ask_MADV_GUARD_INSTALL },
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* The cells of a table's row, without the spaces around them; how many. */
static size_t split(char *line, char **cell, size_t max)
{
	size_t n = 0;
	char *p = strtok(line, "|");

	for (; p && n < max; p = strtok(NULL, "|")) {
		size_t len;

		p += strspn(p, " ");
		len = strlen(p);
		while (len && isspace(p[len - 1]))
			p[--len] = '\0';
		if (len)
			cell[n++] = p;
	}
	return n;
}

/* Whether the README's cell allows this answer. */
static bool allows(const char *cell, const char *answer)
{
	static const char before[] = "; before: ";
	const char *older = strstr(cell, before);

	if (!older)
		return !strcmp(cell, answer);
	return !strcmp(older + strlen(before), answer) ||
	       (!strncmp(cell, answer, older - cell) &&
		strlen(answer) == (size_t)(older - cell));
}

TEST(the_table_in_the_readme)
{
	static char answer[ROWS][KINDS][CELL];
	bool seen[ROWS] = { false };
	const char *path = getenv("VMADEMO_README");
	struct subject s[KINDS] = { { 0 } };
	char line[1024], *cell[8];
	bool inside = false;
	FILE *readme;

	if (IS_32_BIT)
		SKIP(return, "a 32-bit program cannot name all offsets");
	s[ON_NODE].fd = open(NODE, O_RDWR);
	s[ON_FILE].fd = create_buffer(MIB);
	s[ON_WINDOW].fd = open(WINDOW, O_RDWR);
	s[ON_NODE].size = node_value("size");
	s[ON_FILE].size = MIB;
	s[ON_WINDOW].size = read_number("/sys/class/misc/vmademo-phys0/size");
	for (int k = 0; k < KINDS; k++) {
		s[k].kind = k;
		ASSERT_GE(s[k].fd, 0);
		s[k].map = mmap(NULL, LEN, RW, MAP_SHARED, s[k].fd, 0);
		ASSERT_NE(MAP_FAILED, s[k].map);
		ASSERT_EQ(0, pipe(s[k].pipe));
		s[k].disk = open("/dev/ram0", O_RDWR | O_DIRECT);
		if (s[k].disk < 0)
			SKIP(return, "needs /dev/ram0 (modprobe brd)");
	}

	printf("# | you do | the node | a regular file | the window |\n");
	for (size_t r = 0; r < ROWS; r++) {
		printf("# | %s |", rows[r].what);
		for (int k = 0; k < KINDS; k++) {
			snprintf(answer[r][k], CELL, "%s", rows[r].ask(&s[k]));
			printf(" %s |", answer[r][k]);
		}
		puts("");
	}
	fflush(stdout);

	readme = fopen(path ? path : "../README.md", "r");
	if (!readme)
		SKIP(return, "VMADEMO_README does not name the README");
	while (fgets(line, sizeof(line), readme)) {
		size_t r = 0;

		if (!strncmp(line, "| you do |", 10))
			inside = true;
		else if (line[0] != '|')
			inside = false;
		if (!inside || split(line, cell, 8) != 1 + KINDS)
			continue;
		while (r < ROWS && strcmp(cell[0], rows[r].what))
			r++;
		if (r == ROWS) {
			/* The table's head, and the line below it */
			EXPECT_TRUE(!strcmp(cell[0], "you do") ||
				    !strcmp(cell[0], "---"))
			TH_LOG("nobody asks for the row %s", cell[0]);
			continue;
		}
		seen[r] = true;
		for (int k = 0; k < KINDS; k++) {
			EXPECT_TRUE(allows(cell[1 + k], answer[r][k]))
			TH_LOG("%s: the README says %s, it is %s", cell[0],
			       cell[1 + k], answer[r][k]);
		}
	}
	fclose(readme);
	for (size_t r = 0; r < ROWS; r++) {
		EXPECT_TRUE(seen[r])
		TH_LOG("the README has no row %s", rows[r].what);
	}
}

TEST_HARNESS_MAIN
