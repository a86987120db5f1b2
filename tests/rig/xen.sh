#!/bin/sh
# SPDX-License-Identifier: MIT
#
# xen.sh: builds the hypervisor and prints the path of its image.
#
# Debian's own arm64 hypervisor has no IOREQ servers: on Arm that is an option
# for experts. Everything else about it stays as the release has it.

. "$(dirname "$0")/common.sh"

VERSION=4.20.3+127-gc42374a105
SHA256=df0831854a55a8f31cb3cb85036f2edc928e2ef098d77f815f5714bfafac68f3

# The pool is asked for the one file: not every archive lists this version.
fetch() {
	_mirror=$("$RIG/arm64.sh" mirror)
	_file=xen_$VERSION.orig.tar.xz
	timeout 600 /usr/lib/apt/apt-helper download-file \
		"$_mirror/pool/main/x/xen/$_file" "$1/xen.tar.xz" "SHA256:$SHA256"
}

configure() {
	"$@" arm64_defconfig
	printf 'CONFIG_EXPERT=y\nCONFIG_IOREQ_SERVER=y\n' >>.config
	"$@" olddefconfig
	grep -qx CONFIG_IOREQ_SERVER=y .config
}

compile() {
	set -- make XEN_TARGET_ARCH=arm64 "CROSS_COMPILE=$CROSS-"
	configure "$@"
	timeout 1500 "$@" -j"$JOBS"
}

make_xen() {
	say "fetching the source of Xen $VERSION"
	quiet "$CACHE/log/xen" fetch "$1"
	mkdir source
	tar -xf xen.tar.xz -C source --strip-components=1
	say "building Xen ${VERSION%%+*} (once; about a minute)"
	( cd source/xen && quiet "$CACHE/log/xen" compile )
	mv source/xen/xen xen
	rm -rf source xen.tar.xz
}

folder=$(product xen "$(digest <"$0")" make_xen)
echo "$folder/xen"
