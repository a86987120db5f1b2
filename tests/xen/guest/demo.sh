# SPDX-License-Identifier: MIT
#
# demo.sh DEVICE: what files.sh does, step by step, and a short timing.

. /rig/lib.sh
wait_for "/dev/$1"
say step "$(uname -sr), /dev/$1 of $(($(cat "/sys/block/$1/size") / 2048)) MiB"
. /rig/files.sh

# took COMMAND...: how long that was, in hundredths of a second.
took() {
	_start=$(cut -d' ' -f1 /proc/uptime | tr -d .)
	"$@" >/dev/null 2>&1
	echo $(($(cut -d' ' -f1 /proc/uptime | tr -d .) - _start + 1))
}

# rate WORD COMMAND...: for a command that moves 32 MiB.
rate() {
	_word=$1
	shift
	_time=$(took "$@")
	say step "$_word 32 MiB at $((3200 / _time)) MiB/s (emulated CPU)"
}

mount -t ext4 "$device" /mnt
rate wrote dd if=/dev/zero of=/mnt/timing bs=1M count=32 conv=fsync
echo 3 >/proc/sys/vm/drop_caches
rate read dd if=/mnt/timing of=/dev/null bs=1M
rm /mnt/timing
umount /mnt
