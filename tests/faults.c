// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which faults a mapping takes, that each serves the right page, and that the
 * module's account of them equals the kernel's.
 */
#include <pthread.h>

#include "kselftest_harness.h"
#include "vmademo_test.h"

FIXTURE(faults)
{
	int fd;
	struct account before;
	int64_t minor;
};

FIXTURE_SETUP(faults)
{
	self->fd = open(NODE, O_RDWR);
	ASSERT_GE(self->fd, 0) TH_LOG("%s: %s", NODE, strerror(errno));
	/* However many came before, each maps as many pages */
	ASSERT_EQ(0, map_ahead("64K"));
	/* The program itself must take no faults while they are counted */
	ASSERT_EQ(0, mlockall(MCL_CURRENT));
}

FIXTURE_TEARDOWN(faults)
{
	map_ahead("auto");
	close(self->fd);
}

static unsigned char *map(struct __test_metadata *_metadata, int fd, size_t len,
			  off_t offset)
{
	unsigned char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED,
				fd, offset);

	ASSERT_NE(MAP_FAILED, p);
	return p;
}

/* Every page of the place gets its own page number as content. */
static void number_pages(struct __test_metadata *_metadata, int fd, off_t place,
			 unsigned int pages)
{
	for (uint64_t i = 0; i < pages; i++)
		ASSERT_EQ(8, pwrite(fd, &i, 8, place + i * PAGE));
}

/* Starts the accounts; account_now() opens files, so it comes before minor. */
#define START()                               \
	do {                                  \
		self->before = account_now(); \
		self->minor = minor_faults(); \
	} while (0)

/* A page that nobody has touched: one fault, one zeroed folio, no disk. */
TEST_F(faults, first_touch_makes_one_folio)
{
	unsigned char *p = map(_metadata, self->fd, 16 * PAGE, PLACE(0));
	int64_t major = major_faults(), minor;
	struct account d;

	if (cached_pages(p, 16 * PAGE))
		SKIP(return, CACHED_ALREADY);
	START();
	EXPECT_EQ(0, touch(p + 5 * PAGE));
	minor = minor_faults() - self->minor;
	d = account_since(&self->before);
	EXPECT_EQ(1, minor);
	EXPECT_EQ(major, major_faults());
	EXPECT_EQ(1, d.fault_around);
	EXPECT_EQ(0, d.fault_around_hits);
	EXPECT_EQ(1, d.read_faults);
	EXPECT_EQ(0, d.write_faults);
	EXPECT_EQ(folio_size_of(self->fd), d.cached_bytes);
	EXPECT_EQ(folios_are_pages(self->fd) ? 1 : 16,
		  cached_pages(p, 16 * PAGE));
	EXPECT_EQ(1, cached_pages(p + 5 * PAGE, PAGE));
	munmap(p, 16 * PAGE);
}

/* The same at an offset: it is that page of the buffer that is made. */
TEST_F(faults, first_touch_at_an_offset)
{
	unsigned char *whole = map(_metadata, self->fd, 64 * PAGE, PLACE(1));
	unsigned char *p = map(_metadata, self->fd, 16 * PAGE,
			       PLACE(1) + 32 * PAGE);
	int64_t major = major_faults();
	struct account d;

	if (cached_pages(whole, 64 * PAGE))
		SKIP(return, CACHED_ALREADY);
	ASSERT_EQ(0, munmap(p, 4 * PAGE));
	START();
	EXPECT_EQ(0, touch(p + 5 * PAGE));
	put(p + 6 * PAGE, 66);
	d = account_since(&self->before);
	EXPECT_EQ(1, d.read_faults);
	EXPECT_EQ(1, d.write_faults);
	EXPECT_EQ(whole_folios(self->fd, 2 * PAGE), d.cached_bytes);
	EXPECT_EQ(major, major_faults());
	EXPECT_EQ(2, cached_pages(whole + (32 + 5) * PAGE, 2 * PAGE));
	EXPECT_EQ(66, touch(whole + (32 + 6) * PAGE));
	munmap(p + 4 * PAGE, 12 * PAGE);
	munmap(whole, 64 * PAGE);
}

/* Cached pages are mapped many at a time, without a call of .fault. */
TEST_F(faults, fault_around)
{
	size_t len = 64 * PAGE, window = FAULT_AROUND;
	unsigned char *p;
	struct account d;
	int64_t minor;

	number_pages(_metadata, self->fd, PLACE(2), 64);

	/* The windows are aligned by address, so the mapping must be too */
	p = aligned_room(len, len);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(p, mmap(p, len, PROT_READ, MAP_SHARED | MAP_FIXED, self->fd,
			  PLACE(2)));
	START();
	for (size_t i = 0; i < 64; i++)
		EXPECT_EQ(i, number_at(p + i * PAGE));
	minor = minor_faults() - self->minor;
	d = account_since(&self->before);
	EXPECT_EQ(len / window, minor);
	EXPECT_EQ(len / window, d.fault_around);
	EXPECT_EQ(len / window, d.fault_around_hits);
	EXPECT_EQ(0, d.read_faults);
	EXPECT_EQ(0, d.cached_bytes);
	munmap(p, len);
}

/* Pages are mapped around a read only: a write must be asked about. */
TEST_F(faults, write_faults_come_one_a_page)
{
	unsigned char *p = map(_metadata, self->fd, 32 * PAGE, PLACE(3));
	struct account d;
	int64_t minor;

	/* Newer kernels map all of a large folio by the fault that makes it */
	fault_by_pages(p, 32 * PAGE);
	START();
	for (size_t i = 0; i < 32; i++)
		put(p + i * PAGE, i);
	minor = minor_faults() - self->minor;
	d = account_since(&self->before);
	EXPECT_EQ(32, minor);
	EXPECT_EQ(32, d.write_faults);
	EXPECT_EQ(32, d.first_writes);
	EXPECT_EQ(0, d.fault_around);
	for (size_t i = 0; i < 32; i++)
		EXPECT_EQ(i, touch(p + i * PAGE));
	munmap(p, 32 * PAGE);
}

/* A write to a page that is mapped to read asks .page_mkwrite only. */
TEST_F(faults, write_after_read)
{
	unsigned char *p = map(_metadata, self->fd, PAGE, PLACE(4));
	struct account d;
	int64_t minor;

	touch(p);
	START();
	put(p, 1);
	put(p + 1, 2);
	minor = minor_faults() - self->minor;
	d = account_since(&self->before);
	EXPECT_EQ(1, minor);
	EXPECT_EQ(1, d.first_writes);
	EXPECT_EQ(0, d.write_faults);
	EXPECT_EQ(0, d.read_faults);
	munmap(p, PAGE);
}

/* Unmap and map again: the data is the buffer's, not the mapping's. */
TEST_F(faults, after_munmap_at_another_offset)
{
	unsigned char *p = map(_metadata, self->fd, 32 * PAGE, PLACE(5));

	for (uint64_t i = 0; i < 32; i++)
		*(uint64_t *)(p + i * PAGE) = 1000 + i;
	ASSERT_EQ(0, munmap(p, 32 * PAGE));
	for (unsigned int first = 0; first < 32; first += 7) {
		p = map(_metadata, self->fd, (32 - first) * PAGE,
			PLACE(5) + first * PAGE);
		for (size_t i = first; i < 32; i++)
			EXPECT_EQ(1000 + i, number_at(p + (i - first) * PAGE));
		munmap(p, (32 - first) * PAGE);
	}
}

/* After part of a mapping is gone, vm_start is not the first page any more. */
TEST_F(faults, head_tail_and_middle_munmap)
{
	static const struct {
		unsigned int from, to;
	} cut[] = { { 0, 5 }, { 27, 32 }, { 10, 20 }, { 0, 31 }, { 1, 32 } };
	unsigned char *p;

	number_pages(_metadata, self->fd, PLACE(6), 32);
	for (size_t c = 0; c < sizeof(cut) / sizeof(cut[0]); c++) {
		p = map(_metadata, self->fd, 32 * PAGE, PLACE(6));
		ASSERT_EQ(0, munmap(p + cut[c].from * PAGE,
				    (cut[c].to - cut[c].from) * PAGE));
		for (unsigned int i = 0; i < 32; i++) {
			if (i >= cut[c].from && i < cut[c].to) {
				EXPECT_EQ(SIGSEGV, touch_signal(p + i * PAGE, 0));
				continue;
			}
			/* Odd pages by .fault for write, even ones around */
			if (i % 2)
				put(p + i * PAGE + 8, 1);
			EXPECT_EQ(i, number_at(p + i * PAGE))
			TH_LOG("cut %zu, page %u", c, i);
		}
		munmap(p, 32 * PAGE);
	}
}

/* The live mappings are VMAs: a split makes two of one. */
TEST_F(faults, mappings_are_counted)
{
	int64_t before = node_value("mappings");
	unsigned char *p, *q;

	p = map(_metadata, self->fd, 16 * PAGE, PLACE(7));
	EXPECT_EQ(before + 1, node_value("mappings"));
	munmap(p, 2 * PAGE);
	EXPECT_EQ(before + 1, node_value("mappings"));
	munmap(p + 8 * PAGE, 2 * PAGE);
	EXPECT_EQ(before + 2, node_value("mappings"));
	mprotect(p + 4 * PAGE, PAGE, PROT_READ);
	EXPECT_EQ(before + 4, node_value("mappings"));
	q = mremap(p + 10 * PAGE, 6 * PAGE, 8 * PAGE, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, q);
	EXPECT_EQ(before + 4, node_value("mappings"));
	munmap(q, 8 * PAGE);
	EXPECT_EQ(before + 3, node_value("mappings"));
	munmap(p, 16 * PAGE);
	EXPECT_EQ(before, node_value("mappings"));
}

/* VMAs of this process that map the node, as /proc/self/maps has them. */
static int vmas(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	int n = 0;

	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, NODE "\n"))
			n++;
	if (f)
		fclose(f);
	return n;
}

/*
 * Whether the kernel joins neighbours to one VMA is its own affair, and differs;
 * the count has to follow it.
 */
TEST_F(faults, neighbours_are_counted)
{
	int64_t before = node_value("mappings");
	unsigned char *p = mmap(NULL, 64 * PAGE, PROT_NONE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, vmas());
	/* From both sides, and the gap between them last */
	for (int part = 0; part < 4; part++) {
		static const int order[] = { 0, 1, 3, 2 };
		size_t at = order[part] * 16 * PAGE;

		ASSERT_EQ(p + at, mmap(p + at, 16 * PAGE, PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_FIXED, self->fd,
				       PLACE(12) + at));
		put(p + at, part);
		EXPECT_EQ(before + vmas(), node_value("mappings"));
	}
	/* Part of it mapped over by the same file, then taken from the middle */
	ASSERT_EQ(p + 8 * PAGE,
		  mmap(p + 8 * PAGE, 16 * PAGE, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_FIXED, self->fd, PLACE(13)));
	EXPECT_EQ(before + vmas(), node_value("mappings"));
	munmap(p + 30 * PAGE, 4 * PAGE);
	EXPECT_EQ(before + vmas(), node_value("mappings"));
	munmap(p, 64 * PAGE);
	EXPECT_EQ(0, vmas());
	EXPECT_EQ(before, node_value("mappings"));
}

/* Every minor fault is in the account, under exactly one name. */
TEST_F(faults, accounts_agree)
{
	const unsigned int pages = 256;
	unsigned char *shared = map(_metadata, self->fd, pages * PAGE, PLACE(8));
	unsigned char *private = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE, self->fd, PLACE(8));
	unsigned int seed = 1, writes_to_read_pages;
	struct account d;
	int64_t minor;

	ASSERT_NE(MAP_FAILED, private);
	START();
	for (int i = 0; i < 2000; i++) {
		size_t at = rand_r(&seed) % pages * PAGE;

		switch (rand_r(&seed) % 8) {
		case 0:
			put(shared + at, i);
			break;
		case 1:
			/*
			 * A private page that was read, or mapped around one
			 * that was, is copied without asking the driver.  So
			 * write to pages far from those that are read.
			 */
			if (at >= pages / 2 * PAGE)
				put(private + at, i);
			break;
		case 2:
			if (at < (pages / 2 - 16) * PAGE)
				touch(private + at);
			break;
		case 3:
			madvise(shared + at, PAGE, MADV_DONTNEED);
			break;
		default:
			touch(shared + at);
		}
	}
	minor = minor_faults() - self->minor;
	d = account_since(&self->before);
	writes_to_read_pages = d.first_writes - d.write_faults;
	EXPECT_EQ(minor, d.read_faults + d.fault_around_hits + d.write_faults +
				 d.cow_faults + writes_to_read_pages);
	EXPECT_LT(0, d.cow_faults);
	EXPECT_LT(0, writes_to_read_pages);
	munmap(shared, pages * PAGE);
	munmap(private, pages * PAGE);
}

/* Large mappings are placed so that 2 MiB page table entries would fit. */
TEST_F(faults, addresses_suit_huge_pages)
{
	if (IS_32_BIT)
		SKIP(return,
			   "the kernel does not align mappings of 32-bit programs");

	const off_t offsets[] = { 0, 1 * MIB, 2 * MIB, 3 * MIB + 5 * PAGE };

	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		unsigned char *p = map(_metadata, self->fd, 4 * PMD_SIZE,
				       offsets[i]);

		EXPECT_EQ(offsets[i] % PMD_SIZE, (uintptr_t)p % PMD_SIZE);
		munmap(p, 4 * PMD_SIZE);
	}
}

/* mremap moves and grows; what is mapped where stays right. */
TEST_F(faults, mremap_grows_and_moves)
{
	unsigned char *p = map(_metadata, self->fd, 4 * PAGE, PLACE(11) + PAGE);

	number_pages(_metadata, self->fd, PLACE(11), 32);
	touch(p);
	p = mremap(p, 4 * PAGE, 20 * PAGE, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, p);
	for (size_t i = 0; i < 20; i++)
		EXPECT_EQ(i + 1, number_at(p + i * PAGE));
	munmap(p, 20 * PAGE);
}

TEST_F(faults, populated_ahead_faults_no_more)
{
	unsigned char *p = map(_metadata, self->fd, 32 * PAGE, PLACE(9));
	int64_t minor;

	ASSERT_EQ(0, madvise(p, 32 * PAGE, MADV_POPULATE_WRITE));
	minor = minor_faults();
	for (size_t i = 0; i < 32; i++)
		put(p + i * PAGE, 1);
	EXPECT_EQ(minor, minor_faults());
	munmap(p, 32 * PAGE);
}

struct racer {
	unsigned char *p;
	pthread_barrier_t *start;
};

static void *race(void *arg)
{
	struct racer *r = arg;

	pthread_barrier_wait(r->start);
	for (size_t i = 0; i < 128; i++)
		__atomic_fetch_add((uint32_t *)(r->p + i * PAGE), 1,
				   __ATOMIC_SEQ_CST);
	return NULL;
}

/* Threads that touch a new page at once all get the same page. */
TEST_F(faults, threads_race_for_new_pages)
{
	unsigned char *p = map(_metadata, self->fd, 128 * PAGE, PLACE(10));
	pthread_barrier_t start;
	struct racer racer = { p, &start };
	pthread_t threads[8];
	struct account d;

	if (cached_pages(p, 128 * PAGE))
		SKIP(return, CACHED_ALREADY);
	pthread_barrier_init(&start, NULL, 8);
	START();
	for (int i = 0; i < 8; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, race, &racer));
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	d = account_since(&self->before);
	EXPECT_EQ(whole_folios(self->fd, 128 * PAGE), d.cached_bytes);
	EXPECT_EQ(in_folios(self->fd, 128 * PAGE), d.dirtied_folios);
	for (size_t i = 0; i < 128; i++)
		EXPECT_EQ(8, number_at(p + i * PAGE));
	munmap(p, 128 * PAGE);
}

TEST_HARNESS_MAIN
