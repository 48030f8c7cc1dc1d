// SPDX-License-Identifier: GPL-2.0-only
/*
 * How large a folio is: what folio_size=, CREATE and madvise ask for, what is refused; and
 * that there is a smaller one, without complaint, where a large one cannot be.
 *
 * Loads the module; VMADEMO_KO names it.
 */
#include <linux/falloc.h>

#include "params_fixture.h"
#include "stores.h"

#define HUGE (2 * MIB)

static unsigned char *map_of(int fd, size_t size)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

static int64_t cached(int fd)
{
	return account_of(fd).cached_bytes;
}

TEST_F(params, refused)
{
	RUN_IF_READY();

	static const struct bad_parameters bad[] = {
		{ "folio_size=", "folio_size=", EINVAL },
		{ "folio_size=0", "folio_size=0", EINVAL },
		{ "folio_size=1", "folio_size=1", EINVAL },
		{ "folio_size=2K", "folio_size=2K", EINVAL },
		{ "folio_size=12K", "folio_size=12K", EINVAL },
		{ "folio_size=64M", "folio_size=64M", EINVAL },
		{ "folio_size=-4096", "folio_size=-4096", EINVAL },
		{ "folio_size=18446744073709551615", "folio_size=", EINVAL },
		{ "folio_size=huge", "folio_size=huge", EINVAL },
	};
	const uint32_t sizes[] = { 1,	      512,	4095,	      4097,
				   12288,     HUGE + 1, 2 * PMD_SIZE, 1U << 31,
				   UINT32_MAX };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		expect_refused(_metadata, self->kmsg, &bad[i]);
	ASSERT_EQ(0, load_module(""));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		folio_size_wanted = sizes[i];
		EXPECT_FAILS(EINVAL, create_buffer(HUGE));
	}
	EXPECT_EQ(0, unload_module());
}

TEST_F(params, each_size)
{
	RUN_IF_READY();

	static const char *const stores[] = { "none", "ram" };

	for (uint64_t size = PAGE; size <= HUGE; size *= 2) {
		for (int i = 0; i < 2; i++) {
			char parameters[64];
			unsigned char *p;
			int fd;

			snprintf(parameters, sizeof(parameters),
				 "size=8M store=%s folio_size=%llu", stores[i],
				 (unsigned long long)size);
			ASSERT_EQ(0, load_module(parameters));
			EXPECT_EQ(size,
				  read_number(
					  "/sys/module/vmademo/parameters/folio_size"));
			fd = open(NODE, O_RDWR | O_CLOEXEC);
			p = map_of(fd, 8 * MIB);
			ASSERT_NE(MAP_FAILED, p);
			put(p + 2 * HUGE + size - 1, 1);
			/* Not every kernel has folios of two pages */
			if (size != 2 * PAGE) {
				/* Others are read in by the kernel around a single page */
				if (i == 0 || size > PAGE)
					EXPECT_EQ(size, cached(fd))
				TH_LOG("%s", parameters);
				EXPECT_EQ(size, account_of(fd).dirty_bytes);
			}
			munmap(p, 8 * MIB);
			close(fd);
			/* A private buffer has it too, if it says nothing */
			folio_size_wanted = 0;
			fd = create_buffer(PAGE);
			EXPECT_EQ(size, fd_value(fd, "folio_size"));
			close(fd);
			ASSERT_EQ(0, unload_module());
		}
	}
}

TEST_F(params, advice)
{
	RUN_IF_READY();

	unsigned char *p;
	int fd;

	ASSERT_EQ(0, load_module(""));
	/* At any setting */
	folio_size_wanted = PAGE;
	fd = create_buffer(8 * PMD_SIZE);
	p = map_of(fd, 8 * PMD_SIZE);
	ASSERT_NE(MAP_FAILED, p);
	if (madvise(p, 2 * PMD_SIZE, MADV_HUGEPAGE) && errno == EINVAL) {
		EXPECT_EQ(0, unload_module());
		SKIP(return, "this kernel has no huge pages");
	}
	put(p + PAGE, 1);
	EXPECT_EQ(PMD_SIZE, cached(fd));
	put(p + 2 * PMD_SIZE, 1);
	EXPECT_EQ(PMD_SIZE + PAGE, cached(fd));
	munmap(p, 8 * PMD_SIZE);
	close(fd);

	folio_size_wanted = PMD_SIZE;
	fd = create_buffer(8 * PMD_SIZE);
	p = map_of(fd, 8 * PMD_SIZE);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, madvise(p, 2 * PMD_SIZE, MADV_NOHUGEPAGE));
	put(p + PAGE, 1);
	EXPECT_EQ(PAGE, cached(fd));
	put(p + 2 * PMD_SIZE, 1);
	EXPECT_EQ(PMD_SIZE + PAGE, cached(fd));
	/* Beside a page that is there, what fits */
	ASSERT_EQ(0, madvise(p, 2 * PMD_SIZE, MADV_HUGEPAGE));
	put(p + PMD_SIZE - 1, 1);
	EXPECT_EQ(PMD_SIZE + PAGE + PMD_SIZE / 2, cached(fd));
	put(p, 1);
	EXPECT_EQ(PMD_SIZE + 2 * PAGE + PMD_SIZE / 2, cached(fd));
	munmap(p, 8 * PMD_SIZE);
	close(fd);
	EXPECT_EQ(0, unload_module());
}

/* A limit that is no multiple of the size is used to the last page, and no further. */
TEST_F(params, no_room)
{
	RUN_IF_READY();

	static const char *const stores[] = { "none", "ram" };
	const size_t limit = HUGE + MIB + 3 * PAGE;
	char parameters[96];

	for (int i = 0; i < 2; i++) {
		size_t got = 0;
		unsigned char *p;
		int fd;

		snprintf(parameters, sizeof(parameters),
			 "size=8M folio_size=2M store=%s ram_limit=%zu",
			 stores[i], limit);
		ASSERT_EQ(0, load_module(parameters));
		fd = open(NODE, O_RDWR | O_CLOEXEC);
		p = map_of(fd, 8 * MIB);
		ASSERT_NE(MAP_FAILED, p);
		for (size_t at = 0; at < 8 * MIB; at += PAGE)
			got += touch_signal(p + at, 1) ? 0 : PAGE;
		/* With store ram, all pages of a folio need room at once */
		if (i == 0)
			EXPECT_EQ(limit, got);
		EXPECT_GE(limit, got);
		EXPECT_LE(HUGE, got);
		EXPECT_GE(limit, node_value("ram_used"));
		EXPECT_EQ(0, msync(p, 8 * MIB, MS_SYNC));
		EXPECT_EQ(0, node_value("lost_bytes"));
		munmap(p, 8 * MIB);
		close(fd);
		ASSERT_EQ(0, unload_module());
	}
}

/* All of them or none, also where a folio is more than what was asked for. */
TEST_F(params, allocated)
{
	RUN_IF_READY();

	int fd;

	ASSERT_EQ(0, load_module("size=8M folio_size=2M ram_limit=5M"));
	folio_size_wanted = 0;
	fd = create_buffer(8 * MIB);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(0, fallocate(fd, 0, 3 * PAGE, PAGE));
	EXPECT_EQ(HUGE, cached(fd));
	EXPECT_FAILS(ENOSPC, fallocate(fd, 0, 0, 8 * MIB));
	EXPECT_EQ(HUGE, cached(fd));
	EXPECT_EQ(HUGE, node_value("ram_used"));
	EXPECT_EQ(0, fallocate(fd, 0, 0, 5 * MIB));
	EXPECT_EQ(5 * MIB, cached(fd));
	/* Half a folio, and all of it */
	EXPECT_EQ(0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       0, MIB));
	EXPECT_EQ(4 * MIB, cached(fd));
	EXPECT_EQ(4 * MIB, node_value("ram_used"));
	EXPECT_EQ(0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       0, 8 * MIB));
	EXPECT_EQ(0, node_value("ram_used"));
	close(fd);
	ASSERT_EQ(0, unload_module());
}

/* A rule is about single pages: so none of these is in a large folio. */
TEST_F(params, ruled)
{
	RUN_IF_READY();

	struct vmademo_rule rule = { .op = VMADEMO_OP_WRITE_FAULT,
				     .start = 300,
				     .nr = 1,
				     .status = VMADEMO_STATUS_SIGBUS };
	unsigned char *p;
	int fd;

	ASSERT_EQ(0, load_module("size=8M folio_size=2M"));
	folio_size_wanted = 0;
	fd = create_buffer(8 * MIB);
	ASSERT_GE(fd, 0);
	p = map_of(fd, 8 * MIB);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, ioctl(fd, VMADEMO_IOC_RULE_ADD, &rule));
	for (size_t page = 0; page < 8 * MIB / PAGE; page++) {
		EXPECT_EQ(page == 300 ? SIGBUS : 0,
			  touch_signal(p + page * PAGE, 1))
		TH_LOG("page %zu", page);
	}
	EXPECT_EQ(8 * MIB - PAGE, cached(fd));
	/* And one that has come before cannot be divided */
	rule = (struct vmademo_rule){
		.op = VMADEMO_OP_MKWRITE, .start = 3, .nr = 1, .status = EIO
	};
	EXPECT_FAILS(EBUSY, ioctl(fd, VMADEMO_IOC_RULE_ADD, &rule));
	ASSERT_EQ(0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       0, HUGE));
	rule.id = 0;
	EXPECT_EQ(0, ioctl(fd, VMADEMO_IOC_RULE_ADD, &rule));
	EXPECT_EQ(SIGBUS, touch_signal(p + 3 * PAGE, 1));
	EXPECT_EQ(0, touch_signal(p + 2 * PAGE, 1));
	munmap(p, 8 * MIB);
	close(fd);
	ASSERT_EQ(0, unload_module());
}

TEST_F(params, prealloc)
{
	RUN_IF_READY();

	ASSERT_EQ(0,
		  load_module("size=16M folio_size=2M ram_limit=16M prealloc=1"));
	EXPECT_EQ(16 * MIB, node_value("cached_bytes"));
	ASSERT_EQ(0, unload_module());
	EXPECT_FAILS(
		ENOSPC,
		load_module("size=16M folio_size=2M ram_limit=15M prealloc=1"));
	EXPECT_FALSE(module_is_loaded());
}

TEST_HARNESS_MAIN
