/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What stands behind a buffer's page cache: a store.  Folios are read in from it and
 * written back to it.  There are three, each a table of operations:
 *
 *   none   none.c   nothing: the page cache is the only copy
 *   ram    ram.c    pages that the kernel holds, as the stable copy
 *   file   file.c   a regular file or a block device, the backing file
 *
 * Which calls exclude each other: a folio is locked or under write-back while it is
 * read or written, so no two calls deal with the same bytes.  reserve is called with
 * i_rwsem or the shared invalidate lock held; discard, resize and allocate with
 * i_rwsem, shape_lock and the exclusive invalidate lock, with write-back drained.  So none
 * of these three runs while something is written back or reserved, nor while it is read
 * in by a fault or a read(2); others in the kernel may read in at any time.
 *
 * All or nothing: a call that fails has changed nothing that can be read.
 */
#ifndef VMADEMO_STORE_H
#define VMADEMO_STORE_H

#include <linux/types.h>

struct bio_vec;
struct file;
struct folio;
struct path;
struct page;
struct vmademo_buffer;
struct vmademo_tree;
struct vmademo_crash;

/**
 * struct vmademo_store_ops - one kind of store
 * @kind: VMADEMO_STORE_...
 * @name: as it is shown and given to store=
 * @read: fill a locked folio of which at least one byte is below the buffer's size,
 *        all of it; NULL if there is nothing to read, and a new folio is zeroes.
 *        Returns 0, -EIO or -ENOMEM.  May sleep; called by way of @run.
 * @prepare: @len bytes from @pos on are about to be read; NULL if that helps nobody.
 *           May sleep; called by way of @run.
 * @reserve: the page at @index becomes dirty: take what writing it back needs.
 *           NULL if that is nothing.  Returns 1 if it took it, 0 if it had it, -ENOSPC
 *           or -ENOMEM.  May sleep.
 * @release: give back what @reserve took for a page that did not become dirty.
 * @write: write @len bytes of a folio, from @offset in it on.
 *         Returns 0, -EIO, -ENOSPC, or -ENOMEM if it can be tried again.  May
 *         sleep; called by the worker that ends write-back, or by the task that starts it
 *         where that cannot block; and by a simulated power cut.
 * @flush: make what was written durable; with @datasync only what it takes to read
 *         it again.  NULL if there is nothing to do.
 *         Returns 0, -EIO or -ENOSPC; -EINTR if the caller is being killed.  May sleep.
 * @discard: make [@start, @end) zero, and free it where that is possible, or with
 *           @keep keep it allocated.
 *           Returns 0 or a negative errno.  May sleep.
 * @resize: the size becomes @to and was @from.  What was beyond the smaller of the
 *          two must read as zeroes when the buffer has grown again; with @keep what is
 *          allocated there stays so.
 *          Returns 0 or a negative errno.  May sleep.
 * @grow: data is about to be written that ends at @to, which is beyond the buffer's size;
 *        or it came less far, to @to.  NULL if that is nothing to the store.  With i_rwsem
 *        held, but no other lock.  Returns 0 or a negative errno.  May sleep.
 * @allocate: see to it that [@start, @end) can be written later; NULL if to @reserve each
 *            page does that.  Returns 0 or a negative errno.  May sleep.
 * @seek: the first byte at or after @pos that is data (@whence SEEK_DATA) or in a hole
 *        (SEEK_HOLE); LLONG_MAX if there is no such.  Returns it, or a negative errno.
 *        May sleep.
 * @used: bytes that it holds of the buffer.  May sleep.
 * @start_change: keep it changeable, with i_rwsem held; NULL if it always is.  @discard,
 *                @resize and @allocate are called before @end_change.
 *                Returns 0; -EINTR if the task is being killed; without @wait, it may
 *                not sleep, and -EAGAIN says that it cannot be changed.
 * @end_change: of @start_change; NULL if that is.
 * @run: call a function where the store can be read and written, and wait for it.
 *       Returns what it does.  May sleep.
 * @blocks: an operation may take as long as somebody else likes: write-back is ended
 *          by a worker.
 * @close: the buffer is going; nothing of it is cached any more.  May sleep.
 *
 * Store none has no operation at all; @read says whether there is a store.
 */
struct vmademo_store_ops {
	u32 kind;
	const char *name;
	bool blocks;
	int (*read)(struct vmademo_buffer *buf, struct folio *folio);
	void (*prepare)(struct vmademo_buffer *buf, loff_t pos, loff_t len);
	int (*reserve)(struct vmademo_buffer *buf, pgoff_t index, gfp_t gfp);
	void (*release)(struct vmademo_buffer *buf, pgoff_t index);
	int (*write)(struct vmademo_buffer *buf, struct folio *folio,
		     size_t offset, size_t len);
	int (*flush)(struct vmademo_buffer *buf, bool datasync);
	int (*discard)(struct vmademo_buffer *buf, loff_t start, loff_t end,
		       bool keep);
	int (*resize)(struct vmademo_buffer *buf, loff_t from, loff_t to,
		      bool keep);
	int (*grow)(struct vmademo_buffer *buf, loff_t to);
	int (*allocate)(struct vmademo_buffer *buf, loff_t start, loff_t end);
	loff_t (*seek)(struct vmademo_buffer *buf, loff_t pos, int whence);
	u64 (*used)(struct vmademo_buffer *buf);
	int (*start_change)(struct vmademo_buffer *buf, bool wait);
	void (*end_change)(struct vmademo_buffer *buf);
	int (*run)(struct vmademo_buffer *buf, int (*function)(void *arg),
		   void *arg);
	void (*close)(struct vmademo_buffer *buf);
};

/* none.c */
extern const struct vmademo_store_ops vmademo_store_none;

/* ram.c */
extern const struct vmademo_store_ops vmademo_store_ram;
struct page *vmademo_ram_alloc(struct vmademo_buffer *buf, gfp_t gfp);
void vmademo_ram_free(struct vmademo_buffer *buf, struct page *page);
void vmademo_ram_discard(struct vmademo_buffer *buf, loff_t start, loff_t end);

/* ram_size.c */
void vmademo_size_is_set(struct vmademo_buffer *buf, loff_t size);
bool vmademo_size_catch_up(struct vmademo_buffer *buf, bool commit);
void vmademo_size_try_catch_up(struct vmademo_buffer *buf);
loff_t vmademo_size_durable(struct vmademo_buffer *buf);
void vmademo_size_reached(struct vmademo_buffer *buf, loff_t end);
int vmademo_size_flush(struct vmademo_buffer *buf, loff_t size);
bool vmademo_make_room(struct vmademo_buffer *of, int err, gfp_t gfp, unsigned int *tries);
bool vmademo_make_room_in(const struct vmademo_tree *tree, unsigned int *tries);
void vmademo_size_end(struct vmademo_buffer *buf);
void vmademo_size_shrink(struct vmademo_buffer *buf, loff_t size);
bool vmademo_size_op_is_lost(const struct vmademo_buffer *buf, const struct vmademo_crash *crash);
bool vmademo_size_is_lost(const struct vmademo_buffer *buf, const struct vmademo_crash *crash);
void vmademo_size_cut(struct vmademo_buffer *buf, const struct vmademo_crash *crash);

/* file.c */
extern const struct vmademo_store_ops vmademo_store_file;

/* backing.c */
struct address_space *vmademo_backing_mapping(struct file *file);
ssize_t vmademo_backing_transfer(struct file *file, const struct bio_vec *bvec,
				 loff_t pos, bool write);
int vmademo_backing_start_write(struct file *file, bool wait);
void vmademo_backing_end_write(struct file *file);
int vmademo_backing_set_size(struct file *file, loff_t size);
int vmademo_backing_allocate(struct file *file, loff_t start, loff_t end);
int vmademo_backing_zero(struct file *file, loff_t start, loff_t end, bool keep);

/* open.c */
struct file *vmademo_store_file_open(const struct path *path, bool read_only);
struct file *vmademo_store_file_open_name(const char *name);
int vmademo_store_file_size(struct file *file, loff_t *size);
int vmademo_store_file_attach(struct vmademo_buffer *buf, struct file *file);
void vmademo_store_file_detach(struct vmademo_buffer *buf);

#endif /* VMADEMO_STORE_H */
