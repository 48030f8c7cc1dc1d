// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the verb explore says: how far it is, and what came of it.
 */
#include <sys/wait.h>

#include "explore.h"

#define LL(x) ((unsigned long long)(x))
/* More are told in JSON only */
#define LISTED 10

/* ---- progress ------------------------------------------------------------ */

/* A bar on a terminal, otherwise a line for each tenth. */
void print_progress(const struct explore *explore, uint64_t planned, bool last)
{
	static uint64_t said = UINT64_MAX;
	static double then;
	double rate = explore->seconds > 0 ? explore->done / explore->seconds : 0;
	uint64_t tenth = planned ? explore->done * 10 / planned : 10;

	if (isatty(STDERR_FILENO)) {
		static const char full[] = "####################";
		int done = planned ? explore->done * 20 / planned : 20;

		if (!last && explore->seconds - then < 0.1)
			return;
		then = explore->seconds;
		fprintf(stderr,
			"\r[%-20.*s] %llu of %llu cuts, %zu broken, %.1f a second ",
			done, full, LL(explore->done), LL(planned),
			explore->nr_broken, rate);
		if (last)
			fputc('\n', stderr);
		return;
	}
	if (tenth == said)
		return;
	said = tenth;
	fprintf(stderr,
		"vmademo explore: %llu of %llu cuts, %zu broken, %.1f a second\n",
		LL(explore->done), LL(planned), explore->nr_broken, rate);
}

/* The same of snapshots, while the program runs on. */
void print_taken(uint64_t taken, uint64_t planned)
{
	static uint64_t said = UINT64_MAX;
	uint64_t tenth = taken * 10 / planned;

	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%llu of %llu snapshots in one run ",
			LL(taken), LL(planned));
	else if (tenth != said)
		fprintf(stderr,
			"vmademo explore: %llu of %llu snapshots in one run\n",
			LL(taken), LL(planned));
	said = tenth;
}

/* ---- text ---------------------------------------------------------------- */

/* Numbers in order, as 1, 4-7, 9; not all, if they are many. */
static void print_pages(FILE *f, const uint64_t *pages, size_t nr)
{
	int listed = 0;

	for (size_t i = 0; i < nr; listed++) {
		size_t j = i;

		if (listed == LISTED) {
			fputs(" and others", f);
			return;
		}
		while (j + 1 < nr && pages[j + 1] == pages[j] + 1)
			j++;
		fprintf(f, "%s%llu", listed ? ", " : "", LL(pages[i]));
		if (j > i)
			fprintf(f, "-%llu", LL(pages[j]));
		i = j + 1;
	}
}

/* The same of places: in a directory, each file with its name. */
static void print_places(FILE *f, const struct run *run,
			 const struct places *places)
{
	uint64_t *pages = must_alloc(NULL, places->nr * sizeof(*pages));

	for (size_t i = 0, nr; i < places->nr; i += nr) {
		uint64_t ino = places->place[i].ino;
		const char *name = names_of(&run->names, ino);

		for (nr = 0;
		     i + nr < places->nr && places->place[i + nr].ino == ino;
		     nr++)
			pages[nr] = places->place[i + nr].page;
		fputs(i ? ", and " : "", f);
		print_pages(f, pages, nr);
		if (name)
			fprintf(f, " of %s", name);
	}
	free(pages);
}

/* Of what file or directory the event was; NULL: it is not known.  The root has no name in it. */
static const char *name_at(const struct run *run)
{
	const char *name = run->has_place ? names_of(&run->names, run->at.ino)
					  : NULL;

	return name && *name ? name : NULL;
}

/* Where the cut was, as far as it is known. */
static void print_moment(FILE *f, const struct run *run)
{
	const char *name = name_at(run);
	bool page = run->has_place && is_of_a_page(run->cut.at);

	if (page)
		fprintf(f, "at page %llu", LL(run->at.page));
	if (name)
		fprintf(f, "%s%s", page ? " of " : "at ", name);
	if (run->call)
		fprintf(f, "%sin %s", page || name ? ", " : "", run->call);
	if (page || name || run->call)
		fputs("; ", f);
}

static void print_lost(FILE *f, const struct run *run)
{
	print_moment(f, run);
	if (!run->lost && !run->lost_names)
		fputs("nothing lost", f);
	if (run->lost)
		fprintf(f, "%llu page%s lost", LL(run->lost),
			run->lost > 1 ? "s" : "");
	if (run->lost_pages.nr) {
		fputs(": ", f);
		print_places(f, run, &run->lost_pages);
	}
	if (run->torn_pages.nr) {
		fputs(", of which torn: ", f);
		print_places(f, run, &run->torn_pages);
	}
	if (run->lost_names)
		fprintf(f, "%s%llu operation%s on names or sizes undone",
			run->lost ? "; " : "", LL(run->lost_names),
			run->lost_names > 1 ? "s" : "");
}

static void print_check(FILE *f, const struct run *run)
{
	if (run->check_hung)
		fputs("the check takes too long", f);
	else if (WIFSIGNALED(run->check_status))
		fprintf(f, "the check is killed by %s",
			signal_name(WTERMSIG(run->check_status)));
	else
		fprintf(f, "the check fails with %d",
			WEXITSTATUS(run->check_status));
	if (run->says[0])
		fprintf(f, ": %s", run->says);
}

static void print_broken(FILE *f, const struct run *run)
{
	char *words = cut_words(&run->cut);

	fprintf(f, "  %s  ", words);
	print_lost(f, run);
	fputs("; ", f);
	print_check(f, run);
	fputc('\n', f);
	free(words);
}

static void print_shrunk(const struct explore *explore)
{
	const struct run *run = &explore->shrunk;
	char *words = cut_words(&run->cut);
	FILE *f = explore->file;

	fprintf(f, "Fewest lost pages that were found to break it");
	if (explore->tries)
		fprintf(f, ", with %llu more cuts", LL(explore->tries));
	fprintf(f, ": %s, ", words);
	print_lost(f, run);
	if (run->nr_differ) {
		fputs("; pages that differ from the untouched result: ", f);
		print_pages(f, run->differ, run->nr_differ);
	}
	fputs(".\n", f);
	if (!explore->repeats)
		fputs("Done once more, it did not break: the program does not do the same each time.\n",
		      f);
	fprintf(f,
		"To do it again: the same command with --replay %s --keep FILE\n",
		words);
	free(words);
}

static void print_text(const struct explore *explore)
{
	FILE *f = explore->file;
	uint64_t i;

	fprintf(f,
		"vmademo explore: %llu power cuts of %llu that there are, seed %llu: %zu broken, %llu passed",
		LL(explore->done), LL(explore->combinations), LL(explore->seed),
		explore->nr_broken, LL(explore->passed));
	if (explore->not_reached)
		fprintf(f, ", %llu at events that did not come",
			LL(explore->not_reached));
	if (explore->hung)
		fprintf(f, ", %llu in which the program took too long",
			LL(explore->hung));
	fputs(explore->interrupted ? "; interrupted\n" : "\n", f);
	if (explore->by_snapshots)
		fprintf(f,
			"Of these, %llu by snapshots: the check was run on each of %llu states that there were in %llu run%s.\n",
			LL(explore->by_snapshots), LL(explore->states_checked),
			LL(explore->snapshot_runs),
			explore->snapshot_runs > 1 ? "s" : "");
	fputs("Events without a cut:", f);
	for (i = 0; i < (uint64_t)nr_events(explore); i++)
		fprintf(f, "%s %llu %s", i ? "," : "", LL(explore->events[i]),
			at_names[i]);
	fputc('\n', f);
	if (!explore->same_again)
		fputs("A second run had others: the program does not do the same each time, so a cut may not repeat.\n",
		      f);
	if (!explore->nr_broken)
		return;
	fputs("Broken (SEED:EVENT:NUMBER:WHEN:SHARE:TORN):\n", f);
	for (i = 0; i < explore->nr_broken && i < LISTED; i++)
		print_broken(f, &explore->broken[i]);
	if (i < explore->nr_broken)
		fprintf(f, "  and %llu more, which --report json lists\n",
			LL(explore->nr_broken - i));
	if (!explore->interrupted)
		print_shrunk(explore);
}

/* ---- JSON ---------------------------------------------------------------- */

static void json_pages(const char *name, const uint64_t *pages, size_t nr)
{
	json_open(name, '[');
	for (size_t i = 0; i < nr; i++)
		json_number(NULL, pages[i]);
	json_close(']');
}

/* Numbers; in a directory, such a list for each file. */
static void json_places(const char *name, const struct run *run,
			const struct places *places, bool dir)
{
	json_open(name, '[');
	for (size_t i = 0; i < places->nr; i++) {
		uint64_t ino = places->place[i].ino;
		bool first = !i || places->place[i - 1].ino != ino;
		bool last = i + 1 == places->nr ||
			    places->place[i + 1].ino != ino;

		if (dir && first) {
			json_open(NULL, '{');
			json_string("file", names_of(&run->names, ino));
			json_open("pages", '[');
		}
		json_number(NULL, places->place[i].page);
		if (dir && last) {
			json_close(']');
			json_close('}');
		}
	}
	json_close(']');
}

static void json_moment(const struct run *run)
{
	const char *name = name_at(run);

	json_string("call", run->call);
	if (run->has_place && is_of_a_page(run->cut.at))
		json_number("page", run->at.page);
	if (name)
		json_string("file", name);
}

static void json_run(const char *name, const struct run *run)
{
	char *words = cut_words(&run->cut);

	json_open(name, '{');
	json_string("cut", words);
	json_number("seed", run->cut.seed);
	json_string("event", at_names[run->cut.at]);
	json_number("number", run->cut.number);
	json_string("when", run->cut.after ? "after" : "before");
	json_number("share", run->cut.share);
	json_number("torn", run->cut.torn);
	json_number("lost", run->lost);
	if (run->names.nr)
		json_number("lost_names", run->lost_names);
	json_moment(run);
	if (run->lost_pages.nr == run->lost) {
		json_places("lost_pages", run, &run->lost_pages, run->names.nr);
		json_places("torn_pages", run, &run->torn_pages, run->names.nr);
	}
	if (run->differ)
		json_pages("differ", run->differ, run->nr_differ);
	if (run->check_hung)
		json_string("check", "took too long");
	else if (WIFSIGNALED(run->check_status))
		json_string("check_signal",
			    signal_name(WTERMSIG(run->check_status)));
	else
		json_number("check_status", WEXITSTATUS(run->check_status));
	json_string("says", run->says);
	json_close('}');
	free(words);
}

static void print_json(const struct explore *explore)
{
	report = explore->file;
	json_open(NULL, '{');
	json_number("seed", explore->seed);
	json_open("events", '{');
	for (int i = 0; i < nr_events(explore); i++)
		json_number(at_names[i], explore->events[i]);
	json_close('}');
	json_bool("same_events_again", explore->same_again);
	json_number("there_are", explore->combinations);
	json_number("cuts", explore->done);
	json_number("passed", explore->passed);
	json_number("not_reached", explore->not_reached);
	json_number("hung", explore->hung);
	json_number("by_snapshots", explore->by_snapshots);
	json_number("snapshot_runs", explore->snapshot_runs);
	json_number("states_checked", explore->states_checked);
	json_bool("interrupted", explore->interrupted);
	json_seconds("seconds", explore->seconds);
	json_open("broken", '[');
	for (size_t i = 0; i < explore->nr_broken; i++)
		json_run(NULL, &explore->broken[i]);
	json_close(']');
	if (explore->nr_broken && !explore->interrupted) {
		json_run("fewest_lost", &explore->shrunk);
		json_bool("repeats", explore->repeats);
		json_number("tries", explore->tries);
	}
	json_close('}');
	report = NULL;
}

void print_exploration(struct explore *explore)
{
	if (explore->format == REPORT_JSON)
		print_json(explore);
	else
		print_text(explore);
	close_report(explore->file);
}

/* ---- one cut, done again ------------------------------------------------- */

static const char *const verdicts[] = {
	[PASSED] = "passed",	       [BROKEN] = "broken",
	[NOT_REACHED] = "not reached", [HUNG] = "hung",
	[INTERRUPTED] = "interrupted",
};

void print_replay(const struct explore *explore, const struct run *run)
{
	FILE *f = explore->file;
	char *words;

	if (explore->format == REPORT_JSON) {
		report = f;
		json_open(NULL, '{');
		json_string("verdict", verdicts[run->verdict]);
		json_run("run", run);
		json_close('}');
		report = NULL;
		close_report(f);
		return;
	}
	words = cut_words(&run->cut);
	fprintf(f, "vmademo explore: %s: %s", words, verdicts[run->verdict]);
	free(words);
	if (run->verdict == PASSED || run->verdict == BROKEN) {
		fputs("; ", f);
		print_lost(f, run);
		if (run->nr_differ) {
			fputs("; pages that differ from the untouched result: ",
			      f);
			print_pages(f, run->differ, run->nr_differ);
		}
	}
	if (run->verdict == BROKEN) {
		fputs("; ", f);
		print_check(f, run);
	}
	fputc('\n', f);
	close_report(f);
}
