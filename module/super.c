// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pseudo filesystems that buffers live on.  Nobody can mount them.
 *
 * To the kernel, a buffer with a store is a disk of its own: it has a superblock
 * and a backing device (bdi) of its own.  So a store that is slow, frozen or broken
 * throttles, delays and tells its own users only.  Buffers with store none can neither
 * block nor fail: they share one superblock, and are as cheap to make as a memfd.
 *
 * Who holds the module: a private superblock does, by its type's owner.  The shared one
 * and the node's must not, or the module could never be unloaded: their dentries do.
 *
 * Locks: sync_lock, around finding the buffer of a superblock, and saying that a sync(2) waits for
 * its end.  Only i_lock is taken inside.
 */
#include <linux/backing-dev.h>
#include <linux/dcache.h>
#include <linux/delay.h>
#include <linux/kdev_t.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "power.h"
#include "rules.h"
#include "store/store.h"
#include "vmademo.h"

bool vmademo_exec __read_mostly;
unsigned int vmademo_max_stores __read_mostly = 1024;

struct kmem_cache *vmademo_buffer_cache __ro_after_init;
static struct file_system_type vmademo_private_fs_type;
static struct vfsmount *shared_mnt;
static struct workqueue_struct *put_queue;
struct workqueue_struct *vmademo_cut_queue __ro_after_init;
static atomic_t private_stores = ATOMIC_INIT(0);
static DEFINE_MUTEX(sync_lock);

/* ---- the file systems ---------------------------------------------------- */

/* Nobody looks a buffer up again by its inode number: no use in keeping it. */
static int vmademo_drop_inode(struct inode *inode)
{
	return 1;
}

/*
 * The file gets what is still dirty, as it would after close(2).  What could not be
 * written because there was no memory is dirty again: a few tries.  What it has not taken, and
 * nobody was told of, its own next fsync tells.
 */
static void write_the_last(struct vmademo_buffer *buf)
{
	struct address_space *mapping = buf->inode->i_mapping;
	int tries, err = 0;

	for (tries = 0; tries < 5; tries++) {
		err = filemap_write_and_wait(mapping) ?: err;
		if (!mapping_tagged(mapping, PAGECACHE_TAG_DIRTY))
			break;
		msleep(20 << tries);
	}
	/* Not of what a rule or a power cut has kept from it */
	if ((err && READ_ONCE(buf->file_lost)) || (tries == 5 && !vmademo_is_off(buf)))
		mapping_set_error(vmademo_backing_mapping(buf->file), err ?: -EIO);
}

/*
 * From now on sync(2) does not find it.  If one is waiting, its file is synced first: what that
 * says, the file tells, for its own next fsync would not.
 */
static void leave_sync(struct inode *inode, struct vmademo_buffer *buf)
{
	struct super_block *sb = inode->i_sb;
	int err;

	mutex_lock(&sync_lock);
	while (buf->sync_waits) {
		buf->sync_waits = false;
		mutex_unlock(&sync_lock);
		err = vfs_fsync(buf->file, 0);
		/* Of a task that is being killed, it says nothing */
		if (err && err != -EINTR && err != -ERESTARTSYS)
			mapping_set_error(vmademo_backing_mapping(buf->file),
					  err == -ENOSPC || err == -EDQUOT ? -ENOSPC : -EIO);
		mutex_lock(&sync_lock);
	}
	sb->s_fs_info = NULL;
	mutex_unlock(&sync_lock);
	smp_mb();	/* wake_up_var() must see who waits, if he saw it */
	wake_up_var(&sb->s_fs_info);
}

/**
 * vmademo_evict_inode() - .evict_inode: nobody holds it any more
 * @inode: a buffer's, or any other of our superblocks
 *
 * Context: May sleep.
 */
void vmademo_evict_inode(struct inode *inode)
{
	struct vmademo_buffer *buf = inode->i_private;

	if (buf) {
		vmademo_debugfs_remove(buf);
		/* What is still dirty is not to wait for a rule, nor to fail by one */
		vmademo_rules_end(buf->rules);
	}
	/* A file outlives the buffer.  Every other store ends here. */
	if (buf && buf->file && !buf->read_only)
		write_the_last(buf);
	if (inode->i_sb->s_fs_info == inode)
		leave_sync(inode, buf);
	truncate_inode_pages_final(&inode->i_data);
	/* Nobody is left who could begin a power cut */
	if (buf)
		flush_work(&buf->cut_work);
	clear_inode(inode);
	if (!buf)
		return;		/* the filesystem's root, or a window's */
	if (inode->i_sb->s_type == &vmademo_private_fs_type)
		atomic_dec(&private_stores);
	if (buf->store->close)
		buf->store->close(buf);
	if (buf->tree)
		vmademo_stats_keep(buf);
	vmademo_rules_free(buf->rules);
	kfree(buf->latency);
	kmem_cache_free(vmademo_buffer_cache, buf);
}

/**
 * vmademo_put_work() - gives back references to a buffer
 * @work: the buffer's put_work
 *
 * Context: A worker.
 */
void vmademo_put_work(struct work_struct *work)
{
	struct vmademo_buffer *buf = container_of(work, struct vmademo_buffer,
						  put_work);
	int n = atomic_xchg(&buf->puts, 0);
	struct inode *inode = buf->inode;
	struct vfsmount *mnt = buf->mnt;

	/* The last one frees the buffer */
	for (; n; n--) {
		iput(inode);
		mntput(mnt);
	}
}

/*
 * A thread of the kernel closes files for everybody: sockets' garbage, what was
 * closed in an interrupt.  It may not wait until a store has taken what is dirty.
 */
static void vmademo_d_iput(struct dentry *dentry, struct inode *inode)
{
	struct vmademo_buffer *buf = inode->i_private;

	if (!buf || !buf->store->blocks || !(current->flags & PF_KTHREAD)) {
		iput(inode);
		return;
	}
	mntget(buf->mnt);
	atomic_inc(&buf->puts);
	queue_work(put_queue, &buf->put_work);
}

/*
 * What /proc/PID/maps and readlink of /proc/PID/fd/N show.  It is no path, so that no
 * program takes it for one and opens a real file of that name.
 */
static char *vmademo_d_dname(struct dentry *dentry, char *buffer, int buflen)
{
	char name[40];
	int len = snprintf(name, sizeof(name), "vmademo:[%llu]",
			   (unsigned long long)d_inode(dentry)->i_ino) + 1;

	if (buflen < len)
		return ERR_PTR(-ENAMETOOLONG);
	return memcpy(buffer + buflen - len, name, len);
}

/*
 * An open file's f_op->owner is not enough to hold the module: it is given back before
 * the file's dentry, and a descriptor opened with O_PATH has none.
 */
static int vmademo_d_init(struct dentry *dentry)
{
	__module_get(THIS_MODULE);	/* the caller of ioctl() holds it too */
	return 0;
}

static void vmademo_d_release(struct dentry *dentry)
{
	module_put(THIS_MODULE);
}

static const struct dentry_operations vmademo_dentry_ops = {
	.d_init		= vmademo_d_init,
	.d_release	= vmademo_d_release,
	.d_iput		= vmademo_d_iput,
	.d_dname	= vmademo_d_dname,
};

static const struct dentry_operations vmademo_private_dentry_ops = {
	.d_iput		= vmademo_d_iput,
	.d_dname	= vmademo_d_dname,
};

/* The end of sync(2) and syncfs(2): what is dirty has been written to the store. */
static int vmademo_sync_fs(struct super_block *sb, int wait)
{
	struct vmademo_buffer *buf;
	struct inode *inode;
	bool waits = false;
	int err = 0;

	if (!wait)
		return 0;
	mutex_lock(&sync_lock);
	inode = sb->s_fs_info ? igrab(sb->s_fs_info) : NULL;
	/* Closed, and still being written to its file: see write_the_last() */
	if (sb->s_fs_info && !inode) {
		buf = ((struct inode *)sb->s_fs_info)->i_private;
		waits = buf->file && !buf->read_only;
		buf->sync_waits = waits;
	}
	mutex_unlock(&sync_lock);
	if (waits)
		wait_var_event(&sb->s_fs_info, !READ_ONCE(sb->s_fs_info));
	if (!inode)
		return 0;
	buf = inode->i_private;
	if (!buf->read_only)
		err = vmademo_store_flush(buf, false, i_size_read(buf->inode));
	iput(inode);
	return err;
}

static const struct super_operations vmademo_super_ops = {
	.statfs		= simple_statfs,
	.sync_fs	= vmademo_sync_fs,
	.drop_inode	= vmademo_drop_inode,
	.evict_inode	= vmademo_evict_inode,
};

static int init_context(struct fs_context *fc,
			const struct dentry_operations *dops)
{
	struct pseudo_fs_context *ctx = init_pseudo(fc, VMADEMO_MAGIC);

	if (!ctx)
		return -ENOMEM;
	ctx->ops = &vmademo_super_ops;
	ctx->dops = dops;
	return 0;
}

static int vmademo_init_fs_context(struct fs_context *fc)
{
	return init_context(fc, &vmademo_dentry_ops);
}

static int vmademo_private_init_fs_context(struct fs_context *fc)
{
	return init_context(fc, &vmademo_private_dentry_ops);
}

static struct file_system_type vmademo_fs_type = {
	.name			= "vmademo",
	.init_fs_context	= vmademo_init_fs_context,
	.kill_sb		= kill_anon_super,
};

static struct file_system_type vmademo_private_fs_type = {
	.name			= "vmademo",
	.owner			= THIS_MODULE,
	.init_fs_context	= vmademo_private_init_fs_context,
	.kill_sb		= kill_anon_super,
};

/*
 * A superblock, with a bdi: without one nothing here would be counted as dirty, and
 * no flusher would come.  There is no SB_I_CGROUPWB: all that is dirty belongs to the
 * root cgroup's write-back.
 */
static struct vfsmount *make_mount(struct file_system_type *type, bool shared)
{
	struct vfsmount *mnt = type->owner ?
		vfs_kern_mount(type, SB_KERNMOUNT, "vmademo", NULL) : kern_mount(type);
	struct super_block *sb;
	int err;

	if (IS_ERR(mnt))
		return mnt;
	sb = mnt->mnt_sb;
	sb->s_maxbytes = VMADEMO_MAX_SIZE;
	/* Older kernels let a pseudo file be run, newer ones do not */
	if (vmademo_exec)
		sb->s_iflags &= ~SB_I_NOEXEC;
	else
		sb->s_iflags |= SB_I_NOEXEC;
	err = shared ? super_setup_bdi_name(sb, "vmademo") :
		       super_setup_bdi_name(sb, "vmademo-%u", MINOR(sb->s_dev));
	if (err) {
		if (type->owner)
			mntput(mnt);
		else
			kern_unmount(mnt);
		return ERR_PTR(err);
	}
	return mnt;
}

/*
 * A close() may still be on its way from the dentry, which held the module, to the
 * mount: wait until it has let go of that, so that the unmount is complete afterwards.
 */
static void end_mount(struct vfsmount *mnt)
{
	mntget(mnt);		/* may_umount() expects two holders */
	while (!may_umount(mnt))
		msleep(20);
	mntput(mnt);
	kern_unmount(mnt);
}

/**
 * vmademo_super_init() - make what buffers live on
 *
 * Context: May sleep.
 * Return: 0, or a negative errno.
 */
int vmademo_super_init(void)
{
	int err = -ENOMEM;

	/* A buffer is a little larger than 1024 bytes, and kmalloc() would take 2048 */
	vmademo_buffer_cache = KMEM_CACHE(vmademo_buffer, SLAB_ACCOUNT);
	if (!vmademo_buffer_cache)
		return -ENOMEM;
	put_queue = alloc_workqueue("vmademo", WQ_UNBOUND, 0);
	if (!put_queue)
		goto destroy_cache;
	/* Of buffers that have no queue of their own */
	vmademo_cut_queue = alloc_workqueue("vmademo-cut", WQ_UNBOUND, WQ_MAX_ACTIVE);
	if (!vmademo_cut_queue)
		goto destroy_put;
	shared_mnt = make_mount(&vmademo_fs_type, true);
	if (!IS_ERR(shared_mnt))
		return 0;
	err = PTR_ERR(shared_mnt);
	destroy_workqueue(vmademo_cut_queue);
destroy_put:
	destroy_workqueue(put_queue);
destroy_cache:
	kmem_cache_destroy(vmademo_buffer_cache);
	return err;
}

/**
 * vmademo_super_exit() - take it away; nobody may hold a buffer any more
 *
 * Context: May sleep.
 */
void vmademo_super_exit(void)
{
	destroy_workqueue(put_queue);
	destroy_workqueue(vmademo_cut_queue);
	end_mount(shared_mnt);
	kmem_cache_destroy(vmademo_buffer_cache);
}

/**
 * vmademo_inode_create() - a new inode of one of our superblocks, with nothing behind it
 * @mnt: the mount; NULL for the shared one
 *
 * Context: May sleep.
 * Return: the inode, to be given back with iput(), or NULL.
 */
struct inode *vmademo_inode_create(struct vfsmount *mnt)
{
	struct inode *inode = new_inode((mnt ?: shared_mnt)->mnt_sb);

	if (inode) {
		inode->i_ino = get_next_ino();
		inode->i_mode = S_IFREG | 0600;
	}
	return inode;
}

/* ---- which buffer gets which --------------------------------------------- */

/**
 * vmademo_mount_get() - where a new buffer is to live
 * @store: what will stand behind it
 * @for_node: it is to be a node's
 *
 * Context: May sleep.
 * Return: the mount, to be given back with vmademo_mount_put(); or an ERR_PTR: -ENFILE if
 *         there are too many private ones.
 */
struct vfsmount *vmademo_mount_get(const struct vmademo_store_ops *store,
				   bool for_node)
{
	struct vfsmount *mnt;

	if (!store->read)
		return mntget(shared_mnt);
	if (for_node)
		return make_mount(&vmademo_fs_type, false);
	if (atomic_inc_return(&private_stores) > vmademo_max_stores)
		mnt = ERR_PTR(-ENFILE);
	else
		mnt = make_mount(&vmademo_private_fs_type, false);
	if (IS_ERR(mnt))
		atomic_dec(&private_stores);
	return mnt;
}

/**
 * vmademo_mount_put() - give a mount back: no buffer came to live there, or the node's did
 * @mnt: the mount
 * @for_node: it was for a node's
 *
 * Context: May sleep.
 */
void vmademo_mount_put(struct vfsmount *mnt, bool for_node)
{
	if (mnt->mnt_sb->s_type == &vmademo_private_fs_type)
		atomic_dec(&private_stores);
	if (for_node && mnt != shared_mnt)
		end_mount(mnt);
	else
		mntput(mnt);
}

