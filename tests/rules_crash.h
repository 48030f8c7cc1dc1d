/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of power cuts at an event share: a buffer of a few pages with each kind of
 * store, which are old on the store and new in memory.
 */
#ifndef VMADEMO_RULES_CRASH_TEST_H
#define VMADEMO_RULES_CRASH_TEST_H

#define PAGES 10UL
#define SIZE  (PAGES * PAGE)
#define PARTS ((int)(PAGE / 512)) /* of a page */

#define STORE_SIZE SIZE
#include "store_fixture.h"
#include "rules.h"

#define CRASH	VMADEMO_RULE_CRASH
#define OFF	VMADEMO_RULE_OFF
#define KILL	VMADEMO_RULE_KILL
#define AFTER	VMADEMO_RULE_AFTER
#define SESSION VMADEMO_RULE_SESSION

/* Every byte is old, and on the store; then each is new, and dirty. */
static inline void old_and_new(struct __test_metadata *_metadata,
			       FIXTURE_DATA(store) * self)
{
	memset(self->map, 'o', SIZE);
	if (fsync(self->fd)) /* of the cut before */
		ASSERT_EQ(0, fsync(self->fd));
	memset(self->map, 'n', SIZE);
}

/* How many of the page's parts of 512 bytes are new; -1 if one is neither. */
static inline int new_parts(const unsigned char *page)
{
	int n = 0;

	for (size_t at = 0; at < PAGE; at += 512) {
		for (size_t i = 1; i < 512; i++)
			if (page[at + i] != page[at])
				return -1;
		if (page[at] != 'n' && page[at] != 'o')
			return -1;
		n += page[at] == 'n';
	}
	return n;
}

/* With one page a folio: the first so many are new, all others old. */
#define EXPECT_NEW(count)                                           \
	do {                                                        \
		for (int i_ = 0; i_ < (int)PAGES; i_++) {           \
			EXPECT_EQ(i_ < (int)(count) ? PARTS : 0,    \
				  new_parts(self->map + i_ * PAGE)) \
			TH_LOG("page %d of %d", i_, (int)(count));  \
		}                                                   \
	} while (0)

#define NEED_SMALL_FOLIOS()                                       \
	do {                                                      \
		if (!folios_are_pages(self->fd))                  \
			SKIP(return, "its folios are not pages"); \
	} while (0)

#endif /* VMADEMO_RULES_CRASH_TEST_H */
