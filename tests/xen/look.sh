# SPDX-License-Identifier: MIT
#
# look_around: where guests, daemons and Xen stand when a scenario has failed:
# one that stood still left nothing in a log. Sourced by main.sh.
#
# How to read it: "<-" marks what does not agree. If nothing is marked, no vCPU
# runs, and the guest's vCPU has no virt_timer_expired among Xen's armed timers,
# then the guest sleeps for ever: its timer was lost, and not by the daemon.

# brief LINES COMMAND...: the end of what it says, in a short time.
brief() {
	_lines=$1
	shift
	timeout 10 "$@" 2>&1 | tail -n "$_lines"
}

look_at_tasks() {
	for task in /proc/"$1"/task/*; do
		echo "$(cat "$task/comm"): in $(cat "$task/wchan"), call $(cat "$task/syscall")"
	done 2>/dev/null
}

look_at_daemons() {
	for pid in $(pidof virtio-disk); do
		echo "--- daemon $pid (its statistics are in its log)"
		kill -USR1 "$pid"
		look_at_tasks "$pid"
	done
	for folder in /run/virtio-disk/[0-9]*; do
		[ ! -d "$folder" ] || brief 60 ringlook "$folder"
	done
	sleep 1
}

# look_at_guest DOMID VCPUS
look_at_guest() {
	for vcpu in $(seq 0 $(($2 - 1))); do
		echo "--- vCPU $vcpu of domain $1"
		timeout 10 xenctx "$1" "$vcpu" 2>&1 | head -n 4
	done
}

# Event channels and armed timers. Not "q": it walks lists that others change, and
# may never come back.
look_at_xen() {
	for key in e a; do
		echo "--- Xen, key $key"
		xl dmesg -c >/dev/null
		xl debug-keys "$key"
		sleep 1
		# The runner passes over lines with the mark of Xen's own.
		brief 120 xl dmesg | sed 's/^(XEN) //'
	done
}

look_around() {
	echo "--- vCPUs, and two seconds later"
	brief 20 xl vcpu-list
	sleep 2
	brief 20 xl vcpu-list
	look_at_daemons
	xl list | awk 'NR > 1 && $2 != 0 { print $2, $4 }' |
		while read -r domid vcpus; do look_at_guest "$domid" "$vcpus"; done
	look_at_xen
}
