// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory runs out: each operation on buffers and windows is repeated with its first, second,
 * third ... allocation failing (nomem.h).
 */
#include "../lib/window.h"
#include "nomem.h"
#include "rules.h"
#include "stores.h"

TEST_F(nomem, opening)
{
	RUN_IF_READY();

	int fd;

	EACH_FAILURE(, (fd = open(NODE, O_RDWR)) >= 0, if (ok) close(fd));
	EACH_FAILURE(, (fd = open(WINDOW, O_RDWR)) >= 0, if (ok) close(fd));
}

static int64_t mappings_of(const char *node)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/class/misc/%s/mappings",
		 node + strlen("/dev/"));
	return read_number(path);
}

TEST_F(nomem, mapping)
{
	RUN_IF_READY();

	int64_t before = mappings_of(NODE);
	int fd = open(NODE, O_RDWR);
	void *p;

	ASSERT_GE(fd, 0);
	EACH_FAILURE(,
		     (p = mmap(NULL, 2 * MIB, PROT_READ | PROT_WRITE,
			       MAP_SHARED, fd, 0)) != MAP_FAILED,
		     if (ok) munmap(p, 2 * MIB));
	EXPECT_EQ(before, mappings_of(NODE));
	close(fd);
}

/*
 * The window's page tables are there before it is mapped: those of memory on both
 * sides of it.  For if remap_pfn_range() cannot allocate one, the kernel itself
 * warns (x86, 6.12: get_pat_info()), for /dev/mem as for us.
 */
TEST_F(nomem, mapping_the_window)
{
	RUN_IF_READY();

	int64_t before = mappings_of(WINDOW);
	int fd = open(WINDOW, O_RDWR);
	char *room, *p, *q;

	ASSERT_GE(fd, 0);
	room = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, room);
	ASSERT_EQ(0, madvise(room, 4 * MIB, MADV_NOHUGEPAGE));
	/* One page table spans 2 MiB: 1 MiB of window between its two pages */
	p = (char *)(((uintptr_t)room + 2 * MIB - 1) & ~(2 * MIB - 1));
	put(p, 1);
	put(p + 2 * MIB - PAGE, 1);
	EACH_FAILURE(,
		     (q = mmap(p + MIB / 2, MIB, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_FIXED, fd, 0)) != MAP_FAILED,
		     if (ok) munmap(q, MIB));
	EXPECT_EQ(before, mappings_of(WINDOW));
	munmap(room, 4 * MIB);
	close(fd);
}

/*
 * To note who maps the window takes memory: for the module, or from Linux 6.16 on for
 * x86, with the memory type.  Without it mmap is EAGAIN, as from mmap_mem().
 */
TEST_F(nomem, remapping)
{
	RUN_IF_READY();

	char parameters[64], *room, *p, *q;
	int fd, again = 0;

	if (!reserved_memory())
		SKIP(return, "no memory is reserved by memmap=");
	snprintf(parameters, sizeof(parameters), "phys=1M@0x%" PRIx64,
		 reserved_memory());
	ASSERT_EQ(0, unload_module());
	ASSERT_EQ(0, load_module(parameters));
	fd = open(WINDOW, O_RDWR);
	ASSERT_GE(fd, 0);
	room = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, room);
	ASSERT_EQ(0, madvise(room, 4 * MIB, MADV_NOHUGEPAGE));
	/* The page table is there, as above */
	p = (char *)(((uintptr_t)room + 2 * MIB - 1) & ~(2 * MIB - 1));
	put(p, 1);
	put(p + 2 * MIB - PAGE, 1);
	/* How many allocations come before ours differs: it may be passed over */
	for (int i = 0; i < 10 && !again; i++)
		EACH_FAILURE(,
			     (q = mmap(p + MIB / 2, MIB, PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_FIXED, fd, 0)) !=
				     MAP_FAILED,
			     if (ok) munmap(q, MIB);
			     else again += err == EAGAIN);
	EXPECT_LT(0, again);
	EXPECT_EQ(0, mappings_of(WINDOW));
	munmap(room, 4 * MIB);
	close(fd);
	ASSERT_EQ(0, unload_module());
}

/*
 * A fault that finds no memory is taken again, so the program sees the right
 * byte, a little later.
 */
TEST_F(nomem, faults)
{
	RUN_IF_READY();

	int fd = open(NODE, O_RDWR);
	unsigned char *p;
	size_t at = 0;

	ASSERT_GE(fd, 0);
	p = mmap(NULL, 8 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	EACH_FAILURE(at += 4 * PAGE, touch(p + at) == 0, );
	/* A page table of its own each time, too */
	EACH_FAILURE((munmap(p, 8 * MIB),
		      p = mmap(p, 8 * MIB, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_FIXED, fd, 0),
		      at += 4 * PAGE),
		     (put(p + at, 7), touch(p + at) == 7), );
	munmap(p, 8 * MIB);
	p = mmap(NULL, 8 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	EACH_FAILURE(at += 4 * PAGE, (put(p + at, 9), touch(p + at) == 9), );
	munmap(p, 8 * MIB);
	close(fd);
}

TEST_F(nomem, reading_and_writing)
{
	RUN_IF_READY();

	int fd = open(NODE, O_RDWR), pipefd[2];
	char data[3 * PAGE];
	off_t at = 16 * MIB, from;

	memset(data, 7, sizeof(data));
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, pipe(pipefd));
	EACH_FAILURE(at += sizeof(data),
		     pwrite(fd, data, sizeof(data), at + 5) > 0, );
	EACH_FAILURE(at += sizeof(data),
		     pread(fd, data, sizeof(data), at + 5) > 0, );
	EACH_FAILURE((at += PAGE, from = at),
		     splice(fd, &from, pipefd[1], NULL, PAGE, 0) > 0,
		     if (ok) ASSERT_LT(0, read(pipefd[0], data, sizeof(data))));
	close(pipefd[0]);
	close(pipefd[1]);
	close(fd);
}

TEST_F(nomem, writing_back)
{
	RUN_IF_READY();

	int fd = open(NODE, O_RDWR), count = 0;
	struct account now;
	unsigned char *p;

	ASSERT_GE(fd, 0);
	p = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 32 * MIB);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, fsync(fd));
	/* Writing back with no store needs no memory: nothing is there to fail */
	for (int nth = 1; nth <= 20; nth++) {
		put(p, nth);
		put(p + 5 * PAGE, nth);
		fail_from_now(self->fail_nth, nth);
		EXPECT_EQ(0, nth % 2 ? msync(p, MIB, MS_SYNC) : fsync(fd));
		count += failed(self->fail_nth);
		EXPECT_EQ(0, node_value("dirty_folios"));
	}
	EXPECT_EQ(0, count);
	now = account_now();
	EXPECT_EQ(now.dirtied_folios, now.written_folios + now.discarded_folios);
	munmap(p, MIB);
	close(fd);
}

TEST_F(nomem, regular_files)
{
	RUN_IF_READY();

	struct vmademo_create c = { .size = MIB };
	struct vmademo_open_file o = { 0 };
	int node = open(NODE, O_RDWR), fd;

	ASSERT_GE(node, 0);
	EACH_FAILURE(, (fd = ioctl(node, VMADEMO_IOC_CREATE, &c)) >= 0,
		     if (ok) close(fd));
	EACH_FAILURE(, (fd = ioctl(node, VMADEMO_IOC_OPEN_FILE, &o)) >= 0,
		     if (ok) close(fd));
	close(node);

	/* Refused, it has left the size as it was, and no page beyond it */
	fd = create_buffer(PAGE);
	ASSERT_GE(fd, 0);
	EACH_FAILURE(
		, fallocate(fd, 0, 0, 8 * PAGE) == 0,
		if (!ok) {
			EXPECT_EQ(PAGE, fd_value(fd, "size"));
			EXPECT_GE(PAGE, fd_value(fd, "cached_bytes"));
		} ASSERT_EQ(0, ftruncate(fd, 0));
		ASSERT_EQ(0, ftruncate(fd, PAGE)));
	close(fd);
}

/* To cut off and to punch takes no memory: it cannot fail for want of it. */
TEST_F(nomem, resizing_and_discarding)
{
	RUN_IF_READY();

	struct vmademo_discard d = { .offset = 10, .length = 3 * PAGE };
	struct vmademo_resize r = { 0 };
	int fd = create_buffer(8 * PAGE), count = 0;
	char data[8 * PAGE];

	ASSERT_GE(fd, 0);
	memset(data, 7, sizeof(data));
	for (int nth = 1; nth <= 20; nth++) {
		ASSERT_EQ(sizeof(data), pwrite(fd, data, sizeof(data), 0));
		/* The first thing that may fail is to copy the request */
		fail_from_now(self->fail_nth, nth + 1);
		EXPECT_EQ(0, ioctl(fd, VMADEMO_IOC_DISCARD, &d));
		count += failed(self->fail_nth);
		fail_from_now(self->fail_nth, nth + 1);
		r.size = nth % 8;
		EXPECT_EQ(0, ioctl(fd, VMADEMO_IOC_RESIZE, &r));
		count += failed(self->fail_nth);
	}
	EXPECT_EQ(0, count);
	close(fd);
}

TEST_F(nomem, stores)
{
	RUN_IF_READY();

	int lower = open("/tmp/vmademo-nomem", O_RDWR | O_CREAT | O_TRUNC, 0600);
	int fd;
	char byte;

	ASSERT_GE(lower, 0);
	ASSERT_EQ(0, ftruncate(lower, MIB));
	EACH_FAILURE(, (fd = create_with(VMADEMO_STORE_RAM, MIB, 0)) >= 0,
		     if (ok) close(fd));
	EACH_FAILURE(, (fd = create_with(VMADEMO_STORE_FILE, 0, lower)) >= 0,
		     if (ok) close(fd));
	close(lower);
	unlink("/tmp/vmademo-nomem");

	/* A power cut that fails for want of memory has lost nothing */
	fd = create_with(VMADEMO_STORE_RAM, MIB, 0);
	ASSERT_GE(fd, 0);
	EACH_FAILURE(ASSERT_EQ(1, pwrite(fd, "x", 1, 0)), power_cut(fd) == 0,
		     EXPECT_TRUE(ok || err != ENOMEM ||
				 fd_value(fd, "dirty_folios") == 1));
	EACH_FAILURE(ASSERT_EQ(0, power_cut(fd)), pread(fd, &byte, 1, 0) == 1, );
	EXPECT_ACCOUNT_ADDS_UP(fd);
	close(fd);
}

/* A snapshot that fails leaves nothing behind. */
TEST_F(nomem, snapshot)
{
	RUN_IF_READY();

	struct vmademo_crash c;
	int fd = create_with(VMADEMO_STORE_RAM, 8 * PAGE, 0), taken;
	int64_t used;

	ASSERT_GE(fd, 0);
	for (int i = 0; i < 8; i++)
		ASSERT_EQ(1, pwrite(fd, "x", 1, i * PAGE));
	ASSERT_EQ(0, fsync(fd));
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(1, pwrite(fd, "y", 1, i * PAGE));
	used = node_value("ram_used");
	EACH_FAILURE(c = ((struct vmademo_crash){ .written_permille = 500,
						  .torn = 1 }),
		     (taken = take_snapshot(fd, &c)) >= 0, if (ok) close(taken);
		     EXPECT_EQ(used, node_value("ram_used")));
	EXPECT_EQ(4, fd_value(fd, "dirty_folios"));
	close(fd);
}

/* A rule that is refused is not there; and none is gone but the one that was deleted. */
TEST_F(nomem, rules)
{
	RUN_IF_READY();

	struct vmademo_rule add = { .op = VMADEMO_OP_MKWRITE, .status = EIO };
	int fd = create_buffer(8 * PAGE), made = 0;
	unsigned char *p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE,
				MAP_SHARED, fd, 0);

	ASSERT_NE(MAP_FAILED, p);
	put(p, 1);
	EACH_FAILURE(add.id = 0, ioctl(fd, VMADEMO_IOC_RULE_ADD, &add) == 0,
		     made += ok;
		     EXPECT_EQ(made, count_rules(fd)));
	ASSERT_EQ(0, del_rule(fd, 0));
	ASSERT_LT(0, add_rule(fd, (struct vmademo_rule){
					  .status = VMADEMO_STATUS_SIGBUS }));
	add.id = 0;
	EACH_FAILURE(ASSERT_LT(0, made = add_rule(fd, add)),
		     del_rule(fd, made) == 0,
		     EXPECT_EQ(ok ? 1 : 2, count_rules(fd));
		     del_rule(fd, made));
	/* To delete all of them takes none, but to copy the request */
	for (int nth = 2; nth <= 20; nth++) {
		ASSERT_LT(0, add_rule(fd, add));
		fail_from_now(self->fail_nth, nth);
		EXPECT_EQ(0, del_rule(fd, 0));
		EXPECT_FALSE(failed(self->fail_nth));
	}
	/* A fault that has to wait, and cannot note that, waits with its lock held */
	add = (struct vmademo_rule){ .op = VMADEMO_OP_READ_FAULT, .delay_us = 1 };
	ASSERT_EQ(0, ioctl(fd, VMADEMO_IOC_RULE_ADD, &add));
	EACH_FAILURE(madvise(p, PAGE, MADV_DONTNEED), touch(p) == 1, );
	munmap(p, 8 * PAGE);
	close(fd);
}

/* A store that finds no memory for a page is full. */
TEST_F(nomem, writing_back_to_ram)
{
	RUN_IF_READY();

	const size_t len = 4 * PAGE;
	struct vmademo_discard d = { .length = len };
	int fd = create_with(VMADEMO_STORE_RAM, len, 0);
	unsigned char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED,
				fd, 0);
	int full = 0;

	ASSERT_NE(MAP_FAILED, p);
	for (int nth = 1; nth < 30; nth++) {
		memset(p, nth, len);
		fail_from_now(self->fail_nth, nth);
		full += !!fsync(fd);
		failed(self->fail_nth);
		EXPECT_EQ(0, fsync(fd));
		memset(p, nth, len);
		EXPECT_EQ(0, fsync(fd));
		EXPECT_ACCOUNT_ADDS_UP(fd);
		ASSERT_EQ(0, ioctl(fd, VMADEMO_IOC_DISCARD, &d));
	}
	/* What it takes was taken when the page became dirty */
	EXPECT_EQ(0, full);
	EXPECT_EQ(0, fd_value(fd, "write_errors"));
	munmap(p, len);
	close(fd);
}

TEST_F(nomem, forking)
{
	RUN_IF_READY();

	int fd = open(NODE, O_RDWR), status;
	int64_t before = node_value("mappings");
	unsigned char *p, *q;
	pid_t pid;

	ASSERT_GE(fd, 0);
	p = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	q = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_NE(MAP_FAILED, q);
	put(p, 1);
	put(q, 2);
	EACH_FAILURE(, ((pid = fork()) != 0 ? pid > 0 : (_exit(0), 0)),
		     if (ok) waitpid(pid, &status, 0));
	munmap(p, MIB);
	munmap(q, MIB);
	/* A child that was never to be has closed what it had opened */
	EXPECT_EQ(before, node_value("mappings"));
	close(fd);
}

TEST_HARNESS_MAIN
