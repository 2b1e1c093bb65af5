#!/bin/bash
# mount(8) mounts it by its type and by lines of fstab, those for users through fusermount3.
. "$(dirname "$0")/lib.sh"

[ "$(id -u)" = 0 ] || skip "needs root, for a /sbin and an /etc/fstab of its own"
require setpriv unshare fusermount3 findmnt
[ -w /dev/fuse ] || skip "/dev/fuse is not there"
if [ -z "${ZKFS_TEST_UNSHARED-}" ]; then
	exec env ZKFS_TEST_UNSHARED=y unshare --mount --propagation private bash "$0"
fi

# What mount(8) calls must be in /sbin; ours shows what is there, and the helper. All of this is seen by this test alone.
mkdir mnt real_sbin sbin
mount --bind /sbin real_sbin
for file in real_sbin/* real_sbin/.[!.]*; do
	[ ! -e "$file" ] || ln -s "$SCRATCH/$file" sbin/
done
ln -sf "$ZKFS" sbin/mount.zkfs
mount --bind sbin /sbin
mknod fuse c 10 229
chmod 666 fuse
mount --bind fuse /dev/fuse
MNT=$SCRATCH/mnt
ZKFS=$SCRATCH/sbin/mount.zkfs # as which the daemon is found

begin() {
	find_daemon "$MNT" >mnt.pid || fail "no daemon"
	expect_eq "$(findmnt -no SOURCE,FSTYPE "$MNT" | tr -s ' ')" "$1 fuse.zkfs" "source and type"
}

end() {
	"$@" umount "$MNT"
	wait_until 30 has_ended "$(cat mnt.pid)" || fail "the daemon still runs"
	check_sanitizers
}

options_of_mount() {
	findmnt -no OPTIONS "$MNT"
}

expect_option() {
	case ,$(options_of_mount), in
	*,"$1",*) ;;
	*) fail "'$1' is not in '$(options_of_mount)'" ;;
	esac
}

zk "put('/app/file', 'data')"

# Several servers and a chroot, with what goes to mount(8), to the kernel, and to us.
several=$ZK,$ZK$ROOT/app
mount -t zkfs "$several" "$MNT" -o noexec,ro,timeout=5,_netdev,nofail,x-systemd.automount
begin "$several"
expect_eq "$(cat mnt/file)" data "the file"
expect_option noexec
expect_error EROFS touch mnt/new
end

status=0
mount -t zkfs "$several" "$MNT" -o frobnicate 2>err || status=$?
expect_eq "$status" 1 "exit status for an option that nobody knows"
status=0
mount -t zkfs 127.0.0.1:1 "$MNT" 2>err || status=$?
expect_eq "$status" 32 "exit status without a server"
grep -q "cannot connect to '127.0.0.1:1'" err || fail "mount says: $(cat err)"

# A private fstab. What is mounted is not mounted again.
cat >fstab <<END
$several $MNT zkfs allow_other,acl=world:anyone:cdrwa\\,ip:127.0.0.1:r,_netdev,nofail,x-systemd.automount,x-systemd.mount-timeout=30 0 0
END
mount -a -T fstab
begin "$several"
expect_option allow_other
expect_eq "$(cat mnt/file)" data "the file"
touch mnt/acl
expect_eq "$(zk 'print(len(zk.get_acls("/app/acl")[0]))')" 2 "entries of the ACL of a new file"
mount -a -T fstab
expect_eq "$(findmnt -rn "$MNT" | wc -l)" 1 "times that it is mounted"
end
mount -T fstab "$MNT"
begin "$several"
kill -KILL "$(cat mnt.pid)"
wait_until 30 has_ended "$(cat mnt.pid)" || fail "it cannot be killed"
mount -T fstab "$MNT" # a dead one is cleaned up
begin "$several"
expect_eq "$(cat mnt/file)" data "the file after a crash"
end

# For users: mount(8) gives up root's rights, and fusermount3 has them.
for program in mount fusermount3; do
	[ -u "$(command -v "$program")" ] || skip "$program is not set-uid"
done
as_user() {
	setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}
chmod 711 "$SCRATCH" "$(dirname "$SCRATCH")"
as_user test -x "$ZKFS" || skip "the program is not for others"
chown 65534:65534 mnt
for word in user users; do
	echo "$several $MNT zkfs $word,noauto,_netdev,nofail,x-systemd.automount 0 0" >fstab
	mount --bind fstab /etc/fstab
	as_user mount "$MNT"
	begin "$several"
	expect_option user_id=65534
	expect_option nosuid
	expect_option nodev
	expect_option noexec
	expect_eq "$(as_user cat mnt/file)" data "the user's file"
	expect_error EACCES ls mnt
	if [ "$word" = user ]; then
		kill -KILL "$(cat mnt.pid)"
		wait_until 30 has_ended "$(cat mnt.pid)" || fail "it cannot be killed"
		as_user mount "$MNT"
		begin "$several"
		expect_eq "$(as_user cat mnt/file)" data "the user's file after a crash"
	fi
	end as_user
	umount /etc/fstab
done
