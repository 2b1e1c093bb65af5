# Bash completion of zkfs(8)'s verbs and options; make install puts it where bash-completion looks.

# What stands behind -o, up to the cursor: "ro,acl=c", of which bash makes words at each "=". False: it is something else.
_zkfs_mount_options() {
	local i=$COMP_CWORD verb=${COMP_WORDS[1]} list=${COMP_WORDS[COMP_CWORD]} last kept words

	[[ $verb != @(create|hold|lock|set|stat|status|txn|wait) ]] || return
	while [ "$i" -gt 1 ] && [[ $list == =* || ${COMP_WORDS[i - 1]} == = ]]; do
		i=$((i - 1))
		list=${COMP_WORDS[i]}$list
	done
	[ "${COMP_WORDS[i - 1]}" = -o ] || return
	last=${list##*,}
	case $last in
	acl=*) words='open creator read' ;;
	notify=*) words='inotify invalidate' ;;
	auth_file=*) words= ;;
	*=*) return 0 ;;
	*)
		words='acl= allow_other auth_file= cache_size= debug max_data= nosymlinks notify= ro rw session_timeout= stale= strict
			timeout= ttl='
		compopt -o nospace 2>/dev/null
		;;
	esac
	# What is completed, and what of the word stays before it.
	last=${last#*=}
	kept=${cur%"$last"}
	[ "$kept" != = ] || kept=
	if [ -n "$words" ]; then
		mapfile -t COMPREPLY < <(compgen -W "$words" -P "$kept" -- "$last")
	else
		mapfile -t COMPREPLY < <(compgen -f -P "$kept" -- "$last")
	fi
}

_zkfs() {
	local cur=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]} i words=
	local prev=${COMP_WORDS[COMP_CWORD - 1]}

	COMPREPLY=()
	! _zkfs_mount_options || return 0
	if [ "$COMP_CWORD" = 1 ]; then
		words='create hold lock set stat status txn wait -d -f -h -o -r -V --help --version'
	elif [[ $cur == -* ]]; then
		case $verb in
		create) words='-e --ephemeral -s --sequential -c --container -p --parents --ttl' ;;
		hold) words='-s --sequential --' ;;
		lock) words='-s --shared -n --nonblock -w --wait -k --kill --pdeathsig --' ;;
		set) words='--version' ;;
		stat | status) words='--json' ;;
		txn) ;;
		wait) words='--exists --gone --changed --equals --timeout' ;;
		*) words='-d -f -h -o -r -V --help --version' ;;
		esac
		words="$words --help"
	elif [ "$verb" = hold ] || [ "$verb" = lock ]; then
		# What follows -- is another command's line.
		for ((i = 2; i < COMP_CWORD; i++)); do
			if [ "${COMP_WORDS[i]}" = -- ]; then
				if declare -F _command_offset >/dev/null; then
					_command_offset $((i + 1))
				elif [ $((i + 1)) = "$COMP_CWORD" ]; then
					mapfile -t COMPREPLY < <(compgen -c -- "$cur")
				else
					mapfile -t COMPREPLY < <(compgen -f -- "$cur")
				fi
				return
			fi
		done
	fi
	if [ -n "$words" ]; then
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
	fi
	# Files and directories, of which each is an operand, but for numbers and texts.
	case $prev in
	--ttl | --version | --timeout | --equals | --wait | --kill) ;;
	*)
		if [ ${#COMPREPLY[@]} = 0 ] && [[ $cur != -* ]]; then
			compopt -o filenames 2>/dev/null
			mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		fi
		;;
	esac
}

complete -F _zkfs zkfs
