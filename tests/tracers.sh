#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The commands of docs/tracing.md, each block as it stands there, on a module that is freshly
# loaded.  What they print must be what the module has counted.  perf, trace-cmd and bpftrace
# are on the disk VMADEMO_TRACERS, with their libraries and the document; without it, skipped.
# Variables that are lists:
# shellcheck disable=SC2086
root=/tmp/tracers
mkdir -p $root
echo 'TAP version 13'
if [ -z "$VMADEMO_KO" ] || [ -z "$VMADEMO_TRACERS" ] ||
	! mount -t ext4 -o ro "$VMADEMO_TRACERS" $root 2>/dev/null; then
	echo '1..0 # SKIP there is no disk with perf, trace-cmd and bpftrace, or VMADEMO_KO is not set'
	exit 4
fi
for dir in proc sys sys/kernel/debug dev bin; do
	mount --bind /$dir $root/$dir
done
mount -t tracefs tracefs $root/sys/kernel/tracing
mount -t tmpfs tmpfs $root/tmp
blocks=$root/tmp
tracing_on=$(cat $root/sys/kernel/tracing/tracing_on)

# A block is what is indented by a tab, with no other line in between; block N is in file N
awk -v into=$blocks/block- '/^\t/ { if (!inside) n++; inside = 1; sub(/^\t/, ""); print >(into n); next }
	{ inside = 0 }' $root/tracing.md
count=$(find $blocks -name 'block-*' | wc -l)

# What is in a block says what must have come of it.  Prints what is wrong, if anything.
counter() { # NAME...: their sum
	(cd /sys/class/misc/vmademo && cat "$@") | awk '{ n += $1 } END { print n }'
}
expect() { # WHAT EXPECTED ACTUAL
	[ "$2" = "$3" ] || echo "$1: expected $2, got $3"
}
# As many events of each kind as were counted; COMMAND tells how many a program
# has printed of one
counted() { # COMMAND
	while read -r event counters; do
		expect "$event" "$(counter $counters)" "$($1 vmademo_$event)"
	done <<-END
		fault read_faults write_faults cow_faults
		map_pages fault_around
		mkwrite first_writes
		dirty dirtied_folios
		write_out written_folios
		crash crashes
	END
}
lines() { # EVENT: lines with it, of what the kernel, perf script, perf trace, trace-cmd print
	grep -c "[ :]$1[:(]" $out
}
listed() { # EVENT: of perf stat
	awk -v name="vmademo:$1" '$2 == name { print $1 }' $out
}
mapped() { # EVENT: of bpftrace, which leaves out what is 0
	awk -v name="@[tracepoint:vmademo:$1]:" '$1 == name { n = $2 } END { print n + 0 }' $out
}
all_events() { # PATTERN-OF-A-LINE: each tracepoint is listed
	expect 'tracepoints that are listed' "$(find /sys/kernel/debug/tracing/events/vmademo/* -type d | wc -l)" \
		"$(grep -c "$1" $out)"
}
# The numbers have names, in programs that print events themselves too
named() {
	grep 'vmademo_fault' $out | grep -q 'flags=WRITE|.*result=LOCKED' || echo 'a fault has no names'
	grep 'vmademo_mkwrite' $out | grep -q 'result=LOCKED' || echo 'a first write has no names'
}
judge() { # BLOCK
	[ "$status" = 0 ] || echo "exit status $status"
	expect 'first writes (module)' 2 "$(counter first_writes)"
	case $(cat "$1") in
	*filter*)
		expect 'events' 1 "$(grep -c 'vmademo_' $out)"
		expect 'those of page 1' 1 "$(grep -c 'vmademo_mkwrite: .* page=1 .*result=LOCKED' $out)"
		;;
	*hist:keys*)
		expect 'pages' 2 "$(grep -c '{ page: .*hitcount:  *1  *bytes: *4096' $out)"
		;;
	*trace-cmd*rule_hit*)
		expect 'rules (module)' 2 "$(counter rule_hits)"
		expect 'rules' 2 "$(grep -c 'vmademo_rule_hit: .*op=write_out' $out)"
		;;
	*'perf list'*)
		all_events '^  vmademo:vmademo_[a-z_]*  *\[Tracepoint event\]'
		counted listed
		;;
	*'perf trace'*)
		counted lines
		expect 'calls of msync' 1 "$(grep -c ' msync(start' $out)"
		;;
	*trace-cmd*)
		all_events '^vmademo:vmademo_[a-z_]*$'
		counted lines
		named
		;;
	*'perf script'* | *'cat trace'*)
		counted lines
		named
		;;
	*'bpftrace -l'*)
		all_events '^tracepoint:vmademo:vmademo_[a-z_]*$'
		counted mapped
		;;
	*hist*)
		expect 'pages of kvstore' '0 1' "$(sed -n 's/^kvstore page //p' $out | sort | xargs)"
		expect 'written folios in the histogram' "$(counter written_folios)" \
			"$(awk '/^\[.*\) .*\|$/ { sub(/.*\)/, ""); n += $1 } END { print n + 0 }' $out)"
		;;
	*) echo 'nobody knows what must come of it' ;;
	esac
}

# Not if trace-cmd says so of each processor
something_recorded() {
	! grep -q '^ *0 bytes in size' $out || grep -q '^ *[1-9][0-9]* bytes in size' $out
}

echo "1..$count"
failed=0 number=0
while [ "$number" -lt "$count" ]; do
	number=$((number + 1))
	block=$blocks/block-$number out=$blocks/out
	# On a slow machine, trace-cmd may stop its recorders before they have begun
	for attempt in 1 2 3; do
		rmmod vmademo 2>/dev/null
		insmod "$VMADEMO_KO" $VMADEMO_PARAMS
		echo >/sys/kernel/debug/tracing/trace
		PATH=/bin:/usr/bin chroot $root sh -c "cd /tmp; . /tmp/block-$number" >$out 2>&1
		status=$?
		wrong=$(judge "$block")
		if [ -z "$wrong" ] || something_recorded; then
			break
		fi
		echo "# attempt $attempt: nothing was recorded"
	done
	name=$(grep -m 1 -oE '(echo|perf|trace-cmd|bpftrace) .*' "$block" | cut -c 1-70)
	if [ -z "$wrong" ]; then
		echo "ok $number $name"
	else
		echo "$wrong" | sed 's/^/# /'
		sed 's/^/#   /' $out | tr -cd '\t\n -~'
		echo "not ok $number $name"
		failed=1
	fi
done

echo "$tracing_on" >$root/sys/kernel/tracing/tracing_on
umount $root/tmp $root/sys/kernel/tracing
for dir in bin dev sys/kernel/debug sys proc; do
	umount $root/$dir
done
umount $root || failed=1
exit $failed
