// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the module's tracepoints tell of a run: by which page a SIGBUS came, at which pages
 * rules acted, which pages a power cut lost.  It is an instance of tracefs of its own, so
 * nobody else's tracing is touched; without tracefs nothing of this is told.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "vmademo.h"

/* Of a fault's result: SIGBUS, HWPOISON. */
static const struct {
	const char *event, *filter;
} events[] = {
	{ "vmademo/vmademo_fault", "result & 18" },
	{ "vmademo/vmademo_mkwrite", "result & 18" },
	{ "vmademo/vmademo_rule_hit", NULL },
	{ "vmademo/vmademo_lose", NULL },
	{ "signal/signal_deliver", "sig == 7" },
};

static char *instance; /* its directory */

static bool say(const char *file, const char *text)
{
	char *path = must_print("%s/%s", instance, file);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool good = fd >= 0 &&
		    write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	free(path);
	return good;
}

/* Of commands that were killed. */
static void remove_old(const char *instances)
{
	DIR *dir = opendir(instances);
	struct dirent *entry;
	int pid;

	while (dir && (entry = readdir(dir))) {
		if (sscanf(entry->d_name, "vmademo-%d", &pid) == 1 &&
		    kill(pid, 0) && errno == ESRCH)
			unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
	}
	if (dir)
		closedir(dir);
}

static bool make_instance(void)
{
	static const char *const places[] = {
		"/sys/kernel/tracing/instances",
		"/sys/kernel/debug/tracing/instances",
	};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		if (access(places[i], W_OK))
			continue;
		remove_old(places[i]);
		instance = must_print("%s/vmademo-%d", places[i], getpid());
		if (!mkdir(instance, 0700))
			return true;
		free(instance);
		instance = NULL;
	}
	return false;
}

/* Returns whether anything will be told. */
bool trace_begin(void)
{
	if (!make_instance())
		return false;
	atexit(trace_end);
	say("buffer_size_kb", "256");
	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		char *filter = must_print("events/%s/filter", events[i].event);
		char *enable = must_print("events/%s/enable", events[i].event);
		bool good = (!events[i].filter || say(filter, events[i].filter)) &&
			    say(enable, "1");

		free(filter);
		free(enable);
		if (!good) {
			trace_end();
			return false;
		}
	}
	return true;
}

void trace_end(void)
{
	if (!instance)
		return;
	rmdir(instance);
	free(instance);
	instance = NULL;
}

/* Forgets what was told so far. */
void trace_clear(void)
{
	char *path;

	if (!instance)
		return;
	path = must_print("%s/trace", instance);
	close(open(path, O_WRONLY | O_TRUNC | O_CLOEXEC));
	free(path);
}

/* ---- what was told ------------------------------------------------------- */

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

/* A line: the command, right in 16 columns, "-", the thread; and somewhere behind, the event. */
static void take_line(struct reading *reading, const char *line, uint64_t ino)
{
	unsigned long long inode, page, id;
	struct traced *traced = reading->traced;
	const char *event;
	pid_t thread;

	if (strlen(line) < 18 || line[16] != '-')
		return;
	line += 17;
	thread = atoi(line);
	event = strstr(line, ": vmademo_lose: ");
	if (event) {
		if (sscanf(event, ": vmademo_lose: ino=%llu page=%llu", &inode,
			   &page) != 2 ||
		    inode != ino)
			return;
		traced->lost = must_alloc(traced->lost,
					  (traced->nr_lost + 1) * sizeof(page));
		traced->lost[traced->nr_lost++] = page;
		return;
	}
	event = strstr(line, ": vmademo_rule_hit: ");
	if (event) {
		if (sscanf(event,
			   ": vmademo_rule_hit: ino=%llu id=%llu op=%*s page=%llu",
			   &inode, &id, &page) == 3 &&
		    inode == ino)
			note_hit(traced, id, page);
		return;
	}
	event = strstr(line, ": signal_deliver: ");
	if (event) {
		struct victim *v = victim_of(reading, thread);

		/* With a handler the process lives on */
		v->ended |= v->touched && strstr(event, "sa_handler=0 ");
		return;
	}
	event = strstr(line, ": vmademo_");
	if (event && (sscanf(event, ": vmademo_fault: ino=%llu page=%llu",
			     &inode, &page) == 2 ||
		      sscanf(event, ": vmademo_mkwrite: ino=%llu page=%llu",
			     &inode, &page) == 2)) {
		struct victim *v = victim_of(reading, thread);

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
	char *path, *line = NULL;
	size_t room = 0;
	FILE *file;

	memset(traced, 0, sizeof(*traced));
	if (!instance)
		return;
	path = must_print("%s/trace", instance);
	file = fopen(path, "re");
	while (file && getline(&line, &room, file) > 0)
		take_line(&reading, line, ino);
	if (file)
		fclose(file);
	free(line);
	free(path);
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
