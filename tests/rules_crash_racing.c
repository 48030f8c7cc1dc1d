// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules that cut the power while others write, sync, cut and switch.
 */
#include <pthread.h>

#include "rules_crash.h"

KEEP_A_RULE

struct busy {
	int fd;
	volatile bool stop;
};

static void *write_and_sync(void *arg)
{
	struct busy *b = arg;
	unsigned int seed = 3;
	unsigned char page[PAGE];

	memset(page, 'n', PAGE);
	while (!b->stop) {
		for (int i = 0; i < 3; i++)
			pwrite(b->fd, page, PAGE, rand_r(&seed) % PAGES * PAGE);
		fsync(b->fd);
	}
	return NULL;
}

/* Cuts at any event, with and without power afterwards; at the end the account adds up. */
TEST_F(store, while_others_write)
{
	RUN_IF_READY();

	static const uint32_t ops[] = { VMADEMO_OP_WRITE_OUT, VMADEMO_OP_FLUSH,
					VMADEMO_OP_WRITE, VMADEMO_OP_READ_IN };
	struct busy b = { .fd = self->fd };
	int patched = keep_code_patched();
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0,
			  pthread_create(&threads[i], NULL, write_and_sync, &b));
	for (int i = 0; i < 100; i++) {
		ASSERT_LT(0, ADD_RULE(self->fd, .op = ops[i % 4], .skip = i % 5,
				      .times = 1 + i % 2, .seed = i,
				      .share = i % 3 * 300, .cut_torn = i % 4,
				      .flags = CRASH | (i & 2 ? OFF : 0)));
		usleep(2000);
		if (i % 3 == 0)
			ASSERT_EQ(0, power_cut(self->fd));
		if (i % 7 == 0)
			ASSERT_EQ(0, power_off(self->fd));
		ASSERT_EQ(0, power_on(self->fd));
		ASSERT_EQ(0, del_rule(self->fd, 0));
	}
	b.stop = true;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	ASSERT_EQ(0, power_on(self->fd));
	fsync(self->fd);
	ASSERT_EQ(0, fsync(self->fd));
	for (size_t at = 0; at < SIZE; at += 512)
		EXPECT_TRUE(!self->map[at] || self->map[at] == 'n');
	close(patched);
}

TEST_HARNESS_MAIN
