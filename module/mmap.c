// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mapping a buffer, by either of the kernel's two hooks: .mmap and .mmap_prepare.  Both check
 * where the mapping is to be, and install the vm_operations of fault.c, which then bring in
 * its pages.
 *
 * Locks: called with the mmap lock held for writing.
 */
#include <linux/fs.h>
#include <linux/mm.h>

#include "compat.h"
#include "rules.h"
#include "trace.h"
#include "vmademo.h"

/*
 * The kernel lets a character device be mapped at any offset, even one whose
 * end is no loff_t.  Answer as it does for files.  A buffer that is revoked in this moment
 * is mapped, but no page of it: that is for .fault to see.
 */
static int vmademo_mmap_check(const struct inode *inode, unsigned long pgoff,
			      unsigned long len)
{
	struct vmademo_buffer *buf = vmademo_buffer_of(inode->i_mapping);
	u64 max = inode->i_sb->s_maxbytes;
	int err;

	if (len > max || pgoff > (max - len) >> PAGE_SHIFT)
		return -EOVERFLOW;
	if (READ_ONCE(buf->revoked))
		return -ENODEV;
	err = vmademo_rule(buf, VMADEMO_OP_MMAP, (loff_t)pgoff << PAGE_SHIFT, len);
	if (err)
		return err;
	trace_vmademo_mmap(inode->i_ino, pgoff, len >> PAGE_SHIFT);
	return 0;
}

/*
 * Two hooks.  .mmap gets the new VMA.  Its successor .mmap_prepare gets a description of a VMA
 * that does not exist yet, and only describes: it takes no reference and counts nothing.
 * docs/porting.md says how to port a driver from the first to the second.
 */

/**
 * vmademo_mmap() - map a buffer
 * @file: a file whose f_mapping is a buffer's
 * @vma: the new mapping; its length may reach beyond the buffer's end, touching
 *       it there raises SIGBUS
 *
 * The pages themselves come with .fault.  No flag is changed, so the mapping
 * can do all that a mapping of a regular file can.
 *
 * Context: Called with the mmap lock held for writing.
 * Return: 0; -EOVERFLOW if offset plus length is no file offset; -ENODEV if it is revoked;
 *         or what a rule says.
 */
int vmademo_mmap(struct file *file, struct vm_area_struct *vma)
{
	int err = vmademo_mmap_check(file->f_mapping->host, vma->vm_pgoff,
				     vma->vm_end - vma->vm_start);

	if (err)
		return err;
	file_accessed(file);
	vma->vm_ops = &vmademo_vm_ops;
	return 0;
}

#ifdef VMADEMO_HAS_MMAP_PREPARE
/**
 * vmademo_mmap_prepare() - map a buffer, on kernels that ask beforehand
 * @desc: the mapping to be; as for vmademo_mmap()
 *
 * Context: Called with the mmap lock held for writing.
 * Return: as vmademo_mmap().
 */
int vmademo_mmap_prepare(struct vm_area_desc *desc)
{
	int err = vmademo_mmap_check(desc->file->f_mapping->host, desc->pgoff,
				     vma_desc_size(desc));

	if (err)
		return err;
	file_accessed(desc->file);
	desc->vm_ops = &vmademo_vm_ops;
	return 0;
}
#endif
