# SPDX-License-Identifier: MIT
#
# busy.sh DEVICE: heavy I/O until somebody ends the guest.

. /rig/lib.sh
wait_for "/dev/$1"
blkload -m randwrite -q 64 -t 600 "/dev/$1" &
blkload -m randread -q 64 -t 600 "/dev/$1" &
sleep 1
say busy
wait
fail "the load has ended"
