# SPDX-License-Identifier: MIT
#
# about.sh DEVICE: says what kernel this is and what its driver negotiated.

. /rig/lib.sh
wait_for "/dev/$1"

names() {
	while read -r bit name; do
		[ "$(echo "$features" | cut -c$((bit + 1)))" != 1 ] || echo "$name"
	done <<-END
		1 SIZE_MAX
		2 SEG_MAX
		4 GEOMETRY
		5 RO
		6 BLK_SIZE
		9 FLUSH
		10 TOPOLOGY
		11 CONFIG_WCE
		12 MQ
		13 DISCARD
		14 WRITE_ZEROES
		16 SECURE_ERASE
		28 INDIRECT_DESC
		29 EVENT_IDX
		32 VERSION_1
		33 ACCESS_PLATFORM
		34 RING_PACKED
		35 IN_ORDER
		38 NOTIFICATION_DATA
		40 RING_RESET
	END
}

features=$(cat /sys/bus/virtio/devices/virtio0/features)
say kernel "$(cat /proc/version)"
say features "$features"
say note "$(uname -sr), features: $(echo $(names))"
blkload -m mixed -n 2 -t 1 "/dev/$1"
