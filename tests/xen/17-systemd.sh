#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The unit, as it is installed, under systemd: restarted, killed and stopped while a
# guest of two vCPUs uses four disks; what it forbids is refused, and nothing that
# the daemon does. The guest notices nothing; where it is destroyed the instance ends.
# init: systemd
# limit: 400

. /rig/lib.sh
. /rig/timeline.sh

GUEST_VCPUS=2
# A vCPU that waits for a daemon stands still, and after 20 s its kernel says so.
GUEST_EXTRA="watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=300"
UNIT=virtio-disk@$GUEST.service
# The same settings for another program.
TWIN=refused@$GUEST.service

# ours [ARGUMENT...]: what the program has said, not what systemd says of it.
ours() { journalctl -q --no-pager -o cat "_SYSTEMD_UNIT=$UNIT" "$@"; }

property() { systemctl show -P "$2" "$1"; }

unit_is() { [ "$(property "$UNIT" ActiveState)" = "$1" ]; }

# refused_calls PROCESS: system calls that a list has not let through, by their numbers.
# PROCESS is by what the kernel calls it: comm="..." or exe="...".
# Not 435, clone3(), whose flags no list can see: the unit has it fail as if there were
# none (RestrictNamespaces=), and the C library takes clone() from then on.
refused_calls() {
	dmesg | grep 'type=1326 ' | grep -F "$1" |
		sed -n 's/.* syscall=\([0-9]*\).*/\1/p' | grep -vx 435 | sort -nu
}

### What the unit forbids, tried by a program under the same settings.

twin_start() {
	cat >"$RUN/refused.sh" <<-'END'
		export PATH=/usr/lib/busybox
		denied() { "$@" 2>/dev/null && echo "not refused: $*"; }
		denied touch /usr/here
		denied touch /boot/here
		denied touch /etc/here
		denied head -c 1 /dev/hvc0
		denied head -c 1 /dev/mem
		denied mount -t tmpfs none /mnt
		denied chown 1 /images
		denied nice -n -5 true
		denied sysctl -w kernel.panic=1
		denied readlink /proc/1/fd/0
		denied ls /proc/meminfo
		denied unshare -m true
		denied insmod /modules/brd.ko
		denied ip link set lo up
		head -c 1 /dev/ram0 >/dev/null || echo "no block device"
		: </dev/xen/privcmd || echo "no privcmd"
		: </dev/xen/evtchn || echo "no event channels"
		: >/run/virtio-disk/here && rm /run/virtio-disk/here ||
			echo "no state"
		: >/images/here && rm /images/here || echo "no images"
		sed -n 's/^\(NoNewPrivs\|Seccomp\|CapBnd\|CapEff\):[[:space:]]*/\1 /p' \
			/proc/self/status
	END
	sed -e "s|^ExecStart=.*|ExecStart=/usr/bin/sh $RUN/refused.sh|" \
		-e 's/^Restart=.*//' -e 's/^Type=.*/Type=oneshot/' \
		"$(property "$UNIT" FragmentPath)" \
		>"/run/systemd/system/${TWIN%@*}@.service"
	systemctl daemon-reload
	systemctl start "$TWIN" || fail "the unit's settings do not start a program"
}

# 2 + 8: CAP_DAC_OVERRIDE and CAP_FOWNER.
wanted_of_twin() {
	cat <<-END
		CapBnd 000000000000000a
		CapEff 000000000000000a
		NoNewPrivs 1
		Seccomp 2
	END
}

twin_is_held() {
	mkdir -p /boot
	twin_start
	journalctl -q --no-pager -o cat "_SYSTEMD_UNIT=$TWIN" |
		sort >"$RUN/twin.log"
	wanted_of_twin | cmp -s - "$RUN/twin.log" ||
		fail "the unit's settings: $(tr '\n' ';' <"$RUN/twin.log")"
	# Or the look for refused calls at the end would find nothing, ever.
	[ -n "$(refused_calls 'comm="mount"')" ] || fail "a refused call is not told"
	dmesg -c >/dev/null
}

### The daemon under it.

served() { ours | grep -c 'going on with' || :; }

serves_all() { [ "$(served)" -ge "$1" ]; }

# again COMMAND...: after that, another process has all four disks.
again() {
	_wanted=$(($(served) + 4))
	_pid=$(property "$UNIT" MainPID)
	"$@" || fail "failed: $*"
	wait_until 60 serves_all "$_wanted" ||
		fail "the next process did not take all disks over: $*"
	[ "$(property "$UNIT" MainPID)" != "$_pid" ] || fail "the same process: $*"
	unit_is active || fail "the unit is not active: $*"
	goes_on
}

# The monitor of an instance that loses its worker makes another.
worker_again() {
	_wanted=$(($(served) + 4))
	_pid=$(property "$UNIT" MainPID)
	kill -KILL "$(worker_pid)"
	wait_until 60 serves_all "$_wanted" || fail "there is no next worker"
	[ "$(property "$UNIT" MainPID)" = "$_pid" ] ||
		fail "the monitor has ended with its worker"
	goes_on
}

goes_on() {
	_beats=$(grep -c '@@GUEST beat' "$GUEST_LOG") || :
	wait_until 60 more_beats "$_beats" || fail "the guest stands still"
}

more_beats() { [ "$(grep -c '@@GUEST beat' "$GUEST_LOG")" -gt "$1" ]; }

# lists_of PID: how many lists of system calls it has.
lists_of() { sed -n 's/^Seccomp_filters:[[:space:]]*//p' "/proc/$1/status"; }

# What monitor and worker have: that of the unit, and a list of their own above those
# that their nursery has of it.
processes_are_held() {
	_nursery=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$(worker_pid)/status")
	for pid in $(property "$UNIT" MainPID) "$(worker_pid)"; do
		for line in "NoNewPrivs:	1" "Seccomp:	2" \
			"CapBnd:	000000000000000a"; do
			grep -q "^$line" "/proc/$pid/status" ||
				fail "process $pid has not $line"
		done
		[ "$(lists_of "$pid")" -gt "$(lists_of "$_nursery")" ] ||
			fail "process $pid has no list of its own"
	done
}

# A worker asks for more than the unit lets it have, and says so: capset() and
# setgroups(), unshare().
nothing_else_is_refused() {
	_ours="exe=\"$(command -v virtio-disk)\""
	for number in $(refused_calls 'comm="virtio-disk"') \
		$(refused_calls 'comm="vdisk-nursery"') \
		$(refused_calls "$_ours" | grep -vx -e 91 -e 159 -e 97); do
		fail "the unit refuses system call $number: $(dmesg |
			grep -m 1 "syscall=$number ")"
	done
	ours >"$RUN/ours.log"
	_refused=$(grep -Ei 'refus|denied|not permitted|not allowed|EPERM|EACCES' \
		"$RUN/ours.log" | head -n 1)
	[ -z "$_refused" ] || fail "refused: $_refused"
	_kept=$(sed -n 's/.*the worker may not give up: //p' "$RUN/ours.log" |
		sort -u)
	note "by the unit a worker keeps: $_kept"
	for line in "the host's files" "Landlock" "system calls"; do
		case $_kept in
		*"$line"*) fail "the unit does not let a worker give up: $_kept" ;;
		esac
	done
}

twin_is_held

echo "0 32768 delay /dev/ram0 0 0 /dev/ram0 0 500" | dmsetup create slow
dmsetup mknodes
files=$(image files.img 64)
word=$(image word.img 16)
systemctl start "$UNIT" || fail "the unit does not start"
guest_start "$(virtio_disk "$(image data.img 64)" xvda)
	$(virtio_disk "$files" xvdb) $(virtio_disk /dev/mapper/slow xvdc)
	$(virtio_disk "$word" xvdd)" takeover vda vdb vdc vdd stays
guest_says 120 '@@GUEST busy'
processes_are_held

again systemctl restart "$UNIT"
timeline_begin
again systemctl kill -s KILL "$UNIT"
timeline_end "a restart by systemd"
again systemctl kill -s KILL --kill-whom=main "$UNIT"
worker_again

systemctl stop "$UNIT"
unit_is inactive || fail "the unit is not stopped"
! pidof virtio-disk || fail "a process is left of a stopped unit"
sleep 1
_beats=$(grep -c '@@GUEST beat' "$GUEST_LOG") || :
sleep 5
! more_beats "$_beats" || fail "the guest is served by nobody, and goes on"
again systemctl start "$UNIT"

echo stop | dd of="$word" conv=notrunc 2>/dev/null
guest_says 120 '@@GUEST verified'
xl destroy "$GUEST"
wait_until 20 unit_is inactive || fail "the instance does not end with its guest"
[ "$(property "$UNIT" Result)" = success ] ||
	fail "the instance ended with $(property "$UNIT" Result)"
files_arrived "$files"

nothing_else_is_refused
