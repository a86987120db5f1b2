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
SRC=$(cd "$HERE/../.." && pwd)
. "$HERE/lib.sh" "$@"

SUBSETS=8
[ -n "$LONG" ] || ROUNDS=1
OPS=1500
LEAST=10000
if [ -n "$LONG" ]; then
	SUBSETS=16
	ROUNDS=${ROUNDS:-6}
	OPS=15000
	LEAST=100000
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
	cut cache=none,queues=4,iothreads=4 \
		"queues=4 depth=8 switch=200 percent_flush=25"
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
# Where nothing that was answered is lost, it goes on.
lost_writethrough() {
	cut cache=writethrough,queues=2 "queues=2 errors=1 whole=1 depth=32" \
		lose_each=20
}
lost_each_none() {
	cut cache=none,queues=4 "queues=4 errors=1 switch=100" lose_each=20
}

# A page cache may write what is being changed.
torn() {
	cut cache=writeback,queues=2 "queues=2" tear=10 torn=1 || return 1
	grep -q '^[1-9][0-9]* torn' "$WORK/replay.log" || fail "none is torn"
}

# Others are not held up by a store that takes its time for a flush.
slow_flush_none() { cut cache=none "stall=1" "stall=3000"; }
slow_flush_writeback() { cut cache=writeback "stall=1" "stall=3000"; }

# device OPTIONS-OF-LOSETUP REPLAY-KEYS ...: as cut, with a block device. Its
# page cache is the kernel's own: what it writes, and when, is for the kernel to
# choose.
device() {
	DEVICE=$1
	_replay=$2
	shift 2
	cut "$@" "" "order=0 $_replay"
	_status=$?
	DEVICE=
	return $_status
}
device_writeback() {
	device "-b 512" torn=1 cache=writeback,queues=4,iothreads=2 \
		"queues=4 switch=200"
}
device_writethrough() {
	device "-b 512" torn=1 cache=writethrough,queues=2 "queues=2 whole=1"
}
device_none() {
	device --direct-io=on "" cache=none,queues=4,iothreads=2 \
		"queues=4 switch=200"
}
# A part of a block is written by writing the block.
device_parts_of_blocks() {
	device "-b 4096" "" cache=none,queues=4,iothreads=4,block-size=512 \
		"queues=4 switch=200"
}

tests="writeback writeback_queues writeback_threads writeback_kernel_cache
	writethrough none_queues none_threads none_libaio none_pool
	no_flush_writeback no_flush_none lost_writeback lost_none
	lost_writethrough lost_each_none torn slow_flush_none slow_flush_writeback
	device_writeback device_writethrough device_none
	device_parts_of_blocks enough_states"

# All together; so few that they show little are a failure.
enough_states() {
	awk -v least="$LEAST" '
		{ states += $1; entries += $4; requests += $6
		  flushes += $10; through += $13 }
		END { printf "    %d states of %d entries, %d requests; " \
			"%d flushes and %d write-through in order\n",
			states, entries, requests, flushes, through
		      exit states < least }' "$WORK/figures" ||
		fail "less than $LEAST states"
}

# ---- whether it would notice ------------------------------------------------

# caught KIND [REPLAY-KEYS]: the last run broke that, as the replayer says.
caught() {
	replay "${2:-}" && fail "nobody notices" && return 1
	grep -q " [1-9][0-9]* of $1" "$WORK/replay.log" ||
		fail "not of $1: $(cat "$WORK/replay.log")"
}

# notices KIND DISK-KEYS DRIVE-KEYS [RECORD-KEYS] [REPLAY-KEYS]
notices() {
	one_run "$2" "hold=300 sync=400 ${4:-}" "ops=2000 $3" &&
		caught "$1" "${5:-}"
}

# lie ABOUT KIND DISK-KEYS DRIVE-KEYS: the same with a C library that lies.
lie() {
	export LIE=$1
	PROGRAM=$WORK/lying
	shift
	notices "$@"
	_status=$?
	PROGRAM=$REAL
	return $_status
}

notices_flush_without_sync() {
	# Nothing ever becomes stable, so the states are long to make.
	lie flush states cache=writeback,queues=2 "queues=2 ops=500"
}
notices_write_through_without_sync() {
	lie write states cache=none,engine=threads "flushes=0"
}

notices_mixture() { notices data cache=writeback ops=500 tear=10; }
notices_mixture_for_good() {
	notices states cache=writeback ops=500 "tear=10 tear_for_good=1" torn=1
}

# Bugs of tests/planted.
notices_flush_that_joins() {
	planted flush-joins-running states cache=none,queues=4,iothreads=4 \
		"queues=4 depth=4 percent_flush=40" "sync=2000 hold=2000"
}
notices_flush_error_forgotten() {
	planted flush-error-forgotten states cache=writeback errors=1 lose=9
}
notices_write_in_a_failed_flush() {
	planted flush-shared-late states cache=writethrough \
		"errors=1 whole=1 depth=32" lose_each=9
}
notices_plain_writes() {
	planted write-through states cache=writeback flushes=0
}
notices_plain_zeroes() { planted range-stable states cache=none flushes=0; }
notices_switch_without_flush() {
	planted switch-unflushed states cache=none,queues=4 \
		"queues=4 switch=100 switches=6"
}
notices_write_under_way() {
	planted write-under-way states cache=none,queues=4 \
		"queues=4 switch=100 switches=12 depth=32"
}

REAL=$PROGRAM
cat >"$WORK/lying" <<END
#!/bin/sh
LD_PRELOAD=$WORK/lie.so exec "$REAL" "\$@"
END
chmod +x "$WORK/lying"

TREE=build/power

# A copy of the tree in which only what a patch changes is built anew.
copy_tree() {
	rm -rf "$TREE"
	mkdir -p "$TREE/build"
	tar -C "$SRC" -cf - src include Makefile configure.ac configure \
		config.mk.in | tar -C "$TREE" -xf - &&
		cp -a build/obj "$TREE/build" &&
		cp config.h config.mk "$TREE" || return 1
	# Older than what was built of it.
	find "$TREE" -path "$TREE/build" -prune -o -type f \
		-exec touch -d 2001-01-01 {} +
}

# planted NAME KIND ...: as notices, with a bug.
planted() {
	_patch=$SRC/tests/planted/$1.patch
	_file=$(sed -n 's,^+++ b/,,p' "$_patch" | head -n 1)
	shift
	[ -d "$TREE" ] || copy_tree || return 1
	( cd "$TREE" && patch -p1 -F3 -s --no-backup-if-mismatch &&
		MAKEFLAGS= make virtio-disk ) <"$_patch" \
		>"$WORK/build.log" 2>&1 ||
		fail "$(tail -n 5 "$WORK/build.log")" || return 1
	PROGRAM=$PWD/$TREE/virtio-disk
	notices "$@"
	_status=$?
	PROGRAM=$REAL
	cp "$SRC/$_file" "$TREE/$_file"
	return $_status
}

tests="$tests notices_flush_without_sync notices_mixture
	notices_mixture_for_good"
. "$HERE/guest.sh"
if [ -n "$LONG" ]; then
	tests="$tests guest_file_system
		notices_write_through_without_sync
		notices_flush_that_joins notices_flush_error_forgotten
		notices_write_in_a_failed_flush notices_plain_writes
		notices_plain_zeroes notices_switch_without_flush
		notices_write_under_way"
fi

rm -rf "$TREE"
run_all $tests
