// SPDX-License-Identifier: GPL-2.0-only
/*
 * Processes that talk through a mapping, by the ring of examples/ring.h.  A wake-up that gets
 * lost leaves both asleep, and the test's time limit ends it.
 */
#include <sys/prctl.h>

#include "kselftest_harness.h"
#include "vmademo_test.h"
#include "../examples/ring.h"

#define PAGES 16
#define LEN   (PAGES * PAGE)

#define MAX_SLOTS 4096

_Static_assert(sizeof(struct ring) + MAX_SLOTS * sizeof(uint64_t) <= PAGES * 4096,
	       "the ring must fit");

/* A million messages, or as many as VMADEMO_STEPS says for slow machines. */
static int many(void)
{
	const char *steps = getenv("VMADEMO_STEPS");

	return steps && *steps ? atoi(steps) : 1000000;
}

/* The message with this number; no two are alike. */
static uint64_t message(uint64_t number)
{
	return number * 0x9e3779b97f4a7c15;
}

static void *map(int fd, off_t offset)
{
	return mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
}

static void *map_anew(const char *path)
{
	return map(open(path, O_RDWR), PLACE(0));
}

static void send_all(struct ring *r, uint32_t slots, unsigned int messages)
{
	unsigned int slept = 0;

	if (r == MAP_FAILED)
		_exit(1);
	for (unsigned int i = 0; i < messages; i++)
		slept += ring_send(r, slots, message(i));
	/* With so few slots, who never slept did not wait for the other */
	_exit(slots <= 4 && slept == 0 ? 2 : 0);
}

FIXTURE(talking)
{
	int fd;
	char path[64]; /* by which another process opens the same file */
};

FIXTURE_VIEWS(talking);

FIXTURE_SETUP(talking)
{
	self->fd = open_view(variant->view);
	ASSERT_GE(self->fd, 0) TH_LOG("%s", strerror(errno));
	snprintf(self->path, sizeof(self->path), "/proc/self/fd/%d", self->fd);
	if (variant->view == NODE_VIEW)
		strcpy(self->path, NODE);
	ASSERT_EQ(0, fsync(self->fd));
}

FIXTURE_TEARDOWN(talking)
{
	close(self->fd);
}

/* Starts a process that ends with this one, whatever happens to the test. */
static pid_t child(void)
{
	pid_t pid = fork();

	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

/* Receives in this process what the process pid sends. */
static void receive_all(struct __test_metadata *_metadata, struct ring *r,
			pid_t pid, uint32_t slots, unsigned int messages)
{
	unsigned int slept = 0;
	int status;

	ASSERT_LE(0, pid);
	for (unsigned int i = 0; i < messages; i++) {
		ASSERT_EQ(message(i), ring_receive(r, slots, &slept));
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(r->sent, r->received);
	if (slots <= 4)
		EXPECT_LT(0, slept);
}

/*
 * How many folios of a ring so many messages write to, the first of which has this
 * number.  The counters are in the first page.
 */
static size_t folios_written(int fd, uint32_t first, unsigned int messages)
{
	bool written[PAGES] = { true };
	size_t size = folio_size_of(fd), count = 0;

	for (uint32_t i = 0; i < messages && i < MAX_SLOTS; i++)
		written[(offsetof(struct ring, slot) +
			 (first + i) % MAX_SLOTS * sizeof(uint64_t)) /
			size] = true;
	for (size_t page = 0; page < LEN / PAGE; page++)
		count += written[page];
	return count;
}

/* The child has the mapping by fork. */
TEST_F(talking, parent_and_child)
{
	struct ring *r = map(self->fd, PLACE(0));
	struct account before, d;
	uint32_t first = -many() / 2;
	pid_t pid;

	ASSERT_NE(MAP_FAILED, r);
	/* The counters wrap around on the way */
	r->sent = first;
	r->received = first;
	before = account_of(self->fd);
	pid = child();
	if (pid == 0)
		send_all(r, MAX_SLOTS, many());
	receive_all(_metadata, r, pid, MAX_SLOTS, many());
	/* To the file this was one write to each folio; the first is dirty */
	d = account_of_since(self->fd, &before);
	EXPECT_EQ(folios_written(self->fd, first, many()) - 1, d.dirtied_folios);
	munmap(r, LEN);
}

/* Two who share nothing but the name of a file. */
TEST_F(talking, strangers)
{
	struct ring *r = map(self->fd, PLACE(0));
	uint32_t first;
	pid_t pid;

	ASSERT_NE(MAP_FAILED, r);
	first = r->sent;
	munmap(r, LEN);
	pid = child();
	if (pid == 0)
		send_all(map_anew(self->path), MAX_SLOTS, many());
	r = map(self->fd, PLACE(0));
	ASSERT_NE(MAP_FAILED, r);
	receive_all(_metadata, r, pid, MAX_SLOTS, many());
	EXPECT_EQ(folios_written(self->fd, first, many()),
		  fd_value(self->fd, "dirty_folios"));
	munmap(r, LEN);
}

/* So few slots that nearly every message has somebody to be woken. */
TEST_F(talking, sleeping_at_every_message)
{
	struct ring *r = map(self->fd, PLACE(0));

	ASSERT_NE(MAP_FAILED, r);
	for (uint32_t slots = 1; slots <= 4; slots *= 2) {
		pid_t pid;

		r->sent = 0;
		r->received = 0;
		pid = child();
		if (pid == 0)
			send_all(map_anew(self->path), slots, 10000);
		receive_all(_metadata, r, pid, slots, 10000);
	}
	munmap(r, LEN);
}

/* Whether a process sleeps in the system call futex. */
static bool sleeps_in_futex(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	return read_number(path) == SYS_futex;
}

/*
 * A shared futex is a place in the file, whatever the addresses that it is mapped
 * to.  A private one is an address of one process: nobody else hears it.
 */
TEST_F(talking, shared_futexes_are_places_in_the_file)
{
	uint32_t *word = map(self->fd, PLACE(1));
	int status;
	pid_t pid;

	ASSERT_NE(MAP_FAILED, word);
	*word = 1;
	pid = child();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		char *mine = map(open(self->path, O_RDWR), PLACE(1) - 3 * PAGE);

		_exit(ring_futex((uint32_t *)(mine + 3 * PAGE), FUTEX_WAIT, 1) !=
		      0);
	}
	while (!sleeps_in_futex(pid)) {
		ASSERT_EQ(0, waitpid(pid, &status, WNOHANG));
	}
	EXPECT_EQ(0, ring_futex(word, FUTEX_WAKE_PRIVATE, 1));
	/* The next page is another place */
	EXPECT_EQ(0, ring_futex(word + PAGE / sizeof(*word), FUTEX_WAKE, 1));
	EXPECT_EQ(1, ring_futex(word, FUTEX_WAKE, 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	munmap(word, LEN);
}

/* One maps the node, the other a regular file that shows the same buffer. */
TEST(through_both_views_of_one_buffer)
{
	int node = open(NODE, O_RDWR);
	struct ring *r;
	pid_t pid;

	ASSERT_GE(node, 0);
	r = map(node, PLACE(1));
	ASSERT_NE(MAP_FAILED, r);
	pid = child();
	if (pid == 0)
		send_all(map(open_file_view(node), PLACE(1)), 4, 10000);
	receive_all(_metadata, r, pid, 4, 10000);
	munmap(r, LEN);
	close(node);
}

TEST_HARNESS_MAIN
