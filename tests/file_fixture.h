/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fixture `file`: a buffer as a regular file whose end is inside a page, and a
 * mapping that is longer.
 */
#ifndef VMADEMO_FILE_FIXTURE_H
#define VMADEMO_FILE_FIXTURE_H

#include <sys/stat.h>

#include "kselftest_harness.h"
#include "vmademo_test.h"

#define SIZE (16 * PAGE + 100)

FIXTURE(file)
{
	int fd;
	unsigned char *map; /* 32 pages: more than the file has */
};

FIXTURE_SETUP(file)
{
	self->fd = create_buffer(SIZE);
	ASSERT_GE(self->fd, 0) TH_LOG("create: %s", strerror(errno));
	self->map = mmap(NULL, 32 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
}

FIXTURE_TEARDOWN(file)
{
	struct account now = account_of(self->fd);

	/* At rest, what was dirtied is written, discarded, or still dirty */
	if (folios_are_pages(self->fd)) /* one that is split is several */
		EXPECT_EQ(now.dirty_folios, now.dirtied_folios -
						    now.written_folios -
						    now.discarded_folios);
	EXPECT_EQ(now.dirty_bytes,
		  now.dirtied_bytes - now.written_bytes - now.discarded_bytes);
	munmap(self->map, 32 * PAGE);
	close(self->fd);
}

static inline struct stat stat_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		memset(&st, 0xff, sizeof(st));
	return st;
}

#endif /* VMADEMO_FILE_FIXTURE_H */
