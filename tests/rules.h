/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a program does, before its tests, that makes rules.
 */
#ifndef VMADEMO_RULES_TEST_H
#define VMADEMO_RULES_TEST_H

#include "../lib/rules.h"

#include "stores.h"

/* A rule is on pages.  Where a folio is larger, see folio_room.c. */
__attribute__((constructor)) static void want_pages(void)
{
	folio_size_wanted = PAGE;
}

/*
 * For a program that makes many rules one after another: with one that stays, none is the first,
 * for which the kernel's code is patched, nor the last.
 */
#define KEEP_A_RULE                                                \
	static void __attribute__((constructor)) keep_a_rule(void) \
	{                                                          \
		ADD_RULE(create_with(VMADEMO_STORE_NONE, PAGE, 0), \
			 .op = VMADEMO_OP_READ, .status = EIO);    \
	}

#endif /* VMADEMO_RULES_TEST_H */
