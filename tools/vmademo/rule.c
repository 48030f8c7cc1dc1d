// SPDX-License-Identifier: GPL-2.0-only
/*
 * Verbs of rules: add, list, del.
 */
#include <libsmartcols/libsmartcols.h>

#include "vmademo.h"

/* The last one that a file can have */
#define MAX_PAGE (INT64_MAX / page_size())

static char *more_words(char *words, const char *more)
{
	char *longer = words ? must_print("%s,%s", words, more)
			     : must_print("%s", more);

	free(words);
	return longer;
}

/* 7, or 10-20, of which both are meant. */
static char *words_of_pages(const char *text)
{
	char *first = must_print("%s", text), *last = strchr(first, '-');
	uint64_t from, to;

	if (last)
		*last++ = '\0';
	from = parse_number("--pages", first, 0, MAX_PAGE);
	to = last ? parse_number("--pages", last, 0, MAX_PAGE) : from;
	free(first);
	if (to < from)
		bad_usage("--pages %s: the last is before the first", text);
	return must_print("start=%llu,nr=%llu", (unsigned long long)from,
			  (unsigned long long)(to - from + 1));
}

/* The words of an option, which says the same more plainly. */
static char *words_of(int option, const char *value)
{
	switch (option) {
	case OPT_ON:
		return must_print("op=%s", value);
	case OPT_PAGES:
		return words_of_pages(value);
	case OPT_SKIP:
		return must_print("skip=%s", value);
	case OPT_TIMES:
		return must_print("times=%s", value);
	default:
		return must_print("status=%s", value);
	}
}

/* The words may have commas between them, or be arguments of their own, or both. */
static int verb_rule_add(int argc, char **argv)
{
	static const struct option options[] = {
		{ "on", required_argument, NULL, OPT_ON },
		{ "pages", required_argument, NULL, OPT_PAGES },
		{ "skip", required_argument, NULL, OPT_SKIP },
		{ "times", required_argument, NULL, OPT_TIMES },
		{ "fail", required_argument, NULL, OPT_FAIL },
		COMMON_OPTIONS,
		{ 0 }
	};
	struct vmademo_rule rule;
	char *words = NULL, *more;
	const char *target;
	int option;

	while ((option = next_option(argc, argv, options)) != -1) {
		more = words_of(option, optarg);
		words = more_words(words, more);
		free(more);
	}
	target = one_argument(argc, argv, "TARGET");
	if (!words && optind == argc)
		bad_usage("there are no WORDS, as op=mkwrite, and no --on");
	while (optind < argc)
		words = more_words(words, argv[optind++]);
	parse_rule(&rule, words);
	free(words);
	printf("%llu\n", (unsigned long long)add_rule(
				 open_target(target, TARGET_CHANGE), &rule));
	return 0;
}

static int verb_rule_list(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, OPT_JSON }, COMMON_OPTIONS, { 0 }
	};
	struct vmademo_rule rule = { 0 };
	struct libscols_table *table;
	const char *target;
	bool json = false;
	int fd;

	while (next_option(argc, argv, options) != -1)
		json = true;
	target = one_argument(argc, argv, NULL);
	no_more_arguments(argc, argv);
	fd = open_target(target ? target : NODE, 0);
	table = new_table("rules", json);
	add_column(table, "ID", COLUMN_NUMBER);
	add_column(table, "HITS", COLUMN_NUMBER);
	add_column(table, "MATCHES", COLUMN_NUMBER);
	add_column(table, "RULE", 0);
	while (next_rule(fd, &rule)) {
		struct libscols_line *line = add_line(table);
		char *words = rule_words(&rule);

		set_cell(line, 0, "%llu", (unsigned long long)rule.id);
		set_cell(line, 1, "%llu", (unsigned long long)rule.hits);
		set_cell(line, 2, "%llu", (unsigned long long)rule.matches);
		set_cell(line, 3, "%s", words);
		free(words);
	}
	print_table(table);
	return 0;
}

static int verb_rule_del(int argc, char **argv)
{
	static const struct option options[] = {
		{ "all", no_argument, NULL, OPT_ALL }, COMMON_OPTIONS, { 0 }
	};
	const char *target;
	bool all = false;
	uint64_t id = 0;
	int fd;

	while (next_option(argc, argv, options) != -1)
		all = true;
	target = one_argument(argc, argv, "TARGET");
	if (!all)
		id = parse_number("ID", one_argument(argc, argv, "ID or --all"),
				  1, UINT64_MAX);
	if (all)
		no_more_arguments(argc, argv);
	fd = open_target(target, TARGET_CHANGE);
	delete_rules(fd, id);
	for (; optind < argc; optind++)
		delete_rules(fd, parse_number("ID", argv[optind], 1, UINT64_MAX));
	return 0;
}

const struct verb rule_verbs[] = {
	{ "rule add", "TARGET [WORDS...]",
	  "make a rule, and print its number: op=mkwrite,start=3,status=ENOSPC",
	  "      --on OP           the word op=\n"
	  "      --pages N[-M]     the words start= and nr=, from the first to the last\n"
	  "      --skip N          the word skip=\n"
	  "      --times N         the word times=\n"
	  "      --fail NAME       the word status=\n",
	  false, verb_rule_add },
	{ "rule list", "[TARGET]", "list the rules of a buffer",
	  "      --json            print JSON\n", false, verb_rule_list },
	{ "rule del", "TARGET ID...", "delete rules",
	  "      --all             all of the buffer, instead of ID\n", false,
	  verb_rule_del },
	{ 0 },
};
