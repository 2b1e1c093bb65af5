#!/bin/bash
# What ZooKeeper's own shell makes is what the filesystem shows, and the reverse.
. "$(dirname "$0")/lib.sh"

zkcli() {
	java -Dorg.slf4j.simpleLogger.defaultLogLevel=error \
		-cp /usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar \
		org.apache.zookeeper.ZooKeeperMain -server "$ZK$ROOT" 2>&1
}

[ -e /usr/share/java/zookeeper.jar ] || skip "ZooKeeper's Java client is missing"
require java
mount_zk

zkcli >zkcli.txt <<'END'
create /plain
create /empty ""
create /data "some words"
create /parent
create /parent/child one
create -c /container
create -c /container-with-data x
create -c /used-container
create /used-container/child two
create -t 3600000 /ttl
create -t 3600000 /ttl-with-data x
create -s /sequential- x
quit
END

mkdir "$MNT/.settle" # after it we have seen all that zkCli did
rmdir "$MNT/.settle"
ls "$MNT" >listing
expect_eq "$(find "$MNT" -mindepth 1 -printf '%y %P\n' | sort)" "\
d container
d empty
d parent
d plain
d ttl
d used-container
f container-with-data
f data
f parent/child
f sequential-0000000009
f ttl-with-data
f used-container/child" "kinds ($(cat zkcli.txt))"
expect_eq "$(cat "$MNT/data")" "some words" "data"
expect_eq "$(cat "$MNT/used-container/child")" two "a container's child"

printf 'from the mount' >"$MNT/parent/child"
mkdir "$MNT/made"
printf 'get /parent/child\nls /\nquit\n' | zkcli >zkcli.txt
grep -qx 'from the mount' zkcli.txt || fail "zkCli reads $(cat zkcli.txt)"
grep -q 'made' zkcli.txt || fail "zkCli lists $(cat zkcli.txt)"
unmount_zk
