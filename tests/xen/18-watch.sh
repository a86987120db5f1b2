#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The watcher as a unit: enabled, it starts with the host before the guests that the
# host starts, and `xl create` needs no step before it. It is restarted and killed, an
# instance is killed, guests reboot, are renamed, come and go, and notice nothing.
# init: systemd
# limit: 900

. /rig/lib.sh

WATCHER=virtio-disk.service

property() { systemctl show -P "$2" "$1"; }

is_in() { [ "$(property "$1" ActiveState)" = "$2" ]; }

# unit_of GUEST: of the domain that is called so now.
unit_of() { echo "virtio-disk@$(xl domid "$1").service"; }

log_of() { echo "/var/log/xen/console/guest-$1.log"; }

beats() { grep -c '@@GUEST beat' "$(log_of "$1")" || :; }

more_beats() { [ "$(beats "$1")" -gt "$2" ]; }

# goes_on GUEST
goes_on() {
	_beats=$(beats "$1")
	wait_until 60 more_beats "$1" $((_beats + 1)) || fail "$1 stands still"
	! says "$(log_of "$1")" '@@GUEST FAIL' || fail "$1: a disk has failed"
}

# shows UNIT TEXT: systemctl status has it in the line of the status.
shows() { systemctl status "$1" | grep -q "Status: \".*$2"; }

# has UNIT TEXT
has() {
	wait_until 20 shows "$1" "$2" ||
		fail "$1 does not show $2: $(systemctl status "$1" | grep Status:)"
}

# config NAME SCRIPT: of a guest with a disk of its own, which is vda.
config() {
	GUEST=$1
	guest_config "$(virtio_disk "$(image "$1.img" 32)" xvda)" "$2" vda
}

said() {
	wait_until 150 says "$(log_of "$1")" "$2" || fail "$1 did not say: $2"
}

is_gone() { ! xl list "$1" >/dev/null 2>&1; }

is_another() {
	_pid=$(property "$1" MainPID)
	[ "$_pid" -ne 0 ] && [ "$_pid" -ne "$2" ] && is_in "$1" active
}

# xl gives a disk ten seconds, which is enough for a unit but where many others have
# the emulated processors: what ran into that limit is tried again. An emulator that
# stands still is no fault of the watcher's.
tries() {
	cat >"$RUN/create" <<-END
		#!/usr/bin/sh
		for try in 1 2 3 4; do
			$(command -v xl) create "\$@" 2>$RUN/create.err && exit 0
			cat $RUN/create.err >&2
			grep -q 'unable to add device.* rc -9' $RUN/create.err || exit 1
			echo again >>$RUN/create.again
		done
		exit 1
	END
	chmod +x "$RUN/create"
}

# create NAME [ARGUMENT...]: a guest, with no step before it.
create() {
	_name=$1
	shift
	"$RUN/create" "$@" "$RUN/$_name.cfg" || fail "$_name: xl create failed"
}

# An xl that starts a guest anew tries once.
comes_back() {
	! says "$(log_of "$1")" "$2" || return 0
	says "/var/log/xen/xl-$1.log" 'unable to add device.* rc -9' || return 1
	# It takes away what it has of it.
	! xl list "$1" >/dev/null 2>&1 || return 1
	echo again >>"$RUN/create.again"
	create "$1"
	return 1
}

### The host starts: the guest first, by what xendomains does.

host_starts() {
	cat >/etc/systemd/system/xendomains.service <<-END
		[Unit]
		Description=The guests of this host
		After=xenstored.service xen-init-dom0.service xenconsoled.service
		[Service]
		Type=oneshot
		RemainAfterExit=yes
		Environment=PATH=$PATH
		ExecStart=$RUN/create $RUN/first.cfg
		ExecStop=$(command -v xl) shutdown -w first
		# An xl of each guest is there to take it away.
		KillMode=process
		[Install]
		WantedBy=multi-user.target
	END
	# Of no use here.
	systemctl mask systemd-logind getty.target systemd-user-sessions
	systemctl daemon-reload
	systemctl enable "$WATCHER" xendomains
	systemctl start multi-user.target
	is_in "$WATCHER" active || fail "the watcher did not start with the host"
	is_in xendomains.service active ||
		fail "the host's guest did not start: $(systemctl status xendomains |
			tail -n 3)"
	[ "$(property "$WATCHER" ActiveEnterTimestampMonotonic)" -le \
		"$(property xendomains.service InactiveExitTimestampMonotonic)" ] ||
		fail "guests were started before the watcher was ready"
}

config first beats
config second reboot
config third beats
tries
host_starts
said first '@@GUEST beat'
first=$(unit_of first)
is_in "$first" active || fail "$first is not active"
has "$first" "1 disk, 1 guest: first"
has "$WATCHER" "1 guest\""

### Two at once.

seconds create second
note "xl create took $SECONDS_TAKEN s, its instance and the guest's memory included"
second=$(unit_of second)
[ "$second" != "$first" ] || fail "both guests have one unit"
has "$WATCHER" "2 guests\""
has "$second" "1 disk, 1 guest: second"
goes_on first
said second '@@GUEST first boot'

### The watcher goes and comes while they run.

pids="$(property "$first" MainPID) $(property "$second" MainPID)"
systemctl restart "$WATCHER"
has "$WATCHER" "2 guests\""
_pid=$(property "$WATCHER" MainPID)
systemctl kill -s KILL "$WATCHER"
wait_until 30 is_another "$WATCHER" "$_pid" || fail "the watcher is not started again"
has "$WATCHER" "2 guests\""
[ "$(property "$first" MainPID) $(property "$second" MainPID)" = "$pids" ] ||
	fail "an instance was started anew with the watcher"
goes_on first

### An instance is systemd's.

_pid=$(property "$first" MainPID)
kill -KILL "$_pid"
wait_until 30 is_another "$first" "$_pid" || fail "$first is not started again"
goes_on first
has "$first" "1 disk, 1 guest: first"
xl rename first renamed
goes_on first
xl rename renamed first
is_in "$first" active || fail "$first has ended with the name"

### A reboot makes another domain, and another instance.

xl reboot second
wait_until 150 comes_back second '@@GUEST second boot' || :
said second '@@GUEST second boot'
said second '@@GUEST DONE'
wait_until 30 is_in "$second" inactive || fail "$second has not ended"
[ "$(property "$second" Result)" = success ] || fail "$second has failed"
wait_until 30 shows "$WATCHER" "1 guest\"" || fail "the watcher knows who is gone"

### Guests that are gone before they have begun.

for n in 1 2 3; do
	create third -p
	xl destroy third
done
create third
said third '@@GUEST beat'
third=$(unit_of third)
has "$WATCHER" "2 guests\""
xl destroy third
wait_until 30 is_in "$third" inactive || fail "$third has not ended"
goes_on first

### Each line of an instance is found by its guest.

lines_of() { journalctl -q --no-pager -o cat "GUEST=$1" | grep -c "$2" || :; }

[ "$(lines_of "$(xl domid first)" 'first/xvda: serving')" -ge 1 ] ||
	fail "the journal has no line of the first guest"
[ "$(lines_of "$(xl domid first)" second)" -eq 0 ] ||
	fail "the journal has a line of another guest"

### The host ends: all at once is asked to, and the guest is first.

since=$(property "$first" ExecMainStartTimestampMonotonic)
# One transaction, as the end of a host is.
cat >/run/systemd/system/host-ends.target <<-END
	[Unit]
	DefaultDependencies=no
	Conflicts=$first $WATCHER xendomains.service
	After=$first $WATCHER xendomains.service
END
systemctl daemon-reload
systemctl start host-ends.target
says "$(log_of first)" 'reboot: Power down' || fail "the guest was not shut down"
wait_until 60 is_gone first || fail "the guest is still there"
for unit in "$first" "$WATCHER"; do
	is_in "$unit" inactive || fail "$unit has not ended"
	[ "$(property "$unit" InactiveEnterTimestampMonotonic)" -ge \
		"$(property xendomains.service InactiveEnterTimestampMonotonic)" ] ||
		fail "$unit has ended before the guests"
done
[ "$(property "$first" ExecMainStartTimestampMonotonic)" = "$since" ] ||
	fail "the instance was started anew meanwhile"
! pidof virtio-disk || fail "a process is left"
[ -z "$(ls /run/virtio-disk | grep -v watch)" ] || fail "states are left"
failed=$(systemctl list-units --failed --plain --no-legend 'virtio-disk*')
[ -z "$failed" ] || fail "failed: $failed"
systemctl disable "$WATCHER" xendomains
rm /etc/systemd/system/xendomains.service /run/systemd/system/host-ends.target
systemctl daemon-reload

[ ! -e "$RUN/create.again" ] ||
	note "$(wc -l <"$RUN/create.again") times xl did not wait long enough for a disk"

### What the unit forbids was not needed.

journalctl -q --no-pager -o cat "_SYSTEMD_UNIT=$WATCHER" >"$RUN/watcher.log"
! grep -Ei 'refus|denied|not permitted|not allowed' "$RUN/watcher.log" ||
	fail "refused: $(grep -Ei 'refus|denied|not permitted' "$RUN/watcher.log" |
		head -n 1)"
for call in $(dmesg | grep 'type=1326 ' | grep -E 'comm="(virtio-disk|systemctl)"' |
	sed -n 's/.*comm="\([a-z-]*\)".* syscall=\([0-9]*\).*/\1:\2/p' | sort -u); do
	case $call in
	virtio-disk:435 | systemctl:435) ;;
	virtio-disk:*) fail "the unit refuses system call ${call#*:}" ;;
	*) note "refused by the watcher's unit: $call" ;;
	esac
done
