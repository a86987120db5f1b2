# SPDX-License-Identifier: MIT
#
# balloon.sh DEVICE ROUNDS: asks dom0 to shrink and grow this guest while
# verified I/O runs, and then reads through the pages that came back.

. /rig/lib.sh
device=/dev/$1
rounds=$2
wait_for "$device"

memory() { cat /sys/devices/system/xen_memory/xen_memory0/info/current_kb; }

# reaches MEGABYTES -le|-ge: the balloon driver has got there.
reaches() {
	for _try in $(seq 600); do
		[ ! "$(memory)" "$2" $(($1 * 1024)) ] || return 0
		usleep 100000
	done
	fail "the memory does not reach $1 MiB: $(memory) KiB"
}

# The page cache spreads over all free memory; the sum tells stale pages.
sum() {
	echo 3 >/proc/sys/vm/drop_caches
	dd if="$device" bs=1M skip=16 2>/dev/null | md5sum
}

round() {
	blkload -m mixed -n 4 -q 128 -t 4 -s "$1" "$device" >/tmp/load 2>&1 &
	say small "$1"
	reaches 176 -le
	say large "$1"
	reaches 250 -ge
	wait $! || fail "verified I/O failed in round $1: $(cat /tmp/load)"
	[ "$(sum)" = "$wanted" ] || fail "wrong content in round $1"
}

dd if=/dev/urandom of="$device" bs=1M seek=16 count=80 conv=fsync 2>/dev/null
wanted=$(sum)
for number in $(seq "$rounds"); do
	round "$number"
done
