// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which operations on names need which, with names=posix: what else becomes durable if one of them
 * does, so that a tree is left whatever a cut takes back (undo.c).
 *
 * Locks: none; what walks the list holds log->lock.
 */
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/string.h>

#include "tree/log.h"

/* What a name is called, and where; a dentry that has moved is called otherwise. */
static bool same_name(const struct dentry *a, const struct dentry *b)
{
	return a && b && a->d_parent == b->d_parent &&
	       a->d_name.hash_len == b->d_name.hash_len &&
	       !memcmp(a->d_name.name, b->d_name.name, a->d_name.len);
}

/* Those whose change is not durable. */
static const struct dentry *from_of(const struct vmademo_name_op *op)
{
	return op->durable & VMADEMO_NAME_FROM ? NULL : op->spot;
}

static const struct dentry *to_of(const struct vmademo_name_op *op)
{
	return op->durable & VMADEMO_NAME_TO ? NULL : op->to_spot;
}

static bool share_a_name(const struct vmademo_name_op *a, const struct vmademo_name_op *b)
{
	return same_name(from_of(a), from_of(b)) || same_name(from_of(a), to_of(b)) ||
	       same_name(to_of(a), from_of(b)) || same_name(to_of(a), to_of(b));
}

static bool is_in(const struct vmademo_name_op *op, const struct dentry *dir)
{
	return (op->spot && op->spot->d_parent == dir) ||
	       (op->to_spot && op->to_spot->d_parent == dir);
}

static bool moves_dir(const struct vmademo_name_op *op)
{
	return op->is_dir && op->to_spot;
}

/**
 * vmademo_name_depends() - must the earlier operation be durable if the later one is?
 * @later: an operation of a list
 * @earlier: one before it
 *
 * So is it with operations on the same name or inode; with what is done in a directory and the
 * making of that directory; with the removal of a directory and what was done in it; and with
 * moves of directories, or two could become each other's parent.
 *
 * Context: Any; the list does not change.
 * Return: whether it must.
 */
bool vmademo_name_depends(const struct vmademo_name_op *later,
			  const struct vmademo_name_op *earlier)
{
	if (later->kind == VMADEMO_NAME_ATTR || earlier->kind == VMADEMO_NAME_ATTR)
		return later->kind == earlier->kind &&
		       d_inode(later->dentry) == d_inode(earlier->dentry);
	if (share_a_name(later, earlier) || (moves_dir(later) && moves_dir(earlier)))
		return true;
	if (earlier->is_dir && !earlier->to_spot && is_in(later, earlier->dentry))
		return true;
	return later->is_dir &&
	       ((later->kind == VMADEMO_NAME_UNLINK && is_in(earlier, later->dentry)) ||
		(later->kind == VMADEMO_NAME_RENAME && later->victim &&
		 is_in(earlier, later->victim)));
}

/* ---- an fsync ------------------------------------------------------------ */

/* A rename of a file from one directory to another is durable in each of them by itself. */
static bool choose_rename(struct vmademo_name_op *op, const struct dentry *dir)
{
	if (op->spot->d_parent == dir)
		op->durable |= VMADEMO_NAME_FROM;
	if (op->to_spot->d_parent == dir)
		op->durable |= VMADEMO_NAME_TO;
	return op->durable == (VMADEMO_NAME_FROM | VMADEMO_NAME_TO);
}

/* What is made durable by the fsync of this file or directory? */
static bool choose(struct vmademo_name_op *op, const struct dentry *dentry)
{
	if (op->kind == VMADEMO_NAME_ATTR)
		return d_inode(op->dentry) == d_inode(dentry);
	if (!d_is_dir(dentry))
		return false;
	if (op->kind == VMADEMO_NAME_CREATE && op->dentry == dentry)
		return true;
	return op->kind == VMADEMO_NAME_RENAME && !op->is_dir ? choose_rename(op, dentry) :
								is_in(op, dentry);
}

/* And with it, whatever it depends on. */
static void choose_what_is_needed(struct vmademo_log *log)
{
	struct vmademo_name_op *later, *earlier;

	list_for_each_entry_reverse(later, &log->ops, list) {
		if (!later->chosen)
			continue;
		earlier = later;
		list_for_each_entry_continue_reverse(earlier, &log->ops, list)
			earlier->chosen |= vmademo_name_depends(later, earlier);
	}
}

/**
 * vmademo_log_choose() - what an fsync makes durable with names=posix
 * @log: with @log->lock held; what is chosen is marked in it
 * @dentry: the file or directory
 *
 * Context: May sleep.
 */
void vmademo_log_choose(struct vmademo_log *log, const struct dentry *dentry)
{
	struct vmademo_name_op *op;

	list_for_each_entry(op, &log->ops, list)
		op->chosen = choose(op, dentry);
	choose_what_is_needed(log);
}
