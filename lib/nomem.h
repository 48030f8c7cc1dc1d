/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Has the kernel's allocations fail.
 */
#ifndef VMADEMO_LIB_NOMEM_H
#define VMADEMO_LIB_NOMEM_H

#include "lib.h"

#define FAIL_NTH "/proc/thread-self/fail-nth"

void grow_the_stack(void);
void fail_from_now(int fd, int nth);
int failed(int fd);
int says_no_memory(int err);

#endif /* VMADEMO_LIB_NOMEM_H */
