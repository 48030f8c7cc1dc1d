// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules in words, by debugfs; and words that are none: EINVAL, a line in the log that says
 * which, and nothing has changed.
 */
#include <sys/klog.h>

#include "kselftest_harness.h"
#include "rules.h"

#define PAGES 16UL
/* Of the largest buffer */
#define MAX_PAGES ((unsigned long long)(MAX_SIZE / PAGE))

FIXTURE(text)
{
	const char *skip;
	int fd;
};

FIXTURE_SETUP(text)
{
	struct vmademo_discard all = { 0 };

	if (access(DEBUGFS, F_OK)) {
		self->skip = "there is no debugfs";
		return;
	}
	self->fd = open(NODE, O_RDWR | O_CLOEXEC);
	ASSERT_GE(self->fd, 0);
	/* Nothing is cached: so no large folio is in the way of a rule */
	all.length = lseek(self->fd, 0, SEEK_END);
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_DISCARD, &all));
}

FIXTURE_TEARDOWN(text)
{
	if (self->skip)
		return;
	EXPECT_EQ(0, del_rule(self->fd, 0));
	close(self->fd);
}

/* One line, and a program that knows nothing of it has no room on page 3. */
TEST_F(text, one_line)
{
	RUN_IF_READY();

	unsigned char *map = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
				  MAP_SHARED, self->fd, 0);
	const char *text;

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, chdir(DEBUGFS "vmademo"));
	ASSERT_EQ(0,
		  system("echo add,op=mkwrite,start=3,nr=1,status=ENOSPC >rules"));
	EXPECT_EQ(SIGBUS, touch_signal(map + 3 * PAGE, 1));
	EXPECT_FAILS(ENOSPC, pwrite(self->fd, "x", 1, 3 * PAGE));
	EXPECT_EQ(0, touch_signal(map + 4 * PAGE, 1));
	text = rules_text(-1);
	ASSERT_NE(NULL, text);
	EXPECT_EQ(text, strstr(text, "id="));
	EXPECT_NE(NULL,
		  strstr(text, "op=mkwrite,start=3,nr=1,status=ENOSPC,hits=2\n"));
	munmap(map, PAGES * PAGE);
}

/* What is read can be said again, but for the id and the hits. */
TEST_F(text, same_words)
{
	RUN_IF_READY();

	char last_page[64], all_pages[64], line[256];
	const char *const lines[] = {
		"op=read_fault,start=10,nr=11,skip=3,times=1,status=HWPOISON",
		"op=cow_fault,one_in=7,seed=18446744073709551615,status=SIGBUS",
		"op=mkwrite,start=1,delay_us=60000000,status=EIO",
		"op=flush,skip=18446744073709551615,status=EIO",
		last_page,
		all_pages,
		"op=truncate,start=5,nr=1,status=EROFS",
	};
	const char *text;
	int n = sizeof(lines) / sizeof(lines[0]);

	snprintf(last_page, sizeof(last_page),
		 "op=allocate,start=%llu,nr=1,status=EOPNOTSUPP", MAX_PAGES - 1);
	snprintf(all_pages, sizeof(all_pages), "op=write,nr=%llu,delay_us=1",
		 MAX_PAGES);
	for (int i = 0; i < n; i++) {
		snprintf(line, sizeof(line), "add,%s\n", lines[i]);
		ASSERT_EQ(0, say(-1, line))
		TH_LOG("%s: %s", lines[i], strerror(errno));
	}
	text = rules_text(-1);
	for (int i = 0; i < n; i++) {
		struct vmademo_rule r = { .id = i ? atoll(text + 3) - 1 : 0 };

		EXPECT_EQ(0, ioctl(self->fd, VMADEMO_IOC_RULE_LIST, &r));
		snprintf(line, sizeof(line), "id=%llu,%s,hits=0\n",
			 (unsigned long long)r.id, lines[i]);
		EXPECT_EQ(0, strncmp(text, line, strlen(line)))
		TH_LOG("%s\n%s", text, line);
		text = strchr(text, '\n') + 1;
	}
	EXPECT_STREQ("", text);
	/* As many as the request tells of */
	EXPECT_EQ(n, count_rules(self->fd));
}

TEST_F(text, del_and_removeall)
{
	RUN_IF_READY();

	char line[64];
	int64_t id;

	ASSERT_EQ(0, say(-1, "add,op=mmap,status=ENODEV"));
	id = ADD_RULE(self->fd, .op = VMADEMO_OP_MMAP, .status = EPERM);
	ASSERT_LT(0, id);
	snprintf(line, sizeof(line), "del,id=%lld\n", (long long)id);
	EXPECT_EQ(0, say(-1, line));
	EXPECT_FAILS(ENOENT, say(-1, line));
	EXPECT_NE(NULL, strstr(rules_text(-1), "status=ENODEV"));
	EXPECT_EQ(NULL, strstr(rules_text(-1), "status=EPERM"));
	EXPECT_EQ(0, say(-1, "removeall"));
	EXPECT_STREQ("", rules_text(-1));
	EXPECT_EQ(0, say(-1, "removeall"));
}

/* Any other buffer has the file from its first rule on, and to its end. */
TEST_F(text, of_a_private_buffer)
{
	RUN_IF_READY();

	int fd = create_with(VMADEMO_STORE_RAM, PAGES * PAGE, 0), file;
	char path[128], byte;

	ASSERT_GE(fd, 0);
	snprintf(path, sizeof(path), "%s", rules_file(fd));
	EXPECT_NE(0, access(path, F_OK));
	ASSERT_LT(0, ADD_RULE(fd, .op = VMADEMO_OP_READ, .status = EIO));
	EXPECT_EQ(0, say(fd, "removeall"));
	EXPECT_EQ(0, say(fd, "add,op=write_out,torn=0,granularity=1,seed=0x10"));
	EXPECT_STREQ("id=2,op=write_out,seed=16,torn=0,granularity=1,hits=0\n",
		     rules_text(fd));
	/* It is of this buffer only */
	EXPECT_STREQ("", rules_text(-1));
	file = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_GE(file, 0);
	close(fd);
	EXPECT_NE(0, access(path, F_OK));
	EXPECT_FAILS(EIO, read(file, &byte, 1));
	close(file);
}

/* Whether the kernel's log has this word, since it was cleared. */
static bool is_logged(const char *word)
{
	static char log[1 << 20];
	int n = klogctl(3, log, sizeof(log) - 1);

	log[n < 0 ? 0 : n] = '\0';
	return strstr(log, word);
}

/* A number that is asked for is MAX_PAGES. */
static const struct {
	const char *line, *logged;
} wrong[] = {
	{ "adds,op=read,status=EIO", "\"adds\"" },
	{ "remove", "\"remove\"" },
	{ "add", "op: out of range" },
	{ "add,", "\"\"" },
	{ ",add", "\"add\"" },
	{ "add,op=read,status=EIO,", "\"\"" },
	{ "add,status=EIO", "op: out of range" },
	{ "add,op=reads,status=EIO", "\"op=reads\"" },
	{ "add,op=read", "status: out of range" },
	{ "add,op=read,status=5", "\"status=5\"" },
	{ "add,op=read,status=EXDEV", "\"status=EXDEV\"" },
	{ "add,op=read,status=ENOSPC", "status: out of range" },
	{ "add,op=read_fault,status=EIO", "status: out of range" },
	{ "add,op=read,status=EIO,op=read", "\"op=read\"" },
	{ "add,op=read,status=EIO,status=EIO", "\"status=EIO\"" },
	{ "add,op=read,status=EIO,skip=1,skip=2", "\"skip=2\"" },
	{ "add,op=read,status=EIO,skip", "\"skip\"" },
	{ "add,op=read,status=EIO,skip=", "\"skip=\"" },
	{ "add,op=read,status=EIO,skip=-1", "\"skip=-1\"" },
	{ "add,op=read,status=EIO,skip=1x", "\"skip=1x\"" },
	{ "add,op=read,status=EIO,skip= 1", "\"skip= 1\"" },
	{ "add,op=read,status=EIO,skip=18446744073709551616",
	  "\"skip=18446744073709551616\"" },
	{ "add,op=read,status=EIO,frequency=2", "\"frequency=2\"" },
	{ "add,op=read,status=EIO,hits=2", "\"hits=2\"" },
	{ "add,op=read,status=EIO,id=2", "id: out of range" },
	{ "add,op=read,status=EIO,pid=-1", "\"pid=-1\"" },
	{ "add,op=read,status=EIO,pid=4294967297", "\"pid=4294967297\"" },
	{ "add,op=flush,status=EIO,pid=1", "pid: out of range" },
	{ "add,op=write_out,status=EIO,pid=1", "pid: out of range" },
	{ "add,op=rename,status=EIO", "op: out of range" },
	{ "add,op=truncate,status=EINTR", "status: out of range" },
	{ "add,op=flush,status=EIO,nr=1", "nr: out of range" },
	{ "add,op=flush,status=EIO,start=1", "start: out of range" },
	{ "add,op=read,status=EIO,start=%llu", "start: out of range" },
	{ "add,op=read,status=EIO,start=1,nr=%llu", "nr: out of range" },
	{ "add,op=read,status=EIO,start=2,nr=18446744073709551615",
	  "nr: out of range" },
	{ "add,op=read,delay_us=60000001", "delay_us: out of range" },
	{ "add,op=read,delay_us=0", "status: out of range" },
	{ "add,op=read,torn=1", "torn: out of range" },
	{ "add,op=write_out,status=EIO,granularity=1",
	  "granularity: out of range" },
	{ "del", "\"del\"" },
	{ "del,id=0", "\"del\"" },
	{ "del,op=read", "\"del\"" },
	{ "del,id=1,op=read", "\"del\"" },
	{ "removeall,id=1", "\"removeall\"" },
	{ "add,op=read,status=EIO\nremoveall", "\"status=EIO\\nremoveall\"" },
};

/* One word is wrong, and the log says which. */
TEST_F(text, wrong)
{
	RUN_IF_READY();

	char *before, line[128];

	ASSERT_EQ(0, say(-1, "add,op=mmap,status=ENODEV,start=9"));
	before = strdup(rules_text(-1));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		klogctl(5, NULL, 0);
		snprintf(line, sizeof(line), wrong[i].line, MAX_PAGES);
		EXPECT_FAILS(EINVAL, say(-1, line));
		EXPECT_TRUE(is_logged(wrong[i].logged))
		TH_LOG("%s: no %s", line, wrong[i].logged);
		EXPECT_STREQ(before, rules_text(-1))
		TH_LOG("%s", line);
	}
	/* There is no store; and no such process */
	if (node_value("read_in_bytes") == 0) {
		EXPECT_FAILS(EOPNOTSUPP, say(-1, "add,op=read_in,status=EIO"));
		EXPECT_FAILS(EOPNOTSUPP, say(-1, "add,op=write_out,torn=1"));
	}
	EXPECT_FAILS(ESRCH, say(-1, "add,op=read,status=EIO,pid=2147483647"));
	EXPECT_STREQ(before, rules_text(-1));
}

/* What is no text at all. */
TEST_F(text, absurd)
{
	RUN_IF_READY();

	int file = open(rules_file(-1), O_RDWR | O_CLOEXEC);
	char longest[513];

	ASSERT_GE(file, 0);
	memset(longest, ' ', sizeof(longest));
	memcpy(longest, "removeall", 9);
	EXPECT_EQ(0, write(file, "", 0));
	EXPECT_FAILS(EINVAL, write(file, "removeall\0", 10));
	EXPECT_FAILS(EINVAL, write(file, "\n", 1));
	EXPECT_EQ(512, write(file, longest, 512));
	EXPECT_FAILS(EINVAL, write(file, longest, 513));
	EXPECT_FAILS(EFAULT, syscall(SYS_write, file, 8L, 10L));
	close(file);
}

TEST_HARNESS_MAIN
