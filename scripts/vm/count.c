// SPDX-License-Identifier: GPL-2.0-only
/*
 * A plugin of QEMU that counts instructions by address, for scripts/bench.  It counts what
 * runs from begin() to since(), two functions of bench/, in the virtual machine; of all that
 * was counted before kept(), the longest; and only if chosen() says that it is meant.
 *
 *   -plugin count.so,begin=ADDRESS,since=ADDRESS,chosen=ADDRESS,kept=ADDRESS,out=FILE
 *
 * FILE gets lines, "address count", of 16 bytes of code each.  The machine has one processor.
 * QEMU 7.2 comes without a header for plugins: what is needed of it stands here.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct qemu_plugin_tb;
struct qemu_plugin_insn;

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id,
					   void (*cb)(uint64_t id,
						      struct qemu_plugin_tb *));
void qemu_plugin_register_atexit_cb(uint64_t id, void (*cb)(uint64_t, void *),
				    void *data);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
					    void (*cb)(unsigned int, void *),
					    int flags, void *data);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn,
						int op, void *at, uint64_t add);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *,
						 size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = 1;

#define LINE_SHIFT 4
#define SLOTS	   (1UL << 22)

/* Of a line of code: how often it ran in all; at begin(); in the longest; in those chosen. */
static struct slot {
	uint64_t line, now, before, longest, chosen;
} * slots;

/* Those in use, and what they add up to in the longest. */
static uint32_t *used, count;
static uint64_t longest;
static const char *out = "count.out";

enum mark { BEGIN, SINCE, CHOSEN, KEPT, MARKS };

static const char *const names[MARKS] = { "begin=", "since=", "chosen=", "kept=" };
static uint64_t marks[MARKS];

static uint64_t *counter(uint64_t address)
{
	uint64_t line = address >> LINE_SHIFT;
	size_t i = line * 0x9E3779B97F4A7C15ULL >> 42;

	for (; slots[i].line != line; i = (i + 1) % SLOTS)
		if (!slots[i].line) {
			slots[i].line = line;
			used[count++] = i;
			break;
		}
	return &slots[i].now;
}

static void reached(unsigned int cpu, void *data)
{
	enum mark mark = (enum mark)(uintptr_t)data;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < count && mark == SINCE; i++)
		sum += slots[used[i]].now - slots[used[i]].before;
	for (uint32_t i = 0; i < count; i++) {
		struct slot *s = &slots[used[i]];

		if (mark == BEGIN)
			s->before = s->now;
		else if (mark == SINCE && sum > longest)
			s->longest = s->now - s->before;
		else if (mark == CHOSEN)
			s->chosen += s->longest;
		else if (mark == KEPT)
			s->longest = 0;
	}
	if (mark == SINCE && sum > longest)
		longest = sum;
	else if (mark == KEPT)
		longest = 0;
	(void)cpu;
}

static void translated(uint64_t id, struct qemu_plugin_tb *tb)
{
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint64_t address = qemu_plugin_insn_vaddr(insn);

		for (int m = 0; m < MARKS; m++)
			if (address == marks[m])
				qemu_plugin_register_vcpu_insn_exec_cb(
					insn, reached, 0, (void *)(uintptr_t)m);
		if (address >> LINE_SHIFT)
			qemu_plugin_register_vcpu_insn_exec_inline(
				insn, 0, counter(address), 1);
	}
	(void)id;
}

static void end(uint64_t id, void *data)
{
	FILE *f = fopen(out, "w");

	for (uint32_t i = 0; f && i < count; i++)
		if (slots[used[i]].chosen)
			fprintf(f, "%llx %llu\n",
				(unsigned long long)slots[used[i]].line
					<< LINE_SHIFT,
				(unsigned long long)slots[used[i]].chosen);
	if (f)
		fclose(f);
	(void)id, (void)data;
}

EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc,
			       char **argv)
{
	for (int i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "out=", 4))
			out = strdup(argv[i] + 4);
		for (int m = 0; m < MARKS; m++)
			if (!strncmp(argv[i], names[m], strlen(names[m])))
				marks[m] = strtoull(strchr(argv[i], '=') + 1,
						    NULL, 16);
	}
	slots = calloc(SLOTS, sizeof(*slots));
	used = calloc(SLOTS, sizeof(*used));
	if (!slots || !used)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, end, NULL);
	(void)info;
	return 0;
}
