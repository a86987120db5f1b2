# SPDX-License-Identifier: MIT
#
# readonly.sh DEVICE: reads a file of dom0's, and every way to write must fail.

. /rig/lib.sh
device=/dev/$1
wait_for "$device"

try_to_write() {
	! dd if=/dev/zero of="$device" bs=4096 count=1 2>/tmp/dd ||
		fail "writing to a read-only disk succeeded"
	# The page cache may take what the disk refuses: ask the disk itself.
	! blkload -m fill -n 1 "$device" 2>/tmp/blkload ||
		fail "direct writing to a read-only disk succeeded"
}

[ "$(cat "/sys/block/$1/ro")" -eq 1 ] || fail "the disk is not read-only"
try_to_write
blockdev --setrw "$device" 2>/dev/null || say note "setrw is refused, too"
try_to_write
mount -t ext4 -o ro "$device" /mnt
[ "$(cat /mnt/greeting)" = "written by dom0" ] || fail "wrong content"
umount /mnt
