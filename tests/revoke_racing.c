// SPDX-License-Identifier: GPL-2.0-only
/*
 * Taking a buffer away while others fault, read, write and fork: no page escapes, and no byte
 * is lost.  It shows only where two processors really run at once.
 *
 * VMADEMO_STEPS: a hundred or two for each revocation.
 */
#include <stdatomic.h>

#include "kselftest_harness.h"
#include "stores.h"

#define HUGE (2 * MIB)

#define WORKERS 4

/*
 * Odd: the buffer was revoked before this became so, and is restored after it has become
 * even.  So if it is the same odd number before and after a touch, that raised SIGBUS.
 */
struct race {
	const char *_Atomic how;
	atomic_uint turn;
	atomic_bool stop;
	atomic_ulong sigbus, escaped, lost, touched;
	size_t each; /* pages that belong to one worker */
	size_t size; /* of all of them, in bytes */
	size_t step; /* so that 64 are touched where all are meant */
};

FIXTURE(race)
{
	int fd;
	struct race *race;
};

FIXTURE_VARIANT(race)
{
	uint32_t store, folio_size;
};

FIXTURE_VARIANT_ADD(race, none){ .store = VMADEMO_STORE_NONE };
FIXTURE_VARIANT_ADD(race, ram){ .store = VMADEMO_STORE_RAM };
FIXTURE_VARIANT_ADD(race, none_2m){ .folio_size = HUGE };
FIXTURE_VARIANT_ADD(race, ram_64k){ .store = VMADEMO_STORE_RAM,
				    .folio_size = 65536 };
FIXTURE_VARIANT_ADD(race, ram_2m){ .store = VMADEMO_STORE_RAM,
				   .folio_size = HUGE };

FIXTURE_SETUP(race)
{
	self->race = mmap(NULL, sizeof(*self->race), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->race);
	self->race->size = variant->folio_size == HUGE ? HUGE : 64 * PAGE;
	self->race->each = self->race->size / PAGE / WORKERS;
	self->race->step = self->race->size / PAGE / 64;
	folio_size_wanted = variant->folio_size ? variant->folio_size : PAGE;
	self->fd = create_with(variant->store, self->race->size, 0);
	ASSERT_GE(self->fd, 0);
	if (!code_is_patched_at_once()) {
		ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_REVOKE));
		ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_RESTORE));
	}
}

FIXTURE_TEARDOWN(race)
{
	EXPECT_ACCOUNT_ADDS_UP(self->fd);
	munmap(self->race, sizeof(*self->race));
	close(self->fd);
}

/* Writes value to the page, or with 0 reads it; what is there then, or -1 for SIGBUS. */
static int checked_touch(struct race *race, unsigned char *p,
			 unsigned char value, const char *how)
{
	unsigned int turn = atomic_load(&race->turn);
	volatile int result = -1;

	if (sigsetjmp(touch_return, 0) == 0) {
		if (value)
			put(p, value);
		result = touch(p);
	} else {
		atomic_fetch_add(&race->sigbus, 1);
	}
	atomic_fetch_add(&race->touched, 1);
	if (result >= 0 && turn % 2 && atomic_load(&race->turn) == turn) {
		atomic_fetch_add(&race->escaped, 1);
		atomic_store(&race->how, how);
	}
	return result;
}

static void check_call(struct race *race, bool ok, unsigned int turn,
		       const char *how)
{
	if (ok && turn % 2 && atomic_load(&race->turn) == turn) {
		atomic_fetch_add(&race->escaped, 1);
		atomic_store(&race->how, how);
	}
}

/* One process: touches in all ways, and knows what its own pages have. */
static void touch_all(int fd, struct race *race, unsigned int number,
		      unsigned char *map, unsigned char *copies)
{
	struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_NODEFER };
	unsigned char *moved, *p, sure[HUGE / 4096] = { 0 };
	unsigned int seed = number + 1, turn;
	const size_t pages = race->size / PAGE;

	sa.sa_sigaction = touch_caught;
	sigaction(SIGBUS, &sa, NULL);
	moved = mmap(NULL, 2 * race->size, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (moved == MAP_FAILED)
		_exit(1);
	while (!atomic_load(&race->stop)) {
		size_t own = rand_r(&seed) % race->each;
		size_t page = number * race->each + own;
		unsigned char value = rand_r(&seed) % 255 + 1;
		unsigned char byte;
		int was;

		switch (rand_r(&seed) % 10) {
		case 0 ... 2:
			was = checked_touch(race, map + page * PAGE, value,
					    "a write");
			if (was >= 0)
				sure[own] = value;
			else
				/* Written to, and taken away before it was read? */
				sure[own] = 0;
			break;
		case 3 ... 4:
			was = checked_touch(race, map + page * PAGE, 0, "a read");
			if (was >= 0 && sure[own] && was != sure[own])
				atomic_fetch_add(&race->lost, 1);
			break;
		case 5:
			/* So that .map_pages is called again */
			madvise(map, race->size, MADV_DONTNEED);
			for (size_t i = 0; i < pages; i += 5 * race->step)
				checked_touch(race, map + i * PAGE, 0,
					      "fault-around");
			break;
		case 6:
			checked_touch(race, copies + page * PAGE, value,
				      "a private copy");
			checked_touch(race, copies + page * PAGE, 0,
				      "a private copy, read");
			if (rand_r(&seed) % 8 == 0)
				madvise(copies, race->size, MADV_DONTNEED);
			break;
		case 7:
			p = mremap(copies, race->size, race->size,
				   MREMAP_MAYMOVE | MREMAP_FIXED,
				   moved + rand_r(&seed) % 2 * race->size);
			if (p == MAP_FAILED)
				break;
			copies = p;
			for (size_t i = 0; i < pages; i += race->step)
				checked_touch(race, copies + i * PAGE, 0,
					      "what was moved");
			break;
		case 8:
			turn = atomic_load(&race->turn);
			check_call(race, pread(fd, &byte, 1, page * PAGE) == 1,
				   turn, "pread");
			turn = atomic_load(&race->turn);
			if (pwrite(fd, &value, 1, page * PAGE) == 1) {
				check_call(race, true, turn, "pwrite");
				sure[own] = value;
			}
			break;
		case 9:
			if (rand_r(&seed) % 8)
				break;
			if (fork() == 0) {
				for (size_t i = 0; i < pages; i += race->step)
					checked_touch(race, copies + i * PAGE,
						      0, "a child's copy");
				_exit(0);
			}
			wait(NULL);
			break;
		}
	}
	_exit(0);
}

TEST_F_TIMEOUT(race, under_load, 3000)
{
	const char *steps = getenv("VMADEMO_STEPS");
	int rounds = (steps && *steps ? atoi(steps) : 20000) / 100, status;
	pid_t pid[WORKERS];
	unsigned char *map, *copies;
	const size_t size = self->race->size;
	unsigned int seed = 3;

	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0);
	copies = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, self->fd,
		      0);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_NE(MAP_FAILED, copies);
	for (unsigned int i = 0; i < WORKERS; i++) {
		pid[i] = fork();
		ASSERT_LE(0, pid[i]);
		if (!pid[i])
			touch_all(self->fd, self->race, i, map, copies);
	}
	for (int i = 0; i < rounds && !atomic_load(&self->race->escaped); i++) {
		unsigned long touched = atomic_load(&self->race->touched);

		ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_REVOKE));
		atomic_fetch_add(&self->race->turn, 1);
		/* Until they have seen it */
		while (atomic_load(&self->race->touched) < touched + 50)
			usleep(100);
		if (rand_r(&seed) % 2)
			EXPECT_EQ(0, fdatasync(self->fd));
		atomic_fetch_add(&self->race->turn, 1);
		ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_RESTORE));
		touched = atomic_load(&self->race->touched);
		while (atomic_load(&self->race->touched) <
		       touched + rand_r(&seed) % 200)
			usleep(50);
	}
	atomic_store(&self->race->stop, true);
	for (unsigned int i = 0; i < WORKERS; i++) {
		ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
		EXPECT_EQ(0, status);
	}
	munmap(map, size);
	munmap(copies, size);
	TH_LOG("%lu touches, %lu SIGBUS", self->race->touched,
	       self->race->sigbus);
	EXPECT_LT(0, self->race->sigbus);
	EXPECT_EQ(0, self->race->escaped)
	TH_LOG("%s", self->race->how);
	EXPECT_EQ(0, self->race->lost);
}

/* ---- in the middle of a fault --------------------------------------------- */

#define PREEMPT "/sys/kernel/debug/sched/preempt"

/*
 * Lets the kernel be interrupted anywhere, if it can; says what was, or nothing if it stays.
 * The machine where processors really run at once is booted so: it patches the kernel.
 */
static void preempt_anywhere(char *was, size_t len)
{
	char line[64] = "", *from;
	FILE *f = fopen(PREEMPT, "r");

	if (f && !fgets(line, sizeof(line), f))
		line[0] = '\0';
	if (f)
		fclose(f);
	from = strchr(line, '(');
	snprintf(was, len, "%s", from ? strtok(from + 1, ")") : "");
	if (!strcmp(was, "full") || !code_is_patched_at_once())
		was[0] = '\0';
	else
		write_text(PREEMPT, "full");
}

/* Faults as often as it can, and leaves what is mapped as it is once it may not be. */
static void fault_all(struct race *race, unsigned char *map, unsigned char *copies)
{
	const size_t pages = race->size / PAGE;
	struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_NODEFER };

	sa.sa_sigaction = touch_caught;
	sigaction(SIGBUS, &sa, NULL);
	nice(19);
	while (!atomic_load(&race->stop)) {
		if (atomic_load(&race->turn) % 2 == 0) {
			madvise(map, race->size, MADV_DONTNEED);
			madvise(copies, race->size, MADV_DONTNEED);
		}
		for (size_t i = 0; i < pages; i += race->step) {
			checked_touch(race, map + i * PAGE, i % 3, "a page");
			checked_touch(race, copies + i * PAGE, i % 3, "a copy");
		}
	}
	_exit(0);
}

/*
 * Whoever is about to map a page has lost the processor, for so long that the revocation is over
 * before it comes back.
 */
TEST_F_TIMEOUT(race, in_the_middle_of_a_fault, 3000)
{
	enum { FAULTING = 6, HOGS = 2, ALL = FAULTING + HOGS };
	const char *steps = getenv("VMADEMO_STEPS");
	int rounds = (steps && *steps ? atoi(steps) : 10000) / 200, status;
	unsigned char *map, *copies;
	const size_t size = self->race->size;
	char preempt[32];
	pid_t pid[ALL];

	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0);
	copies = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, self->fd,
		      0);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_NE(MAP_FAILED, copies);
	for (size_t i = 0; i < size / PAGE; i++)
		put(map + i * PAGE, 1);
	preempt_anywhere(preempt, sizeof(preempt));
	for (int i = 0; i < ALL; i++) {
		pid[i] = fork();
		ASSERT_LE(0, pid[i]);
		if (!pid[i] && i < FAULTING)
			fault_all(self->race, map, copies);
		if (!pid[i]) {
			nice(10);
			while (!atomic_load(&self->race->stop))
				;
			_exit(0);
		}
	}
	nice(-10);
	for (int i = 0; i < rounds && !atomic_load(&self->race->escaped); i++) {
		unsigned long touched;

		ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_REVOKE));
		atomic_fetch_add(&self->race->turn, 1);
		touched = atomic_load(&self->race->touched);
		while (atomic_load(&self->race->touched) < touched + FAULTING * 64)
			usleep(1000);
		atomic_fetch_add(&self->race->turn, 1);
		ASSERT_EQ(0, ioctl(self->fd, VMADEMO_IOC_RESTORE));
		usleep(20000);
	}
	atomic_store(&self->race->stop, true);
	for (int i = 0; i < ALL; i++) {
		ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
		EXPECT_EQ(0, status);
	}
	if (*preempt)
		write_text(PREEMPT, preempt);
	munmap(map, size);
	munmap(copies, size);
	EXPECT_LT(0, self->race->sigbus);
	EXPECT_EQ(0, self->race->escaped)
	TH_LOG("%s", self->race->how);
}

TEST_HARNESS_MAIN
