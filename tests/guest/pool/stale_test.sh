#!/usr/bin/env atf-sh
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# Thin metadata or a catalogue that comes from an older time: noticed, and brought together again.

. "$(atf_get_srcdir)/../../lib.sh"
. "$(atf_get_srcdir)/../../pool.sh"

# The catalogue lies before the metadata on the device of --meta, and ends here (MiB).
META_AT=17

# two_times - pool p0 with v and v@s1 at the first time (kept in old.img), v@s2 and other contents later
two_times()
{
	fresh
	a=$(loop a 64M) m=$(loop m 64M)
	ok snapmgr pool create p0 "$a" --meta "$m"
	use_it p0
	sum=$(sum_device /dev/snapmgr/p0/v)
	ok snapmgr snapshot p0/v@s1
	ok snapmgr pool deactivate p0
	cp m.img old.img
	ok snapmgr pool activate p0
	ok snapmgr snapshot p0/v@s2
	dd if=/dev/urandom of=/dev/snapmgr/p0/v bs=1M count=2 oflag=direct conv=fsync status=none
	ok snapmgr create p0/w --size 1M
	ok snapmgr pool deactivate p0
}

# check EXIT ARG... - "pool check p0" with these; what it said is in the file "said"
check()
{
	local want="$1" status=0

	shift
	snapmgr pool check p0 "$@" >said 2>&1 || status=$?
	[ "$status" = "$want" ] || atf_fail "pool check $*: exit status $status, not $want: $(cat said)"
}
said()
{
	local text

	for text; do
		grep -q -e "$text" said || atf_fail "'$text' is not in: $(cat said)"
	done
}

old_metadata() { dd if=old.img of="$m" bs=1M skip=$META_AT seek=$META_AT conv=notrunc,fsync status=none; }
old_catalogue() { dd if=old.img of="$m" bs=1M skip=1 seek=1 count=$((META_AT - 1)) conv=notrunc,fsync status=none; }

# is_whole SPEC - has the contents of the first time
is_whole()
{
	ok snapmgr activate "$1"
	[ "$(sum_device "/dev/snapmgr/$1")" = "$sum" ] || atf_fail "$1 has other contents"
}

atf_test_case older_metadata_is_offered_ways_out_and_changes_nothing
older_metadata_is_offered_ways_out_and_changes_nothing_body()
{
	local before

	two_times
	old_metadata
	before=$(sum_device "$a")$(sum_device "$m")
	refuses stale 4 pool activate p0
	check 1 --repair
	said "different times" "snapshot 'v@s2' .*would be forgotten" "volume 'w' .*would be forgotten" \
		"ways out:.*pool restore.*--accept metadata.*--accept catalogue"
	grep -q "s1" said && atf_fail "s1 is not lost: $(cat said)"
	refuses usage 2 pool check p0 --accept metadata
	refuses usage 2 pool check p0 --repair --accept both
	[ "$(sum_device "$a")$(sum_device "$m")" = "$before" ] || atf_fail "something was written"
}

atf_test_case older_metadata_is_accepted_and_what_it_has_is_whole
older_metadata_is_accepted_and_what_it_has_is_whole_body()
{
	two_times
	old_metadata
	check 0 --repair --accept metadata
	said "snapshot 'v@s2' is forgotten" "volume 'w' is forgotten" "dumped to '/"
	ok snapmgr pool activate p0
	is_whole p0/v
	is_whole p0/v@s1
	ok snapmgr deactivate p0/v@s1
	refuses not_found 3 show p0/v@s2
	# Everything works on, with ids of its own.
	ok snapmgr snapshot p0/v@s3
	ok snapmgr revert p0/v@s1
	is_whole p0/v
	ok snapmgr pool check p0
	# And what was dumped has what was forgotten.
	grep -rq '"s2"' /var/lib/snapmgr/backup || atf_fail "no dump has s2"
}

atf_test_case an_older_catalogue_forgets_what_is_gone_and_keeps_what_it_does_not_name
an_older_catalogue_forgets_what_is_gone_and_keeps_what_it_does_not_name_body()
{
	two_times
	ok snapmgr pool activate p0
	ok snapmgr delete p0/v@s1
	ok snapmgr recover p0
	ok snapmgr pool deactivate p0
	old_catalogue
	refuses stale 4 pool activate p0
	check 0 --repair --accept metadata
	said "snapshot 'v@s1' is forgotten" "id 3 is kept in the metadata" "id 4 is kept"
	ok snapmgr pool activate p0
	check 1
	said "id 3 is in the pool and nothing names it"
	# No id that the metadata has is handed out.
	ok snapmgr snapshot p0/v@s5
	check 1
	said "id 3 " "id 4 "
	check 0 --repair
	ok snapmgr pool check p0
}

atf_test_case an_older_catalogue_is_accepted_and_the_rest_deleted
an_older_catalogue_is_accepted_and_the_rest_deleted_body()
{
	two_times
	old_catalogue
	check 0 --repair --accept catalogue
	said "id 3, which nothing names, is garbage" "id 4, which nothing names, is garbage"
	ok snapmgr pool activate p0
	is_whole p0/v@s1
	ok snapmgr deactivate p0/v@s1
	ok snapmgr revert p0/v@s1
	is_whole p0/v
	ok snapmgr recover p0
	ok snapmgr pool check p0
}

atf_test_case a_volume_without_contents_stays_for_its_snapshots
a_volume_without_contents_stays_for_its_snapshots_body()
{
	two_times
	ok snapmgr pool activate p0
	ok snapmgr revert p0/v@s1 # a new head, which the old metadata lacks
	ok snapmgr undo p0/v --drop --yes
	ok snapmgr recover p0
	ok snapmgr pool deactivate p0
	old_metadata
	check 1 --repair --accept catalogue
	said "the contents of volume 'v' are not in the metadata: 'snapmgr revert --no-undo p0/v@SNAP'"
	warns "stays inactive" snapmgr pool activate p0
	ok snapmgr revert p0/v@s1 --no-undo
	is_whole p0/v
	ok snapmgr recover p0
	ok snapmgr pool check p0
}

atf_init_test_cases()
{
	atf_add_test_case older_metadata_is_offered_ways_out_and_changes_nothing
	atf_add_test_case older_metadata_is_accepted_and_what_it_has_is_whole
	atf_add_test_case an_older_catalogue_forgets_what_is_gone_and_keeps_what_it_does_not_name
	atf_add_test_case an_older_catalogue_is_accepted_and_the_rest_deleted
	atf_add_test_case a_volume_without_contents_stays_for_its_snapshots
}
