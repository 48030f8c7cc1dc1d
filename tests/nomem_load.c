// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory runs out while the module is loaded and unloaded (nomem.h).
 *
 * VMADEMO_STEPS: with 100000 or more each allocation of a load fails in turn, otherwise each
 * third, from VMADEMO_SEED on.
 */
#include "nomem.h"

/* How many allocations there have been since the many-th was to fail. */
static int allocations(int fd, int many)
{
	char text[16] = "";

	while (pread(fd, text, sizeof(text) - 1, 0) < 0)
		;
	fail_from_now(fd, 0);
	return many - atoi(text);
}

/*
 * Before the module is asked, the kernel allocates much for it, and warns of some failures
 * there: that is its own affair.  A load that the module refuses at once tells how much that is.
 */
TEST_F_TIMEOUT(nomem, loading, 1200)
{
	RUN_IF_READY();

	const char *steps = getenv("VMADEMO_STEPS"),
		   *seed = getenv("VMADEMO_SEED");
	const int many = 1000000, step = steps && atoi(steps) >= 100000 ? 1 : 3;
	int first;

	ASSERT_EQ(0, unload_module());
	fail_from_now(self->fail_nth, many);
	EXPECT_EQ(-1, load_module("size=no"));
	first = allocations(self->fail_nth, many);
	TH_LOG("after %d of the kernel's own", first);
	first = (first > 10 ? first - 10 : 1) + (seed ? atoi(seed) % step : 0);
	EACH_FAILURE_FROM(first, step, , load_module("size=1M phys=16K") == 0,
			  ASSERT_TRUE(!ok || !unload_module());
			  EXPECT_FALSE(module_is_loaded());
			  EXPECT_EQ(-1, access(NODE, F_OK));
			  EXPECT_EQ(-1, access(WINDOW, F_OK));
			  EXPECT_EQ(-1, access("/sys/class/bdi/vmademo", F_OK)));
}

static int load_example(const char *name, const char *parameters)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/vmademo_%s.ko",
		 getenv("VMADEMO_EXAMPLES"), name);
	return load_module_file(path, parameters);
}

static int unload_example(const char *name)
{
	char module[32];

	snprintf(module, sizeof(module), "vmademo_%s", name);
	return syscall(SYS_delete_module, module, O_NONBLOCK);
}

/* So with the modules in examples/modules: what was done before an allocation failed is undone. */
TEST_F_TIMEOUT(nomem, loading_examples, 1200)
{
	RUN_IF_READY();

	static const char *const names[] = { "pages", "cache", "physical" };
	const int many = 1000000;
	char node[32];
	int first;

	if (!getenv("VMADEMO_EXAMPLES"))
		SKIP(return,
			   "VMADEMO_EXAMPLES does not name where the modules are");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(node, sizeof(node), "/dev/vmademo-%s", names[i]);
		fail_from_now(self->fail_nth, many);
		EXPECT_EQ(-1, load_example(names[i], "pages=0"));
		first = allocations(self->fail_nth, many);
		first = first > 10 ? first - 10 : 1;
		EACH_FAILURE_FROM(
			first, 1, , load_example(names[i], "") == 0,
			ASSERT_TRUE(!ok || !unload_example(names[i]));
			EXPECT_EQ(-1, access(node, F_OK));
			EXPECT_EQ(-1,
				  access("/sys/class/bdi/vmademo-cache", F_OK)));
	}
}

TEST_F(nomem, unloading)
{
	RUN_IF_READY();

	/* By now there may be no 2 MiB of memory in one piece */
	EACH_FAILURE(if (!module_is_loaded())
			     ASSERT_EQ(0, load_module("phys=16K")),
		     unload_module() == 0, );
}

TEST_HARNESS_MAIN
