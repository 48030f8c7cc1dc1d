# SPDX-License-Identifier: GPL-2.0-only
# LevelDB: leveldb.py work|careless|check DIR [ACK]
import os
import sys

import plyvel

import promised

what, path = sys.argv[1], os.path.join(sys.argv[2], "db")
if what == "check":
    number = promised.promised(sys.argv[3])
    if number:
        promised.check(number, plyvel.DB(path, paranoid_checks=True))
else:
    db = plyvel.DB(path, create_if_missing=True, write_buffer_size=65536)
    for n in range(1, 40):
        key = b"%d" % n
        db.put(key, promised.value(key), sync=what == "work")
        promised.promise(n)
