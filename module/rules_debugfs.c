// SPDX-License-Identifier: GPL-2.0-only
/*
 * The files in debugfs: vmademo/NAME/rules for the node NAME, vmademo/INO/rules for any other
 * buffer, from its first rule on.  Without debugfs there are none, and nothing else is
 * missing.
 *
 * Locks: none of its own.  While a file is read or written, its buffer does not end:
 * debugfs_remove() waits.
 */
#include <linux/debugfs.h>
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

static struct dentry *root;

static int rules_show(struct seq_file *m, void *v)
{
	struct vmademo_rule rule = { 0 };
	int err;

	while (!(err = vmademo_rule_next(m->private, &rule))) {
		vmademo_rule_show(m, &rule);
		/* It comes again with more room */
		if (seq_has_overflowed(m))
			return 0;
	}
	return err == -ENOENT ? 0 : err;
}

static int rules_open(struct inode *inode, struct file *file)
{
	return single_open(file, rules_show, inode->i_private);
}

/* One command at a time, all of it by one write(2). */
static ssize_t rules_write(struct file *file, const char __user *from, size_t count,
			   loff_t *ppos)
{
	struct seq_file *m = file->private_data;
	char *text;
	int err;

	if (count > LONGEST)
		return -EINVAL;
	if (!count)
		return 0;
	text = memdup_user_nul(from, count);
	if (IS_ERR(text))
		return PTR_ERR(text);
	err = strlen(text) == count ? vmademo_rules_command(m->private, text) : -EINVAL;
	kfree(text);
	return err ?: count;
}

static const struct file_operations rules_fops = {
	.owner		= THIS_MODULE,
	.open		= rules_open,
	.read		= seq_read,
	.write		= rules_write,
	.llseek		= seq_lseek,
	.release	= single_release,
};

/**
 * vmademo_rules_debugfs_add() - make the files of a buffer
 * @buf: the buffer
 * @name: of their folder
 *
 * Context: May sleep.
 * Return: the folder, for vmademo_rules_debugfs_del(); an ERR_PTR if there is none.
 */
struct dentry *vmademo_rules_debugfs_add(struct vmademo_buffer *buf, const char *name)
{
	struct dentry *dir = debugfs_create_dir(name, root);

	debugfs_create_file("rules", 0600, dir, buf, &rules_fops);
	return dir;
}

/**
 * vmademo_rules_debugfs_del() - take them away, when nobody is reading or writing them
 * @dir: the folder, NULL or an ERR_PTR
 *
 * Context: May sleep.
 */
void vmademo_rules_debugfs_del(struct dentry *dir)
{
	debugfs_remove(dir);
}

/* Where all of them are. */
void __init vmademo_rules_debugfs_init(void)
{
	root = debugfs_create_dir("vmademo", NULL);
}

void vmademo_rules_debugfs_exit(void)
{
	debugfs_remove(root);
}
