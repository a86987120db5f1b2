#!/bin/sh
# SPDX-License-Identifier: MIT
#
# deps.sh GROUP...: makes sure that the host has what a make target needs.
#
# As root on a Debian-like system it installs what is missing, by package name
# from the archives that the system already knows. Elsewhere it says what is
# missing and fails. A system that has everything is told so by a few lookups.

set -eu

# Each line: package, and how its presence is seen whoever installed it:
# a command's name, pc:MODULE for pkg-config, or file:PATH-BELOW-/usr/include.
needs() {
	case $1 in
	build) cat <<-'END' ;;
		gcc gcc
		make make
		autoconf autoreconf
		automake automake
		pkgconf pkg-config
		libc6-dev file:stdlib.h
		linux-libc-dev file:linux/virtio_blk.h
		libaio-dev file:libaio.h
		liburing-dev pc:liburing
		libinih-dev pc:inih
		libcmocka-dev pc:cmocka
		libxen-dev pc:xendevicemodel
		END
	cross) cat <<-'END' ;;
		gcc-aarch64-linux-gnu aarch64-linux-gnu-gcc
		make make
		autoconf autoreconf
		automake automake
		pkgconf pkg-config
		END
	rig) cat <<-'END' ;;
		qemu-system-arm qemu-system-aarch64
		gcc gcc
		make make
		flex flex
		bison bison
		python3 python3
		cpio cpio
		xz-utils xz
		util-linux flock
		END
	vhost) cat <<-'END' ;;
		qemu-system-x86 qemu-system-x86_64
		busybox-static busybox
		e2fsprogs mkfs.ext4
		python3 python3
		cpio cpio
		xz-utils xz
		END
	power) cat <<-'END' ;;
		gcc gcc
		linux-libc-dev file:linux/fuse.h
		util-linux unshare
		mount losetup
		END
	bench) cat <<-'END' ;;
		gcc gcc
		make make
		fio fio
		qemu-system-common qemu-storage-daemon
		python3 python3
		util-linux unshare
		mount losetup
		END
	core) cat <<-'END' ;;
		gcc gcc
		valgrind valgrind
		libcmocka-dev pc:cmocka
		END
	sanitize) cat <<-'END' ;;
		gcc gcc
		libc6-dev file:stdlib.h
		END
	fuzz) cat <<-'END' ;;
		clang clang
		libclang-rt-dev clang-runtime
		END
	planted) cat <<-'END' ;;
		patch patch
		gcc gcc
		make make
		END
	matrix) cat <<-'END' ;;
		gcc gcc
		clang clang
		lld ld.lld
		llvm llvm-ar
		libcmocka-dev pc:cmocka
		END
	lint) cat <<-'END' ;;
		clang-tidy clang-tidy
		cppcheck cppcheck
		clang-format clang-format
		END
	*)
		echo "deps: no group of this name: $1" >&2
		exit 2
		;;
	esac
}

have() {
	case $1 in
	pc:*) pkg-config --exists "${1#pc:}" 2>/dev/null ;;
	file:*) have_header "${1#file:}" ;;
	clang-runtime) ls "$(clang -print-runtime-dir)" 2>/dev/null | grep -q fuzzer ;;
	*) command -v "$1" >/dev/null 2>&1 ;;
	esac
}

have_header() {
	for dir in /usr/include /usr/include/*-linux-gnu /usr/local/include; do
		[ ! -e "$dir/$1" ] || return 0
	done
	return 1
}

missing() {
	for group in "$@"; do
		needs "$group"
	done | sort -u | while read -r package probe; do
		have "$probe" || echo "$package"
	done
}

install() {
	echo "deps: installing $(echo $*)"
	apt=$(mktemp)
	export DEBIAN_FRONTEND=noninteractive
	set -- timeout 900 apt-get install -q -y --no-install-recommends "$@"
	# The package lists may be old or absent: the answer is one update.
	if ! "$@" >"$apt" 2>&1 &&
		! { timeout 600 apt-get update -q && "$@"; } >"$apt" 2>&1; then
		tail -n 15 "$apt" >&2
		rm -f "$apt"
		exit 1
	fi
	rm -f "$apt"
}

for group in "$@"; do
	needs "$group" >/dev/null
done

lacking=$(missing "$@")
[ -n "$lacking" ] || exit 0

if command -v apt-get >/dev/null 2>&1; then
	if [ "$(id -u)" -eq 0 ]; then
		install $lacking
		lacking=$(missing "$@")
		[ -n "$lacking" ] || exit 0
	fi
	echo "deps: missing packages:" $lacking >&2
	echo "deps: install them with: apt-get install" $lacking >&2
else
	echo "deps: missing (by their names in Debian):" $lacking >&2
	echo "deps: install them with your system's package manager" >&2
fi
exit 1
