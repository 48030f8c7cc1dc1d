// SPDX-License-Identifier: GPL-2.0-only
/*
 * The power of stores: it goes at one moment for several buffers, and stays off until it is
 * switched on.  Meanwhile every operation on the store fails.
 *
 * The moment is when power_lock is let go of, with power set in all of them: an operation that
 * begins later fails.  One that is told so by the first of them waits for the lock, so the
 * program cannot go on to another one that has power yet.  What began before may still arrive,
 * as what a disk has taken already; the cut itself (crash.c) waits for that.
 *
 * The cut is done by a work item of each buffer, one after another or at once: from that moment
 * on nothing but what began before changes what it finds in the store, so there is no hurry; and
 * a caller that is killed need not wait.  The end of a buffer does (super.c).
 *
 * Locks: power_lock inside all others.  The work item takes i_rwsem and what crash.c takes.
 */
#include <linux/fs.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/wait_bit.h>
#include <linux/workqueue.h>

#include "power.h"
#include "rules.h"
#include "store/store.h"
#include "trace.h"
#include "vmademo.h"

static DEFINE_SPINLOCK(power_lock);

/**
 * vmademo_power_refuses() - vmademo_is_off() of a buffer whose power is not on
 * @buf: the buffer
 * @unless: of power, what lets it pass
 *
 * Context: Any but an interrupt.
 * Return: whether the operation fails.
 */
bool vmademo_power_refuses(const struct vmademo_buffer *buf, unsigned int unless)
{
	unsigned int power;

	/* Until all have lost it that lose it at this moment */
	spin_lock(&power_lock);
	power = buf->power;
	spin_unlock(&power_lock);
	return power & VMADEMO_POWERLESS && !(power & unless);
}

static void set_power(struct vmademo_buffer *buf, unsigned int set, unsigned int clear)
{
	spin_lock(&power_lock);
	WRITE_ONCE(buf->power, (buf->power | set) & ~clear);
	spin_unlock(&power_lock);
}

/* ---- off ----------------------------------------------------------------- */

/**
 * vmademo_cut_work() - does what a power cut does: the work item of a buffer
 * @work: the buffer's cut_work
 *
 * Context: A worker.  Takes i_rwsem.
 */
void vmademo_cut_work(struct work_struct *work)
{
	struct vmademo_buffer *buf = container_of(work, struct vmademo_buffer, cut_work);

	/* A worker is never killed; but who could be is not taken for a hung task */
	if (vmademo_lock_inode(buf->inode))
		return;
	if ((buf->cut.written_permille || buf->cut.torn) &&
	    !down_write_killable(&buf->shape_lock)) {
		/* What is under way is somebody else's, and too late */
		vmademo_wait_writeback(buf, 0, LLONG_MAX);
		set_power(buf, VMADEMO_CUT_WRITES, 0);
		/* Without memory for it, nothing happened to be written */
		vmademo_cut_write(buf, &buf->cut);
		set_power(buf, 0, VMADEMO_CUT_WRITES);
		up_write(&buf->shape_lock);
	}
	vmademo_cut_lose(buf, &buf->cut);
	/* i_rwsem has kept others from making anything dirty meanwhile */
	spin_lock(&power_lock);
	WRITE_ONCE(buf->power, buf->power & VMADEMO_POWER_BACK ? 0 : VMADEMO_POWERLESS);
	spin_unlock(&power_lock);
	inode_unlock(buf->inode);
	wake_up_var(&buf->power);
}

/* With power_lock held.  Whether it had any. */
static bool lose_power(struct vmademo_buffer *buf, const struct vmademo_crash *cut,
		       unsigned int back)
{
	if (buf->power) {
		/* Under way already; but who wants it to stay off is obeyed */
		WRITE_ONCE(buf->power, buf->power & (back | ~VMADEMO_POWER_BACK));
		return false;
	}
	buf->cut = *cut;
	WRITE_ONCE(buf->power, VMADEMO_POWERLESS | VMADEMO_CUT_DUE | back);
	trace_vmademo_power_off(buf->inode->i_ino);
	queue_work(system_unbound_wq, &buf->cut_work);
	return true;
}

/**
 * vmademo_power_lose() - at this moment, a buffer loses its power
 * @buf: the buffer, which has a store
 * @cut: what is asked of the cut
 * @back: the power comes back when that is done
 *
 * If it has none, it is as it is; without @back it stays so.
 *
 * Context: Any but an interrupt.  The caller holds the buffer, or an event of it.
 */
void vmademo_power_lose(struct vmademo_buffer *buf, const struct vmademo_crash *cut, bool back)
{
	spin_lock(&power_lock);
	lose_power(buf, cut, back ? VMADEMO_POWER_BACK : 0);
	spin_unlock(&power_lock);
}

/**
 * vmademo_power_wait() - wait until no cut is under way
 * @buf: the buffer
 *
 * Context: May sleep.
 * Return: 0; -EINTR if the task is being killed.
 */
int vmademo_power_wait(struct vmademo_buffer *buf)
{
	return wait_var_event_killable(&buf->power,
				       !vmademo_cut_is_due(buf)) ?
		       -EINTR : 0;
}

static void add_up(struct vmademo_crash *all, const struct vmademo_crash *one)
{
	all->lost_folios += one->lost_folios;
	all->lost_bytes += one->lost_bytes;
	all->written_folios += one->written_folios;
	all->torn_folios += one->torn_folios;
}

/**
 * vmademo_power_off() - at one moment, buffers lose their power
 * @off: which, and what is asked of the cut
 *
 * Those that have none already are as they are.  When this returns, nothing arrives in any of
 * the stores any more.
 *
 * Context: May sleep.
 * Return: 0; -EINTR if the task is being killed; the power is off then, too.
 */
int vmademo_power_off(struct vmademo_power_off *off)
{
	struct vmademo_crash cut = off->cut;
	unsigned long mine[BITS_TO_LONGS(VMADEMO_POWER_MAX + 1)] = { 0 };
	unsigned int i;
	int err = 0;

	spin_lock(&power_lock);
	for (i = 0; i < off->count; i++) {
		cut.seed = i ? vmademo_rule_random(off->cut.seed, i) : off->cut.seed;
		__assign_bit(i, mine, lose_power(off->bufs[i], &cut, 0));
	}
	spin_unlock(&power_lock);
	for (i = 0; i < off->count && !err; i++) {
		err = vmademo_power_wait(off->bufs[i]);
		if (!err && test_bit(i, mine))
			add_up(&off->cut, &off->bufs[i]->cut);
	}
	return err;
}

/* ---- on ------------------------------------------------------------------ */

/**
 * vmademo_power_on() - a buffer gets its power back
 * @buf: the buffer, which has a store
 *
 * What programs have written while it was off, or was not taken by the store, is gone: a
 * machine that starts has nothing in its memory.
 *
 * Context: May sleep.  Takes i_rwsem.
 * Return: 0, and so if it is on; -EINTR if the task is being killed.
 */
int vmademo_power_on(struct vmademo_buffer *buf)
{
	int err;

	do {
		err = vmademo_power_wait(buf) ?: vmademo_lock_inode(buf->inode);
		if (err)
			return err;
		/* Off meanwhile, and its work item waits for i_rwsem */
		if (vmademo_cut_is_due(buf)) {
			inode_unlock(buf->inode);
			continue;
		}
		break;
	} while (true);
	if (!READ_ONCE(buf->power))
		goto unlock;
	err = vmademo_lock_shape(buf, 0, LLONG_MAX);
	if (err)
		goto unlock;
	vmademo_lose_all(buf);
	set_power(buf, 0, VMADEMO_POWERLESS);
	vmademo_unlock_shape(buf);
	trace_vmademo_power_on(buf->inode->i_ino);
unlock:
	inode_unlock(buf->inode);
	return err;
}
