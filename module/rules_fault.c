// SPDX-License-Identifier: GPL-2.0-only
/*
 * What rules do to faults.
 *
 * A fault is met once, though the kernel may take it twice, because the first time it gave
 * up its lock: for the delay of a rule, or for the store.  What was decided then is
 * kept for the task as an answer, until it comes again.
 *
 * Locks: answers_lock.  A fault that waits holds no lock where the kernel allows that, so other
 * threads can map and fault meanwhile.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "compat.h"
#include "rules.h"
#include "vmademo.h"

/* A task that was killed never comes: its answer is dropped when there are so many. */
#define ANSWERS_MAX	1024

/* Does this task come again?  Then its answer is moved to *answer. */
static bool take_from(struct vmademo_rule_event *e, struct vmademo_rules *rules,
		      struct vmademo_rule_answer *answer)
{
	struct vmademo_rule_answer *a, *found = NULL;
	bool fits;

	if (!rules || list_empty_careful(&rules->answers))
		return false;
	spin_lock(&rules->answers_lock);
	list_for_each_entry(a, &rules->answers, list) {
		if (a->task == current) {
			found = a;
			list_del(&a->list);
			rules->nr_answers--;
			break;
		}
	}
	spin_unlock(&rules->answers_lock);
	if (!found)
		return false;
	*answer = *found;
	kfree(found);
	/* Or it was another fault, and somebody has unmapped the page meanwhile */
	fits = answer->started == current->start_time && answer->buf == e->buf &&
	       answer->op == e->op && answer->page == e->first;
	if (fits)
		e->rules = rules;
	return fits;
}

static bool take_answer(struct vmademo_rule_event *e, struct vmademo_rule_answer *answer)
{
	return take_from(e, vmademo_rules_of(e->buf), answer) ||
	       take_from(e, vmademo_rules_of_tree(e->buf->tree), answer);
}

static void leave_answer(const struct vmademo_rule_event *e,
			 struct vmademo_rule_answer *answer, u32 status)
{
	struct vmademo_rules *rules = e->rules;
	struct vmademo_rule_answer *oldest = NULL;

	answer->buf = e->buf;
	answer->task = current;
	answer->started = current->start_time;
	answer->op = e->op;
	answer->page = e->first;
	answer->status = status;
	answer->seen = e->seen;
	spin_lock(&rules->answers_lock);
	list_add(&answer->list, &rules->answers);
	if (++rules->nr_answers > ANSWERS_MAX) {
		oldest = list_last_entry(&rules->answers, struct vmademo_rule_answer, list);
		list_del(&oldest->list);
		rules->nr_answers--;
	}
	spin_unlock(&rules->answers_lock);
	kfree(oldest);
}

static vm_fault_t fault_result(u32 status)
{
	if (!status)
		return 0;
	return status == VMADEMO_STATUS_HWPOISON ? VM_FAULT_HWPOISON : VM_FAULT_SIGBUS;
}

/*
 * A rule acts on a fault; 0 says that it goes on.  After VM_FAULT_RETRY the lock is given up,
 * and what it kept may be gone.  It is said to be a major fault: the page was not there at
 * once.
 */
static vm_fault_t act_on_fault(struct vm_fault *vmf, struct vmademo_rule_event *e)
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
			if (vmademo_rule_wait(e)) {
				kfree(answer);
			} else {
				vmademo_rule_cut(e);
				leave_answer(e, answer, status);
			}
			vmademo_rule_put(e->entry);
			fput(file);
			return VM_FAULT_RETRY | VM_FAULT_MAJOR;
		}
	}
	/* Killed, the task gets no further than this */
	if (vmademo_rule_wait(e))
		ret = VM_FAULT_SIGBUS;
	else
		vmademo_rule_cut(e);
	vmademo_rule_put(e->entry);
	return ret;
}

static struct vmademo_rule_event fault_event(struct vm_fault *vmf, unsigned int op,
					     struct vmademo_rule_seen seen)
{
	return (struct vmademo_rule_event) {
		.buf = vmademo_buffer_of(vmf->vma->vm_file->f_mapping),
		.op = op,
		.first = vmf->pgoff,
		.last = vmf->pgoff,
		.mm = vmf->vma->vm_mm,
		.seen = seen,
	};
}

/* A rule was made since the fault was matched; its page is locked, and not mapped yet. */
static vm_fault_t late(struct vm_fault *vmf, struct vmademo_rule_event *e)
{
	if (!vmademo_rule_match(e))
		return 0;
	unlock_page(vmf->page);
	put_page(vmf->page);
	vmf->page = NULL;
	/* After a delay alone, the program comes again */
	return act_on_fault(vmf, e) ?: VM_FAULT_NOPAGE;
}

/**
 * vmademo_rule_late() - a fault that began when there was no rule has its page
 * @vmf: the fault
 * @op: VMADEMO_OP_..., which kind of fault
 * @seen: none
 *
 * Context: With the page locked.  May sleep.
 * Return: 0 if the page can be mapped; otherwise the page is let go, and this is the
 *         fault's result.
 */
vm_fault_t vmademo_rule_late(struct vm_fault *vmf, unsigned int op,
			     struct vmademo_rule_seen seen)
{
	struct vmademo_rule_event e = fault_event(vmf, op, seen);

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
	struct vmademo_rule_event e = fault_event(vmf, op, (struct vmademo_rule_seen) { 0 });
	struct vmademo_rule_answer answer, *again = NULL;
	struct file *file;
	vm_fault_t ret;

	/* Whoever cannot wait comes again when he can; nothing is counted */
	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT &&
	    vmademo_rule_covers(e.buf, BIT(op), (loff_t)vmf->pgoff << PAGE_SHIFT, 1))
		return VM_FAULT_RETRY;
	if (take_answer(&e, &answer)) {
		if (answer.status)
			return fault_result(answer.status);
		e.seen = answer.seen;
	}
	if (vmademo_rule_match(&e)) {
		ret = act_on_fault(vmf, &e);
		if (ret)
			return ret;
		/* It has waited already, with the lock held */
		e.entry = NULL;
	}
	if (!e.rules) {
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
 * @seen: set to the newest rules that were asked
 *
 * Context: May sleep, with the lock of the address space held.
 * Return: 0 if the write goes on; otherwise the fault's result.
 */
vm_fault_t vmademo_rule_mkwrite(struct vm_fault *vmf, struct vmademo_rule_seen *seen)
{
	struct vmademo_rule_event e = fault_event(vmf, VMADEMO_OP_MKWRITE,
						  (struct vmademo_rule_seen) { 0 });
	vm_fault_t ret = vmademo_rule_match(&e) ? act_on_fault(vmf, &e) : 0;

	*seen = e.seen;
	return ret;
}

/**
 * vmademo_rule_mkwrite_late() - the same with the folio locked, for rules made since
 * @vmf: the fault
 * @seen: what vmademo_rule_mkwrite() said; none if there was no rule then
 *
 * Context: With the folio locked.  May sleep.
 * Return: 0 if the write goes on; otherwise the folio was unlocked, and this is the
 *         fault's result.
 */
vm_fault_t vmademo_rule_mkwrite_late(struct vm_fault *vmf, struct vmademo_rule_seen seen)
{
	struct vmademo_rule_event e = fault_event(vmf, VMADEMO_OP_MKWRITE, seen);

	if (!vmademo_rule_match(&e))
		return 0;
	unlock_page(vmf->page);
	/* A delay alone is over soon, and the write comes again */
	return act_on_fault(vmf, &e) ?: VM_FAULT_NOPAGE;
}
