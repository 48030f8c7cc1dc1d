# SPDX-License-Identifier: GPL-2.0-only
# LMDB: lmdb_work.py work|careless|check DIR [ACK]
import os
import sys

import lmdb

import promised

what, path = sys.argv[1], os.path.join(sys.argv[2], "db")
if what == "check":
    number = promised.promised(sys.argv[3])
    if number:
        with lmdb.open(path, map_size=1 << 20) as env, env.begin() as txn:
            promised.check(number, txn.cursor())
else:
    with lmdb.open(path, map_size=1 << 20, writemap=what == "careless", sync=what == "work") as env:
        # The file itself, and its name, are LMDB's user's to make durable
        os.fsync(os.open(sys.argv[2], os.O_RDONLY))
        for n in range(1, 20):
            key = b"%d" % n
            with env.begin(write=True) as txn:
                txn.put(key, promised.value(key))
            promised.promise(n)
