# SPDX-License-Identifier: MIT
#
# idle.sh DEVICE: has a disk and does nothing, until somebody ends the guest.

. /rig/lib.sh
wait_for "/dev/$1"
say idle
sleep 3600
