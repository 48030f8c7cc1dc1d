// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules in words, as the module's file in debugfs has them: read and told; made, listed
 * and deleted.  The words are kept here, too, since there may be no debugfs; `features`
 * says which of them the module has.
 */
#include <sys/ioctl.h>

#include "vmademo.h"

const char *const op_names[NR_OPS] = {
	"read_fault", "write_fault", "cow_fault", "mkwrite", "read_in",
	"write_out",  "flush",	     "mmap",	  "read",    "write",
	"allocate",   "truncate",    "create",	  "rename",  "unlink",
	"link",	      "fsync_dir",
};

static const struct {
	const char *name;
	uint32_t status;
} statuses[] = {
	{ "SIGBUS", VMADEMO_STATUS_SIGBUS },
	{ "HWPOISON", VMADEMO_STATUS_HWPOISON },
	{ "EIO", EIO },
	{ "ENOSPC", ENOSPC },
	{ "EDQUOT", EDQUOT },
	{ "ENOMEM", ENOMEM },
	{ "ENODATA", ENODATA },
	{ "ETIMEDOUT", ETIMEDOUT },
	{ "EAGAIN", EAGAIN },
	{ "EINTR", EINTR },
	{ "EFBIG", EFBIG },
	{ "EPERM", EPERM },
	{ "EACCES", EACCES },
	{ "EROFS", EROFS },
	{ "ENODEV", ENODEV },
	{ "ETXTBSY", ETXTBSY },
	{ "EOVERFLOW", EOVERFLOW },
	{ "EOPNOTSUPP", EOPNOTSUPP },
};

#define PARAM(name)                                                  \
	{                                                            \
#name, offsetof(struct vmademo_rule, name),          \
			sizeof(((struct vmademo_rule *)NULL)->name), \
			offsetof(struct vmademo_rule, name) ==       \
				offsetof(struct vmademo_rule, torn)  \
	}

static const struct {
	const char *name;
	size_t offset, size;
	bool torn; /* 0 says something, too */
} params[] = {
	PARAM(start), PARAM(nr),	  PARAM(pid),	PARAM(skip),
	PARAM(times), PARAM(one_in),	  PARAM(seed),	PARAM(delay_us),
	PARAM(torn),  PARAM(granularity), PARAM(share), PARAM(cut_torn),
};

static const struct {
	const char *name;
	uint32_t flag;
} flags[] = {
	{ "crash", VMADEMO_RULE_CRASH },
	{ "kill", VMADEMO_RULE_KILL },
	{ "off", VMADEMO_RULE_OFF },
	{ "session", VMADEMO_RULE_SESSION },
};

static uint64_t get_param(const struct vmademo_rule *rule, size_t i)
{
	const void *at = (const char *)rule + params[i].offset;

	return params[i].size == 8 ? *(const uint64_t *)at
				   : *(const uint32_t *)at;
}

static void set_param(struct vmademo_rule *rule, size_t i, const char *text)
{
	void *at = (char *)rule + params[i].offset;
	uint64_t value = parse_number(params[i].name, text, 0,
				      params[i].size == 8 ? UINT64_MAX
							  : INT32_MAX);

	if (params[i].size == 8)
		*(uint64_t *)at = value;
	else
		*(uint32_t *)at = value;
	if (params[i].torn)
		rule->flags |= VMADEMO_RULE_TORN;
}

/* ---- read ---------------------------------------------------------------- */

static void parse_op(struct vmademo_rule *rule, const char *text)
{
	for (rule->op = 0; rule->op < NR_OPS; rule->op++)
		if (!strcmp(op_names[rule->op], text))
			return;
	bad_usage("rule: there is no op=%s; vmademo features lists the words",
		  text);
}

static void parse_status(struct vmademo_rule *rule, const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		if (!strcmp(statuses[i].name, text)) {
			rule->status = statuses[i].status;
			return;
		}
	}
	bad_usage("rule: there is no status=%s; vmademo features lists the words",
		  text);
}

static void parse_when(struct vmademo_rule *rule, const char *text)
{
	if (!strcmp(text, "after"))
		rule->flags |= VMADEMO_RULE_AFTER;
	else if (strcmp(text, "before"))
		bad_usage("rule: when=%s is neither before nor after", text);
}

/* A word; returns a number that it alone has, for words that are given twice. */
static int parse_word(struct vmademo_rule *rule, const char *word)
{
	const char *value = strchr(word, '=');
	size_t len = value ? (size_t)(value++ - word) : strlen(word);
	size_t i;

#define IS(name) (strlen(name) == len && !memcmp(name, word, len))
	if (value && IS("op")) {
		parse_op(rule, value);
		return 0;
	}
	if (value && IS("status")) {
		parse_status(rule, value);
		return 1;
	}
	if (value && IS("when")) {
		parse_when(rule, value);
		return 2;
	}
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		if (!value && IS(flags[i].name)) {
			rule->flags |= flags[i].flag;
			return 3 + i;
		}
	}
	for (i = 0; i < ARRAY_SIZE(params); i++) {
		if (value && IS(params[i].name)) {
			set_param(rule, i, value);
			return 3 + ARRAY_SIZE(flags) + i;
		}
	}
#undef IS
	bad_usage("rule: \"%s\" is not a word of a rule; vmademo features lists them",
		  word);
}

/* Words with commas between them.  What goes together, the module says. */
void parse_rule(struct vmademo_rule *rule, const char *words)
{
	char *text = strdup(words), *rest = text, *word;
	uint32_t said = 0;

	if (!text)
		die("out of memory");
	memset(rule, 0, sizeof(*rule));
	while ((word = strsep(&rest, ","))) {
		uint32_t bit = 1U << parse_word(rule, word);

		if (said & bit)
			bad_usage("rule: \"%s\" is given twice", word);
		said |= bit;
	}
	if (!(said & 1))
		bad_usage("rule: \"%s\" has no op=", words);
	free(text);
}

/* ---- told ---------------------------------------------------------------- */

/* In the order of the module's file; without id and hits. */
char *rule_words(const struct vmademo_rule *rule)
{
	char *text = must_print("op=%s",
				rule->op < NR_OPS ? op_names[rule->op] : "?");
	char *longer;
	size_t i;

#define ADD(...)                                  \
	do {                                      \
		longer = must_print(__VA_ARGS__); \
		free(text);                       \
		text = longer;                    \
	} while (0)
	for (i = 0; i < ARRAY_SIZE(params); i++)
		if (get_param(rule, i) ||
		    (params[i].torn && rule->flags & VMADEMO_RULE_TORN))
			ADD("%s,%s=%llu", text, params[i].name,
			    (unsigned long long)get_param(rule, i));
	for (i = 0; i < ARRAY_SIZE(statuses); i++)
		if (statuses[i].status == rule->status)
			ADD("%s,status=%s", text, statuses[i].name);
	for (i = 0; i < ARRAY_SIZE(flags); i++)
		if (rule->flags & flags[i].flag)
			ADD("%s,%s", text, flags[i].name);
	if (rule->flags & VMADEMO_RULE_AFTER)
		ADD("%s,when=after", text);
#undef ADD
	return text;
}

/* What a word of the module's `features` is; NULL if this command does not know it. */
const char *word_kind(const char *word)
{
	size_t i;

	for (i = 0; i < NR_OPS; i++)
		if (!strcmp(op_names[i], word))
			return "op";
	for (i = 0; i < ARRAY_SIZE(statuses); i++)
		if (!strcmp(statuses[i].name, word))
			return "status";
	for (i = 0; i < ARRAY_SIZE(params); i++)
		if (!strcmp(params[i].name, word))
			return "word";
	for (i = 0; i < ARRAY_SIZE(flags); i++)
		if (!strcmp(flags[i].name, word))
			return "word";
	if (!strcmp(word, "status") || !strcmp(word, "when") ||
	    !strcmp(word, "id"))
		return "word";
	if (!strcmp(word, "before") || !strcmp(word, "after"))
		return "when";
	for (i = VMADEMO_STORE_NONE; i <= VMADEMO_STORE_FILE; i++)
		if (!strcmp(store_name(i), word))
			return "store";
	return NULL;
}

/* ---- made, listed, deleted ----------------------------------------------- */

uint64_t add_rule(int fd, struct vmademo_rule *rule)
{
	char *words;

	if (!ioctl(fd, VMADEMO_IOC_RULE_ADD, rule))
		return rule->id;
	words = rule_words(rule);
	switch (errno) {
	case EINVAL:
		die("rule %s: out of range, a word is missing, or an op that cannot have it: see RULES in vmademo(1)",
		    words);
	case EOPNOTSUPP:
		die("rule %s: it needs a buffer with a store: --store ram, or file:PATH",
		    words);
	case EBUSY:
		die("rule %s: a page of it is part of a large folio: make the rule before the page is touched, or a buffer with --folio-size %zu",
		    words, page_size());
	case ENOSPC:
		die("rule %s: the buffer or tree already has %u rules, and cannot have more",
		    words, VMADEMO_RULES_MAX);
	case ESRCH:
		die("rule %s: there is no process %d", words, rule->pid);
	case EPERM:
		die("rule %s: permission denied: to kill that process, or to cut the power of a tree that is not yours",
		    words);
	default:
		die_errno("rule %s", words);
	}
}

/* The one after rule->id; false if there is none. */
bool next_rule(int fd, struct vmademo_rule *rule)
{
	*rule = (struct vmademo_rule){ .id = rule->id };
	if (!ioctl(fd, VMADEMO_IOC_RULE_LIST, rule))
		return true;
	if (errno != ENOENT)
		die_errno("VMADEMO_IOC_RULE_LIST");
	return false;
}

uint64_t add_counting_rule(int fd, uint32_t op)
{
	struct vmademo_rule rule = {
		.op = op,
		.skip = UINT64_MAX,
		/* Some outcome that each op can have, and which never comes */
		.delay_us = 1,
	};

	return add_rule(fd, &rule);
}

uint64_t rule_matches(int fd, uint64_t id, uint64_t *hits)
{
	struct vmademo_rule rule = { .id = id - 1 };

	if (!next_rule(fd, &rule) || rule.id != id)
		die("rule %llu is gone", (unsigned long long)id);
	if (hits)
		*hits = rule.hits;
	return rule.matches;
}

void delete_rules(int fd, uint64_t id)
{
	struct vmademo_rule_id rule = { .id = id };

	if (!ioctl(fd, VMADEMO_IOC_RULE_DEL, &rule))
		return;
	if (errno == ENOENT)
		die("there is no rule %llu; vmademo rule list shows them",
		    (unsigned long long)id);
	die_errno("VMADEMO_IOC_RULE_DEL");
}
