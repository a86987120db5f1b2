#!/bin/sh
# SPDX-License-Identifier: MIT
#
# arm64.sh dom0|systemd|guest|sysroot|kernel: unpacks the arm64 packages of that part
# into the cache and prints the folder.
#
# apt fetches them with a configuration of its own, so that neither the host's
# architectures nor its archives change. The archive is the host's own.

. "$(dirname "$0")/common.sh"

SUITE=trixie

# libgcc_s is linked by nobody, but pthread_exit loads it and aborts without it.
DOM0_PACKAGES="libc6 libgcc-s1 busybox-static xen-utils-4.20 xenstore-utils
	xen-utils-common libxenstore4 libxenmisc4.20 libxencall1 libxendevicemodel1
	libxenevtchn1 libxenforeignmemory1 libxengnttab1 libxentoolcore1
	libxentoollog1 libxenhypfs1 libyajl2 libuuid1 zlib1g liblzma5 libfdt1
	libzstd1 libbz2-1.0 liblzo2-2 libaio1t64 liburing2 libinih1 libsystemd0
	libcap2
	dmsetup libdevmapper1.02.1 libselinux1 libpcre2-8-0 libudev1
	e2fsprogs libblkid1 libcom-err2 libext2fs2t64 libss2 strace"

# What is laid over dom0 for the scenarios of a unit. No bus, no udev, no login.
SYSTEMD_PACKAGES="systemd libsystemd-shared mount libmount1 libacl1 libapparmor1
	libaudit1 libcap-ng0 libcrypt1 libpam0g libseccomp2 libsmartcols1
	libssl3t64"

GUEST_PACKAGES="libc6 libgcc-s1 busybox-static e2fsprogs libblkid1
	libcom-err2 libext2fs2t64 libss2 libuuid1"

SYSROOT_PACKAGES="libc6 libc6-dev linux-libc-dev libcrypt1 libcrypt-dev
	libgcc-s1 libxen-dev libxenstore4 libxenmisc4.20 libxencall1
	libxendevicemodel1 libxenevtchn1 libxenforeignmemory1 libxengnttab1
	libxentoolcore1 libxentoollog1 libxenhypfs1 libaio1t64 libaio-dev
	liburing2 liburing-dev libinih1 libinih-dev libsystemd0 libsystemd-dev
	libcap2 libcap-dev
	libseccomp2 libseccomp-dev libcmocka0 libcmocka-dev"

make_index() {
	# The configuration names the final folder: it is used after the rename.
	apt_conf "$1" arm64 "$SUITE"
	mkdir -p state/lists/partial cache/archives/partial
	: >status
	say "reading the package lists of $SUITE/arm64"
	quiet "$CACHE/log/index" timeout 600 env "APT_CONFIG=$1/apt.conf" apt-get update
	sed -i "s|$1|@HERE@|g" apt.conf
}

# Of today: an older list may name packages that the archive has replaced.
index() {
	product index "$(echo "$SUITE ${VIRTIO_DISK_MIRROR:-} $(date +%F)" | digest)" make_index
}

arm64_apt() {
	_index=$(index)
	sed "s|@HERE@|$_index|g" "$_index/apt.conf" >"$CACHE/tmp/apt.conf.$$"
	_status=0
	timeout 900 env "APT_CONFIG=$CACHE/tmp/apt.conf.$$" "$@" || _status=$?
	rm -f "$CACHE/tmp/apt.conf.$$"
	return $_status
}

# unpack FOLDER PACKAGE...: as if installed there, without running anything.
unpack() {
	_into=$1
	shift
	mkdir -p "$_into/usr/bin" "$_into/usr/sbin" "$_into/usr/lib" deb
	for _dir in bin sbin lib; do
		[ -e "$_into/$_dir" ] || ln -s "usr/$_dir" "$_into/$_dir"
	done
	say "fetching $# arm64 packages for ${_into##*/}"
	( cd deb && quiet "$CACHE/log/download" arm64_apt apt-get download "$@" )
	for _deb in deb/*.deb; do
		dpkg-deb -x "$_deb" "$_into"
	done
	rm -rf deb
}

# What a small system in memory can do without.
prune() {
	rm -rf "$1/usr/share" "$1/usr/include" "$1/etc/init.d" "$1/etc/default" \
		"$1/usr/lib/$CROSS/gconv" "$1/usr/lib/$CROSS/perl5" \
		"$1/usr/lib/systemd" "$1/usr/lib/udev" "$1/usr/lib/debug"
	find "$1" -name '*.a' -delete
}

make_dom0() {
	unpack "$1" $DOM0_PACKAGES
	prune "$1"
	rm -rf "$1"/usr/lib/xen-*/bin/oxenstored "$1"/usr/lib/xen-*/boot \
		"$1"/usr/lib/xen-*/lib/python "$1"/usr/lib/xen-*/ocaml
}

# Nothing of it runs but what this system has a use for: no generators, and no service
# of a boot that calls what is not here.
make_systemd() {
	unpack "$1" $SYSTEMD_PACKAGES
	mv "$1/usr/lib/systemd" keep
	prune "$1"
	mv keep "$1/usr/lib/systemd"
	rm -rf "$1"/usr/lib/systemd/system-generators \
		"$1"/usr/lib/systemd/system/*.wants/ldconfig.service \
		"$1"/usr/lib/systemd/system/*.wants/kmod-*.service \
		"$1"/usr/lib/systemd/system/*.wants/systemd-modules-load.service \
		"$1"/usr/lib/systemd/system/*.wants/*-catalog-update.service \
		"$1"/usr/lib/systemd/system/*.wants/sys-*.mount \
		"$1"/usr/lib/systemd/user* "$1"/usr/lib/systemd/catalog \
		"$1/usr/lib/$CROSS"/engines-3 "$1/usr/lib/$CROSS"/ossl-modules
}

make_guest() {
	unpack "$1" $GUEST_PACKAGES
	prune "$1"
}

make_sysroot() {
	unpack "$1" $SYSROOT_PACKAGES
	rm -rf "$1/usr/share/doc" "$1/usr/share/man"
	# A link to an absolute path would lead to the host's own file.
	find "$1" -type l -lname '/*' | while read -r _link; do
		ln -sfr "$1$(readlink "$_link")" "$_link"
	done
}

make_kernel() {
	_image=$(arm64_apt apt-cache depends linux-image-cloud-arm64 |
		sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p' | head -n 1)
	[ -n "$_image" ] || die "the archive has no linux-image-cloud-arm64"
	unpack "$1/all" "$_image"
	cp "$1"/all/boot/vmlinuz-* vmlinuz
	cp "$1"/all/boot/config-* config
	basename "$1"/all/usr/lib/modules/* >release
	arm64_apt apt-cache show "$_image" | sed -n 's/^Version: //p' | head -n 1 >version
	mv "$1"/all/usr/lib/modules/* modules
	rm -rf all
}

part=${1:?which part: dom0, systemd, guest, sysroot or kernel}
case $part in
mirror) mirror ;;
dom0 | systemd | guest | sysroot | kernel)
	mkdir -p "$CACHE/tmp"
	product "$part" "$(digest <"$0")" "make_$part"
	;;
*) die "no such part: $part" ;;
esac
