#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The daemon is killed again and again while a guest of two vCPUs uses four disks,
# one of them on a store that takes half a second for a write; once it is replaced
# by another version, once it ends by SIGTERM, and once nobody serves for some
# seconds. The guest notices nothing.
# limit: 500

. /rig/lib.sh

GUEST_VCPUS=2
KILLS=${KILLS:-20}

served() { grep -c 'going on with' "$RUN/$DAEMON.log" || :; }

serves_all() { [ "$(served)" -ge "$1" ]; }

# ends SIGNAL STATUS: the daemon, by that signal.
ends() {
	kill "-$1" "$(daemon_pid)"
	daemon_ends 20 "$2"
}

# comes_back: the next daemon has all four disks; how long that took.
comes_back() {
	_wanted=$(($(served) + 4))
	daemon_start
	wait_until 60 serves_all "$_wanted" ||
		fail "the next daemon did not take all disks over"
}

# Another version of the program, and no other difference.
upgrade() {
	sed 's/0\.1\.0/0.1.9/g' "$(command -v virtio-disk)" >"$RUN/virtio-disk"
	chmod +x "$RUN/virtio-disk"
	! cmp -s "$RUN/virtio-disk" "$(command -v virtio-disk)" ||
		fail "it is the same program"
	PATH=$RUN:$PATH
}

goes_on() {
	_beats=$(grep -c '@@GUEST beat' "$GUEST_LOG") || :
	wait_until 60 more_beats "$_beats" || fail "the guest stands still"
}

more_beats() { [ "$(grep -c '@@GUEST beat' "$GUEST_LOG")" -gt "$1" ]; }

echo "0 32768 delay /dev/ram0 0 0 /dev/ram0 0 500" | dmsetup create slow
dmsetup mknodes
files=$(image files.img 64)
word=$(image word.img 16)
daemon_start
guest_start "$(virtio_disk "$(image data.img 64)" xvda)
	$(virtio_disk "$files" xvdb) $(virtio_disk /dev/mapper/slow xvdc)
	$(virtio_disk "$word" xvdd)" takeover vda vdb vdc vdd
guest_says 120 '@@GUEST busy'

for turn in $(seq "$KILLS"); do
	usleep $((turn * 70000))
	ends KILL 137
	comes_back
done
goes_on

upgrade
ends TERM 0
daemon_says 5 'left .* disks? of domain'
sleep 5
comes_back
goes_on

echo stop | dd of="$word" conv=notrunc 2>/dev/null
guest_notes
guest_ends 120
daemon_ends 10
files_arrived "$files"
! exists "/run/virtio-disk/$(xl domid "$GUEST" 2>/dev/null)/server" ||
	fail "the state of a guest that is gone is still there"
