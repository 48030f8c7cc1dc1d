/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names of files by the number of their inode.
 */
#ifndef VMADEMO_NAMES_H
#define VMADEMO_NAMES_H

#include "vmademo.h"

struct names {
	struct name {
		uint64_t ino;
		char *name;
	} * name;
	size_t nr;
};

void names_walk(struct names *names, const char *dir);
void names_learn(struct names *names, uint64_t dir, uint64_t ino,
		 const char *name);
const char *names_of(const struct names *names, uint64_t ino);
void names_free(struct names *names);

#endif /* VMADEMO_NAMES_H */
