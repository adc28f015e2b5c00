#!/usr/bin/env atf-sh
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# What the command says to people who mistype, and where it cannot work at all. No kernel is needed.

# Every command, one a line; "pool create" is one.
commands()
{
	snapmgr help | sed -n '/^Commands:/,/^$/s/^  \(.*[^ ]\)   .*/\1/p' | sed 's/  .*//'
}

# refused MESSAGE ARG... - usage: exit 2, nothing on stdout, one line on stderr
refused()
{
	local message="$1"

	shift
	atf_check -s exit:2 -e inline:"snapmgr: $message\n" snapmgr "$@"
}

atf_test_case every_command_has_help
every_command_has_help_body()
{
	commands >list
	[ "$(wc -l <list)" -ge 31 ] || atf_fail "only $(wc -l <list) commands: $(cat list)"
	while read -r command; do
		# shellcheck disable=SC2086 # "pool create" is two words
		snapmgr $command --help >help 2>err || atf_fail "$command --help: $(cat err)"
		grep -q "^usage: snapmgr $command" help || atf_fail "$command: no synopsis: $(cat help)"
		for flag in json quiet wait help; do
			grep -q -e "--$flag" help || atf_fail "$command --help lacks --$flag"
		done
		# shellcheck disable=SC2086
		snapmgr help $command | cmp -s - help || atf_fail "help $command differs"
	done <list
}

atf_test_case every_flag_in_the_help_is_accepted
every_flag_in_the_help_is_accepted_body()
{
	commands >list
	while read -r command; do
		# Where the help shows a value, "1" will do for any.
		# shellcheck disable=SC2086 # "pool create" is two words
		snapmgr $command --help |
			sed -n 's/^  \(-., \)\{0,1\}\(--[a-z-]*\) [A-Z].*/\2=1/p; t
				s/^  \(-., \)\{0,1\}\(--[a-z-]*\) .*/\2/p' >flags
		while read -r flag; do
			# shellcheck disable=SC2086 # with --help behind it nothing is done
			snapmgr $command "$flag" --help >out 2>err ||
				atf_fail "$command $flag: $(cat err)"
		done <flags
		grep -q -e --wait=1 flags || atf_fail "$command: $(cat flags)"
	done <list
}

atf_test_case the_manual_names_every_command_and_flag
the_manual_names_every_command_and_flag_body()
{
	manual=$(atf_get_srcdir)
	while [ "$manual" != / ] && [ ! -e "$manual/doc/snapmgr.8" ]; do
		manual=$(dirname "$manual")
	done
	manual=$manual/doc/snapmgr.8
	[ -e "$manual" ] || atf_skip "the manual is not above the build folder"
	# What every command takes is in a section of its own.
	sed -n '/^\.Sh OPTIONS/,/^\.Sh POOLS/p' "$manual" >common
	commands >list
	while read -r command; do
		# From its name up to the next command or section.
		awk -v name="$command" '/^\.Sh PROPERTIES/ { exit } /^\.(It Ic|S[hs]) / {
			on = index($0 " ", ".It Ic " name " ") == 1 } on' "$manual" >part
		[ -s part ] || atf_fail "the manual lacks '$command'"
		# shellcheck disable=SC2086 # "pool create" is two words
		snapmgr $command --help | sed -n 's/^  \(-., \)\{0,1\}--\([a-z-]*\) .*/\2/p' >flags
		while read -r flag; do
			cat part common | grep -Eq "Fl Fl $flag( |\$)" ||
				atf_fail "the manual lacks --$flag of '$command'"
		done <flags
		# And nothing else.
		grep -o 'Fl Fl [a-z-]*' part | sed 's/Fl Fl //' | sort -u >told
		sort -u flags | comm -13 - told >stale
		[ ! -s stale ] || atf_fail "'$command' has no $(tr '\n' ' ' <stale)"
	done <list
}

atf_test_case unknown_commands_are_refused_with_the_nearest_one
unknown_commands_are_refused_with_the_nearest_one_body()
{
	refused "unknown command 'lst'; did you mean 'list'?" lst
	refused "unknown command 'pool lits'; did you mean 'pool list'?" pool lits
	refused "unknown command 'frobnicate'; see 'snapmgr help'" frobnicate
	refused "unknown command ''; see 'snapmgr help'" ''
	refused "'pool' needs a second word; see 'snapmgr help'" pool
	refused "no command given; see 'snapmgr help'"
	refused "no command given; see 'snapmgr help'" --quiet
	refused "help: unknown command 'lst'; did you mean 'list'?" help lst
}

atf_test_case unknown_flags_are_refused_with_the_nearest_one
unknown_flags_are_refused_with_the_nearest_one_body()
{
	refused "revert: unknown option '--onlin'; did you mean '--online'?" revert p0/v@s1 --onlin
	refused "list: unknown option '-x'" list -x
	refused "unknown option '--frobnicate'" --frobnicate list
	refused "create: unknown option '--drop'" create p0/v --drop
	refused "list: --json takes no value" list --json=yes
	refused "revert: --online and --remount exclude each other" revert p0/v@s1 --remount --online
	refused "delete: --recursive and --keep-snapshots exclude each other" \
		delete p0/v --recursive --keep-snapshots
}

atf_test_case missing_and_extra_arguments_are_refused
missing_and_extra_arguments_are_refused_body()
{
	refused "revert: missing argument; usage: snapmgr revert POOL/VOL@SNAP | POOL/GROUP@SNAP" revert
	refused "clone: missing argument; usage: snapmgr clone POOL/VOL@SNAP POOL/NEW" clone p0/v@s1
	refused "pool create: missing argument; usage: snapmgr pool create NAME DEVICE...|DIR" \
		pool create p0
	refused "show: unexpected argument 'b'; usage: snapmgr show OBJECT" show a b
	refused "version: unexpected argument 'x'" version x
	refused "create: how large is 'p0/v' to be? use --size 10G" create p0/v
	refused "create: --size needs a value: SIZE" create p0/v --size
	refused "set: 'x' is no KEY=VALUE" set p0/v x
	refused "set: '=x' is no KEY=VALUE" set p0/v =x
	refused "create: a tag is KEY=VALUE, not 'x'" create p0/v --size 1G --tag x
}

atf_test_case wrong_values_are_refused
wrong_values_are_refused_body()
{
	for size in '' -1 1.5G 10GB 10KB 16E 16EiB 8E 99999999999999999999 '1 G' 1G1 x 0x10 1e3; do
		atf_check -s exit:2 -e match:"^snapmgr: create: --size: .*'$size'" \
			snapmgr create p0/v "--size=$size"
		atf_check -s exit:2 -e match:"^snapmgr: pool create: --chunk: .*'$size'" \
			snapmgr pool create p0 /dev/null --chunk "$size"
		case $size in
		-*) set -- -- ;; # else it would be an option
		*) set -- ;;
		esac
		atf_check -s exit:2 -e match:"^snapmgr: resize: .*'$size'" \
			snapmgr resize "$@" p0/v "$size"
	done
	refused "pool create: a chunk of 0 bytes is none" pool create p0 /dev/null --chunk 0
	refused "create: --size: a volume of size 0 cannot be" create p0/v --size 0
	for seconds in '' -1 1.5 1s x 99999999; do
		refused "list: --wait needs whole seconds from 0 to 4000000, not '$seconds'" \
			list --wait "$seconds"
	done
}

atf_test_case usage_errors_in_json_are_json
usage_errors_in_json_are_json_body()
{
	expected='{"error":{"code":"usage","errno":"EINVAL","message":"missing argument; usage: '
	expected=$expected'snapmgr revert POOL/VOL@SNAP | POOL/GROUP@SNAP"}}\n'
	atf_check -s exit:2 -o inline:"$expected" snapmgr revert --json
	atf_check -s exit:2 -o inline:"$expected" snapmgr --json revert
	atf_check -s exit:2 -o match:'"code":"usage".*unknown command' snapmgr lst --json
	# Also where the mistake stands before the flag, and whatever the words are made of.
	atf_check -s exit:2 -o inline:'{"error":{"code":"usage","errno":"EINVAL","message":"unknown option '"'--a\\\\\"\\\\u001b\\\\ufffd'"'"}}\n' \
		snapmgr list "$(printf -- '--a"\033\377')" --json
}

atf_test_case control_characters_do_not_reach_the_terminal
control_characters_do_not_reach_the_terminal_body()
{
	refused "unknown command '?[31m'; see 'snapmgr help'" "$(printf '\033[31m')"
}

atf_test_case a_closed_stdout_is_an_error_before_anything_is_done
a_closed_stdout_is_an_error_before_anything_is_done_body()
{
	for args in 'list' 'create p0/v --size 1G' 'revert p0/v@s1' 'version' 'capabilities'; do
		# shellcheck disable=SC2086 # words
		atf_check -s exit:1 -e match:'standard output is closed' sh -c 'snapmgr "$@" >&-' - $args
	done
	# Who wants no word needs no place for it, but help is nothing else.
	atf_check -s exit:1 -e match:'cannot write to standard output: Bad file descriptor' \
		sh -c 'snapmgr help list --quiet >&-'
}

atf_test_case a_full_stdout_is_an_error
a_full_stdout_is_an_error_body()
{
	for args in help 'list --help' version 'version --json' capabilities 'capabilities --json' \
		'revert --json'; do
		# shellcheck disable=SC2086 # words
		snapmgr $args >/dev/full 2>err && atf_fail "'$args' succeeded"
		grep -q 'cannot write to standard output: No space left on device$' err ||
			atf_fail "$args: $(cat err)"
	done
	atf_check -s exit:1 -e ignore sh -c 'snapmgr version >/dev/full'
}

atf_test_case a_reader_that_left_is_an_error
a_reader_that_left_is_an_error_body()
{
	mkfifo pipe
	# shellcheck disable=SC2016 # the inner shell's variables
	atf_check -s exit:0 -o inline:'1\n' -e match:'cannot write to standard output: Broken pipe' \
		sh -c 'true <pipe & exec 3>pipe; wait; snapmgr help >&3; echo $?'
}

atf_test_case files_are_never_opened_in_place_of_closed_streams
files_are_never_opened_in_place_of_closed_streams_body()
{
	atf_check -s exit:0 -o inline:'snapmgr '"$(snapmgr version | cut -d' ' -f2)"'\n' \
		sh -c 'snapmgr version <&- 2>&-'
	atf_check -s exit:2 sh -c 'snapmgr lst <&- 2>&-'
}

# without_device_mapper ARG... - run snapmgr where the kernel seems to have none
without_device_mapper()
{
	if grep -q device-mapper /proc/misc; then
		grep -v device-mapper /proc/misc >misc
		# shellcheck disable=SC2016 # the inner shell's variables
		unshare --map-root-user --mount sh -c \
			'mount --bind misc /proc/misc && exec snapmgr "$@"' - "$@"
	else
		snapmgr "$@"
	fi
}

atf_test_case a_kernel_without_device_mapper_is_unsupported
a_kernel_without_device_mapper_is_unsupported_body()
{
	for args in list tree 'pool list' 'show p0/v' 'create p0/v --size 1G' 'snapshot p0/v@s1' \
		'revert p0/v@s1' 'undo p0/v' 'pool create p0 /dev/null' 'pool show p0' recover; do
		status=0
		# shellcheck disable=SC2086 # words
		without_device_mapper $args >out 2>err || status=$?
		# Somebody who may not look cannot know.
		if [ "$(id -u)" != 0 ] && grep -q 'Permission denied' err; then
			continue
		fi
		[ "$status" = 6 ] || atf_fail "$args: exit status $status: $(cat err)"
		atf_check -o inline:"1\n" sh -c 'wc -l <err'
		grep -q "^snapmgr: .*: this kernel has no device-mapper" err || atf_fail "$(cat err)"
		[ ! -s out ] || atf_fail "$args: $(cat out)"
	done
	without_device_mapper list --json >out && atf_fail 'list --json succeeded'
	[ "$(id -u)" != 0 ] || grep -q '^{"volumes":\[\],"error":{"code":"unsupported",' out ||
		atf_fail "$(cat out)"
}

atf_init_test_cases()
{
	atf_add_test_case every_command_has_help
	atf_add_test_case every_flag_in_the_help_is_accepted
	atf_add_test_case the_manual_names_every_command_and_flag
	atf_add_test_case unknown_commands_are_refused_with_the_nearest_one
	atf_add_test_case unknown_flags_are_refused_with_the_nearest_one
	atf_add_test_case missing_and_extra_arguments_are_refused
	atf_add_test_case wrong_values_are_refused
	atf_add_test_case usage_errors_in_json_are_json
	atf_add_test_case control_characters_do_not_reach_the_terminal
	atf_add_test_case a_closed_stdout_is_an_error_before_anything_is_done
	atf_add_test_case a_full_stdout_is_an_error
	atf_add_test_case a_reader_that_left_is_an_error
	atf_add_test_case files_are_never_opened_in_place_of_closed_streams
	atf_add_test_case a_kernel_without_device_mapper_is_unsupported
}
