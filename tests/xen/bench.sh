#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Our daemon against the kernel's blkback, in turns on the same store.
# limit: 1800

. /rig/lib.sh

ROUNDS=${ROUNDS:-3}
LOAD_SECONDS=${LOAD_SECONDS:-4}

# The figures go to the host as they come; bench_table.py makes sense of them.
results() {
	tr -d '\r' <"$GUEST_LOG" | sed -n 's/.*@@GUEST result //p' |
		while read -r _load _figures; do
			note "bench side=$1 load=$_load $_figures"
		done
	rm -f "$GUEST_LOG"
}

blkback_round() {
	guest_start "'phy:/dev/ram0,xvda,rw'" bench xvda "$LOAD_SECONDS"
	guest_ends 240
	results blkback
}

our_round() {
	daemon_start
	guest_start "$(virtio_disk /dev/ram0 xvda)" bench vda "$LOAD_SECONDS"
	guest_ends 240
	daemon_ends 10
	results virtio-disk
}

SYS_ENTER=/sys/kernel/tracing/events/raw_syscalls/sys_enter

# The kernel counts the system calls of every thread from here on. (Switched on
# once only: counting that is switched off and on again now and then stays 0.)
count_syscalls() { echo 'hist:keys=common_pid:size=32768' >"$SYS_ENTER/trigger"; }

# syscalls: those of the daemon's threads so far.
syscalls() {
	_threads=$(for _pid in $(pidof virtio-disk); do ls "/proc/$_pid/task"; done)
	sed -n 's/.*common_pid: *\([0-9]*\).*hitcount: *\([0-9]*\).*/\1 \2/p' \
		"$SYS_ENTER/hist" | awk -v threads="$(echo $_threads)" '
		BEGIN { split(threads, list, " "); for (i in list) ours[list[i]] }
		$1 in ours { sum += $2 }
		END { print sum + 0 }'
}

counters() {
	_stats=$(daemon_stats)
	echo "${_stats#*stats } syscalls=$(syscalls)"
}

# What one load cost: the daemon's totals before and after it.
count_load() {
	guest_says 120 "@@GUEST begin $1"
	_before=$(counters)
	guest_says 120 "@@GUEST result $1 "
	note "count load=$1 before: $_before after: $(counters)"
}

# Apart from the timed rounds, so that counting does not slow them.
counting_round() {
	count_syscalls
	daemon_start
	guest_start "$(virtio_disk /dev/ram0 xvda)" bench vda "$LOAD_SECONDS"
	for load in randread-1 randread-16 randwrite-1 randwrite-16 seqread-8; do
		count_load "$load"
	done
	guest_ends 120
	daemon_ends 10
	results counting
}

for round in $(seq "$ROUNDS"); do
	our_round
	blkback_round
done
counting_round
