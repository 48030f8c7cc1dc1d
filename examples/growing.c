// SPDX-License-Identifier: GPL-2.0-only
/*
 * A file that grows while it is mapped.  The mapping is as large as the file may ever be, and
 * made once: addresses stay what they are.  What is beyond the end of the file is not there yet,
 * and raises SIGBUS when it is touched; so the file grows first.
 *
 *   growing FILE LINE...       appends lines, and prints the file as the mapping shows it
 *
 * FILE is a regular file: a device has the size that it has.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Addresses, not memory: pages that are not touched cost nothing. */
#define LARGEST (1UL << 30)

struct growing {
	int fd;
	char *map;
	size_t size; /* of the file */
};

static int growing_open(struct growing *g, const char *path)
{
	struct stat st;

	g->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (g->fd < 0 || fstat(g->fd, &st))
		return -1;
	g->size = st.st_size;
	g->map = mmap(NULL, LARGEST, PROT_READ | PROT_WRITE, MAP_SHARED, g->fd,
		      0);
	return g->map == MAP_FAILED ? -1 : 0;
}

/*
 * Makes the file longer by len bytes, and returns where they are; NULL and errno.
 * posix_fallocate() rather than ftruncate(): there is room for what will be written.  Without
 * room it fails, while a page without room would raise SIGBUS.
 */
static char *growing_append(struct growing *g, size_t len)
{
	char *at = g->map + g->size;
	int err = len > LARGEST - g->size ? EFBIG
					  : posix_fallocate(g->fd, g->size, len);

	if (err) {
		errno = err;
		return NULL;
	}
	g->size += len;
	return at;
}

int main(int argc, char **argv)
{
	struct growing g;

	if (argc < 2) {
		fprintf(stderr, "usage: growing FILE LINE...\n");
		return 2;
	}
	if (growing_open(&g, argv[1])) {
		perror(argv[1]);
		return 1;
	}
	for (int i = 2; i < argc; i++) {
		size_t len = strlen(argv[i]);
		char *at = growing_append(&g, len + 1);

		if (!at) {
			perror(argv[1]);
			return 1;
		}
		memcpy(at, argv[i], len);
		at[len] = '\n';
	}
	fwrite(g.map, 1, g.size, stdout);
	return 0;
}
