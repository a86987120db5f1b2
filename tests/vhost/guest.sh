#!/bin/bash
# SPDX-License-Identifier: MIT
#
# guest.sh [PROGRAM]: the vhost-user back end under QEMU and a stock Debian
# kernel: data, a file system, a daemon that is killed and started again, live
# migration, and the lines of README.md. The guest is emulated, so that this
# needs no KVM.

set -u

HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lib.sh" "$@"

"$HERE/../rig/deps.sh" build vhost || exit 1
KERNEL=$("$HERE/amd64.sh" kernel) || exit 1

make_initrd() {
	mkdir -p root/bin root/dev root/proc root/sys
	cp -r "$KERNEL/modules" root/modules
	cp /bin/busybox root/bin/
	cp "$HERE/guest_init" root/init
	chmod +x root/init
	gcc -O2 -static -D_GNU_SOURCE "$HERE/../xen/tools/blkload.c" \
		-o root/bin/blkload &&
		( cd root && find . | cpio --quiet -o -H newc -R 0:0 ) >initrd
}

( cd "$WORK" && make_initrd ) || exit 1

# What QEMU has besides the disk: sets $BOOT for a guest with this console and
# load. Paths have no blanks in them. The kernel counts ticks of its timer while it
# boots, and panics where a busy machine emulates too few: it is told not to.
boot() {
	: >"$WORK/$1"
	BOOT="-nodefaults -display none -no-reboot -serial file:$WORK/$1
		-kernel $KERNEL/vmlinuz -initrd $WORK/initrd
		-append 'console=ttyS0 quiet panic=-1 no_timer_check load=$2'"
	BOOT=$(echo $BOOT)
}

# guest NAME LOAD [ARGUMENT...]: boots one; its console is $WORK/NAME. What
# $PROPERTIES has is added to those of the disk.
guest() {
	_name=$1
	boot "$1" "$2"
	shift 2
	eval "set -- $BOOT \"\$@\""
	timeout -k 5 300 qemu-system-x86_64 -M q35,memory-backend=m \
		-smp 2 -m 192 \
		-object memory-backend-memfd,id=m,size=192M,share=on \
		-monitor "unix:$WORK/$_name.monitor,server,nowait" \
		-chardev "socket,id=c,path=${PROXY:-$SOCKET},reconnect=1" \
		-device "vhost-user-blk-pci,chardev=c,num-queues=2$PROPERTIES" \
		"$@" 2>>"$WORK/qemu" &
	QEMU=$!
	OTHERS="$OTHERS $QEMU"
}
PROPERTIES=
PROXY=

# console NAME TEXT [SECONDS]: until it shows that.
console() {
	for _ in $(seq $((${3:-120} * 5))); do
		grep -q "$2" "$WORK/$1" && return 0
		sleep 0.2
	done
	fail "no \"$2\" on the console of $1:"
	tail -n 5 "$WORK/$1" >&2
	tail -n 3 "$WORK/qemu" >&2
	return 1
}

finished_well() {
	console "$1" '@@done' && { grep -q '@@done 0' "$WORK/$1" ||
		{ grep -v '^$' "$WORK/$1" | tail -n 8 >&2; return 1; }; }
}

# monitor NAME COMMAND: what the monitor answers.
monitor() {
	python3 - "$WORK/$1.monitor" "$2" <<-'END'
		import socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.settimeout(20)
		s.connect(sys.argv[1])
		def prompt():
		    text = b''
		    while not text.endswith(b'(qemu) '):
		        text += s.recv(4096)
		    return text.decode()
		prompt()
		s.sendall(sys.argv[2].encode() + b'\n')
		print(prompt())
	END
}

# ---- tests ----------------------------------------------------------------

guest_moves_data() {
	new_image 48M
	serve queues=4 || return 1
	guest one mixed,6,32,4096
	console one '@@ready 98304 sectors 2 queues' && finished_well one &&
		wait "$QEMU" && stop
}

guest_large_requests() {
	new_image 48M
	serve queues=2,iothreads=2 || return 1
	guest one mixed,6,16,262144
	finished_well one && stop
}

blocks_of_image() { stat -c %b "$WORK/image"; }

# What the guest gives back is the file system's again.
guest_discards() {
	new_image 48M
	serve || return 1
	guest one discard
	finished_well one && stop || return 1
	# The two MiB that it wrote last, in blocks of 512 bytes.
	[ "$(blocks_of_image)" -lt 8192 ] ||
		fail "$(blocks_of_image) blocks are left"
}

# The image grows under the guest, which writes behind its old end.
guest_sees_growth() {
	new_image 48M
	serve || return 1
	guest one grow,131072
	console one '@@ready 98304' || return 1
	truncate -s 64M "$WORK/image"
	console one '@@size 131072' && finished_well one && stop
}

# The requests of a killed daemon are done by the next: no error, no hang.
KILLS=${KILLS:-4}
daemon_killed_under_guest() {
	new_image 48M
	serve queues=2 || return 1
	guest one "mixed,$((KILLS * 3)),64,4096"
	console one '@@ready' || return 1
	for _ in $(seq "$KILLS"); do
		sleep 2
		stop KILL
		serve queues=2 || return 1
		! grep 'in-flight area' "$SOCKET.log" >&2 || return 1
	done
	finished_well one && ! grep 'in-flight area' "$SOCKET.log" >&2 && stop
}

# What the guest chose holds for the next daemon, of which it knows nothing.
cache_type_outlives_kill() {
	for _type in write_through write_back; do
		new_image 48M
		serve || return 1
		guest one "cache,$_type,6"
		console one '@@cache' || return 1
		sleep 1
		stop KILL
		VERBOSE=1 serve || return 1
		wait_for grep -q "goes on, $(echo $_type | tr _ ' ')" \
			"$SOCKET.log" && finished_well one && stop || return 1
	done
}

# A reset under load, after which the guest sets the device up again.
guest_reset() {
	new_image 48M
	serve queues=2 || return 1
	guest one mixed,8,32,4096 -action reboot=reset
	console one '@@ready' || return 1
	sleep 2
	monitor one system_reset >/dev/null
	finished_well one || return 1
	[ "$(grep -c '@@ready' "$WORK/one")" = 2 ] ||
		fail "it did not boot twice" || return 1
	stop
}

# A journal over kills of the daemon and a reset of the machine: what was synced
# is there afterwards, and the file system is clean.
guest_ext4() {
	new_image 48M
	mkfs.ext4 -q -F "$WORK/image" || return 1
	serve queues=2 || return 1
	guest one ext4,8 -action reboot=reset
	console one '@@found 0 files' || return 1
	for _ in 1 2 3; do
		sleep 2
		stop KILL
		serve queues=2 || return 1
	done
	monitor one system_reset >/dev/null
	console one '@@found [1-9]' && finished_well one && stop || return 1
	e2fsck -f -n "$WORK/image" >"$WORK/fsck.log" 2>&1 ||
		fail "$(tail -n 5 "$WORK/fsck.log")"
}

# The two commands that README.md shows, as they stand there but for the names
# of files; what its dots are for is a guest.
readme() {
	new_image 48M
	boot one mixed,2,16,4096
	awk '/^## / { on = /Without Xen/ } on && /^    /' \
		"$HERE/../../README.md" |
		sed -e ':more; /\\$/ { N; s/\\\n//; b more }' |
		sed -e "s|/run/disk.sock|$SOCKET|; s|web.img|$WORK/image|" \
			-e "s|^ *virtio-disk |$PROGRAM |; s|\\.\\.\\.|$BOOT|" \
			-e "s|^ *qemu|exec timeout -k 5 200 qemu|" >"$WORK/lines"
	[ "$(wc -l <"$WORK/lines")" = 2 ] ||
		fail "README.md shows: $(cat "$WORK/lines")" || return 1
	head -n 1 "$WORK/lines" >"$WORK/first"
	. "$WORK/first" 2>"$SOCKET.log"
	DAEMON=$!
	wait_for grep -q "threads*, on" "$SOCKET.log" || return 1
	tail -n 1 "$WORK/lines" | sh 2>"$WORK/qemu" &
	QEMU=$!
	OTHERS="$OTHERS $QEMU"
	finished_well one && wait "$QEMU" && stop
}

# An emulated guest does not survive each migration: on a busy machine one in
# twenty finds registers or memory changed at the other end, also on a disk of
# QEMU's own with nothing of ours. So a guest that does not come to its end has
# another try; what it says at its end counts.
migrates() {
	for _try in 1 2 3; do
		"$@" && return 0
		! grep -q '@@done' "$WORK/two" || return 1
		echo "    try $_try: the guest did not come to its end" >&2
		cleanup
		SOCKET=$WORK/socket
		rm -f "$WORK/one" "$WORK/two" "$WORK/migration"
	done
	return 1
}

# migrate LOAD [KEYS]: a guest with that load, from a daemon to another one that
# has the same image, both started with those keys.
migrate() {
	serve "${2:-}" || return 1
	guest one "$1"
	console one '@@ready' || return 1
	OTHERS="$OTHERS $DAEMON"
	SOCKET=$WORK/socket2
	serve "${2:-}" || return 1
	guest two "$1" -incoming "unix:$WORK/migration"
	wait_for test -S "$WORK/migration" || return 1
	sleep 1
	monitor one "migrate -d unix:$WORK/migration" >/dev/null
	for _ in $(seq 100); do
		monitor one "info migrate" >"$WORK/migrate"
		grep -q 'status: completed' "$WORK/migrate" && break
		sleep 0.3
	done
	grep -q 'status: completed' "$WORK/migrate" ||
		fail "$(head -n 12 "$WORK/migrate")" || return 1
	! grep -q '@@done' "$WORK/one" ||
		fail "finished before it moved" || return 1
	finished_well two
}

# Requests write to memory while it is copied: every page that they wrote must
# be in the log, or the guest finds old data at the other end.
move_reader() {
	new_image 48M
	serve || return 1
	guest one fill,1,32,4096
	finished_well one && wait "$QEMU" && stop &&
		migrate check,20,32,4096 readonly=on
}

# The lock of a disk that is written goes along, and so does what is cached.
move_writer() {
	new_image 48M
	migrate mixed,20,32,4096 "${1:-queues=2}" || return 1
	grep -q 'waits for a live migration' "$WORK/socket2.log" ||
		fail "nobody waited for the lock" || return 1
	grep -q 'has the lock of' "$WORK/socket2.log" ||
		fail "nobody has got the lock"
}

live_migration() { migrates move_reader; }
live_migration_writable() { migrates move_writer; }
live_migration_writeback() { migrates move_writer cache=writeback; }

# with KEYS COMMAND...: with these keys of the disk besides.
with() {
	KEYS=$1
	shift
	"$@"
	_result=$?
	KEYS=
	return $_result
}

# The same with the ring's other layout, which bit 34 stands for.
packed() {
	PROPERTIES=,packed=on
	with "packed=on${KEYS:+,$KEYS}" "$@"
	_result=$?
	PROPERTIES=
	[ $_result -eq 0 ] || return 1
	grep -q '@@features [01]\{34\}1' "$WORK/one" ||
		fail "$(grep @@features "$WORK/one")"
}

packed_daemon_killed() { packed daemon_killed_under_guest; }

# The same with a front end that asks for an in-flight area of smaller queues
# than its guest has, as QEMU before 11.1 does.
asks_less() {
	PROXY=$WORK/proxy
	rm -f "$PROXY"
	"$HERE/ask_less.py" "$PROXY" "$SOCKET" 16 >"$WORK/asked" &
	OTHERS="$OTHERS $!"
	wait_for test -S "$PROXY" && "$@" &&
		{ [ "$(wc -l <"$WORK/asked")" -gt "$KILLS" ] ||
			fail "nobody asked for less"; }
	_less=$?
	PROXY=
	return $_less
}

small_area() { asks_less daemon_killed_under_guest; }
small_area_threads() { with engine=threads asks_less daemon_killed_under_guest; }
packed_small_area() { asks_less packed_daemon_killed; }
packed_small_area_threads() {
	with engine=threads asks_less packed_daemon_killed
}
packed_live_migration() { migrates packed move_reader; }

run_by_two readme guest_moves_data guest_large_requests guest_ext4 \
	guest_discards guest_sees_growth daemon_killed_under_guest \
	cache_type_outlives_kill guest_reset live_migration \
	live_migration_writable live_migration_writeback packed_daemon_killed \
	packed_live_migration small_area small_area_threads packed_small_area \
	packed_small_area_threads
