#!/bin/bash
# SPDX-License-Identifier: MIT
#
# run.sh [PROGRAM]: what a power cut leaves of a disk. All that the daemon tells
# its store is recorded while a driver over vhost-user writes and flushes; then
# each state that the store may be in after a cut at any time is compared with
# what the driver was promised. One line for each test, and how many failed at
# the end. With LONG=1 the long form, some minutes; with ONLY="NAME ..." some
# tests.
#
# Needs root, FUSE and loop devices: where there is none the tests fail.

set -u

HERE=$(cd "$(dirname "$0")" && pwd)
LONG=${LONG:-}
. "$HERE/lib.sh" "$@"

SUBSETS=8
ROUNDS=1
OPS=1500
if [ -n "$LONG" ]; then
	SUBSETS=16
	ROUNDS=6
	OPS=15000
fi

# cut DISK-KEYS DRIVE-KEYS [RECORD-KEYS] [REPLAY-KEYS]: no state is wrong.
cut() {
	for _round in $(seq "$ROUNDS"); do
		one_run "$1" "hold=200 sync=300 seed=$_round ${3:-}" \
			"ops=$OPS seed=$_round $2" || return 1
		replay "seed=$_round ${4:-}" ||
			fail "$(tail -n 20 "$WORK/replay.log")" || return 1
		progress "$_name" "$_round"
	done
}

# ---- promises ---------------------------------------------------------------

writeback() { cut cache=writeback "depth=8"; }
writeback_queues() { cut cache=writeback,queues=4 "queues=4 depth=16"; }
writeback_threads() {
	cut cache=writeback,queues=4,iothreads=2 "queues=4 switch=200"
}
writeback_kernel_cache() {
	cut cache=writeback,queues=2 "queues=2 switch=200" cached=1 order=0
}
writethrough() { cut cache=writethrough,queues=2 "queues=2 whole=1"; }
none_queues() { cut cache=none,queues=4 "queues=4 depth=32 percent_flush=12"; }
none_threads() {
	cut cache=none,queues=4,iothreads=2 "queues=4 switch=200 depth=32"
}
none_libaio() {
	cut cache=none,engine=libaio,queues=2 "queues=2 switch=200 depth=32"
}
none_pool() {
	cut cache=none,engine=threads,queues=2 "queues=2 switch=200 depth=32"
}
no_flush_writeback() { cut cache=writeback,queues=2 "queues=2 flushes=0"; }
no_flush_none() { cut cache=none,queues=2 "queues=2 flushes=0"; }
# The N-th fsync fails, and what it was to make stable is lost.
lost_writeback() {
	cut cache=writeback,queues=2 "queues=2 errors=1" "lose=$((20 * ROUNDS))"
}
lost_none() {
	cut cache=none,queues=2 "queues=2 errors=1 switch=150" \
		"lose=$((20 * ROUNDS))"
}
lost_writethrough() {
	cut cache=writethrough,queues=2 "queues=2 errors=1 whole=1" \
		"lose=$((20 * ROUNDS))"
}

tests="writeback writeback_queues writeback_threads writeback_kernel_cache
	writethrough none_queues none_threads none_libaio none_pool
	no_flush_writeback no_flush_none lost_writeback lost_none
	lost_writethrough"

# ---- whether it would notice ------------------------------------------------

# caught KIND...: the last run broke that, as the replayer says.
caught() {
	replay && fail "nobody notices" && return 1
	for _kind; do
		grep -q " [1-9][0-9]* of $_kind" "$WORK/replay.log" ||
			fail "not of $_kind: $(cat "$WORK/replay.log")" ||
			return 1
	done
}

# lie ABOUT DISK-KEYS DRIVE-KEYS KIND...
lie() {
	export LIE=$1 LD_PRELOAD="$WORK/lie.so"
	record "sync=300" && serve "$2"
	_status=$?
	unset LIE LD_PRELOAD
	[ $_status -eq 0 ] && drive "ops=1500 $3" && stop && end_record ||
		return 1
	shift 3
	caught "$@"
}

notices_flush_without_sync() {
	lie flush cache=writeback,queues=2 "queues=2" states "the order"
}
notices_write_through_without_sync() {
	lie write cache=none,engine=threads,queues=2 "queues=2 flushes=0" \
		states "the order"
}

tests="$tests notices_flush_without_sync"
[ -z "$LONG" ] || tests="$tests notices_write_through_without_sync"

run_all $tests
