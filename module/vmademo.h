/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the module share: the buffer, its counters, and the
 * functions one file calls of another.  Calls run one way, but for tables of
 * operations, which are named where they are installed:
 *
 *   main -> phys/, node -> ioctl -> view, snapshot -> crash -> shape -> buffer -> super
 *        -> writeback, allocate -> fill -> folio -> store/
 *   ioctl, view, fault -> revocation; ioctl -> power -> crash; shape, snapshot, crash -> power,
 *        if they meet a cut that is not done yet
 *   tree/: mount -> names -> inodes -> attributes, log; undo -> log; inodes -> buffer; and to log,
 *        whose fsync is to make names durable, and where room is missing: writeback, store/ram
 *   phys/: phys -> claim -> pci, reserved; phys -> map, revoke -> io
 *   fault, phys/map -> ahead; all of them -> stats, rules (rules.h)
 *
 * Lock order, over all files (a lock is taken before those below it):
 *
 *   rules->lock                       making and deleting rules; the folio lock is taken
 *                                     below it, and by that of a tree the locks of its files
 *   vmademo_power_lock (power.c)      a spinlock, taken under any of those below
 *   inode->i_rwsem                    write(2), power cuts, and what changes the size
 *     buf->shape_lock                 shared: starting write-back;
 *                                     exclusive: resize, punch, allocate, power cuts
 *     buf->store_gate                 shared: while something is written to the store, also
 *                                     under shape_lock and the folio lock; exclusive: taking
 *                                     a snapshot, see there how it locks folios
 *     mm->mmap_lock or the VMA lock   held by the kernel around vm_operations
 *       mapping->invalidate_lock      shared: adding a folio to the page cache,
 *                                     taking room in a store;
 *                                     exclusive: resize, punch, allocate, power cuts
 *         folio lock
 *           mapping->i_mmap_rwsem     unmapping and cleaning, by the kernel; resize
 *                                     and punch take it without a folio lock too
 *           page table lock           held by the kernel around .dirty_folio
 *           old_lock                  of store ram, if there is no room; below it, locks are
 *                                     tried only (store/ram_size.c)
 *           logs_lock, log->lock      what is not durable of the names of a tree
 *
 * A store that is a file takes the locks of that file's file system, among them i_rwsem,
 * under which that file system may take the mmap lock: in a worker to be read and written
 * (store/file.c), otherwise in the caller, below the invalidate lock (see shape.c).
 * While that file system is being frozen, who waits for it can be killed
 * (store/backing.c).  A task that waits for the worker may hold any lock but the last two.
 * The end of write-back, in another worker, takes none of a buffer's locks but store_gate and
 * rest_lock.
 */
#ifndef VMADEMO_H
#define VMADEMO_H

#include <linux/atomic.h>
#include <linux/cache.h>
#include <linux/errseq.h>
#include <linux/fs.h>
#include <linux/jump_label.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/magic.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/smp.h>
#include <linux/vmademo.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "counters.h"

#define VMADEMO_MAGIC		0x564d4144	/* "VMAD", of all its superblocks */

/* The largest size of a buffer, in bytes: whole pages, so that rounding cannot wrap. */
#define VMADEMO_MAX_SIZE	round_down(MAX_LFS_FILESIZE, (loff_t)PAGE_SIZE)

#define VMADEMO_EVENT(NAME, name)	VMADEMO_##NAME,
#define VMADEMO_FOLIOS(NAME, name)	VMADEMO_##NAME, VMADEMO_##NAME##_BYTES,

enum vmademo_counter {
	VMADEMO_COUNTERS(VMADEMO_EVENT, VMADEMO_FOLIOS)
	VMADEMO_NR_COUNTERS
};

/*
 * Of the first counters there are a few copies, so that processors that fault at once seldom
 * share a cache line.  Not one for each processor, and not of all: a buffer must be cheap to make.
 */
#define VMADEMO_NR_OFTEN	(VMADEMO_EVICTED_BYTES + 1)
#define VMADEMO_STRIPES		4

struct vmademo_counters {
	atomic64_t count[VMADEMO_NR_OFTEN];
} ____cacheline_aligned_in_smp;

struct vmademo_name_op;
struct vmademo_rules;
struct vmademo_store_ops;

/**
 * struct vmademo_tree - a mounted tree of buffers (tree/)
 * @store: what stands behind each of its files
 * @order: the logarithm of how many pages a folio of theirs has at most
 * @limit: pages that its files may take; can be changed by a remount
 * @used: pages that they take, of store none or held by store ram
 * @inodes: how many there are: files, directories, links and the root; and further names of
 *          files (hard links)
 * @rules: faults on demand in all of its files; NULL until the first one (rules.h)
 * @buffers: its files, oldest first; this and what follows under vmademo_power_lock (power.c)
 * @made: how many there have been
 * @power: as that of its buffers: VMADEMO_POWERLESS and its like; 0: the power is on
 * @due: of how many of them the cut is not done yet
 * @cut: what came of the last cut, all together
 * @cuts: how many there were
 * @lost_names: of the last one, operations of @log; until the next cut
 * @names_ask: what is asked of a cut for the names
 * @names_due: they are to be cut when all files are
 * @names_until: the number of the last operation of @log before that
 * @names_durable: with names=ordered: the operations of @log up to this number are durable
 * @names_cut: takes names back that a cut loses
 * @log: what of the names is not durable; NULL if all of it always is (tree/log.c)
 * @past: the counters of files that are gone; under past_lock (stats.c)
 * @debugfs: its directory there (tree/account.c)
 */
struct vmademo_tree {
	const struct vmademo_store_ops *store;
	unsigned int order;
	unsigned long limit;
	atomic_long_t used;
	atomic_long_t inodes;
	struct vmademo_rules *rules;
	struct list_head buffers;
	u64 made;
	u8 power;
	unsigned int due;
	struct vmademo_crash cut;
	u64 cuts;
	u64 lost_names;
	struct vmademo_crash names_ask;
	bool names_due;
	u64 names_until;
	u64 names_durable;
	struct work_struct names_cut;
	struct vmademo_log *log;
	struct vmademo_stats past;
	struct dentry *debugfs;
};

/**
 * struct vmademo_buffer - the memory behind the node, or behind regular files
 * @inode: owns the buffer: its i_mapping holds the folios, its i_size the
 *         size in bytes, its i_private points here
 * @mnt: the mount that files of the view are opened on; NULL in a tree
 * @tree: the mounted tree that it is a file of, or NULL
 * @in_tree: of that tree's buffers
 * @nth: of all that have been made there, the first is 0
 * @store: what stands behind the page cache
 * @read_only: the store cannot be written to, so the buffer cannot either
 * @fixed_size: nor can its size be changed: a block device, or read only
 * @revoked: nobody may have its bytes.  Changed under i_rwsem; asked in a fault under the
 *           folio lock or RCU, see revocation.c
 * @order: the logarithm of how many pages a folio has at most that is made for it
 * @has_cut_folio: a part of a large folio went, and the kernel may have been unable to split
 *                 it: so though it is dirty, the store may have no room for that part
 * @crashing: a power cut is being simulated: what goes while dirty is lost, not
 *            discarded.  Under i_rwsem and the invalidate lock
 * @read_failed: the store has failed to read something
 * @cuts: twice the power cuts so far; odd during one
 * @times_set: in jiffies, when a mapping last set the times of the inode
 * @power: VMADEMO_POWERLESS and its like; 0: the power is on.  Under vmademo_power_lock (power.c)
 * @cut: of the last time that the power went: what is asked of the cut, and what came of it
 * @cut_work: does that cut
 * @last_crash_lost_folios: what the last one lost; under i_rwsem
 * @last_crash_lost_bytes: the same in bytes
 * @reshaper: whoever holds @shape_lock and the invalidate lock for writing; the kernel may split
 *            large folios for it
 * @shape_lock: held for reading while write-back starts, for writing while the store's
 *              size, holes or allocation change
 * @store_gate: held for reading while something is written to the store, for writing while a
 *              snapshot is taken
 * @write_work: ends write-back, where the store may block
 * @redirtied: changes when a folio is dirty again because it could not be written
 * @strict: its bdi has a strict limit for the time being
 * @puts: references that @put_work gives back
 * @put_work: for threads of the kernel that may not wait for the store
 * @ram: of store ram: its pages
 * @old_pages: of store ram: what comes back if a power cut undoes that the buffer was made
 *             smaller (store/ram_size.c)
 * @old: of those that have or had such pages
 * @ram_pages: of store ram: how many, with the old ones
 * @size_kept: so many bytes a power cut leaves in any case, or VMADEMO_SIZE_DURABLE: all
 * @size_durable: so many bytes there are after it; at least @size_kept
 * @size_op: in a tree with names=ordered: the number of the operation of its log that has set the
 *           size, and was not durable when it was last looked at; 0: there is none
 * @size_of_op: the size since then
 * @file: of store file: the backing file
 * @file_told: of what its own write-back has lost, so much is recorded.  Under i_lock
 * @file_lost: it has not taken what was written back
 * @sync_waits: a sync(2) waits until what is written at the end is durable (super.c)
 * @memcg: of store file: the memory cgroup that pays for what the workers allocate
 * @file_end: of store file: from here on the backing file's bytes are not the buffer's,
 *            which reads as zeroes; LLONG_MAX if all are.  Changed under @rest_lock
 * @file_was: of store file: how long it was before it was made longer for a write
 * @rest_lock: of store file: held while the backing file's size is changed
 * @reads: of store file: the queue for reading, and of @cut_work
 * @writes: of store file: the queue of @write_work
 * @stores: of store file: all of them
 * @all: in debugfs.c: all buffers
 * @debugfs: its directory there; NULL if it has none yet
 * @latency: how long things took, see latency.c; NULL until something is noted
 * @rules: faults on demand; NULL until the first one (rules.h)
 * @seldom: the other counters
 * @often: the first counters, see above
 */
struct vmademo_buffer {
	struct inode *inode;
	struct vfsmount *mnt;
	struct vmademo_tree *tree;
	struct list_head in_tree;
	u64 nth;
	const struct vmademo_store_ops *store;
	bool read_only;
	bool fixed_size;
	bool revoked;
	bool has_cut_folio;
	bool crashing;
	bool read_failed;
	u8 order;
	u8 power;
	unsigned int cuts;
	unsigned long times_set;
	u64 last_crash_lost_folios;
	u64 last_crash_lost_bytes;
	struct vmademo_crash cut;
	struct work_struct cut_work;
	struct task_struct *reshaper;
	struct rw_semaphore shape_lock;
	struct rw_semaphore store_gate;
	struct work_struct write_work;
	unsigned int redirtied;
	bool strict;
	atomic_t puts;
	struct work_struct put_work;
	struct xarray ram;
	struct xarray old_pages;
	struct list_head old;
	atomic_long_t ram_pages;
	loff_t size_kept;
	loff_t size_durable;
	u64 size_op;
	loff_t size_of_op;
	struct file *file;
	struct mem_cgroup *memcg;
	errseq_t file_told;
	bool file_lost, sync_waits;
	loff_t file_end;
	loff_t file_was;
	struct mutex rest_lock;	/* see above */
	struct workqueue_struct *reads;
	struct workqueue_struct *writes;
	struct list_head stores;
	struct list_head all;
	struct dentry *debugfs;
	struct vmademo_latency *latency;
	struct vmademo_rules *rules;
	atomic64_t seldom[VMADEMO_NR_COUNTERS - VMADEMO_NR_OFTEN];
	struct vmademo_counters often[VMADEMO_STRIPES];
};

/**
 * struct vmademo_target - what has a power and rules of its own: a buffer, or a mounted tree
 * @buf: the buffer; NULL if it is a tree
 * @tree: the tree; NULL if it is a buffer
 */
struct vmademo_target {
	struct vmademo_buffer *buf;
	struct vmademo_tree *tree;
};

/**
 * struct vmademo_node - a character device that shows a buffer
 * @misc: the device; its name is the node's under /dev
 * @buf: the buffer behind it, from before misc_register() until after
 *       misc_deregister()
 */
struct vmademo_node {
	struct miscdevice misc;
	struct vmademo_buffer *buf;
};

static inline struct vmademo_buffer *
vmademo_buffer_of(const struct address_space *mapping)
{
	return mapping->host->i_private;
}

/* Is this the inode of a buffer?  Of any superblock of ours. */
static inline bool vmademo_is_buffer(const struct inode *inode)
{
	return inode->i_sb->s_magic == VMADEMO_MAGIC;
}

/* Is there a folio, up to date or not?  It may be gone when this returns. */
static inline bool vmademo_is_cached(struct address_space *mapping, pgoff_t index)
{
	void *entry = xa_load(&mapping->i_pages, index);

	return entry && !xa_is_value(entry);
}

/*
 * i_rwsem for writing.  Whoever holds it may wait for a store that stands still; so who waits for
 * it can be killed.  (The kernel's own inode_lock_killable() is younger.)
 */
static inline int vmademo_lock_inode(struct inode *inode)
{
	return down_write_killable(&inode->i_rwsem);
}

/* ---- counting ------------------------------------------------------------ */

static inline void vmademo_count_by(struct vmademo_buffer *buf,
				    enum vmademo_counter counter, u64 by)
{
	atomic64_t *count;

	if (counter < VMADEMO_NR_OFTEN)
		count = &buf->often[raw_smp_processor_id() % VMADEMO_STRIPES].count[counter];
	else
		count = &buf->seldom[counter - VMADEMO_NR_OFTEN];
	atomic64_add(by, count);
}

static inline void vmademo_count(struct vmademo_buffer *buf,
				 enum vmademo_counter counter)
{
	vmademo_count_by(buf, counter, 1);
}

/* One event of a folio: it is counted, and so are its bytes. */
static inline void vmademo_count_folio(struct vmademo_buffer *buf,
				       enum vmademo_counter counter,
				       const struct folio *folio)
{
	vmademo_count(buf, counter);
	vmademo_count_by(buf, counter + 1, folio_size((struct folio *)folio));
}

/* ---- how long it takes ---------------------------------------------------- */

enum vmademo_latency_kind {
	VMADEMO_LATENCY_FAULT,
	VMADEMO_LATENCY_MKWRITE,
	VMADEMO_LATENCY_READ_IN,
	VMADEMO_LATENCY_WRITE_OUT,
	VMADEMO_LATENCY_FLUSH,
	VMADEMO_NR_LATENCIES
};

/* latency.c */
DECLARE_STATIC_KEY_FALSE(vmademo_latency_on);
void vmademo_latency_add(struct vmademo_buffer *buf, enum vmademo_latency_kind kind, u64 ns);

/* The time, if somebody wants to know how long this takes: whoever traces, or the histograms. */
static inline u64 vmademo_begin(bool traced)
{
	return traced || static_branch_unlikely(&vmademo_latency_on) ? ktime_get_ns() : 0;
}

/* How long it took since then, in nanoseconds; 0 if nobody wants to know. */
static inline u64 vmademo_took(struct vmademo_buffer *buf, enum vmademo_latency_kind kind,
			       u64 begin)
{
	u64 ns;

	if (likely(!begin))
		return 0;
	ns = ktime_get_ns() - begin;
	if (static_branch_unlikely(&vmademo_latency_on))
		vmademo_latency_add(buf, kind, ns);
	return ns;
}

/* ---- the size after a power cut ------------------------------------------ */

/* For size_kept: any size is durable at once.  So it is but with store ram. */
#define VMADEMO_SIZE_DURABLE	LLONG_MAX

/* Whether a power cut may change the size. */
static inline bool vmademo_size_is_pending(const struct vmademo_buffer *buf)
{
	loff_t kept = READ_ONCE(buf->size_kept);

	return kept != VMADEMO_SIZE_DURABLE &&
	       (kept != i_size_read(buf->inode) || kept != READ_ONCE(buf->size_durable));
}

/* ---- taken away ---------------------------------------------------------- */

/* Some buffer has been revoked since the module was loaded. */
DECLARE_STATIC_KEY_FALSE(vmademo_revocable);

/* For faults: costs nothing before the first revocation. */
static inline bool vmademo_fault_revoked(const struct vmademo_buffer *buf)
{
	return static_branch_unlikely(&vmademo_revocable) && READ_ONCE(buf->revoked);
}

/* ---- large folios -------------------------------------------------------- */

/*
 * What MADV_HUGEPAGE asks for, and the next smaller one that is tried: 64 KiB.  The first is
 * what one entry can map.  Comments call it 2 MiB, which it is with pages of 4 KiB; with pages
 * of 16 KiB it is 32 MiB.
 */
#ifdef CONFIG_TRANSPARENT_HUGEPAGE
#define VMADEMO_MAX_ORDER	HPAGE_PMD_ORDER
#else
#define VMADEMO_MAX_ORDER	0
#endif
#define VMADEMO_SMALLER_ORDER	max(16 - PAGE_SHIFT, 0)

/* ---- room: memory that no reclaim gets back ------------------------------ */

/* In pages, of all buffers: pages of store none, and those that store ram holds. */
extern atomic_long_t vmademo_room_used;
extern unsigned long vmademo_room_limit;

/* A tree has been mounted since the module was loaded (tree/mount.c). */
DECLARE_STATIC_KEY_FALSE(vmademo_trees);

/* What a tree has room for itself.  Costs nothing before the first mount. */
static inline int vmademo_tree_take(struct vmademo_buffer *buf, unsigned long pages)
{
	struct vmademo_tree *tree;

	if (!static_branch_unlikely(&vmademo_trees) || !buf->tree)
		return 0;
	tree = buf->tree;
	if (pages > 1 && atomic_long_read(&tree->used) + (long)pages > READ_ONCE(tree->limit))
		return -ENOSPC;
	if (atomic_long_add_return(pages, &tree->used) <= READ_ONCE(tree->limit))
		return 0;
	atomic_long_sub(pages, &tree->used);
	return -ENOSPC;
}

static inline void vmademo_tree_give_back(struct vmademo_buffer *buf, unsigned long pages)
{
	if (static_branch_unlikely(&vmademo_trees) && buf->tree)
		atomic_long_sub(pages, &buf->tree->used);
}

/* How often room is made for one page, or one inode, before it is said that there is none. */
#define VMADEMO_ROOM_TRIES	100

/* Of both; what is taken is given back by both of the functions that do so. */
static inline int vmademo_room_take(struct vmademo_buffer *buf, unsigned long pages)
{
	/* To whoever needs a page meanwhile, there must not seem to be no room */
	if (pages > 1 &&
	    atomic_long_read(&vmademo_room_used) + (long)pages > (long)vmademo_room_limit)
		return -ENOSPC;
	if (vmademo_tree_take(buf, pages))
		return -ENOSPC;
	if (likely(atomic_long_add_return(pages, &vmademo_room_used) <=
		   vmademo_room_limit))
		return 0;
	atomic_long_sub(pages, &vmademo_room_used);
	vmademo_tree_give_back(buf, pages);
	return -ENOSPC;
}

static inline bool vmademo_room_is_used_up(void)
{
	return atomic_long_read(&vmademo_room_used) >= (long)vmademo_room_limit;
}

static inline bool vmademo_tree_is_full(const struct vmademo_tree *tree)
{
	return tree && atomic_long_read(&tree->used) >= READ_ONCE(tree->limit);
}

static inline void vmademo_room_give_back(unsigned long pages)
{
	atomic_long_sub(pages, &vmademo_room_used);
}

/* stats.c */
struct seq_file;
extern const struct attribute_group *vmademo_stats_groups[];
u64 vmademo_cached_bytes(const struct vmademo_buffer *buf);
u64 vmademo_dirty_bytes(const struct vmademo_buffer *buf);
u64 vmademo_counter_sum(const struct vmademo_buffer *buf,
			enum vmademo_counter counter);
long vmademo_mappings(const struct vmademo_buffer *buf);
void vmademo_show_fdinfo(struct seq_file *m, struct file *file);
void vmademo_stats_fill(const struct vmademo_buffer *buf, struct vmademo_stats *stats);
void vmademo_stats_keep(const struct vmademo_buffer *buf);
void vmademo_stats_name_hit(struct vmademo_tree *tree);
void vmademo_stats_of_tree(struct vmademo_tree *tree, struct vmademo_stats *stats);

/* pages.c */
int vmademo_pages(struct vmademo_buffer *buf, pgoff_t first, u64 *count, u8 __user *to);

/* latency.c */
void vmademo_latency_show(struct seq_file *m, const struct vmademo_buffer *buf);
void vmademo_latency_clear(struct vmademo_buffer *buf);
void vmademo_latency_switch(bool on);

/* debugfs.c */
void vmademo_debugfs_make_dir(struct vmademo_buffer *buf);
void vmademo_debugfs_add(struct vmademo_buffer *buf, bool for_node);
void vmademo_debugfs_remove(struct vmademo_buffer *buf);
struct dentry *vmademo_debugfs_make(const char *name);
void vmademo_debugfs_init(void);
void vmademo_debugfs_exit(void);

/* main.c */
extern bool vmademo_ready;

/* parse.c */
int vmademo_parse_bytes(const char *text, u64 *bytes);

/* super.c */
extern struct kmem_cache *vmademo_buffer_cache;
extern bool vmademo_exec;
extern struct workqueue_struct *vmademo_cut_queue;
extern unsigned int vmademo_max_stores;
int vmademo_super_init(void);
void vmademo_super_exit(void);
struct inode *vmademo_inode_create(struct vfsmount *mnt);
void vmademo_evict_inode(struct inode *inode);
struct vfsmount *vmademo_mount_get(const struct vmademo_store_ops *store,
				   bool for_node);
void vmademo_mount_put(struct vfsmount *mnt, bool for_node);
void vmademo_put_work(struct work_struct *work);

/* buffer.c */
extern unsigned int vmademo_default_order;
int vmademo_parse_order(u64 bytes, unsigned int *order);
struct vmademo_buffer *
vmademo_buffer_create(loff_t size, const struct vmademo_store_ops *store,
		      struct file *file, unsigned int order, bool for_node);
void vmademo_buffer_give(struct vmademo_buffer *buf);
int vmademo_buffer_in_tree(struct inode *inode, struct vmademo_tree *tree);
void vmademo_buffer_get(struct vmademo_buffer *buf);
void vmademo_buffer_put(struct vmademo_buffer *buf);
void vmademo_buffer_end(struct vmademo_buffer *buf);

/* shape.c */
int vmademo_lock_shape(struct vmademo_buffer *buf, loff_t start, loff_t last);
void vmademo_unlock_shape(struct vmademo_buffer *buf);
int vmademo_grow(struct vmademo_buffer *buf, loff_t end);
void vmademo_drop_beyond(struct vmademo_buffer *buf, loff_t end);
int vmademo_resize(struct vmademo_buffer *buf, loff_t size);
int vmademo_extend(struct vmademo_buffer *buf, loff_t size, unsigned int cuts);
int vmademo_truncate(struct vmademo_buffer *buf, loff_t size);
int vmademo_punch(struct vmademo_buffer *buf, loff_t start, loff_t end);
int vmademo_zero_range(struct vmademo_buffer *buf, loff_t start, loff_t end);
int vmademo_allocate(struct vmademo_buffer *buf, loff_t start, loff_t end);

/* allocate.c */
int vmademo_allocate_pages(struct vmademo_buffer *buf, loff_t start, loff_t end);

/* folio.c */
struct folio *vmademo_make_folio(struct address_space *mapping, pgoff_t index, gfp_t gfp,
				 unsigned int order);
bool vmademo_make_large(struct address_space *mapping, pgoff_t index, unsigned int order);
int vmademo_reserve(struct vmademo_buffer *buf, struct folio *folio, pgoff_t index,
		    unsigned long pages, gfp_t gfp);
int vmademo_keep_edge(struct vmademo_buffer *buf, loff_t edge);

/* fill.c */
int vmademo_fill(struct vmademo_buffer *buf, struct folio *folio);
int vmademo_read_folio(struct file *file, struct folio *folio);
void vmademo_readahead(struct readahead_control *rac);
int vmademo_write_begin(struct address_space *mapping, loff_t pos,
			unsigned int len, struct folio **foliop);
int vmademo_write_end(struct address_space *mapping, loff_t pos,
		      unsigned int len, unsigned int copied, struct folio *folio);
struct folio *vmademo_get_or_read(struct address_space *mapping, loff_t pos);
int vmademo_wait_stable(struct folio *folio);
int vmademo_zero_part(struct folio *folio, loff_t start, loff_t end, bool dirty);
int vmademo_zero_tail(struct inode *inode);
loff_t vmademo_seek(struct vmademo_buffer *buf, loff_t pos, int whence);

/* writeback.c */
struct writeback_control;
bool vmademo_dirty_folio(struct address_space *mapping, struct folio *folio);
int vmademo_writepages(struct address_space *mapping, struct writeback_control *wbc);
void vmademo_write_work(struct work_struct *work);
void vmademo_write_folio(struct folio *folio);
int vmademo_wait_writeback(struct vmademo_buffer *buf, loff_t start, loff_t last);
int vmademo_store_write(struct vmademo_buffer *buf, struct folio *folio,
			size_t offset, size_t len);
int vmademo_store_flush(struct vmademo_buffer *buf, bool datasync, loff_t size);
int vmademo_fsync(struct file *file, loff_t start, loff_t end, int datasync);

/* evict.c */
#define VMADEMO_GFP_OF_SPLIT	__GFP_NOWARN	/* of the mapping, with store none */
extern const struct address_space_operations vmademo_none_aops;
extern const struct address_space_operations vmademo_store_aops;

/* crash.c */
int vmademo_cut_write(struct vmademo_buffer *buf, struct vmademo_crash *crash);
void vmademo_lose_all(struct vmademo_buffer *buf);
int vmademo_cut_lose(struct vmademo_buffer *buf, struct vmademo_crash *crash);
int vmademo_crash(struct vmademo_buffer *buf, struct vmademo_crash *crash);

/* revocation.c */
int vmademo_revoke(struct vmademo_buffer *buf);
int vmademo_restore(struct vmademo_buffer *buf);
int vmademo_lock_data(struct vmademo_buffer *buf);

/* ahead.c */
/**
 * struct vmademo_span - what one fault maps
 * @first: the first page
 * @last: the last page
 * @order: the logarithm of how many pages there are, were it not for the ends
 * @likely: the last such fault found its page cached, and so may this one
 */
struct vmademo_span {
	pgoff_t first;
	pgoff_t last;
	unsigned int order;
	bool likely;
};

int vmademo_ahead_init(void);
void vmademo_span_all(struct vmademo_span *span, const struct vm_fault *vmf);
void vmademo_span_begin(struct vmademo_span *span, const struct vm_fault *vmf);
void vmademo_span_end(const struct vmademo_span *span, const struct vm_fault *vmf,
		      bool mapped);

/* fault_read.c */
vm_fault_t vmademo_fault_read(struct vm_fault *vmf, struct vmademo_buffer *buf);

/* fault.c */
unsigned int vmademo_fault_order(const struct vm_fault *vmf, const struct vmademo_buffer *buf);
extern const struct vm_operations_struct vmademo_vm_ops;

/* mmap.c */
struct vm_area_desc;
int vmademo_mmap(struct file *file, struct vm_area_struct *vma);
int vmademo_mmap_prepare(struct vm_area_desc *desc);

/* view.c */
extern const struct inode_operations vmademo_view_iops;
extern const struct file_operations *vmademo_view_fops;
ssize_t vmademo_read_iter(struct kiocb *iocb, struct iov_iter *to);
ssize_t vmademo_splice_read(struct file *file, loff_t *ppos,
			    struct pipe_inode_info *pipe, size_t len,
			    unsigned int flags);
ssize_t vmademo_write_within(struct kiocb *iocb, struct iov_iter *from);
void vmademo_view_init(bool legacy_mmap);
int vmademo_view_open(struct vmademo_buffer *buf, int fd, int flags);

/* ioctl.c */
bool vmademo_may_rule(const struct file *file);
long vmademo_view_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
long vmademo_dir_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
long vmademo_node_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

/* ioctl_power.c */
long vmademo_ioctl_snapshot(struct file *file, void __user *arg);
int vmademo_may_cut_tree(const struct file *file);
long vmademo_ioctl_crash(struct file *file, void __user *arg);
long vmademo_ioctl_power(struct file *file, void __user *arg);

/* tree/log.c */
int vmademo_log_fsync(struct vmademo_tree *tree, const struct dentry *dentry);
bool vmademo_log_make_room(const struct vmademo_tree *tree);
void vmademo_log_empty(struct vmademo_tree *tree);
unsigned int vmademo_log_pending(const struct vmademo_tree *tree);
int vmademo_log_size_let_cut(const struct vmademo_buffer *buf);
int vmademo_log_size_begin(struct vmademo_buffer *buf, struct vmademo_name_op **op);
void vmademo_log_size_end(struct vmademo_buffer *buf, struct vmademo_name_op *op, int err);
void vmademo_log_commit(struct vmademo_tree *tree);
u64 vmademo_log_newest(const struct vmademo_tree *tree);

/* tree/mount.c */
struct vmademo_tree *vmademo_tree_of_dir(const struct file *file);
int vmademo_tree_init(void);
void vmademo_tree_exit(void);

/* node.c */
int vmademo_node_register(loff_t size, const struct vmademo_store_ops *store,
			  struct file *file, bool legacy_mmap, bool prealloc);
void vmademo_node_unregister(void);

/* phys/phys.c */
int vmademo_phys_prepare(const char *list, const char *memtypes,
			 const char *way);
int vmademo_phys_register(bool legacy_mmap);
void vmademo_phys_unregister(void);

#endif /* VMADEMO_H */
