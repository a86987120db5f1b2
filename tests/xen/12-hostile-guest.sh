#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A guest plays hostile on one disk: its other disk, another guest and dom0 stay.
# limit: 300

. /rig/lib.sh

# as NAME: what follows is about that guest and its daemon.
as() {
	GUEST=$1
	DAEMON=daemon-$1
	GUEST_LOG=/var/log/xen/console/guest-$1.log
}

mine=$(image mine.img 16)
other=$(image other.img 24)
theirs=$(image theirs.img 24)
GUEST_MEMORY=192
# The registers of both disks lie in one page, of which a driver holds a part.
GUEST_EXTRA=iomem=relaxed

as neighbour
daemon_start
guest_start "$(virtio_disk "$theirs" xvda)" traffic vda 24

as hostile
daemon_start
guest_start "$(virtio_disk "$mine" xvda) $(virtio_disk "$other" xvdb)" \
	hostile vda vdb
xl dmesg -c >/dev/null
guest_ends 200
guest_notes
daemon_ends 10
[ "$(wc -l <"$RUN/$DAEMON.log")" -lt 200 ] ||
	fail "the guest made the daemon write $(wc -l <"$RUN/$DAEMON.log") lines"

as neighbour
guest_ends 120
daemon_ends 10
on_loop "$other" blkload -m check -s 2 -n 4 || fail "wrong content in $other"
on_loop "$theirs" blkload -m check -s 1 -n 4 || fail "wrong content in $theirs"
xl dmesg >"$RUN/hypervisor.log"
! grep -Ei 'fault|bug|crash|panic' "$RUN/hypervisor.log" ||
	fail "Xen complains: $(grep -Ei -m 1 'fault|bug|crash|panic' \
		"$RUN/hypervisor.log")"
