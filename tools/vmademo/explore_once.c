// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cuts of the verb explore without a run for each: one run of the program, that is stopped at each
 * event at which there is something to cut.  A rule holds whoever meets the event, all others are
 * stopped, and snapshots are taken of what the cuts would leave.  When the program is over, the
 * check is run on each state that is not as another.
 *
 * This only finds out which cuts are harmless.  For any other there is a run of its own, with a
 * cut, which says so again, and what was lost: so what is reported can be done again.
 */
#include <sys/ioctl.h>

#include "explore.h"

/* Rules for events in one run; there are some that count, too */
#define MOST_POINTS (VMADEMO_RULES_MAX - 24)
/* How often it is looked whether a rule holds somebody, in seconds */
#define SOON 0.001
/* When the kernel writes back what is dirty, though nobody asks for it, in hundredths */
#define EXPIRE "/proc/sys/vm/dirty_expire_centisecs"

/* A cut, and the state that it leaves in this run; -1: not known */
struct planned {
	struct cut cut;
	ssize_t state;
	bool tried;
};

/*
 * An event at which a rule holds who meets it.  There may be no cut at it: it is there so that
 * nothing goes on after the one before it.
 */
struct point {
	int at;
	uint64_t number, rule;
	size_t first, nr; /* cuts */
	bool met, gone;
};

struct once {
	struct explore *explore;
	struct planned *planned;
	size_t nr_planned;
	struct point *points;
	size_t nr_points, next[NR_BUFFER_EVENTS]; /* to be met, of each kind */
	uint64_t counting[NR_BUFFER_EVENTS]; /* rules */
	struct space space;
	struct states states;
	double until; /* what is seen later is not what it would be without being held */
	bool over; /* no more of this run; or none at all */
	bool failed;
};

/* ---- which --------------------------------------------------------------- */

/* Where write(2) is about to make a page dirty, it holds locks that a snapshot waits for. */
static bool suffices(const struct explore *explore, const struct cut *cut)
{
	return cut->at != AT_MKWRITE || !explore->writes;
}

static void list_cuts(struct once *once)
{
	struct plan plan = begin_plan(once->explore);
	struct cut cut;

	once->planned = must_alloc(NULL, plan.planned * sizeof(*once->planned));
	while (next_cut(&plan, &cut))
		once->planned[once->nr_planned++] = (struct planned){
			.cut = cut,
			.state = -1,
			.tried = !suffices(once->explore, &cut),
		};
}

static struct point *add_point(struct once *once, int at, uint64_t number)
{
	struct point *point;

	once->points = must_alloc(once->points,
				  (once->nr_points + 1) * sizeof(*point));
	point = &once->points[once->nr_points++];
	*point = (struct point){ .at = at, .number = number };
	return point;
}

/* Is a cut of the plan at the event that comes next after this one's? */
static bool next_is_planned(const struct once *once, size_t i)
{
	const struct cut *cut = &once->planned[i].cut, *next;

	if (i + 1 == once->nr_planned)
		return false;
	next = &once->planned[i + 1].cut;
	return next->at == cut->at && next->number <= cut->number + 1;
}

/* Cuts come in the order of their events, of each kind by itself: so do the points. */
static void list_points(struct once *once)
{
	const uint64_t pages = once->explore->events[AT_WRITE_OUT];

	once->nr_points = 0;
	for (size_t i = 0; i < once->nr_planned; i++) {
		const struct planned *planned = &once->planned[i];
		const struct cut *cut = &planned->cut;
		struct point *point = once->nr_points
					      ? &once->points[once->nr_points - 1]
					      : NULL;

		if (planned->tried || cut->at == AT_END)
			continue;
		if (!point || point->at != cut->at ||
		    point->number != cut->number) {
			if (once->nr_points >= MOST_POINTS)
				return;
			point = add_point(once, cut->at, cut->number);
			point->first = i;
		}
		point->nr = i + 1 - point->first;
		/* The next page that a call writes is not to arrive meanwhile */
		if (cut->after && cut->at == AT_WRITE_OUT &&
		    cut->number < pages && !next_is_planned(once, i))
			add_point(once, cut->at, cut->number + 1);
	}
}

/* ---- rules --------------------------------------------------------------- */

/* An event that a rule acts on is not counted by those that are younger. */
static void add_rules_that_hold(struct once *once)
{
	uint64_t before[NR_BUFFER_EVENTS] = { 0 };
	int fd = once->space.fd;

	for (size_t i = 0; i < once->nr_points; i++) {
		struct point *point = &once->points[i];
		struct vmademo_rule rule = {
			.op = event_ops[point->at],
			.skip = point->number - ++before[point->at],
			.times = 1,
			.delay_us = VMADEMO_DELAY_MAX,
		};

		point->rule = add_rule(fd, &rule);
	}
	for (int at = 0; at < NR_BUFFER_EVENTS; at++) {
		once->next[at] = 0;
		once->counting[at] = add_counting_rule(fd, event_ops[at]);
	}
}

/* The one of this kind that comes next; NULL: there is none. */
static struct point *next_point(struct once *once, int at)
{
	size_t *i = &once->next[at];

	while (*i < once->nr_points &&
	       (once->points[*i].at != at || once->points[*i].gone))
		++*i;
	return *i < once->nr_points ? &once->points[*i] : NULL;
}

/* Somebody has met it, and waits. */
static struct point *held_at(struct once *once)
{
	for (int at = 0; at < NR_BUFFER_EVENTS; at++) {
		struct point *point = next_point(once, at);
		uint64_t hits = 0;

		if (point)
			rule_matches(once->space.fd, point->rule, &hits);
		if (hits)
			return point;
	}
	return NULL;
}

static bool is_held(void *once)
{
	return held_at(once);
}

/* How many have been that change what a cut leaves, and nobody was held at them. */
static uint64_t passed_by(const struct once *once)
{
	int fd = once->space.fd;

	return rule_matches(fd, once->counting[AT_MKWRITE], NULL) +
	       rule_matches(fd, once->counting[AT_WRITE_OUT], NULL);
}

/* ---- one run ------------------------------------------------------------- */

/*
 * How long a run can be, in seconds: until the first of its pages would be written back, or what
 * a rule holds would go on.  Somebody may have stopped this command, too.
 */
static double longest(void)
{
	double seconds = VMADEMO_DELAY_MAX / 1e6, expire;
	FILE *file = fopen(EXPIRE, "re");

	if (file && fscanf(file, "%lf", &expire) == 1 && expire / 100 < seconds)
		seconds = expire / 100;
	if (file)
		fclose(file);
	/* The rest is for the program, which goes on to its end */
	return seconds / 2;
}

/* What cuts would leave now; everybody is stopped. */
static void take(struct once *once, size_t first, size_t nr, bool after)
{
	for (size_t i = first; i < first + nr && !once->over; i++) {
		struct planned *planned = &once->planned[i];
		struct vmademo_crash crash = {
			.seed = planned->cut.seed,
			.written_permille = planned->cut.share,
			.torn = planned->cut.torn,
			.flags = VMADEMO_FD_CLOEXEC | VMADEMO_SNAPSHOT_STOPPED,
		};
		int fd;

		if (planned->tried || planned->cut.after != after)
			continue;
		fd = ioctl(once->space.fd, VMADEMO_IOC_SNAPSHOT, &crash);
		if (fd < 0) {
			/* No room; or an older module, and then no other will do */
			once->over = true;
			once->failed = errno == EINVAL;
			return;
		}
		if (now() < once->until)
			planned->state = keep_state(once->explore,
						    &once->states, fd);
		planned->tried = planned->state >= 0;
		once->over |= !planned->tried;
		close(fd);
	}
}

/* Returns how many cuts there are about which something was found out. */
static size_t tried(const struct once *once)
{
	size_t n = 0;

	for (size_t i = 0; i < once->nr_planned; i++)
		n += once->planned[i].tried;
	return n;
}

static bool has_after(const struct once *once, const struct point *point)
{
	return point->nr && once->planned[point->first + point->nr - 1].cut.after;
}

/* Everybody is stopped, or it is over. */
static bool stop(struct once *once)
{
	if (stop_all(is_held, once))
		return true;
	once->over = true;
	once->failed = true;
	return false;
}

static void let_pass(struct once *once, struct point *point)
{
	uint64_t hits;

	rule_matches(once->space.fd, point->rule, &hits);
	point->met = hits;
	point->gone = true;
	delete_rules(once->space.fd, point->rule);
}

/* At a point, and at those that come before anybody is back in the program. */
static void hold(struct once *once, struct point *point)
{
	for (; point && !once->over && stop(once); point = held_at(once)) {
		uint64_t by;

		take(once, point->first, point->nr, false);
		by = passed_by(once);
		let_pass(once, point);
		if (!has_after(once, point) || !stop(once))
			continue;
		/* It is done; and if something else is, too, this is another moment */
		if (passed_by(once) == by)
			take(once, point->first, point->nr, true);
	}
	print_taken(tried(once), once->nr_planned);
	for (size_t i = 0; once->over && i < once->nr_points; i++)
		if (!once->points[i].gone)
			let_pass(once, &once->points[i]);
	continue_all();
}

/* Did it meet the same events as without being held? */
static bool was_the_same(struct once *once)
{
	for (int at = 0; at < NR_BUFFER_EVENTS; at++) {
		uint64_t n = rule_matches(once->space.fd, once->counting[at],
					  NULL);

		for (size_t i = 0; i < once->nr_points; i++)
			n += once->points[i].at == at && once->points[i].met;
		if (n != once->explore->events[at])
			return false;
	}
	return true;
}

/* Returns whether what it has found can be relied on. */
static bool run_once(struct once *once)
{
	struct explore *explore = once->explore;
	struct launch launch;
	enum launch_end end;
	double until;

	make_space(&once->space, &explore->buffer);
	launch = program(explore, once->space.path, true);
	launch.poll_every = SOON;
	launch_prepare(&launch);
	add_rules_that_hold(once);
	once->until = now() + longest();
	begin_program(&launch);
	until = now() + explore->timeout;
	for (;;) {
		double began;

		end = launch_wait(&launch, until, is_held, once);
		if (end != LAUNCH_POLLED)
			break;
		began = now();
		hold(once, held_at(once));
		until += now() - began;
	}
	launch_kill_all(&launch);
	explore->interrupted |= end == LAUNCH_SIGNAL;
	if (end != LAUNCH_ENDED || launch.status || !was_the_same(once))
		return false;
	for (size_t i = 0; i < once->nr_planned; i++)
		if (once->planned[i].cut.at == AT_END)
			take(once, i, 1, true);
	return true;
}

/* ---- all runs ------------------------------------------------------------ */

/* The check on each state; what it says is so of all cuts that leave that. */
static void check_states(struct once *once)
{
	struct explore *explore = once->explore;

	for (size_t i = 0; i < once->states.nr && !explore->interrupted; i++) {
		bool good = check_state(explore, &once->states.state[i]);

		explore->states_checked++;
		for (size_t j = 0; good && j < once->nr_planned; j++) {
			if (once->planned[j].state != (ssize_t)i)
				continue;
			explore->good[j] = true;
			explore->by_snapshots++;
			explore->passed++;
			explore->done++;
		}
		explore->seconds = now() - explore->began;
		if (good)
			print_progress(explore, explore->planned,
				       explore->done == explore->planned);
	}
	for (size_t j = 0; j < once->nr_planned; j++)
		once->planned[j].state = -1;
}

/**
 * explore_once() - find out which of the cuts are harmless, by few runs
 * @explore: of which the dry run has been; they are noted in its good
 *
 * Nothing is found out about a program that does not do the same each time, or with a module that
 * is too old.
 */
void explore_once(struct explore *explore)
{
	struct once once = { .explore = explore };
	size_t before = SIZE_MAX;

	if (explore->buffer.dir || !explore->same_again || explore->reshaped)
		return;
	list_cuts(&once);
	explore->good = must_alloc(NULL, once.nr_planned);
	memset(explore->good, false, once.nr_planned);
	/* As long as each run finds something out */
	while (!once.failed && !explore->interrupted &&
	       tried(&once) < once.nr_planned && tried(&once) != before) {
		before = tried(&once);
		once.over = false;
		list_points(&once);
		once.failed |= !run_once(&once);
		end_space(&once.space);
		explore->snapshot_runs++;
		if (!once.failed)
			check_states(&once);
		free_states(&once.states);
	}
	free(once.points);
	free(once.planned);
}
