// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the verb top draws, from above: the buffer, the picture and its legend, rates, times,
 * the last events, keys.  Of what has no room, the picture keeps a line longest.
 */
#include <curses.h>
#include <langinfo.h>
#include <stdarg.h>
#include <wchar.h>

#include "top.h"

#define LL(x) ((unsigned long long)(x))

static SCREEN *screen;
static bool coloured, has_blocks;

/* ---- the terminal -------------------------------------------------------- */

static void leave(void)
{
	view_end();
}

void view_begin(void)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	screen = newterm(NULL, stdout, stdin);
	if (!screen)
		die("the terminal \"%s\" is not known: set TERM to what it is",
		    term ? term : "");
	before_message = leave;
	atexit(leave);
	if (!tigetstr("cup")) {
		view_end();
		die("the terminal \"%s\" cannot be drawn on; use vmademo stat --watch 1",
		    term);
	}
	cbreak();
	noecho();
	nodelay(stdscr, true);
	keypad(stdscr, true);
	curs_set(0);
	if (has_colors() && !(no_color && *no_color)) {
		start_color();
		use_default_colors();
		for (int i = 0; i < NR_LOOKS; i++)
			if (looks[i].colour >= 0)
				init_pair(1 + looks[i].colour, looks[i].colour,
					  -1);
		coloured = true;
	}
	has_blocks = !strcmp(nl_langinfo(CODESET), "UTF-8");
}

void view_end(void)
{
	if (!screen)
		return;
	before_message = NULL;
	endwin();
	delscreen(screen);
	screen = NULL;
}

static void colour(int n)
{
	if (coloured && n >= 0)
		attron(COLOR_PAIR(1 + n));
}

static void no_colour(int n)
{
	if (coloured && n >= 0)
		attroff(COLOR_PAIR(1 + n));
}

/* Cut off at the edge, so it never goes on in the next line; returns where it ends. */
__attribute__((format(printf, 3, 4))) static int put(int y, int x,
						     const char *format, ...)
{
	va_list args;
	char *text;

	if (y >= LINES || x >= COLS)
		return COLS;
	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		die("out of memory");
	va_end(args);
	/* Names can have any bytes in them */
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	mvaddnstr(y, x, text, COLS - x);
	free(text);
	getyx(stdscr, y, x);
	return x;
}

size_t view_width(void)
{
	return COLS;
}

/* ---- how much room each part gets ---------------------------------------- */

struct layout {
	int picture, times,
		events; /* lines of each; the last two with their headings */
	int columns, rates; /* of rates */
};

static const struct shown {
	const char *text;
	size_t offset;
	bool bytes;
} shown[] = {
#define SHOWN(text, name)                                         \
	{                                                         \
		text, offsetof(struct vmademo_stats, name), false \
	}
#define BYTES(text, name)                                        \
	{                                                        \
		text, offsetof(struct vmademo_stats, name), true \
	}
	SHOWN("read faults", read_faults),
	SHOWN("write faults", write_faults),
	SHOWN("copy faults", cow_faults),
	SHOWN("spared faults", fault_around_hits),
	SHOWN("first writes", first_writes),
	BYTES("made dirty", dirtied_bytes),
	BYTES("written back", written_bytes),
	BYTES("read in", read_in_bytes),
	SHOWN("fsync", flushes),
	SHOWN("msync", data_flushes),
	SHOWN("SIGBUS", sigbus),
	SHOWN("rules acted", rule_hits),
	SHOWN("power cuts", crashes),
	BYTES("lost", lost_bytes),
#undef SHOWN
#undef BYTES
};

/* Of a column of rates */
#define COLUMN 40

static int kinds_of_times(const struct top *top)
{
	int kinds = 0;

	for (int i = 0; i < NR_TIMES; i++) {
		struct times times;

		latency_sum(&times, top->times[i]);
		kinds += !!times.count;
	}
	return kinds;
}

static struct layout layout(const struct top *top)
{
	struct layout l = { .columns = COLS / COLUMN };
	/* Without the first line, the legend, and the keys */
	int room = LINES - 3, wanted = 1;

	if (!l.columns)
		l.columns = 1;
	l.rates = (ARRAY_SIZE(shown) + l.columns - 1) / l.columns;
	if (!top->no_picture && top->across)
		wanted = (top->picture.cells + top->across - 1) / top->across;
	/* One line of the picture comes first */
	if (l.rates > room - 1)
		l.rates = room > 1 ? room - 1 : 0;
	room -= l.rates;
	if (top->show_times) {
		int kinds = kinds_of_times(top);

		l.times = 1 + (kinds && !top->no_times ? kinds : 0);
		if (l.times > room - 1)
			l.times = room > 1 ? room - 1 : 0;
	}
	room -= l.times;
	l.picture = wanted < room / 2 ? wanted : room / 2;
	if (l.picture < 1)
		l.picture = room > 0 ? 1 : 0;
	l.events = room - l.picture;
	return l;
}

size_t view_picture_rows(const struct top *top)
{
	return layout(top).picture;
}

/* ---- the parts ----------------------------------------------------------- */

/* A number of bytes, or of other things, in at most seven characters. */
static const char *amount(double value, bool bytes)
{
	static char text[8][16];
	static int next;
	static const char units[] = " KMGTPE";
	double step = bytes ? 1024 : 1000;
	char *to = text[next++ % 8];
	int unit = 0;

	while (value >= 10 * step && unit < 6) {
		value /= step;
		unit++;
	}
	snprintf(to, sizeof(text[0]), "%.*f%.1s",
		 value < 100 && value != (uint64_t)value, value,
		 unit ? &units[unit] : "");
	return to;
}

static void draw_head(const struct top *top)
{
	const struct vmademo_info *info = &top->info;
	const char *state = NULL;
	int x;

	attron(A_BOLD);
	x = put(0, 0, "%s", top->target);
	attroff(A_BOLD);
	put(0, x, "  store %s, %s bytes, cached %s, dirty %s, %llu mappings",
	    store_name(info->store), amount(info->size, true),
	    amount(info->cached_bytes, true), amount(info->dirty_bytes, true),
	    LL(info->mappings));
	if (top->paused)
		state = "PAUSED";
	else if (info->flags & VMADEMO_INFO_REVOKED)
		state = "REVOKED";
	else if (info->flags & VMADEMO_INFO_OFF)
		state = "POWER OFF";
	if (!state)
		return;
	attron(A_REVERSE);
	x = COLS - (int)strlen(state) - 2;
	put(0, x > 0 ? x : 0, " %s ", state);
	attroff(A_REVERSE);
}

static int draw_picture(const struct top *top, int y, int rows)
{
	const struct picture *picture = &top->picture;
	int digits = snprintf(NULL, 0, "%llu",
			      LL(picture->first + picture->pages));

	if (top->no_picture) {
		put(y, 0, "No picture: %s", top->no_picture);
		return y + 1;
	}
	for (int row = 0; row < rows; row++) {
		size_t at = row * top->across;

		if (at >= picture->cells)
			break;
		put(y + row, 0, "%*llu ", digits,
		    LL(picture->first + at * picture->per_cell));
		for (size_t i = at; i < at + top->across && i < picture->cells;
		     i++) {
			const struct look *look = &looks[picture->look[i]];
			int x = digits + 1 + (int)(i - at);

			if (x >= COLS)
				break;
			colour(look->colour);
			mvaddch(y + row, x, look->letter);
			no_colour(look->colour);
		}
	}
	return y + rows;
}

static void draw_legend(const struct top *top, int y)
{
	const struct picture *picture = &top->picture;
	int x = 0;

	for (int i = 0; i < NR_LOOKS; i++) {
		if (!picture->count[i])
			continue;
		colour(looks[i].colour);
		x = put(y, x, "%c", looks[i].letter);
		no_colour(looks[i].colour);
		x = put(y, x, " %s %s  ", looks[i].text,
			amount(picture->count[i], false));
	}
	if (picture->per_cell > 1)
		put(y, x, "a letter is %s pages",
		    amount(picture->per_cell, false));
}

static int draw_rates(const struct top *top, int y, const struct layout *l)
{
	for (size_t i = 0; i < ARRAY_SIZE(shown); i++) {
		int row = i % l->rates, x = i / l->rates * COLUMN;
		uint64_t value, was;
		char rate[24] = "-";

		memcpy(&value, (const char *)&top->stats + shown[i].offset,
		       sizeof(value));
		memcpy(&was, (const char *)&top->before + shown[i].offset,
		       sizeof(was));
		if (top->seconds > 0)
			snprintf(rate, sizeof(rate), "%s/s",
				 amount((value - was) / top->seconds,
					shown[i].bytes));
		if (value != was && top->seconds > 0)
			attron(A_BOLD);
		if (x < l->columns * COLUMN)
			put(y + row, x, "%-14s%10s%10s", shown[i].text, rate,
			    amount(value, shown[i].bytes));
		attroff(A_BOLD);
	}
	return y + l->rates;
}

/* A bar for each bucket, the highest for the most. */
static void draw_bars(int y, int x, const uint64_t counts[NR_BUCKETS],
		      int first, int last)
{
	static const wchar_t blocks[] =
		L" \x2581\x2582\x2583\x2584\x2585\x2586\x2587\x2588";
	static const wchar_t plain[] = L" .:-=+*#@";
	uint64_t most = 1;

	for (int i = first; i <= last; i++)
		most = counts[i] > most ? counts[i] : most;
	for (int i = first; i <= last && x < COLS; i++, x++) {
		int height = counts[i] ? 1 + (int)(counts[i] * 7.0 / most) : 0;

		mvaddnwstr(y, x, &(has_blocks ? blocks : plain)[height], 1);
	}
}

static int draw_times(const struct top *top, int y, int rows)
{
	int first = NR_BUCKETS, last = -1, end = y + rows;
	char *from;

	if (!rows)
		return y;
	for (int i = 0; i < NR_TIMES; i++)
		for (int j = 0; j < NR_BUCKETS; j++)
			if (top->times[i][j]) {
				first = j < first ? j : first;
				last = j > last ? j : last;
			}
	attron(A_BOLD);
	if (top->no_times)
		put(y, 0, "No times: %s", top->no_times);
	else if (last < 0)
		put(y, 0, "Times: nothing has happened yet");
	else {
		from = latency_words(first ? latency_below(first - 1) : 0);
		put(y, 0, "Times, from %s on, doubled with each bar", from);
		free(from);
	}
	attroff(A_BOLD);
	if (top->no_times)
		return end;
	y++;
	for (int i = 0; i < NR_TIMES && y < end; i++) {
		struct times times;
		char *half, *all;

		latency_sum(&times, top->times[i]);
		if (!times.count)
			continue;
		half = latency_words(times.median_below);
		all = latency_words(times.longest_below);
		put(y, 0, "%-9s %7s  half < %-8s all < %-9s", latency_kinds[i],
		    amount(times.count, false), half, all);
		free(half);
		free(all);
		draw_bars(y++, 49, top->times[i], first, last);
	}
	return end;
}

static void draw_events(const struct top *top, int y, int rows)
{
	uint64_t nr = top->nr_events < KEPT ? top->nr_events : KEPT;

	if (rows < 1)
		return;
	attron(A_BOLD);
	if (top->no_events)
		put(y, 0, "The last faults are not shown: %s", top->no_events);
	else
		put(y, 0, "Last faults and other events%s",
		    nr ? "" : ": none yet");
	attroff(A_BOLD);
	if (nr > (uint64_t)rows - 1)
		nr = rows - 1;
	for (uint64_t i = top->nr_events - nr; i < top->nr_events; i++) {
		const struct happening *e = &top->events[i % KEPT];

		y++;
		colour(e->bad ? 1 : -1);
		put(y, 0, "%14s  %-18s %s", e->when, e->who, e->what);
		no_colour(e->bad ? 1 : -1);
	}
}

static void draw_keys(const struct top *top, int y)
{
	attron(A_REVERSE);
	put(y, 0, "%*s", COLS, "");
	put(y, 0, " q quit   p %s   + - every %g s   h %s",
	    top->paused ? "go on" : "pause", top->interval,
	    top->show_times ? "hide times" : "times");
	attroff(A_REVERSE);
}

void view_draw(const struct top *top)
{
	struct layout l = layout(top);
	int y = 1;

	erase();
	draw_head(top);
	if (LINES > 3) {
		y = draw_picture(top, y, l.picture);
		if (!top->no_picture)
			draw_legend(top, y++);
		if (l.rates)
			y = draw_rates(top, y, &l);
		y = draw_times(top, y, l.times);
		draw_events(top, y, l.events);
	}
	if (LINES > 1)
		draw_keys(top, LINES - 1);
	refresh();
}
