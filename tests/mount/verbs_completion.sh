#!/bin/bash
# Bash completes verbs, their options and files; what it offers, the verbs take.
. "$(dirname "$0")/lib.sh"
. "$TOP/fusefs/zkfs.bash"

# complete_to WORD...: what is offered for the last one, sorted.
complete_to() {
	COMP_WORDS=("$@")
	COMP_CWORD=$(($# - 1))
	_zkfs
	printf '%s\n' "${COMPREPLY[@]}" | sort | tr '\n' ' '
}

expect_eq "$(complete_to zkfs st)" 'stat status ' 'verbs'
expect_eq "$(complete_to zkfs wait --e)" '--equals --exists ' 'options'
expect_eq "$(complete_to zkfs set --version '')" ' ' 'no file for a number'
mkdir dir
: >dir/file1
: >dir/file2
expect_eq "$(complete_to zkfs create -e dir/f)" 'dir/file1 dir/file2 ' 'files'
expect_eq "$(complete_to zkfs dir/file1)" 'dir/file1 ' 'a mount point'
expect_eq "$(complete_to zkfs hold x -- zkf_no)" ' ' 'commands'
expect_eq "$(complete_to zkfs lock -w 5 dir/file1 -- cat dir/file2)" 'dir/file2 ' 'of lock, too'
expect_eq "$(complete_to zkfs hold x -- cat dir/file1)" 'dir/file1 ' 'arguments of commands'
expect_eq "$(complete_to zkfs -o ac)" 'acl= ' 'a mount option'
expect_eq "$(complete_to zkfs -f -o ro,noti)" 'ro,notify= ' 'another one'
expect_eq "$(complete_to zkfs -o acl = c)" 'creator ' 'its value, as bash splits it'
expect_eq "$(complete_to zkfs -o acl =)" 'creator open read ' 'its values'
expect_eq "$(complete_to zkfs -o notify = invalidate,acl = r)" 'read ' 'the value of a second one'
expect_eq "$(complete_to zkfs -o ro,acl=o)" 'ro,acl=open ' 'as bash does not split it'
expect_eq "$(complete_to zkfs -o auth_file = dir/f)" 'dir/file1 dir/file2 ' 'a file'
expect_eq "$(complete_to zkfs hold x -- ls -o ac)" ' ' "a command's own -o"
expect_eq "$(complete_to zkfs -o ttl =)" ' ' 'a number'
help=$("$ZKFS" --help)
while read -r option; do
	expect_eq "$(complete_to zkfs -o "$option")" "$option$(grep -q "^  $option=" <<<"$help" && echo "=") " "mount option $option"
done < <(sed -n '/^Mount options/,/^and/s/^  \([a-z_]*\).*/\1/p' <<<"$help" | grep .)
main_help=$help
for verb in $(complete_to zkfs '' | tr ' ' '\n' | grep '^[a-z]'); do
	[ "$verb" = dir ] && continue
	help=$("$ZKFS" "$verb" --help)
	expect_eq "$(grep -c "^  $verb  " <<<"$main_help")" 1 "zkfs --help tells of $verb"
	expect_eq "$(complete_to zkfs "$verb" -o ac)" ' ' "mount options are none of $verb's"
	for option in $(complete_to zkfs "$verb" -); do
		[ "$option" = -- ] && continue
		expect_eq "$(grep -cE -- "(^| )$option([ ,=]|$)" <<<"$help" | sed 's/^[1-9].*/some/')" some "$verb --help tells of $option"
	done
	while read -r option; do
		expect_eq "$(complete_to zkfs "$verb" "$option" | grep -cE -- "(^| )$option ")" 1 "$verb completes $option"
	done < <(grep -oE -- '^ .*--[a-z]+' <<<"$help" | grep -oE -- '--[a-z]+$')
done
