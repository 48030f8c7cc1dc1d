// SPDX-License-Identifier: GPL-2.0-only
/*
 * Five ways to copy a file, and what each costs: system calls that move data, and
 * faults.  Mapping costs faults and no calls, the others calls and no faults; what
 * arrives is the same.  Prints the costs as a table.
 */
#include <sys/sendfile.h>

#include "kselftest_harness.h"
#include "vmademo_test.h"

#define LEN   (3 * MIB + 12345) /* not a whole page */
#define PAGES ((LEN + PAGE - 1) / PAGE)
#define CHUNK \
	(64 * 1024) /* a common buffer, and what is mapped around a read */
#define PIPE   (16 * PAGE) /* what one holds */
#define CHUNKS ((LEN + CHUNK - 1) / CHUNK)

struct copy {
	int from, to;
	off_t source, target; /* where in the two files */
	unsigned int calls; /* system calls that moved data */
	int64_t faults; /* while they were moved */
};

/* Each returns the number of bytes that it copied, or -1 and errno. */

/* The buffer is part of the program, and locked: it takes no faults. */
static ssize_t by_read_and_write(struct copy *c)
{
	static char buffer[CHUNK];
	ssize_t done = 0, n = 1;

	while (done < (ssize_t)LEN && n > 0) {
		size_t want = LEN - done < CHUNK ? LEN - done : CHUNK;

		n = pread(c->from, buffer, want, c->source + done);
		c->calls++;
		if (n <= 0)
			return -1;
		n = pwrite(c->to, buffer, n, c->target + done);
		c->calls++;
		if (n <= 0)
			return -1;
		done += n;
	}
	return done;
}

/*
 * At an address that is a multiple of CHUNK, so that it is known where the pages
 * begin that are mapped around a fault.
 */
static void *map(int fd, int prot, off_t offset)
{
	return mmap(aligned_room(LEN, CHUNK), LEN, prot, MAP_SHARED | MAP_FIXED,
		    fd, offset);
}

static ssize_t by_mapping_with(struct copy *c, bool populated)
{
	void *from = map(c->from, PROT_READ, c->source);
	void *to = map(c->to, PROT_READ | PROT_WRITE, c->target);

	if (from == MAP_FAILED || to == MAP_FAILED)
		return -1;
	if (populated && (madvise(from, LEN, MADV_POPULATE_READ) ||
			  madvise(to, LEN, MADV_POPULATE_WRITE)))
		return -1;
	c->faults = minor_faults();
	memcpy(to, from, LEN);
	c->faults = minor_faults() - c->faults;
	munmap(from, LEN);
	munmap(to, LEN);
	return LEN;
}

static ssize_t by_mapping(struct copy *c)
{
	return by_mapping_with(c, false);
}

/* The same faults, but all before the copying and in two system calls. */
static ssize_t by_populated_mapping(struct copy *c)
{
	return by_mapping_with(c, true);
}

static ssize_t by_sendfile(struct copy *c)
{
	off_t at = c->source;

	if (lseek(c->to, c->target, SEEK_SET) < 0)
		return -1;
	c->calls++;
	return sendfile(c->to, c->from, &at, LEN);
}

/* The pages go into the pipe as they are, and are copied when they leave it. */
static ssize_t by_splice(struct copy *c)
{
	off_t source = c->source, target = c->target;
	ssize_t done = 0, n = 1;
	int pipes[2];

	if (pipe(pipes))
		return -1;
	while (done < (ssize_t)LEN && n > 0) {
		n = splice(c->from, &source, pipes[1], NULL, LEN - done, 0);
		c->calls++;
		if (n <= 0)
			break;
		n = splice(pipes[0], NULL, c->to, &target, n, 0);
		c->calls++;
		done += n;
	}
	close(pipes[0]);
	close(pipes[1]);
	return done;
}

static ssize_t by_copy_file_range(struct copy *c)
{
	loff_t source = c->source, target = c->target;

	c->calls++;
	return copy_file_range(c->from, &source, c->to, &target, LEN, 0);
}

FIXTURE(copying)
{
	struct copy copy;
};

FIXTURE_VARIANT(copying)
{
	enum view from, to;
};

#define FROM_AND_TO(name, from_view, to_view)     \
	FIXTURE_VARIANT_ADD(copying, name)        \
	{                                         \
		.from = from_view, .to = to_view, \
	}

FROM_AND_TO(node_to_node, NODE_VIEW, NODE_VIEW);
FROM_AND_TO(node_to_file, NODE_VIEW, FILE_VIEW);
FROM_AND_TO(file_to_node, FILE_VIEW, NODE_VIEW);
FROM_AND_TO(file_to_file, FILE_VIEW, FILE_VIEW);

FIXTURE_SETUP(copying)
{
	unsigned int seed = 42;
	uint32_t *p;

	/* However many came before, each fault maps as many pages */
	ASSERT_EQ(0, map_ahead("64K"));
	self->copy.from = open_view(variant->from);
	self->copy.to = open_view(variant->to);
	self->copy.source = PLACE(0);
	self->copy.target = PLACE(8);
	ASSERT_GE(self->copy.from, 0) TH_LOG("%s", strerror(errno));
	ASSERT_GE(self->copy.to, 0) TH_LOG("%s", strerror(errno));
	p = map(self->copy.from, PROT_READ | PROT_WRITE, PLACE(0));
	ASSERT_NE(MAP_FAILED, p);
	for (size_t i = 0; i <= LEN / 4; i++)
		p[i] = rand_r(&seed);
	munmap(p, LEN);
	ASSERT_EQ(0, mlockall(MCL_CURRENT));
}

FIXTURE_TEARDOWN(copying)
{
	map_ahead("auto");
	close(self->copy.from);
	close(self->copy.to);
}

/* Whether the target is the source, and the byte behind it was left alone. */
static bool arrived(const struct copy *c)
{
	unsigned char *from = map(c->from, PROT_READ, c->source);
	unsigned char *to = map(c->to, PROT_READ, c->target);
	bool same = from != MAP_FAILED && to != MAP_FAILED &&
		    !memcmp(from, to, LEN) && to[LEN] == 0xee;

	munmap(from, LEN);
	munmap(to, LEN);
	return same;
}

/* What was counted since, in both files; they may have one buffer. */
static struct account both_accounts(const struct copy *c, bool one_buffer,
				    const struct account *from,
				    const struct account *to)
{
	struct account sum = account_of_since(c->to, to), other;

	if (one_buffer)
		return sum;
	other = account_of_since(c->from, from);
	for (size_t i = 0; i < sizeof(sum) / sizeof(int64_t); i++)
		((int64_t *)&sum)[i] += ((int64_t *)&other)[i];
	return sum;
}

TEST_F(copying, every_way)
{
	const bool one_buffer = variant->from == NODE_VIEW &&
				variant->to == NODE_VIEW;
	const bool regular = variant->from == FILE_VIEW &&
			     variant->to == FILE_VIEW;
	const struct {
		const char *name;
		ssize_t (*copy)(struct copy *c);
		/* What is expected of it */
		unsigned int calls, faults;
		bool mapped;
		int error;
	} ways[] = {
		/* 64 KiB are mapped around a read, a page for a write */
		{ "mmap", by_mapping, 0, PAGES + CHUNKS, true, 0 },
		{ "mmap, populated", by_populated_mapping, 0, 0, true, 0 },
		{ "read and write", by_read_and_write, 2 * CHUNKS, 0, false, 0 },
		{ "sendfile", by_sendfile, 1, 0, false, 0 },
		{ "splice", by_splice, 2 * ((LEN + PIPE - 1) / PIPE), 0, false,
		  0 },
		/* Between regular files only */
		{ "copy_file_range", by_copy_file_range, 1, 0, false,
		  regular ? 0 : EINVAL },
	};
	/* By one fault, newer kernels map all of a large folio */
	const bool pages = folios_are_pages(self->copy.to);

	fprintf(TH_LOG_STREAM, "# %-16s %5s %6s %15s\n", "way", "calls",
		"faults", "of these copying");
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct copy *c = &self->copy;
		struct account from, to, d;
		int64_t minor;
		char *old;

		/* Nothing of the way before may be left, or be dirty */
		old = map(c->to, PROT_READ | PROT_WRITE, c->target);
		ASSERT_NE(MAP_FAILED, old);
		memset(old, 0xee, PAGES * PAGE);
		munmap(old, LEN);
		ASSERT_EQ(0, fsync(c->to));
		ASSERT_EQ(0, fsync(c->from));

		c->calls = 0;
		c->faults = 0;
		from = account_of(c->from);
		to = account_of(c->to);
		minor = minor_faults();
		if (ways[i].error) {
			EXPECT_EQ(-1, ways[i].copy(c));
			EXPECT_EQ(ways[i].error, errno);
			continue;
		}
		EXPECT_EQ(LEN, ways[i].copy(c))
		TH_LOG("%s: %s", ways[i].name, strerror(errno));
		minor = minor_faults() - minor;
		d = both_accounts(c, one_buffer, &from, &to);
		fprintf(TH_LOG_STREAM, "# %-16s %5u %6" PRId64 " %15" PRId64 "\n",
			ways[i].name, c->calls, minor, c->faults);

		EXPECT_TRUE(arrived(c)) TH_LOG("%s", ways[i].name);
		EXPECT_EQ(ways[i].calls, c->calls);
		if (!ways[i].faults || pages)
			EXPECT_EQ(ways[i].faults, c->faults);
		if (!ways[i].mapped || pages)
			EXPECT_EQ(ways[i].mapped ? PAGES + CHUNKS : 0, minor);
		/* The module's account of the same */
		if (!ways[i].mapped || pages) {
			EXPECT_EQ(ways[i].mapped ? PAGES : 0, d.write_faults);
			EXPECT_EQ(ways[i].mapped ? PAGES : 0, d.first_writes);
		}
		EXPECT_EQ(ways[i].mapped ? CHUNKS : 0, d.fault_around_hits);
		EXPECT_EQ(0, d.read_faults);
		EXPECT_EQ(in_folios(c->to, PAGES * PAGE), d.dirtied_folios);
	}
}

TEST_HARNESS_MAIN
