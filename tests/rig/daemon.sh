#!/bin/sh
# SPDX-License-Identifier: MIT
#
# daemon.sh [installed]: builds the daemon for arm64, in a folder of the cache that
# later builds go on with, and prints the path of the program; or installs it below a
# folder there, and prints that.
#
# VIRTIO_DISK_CONFIGURE: further arguments for configure.

. "$(dirname "$0")/common.sh"

SYSROOT=$("$RIG/arm64.sh" sysroot)
ARGUMENTS=${VIRTIO_DISK_CONFIGURE:-}
BUILD=$CACHE/daemon-$(echo "$TOP $SYSROOT $ARGUMENTS" | digest)

# pkg-config must see the arm64 libraries, and nothing of the host's.
PKG_CONFIG_LIBDIR=$SYSROOT/usr/lib/$CROSS/pkgconfig:$SYSROOT/usr/share/pkgconfig
export PKG_CONFIG_LIBDIR "PKG_CONFIG_SYSROOT_DIR=$SYSROOT"
unset PKG_CONFIG_PATH MAKEFLAGS MFLAGS MAKELEVEL MAKECMDGOALS || :

configure_source() {
	( cd "$TOP" && autoreconf -fi )
}

configure_build() {
	rm -rf "$BUILD/installed"
	"$TOP/configure" "--host=$CROSS" "CC=$CROSS-gcc --sysroot=$SYSROOT" \
		'CFLAGS=-O2 -g' $ARGUMENTS
}

build() {
	cd "$BUILD"
	if [ ! -e "$TOP/configure" ] || [ "$TOP/configure.ac" -nt "$TOP/configure" ]; then
		quiet "$CACHE/log/daemon" configure_source
	fi
	[ -e config.mk ] || quiet "$CACHE/log/daemon" configure_build
	quiet "$CACHE/log/daemon" timeout 600 make -j"$JOBS" virtio-disk \
		build/probe/reach
	quiet "$CACHE/log/install" make install "DESTDIR=$BUILD/installed"
}

[ -d "$BUILD" ] || drop_old daemon
mkdir -p "$BUILD" "$CACHE/lock"
(
	flock -w 900 9 || die "another build of the daemon holds the lock"
	build
) 9>"$CACHE/lock/daemon" >&2
case ${1:-} in
installed) echo "$BUILD/installed" ;;
*) echo "$BUILD/virtio-disk" ;;
esac
