# SPDX-License-Identifier: MIT
#
# bench.sh DEVICE SECONDS: one line of figures for each kind of load. dom0 reads
# its own counters in the pauses.

. /rig/lib.sh
device=/dev/$1
wait_for "$device"

load() {
	name=$1
	shift
	say begin "$name"
	sleep 2
	say result "$name" "$(blkload "$@" -n 128 "$device")"
	sleep 2
}

# Sparse storage would answer reads without doing anything.
dd if=/dev/urandom of="$device" bs=1M count=128 conv=fsync 2>/dev/null
load randread-1 -m randread -q 1 -t "$2"
load randread-16 -m randread -q 16 -t "$2"
load randwrite-1 -m randwrite -q 1 -t "$2"
load randwrite-16 -m randwrite -q 16 -t "$2"
load seqread-8 -m seqread -b 65536 -q 8 -t "$2"
