# SPDX-License-Identifier: MIT
#
# What the power cut tests share: a recorder, a daemon on its file, a driver,
# and the replayer. Sourced with HERE (this folder) and the program's path as
# $1.

# Mounts of this test are of a namespace of its own, and end with it.
if [ -z "${POWER_INSIDE:-}" ]; then
	"$HERE/../rig/deps.sh" build power || exit 1
	export POWER_INSIDE=1
	exec unshare --mount --propagation private "$0" "$@"
	exit 1
fi

. "$HERE/../vhost/lib.sh" "$@"
export TMPDIR=$WORK

# After each test the daemon is ended by the function of this name; here more is
# to end.
eval "end_daemon() $(declare -f cleanup | sed 1d)"
RECORDER=
LOOP=
cleanup() {
	end_daemon
	[ -z "$LOOP" ] || losetup -d "$LOOP"
	if [ -n "$RECORDER" ]; then
		umount -l "$WORK/image" 2>/dev/null
		{ kill -9 "$RECORDER" && wait "$RECORDER"; } 2>/dev/null
	fi
	RECORDER=
	LOOP=
}
end_all() {
	cleanup
	[ -n "${KEEP:-}" ] || rm -rf "$WORK"
}
trap end_all EXIT
trap 'exit 1' INT TERM HUP

# build NAME SOURCE...: into $WORK.
build() {
	_name=$1
	shift
	( cd "$HERE" && gcc -std=gnu11 -O2 -Wall -Wextra -I../../src \
		-I../../include -o "$WORK/$_name" "$@" ) || exit 1
}

build record record.c
build drive drive.c front.c
build replay replay.c history.c
build lie.so -shared -fPIC lie.c -ldl

# ---- a recorded disk --------------------------------------------------------

# is_mounted: also an error of the recorder ends the waiting.
is_mounted() { mountpoint -q "$WORK/image" || ! kill -0 "$RECORDER"; }

# record [KEYS]: its file is $WORK/image, its log $WORK/log.
record() {
	rm -f "$WORK/image" "$WORK/log" "$WORK/progress"
	: >"$WORK/image"
	# Some systems load FUSE when somebody asks for it.
	[ -e /dev/fuse ] || modprobe fuse 2>/dev/null
	"$WORK/record" "$WORK/image" "$WORK/log" "$WORK/progress" \
		${1:-} >"$WORK/record.log" 2>&1 &
	RECORDER=$!
	wait_for is_mounted || return 1
	mountpoint -q "$WORK/image" || fail "no recorder" || return 1
	# With a cache the kernel has the last word on the size of a file.
	_sectors=$(echo "${1:-}" | sed -n 's/.*sectors=\([0-9]*\).*/\1/p')
	truncate -s $((${_sectors:-4096} * 512)) "$WORK/image"
}

# serve_it KEYS: the file, or with $DEVICE (options of losetup) a device on it.
DEVICE=
serve_it() {
	_disk=$WORK/image
	if [ -n "$DEVICE" ]; then
		LOOP=$(losetup --find --show $DEVICE "$WORK/image") ||
			fail "no loop device" || return 1
		_disk=$LOOP
	fi
	start --disk "file=$_disk,$1"
}

# end_record: the log is complete then.
end_record() {
	[ -z "$LOOP" ] || losetup -d "$LOOP" || return 1
	LOOP=
	# A device is let go a moment later.
	wait_for umount "$WORK/image" || return 1
	wait "$RECORDER" || fail "the recorder failed" || return 1
	RECORDER=
}

# drive [KEYS]: the driver, to its end.
drive() {
	timeout -k 5 300 "$WORK/drive" "$SOCKET" "$WORK/progress" \
		"$WORK/journal" ${1:-} >"$WORK/drive.log" 2>&1 ||
		fail "the driver failed"
}

# replay [KEYS]: its exit status; what it says is in $WORK/replay.log.
replay() {
	timeout -k 5 600 "$WORK/replay" "$WORK/log" "$WORK/journal" \
		subsets="$SUBSETS" ${1:-} >"$WORK/replay.log" 2>&1
	_status=$?
	read -r _states _ <<-END
		$(tail -n 1 "$WORK/replay.log")
	END
	return $_status
}

# Of all rounds of all tests, for the last lines.
: >"$WORK/figures"
progress() {
	tail -n 1 "$WORK/replay.log" >>"$WORK/figures"
	[ -z "$LONG" ] ||
		echo "    $1, round $2: $(tail -n 1 "$WORK/replay.log")"
}

# one_run DISK-KEYS RECORD-KEYS DRIVE-KEYS: what happened is in the files then.
one_run() {
	record "$2" && serve_it "$1" && drive "$3" && stop && end_record
}
