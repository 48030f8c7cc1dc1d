// SPDX-License-Identifier: GPL-2.0-only
/*
 * MADV_COLLAPSE: the kernel puts small folios together to one of 2 MiB, and maps it, without a
 * word to .fault.  Linux 7.3 does it for any file that can have such folios; older ones refuse.
 * Rules and revocation must hold there, too.
 */
#include "kselftest_harness.h"
#include "stores.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define HUGE  (2 * MIB)
#define SIZE  (2 * HUGE)
#define PAGES (SIZE / PAGE)
/* Where the page is that has a rule, or is punched */
#define AT (HUGE / PAGE + 7)

FIXTURE(collapse)
{
	int fd;
	unsigned char *map;
};

FIXTURE_VARIANT(collapse)
{
	uint32_t store;
};

FIXTURE_VARIANT_ADD(collapse, none){ .store = VMADEMO_STORE_NONE };
FIXTURE_VARIANT_ADD(collapse, ram){ .store = VMADEMO_STORE_RAM };

FIXTURE_SETUP(collapse)
{
	struct vmademo_create c = { .size = SIZE,
				    .store = variant->store,
				    .folio_size = HUGE };
	int node = open(NODE, O_RDWR | O_CLOEXEC);

	ASSERT_LE(0, node);
	self->fd = ioctl(node, VMADEMO_IOC_CREATE, &c);
	close(node);
	ASSERT_LE(0, self->fd) TH_LOG("create: %s", strerror(errno));
	self->map = aligned_room(SIZE, HUGE);
	ASSERT_NE(MAP_FAILED, self->map);
	ASSERT_EQ(self->map, mmap(self->map, SIZE, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_FIXED, self->fd, 0));
}

FIXTURE_TEARDOWN(collapse)
{
	EXPECT_ACCOUNT_ADDS_UP(self->fd);
	munmap(self->map, SIZE);
	close(self->fd);
}

/* All pages are cached, and clean; of the second 2 MiB one by one. */
static void fill_small(struct __test_metadata *_metadata,
		       FIXTURE_DATA(collapse) * self)
{
	struct vmademo_rule rule = { .op = VMADEMO_OP_READ_FAULT,
				     .start = HUGE / PAGE,
				     .nr = HUGE / PAGE,
				     .delay_us = 1 };
	struct vmademo_rule_id all = {};

	/* Where a rule is about single pages, there is no large folio */
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_RULE_ADD, &rule));
	for (size_t page = 0; page < PAGES; page++)
		put(self->map + page * PAGE, page % 251 + 1);
	ASSERT_EQ(0, msync(self->map, SIZE, MS_SYNC));
	all.id = rule.id;
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_RULE_DEL, &all));
}

static size_t first_wrong(FIXTURE_DATA(collapse) * self)
{
	size_t page;

	for (page = 0; page < PAGES; page++)
		if (touch(self->map + page * PAGE) != page % 251 + 1)
			break;
	return page;
}

/* What was written is there; what is written then is dirty, written back, and durable. */
TEST_F(collapse, bytes)
{
	struct account before, d;
	int err;

	fill_small(_metadata, self);
	before = account_of(self->fd);
	err = madvise(self->map, SIZE, MADV_COLLAPSE) ? errno : 0;
	TH_LOG("MADV_COLLAPSE: %s", err ? strerror(err) : "done");
	EXPECT_EQ(PAGES, first_wrong(self));
	d = account_of_since(self->fd, &before);
	EXPECT_EQ(0, d.cached_bytes);
	EXPECT_EQ(0, d.dirtied_bytes);
	put(self->map + AT * PAGE, AT % 251 + 1);
	EXPECT_LE(PAGE, account_of_since(self->fd, &before).dirty_bytes);
	EXPECT_EQ(0, msync(self->map, SIZE, MS_SYNC));
	EXPECT_EQ(0, account_of(self->fd).dirty_bytes);
	if (variant->store == VMADEMO_STORE_RAM)
		EXPECT_EQ(0, power_cut(self->fd));
	EXPECT_EQ(PAGES, first_wrong(self));
}

/* One entry for all would hide from a rule the page that it is about. */
TEST_F(collapse, ruled)
{
	struct vmademo_rule rule = { .op = VMADEMO_OP_READ_FAULT,
				     .start = AT,
				     .nr = 1,
				     .status = VMADEMO_STATUS_SIGBUS };

	fill_small(_metadata, self);
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_RULE_ADD, &rule));
	EXPECT_EQ(SIGBUS, touch_signal(self->map + AT * PAGE, 0));
	EXPECT_EQ(-1, madvise(self->map, SIZE, MADV_COLLAPSE));
	EXPECT_EQ(SIGBUS, touch_signal(self->map + AT * PAGE, 0));
	EXPECT_EQ(0, touch_signal(self->map + (AT + 1) * PAGE, 0));
}

/* What is revoked stays so, whether it is one folio or many; and comes back. */
TEST_F(collapse, revoked)
{
	fill_small(_metadata, self);
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_REVOKE));
	EXPECT_EQ(-1, madvise(self->map, SIZE, MADV_COLLAPSE));
	EXPECT_EQ(-1, madvise(self->map, HUGE, MADV_COLLAPSE));
	EXPECT_EQ(SIGBUS, touch_signal(self->map, 0));
	EXPECT_EQ(SIGBUS, touch_signal(self->map + AT * PAGE, 0));
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_RESTORE));
	EXPECT_EQ(PAGES, first_wrong(self));
}

/* A page that was punched out, and what is beyond the end, does not come by it. */
TEST_F(collapse, holes)
{
	struct vmademo_discard hole = { .offset = AT * PAGE, .length = PAGE };

	fill_small(_metadata, self);
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_DISCARD, &hole));
	madvise(self->map, SIZE, MADV_COLLAPSE);
	EXPECT_EQ(0, touch(self->map + AT * PAGE));
	EXPECT_EQ((AT + 1) % 251 + 1, touch(self->map + (AT + 1) * PAGE));
	ASSERT_EQ(0, ftruncate(self->fd, HUGE + 9 * PAGE));
	madvise(self->map, SIZE, MADV_COLLAPSE);
	EXPECT_EQ((AT + 1) % 251 + 1, touch(self->map + (AT + 1) * PAGE));
	EXPECT_EQ(SIGBUS, touch_signal(self->map + HUGE + 9 * PAGE, 0));
	ASSERT_EQ(0, ftruncate(self->fd, SIZE));
	EXPECT_EQ(0, touch(self->map + HUGE + 9 * PAGE));
}

#define SCANS THP "khugepaged/full_scans"

/* Nobody touches its neighbours: they are not made by the kernel's thread that looks for them. */
TEST(in_the_background)
{
	const int64_t scans = read_number(SCANS);
	unsigned char *map;
	int fd;

	if (scans < 0 || wish_huge_pages(true))
		SKIP(return, "there is no khugepaged");
	write_text(THP "khugepaged/scan_sleep_millisecs", "20");
	folio_size_wanted = HUGE;
	fd = create_buffer(SIZE);
	ASSERT_LE(0, fd);
	map = aligned_room(SIZE, HUGE);
	ASSERT_EQ(map, mmap(map, SIZE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_FIXED, fd, 0));
	EXPECT_EQ(0, madvise(map, SIZE, MADV_NOHUGEPAGE));
	touch(map + PAGE);
	EXPECT_EQ(0, madvise(map, SIZE, MADV_HUGEPAGE));
	/* Whoever is late is looked at by the third; older kernels look at no such thing */
	for (int i = 0; i < 600 && read_number(SCANS) < scans + 3; i++) {
		if (i == 100 && read_number(SCANS) == scans)
			break;
		usleep(50 * 1000);
	}
	TH_LOG("%d scans", (int)(read_number(SCANS) - scans));
	write_text(THP "khugepaged/scan_sleep_millisecs", "10000");
	EXPECT_EQ(0, wish_huge_pages(false));
	/* In the midst of a scan there are some that the kernel takes away again */
	for (int i = 0; i < 100 && account_of(fd).cached_bytes != PAGE; i++)
		usleep(50 * 1000);
	EXPECT_EQ(PAGE, account_of(fd).cached_bytes);
	EXPECT_ACCOUNT_ADDS_UP(fd);
	munmap(map, SIZE);
	close(fd);
}

TEST_HARNESS_MAIN
