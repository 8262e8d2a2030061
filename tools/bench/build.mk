# SPDX-License-Identifier: GPL-2.0-only
# tools/bench/: what `make bench` runs. The programs are static: lab host and guests run the same.
BENCH_PROGS := micro blkbench vmwatch first
BENCH_BINS := $(BENCH_PROGS:%=$(O)/bench/%)

$(O)/bench/%: tools/bench/%.c tools/bench/report.h
	@mkdir -p $(@D)
	@$(call say,LD,$@)
	$(Q)$(CC) -static $(LODGE_CFLAGS) $(CFLAGS) -o $@ $< $(BENCH_LIBS)

$(O)/bench/blkbench: BENCH_LIBS := -luring

$(O)/bench/vmwatch: tools/bench/counters.h tools/bench/counters.c
$(O)/bench/vmwatch: BENCH_LIBS := tools/bench/counters.c

# The guest's initramfs with the benchmarks in it, and with what QEMU's PCI devices need.
$(O)/bench/guest.cpio: $(O)/guest/initramfs.cpio $(BENCH_BINS) $(O)/tools/netbench \
		       tools/bench/guest tools/bench/guest-io tools/bench/mkguest \
		       $(O)/kernel-full/version
	@tools/bench/mkguest $(O)

# For the guest with devices that the cloud kernel cannot drive.
$(O)/kernel-full/version: tools/kernel
	@tools/kernel --full $(O)/kernel-full
	@touch $@

# What KVM needs in a lab that counts instructions.
ONCE_DIR := $(O)/lab-mod
ONCE_SRCS := tools/lab/kvm_once/kvm_once.c tools/lab/kvm_once/Kbuild
ONCE_LINKS := $(ONCE_SRCS:%=$(ONCE_DIR)/%)
ONCE_KO := $(O)/modules/kvm_once.ko

$(eval $(call kbuild_links,$(ONCE_DIR),$(ONCE_SRCS)))

$(ONCE_KO): $(ONCE_SRCS) $(O)/kernel/headers/path | $(ONCE_LINKS)
	$(call kbuild,$(STOCK_KDIR),$(ONCE_DIR),tools/lab/kvm_once)

bench-ready: all $(ONCE_KO) $(BENCH_BINS) $(O)/bench/guest.cpio $(O)/selftests/guest/smp

# All parts, in runs of the lab of their own; one that fails does not keep the others back.
bench:
	@tools/deps
	@$(MAKE) --no-print-directory bench-ready modules
	@s=0; O=$(O) tools/bench/bench $(BENCH_ARGS) || s=$$?; \
	O=$(O) tools/bench/lite $(BENCH_LITE_ARGS) || s=$$?; \
	O=$(O) tools/bench/io $(BENCH_IO_ARGS) || s=$$?; exit $$s

# The second part alone: lite mode without devices.
bench-lite:
	@tools/deps
	@$(MAKE) --no-print-directory bench-ready modules
	@O=$(O) tools/bench/lite $(BENCH_LITE_ARGS)

# The third: network and block throughput in both modes.
bench-io:
	@tools/deps
	@$(MAKE) --no-print-directory bench-ready modules
	@O=$(O) tools/bench/io $(BENCH_IO_ARGS)

.PHONY: bench-ready bench-lite bench-io
