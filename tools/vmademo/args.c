// SPDX-License-Identifier: GPL-2.0-only
/*
 * Arguments: options, numbers, sizes; and how the command fails: one line on standard error
 * that says what to do, and an exit status.
 */
#include <ctype.h>
#include <stdarg.h>
#include <time.h>

#include "vmademo.h"

static int failed_status(void)
{
	return verb && verb->runs ? STATUS_OWN : STATUS_FAILED;
}

/* Gives back a terminal that is drawn on, so that what is said stays. */
void (*before_message)(void);

static void prefix(void)
{
	if (before_message)
		before_message();
	fflush(stdout);
	fprintf(stderr, "vmademo%s%s: ", verb ? " " : "", verb ? verb->name : "");
}

void complain(const char *format, ...)
{
	va_list args;

	prefix();
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

void die(const char *format, ...)
{
	va_list args;

	prefix();
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(failed_status());
}

void bad_usage(const char *format, ...)
{
	va_list args;

	prefix();
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\nTry 'vmademo %s%s--help'.\n", verb ? verb->name : "",
		verb ? " " : "");
	exit(verb && verb->runs ? STATUS_OWN : STATUS_USAGE);
}

/* What an errno of a request means here, if the usual text does not say it. */
static const char *advice(int err)
{
	switch (err) {
	case ENODEV:
		return "the buffer is revoked; vmademo restore gives it back";
	case EOPNOTSUPP:
		return "the buffer has no store: there is nothing behind it";
	case ENOTTY:
		return "a directory, or no buffer; or the module is older than this command";
	case EBADF:
		return "it is not open for writing";
	case EACCES:
	case EPERM:
		return "permission denied: be root, or the owner of the buffer";
	case ENFILE:
		return "too many buffers with a store: see the module's parameter max_stores";
	default:
		return NULL;
	}
}

void die_errno(const char *format, ...)
{
	int err = errno;
	const char *more = advice(err);
	va_list args;

	prefix();
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	if (more)
		fprintf(stderr, ": %s (%s)\n", more, strerrorname_np(err));
	else
		fprintf(stderr, ": %s\n", strerror(err));
	exit(failed_status());
}

/* ---- options ------------------------------------------------------------- */

static void print_help(void)
{
	printf("Usage: vmademo %s %s\n\n%s\n\nOptions:\n%s", verb->name,
	       verb->arguments, verb->summary, verb->options);
	puts("  -h, --help            say this\n"
	     "  -V, --version         say which version this is\n\n"
	     "See vmademo(1) for more.");
}

/* The options that have a letter, as getopt_long() wants them. */
static const char *letters(const struct option *options)
{
	static char text[64];
	char *to = stpcpy(text, verb->runs ? "+:hV" : ":hV");

	for (; options->name && to < text + sizeof(text) - 3; options++) {
		if (options->val >= OPT_FIRST || strchr("hV", options->val))
			continue;
		*to++ = options->val;
		if (options->has_arg)
			*to++ = ':';
	}
	*to = '\0';
	return text;
}

/*
 * As getopt_long(), but it ends at the first argument that is no option only for verbs that
 * run a program; and what every verb has is done here.
 */
int next_option(int argc, char **argv, const struct option *options)
{
	int opt;

	opterr = 0;
	opt = getopt_long(argc, argv, letters(options), options, NULL);
	switch (opt) {
	case 'h':
		print_help();
		end_output();
		exit(0);
	case 'V':
		puts("vmademo " VERSION);
		end_output();
		exit(0);
	case ':':
		bad_usage("%s needs a value", argv[optind - 1]);
	case '?':
		bad_usage("there is no option %s", argv[optind - 1]);
	default:
		return opt;
	}
}

void no_more_arguments(int argc, char **argv)
{
	if (optind < argc)
		bad_usage("unexpected argument \"%s\"", argv[optind]);
}

/* The next argument; without @what it may be missing, and is NULL then. */
const char *one_argument(int argc, char **argv, const char *what)
{
	if (optind < argc)
		return argv[optind++];
	if (what)
		bad_usage("%s is missing", what);
	return NULL;
}

/* ---- numbers ------------------------------------------------------------- */

/* Digits, or 0x and such; *end is what follows. */
static bool number(const char *text, uint64_t *value, char **end)
{
	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*value = strtoull(text, end, 0);
	return !errno;
}

uint64_t parse_number(const char *what, const char *text, uint64_t least,
		      uint64_t most)
{
	uint64_t value;
	char *end;

	if (!number(text, &value, &end) || *end || value < least || value > most) {
		if (most == UINT64_MAX)
			bad_usage("%s: \"%s\" is not a number%s", what, text,
				  least ? " above 0" : "");
		bad_usage("%s: \"%s\" is not a number from %llu to %llu", what,
			  text, (unsigned long long)least,
			  (unsigned long long)most);
	}
	return value;
}

/* Bytes, with K, M, G, T, P or E for powers of 1024. */
uint64_t parse_size(const char *what, const char *text)
{
	static const char units[] = "KMGTPE";
	const char *unit;
	uint64_t value;
	char *end;
	int shift = 0;

	if (!number(text, &value, &end))
		goto bad;
	if (*end) {
		unit = strchr(units, toupper((unsigned char)*end));
		if (!unit || end[1])
			goto bad;
		shift = 10 * (int)(unit - units + 1);
		if (value > UINT64_MAX >> shift)
			goto bad;
	}
	return value << shift;
bad:
	bad_usage("%s: \"%s\" is not a size: a number of bytes, or with K, M, G, T, P or E",
		  what, text);
}

double parse_seconds(const char *what, const char *text)
{
	double value;
	char *end;

	errno = 0;
	value = strtod(text, &end);
	if (errno || end == text || *end || !(value > 0 && value < 1e6))
		bad_usage("%s: \"%s\" is not a time in seconds above 0", what,
			  text);
	return value;
}

/* ---- small things -------------------------------------------------------- */

void *must_alloc(void *old, size_t bytes)
{
	void *new = realloc(old, bytes ? bytes : 1);

	if (!new)
		die("out of memory");
	return new;
}

char *must_print(const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		die("out of memory");
	va_end(args);
	return text;
}

size_t page_size(void)
{
	return sysconf(_SC_PAGESIZE);
}

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}
