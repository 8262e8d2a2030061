# SPDX-License-Identifier: GPL-2.0-only
#
# The verbs. Each room adds its own rules in ROOM/build.mk; objects and everything else that is made
# go to build/. `make run` and `make check` first install what is missing (tools/deps).

O ?= build
CC ?= gcc
HOSTCC_WARN := -Wall -Wextra -Wno-unused-parameter -Wstrict-prototypes -Wmissing-prototypes \
	       -Wpointer-arith -Wvla -Wundef -Wshadow=local
CFLAGS ?= -O2 -g
LODGE_CFLAGS := -std=gnu11 -D_GNU_SOURCE $(HOSTCC_WARN) -fstack-protector-strong \
		-fno-strict-aliasing -pthread
VERSION := 0.1

# One short line a step; `make V=1` shows the commands.
Q := $(if $(V),,@)
say = $(if $(V),:,printf '  %-3s %s\n' $(1) $(2))

.DEFAULT_GOAL := all
.PHONY: all help run check modules lab bench lint docs install clean fuzz deps
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

help:
	@echo "all       lodge, the guest's initramfs, the lab (make's default)"
	@echo "run       boot a guest and show that its devices work   [MODE=auto|kvm|lite]"
	@echo "check     all tests"
	@echo "check-userland  a Debian system in lite mode: downloads, root, an hour"
	@echo "lab       a shell in the emulated PC                    [LAB_ARGS=--svm]"
	@echo "bench     measure guest against host and QEMU"
	@echo "lint      style, static analysis, include directions"
	@echo "fuzz      long fuzzing                                  [FUZZ_SECONDS=600]"
	@echo "docs      manual pages and HTML in build/"
	@echo "install   program and manual pages                      [PREFIX=/usr/local DESTDIR=]"
	@echo "modules_install  lodge.ko to its kernel's modules       [KDIR= DESTDIR=]"
	@echo "deps      install what is missing from Debian's packages"
	@echo "clean     remove build/"

all:

# Kernel modules. kbuild puts objects beside sources, so it gets links to those, in a folder of the
# build: $(eval $(call kbuild_links,FOLDER,SOURCES)); and in a recipe, for the room that has the
# Kbuild file: $(call kbuild,KERNEL'S BUILD FOLDER,FOLDER,ROOM,MORE ARGUMENTS).
define kbuild_links
$(2:%=$(1)/%): $(1)/%: | %
	@mkdir -p $$(@D)
	@ln -sf $$(abspath $$*) $$@
endef

define kbuild
@$(call say,KO,$@)
@mkdir -p $(@D)
$(Q)log=$(2)/log; find $(2) -xtype l -delete; \
	MAKEFLAGS= $(MAKE) -j2 -C "$(1)" M="$(abspath $(2))/$(3)" W=1 $(4) modules >$$log 2>&1 || \
		{ cat $$log; exit 1; }; \
	grep -A8 'warning:\|WARNING:' $$log || :
@cp $(2)/$(3)/$(@F) $@
endef

# Where the stock kernel's is.
STOCK_KDIR = $$(cat $(O)/kernel/headers/path)

include lib/build.mk virtio/build.mk host/build.mk guest/build.mk tools/build.mk selftests/build.mk
include lite/build.mk Documentation/build.mk

clean:
	rm -rf $(O)
