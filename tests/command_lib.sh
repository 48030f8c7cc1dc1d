# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
# What the tests of the command vmademo share; they source it.
# Lists of options, commands for another shell, and functions that `check` calls:
# shellcheck disable=SC2086,SC2046,SC2016,SC2015,SC2317
kvstore=${0%/*}/example_kvstore
echo 'TAP version 13'
if ! command -v vmademo >/dev/null || ! command -v jq >/dev/null || [ ! -x "$kvstore" ]; then
	echo '1..0 # SKIP vmademo, jq or example_kvstore is not installed'
	exit 4
fi

# It is built with the address sanitizer for this; what it has at its end, it may have
export ASAN_OPTIONS=detect_leaks=0
# Somebody without a right
[ -e /etc/passwd ] || { mkdir -p /etc && echo 'nobody:x:65534:65534::/:/bin/sh' >/etc/passwd; }
dir=$(mktemp -d)
cd "$dir" || exit 1
number=0 failed=0 why=''
check() { # NAME FUNCTION
	number=$((number + 1))
	why='' began=$(date +%s)
	if "$2" >log 2>&1; then
		echo "ok $number $1"
	else
		{ cat log; echo "$why"; } | sed 's/^/# /'
		echo "not ok $number $1"
		failed=1
	fi
	took=$(($(date +%s) - began))
	[ $took -lt 10 ] || echo "# $1 took $took s"
}

# Each of these ends the function that calls it, by `|| return`
is() { # WHAT EXPECTED ACTUAL
	why="$1: expected \"$2\", got \"$3\""
	[ "$2" = "$3" ]
}
# The command must end with this status; what it says is in out and err
ends() { # STATUS ARGUMENTS...
	want=$1
	shift
	vmademo "$@" >out 2>err
	got=$?
	why="vmademo $*: expected status $want, got $got: $(cat err)"
	[ "$got" = "$want" ]
}
says() { # TEXT: an error, in one line that begins as it should
	why="expected \"$1\" in \"$(cat err)\""
	grep -q "^vmademo" err && grep -qF -- "$1" err
}
# Waits until there is something in it, half a minute
comes() { # FILE
	for _ in $(seq 300); do
		[ -s "$1" ] || sleep 0.1
	done
}
json() { # FILTER EXPECTED: of out
	is "$1" "$2" "$(jq -c "$1" out)"
}
# A buffer that is there while a command runs: its words have $T for the target
with() { # OPTIONS... -- SHELL-COMMAND
	options=''
	while [ "$1" != -- ]; do
		options="$options $1"
		shift
	done
	vmademo create $options -- sh -c "T=@; $2"
}

# Runs the functions, and ends with the status of the test
run() { # FUNCTIONS...
	echo "1..$#"
	for function in "$@"; do
		check "$function" "$function"
	done
	[ ! -e found ] || cat found
	cd / && rm -rf "$dir"
	exit $failed
}
