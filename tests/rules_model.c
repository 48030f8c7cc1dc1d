// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random rules and random events, against a model of which rule acts: what each call answers,
 * which touch raises SIGBUS, and how often each rule has matched and hit.  On a buffer; and on a
 * file of a mounted tree, where some of the rules are the tree's.
 *
 * VMADEMO_SEED replays a run, VMADEMO_STEPS says how many events.
 */
#include "kselftest_harness.h"
#include "../lib/random.h"
#include "../lib/tree.h"
#include "rules.h"

#define PAGES 32UL
#define SIZE  (PAGES * PAGE)
#define RULES 12

KEEP_A_RULE

/* A rule, and how often it has been met; without an id it is none. */
struct ruled {
	struct vmademo_rule rule;
	bool of_tree;
	uint64_t matches, hits;
};

FIXTURE(rules_model)
{
	int fd, dir;
	unsigned char *map;
	struct ruled rules[RULES];
	unsigned int seed, first_seed;
	int64_t step;
};

FIXTURE_VARIANT(rules_model)
{
	bool tree;
};

FIXTURE_VARIANT_ADD(rules_model, buffer){
	.tree = false,
};

FIXTURE_VARIANT_ADD(rules_model, tree){
	.tree = true,
};

FIXTURE_SETUP(rules_model)
{
	const char *seed = getenv("VMADEMO_SEED");

	self->first_seed = seed && *seed ? strtoul(seed, NULL, 0) : 1;
	self->seed = self->first_seed;
	self->dir = -1;
	if (variant->tree) {
		ASSERT_EQ(0, mount_tree("store=ram,folio_size=1p"));
		self->dir = open(TREE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		ASSERT_LE(0, self->dir);
		self->fd = new_file(AT "a");
		ASSERT_EQ(0, ftruncate(self->fd, SIZE));
	} else {
		self->fd = create_with(VMADEMO_STORE_RAM, SIZE, 0);
	}
	ASSERT_LE(0, self->fd);
	self->map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
}

FIXTURE_TEARDOWN(rules_model)
{
	munmap(self->map, SIZE);
	close(self->fd);
	if (!variant->tree)
		return;
	close(self->dir);
	EXPECT_EQ(0, umount_tree());
}

#define AT_STEP \
	TH_LOG("VMADEMO_SEED=%u step %" PRId64, self->first_seed, self->step)

/* ---- the model ----------------------------------------------------------- */

/* Where the rule is asked, of pages from first to last; last + 1: not at all. */
static uint64_t place(const struct ruled *r, uint32_t op, uint64_t first,
		      uint64_t last)
{
	const struct vmademo_rule *rule = &r->rule;

	if (!rule->id || rule->op != op || rule->start > last ||
	    (rule->nr && rule->start + rule->nr - 1 < first))
		return last + 1;
	return rule->start > first ? rule->start : first;
}

/* Of those of the tree, or of the others, the next one to be asked; NULL: there is none. */
static struct ruled *next_asked(FIXTURE_DATA(rules_model) * self, bool of_tree,
				const struct ruled *before, uint32_t op,
				uint64_t first, uint64_t last)
{
	struct ruled *next = NULL;
	uint64_t from = before ? place(before, op, first, last) : 0,
		 at = last + 1;

	for (int i = 0; i < RULES; i++) {
		struct ruled *r = &self->rules[i];
		uint64_t p = place(r, op, first, last);

		if (r->of_tree != of_tree || p > last)
			continue;
		/* Behind the one before: by page, and by age on the same page */
		if (before &&
		    (p < from || (p == from && r->rule.id <= before->rule.id)))
			continue;
		if (p < at || (p == at && r->rule.id < next->rule.id)) {
			next = r;
			at = p;
		}
	}
	return next;
}

static bool is_its_turn(struct ruled *r)
{
	r->matches++;
	if (r->matches <= r->rule.skip ||
	    (r->rule.times && r->hits == r->rule.times))
		return false;
	r->hits++;
	return true;
}

/* What an event is answered; 0 if no rule acts. */
static uint32_t meet(FIXTURE_DATA(rules_model) * self, uint32_t op,
		     uint64_t first, uint64_t last)
{
	for (int of_tree = 0; of_tree < 2; of_tree++) {
		struct ruled *r = NULL;

		while ((r = next_asked(self, of_tree, r, op, first, last)))
			if (is_its_turn(r))
				return r->rule.status;
	}
	return 0;
}

/* ---- rules --------------------------------------------------------------- */

static int whose(FIXTURE_DATA(rules_model) * self, const struct ruled *r)
{
	return r->of_tree ? self->dir : self->fd;
}

static void make_rule(struct __test_metadata *_metadata,
		      FIXTURE_DATA(rules_model) * self)
{
	static const struct {
		uint32_t op, status[2];
	} kinds[] = {
		{ VMADEMO_OP_READ, { EIO, EAGAIN } },
		{ VMADEMO_OP_WRITE, { EIO, ENOSPC } },
		{ VMADEMO_OP_ALLOCATE, { EIO, EDQUOT } },
		{ VMADEMO_OP_READ_FAULT,
		  { VMADEMO_STATUS_SIGBUS, VMADEMO_STATUS_SIGBUS } },
		{ VMADEMO_OP_MKWRITE, { VMADEMO_STATUS_SIGBUS, EDQUOT } },
	};
	struct ruled *r = &self->rules[below(&self->seed, RULES)];
	size_t kind = below(&self->seed, sizeof(kinds) / sizeof(kinds[0]));
	int64_t id;

	if (r->rule.id)
		return;
	*r = (struct ruled){
		.rule = {
			.op = kinds[kind].op,
			.status = kinds[kind].status[below(&self->seed, 2)],
			.start = below(&self->seed, PAGES),
			.nr = below(&self->seed, 8),
			.skip = below(&self->seed, 5),
			.times = below(&self->seed, 4),
		},
		.of_tree = self->dir >= 0 && below(&self->seed, 2),
	};
	id = add_rule(whose(self, r), r->rule);
	ASSERT_LT(0, id) AT_STEP;
	r->rule.id = id;
}

/* Its numbers are those of the model. */
static void look_at(struct __test_metadata *_metadata,
		    FIXTURE_DATA(rules_model) * self, const struct ruled *r)
{
	struct vmademo_rule is = get_rule(whose(self, r), r->rule.id);

	ASSERT_EQ(r->rule.id, is.id) AT_STEP;
	ASSERT_EQ(r->matches, is.matches) AT_STEP;
	ASSERT_EQ(r->hits, is.hits) AT_STEP;
}

static void delete_rule(struct __test_metadata *_metadata,
			FIXTURE_DATA(rules_model) * self)
{
	struct ruled *r = &self->rules[below(&self->seed, RULES)];

	if (!r->rule.id)
		return;
	look_at(_metadata, self, r);
	ASSERT_EQ(0, del_rule(whose(self, r), r->rule.id));
	r->rule.id = 0;
}

/* ---- events -------------------------------------------------------------- */

/* Some bytes inside the buffer, at least one. */
static size_t range(FIXTURE_DATA(rules_model) * self, size_t *len)
{
	size_t at = below(&self->seed, SIZE);

	*len = 1 + below(&self->seed, 5 * PAGE);
	if (*len > SIZE - at)
		*len = SIZE - at;
	return at;
}

static void call(struct __test_metadata *_metadata,
		 FIXTURE_DATA(rules_model) * self)
{
	static const uint32_t ops[] = { VMADEMO_OP_READ, VMADEMO_OP_WRITE,
					VMADEMO_OP_ALLOCATE };
	char bytes[5 * PAGE];
	uint32_t op = ops[below(&self->seed, 3)], want;
	size_t len, at = range(self, &len), done = len;
	uint64_t first = at / PAGE, last = (at + len - 1) / PAGE;
	ssize_t got;

	want = meet(self, op, first, last);
	/* A write asks for each page, too, up to the first that refuses */
	for (uint64_t page = first;
	     op == VMADEMO_OP_WRITE && !want && page <= last; page++) {
		want = meet(self, VMADEMO_OP_MKWRITE, page, page);
		if (want && page > first) {
			done = page * PAGE - at;
			want = 0;
			break;
		}
	}
	if (want == VMADEMO_STATUS_SIGBUS)
		want = EIO;
	errno = 0;
	if (op == VMADEMO_OP_READ)
		got = pread(self->fd, bytes, len, at);
	else if (op == VMADEMO_OP_WRITE)
		got = pwrite(self->fd, bytes, len, at);
	else
		got = fallocate(self->fd, 0, at, len) ? -1 : (ssize_t)len;
	ASSERT_EQ(want, got < 0 ? errno : 0) AT_STEP;
	if (!want)
		ASSERT_EQ(done, got) AT_STEP;
}

static void touch_one(struct __test_metadata *_metadata,
		      FIXTURE_DATA(rules_model) * self)
{
	uint64_t page = below(&self->seed, PAGES);
	unsigned char *p = self->map + page * PAGE;
	int want;

	ASSERT_EQ(0, madvise(self->map, SIZE, MADV_DONTNEED));
	want = meet(self, VMADEMO_OP_READ_FAULT, page, page) ? SIGBUS : 0;
	ASSERT_EQ(want, touch_signal(p, 0)) AT_STEP;
	if (want || below(&self->seed, 2))
		return;
	want = meet(self, VMADEMO_OP_MKWRITE, page, page) ? SIGBUS : 0;
	ASSERT_EQ(want, touch_signal(p, 1)) AT_STEP;
}

TEST_F(rules_model, random_events)
{
	const char *steps = getenv("VMADEMO_STEPS");
	const int64_t last = steps && *steps ? strtoll(steps, NULL, 0) : 10000;
	uint64_t hits = 0;

	for (self->step = 1; self->step <= last; self->step++) {
		switch (below(&self->seed, 10)) {
		case 0:
			make_rule(_metadata, self);
			break;
		case 1:
			if (below(&self->seed, 3) == 0)
				delete_rule(_metadata, self);
			break;
		case 2 ... 5:
			call(_metadata, self);
			break;
		default:
			touch_one(_metadata, self);
		}
	}
	for (int i = 0; i < RULES; i++) {
		if (self->rules[i].rule.id)
			look_at(_metadata, self, &self->rules[i]);
		hits += self->rules[i].hits;
	}
	EXPECT_LT(0, hits);
}

TEST_HARNESS_MAIN
