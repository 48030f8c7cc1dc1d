// SPDX-License-Identifier: GPL-2.0-only
/*
 * The file "rules" of a buffer or a mounted tree in debugfs (debugfs.c): its rules in words, and
 * commands.
 *
 * Locks: none of its own.  While a file is read or written, its buffer or tree does not end:
 * debugfs_remove() waits.
 */
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "rules.h"
#include "vmademo.h"

/* What a command can have at most, in bytes. */
#define LONGEST		512

static int show(struct seq_file *m, const struct vmademo_target *of)
{
	struct vmademo_rule rule = { 0 };
	int err;

	while (!(err = vmademo_rule_next(of, &rule))) {
		vmademo_rule_show(m, &rule);
		/* It comes again with more room */
		if (seq_has_overflowed(m))
			return 0;
	}
	return err == -ENOENT ? 0 : err;
}

/* One command at a time, all of it by one write(2). */
static ssize_t command(const struct vmademo_target *of, const char __user *from, size_t count)
{
	char *text;
	int err;

	if (count > LONGEST)
		return -EINVAL;
	if (!count)
		return 0;
	text = memdup_user_nul(from, count);
	if (IS_ERR(text))
		return PTR_ERR(text);
	err = strlen(text) == count ? vmademo_rules_command(of, text) : -EINVAL;
	kfree(text);
	return err ?: count;
}

/* ---- of a buffer --------------------------------------------------------- */

static int rules_show(struct seq_file *m, void *v)
{
	const struct vmademo_target of = { .buf = m->private };

	return show(m, &of);
}

static int rules_open(struct inode *inode, struct file *file)
{
	return single_open(file, rules_show, inode->i_private);
}

static ssize_t rules_write(struct file *file, const char __user *from, size_t count,
			   loff_t *ppos)
{
	const struct seq_file *m = file->private_data;
	const struct vmademo_target of = { .buf = m->private };

	return command(&of, from, count);
}

const struct file_operations vmademo_rules_fops = {
	.owner		= THIS_MODULE,
	.open		= rules_open,
	.read		= seq_read,
	.write		= rules_write,
	.llseek		= seq_lseek,
	.release	= single_release,
};

/* ---- of a tree ----------------------------------------------------------- */

static int tree_rules_show(struct seq_file *m, void *v)
{
	const struct vmademo_target of = { .tree = m->private };

	return show(m, &of);
}

static int tree_rules_open(struct inode *inode, struct file *file)
{
	return single_open(file, tree_rules_show, inode->i_private);
}

static ssize_t tree_rules_write(struct file *file, const char __user *from, size_t count,
				loff_t *ppos)
{
	const struct seq_file *m = file->private_data;
	const struct vmademo_target of = { .tree = m->private };

	return command(&of, from, count);
}

const struct file_operations vmademo_tree_rules_fops = {
	.owner		= THIS_MODULE,
	.open		= tree_rules_open,
	.read		= seq_read,
	.write		= tree_rules_write,
	.llseek		= seq_lseek,
	.release	= single_release,
};
