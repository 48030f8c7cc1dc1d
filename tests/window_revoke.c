// SPDX-License-Identifier: GPL-2.0-only
/*
 * Taking physical windows away from everybody: from mappings that are used, made or
 * never touched, and from whoever reads and writes.
 */
#include "window_fixture.h"

static void load_anew(struct __test_metadata *_metadata,
		      FIXTURE_DATA(window) * self)
{
	ASSERT_EQ(0, unload_module());
	ASSERT_TRUE(use_window(self->phys, self->lazy));
	self->fd = open(WINDOW, O_RDWR);
	ASSERT_GE(self->fd, 0);
}

/* Taken away while others touch it, over and over: each ends by SIGBUS. */
TEST_F(window, revocation_under_use)
{
	RUN_IF_READY();

	unsigned char *p = map(_metadata, self->fd, LEN, 0);
	int started[2], status;
	char byte;
	pid_t pid[4];

	ASSERT_EQ(0, pipe(started));
	for (int i = 0; i < 4; i++) {
		pid[i] = fork();
		ASSERT_LE(0, pid[i]);
		if (pid[i])
			continue;
		for (int round = 0;; round++) {
			unsigned char *q = mmap(NULL, LEN, PROT_READ | PROT_WRITE,
						MAP_SHARED, self->fd, 0);

			/* Entries are made and gone all the time */
			for (size_t at = 0; at < LEN; at += PAGE)
				put(p + at, i);
			if (q == MAP_FAILED)
				continue;
			for (size_t at = 0; at < LEN; at += 7 * PAGE)
				put(q + at, i);
			munmap(q, LEN);
			/* There is something to take away now */
			if (round == 0 && write(started[1], "x", 1) != 1)
				_exit(1);
		}
	}
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(1, read(started[0], &byte, 1));
	EXPECT_EQ(0, ioctl(self->fd, VMADEMO_IOC_REVOKE));
	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
		EXPECT_EQ(SIGBUS, WTERMSIG(status));
	}
	munmap(p, LEN);
	close(self->fd);
	self->fd = -1;
	ASSERT_EQ(0, unload_module());
}

/*
 * Mapped by others at the moment when it is taken away: none of their mappings
 * escapes, the last one neither.
 */
TEST_F(window, revocation_while_it_is_mapped)
{
	RUN_IF_READY();

	enum { PROCESSES = 4, ROUNDS = 8, KEPT = 16 };
	volatile char *revoked = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const int types = memory_types(self->base, LEN);
	int started[2], status;
	pid_t pid[PROCESSES];
	char byte;

	ASSERT_NE(MAP_FAILED, revoked);
	ASSERT_EQ(0, pipe(started));
	for (int round = 0; round < ROUNDS; round++) {
		*revoked = 0;
		for (int i = 0; i < PROCESSES; i++) {
			unsigned char *kept[KEPT] = { NULL };

			pid[i] = fork();
			ASSERT_LE(0, pid[i]);
			if (pid[i])
				continue;
			for (int n = 0;; n++) {
				unsigned char *p = mmap(NULL, LEN,
							PROT_READ | PROT_WRITE,
							MAP_SHARED, self->fd, 0);

				if (n == 0 && write(started[1], "x", 1) != 1)
					_exit(1);
				if (p == MAP_FAILED)
					break;
				if (kept[n % KEPT])
					munmap(kept[n % KEPT], LEN);
				kept[n % KEPT] = p;
			}
			/* (EAGAIN where it is seen only when the entries are made) */
			if (errno != ENODEV && errno != EAGAIN)
				_exit(2);
			while (!*revoked)
				usleep(1000);
			for (int n = 0; n < KEPT; n++)
				for (size_t at = 0; kept[n] && at < LEN;
				     at += LEN / 4)
					if (touch_signal(kept[n] + at, 0) !=
					    SIGBUS)
						_exit(3);
			_exit(0);
		}
		for (int i = 0; i < PROCESSES; i++)
			ASSERT_EQ(1, read(started[0], &byte, 1));
		usleep(rand() % 30000);
		EXPECT_EQ(0, ioctl(self->fd, VMADEMO_IOC_REVOKE));
		*revoked = 1;
		for (int i = 0; i < PROCESSES; i++) {
			ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
			EXPECT_EQ(0, status)
			TH_LOG("round %d: %#x", round, status);
		}
		EXPECT_EQ(0, window_value("mappings"));
		close(self->fd);
		load_anew(_metadata, self);
	}
	/* (Its own memory need not be the same) */
	if (variant->kind != OWN)
		EXPECT_EQ(types, memory_types(self->base, LEN));
}

/* What the last call of a child did; shared with the parent. */
struct last_call {
	unsigned char generation;
	ssize_t done;
	int error;
	unsigned char data[]; /* LEN bytes */
};

/* Writes all of the window, or reads it, over and over, until that is cut short. */
static void copy_until_revoked(struct last_call *last, int fd, bool write)
{
	do {
		last->generation++;
		memset(last->data, last->generation, LEN);
		last->done = write ? pwrite(fd, last->data, LEN, 0)
				   : pread(fd, last->data, LEN, 0);
		last->error = errno;
	} while (last->done == LEN);
}

/* Revoked in the middle of a write or read: it says how far it came. */
TEST_F(window, revocation_in_the_middle)
{
	RUN_IF_READY();

	struct last_call *last = mmap(NULL, sizeof(*last) + LEN,
				      PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int cut[2] = { 0 }, status;

	if (variant->kind == OWN)
		return; /* its memory is given back when the module is unloaded */
	ASSERT_NE(MAP_FAILED, last);
	for (int round = 0; round < 100 && (!cut[0] || !cut[1]); round++) {
		const bool write = round % 2;
		unsigned char *p = map(_metadata, self->fd, LEN, 0);
		ssize_t done;
		pid_t pid;

		for (size_t at = 0; at < LEN; at += PAGE / 2)
			put(p + at, 0);
		munmap(p, LEN);
		last->generation = 0;
		last->done = LEN;
		pid = fork();
		ASSERT_LE(0, pid);
		if (pid == 0) {
			copy_until_revoked(last, self->fd, write);
			_exit(0);
		}
		/* The first takes long: it faults its memory in */
		while (__atomic_load_n(&last->generation, __ATOMIC_RELAXED) < 2)
			usleep(100);
		usleep(rand() % 60000);
		ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_REVOKE));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_EQ(0, status);
		if (last->done < 0)
			EXPECT_EQ(ENODEV, last->error);
		done = last->done < 0 ? 0 : last->done;
		cut[write] += done > 0;
		close(self->fd);
		load_anew(_metadata, self);
		p = map(_metadata, self->fd, LEN, 0);
		/* What it said it did, it did; and no more */
		for (size_t at = 0; at < LEN; at += PAGE / 2) {
			unsigned char before = write ? last->generation - 1 : 0;
			unsigned char after = write ? last->generation : 0;

			ASSERT_EQ(at < done ? after : before, touch(p + at))
			TH_LOG("%zu of %zd", at, last->done);
			ASSERT_EQ(at < done && !write ? 0 : last->generation,
				  last->data[at]);
		}
		munmap(p, LEN);
	}
	EXPECT_LT(0, cut[0]);
	EXPECT_LT(0, cut[1]);
	munmap(last, sizeof(*last) + LEN);
}

/* Revoked: whoever has it mapped gets SIGBUS, and nobody gets it any more. */
TEST_F(window, revocation)
{
	RUN_IF_READY();

	unsigned char *p = map(_metadata, self->fd, LEN, 0);
	unsigned char *untouched = map(_metadata, self->fd, PAGE, 0);
	int to_child[2], from_child[2], status;
	int ro = open(WINDOW, O_RDONLY);
	char byte = 0;
	pid_t pid;

	put(p, 1);
	put(p + LEN - 1, 1);
	EXPECT_FAILS(EBADF, ioctl(ro, VMADEMO_IOC_REVOKE));
	EXPECT_EQ(1, touch(p));
	ASSERT_EQ(0, pipe(to_child));
	ASSERT_EQ(0, pipe(from_child));
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		put(p + PAGE, 2);
		if (write(from_child[1], "x", 1) != 1 ||
		    read(to_child[0], &byte, 1) != 1)
			_exit(1);
		_exit(touch_signal(p, 0) != SIGBUS ||
		      touch_signal(p + PAGE, 1) != SIGBUS);
	}
	ASSERT_EQ(1, read(from_child[0], &byte, 1));
	ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_REVOKE));
	EXPECT_EQ(1, window_value("revoked"));
	ASSERT_EQ(1, write(to_child[1], "x", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);

	EXPECT_EQ(SIGBUS, touch_signal(p, 0));
	EXPECT_EQ(SIGBUS, touch_signal(p, 1));
	EXPECT_EQ(SIGBUS, touch_signal(p + LEN - 1, 0));
	EXPECT_EQ(SIGBUS, touch_signal(untouched, 0));
	/* The kernel's own access to it fails too */
	EXPECT_FAILS(EFAULT, write(to_child[1], p, 1));
	EXPECT_EQ(ENODEV, map_error(self->fd, PAGE, 0));
	EXPECT_FAILS(ENODEV, pread(self->fd, &byte, 1, 0));
	EXPECT_FAILS(ENODEV, pread(self->fd, &byte, 1, LEN));
	EXPECT_FAILS(ENODEV, pwrite(self->fd, &byte, 1, 0));
	EXPECT_FAILS(ENODEV, open(WINDOW, O_RDWR));
	munmap(p, LEN);
	munmap(untouched, PAGE);
	EXPECT_EQ(0, window_value("mappings"));
	close(ro);
	close(self->fd);
	self->fd = -1;
	/* Until it is loaded anew */
	ASSERT_EQ(0, unload_module());
}

TEST_HARNESS_MAIN
