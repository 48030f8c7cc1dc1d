# SPDX-License-Identifier: GPL-2.0-only
# What the tests of databases share: the keys 1, 2, 3 ... are promised in a file, one a line.
import os
import sys


def value(key):
    return key * 500


def promised(path):
    lines = open(path).read().split() if os.path.exists(path) else []
    return int(lines[-1]) if lines else 0


def check(number, entries):
    """Ends the program with 1 if one of the first so many keys is not there as it was written."""
    there = [int(k) for k, v in entries if bytes(v) == value(bytes(k))]
    missing = [n for n in range(1, number + 1) if n not in there]
    if missing:
        print("promised", number, "missing", missing)
        sys.exit(1)


def promise(n):
    os.write(3, b"%d\n" % n)
