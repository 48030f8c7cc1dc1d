// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules on faults and on the store: each operation and each outcome that it can have: what a
 * program sees that knows nothing of them, and what is counted.  Those on calls are in
 * rules_calls.c; how rules are said in rules_text.c, when they act in rules_when.c, how
 * they live in rules_life.c, delays and torn writes in rules_slow.c.
 */
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "rules.h"

#ifndef BUS_MCEERR_AR
#define BUS_MCEERR_AR 4
#endif

#define PAGES 16UL
#define RULED 3UL

FIXTURE(rules)
{
	int fd;
	unsigned char *map, *private;
	struct account before;
};

FIXTURE_VARIANT(rules)
{
	uint32_t store;
};

FIXTURE_VARIANT_ADD(rules, none){ .store = VMADEMO_STORE_NONE };
FIXTURE_VARIANT_ADD(rules, ram){ .store = VMADEMO_STORE_RAM };

FIXTURE_SETUP(rules)
{
	self->fd = create_with(variant->store, PAGES * PAGE, 0);
	ASSERT_GE(self->fd, 0);
	self->map = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
	self->private = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE, self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->private);
	/* All of it is cached, and mapped to be read */
	for (size_t i = 0; i < PAGES; i++) {
		ASSERT_EQ(1, pwrite(self->fd, "x", 1, i * PAGE));
		ASSERT_EQ('x', touch(self->map + i * PAGE));
		ASSERT_EQ('x', touch(self->private + i * PAGE));
	}
	ASSERT_EQ(0, fsync(self->fd));
	self->before = account_of(self->fd);
}

FIXTURE_TEARDOWN(rules)
{
	munmap(self->map, PAGES * PAGE);
	munmap(self->private, PAGES * PAGE);
	close(self->fd);
}

/* A kernel that knows nothing of broken memory has plain SIGBUS for it, too. */
static bool knows_poison(void)
{
	return meminfo("HardwareCorrupted") >= 0;
}

/* The page that was touched last raised this. */
#define EXPECT_RAISED(at, is_poison)                                             \
	do {                                                                     \
		bool poison = (is_poison) && knows_poison();                     \
		EXPECT_EQ(poison ? BUS_MCEERR_AR : BUS_ADRERR,                   \
			  touch_info.si_code);                                   \
		if (poison) {                                                    \
			EXPECT_EQ((uintptr_t)(at) & -PAGE,                       \
				  (uintptr_t)touch_info.si_addr & -PAGE);        \
			EXPECT_EQ(__builtin_ctzl(PAGE), touch_info.si_addr_lsb); \
		} else {                                                         \
			EXPECT_EQ((void *)(at), touch_info.si_addr);             \
		}                                                                \
	} while (0)

static const uint32_t signals[] = { VMADEMO_STATUS_SIGBUS,
				    VMADEMO_STATUS_HWPOISON };

/* A page that is mapped already raises SIGBUS when it is read; its neighbours do not. */
TEST_F(rules, read_fault)
{
	for (int n = 0; n < 2; n++) {
		unsigned char *at = self->map + RULED * PAGE + 5;
		int64_t id = ADD_RULE(self->fd, .op = VMADEMO_OP_READ_FAULT,
				      .start = RULED, .nr = 1,
				      .status = signals[n]);

		ASSERT_LT(0, id) TH_LOG("add: %s", strerror(errno));
		EXPECT_EQ(SIGBUS, touch_signal(at, 0));
		EXPECT_RAISED(at, n);
		EXPECT_EQ(SIGBUS, touch_signal(at, 0));
		/* The neighbours come by fault-around, and leave it out */
		for (size_t i = 0; i < PAGES; i++)
			if (i != RULED) {
				EXPECT_EQ(0,
					  touch_signal(self->map + i * PAGE, 0));
			}
		EXPECT_EQ(SIGBUS, touch_signal(at, 0));
		/* Writing is another operation */
		EXPECT_EQ(0, touch_signal(at, 1));
		EXPECT_EQ(3, hits_of(self->fd, id));
		ASSERT_EQ(0, del_rule(self->fd, id));
		EXPECT_EQ(0, touch_signal(at, 0));
	}
	self->before = account_of_since(self->fd, &self->before);
	EXPECT_EQ(6, self->before.sigbus);
	EXPECT_EQ(6, self->before.rule_hits);
}

TEST_F(rules, write_fault)
{
	for (int n = 0; n < 2; n++) {
		unsigned char *at = self->map + RULED * PAGE;
		int64_t id = ADD_RULE(self->fd, .op = VMADEMO_OP_WRITE_FAULT,
				      .start = RULED, .nr = 1,
				      .status = signals[n]);

		ASSERT_LT(0, id);
		/* A private mapping takes no such fault */
		EXPECT_EQ(0, touch_signal(self->private + RULED * PAGE, 1));
		EXPECT_EQ(SIGBUS, touch_signal(at, 1));
		EXPECT_RAISED(at, n);
		/* A fault nearby does not map it, or the write would be another event */
		EXPECT_EQ(0, touch_signal(at + PAGE, 0));
		EXPECT_EQ(SIGBUS, touch_signal(at, 1));
		EXPECT_EQ(2, hits_of(self->fd, id));
		/* One that is read is mapped */
		EXPECT_EQ(0, touch_signal(at, 0));
		EXPECT_EQ(0, touch_signal(at, 1));
		EXPECT_EQ(2, hits_of(self->fd, id));
		ASSERT_EQ(0, del_rule(self->fd, id));
	}
}

TEST_F(rules, cow_fault)
{
	unsigned char *copy = self->private + (RULED + 1) * PAGE;

	put(copy, 'c');
	for (int n = 0; n < 2; n++) {
		unsigned char *at = self->private + RULED * PAGE;
		int64_t id = ADD_RULE(self->fd, .op = VMADEMO_OP_COW_FAULT,
				      .start = RULED, .nr = 2,
				      .status = signals[n]);

		ASSERT_LT(0, id);
		EXPECT_EQ(SIGBUS, touch_signal(at, 1));
		EXPECT_RAISED(at, n);
		EXPECT_EQ(0, touch_signal(self->map + RULED * PAGE, 1));
		/* A private copy stays what it is */
		EXPECT_EQ(0, touch_signal(copy, 1));
		EXPECT_EQ(1, hits_of(self->fd, id));
		ASSERT_EQ(0, del_rule(self->fd, id));
	}
}

/* The kernel, too, meets it when it touches the page for a program. */
TEST_F(rules, fault_in_a_call)
{
	unsigned char *at = self->map + RULED * PAGE;
	char byte;
	struct iovec mine = { &byte, 1 }, its = { at, 1 };
	int pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	ASSERT_LT(0, ADD_RULE(self->fd, .op = VMADEMO_OP_READ_FAULT,
			      .start = RULED, .nr = 1,
			      .status = VMADEMO_STATUS_SIGBUS));
	EXPECT_FAILS(EFAULT, write(pipes[1], at, 1));
	EXPECT_FAILS(EFAULT, process_vm_readv(getpid(), &mine, 1, &its, 1, 0));
	EXPECT_FAILS(EFAULT, madvise(at, PAGE, MADV_POPULATE_READ));
	close(pipes[0]);
	close(pipes[1]);
}

/* The first write to a page: SIGBUS to a mapping, an errno to write(2). */
TEST_F(rules, mkwrite)
{
	static const struct {
		uint32_t status;
		int told;
	} cases[] = {
		{ VMADEMO_STATUS_SIGBUS, EIO },
		{ VMADEMO_STATUS_HWPOISON, EIO },
		{ EIO, EIO },
		{ ENOSPC, ENOSPC },
		{ EDQUOT, EDQUOT },
	};
	const int n = sizeof(cases) / sizeof(cases[0]);

	for (int i = 0; i < n; i++) {
		unsigned char *at = self->map + RULED * PAGE;
		struct account before;
		int64_t id;

		/* Writable already: it will be write-protected */
		put(at, 'w');
		before = account_of(self->fd);
		id = ADD_RULE(self->fd, .op = VMADEMO_OP_MKWRITE, .start = RULED,
			      .nr = 1, .status = cases[i].status);
		ASSERT_LT(0, id);
		EXPECT_EQ('w', touch(at));
		EXPECT_EQ(SIGBUS, touch_signal(at, 1));
		EXPECT_RAISED(at, cases[i].status == VMADEMO_STATUS_HWPOISON);
		EXPECT_FAILS(cases[i].told,
			     pwrite(self->fd, "yy", 2, RULED * PAGE));
		/* What comes before the page is written */
		EXPECT_EQ(PAGE, pwrite(self->fd, self->map, 2 * PAGE,
				       (RULED - 1) * PAGE));
		EXPECT_EQ('w', touch(at));
		before = account_of_since(self->fd, &before);
		EXPECT_EQ(3, before.rule_hits);
		EXPECT_EQ(1, before.sigbus);
		EXPECT_EQ(0, before.first_writes);
		EXPECT_EQ(3, hits_of(self->fd, id));
		/* What was dirty was not lost */
		ASSERT_EQ(0, fsync(self->fd));
		ASSERT_EQ(0, del_rule(self->fd, id));
		EXPECT_EQ(0, touch_signal(at, 1));
		EXPECT_ACCOUNT_ADDS_UP(self->fd);
	}
}

/* Memory that is said to be broken cannot be read or written by a call, either. */
TEST_F(rules, poison_and_calls)
{
	char page[PAGE];

	ASSERT_LT(0, ADD_RULE(self->fd, .op = VMADEMO_OP_READ_FAULT,
			      .start = RULED, .nr = 1,
			      .status = VMADEMO_STATUS_HWPOISON));
	EXPECT_FAILS(EIO, pread(self->fd, page, 1, RULED * PAGE));
	EXPECT_FAILS(EIO, pwrite(self->fd, page, 1, RULED * PAGE));
	EXPECT_EQ(PAGE, pread(self->fd, page, PAGE, (RULED + 1) * PAGE));
	ASSERT_EQ(0, del_rule(self->fd, 0));
	ASSERT_LT(0, ADD_RULE(self->fd, .op = VMADEMO_OP_MKWRITE, .start = RULED,
			      .nr = 1, .status = VMADEMO_STATUS_HWPOISON));
	EXPECT_FAILS(EIO, pread(self->fd, page, 1, RULED * PAGE));
	EXPECT_FAILS(EIO, pwrite(self->fd, page, 1, RULED * PAGE));
	EXPECT_EQ(2,
		  fd_value(self->fd, "rule_hits") - self->before.rule_hits - 2);
	ASSERT_EQ(0, del_rule(self->fd, 0));
	/* Without that, a fault is no business of a call's */
	ASSERT_LT(0, ADD_RULE(self->fd, .op = VMADEMO_OP_READ_FAULT,
			      .start = RULED, .nr = 1,
			      .status = VMADEMO_STATUS_SIGBUS));
	EXPECT_EQ(1, pread(self->fd, page, 1, RULED * PAGE));
}

static const int read_in_errors[] = { EIO, ENODATA, ETIMEDOUT, ENOMEM };

/* A page that cannot be read in: SIGBUS to a mapping, an errno to read(2). */
TEST_F(rules, read_in)
{
	char page[PAGE];

	if (variant->store == VMADEMO_STORE_NONE) {
		EXPECT_FAILS(EOPNOTSUPP,
			     ADD_RULE(self->fd, .op = VMADEMO_OP_READ_IN,
				      .status = EIO));
		return;
	}
	for (int n = 0; n < 4; n++) {
		int64_t id = ADD_RULE(self->fd, .op = VMADEMO_OP_READ_IN,
				      .start = RULED, .nr = 1,
				      .status = read_in_errors[n]);
		struct account before = account_of(self->fd);

		ASSERT_LT(0, id);
		/* It is cached */
		EXPECT_EQ(1, pread(self->fd, page, 1, RULED * PAGE));
		ASSERT_EQ(0, power_cut(self->fd));
		/* Reading ahead stops short of it, and counts nothing */
		EXPECT_EQ(RULED * PAGE,
			  pread(self->fd, self->private, 8 * PAGE, 0));
		EXPECT_FAILS(read_in_errors[n],
			     pread(self->fd, page, 1, RULED * PAGE));
		EXPECT_EQ(SIGBUS, touch_signal(self->map + RULED * PAGE, 0));
		EXPECT_EQ(SIGBUS, touch_signal(self->map + RULED * PAGE, 1));
		/* A part of it is written: the rest is needed */
		EXPECT_FAILS(read_in_errors[n],
			     pwrite(self->fd, page, 1, RULED * PAGE));
		EXPECT_EQ(0, touch_signal(self->map + (RULED + 1) * PAGE, 0));
		before = account_of_since(self->fd, &before);
		EXPECT_EQ(hits_of(self->fd, id), before.rule_hits);
		EXPECT_LE(4, before.rule_hits);
		EXPECT_EQ(before.rule_hits, before.read_errors);
		/* All of it: nothing is read */
		EXPECT_EQ(PAGE, pwrite(self->fd, self->map, PAGE, RULED * PAGE));
		ASSERT_EQ(0, fsync(self->fd));
		ASSERT_EQ(0, del_rule(self->fd, id));
		ASSERT_EQ(0, power_cut(self->fd));
		EXPECT_EQ(1, pread(self->fd, page, 1, RULED * PAGE));
	}
}

static const int write_out_errors[] = { EIO, ENOSPC, EDQUOT, ETIMEDOUT };

/* An error of a write-out is told once to each open file, and what was dirty is lost. */
TEST_F(rules, write_out)
{
	for (int n = 0; n < 4; n++) {
		int64_t id = ADD_RULE(self->fd, .op = VMADEMO_OP_WRITE_OUT,
				      .start = RULED, .nr = 1,
				      .status = write_out_errors[n]);
		struct account before = account_of(self->fd);
		int other = reopen(self->fd, O_RDWR);

		ASSERT_LT(0, id);
		put(self->map + RULED * PAGE, 'y');
		put(self->map + (RULED + 1) * PAGE, 'y');
		errno = 0;
		EXPECT_EQ(-1, msync(self->map, PAGES * PAGE, MS_SYNC));
		EXPECT_EQ(write_out_errors[n], errno);
		EXPECT_EQ(0, msync(self->map, PAGES * PAGE, MS_SYNC));
		EXPECT_EQ(write_out_errors[n], told(other));
		EXPECT_EQ(0, told(other));
		close(other);
		before = account_of_since(self->fd, &before);
		EXPECT_EQ(1, before.rule_hits);
		EXPECT_EQ(1, before.write_errors);
		EXPECT_EQ(1, before.lost_folios);
		EXPECT_EQ(1, before.written_folios);
		EXPECT_ACCOUNT_ADDS_UP(self->fd);
		EXPECT_EQ('y', touch(self->map + RULED * PAGE));
		if (variant->store != VMADEMO_STORE_NONE) {
			ASSERT_EQ(0, power_cut(self->fd));
			EXPECT_EQ('x', touch(self->map + RULED * PAGE));
			EXPECT_EQ('y', touch(self->map + (RULED + 1) * PAGE));
		}
		ASSERT_EQ(0, del_rule(self->fd, id));
		ASSERT_EQ(1, pwrite(self->fd, "x", 1, (RULED + 1) * PAGE));
		ASSERT_EQ(1, pwrite(self->fd, "x", 1, RULED * PAGE));
		ASSERT_EQ(0, fsync(self->fd));
	}
}

/* With no memory to write it, it stays dirty, and is written later. */
TEST_F(rules, write_out_without_memory)
{
	ASSERT_LT(0, ADD_RULE(self->fd, .op = VMADEMO_OP_WRITE_OUT, .start = RULED,
			      .nr = 1, .status = ENOMEM, .times = 1));
	put(self->map + RULED * PAGE, 'y');
	EXPECT_EQ(ENOMEM, told(self->fd));
	EXPECT_EQ(PAGE, fd_value(self->fd, "dirty_bytes"));
	EXPECT_EQ(0, told(self->fd));
	EXPECT_EQ(0, fd_value(self->fd, "dirty_bytes"));
	self->before = account_of_since(self->fd, &self->before);
	EXPECT_EQ(0, self->before.lost_folios);
	EXPECT_EQ(0, self->before.write_errors);
	EXPECT_ACCOUNT_ADDS_UP(self->fd);
}

static const int flush_errors[] = { EIO, ENOSPC, EDQUOT, ETIMEDOUT };

TEST_F(rules, flush)
{
	for (int n = 0; n < 4; n++) {
		int other = reopen(self->fd, O_RDWR);
		int64_t id = ADD_RULE(self->fd, .op = VMADEMO_OP_FLUSH,
				      .status = flush_errors[n], .times = 1);
		int64_t before = fd_value(self->fd, "written_folios");

		ASSERT_LT(0, id);
		put(self->map, 'y');
		EXPECT_EQ(flush_errors[n], told(self->fd));
		/* The pages were written, only the flush failed */
		EXPECT_EQ(before + 1, fd_value(self->fd, "written_folios"));
		EXPECT_EQ(0, told(self->fd));
		EXPECT_EQ(flush_errors[n], told(other));
		close(other);
		EXPECT_EQ(1, hits_of(self->fd, id));
		ASSERT_EQ(0, del_rule(self->fd, id));
	}
}

TEST_HARNESS_MAIN
