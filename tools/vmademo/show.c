// SPDX-License-Identifier: GPL-2.0-only
/*
 * Verbs that look: info, stat, mappings, features.
 */
#include <libsmartcols/libsmartcols.h>
#include <time.h>

#include "vmademo.h"

/* ---- info ---------------------------------------------------------------- */

static int verb_info(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, OPT_JSON }, COMMON_OPTIONS, { 0 }
	};
	struct vmademo_info info;
	const char *target;
	bool json = false;

	while (next_option(argc, argv, options) != -1)
		json = true;
	target = one_argument(argc, argv, NULL);
	no_more_arguments(argc, argv);
	get_info(open_target(target ? target : NODE, 0), &info);
	if (json) {
		json_open(NULL, '{');
		json_number("ino", info.ino);
		json_number("size", info.size);
		json_number("durable_size", info.durable_size);
		json_string("store", store_name(info.store));
		json_number("folio_size", info.folio_size);
		json_number("cached_bytes", info.cached_bytes);
		json_number("dirty_bytes", info.dirty_bytes);
		json_number("mappings", info.mappings);
		json_bool("read_only", info.flags & VMADEMO_INFO_READ_ONLY);
		json_bool("revoked", info.flags & VMADEMO_INFO_REVOKED);
		json_bool("power_off", info.flags & VMADEMO_INFO_OFF);
		json_number("pending_names", info.pending_names);
		json_number("lost_names", info.lost_names);
		json_close('}');
		return 0;
	}
	/* A directory has none, and what is told is of its whole tree */
	if (info.ino)
		printf("number         %llu\n", (unsigned long long)info.ino);
	printf("%s           %llu bytes\n", info.ino ? "size" : "room",
	       (unsigned long long)info.size);
	if (info.durable_size != info.size)
		printf("after a cut    %llu bytes\n",
		       (unsigned long long)info.durable_size);
	printf("store          %s%s%s\n", store_name(info.store),
	       info.flags & VMADEMO_INFO_READ_ONLY ? ", read only" : "",
	       info.flags & VMADEMO_INFO_OFF ? ", its power is off" : "");
	printf("largest folio  %u bytes\n", info.folio_size);
	printf("cached         %llu bytes\n",
	       (unsigned long long)info.cached_bytes);
	printf("dirty          %llu bytes\n",
	       (unsigned long long)info.dirty_bytes);
	printf("mappings       %llu\n", (unsigned long long)info.mappings);
	if (info.pending_names || info.lost_names)
		printf("names          %llu operations not durable; %llu undone by the last power cut\n",
		       (unsigned long long)info.pending_names,
		       (unsigned long long)info.lost_names);
	if (info.flags & VMADEMO_INFO_REVOKED)
		puts("revoked        until vmademo restore");
	return 0;
}

/* ---- stat ---------------------------------------------------------------- */

/* All counters; and with @before what was added since, and how fast. */
static void print_stats(const struct vmademo_stats *stats,
			const struct vmademo_stats *before, double seconds,
			bool json)
{
	struct libscols_table *table;
	size_t i;

	if (json) {
		json_open(NULL, '{');
		if (before)
			json_seconds("seconds", seconds);
		json_open("counters", '{');
		for (i = 0; i < nr_counters; i++)
			json_number(counters[i].name, counter_of(stats, i));
		json_close('}');
		if (before) {
			json_open("added", '{');
			for (i = 0; i < nr_counters; i++)
				json_number(counters[i].name,
					    counter_of(stats, i) -
						    counter_of(before, i));
			json_close('}');
		}
		json_close('}');
		return;
	}
	table = new_table("counters", false);
	add_column(table, "COUNTER", 0);
	add_column(table, "VALUE", COLUMN_NUMBER);
	if (before) {
		add_column(table, "ADDED", COLUMN_NUMBER);
		add_column(table, "PER SECOND", COLUMN_NUMBER);
	}
	for (i = 0; i < nr_counters; i++) {
		struct libscols_line *line = add_line(table);
		uint64_t value = counter_of(stats, i);
		int64_t added;

		set_cell(line, 0, "%s", counters[i].name);
		set_cell(line, 1, "%llu", (unsigned long long)value);
		if (!before)
			continue;
		/* What the last cut lost can be less than before */
		added = value - counter_of(before, i);
		set_cell(line, 2, "%lld", (long long)added);
		set_cell(line, 3, "%.1f", added / seconds);
	}
	print_table(table);
}

static int verb_stat(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, OPT_JSON },
		{ "watch", required_argument, NULL, 'w' },
		{ "count", required_argument, NULL, OPT_COUNT },
		COMMON_OPTIONS,
		{ 0 }
	};
	uint64_t count = 0, n;
	double watch = 0, then;
	struct vmademo_stats stats, before;
	const char *target;
	bool json = false;
	int opt, fd;

	while ((opt = next_option(argc, argv, options)) != -1) {
		if (opt == OPT_JSON)
			json = true;
		else if (opt == OPT_COUNT)
			count = parse_number("--count", optarg, 1, UINT64_MAX);
		else
			watch = parse_seconds("--watch", optarg);
	}
	if (count && !watch)
		bad_usage("--count is for --watch");
	target = one_argument(argc, argv, NULL);
	no_more_arguments(argc, argv);
	fd = open_target(target ? target : NODE, 0);
	get_stats(fd, &stats);
	then = now();
	print_stats(&stats, NULL, 0, json);
	for (n = 1; watch && (!count || n < count); n++) {
		struct timespec pause = {
			.tv_sec = watch, .tv_nsec = (watch - (time_t)watch) * 1e9
		};
		double seconds;

		end_output();
		nanosleep(&pause, NULL);
		before = stats;
		get_stats(fd, &stats);
		seconds = now() - then;
		then += seconds;
		if (!json)
			putchar('\n');
		print_stats(&stats, &before, seconds, json);
	}
	return 0;
}

/* ---- mappings ------------------------------------------------------------ */

static FILE *open_text(const char *path, const char *without)
{
	FILE *file = fopen(path, "re");

	if (file)
		return file;
	if (access(NODE, F_OK))
		die("no " NODE ": load the module with modprobe vmademo");
	if (errno == ENOENT)
		die("%s", without);
	die_errno("%s", path);
}

static int verb_mappings(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, OPT_JSON }, COMMON_OPTIONS, { 0 }
	};
	unsigned long long from, to, offset, ino;
	struct libscols_table *table;
	struct vmademo_info info = { 0 };
	char command[128], access[8], line[256];
	const char *target;
	bool json = false;
	FILE *file;
	int pid;

	while (next_option(argc, argv, options) != -1)
		json = true;
	target = one_argument(argc, argv, NULL);
	no_more_arguments(argc, argv);
	if (target)
		get_info(open_target(target, 0), &info);
	file = open_text(
		DEBUGFS "mappings",
		"there is no debugfs: mount -t debugfs none /sys/kernel/debug");
	table = new_table("mappings", json);
	add_column(table, "PID", COLUMN_NUMBER);
	add_column(table, "COMMAND", 0);
	add_column(table, "ADDRESS", 0);
	add_column(table, "BYTES", COLUMN_NUMBER);
	add_column(table, "ACCESS", 0);
	add_column(table, "OFFSET", COLUMN_NUMBER);
	add_column(table, "BUFFER", COLUMN_NUMBER);
	while (fgets(line, sizeof(line), file)) {
		struct libscols_line *l;

		if (sscanf(line, "%d %127s %llx-%llx %7s %llx %llu", &pid,
			   command, &from, &to, access, &offset, &ino) != 7)
			die("this command is older than the module: it does not understand \"%s\"",
			    line);
		if (target && ino != info.ino)
			continue;
		l = add_line(table);
		set_cell(l, 0, "%d", pid);
		set_cell(l, 1, "%s", command);
		set_cell(l, 2, "%llx", from);
		set_cell(l, 3, "%llu", to - from);
		set_cell(l, 4, "%s", access);
		set_cell(l, 5, "%llu", offset);
		set_cell(l, 6, "%llu", ino);
	}
	fclose(file);
	print_table(table);
	return 0;
}

/* ---- features ------------------------------------------------------------ */

static int verb_features(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, OPT_JSON }, COMMON_OPTIONS, { 0 }
	};
	struct libscols_table *table;
	bool json = false;
	char word[64];
	FILE *file;

	while (next_option(argc, argv, options) != -1)
		json = true;
	no_more_arguments(argc, argv);
	file = open_text(
		SYSFS "features",
		"the loaded module is older than this command: it has no list of features");
	table = new_table("features", json);
	add_column(table, "WORD", 0);
	add_column(table, "KIND", 0);
	while (fscanf(file, "%63s", word) == 1) {
		struct libscols_line *line = add_line(table);
		const char *kind = word_kind(word);

		set_cell(line, 0, "%s", word);
		/* The module is newer than this command */
		set_cell(line, 1, "%s", kind ? kind : "unknown");
	}
	fclose(file);
	print_table(table);
	return 0;
}

#define JSON_OPTION "      --json            print JSON\n"

const struct verb show_verbs[] = {
	{ "info", "[TARGET]", "say what a buffer is and what state it is in",
	  JSON_OPTION, false, verb_info },
	{ "stat", "[TARGET]", "print all counters of a buffer",
	  "  -w, --watch SECONDS   again every SECONDS, with what was added\n"
	  "      --count N         with --watch: end after N times\n" JSON_OPTION,
	  false, verb_stat },
	{ "mappings", "[TARGET]", "list the mappings of a buffer, or of all",
	  JSON_OPTION, false, verb_mappings },
	{ "features", "",
	  "list the words of rules, and the stores, that the module knows",
	  JSON_OPTION, false, verb_features },
	{ 0 },
};
