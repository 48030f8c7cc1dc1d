/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Numbers at random, the same for the same seed.
 */
#ifndef VMADEMO_LIB_RANDOM_H
#define VMADEMO_LIB_RANDOM_H

unsigned int below(unsigned int *seed, unsigned int n);

#endif /* VMADEMO_LIB_RANDOM_H */
