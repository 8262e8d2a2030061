/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of the guest's init share. The program has one thread; everything here is called
 * from it, in the order of main() in init.c.
 */
#ifndef LODGE_GUEST_INIT_H
#define LODGE_GUEST_INIT_H

#include <stdbool.h>
#include <stddef.h>

/* How long, in milliseconds, to wait for a device that the command line names. */
#define INIT_DEVICE_WAIT_MS 5000

/* init.c */

/** init_note() - one line for the kernel log; never an error in itself. */
void init_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** init_spawn_wait() - run a program, mute, to its end; its wait status, or -errno. */
int init_spawn_wait(const char *const argv[]);

/* init_cmdline.c */

/** cmdline_load() - read /proc/cmdline. Called once, after /proc is mounted. */
void cmdline_load(void);

/**
 * cmdline_next() - next value of a parameter that may be given several times.
 * @name: the part before the '='
 * @iter: *iter is NULL at first, and where to go on afterwards
 *
 * Quotes are handled as the kernel does. Return: the value ("" for a bare NAME), owned by this
 * file and valid for ever, or NULL when there are no more.
 */
const char *cmdline_next(const char *name, const char **iter);

/** cmdline_get() - the last value given for @name, or NULL. */
const char *cmdline_get(const char *name);

/**
 * cmdline_module_params() - collects MODULE.PARAM=VALUE words as a module wants them.
 * @module: name, with underscores
 * @buf: takes "PARAM=VALUE PARAM=VALUE"; what does not fit is left out
 */
void cmdline_module_params(const char *module, char *buf, size_t size);

/* init_mount.c */

/** mount_early() - /proc /sys /dev and the other kernel file systems. Errors are notes. */
void mount_early(void);

/** mount_private_root() - put a mount above the initramfs, so that pivot_root works in it. */
void mount_private_root(void);

/**
 * mount_root() - mount what root= names on /root.
 *
 * Honours rootfstype, rootflags, ro and rw, and waits for the device. Return: 0, -ENOENT without
 * root=, or another -errno with a note.
 */
int mount_root(void);

/**
 * mount_take_kernel_fs() - /proc, /sys, /dev and /run in the root on @newroot.
 * @how: MS_MOVE to take them along, MS_BIND | MS_REC to have them in both places
 */
void mount_take_kernel_fs(const char *newroot, unsigned long how);

/** mount_switch_root() - make @newroot the root for good and free the initramfs's memory. */
int mount_switch_root(const char *newroot);

/** mount_all_off() - unmount, or at least make read-only, everything that is on a device. */
void mount_all_off(void);

/* init_net.c */

/** net_setup() - loopback up, then every ip= of the command line. Errors are notes. */
void net_setup(void);

/* init_power.c */

/** power_open_buttons() - input devices that have a power key. Return: how many fds are in @fds. */
int power_open_buttons(int *fds, int max);

/** power_button_pressed() - read all events of @fd; true when the power key went down. */
bool power_button_pressed(int fd);

/**
 * power_stop_processes() - TERM, a while, KILL for every other process; reaps them.
 * @shell: an interactive shell is among them, and needs a HUP
 */
void power_stop_processes(bool shell);

/** power_end() - hand @status to the VMM if this is a lodge guest, then reboot(@how). */
void power_end(int status, int how) __attribute__((noreturn));

#endif
