/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rules, made and asked: by request, and by debugfs in words.
 */
#ifndef VMADEMO_LIB_RULES_H
#define VMADEMO_LIB_RULES_H

#include "lib.h"

#define DEBUGFS "/sys/kernel/debug/vmademo/"

#define ADD_RULE(fd, ...) add_rule(fd, (struct vmademo_rule){ __VA_ARGS__ })

int64_t add_rule(int fd, struct vmademo_rule rule);
int keep_code_patched(void);
int del_rule(int fd, uint64_t id);
struct vmademo_rule get_rule(int fd, uint64_t id);
int64_t hits_of(int fd, int64_t id);
int count_rules(int fd);
const char *rules_file(int fd);
int say(int fd, const char *text);
const char *rules_text(int fd);

#endif /* VMADEMO_LIB_RULES_H */
