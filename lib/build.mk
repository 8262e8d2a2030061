# SPDX-License-Identifier: GPL-2.0-only
# lib/: a leaf. It includes nothing of the other rooms.
LIB_SRCS := $(wildcard lib/*.c)
LIB_OBJS := $(LIB_SRCS:%.c=$(O)/%.o)
LIB_CPPFLAGS := -Ilib -I.

$(O)/lib/%.o: lib/%.c
	@mkdir -p $(@D)
	@$(call say,CC,$@)
	$(Q)$(CC) $(LODGE_CFLAGS) $(CFLAGS) $(LIB_CPPFLAGS) -MMD -MP -c -o $@ $<

-include $(LIB_OBJS:.o=.d)
