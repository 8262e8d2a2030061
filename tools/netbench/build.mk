# SPDX-License-Identifier: GPL-2.0-only
# tools/netbench/: one static program, which runs on hosts and in guests alike.
NETBENCH_SRCS := $(wildcard tools/netbench/*.c)
NETBENCH_OBJS := $(NETBENCH_SRCS:tools/netbench/%.c=$(O)/netbench/%.o) $(O)/lib/err.o

$(O)/netbench/%.o: tools/netbench/%.c
	@mkdir -p $(@D)
	@$(call say,CC,$@)
	$(Q)$(CC) $(LODGE_CFLAGS) $(CFLAGS) -I. -MMD -MP -c -o $@ $<

# The linker warns that getaddrinfo() loads modules for name services that nsswitch.conf may name.
# Numbers and /etc/hosts work without any, which is what guests use.
$(O)/tools/netbench: $(NETBENCH_OBJS)
	@mkdir -p $(@D)
	@$(call say,LD,$@)
	$(Q)$(CC) -static -s -Wl,--no-warnings $(LODGE_CFLAGS) $(CFLAGS) -o $@ $^ -ljansson

all: $(O)/tools/netbench

-include $(NETBENCH_OBJS:.o=.d)
