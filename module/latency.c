// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long things take: histograms of a buffer, by powers of two of nanoseconds.  Off, they
 * cost nothing, by a static key; latency_on in debugfs (debugfs.c) turns them on for all
 * buffers.  A buffer gets the memory for its own when the first time is noted.
 *
 * Locks: switch_lock, around turning them on and off.
 */
#include <linux/atomic.h>
#include <linux/jump_label.h>
#include <linux/log2.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "vmademo.h"

DEFINE_STATIC_KEY_FALSE(vmademo_latency_on);

/* The last one is of whatever takes longer: three days. */
#define BUCKETS	48

struct vmademo_latency {
	atomic64_t count[VMADEMO_NR_LATENCIES][BUCKETS];
};

static const char *const names[VMADEMO_NR_LATENCIES] = {
	[VMADEMO_LATENCY_FAULT]		= "fault",
	[VMADEMO_LATENCY_MKWRITE]	= "mkwrite",
	[VMADEMO_LATENCY_READ_IN]	= "read_in",
	[VMADEMO_LATENCY_WRITE_OUT]	= "write_out",
	[VMADEMO_LATENCY_FLUSH]		= "flush",
};

/* Any lock may be held here, so memory is not waited for: the next one tries again. */
static struct vmademo_latency *make_latency(struct vmademo_buffer *buf)
{
	struct vmademo_latency *new = kzalloc(sizeof(*new), GFP_NOWAIT | __GFP_NOWARN), *old;

	if (!new)
		return NULL;
	old = cmpxchg(&buf->latency, NULL, new);
	if (!old)
		return new;
	kfree(new);
	return old;
}

/**
 * vmademo_latency_add() - note how long something took
 * @buf: the buffer
 * @kind: what
 * @ns: nanoseconds
 *
 * Context: Any.
 */
void vmademo_latency_add(struct vmademo_buffer *buf, enum vmademo_latency_kind kind, u64 ns)
{
	struct vmademo_latency *latency = READ_ONCE(buf->latency) ?: make_latency(buf);

	if (latency)
		atomic64_inc(&latency->count[kind][min(ilog2(ns | 1), BUCKETS - 1)]);
}

/**
 * vmademo_latency_show() - print the histograms of a buffer
 * @m: where to: KIND FROM COUNT, a line for each bucket that is not empty; FROM in
 *     nanoseconds, and the next power of two is the first that is not in it
 * @buf: the buffer
 *
 * Context: Any.
 */
void vmademo_latency_show(struct seq_file *m, const struct vmademo_buffer *buf)
{
	const struct vmademo_latency *latency = READ_ONCE(buf->latency);
	int kind, i;
	u64 count;

	for (kind = 0; latency && kind < VMADEMO_NR_LATENCIES; kind++) {
		for (i = 0; i < BUCKETS; i++) {
			count = atomic64_read(&latency->count[kind][i]);
			if (count)
				seq_printf(m, "%s %llu %llu\n", names[kind],
					   i ? 1ULL << i : 0, count);
		}
	}
}

/**
 * vmademo_latency_clear() - begin the histograms of a buffer anew
 * @buf: the buffer
 *
 * Context: Any.
 */
void vmademo_latency_clear(struct vmademo_buffer *buf)
{
	struct vmademo_latency *latency = READ_ONCE(buf->latency);
	int kind, i;

	for (kind = 0; latency && kind < VMADEMO_NR_LATENCIES; kind++)
		for (i = 0; i < BUCKETS; i++)
			atomic64_set(&latency->count[kind][i], 0);
}

/**
 * vmademo_latency_switch() - note times from now on, or no more
 * @on: which
 *
 * Context: May sleep.
 */
void vmademo_latency_switch(bool on)
{
	static DEFINE_MUTEX(switch_lock);

	mutex_lock(&switch_lock);
	if (on)
		static_branch_enable(&vmademo_latency_on);
	else
		static_branch_disable(&vmademo_latency_on);
	mutex_unlock(&switch_lock);
}
