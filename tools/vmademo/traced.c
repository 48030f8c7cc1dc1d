// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the tracepoints tell of a run: by which page a SIGBUS came, at which pages rules acted,
 * which pages a power cut lost.
 */
#include "trace.h"

/* Of a fault's result: SIGBUS, HWPOISON. */
static const struct trace_event events[] = {
	{ "vmademo/vmademo_fault", "result & 18" },
	{ "vmademo/vmademo_mkwrite", "result & 18" },
	{ "vmademo/vmademo_rule_hit", NULL },
	{ "vmademo/vmademo_lose", NULL },
	{ "signal/signal_deliver", "sig == 7" },
};

/* Returns whether anything will be told. */
bool trace_run(void)
{
	return trace_begin(events, ARRAY_SIZE(events));
}

/* A thread that was ended by SIGBUS after it touched a page of the buffer, or may be. */
struct victim {
	pid_t thread;
	uint64_t page;
	bool touched, ended;
};

struct reading {
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

static void note_hit(struct traced *traced, uint64_t id, uint64_t page)
{
	struct hit_pages *hit = NULL;
	size_t i;

	for (i = 0; i < traced->nr_hits; i++)
		if (traced->hits[i].id == id)
			hit = &traced->hits[i];
	if (!hit) {
		traced->hits = must_alloc(traced->hits,
					  (traced->nr_hits + 1) * sizeof(*hit));
		hit = &traced->hits[traced->nr_hits++];
		*hit = (struct hit_pages){ .id = id };
	}
	for (i = 0; i < hit->nr; i++)
		if (hit->pages[i] == page)
			return;
	if (hit->nr < ARRAY_SIZE(hit->pages))
		hit->pages[hit->nr++] = page;
	else
		hit->more = true;
}

static void take_line(struct reading *reading, char *text, uint64_t ino)
{
	unsigned long long inode, page, id;
	struct traced *traced = reading->traced;
	struct trace_line line;

	if (!trace_parse(text, &line))
		return;
	if (!strcmp(line.name, "vmademo_lose")) {
		if (sscanf(line.fields, "ino=%llu page=%llu", &inode, &page) != 2 ||
		    inode != ino)
			return;
		traced->lost = must_alloc(traced->lost,
					  (traced->nr_lost + 1) * sizeof(page));
		traced->lost[traced->nr_lost++] = page;
	} else if (!strcmp(line.name, "vmademo_rule_hit")) {
		if (sscanf(line.fields, "ino=%llu id=%llu op=%*s page=%llu",
			   &inode, &id, &page) == 3 &&
		    inode == ino)
			note_hit(traced, id, page);
	} else if (!strcmp(line.name, "signal_deliver")) {
		struct victim *v = victim_of(reading, line.thread);

		/* With a handler the process lives on */
		v->ended |= v->touched && strstr(line.fields, "sa_handler=0 ");
	} else if (sscanf(line.fields, "ino=%llu page=%llu", &inode, &page) == 2) {
		struct victim *v = victim_of(reading, line.thread);

		v->touched = inode == ino;
		v->page = page;
	}
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
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
		reading->traced->sigbus_page = chosen->page;
	}
}

/**
 * trace_read() - what was told of a buffer since trace_clear()
 * @ino: the buffer
 * @pid: the process that may have been ended by SIGBUS
 * @traced: filled; all of it is 0 without tracefs
 */
void trace_read(uint64_t ino, pid_t pid, struct traced *traced)
{
	struct reading reading = { .traced = traced };
	FILE *file = trace_open("trace", 0);
	char *line = NULL;
	size_t room = 0;

	memset(traced, 0, sizeof(*traced));
	while (file && getline(&line, &room, file) > 0)
		take_line(&reading, line, ino);
	if (file)
		fclose(file);
	free(line);
	choose_victim(&reading, pid);
	free(reading.victims);
	if (traced->nr_lost)
		qsort(traced->lost, traced->nr_lost, sizeof(*traced->lost),
		      compare);
}

void trace_free(struct traced *traced)
{
	free(traced->lost);
	free(traced->hits);
	memset(traced, 0, sizeof(*traced));
}
