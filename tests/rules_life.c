// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules: who may make them, how long they live, and that they do not outlive their buffer.
 */
#include "kselftest_harness.h"
#include "rules.h"

#define PAGES 64UL

FIXTURE(life)
{
	int fd;
	unsigned char *map;
};

FIXTURE_SETUP(life)
{
	self->fd = create_buffer(PAGES * PAGE);
	ASSERT_GE(self->fd, 0);
	self->map = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
}

FIXTURE_TEARDOWN(life)
{
	munmap(self->map, PAGES * PAGE);
	close(self->fd);
}

/* It takes the right to write; where nobody has it, the owner or root may. */
TEST_F(life, rights)
{
	int reader = reopen(self->fd, O_RDONLY), status;
	int64_t id;
	char byte;
	pid_t pid;

	ASSERT_GE(reader, 0);
	EXPECT_FAILS(EBADF,
		     ADD_RULE(reader, .op = VMADEMO_OP_READ, .status = EIO));
	ASSERT_LT(0, ADD_RULE(self->fd, .op = VMADEMO_OP_READ, .status = EIO));
	EXPECT_FAILS(EBADF, del_rule(reader, 1));
	EXPECT_FAILS(EBADF, del_rule(reader, 0));
	EXPECT_EQ(1, count_rules(reader));
	EXPECT_FAILS(EIO, pread(reader, &byte, 1, 0));
	close(reader);

	/* A buffer that nobody can write to */
	reader = open("/tmp/vmademo-rules", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_EQ(0, ftruncate(reader, PAGE));
	close(reader);
	status = open("/tmp/vmademo-rules", O_RDONLY | O_CLOEXEC);
	reader = create_with(VMADEMO_STORE_FILE, 0, status);
	close(status);
	ASSERT_GE(reader, 0);
	EXPECT_EQ(1, ADD_RULE(reader, .op = VMADEMO_OP_READ_IN, .status = EIO));
	pid = fork();
	if (!pid) {
		if (setuid(1))
			_exit(1);
		id = ADD_RULE(reader, .op = VMADEMO_OP_READ, .status = EIO);
		if (id > 0 || errno != EBADF || !del_rule(reader, 1) ||
		    errno != EBADF)
			_exit(2);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	EXPECT_EQ(0, status);
	EXPECT_FAILS(EIO, pread(reader, &byte, 1, 0));
	close(reader);
	unlink("/tmp/vmademo-rules");
}

/* By whatever file, it is the buffer that has them, until it ends. */
TEST_F(life, by_any_file)
{
	int node = open(NODE, O_RDWR | O_CLOEXEC), view = open_file_view(node);
	char byte;

	ASSERT_GE(node, 0);
	ASSERT_GE(view, 0);
	ASSERT_LT(0, ADD_RULE(view, .op = VMADEMO_OP_READ, .status = EIO));
	close(view);
	EXPECT_FAILS(EIO, pread(node, &byte, 1, 0));
	/* Not that of another buffer */
	EXPECT_EQ(1, pread(self->fd, &byte, 1, 0));
	close(node);
	node = open(NODE, O_RDWR | O_CLOEXEC);
	EXPECT_FAILS(EIO, pread(node, &byte, 1, 0));
	ASSERT_EQ(0, del_rule(node, 0));
	EXPECT_EQ(1, pread(node, &byte, 1, 0));
	close(node);
}

/* Rules hold no module; with some that are left, it is unloaded. */
TEST_F(life, unload)
{
	int node = open(NODE, O_RDWR | O_CLOEXEC);

	if (!getenv("VMADEMO_KO"))
		SKIP(return, "VMADEMO_KO does not name the module to load");
	ASSERT_GE(node, 0);
	ASSERT_LT(0, ADD_RULE(node, .op = VMADEMO_OP_READ, .status = EIO));
	ASSERT_LT(0, ADD_RULE(self->fd, .op = VMADEMO_OP_READ, .status = EIO));
	EXPECT_NE(0, unload_module());
	close(node);
	munmap(self->map, PAGES * PAGE);
	close(self->fd);
	ASSERT_EQ(0, unload_module());
	EXPECT_NE(0, access(DEBUGFS, F_OK));
	ASSERT_EQ(0, load_module(""));
	self->fd = open(NODE, O_RDWR | O_CLOEXEC);
	EXPECT_EQ(0, count_rules(self->fd));
}

/* What is written when the buffer ends meets none of them. */
TEST_F(life, the_last_write)
{
	int lower = open("/tmp/vmademo-rules", O_RDWR | O_CREAT | O_CLOEXEC,
			 0600);
	char byte = 0;
	int fd;

	ASSERT_EQ(0, ftruncate(lower, PAGE));
	fd = create_with(VMADEMO_STORE_FILE, 0, lower);
	ASSERT_GE(fd, 0);
	ASSERT_LT(0, ADD_RULE(fd, .op = VMADEMO_OP_WRITE_OUT, .status = EIO));
	ASSERT_LT(0, ADD_RULE(fd, .op = VMADEMO_OP_WRITE_OUT,
			      .delay_us = VMADEMO_DELAY_MAX));
	ASSERT_EQ(1, pwrite(fd, "x", 1, 0));
	close(fd);
	EXPECT_EQ(1, pread(lower, &byte, 1, 0));
	EXPECT_EQ('x', byte);
	close(lower);
	unlink("/tmp/vmademo-rules");
}

TEST_HARNESS_MAIN
