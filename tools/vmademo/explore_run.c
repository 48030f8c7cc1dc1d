// SPDX-License-Identifier: GPL-2.0-only
/*
 * One run of the verb explore: a new buffer, the program on it, the power cut at an event,
 * everybody killed, the power back, the check.
 */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "explore.h"

/* So much of what a check prints is looked at */
#define SAID 4096

const uint32_t event_ops[NR_EVENTS] = {
	VMADEMO_OP_MKWRITE,  VMADEMO_OP_WRITE_OUT, VMADEMO_OP_FLUSH,
	VMADEMO_OP_TRUNCATE, VMADEMO_OP_CREATE,	   VMADEMO_OP_RENAME,
	VMADEMO_OP_UNLINK,   VMADEMO_OP_LINK,	   VMADEMO_OP_FSYNC_DIR,
};

static int null_fd(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die_errno("/dev/null");
	return fd;
}

static uint64_t size_of(int fd)
{
	struct vmademo_info info;

	get_info(fd, &info);
	return info.size;
}

static uint64_t number_of(int fd)
{
	struct vmademo_info info;

	get_info(fd, &info);
	return info.ino;
}

/* ---- the program --------------------------------------------------------- */

/* It is emptied for each run.  To open a FIFO would have no end. */
static int open_ack(const char *path)
{
	int fd = open(path,
		      O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC |
			      O_NONBLOCK,
		      0666);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		die_errno("--ack: %s", path);
	if (!S_ISREG(st.st_mode))
		die("--ack: %s is not a regular file", path);
	return fd;
}

/* What it says is for the first run only. */
struct launch program(const struct explore *explore, const char *path, bool quiet)
{
	return (struct launch){
		.argv = explore->argv,
		.path = path,
		.own_session = true,
		.same_addresses = true,
		.in = null_fd(),
		.out = quiet ? null_fd() : STDERR_FILENO,
		.err = quiet ? null_fd() : -1,
		.ack = explore->ack ? open_ack(explore->ack) : null_fd(),
	};
}

static bool is_off(void *arg)
{
	struct vmademo_info info;

	get_info(*(int *)arg, &info);
	return info.flags & VMADEMO_INFO_OFF;
}

/* Lets it go. */
void begin_program(struct launch *launch)
{
	int err = launch_go(launch);

	if (launch->ack != null_fd())
		close(launch->ack);
	if (err)
		launch_cannot(launch, err);
}

/*
 * Until it has ended, @poll says so, or its time is up; nobody is left afterwards.  @left: whether
 * there was anybody, or NULL.
 */
static enum launch_end run_program(struct explore *explore, struct launch *launch,
				   bool (*poll)(void *fd), int fd, bool *left)
{
	enum launch_end end;
	bool any;

	begin_program(launch);
	end = launch_wait(launch, now() + explore->timeout,
			  fd < 0 ? NULL : poll, &fd);
	any = launch_kill_all(launch);
	if (left)
		*left = any;
	if (end == LAUNCH_SIGNAL)
		explore->interrupted = true;
	return end;
}

/* ---- the check ----------------------------------------------------------- */

/* What comes before the last line is not looked at: it may be much, and is to take no memory. */
static bool forget_most(void *fd)
{
	int said = *(int *)fd;
	struct stat st;

	if (!fstat(said, &st) && st.st_size > SAID)
		fallocate(said, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			  st.st_size - SAID);
	return false;
}

/* The last line that is not empty. */
static void last_line(int fd, char *says, size_t room)
{
	static char text[SAID];
	off_t end = lseek(fd, 0, SEEK_END);
	off_t from = end > (off_t)sizeof(text) - 1 ? end - (off_t)sizeof(text) + 1
						   : 0;
	ssize_t n = pread(fd, text, sizeof(text) - 1, from);
	char *line;

	while (n > 0 && text[n - 1] == '\n')
		n--;
	n = n > 0 ? n : 0;
	text[n] = '\0';
	line = memrchr(text, '\n', n);
	line = line ? line + 1 : text;
	line[room - 1 < strlen(line) ? room - 1 : strlen(line)] = '\0';
	memcpy(says, line, strlen(line) + 1);
}

/* Returns whether it succeeds; @loud: what it prints is for the user. */
bool check_what_is_left(struct explore *explore, const char *path,
			struct run *run, bool loud)
{
	char *shell[] = { "/bin/sh", "-c", (char *)explore->check, NULL };
	int said = loud ? -1 : memfd_create("check", MFD_CLOEXEC);
	struct launch launch = {
		.argv = explore->check ? shell : explore->argv,
		.path = path,
		.own_session = true,
		.in = null_fd(),
		.out = loud ? STDERR_FILENO : said,
		.err = loud ? -1 : said,
		.ack = null_fd(),
	};
	enum launch_end end;

	if (!loud && said < 0)
		die_errno("memfd_create");
	launch_prepare(&launch);
	end = run_program(explore, &launch, forget_most, said, NULL);
	run->check_status = launch.status;
	run->check_hung = end == LAUNCH_TIME_IS_UP;
	run->says[0] = '\0';
	if (said >= 0) {
		last_line(said, run->says, sizeof(run->says));
		close(said);
	}
	return end == LAUNCH_ENDED && WIFEXITED(launch.status) &&
	       !WEXITSTATUS(launch.status);
}

/* ---- without a cut ------------------------------------------------------- */

/* A run in which events are counted; it leaves what it was run on. */
static struct space count_events(struct explore *explore,
				 uint64_t events[NR_EVENTS], bool quiet)
{
	static const uint32_t calls[] = { VMADEMO_OP_MMAP, VMADEMO_OP_READ,
					  VMADEMO_OP_WRITE, VMADEMO_OP_ALLOCATE };
	uint64_t rules[NR_EVENTS], used = 0, call_rules[ARRAY_SIZE(calls)];
	uint64_t truncating;
	struct space space;
	struct launch launch;
	size_t i, nr = nr_events(explore);
	enum launch_end end;
	bool left;
	int fd;

	make_space(&space, &explore->buffer);
	fd = space.fd;
	launch = program(explore, space.path, quiet);
	launch_prepare(&launch);
	for (i = 0; i < nr; i++)
		rules[i] = add_counting_rule(fd, event_ops[i]);
	for (i = 0; i < ARRAY_SIZE(calls); i++)
		call_rules[i] = add_counting_rule(fd, calls[i]);
	truncating = add_counting_rule(fd, VMADEMO_OP_TRUNCATE);
	end = run_program(explore, &launch, NULL, -1, &left);
	/* Once, in the first run */
	if (left && end == LAUNCH_ENDED && !quiet)
		fprintf(stderr,
			"vmademo explore: the program has left processes behind: what they do after its end is not tried\n");
	if (end == LAUNCH_SIGNAL)
		die("interrupted before the first cut");
	if (end == LAUNCH_TIME_IS_UP)
		die("the program takes more than %g s without any cut: see --timeout",
		    explore->timeout);
	if (WIFSIGNALED(launch.status))
		die("the program is killed by %s without any cut",
		    signal_name(WTERMSIG(launch.status)));
	if (WEXITSTATUS(launch.status))
		die("the program fails without any cut: exit status %d",
		    WEXITSTATUS(launch.status));
	for (i = 0; i < nr; i++)
		events[i] = rule_matches(fd, rules[i], NULL);
	for (i = NR_BUFFER_EVENTS; i < nr; i++)
		used += events[i];
	for (i = 0; i < ARRAY_SIZE(calls); i++)
		used += rule_matches(fd, call_rules[i], NULL);
	explore->writes |= rule_matches(fd, call_rules[2], NULL);
	explore->reshaped |= rule_matches(fd, call_rules[3], NULL) ||
			     rule_matches(fd, truncating, NULL) ||
			     (!explore->buffer.dir &&
			      size_of(fd) != explore->buffer.size);
	if (!used)
		die("THE PROGRAM DID NOT USE THE %s: it never mapped, read or wrote it.  Does it have an argument with @, and does it open that path unchanged?",
		    explore->buffer.dir ? "DIRECTORY" : "BUFFER");
	delete_rules(fd, 0);
	return space;
}

static bool loses_something(const uint64_t events[NR_EVENTS])
{
	for (int at = 0; at < NR_EVENTS; at++)
		if (at != AT_FLUSH && at != AT_FSYNC_DIR && events[at])
			return true;
	return false;
}

/* Counts, keeps the untouched result, and checks that. */
void dry_run(struct explore *explore)
{
	uint64_t again[NR_EVENTS] = { 0 };
	struct run run = { 0 };
	struct space space = count_events(explore, explore->events, false);

	explore->untouched = memfd_create("untouched", MFD_CLOEXEC);
	if (explore->untouched < 0)
		die_errno("memfd_create");
	if (!explore->buffer.dir) {
		explore->states = states_of(explore, space.fd);
		copy_bytes(explore, space.fd, explore->untouched);
	}
	if (!check_what_is_left(explore, space.path, &run, false)) {
		if (explore->interrupted)
			die("interrupted before the first cut");
		if (run.check_hung)
			die("the check takes more than %g s on the untouched result: see --timeout",
			    explore->timeout);
		/* Later it may be the cut that took away what it runs */
		if (explore->check && WIFEXITED(run.check_status) &&
		    (WEXITSTATUS(run.check_status) == STATUS_CANNOT ||
		     WEXITSTATUS(run.check_status) == STATUS_NOT_FOUND))
			die("the check \"%s\" cannot be run: %s",
			    explore->check, run.says);
		die("the check fails on the untouched result (status %d), so it says nothing about cuts: %s",
		    exit_status_of(run.check_status), run.says);
	}
	end_space(&space);
	if (!loses_something(explore->events))
		die("the program writes nothing to the %s, so there is nothing to lose",
		    explore->buffer.dir ? "directory" : "buffer");
	space = count_events(explore, again, true);
	end_space(&space);
	if (!loses_something(again))
		die("in a second run the program writes nothing: does the first run leave files elsewhere that it finds?");
	explore->same_again = !memcmp(again, explore->events, sizeof(again));
	explore->combinations = count_combinations(explore);
}

/* ---- with a cut ---------------------------------------------------------- */

static uint64_t add_cut(int fd, const struct cut *cut, pid_t pid)
{
	struct vmademo_rule rule = {
		.op = event_ops[cut->at],
		.skip = cut->number - 1,
		.times = 1,
		.seed = cut->seed,
		/* What it has started must not go on, and promise something */
		.flags = VMADEMO_RULE_CRASH | VMADEMO_RULE_OFF |
			 VMADEMO_RULE_KILL | VMADEMO_RULE_SESSION |
			 (cut->after ? VMADEMO_RULE_AFTER : 0),
		.share = cut->share,
		.cut_torn = cut->torn,
		.pid = pid,
	};

	if (cut->at == AT_MKWRITE) {
		/*
		 * Whoever writes is killed, be it a child.  It goes on while the cut is done, and
		 * would make the page dirty, in time or not: so the write fails.
		 */
		rule.pid = 0;
		rule.status = VMADEMO_STATUS_SIGBUS;
	}
	/* Who does that is killed, be it a child; otherwise only the program's own would count */
	if (cut->at >= NR_BUFFER_EVENTS)
		rule.pid = 0;
	return add_rule(fd, &rule);
}

/*
 * Off is what it is already, but for the end; in any case the cut is done when this returns.
 * What it lost is told by the counters.
 */
static void finish_cut(int fd, const struct cut *cut, struct run *run)
{
	struct vmademo_power power = { .flags = VMADEMO_POWER_OFF };
	struct vmademo_stats stats;
	struct vmademo_info info;

	if (cut->at == AT_END) {
		power.seed = cut->seed;
		power.written_permille = cut->share;
		power.torn = cut->torn;
	}
	if (ioctl(fd, VMADEMO_IOC_POWER, &power))
		die_errno("the power cannot be switched off");
	get_stats(fd, &stats);
	run->lost = stats.last_crash_lost_folios;
	get_info(fd, &info);
	run->lost_names = info.lost_names;
	delete_rules(fd, 0);
	power = (struct vmademo_power){ 0 };
	if (ioctl(fd, VMADEMO_IOC_POWER, &power))
		die_errno("the power cannot be switched on");
}

static void keep_what_is_left(const struct explore *explore, int fd,
			      const char *path)
{
	int to;

	if (explore->buffer.dir) {
		copy_tree("--keep", path, explore->keep, false);
		return;
	}
	to = open(explore->keep, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	if (to < 0)
		die_errno("--keep: %s", explore->keep);
	/* The program may have changed its size */
	if (!copy_data(fd, to, size_of(fd)) || close(to))
		die_errno("--keep: %s", explore->keep);
}

/*
 * What was traced of the cut by a rule, and what it lost.  All that was lost, or nothing: the
 * trace may have been too short, or a file have no name any more.
 */
static void look_at_trace(const struct explore *explore, struct run *run,
			  int fd, uint64_t id)
{
	bool dir = explore->buffer.dir;
	struct traced traced;

	trace_read(number_of(fd), dir ? &run->names : NULL, 0, &traced);
	for (size_t i = 0; id && i < traced.nr_hits; i++) {
		const struct hit_pages *hit = &traced.hits[i];

		if (hit->id != id)
			continue;
		run->call = hit->call;
		run->has_place = is_of_a_page(run->cut.at) || dir;
		run->at = (struct place){ hit->ino, hit->pages[0] };
	}
	if (traced.lost.nr == run->lost) {
		run->lost_pages = traced.lost;
		run->torn_pages = traced.torn;
		traced.lost = (struct places){ 0 };
		traced.torn = (struct places){ 0 };
	}
	trace_free(&traced);
}

static enum verdict judge(struct explore *explore, struct run *run, int fd,
			  const char *path, bool look_closely)
{
	struct launch launch = program(explore, path, true);
	const struct cut *cut = &run->cut;
	uint64_t hits = 0, id = 0;
	enum launch_end end;

	/* What has a name before; the rest is traced */
	if (explore->buffer.dir)
		names_walk(&run->names, path);
	launch_prepare(&launch);
	if (cut->at != AT_END)
		id = add_cut(fd, cut, launch.pid);
	end = run_program(explore, &launch, is_off, cut->at == AT_END ? -1 : fd,
			  NULL);
	if (explore->interrupted)
		return INTERRUPTED;
	if (cut->at == AT_END)
		hits = end == LAUNCH_ENDED && !launch.status;
	else
		rule_matches(fd, id, &hits);
	if (!hits)
		return end == LAUNCH_TIME_IS_UP ? HUNG : NOT_REACHED;
	finish_cut(fd, cut, run);
	look_at_trace(explore, run, fd, id);
	if (look_closely && !explore->buffer.dir)
		compare_bytes(explore, fd, run);
	if (explore->keep && explore->has_replay)
		keep_what_is_left(explore, fd, path);
	if (check_what_is_left(explore, path, run, explore->has_replay))
		return PASSED;
	return explore->interrupted ? INTERRUPTED : BROKEN;
}

/**
 * run_cut() - one run with a power cut
 * @explore: of which the dry run has been
 * @run: its cut is what is done; the rest is filled
 * @look_closely: say also which pages differ from the untouched result
 */
void run_cut(struct explore *explore, struct run *run, bool look_closely)
{
	struct space space;

	make_space(&space, &explore->buffer);
	trace_clear();
	run->verdict = judge(explore, run, space.fd, space.path, look_closely);
	end_space(&space);
}

void free_run(struct run *run)
{
	free(run->lost_pages.place);
	free(run->torn_pages.place);
	free(run->differ);
	names_free(&run->names);
	run->lost_pages = (struct places){ 0 };
	run->torn_pages = (struct places){ 0 };
	run->differ = NULL;
}
