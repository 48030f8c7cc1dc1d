// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tracepoints, in an instance of tracefs of this command's own, so nobody else's tracing is
 * touched.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "trace.h"

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

/* A process has another number in another namespace, and its instance is seen in both. */
static unsigned long namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) ? 0 : st.st_ino;
}

/* Of commands that were killed. */
static void remove_old(const char *instances)
{
	DIR *dir = opendir(instances);
	struct dirent *entry;
	unsigned long in;
	int pid, end;

	while (dir && (entry = readdir(dir))) {
		if (sscanf(entry->d_name, "vmademo-%lu-%d%n", &in, &pid, &end) ==
			    2 &&
		    !entry->d_name[end] && in == namespace() && pid > 0 &&
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
		instance = must_print("%s/vmademo-%lu-%d", places[i],
				      namespace(), getpid());
		if (!mkdir(instance, 0700))
			return true;
		free(instance);
		instance = NULL;
	}
	return false;
}

/* Returns whether anything will be told. */
bool trace_begin(const struct trace_event *events, size_t nr)
{
	if (!make_instance())
		return false;
	atexit(trace_end);
	say("buffer_size_kb", "256");
	/* Processors' own clocks may be a tick apart: what is in a call would come before it */
	say("trace_clock", "mono");
	for (size_t i = 0; i < nr; i++) {
		char *filter = must_print("events/%s/filter", events[i].name);
		char *enable = must_print("events/%s/enable", events[i].name);
		bool good = (!events[i].filter || say(filter, events[i].filter)) &&
			    say(enable, "1");

		free(filter);
		free(enable);
		if (!good && !events[i].optional) {
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

/* For a new process: the instance is another's, and stays. */
void trace_forget(void)
{
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

/* What is on would trace those who read it, too, and so have no end. */
void trace_switch(bool on)
{
	if (instance)
		say("tracing_on", on ? "1" : "0");
}

/* A file of the instance; NULL: there is none. */
FILE *trace_open(const char *name, int flags)
{
	FILE *file = NULL;
	char *path;
	int fd;

	if (!instance)
		return NULL;
	path = must_print("%s/%s", instance, name);
	fd = open(path, O_RDONLY | O_CLOEXEC | flags);
	free(path);
	if (fd >= 0)
		file = fdopen(fd, "r");
	if (fd >= 0 && !file)
		close(fd);
	return file;
}

/**
 * trace_parse() - take a line apart
 * @text: "COMMAND-THREAD [CPU] FLAGS SECONDS: EVENT: FIELDS", the command right in 16 columns;
 *	it is cut into pieces
 * @line: filled with those
 *
 * Return: whether it is such a line.
 */
bool trace_parse(char *text, struct trace_line *line)
{
	char *end;

	text[strcspn(text, "\n")] = '\0';
	if (strlen(text) < 18 || text[16] != '-')
		return false;
	text[16] = '\0';
	line->command = text + strspn(text, " ");
	line->thread = strtol(text + 17, &end, 10);
	/* A comment of the tracer's has no such thing */
	end = strstr(end, ": ");
	if (!end)
		return false;
	*end = '\0';
	line->when = strrchr(text + 17, ' ');
	if (!line->when++)
		return false;
	line->name = end + 2;
	end = strstr(line->name, ": ");
	/* Those of system calls: "sys_fsync(fd: 3)", "sys_fsync -> 0x0" */
	if (!strncmp(line->name, "sys_", 4))
		end = line->name + strcspn(line->name, "( ");
	if (!end || !*end)
		return false;
	line->fields = end + (*end == ':' ? 2 : 1);
	*end = '\0';
	return true;
}
