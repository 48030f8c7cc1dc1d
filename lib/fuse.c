// SPDX-License-Identifier: GPL-2.0-only
/*
 * A FUSE server for one file, of zeroes, of any size, that can fall silent.
 */
#include <poll.h>
#include <sys/stat.h>

#include <linux/fuse.h>

#include "slow_store.h"

/* So much of the file is kept; what is beyond reads as zeroes. */
#define FUSE_KEPT MIB

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

static void fuse_attributes(struct fuse_attr *attr, uint64_t node, uint64_t size)
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
static bool fuse_write_fails(volatile int *mute, pid_t parent)
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
static int fuse_answer(const struct fuse_in_header *in, struct fuse_reply *r,
		       uint64_t *size)
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
static void fuse_serve(int dev, int end, volatile int *mute)
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
		if ((in->opcode == FUSE_WRITE && fuse_write_fails(mute, parent)) ||
		    (in->opcode == FUSE_FSYNC && *mute == FAIL_FSYNC)) {
			reply.head.error = -EIO;
			if (in->opcode == FUSE_FSYNC)
				*mute = ANSWER;
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

const char *fuse_make(struct slow *s)
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
