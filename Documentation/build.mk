# SPDX-License-Identifier: GPL-2.0-only
# Documentation/: `make docs` renders it with docutils, every warning an error: HTML into $(O)/doc,
# and what is called NAME.SECTION.rst also into manual pages in $(O)/man. `make install` installs
# the programs and the manual pages, no more: the initramfs in $(O)/guest belongs to the one kernel
# that it was made with.
PREFIX ?= /usr/local
DOC_RST := $(wildcard Documentation/*.rst)
DOC_HTML := $(DOC_RST:Documentation/%.rst=$(O)/doc/%.html)
MAN_PAGES := $(patsubst Documentation/%.rst,$(O)/man/%,$(wildcard Documentation/*.[1-8].rst))
DOCUTILS_FLAGS := --halt=warning --report=warning --no-generator --no-datestamp --no-source-link \
		  --input-encoding=utf-8 --output-encoding=utf-8 --no-file-insertion --no-raw

# Links between pages name the source, which is right where the source is read.
$(O)/doc/%.html: Documentation/%.rst
	@mkdir -p $(@D)
	@$(call say,DOC,$@)
	$(Q)rst2html $(DOCUTILS_FLAGS) $< $@.tmp
	$(Q)sed 's,href="\([A-Za-z0-9_.-]*\)\.rst\(#[^"]*\)\{0\,1\}",href="\1.html\2",g' $@.tmp >$@
	@rm -f $@.tmp

$(O)/man/%: Documentation/%.rst
	@mkdir -p $(@D)
	@$(call say,MAN,$@)
	$(Q)rst2man $(DOCUTILS_FLAGS) $< $@

.PHONY: docs-build
docs:
	@tools/deps docs
	@$(MAKE) --no-print-directory docs-build

docs-build: $(DOC_HTML) $(MAN_PAGES)

install:
	@tools/deps build docs
	@$(MAKE) --no-print-directory $(O)/lodge $(O)/tools/netbench $(MAN_PAGES)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 755 $(O)/lodge $(O)/tools/netbench $(DESTDIR)$(PREFIX)/bin/
	install -m 644 $(filter %.1,$(MAN_PAGES)) $(DESTDIR)$(PREFIX)/share/man/man1/
	install -d $(DESTDIR)$(PREFIX)/lib/udev/rules.d $(DESTDIR)$(PREFIX)/lib/sysusers.d
	install -m 644 lite/linux/60-lodge.rules $(DESTDIR)$(PREFIX)/lib/udev/rules.d/
	install -m 644 lite/linux/lodge.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/lodge.conf
