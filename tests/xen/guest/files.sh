# SPDX-License-Identifier: MIT
#
# files.sh DEVICE: makes a file system, writes files, mounts it anew, compares.

. /rig/lib.sh
device=/dev/$1
wait_for "$device"

sums() { ( cd /mnt && find . -type f | sort | xargs sha256sum ) >"$1"; }

write_files() {
	for i in 1 2 3 4; do
		dd if=/dev/urandom of=/mnt/big$i bs=64k count=32 2>/dev/null
	done
	mkdir /mnt/small
	for i in $(seq 50); do
		echo "file $i" >/mnt/small/$i
	done
}

make_ext4 "$device"
say step "made an ext4 file system"
mount -t ext4 "$device" /mnt
write_files
sums /tmp/written
say step "wrote $(wc -l </tmp/written) files"
umount /mnt
# What is read next must come from the disk.
echo 3 >/proc/sys/vm/drop_caches
mount -t ext4 -o ro "$device" /mnt
sums /tmp/read
umount /mnt
cmp /tmp/written /tmp/read || fail "the files differ after mounting anew"
/usr/sbin/e2fsck -n -f "$device" >/tmp/fsck 2>&1 || fail "the file system is damaged"
say step "mounted it anew: every file has its checksum"
say files "$(sha256sum </tmp/read | cut -c1-16)"
