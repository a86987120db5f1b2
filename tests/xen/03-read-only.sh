#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A read-only disk: the guest reads it, cannot write, and the image is the same.
# limit: 200

. /rig/lib.sh

make_image() {
	/usr/sbin/mke2fs -q -F -t ext4 "$1"
	mount -t ext4 -o loop "$1" /mnt
	echo "written by dom0" >/mnt/greeting
	umount /mnt
}

# Whoever has the image open must not be able to write to it.
opened_for_writing() {
	for _process in $(pidof virtio-disk); do
		for _fd in "/proc/$_process/fd"/*; do
			[ "$(readlink "$_fd")" = "$1" ] || continue
			_found=yes
			_flags=$(sed -n 's/^flags:[^0-9]*//p' \
				"/proc/$_process/fdinfo/${_fd##*/}")
			[ $((_flags & 3)) -eq 0 ] || return 0
		done
	done
	[ -n "${_found:-}" ] || fail "the daemon does not have $1 open"
	return 1
}

disk=$(image disk.img 32)
make_image "$disk"
before=$(checksum "$disk")

daemon_start
guest_start "$(virtio_disk "$disk" xvda r)" readonly vda
! opened_for_writing "$disk" || fail "the image is open for writing"
guest_ends 120
daemon_ends 10
[ "$(checksum "$disk")" = "$before" ] || fail "the image has changed"
