// SPDX-License-Identifier: GPL-2.0-only
/*
 * JSON that is no table; and the end of all output.
 */
#include "vmademo.h"

FILE *report; /* where JSON goes; NULL: standard output */

static int depth;
static bool follows; /* something in the same brackets */

static FILE *to(void)
{
	return report ? report : stdout;
}

static void put(char c)
{
	fputc(c, to());
}

/* How many bytes of UTF-8 begin here; 0 if these are none. */
static int utf8(const char *text)
{
	const unsigned char *c = (const unsigned char *)text;
	int len = *c < 0x80   ? 1
		  : *c < 0xc2 ? 0
		  : *c < 0xe0 ? 2
		  : *c < 0xf0 ? 3
		  : *c < 0xf5 ? 4
			      : 0;

	for (int i = 1; i < len; i++)
		if ((c[i] & 0xc0) != 0x80)
			return 0;
	/* Longer than need be; a surrogate; or beyond what there is */
	if ((*c == 0xe0 && c[1] < 0xa0) || (*c == 0xed && c[1] >= 0xa0) ||
	    (*c == 0xf0 && c[1] < 0x90) || (*c == 0xf4 && c[1] >= 0x90))
		return 0;
	return len;
}

static void print_string(const char *text)
{
	put('"');
	while (*text) {
		unsigned char c = *text;
		int len = utf8(text);

		if (c == '"' || c == '\\')
			fprintf(to(), "\\%c", c);
		else if (c < 0x20 || c == 0x7f || !len)
			fprintf(to(), "\\u%04x", c);
		else
			fwrite(text, 1, len, to());
		text += len ? len : 1;
	}
	put('"');
}

static void begin(const char *name)
{
	if (follows)
		put(',');
	if (depth)
		fprintf(to(), "\n%*s", 3 * depth, "");
	if (name) {
		print_string(name);
		fputs(": ", to());
	}
	follows = true;
}

void json_open(const char *name, char bracket)
{
	begin(name);
	put(bracket);
	depth++;
	follows = false;
}

void json_close(char bracket)
{
	depth--;
	if (follows)
		fprintf(to(), "\n%*s", 3 * depth, "");
	put(bracket);
	follows = true;
	if (!depth) {
		put('\n');
		follows = false;
	}
}

void json_string(const char *name, const char *value)
{
	begin(name);
	if (value)
		print_string(value);
	else
		fputs("null", to());
}

void json_number(const char *name, uint64_t value)
{
	begin(name);
	fprintf(to(), "%llu", (unsigned long long)value);
}

void json_seconds(const char *name, double value)
{
	begin(name);
	fprintf(to(), "%.6f", value);
}

void json_bool(const char *name, bool value)
{
	begin(name);
	fputs(value ? "true" : "false", to());
}

enum report_format parse_report(const char *text)
{
	if (!strcmp(text, "json"))
		return REPORT_JSON;
	if (strcmp(text, "text"))
		bad_usage("--report: \"%s\" is neither text nor json", text);
	return REPORT_TEXT;
}

/* Before the work is done: whoever cannot write the report need not begin. */
FILE *open_report(const char *path, FILE *otherwise)
{
	FILE *file = path ? fopen(path, "we") : otherwise;

	if (!file)
		die_errno("--output: %s", path);
	return file;
}

void close_report(FILE *file)
{
	if (fflush(file) || ferror(file))
		die_errno("the report cannot be written");
	if (file != stdout && file != stderr && fclose(file))
		die_errno("the report cannot be written");
}

/* What did not get out is an error: the disk may be full. */
void end_output(void)
{
	if (fflush(stdout) || ferror(stdout))
		die_errno("standard output");
}
