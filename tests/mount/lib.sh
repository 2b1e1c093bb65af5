# shellcheck shell=dash
# What a shell test of a real mount uses: . "$(dirname "$0")/lib.sh" as its first command.
# The Python tests' counterpart is zktest.py. For bash and dash; bash says which line failed.
#
# The runner (run) sets, for each test:
#   ZKFS     the program to test          ZK       connect string of the servers
#   ROOT     this test's znode            SCRATCH  this test's directory, where it is started
#   TOP      the repository
# A command that fails ends the test (set -e), and so does a variable that is not set.

set -eu

if [ -z "${ZKFS-}" ] || [ -z "${ZK-}" ] || [ -z "${ROOT-}" ] || [ -z "${SCRATCH-}" ]; then
	echo "tests/mount/run runs the tests" >&2
	exit 1
fi

if [ -n "${BASH_VERSION-}" ]; then
	# shellcheck disable=SC3040,SC3041,SC3047 # only bash gets here
	{
		set -o pipefail -E
		trap 'echo "${BASH_SOURCE[0]##*/}:$LINENO: exit status $?: $BASH_COMMAND" >&2' ERR
	}
fi

# --- Verdicts ---------------------------------------------------------------------------------

fail() {
	printf 'FAILED: %s\n' "$*" >&2
	exit 1
}

skip() {
	printf '%s\n' "$*"
	exit 77
}

# require COMMAND...: skip the test if one is missing.
require() {
	local command

	for command; do
		command -v "$command" >/dev/null || skip "$command is missing"
	done
}

# expect_eq ACTUAL EXPECTED WHAT
expect_eq() {
	[ "$1" = "$2" ] || fail "$3: got '$1', expected '$2'"
}

# expect_error ERRNO COMMAND...: it must fail and say what strerror says of ERRNO, a name.
expect_error() {
	local name=$1 text output

	shift
	text=$(/usr/bin/python3 -ISc '
import errno, os, sys
print(os.strerror(getattr(errno, sys.argv[1])))' "$name") || fail "what is $name?"
	if output=$(export LC_ALL=C && "$@" 2>&1 >/dev/null); then
		fail "succeeded, expected $name: $*"
	fi
	case $output in
	*"$text"*) ;;
	*) fail "expected $name ($text), got '$output': $*" ;;
	esac
}

# wait_until SECONDS COMMAND...: for what cannot be awaited otherwise; fails when the time is up.
wait_until() {
	local end

	end=$(($(date +%s%3N) + $1 * 1000))
	shift
	until "$@"; do
		[ "$(date +%s%3N)" -lt "$end" ] || return 1
		sleep 0.02
	done
}

# --- ZooKeeper ---------------------------------------------------------------------------------

# zk CODE [ARGUMENT...]: runs Python with zk, a started KazooClient whose / is the test's root, root
# and args, and put(path, data), cat(path), ls(path), tree(path), stat(path), wait_until(),
# expect_eq(), fail().
zk() {
	/usr/bin/python3 "$TOP/tests/mount/zktest.py" -c "$@"
}

# start_servers [OPTIONS...]: servers of this test alone, which it may kill; they are what it mounts
# and asks from then on. OPTIONS are those of "scripts/zookeeper start". End them by "servers stop".
start_servers() {
	shared_servers=$ZK
	ZK=$(servers start "$@")
	/usr/bin/python3 "$TOP/tests/mount/zktest.py" --make-root
}

# servers kill 2, servers pause 1, servers status, ...: see scripts/zookeeper.
servers() {
	"$TOP/scripts/zookeeper" "$@" --dir "$SCRATCH/servers"
	[ "$1" != stop ] || ZK=$shared_servers
}

# --- zkfs --------------------------------------------------------------------------------------

# mount_zk [NAME] [OPTIONS...]: mounts $ROOT at $SCRATCH/NAME (mnt) and sets MNT to that. Says what
# zkfs said, with its exit status, if it fails.
mount_zk() {
	local name=mnt status=0

	case ${1--} in
	-*) ;;
	*)
		name=$1
		shift
		;;
	esac
	MNT=$SCRATCH/$name
	mkdir -p "$MNT"
	"$ZKFS" "$@" "$ZK$ROOT" "$MNT" </dev/null >"$MNT.err" 2>&1 || status=$?
	if [ "$status" != 0 ]; then
		cat "$MNT.err" >&2
		rm "$MNT.err"
		return "$status"
	fi
	mountpoint -q "$MNT" || fail "zkfs succeeded, but '$MNT' is not mounted"
	find_daemon "$MNT" >"$MNT.pid" || fail "zkfs succeeded, but no daemon serves '$MNT'"
}

# The pid of the zkfs that this test started for a mountpoint, which may be relative; another may have one of that name.
find_daemon() {
	local proc

	for proc in /proc/[0-9]*; do
		if [ "$proc/exe" -ef "$ZKFS" ] && has_argument "$proc" "$1" && is_ours "$proc"; then
			echo "${proc#/proc/}"
			return
		fi
	done
	return 1
}

# Quiet, because it may be another test's zkfs that ends just now.
has_argument() {
	tr '\0' '\n' <"$1/cmdline" | grep -qxF -- "$2"
} 2>/dev/null

is_ours() {
	tr '\0' '\n' <"$1/environ" | grep -qxF -- "SCRATCH=$SCRATCH"
} 2>/dev/null

# zkfs_pid [NAME]: the pid of the daemon that serves a mountpoint.
zkfs_pid() {
	cat "$SCRATCH/${1-mnt}.pid"
}

has_ended() {
	! grep -qs '^State:[[:space:]][^ZX]' "/proc/$1/status"
}

# Somebody may be just looking (the announcer, what a test left to run out): hence the polling.
unmount_quietly() {
	fusermount3 "$@" 2>"$SCRATCH/fusermount.txt"
}

# unmount_zk [NAME]: waits until the daemon has exited. Fails if it died, or a sanitizer reported.
unmount_zk() {
	local name=${1-mnt} pid mnt

	mnt=$SCRATCH/$name
	pid=$(zkfs_pid "$name")
	if has_ended "$pid"; then
		fusermount3 -uz "$mnt" || :
		fail "zkfs has died (mountpoint '$mnt')"
	fi
	wait_until 5 unmount_quietly -u "$mnt" ||
		fail "cannot unmount '$mnt': $(cat "$SCRATCH/fusermount.txt")"
	wait_until 30 has_ended "$pid" || fail "zkfs still runs 30 s after '$mnt' was unmounted"
	check_sanitizers
}

check_sanitizers() {
	local file

	for file in "$SCRATCH"/sanitizer.*; do
		# The runner shows what.
		[ ! -e "$file" ] || fail "a sanitizer reported"
	done
}
