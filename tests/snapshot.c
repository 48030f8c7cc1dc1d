// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a power cut would leave, without one: the same bytes as the cut, at the moment that is
 * asked for, and the program and its buffer go on as if nothing had been.
 */
#include <fcntl.h>

#define PAGES 64UL
#define SIZE  (PAGES * PAGE)

#define STORE_SIZE SIZE
#include "store_fixture.h"
#include "rules.h"

KEEP_A_RULE

static unsigned char bytes[PAGES * PAGE_MAX], others[PAGES * PAGE_MAX];

static void random_bytes(unsigned char *p, size_t len, unsigned int seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = rand_r(&seed) >> 7;
}

/* Some of it is on the store and clean, some dirty, some in a hole. */
static void make_a_mess(unsigned char *map, int fd, unsigned int seed)
{
	random_bytes(map, SIZE / 2, seed);
	fsync(fd);
	for (size_t page = 0; page < PAGES; page++)
		if (rand_r(&seed) % 3 == 0)
			random_bytes(map + page * PAGE + seed % 2000, 2000, seed);
}

TEST_F(store, same_as_the_cut)
{
	RUN_IF_READY();

	static const struct {
		uint32_t permille, torn;
	} cuts[] = { { 0, 0 },	 { 1000, 0 },	  { 0, 1 },   { 0, 5 },
		     { 0, ~0U }, { 300, 7 },	  { 500, 0 }, { 1, 1 },
		     { 999, 3 }, { 1000, 100000 } };

	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		struct vmademo_crash c = { .seed = i * 77,
					   .written_permille = cuts[i].permille,
					   .torn = cuts[i].torn };
		struct vmademo_crash s = c;
		struct account before;
		int snapshot;

		make_a_mess(self->map, self->fd, i);
		before = account_of(self->fd);
		snapshot = take_snapshot(self->fd, &s);
		ASSERT_GE(snapshot, 0) TH_LOG("%s", strerror(errno));
		before = account_of_since(self->fd, &before);
		EXPECT_EQ(0, before.written_folios);
		EXPECT_EQ(0, before.dirtied_folios);
		EXPECT_EQ(0, before.lost_folios);
		EXPECT_EQ(0, before.first_writes);

		ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_CRASH, &c));
		EXPECT_EQ(c.lost_folios, s.lost_folios);
		EXPECT_EQ(c.lost_bytes, s.lost_bytes);
		EXPECT_EQ(c.written_folios, s.written_folios);
		EXPECT_EQ(c.torn_folios, s.torn_folios);
		EXPECT_EQ(SIZE, fd_value(snapshot, "size"));
		ASSERT_EQ(SIZE, pread(snapshot, bytes, SIZE, 0));
		EXPECT_EQ(0, memcmp(bytes, self->map, SIZE))
		TH_LOG("cut %zu", i);
		close(snapshot);
	}
}

/* What was written there and what is taken out of it is in memory and on the store as before. */
TEST_F(store, changes_nothing)
{
	RUN_IF_READY();

	struct vmademo_crash all = { .written_permille = 1000 };
	int64_t dirty, first_writes;
	int snapshot;

	make_a_mess(self->map, self->fd, 3);
	memcpy(bytes, self->map, SIZE);
	dirty = fd_value(self->fd, "dirty_bytes");
	snapshot = take_snapshot(self->fd, &all);
	ASSERT_GE(snapshot, 0);
	EXPECT_EQ(0, memcmp(bytes, self->map, SIZE));
	EXPECT_EQ(dirty, fd_value(self->fd, "dirty_bytes"));
	/* To write to what it has is noticed, though all is dirty and was writable */
	for (size_t page = 0; page < SIZE / PAGE; page++)
		self->map[page * PAGE] ^= 1;
	memcpy(bytes, self->map, SIZE);
	close(snapshot);
	all = (struct vmademo_crash){ .written_permille = 1000 };
	snapshot = take_snapshot(self->fd, &all);
	ASSERT_GE(snapshot, 0);
	first_writes = fd_value(self->fd, "first_writes");
	memset(self->map, 'x', SIZE);
	EXPECT_LT(first_writes, fd_value(self->fd, "first_writes"));
	ASSERT_EQ(SIZE, pread(snapshot, others, SIZE, 0));
	EXPECT_EQ(0, memcmp(bytes, others, SIZE));
	close(snapshot);
	/* All that was dirty is still to be lost */
	snapshot = take_snapshot(self->fd, NULL);
	ASSERT_GE(snapshot, 0);
	ASSERT_EQ(SIZE, pread(snapshot, others, SIZE, 0));
	EXPECT_NE(0, memcmp(bytes, others, SIZE));
	ASSERT_EQ(0, power_cut(self->fd));
	EXPECT_EQ(0, memcmp(others, self->map, SIZE));
	close(snapshot);
}

/* Programs that are stopped meet no first write that they would not have met without it. */
TEST_F(store, of_the_stopped)
{
	RUN_IF_READY();

	struct vmademo_crash all = { .written_permille = 900,
				     .torn = 3,
				     .seed = 5,
				     .flags = VMADEMO_SNAPSHOT_STOPPED };
	struct vmademo_crash cut = { .written_permille = 900,
				     .torn = 3,
				     .seed = 5 };
	int64_t first_writes;
	int snapshot;

	make_a_mess(self->map, self->fd, 4);
	for (size_t page = 0; page < PAGES; page++)
		self->map[page * PAGE] ^= 1;
	first_writes = fd_value(self->fd, "first_writes");
	snapshot = take_snapshot(self->fd, &all);
	ASSERT_GE(snapshot, 0) TH_LOG("%s", strerror(errno));
	EXPECT_EQ(0, fcntl(snapshot, F_GETFD));
	for (size_t page = 0; page < PAGES; page++)
		self->map[page * PAGE] ^= 3;
	EXPECT_EQ(first_writes, fd_value(self->fd, "first_writes"));
	for (size_t page = 0; page < PAGES; page++)
		self->map[page * PAGE] ^= 3;
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_CRASH, &cut));
	EXPECT_EQ(cut.written_folios, all.written_folios);
	EXPECT_EQ(cut.torn_folios, all.torn_folios);
	ASSERT_EQ(SIZE, pread(snapshot, bytes, SIZE, 0));
	EXPECT_EQ(0, memcmp(bytes, self->map, SIZE));
	close(snapshot);
}

/* It is a buffer like any other, and lives on when the first one is gone. */
TEST_F(store, is_a_buffer)
{
	RUN_IF_READY();

	struct vmademo_info info = { 0 };
	unsigned char *p;
	int one, two;

	memset(self->map, 'a', SIZE);
	ASSERT_EQ(0, fsync(self->fd));
	one = take_snapshot(self->fd, NULL);
	ASSERT_GE(one, 0);
	memset(self->map, 'b', SIZE);
	ASSERT_EQ(0, fsync(self->fd));
	p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, one, 0);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, ioctl(one, VMADEMO_IOC_INFO, &info));
	EXPECT_EQ(VMADEMO_STORE_RAM, info.store);
	EXPECT_EQ(SIZE, info.size);
	EXPECT_EQ(0, info.dirty_bytes);
	EXPECT_NE((uint64_t)fd_value(self->fd, "ino"), info.ino);
	EXPECT_EQ('a', touch(p + SIZE - 1));

	memset(p, 'c', 3 * PAGE);
	ASSERT_EQ(0, msync(p, PAGE, MS_SYNC));
	two = take_snapshot(one, NULL);
	ASSERT_GE(two, 0);
	ASSERT_EQ(0, power_cut(one));
	ASSERT_EQ(SIZE, pread(two, bytes, SIZE, 0));
	EXPECT_EQ(0, memcmp(bytes, p, SIZE));
	EXPECT_EQ('c', bytes[0]);
	EXPECT_EQ('a', bytes[SIZE - 1]);
	EXPECT_EQ(0, ftruncate(two, SIZE + 100));
	EXPECT_EQ(1, pwrite(two, "d", 1, SIZE + 99));
	EXPECT_EQ('b', touch(self->map));
	EXPECT_EQ(0, munmap(p, SIZE));
	EXPECT_EQ(0, close(one));
	EXPECT_EQ(1, pread(two, bytes, 1, SIZE + 99));
	EXPECT_EQ('d', bytes[0]);
	EXPECT_EQ(0, close(two));
}

/* While the n-th write-out waits, those before it have arrived. */
TEST_F(store, at_an_event)
{
	RUN_IF_READY();
	if (!folios_are_pages(self->fd))
		SKIP(return, "its folios are not pages");

	for (size_t n = 0; n < 6; n++) {
		struct vmademo_crash all = { .written_permille = 1000 };
		struct vmademo_crash none = { 0 };
		int before, after, status;
		int64_t id;
		pid_t pid;

		memset(self->map, 'o', SIZE);
		ASSERT_EQ(0, fsync(self->fd));
		memset(self->map, 'n', 6 * PAGE);
		id = ADD_RULE(self->fd, .op = VMADEMO_OP_WRITE_OUT, .skip = n,
			      .times = 1, .delay_us = VMADEMO_DELAY_MAX);
		ASSERT_LT(0, id);
		pid = fork();
		if (pid == 0)
			_exit(msync(self->map, SIZE, MS_SYNC) ? errno : 0);
		while (hits_of(self->fd, id) < 1)
			usleep(1000);
		before = take_snapshot(self->fd, &none);
		after = take_snapshot(self->fd, &all);
		ASSERT_GE(before, 0);
		ASSERT_GE(after, 0);
		ASSERT_EQ(0, del_rule(self->fd, id));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(0, status);
		ASSERT_EQ(SIZE, pread(before, bytes, SIZE, 0));
		ASSERT_EQ(SIZE, pread(after, others, SIZE, 0));
		for (size_t page = 0; page < 7; page++) {
			EXPECT_EQ(page < n ? 'n' : 'o', bytes[page * PAGE])
			TH_LOG("page %zu of %zu", page, n);
			EXPECT_EQ(page < 6 ? 'n' : 'o', others[page * PAGE]);
		}
		EXPECT_EQ(6 - n, none.lost_folios);
		EXPECT_EQ(6 - n, all.written_folios);
		close(before);
		close(after);
	}
}

/* Off, the power has taken what was dirty; what is written since cannot have arrived. */
TEST_F(store, power_is_off)
{
	RUN_IF_READY();

	struct vmademo_crash all = { .written_permille = 1000, .torn = 9 };
	unsigned char page[PAGE];
	int snapshot;

	memset(self->map, 'a', SIZE);
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, power_off(self->fd));
	memset(page, 'b', PAGE);
	ASSERT_EQ(PAGE, pwrite(self->fd, page, PAGE, 0));
	snapshot = take_snapshot(self->fd, &all);
	ASSERT_GE(snapshot, 0);
	EXPECT_EQ(0, all.written_folios);
	EXPECT_EQ(0, all.torn_folios);
	EXPECT_EQ(1000, all.written_permille);
	EXPECT_FALSE(is_off(snapshot));
	ASSERT_EQ(SIZE, pread(snapshot, bytes, SIZE, 0));
	EXPECT_EQ('a', bytes[0]);
	ASSERT_EQ(0, power_on(self->fd));
	close(snapshot);
}

TEST_F(store, odd_sizes)
{
	RUN_IF_READY();
	if (variant->kind == STORE_BLOCK)
		SKIP(return, "the size of a device is fixed");

	const size_t sizes[] = { 0, 1, PAGE - 1, PAGE, PAGE + 1, SIZE - 1 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct vmademo_crash c = { .written_permille = 500,
					   .torn = 1,
					   .seed = i };
		struct vmademo_crash s = c;
		int snapshot;

		ASSERT_EQ(0, ftruncate(self->fd, SIZE));
		memset(self->map, 'a', SIZE);
		ASSERT_EQ(0, fsync(self->fd));
		ASSERT_EQ(0, ftruncate(self->fd, sizes[i]));
		if (sizes[i])
			memset(self->map, 'b', sizes[i]);
		snapshot = take_snapshot(self->fd, &s);
		ASSERT_GE(snapshot, 0);
		ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_CRASH, &c));
		EXPECT_EQ(c.lost_bytes, s.lost_bytes);
		EXPECT_EQ(lseek(self->fd, 0, SEEK_END),
			  fd_value(snapshot, "size"));
		/* And what it gets when it grows is zeroes */
		ASSERT_EQ(0, ftruncate(snapshot, SIZE));
		ASSERT_EQ(0, ftruncate(self->fd, SIZE));
		ASSERT_EQ(SIZE, pread(snapshot, bytes, SIZE, 0));
		EXPECT_EQ(0, memcmp(bytes, self->map, SIZE))
		TH_LOG("%zu bytes", sizes[i]);
		close(snapshot);
	}
}

TEST_F(store, refused)
{
	RUN_IF_READY();

	const int64_t used = node_value("ram_used");
	const int writing = reopen(self->fd, O_WRONLY);
	const int reading = reopen(self->fd, O_RDONLY);
	struct vmademo_crash c = { .written_permille = VMADEMO_WRITTEN_ONE + 1 };

	ASSERT_LE(0, writing);
	ASSERT_LE(0, reading);
	EXPECT_FAILS(EINVAL, take_snapshot(self->fd, &c));
	c = (struct vmademo_crash){ .flags = 4 };
	EXPECT_FAILS(EINVAL, take_snapshot(self->fd, &c));
	c = (struct vmademo_crash){ .lost_folios = 1 };
	EXPECT_FAILS(EINVAL, take_snapshot(self->fd, &c));
	c = (struct vmademo_crash){ .reserved[2] = 1 };
	EXPECT_FAILS(EINVAL, take_snapshot(self->fd, &c));
	EXPECT_FAILS(EFAULT, ioctl(self->fd, VMADEMO_IOC_SNAPSHOT, NULL));
	EXPECT_FAILS(EBADF, take_snapshot(writing, NULL));
	EXPECT_FAILS(EBADF, take_snapshot(reading, NULL));
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_REVOKE));
	EXPECT_FAILS(ENODEV, take_snapshot(self->fd, NULL));
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_RESTORE));
	EXPECT_EQ(used, node_value("ram_used"));
	close(writing);
}

/* Where there is a place for what is asked, but none for the answer. */
TEST_F(store, no_place_for_the_answer)
{
	RUN_IF_READY();

	const struct vmademo_crash c = { 0 };
	void *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const int64_t used = node_value("ram_used");
	int free = dup(self->fd), next;

	ASSERT_NE(MAP_FAILED, p);
	memset(self->map, 'a', SIZE);
	ASSERT_EQ(0, fsync(self->fd));
	close(free);
	memcpy(p, &c, sizeof(c));
	ASSERT_EQ(0, mprotect(p, PAGE, PROT_READ));
	EXPECT_FAILS(EFAULT, ioctl(self->fd, VMADEMO_IOC_SNAPSHOT, p));
	/* No descriptor is left open, and no buffer */
	next = dup(self->fd);
	EXPECT_EQ(free, next);
	if (variant->kind == STORE_RAM || variant->kind == STORE_TREE) {
		EXPECT_GE(used + (int64_t)SIZE, node_value("ram_used"));
	} else {
		EXPECT_EQ(used, node_value("ram_used"));
	}
	close(next);
	munmap(p, PAGE);
}

TEST(none_has_nothing)
{
	int fd = create_buffer(SIZE);

	ASSERT_GE(fd, 0);
	EXPECT_FAILS(EOPNOTSUPP, take_snapshot(fd, NULL));
	close(fd);
}

TEST(closed_by_exec)
{
	struct vmademo_crash c = { .flags = VMADEMO_FD_CLOEXEC };
	int fd = create_with(VMADEMO_STORE_RAM, SIZE, 0), one, two;

	ASSERT_GE(fd, 0);
	one = take_snapshot(fd, &c);
	two = take_snapshot(fd, NULL);
	EXPECT_EQ(FD_CLOEXEC, fcntl(one, F_GETFD));
	EXPECT_EQ(0, fcntl(two, F_GETFD));
	close(one);
	close(two);
	close(fd);
}

/* A file of a terabyte that has hardly anything in it. */
TEST(sparse)
{
	int fd = create_with(VMADEMO_STORE_RAM, 1ULL << 40, 0), snapshot;
	char byte;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(1, pwrite(fd, "x", 1, (1ULL << 40) - 1));
	ASSERT_EQ(0, fsync(fd));
	snapshot = take_snapshot(fd, NULL);
	ASSERT_GE(snapshot, 0);
	EXPECT_EQ(1, pread(snapshot, &byte, 1, (1ULL << 40) - 1));
	EXPECT_EQ('x', byte);
	EXPECT_EQ((1ULL << 40) - PAGE, lseek(snapshot, 0, SEEK_DATA));
	close(snapshot);
	close(fd);
}

TEST_HARNESS_MAIN
