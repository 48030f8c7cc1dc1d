/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of the demo share.
 */
#ifndef VMADEMO_DEMO_H
#define VMADEMO_DEMO_H

#include "../lib/lib.h"

void die(const char *what);
void title(const char *text);
__attribute__((format(printf, 2, 3))) void line(const char *what,
						const char *format, ...);

/* demo_rules.c */
void demo_rules(void);

#endif /* VMADEMO_DEMO_H */
