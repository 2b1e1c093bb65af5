#!/bin/bash
# Starting with standard files closed, as from cron or a broken spawner: it mounts, comes back, and ends.
. "$(dirname "$0")/lib.sh"

mkdir mnt
for closed in '<&-' '>&-' '2>&-' '<&- >&-' '>&- 2>&-' '<&- 2>&-' '<&- >&- 2>&-'; do
	eval "timeout 20 \"\$ZKFS\" \"\$ZK\$ROOT\" mnt $closed" || fail "with $closed: exit status $?"
	echo data >"mnt/file" || fail "with $closed: cannot write"
	expect_eq "$(cat mnt/file)" data "with $closed: contents"
	rm mnt/file
	fusermount3 -u mnt
done
