#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A block device of dom0 is the guest's disk: files survive mounting anew.
# limit: 200

. /rig/lib.sh

daemon_start
guest_start "$(virtio_disk /dev/ram0 xvda)" files vda
guest_ends 120
files_arrived /dev/ram0
daemon_ends 10
