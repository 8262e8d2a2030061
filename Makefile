# SPDX-License-Identifier: GPL-2.0-only
#
# The verbs. Each room adds its own rules in ROOM/build.mk; objects and everything else that is made
# go to build/. `make run` and `make check` first install what is missing (tools/deps).

O ?= build
CC ?= gcc
HOSTCC_WARN := -Wall -Wextra -Wno-unused-parameter -Wstrict-prototypes -Wmissing-prototypes \
	       -Wpointer-arith -Wvla -Wundef -Wshadow=local
CFLAGS ?= -O2 -g
LODGE_CFLAGS := -std=gnu11 -D_GNU_SOURCE $(HOSTCC_WARN) -fstack-protector-strong \
		-fno-strict-aliasing -pthread
VERSION := 0.1

.DEFAULT_GOAL := all
.PHONY: all run check modules lab bench lint docs install clean fuzz deps
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

all:

include lib/build.mk virtio/build.mk host/build.mk guest/build.mk tools/build.mk selftests/build.mk
include Documentation/build.mk

clean:
	rm -rf $(O)
