# SPDX-License-Identifier: MIT
#
# Runs, in dom0, the scenarios of /rig/list (a line: name, seconds) one after
# the other and says on the console how each ended. Sourced by init.

RUN=/run/rig
GUEST_LOGS=/var/log/xen/console

# What a scenario left behind is removed; whatever resists is its failure.
clean_up() {
	for domid in $(xl list 2>/dev/null | awk 'NR > 1 && $2 != 0 { print $2 }'); do
		xl destroy "$domid" 2>/dev/null
	done
	[ ! -d /run/systemd/system ] || systemctl stop virtio-disk 'virtio-disk@*'
	killall -q -TERM virtio-disk
	wait_until 5 no_process virtio-disk || killall -q -KILL virtio-disk
	killall -q -KILL xl
	umount /mnt 2>/dev/null
	dmsetup remove_all --force 2>/dev/null
	for loop in /sys/block/loop*/loop; do
		[ ! -e "$loop" ] || losetup -d "/dev/$(basename "${loop%/loop}")"
	done
	rm -rf /images/* "$RUN"/*
	wait_until 5 only_dom0
}

no_process() { ! pidof "$1" >/dev/null; }

only_dom0() { [ "$(xl list | wc -l)" -eq 2 ]; }

# wait_until SECONDS COMMAND...
wait_until() {
	left=$(($1 * 10))
	shift
	until "$@"; do
		[ "$left" -gt 0 ] || return 1
		left=$((left - 1))
		usleep 100000
	done
}

# The scenario passes if it succeeded and left nothing of itself.
leftovers() {
	no_process virtio-disk || echo "the daemon still runs"
	only_dom0 || echo "a domain is left"
}

run_scenario() {
	name=$1
	limit=$2
	mkdir -p "$RUN"
	rm -f "$GUEST_LOGS"/*
	dmesg -c >/dev/null
	echo "@@BEGIN $name"
	timeout -k 5 "$limit" sh -eux "/rig/$name.sh" 3>&1 >"$RUN/out" 2>&1
	status=$?
	case $status in
	0) reason=$(leftovers | tr '\n' ' ') ;;
	124 | 137 | 143) reason="ran into its limit of $limit s" ;;
	*) reason=$(cat "$RUN/reason" 2>/dev/null ||
		echo "a command failed: $(tail -n 1 "$RUN/out")") ;;
	esac
	[ -z "$reason$VERBOSE" ] || show_logs
	clean_up || reason="$reason (cannot be cleaned up)"
	[ -z "$reason" ] && echo "@@PASS $name" || echo "@@FAIL $name $reason"
	only_dom0
}

show_logs() {
	xl list
	[ -z "$reason" ] || look_around
	for log in "$RUN/out" "$RUN"/*.log "$GUEST_LOGS"/*.log; do
		[ -e "$log" ] || continue
		echo "--- ${log##*/}"
		tail -n 60 "$log" | tr -d '\r'
	done
	echo "--- the kernel of dom0"
	dmesg | tail -n 40
	echo "--- end"
}

. /rig/look.sh
VERBOSE=
[ ! -e /rig/env ] || . /rig/env
while read -r name limit; do
	# After a boot that cannot be cleaned, the rest gets a fresh one.
	run_scenario "$name" "$limit" </dev/null || break
done </rig/list
echo "@@DONE"
