// SPDX-License-Identifier: GPL-2.0-only
/*
 * Verbs of rules: add, list, del.
 */
#include <libsmartcols/libsmartcols.h>

#include "vmademo.h"

static const struct option no_options[] = { COMMON_OPTIONS, { 0 } };

/* The words may have commas between them, or be arguments of their own, or both. */
static int verb_rule_add(int argc, char **argv)
{
	struct vmademo_rule rule;
	const char *target;
	char *words;

	while (next_option(argc, argv, no_options) != -1)
		;
	target = one_argument(argc, argv, "TARGET");
	words = strdup(one_argument(argc, argv, "WORDS, as op=mkwrite"));
	while (words && optind < argc) {
		char *longer = must_print("%s,%s", words, argv[optind++]);

		free(words);
		words = longer;
	}
	if (!words)
		die("there is no memory");
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
	{ "rule add", "TARGET WORDS...",
	  "make a rule, and print its number: op=mkwrite,start=3,status=ENOSPC",
	  "", false, verb_rule_add },
	{ "rule list", "[TARGET]", "list the rules of a buffer",
	  "      --json            print JSON\n", false, verb_rule_list },
	{ "rule del", "TARGET ID...", "delete rules",
	  "      --all             all of the buffer, instead of ID\n", false,
	  verb_rule_del },
	{ 0 },
};
