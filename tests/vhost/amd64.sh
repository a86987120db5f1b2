#!/bin/sh
# SPDX-License-Identifier: MIT
#
# amd64.sh libblkio|kernel: unpacks these packages into the cache and prints
# the folder. libblkio is Debian 13's; it needs libc alone, so it runs on older
# systems as well. The kernel, for a guest, is Debian 12's: QEMU 7.2 emulates a
# CPU on which the next one crashes now and then, with QEMU's own disks as well.
#
# apt fetches them with a configuration of its own: the host's archives stay as
# they are.

. "$(dirname "$0")/../rig/common.sh"

SUITE=trixie
KERNEL_SUITE=bookworm
KERNEL_MODULES="virtio_pci virtio_blk"

# open_archive FOLDER SUITE: apt knows its packages until close_archive.
open_archive() {
	mkdir -p "$1/state/lists/partial" "$1/cache/archives/partial" "$1/deb"
	: >"$1/status"
	apt_conf "$1" amd64 "$2"
	export APT_CONFIG="$1/apt.conf"
	quiet "$CACHE/log/amd64" timeout 600 apt-get update
}

close_archive() (
	cd "$1"
	rm -rf deb state cache status apt.conf sources.list
)

# unpack FOLDER PACKAGE...
unpack() {
	_into=$1
	shift
	say "fetching $*"
	( cd "$_into/deb" && quiet "$CACHE/log/amd64" timeout 600 \
		apt-get download "$@" )
	for _deb in "$_into"/deb/*.deb; do
		dpkg-deb -x "$_deb" "$_into"
	done
}

make_libblkio() {
	open_archive "$1" "$SUITE"
	unpack "$1" libblkio1 libblkio-dev
	close_archive "$1"
}

# add_module NAME: after what it depends on; its number keeps the order.
add_module() {
	_file=$(find . -name "$(echo "$1" | tr "_-" "??").ko*")
	[ -n "$_file" ] || die "the kernel has no module $1"
	case $_file in
	*.xz) xz -dc "$_file" >"modules/$1" ;;
	*) cp "$_file" "modules/$1" ;;
	esac
	for _need in $(tr '\0' '\n' <"modules/$1" |
		sed -n 's/^depends=//p' | tr ',' ' '); do
		grep -q "^$_need$" modules/list || ( add_module "$_need" )
	done
	grep -q "^$1$" modules/list || echo "$1" >>modules/list
}

make_kernel() {
	open_archive "$1" "$KERNEL_SUITE"
	_image=$(apt-cache depends linux-image-cloud-amd64 |
		sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p' | head -n 1)
	unpack "$1" "$_image"
	close_archive "$1"
	cp boot/vmlinuz-* vmlinuz
	mkdir modules
	: >modules/list
	for _module in $KERNEL_MODULES; do
		add_module "$_module"
	done
	rm -rf boot lib usr
}

case ${1:-} in
libblkio | kernel)
	product "amd64-$1" "$(cat "$0" | digest)" "make_$1"
	;;
*) die "which part: libblkio or kernel" ;;
esac
