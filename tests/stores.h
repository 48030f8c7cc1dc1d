/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tests of buffers with a store, of each kind.
 */
#ifndef VMADEMO_STORES_H
#define VMADEMO_STORES_H

#include "../lib/store.h"

#include "vmademo_test.h"

/* What is dirty now is what was dirtied and has gone nowhere. */
#define EXPECT_ACCOUNT_ADDS_UP(fd)                                          \
	do {                                                                \
		struct account account_ = account_of(fd);                   \
                                                                            \
		if (folios_are_pages(fd))                                   \
			EXPECT_EQ(account_.dirty_folios,                    \
				  account_.dirtied_folios -                 \
					  account_.written_folios -         \
					  account_.discarded_folios -       \
					  account_.lost_folios);            \
		EXPECT_EQ(account_.dirty_bytes,                             \
			  account_.dirtied_bytes - account_.written_bytes - \
				  account_.discarded_bytes -                \
				  account_.lost_bytes);                     \
	} while (0)

/*
 * Runs every test of a fixture on each kind: FIXTURE_STORES(name) after FIXTURE().  Their
 * folio_size is 0; a fixture may add variants with another one.
 */
#define FIXTURE_STORES(fixture)              \
	FIXTURE_VARIANT(fixture)             \
	{                                    \
		enum store_kind kind;        \
		uint32_t folio_size;         \
	};                                   \
	FIXTURE_VARIANT_ADD(fixture, ram){   \
		.kind = STORE_RAM,           \
	};                                   \
	FIXTURE_VARIANT_ADD(fixture, tree){  \
		.kind = STORE_TREE,          \
	};                                   \
	FIXTURE_VARIANT_ADD(fixture, tmpfs){ \
		.kind = STORE_TMPFS,         \
	};                                   \
	FIXTURE_VARIANT_ADD(fixture, ext4){  \
		.kind = STORE_EXT4,          \
	};                                   \
	FIXTURE_VARIANT_ADD(fixture, block)  \
	{                                    \
		.kind = STORE_BLOCK,         \
	}

#endif /* VMADEMO_STORES_H */
