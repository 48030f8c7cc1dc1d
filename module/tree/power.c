// SPDX-License-Identifier: GPL-2.0-only
/*
 * The power of a mounted tree: one for all of its files and names, and for a file that is made
 * while it is off.  What a cut does is done by the work item of each file (power.c), and when all
 * of them are done, by that of the names (undo.c).
 *
 * With names=ordered, the moment up to which names and sizes are durable is chosen when the power
 * goes: an fsync that comes later must not change it.
 *
 * Locks: vmademo_power_lock, inside all others but i_lock; it is held for as long as it takes to
 * mark all files of a tree.
 */
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/minmax.h>
#include <linux/spinlock.h>
#include <linux/wait_bit.h>
#include <linux/workqueue.h>

#include "power.h"
#include "rules.h"
#include "store/store.h"
#include "vmademo.h"

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
	spin_lock(&vmademo_power_lock);
	off = tree->power;
	spin_unlock(&vmademo_power_lock);
	return off;
}

/* ---- off ----------------------------------------------------------------- */

/*
 * With vmademo_power_lock held.  Names are cut when all files are (tree/undo.c): of both, so much
 * is due.
 */
static void cut_names_last(struct vmademo_tree *tree, unsigned int due)
{
	if (!tree->names_due || due > 1)
		return;
	tree->names_due = false;
	queue_work(vmademo_cut_queue, &tree->names_cut);
}

/**
 * vmademo_tree_is_cut() - the cut of one of its files is done, or that of its names
 * @tree: the tree
 * @cut: what came of it
 *
 * Context: With vmademo_power_lock held.
 */
void vmademo_tree_is_cut(struct vmademo_tree *tree, const struct vmademo_crash *cut)
{
	unsigned int due = tree->due - 1;

	vmademo_cut_add_up(&tree->cut, cut);
	cut_names_last(tree, due);
	if (!due && tree->power & VMADEMO_POWER_BACK)
		tree->power = 0;
	/* Last, because who waits for it looks without the lock */
	smp_store_release(&tree->due, due);
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

	spin_lock(&vmademo_power_lock);
	if (!tree->power)
		WRITE_ONCE(tree->names_durable, max(tree->names_durable, number));
	durable = number <= tree->names_durable;
	spin_unlock(&vmademo_power_lock);
	return durable;
}

/* With vmademo_power_lock held: up to which operation all of it happened to be durable. */
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

	spin_lock(&vmademo_power_lock);
	number = moment(tree, ask);
	spin_unlock(&vmademo_power_lock);
	return number;
}

/* With vmademo_power_lock held. */
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

	spin_lock(&vmademo_power_lock);
	/* What is left of them, is durable */
	WRITE_ONCE(tree->names_durable, tree->names_until);
	/* When the power comes back, with what was done meanwhile */
	WRITE_ONCE(tree->lost_names, tree->cut.lost_names + lost);
	vmademo_tree_is_cut(tree, &cut);
	spin_unlock(&vmademo_power_lock);
	smp_mb();	/* wake_up_var() must see who waits, if he saw the cut under way */
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

	spin_lock(&vmademo_power_lock);
	cut = tree->cut;
	spin_unlock(&vmademo_power_lock);
	return cut;
}

/**
 * vmademo_tree_lose_power() - at this moment, a tree loses its power
 * @tree: the tree
 * @cut: what is asked of the cut
 * @back: VMADEMO_POWER_BACK: the power comes back when that is done; else 0
 *
 * Context: With vmademo_power_lock held.
 * Return: whether it had any.
 */
bool vmademo_tree_lose_power(struct vmademo_tree *tree, const struct vmademo_crash *cut,
			     unsigned int back)
{
	struct vmademo_crash one = *cut;
	struct vmademo_buffer *buf;
	bool had = !tree->power;

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
		one.seed = vmademo_cut_seed(cut->seed, buf->nth);
		if (vmademo_buffer_lose_power(buf, &one, back))
			WRITE_ONCE(tree->due, tree->due + 1);
	}
	cut_names_last(tree, tree->due);
	if (!tree->due && tree->power & VMADEMO_POWER_BACK)
		tree->power = 0;
	return had;
}

/**
 * vmademo_tree_power_wait() - wait until no cut of a tree is under way
 * @tree: the tree
 *
 * Context: May sleep.
 * Return: 0; -EINTR if the task is being killed.
 */
int vmademo_tree_power_wait(struct vmademo_tree *tree)
{
	/* Pairs with vmademo_tree_is_cut() */
	return wait_var_event_killable(&tree->due, !smp_load_acquire(&tree->due)) ? -EINTR : 0;
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
 *         been done nevertheless.
 */
int vmademo_crash_tree(struct vmademo_tree *tree, struct vmademo_crash *crash)
{
	const struct vmademo_crash nothing = { 0 };
	struct vmademo_buffer *buf = NULL;
	bool had, stays;
	int err;

	if (!tree->store->read)
		return -EOPNOTSUPP;
	spin_lock(&vmademo_power_lock);
	stays = tree->power && !(tree->power & VMADEMO_POWER_BACK);
	had = !stays && vmademo_tree_lose_power(tree, crash, VMADEMO_POWER_BACK);
	if (stays && !tree->due) {
		tree->cut = nothing;
		lose_names(tree, &nothing);
		cut_names_last(tree, tree->due);
	}
	spin_unlock(&vmademo_power_lock);
	err = vmademo_tree_power_wait(tree);
	if (!err && (had || stays))
		vmademo_cut_add_up(crash, &tree->cut);
	while (stays && (buf = vmademo_power_next(tree, buf))) {
		struct vmademo_crash one = { .seed = crash->seed };

		err = err ?: vmademo_crash(buf, &one);
		if (!err)
			vmademo_cut_add_up(crash, &one);
	}
	return err;
}

/* ---- on ------------------------------------------------------------------ */

/**
 * vmademo_tree_power_on() - a tree gets its power back
 * @tree: the tree
 *
 * Context: May sleep.  Takes i_rwsem of each file.
 * Return: 0, and so if it is on; -EINTR if the task is being killed.
 */
int vmademo_tree_power_on(struct vmademo_tree *tree)
{
	const struct vmademo_crash nothing = { 0 };
	struct vmademo_buffer *buf = NULL;
	bool asked = false, due;
	int err;

	do {
		err = vmademo_tree_power_wait(tree);
		if (err)
			return err;
		spin_lock(&vmademo_power_lock);
		/* What was done to names while it was off */
		if (!tree->due && tree->power && !asked) {
			lose_names(tree, &nothing);
			cut_names_last(tree, tree->due);
			asked = true;
		}
		due = tree->due;
		/* Before its files, so that one that is made from here on has power */
		if (!due)
			tree->power = 0;
		spin_unlock(&vmademo_power_lock);
	} while (due);
	while ((buf = vmademo_power_next(tree, buf)))
		err = err ?: vmademo_power_on(&(struct vmademo_target) { .buf = buf });
	return err;
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

	spin_lock(&vmademo_power_lock);
	/* While a cut is under way after which it is back, this is after it */
	if (tree->power && !(tree->power & VMADEMO_POWER_BACK))
		buf->power = VMADEMO_POWERLESS;
	list_add_tail(&buf->in_tree, &tree->buffers);
	buf->nth = tree->made++;
	spin_unlock(&vmademo_power_lock);
}

/**
 * vmademo_power_remove() - a file goes: no cut begins any more that it is part of
 * @buf: its buffer
 *
 * Context: Any but an interrupt.
 */
void vmademo_power_remove(struct vmademo_buffer *buf)
{
	spin_lock(&vmademo_power_lock);
	list_del(&buf->in_tree);
	spin_unlock(&vmademo_power_lock);
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

	spin_lock(&vmademo_power_lock);
	if (!next)
		next = list_entry(&tree->buffers, struct vmademo_buffer, in_tree);
	list_for_each_entry_continue(next, &tree->buffers, in_tree)
		if (igrab(next->inode))
			break;
	if (list_entry_is_head(next, &tree->buffers, in_tree))
		next = NULL;
	spin_unlock(&vmademo_power_lock);
	if (buf)
		iput(buf->inode);
	cond_resched();
	return next;
}
