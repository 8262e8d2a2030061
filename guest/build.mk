# SPDX-License-Identifier: GPL-2.0-only
# guest/: what goes into the guest. It sees lite/abi/ and Linux only.
#
# A program for the initramfs's /bin: build it, static, as $(O)/guest/bin/NAME, and add
#     $(O)/guest/initramfs.cpio: $(O)/guest/bin/NAME
GUEST_INIT_SRCS := $(wildcard guest/init*.c)
GUEST_INIT_OBJS := $(GUEST_INIT_SRCS:%.c=$(O)/%.o)
GUEST_CPPFLAGS := -Iguest -I.

$(O)/guest/%.o: guest/%.c
	@mkdir -p $(@D)
	@$(call say,CC,$@)
	$(Q)$(CC) $(LODGE_CFLAGS) $(CFLAGS) $(GUEST_CPPFLAGS) -MMD -MP -c -o $@ $<

$(O)/guest/init: $(GUEST_INIT_OBJS)
	@$(call say,LD,$@)
	$(Q)$(CC) -static -s $(LODGE_CFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^

$(O)/guest/initramfs.cpio: $(O)/guest/init guest/mkinitramfs guest/demo guest/udhcpc.script \
			   tools/modpick tools/mkcpio $(O)/kernel/version \
			   $(O)/modules/virtio_lodge.ko
	@echo "  INITRAMFS $@"
	@guest/mkinitramfs $(O)/kernel $(O)/guest/init $@ $(filter %.ko $(O)/guest/bin/%,$^)

all: $(O)/guest/initramfs.cpio

# --- virtio_lodge.ko: the bus of lite mode's guests ---------------------------------------------
GUEST_MOD_DIR := $(O)/guest-mod
GUEST_MOD_SRCS := $(wildcard guest/virtio_lodge/*.[ch]) guest/virtio_lodge/Kbuild \
		  lite/abi/pv.h lite/abi/platform.h
GUEST_MOD_LINKS := $(GUEST_MOD_SRCS:%=$(GUEST_MOD_DIR)/%)
GUEST_MOD_KO := $(O)/modules/virtio_lodge.ko

$(eval $(call kbuild_links,$(GUEST_MOD_DIR),$(GUEST_MOD_SRCS)))

$(GUEST_MOD_KO): $(GUEST_MOD_SRCS) $(O)/kernel/headers/path | $(GUEST_MOD_LINKS)
	$(call kbuild,$(STOCK_KDIR),$(GUEST_MOD_DIR),guest/virtio_lodge)

modules: $(GUEST_MOD_KO)

-include $(GUEST_INIT_OBJS:.o=.d)
