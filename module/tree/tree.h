/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of a mounted tree share.  mount.c has the superblock, inodes.c inodes, names.c
 * directories, attributes.c what setxattr(2) keeps.
 *
 * Locks: none.
 */
#ifndef VMADEMO_TREE_H
#define VMADEMO_TREE_H

#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/xattr.h>

#include "compat.h"
#include "vmademo.h"

/**
 * struct vmademo_attributes - the user.* attributes of an inode
 * @lock: around all of it
 * @list: in the order in which they were made
 * @count: how many
 * @bytes: of all their values
 * @memory: bytes that they take, names and all: so much of the tree's room, in pages
 */
struct vmademo_attributes {
	struct mutex lock;	/* see above */
	struct list_head list;
	unsigned int count;
	size_t bytes;
	size_t memory;
};

/**
 * struct vmademo_tree_inode - an inode of a mounted tree
 * @attributes: see above
 * @inode: its i_private is a buffer if it is a regular file, else NULL
 */
struct vmademo_tree_inode {
	struct vmademo_attributes attributes;
	struct inode inode;
};

static inline struct vmademo_tree *vmademo_tree_of(const struct super_block *sb)
{
	return sb->s_fs_info;
}

static inline struct vmademo_attributes *vmademo_attributes_of(struct inode *inode)
{
	return &container_of(inode, struct vmademo_tree_inode, inode)->attributes;
}

/* attributes.c */
extern VMADEMO_XATTR_TABLE(vmademo_xattrs);
ssize_t vmademo_listxattr(struct dentry *dentry, char *names, size_t size);
void vmademo_attributes_init(struct vmademo_attributes *attributes);
void vmademo_attributes_free(struct inode *inode);

/* account.c */
void vmademo_account_add(struct vmademo_tree *tree, unsigned int minor);
void vmademo_account_remove(struct vmademo_tree *tree);

/* inodes.c */
int vmademo_inodes_init(void);
void vmademo_inodes_exit(void);
int vmademo_inode_take(struct super_block *sb);
struct inode *vmademo_make_inode(VMADEMO_IDMAP *idmap, struct super_block *sb,
				 const struct inode *dir, umode_t mode, dev_t dev);
struct inode *vmademo_alloc_inode(struct super_block *sb);
void vmademo_free_inode(struct inode *inode);
void vmademo_evict_name(struct inode *inode);
struct inode *vmademo_make_root(struct super_block *sb, umode_t mode, kuid_t uid, kgid_t gid);

/* names.c */
extern const struct inode_operations vmademo_dir_iops;
extern const struct inode_operations vmademo_tree_file_iops;
extern const struct file_operations vmademo_dir_fops;

#endif /* VMADEMO_TREE_H */
