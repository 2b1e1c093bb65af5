#!/bin/bash
# Each failure to start says in one line what is wrong, with the right exit status, and mounts nothing.
. "$(dirname "$0")/lib.sh"

# refuse STATUS MESSAGE ARGUMENT...: MESSAGE is a pattern that the first line must match in whole.
refuse() {
	local status=0 wanted=$1 message=$2

	shift 2
	timeout 10 "$ZKFS" "$@" </dev/null >out 2>err || status=$?
	expect_eq "$status" "$wanted" "exit status of zkfs $* ($(cat err))"
	# shellcheck disable=SC2254 # it is a pattern
	case $(head -n 1 err) in
	$message) ;;
	*) fail "zkfs $*: expected '$message', got '$(cat err)'" ;;
	esac
	[ "$(wc -l <err)" -le 2 ] || fail "zkfs $* says too much: $(cat err)"
	[ ! -s out ] || fail "zkfs $* writes to its standard output: $(cat out)"
	! mountpoint -q mnt || fail "zkfs $* has mounted"
}

mkdir mnt
: >file
nobody=127.0.0.1:1 # tcpmux: nobody listens there

refuse 1 "zkfs: cannot connect to '$nobody': [Cc]onnection refused" "$nobody" mnt
refuse 1 "zkfs: cannot * 'no-such-host.invalid*': *" no-such-host.invalid:2181 mnt
refuse 2 "zkfs: *port*" 127.0.0.1 mnt
refuse 2 "zkfs: *port*" 127.0.0.1:x mnt
refuse 2 "zkfs: *port*" 127.0.0.1:65536 mnt
refuse 2 "zkfs: *" 127.0.0.1:2181, mnt
refuse 2 "zkfs: *" 127.0.0.1:2181/a//b mnt
refuse 1 "zkfs: there is no znode '$ROOT/missing' at '$ZK' to mount*" "$ZK$ROOT/missing" mnt
refuse 1 "zkfs: mount point 'missing' does not exist" "$ZK$ROOT" missing
refuse 1 "zkfs: mount point 'file' is not a directory" "$ZK$ROOT" file
refuse 2 "zkfs: missing mount point"
refuse 2 "zkfs: missing mount point after '$ZK$ROOT'" "$ZK$ROOT"
refuse 2 "zkfs: *extra*" "$ZK$ROOT" mnt extra
refuse 2 "zkfs: unrecognized option '--frobnicate'" --frobnicate "$ZK$ROOT" mnt
refuse 2 "zkfs: invalid option -- 'z'" -z "$ZK$ROOT" mnt
refuse 2 "zkfs: option requires an argument -- 'o'" "$ZK$ROOT" mnt -o
refuse 2 "zkfs: unknown mount option 'frobnicate'" -o frobnicate "$ZK$ROOT" mnt
refuse 2 "zkfs: mount option 'timeout' needs a value" -o timeout "$ZK$ROOT" mnt
refuse 2 "zkfs: invalid value 'soon' of option 'timeout': expected *" -o timeout=soon "$ZK$ROOT" mnt
refuse 2 "zkfs: invalid value '2000000' of option 'max_data': expected *" -o max_data=2000000 "$ZK$ROOT" mnt

mount_zk
refuse_mounted() {
	local status=0

	"$ZKFS" "$ZK$ROOT" "$MNT" </dev/null >out 2>err || status=$?
	expect_eq "$status" 1 "exit status when something is mounted already"
	expect_eq "$(cat err)" "zkfs: something is mounted on '$MNT' already" "message when something is mounted already"
}
refuse_mounted
unmount_zk

expect_eq "$("$ZKFS" --version | head -n 1 | cut -d ' ' -f 1)" zkfs "--version"
"$ZKFS" --help | head -n 1 | grep -q '^Usage: ' || fail "--help: no usage"
