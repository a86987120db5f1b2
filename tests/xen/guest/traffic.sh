# SPDX-License-Identifier: MIT
#
# traffic.sh DEVICE MEGABYTES...: verified traffic on all of them at once. The
# n-th device uses n as its seed and ends with a fill that dom0 can check.

. /rig/lib.sh

size_is() {
	[ $(($(cat "/sys/block/$1/size") / 2048)) -eq "$2" ] ||
		fail "$1 has $(cat "/sys/block/$1/size") sectors, not $2 MiB"
}

load() {
	blkload -m mixed -n 12 -q 32 -t 10 -s "$2" "/dev/$1" >"/tmp/$1.mixed" 2>&1 &&
		blkload -m fill -n 4 -s "$2" "/dev/$1" >"/tmp/$1.fill" 2>&1
}

jobs=
seed=0
for_each() {
	while [ $# -ge 2 ]; do
		seed=$((seed + 1))
		wait_for "/dev/$1"
		size_is "$1" "$2"
		load "$1" "$seed" &
		jobs="$jobs $!:$1"
		shift 2
	done
}

for_each "$@"
for job in $jobs; do
	name=${job#*:}
	wait "${job%:*}" || fail "$name: $(cat "/tmp/$name".*)"
	say note "$name $(cat "/tmp/$name.mixed")"
done
