# SPDX-License-Identifier: MIT
#
# grow.sh DEVICE SECTORS KEPT: fills a part of the device and discards all of it,
# then waits until the device has that size, and writes at its end. The device
# KEPT does not discard.

. /rig/lib.sh
wait_for "/dev/$1"
wait_for "/dev/$3"

[ "$(cat "/sys/block/$3/queue/discard_max_bytes")" -eq 0 ] ||
	fail "$3 discards"

blkload -m fill -n 8 -s 1 "/dev/$1"
say filled
sleep 2
blkdiscard "/dev/$1" || fail "the disk cannot discard"
say discarded
for _try in $(seq 300); do
	[ "$(cat "/sys/block/$1/size")" -ne "$2" ] || break
	usleep 100000
done
[ "$(cat "/sys/block/$1/size")" -eq "$2" ] ||
	fail "$1 has $(cat "/sys/block/$1/size") sectors"
dd if=/dev/urandom of="/dev/$1" bs=4096 count=1 seek=$(($2 / 8 - 1)) \
	conv=fsync 2>/dev/null || fail "the new end cannot be written"
