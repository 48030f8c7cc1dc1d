// SPDX-License-Identifier: GPL-2.0-only
/*
 * The size of a buffer with store ram after a power cut: as on a file system, a new size is
 * durable only when the buffer has been flushed, or when data that lies there has been
 * written.
 *
 * A buffer that was made smaller can be as large as before after a cut, with all that was
 * there.  So its pages are put aside until the smaller size is durable: the old pages.  There
 * the first page may have bytes of both; what is before @size_kept is in the store.
 *
 *        0                 size_kept          size_durable
 *        |  in the store       |     old pages     |         after a cut: size_durable
 *
 * If there is no room for that, the smaller size is durable at once.  Nor does any buffer lack
 * room because of old pages: the oldest of them go first; those of other trees and buffers, if
 * it is the room of all that is used up.
 *
 * In a mounted tree with names=ordered, a size that a program has set is an operation of the
 * tree's log, too (tree/sizes.c).  It is durable when the log says so.  Here that is noted only
 * when somebody looks, for an fsync of another file must not wait for this one's locks.
 *
 * Locks: both sizes, and size_op, change under i_lock.  Old pages come with i_rwsem, shape_lock
 * and the invalidate lock held, when nothing is written or reserved.  They go with one of these
 * held, or while something is written or reserved; and with store_gate held for reading, so that
 * a snapshot has them all.  old_lock, inside folio locks, guards the list of buffers that have
 * some; under it, other locks are only tried.
 */
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/vmademo.h>
#include <linux/xarray.h>

#include "compat.h"
#include "power.h"
#include "rules.h"
#include "store/store.h"
#include "vmademo.h"

static DEFINE_MUTEX(old_lock);
static LIST_HEAD(with_old_pages);

static void free_old_pages(struct vmademo_buffer *buf)
{
	unsigned long index;
	struct page *page;

	xa_for_each(&buf->old_pages, index, page) {
		/* Another task may be about it, too */
		page = xa_erase(&buf->old_pages, index);
		if (page)
			vmademo_ram_free(buf, page);
		cond_resched();
	}
}

/* The size will be at least so much after a cut, and nothing comes back any more. */
static void settle_alone(struct vmademo_buffer *buf, loff_t size)
{
	spin_lock(&buf->inode->i_lock);
	size = max(size, buf->size_kept);
	WRITE_ONCE(buf->size_kept, size);
	WRITE_ONCE(buf->size_durable, size);
	spin_unlock(&buf->inode->i_lock);
	free_old_pages(buf);
}

static void forget_op(struct vmademo_buffer *buf)
{
	spin_lock(&buf->inode->i_lock);
	buf->size_op = 0;
	spin_unlock(&buf->inode->i_lock);
}

/**
 * vmademo_size_catch_up() - is the size that was set last durable, as far as the log knows?
 * @buf: the buffer
 * @commit: make it so, and with it what was done to the tree before; but not without power
 *
 * Context: May sleep.  Locks as for old pages, see above.
 * Return: whether it is, or none was set.
 */
bool vmademo_size_catch_up(struct vmademo_buffer *buf, bool commit)
{
	loff_t size;
	u64 op;

	spin_lock(&buf->inode->i_lock);
	op = buf->size_op;
	size = buf->size_of_op;
	spin_unlock(&buf->inode->i_lock);
	if (!op)
		return true;
	if (commit ? !vmademo_power_commit(buf->tree, op) :
		     op > READ_ONCE(buf->tree->names_durable))
		return false;
	settle_alone(buf, size);
	forget_op(buf);
	return true;
}

/* The same as settle_alone(), and what was done before in the tree is durable as well. */
static bool settle(struct vmademo_buffer *buf, loff_t size)
{
	if (!vmademo_size_catch_up(buf, true))
		return false;
	settle_alone(buf, size);
	return true;
}

/**
 * vmademo_size_durable() - the size that a power cut leaves, if nothing is written until then
 * @buf: the buffer
 *
 * Context: Any.
 * Return: bytes.
 */
loff_t vmademo_size_durable(struct vmademo_buffer *buf)
{
	loff_t size = i_size_read(buf->inode);

	if (!vmademo_size_is_pending(buf))
		return size;
	spin_lock(&buf->inode->i_lock);
	if (buf->size_op && buf->size_op <= READ_ONCE(buf->tree->names_durable))
		size = max(buf->size_of_op, buf->size_kept);
	else
		size = buf->size_durable;
	spin_unlock(&buf->inode->i_lock);
	return size;
}

/**
 * vmademo_size_try_catch_up() - the same, unless somebody is about the size
 * @buf: the buffer
 *
 * Context: May sleep.
 */
void vmademo_size_try_catch_up(struct vmademo_buffer *buf)
{
	if (!down_read_trylock(&buf->shape_lock))
		return;
	if (down_read_trylock(&buf->store_gate)) {
		vmademo_size_catch_up(buf, false);
		up_read(&buf->store_gate);
	}
	up_read(&buf->shape_lock);
}

/**
 * vmademo_size_is_set() - a new buffer has its first size, which is durable
 * @buf: the buffer
 * @size: bytes; VMADEMO_SIZE_DURABLE if any size that it will have is durable at once
 *
 * Context: Nobody else knows the buffer yet.
 */
void vmademo_size_is_set(struct vmademo_buffer *buf, loff_t size)
{
	buf->size_kept = size;
	buf->size_durable = size;
}

/**
 * vmademo_size_reached() - data has been written to the store
 * @buf: the buffer
 * @end: where it ends, at most at the buffer's end
 *
 * Context: May sleep.  The caller writes to the store, with store_gate held for reading.
 */
void vmademo_size_reached(struct vmademo_buffer *buf, loff_t end)
{
	if (unlikely(end > READ_ONCE(buf->size_kept)))
		settle(buf, end);
}

/**
 * vmademo_size_flush() - a flush makes the size durable
 * @buf: the buffer
 * @size: what it was before what was dirty was written back: what came later is not durable
 *
 * Context: May sleep.  Takes shape_lock, so that the size is not just being changed, and
 *          store_gate.
 * Return: 0; -EINTR if the task is being killed; -EIO if its tree has no power.
 */
int vmademo_size_flush(struct vmademo_buffer *buf, loff_t size)
{
	int err;

	if (!vmademo_size_is_pending(buf))
		return 0;
	err = down_read_killable(&buf->shape_lock);
	if (err)
		return err;
	err = down_read_killable(&buf->store_gate);
	if (!err) {
		if (!settle(buf, min(size, i_size_read(buf->inode))))
			err = -EIO;
		up_read(&buf->store_gate);
	}
	up_read(&buf->shape_lock);
	return err;
}

/* Its old pages go, if it has some and nobody is about them. */
static bool give_up_old_pages(struct vmademo_buffer *buf)
{
	bool mine = READ_ONCE(buf->reshaper) == current, had = false;

	if (xa_empty(&buf->old_pages) || (!mine && !down_read_trylock(&buf->shape_lock)))
		return false;
	/* Whoever takes a snapshot may wait for the folio that the caller has locked */
	if (down_read_trylock(&buf->store_gate)) {
		had = !xa_empty(&buf->old_pages) && settle(buf, 0);
		up_read(&buf->store_gate);
	}
	if (!mine)
		up_read(&buf->shape_lock);
	return had;
}

/* Of a tree, of a buffer, or if it is the room of all that is used up, of any of them. */
static bool give_up_some(const struct vmademo_tree *tree, const struct vmademo_buffer *of,
			 bool of_all)
{
	struct vmademo_buffer *buf;
	bool had = false;

	if (!mutex_trylock(&old_lock)) {
		/* By another one, who lacks room as well, there may be some now */
		mutex_lock(&old_lock);
		mutex_unlock(&old_lock);
		return true;
	}
	list_for_each_entry(buf, &with_old_pages, old) {
		if (!of_all && buf != of && (!tree || buf->tree != tree))
			continue;
		had = give_up_old_pages(buf);
		if (had)
			break;
	}
	mutex_unlock(&old_lock);
	return had;
}

static bool has_some_again(const struct vmademo_buffer *of, int err)
{
	return err == -ENOSPC && !vmademo_room_is_used_up() && !vmademo_tree_is_full(of->tree);
}

/**
 * vmademo_make_room() - there is no room for a page: what only waits to be durable gives some up
 * @of: the buffer that lacks it
 * @err: -ENOSPC, or -ENOMEM
 * @gfp: how the page is allocated
 * @tries: how often this was done for the page, 0 at first: not for ever, while others take and
 *	   give up what there is
 *
 * Old pages go first, and the buffer that they are of stays as small as it is, whatever cut
 * comes; then what was removed from trees.  What is no use to @of is left alone.
 *
 * Context: May sleep, as @gfp says.  The caller may hold any lock of a buffer.
 * Return: whether there may be room now.
 */
bool vmademo_make_room(struct vmademo_buffer *of, int err, gfp_t gfp, unsigned int *tries)
{
	if ((*tries)++ == VMADEMO_ROOM_TRIES)
		return false;
	return has_some_again(of, err) ||
	       give_up_some(of->tree, of, vmademo_room_is_used_up()) ||
	       (gfp & __GFP_FS && vmademo_log_make_room(of->tree)) ||
	       has_some_again(of, err);
}

/**
 * vmademo_make_room_in() - the same for what is no page of a buffer
 * @tree: which lacks it
 * @tries: as above
 *
 * Context: May sleep.  The caller may hold any lock of a buffer.
 * Return: whether there may be room now.
 */
bool vmademo_make_room_in(const struct vmademo_tree *tree, unsigned int *tries)
{
	if ((*tries)++ == VMADEMO_ROOM_TRIES)
		return false;
	return give_up_some(tree, NULL, false) || vmademo_log_make_room(tree);
}

/**
 * vmademo_size_end() - the buffer is going
 * @buf: the buffer
 *
 * Context: May sleep.
 */
void vmademo_size_end(struct vmademo_buffer *buf)
{
	mutex_lock(&old_lock);
	list_del(&buf->old);
	mutex_unlock(&old_lock);
	free_old_pages(buf);
}

/* The old page that lies across size_kept gets what the store has before it. */
static void complete_first(struct vmademo_buffer *buf)
{
	pgoff_t index = buf->size_kept >> PAGE_SHIFT;
	size_t part = offset_in_page(buf->size_kept);
	struct page *old = xa_load(&buf->old_pages, index);
	struct page *page = xa_load(&buf->ram, index);

	if (!old || !part)
		return;
	if (page)
		memcpy_page(old, 0, page, 0, part);
	else
		memzero_page(old, 0, part);
}

/* Put the page aside, or a copy of it if its beginning stays.  Returns whether it could. */
static bool put_aside(struct vmademo_buffer *buf, pgoff_t index, struct page *page, bool copy)
{
	struct page *old = page;

	/* From when it was smaller before: that is the durable one */
	if (xa_load(&buf->old_pages, index)) {
		if (!copy)
			vmademo_ram_free(buf, page);
		return true;
	}
	if (copy)
		old = vmademo_ram_alloc(buf, GFP_KERNEL);
	if (IS_ERR(old))
		return false;
	if (copy)
		copy_highpage(old, page);
	if (!xa_err(xa_store(&buf->old_pages, index, old, GFP_KERNEL | __GFP_NOWARN)))
		return true;
	vmademo_ram_free(buf, old);
	return false;
}

/**
 * vmademo_size_shrink() - the buffer becomes smaller, and pages leave its store
 * @buf: the buffer
 * @size: the new size
 *
 * Context: May sleep.  The caller holds i_rwsem, shape_lock and the invalidate lock.
 */
void vmademo_size_shrink(struct vmademo_buffer *buf, loff_t size)
{
	bool all = true;
	unsigned long index;
	struct page *page;

	if (size >= buf->size_kept || buf->size_kept == VMADEMO_SIZE_DURABLE)
		goto discard;
	complete_first(buf);
	mutex_lock(&old_lock);
	list_move_tail(&buf->old, &with_old_pages);
	mutex_unlock(&old_lock);
	xa_for_each_range(&buf->ram, index, page, size >> PAGE_SHIFT,
			  (buf->size_kept - 1) >> PAGE_SHIFT) {
		bool part = index == size >> PAGE_SHIFT && offset_in_page(size);

		if (!part)
			xa_erase(&buf->ram, index);
		if (all)
			all = put_aside(buf, index, page, part);
		else if (!part)
			vmademo_ram_free(buf, page);
		cond_resched();
	}
	spin_lock(&buf->inode->i_lock);
	WRITE_ONCE(buf->size_kept, size);
	spin_unlock(&buf->inode->i_lock);
	if (!all) {
		vmademo_log_commit(buf->tree);
		forget_op(buf);
		settle_alone(buf, size);
	}
discard:
	vmademo_ram_discard(buf, size, LLONG_MAX);
}

/**
 * vmademo_size_op_is_lost() - does a power cut undo the operation that has set the size?
 * @buf: the buffer
 * @crash: the cut, or one that is going to be
 *
 * Context: May sleep.  The caller holds i_rwsem.
 * Return: false also if there is none.
 */
bool vmademo_size_op_is_lost(const struct vmademo_buffer *buf, const struct vmademo_crash *crash)
{
	return buf->size_op && buf->size_op > vmademo_power_moment(buf->tree, crash);
}

/**
 * vmademo_size_is_lost() - does a power cut lose what the size has become?
 * @buf: the buffer
 * @crash: the cut: with the share of what happened to be written, the new size is durable
 *
 * Context: Any.
 */
bool vmademo_size_is_lost(const struct vmademo_buffer *buf, const struct vmademo_crash *crash)
{
	u32 permille = crash->written_permille;

	if (permille == VMADEMO_WRITTEN_ONE)
		permille = 500;
	return vmademo_rule_random(crash->seed, U64_MAX) % 1000 >= permille;
}

/**
 * vmademo_size_cut() - a power cut: what does the size become?
 * @buf: the buffer; nothing of it is cached
 * @crash: the cut
 *
 * Context: May sleep.  The caller holds i_rwsem, shape_lock and the invalidate lock.
 */
void vmademo_size_cut(struct vmademo_buffer *buf, const struct vmademo_crash *crash)
{
	bool undone = vmademo_size_op_is_lost(buf, crash);
	unsigned long index;
	struct page *page;

	forget_op(buf);
	if (!vmademo_size_is_pending(buf))
		return;
	if (!undone && !vmademo_size_is_lost(buf, crash)) {
		settle_alone(buf, i_size_read(buf->inode));
		return;
	}
	complete_first(buf);
	/* What was reserved, and never written; or written where the size is undone */
	vmademo_ram_discard(buf, buf->size_kept, LLONG_MAX);
	xa_for_each(&buf->old_pages, index, page) {
		struct page *cut;

		xa_erase(&buf->old_pages, index);
		/* Nobody could be told that there is no memory */
		cut = xa_store(&buf->ram, index, page, GFP_NOIO | __GFP_NOFAIL);
		if (cut)
			vmademo_ram_free(buf, cut);
		cond_resched();
	}
	i_size_write(buf->inode, buf->size_durable);
	settle_alone(buf, buf->size_durable);
}
