// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who sees whose writes: processes, fork, shared and private mappings.
 */
#include "kselftest_harness.h"
#include "vmademo_test.h"

FIXTURE(sharing)
{
	int fd;
};

FIXTURE_SETUP(sharing)
{
	self->fd = open(NODE, O_RDWR);
	ASSERT_GE(self->fd, 0) TH_LOG("%s: %s", NODE, strerror(errno));
}

FIXTURE_TEARDOWN(sharing)
{
	close(self->fd);
}

static unsigned char *map(struct __test_metadata *_metadata, int fd, int flags,
			  off_t offset)
{
	unsigned char *p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, flags,
				fd, offset);

	ASSERT_NE(MAP_FAILED, p);
	return p;
}

/* Runs the statement in a child of its own that opens the device anew. */
#define OTHER_PROCESS(statement)                                              \
	do {                                                                  \
		pid_t pid = fork();                                           \
		int status;                                                   \
                                                                              \
		ASSERT_LE(0, pid);                                            \
		if (pid == 0) {                                               \
			unsigned char *theirs;                                \
                                                                              \
			close(self->fd);                                      \
			self->fd = open(NODE, O_RDWR);                        \
			theirs = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, \
				      MAP_SHARED, self->fd, place);           \
			if (theirs == MAP_FAILED)                             \
				_exit(99);                                    \
			statement;                                            \
			_exit(0);                                             \
		}                                                             \
		ASSERT_EQ(pid, waitpid(pid, &status, 0));                     \
		ASSERT_TRUE(WIFEXITED(status));                               \
		EXPECT_EQ(0, WEXITSTATUS(status));                            \
	} while (0)

TEST_F(sharing, two_processes)
{
	const off_t place = PLACE(0);
	unsigned char *p = map(_metadata, self->fd, MAP_SHARED, place);

	put(p, 11);
	OTHER_PROCESS({
		if (touch(theirs) != 11)
			_exit(1);
		put(theirs + PAGE, 22);
	});
	EXPECT_EQ(22, touch(p + PAGE));
}

/* A shared write stays when the process that made it is gone. */
TEST_F(sharing, survives_exit)
{
	const off_t place = PLACE(1);
	unsigned char byte = 0;

	OTHER_PROCESS(put(theirs + 3 * PAGE, 33));
	EXPECT_EQ(1, pread(self->fd, &byte, 1, place + 3 * PAGE));
	EXPECT_EQ(33, byte);
}

TEST_F(sharing, fork_keeps_the_mapping)
{
	unsigned char *p = map(_metadata, self->fd, MAP_SHARED, PLACE(2));
	int64_t mappings = node_value("mappings");
	int status;
	pid_t pid;

	put(p, 1);
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		if (node_value("mappings") != mappings + 1)
			_exit(1);
		if (touch(p) != 1)
			_exit(2);
		put(p, 2);
		put(p + PAGE, 3);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(2, touch(p));
	EXPECT_EQ(3, touch(p + PAGE));
	EXPECT_EQ(mappings, node_value("mappings"));
}

/* A private write is seen by nobody, and dirties nothing. */
TEST_F(sharing, private_write_is_private)
{
	const off_t place = PLACE(3);
	unsigned char *shared = map(_metadata, self->fd, MAP_SHARED, place);
	unsigned char *private = map(_metadata, self->fd, MAP_PRIVATE, place);
	struct account before, d;
	unsigned char byte;

	put(shared, 1);
	put(shared + PAGE, 2);
	before = account_now();
	put(private, 100); /* not mapped yet: .fault */
	EXPECT_EQ(2, touch(private + PAGE));
	put(private + PAGE, 200); /* mapped to read: no .fault */
	d = account_since(&before);
	EXPECT_EQ(1, d.cow_faults);
	EXPECT_EQ(0, d.first_writes);
	EXPECT_EQ(0, d.dirtied_folios);

	EXPECT_EQ(100, touch(private));
	EXPECT_EQ(1, touch(shared));
	EXPECT_EQ(200, touch(private + PAGE));
	EXPECT_EQ(2, touch(shared + PAGE));
	EXPECT_EQ(1, pread(self->fd, &byte, 1, place));
	EXPECT_EQ(1, byte);
	OTHER_PROCESS(_exit(touch(theirs) != 1));

	/* msync has nothing to write of it */
	before = account_now();
	EXPECT_EQ(0, msync(private, 8 * PAGE, MS_SYNC));
	d = account_since(&before);
	EXPECT_EQ(0, d.written_folios);
}

/* Until it is written to, a private page shows what others write. */
TEST_F(sharing, private_page_follows_until_written)
{
	unsigned char *shared = map(_metadata, self->fd, MAP_SHARED, PLACE(4));
	unsigned char *private = map(_metadata, self->fd, MAP_PRIVATE, PLACE(4));

	put(shared, 1);
	EXPECT_EQ(1, touch(private));
	put(shared, 2);
	EXPECT_EQ(2, touch(private));
	put(private + 1, 99);
	put(shared, 3);
	EXPECT_EQ(2, touch(private));
	EXPECT_EQ(3, touch(shared));
}

/* After fork both sides have private copies of their own. */
TEST_F(sharing, private_copies_part_at_fork)
{
	unsigned char *private = map(_metadata, self->fd, MAP_PRIVATE, PLACE(5));
	int status;
	pid_t pid;

	put(private, 1);
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		if (touch(private) != 1)
			_exit(1);
		put(private, 2);
		_exit(touch(private) != 2);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(1, touch(private));
}

/* Two mappings in one process, at different offsets, are one memory. */
TEST_F(sharing, two_mappings_in_one_process)
{
	unsigned char *a = map(_metadata, self->fd, MAP_SHARED, PLACE(6));
	unsigned char *b = map(_metadata, self->fd, MAP_SHARED,
			       PLACE(6) + 3 * PAGE);

	for (int i = 0; i < 5; i++) {
		put(a + (3 + i) * PAGE, 10 + i);
		EXPECT_EQ(10 + i, touch(b + i * PAGE));
		put(b + i * PAGE + 1, 20 + i);
		EXPECT_EQ(20 + i, touch(a + (3 + i) * PAGE + 1));
	}
}

/* A mapping does not need the descriptor it was made with. */
TEST_F(sharing, mapping_outlives_the_descriptor)
{
	int fd = open(NODE, O_RDWR);
	unsigned char *p = map(_metadata, fd, MAP_SHARED, PLACE(7));
	unsigned char byte = 0;

	close(fd);
	put(p, 77);
	EXPECT_EQ(1, pread(self->fd, &byte, 1, PLACE(7)));
	EXPECT_EQ(77, byte);
}

TEST_HARNESS_MAIN
