// SPDX-License-Identifier: GPL-2.0-only
/*
 * A buffer on a file that is four times as large as the machine's memory: written whole
 * by a mapping, read back whole, and verified.  What does not fit goes to the file,
 * and comes back from there.
 *
 * Takes long, so scripts/check runs it by itself, on a machine with little memory, and
 * sets VMADEMO_SMALL.
 */
#include "kselftest_harness.h"
#include "stores.h"

static uint64_t pattern(uint64_t page, int round)
{
	return (page + 1) * 0x9e3779b97f4a7c15ULL + round;
}

/* Walks through all of the buffer by windows, as a 32-bit program must. */
static void walk(struct __test_metadata *_metadata, int fd, uint64_t size,
		 int round, bool write)
{
	const uint64_t window = 64 * MIB;

	for (uint64_t from = 0; from < size; from += window) {
		uint64_t len = size - from < window ? size - from : window;
		unsigned char *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
					MAP_SHARED, fd, from);

		ASSERT_NE(MAP_FAILED, p);
		for (uint64_t at = 0; at < len; at += PAGE) {
			volatile uint64_t *first = (void *)(p + at);
			volatile uint64_t *last = (void *)(p + at + PAGE - 8);
			const uint64_t want = pattern((from + at) / PAGE, round);

			if (write) {
				*first = want;
				*last = ~want;
			} else {
				ASSERT_EQ(want, *first);
				ASSERT_EQ(~want, *last);
			}
		}
		munmap(p, len);
	}
}

FIXTURE(beyond_memory)
{
	char interval[24];
};

/* The flusher comes by as it does everywhere. */
FIXTURE_SETUP(beyond_memory)
{
	snprintf(self->interval, sizeof(self->interval), "%" PRId64,
		 read_number("/proc/sys/vm/dirty_writeback_centisecs"));
	write_text("/proc/sys/vm/dirty_writeback_centisecs", "500");
}

FIXTURE_TEARDOWN(beyond_memory)
{
	write_text("/proc/sys/vm/dirty_writeback_centisecs", self->interval);
}

TEST_F_TIMEOUT(beyond_memory, on_a_file, 1200)
{
	const char *small = getenv("VMADEMO_SMALL");
	const uint64_t memory = meminfo("MemTotal");
	const uint64_t size = (4 * memory + MIB - 1) / MIB * MIB;
	int64_t oom = vmstat("oom_kill");
	struct account now;
	int fd, lower;

	if (!small || !*small)
		SKIP(return, "wants a machine of its own, with little memory");
	fd = create_store(STORE_EXT4, size, &lower);
	ASSERT_GE(fd, 0) TH_LOG("create: %s", strerror(errno));
	walk(_metadata, fd, size, 1, true);
	now = account_of(fd);
	/* It went to the file while it was written, and left the memory */
	EXPECT_LT(size / 4 * 3 - 64 * MIB, now.written_bytes + now.evicted_bytes);
	EXPECT_LT(0, now.evicted_folios);
	EXPECT_GT(memory, now.cached_bytes);
	ASSERT_EQ(0, fsync(fd));
	walk(_metadata, fd, size, 1, false);
	now = account_of(fd);
	EXPECT_LT(size / 2, now.read_in_bytes);
	EXPECT_GT(memory, now.cached_bytes);
	EXPECT_EQ(0, now.write_errors);
	EXPECT_EQ(0, now.read_errors);
	EXPECT_EQ(0, now.lost_folios);
	EXPECT_ACCOUNT_ADDS_UP(fd);
	EXPECT_EQ(oom, vmstat("oom_kill"));
	TH_LOG("%" PRIu64 " MiB in a memory of %" PRIu64 " MiB: %" PRId64
	       " MiB evicted, %" PRId64 " read in",
	       size / MIB, memory / MIB, now.evicted_bytes / (int64_t)MIB,
	       now.read_in_bytes / (int64_t)MIB);
	end_store(STORE_EXT4, fd, lower);
}

TEST_HARNESS_MAIN
