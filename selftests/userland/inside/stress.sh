#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# stress.sh SECONDS: stress-ng's processors, memory, processes, signals, timers and pipes, all at
# once, each of them checking what it computes. Runs in the guest.

exec stress-ng --cpu 1 --vm 1 --vm-bytes 64M --fork 1 --signal 1 --timer 1 --pipe 1 --mmap 1 \
	--mmap-bytes 64M --fp 1 --verify --timeout "$1" --metrics-brief --oomable
