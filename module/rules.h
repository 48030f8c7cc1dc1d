/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rules: faults on demand.  What they are is in include/uapi/linux/vmademo.h; rules.c keeps
 * them, rules_table.c and rules_match.c find them, rules_fault.c, rules_act.c, rules_torn.c
 * and rules_crash.c do what they say, rules_text.c has them in words, for rules_debugfs.c.
 *
 * The hooks below are where an event happens, one call each.  While there is no rule in the
 * whole module, each is a no-op instruction that is patched when the first rule comes.
 *
 * Locks: a buffer's rules->lock, around changes; it is taken before a folio's lock.  The
 * hooks take none, but RCU and, for a fault that is taken a second time, answers_lock.
 */
#ifndef VMADEMO_RULES_H
#define VMADEMO_RULES_H

#include <linux/jump_label.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/vmademo.h>
#include <linux/wait.h>

#include "vmademo.h"

/* The operations, in the order of VMADEMO_OP_... */
#define VMADEMO_OPS(OP)							\
	OP(READ_FAULT, read_fault)					\
	OP(WRITE_FAULT, write_fault)					\
	OP(COW_FAULT, cow_fault)					\
	OP(MKWRITE, mkwrite)						\
	OP(READ_IN, read_in)						\
	OP(WRITE_OUT, write_out)					\
	OP(FLUSH, flush)						\
	OP(MMAP, mmap)							\
	OP(READ, read)							\
	OP(WRITE, write)						\
	OP(ALLOCATE, allocate)						\
	OP(TRUNCATE, truncate)						\
	OP(CREATE, create)						\
	OP(RENAME, rename)						\
	OP(UNLINK, unlink)						\
	OP(LINK, link)							\
	OP(FSYNC_DIR, fsync_dir)

#define VMADEMO_NR_OPS		(VMADEMO_OP_FSYNC_DIR + 1)

#define VMADEMO_OP_BIT(OP)	(1U << VMADEMO_OP_##OP)
#define VMADEMO_OPS_FAULT	(VMADEMO_OP_BIT(READ_FAULT) | VMADEMO_OP_BIT(WRITE_FAULT) | \
				 VMADEMO_OP_BIT(COW_FAULT))

/* Those of names, which only a mounted tree has, and no page */
#define VMADEMO_OPS_NAMES	(VMADEMO_OP_BIT(CREATE) | VMADEMO_OP_BIT(RENAME) | \
				 VMADEMO_OP_BIT(UNLINK) | VMADEMO_OP_BIT(LINK) | \
				 VMADEMO_OP_BIT(FSYNC_DIR))

/* Those that are of no page */
#define VMADEMO_OPS_NO_PAGE	(VMADEMO_OPS_NAMES | VMADEMO_OP_BIT(FLUSH))

/* Those that happen to no process */
#define VMADEMO_OPS_NOBODYS	(VMADEMO_OP_BIT(WRITE_OUT) | VMADEMO_OP_BIT(FLUSH))

/* Those that can be the last to be done, so that the power is cut after them */
#define VMADEMO_OPS_LAST	(VMADEMO_OPS_NOBODYS | VMADEMO_OP_BIT(READ_IN) | \
				 VMADEMO_OP_BIT(TRUNCATE) | VMADEMO_OPS_NAMES)

/* Those that have not been if the power is cut before them, and fail */
#define VMADEMO_OPS_MISSED	(VMADEMO_OP_BIT(FLUSH) | VMADEMO_OP_BIT(TRUNCATE) | \
				 VMADEMO_OPS_NAMES)

/*
 * Those whose caller holds no lock that the work item of a power cut may need.  A fault may come
 * from a write(2) that holds i_rwsem.
 */
#define VMADEMO_OPS_FREE	(VMADEMO_OP_BIT(READ) | VMADEMO_OP_BIT(WRITE) | \
				 VMADEMO_OP_BIT(ALLOCATE) | VMADEMO_OP_BIT(FSYNC_DIR))

/* Those that need each page of theirs to be mapped by itself */
#define VMADEMO_OPS_PAGES	(VMADEMO_OPS_FAULT | VMADEMO_OP_BIT(MKWRITE))

struct pid;
struct seq_file;

/**
 * struct vmademo_rule_entry - one rule of a buffer
 * @list: of all of the buffer, oldest first
 * @ref: the list has one, and whoever is doing what the rule says
 * @gone: it was deleted, and delays nobody any more
 * @pid: whose events it is about, or who is killed; NULL: anybody
 * @user: who made it, if processes are killed
 * @kills_any: he may kill any process, not only those of @user
 * @last: its last page
 * @rule: what was asked for
 * @matches: events so far
 * @left: how often it may still act, if @rule.times is not 0
 * @hits: how often it has acted
 */
struct vmademo_rule_entry {
	struct list_head list;
	refcount_t ref;
	bool gone;
	struct pid *pid;
	kuid_t user;
	bool kills_any;
	u64 last;
	struct vmademo_rule rule;
	atomic64_t matches;
	atomic64_t left;
	atomic64_t hits;
};

/* Pages that have the same rules: count of table->entries, from number at on. */
struct vmademo_rule_range {
	u64 first;
	u64 last;
	u32 at;
	u32 count;
};

/**
 * struct vmademo_rule_table - the rules of a buffer for one operation; never changed
 * @newest: the newest rule that it has
 * @nr: how many ranges
 * @entries: oldest first for each range
 * @ranges: sorted; they do not overlap
 */
struct vmademo_rule_table {
	u64 newest;
	unsigned int nr;
	struct vmademo_rule_entry **entries;
	struct vmademo_rule_range ranges[];
};

/**
 * struct vmademo_rule_seen - which rules an event has met, or passed
 * @own: the newest one of the buffer
 * @tree: the newest one of the mounted tree that it is a file of
 */
struct vmademo_rule_seen {
	u64 own;
	u64 tree;
};

/**
 * struct vmademo_rule_answer - what was decided for a fault that gave up its lock
 * @list: of rules->answers, of the buffer or of its tree
 * @buf: the buffer, not held
 * @task: whose fault it is; not held, so it and
 * @started: when it started name it
 * @page: the page
 * @op: VMADEMO_OP_...
 * @status: what the fault is answered when it comes again; 0 to go on
 * @seen: the rules that it has met or passed
 */
struct vmademo_rule_answer {
	struct list_head list;
	const struct vmademo_buffer *buf;
	const struct task_struct *task;
	u64 started;
	u64 page;
	unsigned int op;
	u32 status;
	struct vmademo_rule_seen seen;
};

/**
 * struct vmademo_rules - the rules of a buffer or of a tree, from the first one on
 * @lock: around changes of what @answers_lock does not guard
 * @list: all rules, oldest first
 * @nr: how many
 * @newest: the id of the last one that was made
 * @tables: for each operation; NULL if it has no rule.  Read under RCU
 * @wait: whoever is being delayed
 * @answers_lock: around @answers and @nr_answers
 * @answers: what was decided for faults that will be taken once more
 * @nr_answers: how many
 */
struct vmademo_rules {
	struct mutex lock;	/* see above */
	struct list_head list;
	unsigned int nr;
	u64 newest;
	struct vmademo_rule_table __rcu *tables[VMADEMO_NR_OPS];
	wait_queue_head_t wait;
	spinlock_t answers_lock;	/* see above */
	struct list_head answers;
	unsigned int nr_answers;
};

/**
 * struct vmademo_rule_event - an event, and what came of it
 * @buf: the buffer; NULL: it is one of names
 * @tree: of names: in which tree
 * @ino: of names: the inode's number
 * @op: VMADEMO_OP_...
 * @first: its first page
 * @last: its last page
 * @mm: the address space of a fault; NULL if it is none
 * @poison: only rules with HWPOISON match
 * @seen: rules up to these have met it before; become the newest that have now
 * @rules: in which rules one matched, though its turn may not have come; NULL if none did
 * @entry: the rule that acts; held
 * @number: of its hits
 */
struct vmademo_rule_event {
	struct vmademo_buffer *buf;
	struct vmademo_tree *tree;
	unsigned long ino;
	unsigned int op;
	u64 first;
	u64 last;
	const struct mm_struct *mm;
	bool poison;
	struct vmademo_rule_seen seen;
	struct vmademo_rules *rules;
	struct vmademo_rule_entry *entry;
	u64 number;
};

DECLARE_STATIC_KEY_FALSE(vmademo_rules_key);

/* Is there a rule, of any buffer? */
static __always_inline bool vmademo_rules_on(void)
{
	return static_branch_unlikely(&vmademo_rules_key);
}

/* NULL before the first one. */
static inline struct vmademo_rules *vmademo_rules_of(const struct vmademo_buffer *buf)
{
	/* What it points to was made ready before; see get_rules() */
	return smp_load_acquire(&buf->rules);
}

/* Those of a tree, or of none. */
static inline struct vmademo_rules *vmademo_rules_of_tree(const struct vmademo_tree *tree)
{
	/* As vmademo_rules_of() does it */
	return tree ? smp_load_acquire(&tree->rules) : NULL;
}

/* Whose power is cut at an event. */
static inline struct vmademo_target vmademo_rule_target(const struct vmademo_rule_event *e)
{
	return (struct vmademo_target) {
		.buf = e->buf,
		.tree = e->buf ? e->buf->tree : e->tree,
	};
}

/* rules.c */
int vmademo_rule_add(const struct vmademo_target *of, struct vmademo_rule *rule);
int vmademo_rule_del(const struct vmademo_target *of, u64 id);
int vmademo_rule_next(const struct vmademo_target *of, struct vmademo_rule *rule);
void vmademo_rule_put(struct vmademo_rule_entry *entry);
void vmademo_rules_end(struct vmademo_rules *rules);
void vmademo_rules_free(struct vmademo_rules *rules);
void vmademo_rules_exit(void);

/* rules_table.c */
int vmademo_rule_make_table(const struct vmademo_rules *rules, unsigned int op,
			    const struct vmademo_rule_entry *without,
			    struct vmademo_rule_table **made);
const struct vmademo_rule_range *
vmademo_rule_find(const struct vmademo_rule_table *table, u64 page);

/* rules_match.c */
bool vmademo_rule_match(struct vmademo_rule_event *e);
int vmademo_rule_wait(struct vmademo_rule_event *e);
bool vmademo_rule_covers(struct vmademo_buffer *buf, unsigned int ops, loff_t pos, u64 len);
bool vmademo_rule_span(struct vmademo_buffer *buf, u64 page, pgoff_t *first, pgoff_t *last);

/* rules_fault.c */
typedef vm_fault_t (*vmademo_fault_t)(struct vm_fault *vmf);
vm_fault_t vmademo_rule_fault(struct vm_fault *vmf, unsigned int op, vmademo_fault_t fault);
vm_fault_t vmademo_rule_late(struct vm_fault *vmf, unsigned int op,
			     struct vmademo_rule_seen seen);
vm_fault_t vmademo_rule_mkwrite(struct vm_fault *vmf, struct vmademo_rule_seen *seen);
vm_fault_t vmademo_rule_mkwrite_late(struct vm_fault *vmf, struct vmademo_rule_seen seen);

/* rules_act.c */
int vmademo_rule_call(struct vmademo_buffer *buf, unsigned int op, loff_t pos, u64 len,
		      struct vmademo_rule_entry **after);
int vmademo_rule_name_call(struct vmademo_tree *tree, unsigned int op, unsigned long ino,
			   struct vmademo_rule_entry **after);
int vmademo_rule_write_out(struct vmademo_buffer *buf, struct folio *folio, size_t len);

/* rules_torn.c */
u64 vmademo_rule_random(u64 seed, u64 n);
int vmademo_rule_store_write(struct vmademo_buffer *buf, struct folio *folio, size_t from,
			     size_t to);
int vmademo_rule_write_torn(struct vmademo_buffer *buf, struct folio *folio, size_t len,
			    const struct vmademo_rule_entry *entry, u64 number);

/* rules_crash.c */
int vmademo_rule_may_kill(struct vmademo_rule_entry *entry);
void vmademo_rule_cut(const struct vmademo_rule_event *e);
void vmademo_rule_after(const struct vmademo_target *of, struct vmademo_rule_entry *entry);

/* rules_text.c */
int vmademo_rule_check(const struct vmademo_target *of, const struct vmademo_rule *rule,
		       const char **word);
int vmademo_rules_command(const struct vmademo_target *of, char *text);
void vmademo_rule_show(struct seq_file *m, const struct vmademo_rule *rule);
ssize_t vmademo_features(char *page);

/* rules_debugfs.c */
extern const struct file_operations vmademo_rules_fops;
extern const struct file_operations vmademo_tree_rules_fops;

/**
 * vmademo_rule() - an event that is no fault: does a rule say something?
 * @buf: the buffer
 * @op: VMADEMO_OP_...
 * @pos: the first byte it is about
 * @len: bytes; 0 is no event
 *
 * Context: May sleep.
 * Return: 0 to go on; or what the event is answered, a negative errno; -EINTR if the task
 *         is being killed.
 */
static __always_inline int vmademo_rule(struct vmademo_buffer *buf, unsigned int op,
					loff_t pos, u64 len)
{
	return vmademo_rules_on() ? vmademo_rule_call(buf, op, pos, len, NULL) : 0;
}

/*
 * The same for one of VMADEMO_OPS_LAST; vmademo_rule_end() must follow, when it has been done,
 * or has failed.
 */
static __always_inline int vmademo_rule_begin(struct vmademo_buffer *buf, unsigned int op,
					      loff_t pos, u64 len,
					      struct vmademo_rule_entry **after)
{
	*after = NULL;
	return vmademo_rules_on() ? vmademo_rule_call(buf, op, pos, len, after) : 0;
}

static __always_inline void vmademo_rule_end(struct vmademo_buffer *buf,
					     struct vmademo_rule_entry *after)
{
	if (unlikely(after))
		vmademo_rule_after(&(struct vmademo_target) { .buf = buf, .tree = buf->tree },
				   after);
}

/**
 * vmademo_rule_name() - an operation on names of a mounted tree: does a rule say something?
 * @tree: the tree
 * @op: one of VMADEMO_OPS_NAMES
 * @ino: of the inode that it is about
 * @after: what vmademo_rule_name_end() must be told when it has been done, or has failed
 *
 * Context: May sleep.  The caller may hold i_rwsem of directories.
 * Return: 0 to go on; or a negative errno, and nothing must follow.
 */
static __always_inline int vmademo_rule_name(struct vmademo_tree *tree, unsigned int op,
					     unsigned long ino,
					     struct vmademo_rule_entry **after)
{
	*after = NULL;
	return vmademo_rules_on() ? vmademo_rule_name_call(tree, op, ino, after) : 0;
}

static __always_inline void vmademo_rule_name_end(struct vmademo_tree *tree,
						  struct vmademo_rule_entry *after)
{
	if (unlikely(after))
		vmademo_rule_after(&(struct vmademo_target) { .tree = tree }, after);
}

/* Has one of these bytes a rule for one of these operations?  Nothing is counted. */
static __always_inline bool vmademo_is_ruled(struct vmademo_buffer *buf, unsigned int ops,
					     loff_t pos, u64 len)
{
	return vmademo_rules_on() && vmademo_rule_covers(buf, ops, pos, len);
}

#endif /* VMADEMO_RULES_H */
