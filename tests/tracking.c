// SPDX-License-Identifier: GPL-2.0-only
/*
 * How a program learns which of its pages are there and which were written to:
 * /proc/self/pagemap, soft-dirty, userfaultfd and PAGEMAP_SCAN.  And that these
 * leave the account of what is dirty in the file alone.
 */
#include <linux/fs.h>
#include <linux/userfaultfd.h>

#include "kselftest_harness.h"
#include "vmademo_test.h"

#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC 0x8000
#endif

#ifndef PAGEMAP_SCAN
#define PAGE_IS_WRITTEN	    0x02
#define PAGE_IS_FILE	    0x04
#define PAGE_IS_PRESENT	    0x08
#define PM_SCAN_WP_MATCHING 0x01

struct page_region {
	__u64 start;
	__u64 end;
	__u64 categories;
};

struct pm_scan_arg {
	__u64 size;
	__u64 flags;
	__u64 start;
	__u64 end;
	__u64 walk_end;
	__u64 vec;
	__u64 vec_len;
	__u64 max_pages;
	__u64 category_inverted;
	__u64 category_mask;
	__u64 category_anyof_mask;
	__u64 return_mask;
};

#define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
#endif

#define LEN (8 * PAGE)

/* The highest bits of an entry of pagemap; the lowest 55 number the page. */
#define PRESENT	   0x100
#define FILE_PAGE  0x040
#define SOFT_DIRTY 0x001

FIXTURE(tracking)
{
	int fd, pagemap;
	unsigned char *shared, *private; /* of the same LEN bytes */
	struct account before;
};

FIXTURE_VIEWS(tracking);

FIXTURE_SETUP(tracking)
{
	static const char page[8 * PAGE_MAX] = { 1 };

	self->pagemap = open("/proc/self/pagemap", O_RDONLY);
	ASSERT_GE(self->pagemap, 0);
	self->fd = open_view(variant->view);
	ASSERT_GE(self->fd, 0) TH_LOG("%s", strerror(errno));
	ASSERT_EQ(LEN, pwrite(self->fd, page, LEN, PLACE(0)));
	ASSERT_EQ(0, fsync(self->fd));
	self->shared = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED,
			    self->fd, PLACE(0));
	self->private = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE,
			     self->fd, PLACE(0));
	ASSERT_NE(MAP_FAILED, self->shared);
	ASSERT_NE(MAP_FAILED, self->private);
	self->before = account_of(self->fd);
}

FIXTURE_TEARDOWN(tracking)
{
	munmap(self->shared, LEN);
	munmap(self->private, LEN);
	close(self->pagemap);
	close(self->fd);
}

/* What pagemap says of the page at p. */
static uint64_t entry(const FIXTURE_DATA(tracking) * self, const void *p)
{
	uint64_t e = 0;

	if (pread(self->pagemap, &e, sizeof(e),
		  (off_t)((uintptr_t)p / PAGE * sizeof(e))) != sizeof(e))
		return -1;
	return e;
}

static int flags(const FIXTURE_DATA(tracking) * self, const void *p)
{
	return entry(self, p) >> 55;
}

/* Which page of the machine's memory it is. */
static uint64_t number(const FIXTURE_DATA(tracking) * self, const void *p)
{
	return entry(self, p) & ((1ULL << 55) - 1);
}

/* What is mapped is present; the same page of the file is the same page of memory. */
TEST_F(tracking, pagemap)
{
	const int both = PRESENT | FILE_PAGE;
	uint64_t of_the_file;

	EXPECT_EQ(0, flags(self, self->shared) & PRESENT);
	put(self->shared, 2);
	touch(self->private);
	of_the_file = number(self, self->shared);
	EXPECT_NE(0, of_the_file);
	EXPECT_EQ(of_the_file, number(self, self->private));
	EXPECT_EQ(both, flags(self, self->shared) & both);
	EXPECT_EQ(both, flags(self, self->private) & both);

	/* A private copy is another page, and none of the file's */
	put(self->private, 3);
	EXPECT_EQ(PRESENT, flags(self, self->private) & both);
	EXPECT_NE(of_the_file, number(self, self->private));

	/* Unmapped it is still cached, but not present here; then it is again */
	ASSERT_EQ(0, madvise(self->shared, LEN, MADV_DONTNEED));
	EXPECT_EQ(0, flags(self, self->shared) & PRESENT);
	EXPECT_EQ(LEN / PAGE, cached_pages(self->shared, LEN));
	EXPECT_EQ(2, touch(self->shared));
	EXPECT_EQ(of_the_file, number(self, self->shared));
}

/* ---- soft-dirty ----------------------------------------------------------- */

/* Which pages are soft-dirty, a bit for each. */
static unsigned int soft_dirty(const FIXTURE_DATA(tracking) * self,
			       const unsigned char *p)
{
	unsigned int bits = 0;

	for (unsigned int i = 0; i < LEN / PAGE; i++)
		if (flags(self, p + i * PAGE) & SOFT_DIRTY)
			bits |= 1 << i;
	return bits;
}

static void clear_soft_dirty(void)
{
	write_text("/proc/self/clear_refs", "4");
}

/* Whether the kernel has it: it does not forget to set the bit of other memory. */
static bool has_soft_dirty(const FIXTURE_DATA(tracking) * self)
{
	static unsigned char own[2 * PAGE_MAX];

	clear_soft_dirty();
	put(own + PAGE, 1);
	return flags(self, own + PAGE) & SOFT_DIRTY;
}

/*
 * Clearing the bits protects the pages, and the next write to each sets its bit.  It
 * is the program's own mark: the file's pages stay as dirty or clean as they were.
 */
TEST_F(tracking, soft_dirty)
{
	struct account d;

	if (!has_soft_dirty(self))
		SKIP(return, "the kernel has no soft-dirty pages");

	memset(self->shared, 2, LEN);
	memset(self->private, 3, LEN);
	/* All are, because all are new */
	EXPECT_EQ(0xff, soft_dirty(self, self->shared));
	clear_soft_dirty();
	EXPECT_EQ(0, soft_dirty(self, self->shared));
	EXPECT_EQ(0, soft_dirty(self, self->private));
	EXPECT_EQ(in_folios(self->fd, LEN), fd_value(self->fd, "dirty_folios"));

	self->before = account_of(self->fd);
	put(self->shared + PAGE, 4);
	put(self->shared + 5 * PAGE, 4);
	touch(self->shared + 6 * PAGE);
	put(self->private + 2 * PAGE, 4);
	EXPECT_EQ(0x22, soft_dirty(self, self->shared));
	EXPECT_EQ(0x04, soft_dirty(self, self->private));
	/* The module was asked once more, but dirty the two were already */
	d = account_of_since(self->fd, &self->before);
	EXPECT_EQ(2, d.first_writes);
	EXPECT_EQ(0, d.dirtied_folios);

	/* And the other way: written back, soft-dirty all the same */
	ASSERT_EQ(0, fsync(self->fd));
	EXPECT_EQ(0x22, soft_dirty(self, self->shared));
	/* Not by a write that comes by another way */
	ASSERT_EQ(1, pwrite(self->fd, "x", 1, PLACE(0) + 7 * PAGE));
	EXPECT_EQ(0x22, soft_dirty(self, self->shared));
}

/* ---- userfaultfd ---------------------------------------------------------- */

/* A userfaultfd with these features; -1 if the kernel does not have them all. */
static int userfaultfd(uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0 && ioctl(fd, UFFDIO_API, &api)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static int uffd_register(int uffd, void *p, uint64_t mode)
{
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)p, .len = LEN },
		.mode = mode,
	};

	return ioctl(uffd, UFFDIO_REGISTER, &reg);
}

/*
 * A program can take the faults of anonymous memory and of tmpfs into its own hands;
 * of a driver's mapping it cannot: its pages come from the driver.
 */
TEST_F(tracking, userfaultfd_is_refused)
{
	int uffd = userfaultfd(0);

	if (uffd < 0)
		SKIP(return, "the kernel has no userfaultfd");
	EXPECT_FAILS(EINVAL, uffd_register(uffd, self->shared,
					   UFFDIO_REGISTER_MODE_MISSING));
	EXPECT_FAILS(EINVAL, uffd_register(uffd, self->private,
					   UFFDIO_REGISTER_MODE_MISSING));
	EXPECT_FAILS(EINVAL, uffd_register(uffd, self->shared,
					   UFFDIO_REGISTER_MODE_MINOR));
	EXPECT_FAILS(EINVAL,
		     uffd_register(uffd, self->shared, UFFDIO_REGISTER_MODE_WP));
	close(uffd);
}

/* ---- PAGEMAP_SCAN --------------------------------------------------------- */

/*
 * Which pages have all of these properties, a bit for each; -1 and errno.  With
 * protect they are then protected, in the same step, so that no write is missed.
 */
static int scan(const FIXTURE_DATA(tracking) * self, const unsigned char *p,
		uint64_t properties, bool protect)
{
	struct page_region regions[LEN / PAGE];
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = protect ? PM_SCAN_WP_MATCHING : 0,
		.start = (uintptr_t)p,
		.end = (uintptr_t)p + LEN,
		.vec = (uintptr_t)regions,
		.vec_len = LEN / PAGE,
		.category_mask = properties,
		.return_mask = properties,
	};
	int n = ioctl(self->pagemap, PAGEMAP_SCAN, &arg), bits = 0;

	if (n < 0)
		return n;
	for (int i = 0; i < n; i++)
		for (uint64_t at = regions[i].start; at < regions[i].end;
		     at += PAGE)
			bits |= 1 << (at - arg.start) / PAGE;
	return bits;
}

/* As pagemap, but asks for pages of a kind: from Linux 6.7 on. */
TEST_F(tracking, pagemap_scan)
{
	touch(self->private);
	put(self->private + 3 * PAGE, 1);
	ASSERT_EQ(0, madvise(self->shared, LEN, MADV_DONTNEED));
	if (scan(self, self->shared, PAGE_IS_PRESENT, false) < 0) {
		ASSERT_EQ(ENOTTY, errno);
		SKIP(return, "the kernel has no PAGEMAP_SCAN");
	}
	EXPECT_EQ(0, scan(self, self->shared, PAGE_IS_PRESENT, false));
	put(self->shared + 2 * PAGE, 1);
	put(self->shared + 7 * PAGE, 1);
	EXPECT_EQ(0x84, scan(self, self->shared, PAGE_IS_PRESENT, false));
	EXPECT_EQ(0x84, scan(self, self->shared, PAGE_IS_PRESENT | PAGE_IS_FILE,
			     false));
	/* The private copy is no page of the file */
	EXPECT_EQ(0x08, 0x08 & scan(self, self->private, PAGE_IS_PRESENT, false));
	EXPECT_EQ(0, 0x08 & scan(self, self->private, PAGE_IS_FILE, false));
	EXPECT_EQ(0x01, 0x01 & scan(self, self->private, PAGE_IS_FILE, false));
}

/*
 * Which pages were written to since they were last asked about: userfaultfd marks
 * writes without telling anybody, PAGEMAP_SCAN finds them and protects them anew.
 * From Linux 6.7 on, and for any mapping.
 */
TEST_F(tracking, written_pages)
{
	int uffd = userfaultfd(UFFD_FEATURE_WP_ASYNC);
	struct account d;

	if (uffd < 0)
		SKIP(return, "the kernel has no UFFD_FEATURE_WP_ASYNC");
	ASSERT_EQ(0, uffd_register(uffd, self->shared, UFFDIO_REGISTER_MODE_WP));
	ASSERT_EQ(0, uffd_register(uffd, self->private, UFFDIO_REGISTER_MODE_WP));
	/* What was not protected yet counts as written */
	ASSERT_EQ(0xff, scan(self, self->shared, PAGE_IS_WRITTEN, true));
	ASSERT_EQ(0xff, scan(self, self->private, PAGE_IS_WRITTEN, true));
	EXPECT_EQ(0, scan(self, self->shared, PAGE_IS_WRITTEN, false));

	put(self->shared + PAGE, 5);
	put(self->shared + 5 * PAGE, 5);
	touch(self->shared + 6 * PAGE);
	put(self->private + 2 * PAGE, 6);
	EXPECT_EQ(0x22, scan(self, self->shared, PAGE_IS_WRITTEN, true));
	EXPECT_EQ(0x04, scan(self, self->private, PAGE_IS_WRITTEN, true));
	EXPECT_EQ(0, scan(self, self->shared, PAGE_IS_WRITTEN, false));
	put(self->shared + PAGE, 6);
	EXPECT_EQ(0x02, scan(self, self->shared, PAGE_IS_WRITTEN, true));

	/* The file has its own account of it: dirty once, until written back */
	d = account_of_since(self->fd, &self->before);
	EXPECT_EQ(in_folios(self->fd, 2 * PAGE), d.dirtied_folios);
	EXPECT_EQ(0, d.written_folios);
	EXPECT_EQ(6, touch(self->shared + PAGE));
	EXPECT_EQ(5, touch(self->shared + 5 * PAGE));
	EXPECT_EQ(6, touch(self->private + 2 * PAGE));
	EXPECT_EQ(0, touch(self->shared + 2 * PAGE));
	close(uffd);
}

TEST_HARNESS_MAIN
