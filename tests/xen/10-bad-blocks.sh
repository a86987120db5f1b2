#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Bad blocks of dom0's storage: exactly those fail, and the disk works on.
# limit: 400

. /rig/lib.sh

# Blocks 1024 to 1031 of 4 KiB are bad.
dmsetup create bad <<-END
	0 8192 linear /dev/ram0 0
	8192 64 error
	8256 57280 linear /dev/ram0 8256
END
# Without udev nobody makes the node.
dmsetup mknodes

daemon_start
guest_start "$(virtio_disk /dev/mapper/bad xvda)" eio vda 1024 8
guest_ends 120
daemon_ends 10
