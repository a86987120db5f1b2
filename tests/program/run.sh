#!/bin/bash
# SPDX-License-Identifier: MIT
#
# run.sh [PROGRAM]: the started program in its surroundings: descriptors,
# limits, signals, a log that nobody reads, its command line and its exit
# status. One line for each test, and how many failed at the end.

set -u

HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/../vhost/lib.sh" "$@"
EXAMPLES=$HERE/../../examples/config

# As that of lib.sh, with more time than a loaded machine needs.
wait_for() {
	for _ in $(seq 600); do
		"$@" 2>/dev/null && return 0
		sleep 0.05
	done
	fail "in vain waited for: $*"
}

# front_end COMMAND...: its output.
front_end() { timeout 60 python3 "$HERE/front_end.py" "$SOCKET" "$@"; }

# is WHAT WANTED: for what a command has printed.
is() { [ "$1" = "$2" ] || fail "\"$1\" instead of \"$2\""; }

says() { grep -q -- "$1" "$SOCKET.log" || fail "the log does not say: $1"; }

# ---- serials --------------------------------------------------------------

# serial_is PATTERN [KEYS]
serial_is() {
	serve "${2:-}" || return 1
	serial=$(front_end id)
	stop || return 1
	echo "$serial" | grep -q -x "$1" || fail "$serial is not $1"
}

# Each image has its own, and keeps it.
serials() {
	new_image 1M
	serial_is "[0-9a-f]\{16\}" || return 1
	first=$serial
	serial_is "$first" && mv "$WORK/image" "$WORK/old" && new_image 1M ||
		return 1
	serial_is "[0-9a-f]\{16\}" && [ "$serial" != "$first" ] ||
		fail "two images have the serial $first" || return 1
	serial_is web id=web && serial_is S1 id=web,serial=S1
}

# ---- descriptors ----------------------------------------------------------

# Started without 0, 1 and 2: no log line may reach the image.
standard_fds_closed() {
	new_image 1M
	"$PROGRAM" --vhost-user "$SOCKET" \
		--disk "file=$WORK/image,cache=writeback" <&- >&- 2>&- &
	DAEMON=$!
	wait_for test -S "$SOCKET" && front_end read 0 >"$WORK/out" || return 1
	for fd in 0 1 2; do
		is "$(readlink "/proc/$DAEMON/fd/$fd")" /dev/null || return 1
	done
	stop && cmp -n 1048576 "$WORK/image" /dev/zero
}

# connected FD PROGRAM ARGUMENT...: started on a connected socket as FD; what
# it sent there goes to standard output.
connected() {
	python3 - "$@" <<-'END'
		import os, socket, subprocess, sys
		fd = int(sys.argv[1])
		ours, theirs = socket.socketpair()
		def give():
		    os.dup2(theirs.fileno(), fd)
		    os.set_inheritable(fd, True)
		child = subprocess.Popen(sys.argv[2:], preexec_fn=give,
		                         pass_fds=[fd] if fd > 2 else [])
		theirs.close()
		ours.settimeout(20)
		said = b''
		try:
		    ours.sendall(b'\1\0\0\0\1\0\0\0\0\0\0\0')
		    said = ours.recv(20)
		    ours.close()
		except OSError:
		    pass
		print(len(said), child.wait())
	END
}

# An inherited socket as standard input is served, ...
socket_is_standard_input() {
	new_image 1M
	is "$(connected 0 "$PROGRAM" --fd 0 --disk "file=$WORK/image" \
		2>"$SOCKET.log")" "20 0"
}

# ... but the log is not written into what the front end reads.
socket_is_standard_error() {
	new_image 1M
	set -- $(connected 2 "$PROGRAM" --fd 2 --disk "file=$WORK/image")
	is "$2" 2
}

# ---- limits ---------------------------------------------------------------

# A write behind the limit on the size of files fails, and that is all.
# file_size_limit KEYS
file_size_limit() {
	new_image 16M
	(
		ulimit -c 0
		ulimit -f 1024
		exec "$PROGRAM" --vhost-user "$SOCKET" \
			--disk "file=$WORK/image,$1" 2>"$SOCKET.log"
	) &
	DAEMON=$!
	wait_for grep -q "threads*, on" "$SOCKET.log" || return 1
	# Sector 2048 is at 1 MiB, which is the limit.
	is "$(echo $(front_end write 0 write 2047 write 2048 write 0))" \
		"0 0 1 0" && stop
}

file_size_limit_threads() { file_size_limit engine=threads; }
file_size_limit_io_uring() { file_size_limit engine=io_uring; }
file_size_limit_libaio() { file_size_limit engine=libaio,cache=writeback; }

# Each of these ends or stops a process that does not care for it.
other_signals() {
	new_image 1M
	serve || return 1
	for signal in PIPE XFSZ XCPU TTOU TTIN IO URG CHLD; do
		kill "-$signal" "$DAEMON"
	done
	is "$(front_end write 0)" 0 && stop
}

# ---- the trace ------------------------------------------------------------

# family SIGNAL: of all its processes, as a whole control group is sent it.
family() {
	# shellcheck disable=SC2046
	kill -s "$1" "$DAEMON" $(children "$DAEMON") "$(worker)"
}

# Without a trace messages are noted and requests are not; with one each is a
# line. Signals for that do no harm to whoever else is sent them.
traced() {
	new_image 1M
	serve && is "$(front_end write 0)" 0 && family USR2 &&
		wait_for says "trace: vhost-user: end of the events" &&
		says "event .* message SET_VRING_NUM bytes=8$" &&
		says "event .* device loses its front end$" &&
		! grep "trace: .* request" "$SOCKET.log" && family RTMIN+1 &&
		wait_for says "the trace is switched on" &&
		is "$(front_end write 8)" 0 &&
		is "$(front_end id | wc -l)" 1 &&
		wait_for says "trace: vhost-user: [0-9.]* request begin queue=0 id=[0-9]* type=write sector=8 length=512$" &&
		wait_for says "request end queue=0 .*type=write sector=8 length=512 status=OK time=[0-9]*us$" &&
		wait_for says "request end .*type=get-id .*status=OK" &&
		wait_for says "[0-9] message SET_MEM_TABLE bytes=" &&
		wait_for says "[0-9] notify queue=0$" &&
		family RTMIN+2 && wait_for says "the trace is switched off" &&
		_before=$(grep -c "request begin" "$SOCKET.log") &&
		is "$(front_end write 16)" 0 &&
		is "$(grep -c "request begin" "$SOCKET.log")" "$_before" &&
		alive && stop
}

# Whoever kills a worker finds in the log what it has done.
traced_worker_dies() {
	new_image 1M
	serve && is "$(front_end write 0)" 0 || return 1
	kill -KILL "$(worker)"
	wait_for says "the last [0-9]* events, as the worker has ended" &&
		wait_for says "event .* message SET_VRING_KICK bytes=8$" &&
		wait_for says "trace: vhost-user: end of the events" &&
		wait_for front_end write 8 >"$WORK/out" && alive && stop
}

# A driver that breaks its ring finds in the log what it has done, but no more of
# that than is of use.
traced_needs_reset() {
	new_image 1M
	serve || return 1
	for _ in 1 2 3; do
		is "$(front_end write 0 break hold 0.3)" 0 || return 1
	done
	wait_for says "the last [0-9]* events, as the device needs a reset" &&
		says "event .* device needs reset$" &&
		says "event .* message SET_VRING_NUM bytes=8$" &&
		is "$(grep -c "the device needs a reset" "$SOCKET.log")" 1 &&
		alive && stop
}

# Where the build has found their header, the static probes are in the program.
probes() {
	_notes=$(readelf -n "$PROGRAM")
	if ! grep -q "define HAVE_SYS_SDT_H 1" "$(dirname "$PROGRAM")/config.h"
	then
		echo "    (built without)"
		! echo "$_notes" | grep stapsdt
		return
	fi
	_wanted="request_begin request_end notification message"
	grep -q "define HAVE_XEN 1" "$(dirname "$PROGRAM")/config.h" &&
		_wanted="$_wanted register_read register_write"
	for _name in $_wanted; do
		echo "$_notes" | grep -A 2 "Provider: virtio_disk" |
			grep -q "Name: $_name\$" ||
			fail "no probe $_name" || return 1
	done
}

# ---- a log that nobody reads ----------------------------------------------

# full_pipe FIFO: opened as 9, with a reader that stands still.
full_pipe() {
	mkfifo "$1"
	sleep 1000 <"$1" &
	OTHERS="$OTHERS $!"
	exec 9>"$1"
	python3 - <<-'END'
		import os
		os.set_blocking(9, False)
		try:
		    while True:
		        os.write(9, b'x' * 4096)
		except BlockingIOError:
		    os.set_blocking(9, True)
	END
}

# Requests are served and SIGTERM is heard though no line can be written.
log_is_full() {
	new_image 1M
	full_pipe "$WORK/pipe" || return 1
	"$PROGRAM" --vhost-user "$SOCKET" --disk "file=$WORK/image" 2>&9 9>&- &
	DAEMON=$!
	exec 9>&-
	wait_for test -S "$SOCKET"
	is "$(front_end write 0)" 0 && is "$(front_end write 0)" 0 && stop
}

# Priorities are for journald only, not for who inherits its variable.
log_is_no_journal() {
	new_image 1M
	export JOURNAL_STREAM=8:1
	serve && stop
	status=$?
	unset JOURNAL_STREAM
	! grep '^<' "$SOCKET.log" || return 1
	return $status
}

# ---- signals and a store that does not answer -----------------------------

# hanging: a daemon whose store stands still, with a write that waits. Without a
# sandbox: who makes it stand still looks at files.
hanging() {
	new_image 3M
	gcc -shared -fPIC -o "$WORK/hang.so" "$HERE/hang.c" -ldl || return 1
	rm -f "$WORK/hang" "$WORK/hang.look" "$WORK/hang.hangs"
	LD_PRELOAD=$WORK/hang.so HANG=$WORK/hang start --no-sandbox \
		--disk "file=$WORK/image,engine=threads" || return 1
	is "$(front_end write 0)" 0 && : >"$WORK/hang" || return 1
	front_end start hold 60 &
	OTHERS="$OTHERS $!"
	wait_for test -e "$WORK/hang.hangs"
}

# again SIGNAL: not so soon that it is taken for the same one.
again() {
	sleep 0.3
	kill "-$1" "$DAEMON"
	wait_for gone || fail "it goes on" || return 1
	wait "$DAEMON" 2>/dev/null
	is $? 1 && DAEMON= && says "a second signal" || return 1
	[ ! -e "$SOCKET" ] || fail "the socket is left"
}

alive() { kill -0 "$DAEMON" 2>/dev/null || fail "it has ended"; }

# One signal waits for the requests in flight, a second one does not.
second_signal() {
	hanging && kill -TERM "$DAEMON" && wait_for says "waiting for 1" &&
		says "another one ends it" && alive && again "$1"
}

second_signal_term() { second_signal TERM; }
second_signal_int() { second_signal INT; }

# The loop itself stands still, in a look at the image's size.
second_signal_loop_hangs() {
	hanging && : >"$WORK/hang.look" || return 1
	# The write makes that file as well, again and again.
	mv "$WORK/hang" "$WORK/was" && sleep 0.3 && rm "$WORK/hang.hangs" &&
		kill -HUP "$DAEMON" || return 1
	wait_for test -e "$WORK/hang.hangs"
	sleep 0.3
	kill -TERM "$DAEMON"
	wait_for says "another one ends it" && alive && again TERM &&
		says "the loop stands still"
}

# Both signals of timeout(1) are one: the requests are waited for.
doubled_signal() {
	hanging || return 1
	kill -TERM "$DAEMON"
	kill -TERM "$DAEMON"
	wait_for says "waiting for 1" && alive || return 1
	rm "$WORK/hang"
	wait_for gone && wait "$DAEMON" && DAEMON=
}

# ---- the command line -----------------------------------------------------

# ends STATUS SENTENCE ARGUMENT...
ends() {
	timeout 20 "$PROGRAM" "${@:3}" >"$WORK/out" 2>&1
	is $? "$1" || return 1
	grep -q -- "$2" "$WORK/out" || fail "$(cat "$WORK/out")"
}

# A wrong line is told from something that is missing.
exit_status() {
	new_image 1M
	vhost="--vhost-user $SOCKET --disk"
	long=$(printf %0108d 0)
	ends 2 "file= is missing" $vhost readonly=on &&
		ends 2 "engine=null" $vhost size=1G &&
		ends 2 "exclude" $vhost "file=$WORK/image,size=512K" &&
		ends 2 "multiple" $vhost engine=null,size=1 &&
		ends 2 "given twice" $vhost "file=$WORK/image,queues=1,queues=2" &&
		ends 2 "written twice" $vhost "file=$WORK/image," &&
		ends 2 "107 bytes" --vhost-user "$long" \
			--disk "file=$WORK/image" &&
		ends 2 "^virtio-disk: error: unknown option --bogus" --bogus &&
		ends 2 "^virtio-disk: error: --disk needs KEY=VALUE" --disk &&
		ends 2 "engine=foo" $vhost "file=$WORK/image,engine=foo" &&
		ends 2 "twice" --vhost-user "$WORK/other" \
			$vhost "file=$WORK/image" &&
		ends 1 "no such file" $vhost "file=$WORK/nothing"
}

# What the program starts itself is nothing to be started by hand.
worker_by_hand() {
	ends 2 "starts itself" --worker 7 3<&- &&
		ends 2 "starts itself" --worker 7 3</dev/null &&
		ends 2 "starts itself" --worker 7 --domain web
}

# With -v the log has all keys, in a form that is taken again.
keys_in_effect() {
	new_image 1M
	wanted="file=$WORK/image,format=raw,readonly=on,cache=writeback,"
	wanted="${wanted}discard=auto,engine=auto,queues=2,queue-size=1024,"
	wanted="${wanted}packed=off,iothreads=0"
	for keys in "file=$WORK/image,readonly=on,cache=writeback,queues=2" \
		"$wanted"; do
		"$PROGRAM" -v --vhost-user "$SOCKET" --disk "$keys" \
			2>"$SOCKET.log" &
		DAEMON=$!
		wait_for says "debug: vhost-user: $wanted\$" && stop || return 1
	done
}

# refused SENTENCE [FILE]: the image cannot be served.
refused() {
	ends 1 "$1" --vhost-user "$SOCKET" --disk "file=${2:-$WORK/image}"
}

# What an image or its surroundings do not allow is named.
image_sentences() {
	new_image 0
	refused "is empty" && printf x >"$WORK/image" &&
		refused "has 1 bytes" && new_image 1M || return 1
	# Not on every file system, nor for everybody.
	if chattr +i "$WORK/image" 2>/dev/null; then
		refused "chattr -i"
		status=$?
		chattr -i "$WORK/image"
		[ $status -eq 0 ] || return 1
		chattr +a "$WORK/image"
		refused "chattr -a"
		status=$?
		chattr -a "$WORK/image"
		[ $status -eq 0 ] || return 1
	fi
	loop=$(losetup -f 2>/dev/null)
	[ -z "$loop" ] || refused "has no size" "$loop"
}

# As the sandbox of a unit has it: only to this process.
image_read_only_to_unit() {
	new_image 1M
	mkdir -p "$WORK/protected"
	mv "$WORK/image" "$WORK/protected"
	protected='mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"'
	if ! unshare -m sh -c "$protected" sh "$WORK/protected" 2>"$WORK/out"
	then
		echo "    (not tried: $(cat "$WORK/out"))"
		return
	fi
	export WORK PROGRAM SOCKET
	for unit in "" 1; do
		unshare -m sh -c "$protected"' || exit 9
			[ -z "$2" ] || export INVOCATION_ID=$2
			exec "$PROGRAM" --vhost-user "$SOCKET" \
				--disk "file=$1/image"' sh \
			"$WORK/protected" "$unit" >"$WORK/out" 2>&1
		is $? 1 && grep -q "is read-only" "$WORK/out" || return 1
		is "$(grep -c ReadWritePaths "$WORK/out")" "${unit:-0}" ||
			return 1
	done
}

# ---- what it gives up -----------------------------------------------------

# threads_have NAME VALUE [PROCESS]: in what the kernel says of each.
threads_have() {
	for _status in /proc/"${3:-$DAEMON}"/task/*/status; do
		is "$(sed -n "s/^$1:[[:space:]]*//p" "$_status")" "$2" ||
			return 1
	done
}

core_limit_is() {
	is "$(awk '/^Max core/ { print $5, $6 }' "/proc/$DAEMON/limits")" "$1"
}

sandboxed() {
	new_image 1M
	for keys in "" engine=threads engine=libaio,cache=none; do
		serve "$keys" && threads_have NoNewPrivs 1 &&
			threads_have Seccomp 2 && core_limit_is "0 0" &&
			threads_have NoNewPrivs 1 "$(worker)" &&
			threads_have Seccomp 2 "$(worker)" &&
			threads_have CapEff 0000000000000000 "$(worker)" &&
			front_end read 0 >"$WORK/out" && stop || return 1
	done
	start --no-sandbox --disk "file=$WORK/image" &&
		says "no sandbox" && threads_have NoNewPrivs 0 &&
		core_limit_is "$(ulimit -Sc) $(ulimit -Hc)" || return 1
	# Unless this shell has one itself.
	is "$(sed -n 's/^Seccomp://p' "/proc/$DAEMON/status")" \
		"$(sed -n 's/^Seccomp://p' /proc/self/status)" && stop
}

# Where the guest's memory lies decides how it is looked at.
memory_in_a_file() {
	new_image 1M
	serve || return 1
	for file in "$WORK/memory" "/dev/shm/${WORK##*/}"; do
		GUEST_MEMORY=$file front_end read 0 >"$WORK/out"
		_status=$?
		rm -f "$file"
		[ $_status -eq 0 ] || return 1
	done
	# One without a device is looked at more closely, and refused.
	mkdir -p "$WORK/ramfs"
	unshare -m sh -c 'mount -t ramfs none "$1" && shift && exec "$@"' sh \
		"$WORK/ramfs" env "GUEST_MEMORY=$WORK/ramfs/memory" \
		timeout 60 python3 "$HERE/front_end.py" "$SOCKET" read 0 \
		>"$WORK/out" 2>&1
	stop
}

# What the unit leaves of root's rights, and of /proc.
rights_of_the_unit() {
	_unit=$HERE/../../systemd/virtio-disk@.service
	_caps=$(sed -n 's/^CapabilityBoundingSet=//p' "$_unit" |
		tr 'A-Z' 'a-z' | sed 's/cap_/,+/g; s/ //g')
	_proc='mount -t proc -o hidepid=2,subset=pid proc /proc'
	if ! unshare -m sh -c "$_proc" 2>/dev/null ||
		! setpriv --bounding-set "-all$_caps" true 2>/dev/null; then
		echo "    (not tried: such rights cannot be had)"
		return
	fi
	cat >"$WORK/as_unit" <<-END
		#!/bin/sh
		exec unshare -m sh -c '$_proc && exec setpriv \\
			--bounding-set "-all$_caps" --inh-caps -all "\$@"' \\
			sh "$PROGRAM" "\$@"
	END
	chmod +x "$WORK/as_unit"
	new_image 1M
	chown 65534:65534 "$WORK/image"
	chmod 600 "$WORK/image"
	_program=$PROGRAM
	PROGRAM=$WORK/as_unit
	for keys in engine=io_uring engine=libaio,cache=none engine=threads; do
		serve "$keys" && front_end read 0 >"$WORK/out" && stop &&
			! grep -i warning "$SOCKET.log"
		_status=$?
		[ $_status -eq 0 ] || break
	done
	PROGRAM=$_program
	return $_status
}

# in_use PROGRAM SENTENCE: who tries to serve the image as well is told so.
in_use() {
	timeout 20 "$1" --vhost-user "$WORK/other" \
		--disk "file=$WORK/image" >"$WORK/out" 2>&1
	is $? 1 && grep -q "$2" "$WORK/out" || fail "$(cat "$WORK/out")"
}

# Without root's rights its own files in /proc are root's: it still opens its
# image by them, and finds no holder of a lock but its own user's by name.
other_user() {
	_nobody="setpriv --reuid 65534 --regid 65534 --clear-groups"
	if [ "$(id -u)" -ne 0 ] || ! $_nobody true 2>/dev/null; then
		echo "    (not tried: no other user can be had)"
		return
	fi
	new_image 1M
	cp "$PROGRAM" "$WORK/program"
	chown 65534:65534 "$WORK" "$WORK/image"
	_program=$PROGRAM
	printf '#!/bin/sh\nexec %s "%s" "$@"\n' "$_nobody" "$WORK/program" \
		>"$WORK/as_nobody"
	chmod +x "$WORK/as_nobody"
	PROGRAM=$WORK/as_nobody
	serve cache=none && front_end read 0 >"$WORK/out" && stop &&
		! grep -i warning "$SOCKET.log" && serve readonly=on
	_status=$?
	PROGRAM=$_program
	[ $_status -eq 0 ] || return 1
	threads_have Uid "$(printf '65534\t65534\t65534\t65534')" &&
		is "$(stat -c %u "/proc/$DAEMON/mem")" 0 &&
		front_end read 0 >"$WORK/out" &&
		in_use "$PROGRAM" "in use by another process (pid $DAEMON" &&
		in_use "$WORK/as_nobody" "in use by another process" && stop &&
		! grep -i warning "$SOCKET.log"
}

# rounds AT-LEAST: how often the loop was said to go round.
rounds() { [ "$(grep -c WATCHDOG=1 "$WORK/told")" -ge "$1" ]; }

# Once it is ready, and that it goes round, which it does not where it stands still.
service_manager_is_told() {
	new_image 1M
	python3 "$HERE/manager.py" "$WORK/notify" >"$WORK/told" &
	_manager=$!
	wait_for test -S "$WORK/notify" || return 1
	export NOTIFY_SOCKET="$WORK/notify" WATCHDOG_USEC=200000
	serve
	_status=$?
	unset NOTIFY_SOCKET WATCHDOG_USEC
	[ $_status -eq 0 ] && wait_for rounds 3 &&
		is "$(grep -v WATCHDOG=1 "$WORK/told")" READY=1 &&
		kill -STOP "$DAEMON" && sleep 0.3 &&
		_before=$(wc -l <"$WORK/told") && sleep 1 &&
		is "$(wc -l <"$WORK/told")" "$_before" &&
		kill -CONT "$DAEMON" && wait_for rounds $((_before + 1)) &&
		! grep -q NOTIFY_SOCKET "/proc/$(worker)/environ" &&
		stop
	_status=$?
	kill $_manager
	return $_status
}

# Help that was not read is no success.
output_is_full() {
	for option in --help --version; do
		"$PROGRAM" $option >/dev/full 2>"$WORK/out"
		is $? 1 && grep -q "standard output" "$WORK/out" || return 1
		"$PROGRAM" $option >"$WORK/out" || return 1
		[ -s "$WORK/out" ] || fail "nothing was printed" || return 1
	done
}

# ---- configuration files ---------------------------------------------------

# checks STATUS SENTENCE ARGUMENT...: --check-config, and what it says.
checks() {
	_wanted=$1 _says=$2
	shift 2
	"$PROGRAM" --check-config "$@" >"$WORK/out" 2>&1
	is $? "$_wanted" && grep -q -F -- "$_says" "$WORK/out" ||
		fail "$* does not say $_says: $(cat "$WORK/out")"
}

# Those of the tree are right.
example_configuration() {
	checks 0 "web.conf: right, 3 disks" --config "$EXAMPLES" &&
		checks 0 "virtio-disk.conf: right" --config "$EXAMPLES" &&
		checks 0 "web.conf: right" web --config "$EXAMPLES"
}

# The status tells what is wrong from what cannot be read; nobody is served with
# the one, nor with the other.
check_configuration() {
	_dir=$WORK/config
	mkdir -p "$_dir" && checks 0 "there is no configuration" \
		--config "$_dir" || return 1
	checks 1 "$_dir/web.conf: there is no such file" web --config "$_dir" &&
		checks 1 "a directory or a guest's file" --config "$_dir/x" &&
		checks 2 "no file is called like that" ../x --config "$_dir" ||
		return 1
	printf '[disk xvda]\n\nchache = none\n' >"$_dir/web.conf"
	printf '[disk xvda]\npacked = on\n' >"$_dir/db.conf"
	checks 2 "$_dir/web.conf:3: unknown key \"chache\"" --config "$_dir" &&
		checks 2 "is cache= meant?" --config "$_dir/web.conf" &&
		checks 0 "right, 1 disk" db --config "$_dir" || return 1
	timeout 20 "$PROGRAM" --domain web --config "$_dir" >"$WORK/out" 2>&1
	is $? 2 && grep -q "web.conf:3: unknown key" "$WORK/out" || return 1
	# Not of itself, but together.
	printf '[defaults]\nlegacy = on\n' >"$_dir/virtio-disk.conf"
	checks 2 "db.conf:1: together with $_dir/virtio-disk.conf: legacy=on" db \
		--config "$_dir" || return 1
	printf '[disk xvdb]\npacked = on\n' >>"$_dir/db.conf"
	checks 2 "db.conf:3: together with" db --config "$_dir" || return 1
	chmod o+w "$_dir/virtio-disk.conf"
	checks 1 "chmod o-w" db --config "$_dir"
}

# Without xenstore what files say is shown, line by line. (With one the tests of
# the whole program on a model of it.)
show_configuration() {
	[ ! -S /run/xenstored/socket ] && [ ! -e /dev/xen/xenbus ] || return 0
	"$PROGRAM" --config "$EXAMPLES" --show-config web --disk id=xvda,queues=7 \
		>"$WORK/out" 2>"$WORK/err" || return 1
	grep -q "^; guest web: xenstore cannot be asked" "$WORK/out" &&
		grep -q "^serial = web-root  *; $EXAMPLES/web.conf:7$" "$WORK/out" &&
		grep -q "^queues = 7  *; --disk$" "$WORK/out" &&
		grep -q "^queues = 2  *; $EXAMPLES/virtio-disk.conf:10$" \
			"$WORK/out" || fail "$(cat "$WORK/out")" || return 1
	# It is a guest's file that says the same again.
	mkdir -p "$WORK/shown" && cp "$WORK/out" "$WORK/shown/web.conf" &&
		checks 0 "web.conf: right, 3 disks" --config "$WORK/shown"
}

run_all example_configuration check_configuration show_configuration sandboxed service_manager_is_told memory_in_a_file other_user rights_of_the_unit serials exit_status worker_by_hand keys_in_effect output_is_full image_sentences \
	image_read_only_to_unit second_signal_term second_signal_int second_signal_loop_hangs \
	doubled_signal log_is_full log_is_no_journal file_size_limit_threads file_size_limit_io_uring \
	file_size_limit_libaio other_signals traced traced_worker_dies traced_needs_reset probes standard_fds_closed socket_is_standard_input socket_is_standard_error nothing_refused
