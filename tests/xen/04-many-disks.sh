#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Three disks under checksummed traffic at once, in a guest with two vCPUs.
# limit: 400

. /rig/lib.sh

GUEST_VCPUS=2
one=$(image one.img 16)
two=$(image two.img 24)

daemon_start
guest_start "$(virtio_disk "$one" xvda) $(virtio_disk "$two" xvdb) \
	$(virtio_disk /dev/ram0 xvdc)" traffic vda 16 vdb 24 vdc 512
guest_ends 200
guest_notes
daemon_ends 10

# What the guest wrote last has its disk's number as the seed.
on_loop "$one" blkload -m check -s 1 -n 4 || fail "wrong content in $one"
on_loop "$two" blkload -m check -s 2 -n 4 || fail "wrong content in $two"
blkload -m check -s 3 -n 4 /dev/ram0 || fail "wrong content in /dev/ram0"
