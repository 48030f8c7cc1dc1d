# SPDX-License-Identifier: GPL-2.0-only
# Maps a file, cuts it off, and reads what is gone.
import mmap
import os
import sys

with open(sys.argv[1], "r+b") as f:
    m = mmap.mmap(f.fileno(), 0)
    os.ftruncate(f.fileno(), 0)
    print(m[0])
