#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A worker that was taken over reaches neither another guest nor dom0: all that it
# could try with Xen's handles is tried, on two guests that run with their disks.
# limit: 400

. /rig/lib.sh

# serve NAME: a guest of that name, with one disk, and its daemon.
serve() {
	GUEST=$1
	DAEMON=$1
	GUEST_LOG=/var/log/xen/console/guest-$GUEST.log
	daemon_start
	guest_start "$(virtio_disk "$(image "$1.img" 16)" xvda)" idle vda
	guest_says 120 '@@GUEST idle'
}

GUEST_MEMORY=192
serve own
own=$(xl domid own)
serve other
status=0
reach "$own" "$(xl domid other)" >"$RUN/reach.log" 2>&1 || status=$?
while read -r line; do note "$line"; done <"$RUN/reach.log"
[ "$status" -eq 0 ] || fail "$(tail -n 1 "$RUN/reach.log")"
for name in own other; do
	! grep 'worker of domain' "$RUN/$name.log" || fail "a worker has died"
	xl destroy "$name"
done
for DAEMON in own other; do
	daemon_ends 20
done
