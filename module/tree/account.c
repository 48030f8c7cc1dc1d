// SPDX-License-Identifier: GPL-2.0-only
/*
 * What debugfs tells of a mounted tree, in vmademo/tree-MINOR; MINOR is that of its device number,
 * as in the name of its bdi:
 *
 *   account  how many inodes, how much room, what is not durable, what the last power cut has lost
 *   rules    those of all its files and of its names, in words; see rules_debugfs.c
 *
 * Locks: none of its own.  While a file is read or written, the tree does not end.
 */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/seq_file.h>

#include "power.h"
#include "rules.h"
#include "tree/log.h"
#include "tree/tree.h"

static int account_show(struct seq_file *m, void *unused)
{
	struct vmademo_tree *tree = m->private;
	struct vmademo_crash cut = vmademo_power_last_cut(tree);

	/* The root is no inode that takes room */
	seq_printf(m, "inodes %ld\n", atomic_long_read(&tree->inodes) - 1);
	seq_printf(m, "bytes %llu\n", (u64)atomic_long_read(&tree->used) << PAGE_SHIFT);
	seq_printf(m, "limit_bytes %llu\n", (u64)READ_ONCE(tree->limit) << PAGE_SHIFT);
	seq_printf(m, "power %s\n", vmademo_tree_is_off(tree) ? "off" : "on");
	seq_printf(m, "pending_names %u\n", vmademo_log_pending(tree));
	seq_printf(m, "cuts %llu\n", READ_ONCE(tree->cuts));
	seq_printf(m, "lost_names %llu\n", READ_ONCE(tree->lost_names));
	seq_printf(m, "lost_folios %llu\n", cut.lost_folios);
	seq_printf(m, "lost_bytes %llu\n", cut.lost_bytes);
	seq_printf(m, "written_folios %llu\n", cut.written_folios);
	seq_printf(m, "torn_folios %llu\n", cut.torn_folios);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(account);

/**
 * vmademo_account_add() - a tree is mounted
 * @tree: the tree
 * @minor: of its device number
 *
 * Context: May sleep.
 */
void vmademo_account_add(struct vmademo_tree *tree, unsigned int minor)
{
	char name[24];

	snprintf(name, sizeof(name), "tree-%u", minor);
	tree->debugfs = vmademo_debugfs_make(name);
	debugfs_create_file("account", 0400, tree->debugfs, tree, &account_fops);
	debugfs_create_file("rules", 0600, tree->debugfs, tree, &vmademo_tree_rules_fops);
}

/**
 * vmademo_account_remove() - it is going
 * @tree: the tree
 *
 * Context: May sleep, until nobody reads a file of it.
 */
void vmademo_account_remove(struct vmademo_tree *tree)
{
	debugfs_remove(tree->debugfs);
}
