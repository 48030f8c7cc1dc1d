// SPDX-License-Identifier: GPL-2.0-only
/*
 * Snapshots that wait: for a store that stands still, for a truncation under way; killed half
 * way, when nothing may be left of them.  And those of large folios.
 */
#include <linux/falloc.h>

#include "kselftest_harness.h"
#include "../lib/slow_store.h"
#include "rules.h"

#define PAGES 32UL
#define SIZE  (PAGES * PAGE)

static unsigned char bytes[4 * MIB], others[4 * MIB];

FIXTURE(slow)
{
	const char *skip;
	struct slow store;
	int fd, node;
	int64_t used;
	unsigned char *map;
	char hung[24];
};

FIXTURE_VARIANT(slow)
{
	enum slow_kind kind;
};

FIXTURE_VARIANT_ADD(slow, frozen){ .kind = FROZEN_EXT4 };
FIXTURE_VARIANT_ADD(slow, mute){ .kind = MUTE_FUSE };

FIXTURE_SETUP(slow)
{
	memset(self, 0, sizeof(*self));
	self->skip = slow_make(&self->store, variant->kind, SIZE);
	if (self->skip)
		return;
	self->used = node_value("ram_used");
	self->fd = create_with(VMADEMO_STORE_FILE, 0, self->store.file);
	ASSERT_GE(self->fd, 0) TH_LOG("create: %s", strerror(errno));
	self->map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
	memset(self->map, 'o', SIZE);
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, fsync(self->store.file));
	snprintf(self->hung, sizeof(self->hung), "%" PRId64,
		 read_number(hung_task));
	write_text(hung_task, "0");
}

FIXTURE_TEARDOWN(slow)
{
	if (self->skip)
		return;
	slow_go(&self->store);
	write_text(hung_task, self->hung);
	EXPECT_ACCOUNT_ADDS_UP(self->fd);
	munmap(self->map, SIZE);
	close(self->fd);
	slow_end(&self->store);
	/* Nothing is left of those that were killed */
	EXPECT_EQ(self->used, node_value("ram_used"));
}

static pid_t start_snapshot(int fd, uint32_t permille)
{
	struct vmademo_crash c = { .written_permille = permille };
	pid_t pid = fork();

	if (pid == 0)
		_exit(take_snapshot(fd, &c) < 0 ? errno : 0);
	return pid;
}

static void start_write_back(int fd)
{
	sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

/* The first page arrives before anything is copied: it is there, and not told as lost. */
static pid_t start_snapshot_of_what_arrives(int fd)
{
	struct vmademo_crash c = { 0 };
	pid_t pid = fork();
	int snapshot;

	if (pid == 0) {
		snapshot = take_snapshot(fd, &c);
		_exit(snapshot < 0 || pread(snapshot, bytes, SIZE, 0) != SIZE ||
		      bytes[0] != 'n' || bytes[PAGE] != 'o' ||
		      bytes[2 * PAGE] != 'o' || c.lost_folios > 2);
	}
	return pid;
}

/* A write that the store has begun is waited for; that can be killed, and others go on. */
TEST_F(slow, write_under_way)
{
	RUN_IF_READY();

	struct vmademo_crash all = { .written_permille = 1000 };
	pid_t pid, other;
	int snapshot, status;

	if (variant->kind == MUTE_FUSE) {
		FUSE_WRITES_LEFT(&self->store) = 1;
		*self->store.mute = HOLD_WRITE;
	} else {
		ASSERT_EQ(0, slow_stop(&self->store));
	}
	put(self->map, 'n');
	start_write_back(self->fd);
	/* FUSE takes it into its own page cache, and writes it when it is asked */
	other = fork();
	if (other == 0)
		_exit(fsync(self->fd));
	EXPECT_TRUE(waits(other));
	put(self->map + PAGE, 'n');
	if (variant->kind == FROZEN_EXT4) {
		pid = start_snapshot(self->fd, 1000);
		EXPECT_TRUE(waits(pid));
		/* What is mapped is read and written to meanwhile */
		put(self->map + PAGE, 'm');
		kill(pid, SIGKILL);
		ASSERT_TRUE(ends(pid));
		/* It has let go of the file */
		EXPECT_EQ(1, pwrite(self->fd, "p", 1, 2 * PAGE));
		pid = start_snapshot_of_what_arrives(self->fd);
		EXPECT_TRUE(waits(pid));
		ASSERT_EQ(0, ioctl(self->store.mount, FITHAW, 0));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(0, status);
	} else {
		put(self->map + PAGE, 'm');
		EXPECT_EQ(1, pwrite(self->fd, "p", 1, 2 * PAGE));
		*self->store.mute = ANSWER;
	}
	ASSERT_TRUE(ends(other));
	snapshot = take_snapshot(self->fd, &all);
	ASSERT_GE(snapshot, 0);
	ASSERT_EQ(SIZE, pread(snapshot, bytes, SIZE, 0));
	EXPECT_EQ('n', bytes[0]);
	EXPECT_EQ('m', bytes[PAGE]);
	EXPECT_EQ('p', bytes[2 * PAGE]);
	EXPECT_EQ('o', bytes[3 * PAGE]);
	close(snapshot);
	EXPECT_EQ(0, fsync(self->fd));
}

/* A frozen file system can be read: nobody waits for what is dirty. */
TEST_F(slow, frozen_is_read)
{
	RUN_IF_READY();
	if (variant->kind != FROZEN_EXT4)
		SKIP(return, "it is about freezing");

	struct vmademo_crash all = { .written_permille = 1000 };
	int snapshot;

	put(self->map, 'n');
	ASSERT_EQ(0, slow_stop(&self->store));
	snapshot = take_snapshot(self->fd, &all);
	ASSERT_GE(snapshot, 0);
	ASSERT_EQ(SIZE, pread(snapshot, bytes, SIZE, 0));
	EXPECT_EQ('n', bytes[0]);
	EXPECT_EQ('o', bytes[SIZE - 1]);
	close(snapshot);
	ASSERT_EQ(0, ioctl(self->store.mount, FITHAW, 0));
}

/* Half of it is copied, and then the store does not answer. */
TEST_F(slow, killed_half_way)
{
	RUN_IF_READY();
	if (variant->kind != MUTE_FUSE)
		SKIP(return, "what is frozen can be read");

	pid_t pid, writer;
	int snapshot, status;

	/* The server keeps it; of the page cache below, all but the first half goes */
	ASSERT_EQ(0, posix_fadvise(self->store.file, SIZE / 2, SIZE / 2,
				   POSIX_FADV_DONTNEED));
	*self->store.mute = HOLD_READ;
	pid = start_snapshot(self->fd, 1000);
	for (int i = 0; i < LONG * 1000 && *self->store.mute != HOLDS_READ; i++)
		usleep(1000);
	ASSERT_EQ(HOLDS_READ, *self->store.mute);
	EXPECT_LT(self->used, node_value("ram_used"));
	/* What arrives in the store waits; what is cached goes on */
	put(self->map, 'n');
	writer = fork();
	if (writer == 0)
		_exit(fsync(self->fd));
	EXPECT_TRUE(waits(writer));
	put(self->map + PAGE, 'n');
	kill(pid, SIGKILL);
	usleep(10000);
	*self->store.mute = ANSWER;
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(self->used, node_value("ram_used"));
	ASSERT_EQ(writer, waitpid(writer, &status, 0));
	EXPECT_EQ(0, status);
	snapshot = take_snapshot(self->fd, NULL);
	ASSERT_GE(snapshot, 0);
	ASSERT_EQ(SIZE, pread(snapshot, bytes, SIZE, 0));
	EXPECT_EQ('n', bytes[0]);
	EXPECT_EQ('o', bytes[SIZE - 1]);
	close(snapshot);
}

/* ---- others under way ---------------------------------------------------- */

/* A truncation that waits for write-back has the file. */
TEST(waits_for_a_truncation)
{
	int fd = create_with(VMADEMO_STORE_RAM, SIZE, 0), snapshot, status;
	unsigned char *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
				  MAP_SHARED, fd, 0);
	struct vmademo_crash all = { .written_permille = 1000 };
	const int64_t used = node_value("ram_used");
	pid_t syncer, cutter, killed, taker;
	char hung[24];
	int64_t id;

	ASSERT_NE(MAP_FAILED, map);
	snprintf(hung, sizeof(hung), "%" PRId64, read_number(hung_task));
	write_text(hung_task, "0");
	memset(map, 'o', SIZE);
	ASSERT_EQ(0, fsync(fd));
	id = ADD_RULE(fd, .op = VMADEMO_OP_WRITE_OUT, .times = 1,
		      .delay_us = VMADEMO_DELAY_MAX);
	ASSERT_LT(0, id);
	memset(map, 'n', SIZE);
	syncer = fork();
	if (syncer == 0)
		_exit(msync(map, PAGE, MS_SYNC) ? errno : 0);
	while (hits_of(fd, id) < 1)
		usleep(1000);
	/* At this event it does not wait */
	snapshot = take_snapshot(fd, &all);
	ASSERT_GE(snapshot, 0);
	ASSERT_EQ(SIZE, pread(snapshot, bytes, SIZE, 0));
	EXPECT_EQ('n', bytes[0]);
	EXPECT_EQ('n', bytes[SIZE - 1]);
	close(snapshot);

	cutter = fork();
	if (cutter == 0)
		_exit(ftruncate(fd, 5 * PAGE + 10) ? errno : 0);
	EXPECT_TRUE(waits(cutter));
	killed = start_snapshot(fd, 1000);
	all = (struct vmademo_crash){ .written_permille = 1000 };
	taker = fork();
	if (taker == 0) {
		snapshot = take_snapshot(fd, &all);
		_exit(snapshot < 0 ? errno
				   : lseek(snapshot, 0, SEEK_END) !=
					     5 * (off_t)PAGE + 10);
	}
	EXPECT_TRUE(waits(killed));
	EXPECT_TRUE(waits(taker));
	kill(killed, SIGKILL);
	ASSERT_TRUE(ends(killed));
	ASSERT_EQ(0, del_rule(fd, id));
	ASSERT_EQ(syncer, waitpid(syncer, &status, 0));
	EXPECT_EQ(0, status);
	ASSERT_EQ(cutter, waitpid(cutter, &status, 0));
	EXPECT_EQ(0, status);
	ASSERT_EQ(taker, waitpid(taker, &status, 0));
	EXPECT_EQ(0, status);
	munmap(map, SIZE);
	close(fd);
	EXPECT_GE(used, node_value("ram_used"));
	write_text(hung_task, hung);
}

/* ---- large folios -------------------------------------------------------- */

/* The same bytes as the cut leaves, however large the folios are. */
TEST(large_folios)
{
	static const enum store_kind kinds[] = { STORE_RAM, STORE_TREE,
						 STORE_TMPFS };
	static const uint32_t sizes[] = { 16384, 65536, 2 * MIB };
	const size_t size = 4 * MIB - 3 * PAGE - 100;

	for (int i = 0; i < 3 * 3 * 3; i++) {
		struct vmademo_crash c = { .seed = i,
					   .written_permille = i / 9 * 400,
					   .torn = 3 };
		struct vmademo_crash s = c;
		unsigned int seed = i;
		unsigned char *map;
		int lower, fd, snapshot;

		folio_size_wanted = sizes[i % 3];
		fd = create_store(kinds[i / 3 % 3], size, &lower);
		ASSERT_GE(fd, 0) TH_LOG("%s", strerror(errno));
		map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		ASSERT_NE(MAP_FAILED, map);
		memset(map, 'o', 3 * MIB);
		ASSERT_EQ(0, fsync(fd));
		for (int n = 0; n < 40; n++)
			memset(map + rand_r(&seed) % (size - 5000),
			       'a' + n % 26, rand_r(&seed) % 5000);
		/* Some of it is split */
		ASSERT_EQ(0, fallocate(fd,
				       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				       MIB + 5000, 70000));
		snapshot = take_snapshot(fd, &s);
		ASSERT_GE(snapshot, 0);
		ASSERT_EQ(0, ioctl(fd, VMADEMO_IOC_CRASH, &c));
		EXPECT_EQ(c.written_folios, s.written_folios);
		EXPECT_EQ(c.torn_folios, s.torn_folios);
		EXPECT_EQ(c.lost_folios, s.lost_folios);
		EXPECT_EQ(c.lost_bytes, s.lost_bytes);
		ASSERT_EQ(size, pread(snapshot, bytes, sizeof(bytes), 0));
		ASSERT_EQ(size, pread(fd, others, sizeof(others), 0));
		EXPECT_EQ(0, memcmp(bytes, others, size)) TH_LOG("%d", i);
		munmap(map, size);
		close(snapshot);
		end_store(kinds[i / 3 % 3], fd, lower);
	}
	folio_size_wanted = PAGE;
}

TEST_HARNESS_MAIN
