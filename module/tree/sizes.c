// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sizes in the log of a mounted tree with names=ordered (log.c).  As in a journal, a size that a
 * program has set - by ftruncate, fallocate or O_TRUNC - is durable with all else that was done
 * to the tree before, and is lost with it.  A size that a write has reached is not part of the
 * log: it is durable with the data.
 *
 * A power cut can take a file back to one size only (store/ram_size.c).  So a file has one
 * operation in the log at most.  One that comes right after the other becomes part of it; before
 * any other, the log is made durable as far as the first one, as a journal may be at any time.
 *
 * Locks: log->lock; inside it, i_lock.
 */
#include <linux/fs.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "power.h"
#include "store/store.h"
#include "tree/log.h"
#include "vmademo.h"

static struct vmademo_log *log_of(const struct vmademo_buffer *buf)
{
	struct vmademo_log *log = buf->tree ? buf->tree->log : NULL;

	return log && log->names == VMADEMO_NAMES_ORDERED ? log : NULL;
}

/**
 * vmademo_log_size_let_cut() - a cut under way comes before a size is set
 * @buf: the file
 *
 * Its own part of the cut may be done.  But nothing becomes durable before all of it is, so what is
 * done to sizes until then could not be kept in order.
 *
 * Context: May sleep.  The caller may hold i_rwsem.
 * Return: 0; or what makes the system call begin again.
 */
int vmademo_log_size_let_cut(const struct vmademo_buffer *buf)
{
	return log_of(buf) ? vmademo_log_let_cut(buf->tree) : 0;
}

static bool is_newest(struct vmademo_log *log, u64 number)
{
	bool newest;

	mutex_lock(&log->lock);
	newest = log->newest == number;
	mutex_unlock(&log->lock);
	return newest;
}

/**
 * vmademo_log_size_begin() - the size of a file is about to be set
 * @buf: the file
 * @op: for vmademo_log_size_end(), which must follow unless this fails
 *
 * Context: May sleep.  The caller holds i_rwsem and what vmademo_lock_shape() takes.
 * Return: 0; -ENOMEM.
 */
int vmademo_log_size_begin(struct vmademo_buffer *buf, struct vmademo_name_op **op)
{
	struct vmademo_log *log = log_of(buf);

	*op = NULL;
	if (!log)
		return 0;
	*op = kzalloc(sizeof(**op), GFP_KERNEL_ACCOUNT);
	if (!*op)
		return -ENOMEM;
	(*op)->kind = VMADEMO_NAME_SIZE;
	/* If the power has just gone, both are going to be undone */
	if (!vmademo_size_catch_up(buf, false) && !is_newest(log, buf->size_op))
		vmademo_size_catch_up(buf, true);
	return 0;
}

/* With log->lock held. */
static void note(struct vmademo_log *log, struct vmademo_buffer *buf, struct vmademo_name_op *op)
{
	bool first = !buf->size_op;

	if (first) {
		ihold(buf->inode);
		op->inode = buf->inode;
		vmademo_log_add(log, op);
	}
	spin_lock(&buf->inode->i_lock);
	if (first)
		buf->size_op = op->number;
	buf->size_of_op = i_size_read(buf->inode);
	spin_unlock(&buf->inode->i_lock);
}

/**
 * vmademo_log_size_end() - it has been set, or that has failed
 * @buf: the file
 * @op: what vmademo_log_size_begin() has made
 * @err: not 0 if it has failed, and changed nothing
 *
 * Context: May sleep.  Locks as before.
 */
void vmademo_log_size_end(struct vmademo_buffer *buf, struct vmademo_name_op *op, int err)
{
	struct vmademo_log *log = log_of(buf);
	bool kept = false;

	if (!op)
		return;
	/* It is no operation if nothing can be undone: there was no room for what was cut off */
	if (!err && (buf->size_op || vmademo_size_is_pending(buf))) {
		mutex_lock(&log->lock);
		note(log, buf, op);
		/* Then it can become durable at once, and end */
		kept = op->inode;
		mutex_unlock(&log->lock);
	}
	if (!kept)
		kfree(op);
}

/**
 * vmademo_log_size_counts() - the names of a tree are being cut: does this one come after that?
 * @op: of SIZE
 *
 * Its file was cut before, and has been used again since.
 *
 * Context: May sleep.
 * Return: whether it is still to be made durable, or to be undone by the next cut.
 */
bool vmademo_log_size_counts(const struct vmademo_name_op *op)
{
	const struct vmademo_buffer *buf = op->inode->i_private;

	return READ_ONCE(buf->size_op) == op->number;
}

/**
 * vmademo_log_commit() - what was done so far to a tree is durable, unless its power is off
 * @tree: the tree, or NULL
 *
 * What was removed keeps its room until the next fsync.
 *
 * Context: May sleep.
 */
void vmademo_log_commit(struct vmademo_tree *tree)
{
	if (tree && tree->log && tree->log->names == VMADEMO_NAMES_ORDERED)
		vmademo_power_commit(tree, vmademo_log_newest(tree));
}
