// SPDX-License-Identifier: GPL-2.0-only
/*
 * Allocating many pages of a buffer at once, all or none: for fallocate(2), and for
 * prealloc=1.  What takes the time is to zero them; so all processors take part, each with
 * a piece of the range at a time.
 *
 * Locks: called with i_rwsem held for writing, and for a store also with shape_lock and
 * the mapping's invalidate lock.  Without a store, the workers take the latter (shared).
 */
#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/cpumask.h>
#include <linux/highmem.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "store/store.h"
#include "vmademo.h"

/* Pages that one processor takes at a time; whole words of the bitmap are its own. */
#define PIECE	512

struct allocation {
	struct vmademo_buffer *buf;
	struct task_struct *caller;
	struct mem_cgroup *memcg;	/* the caller's, which pays */
	pgoff_t first;
	unsigned long pages;
	atomic_long_t next;		/* counted from first */
	int err;			/* of whoever failed: nobody goes on */
	unsigned long *made;		/* those that were not there before */
};

struct helper {
	struct work_struct work;
	struct allocation *allocation;
};

/*
 * Nothing was written to the page: it reads the same without it.  That it is clean does not
 * tell; it may have been written back.  The caller holds its lock.
 */
static bool is_untouched(struct folio *folio)
{
	bool zero = true;
	size_t at;

	if (folio_test_dirty(folio) || folio_maybe_dma_pinned(folio) ||
	    vmademo_folio_is_broken(folio))
		return false;
	for (at = 0; at < folio_size(folio) && zero; at += PAGE_SIZE) {
		void *data = kmap_local_folio(folio, at);

		zero = !memchr_inv(data, 0, PAGE_SIZE);
		kunmap_local(data);
	}
	return zero;
}

static int allocate_page(struct vmademo_buffer *buf, pgoff_t index)
{
	struct address_space *mapping = buf->inode->i_mapping;
	/* Rather refuse than have others killed for memory */
	const gfp_t gently = __GFP_RETRY_MAYFAIL | __GFP_NOWARN;
	struct folio *folio;

	if (buf->store->reserve)
		return buf->store->reserve(buf, index, GFP_KERNEL | gently);
	folio = vmademo_make_folio(mapping, index, mapping_gfp_mask(mapping) | gently,
				   buf->order);
	if (IS_ERR_OR_NULL(folio))
		return PTR_ERR_OR_ZERO(folio);
	folio_unlock(folio);
	folio_put(folio);
	return 1;
}

/* What allocate_page() has made. */
static void free_page_again(struct vmademo_buffer *buf, pgoff_t index)
{
	struct address_space *mapping = buf->inode->i_mapping;
	struct folio *folio;

	if (buf->store->release) {
		buf->store->release(buf, index);
		return;
	}
	folio = vmademo_lock_folio(mapping, index);
	if (!folio)
		return;
	if (is_untouched(folio))
		vmademo_remove_folio(mapping, folio);
	folio_unlock(folio);
	folio_put(folio);
}

static int allocate_piece(struct allocation *a, unsigned long from)
{
	unsigned long i, to = min(from + PIECE, a->pages);
	int ret;

	for (i = from; i < to; i++) {
		if (READ_ONCE(a->err))
			break;
		if (fatal_signal_pending(a->caller))
			return -EINTR;
		ret = allocate_page(a->buf, a->first + i);
		if (ret < 0)
			return ret;
		if (ret)
			__set_bit(i, a->made);
		cond_resched();
	}
	return 0;
}

static void allocate_pieces(struct allocation *a)
{
	unsigned long from;
	int err = 0;

	while (!err && !READ_ONCE(a->err)) {
		from = atomic_long_fetch_add(PIECE, &a->next);
		if (from >= a->pages)
			break;
		err = allocate_piece(a, from);
	}
	if (err)
		WRITE_ONCE(a->err, err);
}

static void help(struct work_struct *work)
{
	struct allocation *a = container_of(work, struct helper, work)->allocation;
	struct mem_cgroup *mine = set_active_memcg(a->memcg);

	allocate_pieces(a);
	set_active_memcg(mine);
}

/*
 * To lockdep, this is not the same as help(), which takes the invalidate lock: here it is held
 * by the task that waits.
 */
static void help_with_store(struct work_struct *work)
{
	help(work);
}

/*
 * The other processors.  How many pieces there are says how many can help; with no memory
 * for that, nobody does.
 */
static unsigned int start_helpers(struct allocation *a, struct helper **helpers)
{
	unsigned int i, n = min_t(unsigned long, num_online_cpus(),
				  DIV_ROUND_UP(a->pages, PIECE)) - 1;

	*helpers = n ? kcalloc(n, sizeof(**helpers), GFP_KERNEL | __GFP_NOWARN) : NULL;
	if (!*helpers)
		return 0;
	a->memcg = get_mem_cgroup_from_mm(current->mm);
	for (i = 0; i < n; i++) {
		struct helper *h = &(*helpers)[i];

		h->allocation = a;
		if (a->buf->store->read)
			INIT_WORK(&h->work, help_with_store);
		else
			INIT_WORK(&h->work, help);
		queue_work(system_unbound_wq, &h->work);
	}
	return n;
}

static void end_helpers(struct allocation *a, struct helper *helpers, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		flush_work(&helpers[i].work);
	if (n)
		mem_cgroup_put(a->memcg);
	kfree(helpers);
}

static void take_back(struct allocation *a)
{
	unsigned long i;

	for_each_set_bit(i, a->made, a->pages) {
		free_page_again(a->buf, a->first + i);
		cond_resched();
	}
	bitmap_zero(a->made, a->pages);
}

/**
 * vmademo_allocate_pages() - allocate a range page by page, all or none
 * @buf: the buffer, of store none or one that has @reserve
 * @start: the first byte
 * @end: the byte after the last, more than @start
 *
 * Context: May sleep.  For locks, see above.
 * Return: 0; -ENOSPC, -ENOMEM; -EINTR if a fatal signal came.
 */
int vmademo_allocate_pages(struct vmademo_buffer *buf, loff_t start, loff_t end)
{
	struct allocation a = {
		.buf = buf,
		.caller = current,
		.first = start >> PAGE_SHIFT,
		.pages = DIV_ROUND_UP(end, PAGE_SIZE) - (start >> PAGE_SHIFT),
	};
	const bool had_old_pages = !xa_empty(&buf->old_pages);
	struct helper *helpers;
	unsigned int n;

	if (a.pages > vmademo_room_limit || (buf->tree && a.pages > buf->tree->limit))
		return -ENOSPC;
	a.made = kvcalloc(BITS_TO_LONGS(a.pages), sizeof(long),
			  GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!a.made)
		return -ENOMEM;
	n = start_helpers(&a, &helpers);
	allocate_pieces(&a);
	end_helpers(&a, helpers, n);
	if (a.err)
		take_back(&a);
	/*
	 * Alone it may be possible: only this task may give up the buffer's own old pages; and in
	 * order, no large folio that reaches beyond the end takes what the others need.
	 */
	if (a.err == -ENOSPC && n && (had_old_pages || (!buf->store->read && buf->order))) {
		atomic_long_set(&a.next, 0);
		a.err = 0;
		allocate_pieces(&a);
		if (a.err)
			take_back(&a);
	}
	kvfree(a.made);
	return a.err;
}
