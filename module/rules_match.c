// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which rule acts on an event, if any; and waiting, as long as it says.
 *
 * Locks: matching takes RCU only.
 */
#include <linux/bitops.h>
#include <linux/hrtimer.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/pid.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/wait.h>

#include "compat.h"
#include "rules.h"
#include "trace.h"
#include "vmademo.h"

static struct vmademo_rule_table *table_of(struct vmademo_rules *rules, unsigned int op)
{
	return rules ? rcu_dereference(rules->tables[op]) : NULL;
}

/* Does it happen to the process?  If in memory that is not the task's own: to its owner. */
static bool is_whose(const struct vmademo_rule_event *e, struct pid *pid)
{
	struct task_struct *leader, *thread;

	if (!e->mm || e->mm == current->mm)
		return task_tgid(current) == pid;
	leader = pid_task(pid, PIDTYPE_TGID);
	if (!leader)
		return false;
	for_each_thread(leader, thread)
		if (READ_ONCE(thread->mm) == e->mm)
			return true;
	return false;
}

static bool is_its_turn(struct vmademo_rule_event *e, struct vmademo_rule_entry *entry)
{
	const struct vmademo_rule *rule = &entry->rule;
	u64 n = atomic64_inc_return(&entry->matches);

	if (n <= rule->skip)
		return false;
	if (rule->one_in > 1 &&
	    reciprocal_scale(vmademo_rule_random(rule->seed, n - rule->skip) >> 32,
			     rule->one_in))
		return false;
	if (rule->times && atomic64_dec_if_positive(&entry->left) < 0)
		return false;
	e->number = atomic64_inc_return(&entry->hits);
	return true;
}

/* Is the event one that the rule is about, whether it is its turn or not? */
static bool is_about(const struct vmademo_rule_event *e, const struct vmademo_rule_entry *entry,
		     const struct vmademo_rule_range *range, u64 seen)
{
	if (entry->rule.id <= seen ||
	    (e->poison && entry->rule.status != VMADEMO_STATUS_HWPOISON) ||
	    /* It was asked in a range before this one */
	    (range->first > e->first && entry->rule.start < range->first))
		return false;
	return !entry->pid || BIT(e->op) & VMADEMO_OPS_NOBODYS || is_whose(e, entry->pid);
}

static bool matches_in(struct vmademo_rule_event *e, struct vmademo_rules *rules,
		       const struct vmademo_rule_table *table,
		       const struct vmademo_rule_range *range, u64 seen)
{
	struct vmademo_rule_entry *entry;
	u32 i;

	for (i = 0; i < range->count; i++) {
		entry = table->entries[range->at + i];
		if (!is_about(e, entry, range, seen))
			continue;
		e->rules = rules;
		if (!is_its_turn(e, entry))
			continue;
		refcount_inc(&entry->ref);
		e->entry = entry;
		return true;
	}
	return false;
}

/* Under RCU.  If a rule acts already, those of this table pass it. */
static void match_table(struct vmademo_rule_event *e, struct vmademo_rules *rules, u64 *seen)
{
	const struct vmademo_rule_table *table = table_of(rules, e->op);
	const struct vmademo_rule_range *range;

	if (!table)
		return;
	for (range = vmademo_rule_find(table, e->first);
	     !e->entry && range < table->ranges + table->nr && range->first <= e->last; range++)
		if (matches_in(e, rules, table, range, *seen))
			break;
	*seen = table->newest;
}

/**
 * vmademo_rule_match() - find the rule that acts on an event
 * @e: the event; its entry is set, and is to be let go by vmademo_rule_put()
 *
 * The rules of the buffer come first, then those of its tree; of several pages, the first one
 * comes first.  The rule has hit, and that is counted.
 *
 * Context: Any.
 * Return: whether there is one.
 */
bool vmademo_rule_match(struct vmademo_rule_event *e)
{
	const struct vmademo_target of = vmademo_rule_target(e);

	rcu_read_lock();
	if (e->buf)
		match_table(e, vmademo_rules_of(e->buf), &e->seen.own);
	match_table(e, vmademo_rules_of_tree(of.tree), &e->seen.tree);
	rcu_read_unlock();
	if (!e->entry)
		return false;
	if (e->buf)
		vmademo_count(e->buf, VMADEMO_RULE_HITS);
	else
		vmademo_stats_name_hit(e->tree);
	trace_vmademo_rule_hit(e->buf ? e->buf->inode->i_ino : e->ino, e->entry->rule.id, e->op,
			       e->first, e->entry->rule.status);
	return true;
}

static bool covers(struct vmademo_rules *rules, unsigned int op, u64 first, u64 last)
{
	const struct vmademo_rule_table *table = table_of(rules, op);
	const struct vmademo_rule_range *range;

	if (!table)
		return false;
	range = vmademo_rule_find(table, first);
	return range < table->ranges + table->nr && range->first <= last;
}

/**
 * vmademo_rule_covers() - have these bytes a rule?
 * @buf: the buffer
 * @ops: for one of these operations, a bit for each
 * @pos: the first byte
 * @len: bytes, at least 1
 *
 * Context: Any.
 * Return: whether they have.
 */
bool vmademo_rule_covers(struct vmademo_buffer *buf, unsigned int ops, loff_t pos, u64 len)
{
	u64 first = pos >> PAGE_SHIFT, last = (pos + len - 1) >> PAGE_SHIFT;
	unsigned int op;
	bool has = false;

	rcu_read_lock();
	for (op = 0; op < VMADEMO_NR_OPS && !has; op++)
		if (ops & BIT(op))
			has = covers(vmademo_rules_of(buf), op, first, last) ||
			      covers(vmademo_rules_of_tree(buf->tree), op, first, last);
	rcu_read_unlock();
	return has;
}

/* What vmademo_rule_span() does, for one of the two. */
static bool span(struct vmademo_rules *rules, u64 page, pgoff_t *first, pgoff_t *last)
{
	unsigned int op;

	for (op = VMADEMO_OP_READ_FAULT; op <= VMADEMO_OP_COW_FAULT; op++) {
		const struct vmademo_rule_table *table = table_of(rules, op);
		const struct vmademo_rule_range *range;

		if (!table)
			continue;
		range = vmademo_rule_find(table, page);
		if (range < table->ranges + table->nr) {
			if (range->first <= page)
				return false;
			*last = min_t(u64, *last, range->first - 1);
		}
		if (range > table->ranges)
			*first = max_t(u64, *first, range[-1].last + 1);
	}
	return true;
}

/**
 * vmademo_rule_span() - which pages around a fault can be mapped
 * @buf: the buffer
 * @page: where the fault is
 * @first: the first page to be mapped around it; moved to where there is no rule for faults
 * @last: the last one; likewise
 *
 * Context: Under RCU, until they are mapped.
 * Return: whether any can be.
 */
bool vmademo_rule_span(struct vmademo_buffer *buf, u64 page, pgoff_t *first, pgoff_t *last)
{
	return span(vmademo_rules_of(buf), page, first, last) &&
	       span(vmademo_rules_of_tree(buf->tree), page, first, last);
}

/* ---- waiting ------------------------------------------------------------- */

/**
 * vmademo_rule_wait() - wait as long as a rule says, unless it is deleted
 * @e: an event with a rule
 *
 * Context: May sleep.
 * Return: 0; -EINTR if the task is being killed.
 */
int vmademo_rule_wait(struct vmademo_rule_event *e)
{
	struct vmademo_rules *rules = e->rules;
	ktime_t until = ktime_add_us(ktime_get(), e->entry->rule.delay_us);
	DEFINE_WAIT(wait);
	int err = 0;

	if (!e->entry->rule.delay_us)
		return 0;
	for (;;) {
		prepare_to_wait(&rules->wait, &wait, TASK_KILLABLE);
		if (READ_ONCE(e->entry->gone))
			break;
		if (fatal_signal_pending(current)) {
			err = -EINTR;
			break;
		}
		if (!schedule_hrtimeout(&until, HRTIMER_MODE_ABS))
			break;
	}
	finish_wait(&rules->wait, &wait);
	return err;
}
