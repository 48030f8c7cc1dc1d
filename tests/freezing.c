// SPDX-License-Identifier: GPL-2.0-only
/*
 * The backing file's file system is frozen while the buffer's shape changes, which takes
 * several steps there.  It is frozen before or after all of them: in between, the buffer
 * is locked, and faults would wait for whoever thaws it.
 */
#include <linux/falloc.h>

#include "kselftest_harness.h"
#include "../lib/slow_store.h"
#include "stores.h"

#define SIZE	(1024 * MIB)
#define FREEZES 40

FIXTURE(freezing)
{
	const char *skip;
	struct slow store;
	int fd;
	unsigned char *map;
	char hung[24];
};

FIXTURE_SETUP(freezing)
{
	memset(self, 0, sizeof(*self));
	self->skip = slow_make(&self->store, FROZEN_EXT4, SIZE);
	if (self->skip)
		return;
	self->fd = create_with(VMADEMO_STORE_FILE, 0, self->store.file);
	ASSERT_GE(self->fd, 0) TH_LOG("create: %s", strerror(errno));
	self->map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
	put(self->map, 7);
	ASSERT_EQ(0, fsync(self->fd));
	snprintf(self->hung, sizeof(self->hung), "%" PRId64,
		 read_number(hung_task));
	write_text(hung_task, "0");
}

FIXTURE_TEARDOWN(freezing)
{
	if (self->skip)
		return;
	slow_go(&self->store);
	write_text(hung_task, self->hung);
	EXPECT_ACCOUNT_ADDS_UP(self->fd);
	munmap(self->map, PAGE);
	close(self->fd);
	slow_end(&self->store);
}

/* Each call is one step for each 64 MiB. */
static void change_for_ever(int fd)
{
	while (!fallocate(fd, FALLOC_FL_ZERO_RANGE, PAGE, SIZE - PAGE))
		;
	_exit(1);
}

TEST_F(freezing, faults_go_on)
{
	RUN_IF_READY();

	pid_t changer = fork();

	if (changer == 0)
		change_for_ever(self->fd);
	for (int i = 0; i < FREEZES; i++) {
		pid_t reader;
		bool goes_on;

		/* At another moment each time */
		usleep(1000 + i * 137 % 10000);
		ASSERT_EQ(0, slow_stop(&self->store));
		madvise(self->map, PAGE, MADV_DONTNEED);
		posix_fadvise(self->fd, 0, PAGE, POSIX_FADV_DONTNEED);
		reader = fork();
		if (reader == 0) {
			/* Then it does not end */
			while (touch(self->map) != 7)
				pause();
			_exit(0);
		}
		goes_on = ends(reader);
		kill(reader, SIGKILL);
		ASSERT_EQ(0, ioctl(self->store.mount, FITHAW, 0));
		ASSERT_TRUE(goes_on) TH_LOG("freeze %d", i);
	}
	/* It has got that far without an error */
	EXPECT_EQ(0, waitpid(changer, NULL, WNOHANG));
	kill(changer, SIGKILL);
	EXPECT_TRUE(ends(changer));
}

/* To make a buffer that is larger than its file changes the file. */
TEST_F(freezing, none_is_made)
{
	RUN_IF_READY();

	int other = openat(self->store.mount, "other",
			   O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int fd, status;
	pid_t maker;

	ASSERT_GE(other, 0);
	ASSERT_EQ(0, slow_stop(&self->store));
	maker = fork();
	if (maker == 0)
		_exit(create_with(VMADEMO_STORE_FILE, MIB, other) < 0);
	usleep(300000);
	EXPECT_EQ(0, waitpid(maker, &status, WNOHANG));
	kill(maker, SIGKILL);
	EXPECT_TRUE(ends(maker));
	EXPECT_EQ(0, lseek(other, 0, SEEK_END));
	slow_go(&self->store);
	fd = create_with(VMADEMO_STORE_FILE, MIB, other);
	EXPECT_GE(fd, 0);
	EXPECT_EQ(MIB, lseek(other, 0, SEEK_END));
	close(fd);
	close(other);
}

TEST_HARNESS_MAIN
