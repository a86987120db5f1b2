#!/bin/sh
# SPDX-License-Identifier: MIT
#
# bench.sh [ARGUMENT...]: our vhost-user back end against qemu-storage-daemon
# and fio, in turns, on the same file. Arguments go to bench.py (--help tells
# them); see README.md for how to read the figures.
#
# PROGRAM (./virtio-disk of this tree) may be set in the environment.
# Needs root: it mounts tracefs (in a mount namespace of its own) to count
# system calls, and makes a loop device.

. "$(dirname "$0")/../rig/common.sh"

HERE=$RIG
OUT=$TOP/build/bench

"$HERE/../rig/deps.sh" build bench
[ "$(id -u)" -eq 0 ] || die "bench: needs root (counters, loop device)"

LIB=$("$HERE/../vhost/amd64.sh" libblkio)
LD_LIBRARY_PATH=$LIB/usr/lib/x86_64-linux-gnu
export LD_LIBRARY_PATH

if [ -z "${PROGRAM:-}" ]; then
	PROGRAM=$TOP/virtio-disk
	quiet "$OUT/make.log" make -C "$TOP" all
fi
[ -x "$PROGRAM" ] || die "bench: no program $PROGRAM"
export PROGRAM

mkdir -p "$OUT"
gcc -std=gnu11 -O2 -Wall -Wextra -D_GNU_SOURCE -I"$LIB/usr/include" \
	"$HERE/client.c" "$HERE/watch.c" -o "$OUT/client" \
	-L"$LD_LIBRARY_PATH" -lblkio

exec unshare --mount --propagation private sh -eu -c '
	out=$1 script=$2
	shift 2
	mkdir -p "$out/tracefs" "$out/tmpfs"
	mount -t tracefs none "$out/tracefs"
	mount -t tmpfs -o size=600M none "$out/tmpfs"
	exec python3 "$script" --out "$out" "$@"
' sh "$OUT" "$HERE/bench.py" "$@"
