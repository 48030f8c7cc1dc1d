# SPDX-License-Identifier: GPL-2.0-only
# LevelDB: leveldb.py work|careless|check|paranoid DIR [ACK]
# `paranoid` takes any damage for an error, also of a record that was never promised.
import os
import sys

import plyvel

import promised

what, path = sys.argv[1], os.path.join(sys.argv[2], "db")
if what in ("check", "paranoid"):
    number = promised.promised(sys.argv[3])
    if number:
        promised.check(number, plyvel.DB(path, paranoid_checks=what == "paranoid"))
else:
    db = plyvel.DB(path, create_if_missing=True, write_buffer_size=65536)
    for n in range(1, 40):
        key = b"%d" % n
        db.put(key, promised.value(key), sync=what == "work")
        promised.promise(n)
