# SPDX-License-Identifier: GPL-2.0-only
# tools/bench/: what `make bench` runs. The programs are static: lab host and guests run the same.
BENCH_PROGS := micro blkbench netbench vmwatch first
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
		      tools/bench/guest tools/bench/mkguest
	@tools/bench/mkguest $(O)

bench-ready: all $(BENCH_BINS) $(O)/bench/guest.cpio

bench:
	@tools/deps
	@$(MAKE) --no-print-directory bench-ready modules
	@s=0; O=$(O) tools/bench/bench $(BENCH_ARGS) || s=$$?; \
	O=$(O) tools/bench/lite $(BENCH_LITE_ARGS) || s=$$?; exit $$s

# The second half alone.
bench-lite:
	@tools/deps
	@$(MAKE) --no-print-directory bench-ready modules
	@O=$(O) tools/bench/lite $(BENCH_LITE_ARGS)

.PHONY: bench-ready bench-lite
