/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory runs out: each operation is repeated with its first, second, third ...
 * allocation failing, until it has no more.  Each time it must either succeed, or
 * fail with an errno that says so and leave nothing behind.  Needs a kernel that
 * can inject failures (make check-debug) and VMADEMO_KO.
 */
#ifndef VMADEMO_NOMEM_H
#define VMADEMO_NOMEM_H

#include "kselftest_harness.h"
#include "../lib/nomem.h"
#include "vmademo_test.h"

#define NO_MORE 1000 /* no operation here allocates that often */

FIXTURE(nomem)
{
	const char *skip;
	int fail_nth;
};

FIXTURE_SETUP(nomem)
{
	static const struct {
		const char *file, *value;
	} settings[] = {
		{ "failslab/ignore-gfp-wait", "N" },
		{ "failslab/verbose", "0" },
		{ "fail_page_alloc/ignore-gfp-wait", "N" },
		{ "fail_page_alloc/ignore-gfp-highmem", "N" },
		{ "fail_page_alloc/min-order", "0" },
		{ "fail_page_alloc/verbose", "0" },
		{ "fail_usercopy/verbose", "0" },
	};
	char path[128];

	self->fail_nth = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	if (self->fail_nth < 0)
		self->skip = "this kernel cannot make allocations fail";
	else if (!getenv("VMADEMO_KO"))
		self->skip = "VMADEMO_KO does not name the module to load";
	if (self->skip)
		return;
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s",
			 settings[i].file);
		ASSERT_EQ(0, write_text(path, settings[i].value))
		TH_LOG("%s: %s", path, strerror(errno));
	}
	if (!module_is_loaded())
		ASSERT_EQ(0, load_module(""));
	grow_the_stack();
	/* From here on, only the mappings under test take faults */
	ASSERT_EQ(0, mlockall(MCL_CURRENT));
}

FIXTURE_TEARDOWN(nomem)
{
	close(self->fail_nth);
	if (!self->skip && !module_is_loaded())
		load_module("");
}

/*
 * Tries the operation with its first, second ... allocation failing.  `before`
 * prepares it, `operation` is true if it succeeded, `after` undoes it.
 */
#define EACH_FAILURE(...) EACH_FAILURE_FROM(1, 1, __VA_ARGS__)

#define EACH_FAILURE_FROM(first, step, before, operation, after)          \
	do {                                                              \
		int injected = 1, ok, err, count = 0, refused = 0;        \
                                                                          \
		for (int nth = (first); injected; nth += (step)) {        \
			ASSERT_GT((first) + NO_MORE, nth);                \
			before;                                           \
			fail_from_now(self->fail_nth, nth);               \
			ok = (operation);                                 \
			err = errno;                                      \
			injected = failed(self->fail_nth);                \
			count += injected;                                \
			refused += !ok;                                   \
			if (!ok) {                                        \
				EXPECT_TRUE(injected)                     \
				TH_LOG("%s", strerror(err));              \
				EXPECT_TRUE(says_no_memory(err))          \
				TH_LOG("%d: %s", nth, strerror(err));     \
			}                                                 \
			after;                                            \
		}                                                         \
		TH_LOG("%d allocations made to fail, %d refusals", count, \
		       refused);                                          \
		EXPECT_LT(0, count);                                      \
	} while (0)

#endif /* VMADEMO_NOMEM_H */
