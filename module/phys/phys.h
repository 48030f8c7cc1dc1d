/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of physical windows share: phys.c makes them and their nodes,
 * claim.c, pci.c and reserved.c take their memory, map.c maps them, revoke.c takes them
 * away from programs, io.c copies.
 */
#ifndef VMADEMO_PHYS_H
#define VMADEMO_PHYS_H

#include <linux/atomic.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>

/* How the processor caches a window. */
enum vmademo_memtype { VMADEMO_WB, VMADEMO_WC, VMADEMO_UC };

/**
 * struct vmademo_window - a range of physical memory, and its node
 * @misc: the node, /dev/vmademo-physN
 * @name: its name
 * @base: the first byte, a physical address
 * @bytes: the length, whole pages
 * @own: the kernel's address of memory that the module allocated, or NULL
 * @io: the kernel's mapping of what is not the module's own, while the range is taken
 *      from others with request_mem_region(); or NULL
 * @pdev: the PCI device it is a part of, or NULL
 * @same_driver: in the list of windows whose device the module drives, or empty
 * @memtype: how it is cached, in @io and in every mapping
 * @registered: the node was made
 * @inode: its i_mapping knows all mappings of the window, by whatever node
 * @lock: held for reading while page table entries are made; for writing by
 *        revocation
 * @revoked: no entry may be made any more
 * @revoking: held while it is taken away
 * @mmaps: address spaces where .mmap made eager entries since they closed one
 * @mmaps_lock: guards @mmaps
 * @mappings: VMAs that map the window now
 * @faults: calls of .fault and .huge_fault
 * @huge_faults: of those, calls of .huge_fault that made an entry of 2 MiB
 * @first_writes: faults that made entries writable, and calls of .pfn_mkwrite
 * @lazy: how it is mapped; the same for all windows
 */
struct vmademo_window {
	struct miscdevice misc;
	char name[24];
	phys_addr_t base;
	u64 bytes;
	void *own;
	void __iomem *io;
	struct pci_dev *pdev;
	struct list_head same_driver;
	enum vmademo_memtype memtype;
	bool registered;
	bool lazy;
	struct inode *inode;
	struct rw_semaphore lock;
	bool revoked;
	struct mutex revoking;		/* outside the mmap lock */
	struct list_head mmaps;
	spinlock_t mmaps_lock;		/* inside the mmap lock */
	atomic_long_t mappings;
	atomic64_t faults;
	atomic64_t huge_faults;
	atomic64_t first_writes;
};

static inline struct vmademo_window *vmademo_window_of(const struct file *file)
{
	/* misc_open() left the miscdevice here */
	return container_of(file->private_data, struct vmademo_window, misc);
}

/* claim.c */
extern const char * const vmademo_memtype_names[3];
int vmademo_window_take(struct vmademo_window *w, char *text, const char *memtype);
void vmademo_window_give_back(struct vmademo_window *w);
int vmademo_window_request(struct vmademo_window *w);
void vmademo_window_release(struct vmademo_window *w);

/* pci.c */
#ifdef CONFIG_PCI
int vmademo_pci_take(struct vmademo_window *w);
void vmademo_pci_give_back(struct vmademo_window *w);
void vmademo_pci_exit(void);
#else
static inline int vmademo_pci_take(struct vmademo_window *w)
{
	return -ENOENT;
}

static inline void vmademo_pci_give_back(struct vmademo_window *w) { }
static inline void vmademo_pci_exit(void) { }
#endif

/* reserved.c */
int vmademo_is_reserved(phys_addr_t first, phys_addr_t last);

/* map.c */
struct vm_area_desc;
unsigned int vmademo_phys_bits(void);
int vmademo_phys_mmap(struct file *file, struct vm_area_struct *vma);
int vmademo_phys_mmap_prepare(struct vm_area_desc *desc);

/* revoke.c */
int vmademo_note_mmap(struct vmademo_window *w, struct mm_struct *mm);
void vmademo_forget_mmap(struct vmademo_window *w, const struct mm_struct *mm);
void vmademo_phys_revoke(struct vmademo_window *w);

/* io.c */
int vmademo_window_copy(struct vmademo_window *w, u64 offset, void *buf,
			size_t len, bool write);

#endif /* VMADEMO_PHYS_H */
