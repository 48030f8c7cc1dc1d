// SPDX-License-Identifier: GPL-2.0-only
/*
 * The verb map: a picture of the pages of a buffer, for a terminal or as SVG.
 */
#include <libsmartcols/libsmartcols.h>
#include <sys/ioctl.h>

#include "vmademo.h"

/* What a page is shown as: the first of these that it is. */
static const struct look {
	uint8_t state;
	char letter;
	const char *colour; /* on a terminal */
	const char *fill; /* in SVG */
	const char *text;
} looks[] = {
	{ VMADEMO_PAGE_WRITEBACK, 'b', "\033[35m", "#7a4fbf",
	  "being written back" },
	{ VMADEMO_PAGE_DIRTY, 'W', "\033[31m", "#c8442f", "dirty" },
	{ VMADEMO_PAGE_MAPPED, 'r', "\033[32m", "#3f9150", "mapped, clean" },
	{ VMADEMO_PAGE_CACHED, 'c', "\033[33m", "#d9a83d", "cached, clean" },
	{ VMADEMO_PAGE_STORED, 's', "\033[36m", "#4f86b8", "in the store only" },
	{ 0, '.', "", "#e4e4e0", "nothing" },
};

#define NOTHING (ARRAY_SIZE(looks) - 1)
/* Beyond it, it would take minutes to ask */
#define MOST_PAGES (1ULL << 30)

struct picture {
	int fd;
	uint64_t first, pages; /* what is shown */
	uint64_t per_cell; /* pages in a cell */
	size_t cells;
	uint8_t *look; /* of each cell, an index into looks */
	uint64_t count[ARRAY_SIZE(looks)]; /* pages */
	uint64_t ruled;
};

static size_t look_of(uint8_t state)
{
	size_t i = 0;

	while (looks[i].state && !(looks[i].state & state))
		i++;
	return i;
}

/* ---- JSON ---------------------------------------------------------------- */

/* Pages one after another that are the same. */
struct stretch {
	uint64_t first, pages;
	uint8_t state;
};

static void json_stretch(const struct stretch *stretch)
{
	/* In the order of their bits */
	static const char *const names[] = {
		"cached", "uptodate", "dirty",	"writeback",
		"mapped", "large",    "stored", "ruled",
	};

	if (!stretch->pages)
		return;
	json_open(NULL, '{');
	json_number("page", stretch->first);
	json_number("pages", stretch->pages);
	json_open("is", '[');
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (stretch->state >> i & 1)
			json_string(NULL, names[i]);
	json_close(']');
	json_close('}');
}

static void json_page(struct stretch *stretch, uint64_t page, uint8_t state)
{
	if (!stretch->pages || stretch->state != state) {
		json_stretch(stretch);
		*stretch = (struct stretch){ .first = page, .state = state };
	}
	stretch->pages++;
}

/* ---- the picture --------------------------------------------------------- */

/* Asks for all pages, a stretch at a time; with @json, tells them too. */
static void take_picture(struct picture *picture, bool json)
{
	struct stretch stretch = { 0 };
	static uint8_t states[1 << 16];
	uint64_t done = 0, i;

	picture->cells = (picture->pages + picture->per_cell - 1) /
			 picture->per_cell;
	picture->look = must_alloc(NULL, picture->cells);
	memset(picture->look, NOTHING, picture->cells);
	while (done < picture->pages) {
		struct vmademo_pages pages = {
			.offset = (picture->first + done) * page_size(),
			.count = sizeof(states),
			.states = (uintptr_t)states,
		};

		if (pages.count > picture->pages - done)
			pages.count = picture->pages - done;
		if (ioctl(picture->fd, VMADEMO_IOC_PAGES, &pages))
			die_errno("VMADEMO_IOC_PAGES");
		/* It has become shorter meanwhile */
		if (!pages.count)
			break;
		for (i = 0; i < pages.count; i++) {
			uint8_t *cell =
				&picture->look[(done + i) / picture->per_cell];
			size_t look = look_of(states[i]);

			if (json)
				json_page(&stretch, picture->first + done + i,
					  states[i]);
			picture->count[look]++;
			picture->ruled += !!(states[i] & VMADEMO_PAGE_RULED);
			if (look < *cell)
				*cell = look;
		}
		done += pages.count;
	}
	if (json)
		json_stretch(&stretch);
}

/* ---- a terminal ---------------------------------------------------------- */

static void print_picture(const struct picture *picture, size_t width, bool colour)
{
	unsigned long long per = picture->per_cell;
	int digits =
		snprintf(NULL, 0, "%llu",
			 (unsigned long long)(picture->first + picture->pages));

	for (size_t at = 0; at < picture->cells; at += width) {
		const char *last = "";

		printf("%*llu ", digits,
		       (unsigned long long)(picture->first + at * per));
		for (size_t i = at; i < at + width && i < picture->cells; i++) {
			const struct look *look = &looks[picture->look[i]];

			if (colour && strcmp(last, look->colour))
				printf("\033[0m%s", look->colour);
			last = look->colour;
			putchar(look->letter);
		}
		puts(colour && *last ? "\033[0m" : "");
	}
	if (per > 1)
		printf("\nA letter is %llu pages, and says the first of these that one of them is:\n",
		       per);
	else
		putchar('\n');
	for (size_t i = 0; i < ARRAY_SIZE(looks); i++)
		if (picture->count[i])
			printf("  %s%c%s  %s: %llu pages\n",
			       colour ? looks[i].colour : "", looks[i].letter,
			       colour && *looks[i].colour ? "\033[0m" : "",
			       looks[i].text,
			       (unsigned long long)picture->count[i]);
	if (picture->ruled)
		printf("     under a rule: %llu pages\n",
		       (unsigned long long)picture->ruled);
}

/* How wide the text may be: as the terminal, or 80 columns. */
static size_t text_width(void)
{
	struct winsize size;
	const char *columns = getenv("COLUMNS");

	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col)
		return size.ws_col;
	return columns && atoi(columns) > 0 ? (size_t)atoi(columns) : 80;
}

static size_t text_height(void)
{
	struct winsize size;

	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_row > 16)
		return size.ws_row - 10;
	return 16;
}

/* ---- SVG ----------------------------------------------------------------- */

#define CELL   12
#define ACROSS 64
#define MARGIN 12

static void write_svg(const struct picture *picture, const char *path)
{
	size_t rows = (picture->cells + ACROSS - 1) / ACROSS, i, y;
	FILE *svg = fopen(path, "we");

	if (!svg)
		die_errno("%s", path);
	y = 2 * MARGIN + rows * CELL;
	fprintf(svg,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%zu\" font-family=\"sans-serif\" font-size=\"13\">\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
		2 * MARGIN + ACROSS * CELL,
		y + 20 * (ARRAY_SIZE(looks) + 1) + MARGIN);
	for (i = 0; i < picture->cells; i++)
		fprintf(svg,
			"<rect x=\"%zu\" y=\"%zu\" width=\"%d\" height=\"%d\" fill=\"%s\"/>\n",
			MARGIN + i % ACROSS * CELL, MARGIN + i / ACROSS * CELL,
			CELL - 1, CELL - 1, looks[picture->look[i]].fill);
	for (i = 0; i < ARRAY_SIZE(looks); i++, y += 20)
		fprintf(svg,
			"<rect x=\"%d\" y=\"%zu\" width=\"%d\" height=\"%d\" fill=\"%s\"/><text x=\"%d\" y=\"%zu\" fill=\"#222\">%s: %llu pages</text>\n",
			MARGIN, y, CELL - 1, CELL - 1, looks[i].fill,
			MARGIN + 20, y + 11, looks[i].text,
			(unsigned long long)picture->count[i]);
	if (picture->per_cell > 1)
		fprintf(svg,
			"<text x=\"%d\" y=\"%zu\" fill=\"#222\">A square is %llu pages, and shows the first of these that one of them is.</text>\n",
			MARGIN, y + 11, (unsigned long long)picture->per_cell);
	fputs("</svg>\n", svg);
	if (ferror(svg) || fclose(svg))
		die_errno("%s", path);
}

/* ---- the verb ------------------------------------------------------------ */

static void choose_range(struct picture *picture, uint64_t offset, uint64_t length)
{
	struct vmademo_info info;
	uint64_t pages;

	get_info(picture->fd, &info);
	pages = info.size / page_size() + !!(info.size % page_size());
	picture->first = offset / page_size();
	if (picture->first >= pages)
		die("there is no page %llu: the buffer has %llu pages",
		    (unsigned long long)picture->first,
		    (unsigned long long)pages);
	picture->pages = length / page_size() + !!(length % page_size());
	if (picture->pages > pages - picture->first)
		picture->pages = pages - picture->first;
	if (picture->pages > MOST_PAGES)
		die("these are %llu pages: show a part, with --offset and --length",
		    (unsigned long long)picture->pages);
}

static int verb_map(int argc, char **argv)
{
	static const struct option options[] = {
		{ "svg", required_argument, NULL, OPT_SVG },
		{ "offset", required_argument, NULL, 'o' },
		{ "length", required_argument, NULL, 'l' },
		{ "width", required_argument, NULL, OPT_WIDTH },
		{ "json", no_argument, NULL, OPT_JSON },
		COMMON_OPTIONS,
		{ 0 }
	};
	uint64_t offset = 0, length = UINT64_MAX, cells;
	struct picture picture = { 0 };
	const char *target, *svg = NULL, *no_color = getenv("NO_COLOR");
	size_t width = 0, digits;
	bool json = false;
	int opt;

	while ((opt = next_option(argc, argv, options)) != -1) {
		if (opt == 'o')
			offset = parse_size("--offset", optarg);
		else if (opt == 'l')
			length = parse_size("--length", optarg);
		else if (opt == OPT_WIDTH)
			width = parse_number("--width", optarg, 24, 10000);
		else if (opt == OPT_JSON)
			json = true;
		else
			svg = optarg;
	}
	if (!length)
		bad_usage("--length: at least one byte");
	if (json && svg)
		bad_usage("--json or --svg, not both");
	target = one_argument(argc, argv, NULL);
	no_more_arguments(argc, argv);
	picture.fd = open_target(target ? target : NODE, 0);
	choose_range(&picture, offset, length);
	if (!width)
		width = text_width();
	digits = snprintf(NULL, 0, "%llu ",
			  (unsigned long long)(picture.first + picture.pages));
	/* Whole tens are easier to count */
	width = width > digits + 10 ? (width - digits) / 10 * 10 : 10;
	cells = svg ? ACROSS * ACROSS : width * text_height();
	picture.per_cell = 1;
	while ((picture.pages + picture.per_cell - 1) / picture.per_cell > cells)
		picture.per_cell *= 2;
	if (json) {
		json_open(NULL, '{');
		json_number("page_size", page_size());
		json_open("stretches", '[');
		take_picture(&picture, true);
		json_close(']');
		json_close('}');
		free(picture.look);
		return 0;
	}
	take_picture(&picture, false);
	if (svg)
		write_svg(&picture, svg);
	else
		print_picture(&picture, width,
			      isatty(STDOUT_FILENO) && !(no_color && *no_color));
	free(picture.look);
	return 0;
}

const struct verb map_verbs[] = {
	{ "map", "[TARGET]", "show what state each page of a buffer is in",
	  "      --svg FILE        write a picture to FILE instead\n"
	  "  -o, --offset BYTES    from here on (from the beginning)\n"
	  "  -l, --length BYTES    so much (to the end)\n"
	  "      --width COLUMNS   fit that many (the terminal's, or 80)\n"
	  "      --json            print JSON: pages one after another that are the same\n",
	  false, verb_map },
	{ 0 },
};
