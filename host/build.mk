# SPDX-License-Identifier: GPL-2.0-only
# host/: the VMM process. It sees virtio/, lib/ and lite/abi/; it meets lite/ through the ABI only.
HOST_SRCS := $(wildcard host/*.c)
HOST_OBJS := $(HOST_SRCS:%.c=$(O)/%.o)
# The last four unpack kernels (payload.c).
HOST_LIBS := -lseccomp -lz -llzma -lzstd -llz4
HOST_CPPFLAGS := -Ihost -Ivirtio -Ilib -I. -DLODGE_VERSION='"$(VERSION)"'

$(O)/host/%.o: host/%.c
	@mkdir -p $(@D)
	@$(call say,CC,$@)
	$(Q)$(CC) $(LODGE_CFLAGS) $(CFLAGS) $(HOST_CPPFLAGS) -MMD -MP -c -o $@ $<

$(O)/lodge: $(HOST_OBJS) $(VIRTIO_OBJS) $(LIB_OBJS)
	@$(call say,LD,$@)
	$(Q)$(CC) $(LODGE_CFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(VIRTIO_LIBS) $(HOST_LIBS)

all: $(O)/lodge

-include $(HOST_OBJS:.o=.d)
