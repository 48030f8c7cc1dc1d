/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the verb explore share: explore.c, the verb; explore_plan.c, which cuts;
 * explore_run.c, one of them; explore_jobs.c, several at a time; explore_once.c, many by one run,
 * and explore_states.c, what they leave; explore_bytes.c, bytes that are kept;
 * explore_report.c, what came of it.
 */
#ifndef VMADEMO_EXPLORE_H
#define VMADEMO_EXPLORE_H

#include "names.h"
#include "trace.h"
#include "vmademo.h"

/*
 * The events at which the power can be cut; those that only a directory has; and when the program
 * has ended.
 */
enum {
	AT_MKWRITE,
	AT_WRITE_OUT,
	AT_FLUSH,
	NR_BUFFER_EVENTS,
	AT_TRUNCATE = NR_BUFFER_EVENTS,
	AT_CREATE,
	AT_RENAME,
	AT_UNLINK,
	AT_LINK,
	AT_FSYNC_DIR,
	NR_EVENTS,
	AT_END = NR_EVENTS
};

/**
 * struct cut - a power cut
 * @seed: chooses what happens to have been written
 * @at: AT_...
 * @number: at which event of that kind; 1 is the first
 * @after: when it has been
 * @share: so many thousandths of what is dirty are written
 * @torn: so many of the other pages are written in part
 */
struct cut {
	uint64_t seed;
	int at;
	uint64_t number;
	bool after;
	uint32_t share, torn;
};

enum verdict {
	PASSED,
	BROKEN,
	NOT_REACHED, /* the event did not come */
	HUNG, /* the program, without it */
	INTERRUPTED, /* Ctrl-C */
};

/**
 * struct run - one run with a cut, and what came of it
 * @lost: pages that the cut lost, the torn ones too
 * @lost_names: operations on names that it has undone
 * @lost_pages: which; there are none, or @lost
 * @torn_pages: those of them that were torn
 * @names: of the files that they are in, with --dir
 * @call: the system call in which the cut came; NULL: none, or it is not known
 * @has_place: it is known at which page that was
 * @at: that page
 * @differ: pages that differ from the untouched result; NULL if that was not asked for
 * @check_status: of the check, as of waitpid()
 * @check_hung: it took too long
 * @says: the last line that the check printed
 */
struct run {
	struct cut cut;
	enum verdict verdict;
	uint64_t lost, lost_names;
	struct places lost_pages, torn_pages;
	struct names names;
	const char *call;
	bool has_place;
	struct place at;
	uint64_t *differ;
	size_t nr_differ;
	int check_status;
	bool check_hung;
	char says[160];
};

struct explore {
	char **argv;
	const char *check, *ack, *keep;
	uint64_t cuts, seed;
	bool all, first, no_snapshots, has_replay;
	unsigned int jobs;
	struct cut replay;
	double timeout;
	struct buffer_options buffer;
	enum report_format format;
	FILE *file;

	uint64_t events[NR_EVENTS];
	bool same_again; /* a second run had as many */
	bool writes; /* it has called write(2) or its kin */
	bool reshaped; /* it has changed a size, or made a hole */
	uint64_t combinations; /* that there are */
	int untouched; /* a file with the bytes that are left without a cut */
	uint8_t *states; /* of its pages */
	uint64_t pages;

	uint64_t done, passed, not_reached, hung;
	bool interrupted;
	double began, seconds;
	uint64_t planned; /* how many cuts are to be tried */
	bool *good; /* of each: it is known already that the check succeeds; NULL: of none */
	uint64_t by_snapshots; /* how many these are */
	uint64_t snapshot_runs, states_checked; /* to know that */
	struct run *broken;
	size_t nr_broken;
	struct run shrunk; /* the one with the fewest lost pages that was found */
	bool repeats; /* that one, when it was done again */
	uint64_t tries; /* to find it */
};

static inline int nr_events(const struct explore *explore)
{
	return explore->buffer.dir ? NR_EVENTS : NR_BUFFER_EVENTS;
}

/* Whether the event is of a page. */
static inline bool is_of_a_page(int at)
{
	return at == AT_MKWRITE || at == AT_WRITE_OUT;
}

/* explore_plan.c */
extern const char *const at_names[NR_EVENTS + 1];
uint64_t mix(uint64_t a, uint64_t b);
void parse_cut(struct cut *cut, const char *text);
char *cut_words(const struct cut *cut);
uint64_t count_combinations(const struct explore *explore);

/* The cuts that are tried, in order; those that are known to be good are left out. */
struct plan {
	const struct explore *explore;
	uint64_t i, left, wanted, planned;
};

struct plan begin_plan(const struct explore *explore);
bool next_cut(struct plan *plan, struct cut *cut);

/* explore_run.c */
void dry_run(struct explore *explore);
void run_cut(struct explore *explore, struct run *run, bool look_closely);
void free_run(struct run *run);
extern const uint32_t event_ops[NR_EVENTS];
struct launch program(const struct explore *explore, const char *path,
		      bool quiet);
void begin_program(struct launch *launch);
bool check_what_is_left(struct explore *explore, const char *path,
			struct run *run, bool loud);

/* explore_jobs.c */
void run_jobs(struct explore *explore,
	      bool (*keep)(struct explore *explore, struct run *run));

/* explore_once.c */
void explore_once(struct explore *explore);

/* explore_states.c: what a cut leaves, and what is promised then */
struct state {
	int file; /* with the bytes */
	char *promised;
	size_t len;
	uint64_t hash;
};

struct states {
	struct state *state;
	size_t nr;
	uint64_t bytes;
};

ssize_t keep_state(const struct explore *explore, struct states *states, int fd);
bool check_state(struct explore *explore, struct state *state);
void free_states(struct states *states);

/* explore_bytes.c */
uint8_t *states_of(const struct explore *explore, int fd);
void copy_bytes(const struct explore *explore, int fd, int to);
void compare_bytes(const struct explore *explore, int fd, struct run *run);

/* explore_report.c */
void print_progress(const struct explore *explore, uint64_t planned, bool last);
void print_taken(uint64_t taken, uint64_t planned);
void print_exploration(struct explore *explore);
void print_replay(const struct explore *explore, const struct run *run);

#endif /* VMADEMO_EXPLORE_H */
