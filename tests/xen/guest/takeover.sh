# SPDX-License-Identifier: MIT
#
# takeover.sh DATA FILES SLOW WORD [stays]: verified traffic on DATA and SLOW, files
# on FILES, until the first block of WORD says stop. Nothing may fail meanwhile, and
# the kernel may have nothing to say. Who stays writes on until it is destroyed.

. /rig/lib.sh
word=$4
for device in "$1" "$2" "$3" "$4"; do
	wait_for "/dev/$device"
done

stopped() {
	dd "if=/dev/$word" iflag=direct bs=4096 count=1 2>/dev/null |
		head -c 16 | grep -q '^stop'
}

# traffic DEVICE DEPTH SEED MEGABYTES: one row of verified requests after the other.
traffic() {
	while [ ! -e /tmp/stop ]; do
		blkload -m mixed -n "$4" -q "$2" -t 5 -s "$3" "/dev/$1" \
			>"/tmp/$1.out" 2>&1 || return 1
	done
}

# What was synced has its sum in the memory of this guest.
files() {
	n=0
	while [ ! -e /tmp/stop ]; do
		n=$((n + 1))
		dd if=/dev/urandom of="/mnt/file$((n % 20))" bs=16k \
			count=$((n % 16 + 1)) conv=fsync 2>/dev/null || return 1
		echo "@@GUEST beat $n"
		echo 3 >/proc/sys/vm/drop_caches
		cat "/mnt/file$((n % 20))" >/dev/null || return 1
	done
}

sums() { ( cd /mnt && find . -type f | sort | xargs sha256sum ); }

make_ext4 "/dev/$2"
mount -t ext4 "/dev/$2" /mnt
dmesg -c >/dev/null
traffic "$1" 32 1 8 &
data=$!
traffic "$3" 16 3 1 &
slow=$!
files &
files=$!
say busy
until stopped; do
	sleep 1
done
touch /tmp/stop
say step "stops"
wait $files || fail "a file could not be written or read"
say step "$2 has stopped"
wait $data || fail "$1: $(cat "/tmp/$1.out")"
say step "$1 has stopped"
wait $slow || fail "$3: $(cat "/tmp/$3.out")"
say step "$3 has stopped"
sums >/tmp/written
umount /mnt
/usr/sbin/e2fsck -n -f "/dev/$2" >/tmp/fsck 2>&1 || fail "the file system is damaged"
mount -t ext4 -o ro "/dev/$2" /mnt
sums >/tmp/read
umount /mnt
cmp /tmp/written /tmp/read || fail "the files differ after mounting anew"
dmesg | grep -Ei 'error|reset|timed out|blocked for|stall|warn' >/tmp/complaints &&
	fail "the kernel: $(head -n 1 /tmp/complaints)"
say note "$(cat "/tmp/$1.out")"
say files "$(sha256sum </tmp/read | cut -c1-16)"
if [ "${5:-}" = stays ]; then
	blkload -m randwrite -q 32 -t 600 "/dev/$1" &
	sleep 1
	say verified
	wait
	fail "nobody destroys the guest"
fi
