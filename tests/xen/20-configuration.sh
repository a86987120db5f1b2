#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Two guests one after the other: the disk of one is in its disk line, with keys
# of configuration files; that of the other is a line virtio=[...], and all of it
# in a file. What would be served is shown, with who says so.
# limit: 300

. /rig/lib.sh

# shows REGEX: a line of what would be served.
shows() {
	virtio-disk --show-config "$GUEST" >"$RUN/shown" 2>&1 ||
		fail "--show-config: $(tail -n 1 "$RUN/shown")"
	says "$RUN/shown" "$1" || fail "it is not shown: $1"
}

# Nothing is served with a file that is wrong.
wrong_file() {
	printf '[disk xvda]\nchache = none\n' >/etc/virtio-disk/$GUEST.conf
	! virtio-disk --check-config "$GUEST" 2>"$RUN/said" ||
		fail "a wrong file is right"
	says "$RUN/said" "$GUEST.conf:2: .*is cache= meant" ||
		fail "the wrong line is not told"
	daemon_start
	daemon_ends 5 2
}

mkdir -p /etc/virtio-disk
wrong_file

disk=$(image disk.img 64)
printf '[defaults]\ncache = writeback\n' >/etc/virtio-disk/virtio-disk.conf
printf '[disk xvda]\nserial = of-file\n' >/etc/virtio-disk/$GUEST.conf
virtio-disk --check-config
daemon_start
guest_start "$(virtio_disk "$disk" xvda)" files vda
daemon_says 60 "$GUEST/xvda: serving"
shows "^cache = writeback .*; /etc/virtio-disk/virtio-disk.conf:2$"
shows "^serial = of-file .*; /etc/virtio-disk/$GUEST.conf:2$"
shows "^readonly = off .*; backend/virtio_disk/[0-9]*/51712/mode$"
guest_ends 120
files_arrived "$disk"
daemon_ends 10

# libxl knows of this one that it is a virtio device, and no more.
disk=$(image other.img 64)
cat >/etc/virtio-disk/$GUEST.conf <<-END
	[disk virtio0]
	file = $disk
END
daemon_start -v
guest_config "" files vda
echo 'virtio = [ "type=virtio,device2,transport=mmio,grant_usage=0" ]' \
	>>"$RUN/$GUEST.cfg"
xl create "$RUN/$GUEST.cfg" || fail "xl create failed"
daemon_says 60 "$GUEST/virtio0: serving"
shows "^file = $disk .*; /etc/virtio-disk/$GUEST.conf:2$"
shows "^; backend/virtio/[0-9]*/0$"
guest_ends 120
# libxl has not waited in vain for the answer to its state 5.
! says "/var/log/xen/xl-$GUEST.log" "unable to remove device|timed out" ||
	fail "xl was not answered"
files_arrived "$disk"
daemon_ends 10
