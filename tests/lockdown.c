// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kernel lockdown shuts the window, as it shuts /dev/mem: root may then do nothing
 * that changes the kernel.  There is no way back but to boot, and no module can be
 * loaded any more: it runs last, and only where VMADEMO_KO says that the machine is
 * there for tests.
 */
#include <sys/mount.h>
#include <sys/stat.h>

#include "kselftest_harness.h"
#include "../lib/window.h"
#include "rules.h"

#define SECURITYFS "/tmp/vmademo-securityfs"

TEST(shuts_the_window)
{
	int before = open(WINDOW, O_RDWR), node;
	char parameters[128];
	unsigned char *p;

	if (!getenv("VMADEMO_KO"))
		SKIP(return,
			   "VMADEMO_KO is not set: a machine of its own is needed");
	ASSERT_GE(before, 0);
	mkdir(SECURITYFS, 0700);
	if (mount("securityfs", SECURITYFS, "securityfs", 0, NULL) ||
	    access(SECURITYFS "/lockdown", W_OK))
		SKIP(return, "this kernel has no lockdown");
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, before, 0);
	ASSERT_NE(MAP_FAILED, p);

	ASSERT_EQ(0, write_text(SECURITYFS "/lockdown", "integrity"));
	EXPECT_FAILS(EPERM, open("/dev/mem", O_RDONLY));
	EXPECT_FAILS(EPERM, open(WINDOW, O_RDONLY));
	/* What was open stays so */
	put(p, 1);
	EXPECT_EQ(1, touch(p));
	/* A buffer is no way into the kernel */
	node = open(NODE, O_RDWR);
	EXPECT_LE(0, node);
	/* Its rules are made by request; debugfs is shut */
	EXPECT_LT(0, ADD_RULE(node, .op = VMADEMO_OP_READ, .status = EIO));
	EXPECT_EQ(-1, pread(node, parameters, 1, 0));
	EXPECT_FAILS(EPERM, open(rules_file(-1), O_RDWR));
	umount(SECURITYFS);

	/* Nor can the module be loaded for a window; if any can be that is not signed */
	munmap(p, PAGE);
	close(before);
	close(node);
	ASSERT_EQ(0, unload_module());
	if (reserved_memory()) {
		snprintf(parameters, sizeof(parameters), "phys=1M@0x%" PRIx64,
			 reserved_memory());
		EXPECT_FAILS(EPERM, load_module(parameters));
	}
	EXPECT_FAILS(EPERM, load_module("phys=2M"));
}

TEST_HARNESS_MAIN
