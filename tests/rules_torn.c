// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules that let only some parts of a write-out arrive at the store.
 */
#include "kselftest_harness.h"
#include "rules.h"

KEEP_A_RULE

#define PAGES 16UL

FIXTURE(torn)
{
	int fd, lower;
	unsigned char *map;
};

FIXTURE_STORES(torn);

#define RULED 2UL

FIXTURE_SETUP(torn)
{
	self->fd = create_store(variant->kind, MIB, &self->lower);
	if (self->fd < 0 && errno == ENODEV)
		return;
	ASSERT_GE(self->fd, 0);
	self->map = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
	memset(self->map, 'a', PAGES * PAGE);
	ASSERT_EQ(0, fsync(self->fd));
}

FIXTURE_TEARDOWN(torn)
{
	if (self->fd < 0)
		return;
	munmap(self->map, MIB);
	end_store(variant->kind, self->fd, self->lower);
}

#define RUN_IF_THERE()                                                 \
	do {                                                           \
		if (self->fd < 0)                                      \
			SKIP(return, "no such store on this machine"); \
	} while (0)

/*
 * Writes b to pages RULED - 1 to RULED + 1, syncs, cuts the power, and puts what the store
 * has of page RULED to `page`.  Returns what fsync said.
 */
static int write_and_look(int fd, unsigned char *map, unsigned char *page)
{
	int said;

	memset(map + (RULED - 1) * PAGE, 'b', 3 * PAGE);
	said = told(fd);
	power_cut(fd);
	memcpy(page, map + RULED * PAGE, PAGE);
	if (touch(map + RULED * PAGE - 1) != 'b' ||
	    touch(map + (RULED + 1) * PAGE) != 'b')
		said = -1;
	memset(map + RULED * PAGE, 'a', PAGE);
	return said;
}

/* How many parts of this size have arrived; -1 if one has in part. */
static int arrived(const unsigned char *page, size_t part)
{
	int n = 0;

	for (size_t at = 0; at < PAGE; at += part) {
		for (size_t i = 1; i < part; i++)
			if (page[at + i] != page[at])
				return -1;
		n += page[at] == 'b';
	}
	return n;
}

/* So many of a page's parts, when that is asked for: not none and not all of several. */
static uint32_t due(uint32_t torn, size_t part)
{
	uint32_t parts = PAGE / part, n = parts * torn / 1000;

	if (torn == 0 || torn == 1000 || parts == 1)
		return torn ? parts : 0;
	return n < 1 ? 1 : n > parts - 1 ? parts - 1 : n;
}

TEST_F(torn, parts)
{
	RUN_IF_THERE();

	static const struct {
		uint32_t torn, granularity, arrive; /* of 4 KiB */
	} cases[] = {
		{ 500, 0, 4 },	  { 500, 512, 4 },  { 0, 0, 0 },
		{ 1000, 0, 8 },	  { 1, 0, 1 },	    { 999, 0, 7 },
		{ 250, 1024, 1 }, { 500, 1, 2048 }, { 1, 1, 4 },
		{ 999, 4096, 1 }, { 750, 2, 1536 }, { 0, 4096, 0 },
	};
	unsigned char page[PAGE];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t part = cases[i].granularity ?: 512;
		struct account before;
		int64_t id;

		ASSERT_EQ(0, fsync(self->fd));
		id = ADD_RULE(self->fd, .op = VMADEMO_OP_WRITE_OUT,
			      .start = RULED, .nr = 1, .flags = VMADEMO_RULE_TORN,
			      .seed = 3, .torn = cases[i].torn,
			      .granularity = cases[i].granularity);
		ASSERT_LT(0, id);
		before = account_of(self->fd);
		/* It is told as success */
		EXPECT_EQ(0, write_and_look(self->fd, self->map, page));
		if (PAGE == 4096)
			ASSERT_EQ(cases[i].arrive, due(cases[i].torn, part));
		EXPECT_EQ(due(cases[i].torn, part), arrived(page, part))
		TH_LOG("torn=%u granularity=%u", cases[i].torn,
		       cases[i].granularity);
		before = account_of_since(self->fd, &before);
		EXPECT_EQ(1, hits_of(self->fd, id));
		EXPECT_EQ(0, before.lost_folios);
		EXPECT_EQ(3, before.written_folios);
		ASSERT_EQ(0, del_rule(self->fd, id));
	}
}

/* The same seed has the same parts arrive; and another one others. */
TEST_F(torn, seeds)
{
	RUN_IF_THERE();

	unsigned char page[3][PAGE];

	for (int n = 0; n < 3; n++) {
		ASSERT_EQ(0, fsync(self->fd));
		ASSERT_LT(0, ADD_RULE(self->fd, .op = VMADEMO_OP_WRITE_OUT,
				      .start = RULED, .nr = 1,
				      .flags = VMADEMO_RULE_TORN, .torn = 500,
				      .granularity = 64, .seed = n / 2));
		EXPECT_EQ(0, write_and_look(self->fd, self->map, page[n]));
		EXPECT_EQ(PAGE / 64 / 2, arrived(page[n], 64));
		ASSERT_EQ(0, del_rule(self->fd, 0));
	}
	EXPECT_EQ(0, memcmp(page[0], page[1], PAGE));
	EXPECT_NE(0, memcmp(page[0], page[2], PAGE));
}

/* Torn, and told as a failure. */
TEST_F(torn, and_failed)
{
	RUN_IF_THERE();

	unsigned char page[PAGE];
	struct account before = account_of(self->fd);
	int64_t id = ADD_RULE(self->fd, .op = VMADEMO_OP_WRITE_OUT,
			      .start = RULED, .nr = 1, .status = EIO, .times = 1,
			      .flags = VMADEMO_RULE_TORN, .torn = 500);

	ASSERT_LT(0, id);
	EXPECT_EQ(EIO, write_and_look(self->fd, self->map, page));
	EXPECT_EQ(PAGE / 512 / 2, arrived(page, 512));
	before = account_of_since(self->fd, &before);
	EXPECT_EQ(1, before.lost_folios);
	EXPECT_EQ(1, before.write_errors);
	EXPECT_ACCOUNT_ADDS_UP(self->fd);
}

/* The last page has fewer bytes; what is not data is not written. */
TEST_F(torn, the_last_page)
{
	RUN_IF_THERE();

	unsigned char want[PAGE], page[PAGE];

	if (variant->kind == STORE_BLOCK)
		SKIP(return, "its size is fixed");
	ASSERT_EQ(0, ftruncate(self->fd, RULED * PAGE + 700));
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_LT(0, ADD_RULE(self->fd, .op = VMADEMO_OP_WRITE_OUT,
			      .start = RULED, .flags = VMADEMO_RULE_TORN,
			      .torn = 500, .times = 1));
	memset(self->map + RULED * PAGE, 'b', 700);
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, power_cut(self->fd));
	/* One of its two parts */
	ASSERT_EQ(700, pread(self->fd, page, PAGE, RULED * PAGE));
	memset(want, 'a', sizeof(want));
	if (page[0] == 'b')
		memset(want, 'b', 512);
	else
		memset(want + 512, 'b', 188);
	EXPECT_EQ(0, memcmp(want, page, 700));
}

TEST_HARNESS_MAIN
