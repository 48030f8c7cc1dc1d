#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The command vmademo called wrongly; without the module, without the right; where nothing can be
# written; and what each verb says of itself.
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
	ends 125 snapshot -o file /dev/vmademo true && says 'unexpected argument "true"' || return
	ends 2 info /dev/vmademo more && says 'unexpected argument "more"' || return
	ends 2 resize /dev/vmademo && says 'SIZE is missing' || return
	for size in 1X -1 K '' 1KK 16E 99999999999999999999 0x 1.5M; do
		ends 2 resize /dev/vmademo -- "$size" && says 'is not a size' || return
	done
	ends 2 crash /dev/vmademo --share 1002 && says 'from 0 to 1001' || return
	ends 2 crash /dev/vmademo --share && says 'needs a value' || return
	ends 2 stat --count 3 && says '--watch' || return
	for seconds in 0 -1 nan x 1e9; do
		ends 2 stat --watch $seconds && says 'not a time' || return
	done
	ends 2 rule del /dev/vmademo && says 'ID or --all' || return
	ends 2 rule del /dev/vmademo 0 && says 'not a number above 0' || return
	ends 125 exec && says 'PROGRAM is missing' || return
	ends 125 explore --check 'true' -- true && says 'no @' || return
	ends 125 explore --check 'true @@' -- true && says 'no @' || return
	ends 125 explore --keep x -- true && says '--replay' || return
	for jobs in 0 257 x; do
		ends 125 explore --jobs $jobs -- true && says 'from 1 to 256' || return
	done
	for cut in 1 1:flush:0:after:0:0 1:flush:1:never:0:0 1:mkwrite:1:after:0:0 1:end:2:after:0:0 1:x:1:after:0:0 \
		1:flush:1:after:1002:0 1:flush:1:after:0:0:0; do
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
	ends 1 info /dev/null && says 'not a buffer of vmademo' || return
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
	ends 1 discard --length 0 /dev/vmademo && says 'lie in the buffer'
}
# What each verb is asked rightly, and its status if it fails
ask() { # VERB
	arguments=/dev/vmademo expected=1
	case $1 in
	features) arguments='' ;;
	resize) arguments="$arguments 1M" ;;
	rule:add) arguments="$arguments op=read,status=EIO" ;;
	rule:del) arguments="$arguments --all" ;;
	snapshot) arguments="$arguments -- true" expected=125 ;;
	create | exec | explore) arguments='-- true @' expected=125 ;;
	esac
	words="$(echo "$1" | tr : ' ') $arguments"
}
no_module() {
	rmmod vmademo || return
	result=0
	for verb in $verbs; do
		ask $verb
		ends $expected $words && says 'no /dev/vmademo: load the module with modprobe vmademo' || { result=1; break; }
	done
	ends 1 mappings && says 'no /dev/vmademo: load' && ends 125 exec --dir -- true @ && says 'no /dev/vmademo: load' || result=1
	insmod "$VMADEMO_KO" $VMADEMO_PARAMS && return $result
}
# As somebody who is not root
as_nobody() { # STATUS WORDS
	su nobody -s /bin/sh -c "vmademo $2" >out 2>err
	is "vmademo $2" $1 $?
}
no_right() {
	chmod 755 "$dir" && chmod 666 out err
	for verb in $verbs; do
		ask $verb
		# Anybody may know what there is
		case $verb in features) as_nobody 0 "$words" || return; continue ;; esac
		as_nobody $expected "$words" && says 'permission denied' || return
	done
	for words in 'exec --dir' 'explore --dir'; do
		as_nobody 125 "$words -- true @" && says 'permission denied' || return
	done
	# With the right to the node, what it makes is its own
	chmod 666 /dev/vmademo
	as_nobody 0 'exec --size 1M -- head -c 5 @' && grep -q '1 read' err && as_nobody 0 'info --json' && json .store '"none"' &&
		as_nobody 0 'explore --size 16K --check "true @" -- sh -c "echo y >@; sync @"' &&
		as_nobody 125 'exec --size 16K --store ram --rule op=write_out,crash,kill,pid=1 -- true @' && says 'permission denied: to kill' &&
		as_nobody 125 'exec --dir -- true @' && says 'permission denied' && as_nobody 1 mappings && says 'permission denied'
	result=$?
	chmod 600 /dev/vmademo
	return $result
}
# What an older module, or another kernel, does not have
lacking() {
	# A device that knows no request
	mount -o bind /dev/null /dev/vmademo || return
	result=0
	for verb in $verbs; do
		ask $verb
		case $verb in features) continue ;; esac
		ends $expected $words && grep -qE 'is not a buffer of vmademo|the module is older than this command' err || { result=1; break; }
	done
	umount /dev/vmademo && [ $result = 0 ] || return
	umount /sys/kernel/debug/tracing 2>/dev/null
	umount /sys/kernel/debug || return
	# Without these there is no list; the others tell less
	ends 1 mappings && says 'there is no debugfs: mount -t debugfs none /sys/kernel/debug' &&
		ends 0 exec --size 1M --rule op=mkwrite,start=0,nr=1,delay_us=1 --report json -o out -- sh -c 'echo x >@' &&
		json '[.times, .sigbus_page, .rules[0].hits, .rules[0].pages]' '[{},null,1,null]' &&
		ends 1 explore --size 1M --all --check 'grep -q y @' --report json -- sh -c 'echo y >@' &&
		json '[(.broken | length > 0), .broken[0].call, ([.broken[] | select(.lost > 0) | .lost_pages] | unique)]' '[true,null,[null]]'
	result=$?
	saved=$why
	mount -t debugfs none /sys/kernel/debug && why=$saved && [ $result = 0 ] || return
	mount -o bind /tmp /sys/class/misc || return
	ends 1 features && says 'it has no list of features'
	result=$?
	umount /sys/class/misc && return $result
}
full() {
	for arguments in --help --version info stat 'stat --json' features map; do
		vmademo $arguments >/dev/full 2>err
		is "vmademo $arguments" 1 $? && says 'No space left' || return
	done
	# A stream that is closed is no buffer, to which messages would be written
	vmademo create --size 1M --store ram -- sh -c 'vmademo snapshot @ -o snapshot 2>&-; vmademo info @ >&- 2>err; echo $?; head -c 1 @ | od -An -t x1' >out || return
	is 'with closed streams' '1 00 ' "$(tr -s ' \n' ' ' <out)" && says 'standard output' || return
	vmademo exec --size 1M -o /dev/full -- head -c 1 @ >/dev/null 2>err
	is 'exec -o' 125 $? && says 'No space left'
}

all='help wrong words targets no_module full no_right lacking'
[ "$VMADEMO_STEPS" != 3000 ] || all=no_right
# shellcheck disable=SC2048
run ${*:-$all}
