# SPDX-License-Identifier: GPL-2.0-only
# lite/: the module of lite mode.

# --- lodge.ko --------------------------------------------------------------------------------
# Built out of the source tree: kbuild puts objects beside sources, so those are links in MOD_DIR.
# KDIR=/lib/modules/$(uname -r)/build makes it for a kernel other than the stock one.
MOD_DIR := $(O)/lite-mod
MOD_SRCS := $(wildcard lite/abi/*.h lite/core/*.[ch] lite/linux/*.[chS]) lite/linux/Kbuild
MOD_LINKS := $(MOD_SRCS:%=$(MOD_DIR)/%)
MOD_KO := $(O)/modules/lodge.ko

$(MOD_LINKS): $(MOD_DIR)/%: | %
	@mkdir -p $(@D)
	@ln -sf $(abspath $*) $@

# Xen's public headers under the name that Xen's own sources use.
$(O)/include/xen:
	@mkdir -p $(@D)
	@ln -sfn /usr/include/xen $@

$(MOD_KO): $(MOD_SRCS) $(if $(KDIR),,$(O)/kernel/headers/path) | $(MOD_LINKS) $(O)/include/xen
	@$(call say,KO,$@)
	@mkdir -p $(@D)
	$(Q)kdir=$(or $(KDIR),$$(cat $(O)/kernel/headers/path)); \
	log=$(MOD_DIR)/log; find $(MOD_DIR) -xtype l -delete; \
	MAKEFLAGS= $(MAKE) -j2 -C "$$kdir" M="$(abspath $(MOD_DIR))/lite/linux" W=1 \
		LODGE_INCLUDE=$(abspath $(O))/include modules >$$log 2>&1 || \
		{ cat $$log; exit 1; }; \
	grep -A8 'warning:\|WARNING:' $$log || :
	@cp $(MOD_DIR)/lite/linux/lodge.ko $@

modules: $(MOD_KO)

# To the kernel that the module was built for, wherever that one is to run.
modules_install: $(MOD_KO)
	dir=$(DESTDIR)/lib/modules/$$(modinfo -F vermagic $(MOD_KO) | cut -d' ' -f1) && \
	install -D -m 644 $(MOD_KO) $$dir/updates/lodge.ko && \
	{ [ -n "$(DESTDIR)" ] || depmod "$${dir##*/}"; }
.PHONY: modules_install

# The lab finds it there.
all: modules
