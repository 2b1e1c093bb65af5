#!/bin/bash
# Credentials of -o auth_file reach what anonymous may not; a file that others may read is refused.
. "$(dirname "$0")/lib.sh"

zk "
from kazoo.security import make_digest_acl
zk.add_auth('digest', 'alice:open: sesame')
zk.create('/secret', b'treasure', acl=[make_digest_acl('alice', 'open: sesame', all=True)])"

mount_zk
expect_error EACCES cat "$MNT/secret"
unmount_zk

(umask 077 && printf '# who we are\n\ndigest bob:builder\ndigest alice:open: sesame\n' >credentials)
mount_zk authorized -o "auth_file=$PWD/credentials"
expect_eq "$(cat "$MNT/secret")" treasure "read with credentials"
echo gold >"$MNT/secret"
expect_eq "$(cat "$MNT/secret")" gold "written with credentials"
tr '\0' '\n' <"/proc/$(zkfs_pid authorized)/cmdline" >shown
mountpoint -q "$MNT" && findmnt -no OPTIONS "$MNT" >>shown
! grep -q sesame shown || fail "the password can be seen: $(cat shown)"
unmount_zk authorized

chmod 640 credentials
expect_error_of() {
	local expected=$1 status=0

	shift
	mount_zk "$@" 2>said || status=$?
	expect_eq "$status" 1 "exit status of $*"
	grep -q "$expected" said || fail "expected '$expected', got '$(cat said)'"
}
expect_error_of "others may read auth_file" refused -o "auth_file=$PWD/credentials"
expect_error_of "cannot read auth_file 'missing': No such file" refused -o auth_file=missing
(umask 077 && echo "digest alice" >wrong)
expect_error_of "line 1 of auth_file" refused -o auth_file=wrong
