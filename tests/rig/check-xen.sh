#!/bin/sh
# SPDX-License-Identifier: MIT
#
# check-xen.sh [ARGUMENT OF run.py]...: the scenarios on a real Xen.

. "$(dirname "$0")/common.sh"

"$RIG/deps.sh" build cross rig
exec "$RIG/run.py" "$@"
