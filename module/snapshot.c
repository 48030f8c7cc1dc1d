// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a power cut would leave, as a buffer of its own, while the program goes on: a
 * snapshot.  It is a buffer with store ram.  First it gets what is on the store, then those
 * folios that happened to be written, and some others in part, chosen as crash.c does it; and
 * last its size, with what comes back if the cut undoes that it was cut off.
 *
 * It is of one moment: nothing arrives in the store meanwhile, so nobody is told that
 * something is durable which the snapshot has not.  What is under write-back may have been
 * written or not, as what is dirty.  That is why write-back is not waited for: it may be a
 * rule that delays it, so that somebody can take a snapshot at just this event.
 *
 * A folio is copied as write-back would write it: from where nobody can write to it.  It stays
 * dirty, and the next write to it by a mapping comes to .page_mkwrite again.  With
 * VMADEMO_SNAPSHOT_STOPPED the caller sees to that, and a program meets no fault that it would
 * not have met without the snapshot.
 *
 * Locks: the buffer's i_rwsem, then its store_gate, then folio locks.  Whoever waits for that gate
 * may have a folio under write-back, and somebody else may wait for that with the folio locked:
 * so such a folio is copied without its lock.  Of the new buffer, which nobody knows yet, none.
 */
#include <linux/bitmap.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/rmap.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/vmademo.h>
#include <linux/xarray.h>

#include "compat.h"
#include "crash.h"
#include "power.h"
#include "store/store.h"
#include "trace.h"
#include "vmademo.h"

/* To get memory may take write-back, and write-back waits at the gate: so never wait for it. */
#define GFP_SNAPSHOT	(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN)

struct snapshot {
	struct vmademo_cut cut;
	struct vmademo_buffer *to;
	struct folio *page;	/* one page on its way from the store */
	loff_t reached;		/* data that happened to be written ends here */
	bool stopped;		/* nobody writes by a mapping */
};

/* Some bytes of one page of a folio. */
static int put(struct snapshot *s, struct folio *folio, size_t offset, size_t len)
{
	struct vmademo_buffer *to = s->to;
	int err = to->store->reserve(to, folio->index + (offset >> PAGE_SHIFT), GFP_SNAPSHOT);

	return min(err, 0) ?: to->store->write(to, folio, offset, len);
}

/* ---- what is on the store ------------------------------------------------ */

static int read_page(void *arg)
{
	struct snapshot *s = arg;

	return s->cut.buf->store->read(s->cut.buf, s->page);
}

static int copy_from_store(struct snapshot *s, pgoff_t index)
{
	struct vmademo_buffer *from = s->cut.buf;
	void *data;
	bool zero;
	int err;

	s->page->index = index;
	err = from->store->run(from, read_page, s);
	if (err)
		return err;
	data = kmap_local_folio(s->page, 0);
	zero = !memchr_inv(data, 0, PAGE_SIZE);
	kunmap_local(data);
	return zero ? 0 : put(s, s->page, 0, PAGE_SIZE);
}

static int copy_store(struct snapshot *s)
{
	struct vmademo_buffer *from = s->cut.buf;
	loff_t pos = 0, past, size = min(i_size_read(from->inode), from->size_kept);
	int err = 0;

	while (!err) {
		pos = from->store->seek(from, pos, SEEK_DATA);
		if (pos >= size)
			return 0;
		past = pos < 0 ? pos : from->store->seek(from, pos, SEEK_HOLE);
		if (past < 0)
			return past;
		/* At least a page, whatever the backing file's file system says */
		past = clamp(past, pos + 1, size);
		for (pos = round_down(pos, PAGE_SIZE); pos < past && !err; pos += PAGE_SIZE) {
			err = fatal_signal_pending(current) ? -EINTR :
							      copy_from_store(s, pos >> PAGE_SHIFT);
			cond_resched();
		}
	}
	return err;
}

/* ---- what happened to be written ----------------------------------------- */

static void let_go(struct folio *folio, bool locked)
{
	if (locked)
		folio_unlock(folio);
	folio_put(folio);
}

/* Nothing of it is still to be written.  It need not even be up to date. */
static bool is_stored(struct folio *folio)
{
	return !folio_test_dirty(folio) && !folio_test_writeback(folio);
}

/*
 * The folio there, which nobody writes to until let_go(); NULL if there is none, or if it has
 * arrived in the store since it was listed.
 */
static struct folio *hold(struct snapshot *s, pgoff_t index, bool *locked)
{
	struct address_space *mapping = s->cut.buf->inode->i_mapping;
	struct folio *folio = vmademo_get_cached(mapping, index);

	if (!folio)
		return NULL;
	while (!folio_trylock(folio)) {
		/* It is read in, which can take long: what was listed has arrived, and left */
		if (!folio_test_uptodate(folio) || vmademo_folio_is_broken(folio)) {
			folio_put(folio);
			return NULL;
		}
		/* Write-protected when that began, and writers wait until it has ended */
		if (folio_test_writeback(folio)) {
			*locked = false;
			return folio;
		}
		schedule_timeout_killable(1);
		if (fatal_signal_pending(current)) {
			folio_put(folio);
			return ERR_PTR(-EINTR);
		}
	}
	*locked = true;
	if (folio->mapping != mapping || is_stored(folio) || vmademo_folio_is_broken(folio)) {
		let_go(folio, true);
		return NULL;
	}
	if (folio_test_dirty(folio) && !s->stopped)
		folio_mkclean(folio);
	return folio;
}

/* So many bytes of it are inside the buffer. */
static size_t inside(struct snapshot *s, struct folio *folio)
{
	loff_t left = i_size_read(s->cut.buf->inode) - folio_pos(folio);

	return clamp_t(loff_t, left, 0, folio_size(folio));
}

/* Some bytes of one page of it have been written. */
static int put_written(struct snapshot *s, struct folio *folio, size_t offset, size_t len)
{
	s->reached = max_t(loff_t, s->reached, folio_pos(folio) + offset + len);
	return put(s, folio, offset, len);
}

static int copy_whole(struct snapshot *s, struct folio *folio)
{
	size_t at, len = inside(s, folio);
	int err = 0;

	for (at = 0; at < len && !err; at += PAGE_SIZE)
		err = put_written(s, folio, at, min_t(size_t, len - at, PAGE_SIZE));
	return err;
}

static int copy_torn(struct snapshot *s, struct folio *folio, unsigned int sectors)
{
	size_t len = inside(s, folio);
	unsigned int sector;
	int err = 0;

	for_each_set_bit(sector, s->cut.which, sectors) {
		size_t at = sector * SZ_512;

		if (at < len && !err)
			err = put_written(s, folio, at, min_t(size_t, len - at, SZ_512));
	}
	return err;
}

/* It changes whenever a folio becomes dirty. */
static u64 writes_of(const struct vmademo_buffer *buf)
{
	return vmademo_counter_sum(buf, VMADEMO_DIRTIED) + READ_ONCE(buf->redirtied);
}

/* Returns 1 if it was copied; 0 if it is gone; -EAGAIN if somebody may have written to it. */
static int copy_one(struct snapshot *s, size_t i)
{
	unsigned int sectors = PAGE_SIZE / SZ_512;
	const struct rnd_state random = s->cut.random;
	u64 writes = writes_of(s->cut.buf);
	struct folio *folio;
	bool locked;
	int err;

	folio = hold(s, s->cut.dirty[i], &locked);
	if (IS_ERR(folio))
		return PTR_ERR(folio);
	if (folio)
		sectors = min_t(size_t, folio_size(folio) / SZ_512, VMADEMO_CUT_SECTORS);
	if (i >= s->cut.written)
		vmademo_cut_sectors(&s->cut, sectors);
	if (!folio)
		return 0;
	err = i < s->cut.written ? copy_whole(s, folio) : copy_torn(s, folio, sectors);
	/*
	 * Write-back can have ended, and another can have begun, with a write between them; or a
	 * rule has ended it without the store: the same sectors once more.
	 */
	smp_rmb();	/* after what was copied */
	if (!err && !locked &&
	    (!folio_test_writeback(folio) || writes_of(s->cut.buf) != writes)) {
		s->cut.random = random;
		err = -EAGAIN;
	}
	let_go(folio, locked);
	cond_resched();
	return err ?: 1;
}

static int copy_dirty(struct snapshot *s)
{
	struct vmademo_crash *crash = s->cut.crash;
	size_t i;
	int n;

	for (i = 0; i < s->cut.past_torn; i++) {
		do
			n = fatal_signal_pending(current) ? -EINTR : copy_one(s, i);
		while (n == -EAGAIN);
		if (n < 0)
			return n;
		*(i < s->cut.written ? &crash->written_folios : &crash->torn_folios) += n;
	}
	return 0;
}

/* All that was dirty, less what was written. */
static void count_lost(struct snapshot *s)
{
	size_t i;

	for (i = s->cut.written; i < s->cut.count; i++) {
		struct folio *folio = vmademo_get_cached(s->cut.buf->inode->i_mapping,
							 s->cut.dirty[i]);

		if (!folio)
			continue;
		if (!is_stored(folio)) {
			s->cut.crash->lost_folios++;
			s->cut.crash->lost_bytes += folio_size(folio);
		}
		folio_put(folio);
	}
}

/* What comes back if it is undone that the buffer was made smaller. */
static int copy_old_pages(struct snapshot *s)
{
	struct vmademo_buffer *from = s->cut.buf;
	unsigned long index;
	struct page *page;
	int err = 0;

	xa_for_each(&from->old_pages, index, page) {
		size_t part = index == from->size_kept >> PAGE_SHIFT ?
				      offset_in_page(from->size_kept) : 0;

		s->page->index = index;
		copy_highpage(folio_page(s->page, 0), page);
		err = fatal_signal_pending(current) ? -EINTR :
						      put(s, s->page, part, PAGE_SIZE - part);
		if (err)
			break;
		cond_resched();
	}
	return err;
}

/* As vmademo_size_cut() does it. */
static int copy_size(struct snapshot *s)
{
	struct vmademo_buffer *from = s->cut.buf, *to = s->to;
	loff_t size = i_size_read(from->inode), kept = from->size_kept;
	loff_t durable = from->size_durable;
	bool undone = vmademo_size_op_is_lost(from, s->cut.crash);
	int err = 0;

	if (from->size_op && !undone) {
		kept = max(from->size_of_op, kept);
		durable = kept;
	}
	/* What was written is no use where the size is undone */
	if (undone) {
		vmademo_ram_discard(to, kept, LLONG_MAX);
		s->reached = 0;
	}
	if (vmademo_size_is_pending(from) &&
	    (undone || vmademo_size_is_lost(from, s->cut.crash))) {
		size = max(s->reached, kept);
		if (s->reached <= kept) {
			err = durable > kept ? copy_old_pages(s) : 0;
			size = durable;
		}
	}
	i_size_write(to->inode, size);
	vmademo_size_is_set(to, size);
	return err;
}

/* With i_rwsem held: no size changes, no hole is made, nothing is written by write(2). */
static int take(struct snapshot *s)
{
	struct vmademo_buffer *buf = s->cut.buf;
	unsigned int noio;
	int err;

	/* Of a cut that is under way, it shows what that leaves */
	if (vmademo_is_off(buf)) {
		err = vmademo_cut_now(buf);
		if (err)
			return err;
	}
	/* Without power, nothing can have been written */
	if (vmademo_is_off(buf)) {
		s->cut.crash->written_permille = 0;
		s->cut.crash->torn = 0;
	}
	err = vmademo_cut_choose(&s->cut) ?: down_write_killable(&buf->store_gate);
	if (err)
		return err;
	noio = memalloc_noio_save();
	err = copy_store(s) ?: copy_dirty(s) ?: copy_size(s);
	if (!err)
		count_lost(s);
	memalloc_noio_restore(noio);
	up_write(&buf->store_gate);
	return err;
}

/* ---- the request --------------------------------------------------------- */

/* Makes a buffer of what a cut would leave, and says in @crash what that is. */
static struct vmademo_buffer *snapshot_of(struct vmademo_buffer *buf, struct vmademo_crash *crash)
{
	struct snapshot s = {
		.cut = { .buf = buf, .crash = crash, .in_flight = true },
		.stopped = crash->flags & VMADEMO_SNAPSHOT_STOPPED,
	};
	int err = -ENOMEM;

	if (!buf->store->read)
		return ERR_PTR(-EOPNOTSUPP);
	s.to = vmademo_buffer_create(0, &vmademo_store_ram, NULL, buf->order, false);
	if (IS_ERR(s.to))
		return s.to;
	s.page = vmademo_alloc_folio(GFP_KERNEL, 0);
	if (s.page)
		err = vmademo_lock_data(buf);
	if (!err) {
		err = take(&s);
		vmademo_cut_end(&s.cut);
		inode_unlock(buf->inode);
	}
	if (s.page)
		folio_put(s.page);
	if (err) {
		vmademo_buffer_put(s.to);
		return ERR_PTR(err);
	}
	trace_vmademo_snapshot(buf->inode->i_ino, s.to->inode->i_ino, crash->seed,
			       crash->written_folios, crash->torn_folios, crash->lost_folios);
	return s.to;
}

/**
 * vmademo_ioctl_snapshot() - VMADEMO_IOC_SNAPSHOT
 * @file: any file whose f_mapping is a buffer's
 * @arg: its argument, an address of the caller
 *
 * Context: May sleep.
 * Return: a descriptor, or a negative errno.
 */
long vmademo_ioctl_snapshot(struct file *file, void __user *arg)
{
	struct vmademo_crash crash, asked;
	struct vmademo_buffer *to;
	int fd;

	if (copy_from_user(&crash, arg, sizeof(crash)))
		return -EFAULT;
	asked = (struct vmademo_crash) {
		.seed = crash.seed,
		.written_permille = crash.written_permille,
		.torn = crash.torn,
		.flags = crash.flags,
	};
	if (memcmp(&asked, &crash, sizeof(crash)) || crash.written_permille > VMADEMO_WRITTEN_ONE ||
	    crash.flags & ~(VMADEMO_FD_CLOEXEC | VMADEMO_SNAPSHOT_STOPPED))
		return -EINVAL;
	/* It takes room that others may want, and holds writers up: not for readers */
	if (!(file->f_mode & FMODE_READ) || !vmademo_may_rule(file))
		return -EBADF;
	fd = get_unused_fd_flags(crash.flags & VMADEMO_FD_CLOEXEC ? O_CLOEXEC : 0);
	if (fd < 0)
		return fd;
	to = snapshot_of(vmademo_buffer_of(file->f_mapping), &crash);
	if (IS_ERR(to)) {
		put_unused_fd(fd);
		return PTR_ERR(to);
	}
	crash.written_permille = asked.written_permille;
	crash.torn = asked.torn;
	if (copy_to_user(arg, &crash, sizeof(crash))) {
		vmademo_buffer_put(to);
		put_unused_fd(fd);
		return -EFAULT;
	}
	vmademo_buffer_give(to);
	return vmademo_view_open(to, fd, O_RDWR);
}
