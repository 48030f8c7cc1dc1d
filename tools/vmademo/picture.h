/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The picture of the pages of a buffer, which map and top show.
 */
#ifndef VMADEMO_PICTURE_H
#define VMADEMO_PICTURE_H

#include "vmademo.h"

/**
 * struct look - what a page is shown as: the first of these that it is
 * @state: VMADEMO_PAGE_...; 0: none of the others
 * @letter: on a terminal
 * @colour: of the eight of a terminal, from 0; -1: as other text
 * @fill: in SVG
 * @text: for the legend
 */
struct look {
	uint8_t state;
	char letter;
	int colour;
	const char *fill;
	const char *text;
};

#define NR_LOOKS 6

extern const struct look looks[NR_LOOKS];

/* Beyond it, it would take minutes to ask */
#define MOST_PAGES (1ULL << 30)

/**
 * struct picture - what is shown
 * @fd: the buffer
 * @first: the first page of it
 * @pages: how many
 * @per_cell: pages in a cell, a power of two
 * @cells: how many
 * @look: of each cell, an index into looks
 * @count: pages that look so
 * @ruled: pages that are under a rule
 */
struct picture {
	int fd;
	uint64_t first, pages;
	uint64_t per_cell;
	size_t cells;
	uint8_t *look;
	uint64_t count[NR_LOOKS];
	uint64_t ruled;
};

uint64_t choose_range(struct picture *picture, uint64_t size, uint64_t offset,
		      uint64_t length);
void fit_cells(struct picture *picture, uint64_t most);
size_t cells_across(const struct picture *picture, size_t width);
bool take_picture(struct picture *picture,
		  void (*tell)(void *arg, uint64_t page, uint8_t state),
		  void *arg);

#endif /* VMADEMO_PICTURE_H */
