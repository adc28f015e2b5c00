#! /usr/bin/env atf-sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Input that is wrong: exit status, code, one message that names the thing, and nothing changed.

. "$(atf_get_srcdir)/../../lib.sh"

# One pool for a test: a volume, two snapshots, and what all of it looks like.
pool()
{
	fresh || atf_fail "cannot begin"
	snapmgr pool create -q p0 "$(disk 1)" "$(disk 2)" || atf_fail "no pool"
	snapmgr create -q p0/v --size 64M && snapmgr snapshot -q p0/v@s1 && snapmgr snapshot -q p0/v@s2 &&
		snapmgr create -q p0/w --size 64M || atf_fail "no volumes"
	state >before
}

state()
{
	snapmgr list --json --undo && dmsetup table && dmsetup info -c --noheadings -o name,suspended,uuid
}

unchanged()
{
	state >after && cmp -s before after || atf_fail "something changed: $(diff before after)"
}

# wrong CODE EXIT WORD ARG... - refused so, and the message has WORD in it; --json comes first, so that
# a "--" or an option without its value may come last
wrong()
{
	code=$1 exit=$2 word=$3 status=0
	shift 3
	refusal=$(snapmgr --json "$@") || status=$?
	[ $status = "$exit" ] || atf_fail "snapmgr $*: exit status $status, not $exit: $refusal"
	case $refusal in
	*'
'*) atf_fail "snapmgr $*: several lines: $refusal" ;;
	*'"code":"'"$code"'"'*"$word"*) ;;
	*) atf_fail "snapmgr $*: not $code with '$word': $refusal" ;;
	esac
}

atf_test_case names_that_are_none
names_that_are_none_body()
{
	pool
	long=$(printf 'x%.0s' $(seq 65))
	for name in '' . .. ../etc a/b 'two words' 'tab	x' Zürich "$(printf '\377')" -x _x .hidden "$long" \
		01234567-89ab-cdef-0123-456789abcdef 01234567-89AB-CDEF-0123-456789ABCDEF 'a@' 'x~1' 'a*'; do
		wrong usage 2 "" create "p0/$name" --size 64M
		wrong usage 2 "" snapshot "p0/v@$name"
		wrong usage 2 "" rename p0/v -- "$name"
		wrong usage 2 "" pool create "$(disk 3)" -- "$name"
	done
	for name in undo latest undo~1 latest~0; do
		wrong usage 2 "$name" snapshot "p0/v@$name"
		wrong usage 2 "$name" rename p0/v@s1 "$name"
	done
	wrong usage 2 "is empty" create p0/ --size 64M
	wrong usage 2 "is longer than 64" create "p0/$long" --size 64M
	wrong usage 2 "has the form of a UUID" create p0/01234567-89ab-cdef-0123-456789abcdef --size 64M
	wrong usage 2 "is reserved" snapshot p0/v@latest
	wrong usage 2 "pool/vol@snap" snapshot p0@s1
	unchanged
}

atf_test_case sizes_that_are_none
sizes_that_are_none_body()
{
	pool
	for size in '' 0 -1 1 511 64MB 10GB 10kB 1.5G '64M ' ' 64M' 64Mx +64M 0x1000 1e9 M 16E 16EiB 5E \
		18446744073709551616 9223372036854775807 99999999999999999999999 ٣M; do
		wrong usage 2 "" create p0/new "--size=$size"
		wrong usage 2 "" resize p0/v -- "$size"
	done
	wrong usage 2 "too large" create p0/new --size 16E
	wrong usage 2 "KB is refused" create p0/new --size 10GB
	wrong usage 2 "multiple of 512" create p0/new --size 1
	wrong usage 2 "size 0" create p0/new --size 0
	wrong usage 2 "--size" create p0/new
	wrong usage 2 "no size" pool create p1 "$(disk 3)" --chunk 64kb
	unchanged
}

atf_test_case verbs_flags_and_arguments
verbs_flags_and_arguments_body()
{
	pool
	wrong usage 2 "did you mean 'snapshot'" snapshoot p0/v@s3
	wrong usage 2 "frobnicate" frobnicate
	wrong usage 2 "pool" pool frobnicate
	wrong usage 2 "--sise" create p0/new --sise 64M
	wrong usage 2 "-z" list -z
	wrong usage 2 "--size needs a value" create p0/new --size
	wrong usage 2 "--json takes no value" list --json=yes
	wrong usage 2 "--wait" list --wait forever
	wrong usage 2 "--wait" list --wait -1
	wrong usage 2 "missing argument" create
	wrong usage 2 "missing argument" resize p0/v
	wrong usage 2 "missing argument" clone p0/v@s1
	wrong usage 2 "missing argument" snapshot
	wrong usage 2 "missing argument" rename p0/v
	wrong usage 2 "missing argument" set p0/v
	wrong usage 2 "unexpected argument" create p0/new p0/more --size 64M
	wrong usage 2 "unexpected argument" hold p0/v@s1 p0/v@s2
	wrong usage 2 "KEY=VALUE" create p0/new --size 64M --tag novalue
	wrong usage 2 "KEY=VALUE" create p0/new --size 64M --tag =x
	wrong usage 2 "speed=9" create p0/new --size 64M -o speed=9
	wrong usage 2 "speed=9" snapshot p0/v@s3 -o speed=9
	wrong usage 2 "speed=9" revert p0/v@s1 -o speed=9
	wrong usage 2 "speed=9" clone p0/v@s1 p0/new -o speed=9
	wrong usage 2 "label" create p0/new --size 64M --label "$(printf '\033[31mred')"
	wrong usage 2 "description" create p0/new --size 64M --description "$(printf 'x%.0s' $(seq 513))"
	wrong usage 2 "tag" create p0/new --size 64M --tag "$(printf 'x%.0s' $(seq 129))=1"
	unchanged
}

atf_test_case objects_that_are_not_there
objects_that_are_not_there_body()
{
	uuid=01234567-89ab-cdef-0123-456789abcdef
	pool
	wrong not_found 3 nopool list nopool
	wrong not_found 3 nopool create nopool/v --size 64M
	wrong not_found 3 nopool snapshot nopool/v@s
	for verb in show activate deactivate get list tree; do
		wrong not_found 3 novol $verb p0/novol
	done
	for verb in show revert activate hold release delete; do
		wrong not_found 3 nosnap $verb p0/v@nosnap
	done
	wrong not_found 3 "snapmgr list p0" show p0/novol
	wrong not_found 3 novol resize p0/novol 64M
	wrong not_found 3 novol rename p0/novol x
	wrong not_found 3 novol delete --yes p0/novol
	wrong not_found 3 novol set p0/novol label=x
	wrong not_found 3 novol snapshot p0/novol@s
	wrong not_found 3 nosnap clone p0/v@nosnap p0/new
	wrong not_found 3 nosnap rename p0/v@nosnap x
	wrong not_found 3 undo show p0/v@undo
	wrong not_found 3 undo clone p0/v@undo~2 p0/new
	wrong not_found 3 "nothing was reverted" undo p0/v
	wrong not_found 3 latest~2 show p0/v@latest~2
	wrong not_found 3 latest show p0/w@latest
	wrong not_found 3 $uuid show $uuid
	wrong not_found 3 $uuid revert p0/v@$uuid
	# A snapshot of another volume is none of this one.
	of_v=$(snapmgr show p0/v@s1 --json | json .uuid)
	wrong not_found 3 "$of_v" revert "p0/w@$of_v"
	unchanged
}

atf_test_case objects_of_another_kind
objects_of_another_kind_body()
{
	pool
	vol=$(snapmgr show p0/v --json | json .uuid) snap=$(snapmgr show p0/v@s1 --json | json .uuid)
	pool=$(snapmgr show p0 --json | json .uuid)
	wrong usage 2 "names a volume" revert p0/v
	wrong usage 2 "names a pool" revert p0
	wrong usage 2 "names a volume" hold p0/v
	wrong usage 2 "names a volume" clone p0/v p0/new
	wrong usage 2 "names a pool" clone p0 p0/new
	wrong usage 2 "names a snapshot" resize p0/v@s1 64M
	wrong usage 2 "names a pool" resize p0 64M
	wrong usage 2 "names a snapshot" list p0/v@s1
	wrong usage 2 "names a snapshot" undo p0/v@s1
	wrong usage 2 "names a pool" activate p0
	wrong usage 2 "names a pool" delete --yes p0
	wrong usage 2 "names an undo point" delete p0/v@undo
	wrong usage 2 "names an undo point" hold p0/v@undo
	wrong usage 2 "a pool has no property 'label'" set p0 label=x
	wrong usage 2 "names a volume" capabilities p0/v
	wrong usage 2 "p0" snapshot p0
	wrong usage 2 "p0/v" snapshot p0/v
	wrong usage 2 "p0/new@s" create p0/new@s --size 64M
	wrong usage 2 "names a volume" revert "$vol"
	wrong usage 2 "names a snapshot" resize "$snap" 64M
	wrong usage 2 "names a pool" resize "$pool" 64M
	wrong usage 2 "within one pool" clone p0/v@s1 p1/new
	wrong exists 4 "'v'" create p0/v --size 64M
	wrong exists 4 "'s1'" snapshot p0/v@s1
	wrong exists 4 "'w'" clone p0/v@s1 p0/w
	wrong exists 4 "'w'" rename p0/v w
	wrong exists 4 "'s2'" rename p0/v@s1 s2
	unchanged
}

atf_test_case people_get_one_line_and_programs_get_json
people_get_one_line_and_programs_get_json_body()
{
	pool
	atf_check -s exit:3 -o empty -e inline:"snapmgr: revert: volume 'p0/v' has no snapshot 'x' ('snapmgr list p0/v' shows those there are)\n" \
		snapmgr revert p0/v@x
	atf_check -s exit:3 -o save:json -e empty snapmgr revert p0/v@x --json
	jq -e '.error | .code == "not_found" and .errno == "ENOENT" and (.message | test("p0/v"))' json >/dev/null ||
		atf_fail "$(cat json)"
	# Hostile text reaches no terminal.
	atf_check -s exit:2 -o empty -e save:err snapmgr create "p0/$(printf 'a\033]0;x\007b')" --size 64M
	LC_ALL=C grep -q "$(printf '[\001-\011\013-\037]')" err && atf_fail "control characters: $(od -c err)"
	unchanged
}

atf_test_case nobody_without_permission
nobody_without_permission_body()
{
	pool
	chmod 755 .
	for args in "list" "show p0/v" "create p0/new --size 64M" "snapshot p0/v@s3" "revert p0/v@s1" \
		"delete p0/v@s1" "rename p0/v x" "recover" "pool deactivate p0" "pool list"; do
		status=0
		# shellcheck disable=SC2086 # words
		answer=$(setpriv --reuid nobody --regid nogroup --clear-groups snapmgr $args --json) || status=$?
		[ $status = 1 ] || atf_fail "$args: exit status $status: $answer"
		echo "$answer" | jq -e '.error.code == "permission"' >/dev/null || atf_fail "$args: $answer"
	done
	setpriv --reuid nobody --regid nogroup --clear-groups snapmgr list 2>&1 | grep -qi 'root' ||
		atf_fail "no way out in: $answer"
	unchanged
}

atf_test_case a_closed_output_is_an_error
a_closed_output_is_an_error_body()
{
	pool
	atf_check -s exit:1 -e match:'standard output is closed' sh -c 'snapmgr list >&-'
	atf_check -s exit:1 -e match:'standard output is closed' sh -c 'snapmgr create p0/new --size 64M >&-'
	atf_check -s exit:1 -e match:'standard output' sh -c 'snapmgr list >/dev/full'
	atf_check -s exit:1 -e match:'standard output' sh -c 'snapmgr list --json >/dev/full'
	unchanged
	atf_check sh -c 'snapmgr snapshot -q p0/v@s3 >&-'
	atf_check -o match:s3 snapmgr list p0/v
	atf_check -e ignore sh -c 'snapmgr list | true'
}

atf_test_case state_on_a_read_only_run_is_an_error
state_on_a_read_only_run_is_an_error_body()
{
	pool
	for args in "snapshot p0/v@s3" "revert p0/v@s1" "create p0/new --size 64M" "delete p0/v@s1"; do
		status=0
		# shellcheck disable=SC2086 # words
		answer=$(unshare -m sh -c 'mount --bind /run/snapmgr /run/snapmgr &&
			mount -o remount,bind,ro /run/snapmgr && exec snapmgr "$@"' sh $args --json) || status=$?
		[ $status = 1 ] || atf_fail "$args: exit status $status: $answer"
		echo "$answer" | jq -e '.error | .code == "io" and (.message | test("/run/snapmgr"))' >/dev/null ||
			atf_fail "$args: $answer"
	done
	unchanged
}

atf_init_test_cases()
{
	for name in names_that_are_none sizes_that_are_none verbs_flags_and_arguments \
		objects_that_are_not_there objects_of_another_kind people_get_one_line_and_programs_get_json \
		nobody_without_permission a_closed_output_is_an_error state_on_a_read_only_run_is_an_error; do
		atf_add_test_case $name
	done
}
