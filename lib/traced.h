/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel has traced.
 */
#ifndef VMADEMO_LIB_TRACED_H
#define VMADEMO_LIB_TRACED_H

#include "lib.h"

#define TRACING "/sys/kernel/debug/tracing/"
#define EVENTS	TRACING "events/vmademo/"

void clear_trace(void);
long long slowest(const char *event);

#endif /* VMADEMO_LIB_TRACED_H */
