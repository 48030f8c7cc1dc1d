// SPDX-License-Identifier: GPL-2.0-only
/*
 * The picture of the pages of a buffer: asked for, and fit into so many cells.
 */
#include <sys/ioctl.h>

#include "picture.h"

const struct look looks[NR_LOOKS] = {
	{ VMADEMO_PAGE_WRITEBACK, 'b', 5, "#7a4fbf", "being written back" },
	{ VMADEMO_PAGE_DIRTY, 'W', 1, "#c8442f", "dirty" },
	{ VMADEMO_PAGE_MAPPED, 'r', 2, "#3f9150", "mapped, clean" },
	{ VMADEMO_PAGE_CACHED, 'c', 3, "#d9a83d", "cached, clean" },
	{ VMADEMO_PAGE_STORED, 's', 6, "#4f86b8", "in the store only" },
	{ 0, '.', -1, "#e4e4e0", "nothing" },
};

#define NOTHING (NR_LOOKS - 1)

static size_t look_of(uint8_t state)
{
	size_t i = 0;

	while (looks[i].state && !(looks[i].state & state))
		i++;
	return i;
}

/**
 * choose_range() - choose the pages that are shown
 * @picture: gets first and pages
 * @size: of the buffer
 * @offset: bytes; where it begins
 * @length: bytes; what is behind the end is left out
 *
 * Return: how many pages the buffer has; none is chosen if first is one that it has not.
 */
uint64_t choose_range(struct picture *picture, uint64_t size, uint64_t offset,
		      uint64_t length)
{
	uint64_t pages = size / page_size() + !!(size % page_size());

	picture->first = offset / page_size();
	picture->pages = length / page_size() + !!(length % page_size());
	if (picture->first >= pages)
		picture->pages = 0;
	else if (picture->pages > pages - picture->first)
		picture->pages = pages - picture->first;
	return pages;
}

/* Not more cells than that. */
void fit_cells(struct picture *picture, uint64_t most)
{
	picture->per_cell = 1;
	while ((picture->pages + picture->per_cell - 1) / picture->per_cell > most)
		picture->per_cell *= 2;
}

/* In a line of text, behind the number of its first page: whole tens are easier to count. */
size_t cells_across(const struct picture *picture, size_t width)
{
	size_t digits =
		snprintf(NULL, 0, "%llu ",
			 (unsigned long long)(picture->first + picture->pages));

	return width > digits + 10 ? (width - digits) / 10 * 10 : 10;
}

/**
 * take_picture() - ask for all pages, a stretch at a time
 * @picture: gets what follows per_cell; look is allocated
 * @tell: is told of each page, in order; or NULL
 * @arg: for it
 *
 * Return: whether the buffer told; errno says why not.
 */
bool take_picture(struct picture *picture,
		  void (*tell)(void *arg, uint64_t page, uint8_t state),
		  void *arg)
{
	static uint8_t states[1 << 16];
	uint64_t done = 0, i;

	picture->cells = (picture->pages + picture->per_cell - 1) /
			 picture->per_cell;
	picture->look = must_alloc(picture->look, picture->cells);
	memset(picture->look, NOTHING, picture->cells);
	memset(picture->count, 0, sizeof(picture->count));
	picture->ruled = 0;
	while (done < picture->pages) {
		struct vmademo_pages pages = {
			.offset = (picture->first + done) * page_size(),
			.count = sizeof(states),
			.states = (uintptr_t)states,
		};

		if (pages.count > picture->pages - done)
			pages.count = picture->pages - done;
		if (ioctl(picture->fd, VMADEMO_IOC_PAGES, &pages))
			return false;
		/* It has become shorter meanwhile */
		if (!pages.count)
			break;
		for (i = 0; i < pages.count; i++) {
			uint8_t *cell =
				&picture->look[(done + i) / picture->per_cell];
			size_t look = look_of(states[i]);

			if (tell)
				tell(arg, picture->first + done + i, states[i]);
			picture->count[look]++;
			picture->ruled += !!(states[i] & VMADEMO_PAGE_RULED);
			if (look < *cell)
				*cell = look;
		}
		done += pages.count;
	}
	return true;
}
