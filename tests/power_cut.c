// SPDX-License-Identifier: GPL-2.0-only
/*
 * A simulated power cut: what was not on the store is gone, from mappings too; what
 * was synced is there.  What the flusher may have written before is chosen by a seed.
 */
#include <pthread.h>

#define PAGES  64UL
#define SIZE   (PAGES * PAGE)
#define SECTOR 512UL

#define STORE_SIZE SIZE
#include "../lib/slow_store.h"
#include "store_fixture.h"

/* Every byte of the buffer is old, and on the store; then each is new, and dirty. */
static void old_and_new(struct __test_metadata *_metadata,
			FIXTURE_DATA(store) * self)
{
	memset(self->map, 'o', SIZE);
	ASSERT_EQ(0, fsync(self->fd));
	memset(self->map, 'n', SIZE);
}

/* How many of the page's sectors are new; -1 if one is neither new nor old. */
static int new_sectors(const unsigned char *page)
{
	int count = 0;

	for (size_t at = 0; at < PAGE; at += SECTOR) {
		for (size_t i = 1; i < SECTOR; i++)
			if (page[at + i] != page[at])
				return -1;
		if (page[at] == 'n')
			count++;
		else if (page[at] != 'o')
			return -1;
	}
	return count;
}

TEST_F(store, loses_what_was_not_synced)
{
	RUN_IF_READY();

	struct vmademo_crash c = { 0 };
	struct account before, d;

	fault_by_pages(self->map, SIZE);
	memset(self->map, 1, SIZE);
	ASSERT_EQ(0, fsync(self->fd));
	memset(self->map + 2 * PAGE, 2, 4 * PAGE);
	ASSERT_EQ(0, msync(self->map + 3 * PAGE, PAGE, MS_SYNC));
	before = account_of(self->fd);
	EXPECT_EQ(3, before.dirty_folios);

	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_CRASH, &c));
	EXPECT_EQ(3, c.lost_folios);
	EXPECT_EQ(3 * PAGE, c.lost_bytes);
	EXPECT_EQ(0, c.written_folios);
	EXPECT_EQ(0, c.torn_folios);
	d = account_of_since(self->fd, &before);
	EXPECT_EQ(1, d.crashes);
	EXPECT_EQ(3, d.lost_folios);
	EXPECT_EQ(3 * PAGE, d.lost_bytes);
	EXPECT_EQ(0, d.discarded_folios);
	EXPECT_EQ(-3, d.dirty_folios);
	EXPECT_EQ(-(int64_t)SIZE, d.cached_bytes);
	EXPECT_EQ(3, fd_value(self->fd, "last_crash_lost_folios"));
	EXPECT_EQ(3 * PAGE, fd_value(self->fd, "last_crash_lost_bytes"));

	EXPECT_EQ(1, touch(self->map + 2 * PAGE));
	EXPECT_EQ(2, touch(self->map + 3 * PAGE));
	EXPECT_EQ(2, touch(self->map + 4 * PAGE - 1));
	EXPECT_EQ(1, touch(self->map + 4 * PAGE));
	EXPECT_EQ(SIZE, lseek(self->fd, 0, SEEK_END));

	/* Nothing was dirty: nothing is lost */
	ASSERT_EQ(0, power_cut(self->fd));
	EXPECT_EQ(0, fd_value(self->fd, "last_crash_lost_folios"));
	EXPECT_EQ(3, account_of_since(self->fd, &before).lost_folios);
}

/* Not only the page cache: each mapping, locked or another process's, and write(2). */
TEST_F(store, in_every_mapping)
{
	RUN_IF_READY();

	unsigned char *other = mmap(NULL, SIZE, PROT_READ,
				    MAP_SHARED | MAP_POPULATE, self->fd, 0);
	int to_child[2], from_child[2];
	unsigned char byte = 0;
	pid_t pid;

	ASSERT_NE(MAP_FAILED, other);
	ASSERT_EQ(0, mlock(self->map, PAGE));
	put(self->map, 1);
	ASSERT_EQ(1, pwrite(self->fd, "w", 1, PAGE));
	ASSERT_EQ(0, pipe(to_child));
	ASSERT_EQ(0, pipe(from_child));
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		byte = touch(self->map);
		write(from_child[1], &byte, 1);
		read(to_child[0], &byte, 1);
		byte = touch(self->map);
		write(from_child[1], &byte, 1);
		_exit(0);
	}
	ASSERT_EQ(1, read(from_child[0], &byte, 1));
	EXPECT_EQ(1, byte);

	ASSERT_EQ(0, power_cut(self->fd));
	EXPECT_EQ(0, touch(self->map));
	EXPECT_EQ(0, touch(other));
	EXPECT_EQ(0, touch(other + PAGE));
	ASSERT_EQ(1, write(to_child[1], "", 1));
	ASSERT_EQ(1, read(from_child[0], &byte, 1));
	EXPECT_EQ(0, byte);
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));

	/* And what is written from now on is as dirty as ever */
	put(self->map, 2);
	EXPECT_EQ(1, account_of(self->fd).dirty_folios);
	munmap(other, SIZE);
}

/* A private copy is the process's own memory, not the device's. */
TEST_F(store, private_copies_stay)
{
	RUN_IF_READY();

	unsigned char *private = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE, self->fd, 0);

	ASSERT_NE(MAP_FAILED, private);
	memset(self->map, 1, 2 * PAGE);
	put(private, 7);
	EXPECT_EQ(1, touch(private + PAGE));
	ASSERT_EQ(0, power_cut(self->fd));
	EXPECT_EQ(7, touch(private));
	EXPECT_EQ(0, touch(private + PAGE));
	EXPECT_EQ(0, touch(self->map));
	munmap(private, SIZE);
}

/* The share that happened to have been written is what was asked for, in whole folios. */
TEST_F(store, some_were_written)
{
	RUN_IF_READY();

	static const unsigned int permille[] = { 0, 250, 500, 1000 };
	const int64_t folios = in_folios(self->fd, SIZE);

	if (folios % 4)
		SKIP(return, "a quarter of the folios is no whole number");
	for (size_t i = 0; i < sizeof(permille) / sizeof(permille[0]); i++) {
		struct vmademo_crash c = { .seed = i,
					   .written_permille = permille[i] };
		const int64_t want = folios * permille[i] / 1000;
		struct account before, d;
		int whole = 0;

		old_and_new(_metadata, self);
		before = account_of(self->fd);
		ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_CRASH, &c));
		for (size_t at = 0; at < SIZE; at += PAGE) {
			int n = new_sectors(self->map + at);

			ASSERT_TRUE(n == 0 || n == PAGE / SECTOR);
			whole += n != 0;
		}
		EXPECT_EQ(want * folio_size_of(self->fd) / PAGE, whole);
		EXPECT_EQ(want, c.written_folios);
		EXPECT_EQ(folios - want, c.lost_folios);
		EXPECT_EQ(0, c.torn_folios);
		d = account_of_since(self->fd, &before);
		EXPECT_EQ(want, d.written_folios);
		EXPECT_EQ(folios - want, d.lost_folios);
	}
}

/* In a torn page some sectors are new and some old, and so many pages are torn. */
TEST_F(store, torn)
{
	RUN_IF_READY();
	RUN_IF_FOLIOS_ARE_PAGES(self->fd);

	struct vmademo_crash c = { .seed = 5, .written_permille = 500, .torn = 10 };
	int torn = 0, whole = 0;

	old_and_new(_metadata, self);
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_CRASH, &c));
	for (size_t at = 0; at < SIZE; at += PAGE) {
		int n = new_sectors(self->map + at);

		ASSERT_LE(0, n);
		whole += n == PAGE / SECTOR;
		torn += n > 0 && n < (int)(PAGE / SECTOR);
	}
	EXPECT_EQ(10, torn);
	EXPECT_EQ(10, c.torn_folios);
	EXPECT_EQ(PAGES / 2, whole);
	EXPECT_EQ(PAGES / 2, c.lost_folios);

	/* No more than there are */
	c = (struct vmademo_crash){ .torn = 4 };
	memset(self->map, 'o', SIZE);
	ASSERT_EQ(0, fsync(self->fd));
	memset(self->map, 'n', 3 * PAGE);
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_CRASH, &c));
	EXPECT_EQ(3, c.torn_folios);
	EXPECT_EQ(3, c.lost_folios);
}

/* Which pages are new, and which of their sectors, after a cut with this seed. */
static void outcome(struct __test_metadata *_metadata, FIXTURE_DATA(store) * self,
		    uint64_t seed, unsigned char result[PAGES])
{
	struct vmademo_crash c = { .seed = seed,
				   .written_permille = 400,
				   .torn = 8 };

	old_and_new(_metadata, self);
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_CRASH, &c));
	for (size_t i = 0; i < PAGES; i++) {
		result[i] = 0;
		for (size_t at = 0; at < PAGE; at += SECTOR)
			result[i] = result[i] << 1 |
				    (touch(self->map + i * PAGE + at) == 'n');
	}
}

TEST_F(store, same_seed_same_result)
{
	RUN_IF_READY();

	unsigned char first[PAGES], again[PAGES];
	int different = 0;

	/* Few folios have few outcomes */
	fault_by_pages(self->map, SIZE);
	for (uint64_t seed = 1; seed <= 10; seed++) {
		outcome(_metadata, self, seed, first);
		outcome(_metadata, self, seed, again);
		EXPECT_EQ(0, memcmp(first, again, PAGES));
		outcome(_metadata, self, seed + 1000, again);
		different += memcmp(first, again, PAGES) != 0;
	}
	EXPECT_EQ(10, different);
}

/* One page alone is written now and then, and not always or never. */
TEST_F(store, one_page)
{
	RUN_IF_READY();

	int written = 0;

	for (uint64_t seed = 0; seed < 100; seed++) {
		struct vmademo_crash c = { .seed = seed, .written_permille = 500 };

		put(self->map, seed + 1);
		ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_CRASH, &c));
		ASSERT_EQ(1, c.written_folios + c.lost_folios);
		written += c.written_folios;
		if (c.written_folios)
			EXPECT_EQ(seed + 1, touch(self->map));
	}
	EXPECT_LT(20, written);
	EXPECT_GT(80, written);
}

/* Exactly one of however many are dirty, and each seed chooses; with none dirty, none. */
TEST_F(store, exactly_one)
{
	RUN_IF_READY();

	struct vmademo_crash c = { .written_permille = VMADEMO_WRITTEN_ONE };
	bool chosen[5] = { false };

	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_CRASH, &c));
	EXPECT_EQ(0, c.written_folios);
	fault_by_pages(self->map, SIZE);
	for (uint64_t seed = 1; seed <= 60; seed++) {
		const int dirty = 1 + seed % 5;
		int new = 0;

		for (int i = 0; i < dirty; i++)
			put(self->map + i * PAGE, seed);
		c = (struct vmademo_crash){
			.seed = seed, .written_permille = VMADEMO_WRITTEN_ONE
		};
		ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_CRASH, &c));
		EXPECT_EQ(1, c.written_folios);
		EXPECT_EQ(dirty - 1, c.lost_folios);
		for (int i = 0; i < dirty; i++) {
			new += touch(self->map + i * PAGE) == seed;
			chosen[i] |= touch(self->map + i * PAGE) == seed;
		}
		EXPECT_EQ(1, new);
	}
	for (int i = 0; i < 5; i++) {
		EXPECT_TRUE(chosen[i]) TH_LOG("never page %d", i);
	}
	/* Torn ones come besides */
	memset(self->map, 'n', 5 * PAGE);
	c = (struct vmademo_crash){ .written_permille = VMADEMO_WRITTEN_ONE,
				    .torn = 10 };
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_CRASH, &c));
	EXPECT_EQ(1, c.written_folios);
	EXPECT_EQ(4, c.torn_folios);
}

/* A hole is on the store at once; what is cut off, when it was flushed. */
TEST_F(store, after_a_change_of_shape)
{
	RUN_IF_READY();

	struct vmademo_discard d = { .offset = 0, .length = 2 * PAGE };

	memset(self->map, 3, SIZE);
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_DISCARD, &d));
	ASSERT_EQ(0, power_cut(self->fd));
	EXPECT_EQ(0, touch(self->map));
	EXPECT_EQ(3, touch(self->map + 2 * PAGE));
	if (variant->kind == STORE_BLOCK)
		return;
	ASSERT_EQ(0, ftruncate(self->fd, 4 * PAGE));
	ASSERT_EQ(0, ftruncate(self->fd, SIZE));
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, power_cut(self->fd));
	EXPECT_EQ(SIZE, lseek(self->fd, 0, SEEK_END));
	EXPECT_EQ(3, touch(self->map + 3 * PAGE));
	EXPECT_EQ(0, touch(self->map + 4 * PAGE));
}

TEST_F(store, refused)
{
	RUN_IF_READY();

	const struct vmademo_crash good = { .written_permille = 1000 };
	int ro = reopen(self->fd, O_RDONLY);
	struct vmademo_crash c = good;

	ASSERT_GE(ro, 0);
	put(self->map, 1);
	EXPECT_FAILS(EBADF, ioctl(ro, VMADEMO_IOC_CRASH, &c));
	EXPECT_FAILS(EFAULT, ioctl(self->fd, VMADEMO_IOC_CRASH, (void *)8));
#define BAD(field, value)                                              \
	do {                                                           \
		c = good;                                              \
		c.field = value;                                       \
		EXPECT_EQ(-1, ioctl(self->fd, VMADEMO_IOC_CRASH, &c)); \
		EXPECT_EQ(EINVAL, errno) TH_LOG(#field);               \
	} while (0)
	BAD(written_permille, VMADEMO_WRITTEN_ONE + 1);
	BAD(written_permille, UINT32_MAX);
	BAD(flags, 1);
	BAD(reserved0, 1);
	BAD(lost_folios, 1);
	BAD(lost_bytes, 1);
	BAD(written_folios, 1);
	BAD(torn_folios, 1);
	BAD(lost_names, 1);
	for (int i = 0; i < 3; i++)
		BAD(reserved[i], 1);
#undef BAD
	EXPECT_EQ(1, touch(self->map));
	EXPECT_EQ(1, account_of(self->fd).dirty_folios);
	EXPECT_EQ(0, account_of(self->fd).crashes);
	close(ro);
}

struct writer {
	unsigned char *map;
	int stop;
};

static void *write_all_the_time(void *arg)
{
	struct writer *w = arg;
	unsigned int seed = 1;

	while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED))
		put(w->map + rand_r(&seed) % SIZE, 1);
	return NULL;
}

/* Others may write during a cut: nobody waits for them, and the account adds up. */
TEST_F(store, while_somebody_writes)
{
	RUN_IF_READY();

	struct writer w = { .map = self->map };
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, write_all_the_time, &w));
	for (int i = 0; i < 100; i++) {
		struct vmademo_crash c = { .seed = i,
					   .written_permille = 300,
					   .torn = 3 };

		ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_CRASH, &c));
		if (i % 3 == 0)
			ASSERT_EQ(0, fsync(self->fd));
	}
	__atomic_store_n(&w.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	ASSERT_EQ(0, power_cut(self->fd));
	EXPECT_EQ(0, account_of(self->fd).dirty_folios);
}

/* Without a store nothing would be left. */
TEST(without_a_store)
{
	int node = open(NODE, O_RDWR | O_CLOEXEC), fd = create_buffer(PAGE);

	ASSERT_GE(node, 0);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(1, pwrite(fd, "x", 1, 0));
	EXPECT_FAILS(EOPNOTSUPP, power_cut(node));
	EXPECT_FAILS(EOPNOTSUPP, power_cut(fd));
	EXPECT_EQ(1, account_of(fd).dirty_folios);
	close(node);
	close(fd);
}

/* ---- a call that makes durable, met half way ------------------------------ */

enum durable {
	FSYNC,
	FDATASYNC,
	MSYNC,
	DSYNC_WRITE,
	SYNC_WRITE,
	DURABLE_CALLS
};

struct syncer {
	int fd, dsync, sync, err;
	unsigned char *map;
	enum durable call;
};

static void *make_durable(void *arg)
{
	struct syncer *s = arg;
	bool ok = false;

	s->map[0] = 'm';
	switch (s->call) {
	case FSYNC:
		ok = !fsync(s->fd);
		break;
	case FDATASYNC:
		ok = !fdatasync(s->fd);
		break;
	case MSYNC:
		ok = !msync(s->map, PAGE, MS_SYNC);
		break;
	case DSYNC_WRITE:
		ok = pwrite(s->dsync, "w", 1, 1) == 1;
		break;
	case SYNC_WRITE:
		ok = pwrite(s->sync, "w", 1, 1) == 1;
		break;
	default:
		break;
	}
	s->err = ok ? 0 : errno;
	return NULL;
}

/*
 * The data has reached the store, which has not yet said that it is durable, when the
 * power is cut: the call says EIO, and only this one does.
 */
TEST(in_the_middle_of_a_sync)
{
	struct slow slow;
	const char *skip = slow_make(&slow, MUTE_FUSE, SIZE);
	struct syncer s = { 0 };

	if (skip)
		SKIP(return, "%s", skip);
	s.fd = create_with(VMADEMO_STORE_FILE, 0, slow.file);
	ASSERT_GE(s.fd, 0);
	s.dsync = reopen(s.fd, O_RDWR | O_DSYNC);
	s.sync = reopen(s.fd, O_RDWR | O_SYNC);
	s.map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, s.fd, 0);
	ASSERT_NE(MAP_FAILED, s.map);
	for (int call = 0; call < DURABLE_CALLS; call++) {
		for (int cut = 0; cut < 2; cut++) {
			pthread_t thread;

			s.call = call;
			*slow.mute = HOLD_FSYNC;
			ASSERT_EQ(0, pthread_create(&thread, NULL, make_durable,
						    &s));
			for (int i = 0; i < 6000 && *slow.mute == HOLD_FSYNC; i++)
				usleep(10000);
			EXPECT_EQ(HOLDS_FSYNC, *slow.mute);
			if (cut)
				EXPECT_EQ(0, power_cut(s.fd));
			*slow.mute = ANSWER;
			pthread_join(thread, NULL);
			EXPECT_EQ(cut ? EIO : 0, s.err)
			TH_LOG("call %d, cut %d: %s", call, cut, strerror(s.err));
			EXPECT_EQ(0, told(s.fd));
		}
	}
	EXPECT_ACCOUNT_ADDS_UP(s.fd);
	munmap(s.map, SIZE);
	close(s.dsync);
	close(s.sync);
	close(s.fd);
	slow_go(&slow);
	slow_end(&slow);
}

TEST_HARNESS_MAIN
