# SPDX-License-Identifier: MIT
#
# What the vhost-user tests share: a daemon on a socket, and how a test is run.
# Sourced with HERE (this folder) and the program's path as $1.

PROGRAM=$(realpath "${1:-$HERE/../../virtio-disk}")
WORK=$(mktemp -d /var/tmp/virtio-disk-vhost.XXXXXX)
SOCKET=$WORK/socket
DAEMON=
passed=0
failed=0

# Tests may put what they started into $OTHERS.
OTHERS=

cleanup() {
	# The others may be timeout(1), which passes this signal on.
	for _pid in $OTHERS; do
		kill "$_pid" 2>/dev/null
		wait "$_pid" 2>/dev/null
	done
	if [ -n "$DAEMON" ]; then
		kill -9 "$DAEMON" 2>/dev/null
		wait "$DAEMON" 2>/dev/null
	fi
	DAEMON=
	OTHERS=
	rm -f "$SOCKET"
}
trap 'cleanup; [ -n "${KEEP:-}" ] || rm -rf "$WORK"' EXIT

# ---- helpers: each says on standard error what it does not like ----------

fail() {
	echo "    $*" >&2
	return 1
}

# wait_for COMMAND...: until it succeeds, 20 seconds at most.
wait_for() {
	for _ in $(seq 400); do
		"$@" 2>/dev/null && return 0
		sleep 0.05
	done
	fail "in vain waited for: $*"
}

new_image() {
	rm -f "$WORK/image" "$WORK/state"
	truncate -s "${1:-64M}" "$WORK/image"
}

# start ARGUMENT...: a daemon on $SOCKET.
start() {
	: >"$SOCKET.log"
	"$PROGRAM" ${VERBOSE:+-v} --vhost-user "$SOCKET" "$@" 2>"$SOCKET.log" &
	DAEMON=$!
	wait_for grep -q "threads*, on" "$SOCKET.log"
}

# serve [KEYS]: the image, with those keys and with $KEYS.
serve() { start --disk "file=$WORK/image${1:+,$1}${KEYS:+,$KEYS}"; }

# The process of the daemon that talks to front ends: a child of its child.
children() { cat "/proc/$1/task/$1/children" 2>/dev/null; }
worker() {
	for _pid in $(children "$DAEMON"); do children "$_pid"; done | tr -d " "
}

# has_said WORDS TIMES: exactly so often.
has_said() { [ "$(grep -c "$1" "$SOCKET.log")" -eq "$2" ]; }

gone() { ! kill -0 "$DAEMON" 2>/dev/null; }

ended() { ! kill -0 "$1" 2>/dev/null; }

# stop [SIGNAL]: ends the daemon; its exit status. A worker whose daemon was
# killed has some time for what is in flight.
stop() {
	_worker=$(worker)
	kill "-${1:-TERM}" "$DAEMON"
	wait_for gone || return 1
	[ -z "$_worker" ] || wait_for ended "$_worker" || return 1
	wait "$DAEMON" 2>/dev/null
	status=$?
	DAEMON=
	return $status
}

BEGIN=$(cut -d' ' -f1 /proc/uptime)

# As the last test: the kernel's log has no call that the sandbox has refused
# meanwhile. Who adds one to the program adds it to the sandbox's list.
nothing_refused() {
	if ! dmesg >"$WORK/dmesg" 2>/dev/null; then
		echo "    (not tried: the kernel's log cannot be read)"
		return
	fi
	_refused=$(grep "type=1326.* exe=\"$PROGRAM\"" "$WORK/dmesg" | tr -d '[]' |
		awk -v begin="$BEGIN" '$1 > begin' | head -n 3)
	[ -z "$_refused" ] || fail "$_refused"
}

# run NAME: one line, and what it said if it failed.
run() {
	rm -f "$WORK"/*.log
	SOCKET=$WORK/socket
	if "$1" 2>"$WORK/why"; then
		echo "ok $1"
		passed=$((passed + 1))
	else
		echo "not ok $1"
		cat "$WORK/why"
		tail -q -n 5 "$WORK"/*.log | sed 's/^/    /'
		failed=$((failed + 1))
	fi
	cleanup
}

# run_all NAME...: those of $ONLY, if that is set. The script's exit status.
run_all() {
	for _name in ${ONLY:-$*}; do
		run "$_name"
	done
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ]
}

# run_by_two NAME...: the same, by two processes: tests that mostly wait. The
# other one shows its lines at its end.
run_by_two() {
	[ -z "${ONLY:-}" ] || { run_all "$@"; return; }
	_mine= _others=
	for _name; do
		_mine="$_mine $_name"
		set -- "$_mine" "$_others"
		_mine=$2 _others=$1
	done
	ONLY=$_others "$0" "$PROGRAM" >"$WORK/half" 2>&1 &
	_half=$!
	for _name in $_mine; do
		run "$_name"
	done
	wait "$_half"
	grep -v '^[0-9]* passed, [0-9]* failed$' "$WORK/half"
	_sum=$(tail -n 1 "$WORK/half")
	case $_sum in
	*" passed, "*" failed") ;;
	*) _sum="0 passed, 1 failed" ;;
	esac
	_bad=${_sum#*, }
	passed=$((passed + ${_sum%% *}))
	failed=$((failed + ${_bad%% *}))
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ]
}
