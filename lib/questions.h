/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The questions of the test `answers`, one function each: does something to a mapping or its
 * file, and says in a word or two what came of it.  Each leaves things as they were.
 */
#ifndef VMADEMO_LIB_QUESTIONS_H
#define VMADEMO_LIB_QUESTIONS_H

#include "lib.h"

#define LEN  (16 * PAGE)
#define CELL 80
#define RW   (PROT_READ | PROT_WRITE)

enum { ON_NODE, ON_FILE, ON_WINDOW, KINDS };

struct subject {
	int kind;
	int fd;
	off_t size;
	unsigned char *map; /* LEN bytes, shared, at offset 0 */
	int32_t pipe[2];
	int disk; /* another file, open with O_DIRECT */
	char text[CELL];
};

/* ---- questions_map.c ---------------------------------------------------- */

const char *yes_or_errno(struct subject *s, int64_t result);
const char *ask_shared(struct subject *s);
const char *ask_private(struct subject *s);
const char *ask_private_part(struct subject *s);
const char *ask_past_the_end(struct subject *s);
const char *ask_overflow(struct subject *s);
const char *ask_map_sync(struct subject *s);
const char *ask_write_of_read_only(struct subject *s);
const char *ask_touching(struct subject *s);
const char *ask_writing(struct subject *s);
const char *ask_msync(struct subject *s);
const char *ask_mremap_growing(struct subject *s);
const char *ask_mremap_shrinking(struct subject *s);
const char *ask_mremap_moving(struct subject *s);
const char *ask_remap_file_pages(struct subject *s);
const char *ask_mlock(struct subject *s);
const char *ask_mincore(struct subject *s);

/* ---- questions_memory.c ------------------------------------------------- */

const char *ask_o_direct(struct subject *s);
const char *ask_vmsplice(struct subject *s);
const char *ask_system_call(struct subject *s);
const char *ask_process_vm(struct subject *s);
const char *ask_proc_mem(struct subject *s);
const char *ask_fixed_buffer(struct subject *s);
const char *ask_userfaultfd(struct subject *s);

/* ---- questions_file.c --------------------------------------------------- */

const char *ask_fsync(struct subject *s);
const char *ask_sync_file_range(struct subject *s);
const char *ask_read(struct subject *s);
const char *ask_write(struct subject *s);
const char *ask_splice(struct subject *s);
const char *ask_sendfile(struct subject *s);
const char *ask_copy_file_range(struct subject *s);
const char *ask_lseek(struct subject *s);
const char *ask_lseek_past(struct subject *s);
const char *ask_fadvise(struct subject *s);
const char *ask_readahead(struct subject *s);
const char *ask_read_at_the_end(struct subject *s);
const char *ask_write_at_the_end(struct subject *s);
const char *ask_o_direct_open(struct subject *s);
const char *ask_ftruncate(struct subject *s);
const char *ask_fallocate(struct subject *s);
const char *ask_punch(struct subject *s);
const char *ask_ioctl(struct subject *s);
const char *ask_fstat(struct subject *s);
const char *ask_reopen(struct subject *s);
const char *ask_unload(struct subject *s);

#endif /* VMADEMO_LIB_QUESTIONS_H */
