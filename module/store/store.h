/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What stands behind a buffer's page cache: a store.  Folios are read in from it and
 * written back to it.  There are three, each a table of operations:
 *
 *   none   none.c   nothing: the page cache is the only copy
 *   ram    ram.c    pages that the kernel holds, as the stable copy
 *   file   file.c   a regular file or a block device
 *
 * Who may call what when: a folio is locked or under write-back while it is read or
 * written, so no two calls deal with the same bytes.  discard, resize and allocate
 * are called with i_rwsem held; discard, and resize to a smaller size, with the
 * invalidate lock too, after the folios of the range are gone from the page cache.
 */
#ifndef VMADEMO_STORE_H
#define VMADEMO_STORE_H

#include <linux/types.h>

struct file;
struct folio;
struct vmademo_buffer;

/**
 * struct vmademo_store_ops - one kind of store
 * @kind: VMADEMO_STORE_...
 * @name: as it is shown and given to store=
 * @read: fill a locked folio of which at least one byte is below the buffer's size,
 *        all of it; NULL if there is nothing to read, and a new folio is zeroes.
 *        Returns 0, -EIO or -ENOMEM.  May sleep; called by way of @call.
 * @prepare: @len bytes from @pos on are about to be read; NULL if that helps nobody.
 *           May sleep; called by way of @call.
 * @write: write @len bytes of a folio, from @offset in it on.
 *         Returns 0, -EIO or -ENOSPC.  May sleep; called by way of @call.
 * @flush: make what was written lasting; with @datasync only what it takes to read
 *         it again.  NULL if there is nothing to do.
 *         Returns 0, -EIO or -ENOSPC.  May sleep.
 * @discard: make [@start, @end) zero, and free it where that is possible.
 *           Returns 0 or a negative errno.  May sleep.
 * @resize: the size becomes @to and was @from.  What was beyond the smaller of the
 *          two must read as zeroes when the buffer has grown again.
 *          Returns 0 or a negative errno; then nothing has changed.  May sleep.
 * @allocate: see to it that [@start, @end) can be written later.
 *            Returns 0 or a negative errno.  May sleep.
 * @call: run a function where the store can be read and written, and wait for it.
 *        Returns what it does.  May sleep.
 * @close: the buffer is going; nothing of it is cached any more.  May sleep.
 */
struct vmademo_store_ops {
	u32 kind;
	const char *name;
	int (*read)(struct vmademo_buffer *buf, struct folio *folio);
	void (*prepare)(struct vmademo_buffer *buf, loff_t pos, loff_t len);
	int (*write)(struct vmademo_buffer *buf, struct folio *folio,
		     size_t offset, size_t len);
	int (*flush)(struct vmademo_buffer *buf, bool datasync);
	int (*discard)(struct vmademo_buffer *buf, loff_t start, loff_t end);
	int (*resize)(struct vmademo_buffer *buf, loff_t from, loff_t to);
	int (*allocate)(struct vmademo_buffer *buf, loff_t start, loff_t end);
	int (*call)(struct vmademo_buffer *buf, int (*function)(void *arg),
		    void *arg);
	void (*close)(struct vmademo_buffer *buf);
};

/* none.c */
int vmademo_call_here(struct vmademo_buffer *buf, int (*function)(void *arg),
		      void *arg);
extern const struct vmademo_store_ops vmademo_store_none;

/* ram.c */
extern const struct vmademo_store_ops vmademo_store_ram;

/* file.c */
extern const struct vmademo_store_ops vmademo_store_file;
int vmademo_store_file_init(void);
void vmademo_store_file_exit(void);
struct file *vmademo_store_file_open(const struct path *path, bool read_only);
struct file *vmademo_store_file_open_name(const char *name);
int vmademo_store_file_size(struct file *file, loff_t *size);
void vmademo_store_file_attach(struct vmademo_buffer *buf, struct file *file);
int vmademo_store_file_sync(void);

#endif /* VMADEMO_STORE_H */
