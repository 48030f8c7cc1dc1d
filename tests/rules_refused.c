// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which outcome an operation can have, and what no rule can say: EINVAL, and nothing has
 * changed.  How programs ask what there is.
 */
#include "kselftest_harness.h"
#include "rules.h"
#include "rules_pairs.h"

#define PAGES 16UL

TEST(pairs)
{
	int fd = create_with(VMADEMO_STORE_RAM, PAGES * PAGE, 0), rules = 0;

	ASSERT_GE(fd, 0);
	for (size_t op = 0; op < BUFFER_OPS; op++) {
		for (size_t i = 0; i < STATUSES; i++) {
			bool can = is_legal(op, statuses[i].name);
			int64_t id = ADD_RULE(fd, .op = op,
					      .status = statuses[i].status);

			EXPECT_EQ(can, id > 0)
			TH_LOG("%s %s", legal[op].op, statuses[i].name);
			rules += can;
			if (id < 0) {
				EXPECT_EQ(EINVAL, errno);
			}
		}
		/* Any number that is no errno here */
		for (uint32_t status = 1; status; status *= 2) {
			bool known = false;

			for (size_t i = 0; i < STATUSES; i++)
				known |= statuses[i].status == status;
			if (!known) {
				EXPECT_FAILS(EINVAL, ADD_RULE(fd, .op = op,
							      .status = status));
			}
		}
		/* A delay goes with everything; to be torn, with one */
		EXPECT_LT(0, ADD_RULE(fd, .op = op, .delay_us = 1));
		rules++;
		EXPECT_EQ(op == VMADEMO_OP_WRITE_OUT,
			  ADD_RULE(fd, .op = op, .flags = VMADEMO_RULE_TORN) > 0);
		rules += op == VMADEMO_OP_WRITE_OUT;
	}
	EXPECT_EQ(rules, count_rules(fd));
	close(fd);
}

/* A field that is out of range, by the request. */
TEST(fields)
{
	const uint64_t pages = MAX_SIZE / PAGE;
	const struct vmademo_rule good = { .op = VMADEMO_OP_WRITE_OUT,
					   .status = EIO };
	const struct vmademo_rule torn = { .op = VMADEMO_OP_WRITE_OUT,
					   .flags = VMADEMO_RULE_TORN };
	int fd = create_with(VMADEMO_STORE_RAM, PAGES * PAGE, 0);
	struct vmademo_rule_id id = { .id = 1 };
	struct vmademo_rule r;

#define BAD(from, field, value)                                            \
	do {                                                               \
		r = from;                                                  \
		r.field = value;                                           \
		EXPECT_FAILS(EINVAL, ioctl(fd, VMADEMO_IOC_RULE_ADD, &r)); \
	} while (0)
#define GOOD(from, field, value)                                   \
	do {                                                       \
		r = from;                                          \
		r.field = value;                                   \
		EXPECT_EQ(0, ioctl(fd, VMADEMO_IOC_RULE_ADD, &r)); \
	} while (0)

	ASSERT_GE(fd, 0);
	for (uint32_t op = BUFFER_OPS; op <= OPS; op++)
		BAD(good, op, op);
	BAD(good, op, UINT32_MAX);
	BAD(good, id, 1);
	BAD(good, hits, 1);
	BAD(good, matches, 1);
	BAD(good, flags, 32);
	BAD(good, share, 1);
	BAD(good, cut_torn, 1);
	BAD(good, start, pages);
	BAD(good, start, UINT64_MAX);
	BAD(good, nr, pages + 1);
	BAD(good, nr, UINT64_MAX);
	BAD(good, pid, 1);
	BAD(good, pid, -1);
	BAD(good, delay_us, VMADEMO_DELAY_MAX + 1);
	BAD(good, delay_us, UINT32_MAX);
	BAD(good, torn, 1);
	BAD(good, granularity, 512);
	BAD(torn, torn, 1001);
	BAD(torn, granularity, 3);
	BAD(torn, granularity, 8192);
	BAD(torn, op, VMADEMO_OP_READ_IN);
	for (int i = 0; i < 7; i++)
		BAD(good, reserved[i], 1);
	r = good;
	r.start = pages - 1;
	r.nr = 2;
	EXPECT_FAILS(EINVAL, ioctl(fd, VMADEMO_IOC_RULE_ADD, &r));
	EXPECT_FAILS(EFAULT, ioctl(fd, VMADEMO_IOC_RULE_ADD, NULL));
	EXPECT_FAILS(EFAULT, ioctl(fd, VMADEMO_IOC_RULE_DEL, NULL));
	EXPECT_FAILS(EFAULT, ioctl(fd, VMADEMO_IOC_RULE_LIST, NULL));
	r = (struct vmademo_rule){ .hits = 1 };
	EXPECT_FAILS(EINVAL, ioctl(fd, VMADEMO_IOC_RULE_LIST, &r));
	id.reserved = 1;
	EXPECT_FAILS(EINVAL, ioctl(fd, VMADEMO_IOC_RULE_DEL, &id));
	EXPECT_FAILS(ENOENT, del_rule(fd, 1));
	EXPECT_EQ(0, del_rule(fd, 0));
	EXPECT_EQ(0, count_rules(fd));

	GOOD(good, start, pages - 1);
	GOOD(good, nr, pages);
	GOOD(good, skip, UINT64_MAX);
	GOOD(good, times, UINT64_MAX);
	GOOD(good, one_in, UINT32_MAX);
	GOOD(good, delay_us, VMADEMO_DELAY_MAX);
	GOOD(torn, torn, 1000);
	GOOD(torn, granularity, 1);
	GOOD(torn, granularity, 4096);
	EXPECT_EQ(9, count_rules(fd));
	EXPECT_EQ(0, del_rule(fd, 0));
	close(fd);
}

static bool has_feature(const char *word)
{
	FILE *f = fopen("/sys/class/misc/vmademo/features", "r");
	char line[64];
	bool has = false;

	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		has |= !strcmp(line, word);
	}
	if (f)
		fclose(f);
	return has;
}

TEST(features)
{
	static const char *const more[] = {
		"status", "start",    "nr",	 "pid",		"skip",
		"times",  "one_in",   "seed",	 "delay_us",	"torn",
		"none",	  "ram",      "file",	 "granularity", "crash",
		"kill",	  "off",      "when",	 "before",	"after",
		"share",  "cut_torn", "session",
	};

	for (size_t i = 0; i < OPS; i++)
		EXPECT_TRUE(has_feature(legal[i].op));
	for (size_t i = 0; i < STATUSES; i++)
		EXPECT_TRUE(has_feature(statuses[i].name));
	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++)
		EXPECT_TRUE(has_feature(more[i]));
	EXPECT_FALSE(has_feature("rea"));
	EXPECT_FALSE(has_feature(""));
}

TEST_HARNESS_MAIN
