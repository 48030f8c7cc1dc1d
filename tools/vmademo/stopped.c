// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stops all processes that this one has started, and that came to it, and lets them go on.  A
 * thread that waits in the kernel, as for a rule, stops when it is done there.
 */
#include <dirent.h>
#include <signal.h>

#include "vmademo.h"

/* How often it is looked whether they have stopped, in microseconds; and for how many seconds. */
#define SOON	300
#define AT_MOST 5

struct walk {
	int signal; /* 0: none */
	bool waits; /* a thread waits in the kernel */
	bool runs; /* a thread runs, or may do so at any time */
};

/* What cannot be looked at may run. */
static bool is_gone(void)
{
	return errno == ENOENT || errno == ESRCH;
}

/* As in its stat: R, S, D, T, Z ...; 0: it is gone. */
static char state_of(int process, const char *thread)
{
	char *path = must_print("/proc/%d/task/%s/stat", process, thread);
	FILE *file = fopen(path, "re");
	char text[512], *end = NULL;
	bool gone = !file && is_gone();

	free(path);
	if (!file)
		return gone ? 0 : 'R';
	if (fgets(text, sizeof(text), file))
		end = strrchr(text, ')');
	fclose(file);
	return end && end[1] ? end[2] : 0;
}

static void walk_children(struct walk *walk, int process, const char *thread);

static void walk_process(struct walk *walk, int process)
{
	char *path = must_print("/proc/%d/task", process);
	DIR *threads = opendir(path);
	struct dirent *entry;

	walk->runs |= !threads && !is_gone();
	free(path);
	if (walk->signal)
		kill(process, walk->signal);
	while (threads && (entry = readdir(threads))) {
		char state;

		if (*entry->d_name == '.')
			continue;
		state = state_of(process, entry->d_name);
		walk->waits |= state == 'D';
		walk->runs |= state && !strchr("DTtZX", state);
		walk_children(walk, process, entry->d_name);
	}
	if (threads)
		closedir(threads);
}

static void walk_children(struct walk *walk, int process, const char *thread)
{
	char *path = must_print("/proc/%d/task/%s/children", process, thread);
	FILE *children = fopen(path, "re");
	int child;

	/* Our own must be there; not every kernel has it */
	walk->runs |= !children && (process == getpid() || !is_gone());
	free(path);
	while (children && fscanf(children, "%d", &child) == 1)
		if (!launch_is_stranger(child))
			walk_process(walk, child);
	if (children)
		fclose(children);
}

static struct walk walk_all(int signal)
{
	struct walk walk = { .signal = signal };
	char *self = must_print("%d", getpid());

	walk_children(&walk, getpid(), self);
	free(self);
	return walk;
}

/**
 * stop_all() - stop all processes that this one has started
 * @held: says whether one of their threads waits in the kernel because we want that
 * @arg: for it
 *
 * Return: whether none of them runs any more; and none that is not held waits in the kernel.
 */
bool stop_all(bool (*held)(void *arg), void *arg)
{
	double until = now() + AT_MOST;

	for (;;) {
		bool is_held = held(arg);
		struct walk walk = walk_all(SIGSTOP);

		/* Who has been held since may have been told to wait already */
		if (!walk.runs && (!walk.waits || is_held))
			return true;
		if (now() > until)
			return false;
		usleep(SOON);
	}
}

/* They go on. */
void continue_all(void)
{
	walk_all(SIGCONT);
}
