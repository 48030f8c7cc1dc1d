// SPDX-License-Identifier: GPL-2.0-only
/*
 * A machine that has no more memory, because a program wrote it all to a buffer.
 *
 * Wants a machine of its own, with little memory, which VMADEMO_SMALL says; and loads the
 * module, which VMADEMO_KO names.
 */
#include "kselftest_harness.h"
#include "stores.h"

FIXTURE(small)
{
	const char *skip;
	char interval[24];
};

static const char flusher[] = "/proc/sys/vm/dirty_writeback_centisecs";

FIXTURE_VARIANT(small)
{
	uint32_t store;
	bool limited;
};

FIXTURE_VARIANT_ADD(small, ram){
	.store = VMADEMO_STORE_RAM,
	.limited = true,
};

FIXTURE_VARIANT_ADD(small, none){
	.store = VMADEMO_STORE_NONE,
	.limited = true,
};

FIXTURE_VARIANT_ADD(small, ram_without_limit){
	.store = VMADEMO_STORE_RAM,
};

FIXTURE_SETUP(small)
{
	const char *small = getenv("VMADEMO_SMALL");

	if (!small || !*small || !getenv("VMADEMO_KO")) {
		self->skip = "wants a machine of its own, with little memory";
		return;
	}
	if (module_is_loaded())
		ASSERT_EQ(0, unload_module());
	ASSERT_EQ(0, load_module(variant->limited ? "" : "ram_limit=1048576G"));
	/* The flusher comes by as it does everywhere */
	snprintf(self->interval, sizeof(self->interval), "%" PRId64,
		 read_number(flusher));
	write_text(flusher, "100");
}

FIXTURE_TEARDOWN(small)
{
	if (self->skip)
		return;
	write_text(flusher, self->interval);
	EXPECT_EQ(0, unload_module());
	EXPECT_EQ(0, load_module(""));
}

/*
 * A program writes more than there is.  The limit stops it, or if there is none, the
 * kernel kills it: it ends, gives back what it had, and nobody waits for ever.
 */
TEST_F(small, out_of_memory)
{
	RUN_IF_READY();

	const uint64_t size = 4 * meminfo("MemTotal") / MIB * MIB;
	int64_t oom = vmstat("oom_kill"), free = meminfo("MemFree");
	int status;
	pid_t pid;

	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		int fd = create_with(variant->store, size, 0);

		/* It, and nobody else, is to be killed */
		write_text("/proc/self/oom_score_adj", "1000");
		for (uint64_t at = 0; at < size; at += MIB) {
			unsigned char *p = mmap(NULL, MIB, PROT_READ | PROT_WRITE,
						MAP_SHARED, fd, at);

			if (p == MAP_FAILED)
				_exit(1);
			memset(p, 1, MIB);
			munmap(p, MIB);
		}
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status)) TH_LOG("%#x", status);
	EXPECT_EQ(variant->limited ? SIGBUS : SIGKILL, WTERMSIG(status));
	if (variant->limited)
		EXPECT_EQ(oom, vmstat("oom_kill"));
	EXPECT_LT(free - 16 * (int64_t)MIB, meminfo("MemFree"));
}

TEST_HARNESS_MAIN
