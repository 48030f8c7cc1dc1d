// SPDX-License-Identifier: GPL-2.0-only
/*
 * The power of stores, switched off and on: while it is off nothing reaches the store nor
 * comes from it, programs are told, and afterwards there is what was there when it went.
 */
#include <linux/falloc.h>

#define PAGES 64UL
#define SIZE  (PAGES * PAGE)

#define STORE_SIZE SIZE
#include "store_fixture.h"

/* Every operation on the store fails, and the program is told. */
TEST_F(store, everything_fails)
{
	RUN_IF_READY();
	RUN_IF_FOLIOS_ARE_PAGES(self->fd);

	const bool block = variant->kind == STORE_BLOCK;
	struct vmademo_discard d = { .offset = PAGE, .length = 4 * PAGE };
	struct vmademo_resize r = { .size = 2 * SIZE };
	unsigned char page[PAGE], byte, *populated;
	struct account before, since;
	int other = reopen(self->fd, O_RDWR);

	ASSERT_GE(other, 0);
	memset(self->map, 'a', SIZE);
	ASSERT_EQ(0, fsync(self->fd));
	memset(self->map, 'b', 3 * PAGE);
	before = account_of(self->fd);
	EXPECT_EQ(0, fd_value(self->fd, "power_off"));
	ASSERT_EQ(0, power_off(self->fd));
	EXPECT_TRUE(is_off(self->fd));
	EXPECT_EQ(1, fd_value(self->fd, "power_off"));
	since = account_of_since(self->fd, &before);
	EXPECT_EQ(1, since.crashes);
	EXPECT_EQ(3, since.lost_folios);
	EXPECT_EQ(0, fd_value(self->fd, "cached_bytes"));

	before = account_of(self->fd);
	EXPECT_EQ(SIGBUS, touch_signal(self->map, 0));
	EXPECT_EQ(SIGBUS, touch_signal(self->map + 9 * PAGE, 1));
	EXPECT_FAILS(EIO, pread(self->fd, page, PAGE, 20 * PAGE));
	EXPECT_FAILS(EIO, pwrite(self->fd, "x", 1, 30 * PAGE));
	since = account_of_since(self->fd, &before);
	EXPECT_LE(4, since.read_errors);
	EXPECT_EQ(0, since.read_in_folios);

	/* There is nothing to be written, but each flush fails, and each file is told */
	EXPECT_EQ(EIO, told(self->fd));
	EXPECT_EQ(EIO, told(self->fd));
	EXPECT_EQ(EIO, told(other));
	EXPECT_EQ(EIO, fdatasync(self->fd) ? errno : 0);
	EXPECT_FAILS(EIO, msync(self->map, PAGE, MS_SYNC));
	EXPECT_EQ(0, account_of_since(self->fd, &before).flushes);

	/* Who populates a mapping is not kept for ever */
	EXPECT_NE(0, mlock(self->map, SIZE));
	populated = mmap(NULL, SIZE, PROT_READ, MAP_SHARED | MAP_POPULATE,
			 self->fd, 0);
	EXPECT_NE(MAP_FAILED, populated);
	EXPECT_EQ(0, munmap(populated, SIZE));

	/* A whole page needs nothing from the store: it is cached, dirty, read, and lost */
	memset(page, 'c', PAGE);
	EXPECT_EQ(PAGE, pwrite(self->fd, page, PAGE, 5 * PAGE));
	EXPECT_EQ('c', touch(self->map + 5 * PAGE));
	EXPECT_EQ(1, account_of(self->fd).dirty_folios);
	before = account_of(self->fd);
	EXPECT_EQ(EIO, told(self->fd));
	since = account_of_since(self->fd, &before);
	EXPECT_EQ(1, since.write_errors);
	EXPECT_EQ(1, since.lost_folios);
	EXPECT_EQ(0, since.written_folios);
	EXPECT_EQ('c', touch(self->map + 5 * PAGE));
	/* And this one is dirty when the power comes back */
	EXPECT_EQ(PAGE, pwrite(self->fd, page, PAGE, 6 * PAGE));

	/* What changes its shape */
	EXPECT_FAILS(block ? EINVAL : EIO, ftruncate(self->fd, SIZE / 2));
	EXPECT_FAILS(block ? EINVAL : EIO,
		     ioctl(self->fd, VMADEMO_IOC_RESIZE, &r));
	EXPECT_FAILS(EIO, ioctl(self->fd, VMADEMO_IOC_DISCARD, &d));
	EXPECT_FAILS(EIO, fallocate(self->fd, 0, 0, SIZE));
	EXPECT_FAILS(block ? ENOSPC : EIO, fallocate(self->fd, 0, SIZE, PAGE));
	EXPECT_FAILS(EIO, fallocate(self->fd,
				    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				    8 * PAGE, 2 * PAGE));
	EXPECT_FAILS(EIO, fallocate(self->fd, FALLOC_FL_ZERO_RANGE, 8 * PAGE,
				    2 * PAGE));
	EXPECT_FAILS(block ? ENOSPC : EIO, pwrite(self->fd, page, PAGE, SIZE));
	EXPECT_FAILS(block ? ENOSPC : EIO,
		     pwrite(self->fd, page, PAGE, SIZE + 100));
	EXPECT_EQ(SIZE, lseek(self->fd, 0, SEEK_END));
	if (self->lower >= 0) {
		ASSERT_EQ(1, pread(self->lower, &byte, 1, 5 * PAGE));
		EXPECT_EQ('a', byte);
		EXPECT_LE(SIZE, lseek(self->lower, 0, SEEK_END));
	}

	ASSERT_EQ(0, power_on(self->fd));
	EXPECT_FALSE(is_off(self->fd));
	EXPECT_EQ(0, fd_value(self->fd, "power_off"));
	EXPECT_EQ(0, account_of(self->fd).dirty_folios);
	for (size_t at = 0; at < SIZE; at += PAGE / 2) {
		ASSERT_EQ('a', touch(self->map + at))
		TH_LOG("at %zu", at);
	}
	/* The error of a flush that this file has not asked for yet, and no other */
	EXPECT_EQ(EIO, told(other));
	EXPECT_EQ(0, told(other));
	put(self->map, 'd');
	EXPECT_EQ(0, msync(self->map, PAGE, MS_SYNC));
	ASSERT_EQ(0, power_cut(self->fd));
	EXPECT_EQ('d', touch(self->map));
	if (!block) {
		EXPECT_EQ(PAGE, pwrite(self->fd, page, PAGE, SIZE));
		EXPECT_EQ(0, ftruncate(self->fd, SIZE));
	}
	EXPECT_EQ(0, fallocate(self->fd, 0, 0, SIZE));
	close(other);
}

/* The cut is that of VMADEMO_IOC_CRASH: of the same dirty pages it leaves the same bytes. */
TEST_F(store, the_same_cut_as_crash)
{
	RUN_IF_READY();

	unsigned char crash[SIZE], off[SIZE];

	for (uint64_t seed = 0; seed < 8; seed++) {
		struct vmademo_crash c = { .seed = seed,
					   .written_permille = seed * 130,
					   .torn = 5 * (seed % 3) };
		struct vmademo_power p = { .flags = VMADEMO_POWER_OFF,
					   .seed = seed,
					   .written_permille = c.written_permille,
					   .torn = c.torn };

		memset(self->map, 'o', SIZE);
		ASSERT_EQ(0, fsync(self->fd));
		memset(self->map, 'n', SIZE);
		ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_CRASH, &c));
		memcpy(crash, self->map, SIZE);

		memset(self->map, 'o', SIZE);
		ASSERT_EQ(0, fsync(self->fd));
		memset(self->map, 'n', SIZE);
		ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_POWER, &p));
		ASSERT_EQ(0, power_on(self->fd));
		memcpy(off, self->map, SIZE);

		EXPECT_EQ(0, memcmp(crash, off, SIZE))
		TH_LOG("seed %d", (int)seed);
		EXPECT_EQ(c.lost_folios, p.lost_folios);
		EXPECT_EQ(c.lost_bytes, p.lost_bytes);
		EXPECT_EQ(c.written_folios, p.written_folios);
		EXPECT_EQ(c.torn_folios, p.torn_folios);
	}
}

/* Off twice, on twice, a cut while it is off. */
TEST_F(store, twice)
{
	RUN_IF_READY();
	RUN_IF_FOLIOS_ARE_PAGES(self->fd);

	struct vmademo_power p = { .flags = VMADEMO_POWER_OFF,
				   .written_permille = 1000 };
	struct vmademo_crash c = { .written_permille = 1000, .torn = 3 };
	unsigned char page[PAGE];

	ASSERT_EQ(0, power_on(self->fd));
	EXPECT_EQ(0, account_of(self->fd).crashes);
	memset(self->map, 'a', SIZE);
	ASSERT_EQ(0, power_on(self->fd));
	EXPECT_EQ(PAGES, account_of(self->fd).dirty_folios);
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_POWER, &p));
	EXPECT_EQ(PAGES, p.written_folios);
	EXPECT_EQ(0, p.lost_folios);

	memset(page, 'b', PAGE);
	ASSERT_EQ(PAGE, pwrite(self->fd, page, PAGE, PAGE));
	p = (struct vmademo_power){ .flags = VMADEMO_POWER_OFF,
				    .written_permille = 1000 };
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_POWER, &p));
	EXPECT_EQ(0, p.written_folios);
	EXPECT_EQ(0, p.lost_folios);
	EXPECT_EQ('b', touch(self->map + PAGE));
	EXPECT_EQ(1, account_of(self->fd).crashes);

	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_CRASH, &c));
	EXPECT_EQ(0, c.written_folios);
	EXPECT_EQ(0, c.torn_folios);
	EXPECT_EQ(1, c.lost_folios);
	EXPECT_TRUE(is_off(self->fd));
	EXPECT_EQ(SIGBUS, touch_signal(self->map + PAGE, 0));

	ASSERT_EQ(0, power_on(self->fd));
	ASSERT_EQ(0, power_on(self->fd));
	EXPECT_EQ('a', touch(self->map + PAGE));
	EXPECT_EQ(2, account_of(self->fd).crashes);
}

/* What is dirty at the end of the buffer does not get into the file. */
TEST_F(store, the_end)
{
	RUN_IF_READY();
	RUN_IF_FOLIOS_ARE_PAGES(self->fd);

	unsigned char page[PAGE];
	int fd;

	if (variant->kind <= STORE_RAM)
		SKIP(return, "it ends with its buffer");
	memset(self->map, 'a', SIZE);
	ASSERT_EQ(0, fsync(self->fd));
	memset(self->map + PAGE, 'b', PAGE);
	ASSERT_EQ(0, power_off(self->fd));
	memset(page, 'c', PAGE);
	ASSERT_EQ(PAGE, pwrite(self->fd, page, PAGE, 0));
	munmap(self->map, SIZE);
	close(self->fd);
	for (size_t i = 0; i < 2; i++) {
		ASSERT_EQ(PAGE, pread(self->lower, page, PAGE, i * PAGE));
		EXPECT_EQ('a', page[7]);
	}
	/* The next one has power */
	fd = create_with(VMADEMO_STORE_FILE, 0, self->lower);
	ASSERT_GE(fd, 0);
	self->fd = fd;
	self->map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
	EXPECT_FALSE(is_off(fd));
	EXPECT_EQ('a', touch(self->map));
}

/* To take away and to give back has nothing to do with it. */
TEST_F(store, revoked)
{
	RUN_IF_READY();

	memset(self->map, 'a', SIZE);
	ASSERT_EQ(0, fsync(self->fd));
	put(self->map, 'b');
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_REVOKE));
	ASSERT_EQ(0, power_off(self->fd));
	EXPECT_FAILS(ENODEV, ftruncate(self->fd, 0));
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_RESTORE));
	EXPECT_EQ(SIGBUS, touch_signal(self->map, 0));
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_REVOKE));
	ASSERT_EQ(0, power_on(self->fd));
	EXPECT_EQ(SIGBUS, touch_signal(self->map, 0));
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_RESTORE));
	EXPECT_EQ('a', touch(self->map));
}

TEST(large_folios)
{
	static const uint32_t sizes[] = { 65536, 2 * MIB };

	for (int i = 0; i < 2; i++) {
		const size_t size = 8 * sizes[i];
		struct vmademo_power p = { .flags = VMADEMO_POWER_OFF,
					   .seed = 3,
					   .written_permille = 500,
					   .torn = 1 };
		unsigned char *map;
		int fd, whole = 0, torn = 0;

		folio_size_wanted = sizes[i];
		fd = create_with(VMADEMO_STORE_RAM, size, 0);
		folio_size_wanted = 0;
		ASSERT_GE(fd, 0);
		map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		ASSERT_NE(MAP_FAILED, map);
		memset(map, 'o', size);
		ASSERT_EQ(0, fsync(fd));
		memset(map, 'n', size);
		ASSERT_EQ(0, ioctl(fd, VMADEMO_IOC_POWER, &p));
		EXPECT_EQ(SIGBUS, touch_signal(map + sizes[i], 1));
		ASSERT_EQ(0, power_on(fd));
		for (size_t at = 0; at < size; at += sizes[i]) {
			size_t n = 0;

			for (size_t s = 0; s < sizes[i]; s += 512)
				n += touch(map + at + s) == 'n';
			whole += n == sizes[i] / 512;
			torn += n > 0 && n < sizes[i] / 512;
		}
		if ((size_t)fd_value(fd, "folio_size") == sizes[i]) {
			EXPECT_EQ(4, whole);
			EXPECT_EQ(1, torn);
		}
		EXPECT_EQ(p.written_folios, whole);
		EXPECT_EQ(1, p.torn_folios);
		EXPECT_ACCOUNT_ADDS_UP(fd);
		munmap(map, size);
		close(fd);
	}
}

/* ---- what is asked for --------------------------------------------------- */

TEST(refused)
{
	int fd = create_with(VMADEMO_STORE_RAM, PAGE, 0), again = dup(fd);
	int other = create_with(VMADEMO_STORE_RAM, PAGE, 0);
	int none = create_buffer(PAGE), ro = reopen(other, O_RDONLY);
	int path = reopen(other, O_PATH), null = open("/dev/null", O_RDWR);
	int window = open(WINDOW, O_RDWR), pipes[2], nr = 0;
	int fds[65];
	const struct vmademo_power good = { .flags = VMADEMO_POWER_OFF,
					    .fds = (uintptr_t)fds,
					    .count = 1,
					    .seed = 1 };
	struct vmademo_power p;

	ASSERT_EQ(0, pipe(pipes));
	ASSERT_LE(0, fd);
	ASSERT_LE(0, other);
	ASSERT_LE(0, none);
	ASSERT_LE(0, ro);
	for (int i = 0; i < 65; i++)
		fds[i] = other;
#define BAD(err, field, value)                                               \
	do {                                                                 \
		nr++;                                                        \
		p = good;                                                    \
		p.field = value;                                             \
		EXPECT_EQ(err, ioctl(fd, VMADEMO_IOC_POWER, &p) ? errno : 0) \
		TH_LOG("number %d: " #field, nr);                            \
	} while (0)
	BAD(EINVAL, flags, 2);
	BAD(EINVAL, flags, UINT32_MAX);
	BAD(EINVAL, flags, 0); /* with a seed */
	BAD(EINVAL, count, 0); /* with descriptors */
	BAD(EINVAL, count, 65);
	BAD(EINVAL, count, UINT32_MAX);
	BAD(EINVAL, count, 2); /* twice the same */
	BAD(EFAULT, fds, 8);
	BAD(EFAULT, fds, UINT64_MAX);
	BAD(EINVAL, written_permille, VMADEMO_WRITTEN_ONE + 1);
	BAD(EINVAL, lost_folios, 1);
	BAD(EINVAL, lost_bytes, 1);
	BAD(EINVAL, written_folios, 1);
	BAD(EINVAL, torn_folios, 1);
	BAD(EINVAL, lost_names, 1);
	for (int i = 0; i < 3; i++)
		BAD(EINVAL, reserved[i], 1);
#undef BAD
#define BAD_FD(err, bad)                                                     \
	do {                                                                 \
		nr++;                                                        \
		fds[0] = bad;                                                \
		p = good;                                                    \
		EXPECT_EQ(err, ioctl(fd, VMADEMO_IOC_POWER, &p) ? errno : 0) \
		TH_LOG("number %d: " #bad, nr);                              \
		fds[0] = other;                                              \
	} while (0)
	BAD_FD(EINVAL, fd);
	BAD_FD(EINVAL, again);
	BAD_FD(EINVAL, null);
	BAD_FD(EINVAL, pipes[0]);
	if (window >= 0)
		BAD_FD(EINVAL, window);
	BAD_FD(EOPNOTSUPP, none);
	BAD_FD(EBADF, ro);
	BAD_FD(EBADF, path);
	BAD_FD(EBADF, -1);
	BAD_FD(EBADF, 1000000);
#undef BAD_FD
	p = (struct vmademo_power){ .flags = VMADEMO_POWER_OFF };
	EXPECT_FAILS(EOPNOTSUPP, ioctl(none, VMADEMO_IOC_POWER, &p));
	EXPECT_FAILS(EBADF, ioctl(ro, VMADEMO_IOC_POWER, &p));
	EXPECT_FAILS(EFAULT, ioctl(fd, VMADEMO_IOC_POWER, (void *)8));
	EXPECT_FAILS(ENOTTY, ioctl(window, VMADEMO_IOC_POWER, &p));
	/* The argument is read only */
	{
		struct vmademo_power *at =
			mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		*at = good;
		mprotect(at, PAGE, PROT_READ);
		EXPECT_FAILS(EFAULT, ioctl(fd, VMADEMO_IOC_POWER, at));
		munmap(at, PAGE);
	}
	/* Nothing has happened to either, nor to their counters */
	EXPECT_FALSE(is_off(fd));
	EXPECT_FALSE(is_off(other));
	EXPECT_EQ(0, account_of(fd).crashes);
	EXPECT_EQ(0, account_of(other).crashes);
	close(window);
	close(null);
	close(path);
	close(ro);
	close(none);
	close(other);
	close(again);
	close(fd);
}

/* As many as can be named, of which some are off already. */
TEST(many)
{
	int fds[VMADEMO_POWER_MAX], fd = create_with(VMADEMO_STORE_RAM, PAGE, 0);
	struct vmademo_power p = { .flags = VMADEMO_POWER_OFF,
				   .fds = (uintptr_t)fds,
				   .count = VMADEMO_POWER_MAX,
				   .written_permille = 500 };
	int written = 0, alike;

	ASSERT_GE(fd, 0);
	for (int i = 0; i < VMADEMO_POWER_MAX; i++) {
		fds[i] = create_with(VMADEMO_STORE_RAM, PAGE, 0);
		ASSERT_GE(fds[i], 0);
		ASSERT_EQ(1, pwrite(fds[i], "x", 1, 0));
	}
	ASSERT_EQ(0, power_off(fds[7]));
	ASSERT_EQ(0, ioctl(fd, VMADEMO_IOC_POWER, &p));
	EXPECT_EQ(VMADEMO_POWER_MAX - 1, p.lost_folios + p.written_folios);
	EXPECT_EQ(p.lost_folios * folios_are_pages(fd) * PAGE,
		  p.lost_bytes * folios_are_pages(fd));
	for (int i = 0; i < VMADEMO_POWER_MAX; i++) {
		EXPECT_TRUE(is_off(fds[i]));
		EXPECT_EQ(1, account_of(fds[i]).crashes);
	}
	p = (struct vmademo_power){ .fds = (uintptr_t)fds,
				    .count = VMADEMO_POWER_MAX };
	ASSERT_EQ(0, ioctl(fd, VMADEMO_IOC_POWER, &p));
	for (int i = 0; i < VMADEMO_POWER_MAX; i++) {
		char byte = 0;

		EXPECT_FALSE(is_off(fds[i]));
		EXPECT_EQ(1, pread(fds[i], &byte, 1, 0));
		written += byte == 'x';
		close(fds[i]);
	}
	/* Each has its own seed: not all of them, nor none */
	alike = written == 0 || written == VMADEMO_POWER_MAX - 1;
	EXPECT_FALSE(alike);
	close(fd);
}

TEST_HARNESS_MAIN
