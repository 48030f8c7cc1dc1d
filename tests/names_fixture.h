/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fixture `names`: a mounted tree with store ram, of each kind of names=.
 */
#ifndef VMADEMO_NAMES_FIXTURE_H
#define VMADEMO_NAMES_FIXTURE_H

#include "kselftest_harness.h"
#include "../lib/tree.h"
#include "rules.h"

FIXTURE(names)
{
	int dir;
};

#include "names_variants.h"

FIXTURE_SETUP(names)
{
	ASSERT_EQ(0, mount_tree(variant->options));
	self->dir = open(TREE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_LE(0, self->dir);
}

FIXTURE_TEARDOWN(names)
{
	close(self->dir);
	EXPECT_EQ(0, umount_tree()) TH_LOG("umount: %s", strerror(errno));
}

static inline bool is_there(const char *path)
{
	return !access(path, F_OK);
}

/* With none of what is not durable; how many operations it has undone. */
static inline int64_t cut(int fd)
{
	struct vmademo_crash c = { 0 };

	return ioctl(fd, VMADEMO_IOC_CRASH, &c) ? -errno : (int64_t)c.lost_names;
}

static inline struct vmademo_info info_of_tree(int dir)
{
	struct vmademo_info info = { 0 };

	ioctl(dir, VMADEMO_IOC_INFO, &info);
	return info;
}

#endif /* VMADEMO_NAMES_FIXTURE_H */
