# SPDX-License-Identifier: MIT
#
# A journaling file system: an emulated guest writes files to ext4 on a recorded
# disk. What power cuts leave is checked by e2fsck, after the file system's own
# journal, and so are the files that the guest has synced. Sourced by run.sh.

CUTS=${CUTS:-100}
SECTORS=98304

make_initrd() {
	_vhost=$HERE/../vhost
	mkdir -p root/bin root/dev root/proc root/sys
	cp -r "$1/modules" root/modules
	cp /bin/busybox root/bin/
	cp "$_vhost/guest_init" root/init
	chmod +x root/init
	( cd root && find . | cpio --quiet -o -H newc -R 0:0 ) >initrd
}

# boot KERNEL: until the guest has ended.
boot() {
	timeout -k 5 400 qemu-system-x86_64 -M q35,memory-backend=m -m 192 \
		-object memory-backend-memfd,id=m,size=192M,share=on \
		-nodefaults -display none -no-reboot \
		-serial "file:$WORK/console" -kernel "$1/vmlinuz" \
		-initrd "$WORK/initrd" -append \
		"console=ttyS0 quiet panic=-1 no_timer_check load=ext4,8" \
		-chardev "socket,id=c,path=$SOCKET" \
		-device vhost-user-blk-pci,chardev=c,num-queues=1 \
		>"$WORK/qemu.log" 2>&1
	grep -q '@@done 0' "$WORK/console" ||
		fail "the guest: $(tail -n 5 "$WORK/console" "$WORK/qemu.log")"
}

# check_cut ENTRIES SEED
check_cut() {
	"$WORK/cut" "$WORK/log" "$WORK/cut.img" sectors=$SECTORS \
		entries="$1" seed="$2" || return 1
	e2fsck -fy -E journal_only "$WORK/cut.img" >"$WORK/fsck" 2>&1
	e2fsck -fn "$WORK/cut.img" >"$WORK/fsck" 2>&1 ||
		fail "cut behind $1, seed $2: $(tail -n 8 "$WORK/fsck")" ||
		return 1
	mkdir -p "$WORK/mnt"
	mount -o loop,ro "$WORK/cut.img" "$WORK/mnt" || return 1
	( cd "$WORK/mnt" && _bad=0
		for _sum in *.sum; do
			[ ! -e "$_sum" ] || md5sum -c --status "$_sum" ||
				_bad=1
			[ ! -e "$_sum" ] || echo >>"$WORK/sums"
		done
		exit $_bad )
	_status=$?
	umount "$WORK/mnt"
	[ $_status -eq 0 ] || fail "cut behind $1, seed $2: a synced file"
}

guest_file_system() {
	"$HERE/../rig/deps.sh" build vhost || return 1
	_kernel=$("$HERE/../vhost/amd64.sh" kernel) || return 1
	( cd "$WORK" && make_initrd "$_kernel" ) || return 1
	build cut cut.c
	record "sectors=$SECTORS sync=300" &&
		mkfs.ext4 -q -F "$WORK/image" || return 1
	# The guest begins behind what mkfs has written.
	_first=$(od -An -t u8 -N 8 "$WORK/progress" | tr -d ' ')
	serve cache=writeback && boot "$_kernel" && stop && end_record ||
		return 1
	_entries=$("$WORK/cut" "$WORK/log" -)
	: >"$WORK/sums"
	for _i in $(seq "$CUTS"); do
		check_cut $((_first + (_entries - _first) * _i / CUTS)) "$_i" ||
			return 1
		[ $((_i % 20)) -ne 0 ] || echo "    $_i cuts of $_entries" \
			"entries, $(wc -l <"$WORK/sums") files"
	done
}
