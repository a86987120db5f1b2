# SPDX-License-Identifier: MIT
#
# ends.sh DEVICE OTHER: goes on while dom0 takes DEVICE away, brings it again, and
# ends the daemon at last. The first block of OTHER says what is to be done.

. /rig/lib.sh
wait_for "/dev/$1"
wait_for "/dev/$2"

drivers=/sys/bus/platform/drivers/virtio-mmio
platform=$(basename "$(readlink -f "/sys/block/$1/device/..")")
base=0x${platform%%.*}

# wait_for_word WORD: dom0 has written it.
wait_for_word() {
	for _try in $(seq 600); do
		dd "if=/dev/$other" iflag=direct bs=4096 count=1 2>/dev/null |
			head -c 16 | grep -q "^$1" && return
		usleep 100000
	done
	fail "dom0 does not say $1"
}

# reset_while_held TURN: a processor stands in a reset until dom0 lets the read end.
reset_while_held() {
	taskset 2 ringplay "$base" "$1" || fail "the reset, $1"
}

device=$1
other=$2
echo "$platform" >"$drivers/unbind"
say unbound
wait_for_word hold
reset_while_held once

for word in first second; do
	wait_for_word "$word"
	echo "$platform" >"$drivers/bind"
	wait_for "/dev/$device"
	blkload -m mixed -n 2 -t 2 -s 3 "/dev/$device" ||
		fail "$device does not work, attached again"
	echo "$platform" >"$drivers/unbind"
	say "used $word"
done

wait_for_word third
reset_while_held twice
# Whether each processor goes on: a line a second. No disk is touched any more.
for processor in 0 1; do
	taskset $((processor + 1)) sh -c "while :; do
		echo \"@@GUEST beat$processor \$(cut -d. -f1 /proc/uptime)\"
		sleep 1
	done" &
done
wait
