# SPDX-License-Identifier: MIT
#
# What the guest's scripts share; they run under `sh -eu`.

# fail TEXT...: dom0 sees the reason and stops waiting.
fail() {
	echo "@@GUEST FAIL $*"
	exit 1
}

# say WORD TEXT...: dom0 waits for such lines or reads values from them.
say() { echo "@@GUEST $*"; }

# wait_for DEVICE: the driver has probed it.
wait_for() {
	for _try in $(seq 100); do
		[ ! -b "$1" ] || return 0
		usleep 100000
	done
	fail "no device $1"
}

# By its path: the shell would take the small one that busybox has.
make_ext4() { /usr/sbin/mke2fs -q -F -t ext4 "$1"; }
