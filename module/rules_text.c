// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules in words: what debugfs takes and shows, in the grammar of the kernel's own block
 * error injection; which outcome an operation can have; and the words of `features`, by which
 * a program can ask what there is.
 *
 *   add,op=mkwrite,start=10,nr=11,status=ENOSPC,skip=3,times=1
 *   add,op=write_out,skip=5,times=1,crash,off,when=after,share=300
 *   del,id=2
 *   removeall
 *
 * Locks: none.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitops.h>
#include <linux/kstrtox.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "compat.h"
#include "rules.h"
#include "store/store.h"
#include "vmademo.h"

/* ---- the words ----------------------------------------------------------- */

#define OP_NAME(NAME, name)	#name,

/* In the order of VMADEMO_OP_... */
static const char *const op_names[VMADEMO_NR_OPS] = { VMADEMO_OPS(OP_NAME) };

#define B(OP)	(1U << VMADEMO_OP_##OP)	/* READ and WRITE are macros themselves */
#define CHANGES	(B(TRUNCATE) | B(CREATE) | B(RENAME) | B(UNLINK) | B(LINK))
#define NAMES	(CHANGES | B(FSYNC_DIR))
#define ERRNO(name, ops)	{ #name, name, ops }

/* And which operations can have it. */
static const struct {
	const char *name;
	u32 status;
	u32 ops;
} statuses[] = {
	{ "SIGBUS", VMADEMO_STATUS_SIGBUS, VMADEMO_OPS_FAULT | B(MKWRITE) },
	{ "HWPOISON", VMADEMO_STATUS_HWPOISON, VMADEMO_OPS_FAULT | B(MKWRITE) },
	ERRNO(EIO, B(MKWRITE) | B(READ_IN) | B(WRITE_OUT) | B(FLUSH) | B(READ) | B(WRITE) |
	      B(ALLOCATE) | NAMES),
	ERRNO(ENOSPC, B(MKWRITE) | B(WRITE_OUT) | B(FLUSH) | B(WRITE) | B(ALLOCATE) | NAMES),
	ERRNO(EDQUOT, B(MKWRITE) | B(WRITE_OUT) | B(FLUSH) | B(WRITE) | B(ALLOCATE) | NAMES),
	ERRNO(ENOMEM, B(READ_IN) | B(WRITE_OUT) | B(MMAP) | B(READ) | B(WRITE) | B(ALLOCATE) |
	      NAMES),
	ERRNO(ENODATA, B(READ_IN)),
	ERRNO(ETIMEDOUT, B(READ_IN) | B(WRITE_OUT) | B(FLUSH) | B(FSYNC_DIR)),
	ERRNO(EAGAIN, B(MMAP) | B(READ) | B(WRITE)),
	ERRNO(EINTR, B(READ) | B(WRITE) | B(ALLOCATE)),
	ERRNO(EFBIG, B(WRITE) | B(ALLOCATE) | B(TRUNCATE)),
	ERRNO(EPERM, B(MMAP) | B(WRITE) | B(ALLOCATE) | CHANGES),
	ERRNO(EACCES, B(MMAP) | CHANGES),
	ERRNO(EROFS, NAMES),
	ERRNO(ENODEV, B(MMAP)),
	ERRNO(ETXTBSY, B(MMAP) | B(ALLOCATE) | B(TRUNCATE)),
	ERRNO(EOVERFLOW, B(MMAP)),
	ERRNO(EOPNOTSUPP, B(ALLOCATE)),
};

#define PARAM(name)	{ #name, offsetof(struct vmademo_rule, name), \
			  sizeof_field(struct vmademo_rule, name) }

/* Numbers; op= and status= are names. */
static const struct {
	const char *name;
	size_t offset;
	size_t size;
} params[] = {
	PARAM(id), PARAM(start), PARAM(nr), PARAM(pid), PARAM(skip), PARAM(times),
	PARAM(one_in), PARAM(seed), PARAM(delay_us), PARAM(torn), PARAM(granularity),
	PARAM(share), PARAM(cut_torn),
};

/* Words without a value, and what when= says; in the order in which they are shown. */
static const struct {
	const char *name;
	u32 flag;
} flags[] = {
	{ "crash", VMADEMO_RULE_CRASH },
	{ "kill", VMADEMO_RULE_KILL },
	{ "off", VMADEMO_RULE_OFF },
	{ "session", VMADEMO_RULE_SESSION },
};

static const char *const whens[] = { "before", "after" };

static u64 get_param(const struct vmademo_rule *rule, size_t i)
{
	const void *at = (const char *)rule + params[i].offset;

	return params[i].size == 8 ? *(const u64 *)at : *(const u32 *)at;
}

static void set_param(struct vmademo_rule *rule, size_t i, u64 value)
{
	void *at = (char *)rule + params[i].offset;

	if (params[i].size == 8)
		*(u64 *)at = value;
	else
		*(u32 *)at = value;
}

/* ---- what goes together -------------------------------------------------- */

static bool status_fits(const struct vmademo_rule *rule)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(statuses); i++)
		if (statuses[i].status == rule->status)
			return statuses[i].ops & BIT(rule->op);
	return !rule->status;
}

/* The name of what is wrong with a power cut; NULL if it can be so, or if there is none. */
static const char *wrong_in_cut(const struct vmademo_rule *rule)
{
	u32 op = BIT(rule->op);

	if (rule->share > VMADEMO_WRITTEN_ONE)
		return "share";
	if (rule->flags & VMADEMO_RULE_SESSION && !(rule->flags & VMADEMO_RULE_KILL))
		return "session";
	if (rule->flags & VMADEMO_RULE_CRASH) {
		if (rule->flags & VMADEMO_RULE_AFTER &&
		    (!(op & VMADEMO_OPS_LAST) || rule->status))
			return "when";
		/* It happens to nobody: somebody has to be named */
		if (rule->flags & VMADEMO_RULE_KILL && op == B(WRITE_OUT) && !rule->pid)
			return "pid";
		return NULL;
	}
	if (rule->flags & VMADEMO_RULE_KILL)
		return "kill";
	if (rule->flags & VMADEMO_RULE_OFF)
		return "off";
	if (rule->flags & VMADEMO_RULE_AFTER)
		return "when";
	return rule->share ? "share" : rule->cut_torn ? "cut_torn" : NULL;
}

/**
 * vmademo_rule_check() - is this a rule?
 * @of: the buffer or the tree that it is for
 * @rule: what is asked for
 * @word: set to the name of what is wrong
 *
 * Context: Any.
 * Return: 0, -EINVAL; -EOPNOTSUPP if it needs a store and there is none.
 */
int vmademo_rule_check(const struct vmademo_target *of, const struct vmademo_rule *rule,
		       const char **word)
{
	const struct vmademo_store_ops *store = of->tree ? of->tree->store : of->buf->store;
	const u64 pages = VMADEMO_MAX_SIZE >> PAGE_SHIFT;
	bool torn = rule->flags & VMADEMO_RULE_TORN, crash = rule->flags & VMADEMO_RULE_CRASH;
	bool no_page;

	*word = "op";
	/* A buffer has no names */
	if (rule->op >= VMADEMO_NR_OPS || (!of->tree && BIT(rule->op) & VMADEMO_OPS_NAMES))
		return -EINVAL;
	no_page = BIT(rule->op) & VMADEMO_OPS_NO_PAGE;
	*word = "flags";
	if (rule->flags & ~(VMADEMO_RULE_TORN | VMADEMO_RULE_CRASH | VMADEMO_RULE_KILL |
			    VMADEMO_RULE_OFF | VMADEMO_RULE_AFTER |
			    VMADEMO_RULE_SESSION))
		return -EINVAL;
	*word = "start";
	if (rule->start >= pages || (no_page && rule->start))
		return -EINVAL;
	*word = "nr";
	if (rule->nr > pages - rule->start || (no_page && rule->nr))
		return -EINVAL;
	*word = "pid";
	if (rule->pid < 0 || (rule->pid && BIT(rule->op) & VMADEMO_OPS_NOBODYS &&
			      !(rule->flags & VMADEMO_RULE_KILL)))
		return -EINVAL;
	*word = "delay_us";
	if (rule->delay_us > VMADEMO_DELAY_MAX)
		return -EINVAL;
	*word = "torn";
	if (torn ? rule->op != VMADEMO_OP_WRITE_OUT || rule->torn > 1000 : rule->torn)
		return -EINVAL;
	*word = "granularity";
	if (rule->granularity && (!torn || !is_power_of_2(rule->granularity) ||
				  rule->granularity > 4096))
		return -EINVAL;
	*word = wrong_in_cut(rule);
	if (*word)
		return -EINVAL;
	/* Also of none: it would have nothing happen */
	*word = "status";
	if (!status_fits(rule) || (!rule->status && !rule->delay_us && !torn && !crash))
		return -EINVAL;
	*word = "op";
	if (!store->read && (torn || crash || rule->op == VMADEMO_OP_READ_IN))
		return -EOPNOTSUPP;
	return 0;
}

/* ---- read ---------------------------------------------------------------- */

static int parse_op(struct vmademo_rule *rule, const char *value)
{
	int op = match_string(op_names, ARRAY_SIZE(op_names), value);

	rule->op = op;
	return op < 0 ? -EINVAL : 0;
}

static int parse_status(struct vmademo_rule *rule, const char *value)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(statuses); i++) {
		if (!strcmp(statuses[i].name, value)) {
			rule->status = statuses[i].status;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_number(struct vmademo_rule *rule, size_t i, const char *value)
{
	u64 number;

	/* A pid has a sign; nothing else so small has numbers over 2^31 */
	if (kstrtou64(value, 0, &number) || (params[i].size == 4 && number > S32_MAX))
		return -EINVAL;
	set_param(rule, i, number);
	if (!strcmp(params[i].name, "torn"))
		rule->flags |= VMADEMO_RULE_TORN;
	return 0;
}

static int parse_when(struct vmademo_rule *rule, const char *value)
{
	int when = match_string(whens, ARRAY_SIZE(whens), value);

	if (when > 0)
		rule->flags |= VMADEMO_RULE_AFTER;
	return when < 0 ? -EINVAL : 0;
}

/* The bits of *said: one for each of params, and these. */
#define SAID_ID		BIT(0)
#define OP		ARRAY_SIZE(params)
#define STATUS		(OP + 1)
#define WHEN		(OP + 2)
#define FLAGS		(OP + 3)	/* one for each of flags */

/* A name and its value; each name once. */
static int parse_pair(struct vmademo_rule *rule, const char *name, const char *value, u32 *said)
{
	size_t i;
	int err;

	for (i = 0; i < ARRAY_SIZE(params) && strcmp(params[i].name, name); i++)
		;
	if (i < ARRAY_SIZE(params)) {
		err = parse_number(rule, i, value);
	} else if (!strcmp(name, "op")) {
		i = OP;
		err = parse_op(rule, value);
	} else if (!strcmp(name, "status")) {
		i = STATUS;
		err = parse_status(rule, value);
	} else if (!strcmp(name, "when")) {
		i = WHEN;
		err = parse_when(rule, value);
	} else {
		return -EINVAL;
	}
	if (*said & BIT(i))
		err = -EINVAL;
	*said |= BIT(i);
	return err;
}

/* A word without a value. */
static int parse_flag(struct vmademo_rule *rule, const char *word, u32 *said)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(flags); i++)
		if (!strcmp(flags[i].name, word))
			break;
	if (i == ARRAY_SIZE(flags) || *said & BIT(FLAGS + i))
		return -EINVAL;
	*said |= BIT(FLAGS + i);
	rule->flags |= flags[i].flag;
	return 0;
}

static int parse_word(struct vmademo_rule *rule, char *word, u32 *said)
{
	char *value = strchr(word, '=');
	int err;

	if (!value) {
		err = parse_flag(rule, word, said);
	} else {
		*value = '\0';
		err = parse_pair(rule, word, value + 1, said);
		*value = '=';	/* for the message */
	}
	if (err)
		pr_notice("rules: \"%*pE\" is unknown, out of range, or given twice\n",
			  (int)strlen(word), word);
	return err;
}

/**
 * vmademo_rules_command() - do what a line of text says
 * @of: the buffer, or the tree
 * @text: the line; is changed
 *
 * Context: May sleep.
 * Return: 0; -EINVAL, with a line in the log that says which word; what making or
 *         deleting a rule returns.
 */
int vmademo_rules_command(const struct vmademo_target *of, char *text)
{
	struct vmademo_rule rule = { 0 };
	char *rest = strim(text), *word, *command = strsep(&rest, ",");
	const char *wrong = "op";
	u32 said = 0;
	int err;

	while ((word = strsep(&rest, ","))) {
		err = parse_word(&rule, word, &said);
		if (err)
			return err;
	}
	if (!strcmp(command, "removeall") && !said)
		return vmademo_rule_del(of, 0);
	if (!strcmp(command, "del") && said == SAID_ID && rule.id)
		return vmademo_rule_del(of, rule.id);
	if (strcmp(command, "add")) {
		pr_notice("rules: \"%*pE\": not one of add,op=...; del,id=ID; removeall\n",
			  (int)strlen(command), command);
		return -EINVAL;
	}
	err = said & BIT(OP) ? vmademo_rule_check(of, &rule, &wrong) : -EINVAL;
	if (said & SAID_ID) {
		wrong = "id";
		err = -EINVAL;
	}
	if (err) {
		pr_notice("rules: %s: out of range, missing, or not for this op\n", wrong);
		return err;
	}
	return vmademo_rule_add(of, &rule);
}

/* ---- shown --------------------------------------------------------------- */

/**
 * vmademo_rule_show() - print a rule as one line
 * @m: where to
 * @rule: as vmademo_rule_next() tells it
 *
 * Context: May sleep.
 */
void vmademo_rule_show(struct seq_file *m, const struct vmademo_rule *rule)
{
	size_t i;

	seq_printf(m, "id=%llu,op=%s", rule->id, op_names[rule->op]);
	for (i = 1; i < ARRAY_SIZE(params); i++)
		if (get_param(rule, i) ||
		    (rule->flags & VMADEMO_RULE_TORN && !strcmp(params[i].name, "torn")))
			seq_printf(m, ",%s=%llu", params[i].name, get_param(rule, i));
	for (i = 0; i < ARRAY_SIZE(statuses); i++)
		if (statuses[i].status == rule->status)
			seq_printf(m, ",status=%s", statuses[i].name);
	for (i = 0; i < ARRAY_SIZE(flags); i++)
		if (rule->flags & flags[i].flag)
			seq_printf(m, ",%s", flags[i].name);
	if (rule->flags & VMADEMO_RULE_AFTER)
		seq_printf(m, ",when=%s", whens[1]);
	seq_printf(m, ",hits=%llu\n", rule->hits);
}

/**
 * vmademo_features() - the words that this module knows, one a line
 * @page: where to print, as for a file in sysfs
 *
 * Context: May sleep.
 * Return: bytes.
 */
ssize_t vmademo_features(char *page)
{
	static const char *const stores[] = { "none", "ram", "file" };
	ssize_t n = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(op_names); i++)
		n += sysfs_emit_at(page, n, "%s\n", op_names[i]);
	n += sysfs_emit_at(page, n, "status\n");
	for (i = 0; i < ARRAY_SIZE(statuses); i++)
		n += sysfs_emit_at(page, n, "%s\n", statuses[i].name);
	for (i = 0; i < ARRAY_SIZE(params); i++)
		n += sysfs_emit_at(page, n, "%s\n", params[i].name);
	for (i = 0; i < ARRAY_SIZE(flags); i++)
		n += sysfs_emit_at(page, n, "%s\n", flags[i].name);
	n += sysfs_emit_at(page, n, "when\n");
	for (i = 0; i < ARRAY_SIZE(whens); i++)
		n += sysfs_emit_at(page, n, "%s\n", whens[i]);
	for (i = 0; i < ARRAY_SIZE(stores); i++)
		n += sysfs_emit_at(page, n, "%s\n", stores[i]);
	return n;
}
