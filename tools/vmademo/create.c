// SPDX-License-Identifier: GPL-2.0-only
/*
 * The verb create: a buffer that is there as long as a program runs.  And the list of the
 * verbs that run programs.
 */
#include <signal.h>

#include "vmademo.h"

/**
 * run_on() - run a program for which a buffer is there
 * @fd: the buffer
 * @argv: the program; a shell, if there is none
 *
 * Return: its exit status, as a shell tells it.
 */
int run_on(int fd, char **argv)
{
	struct launch launch = { .in = -1, .out = -1, .err = -1, .ack = -1 };
	char *shell[] = { NULL, NULL };
	int err;

	launch_block_signals();
	launch.path = path_of(fd);
	launch.argv = argv;
	if (!*argv) {
		shell[0] = getenv("SHELL");
		if (!shell[0] || !*shell[0])
			shell[0] = "/bin/sh";
		launch.argv = shell;
		fprintf(stderr,
			"The buffer is %s, in $VMADEMO_BUFFER too, until this shell ends.\n",
			launch.path);
	}
	launch_prepare(&launch);
	err = launch_go(&launch);
	if (err)
		launch_cannot(&launch, err);
	/* What a terminal sends, it sends to the program too */
	while (launch_wait(&launch, 0, NULL, NULL) != LAUNCH_ENDED)
		if (launch_signal_sent)
			kill(launch.pid, launch_signal);
	return exit_status_of(launch.status);
}

static int verb_create(int argc, char **argv)
{
	static const struct option options[] = { BUFFER_OPTIONS,
						 { "init", required_argument,
						   NULL, OPT_INIT },
						 COMMON_OPTIONS,
						 { 0 } };
	struct buffer_options buffer = { .size = 64 << 20 };
	bool has_size = false;
	int opt, fd;

	while ((opt = next_option(argc, argv, options)) != -1) {
		has_size |= opt == OPT_SIZE;
		if (opt == OPT_INIT)
			buffer.init = optarg;
		else
			buffer_option(&buffer, opt);
	}
	/* As large as the file, unless it is said otherwise */
	if (!has_size && buffer.path)
		buffer.size = 0;
	fd = create_buffer(&buffer);
	add_rules(fd, &buffer);
	return run_on(fd, argv + optind);
}

const struct verb run_verbs[] = {
	{ "create", "[OPTIONS] [-- PROGRAM ARGUMENTS...]",
	  "make a buffer that is there while a program runs, or a shell",
	  BUFFER_HELP
	  "      --init FILE       its first bytes are those of FILE\n",
	  true, verb_create },
	{ "snapshot", "[OPTIONS] TARGET [-- PROGRAM ARGUMENTS...]",
	  "run a program, or a shell, on what a power cut now would leave",
	  "      --seed N          chooses which dirty folios were written (0)\n"
	  "      --share N         how many of them were, in thousandths (0)\n"
	  "      --torn N          how many of the others, in part (0)\n"
	  "  -o, --output FILE     no program: the bytes go to FILE\n",
	  true, verb_snapshot },
	{ "exec", "[OPTIONS] -- PROGRAM ARGUMENTS...",
	  "run a program on a buffer, and report what it did to it",
	  BUFFER_HELP
	  "      --dir             @ is a directory in which each file is a buffer\n"
	  "      --names WORD      with --dir: names are ordered, posix or durable\n"
	  "      --init FILE       its first bytes are those of FILE\n"
	  "      --seed-from DIRECTORY\n"
	  "                        with --dir: what is in DIRECTORY is there when it begins\n"
	  "      --keep DIRECTORY  with --dir: gets what is in it afterwards\n"
	  "  -d, --duration SECONDS\n"
	  "                        end the program then, by SIGTERM\n"
	  "      --report FORMAT   text or json\n"
	  "  -o, --output FILE     the report goes to FILE, not to standard error\n",
	  true, verb_exec },
	{ "explore", "[OPTIONS] -- PROGRAM ARGUMENTS...",
	  "run a program again and again, cut the power, and check what is left",
	  EXPLORE_HELP, true, verb_explore },
	{ 0 },
};
