// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whether a store of keys and values on a mapping (examples/kvstore.h) keeps its
 * promises in a thousand power cuts; and whether a thousand are enough to find out
 * that an msync is missing.
 *
 * VMADEMO_SEED replays a run.  A failure tells it, and the round.
 */
#include "kselftest_harness.h"
#include "../lib/random.h"
#include "../examples/kvstore.h"
#include "stores.h"

#define SIZE   (18 * KV_PAGE) /* two halves of eight pages */
#define ROUNDS 1000
#define KEYS   8
#define LONG   3500 /* longest value: of all keys they fit into a half */
#define NONE   -1

struct value {
	int len; /* or NONE */
	unsigned char bytes[LONG];
};

FIXTURE(kvstore)
{
	const char *skip;
	int fd, lower;
	struct kv kv;
	unsigned int seed, first_seed, left_out;
	int round;
	/* What was promised, and what was not yet: of which key, or NONE */
	struct value promised[KEYS], next;
	int next_key;
	int broken; /* which key's promise was, KEYS for one that never was, or NONE */
	/* The power fails, or the program is killed, in so many steps, if not 0 */
	unsigned int steps;
	sigjmp_buf end;
};

FIXTURE_STORES(kvstore);

/* What a failed check prints. */
#define AT()                                                                \
	TH_LOG("VMADEMO_SEED=%u round %d without msync 0x%x: key %d, %s",   \
	       self->first_seed, self->round, self->left_out, self->broken, \
	       strerror(errno))

FIXTURE_SETUP(kvstore)
{
	const char *seed = getenv("VMADEMO_SEED");

	self->first_seed = seed && *seed ? strtoul(seed, NULL, 0) : 1;
	/* Of a larger folio, the value's page might be written back with the key's */
	folio_size_wanted = PAGE;
	self->fd = create_store(variant->kind, SIZE, &self->lower);
	if (self->fd < 0 && errno == ENODEV) {
		self->skip = "no such store on this machine";
		return;
	}
	ASSERT_GE(self->fd, 0) TH_LOG("create: %s", strerror(errno));
}

FIXTURE_TEARDOWN(kvstore)
{
	if (self->skip)
		return;
	EXPECT_ACCOUNT_ADDS_UP(self->fd);
	end_store(variant->kind, self->fd, self->lower);
}

/* The store calls this at each step: here it ends, in the middle of things. */
static void count_steps(void *arg)
{
	FIXTURE_DATA(kvstore) *self = arg;

	if (self->steps && --self->steps == 0)
		siglongjmp(self->end, 1);
}

static int open_store(FIXTURE_DATA(kvstore) * self)
{
	self->kv = (struct kv){ .left_out = self->left_out };
	if (kv_open(&self->kv, self->fd, SIZE))
		return -1;
	self->kv.step = count_steps;
	self->kv.step_arg = self;
	return 0;
}

/* Puts, overwrites or deletes a key. */
static int change(FIXTURE_DATA(kvstore) * self)
{
	unsigned char key = below(&self->seed, KEYS);
	struct value *next = &self->next;
	int err;

	next->len = below(&self->seed, 4) ? (int)below(&self->seed, LONG + 1)
					  : NONE;
	for (int i = 0; i < next->len; i++)
		next->bytes[i] = below(&self->seed, 256);
	self->next_key = key;
	err = next->len == NONE
		      ? kv_delete(&self->kv, &key, 1)
		      : kv_put(&self->kv, &key, 1, next->bytes, next->len);
	if (err)
		return -1;
	self->promised[key] = *next;
	self->next_key = NONE;
	return 0;
}

/* Some changes, or none; mostly it does not come to the end of them. */
static int work(FIXTURE_DATA(kvstore) * self)
{
	int err = 0;

	self->steps = below(&self->seed, 4) ? 1 + below(&self->seed, 16) : 0;
	if (sigsetjmp(self->end, 0))
		return 0;
	for (unsigned int i = below(&self->seed, 6); i && !err; i--)
		err = change(self);
	self->steps = 0;
	return err;
}

static bool has(FIXTURE_DATA(kvstore) * self, unsigned char key,
		const struct value *value)
{
	size_t len;
	const void *bytes = kv_get(&self->kv, &key, 1, &len);

	if (!bytes || value->len == NONE)
		return !bytes && value->len == NONE;
	return len == value->len && !memcmp(bytes, value->bytes, len);
}

static int keys(const struct kv *kv)
{
	int n = 0;

	for (size_t i = 0; i < KV_BUCKETS; i++)
		for (struct kv_entry *e = kv->index[i]; e; e = e->next)
			n++;
	return n;
}

/*
 * Opens the store again, by a new mapping.  Every promise must have been kept; what
 * was not promised is there or not, and from now on it has to stay so.
 */
static int again(FIXTURE_DATA(kvstore) * self)
{
	int expected = 0;

	kv_close(&self->kv);
	if (open_store(self))
		return -1;
	errno = 0;
	if (self->next_key != NONE && has(self, self->next_key, &self->next))
		self->promised[self->next_key] = self->next;
	self->next_key = NONE;
	for (int key = 0; key < KEYS; key++) {
		if (!has(self, key, &self->promised[key]))
			self->broken = key;
		expected += self->promised[key].len != NONE;
	}
	/* And nothing else: no garbage that looks like a key */
	if (keys(&self->kv) != expected && self->broken == NONE)
		self->broken = KEYS;
	return self->broken == NONE ? 0 : -1;
}

static int cut(FIXTURE_DATA(kvstore) * self)
{
	struct vmademo_crash c = {
		.seed = self->round,
		.written_permille = below(&self->seed, 1001),
		.torn = below(&self->seed, 4),
	};

	return ioctl(self->fd, VMADEMO_IOC_CRASH, &c);
}

/* Work, sometimes ended and taken up again, then a power cut.  0 if nothing is wrong. */
static int one_round(FIXTURE_DATA(kvstore) * self)
{
	if (work(self))
		return -1;
	if (below(&self->seed, 2) && (again(self) || work(self)))
		return -1;
	return cut(self) || again(self) ? -1 : 0;
}

/* An empty store without these msyncs; then rounds until something is wrong. */
static int rounds(FIXTURE_DATA(kvstore) * self, unsigned int left_out)
{
	int err;

	self->seed = self->first_seed;
	self->left_out = left_out;
	self->next_key = NONE;
	self->broken = NONE;
	for (int key = 0; key < KEYS; key++)
		self->promised[key].len = NONE;
	if (kv_format(self->fd, SIZE) || open_store(self))
		return -1;
	self->round = 0;
	do {
		self->round++;
		err = one_round(self);
	} while (!err && self->round < ROUNDS);
	kv_close(&self->kv);
	return err;
}

TEST_F(kvstore, power_cuts)
{
	RUN_IF_READY();

	struct account before = account_of(self->fd), d;

	ASSERT_EQ(0, rounds(self, 0)) AT();
	d = account_of_since(self->fd, &before);
	EXPECT_EQ(ROUNDS, d.crashes);
	/* Else there was nothing to lose */
	EXPECT_LT(ROUNDS / 10, d.lost_folios);
}

/* Without any one of its msyncs the same store breaks a promise. */
TEST_F(kvstore, one_msync_left_out)
{
	RUN_IF_READY();

	static const unsigned int each[] = { KV_MSYNC_OPEN, KV_MSYNC_RECORD,
					     KV_MSYNC_COPY, KV_MSYNC_SUPER };

	for (int i = 0; i < 4; i++) {
		EXPECT_EQ(-1, rounds(self, each[i])) AT();
		EXPECT_NE(NONE, self->broken) AT();
	}
}

TEST_HARNESS_MAIN
