#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A regular file of dom0 is the guest's disk: files survive mounting anew.
# limit: 200

. /rig/lib.sh

disk=$(image disk.img 64)
daemon_start
guest_start "$(virtio_disk "$disk" xvda)" files vda
guest_ends 120
files_arrived "$disk"
daemon_ends 10
