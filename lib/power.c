// SPDX-License-Identifier: GPL-2.0-only
/*
 * The power of stores: a cut, off and on, and a snapshot of what a cut would leave.
 */
#include "store.h"

/* A power cut in which nothing more was written; 0, or -1 and errno. */
int power_cut(int fd)
{
	struct vmademo_crash c = { 0 };

	return ioctl(fd, VMADEMO_IOC_CRASH, &c);
}

int power(int fd, struct vmademo_power p)
{
	return ioctl(fd, VMADEMO_IOC_POWER, &p);
}

int power_off(int fd)
{
	return power(fd, (struct vmademo_power){ .flags = VMADEMO_POWER_OFF });
}

int power_on(int fd)
{
	return power(fd, (struct vmademo_power){ 0 });
}

bool is_off(int fd)
{
	struct vmademo_info info = { 0 };

	return !ioctl(fd, VMADEMO_IOC_INFO, &info) &&
	       info.flags & VMADEMO_INFO_OFF;
}

/* A descriptor of what a cut would leave; NULL: if nothing more were written.  -1 and errno. */
int take_snapshot(int fd, struct vmademo_crash *cut)
{
	struct vmademo_crash nothing = { 0 };

	return ioctl(fd, VMADEMO_IOC_SNAPSHOT, cut ? cut : &nothing);
}
