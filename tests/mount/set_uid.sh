#!/bin/bash
# Set-uid or set-gid, the program refuses to run, whatever it is asked.
. "$(dirname "$0")/lib.sh"

[ "$(id -u)" = 0 ] || skip "needs root, to be someone else"
require setpriv
as_user() {
	ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}
chmod 711 "$SCRATCH" "$(dirname "$SCRATCH")"
cp "$ZKFS" zkfs
chmod 755 zkfs
as_user ./zkfs --version >/dev/null || skip "the program is not for others"

for mode in 4755 2755; do
	chmod "$mode" zkfs
	for arguments in --version "$ZK$ROOT $SCRATCH" "stat $SCRATCH"; do
		status=0
		# shellcheck disable=SC2086
		as_user ./zkfs $arguments >out 2>err || status=$?
		! findmnt -no OPTIONS -T . | grep -q nosuid || skip "no set-uid here"
		expect_eq "$status" 1 "exit status of '$arguments' with mode $mode"
		expect_eq "$(head -n 1 err)" "zkfs: must not be installed set-uid or set-gid; to mount, fusermount3 is" "its message"
	done
done
