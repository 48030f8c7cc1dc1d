#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The command vmademo: each verb used rightly and wrongly, without the module, without the
# right, through a pipe; its JSON read by jq; and whether explore finds the msync that
# the key-value store of examples/kvstore.c leaves out.
# Lists of options, commands for another shell, and functions that `check` calls:
# shellcheck disable=SC2086,SC2046,SC2016,SC2015,SC2317
. "${0%/*}/command_lib.sh"

verbs='info stat mappings features map top resize discard sync crash power:off power:on revoke restore rule:add rule:list rule:del create snapshot exec explore'

# ---- called wrongly ---------------------------------------------------------

help() {
	ends 0 --help && [ -s out ] && [ ! -s err ] || return
	for verb in $verbs; do
		grep -q "^  $(echo "$verb" | tr : ' ') " out || { why="no $verb"; return 1; }
	done
	ends 0 --version && cp out version || return
	for verb in $verbs; do
		ends 0 $(echo "$verb" | tr : ' ') --help && grep -q '^Usage: vmademo' out || return
		ends 0 $(echo "$verb" | tr : ' ') --version && cmp out version || return
	done
}
wrong() {
	ends 2 && grep -q '^Usage' err || return
	ends 2 nothing && says 'there is no verb "nothing"' || return
	ends 2 rule && says 'needs a second word' || return
	ends 2 power up && says 'needs a second word' || return
	for verb in $verbs; do
		expected=2
		case $verb in create | snapshot | exec | explore) expected=125 ;; esac
		ends $expected $(echo "$verb" | tr : ' ') --absurd && says 'there is no option --absurd' || return
		[ ! -s out ] || return
	done
	for verb in resize discard sync crash 'power off' 'power on' revoke restore 'rule add' 'rule del'; do
		ends 2 $verb && says 'TARGET is missing' || return
	done
	ends 125 snapshot && says 'TARGET is missing' || return
	ends 125 snapshot -o file /dev/vmademo true && says '"true" is too much' || return
	ends 2 info /dev/vmademo more && says '"more" is too much' || return
	ends 2 resize /dev/vmademo && says 'SIZE is missing' || return
	for size in 1X -1 K '' 1KK 16E 99999999999999999999 0x 1.5M; do
		ends 2 resize /dev/vmademo -- "$size" && says 'is no size' || return
	done
	ends 2 crash /dev/vmademo --share 1001 && says 'from 0 to 1000' || return
	ends 2 crash /dev/vmademo --share && says 'needs a value' || return
	ends 2 stat --count 3 && says '--watch' || return
	for seconds in 0 -1 nan x 1e9; do
		ends 2 stat --watch $seconds && says 'no time' || return
	done
	ends 2 rule del /dev/vmademo && says 'ID or --all' || return
	ends 2 rule del /dev/vmademo 0 && says 'no number above 0' || return
	ends 125 exec && says 'PROGRAM is missing' || return
	ends 125 explore --check 'true' -- true && says 'no @' || return
	ends 125 explore --keep x -- true && says '--replay' || return
	for jobs in 0 257 x; do
		ends 125 explore --jobs $jobs -- true && says 'from 1 to 256' || return
	done
	for cut in 1 1:flush:0:after:0:0 1:flush:1:never:0:0 1:mkwrite:1:after:0:0 1:end:2:after:0:0 1:x:1:after:0:0 \
		1:flush:1:after:1001:0 1:flush:1:after:0:0:0; do
		ends 125 explore --replay "$cut" -- true && says '--replay' || return
	done
	for store in disk file: ''; do
		ends 125 create --store "$store" && says '--store' || return
	done
	ends 2 map --json --svg x && says 'not both' || return
	for size in 1 4097 4M; do
		ends 125 create --folio-size $size && says '--folio-size' || return
	done
	ends 125 exec --report xml -- true && says 'neither text nor json' || return
}
words() {
	for words in op=nothing op=read,op=read op=read,status=EWHAT op=read,start=x op=read,absurd start=3 \
		op=read,when=later '' 'op=read,' op=read,torn=2147483648; do
		ends 2 rule add /dev/vmademo "$words" && says 'rule' || return
	done
	for option in '--pages x' '--pages 3-' '--pages 5-4' '--pages -1' '--pages 0-18446744073709551615' '--skip -1' '--on nothing' '--fail E' \
		'--on read'; do
		ends 2 rule add $option /dev/vmademo op=read && says rule || return
	done
	ends 2 rule add /dev/vmademo && says 'no --on' || return
	# What does not go together, the module says
	ends 1 rule add /dev/vmademo op=read,status=SIGBUS && says 'see RULES in vmademo(1)' || return
	ends 1 rule add /dev/vmademo op=read_in,status=EIO && says 'needs a buffer with a store' || return
	ends 1 rule add /dev/vmademo op=read,status=EIO,pid=999999999 && says 'no process' || return
	ends 1 rule del /dev/vmademo 77 && says 'there is no rule 77' || return
	ends 0 rule list --json && json '.rules | length' 0
}
targets() {
	ends 1 info 999999999:3 && says 'no such process' || return
	ends 1 info $$:999 && says 'no such descriptor' || return
	ends 1 info /dev/null && says 'no buffer of vmademo' || return
	ends 1 info /dev/vmademo-phys0 && says 'physical window' || return
	ends 1 info /nowhere && says 'No such file' || return
	ends 1 crash /dev/vmademo && says 'has no store' || return
	ends 1 power on /dev/vmademo && says 'has no store' || return
	ends 125 snapshot /dev/vmademo -- true && says 'has no store' || return
	mkdir tree && mount -t vmademo none tree || return
	ends 1 map tree
	result=$?
	umount tree
	[ $result = 0 ] && says 'name one of its files' || return
	ends 1 resize /dev/vmademo 8E && says 'cannot have that size' || return
	ends 1 map --offset 1T /dev/vmademo && says 'there is no page' || return
	ends 1 discard --length 0 /dev/vmademo && says 'no such range'
}
no_module() {
	rmmod vmademo || return
	for verb in $verbs; do
		arguments=/dev/vmademo expected=1
		case $verb in
		features | mappings) arguments='' ;;
		resize) arguments="$arguments 1M" ;;
		rule:add) arguments="$arguments op=read,status=EIO" ;;
		rule:del) arguments="$arguments 1" ;;
		snapshot) expected=125 ;;
		create | exec | explore) arguments='-- true' expected=125 ;;
		esac
		ends $expected $(echo "$verb" | tr : ' ') $arguments &&
			says 'no /dev/vmademo: load the module with modprobe vmademo' || break
	done
	result=$?
	insmod "$VMADEMO_KO" $VMADEMO_PARAMS && return $result
}
no_right() {
	chmod 755 "$dir" && chmod 666 out err
	for arguments in info top 'resize /dev/vmademo 1M' 'rule list' "revoke /dev/vmademo"; do
		su nobody -s /bin/sh -c "vmademo $arguments" >out 2>err
		is "vmademo $arguments" 1 $? && says 'not the right' || return
	done
	su nobody -s /bin/sh -c 'vmademo exec -- true @' >out 2>err
	is exec 125 $? && says 'not the right' || return
	# With the right to the node, what it makes is its own
	chmod 666 /dev/vmademo
	su nobody -s /bin/sh -c 'vmademo exec --size 1M -- head -c 5 @' >out 2>err
	result=$?
	chmod 600 /dev/vmademo
	is 'exec as nobody' 0 $result && grep -q '1 read' err
}
full() {
	for arguments in --help --version info stat 'stat --json' features map; do
		vmademo $arguments >/dev/full 2>err
		is "vmademo $arguments" 1 $? && says 'No space left' || return
	done
	vmademo exec --size 1M -o /dev/full -- head -c 1 @ >/dev/null 2>err
	is 'exec -o' 125 $? && says 'No space left'
}

# ---- looking ----------------------------------------------------------------

info() {
	ends 0 info && grep -q "^size  *$(cat /sys/class/misc/vmademo/size) bytes" out || return
	ends 0 info --json && json '[.store, .size, .revoked]' "[\"none\",$(cat /sys/class/misc/vmademo/size),false]" || return
	with --size 5000 --store ram -- 'vmademo resize $T 100 && vmademo info $T && vmademo info --json $T >json' >out &&
		grep -q '^after a cut  *5000 bytes' out && mv json out && json '[.size, .durable_size]' '[100,5000]' || return
	with --size 5000 --store ram -- 'vmademo info --json $T' >out && json '[.store, .size, .mappings]' '["ram",5000,0]' || return
	# Names, which only a tree has
	mkdir -p tree && mount -t vmademo -o store=ram,size=1M none tree || return
	touch tree/a tree/b && vmademo info tree >names && vmademo crash tree >crashed && vmademo info tree --json >out
	result=$?
	umount tree
	is info 0 $result && why="$(cat names crashed)" && grep -q '^room  *1048576 bytes' names && grep -q '^names  *2 operations not durable; 0 undone' names &&
		grep -q '^undone  *2 operations on names' crashed && json '[.pending_names, .lost_names]' '[0,2]'
}
directory() {
	mkdir -p tree && mount -t vmademo -o store=ram,size=1M none tree || return
	echo x >tree/a && vmademo sync tree && echo y >tree/b &&
		vmademo power off tree --json >lost && vmademo info tree --json >is_off && vmademo power on tree &&
		vmademo rule add tree op=create,status=EDQUOT,times=1 >id && ! touch tree/c 2>refused && vmademo rule list tree --json >rules &&
		vmademo rule del tree "$(cat id)" && touch tree/c && vmademo stat tree --json >counted
	result=$?
	left=$(cd tree && echo *)
	vmademo resize tree 1M >no 2>err
	is 'resize' 1 $? && umount tree && is 'all went well' 0 $result && is left 'a c' "$left" && is off true "$(jq .power_off is_off)" &&
		is 'names undone' true "$(jq '.lost_names >= 1' lost)" && grep -q 'Disk quota' refused &&
		is hits 1 "$(jq '.rules[0].hits' rules)" && is 'hits of all' 1 "$(jq .counters.rule_hits counted)"
}
stat() {
	dd if=/dev/zero of=/dev/vmademo bs=4096 count=3 2>/dev/null
	ends 0 stat --json || return
	for counter in dirtied_bytes written_bytes read_faults rule_hits last_crash_lost_folios; do
		json ".counters.$counter" "$(cat /sys/class/misc/vmademo/$counter)" || return
	done
	# All that the module has
	is counters "$(jq '.counters | length' out)" \
		"$(grep -cE '^(.*_(faults|folios|bytes|errors|flushes)|fault_around.*|first_writes|flushes|crashes|sigbus|revocations|rule_hits):' \
			/proc/self/fdinfo/3 3</dev/vmademo | awk '{ print $1 - 3 }')" || return
	ends 0 stat && grep -q '^dirtied_bytes  *[0-9]' out || return
	ends 0 stat --watch 0.1 --count 3 --json && is documents 3 "$(jq -s length out)" || return
	is added 2 "$(jq -s '[.[] | select(.added)] | length' out)" || return
	ends 0 stat --watch 0.1 --count 2 && grep -q 'PER SECOND' out
}
mappings() {
	with --size 72K -- "mkfifo hold; $kvstore format \$T; $kvstore load \$T <hold >opened & exec 5>hold; echo colour green >&5
		for i in \$(seq 300); do [ -s opened ] || sleep 0.1; done
		vmademo mappings \$T --json >out; vmademo mappings >all; vmademo info \$T --json >info
		exec 5>&-; wait" || return
	json '[.mappings[] | [.command, .bytes, .access, .offset]]' '[["example_kvstore",73728,"rw-s",0]]' || return
	json '.mappings[0].buffer' "$(jq .ino info)" && grep -q example_kvstore all || return
	is mappings 1 "$(jq .mappings info)"
}
features() {
	ends 0 features --json || return
	is words "$(xargs </sys/class/misc/vmademo/features)" "$(jq -r '.features[].word' out | xargs)" || return
	# This command knows all that the module has
	json '[.features[] | select(.kind == "unknown")]' '[]' || return
	json '[.features[] | select(.kind == "op")] | length' 17
}
map() {
	with --size 1M --folio-size 4K --store ram -- 'dd if=/dev/zero of=$T bs=4096 seek=2 count=3 conv=notrunc
		vmademo map $T >out 2>err && vmademo map $T --svg map.svg && vmademo map --width 40 $T >narrow; vmademo map --json $T >json
		vmademo rule add $T op=read,start=7,nr=2,status=EIO && vmademo sync $T && vmademo map $T --offset 8K --length 16K >part' || return
	why="picture: $(cat out narrow part)"
	grep -qE '^ *0 \.\.WWW\.+$' out && grep -q 'W  dirty: 3 pages' out && grep -q 'nothing: 253 pages' out || return
	! grep -q "$(printf '\033')" out || return
	awk 'length($0) > 40 && !/pages/ { exit 1 }' narrow && grep -qE '^ *2 cccc$|^ *2 ccc\.$' part || return
	grep -q '^<svg' map.svg && is squares 262 "$(grep -c '<rect' map.svg | awk '{ print $1 - 1 }')" || return
	is json '[[0,2,[]],[2,3,["cached","uptodate","dirty","stored"]],[5,251,[]]]' \
		"$(jq -c '[.stretches[] | [.page, .pages, .is]]' json)" || return
	# Larger than a terminal, and than what can be asked for
	with --size 1G -- 'vmademo map $T >out && vmademo map --offset 1000M $T >part' && grep -q 'A letter is 256 pages' out || return
	with --size 8000000000000000000 -- 'vmademo map $T' 2>err
	is 'too large' 1 $? && says 'show a part'
}

# ---- changing ---------------------------------------------------------------

change() {
	with --size 1M --store ram --folio-size 4K -- '
		vmademo resize $T 2M && vmademo info $T --json >size
		dd if=/dev/zero of=$T bs=4096 count=4 conv=notrunc; vmademo info $T --json >dirty
		vmademo sync $T && vmademo info $T --json >clean
		dd if=/dev/zero of=$T bs=4096 count=4 conv=notrunc; vmademo crash --json $T >crash
		dd if=/dev/zero of=$T bs=4096 count=4 conv=notrunc; vmademo power off --share 500 --seed 3 --json $T >off
		vmademo info $T --json >is_off; vmademo power on $T; vmademo info $T --json >is_on
		vmademo discard $T --offset 4K --length 4K; vmademo map $T >map
		vmademo discard $T; vmademo sync --data $T; vmademo map $T >empty
		vmademo revoke $T; vmademo info $T --json >revoked; vmademo resize $T 1M 2>err
		vmademo restore $T; vmademo info $T --json >restored; vmademo stat $T --json >out' || return
	is size 2097152 "$(jq .size size)" && is dirty 16384 "$(jq .dirty_bytes dirty)" || return
	is clean 0 "$(jq .dirty_bytes clean)" && is crash '[4,16384,0,0,0]' "$(jq -c '[.[]]' crash)" || return
	is off '[2,8192,2,0,0]' "$(jq -c '[.[]]' off)" || return
	is 'off and on' 'true false' "$(jq .power_off is_off) $(jq .power_off is_on)" || return
	why="$(cat map empty)"
	grep -qE '^ *0 s\.ss\.+$' map && ! grep -q 's  ' empty || return
	is revoked 'true false' "$(jq .revoked revoked) $(jq .revoked restored)" && says 'vmademo restore' || return
	json '[.counters.crashes, .counters.flushes, .counters.data_flushes, .counters.revocations]' '[2,1,1,1]' || return
	# Of two at a time
	with --store ram -- 'vmademo create --store ram -- sh -c "vmademo power off $T @@ --json >out &&
		vmademo info --json $T >one; vmademo info --json @@ >two; vmademo power on $T @@; vmademo power off $T $T 2>err"'
	is 'twice the same' 1 $? && says 'named twice' || return
	is 'both off' 'true true' "$(jq .power_off one) $(jq .power_off two)" || return
	# A window can be revoked, and nothing else
	ends 0 revoke /dev/vmademo-phys0 && is window 1 "$(cat /sys/class/misc/vmademo-phys0/revoked)"
}
rules() {
	with --size 1M --store ram --folio-size 4K -- '
		vmademo rule add $T op=write_out,start=1,nr=2,skip=3,times=1,seed=7,share=300,cut_torn=2,crash,off,when=after >one
		vmademo rule add $T op=write_out torn=0 granularity=512,status=EIO >two
		vmademo rule add $T op=read,status=EIO,times=1,one_in=1,delay_us=5 >three
		vmademo rule add $T --on mkwrite --pages 10-20 --skip 3 --times 1 --fail ENOSPC >four
		vmademo rule add --pages 0 $T op=write_out crash >five
		cat $T >/dev/null 2>&1; vmademo rule list $T --json >out
		cat /sys/kernel/debug/vmademo/$(vmademo info --json $T | jq .ino)/rules >module
		vmademo rule del $T 1 3 && vmademo rule list $T >left; vmademo rule del --all $T && vmademo rule list --json $T >none' || return
	is ids '1 2 3 4 5' "$(cat one two three four five | xargs)" || return
	is options 'op=mkwrite,start=10,nr=11,skip=3,times=1,status=ENOSPC op=write_out,nr=1,crash' "$(jq -r '.rules[3:][].rule' out | xargs)" || return
	# Told as the module tells it
	is words "$(sed 's/^id=[0-9]*,//; s/,hits=[0-9]*$//' module | xargs)" "$(jq -r '.rules[].rule' out | xargs)" || return
	json '.rules[2] | [.hits, .matches > 0]' '[1,true]' || return
	is left '2 4 5' "$(awk 'NR > 1 { print $1 }' left | xargs)" && is none 0 "$(jq '.rules | length' none)"
}

# One kernel gets them all: it is the one to which nobody says how many steps to take.  Debug
# kernels take seconds to start a program, so they get a few, for what the module does there.
cuts=200 left_out='OPEN RECORD COPY SUPER' duration=3
[ -z "$VMADEMO_STEPS" ] || cuts=30 left_out="RECORD SUPER"
[ "$VMADEMO_STEPS" != 3000 ] || cuts=10 left_out=RECORD duration=30

# ---- running programs -------------------------------------------------------

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
	ends 0 exec --dir --size 1M --store ram --init kept --report json -o out -- sh -c 'test -d @/d && cat @/c' &&
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
	ends 125 exec --dir --init /nowhere -- true @ && says 'cannot be copied' || return
	# Nobody else sees it, and nothing is left of it
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
	# It may end in its own way
	ends 9 exec --size 1M --duration $duration -- sh -c 'trap "exit 9" TERM; echo x >@; while :; do sleep 0.1; done' || return
	vmademo exec --size 1M -- sh -c 'echo x >@; echo >begun; while :; do sleep 0.1; done' 2>err &
	comes begun
	kill -TERM $!
	wait $!
	is 'a signal is passed on' 143 $? && grep -q 'killed by SIGTERM' err
}

# ---- power cuts -------------------------------------------------------------

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
	ends 0 explore --dir --size 1M --cuts 10 --init from --check 'grep -qx old @/f' -- sh -c 'echo other >@/g; sync @/g'
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
	vmademo explore --size 72K --all --jobs 2 --ack ack --check "$kvstore check @ ack" --report json -o out -- "$kvstore" work @ 2>err &
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
explore_wrong() {
	ends 125 explore -- true && says 'DID NOT USE THE BUFFER' || return
	ends 125 explore --size 1M --check 'false @' -- sh -c 'echo x >@' && says 'fails on the untouched result' || return
	ends 125 explore --size 1M --check '/nowhere/at-all @' -- sh -c 'echo x >@' && says 'cannot be run' || return
	ends 125 explore --size 1M -- sh -c 'echo x >@; exit 4' && says 'fails without any cut: exit status 4' || return
	ends 125 explore --size 1M -- sh -c 'head -c 1 @ >/dev/null' && says 'writes nothing' || return
	ends 125 explore --size 1M --timeout 0.5 -- sh -c 'echo x >@; sleep 60' && says 'takes more than 0.5 s' || return
	ends 125 explore --size 1M --timeout 0.5 --check 'sleep 60 # @' -- sh -c 'echo x >@' && says 'takes more than 0.5 s' || return
	ends 127 explore --size 1M -- /nowhere/at-all @ || return
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
	json '[.events, .there_are, .cuts]' '[{"mkwrite":1,"write_out":1,"flush":1},24,24]' || return
	# Nothing is synced: of cuts that write all, only that before the first write breaks it
	# What the check says can be any bytes
	ends 1 explore --size 1M --all --check 'printf "a\"b\377\tc\n"; grep -q y @' --report json -- sh -c 'echo y >@' || return
	json '[.events.write_out, .cuts == .there_are, (.broken | length > 0), ([.broken[] | select(.share == 1000)] | length)]' '[0,true,true,1]' || return
	json '.broken[0].says' '"a\"bÿ\tc"'
}
explore_children() {
	# A child goes on when the program ends: it is killed before the next run, and before the check
	# The check is the program itself, which can promise nothing to nobody
	ends 0 explore --size 1M --cuts 10 -- sh -c '(sleep 100; echo z >>survivor) & echo y >@; sync @ && echo done >&3' || return
	[ ! -e survivor ] && is children '' "$(pidof sleep)"
}
explore_stopped() {
	vmademo explore --size 72K --all --ack ack --check "$kvstore check @ ack" --report json -o out -- "$kvstore" work @ 2>err &
	comes err
	kill -INT $!
	wait $!
	is status 130 $? && json '.interrupted and .passed > 0' true
}

all='help wrong words targets no_module full no_right info directory stat mappings features map change rules create snapshot exec_report
exec_sigbus exec_dir exec_unused exec_duration explore_right explore_left_out explore_dir_right explore_dir_names explore_dir_left_out explore_jobs
explore_wrong explore_children explore_stopped'
[ "$VMADEMO_STEPS" != 3000 ] || all='info directory stat mappings map change rules create snapshot exec_report exec_dir explore_dir_left_out'
# shellcheck disable=SC2048
run ${*:-$all}
