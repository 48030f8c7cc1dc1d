# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# What a kernel's log may not have; scripts/vm/boot sources it.  scripts/selftest holds
# it against lines that must be found, and lines that must not.
#
# Not here, because tests do it on purpose: processes out of memory and killed for it
# (and the stacks that the kernel shows then), failing disks and their file systems,
# failures that were injected, memory errors, programs that crash.

splats=(
	# The kernel gives up, or nearly
	'\<BUG\>' '\[ cut here \]' 'WARNING:' '\<Oops\>' 'general protection' '[Kk]ernel panic'
	'[Uu]nable to handle' 'double fault' 'stack guard page' '\[#[0-9]+\]' 'Modules linked in:'
	'Dumping ftrace'
	# Something else is left to itself from here on: the checker has switched itself off
	'Disabling lock debugging' 'turning off the locking correctness' 'MAX_LOCK.* too low'
	'leak detector disabled'
	# Locks, tasks, RCU: "INFO: task ... blocked", "INFO: rcu_tasks detected stalls",
	# "INFO: trying to register non-static key"
	'INFO: ' 'lockdep annotation' '(soft|hard) (lockup|LOCKUP)' 'workqueue lockup'
	'detected stalls?' 'self-detected stall' 'kthread starved' 'jiffies old' 'blocked for more than'
	'sleeping function' 'scheduling while atomic'
	# Memory: of slabs, pages, page tables
	'KASAN' 'KFENCE' 'KCSAN' 'KMSAN' 'UBSAN' 'ODEBUG' 'DMA-API:' 'refcount_t'
	'(Poison|Redzone|Padding) overwritten' 'FIX [^ ]+: ' 'Objects remaining' 'still has objects'
	'list_(add|del) corruption' 'usercopy: Kernel memory' 'Unsafe access'
	'Bad (page|rss-counter)' 'bad p[gum4]d' 'page dumped because' 'page allocation failure'
	# What belongs to somebody: memory types, regions, names, inodes, interrupts
	'freeing invalid memtype' 'conflicting memory types' 'Trying to free'
	'cannot create duplicate' "don't try to register"
	'kobject.*(tried to|initialized twice|not initialized)' 'already (present|registered)!?'
	'Busy inodes' 'Close: file count is 0' 'nobody cared'
)
# Found by the above, but right: an emulated machine that is merely slow; a program that is
# being killed for the memory it has, and gets no more
not_splats=('INFO: NMI handler .* took too long'
	'\<out_of_memory: page allocation failure: order:0,')

# Prints the lines and what follows them, at most 60; fails if there are none.
splat() { # LOG
	local found
	found=$(grep -nE -A 20 "$(IFS='|'; echo "${splats[*]}")" \
		<(grep -vE "$(IFS='|'; echo "${not_splats[*]}")" "$1")) || return 1
	head -n 60 <<<"$found"
}
