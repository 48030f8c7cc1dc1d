// SPDX-License-Identifier: GPL-2.0-only
/*
 * The verb exec: runs a program on a buffer of its own, and reports what it did to it.
 */
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "trace.h"

/* Calls that rules count, and no counter does. */
static const uint32_t calls[] = { VMADEMO_OP_MMAP, VMADEMO_OP_READ,
				  VMADEMO_OP_WRITE, VMADEMO_OP_ALLOCATE };
#define NR_CALLS ARRAY_SIZE(calls)
/* How long a program has to end after SIGTERM, in seconds */
#define GRACE 5

struct exec {
	struct buffer_options buffer;
	const char *keep;
	double duration, seconds;
	enum report_format format;
	FILE *file;
	struct space space;
	int fd; /* of space */
	struct launch launch;
	uint64_t call_rules[NR_CALLS], called[NR_CALLS];
	uint64_t *hits, *matches; /* of each rule of buffer */
	bool ended_by_us; /* as --duration says, and as it was asked to */
	struct vmademo_stats stats;
	struct vmademo_info info;
	struct times times[NR_TIMES];
	int nr_times;
	struct names names; /* of a directory */
	struct traced traced;
};

static int parse(struct exec *exec, int argc, char **argv)
{
	static const struct option options[] = {
		BUFFER_OPTIONS,
		{ "init", required_argument, NULL, OPT_INIT },
		{ "dir", no_argument, NULL, OPT_DIR },
		{ "names", required_argument, NULL, OPT_NAMES },
		{ "seed-from", required_argument, NULL, OPT_SEED_FROM },
		{ "keep", required_argument, NULL, OPT_KEEP },
		{ "duration", required_argument, NULL, 'd' },
		{ "report", required_argument, NULL, OPT_REPORT },
		{ "output", required_argument, NULL, 'o' },
		COMMON_OPTIONS,
		{ 0 }
	};
	const char *output = NULL;
	bool has_size = false;
	int opt;

	exec->buffer.size = 64 << 20;
	while ((opt = next_option(argc, argv, options)) != -1) {
		has_size |= opt == OPT_SIZE;
		if (opt == OPT_INIT)
			exec->buffer.init = optarg;
		else if (opt == OPT_DIR)
			exec->buffer.dir = true;
		else if (opt == OPT_NAMES)
			exec->buffer.names = optarg;
		else if (opt == OPT_SEED_FROM)
			exec->buffer.seed_from = optarg;
		else if (opt == OPT_KEEP)
			exec->keep = optarg;
		else if (opt == 'd')
			exec->duration = parse_seconds("--duration", optarg);
		else if (opt == OPT_REPORT)
			exec->format = parse_report(optarg);
		else if (opt == 'o')
			output = optarg;
		else
			buffer_option(&exec->buffer, opt);
	}
	if (optind == argc)
		bad_usage("PROGRAM is missing");
	check_start(&exec->buffer);
	if (exec->keep && !exec->buffer.dir)
		bad_usage("--keep is for --dir: the buffer is a file, which the program can copy");
	if (exec->keep)
		must_be_empty("--keep", exec->keep);
	if (!has_size && exec->buffer.path)
		exec->buffer.size = 0;
	exec->file = open_report(output, stderr);
	return optind;
}

/* ---- the run ------------------------------------------------------------- */

/*
 * The rules that count come first: an event is met by the oldest that acts, and the others
 * do not count it.
 */
static void make_rules(struct exec *exec)
{
	size_t i;

	for (i = 0; i < NR_CALLS; i++)
		exec->call_rules[i] = add_counting_rule(exec->fd, calls[i]);
	for (i = 0; i < exec->buffer.nr_rules; i++) {
		struct vmademo_rule *rule = &exec->buffer.rules[i];

		/* A write-out is nobody's; who is killed is clear here */
		if (rule->flags & VMADEMO_RULE_KILL && !rule->pid)
			rule->pid = rule->op == VMADEMO_OP_WRITE_OUT ||
						    rule->op == VMADEMO_OP_FLUSH
					    ? exec->launch.pid
					    : 0;
		add_rule(exec->fd, rule);
	}
}

static void wait_for_end(struct exec *exec)
{
	double until = exec->duration ? now() + exec->duration : 0;
	struct launch *launch = &exec->launch;
	int next = SIGTERM;

	for (;;) {
		enum launch_end end = launch_wait(launch, until, NULL, NULL);

		if (end == LAUNCH_ENDED)
			break;
		if (end == LAUNCH_SIGNAL) {
			/* What a terminal sends, it sends to the program too */
			if (launch_signal_sent)
				kill(launch->pid, launch_signal);
			continue;
		}
		kill(launch->pid, next);
		exec->ended_by_us = next == SIGTERM;
		until = next == SIGTERM ? now() + GRACE : 0;
		next = SIGKILL;
	}
	/* It may have left others behind, which would run for ever */
	if (next == SIGKILL)
		launch_kill_all(launch);
	if (exec->ended_by_us)
		exec->ended_by_us = WIFSIGNALED(launch->status) &&
				    WTERMSIG(launch->status) == SIGTERM;
}

/*
 * A rule that cuts the power only marks it as off, and the cut follows.  To switch on what
 * comes back by itself, or off what stays off, changes nothing, and waits for that.
 */
static void wait_for_cut(struct exec *exec)
{
	struct vmademo_power power = { 0 };
	bool was_cut = false;

	for (size_t i = 0; i < exec->buffer.nr_rules; i++) {
		const struct vmademo_rule *rule = &exec->buffer.rules[i];

		if (!exec->hits[i] || !(rule->flags & VMADEMO_RULE_CRASH))
			continue;
		was_cut = true;
		if (rule->flags & VMADEMO_RULE_OFF)
			power.flags = VMADEMO_POWER_OFF;
	}
	if (was_cut && ioctl(exec->fd, VMADEMO_IOC_POWER, &power))
		die_errno("VMADEMO_IOC_POWER");
}

static void look(struct exec *exec, const struct vmademo_stats *before)
{
	size_t i, n = exec->buffer.nr_rules;

	for (i = 0; i < NR_CALLS; i++)
		exec->called[i] = rule_matches(exec->fd, exec->call_rules[i],
					       NULL);
	exec->hits = must_alloc(NULL, n * sizeof(uint64_t));
	exec->matches = must_alloc(NULL, n * sizeof(uint64_t));
	for (i = 0; i < n; i++)
		exec->matches[i] = rule_matches(
			exec->fd, exec->buffer.rules[i].id, &exec->hits[i]);
	wait_for_cut(exec);
	get_stats(exec->fd, &exec->stats);
	/* What was there before is not the program's doing */
	for (i = 0; i < nr_counters; i++)
		*(uint64_t *)((char *)&exec->stats + counters[i].offset) -=
			counter_of(before, i);
	get_info(exec->fd, &exec->info);
	exec->nr_times = latency_read(exec->info.ino, exec->times);
	if (exec->buffer.dir)
		names_walk(&exec->names, exec->space.path);
	trace_read(exec->info.ino, exec->buffer.dir ? &exec->names : NULL,
		   exec->launch.pid, &exec->traced);
}

/* ---- the report ---------------------------------------------------------- */

#define LL(x) ((unsigned long long)(x))

/* It is known only if it was SIGBUS, and by a page of this buffer. */
static bool knows_page(const struct exec *exec)
{
	return WIFSIGNALED(exec->launch.status) &&
	       WTERMSIG(exec->launch.status) == SIGBUS &&
	       exec->traced.has_sigbus;
}

static void print_times(const struct times *times, FILE *f)
{
	char *half = latency_words(times->median_below);
	char *all = latency_words(times->longest_below);

	fprintf(f, "  times of %-10s %llu, half of them under %s, all under %s\n",
		times->kind, LL(times->count), half, all);
	free(half);
	free(all);
}

/* Of a flush there are no pages. */
static bool tells_pages(const struct hit_pages *pages,
			const struct vmademo_rule *rule)
{
	return pages->id == rule->id && rule->op != VMADEMO_OP_FLUSH;
}

static void print_hits(const struct exec *exec, FILE *f,
		       const struct vmademo_rule *rule)
{
	for (size_t i = 0; i < exec->traced.nr_hits; i++) {
		const struct hit_pages *pages = &exec->traced.hits[i];
		const char *name = names_of(&exec->names, pages->ino);

		if (!tells_pages(pages, rule))
			continue;
		for (size_t j = 0; j < pages->nr; j++)
			fprintf(f, "%s%llu", j ? ", " : ", at page ",
				LL(pages->pages[j]));
		fprintf(f, "%s%s%s", pages->more ? " and others" : "",
			name ? " of " : "", name ? name : "");
	}
}

static void print_rules(const struct exec *exec, FILE *f)
{
	for (size_t i = 0; i < exec->buffer.nr_rules; i++) {
		const struct vmademo_rule *rule = &exec->buffer.rules[i];
		char *words = rule_words(rule);

		fprintf(f, "  rule %-14llu %s: acted on %llu of %llu events",
			LL(i + 1), words, LL(exec->hits[i]),
			LL(exec->matches[i]));
		print_hits(exec, f, rule);
		fputc('\n', f);
		free(words);
	}
}

static void print_text(const struct exec *exec)
{
	const struct vmademo_stats *s = &exec->stats;
	int status = exec->launch.status;
	FILE *f = exec->file;

	fprintf(f, "vmademo exec: ");
	if (exec->ended_by_us)
		fprintf(f, "ended after %.3f s, as --duration says\n",
			exec->seconds);
	else if (WIFSIGNALED(status))
		fprintf(f, "killed by %s after %.3f s\n",
			signal_name(WTERMSIG(status)), exec->seconds);
	else
		fprintf(f, "exit status %d after %.3f s\n", WEXITSTATUS(status),
			exec->seconds);
	if (knows_page(exec))
		fprintf(f, "  SIGBUS              by touching page %llu of %s\n",
			LL(exec->traced.sigbus.page),
			exec->buffer.dir
				? names_of(&exec->names, exec->traced.sigbus.ino)
				: "the buffer");
	fprintf(f,
		"  calls               %llu mmap, %llu read, %llu write, %llu fallocate\n",
		LL(exec->called[0]), LL(exec->called[1]), LL(exec->called[2]),
		LL(exec->called[3]));
	fprintf(f,
		"  faults              %llu to read, %llu to write, %llu to copy; %llu spared by mapping around\n",
		LL(s->read_faults), LL(s->write_faults), LL(s->cow_faults),
		LL(s->fault_around_hits));
	if (s->sigbus)
		fprintf(f, "  ended in SIGBUS     %llu\n", LL(s->sigbus));
	fprintf(f, "  first writes        %llu\n", LL(s->first_writes));
	fprintf(f, "  made dirty          %llu bytes\n", LL(s->dirtied_bytes));
	fprintf(f, "  written back        %llu bytes%s\n", LL(s->written_bytes),
		exec->buffer.store == VMADEMO_STORE_NONE
			? ", to store none, which keeps nothing"
			: "");
	if (s->read_in_bytes)
		fprintf(f, "  read in             %llu bytes\n",
			LL(s->read_in_bytes));
	fprintf(f,
		"  flushes             %llu by fsync, %llu by msync or fdatasync\n",
		LL(s->flushes), LL(s->data_flushes));
	for (int i = 0; i < exec->nr_times; i++)
		print_times(&exec->times[i], f);
	if (s->read_errors || s->write_errors)
		fprintf(f,
			"  errors              %llu reading in, %llu writing out\n",
			LL(s->read_errors), LL(s->write_errors));
	if (s->lost_bytes)
		fprintf(f, "  lost                %llu bytes\n",
			LL(s->lost_bytes));
	fprintf(f, "  left dirty          %llu bytes%s\n",
		LL(exec->info.dirty_bytes),
		exec->info.dirty_bytes ? ": no msync or fsync came after them"
				       : "");
	print_rules(exec, f);
}

static void json_hits(const struct exec *exec, const struct vmademo_rule *rule)
{
	if (exec->buffer.dir)
		json_open("files", '[');
	for (size_t i = 0; i < exec->traced.nr_hits; i++) {
		const struct hit_pages *pages = &exec->traced.hits[i];

		if (!tells_pages(pages, rule))
			continue;
		if (exec->buffer.dir) {
			json_open(NULL, '{');
			json_string("file", names_of(&exec->names, pages->ino));
		}
		json_open("pages", '[');
		for (size_t j = 0; j < pages->nr; j++)
			json_number(NULL, pages->pages[j]);
		json_close(']');
		json_bool("more_pages", pages->more);
		if (exec->buffer.dir)
			json_close('}');
	}
	if (exec->buffer.dir)
		json_close(']');
}

static void json_rules(const struct exec *exec)
{
	json_open("rules", '[');
	for (size_t i = 0; i < exec->buffer.nr_rules; i++) {
		const struct vmademo_rule *rule = &exec->buffer.rules[i];
		char *words = rule_words(rule);

		json_open(NULL, '{');
		json_string("rule", words);
		json_number("hits", exec->hits[i]);
		json_number("matches", exec->matches[i]);
		json_hits(exec, rule);
		json_close('}');
		free(words);
	}
	json_close(']');
}

static void print_json(const struct exec *exec)
{
	int status = exec->launch.status;
	size_t i;

	report = exec->file;
	json_open(NULL, '{');
	json_seconds("seconds", exec->seconds);
	if (WIFSIGNALED(status))
		json_string("signal", signal_name(WTERMSIG(status)));
	else
		json_number("exit_status", WEXITSTATUS(status));
	json_bool("ended_by_duration", exec->ended_by_us);
	if (knows_page(exec)) {
		json_number("sigbus_page", exec->traced.sigbus.page);
		if (exec->buffer.dir)
			json_string("sigbus_file",
				    names_of(&exec->names,
					     exec->traced.sigbus.ino));
	}
	json_open("calls", '{');
	for (i = 0; i < NR_CALLS; i++)
		json_number(op_names[calls[i]], exec->called[i]);
	json_close('}');
	json_open("counters", '{');
	for (i = 0; i < nr_counters; i++)
		json_number(counters[i].name, counter_of(&exec->stats, i));
	json_close('}');
	json_number("left_dirty_bytes", exec->info.dirty_bytes);
	json_open("times", '{');
	for (i = 0; i < (size_t)exec->nr_times; i++) {
		json_open(exec->times[i].kind, '{');
		json_number("count", exec->times[i].count);
		json_number("half_below_ns", exec->times[i].median_below);
		json_number("all_below_ns", exec->times[i].longest_below);
		json_close('}');
	}
	json_close('}');
	json_rules(exec);
	json_close('}');
	report = NULL;
}

/* ---- the verb ------------------------------------------------------------ */

int verb_exec(int argc, char **argv)
{
	struct exec exec = {
		.launch = { .in = -1, .out = -1, .err = -1, .ack = -1 }
	};
	struct vmademo_stats before;
	bool used = false;
	double began;
	int err;

	exec.launch.argv = argv + parse(&exec, argc, argv);
	launch_block_signals();
	/* What the program leaves behind comes to us */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	make_space(&exec.space, &exec.buffer);
	exec.fd = exec.space.fd;
	get_stats(exec.fd, &before);
	exec.launch.path = exec.space.path;
	launch_prepare(&exec.launch);
	make_rules(&exec);
	latency_begin();
	trace_run(false);
	began = now();
	err = launch_go(&exec.launch);
	if (err)
		launch_cannot(&exec.launch, err);
	wait_for_end(&exec);
	exec.seconds = now() - began;
	look(&exec, &before);
	if (exec.keep)
		copy_tree("--keep", exec.space.path, exec.keep, false);
	if (exec.format == REPORT_JSON)
		print_json(&exec);
	else
		print_text(&exec);
	close_report(exec.file);
	for (size_t i = 0; i < NR_CALLS; i++)
		used |= exec.called[i];
	if (!used) {
		complain("THE PROGRAM DID NOT USE THE %s: it never mapped, read or wrote it, so this run says nothing.",
			 exec.buffer.dir ? "DIRECTORY" : "BUFFER");
		fprintf(stderr,
			"Does it have an argument with @, and does it open that path unchanged?  A program that resolves links first, as sqlite3 does, finds no file.\n");
		return STATUS_OWN;
	}
	end_space(&exec.space);
	if (exec.ended_by_us)
		return 0;
	return exit_status_of(exec.launch.status);
}
