#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What the guest discards goes back to the store, unless the guest's configuration
# says no-discard; an image that grows while it is served grows in the guest.
# limit: 200

. /rig/lib.sh

# Whether the image occupies less than so many blocks of 512 bytes.
below() { [ "$(stat -c %b "$disk")" -lt "$1" ]; }

disk=$(image disk.img 32)
kept=$(image kept.img 32)
daemon_start
guest_start "$(virtio_disk "$disk" xvda)
	$(virtio_disk "$kept" xvdb w,no-discard)" grow vda 98304 vdb
guest_says 120 '@@GUEST filled'
! below 8192 || fail "the guest wrote 8 MiB, the image has $(stat -c %b "$disk")"
guest_says 60 '@@GUEST discarded'
wait_until 10 below 1024 || fail "the image still has $(stat -c %b "$disk") blocks"
truncate -s 48M "$disk"
guest_ends 60
daemon_ends 10
