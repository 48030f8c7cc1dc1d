// SPDX-License-Identifier: GPL-2.0-only
/*
 * mprotect: what a mapping allows is taken away and given again.  The contents
 * stay, and what is dirty stays dirty.
 */
#include "kselftest_harness.h"
#include "vmademo_test.h"

#define LEN (16 * PAGE)
#define RW  (PROT_READ | PROT_WRITE)

FIXTURE(protect)
{
	int fd;
	unsigned char *map;
	struct account before;
};

FIXTURE_VIEWS(protect);

FIXTURE_SETUP(protect)
{
	self->fd = open_view(variant->view);
	ASSERT_GE(self->fd, 0) TH_LOG("%s", strerror(errno));
	ASSERT_EQ(0, fsync(self->fd));
	self->map = mmap(NULL, LEN, RW, MAP_SHARED, self->fd, PLACE(0));
	ASSERT_NE(MAP_FAILED, self->map);
	for (size_t i = 0; i < LEN; i++)
		self->map[i] = i * 7 / 3;
	self->before = account_of(self->fd);
}

FIXTURE_TEARDOWN(protect)
{
	munmap(self->map, LEN);
	close(self->fd);
}

static bool contents_kept(const unsigned char *p)
{
	for (size_t i = 0; i < LEN; i++)
		if (p[i] != (unsigned char)(i * 7 / 3))
			return false;
	return true;
}

/*
 * Down to read only and up again.  That a page was written to is still in its page
 * table entry: so the kernel makes it writable again, and asks nobody.
 */
TEST_F(protect, read_only_and_back)
{
	struct account d;

	ASSERT_EQ(0, mprotect(self->map, LEN, PROT_READ));
	EXPECT_TRUE(contents_kept(self->map));
	EXPECT_EQ(SIGSEGV, touch_signal(self->map, 1));
	EXPECT_EQ(SEGV_ACCERR, touch_info.si_code);
	EXPECT_EQ(self->map, touch_info.si_addr);
	ASSERT_EQ(0, mprotect(self->map, LEN, RW));
	for (int i = 0; i < 16; i++)
		put(self->map + i * PAGE, self->map[i * PAGE]);
	EXPECT_TRUE(contents_kept(self->map));
	d = account_of_since(self->fd, &self->before);
	EXPECT_EQ(0, d.first_writes);
	EXPECT_EQ(0, d.write_faults);
	EXPECT_EQ(0, d.dirtied_folios);
	EXPECT_EQ(0, d.dirty_folios);
}

/* Written back meanwhile, the page becomes dirty again by that write. */
TEST_F(protect, written_back_between)
{
	struct account d;

	ASSERT_EQ(0, mprotect(self->map, LEN, PROT_READ));
	ASSERT_EQ(0, fsync(self->fd));
	EXPECT_EQ(0, fd_value(self->fd, "dirty_folios"));
	ASSERT_EQ(0, mprotect(self->map, LEN, RW));
	/* To be allowed to write is not yet to write */
	EXPECT_EQ(0, fd_value(self->fd, "dirty_folios"));
	put(self->map + PAGE, 1);
	d = account_of_since(self->fd, &self->before);
	EXPECT_EQ(1, d.first_writes);
	EXPECT_EQ(1, d.dirtied_folios);
}

/* Nothing allowed: not even to read, and for system calls it is EFAULT. */
TEST_F(protect, none)
{
	int fds[2];

	ASSERT_EQ(0, pipe(fds));
	ASSERT_EQ(0, mprotect(self->map, LEN, PROT_NONE));
	EXPECT_EQ(SIGSEGV, touch_signal(self->map, 0));
	EXPECT_EQ(SEGV_ACCERR, touch_info.si_code);
	EXPECT_EQ(SIGSEGV, touch_signal(self->map + LEN - 1, 1));
	EXPECT_FAILS(EFAULT, write(fds[1], self->map, 1));
	/* It is no business of the module */
	EXPECT_EQ(0, account_of_since(self->fd, &self->before).sigbus);
	ASSERT_EQ(0, mprotect(self->map, LEN, PROT_READ));
	EXPECT_TRUE(contents_kept(self->map));
	close(fds[0]);
	close(fds[1]);
}

/* VMAs of this process that lie in [p, p + LEN). */
static int vmas(const unsigned char *p)
{
	unsigned long long from, to;
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	int n = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%llx-%llx", &from, &to) == 2 &&
		    from >= (uintptr_t)p && to <= (uintptr_t)p + LEN)
			n++;
	if (f)
		fclose(f);
	return n;
}

/*
 * A VMA allows the same everywhere: to change a part splits it, which calls .open
 * for the new ones.  Whether they become one again when they are alike is the
 * kernel's affair, and differs; the module's count follows it.
 */
TEST_F(protect, splits_and_merges)
{
	EXPECT_EQ(1, vmas(self->map));
	EXPECT_EQ(1, fd_value(self->fd, "mappings"));
	ASSERT_EQ(0, mprotect(self->map + 4 * PAGE, 4 * PAGE, PROT_READ));
	EXPECT_EQ(3, vmas(self->map));
	EXPECT_EQ(3, fd_value(self->fd, "mappings"));
	ASSERT_EQ(0, mprotect(self->map + 15 * PAGE, PAGE, PROT_NONE));
	EXPECT_EQ(4, vmas(self->map));
	EXPECT_EQ(4, fd_value(self->fd, "mappings"));
	EXPECT_EQ(0, touch_signal(self->map + 4 * PAGE - 1, 1));
	EXPECT_EQ(SIGSEGV, touch_signal(self->map + 4 * PAGE, 1));
	EXPECT_EQ(SIGSEGV, touch_signal(self->map + 8 * PAGE - 1, 1));
	EXPECT_EQ(0, touch_signal(self->map + 8 * PAGE, 1));

	ASSERT_EQ(0, mprotect(self->map, LEN, RW));
	EXPECT_EQ(vmas(self->map), fd_value(self->fd, "mappings"));
	for (int i = 0; i < 16; i++)
		EXPECT_EQ(0, touch_signal(self->map + i * PAGE, 1));
	ASSERT_EQ(0, munmap(self->map, LEN));
	EXPECT_EQ(0, fd_value(self->fd, "mappings"));
}

/* A file that was opened to read is not written to, by whatever detour. */
TEST_F(protect, a_read_only_descriptor)
{
	unsigned char *shared, *private;
	char path[64];
	int ro;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->fd);
	ro = open(variant->view == NODE_VIEW ? NODE : path, O_RDONLY);
	ASSERT_GE(ro, 0);
	shared = mmap(NULL, LEN, PROT_READ, MAP_SHARED, ro, PLACE(0));
	private = mmap(NULL, LEN, PROT_READ, MAP_PRIVATE, ro, PLACE(0));
	ASSERT_NE(MAP_FAILED, shared);
	ASSERT_NE(MAP_FAILED, private);
	close(ro);
	EXPECT_FAILS(EACCES, mprotect(shared, LEN, RW));
	EXPECT_FAILS(EACCES, mprotect(shared + PAGE, PAGE, PROT_WRITE));
	/* Not by way of none either */
	ASSERT_EQ(0, mprotect(shared, LEN, PROT_NONE));
	EXPECT_FAILS(EACCES, mprotect(shared, LEN, PROT_WRITE));
	ASSERT_EQ(0, mprotect(shared, LEN, PROT_READ));
	EXPECT_TRUE(contents_kept(shared));
	/* A private mapping writes to copies, and may */
	ASSERT_EQ(0, mprotect(private, LEN, RW));
	put(private, 99);
	EXPECT_TRUE(contents_kept(shared));
	munmap(shared, LEN);
	munmap(private, LEN);
}

/* Private: a copy stays a copy while it may not be written to. */
TEST_F(protect, a_private_mapping)
{
	unsigned char *p = mmap(NULL, LEN, RW, MAP_PRIVATE, self->fd, PLACE(0));

	ASSERT_NE(MAP_FAILED, p);
	put(p, 99);
	ASSERT_EQ(0, mprotect(p, LEN, PROT_READ));
	EXPECT_EQ(SIGSEGV, touch_signal(p, 1));
	EXPECT_EQ(99, touch(p));
	ASSERT_EQ(0, mprotect(p, LEN, RW));
	EXPECT_EQ(99, touch(p));
	put(p + 1, 98);
	EXPECT_EQ(1, account_of_since(self->fd, &self->before).cow_faults);
	EXPECT_TRUE(contents_kept(self->map));
	munmap(p, LEN);
}

/* Refused for want of a mapping, as anywhere. */
TEST_F(protect, where_nothing_is_mapped)
{
	ASSERT_EQ(0, munmap(self->map + 8 * PAGE, PAGE));
	EXPECT_FAILS(ENOMEM, mprotect(self->map, LEN, PROT_READ));
	EXPECT_FAILS(EINVAL, mprotect(self->map + 1, PAGE, PROT_READ));
	/* What lay before the hole was changed all the same */
	EXPECT_EQ(SIGSEGV, touch_signal(self->map, 1));
	EXPECT_EQ(0, touch_signal(self->map + 9 * PAGE, 1));
}

TEST_HARNESS_MAIN
