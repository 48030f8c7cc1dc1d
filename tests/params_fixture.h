/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fixture `params`: the module is not loaded, and what it logs from now on can be
 * read.  Afterwards it is loaded.  VMADEMO_KO names it.
 */
#ifndef VMADEMO_PARAMS_FIXTURE_H
#define VMADEMO_PARAMS_FIXTURE_H

#include "kselftest_harness.h"
#include "vmademo_test.h"

FIXTURE(params)
{
	const char *skip;
	int kmsg;
};

FIXTURE_SETUP(params)
{
	self->kmsg = -1;
	if (!getenv("VMADEMO_KO")) {
		self->skip = "VMADEMO_KO does not name the module to load";
		return;
	}
	if (module_is_loaded())
		ASSERT_EQ(0, unload_module());
	self->kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	ASSERT_GE(self->kmsg, 0);
	lseek(self->kmsg, 0, SEEK_END);
}

FIXTURE_TEARDOWN(params)
{
	close(self->kmsg);
	if (!self->skip && !module_is_loaded())
		load_module("");
}

struct bad_parameters {
	const char *text, *why; /* a part of the line that says what was wrong */
	int error;
};

/* The load is refused, with one line in the log, and no node is left. */
static inline void expect_refused(struct __test_metadata *_metadata, int kmsg,
				  const struct bad_parameters *bad)
{
	char line[256];

	EXPECT_EQ(-1, load_module(bad->text)) TH_LOG("%s", bad->text);
	EXPECT_EQ(bad->error, errno) TH_LOG("%s", bad->text);
	EXPECT_EQ(1, log_lines(kmsg, line, sizeof(line)))
	TH_LOG("%s: %s", bad->text, line);
	EXPECT_NE(NULL, strstr(line, bad->why))
	TH_LOG("%s: %s", bad->text, line);
	EXPECT_FALSE(module_is_loaded());
	EXPECT_EQ(-1, access(NODE, F_OK));
	EXPECT_EQ(-1, access(WINDOW, F_OK));
}

#endif /* VMADEMO_PARAMS_FIXTURE_H */
