/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Files that stop: one on an ext4 that can be frozen, and one on a FUSE file system whose
 * server can fall silent.  Whoever waits for them then waits until slow_end(); that comes
 * by itself when the test dies.
 */
#ifndef VMADEMO_SLOW_STORE_H
#define VMADEMO_SLOW_STORE_H

#include <poll.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <linux/fs.h>
#include <linux/fuse.h>

#include "stores.h"

#define FUSE_MOUNT "/tmp/vmademo-fuse"

/* Seconds in which everything is done that does not wait for ever. */
#define LONG 60

/* While somebody is meant to wait, the kernel need not warn of it. */
static const char hung_task[] = "/proc/sys/kernel/hung_task_timeout_secs";

enum slow_kind { FROZEN_EXT4, MUTE_FUSE };

/*
 * What the server does: answer; be silent; keep an fsync or a read waiting, and that it has
 * one; let the write fail, or wait, that FUSE_WRITES_LEFT counts down to, and that it has one.
 */
enum mute {
	ANSWER,
	SILENT,
	HOLD_FSYNC,
	HOLDS_FSYNC,
	HOLD_READ,
	HOLDS_READ,
	FAIL_WRITE,
	HOLD_WRITE,
	HOLDS_WRITE
};

/* Beside *mute: how many writes are still to come, that one included. */
#define FUSE_WRITES_LEFT(s) ((s)->mute[1])

/* So much of the file is kept; what is beyond reads as zeroes. */
#define FUSE_KEPT MIB

struct slow {
	enum slow_kind kind;
	int file; /* the file */
	int end; /* a byte here ends it */
	int mount; /* of ext4 */
	volatile int *mute; /* shared with the server: enum mute */
	pid_t helper; /* the server, or who thaws */
};

/* ---- a server for one file, of zeroes, of any size ------------------------ */

struct fuse_reply {
	struct fuse_out_header head;
	union {
		struct fuse_init_out init;
		struct fuse_entry_out entry;
		struct fuse_attr_out attr;
		struct fuse_open_out open;
		struct fuse_write_out write;
		struct fuse_statfs_out statfs;
		unsigned char data[128 * 1024];
	};
};

static inline void fuse_attributes(struct fuse_attr *attr, uint64_t node,
				   uint64_t size)
{
	*attr = (struct fuse_attr){
		.ino = node,
		.size = node == FUSE_ROOT_ID ? 0 : size,
		.mode = node == FUSE_ROOT_ID ? S_IFDIR | 0700 : S_IFREG | 0600,
		.nlink = 1,
		.blksize = PAGE,
		.blocks = node == FUSE_ROOT_ID ? 0 : size / 512,
	};
}

/* A write has come: is it to fail?  Or to wait first. */
static inline bool fuse_write_fails(volatile int *mute, pid_t parent)
{
	if ((mute[0] != FAIL_WRITE && mute[0] != HOLD_WRITE) || --mute[1])
		return false;
	if (mute[0] == FAIL_WRITE) {
		mute[0] = ANSWER;
		return true;
	}
	mute[0] = HOLDS_WRITE;
	while (mute[0] == HOLDS_WRITE && getppid() == parent)
		usleep(1000);
	return false;
}

/* Answers one request; the length of the answer behind its head, -1 for none. */
static inline int fuse_answer(const struct fuse_in_header *in,
			      struct fuse_reply *r, uint64_t *size)
{
	static unsigned char kept[FUSE_KEPT];
	const void *arg = in + 1;

	switch (in->opcode) {
	case FUSE_INIT: {
		const struct fuse_init_in *init = arg;

		r->init = (struct fuse_init_out){
			.major = FUSE_KERNEL_VERSION,
			.minor = init->minor,
			.max_readahead = init->max_readahead,
			.max_write = 64 * 1024,
		};
		return sizeof(r->init);
	}
	case FUSE_LOOKUP:
		r->entry = (struct fuse_entry_out){ .nodeid = 2,
						    .entry_valid = 1000,
						    .attr_valid = 1000 };
		fuse_attributes(&r->entry.attr, 2, *size);
		return sizeof(r->entry);
	case FUSE_SETATTR:
	case FUSE_GETATTR:
		if (in->opcode == FUSE_SETATTR) {
			const struct fuse_setattr_in *set = arg;

			if (set->valid & FATTR_SIZE)
				*size = set->size;
		}
		r->attr = (struct fuse_attr_out){ .attr_valid = 1000 };
		fuse_attributes(&r->attr.attr, in->nodeid, *size);
		return sizeof(r->attr);
	case FUSE_OPEN:
		r->open = (struct fuse_open_out){ .fh = 1 };
		return sizeof(r->open);
	case FUSE_READ: {
		const struct fuse_read_in *read = arg;

		memset(r->data, 0, read->size);
		if (read->offset < FUSE_KEPT)
			memcpy(r->data, kept + read->offset,
			       read->offset + read->size > FUSE_KEPT
				       ? FUSE_KEPT - read->offset
				       : read->size);
		return read->size;
	}
	case FUSE_WRITE: {
		const struct fuse_write_in *write = arg;

		if (write->offset + write->size > *size)
			*size = write->offset + write->size;
		if (write->offset + write->size <= FUSE_KEPT)
			memcpy(kept + write->offset, write + 1, write->size);
		r->write = (struct fuse_write_out){ .size = write->size };
		return sizeof(r->write);
	}
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		return -1;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
	case FUSE_FSYNC:
	case FUSE_ACCESS:
		return 0;
	default:
		r->head.error = -ENOSYS;
		return 0;
	}
}

/*
 * Serves until it is told to end, or its parent has; says nothing of data while it is
 * mute.
 */
static inline void fuse_serve(int dev, int end, volatile int *mute)
{
	static unsigned char request[256 * 1024];
	static struct fuse_reply reply;
	struct pollfd ready[2] = { { dev, POLLIN, 0 }, { end, POLLIN, 0 } };
	const pid_t parent = getppid();
	uint64_t size = 0;

	while (poll(ready, 2, 100) >= 0 && !ready[1].revents &&
	       getppid() == parent) {
		const struct fuse_in_header *in = (void *)request;
		ssize_t n;
		int len;

		if (!ready[0].revents)
			continue;
		n = read(dev, request, sizeof(request));
		if (n < (ssize_t)sizeof(*in)) {
			if (n < 0 && errno == ENODEV)
				break; /* unmounted */
			continue;
		}
		if (*mute == SILENT &&
		    (in->opcode == FUSE_WRITE || in->opcode == FUSE_READ ||
		     in->opcode == FUSE_FSYNC))
			continue;
		if (*mute == HOLD_FSYNC && in->opcode == FUSE_FSYNC) {
			*mute = HOLDS_FSYNC;
			while (*mute == HOLDS_FSYNC && getppid() == parent)
				usleep(1000);
		}
		if (*mute == HOLD_READ && in->opcode == FUSE_READ) {
			*mute = HOLDS_READ;
			while (*mute == HOLDS_READ && getppid() == parent)
				usleep(1000);
		}
		reply.head = (struct fuse_out_header){ .unique = in->unique };
		if (in->opcode == FUSE_WRITE && fuse_write_fails(mute, parent)) {
			reply.head.error = -EIO;
			len = 0;
		} else {
			len = fuse_answer(in, &reply, &size);
		}
		if (len < 0)
			continue;
		reply.head.len = sizeof(reply.head) + len;
		n = write(dev, &reply, reply.head.len);
	}
	_exit(0);
}

static inline const char *fuse_make(struct slow *s)
{
	char options[128];
	int dev, ends[2];

	system("modprobe -q fuse");
	dev = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (dev < 0)
		return "this machine has no FUSE";
	mkdir(FUSE_MOUNT, 0700);
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0", dev);
	if (mount("fuse", FUSE_MOUNT, "fuse", 0, options) ||
	    pipe2(ends, O_CLOEXEC))
		return "FUSE cannot be mounted";
	s->mute = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	s->helper = fork();
	if (s->helper == 0) {
		/* Who kills the test's process group leaves it */
		setsid();
		fuse_serve(dev, ends[0], s->mute);
	}
	close(dev);
	close(ends[0]);
	s->end = ends[1];
	s->file = open(FUSE_MOUNT "/store", O_RDWR | O_CLOEXEC);
	return s->file < 0 ? "the FUSE server does not answer" : NULL;
}

/* ---- both ---------------------------------------------------------------- */

static inline const char *ext4_make(struct slow *s)
{
	const char *path = getenv("VMADEMO_EXT4");
	int ends[2];

	if (!path || !*path)
		return "VMADEMO_EXT4 names no file system to freeze";
	s->mount = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	path = store_path(STORE_EXT4);
	s->file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (s->mount < 0 || s->file < 0 || pipe2(ends, O_CLOEXEC))
		return "the file system to freeze cannot be used";
	s->helper = fork();
	if (s->helper == 0) {
		struct pollfd end = { ends[0], POLLIN, 0 };
		const pid_t parent = getppid();

		setsid();
		while (!poll(&end, 1, 100) && getppid() == parent)
			;
		ioctl(s->mount, FITHAW, 0);
		_exit(0);
	}
	close(ends[0]);
	s->end = ends[1];
	return NULL;
}

/* NULL, or why there can be no such file here. */
static inline const char *slow_make(struct slow *s, enum slow_kind kind,
				    uint64_t size)
{
	const char *skip;

	*s = (struct slow){ .kind = kind };
	skip = kind == MUTE_FUSE ? fuse_make(s) : ext4_make(s);
	if (!skip && ftruncate(s->file, size))
		skip = "the file does not take this size";
	return skip;
}

/* From now on who writes to the file waits; 0, or -1 and errno. */
static inline int slow_stop(struct slow *s)
{
	if (s->kind == FROZEN_EXT4)
		return ioctl(s->mount, FIFREEZE, 0);
	*s->mute = SILENT;
	return 0;
}

/* Nobody waits for it any more: thawed, or aborted with an error. */
static inline void slow_go(struct slow *s)
{
	if (write(s->end, "x", 1) == 1)
		waitpid(s->helper, NULL, 0);
	close(s->end);
}

/* After slow_go(), when no buffer is on it. */
static inline void slow_end(struct slow *s)
{
	close(s->file);
	if (s->kind == FROZEN_EXT4) {
		close(s->mount);
		unlink(store_path(STORE_EXT4));
	} else {
		umount2(FUSE_MOUNT, MNT_DETACH);
		rmdir(FUSE_MOUNT);
	}
}

/* Does the child come to its end? */
static inline bool ends(pid_t pid)
{
	for (int i = 0; i < LONG * 100; i++) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return true;
		usleep(10000);
	}
	return false;
}

/* The state of a process, as /proc shows it: D is one that waits in the kernel. */
static inline char state_of(pid_t pid)
{
	char path[64], state = '?';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = '?';
	if (f)
		fclose(f);
	return state;
}

/* It waits, and not just for a moment. */
static inline bool waits(pid_t pid)
{
	int in_a_row = 0;

	for (int i = 0; i < LONG * 100 && in_a_row < 20; i++) {
		char state = state_of(pid);

		if (state == 'Z' || state == '?')
			return false;
		in_a_row = state == 'D' ? in_a_row + 1 : 0;
		usleep(10000);
	}
	return in_a_row == 20;
}

#endif /* VMADEMO_SLOW_STORE_H */
