// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files that stop: one on an ext4 that can be frozen, and one on a FUSE file system whose
 * server can fall silent.  Whoever waits for them then waits until slow_end(); that comes
 * by itself when the program dies.
 */
#include <poll.h>

#include "slow_store.h"

const char hung_task[] = "/proc/sys/kernel/hung_task_timeout_secs";

static const char *ext4_make(struct slow *s)
{
	const char *path = getenv("VMADEMO_EXT4");
	int ends[2];

	if (!path || !*path)
		return "VMADEMO_EXT4 names no file system to freeze";
	s->mount = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	path = store_path(STORE_EXT4);
	s->file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (s->mount < 0 || s->file < 0 || pipe2(ends, O_CLOEXEC))
		return "the file system to freeze cannot be used";
	s->helper = fork();
	if (s->helper == 0) {
		struct pollfd end = { ends[0], POLLIN, 0 };
		const pid_t parent = getppid();

		setsid();
		while (!poll(&end, 1, 100) && getppid() == parent)
			;
		ioctl(s->mount, FITHAW, 0);
		_exit(0);
	}
	close(ends[0]);
	s->end = ends[1];
	return NULL;
}

/* NULL, or why there can be no such file here. */
const char *slow_make(struct slow *s, enum slow_kind kind, uint64_t size)
{
	const char *skip;

	*s = (struct slow){ .kind = kind };
	skip = kind == MUTE_FUSE ? fuse_make(s) : ext4_make(s);
	if (!skip && ftruncate(s->file, size))
		skip = "the file does not take this size";
	return skip;
}

/* From now on who writes to the file waits; 0, or -1 and errno. */
int slow_stop(struct slow *s)
{
	if (s->kind == FROZEN_EXT4)
		return ioctl(s->mount, FIFREEZE, 0);
	*s->mute = SILENT;
	return 0;
}

/* Nobody waits for it any more: thawed, or aborted with an error. */
void slow_go(struct slow *s)
{
	if (write(s->end, "x", 1) == 1)
		waitpid(s->helper, NULL, 0);
	close(s->end);
}

/* After slow_go(), when no buffer is on it. */
void slow_end(struct slow *s)
{
	close(s->file);
	if (s->kind == FROZEN_EXT4) {
		close(s->mount);
		unlink(store_path(STORE_EXT4));
	} else {
		umount2(FUSE_MOUNT, MNT_DETACH);
		rmdir(FUSE_MOUNT);
	}
}

/* Does the child come to its end? */
bool ends(pid_t pid)
{
	for (int i = 0; i < LONG * 100; i++) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return true;
		usleep(10000);
	}
	return false;
}

/* The state of a process, as /proc shows it: D is one that waits in the kernel. */
char state_of(pid_t pid)
{
	char path[64], state = '?';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = '?';
	if (f)
		fclose(f);
	return state;
}

/* It waits, and not just for a moment. */
bool waits(pid_t pid)
{
	int in_a_row = 0;

	for (int i = 0; i < LONG * 100 && in_a_row < 20; i++) {
		char state = state_of(pid);

		if (state == 'Z' || state == '?')
			return false;
		in_a_row = state == 'D' ? in_a_row + 1 : 0;
		usleep(10000);
	}
	return in_a_row == 20;
}
