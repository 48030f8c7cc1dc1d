// SPDX-License-Identifier: GPL-2.0-only
/*
 * What to do when msync fails.  It is wrong to call it again: the error is told once.  The
 * kernel has given up the page; it is clean now, and what was in it is not on the disk.  The
 * second msync has nothing to do, and says that all is well.
 *
 *   msync_again wrong|right FILE TEXT
 *
 * Writes TEXT to the beginning of FILE by a mapping, and says "saved" or "not saved".
 * "wrong" calls msync again; "right" writes to the page again first, from what it has
 * elsewhere, so that there is something to write back.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define TRIES 3

/* Wrong: data that is lost is taken for saved. */
static bool save_wrong(char *map, const char *text, size_t len)
{
	memcpy(map, text, len);
	for (int i = 0; i < TRIES; i++)
		if (!msync(map, len, MS_SYNC))
			return true;
	return false;
}

/* Right: each try is a new one. */
static bool save_right(char *map, const char *text, size_t len)
{
	for (int i = 0; i < TRIES; i++) {
		memcpy(map, text, len);
		if (!msync(map, len, MS_SYNC))
			return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	bool saved, right;
	size_t len;
	char *map;
	int fd;

	if (argc != 4) {
		fprintf(stderr, "usage: msync_again wrong|right FILE TEXT\n");
		return 2;
	}
	right = !strcmp(argv[1], "right");
	len = strlen(argv[3]) + 1;
	fd = open(argv[2], O_RDWR | O_CLOEXEC);
	map = fd < 0 ? MAP_FAILED
		     : mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		perror(argv[2]);
		return 2;
	}
	saved = right ? save_right(map, argv[3], len)
		      : save_wrong(map, argv[3], len);
	puts(saved ? "saved" : "not saved");
	return saved ? 0 : 1;
}
