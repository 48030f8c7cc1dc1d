// SPDX-License-Identifier: GPL-2.0-only
/*
 * The user.* attributes of files and directories of a mounted tree: setxattr(2) and its like.
 * The kernel has such a list (simple_xattr) for its own file systems, but exports it to none.
 *
 * Locks: attributes->lock, below the inode's i_rwsem.  The kernel takes that to change
 * attributes, but not to read them.  Room is made without attributes->lock: that waits for the
 * log.
 */
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/xattr.h>

#include "store/store.h"
#include "tree/tree.h"

/*
 * Of one inode, as newer kernels have it for tmpfs.  No reclaim gets this memory back: so it takes
 * room of the tree, in whole pages.
 */
#define MAX_COUNT	128
#define MAX_BYTES	(128 << 10)

struct named_value {
	struct list_head list;
	char *name;		/* without user. */
	size_t size;
	char value[];
};

static void free_value(struct named_value *a)
{
	if (!a)
		return;
	kfree(a->name);
	kvfree(a);
}

static struct named_value *make_value(const char *name, const void *value, size_t size)
{
	struct named_value *a = kvmalloc(struct_size(a, value, size), GFP_KERNEL_ACCOUNT);

	if (!a)
		return NULL;
	a->name = kstrdup(name, GFP_KERNEL_ACCOUNT);
	if (!a->name) {
		kvfree(a);
		return NULL;
	}
	a->size = size;
	memcpy(a->value, value, size);
	return a;
}

/* With the lock held. */
static struct named_value *find(struct vmademo_attributes *attributes, const char *name)
{
	struct named_value *a;

	list_for_each_entry(a, &attributes->list, list)
		if (!strcmp(a->name, name))
			return a;
	return NULL;
}

static int get_value(const struct xattr_handler *handler, struct dentry *dentry,
		     struct inode *inode, const char *name, void *value, size_t size)
{
	struct vmademo_attributes *attributes = vmademo_attributes_of(inode);
	struct named_value *a;
	int ret = -ENODATA;

	mutex_lock(&attributes->lock);
	a = find(attributes, name);
	if (a) {
		ret = a->size;
		if (value && size < a->size)
			ret = -ERANGE;
		else if (value)
			memcpy(value, a->value, a->size);
	}
	mutex_unlock(&attributes->lock);
	return ret;
}

static size_t memory_of(const struct named_value *a)
{
	return a ? struct_size(a, value, a->size) + strlen(a->name) + 1 : 0;
}

/* With the lock held.  -EAGAIN: there is no room. */
static int set_memory(struct inode *inode, size_t memory)
{
	struct vmademo_attributes *attributes = vmademo_attributes_of(inode);
	struct vmademo_tree *tree = vmademo_tree_of(inode->i_sb);
	unsigned long had = DIV_ROUND_UP(attributes->memory, PAGE_SIZE);
	unsigned long has = DIV_ROUND_UP(memory, PAGE_SIZE);

	if (has <= had) {
		atomic_long_sub(had - has, &tree->used);
	} else if (atomic_long_add_return(has - had, &tree->used) > READ_ONCE(tree->limit)) {
		atomic_long_sub(has - had, &tree->used);
		return -EAGAIN;
	}
	attributes->memory = memory;
	return 0;
}

/* With the lock held.  @new is NULL to delete. */
static int replace(struct inode *inode, struct named_value *old, struct named_value *new,
		   int flags)
{
	struct vmademo_attributes *attributes = vmademo_attributes_of(inode);
	size_t bytes = attributes->bytes + (new ? new->size : 0) - (old ? old->size : 0);
	int err;

	if (old && flags & XATTR_CREATE)
		return -EEXIST;
	if (!old && (flags & XATTR_REPLACE || !new))
		return -ENODATA;
	if (new && (bytes > MAX_BYTES || (!old && attributes->count == MAX_COUNT)))
		return -ENOSPC;
	err = set_memory(inode, attributes->memory + memory_of(new) - memory_of(old));
	if (err)
		return err;
	attributes->bytes = bytes;
	attributes->count += !!new - !!old;
	if (old && new)
		list_replace(&old->list, &new->list);
	else if (old)
		list_del(&old->list);
	else
		list_add_tail(&new->list, &attributes->list);
	return 0;
}

static int set_value(const struct xattr_handler *handler, VMADEMO_IDMAP *idmap,
		     struct dentry *dentry, struct inode *inode, const char *name,
		     const void *value, size_t size, int flags)
{
	struct vmademo_attributes *attributes = vmademo_attributes_of(inode);
	struct named_value *old, *new = NULL;
	unsigned int tries = 0;
	int err;

	if (value) {
		new = make_value(name, value, size);
		if (!new)
			return -ENOMEM;
	}
	do {
		mutex_lock(&attributes->lock);
		old = find(attributes, name);
		err = replace(inode, old, new, flags);
		mutex_unlock(&attributes->lock);
	} while (err == -EAGAIN && vmademo_make_room_in(vmademo_tree_of(inode->i_sb), &tries));
	if (err == -EAGAIN)
		err = -ENOSPC;
	free_value(err ? new : old);
	if (!err)
		vmademo_inode_changed(inode);
	return err;
}

/**
 * vmademo_listxattr() - .listxattr
 * @dentry: of which inode
 * @names: where to put the names, each with a 0 behind it; NULL to ask how long that is
 * @size: bytes that are there
 *
 * Context: May sleep.
 * Return: bytes; -ERANGE.
 */
ssize_t vmademo_listxattr(struct dentry *dentry, char *names, size_t size)
{
	struct vmademo_attributes *attributes = vmademo_attributes_of(d_inode(dentry));
	struct named_value *a;
	size_t len, used = 0;

	mutex_lock(&attributes->lock);
	list_for_each_entry(a, &attributes->list, list) {
		len = XATTR_USER_PREFIX_LEN + strlen(a->name) + 1;
		if (names && size - used < len) {
			mutex_unlock(&attributes->lock);
			return -ERANGE;
		}
		if (names) {
			memcpy(names + used, XATTR_USER_PREFIX, XATTR_USER_PREFIX_LEN);
			memcpy(names + used + XATTR_USER_PREFIX_LEN, a->name,
			       len - XATTR_USER_PREFIX_LEN);
		}
		used += len;
	}
	mutex_unlock(&attributes->lock);
	return used;
}

/**
 * vmademo_attributes_init() - there is none yet
 * @attributes: of a new inode
 *
 * Context: Any.
 */
void vmademo_attributes_init(struct vmademo_attributes *attributes)
{
	mutex_init(&attributes->lock);
	INIT_LIST_HEAD(&attributes->list);
	attributes->count = 0;
	attributes->bytes = 0;
	attributes->memory = 0;
}

/**
 * vmademo_attributes_free() - the inode is going
 * @inode: the inode
 *
 * Context: May sleep.
 */
void vmademo_attributes_free(struct inode *inode)
{
	struct vmademo_attributes *attributes = vmademo_attributes_of(inode);
	struct named_value *a, *next;

	list_for_each_entry_safe(a, next, &attributes->list, list)
		free_value(a);
	INIT_LIST_HEAD(&attributes->list);
	set_memory(inode, 0);
}

static const struct xattr_handler user_handler = {
	.prefix	= XATTR_USER_PREFIX,
	.get	= get_value,
	.set	= set_value,
};

VMADEMO_XATTR_TABLE(vmademo_xattrs) = {
	&user_handler,
	NULL
};
