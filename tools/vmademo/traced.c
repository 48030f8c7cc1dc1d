// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the tracepoints tell of a run: by which page a SIGBUS came, at which pages rules acted,
 * which pages a power cut lost.
 */
#include "trace.h"

/* Of a fault's result: SIGBUS, HWPOISON. */
static const struct trace_event events[] = {
	{ .name = "vmademo/vmademo_fault", .filter = "result & 18" },
	{ .name = "vmademo/vmademo_mkwrite", .filter = "result & 18" },
	{ .name = "vmademo/vmademo_rule_hit" },
	{ .name = "vmademo/vmademo_lose" },
	/* Older modules do not have it */
	{ .name = "vmademo/vmademo_tear", .optional = true },
	{ .name = "vmademo/vmademo_name", .optional = true },
	{ .name = "signal/signal_deliver", .filter = "sig == 7" },
};

/* System calls in which a rule can act, or that an event can be part of. */
static const char *const calls[] = {
	"msync",      "fsync",	    "fdatasync",
	"sync",	      "syncfs",	    "sync_file_range",
	"read",	      "pread64",    "readv",
	"preadv",     "write",	    "pwrite64",
	"writev",     "pwritev",    "pwritev2",
	"sendfile64", "splice",	    "copy_file_range",
	"ftruncate",  "truncate",   "fallocate",
	"mmap",	      "munmap",	    "mremap",
	"madvise",    "io_submit",  "io_uring_enter",
	"rename",     "renameat",   "renameat2",
	"link",	      "linkat",	    "unlink",
	"unlinkat",   "mkdir",	    "mkdirat",
	"rmdir",      "open",	    "openat",
	"creat",      "exit_group", "close",
	"mknod",      "mknodat",    "symlink",
	"symlinkat",
};

#define NR_EVENTS ARRAY_SIZE(events)
#define NR_CALLS  ARRAY_SIZE(calls)

/**
 * trace_run() - from now on, a run is traced
 * @with_calls: system calls, too
 *
 * Return: whether anything will be told.
 */
bool trace_run(bool with_calls)
{
	struct trace_event all[NR_EVENTS + 2 * NR_CALLS];
	size_t nr = NR_EVENTS;
	bool good;

	memcpy(all, events, sizeof(events));
	/* Not every kernel traces calls, or has all of these */
	for (size_t i = 0; with_calls && i < 2 * NR_CALLS; i++)
		all[nr++] = (struct trace_event){
			.name = must_print("syscalls/sys_%s_%s",
					   i % 2 ? "exit" : "enter", calls[i / 2]),
			.optional = true,
		};
	good = trace_begin(all, nr);
	while (nr > NR_EVENTS)
		free((char *)all[--nr].name);
	return good;
}

/*
 * A thread: it may have been ended by SIGBUS after it touched a page of the buffer, and it may
 * be in a system call.
 */
struct victim {
	pid_t thread;
	struct place at;
	bool touched, ended;
	const char *call;
};

struct reading {
	uint64_t ino;
	struct names *names;
	struct traced *traced;
	struct victim *victims;
	size_t nr_victims;
};

static struct victim *victim_of(struct reading *reading, pid_t thread)
{
	struct victim *v = reading->victims;
	size_t i;

	for (i = 0; i < reading->nr_victims; i++)
		if (v[i].thread == thread)
			return &v[i];
	v = must_alloc(v, (i + 1) * sizeof(*v));
	v[i] = (struct victim){ .thread = thread };
	reading->victims = v;
	reading->nr_victims++;
	return &v[i];
}

/* Is it the buffer that is asked for, or one of the directory? */
static bool is_ours(const struct reading *reading, uint64_t ino)
{
	return reading->names ? !!names_of(reading->names, ino)
			      : ino == reading->ino;
}

/* Who writes back when nobody asks for it has a name, too. */
static const char *call_of(const struct victim *v, const char *command)
{
	if (v->call)
		return v->call;
	return strncmp(command, "kworker/", 8) ? NULL : "the kernel's write-back";
}

/* A file that a cut leaves without a name is told by the one that it had. */
static void take_name(struct reading *reading, char *fields)
{
	char op[12], *name = strstr(fields, " name=");
	unsigned long long dir, ino;

	if (!reading->names || !name ||
	    sscanf(fields, "op=%11s dir=%llu ino=%llu", op, &dir, &ino) != 3 ||
	    !strcmp(op, "unlink"))
		return;
	name += strlen(" name=");
	name[strcspn(name, "\n")] = '\0';
	names_learn(reading->names, dir, ino, name);
}

/* Each buffer counts its rules from 1 on. */
static void note_hit(struct traced *traced, uint64_t id, struct place at,
		     const char *call)
{
	struct hit_pages *hit = NULL;
	size_t i;

	for (i = 0; i < traced->nr_hits; i++)
		if (traced->hits[i].id == id && traced->hits[i].ino == at.ino)
			hit = &traced->hits[i];
	if (!hit) {
		traced->hits = must_alloc(traced->hits,
					  (traced->nr_hits + 1) * sizeof(*hit));
		hit = &traced->hits[traced->nr_hits++];
		*hit = (struct hit_pages){
			.id = id,
			.ino = at.ino,
			.call = call,
		};
	}
	for (i = 0; i < hit->nr; i++)
		if (hit->pages[i] == at.page)
			return;
	if (hit->nr < ARRAY_SIZE(hit->pages))
		hit->pages[hit->nr++] = at.page;
	else
		hit->more = true;
}

static void note_place(struct places *places, struct place at)
{
	places->place = must_alloc(places->place, (places->nr + 1) * sizeof(at));
	places->place[places->nr++] = at;
}

/* Begins, or ends. */
static void take_call(struct reading *reading, const struct trace_line *line)
{
	struct victim *v = victim_of(reading, line->thread);

	v->call = NULL;
	for (size_t i = 0; *line->fields != '-' && i < NR_CALLS; i++)
		if (!strcmp(calls[i], line->name + 4))
			v->call = calls[i];
}

static void take_line(struct reading *reading, char *text)
{
	unsigned long long inode, page, id;
	struct traced *traced = reading->traced;
	struct trace_line line;
	struct victim *v;

	if (!trace_parse(text, &line))
		return;
	if (!strncmp(line.name, "sys_", 4)) {
		take_call(reading, &line);
		return;
	}
	if (!strcmp(line.name, "vmademo_name")) {
		take_name(reading, line.fields);
		return;
	}
	v = victim_of(reading, line.thread);
	if (!strcmp(line.name, "signal_deliver")) {
		/* With a handler the process lives on */
		v->ended |= v->touched && strstr(line.fields, "sa_handler=0 ");
		return;
	}
	if (!strcmp(line.name, "vmademo_rule_hit")) {
		if (sscanf(line.fields, "ino=%llu id=%llu op=%*s page=%llu",
			   &inode, &id, &page) == 3 &&
		    is_ours(reading, inode))
			note_hit(traced, id, (struct place){ inode, page },
				 call_of(v, line.command));
		return;
	}
	if (sscanf(line.fields, "ino=%llu page=%llu", &inode, &page) != 2)
		return;
	if (!strcmp(line.name, "vmademo_lose") ||
	    !strcmp(line.name, "vmademo_tear")) {
		if (is_ours(reading, inode))
			note_place(strcmp(line.name, "vmademo_lose")
					   ? &traced->torn
					   : &traced->lost,
				   (struct place){ inode, page });
		return;
	}
	v->touched = is_ours(reading, inode);
	v->at = (struct place){ inode, page };
}

static int compare(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return x->page < y->page ? -1 : x->page > y->page;
}

static void sort(struct places *places)
{
	if (places->nr)
		qsort(places->place, places->nr, sizeof(*places->place), compare);
}

/*
 * Of several that were ended, @pid is the one that is asked for.  It is not known which process
 * a thread belonged to: one alone can only be its.
 */
static void choose_victim(struct reading *reading, pid_t pid)
{
	const struct victim *chosen = NULL;
	int ended = 0;

	for (size_t i = 0; i < reading->nr_victims; i++) {
		const struct victim *v = &reading->victims[i];

		if (!v->ended)
			continue;
		ended++;
		if (!chosen || v->thread == pid)
			chosen = v;
	}
	if (chosen && (ended == 1 || chosen->thread == pid)) {
		reading->traced->has_sigbus = true;
		reading->traced->sigbus = chosen->at;
	}
}

/**
 * trace_read() - what was told of a buffer since trace_clear()
 * @ino: the buffer
 * @names: or, the files of a directory that are asked for, and the directory; NULL: none.
 *         Learns those that came later
 * @pid: the process that may have been ended by SIGBUS
 * @traced: filled; all of it is 0 without tracefs
 */
void trace_read(uint64_t ino, struct names *names, pid_t pid,
		struct traced *traced)
{
	struct reading reading = {
		.ino = ino,
		.names = names,
		.traced = traced,
	};
	char *line = NULL;
	size_t room = 0;
	FILE *file;

	memset(traced, 0, sizeof(*traced));
	trace_switch(false);
	file = trace_open("trace", 0);
	while (file && getline(&line, &room, file) > 0)
		take_line(&reading, line);
	if (file)
		fclose(file);
	free(line);
	trace_switch(true);
	choose_victim(&reading, pid);
	free(reading.victims);
	sort(&traced->lost);
	sort(&traced->torn);
}

void trace_free(struct traced *traced)
{
	free(traced->lost.place);
	free(traced->torn.place);
	free(traced->hits);
	memset(traced, 0, sizeof(*traced));
}
