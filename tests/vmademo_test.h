/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What all tests share that needs the harness, beside the library.
 */
#ifndef VMADEMO_TEST_H
#define VMADEMO_TEST_H

#include "../lib/lib.h"

/*
 * Seconds that a test may take.  Under emulation, on a busy machine, on a kernel
 * with all its checks on, only a hang takes this long.
 */
#ifdef TEST_TIMEOUT_DEFAULT
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 300
#endif

/*
 * First line of a test whose set-up may find that it cannot be run here; it then
 * leaves the reason in self->skip.  (The harness of Linux 6.1 runs the test even
 * if the set-up calls SKIP.)
 */
#define RUN_IF_READY()                                  \
	do {                                            \
		if (self->skip)                         \
			SKIP(return, "%s", self->skip); \
	} while (0)

/* Why a test that needs new pages does not run a second time. */
#define CACHED_ALREADY "the pages are cached already; load the module afresh"

/* The offset in the buffer where test number n may do what it likes. */
#define PLACE(n) ((off_t)(n)*MIB)

/* First line of a test that is about single pages of the buffer behind fd. */
#define RUN_IF_FOLIOS_ARE_PAGES(fd)                                         \
	do {                                                                \
		if (!folios_are_pages(fd))                                  \
			SKIP(return, "it is about folios of single pages"); \
	} while (0)

/* A call that answers -1 and this errno. */
#define EXPECT_FAILS(err, call)        \
	do {                           \
		errno = 0;             \
		EXPECT_EQ(-1, (call)); \
		EXPECT_EQ(err, errno); \
	} while (0)

/* Runs every test of a fixture on each: FIXTURE_VIEWS(name) after FIXTURE(). */
#define FIXTURE_VIEWS(fixture)              \
	FIXTURE_VARIANT(fixture)            \
	{                                   \
		enum view view;             \
	};                                  \
	FIXTURE_VARIANT_ADD(fixture, node){ \
		.view = NODE_VIEW,          \
	};                                  \
	FIXTURE_VARIANT_ADD(fixture, file){ \
		.view = FILE_VIEW,          \
	};                                  \
	FIXTURE_VARIANT_ADD(fixture, tree)  \
	{                                   \
		.view = TREE_VIEW,          \
	}

#endif /* VMADEMO_TEST_H */
