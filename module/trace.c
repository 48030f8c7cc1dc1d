// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the tracepoints in trace.h are made of.
 *
 * Locks: none.
 */
#define CREATE_TRACE_POINTS
#include "trace.h"
