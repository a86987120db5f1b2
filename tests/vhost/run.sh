#!/bin/bash
# SPDX-License-Identifier: MIT
#
# run.sh [PROGRAM]: the vhost-user back end with real clients (libblkio), and
# the daemon around it. One line for each test, and how many failed at the end.

set -u

HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lib.sh" "$@"

"$HERE/../rig/deps.sh" build vhost || exit 1
LIB=$("$HERE/amd64.sh" libblkio) || exit 1
export LD_LIBRARY_PATH=$LIB/usr/lib/x86_64-linux-gnu
gcc -O2 -Wall -Wextra -I"$LIB/usr/include" "$HERE/blkio_check.c" \
	-o "$WORK/check" -L"$LD_LIBRARY_PATH" -lblkio -lpthread || exit 1

check() {
	timeout 120 "$WORK/check" "$SOCKET" "$WORK/state" "$@" \
		>"$WORK/out" 2>&1 || fail "$(tail -n 3 "$WORK/out")"
}

# A client that goes on until it is killed; by itself, since a signal to
# timeout(1) would leave it behind, to write to the state file.
start_client() {
	"$WORK/check" "$SOCKET" "$WORK/state" ops=100000000 "$@" \
		>"$WORK/out" 2>&1 &
	client=$!
	OTHERS="$OTHERS $client"
}

kill_client() {
	{ kill -9 "$client" && wait "$client"; } 2>/dev/null
	OTHERS=
	! grep blkio_check "$WORK/out" >&2
}

image_is_right() {
	"$WORK/check" --image "$WORK/image" "$WORK/state" >"$WORK/out" 2>&1 ||
		fail "$(cat "$WORK/out")"
}

# ---- tests ----------------------------------------------------------------

# data OPTIONS-OF-DISK ARGUMENT-OF-CLIENT...
data() {
	options=$1
	shift
	new_image
	serve "$options" && check "$@" && stop && image_is_right
}

one_queue() { data "" ops=30000; }
four_queues() { data queues=4 queues=4 ops=10000 depth=32; }
threads_of_queues() { data queues=4,iothreads=2 queues=4 ops=10000 depth=32; }
thread_each() { data queues=3,iothreads=3 queues=3 ops=10000; }
polling_client() { data queues=2 queues=2 poll=1 ops=5000; }
engine_threads() { data engine=threads ops=10000; }
engine_libaio() { data engine=libaio,cache=none ops=5000; }
cache_none() { data cache=none ops=5000; }
cache_writethrough() { data cache=writethrough ops=3000; }
depth_one() { data "" depth=1 ops=5000; }
small_queue() { data queue-size=256 depth=64 ops=10000; }

read_only() {
	new_image
	: >"$WORK/state"
	serve readonly=on && check readonly=1 ops=2000 || return 1
	! check ops=100 2>/dev/null ||
		fail "a write to a read-only disk went well" || return 1
	stop
}

# mark OFFSET; marked OFFSET: a byte of the image, of no length on the disk.
mark() { printf x | dd of="$WORK/image" bs=1 seek="$1" conv=notrunc 2>/dev/null; }
marked() { [ "$(dd if="$WORK/image" bs=1 skip="$1" count=1 2>/dev/null)" = x ]; }

# Some drivers zero as much as they like in one request.
long_zeroes() {
	most=4294963200
	new_image 5G
	for at in 0 70000000 3221225472 $((most - 1)) $most; do
		mark "$at"
	done
	serve || return 1
	timeout 60 "$WORK/check" --zeroes "$SOCKET" "$most" >"$WORK/out" 2>&1 ||
		fail "$(cat "$WORK/out")" || return 1
	stop || return 1
	for at in 0 70000000 3221225472 $((most - 1)); do
		marked "$at" && fail "$at is not zeroed" && return 1
	done
	marked "$most" || fail "more than that is zeroed" || return 1
	rm "$WORK/image"
}

# Clients that are killed in the middle, and others that come after them.
client_killed() {
	new_image
	serve "${1:-queues=2}" || return 1
	for i in $(seq 15); do
		start_client queues=2 seed="$i"
		sleep "0.$((i % 4 + 1))5"
		kill_client || return 1
	done
	check queues=2 ops=5000 && stop && image_is_right
}

client_killed_threads() { client_killed queues=2,iothreads=2; }

# The page cache outlives the daemon; whatever was answered has to be there.
daemon_killed() {
	new_image
	for i in $(seq 10); do
		serve || return 1
		start_client seed="$i"
		sleep "0.$((i % 4 + 1))"
		stop KILL
		kill_client && image_is_right || return 1
	done
	serve && check ops=2000 && stop && image_is_right
}

# The worker dies alone: the same daemon, on the same socket, has another one.
worker_killed() {
	new_image
	serve || return 1
	inode=$(stat -c %i "$SOCKET")
	for i in $(seq 5); do
		start_client seed="$i"
		sleep "0.$((i % 4 + 1))"
		kill -9 $(worker) || return 1
		wait_for has_said "threads*, on" $((i + 1)) || return 1
		kill_client && image_is_right || return 1
	done
	has_said "worker has ended: killed by signal 9" 5 ||
		fail "$(cat "$SOCKET.log")" || return 1
	[ "$(stat -c %i "$SOCKET")" = "$inode" ] ||
		fail "the socket is another one" || return 1
	check ops=2000 && stop && image_is_right
}

# A signal under load: nothing that was answered is lost.
terminated_under_load() {
	new_image
	serve || return 1
	start_client
	sleep 0.5
	stop || fail "exit status $?" || return 1
	kill_client || return 1
	[ ! -e "$SOCKET" ] || fail "the socket is left" || return 1
	image_is_right
}

rights_of_the_socket() {
	new_image
	serve || return 1
	[ "$(stat -c %a "$SOCKET")" = 600 ] ||
		fail "$(stat "$SOCKET")" || return 1
	stop
	[ ! -e "$SOCKET" ] || fail "the socket is left"
}

stale_socket() {
	new_image
	serve || return 1
	stop KILL
	[ -S "$SOCKET" ] || fail "no socket is left over" || return 1
	serve && check ops=100 && stop
}

socket_in_use() {
	new_image
	truncate -s 1M "$WORK/other"
	serve || return 1
	timeout 5 "$PROGRAM" --vhost-user "$SOCKET" --disk "file=$WORK/other" \
		2>"$WORK/out" && fail "two daemons on a socket" && return 1
	grep -q "in use" "$WORK/out" || fail "$(cat "$WORK/out")" || return 1
	check ops=100 && stop || return 1
	echo precious >"$WORK/file"
	timeout 5 "$PROGRAM" --vhost-user "$WORK/file" \
		--disk "file=$WORK/other" 2>"$WORK/out" && fail "on a file" &&
		return 1
	[ "$(cat "$WORK/file")" = precious ]
}

# qsd WRITABLE: QEMU's daemon has the image; it is $qemu.
qsd() {
	rm -f "$WORK/qsd.pid"
	timeout 60 qemu-storage-daemon --pidfile "$WORK/qsd.pid" --blockdev \
		"driver=file,node-name=f,filename=$WORK/image" \
		--nbd-server "addr.type=unix,addr.path=$WORK/nbd" \
		--export "type=nbd,id=e,node-name=f,writable=$1" &
	qemu=$!
	OTHERS="$OTHERS $qemu"
	wait_for test -s "$WORK/qsd.pid"
}

# refused_beside_qemu KEYS: no daemon can be started with those.
refused_beside_qemu() {
	timeout 10 "$PROGRAM" --vhost-user "$WORK/socket2" \
		--disk "file=$WORK/image$1" 2>"$WORK/out"
	[ $? -eq 1 ] && grep -q "already in use by another process (pid" \
		"$WORK/out" || fail "image$1 beside QEMU: $(cat "$WORK/out")"
}

# qemu_is_refused OPTIONS: a machine of QEMU with the image for its disk.
qemu_is_refused() {
	timeout 20 qemu-system-x86_64 -M q35 -S -nodefaults -display none \
		-drive "if=none,id=d,format=raw,file=$WORK/image$1" \
		-device virtio-blk-pci,drive=d 2>"$WORK/out"
	grep -q 'Failed to get .* lock' "$WORK/out" ||
		fail "QEMU with image$1: $(cat "$WORK/out")"
}

# QEMU and we see each other's locks, in both directions.
locks_of_qemu() {
	new_image
	qsd on || return 1
	refused_beside_qemu "" && refused_beside_qemu ,readonly=on || return 1
	{ kill $qemu && wait $qemu; } 2>/dev/null
	serve && qemu_is_refused "" && qemu_is_refused ,readonly=on &&
		stop || return 1
	serve readonly=on && qemu_is_refused "" || return 1
	# Readers may be many.
	qsd off && stop
}

# The soft limit is what a shell has for old programs.
few_descriptors() {
	_soft=$(ulimit -Sn)
	new_image
	ulimit -Sn 48
	serve
	_result=$?
	ulimit -Sn "$_soft"
	[ $_result -eq 0 ] && check queues=16 ops=1000 && stop &&
		image_is_right
}

once() {
	new_image
	start --once --disk "file=$WORK/image" && check ops=100 || return 1
	wait_for gone || return 1
	wait "$DAEMON" || fail "exit status $?" || return 1
	DAEMON=
	[ ! -e "$SOCKET" ] || fail "the socket is left"
}

# Who comes and goes all the time does not fill the log.
many_connections() {
	new_image
	serve || return 1
	python3 - "$SOCKET" <<-'END' || return 1
		import socket, sys
		for _ in range(500):
		    s = socket.socket(socket.AF_UNIX)
		    s.settimeout(5)
		    s.connect(sys.argv[1])
		    s.sendall(b'\1\0\0\0\1\0\0\0\0\0\0\0')
		    assert len(s.recv(20)) == 20
		    s.close()
	END
	[ "$(wc -l <"$SOCKET.log")" -lt 60 ] ||
		fail "$(wc -l <"$SOCKET.log") lines" || return 1
	stop
}

# A second front end waits until the first has gone.
one_at_a_time() {
	new_image
	serve queues=2 || return 1
	timeout 60 "$WORK/check" "$SOCKET" "$WORK/state" ops=60000 \
		>"$WORK/out1" 2>&1 &
	first=$!
	sleep 0.2
	timeout 60 "$WORK/check" "$SOCKET" "$WORK/state" ops=1000 \
		>"$WORK/out2" 2>&1 || fail "$(cat "$WORK/out2")" || return 1
	kill -0 $first 2>/dev/null && fail "both were served" && return 1
	wait $first || fail "$(cat "$WORK/out1")" || return 1
	stop && image_is_right
}

# inherited HOW: the daemon gets a socket that listens already.
inherited() {
	new_image
	python3 - "$1" "$PROGRAM" "$SOCKET" "$WORK/image" <<-'END' \
		2>>"$SOCKET.log" &
		import os, socket, sys
		how, program, path, image = sys.argv[1:]
		s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
		s.bind(path)
		s.listen()
		fd = s.fileno() if how == '--fd' else 3
		args = [program, '--disk', 'file=' + image]
		if how == '--fd':
		    args += ['--fd', str(fd)]
		    os.set_inheritable(fd, True)
		else:
		    os.environ['LISTEN_FDS'] = '1'
		    os.environ['LISTEN_PID'] = str(os.getpid())
		    if s.fileno() == 3:
		        os.set_inheritable(3, True)
		    else:
		        os.dup2(s.fileno(), 3)
		os.execv(program, args)
	END
	DAEMON=$!
	wait_for test -S "$SOCKET"
	check ops=1000 && check ops=1000 && stop || return 1
	[ -S "$SOCKET" ] ||
		fail "removed a socket that is not its own" || return 1
	rm "$SOCKET"
}

socket_by_number() { inherited --fd; }
socket_of_systemd() { inherited LISTEN_FDS; }

# used: time on a CPU of monitor and worker; woken: how often they were.
used() {
	for _pid in "$DAEMON" $(worker); do
		sed 's/.*) //' "/proc/$_pid/stat" | cut -d' ' -f12,13
	done
}
woken() {
	for _pid in "$DAEMON" $(worker); do
		grep -h ctxt_switches /proc/"$_pid"/task/*/status
	done | awk '{ n += $2 } END { print n }'
}

idle_costs_nothing() {
	new_image
	serve queues=4,iothreads=2 && check queues=4 ops=2000 || return 1
	# Until the watcher has nothing to look at any more.
	sleep 7
	before=$(used)
	wakes=$(woken)
	sleep 2
	after=$(used)
	woken=$(woken)
	[ "$before" = "$after" ] ||
		fail "CPU time $before -> $after" || return 1
	[ "$wakes" = "$woken" ] ||
		fail "woke $((woken - wakes)) times" || return 1
	stop
}

run_all one_queue depth_one four_queues threads_of_queues thread_each \
	polling_client small_queue engine_threads engine_libaio cache_none \
	cache_writethrough read_only long_zeroes client_killed \
	client_killed_threads daemon_killed worker_killed terminated_under_load \
	one_at_a_time many_connections rights_of_the_socket stale_socket \
	socket_in_use locks_of_qemu few_descriptors once socket_by_number \
	socket_of_systemd idle_costs_nothing nothing_refused
