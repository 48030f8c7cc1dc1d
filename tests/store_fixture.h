/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fixture `store`: a buffer of STORE_SIZE bytes with a store of each kind, and a
 * mapping of all of it.  The program says how large that is before it includes this.
 */
#ifndef VMADEMO_STORE_FIXTURE_H
#define VMADEMO_STORE_FIXTURE_H

#include "kselftest_harness.h"
#include "stores.h"

FIXTURE(store)
{
	const char *skip;
	int fd, lower;
	unsigned char *map;
};

FIXTURE_STORES(store);

FIXTURE_SETUP(store)
{
	self->fd = create_store(variant->kind, STORE_SIZE, &self->lower);
	if (self->fd < 0 && errno == ENODEV) {
		self->skip = "no such store on this machine";
		return;
	}
	ASSERT_GE(self->fd, 0) TH_LOG("create: %s", strerror(errno));
	self->map = mmap(NULL, STORE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
}

FIXTURE_TEARDOWN(store)
{
	if (self->skip)
		return;
	EXPECT_ACCOUNT_ADDS_UP(self->fd);
	munmap(self->map, STORE_SIZE);
	end_store(variant->kind, self->fd, self->lower);
}

#endif /* VMADEMO_STORE_FIXTURE_H */
