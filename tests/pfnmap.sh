#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The kernel's own test of mappings of bare page frames (mm/pfnmap of its selftests,
# built from its source as pfnmap-upstream), on the window, by each way of mapping; and on
# the example of a device of physical memory.
test=${0%/*}/pfnmap-upstream
echo 'TAP version 13'
if [ ! -x "$test" ] || [ -z "$VMADEMO_KO" ]; then
	echo '1..0 # SKIP pfnmap-upstream was not built, or VMADEMO_KO is not set'
	exit 4
fi
echo '1..3'
number=0 failed=0
for way in eager lazy example; do
	number=$((number + 1))
	rmmod vmademo 2>/dev/null
	if [ $way = example ]; then
		case $VMADEMO_PARAMS in
		*legacy_mmap=1*) insmod "$VMADEMO_EXAMPLES/vmademo_physical.ko" legacy_mmap=1 ;;
		*) insmod "$VMADEMO_EXAMPLES/vmademo_physical.ko" ;;
		esac
		"$test" -- /dev/vmademo-physical
	else
		# shellcheck disable=SC2086 # a list of parameters
		insmod "$VMADEMO_KO" $VMADEMO_PARAMS phys=2M phys_map=$way
		"$test" -- /dev/vmademo-phys0
	fi >/tmp/pfnmap.log 2>&1
	status=$?
	sed 's/^/# /' /tmp/pfnmap.log
	# Each of its tests must have run: a skipped one says so
	if [ $status = 0 ] && grep -q '^ok ' /tmp/pfnmap.log && ! grep -q SKIP /tmp/pfnmap.log; then
		echo "ok $number $way"
	else
		echo "not ok $number $way"
		failed=1
	fi
done
rmmod vmademo_physical || failed=1
exit $failed
