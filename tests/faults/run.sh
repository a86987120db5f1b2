#!/bin/bash
# SPDX-License-Identifier: MIT
#
# run.sh all|sample [PROGRAM]: each system call and each allocation of the
# program fails, then its store does. A table, one line for each kind, and how
# many failed at the end.
#
# "all" is every call with every error. "sample" fails some calls of each kind,
# each with one of its errors, another one each day.

set -u

HERE=$(cd "$(dirname "$0")" && pwd)
TOP=$HERE/../..
MODE=${1:-sample}
PROGRAM=$(realpath "${2:-./virtio-disk}")
WORK=$(mktemp -d /var/tmp/virtio-disk-faults.XXXXXX)
# A store that was left is let go of.
trap 'umount -l "$WORK"/*/mounted "$WORK/full" 2>/dev/null; rm -rf "$WORK"' EXIT
passed=0
failed=0

compile() {
	${CC:-gcc} -std=gnu11 -O2 -g -Wall -Wextra -D_GNU_SOURCE -I"$HERE" \
		-I"$TOP/include" -I"$TOP/src" "$@"
}

build() {
	compile -shared -fPIC "$HERE/alloc.c" -o "$WORK/alloc.so" &&
		compile "$HERE"/{main,scenario,client,daemon,disk_model}.c \
			-o "$WORK/faults" -lpthread &&
		compile "$HERE/store.c" -o "$WORK/store" &&
		compile "$HERE"/{stores,client,daemon,disk_model}.c \
			-o "$WORK/stores" -lpthread
}

# add LINE: "N passed, N failed", of a part.
add() {
	_bad=${1#*, }
	case $1 in
	*" passed, "*" failed")
		passed=$((passed + ${1%% *}))
		failed=$((failed + ${_bad%% *}))
		;;
	*)
		echo "not ok: a part has not come to its end"
		failed=$((failed + 1))
		;;
	esac
}

# part OUTPUT: shown but for its last line, which counts.
part() {
	sed '$d' "$1"
	add "$(tail -n 1 "$1")"
}

# stores SECONDS [OPTION]: what mostly waits, beside the other.
stores() {
	timeout -k 5 "$1" "$WORK/stores" "$PROGRAM" "$WORK/store" "$WORK" \
		"${@:2}" >"$WORK/stores.out" 2>&1 &
}

# calls SECONDS OPTION...
calls() {
	timeout -k 5 "$1" "$WORK/faults" "$PROGRAM" "$WORK/alloc.so" \
		--work "$WORK" "${@:2}" >"$WORK/calls.out" 2>&1
	part "$WORK/calls.out"
}

# The two configurations that have most of the code.
two=(--keys engine=io_uring,cache=none
	--keys "engine=threads,cache=writeback,iothreads=2")

build || exit 1
# One that is not built anew meanwhile.
cp "$PROGRAM" "$WORK/virtio-disk" || exit 1
PROGRAM=$WORK/virtio-disk
if [ "$MODE" = all ]; then
	stores 600 --long
	calls 1800
	# And what fails goes on failing.
	calls 600 --stays "${two[@]}"
else
	stores 120
	# By the day, so that a failure is there again in the next minute.
	calls 120 --sample "$(date +%-j)" "${two[@]}"
fi
wait
part "$WORK/stores.out"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
