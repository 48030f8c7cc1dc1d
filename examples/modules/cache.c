// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device that is mapped, and whose memory is the page cache of an inode: /dev/vmademo-cache.
 *
 * For drivers that want what files have: pages that are dirty after the first write, are counted
 * as dirty, and are cleaned by msync, fsync and the flusher.
 * Shows: a pseudo file system with a backing device; .page_mkwrite; write-back that counts.
 * Leaves out: read and write; a size that changes; the store.  cache_read_folio() and
 * cache_write_folio() are where a store belongs.  With one, clean folios may be evicted: then
 * leave out .release_folio and the two mapping_set_...() below, too.
 * Lock order: mmap lock or VMA lock (the kernel holds one around a fault), then the folio lock.
 */
#include <linux/backing-dev.h>
#include <linux/fs.h>
#include <linux/migrate.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>
#include <linux/version.h>
#include <linux/writeback.h>

static unsigned int nr_pages = 16;
module_param_named(pages, nr_pages, uint, 0444);
MODULE_PARM_DESC(pages, "size of the device, in pages");

static struct vfsmount *cache_mnt;
static struct inode *cache_inode;

/* A store reads here.  Without one, what nobody has written to is zeroes. */
static int cache_read_folio(struct file *file, struct folio *folio)
{
	folio_zero_range(folio, 0, folio_size(folio));
	folio_mark_uptodate(folio);
	folio_unlock(folio);
	return 0;
}

/* The folio is locked, no longer dirty, and write-protected in all mappings. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
static int cache_write_folio(struct folio *folio, struct writeback_control *wbc, void *data)
{
#else /* before 6.3, write_cache_pages() gives its function a page */
static int cache_write_folio(struct page *page, struct writeback_control *wbc, void *data)
{
	struct folio *folio = page_folio(page);

#endif
	folio_start_writeback(folio);
	folio_unlock(folio);
	/* A store writes here.  If it fails: mapping_set_error(), and the next fsync tells */
	folio_end_writeback(folio);
	return 0;
}

static int cache_writepages(struct address_space *mapping, struct writeback_control *wbc)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
	struct folio *folio = NULL;
	int err = 0;

	while ((folio = writeback_iter(mapping, wbc, folio, &err)))
		err = cache_write_folio(folio, wbc, NULL);
	return err;
#else /* before 6.10 there is no writeback_iter() */
	return write_cache_pages(mapping, wbc, cache_write_folio, NULL);
#endif
}

/* drop_caches asks this about clean folios.  The page cache is the only copy. */
static bool cache_release_folio(struct folio *folio, gfp_t gfp)
{
	return false;
}

static const struct address_space_operations cache_aops = {
	.read_folio	= cache_read_folio,
	.dirty_folio	= filemap_dirty_folio,
	.writepages	= cache_writepages,
	.release_folio	= cache_release_folio,
	.migrate_folio	= filemap_migrate_folio,
};

/* The first write to a clean page.  filemap_page_mkwrite() also cares for times and freezing. */
static vm_fault_t cache_page_mkwrite(struct vm_fault *vmf)
{
	struct folio *folio = page_folio(vmf->page);

	folio_lock(folio);
	/* Truncated before it was locked: the program touches it again */
	if (folio->mapping != cache_inode->i_mapping) {
		folio_unlock(folio);
		return VM_FAULT_NOPAGE;
	}
	folio_mark_dirty(folio);
	folio_wait_stable(folio);
	/* Locked until the entry is writable: or it could be cleaned before it is written to */
	return VM_FAULT_LOCKED;
}

static const struct vm_operations_struct cache_vm_ops = {
	.fault		= filemap_fault,	/* raises SIGBUS beyond the inode's end */
	.map_pages	= filemap_map_pages,
	.page_mkwrite	= cache_page_mkwrite,
};

static int cache_mmap(struct file *file, struct vm_area_struct *vma)
{
	unsigned long max = cache_inode->i_sb->s_maxbytes >> PAGE_SHIFT, len = vma_pages(vma);

	/* As for a file: beyond its end is allowed, beyond what a file can have is not */
	if (len > max || vma->vm_pgoff > max - len)
		return -EOVERFLOW;
	vma->vm_ops = &cache_vm_ops;
	return 0;
}

static int cache_open(struct inode *inode, struct file *file)
{
	/* From now on our inode is mapped and synced, not the node's; and its errors count */
	file->f_mapping = cache_inode->i_mapping;
	file->f_wb_err = filemap_sample_wb_err(file->f_mapping);
	return 0;
}

/* msync(MS_SYNC) calls it too.  A store is flushed after that. */
static int cache_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	return file_write_and_wait_range(file, start, end);
}

static const struct file_operations cache_fops = {
	.owner	= THIS_MODULE,	/* open files hold the module, and mappings hold their file */
	.open	= cache_open,
	.mmap	= cache_mmap,
	.fsync	= cache_fsync,
};

static struct miscdevice cache_misc = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "vmademo-cache",
	.fops	= &cache_fops,
	.mode	= 0600,
};

static int cache_init_fs_context(struct fs_context *fc)
{
	return init_pseudo(fc, 0x766d6463) ? 0 : -ENOMEM;
}

/* No .owner: the superblock would hold the module for ever */
static struct file_system_type cache_fs = {
	.name			= "vmademo-cache",
	.init_fs_context	= cache_init_fs_context,
	.kill_sb		= kill_anon_super,
};

static int __init cache_init(void)
{
	int err;

	cache_mnt = nr_pages ? kern_mount(&cache_fs) : ERR_PTR(-EINVAL);
	if (IS_ERR(cache_mnt))
		return PTR_ERR(cache_mnt);
	/* Without a backing device, what is dirty is neither counted nor written back */
	err = super_setup_bdi_name(cache_mnt->mnt_sb, "vmademo-cache");
	if (err)
		goto unmount;
	err = -ENOMEM;
	cache_inode = new_inode(cache_mnt->mnt_sb);
	if (!cache_inode)
		goto unmount;
	cache_inode->i_mode = S_IFREG | 0600;
	i_size_write(cache_inode, (loff_t)nr_pages << PAGE_SHIFT);
	cache_inode->i_mapping->a_ops = &cache_aops;
	mapping_set_unevictable(cache_inode->i_mapping);	/* reclaim leaves it alone */
	mapping_set_release_always(cache_inode->i_mapping);	/* .release_folio is asked */
	insert_inode_hash(cache_inode);	/* or the flusher passes it over */
	err = misc_register(&cache_misc);	/* last: it can be opened now */
	if (!err)
		return 0;
	iput(cache_inode);
unmount:
	kern_unmount(cache_mnt);
	return err;
}

static void __exit cache_exit(void)
{
	misc_deregister(&cache_misc);
	iput(cache_inode);
	kern_unmount(cache_mnt);	/* writes back what is dirty, and frees the pages */
}

module_init(cache_init);
module_exit(cache_exit);
MODULE_DESCRIPTION("Example: mmap of the page cache of an inode");
MODULE_LICENSE("GPL");
