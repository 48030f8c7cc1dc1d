/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rules, as the tests make and ask them: by request, and by debugfs in words.
 */
#ifndef VMADEMO_RULES_TEST_H
#define VMADEMO_RULES_TEST_H

#include <sys/stat.h>

#include "stores.h"

#define DEBUGFS "/sys/kernel/debug/vmademo/"

/* A rule is on pages.  Where a folio is larger, see folio_room.c. */
__attribute__((constructor)) static void want_pages(void)
{
	folio_size_wanted = PAGE;
}

/* Returns the new rule's id, or -1 and errno. */
static inline int64_t add_rule(int fd, struct vmademo_rule rule)
{
	return ioctl(fd, VMADEMO_IOC_RULE_ADD, &rule) ? -1 : (int64_t)rule.id;
}

#define ADD_RULE(fd, ...) add_rule(fd, (struct vmademo_rule){ __VA_ARGS__ })

/*
 * The first rule and the last have the kernel's code patched: see code_is_patched_at_once().
 * Where it is not, one rule stays all the time: this descriptor has it, or it is -1.
 */
static inline int keep_code_patched(void)
{
	int fd = -1;

	if (!code_is_patched_at_once()) {
		fd = create_with(VMADEMO_STORE_NONE, PAGE, 0);
		ADD_RULE(fd, .op = VMADEMO_OP_READ, .status = EIO);
	}
	return fd;
}

/*
 * For a program that makes many rules one after another: with one that stays, none is the first,
 * for which the kernel's code is patched, nor the last.
 */
#define KEEP_A_RULE                                                \
	static void __attribute__((constructor)) keep_a_rule(void) \
	{                                                          \
		ADD_RULE(create_with(VMADEMO_STORE_NONE, PAGE, 0), \
			 .op = VMADEMO_OP_READ, .status = EIO);    \
	}

/* Deletes one; or all, with id 0. */
static inline int del_rule(int fd, uint64_t id)
{
	struct vmademo_rule_id r = { .id = id };

	return ioctl(fd, VMADEMO_IOC_RULE_DEL, &r);
}

/* What the rule with this id says now; its id is 0 if there is none. */
static inline struct vmademo_rule get_rule(int fd, uint64_t id)
{
	struct vmademo_rule r = { .id = id - 1 };

	if (ioctl(fd, VMADEMO_IOC_RULE_LIST, &r) || r.id != id)
		r.id = 0;
	return r;
}

static inline int64_t hits_of(int fd, int64_t id)
{
	struct vmademo_rule r = get_rule(fd, id);

	return r.id ? (int64_t)r.hits : -1;
}

static inline int count_rules(int fd)
{
	struct vmademo_rule r = { 0 };
	int n = 0;

	while (!ioctl(fd, VMADEMO_IOC_RULE_LIST, &r)) {
		r = (struct vmademo_rule){ .id = r.id };
		n++;
	}
	return errno == ENOENT ? n : -1;
}

/* The file in debugfs of the buffer behind fd; of the node's if fd is -1. */
static inline const char *rules_file(int fd)
{
	static char path[128];
	struct stat st;

	if (fd < 0)
		return DEBUGFS "vmademo/rules";
	fstat(fd, &st);
	snprintf(path, sizeof(path), DEBUGFS "%lu/rules",
		 (unsigned long)st.st_ino);
	return path;
}

/* Says something to it; 0, or -1 and errno. */
static inline int say(int fd, const char *text)
{
	return write_text(rules_file(fd), text);
}

/* What it has, in a static place; NULL and errno if it cannot be read. */
static inline const char *rules_text(int fd)
{
	static char text[1 << 20];
	int file = open(rules_file(fd), O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	if (file < 0)
		return NULL;
	while ((n = read(file, text + len, sizeof(text) - 1 - len)) > 0)
		len += n;
	close(file);
	text[len] = '\0';
	return text;
}

#endif /* VMADEMO_RULES_TEST_H */
