#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The live view of the command vmademo, in a terminal emulator: keys go in, the screen is read,
# its size changes.
# Lists of options, commands for another shell, and functions that `check` calls:
# shellcheck disable=SC2086,SC2016,SC2015,SC2317
. "${0%/*}/command_lib.sh"
if ! command -v tmux >/dev/null; then
	echo '1..0 # SKIP tmux is not installed'
	exit 4
fi
if [ "$VMADEMO_STEPS" = 3000 ]; then
	echo '1..0 # SKIP debug kernels, which take seconds to start a program, are for what the module does'
	exit 4
fi
# It draws in UTF-8 only
export LC_ALL=C.UTF-8
mkdir -p /dev/pts && { [ -e /dev/pts/ptmx ] || mount -t devpts devpts /dev/pts; }

# ---- the terminal -----------------------------------------------------------

# Each is a server of its own: an old one takes its time to end
terminals=0
tm() {
	tmux -L "t$terminals" "$@"
}
terminal() { # COLUMNS LINES [ENVIRONMENT...]
	[ $terminals = 0 ] || tm kill-server 2>/dev/null
	terminals=$((terminals + 1))
	columns=$1 lines=$2
	shift 2
	env "$@" tmux -L "t$terminals" -f /dev/null new-session -d -s t -x $columns -y $lines "PS1='> ' exec sh" || return
	tm set-option -g status off && tm resize-window -t t -x $columns -y $lines && sees '^>'
}
screen() {
	tm capture-pane -p -t t "$@" >screen
}
type_in() { # TEXT
	tm send-keys -t t -l "$1" && tm send-keys -t t Enter
}
key() {
	tm send-keys -t t "$@"
}
# Waits until a line of the screen is like that, half a minute or more
sees() { # REGEX
	for _ in $(seq 150); do
		screen && grep -qE -- "$1" screen && return
		sleep 0.1
	done
	why="no \"$1\" on the screen:
$(cat screen)"
	return 1
}
sees_no() { # REGEX
	why="\"$1\" on the screen: $(cat screen)"
	! grep -qE -- "$1" screen
}

# A buffer that stays until the next one, and commands for it: $T
buffer() { # OPTIONS...
	end_buffer
	rm -f path
	mkfifo hold
	vmademo create "$@" -- sh -c 'echo @ >path; read -r line <hold' &
	creator=$!
	comes path
	T=$(cat path)
}
end_buffer() {
	[ -p hold ] || return 0
	! kill -0 $creator 2>/dev/null || echo >hold
	wait $creator
	rm hold
}
# The view of it is there; the screen may show how earlier ones ended
views=0
view() { # OPTIONS...
	views=$((views + 1))
	type_in "vmademo top -i 0.2 $* $T; echo \"status \$? of $views\""
	sees '^ q quit'
}
dirty() { # PAGE PAGES
	dd if=/dev/zero of=$T bs=4096 seek=$1 count=$2 conv=notrunc 2>/dev/null
}
# Nothing is left of it
left() { # STATUS
	sees "^status $1 of $views\$" && is 'latency_on' 0 "$(cat /sys/kernel/debug/vmademo/latency_on)" &&
		is 'instances of tracing' '' "$(ls /sys/kernel/debug/tracing/instances)"
}

# ---- what it shows ----------------------------------------------------------

refused() {
	ends 1 top && says 'this needs a terminal; elsewhere, use vmademo stat --watch 1' || return
	ends 2 top --interval 0 && says 'not a time' && ends 2 top --length 0 && says 'at least one byte' || return
	ends 2 top /dev/vmademo more && says 'unexpected argument "more"' || return
	terminal 80 24
	for term in nonsense dumb; do
		type_in "clear; TERM=$term vmademo top; echo \"status \$?\""
		sees '^status 1$' && sees "vmademo top: the terminal \"$term\"" || return
	done
	# Keys have to come from somewhere
	type_in 'clear; vmademo top </dev/null; echo "status $?"'
	sees '^status 1$' && sees 'this needs a terminal' || return
	type_in 'clear; vmademo top /dev/null; echo "status $?"'
	sees '^status 1$' && sees 'not a buffer of vmademo'
}
shows() {
	buffer --size 72K --store ram --folio-size 4K
	terminal 100 24
	view
	sees '^ *0 \.{18}$' && sees '^\. nothing 18( |$)' && sees 'store ram, 72K bytes, cached 0, dirty 0, 0 mappings' || return
	sees '^Times: nothing has happened yet' && sees '^Last faults and other events: none yet' || return
	dirty 2 3
	sees '^ *0 \.\.WWW\.{13}$' && sees 'W dirty 3( |$)' && sees '^made dirty .* 12K( |$)' || return
	vmademo sync $T
	sees '^ *0 \.\.ccc\.{13}$' && sees '^written back .* 12K( |$)' && sees 'fsync .*/s +1( |$)' || return
	# The kernel does not always note the name of who did it
	sees '^ *[0-9.]+  (vmademo|<\.\.\.>)-[0-9]+ +flush +datasync=0 err=0' || return
	# All that a program does to a mapping, and what hits it
	vmademo rule add $T op=mkwrite,start=3,status=ENOSPC || return
	"$kvstore" work $T >/dev/null 2>&1 3>/dev/null
	sees '^ *[0-9.]+  (example_kvstore|<\.\.\.>)-[0-9]+ +mkwrite +page=[0-9]+ result=SIGBUS' && sees 'rule_hit +id=[0-9]+ op=mkwrite page=[0-9]+ status=28' || return
	sees 'first writes +[0-9.]+/s +[1-9]' && sees 'SIGBUS +[0-9.]+/s +1( |$)' && sees 'rules acted +[0-9.]+/s +1( |$)' || return
	sees '^Times, from .* on, doubled with each bar' && sees '^mkwrite +[1-9].* half < .* all < .*█' || return
	vmademo power off $T
	sees ' POWER OFF *$' && sees 'power cuts +[0-9.]+/s +1( |$)' || return
	# Rates are of the last interval: in the end, nothing happens
	sees '^write faults +0/s +[1-9]' && key q && left 0
}
colours() {
	buffer --size 72K --store ram --folio-size 4K
	dirty 1 2
	terminal 80 24
	view && sees '^ *0 [.W]WW' && screen -e && grep -q "$(printf '\033')\\[31mW" screen || { why="no red: $(cat -v screen)"; return 1; }
	key q && left 0 || return
	terminal 80 24 NO_COLOR=1
	view && sees '^ *0 [.W]WW' && screen -e && ! grep -q "$(printf '\033')\\[[34][0-7]m" screen || { why="colours: $(cat -v screen)"; return 1; }
	# Bars without UTF-8
	key q && left 0 && type_in 'export LC_ALL=C' && view && vmademo sync $T && sees '^flush +1 .*@$' && key q && left 0
}
keys() {
	buffer --size 72K --store ram --folio-size 4K
	terminal 80 24
	view && sees 'every 0\.2 s' && sees '^Times' || return
	for interval in 0.5 1 2 5 10 30 60 60; do
		key + && sees "every $interval s" || return
	done
	for interval in 30 10 5 2 1 0.5 0.2 0.1 0.1; do
		key - && sees "every $interval s" || return
	done
	key h && sees 'h times' && sees_no '^Times' && key h && sees 'h hide times' && sees '^Times' || return
	# Paused, it looks no more: what is there now, it does not show, however often it draws
	key p && sees ' PAUSED *$' && sees 'p go on' || return
	dirty 0 1
	sleep 1
	for _ in 1 2 3; do
		key + && sees 'every 0\.2 s' && key - && sees 'every 0\.1 s' && sees_no '^ *0 W' || return
	done
	key p && sees '^ *0 W\.+$' && sees 'p pause' && sees_no PAUSED || return
	# Keys that are none
	key x F5 Up Escape && key p && sees 'PAUSED' || return
	key q && left 0
}
resized() {
	buffer --size 4M --store ram --folio-size 4K
	dirty 0 1024
	terminal 80 24
	view && sees '^a letter|a letter is [0-9]+ pages' || return
	for size in '120 50' '200 20' '40 12' '25 6' '10 4' '3 2' '1 1' '80 24'; do
		set -- $size
		tm resize-window -t t -x $1 -y $2
		case $size in
		'120 50') sees '^ *0 W{110}$' && sees '^ 880 W{110}$' && sees 'W dirty 1024( |$)' && sees_no 'a letter is' || return ;;
		'3 2') sees '^ q$' || return ;;
		'1 1') ;;
		*) sees '^ *0 W+$' || return ;;
		esac
		[ "$2" != 1 ] || continue
		sees '^ q' && is 'the last line' "$2" "$(grep -n '^ q' screen | cut -d : -f 1)" || return
	done
	# It follows the size of the buffer, too
	vmademo resize $T 8K && sees '^ *0 WW$' && vmademo resize $T 0 && sees 'No picture: there is no page' || return
	vmademo resize $T 1T && sees 'too large for a picture' || return
	key q && left 0 || return
	view --offset 8K --length 16K && sees '^ *2 \.{4}$' && key q && left 0
}

# ---- the end ----------------------------------------------------------------

ended() {
	buffer --size 1M
	terminal 80 24
	view && key C-c && left 0 || return
	terminal 80 24
	view && key p && sees PAUSED && kill -TERM "$(pidof vmademo | tr ' ' '\n' | sort -n | tail -n 1)" && left 143 || return
	# With the terminal; and with the target, even if nobody looks
	terminal 80 24
	view && tm kill-session -t t || return
	for _ in $(seq 300); do
		[ -n "$(ls /sys/kernel/debug/tracing/instances)" ] || break
		sleep 0.1
	done
	is 'instances of tracing' '' "$(ls /sys/kernel/debug/tracing/instances)" || return
	terminal 80 24
	view && key p && sees PAUSED && end_buffer && sees "^vmademo top: $T is gone" && left 0 || return
	# What is said after it has begun can be read
	why="$(cat screen)"
	grep -q '^> vmademo top' screen
}
without_right() {
	end_buffer
	terminal 80 24
	chmod 666 /dev/vmademo
	type_in 'su nobody -s /bin/sh -c "vmademo top -i 0.2"; echo "status $?"'
	sees '^No times: debugfs cannot be used' && sees '^The last faults are not shown: tracefs cannot be used' &&
		sees '^spared faults' && key q && sees '^status 0$'
	result=$?
	chmod 600 /dev/vmademo
	return $result
}
the_node() {
	terminal 80 24
	T=/dev/vmademo
	view --length 64K && dirty 1 2 && sees '^/dev/vmademo  store none' && sees '^ *0 [.W]WW' && vmademo sync $T &&
		sees '^write_out +[1-9]' && key q && left 0
}
a_directory() {
	mkdir -p tree && mount -t vmademo -o store=ram,size=1M none tree || return
	terminal 80 24
	T=$dir/tree
	view && sees 'No picture: a directory' && sees '^No times: of a directory' &&
		echo x >tree/name && sync tree/name && sees 'write_out +name pos=0 bytes=2 err=0' && sees 'flush +name ' &&
		sees 'made dirty +[0-9.]+/s +4096' && key q && left 0
	result=$?
	umount -l tree
	return $result
}

# The module is not in use afterwards; what was mounted, and let go of lazily, takes a moment
finish() {
	tm kill-server 2>/dev/null
	end_buffer
	for _ in $(seq 300); do
		[ "$(cat /sys/module/vmademo/refcnt)" != 0 ] || break
		sleep 0.1
	done
}
trap finish EXIT
# shellcheck disable=SC2048
run ${*:-refused shows colours keys resized ended without_right the_node a_directory}
