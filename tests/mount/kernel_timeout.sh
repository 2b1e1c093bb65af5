#!/bin/bash
# Where the kernel ends mounts that do not answer in time, calls wait for less than that.
. "$(dirname "$0")/lib.sh"

[ "$(id -u)" = 0 ] || skip "needs root, for a mount namespace"
require unshare
[ -d /proc/sys/fs/fuse ] || skip "this kernel has no /proc/sys/fs/fuse"

# What the kernel says is for all mounts of the machine, so another file takes its place, for us alone.
if [ -z "${ZKFS_TEST_UNSHARED-}" ]; then
	exec env ZKFS_TEST_UNSHARED=y unshare --mount --propagation private bash "$0"
fi
for name in default_request_timeout max_request_timeout; do
	[ -e "/proc/sys/fs/fuse/$name" ] || skip "this kernel has no $name"
	echo 0 >"$name"
	mount --bind "$name" "/proc/sys/fs/fuse/$name"
done

# expect_said DEFAULT MAX TIMEOUT MESSAGE
expect_said() {
	echo "$1" >default_request_timeout
	echo "$2" >max_request_timeout
	mount_zk mnt -o "timeout=$3" 2>said || fail "cannot mount: $(cat said)"
	unmount_zk mnt
	expect_eq "$(cat said mnt.err 2>/dev/null | sort -u)" "$4" "what it says with $1, $2 and timeout=$3"
}
expect_said 0 0 1000 ""
expect_said 60 0 50 ""
expect_said 60 0 1000 "zkfs: calls wait for 58 s at most, not 1000: the kernel ends mounts that take 60 s to answer"
expect_said 0 90 1000 "zkfs: calls wait for 88 s at most, not 1000: the kernel ends mounts that take 90 s to answer"
expect_said 60 20 1000 "zkfs: calls wait for 18 s at most, not 1000: the kernel ends mounts that take 20 s to answer"
expect_said 3 20 2 "zkfs: calls wait for 1.5 s at most, not 2: the kernel ends mounts that take 3 s to answer"

# With no server
echo 3 >default_request_timeout
start_servers
mount_zk mnt -o "timeout=100,session_timeout=100,stale=never"
servers kill 1
wait_until 20 grep -q suspended "$MNT/.zkfs/state" || fail "the loss was not noticed"
began=$SECONDS
expect_error ETIMEDOUT ls "$MNT"
[ $((SECONDS - began)) -lt 50 ] || fail "ls took $((SECONDS - began)) s"
servers restart 1
unmount_zk mnt
servers stop
