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
			   tools/modpick tools/mkcpio $(O)/kernel/version
	@echo "  INITRAMFS $@"
	@guest/mkinitramfs $(O)/kernel $(O)/guest/init $@ $(filter $(O)/guest/bin/%,$^)

all: $(O)/guest/initramfs.cpio

-include $(GUEST_INIT_OBJS:.o=.d)
