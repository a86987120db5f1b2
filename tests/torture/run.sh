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
	PLANTED_KINDS="io_uring,none,direct libaio,none,direct threads,none,direct
		threads,writeback,direct"
	LIMIT=14400 HOLD_MIN=200 HOLD_MAX=3000 LOST=300 CLIENT_KILLS=20 SIZE=64M
else
	: "${KILLS:=25}" "${HELD:=5}" "${CONNECTS:=2000}"
	: "${IOS:=100000}" "${CLIENTS:=10}"
	PLANTED_KINDS="io_uring,none,direct"
	LIMIT=180 HOLD_MIN=200 HOLD_MAX=400 LOST=10 CLIENT_KILLS=2 SIZE=16M
fi
SEED=${SEED:-1}

# Whoever still waits for a store is told that there is none.
unmount_all() {
	losetup -l -n -O NAME,BACK-FILE 2>/dev/null | grep " $WORK/" |
		while read -r _loop _; do losetup -d "$_loop"; done
	grep " $WORK/" /proc/mounts | cut -d' ' -f2 |
		while read -r _file; do umount -l "$_file"; done
}
trap 'unmount_all; cleanup; [ -n "${KEEP:-}" ] || rm -rf "$WORK"' EXIT

# What the programs leave is told by the tests themselves.
log_of() {
	tail -q -n 5 "$1"/s.*.log >"$WORK/last.log"
	return 1
}

# ---- kills under load -------------------------------------------------------

# What of engine and cache goes together, and which queues.
KINDS="io_uring,none io_uring,writeback io_uring,writethrough
	threads,none threads,writeback threads,writethrough libaio,none"

# say_times WHAT FILE...: percentiles of the times from death to completion.
say_times() {
	_what=$1
	shift
	sort -n "$@" | awk -v what="$_what" '
		function at(p) {
			i = int(NR * p / 100) + 1
			return v[i > NR ? NR : i] / 1000
		}
		{ v[NR] = $1 }
		END { printf "    %s: from death to the next completion: " \
			"p50 %.1f ms, p99 %.1f ms, most %.1f ms\n",
			what, at(50), at(99), at(100) }'
}

# one_kind ENGINE,CACHE NUMBER KILLS: half of the numbers have packed queues, ...
one_kind() {
	_dir=$WORK/kind.$2
	mkdir -p "$_dir"
	rm -f "$_dir/image"
	truncate -s $SIZE "$_dir/image"
	_disk="file=$_dir/image,engine=${1%,*},cache=${1#*,},packed=on"
	_disk=$_disk,queues=3,iothreads=$(($2 / 2 % 3))
	_inherit=$(($2 % 5 == 4))
	echo "    $1, packed=$(($2 % 2)), iothreads=$(($2 / 2 % 3))," \
		"inherit=$_inherit:"
	timeout -k 5 $LIMIT "$BUILD/torture" program="$PROGRAM" \
		socket="$_dir/s" image="$_dir/image" disk="$_disk" \
		times="$WORK/times.$1" kills="$3" seed="$((SEED + $2 / 2))" \
		packed=$(($2 % 2)) check=4 inherit=$_inherit && rm -r "$_dir" || log_of "$_dir"
}

# In rounds, so that each kind has both forms of queues, and threads.
killed_under_load() {
	rm -f "$WORK"/times.*
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
	for _kind in $KINDS; do
		say_times "$_kind" "$WORK/times.$_kind"
	done
	say_times "$KILLS kills, load $(cut -d' ' -f1 /proc/loadavg)" \
		"$WORK"/times.*
}

# ---- writes that a slow store holds back ------------------------------------

# ENGINE,CACHE,STORE: of the store see slow_store.c; loop: it is a device on one.
HELD_KINDS="io_uring,none,direct libaio,none,direct threads,none,direct
	io_uring,none,loop io_uring,writeback,direct io_uring,writeback,cached
	libaio,none,loop threads,none,loop threads,writethrough,direct
	threads,writethrough,cached io_uring,writeback,loop
	io_uring,writeback,writeback"

have_slow_store() {
	[ "$(id -u)" -eq 0 ] && [ -c /dev/fuse ] && return
	echo "    the slow store needs root and /dev/fuse"
	return 1
}

# start_store MODE: in $dir; its process is $store.
start_store() {
	truncate -s 4M "$dir/data"
	truncate -s 4096 "$dir/control"
	: >"$dir/file"
	"$BUILD/slow_store" "$dir/data" "$dir/file" "$dir/control" "$1" &
	store=$!
	wait_for grep -q "$dir/file" /proc/mounts
}

# Its end ends whatever waits for it.
stop_store() {
	[ -z "$loop" ] || losetup -d "$loop"
	{ umount -l "$dir/file" && kill "$store" && wait "$store"; } 2>/dev/null
}

# hazard KIND KILLS NUMBER [KEY=VALUE]...
hazard() {
	dir=$WORK/held.$3 loop= _store=${1##*,}
	mkdir -p "$dir"
	_more="kills=$2 seed=$((SEED + $3)) packed=$(($3 % 2))"
	_cache=${1#*,}
	case $_store in
	loop) start_store direct || return 1
		loop=$(losetup -f --show --direct-io=on "$dir/file" \
			2>"$dir/out") || { stop_store; return 0; } ;;
	writeback) start_store writeback || return 1
		_more="$_more early=1" ;;
	*) start_store "$_store" || return 1 ;;
	esac
	_file=${loop:-$dir/file}
	shift 3
	# shellcheck disable=SC2086
	timeout -k 5 $LIMIT "$BUILD/hazard" program="$PROGRAM" \
		socket="$dir/s" file="$_file" data="$dir/data" \
		control="$dir/control" min=$HOLD_MIN max=$HOLD_MAX $_more \
		disk="file=$_file,engine=${_kind%%,*},cache=${_cache%,*},packed=on" \
		"$@" >"$dir/out" 2>&1
	_result=$?
	[ $_result -eq 0 ] || tail -q -n 5 "$dir"/s.*.log >>"$dir/out"
	stop_store
	return $_result
}

# all_kinds KILLS: side by side, for they mostly wait.
all_kinds() {
	_number=0 _pids=
	for _kind in $HELD_KINDS; do
		_n=$((($1 + 11) / 12))
		[ "$1" -ge 12 ] || _n=$((_number < $1))
		[ $_n -gt 0 ] || continue
		hazard "$_kind" $_n $_number &
		_pids="$_pids $!"
		_number=$((_number + 1))
	done
	_bad=0 _number=0
	for _pid in $_pids; do
		wait "$_pid" || _bad=$((_bad + 1))
		_kind=$(echo $HELD_KINDS | cut -d' ' -f$((_number + 1)))
		echo "    $_kind: $(tail -n 20 "$WORK/held.$_number/out")"
		_number=$((_number + 1))
	done
	[ $_bad -eq 0 ] || log_of "$WORK/held.0" || fail "$_bad kinds"
}

held_back() {
	have_slow_store || return 1
	all_kinds "$HELD"
}

# The daemon stays, and has the writes of the front end before this one.
front_end_leaves() {
	have_slow_store || return 1
	_pids= _number=200
	for _kind in io_uring,none,direct threads,none,direct \
		libaio,none,direct; do
		hazard "$_kind" $(((HELD + 11) / 12)) $_number leave=1 &
		_pids="$_pids $!"
		_number=$((_number + 1))
	done
	_bad=0
	for _pid in $_pids; do
		wait "$_pid" || _bad=$((_bad + 1))
	done
	for _dir in "$WORK"/held.20?; do
		echo "    $(tail -n 5 "$_dir/out")"
	done
	[ $_bad -eq 0 ] || log_of "$WORK/held.200" || fail "$_bad kinds"
}

# Does that test find a successor that does not wait? One that has the locks
# whoever else has them, on a socket of its own.
successor_does_not_wait() {
	have_slow_store || return 1
	_number=100
	for _kind in $PLANTED_KINDS; do
		hazard "$_kind" 20 $_number paths=1 find=1 foreground=1 \
			preload="$BUILD/unlocked.so"
		_result=$?
		echo "    $_kind: $(tail -n 1 "$WORK/held.$_number/out")"
		[ $_result -eq 0 ] && grep -q "[1-9][0-9]* stale sectors" \
			"$WORK/held.$_number/out" ||
			log_of "$dir" || fail "$_kind: no stale sector" ||
			return 1
		_number=$((_number + 1))
	done
}

# ---- a flush that failed ----------------------------------------------------

# lost ENGINE,CACHE NUMBER: what the store could not make stable stays so.
lost() {
	dir=$WORK/lost.$2 loop=
	mkdir -p "$dir"
	start_store direct || return 1
	timeout -k 5 $LIMIT "$BUILD/lost" program="$PROGRAM" socket="$dir/s" \
		file="$dir/file" control="$dir/control" kills="$LOST" foreground=1 \
		seed="$SEED" packed=$(($2 % 2)) \
		disk="file=$dir/file,engine=${1%,*},cache=${1#*,},packed=on" \
		>"$dir/out" 2>&1
	_result=$?
	stop_store
	echo "    $1: $(tail -n 3 "$dir/out")"
	[ $_result -eq 0 ] || log_of "$dir"
}

failed_flush_is_kept() {
	have_slow_store || return 1
	lost io_uring,none 0 && lost threads,writeback 1 && lost libaio,none 2
}

# ---- what must not grow ----------------------------------------------------

# one_daemon NAME KEYS ARGUMENT...: a daemon with many sessions and requests.
one_daemon() {
	dir=$WORK/leaks.$1
	mkdir -p "$dir"
	truncate -s 16M "$dir/image"
	_disk="file=$dir/image,queues=4,packed=on,$2"
	shift 2
	timeout -k 5 $LIMIT "$BUILD/leaks" program="$PROGRAM" \
		socket="$dir/s" image="$dir/image" disk="$_disk" \
		seed="$SEED" "$@" || log_of "$dir"
}

nothing_leaks() {
	one_daemon io_uring cache=writeback,iothreads=2 packed=1 \
		connects="$CONNECTS" ios="$IOS"
}

nothing_leaks_threads() {
	one_daemon threads engine=threads,cache=writeback packed=0 \
		connects=$((CONNECTS / 10)) ios=$((IOS / 10))
}

nothing_leaks_libaio() {
	one_daemon libaio engine=libaio,cache=none packed=1 \
		connects=$((CONNECTS / 10)) ios=$((IOS / 100))
}

# ---- many at once -----------------------------------------------------------

# Each client has a disk and a daemon of its own, which is killed now and then.
many_at_once() {
	_pids=
	for _i in $(seq "$CLIENTS"); do
		dir=$WORK/many.$_i
		mkdir -p "$dir"
		truncate -s 4M "$dir/image"
		timeout -k 5 $LIMIT "$BUILD/torture" program="$PROGRAM" \
			socket="$dir/s" image="$dir/image" queues=1 \
			disk="file=$dir/image,cache=writeback,packed=on" \
			kills=$CLIENT_KILLS seed=$((SEED + _i)) depth=8 \
			packed=$((_i % 2)) >"$dir/out" 2>&1 &
		_pids="$_pids $!"
	done
	_bad=0
	for _pid in $_pids; do
		wait "$_pid" || _bad=$((_bad + 1))
	done
	[ $_bad -eq 0 ] || {
		grep -hv " kills, " "$WORK"/many.*/out | head -n 10 >&2
		log_of "$dir" || fail "$_bad of $CLIENTS" || return 1
	}
	cat "$WORK"/many.*/out | sed -n 's/.*most \([0-9.]*\) ms.*/\1/p' |
		sort -n | tail -n 1 | sed "s/.*/    $CLIENTS clients, \
$CLIENT_KILLS kills each; from death to completion & ms at most/"
}

run_all killed_under_load held_back front_end_leaves \
	successor_does_not_wait failed_flush_is_kept nothing_leaks \
	nothing_leaks_threads nothing_leaks_libaio many_at_once
exit
