// SPDX-License-Identifier: GPL-2.0-only
/*
 * What rules do to events that are no faults: calls, reading in, flushing, writing out; and
 * what is done to names of a tree.
 *
 * Locks: none; whoever waits holds what the hook's caller does.  Where names change, that is
 * i_rwsem of the directories; of a truncation, that of the file.
 */
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "compat.h"
#include "power.h"
#include "rules.h"
#include "vmademo.h"

/* A rule acts on what can tell an errno.  With after, the caller may have to end it. */
static int act(struct vmademo_rule_event *e, struct vmademo_rule_entry **after)
{
	u32 status = e->entry->rule.status, flags = e->entry->rule.flags;
	const struct vmademo_target of = vmademo_rule_target(e);
	int err = vmademo_rule_wait(e);

	/* Whoever is killed while he waits gets no further */
	if (!err && flags & VMADEMO_RULE_AFTER && after) {
		*after = e->entry;
		return 0;
	}
	if (!err && flags & VMADEMO_RULE_CRASH) {
		vmademo_rule_cut(e);
		if (BIT(e->op) & VMADEMO_OPS_FREE)
			err = vmademo_power_wait(&of);
		/* The power may be back already, but what it was to do is not done */
		if (!err && BIT(e->op) & VMADEMO_OPS_MISSED && !status)
			err = -EIO;
	}
	if (!err && status)
		err = status == VMADEMO_STATUS_SIGBUS || status == VMADEMO_STATUS_HWPOISON ?
			      -EIO :
			      -(int)status;
	vmademo_rule_put(e->entry);
	return err;
}

/* Memory that is said to be broken cannot be read or written by a call, either. */
static int find_poison(struct vmademo_rule_event *e)
{
	static const unsigned int ops[] = {
		VMADEMO_OP_READ_FAULT, VMADEMO_OP_WRITE_FAULT, VMADEMO_OP_COW_FAULT,
		/* The last is for reading; for writing, it is asked page by page */
		VMADEMO_OP_MKWRITE,
	};
	size_t i, n = ARRAY_SIZE(ops) - (e->op == VMADEMO_OP_WRITE);

	e->poison = true;
	for (i = 0; i < n; i++) {
		e->op = ops[i];
		e->seen = (struct vmademo_rule_seen) { 0 };
		if (vmademo_rule_match(e))
			return act(e, NULL);
	}
	return 0;
}

/**
 * vmademo_rule_call() - what vmademo_rule() does while there are rules
 * @buf: the buffer
 * @op: VMADEMO_OP_...
 * @pos: the first byte it is about
 * @len: bytes; 0 is no event
 * @after: set to a rule that is to be ended when the event has been; NULL for what cannot
 *         be the last one to reach the store
 *
 * Context: May sleep.
 * Return: 0, or a negative errno.
 */
int vmademo_rule_call(struct vmademo_buffer *buf, unsigned int op, loff_t pos, u64 len,
		      struct vmademo_rule_entry **after)
{
	struct vmademo_rule_event e = { .buf = buf, .op = op, .first = pos >> PAGE_SHIFT };
	int err = 0;

	/* Beyond the end there is nothing to read */
	if (op == VMADEMO_OP_READ)
		len = min_t(u64, len, max_t(loff_t, i_size_read(buf->inode) - pos, 0));
	if (!len || pos < 0)
		return 0;
	e.last = (pos + len - 1) >> PAGE_SHIFT;
	if (vmademo_rule_match(&e))
		err = act(&e, after);
	else if (op == VMADEMO_OP_READ || op == VMADEMO_OP_WRITE)
		err = find_poison(&e);
	if (op == VMADEMO_OP_READ_IN && err && err != -EINTR)
		vmademo_count(buf, VMADEMO_READ_ERRORS);
	return err;
}

/**
 * vmademo_rule_name_call() - what vmademo_rule_name() does while there are rules
 * @tree: the tree
 * @op: one of VMADEMO_OPS_NAMES
 * @ino: of the inode that it is about
 * @after: set to a rule that is to be ended when the operation has been
 *
 * Context: May sleep.  The caller may hold i_rwsem of directories.
 * Return: 0, or a negative errno.
 */
int vmademo_rule_name_call(struct vmademo_tree *tree, unsigned int op, unsigned long ino,
			   struct vmademo_rule_entry **after)
{
	struct vmademo_rule_event e = { .tree = tree, .ino = ino, .op = op };

	return vmademo_rule_match(&e) ? act(&e, after) : 0;
}

/* ---- writing out --------------------------------------------------------- */

/**
 * vmademo_rule_write_out() - write a folio to the store while there are rules
 * @buf: the buffer
 * @folio: under write-back
 * @len: bytes of it, at least 1
 *
 * Context: May sleep.
 * Return: what the store says, or a rule.
 */
int vmademo_rule_write_out(struct vmademo_buffer *buf, struct folio *folio, size_t len)
{
	struct vmademo_rule_event e = {
		.buf = buf,
		.op = VMADEMO_OP_WRITE_OUT,
		.first = folio->index,
		.last = folio->index + ((len - 1) >> PAGE_SHIFT),
	};
	unsigned int flags;
	int err = 0, status;

	if (!vmademo_rule_match(&e))
		return vmademo_rule_store_write(buf, folio, 0, len);
	status = e.entry->rule.status;
	flags = e.entry->rule.flags;
	/* A task that is killed while it waits writes nevertheless */
	vmademo_rule_wait(&e);
	if (!(flags & (VMADEMO_RULE_TORN | VMADEMO_RULE_AFTER)))
		vmademo_rule_cut(&e);
	if (flags & VMADEMO_RULE_TORN)
		err = vmademo_rule_write_torn(buf, folio, len, e.entry, e.number);
	else if (!status)
		err = vmademo_rule_store_write(buf, folio, 0, len);
	if (flags & (VMADEMO_RULE_TORN | VMADEMO_RULE_AFTER))
		vmademo_rule_cut(&e);
	vmademo_rule_put(e.entry);
	if (err || !status)
		return err;
	if (status != ENOMEM)
		vmademo_count(buf, VMADEMO_WRITE_ERRORS);
	return -status;
}
