# SPDX-License-Identifier: GPL-2.0-only
# lite/: the module of lite mode.

# --- lodge.ko --------------------------------------------------------------------------------
# KDIR=/lib/modules/$(uname -r)/build makes it for a kernel other than the stock one.
MOD_DIR := $(O)/lite-mod
MOD_SRCS := $(wildcard lite/abi/*.h lite/core/*.[ch] lite/linux/*.[chS]) lite/linux/Kbuild
MOD_LINKS := $(MOD_SRCS:%=$(MOD_DIR)/%)
MOD_KO := $(O)/modules/lodge.ko

$(eval $(call kbuild_links,$(MOD_DIR),$(MOD_SRCS)))

# Xen's public headers under the name that Xen's own sources use.
$(O)/include/xen:
	@mkdir -p $(@D)
	@ln -sfn /usr/include/xen $@

$(MOD_KO): $(MOD_SRCS) $(if $(KDIR),,$(O)/kernel/headers/path) | $(MOD_LINKS) $(O)/include/xen
	$(call kbuild,$(or $(KDIR),$(STOCK_KDIR)),$(MOD_DIR),lite/linux,\
		LODGE_INCLUDE=$(abspath $(O))/include)

modules: $(MOD_KO)

# To the kernel that the module was built for, wherever that one is to run.
modules_install: $(MOD_KO)
	dir=$(DESTDIR)/lib/modules/$$(modinfo -F vermagic $(MOD_KO) | cut -d' ' -f1) && \
	install -D -m 644 $(MOD_KO) $$dir/updates/lodge.ko && \
	{ [ -n "$(DESTDIR)" ] || depmod "$${dir##*/}"; }
.PHONY: modules_install

# The lab finds it there.
all: modules
