/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A ring of messages in a mapping: one process sends, one receives.  Two futexes in it let them
 * sleep while the ring is full or empty; nothing else is needed of the kernel.  Bytes that are
 * all zero are an empty ring.
 *
 * The number of slots is a power of two, the same for both.
 */
#ifndef RING_H
#define RING_H

#include <linux/futex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * The two counters only grow, and wrap around.  Each side writes to a cache line of its own:
 * its counter, and whether it sleeps.
 */
struct ring {
	uint32_t sent, sender_sleeps, unused[14];
	uint32_t received, receiver_sleeps, unused_too[14];
	uint64_t slot[];
};

/* Without FUTEX_PRIVATE_FLAG: a place in the file, wherever a process has mapped it. */
static inline long ring_futex(uint32_t *word, int op, uint32_t value)
{
	return syscall(SYS_futex, word, op, value, NULL, NULL, 0);
}

/*
 * Sleeps while *counter is what was seen.  First say that one sleeps, then sleep; the other
 * side first counts, then looks who sleeps.  So one of them sees the other, and if the count
 * comes in between, FUTEX_WAIT itself notices.
 */
static inline bool ring_sleep_while(uint32_t *counter, uint32_t seen,
				    uint32_t *sleeps)
{
	bool slept;

	__atomic_store_n(sleeps, 1, __ATOMIC_SEQ_CST);
	slept = ring_futex(counter, FUTEX_WAIT, seen) == 0;
	__atomic_store_n(sleeps, 0, __ATOMIC_SEQ_CST);
	return slept;
}

static inline void ring_count_and_wake(uint32_t *counter, uint32_t *sleeps)
{
	__atomic_store_n(counter, *counter + 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(sleeps, __ATOMIC_SEQ_CST))
		ring_futex(counter, FUTEX_WAKE, 1);
}

/* Returns how often the sender slept. */
static inline unsigned int ring_send(struct ring *r, uint32_t slots,
				     uint64_t message)
{
	unsigned int slept = 0;
	uint32_t received;

	while (received = __atomic_load_n(&r->received, __ATOMIC_SEQ_CST),
	       r->sent - received == slots)
		slept += ring_sleep_while(&r->received, received,
					  &r->sender_sleeps);
	r->slot[r->sent % slots] = message;
	ring_count_and_wake(&r->sent, &r->receiver_sleeps);
	return slept;
}

/* Adds to *slept how often the receiver slept. */
static inline uint64_t ring_receive(struct ring *r, uint32_t slots,
				    unsigned int *slept)
{
	uint64_t message;
	uint32_t sent;

	while (sent = __atomic_load_n(&r->sent, __ATOMIC_SEQ_CST),
	       sent == r->received)
		*slept += ring_sleep_while(&r->sent, sent, &r->receiver_sleeps);
	message = r->slot[r->received % slots];
	ring_count_and_wake(&r->received, &r->sender_sleeps);
	return message;
}

#endif /* RING_H */
