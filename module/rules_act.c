// SPDX-License-Identifier: GPL-2.0-only
/*
 * What rules do, at each hook: an event is matched with the rules of the buffer, and one
 * whose turn it is has it wait, fail, or be written in part.
 *
 * A fault is met once, though the kernel may take it twice, because the first time it gave
 * up its lock: for the delay of a rule, or for the store.  What was decided then is
 * kept for the task as an answer, until it comes again.
 *
 * Locks: matching takes RCU only.  A fault that waits holds no lock where the kernel allows
 * that, so other threads can map and fault meanwhile; what else is held, the hooks' callers
 * say.
 */
#include <linux/fs.h>
#include <linux/file.h>
#include <linux/hrtimer.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pid.h>
#include <linux/prandom.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "compat.h"
#include "rules.h"
#include "store/store.h"
#include "trace.h"
#include "vmademo.h"

/* An event, and what came of it. */
struct event {
	struct vmademo_buffer *buf;
	unsigned int op;
	u64 first;
	u64 last;
	const struct mm_struct *mm;	/* a fault's, or NULL */
	bool poison;		/* only rules with HWPOISON match */
	u64 seen;		/* older rules have met it; then the newest that has */
	bool matched;		/* by any rule, but its turn may not have been */
	struct vmademo_rule_entry *entry;	/* that acts; held */
	u64 number;		/* of its hits */
};

/**
 * vmademo_rule_random() - a number that a seed chooses
 * @seed: the seed
 * @n: the how manieth
 *
 * Context: Any.
 * Return: 64 bits.
 */
u64 vmademo_rule_random(u64 seed, u64 n)
{
	u64 z = seed + (n + 1) * 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* ---- matching ------------------------------------------------------------ */

static struct vmademo_rule_table *table_of(struct vmademo_buffer *buf, unsigned int op)
{
	struct vmademo_rules *rules = smp_load_acquire(&buf->rules);

	return rules ? rcu_dereference(rules->tables[op]) : NULL;
}

/* Does it happen to the process?  If in memory that is not the task's own: to its owner. */
static bool is_whose(const struct event *e, struct pid *pid)
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

static bool is_its_turn(struct event *e, struct vmademo_rule_entry *entry)
{
	const struct vmademo_rule *rule = &entry->rule;
	u64 n = atomic64_inc_return(&entry->matches);

	e->matched = true;
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

static bool matches_in(struct event *e, const struct vmademo_rule_table *table,
		       const struct vmademo_rule_range *range)
{
	struct vmademo_rule_entry *entry;
	u32 i;

	for (i = 0; i < range->count; i++) {
		entry = table->entries[range->at + i];
		if (entry->rule.id <= e->seen ||
		    (e->poison && entry->rule.status != VMADEMO_STATUS_HWPOISON) ||
		    /* It was asked in a range before this one */
		    (range->first > e->first && entry->rule.start < range->first) ||
		    (entry->pid && !is_whose(e, entry->pid)) ||
		    !is_its_turn(e, entry))
			continue;
		refcount_inc(&entry->ref);
		e->entry = entry;
		return true;
	}
	return false;
}

/* Finds the rule that acts on an event; of pages, the first one comes first. */
static bool match(struct event *e)
{
	const struct vmademo_rule_table *table;
	const struct vmademo_rule_range *range;

	rcu_read_lock();
	table = table_of(e->buf, e->op);
	if (table) {
		for (range = vmademo_rule_find(table, e->first);
		     range < table->ranges + table->nr && range->first <= e->last; range++)
			if (matches_in(e, table, range))
				break;
		e->seen = table->newest;
	}
	rcu_read_unlock();
	if (!e->entry)
		return false;
	vmademo_count(e->buf, VMADEMO_RULE_HITS);
	trace_vmademo_rule_hit(e->buf->inode->i_ino, e->entry->rule.id, e->op, e->first,
			       e->entry->rule.status);
	return true;
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
	u64 last = (pos + len - 1) >> PAGE_SHIFT;
	const struct vmademo_rule_table *table;
	const struct vmademo_rule_range *range;
	unsigned int op;
	bool covers = false;

	rcu_read_lock();
	for (op = 0; op < VMADEMO_NR_OPS && !covers; op++) {
		table = ops & BIT(op) ? table_of(buf, op) : NULL;
		if (!table)
			continue;
		range = vmademo_rule_find(table, pos >> PAGE_SHIFT);
		covers = range < table->ranges + table->nr && range->first <= last;
	}
	rcu_read_unlock();
	return covers;
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
	unsigned int op;

	for (op = VMADEMO_OP_READ_FAULT; op <= VMADEMO_OP_COW_FAULT; op++) {
		const struct vmademo_rule_table *table = table_of(buf, op);
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

/* ---- waiting ------------------------------------------------------------- */

/* As long as the rule says, unless it is deleted.  -EINTR if the task is being killed. */
static int wait_for(struct event *e)
{
	struct vmademo_rules *rules = e->buf->rules;
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

/* ---- faults -------------------------------------------------------------- */

/* Does this task come again?  Then its answer is moved to *answer. */
static bool take_answer(struct event *e, struct vmademo_rule_answer *answer)
{
	struct vmademo_rules *rules = smp_load_acquire(&e->buf->rules);
	struct vmademo_rule_answer *a, *found = NULL;
	bool fits;

	if (!rules || list_empty_careful(&rules->answers))
		return false;
	spin_lock(&rules->answers_lock);
	list_for_each_entry(a, &rules->answers, list) {
		if (a->task == current) {
			found = a;
			list_del(&a->list);
			break;
		}
	}
	spin_unlock(&rules->answers_lock);
	if (!found)
		return false;
	*answer = *found;
	kfree(found);
	/* Or it was another fault, and somebody has unmapped the page meanwhile */
	fits = answer->started == current->start_time && answer->op == e->op &&
	       answer->page == e->first;
	return fits;
}

static void leave_answer(const struct event *e, struct vmademo_rule_answer *answer, u32 status)
{
	struct vmademo_rules *rules = e->buf->rules;

	answer->task = current;
	answer->started = current->start_time;
	answer->op = e->op;
	answer->page = e->first;
	answer->status = status;
	answer->seen = e->seen;
	spin_lock(&rules->answers_lock);
	list_add(&answer->list, &rules->answers);
	spin_unlock(&rules->answers_lock);
}

static vm_fault_t fault_result(u32 status)
{
	if (!status)
		return 0;
	return status == VMADEMO_STATUS_HWPOISON ? VM_FAULT_HWPOISON : VM_FAULT_SIGBUS;
}

/*
 * A rule acts on a fault.  After VM_FAULT_RETRY the lock is given up, and what it kept may be
 * gone.  It is said to be a major fault: the page was not there at once.
 */
static vm_fault_t act_on_fault(struct vm_fault *vmf, struct event *e)
{
	u32 status = e->entry->rule.status;
	struct vmademo_rule_answer *answer;
	vm_fault_t ret = fault_result(status);
	struct file *file;

	if (e->entry->rule.delay_us && fault_flag_allow_retry_first(vmf->flags)) {
		answer = kmalloc(sizeof(*answer), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
		if (answer) {
			file = get_file(vmf->vma->vm_file);
			vmademo_drop_fault_lock(vmf);
			if (wait_for(e))
				kfree(answer);
			else
				leave_answer(e, answer, status);
			vmademo_rule_put(e->entry);
			fput(file);
			return VM_FAULT_RETRY | VM_FAULT_MAJOR;
		}
	}
	/* Killed, the task gets no further than this */
	if (wait_for(e))
		ret = VM_FAULT_SIGBUS;
	vmademo_rule_put(e->entry);
	return ret;
}

static struct event fault_event(struct vm_fault *vmf, unsigned int op, u64 seen)
{
	return (struct event) {
		.buf = vmademo_buffer_of(vmf->vma->vm_file->f_mapping),
		.op = op,
		.first = vmf->pgoff,
		.last = vmf->pgoff,
		.mm = vmf->vma->vm_mm,
		.seen = seen,
	};
}

/* A rule was made since the fault was matched; its page is locked, and not mapped yet. */
static vm_fault_t late(struct vm_fault *vmf, struct event *e)
{
	if (!match(e))
		return 0;
	unlock_page(vmf->page);
	put_page(vmf->page);
	vmf->page = NULL;
	return act_on_fault(vmf, e);
}

/**
 * vmademo_rule_late() - a fault that began when there was no rule has its page
 * @vmf: the fault
 * @op: VMADEMO_OP_..., which kind of fault
 * @seen: 0
 *
 * Context: With the page locked.  May sleep.
 * Return: 0 if the page can be mapped; otherwise the page is let go, and this is the
 *         fault's result.
 */
vm_fault_t vmademo_rule_late(struct vm_fault *vmf, unsigned int op, u64 seen)
{
	struct event e = fault_event(vmf, op, seen);

	return late(vmf, &e);
}

/**
 * vmademo_rule_fault() - a fault while there are rules
 * @vmf: the fault
 * @op: VMADEMO_OP_..., which kind of fault
 * @fault: brings the page; returns VM_FAULT_LOCKED if it has it
 *
 * Context: May sleep.  Where that is allowed, the fault's lock is given up; then this
 *          returns VM_FAULT_RETRY.
 * Return: the result of the fault.
 */
vm_fault_t vmademo_rule_fault(struct vm_fault *vmf, unsigned int op, vmademo_fault_t fault)
{
	struct event e = fault_event(vmf, op, 0);
	struct vmademo_rule_answer answer, *again = NULL;
	struct file *file;
	vm_fault_t ret;

	/* Who cannot wait comes again when he can; nothing is counted */
	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT &&
	    vmademo_rule_covers(e.buf, BIT(op), (loff_t)vmf->pgoff << PAGE_SHIFT, 1))
		return VM_FAULT_RETRY;
	if (take_answer(&e, &answer)) {
		if (answer.status)
			return fault_result(answer.status);
		e.seen = answer.seen;
		e.matched = true;
	}
	if (match(&e))
		return act_on_fault(vmf, &e);
	if (!e.matched) {
		ret = fault(vmf);
		return ret & VM_FAULT_LOCKED ? late(vmf, &e) ?: ret : ret;
	}

	/* It was counted: not to be counted once more, if it is taken once more */
	if (fault_flag_allow_retry_first(vmf->flags))
		again = kmalloc(sizeof(*again), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	file = get_file(vmf->vma->vm_file);
	ret = fault(vmf);
	if (ret & VM_FAULT_LOCKED)
		ret = late(vmf, &e) ?: ret;
	else if (ret & VM_FAULT_RETRY && again)
		leave_answer(&e, xchg(&again, NULL), 0);
	kfree(again);
	fput(file);
	return ret;
}

/**
 * vmademo_rule_mkwrite() - the first write to a page that is mapped to read
 * @vmf: the fault
 * @seen: set to the newest rule that was asked
 *
 * Context: May sleep, with the lock of the address space held.
 * Return: 0 if the write goes on; otherwise the fault's result.
 */
vm_fault_t vmademo_rule_mkwrite(struct vm_fault *vmf, u64 *seen)
{
	struct event e = fault_event(vmf, VMADEMO_OP_MKWRITE, 0);
	vm_fault_t ret = match(&e) ? act_on_fault(vmf, &e) : 0;

	*seen = e.seen;
	return ret;
}

/**
 * vmademo_rule_mkwrite_late() - the same with the folio locked, for rules made since
 * @vmf: the fault
 * @seen: what vmademo_rule_mkwrite() said; 0 if there was no rule then
 *
 * Context: With the folio locked.  May sleep.
 * Return: 0 if the write goes on; otherwise the folio was unlocked, and this is the
 *         fault's result.
 */
vm_fault_t vmademo_rule_mkwrite_late(struct vm_fault *vmf, u64 seen)
{
	struct event e = fault_event(vmf, VMADEMO_OP_MKWRITE, seen);

	if (!match(&e))
		return 0;
	unlock_page(vmf->page);
	/* A delay alone is over soon, and the write comes again */
	return act_on_fault(vmf, &e) ?: VM_FAULT_NOPAGE;
}

/* ---- calls, reading in, flushing ----------------------------------------- */

/* A rule acts on what can tell an errno. */
static int act(struct event *e)
{
	u32 status = e->entry->rule.status;
	int err = wait_for(e);

	if (!err && status)
		err = status == VMADEMO_STATUS_SIGBUS || status == VMADEMO_STATUS_HWPOISON ?
			      -EIO :
			      -(int)status;
	vmademo_rule_put(e->entry);
	return err;
}

/* Memory that is said to be broken cannot be read or written by a call, either. */
static int find_poison(struct event *e)
{
	static const unsigned int ops[] = {
		VMADEMO_OP_READ_FAULT, VMADEMO_OP_WRITE_FAULT, VMADEMO_OP_COW_FAULT,
		/* The last is for reading; for writing, it is asked page by page */
		VMADEMO_OP_MKWRITE,
	};
	size_t i, n = ARRAY_SIZE(ops) - (e->op == VMADEMO_OP_WRITE);

	e->poison = true;
	for (i = 0; i < n; i++) {
		e->op = ops[i];
		e->seen = 0;
		if (match(e))
			return act(e);
	}
	return 0;
}

/**
 * vmademo_rule_call() - what vmademo_rule() does while there are rules
 * @buf: the buffer
 * @op: VMADEMO_OP_...
 * @pos: the first byte it is about
 * @len: bytes; 0 is no event
 *
 * Context: May sleep.
 * Return: 0, or a negative errno.
 */
int vmademo_rule_call(struct vmademo_buffer *buf, unsigned int op, loff_t pos, u64 len)
{
	struct event e = { .buf = buf, .op = op, .first = pos >> PAGE_SHIFT };
	int err = 0;

	/* Beyond the end there is nothing to read */
	if (op == VMADEMO_OP_READ)
		len = min_t(u64, len, max_t(loff_t, i_size_read(buf->inode) - pos, 0));
	if (!len || pos < 0)
		return 0;
	e.last = (pos + len - 1) >> PAGE_SHIFT;
	if (match(&e))
		err = act(&e);
	else if (op == VMADEMO_OP_READ || op == VMADEMO_OP_WRITE)
		err = find_poison(&e);
	if (op == VMADEMO_OP_READ_IN && err && err != -EINTR)
		vmademo_count(buf, VMADEMO_READ_ERRORS);
	return err;
}

/* ---- writing out --------------------------------------------------------- */

/* Which parts of a write-out arrive: chosen one after the other. */
struct torn {
	struct rnd_state random;
	u32 left;		/* parts */
	u32 arrive;		/* so many of them */
};

static void begin_torn(struct torn *t, const struct event *e, u32 parts)
{
	const struct vmademo_rule *rule = &e->entry->rule;

	prandom_seed_state(&t->random, vmademo_rule_random(rule->seed ^ e->first, e->number));
	t->left = parts;
	t->arrive = parts * rule->torn / 1000;
	if (!rule->torn || rule->torn == 1000)
		return;
	/* Torn, if it can be */
	if (parts > 1)
		t->arrive = clamp(t->arrive, 1U, parts - 1);
	else
		t->arrive = reciprocal_scale(prandom_u32_state(&t->random), 1000) < rule->torn;
}

static bool next_arrives(struct torn *t)
{
	bool arrives = reciprocal_scale(prandom_u32_state(&t->random), t->left) < t->arrive;

	t->left--;
	t->arrive -= arrives;
	return arrives;
}

static int store_write(struct vmademo_buffer *buf, struct folio *folio, size_t from, size_t to)
{
	if (from == to || !buf->store->write)
		return 0;
	return vmademo_store_write(buf, folio, from, to - from);
}

/* What is not under the rule arrives, and neighbours that do arrive together. */
static int write_torn(struct event *e, struct folio *folio, size_t len)
{
	const struct vmademo_rule_entry *entry = e->entry;
	u64 start = max_t(u64, entry->rule.start, e->first) - e->first;
	u64 past = min_t(u64, entry->last, e->last) + 1 - e->first;
	size_t part = entry->rule.granularity ?: 512;
	size_t at = start << PAGE_SHIFT, end = min_t(u64, past << PAGE_SHIFT, len);
	struct torn torn;
	size_t from = 0;	/* what arrives begins here, and reaches to at */
	int err = 0;

	begin_torn(&torn, e, DIV_ROUND_UP(end - at, part));
	for (; at < end && !err; at += part) {
		if (next_arrives(&torn))
			continue;
		err = store_write(e->buf, folio, from, at);
		from = min(at + part, end);
	}
	return err ?: store_write(e->buf, folio, from, len);
}

/**
 * vmademo_rule_write_out() - write a folio to the store while there are rules
 * @buf: the buffer
 * @folio: under write-back
 * @len: bytes of it, at least 1
 *
 * Context: May sleep.
 * Return: what the store says, or a rule.
 */
int vmademo_rule_write_out(struct vmademo_buffer *buf, struct folio *folio, size_t len)
{
	struct event e = {
		.buf = buf,
		.op = VMADEMO_OP_WRITE_OUT,
		.first = folio->index,
		.last = folio->index + ((len - 1) >> PAGE_SHIFT),
	};
	int err = 0, status;

	if (!match(&e))
		return store_write(buf, folio, 0, len);
	status = e.entry->rule.status;
	/* A task that is killed while it waits writes nevertheless */
	wait_for(&e);
	if (e.entry->rule.flags & VMADEMO_RULE_TORN)
		err = write_torn(&e, folio, len);
	else if (!status)
		err = store_write(buf, folio, 0, len);
	vmademo_rule_put(e.entry);
	if (err || !status)
		return err;
	if (status != ENOMEM)
		vmademo_count(buf, VMADEMO_WRITE_ERRORS);
	return -status;
}
