# SPDX-License-Identifier: MIT
#
# eio.sh DEVICE FIRST COUNT: those blocks of 4 KiB are bad, and no others.

. /rig/lib.sh
device=/dev/$1
first=$2
count=$3
wait_for "$device"

# What blkload is to complain of, one line a bad block.
wanted() {
	for block in $(seq "$first" $((first + count - 1))); do
		echo "blkload: block $block: Input/output error"
	done
}

# One at a time, or the kernel joins neighbours to one request.
surroundings() {
	! blkload -m "$1" -q 1 -o $((first - 64)) -n 1 "$device" 2>/tmp/errors ||
		fail "$1: the bad blocks gave no error"
	wanted | cmp - /tmp/errors ||
		fail "$1: $(wc -l </tmp/errors) errors: $(head -n 3 /tmp/errors)"
}

surroundings scan
surroundings fill
blkload -m mixed -n 3 -t 3 "$device" || fail "the disk does not work any more"
