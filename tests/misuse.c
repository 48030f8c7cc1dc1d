// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files that somebody else needs as they are, and rights that were not given: refused.
 */
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/swap.h>

#include "kselftest_harness.h"
#include "stores.h"

/* Asks for a buffer on a descriptor; the errno, or 0 if it was made. */
static int answer(uint64_t size, int fd)
{
	int buffer = create_with(VMADEMO_STORE_FILE, size, fd);

	if (buffer < 0)
		return errno;
	close(buffer);
	return 0;
}

/* Two buffers on one file would each write over what the other has. */
TEST(a_file_that_is_a_store)
{
	const char *path = "/tmp/vmademo-store", *link = "/tmp/vmademo-link";
	int lower, buffer, other, err;
	unsigned char byte = 0;

	buffer = create_store(STORE_TMPFS, MIB, &lower);
	ASSERT_GE(buffer, 0);
	ASSERT_EQ(1, pwrite(buffer, "x", 1, 0));
	err = answer(0, lower);
	EXPECT_TRUE(err == EBUSY || err == EINVAL) TH_LOG("%s", strerror(err));
	/* By another open file, and by another name */
	unlink(link);
	ASSERT_EQ(0, symlink(path, link));
	other = open(link, O_RDWR | O_CLOEXEC);
	ASSERT_GE(other, 0);
	err = answer(0, other);
	EXPECT_TRUE(err == EBUSY || err == EINVAL) TH_LOG("%s", strerror(err));
	err = answer(2 * MIB, other);
	EXPECT_TRUE(err == EBUSY || err == EINVAL) TH_LOG("%s", strerror(err));
	EXPECT_EQ(MIB, lseek(other, 0, SEEK_END));
	EXPECT_EQ(0, fsync(buffer));
	EXPECT_EQ(1, pread(lower, &byte, 1, 0));
	EXPECT_EQ('x', byte);
	close(buffer);
	/* Its end frees the file */
	EXPECT_EQ(0, answer(0, other));
	EXPECT_EQ(0, answer(0, lower));
	close(other);
	close(lower);
	unlink(link);
	unlink(path);
}

/* The kernel keeps others' memory there. */
TEST(a_file_that_is_swapped_to)
{
	const size_t pages = 64;
	const char *path = store_path(STORE_EXT4);
	unsigned char page[PAGE_MAX] = { 0 };
	uint32_t *head = (uint32_t *)(page + 1024);
	int fd, err;

	if (!path)
		SKIP(return, "no file system that can be swapped to");
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ASSERT_GE(fd, 0);
	for (size_t i = 1; i < pages; i++) {
		ASSERT_EQ(PAGE, pwrite(fd, page, PAGE, i * PAGE));
	}
	head[0] = 1; /* the version */
	head[1] = pages - 1; /* the last page */
	memcpy(page + PAGE - 10, "SWAPSPACE2", 10);
	ASSERT_EQ(PAGE, pwrite(fd, page, PAGE, 0));
	ASSERT_EQ(0, fsync(fd));
	if (swapon(path, 0)) {
		close(fd);
		unlink(path);
		SKIP(return, "this kernel has no swap");
	}
	err = answer(0, fd);
	EXPECT_TRUE(err == EINVAL || err == EBUSY || err == ETXTBSY)
	TH_LOG("%s", strerror(err));
	ASSERT_EQ(0, swapoff(path));
	EXPECT_EQ(0, answer(0, fd));
	close(fd);
	unlink(path);
}

/* To make a buffer is to write: whoever may only read the node may not. */
TEST(a_node_that_is_open_for_reading)
{
	struct vmademo_create c = { .size = PAGE, .flags = VMADEMO_FD_CLOEXEC };
	int ro = open(NODE, O_RDONLY | O_CLOEXEC);
	int wo = open(NODE, O_WRONLY | O_CLOEXEC), fd;

	ASSERT_GE(ro, 0);
	ASSERT_GE(wo, 0);
	EXPECT_FAILS(EBADF, ioctl(ro, VMADEMO_IOC_CREATE, &c));
	c.store = VMADEMO_STORE_RAM;
	EXPECT_FAILS(EBADF, ioctl(ro, VMADEMO_IOC_CREATE, &c));
	fd = ioctl(wo, VMADEMO_IOC_CREATE, &c);
	EXPECT_LE(0, fd);
	close(fd);
	close(ro);
	close(wo);
}

/* What walks the page cache to be answered is not for everybody to ask. */
TEST(counting_dirty_pages_is_for_root)
{
	static const char *const names[] = { "dirty_bytes", "dirty_folios" };
	char path[128];
	struct stat st;

	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/sys/class/misc/vmademo/%s",
			 names[i]);
		ASSERT_EQ(0, stat(path, &st));
		EXPECT_EQ(0400, st.st_mode & 07777) TH_LOG("%s", path);
	}
}

TEST_HARNESS_MAIN
