#!/bin/sh
# SPDX-License-Identifier: MIT
#
# bench-xen.sh: our daemon against in-kernel blkback on a real Xen, in one boot,
# in turns. The machine is emulated: ratios and counts mean something, absolute
# times do not.
#
# ROUNDS (3) and LOAD_SECONDS (4) may be set in the environment.

. "$(dirname "$0")/common.sh"

"$RIG/deps.sh" build cross rig
mkdir -p "$TOP/build/logs"
"$RIG/run.py" --script "$TOP/tests/xen/bench.sh" --env "ROUNDS=${ROUNDS:-3}" \
	--env "LOAD_SECONDS=${LOAD_SECONDS:-4}" "$@" |
	python3 "$RIG/bench_table.py"
