// SPDX-License-Identifier: GPL-2.0-only
/*
 * How much memory buffers may take: ram_limit=.  What does not fit is refused when it is
 * written, in the task that writes it; what was taken is kept; and what a request that
 * fails had got is given back.
 *
 * Loads the module; VMADEMO_KO names it.
 */
#include <linux/falloc.h>

#include "kselftest_harness.h"
#include "stores.h"

#define LIMIT	   (8 * MIB)
#define LIMIT_FILE "/sys/module/vmademo/parameters/ram_limit"
#define LARGE	   (128 * MIB)
/* What is counted per processor may be this far off */
#define ABOUT			  MIB
#define EVERYWHERE(at, end, step) (size_t at = 0; at < (end); at += (step))

FIXTURE(limited)
{
	const char *skip;
	int fd;
	unsigned char *map;
};

FIXTURE_VARIANT(limited)
{
	uint32_t store;
};

FIXTURE_VARIANT_ADD(limited, none){ .store = VMADEMO_STORE_NONE };
FIXTURE_VARIANT_ADD(limited, ram){ .store = VMADEMO_STORE_RAM };

static unsigned char byte_at(size_t at)
{
	return at / PAGE % 255 + 1;
}

FIXTURE_SETUP(limited)
{
	if (!getenv("VMADEMO_KO")) {
		self->skip = "VMADEMO_KO does not name the module to load";
		return;
	}
	if (module_is_loaded())
		ASSERT_EQ(0, unload_module());
	ASSERT_EQ(0, load_module("ram_limit=8M"));
	self->fd = create_with(variant->store, LARGE, 0);
	ASSERT_GE(self->fd, 0);
	self->map = mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
}

FIXTURE_TEARDOWN(limited)
{
	if (self->skip)
		return;
	EXPECT_ACCOUNT_ADDS_UP(self->fd);
	munmap(self->map, LARGE);
	close(self->fd);
	EXPECT_EQ(0, unload_module());
	EXPECT_EQ(0, load_module(""));
}

/* Writes page after page by write(2), until that is refused; how far it came. */
static size_t fill_by_write(int fd, size_t from)
{
	unsigned char page[PAGE];
	size_t at;

	for (at = from; at < LARGE; at += PAGE) {
		memset(page, byte_at(at), PAGE);
		errno = 0;
		if (pwrite(fd, page, PAGE, at) != PAGE)
			break;
	}
	return at;
}

/* Writes page after page by a mapping, until that raises SIGBUS. */
static size_t fill_by_mapping(unsigned char *map, size_t from)
{
	size_t at;

	for (at = from; at < LARGE; at += PAGE) {
		if (touch_signal(map + at, 1))
			break;
		memset(map + at, byte_at(at), PAGE);
	}
	return at;
}

static void expect_filled(struct __test_metadata *_metadata,
			  const unsigned char *map, size_t from, size_t end)
{
	for (size_t at = from; at < end; at += PAGE) {
		ASSERT_EQ(byte_at(at), touch(map + at));
		ASSERT_EQ(byte_at(at), touch(map + at + PAGE - 1));
	}
}

/* What was taken is there, and stays, also when the power is cut. */
static void expect_kept(struct __test_metadata *_metadata,
			FIXTURE_DATA(limited) * self, uint32_t store, size_t end)
{
	EXPECT_GE(LIMIT + ABOUT, end);
	EXPECT_LE(LIMIT - ABOUT, end);
	expect_filled(_metadata, self->map, 0, end);
	EXPECT_EQ(0, fsync(self->fd));
	EXPECT_EQ(0, fd_value(self->fd, "write_errors"));
	EXPECT_EQ(0, fd_value(self->fd, "lost_folios"));
	if (store == VMADEMO_STORE_NONE)
		return;
	EXPECT_EQ(0, power_cut(self->fd));
	expect_filled(_metadata, self->map, 0, end);
	EXPECT_EQ(0, fd_value(self->fd, "lost_folios"));
}

TEST_F(limited, written)
{
	RUN_IF_READY();

	size_t end = fill_by_write(self->fd, 0);

	EXPECT_EQ(ENOSPC, errno);
	expect_kept(_metadata, self, variant->store, end);
	/* What has room already can be written again */
	EXPECT_EQ(4, pwrite(self->fd, "data", 4, end - PAGE));
	put(self->map, 9);
	EXPECT_EQ(0, fsync(self->fd));
	EXPECT_EQ('d', touch(self->map + end - PAGE));
}

TEST_F(limited, mapped)
{
	RUN_IF_READY();

	size_t end = fill_by_mapping(self->map, 0);

	EXPECT_GT(LARGE, end);
	EXPECT_EQ(BUS_ADRERR, touch_info.si_code);
	expect_kept(_metadata, self, variant->store, end);
	EXPECT_EQ(0, touch_signal(self->map, 1));
	/* The kernel, too, finds no room there */
	if (variant->store == VMADEMO_STORE_RAM) {
		int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);

		EXPECT_FAILS(EFAULT, read(zero, self->map + LARGE - PAGE, PAGE));
		close(zero);
	}
}

/* All buffers together: one more finds no room, and then that of another. */
TEST_F(limited, together)
{
	RUN_IF_READY();

	int other = create_with(variant->store, LARGE, 0);
	size_t end, more;

	ASSERT_GE(other, 0);
	end = fill_by_write(other, 0);
	EXPECT_GE(LIMIT + ABOUT, end);
	more = fill_by_write(self->fd, 0);
	EXPECT_EQ(ENOSPC, errno);
	EXPECT_GE(LIMIT + ABOUT, end + more);
	close(other);
	end = fill_by_mapping(self->map, 0);
	expect_kept(_metadata, self, variant->store, end);
}

/* Room comes back by punching, discarding and cutting off. */
TEST_F(limited, given_back)
{
	RUN_IF_READY();

	struct vmademo_discard d = { .length = LIMIT / 4 };
	size_t end = fill_by_write(self->fd, 0), more;

	ASSERT_GT(LARGE, end);
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_DISCARD, &d));
	more = fill_by_write(self->fd, end);
	EXPECT_LE(end + LIMIT / 4 - ABOUT, more);
	expect_filled(_metadata, self->map, LIMIT / 4, more);
	/* Also what is not yet written back */
	ASSERT_EQ(0, ftruncate(self->fd, LIMIT / 2));
	ASSERT_EQ(0, ftruncate(self->fd, LARGE));
	more = fill_by_mapping(self->map, LIMIT / 2);
	EXPECT_LE(LIMIT / 2 + LIMIT / 2 - ABOUT, more);
	expect_filled(_metadata, self->map, LIMIT / 4, more);
	ASSERT_EQ(0, ftruncate(self->fd, 0));
	ASSERT_EQ(0, ftruncate(self->fd, LARGE));
	end = fill_by_mapping(self->map, 0);
	expect_kept(_metadata, self, variant->store, end);
}

/* Asked for more than there is: refused, and nothing of it is kept. */
TEST_F(limited, allocated)
{
	RUN_IF_READY();

	int64_t cached;

	ASSERT_EQ(4, pwrite(self->fd, "data", 4, 2 * PAGE));
	cached = fd_value(self->fd, "cached_bytes");
	for (int i = 0; i < 2; i++) {
		EXPECT_FAILS(ENOSPC,
			     fallocate(self->fd, 0, 0, LIMIT + 2 * ABOUT));
		EXPECT_EQ(cached, fd_value(self->fd, "cached_bytes"));
		EXPECT_FAILS(ENOSPC, fallocate(self->fd, 0, LARGE - PAGE,
					       LIMIT + 2 * ABOUT));
		EXPECT_EQ(LARGE, fd_value(self->fd, "size"));
		/* All but one page of it was there */
		EXPECT_FAILS(ENOSPC, fallocate(self->fd, 0, 4 * PAGE, LIMIT));
		EXPECT_EQ(cached, fd_value(self->fd, "cached_bytes"));
		EXPECT_EQ(LARGE, fd_value(self->fd, "size"));
	}
	ASSERT_EQ(0, fallocate(self->fd, 0, 0, LIMIT - ABOUT));
	EXPECT_EQ('d', touch(self->map + 2 * PAGE));
	/* That is a promise: all of it can be written */
	for
		EVERYWHERE(at, LIMIT - ABOUT, PAGE)
		{
			ASSERT_EQ(0, touch_signal(self->map + at, 1));
		}
	EXPECT_EQ(0, fsync(self->fd));
}

/* A punch that has room for its first page and not for its last keeps neither. */
TEST_F(limited, punched_in_part)
{
	RUN_IF_READY();
	RUN_IF_FOLIOS_ARE_PAGES(self->fd);

	size_t from = 32 * PAGE, end;

	if (variant->store == VMADEMO_STORE_NONE)
		SKIP(return, "what is not cached takes no room to be punched");
	end = fill_by_write(self->fd, from);
	ASSERT_GT(LARGE, end);
	ASSERT_EQ(0, fsync(self->fd));
	/* Room for one page */
	ASSERT_EQ(0, fallocate(self->fd,
			       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from,
			       PAGE));
	for (int i = 0; i < 3; i++) {
		EXPECT_FAILS(ENOSPC, fallocate(self->fd,
					       FALLOC_FL_PUNCH_HOLE |
						       FALLOC_FL_KEEP_SIZE,
					       100, 3 * PAGE));
	}
	EXPECT_EQ(1, pwrite(self->fd, "x", 1, 8 * PAGE));
	EXPECT_FAILS(ENOSPC, pwrite(self->fd, "x", 1, 9 * PAGE));
	EXPECT_EQ(0, fsync(self->fd));
	expect_filled(_metadata, self->map, from + PAGE, end);
}

/* A snapshot takes as much as is on the store; without room for it, it takes none. */
TEST_F(limited, snapshot)
{
	RUN_IF_READY();

	size_t end, some = LIMIT / 4;
	int64_t used;
	int taken;

	if (variant->store == VMADEMO_STORE_NONE)
		SKIP(return, "a power cut leaves nothing of it");
	for (size_t at = 0; at < some; at += PAGE)
		ASSERT_EQ(1, pwrite(self->fd, "x", 1, at));
	ASSERT_EQ(0, fsync(self->fd));
	used = node_value("ram_used");
	taken = take_snapshot(self->fd, NULL);
	ASSERT_GE(taken, 0);
	EXPECT_EQ(used + (int64_t)some, node_value("ram_used"));
	close(taken);
	EXPECT_EQ(used, node_value("ram_used"));
	end = fill_by_write(self->fd, some);
	used = node_value("ram_used");
	for (int i = 0; i < 3; i++) {
		EXPECT_FAILS(ENOSPC, take_snapshot(self->fd, NULL));
		EXPECT_EQ(used, node_value("ram_used"));
	}
	expect_filled(_metadata, self->map, some, end);
	EXPECT_EQ(0, fsync(self->fd));
}

/* To read takes no room of the store, and reads zeroes. */
TEST_F(limited, read)
{
	RUN_IF_READY();

	if (variant->store == VMADEMO_STORE_NONE)
		SKIP(return, "each page that is read is in the page cache alone");
	ASSERT_GT(LARGE, fill_by_write(self->fd, 0));
	for
		EVERYWHERE(at, 2 * LIMIT, PAGE)
		{
			ASSERT_EQ(0, touch(self->map + LARGE - PAGE - at));
		}
}

TEST_F(limited, shown)
{
	RUN_IF_READY();

	int64_t bytes = read_number(LIMIT_FILE);

	/* As it was given, or in bytes */
	EXPECT_TRUE(bytes == 8 || bytes == LIMIT) TH_LOG("%" PRId64, bytes);
	close(self->fd);
	munmap(self->map, LARGE);
	ASSERT_EQ(0, unload_module());
	ASSERT_EQ(0, load_module(""));
	/* Half of the memory, as for tmpfs */
	EXPECT_LE(meminfo("MemTotal") / 2 - (int64_t)MIB,
		  read_number(LIMIT_FILE));
	EXPECT_GE(meminfo("MemTotal") / 2 + (int64_t)MIB,
		  read_number(LIMIT_FILE));
	self->fd = create_with(variant->store, LARGE, 0);
	self->map = mmap(NULL, LARGE, PROT_READ, MAP_SHARED, self->fd, 0);
}

/* ---- interrupted --------------------------------------------------------- */

FIXTURE(killed)
{
	char unused;
};

FIXTURE_VARIANT(killed)
{
	uint32_t store;
};

FIXTURE_VARIANT_ADD(killed, none){ .store = VMADEMO_STORE_NONE };
FIXTURE_VARIANT_ADD(killed, ram){ .store = VMADEMO_STORE_RAM };

FIXTURE_SETUP(killed)
{
}

FIXTURE_TEARDOWN(killed)
{
}

/* Killed in the middle of it: what it had got is given back, and what was there stays. */
TEST_F(killed, while_allocating)
{
	const size_t size = 128 * MIB;
	int fd = create_with(variant->store, size, 0), status;
	int64_t cached, free, used;
	unsigned char byte = 0;
	pid_t pid;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(1, pwrite(fd, "x", 1, 3 * PAGE));
	ASSERT_EQ(0, fsync(fd));
	cached = fd_value(fd, "cached_bytes");
	used = node_value("ram_used");
	free = meminfo("MemFree");
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		fallocate(fd, 0, 0, size);
		_exit(0);
	}
	while (node_value("ram_used") < used + 64 * (int64_t)MIB &&
	       !waitpid(pid, &status, WNOHANG))
		usleep(500);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status)) TH_LOG("it was too fast");
	EXPECT_EQ(size, fd_value(fd, "size"));
	EXPECT_EQ(cached, fd_value(fd, "cached_bytes"));
	EXPECT_EQ(used, node_value("ram_used"));
	/* Others take some, a debug kernel more of it */
	EXPECT_LT(free - 48 * (int64_t)MIB, meminfo("MemFree"));
	EXPECT_EQ(1, pread(fd, &byte, 1, 3 * PAGE));
	EXPECT_EQ('x', byte);
	EXPECT_ACCOUNT_ADDS_UP(fd);
	close(fd);
}

/* Touches and writes back at random, as long as its parent lives. */
static pid_t start_toucher(int fd, size_t size, unsigned int seed)
{
	const pid_t parent = getpid();
	pid_t pid = fork();
	unsigned char *p;

	if (pid)
		return pid;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	while (getppid() == parent) {
		for (int i = 0; i < 500; i++)
			p[rand_r(&seed) % (size / PAGE) * PAGE]++;
		msync(p, size, MS_SYNC);
	}
	_exit(0);
}

/* Killed while it makes the buffer larger, which others use: it is larger, or all as it was. */
TEST_F(killed, while_growing)
{
	const size_t size = 8 * MIB, more = 24 * MIB;
	int fd = create_with(variant->store, size, 0), as_it_was = 0;
	const int64_t used = node_value("ram_used");
	pid_t touchers[2];

	ASSERT_GE(fd, 0);
	for (int i = 0; i < 2; i++)
		touchers[i] = start_toucher(fd, size, i);
	for (int i = 0; i < 60; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			fallocate(fd, i % 2 ? FALLOC_FL_ZERO_RANGE : 0, 0,
				  size + more);
			_exit(0);
		}
		usleep(1000 + i * 3000);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		if (fd_value(fd, "size") == (int64_t)size) {
			as_it_was++;
			EXPECT_GE((int64_t)size + folio_size_of(fd),
				  node_value("ram_used") - used);
		} else {
			EXPECT_EQ(size + more, fd_value(fd, "size"));
			EXPECT_LE((int64_t)more, node_value("ram_used") - used);
		}
		ASSERT_EQ(0, ftruncate(fd, size));
		/* Until then a power cut would bring back what was there */
		ASSERT_EQ(0, fsync(fd));
	}
	TH_LOG("%d of 60 were in time", as_it_was);
	for (int i = 0; i < 2; i++) {
		kill(touchers[i], SIGKILL);
		waitpid(touchers[i], NULL, 0);
	}
	EXPECT_ACCOUNT_ADDS_UP(fd);
	close(fd);
}

TEST_HARNESS_MAIN
