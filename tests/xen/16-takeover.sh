#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The daemon is killed again and again while a guest of two vCPUs uses four disks,
# one of them on a store that takes half a second for a write: its monitor and its
# worker in turn. Once its file is replaced by another version, with which the next
# monitor goes on; once it ends by SIGTERM, and once nobody serves for some seconds.
# The guest notices nothing. KILLS=400, with a --limit of an hour, is the long form.
# limit: 500

. /rig/lib.sh
. /rig/timeline.sh

GUEST_VCPUS=2
KILLS=${KILLS:-20}
PROGRAM=$RUN/virtio-disk
MONITORS=0
WORKERS=0

served() { grep -c 'going on with' "$RUN/$DAEMON.log" || :; }

serves_all() { [ "$(served)" -ge "$1" ]; }

# ends SIGNAL STATUS: the daemon, by that signal.
ends() {
	kill "-$1" "$(daemon_pid)"
	daemon_ends 20 "$2"
}

# takes_over COMMAND...: after that all four disks are served by another process.
takes_over() {
	_wanted=$(($(served) + 4))
	"$@"
	wait_until 60 serves_all "$_wanted" ||
		fail "the next process did not take all disks over"
}

kill_monitor() {
	ends KILL 137
	daemon_start
	MONITORS=$((MONITORS + 1))
}

kill_worker() {
	kill -KILL "$(worker_pid)" || fail "there is no worker"
	WORKERS=$((WORKERS + 1))
	daemon_runs || fail "the monitor has ended with its worker"
}

kill_one() {
	if [ $(($1 % 2)) -eq 1 ]; then
		kill_monitor
	else
		kill_worker
	fi
}

# Another version of the program, and no other difference, under the same name: who
# runs goes on with the old one, a worker that is made now as well.
upgrade() {
	sed 's/0\.1\.0/0.1.9/g' "$PROGRAM" >"$PROGRAM.new"
	chmod +x "$PROGRAM.new"
	mv "$PROGRAM.new" "$PROGRAM"
	"$PROGRAM" --version | grep -q '0\.1\.9' || fail "it is the same version"
}

goes_on() {
	_beats=$(grep -c '@@GUEST beat' "$GUEST_LOG") || :
	wait_until 60 more_beats "$_beats" || fail "the guest stands still"
}

more_beats() { [ "$(grep -c '@@GUEST beat' "$GUEST_LOG")" -gt "$1" ]; }

cp "$(command -v virtio-disk)" "$PROGRAM"
PATH=$RUN:$PATH
echo "0 32768 delay /dev/ram0 0 0 /dev/ram0 0 500" | dmsetup create slow
dmsetup mknodes
files=$(image files.img 64)
word=$(image word.img 16)
daemon_start
guest_start "$(virtio_disk "$(image data.img 64)" xvda)
	$(virtio_disk "$files" xvdb) $(virtio_disk /dev/mapper/slow xvdc)
	$(virtio_disk "$word" xvdd)" takeover vda vdb vdc vdd
guest_says 120 '@@GUEST busy'

for turn in $(seq "$KILLS"); do
	usleep $((turn % 20 * 70000))
	[ "$turn" -ne $((KILLS / 2)) ] || upgrade
	takes_over kill_one "$turn"
	[ $((turn % 20)) -ne 0 ] || goes_on
done
note "killed: $MONITORS monitors, $WORKERS workers"
goes_on

timeline_begin
takes_over kill_monitor
timeline_end "a monitor's restart"
timeline_begin
takes_over kill_worker
timeline_end "a worker's restart"
goes_on

ends TERM 0
daemon_says 5 'left .* disks? of domain'
sleep 5
takes_over daemon_start
goes_on

echo stop | dd of="$word" conv=notrunc 2>/dev/null
guest_notes
guest_ends 120
daemon_ends 10
files_arrived "$files"
! exists "/run/virtio-disk/$(xl domid "$GUEST" 2>/dev/null)/server" ||
	fail "the state of a guest that is gone is still there"
