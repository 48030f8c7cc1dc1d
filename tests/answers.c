// SPDX-License-Identifier: GPL-2.0-only
/*
 * What each kind of mapping answers: asks the node, a regular file and the window
 * the same questions, prints the answers as a table, and compares it with the
 * table in docs/answers.md.  VMADEMO_ANSWERS is the path of that page.
 *
 * A cell "A; before: B" holds if the answer is A or B: older kernels give B.
 */
#include <ctype.h>

#include "kselftest_harness.h"
#include "../lib/questions.h"
#include "vmademo_test.h"

#ifndef MADV_COLD
#define MADV_COLD    20
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

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
	{ "touch 64 KiB that are cached", ask_touching },
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
	{ "a fixed buffer of io_uring", ask_fixed_buffer },
	{ "`userfaultfd`", ask_userfaultfd },
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

/* Whether the page's cell allows this answer. */
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

TEST(the_table_in_the_docs)
{
	static char answer[ROWS][KINDS][CELL];
	bool seen[ROWS] = { false };
	const char *path = getenv("VMADEMO_ANSWERS");
	struct subject s[KINDS] = { { 0 } };
	char line[1024], *cell[8];
	bool inside = false;
	FILE *page;

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

	page = fopen(path ? path : "../docs/answers.md", "r");
	if (!page)
		SKIP(return, "VMADEMO_ANSWERS does not name docs/answers.md");
	while (fgets(line, sizeof(line), page)) {
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
			TH_LOG("%s: the page says %s, it is %s", cell[0],
			       cell[1 + k], answer[r][k]);
		}
	}
	fclose(page);
	for (size_t r = 0; r < ROWS; r++) {
		EXPECT_TRUE(seen[r])
		TH_LOG("the page has no row %s", rows[r].what);
	}
}

TEST_HARNESS_MAIN
