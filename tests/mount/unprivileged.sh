#!/bin/bash
# Anyone may mount, through fusermount3, and is the owner of what is there; nobody else gets in.
. "$(dirname "$0")/lib.sh"

[ "$(id -u)" = 0 ] || skip "needs root, to be someone else"
require setpriv fusermount3
[ -u "$(command -v fusermount3)" ] || skip "fusermount3 is not set-uid"
[ -w /dev/fuse ] || skip "/dev/fuse is not there"

# fusermount3 wants a name for the user: nobody, and daemon as another.
as_user() {
	setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}
as_user test -x "$ZKFS" || skip "the program is not for others"
chmod 711 "$SCRATCH" "$(dirname "$SCRATCH")"
if ! as_user test -w /dev/fuse; then
	# As some containers have it. In a mount namespace of our own it is what it is elsewhere.
	[ -z "${ZKFS_TEST_UNSHARED-}" ] || skip "/dev/fuse is for root only"
	mkdir mnt
	chown 65534:65534 mnt
	status=0
	as_user "$ZKFS" "$ZK$ROOT" "$SCRATCH/mnt" 2>err || status=$?
	expect_eq "$status" 1 "exit status without /dev/fuse"
	expect_eq "$(cat err)" \
		"zkfs: cannot open '/dev/fuse': Permission denied (root can give it to everybody with 'chmod 666 /dev/fuse')" \
		"message without /dev/fuse"
	rmdir mnt
	mknod fuse c 10 229
	chmod 666 fuse
	# shellcheck disable=SC2016
	exec env ZKFS_TEST_UNSHARED=y unshare --mount --propagation private \
		sh -c 'mount --bind fuse /dev/fuse && exec "$@"' sh bash "$0"
fi

mkdir mnt
chown 65534:65534 mnt
MNT=$SCRATCH/mnt
as_user "$ZKFS" "$ZK$ROOT" "$MNT"
find_daemon "$MNT" >mnt.pid || fail "no daemon"

# shellcheck disable=SC2016
as_user sh -c 'echo data >"$1/file"' sh "$MNT"
expect_eq "$(as_user cat "$MNT/file")" data "the user's file"
expect_eq "$(as_user stat -c %u:%g "$MNT/file")" 65534:65534 "its owner"
expect_error EACCES setpriv --reuid 2 --clear-groups ls "$MNT"
expect_error EACCES ls "$MNT"
as_user fusermount3 -u "$MNT"
wait_until 30 has_ended "$(zkfs_pid)" || fail "the daemon still runs"
check_sanitizers

mkdir others
status=0
as_user "$ZKFS" "$ZK$ROOT" "$SCRATCH/others" 2>err || status=$?
expect_eq "$status" 1 "exit status on someone else's directory"
expect_eq "$(cat err)" "zkfs: cannot mount on '$SCRATCH/others': Permission denied" "message"
