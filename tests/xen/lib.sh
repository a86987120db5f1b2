# SPDX-License-Identifier: MIT
#
# What the scenarios share. A scenario is a script that runs in dom0 under
# `sh -eux`: the first command that fails ends it, and fails it.

RUN=/run/rig
GUEST=guest
GUEST_LOG=/var/log/xen/console/guest-$GUEST.log
DAEMON=daemon

# fail TEXT...: ends the scenario with a reason.
fail() {
	echo "$*" >"$RUN/reason"
	exit 1
}

# note TEXT...: a finding worth showing whether or not the scenario passes.
note() { echo "@@NOTE $*" >&3; }

# wait_until SECONDS COMMAND...
wait_until() {
	set +x
	left=$(($1 * 10))
	shift
	until "$@"; do
		if [ "$left" -le 0 ]; then set -x; return 1; fi
		left=$((left - 1))
		usleep 100000
	done
	set -x
}

exists() { [ -e "$1" ]; }

says() { grep -Eqs -e "$2" "$1"; }

# seconds COMMAND...: runs it and leaves how long it took in $SECONDS_TAKEN.
seconds() {
	_begin=$(cut -d. -f1 /proc/uptime)
	"$@"
	SECONDS_TAKEN=$(($(cut -d. -f1 /proc/uptime) - _begin))
}

### The daemon; several of them have several names in $DAEMON.

# daemon_start [ARGUMENT...]: serves $GUEST, or the domain of number $DOMAIN.
daemon_start() {
	rm -f "$RUN/$DAEMON.status" "$RUN/$DAEMON.pid"
	daemon_process "$@" &
	wait_until 5 exists "$RUN/$DAEMON.pid" || fail "no daemon process"
}

daemon_process() {
	set +e
	sh -c 'echo $$ >"$0"; exec "$@"' "$RUN/$DAEMON.pid" \
		${DAEMON_AS:-} virtio-disk --domain "${DOMAIN:-$GUEST}" "$@" \
		>>"$RUN/$DAEMON.log" 2>&1
	echo $? >"$RUN/$DAEMON.status.new"
	mv "$RUN/$DAEMON.status.new" "$RUN/$DAEMON.status"
}

daemon_pid() { cat "$RUN/$DAEMON.pid"; }

# The worker of a monitor, by how it was executed.
worker_pid() { grep -lsz -x -e '--worke[r]' /proc/[0-9]*/cmdline | cut -d/ -f3; }

daemon_runs() { ! exists "$RUN/$DAEMON.status"; }

# daemon_ends SECONDS [STATUS]: it ends by itself in that time, with 0.
daemon_ends() {
	wait_until "$1" exists "$RUN/$DAEMON.status" ||
		fail "the $DAEMON did not end within $1 s"
	_status=$(cat "$RUN/$DAEMON.status")
	[ "$_status" -eq "${2:-0}" ] || fail "the $DAEMON ended with $_status"
}

daemon_stop() {
	kill -TERM "$(daemon_pid)"
	daemon_ends 10
}

# daemon_says SECONDS REGEX
daemon_says() {
	wait_until "$1" says "$RUN/$DAEMON.log" "$2" ||
		fail "the $DAEMON did not say: $2"
}

# stat_of NAME LINE: the value of NAME=... in a statistics line.
stat_of() { echo "$2" | tr ' ' '\n' | sed -n "s/^$1=//p"; }

# Prints the daemon's statistics line of this moment.
daemon_stats() {
	_lines=$(grep -c 'stats ' "$RUN/$DAEMON.log") || :
	kill -USR1 "$(daemon_pid)"
	wait_until 5 more_stats "$_lines" || fail "the $DAEMON gives no statistics"
	grep 'stats ' "$RUN/$DAEMON.log" | tail -n 1
}

more_stats() { [ "$(grep -c 'stats ' "$RUN/$DAEMON.log")" -gt "$1" ]; }

### The guest.

# virtio_disk PATH VDEV [MODE]: an entry for xl's list of disks.
virtio_disk() {
	echo "'phy:$1,$2,${3:-w},backendtype=standalone,specification=virtio',"
}

# pins COUNT: for each vCPU the one processor that it runs on. Xen for Arm handles
# the timer of a vCPU that sleeps where it slept last, without a lock: when the
# vCPU was woken and has run elsewhere meanwhile, the timer that its kernel has set
# anew is masked, and it sleeps for ever. On real processors that would take
# nanoseconds; a loaded machine stops emulated ones right in there. The vCPUs of
# dom0 are pinned by Xen's command line (run.py).
pins() {
	for _pin in $(seq "$1"); do
		printf '"%s",' $((_pin % 2))
	done
}

# guest_config DISKS SCRIPT [ARGUMENT...]: the guest runs tests/xen/guest/SCRIPT.
guest_config() {
	_disks=$1
	_script=$2
	shift 2
	# Without a word on acpi, xl mem-set of Xen 4.20 aborts on Arm.
	cat >"$RUN/$GUEST.cfg" <<-END
		acpi = 0
		name = "$GUEST"
		kernel = "/guest/vmlinuz"
		ramdisk = "/guest/initrd"
		memory = ${GUEST_MEMORY:-256}
		vcpus = ${GUEST_VCPUS:-1}
		cpus = [ $(pins "${GUEST_VCPUS:-1}") ]
		extra = "console=hvc0 quiet ${GUEST_EXTRA:-} vd.script=$_script vd.args=$(echo "$*" | tr ' ' ,)"
		on_poweroff = "destroy"
		on_reboot = "restart"
		on_crash = "destroy"
		disk = [ $_disks ]
	END
}

# guest_start DISKS SCRIPT [ARGUMENT...]
guest_start() {
	guest_config "$@"
	xl create "$RUN/$GUEST.cfg" || fail "xl create failed"
}

# guest_says SECONDS REGEX
guest_says() {
	wait_until "$1" guest_said "$2" || fail "the guest did not say: $2"
}

# A guest that has failed need not be waited for.
guest_said() {
	! says "$GUEST_LOG" '@@GUEST FAIL' ||
		fail "in the guest: $(sed -n 's/.*@@GUEST FAIL//p' "$GUEST_LOG" | tail -n 1)"
	says "$GUEST_LOG" "$1"
}

guest_gone() { ! xl list "$GUEST" >/dev/null 2>&1; }

# guest_ends SECONDS: its script succeeded and it switched itself off.
guest_ends() {
	guest_says "$1" '@@GUEST DONE'
	wait_until 20 guest_gone || fail "the guest does not go away"
}

# What the guest wrote after "@@GUEST WORD", the last time that it did.
guest_word() {
	tr -d '\r' <"$GUEST_LOG" | sed -n "s/.*@@GUEST $1 //p" | tail -n 1
}

guest_notes() {
	tr -d '\r' <"$GUEST_LOG" | sed -n 's/.*@@GUEST note //p' |
		while read -r _line; do note "$_line"; done
}

### Images, and what dom0 sees of them.

# image NAME MEGABYTES: a sparse file; prints its path.
image() {
	truncate -s "$2M" "/images/$1"
	echo "/images/$1"
}

checksum() { sha256sum <"$1" | cut -c1-16; }

# files_arrived IMAGE: the guest's files.sh wrote what dom0 finds there now.
files_arrived() {
	_guest=$(guest_word files)
	[ -n "$_guest" ] || fail "the guest compared nothing"
	case $1 in
	/dev/*) mount -t ext4 -o ro "$1" /mnt ;;
	*) mount -t ext4 -o ro,loop "$1" /mnt ;;
	esac
	_here=$(cd /mnt && find . -type f | sort | xargs sha256sum | sha256sum |
		cut -c1-16)
	umount /mnt
	[ "$_here" = "$_guest" ] || fail "the image has other files than the guest"
}

# on_loop IMAGE COMMAND...: runs it on a loop device of the image.
on_loop() {
	_loop=$(losetup -f)
	losetup "$_loop" "$1"
	shift
	_status=0
	"$@" "$_loop" || _status=$?
	losetup -d "$_loop"
	return $_status
}
