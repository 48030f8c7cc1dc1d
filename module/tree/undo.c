// SPDX-License-Identifier: GPL-2.0-only
/*
 * A power cut takes back what is not durable of the names of a tree (log.c): the newest first,
 * each as it was done, but the other way round.
 *
 * Programs live on: what they have open stays open, and a name that comes back is the same one
 * that they had open before.  From the moment of the cut until it is done nobody changes any (see
 * vmademo_log_begin()); who looks may see a tree that is half way.
 *
 * That is done after the cut of all files.  Or else a program that opens a file that has come
 * back could write to it, and the cut of the file could take that for what was there before.
 * What was done to names since the power went is taken back in any case.
 *
 * Locks: i_rwsem of the directories of one operation at a time, as a rename takes them, and then
 * that of an inode that loses or gets a name; or that of the inode whose mode it was.  What is
 * changed elsewhere under log->lock is safe, because nobody else comes that far.
 */
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/vmademo.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "power.h"
#include "rules.h"
#include "tree/log.h"
#include "tree/tree.h"

/* ---- locks --------------------------------------------------------------- */

/* By a worker, which is never killed; but it may wait long, and is not hung. */
static void lock_inode(struct inode *inode, unsigned int subclass)
{
	if (down_write_killable_nested(&inode->i_rwsem, subclass))
		down_write_nested(&inode->i_rwsem, subclass);
}

static void lock_dirs(struct dentry *a, struct dentry *b)
{
	if (!b || a == b) {
		lock_inode(d_inode(a), I_MUTEX_PARENT);
		return;
	}
	/* Directories stay where they are, and whoever wants two of them waits */
	mutex_lock(&a->d_sb->s_vfs_rename_mutex);
	if (is_subdir(a, b))
		swap(a, b);
	lock_inode(d_inode(a), I_MUTEX_PARENT);
	lock_inode(d_inode(b), I_MUTEX_PARENT2);
}

static void unlock_dirs(struct dentry *a, struct dentry *b)
{
	inode_unlock(d_inode(a));
	if (!b || a == b)
		return;
	inode_unlock(d_inode(b));
	mutex_unlock(&a->d_sb->s_vfs_rename_mutex);
}

/* ---- one name ------------------------------------------------------------ */

/* Somebody may have looked a name up in vain, and hold the answer. */
static void forget(struct dentry *spot)
{
	struct dentry *found = d_lookup(spot->d_parent, &spot->d_name);

	if (!found)
		return;
	if (!WARN_ON_ONCE(d_really_is_positive(found)))
		d_drop(found);
	dput(found);
}

static void take_away(struct dentry *dentry)
{
	struct inode *inode = d_inode(dentry), *dir = d_inode(dentry->d_parent);

	/* Whoever has found it, and is about to make a name in it or a link to it, holds that */
	lock_inode(inode, I_MUTEX_NORMAL);
	if (S_ISDIR(inode->i_mode)) {
		inode->i_flags |= S_DEAD;
		drop_nlink(inode);
		drop_nlink(dir);
	} else if (inode->i_nlink > 1) {
		vmademo_inode_uncount(inode->i_sb);
	}
	drop_nlink(inode);
	inode_unlock(inode);
	vmademo_inode_modified(dir);
	/* Also from what is mounted on it */
	d_invalidate(dentry);
	vmademo_unpin_name(dentry);
}

/* Its link count, and that of the directory. */
static void link_again(struct inode *inode, struct inode *dir)
{
	lock_inode(inode, I_MUTEX_NORMAL);
	if (S_ISDIR(inode->i_mode)) {
		inode->i_flags &= ~S_DEAD;
		set_nlink(inode, 2);
		inc_nlink(dir);
	} else {
		if (inode->i_nlink)
			vmademo_inode_count(inode->i_sb);
		set_nlink(inode, inode->i_nlink + 1);
	}
	inode_unlock(inode);
}

static void bring_back(struct dentry *dentry, struct dentry *spot)
{
	struct inode *dir = d_inode(spot->d_parent);

	forget(spot);
	link_again(d_inode(dentry), dir);
	vmademo_inode_modified(dir);
	vmademo_pin_name(dentry);
	d_rehash(dentry);
}

/* ---- one operation ------------------------------------------------------- */

/* A directory that goes from one to another takes a link with it, its "..". */
static void move_link(const struct dentry *dentry, struct dentry *from, struct dentry *to)
{
	if (!d_is_dir(dentry) || from == to)
		return;
	drop_nlink(d_inode(from));
	inc_nlink(d_inode(to));
}

/*
 * Only that the old name is gone.  What was done before is about the same entry: so that one goes
 * back, and another one stays where it is by now.
 */
static void undo_from(struct vmademo_name_op *op)
{
	struct inode *inode = d_inode(op->dentry), *dir = d_inode(op->spot->d_parent);

	forget(op->spot);
	link_again(inode, dir);
	if (d_unhashed(op->dentry)) {
		vmademo_pin_name(op->dentry);
	} else {
		ihold(inode);
		vmademo_add_name(op->to_spot, inode);
		d_move(op->to_spot, op->dentry);
	}
	d_move(op->dentry, op->spot);
	vmademo_inode_modified(dir);
}

static void undo_rename(struct vmademo_name_op *op)
{
	struct dentry *dir = op->spot->d_parent, *to_dir = op->to_spot->d_parent;

	if (op->durable & VMADEMO_NAME_TO) {
		undo_from(op);
		return;
	}
	if (op->durable & VMADEMO_NAME_FROM) {
		/* Only that the new one is there */
		take_away(op->dentry);
	} else {
		forget(op->spot);
		move_link(op->dentry, to_dir, dir);
		d_move(op->dentry, op->spot);
		vmademo_inode_modified(d_inode(dir));
		vmademo_inode_modified(d_inode(to_dir));
	}
	if (op->victim)
		bring_back(op->victim, op->to_spot);
}

static void undo_exchange(struct vmademo_name_op *op)
{
	struct dentry *dir = op->spot->d_parent, *to_dir = op->to_spot->d_parent;

	move_link(op->dentry, to_dir, dir);
	move_link(op->victim, dir, to_dir);
	d_move(op->dentry, op->spot);
	d_move(op->victim, op->to_spot);
	vmademo_inode_modified(d_inode(dir));
	vmademo_inode_modified(d_inode(to_dir));
}

static void undo_attr(const struct vmademo_name_op *op)
{
	struct inode *inode = d_inode(op->dentry);

	lock_inode(inode, I_MUTEX_NORMAL);
	inode->i_mode = op->mode;
	inode->i_uid = op->uid;
	inode->i_gid = op->gid;
	vmademo_inode_changed(inode);
	inode_unlock(inode);
}

static void undo(struct vmademo_name_op *op)
{
	struct dentry *dir, *to_dir;

	if (op->kind == VMADEMO_NAME_ATTR) {
		undo_attr(op);
		return;
	}
	/* With the file */
	if (op->kind == VMADEMO_NAME_SIZE)
		return;
	dir = op->spot->d_parent;
	to_dir = op->to_spot ? op->to_spot->d_parent : NULL;
	if (op->durable & VMADEMO_NAME_TO)
		to_dir = op->dentry->d_parent;
	/* Of a directory that is removed, maybe only the name that goes from there holds it */
	dget(to_dir);
	lock_dirs(dir, to_dir);
	switch (op->kind) {
	case VMADEMO_NAME_CREATE:
	case VMADEMO_NAME_LINK:
		take_away(op->dentry);
		break;
	case VMADEMO_NAME_UNLINK:
		bring_back(op->dentry, op->spot);
		break;
	case VMADEMO_NAME_RENAME:
		undo_rename(op);
		break;
	case VMADEMO_NAME_EXCHANGE:
		undo_exchange(op);
		break;
	case VMADEMO_NAME_ATTR:
	case VMADEMO_NAME_SIZE:
		break;
	}
	unlock_dirs(dir, to_dir);
	dput(to_dir);
}

/* ---- the cut ------------------------------------------------------------- */

/* With log->lock held.  All that is not durable: until the power went, and since then. */
static void split(struct vmademo_log *log, u64 until, struct list_head *ops,
		  struct list_head *later)
{
	struct vmademo_name_op *op, *next;

	list_for_each_entry_safe(op, next, &log->ops, list) {
		if (op->kind == VMADEMO_NAME_SIZE && vmademo_log_size_counts(op))
			continue;
		op->chosen = true;
		list_move_tail(&op->list, op->number > until ? later : ops);
		WRITE_ONCE(log->nr, log->nr - 1);
	}
}

static bool needs_a_lost_one(const struct vmademo_name_op *op, struct list_head *ops)
{
	const struct vmademo_name_op *earlier = op;

	list_for_each_entry_continue_reverse(earlier, ops, list)
		if (earlier->chosen && vmademo_name_depends(op, earlier))
			return true;
	return false;
}

/* With names=posix, any of it, but what something else depends on: now few, now many. */
static void choose_each(struct list_head *ops, u64 seed)
{
	u64 share = vmademo_rule_random(seed, U64_MAX) % 1001, i = U64_MAX;
	struct vmademo_name_op *op;

	list_for_each_entry(op, ops, list) {
		op->chosen = vmademo_rule_random(seed, --i) % 1000 >= share ||
			     needs_a_lost_one(op, ops);
		cond_resched();
	}
}

static void choose(const struct vmademo_log *log, struct list_head *ops,
		   const struct vmademo_crash *cut)
{
	struct vmademo_name_op *op;

	if (log->names == VMADEMO_NAMES_POSIX && cut->written_permille &&
	    cut->written_permille != 1000) {
		choose_each(ops, cut->seed);
		return;
	}
	list_for_each_entry(op, ops, list)
		op->chosen = log->names == VMADEMO_NAMES_POSIX ?
				     !cut->written_permille :
				     op->number > log->tree->names_durable;
}

static u64 undo_all(struct list_head *ops)
{
	struct vmademo_name_op *op;
	u64 lost = 0;

	list_for_each_entry_reverse(op, ops, list) {
		if (!op->chosen)
			continue;
		undo(op);
		lost++;
		cond_resched();
	}
	return lost;
}

/**
 * vmademo_names_cut_work() - a power cut: what becomes of the names
 * @work: the names_cut of a tree, whose names_ask says what is asked for
 *
 * Context: A worker, which is never killed.  Takes i_rwsem.
 */
void vmademo_names_cut_work(struct work_struct *work)
{
	struct vmademo_tree *tree = container_of(work, struct vmademo_tree, names_cut);
	struct vmademo_log *log = tree->log;
	LIST_HEAD(later);
	LIST_HEAD(ops);
	u64 lost;

	mutex_lock(&log->lock);
	split(log, tree->names_until, &ops, &later);
	mutex_unlock(&log->lock);
	lost = undo_all(&later);
	choose(log, &ops, &tree->names_ask);
	lost += undo_all(&ops);
	vmademo_log_free_ops(&later);
	vmademo_log_free_ops(&ops);
	vmademo_power_names_cut(tree, lost);
}
