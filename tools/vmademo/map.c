// SPDX-License-Identifier: GPL-2.0-only
/*
 * The verb map: a picture of the pages of a buffer, for a terminal or as SVG.
 */
#include <sys/ioctl.h>

#include "picture.h"

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

static void json_page(void *arg, uint64_t page, uint8_t state)
{
	struct stretch *stretch = arg;

	if (!stretch->pages || stretch->state != state) {
		json_stretch(stretch);
		*stretch = (struct stretch){ .first = page, .state = state };
	}
	stretch->pages++;
}

static void print_json(struct picture *picture)
{
	struct stretch stretch = { 0 };

	json_open(NULL, '{');
	json_number("page_size", page_size());
	json_open("stretches", '[');
	if (!take_picture(picture, json_page, &stretch))
		die_errno("VMADEMO_IOC_PAGES");
	json_stretch(&stretch);
	json_close(']');
	json_close('}');
}

/* ---- a terminal ---------------------------------------------------------- */

static void set_colour(int colour)
{
	if (colour >= 0)
		printf("\033[%dm", 30 + colour);
}

static void end_colour(int colour)
{
	if (colour >= 0)
		fputs("\033[0m", stdout);
}

static void print_picture(const struct picture *picture, size_t width, bool colour)
{
	unsigned long long per = picture->per_cell;
	int digits =
		snprintf(NULL, 0, "%llu",
			 (unsigned long long)(picture->first + picture->pages));

	for (size_t at = 0; at < picture->cells; at += width) {
		int last = -1;

		printf("%*llu ", digits,
		       (unsigned long long)(picture->first + at * per));
		for (size_t i = at; i < at + width && i < picture->cells; i++) {
			const struct look *look = &looks[picture->look[i]];

			if (colour && last != look->colour) {
				end_colour(last);
				set_colour(look->colour);
				last = look->colour;
			}
			putchar(look->letter);
		}
		end_colour(last);
		putchar('\n');
	}
	if (per > 1)
		printf("\nOne letter stands for %llu pages, and shows the first of these states that one of them has:\n",
		       per);
	else
		putchar('\n');
	for (size_t i = 0; i < NR_LOOKS; i++) {
		int shown = colour ? looks[i].colour : -1;

		if (!picture->count[i])
			continue;
		fputs("  ", stdout);
		set_colour(shown);
		putchar(looks[i].letter);
		end_colour(shown);
		printf("  %s: %llu pages\n", looks[i].text,
		       (unsigned long long)picture->count[i]);
	}
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
		2 * MARGIN + ACROSS * CELL, y + 20 * (NR_LOOKS + 1) + MARGIN);
	for (i = 0; i < picture->cells; i++)
		fprintf(svg,
			"<rect x=\"%zu\" y=\"%zu\" width=\"%d\" height=\"%d\" fill=\"%s\"/>\n",
			MARGIN + i % ACROSS * CELL, MARGIN + i / ACROSS * CELL,
			CELL - 1, CELL - 1, looks[picture->look[i]].fill);
	for (i = 0; i < NR_LOOKS; i++, y += 20)
		fprintf(svg,
			"<rect x=\"%d\" y=\"%zu\" width=\"%d\" height=\"%d\" fill=\"%s\"/><text x=\"%d\" y=\"%zu\" fill=\"#222\">%s: %llu pages</text>\n",
			MARGIN, y, CELL - 1, CELL - 1, looks[i].fill,
			MARGIN + 20, y + 11, looks[i].text,
			(unsigned long long)picture->count[i]);
	if (picture->per_cell > 1)
		fprintf(svg,
			"<text x=\"%d\" y=\"%zu\" fill=\"#222\">One square stands for %llu pages, and shows the first of these states that one of them has.</text>\n",
			MARGIN, y + 11, (unsigned long long)picture->per_cell);
	fputs("</svg>\n", svg);
	if (ferror(svg) || fclose(svg))
		die_errno("%s", path);
}

/* ---- the verb ------------------------------------------------------------ */

static void choose_pages(struct picture *picture, uint64_t offset, uint64_t length)
{
	struct vmademo_info info;
	uint64_t pages;

	get_info(picture->fd, &info);
	if (!info.ino)
		die("a directory has no pages: name one of its files");
	pages = choose_range(picture, info.size, offset, length);
	if (!picture->pages)
		die("there is no page %llu: the buffer has %llu pages",
		    (unsigned long long)picture->first,
		    (unsigned long long)pages);
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
	uint64_t offset = 0, length = UINT64_MAX;
	struct picture picture = { 0 };
	const char *target, *svg = NULL, *no_color = getenv("NO_COLOR");
	size_t width = 0;
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
	choose_pages(&picture, offset, length);
	if (!width)
		width = text_width();
	width = cells_across(&picture, width);
	fit_cells(&picture, svg ? ACROSS * ACROSS : width * text_height());
	if (json) {
		print_json(&picture);
		free(picture.look);
		return 0;
	}
	if (!take_picture(&picture, NULL, NULL))
		die_errno("VMADEMO_IOC_PAGES");
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
