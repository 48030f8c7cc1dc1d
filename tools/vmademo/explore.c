// SPDX-License-Identifier: GPL-2.0-only
/*
 * The verb explore: runs a program again and again, cuts the power at an event each time, and
 * has a check say whether what is left is good.
 */
#include <signal.h>
#include <sys/prctl.h>

#include "explore.h"

#define CUTS	200
#define TIMEOUT 60
#define JOBS	256
/* What is compared and kept is looked at page by page */
#define MOST (16ULL << 30)
/* To lose fewer pages: so many at the fewest, by so many seeds each */
#define FEWEST 4
#define SEEDS  8

static void parse(struct explore *explore, int argc, char **argv)
{
	static const struct option options[] = {
		{ "check", required_argument, NULL, OPT_CHECK },
		{ "ack", required_argument, NULL, OPT_ACK },
		{ "cuts", required_argument, NULL, OPT_CUTS },
		{ "all", no_argument, NULL, OPT_ALL },
		{ "first", no_argument, NULL, OPT_FIRST_BROKEN },
		{ "seed", required_argument, NULL, OPT_SEED },
		{ "jobs", required_argument, NULL, 'j' },
		{ "no-snapshots", no_argument, NULL, OPT_NO_SNAPSHOTS },
		{ "replay", required_argument, NULL, OPT_REPLAY },
		{ "keep", required_argument, NULL, OPT_KEEP },
		{ "size", required_argument, NULL, OPT_SIZE },
		{ "init", required_argument, NULL, OPT_INIT },
		{ "dir", no_argument, NULL, OPT_DIR },
		{ "names", required_argument, NULL, OPT_NAMES },
		{ "seed-from", required_argument, NULL, OPT_SEED_FROM },
		{ "timeout", required_argument, NULL, OPT_TIMEOUT },
		{ "report", required_argument, NULL, OPT_REPORT },
		{ "output", required_argument, NULL, 'o' },
		COMMON_OPTIONS,
		{ 0 }
	};
	const char *output = NULL;
	int opt;

	while ((opt = next_option(argc, argv, options)) != -1) {
		switch (opt) {
		case OPT_CHECK:
			explore->check = optarg;
			break;
		case OPT_ACK:
			explore->ack = optarg;
			break;
		case OPT_CUTS:
			explore->cuts = parse_number("--cuts", optarg, 1,
						     UINT64_MAX);
			break;
		case OPT_ALL:
			explore->all = true;
			break;
		case OPT_FIRST_BROKEN:
			explore->first = true;
			break;
		case OPT_SEED:
			explore->seed = parse_number("--seed", optarg, 0,
						     UINT64_MAX);
			break;
		case 'j':
			explore->jobs = parse_number("--jobs", optarg, 1, JOBS);
			break;
		case OPT_NO_SNAPSHOTS:
			explore->no_snapshots = true;
			break;
		case OPT_REPLAY:
			parse_cut(&explore->replay, optarg);
			explore->has_replay = true;
			break;
		case OPT_KEEP:
			explore->keep = optarg;
			break;
		case OPT_SIZE:
			explore->buffer.size = parse_size("--size", optarg);
			break;
		case OPT_INIT:
			explore->buffer.init = optarg;
			break;
		case OPT_DIR:
			explore->buffer.dir = true;
			break;
		case OPT_NAMES:
			explore->buffer.names = optarg;
			break;
		case OPT_SEED_FROM:
			explore->buffer.seed_from = optarg;
			break;
		case OPT_TIMEOUT:
			explore->timeout = parse_seconds("--timeout", optarg);
			break;
		case OPT_REPORT:
			explore->format = parse_report(optarg);
			break;
		case 'o':
			output = optarg;
			break;
		}
	}
	if (optind == argc)
		bad_usage("PROGRAM is missing");
	check_start(&explore->buffer);
	if (explore->has_replay && explore->replay.at != AT_END &&
	    explore->replay.at >= nr_events(explore))
		bad_usage("--replay: a buffer has no %s: that is for --dir",
			  at_names[explore->replay.at]);
	if (explore->keep && !explore->has_replay)
		bad_usage("--keep is for --replay, which does one cut");
	if (explore->keep && explore->buffer.dir)
		must_be_empty("--keep", explore->keep);
	if (explore->check && !has_at(explore->check))
		bad_usage("--check: there is no @ in \"%s\", so it cannot see the buffer",
			  explore->check);
	if (!explore->buffer.size ||
	    (explore->buffer.size > MOST && !explore->buffer.dir))
		bad_usage("--size: from 1 byte to 16G");
	explore->argv = argv + optind;
	explore->file = open_report(output, stdout);
}

/* ---- all cuts ------------------------------------------------------------ */

static void count_run(struct explore *explore, struct run *run)
{
	switch (run->verdict) {
	case PASSED:
		explore->passed++;
		break;
	case NOT_REACHED:
		explore->not_reached++;
		break;
	case HUNG:
		explore->hung++;
		break;
	case INTERRUPTED:
		free_run(run);
		return;
	case BROKEN:
		explore->broken = must_alloc(
			explore->broken, (explore->nr_broken + 1) * sizeof(*run));
		explore->broken[explore->nr_broken++] = *run;
		explore->done++;
		return;
	}
	explore->done++;
	free_run(run);
}

/* Takes what came of one, in order; returns whether it goes on. */
static bool keep_run(struct explore *explore, struct run *run)
{
	bool last;

	if (run->verdict == INTERRUPTED)
		explore->interrupted = true;
	count_run(explore, run);
	explore->seconds = now() - explore->began;
	last = explore->interrupted || explore->done == explore->planned ||
	       (explore->first && explore->nr_broken);
	print_progress(explore, explore->planned, last);
	return !last;
}

static void run_all(struct explore *explore)
{
	struct plan plan = begin_plan(explore);
	struct cut cut;

	explore->began = now();
	explore->planned = plan.planned;
	if (!explore->no_snapshots)
		explore_once(explore);
	if (explore->interrupted)
		return;
	trace_run(true);
	if (explore->jobs > 1) {
		run_jobs(explore, keep_run);
		return;
	}
	while (next_cut(&plan, &cut)) {
		struct run run = { .cut = cut };

		run_cut(explore, &run, false);
		if (!keep_run(explore, &run))
			break;
	}
}

/* ---- shrinking ----------------------------------------------------------- */

/* Tries a cut; if it breaks with fewer lost pages, it is the best so far. */
static bool try(struct explore *explore, const struct cut *cut, uint64_t *dirty)
{
	struct run run = { .cut = *cut };

	run_cut(explore, &run, false);
	explore->tries++;
	if (dirty)
		*dirty = run.lost;
	if (run.verdict == BROKEN && run.lost < explore->shrunk.lost) {
		free_run(&explore->shrunk);
		explore->shrunk = run;
		return true;
	}
	free_run(&run);
	return false;
}

/*
 * Begins with the broken one that lost the fewest pages, and has fewer of what is dirty at
 * the same event lost: one, two, and so on, chosen by several seeds.
 */
static void shrink(struct explore *explore)
{
	struct run *best = &explore->broken[0], again;
	uint64_t dirty = 0;
	struct cut cut;

	for (size_t i = 1; i < explore->nr_broken; i++)
		if (explore->broken[i].lost < best->lost)
			best = &explore->broken[i];
	explore->shrunk = *best;
	/* What it has is best's */
	explore->shrunk.lost_pages = (struct places){ 0 };
	explore->shrunk.torn_pages = (struct places){ 0 };
	explore->shrunk.names = (struct names){ 0 };
	cut = best->cut;
	cut.torn = 0;
	if (best->lost > 1) {
		cut.share = 0;
		try(explore, &cut, &dirty);
	}
	for (uint64_t lose = 1;
	     lose <= FEWEST && lose < dirty && lose < explore->shrunk.lost;
	     lose++) {
		cut.share = ((dirty - lose) * 1000 + dirty / 2) / dirty;
		for (cut.seed = 1; cut.seed <= SEEDS && !explore->interrupted;
		     cut.seed++)
			if (try(explore, &cut, NULL))
				break;
	}
	if (explore->interrupted)
		return;
	/* Once more, to see what is different, and whether it repeats */
	again = (struct run){ .cut = explore->shrunk.cut };
	run_cut(explore, &again, true);
	explore->repeats = again.verdict == BROKEN &&
			   again.lost == explore->shrunk.lost;
	if (explore->repeats) {
		free_run(&explore->shrunk);
		explore->shrunk = again;
	}
}

/* ---- the verb ------------------------------------------------------------ */

static int replay(struct explore *explore)
{
	struct run run = { .cut = explore->replay };

	trace_run(true);
	run_cut(explore, &run, true);
	print_replay(explore, &run);
	switch (run.verdict) {
	case PASSED:
		return 0;
	case BROKEN:
		return STATUS_FAILED;
	case INTERRUPTED:
		return 128 + launch_signal;
	default:
		return STATUS_OWN;
	}
}

/*
 * A rule that stays, for as long as this process does.  Without it, that of each run would be the
 * first and the last one there is, and the kernel's code be patched for it.
 */
static void keep_a_rule(void)
{
	static const struct buffer_options small = {
		.size = 1,
		.store = VMADEMO_STORE_NONE,
	};

	add_counting_rule(create_buffer(&small), VMADEMO_OP_READ);
}

int verb_explore(int argc, char **argv)
{
	struct explore explore = {
		.cuts = CUTS,
		.seed = 1,
		.jobs = 1,
		.timeout = TIMEOUT,
		.buffer = {
			.size = 64 << 20,
			.store = VMADEMO_STORE_RAM,
			/* What is lost is lost by pages */
			.folio_size = page_size(),
		},
	};

	parse(&explore, argc, argv);
	if (!explore.buffer.dir)
		explore.pages = (explore.buffer.size + page_size() - 1) /
				page_size();
	keep_a_rule();
	launch_block_signals();
	/* What the program leaves behind comes to us, to be killed */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	dry_run(&explore);
	if (explore.has_replay)
		return replay(&explore);
	run_all(&explore);
	if (explore.nr_broken && !explore.interrupted)
		shrink(&explore);
	else if (explore.nr_broken)
		explore.shrunk = explore.broken[0];
	print_exploration(&explore);
	if (explore.interrupted)
		return 128 + launch_signal;
	if (explore.nr_broken)
		return STATUS_FAILED;
	/* Little was seen */
	return explore.passed > explore.not_reached + explore.hung ? 0
								   : STATUS_OWN;
}
