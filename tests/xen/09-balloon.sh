#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The guest's memory shrinks and grows under verified I/O (INVALIDATE).
# limit: 400

. /rig/lib.sh

ROUNDS=3
disk=$(image disk.img 96)
daemon_start
guest_start "$(virtio_disk "$disk" xvda)" balloon vda "$ROUNDS"
# The guest says when, and looks whether it happened.
for round in $(seq "$ROUNDS"); do
	guest_says 120 "@@GUEST small $round"
	xl mem-set "$GUEST" 168
	guest_says 120 "@@GUEST large $round"
	xl mem-set "$GUEST" 256
done
guest_ends 120
daemon_ends 10
