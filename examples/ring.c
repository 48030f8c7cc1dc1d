// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two programs that talk through a file that both map, by the ring of ring.h.
 *
 *   ring send FILE NUMBER...       waits while the ring is full
 *   ring receive FILE COUNT        prints so many numbers, and waits for them
 *
 * FILE has a page or more; new, it is an empty ring.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ring.h"

#define SLOTS 8

int main(int argc, char **argv)
{
	const size_t len = sizeof(struct ring) + SLOTS * sizeof(uint64_t);
	unsigned int slept = 0;
	bool sends = argc > 3 && !strcmp(argv[1], "send");
	struct ring *r;
	int fd;

	if (!sends && (argc != 4 || strcmp(argv[1], "receive"))) {
		fprintf(stderr, "usage: ring send FILE NUMBER...\n"
				"       ring receive FILE COUNT\n");
		return 2;
	}
	fd = open(argv[2], O_RDWR | O_CLOEXEC);
	r = fd < 0 ? MAP_FAILED
		   : mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (r == MAP_FAILED) {
		perror(argv[2]);
		return 1;
	}
	if (sends) {
		for (int i = 3; i < argc; i++)
			ring_send(r, SLOTS, strtoull(argv[i], NULL, 0));
		return 0;
	}
	for (int i = atoi(argv[3]); i > 0; i--)
		printf("%llu\n",
		       (unsigned long long)ring_receive(r, SLOTS, &slept));
	return 0;
}
