#!/usr/bin/env atf-sh
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# Reverts, snapshots and clones of files on a filesystem that shares no extents, while they copy.

. "$(atf_get_srcdir)/../lib.sh"
. "$(atf_get_srcdir)/../pool.sh"

# begin - a volume with 160 MiB in it, a snapshot "s" of it when it held others, and a small volume
begin()
{
	export SNAPMGR_POOLS_DIR="$PWD/pools" SNAPMGR_BACKUP_DIR=
	dir=$PWD/dir
	ok snapmgr pool create p0 --driver file "$dir"
	if snapmgr capabilities p0 | grep -q reflink; then # here it would take no time
		ok snapmgr pool destroy p0 --yes
		dir=$(mktemp -d /dev/shm/snapmgr.XXXXXX) || exit 1
		ok snapmgr pool create p0 --driver file "$dir"
	fi
	ok snapmgr create p0/v --size 200M
	ok snapmgr create p0/w --size 1M
	dd if=/dev/urandom of="$dir/v.img" bs=1M count=160 conv=notrunc status=none
	old=$(it)
	ok snapmgr snapshot p0/v@s
	dd if=/dev/urandom of="$dir/v.img" bs=1M count=160 conv=notrunc status=none
	new=$(it)
}

end()
{
	ok snapmgr pool check p0
	[ "$(snapmgr list --operations --json | jq '.operations | length')" = 0 ] ||
		atf_fail "operations: $(snapmgr list --operations)"
	[ -z "$(ls "$dir"/.snapmgr/operation.* 2>/dev/null)" ] || atf_fail "progress files are left"
	ok snapmgr pool destroy p0 --yes
	rmdir "$dir"
}

it()
{
	cksum <"$dir/v.img"
}

# hold MIB ARG... - "snapmgr ARG..." in the background, stopped when it has done that much; without a lock
hold()
{
	local mib="$1"

	shift
	snapmgr "$@" >it.out 2>it.err &
	pid=$!
	for _ in $(seq 500); do
		kill -STOP "$pid" 2>/dev/null || break
		op=$(snapmgr list p0 --operations --json | jq -r ".operations[] |
			select(.lasting and .pid == $pid and .done_bytes > ($mib * 1048576)) | .uuid")
		[ -z "$op" ] || ! snapmgr set p0/w label=held --wait 0 >/dev/null 2>&1 || return 0
		kill -CONT "$pid"
		sleep 0.01
	done
	atf_fail "it was never seen at it: $(cat it.err)"
}

states()
{
	snapmgr show p0/v --json | expect "$1" .state
	snapmgr show p0/v@s --json | expect "$2" .state
}

# cancelled - of what is held
cancelled()
{
	snapmgr cancel "$op" --wait 120 >cancel.out 2>&1 &
	canceller=$!
	until snapmgr list p0 --operations --json | jq -e '.operations[] | select(.stopping)' >/dev/null; do
		kill -0 "$canceller" || atf_fail "it does not ask: $(cat cancel.out)"
	done
	kill -CONT "$pid"
	wait "$canceller" || atf_fail "$(cat cancel.out)"
	! wait "$pid" || atf_fail "it says that it succeeded"
	grep -q stopped it.err || grep -q 'cut short' it.err || atf_fail "it says: $(cat it.err)"
}

atf_test_case while_a_file_is_copied_into_others_see_it_and_work_on
while_a_file_is_copied_into_others_see_it_and_work_on_body()
{
	begin
	inode=$(stat -c %i "$dir/v.img")
	hold 170 revert p0/v@s
	states reverting restoring
	for change in "snapshot p0/v@t" "undo p0/v" "activate p0/v" "delete p0/v --recursive --yes" \
		"resize p0/v 256M" "revert p0/v@s"; do
		# shellcheck disable=SC2086 # words
		refuses bad_state 4 $change
		says "$op (revert) of process $pid" "snapmgr cancel"
	done
	for change in "pool export p0" "pool destroy p0 --yes"; do
		# shellcheck disable=SC2086 # words
		refuses in_use 4 $change
		says "process $pid" "snapmgr cancel"
	done
	ok snapmgr snapshot p0/w@s
	ok snapmgr revert p0/w@s
	kill -CONT "$pid"
	wait "$pid" || atf_fail "$(cat it.err)"
	[ "$(it)" = "$old" ] || atf_fail "it is something else"
	[ "$(stat -c %i "$dir/v.img")" = "$inode" ] || atf_fail "it is another file"
	states available available
	hold 10 snapshot p0/v@t
	states snapshotting available
	snapmgr show p0/v@t --json | expect creating .state
	cancelled
	states available available
	refuses not_found 3 show p0/v@t
	hold 10 clone p0/v@s p0/c
	snapmgr show p0/c --json | expect creating .state
	ok snapmgr pool check p0
	kill -CONT "$pid"
	wait "$pid" || atf_fail "$(cat it.err)"
	cmp "$dir/v.img" "$dir/c.img" || atf_fail "the clone is something else"
	end
}

atf_test_case cancelled_a_revert_of_a_file_goes_back_where_it_can
cancelled_a_revert_of_a_file_goes_back_where_it_can_body()
{
	begin
	hold 170 revert p0/v@s
	cancelled
	states available available
	[ "$(it)" = "$new" ] || atf_fail "it is not what it was"
	refuses not_found 3 undo p0/v
	hold 10 revert p0/v@s --no-undo
	cancelled
	states reverting_error available
	refuses bad_state 4 activate p0/v
	says mixture
	ok snapmgr revert p0/v@s
	states available available
	[ "$(it)" = "$old" ] || atf_fail "it is something else"
	refuses not_found 3 undo p0/v
	end
}

atf_test_case killed_a_revert_of_a_file_is_gone_on_with
killed_a_revert_of_a_file_is_gone_on_with_body()
{
	begin
	hold 240 revert p0/v@s
	kill -KILL "$pid"
	wait "$pid"
	states reverting restoring
	snapmgr list p0 --operations --json |
		expect "true true true" \
			'.operations[] | "\(.dead) \(.resumable) \(.done_bytes >= 67108864)"'
	# Nobody may have it open; what else there is goes its way.
	exec 7<"$dir/v.img"
	warns 'cannot be gone on with yet' snapmgr snapshot p0/w@s
	states reverting restoring
	exec 7<&-
	warns 'it is done' snapmgr snapshot p0/w@t
	states available available
	[ "$(it)" = "$old" ] || atf_fail "it is something else"
	# Or it is taken back.
	ok snapmgr undo p0/v
	hold 170 revert p0/v@s
	kill -KILL "$pid"
	wait "$pid"
	ok snapmgr cancel p0/v
	states available available
	[ "$(it)" = "$new" ] || atf_fail "it is not what it was"
	# A snapshot is not gone on with: who knows what was written since?
	hold 10 snapshot p0/v@t
	kill -KILL "$pid"
	wait "$pid"
	warns 'the unfinished snapshot is gone' snapmgr snapshot p0/w@u
	refuses not_found 3 show p0/v@t
	end
}

atf_init_test_cases()
{
	atf_add_test_case while_a_file_is_copied_into_others_see_it_and_work_on
	atf_add_test_case cancelled_a_revert_of_a_file_goes_back_where_it_can
	atf_add_test_case killed_a_revert_of_a_file_is_gone_on_with
}
