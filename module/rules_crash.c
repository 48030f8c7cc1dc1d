// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules that cut the power at an event.
 *
 * The moment is when vmademo_power_lose() returns: it only marks the power as off, and takes a
 * spinlock, so an event may be met with any lock held.  What the cut does is then done by
 * a work item (power.c).  Only who holds no lock that it may need waits for it.
 *
 * Locks: none of its own.
 */
#include <linux/capability.h>
#include <linux/pid.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>

#include "power.h"
#include "rules.h"
#include "vmademo.h"

/**
 * vmademo_rule_may_kill() - may the caller have this process killed?
 * @entry: the rule, with VMADEMO_RULE_KILL
 *
 * Context: Any.  The task that makes the rule.
 * Return: 0, -EPERM, or -ESRCH.
 */
int vmademo_rule_may_kill(const struct vmademo_rule_entry *entry)
{
	if (!entry->pid)
		return capable(CAP_KILL) ? 0 : -EPERM;
	return kill_pid(entry->pid, 0, 0);
}

/* The right to do that was asked for when the rule was made. */
static void kill_who(const struct vmademo_rule_entry *entry)
{
	struct pid *pid = entry->pid;
	struct task_struct *task;

	if (!pid && current->flags & PF_KTHREAD)
		return;
	rcu_read_lock();
	if (!pid)
		pid = task_tgid(current);
	task = pid_task(pid, PIDTYPE_TGID);
	/* Without that one there is no machine */
	if (task && !is_global_init(task))
		kill_pid(pid, SIGKILL, 1);
	rcu_read_unlock();
}

static void cut(const struct vmademo_target *of, const struct vmademo_rule_entry *entry)
{
	const struct vmademo_rule *rule = &entry->rule;
	struct vmademo_crash ask = {
		.seed = rule->seed,
		.written_permille = rule->share,
		.torn = rule->cut_torn,
	};

	if (!(rule->flags & VMADEMO_RULE_CRASH))
		return;
	vmademo_power_lose(of, &ask, !(rule->flags & VMADEMO_RULE_OFF));
	if (rule->flags & VMADEMO_RULE_KILL)
		kill_who(entry);
}

/**
 * vmademo_rule_cut() - if the rule says so, the power is off from now on
 * @e: an event with a rule
 *
 * Context: Any but an interrupt.
 */
void vmademo_rule_cut(const struct vmademo_rule_event *e)
{
	const struct vmademo_target of = vmademo_rule_target(e);

	cut(&of, e->entry);
}

/**
 * vmademo_rule_after() - the event of a rule has been, and now the power is cut
 * @of: the buffer, and the tree that it is in; or of an event of names, the tree
 * @entry: the rule; is let go
 *
 * Context: Any but an interrupt.
 */
void vmademo_rule_after(const struct vmademo_target *of, struct vmademo_rule_entry *entry)
{
	cut(of, entry);
	vmademo_rule_put(entry);
}
