// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a power cut does to the size of a buffer with store ram: a new size is durable when it
 * is flushed, or when data that lies there has been written; until then a cut undoes it, and
 * what was cut off is there again.
 */
#include <sys/wait.h>

#include "power_size_fixture.h"

/* How a child ended. */
static int wait_for(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && WIFEXITED(status)
		       ? WEXITSTATUS(status)
		       : -1;
}

TEST_F(size, made_larger_is_undone)
{
	const int64_t room = node_value("ram_used");

	ASSERT_EQ(0, ftruncate(self->fd, 2 * SIZE));
	EXPECT_EQ(SIZE, durable_size_of(self->fd));
	EXPECT_EQ(0, touch(self->map + SIZE));
	put(self->map + SIZE, 1);
	EXPECT_EQ(room + (int64_t)PAGE, node_value("ram_used"));
	ASSERT_EQ(0, power_cut(self->fd));
	EXPECT_EQ(room, node_value("ram_used"));
	EXPECT_EQ(SIZE, size_of(self->fd));
	EXPECT_EQ(-1, changed(self->fd, 0));
	EXPECT_EQ(SIGBUS, touch_signal(self->map + SIZE, 0));
	/* And there is nothing of it when it is made so large again */
	ASSERT_EQ(0, ftruncate(self->fd, 2 * SIZE));
	EXPECT_EQ(0, touch(self->map + SIZE));
}

TEST_F(size, a_byte_more_is_undone)
{
	ASSERT_EQ(1, pwrite(self->fd, "x", 1, SIZE));
	EXPECT_EQ(SIZE + 1, size_of(self->fd));
	EXPECT_EQ(SIZE, durable_size_of(self->fd));
	ASSERT_EQ(0, power_cut(self->fd));
	EXPECT_EQ(SIZE, size_of(self->fd));
	ASSERT_EQ(0, ftruncate(self->fd, SIZE + 1));
	EXPECT_EQ(-1, other_than(self->fd, 0, SIZE, SIZE + 1));
}

/* By each way of flushing. */
TEST_F(size, flushed_is_durable)
{
	for (int how = 0; how < 5; how++) {
		off_t want = 2 * SIZE + how;

		ASSERT_EQ(0, ftruncate(self->fd, how % 2 ? SIZE / 2 : SIZE));
		ASSERT_EQ(0, ftruncate(self->fd, want));
		switch (how) {
		case 0:
			ASSERT_EQ(0, fsync(self->fd));
			break;
		case 1:
			ASSERT_EQ(0, fdatasync(self->fd));
			break;
		case 2:
			/* Any of its pages */
			ASSERT_EQ(0, msync(self->map, PAGE, MS_SYNC));
			break;
		case 3:
			ASSERT_EQ(0, syncfs(self->fd));
			break;
		default:
			sync();
		}
		EXPECT_EQ(want, durable_size_of(self->fd));
		ASSERT_EQ(0, power_cut(self->fd));
		EXPECT_EQ(want, size_of(self->fd)) TH_LOG("way %d", how);
	}
	EXPECT_EQ(-1, other_than(self->fd, 0, SIZE / 2, SIZE));
}

/* What comes while a flush is under way is not durable when that has ended. */
TEST_F(size, larger_during_a_flush)
{
	int64_t id;
	pid_t pid;

	put(self->map, 'b');
	id = ADD_RULE(self->fd, .op = VMADEMO_OP_WRITE_OUT,
		      .delay_us = VMADEMO_DELAY_MAX);
	ASSERT_LT(0, id);
	pid = fork();
	if (pid == 0)
		_exit(fsync(self->fd) ? errno : 0);
	while (hits_of(self->fd, id) < 1)
		usleep(1000);
	ASSERT_EQ(1, pwrite(self->fd, "x", 1, SIZE + PAGE));
	ASSERT_EQ(0, del_rule(self->fd, id));
	EXPECT_EQ(0, wait_for(pid));
	EXPECT_EQ(SIZE, durable_size_of(self->fd));
	ASSERT_EQ(0, power_cut(self->fd));
	EXPECT_EQ(SIZE, size_of(self->fd));
	EXPECT_EQ('b', touch(self->map));
}

/* Written, but not flushed: so far the size reaches, and not further. */
TEST_F(size, written_data_is_reached)
{
	ASSERT_EQ(1, pwrite(self->fd, "x", 1, SIZE + PAGE + 10));
	ASSERT_EQ(0, sync_file_range(self->fd, 0, 0,
				     SYNC_FILE_RANGE_WRITE |
					     SYNC_FILE_RANGE_WAIT_AFTER));
	ASSERT_EQ(0, ftruncate(self->fd, 3 * SIZE));
	EXPECT_EQ(SIZE + PAGE + 11, durable_size_of(self->fd));
	ASSERT_EQ(0, power_cut(self->fd));
	EXPECT_EQ(SIZE + PAGE + 11, size_of(self->fd));
	EXPECT_EQ('x', touch(self->map + SIZE + PAGE + 10));
	EXPECT_EQ(0, touch(self->map + SIZE));
}

TEST_F(size, cut_off_comes_back)
{
	const off_t to[] = { 0,	      1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE + 7,
			     SIZE - 1 };

	for (size_t i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
		ASSERT_EQ(0, ftruncate(self->fd, to[i]));
		EXPECT_EQ(SIZE, durable_size_of(self->fd));
		ASSERT_EQ(0, ftruncate(self->fd, SIZE));
		EXPECT_EQ(-1, other_than(self->fd, 0, to[i], SIZE));
		ASSERT_EQ(0, power_cut(self->fd));
		EXPECT_EQ(SIZE, size_of(self->fd));
		EXPECT_EQ(-1, changed(self->fd, 0))
		TH_LOG("cut off at %ld", (long)to[i]);
	}
	/* Flushed, nothing comes back */
	ASSERT_EQ(0, ftruncate(self->fd, PAGE + 1));
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, power_cut(self->fd));
	EXPECT_EQ(PAGE + 1, size_of(self->fd));
	ASSERT_EQ(0, ftruncate(self->fd, SIZE));
	EXPECT_EQ(-1, other_than(self->fd, 0, PAGE + 1, SIZE));
}

/* Data is written where it was cut off: then the cutting off came before it. */
TEST_F(size, written_where_it_was_cut_off)
{
	ASSERT_EQ(0, ftruncate(self->fd, PAGE));
	ASSERT_EQ(1, pwrite(self->fd, "x", 1, 3 * PAGE));
	ASSERT_EQ(0, sync_file_range(self->fd, 0, 0,
				     SYNC_FILE_RANGE_WRITE |
					     SYNC_FILE_RANGE_WAIT_AFTER));
	ASSERT_EQ(0, power_cut(self->fd));
	EXPECT_EQ(3 * PAGE + 1, size_of(self->fd));
	EXPECT_EQ('a', touch(self->map));
	EXPECT_EQ(-1, other_than(self->fd, 0, PAGE, 3 * PAGE));
	EXPECT_EQ('x', touch(self->map + 3 * PAGE));
}

/* One byte of a page stays, is overwritten and written; then less of the page stays. */
TEST_F(size, cut_off_twice_in_a_page)
{
	char b[2 * PAGE];

	memset(b, 'B', sizeof(b));
	ASSERT_EQ(0, ftruncate(self->fd, 2 * PAGE + 100));
	ASSERT_EQ(PAGE + 50, pwrite(self->fd, b, PAGE + 50, PAGE));
	ASSERT_EQ(0, sync_file_range(self->fd, 0, 0,
				     SYNC_FILE_RANGE_WRITE |
					     SYNC_FILE_RANGE_WAIT_AFTER));
	ASSERT_EQ(0, ftruncate(self->fd, 2 * PAGE + 20));
	ASSERT_EQ(0, ftruncate(self->fd, PAGE + 10));
	EXPECT_EQ(SIZE, durable_size_of(self->fd));
	ASSERT_EQ(0, power_cut(self->fd));
	ASSERT_EQ(SIZE, size_of(self->fd));
	EXPECT_EQ(-1, other_than(self->fd, 'a', 0, PAGE));
	EXPECT_EQ(-1, other_than(self->fd, 'B', PAGE, 2 * PAGE + 50));
	EXPECT_EQ(-1, changed(self->fd, 2 * PAGE + 50));
}

/* What was cut off was a hole in part. */
TEST_F(size, holes_come_back_as_holes)
{
	ASSERT_EQ(0, fallocate(self->fd,
			       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       2 * PAGE, 2 * PAGE));
	ASSERT_EQ(0, ftruncate(self->fd, 2 * PAGE + 5));
	ASSERT_EQ(5, pwrite(self->fd, "holes", 5, 2 * PAGE));
	ASSERT_EQ(0, power_cut(self->fd));
	ASSERT_EQ(SIZE, size_of(self->fd));
	EXPECT_EQ(-1, other_than(self->fd, 0, 2 * PAGE, 4 * PAGE));
	EXPECT_EQ(-1, changed(self->fd, 4 * PAGE));
}

/* The share that happened to have been written is of the size, too; a snapshot says the same. */
TEST_F(size, as_the_seed_says)
{
	int undone = 0, grown = 0;

	for (int seed = 0; seed < 60; seed++) {
		struct vmademo_crash c = { .seed = seed, .written_permille = 500 },
				     same = c;
		int shot;

		ASSERT_EQ(0, ftruncate(self->fd, 2 * PAGE + seed));
		put(self->map + PAGE, 'b');
		if (seed % 2)
			ASSERT_EQ(1,
				  pwrite(self->fd, "x", 1, (seed % 11) * PAGE));
		shot = take_snapshot(self->fd, &same);
		ASSERT_LE(0, shot);
		ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_CRASH, &c));
		ASSERT_EQ(size_of(self->fd), size_of(shot))
		TH_LOG("seed %d", seed);
		undone += size_of(self->fd) == (off_t)SIZE;
		grown += size_of(self->fd) > (off_t)SIZE;
		for (off_t at = 0; at < size_of(self->fd); at += PAGE) {
			char one[PAGE_MAX] = { 0 }, other[PAGE_MAX] = { 0 };

			ASSERT_EQ(pread(self->fd, one, PAGE, at),
				  pread(shot, other, PAGE, at));
			ASSERT_EQ(0, memcmp(one, other, PAGE))
			TH_LOG("seed %d", seed);
		}
		/* What a snapshot has is durable, and can be lost anew */
		EXPECT_EQ(size_of(shot), durable_size_of(shot));
		ASSERT_EQ(0, ftruncate(shot, 0));
		ASSERT_EQ(0, power_cut(shot));
		EXPECT_EQ(size_of(self->fd), size_of(shot));
		close(shot);
		ASSERT_EQ(0, ftruncate(self->fd, SIZE));
		for (size_t page = 0; page < SIZE / PAGE; page++)
			memset(self->map + page * PAGE, 'a' + page, PAGE);
		ASSERT_EQ(0, fsync(self->fd));
	}
	EXPECT_LT(10, undone);
	EXPECT_GT(50, undone);
	EXPECT_LT(0, grown);
}

/* All of it happened to be written: so is the size. */
TEST_F(size, all_written)
{
	struct vmademo_crash c = { .written_permille = 1000 };

	ASSERT_EQ(0, ftruncate(self->fd, PAGE + 1));
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_CRASH, &c));
	EXPECT_EQ(PAGE + 1, size_of(self->fd));
	ASSERT_EQ(0, ftruncate(self->fd, 2 * SIZE));
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_CRASH, &c));
	EXPECT_EQ(2 * SIZE, size_of(self->fd));
	EXPECT_EQ(-1, other_than(self->fd, 0, PAGE + 1, SIZE));
}

/* The power goes, stays off, and comes back. */
TEST_F(size, power_off)
{
	struct vmademo_power off = { .flags = VMADEMO_POWER_OFF }, on = { 0 };

	ASSERT_EQ(0, ftruncate(self->fd, PAGE));
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_POWER, &off));
	EXPECT_EQ(SIZE, size_of(self->fd));
	EXPECT_FAILS(EIO, ftruncate(self->fd, PAGE));
	EXPECT_FAILS(EIO, pwrite(self->fd, "x", 1, 2 * SIZE));
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_POWER, &on));
	EXPECT_EQ(SIZE, size_of(self->fd));
	EXPECT_EQ(-1, changed(self->fd, 0));
}

/* Old pages keep their room, and give it back when a write wants it. */
TEST(no_room_is_missed)
{
	int old, new;

	ASSERT_EQ(0, mount_tree("store=ram,size=16p"));
	old = new_file(AT "old");
	new = new_file(AT "new");
	ASSERT_LE(0, old);
	ASSERT_LE(0, new);
	for (size_t at = 0; at < 16 * PAGE; at += PAGE)
		ASSERT_EQ(1, pwrite(old, "o", 1, at));
	ASSERT_EQ(0, fsync(old));
	EXPECT_EQ(16 * PAGE, room_taken());
	ASSERT_EQ(0, ftruncate(old, 0));
	EXPECT_EQ(16 * PAGE, room_taken());
	EXPECT_EQ(15 * PAGE + 1, durable_size_of(old));
	ASSERT_EQ(1, pwrite(new, "n", 1, 0));
	EXPECT_EQ(PAGE, room_taken());
	EXPECT_EQ(0, durable_size_of(old));
	/* Its own as well, and where a part of a page is to be kept */
	ASSERT_EQ(0, fallocate(new, 0, 0, 16 * PAGE));
	ASSERT_EQ(0, fsync(new));
	ASSERT_EQ(0, ftruncate(new, PAGE));
	EXPECT_EQ(16 * PAGE, room_taken());
	ASSERT_EQ(0, fallocate(new, 0, 0, 8 * PAGE));
	EXPECT_EQ(8 * PAGE, room_taken());
	ASSERT_EQ(0, fallocate(new, 0, 0, 16 * PAGE));
	ASSERT_EQ(0, fsync(new));
	/* No room to put a part of a page aside: what is made smaller is so at once */
	ASSERT_EQ(0, ftruncate(new, 2 * PAGE + 1));
	EXPECT_EQ(2 * PAGE + 1, durable_size_of(new));
	EXPECT_EQ(3 * PAGE, room_taken());
	close(old);
	close(new);
	ASSERT_EQ(0, umount_tree());
}

/* Nor where several processors allocate. */
TEST(no_room_is_missed_by_many)
{
	const off_t len = 3000 * PAGE;
	int fd;

	ASSERT_EQ(0, mount_tree("store=ram,size=4096p,names=durable"));
	fd = new_file(AT "large");
	ASSERT_LE(0, fd);
	for (int i = 0; i < 5; i++) {
		ASSERT_EQ(0, fallocate(fd, 0, 0, len))
		TH_LOG("round %d: %s", i, strerror(errno));
		EXPECT_EQ(len, room_taken());
		ASSERT_EQ(0, fsync(fd));
		ASSERT_EQ(0, ftruncate(fd, 0));
		EXPECT_EQ(len, room_taken());
	}
	close(fd);
	ASSERT_EQ(0, umount_tree());
}

/* The room of old pages comes back with the buffer, too. */
TEST(closed_with_old_pages)
{
	int64_t before = node_value("ram_used");
	int fd = create_with(VMADEMO_STORE_RAM, SIZE, 0);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fallocate(fd, 0, 0, SIZE));
	ASSERT_EQ(0, fsync(fd));
	ASSERT_EQ(0, ftruncate(fd, 1));
	EXPECT_EQ(before + (int64_t)SIZE + (int64_t)PAGE, node_value("ram_used"));
	close(fd);
	EXPECT_EQ(before, node_value("ram_used"));
}

/* With the flag, or with another store, any size is durable at once. */
TEST(durable_at_once)
{
	struct vmademo_create c = {
		.size = SIZE,
		.store = VMADEMO_STORE_RAM,
		.flags = VMADEMO_CREATE_DURABLE_SIZE,
	};
	int node = open(NODE, O_RDWR), fd, lower;

	ASSERT_LE(0, node);
	fd = ioctl(node, VMADEMO_IOC_CREATE, &c);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, 1));
	EXPECT_EQ(1, durable_size_of(fd));
	ASSERT_EQ(0, power_cut(fd));
	EXPECT_EQ(1, size_of(fd));
	close(fd);
	c.flags = 4;
	EXPECT_FAILS(EINVAL, ioctl(node, VMADEMO_IOC_CREATE, &c));
	close(node);
	fd = create_store(STORE_TMPFS, SIZE, &lower);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, 2 * SIZE));
	EXPECT_EQ(2 * SIZE, durable_size_of(fd));
	ASSERT_EQ(0, power_cut(fd));
	EXPECT_EQ(2 * SIZE, size_of(fd));
	end_store(STORE_TMPFS, fd, lower);
}

TEST_HARNESS_MAIN
