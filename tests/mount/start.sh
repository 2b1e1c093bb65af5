#!/bin/bash
# Exit status 0 means: mounted. The daemon is detached, and ends by unmounting or a signal.
. "$(dirname "$0")/lib.sh"

zk "put('/file', 'data')"
mkdir mnt
MNT=$SCRATCH/mnt

for _ in 1 2 3 4 5; do
	output=$("$ZKFS" "$ZK$ROOT" mnt && ls mnt)
	expect_eq "$output" file "zkfs && ls"
	find_daemon mnt >mnt.pid || fail "no daemon"
	unmount_zk
done

# A pipe on all of its outputs ends when the command does, and the daemon works anywhere.
{ "$ZKFS" "$ZK$ROOT" mnt 2>&1; } | cat >out
expect_eq "$(cat out)" "" "what it says"
pid=$(find_daemon mnt)
expect_eq "$(readlink "/proc/$pid/cwd")" / "the daemon's working directory"
[ "$(ps -o sid= -p "$pid" | tr -d ' ')" = "$pid" ] || fail "the daemon is not its session's leader"
expect_eq "$(findmnt -no SOURCE,FSTYPE "$MNT" | tr -s ' ')" "$ZK$ROOT fuse.zkfs" "source and type"

kill -TERM "$pid"
wait_until 5 has_ended "$pid" || fail "SIGTERM does not end it"
! mountpoint -q mnt || fail "still mounted after SIGTERM"
check_sanitizers

# In the foreground it is the process itself.
"$ZKFS" -f "$ZK$ROOT" mnt >foreground.err 2>&1 &
pid=$!
wait_until 10 mountpoint -q mnt || fail "-f does not mount"
expect_eq "$(cat mnt/file)" data "with -f"
kill -INT "$pid" # bash ignores it for background jobs, so the program must have taken it
kill -TERM "$pid"
status=0
wait "$pid" || status=$?
expect_eq "$status" 0 "exit status of -f after a signal"
! mountpoint -q mnt || fail "still mounted after -f has ended"

# As mount(8) calls it. Unknown options are refused but with -s.
ln -s "$ZKFS" mount.zkfs
./mount.zkfs "$ZK$ROOT" mnt -o rw,noexec,_netdev,x-systemd.automount
ZKFS=$SCRATCH/mount.zkfs
find_daemon mnt >mnt.pid || fail "no daemon"
expect_eq "$(cat mnt/file)" data "with mount.zkfs"
case $(findmnt -no OPTIONS "$MNT") in
*noexec*) ;;
*) fail "noexec is lost" ;;
esac
unmount_zk
./mount.zkfs "$ZK$ROOT" mnt -s -o ro,frobnicate
find_daemon mnt >mnt.pid || fail "no daemon"
expect_error EROFS touch mnt/new
unmount_zk
status=0
./mount.zkfs 127.0.0.1:1 mnt 2>err || status=$?
expect_eq "$status" 32 "mount.zkfs's exit status for a failed mount"
status=0
./mount.zkfs "$ZK$ROOT" mnt -o frobnicate 2>err || status=$?
expect_eq "$status" 1 "mount.zkfs's exit status for wrong usage"
