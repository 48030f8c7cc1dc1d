// SPDX-License-Identifier: GPL-2.0-only
/*
 * What has been done to the names of a mounted tree and is not durable yet: names that came,
 * went or moved, modes and owners.  It is a list, oldest first.  What is made durable leaves the
 * list, and what is on it when the power is cut may be taken back (undo.c).
 *
 * names=ordered: as a file system with a journal.  An fsync of anything makes all of it durable,
 * and a cut leaves what was done up to some moment.  Sizes that were set are part of it (sizes.c);
 * they may make some of it durable by themselves, and that leaves the list later.
 *
 * names=posix: as little as POSIX promises.  The fsync of a directory makes the names in it
 * durable, and its own; that of a file, its mode and owner.  A cut takes back any of the rest,
 * as long as a tree is left (depends.c).
 *
 * What has been removed is held by the list, with all that it contains, for it may come back.
 * Where that lacks memory or room, all is made durable early, as a journal that is full does.
 *
 * Locks: log->lock, inside i_rwsem of the directories and all locks of a buffer; logs_lock,
 * outside of it, but inside those of a buffer.
 */
#include <linux/dcache.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "power.h"
#include "store/store.h"
#include "tree/log.h"
#include "tree/tree.h"

/* Then it is full, and all of it becomes durable; or, while the power is off, no more is done. */
#define MAX_OPS		4096

static DEFINE_MUTEX(logs_lock);
static LIST_HEAD(logs);
static atomic_t rooms_made = ATOMIC_INIT(0);	/* in all trees */
static DECLARE_WAIT_QUEUE_HEAD(room_wait);

static struct vmademo_log *log_of(const struct super_block *sb)
{
	return vmademo_tree_of(sb)->log;
}

/* ---- operations ---------------------------------------------------------- */

static void free_op(struct vmademo_name_op *op)
{
	dput(op->spot);
	dput(op->to_spot);
	dput(op->dentry);
	dput(op->victim);
	if (op->inode)
		vmademo_size_try_catch_up(op->inode->i_private);
	iput(op->inode);
	kfree(op);
}

/**
 * vmademo_log_free_ops() - operations are durable, or taken back
 * @ops: a list of them; becomes empty
 *
 * What they have removed, or created in vain, ends here.
 *
 * Context: May sleep.  No lock of the log may be held.
 */
void vmademo_log_free_ops(struct list_head *ops)
{
	struct vmademo_name_op *op, *next;

	list_for_each_entry_safe(op, next, ops, list) {
		list_del(&op->list);
		free_op(op);
		cond_resched();
	}
}

static struct vmademo_name_op *make_op(enum vmademo_name_kind kind, struct dentry *dentry,
				       struct dentry *to)
{
	struct vmademo_name_op *op = kzalloc(sizeof(*op), GFP_KERNEL_ACCOUNT);

	if (!op)
		return ERR_PTR(-ENOMEM);
	op->kind = kind;
	op->dentry = dget(dentry);
	if (kind == VMADEMO_NAME_ATTR) {
		op->mode = d_inode(dentry)->i_mode;
		op->uid = d_inode(dentry)->i_uid;
		op->gid = d_inode(dentry)->i_gid;
		return op;
	}
	op->spot = d_alloc(dentry->d_parent, &dentry->d_name);
	if (to && d_really_is_positive(to))
		op->victim = dget(to);
	if (to)
		op->to_spot = d_alloc(to->d_parent, &to->d_name);
	if (op->spot && (!to || op->to_spot))
		return op;
	free_op(op);
	return ERR_PTR(-ENOMEM);
}

/*
 * A cut wants the locks that the caller holds.  So the system call lets go of them and begins
 * again.  What is no system call, as by io_uring, fails.
 */
static int come_again(void)
{
	usleep_range(1000, 5000);
	if (current->flags & (PF_KTHREAD | PF_IO_WORKER))
		return -EINTR;
	return restart_syscall();
}

/* From the moment on when the power goes: what is done to names until then would be taken back. */
static bool is_cut(const struct vmademo_log *log)
{
	return READ_ONCE(log->tree->due);
}

/**
 * vmademo_log_let_cut() - a cut under way comes before an operation on names
 * @tree: the tree
 *
 * vmademo_log_begin() does the same.  This is for whoever has something else to do first.
 *
 * Context: May sleep.  The caller may hold i_rwsem of directories.
 * Return: 0; or what makes the system call begin again.
 */
int vmademo_log_let_cut(const struct vmademo_tree *tree)
{
	return tree->log && is_cut(tree->log) ? come_again() : 0;
}

static struct vmademo_name_op *refuse(struct vmademo_log *log, struct vmademo_name_op *op,
				      bool cut)
{
	mutex_unlock(&log->lock);
	free_op(op);
	return ERR_PTR(cut ? come_again() : -ENOSPC);
}

/**
 * vmademo_log_begin() - an operation on names begins
 * @kind: what it is
 * @dentry: the name; of ATTR, any of the inode
 * @to: of a rename, the new one, which has an inode if it is replaced; else NULL
 *
 * vmademo_log_end() must follow, unless this fails.
 *
 * Context: May sleep.  The caller holds i_rwsem of the directories, or of ATTR, of the inode.
 * Return: the operation; NULL if the tree has no log; an ERR_PTR: -ENOMEM, -ENOSPC if there are
 *         too many while the power is off, or what makes the system call begin again.
 */
struct vmademo_name_op *vmademo_log_begin(enum vmademo_name_kind kind, struct dentry *dentry,
					  struct dentry *to)
{
	struct vmademo_log *log = log_of(dentry->d_sb);
	struct vmademo_name_op *op;
	bool cut, full;

	if (!log)
		return NULL;
	op = make_op(kind, dentry, to);
	if (IS_ERR(op))
		return op;
	mutex_lock(&log->lock);
	cut = is_cut(log);
	full = log->nr >= MAX_OPS && READ_ONCE(log->tree->power);
	return cut || full ? refuse(log, op, cut) : op;
}

/* With log->lock held: at this very operation, so that what is done again ends the same. */
static void become_durable(struct vmademo_log *log)
{
	if (!vmademo_power_commit(log->tree, log->newest))
		return;
	list_splice_tail_init(&log->ops, &log->done);
	WRITE_ONCE(log->nr, 0);
	queue_work(vmademo_cut_queue, &log->done_work);
}

/**
 * vmademo_log_add() - an operation has been done
 * @log: with @log->lock held
 * @op: the operation
 *
 * Context: May sleep.
 */
void vmademo_log_add(struct vmademo_log *log, struct vmademo_name_op *op)
{
	list_add_tail(&op->list, &log->ops);
	WRITE_ONCE(log->nr, log->nr + 1);
	op->number = log->newest + 1;
	WRITE_ONCE(log->newest, op->number);
	if (log->nr > MAX_OPS)
		become_durable(log);
}

/**
 * vmademo_log_end() - it is done, or has failed
 * @op: what vmademo_log_begin() returned
 * @dentry: the name
 * @err: not 0 if it has failed, and changed nothing
 *
 * Context: May sleep.
 */
void vmademo_log_end(struct vmademo_name_op *op, struct dentry *dentry, int err)
{
	struct vmademo_log *log = log_of(dentry->d_sb);

	if (!op)
		return;
	if (!err) {
		op->is_dir = d_is_dir(dentry) || (op->victim && d_is_dir(op->victim));
		vmademo_log_add(log, op);
	}
	mutex_unlock(&log->lock);
	if (err)
		free_op(op);
}

/* ---- making durable ------------------------------------------------------ */

static void take_chosen(struct vmademo_log *log, struct list_head *done)
{
	struct vmademo_name_op *op, *next;

	list_for_each_entry_safe(op, next, &log->ops, list) {
		if (!op->chosen)
			continue;
		list_move_tail(&op->list, done);
		WRITE_ONCE(log->nr, log->nr - 1);
	}
}

/* Before anything leaves the lists, so that whoever wants room sees that some is to come. */
static void start_freeing(struct vmademo_log *log)
{
	atomic_inc(&log->freeing);
	smp_mb__after_atomic();	/* pairs with may_free() */
}

/* Whoever waits for room in the tree, or in any, looks again. */
static void room_is_made(struct vmademo_log *log)
{
	atomic_inc(&log->rooms_made);
	atomic_inc(&rooms_made);
	if (wq_has_sleeper(&room_wait))
		wake_up_all(&room_wait);
}

static void end_freeing(struct vmademo_log *log, bool freed)
{
	/* One who had nothing to free says nothing while others are about it */
	if (!atomic_dec_return(&log->freeing) || freed)
		room_is_made(log);
}

/**
 * vmademo_log_fsync() - what an fsync of a file or directory makes durable of names
 * @dentry: the file's or directory's; NULL for all of the tree
 * @tree: the tree
 *
 * Context: May sleep.  No lock may be held.
 * Return: 0; -EIO if the power is off.
 */
int vmademo_log_fsync(struct vmademo_tree *tree, const struct dentry *dentry)
{
	struct vmademo_log *log = tree->log;
	LIST_HEAD(done);
	bool all, freed;

	if (!log)
		return 0;
	all = log->names == VMADEMO_NAMES_ORDERED || !dentry;
	mutex_lock(&log->lock);
	/* The power may go in between: then it is the cut that says what was durable */
	if (vmademo_tree_is_off(tree) || (all && !vmademo_power_commit(tree, log->newest))) {
		mutex_unlock(&log->lock);
		return -EIO;
	}
	start_freeing(log);
	if (all) {
		list_splice_init(&log->done, &done);
		list_splice_tail_init(&log->ops, &done);
		WRITE_ONCE(log->nr, 0);
	} else {
		vmademo_log_choose(log, dentry);
		take_chosen(log, &done);
	}
	freed = !list_empty(&done);
	mutex_unlock(&log->lock);
	vmademo_log_free_ops(&done);
	end_freeing(log, freed);
	return 0;
}

/* ---- room ---------------------------------------------------------------- */

static void done_work(struct work_struct *work)
{
	struct vmademo_log *log = container_of(work, struct vmademo_log, done_work);
	LIST_HEAD(done);
	bool freed;

	mutex_lock(&log->lock);
	start_freeing(log);
	list_splice_init(&log->done, &done);
	freed = !list_empty(&done);
	mutex_unlock(&log->lock);
	vmademo_log_free_ops(&done);
	end_freeing(log, freed);
}

static void room_work(struct work_struct *work)
{
	struct vmademo_log *log = container_of(work, struct vmademo_log, room_work);

	/* What is durable already may be enough.  If not, nobody waits for it any longer */
	if (!flush_work(&log->done_work))
		vmademo_log_fsync(log->tree, NULL);
	/* Or there will be more when that ends */
	if (!atomic_read(&log->freeing))
		room_is_made(log);
}

/**
 * vmademo_log_empty() - all that was done to names becomes durable, and what was removed ends
 * @tree: the tree; without power, it stays as it is
 *
 * Context: May sleep.  No lock of a buffer may be held.
 */
void vmademo_log_empty(struct vmademo_tree *tree)
{
	vmademo_log_fsync(tree, NULL);
	if (!tree->log)
		return;
	/* Others may have begun with it */
	flush_work(&tree->log->room_work);
	flush_work(&tree->log->done_work);
	wait_event_timeout(room_wait, !atomic_read(&tree->log->freeing), 10 * HZ);
}

/* Is there something that holds room, or is it being given back? */
static bool may_free(struct vmademo_log *log)
{
	if (READ_ONCE(log->nr) || !list_empty(&log->done))
		return true;
	smp_rmb();	/* pairs with start_freeing() */
	return atomic_read(&log->freeing);
}

/**
 * vmademo_log_make_room() - there is no room: what has been removed, ends
 * @tree: where; NULL for a buffer in none.  If it is the room of all buffers, it ends in all trees
 *
 * That is done by a work item, because the caller may hold locks that the end of a file takes.
 *
 * Context: May sleep.  The caller may hold any lock of a buffer.
 * Return: whether there may be room now.
 */
bool vmademo_log_make_room(const struct vmademo_tree *tree)
{
	bool of_all = vmademo_room_is_used_up();
	atomic_t *made = of_all || !tree || !tree->log ? &rooms_made : &tree->log->rooms_made;
	int before = atomic_read(made);
	struct vmademo_log *log;
	bool any = false;

	mutex_lock(&logs_lock);
	list_for_each_entry(log, &logs, in_logs) {
		if ((!of_all && log->tree != tree) || READ_ONCE(log->tree->power) ||
		    !may_free(log))
			continue;
		queue_work(vmademo_cut_queue, &log->room_work);
		any = true;
	}
	mutex_unlock(&logs_lock);
	/* Not for ever: what ends may wait for the caller's locks */
	if (!any || fatal_signal_pending(current))
		return false;
	return wait_event_killable_timeout(room_wait, atomic_read(made) != before,
					   10 * HZ) > 0;
}

/* ---- with the tree ------------------------------------------------------- */

/**
 * vmademo_log_pending() - how many operations are not durable
 * @tree: the tree
 *
 * Context: May sleep.
 * Return: how many.
 */
unsigned int vmademo_log_pending(const struct vmademo_tree *tree)
{
	const struct vmademo_name_op *op;
	unsigned int nr = 0;

	if (!tree->log)
		return 0;
	mutex_lock(&tree->log->lock);
	list_for_each_entry(op, &tree->log->ops, list)
		nr += op->number > READ_ONCE(tree->names_durable);
	mutex_unlock(&tree->log->lock);
	return nr;
}

/**
 * vmademo_log_newest() - the number of the operation that was done last
 * @tree: the tree, which has a log
 *
 * Context: Any.
 * Return: the number.
 */
u64 vmademo_log_newest(const struct vmademo_tree *tree)
{
	return READ_ONCE(tree->log->newest);
}

/**
 * vmademo_log_make() - a new tree gets its log
 * @tree: the tree
 * @names: what of names is durable, when
 *
 * Context: May sleep.
 * Return: 0; -ENOMEM.
 */
int vmademo_log_make(struct vmademo_tree *tree, enum vmademo_names names)
{
	struct vmademo_log *log;

	if (names == VMADEMO_NAMES_DURABLE)
		return 0;
	log = kzalloc(sizeof(*log), GFP_KERNEL_ACCOUNT);
	if (!log)
		return -ENOMEM;
	log->tree = tree;
	log->names = names;
	mutex_init(&log->lock);
	INIT_LIST_HEAD(&log->ops);
	INIT_LIST_HEAD(&log->done);
	INIT_WORK(&log->done_work, done_work);
	INIT_WORK(&log->room_work, room_work);
	INIT_WORK(&tree->names_cut, vmademo_names_cut_work);
	tree->log = log;
	mutex_lock(&logs_lock);
	list_add_tail(&log->in_logs, &logs);
	mutex_unlock(&logs_lock);
	return 0;
}

/**
 * vmademo_log_drain() - the tree is about to go, and with it all names
 * @tree: the tree, which nobody uses any more
 *
 * Context: May sleep.
 */
void vmademo_log_drain(struct vmademo_tree *tree)
{
	struct vmademo_log *log = tree->log;
	LIST_HEAD(ops);

	if (!log)
		return;
	mutex_lock(&logs_lock);
	list_del_init(&log->in_logs);
	mutex_unlock(&logs_lock);
	flush_work(&log->room_work);
	flush_work(&log->done_work);
	/* A cut can be under way: that of the names has begun, or finds none any more */
	mutex_lock(&log->lock);
	list_splice_init(&log->ops, &ops);
	WRITE_ONCE(log->nr, 0);
	mutex_unlock(&log->lock);
	flush_work(&tree->names_cut);
	vmademo_log_free_ops(&ops);
}

/**
 * vmademo_log_free() - the tree has gone
 * @tree: the tree
 *
 * Context: May sleep.
 */
void vmademo_log_free(struct vmademo_tree *tree)
{
	if (!tree->log)
		return;
	flush_work(&tree->names_cut);
	kfree(tree->log);
}
