#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The verbs of the command vmademo that run a program once: create, snapshot, exec.
# Lists of options, commands for another shell, and functions that `check` calls:
# shellcheck disable=SC2086,SC2046,SC2016,SC2015,SC2317
. "${0%/*}/command_lib.sh"

# Debug kernels take seconds to start a program
duration=3
[ "$VMADEMO_STEPS" != 3000 ] || duration=30

create() {
	echo 'first bytes' >first
	vmademo create --size 64K --init first -- sh -c 'head -n 1 @; head -n 1 $VMADEMO_BUFFER; echo @@; exit 7' >out 2>err
	is status 7 $? && is bytes 'first bytes first bytes @' "$(xargs <out)" || return
	truncate -s 12345 file
	vmademo create --store file:file -- sh -c 'vmademo info @ --json; echo written >@' >out 2>err || return
	is file written "$(head -n 1 file)" && json '[.store, .size]' '["file",12345]' || return
	echo 'echo $VMADEMO_BUFFER >inside; exit 3' | SHELL=/bin/sh vmademo create 2>err
	is shell 3 $? && grep -q '^/proc/' inside && grep -q "$(cat inside)" err || return
	with --size 1M --store ram --rule op=read,status=EIO --rule op=write,status=ENOSPC -- 'vmademo rule list --json $T' >out &&
		json '[.rules[].rule]' '["op=read,status=EIO","op=write,status=ENOSPC"]' || return
	ends 127 create -- /nowhere/at-all && ends 126 create -- / && ends 137 create -- sh -c 'kill -9 $$'
}
snapshot() {
	with --size 70000 --store ram --folio-size 4K -- 'echo durable | dd of=$T conv=notrunc; vmademo sync $T; echo changed | dd of=$T conv=notrunc
		vmademo snapshot $T -- head -n 1 @@ >left 2>err; head -n 1 $T >is; vmademo snapshot --share 1000 $T head -n 1 @@ >written
		vmademo snapshot $T -- sh -c "echo other >@@; vmademo info @@ --json" >own; vmademo info $T --json >out
		vmademo snapshot -o file $T; echo "exit 3" | SHELL=/bin/sh vmademo snapshot $T' 2>/dev/null
	is 'status of the shell' 3 $? && is 'what is left' 'durable changed changed' "$(cat left is written | xargs)" || return
	grep -q '^A cut now loses 1 folios, of which 0 are torn; 0 happen to be written' err || return
	is file 'durable 70000' "$(head -n 1 file) $(wc -c <file)" || return
	# Another buffer; that one goes on as it was
	is store '"ram" 6' "$(jq .store own) $(jq .size own)" && json '[.size, .dirty_bytes]' '[70000,4096]'
}
exec_report() {
	vmademo exec --size 72K --store ram --folio-size 4K --report json -o out -- "$kvstore" work @ 3>/dev/null || return
	json '[.exit_status, .ended_by_duration, .sigbus_page, .counters.sigbus]' '[0,false,null,0]' || return
	json '.calls.mmap > 1 and .counters.first_writes > 9 and .counters.data_flushes > 9' true || return
	json '.left_dirty_bytes == .counters.dirtied_bytes - .counters.written_bytes' true || return
	# Each is timed, if there is debugfs
	json '.times.flush.count == .counters.data_flushes + .counters.flushes' true || return
	json '.times.flush | .half_below_ns <= .all_below_ns' true || return
	is 'latency_on' 0 "$(cat /sys/kernel/debug/vmademo/latency_on)" || return
	is 'instances of tracing' '' "$(ls /sys/kernel/debug/tracing/instances)" || return
	# What --init does is not counted
	head -c 8192 /dev/zero >first
	vmademo exec --size 1M --store ram --init first --report json -o out -- head -c 5 @ >/dev/null || return
	json '[.calls.read > 0, .counters.dirtied_bytes, .counters.flushes, .left_dirty_bytes]' '[true,0,0,0]' || return
	ends 3 exec --size 1M -- sh -c 'echo x >@; exit 3' && grep -q 'exit status 3' err && grep -q 'made dirty  *4096 bytes' err
}
exec_sigbus() {
	for status in ENOSPC SIGBUS HWPOISON; do
		vmademo exec --size 72K --store ram --folio-size 4K --rule "op=mkwrite,start=3,nr=2,status=$status" \
			--report json -o out -- "$kvstore" work @ 3>/dev/null
		is status 135 $? && json '[.signal, .sigbus_page, .rules[0].hits, .rules[0].pages]' '["SIGBUS",3,1,[3]]' || return
	done
	# Somebody else's SIGBUS, and one that is sent: of no page
	vmademo exec --size 1M --report json -o out -- sh -c 'echo x >@; kill -BUS $$'
	is sent 135 $? && json '[.signal, .sigbus_page]' '["SIGBUS",null]' || return
	# That of a child, and another end
	vmademo exec --size 72K --store ram --folio-size 4K --rule op=mkwrite,start=3,status=ENOSPC --report json -o out -- \
		sh -c "$kvstore work @; kill -TERM \$\$" 3>/dev/null
	is child 143 $? && json '[.signal, .sigbus_page, .counters.sigbus]' '["SIGTERM",null,1]' || return
	# The power is cut under it, and it is killed, by a rule that needs its number
	for off in '' ,off; do
		vmademo exec --size 72K --store ram --rule op=write_out,skip=4,times=1,crash,kill$off \
			--report json -o out -- "$kvstore" work @ 3>/dev/null
		is killed 137 $? && json '[.signal, .counters.crashes, .rules[0].hits]' '["SIGKILL",1,1]' || return
	done
}
exec_dir() {
	ends 0 exec --dir --size 1M --store ram --report json --keep kept -o out -- \
		sh -c 'mkdir @/d; echo x >@/d/a; sync @/d/a; echo y >@/b; mv @/b @/c; rm @/d/a' || return
	json '[.counters.dirtied_bytes, .counters.written_bytes, .counters.flushes, .left_dirty_bytes]' '[8192,4096,1,4096]' || return
	is 'what is kept' y "$(cat kept/c)" && is 'and no more' 2 "$(find kept -mindepth 1 -maxdepth 1 | wc -l)" || return
	# What was there is not the program's doing; and it is there
	ends 0 exec --dir --size 1M --store ram --seed-from kept --report json -o out -- sh -c 'test -d @/d && cat @/c' &&
		json '[.counters.dirtied_bytes, .calls.write, .calls.read > 0]' '[0,0,true]' || return
	# A rule is for files that the program makes
	ends 1 exec --dir --size 1M --rule op=write,status=ENOSPC,skip=1,times=1 --report json -o out -- \
		sh -c 'echo x >@/a && echo y >@/b' && grep -q 'No space left' err && json '.rules[0].hits' 1 || return
	# Which page of which file
	vmademo exec --dir --size 1M --store ram --folio-size 4K --rule op=mkwrite,start=3,nr=2,status=ENOSPC --report json -o out -- \
		sh -c "truncate -s 72K @/f; exec $kvstore work @/f" 3>/dev/null
	is 'SIGBUS in a file' 135 $? && json '[.sigbus_page, .sigbus_file, .rules[0].files]' \
		'[3,"f",[{"file":"f","pages":[3],"more_pages":false}]]' || return
	ends 0 exec --dir --size 1M --rule op=write,delay_us=1 --report json -o out -- sh -c 'echo x >@/a; echo y >@/b' || return
	json '.rules[0].files' '[{"file":"a","pages":[0],"more_pages":false},{"file":"b","pages":[0],"more_pages":false}]' || return
	# The limit of all files
	ends 1 exec --dir --size 64K --store ram -- sh -c 'head -c 65536 /dev/zero >@/a && echo x >@/b' && grep -q 'No space left' err || return
	ends 125 exec --dir -- true && says 'DID NOT USE THE DIRECTORY' || return
	ends 125 exec --dir -- sh -c 'mkdir @/d && test -d @/d' && says 'DID NOT USE THE DIRECTORY' || return
	ends 125 exec --dir --store file:/dev/null -- true @ && says '--dir: its store is' || return
	ends 125 exec --keep kept -- true @ && says '--keep is for --dir' || return
	# Nobody else sees it, and nothing is left of it
	is mounted '' "$(grep vmademo- /proc/mounts)" && is left '' "$(find /tmp -maxdepth 1 -name 'vmademo-??????')"
}
# What a tree is like, one line for each name; directories have sizes of their own
listed() { # DIRECTORY
	(cd "$1" && find . -type d -exec stat -c '%n %A %u:%g %y' {} + && find . ! -type d -exec stat -c '%n %A %u:%g %y %s %h' {} + &&
		find . -type f -exec md5sum {} + && find . -type l -exec readlink {} \;) | sort
}
exec_seed() {
	mkdir -p seed/d/e seed/none && echo data >seed/d/file && ln seed/d/file seed/other && ln -s d/file seed/link && ln -s /nowhere seed/dangling &&
		: >seed/empty && ln -s "$(printf %200s . | tr ' ' x)" seed/d/e/long && head -c 100000 /dev/urandom >seed/d/bytes &&
		head -c 4096 /dev/urandom | dd of=seed/sparse bs=4096 seek=5000 2>/dev/null && truncate -s 30000000 seed/sparse &&
		chown 65534:7 seed/empty && chmod 4640 seed/empty && chmod 1750 seed/d && touch -d '2001-02-03 04:05:06' seed/d/file seed/d/e seed/d seed &&
		listed seed >wanted || return
	# Many names, and larger than the tree has room for, were it not for its holes; a cut takes nothing of it
	ends 0 exec --dir --size 1M --store ram --seed-from seed --keep back --report json -o out -- \
		sh -c 'cat @/d/file; vmademo info @ --json >state; vmademo crash @ --json >crashed' || return
	listed back >got
	why="$(diff wanted got)"
	cmp wanted got && is 'not durable' '[0,0]' "$(jq -c '[.dirty_bytes, .pending_names]' state)" &&
		is lost '[0,0]' "$(jq -c '[.lost_folios, .lost_names]' crashed)" || return
	json '[.counters.dirtied_bytes, .counters.written_bytes, .counters.flushes, .calls.write]' '[0,0,0,0]' || return
	listed seed | cmp - wanted || return
	# What is there already is left alone
	ends 125 exec --dir --size 1M --keep back -- sh -c 'echo x >@/y' && says '--keep: back is there, and is not an empty directory' &&
		listed back | cmp - got || return
	# By a symbolic link, to a directory that is there: it stays what it is, but for what is in it
	ln -s seed by && rm -r back && mkdir -m 711 back &&
		ends 0 exec --dir --size 1M --store ram --seed-from by/ --keep back -- cat @/other && is mode 711 "$(stat -c %a back)" &&
		chmod "$(stat -c %a seed)" back && touch -r seed back || return
	listed back >got
	why="$(diff wanted got)"
	cmp wanted got || return
	# A program's own socket or FIFO can be kept, but is nothing to begin with
	ends 0 exec --dir --size 1M --keep odd -- sh -c 'mkfifo @/fifo; echo x >@/y' && [ -p odd/fifo ] || return
	# A copy has no end that is in what is copied
	mkdir -p itself/tmp 'itself/tmp x' &&
		(export TMPDIR=$PWD/itself/tmp; ends 125 exec --dir --size 1M --seed-from itself -- true @ && says 'let TMPDIR be another place' &&
			TMPDIR="$PWD/itself/tmp x" && ends 125 exec --dir --size 1M -- true @ && says 'special to a shell') || return
	ends 125 exec --dir --size 1M --seed-from odd -- true @ && says 'odd/fifo is neither a file' || return
	ends 125 exec --dir --size 1M --seed-from /nowhere -- true @ && says '--seed-from: /nowhere: No such file' || return
	ends 125 exec --dir --size 1M --seed-from wanted -- true @ && says 'wanted is not a directory' || return
	ends 125 exec --dir --size 64K --seed-from seed -- true @ && says 'there is no room for seed/' && says '--size' || return
	ends 125 exec --seed-from seed -- true @ && says '--seed-from is for --dir' || return
	ends 125 exec --dir --init seed -- true @ && says '--dir has --seed-from' || return
	ends 125 exec --dir --size 1M --keep wanted -- sh -c 'echo x >@/y' && says '--keep: wanted is there' || return
	ln -s /nowhere away && ends 125 exec --dir --size 1M --keep away -- sh -c 'echo x >@/y' && says '--keep: away is there' && [ -L away ] || return
	# Somebody else's instance of tracing is not ours to remove
	ns=$(stat -Lc %i /proc/self/ns/pid) instances=/sys/kernel/debug/tracing/instances
	for instance in $ns-99999x 1-99999 $ns-99999; do
		mkdir $instances/vmademo-$instance || return
	done
	ends 0 exec --size 1M -- sh -c 'echo x >@' && rmdir $instances/vmademo-$ns-99999x && rmdir $instances/vmademo-1-99999 || return
	# But what one of ours has left is
	[ ! -e $instances/vmademo-$ns-99999 ] || return
	# Nobody reads the report
	vmademo exec --dir --size 1M -- sh -c 'echo x >@/y; sleep 0.5' 2>&1 | true
	is 'latency_on' 0 "$(cat /sys/kernel/debug/vmademo/latency_on)" && is 'instances of tracing' '' "$(ls /sys/kernel/debug/tracing/instances)" || return
	is mounted '' "$(grep vmademo- /proc/mounts)" && is left '' "$(find /tmp -maxdepth 1 -name 'vmademo-??????')"
}
exec_unused() {
	ends 125 exec -- true && says 'DID NOT USE THE BUFFER' || return
	ends 125 exec -- test -e @ && says 'DID NOT USE THE BUFFER' || return
	# Opened, and not used
	ends 125 exec -- sh -c ': <@' && says 'DID NOT USE THE BUFFER' || return
	ends 127 exec -- /nowhere/at-all @ && ends 126 exec -- / @
}
exec_duration() {
	ends 0 exec --size 1M --duration $duration -- sh -c 'echo x >@; while :; do sleep 0.1; done' &&
		grep -q 'as --duration says' err || return
	# Who is left behind is killed
	ends 0 exec --size 1M --duration $duration -- sh -c 'echo x >@; sleep 1000; true' && is children '' "$(pidof sleep)" || return
	# It may end in its own way
	ends 9 exec --size 1M --duration $duration -- sh -c 'trap "exit 9" TERM; echo x >@; while :; do sleep 0.1; done' || return
	vmademo exec --size 1M -- sh -c 'echo x >@; echo >begun; while :; do sleep 0.1; done' 2>err &
	comes begun
	kill -TERM $!
	wait $!
	is 'a signal is passed on' 143 $? && grep -q 'killed by SIGTERM' err
}

all='create snapshot exec_report exec_sigbus exec_dir exec_seed exec_unused exec_duration'
[ "$VMADEMO_STEPS" != 3000 ] || all='create snapshot exec_report exec_dir exec_seed'
# shellcheck disable=SC2048
run ${*:-$all}
