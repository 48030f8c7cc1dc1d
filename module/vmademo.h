/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the module share: the buffer, its account, and the
 * functions one file calls of another.  Calls run one way, but for tables of
 * operations, which are named where they are installed:
 *
 *   main -> phys -> phys/map, phys/claim, buffer
 *   main -> node -> ioctl -> view -> fault, crash, buffer -> writeback -> store/
 *   all of them -> stats
 *
 * Lock order, over all files (a lock is taken before those below it):
 *
 *   inode->i_rwsem                    write(2), power cuts, and what changes the size
 *     mm->mmap_lock or the VMA lock   held by the kernel around vm_operations
 *       sb_start_pagefault()          .page_mkwrite
 *       mapping->invalidate_lock      shared: adding a folio to the page cache;
 *                                     exclusive: resize, punch and power cuts
 *         folio lock
 *           mapping->i_mmap_rwsem     unmapping and cleaning, by the kernel; resize
 *                                     and punch take it without a folio lock too
 *           page table lock           held by the kernel around .dirty_folio
 *
 * A store that is a file takes the locks of that file's file system, in a worker; who
 * waits for that may hold any of the first four.
 */
#ifndef VMADEMO_H
#define VMADEMO_H

#include <linux/atomic.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/percpu.h>
#include <linux/xarray.h>

/* The per-CPU part of a buffer's account; shown under the same names. */
enum vmademo_stat {
	VMADEMO_READ_FAULTS,		/* .fault for a read */
	VMADEMO_WRITE_FAULTS,		/* .fault for a write, shared mapping */
	VMADEMO_COW_FAULTS,		/* .fault for a write, private mapping */
	VMADEMO_FAULT_AROUND,		/* .map_pages */
	VMADEMO_FAULT_AROUND_HITS,	/* ... that spared a .fault */
	VMADEMO_FIRST_WRITES,		/* .page_mkwrite that let the write go on */
	VMADEMO_DIRTIED_FOLIOS,		/* clean to dirty */
	VMADEMO_DIRTIED_BYTES,
	VMADEMO_WRITTEN_FOLIOS,		/* dirty to written back */
	VMADEMO_WRITTEN_BYTES,
	VMADEMO_LOST_FOLIOS,		/* dirty to gone: power cut, failed write */
	VMADEMO_LOST_BYTES,
	VMADEMO_DISCARDED_FOLIOS,	/* gone by truncation while dirty */
	VMADEMO_DISCARDED_BYTES,
	VMADEMO_READ_IN_FOLIOS,		/* filled from the store */
	VMADEMO_READ_IN_BYTES,
	VMADEMO_EVICTED_FOLIOS,		/* given to reclaim; the store has them */
	VMADEMO_EVICTED_BYTES,
	VMADEMO_READ_ERRORS,		/* folios that the store did not give */
	VMADEMO_WRITE_ERRORS,		/* folios that the store did not take */
	VMADEMO_FLUSHES,		/* of the store, with its metadata */
	VMADEMO_DATA_FLUSHES,		/* of its data only: fdatasync */
	VMADEMO_CRASHES,		/* simulated power cuts */
	VMADEMO_SIGBUS,			/* .fault that ended in SIGBUS */
	VMADEMO_NR_STATS
};

struct vmademo_store_ops;

struct vmademo_stats {
	u64 count[VMADEMO_NR_STATS];
};

/**
 * struct vmademo_buffer - the memory behind the node, or behind regular files
 * @inode: owns the buffer: its i_mapping holds the folios, its i_size the
 *         size in bytes, its i_private points here
 * @stats: the account, one copy a CPU so that counting shares no cache line
 * @mappings: VMAs that map the buffer now
 * @store: what stands behind the page cache
 * @read_only: the store cannot be written to, so the buffer cannot either
 * @fixed_size: nor can its size be changed: a block device, or read only
 * @crashing: a power cut is being simulated: what goes while dirty is lost, not
 *            discarded.  Under i_rwsem and the invalidate lock
 * @last_crash_lost_folios: what the last one lost; under i_rwsem
 * @last_crash_lost_bytes: the same in bytes
 * @ram: of the store ram: its pages
 * @file: of the store file: the file
 * @store_list: of the store file: all of them
 */
struct vmademo_buffer {
	struct inode *inode;
	struct vmademo_stats __percpu *stats;
	atomic_long_t mappings;
	const struct vmademo_store_ops *store;
	bool read_only;
	bool fixed_size;
	bool crashing;
	u64 last_crash_lost_folios;
	u64 last_crash_lost_bytes;
	struct xarray ram;
	struct file *file;
	struct list_head store_list;
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

/* stats.c */
struct seq_file;
extern const struct attribute_group *vmademo_stats_groups[];
u64 vmademo_cached_bytes(const struct vmademo_buffer *buf);
u64 vmademo_dirty_bytes(const struct vmademo_buffer *buf);
u64 vmademo_stat_sum(const struct vmademo_buffer *buf, enum vmademo_stat stat);
void vmademo_show_fdinfo(struct seq_file *m, struct file *file);

static inline void vmademo_count(struct vmademo_buffer *buf,
				 enum vmademo_stat stat)
{
	this_cpu_inc(buf->stats->count[stat]);
}

static inline void vmademo_count_by(struct vmademo_buffer *buf,
				    enum vmademo_stat stat, u64 by)
{
	this_cpu_add(buf->stats->count[stat], by);
}

/* main.c */
extern bool vmademo_ready;

/* parse.c */
int vmademo_parse_bytes(const char *text, u64 *bytes);

/* buffer.c */
int vmademo_buffers_init(void);
void vmademo_buffers_exit(void);
struct inode *vmademo_inode_create(void);
struct vmademo_buffer *
vmademo_buffer_create(loff_t size, const struct vmademo_store_ops *store,
		      struct file *file);
bool vmademo_is_buffer(const struct inode *inode);
void vmademo_buffer_get(struct vmademo_buffer *buf);
void vmademo_buffer_put(struct vmademo_buffer *buf);
struct file *vmademo_buffer_alloc_file(struct vmademo_buffer *buf, int flags);
int vmademo_buffer_resize(struct vmademo_buffer *buf, loff_t size);
int vmademo_buffer_punch(struct vmademo_buffer *buf, loff_t start, loff_t end);

/* writeback.c */
extern const struct address_space_operations vmademo_aops;
int vmademo_populate(struct address_space *mapping, pgoff_t index, gfp_t gfp);
int vmademo_read_in(struct address_space *mapping, loff_t pos);
int vmademo_zero_part(struct address_space *mapping, loff_t start, loff_t end);
void vmademo_zero_tail(struct inode *inode);
int vmademo_write_folio(struct folio *folio);
int vmademo_flush(struct vmademo_buffer *buf, bool datasync);
int vmademo_fsync(struct file *file, loff_t start, loff_t end, int datasync);

/* crash.c */
struct vmademo_crash;
int vmademo_crash(struct vmademo_buffer *buf, struct vmademo_crash *crash);

/* fault.c */
struct vm_area_desc;
int vmademo_mmap(struct file *file, struct vm_area_struct *vma);
int vmademo_mmap_prepare(struct vm_area_desc *desc);

/* view.c */
extern const struct inode_operations vmademo_file_iops;
extern struct file_operations vmademo_file_fops;
ssize_t vmademo_read_iter(struct kiocb *iocb, struct iov_iter *to);
ssize_t vmademo_splice_read(struct file *file, loff_t *ppos,
			    struct pipe_inode_info *pipe, size_t len,
			    unsigned int flags);
ssize_t vmademo_write_within(struct kiocb *iocb, struct iov_iter *from);
void vmademo_file_init(bool legacy_mmap);
int vmademo_file_open(struct vmademo_buffer *buf, int flags);

/* ioctl.c */
long vmademo_file_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
long vmademo_node_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

/* node.c */
int vmademo_node_register(loff_t size, const struct vmademo_store_ops *store,
			  struct file *file, bool legacy_mmap);
void vmademo_node_unregister(void);

/* phys/phys.c */
int vmademo_phys_prepare(const char *list, const char *memtypes,
			 const char *way);
int vmademo_phys_register(bool legacy_mmap);
void vmademo_phys_unregister(void);

#endif /* VMADEMO_H */
