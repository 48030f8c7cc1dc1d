/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tracepoints tell: trace.c has the instance of tracefs, traced.c reads what a run
 * of a program left in it.  Without tracefs nothing is told.
 */
#ifndef VMADEMO_TRACE_H
#define VMADEMO_TRACE_H

#include "names.h"
#include "vmademo.h"

/* ---- trace.c ------------------------------------------------------------- */

/**
 * struct trace_event - what is traced
 * @name: of the event, behind events/
 * @filter: in the kernel's words; NULL: all
 * @optional: it may be missing
 */
struct trace_event {
	const char *name, *filter;
	bool optional;
};

/**
 * struct trace_line - an event
 * @command, @thread: who was running
 * @when: seconds, as the kernel prints them
 * @name: of the event
 * @fields: the rest
 */
struct trace_line {
	char *command;
	pid_t thread;
	char *when, *name, *fields;
};

bool trace_begin(const struct trace_event *events, size_t nr);
void trace_clear(void);
void trace_switch(bool on);
FILE *trace_open(const char *name, int flags);
bool trace_parse(char *text, struct trace_line *line);
void trace_end(void);
void trace_forget(void);

/* ---- traced.c ------------------------------------------------------------ */

/* Where something happened: @ino is of a buffer, or of a file in a directory of them. */
struct place {
	uint64_t ino, page;
};

/* Of a rule and a buffer. */
struct hit_pages {
	uint64_t id, ino;
	uint64_t pages[8];
	size_t nr; /* of those; more are not kept */
	bool more;
	const char *call; /* that was going on at the first; NULL: it is not known */
};

struct places {
	struct place *place;
	size_t nr;
};

/**
 * struct traced - what the tracepoints told
 * @has_sigbus: a process was ended by SIGBUS, and it is known by which page
 * @sigbus: that page
 * @lost: pages that a cut lost, in order
 * @torn: those of them that it tore
 * @hits: pages at which rules acted
 * @nr_hits: rules, in a directory once for each file
 */
struct traced {
	bool has_sigbus;
	struct place sigbus;
	struct places lost, torn;
	struct hit_pages *hits;
	size_t nr_hits;
};

bool trace_run(bool calls);
void trace_read(uint64_t ino, struct names *names, pid_t pid,
		struct traced *traced);
void trace_free(struct traced *traced);

#endif /* VMADEMO_TRACE_H */
