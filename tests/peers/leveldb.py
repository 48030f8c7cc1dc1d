# SPDX-License-Identifier: GPL-2.0-only
# LevelDB: leveldb.py work|careless|check DIR [ACK]
import os
import sys

import plyvel

what, path = sys.argv[1], os.path.join(sys.argv[2], "db")
if what == "check":
    promised = 0
    if os.path.exists(sys.argv[3]):
        lines = open(sys.argv[3]).read().split()
        promised = int(lines[-1]) if lines else 0
    if not promised:
        sys.exit(0)
    db = plyvel.DB(path, paranoid_checks=True)
    there = [int(k) for k, v in db if v == k * 500]
    missing = [n for n in range(1, promised + 1) if n not in there]
    if missing:
        print("promised", promised, "missing", missing)
        sys.exit(1)
else:
    db = plyvel.DB(path, create_if_missing=True, write_buffer_size=65536)
    for n in range(1, 40):
        key = b"%d" % n
        db.put(key, key * 500, sync=what == "work")
        os.write(3, b"%d\n" % n)
