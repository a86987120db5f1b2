# SPDX-License-Identifier: MIT
#
# beats.sh DEVICE: writes a block, reads it back, says so, and so on, until the
# guest is ended. Nothing may fail meanwhile.

. /rig/lib.sh
device=/dev/$1
wait_for "$device"

n=0
while :; do
	n=$((n + 1))
	echo "beat $n" >/tmp/beat
	dd if=/tmp/beat of="$device" bs=4096 seek=$((n % 64)) count=1 conv=sync,fsync \
		2>/dev/null || fail "beat $n was not written"
	echo 3 >/proc/sys/vm/drop_caches
	dd if="$device" bs=4096 skip=$((n % 64)) count=1 2>/dev/null |
		grep -aqx "beat $n" || fail "beat $n was not read"
	say beat "$n"
	usleep 100000
done
