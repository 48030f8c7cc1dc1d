/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The power of stores, as the tests switch it.
 */
#ifndef VMADEMO_POWER_TEST_H
#define VMADEMO_POWER_TEST_H

#include <stdbool.h>

#include "stores.h"

static inline int power(int fd, struct vmademo_power p)
{
	return ioctl(fd, VMADEMO_IOC_POWER, &p);
}

static inline int power_off(int fd)
{
	return power(fd, (struct vmademo_power){ .flags = VMADEMO_POWER_OFF });
}

static inline int power_on(int fd)
{
	return power(fd, (struct vmademo_power){ 0 });
}

static inline bool is_off(int fd)
{
	struct vmademo_info info = { 0 };

	return !ioctl(fd, VMADEMO_IOC_INFO, &info) &&
	       info.flags & VMADEMO_INFO_OFF;
}

#endif /* VMADEMO_POWER_TEST_H */
