// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cuts of the verb explore by several processes at a time.  Each takes the next one that nobody
 * has taken, and sends what came of it; that is told in the order of one process alone.
 */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "explore.h"

/* How often it is looked whether a signal came, in milliseconds */
#define SOON 200

struct job {
	pid_t pid;
	int pipe; /* its results; -1: it has ended */
};

/* Before what follows: places, places, and names with their inode and length. */
struct message {
	uint64_t ordinal;
	struct run run;
};

struct results {
	struct run *run;
	bool *there;
	size_t room;
};

/* ---- a job --------------------------------------------------------------- */

/* What the program promises is this job's alone: its file is another one at the same place. */
static void own_ack(const char *ack)
{
	const char *tmp = getenv("TMPDIR");
	char *path = must_print("%s/vmademo-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	int fd = mkstemp(path);

	if (fd < 0)
		die_errno("--ack: %s", path);
	if (unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount(path, ack, NULL, MS_BIND, NULL)) {
		int err = errno;

		unlink(path);
		errno = err;
		die_errno("--jobs: each has its own --ack, mounted at that place");
	}
	unlink(path);
	free(path);
	close(fd);
}

static void put(int fd, const void *bytes, size_t len)
{
	for (ssize_t n; len; len -= n, bytes = (const char *)bytes + n) {
		n = write(fd, bytes, len);
		/* Nobody is there any more */
		if (n <= 0)
			_exit(STATUS_OWN);
	}
}

static void put_places(int fd, const struct places *places)
{
	put(fd, places->place, places->nr * sizeof(*places->place));
}

/* The pointers of the message mean nothing there, but that of a text of this program does. */
static void send_run(int fd, uint64_t ordinal, const struct run *run)
{
	struct message message = { .ordinal = ordinal, .run = *run };

	put(fd, &message, sizeof(message));
	put_places(fd, &run->lost_pages);
	put_places(fd, &run->torn_pages);
	for (size_t i = 0; i < run->names.nr; i++) {
		const struct name *name = &run->names.name[i];
		size_t len = strlen(name->name);

		put(fd, &name->ino, sizeof(name->ino));
		put(fd, &len, sizeof(len));
		put(fd, name->name, len);
	}
}

__attribute__((noreturn)) static void
work(struct explore *explore, atomic_ulong *next, int fd, pid_t parent)
{
	uint64_t mine, ordinal = 0;
	struct plan plan;
	struct cut cut;

	trace_forget();
	plan = begin_plan(explore);
	mine = atomic_fetch_add(next, 1);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(STATUS_OWN);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (explore->ack)
		own_ack(explore->ack);
	trace_run(true);
	for (; next_cut(&plan, &cut) && !explore->interrupted; ordinal++) {
		struct run run = { .cut = cut };

		if (ordinal < mine)
			continue;
		run_cut(explore, &run, false);
		send_run(fd, ordinal, &run);
		free_run(&run);
		mine = atomic_fetch_add(next, 1);
	}
	trace_end();
	_exit(0);
}

/* ---- the others ---------------------------------------------------------- */

static bool get(int fd, void *bytes, size_t len)
{
	for (ssize_t n; len; len -= n, bytes = (char *)bytes + n) {
		n = read(fd, bytes, len);
		if (n <= 0)
			return false;
	}
	return true;
}

static bool get_places(int fd, struct places *places)
{
	places->place = must_alloc(NULL, places->nr * sizeof(*places->place));
	return get(fd, places->place, places->nr * sizeof(*places->place));
}

static bool get_names(int fd, struct names *names)
{
	size_t nr = names->nr, len;

	*names = (struct names){ 0 };
	names->name = must_alloc(NULL, nr * sizeof(*names->name));
	for (; names->nr < nr; names->nr++) {
		struct name *name = &names->name[names->nr];

		if (!get(fd, &name->ino, sizeof(name->ino)) ||
		    !get(fd, &len, sizeof(len)))
			return false;
		name->name = must_alloc(NULL, len + 1);
		name->name[len] = '\0';
		if (!get(fd, name->name, len))
			return false;
	}
	return true;
}

/* A result, whole; false: the job has ended. */
static bool receive(struct results *results, int fd)
{
	struct message message;
	struct run *run = &message.run;

	if (!get(fd, &message, sizeof(message)) ||
	    !get_places(fd, &run->lost_pages) ||
	    !get_places(fd, &run->torn_pages) || !get_names(fd, &run->names))
		return false;
	if (message.ordinal >= results->room) {
		size_t room = 2 * message.ordinal + 64;

		results->run = must_alloc(results->run, room * sizeof(*run));
		results->there = must_alloc(results->there, room);
		memset(results->there + results->room, 0, room - results->room);
		results->room = room;
	}
	results->run[message.ordinal] = *run;
	results->there[message.ordinal] = true;
	return true;
}

static void start(struct explore *explore, struct job *jobs)
{
	atomic_ulong *next = mmap(NULL, sizeof(*next), PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t parent = getpid();

	if (next == MAP_FAILED)
		die_errno("mmap");
	fflush(NULL);
	for (unsigned int i = 0; i < explore->jobs; i++) {
		int fds[2];

		if (pipe2(fds, O_CLOEXEC))
			die_errno("pipe");
		jobs[i].pid = fork();
		if (jobs[i].pid < 0)
			die_errno("fork");
		if (!jobs[i].pid) {
			close(fds[0]);
			for (unsigned int j = 0; j < i; j++)
				close(jobs[j].pipe);
			work(explore, next, fds[1], parent);
		}
		close(fds[1]);
		jobs[i].pipe = fds[0];
	}
	munmap(next, sizeof(*next));
}

static void stop(const struct explore *explore, const struct job *jobs)
{
	for (unsigned int i = 0; i < explore->jobs; i++)
		if (jobs[i].pipe >= 0)
			kill(jobs[i].pid, SIGTERM);
}

/* Returns whether it has done its part. */
static bool end_job(struct job *job)
{
	int status = 0;

	close(job->pipe);
	job->pipe = -1;
	waitpid(job->pid, &status, 0);
	if (WIFSIGNALED(status))
		complain("a job was killed by %s, so there is no report",
			 signal_name(WTERMSIG(status)));
	return !status;
}

/* Waits for one that has something to say, and takes that; false: all have ended. */
static bool hear(const struct explore *explore, struct job *jobs,
		 struct results *results, bool *failed)
{
	struct pollfd *fds = must_alloc(NULL, explore->jobs * sizeof(*fds));
	bool alive = false;
	unsigned int i;

	for (i = 0; i < explore->jobs; i++) {
		fds[i] = (struct pollfd){ .fd = jobs[i].pipe, .events = POLLIN };
		alive |= jobs[i].pipe >= 0;
	}
	if (alive && poll(fds, explore->jobs, SOON) > 0) {
		for (i = 0; i < explore->jobs; i++) {
			if (!fds[i].revents || receive(results, jobs[i].pipe))
				continue;
			*failed |= !end_job(&jobs[i]);
		}
	}
	free(fds);
	return alive;
}

/**
 * run_jobs() - all cuts, by several processes
 * @explore: of which the dry run has been
 * @keep: is given each run, in order; returns whether it goes on
 */
void run_jobs(struct explore *explore,
	      bool (*keep)(struct explore *explore, struct run *run))
{
	struct job *jobs = must_alloc(NULL, explore->jobs * sizeof(*jobs));
	struct results results = { 0 };
	bool goes_on = true, failed = false;
	uint64_t next = 0;

	start(explore, jobs);
	while (hear(explore, jobs, &results, &failed)) {
		/* The report would have a hole */
		if (failed)
			stop(explore, jobs);
		if (launch_signalled() && !explore->interrupted) {
			explore->interrupted = true;
			stop(explore, jobs);
		}
		while (goes_on && !failed && next < results.room &&
		       results.there[next]) {
			goes_on = keep(explore, &results.run[next]);
			results.there[next++] = false;
			if (!goes_on)
				stop(explore, jobs);
		}
	}
	/* Those that a job was about to kill when it was killed itself */
	launch_kill_all(NULL);
	for (size_t i = next; i < results.room; i++)
		if (results.there[i])
			free_run(&results.run[i]);
	free(results.run);
	free(results.there);
	free(jobs);
	/* It has said why */
	if (failed && goes_on && !explore->interrupted)
		exit(STATUS_OWN);
}
