# SPDX-License-Identifier: MIT
#
# legacy.sh DEVICE: its driver did not negotiate VERSION_1; then as files.sh.

. /rig/lib.sh
wait_for "/dev/$1"
[ "$(cut -c33 /sys/bus/virtio/devices/virtio0/features)" = 0 ] ||
	fail "the driver took VERSION_1"
. /rig/files.sh
