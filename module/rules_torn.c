// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a seed chooses for a rule: on which events it acts, and which parts of a write-out
 * arrive at the store.
 *
 * Locks: none.
 */
#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/prandom.h>

#include "rules.h"
#include "store/store.h"
#include "vmademo.h"

/**
 * vmademo_rule_random() - a number that a seed chooses
 * @seed: the seed
 * @n: the how manieth
 *
 * Context: Any.
 * Return: 64 bits.
 */
u64 vmademo_rule_random(u64 seed, u64 n)
{
	u64 z = seed + (n + 1) * 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* Chosen one after the other. */
struct torn {
	struct rnd_state random;
	u32 left;		/* parts */
	u32 arrive;		/* so many of them */
};

static void begin_torn(struct torn *t, const struct vmademo_rule *rule, u64 n, u32 parts)
{
	prandom_seed_state(&t->random, vmademo_rule_random(rule->seed, n));
	t->left = parts;
	t->arrive = parts * rule->torn / 1000;
	if (!rule->torn || rule->torn == 1000)
		return;
	/* Torn, if it can be */
	if (parts > 1)
		t->arrive = clamp(t->arrive, 1U, parts - 1);
	else
		t->arrive = reciprocal_scale(prandom_u32_state(&t->random), 1000) < rule->torn;
}

static bool next_arrives(struct torn *t)
{
	bool arrives = reciprocal_scale(prandom_u32_state(&t->random), t->left) < t->arrive;

	t->left--;
	t->arrive -= arrives;
	return arrives;
}

/**
 * vmademo_rule_store_write() - some bytes of a folio arrive
 * @buf: the buffer
 * @folio: under write-back
 * @from: the first byte, in the folio
 * @to: the byte after the last
 *
 * Context: May sleep.
 * Return: what the store says; 0 if there is none.
 */
int vmademo_rule_store_write(struct vmademo_buffer *buf, struct folio *folio, size_t from,
			     size_t to)
{
	if (from == to || !buf->store->write)
		return 0;
	return vmademo_store_write(buf, folio, from, to - from);
}

/**
 * vmademo_rule_write_torn() - some parts of a folio arrive
 * @buf: the buffer
 * @folio: under write-back
 * @len: bytes of it, at least 1
 * @entry: the rule, which covers some of them
 * @number: of its hits
 *
 * What is not under the rule arrives.  Neighbours that do arrive together.
 *
 * Context: May sleep.
 * Return: what the store says.
 */
int vmademo_rule_write_torn(struct vmademo_buffer *buf, struct folio *folio, size_t len,
			    const struct vmademo_rule_entry *entry, u64 number)
{
	u64 index = folio->index;
	size_t part = entry->rule.granularity ?: 512;
	size_t at = (max(entry->rule.start, index) - index) << PAGE_SHIFT;
	size_t end = min_t(u64, len, (min_t(u64, entry->last - index, len >> PAGE_SHIFT) + 1)
					     << PAGE_SHIFT);
	struct torn torn;
	size_t from = 0;	/* what arrives begins here, and reaches to at */
	int err = 0;

	begin_torn(&torn, &entry->rule, number ^ index << 32, DIV_ROUND_UP(end - at, part));
	for (; at < end && !err; at += part) {
		if (next_arrives(&torn))
			continue;
		err = vmademo_rule_store_write(buf, folio, from, at);
		from = min(at + part, end);
	}
	return err ?: vmademo_rule_store_write(buf, folio, from, len);
}
