// SPDX-License-Identifier: GPL-2.0-only
/*
 * mount -t vmademo: a tree of buffers, for programs that need names, siblings and directories.
 * Options are checked before anything is made; what is wrong is refused, with one line in the
 * log of the mount that says why.
 *
 * A tree is to the kernel one disk: a superblock and a backing device (bdi) of its own.  The
 * superblock holds the module, by its type's owner.
 *
 * Locks: the kernel holds s_umount while a tree is made, changed or ended.
 */
#include <linux/backing-dev.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/jump_label.h>
#include <linux/kdev_t.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/statfs.h>
#include <linux/uidgid.h>

#include "compat.h"
#include "power.h"
#include "rules.h"
#include "store/store.h"
#include "tree/log.h"
#include "tree/tree.h"

#define DEFAULT_MODE	0755

DEFINE_STATIC_KEY_FALSE(vmademo_trees);

/* ---- options ------------------------------------------------------------- */

enum option { OPT_STORE, OPT_SIZE, OPT_FOLIO_SIZE, OPT_MODE, OPT_UID, OPT_GID, OPT_NAMES };

static const struct fs_parameter_spec specs[] = {
	fsparam_string("store", OPT_STORE),
	fsparam_string("size", OPT_SIZE),
	fsparam_string("folio_size", OPT_FOLIO_SIZE),
	fsparam_u32oct("mode", OPT_MODE),
	fsparam_u32("uid", OPT_UID),
	fsparam_u32("gid", OPT_GID),
	fsparam_string("names", OPT_NAMES),
	{}
};

/**
 * struct options - what mount(8) was told
 * @given: a bit for each option that was
 * @store: what stands behind each file
 * @pages: size=, in pages
 * @order: folio_size=, as the logarithm of so many pages
 * @mode: the root's permissions
 * @uid: whose the root is
 * @gid: whose the root is
 * @names: what is durable of names, when
 */
struct options {
	unsigned int given;
	const struct vmademo_store_ops *store;
	unsigned long pages;
	unsigned int order;
	umode_t mode;
	kuid_t uid;
	kgid_t gid;
	enum vmademo_names names;
};

static int parse_store(struct fs_context *fc, struct options *o, const char *word)
{
	if (!strcmp(word, "none"))
		o->store = &vmademo_store_none;
	else if (!strcmp(word, "ram"))
		o->store = &vmademo_store_ram;
	else
		return invalfc(fc, "store=%s: must be none or ram", word);
	return 0;
}

static int parse_size(struct fs_context *fc, struct options *o, const char *word)
{
	u64 bytes;
	int err = vmademo_parse_bytes(word, &bytes);

	if (err == -EINVAL)
		return invalfc(fc, "size=%s: not a number of bytes; expected digits, K, M or G",
			       word);
	if (err || bytes > VMADEMO_MAX_SIZE)
		return invalfc(fc, "size=%s: more than a file can have, %lld bytes", word,
			       (long long)VMADEMO_MAX_SIZE);
	if (!bytes || bytes % PAGE_SIZE)
		return invalfc(fc, "size=%s: must be one or more whole pages of %lu bytes", word,
			       PAGE_SIZE);
	o->pages = bytes >> PAGE_SHIFT;
	return 0;
}

static int parse_folio_size(struct fs_context *fc, struct options *o, const char *word)
{
	u64 bytes;

	if (vmademo_parse_bytes(word, &bytes) || vmademo_parse_order(bytes, &o->order))
		return invalfc(fc, "folio_size=%s: must be a power of two from %lu to %lu", word,
			       PAGE_SIZE, PAGE_SIZE << VMADEMO_MAX_ORDER);
	return 0;
}

static const char *const names_words[] = {
	[VMADEMO_NAMES_DURABLE]	= "durable",
	[VMADEMO_NAMES_ORDERED]	= "ordered",
	[VMADEMO_NAMES_POSIX]	= "posix",
};

static int parse_names(struct fs_context *fc, struct options *o, const char *word)
{
	int i = match_string(names_words, ARRAY_SIZE(names_words), word);

	if (i < 0)
		return invalfc(fc, "names=%s: must be durable, ordered or posix", word);
	o->names = i;
	return 0;
}

static int parse_param(struct fs_context *fc, struct fs_parameter *param)
{
	struct options *o = fc->fs_private;
	struct fs_parse_result result;
	int opt = fs_parse(fc, specs, param, &result);
	int err = 0;

	if (opt < 0)
		return opt;	/* fs_parse() or its caller says what was wrong */
	switch ((enum option)opt) {
	case OPT_STORE:
		err = parse_store(fc, o, param->string);
		break;
	case OPT_SIZE:
		err = parse_size(fc, o, param->string);
		break;
	case OPT_FOLIO_SIZE:
		err = parse_folio_size(fc, o, param->string);
		break;
	case OPT_MODE:
		if (result.uint_32 & ~S_IALLUGO)
			err = invalfc(fc, "mode=%o: must be permission bits, at most 7777",
				      result.uint_32);
		o->mode = result.uint_32;
		break;
	case OPT_UID:
		o->uid = make_kuid(current_user_ns(), result.uint_32);
		if (!uid_valid(o->uid))
			err = invalfc(fc, "uid=%u: no user has that number", result.uint_32);
		break;
	case OPT_GID:
		o->gid = make_kgid(current_user_ns(), result.uint_32);
		if (!gid_valid(o->gid))
			err = invalfc(fc, "gid=%u: no group has that number", result.uint_32);
		break;
	case OPT_NAMES:
		err = parse_names(fc, o, param->string);
		break;
	}
	o->given |= 1U << opt;
	return err;
}

static int show_options(struct seq_file *m, struct dentry *root)
{
	const struct vmademo_tree *tree = vmademo_tree_of(root->d_sb);
	const struct inode *inode = d_inode(root->d_sb->s_root);

	seq_printf(m, ",store=%s,size=%lluK,folio_size=%luK", tree->store->name,
		   (u64)READ_ONCE(tree->limit) << (PAGE_SHIFT - 10),
		   PAGE_SIZE << tree->order >> 10);
	seq_printf(m, ",mode=%o,uid=%u,gid=%u,names=%s", inode->i_mode & S_IALLUGO,
		   from_kuid_munged(&init_user_ns, inode->i_uid),
		   from_kgid_munged(&init_user_ns, inode->i_gid),
		   names_words[vmademo_log_names(tree)]);
	return 0;
}

/* ---- the superblock ------------------------------------------------------ */

static int tree_statfs(struct dentry *dentry, struct kstatfs *stat)
{
	struct vmademo_tree *tree = vmademo_tree_of(dentry->d_sb);
	long limit = READ_ONCE(tree->limit);
	long left = max(limit - atomic_long_read(&tree->used), 0L);
	long inodes = atomic_long_read(&tree->inodes) - 1;
	/* All buffers together may have less left */
	long others = max((long)vmademo_room_limit - atomic_long_read(&vmademo_room_used), 0L);

	simple_statfs(dentry, stat);
	stat->f_blocks = limit;
	stat->f_bfree = left;
	stat->f_bavail = min(left, others);
	stat->f_files = limit;
	stat->f_ffree = max(limit - inodes, 0L);
	return 0;
}

/* Names and data go with the last descriptor: the dentry cache holds what has a name. */
static int drop_always(struct inode *inode)
{
	return 1;
}

/* The end of sync(2) and syncfs(2): what is dirty has been written to the store. */
static int tree_sync_fs(struct super_block *sb, int wait)
{
	struct vmademo_tree *tree = vmademo_tree_of(sb);
	struct vmademo_buffer *buf = NULL;
	int err = 0, one;

	if (!wait || !tree->store->read)
		return 0;
	while ((buf = vmademo_power_next(tree, buf))) {
		one = vmademo_store_flush(buf, false, i_size_read(buf->inode));
		err = err ?: one;
	}
	/* Also if a file cannot be flushed: maybe only the log still holds that one */
	one = vmademo_log_fsync(tree, NULL);
	return err ?: one;
}

static const struct super_operations tree_sops = {
	.alloc_inode	= vmademo_alloc_inode,
	.free_inode	= vmademo_free_inode,
	.drop_inode	= drop_always,
	.evict_inode	= vmademo_evict_name,
	.sync_fs	= tree_sync_fs,
	.statfs		= tree_statfs,
	.show_options	= show_options,
};

/**
 * vmademo_tree_of_dir() - is this a directory of a mounted tree?
 * @file: any file
 *
 * Context: Any.
 * Return: the tree, or NULL.
 */
struct vmademo_tree *vmademo_tree_of_dir(const struct file *file)
{
	const struct inode *inode = file_inode(file);

	return S_ISDIR(inode->i_mode) && inode->i_sb->s_op == &tree_sops ?
		       vmademo_tree_of(inode->i_sb) : NULL;
}

static int fill_super(struct super_block *sb, struct fs_context *fc)
{
	const struct options *o = fc->fs_private;
	struct vmademo_tree *tree;
	struct inode *root;
	int err;

	if (!o->store->read && o->names != VMADEMO_NAMES_DURABLE)
		return invalfc(fc, "names=%s: needs store=ram: store=none has no power cuts",
			       names_words[o->names]);
	tree = kzalloc(sizeof(*tree), GFP_KERNEL_ACCOUNT);
	if (!tree)
		return -ENOMEM;
	tree->store = o->store;
	tree->order = o->order;
	tree->limit = o->pages;
	INIT_LIST_HEAD(&tree->buffers);
	sb->s_fs_info = tree;
	sb->s_magic = VMADEMO_MAGIC;
	sb->s_maxbytes = VMADEMO_MAX_SIZE;
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_time_gran = 1;
	sb->s_op = &tree_sops;
	sb->s_xattr = vmademo_xattrs;
	err = super_setup_bdi_name(sb, "vmademo-%u", MINOR(sb->s_dev)) ?:
	      vmademo_log_make(tree, o->names);
	if (err)
		return err;
	root = vmademo_make_root(sb, o->mode, o->uid, o->gid);
	if (IS_ERR(root))
		return PTR_ERR(root);
	sb->s_root = d_make_root(root);
	if (!sb->s_root)
		return -ENOMEM;
	vmademo_account_add(tree, MINOR(sb->s_dev));
	return 0;
}

static int get_tree(struct fs_context *fc)
{
	struct options *o = fc->fs_private;
	static DEFINE_MUTEX(lock);

	/* As on a disk, by a journal */
	if (!(o->given & BIT(OPT_NAMES)) && o->store->read)
		o->names = VMADEMO_NAMES_ORDERED;

	/* For good: to patch the code each time would take longer than to ask */
	mutex_lock(&lock);
	if (!static_key_enabled(&vmademo_trees))
		static_branch_enable(&vmademo_trees);
	mutex_unlock(&lock);
	return get_tree_nodev(fc, fill_super);
}

/* No sync is for what is read-only: what is not durable by now would stay so. */
static int write_all(struct fs_context *fc)
{
	struct super_block *sb = fc->root->d_sb;
	int err;

	if (!(fc->sb_flags & fc->sb_flags_mask & SB_RDONLY) || sb_rdonly(sb))
		return 0;
	err = sync_filesystem(sb);
	return fc->sb_flags & SB_FORCE ? 0 : err;
}

/* mount -o remount names all that holds once more; of ours, only size= can be another. */
static int reconfigure(struct fs_context *fc)
{
	const struct options *o = fc->fs_private;
	struct super_block *sb = fc->root->d_sb;
	struct vmademo_tree *tree = vmademo_tree_of(sb);
	const struct inode *root = d_inode(sb->s_root);
	long used = max(atomic_long_read(&tree->used), atomic_long_read(&tree->inodes) - 1);
	int err;

	if ((o->given & BIT(OPT_STORE) && o->store != tree->store) ||
	    (o->given & BIT(OPT_FOLIO_SIZE) && o->order != tree->order) ||
	    (o->given & BIT(OPT_NAMES) && o->names != vmademo_log_names(tree)) ||
	    (o->given & BIT(OPT_MODE) && o->mode != (root->i_mode & S_IALLUGO)) ||
	    (o->given & BIT(OPT_UID) && !uid_eq(o->uid, root->i_uid)) ||
	    (o->given & BIT(OPT_GID) && !gid_eq(o->gid, root->i_gid)))
		return invalfc(fc, "a remount can change size= only");
	if (o->given & BIT(OPT_SIZE) && o->pages < used)
		return invalfc(fc, "size=%lluK: less than is in use, %lluK",
			       (u64)o->pages << (PAGE_SHIFT - 10),
			       (u64)used << (PAGE_SHIFT - 10));
	err = write_all(fc);
	if (!err && o->given & BIT(OPT_SIZE))
		WRITE_ONCE(tree->limit, o->pages);
	return err;
}

static void free_context(struct fs_context *fc)
{
	kfree(fc->fs_private);
}

static const struct fs_context_operations context_ops = {
	.free		= free_context,
	.parse_param	= parse_param,
	.get_tree	= get_tree,
	.reconfigure	= reconfigure,
};

static int init_context(struct fs_context *fc)
{
	struct options *o = kzalloc(sizeof(*o), GFP_KERNEL_ACCOUNT);

	if (!o)
		return -ENOMEM;
	o->store = &vmademo_store_none;
	o->pages = vmademo_room_limit;
	o->order = vmademo_default_order;
	o->mode = DEFAULT_MODE;
	o->uid = current_fsuid();
	o->gid = current_fsgid();
	fc->fs_private = o;
	fc->ops = &context_ops;
	/* To the kernel, a removed file that the log holds is in use: no read-only, then */
	if (fc->purpose == FS_CONTEXT_FOR_RECONFIGURE)
		vmademo_log_empty(vmademo_tree_of(fc->root->d_sb));
	return 0;
}

static void kill_tree(struct super_block *sb)
{
	struct vmademo_tree *tree = vmademo_tree_of(sb);

	if (tree) {
		vmademo_account_remove(tree);
		vmademo_log_drain(tree);
	}
	vmademo_kill_names(sb);
	if (tree) {
		vmademo_log_free(tree);
		vmademo_rules_end(tree->rules);
		vmademo_rules_free(tree->rules);
	}
	kfree(tree);
}

/* Without FS_USERNS_MOUNT: it takes memory that no reclaim gets back. */
static struct file_system_type tree_type = {
	.name			= "vmademo",
	.owner			= THIS_MODULE,
	.init_fs_context	= init_context,
	.parameters		= specs,
	.kill_sb		= kill_tree,
};
MODULE_ALIAS_FS("vmademo");

/**
 * vmademo_tree_init() - from now on, trees can be mounted
 *
 * Context: May sleep.
 * Return: 0, or a negative errno.
 */
int __init vmademo_tree_init(void)
{
	int err = vmademo_inodes_init();

	if (err)
		return err;
	err = register_filesystem(&tree_type);
	if (err)
		vmademo_inodes_exit();
	return err;
}

/**
 * vmademo_tree_exit() - no more; none is mounted, because one would hold the module
 *
 * Context: May sleep.
 */
void vmademo_tree_exit(void)
{
	unregister_filesystem(&tree_type);
	vmademo_inodes_exit();
}
