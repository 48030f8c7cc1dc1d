// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which power cuts there are: each event, before and after it, with nothing of what is dirty
 * written, all of it, one page, a share, and a share with some pages torn.  In a directory, what
 * is done to names is an event, too; and also with some of that kept, but none of the data.
 */
#include "explore.h"

const char *const at_names[NR_EVENTS + 1] = {
	"mkwrite", "write_out", "flush", "truncate",  "create",
	"rename",  "unlink",	"link",	 "fsync_dir", "end",
};

/* How much is written; all but two choose it by the seed. */
enum {
	NOTHING,
	ALL,
	ONE,
	SHARE,
	SHARE_AND_TORN,
	NAMES,
	MORE_NAMES,
	NR_AMOUNTS
};

/* Two numbers well mixed (as in splitmix64). */
uint64_t mix(uint64_t a, uint64_t b)
{
	uint64_t x = a + b * 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

/* A first write is no operation of the store: it can be cut before it only. */
static uint64_t moments(int at)
{
	return at == AT_MKWRITE ? 1 : 2;
}

/* A buffer has no names. */
static unsigned int amounts(const struct explore *explore)
{
	return explore->buffer.dir ? NR_AMOUNTS : NAMES;
}

uint64_t count_combinations(const struct explore *explore)
{
	uint64_t points = 1; /* the end */

	for (int at = 0; at < NR_EVENTS; at++)
		points += explore->events[at] * moments(at);
	return points * amounts(explore);
}

/**
 * combination() - one of all cuts
 * @explore: whose events and seed
 * @i: which; less than count_combinations()
 *
 * Return: the cut; for the same seed and number the same.
 */
static struct cut combination(const struct explore *explore, uint64_t i)
{
	uint64_t point = i / amounts(explore), random = mix(explore->seed, i);
	struct cut cut = { .seed = random >> 40, .at = AT_MKWRITE };

	while (cut.at < NR_EVENTS &&
	       point >= explore->events[cut.at] * moments(cut.at)) {
		point -= explore->events[cut.at] * moments(cut.at);
		cut.at++;
	}
	cut.number = 1;
	cut.after = true;
	if (cut.at != AT_END) {
		cut.number = point / moments(cut.at) + 1;
		cut.after = point % moments(cut.at);
	}
	switch (i % amounts(explore)) {
	case ALL:
		cut.share = 1000;
		break;
	case ONE:
		cut.share = VMADEMO_WRITTEN_ONE;
		break;
	case SHARE_AND_TORN:
		cut.torn = 1 + (random >> 10) % 4;
		/* fall through */
	case SHARE:
		cut.share = random % 1000;
		break;
	case NAMES:
	case MORE_NAMES:
		cut.share = 1;
		break;
	}
	return cut;
}

struct plan begin_plan(const struct explore *explore)
{
	struct plan plan = {
		.explore = explore,
		.left = explore->combinations,
		.wanted = explore->combinations,
	};

	if (!explore->all && plan.wanted > explore->cuts)
		plan.wanted = explore->cuts;
	plan.planned = plan.wanted;
	return plan;
}

/*
 * As many as were asked for, in order.  Of more, each is as likely as the others: it is chosen
 * if a number by lot is below what is still wanted of what is still to come.
 */
bool next_cut(struct plan *plan, struct cut *cut)
{
	const bool *good = plan->explore->good;

	while (plan->wanted) {
		uint64_t i = plan->i++;

		if (mix(~plan->explore->seed, i) % plan->left-- >= plan->wanted)
			continue;
		plan->wanted--;
		if (good && good[plan->planned - plan->wanted - 1])
			continue;
		*cut = combination(plan->explore, i);
		return true;
	}
	return false;
}

/* ---- in words: SEED:EVENT:NUMBER:WHEN:SHARE:TORN --------------------------- */

char *cut_words(const struct cut *cut)
{
	return must_print("%llu:%s:%llu:%s:%u:%u", (unsigned long long)cut->seed,
			  at_names[cut->at], (unsigned long long)cut->number,
			  cut->after ? "after" : "before", cut->share, cut->torn);
}

void parse_cut(struct cut *cut, const char *text)
{
	char *copy = strdup(text), *rest = copy, *word[6];

	if (!copy)
		die("out of memory");
	for (int i = 0; i < 6; i++) {
		word[i] = strsep(&rest, ":");
		if (!word[i])
			bad_usage("--replay: \"%s\" is not SEED:EVENT:NUMBER:WHEN:SHARE:TORN",
				  text);
	}
	if (rest)
		bad_usage("--replay: \"%s\" has more than SEED:EVENT:NUMBER:WHEN:SHARE:TORN",
			  text);
	cut->seed = parse_number("--replay", word[0], 0, UINT64_MAX);
	for (cut->at = 0; strcmp(word[1], at_names[cut->at]);)
		if (++cut->at > AT_END)
			bad_usage("--replay: there is no event \"%s\"", word[1]);
	cut->number = parse_number("--replay", word[2], 1, UINT64_MAX);
	cut->after = !strcmp(word[3], "after");
	if (!cut->after && strcmp(word[3], "before"))
		bad_usage("--replay: \"%s\" is neither before nor after",
			  word[3]);
	if (cut->at == AT_END ? !cut->after || cut->number != 1
			      : cut->after && cut->at == AT_MKWRITE)
		bad_usage("--replay: there is no such moment in \"%s\"", text);
	cut->share = parse_number("--replay", word[4], 0, VMADEMO_WRITTEN_ONE);
	cut->torn = parse_number("--replay", word[5], 0, INT32_MAX);
	free(copy);
}
