# SPDX-License-Identifier: GPL-2.0-only
# virtio/: devices, queues, transports and backends. It sees lib/ and lite/abi/, never host/.
VIRTIO_SRCS := $(wildcard virtio/*.c)
VIRTIO_OBJS := $(VIRTIO_SRCS:%.c=$(O)/%.o)
VIRTIO_CPPFLAGS := -Ivirtio -Ilib -I.
# libpcap and libslirp are loaded at run time, by the guests that use them (net_lib.c).
VIRTIO_LIBS := -luring

$(O)/virtio/%.o: virtio/%.c
	@mkdir -p $(@D)
	@$(call say,CC,$@)
	$(Q)$(CC) $(LODGE_CFLAGS) $(CFLAGS) $(VIRTIO_CPPFLAGS) -MMD -MP -c -o $@ $<

-include $(VIRTIO_OBJS:.o=.d)
