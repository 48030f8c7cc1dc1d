// SPDX-License-Identifier: GPL-2.0-only
/*
 * O_DIRECT: taken, as tmpfs does, because programs ask for it that need nothing of it.
 * There is nothing to go past, so it is the page cache all the way: no alignment is
 * asked for, mappings see what is written at once, and it is on the store when it was
 * synced.
 */
#define STORE_SIZE (16 * PAGE)

#include "store_fixture.h"

static void fill(unsigned char *bytes, size_t len, unsigned int seed)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = rand_r(&seed) % 255 + 1;
}

/* Opened so, and set later. */
TEST_F(store, taken)
{
	RUN_IF_READY();

	int flags = fcntl(self->fd, F_GETFL), fd;

	EXPECT_EQ(0, fcntl(self->fd, F_SETFL, flags | O_DIRECT));
	EXPECT_EQ(O_DIRECT, fcntl(self->fd, F_GETFL) & O_DIRECT);
	EXPECT_EQ(0, fcntl(self->fd, F_SETFL, flags));
	EXPECT_EQ(0, fcntl(self->fd, F_GETFL) & O_DIRECT);
	for (int mode = O_RDONLY; mode <= O_RDWR; mode++) {
		fd = reopen(self->fd, mode | O_DIRECT);
		ASSERT_GE(fd, 0);
		EXPECT_EQ(O_DIRECT, fcntl(fd, F_GETFL) & O_DIRECT);
		close(fd);
	}
}

/* Any address, any offset, any length. */
TEST_F(store, not_aligned)
{
	RUN_IF_READY();

	unsigned char out[STORE_SIZE], in[STORE_SIZE + 64];
	int fd = reopen(self->fd, O_RDWR | O_DIRECT);
	unsigned int seed = 1;

	ASSERT_GE(fd, 0);
	fill(out, STORE_SIZE, 2);
	memcpy(self->map, out, STORE_SIZE);
	for (int n = 0; n < 100; n++) {
		size_t at = rand_r(&seed) % STORE_SIZE;
		size_t len = 1 + rand_r(&seed) % (STORE_SIZE - at);
		size_t skew = rand_r(&seed) % 64;

		fill(out + at, len, n);
		ASSERT_EQ(len, pwrite(fd, out + at, len, at));
		ASSERT_EQ(0, memcmp(out, self->map, STORE_SIZE));
		if (n % 10 == 0) {
			ASSERT_EQ(0, fsync(fd));
			ASSERT_EQ(0, power_cut(fd));
		}
		ASSERT_EQ(len, pread(fd, in + skew, len, at));
		ASSERT_EQ(0, memcmp(out + at, in + skew, len));
		/* What a mapping writes is read at once */
		put(self->map + at, 0);
		out[at] = 0;
		ASSERT_EQ(1, pread(fd, in, 1, at));
		ASSERT_EQ(0, in[0]);
	}
	close(fd);
}

/* At the end, beyond it, and from nowhere. */
TEST_F(store, at_the_end)
{
	RUN_IF_READY();

	void *nowhere = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			     -1, 0);
	int fd = reopen(self->fd, O_RDWR | O_DIRECT);
	unsigned char bytes[PAGE_MAX] = { 1 };

	ASSERT_GE(fd, 0);
	EXPECT_EQ(10, pread(fd, bytes, PAGE, STORE_SIZE - 10));
	EXPECT_EQ(0, pread(fd, bytes, PAGE, STORE_SIZE));
	EXPECT_FAILS(EFAULT, pread(fd, nowhere, PAGE, 0));
	EXPECT_FAILS(EFAULT, pwrite(fd, nowhere, PAGE, 0));
	if (variant->kind == STORE_BLOCK) {
		EXPECT_EQ(10, pwrite(fd, bytes, PAGE, STORE_SIZE - 10));
		EXPECT_FAILS(ENOSPC, pwrite(fd, bytes, PAGE, STORE_SIZE));
	} else {
		EXPECT_EQ(PAGE, pwrite(fd, bytes, PAGE, STORE_SIZE - 10));
		EXPECT_EQ(STORE_SIZE + PAGE - 10, lseek(fd, 0, SEEK_END));
		ASSERT_EQ(0, ftruncate(fd, STORE_SIZE));
	}
	munmap(nowhere, PAGE);
	close(fd);
}

/* It is no sync: that is O_SYNC's business. */
TEST_F(store, not_flushed)
{
	RUN_IF_READY();

	int fd = reopen(self->fd, O_RDWR | O_DIRECT);
	int sync = reopen(self->fd, O_RDWR | O_DIRECT | O_SYNC);
	struct account before = account_of(fd), d;
	unsigned char bytes[2 * PAGE];

	ASSERT_GE(fd, 0);
	ASSERT_GE(sync, 0);
	memset(bytes, 8, sizeof(bytes));
	ASSERT_EQ(sizeof(bytes), pwrite(fd, bytes, sizeof(bytes), 0));
	d = account_of_since(fd, &before);
	EXPECT_EQ(in_folios(fd, 2 * PAGE), d.dirty_folios);
	EXPECT_EQ(0, d.written_folios);
	EXPECT_EQ(0, d.flushes + d.data_flushes);
	ASSERT_EQ(0, power_cut(fd));
	EXPECT_EQ(0, touch(self->map));
	before = account_of(fd);
	ASSERT_EQ(sizeof(bytes), pwrite(sync, bytes, sizeof(bytes), 0));
	d = account_of_since(fd, &before);
	EXPECT_EQ(0, d.dirty_folios);
	EXPECT_EQ(in_folios(fd, 2 * PAGE), d.written_folios);
	EXPECT_EQ(1, d.flushes + d.data_flushes);
	ASSERT_EQ(0, power_cut(fd));
	EXPECT_EQ(8, touch(self->map));
	close(fd);
	close(sync);
}

/* From its own mapping, cached or not, and into it. */
TEST_F(store, from_its_own_mapping)
{
	RUN_IF_READY();

	int fd = reopen(self->fd, O_RDWR | O_DIRECT);

	ASSERT_GE(fd, 0);
	fill(self->map, 4 * PAGE, 3);
	for (int again = 0; again < 2; again++) {
		ASSERT_EQ(4 * PAGE, pwrite(fd, self->map, 4 * PAGE, 8 * PAGE));
		ASSERT_EQ(0, memcmp(self->map, self->map + 8 * PAGE, 4 * PAGE));
		ASSERT_EQ(PAGE, pread(fd, self->map + 13 * PAGE, PAGE, PAGE));
		ASSERT_EQ(0,
			  memcmp(self->map + PAGE, self->map + 13 * PAGE, PAGE));
		ASSERT_EQ(0, fsync(fd));
		ASSERT_EQ(0, power_cut(fd));
	}
	close(fd);
}

/* The node, and a buffer without a store. */
TEST(without_a_store)
{
	for (int view = NODE_VIEW; view <= FILE_VIEW; view++) {
		int fd = open_view(view), direct;
		unsigned char *p, bytes[100], back[100];

		ASSERT_GE(fd, 0);
		direct = reopen(fd, O_RDWR | O_DIRECT);
		ASSERT_GE(direct, 0);
		EXPECT_EQ(0, fcntl(fd, F_SETFL, O_DIRECT));
		p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		ASSERT_NE(MAP_FAILED, p);
		fill(bytes, 100, 4);
		ASSERT_EQ(100, pwrite(direct, bytes, 100, 33));
		EXPECT_EQ(0, memcmp(bytes, p + 33, 100));
		put(p + 33, 0);
		ASSERT_EQ(100, pread(fd, back, 100, 33));
		EXPECT_EQ(0, back[0]);
		EXPECT_EQ(0, memcmp(bytes + 1, back + 1, 99));
		munmap(p, PAGE);
		close(direct);
		close(fd);
	}
}

TEST_HARNESS_MAIN
