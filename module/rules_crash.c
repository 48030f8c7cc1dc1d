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
#include <linux/cred.h>
#include <linux/pid.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/uidgid.h>

#include "power.h"
#include "rules.h"
#include "vmademo.h"

/**
 * vmademo_rule_may_kill() - the caller wants processes killed: whom may he?
 * @entry: the rule, with VMADEMO_RULE_KILL
 *
 * Context: Any.  The task that makes the rule.
 * Return: 0, -EPERM, or -ESRCH.
 */
int vmademo_rule_may_kill(struct vmademo_rule_entry *entry)
{
	entry->kills_any = capable(CAP_KILL);
	entry->user = current_euid();
	return entry->pid ? kill_pid(entry->pid, 0, 0) : 0;
}

/* As kill(2) asks; under rcu_read_lock(). */
static bool may_be_killed(const struct vmademo_rule_entry *entry, struct task_struct *task)
{
	const struct cred *cred = __task_cred(task);

	return entry->kills_any || uid_eq(entry->user, cred->uid) ||
	       uid_eq(entry->user, cred->suid);
}

static void kill_one(struct task_struct *task)
{
	/* Without that one there is no machine */
	if (!(task->flags & PF_KTHREAD) && !is_global_init(task))
		kill_pid(task_tgid(task), SIGKILL, 1);
}

static void kill_session(const struct vmademo_rule_entry *entry, struct pid *session)
{
	struct task_struct *task;

	do_each_pid_task(session, PIDTYPE_SID, task) {
		if (may_be_killed(entry, task))
			kill_one(task);
	} while_each_pid_task(session, PIDTYPE_SID, task);
}

/* The right to kill @pid was asked for when the rule was made. */
static void kill_who(const struct vmademo_rule_entry *entry)
{
	struct task_struct *task;
	struct pid *session;

	if (!entry->pid && current->flags & PF_KTHREAD)
		return;
	rcu_read_lock();
	task = pid_task(entry->pid ?: task_tgid(current), PIDTYPE_TGID);
	session = task && entry->rule.flags & VMADEMO_RULE_SESSION ? task_session(task) : NULL;
	if (task && (entry->pid || may_be_killed(entry, task)))
		kill_one(task);
	/* What one that is not killed yet has just started comes next time */
	if (session) {
		kill_session(entry, session);
		kill_session(entry, session);
	}
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
