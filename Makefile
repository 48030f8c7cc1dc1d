# SPDX-License-Identifier: GPL-2.0-only
# The targets a person types.  What they do is in scripts/; the module's own build
# is in Kbuild and module/Kbuild.

# Its targets work on the folder it is run in, and clean removes things there
ifneq ($(realpath $(lastword $(MAKEFILE_LIST))),$(realpath Makefile))
$(error this is for the folder that it is in: make -C $(dir $(lastword $(MAKEFILE_LIST))))
endif
# kbuild and the compiler take each of these for the end of a name
ifneq ($(shell pwd | tr -cd ' \t,:;\#%$$&'),)
$(error the path of this folder has a blank or one of , : ; \# % $$ &, with which nothing can be built: $(CURDIR))
endif

KVER ?= $(shell uname -r)
KDIR ?= /lib/modules/$(KVER)/build
VERSION := $(shell sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)
DKMS_SRC := /usr/src/vmademo-$(VERSION)

all:
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules

examples: example-programs
	$(MAKE) -C $(KDIR) M=$(CURDIR)/examples/modules modules

example-programs: $(patsubst examples/%.c,build/examples/%,$(wildcard examples/*.c))

build/examples/%: examples/%.c $(wildcard examples/*.h)
	@mkdir -p $(@D)
	$(CC) -O2 -g -Wall -Wextra -Wno-unused-parameter -o $@ $<

# The kernel's own rule puts a module into one of these, whichever kernel it is
MODULES = $(DESTDIR)/lib/modules/$(KVER)

install: all tools-install
	$(MAKE) -C $(KDIR) M=$(CURDIR) INSTALL_MOD_PATH=$(DESTDIR) modules_install
	depmod -b "$(DESTDIR)/" $(KVER)

uninstall: tools-uninstall
	find $(wildcard $(MODULES)/updates $(MODULES)/extra) -name 'vmademo.ko*' -exec rm -f {} +
	depmod -b "$(DESTDIR)/" $(KVER)

demo:
	@scripts/deps demo
	@exec scripts/demo

# What kernels with such names need
deps = scripts/deps $(if $(findstring /arm64,$(1)),arm64,check) $(call debug_deps,$(1))
debug_deps = $(if $(findstring -debug,$(1)),&& scripts/deps debug)

check:
	@$(call deps,$(KERNELS))
	@export KERNELS="$(KERNELS)" SEED="$(SEED)" STEPS="$(STEPS)" CALLS="$(CALLS)" PARAMETERS="$(PARAMETERS)"; \
		exec scripts/check $(TEST)

# The kernels of make check and all others that need not be built
ALL_KERNELS = 6.1 6.1/32 6.12 newest 6.12/arm64 6.12/arm64-16k

check-all:
	@$(call deps,$(ALL_KERNELS))
	@export ALL=1 KERNELS="$(ALL_KERNELS)" SEED="$(SEED)" STEPS="$(STEPS)" CALLS="$(CALLS)" PARAMETERS="$(PARAMETERS)"; \
		exec scripts/check $(TEST)

# One that is left in the environment is hardly meant for this
DEBUG_KERNELS = $(if $(filter command,$(origin KERNELS)),$(KERNELS))

check-debug:
	@scripts/deps debug
	@export KERNELS="$(or $(DEBUG_KERNELS),6.12-debug)" SEED="$(SEED)" STEPS="$(STEPS)" CALLS="$(CALLS)" PARAMETERS="$(PARAMETERS)"; \
		exec scripts/check $(TEST)

fuzz:
	@$(call deps,$(KERNELS))
	@export KERNELS="$(KERNELS)" SEED="$(SEED)" CALLS="$(CALLS)" PARAMETERS="$(PARAMETERS)"; exec scripts/fuzz

bench:
	@scripts/deps bench
	@export KERNELS="$(KERNELS)"; exec scripts/bench

coverage:
	@scripts/deps debug
	@exec scripts/coverage $(TEST)

kernels:
	@scripts/deps check
	@scripts/kernel/get list

tools:
	@scripts/deps tools
	@$(MAKE) -s -C tools/vmademo

PREFIX ?= /usr/local
MAN = $(DESTDIR)$(PREFIX)/share/man
COMPLETION = $(DESTDIR)$(PREFIX)/share/bash-completion/completions

UDEV = $(DESTDIR)$(PREFIX)/lib/udev/rules.d
INCLUDE = $(DESTDIR)$(PREFIX)/include/linux

tools-install: tools tools-files

# What is built already; also for debian/rules
tools-files:
	install -D -t $(DESTDIR)$(PREFIX)/bin build/tools/vmademo
	install -D -m 644 -t $(MAN)/man1 man/vmademo.1
	install -D -m 644 -t $(MAN)/man4 man/vmademo.4
	install -D -m 644 -t $(COMPLETION) tools/completion/vmademo
	install -D -m 644 -t $(UDEV) tools/60-vmademo.rules
	install -D -m 644 -t $(INCLUDE) module/include/uapi/linux/vmademo.h

tools-uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/vmademo $(MAN)/man1/vmademo.1 $(MAN)/man4/vmademo.4 $(COMPLETION)/vmademo \
		$(UDEV)/60-vmademo.rules $(INCLUDE)/vmademo.h

# As it was typed, with any $ and quotes
quoted = '$(subst ','\'',$(value $(1)))'

vm:
	@scripts/deps vm $(call debug_deps,$(KERNEL))
	@exec scripts/vm/debian -k "$(or $(KERNEL),6.1)" -d $(call quoted,DIR) -p $(call quoted,PACKAGES) \
		$(if $(value RUN),$(call quoted,RUN))

check-peers:
	@scripts/deps peers $(call debug_deps,$(KERNELS))
	@export KERNELS="$(KERNELS)" CUTS="$(CUTS)"; exec scripts/check-peers $(TEST)

shell:
	@scripts/deps shell $(call debug_deps,$(KERNEL))
	@exec scripts/shell "$(or $(KERNEL),6.1)"

deb:
	@scripts/deps deb
	@exec scripts/deb

deb-test: deb
	@scripts/deps check
	@exec scripts/deb-test

dist:
	@scripts/deps dist
	@exec scripts/dist

lint:
	@scripts/deps lint
	@exec scripts/lint

# What dkms builds, where it looks for it; also for debian/rules
dkms-source:
	mkdir -p $(DESTDIR)$(DKMS_SRC)/module
	cp Kbuild dkms.conf LICENSE $(DESTDIR)$(DKMS_SRC)/
	cp -R module/Kbuild module/*.[ch] module/*/ $(DESTDIR)$(DKMS_SRC)/module/

# Into dkms's hands: it builds the module again for every kernel to come.
dkms-install:
	@[ -z "$$(dkms status -m vmademo -v $(VERSION))" ] || \
		dkms remove -m vmademo -v $(VERSION) --all
	$(MAKE) -s dkms-source
	dkms add -m vmademo -v $(VERSION)
	dkms build -m vmademo -v $(VERSION) -k $(KVER) && \
		dkms install -m vmademo -v $(VERSION) -k $(KVER) || \
		{ dkms remove -m vmademo -v $(VERSION) --all; rm -rf $(DKMS_SRC); exit 1; }

dkms-uninstall:
	dkms remove -m vmademo -v $(VERSION) --all
	rm -rf $(DKMS_SRC)

clean:
	rm -rf build
	rm -f $(patsubst %.c,%,$(wildcard tests/*.c))
	rm -rf tests/lib
	find . -path ./.git -prune -o \( -name '*.o' -o -name '*.ko' -o \
		-name '*.mod' -o -name '*.mod.c' -o -name '.*.cmd' -o \
		-name modules.order -o -name Module.symvers \) -exec rm -f {} +

help:
	@echo 'In a virtual machine:'
	@echo 'make demo            show the device at work'
	@echo 'make check           run the tests'
	@echo 'make check TEST=io   one of them'
	@echo 'make check KERNELS="6.1 6.12"   on these kernels'
	@echo 'make check TEST=model SEED=7 STEPS=1000   random operations, replayed'
	@echo 'make check KERNELS="6.12/arm64 6.12/arm64-16k"   on arm64, with pages of 4 and of 16 KiB'
	@echo 'make check-all       every test on every kernel that is ready to be had: those of make check, and arm64'
	@echo 'make check-debug     on a kernel with everything on that finds faults'
	@echo 'make check-peers     programs that nobody here wrote, by TEST=, with CUTS=40 power cuts each'
	@echo 'make fuzz CALLS=100000 SEED=7   random calls on everything there is'
	@echo 'make bench           what mappings cost, in instructions, beside tmpfs and others'
	@echo 'make coverage        which lines of the module the tests run'
	@echo 'make kernels         the kernels that can be had'
	@echo 'make shell           a shell, with the module loaded (KERNEL=7.3)'
	@echo 'make vm              the same on Debian, with PACKAGES="sqlite3 git" and a copy of DIR=folder as /work'
	@echo "make vm RUN='cd /work && make test'   runs that, and ends with its status"
	@echo
	@echo 'On this machine:'
	@echo 'make lint            compiler warnings, sparse, checkpatch and others'
	@echo 'make                 build the module for the running kernel (KVER=...)'
	@echo 'make tools           build the command vmademo, as build/tools/vmademo'
	@echo 'make examples        build what is in examples: programs, and modules for that kernel'
	@echo 'make example-programs   the programs alone, in build/examples'
	@echo
	@echo 'To have it here:'
	@echo 'make install         put the module where modprobe finds it, and do make tools-install'
	@echo 'make uninstall       take both away'
	@echo 'make tools-install   put the command, manual pages, completion, udev rule and header under PREFIX=/usr/local'
	@echo 'make tools-uninstall take them away'
	@echo 'make dkms-install    give the module to dkms, which builds it for each new kernel'
	@echo 'make dkms-uninstall  take it away from dkms'
	@echo
	@echo 'To give it away:'
	@echo 'make deb             build the Debian packages, in build/deb'
	@echo 'make deb-test        and install, use and remove them in chroots and a virtual machine'
	@echo 'make dist            archive the sources, as build/vmademo-VERSION.tar.xz'
	@echo 'make clean           remove what was built'

.PHONY: all examples example-programs install uninstall demo check check-all check-debug check-peers fuzz bench coverage kernels tools tools-install tools-files tools-uninstall shell vm deb deb-test dist lint dkms-source dkms-install dkms-uninstall clean help
