// SPDX-License-Identifier: GPL-2.0-only
/*
 * Everything at once on one buffer: pages are touched, written, synced; rules come and go;
 * it is taken away and given back, its power is cut and switched, it is resized and punched,
 * snapshots are taken, processes fork, and somebody tries to unload the module.  No byte turns
 * up where it was not written, the accounts add up, and nobody is left waiting.
 *
 * VMADEMO_STEPS: a hundred for each round of each of them.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <linux/falloc.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"
#include "rules.h"

KEEP_A_RULE

#define NO_STORE ((enum store_kind) - 1)

#define PAGES 64UL
#define SIZE  (PAGES * PAGE)
#define WORDS (PAGE / sizeof(uint64_t))

struct shared {
	enum store_kind kind;
	int fd, lower, patched;
	unsigned char *map, *private;
	int rounds;
	atomic_int busy;
	atomic_long foreign, refused, unexpected;
};

/* What is written to a page names it. */
static uint64_t word_of(size_t page, unsigned int n)
{
	return (uint64_t)(page + 1) << 32 | n;
}

/* Each word is of this page, or zero. */
static void look(struct shared *s, const void *bytes, size_t page, size_t len)
{
	const uint64_t *word = bytes;

	for (size_t i = 0; i < len / sizeof(*word); i++)
		if (word[i] && word[i] >> 32 != page + 1)
			atomic_fetch_add(&s->foreign, 1);
}

static void touch_pages(struct shared *s, unsigned int *seed)
{
	uint64_t words[WORDS];

	for (int i = 0; i < 50; i++) {
		size_t page = rand_r(seed) % PAGES, at = page * PAGE;
		ssize_t n;

		switch (rand_r(seed) % 8) {
		case 0:
		case 1:
			for (size_t k = 0; k < WORDS; k++)
				words[k] = word_of(page, i);
			pwrite(s->fd, words, rand_r(seed) % WORDS * 8, at);
			break;
		case 2:
			n = pread(s->fd, words, PAGE, at);
			if (n > 0)
				look(s, words, page, n);
			break;
		case 3:
			msync(s->map + at, PAGE, MS_SYNC);
			break;
		case 4:
			madvise(s->private + at, PAGE, MADV_POPULATE_WRITE);
			madvise(s->private + at, PAGE, MADV_DONTNEED);
			break;
		case 5:
			madvise(s->map + at, PAGE,
				i % 2 ? MADV_POPULATE_READ : MADV_DONTNEED);
			break;
		default:
			/* By the kernel's hand: no signal, but EFAULT */
			madvise(s->map + at, PAGE, MADV_POPULATE_WRITE);
		}
	}
}

/* Writes by the mapping, in a process that may die of it. */
static void fork_and_write(struct shared *s, unsigned int *seed)
{
	pid_t pid = fork();

	if (pid == 0) {
		unsigned int mine = *seed;

		for (int i = 0; i < 20; i++) {
			size_t page = rand_r(&mine) % PAGES;

			*(volatile uint64_t *)(s->map + page * PAGE +
					       rand_r(&mine) % WORDS * 8) =
				word_of(page, i);
		}
		_exit(0);
	}
	rand_r(seed);
	if (pid > 0 && waitpid(pid, NULL, 0) != pid)
		atomic_fetch_add(&s->unexpected, 1);
}

static void make_rules(struct shared *s, unsigned int *seed)
{
	static const uint32_t faults[] = { VMADEMO_STATUS_SIGBUS,
					   VMADEMO_STATUS_HWPOISON };
	struct vmademo_rule rule = { .op = rand_r(seed) %
					   (VMADEMO_OP_TRUNCATE + 1),
				     .times = rand_r(seed) % 4 + 1,
				     .skip = rand_r(seed) % 4,
				     .seed = rand_r(seed) };
	struct vmademo_rule next = { .id = 1 };

	if (rule.op != VMADEMO_OP_FLUSH) {
		rule.start = rand_r(seed) % PAGES;
		rule.nr = rand_r(seed) % 8;
	}
	switch (rand_r(seed) % 4) {
	case 0:
		rule.delay_us = rand_r(seed) % 2000 + 1;
		break;
	case 1:
		if (s->kind != NO_STORE)
			rule.flags = VMADEMO_RULE_CRASH |
				     (rand_r(seed) % 2 ? VMADEMO_RULE_OFF : 0);
		break;
	default:
		rule.status = rule.op <= VMADEMO_OP_COW_FAULT
				      ? faults[rand_r(seed) % 2]
				      : EIO;
	}
	ioctl(s->fd, VMADEMO_IOC_RULE_ADD, &rule);
	while (count_rules(s->fd) > 6 || rand_r(seed) % 3 == 0) {
		next = (struct vmademo_rule){ .id = rand_r(seed) % 2 };
		if (ioctl(s->fd, VMADEMO_IOC_RULE_LIST, &next))
			break;
		del_rule(s->fd, next.id);
	}
}

static void take_away(struct shared *s, unsigned int *seed)
{
	ioctl(s->fd, VMADEMO_IOC_REVOKE);
	usleep(rand_r(seed) % 200);
	if (ioctl(s->fd, VMADEMO_IOC_RESTORE))
		atomic_fetch_add(&s->unexpected, 1);
	usleep(rand_r(seed) % 2000);
}

static void cut(struct shared *s, unsigned int *seed)
{
	struct vmademo_crash c = { .seed = rand_r(seed),
				   .written_permille = rand_r(seed) % 1002,
				   .torn = rand_r(seed) % 3 };
	uint64_t words[WORDS];
	int fd;

	switch (s->kind == NO_STORE ? 3 : rand_r(seed) % 4) {
	case 0:
		ioctl(s->fd, VMADEMO_IOC_CRASH, &c);
		break;
	case 1:
		power_off(s->fd);
		usleep(rand_r(seed) % 200);
		break;
	case 2:
		fd = take_snapshot(s->fd, &c);
		for (size_t page = 0; fd >= 0 && page < PAGES; page++) {
			ssize_t n = pread(fd, words, PAGE, page * PAGE);

			if (n > 0)
				look(s, words, page, n);
		}
		close(fd);
		break;
	default:
		usleep(rand_r(seed) % 2000);
	}
	if (s->kind != NO_STORE && power_on(s->fd))
		atomic_fetch_add(&s->unexpected, 1);
}

static void reshape(struct shared *s, unsigned int *seed)
{
	/* Not half a word, which would look like somebody else's */
	off_t at = rand_r(seed) % (SIZE / 8) * 8;
	off_t len = (rand_r(seed) % (4 * PAGE / 8) + 1) * 8;

	switch (rand_r(seed) % 4) {
	case 0:
		ftruncate(s->fd, rand_r(seed) % 2 ? SIZE : at);
		break;
	case 1:
		fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at,
			  len);
		break;
	case 2:
		fallocate(s->fd, FALLOC_FL_KEEP_SIZE, at, len);
		break;
	default:
		ftruncate(s->fd, SIZE);
	}
}

static void ask(struct shared *s, unsigned int *seed)
{
	unsigned char states[PAGES];
	struct vmademo_pages p = { .count = PAGES, .states = (uintptr_t)states };
	struct vmademo_stats stats = { .size = sizeof(stats) };
	struct vmademo_info info = { 0 };

	if (ioctl(s->fd, VMADEMO_IOC_INFO, &info) ||
	    ioctl(s->fd, VMADEMO_IOC_PAGES, &p) ||
	    ioctl(s->fd, VMADEMO_IOC_STATS, &stats))
		atomic_fetch_add(&s->unexpected, 1);
	/* It is in use */
	if (syscall(SYS_delete_module, "vmademo", O_NONBLOCK) != -1 ||
	    errno != EWOULDBLOCK)
		atomic_fetch_add(&s->unexpected, 1);
	atomic_fetch_add(&s->refused, 1);
	usleep(rand_r(seed) % 1000);
}

static void (*const parts[])(struct shared *s, unsigned int *seed) = {
	touch_pages, touch_pages, fork_and_write, make_rules,
	take_away,   cut,	  reshape,	  ask,
};

#define PARTS (sizeof(parts) / sizeof(parts[0]))

struct actor {
	struct shared *s;
	size_t part;
	pthread_t thread;
};

static void *act(void *arg)
{
	struct actor *a = arg;
	struct shared *s = a->s;
	unsigned int seed = a->part * 1000 + s->kind;

	/* As long as one of them has not done its own */
	for (int i = 0; i < s->rounds || atomic_load(&s->busy); i++) {
		parts[a->part](s, &seed);
		if (i + 1 == s->rounds)
			atomic_fetch_sub(&s->busy, 1);
	}
	return NULL;
}

FIXTURE(all)
{
	struct shared s;
};

FIXTURE_VARIANT(all)
{
	enum store_kind kind;
};

FIXTURE_VARIANT_ADD(all, none){ .kind = NO_STORE };
FIXTURE_VARIANT_ADD(all, ram){ .kind = STORE_RAM };
FIXTURE_VARIANT_ADD(all, tmpfs){ .kind = STORE_TMPFS };

FIXTURE_SETUP(all)
{
	const char *steps = getenv("VMADEMO_STEPS");
	struct shared *s = &self->s;

	s->kind = variant->kind;
	s->rounds = steps && *steps ? atoi(steps) / 100 : 200;
	s->lower = -1;
	s->patched = keep_code_patched();
	s->fd = s->kind == NO_STORE ? create_buffer(SIZE)
				    : create_store(s->kind, SIZE, &s->lower);
	ASSERT_GE(s->fd, 0);
	/* The first time, the kernel's code is patched, too */
	ASSERT_EQ(0, ioctl(s->fd, VMADEMO_IOC_REVOKE));
	ASSERT_EQ(0, ioctl(s->fd, VMADEMO_IOC_RESTORE));
	s->map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	s->private = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE,
			  s->fd, 0);
	ASSERT_NE(MAP_FAILED, s->map);
	ASSERT_NE(MAP_FAILED, s->private);
}

FIXTURE_TEARDOWN(all)
{
	struct shared *s = &self->s;

	munmap(s->map, SIZE);
	munmap(s->private, SIZE);
	if (s->kind == NO_STORE)
		close(s->fd);
	else
		end_store(s->kind, s->fd, s->lower);
	close(s->patched);
}

TEST_F_TIMEOUT(all, at_once, 3000)
{
	struct actor actors[PARTS];
	struct shared *s = &self->s;

	atomic_store(&s->busy, PARTS);
	for (size_t i = 0; i < PARTS; i++) {
		actors[i] = (struct actor){ .s = s, .part = i };
		ASSERT_EQ(0, pthread_create(&actors[i].thread, NULL, act,
					    &actors[i]));
	}
	for (size_t i = 0; i < PARTS; i++)
		ASSERT_EQ(0, pthread_join(actors[i].thread, NULL));
	EXPECT_EQ(0, atomic_load(&s->foreign));
	EXPECT_EQ(0, atomic_load(&s->unexpected));
	EXPECT_LE(s->rounds, atomic_load(&s->refused));

	/* Afterwards it is as good as new */
	ASSERT_EQ(0, del_rule(s->fd, 0));
	if (s->kind != NO_STORE)
		ASSERT_EQ(0, power_on(s->fd));
	ASSERT_EQ(0, ftruncate(s->fd, SIZE));
	fsync(s->fd);
	EXPECT_EQ(0, fsync(s->fd));
	EXPECT_ACCOUNT_ADDS_UP(s->fd);
	for (size_t i = 0; i < PAGES; i++)
		ASSERT_EQ(0, touch_signal(s->map + i * PAGE, 1));
	memset(s->map, 7, SIZE);
	EXPECT_EQ(0, fsync(s->fd));
	EXPECT_EQ(0, fd_value(s->fd, "dirty_bytes"));
	if (s->kind != NO_STORE)
		ASSERT_EQ(0, power_cut(s->fd));
	EXPECT_EQ(7, touch(s->map + SIZE - 1));
}

TEST_HARNESS_MAIN
