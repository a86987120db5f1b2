# SPDX-License-Identifier: MIT
#
# reboot.sh DEVICE: the first boot fills the disk and waits to be rebooted; the
# second one finds the data and ends.

. /rig/lib.sh
device=/dev/$1
wait_for "$device"

# The second boot is told by the mark in the last block.
if dd if="$device" bs=4096 skip=8191 count=1 2>/dev/null | grep -q "been here"; then
	blkload -m check -n 16 -s 5 "$device" || fail "the data is not there"
	say second boot
else
	blkload -m fill -n 16 -s 5 "$device" || fail "cannot fill the disk"
	{ echo "been here"; head -c 4086 /dev/zero; } |
		dd of="$device" bs=4096 seek=8191 count=1 conv=fsync 2>/dev/null
	say first boot
	sleep 120
	fail "nobody rebooted the guest"
fi
