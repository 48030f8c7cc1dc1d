/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fixture `window`: physical windows, of each kind and by each way of mapping.
 *
 * The kinds: memory of the module's own; a PCI BAR (QEMU's ivshmem device); memory
 * that the kernel was told to leave alone (memmap= on its command line).
 */
#ifndef VMADEMO_WINDOW_FIXTURE_H
#define VMADEMO_WINDOW_FIXTURE_H

#include "kselftest_harness.h"
#include "../lib/window.h"
#include "vmademo_test.h"

/* Two or more entries of a higher table, or one if that is so much */
#define LEN (PMD_SIZE > 4 * MIB ? PMD_SIZE : 4 * MIB)

FIXTURE(window)
{
	const char *skip;
	int fd;
	uint64_t base;
	char phys[64];
	bool lazy;
	bool private_ok; /* it can be mapped privately */
	size_t pages_an_entry; /* lazy: how many pages one fault maps */
};

FIXTURE_VARIANT(window)
{
	enum { OWN, BAR, RESERVED } kind;
	bool lazy;
};

#define VARIANT(kind_, lazy_, name)           \
	FIXTURE_VARIANT_ADD(window, name)     \
	{                                     \
		.kind = kind_, .lazy = lazy_, \
	}

VARIANT(OWN, false, own_eager);
VARIANT(OWN, true, own_lazy);
VARIANT(BAR, false, bar_eager);
VARIANT(BAR, true, bar_lazy);
VARIANT(RESERVED, false, reserved_eager);
VARIANT(RESERVED, true, reserved_lazy);

FIXTURE_SETUP(window)
{
	snprintf(self->phys, sizeof(self->phys), "%luM", LEN / MIB);
	self->fd = -1;
	self->lazy = variant->lazy;
	if (variant->kind == BAR) {
		self->base = ivshmem_bar();
		if (!self->base)
			self->skip = "the machine has no ivshmem device";
		self->base += 32 * MIB; /* `devices` uses what is before */
	} else if (variant->kind == RESERVED) {
		self->base = reserved_memory();
		if (!self->base)
			self->skip = "no memory is reserved by memmap=";
	}
	if (variant->kind != OWN)
		snprintf(self->phys, sizeof(self->phys), "%luM@0x%" PRIx64,
			 LEN / MIB, self->base);
	if (!self->skip && !use_window(self->phys, self->lazy))
		self->skip = "VMADEMO_KO does not name the module to load";
	if (self->skip)
		return;
	self->fd = open(WINDOW, O_RDWR);
	ASSERT_GE(self->fd, 0) TH_LOG("%s: %s", WINDOW, strerror(errno));
	ASSERT_EQ(LEN, window_value("size"));
	if (variant->kind == OWN)
		self->base = window_base();
	ASSERT_EQ(self->base, window_base());
	self->private_ok = !variant->lazy &&
			   (variant->kind == OWN || !remap_marks_vma());
	self->pages_an_entry = huge_entries() ? PMD_SIZE / PAGE : 1;
}

FIXTURE_TEARDOWN(window)
{
	if (self->fd >= 0)
		close(self->fd);
}

static inline unsigned char *map(struct __test_metadata *_metadata, int fd,
				 size_t len, off_t offset)
{
	unsigned char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED,
				fd, offset);

	ASSERT_NE(MAP_FAILED, p) TH_LOG("%s", strerror(errno));
	return p;
}

static inline int map_error(int fd, size_t len, uint64_t offset)
{
	void *p = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, (off_t)offset);

	if (p == MAP_FAILED)
		return errno;
	munmap(p, len);
	return 0;
}

static inline void put_number(unsigned char *p, uint64_t number)
{
	*(volatile uint64_t *)p = number;
}

#endif /* VMADEMO_WINDOW_FIXTURE_H */
