// SPDX-License-Identifier: GPL-2.0-only
/*
 * The power of stores: it goes at one moment for several buffers, and stays off until it is
 * switched on.  Meanwhile every operation on the store fails.
 *
 * The moment is when vmademo_power_lock is let go of, with power set in all of them: an
 * operation that begins later fails.  One that is told so by the first of them waits for the
 * lock, so the program cannot go on to another one that has power yet.  What began before may
 * still arrive, as what a disk has taken already; the cut itself (crash.c) waits for that.
 *
 * A mounted tree has one power for all of its files (tree/power.c).
 *
 * The cut is done by a work item of each buffer, one after another or at once: from that moment
 * on nothing but what began before changes what it finds in the store, so there is no hurry; and
 * a caller that is killed need not wait.  The end of a buffer does (super.c).
 *
 * Locks: vmademo_power_lock, inside all others but i_lock.  The work item takes i_rwsem and what
 * crash.c takes.
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

DEFINE_SPINLOCK(vmademo_power_lock);

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
	spin_lock(&vmademo_power_lock);
	power = buf->power;
	spin_unlock(&vmademo_power_lock);
	return power & VMADEMO_POWERLESS && !(power & unless);
}

static void set_power(struct vmademo_buffer *buf, unsigned int set, unsigned int clear)
{
	spin_lock(&vmademo_power_lock);
	WRITE_ONCE(buf->power, (buf->power | set) & ~clear);
	spin_unlock(&vmademo_power_lock);
}

/* ---- off ----------------------------------------------------------------- */

/**
 * vmademo_cut_add_up() - what several cuts have come to
 * @all: so far
 * @one: one more
 *
 * Context: Any.
 */
void vmademo_cut_add_up(struct vmademo_crash *all, const struct vmademo_crash *one)
{
	all->lost_folios += one->lost_folios;
	all->lost_bytes += one->lost_bytes;
	all->written_folios += one->written_folios;
	all->torn_folios += one->torn_folios;
	all->lost_names += one->lost_names;
}

/**
 * vmademo_cut_seed() - of several that lose their power at one moment, the seed of one
 * @seed: of all
 * @i: which; the first is 0
 *
 * Context: Any.
 * Return: its seed.
 */
u64 vmademo_cut_seed(u64 seed, u64 i)
{
	return i ? vmademo_rule_random(seed, i) : seed;
}

static bool cut_is_due(struct vmademo_buffer *buf)
{
	bool due;

	spin_lock(&vmademo_power_lock);
	due = vmademo_cut_is_due(buf);
	spin_unlock(&vmademo_power_lock);
	return due;
}

/* What happened to be written before, gets to the store. */
static int write_before(struct vmademo_buffer *buf)
{
	int err;

	if (!buf->cut.written_permille && !buf->cut.torn)
		return 0;
	err = down_write_killable(&buf->shape_lock);
	if (err)
		return err;
	/* What is under way is somebody else's, and too late */
	err = vmademo_wait_writeback(buf, 0, LLONG_MAX);
	if (!err) {
		set_power(buf, VMADEMO_CUT_WRITES, 0);
		err = vmademo_cut_write(buf, &buf->cut);
		set_power(buf, 0, VMADEMO_CUT_WRITES);
	}
	up_write(&buf->shape_lock);
	/* Without memory for it, nothing happened to be written */
	return err == -ENOMEM ? 0 : err;
}

/**
 * vmademo_cut_now() - does what a power cut does, if that is still to be done
 * @buf: the buffer
 *
 * Whoever has to wait for it, and holds i_rwsem, does it himself.
 *
 * Context: May sleep.  The caller holds i_rwsem for writing.
 * Return: 0; -EINTR if the task is being killed, and it is still to be done.
 */
int vmademo_cut_now(struct vmademo_buffer *buf)
{
	int err;

	if (!cut_is_due(buf))
		return 0;
	vmademo_size_catch_up(buf, false);
	err = write_before(buf) ?: vmademo_cut_lose(buf, &buf->cut);
	if (err)
		return err;
	/* i_rwsem has kept others from making anything dirty meanwhile */
	spin_lock(&vmademo_power_lock);
	WRITE_ONCE(buf->power, buf->power & VMADEMO_POWER_BACK ? 0 : VMADEMO_POWERLESS);
	if (buf->tree)
		vmademo_tree_is_cut(buf->tree, &buf->cut);
	spin_unlock(&vmademo_power_lock);
	smp_mb();	/* wake_up_var() must see who waits, if he saw the power as it was */
	wake_up_var(&buf->power);
	if (buf->tree)
		wake_up_var(&buf->tree->due);
	return 0;
}

/**
 * vmademo_cut_work() - the same: the work item of a buffer
 * @work: the buffer's cut_work
 *
 * Context: A worker, which is never killed.  Takes i_rwsem.
 */
void vmademo_cut_work(struct work_struct *work)
{
	struct vmademo_buffer *buf = container_of(work, struct vmademo_buffer, cut_work);

	/* But who could be is not taken for a hung task */
	if (vmademo_lock_inode(buf->inode))
		return;
	vmademo_cut_now(buf);
	inode_unlock(buf->inode);
}

/**
 * vmademo_power_here() - the store is about to be changed: has it power?
 * @buf: the buffer
 *
 * If the power will be back after a cut, that is done, and this comes after it.
 *
 * Context: May sleep.  The caller holds i_rwsem for writing, and no other lock of the buffer.
 * Return: 0; -EIO if it is off; -EINTR if the task is being killed.
 */
int vmademo_power_here(struct vmademo_buffer *buf)
{
	int err = 0;

	while (!err && vmademo_is_off(buf))
		err = vmademo_is_off_to_read(buf) ? -EIO : vmademo_cut_now(buf);
	return err;
}

/**
 * vmademo_buffer_lose_power() - at this moment, a buffer loses its power
 * @buf: the buffer
 * @cut: what is asked of the cut
 * @back: VMADEMO_POWER_BACK: the power comes back when that is done; else 0
 *
 * Context: With vmademo_power_lock held.
 * Return: whether it had any.
 */
bool vmademo_buffer_lose_power(struct vmademo_buffer *buf, const struct vmademo_crash *cut,
			       unsigned int back)
{
	if (buf->power) {
		/* Under way already; but whoever wants it to stay off is obeyed */
		WRITE_ONCE(buf->power, buf->power & (back | ~VMADEMO_POWER_BACK));
		return false;
	}
	buf->cut = *cut;
	WRITE_ONCE(buf->power, VMADEMO_POWERLESS | VMADEMO_CUT_DUE | back);
	trace_vmademo_power_off(buf->inode->i_ino);
	/* Not on the system's own queue: there, many that wait would keep everybody waiting */
	queue_work(buf->reads ?: vmademo_cut_queue, &buf->cut_work);
	return true;
}

static bool lose(const struct vmademo_target *of, const struct vmademo_crash *cut,
		 unsigned int back)
{
	return of->tree ? vmademo_tree_lose_power(of->tree, cut, back) :
			  vmademo_buffer_lose_power(of->buf, cut, back);
}

/**
 * vmademo_power_lose() - at this moment, a tree loses its power, or a buffer in none
 * @of: the tree; or if it has none, the buffer.  It has a store
 * @cut: what is asked of the cut
 * @back: the power comes back when that is done
 *
 * If it has none, it is as it is; without @back it stays so.
 *
 * Context: Any but an interrupt.  The caller holds it, or an event of it.
 */
void vmademo_power_lose(const struct vmademo_target *of, const struct vmademo_crash *cut,
			bool back)
{
	spin_lock(&vmademo_power_lock);
	lose(of, cut, back ? VMADEMO_POWER_BACK : 0);
	spin_unlock(&vmademo_power_lock);
}

/**
 * vmademo_power_wait() - wait until no cut is under way
 * @of: the tree: of none of its files, nor of its names; or if it has none, the buffer
 *
 * Context: May sleep.
 * Return: 0; -EINTR if the task is being killed.
 */
int vmademo_power_wait(const struct vmademo_target *of)
{
	if (of->tree)
		return vmademo_tree_power_wait(of->tree);
	return wait_var_event_killable(&of->buf->power,
				       !vmademo_cut_is_due(of->buf)) ?
		       -EINTR : 0;
}

/**
 * vmademo_power_off() - at one moment, buffers and trees lose their power
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

	spin_lock(&vmademo_power_lock);
	for (i = 0; i < off->count; i++) {
		cut.seed = vmademo_cut_seed(off->cut.seed, i);
		__assign_bit(i, mine, lose(&off->of[i], &cut, 0));
	}
	spin_unlock(&vmademo_power_lock);
	for (i = 0; i < off->count && !err; i++) {
		const struct vmademo_target *of = &off->of[i];

		err = vmademo_power_wait(of);
		if (!err && test_bit(i, mine))
			vmademo_cut_add_up(&off->cut,
					   of->tree ? &of->tree->cut : &of->buf->cut);
	}
	return err;
}

/* ---- on ------------------------------------------------------------------ */

static int switch_on(struct vmademo_buffer *buf)
{
	const struct vmademo_target of = { .buf = buf, .tree = buf->tree };
	int err;

	do {
		err = vmademo_power_wait(&of) ?: vmademo_lock_inode(buf->inode);
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
	spin_lock(&vmademo_power_lock);
	/* Unless its tree has lost it once more: then that stays so, but if it comes back */
	if (!buf->tree || !buf->tree->power || buf->tree->power & VMADEMO_POWER_BACK)
		WRITE_ONCE(buf->power, 0);
	spin_unlock(&vmademo_power_lock);
	vmademo_unlock_shape(buf);
	trace_vmademo_power_on(buf->inode->i_ino);
unlock:
	inode_unlock(buf->inode);
	return err;
}

/**
 * vmademo_power_on() - a buffer or a tree gets its power back
 * @of: which; it has a store
 *
 * What programs have written while it was off, or was not taken by the store, is gone: a
 * machine that starts has nothing in its memory.
 *
 * Context: May sleep.  Takes i_rwsem.
 * Return: 0, and so if it is on; -EINTR if the task is being killed.
 */
int vmademo_power_on(const struct vmademo_target *of)
{
	return of->tree ? vmademo_tree_power_on(of->tree) : switch_on(of->buf);
}
