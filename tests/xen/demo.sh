#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What `make demo` shows: a guest makes a file system on a virtio-disk.
# limit: 240

. /rig/lib.sh

# Shows the guest's steps while they happen.
relay() {
	tr -d '\r' <"$GUEST_LOG" 2>/dev/null | sed -n 's/.*@@GUEST step //p' |
		tail -n "+$((shown + 1))" >"$RUN/steps"
	while read -r _step; do
		note "guest: $_step"
		shown=$((shown + 1))
	done <"$RUN/steps"
}

ended() {
	relay
	guest_said '@@GUEST DONE'
}

shown=0
disk=$(image demo.img 128)
note "dom0: virtio-disk --domain $GUEST"
daemon_start
note "dom0: xl create, with disk = [ $(virtio_disk "$disk" xvda) ]"
guest_start "$(virtio_disk "$disk" xvda)" demo vda
wait_until 150 ended || fail "the guest does not end"
guest_ends 20
files_arrived "$disk"
note "dom0: the image has the same files, checksum $(guest_word files)"
daemon_ends 10
note "dom0: the guest is gone, virtio-disk has ended with status 0"
