# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# What the machine of `make demo` has, and that of `make shell`; scripts source it after lib.sh.

# The module where modprobe finds it (boot wants -m for that), the demo, the command
demo_payload() { # KERNEL-FOLDER OUT
	local kernel=$1 out=$2 release file
	release=$(<"$kernel/release")
	say "building the module for $release"
	rm -rf "$out"
	mkdir -p "$out/bin"
	install -D -t "$out/lib/modules/$release/updates" "$("$top/scripts/kernel/build" "$kernel")"
	gcc -O2 -Wall -Wextra -Wno-sign-compare -Wno-unused-parameter -D_GNU_SOURCE -static -I"$top/module/include/uapi" \
		-o "$out/bin/demo" "$top/tools/demo.c" "$top/tools/demo_rules.c" "$top"/lib/*.c
	gcc -O2 -Wall -Wextra -Wno-sign-compare -Wno-unused-parameter -D_GNU_SOURCE -static -I"$top/module/include/uapi" \
		-o "$out/bin/kvstore" "$top/examples/kvstore.c"
	make -s -C "$top/tools/vmademo"
	cp "$build/tools/vmademo" "$top/scripts/vm/guest-demo" "$out/bin/"
	# Programs with the libraries that they say they need
	for file in /usr/bin/b3sum $(ldd /usr/bin/b3sum "$build/tools/vmademo" | grep -o '/lib[^ ]*'); do
		[ -e "$out$file" ] || install -D "$file" "$out$file"
	done
}
