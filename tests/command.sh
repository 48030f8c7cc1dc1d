#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The command vmademo: each verb without a program, used rightly and wrongly; its JSON read by jq.
# Lists of options, commands for another shell, and functions that `check` calls:
# shellcheck disable=SC2086,SC2046,SC2016,SC2015,SC2317
. "${0%/*}/command_lib.sh"

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
	with --size 1G -- 'vmademo map $T >out && vmademo map --offset 1000M $T >part' && grep -q 'One letter stands for 256 pages' out || return
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
	grep -qE '^ *0 s\.ss\.+$' map && [ -s empty ] && ! grep -q 's  ' empty || return
	is revoked 'true false' "$(jq .revoked revoked) $(jq .revoked restored)" && says 'vmademo restore' || return
	json '[.counters.crashes, .counters.flushes, .counters.data_flushes, .counters.revocations]' '[2,1,1,1]' || return
	# Of two at a time
	with --store ram -- 'vmademo create --store ram -- sh -c "vmademo power off $T @@ --json >out &&
		vmademo info --json $T >one; vmademo info --json @@ >two; vmademo power on $T @@; vmademo power off $T $T 2>err"'
	is 'twice the same' 1 $? && says 'named twice' || return
	is 'both off' 'true true' "$(jq .power_off one) $(jq .power_off two)" || return
	# So can a window
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

all='info directory stat mappings features map change rules'
[ "$VMADEMO_STEPS" != 3000 ] || all='info directory stat mappings map change rules'
# shellcheck disable=SC2048
run ${*:-$all}
