/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests, the bench and the demo share, whichever buffers they are about.  The other
 * headers here are of one subject each, and include this.
 */
#ifndef VMADEMO_LIB_H
#define VMADEMO_LIB_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <linux/vmademo.h>

#include "../module/counters.h"

#define NODE   "/dev/vmademo"
#define WINDOW "/dev/vmademo-phys0"
#define PAGE   ((unsigned long)getpagesize())
#define KIB    1024UL
#define MIB    (1024UL * 1024)

/* The largest page that a machine has, for arrays */
#define PAGE_MAX 65536UL

/* The largest size of a buffer on 64 bits: whole pages that a file can have. */
#define MAX_SIZE ((uint64_t)INT64_MAX + 1 - PAGE)

/* A 32-bit program can name offsets below 2^44 only: libc refuses others. */
#define IS_32_BIT (sizeof(long) < 8)

#ifndef MAP_SYNC
#define MAP_SHARED_VALIDATE 0x03
#define MAP_SYNC	    0x080000
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

/* ---- files.c ------------------------------------------------------------- */

int64_t read_number(const char *path);
int write_text(const char *path, const char *text);
bool file_says(const char *path, const char *expected);
const char *in_bytes(const char *text);

/* ---- kernel.c ------------------------------------------------------------ */

#define THP "/sys/kernel/mm/transparent_hugepage/"

#define PMD_SIZE pmd_size()

/* In a table, which must be constant, the size of a folio that is as large as that. */
#define PMD_FOLIO 1U

/* What the kernel maps around a page that is touched, and reads at once, unless told otherwise. */
#define FAULT_AROUND (64 * KIB)
#define READ_AHEAD   (128 * KIB)

int wish_huge_pages(bool on);
size_t pmd_size(void);
uint32_t folio_bytes(uint32_t size);
int kernel_has(const char *function);
int huge_entries(void);
int remap_marks_vma(void);
bool code_is_patched_at_once(void);

/* ---- proc.c -------------------------------------------------------------- */

int64_t proc_value(const char *path, const char *name);
int64_t meminfo(const char *name);
int64_t vmstat(const char *name);
int machine_is_quiet(void);
int64_t minor_faults(void);
int64_t major_faults(void);
int vmas_in(const void *p, size_t len);
int64_t smaps_value(const void *p, const char *name);
int vm_flag(const void *p, const char *flag);

/* ---- account.c ----------------------------------------------------------- */

/* The counters of one buffer; the fields have the names of the module's. */
struct account {
#define EVENT(NAME, name)  name,
#define FOLIOS(NAME, name) name##_folios, name##_bytes,
	int64_t VMADEMO_COUNTERS(EVENT, FOLIOS) dirty_folios, dirty_bytes, cached_bytes;
#undef EVENT
#undef FOLIOS
};

int64_t node_value(const char *name);
int64_t fd_value(int fd, const char *name);
int64_t largest_folio(int fd);
bool folios_are_pages(int fd);
int64_t folio_size_of(int fd);
int64_t in_folios(int fd, uint64_t bytes);
int64_t whole_folios(int fd, uint64_t bytes);
const char *bdi_file(int fd, const char *name);
struct account account_of(int fd);
struct account account_now(void);
struct account account_minus(struct account now, const struct account *before);
struct account account_since(const struct account *before);
struct account account_of_since(int fd, const struct account *before);

/* ---- buffer.c ------------------------------------------------------------ */

/* Of the buffers that a program makes from now on; 0 is as the module is loaded. */
extern uint32_t folio_size_wanted;

/*
 * For tests that run on all kinds: the node, or a new buffer of the node's size as a regular
 * file, or as a file of a mounted tree.
 */
enum view { NODE_VIEW, FILE_VIEW, TREE_VIEW };

int create_with(uint32_t store, uint64_t size, int store_fd);
int create_buffer(uint64_t size);
int create_in_tree(const char *store, uint64_t size);
int open_file_view(int node);
int open_view(enum view view);
int reopen(int fd, int flags);

/* ---- mapping.c ----------------------------------------------------------- */

/* These are the access alone: what a test counts must be its own. */
static inline unsigned char touch(const void *p)
{
	return *(const volatile unsigned char *)p;
}

static inline uint64_t number_at(const unsigned char *p)
{
	return *(const volatile uint64_t *)p;
}

static inline void put(void *p, unsigned char value)
{
	*(volatile unsigned char *)p = value;
}

/*
 * So much address space for a mapping to be put there, at a multiple of a power of two; what is
 * around it stays reserved, too.  MAP_FAILED if there is none.  (Inline: to fault its code in
 * would be counted.)
 */
static inline unsigned char *aligned_room(size_t len, size_t align)
{
	unsigned char *area = mmap(NULL, len + align, PROT_NONE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return area == MAP_FAILED ? area
				  : area + (-(uintptr_t)area & (align - 1));
}

/* Of the last signal that touch_signal() has caught, and where it goes on. */
extern siginfo_t touch_info;
extern sigjmp_buf touch_return;

void touch_caught(int sig, siginfo_t *info, void *context);
int touch_signal(void *p, int write);
long cached_pages(void *p, size_t len);
void fault_by_pages(void *p, size_t len);
void soil_free_memory(void);

/* ---- module.c ------------------------------------------------------------ */

int load_module_file(const char *path, const char *parameters);
int load_module(const char *parameters);
int unload_module(void);
int module_is_loaded(void);
int map_ahead(const char *bytes);
int parameter_is(const char *name, const char *value);
int log_lines(int kmsg, char *text, size_t size);

#endif /* VMADEMO_LIB_H */
