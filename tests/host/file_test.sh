#!/usr/bin/env atf-sh
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# Pools that are folders, without root and without device-mapper: what is under the tests' own folder
# is copied or reflinked, as its filesystem can.

. "$(atf_get_srcdir)/../lib.sh"
. "$(atf_get_srcdir)/../pool.sh"

top=$(dirname "$(dirname "$(command -v check-failpoints)")")
killable=$top/${B:-build}/failpoints/bin/snapmgr

# begin - no pools yet; links to them lie in a folder of this test
begin()
{
	export SNAPMGR_POOLS_DIR="$PWD/pools" SNAPMGR_BACKUP_DIR=
	dir=$PWD/dir
	mkdir -p "$dir"
}

# put TEXT - into the volume; it - what the volume says
put()
{
	seq -f "$1 %g" 1 20000 | dd of="$dir/v.img" conv=notrunc status=none
}

it()
{
	cksum <"$dir/v.img"
}

# two_states - a volume that holds "new", with a snapshot "s" of "old"
two_states()
{
	ok snapmgr pool create p0 --driver file "$dir"
	ok snapmgr create p0/v --size 4M
	put old
	old=$(it)
	ok snapmgr snapshot p0/v@s
	put new
	new=$(it)
}

atf_test_case nobody_needs_root_for_files
nobody_needs_root_for_files_body()
{
	home=$(mktemp -d) || exit 1
	chmod 755 "$home"
	cat >"$home/story" <<-'END'
		set -e
		unset SNAPMGR_POOLS_DIR XDG_STATE_HOME
		export HOME="$1/home" SNAPMGR_BACKUP_DIR=
		snapmgr pool create p0 --driver file "$HOME/pool"
		test -L "$HOME/.local/state/snapmgr/pools/p0"
		snapmgr create p0/v --size 1M
		echo old | dd of="$HOME/pool/v.img" conv=notrunc status=none
		inode=$(stat -c %i "$HOME/pool/v.img")
		snapmgr snapshot p0/v@s
		echo new | dd of="$HOME/pool/v.img" conv=notrunc status=none
		snapmgr revert p0/v@s
		test "$(head -c 3 "$HOME/pool/v.img")" = old
		snapmgr undo p0/v
		test "$(head -c 3 "$HOME/pool/v.img")" = new
		test "$(stat -c %i "$HOME/pool/v.img")" = "$inode"
		XDG_STATE_HOME="$1/home/other" snapmgr pool import "$HOME/pool"
		test -L "$HOME/other/snapmgr/pools/p0"
		snapmgr pool list --json | grep -q '"p0"'
		snapmgr pool destroy p0 --yes
		test -z "$(ls -A "$HOME/pool")"
	END
	mkdir "$home/home"
	cp "$(command -v snapmgr)" "$home/snapmgr"
	as=
	if [ "$(id -u)" = 0 ]; then
		chown -R 65534:65534 "$home"
		as='setpriv --reuid 65534 --regid 65534 --clear-groups'
	fi
	# shellcheck disable=SC2086 # words
	$as env PATH="$home:$PATH" sh "$home/story" "$home" >said 2>&1 || {
		rm -rf "$home"
		atf_fail "$(cat said)"
	}
	rm -rf "$home"
}

atf_test_case whoever_dies_at_any_step_of_a_revert_leaves_one_or_the_other
whoever_dies_at_any_step_of_a_revert_leaves_one_or_the_other_head()
{
	atf_set timeout 600
}
whoever_dies_at_any_step_of_a_revert_leaves_one_or_the_other_body()
{
	begin
	two_states
	cp -a "$dir" "$dir.as_it_was"
	ok env SM_FAIL_LOG="$PWD/points" "$killable" revert p0/v@s
	[ "$(it)" = "$old" ] || atf_fail "the revert did nothing"
	awk '{ n[$1]++; print $1 ":" n[$1] }' points | grep -v '^lock\.\|^backup\.' >places
	[ "$(wc -l <places)" -gt 30 ] || atf_fail "only $(wc -l <places) points"
	forward=0 back=0
	while read -r place; do
		rm -rf "$dir"
		cp -a "$dir.as_it_was" "$dir"
		! SM_FAIL="$place" "$killable" revert p0/v@s >said 2>&1 ||
			atf_fail "$place: it lived: $(cat said)"
		snapmgr recover p0 >said 2>&1 || atf_fail "$place: $(cat said)"
		case $(it) in
		"$old") forward=$((forward + 1)) ;;
		"$new") back=$((back + 1)) ;;
		*) atf_fail "$place: a mixture" ;;
		esac
		snapmgr pool check p0 >said 2>&1 || atf_fail "$place: $(cat said)"
		ok snapmgr revert p0/v@s
		[ "$(it)" = "$old" ] || atf_fail "$place: the same again does not help"
		ok snapmgr undo p0/v
	done <places
	[ $((forward * back)) -gt 0 ] || atf_fail "$forward forward, $back back"
}

atf_test_case what_is_written_after_a_revert_that_was_cut_short_is_kept
what_is_written_after_a_revert_that_was_cut_short_is_kept_body()
{
	begin
	two_states
	# The commit is there, and not one byte of the file has changed.
	! SM_FAIL=commit.after:1 "$killable" revert p0/v@s >said 2>&1 || atf_fail "$(cat said)"
	[ "$(it)" = "$new" ] || atf_fail "it was about to begin"
	put newer
	newer=$(it)
	snapmgr recover p0 >said 2>&1 || atf_fail "$(cat said)"
	[ "$(it)" = "$newer" ] || atf_fail "a write was thrown away"
	ok snapmgr pool check p0
	ok snapmgr revert p0/v@s
	put last
	last=$(it)
	ok snapmgr recover p0
	[ "$(it)" = "$last" ] || atf_fail "a write was thrown away"
}

atf_test_case a_mixture_becomes_what_the_catalogue_says
a_mixture_becomes_what_the_catalogue_says_body()
{
	begin
	two_states
	ok env SM_FAIL_LOG="$PWD/points" "$killable" revert p0/v@s
	ok snapmgr undo p0/v
	place=$(grep -o '^file\.\(copy\|reflink\)\.before' points | tail -1)
	n=$(grep -c "^$place" points)
	# The last one is into the volume's file: here it is cut short by hand.
	! SM_FAIL="$place:$n" "$killable" revert p0/v@s >said 2>&1 || atf_fail "$(cat said)"
	put half
	snapmgr recover p0 >said 2>&1 || atf_fail "$(cat said)"
	[ "$(it)" = "$old" ] || atf_fail "it is still a mixture"
	ok snapmgr pool check p0
	ok snapmgr undo p0/v
	[ "$(it)" = "$new" ] || atf_fail "the undo point is not what it was"
}

atf_test_case another_hosts_pool_is_left_alone
another_hosts_pool_is_left_alone_body()
{
	begin
	two_states
	sed -i 's/^host .*/host 11111111-2222-3333-4444-555555555555 elsewhere/' "$dir/.snapmgr/owner"
	refuses in_use 4 snapshot p0/v@t
	says elsewhere export --force
	refuses in_use 4 list p0
	refuses in_use 4 pool import "$dir"
	ok snapmgr pool list
	ok snapmgr pool import "$dir" --force
	ok snapmgr snapshot p0/v@t
	ok snapmgr pool export p0
	refuses bad_state 4 snapshot p0/v@u
	ok snapmgr pool import "$dir" --as p1
	ok snapmgr revert p1/v@s
	! snapmgr list p0 >said 2>&1 || atf_fail "it is still called p0"
}

atf_test_case files_of_others_are_neither_taken_nor_deleted
files_of_others_are_neither_taken_nor_deleted_body()
{
	begin
	echo mine >"$dir/mine"
	two_states
	echo mine >"$dir/w.img"
	refuses exists 4 create p0/w --size 1M
	refuses exists 4 rename p0/v w
	refuses exists 4 clone p0/v@s p0/w
	refuses exists 4 pool create p1 --driver file "$dir"
	[ "$(cat "$dir/w.img")" = mine ] || atf_fail "it was written to"
	mv "$dir/v.img" "$dir/away"
	refuses damaged 1 snapshot p0/v@t
	refuses damaged 1 pool check p0
	mv "$dir/away" "$dir/v.img"
	ok snapmgr pool check p0
	ok snapmgr pool destroy p0 --yes
	[ "$(ls -A "$dir")" = "$(printf 'mine\nw.img')" ] || atf_fail "left is $(ls -A "$dir")"
	mkdir other
	echo theirs >other/catalogue.db
	refuses exists 4 pool create p1 --driver file other
	[ "$(cat other/catalogue.db)" = theirs ] || atf_fail "it was overwritten"
}

atf_test_case what_a_folder_cannot_do_is_refused
what_a_folder_cannot_do_is_refused_body()
{
	begin
	two_states
	refuses unsupported 6 pool extend p0 /dev/null
	snapmgr pool dump p0 >p0.json || atf_fail "no dump"
	refuses unsupported 6 pool restore p0 p0.json
	refuses unsupported 6 revert p0/v@s --strategy merge
	refuses usage 2 pool create p1 --driver file a b
	refuses usage 2 pool create p1 --driver file --chunk 64K a
}

atf_init_test_cases()
{
	atf_add_test_case nobody_needs_root_for_files
	atf_add_test_case whoever_dies_at_any_step_of_a_revert_leaves_one_or_the_other
	atf_add_test_case what_is_written_after_a_revert_that_was_cut_short_is_kept
	atf_add_test_case a_mixture_becomes_what_the_catalogue_says
	atf_add_test_case another_hosts_pool_is_left_alone
	atf_add_test_case files_of_others_are_neither_taken_nor_deleted
	atf_add_test_case what_a_folder_cannot_do_is_refused
}
