/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * What programs ask of vmademo by ioctl.
 *
 * There are three kinds of file: the node, /dev/vmademo; the regular files that
 * VMADEMO_IOC_CREATE and VMADEMO_IOC_OPEN_FILE return; and the nodes of physical
 * windows, /dev/vmademo-physN.  "Both" below means the first two.  A regular file shows a
 * buffer in the way in which a file of a file system shows its data: fstat,
 * ftruncate, fallocate and whatever else asks for a regular file work on it.  The regular
 * files of a mounted tree (mount -t vmademo) are of the second kind, too.  Its directories know
 * VMADEMO_IOC_CRASH, _POWER, _RULE_ADD, _RULE_DEL, _RULE_LIST, _INFO and _STATS, for all regular
 * files of the tree together; other files of it know none of these requests.
 *
 * Rules for all requests.  Sizes, offsets and lengths are in bytes.  All fields
 * have the same place and width in programs of 32 and of 64 bits.  Reserved
 * fields must be 0.  A request that fails has changed nothing, with two exceptions.  If the
 * device of a backing file fails while a range is being zeroed, or the caller is killed, a part
 * of the range may be zero in the file.  And if the caller of VMADEMO_IOC_POWER, or of
 * VMADEMO_IOC_CRASH on a tree, is killed, the power may have been switched or cut.
 *
 *   EFAULT   the argument points to no memory of the caller
 *   EINVAL   a flag or a store that is not known, a reserved field that is not 0,
 *            or what the request below says
 *   ENODEV   the buffer is revoked: see VMADEMO_IOC_REVOKE; of VMADEMO_IOC_RESIZE, _DISCARD
 *            and _SNAPSHOT only
 *   ENOTTY   no such request on this kind of file
 *
 * The number 0xBE is not in the kernel's list of ioctl numbers.
 */
#ifndef _UAPI_LINUX_VMADEMO_H
#define _UAPI_LINUX_VMADEMO_H

#include <linux/ioctl.h>
#include <linux/types.h>

/*
 * The largest size of a buffer ends with the last whole page of the largest file: with
 * pages of 4 KiB, 2^63 - 4096 bytes on 64 bits.
 *
 * Memory that cannot be reclaimed has a limit for all buffers together, the module's
 * parameter ram_limit: the pages of store none, and those that store ram holds.  Beyond it
 * write(2), read(2) of a hole of store none and fallocate(2) are ENOSPC, and touching a
 * mapping raises SIGBUS.  What store ram holds is charged to the memory cgroup of the
 * task that makes the page dirty.  A mounted tree has a limit of its own beside it, its mount
 * option size=.
 */

/* For flags: the new descriptor is closed by execve(2). */
#define VMADEMO_FD_CLOEXEC	0x1U

/*
 * For flags: with VMADEMO_STORE_RAM, a new size is durable at once.  Without it, it is so when
 * the buffer has been flushed (fsync and its like), or when data that lies there has been written
 * to the store; until then, a power cut can undo it: a buffer that was made smaller is as large
 * as before, with what was there; one that was made larger is not.  What was cut off keeps its
 * room until then, unless a write needs that room.
 */
#define VMADEMO_CREATE_DURABLE_SIZE	0x2U

/* For store: what stands behind the page cache. */
#define VMADEMO_STORE_NONE	0U	/* nothing: it is the only copy */
#define VMADEMO_STORE_RAM	1U	/* pages that the kernel holds */
#define VMADEMO_STORE_FILE	2U	/* a regular file or a block device */

/**
 * struct vmademo_create - for VMADEMO_IOC_CREATE
 * @size: in: bytes; need be no multiple of a page, and may be 0.  With
 *        VMADEMO_STORE_FILE, 0 is the size of the file; more than it has makes it
 *        longer, if it is a regular file and open for writing; less is the
 *        beginning of it, until the size is changed: then the file gets that size
 * @flags: in: VMADEMO_FD_CLOEXEC, VMADEMO_CREATE_DURABLE_SIZE, or 0
 * @store: in: VMADEMO_STORE_...
 * @store_fd: in: with VMADEMO_STORE_FILE a descriptor of the file, open for reading, or
 *            for reading and writing; it may be closed afterwards.  Otherwise 0
 * @folio_size: in: bytes that a folio has at most, a power of two from one page to what one
 *              page table maps (2 MiB with pages of 4 KiB, 32 MiB with 16 KiB); 0 for the
 *              module's parameter folio_size.  Memory is allocated, and pages are dirty,
 *              written back and evicted by folios.  They are smaller where they would reach
 *              beyond the end or would not be aligned, where something is cached already, and
 *              if there is no memory or no room
 * @reserved: in: 0
 */
struct vmademo_create {
	__u64 size;
	__u32 flags;
	__u32 store;
	__s32 store_fd;
	__u32 folio_size;
	__u64 reserved[5];
};

/**
 * struct vmademo_open_file - for VMADEMO_IOC_OPEN_FILE
 * @flags: in: VMADEMO_FD_CLOEXEC or 0
 * @reserved: in: 0
 */
struct vmademo_open_file {
	__u32 flags;
	__u32 reserved[3];
};

/**
 * struct vmademo_resize - for VMADEMO_IOC_RESIZE
 * @size: in: the new size in bytes; need be no multiple of a page, and may be 0
 * @reserved: in: 0
 */
struct vmademo_resize {
	__u64 size;
	__u64 reserved;
};

/**
 * struct vmademo_discard - for VMADEMO_IOC_DISCARD
 * @offset: in: the first byte
 * @length: in: bytes, at least 1
 * @reserved: in: 0
 */
struct vmademo_discard {
	__u64 offset;
	__u64 length;
	__u64 reserved[2];
};

/* For flags of struct vmademo_info. */
#define VMADEMO_INFO_READ_ONLY	0x1U	/* the store cannot be written to */
#define VMADEMO_INFO_REVOKED	0x2U	/* VMADEMO_IOC_REVOKE, and not yet restored */
#define VMADEMO_INFO_OFF	0x4U	/* VMADEMO_IOC_POWER: the store's power is off */

/**
 * struct vmademo_info - for VMADEMO_IOC_INFO
 * @size: out: bytes
 * @cached_bytes: out: bytes of the pages that are in the page cache
 * @dirty_bytes: out: of those, what is not written back since it was changed
 * @mappings: out: how many VMAs map the buffer, by whatever file
 * @ino: out: names the buffer: st_ino of each of its regular files
 * @store: out: VMADEMO_STORE_...
 * @flags: out: VMADEMO_INFO_...
 * @folio_size: out: bytes that a folio has at most, but for mappings with MADV_HUGEPAGE
 * @reserved0: out: 0
 * @durable_size: out: bytes that it has after a power cut, if nothing is written until then; see
 *                VMADEMO_CREATE_DURABLE_SIZE
 * @pending_names: out: of a directory: operations on names of the tree that are not durable yet,
 *                 with names=ordered those that have set a size, too; of a buffer 0
 * @lost_names: out: likewise: how many the last power cut has undone
 * @reserved: out: 0
 *
 * Of a directory: @size and @durable_size are what the tree has room for, its mount option size=;
 * @ino is 0; the rest is that of all its files together.
 */
struct vmademo_info {
	__u64 size;
	__u64 cached_bytes;
	__u64 dirty_bytes;
	__u64 mappings;
	__u64 ino;
	__u32 store;
	__u32 flags;
	__u32 folio_size;
	__u32 reserved0;
	__u64 durable_size;
	__u64 pending_names;
	__u64 lost_names;
	__u64 reserved[4];
};

/*
 * For flags of VMADEMO_IOC_SNAPSHOT: the caller has stopped all programs that write by a mapping.
 * If one writes nevertheless, the snapshot may have a part of that.
 */
#define VMADEMO_SNAPSHOT_STOPPED	0x2U

/* For written_permille and share: exactly one folio, if any is dirty. */
#define VMADEMO_WRITTEN_ONE	1001U

/**
 * struct vmademo_crash - for VMADEMO_IOC_CRASH and VMADEMO_IOC_SNAPSHOT
 * @seed: in: chooses what happens to have been written: the same seed and the same
 *        dirty folios give the same result
 * @written_permille: in: how many of the dirty folios happen to have been written,
 *                    in thousandths, 0 to 1000; in a random order.  That is also the
 *                    probability that a new size is durable, see VMADEMO_CREATE_DURABLE_SIZE.
 *                    Of the operations on names of a tree that are not durable, 0 keeps none
 *                    and 1000 all; otherwise @seed chooses.  VMADEMO_WRITTEN_ONE: one folio,
 *                    which @seed chooses, as well as the size (one half) and the names
 * @torn: in: so many of the others, or all if they are fewer, happen to have been
 *        written in part: some of their sectors of 512 bytes, not all
 * @flags: in: VMADEMO_IOC_SNAPSHOT: VMADEMO_FD_CLOEXEC, VMADEMO_SNAPSHOT_STOPPED, or 0; otherwise 0
 * @reserved0: in: 0
 * @lost_folios: in: 0; out: folios that were dirty and are gone, the torn ones too
 * @lost_bytes: in: 0; out: the same in bytes
 * @written_folios: in: 0; out: folios that happened to have been written
 * @torn_folios: in: 0; out: folios that happened to have been written in part
 * @lost_names: in: 0; out: operations on names of a tree that are undone, with names=ordered those
 *              that have set a size, too; 0 of a buffer
 * @reserved: in: 0
 */
struct vmademo_crash {
	__u64 seed;
	__u32 written_permille;
	__u32 torn;
	__u32 flags;
	__u32 reserved0;
	__u64 lost_folios;
	__u64 lost_bytes;
	__u64 written_folios;
	__u64 torn_folios;
	__u64 lost_names;
	__u64 reserved[3];
};

/* For flags of struct vmademo_power. */
#define VMADEMO_POWER_OFF	0x1U	/* off; without it, on */

/* How many other buffers one request can name. */
#define VMADEMO_POWER_MAX	64U

/**
 * struct vmademo_power - for VMADEMO_IOC_POWER
 * @flags: in: VMADEMO_POWER_OFF or 0
 * @count: in: how many other buffers, 0 to VMADEMO_POWER_MAX
 * @fds: in: the address of @count descriptors, each an __s32, one of each of these buffers; with
 *       @count 0, 0
 * @seed: in: to switch off: chooses what happens to have been written, as that of
 *        struct vmademo_crash does.  That is for the buffer that is asked; for the others, seeds
 *        follow from it and their place in @fds
 * @written_permille: in: to switch off, of each buffer: as in struct vmademo_crash
 * @torn: in: likewise
 * @lost_folios: in: 0; out: folios of all these buffers that were dirty and are gone, the torn
 *               ones too
 * @lost_bytes: in: 0; out: the same in bytes
 * @written_folios: in: 0; out: folios that happened to have been written
 * @torn_folios: in: 0; out: folios that happened to have been written in part
 * @lost_names: in: 0; out: operations of all these trees that are undone, as in struct
 *              vmademo_crash
 * @reserved: in: 0
 */
struct vmademo_power {
	__u32 flags;
	__u32 count;
	__u64 fds;
	__u64 seed;
	__u32 written_permille;
	__u32 torn;
	__u64 lost_folios;
	__u64 lost_bytes;
	__u64 written_folios;
	__u64 torn_folios;
	__u64 lost_names;
	__u64 reserved[3];
};

/*
 * For op of a rule: on what it acts, one event at a time.  The last column says whether pages
 * and a process can be named.
 *
 *   read_fault   a read of a page that is not mapped                     pages, pid
 *   write_fault  a write to one, shared mapping                          pages, pid
 *   cow_fault    a write to one, private mapping                         pages, pid
 *   mkwrite      a write to a page that is mapped to read, shared
 *                mapping (after a write_fault, too); and a write(2)
 *                to the page                                             pages, pid
 *   read_in      the store is about to be asked for a page that
 *                somebody needs now                                      pages, pid
 *   write_out    a dirty folio is about to be written to the store       pages
 *   flush        fsync, fdatasync, msync, O_SYNC, sync: after what was
 *                dirty is written
 *   mmap         mmap(2)                                                 pages, pid
 *   read         read(2) and its kin, splice and sendfile                pages, pid
 *   write        write(2) and its kin                                    pages, pid
 *   allocate     fallocate(2), in any mode                               pages, pid
 *   truncate     truncate(2), ftruncate(2), O_TRUNC of a file that is
 *                there, VMADEMO_IOC_RESIZE; also to the size that it has   pages, pid
 *   create       of a tree: open(2) and its kin that make a file, also
 *                with O_TMPFILE; mkdir(2), mknod(2), symlink(2)            pid
 *   rename       of a tree: rename(2) and its kin, with any flag           pid
 *   unlink       of a tree: unlink(2) and rmdir(2)                         pid
 *   link         of a tree: link(2) and linkat(2)                          pid
 *   fsync_dir    of a tree: fsync(2) and fdatasync(2) of a directory       pid
 *
 * The pages of truncate are those between the old end and the new one, and the one in which the
 * lower of both is.
 *
 * Operations on names are for rules on a directory of a mounted tree, and are those of the whole
 * tree.  What the kernel refuses before it asks the tree is no event, as EEXIST and EACCES.  A
 * call that begins again after a power cut (see VMADEMO_IOC_POWER) is one event, or two if the
 * cut came after it was counted.
 *
 * A page that is mapped takes no fault.  When a rule for faults is made, its pages are unmapped
 * (private copies stay); with one for mkwrite they are write-protected.  Nor does a fault
 * nearby map a page that has a rule for faults.
 */
#define VMADEMO_OP_READ_FAULT	0U
#define VMADEMO_OP_WRITE_FAULT	1U
#define VMADEMO_OP_COW_FAULT	2U
#define VMADEMO_OP_MKWRITE	3U
#define VMADEMO_OP_READ_IN	4U
#define VMADEMO_OP_WRITE_OUT	5U
#define VMADEMO_OP_FLUSH	6U
#define VMADEMO_OP_MMAP		7U
#define VMADEMO_OP_READ		8U
#define VMADEMO_OP_WRITE	9U
#define VMADEMO_OP_ALLOCATE	10U
#define VMADEMO_OP_TRUNCATE	11U
#define VMADEMO_OP_CREATE	12U
#define VMADEMO_OP_RENAME	13U
#define VMADEMO_OP_UNLINK	14U
#define VMADEMO_OP_LINK		15U
#define VMADEMO_OP_FSYNC_DIR	16U

/*
 * For status of a rule: an errno, as a positive number (the architecture's); or one of these,
 * for faults and mkwrite only.  With mkwrite, a write(2) gets EIO instead of the signal; with
 * HWPOISON and any of these ops, so does a read(2) or write(2) of the page.  (A kernel without
 * CONFIG_MEMORY_FAILURE has plain SIGBUS for both.)
 */
#define VMADEMO_STATUS_SIGBUS	0x10000U /* SIGBUS with BUS_ADRERR */
#define VMADEMO_STATUS_HWPOISON	0x10001U /* SIGBUS with BUS_MCEERR_AR, as of broken memory */

/* For flags of a rule. */
#define VMADEMO_RULE_TORN	0x1U	/* torn and granularity say something */
#define VMADEMO_RULE_CRASH	0x2U	/* the power is cut; share and cut_torn say something */
#define VMADEMO_RULE_KILL	0x4U	/* and the process is killed */
#define VMADEMO_RULE_OFF	0x8U	/* and the power stays off */
#define VMADEMO_RULE_AFTER	0x10U	/* when the event has been, not before it */
#define VMADEMO_RULE_SESSION	0x20U	/* with KILL: all in the session of that process, too */

/* How many rules a buffer can have, and how long a rule can delay, in microseconds. */
#define VMADEMO_RULES_MAX	1024U
#define VMADEMO_DELAY_MAX	60000000U

/**
 * struct vmademo_rule - for VMADEMO_IOC_RULE_ADD and VMADEMO_IOC_RULE_LIST
 * @id: RULE_ADD: in: 0; out: names the rule in this buffer, and is never used again.
 *      RULE_LIST: in: a number; out: the next one above it that names a rule
 * @start: the first page
 * @nr: how many pages; 0: all from @start on
 * @skip: the first so many events it matches pass
 * @times: then it acts at most so often; 0: without limit
 * @seed: chooses for one_in and torn, and is the seed of a cut; the same seed chooses the same
 * @hits: RULE_ADD: 0.  RULE_LIST: out: how often it has acted
 * @matches: RULE_ADD: 0.  RULE_LIST: out: how many events it has matched, those that
 *           passed too
 * @op: VMADEMO_OP_...
 * @flags: VMADEMO_RULE_... or 0
 * @status: what the event is answered; 0: it goes on
 * @pid: the process by whose mapping or call it happens, in the caller's PID namespace; 0:
 *       any.  It is this process alone, not its children, nor who gets its number
 *       after it.  With VMADEMO_RULE_KILL, it is the one to be killed; for a flush or write_out
 *       it means that alone
 * @one_in: after @skip, it acts on one event of so many, at random; 0 and 1: on each
 * @delay_us: how many microseconds the event waits first; a deleted rule delays nobody
 * @torn: with VMADEMO_RULE_TORN: how many thousandths of the parts of a write-out reach the
 *        store.  0: none; 1000: all; in between at least one and not all, if there are
 *        several.  Without @status that is told as success
 * @granularity: with VMADEMO_RULE_TORN: the size of a part in bytes, a power of two up to
 *               4096; 0: 512
 * @share: with VMADEMO_RULE_CRASH: written_permille of the cut, see struct vmademo_crash
 * @cut_torn: with VMADEMO_RULE_CRASH: torn of the cut
 * @reserved: 0
 *
 * VMADEMO_RULE_CRASH: the event is a moment as VMADEMO_IOC_POWER has it, for this buffer (or for
 * the mounted tree that it is a file of): nothing that begins later gets to the store.  The
 * event itself does not, either; with VMADEMO_RULE_AFTER (for read_in, write_out, flush,
 * truncate and operations on names, without @status) it does, whole, and is the last one; with
 * VMADEMO_RULE_TORN those of its parts do that @torn says.  A truncation and what is done to
 * names are not durable then: the cut may undo them.  Then the cut is done, with @seed, @share
 * and @cut_torn: the share is of what is dirty at the moment, including what is being written
 * and has not arrived.  What happens to be written meets no rule.  Afterwards the
 * power comes back at once; with VMADEMO_RULE_OFF it stays off until VMADEMO_IOC_POWER.
 *
 * An event with no @status goes on: a write_out that does not arrive and a flush are EIO, and
 * told; a truncate or an operation on names is EIO, and has changed nothing; a read_in is EIO if
 * the power stays off.  A read, write and allocate go on when the cut is done; faults, mkwrite
 * and mmap at once, while it is done.  Where the power comes back, pages can be read in all the
 * time.  A program that lives on may write to a page before the cut has seen it: that counts as
 * written before the moment.
 *
 * VMADEMO_RULE_KILL, with that: SIGKILL to process @pid; without @pid, to the process to whom it
 * happens, if that is no thread of the kernel.  A write_out happens to nobody: it needs @pid.
 * VMADEMO_RULE_SESSION, with that: also to all processes in its session, so that what it has
 * started does not go on without power.  Without @pid, and of a session, only processes of the
 * rule maker's own user are killed, unless he had CAP_KILL when he made the rule.
 */
struct vmademo_rule {
	__u64 id;
	__u64 start;
	__u64 nr;
	__u64 skip;
	__u64 times;
	__u64 seed;
	__u64 hits;
	__u64 matches;
	__u32 op;
	__u32 flags;
	__u32 status;
	__s32 pid;
	__u32 one_in;
	__u32 delay_us;
	__u32 torn;
	__u32 granularity;
	__u32 share;
	__u32 cut_torn;
	__u64 reserved[7];
};

/**
 * struct vmademo_rule_id - for VMADEMO_IOC_RULE_DEL
 * @id: in: which rule; 0: all of the buffer
 * @reserved: in: 0
 */
struct vmademo_rule_id {
	__u64 id;
	__u64 reserved;
};

/*
 * A byte of struct vmademo_pages.  A large folio is up to date, dirty, written back and mapped
 * as one: each of its pages is told so, even if only another one is in a page table.  What is
 * stored is told of the page itself.
 */
#define VMADEMO_PAGE_CACHED	0x01U	/* in the page cache */
#define VMADEMO_PAGE_UPTODATE	0x02U	/* and filled */
#define VMADEMO_PAGE_DIRTY	0x04U	/* to be written back */
#define VMADEMO_PAGE_WRITEBACK	0x08U	/* being written back */
#define VMADEMO_PAGE_MAPPED	0x10U	/* in a page table of some process */
#define VMADEMO_PAGE_LARGE	0x20U	/* of a folio of several pages */
#define VMADEMO_PAGE_STORED	0x40U	/* the store has data there, or room taken for it */
#define VMADEMO_PAGE_RULED	0x80U	/* a rule on pages covers it */

/**
 * struct vmademo_pages - for VMADEMO_IOC_PAGES
 * @offset: in: the first byte, a multiple of the page size, at most the largest size
 * @count: in: how many pages, at least 1; out: how many were told of, which is fewer if the
 *         buffer ends before that, and 0 at its end
 * @states: in: the address of @count bytes of the caller's; out there: VMADEMO_PAGE_... of
 *          each page, 0 for a page that is neither cached nor stored, nor under a rule
 * @flags: in: 0
 * @reserved0: in: 0
 * @reserved: in: 0
 */
struct vmademo_pages {
	__u64 offset;
	__u64 count;
	__u64 states;
	__u32 flags;
	__u32 reserved0;
	__u64 reserved[4];
};

/**
 * struct vmademo_stats - for VMADEMO_IOC_STATS
 * @size: in: the size of this struct, as the caller knows it, at least
 *        VMADEMO_STATS_SIZE_VER0; out: how much of it was filled
 * @flags: in: 0
 * @last_crash_lost_folios: out: folios that the last power cut lost
 * @last_crash_lost_bytes: out: the same in bytes
 *
 * Of a directory: the sum of all regular files that the tree has and had; rule_hits with those
 * on names.
 *
 * All that follows is out: the counters of the buffer since it was made, under the names that
 * they have in /proc/PID/fdinfo and sysfs; docs/counters.md says what each counts.  New ones
 * come at the end.
 */
struct vmademo_stats {
	__u32 size;
	__u32 flags;
	__u64 last_crash_lost_folios;
	__u64 last_crash_lost_bytes;
	/* private: the counters */
	__u64 read_faults;
	__u64 write_faults;
	__u64 cow_faults;
	__u64 fault_around;
	__u64 fault_around_hits;
	__u64 first_writes;
	__u64 dirtied_folios;
	__u64 dirtied_bytes;
	__u64 written_folios;
	__u64 written_bytes;
	__u64 lost_folios;
	__u64 lost_bytes;
	__u64 discarded_folios;
	__u64 discarded_bytes;
	__u64 read_in_folios;
	__u64 read_in_bytes;
	__u64 evicted_folios;
	__u64 evicted_bytes;
	__u64 read_errors;
	__u64 write_errors;
	__u64 flushes;
	__u64 data_flushes;
	__u64 crashes;
	__u64 sigbus;
	__u64 revocations;
	__u64 rule_hits;
};

#define VMADEMO_STATS_SIZE_VER0	232U	/* up to rule_hits */

/*
 * On the node, open for writing (or for reading, if its store cannot be written to): makes
 * a new buffer and returns a descriptor of a regular file that shows it, open for reading
 * and writing.  The buffer belongs to the caller's user, has mode 0600, and lives as long
 * as it is open or mapped.  As long as that, the module cannot be unloaded.  (inotify:
 * newer kernels report what is done by a descriptor that was opened again by /proc/PID/fd,
 * but nothing of what is done by this one.)
 *
 * On a file that is open for reading only, the buffer is read only, and so is the
 * descriptor; to open it for writing is EROFS.  The size of a read only buffer and of
 * one on a block device cannot be changed (EINVAL), and to write at its end is ENOSPC.
 * What is dirty when the last descriptor and mapping are gone is written to the file.
 *
 * While it is behind a buffer, nobody else may change the file; and nobody may read or
 * write it with a mapping of the buffer as the memory, in either direction: some file
 * systems hold a lock of the file while they touch that memory, and to bring the page in
 * takes the same lock.  That locks up for good, and not even SIGKILL helps.
 *
 *   EINVAL   size over the largest, or over what the file has, which cannot grow; the
 *            file is neither a regular file nor a block device, has no data of its own
 *            (as in /proc), or shows a buffer itself; store_fd is not 0, but the
 *            store is no file
 *   EBADF    the node is not open for writing; store_fd is no descriptor that is open
 *            for reading
 *   EBUSY    the block device is mounted, or somebody else has it; the file is behind
 *            another buffer, and one of the two may write to it
 *   ETXTBSY  the file is swapped to, or is being run
 *   ENFILE   there are max_stores (a parameter of the module) buffers with a store
 *   EMFILE, ENFILE   too many open files
 *   ENOMEM
 *   and what opening the file or making it longer may answer: EACCES, EPERM, EROFS,
 *   EFBIG, ENOSPC, EIO
 */
#define VMADEMO_IOC_CREATE	_IOW(0xBE, 0x00, struct vmademo_create)

/*
 * On the node: returns a descriptor of a regular file that shows the node's own
 * buffer, open for what the node is open for.  It belongs to root and has mode
 * 0600, which matters when it is opened again by /proc/PID/fd.
 *
 *   EMFILE, ENFILE, ENOMEM
 */
#define VMADEMO_IOC_OPEN_FILE	_IOW(0xBE, 0x01, struct vmademo_open_file)

/*
 * On both: sets the size, as ftruncate(2) does.  What is beyond the new end is gone,
 * mapped or not; touching it raises SIGBUS.  What is new reads as zeroes.
 *
 *   EBADF    the file is not open for writing
 *   EINVAL   size over the largest; or the store is a block device
 *   EFBIG    size over RLIMIT_FSIZE: SIGXFSZ is sent too; or over what the file system
 *            of the backing file can have in a file
 *   EINTR    the caller was killed
 *   and what making the backing file shorter or longer may answer: EPERM (it is
 *   sealed), ENOSPC, EIO
 */
#define VMADEMO_IOC_RESIZE	_IOW(0xBE, 0x02, struct vmademo_resize)

/*
 * On both: the bytes are zero from now on, and whole pages are freed, as with
 * fallocate(2) and FALLOC_FL_PUNCH_HOLE.  Private copies stay.
 *
 *   EBADF    the file is not open for writing
 *   EINVAL   length is 0, or the range is not all inside the buffer
 *   EOPNOTSUPP   the backing file's file system can neither punch holes nor tell where
 *            they are: to write zeroes instead might fill the disk
 *   EINTR    the caller was killed
 *   EPERM, EIO, ENOSPC   from the store
 */
#define VMADEMO_IOC_DISCARD	_IOW(0xBE, 0x03, struct vmademo_discard)

/* On both: tells about the buffer. */
#define VMADEMO_IOC_INFO	_IOR(0xBE, 0x04, struct vmademo_info)

/*
 * On both: simulates a power cut.  Every folio that is not on the store is gone, from
 * mappings too, and the next touch reads what the store has.  What was dirty is lost, but
 * for what happens to have been written, see above.  So is a new size that is not durable
 * yet, see VMADEMO_CREATE_DURABLE_SIZE.  Private copies stay.  An fsync, msync or synchronous
 * write that it meets half way is EIO.  Any other request that it meets comes before it, or
 * after it.
 *
 * On a regular file or a directory of a mounted tree: the same for all files of the tree, at one
 * moment, as VMADEMO_IOC_POWER has it.  What is told is that of all files together; it is 0
 * if a cut is under way already.  Each file has a seed of its own, which follows from the seed and
 * from how many files had been made in the tree before it; the first of all has the seed itself.
 * What was done to names and is not durable may be undone, as written_permille says.
 *
 *   EBADF    the file is not open for writing, and no directory
 *   EPERM    it is a tree's, and the caller neither owns its root nor has CAP_SYS_ADMIN
 *   EROFS    it is a directory, and mounted read only there
 *   EINVAL   written_permille over VMADEMO_WRITTEN_ONE
 *   EOPNOTSUPP   the buffer has no store
 *   EINTR    the caller was killed; of a tree, it may have been done all the same
 *   ENOMEM   never of a tree: if memory is lacking, nothing happens to have been written there
 */
#define VMADEMO_IOC_CRASH	_IOWR(0xBE, 0x06, struct vmademo_crash)

/*
 * On both: makes a rule: a fault on demand.  An event is met by the oldest rule that matches
 * it and whose turn it is; the others then do not count it.  Rules live as long as the
 * buffer; the last write-out of a file, when the buffer ends, meets none.
 *
 * On a directory of a mounted tree: for each of its files, also for those that are yet to be made,
 * and for its names.
 * skip, times and one_in count the events of all of them.  A file's own rules come first.
 *
 * Which status an op can have:
 *
 *   read_fault, write_fault, cow_fault   SIGBUS, HWPOISON
 *   mkwrite     SIGBUS, HWPOISON; EIO, ENOSPC, EDQUOT: to a mapping SIGBUS, to write(2)
 *               that errno
 *   read_in     EIO, ENODATA, ETIMEDOUT, ENOMEM: to a mapping SIGBUS, to read(2) that errno
 *   write_out   EIO, ENOSPC, EDQUOT, ETIMEDOUT: what was dirty is lost to the store, and
 *               each open file is told once, by fsync or msync; ENOMEM: it stays dirty
 *   flush       EIO, ENOSPC, EDQUOT, ETIMEDOUT: told once as well
 *   mmap        ENOMEM, EAGAIN, EACCES, EPERM, ENODEV, ETXTBSY, EOVERFLOW
 *   read        EIO, EAGAIN, EINTR, ENOMEM
 *   write       EIO, ENOSPC, EDQUOT, EFBIG, EAGAIN, EINTR, ENOMEM, EPERM
 *   allocate    ENOSPC, EDQUOT, EFBIG, EIO, EINTR, ENOMEM, EPERM, ETXTBSY, EOPNOTSUPP
 *   truncate    EIO, ENOSPC, EDQUOT, EFBIG, ENOMEM, EPERM, EACCES, EROFS, ETXTBSY
 *   create, rename, unlink, link   EIO, ENOSPC, EDQUOT, ENOMEM, EPERM, EACCES, EROFS
 *   fsync_dir   EIO, ENOSPC, EDQUOT, ENOMEM, EROFS, ETIMEDOUT: nothing is made durable, and the
 *               next one can succeed
 *
 * Each can have a delay, and cut the power; only write_out can be torn.  Whoever waits can be
 * killed; in a fault the lock of the address space is given up meanwhile, where the kernel allows
 * it, but not in mkwrite and mmap.  A truncate holds the lock of its file (i_rwsem), and create,
 * rename, unlink and link hold those of their directories and of the files that they remove,
 * replace, move or link: who changes these waits uninterruptibly, and so does who looks up a name
 * there that the kernel does not know.  But O_TMPFILE and fsync_dir hold none.
 *
 *   EBADF    the file is not open for writing (of a read only buffer: nor is the caller its
 *            owner or root)
 *   EINVAL   an op, a flag or a status that is not known, or that the op cannot have; no
 *            outcome at all; an operation on names, unless on a directory; pages for one, or for
 *            a flush; a pid for a flush or write_out, unless to be killed; torn over 1000; torn or
 *            granularity without VMADEMO_RULE_TORN; what belongs to VMADEMO_RULE_CRASH without
 *            that; share over VMADEMO_WRITTEN_ONE; VMADEMO_RULE_AFTER with a status, or with
 *            another op than read_in, write_out, flush, truncate and those on names;
 *            VMADEMO_RULE_KILL of a write_out without pid; delay_us over VMADEMO_DELAY_MAX;
 *            pages beyond the largest size of a buffer
 *   EOPNOTSUPP   read_in, torn or VMADEMO_RULE_CRASH, and the buffer has no store
 *   EPERM    VMADEMO_RULE_KILL, and the caller may not kill pid
 *   EPERM    a directory of a mounted tree, or VMADEMO_RULE_CRASH on a file of one, and the
 *            caller neither owns its root nor has CAP_SYS_ADMIN
 *   EROFS    a directory that is mounted read only there
 *   ESRCH    there is no process pid
 *   ENOSPC   the buffer, or the tree, has VMADEMO_RULES_MAX rules
 *   EBUSY    a page to be unmapped or write-protected is part of a large folio, or is being
 *            read in as part of one
 *   EINTR    the caller was killed
 *   ENOMEM
 */
#define VMADEMO_IOC_RULE_ADD	_IOWR(0xBE, 0x10, struct vmademo_rule)

/*
 * On both: deletes a rule, or all.  A task that it delays goes on.
 *
 *   EBADF, EPERM, EROFS   as for VMADEMO_IOC_RULE_ADD
 *   ENOENT   there is no such rule
 *   EINTR, ENOMEM
 */
#define VMADEMO_IOC_RULE_DEL	_IOW(0xBE, 0x11, struct vmademo_rule_id)

/*
 * On both: tells one rule: from id 0 on, each call the next, oldest first.  The fields are as
 * they were given, but for id, hits and matches; and pid is that of the reader's namespace.
 *
 *   ENOENT   there is no rule above that id
 *   EINTR
 */
#define VMADEMO_IOC_RULE_LIST	_IOWR(0xBE, 0x12, struct vmademo_rule)

/*
 * Takes no argument.  On a window: takes it away from everybody, until the module is loaded
 * anew.  All mappings lose their pages: touching them raises SIGBUS.  To open, map, read or
 * write the node fails with ENODEV; a read or write under way says how many bytes it did.
 *
 * On both others: takes the buffer away from everybody, until VMADEMO_IOC_RESTORE.  All
 * mappings lose their pages, private copies too, which are gone for good: touching them
 * raises SIGBUS.  To map, read, write, splice, allocate, punch or resize is ENODEV.  A write
 * under way is ended first; a read under way ends as if it had been before.  All that asks
 * for no byte works: open, close, fstat, lseek, munmap, mremap, INFO.  Of the buffer's bytes
 * none is lost.  What is dirty is written back as ever; fsync and msync wait for that, and
 * tell of errors; VMADEMO_IOC_CRASH does what it says.
 *
 * Pages that somebody has pinned or holds in a pipe (a read with O_DIRECT into a mapping
 * that is under way, splice, vmsplice, RDMA) stay with him, and what he writes there is data
 * of the buffer.
 *
 * To revoke what is revoked is no error.  A store that is stuck is waited for only where
 * a write, by a call or to a mapping, waits for it.
 *
 *   EBADF    the file is not open for writing (of a read only buffer: not open)
 *   EINTR    the caller was killed; nothing has changed
 */
#define VMADEMO_IOC_REVOKE	_IO(0xBE, 0x05)

/*
 * On both: gives a revoked buffer back.  Mappings that are still there work again.  To
 * restore what is not revoked is no error.  Takes no argument.
 *
 *   EBADF    the file is not open for writing (of a read only buffer: not open)
 *   EINTR    the caller was killed
 */
#define VMADEMO_IOC_RESTORE	_IO(0xBE, 0x13)

/*
 * On both: tells what the pages of a range are, each as it was at some moment of the call;
 * they may be something else when it returns.  Private copies are no pages of the buffer.
 * Nothing is touched or brought in, no lock is held for long, and a revoked buffer tells too.
 *
 *   EINVAL   offset is no multiple of the page size, or over the largest size; count is 0
 *   EFAULT   states is no memory of the caller; a part of it may have been written to
 *   EINTR    the caller was killed
 *   ENOMEM
 *   EIO      the file system of the backing file cannot tell where the file has data
 */
#define VMADEMO_IOC_PAGES	_IOWR(0xBE, 0x14, struct vmademo_pages)

/*
 * On both: all counters of the buffer.  Each is right; together they are of about the same
 * moment.  The struct may grow, and the request stays the same: a program gets as much of it
 * as it asks for by size, and bytes that the module does not know become 0.  Bytes that
 * it does not know must be 0 before, too.
 *
 *   EINVAL   size is less than VMADEMO_STATS_SIZE_VER0; flags is not 0
 *   E2BIG    size is more than a page; or a byte that the module does not know is not 0
 */
#define VMADEMO_IOC_STATS	_IO(0xBE, 0x15)

/*
 * On both: switches the power of the store off or on: of this buffer, and of others that are
 * named.
 *
 * Off.  There is one moment for all of them.  An operation on one of the stores that begins
 * later fails with EIO, and nothing of it gets there: to read a page in, to write one out, to
 * flush, to make the buffer larger or smaller, to punch, zero or allocate a range; also what
 * would be written at the end of the buffer.  (What the store is only asked about goes on to
 * work: lseek, st_blocks, VMADEMO_IOC_PAGES.)  What began before may still arrive.  Then what
 * VMADEMO_IOC_CRASH does is done to each of the buffers, one after another.  When this returns,
 * nothing arrives any more.
 *
 * While it is off, programs see a disk whose machine is off: they can read what is cached and
 * write to it, but what they write is never stored: it is lost when it is written back, and that
 * is counted and told by fsync and msync as a write error is.  An fsync, msync or synchronous
 * write that the moment meets half way is EIO.
 *
 * On.  Buffer by buffer, first this one: what is cached is dropped, written meanwhile or not, and
 * the store has power.  The bytes are those that it had when the power went.
 *
 * To ask for the state that the power already has is no error, and changes nothing; it waits
 * until a cut under way is done.
 *
 * A regular file or a directory of a mounted tree stands for the tree: it has one power for all
 * of its files, and for those that are made later.  Seeds of its files follow from that of
 * the tree as with VMADEMO_IOC_CRASH.  Names can be made, changed and removed without power.  But
 * from the moment when it goes until the cut of names is done, a system call that would change a
 * name waits, and then begins again; by io_uring it is EINTR.
 *
 *   EBADF    a descriptor is not open, or not for writing and no directory (of a read only
 *            buffer: nor is the caller its owner or root)
 *   EPERM    one is a tree's, and the caller neither owns its root nor has CAP_SYS_ADMIN
 *   EROFS    one is a directory, and mounted read only there
 *   EINVAL   count over VMADEMO_POWER_MAX; a descriptor of something else; a buffer or tree that
 *            is named twice; written_permille over VMADEMO_WRITTEN_ONE; seed, written_permille
 *            or torn to switch on
 *   EOPNOTSUPP   a buffer has no store
 *   EINTR    the caller was killed: the power is off at all of them, or back on at some
 *   ENOMEM
 */
#define VMADEMO_IOC_POWER	_IOWR(0xBE, 0x16, struct vmademo_power)

/*
 * On both: returns a descriptor of a new buffer: what a power cut at this moment would leave,
 * while the program goes on.  It is as one that VMADEMO_IOC_CREATE makes, with store ram, and
 * has the size that the cut would leave; its pages count against ram_limit.  struct
 * vmademo_crash says what the cut is, and what it would have lost.  With the same seed, and the
 * same folios dirty, the bytes are those that VMADEMO_IOC_CRASH leaves.
 *
 * Nothing arrives in the store meanwhile: so nobody has been told that something is durable
 * which is missing here.  What is under write-back is not waited for; it counts as dirty.  So
 * a rule that delays a write_out or a flush gives time for a snapshot at that event.  But a
 * write(2), truncation or fallocate(2) under way is waited for, and so is what is just being
 * written to the store; a power cut that is not done yet is done first.
 *
 * The buffer stays as it is, except that pages that happened to be written are write-protected,
 * as by write-back: the next write to one by a mapping is a mkwrite.  With
 * VMADEMO_SNAPSHOT_STOPPED they are not.  While the power is off, nothing happens to be written.
 *
 *   EBADF    the file is not open for reading and writing (of a read only buffer: the caller is
 *            neither its owner nor root)
 *   EINVAL   written_permille over VMADEMO_WRITTEN_ONE
 *   EOPNOTSUPP   the buffer has no store
 *   ENODEV   the buffer is revoked
 *   EIO      the backing file cannot be read
 *   ENOSPC   ram_limit
 *   ENFILE   there are max_stores (a parameter of the module) buffers with a store
 *   EMFILE, ENFILE   too many open files
 *   EINTR    the caller was killed while it waited
 *   ENOMEM
 */
#define VMADEMO_IOC_SNAPSHOT	_IOWR(0xBE, 0x17, struct vmademo_crash)

#endif /* _UAPI_LINUX_VMADEMO_H */
