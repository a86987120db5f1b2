#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tools.sh: builds tests/xen/tools/*.c as static arm64 programs and prints the
# folder. They run in dom0 and in guests, whatever libraries are there.

. "$(dirname "$0")/common.sh"

SOURCES=$(ls "$TOP"/tests/xen/tools/*.c)
# What some of them know of the daemon.
HEADERS=$(ls "$TOP"/include/virtio/*.h "$TOP"/src/xen/ioreq_s*.h)

make_tools() {
	for _source in $SOURCES; do
		quiet "$CACHE/log/tools" "$CROSS-gcc" "--sysroot=$SYSROOT" -std=gnu11 -D_GNU_SOURCE \
			-O2 -Wall -Wextra -Werror -static -pthread \
			"-I$TOP/include" "-I$TOP/src" \
			-o "$(basename "$_source" .c)" "$_source"
	done
}

SYSROOT=$("$RIG/arm64.sh" sysroot)
product tools "$( { echo "$SYSROOT"; cat "$0" $SOURCES $HEADERS; } | digest)" make_tools
