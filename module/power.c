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
 * A mounted tree (tree/) has one power for all of its files, and so has a file that is made
 * while it is off.  Its names are cut by a work item of their own (tree/undo.c).
 *
 * The cut is done by a work item of each buffer, one after another or at once: from that moment
 * on nothing but what began before changes what it finds in the store, so there is no hurry; and
 * a caller that is killed need not wait.  The end of a buffer does (super.c).
 *
 * Locks: power_lock inside all others but i_lock; it is held for as long as it takes to mark
 * all files of a tree.  The work item takes i_rwsem and what crash.c takes.
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

/**
 * vmademo_tree_is_off() - is the power of a mounted tree not on?
 * @tree: the tree
 *
 * Context: Any but an interrupt.
 * Return: whether it is off, or what a cut does is not done yet.
 */
bool vmademo_tree_is_off(const struct vmademo_tree *tree)
{
	bool off = READ_ONCE(tree->power);

	if (!off)
		return false;
	/* Until all have lost it that lose it at this moment */
	spin_lock(&power_lock);
	off = tree->power;
	spin_unlock(&power_lock);
	return off;
}

static void set_power(struct vmademo_buffer *buf, unsigned int set, unsigned int clear)
{
	spin_lock(&power_lock);
	WRITE_ONCE(buf->power, (buf->power | set) & ~clear);
	spin_unlock(&power_lock);
}

/* ---- off ----------------------------------------------------------------- */

static void add_up(struct vmademo_crash *all, const struct vmademo_crash *one)
{
	all->lost_folios += one->lost_folios;
	all->lost_bytes += one->lost_bytes;
	all->written_folios += one->written_folios;
	all->torn_folios += one->torn_folios;
	all->lost_names += one->lost_names;
}

/* With power_lock held.  Names are cut when all files are (tree/undo.c). */
static void cut_names_last(struct vmademo_tree *tree)
{
	if (!tree->names_due || tree->due > 1)
		return;
	tree->names_due = false;
	queue_work(vmademo_cut_queue, &tree->names_cut);
}

/* With power_lock held: the cut of one of its buffers is done, or that of its names. */
static void is_cut_in(struct vmademo_tree *tree, const struct vmademo_crash *cut)
{
	add_up(&tree->cut, cut);
	WRITE_ONCE(tree->due, tree->due - 1);
	cut_names_last(tree);
	if (!tree->due && tree->power & VMADEMO_POWER_BACK)
		tree->power = 0;
}

static bool cut_is_due(struct vmademo_buffer *buf)
{
	bool due;

	spin_lock(&power_lock);
	due = vmademo_cut_is_due(buf);
	spin_unlock(&power_lock);
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
	spin_lock(&power_lock);
	WRITE_ONCE(buf->power, buf->power & VMADEMO_POWER_BACK ? 0 : VMADEMO_POWERLESS);
	if (buf->tree)
		is_cut_in(buf->tree, &buf->cut);
	spin_unlock(&power_lock);
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

/* With power_lock held.  Whether it had any. */
static bool lose_power(struct vmademo_buffer *buf, const struct vmademo_crash *cut,
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

/* Of several that lose it at one moment, the seed of number i. */
static u64 seed_of(u64 seed, u64 i)
{
	return i ? vmademo_rule_random(seed, i) : seed;
}

/**
 * vmademo_power_commit() - operations of a tree's log become durable, unless its power is off
 * @tree: the tree; with names=ordered
 * @number: of the last of them
 *
 * Context: Any but an interrupt.
 * Return: whether they are: while the power is off, also those that the cut leaves.
 */
bool vmademo_power_commit(struct vmademo_tree *tree, u64 number)
{
	bool durable;

	spin_lock(&power_lock);
	if (!tree->power)
		WRITE_ONCE(tree->names_durable, max(tree->names_durable, number));
	durable = number <= tree->names_durable;
	spin_unlock(&power_lock);
	return durable;
}

/* With power_lock held: up to which operation all of it happened to be durable. */
static u64 moment(const struct vmademo_tree *tree, const struct vmademo_crash *ask)
{
	u64 newest = vmademo_log_newest(tree), nr = newest - tree->names_durable;

	/* Chosen by a cut that is under way, or there is nothing */
	if (tree->power || !ask->written_permille)
		return tree->names_durable;
	if (ask->written_permille == 1000)
		return newest;
	return tree->names_durable + vmademo_rule_random(ask->seed, U64_MAX) % (nr + 1);
}

/**
 * vmademo_power_moment() - which operations of a tree's log does a power cut leave?
 * @tree: the tree, with names=ordered
 * @ask: what is asked of the cut
 *
 * Context: Any but an interrupt.
 * Return: the number of the last of them.
 */
u64 vmademo_power_moment(const struct vmademo_tree *tree, const struct vmademo_crash *ask)
{
	u64 number;

	spin_lock(&power_lock);
	number = moment(tree, ask);
	spin_unlock(&power_lock);
	return number;
}

/* With power_lock held. */
static void lose_names(struct vmademo_tree *tree, const struct vmademo_crash *ask)
{
	if (!tree->log)
		return;
	tree->names_ask = *ask;
	tree->names_until = vmademo_log_newest(tree);
	tree->names_due = true;
	WRITE_ONCE(tree->due, tree->due + 1);
}

/**
 * vmademo_power_names_cut() - what a power cut does to the names of a tree is done
 * @tree: the tree
 * @lost: so many operations are undone
 *
 * Context: Any but an interrupt.
 */
void vmademo_power_names_cut(struct vmademo_tree *tree, u64 lost)
{
	const struct vmademo_crash cut = { .lost_names = lost };

	spin_lock(&power_lock);
	/* What is left of them, is durable */
	WRITE_ONCE(tree->names_durable, tree->names_until);
	is_cut_in(tree, &cut);
	/* When the power comes back, with what was done meanwhile */
	WRITE_ONCE(tree->lost_names, tree->cut.lost_names);
	spin_unlock(&power_lock);
	wake_up_var(&tree->due);
}

/**
 * vmademo_power_last_cut() - what the last power cut of a tree has come to
 * @tree: the tree
 *
 * Context: Any but an interrupt.
 * Return: that; of one that is under way, as far as it is.
 */
struct vmademo_crash vmademo_power_last_cut(const struct vmademo_tree *tree)
{
	struct vmademo_crash cut;

	spin_lock(&power_lock);
	cut = tree->cut;
	spin_unlock(&power_lock);
	return cut;
}

/* The same for all files of a tree. */
static bool lose_tree(struct vmademo_tree *tree, const struct vmademo_crash *cut,
		      unsigned int back)
{
	struct vmademo_crash one = *cut;
	struct vmademo_buffer *buf;
	bool had = !tree->power;
	u64 i = 0;

	if (had) {
		tree->cut = (struct vmademo_crash) { 0 };
		WRITE_ONCE(tree->cuts, tree->cuts + 1);
		if (tree->log)
			tree->names_durable = moment(tree, cut);
		tree->power = VMADEMO_POWERLESS | back;
		lose_names(tree, cut);
	} else {
		tree->power &= back | ~VMADEMO_POWER_BACK;
	}
	list_for_each_entry(buf, &tree->buffers, in_tree) {
		one.seed = seed_of(cut->seed, i++);
		if (lose_power(buf, &one, back))
			WRITE_ONCE(tree->due, tree->due + 1);
	}
	cut_names_last(tree);
	if (!tree->due && tree->power & VMADEMO_POWER_BACK)
		tree->power = 0;
	return had;
}

static bool lose(const struct vmademo_target *of, const struct vmademo_crash *cut,
		 unsigned int back)
{
	return of->tree ? lose_tree(of->tree, cut, back) : lose_power(of->buf, cut, back);
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
	spin_lock(&power_lock);
	lose(of, cut, back ? VMADEMO_POWER_BACK : 0);
	spin_unlock(&power_lock);
}

static int wait_for_tree(struct vmademo_tree *tree)
{
	return wait_var_event_killable(&tree->due, !READ_ONCE(tree->due)) ? -EINTR : 0;
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
		return wait_for_tree(of->tree);
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

	spin_lock(&power_lock);
	for (i = 0; i < off->count; i++) {
		cut.seed = seed_of(off->cut.seed, i);
		__assign_bit(i, mine, lose(&off->of[i], &cut, 0));
	}
	spin_unlock(&power_lock);
	for (i = 0; i < off->count && !err; i++) {
		const struct vmademo_target *of = &off->of[i];

		err = vmademo_power_wait(of);
		if (!err && test_bit(i, mine))
			add_up(&off->cut, of->tree ? &of->tree->cut : &of->buf->cut);
	}
	return err;
}

/**
 * vmademo_crash_tree() - simulate a power cut of a tree, after which the power is back at once
 * @tree: the tree
 * @crash: what is asked for, checked; and what came of it
 *
 * While the power is off already, nothing happens to be written.  If a cut is under way it is
 * that one, and nothing came of this.
 *
 * Context: May sleep.  Takes i_rwsem of each file.
 * Return: 0; -EOPNOTSUPP if there is no store; -EINTR if the task is being killed: it may have
 *         been done all the same.
 */
int vmademo_crash_tree(struct vmademo_tree *tree, struct vmademo_crash *crash)
{
	const struct vmademo_crash nothing = { 0 };
	struct vmademo_buffer *buf = NULL;
	bool had, stays;
	int err;

	if (!tree->store->read)
		return -EOPNOTSUPP;
	spin_lock(&power_lock);
	stays = tree->power && !(tree->power & VMADEMO_POWER_BACK);
	had = !stays && lose_tree(tree, crash, VMADEMO_POWER_BACK);
	if (stays && !tree->due) {
		tree->cut = nothing;
		lose_names(tree, &nothing);
		cut_names_last(tree);
	}
	spin_unlock(&power_lock);
	err = wait_for_tree(tree);
	if (!err && (had || stays))
		add_up(crash, &tree->cut);
	while (stays && (buf = vmademo_power_next(tree, buf))) {
		struct vmademo_crash one = { .seed = crash->seed };

		err = err ?: vmademo_crash(buf, &one);
		if (!err)
			add_up(crash, &one);
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
	spin_lock(&power_lock);
	/* Unless its tree has lost it once more: then that stays so */
	if (!buf->tree || !buf->tree->power)
		WRITE_ONCE(buf->power, 0);
	spin_unlock(&power_lock);
	vmademo_unlock_shape(buf);
	trace_vmademo_power_on(buf->inode->i_ino);
unlock:
	inode_unlock(buf->inode);
	return err;
}

static int switch_tree_on(struct vmademo_tree *tree)
{
	const struct vmademo_crash nothing = { 0 };
	struct vmademo_buffer *buf = NULL;
	bool asked = false, due;
	int err;

	do {
		err = wait_for_tree(tree);
		if (err)
			return err;
		spin_lock(&power_lock);
		/* What was done to names while it was off */
		if (!tree->due && tree->power && !asked) {
			lose_names(tree, &nothing);
			cut_names_last(tree);
			asked = true;
		}
		due = tree->due;
		/* Before its files, so that one that is made from here on has power */
		if (!due)
			tree->power = 0;
		spin_unlock(&power_lock);
	} while (due);
	while ((buf = vmademo_power_next(tree, buf)))
		err = err ?: switch_on(buf);
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
	return of->tree ? switch_tree_on(of->tree) : switch_on(of->buf);
}

/* ---- the files of a tree ------------------------------------------------- */

/**
 * vmademo_power_add() - a new file shares the power of its tree
 * @buf: its buffer
 *
 * Context: Any but an interrupt.
 */
void vmademo_power_add(struct vmademo_buffer *buf)
{
	struct vmademo_tree *tree = buf->tree;

	spin_lock(&power_lock);
	/* While a cut is under way after which it is back, this is after it */
	if (tree->power && !(tree->power & VMADEMO_POWER_BACK))
		buf->power = VMADEMO_POWERLESS;
	list_add_tail(&buf->in_tree, &tree->buffers);
	spin_unlock(&power_lock);
}

/**
 * vmademo_power_remove() - a file goes: no cut begins any more that it is part of
 * @buf: its buffer
 *
 * Context: Any but an interrupt.
 */
void vmademo_power_remove(struct vmademo_buffer *buf)
{
	spin_lock(&power_lock);
	list_del(&buf->in_tree);
	spin_unlock(&power_lock);
}

/**
 * vmademo_power_next() - the next file of a tree, oldest first
 * @tree: the tree
 * @buf: the buffer of the one before, which is let go; NULL to begin
 *
 * Context: May sleep.
 * Return: its buffer, held; NULL after the last.
 */
struct vmademo_buffer *vmademo_power_next(struct vmademo_tree *tree, struct vmademo_buffer *buf)
{
	struct vmademo_buffer *next = buf;

	spin_lock(&power_lock);
	if (!next)
		next = list_entry(&tree->buffers, struct vmademo_buffer, in_tree);
	list_for_each_entry_continue(next, &tree->buffers, in_tree)
		if (igrab(next->inode))
			break;
	if (list_entry_is_head(next, &tree->buffers, in_tree))
		next = NULL;
	spin_unlock(&power_lock);
	if (buf)
		iput(buf->inode);
	cond_resched();
	return next;
}
