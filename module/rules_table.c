// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tables of rules: how one is made of a list, and how a page is found in it.  The ranges of
 * rules that overlap are cut where one begins or ends, so that those in the table do not.
 *
 * Locks: none of its own; see rules.c.
 */
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/string.h>

#include "rules.h"

static int compare(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/* The number of the first of n sorted bounds that is not below a page. */
static unsigned int at_bound(const u64 *bounds, unsigned int n, u64 page)
{
	unsigned int low = 0;

	while (n > low) {
		unsigned int middle = low + (n - low) / 2;

		if (bounds[middle] < page)
			low = middle + 1;
		else
			n = middle;
	}
	return low;
}

/* Where the rules of one operation begin and end, sorted.  Returns how many. */
static unsigned int find_bounds(const struct vmademo_rules *rules, unsigned int op,
				const struct vmademo_rule_entry *without, u64 *bounds)
{
	const struct vmademo_rule_entry *entry;
	unsigned int i, n = 0, kept = 0;

	list_for_each_entry(entry, &rules->list, list) {
		if (entry->rule.op != op || entry == without)
			continue;
		bounds[n++] = entry->rule.start;
		bounds[n++] = entry->last + 1;
	}
	sort(bounds, n, sizeof(*bounds), compare, NULL);
	for (i = 0; i < n; i++)
		if (!kept || bounds[kept - 1] != bounds[i])
			bounds[kept++] = bounds[i];
	return kept;
}

/* The ranges that have a rule come together.  Returns how many. */
static unsigned int drop_empty(struct vmademo_rule_range *ranges, unsigned int n)
{
	unsigned int i, kept = 0;
	u32 at = 0;

	for (i = 0; i < n; i++) {
		if (!ranges[i].count)
			continue;
		ranges[kept] = ranges[i];
		ranges[kept].at = at;
		at += ranges[kept++].count;
	}
	return kept;
}

static void fill_entries(const struct vmademo_rules *rules, unsigned int op,
			 const struct vmademo_rule_entry *without,
			 struct vmademo_rule_table *table)
{
	struct vmademo_rule_entry *entry;
	unsigned int i;

	for (i = 0; i < table->nr; i++)
		table->ranges[i].count = 0;
	list_for_each_entry(entry, &rules->list, list) {
		struct vmademo_rule_range *range;

		if (entry->rule.op != op || entry == without)
			continue;
		table->newest = entry->rule.id;
		range = (void *)vmademo_rule_find(table, entry->rule.start);
		for (; range < table->ranges + table->nr && range->first <= entry->last;
		     range++)
			table->entries[range->at + range->count++] = entry;
	}
}

/**
 * vmademo_rule_make_table() - make a table of the rules for one operation
 * @rules: those of the buffer
 * @op: VMADEMO_OP_...
 * @without: not this one; or NULL
 * @made: set to the table, to be freed by kvfree(); to NULL if there are no rules
 *
 * Context: May sleep.  With rules->lock held.
 * Return: 0 or -ENOMEM.
 */
int vmademo_rule_make_table(const struct vmademo_rules *rules, unsigned int op,
			    const struct vmademo_rule_entry *without,
			    struct vmademo_rule_table **made)
{
	const struct vmademo_rule_entry *entry;
	struct vmademo_rule_table *table = NULL;
	struct vmademo_rule_range *ranges;
	unsigned int i, n;
	size_t total = 0;
	u64 *bounds;
	int err = -ENOMEM;

	bounds = kvmalloc_array(2 * rules->nr + 1, sizeof(*bounds), GFP_KERNEL_ACCOUNT);
	ranges = kvcalloc(2 * rules->nr + 1, sizeof(*ranges), GFP_KERNEL_ACCOUNT);
	if (!bounds || !ranges)
		goto free;
	n = find_bounds(rules, op, without, bounds);
	for (i = 0; i + 1 < n; i++) {
		ranges[i].first = bounds[i];
		ranges[i].last = bounds[i + 1] - 1;
	}
	list_for_each_entry(entry, &rules->list, list) {
		if (entry->rule.op != op || entry == without)
			continue;
		for (i = at_bound(bounds, n, entry->rule.start);
		     bounds[i] <= entry->last; i++, total++)
			ranges[i].count++;
	}
	err = 0;
	if (!total)
		goto free;
	n = drop_empty(ranges, n - 1);
	table = kvmalloc(struct_size(table, ranges, n) + total * sizeof(*table->entries),
			 GFP_KERNEL_ACCOUNT);
	if (!table) {
		err = -ENOMEM;
		goto free;
	}
	table->nr = n;
	table->entries = (void *)(table->ranges + n);
	memcpy(table->ranges, ranges, n * sizeof(*ranges));
	fill_entries(rules, op, without, table);
free:
	kvfree(bounds);
	kvfree(ranges);
	*made = table;
	return err;
}

/**
 * vmademo_rule_find() - the first range at a page or after it
 * @table: the rules for one operation
 * @page: the page
 *
 * Context: Any.  Under RCU, or with the table held otherwise.
 * Return: the range whose last page is not below @page; the end of the ranges if there is
 *         none.
 */
const struct vmademo_rule_range *
vmademo_rule_find(const struct vmademo_rule_table *table, u64 page)
{
	const struct vmademo_rule_range *low = table->ranges;
	unsigned int n = table->nr;

	while (n) {
		const struct vmademo_rule_range *middle = low + n / 2;

		if (middle->last < page) {
			low = middle + 1;
			n -= n / 2 + 1;
		} else {
			n /= 2;
		}
	}
	return low;
}
