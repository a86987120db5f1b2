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
trap 'rm -rf "$WORK"' EXIT
passed=0
failed=0

compile() {
	${CC:-gcc} -std=gnu11 -O2 -g -Wall -Wextra -D_GNU_SOURCE -I"$HERE" \
		-I"$TOP/include" -I"$TOP/src" "$@"
}

build() {
	compile -shared -fPIC "$HERE/alloc.c" -o "$WORK/alloc.so" &&
		compile "$HERE"/{main,scenario,client,daemon,disk_model}.c \
			-o "$WORK/faults" -lpthread
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

# part SECONDS COMMAND...: shown but for its last line, which counts.
part() {
	timeout "$@" >"$WORK/out" 2>&1
	sed '$d' "$WORK/out"
	add "$(tail -n 1 "$WORK/out")"
}

calls() {
	part "$@" "$WORK/faults" "$PROGRAM" "$WORK/alloc.so" --work "$WORK" \
		"${options[@]}"
}

build || exit 1
# One that is not built anew meanwhile.
cp "$PROGRAM" "$WORK/virtio-disk" || exit 1
PROGRAM=$WORK/virtio-disk
if [ "$MODE" = all ]; then
	options=()
	calls 1800
else
	# By the day, so that a failure is there again in the next minute.
	options=(--sample "$(date +%-j)" --keys engine=io_uring,cache=none
		--keys "engine=threads,cache=writeback,iothreads=2")
	calls 120
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
