#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# What README.md, docs/ and man/vmademo.1 tell people to type in a machine that has the module: it
# must do what is said there.  docs/tracing.md has a test of its own (tracers.sh), docs/answers.md
# too; targets of make are looked up by scripts/docs-check.
# Functions that `run` calls, and a list:
# shellcheck disable=SC2048,SC2317,SC2013
. "${0%/*}/command_lib.sh"
docs=${VMADEMO_DOCS-/docs}
[ -e "$docs/README.md" ] || { echo '1..0 # SKIP the documents are not there'; exit 4; }

# What the documents call so: a program that keeps something in a file, and what checks that
mkdir -p bin /mnt
PATH=$PWD/bin:$PATH
cat >bin/program <<END
#!/bin/sh
[ -s "\$1" ] || truncate -s 72K "\$1"
exec $kvstore work "\$1"
END
cat >bin/check <<END
#!/bin/sh
[ \$# -gt 1 ] || exec $kvstore list "\$1"
exec $kvstore check "\$@"
END
printf '#!/bin/sh\nexec %s "$@"\n' "$kvstore" >bin/kvstore
chmod +x bin/*

# Lines that are indented and begin with this command, as "FILE: LINE", without what is said of them
lines() { # COMMAND
	(cd "$docs" && grep -HE "^(	|    )(# )?$1 " README.md docs/*.md) |
		sed -E 's/^([^:]*):(	|    )(# )?/\1: /; s/[	 ]+# .*//'
}

# The status that each must have.  A cut is enough where they would make hundreds
expected() { # LINE
	case $1 in
	*status=ENOSPC*) echo 135 ;;	# the program is killed by SIGBUS
	*' COPY') echo 1 ;;		# an msync that is left out
	*) echo 0 ;;
	esac
}
try() { # FILE LINE
	want=$(expected "$2")
	few='explore --cuts 3'
	[ "$want" = 0 ] || few='explore --first'
	# shellcheck disable=SC2086 # FEW is several words
	sh -c "$(echo "$2" | sed "s/explore /$few /")" >out 2>err
	is "$1: $2: $(tail -n 3 err)" "$want" "$?"
}
commands() {
	lines vmademo >all
	is 'more than five commands' y "$([ "$(wc -l <all)" -gt 5 ] && echo y)" || return
	while read -r file line; do
		case $line in
		# It wants a terminal: command_top.sh
		'vmademo top'*) continue ;;
		# It says what people have there
		*'&& vmademo info'*) continue ;;
		esac
		try "${file%:}" "$line" || return
	done <all
}
mounts() {
	lines mount >all
	is 'two mounts' y "$([ "$(wc -l <all)" -ge 2 ] && echo y)" || return
	while read -r file line; do
		try "${file%:}" "$line" && echo x >/mnt/a && is "$line" x "$(cat /mnt/a)" && umount /mnt || return
	done <all
}

# A block of lines after "# ": commands, and what they print
a_first_rule() {
	awk '/^## A first rule/ { here = 1 } here && /^\t/ { print substr($0, 2); next } here && /^[A-Z]/ { exit }' \
		"$docs/docs/rules.md" >block
	is 'five lines' 5 "$(wc -l <block)" || return
	sed -n 's/^# //p' block >block.sh
	sh -e block.sh >out 2>err
	is "the block: $(cat err)" 0 $? && is 'what it prints' "$(grep -v '^# ' block)" "$(cat out)"
}

# They are shown in an order of their own
sorted() { # WORDS
	echo "$1" | tr , '\n' | sort | tr '\n' ' '
}
rule_in_words() { # WORDS FILE
	why="rule $1 is refused"
	echo "add,$1" >"$2" && is "$1" "$(sorted "$1")" "$(sorted "$(sed -n '$s/^id=[0-9]*,\(.*\),hits=0$/\1/p' "$2")")" &&
		echo removeall >"$2"
}
# Rules in words, each of a line of its own
rules_in_words() {
	sed -nE 's/^	(op=[^	 ]*).*/\1/p' "$docs"/docs/*.md >words
	is 'some rules' y "$([ -s words ] && echo y)" || return
	mount -t vmademo -o store=ram none /mnt || return
	rules=/sys/kernel/debug/vmademo/tree-$(awk '$5 == "/mnt" { sub(/.*:/, "", $3); print $3 }' /proc/self/mountinfo)/rules
	result=0
	for words in $(cat words); do
		rule_in_words "$words" "$rules" || { result=1; break; }
	done
	umount /mnt
	return "$result"
}

# The examples of vmademo(1) that need nothing else
example() { # N: the one in the manual page
	sed -n '/^\.SH EXAMPLES/,/^\.SH DESC/p' "$docs/man/vmademo.1" | awk -v n="$1" '
		/^\.fi/ { inside = 0 } inside && i == n { print } /^\.nf/ { inside = 1; i++ }' |
		sed 's/\\-/-/g; s/\\e$/\\/'
}
example_of_explore() {
	example 3 >example.sh
	why="no such example: $(cat example.sh)"
	grep -q '^vmademo explore' example.sh || return
	sed 's/explore /explore --all /' example.sh | sh >out 2>err
	is "$(cat example.sh err)" 0 $? || return
	# And what is said of it
	sed 's/explore /explore --first /; s/ sync @;//' example.sh | sh >out 2>err
	is 'without the sync' 1 $? && why="$(cat out)" && grep -q 'replay' out
}
example_of_create() {
	example 4 >example.sh
	why="no such example: $(cat example.sh)"
	grep -q '^vmademo create' example.sh || return
	# The first line begins a shell, which reads the others
	head -n 1 example.sh >first.sh
	sed 1d example.sh | SHELL=/bin/sh sh first.sh >out 2>err
	why="five pages are lost: $(cat out err)"
	grep -qE '^lost +5 ' out
}
example_of_rules() {
	example 5 >example.sh
	why="no such example: $(cat example.sh)"
	grep -q '^vmademo rule add' example.sh || return
	sh example.sh >out 2>err
	why="a flush that fails: $(cat out err)"
	grep -q '(EIO)' err && grep -q 'flush' out && is 'rules that are left' '' "$(cat /sys/kernel/debug/vmademo/vmademo/rules)"
}

run ${*:-commands mounts a_first_rule rules_in_words example_of_explore example_of_create example_of_rules}
