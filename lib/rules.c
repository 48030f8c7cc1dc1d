// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules, made and asked: by request, and by debugfs in words.
 */
#include <sys/stat.h>

#include "rules.h"

/* Returns the new rule's id, or -1 and errno. */
int64_t add_rule(int fd, struct vmademo_rule rule)
{
	return ioctl(fd, VMADEMO_IOC_RULE_ADD, &rule) ? -1 : (int64_t)rule.id;
}

/*
 * The first rule and the last have the kernel's code patched: see code_is_patched_at_once().
 * Where it is not, one rule stays all the time: this descriptor has it, or it is -1.
 */
int keep_code_patched(void)
{
	int fd = -1;

	if (!code_is_patched_at_once()) {
		fd = create_with(VMADEMO_STORE_NONE, PAGE, 0);
		ADD_RULE(fd, .op = VMADEMO_OP_READ, .status = EIO);
	}
	return fd;
}

/* Deletes one; or all, with id 0. */
int del_rule(int fd, uint64_t id)
{
	struct vmademo_rule_id r = { .id = id };

	return ioctl(fd, VMADEMO_IOC_RULE_DEL, &r);
}

/* What the rule with this id says now; its id is 0 if there is none. */
struct vmademo_rule get_rule(int fd, uint64_t id)
{
	struct vmademo_rule r = { .id = id - 1 };

	if (ioctl(fd, VMADEMO_IOC_RULE_LIST, &r) || r.id != id)
		r.id = 0;
	return r;
}

int64_t hits_of(int fd, int64_t id)
{
	struct vmademo_rule r = get_rule(fd, id);

	return r.id ? (int64_t)r.hits : -1;
}

int count_rules(int fd)
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
const char *rules_file(int fd)
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
int say(int fd, const char *text)
{
	return write_text(rules_file(fd), text);
}

/* What it has, in a static place; NULL and errno if it cannot be read. */
const char *rules_text(int fd)
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
