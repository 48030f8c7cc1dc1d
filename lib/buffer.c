// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buffers, made and opened in each way that there is.
 */
#include "lib.h"

uint32_t folio_size_wanted;

/* A new buffer with such a store, as a regular file; -1 and errno. */
int create_with(uint32_t store, uint64_t size, int store_fd)
{
	struct vmademo_create c = {
		.size = size,
		.flags = VMADEMO_FD_CLOEXEC,
		.store = store,
		.store_fd = store_fd,
		.folio_size = folio_size_wanted,
	};
	int node = open(NODE, O_RDWR | O_CLOEXEC), fd, err;

	if (node < 0 && errno == EROFS) /* its store cannot be written to */
		node = open(NODE, O_RDONLY | O_CLOEXEC);
	if (node < 0)
		return -1;
	fd = ioctl(node, VMADEMO_IOC_CREATE, &c);
	err = errno;
	close(node);
	errno = err;
	return fd;
}

/* The same without a store. */
int create_buffer(uint64_t size)
{
	return create_with(VMADEMO_STORE_NONE, size, 0);
}

/*
 * A new file, without a name, of a mounted tree of its own; -1 and errno.  Nobody else sees
 * the tree, and it ends with the file.  (By number: the headers of mount(2) do not go with
 * those of the kernel.)
 */
int create_in_tree(const char *store, uint64_t size)
{
	char path[64] = "/tmp/vmademo-view-XXXXXX", options[64];
	unsigned int len;
	int fd = -1, err;

	len = snprintf(options, sizeof(options), "store=%s", store);
	if (folio_size_wanted)
		snprintf(options + len, sizeof(options) - len, ",folio_size=%u",
			 folio_size_wanted);
	if (!mkdtemp(path))
		return -1;
	if (!syscall(SYS_mount, "none", path, "vmademo", 0, options)) {
		fd = open(path, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
		/* Or a power cut would leave it without a size */
		if (fd >= 0 && (ftruncate(fd, size) || fsync(fd))) {
			close(fd);
			fd = -1;
		}
		err = errno;
		syscall(SYS_umount2, path, 2 /* MNT_DETACH */);
		errno = err;
	}
	err = errno;
	rmdir(path);
	errno = err;
	return fd;
}

/* The regular-file view of the buffer behind an open node; -1 and errno. */
int open_file_view(int node)
{
	struct vmademo_open_file o = { .flags = VMADEMO_FD_CLOEXEC };

	return ioctl(node, VMADEMO_IOC_OPEN_FILE, &o);
}

int open_view(enum view view)
{
	if (view == TREE_VIEW)
		return create_in_tree("none", node_value("size"));
	return view == NODE_VIEW ? open(NODE, O_RDWR | O_CLOEXEC)
				 : create_buffer(node_value("size"));
}

/* Opens the file behind fd once more, node or regular file; -1 and errno. */
int reopen(int fd, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags | O_CLOEXEC);
}
