/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether a buffer's store has power (power.c), or a tree (tree/power.c).  Each operation on the
 * store asks before it begins: fill.c to read, writeback.c to write and to flush, shape.c to
 * change its shape.  With the power on, that is one byte that is looked at.
 *
 * Locks: vmademo_power_lock, if the power is not on.
 */
#ifndef VMADEMO_POWER_H
#define VMADEMO_POWER_H

#include <linux/compiler.h>
#include <linux/spinlock_types.h>

#include "vmademo.h"

/* For power of a buffer. */
#define VMADEMO_POWERLESS	0x01U	/* nothing reaches the store, nor comes from it */
#define VMADEMO_CUT_DUE	0x02U	/* what the cut does is to be done */
#define VMADEMO_CUT_WRITES	0x04U	/* it writes what happened to be written before */
#define VMADEMO_POWER_BACK	0x08U	/* the power is back when the cut is done */

/**
 * struct vmademo_power_off - what loses its power
 * @of: buffers and trees; they have a store each, and none is named twice
 * @count: how many
 * @cut: what is asked for; becomes what came of it, all together
 */
struct vmademo_power_off {
	const struct vmademo_target *of;
	unsigned int count;
	struct vmademo_crash cut;
};

/* power.c */
bool vmademo_power_refuses(const struct vmademo_buffer *buf, unsigned int unless);
void vmademo_power_lose(const struct vmademo_target *of, const struct vmademo_crash *cut,
			bool back);
int vmademo_power_wait(const struct vmademo_target *of);
int vmademo_power_off(struct vmademo_power_off *off);
int vmademo_power_on(const struct vmademo_target *of);
int vmademo_cut_now(struct vmademo_buffer *buf);
int vmademo_power_here(struct vmademo_buffer *buf);
void vmademo_cut_work(struct work_struct *work);

/* tree/power.c */
bool vmademo_tree_is_off(const struct vmademo_tree *tree);
int vmademo_tree_power_wait(struct vmademo_tree *tree);
int vmademo_tree_power_on(struct vmademo_tree *tree);
int vmademo_crash_tree(struct vmademo_tree *tree, struct vmademo_crash *crash);
bool vmademo_power_commit(struct vmademo_tree *tree, u64 number);
struct vmademo_crash vmademo_power_last_cut(const struct vmademo_tree *tree);
u64 vmademo_power_moment(const struct vmademo_tree *tree, const struct vmademo_crash *ask);
void vmademo_power_names_cut(struct vmademo_tree *tree, u64 lost);
void vmademo_power_add(struct vmademo_buffer *buf);
void vmademo_power_remove(struct vmademo_buffer *buf);
struct vmademo_buffer *vmademo_power_next(struct vmademo_tree *tree,
					  struct vmademo_buffer *buf);

/* For those two alone; with vmademo_power_lock held. */
extern spinlock_t vmademo_power_lock;
u64 vmademo_cut_seed(u64 seed, u64 i);
void vmademo_cut_add_up(struct vmademo_crash *all, const struct vmademo_crash *one);
bool vmademo_buffer_lose_power(struct vmademo_buffer *buf, const struct vmademo_crash *cut,
			       unsigned int back);
void vmademo_tree_is_cut(struct vmademo_tree *tree, const struct vmademo_crash *cut);
bool vmademo_tree_lose_power(struct vmademo_tree *tree, const struct vmademo_crash *cut,
			     unsigned int back);

/* The store is about to be asked for something.  Without power, -EIO is the answer. */
static inline bool vmademo_is_off(const struct vmademo_buffer *buf)
{
	return unlikely(READ_ONCE(buf->power)) && vmademo_power_refuses(buf, 0);
}

/* What programs are told: a tree has its power back when all of its files and names are cut. */
static inline bool vmademo_is_told_off(const struct vmademo_buffer *buf)
{
	return vmademo_is_off(buf) || (buf->tree && vmademo_tree_is_off(buf->tree));
}

/* vmademo_is_off() where some of a folio is about to be written. */
static inline bool vmademo_is_off_to_write(const struct vmademo_buffer *buf)
{
	return unlikely(READ_ONCE(buf->power)) && vmademo_power_refuses(buf, VMADEMO_CUT_WRITES);
}

/* And where it is about to be read: that changes nothing, and programs live on. */
static inline bool vmademo_is_off_to_read(const struct vmademo_buffer *buf)
{
	return unlikely(READ_ONCE(buf->power)) && vmademo_power_refuses(buf, VMADEMO_POWER_BACK);
}

/* Whether what was written since @cuts was read may be lost before it is durable. */
static inline bool vmademo_was_cut(const struct vmademo_buffer *buf, unsigned int cuts)
{
	smp_rmb();	/* after what found the page cache clean */
	return cuts & 1 || READ_ONCE(buf->cuts) != cuts || vmademo_is_off(buf);
}

/* The power has gone, and what is dirty is not lost yet. */
static inline bool vmademo_cut_is_due(const struct vmademo_buffer *buf)
{
	return READ_ONCE(buf->power) & VMADEMO_CUT_DUE;
}

/* It writes what happened to be written; nobody else does. */
static inline bool vmademo_cut_writes(const struct vmademo_buffer *buf)
{
	return READ_ONCE(buf->power) & VMADEMO_CUT_WRITES;
}

#endif /* VMADEMO_POWER_H */
