// SPDX-License-Identifier: GPL-2.0-only
/*
 * io_uring by hand: reads, writes and fsync of the file through the rings, and
 * the mapping as the memory that is read into and written from.
 */
#include <linux/io_uring.h>
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "vmademo_test.h"

#define PAGES	16
#define LEN	(PAGES * PAGE)
#define SYSCTL	"/proc/sys/kernel/io_uring_disabled"
#define ENTRIES 8

/* The two rings are one mapping, the requests themselves another. */
struct ring {
	int fd;
	void *map;
	size_t map_len;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
	unsigned int *sq_tail, *sq_mask, *sq_array;
	unsigned int *cq_head, *cq_tail, *cq_mask;
	unsigned int queued;
};

static int ring_open(struct ring *ring)
{
	struct io_uring_params p = { 0 };
	int64_t disabled = read_number(SYSCTL);
	size_t cq_len;
	char *map;
	int err;

	memset(ring, 0, sizeof(*ring));
	/* From Linux 6.6 on it can be switched off; asked only here */
	if (disabled > 0)
		write_text(SYSCTL, "0");
	ring->fd = syscall(SYS_io_uring_setup, ENTRIES, &p);
	err = errno;
	if (disabled > 0)
		write_text(SYSCTL, disabled == 1 ? "1" : "2");
	errno = err;
	if (ring->fd < 0)
		return -1;

	ring->map_len = p.sq_off.array + p.sq_entries * sizeof(unsigned int);
	cq_len = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
	if (ring->map_len < cq_len)
		ring->map_len = cq_len;
	map = mmap(NULL, ring->map_len, PROT_READ | PROT_WRITE, MAP_SHARED,
		   ring->fd, IORING_OFF_SQ_RING);
	ring->sqes = mmap(NULL, p.sq_entries * sizeof(struct io_uring_sqe),
			  PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd,
			  IORING_OFF_SQES);
	if (map == MAP_FAILED || ring->sqes == MAP_FAILED)
		return -1;
	ring->map = map;
	ring->sq_tail = (unsigned int *)(map + p.sq_off.tail);
	ring->sq_mask = (unsigned int *)(map + p.sq_off.ring_mask);
	ring->sq_array = (unsigned int *)(map + p.sq_off.array);
	ring->cq_head = (unsigned int *)(map + p.cq_off.head);
	ring->cq_tail = (unsigned int *)(map + p.cq_off.tail);
	ring->cq_mask = (unsigned int *)(map + p.cq_off.ring_mask);
	ring->cqes = (struct io_uring_cqe *)(map + p.cq_off.cqes);
	return 0;
}

/* Adds a request; its number is how many were queued before it. */
static struct io_uring_sqe *queue(struct ring *ring, int op, int fd,
				  const void *addr, unsigned int len,
				  off_t offset)
{
	unsigned int tail = *ring->sq_tail, index = tail & *ring->sq_mask;
	struct io_uring_sqe *sqe = &ring->sqes[index];

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = op;
	sqe->fd = fd;
	sqe->addr = (uintptr_t)addr;
	sqe->len = len;
	sqe->off = offset;
	sqe->user_data = ring->queued++;
	ring->sq_array[index] = index;
	__atomic_store_n(ring->sq_tail, tail + 1, __ATOMIC_RELEASE);
	return sqe;
}

/* Submits what is queued and waits for all of it; results by number. */
static void run(struct __test_metadata *_metadata, struct ring *ring,
		int results[ENTRIES])
{
	unsigned int n = ring->queued, head = *ring->cq_head;

	ASSERT_EQ(n, syscall(SYS_io_uring_enter, ring->fd, n, n,
			     IORING_ENTER_GETEVENTS, NULL, 0));
	ASSERT_EQ(head + n, __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE));
	for (; n; n--, head++) {
		const struct io_uring_cqe *cqe =
			&ring->cqes[head & *ring->cq_mask];

		results[cqe->user_data] = cqe->res;
	}
	__atomic_store_n(ring->cq_head, head, __ATOMIC_RELEASE);
	ring->queued = 0;
}

/* One request, by itself. */
static int run_one(struct __test_metadata *_metadata, struct ring *ring, int op,
		   int fd, const void *addr, unsigned int len, off_t offset)
{
	int results[ENTRIES];

	queue(ring, op, fd, addr, len, offset);
	run(_metadata, ring, results);
	return results[0];
}

FIXTURE(uring)
{
	struct ring ring;
	const char *skip;
	int fd;
	unsigned char *map; /* LEN bytes at PLACE(0) */
	unsigned char data[PAGES * PAGE_MAX], back[PAGES * PAGE_MAX];
};

FIXTURE_VIEWS(uring);

FIXTURE_SETUP(uring)
{
	unsigned int seed = 42;

	self->fd = open_view(variant->view);
	ASSERT_GE(self->fd, 0) TH_LOG("%s", strerror(errno));
	self->map = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, PLACE(0));
	ASSERT_NE(MAP_FAILED, self->map);
	memset(self->map, 0, LEN);
	for (size_t i = 0; i < LEN; i++)
		self->data[i] = rand_r(&seed);
	ASSERT_EQ(0, fsync(self->fd));
	self->skip = NULL;
	/* If it is there, it misses its parameters, or is switched off */
	if (syscall(SYS_io_uring_setup, ENTRIES, NULL) == -1 &&
	    errno != EFAULT && errno != EPERM) {
		self->skip = "the kernel has no io_uring";
	} else {
		ASSERT_EQ(0, ring_open(&self->ring))
		TH_LOG("%s", strerror(errno));
	}
}

FIXTURE_TEARDOWN(uring)
{
	close(self->ring.fd);
	munmap(self->map, LEN);
	close(self->fd);
}

#define RUN_ONE(...) run_one(_metadata, &self->ring, __VA_ARGS__)

/* As read and write: what one wrote the mapping shows, and the other way. */
TEST_F(uring, read_and_write)
{
	RUN_IF_READY();

	const size_t at = 100, len = 7 * PAGE + 1;

	EXPECT_EQ(len, RUN_ONE(IORING_OP_WRITE, self->fd, self->data, len,
			       PLACE(0) + at));
	EXPECT_EQ(0, memcmp(self->map + at, self->data, len));
	EXPECT_EQ(0, touch(self->map + at + len));
	put(self->map + PAGE, 99);
	EXPECT_EQ(len, RUN_ONE(IORING_OP_READ, self->fd, self->back, len,
			       PLACE(0) + at));
	EXPECT_EQ(0, memcmp(self->map + at, self->back, len));
	EXPECT_EQ(99, self->back[PAGE - at]);
	EXPECT_EQ(-EBADF, RUN_ONE(IORING_OP_READ, -1, self->back, 1, 0));
}

/* O_DIRECT is taken for a wish; on older kernels io_uring asks for no waiting, then. */
TEST_F(uring, direct)
{
	RUN_IF_READY();

	int fd = reopen(self->fd, O_RDWR | O_DIRECT);

	ASSERT_LE(0, fd);
	EXPECT_EQ(2 * PAGE,
		  RUN_ONE(IORING_OP_WRITE, fd, self->data, 2 * PAGE, PLACE(0)));
	EXPECT_EQ(0, memcmp(self->map, self->data, 2 * PAGE));
	EXPECT_EQ(PAGE, RUN_ONE(IORING_OP_READ, fd, self->back, PAGE,
				PLACE(0) + PAGE));
	EXPECT_EQ(0, memcmp(self->data + PAGE, self->back, PAGE));
	close(fd);
}

/* A chain: fsync does not begin before the writes are done. */
TEST_F(uring, linked_writes_and_fsync)
{
	RUN_IF_READY();

	struct account before = account_of(self->fd), d;
	int results[ENTRIES];

	for (int i = 0; i < 5; i++)
		queue(&self->ring, IORING_OP_WRITE, self->fd,
		      self->data + i * PAGE, PAGE, PLACE(0) + i * PAGE)
			->flags = IOSQE_IO_LINK;
	queue(&self->ring, IORING_OP_FSYNC, self->fd, NULL, 0, 0);
	run(_metadata, &self->ring, results);
	for (int i = 0; i < 5; i++)
		EXPECT_EQ(PAGE, results[i]);
	EXPECT_EQ(0, results[5]);
	d = account_of_since(self->fd, &before);
	EXPECT_EQ(in_folios(self->fd, 5 * PAGE), d.dirtied_folios);
	EXPECT_EQ(in_folios(self->fd, 5 * PAGE), d.written_folios);
	EXPECT_EQ(0, d.dirty_folios);
	EXPECT_EQ(0, memcmp(self->map, self->data, 5 * PAGE));
}

/* A link that fails breaks the chain: what follows is not even begun. */
TEST_F(uring, a_broken_chain)
{
	RUN_IF_READY();

	struct account before = account_of(self->fd), d;
	int results[ENTRIES];

	queue(&self->ring, IORING_OP_WRITE, self->fd, self->data, PAGE, PLACE(0))
		->flags = IOSQE_IO_LINK;
	queue(&self->ring, IORING_OP_WRITE, self->fd, (void *)1, PAGE, PLACE(0))
		->flags = IOSQE_IO_LINK;
	queue(&self->ring, IORING_OP_FSYNC, self->fd, NULL, 0, 0);
	run(_metadata, &self->ring, results);
	EXPECT_EQ(PAGE, results[0]);
	EXPECT_EQ(-EFAULT, results[1]);
	EXPECT_EQ(-ECANCELED, results[2]);
	d = account_of_since(self->fd, &before);
	EXPECT_EQ(1, d.dirtied_folios);
	EXPECT_EQ(0, d.written_folios);
}

/*
 * fsync of a range writes the pages of it.  (And the one that the first byte behind
 * it is in, because the kernel counts that byte in: so ask for one byte less.)
 */
TEST_F(uring, fsync_of_a_range)
{
	RUN_IF_READY();

	struct account before = account_of(self->fd);

	memcpy(self->map, self->data, LEN);
	EXPECT_EQ(0, RUN_ONE(IORING_OP_FSYNC, self->fd, NULL, 3 * PAGE - 1,
			     PLACE(0) + 5 * PAGE));
	EXPECT_EQ(in_folios(self->fd, 3 * PAGE),
		  account_of_since(self->fd, &before).written_folios);
}

/* Another file is read into the mapping, and written from it. */
TEST_F(uring, the_mapping_as_memory)
{
	RUN_IF_READY();

	int other = syscall(SYS_memfd_create, "other", 0);
	struct account before = account_of(self->fd);

	ASSERT_GE(other, 0);
	ASSERT_EQ(LEN, pwrite(other, self->data, LEN, 0));
	EXPECT_EQ(4 * PAGE,
		  RUN_ONE(IORING_OP_READ, other, self->map, 4 * PAGE, PAGE));
	EXPECT_EQ(0, memcmp(self->map, self->data + PAGE, 4 * PAGE));
	EXPECT_EQ(in_folios(self->fd, 4 * PAGE),
		  account_of_since(self->fd, &before).dirtied_folios);
	EXPECT_EQ(4 * PAGE, RUN_ONE(IORING_OP_WRITE, other, self->map, 4 * PAGE,
				    8 * PAGE));
	ASSERT_EQ(LEN, pread(other, self->back, LEN, 0));
	EXPECT_EQ(0, memcmp(self->back + 8 * PAGE, self->map, 4 * PAGE));
	close(other);
}

static int register_buffer(struct ring *ring, void *base, size_t len)
{
	struct iovec iov = { base, len };

	int ret = syscall(SYS_io_uring_register, ring->fd,
			  IORING_REGISTER_BUFFERS, &iov, 1);

	return ret < 0 ? -errno : 0;
}

/* Fixed buffers of other memory are read and written as any memory. */
TEST_F(uring, fixed_buffers_for_the_file)
{
	RUN_IF_READY();

	unsigned char *p = mmap(NULL, LEN, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, p);
	memcpy(p, self->data, LEN);
	ASSERT_EQ(0, register_buffer(&self->ring, p, LEN));
	EXPECT_EQ(PAGE, RUN_ONE(IORING_OP_WRITE_FIXED, self->fd, p + 5, PAGE,
				PLACE(0)));
	EXPECT_EQ(0, memcmp(self->map, self->data + 5, PAGE));
	EXPECT_EQ(PAGE, RUN_ONE(IORING_OP_READ_FIXED, self->fd, p + PAGE, PAGE,
				PLACE(0)));
	EXPECT_EQ(0, memcmp(p + PAGE, self->data + 5, PAGE));
	munmap(p, LEN);
}

/*
 * The mapping as a fixed buffer: pinned for writing, for as long as the ring may
 * want it.  A shared mapping cannot be: a device could write to a page after it was
 * written back, and nobody would know that it is dirty again.  Up to Linux 6.4
 * io_uring refuses memory of any file with EOPNOTSUPP.  Later, pinning itself
 * refuses those that keep account of what is dirty, and a private copy, which
 * nobody writes back, may be pinned.
 */
TEST_F(uring, the_mapping_as_a_fixed_buffer)
{
	RUN_IF_READY();

	unsigned char *private = mmap(NULL, LEN, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE, self->fd, PLACE(0));
	struct account before = account_of(self->fd);
	bool any_file;

	ASSERT_NE(MAP_FAILED, private);
	any_file = register_buffer(&self->ring, private, LEN) == 0;
	EXPECT_EQ(LEN / PAGE, account_of_since(self->fd, &before).cow_faults);
	if (any_file) {
		/* Read into the copies: the file does not see it */
		int other = syscall(SYS_memfd_create, "other", 0);

		ASSERT_GE(other, 0);
		ASSERT_EQ(LEN, pwrite(other, self->data, LEN, 0));
		EXPECT_EQ(LEN,
			  RUN_ONE(IORING_OP_READ_FIXED, other, private, LEN, 0));
		EXPECT_EQ(0, memcmp(private, self->data, LEN));
		EXPECT_EQ(0, touch(self->map));
		EXPECT_EQ(0, syscall(SYS_io_uring_register, self->ring.fd,
				     IORING_UNREGISTER_BUFFERS, NULL, 0));
		close(other);
	}
	EXPECT_EQ(any_file ? -EFAULT : -EOPNOTSUPP,
		  register_buffer(&self->ring, self->map, LEN));
	/* It used to be pinned first, which makes it dirty, then refused */
	EXPECT_EQ(any_file ? 0 : in_folios(self->fd, LEN),
		  account_of_since(self->fd, &before).dirtied_folios);
	munmap(private, LEN);
}

TEST_HARNESS_MAIN
