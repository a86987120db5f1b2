# SPDX-License-Identifier: MIT
#
# What the rig's scripts share: where things are, how they talk, and how a
# slow product is made once and kept.

set -eu

RIG=$(cd "$(dirname "$0")" && pwd)
TOP=$(cd "$RIG/../.." && pwd)
CACHE=${VIRTIO_DISK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/virtio-disk}
CROSS=aarch64-linux-gnu
JOBS=$(nproc 2>/dev/null || echo 2)

# stdout belongs to the caller, who wants the product's path and no more. A
# demonstration shows how much time has passed since it began.
say() {
	if [ -n "${VIRTIO_DISK_SINCE:-}" ]; then
		date +%s.%N | awk -v since="$VIRTIO_DISK_SINCE" -v text="$*" \
			'{ printf "[%6.1f s] %s\n", $1 - since, text }' >&2
	else
		echo "rig: $*" >&2
	fi
}

die() {
	say "$*"
	exit 1
}

# A short name for the content of standard input.
digest() { sha256sum | cut -c1-12; }

# quiet LOG COMMAND...: the output goes to LOG; its tail is shown if it fails.
# (Never the condition of an "if" or "||": that would switch `set -e` off.)
quiet() (
	log=$1
	shift
	mkdir -p "$(dirname "$log")"
	trap 'quiet_end $? "$log"' EXIT
	"$@" >"$log" 2>&1
)

quiet_end() {
	[ "$1" -ne 0 ] || return 0
	say "failed ($1); the end of $2:"
	tail -n 25 "$2" >&2
}

# product NAME KEY FUNCTION: prints the folder that FUNCTION filled.
#
# FUNCTION runs with a fresh folder as $1 and as its working folder. The folder
# gets its name only when the function has succeeded, so that an interrupted
# build is never taken for a product; the lock keeps two runs apart.
product() {
	_path=$CACHE/$1-$2
	if [ ! -d "$_path" ]; then
		mkdir -p "$CACHE/lock"
		(
			flock -w 1800 9 || die "$1: another run holds the lock"
			if [ ! -d "$_path" ]; then make_product "$@"; fi
		) 9>"$CACHE/lock/$1" >&2
	fi
	echo "$_path"
}

make_product() {
	rm -rf "$CACHE/tmp/$1"
	mkdir -p "$CACHE/tmp/$1"
	( cd "$CACHE/tmp/$1" && "$3" "$CACHE/tmp/$1" )
	drop_old "$1"
	mv "$CACHE/tmp/$1" "$CACHE/$1-$2"
}

# Only the newest three of a kind stay, or the cache would grow for ever.
drop_old() {
	for _old in $(ls -dt "$CACHE/$1"-???????????? 2>/dev/null | tail -n +3); do
		rm -rf "$_old"
	done
}

# ---- the Debian archive ----

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

mirror() {
	_mirror=${VIRTIO_DISK_MIRROR:-$(host_mirror)}
	[ -n "$_mirror" ] || die "apt knows no Debian archive (is apt-get update" \
		"needed?): set VIRTIO_DISK_MIRROR to the address of one"
	echo "${_mirror%/}"
}

host_mirror() {
	apt-get indextargets --format '$(REPO_URI)' 'Label: Debian' |
		head -n 1
}

# apt_conf FOLDER ARCHITECTURE SUITE: writes a configuration of apt there that
# knows those packages alone, from the archive that the host uses.
apt_conf() {
	[ -e "$KEYRING" ] || die "no $KEYRING: install debian-archive-keyring"
	cat >"$1/apt.conf" <<-END
		Dir::State "$1/state";
		Dir::State::status "$1/status";
		Dir::Cache "$1/cache";
		Dir::Etc::SourceList "$1/sources.list";
		Dir::Etc::SourceParts "/dev/null";
		Dir::Etc::Preferences "/dev/null";
		Dir::Etc::PreferencesParts "/dev/null";
		APT::Architecture "$2";
		APT::Architectures { "$2"; };
		APT::Sandbox::User "";
		Acquire::Languages "none";
		Acquire::Retries "3";
		Acquire::http::Timeout "60";
	END
	echo "deb [signed-by=$KEYRING] $(mirror) $3 main" >"$1/sources.list"
}
