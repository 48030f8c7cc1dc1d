// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a program is run on: a buffer, or a directory in which each file is one.  The directory
 * is a tree of its own, mounted where nobody sees it but this command and what it runs.
 */
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

#include "vmademo.h"

/* The one that is mounted now, to be removed however the command ends. */
static char *mounted;

static void end_mounted(void)
{
	if (!mounted)
		return;
	umount2(mounted, MNT_DETACH);
	rmdir(mounted);
	free(mounted);
	mounted = NULL;
}

/* Once: mounts of this process and its children are nobody else's. */
static void be_alone(void)
{
	static bool alone;

	if (alone)
		return;
	if (unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		die_errno("--dir: a mount namespace of its own");
	atexit(end_mounted);
	alone = true;
}

/* @ stands for a path also in what a shell runs. */
#define SPECIAL " \t\n\"'\\$`&|;<>()*?[]{}#~!"

static void make_dir(struct space *space, const struct buffer_options *options)
{
	const char *tmp = getenv("TMPDIR");
	char *words;

	if (options->store == VMADEMO_STORE_FILE)
		bad_usage("--dir: its store is ram or none");
	space->path = must_print("%s/vmademo-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (strpbrk(space->path, SPECIAL))
		die("TMPDIR: %s has a character that is special to a shell", tmp);
	be_alone();
	if (!mkdtemp(space->path))
		die_errno("--dir: %s", space->path);
	mounted = strdup(space->path);
	words = must_print("store=%s,size=%llu", store_name(options->store),
			   (unsigned long long)options->size);
	if (options->folio_size) {
		char *more = must_print("%s,folio_size=%u", words,
					options->folio_size);

		free(words);
		words = more;
	}
	if (options->names) {
		char *more = must_print("%s,names=%s", words, options->names);

		free(words);
		words = more;
	}
	if (mount("vmademo", space->path, "vmademo", 0, words)) {
		if (errno == ENODEV)
			no_module();
		die_errno("--dir: nothing can be mounted with -o %s", words);
	}
	free(words);
	space->fd = open(space->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (space->fd < 0)
		die_errno("%s", space->path);
	if (!options->seed_from)
		return;
	copy_tree("--seed-from", options->seed_from, space->path, true);
	/* It was there before: no cut takes it away */
	if (syncfs(space->fd))
		die_errno("--seed-from: %s", options->seed_from);
}

/**
 * make_space() - make what a program is to run on
 * @space: filled; to be given back with end_space()
 * @options: what it is to be like; its rules are not made yet
 */
void make_space(struct space *space, const struct buffer_options *options)
{
	if (options->dir) {
		make_dir(space, options);
		return;
	}
	space->fd = create_buffer(options);
	space->path = path_of(space->fd);
}

void end_space(struct space *space)
{
	close(space->fd);
	free(space->path);
	end_mounted();
}
