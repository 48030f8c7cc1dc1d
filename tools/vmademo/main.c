// SPDX-License-Identifier: GPL-2.0-only
/*
 * vmademo: all that the module can do, as a command.
 */
#include <fcntl.h>
#include <locale.h>
#include <signal.h>

#include "vmademo.h"

const struct verb *verb;

static const struct verb *const groups[] = {
	show_verbs, map_verbs, top_verbs, change_verbs, rule_verbs, run_verbs,
};

static void print_usage(FILE *to)
{
	fputs("Usage: vmademo VERB [OPTIONS] [ARGUMENTS]\n\n"
	      "Buffers to be mapped, faults on demand, simulated power cuts.\n\n"
	      "Verbs:\n",
	      to);
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		for (const struct verb *v = groups[i]; v->name; v++)
			fprintf(to, "  %-14s %s\n", v->name, v->summary);
	fputs("\nA TARGET is " NODE
	      ", a file or directory of a mount, PID:FD, or /proc/PID/fd/FD:\n"
	      "any descriptor of a buffer.\n\n"
	      "Options:\n"
	      "  -h, --help            say this; after a verb, what that takes\n"
	      "  -V, --version         say which version this is\n\n"
	      "See vmademo(1) for more.\n",
	      to);
}

/* How many of the words a verb's name has; 0: it is another one. */
static int matches(const struct verb *v, int argc, char **argv)
{
	const char *blank = strchr(v->name, ' ');
	size_t len = blank ? (size_t)(blank - v->name) : strlen(v->name);

	if (strlen(argv[0]) != len || memcmp(v->name, argv[0], len))
		return 0;
	if (!blank)
		return 1;
	return argc > 1 && !strcmp(blank + 1, argv[1]) ? 2 : 0;
}

/* Of verbs of two words, the first alone. */
static void explain_half(const char *word)
{
	size_t len = strlen(word);

	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		for (const struct verb *v = groups[i]; v->name; v++)
			if (!strncmp(v->name, word, len) && v->name[len] == ' ')
				bad_usage("\"%s\" needs a second word, as in \"%s\"",
					  word, v->name);
}

/*
 * A buffer is not to get the number of a standard stream that is closed, or messages would be
 * written to it.  To use the stream is an error as before.
 */
static void keep_standard_streams(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", fd ? O_RDONLY : O_WRONLY);
}

int main(int argc, char **argv)
{
	keep_standard_streams();
	setlocale(LC_CTYPE, "");
	if (argc < 2) {
		print_usage(stderr);
		return STATUS_USAGE;
	}
	if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help")) {
		print_usage(stdout);
		end_output();
		return 0;
	}
	if (!strcmp(argv[1], "-V") || !strcmp(argv[1], "--version")) {
		puts("vmademo " VERSION);
		end_output();
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
		for (const struct verb *v = groups[i]; v->name; v++) {
			int words = matches(v, argc - 1, argv + 1);

			if (!words)
				continue;
			verb = v;
			argc -= words;
			argv += words;
			words = v->run(argc, argv);
			end_output();
			return words;
		}
	}
	explain_half(argv[1]);
	bad_usage("there is no verb \"%s\"", argv[1]);
}
