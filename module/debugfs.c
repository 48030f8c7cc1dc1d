// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is in debugfs, for root:
 *
 *   vmademo/mappings         every mapping of every buffer
 *   vmademo/latency_on       1: how long things take is noted; see latency.c
 *   vmademo/buffers          1: each buffer gets a directory, not the node's alone
 *   vmademo/vmademo/latency  of the node's buffer
 *   vmademo/vmademo/rules    its rules, in words; see rules_debugfs.c
 *   vmademo/INO/...          the same of others, by the number of their inode
 *   vmademo/tree-MINOR/...   of a mounted tree; see tree/account.c
 *
 * A directory costs more than all else of a buffer with store none: so they are made only
 * when somebody asks, or with the first rule.  Without debugfs nothing of this is there, and
 * nothing else is missing.
 *
 * Locks: buffers_lock, then those of debugfs, or a mapping's i_mmap_rwsem.  Not held while a
 * buffer's directory is removed, which waits for those who read it.
 */
#include <linux/debugfs.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

#include "rules.h"
#include "vmademo.h"

static struct dentry *root;
static bool every_buffer;
static LIST_HEAD(buffers);
static DEFINE_MUTEX(buffers_lock);	/* guards the list, every_buffer, and buf->debugfs */

/* ---- a buffer's own directory -------------------------------------------- */

static int latency_show(struct seq_file *m, void *unused)
{
	vmademo_latency_show(m, m->private);
	return 0;
}

static int latency_open(struct inode *inode, struct file *file)
{
	return single_open(file, latency_show, inode->i_private);
}

/* To write anything begins anew. */
static ssize_t latency_write(struct file *file, const char __user *text, size_t count,
			     loff_t *pos)
{
	vmademo_latency_clear(((struct seq_file *)file->private_data)->private);
	return count;
}

static const struct file_operations latency_fops = {
	.owner		= THIS_MODULE,
	.open		= latency_open,
	.read		= seq_read,
	.write		= latency_write,
	.llseek		= seq_lseek,
	.release	= single_release,
};

static void make_dir(struct vmademo_buffer *buf, const char *name)
{
	buf->debugfs = debugfs_create_dir(name, root);
	/* What each of them has.  debugfs takes an error for a parent, and does nothing */
	debugfs_create_file("latency", 0600, buf->debugfs, buf, &latency_fops);
	debugfs_create_file("rules", 0600, buf->debugfs, buf, &vmademo_rules_fops);
}

static void make_own_dir(struct vmademo_buffer *buf)
{
	char name[24];

	if (buf->debugfs)
		return;
	snprintf(name, sizeof(name), "%llu", (unsigned long long)buf->inode->i_ino);
	make_dir(buf, name);
}

/**
 * vmademo_debugfs_make_dir() - make the directory of a buffer, if it is not there yet
 * @buf: the buffer
 *
 * It goes with the buffer.
 *
 * Context: May sleep.
 */
void vmademo_debugfs_make_dir(struct vmademo_buffer *buf)
{
	mutex_lock(&buffers_lock);
	make_own_dir(buf);
	mutex_unlock(&buffers_lock);
}

/**
 * vmademo_debugfs_add() - a buffer is there now
 * @buf: the buffer
 * @for_node: it is a node's
 *
 * Context: May sleep.
 */
void vmademo_debugfs_add(struct vmademo_buffer *buf, bool for_node)
{
	mutex_lock(&buffers_lock);
	list_add_tail(&buf->all, &buffers);
	if (for_node)
		make_dir(buf, KBUILD_MODNAME);
	else if (every_buffer)
		make_own_dir(buf);
	mutex_unlock(&buffers_lock);
}

/**
 * vmademo_debugfs_remove() - a buffer is going
 * @buf: the buffer
 *
 * Context: May sleep, until nobody reads a file of its directory.
 */
void vmademo_debugfs_remove(struct vmademo_buffer *buf)
{
	mutex_lock(&buffers_lock);
	list_del(&buf->all);
	mutex_unlock(&buffers_lock);
	debugfs_remove(buf->debugfs);
}

/* ---- all mappings -------------------------------------------------------- */

static void *mappings_start(struct seq_file *m, loff_t *pos)
{
	mutex_lock(&buffers_lock);
	return seq_list_start(&buffers, *pos);
}

static void *mappings_next(struct seq_file *m, void *v, loff_t *pos)
{
	return seq_list_next(v, &buffers, pos);
}

static void mappings_stop(struct seq_file *m, void *v)
{
	mutex_unlock(&buffers_lock);
}

/*
 * Whose it is.  The kernel knows the owner of an address space only with memory cgroups;
 * where several processes share one, it is one of them.  In the reader's numbers of processes;
 * 0 is one that he cannot see.
 */
static void show_owner(struct seq_file *m, struct mm_struct *mm)
{
	char command[TASK_COMM_LEN] = "-";
	pid_t pid = 0;
#ifdef CONFIG_MEMCG
	struct task_struct *owner;

	rcu_read_lock();
	owner = rcu_dereference(mm->owner);
	if (owner) {
		pid = task_tgid_vnr(owner);
		get_task_comm(command, owner);
	}
	rcu_read_unlock();
#endif
	seq_printf(m, "%d ", pid);
	seq_escape(m, command, " \t\n\\");
}

/* The lock keeps the VMA in the list, and so its address space, and its place as it is. */
static int mappings_show(struct seq_file *m, void *v)
{
	struct vmademo_buffer *buf = list_entry(v, struct vmademo_buffer, all);
	struct address_space *mapping = buf->inode->i_mapping;
	struct rb_node *node;

	i_mmap_lock_read(mapping);
	for (node = rb_first_cached(&mapping->i_mmap); node; node = rb_next(node)) {
		struct vm_area_struct *vma = rb_entry(node, struct vm_area_struct, shared.rb);
		unsigned long flags = vma->vm_flags;

		show_owner(m, vma->vm_mm);
		seq_printf(m, " %lx-%lx %c%c%c%c %llx %llu\n", vma->vm_start, vma->vm_end,
			   flags & VM_READ ? 'r' : '-', flags & VM_WRITE ? 'w' : '-',
			   flags & VM_EXEC ? 'x' : '-', flags & VM_MAYSHARE ? 's' : 'p',
			   (u64)vma->vm_pgoff << PAGE_SHIFT,
			   (unsigned long long)buf->inode->i_ino);
		/* It comes again, with more room */
		if (seq_has_overflowed(m))
			break;
	}
	i_mmap_unlock_read(mapping);
	return 0;
}

static const struct seq_operations mappings_sops = {
	.start	= mappings_start,
	.next	= mappings_next,
	.stop	= mappings_stop,
	.show	= mappings_show,
};
DEFINE_SEQ_ATTRIBUTE(mappings);

/* ---- switches ------------------------------------------------------------ */

static int latency_on_get(void *unused, u64 *value)
{
	*value = static_key_enabled(&vmademo_latency_on);
	return 0;
}

static int latency_on_set(void *unused, u64 value)
{
	if (value > 1)
		return -EINVAL;
	vmademo_latency_switch(value);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(latency_on_fops, latency_on_get, latency_on_set, "%llu\n");

static int buffers_get(void *unused, u64 *value)
{
	*value = READ_ONCE(every_buffer);
	return 0;
}

/* Those that are there get one too.  With 0, new ones do not, and nobody loses his. */
static int buffers_set(void *unused, u64 value)
{
	struct vmademo_buffer *buf;

	if (value > 1)
		return -EINVAL;
	mutex_lock(&buffers_lock);
	every_buffer = value;
	if (value)
		list_for_each_entry(buf, &buffers, all)
			make_own_dir(buf);
	mutex_unlock(&buffers_lock);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(buffers_fops, buffers_get, buffers_set, "%llu\n");

/**
 * vmademo_debugfs_make() - make a directory there
 * @name: what it is called
 *
 * Context: May sleep.
 * Return: the directory, for debugfs_remove(); or an ERR_PTR, which debugfs takes for one where
 *         nothing is made.
 */
struct dentry *vmademo_debugfs_make(const char *name)
{
	return debugfs_create_dir(name, root);
}

/**
 * vmademo_debugfs_init() - make the directory of the module
 *
 * Context: May sleep.  Before the first buffer is made.
 */
void __init vmademo_debugfs_init(void)
{
	root = debugfs_create_dir(KBUILD_MODNAME, NULL);
	debugfs_create_file("mappings", 0400, root, NULL, &mappings_fops);
	debugfs_create_file_unsafe("latency_on", 0600, root, NULL, &latency_on_fops);
	debugfs_create_file_unsafe("buffers", 0600, root, NULL, &buffers_fops);
}

/**
 * vmademo_debugfs_exit() - take it away; there is no buffer any more
 *
 * Context: May sleep.
 */
void vmademo_debugfs_exit(void)
{
	debugfs_remove(root);
}
