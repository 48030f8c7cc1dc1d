// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMADEMO_IOC_PAGES: what each page of a range is, told a byte a page; and VMADEMO_IOC_STATS:
 * all counters at once.
 */
#include <stdbool.h>
#include <stddef.h>

#include "kselftest_harness.h"
#include "stores.h"

#define PAGES 16UL
#define SIZE  (PAGES * PAGE)
#define HUGE  PMD_SIZE

#define CACHED	  VMADEMO_PAGE_CACHED
#define FILLED	  (VMADEMO_PAGE_CACHED | VMADEMO_PAGE_UPTODATE)
#define DIRTY	  VMADEMO_PAGE_DIRTY
#define WRITEBACK VMADEMO_PAGE_WRITEBACK
#define MAPPED	  VMADEMO_PAGE_MAPPED
#define STORED	  VMADEMO_PAGE_STORED
#define LARGE	  VMADEMO_PAGE_LARGE

/* With store none, which create_store() does not make. */
#define NONE ((enum store_kind)100)

/* Large folios need room: four of the largest */
FIXTURE(pages)
{
	const char *skip;
	int fd, lower;
	unsigned char *map;
	size_t size, folio; /* in bytes */
};

FIXTURE_STORES(pages);
FIXTURE_VARIANT_ADD(pages, none){ .kind = NONE };
FIXTURE_VARIANT_ADD(pages, none_64k){ .kind = NONE, .folio_size = 65536 };
FIXTURE_VARIANT_ADD(pages, none_2m){ .kind = NONE, .folio_size = PMD_FOLIO };
FIXTURE_VARIANT_ADD(pages, ram_64k){ .kind = STORE_RAM, .folio_size = 65536 };
FIXTURE_VARIANT_ADD(pages, ram_2m){ .kind = STORE_RAM, .folio_size = PMD_FOLIO };

FIXTURE_SETUP(pages)
{
	self->lower = -1;
	self->folio = variant->folio_size ? folio_bytes(variant->folio_size)
					  : PAGE;
	self->size = variant->folio_size || variant->kind == NONE ? 4 * HUGE
								  : SIZE;
	folio_size_wanted = self->folio;
	self->fd = variant->kind == NONE
			   ? create_buffer(self->size)
			   : create_store(variant->kind, self->size,
					  &self->lower);
	if (self->fd < 0 && errno == ENODEV) {
		self->skip = "no such store on this machine";
		return;
	}
	ASSERT_GE(self->fd, 0) TH_LOG("create: %s", strerror(errno));
	self->map = mmap(NULL, self->size, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
}

FIXTURE_TEARDOWN(pages)
{
	if (self->skip)
		return;
	munmap(self->map, self->size);
	if (self->lower < 0)
		close(self->fd);
	else
		end_store(variant->kind, self->fd, self->lower);
}

/* How many pages were told of, or -1 and errno. */
static int64_t tell(int fd, uint64_t offset, uint64_t count, void *states)
{
	struct vmademo_pages p = {
		.offset = offset,
		.count = count,
		.states = (uintptr_t)states,
	};

	if (ioctl(fd, VMADEMO_IOC_PAGES, &p))
		return -1;
	return p.count;
}

/* One page; 0xee, which no page is, if nothing was told. */
static unsigned int state(int fd, size_t page)
{
	unsigned char byte = 0xee;

	return tell(fd, page * PAGE, 1, &byte) == 1 ? byte : 0xee;
}

/* What all pages of its folio are; 0xee, too, if they are not the same. */
static unsigned int folio_state(FIXTURE_DATA(pages) * self, size_t page)
{
	unsigned char states[HUGE / PAGE];
	size_t n = self->folio / PAGE;

	if (tell(self->fd, page / n * self->folio, n, states) != n)
		return 0xee;
	for (size_t i = 1; i < n; i++)
		if (states[i] != states[0])
			return 0xee;
	return states[0];
}

/* The life of a page, and of the folio that it is in. */
TEST_F(pages, life)
{
	RUN_IF_READY();

	const bool has_store = variant->kind != NONE;
	/* A block device is all data, and a file what was written to it */
	const unsigned int hole = variant->kind == STORE_BLOCK ? STORED : 0;
	/* Store ram takes room for a page when it becomes dirty */
	const unsigned int room = variant->kind <= STORE_RAM ? STORED : hole;
	const unsigned int large = self->folio > PAGE ? LARGE : 0;
	const size_t other = 9 + self->folio / PAGE;
	unsigned char byte = 1;

	ASSERT_EQ(0, posix_fadvise(self->fd, 0, 0, POSIX_FADV_RANDOM));
	ASSERT_EQ(0, madvise(self->map, self->size, MADV_RANDOM));
	EXPECT_EQ(hole, folio_state(self, other));
	/* Read by a call, of which the kernel says how large the folio is */
	ASSERT_EQ(1, pread(self->fd, &byte, 1, other * PAGE));
	EXPECT_EQ(FILLED | hole, state(self->fd, other) & ~large);
	EXPECT_EQ(hole, folio_state(self, 3));
	/* Mapped; by a private mapping, too */
	EXPECT_EQ(0, touch(self->map + 3 * PAGE));
	EXPECT_EQ(FILLED | MAPPED | hole | large, folio_state(self, 3));
	/* Dirty */
	put(self->map + 3 * PAGE, 7);
	EXPECT_EQ(FILLED | MAPPED | DIRTY | room | large, folio_state(self, 3));
	/* Written back */
	ASSERT_EQ(0, fsync(self->fd));
	EXPECT_EQ(FILLED | MAPPED | (has_store ? STORED : 0) | large,
		  folio_state(self, 3));
	/* Unmapped */
	ASSERT_EQ(0, madvise(self->map, self->size, MADV_DONTNEED));
	EXPECT_EQ(FILLED | (has_store ? STORED : 0) | large,
		  folio_state(self, 3));
	/* Evicted */
	if (has_store) {
		ASSERT_EQ(0, posix_fadvise(self->fd, 0, 0, POSIX_FADV_DONTNEED));
		EXPECT_EQ(STORED, folio_state(self, 3));
	}
	/* Revoked: it is not mapped, but all else stays */
	EXPECT_EQ(7, touch(self->map + 3 * PAGE));
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_REVOKE));
	EXPECT_EQ(FILLED | (has_store ? STORED : 0) | large,
		  folio_state(self, 3));
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_RESTORE));
	/* Punched */
	if (variant->kind != STORE_BLOCK) {
		struct vmademo_discard d = { .length = self->size };

		ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_DISCARD, &d));
		EXPECT_EQ(0, folio_state(self, 3));
	}
}

/* A private copy is no page of the buffer, but what it was copied from is mapped till then. */
TEST_F(pages, private_copy)
{
	RUN_IF_READY();

	unsigned char *copies = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE, self->fd, 0);

	ASSERT_NE(MAP_FAILED, copies);
	EXPECT_EQ(0, touch(copies + PAGE));
	EXPECT_EQ(MAPPED, state(self->fd, 1) & MAPPED);
	put(copies + PAGE, 1);
	if (!(state(self->fd, 1) & LARGE)) {
		EXPECT_EQ(0, state(self->fd, 1) & (MAPPED | DIRTY));
	}
	munmap(copies, SIZE);
}

/* A range, and every other folio of it. */
TEST_F(pages, range)
{
	RUN_IF_READY();

	const size_t n = self->folio / PAGE, pages = self->size / PAGE;
	unsigned char states[5 * HUGE / PAGE];

	for (size_t i = 0; i < pages; i += 2 * n)
		ASSERT_EQ(1, pwrite(self->fd, "x", 1, i * PAGE));
	/* It ends where the buffer ends */
	memset(states, 0xee, sizeof(states));
	ASSERT_EQ(pages, tell(self->fd, 0, sizeof(states), states));
	for (size_t i = 0; i < pages; i++) {
		unsigned int expected = i / n % 2 ? 0 : FILLED | DIRTY;

		/* The others may have been read ahead */
		ASSERT_EQ(expected, states[i] & (expected | DIRTY | MAPPED))
		TH_LOG("page %zu", i);
	}
	EXPECT_EQ(0xee, states[pages]);
	/* A part of it, and no byte beside it */
	memset(states, 0xee, sizeof(states));
	ASSERT_EQ(3, tell(self->fd, (2 * n - 1) * PAGE, 3, states + 1));
	EXPECT_EQ(0xee, states[0]);
	EXPECT_EQ(0, states[1] & DIRTY);
	EXPECT_EQ(DIRTY, states[2] & DIRTY);
	EXPECT_EQ(n > 1 ? DIRTY : 0, states[3] & DIRTY);
	EXPECT_EQ(0xee, states[4]);
	/* The last one, and none */
	EXPECT_EQ(1, tell(self->fd, self->size - PAGE, 1, states));
	EXPECT_EQ(1, tell(self->fd, self->size - PAGE, UINT64_MAX, states));
	EXPECT_EQ(0, tell(self->fd, self->size, 1, states));
	EXPECT_EQ(0, tell(self->fd, self->size, 1, NULL));
	EXPECT_EQ(0, tell(self->fd, MAX_SIZE, UINT64_MAX, NULL));
	if (variant->kind != STORE_BLOCK) {
		/* A page of which only a byte is in the buffer is a page */
		ASSERT_EQ(0, ftruncate(self->fd, PAGE + 1));
		EXPECT_EQ(2, tell(self->fd, 0, pages, states));
		ASSERT_EQ(0, ftruncate(self->fd, 0));
		EXPECT_EQ(0, tell(self->fd, 0, pages, states));
	}
}

/*
 * With MADV_HUGEPAGE it is all that one entry can map that is dirty and mapped, in one folio,
 * until it is split.
 */
TEST_F(pages, advised)
{
	RUN_IF_READY();

	const unsigned int room = variant->kind <= STORE_RAM ? STORED : 0;
	struct vmademo_discard d = { .offset = (HUGE / PAGE + 88) * PAGE,
				     .length = PAGE };
	const size_t n = HUGE / PAGE;
	unsigned char *page;

	if (self->size < 4 * HUGE)
		SKIP(return, "single pages stay single pages");
	ASSERT_EQ(0, madvise(self->map, self->size, MADV_HUGEPAGE));
	self->folio = HUGE;
	put(self->map + (n + 188) * PAGE, 1);
	EXPECT_EQ(FILLED | MAPPED | DIRTY | LARGE | room,
		  folio_state(self, n + 188));
	EXPECT_EQ(0, folio_state(self, 3));
	EXPECT_EQ(0, folio_state(self, 2 * n));
	ASSERT_EQ(0, madvise(self->map + HUGE, HUGE, MADV_DONTNEED));
	EXPECT_EQ(FILLED | DIRTY | LARGE | room, folio_state(self, n + 188));
	/* Where a single page is mapped, the folio is */
	page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->fd,
		    (n + 189) * PAGE);
	ASSERT_NE(MAP_FAILED, page);
	EXPECT_EQ(0, touch(page));
	EXPECT_EQ(FILLED | MAPPED | DIRTY | LARGE | room,
		  folio_state(self, n + 188));
	munmap(page, PAGE);
	EXPECT_EQ(FILLED | DIRTY | LARGE | room, folio_state(self, n + 188));
	/* What is not punched stays as it was */
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_DISCARD, &d));
	EXPECT_EQ(0, state(self->fd, n + 88));
	EXPECT_EQ(FILLED | DIRTY | room, state(self->fd, n + 87) & ~LARGE);
	EXPECT_EQ(FILLED | DIRTY | room, state(self->fd, n + 89) & ~LARGE);
	EXPECT_EQ(FILLED | DIRTY | room, state(self->fd, 2 * n - 1) & ~LARGE);
}

/* Absurd requests. */
TEST_F(pages, refused)
{
	RUN_IF_READY();

	unsigned char states[PAGES];
	struct vmademo_pages p = { .count = 1, .states = (uintptr_t)states };

	memset(states, 0xee, sizeof(states));
	EXPECT_FAILS(EINVAL, tell(self->fd, 0, 0, states));
	EXPECT_FAILS(EINVAL, tell(self->fd, 1, 1, states));
	EXPECT_FAILS(EINVAL, tell(self->fd, PAGE - 1, 1, states));
	EXPECT_FAILS(EINVAL, tell(self->fd, MAX_SIZE + PAGE, 1, states));
	EXPECT_FAILS(EINVAL, tell(self->fd, 1ULL << 63, 1, states));
	EXPECT_FAILS(EINVAL, tell(self->fd, -1ULL / PAGE * PAGE, 1, states));
	EXPECT_FAILS(EFAULT, tell(self->fd, 0, 1, NULL));
	EXPECT_FAILS(EFAULT, tell(self->fd, 0, PAGES, (void *)-8L));
	EXPECT_FAILS(EFAULT, ioctl(self->fd, VMADEMO_IOC_PAGES, NULL));
	p.flags = 1;
	EXPECT_FAILS(EINVAL, ioctl(self->fd, VMADEMO_IOC_PAGES, &p));
	p.flags = 0;
	p.reserved0 = 1;
	EXPECT_FAILS(EINVAL, ioctl(self->fd, VMADEMO_IOC_PAGES, &p));
	p.reserved0 = 0;
	p.reserved[3] = 1;
	EXPECT_FAILS(EINVAL, ioctl(self->fd, VMADEMO_IOC_PAGES, &p));
	for (size_t i = 0; i < PAGES; i++)
		EXPECT_EQ(0xee, states[i]);
}

/* Into a mapping of the buffer itself: the pages that it touches are told of, too. */
TEST_F(pages, into_itself)
{
	RUN_IF_READY();

	EXPECT_EQ(PAGES, tell(self->fd, 0, PAGES, self->map + PAGE));
	EXPECT_EQ(FILLED | DIRTY | MAPPED,
		  state(self->fd, 1) & (FILLED | DIRTY | MAPPED));
}

/* More than fits at once; and what is large, but has little in it. */
TEST(many)
{
	const size_t count = 3 * PAGE + 17;
	unsigned char *states = malloc(count + 1), *map;
	int fd;

	folio_size_wanted = PAGE;
	fd = create_with(VMADEMO_STORE_RAM, count * PAGE, 0);
	ASSERT_GE(fd, 0);
	ASSERT_NE(NULL, states);
	map = mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, madvise(map, count * PAGE, MADV_RANDOM));
	/* Across the borders of what is looked up at a time */
	for (size_t i = PAGE - 3; i < PAGE + 5; i++)
		put(map + i * PAGE, 1);
	put(map + (count - 1) * PAGE, 1);
	memset(states, 0xee, count + 1);
	ASSERT_EQ(count, tell(fd, 0, count + 1, states));
	for (size_t i = 0; i < count; i++) {
		bool in = (i >= PAGE - 3 && i < PAGE + 5) || i == count - 1;

		ASSERT_EQ(in ? FILLED | DIRTY | MAPPED | STORED : 0,
			  states[i] & ~LARGE)
		TH_LOG("page %zu", i);
	}
	EXPECT_EQ(0xee, states[count]);
	/* By another start, the same */
	ASSERT_EQ(count - PAGE + 2, tell(fd, (PAGE - 2) * PAGE, count, states));
	for (size_t i = 0; i < PAGE; i++)
		ASSERT_EQ(i < 7, !!(states[i] & STORED));
	munmap(map, count * PAGE);
	close(fd);
	free(states);
}

/* A buffer as large as can be; whoever looks at all of it can be killed. */
TEST(huge)
{
	const size_t room = IS_32_BIT ? 512 * MIB : 16384 * MIB;
	int fd = create_with(VMADEMO_STORE_NONE, MAX_SIZE, 0), status;
	unsigned char state = 0xee;
	void *states;
	pid_t pid;

	ASSERT_GE(fd, 0);
	EXPECT_EQ(1, tell(fd, MAX_SIZE - PAGE, 100, &state));
	EXPECT_EQ(0, state);
	/* Memory that is cheap to write to, so that it takes long and no room */
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		states = mmap(NULL, room, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		for (size_t at = 0; states != MAP_FAILED && at < room;
		     at += 2 * MIB) {
			/* The same 2 MiB everywhere */
			if (at && mremap(states, 0, 2 * MIB,
					 MREMAP_MAYMOVE | MREMAP_FIXED,
					 (char *)states + at) == MAP_FAILED)
				_exit(1);
		}
		for (;;)
			tell(fd, 0, room, states);
	}
	usleep(500000);
	EXPECT_EQ(0, waitpid(pid, &status, WNOHANG));
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	close(fd);
}

/* ---- counters ------------------------------------------------------------- */

static const struct {
	const char *name;
	size_t at;
} counters[] = {
#define EVENT(NAME, name)  { #name, offsetof(struct vmademo_stats, name) },
#define FOLIOS(NAME, name) EVENT(, name##_folios) EVENT(, name##_bytes)
	VMADEMO_COUNTERS(EVENT, FOLIOS)
#undef EVENT
#undef FOLIOS
};

/* The same numbers as in fdinfo, of the node and of others. */
TEST(stats)
{
	struct vmademo_stats stats = { .size = sizeof(stats) };
	unsigned char *map;
	int fd;

	folio_size_wanted = PAGE;
	for (int node = 0; node < 2; node++) {
		fd = node ? open(NODE, O_RDWR | O_CLOEXEC)
			  : create_with(VMADEMO_STORE_RAM, SIZE, 0);
		ASSERT_GE(fd, 0);
		map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		ASSERT_NE(MAP_FAILED, map);
		for (size_t i = 0; i < PAGES; i++)
			put(map + i * PAGE, 1);
		touch(map);
		ASSERT_EQ(0, fsync(fd));
		put(map, 1);
		ASSERT_EQ(0, node ? 0 : power_cut(fd));
		touch(map);
		munmap(map, SIZE);
		ASSERT_EQ(0, ioctl(fd, VMADEMO_IOC_STATS, &stats));
		EXPECT_EQ(sizeof(stats), stats.size);
		for (size_t i = 0; i < sizeof(counters) / sizeof(*counters); i++) {
			uint64_t value;

			memcpy(&value, (char *)&stats + counters[i].at, 8);
			EXPECT_EQ(fd_value(fd, counters[i].name), value)
			TH_LOG("%s", counters[i].name);
		}
		EXPECT_LE(SIZE, stats.dirtied_bytes);
		EXPECT_EQ(node ? 0 : PAGE, stats.last_crash_lost_bytes);
		EXPECT_EQ(node ? 0 : 1, stats.last_crash_lost_folios);
		close(fd);
	}
}

/* A program that is older or newer than the module. */
TEST(stats_of_another_size)
{
	union {
		struct vmademo_stats stats;
		uint32_t size;
		unsigned char bytes[2 * PAGE];
	} u;
	const size_t known = sizeof(u.stats);
	int fd = create_buffer(PAGE);
	char byte = 0;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(1, pwrite(fd, &byte, 1, 0));
	/* Newer: what the module does not know is 0 before and after */
	memset(&u, 0, sizeof(u));
	u.size = known + 64;
	memset(u.bytes + 8, 0xee, known - 8);
	memset(u.bytes + known + 64, 0xee, 8);
	ASSERT_EQ(0, ioctl(fd, VMADEMO_IOC_STATS, &u));
	EXPECT_EQ(known, u.size);
	EXPECT_EQ(1, u.stats.dirtied_folios);
	EXPECT_EQ(0, u.stats.revocations);
	for (size_t i = known; i < known + 64; i++)
		EXPECT_EQ(0, u.bytes[i]);
	EXPECT_EQ(0xee, u.bytes[known + 64]);
	/* As it was filled, it can be passed again */
	EXPECT_EQ(0, ioctl(fd, VMADEMO_IOC_STATS, &u));
	u.size = PAGE;
	u.bytes[known + 64] = 0;
	memset(u.bytes + known, 0, PAGE - known);
	EXPECT_EQ(0, ioctl(fd, VMADEMO_IOC_STATS, &u));
	u.size = PAGE;
	u.bytes[PAGE - 1] = 1;
	EXPECT_FAILS(E2BIG, ioctl(fd, VMADEMO_IOC_STATS, &u));
	EXPECT_EQ(PAGE, u.size);
	u.bytes[PAGE - 1] = 0;
	u.bytes[known] = 1;
	EXPECT_FAILS(E2BIG, ioctl(fd, VMADEMO_IOC_STATS, &u));
	u.bytes[known] = 0;
	u.size = PAGE + 1;
	EXPECT_FAILS(E2BIG, ioctl(fd, VMADEMO_IOC_STATS, &u));
	u.size = UINT32_MAX;
	EXPECT_FAILS(E2BIG, ioctl(fd, VMADEMO_IOC_STATS, &u));
	/* Older: no byte behind what it knows */
	memset(&u, 0, sizeof(u));
	memset(u.bytes + VMADEMO_STATS_SIZE_VER0, 0xee, 64);
	u.size = VMADEMO_STATS_SIZE_VER0;
	EXPECT_EQ(0, ioctl(fd, VMADEMO_IOC_STATS, &u));
	EXPECT_EQ(VMADEMO_STATS_SIZE_VER0, u.size);
	EXPECT_EQ(1, u.stats.dirtied_folios);
	EXPECT_EQ(0xee, u.bytes[VMADEMO_STATS_SIZE_VER0]);
	u.size = VMADEMO_STATS_SIZE_VER0 - 1;
	EXPECT_FAILS(EINVAL, ioctl(fd, VMADEMO_IOC_STATS, &u));
	u.size = 0;
	EXPECT_FAILS(EINVAL, ioctl(fd, VMADEMO_IOC_STATS, &u));
	u.size = known;
	u.stats.flags = 1;
	EXPECT_FAILS(EINVAL, ioctl(fd, VMADEMO_IOC_STATS, &u));
	EXPECT_FAILS(EFAULT, ioctl(fd, VMADEMO_IOC_STATS, NULL));
	close(fd);
}

TEST_HARNESS_MAIN
