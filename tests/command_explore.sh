#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The verb explore of the command vmademo: whether it finds the msync that the key-value store of
# examples/kvstore.c leaves out, and a file or a name that was not synced.
# Lists of options, commands for another shell, and functions that `check` calls:
# shellcheck disable=SC2086,SC2046,SC2016,SC2015,SC2317
. "${0%/*}/command_lib.sh"

# One kernel gets them all: it is the one to which nobody says how many steps to take.  Debug
# kernels take seconds to start a program, so they get a few, for what the module does there.
cuts=100 left_out='OPEN RECORD COPY SUPER'
[ -z "$VMADEMO_STEPS" ] || cuts=30 left_out="RECORD SUPER"
[ "$VMADEMO_STEPS" != 3000 ] || cuts=10 left_out=RECORD
few=40
[ "$cuts" -ge $few ] || few=$cuts

explore() { # OPTIONS... [MSYNC]: of the key-value store
	msync=''
	case $1 in -*) ;; *) msync=$1; shift ;; esac
	vmademo explore --size 72K --ack ack --check "$kvstore check @ ack" --report json -o out "$@" -- "$kvstore" work @ $msync 2>err
}

explore_right() {
	explore --cuts $cuts
	is status 0 $? || { cat err out; return 1; }
	json '[.cuts, .passed, .broken, .same_events_again, .hung, .not_reached]' "[$cuts,$cuts,[],true,0,0]" &&
		grep -q "$cuts of $cuts cuts, 0 broken" err
}
# Not every kernel traces system calls
call() { # NAME
	if [ -e /sys/kernel/debug/tracing/events/syscalls ]; then echo "\"$1\""; else echo null; fi
}
verdicts='[.events, .there_are, .cuts, .passed, .not_reached, .hung, [.broken[].cut], .fewest_lost.cut, .fewest_lost.lost_pages, .repeats]'
# One run of the program, stopped at each event, says the same as one for each cut
explore_once() {
	for msync in '' SUPER; do
		explore $msync --cuts $few
		status=$?
		why="status $status: $(cat err)"
		jq -c '[.by_snapshots, .snapshot_runs, .states_checked, .seconds]' out >cost && jq -c "$verdicts" out >by_one && [ -s by_one ] || return
		# None was run for itself that is not broken
		json '[.by_snapshots == .passed, .snapshot_runs, .states_checked > 1 and .states_checked <= .cuts]' '[true,1,true]' || return
		explore $msync --cuts $few --no-snapshots
		is "status without \"$msync\"" $status $? && json '[.by_snapshots, .snapshot_runs, .states_checked]' '[0,0,0]' || return
		jq -c "$verdicts" out >by_many
		echo "# ${msync:-right}: [by snapshots, runs, states, seconds] $(cat cost), without them $(jq .seconds out) s" >>found
		why="$(diff by_one by_many)"
		cmp by_one by_many || return
	done
	# A store that calls write(2), in whose events nobody can be held; and one that changes its size
	# (`read` asks for a byte at a time, and where nothing is left there are only zeros: a small one)
	ends 0 explore --size 16K --all --report json --check 'read x <@; [ "$x" != bad ]' -- sh -c 'echo good 1<>@; sync @; echo fine 1<>@; sync @' &&
		json '[.events, .passed == .cuts, .by_snapshots > 0, .by_snapshots < .cuts, .snapshot_runs]' \
			'[{"mkwrite":2,"write_out":2,"flush":2},true,true,true,1]' || return
	ends 0 explore --size 16K --all --report json --check 'read x <@; [ "$x" != bad ]' -- sh -c 'echo good >@; sync @' && json .by_snapshots 0 || return
	# A program that is not alone; nobody of it is left
	ends 1 explore --size 72K --cuts $few --ack ack --check "$kvstore check @ ack" --report json -- sh -c "$kvstore work @ SUPER & wait" &&
		json '[.same_events_again, .by_snapshots == .passed, .passed > 0]' '[true,true,true]' && is children '' "$(pidof example_kvstore)"
}
explore_left_out() {
	for msync in $left_out; do
		explore $msync --first
		is "without msync $msync" 1 $? || { cat err out; return 1; }
		json '[(.broken | length), .cuts <= 200, .repeats]' '[1,true,true]' || return
		# Few pages are enough, and they are named
		json '.fewest_lost | .lost <= 2 and .lost == (.lost_pages | length)' true || return
		# The cut came in a call that is known, at a flush; at others, at a page
		json '[.broken[] | select(.event == "flush")] | all(.call == "msync" or .call == "fdatasync" or .call == "fsync")' true || return
		json '[.broken[] | select(.event == "mkwrite" or .event == "write_out")] | all(.page < 18)' true || return
		# A store to memory is in no call
		json '[.broken[] | select(.event == "mkwrite")] | all(.call == null)' true || return
		echo "# $msync: $(jq -c '[.cuts, .there_are, .tries, .fewest_lost.cut, .fewest_lost.lost_pages, .fewest_lost.says]' out)" >>found
		cut=$(jq -r .fewest_lost.cut out)
		jq -c .fewest_lost.lost_pages out >pages
		for i in 1 2; do
			explore $msync --replay "$cut" --keep keep$i
			is "replay $cut" 1 $? && json '[.verdict, .run.cut]' "[\"broken\",\"$cut\"]" || return
			json .run.lost_pages "$(cat pages)" || return
		done
		is 'size of what is kept' 73728 "$(wc -c <keep1)" && cmp keep1 keep2 || return
		# The kept bytes are those that fail
		"$kvstore" check keep1 ack && return 1
	done
	return 0
}
# The program may change the size
explore_keeps_size() {
	ends 0 explore --size 1M --check 'head -c 1 @' --replay 1:end:1:after:1000:0 --keep keep -- sh -c 'printf yes >@' && is 'what is kept' '3 yes' "$(wc -c <keep) $(cat keep)"
}
# All that is reported comes again, byte by byte: whatever it is of, which is the options of explore
replays() { # EXPLORE...
	"$@"
	is status 1 $? && mv out reported || return
	number_of=$(jq '.broken | length' reported)
	[ "$number_of" -le 4 ] || number_of=4
	for i in $(seq 0 $((number_of - 1))); do
		cut=$(jq -r ".broken[$i].cut" reported)
		for again in kept1 kept2; do
			rm -rf $again
			"$@" --replay "$cut" --keep $again
			is "replay $cut" 1 $? && is "what is told of $cut" "$(jq -S ".broken[$i] | del(.says)" reported)" "$(jq -S '.run | del(.says, .differ)' out)" || return
			if [ -d $again ]; then
				(cd $again && find . | sort && find . -type f -exec md5sum {} + | sort) >$again.sum
			else
				md5sum <$again >$again.sum
			fi
		done
		why="$cut: $(diff kept1.sum kept2.sum)"
		cmp kept1.sum kept2.sum || return
	done
}
# Addresses are the same in each run, and the clock of what is traced is the same for all processors
explore_replays_how() {
	ends 0 explore --size 16K --cuts 8 --no-snapshots --check 'cat /sys/kernel/debug/tracing/instances/vmademo-*/trace_clock >>clocks 2>/dev/null; test -e @' -- \
		sh -c 'grep stack /proc/self/maps >>stacks; echo good >@; sync @' || return
	is 'where stacks are' 1 "$(sort -u stacks | wc -l)" && is 'a clock that is not for all' '' "$(grep -v '\[mono\]' clocks)" && [ -s clocks ]
}
explore_replays() {
	replays explore SUPER --cuts $few && ! "$kvstore" check kept1 ack || return
	step=''
	[ "$cuts" -gt 40 ] || cuts=40
	replays explore_dir
}
# A file is replaced by a rename; what was promised is that one of the two is there, whole
explore_dir() { # STEPS-BETWEEN... of which one may be missing
	vmademo explore --dir --size 1M --cuts $cuts --ack ack --check 'test ! -s ack || grep -qx old @/f || grep -qx new @/f' --report json -o out "$@" -- \
		sh -c "echo old >@/f; sync @/f; echo promised >&3; echo new >@/n; $step mv @/n @/f; sync @/f" 2>err
}
explore_dir_right() {
	step='sync @/n;'
	explore_dir
	is status 0 $? || { cat err out; return 1; }
	json '[.events, .broken, .not_reached]' '[{"mkwrite":2,"write_out":2,"flush":3,"truncate":0,"create":2,"rename":1,"unlink":0,"link":0,"fsync_dir":0},[],0]' || return
	# At the rename, before it is done and after it: it is known of which file
	for when in before after; do
		explore_dir --replay 1:rename:1:$when:1000:0 --keep $when
		is "replay $when" 0 $? && json '[.verdict, .run.event, .run.when, .run.file]' '["passed","rename","'$when'","'${file:-n}'"]' || return
		file=f
	done
	file=
	is 'before the rename' "f n" "$(cd before && echo *)" && is 'after the rename' f "$(cd after && echo *)"
}
# A name that is promised, and has to be synced; nothing but names is done
explore_dir_names() {
	explore_names 1 '' 0 && explore_names 0 'sync @/ &&' 1 || return
	ends 125 explore --size 1M --replay 1:rename:1:before:0:0 -- true && says 'for --dir'
}
# An fsync of another file makes a name durable, or does not
explore_dir_posix() {
	for names in ordered:0 posix:1 durable:0; do
		vmademo explore --dir --names ${names%:*} --size 1M --all --ack ack --check 'test ! -s ack || test -e @/new' --report json -o out -- \
			sh -c 'echo x >@/old; sync @/old; echo y >@/other; sync @/; mv @/old @/new; sync @/other; echo promised >&3' 2>err
		is "status with $names" ${names#*:} $? && json '[.not_reached, .hung]' '[0,0]' || { cat err out; return 1; }
		[ ! -s err ] || ! grep -q 'left processes' err || return
	done
	ends 125 explore --names posix -- true @ && says '--names is for --dir' && ends 125 exec --dir --names any -- true @ && says '--names: any is none of'
}
explore_names() { # STATUS STEP FSYNC-DIRS
	vmademo explore --dir --size 1M --all --ack ack --check 'test ! -s ack || test -d @/d' --report json -o out -- \
		sh -c "mkdir @/d && ln -s d @/l && $2 echo promised >&3 && mv @/l @/m" 2>err
	is "status with \"$2\"" $1 $? || { cat err out; return 1; }
	json '[.events.create, .events.rename, .events.fsync_dir, .not_reached]' "[2,1,$3,0]" || return
	# What breaks it is that some name is undone
	json '[.broken[] | .lost == 0 and .lost_names > 0] | all' true
}
explore_dir_left_out() {
	step=''
	# A share of them finds it, which depends on the seed
	[ "$cuts" -gt 40 ] || cuts=40
	explore_dir
	is status 1 $? || { cat err out; return 1; }
	json '[(.broken | length) > 0, .repeats, .fewest_lost.lost]' '[true,true,1]' || return
	cut=$(jq -r .fewest_lost.cut out)
	explore_dir --replay "$cut" --keep remains
	is "replay $cut" 1 $? || { cat err out; return 1; }
	json .verdict '"broken"' && is 'what is left of it' '' "$(cat remains/f)" || return
	# The file has the name that it was written under, or that it got
	json '.run.lost_pages | map([.file == "n" or .file == "f", .pages])' '[[true,[0]]]' || return
	# At the sync of the file, before it is done: it is known which, and in which call
	explore_dir --replay 1:flush:1:before:0:0
	json '[.run.event, .run.call, .run.file, .run.lost_pages]' '["flush",'"$(call fsync)"',"f",[]]' || return
	explore_dir --replay 1:write_out:1:before:0:1
	json '[.run.event, .run.call, .run.page, .run.file, .run.torn_pages]' '["write_out",'"$(call fsync)"',0,"f",[{"file":"f","pages":[0]}]]' || return
	# What a directory had before
	mkdir from && echo old >from/f || return
	ends 0 explore --dir --size 1M --cuts 10 --seed-from from --check 'grep -qx old @/f' -- sh -c 'echo other >@/g; sync @/g'
}
# Several runs at a time, and the report of one
explore_jobs() {
	for options in '' --first; do
		for jobs in 1 3; do
			explore RECORD --cuts 30 --jobs $jobs $options
			is "status of $jobs jobs" 1 $? || { cat err out; return 1; }
			jq -S 'del(.seconds)' out >jobs$jobs
		done
		why="$(diff jobs1 jobs3)"
		cmp jobs1 jobs3 || return
	done
	step=''
	for jobs in 1 4; do
		explore_dir --jobs $jobs
		is "status of $jobs jobs on a directory" 1 $? || { cat err out; return 1; }
		jq -S 'del(.seconds)' out >jobs$jobs
	done
	why="$(diff jobs1 jobs4)"
	cmp jobs1 jobs4 || return
	# Nothing is left of them
	is processes '' "$(pidof vmademo)" && is mounted '' "$(grep -e vmademo- -e /ack /proc/mounts)" || return
	is left '' "$(find /tmp -maxdepth 1 -name 'vmademo-??????')" && is 'instances of tracing' '' "$(ls /sys/kernel/debug/tracing/instances)" || return
	# Ctrl-C ends all
	vmademo explore --size 72K --all --no-snapshots --jobs 2 --ack ack --check "$kvstore check @ ack" --report json -o out -- "$kvstore" work @ 2>err &
	comes err
	kill -INT $!
	wait $!
	is status 130 $? && json '.interrupted' true && is processes '' "$(pidof vmademo example_kvstore)" || return
	# So does a job that cannot go on, once
	chmod 666 /dev/vmademo
	su nobody -s /bin/sh -c 'vmademo explore --size 1M --jobs 2 --ack /tmp/nobody-ack -- sh -c "echo x >@; sync @"' >out 2>err
	result=$?
	chmod 600 /dev/vmademo
	rm /tmp/nobody-ack
	is 'jobs of nobody' 125 $result && says '--jobs: each has its own --ack' && is processes '' "$(pidof vmademo)"
}
# A job that is killed does not say so; and nobody of its program is left, which hangs here
explore_job_killed() {
	rm -f runs
	vmademo explore --size 1M --all --no-snapshots --jobs 2 --check 'head -c 1 @' --report json -o out -- \
		sh -c 'echo >>runs; echo y 1<>@; [ "$(wc -l <runs)" -le 2 ] || { sleep 1000 & wait; }; sync @' 2>err &
	for _ in $(seq 300); do
		[ "$(pidof sleep | wc -w)" -lt 2 ] || break
		sleep 0.1
	done
	read -r job _ </proc/$!/task/$!/children
	began=$(date +%s)
	kill -KILL "$job"
	wait $!
	is 'one that is killed' 125 $? && says 'a job was killed by SIGKILL' && is processes '' "$(pidof vmademo sleep)" &&
		is 'the others stop' 1 $(($(date +%s) - began < 20))
}
explore_wrong() {
	ends 125 explore -- true && says 'DID NOT USE THE BUFFER' || return
	ends 125 explore --size 1M --check 'false @' -- sh -c 'echo x >@' && says 'fails on the untouched result' || return
	ends 125 explore --size 1M --check '/nowhere/at-all @' -- sh -c 'echo x >@' && says 'cannot be run' || return
	ends 125 explore --size 1M -- sh -c 'echo x >@; exit 4' && says 'fails without any cut: exit status 4' || return
	ends 125 explore --size 1M -- sh -c 'head -c 1 @ >/dev/null' && says 'writes nothing' || return
	ends 125 explore --size 1M --timeout 0.5 -- sh -c 'echo x >@; sleep 60' && says 'takes more than 0.5 s' || return
	ends 125 explore --size 1M --timeout 0.5 --check 'sleep 60 # @' -- sh -c 'echo x >@' && says 'takes more than 0.5 s' || return
	ends 127 explore --size 1M -- /nowhere/at-all @ || return
	mkfifo fifo
	for ack in fifo /dev/null . /nowhere/at-all; do
		ends 125 explore --size 1M --ack $ack -- sh -c 'echo x >@' && says "--ack: $ack" || return
	done
	# A check that a signal kills, by itself or for its shell, has failed
	for signal in 'grep -q y @ || kill -ABRT $$' 'grep -q y @ || sh -c "kill -ABRT \$\$"; exit $?'; do
		ends 1 explore --size 1M --first --check "$signal" --report json -- sh -c 'echo y >@' || return
	done
	# An event that does not come
	ends 125 explore --size 1M --replay 1:flush:99:after:0:0 --report json -- sh -c 'echo x >@' && json .verdict '"not reached"' || return
	# As in the manual page: before and after each of two events, before a first write, at the end
	vmademo explore --size 1M --ack promised --report json \
		--check 'test "$(head -c 5 @)" = hello || test ! -s promised' \
		-- sh -c 'printf hello >@; sync @; echo done >&3' >out 2>err || return
	json '[.events, .there_are, .cuts]' '[{"mkwrite":1,"write_out":1,"flush":1},30,30]' || return
	# Nothing is synced: of cuts that write all, only that before the first write breaks it
	# What the check says can be any bytes
	ends 1 explore --size 1M --all --check 'printf "a\"b\377\tc\n"; grep -q y @' --report json -- sh -c 'echo y >@' || return
	json '[.events.write_out, .cuts == .there_are, (.broken | length > 0), ([.broken[] | select(.share == 1000)] | length)]' '[0,true,true,1]' || return
	json '.broken[0].says' '"a\"bÿ\tc"' || return
	# What looks like UTF-8, and is none: longer than need be, a surrogate, beyond the last
	ends 1 explore --size 1M --first --check 'printf "\340\200\200\355\240\200\360\200\200\200\364\220\200\200€"; grep -q y @' --report json -- sh -c 'echo y >@' || return
	json '.broken[0].says | explode | map(select(. > 255))' '[8364]'
}
explore_children() {
	# A child goes on when the program ends: it is killed before the next run, and before the check
	# The check is the program itself, which can promise nothing to nobody
	ends 0 explore --size 1M --cuts 10 -- sh -c '(sleep 100; echo z >>survivor) & echo y >@; sync @ && echo done >&3' || return
	[ ! -e survivor ] && is children '' "$(pidof sleep)" && says 'left processes behind' || return
	# One that promises even if it was told EIO is killed at the moment of the cut
	ends 0 explore --size 1M --all --ack ack --check 'test "$(head -c 5 @)" = hello || test ! -s ack' \
		-- sh -c '{ printf hello 1<>@; sync @; echo done >&3; } & wait'
}
explore_stopped() {
	# While it is the one run, and while what came of that is checked
	for when in snapshots cuts; do
		vmademo explore --size 72K --cuts 300 --ack ack --check "$kvstore check @ ack" --report json -o out -- "$kvstore" work @ 2>err &
		for _ in $(seq 600); do
			grep -q "of 300 $when" err && break
			sleep 0.1
		done
		kill -INT $!
		wait $!
		is "status while there are $when" 130 $? && json .interrupted true && is processes '' "$(pidof vmademo example_kvstore)" || return
	done
	json '.passed > 0' true || return
	# Whom nohup has begun goes on
	sh -c 'trap "" HUP; exec vmademo explore --size 1M --cuts 10 -- sh -c "echo y >@; sync @"' 2>err &
	comes err
	kill -HUP $!
	wait $!
	is 'status with nohup' 0 $? || return
	# While it is shrunk, by the third run or more, no other one is begun.  The seed chooses to lose all ten pages
	: >runs
	vmademo explore --size 1M --cuts 1 --seed 32 --no-snapshots --check 'head -c 1 @ >/dev/null; [ ! -e broken ]' --report json -o out -- \
		sh -c 'echo >>runs; [ "$(wc -l <runs)" -lt 3 ] || echo >broken; dd if=/dev/zero of=@ bs=4096 count=10 conv=notrunc; [ "$(wc -l <runs)" -lt 4 ] || exec sleep 30' 2>err &
	for _ in $(seq 300); do
		[ "$(wc -l <runs)" -lt 4 ] || break
		sleep 0.1
	done
	sleep 1
	kill -INT $!
	wait $!
	is 'status while it is shrunk' 130 $? && json '[.broken[].cut]' '["6811848:end:1:after:0:0"]' && is runs 4 "$(wc -l <runs)"
}

# What a shell had started before it became the command is no part of the program
explore_strangers() {
	sh -c 'sleep 1000 & echo $! >stranger; exec vmademo explore --size 1M --cuts 10 --report json -o out -- sh -c "echo y >@; sync @"' 2>err
	is status 0 $? && is 'who was there before' sleep "$(cat /proc/$(cat stranger)/comm)" && is 'its state' S "$(cut -d ' ' -f 3 /proc/$(cat stranger)/stat)"
	result=$?
	kill $(cat stranger)
	return $result
}
# Nobody is left, either, if the command cannot go on, or is killed
explore_dies() {
	# What was promised is longer than the memory, which it finds out while everybody is stopped
	export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1
	ends 125 explore --size 1M --ack ack --check 'head -c 1 @' -- sh -c 'truncate -s 100000G ack; echo y 1<>@; sync @' && says 'out of memory' || return
	is children '' "$(pidof sync)" || return
	vmademo explore --size 1M -- sh -c 'echo y >@; echo >begun; exec sleep 1000' 2>err &
	comes begun
	kill -KILL $!
	wait $!
	sleep 0.5
	is 'children of one that was killed' '' "$(pidof sleep)"
}
# Nor if nobody wants to hear it
explore_unheard() {
	vmademo explore --dir --size 1M --cuts 40 --timeout 20 -- sh -c 'echo y >@/f; sync @/f; sleep 0.2 & sleep 0.3' 2>&1 | head -n 2
	is processes '' "$(pidof vmademo sleep)" && is left '' "$(find /tmp -maxdepth 1 -name 'vmademo-??????')" &&
		is 'instances of tracing' '' "$(ls /sys/kernel/debug/tracing/instances)"
}
# A check that prints without end takes no memory
explore_prints() {
	echo 'shmem() { awk "/^Shmem:/ { print \$2 }" /proc/meminfo; }
		head -c 100000000 /dev/zero
		for i in $(seq 300); do [ "$(shmem)" -ge 20000 ] || break; sleep 0.1; done
		shmem >left; echo; echo end' >prints
	ends 1 explore --size 1M --first --no-snapshots --check 'grep -q y @ || { . ./prints; false; }' --report json -- \
		sh -c 'echo y >@' && json '.broken[0].says' '"end"' && is 'less than 20 MB' 1 "$(($(cat left) < 20000))"
}
# A check that ran on the untouched result fails, if it cannot run on another: it may be there
explore_check_gone() {
	ends 1 explore --dir --size 1M --all --report json --check '@/f' -- sh -c 'echo "exit 0" >@/f; chmod +x @/f; sync @/f' &&
		json '[.cuts == .there_are, ([.broken[].check_status] | unique | inside([126, 127]))]' '[true,true]'
}
# With few descriptors there are more runs, and nothing else
explore_few_descriptors() {
	for files in 1024 40; do
		# shellcheck disable=SC3045 # the shell is busybox, which has it
		(ulimit -n $files; explore SUPER --cuts $few)
		is "status with $files descriptors" 1 $? && json '.by_snapshots == .passed' true && jq -c "$verdicts" out >by_$files || return
	done
	why="$(diff by_1024 by_40)"
	cmp by_1024 by_40
}
# In the one run, time passes; the kernel is not to write meanwhile what the program leaves dirty
explore_old_pages() {
	cd /proc/sys/vm && expire=$(cat dirty_expire_centisecs) often=$(cat dirty_writeback_centisecs) && echo 200 >dirty_expire_centisecs && cd "$dir" &&
		# It hears of that while it has something to do
		vmademo create --size 1M --store ram -- sh -c 'echo y >@; echo 10 >/proc/sys/vm/dirty_writeback_centisecs; sleep 0.5' || return
	explore SUPER --cuts $cuts
	result=$?
	echo $expire >/proc/sys/vm/dirty_expire_centisecs
	echo $often >/proc/sys/vm/dirty_writeback_centisecs
	# On a slow machine, time may be up before the first snapshot
	is status 1 $result && jq -c "$verdicts" out >old && echo "# $(jq -c '[.by_snapshots, .snapshot_runs, .seconds]' out)" >>found || return
	explore SUPER --cuts $cuts --no-snapshots
	jq -c "$verdicts" out >new
	why="$(diff old new)"
	cmp old new
}
# A program that finds what it has left elsewhere, and does nothing any more
explore_not_again() {
	rm -f elsewhere
	ends 125 explore --size 1M --check 'head -c 1 @' -- sh -c '[ -e elsewhere ] && exec cat @; echo y >@; echo >elsewhere' && says 'second run' || return
	# Nor of a later one, after which most cuts do not come: little was seen
	ends 125 explore --size 1M --cuts 20 --no-snapshots --check 'head -c 1 @ >/dev/null' --report json -- \
		sh -c 'echo >>few; [ "$(wc -l <few)" -gt 4 ] || { echo y >@; sync @; }' && json '[.passed > 0, .not_reached > .passed, .broken]' '[true,true,[]]'
}

all='explore_right explore_once explore_left_out explore_replays_how explore_replays explore_dir_right explore_dir_names explore_dir_posix explore_dir_left_out explore_jobs
explore_wrong explore_children explore_stopped explore_strangers explore_dies explore_unheard explore_prints explore_check_gone explore_few_descriptors
explore_old_pages explore_not_again explore_keeps_size explore_job_killed'
[ "$VMADEMO_STEPS" != 3000 ] || all=explore_dir_left_out
# shellcheck disable=SC2048
run ${*:-$all}
