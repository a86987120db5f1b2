#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The guest's kernel is the distribution's own; shows what it negotiated.
# limit: 200

. /rig/lib.sh

# accepted BIT: the guest's driver took that feature.
accepted() { [ "$(echo "$features" | cut -c$(($1 + 1)))" = 1 ]; }

disk=$(image disk.img 16)
daemon_start
guest_start "$(virtio_disk "$disk" xvda)" about vda
guest_ends 120
daemon_ends 10
guest_notes

version=$(cat /guest/version)
guest_word kernel | grep -Fq " Debian $version " ||
	fail "the guest runs another kernel than Debian's $version"
features=$(guest_word features)
accepted 32 || fail "VERSION_1 was not negotiated"
accepted 2 || fail "SEG_MAX was not negotiated"
accepted 9 || fail "FLUSH was not negotiated"
accepted 28 || fail "INDIRECT_DESC was not negotiated"
accepted 29 || fail "EVENT_IDX was not negotiated"
