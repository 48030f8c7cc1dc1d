// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules on calls: each operation and each errno that it can have.  (That on truncation is in
 * rules_traced.c.)
 */
#include <linux/falloc.h>
#include <sys/sendfile.h>

#include "kselftest_harness.h"
#include "rules.h"

KEEP_A_RULE

#define PAGES 16UL
#define RULED 3UL

FIXTURE(calls)
{
	int fd;
	unsigned char *map;
};

FIXTURE_VARIANT(calls)
{
	uint32_t store;
};

FIXTURE_VARIANT_ADD(calls, none){ .store = VMADEMO_STORE_NONE };
FIXTURE_VARIANT_ADD(calls, ram){ .store = VMADEMO_STORE_RAM };

FIXTURE_SETUP(calls)
{
	self->fd = create_with(variant->store, PAGES * PAGE, 0);
	ASSERT_GE(self->fd, 0);
	self->map = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
	/* All of it is cached, and mapped to be read */
	for (size_t i = 0; i < PAGES; i++) {
		ASSERT_EQ(1, pwrite(self->fd, "x", 1, i * PAGE));
		ASSERT_EQ('x', touch(self->map + i * PAGE));
	}
	ASSERT_EQ(0, fsync(self->fd));
}

FIXTURE_TEARDOWN(calls)
{
	munmap(self->map, PAGES * PAGE);
	close(self->fd);
}

static const int mmap_errors[] = { ENOMEM, EAGAIN,  EACCES,   EPERM,
				   ENODEV, ETXTBSY, EOVERFLOW };

TEST_F(calls, mmap)
{
	for (int n = 0; n < 7; n++) {
		int64_t id = ADD_RULE(self->fd, .op = VMADEMO_OP_MMAP,
				      .start = RULED, .nr = 1,
				      .status = mmap_errors[n]);
		void *p;

		ASSERT_LT(0, id);
		for (size_t at = 0; at <= RULED; at++) {
			errno = 0;
			EXPECT_EQ(MAP_FAILED,
				  mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED,
				       self->fd, at * PAGE));
			EXPECT_EQ(mmap_errors[n], errno);
		}
		p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, self->fd,
			 (RULED + 1) * PAGE);
		EXPECT_NE(MAP_FAILED, p);
		munmap(p, PAGE);
		p = mmap(NULL, RULED * PAGE, PROT_READ, MAP_SHARED, self->fd, 0);
		EXPECT_NE(MAP_FAILED, p);
		munmap(p, RULED * PAGE);
		/* Those that are stay */
		EXPECT_EQ('x', touch(self->map + RULED * PAGE));
		EXPECT_EQ(RULED + 1, hits_of(self->fd, id));
		ASSERT_EQ(0, del_rule(self->fd, id));
	}
}

static const int read_errors[] = { EIO, EAGAIN, EINTR, ENOMEM };

TEST_F(calls, read)
{
	char bytes[2 * PAGE];
	int pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	for (int n = 0; n < 4; n++) {
		off_t at = RULED * PAGE;
		int64_t id = ADD_RULE(self->fd, .op = VMADEMO_OP_READ,
				      .start = RULED, .nr = 1,
				      .status = read_errors[n]);

		ASSERT_LT(0, id);
		EXPECT_FAILS(read_errors[n],
			     pread(self->fd, bytes, 1, RULED * PAGE + PAGE - 1));
		/* A call that touches it fails, all of it */
		EXPECT_FAILS(read_errors[n],
			     pread(self->fd, bytes, 2, RULED * PAGE - 1));
		EXPECT_FAILS(read_errors[n],
			     sendfile(pipes[1], self->fd, &at, 1));
		EXPECT_EQ(PAGE, pread(self->fd, bytes, PAGE, (RULED - 1) * PAGE));
		EXPECT_EQ(1, pread(self->fd, bytes, 1, (RULED + 1) * PAGE));
		EXPECT_EQ(0, pread(self->fd, bytes, 0, RULED * PAGE));
		EXPECT_EQ(0, touch_signal(self->map + RULED * PAGE, 0));
		EXPECT_EQ(3, hits_of(self->fd, id));
		ASSERT_EQ(0, del_rule(self->fd, id));
	}
	/* Each is one event */
	for (int n = 0; n < 2; n++) {
		off_t at = RULED * PAGE;
		int64_t id = ADD_RULE(self->fd, .op = VMADEMO_OP_READ,
				      .start = RULED, .nr = 1, .skip = 2,
				      .status = EIO);

		ASSERT_LT(0, id);
		for (int i = 0; i < 2; i++)
			EXPECT_EQ(1, n ? sendfile(pipes[1], self->fd, &at, 1)
				       : pread(self->fd, bytes, 1, at));
		EXPECT_FAILS(EIO, sendfile(pipes[1], self->fd, &at, 1));
		ASSERT_EQ(0, del_rule(self->fd, id));
	}
	/* Beyond the end nothing is read */
	ASSERT_LT(0, ADD_RULE(self->fd, .op = VMADEMO_OP_READ, .start = PAGES,
			      .status = EIO));
	EXPECT_EQ(1, pread(self->fd, bytes, 2, PAGES * PAGE - 1));
	EXPECT_EQ(0, pread(self->fd, bytes, 2, PAGES * PAGE));
	EXPECT_EQ(0, pread(self->fd, bytes, 2, 1LL << 40));
	close(pipes[0]);
	close(pipes[1]);
}

static const int write_errors[] = { EIO,    ENOSPC, EDQUOT, EFBIG,
				    EAGAIN, EINTR,  ENOMEM, EPERM };

TEST_F(calls, write)
{
	for (int n = 0; n < 8; n++) {
		int64_t id = ADD_RULE(self->fd, .op = VMADEMO_OP_WRITE,
				      .start = RULED, .nr = 1,
				      .status = write_errors[n]);

		ASSERT_LT(0, id);
		EXPECT_FAILS(write_errors[n],
			     pwrite(self->fd, "yy", 2, RULED * PAGE - 1));
		EXPECT_EQ('x', touch(self->map + RULED * PAGE));
		EXPECT_EQ(0, touch(self->map + RULED * PAGE - 1));
		EXPECT_EQ(1, pwrite(self->fd, "x", 1, (RULED + 1) * PAGE));
		EXPECT_EQ(0, touch_signal(self->map + RULED * PAGE + 1, 1));
		EXPECT_EQ(1, hits_of(self->fd, id));
		ASSERT_EQ(0, del_rule(self->fd, id));
		EXPECT_EQ(1, pwrite(self->fd, "x", 1, RULED * PAGE));
	}
}

/* What grows the file is about the pages beyond the end, also by O_APPEND. */
TEST_F(calls, append)
{
	int end = reopen(self->fd, O_WRONLY | O_APPEND);

	ASSERT_GE(end, 0);
	ASSERT_LT(0, ADD_RULE(self->fd, .op = VMADEMO_OP_WRITE, .start = PAGES,
			      .status = ENOSPC));
	EXPECT_FAILS(ENOSPC, write(end, "y", 1));
	EXPECT_EQ(PAGES * PAGE, lseek(self->fd, 0, SEEK_END));
	EXPECT_EQ(1, pwrite(self->fd, "y", 1, PAGES * PAGE - 1));
	close(end);
}

static const int allocate_errors[] = { ENOSPC, EDQUOT,	EFBIG,
				       EIO,    EINTR,	ENOMEM,
				       EPERM,  ETXTBSY, EOPNOTSUPP };

TEST_F(calls, allocate)
{
	for (int n = 0; n < 9; n++) {
		int64_t id = ADD_RULE(self->fd, .op = VMADEMO_OP_ALLOCATE,
				      .start = RULED, .nr = 1,
				      .status = allocate_errors[n]);

		ASSERT_LT(0, id);
		EXPECT_FAILS(allocate_errors[n],
			     fallocate(self->fd, 0, 0, PAGES * PAGE));
		EXPECT_FAILS(allocate_errors[n],
			     fallocate(self->fd,
				       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				       RULED * PAGE, 1));
		EXPECT_EQ('x', touch(self->map + RULED * PAGE));
		EXPECT_EQ(0, fallocate(self->fd, 0, 0, RULED * PAGE));
		EXPECT_EQ(2, hits_of(self->fd, id));
		ASSERT_EQ(0, del_rule(self->fd, id));
	}
}

TEST_HARNESS_MAIN
