# SPDX-License-Identifier: GPL-2.0-only
# selftests/: native programs under ASan and UBSan, lab scripts, fuzzers. `make check` ends in
# "N passed, N failed, N skipped"; logs are in build/check.

# --- native programs: selftests/native/NAME.c becomes build/selftests/NAME ---------------------
# LINKS_NAME are the files of virtio/ that it links, all of them if not given; lib/ always comes in.
LINKS_vq := vq
LINKS_vq_stress := vq
LINKS_vdev := vq vdev
LINKS_mmio := vq vdev mmio

SAN_CFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -g
TEST_CPPFLAGS := -Iselftests -Ivirtio -Ilib -I.
NATIVE_SRCS := $(wildcard selftests/native/*.c)
NATIVE_PROGS := $(NATIVE_SRCS:selftests/native/%.c=$(O)/selftests/%)
NATIVE_SCRIPTS := $(wildcard selftests/native/*.sh)
LAB_SCRIPTS := $(wildcard selftests/lab/*.sh)
VDRV_OBJS := $(patsubst %.c,$(O)/asan/%.o,$(wildcard selftests/vdrv*.c))
virtio_objs = $(patsubst %,$(O)/asan/virtio/%.o,$(or $(LINKS_$(1)),$(VIRTIO_SRCS:virtio/%.c=%)))

$(O)/asan/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(LODGE_CFLAGS) $(SAN_CFLAGS) $(TEST_CPPFLAGS) -MMD -MP -c -o $@ $<

$(O)/asan/selftests/libvdrv.a: $(VDRV_OBJS)
	@rm -f $@
	$(AR) rcs $@ $^

.SECONDEXPANSION:
$(NATIVE_PROGS): $(O)/selftests/%: $(O)/asan/selftests/native/%.o $(O)/asan/selftests/libvdrv.a \
		 $$(call virtio_objs,$$*) $(LIB_SRCS:%.c=$(O)/asan/%.o)
	@mkdir -p $(@D)
	$(CC) $(SAN_CFLAGS) -pthread -o $@ $(filter %.o,$^) $(filter %.a,$^) $(VIRTIO_LIBS)

-include $(wildcard $(O)/asan/*/*.d $(O)/asan/*/*/*.d)

# --- running ---------------------------------------------------------------------------------
CHECK_JOBS ?= 2
.PHONY: check-run check-native

check:
	@if [ -x tools/deps ]; then tools/deps build lab fuzz; fi
	@$(MAKE) --no-print-directory check-run

check-run: all $(NATIVE_PROGS) $(FUZZ_PROGS)
	@O=$(O) selftests/run -j $(CHECK_JOBS) -o $(O)/check -t 300 $(NATIVE_PROGS) $(NATIVE_SCRIPTS) \
		-t 900 $(LAB_SCRIPTS)

check-native: $(NATIVE_PROGS)
	@O=$(O) selftests/run -j $(CHECK_JOBS) -o $(O)/check -t 300 $(NATIVE_PROGS)
