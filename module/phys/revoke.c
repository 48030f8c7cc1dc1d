// SPDX-License-Identifier: GPL-2.0-only
/*
 * Taking a window away from everybody who has it mapped.
 *
 * Locks: the window's revoking, then the mmap lock of those who mapped it, then what
 * map.c says.  mmaps_lock is taken inside the mmap lock, and nothing inside it.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "phys/phys.h"
#include "trace.h"

/*
 * .mmap makes entries of a VMA that the kernel lists only later, where revocation
 * does not find it yet.  So each address space that did this is noted first.  The
 * mmap lock is held from before that until the VMA is listed: whoever has held the noted
 * lock once knows that it is.
 */
struct mmap_note {
	struct list_head list;
	struct mm_struct *mm;
};

static void drop_note(struct mmap_note *note)
{
	mmdrop(note->mm);
	kfree(note);
}

/**
 * vmademo_note_mmap() - .mmap is about to make entries
 * @w: the window
 * @mm: where
 *
 * Context: Called with the mmap lock held for writing.
 * Return: 0 or -ENOMEM.
 */
int vmademo_note_mmap(struct vmademo_window *w, struct mm_struct *mm)
{
	struct mmap_note *note, *new = kmalloc(sizeof(*new), GFP_KERNEL);

	if (!new)
		return -ENOMEM;
	new->mm = mm;
	mmgrab(mm);
	spin_lock(&w->mmaps_lock);
	list_for_each_entry(note, &w->mmaps, list) {
		if (note->mm != mm)
			continue;
		spin_unlock(&w->mmaps_lock);
		drop_note(new);
		return 0;
	}
	list_add(&new->list, &w->mmaps);
	spin_unlock(&w->mmaps_lock);
	return 0;
}

/**
 * vmademo_forget_mmap() - a VMA is closed, or was not made
 * @w: the window
 * @mm: where
 *
 * Nothing is on its way to the list there now: that would hold the mmap lock.
 *
 * Context: Called with the mmap lock held, or when nobody uses @mm any more.
 */
void vmademo_forget_mmap(struct vmademo_window *w, const struct mm_struct *mm)
{
	struct mmap_note *note;

	spin_lock(&w->mmaps_lock);
	list_for_each_entry(note, &w->mmaps, list) {
		if (note->mm != mm)
			continue;
		list_del(&note->list);
		spin_unlock(&w->mmaps_lock);
		drop_note(note);
		return;
	}
	spin_unlock(&w->mmaps_lock);
}

/* Whatever .mmap was about to make when the window was revoked is listed. */
static void wait_for_mmaps(struct vmademo_window *w)
{
	struct mmap_note *note;

	for (;;) {
		spin_lock(&w->mmaps_lock);
		note = list_first_entry_or_null(&w->mmaps, struct mmap_note, list);
		if (note)
			list_del(&note->list);
		spin_unlock(&w->mmaps_lock);
		if (!note)
			return;
		mmap_read_lock(note->mm);
		mmap_read_unlock(note->mm);
		drop_note(note);
	}
}

/**
 * vmademo_phys_revoke() - take a window away from everybody who has it mapped
 * @w: the window
 *
 * From now on, touching a mapping raises SIGBUS, also where it is a private copy.
 *
 * Context: May sleep, and waits for the mmap lock of processes that have it mapped.
 */
void vmademo_phys_revoke(struct vmademo_window *w)
{
	mutex_lock(&w->revoking);
	/* No entry is being made by a fault, and none will be */
	down_write(&w->lock);
	WRITE_ONCE(w->revoked, true);
	up_write(&w->lock);
	wait_for_mmaps(w);
	/* A child stands behind its parent in the list: no copy escapes */
	unmap_mapping_range(w->inode->i_mapping, 0, 0, 1);
	mutex_unlock(&w->revoking);
	trace_vmademo_revoke(w->misc.minor);
}
