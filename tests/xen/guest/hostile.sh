# SPDX-License-Identifier: MIT
#
# hostile.sh DEVICE OTHER: takes DEVICE from its driver and plays a hostile one
# on its registers, while verified traffic runs on OTHER; then the driver gets
# it back and it works as before.

. /rig/lib.sh
wait_for "/dev/$1"
wait_for "/dev/$2"

drivers=/sys/bus/platform/drivers/virtio-mmio
platform=$(basename "$(readlink -f "/sys/block/$1/device/..")")
base=0x${platform%%.*}

blkload -m fill -n 4 -s 7 "/dev/$1"
blkload -m mixed -n 8 -t 20 -s 2 "/dev/$2" >/tmp/traffic 2>&1 &

echo "$platform" >"$drivers/unbind"
ringplay "$base" 10 >/tmp/ringplay 2>&1 ||
	fail "$(head -n 5 /tmp/ringplay | tr '\n' ';')"
say note "$(tail -n 1 /tmp/ringplay)"

echo "$platform" >"$drivers/bind"
wait_for "/dev/$1"
blkload -m mixed -n 4 -t 2 -s 8 "/dev/$1" || fail "$1 does not work any more"
wait $! || fail "traffic on $2: $(cat /tmp/traffic)"
say note "$2 meanwhile: $(tail -n 1 /tmp/traffic)"
blkload -m fill -n 4 -s 2 "/dev/$2"
