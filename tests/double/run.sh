#!/bin/bash
# SPDX-License-Identifier: MIT
#
# run.sh PROGRAM BUILD: the program serves a Xen guest on a host that is a double
# (kills.c says how), and is killed; the double is in BUILD. One line for each
# test, and how many failed at the end. The short form takes a minute; FORM=long
# has these numbers:
#
#	KILLS	under load, over all kinds of engine and cache (4000)
#	CHECK	in one run, each with a look at what is left behind (1000)
#	HELD	while a slow store holds writes back (300)
#	GUESTS	that come and go, before a watcher (300)
#	FAULTS	system calls, allocations and Xen's calls that fail: all, or
#		sample: some of each kind, by the day
#
# WORKDIR is where images on a file system are, /var/tmp by default; the others
# are in memory. SEED=N for other ones; ONLY="NAME ..." runs some of the tests;
# KEEP=1 leaves logs and images.

set -u

PROGRAM=$(realpath "$1")
BUILD=$(realpath "$2")
STORE=$BUILD/../torture/slow_store
SEED=${SEED:-1}
MEMORY=/dev/shm
[ -w $MEMORY ] || MEMORY=/tmp
DISK=$(mktemp -d "${WORKDIR:-/var/tmp}/virtio-disk-double.XXXXXX")
FAST=$(mktemp -d "$MEMORY/virtio-disk-double.XXXXXX")
# Whoever still waits for a store is told that there is none.
unmount_all() {
	grep " $DISK/" /proc/mounts | cut -d' ' -f2 |
		while read -r _file; do umount -l "$_file"; done
}
trap 'unmount_all; kill ${faults:-} ${hung:-} ${patience:-} 2>/dev/null; [ -n "${KEEP:-}" ] || rm -rf "$DISK" "$FAST"' EXIT
passed=0
failed=0

if [ "${FORM:-short}" = long ]; then
	: "${KILLS:=4000}" "${CHECK:=1000}" "${HELD:=300}" "${FAULTS:=all}"
	: "${GUESTS:=300}"
	LIMIT=3600
else
	: "${KILLS:=160}" "${CHECK:=60}" "${HELD:=6}" "${FAULTS:=sample}"
	: "${GUESTS:=20}"
	LIMIT=120
fi

# Of each: where, and the keys of --disk. All have three queues.
KINDS="fast:engine=io_uring fast:engine=io_uring,cache=writeback
	disk:engine=io_uring,cache=none fast:engine=threads,cache=writethrough
	disk:engine=threads,cache=none fast:engine=libaio,cache=none
	fast:engine=threads,cache=writeback disk:engine=io_uring,cache=writeback"

# kills NAME WHERE [KEY=VALUE]...: in a directory of its own.
kills() {
	_dir=$FAST/$1
	_image=$_dir/image
	[ "$2" = fast ] || _image=$DISK/$1
	mkdir -p "$_dir/states"
	truncate -s 16M "$_image"
	shift 2
	timeout -k 5 "$LIMIT" "$BUILD/kills" program="$PROGRAM" \
		libraries="$BUILD/lib" states="$_dir/states" \
		directory="$_dir" image="$_image" "$@" && rm -r "$_dir" && return
	tail -n 8 "$_dir"/log.* >&2
	return 1
}

serves() {
	kills serves fast kills=0 seed="$SEED" &&
		kills packed fast kills=0 packed=1 queues=1 seed="$SEED"
}

killed_under_load() {
	_n=0
	for _kind in $KINDS; do
		echo "    ${_kind#*:}, packed=$((_n % 2)):"
		kills load.$_n "${_kind%%:*}" kills=$((KILLS / 8)) \
			packed=$((_n % 2)) seed=$((SEED + _n)) \
			disk="${_kind#*:}" check=10 swap=8 || return 1
		_n=$((_n + 1))
	done
}

# Each generation ends in a look: files of state, descriptors, mappings, image.
nothing_left_behind() {
	kills left fast kills="$CHECK" check=1 seed="$SEED"
}

# log_says some|0 PATTERN: lines of the log.
log_says() {
	_lines=$(cat "$_dir"/log.* | grep -c -- "$2")
	[ "$_lines" = "$1" ] || { [ "$1" = some ] && [ "$_lines" -gt 0 ]; } ||
		{ echo "    $_lines lines, not $1: $2"; return 1; }
}

# of_a_session [OPTION]: three workers are killed, and the log is left.
of_a_session() {
	_dir=$FAST/traced
	rm -rf "$_dir"
	mkdir -p "$_dir/states"
	truncate -s 16M "$_dir/image"
	timeout -k 5 "$LIMIT" "$BUILD/kills" program="$PROGRAM" \
		libraries="$BUILD/lib" states="$_dir/states" \
		directory="$_dir" image="$_dir/image" kills=3 victims=2 \
		seed="$SEED" ${1:+option="$1"}
}

# What the driver does is in the log by name, and after a worker's death what it
# was about; without a trace without what comes with each request.
traced() {
	_live="trace: web/xvda: [0-9.]*"
	_dead="trace: web/xvda: event [0-9.]*"
	of_a_session --trace || return 1
	for _what in "register read MAGIC_VALUE=0x74726976" \
		"register write STATUS=0xf" "register write QUEUE_NOTIFY=0x0" \
		"register read INTERRUPT_STATUS=0x1" \
		"register write INTERRUPT_ACK=0x1" "notify queue=[012]" \
		"request begin queue=0 id=[0-9]* type=read sector=[0-9]* length=[0-9]*" \
		"request end queue=[0-9]* id=[0-9]* type=write sector=[0-9]* length=[0-9]* status=OK time=[0-9]*us" \
		"request end .*type=flush .*status=OK time=[0-9]*us" "device is made" \
		"device is gone on with"; do
		log_says some "$_live $_what\$" || return 1
	done
	log_says some "web/xvda: the last [0-9]* events, as the worker has ended\$" &&
		log_says some "trace: web/xvda: end of the events\$" &&
		log_says some "$_dead request begin queue=" &&
		of_a_session && log_says some "as the worker has ended\$" &&
		log_says some "$_dead register write STATUS=0xf\$" &&
		log_says some "$_dead register write QUEUE_READY=0x1\$" &&
		log_says some "$_dead device is gone on with\$" &&
		log_says 0 "trace: web/xvda: [0-9]" && log_says 0 "trace: .* request" &&
		log_says 0 "trace: .* QUEUE_NOTIFY"
}

# held NUMBER KEYS: a store that holds writes back, for 0.2 to 0.5 seconds. The
# image is small: most of it is under way, and written again.
held() {
	_dir=$FAST/held.$1
	_data=$DISK/held.$1
	mkdir -p "$_dir/states"
	truncate -s 1M "$_data"
	truncate -s 4096 "$_data.control"
	: >"$_data.file"
	"$STORE" "$_data" "$_data.file" "$_data.control" direct &
	_store=$!
	_tries=0
	until grep -q "$_data.file" /proc/mounts || [ $_tries -gt 100 ]; do
		sleep 0.05
		_tries=$((_tries + 1))
	done
	timeout -k 5 "$LIMIT" "$BUILD/kills" program="$PROGRAM" \
		libraries="$BUILD/lib" states="$_dir/states" \
		directory="$_dir" image="$_data.file" data="$_data" \
		control="$_data.control" min=200 max=500 check=0 disk="$2" \
		kills="$HELD" seed=$((SEED + $1)) packed=$(($1 % 2))
	_result=$?
	[ $_result -eq 0 ] || tail -n 8 "$_dir"/log.* >&2
	{ umount -l "$_data.file" && kill $_store && wait $_store; } 2>/dev/null
	return $_result
}

held_back() {
	if [ "$(id -u)" -ne 0 ] || [ ! -c /dev/fuse ]; then
		echo "    the slow store needs root and /dev/fuse"
		return 1
	fi
	held 0 engine=io_uring,cache=none && held 1 engine=threads,cache=none &&
		held 2 engine=libaio,cache=none
}

# The watcher and its instances, killed; guests that come and go.
watched() {
	_dir=$FAST/watched
	mkdir -p "$_dir/states"
	truncate -s 16M "$_dir/image"
	timeout -k 5 "$LIMIT" "$BUILD/watched" program="$PROGRAM" \
		libraries="$BUILD/lib" states="$_dir/states" \
		directory="$_dir" image="$_dir/image" guests="$GUESTS" &&
		rm -r "$_dir" && return
	tail -n 20 "$_dir"/log.* >&2
	return 1
}

# Beside the others, for it mostly waits; of the short form one configuration.
start_faults() {
	mkdir -p "$FAST/faults"
	_keys="--keys engine=io_uring,cache=none"
	_others="--keys detach:engine=threads,cache=writeback"
	_day=$(date +%-j)
	if [ "$FAULTS" = all ]; then
		_keys="$_keys $_others"
	else
		[ $((_day % 2)) -eq 0 ] || _keys=$_others
		_keys="--sample $((_day / 2)) $_keys"
	fi
	# shellcheck disable=SC2086
	timeout -k 5 "$LIMIT" "$BUILD/faults" "$PROGRAM" "$BUILD/alloc.so" \
		--work "$FAST/faults" $_keys >"$FAST/faults/out" 2>&1 &
	faults=$!
}

# They take a minute, and wait: beside the others, as the faults do.
start_waiting() {
	[ -z "$hung" ] || return
	kills hung fast kills=0 hangs=1 seed="$SEED" >"$FAST/hung.out" 2>&1 &
	hung=$!
	kills patience fast kills=0 patience=1 seed="$SEED" \
		>"$FAST/patience.out" 2>&1 &
	patience=$!
}

# end_waiting PROCESS NAME
end_waiting() {
	wait "$1"
	_result=$?
	cat "$FAST/$2.out"
	return $_result
}

# A worker that is stopped, and does not die.
hung_worker_is_found_out() {
	start_waiting
	end_waiting "$hung" hung
}

# Workers that die until there is no patience left with the disk.
disk_is_given_up() {
	start_waiting
	end_waiting "$patience" patience
}

# One line for each kind of call; see faulted.c.
everything_fails() {
	[ -n "$faults" ] || start_faults
	wait "$faults"
	_result=$?
	sed 's/^/    /' "$FAST/faults/out"
	return $_result
}

run_test() {
	if "$1"; then
		echo "ok - $1"
		passed=$((passed + 1))
	else
		echo "not ok - $1"
		failed=$((failed + 1))
	fi
}

faults=
hung=
patience=
for _test in ${ONLY:-serves traced killed_under_load held_back \
	nothing_left_behind watched hung_worker_is_found_out disk_is_given_up \
	everything_fails}; do
	[ "$_test" != serves ] || [ -n "${ONLY:-}" ] || start_waiting
	[ "$_test" != held_back ] || [ -n "${ONLY:-}" ] || start_faults
	run_test "$_test"
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
