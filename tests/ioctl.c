// SPDX-License-Identifier: GPL-2.0-only
/*
 * The requests of linux/vmademo.h: what each does, and what each refuses.  Built
 * for 32 bits too: the answers are the same.
 */
#include <sys/stat.h>

#include "kselftest_harness.h"
#include "vmademo_test.h"

FIXTURE(ioctl)
{
	int node, ro, file, file_ro;
	off_t size;
};

FIXTURE_SETUP(ioctl)
{
	self->node = open(NODE, O_RDWR);
	ASSERT_GE(self->node, 0) TH_LOG("%s: %s", NODE, strerror(errno));
	self->ro = open(NODE, O_RDONLY);
	ASSERT_GE(self->ro, 0);
	self->file = open_file_view(self->node);
	ASSERT_GE(self->file, 0);
	self->file_ro = open_file_view(self->ro);
	ASSERT_GE(self->file_ro, 0);
	self->size = node_value("size");
}

FIXTURE_TEARDOWN(ioctl)
{
	close(self->node);
	close(self->ro);
	close(self->file);
	close(self->file_ro);
}

#define REFUSED(error, fd, request, arg)                \
	do {                                            \
		EXPECT_EQ(-1, ioctl(fd, request, arg)); \
		EXPECT_EQ(error, errno);                \
	} while (0)

/* With the field set to the value, the request is refused and nothing is made. */
#define REFUSED_WITH(error, fd, request, type, good, field, value) \
	do {                                                       \
		struct type bad = good;                            \
                                                                   \
		bad.field = value;                                 \
		REFUSED(error, fd, request, &bad);                 \
	} while (0)

/* The next descriptor to be had; the same again if none was leaked. */
static int next_fd(void)
{
	int fd = open("/dev/null", O_RDONLY);

	close(fd);
	return fd;
}

/* The numbers are part of the interface, on every architecture alike. */
TEST_F(ioctl, numbers)
{
	EXPECT_EQ(0x4040be00, VMADEMO_IOC_CREATE);
	EXPECT_EQ(0x4010be01, VMADEMO_IOC_OPEN_FILE);
	EXPECT_EQ(0x4010be02, VMADEMO_IOC_RESIZE);
	EXPECT_EQ(0x4020be03, VMADEMO_IOC_DISCARD);
	EXPECT_EQ(0x8070be04, VMADEMO_IOC_INFO);
	EXPECT_EQ(0xbe05, VMADEMO_IOC_REVOKE);
	EXPECT_EQ(0xbe13, VMADEMO_IOC_RESTORE);
	EXPECT_EQ(0xc040be14, VMADEMO_IOC_PAGES);
	EXPECT_EQ(0xbe15, VMADEMO_IOC_STATS);
}

TEST_F(ioctl, create)
{
	const struct vmademo_create good = { .size = 3 * PAGE + 7 };
	struct vmademo_create c = good;
	int before = next_fd(), fd = ioctl(self->node, VMADEMO_IOC_CREATE, &c);
	struct stat st;

	ASSERT_EQ(before, fd);
	ASSERT_EQ(0, fstat(fd, &st));
	EXPECT_EQ(3 * PAGE + 7, st.st_size);
	EXPECT_EQ(0, fcntl(fd, F_GETFD));
	EXPECT_EQ(O_RDWR, fcntl(fd, F_GETFL) & O_ACCMODE);
	/* What was passed was not changed */
	EXPECT_EQ(0, memcmp(&c, &good, sizeof(c)));
	close(fd);
	c.flags = VMADEMO_FD_CLOEXEC;
	fd = ioctl(self->node, VMADEMO_IOC_CREATE, &c);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	close(fd);

	/* The largest file there is; a byte more is none */
	c.size = MAX_SIZE;
	fd = ioctl(self->node, VMADEMO_IOC_CREATE, &c);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(MAX_SIZE, lseek(fd, 0, SEEK_END));
	close(fd);
	REFUSED(EBADF, self->ro, VMADEMO_IOC_CREATE, &c);

#define BAD(field, value)                                                    \
	REFUSED_WITH(EINVAL, self->node, VMADEMO_IOC_CREATE, vmademo_create, \
		     good, field, value)
	BAD(size, MAX_SIZE + 1);
	BAD(size, (uint64_t)INT64_MAX + 1);
	BAD(size, UINT64_MAX);
	for (int bit = 2; bit < 32; bit++)
		BAD(flags, 1U << bit);
	BAD(store, 99);
	BAD(store_fd, self->node);
	BAD(folio_size, 1);
	for (int i = 0; i < 5; i++) {
		BAD(reserved[i], 1);
		BAD(reserved[i], 1ULL << 63);
	}
#undef BAD
	EXPECT_EQ(before, next_fd());
}

TEST_F(ioctl, create_without_descriptors_left)
{
	struct rlimit limit = { .rlim_cur = next_fd(), .rlim_max = 1024 };
	struct vmademo_create c = { .size = PAGE };
	struct vmademo_open_file o = { 0 };

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	REFUSED(EMFILE, self->node, VMADEMO_IOC_CREATE, &c);
	REFUSED(EMFILE, self->node, VMADEMO_IOC_OPEN_FILE, &o);
}

TEST_F(ioctl, open_file)
{
	const struct vmademo_open_file good = { 0 };
	static const int modes[] = { O_RDONLY, O_WRONLY, O_RDWR };
	int before = next_fd();

	for (size_t i = 0; i < 3; i++) {
		int node = open(NODE, modes[i]), fd;

		ASSERT_GE(node, 0);
		fd = ioctl(node, VMADEMO_IOC_OPEN_FILE, &good);
		ASSERT_GE(fd, 0);
		EXPECT_EQ(modes[i], fcntl(fd, F_GETFL) & O_ACCMODE);
		EXPECT_EQ(0, fcntl(fd, F_GETFD));
		close(fd);
		close(node);
	}
#define BAD(field, value)                                       \
	REFUSED_WITH(EINVAL, self->node, VMADEMO_IOC_OPEN_FILE, \
		     vmademo_open_file, good, field, value)
	for (int bit = 1; bit < 32; bit++)
		BAD(flags, 1U << bit);
	for (int i = 0; i < 3; i++)
		BAD(reserved[i], 1);
#undef BAD
	EXPECT_EQ(before, next_fd());
}

TEST_F(ioctl, resize)
{
	const struct vmademo_resize good = { .size = 5 * PAGE + 1 };
	struct vmademo_resize r = good;
	unsigned char *p = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE,
				MAP_SHARED, self->node, 0);

	ASSERT_NE(MAP_FAILED, p);
	memset(p, 7, 16 * PAGE);
	REFUSED(EBADF, self->ro, VMADEMO_IOC_RESIZE, &r);
	REFUSED(EBADF, self->file_ro, VMADEMO_IOC_RESIZE, &r);
#define BAD(field, value)                                                    \
	REFUSED_WITH(EINVAL, self->node, VMADEMO_IOC_RESIZE, vmademo_resize, \
		     good, field, value)
	BAD(size, MAX_SIZE + 1);
	BAD(size, (uint64_t)INT64_MAX + 1);
	BAD(size, UINT64_MAX);
	BAD(reserved, 1);
#undef BAD
	EXPECT_EQ(self->size, node_value("size"));
	EXPECT_EQ(7, touch(p + 15 * PAGE));

	/* By the node, then by the file: one size */
	ASSERT_EQ(0, ioctl(self->node, VMADEMO_IOC_RESIZE, &r));
	EXPECT_EQ(5 * PAGE + 1, lseek(self->file, 0, SEEK_END));
	EXPECT_EQ(SIGBUS, touch_signal(p + 6 * PAGE, 0));
	EXPECT_EQ(7, touch(p + 5 * PAGE));
	EXPECT_EQ(0, touch(p + 5 * PAGE + 1));
	r.size = 0;
	ASSERT_EQ(0, ioctl(self->file, VMADEMO_IOC_RESIZE, &r));
	EXPECT_EQ(0, node_value("size"));
	EXPECT_EQ(0, node_value("cached_bytes"));
	EXPECT_EQ(SIGBUS, touch_signal(p, 1));
	r.size = MAX_SIZE;
	ASSERT_EQ(0, ioctl(self->node, VMADEMO_IOC_RESIZE, &r));
	EXPECT_EQ(0, touch(p));
	r.size = self->size;
	ASSERT_EQ(0, ioctl(self->node, VMADEMO_IOC_RESIZE, &r));
	EXPECT_EQ(self->size, node_value("size"));
	munmap(p, 16 * PAGE);
}

TEST_F(ioctl, resize_over_the_limit)
{
	struct rlimit limit = { .rlim_cur = PAGE, .rlim_max = PAGE };
	struct vmademo_resize r = { .size = self->size + 1 };

	signal(SIGXFSZ, SIG_IGN);
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &limit));
	REFUSED(EFBIG, self->node, VMADEMO_IOC_RESIZE, &r);
	EXPECT_EQ(self->size, node_value("size"));
}

TEST_F(ioctl, discard)
{
	const struct vmademo_discard good = { .offset = PAGE + 10,
					      .length = 4 * PAGE };
	struct vmademo_discard d = good;
	unsigned char *p = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE,
				MAP_SHARED, self->node, 0);
	unsigned char *private = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE, self->node, 0);
	struct account before, since;

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_NE(MAP_FAILED, private);
	memset(p, 7, 16 * PAGE);
	put(private + 3 * PAGE, 9);
	REFUSED(EBADF, self->ro, VMADEMO_IOC_DISCARD, &d);
	REFUSED(EBADF, self->file_ro, VMADEMO_IOC_DISCARD, &d);
#define BAD(field, value)                                                      \
	REFUSED_WITH(EINVAL, self->node, VMADEMO_IOC_DISCARD, vmademo_discard, \
		     good, field, value)
	BAD(length, 0);
	BAD(length, self->size - PAGE - 9);
	BAD(length, UINT64_MAX);
	BAD(length, INT64_MAX);
	BAD(offset, self->size + 1);
	BAD(offset, UINT64_MAX);
	BAD(offset, -(uint64_t)PAGE);
	for (int i = 0; i < 2; i++)
		BAD(reserved[i], 1);
#undef BAD
	for (size_t i = 0; i < 16 * PAGE; i++)
		ASSERT_EQ(7, p[i]);

	before = account_now();
	ASSERT_EQ(0, ioctl(self->node, VMADEMO_IOC_DISCARD, &d));
	since = account_since(&before);
	EXPECT_EQ(3, since.discarded_folios);
	EXPECT_EQ(3 * PAGE, since.discarded_bytes);
	EXPECT_EQ(-3 * (int64_t)PAGE, since.cached_bytes);
	for (size_t i = 0; i < 16 * PAGE; i++)
		ASSERT_EQ(i >= PAGE + 10 && i < 5 * PAGE + 10 ? 0 : 7, p[i]);
	EXPECT_EQ(9, touch(private + 3 * PAGE));

	/* Up to the very end, and all of it, by the file */
	d.offset = self->size - 1;
	d.length = 1;
	EXPECT_EQ(0, ioctl(self->file, VMADEMO_IOC_DISCARD, &d));
	d.offset = 0;
	d.length = self->size;
	EXPECT_EQ(0, ioctl(self->file, VMADEMO_IOC_DISCARD, &d));
	EXPECT_EQ(0, node_value("cached_bytes"));
	EXPECT_EQ(0, node_value("dirty_bytes"));
	EXPECT_EQ(self->size, node_value("size"));
	munmap(p, 16 * PAGE);
	munmap(private, 16 * PAGE);
}

TEST_F(ioctl, info)
{
	static const struct vmademo_info zero;
	struct vmademo_info info, again;
	struct stat st;
	unsigned char *p;

	p = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
		 self->node, 0);
	ASSERT_NE(MAP_FAILED, p);
	put(p, 1);
	put(p + 5 * PAGE, 1);
	touch(p + 6 * PAGE);
	ASSERT_EQ(0, fsync(self->node));
	put(p, 2);

	memset(&info, 0xff, sizeof(info));
	ASSERT_EQ(0, ioctl(self->ro, VMADEMO_IOC_INFO, &info));
	ASSERT_EQ(0, fstat(self->file, &st));
	EXPECT_EQ(self->size, info.size);
	EXPECT_EQ(self->size, info.durable_size);
	EXPECT_EQ(node_value("cached_bytes"), info.cached_bytes);
	EXPECT_LE(3 * PAGE, info.cached_bytes);
	EXPECT_EQ(folio_size_of(-1), info.dirty_bytes);
	EXPECT_EQ(1, info.mappings);
	EXPECT_EQ(st.st_ino, info.ino);
	EXPECT_EQ(VMADEMO_STORE_NONE, info.store);
	EXPECT_EQ(0, info.flags);
	EXPECT_EQ(0, memcmp(info.reserved, zero.reserved, sizeof(info.reserved)));

	/* The same of the same buffer, whoever asks */
	ASSERT_EQ(0, ioctl(self->file_ro, VMADEMO_IOC_INFO, &again));
	EXPECT_EQ(0, memcmp(&info, &again, sizeof(info)));
	munmap(p, 16 * PAGE);
}

TEST_F(ioctl, bad_addresses_and_unknown_requests)
{
	static const unsigned long requests[] = {
		VMADEMO_IOC_CREATE,  VMADEMO_IOC_OPEN_FILE, VMADEMO_IOC_RESIZE,
		VMADEMO_IOC_DISCARD, VMADEMO_IOC_INFO,	    VMADEMO_IOC_PAGES,
	};
	char argument[256] = { 0 };
	int before = next_fd();

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		REFUSED(EFAULT, self->node, requests[i], NULL);
		REFUSED(EFAULT, self->node, requests[i], (void *)-4096L);
		/* Another direction or size is another request */
		REFUSED(ENOTTY, self->node, requests[i] ^ 0xc0000000, argument);
		REFUSED(ENOTTY, self->node, requests[i] + 0x10000, argument);
	}
	REFUSED(ENOTTY, self->node, 0x1234, argument);
	/* A file makes no descriptors */
	REFUSED(ENOTTY, self->file, VMADEMO_IOC_CREATE, argument);
	REFUSED(ENOTTY, self->file, VMADEMO_IOC_OPEN_FILE, argument);
	EXPECT_EQ(before, next_fd());
	EXPECT_EQ(self->size, node_value("size"));
}

TEST_HARNESS_MAIN
