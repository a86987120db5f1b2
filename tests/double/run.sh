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
#
# WORKDIR is where images on a file system are, /var/tmp by default; the others
# are in memory. SEED=N for other ones; ONLY="NAME ..." runs some of the tests;
# KEEP=1 leaves logs and images.

set -u

PROGRAM=$(realpath "$1")
BUILD=$(realpath "$2")
SEED=${SEED:-1}
MEMORY=/dev/shm
[ -w $MEMORY ] || MEMORY=/tmp
DISK=$(mktemp -d "${WORKDIR:-/var/tmp}/virtio-disk-double.XXXXXX")
FAST=$(mktemp -d "$MEMORY/virtio-disk-double.XXXXXX")
trap '[ -n "${KEEP:-}" ] || rm -rf "$DISK" "$FAST"' EXIT
passed=0
failed=0

if [ "${FORM:-short}" = long ]; then
	: "${KILLS:=4000}" "${CHECK:=1000}"
	LIMIT=3600
else
	: "${KILLS:=160}" "${CHECK:=60}"
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
	timeout -k 5 $LIMIT "$BUILD/kills" program="$PROGRAM" \
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
			disk="${_kind#*:}" check=10 || return 1
		_n=$((_n + 1))
	done
}

# Each generation ends in a look: files of state, descriptors, mappings, image.
nothing_left_behind() {
	kills left fast kills="$CHECK" check=1 seed="$SEED"
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

for _test in ${ONLY:-serves killed_under_load nothing_left_behind}; do
	run_test "$_test"
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
