#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A disk with the legacy interface: the guest's driver takes it, data arrives.
# limit: 200

. /rig/lib.sh

disk=$(image disk.img 64)
daemon_start --disk id=xvda,legacy=on
guest_start "$(virtio_disk "$disk" xvda)" legacy vda
guest_ends 120
files_arrived "$disk"
daemon_ends 10
