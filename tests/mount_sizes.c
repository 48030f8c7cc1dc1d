// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sizes in the log of a tree with names=ordered: a size that was set is durable together with
 * what was done before, by the fsync of anything, and is lost together with it.  Data that is
 * written out makes its own size durable, and so what was done before that was set.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "../lib/tree.h"
#include "rules.h"

KEEP_A_RULE

#define PAGES 8
#define SIZE  (PAGES * PAGE)

FIXTURE(sizes)
{
	int dir, fd, other;
	unsigned char data[PAGES * PAGE_MAX];
};

FIXTURE_SETUP(sizes)
{
	ASSERT_EQ(0, mount_tree("store=ram,size=256p,folio_size=1p"));
	self->dir = open(TREE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	self->fd = new_file(AT "a");
	self->other = new_file(AT "other");
	ASSERT_LE(0, self->other);
	for (size_t i = 0; i < SIZE; i++)
		self->data[i] = 1 + i / PAGE;
	ASSERT_EQ(SIZE, pwrite(self->fd, self->data, SIZE, 0));
	ASSERT_EQ(0, fsync(self->fd));
}

FIXTURE_TEARDOWN(sizes)
{
	EXPECT_ACCOUNT_ADDS_UP(self->fd);
	close(self->other);
	close(self->fd);
	close(self->dir);
	EXPECT_EQ(0, umount_tree()) TH_LOG("umount: %s", strerror(errno));
}

#define SELF FIXTURE_DATA(sizes) * self

/* With this share of what is not durable; how many operations it has undone. */
static int64_t cut(SELF, uint32_t permille, uint64_t seed)
{
	struct vmademo_crash c = { .written_permille = permille, .seed = seed };

	return ioctl(self->dir, VMADEMO_IOC_CRASH, &c) ? -errno
						       : (int64_t)c.lost_names;
}

static struct vmademo_info info_of(int fd)
{
	struct vmademo_info info = { 0 };

	ioctl(fd, VMADEMO_IOC_INFO, &info);
	return info;
}

static int64_t pending(SELF)
{
	return info_of(self->dir).pending_names;
}

static int64_t durable(SELF)
{
	return info_of(self->fd).durable_size;
}

/* Is it as large as that, with what was there, and zeroes from some byte on? */
static bool has(SELF, int64_t size, int64_t data)
{
	unsigned char got[2 * PAGES * PAGE_MAX] = { 0 };

	if (size_of(self->fd) != size ||
	    pread(self->fd, got, sizeof(got), 0) != size)
		return false;
	for (int64_t i = 0; i < size; i++)
		if (got[i] != (i < data ? self->data[i] : 0))
			return false;
	return true;
}

static bool is_there(const char *path)
{
	return !access(path, F_OK);
}

/* ---- which fsync --------------------------------------------------------- */

/* Around the borders of pages and of the size that is durable */
#define SIZES 8

static off_t size_number(size_t i)
{
	const off_t to[SIZES] = { 0,	    1,	      PAGE - 1, PAGE,
				  PAGE + 1, SIZE - 1, SIZE + 1, 2 * SIZE - 1 };

	return to[i];
}

TEST_F(sizes, undone)
{
	for (size_t i = 0; i < SIZES; i++) {
		ASSERT_EQ(0, ftruncate(self->fd, size_number(i)));
		EXPECT_EQ(1, pending(self));
		EXPECT_EQ(SIZE, durable(self));
		EXPECT_EQ(1, cut(self, 0, 0));
		EXPECT_TRUE(has(self, SIZE, SIZE))
		TH_LOG("to %ld", (long)size_number(i));
		EXPECT_EQ(0, pending(self));
	}
}

TEST_F(sizes, durable_by_the_fsync_of_another)
{
	for (size_t i = 0; i < SIZES; i++) {
		const off_t data = size_number(i) < SIZE ? size_number(i) : SIZE;

		ASSERT_EQ(0, ftruncate(self->fd, size_number(i)));
		ASSERT_EQ(0, fsync(i % 2 ? self->other : self->dir));
		EXPECT_EQ(0, pending(self));
		EXPECT_EQ(size_number(i), durable(self));
		EXPECT_EQ(0, cut(self, 0, 0));
		EXPECT_TRUE(has(self, size_number(i), data))
		TH_LOG("to %ld", (long)size_number(i));
		ASSERT_EQ(0, ftruncate(self->fd, 0));
		ASSERT_EQ(SIZE, pwrite(self->fd, self->data, SIZE, 0));
		ASSERT_EQ(0, fsync(self->fd));
	}
}

/* What was cut off is not held any longer. */
TEST_F(sizes, gives_room_back)
{
	const int64_t taken = room_taken();

	ASSERT_EQ(0, ftruncate(self->fd, PAGE));
	EXPECT_EQ(taken, room_taken());
	ASSERT_EQ(0, fsync(self->other));
	EXPECT_EQ(taken - SIZE + PAGE, room_taken());
}

/* By a write alone it is not set: so only its own fsync, or its data, makes it durable. */
TEST_F(sizes, that_a_write_has_reached)
{
	ASSERT_EQ(PAGE, pwrite(self->fd, self->data, PAGE, SIZE));
	EXPECT_EQ(0, pending(self));
	ASSERT_EQ(0, fsync(self->other));
	EXPECT_EQ(SIZE, durable(self));
	EXPECT_EQ(0, cut(self, 0, 0));
	EXPECT_TRUE(has(self, SIZE, SIZE));
}

TEST_F(sizes, that_was_set_and_then_reached)
{
	ASSERT_EQ(0, ftruncate(self->fd, PAGE));
	ASSERT_EQ(PAGE, pwrite(self->fd, self->data + PAGE, PAGE, PAGE));
	ASSERT_EQ(0, fsync(self->other));
	EXPECT_EQ(PAGE, durable(self));
	EXPECT_EQ(0, cut(self, 0, 0));
	EXPECT_TRUE(has(self, PAGE, PAGE));
}

/* ---- in order ------------------------------------------------------------ */

static void make(struct __test_metadata *_metadata, const char *path)
{
	int fd = new_file(path);

	ASSERT_LE(0, fd);
	close(fd);
}

TEST_F(sizes, in_order_with_names)
{
	bool seen[4] = { 0 };

	for (uint64_t seed = 0; seed < 60; seed++) {
		bool before, small, after;
		int64_t lost;

		make(_metadata, AT "before");
		ASSERT_EQ(0, ftruncate(self->fd, seed % 2 ? 100 : SIZE + 100));
		make(_metadata, AT "after");
		EXPECT_EQ(3, pending(self));
		lost = cut(self, 500, seed);
		before = is_there(AT "before");
		small = size_of(self->fd) != SIZE;
		after = is_there(AT "after");
		ASSERT_EQ(3 - before - small - after, lost);
		EXPECT_LE(after, small);
		EXPECT_LE(small, before);
		seen[3 - lost] = true;
		unlink(AT "before");
		unlink(AT "after");
		ASSERT_EQ(0, ftruncate(self->fd, 0));
		ASSERT_EQ(SIZE, pwrite(self->fd, self->data, SIZE, 0));
		ASSERT_EQ(0, fsync(self->fd));
	}
	for (int i = 0; i < 4; i++) {
		EXPECT_TRUE(seen[i]) TH_LOG("never %d of three", i);
	}
}

/* What has been written lies where there would be nothing. */
TEST_F(sizes, written_data_takes_what_was_before_with_it)
{
	make(_metadata, AT "before");
	ASSERT_EQ(0, ftruncate(self->fd, 0));
	make(_metadata, AT "after");
	ASSERT_EQ(100, pwrite(self->fd, self->data, 100, 0));
	ASSERT_EQ(0, sync_file_range(self->fd, 0, 0,
				     SYNC_FILE_RANGE_WRITE |
					     SYNC_FILE_RANGE_WAIT_AFTER));
	EXPECT_EQ(1, pending(self));
	EXPECT_EQ(1, cut(self, 0, 0));
	EXPECT_TRUE(is_there(AT "before"));
	EXPECT_FALSE(is_there(AT "after"));
	EXPECT_TRUE(has(self, 100, 100));
}

/* What a cut happens to write before is no use where the size is undone. */
TEST_F(sizes, what_is_written_by_the_cut_does_not_decide)
{
	for (uint64_t seed = 0; seed < 40; seed++) {
		bool before, set;

		make(_metadata, AT "before");
		ASSERT_EQ(0, ftruncate(self->fd, 10));
		ASSERT_EQ(SIZE + PAGE,
			  pwrite(self->fd, self->data, SIZE, 10) +
				  pwrite(self->fd, self->data, PAGE, SIZE + 10));
		ASSERT_LE(0, cut(self, 500, seed));
		before = is_there(AT "before");
		set = !has(self, SIZE, SIZE);
		EXPECT_LE(set, before) TH_LOG("seed %d", (int)seed);
		unlink(AT "before");
		ASSERT_EQ(0, ftruncate(self->fd, 0));
		ASSERT_EQ(SIZE, pwrite(self->fd, self->data, SIZE, 0));
		ASSERT_EQ(0, fsync(self->fd));
	}
}

/* And nothing of it shows when the file grows again. */
TEST_F(sizes, nothing_is_left_beyond_the_end)
{
	int undone = 0;

	for (uint64_t seed = 0; seed < 40; seed++) {
		ASSERT_EQ(0, ftruncate(self->fd, PAGE + 10));
		ASSERT_EQ(0, fsync(self->fd));
		ASSERT_EQ(0, ftruncate(self->fd, 2 * SIZE));
		ASSERT_EQ(SIZE, pwrite(self->fd, self->data, SIZE, PAGE + 20));
		if (!cut(self, 900, seed))
			continue;
		undone++;
		ASSERT_EQ(PAGE + 10, size_of(self->fd));
		ASSERT_EQ(0, ftruncate(self->fd, 2 * SIZE));
		EXPECT_TRUE(has(self, 2 * SIZE, PAGE + 10))
		TH_LOG("seed %d", (int)seed);
		ASSERT_EQ(1, cut(self, 0, 0));
	}
	EXPECT_LT(10, undone);
}

/* One after another on the same file they are one, with nothing in between. */
TEST_F(sizes, two_of_one_file)
{
	ASSERT_EQ(0, ftruncate(self->fd, 100));
	ASSERT_EQ(0, ftruncate(self->fd, PAGE));
	EXPECT_EQ(1, pending(self));
	EXPECT_EQ(1, cut(self, 0, 0));
	EXPECT_TRUE(has(self, SIZE, SIZE));

	ASSERT_EQ(0, ftruncate(self->fd, 100));
	make(_metadata, AT "between");
	ASSERT_EQ(0, ftruncate(self->fd, PAGE));
	EXPECT_EQ(2, pending(self));
	EXPECT_EQ(100, durable(self));
	EXPECT_EQ(2, cut(self, 0, 0));
	EXPECT_FALSE(is_there(AT "between"));
	EXPECT_TRUE(has(self, 100, 100));
}

TEST_F(sizes, with_all_that_happened_to_be_written)
{
	ASSERT_EQ(0, ftruncate(self->fd, 100));
	EXPECT_EQ(0, cut(self, 1000, 0));
	EXPECT_TRUE(has(self, 100, 100));
}

/* ---- with what else there is --------------------------------------------- */

static int allocate(int fd, off_t size)
{
	return fallocate(fd, 0, 0, size);
}

static int resize(int fd, off_t size)
{
	struct vmademo_resize r = { .size = size };

	return ioctl(fd, VMADEMO_IOC_RESIZE, &r);
}

static int by_path(int fd, off_t size)
{
	(void)fd;
	return truncate(AT "a", size);
}

static int as_it_is_opened(int fd, off_t size)
{
	int again = open(AT "a", O_WRONLY | O_TRUNC | O_CLOEXEC);

	close(again);
	return size > 0 ? ftruncate(fd, size) : 0;
}

TEST_F(sizes, by_whichever_call)
{
	static int (*const calls[])(int fd, off_t size) = { allocate, resize,
							    by_path,
							    as_it_is_opened };

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		ASSERT_EQ(0, calls[i](self->fd, SIZE + PAGE))
		TH_LOG("call %zu", i);
		EXPECT_EQ(1, pending(self));
		EXPECT_EQ(1, cut(self, 0, 0));
		EXPECT_TRUE(has(self, SIZE, SIZE)) TH_LOG("call %zu", i);
	}
}

/* The size that it has, or one that cannot be: nothing is done. */
TEST_F(sizes, nothing_to_do)
{
	ASSERT_EQ(0, ftruncate(self->fd, SIZE));
	EXPECT_FAILS(EFBIG, ftruncate(self->fd, INT64_MAX));
	EXPECT_EQ(0, pending(self));
}

TEST_F(sizes, without_power)
{
	struct vmademo_power off = { .flags = VMADEMO_POWER_OFF }, on = { 0 };

	ASSERT_EQ(0, ftruncate(self->fd, 100));
	ASSERT_EQ(0, ioctl(self->dir, VMADEMO_IOC_POWER, &off));
	EXPECT_EQ(1, off.lost_names);
	EXPECT_FAILS(EIO, ftruncate(self->fd, 200));
	EXPECT_EQ(0, pending(self));
	ASSERT_EQ(0, ioctl(self->dir, VMADEMO_IOC_POWER, &on));
	EXPECT_TRUE(has(self, SIZE, SIZE));
	ASSERT_EQ(0, ftruncate(self->fd, 300));
	EXPECT_EQ(0, fsync(self->dir));
	EXPECT_EQ(0, cut(self, 0, 0));
	EXPECT_TRUE(has(self, 300, 300));
}

/* A snapshot knows what the fsync of another file has made durable. */
TEST_F(sizes, in_a_snapshot)
{
	int s;

	ASSERT_EQ(0, ftruncate(self->fd, 100));
	s = take_snapshot(self->fd, NULL);
	EXPECT_EQ(SIZE, size_of(s));
	close(s);
	ASSERT_EQ(0, fsync(self->other));
	s = take_snapshot(self->fd, NULL);
	EXPECT_EQ(100, size_of(s));
	close(s);
}

/* Without a name, and closed: until it is durable, it is held. */
TEST_F(sizes, of_a_file_that_is_gone)
{
	const int64_t inodes = inodes_taken();
	int fd = open(TREE, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, SIZE));
	close(fd);
	EXPECT_EQ(inodes + 1, inodes_taken());
	ASSERT_EQ(0, fsync(self->other));
	EXPECT_EQ(inodes, inodes_taken());
	fd = open(TREE, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	ASSERT_EQ(0, ftruncate(fd, SIZE));
	close(fd);
	EXPECT_EQ(1, cut(self, 0, 0));
	EXPECT_EQ(inodes, inodes_taken());
}

/* The room of what was cut off is given up: then that is durable, and what was before. */
TEST_F(sizes, no_room)
{
	int fd = new_file(AT "fill");
	unsigned char page[PAGE];
	struct statfs s;

	ASSERT_EQ(0, fsync(self->dir));
	make(_metadata, AT "before");
	ASSERT_EQ(0, ftruncate(self->fd, 100));
	make(_metadata, AT "after");
	memset(page, 'f', sizeof(page));
	ASSERT_EQ(0, fstatfs(self->dir, &s));
	for (uint64_t i = 0; i <= s.f_bfree; i++) {
		ASSERT_EQ(PAGE, pwrite(fd, page, PAGE, i * PAGE))
		TH_LOG("page %d", (int)i);
	}
	EXPECT_EQ(100, durable(self));
	cut(self, 0, 0);
	EXPECT_TRUE(is_there(AT "before"));
	EXPECT_TRUE(has(self, 100, 100));
	close(fd);
}

/* There is none for a copy of the page that is cut: so nothing is left to undo. */
TEST_F(sizes, no_room_to_put_it_aside)
{
	int fd = new_file(AT "fill");
	struct statfs s;

	ASSERT_EQ(0, fstatfs(self->dir, &s));
	ASSERT_EQ(0, fallocate(fd, 0, 0, s.f_bfree * PAGE));
	ASSERT_EQ(0, fsync(self->dir));
	make(_metadata, AT "before");
	EXPECT_EQ(1, pending(self));
	ASSERT_EQ(0, ftruncate(self->fd, 100));
	EXPECT_EQ(100, durable(self));
	EXPECT_EQ(0, pending(self));
	EXPECT_EQ(0, cut(self, 0, 0));
	EXPECT_TRUE(is_there(AT "before"));
	EXPECT_TRUE(has(self, 100, 100));
	close(fd);
}

static mode_t mode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : st.st_mode & 07777;
}

/* Returns 0, or the errno. */
static int cut_off_by_another(int fd, int64_t size)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(setresuid(65534, 65534, 65534) || ftruncate(fd, size) ? errno
									    : 0);
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

/* Others take the set-user-ID bit away with it: both are undone. */
TEST_F(sizes, with_the_mode)
{
	ASSERT_EQ(0, fchmod(self->fd, 04755));
	ASSERT_EQ(0, sync_tree());
	/* One that cannot be leaves it there */
	EXPECT_EQ(EFBIG, cut_off_by_another(self->fd, INT64_MAX));
	EXPECT_EQ(04755, mode_of(self->fd));
	EXPECT_EQ(0, pending(self));
	ASSERT_EQ(0, cut_off_by_another(self->fd, 100));
	EXPECT_EQ(0755, mode_of(self->fd));
	EXPECT_EQ(2, pending(self));
	EXPECT_EQ(2, cut(self, 0, 0));
	EXPECT_EQ(04755, mode_of(self->fd));
	EXPECT_TRUE(has(self, SIZE, SIZE));
}

/* ---- the others ---------------------------------------------------------- */

static const char *const others[] = { "store=ram,names=posix",
				      "store=ram,names=durable" };

/* By an fsync of its own. */
TEST(with_other_names)
{
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		int dir, fd, other;

		ASSERT_EQ(0, mount_tree(others[i]));
		dir = open(TREE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		fd = new_file(AT "a");
		other = new_file(AT "other");
		ASSERT_EQ(0, fsync(fd) + fsync(dir));
		ASSERT_EQ(0, ftruncate(fd, SIZE));
		EXPECT_EQ(0, info_of(dir).pending_names);
		EXPECT_EQ(0, fsync(other));
		EXPECT_EQ(0, info_of(fd).durable_size);
		EXPECT_EQ(0, fsync(fd));
		EXPECT_EQ(SIZE, info_of(fd).durable_size);
		close(other);
		close(fd);
		close(dir);
		EXPECT_EQ(0, umount_tree());
	}
}

/* ---- at once ------------------------------------------------------------- */

#define ROUNDS 40

struct racer {
	pthread_t thread;
	int fd, other;
	const atomic_bool *stop;
	uint32_t made;
};

/* Sets the size of one file to n pages, then that of another: after a cut it has no more. */
static void *set_one_after_another(void *arg)
{
	struct racer *r = arg;

	for (r->made = 1; !atomic_load(r->stop); r->made++) {
		if (ftruncate(r->fd, r->made * PAGE) ||
		    ftruncate(r->other, r->made * PAGE))
			return r;
		if (r->made % 50 == 0 && fsync(r->other) && errno != EIO)
			return r;
	}
	return NULL;
}

/* While the power is cut, by another processor. */
TEST_F(sizes, in_order_while_they_are_set)
{
	for (int round = 0; round < ROUNDS; round++) {
		atomic_bool stop = false;
		struct racer r = { .fd = self->fd,
				   .other = self->other,
				   .stop = &stop };
		struct vmademo_power off = { .flags = VMADEMO_POWER_OFF,
					     .seed = round,
					     .written_permille = 500 };
		struct vmademo_power on = { 0 };

		ASSERT_EQ(0, ftruncate(self->fd, 0) + ftruncate(self->other, 0));
		ASSERT_EQ(0, sync_tree());
		ASSERT_EQ(0, pthread_create(&r.thread, NULL,
					    set_one_after_another, &r));
		usleep(1000 + 500 * (round % 8));
		ASSERT_EQ(0, ioctl(self->dir, VMADEMO_IOC_POWER, &off));
		atomic_store(&stop, true);
		pthread_join(r.thread, NULL);
		EXPECT_LE(size_of(self->other), size_of(self->fd));
		EXPECT_LE(size_of(self->fd),
			  size_of(self->other) + (int64_t)PAGE);
		ASSERT_EQ(0, ioctl(self->dir, VMADEMO_IOC_POWER, &on));
		EXPECT_LE(size_of(self->other), size_of(self->fd));
	}
}

TEST_HARNESS_MAIN
