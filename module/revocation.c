// SPDX-License-Identifier: GPL-2.0-only
/*
 * Taking a buffer away from everybody, and giving it back: as a device that is unplugged
 * for a while.  Its bytes stay: in the page cache, and on their way to the store.
 *
 * No fault may map a page after the mappings are gone.  Nothing is asked until the first
 * revocation of all (vmademo_revocable), and then:
 *
 *   .map_pages       asks and maps under RCU, which is waited for
 *   .fault           asks when it has the folio locked; the kernel maps it before it
 *                    unlocks it.  So each folio is locked once: who had asked before has
 *                    mapped it then
 *   .page_mkwrite    the same
 *   .huge_fault      maps nothing then; it may take an entry of 2 MiB away, and .fault follows
 *   MADV_COLLAPSE    asks nobody when it maps a folio of 2 MiB (Linux 7.3), and is refused;
 *                    but not one that has begun and is just about to lock the folio; nor with
 *                    exec=1, nor on a file of a mounted tree
 *
 * A large folio is one folio: whatever one fault maps of it, with one entry or many, is mapped
 * under its lock or RCU.  It cannot be split while it is locked by another, or held.
 *
 * What is copied meanwhile stands behind its original in the kernel's list of mappings,
 * along which they are emptied: the child of a fork behind its parent, and of an mremap the
 * new place behind the old one, or they exclude each other.
 *
 * Locks: i_rwsem over all of it, so that no write(2) goes on afterwards; folio locks.
 */
#include <linux/jump_label.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/rcupdate.h>

#include "compat.h"
#include "power.h"
#include "trace.h"
#include "vmademo.h"

DEFINE_STATIC_KEY_FALSE(vmademo_revocable);

/*
 * From now on, it is asked.  For good: to patch the code each time would take longer than
 * to ask.
 */
static void start_asking(void)
{
	static DEFINE_MUTEX(lock);

	mutex_lock(&lock);
	if (!static_key_enabled(&vmademo_revocable)) {
		static_branch_enable(&vmademo_revocable);
		/* A .map_pages that did not ask is still under way; it does not sleep */
		synchronize_rcu_tasks();
	}
	mutex_unlock(&lock);
}

/*
 * Whoever has found the buffer not revoked, and holds a folio locked, has mapped it and let it go.
 * Of one that is not up to date, whoever has it locked asks after it has become so, and then finds
 * the buffer revoked; and a store that stands still is not waited for.
 */
static int wait_for_faults(struct address_space *mapping)
{
	struct folio_batch batch;
	pgoff_t index = 0;
	unsigned int i;
	int err = 0;

	folio_batch_init(&batch);
	while (!err && filemap_get_folios(mapping, &index, ULONG_MAX, &batch)) {
		for (i = 0; i < folio_batch_count(&batch) && !err; i++) {
			if (!folio_test_uptodate(batch.folios[i]))
				continue;
			err = folio_lock_killable(batch.folios[i]);
			if (!err)
				folio_unlock(batch.folios[i]);
		}
		folio_batch_release(&batch);
		cond_resched();
	}
	return err;
}

/**
 * vmademo_revoke() - take a buffer away from everybody who has it mapped
 * @buf: the buffer
 *
 * From now on, touching a mapping raises SIGBUS, also where it was a private copy.
 *
 * Context: May sleep.  Takes i_rwsem.
 * Return: 0, and so if it is revoked already; -EINTR if the task is being killed: then
 *         nothing has changed.
 */
int vmademo_revoke(struct vmademo_buffer *buf)
{
	struct inode *inode = buf->inode;
	int err;

	start_asking();
	err = vmademo_lock_inode(inode);
	if (err)
		return err;
	if (buf->revoked)
		goto unlock;
	WRITE_ONCE(buf->revoked, true);
	vmademo_allow_collapse(inode, false);
	/* Also: each page that was added by whoever has not seen it is found below */
	synchronize_rcu();
	err = wait_for_faults(inode->i_mapping);
	if (err) {
		WRITE_ONCE(buf->revoked, false);
		vmademo_allow_collapse(inode, true);
		goto unlock;
	}
	unmap_mapping_range(inode->i_mapping, 0, 0, 1);
	vmademo_count(buf, VMADEMO_REVOCATIONS);
	trace_vmademo_revoke_buffer(inode->i_ino);
unlock:
	inode_unlock(inode);
	return err;
}

/**
 * vmademo_restore() - give a buffer back
 * @buf: the buffer
 *
 * Mappings that were made before it was revoked work again; private copies are gone.
 *
 * Context: May sleep.  Takes i_rwsem.
 * Return: 0, and so if it is not revoked; -EINTR if the task is being killed.
 */
int vmademo_restore(struct vmademo_buffer *buf)
{
	int err = vmademo_lock_inode(buf->inode);

	if (err)
		return err;
	if (buf->revoked) {
		WRITE_ONCE(buf->revoked, false);
		vmademo_allow_collapse(buf->inode, true);
		trace_vmademo_restore(buf->inode->i_ino);
	}
	inode_unlock(buf->inode);
	return 0;
}

/**
 * vmademo_lock_data() - i_rwsem for writing, to change what is in a buffer
 * @buf: the buffer
 *
 * A power cut that is due comes before that: it may set the size.
 *
 * Context: May sleep.
 * Return: 0, and inode_unlock() must follow; -ENODEV if it is revoked; -EINTR if the task is
 *         being killed.
 */
int vmademo_lock_data(struct vmademo_buffer *buf)
{
	int err = vmademo_lock_inode(buf->inode);

	if (err)
		return err;
	if (buf->revoked)
		err = -ENODEV;
	else if (unlikely(vmademo_cut_is_due(buf)))
		err = vmademo_cut_now(buf);
	if (err)
		inode_unlock(buf->inode);
	return err;
}
