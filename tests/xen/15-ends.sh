#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A disk is detached while a vCPU stands in a reset that waits for its I/O; it is
# attached again, twice; then the daemon ends in the same situation. The vCPU is
# let go when the I/O is over, not before, and all of them go on.
# limit: 400

. /rig/lib.sh

GUEST_VCPUS=2
GUEST_EXTRA=iomem=relaxed

word() { echo "$1" | dd of="$other" conv=notrunc 2>/dev/null; }

state_is() { [ "$(xenstore-read "$dir/state" 2>/dev/null)" = "$1" ]; }

# What libxl would write: xl of Xen 4.20 neither detaches a virtio disk nor has an
# address for one that comes later.
attach_again() {
	xenstore-write "$dir/params" /dev/mapper/slow "$dir/dev" xvda \
		"$dir/mode" w "$dir/base" "$base" "$dir/irq" "$irq" \
		"$dir/online" 1 "$dir/state" 1
	wait_until 10 state_is 2 || fail "the disk is not served again"
}

ask_detach() { xenstore-write "$dir/online" 0 "$dir/state" 5; }

# detached: the daemon has answered, and libxl removes the directory.
detached() {
	wait_until 10 state_is 6 || fail "the disk is not closed"
	xenstore-rm "$dir"
}

# hold_and WORD TURN COMMAND...: the command ends the disk while a read is held.
hold_and() {
	dmsetup suspend --noflush --nolockfs slow
	word "$1"
	guest_says 60 "@@GUEST held $2"
	_turn=$2
	shift 2
	# It says so before.
	sleep 2
	"$@"
	sleep 2
	! says "$GUEST_LOG" "@@GUEST let go.*$_turn" ||
		fail "the vCPU was let go with I/O in flight"
	! state_is 6 || fail "the disk was closed with I/O in flight"
	daemon_runs || fail "the daemon has ended with I/O in flight"
	dmsetup resume slow
}

# beats_on PROCESSOR: three more than there are now.
beats_on() {
	_beats=$(grep -c "@@GUEST beat$1" "$GUEST_LOG") || :
	wait_until 30 more_beats "$1" $((_beats + 3)) ||
		fail "vCPU $1 stands still"
}

more_beats() { [ "$(grep -c "@@GUEST beat$1" "$GUEST_LOG")" -ge "$2" ]; }

echo "0 32768 linear /dev/ram0 0" | dmsetup create slow
dmsetup mknodes
other=$(image other.img 16)
daemon_start --end=detach
guest_start "$(virtio_disk /dev/mapper/slow xvda) $(virtio_disk "$other" xvdb)" \
	ends vda vdb
guest_says 120 '@@GUEST unbound'
dir=/local/domain/0/backend/virtio_disk/$(xl domid "$GUEST")/51712
base=$(xenstore-read "$dir/base")
irq=$(xenstore-read "$dir/irq")

hold_and hold once ask_detach
detached
guest_says 30 '@@GUEST let go, 0 bytes.*once'

for turn in first second; do
	attach_again
	word "$turn"
	guest_says 90 "@@GUEST used $turn"
	ask_detach
	detached
done

attach_again
xl dmesg -c >/dev/null
hold_and third twice kill -TERM "$(daemon_pid)"
daemon_ends 10
state_is 6 || fail "the daemon has left state $(xenstore-read "$dir/state")"
guest_says 30 '@@GUEST let go, 0 bytes.*twice'
beats_on 0
beats_on 1

seconds xl destroy "$GUEST"
[ "$SECONDS_TAKEN" -lt 30 ] || fail "xl destroy took $SECONDS_TAKEN s"
wait_until 5 guest_gone || fail "the domain is still there"
xl dmesg >"$RUN/hypervisor.log"
! grep -Ei 'bug|crash|panic' "$RUN/hypervisor.log" ||
	fail "Xen complains: $(grep -Ei -m 1 'bug|crash|panic' \
		"$RUN/hypervisor.log")"
