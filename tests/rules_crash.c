// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules that cut the power at an event: at the n-th write-out, for each n, what is left is what
 * a model says; and the same seed leaves the same bytes.
 */
#include <linux/falloc.h>

#include "rules_crash.h"

KEEP_A_RULE

/* The power goes at the n-th write-out: those before it have arrived, and nothing else. */
TEST_F(store, nth_write_out)
{
	RUN_IF_READY();
	NEED_SMALL_FOLIOS();

	for (size_t n = 1; n <= PAGES + 1; n++) {
		for (int after = 0; after < 2; after++) {
			size_t arrive = n > PAGES ? PAGES : after ? n : n - 1;
			struct account before;
			int64_t id;

			old_and_new(_metadata, self);
			before = account_of(self->fd);
			id = ADD_RULE(self->fd, .op = VMADEMO_OP_WRITE_OUT,
				      .skip = n - 1, .times = 1,
				      .flags = CRASH | OFF | (after ? AFTER : 0));
			ASSERT_LT(0, id);
			EXPECT_EQ(n > PAGES ? 0 : EIO, told(self->fd));
			EXPECT_EQ(n <= PAGES, is_off(self->fd));
			EXPECT_EQ(n <= PAGES, hits_of(self->fd, id));
			/* As it is on it: waits for the cut */
			if (n <= PAGES) {
				ASSERT_EQ(0, power_off(self->fd));
				EXPECT_EQ(PAGES - arrive,
					  fd_value(self->fd,
						   "last_crash_lost_folios"));
			}
			ASSERT_EQ(0, power_on(self->fd));
			before = account_of_since(self->fd, &before);
			EXPECT_EQ(arrive, before.written_folios);
			EXPECT_EQ(PAGES - arrive, before.lost_folios);
			EXPECT_EQ(n <= PAGES, before.crashes);
			ASSERT_EQ(0, power_cut(self->fd));
			EXPECT_NEW(arrive);
			ASSERT_EQ(0, del_rule(self->fd, 0));
		}
	}
}

/* Without `off` the power is back when the cut is done, and the program goes on. */
TEST_F(store, power_comes_back)
{
	RUN_IF_READY();
	NEED_SMALL_FOLIOS();

	for (size_t n = 1; n <= PAGES; n++) {
		int other = reopen(self->fd, O_RDWR);

		ASSERT_GE(other, 0);
		old_and_new(_metadata, self);
		ASSERT_LT(0, ADD_RULE(self->fd, .op = VMADEMO_OP_WRITE_OUT,
				      .skip = n - 1, .times = 1, .flags = CRASH));
		EXPECT_EQ(EIO, told(self->fd));
		/* By itself */
		for (int i = 0; i < 6000 && is_off(self->fd); i++)
			usleep(10000);
		EXPECT_FALSE(is_off(self->fd));
		EXPECT_NEW(n - 1);
		/* Once, as any write error */
		EXPECT_EQ(EIO, told(other));
		EXPECT_EQ(0, told(other));
		EXPECT_EQ(0, told(self->fd));
		ASSERT_EQ(0, power_cut(self->fd));
		EXPECT_NEW(n - 1);
		ASSERT_EQ(0, del_rule(self->fd, 0));
		close(other);
	}
}

static void cut_with_share(struct __test_metadata *_metadata,
			   FIXTURE_DATA(store) * self, size_t n, uint64_t seed,
			   unsigned char *left)
{
	int written = 0, torn = 0, dirty = PAGES - (n - 1);

	old_and_new(_metadata, self);
	ASSERT_LT(0, ADD_RULE(self->fd, .op = VMADEMO_OP_WRITE_OUT,
			      .skip = n - 1, .times = 1, .flags = CRASH | OFF,
			      .seed = seed, .share = 400, .cut_torn = 2));
	EXPECT_EQ(EIO, told(self->fd));
	ASSERT_EQ(0, power_on(self->fd));
	memcpy(left, self->map, SIZE);
	for (size_t i = 0; i < PAGES; i++) {
		int parts = new_parts(left + i * PAGE);

		ASSERT_LE(0, parts);
		if (i < n - 1)
			ASSERT_EQ(PARTS, parts);
		written += i >= n - 1 && parts == PARTS;
		torn += parts > 0 && parts < PARTS;
	}
	/* Rounded at random */
	EXPECT_LE(dirty * 400 / 1000, written);
	EXPECT_GE(dirty * 400 / 1000 + 1, written);
	EXPECT_EQ(dirty - written < 2 ? dirty - written : 2, torn);
	ASSERT_EQ(0, del_rule(self->fd, 0));
}

/* The same seed and the same n leave the same bytes; of what had not arrived yet, a share. */
TEST_F(store, same_seed_same_bytes)
{
	RUN_IF_READY();
	NEED_SMALL_FOLIOS();

	unsigned char first[SIZE], again[SIZE];
	int different = 0;

	for (size_t n = 1; n <= PAGES; n++) {
		cut_with_share(_metadata, self, n, n, first);
		cut_with_share(_metadata, self, n, n, again);
		EXPECT_EQ(0, memcmp(first, again, SIZE)) TH_LOG("n = %zu", n);
		cut_with_share(_metadata, self, n, n + 100, again);
		different += !!memcmp(first, again, SIZE);
	}
	EXPECT_LE(PAGES - 1, different);
}

/* Of a torn write-out some parts arrive, and then nothing. */
TEST_F(store, torn)
{
	RUN_IF_READY();
	NEED_SMALL_FOLIOS();

	old_and_new(_metadata, self);
	ASSERT_LT(0, ADD_RULE(self->fd, .op = VMADEMO_OP_WRITE_OUT, .skip = 3,
			      .times = 1, .torn = 500, .seed = 7,
			      .flags = CRASH | OFF | VMADEMO_RULE_TORN));
	EXPECT_EQ(EIO, told(self->fd));
	ASSERT_EQ(0, power_on(self->fd));
	for (size_t i = 0; i < PAGES; i++)
		EXPECT_EQ(i < 3	   ? PARTS
			  : i == 3 ? PARTS / 2
				   : 0,
			  new_parts(self->map + i * PAGE));
}

/* All of it has been written out; whether the flush has been is another matter. */
TEST_F(store, flush)
{
	RUN_IF_READY();

	for (int how = 0; how < 4; how++) {
		bool after = how & 1, off = how & 2;
		struct account before;

		old_and_new(_metadata, self);
		before = account_of(self->fd);
		ASSERT_LT(0, ADD_RULE(self->fd, .op = VMADEMO_OP_FLUSH, .times = 1,
				      .flags = CRASH | (after ? AFTER : 0) |
					       (off ? OFF : 0)));
		EXPECT_EQ(EIO, told(self->fd));
		EXPECT_EQ(after, account_of_since(self->fd, &before).flushes);
		if (off)
			EXPECT_TRUE(is_off(self->fd));
		ASSERT_EQ(0, power_on(self->fd));
		EXPECT_NEW(PAGES);
		ASSERT_EQ(0, del_rule(self->fd, 0));
	}
}

TEST_F(store, read_in)
{
	RUN_IF_READY();

	char byte;

	old_and_new(_metadata, self);
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, power_cut(self->fd));
	ASSERT_LT(0, ADD_RULE(self->fd, .op = VMADEMO_OP_READ_IN, .times = 1,
			      .flags = CRASH | OFF));
	EXPECT_FAILS(EIO, pread(self->fd, &byte, 1, 0));
	EXPECT_TRUE(is_off(self->fd));
	ASSERT_EQ(0, power_on(self->fd));
	ASSERT_EQ(0, del_rule(self->fd, 0));

	/* The last one that is answered */
	ASSERT_LT(0, ADD_RULE(self->fd, .op = VMADEMO_OP_READ_IN, .times = 1,
			      .flags = CRASH | OFF | AFTER));
	EXPECT_EQ(1, pread(self->fd, &byte, 1, 0));
	EXPECT_EQ('n', byte);
	EXPECT_TRUE(is_off(self->fd));
	ASSERT_EQ(0, power_off(self->fd));
	EXPECT_FAILS(EIO, pread(self->fd, &byte, 1, 0));
	ASSERT_EQ(0, power_on(self->fd));
	ASSERT_EQ(0, del_rule(self->fd, 0));

	/* Nothing is amiss but that it is dropped */
	for (int i = 0; i < 20; i++) {
		ASSERT_LT(0, ADD_RULE(self->fd, .op = VMADEMO_OP_READ_IN,
				      .times = 1,
				      .flags = CRASH | (i & 1 ? AFTER : 0)));
		ASSERT_EQ(1, pread(self->fd, &byte, 1, i % PAGES * PAGE));
		EXPECT_EQ('n', byte);
		EXPECT_EQ('n', touch(self->map + i % 3 * PAGE));
		ASSERT_EQ(0, power_on(self->fd));
		ASSERT_EQ(0, del_rule(self->fd, 0));
	}
}

/* A call finds the cut done: what was dirty is gone. */
TEST_F(store, calls)
{
	RUN_IF_READY();

	char byte;

	for (int off = 0; off < 2; off++) {
		uint32_t flags = CRASH | (off ? OFF : 0);

		old_and_new(_metadata, self);
		ASSERT_LT(0, ADD_RULE(self->fd, .op = VMADEMO_OP_READ,
				      .times = 1, .flags = flags));
		if (off) {
			EXPECT_FAILS(EIO, pread(self->fd, &byte, 1, 0));
		} else {
			EXPECT_EQ(1, pread(self->fd, &byte, 1, 0));
			EXPECT_EQ('o', byte);
		}
		ASSERT_EQ(0, power_on(self->fd));
		EXPECT_NEW(0);
		ASSERT_EQ(0, del_rule(self->fd, 0));

		old_and_new(_metadata, self);
		ASSERT_LT(0, ADD_RULE(self->fd, .op = VMADEMO_OP_WRITE,
				      .times = 1, .flags = flags));
		if (off) {
			EXPECT_FAILS(EIO, pwrite(self->fd, "x", 1, 0));
		} else {
			EXPECT_EQ(1, pwrite(self->fd, "x", 1, 0));
			EXPECT_EQ('x', touch(self->map));
			EXPECT_EQ('o', touch(self->map + 1));
			EXPECT_EQ('o', touch(self->map + PAGE));
		}
		ASSERT_EQ(0, power_on(self->fd));
		ASSERT_EQ(0, del_rule(self->fd, 0));

		old_and_new(_metadata, self);
		ASSERT_LT(0, ADD_RULE(self->fd, .op = VMADEMO_OP_ALLOCATE,
				      .times = 1, .flags = flags));
		EXPECT_EQ(off ? EIO : 0,
			  fallocate(self->fd, FALLOC_FL_ZERO_RANGE, 0, PAGE)
				  ? errno
				  : 0);
		ASSERT_EQ(0, power_on(self->fd));
		EXPECT_EQ(off ? 'o' : 0, touch(self->map));
		EXPECT_EQ('o', touch(self->map + PAGE));
		ASSERT_EQ(0, del_rule(self->fd, 0));

		/* And the errno that it is to have */
		old_and_new(_metadata, self);
		ASSERT_LT(0, ADD_RULE(self->fd, .op = VMADEMO_OP_MMAP, .times = 1,
				      .status = ENODEV, .flags = flags));
		EXPECT_EQ(MAP_FAILED,
			  mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->fd, 0));
		EXPECT_EQ(ENODEV, errno);
		ASSERT_EQ(0, power_on(self->fd));
		EXPECT_NEW(0);
		ASSERT_EQ(0, del_rule(self->fd, 0));
	}
}

TEST_HARNESS_MAIN
