# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# What the scripts share; they source it.  Sets: top, the checkout; build, where
# things are built in it; cache, where what came from Debian is kept.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034 # these are for the scripts that source this
{
build=$top/build
cache=${XDG_CACHE_HOME:-$HOME/.cache}/vmademo
# For programs of 32 bits: without gcc-multilib, which keeps cross compilers away, asm/ is here
m32=(-m32 -idirafter /usr/include/x86_64-linux-gnu)
}

# depmod, mke2fs and others may be missing from the path of somebody who is not root
PATH=$PATH:/usr/sbin:/sbin

say() { printf '%s\n' "-- $*" >&2; }
die() { printf '%s\n' "${0##*/}: $*" >&2; exit 1; }

# make, the compiler and the virtual machine each take some characters for the end of a
# name.  Better no build than one of something else.
for path in "$top" "$cache"; do
	[[ $path != *[!A-Za-z0-9_./+@~-]* ]] ||
		die "cannot work in a path with other characters than A-Z a-z 0-9 _ . / + @ ~ -: $path"
done

# For what asks git which files are ours: without an answer, there would be none
of_git() { # in $top
	git ls-files --error-unmatch Makefile >/dev/null || die "$top is no checkout of git"
}

# A variable of tests/Makefile, as lines
in_makefile() { # NAME
	sed -e ':join' -e '/\\$/N; s/\\\n//; tjoin' "$top/tests/Makefile" |
		sed -n "s/^$1 := //p" | xargs -n 1
}

# What is before the names of binutils for a kernel, if they are not this machine's
cross() { # KERNEL-FOLDER
	[ ! -e "$1/arch" ] || echo aarch64-linux-gnu-
}

# For what runs programs of this machine on a kernel
amd64_only() { # KERNEL
	[[ $1 != */* ]] || die "$1: only make check knows kernels for other programs than this machine's"
}

# Where this machine's own packages of Debian come from
mirror() {
	# shellcheck disable=SC2016 # apt fills these in
	apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Created-By: Packages' |
		awk -F'|' '$1 == "Debian" { print $2; exit }'
}

# Runs a command as a process group of its own, and exits with its status.  Whatever
# ends this script - Ctrl-C, a signal to it or to make alone, SIGKILL - ends the group.
# Without this, nothing would: what runs in the background ignores Ctrl-C, and a shell
# does nothing about a signal while it waits for a command in the foreground.
guarded() { # COMMAND...
	local group status=0
	set -m
	# shellcheck disable=SC2034 # its other end is not read
	coproc keeper { keep; }
	"$@" </dev/null &
	set +m
	group=$!
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	trap let_go EXIT
	# shellcheck disable=SC2154 # coproc sets it
	keeper_pid=$keeper_PID life=${keeper[1]}
	echo "$group" >&"$life"
	wait "$group" || status=$?
	exit "$status"
}

let_go() {
	trap '' HUP INT TERM
	exec {life}>&-
	wait "$keeper_pid" 2>/dev/null || true
}

# The other half: in a process group of its own, it waits until nobody holds the other
# end of its standard input any more.
keep() {
	local group status under_make='' i
	trap '' HUP INT TERM
	set +e
	! make_waits || under_make=1
	read -r group || return
	while read -rt 1; status=$?; [ $status -gt 128 ]; do
		# make passes no SIGINT on: it takes for granted that all got one
		[ -z "$under_make" ] || make_waits || { kill -INT $$; break; }
	done
	kill -TERM -- "-$group" 2>/dev/null
	for ((i = 0; i < 100; i++)); do
		kill -0 -- "-$group" 2>/dev/null || return
		sleep 0.1
	done
	kill -KILL -- "-$group" 2>/dev/null
}

# Is this script's parent a make that was not told to stop yet?
make_waits() {
	local caught
	[ "$(cat "/proc/$PPID/comm" 2>/dev/null)" = make ] || return 1
	caught=$(sed -n 's/^SigCgt:\t//p' "/proc/$PPID/status")
	(((16#$caught >> 1) & 1))
}

# Waits until no other script in this checkout is in the middle of the same thing.  The
# scripts that this one starts may do it.
alone() { # NAME
	local file=$build/$1.lock lock
	mkdir -p "$build"
	[ -z "${VMADEMO_LOCK-}" ] || ! [ "/proc/self/fd/$VMADEMO_LOCK" -ef "$file" ] || return 0
	exec {lock}>>"$file"
	if ! flock -n "$lock"; then
		say "another $1 is running in this checkout (process $(<"$file")); waiting until it is done"
		flock "$lock"
	fi
	echo $$ >"$file"
	export VMADEMO_LOCK=$lock
}
