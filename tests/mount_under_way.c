// SPDX-License-Identifier: GPL-2.0-only
/*
 * While a power cut of a tree is under way, nobody need wait for it, and the tree can go.
 */
#include "kselftest_harness.h"
#include "mount.h"
#include "rules.h"

KEEP_A_RULE

#define MOVES 3000

/* The log is long, and the names are cut when the pages of a file are. */
TEST(unmounted)
{
	const struct vmademo_rule crash = {
		.op = VMADEMO_OP_CREATE,
		.flags = VMADEMO_RULE_CRASH | VMADEMO_RULE_AFTER,
		.share = 1000,
	};
	unsigned char page[PAGE];

	memset(page, 'p', sizeof(page));
	for (int round = 0; round < 25; round++) {
		int dir, fd;

		ASSERT_EQ(0, mount_tree("store=ram,size=16M,folio_size=4K"));
		dir = open(TREE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		fd = new_file(AT "0");
		ASSERT_LE(0, fd);
		for (int i = 0; i < round * 40; i++)
			ASSERT_EQ(PAGE, pwrite(fd, page, PAGE, i * PAGE));
		close(fd);
		for (int i = 0; i < MOVES; i++)
			ASSERT_EQ(0, rename(i % 2 ? AT "1" : AT "0",
					    i % 2 ? AT "0" : AT "1"));
		ASSERT_LT(0, add_rule(dir, crash));
		close(dir);
		close(new_file(AT "last"));
		ASSERT_EQ(0, umount_tree());
	}
}

TEST_HARNESS_MAIN
