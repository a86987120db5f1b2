#!/bin/bash
# SPDX-License-Identifier: MIT
#
# run.sh PROGRAM BUILD: survival of the daemon's death, over vhost-user; the
# programs of this folder are in BUILD. One line for each test, and how many
# failed at the end. The short form; FORM=long has these numbers:
#
#	KILLS		under load, over all kinds of engine and cache (10000)
#	HELD		with writes held back by a slow store (1000)
#	CONNECTS, IOS	on one daemon (100000, 10000000)
#	CLIENTS		at once, each with a daemon that is killed (100)
#
# WORKDIR is where the images are, /var/tmp by default. ONLY="NAME ..." runs some
# of the tests. The slow store needs root and /dev/fuse.

set -u

HERE=$(cd "$(dirname "$0")" && pwd)
BUILD=$(realpath "$2")
ROOT=${WORKDIR:-/var/tmp}
. "$HERE/../vhost/lib.sh" "$1"
rm -rf "$WORK"
WORK=$(mktemp -d "$ROOT/virtio-disk-torture.XXXXXX")

if [ "${FORM:-short}" = long ]; then
	: "${KILLS:=10000}" "${HELD:=1000}" "${CONNECTS:=100000}"
	: "${IOS:=10000000}" "${CLIENTS:=100}"
	LIMIT=14400 HOLD_MIN=200 HOLD_MAX=3000 CLIENT_KILLS=20 SIZE=64M
else
	: "${KILLS:=25}" "${HELD:=5}" "${CONNECTS:=2000}"
	: "${IOS:=100000}" "${CLIENTS:=10}"
	LIMIT=180 HOLD_MIN=200 HOLD_MAX=400 CLIENT_KILLS=2 SIZE=16M
fi
SEED=${SEED:-1}

# ---- kills under load -------------------------------------------------------

# What of engine and cache goes together, and which queues.
KINDS="io_uring,none io_uring,writeback io_uring,writethrough
	threads,none threads,writeback threads,writethrough libaio,none"

# percentile N: of the numbers that come sorted.
percentile() {
	awk -v p="$1" '{ v[NR] = $1 } END {
		i = int(NR * p / 100) + 1; if (i > NR) i = NR
		printf "%.1f", v[i] / 1000 }' "$WORK/sorted"
}

# one_kind ENGINE,CACHE NUMBER KILLS: half of the numbers have packed queues, ...
one_kind() {
	_dir=$WORK/kind.$2
	mkdir -p "$_dir"
	rm -f "$_dir/image"
	truncate -s $SIZE "$_dir/image"
	_disk="file=$_dir/image,engine=${1%,*},cache=${1#*,},packed=on"
	_disk=$_disk,queues=3,iothreads=$(($2 / 2 % 3))
	echo "    $1, $(($2 % 2)) packed, $(($2 / 2 % 3)) iothreads:"
	timeout -k 5 $LIMIT "$BUILD/torture" program="$PROGRAM" \
		socket="$_dir/s" image="$_dir/image" disk="$_disk" \
		times="$WORK/times" kills="$3" seed="$((SEED + $2 / 2))" \
		packed=$(($2 % 2)) check=50 && rm -r "$_dir" && return
	tail -q -n 5 "$_dir"/s.*.log >&2
	return 1
}

# In rounds, so that each kind has both forms of queues, and threads.
killed_under_load() {
	: >"$WORK/times"
	_left=$KILLS _round=0
	while [ "$_left" -gt 0 ]; do
		for _kind in $KINDS; do
			_n=$(((KILLS + 41) / 42))
			[ "$KILLS" -gt 100 ] || _n=4
			[ $_n -le "$_left" ] || _n=$_left
			[ $_n -gt 0 ] || continue
			one_kind "$_kind" $_round $_n || return 1
			_left=$((_left - _n)) _round=$((_round + 1))
		done
	done
	sort -n "$WORK/times" >"$WORK/sorted"
	echo "    $KILLS kills; from death to the next completion:" \
		"p50 $(percentile 50) ms, p99 $(percentile 99) ms," \
		"most $(percentile 100) ms; load $(cut -d' ' -f1 /proc/loadavg)"
}

run_all killed_under_load
