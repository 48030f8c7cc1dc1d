// SPDX-License-Identifier: GPL-2.0-only
/*
 * The one who asks for a flush is killed while the file below does not answer, and then the flush
 * fails.  He is told nothing: so all others are, or they would take for durable what is not.
 */
#include "kselftest_harness.h"
#include "../lib/slow_store.h"
#include "stores.h"

FIXTURE(flush)
{
	const char *skip;
	struct slow store;
	int fd, other;
	pid_t pid; /* waits in an fsync */
};

FIXTURE_SETUP(flush)
{
	memset(self, 0, sizeof(*self));
	self->skip = slow_make(&self->store, MUTE_FUSE, MIB);
	if (self->skip)
		return;
	self->fd = create_with(VMADEMO_STORE_FILE, 0, self->store.file);
	ASSERT_GE(self->fd, 0) TH_LOG("create: %s", strerror(errno));
	self->other = reopen(self->fd, O_RDWR);
	ASSERT_GE(self->other, 0);
	ASSERT_EQ(4, pwrite(self->fd, "data", 4, 0));
	*self->store.mute = HOLD_FSYNC;
	self->pid = fork();
	if (self->pid == 0)
		_exit(fsync(reopen(self->fd, O_RDWR)) ? errno : 0);
	while (*self->store.mute == HOLD_FSYNC)
		usleep(1000);
}

FIXTURE_TEARDOWN(flush)
{
	if (self->skip)
		return;
	EXPECT_ACCOUNT_ADDS_UP(self->fd);
	close(self->other);
	close(self->fd);
	slow_end(&self->store);
}

TEST_F(flush, fails)
{
	RUN_IF_READY();

	kill(self->pid, SIGKILL);
	*self->store.mute = FAIL_FSYNC;
	ASSERT_TRUE(ends(self->pid));
	EXPECT_EQ(EIO, told(self->other));
	EXPECT_EQ(0, told(self->other));
	EXPECT_EQ(EIO, told(self->fd));
}

/* That he is killed says nothing of the file. */
TEST_F(flush, succeeds)
{
	RUN_IF_READY();

	kill(self->pid, SIGKILL);
	*self->store.mute = ANSWER;
	ASSERT_TRUE(ends(self->pid));
	EXPECT_EQ(0, told(self->other));
	EXPECT_EQ(0, told(self->fd));
}

TEST_HARNESS_MAIN
