# SPDX-License-Identifier: GPL-2.0-only
# `make lint`, and what its compilers have to read: every C file, with its room's own flags.
LINT_OBJS = $(LIB_OBJS) $(VIRTIO_OBJS) $(HOST_OBJS) $(GUEST_INIT_OBJS) $(VDRV_OBJS) \
	    $(NATIVE_SRCS:%.c=$(O)/asan/%.o) $(O)/lab/agent $(BENCH_BINS) $(NETBENCH_OBJS)

# The list is complete only once all rooms have been read, hence in a recipe.
.PHONY: objects
objects:
	@$(MAKE) --no-print-directory $(LINT_OBJS)

lint:
	@tools/deps lint
	@O=$(O) tools/lint $(LINT_ARGS)
