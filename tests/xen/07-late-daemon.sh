#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The daemon comes three seconds after xl create has begun to wait for it, and
# is told the domain by its number.
# limit: 200

. /rig/lib.sh

create() {
	_status=0
	xl create "$RUN/$GUEST.cfg" || _status=$?
	echo "$_status" >"$RUN/created.new"
	mv "$RUN/created.new" "$RUN/created"
}

disk=$(image disk.img 64)
guest_config "$(virtio_disk "$disk" xvda)" files vda
create &
wait_until 10 xenstore-exists "/local/domain/0/backend/virtio_disk" ||
	fail "xl create made no disk"
sleep 3
! exists "$RUN/created" || fail "xl create did not wait"

DOMAIN=$(xl domid "$GUEST")
daemon_start
wait_until 20 exists "$RUN/created" || fail "xl create does not end"
[ "$(cat "$RUN/created")" -eq 0 ] || fail "xl create failed"
guest_ends 120
files_arrived "$disk"
daemon_ends 10
