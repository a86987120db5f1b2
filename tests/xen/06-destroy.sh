#!/bin/sh
# SPDX-License-Identifier: MIT
#
# xl destroy under heavy I/O: quick, without errors, and nothing is left over.
# limit: 400

. /rig/lib.sh

free_memory() { xl info | sed -n 's/^free_memory *: //p'; }

destroy() { xl destroy "$GUEST" 2>"$RUN/destroy.log"; }

# Pages that are still mapped would keep the domain, or its memory, alive.
memory_is_back() { [ $((free_before - $(free_memory))) -le 4 ]; }

disk=$(image disk.img 64)
free_before=$(free_memory)
daemon_start
guest_start "$(virtio_disk "$disk" xvda)" busy vda
guest_says 120 '@@GUEST busy'
sleep 2
xl dmesg -c >/dev/null

seconds destroy
[ ! -s "$RUN/destroy.log" ] || fail "xl destroy: $(head -n 1 "$RUN/destroy.log")"
[ "$SECONDS_TAKEN" -lt 30 ] || fail "xl destroy took $SECONDS_TAKEN s"
daemon_ends 10

wait_until 5 guest_gone || fail "the domain is still there"
! xl list | grep -q null || fail "the domain has become a zombie"
wait_until 10 memory_is_back || fail "memory of the guest is still in use"
xl dmesg >"$RUN/hypervisor.log"
! grep -Ei 'error|fault|warn|bug|crash' "$RUN/hypervisor.log" ||
	fail "Xen complains: $(grep -Ei -m 1 'error|fault|warn|bug|crash' \
		"$RUN/hypervisor.log")"
