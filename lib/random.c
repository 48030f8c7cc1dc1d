// SPDX-License-Identifier: GPL-2.0-only
/*
 * Numbers at random, the same for the same seed.
 */
#include <stdlib.h>

#include "random.h"

/* One of 0 to n - 1, n being much less than RAND_MAX. */
unsigned int below(unsigned int *seed, unsigned int n)
{
	return rand_r(seed) % n;
}
