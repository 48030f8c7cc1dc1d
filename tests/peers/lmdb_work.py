# SPDX-License-Identifier: GPL-2.0-only
# LMDB: lmdb_work.py work|careless|check DIR [ACK]
import os
import sys

import lmdb

what, path = sys.argv[1], os.path.join(sys.argv[2], "db")
if what == "check":
    promised = 0
    if os.path.exists(sys.argv[3]):
        lines = open(sys.argv[3]).read().split()
        promised = int(lines[-1]) if lines else 0
    if not promised:
        sys.exit(0)
    with lmdb.open(path, map_size=1 << 20) as env, env.begin() as txn:
        there = [int(k) for k, v in txn.cursor() if bytes(v) == bytes(k) * 500]
    missing = [n for n in range(1, promised + 1) if n not in there]
    if missing:
        print("promised", promised, "missing", missing)
        sys.exit(1)
else:
    with lmdb.open(path, map_size=1 << 20, writemap=what == "careless", sync=what == "work") as env:
        # The file itself, and its name, are LMDB's user's to make durable
        fd = os.open(sys.argv[2], os.O_RDONLY)
        os.fsync(fd)
        for n in range(1, 20):
            key = b"%d" % n
            with env.begin(write=True) as txn:
                txn.put(key, key * 500)
            os.write(3, b"%d\n" % n)
