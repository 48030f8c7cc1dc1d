// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mapping ahead: MAP_POPULATE, MADV_POPULATE_READ and MADV_POPULATE_WRITE.  After
 * it there is no fault; but a page mapped to be read still asks at the first write.
 */
#include "kselftest_harness.h"
#include "vmademo_test.h"

#define PAGES 16
#define LEN   (PAGES * PAGE)

FIXTURE(populate)
{
	int fd;
	off_t size;
	struct account before;
};

FIXTURE_VIEWS(populate);

FIXTURE_SETUP(populate)
{
	/* Nothing of what is mapped here is cached yet */
	struct vmademo_discard d = { 0 };

	self->fd = open_view(variant->view);
	ASSERT_GE(self->fd, 0) TH_LOG("%s", strerror(errno));
	self->size = fd_value(self->fd, "size");
	d.length = whole_folios(self->fd, LEN);
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_DISCARD, &d));
	d.offset = self->size - d.length;
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_DISCARD, &d));
	/* The program itself must take no faults while they are counted */
	ASSERT_EQ(0, mlockall(MCL_CURRENT));
	self->before = account_of(self->fd);
}

FIXTURE_TEARDOWN(populate)
{
	close(self->fd);
}

static unsigned char *map(struct __test_metadata *_metadata, int fd, int prot,
			  int flags, off_t offset)
{
	unsigned char *p = mmap(NULL, LEN, prot, flags, fd, offset);

	ASSERT_NE(MAP_FAILED, p);
	return p;
}

#define READ_WRITE (PROT_READ | PROT_WRITE)

/* The process's faults while all pages are read, or written to. */
static int64_t faults_to_read(unsigned char *p)
{
	int64_t minor = minor_faults();

	for (int i = 0; i < PAGES; i++)
		touch(p + i * PAGE);
	return minor_faults() - minor;
}

static int64_t faults_to_write(unsigned char *p)
{
	int64_t minor = minor_faults();

	for (int i = 0; i < PAGES; i++)
		put(p + i * PAGE, 1);
	return minor_faults() - minor;
}

/* A shared mapping is populated for reading: nothing is dirtied for nothing. */
TEST_F(populate, shared)
{
	unsigned char *p = map(_metadata, self->fd, READ_WRITE,
			       MAP_SHARED | MAP_POPULATE, 0);
	struct account d = account_of_since(self->fd, &self->before);

	EXPECT_EQ(whole_folios(self->fd, LEN), d.cached_bytes);
	EXPECT_EQ(in_folios(self->fd, LEN), d.read_faults);
	EXPECT_EQ(0, d.dirtied_folios);
	EXPECT_EQ(0, faults_to_read(p));
	EXPECT_EQ(PAGES, faults_to_write(p));
	d = account_of_since(self->fd, &self->before);
	EXPECT_EQ(PAGES, d.first_writes);
	EXPECT_EQ(in_folios(self->fd, LEN), d.dirtied_folios);
	EXPECT_EQ(0, d.write_faults);
	munmap(p, LEN);
}

/*
 * A private one that can be written is populated for writing: all is copied now.
 * One that cannot is populated for reading, and copied when it may be written.
 */
TEST_F(populate, private)
{
	unsigned char *p = map(_metadata, self->fd, READ_WRITE,
			       MAP_PRIVATE | MAP_POPULATE, 0);
	struct account d = account_of_since(self->fd, &self->before);

	EXPECT_EQ(PAGES, d.cow_faults);
	EXPECT_EQ(LEN, smaps_value(p, "Anonymous"));
	EXPECT_EQ(0, faults_to_read(p));
	EXPECT_EQ(0, faults_to_write(p));
	munmap(p, LEN);

	p = map(_metadata, self->fd, PROT_READ, MAP_PRIVATE | MAP_POPULATE, 0);
	EXPECT_EQ(LEN, smaps_value(p, "Rss"));
	EXPECT_EQ(0, smaps_value(p, "Anonymous"));
	EXPECT_EQ(0, faults_to_read(p));
	ASSERT_EQ(0, mprotect(p, LEN, READ_WRITE));
	EXPECT_EQ(PAGES, faults_to_write(p));
	EXPECT_EQ(LEN, smaps_value(p, "Anonymous"));
	d = account_of_since(self->fd, &self->before);
	EXPECT_EQ(0, d.dirtied_folios);
	munmap(p, LEN);
}

/* With MAP_NONBLOCK, MAP_POPULATE does nothing. */
TEST_F(populate, nonblock)
{
	unsigned char *p = map(_metadata, self->fd, READ_WRITE,
			       MAP_SHARED | MAP_POPULATE | MAP_NONBLOCK, 0);
	struct account d = account_of_since(self->fd, &self->before);

	EXPECT_EQ(0, d.cached_bytes);
	EXPECT_EQ(0, d.read_faults);
	fault_by_pages(p, LEN);
	EXPECT_EQ(PAGES, faults_to_write(p));
	munmap(p, LEN);
}

/* As if each page were read. */
TEST_F(populate, madvise_read)
{
	unsigned char *p = map(_metadata, self->fd, READ_WRITE, MAP_SHARED, 0);
	struct account d;

	ASSERT_EQ(0, madvise(p, LEN, MADV_POPULATE_READ));
	d = account_of_since(self->fd, &self->before);
	EXPECT_EQ(whole_folios(self->fd, LEN), d.cached_bytes);
	EXPECT_EQ(in_folios(self->fd, LEN), d.read_faults);
	EXPECT_EQ(0, d.dirtied_folios);
	EXPECT_EQ(0, faults_to_read(p));
	EXPECT_EQ(PAGES, faults_to_write(p));
	d = account_of_since(self->fd, &self->before);
	EXPECT_EQ(PAGES, d.first_writes);
	munmap(p, LEN);
}

/* As if each page were written to, with what is in it: all are dirty. */
TEST_F(populate, madvise_write)
{
	unsigned char *p = map(_metadata, self->fd, READ_WRITE, MAP_SHARED, 0);
	struct account d;

	ASSERT_EQ(2, pwrite(self->fd, "xy", 2, PAGE));
	ASSERT_EQ(0, fsync(self->fd));
	self->before = account_of(self->fd);
	ASSERT_EQ(0, madvise(p, LEN, MADV_POPULATE_WRITE));
	d = account_of_since(self->fd, &self->before);
	if (folios_are_pages(self->fd)) {
		EXPECT_EQ(PAGES, d.write_faults);
		EXPECT_EQ(PAGES, d.first_writes);
	}
	EXPECT_EQ(in_folios(self->fd, LEN), d.dirty_folios);
	EXPECT_EQ('y', touch(p + PAGE + 1));
	EXPECT_EQ(0, faults_to_write(p));

	/* Cleaned, the pages are mapped still, but must ask again */
	ASSERT_EQ(0, msync(p, LEN, MS_SYNC));
	EXPECT_EQ(0, faults_to_read(p));
	EXPECT_EQ(PAGES, faults_to_write(p));
	munmap(p, LEN);
}

/* Of a private mapping, both do what the access would do. */
TEST_F(populate, madvise_private)
{
	unsigned char *p = map(_metadata, self->fd, READ_WRITE, MAP_PRIVATE, 0);

	ASSERT_EQ(0, madvise(p, LEN, MADV_POPULATE_READ));
	EXPECT_EQ(LEN, smaps_value(p, "Rss"));
	EXPECT_EQ(0, smaps_value(p, "Anonymous"));
	ASSERT_EQ(0, madvise(p, LEN, MADV_POPULATE_WRITE));
	EXPECT_EQ(LEN, smaps_value(p, "Anonymous"));
	EXPECT_EQ(0, faults_to_write(p));
	EXPECT_EQ(0, account_of_since(self->fd, &self->before).dirtied_folios);
	munmap(p, LEN);
}

/*
 * Half of the mapping is beyond the end.  mmap tries, and does not tell; madvise
 * says EFAULT.  Both have populated what is there.
 */
TEST_F(populate, beyond_the_end)
{
	const off_t offset = self->size - LEN / 2;
	unsigned char *p = map(_metadata, self->fd, READ_WRITE,
			       MAP_SHARED | MAP_POPULATE, offset);
	struct account d = account_of_since(self->fd, &self->before);
	int64_t minor = minor_faults();

	EXPECT_EQ(whole_folios(self->fd, LEN / 2), d.cached_bytes);
	EXPECT_LT(0, d.sigbus);
	for (int i = 0; i < PAGES / 2; i++)
		touch(p + i * PAGE);
	EXPECT_EQ(minor, minor_faults());
	EXPECT_EQ(SIGBUS, touch_signal(p + LEN / 2, 0));
	munmap(p, LEN);

	p = map(_metadata, self->fd, READ_WRITE, MAP_SHARED, offset);
	EXPECT_FAILS(EFAULT, madvise(p, LEN, MADV_POPULATE_READ));
	EXPECT_FAILS(EFAULT, madvise(p, LEN, MADV_POPULATE_WRITE));
	d = account_of_since(self->fd, &self->before);
	EXPECT_EQ(in_folios(self->fd, LEN / 2), d.dirtied_folios);
	minor = minor_faults();
	for (int i = 0; i < PAGES / 2; i++)
		put(p + i * PAGE, 1);
	EXPECT_EQ(minor, minor_faults());
	munmap(p, LEN);
}

/* What the mapping does not allow, or what is not there, is refused. */
TEST_F(populate, refused)
{
	unsigned char *p = map(_metadata, self->fd, PROT_READ, MAP_SHARED, 0);
	int64_t cached;

	EXPECT_FAILS(EINVAL, madvise(p, LEN, MADV_POPULATE_WRITE));
	ASSERT_EQ(0, mprotect(p, LEN, PROT_NONE));
	EXPECT_FAILS(EINVAL, madvise(p, LEN, MADV_POPULATE_READ));
	EXPECT_EQ(0, account_of_since(self->fd, &self->before).cached_bytes);
	ASSERT_EQ(0, mprotect(p, LEN, PROT_READ));
	ASSERT_EQ(0, munmap(p + LEN / 2, PAGE));
	EXPECT_FAILS(ENOMEM, madvise(p, LEN, MADV_POPULATE_READ));
	/* Linux 6.1 has gone on behind the hole; newer ones have not */
	cached = account_of_since(self->fd, &self->before).cached_bytes;
	EXPECT_TRUE(cached == whole_folios(self->fd, LEN / 2) ||
		    cached == LEN - PAGE)
	TH_LOG("%d bytes", (int)cached);
	munmap(p, LEN);
}

TEST_HARNESS_MAIN
