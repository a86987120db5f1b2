#!/bin/sh
# SPDX-License-Identifier: MIT
#
# initrd.sh: makes the parts of the initrds that seldom change and prints their
# folder: dom0.cpio (dom0's programs, modules, and the guest's kernel),
# systemd.cpio (what is laid over it for a dom0 with systemd) and vmlinuz. What
# changes with every run is laid over them by run.py.
#
# Archives are not compressed: an emulated CPU would unpack them slowly.

. "$(dirname "$0")/common.sh"

DOM0_MODULES="xen-evtchn xen-gntdev xen-gntalloc xen-privcmd xenfs xen-blkback
	loop brd dm-mod dm-delay dm-flakey"
GUEST_MODULES="virtio_mmio virtio_blk xen-blkfront"

# The name of a module's file has dashes where another's has underscores.
module_file() {
	find "$KERNEL/modules" -name "$(echo "$1" | tr '_-' '??').ko.xz"
}

# add_module NAME: with what it depends on before it, in the order of the list.
add_module() {
	_file=$(module_file "$1")
	[ -n "$_file" ] || die "the kernel has no module $1"
	_name=$(basename "$_file" .ko.xz)
	[ ! -e "modules/$_name.ko" ] || return 0
	xz -dc "$_file" >"modules/$_name.ko"
	for _need in $(tr '\0' '\n' <"modules/$_name.ko" |
		sed -n 's/^depends=//p' | tr ',' ' '); do
		( add_module "$_need" ) # a shell of its own: the names are not local
	done
	echo "$_name" >>modules/list
}

# pack OUT FOLDER: everything in it as an archive that the kernel takes.
pack() {
	( cd "$2" && find . -mindepth 1 | LC_ALL=C sort |
		cpio --quiet -o -H newc -R 0:0 ) >"$1"
}

# lay_out FOLDER ROOT MODULE...: an unpacked part of arm64.sh, with modules.
lay_out() {
	_into=$1
	cp -a "$2" "$_into"
	shift 2
	mkdir "$_into/modules"
	for _module in "$@"; do
		( cd "$_into" && add_module "$_module" )
	done
}

make_initrd() {
	say "packing the initrds"
	lay_out guest "$GUEST" $GUEST_MODULES
	pack guest.cpio guest
	lay_out dom0 "$DOM0" $DOM0_MODULES
	mkdir dom0/guest
	cp "$KERNEL/vmlinuz" dom0/guest/
	cp "$KERNEL/version" dom0/guest/
	mv guest.cpio dom0/guest/base.cpio
	pack dom0.cpio dom0
	pack systemd.cpio "$SYSTEMD"
	cp "$KERNEL/vmlinuz" .
	rm -rf dom0 guest
}

KERNEL=$("$RIG/arm64.sh" kernel)
DOM0=$("$RIG/arm64.sh" dom0)
GUEST=$("$RIG/arm64.sh" guest)
SYSTEMD=$("$RIG/arm64.sh" systemd)
product initrd "$( { echo "$KERNEL $DOM0 $GUEST $SYSTEMD"; cat "$0"; } |
	digest)" make_initrd
