// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where data is and where holes are: SEEK_DATA, SEEK_HOLE and st_blocks.  Programs that
 * copy files, such as tar and cp, believe what they say: where they see no data, none is
 * copied.
 */
#include <sys/stat.h>
#include <linux/falloc.h>

#include "kselftest_harness.h"
#include "stores.h"

#define PAGES 16
#define SIZE  (PAGES * PAGE)

FIXTURE(sparse)
{
	const char *skip;
	int fd, lower;
	unsigned char *map;
};

FIXTURE_VARIANT(sparse)
{
	enum store_kind kind;
	bool none; /* no store, and no kind */
};

FIXTURE_VARIANT_ADD(sparse, none){ .none = true };
FIXTURE_VARIANT_ADD(sparse, ram){ .kind = STORE_RAM };
FIXTURE_VARIANT_ADD(sparse, tmpfs){ .kind = STORE_TMPFS };
FIXTURE_VARIANT_ADD(sparse, ext4){ .kind = STORE_EXT4 };

FIXTURE_SETUP(sparse)
{
	self->lower = -1;
	self->fd = variant->none
			   ? create_buffer(SIZE)
			   : create_store(variant->kind, SIZE, &self->lower);
	if (self->fd < 0 && errno == ENODEV) {
		self->skip = "no such store on this machine";
		return;
	}
	ASSERT_GE(self->fd, 0);
	self->map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
	madvise(self->map, SIZE, MADV_RANDOM);
}

FIXTURE_TEARDOWN(sparse)
{
	if (self->skip)
		return;
	EXPECT_ACCOUNT_ADDS_UP(self->fd);
	munmap(self->map, SIZE);
	end_store(variant->kind, self->fd, self->lower);
}

/*
 * The file from `from` on, a letter for each page: d for data, - for a hole.  It walks
 * as a program does that copies: from hole to data, from data to hole.
 */
static const char *pages_of(int fd, off_t from, off_t size)
{
	static char letters[PAGES + 2];
	size_t pages = (size - from + PAGE - 1) / PAGE;
	off_t at = from, data, hole;

	memset(letters, 0, sizeof(letters));
	memset(letters, '-', pages);
	while (at < size && (data = lseek(fd, at, SEEK_DATA)) >= 0) {
		hole = lseek(fd, data, SEEK_HOLE);
		if (data < at || hole <= data || hole > size)
			return "no order in it";
		data -= data % PAGE;
		for (; data < hole; data += PAGE)
			letters[(data - from) / PAGE] = 'd';
		at = hole;
	}
	return at < size && errno != ENXIO ? strerror(errno) : letters;
}

static int64_t blocks(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? -1 : st.st_blocks;
}

/* Drops what is clean from the page cache. */
static void evict(FIXTURE_DATA(sparse) * self)
{
	fsync(self->fd);
	madvise(self->map, SIZE, 21 /* MADV_PAGEOUT */);
	munmap(self->map, SIZE);
	posix_fadvise(self->fd, 0, 0, POSIX_FADV_DONTNEED);
	self->map = mmap(self->map, SIZE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, self->fd, 0);
	/* Holes that are read ahead would be in the page cache */
	madvise(self->map, SIZE, MADV_RANDOM);
}

/* As many of 512 bytes as there is data. */
static int64_t data_blocks(const char *pages)
{
	int64_t n = 0;

	for (; *pages; pages++)
		n += *pages == 'd' ? PAGE / 512 : 0;
	return n;
}

/* Its pages; and it is counted as empty only if it is. */
#define EXPECT_PAGES(pages)                                       \
	do {                                                      \
		int64_t blocks_ = blocks(self->fd);               \
                                                                  \
		EXPECT_STREQ(pages, pages_of(self->fd, 0, SIZE)); \
		EXPECT_EQ(data_blocks(pages) > 0, blocks_ > 0);   \
		/* ext4 may count blocks of its own */            \
		EXPECT_GE(SIZE / 512 + 16, blocks_);              \
	} while (0)

/* When the store has it all, it is all counted. */
#define EXPECT_STORED_PAGES(pages)                               \
	do {                                                     \
		EXPECT_PAGES(pages);                             \
		EXPECT_LE(data_blocks(pages), blocks(self->fd)); \
	} while (0)

/* Written, written back, dropped from the page cache, punched: always the same. */
TEST_F(sparse, written_and_punched)
{
	RUN_IF_READY();
	RUN_IF_FOLIOS_ARE_PAGES(self->fd);

	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	struct vmademo_discard d = { 5 * PAGE, 9 * PAGE, { 0 } };

	EXPECT_PAGES("----------------");
	put(self->map + 2 * PAGE, 1);
	put(self->map + 3 * PAGE, 1);
	EXPECT_EQ(1, pwrite(self->fd, "x", 1, 9 * PAGE + 100));
	EXPECT_PAGES("--dd-----d------");
	ASSERT_EQ(0, fsync(self->fd));
	EXPECT_STORED_PAGES("--dd-----d------");
	evict(self);
	EXPECT_STORED_PAGES("--dd-----d------");
	if (!variant->none) {
		ASSERT_EQ(0, power_cut(self->fd));
		EXPECT_EQ(0, fd_value(self->fd, "cached_bytes"));
		EXPECT_STORED_PAGES("--dd-----d------");
	}
	/* Partly in the page cache, partly not */
	put(self->map + 15 * PAGE, 1);
	EXPECT_PAGES("--dd-----d-----d");
	touch(self->map + 3 * PAGE);
	EXPECT_PAGES("--dd-----d-----d");
	ASSERT_EQ(0, fallocate(self->fd, punch, 3 * PAGE, PAGE));
	EXPECT_PAGES("--d------d-----d");
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_DISCARD, &d));
	EXPECT_PAGES("--d------------d");
	evict(self);
	EXPECT_STORED_PAGES("--d------------d");
	ASSERT_EQ(0, fallocate(self->fd, punch, 0, SIZE));
	EXPECT_PAGES("----------------");
	evict(self);
	EXPECT_STORED_PAGES("----------------");
	/* Cut off and grown again, too */
	memset(self->map, 1, SIZE);
	EXPECT_PAGES("dddddddddddddddd");
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, ftruncate(self->fd, PAGE));
	ASSERT_EQ(0, ftruncate(self->fd, SIZE));
	EXPECT_PAGES("d---------------");
}

/* From the middle of a page, at the end, and beyond it. */
TEST_F(sparse, places)
{
	RUN_IF_READY();
	RUN_IF_FOLIOS_ARE_PAGES(self->fd);

	const off_t end = SIZE - 100;

	put(self->map + 2 * PAGE, 1);
	put(self->map + 15 * PAGE, 1);
	ASSERT_EQ(0, ftruncate(self->fd, end));
	for (int again = 0; again < 2; again++) {
		EXPECT_EQ(2 * PAGE, lseek(self->fd, 5, SEEK_DATA));
		EXPECT_EQ(2 * PAGE, lseek(self->fd, 0, SEEK_CUR));
		EXPECT_EQ(2 * PAGE + 5, lseek(self->fd, 2 * PAGE + 5, SEEK_DATA));
		EXPECT_EQ(3 * PAGE, lseek(self->fd, 2 * PAGE + 5, SEEK_HOLE));
		EXPECT_EQ(5, lseek(self->fd, 5, SEEK_HOLE));
		EXPECT_EQ(15 * PAGE, lseek(self->fd, 3 * PAGE, SEEK_DATA));
		EXPECT_EQ(end, lseek(self->fd, 15 * PAGE, SEEK_HOLE));
		EXPECT_EQ(end, lseek(self->fd, end - 1, SEEK_HOLE));
		EXPECT_EQ(end - 1, lseek(self->fd, end - 1, SEEK_DATA));
		EXPECT_EQ(end - 1, lseek(self->fd, 0, SEEK_CUR));
		EXPECT_FAILS(ENXIO, lseek(self->fd, end, SEEK_DATA));
		EXPECT_FAILS(ENXIO, lseek(self->fd, end, SEEK_HOLE));
		EXPECT_FAILS(ENXIO, lseek(self->fd, SIZE * 8, SEEK_DATA));
		EXPECT_FAILS(ENXIO, lseek(self->fd, -1, SEEK_DATA));
		EXPECT_FAILS(ENXIO, lseek(self->fd, -1, SEEK_HOLE));
		EXPECT_EQ(end - 1, lseek(self->fd, 0, SEEK_CUR));
		evict(self);
	}
}

/* A program that copies the data and leaves out the holes has it all. */
TEST_F(sparse, copied)
{
	RUN_IF_READY();

	unsigned char copy[SIZE], all[SIZE];
	unsigned int seed = 1;

	for (int n = 0; n < 20; n++) {
		off_t at = 0, hole;

		for (int i = 0; i < 6; i++) {
			off_t from = rand_r(&seed) % SIZE;
			off_t len = 1 + rand_r(&seed) % (SIZE - from);

			if (i % 2) {
				ASSERT_EQ(0, fallocate(self->fd,
						       FALLOC_FL_PUNCH_HOLE |
							       FALLOC_FL_KEEP_SIZE,
						       from, len));
			} else {
				memset(self->map + from, n + 1, len);
			}
			if (n % 3 == 0)
				evict(self);
		}
		memset(copy, 0, SIZE);
		while ((at = lseek(self->fd, at, SEEK_DATA)) >= 0) {
			hole = lseek(self->fd, at, SEEK_HOLE);
			ASSERT_LT(at, hole);
			ASSERT_EQ(hole - at,
				  pread(self->fd, copy + at, hole - at, at));
			at = hole;
		}
		ASSERT_EQ(SIZE, pread(self->fd, all, SIZE, 0));
		ASSERT_EQ(0, memcmp(copy, all, SIZE));
	}
}

/* A block device is data, all of it, whatever was read or punched. */
TEST(block_device)
{
	int lower, fd = create_store(STORE_BLOCK, SIZE, &lower);
	struct vmademo_discard d = { .length = SIZE };

	if (fd < 0 && errno == ENODEV)
		SKIP(return, "no block device to try it on");
	ASSERT_GE(fd, 0);
	EXPECT_LT(0, blocks(fd));
	EXPECT_STREQ("dddddddddddddddd", pages_of(fd, 0, SIZE));
	ASSERT_EQ(0, ioctl(fd, VMADEMO_IOC_DISCARD, &d));
	EXPECT_STREQ("dddddddddddddddd", pages_of(fd, 0, SIZE));
	EXPECT_LT(0, blocks(fd));
	end_store(STORE_BLOCK, fd, lower);
}

/* The node says it, too. */
TEST(the_node)
{
	RUN_IF_FOLIOS_ARE_PAGES(-1);

	const off_t place = PLACE(20);
	struct vmademo_discard d = { place, 16 * PAGE, { 0 } };
	int node = open(NODE, O_RDWR | O_CLOEXEC);

	ASSERT_GE(node, 0);
	ASSERT_EQ(0, ioctl(node, VMADEMO_IOC_DISCARD, &d));
	ASSERT_EQ(1, pwrite(node, "x", 1, place + 4 * PAGE));
	ASSERT_EQ(1, pwrite(node, "x", 1, place + 15 * PAGE));
	EXPECT_STREQ("----d----------d",
		     pages_of(node, place, place + 16 * PAGE));
	EXPECT_EQ(place + 5 * PAGE, lseek(node, place + 4 * PAGE, SEEK_HOLE));
	EXPECT_EQ(place + 15 * PAGE, lseek(node, place + 5 * PAGE, SEEK_DATA));
	EXPECT_EQ(place + 15 * PAGE, lseek(node, 0, SEEK_CUR));
	d.offset += 4 * PAGE;
	d.length = PAGE;
	ASSERT_EQ(0, ioctl(node, VMADEMO_IOC_DISCARD, &d));
	EXPECT_EQ(place + 15 * PAGE, lseek(node, place, SEEK_DATA));
	EXPECT_FAILS(ENXIO, lseek(node, node_value("size"), SEEK_DATA));
	close(node);
}

TEST_HARNESS_MAIN
