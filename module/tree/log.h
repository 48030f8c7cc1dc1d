/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is not durable yet of the names of a mounted tree, and with names=ordered of sizes: log.c
 * keeps it and makes it durable, sizes.c adds sizes, depends.c says what depends on what, undo.c
 * takes names back when the power is cut.
 *
 * Locks: log->lock, inside i_rwsem of the directories.
 */
#ifndef VMADEMO_LOG_H
#define VMADEMO_LOG_H

#include <linux/atomic.h>
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/uidgid.h>
#include <linux/workqueue.h>

#include "vmademo.h"

enum vmademo_names { VMADEMO_NAMES_DURABLE, VMADEMO_NAMES_ORDERED, VMADEMO_NAMES_POSIX };

/* What was done to names; ATTR: to mode and owner of one inode; SIZE: to that of a file. */
enum vmademo_name_kind {
	VMADEMO_NAME_CREATE,	/* also mkdir, mknod, symlink */
	VMADEMO_NAME_LINK,
	VMADEMO_NAME_UNLINK,	/* also rmdir */
	VMADEMO_NAME_RENAME,
	VMADEMO_NAME_EXCHANGE,
	VMADEMO_NAME_ATTR,
	VMADEMO_NAME_SIZE,	/* with names=ordered only */
};

/* For durable of a rename. */
#define VMADEMO_NAME_FROM	0x1U	/* that the old name is gone */
#define VMADEMO_NAME_TO		0x2U	/* that the new one is there */

/**
 * struct vmademo_name_op - one operation on names that is not durable yet
 * @list: of log->ops, in the order in which they were done
 * @kind: what was done
 * @durable: VMADEMO_NAME_... of a rename of a file from one directory to another, of which one
 *           was synced
 * @number: the first of a tree is 1
 * @chosen: it is being made durable, or a cut takes it back
 * @is_dir: @dentry is a directory, or @victim
 * @dentry: the name that came, went or moved; it holds its inode.  NULL of SIZE
 * @victim: the name that a rename has replaced, or exchanged with @dentry; or NULL
 * @spot: a name without an inode, not to be found: what @dentry was called, and where, before
 *        a rename; NULL of ATTR and SIZE
 * @to_spot: the same after a rename; or NULL
 * @mode: of ATTR: as it was before
 * @uid: the same
 * @gid: the same
 * @inode: of SIZE: the file, held
 *
 * Dentries are held, so that none of this can lack memory when it is needed.
 */
struct vmademo_name_op {
	struct list_head list;
	enum vmademo_name_kind kind;
	unsigned int durable;
	u64 number;
	bool chosen;
	bool is_dir;
	struct dentry *dentry;
	struct dentry *victim;
	struct dentry *spot;
	struct dentry *to_spot;
	umode_t mode;
	kuid_t uid;
	kgid_t gid;
	struct inode *inode;
};

/**
 * struct vmademo_log - what is not durable of the names of a tree
 * @tree: the tree
 * @names: ORDERED or POSIX
 * @lock: around what follows
 * @ops: oldest first
 * @nr: how many
 * @newest: the number of the last one that was done
 * @freeing: how many tasks end what is durable, and give room back
 * @rooms_made: how often room was given back
 * @done: what became durable because there was so much, and has to end
 * @done_work: ends it
 * @in_logs: of all logs (log.c)
 * @room_work: makes all of it durable, because there is no room
 */
struct vmademo_log {
	struct vmademo_tree *tree;
	enum vmademo_names names;
	struct mutex lock;	/* see above */
	struct list_head ops;
	unsigned int nr;
	u64 newest;
	atomic_t freeing;
	atomic_t rooms_made;
	struct list_head done;
	struct work_struct done_work;
	struct list_head in_logs;
	struct work_struct room_work;
};

/* log.c */
int vmademo_log_make(struct vmademo_tree *tree, enum vmademo_names names);
void vmademo_log_drain(struct vmademo_tree *tree);
void vmademo_log_free(struct vmademo_tree *tree);
struct vmademo_name_op *vmademo_log_begin(enum vmademo_name_kind kind, struct dentry *dentry,
					  struct dentry *to);
void vmademo_log_add(struct vmademo_log *log, struct vmademo_name_op *op);
void vmademo_log_end(struct vmademo_name_op *op, struct dentry *dentry, int err);
int vmademo_log_let_cut(const struct vmademo_tree *tree);
void vmademo_log_free_ops(struct list_head *ops);

static inline enum vmademo_names vmademo_log_names(const struct vmademo_tree *tree)
{
	return tree->log ? tree->log->names : VMADEMO_NAMES_DURABLE;
}

/* depends.c */
bool vmademo_name_depends(const struct vmademo_name_op *later,
			  const struct vmademo_name_op *earlier);
void vmademo_log_choose(struct vmademo_log *log, const struct dentry *dentry);

/* sizes.c */
bool vmademo_log_size_counts(const struct vmademo_name_op *op);

/* undo.c */
void vmademo_names_cut_work(struct work_struct *work);

/* inodes.c */
void vmademo_inode_uncount(struct super_block *sb);
void vmademo_inode_count(struct super_block *sb);

#endif /* VMADEMO_LOG_H */
