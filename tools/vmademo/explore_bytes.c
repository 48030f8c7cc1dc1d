// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bytes of a buffer, for the verb explore: copied, and compared with those that are left
 * without a cut.
 */
#include <sys/ioctl.h>

#include "explore.h"

/* What there is of a buffer: a byte for each page, not 0 if it may have data. */
uint8_t *states_of(const struct explore *explore, int fd)
{
	uint8_t *states = must_alloc(NULL, explore->pages);
	struct vmademo_pages pages = {
		.count = explore->pages,
		.states = (uintptr_t)states,
	};

	memset(states, 0, explore->pages);
	if (explore->pages && ioctl(fd, VMADEMO_IOC_PAGES, &pages))
		die_errno("VMADEMO_IOC_PAGES");
	for (uint64_t i = 0; i < explore->pages; i++)
		states[i] &= VMADEMO_PAGE_CACHED | VMADEMO_PAGE_STORED;
	return states;
}

static void read_page(int fd, uint64_t page, char *bytes)
{
	ssize_t n = pread(fd, bytes, page_size(), page * page_size());

	if (n < 0)
		die_errno("page %llu cannot be read", (unsigned long long)page);
	memset(bytes + n, 0, page_size() - n);
}

void copy_bytes(const struct explore *explore, int fd, int to)
{
	uint8_t *states = states_of(explore, fd);
	char *bytes = must_alloc(NULL, page_size());
	uint64_t size = explore->buffer.size;

	if (ftruncate(to, size))
		die_errno("a copy of the buffer");
	for (uint64_t i = 0; i < explore->pages; i++) {
		size_t len = page_size();

		if (!states[i])
			continue;
		if (len > size - i * page_size())
			len = size - i * page_size();
		read_page(fd, i, bytes);
		if (pwrite(to, bytes, len, i * page_size()) != (ssize_t)len)
			die_errno("a copy of the buffer");
	}
	free(bytes);
	free(states);
}

/* Which pages are not as they are without a cut. */
void compare_bytes(const struct explore *explore, int fd, struct run *run)
{
	uint8_t *states = states_of(explore, fd);
	char *bytes = must_alloc(NULL, 2 * page_size());
	char *other = bytes + page_size();

	run->differ = must_alloc(NULL, explore->pages * sizeof(uint64_t));
	run->nr_differ = 0;
	for (uint64_t i = 0; i < explore->pages; i++) {
		if (!states[i] && !explore->states[i])
			continue;
		read_page(fd, i, bytes);
		read_page(explore->untouched, i, other);
		if (memcmp(bytes, other, page_size()))
			run->differ[run->nr_differ++] = i;
	}
	free(bytes);
	free(states);
}
