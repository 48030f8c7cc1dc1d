/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fixture `module`: one of the modules in examples/modules is loaded, and its device open.
 * Afterwards it must unload.  VMADEMO_EXAMPLES names the folder where they are.
 */
#ifndef VMADEMO_EXAMPLE_MODULES_H
#define VMADEMO_EXAMPLE_MODULES_H

#include "kselftest_harness.h"
#include "vmademo_test.h"

enum kind { PAGES, CACHE, PHYSICAL };

/* The devices have so many pages, if nothing else is said. */
#define N 16
/* Or so many: 4 MiB, which can be had in one piece */
#define SOME_MIB ((int)(4 * MIB / PAGE))

FIXTURE(module)
{
	const char *skip;
	bool loaded;
	int fd;
};

FIXTURE_VARIANT(module)
{
	const char *name; /* vmademo_NAME.ko and /dev/vmademo-NAME */
	enum kind kind;
};

FIXTURE_VARIANT_ADD(module, pages){
	.name = "pages",
	.kind = PAGES,
};

FIXTURE_VARIANT_ADD(module, cache){
	.name = "cache",
	.kind = CACHE,
};

FIXTURE_VARIANT_ADD(module, physical){
	.name = "physical",
	.kind = PHYSICAL,
};

/* Is the module to be mapped by .mmap, although there is .mmap_prepare?  So is the example. */
static inline bool by_legacy_hook(enum kind kind)
{
	const char *parameters = getenv("VMADEMO_PARAMS");

	return kind == PHYSICAL && parameters &&
	       strstr(parameters, "legacy_mmap=1");
}

static inline int load(const FIXTURE_VARIANT(module) * variant, unsigned int pages)
{
	char path[128], parameters[64];

	snprintf(path, sizeof(path), "%s/vmademo_%s.ko",
		 getenv("VMADEMO_EXAMPLES"), variant->name);
	snprintf(parameters, sizeof(parameters), "pages=%u%s", pages,
		 by_legacy_hook(variant->kind) ? " legacy_mmap=1" : "");
	return load_module_file(path, parameters);
}

static inline int unload(const FIXTURE_VARIANT(module) * variant)
{
	char name[32];

	snprintf(name, sizeof(name), "vmademo_%s", variant->name);
	return syscall(SYS_delete_module, name, O_NONBLOCK);
}

static inline int open_node(const FIXTURE_VARIANT(module) * variant, int flags)
{
	char path[32];

	snprintf(path, sizeof(path), "/dev/vmademo-%s", variant->name);
	return open(path, flags | O_CLOEXEC);
}

static inline void *map(int fd, int flags, uint64_t page, uint64_t pages)
{
	return mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, flags, fd,
		    (off_t)(page * PAGE));
}

static inline void *map_all(int fd)
{
	return map(fd, MAP_SHARED, 0, N);
}

FIXTURE_SETUP(module)
{
	self->fd = -1;
	self->loaded = false;
	if (!getenv("VMADEMO_EXAMPLES")) {
		self->skip =
			"VMADEMO_EXAMPLES does not name where the modules are";
		return;
	}
	unload(variant); /* what a test that failed has left */
	ASSERT_EQ(0, load(variant, N));
	self->loaded = true;
	self->fd = open_node(variant, O_RDWR);
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(module)
{
	if (self->fd >= 0)
		close(self->fd);
	if (self->loaded) {
		EXPECT_EQ(0, unload(variant));
	}
}

/* Loads it anew, with so many pages. */
#define RELOAD(pages)                                  \
	do {                                           \
		close(self->fd);                       \
		self->fd = -1;                         \
		ASSERT_EQ(0, unload(variant));         \
		self->loaded = false;                  \
		ASSERT_EQ(0, load(variant, pages));    \
		self->loaded = true;                   \
		self->fd = open_node(variant, O_RDWR); \
		ASSERT_GE(self->fd, 0);                \
	} while (0)

#endif /* VMADEMO_EXAMPLE_MODULES_H */
