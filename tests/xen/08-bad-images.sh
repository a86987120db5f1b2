#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Images that cannot be served: xl create fails and the daemon's log says why.
# limit: 400

. /rig/lib.sh

# refused PATH REASON: with this file as its image, the guest cannot start, and
# one line of the daemon's log names the file and the reason.
refused() {
	DAEMON=refused
	rm -f "$RUN/refused.log"
	daemon_start --disk "id=xvda,file=$1"
	guest_config "$(virtio_disk /dev/ram0 xvda)" files vda
	! xl create "$RUN/$GUEST.cfg" || fail "xl create succeeded with $1"
	grep -F "$1" "$RUN/refused.log" | grep -Eqi "$2" ||
		fail "the daemon's log does not explain $1"
	# A daemon that has given up has ended by itself, but not by a signal.
	! daemon_runs || kill -TERM "$(daemon_pid)" || :
	wait_until 10 exists "$RUN/refused.status" || fail "the daemon hangs"
	[ "$(cat "$RUN/refused.status")" -lt 128 ] || fail "the daemon was killed"
	wait_until 10 guest_gone || fail "the guest is still there"
}

# The daemon as an ordinary user who may use Xen.
as_user() {
	cat >"$RUN/as-user" <<-'END'
		#!/usr/bin/sh
		program=$(which "$1")
		shift
		exec start-stop-daemon -S -q -c nobody:nogroup -x "$program" -- "$@"
	END
	chmod +x "$RUN/as-user"
	chmod 755 /run/rig
	chmod -R a+rwX /dev/xen /proc/xen /run/xenstored
	DAEMON_AS=$RUN/as-user
}

refused /images/missing.img 'no such file'

mkdir /images/folder
refused /images/folder 'directory|not a (regular )?file|neither'

secret=$(image secret.img 8)
chmod 600 "$secret"
as_user
refused "$secret" 'permission'
DAEMON_AS=

# The same image twice: the first guest goes on, the second does not start.
shared=$(image shared.img 8)
GUEST=owner
GUEST_LOG=/var/log/xen/console/guest-owner.log
DAEMON=owner
daemon_start
guest_start "$(virtio_disk "$shared" xvda)" busy vda
guest_says 120 '@@GUEST busy'
GUEST=guest
refused "$shared" 'use|lock'
GUEST=owner
DAEMON=owner
! guest_gone || fail "the first guest has gone"
daemon_runs || fail "the first guest's daemon has ended"
xl destroy "$GUEST"
daemon_ends 10
