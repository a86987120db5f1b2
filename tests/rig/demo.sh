#!/bin/sh
# SPDX-License-Identifier: MIT
#
# demo.sh: from nothing to a Xen guest with a file system on a virtio-disk, on
# an emulated Arm machine. What takes long is made once and kept in the cache.

VIRTIO_DISK_SINCE=$(date +%s.%N)
export VIRTIO_DISK_SINCE
. "$(dirname "$0")/common.sh"

LOGS=$TOP/build/logs
exec 2>&1 # one stream, in the order in which things happen

echo "virtio-disk: a guest on a real Xen, its disk served by virtio-disk"
echo

say "looking for the tools that the host needs"
"$RIG/deps.sh" build cross rig
say "getting Debian's arm64 kernel, libraries and Xen tools (kept in the cache)"
for part in kernel dom0 guest sysroot; do
	"$RIG/arm64.sh" "$part" >/dev/null
done
say "building virtio-disk for arm64"
daemon=$("$RIG/daemon.sh")
say "getting Xen, the hypervisor (kept in the cache)"
"$RIG/xen.sh" >/dev/null

status=0
"$RIG/run.py" --daemon "$daemon" --script "$TOP/tests/xen/demo.sh" \
	--log-dir "$LOGS" || status=1
echo
if [ "$status" -ne 0 ]; then
	echo "The demonstration failed; the console is in $LOGS/xen-console.log"
	exit 1
fi
cat <<END
What this has shown:
  * Xen with xl's own configuration line for virtio disks starts the guest.
  * The guest's kernel is Debian's, unchanged; its virtio driver found the disk.
  * The guest made a file system on it, and read back what it had written after
    mounting it anew; dom0 found the same files in the image.
  * The daemon ended by itself, with success, when the guest was gone.
Next: make check-xen (scenarios), make bench-xen (figures). Console: $LOGS
END
