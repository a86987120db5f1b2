#!/bin/sh
# SPDX-License-Identifier: MIT
#
# xl reboot: the second boot finds the data; one daemon process serves both.
# limit: 400

. /rig/lib.sh

domid() { xl domid "$GUEST"; }

disk=$(image disk.img 32)
daemon_start
guest_start "$(virtio_disk "$disk" xvda)" reboot vda
guest_says 120 '@@GUEST first boot'
first=$(domid)

xl reboot "$GUEST"
guest_says 90 '@@GUEST second boot'
[ "$(domid)" != "$first" ] || fail "it is still the same domain"
daemon_runs || fail "the daemon did not live through the reboot"
guest_ends 30
daemon_ends 10
