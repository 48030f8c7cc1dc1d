// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs a program on a buffer: it is there, but waits, until it is told to go, so that rules
 * can name it.  Signals are blocked here and waited for; the program gets its own back.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "vmademo.h"

/* Those of this process, by number; it is one thread */
#define CHILDREN "/proc/thread-self/children"

int launch_signal;
bool launch_signal_sent;

static sigset_t waited_for, before;

/* Children that were there already: of a shell, say, that has become this command. */
static pid_t *strangers;
static size_t nr_strangers;

static void know_strangers(void)
{
	FILE *children = fopen(CHILDREN, "re");
	int pid;

	while (children && fscanf(children, "%d", &pid) == 1) {
		strangers = must_alloc(strangers,
				       (nr_strangers + 1) * sizeof(*strangers));
		strangers[nr_strangers++] = pid;
	}
	if (children)
		fclose(children);
}

/* Is this child none of ours? */
bool launch_is_stranger(pid_t pid)
{
	for (size_t i = 0; i < nr_strangers; i++)
		if (strangers[i] == pid)
			return true;
	return false;
}

/* As waitpid(-1, ...).  The number of who has ended can be that of another one then. */
static pid_t reap(int *status, int flags)
{
	pid_t pid = waitpid(-1, status, flags);

	for (size_t i = 0; i < nr_strangers; i++)
		if (strangers[i] == pid)
			strangers[i] = 0;
	return pid;
}

/* From now on signals come by launch_wait(). */
void launch_block_signals(void)
{
	/* SIGPIPE: nobody reads any more, which is no reason to leave things behind */
	static const int signals[] = { SIGCHLD, SIGINT, SIGQUIT,
				       SIGTERM, SIGHUP, SIGPIPE };
	struct sigaction hup;

	sigemptyset(&waited_for);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaddset(&waited_for, signals[i]);
	/* As nohup wants it: who waits for a signal gets it, though it is ignored */
	if (!sigaction(SIGHUP, NULL, &hup) && hup.sa_handler == SIG_IGN)
		sigdelset(&waited_for, SIGHUP);
	sigprocmask(SIG_BLOCK, &waited_for, &before);
	/* A shell may have set SIGCHLD to be ignored: then nothing is told */
	signal(SIGCHLD, SIG_DFL);
	know_strangers();
}

/* @text with "@" replaced; "@@" is one that stays. */
char *replace_at(const char *text, const char *path)
{
	size_t len = strlen(path), room = strlen(text) + 1;
	const char *p;
	char *new, *to;

	for (p = text; *p; p++)
		room += *p == '@' ? len : 0;
	new = must_alloc(NULL, room);
	for (p = text, to = new; *p; p++) {
		if (*p != '@') {
			*to++ = *p;
		} else if (p[1] == '@') {
			*to++ = *p++;
		} else {
			memcpy(to, path, len);
			to += len;
		}
	}
	*to = '\0';
	return new;
}

/* Is there an "@" that will be replaced? */
bool has_at(const char *text)
{
	for (; (text = strchr(text, '@')); text += 2)
		if (text[1] != '@')
			return true;
	return false;
}

static void move_fd(int from, int to)
{
	if (from < 0)
		return;
	/* Where it is already, it would be closed with the others */
	if (from == to ? fcntl(to, F_SETFD, 0) : dup2(from, to) < 0)
		_exit(STATUS_OWN);
}

/* What the new process does until it is another program. */
__attribute__((noreturn)) static void become(struct launch *launch, int go,
					     int failed)
{
	char byte;
	int err;

	/* Where standard output and such are closed, these may stand in the way */
	go = fcntl(go, F_DUPFD_CLOEXEC, 10);
	failed = fcntl(failed, F_DUPFD_CLOEXEC, 10);
	if (launch->own_session) {
		setsid();
		/* Somebody kills the command: then it cannot do that */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	}
	/* Where that is refused, one run may be another than the next */
	if (launch->same_addresses)
		personality(personality(0xffffffff) | ADDR_NO_RANDOMIZE);
	move_fd(launch->in, 0);
	move_fd(launch->out, 1);
	move_fd(launch->err, 2);
	move_fd(launch->ack, 3);
	/* The command died: then there is nobody to run for */
	if (read(go, &byte, 1) != 1)
		_exit(STATUS_OWN);
	sigprocmask(SIG_SETMASK, &before, NULL);
	setenv("VMADEMO_BUFFER", launch->path, 1);
	execvp(launch->argv[0], launch->argv);
	err = errno;
	if (write(failed, &err, sizeof(err)) < 0)
		_exit(STATUS_OWN);
	_exit(STATUS_CANNOT);
}

/* Makes the process, which waits. */
void launch_prepare(struct launch *launch)
{
	int go[2], failed[2];
	char **argv;
	size_t n = 0;

	while (launch->argv[n])
		n++;
	argv = must_alloc(NULL, (n + 1) * sizeof(*argv));
	argv[n] = NULL;
	while (n--)
		argv[n] = replace_at(launch->argv[n], launch->path);
	launch->argv = argv;
	if (pipe2(go, O_CLOEXEC) || pipe2(failed, O_CLOEXEC))
		die_errno("pipe");
	fflush(NULL);
	launch->pid = fork();
	if (launch->pid < 0)
		die_errno("fork");
	if (!launch->pid) {
		close(go[1]);
		close(failed[0]);
		become(launch, go[0], failed[1]);
	}
	close(go[0]);
	close(failed[1]);
	launch->go = go[1];
	launch->failed = failed[0];
}

static void free_arguments(struct launch *launch)
{
	for (char **arg = launch->argv; *arg; arg++)
		free(*arg);
	free(launch->argv);
}

static struct launch *going; /* in a session of its own */

/* However the command ends. */
static void kill_going(void)
{
	if (going)
		launch_kill_all(going);
}

/* Lets it go; 0, or the errno with which it cannot be run. */
int launch_go(struct launch *launch)
{
	static bool registered;
	int err = 0;

	if (launch->own_session) {
		going = launch;
		if (!registered)
			registered = !atexit(kill_going);
	}

	if (write(launch->go, "g", 1) != 1 ||
	    read(launch->failed, &err, sizeof(err)) < 0)
		err = errno;
	close(launch->go);
	close(launch->failed);
	if (err)
		waitpid(launch->pid, &launch->status, 0);
	else
		free_arguments(launch);
	return err;
}

/* It could not be run: says so, and ends as a shell does. */
void launch_cannot(const struct launch *launch, int err)
{
	complain("%s: %s", launch->argv[0], strerror(err));
	exit(err == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT);
}

/**
 * launch_wait() - wait until something happens
 * @launch: the program
 * @until: a moment, as of now(); 0: however long it takes
 * @poll: is asked now and then, whether to wait on; or NULL
 * @arg: for it
 *
 * Return: what it was.
 */
enum launch_end launch_wait(struct launch *launch, double until,
			    bool (*poll)(void *arg), void *arg)
{
	for (;;) {
		struct timespec pause = { .tv_sec = 1 };
		double left = until ? until - now() : 1;
		siginfo_t info;
		pid_t pid;
		int sig;

		while ((pid = reap(&sig, WNOHANG)) > 0) {
			/* Others are what it left behind */
			if (pid != launch->pid)
				continue;
			launch->status = sig;
			return LAUNCH_ENDED;
		}
		if (poll && poll(arg))
			return LAUNCH_POLLED;
		if (left <= 0)
			return LAUNCH_TIME_IS_UP;
		if (poll && left > (launch->poll_every ?: 0.05))
			left = launch->poll_every ?: 0.05;
		if (left < 1) {
			pause.tv_sec = 0;
			pause.tv_nsec = left * 1e9;
		}
		sig = sigtimedwait(&waited_for, &info, &pause);
		if (sig > 0 && sig != SIGCHLD) {
			launch_signal = sig;
			launch_signal_sent = info.si_code != SI_KERNEL;
			return LAUNCH_SIGNAL;
		}
	}
}

/* Has a signal come that ends the command? */
bool launch_signalled(void)
{
	static const struct timespec none;
	siginfo_t info;
	int sig;

	while ((sig = sigtimedwait(&waited_for, &info, &none)) > 0) {
		if (sig == SIGCHLD)
			continue;
		launch_signal = sig;
		return true;
	}
	return false;
}

/* Those that may be killed; returns how many, -1 if that cannot be known. */
static int kill_children(void)
{
	FILE *children = fopen(CHILDREN, "re");
	int pid, nr = 0;

	if (!children)
		return -1;
	while (fscanf(children, "%d", &pid) == 1) {
		if (launch_is_stranger(pid))
			continue;
		/* One that has another user's rights is not waited for */
		nr += !kill(pid, SIGKILL);
	}
	fclose(children);
	return nr;
}

/*
 * Nobody of a session is left afterwards: what its processes left behind came to this one,
 * which has asked for that (PR_SET_CHILD_SUBREAPER).  Without @launch, those alone.  Returns
 * whether there was anybody.
 */
bool launch_kill_all(struct launch *launch)
{
	bool left = false;
	int status, nr;
	pid_t pid;

	do {
		if (launch)
			kill(-launch->pid, SIGKILL);
		nr = kill_children();
		if (!nr)
			break;
		left |= nr > 0;
		pid = reap(&status, 0);
		if (launch && pid == launch->pid)
			launch->status = status;
	} while (pid > 0 || errno == EINTR);
	going = NULL;
	return left;
}

const char *signal_name(int number)
{
	const char *name = sigabbrev_np(number);
	static char text[32];

	if (name)
		snprintf(text, sizeof(text), "SIG%s", name);
	else
		snprintf(text, sizeof(text), "signal %d", number);
	return text;
}

/* As a shell tells it. */
int exit_status_of(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
