// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tables, by libsmartcols: for people, or as JSON.
 */
#include <libsmartcols/libsmartcols.h>
#include <stdarg.h>

#include "vmademo.h"

struct libscols_table *new_table(const char *name, bool json)
{
	struct libscols_table *table = scols_new_table();

	if (!table || scols_table_set_name(table, name) ||
	    scols_table_enable_json(table, json))
		die("out of memory");
	return table;
}

void add_column(struct libscols_table *table, const char *name, unsigned int flags)
{
	bool number = flags & COLUMN_NUMBER;
	struct libscols_column *column = scols_table_new_column(
		table, name, 0, number ? SCOLS_FL_RIGHT : 0);

	if (!column ||
	    scols_column_set_json_type(column, number ? SCOLS_JSON_NUMBER
						      : SCOLS_JSON_STRING))
		die("out of memory");
}

struct libscols_line *add_line(struct libscols_table *table)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);

	if (!line)
		die("out of memory");
	return line;
}

void set_cell(struct libscols_line *line, int column, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0 ||
	    scols_line_refer_data(line, column, text))
		die("out of memory");
	va_end(args);
}

void print_table(struct libscols_table *table)
{
	if (scols_print_table(table))
		die("the table cannot be printed");
	scols_unref_table(table);
}
