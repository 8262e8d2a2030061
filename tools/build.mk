# SPDX-License-Identifier: GPL-2.0-only
# tools/: what is missing on this machine, the stock kernel, and the lab.

deps:
	@tools/deps

$(O)/kernel/version: tools/kernel
	@tools/kernel $(O)/kernel
	@touch $@

# What out-of-tree modules are built against; the path of the tree is in the file.
$(O)/kernel/headers/path: $(O)/kernel/version
	@tools/kernel --headers $(O)/kernel
	@touch $@

$(O)/lab/agent: tools/lab/agent.c
	@mkdir -p $(@D)
	@$(call say,LD,$@)
	$(Q)$(CC) -static -s $(LODGE_CFLAGS) $(CFLAGS) -o $@ $<

# The lab's script builds the rest of its images by itself, when they are out of date.
.PHONY: lab-ready
lab-ready: $(O)/guest/initramfs.cpio $(O)/lab/agent

# A shell in the lab; what its last command returned is no failure of make's.
lab: all lab-ready
	@tools/lab/lab $(LAB_ARGS) || [ $$? -ne 125 ]

all: lab-ready

include tools/bench/build.mk tools/lint.d/build.mk tools/netbench/build.mk

$(O)/tools/%: tools/%.c
	@mkdir -p $(@D)
	@$(call say,LD,$@)
	$(Q)$(CC) -static -s $(LODGE_CFLAGS) $(CFLAGS) -o $@ $<

all: $(O)/tools/demo-echo

# The main job. A fresh machine needs the packages before anything can be built.
MODE ?= auto
run:
	@tools/deps
	@$(MAKE) --no-print-directory all
	@tools/run $(O) $(MODE)
