/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * What programs ask of vmademo by ioctl.
 *
 * There are three kinds of file: the node, /dev/vmademo; the regular files that
 * VMADEMO_IOC_CREATE and VMADEMO_IOC_OPEN_FILE return; and the nodes of physical
 * windows, /dev/vmademo-physN.  "Both" below means the first two.  A regular file shows a
 * buffer in the way in which a file of a file system shows its data: fstat,
 * ftruncate, fallocate and whatever else asks for a regular file work on it.
 *
 * Rules for all requests.  Sizes, offsets and lengths are in bytes.  All fields
 * have the same place and width in programs of 32 and of 64 bits.  Reserved
 * fields must be 0.  A request that fails has changed nothing.
 *
 *   EFAULT   the argument points to no memory of the caller
 *   EINVAL   a flag or a store that is not known, a reserved field that is not 0,
 *            or what the request below says
 *   ENOTTY   no such request on this kind of file
 *
 * The number 0xBE is not in the kernel's list of ioctl numbers.
 */
#ifndef _UAPI_LINUX_VMADEMO_H
#define _UAPI_LINUX_VMADEMO_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* The largest size of a buffer is that of a file: 2^63 - 1 bytes on 64 bits. */

/* For flags: the new descriptor is closed by execve(2). */
#define VMADEMO_FD_CLOEXEC	0x1U

/* For store: what stands behind the page cache. */
#define VMADEMO_STORE_NONE	0U	/* nothing: it is the only copy */

/**
 * struct vmademo_create - for VMADEMO_IOC_CREATE
 * @size: in: bytes; need be no multiple of a page, and may be 0
 * @flags: in: VMADEMO_FD_CLOEXEC or 0
 * @store: in: VMADEMO_STORE_NONE
 * @reserved: in: 0
 */
struct vmademo_create {
	__u64 size;
	__u32 flags;
	__u32 store;
	__u64 reserved[6];
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

/**
 * struct vmademo_info - for VMADEMO_IOC_INFO
 * @size: out: bytes
 * @cached_bytes: out: bytes of the pages that are in the page cache
 * @dirty_bytes: out: of those, what is not written back since it was changed
 * @mappings: out: how many VMAs map the buffer, by whatever file
 * @ino: out: names the buffer: st_ino of each of its regular files
 * @store: out: VMADEMO_STORE_NONE
 * @flags: out: 0
 * @reserved: out: 0
 */
struct vmademo_info {
	__u64 size;
	__u64 cached_bytes;
	__u64 dirty_bytes;
	__u64 mappings;
	__u64 ino;
	__u32 store;
	__u32 flags;
	__u64 reserved[8];
};

/*
 * On the node, however it was opened: makes a new buffer and returns a descriptor of
 * a regular file that shows it, open for reading and writing.  The buffer belongs to the caller's
 * user, has mode 0600, and lives as long as somebody has it open or mapped.  As
 * long as that, the module cannot be unloaded.  (inotify: newer kernels report
 * nothing of what is done by this descriptor, only by others, opened again by
 * /proc/PID/fd.)
 *
 *   EINVAL   size over 2^63 - 1
 *   EMFILE, ENFILE   too many open files
 *   ENOMEM
 */
#define VMADEMO_IOC_CREATE	_IOW(0xBE, 0x00, struct vmademo_create)

/*
 * On the node: returns a descriptor of a regular file that shows the node's own
 * buffer, open for what the node is open for.  It belongs to root and has mode
 * 0600, which matters to who opens it again by /proc/PID/fd.
 *
 *   EMFILE, ENFILE, ENOMEM
 */
#define VMADEMO_IOC_OPEN_FILE	_IOW(0xBE, 0x01, struct vmademo_open_file)

/*
 * On both: sets the size, as ftruncate(2) does.  What is beyond the new end is gone,
 * mapped or not; touching it is SIGBUS.  What is new reads as zeroes.
 *
 *   EBADF    the file is not open for writing
 *   EINVAL   size over 2^63 - 1
 *   EFBIG    size over RLIMIT_FSIZE; SIGXFSZ is sent too
 */
#define VMADEMO_IOC_RESIZE	_IOW(0xBE, 0x02, struct vmademo_resize)

/*
 * On both: the bytes are zero from now on, and whole pages are freed, as with
 * fallocate(2) and FALLOC_FL_PUNCH_HOLE.  Private copies stay.
 *
 *   EBADF    the file is not open for writing
 *   EINVAL   length is 0, or the range is not all inside the buffer
 */
#define VMADEMO_IOC_DISCARD	_IOW(0xBE, 0x03, struct vmademo_discard)

/* On both: tells about the buffer. */
#define VMADEMO_IOC_INFO	_IOR(0xBE, 0x04, struct vmademo_info)

/*
 * On a window: takes it away from everybody, until the module is loaded anew.  All
 * mappings lose their pages, to touch them is SIGBUS.  To open, map, read or write
 * the node is ENODEV.  Takes no argument.
 *
 *   EBADF    the file is not open for writing
 *   EOPNOTSUPP   the window is mapped eagerly by .mmap (kernels before 7.2, or
 *            legacy_mmap=1), which cannot be undone safely; load with phys_map=lazy
 */
#define VMADEMO_IOC_REVOKE	_IO(0xBE, 0x05)

#endif /* _UAPI_LINUX_VMADEMO_H */
