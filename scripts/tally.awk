# SPDX-License-Identifier: GPL-2.0-only
# Reads the KTAP of scripts/check: kernels, in them programs (indented by two), in
# them tests (by four).  Numbers kernels and programs, prints a table of what ran
# where, with what failed below it and the last that each of those said, and writes
# "N passed, N failed, N skipped" to the file `summary`.
#
# A program that failed without saying which test did, or that ran fewer tests
# than its plan, counts as one failure more; so does a kernel.

function cell(text) { table[program, kernel] = text }
function wrong(what) { wrongs[++all_wrong] = what }
# Of the test that comes next, the last lines
function said_of_it(  i) {
	for (i = said > 16 ? said - 15 : 1; i <= said; i++)
		wrong(says[i])
}

/^1\.\.[0-9]+$/ { split($1, plan, /\.\./); kernels_due = plan[2] + 0 }
/^# kernel / {
	kernel = $3
	kernels[++columns] = kernel
	programs_due = number = kernel_failed = 0
}
/^  1\.\.[0-9]+/ { split($1, plan, /\.\./); programs_due = plan[2] + 0 }
/^  # / {
	program = $2
	if (!(program in row)) {
		row[program] = ++rows
		names[rows] = program
	}
	due = ok = bad = skip = said = 0
	cell("died")
}
/^    #/ && !/^    # +RUN / { says[++said] = $0 }
/^    1\.\.[0-9]+/ { split($1, plan, /\.\./); due = plan[2] + 0 }
/^    ok / {
	due--
	said = 0
	if (/# SKIP/) { skip++; skipped++ } else { ok++; passed++ }
}
/^    not ok / {
	due--; bad++; failed++
	wrong(kernel ": " program ": " substr($0, 5))
	said_of_it()
	said = 0
}
/^  (not )?ok / {
	programs_due--
	if (due > 0 && !bad) {
		if (!/^  not /) sub(/^  /, "  not ")
		$0 = $0 " (" due " of its tests did not run)"
		bad++; failed++
		wrong(kernel ": " substr($0, 3))
	} else if (/^  not / && !bad) {
		bad++; failed++
		wrong(kernel ": " substr($0, 3))
	}
	if (/# SKIP/ && !skip) { skip++; skipped++ }
	# What has no tests in it is one itself
	if (!ok && !bad && !skip) { ok++; passed++ }
	cell(bad ? "FAIL " bad : ok ? ok (skip ? "+" skip "s" : "") : "skip")
	kernel_failed += bad
	sub(/ok /, "ok " ++number " ")
}
/^(not )?ok / {
	kernels_due--
	if (programs_due > 0) {
		print "# " programs_due " of the programs did not run on " kernel
		wrong(kernel ": " programs_due " programs did not run")
		failed += programs_due
		kernel_failed += programs_due
	}
	if (/^not /)
		wrong($0)
	if (/^not / && !kernel_failed)
		failed++	# a warning in its log, say
	if (kernel_failed && !/^not /)
		$0 = "not " $0
	sub(/ok /, "ok " columns " ")
}
{ print; fflush() }

END {
	if (kernels_due > 0) {
		print "# " kernels_due " of the kernels did not run to the end"
		wrong(kernels_due " kernels did not run to the end")
		failed += kernels_due
	}
	print ""
	printf "%-14s", "passed"
	for (c = 1; c <= columns; c++) {
		width[c] = length(kernels[c]) > 8 ? length(kernels[c]) : 8
		printf " %*s", width[c], kernels[c]
	}
	print ""
	for (r = 1; r <= rows; r++) {
		printf "%-14s", names[r]
		for (c = 1; c <= columns; c++)
			printf " %*s", width[c], ((names[r], kernels[c]) in table) ? \
				table[names[r], kernels[c]] : "-"
		print ""
	}
	if (all_wrong)
		print "failed"
	for (w = 1; w <= all_wrong; w++)
		print "  " wrongs[w]
	printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped > summary
}
