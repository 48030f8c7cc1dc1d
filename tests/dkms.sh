#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The module as dkms installed it: modprobe finds it, it works, and it goes.  Skipped
# without VMADEMO_KO, as the other tests that load and unload.
ko=$(find "/lib/modules/$(uname -r)/updates" -name 'vmademo.ko*' 2>/dev/null)
echo 'TAP version 13'
if [ -z "$ko" ] || [ -z "$VMADEMO_KO" ]; then
	echo '1..0 # SKIP vmademo is not installed by dkms, or VMADEMO_KO is not set'
	exit 4
fi
echo '1..4'
number=0 failed=0
check() { # NAME COMMAND...
	number=$((number + 1))
	name=$1
	shift
	if "$@" >/dev/null 2>&1; then
		echo "ok $number $name"
	else
		echo "not ok $number $name"
		failed=1
	fi
}
loaded() { [ -d /sys/module/vmademo ]; }
gone() { ! loaded && [ ! -e /dev/vmademo ]; }
works() {
	[ -c /dev/vmademo ] && [ -c /dev/vmademo-phys0 ] || return 1
	echo 'by way of dkms' >/dev/vmademo
	[ "$(head -n 1 /dev/vmademo)" = 'by way of dkms' ]
}

! loaded || rmmod vmademo
check 'modprobe vmademo' modprobe vmademo
check 'the device works' works
check 'modprobe -r vmademo' modprobe -r vmademo
check 'it is gone' gone
exit $failed
