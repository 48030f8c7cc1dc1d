/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The only place that knows kernel versions.
 *
 * A driver outside the kernel tree meets an interface that moves.  Here is
 * each move that this module met, and what hides it.  Nothing here takes a
 * lock.  A missing kernel name is never defined: what stands in for it has
 * the prefix vmademo_, because stable kernels take such names over later.  A
 * version is asked for only where the name that came or went is no macro.
 *
 *   since  what changed                                   hidden by
 *   -----  ---------------------------------------------  ---------------------
 *   6.3    .setattr takes a mnt_idmap                     VMADEMO_IDMAP,
 *                                                         VMADEMO_NO_IDMAP
 *   6.3    generic_setlease() is in filelock.h            included here
 *   6.3    so does notify_change()                       vmademo_notify_change()
 *   6.4    .map_pages is called under RCU                vmademo_wait_map_pages()
 *   6.4    a fault may hold the VMA lock only            vmademo_drop_fault_lock()
 *   6.4    __filemap_get_folio(): NULL became ERR_PTR     vmademo_get_folio()
 *   6.5    generic_file_splice_read() went                vmademo_filemap_splice_read
 *   6.6    i_ctime, 6.7 i_atime and i_mtime: only by      vmademo_inode_created()
 *          functions
 *   6.3    vm_flags of a VMA only by functions            vmademo_vm_flags_set()
 *   6.10   write_cache_pages() is replaced by             vmademo_write_dirty()
 *          writeback_iter(), and gone since 6.18
 *   6.10   pagevec.h comes with writeback.h (and goes)     included here before
 *   6.8    a folio of two pages can be cached            VMADEMO_HAS_ORDER_1
 *   6.8    .error_remove_page became ..._folio            VMADEMO_ERROR_REMOVE,
 *                                                         vmademo_remove_folio()
 *   6.6    .huge_fault takes an order                    VMADEMO_HUGE_FAULT_HOOK
 *   6.12   .write_begin/.write_end take a folio           VMADEMO_WRITE_HOOKS
 *   6.12   FMODE_UNSIGNED_OFFSET became FOP_...           VMADEMO_UNSIGNED_OFFSET
 *   6.12   a mapping says how large its folios can be    vmademo_set_max_order()
 *   6.12   entries of 2 MiB for bare page frames          VMADEMO_HAS_HUGE_PFN
 *   6.17   ... whose number is no pfn_t any more          vmademo_insert_huge_pfn()
 *   6.15   .huge_fault may map a folio by such an entry   vmademo_insert_huge_folio()
 *   6.16   VM_PAT, which remap_pfn_range() set, went     vmademo_forget_memtype()
 *   6.17   ... and a kiocb instead of the file            VMADEMO_WRITE_HOOKS
 *   6.7    the table of xattr_handlers is const          VMADEMO_XATTR_TABLE()
 *   6.15   .mkdir returns a dentry                       VMADEMO_MKDIR_HOOK
 *   6.19   filemap_alloc_folio() takes a mempolicy        vmademo_alloc_folio()
 *   6.19   names that live in the dentry cache alone     vmademo_add_name(),
 *          are marked, and not held                       vmademo_pin_name(), vmademo_unpin_name(),
 *                                                         vmademo_kill_names()
 *   7.x    .create is not told of O_EXCL                 VMADEMO_CREATE_HOOK
 *   7.0    a mapping may say that reclaim must not       vmademo_keep_reclaim_off()
 *          wait for its write-back
 *   7.3    MADV_COLLAPSE maps any file's folio of 2 MiB   vmademo_allow_collapse()
 *          without asking .fault, but not one of an "anonymous" inode
 *   7.2    .mmap_prepare has its final form               VMADEMO_HAS_MMAP_PREPARE
 *
 * 6.1, 6.12, 7.2 and 7.3 are what is tested.  For the versions between them, the
 * table says where the kernel's history puts the change.
 */
#ifndef VMADEMO_COMPAT_H
#define VMADEMO_COMPAT_H

#include <linux/dcache.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/rcupdate.h>
#include <linux/splice.h>
#include <linux/version.h>
#include <linux/writeback.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "vmademo needs Linux 6.1 or newer"
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
#include <linux/pagevec.h>
#endif
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
#include <linux/pfn_t.h>
#endif
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
#include <linux/filelock.h>
#endif

/*
 * Returns the locked folio at index, made if it was not cached, or ERR_PTR; if killable,
 * -EINTR if the task is being killed.  (With FGP_LOCK it cannot be; FGP_FOR_MMAP leaves the
 * lock to the caller.)
 */
static inline struct folio *vmademo_get_folio(struct address_space *mapping,
					      pgoff_t index, bool killable)
{
	gfp_t gfp = mapping_gfp_mask(mapping);
	struct folio *folio;

	for (;;) {
		folio = killable ?
			__filemap_get_folio(mapping, index,
					    FGP_WRITE | FGP_CREAT | FGP_FOR_MMAP, gfp) :
			__filemap_get_folio(mapping, index,
					    FGP_WRITE | FGP_CREAT | FGP_LOCK, gfp);
		if (!folio)
			return ERR_PTR(-ENOMEM);
		if (IS_ERR(folio) || !killable)
			return folio;
		if (folio_lock_killable(folio)) {
			folio_put(folio);
			return ERR_PTR(-EINTR);
		}
		if (folio->mapping == mapping)
			return folio;
		folio_unlock(folio);
		folio_put(folio);
	}
}

/* Returns the locked folio at index if it is cached, or NULL. */
static inline struct folio *vmademo_lock_folio(struct address_space *mapping,
					       pgoff_t index)
{
	struct folio *folio = filemap_lock_folio(mapping, index);

	return IS_ERR(folio) ? NULL : folio;
}

/* The same, but NULL also if it is locked already. */
static inline struct folio *vmademo_trylock_folio(struct address_space *mapping, pgoff_t index)
{
	struct folio *folio = __filemap_get_folio(mapping, index, FGP_LOCK | FGP_NOWAIT, 0);

	return IS_ERR(folio) ? NULL : folio;
}

/* Returns the folio at index with a reference if it is cached, or NULL. */
static inline struct folio *vmademo_get_cached(struct address_space *mapping, pgoff_t index)
{
	struct folio *folio = filemap_get_folio(mapping, index);

	return IS_ERR(folio) ? NULL : folio;
}

/* Returns a new folio of 2^order pages, in no mapping yet, or NULL. */
static inline struct folio *vmademo_alloc_folio(gfp_t gfp, unsigned int order)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
	return filemap_alloc_folio(gfp, order, NULL);
#else
	return filemap_alloc_folio(gfp, order);
#endif
}

/* Whether a folio of two pages can be in the page cache. */
#define VMADEMO_HAS_ORDER_1	(LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0))

/* FAULT_FLAG_TRACE has FAULT_FLAG_VMA_LOCK, too. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#define VMADEMO_FAULT_FLAG_VMA_LOCK
#endif

/*
 * The page cache may have large folios, up to this order.  Older kernels know no limit: their
 * readahead may make larger ones.
 */
static inline void vmademo_set_max_order(struct address_space *mapping,
					 unsigned int order)
{
	if (!order)
		return;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
	mapping_set_folio_order_range(mapping, 0, order);
#else
	mapping_set_large_folios(mapping);
#endif
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
#define VMADEMO_IDMAP	struct mnt_idmap
#define VMADEMO_NO_IDMAP	(&nop_mnt_idmap)
#else
#define VMADEMO_IDMAP	struct user_namespace
#define VMADEMO_NO_IDMAP	(&init_user_ns)
#endif

/* Changes attributes of an open file's inode.  The caller holds its i_rwsem. */
static inline int vmademo_notify_change(struct file *file, struct iattr *attr)
{
	struct dentry *dentry = file->f_path.dentry;

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	return notify_change(file_mnt_idmap(file), dentry, attr, NULL);
#else
	return notify_change(file_mnt_user_ns(file), dentry, attr, NULL);
#endif
}

/* Is memory of the folio broken? */
static inline bool vmademo_folio_is_broken(struct folio *folio)
{
	return folio_test_hwpoison(folio) ||
	       (folio_test_large(folio) && folio_test_has_hwpoisoned(folio));
}

/*
 * Waits until nobody is mapping pages around a fault who began before.  (Without RCU, such a
 * task may be preempted there, but does not sleep.)
 */
static inline void vmademo_wait_map_pages(void)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	synchronize_rcu_expedited();
#else
	synchronize_rcu_tasks();
#endif
}

/* Gives up the lock that a fault holds; it will return VM_FAULT_RETRY. */
static inline void vmademo_drop_fault_lock(struct vm_fault *vmf)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	release_fault_lock(vmf);
#else
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	if (vmf->flags & FAULT_FLAG_VMA_LOCK) {
		vma_end_read(vmf->vma);
		return;
	}
#endif
	mmap_read_unlock(vmf->vma->vm_mm);
#endif
}

/* A new inode was accessed, modified and changed now. */
static inline void vmademo_inode_created(struct inode *inode)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	simple_inode_init_ts(inode);
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
	inode->i_atime = inode->i_mtime = inode_set_ctime_current(inode);
#else
	inode->i_atime = inode->i_mtime = inode->i_ctime = current_time(inode);
#endif
}

/* An inode's data was modified now. */
static inline void vmademo_inode_modified(struct inode *inode)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	inode_set_mtime_to_ts(inode, inode_set_ctime_current(inode));
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
	inode->i_mtime = inode_set_ctime_current(inode);
#else
	inode->i_mtime = inode->i_ctime = current_time(inode);
#endif
}

/* What is told of an inode, other than its data, was changed now. */
static inline void vmademo_inode_changed(struct inode *inode)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
	inode_set_ctime_current(inode);
#else
	inode->i_ctime = current_time(inode);
#endif
}

/*
 * A name that is in the dentry cache and nowhere else.  It must not be dropped from there until
 * it is removed: the entry is held, or marked.
 */
static inline void vmademo_add_name(struct dentry *dentry, struct inode *inode)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
	d_make_persistent(dentry, inode);
#else
	d_instantiate(dentry, inode);
	dget(dentry);
#endif
}

/* The same of a name that was removed and comes back, and the end of one. */
static inline void vmademo_pin_name(struct dentry *dentry)
{
	spin_lock(&dentry->d_lock);
	/* Whoever removed it has forbidden mounts on it */
	dentry->d_flags &= ~DCACHE_CANT_MOUNT;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
	dentry->d_flags |= DCACHE_PERSISTENT;
#endif
	dget_dlock(dentry);
	spin_unlock(&dentry->d_lock);
}

static inline void vmademo_unpin_name(struct dentry *dentry)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
	d_make_discardable(dentry);
#else
	dput(dentry);
#endif
}

/* .kill_sb of a superblock with such names. */
static inline void vmademo_kill_names(struct super_block *sb)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
	kill_anon_super(sb);
#else
	kill_litter_super(sb);
#endif
}

/* .mkdir and .create: plain functions, called by hooks that have the types of this kernel. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 15, 0)
#define VMADEMO_MKDIR_HOOK(hook)						\
static struct dentry *vmademo_mkdir_hook(VMADEMO_IDMAP *idmap, struct inode *dir,	\
					 struct dentry *dentry, umode_t mode)	\
{										\
	return ERR_PTR(hook(idmap, dir, dentry, mode));				\
}
#else
#define VMADEMO_MKDIR_HOOK(hook)						\
static int vmademo_mkdir_hook(VMADEMO_IDMAP *idmap, struct inode *dir,		\
			      struct dentry *dentry, umode_t mode)		\
{										\
	return hook(idmap, dir, dentry, mode);					\
}
#endif

/* Which of the two this kernel has is asked of its type. */
#define VMADEMO_CREATE_HOOK(hook)						\
static int __maybe_unused vmademo_create_hook(VMADEMO_IDMAP *idmap, struct inode *dir,	\
					      struct dentry *dentry, umode_t mode)	\
{										\
	return hook(idmap, dir, dentry, mode);					\
}										\
static int __maybe_unused vmademo_create_excl_hook(VMADEMO_IDMAP *idmap,	\
						   struct inode *dir,		\
						   struct dentry *dentry,	\
						   umode_t mode, bool excl)	\
{										\
	return hook(idmap, dir, dentry, mode);					\
}
#define VMADEMO_CREATE								\
	__builtin_choose_expr(							\
		__builtin_types_compatible_p(					\
			typeof(((const struct inode_operations *)NULL)->create),	\
			typeof(&vmademo_create_hook)),				\
		vmademo_create_hook, vmademo_create_excl_hook)

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
#define VMADEMO_XATTR_TABLE(name)	const struct xattr_handler *const name[]
#else
#define VMADEMO_XATTR_TABLE(name)	const struct xattr_handler *name[]
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
#define vmademo_filemap_splice_read	filemap_splice_read
#define VMADEMO_SPLICE_IS_READ	0
#else
#define vmademo_filemap_splice_read	generic_file_splice_read
/* It calls .read_iter */
#define VMADEMO_SPLICE_IS_READ	1
#endif

/*
 * Writing a folio of this mapping back may itself need memory.  Reclaim, when it is
 * called for memory under a lock that the writing needs, must not wait for it.
 */
static inline void vmademo_keep_reclaim_off(struct address_space *mapping)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 0, 0)
	mapping_set_writeback_may_deadlock_on_reclaim(mapping);
#endif
}

static inline void vmademo_vm_flags_set(struct vm_area_struct *vma,
					unsigned long flags)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_set(vma, flags);
#else
	vma->vm_flags |= flags;
#endif
}

/*
 * Whether remap_pfn_range() over a whole VMA of a device's memory leaves a mark in the
 * VMA that must not be zapped twice or split; see phys/map.c.  On RAM the mark stands
 * for nothing, and is taken away here.
 */
#ifdef VM_PAT
#define VMADEMO_REMAP_MARKS_VMA	1
static inline void vmademo_forget_memtype(struct vm_area_struct *vma)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_clear(vma, VM_PAT);
#else
	vma->vm_flags &= ~VM_PAT;
#endif
}
#else
#define VMADEMO_REMAP_MARKS_VMA	0
static inline void vmademo_forget_memtype(struct vm_area_struct *vma) { }
#endif

/* .huge_fault: a plain function of the fault, and whether it is for an entry of 2 MiB. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
#define VMADEMO_HUGE_FAULT_HOOK(hook)						\
static vm_fault_t vmademo_huge_fault_hook(struct vm_fault *vmf, unsigned int order)	\
{										\
	return hook(vmf, order == PMD_SHIFT - PAGE_SHIFT);			\
}
#else
#define VMADEMO_HUGE_FAULT_HOOK(hook)						\
static vm_fault_t vmademo_huge_fault_hook(struct vm_fault *vmf,			\
					  enum page_entry_size size)		\
{										\
	return hook(vmf, size == PE_SIZE_PMD);					\
}
#endif

#ifdef CONFIG_ARCH_SUPPORTS_PMD_PFNMAP
#define VMADEMO_HAS_HUGE_PFN
static inline vm_fault_t vmademo_insert_huge_pfn(struct vm_fault *vmf,
						 unsigned long pfn, bool write)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)
	return vmf_insert_pfn_pmd(vmf, pfn, write);
#else
	return vmf_insert_pfn_pmd(vmf, __pfn_to_pfn_t(pfn, PFN_DEV), write);
#endif
}
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 15, 0) && defined(CONFIG_TRANSPARENT_HUGEPAGE)
#define VMADEMO_HAS_HUGE_FOLIO	1
static inline bool vmademo_huge_fits(struct vm_fault *vmf)
{
	/* Or a page table must be allocated, which sleeps */
	return !arch_needs_pgtable_deposit() &&
	       thp_vma_suitable_order(vmf->vma, vmf->address & PMD_MASK, HPAGE_PMD_ORDER);
}

static inline vm_fault_t vmademo_insert_huge_folio(struct vm_fault *vmf, struct folio *folio)
{
	return vmf_insert_folio_pmd(vmf, folio, false);
}
#else
#define VMADEMO_HAS_HUGE_FOLIO	0
static inline bool vmademo_huge_fits(struct vm_fault *vmf)
{
	return false;
}

static inline vm_fault_t vmademo_insert_huge_folio(struct vm_fault *vmf, struct folio *folio)
{
	return VM_FAULT_FALLBACK;
}
#endif

/*
 * May MADV_COLLAPSE map a folio of 2 MiB?  (The kernel warns of an anonymous inode on a file
 * system whose files can be executed: there it may.  Such an inode has no FIONREAD.)
 */
static inline void vmademo_allow_collapse(struct inode *inode, bool allow)
{
#ifdef S_ANON_INODE
	if (inode->i_sb->s_iflags & SB_I_NOEXEC)
		inode_set_flags(inode, allow ? 0 : S_ANON_INODE, S_ANON_INODE);
#endif
}

/*
 * Offsets up to 2^64, as /dev/mem has: a flag of the file_operations, or before
 * that of the open file.  One of these two does it.
 */
#ifdef FOP_UNSIGNED_OFFSET
#define VMADEMO_UNSIGNED_OFFSET	.fop_flags = FOP_UNSIGNED_OFFSET,
static inline void vmademo_allow_unsigned_offset(struct file *file) { }
#else
#define VMADEMO_UNSIGNED_OFFSET
static inline void vmademo_allow_unsigned_offset(struct file *file)
{
	file->f_mode |= FMODE_UNSIGNED_OFFSET;
}
#endif

/*
 * .mmap_prepare came with 6.16, but what it is given changed until 7.2, and only
 * then there is .mapped to tell that the mapping exists.  Older kernels use .mmap.
 * A file may have only one of them.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 2, 0)
#define VMADEMO_HAS_MMAP_PREPARE
#endif

/*
 * .write_begin and .write_end: plain functions, called by hooks that have the types of
 * this kernel.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)
#define VMADEMO_WRITE_FILE	const struct kiocb *iocb
#else
#define VMADEMO_WRITE_FILE	struct file *file
#endif
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#define VMADEMO_WRITE_HOOKS(begin, end)						\
static int vmademo_write_begin_hook(VMADEMO_WRITE_FILE,				\
				    struct address_space *mapping, loff_t pos,	\
				    unsigned int len, struct folio **foliop,	\
				    void **fsdata)				\
{										\
	return begin(mapping, pos, len, foliop);				\
}										\
static int vmademo_write_end_hook(VMADEMO_WRITE_FILE,				\
				  struct address_space *mapping, loff_t pos,	\
				  unsigned int len, unsigned int copied,	\
				  struct folio *folio, void *fsdata)		\
{										\
	return end(mapping, pos, len, copied, folio);				\
}
#else
#define VMADEMO_WRITE_HOOKS(begin, end)						\
static int vmademo_write_begin_hook(VMADEMO_WRITE_FILE,				\
				    struct address_space *mapping, loff_t pos,	\
				    unsigned int len, struct page **pagep,	\
				    void **fsdata)				\
{										\
	struct folio *folio;							\
	int err = begin(mapping, pos, len, &folio);				\
										\
	if (!err)								\
		*pagep = folio_file_page(folio, pos >> PAGE_SHIFT);		\
	return err;								\
}										\
static int vmademo_write_end_hook(VMADEMO_WRITE_FILE,				\
				  struct address_space *mapping, loff_t pos,	\
				  unsigned int len, unsigned int copied,	\
				  struct page *page, void *fsdata)		\
{										\
	return end(mapping, pos, len, copied, page_folio(page));		\
}
#endif

/* What memory failure asks of a mapping: a page, later a folio. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
#define VMADEMO_ERROR_REMOVE		error_remove_folio
#define VMADEMO_GENERIC_ERROR_REMOVE	generic_error_remove_folio
#define VMADEMO_ERROR_HOOK(hook)						\
static int vmademo_error_hook(struct address_space *mapping,			\
			      struct folio *folio)				\
{										\
	return hook(mapping, folio);						\
}

static inline int vmademo_remove_folio(struct address_space *mapping,
				       struct folio *folio)
{
	return generic_error_remove_folio(mapping, folio);
}
#else
#define VMADEMO_ERROR_REMOVE		error_remove_page
#define VMADEMO_GENERIC_ERROR_REMOVE	generic_error_remove_page
#define VMADEMO_ERROR_HOOK(hook)						\
static int vmademo_error_hook(struct address_space *mapping,			\
			      struct page *page)				\
{										\
	return hook(mapping, page_folio(page));					\
}

static inline int vmademo_remove_folio(struct address_space *mapping,
				       struct folio *folio)
{
	return generic_error_remove_page(mapping, &folio->page);
}
#endif

/* Writes out one locked folio, no longer dirty; unlocks it. */
typedef int (*vmademo_write_folio_t)(struct folio *folio, void *data);

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
static inline int vmademo_write_dirty(struct address_space *mapping,
				      struct writeback_control *wbc,
				      vmademo_write_folio_t write, void *data)
{
	struct folio *folio = NULL;
	int error = 0;

	while ((folio = writeback_iter(mapping, wbc, folio, &error)))
		error = write(folio, data);
	return error;
}
#else
struct vmademo_write_call {
	vmademo_write_folio_t write;
	void *data;
};

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
static inline int vmademo_write_one(struct folio *folio,
				    struct writeback_control *wbc, void *data)
{
	struct vmademo_write_call *call = data;

	return call->write(folio, call->data);
}
#else
static inline int vmademo_write_one(struct page *page,
				    struct writeback_control *wbc, void *data)
{
	struct vmademo_write_call *call = data;

	return call->write(page_folio(page), call->data);
}
#endif

static inline int vmademo_write_dirty(struct address_space *mapping,
				      struct writeback_control *wbc,
				      vmademo_write_folio_t write, void *data)
{
	struct vmademo_write_call call = { write, data };

	return write_cache_pages(mapping, wbc, vmademo_write_one, &call);
}
#endif

#endif /* VMADEMO_COMPAT_H */
