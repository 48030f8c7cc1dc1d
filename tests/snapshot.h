/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Snapshots, as the tests take them.
 */
#ifndef VMADEMO_SNAPSHOT_TEST_H
#define VMADEMO_SNAPSHOT_TEST_H

#include "vmademo_test.h"

/* A descriptor of what a cut would leave; NULL: if nothing more were written.  -1 and errno. */
static inline int take_snapshot(int fd, struct vmademo_crash *cut)
{
	struct vmademo_crash nothing = { 0 };

	return ioctl(fd, VMADEMO_IOC_SNAPSHOT, cut ? cut : &nothing);
}

#endif /* VMADEMO_SNAPSHOT_TEST_H */
