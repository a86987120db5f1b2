#!/bin/sh
# SPDX-License-Identifier: MIT
#
# core.sh: how many instructions a request costs, from the ring to the engine
# and back, with the null engine. Counted by callgrind, so that the figures are
# the same on every machine, busy or not. Compared with core.expected.
#
# core.sh --update            write the figures to core.expected
# core.sh --profile [ENGINE]  show where the instructions of a batch of 32 are
#                             (ENGINE on a file, e.g. io_uring)
#
# CFLAGS (-O2 -flto, as configure has it) and CC (gcc) may be set in the
# environment; other flags are compared with nothing.

set -eu

HERE=$(cd "$(dirname "$0")" && pwd)
TOP=$(cd "$HERE/../.." && pwd)
BUILD=${BUILD:-$TOP/build/bench/core}
EXPECTED=$HERE/core.expected
CC=${CC:-gcc}
CFLAGS=${CFLAGS:--O2 -flto}

# Of a request in a batch of 32: no more than this, wherever it is compiled.
LIMIT=600
# Percent around the expected figure.
TOLERANCE=3

"$TOP/tests/rig/deps.sh" core

sources() {
	for file in "$TOP"/src/virtio/*.c "$TOP"/src/block/*.c \
		"$TOP"/src/base/*.c "$TOP"/src/vhost_user/*.c \
		"$TOP"/src/disk/*.c "$TOP/src/monitor/disk_image.c" \
		"$TOP"/src/config/key*.c "$TOP/src/config/values.c" \
		"$TOP/tests/lib/block_whole.c" \
		"$TOP/tests/lib/model_driver.c" "$TOP/tests/lib/model_image.c" \
		"$TOP/tests/lib/model_memory.c" "$TOP/tests/lib/model_ring.c"; do
		case $file:$1 in
		*engine_libaio.c:*) ;;
		*engine_uring.c:) ;;
		*) echo "$file" ;;
		esac
	done
}

# What configure finds for the compiler of this kind.
hardening() {
	echo "-fstack-protector-strong -fstack-clash-protection"
	[ "$CFLAGS" = "${CFLAGS#*-O[123s]}" ] ||
		echo "-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3"
	case $($CC -dumpmachine) in
	x86_64-*) echo -fcf-protection=full ;;
	aarch64-*) echo -mbranch-protection=standard ;;
	esac
}

# build [uring]
build() {
	rm -rf "$BUILD"
	mkdir -p "$BUILD"
	: >"$BUILD/config.h"
	# As configure finds it: probes are nops, and counted.
	if echo "#include <sys/sdt.h>" | $CC -E - >"$BUILD/sdt" 2>&1; then
		echo "#define HAVE_SYS_SDT_H 1" >>"$BUILD/config.h"
	fi
	libs=
	if [ -n "${1:-}" ]; then
		echo "#define HAVE_LIBURING 1" >>"$BUILD/config.h"
		libs=-luring
	fi
	$CC -std=gnu11 $CFLAGS -g $(hardening) -fPIE -pie \
		-fno-strict-aliasing -D_GNU_SOURCE -DVERSION='"bench"' \
		-I"$BUILD" -I"$TOP/include" -I"$TOP/src" -I"$TOP/tests" \
		"$HERE/core.c" $(sources "${1:-}") -o "$BUILD/core" \
		-lcmocka $libs -lpthread
}

# collect ENGINE [FILE]: runs it; totals to $BUILD/out.N, names to $BUILD/names.
collect() {
	# Relocations are resolved before, or they would be counted.
	LD_BIND_NOW=1 timeout 300 valgrind --tool=callgrind \
		--collect-atstart=no --callgrind-out-file="$BUILD/out" \
		"$BUILD/core" "$@" >"$BUILD/names" 2>"$BUILD/log" || {
		tail -n 15 "$BUILD/log" >&2
		return 1
	}
}

# The file that callgrind wrote for a case.
part() { grep -l "Client Request: $1\$" "$BUILD"/out.* | head -n 1; }

# Lines "case instructions-per-request".
figures() {
	while read -r name requests; do
		sed -n 's/^summary: *//p' "$(part "$name")" | awk \
			-v name="$name" -v n="$requests" \
			'{ printf "%s %.1f\n", name, $1 / n }'
	done <"$BUILD/names"
}

# Figures depend on the compiler.
compiler() {
	machine=$($CC -dumpmachine | cut -d- -f1)
	name=$($CC --version | head -n 1 | cut -d' ' -f1)
	version=$($CC -dumpversion | cut -d. -f1)
	echo "$machine-$name-$version$CFLAGS" | tr -d ' '
}

compare() {
	awk -v compiler="$1" -v limit="$LIMIT" -v tolerance="$TOLERANCE" '
		FNR == NR {
			if ($1 == compiler)
				expected[$2] = $3
			next
		}
		{
			more = expected[$1] ? ($2 / expected[$1] - 1) * 100 : 0
			above = $1 ~ /batch_32$/ && $2 > limit
			bad = more > tolerance || above
			printf "%s %s: %.1f instructions per request", \
				bad ? "not ok" : "ok", $1, $2
			if (expected[$1])
				printf ", %+.1f %% of %s", more, expected[$1]
			else
				printf ", nothing expected of %s", compiler
			if (above)
				printf ", above the limit of %d", limit
			if (more < -tolerance)
				printf " (better: core.sh --update)"
			printf "\n"
			n[bad]++
		}
		END {
			printf "%d passed, %d failed\n", n[0], n[1]
			exit n[1] > 0 || n[0] == 0
		}' "$EXPECTED" -
}

update() {
	{
		sed -n '/^#/p' "$EXPECTED"
		grep -v "^#\|^$1 " "$EXPECTED" || true
		while read -r name value; do
			echo "$1 $name $value"
		done
	} >"$BUILD/expected"
	cp "$BUILD/expected" "$EXPECTED"
	grep "^$1 " "$EXPECTED"
}

profile() {
	engine=${1:-null}
	file=
	[ "$engine" != io_uring ] || uring=uring
	build "${uring:-}"
	if [ "$engine" != null ]; then
		file=$BUILD/image
		truncate -s 1M "$file"
	fi
	collect "$engine" ${file:+"$file"}
	figures
	for case in read_batch_1 read_batch_32; do
		echo
		echo "$case:"
		self_cost "$(sed -n "s/^$case //p" "$BUILD/names")" \
			"$(part "$case")" | sort -rn | head -n 40
	done
}

# self_cost REQUESTS FILE: lines "instructions-per-request function".
# (callgrind_annotate is lost when collecting begins inside of main.)
self_cost() {
	awk -v n="$1" '
		/^(fn|cfn)=\(/ {
			id = $1
			sub(/^c?fn=/, "", id)
			if (NF > 1)
				name[id] = $2
			if ($1 ~ /^fn/)
				now = id
		}
		/^calls=/ { skip = 1; next }
		/^[-+*0-9]/ {
			if (!skip)
				cost[now] += $2
			skip = 0
		}
		END {
			for (id in cost)
				if (cost[id] >= n / 2)
					printf "%8.1f  %s\n", cost[id] / n, \
						name[id]
		}' "$2"
}

case ${1:-} in
--profile)
	profile "${2:-}"
	;;
--update)
	build
	collect null
	figures | update "$(compiler)"
	;;
'')
	build
	collect null
	figures >"$BUILD/figures"
	compare "$(compiler)" <"$BUILD/figures"
	;;
*)
	echo "core.sh: unknown argument: $1" >&2
	exit 2
	;;
esac
