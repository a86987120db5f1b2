#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The rig itself: a guest on a disk of the kernel's own back end.
# limit: 200

. /rig/lib.sh

guest_start "'phy:/dev/ram0,xvda,rw'" files xvda
guest_ends 120
[ -n "$(guest_word files)" ] || fail "the guest compared nothing"
