/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the command vmademo share.
 *
 *   main.c                     the verbs, --help, --version
 *   args.c                     numbers and sizes; how it fails
 *   target.c                   buffers: those that are there, and new ones
 *   space.c                    what a program is run on: a buffer, or a directory of them
 *   copy.c                     copies what is in a directory
 *   words.c                    rules in words
 *   names.c                    files by the number of their inode, see names.h
 *   table.c, json.c            output
 *   show.c, change.c, rule.c, map.c, top.c, create.c,
 *   snapshot.c, exec.c, explore.c   the verbs
 *   launch.c                   runs a program on a buffer
 *   stopped.c                  stops all that runs
 *   latency.c                  what debugfs tells, where it is
 *   trace.c, traced.c          what tracefs tells, see trace.h
 *   picture.c                  what state pages are in, see picture.h
 */
#ifndef VMADEMO_COMMAND_H
#define VMADEMO_COMMAND_H

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include <linux/vmademo.h>

#define NODE	"/dev/vmademo"
#define DEBUGFS "/sys/kernel/debug/vmademo/"
#define SYSFS	"/sys/class/misc/vmademo/"

/* How the command ends. */
#define STATUS_FAILED	 1 /* what was asked for failed */
#define STATUS_USAGE	 2 /* it was called wrongly */
#define STATUS_OWN	 125 /* of those that run a program: no program's */
#define STATUS_CANNOT	 126 /* the program cannot be run */
#define STATUS_NOT_FOUND 127 /* there is no such program */

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/**
 * struct verb - what can be asked for
 * @name: the word, or two words
 * @arguments: what follows, for the first line of --help
 * @summary: one line
 * @options: a line for each option, for --help
 * @runs: it runs a program, whose exit status it returns
 * @run: does it; argv[0] is the verb
 */
struct verb {
	const char *name;
	const char *arguments;
	const char *summary;
	const char *options;
	bool runs;
	int (*run)(int argc, char **argv);
};

extern const struct verb *verb; /* that is being done */
extern const struct verb show_verbs[], change_verbs[], rule_verbs[],
	map_verbs[], top_verbs[], run_verbs[];

/* ---- args.c -------------------------------------------------------------- */

/* For getopt_long(): options without a letter, and those that every verb has. */
enum {
	OPT_FIRST = 256,
	OPT_JSON,
	OPT_SIZE,
	OPT_STORE,
	OPT_FOLIO_SIZE,
	OPT_RULE,
	OPT_INIT,
	OPT_DIR,
	OPT_NAMES,
	OPT_SEED_FROM,
	OPT_OFFSET,
	OPT_LENGTH,
	OPT_DATA,
	OPT_SEED,
	OPT_SHARE,
	OPT_TORN,
	OPT_WATCH,
	OPT_COUNT,
	OPT_ALL,
	OPT_FIRST_BROKEN,
	OPT_SVG,
	OPT_WIDTH,
	OPT_DURATION,
	OPT_REPORT,
	OPT_CUTS,
	OPT_CHECK,
	OPT_ACK,
	OPT_TIMEOUT,
	OPT_NO_SNAPSHOTS,
	OPT_REPLAY,
	OPT_KEEP,
	OPT_OUTPUT,
	OPT_ON,
	OPT_PAGES,
	OPT_SKIP,
	OPT_TIMES,
	OPT_FAIL,
};

#define COMMON_OPTIONS                            \
	{ "help", no_argument, NULL, 'h' },       \
	{                                         \
		"version", no_argument, NULL, 'V' \
	}

int next_option(int argc, char **argv, const struct option *options);
void no_more_arguments(int argc, char **argv);
const char *one_argument(int argc, char **argv, const char *what);

uint64_t parse_number(const char *what, const char *text, uint64_t least,
		      uint64_t most);
uint64_t parse_size(const char *what, const char *text);
double parse_seconds(const char *what, const char *text);

extern void (*before_message)(void);
__attribute__((format(printf, 1, 2))) void complain(const char *format, ...);
__attribute__((format(printf, 1, 2), noreturn)) void die(const char *format, ...);
__attribute__((format(printf, 1, 2), noreturn)) void bad_usage(const char *format,
							       ...);
/* Says also what errno means, and what to do about it. */
__attribute__((format(printf, 1, 2), noreturn)) void die_errno(const char *format,
							       ...);

void *must_alloc(void *old, size_t bytes);
__attribute__((format(printf, 1, 2))) char *must_print(const char *format, ...);
size_t page_size(void);
double now(void);

/* ---- target.c ------------------------------------------------------------ */

/* To change it, or to look at it only; a window will do as well. */
#define TARGET_CHANGE 1U
#define TARGET_WINDOW 2U

int open_target(const char *target, unsigned int flags);
char *target_path(const char *target);
void get_info(int fd, struct vmademo_info *info);
void get_stats(int fd, struct vmademo_stats *stats);
const char *store_name(uint32_t store);

/* Counters under their names. */
extern const struct counter {
	const char *name;
	size_t offset;
} counters[];
extern const size_t nr_counters;

static inline uint64_t counter_of(const struct vmademo_stats *stats, size_t i)
{
	return *(const uint64_t *)((const char *)stats + counters[i].offset);
}

/**
 * struct buffer_options - what a new buffer is to be like
 * @size: bytes
 * @store: VMADEMO_STORE_...
 * @path: of the file, for VMADEMO_STORE_FILE
 * @folio_size: bytes, or 0
 * @rules: what --rule said
 * @nr_rules: how often
 * @init: a file with the first bytes, or NULL
 * @dir: a directory of buffers is wanted
 * @names: what is durable of the names in it, as the mount option says; or NULL
 * @seed_from: a directory that is copied into it, or NULL
 */
struct buffer_options {
	uint64_t size;
	uint32_t store;
	const char *path;
	uint32_t folio_size;
	struct vmademo_rule *rules;
	size_t nr_rules;
	const char *init;
	bool dir;
	const char *names;
	const char *seed_from;
};

#define BUFFER_OPTIONS                                                     \
	{ "size", required_argument, NULL, OPT_SIZE },                     \
		{ "store", required_argument, NULL, OPT_STORE },           \
		{ "folio-size", required_argument, NULL, OPT_FOLIO_SIZE }, \
	{                                                                  \
		"rule", required_argument, NULL, OPT_RULE                  \
	}

#define BUFFER_HELP                                                                \
	"      --size BYTES      how large it is (64M, or as large as the file)\n" \
	"      --store STORE     none, ram, or file:PATH (none)\n"                 \
	"      --folio-size BYTES\n"                                               \
	"                        the largest folio, up to 2M with pages of 4K\n"   \
	"      --rule WORDS      a rule, as in op=mkwrite,start=3,status=ENOSPC\n"

bool buffer_option(struct buffer_options *options, int opt);
void check_start(const struct buffer_options *options);
int create_buffer(const struct buffer_options *options);
void add_rules(int fd, struct buffer_options *options);
char *path_of(int fd);
__attribute__((noreturn)) void no_module(void);

/* ---- space.c ------------------------------------------------------------- */

/**
 * struct space - what a program is run on
 * @fd: of the buffer, or of the directory
 * @path: what replaces "@"
 */
struct space {
	int fd;
	char *path;
};

void make_space(struct space *space, const struct buffer_options *options);
void end_space(struct space *space);

/* ---- copy.c -------------------------------------------------------------- */

bool copy_data(int from, int to, off_t size);
void must_be_empty(const char *what, const char *to);
void copy_tree(const char *what, const char *from, const char *to, bool seed);

/* ---- words.c ------------------------------------------------------------- */

extern const char *const op_names[];
#define NR_OPS 17

void parse_rule(struct vmademo_rule *rule, const char *words);
char *rule_words(const struct vmademo_rule *rule);
const char *word_kind(const char *word);
uint64_t add_rule(int fd, struct vmademo_rule *rule);
bool next_rule(int fd, struct vmademo_rule *rule);
/* A rule that counts what it matches, and never acts. */
uint64_t add_counting_rule(int fd, uint32_t op);
uint64_t rule_matches(int fd, uint64_t id, uint64_t *hits);
void delete_rules(int fd, uint64_t id);

/* ---- table.c, json.c ----------------------------------------------------- */

#define COLUMN_NUMBER 1U

struct libscols_table;
struct libscols_line;

struct libscols_table *new_table(const char *name, bool json);
void add_column(struct libscols_table *table, const char *name,
		unsigned int flags);
struct libscols_line *add_line(struct libscols_table *table);
__attribute__((format(printf, 3, 4))) void
set_cell(struct libscols_line *line, int column, const char *format, ...);
void print_table(struct libscols_table *table);

/* JSON to @report, or standard output if that is NULL; commas and indentation are its business. */
extern FILE *report;

enum report_format { REPORT_TEXT, REPORT_JSON };

enum report_format parse_report(const char *text);
FILE *open_report(const char *path, FILE *otherwise);
void close_report(FILE *file);
void json_open(const char *name, char bracket);
void json_close(char bracket);
void json_string(const char *name, const char *value);
void json_number(const char *name, uint64_t value);
void json_seconds(const char *name, double value);
void json_bool(const char *name, bool value);
void end_output(void);

/* ---- launch.c ------------------------------------------------------------ */

/**
 * struct launch - a program on a buffer
 * @argv: the program and its arguments, "@" in them not yet replaced
 * @path: what replaces it
 * @own_session: it and its children are a session of their own, without a terminal
 * @same_addresses: they are not chosen at random: how memcpy() copies depends on them, and so
 *	what a page has in it when the next one is touched
 * @in: its standard input; -1: ours
 * @out: its standard output; -1: ours
 * @err: its standard error; -1: ours
 * @ack: its file descriptor 3; -1: none
 * @poll_every: how often launch_wait() asks, in seconds; 0: now and then
 * @pid: out: the process, which waits for launch_go()
 * @status: out: how it ended, as of waitpid()
 * @go, @failed: of launch.c
 */
struct launch {
	char **argv;
	const char *path;
	bool own_session, same_addresses;
	int in, out, err, ack;
	double poll_every;
	pid_t pid;
	int status;
	int go, failed;
};

enum launch_end {
	LAUNCH_ENDED,
	LAUNCH_TIME_IS_UP,
	LAUNCH_SIGNAL,
	LAUNCH_POLLED
};

extern int launch_signal; /* the one that LAUNCH_SIGNAL tells of */
extern bool launch_signal_sent; /* to this process alone, by somebody */

void launch_block_signals(void);
void launch_prepare(struct launch *launch);
int launch_go(struct launch *launch);
enum launch_end launch_wait(struct launch *launch, double until,
			    bool (*poll)(void *arg), void *arg);
bool launch_signalled(void);
bool launch_kill_all(struct launch *launch);
bool launch_is_stranger(pid_t pid);
void launch_cannot(const struct launch *launch, int err);
char *replace_at(const char *text, const char *path);
bool has_at(const char *text);
const char *signal_name(int number);
int exit_status_of(int status);

/* ---- stopped.c ----------------------------------------------------------- */

bool stop_all(bool (*held)(void *arg), void *arg);
void continue_all(void);

/* ---- latency.c ----------------------------------------------------------- */

/* Of one kind: how many, and between which times the middle and the longest are. */
struct times {
	const char *kind;
	uint64_t count;
	uint64_t median_below, longest_below; /* nanoseconds */
};

#define NR_TIMES   5
#define NR_BUCKETS 64

extern const char *const latency_kinds[NR_TIMES];

bool latency_begin(void);
void latency_end(void);
bool latency_counts(uint64_t ino, uint64_t counts[NR_TIMES][NR_BUCKETS]);
uint64_t latency_below(int bucket);
void latency_sum(struct times *times, const uint64_t counts[NR_BUCKETS]);
int latency_read(uint64_t ino, struct times times[NR_TIMES]);
char *latency_words(uint64_t ns);

/* ---- verbs in files of their own ----------------------------------------- */

#define EXPLORE_HELP                                                                          \
	"      --check COMMAND   what must succeed afterwards, for a shell, with @ for the\n" \
	"                        buffer (PROGRAM, once more)\n"                               \
	"      --ack FILE        gets what PROGRAM writes to file descriptor 3\n"             \
	"      --cuts N          how many cuts at most (200)\n"                               \
	"      --all             all there are\n"                                             \
	"      --first           end at the first that breaks\n"                              \
	"      --seed N          chooses which (1)\n"                                         \
	"  -j, --jobs N          how many runs at a time (1)\n"                               \
	"      --no-snapshots    each cut in a run of its own, though one run would do\n"     \
	"      --replay CUT      one cut, as a report names it\n"                             \
	"      --keep FILE       with --replay: gets what the cut left of the buffer, or\n"   \
	"                        in the directory\n"                                          \
	"      --dir             @ is a directory in which each file is a buffer\n"           \
	"      --names WORD      with --dir: names are ordered, posix or durable\n"           \
	"      --size BYTES      how large the buffer is (64M)\n"                             \
	"      --init FILE       its first bytes are those of FILE\n"                         \
	"      --seed-from DIRECTORY\n"                                                       \
	"                        with --dir: what is in DIRECTORY is there when it begins\n"  \
	"      --timeout SECONDS the most that a run or a check may take (60)\n"              \
	"      --report FORMAT   text or json\n"                                              \
	"  -o, --output FILE     the report goes to FILE, not to standard output\n"

int run_on(int fd, char **argv);
int verb_snapshot(int argc, char **argv);
int verb_exec(int argc, char **argv);
int verb_explore(int argc, char **argv);

#endif /* VMADEMO_COMMAND_H */
