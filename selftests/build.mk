# SPDX-License-Identifier: GPL-2.0-only
# selftests/: native programs under ASan and UBSan, lab scripts, fuzzers. `make check` ends in
# "N passed, N failed, N skipped"; logs are in build/check.

# --- native programs: selftests/native/NAME.c becomes build/selftests/NAME ---------------------
# LINKS_NAME are the files of virtio/ that it links, all of them if not given; lib/ always comes in.
LINKS_vq := vq
LINKS_vq_stress := vq
LINKS_vdev := vq vdev
LINKS_mmio := vq vdev mmio
LINKS_pvbus := vq vdev mmio pvbus
BLK_FILES := vq vdev mmio blk blk_req blk_xfer blk_uring blk_sync blk_image
LINKS_blk := $(BLK_FILES)
LINKS_blk_image := $(BLK_FILES)
LINKS_blk_fault := $(BLK_FILES)
LINKS_blk_stress := $(BLK_FILES)
LINKS_console := vq vdev mmio console
LINKS_rng := vq vdev mmio rng
NET_FILES := vq vdev mmio net net_pair net_thread net_rx net_tx net_ctrl net_iov net_lib net_pcap \
	     net_pcap_ring net_pcap_set net_csum net_frag net_tap net_user net_iface net_replay
LINKS_net := $(NET_FILES)
LINKS_net_ctrl := $(NET_FILES)
LINKS_net_mq := $(NET_FILES)
LINKS_net_pcap := $(NET_FILES)
LINKS_net_pcap_writer := $(NET_FILES)
$(O)/selftests/net_pcap $(O)/selftests/net_pcap_writer: VIRTIO_LIBS += -lpcap
LINKS_net_tap := $(NET_FILES)
LINKS_net_user := $(NET_FILES)
LINKS_net_replay := $(NET_FILES)
LINKS_net_iface := $(NET_FILES)
# Tests of lib/ link nothing of virtio/; those of host/ name its files in HOST_LINKS_NAME.
LINKS_opt := -
LINKS_loop := -
LINKS_chardev := -
LINKS_serial := -
LINKS_term := -
LINKS_panic_watch := -
LINKS_pvconsole := -
LINKS_monitor := -
HOST_LINKS_serial := serial
HOST_LINKS_term := term
HOST_LINKS_pvconsole := pvconsole
HOST_LINKS_panic_watch := panic_watch
HOST_LINKS_monitor := monitor
LINKS_boot_pv := -
HOST_LINKS_boot_pv := boot_file boot_xenpv elf_pv payload
$(O)/selftests/boot_pv: VIRTIO_LIBS += -lz -llzma -lzstd -llz4
LINKS_sandbox := -
# tools/netbench, its files in NETBENCH_LINKS_NAME; and the program itself with sanitizers.
LINKS_netbench_unit := -
LINKS_netbench_peer := -
LINKS_netbench_relay := -
NETBENCH_LINKS_netbench_unit := hist pattern sock udp
NETBENCH_ASAN := $(O)/asan/netbench
$(NETBENCH_ASAN): $(NETBENCH_SRCS:%.c=$(O)/asan/%.o) $(O)/asan/lib/err.o
	@$(call say,LD,$@)
	$(Q)$(CC) $(SAN_CFLAGS) -pthread -o $@ $^ -ljansson

# Tests of lite/core name its files in LITE_LINKS_NAME.
LITE_HC := $(patsubst %,core/%,hypercall hc_mmu hc_memory hc_desc ldt hc_cpu hc_sys hc_event \
	   hc_vcpu hc_vcpu_init event time sched init)
LITE_LINKS_lite_hypercall := $(LITE_HC)
LITE_LINKS_lite_system := $(LITE_HC)
LITE_LINKS_lite_vcpu := $(LITE_HC)
LITE_LINKS_lite_event := $(LITE_HC)
LITE_MMU := $(patsubst %,core/%,mmu_page mmu_walk mmu_fault mmu_queue mmu_update mmu_sync mmu_base \
	    mmu_shoot mmu_audit) user/env_user
LITE_LINKS_lite_mmu := $(LITE_MMU)
LITE_LINKS_lite_mmu_fill := $(LITE_MMU)
LITE_LINKS_lite_mmu_random := $(LITE_MMU)
LITE_LINKS_lite_mmu_smp := $(LITE_MMU)
LITE_LINKS_lite_ring3 := $(LITE_MMU)
LITE_LINKS_lite_base := $(LITE_MMU)
LITE_TRAP := $(patsubst %,core/%,trap iret emul msr cpuid ldt)
LINKS_lite_trap := -
LITE_LINKS_lite_trap := $(LITE_TRAP)
LINKS_lite_emul := -
LITE_LINKS_lite_emul := $(LITE_TRAP)
LINKS_lite_ldt := -
LITE_LINKS_lite_ldt := $(LITE_TRAP)
HOST_LINKS_sandbox := sandbox
$(O)/selftests/sandbox: VIRTIO_LIBS += -lseccomp

SAN_CFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -g
TEST_CPPFLAGS := -Iselftests -Ivirtio -Ilib -I.
NATIVE_SRCS := $(wildcard selftests/native/*.c)
NATIVE_PROGS := $(NATIVE_SRCS:selftests/native/%.c=$(O)/selftests/%)
NATIVE_SCRIPTS := $(wildcard selftests/native/*.sh)
# Each in both modes, but for what chooses its machine itself.
LAB_ONCE := $(wildcard selftests/lab/no_vt.sh selftests/lab/lite_*.sh)
LAB_BOTH := $(filter-out $(LAB_ONCE),$(wildcard selftests/lab/*.sh))
# With the guest's kernel in ring 3: besides lite_hostile_ring3.sh one, or with LODGE_TEST_FULL all.
LAB_RING3 := $(if $(LODGE_TEST_FULL),$(LAB_BOTH) selftests/lab/lite_smp.sh,selftests/lab/boot.sh)
LAB_TESTS := $(LAB_BOTH:%="% kvm") $(LAB_ONCE) $(LAB_BOTH:%="% lite") $(LAB_RING3:%="% ring3")
VDRV_OBJS := $(patsubst %.c,$(O)/asan/%.o,$(wildcard selftests/vdrv*.c))
VIRTIO_NAMES := $(VIRTIO_SRCS:virtio/%.c=%)
virtio_links = $(filter-out -,$(or $(LINKS_$(1)),$(if $(LITE_LINKS_$(1)),-,$(VIRTIO_NAMES))))
virtio_objs = $(patsubst %,$(O)/asan/virtio/%.o,$(call virtio_links,$(1)))
host_objs = $(patsubst %,$(O)/asan/host/%.o,$(HOST_LINKS_$(1)))
lite_objs = $(patsubst %,$(O)/asan/lite/%.o,$(LITE_LINKS_$(1)))
netbench_objs = $(patsubst %,$(O)/asan/tools/netbench/%.o,$(NETBENCH_LINKS_$(1)))

LITE_CPPFLAGS := -Ilite/core -D__XEN_INTERFACE_VERSION__=0x00040e00
$(O)/asan/lite/%.o $(O)/asan/selftests/native/lite_%.o: TEST_CPPFLAGS += $(LITE_CPPFLAGS)

$(O)/asan/%.o: %.c
	@mkdir -p $(@D)
	@$(call say,CC,$@)
	$(Q)$(CC) $(LODGE_CFLAGS) $(SAN_CFLAGS) $(TEST_CPPFLAGS) -MMD -MP -c -o $@ $<

$(O)/asan/selftests/libvdrv.a: $(VDRV_OBJS)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

.SECONDEXPANSION:
$(NATIVE_PROGS): $(O)/selftests/%: $(O)/asan/selftests/native/%.o $(O)/asan/selftests/libvdrv.a \
		 $$(call virtio_objs,$$*) $$(call host_objs,$$*) $$(call lite_objs,$$*) \
		 $$(call netbench_objs,$$*) \
		 $(LIB_SRCS:%.c=$(O)/asan/%.o)
	@mkdir -p $(@D)
	@$(call say,LD,$@)
	$(Q)$(CC) $(SAN_CFLAGS) -pthread -o $@ $(filter %.o,$^) $(filter %.a,$^) $(VIRTIO_LIBS)

-include $(wildcard $(O)/asan/*/*.d $(O)/asan/*/*/*.d)

# --- fuzzers: selftests/fuzz/NAME.c becomes build/fuzz/NAME, its corpus is in corpus/NAME there ---
# FUZZ_LINKS_NAME as above. Without clang there are none, and `make check` says so.
FUZZ_LINKS_ring := vq
FUZZ_LINKS_mmio := vq vdev mmio
FUZZ_LINKS_blk := vq vdev blk_req blk_xfer
# Its own threads.
FUZZ_LINKS_net := $(filter-out net_thread,$(NET_FILES))
FUZZ_LINKS_elf_pv := -
FUZZ_HOST_LINKS_elf_pv := elf_pv
# Of lite/core, all of it: what one file does to another is the point.
FUZZ_LITE_OBJS := $(patsubst %.c,$(O)/fuzz/obj/%.o,$(wildcard lite/core/*.c) lite/user/env_user.c)
FUZZ_LITE := $(patsubst selftests/fuzz/%.c,%,$(wildcard selftests/fuzz/lite_*.c))
$(FUZZ_LITE:%=$(O)/fuzz/obj/selftests/fuzz/%.o) $(FUZZ_LITE_OBJS): TEST_CPPFLAGS += $(LITE_CPPFLAGS)

FUZZ_CC ?= clang
FUZZ_CFLAGS := -std=gnu11 -D_GNU_SOURCE -fno-strict-aliasing -pthread -O1 -g -Wall \
	       -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_NAMES := $(patsubst selftests/fuzz/%.c,%,$(wildcard selftests/fuzz/*.c))
FUZZ_PROGS := $(if $(shell command -v $(FUZZ_CC)),$(FUZZ_NAMES:%=$(O)/fuzz/%))
# Seconds for each: all of `make fuzz`, and its short form in `make check`.
FUZZ_SECONDS ?= 600
FUZZ_CHECK_SECONDS ?= 10
fuzz_lite = $(filter $(1),$(FUZZ_LITE))
fuzz_links = $(if $(call fuzz_lite,$(1)),-,$(or $(FUZZ_LINKS_$(1)),$(VIRTIO_NAMES)))
fuzz_objs = $(patsubst %,$(O)/fuzz/obj/virtio/%.o,$(filter-out -,$(call fuzz_links,$(1)))) \
	    $(patsubst %,$(O)/fuzz/obj/host/%.o,$(FUZZ_HOST_LINKS_$(1))) \
	    $(if $(call fuzz_lite,$(1)),$(FUZZ_LITE_OBJS))

$(O)/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	@$(call say,FZ,$@)
	$(Q)$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link $(TEST_CPPFLAGS) -Iselftests/fuzz \
		-Ihost -MMD -MP -c -o $@ $<

$(O)/fuzz/obj/libvdrv.a: $(patsubst %.c,$(O)/fuzz/obj/%.o,$(wildcard selftests/vdrv*.c))
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

$(O)/fuzz/obj/liblib.a: $(LIB_SRCS:%.c=$(O)/fuzz/obj/%.o)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

$(FUZZ_NAMES:%=$(O)/fuzz/%): $(O)/fuzz/%: $(O)/fuzz/obj/selftests/fuzz/%.o $$(call fuzz_objs,$$*) \
		$(O)/fuzz/obj/libvdrv.a $(O)/fuzz/obj/liblib.a
	@$(call say,LD,$@)
	$(Q)$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer -o $@ $^ $(VIRTIO_LIBS)

# Bugs for the fuzzers to find: plants/FUZZER-FILE-WHAT.sed changes a copy of lite/core/FILE.c.
FUZZ_PLANTS := $(patsubst selftests/fuzz/plants/%.sed,%,$(wildcard selftests/fuzz/plants/*.sed))
PLANT_PROGS := $(if $(FUZZ_PROGS),$(FUZZ_PLANTS:%=$(O)/fuzz/planted/%))
plant_word = $(word $(1),$(subst -, ,$(2)))
plant_obj = $(O)/fuzz/obj/lite/core/$(call plant_word,2,$(1)).o

$(FUZZ_PLANTS:%=$(O)/fuzz/planted/%.c): $(O)/fuzz/planted/%.c: selftests/fuzz/plants/%.sed \
		lite/core/$$(call plant_word,2,$$*).c
	@mkdir -p $(@D)
	$(Q)sed -f $^ >$@

$(PLANT_PROGS): $(O)/fuzz/planted/%: $(O)/fuzz/planted/%.c $(FUZZ_LITE_OBJS) \
		$$(O)/fuzz/obj/selftests/fuzz/$$(call plant_word,1,$$*).o
	@$(call say,LD,$@)
	$(Q)$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer $(TEST_CPPFLAGS) $(LITE_CPPFLAGS) -o $@ \
		$(filter-out $(call plant_obj,$*),$^)

-include $(wildcard $(O)/fuzz/obj/*/*.d $(O)/fuzz/obj/*/*/*.d)

.PHONY: fuzz-run fuzz-planted
fuzz:
	@if [ -x tools/deps ]; then tools/deps build fuzz; fi
	@$(MAKE) --no-print-directory fuzz-run

fuzz-run: $(FUZZ_PROGS)
	@O=$(O) selftests/run -j $(CHECK_JOBS) -o $(O)/check -t $$(($(FUZZ_SECONDS) + 300)) \
		$(FUZZ_NAMES:%="selftests/fuzz/fuzz % $(FUZZ_SECONDS)")

fuzz-planted: $(FUZZ_PROGS) $(PLANT_PROGS)
	@O=$(O) selftests/run -v -o $(O)/check -t 900 selftests/fuzz/planted

# --- programs for both ends of lab tests -----------------------------------------------------
# selftests/guest/*.c are for guests, selftests/lab/*.c for the lab itself.
LAB_PROGS := $(patsubst %.c,$(O)/%,$(wildcard selftests/guest/*.c selftests/lab/*.c \
	     selftests/lab/hostile/*.c))

$(LAB_PROGS): $(O)/%: %.c
	@mkdir -p $(@D)
	@$(call say,LD,$@)
	$(Q)$(CC) $(LODGE_CFLAGS) $(CFLAGS) -Iselftests -I. -MMD -MP -static -o $@ $<

-include $(LAB_PROGS:=.d)

# --- running ---------------------------------------------------------------------------------
CHECK_JOBS ?= 2
.PHONY: check-run check-native check-userland userland-run

check:
	@if [ -x tools/deps ]; then tools/deps build lab fuzz; fi
	@$(MAKE) --no-print-directory check-run

check-run: all $(NATIVE_PROGS) $(NETBENCH_ASAN) $(FUZZ_PROGS) $(PLANT_PROGS) $(LAB_PROGS)
	@O=$(O) selftests/run -j $(CHECK_JOBS) -o $(O)/check $(if $(CHECK_AGAIN),-a) \
		-t 300 $(NATIVE_PROGS) $(NATIVE_SCRIPTS) \
		$(FUZZ_NAMES:%="selftests/fuzz/fuzz % $(FUZZ_CHECK_SECONDS)") \
		-t 900 selftests/fuzz/planted $(LAB_TESTS)

check-native: $(NATIVE_PROGS) $(NETBENCH_ASAN)
	@O=$(O) selftests/run -j $(CHECK_JOBS) -o $(O)/check -t 300 $(NATIVE_PROGS)

# A Debian system in lite mode: downloads, wants root, and takes about an hour.
USERLAND_PARTS ?= boot tools stress smp kselftest
check-userland:
	@if [ -x tools/deps ]; then tools/deps build lab userland; fi
	@$(MAKE) --no-print-directory userland-run

userland-run: all
	@selftests/userland/image $(O)
	@O=$(O) selftests/run -o $(O)/check -t 9000 \
		$(USERLAND_PARTS:%="selftests/userland/userland.sh %")
