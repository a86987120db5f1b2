# SPDX-License-Identifier: MIT
#
# Where the time of a restart goes, by the kernel's own trace: no process is held up
# for it. Sourced by scenarios.
#
#	killed		the one before is told to end
#	executed	the monitor, and after it its worker; or a worker alone
#	loaded		its libraries are there: it opens /dev/null (base/standard_fds.c),
#			to read and write, which no loader does. (Xen for Arm lets no
#			kernel of a guest single-step, and so there are no uprobes.)
#	confined	the last list of system calls is in force
#	goes on		the last line of the log: the last disk has been taken over

TRACING=/sys/kernel/tracing

timeline_events() {
	for _event in sched/sched_process_exec syscalls/sys_enter_openat \
		syscalls/sys_enter_write syscalls/sys_exit_seccomp; do
		echo "$1" >"$TRACING/events/$_event/enable"
	done
}

# timeline_begin: just before it is killed.
timeline_begin() {
	: >"$TRACING/trace"
	echo mono >"$TRACING/trace_clock"
	echo 1 >"$TRACING/options/record-tgid"
	echo 'fd == 2' >"$TRACING/events/syscalls/sys_enter_write/filter"
	echo 'flags == 2' >"$TRACING/events/syscalls/sys_enter_openat/filter"
	timeline_events 1
	echo 1 >"$TRACING/tracing_on"
	echo killed >"$TRACING/trace_marker"
}

# timeline_end WHAT: all disks are served again.
timeline_end() {
	echo 0 >"$TRACING/tracing_on"
	cp "$TRACING/trace" "$RUN/timeline"
	timeline_events 0
	note "$1: $(timeline_sums <"$RUN/timeline")"
}

# COMM-TID (TGID) [CPU] FLAGS SECONDS: EVENT: ...
timeline_sums() {
	awk '
	function ms(from, to) { return int((to - from) * 1000 + 0.5) }
	!match($0, /\( *[0-9]+\) +\[/) { next }
	{
		tgid = substr($0, RSTART + 1) + 0
		rest = substr($0, RSTART)
		match(rest, /[0-9]+\.[0-9]+: /)
		now = substr(rest, RSTART, RLENGTH) + 0
	}
	/tracing_mark_write: killed/ { killed = now }
	!killed { next }
	/sched_process_exec: filename=(\/dev\/fd\/|[^ ]*\/virtio-disk )/ {
		ours[tgid] = 1
		executed[++n] = now
	}
	!(tgid in ours) { next }
	/sys_openat/ && !loaded[n] { loaded[n] = now }
	/sys_seccomp -> 0x0/ { confined[n] = now }
	/sys_write/ { goes_on = now }
	END {
		printf "%d ms", ms(killed, goes_on)
		printf ", of it %d until it is executed", ms(killed, executed[1])
		printf ", %d for its libraries", ms(executed[1], loaded[1])
		last = loaded[1]
		if (n > 1) {
			printf ", %d until its worker is executed",
				ms(last, executed[2])
			printf ", %d for that one'"'"'s libraries",
				ms(executed[2], loaded[2])
			last = loaded[2]
		}
		if (confined[n]) {
			printf ", %d until that is confined", ms(last, confined[n])
			last = confined[n]
		}
		printf ", %d until the last disk goes on\n", ms(last, goes_on)
	}'
}
