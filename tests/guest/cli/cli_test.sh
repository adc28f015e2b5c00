#!/usr/bin/env atf-sh
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# What the command prints, and when it asks, over a real pool.

# shellcheck source=tests/lib.sh
. "$(atf_get_srcdir)/../../lib.sh"

# start - a pool p0 with volume v and snapshots s1 and s2
start()
{
	fresh || atf_fail 'the guest is not clean'
	snapmgr pool create p0 "$(disk 1)" --quiet &&
		snapmgr create p0/v --size 64M --label 'a "label"' --tag role=db --quiet &&
		snapmgr snapshot p0/v@s1 --quiet && snapmgr snapshot p0/v@s2 --quiet ||
		atf_fail 'no pool to begin with'
}

# holds FILTER FILE - jq says "true"
holds()
{
	[ "$(jq -c "$1" "$2")" = true ] || atf_fail "not so: $1: $(cat "$2")"
}

# names FILE - sorted names of the members of the object in the file
names()
{
	jq -r 'keys | join(" ")' "$1"
}

object_fields='active autostart created_at description device dm_name driver group guest hold kind label latest'
object_fields="$object_fields major members members_taken minor name parent parent_name pool project"
object_fields="$object_fields revert_to_snapshot_support sequence size snapshot_of state tags taken_with"
object_fields="$object_fields undo_keep used uuid volume"

atf_test_case json_has_the_fields_that_were_promised
json_has_the_fields_that_were_promised_body()
{
	start
	snapmgr show p0/v --json >volume.json
	atf_check_equal "$object_fields" "$(names volume.json)"
	holds '.name == "v" and .pool == "p0" and .size == 67108864 and .state == "available"' volume.json
	holds '.device == "/dev/snapmgr/p0/v" and .dm_name == "snapmgr-p0-v" and .major > 0' volume.json
	holds '.snapshot_of == null and .latest == null and .hold == null and .sequence == 2' volume.json
	holds '.label == "a \"label\"" and .tags == {"role":"db"} and .project == null' volume.json
	holds '.created_at | test("^20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-9:]{8}[.][0-9]{6}Z$")' volume.json
	snapmgr show p0/v@s2 --json >s2.json
	atf_check_equal "$object_fields" "$(names s2.json)"
	holds '.latest and (.hold | not) and .device == null and .major == null' s2.json
	holds '.undo_keep == null and .parent_name == "v@s1"' s2.json
	atf_check_equal "$(jq .uuid volume.json)" "$(jq .snapshot_of s2.json)"
	snapmgr list --json --undo --space >list.json
	holds 'keys == ["group_snapshots","groups","snapshots","undo_points","volumes"]' list.json
	holds '[.volumes[].name, .snapshots[].name] == ["v","s1","s2"]' list.json
	holds '.snapshots[0] | has("exclusive")' list.json
	snapmgr revert p0/v@s1 --json >revert.json
	atf_check_equal 'dry_run elapsed_ms in_place move_bytes reason snapshot strategy suspended_ms undo volume' \
		"$(names revert.json)"
	holds '.strategy == "repoint" and .in_place and .undo and .snapshot.name == "s1"' revert.json
	holds '.volume.parent == .snapshot.uuid' revert.json
	snapmgr pool list --json >pools.json
	holds '(.pools | length) == 1 and .pools[0].name == "p0" and .pools[0].volumes == 1' pools.json
	snapmgr capabilities p0 --json >cap.json
	holds '.capabilities[0] | .revert_to_snapshot_support and .driver == "thin"' cap.json
}

atf_test_case empty_lists_are_lists
empty_lists_are_lists_body()
{
	fresh || atf_fail 'the guest is not clean'
	atf_check -o inline:'{"pools":[]}\n' snapmgr pool list --json
	atf_check -o inline:'{"volumes":[],"snapshots":[],"groups":[],"group_snapshots":[]}\n' \
		snapmgr list --json
	atf_check -o inline:'{"objects":[]}\n' snapmgr tree --json
	atf_check -o inline:'{"steps":[]}\n' snapmgr recover --json
	atf_check snapmgr list
	atf_check snapmgr pool list
	atf_check snapmgr tree
}

atf_test_case a_revert_ends_with_what_it_did_and_the_way_back
a_revert_ends_with_what_it_did_and_the_way_back_body()
{
	start
	atf_check -o match:'^p0/v is now s1 \(repoint, [0-9]+ ms\); back: snapmgr undo p0/v$' \
		snapmgr revert p0/v@s1
	atf_check -o match:'^p0/v is now what it was before \(repoint, .*; back: snapmgr undo p0/v$' \
		snapmgr undo p0/v
	atf_check -o match:'; there is no way back$' snapmgr revert p0/v@s1 --no-undo
	atf_check snapmgr revert p0/v@s1 --quiet
	snapmgr show p0/v --json >before.json
	atf_check -o match:'^p0/v would become s2$' -o match:'^strategy: repoint$' -o match:'^reason: ' \
		-o match:'^to move: 0B$' snapmgr revert p0/v@s2 --dry-run
	snapmgr show p0/v --json | cmp - before.json || atf_fail 'a dry run changed something'
}

atf_test_case the_tree_shows_branches_undo_points_and_the_head
the_tree_shows_branches_undo_points_and_the_head_body()
{
	start
	snapmgr revert p0/v@s1 --quiet && snapmgr snapshot p0/v@s3 --quiet || atf_fail 'no second child'
	LC_ALL=C snapmgr tree p0/v >ascii
	# The first column: shapes and names.
	sed 's/  *[0-9.]*[BKMG] .*//; s/  *[0-9.]*[BKMG]$//; s/  *SIZE.*//' ascii >drawn
	printf '%s\n' 'p0/v' 'o  s1' '|-o  s2' '| x  @undo' 'o  s3' '*  head' >expected
	diff -u expected drawn || atf_fail "$(cat ascii)"
	LC_ALL=C.UTF-8 snapmgr tree p0 | grep -q '^│ ◌  @undo' || atf_fail 'not in UTF-8'
	grep -q "$(printf '\033')" ascii && atf_fail 'colour without a terminal'
	snapmgr tree --json >tree.json
	holds '[.objects[].kind] == ["volume","snapshot","snapshot","snapshot","undo"]' tree.json
}

atf_test_case what_destroys_needs_yes_where_there_is_no_terminal
what_destroys_needs_yes_where_there_is_no_terminal_body()
{
	start
	snapmgr revert p0/v@s1 --quiet
	snapmgr list --undo --json >before.json
	refuses usage 2 delete p0/v --recursive
	refuses usage 2 undo p0/v --drop
	refuses usage 2 pool destroy p0
	refuses has_snapshots 4 delete p0/v --yes
	atf_check -o inline:'would delete p0/v@s1\nwould delete p0/v@s2\nwould delete p0/v\n' \
		snapmgr delete p0/v --recursive --dry-run
	atf_check -o inline:'would drop p0/v@undo\n' snapmgr undo p0/v --drop --dry-run
	atf_check -o match:'^would destroy pool p0 .*1 volume and 2 snapshots$' \
		snapmgr pool destroy p0 --dry-run
	snapmgr list --undo --json | cmp - before.json || atf_fail 'something is gone'

	# Snapshots go without a question, but none where one of them cannot.
	refuses not_found 3 delete p0/v@s2 p0/v@none p0/v@s1
	snapmgr hold p0/v@s1 --quiet
	snapmgr create p0/w --size 1M --quiet
	refuses held 4 delete p0/w p0/v@s2 p0/v --recursive --yes
	snapmgr release p0/v@s1 --quiet
	refuses in_use 4 delete p0/w p0/v --recursive --yes 9<"$(snapmgr show p0/v --json | jq -r .device)"
	snapmgr delete p0/w --yes --quiet
	snapmgr list --undo --json | cmp - before.json || atf_fail 'something is gone'
	snapmgr delete p0/v@s2 --json >deleted.json
	holds '[.deleted[].name] == ["s2"]' deleted.json
	atf_check -o inline:'dropped p0/v@undo\n' snapmgr undo p0/v --drop --yes
	refuses not_found 3 undo p0/v
	atf_check -o inline:'deleted p0/v@s1\ndeleted p0/v\n' snapmgr delete p0/v --recursive --yes
	snapmgr pool destroy p0 -y --json >destroyed.json
	holds '.destroyed == "p0" and (.dry_run | not)' destroyed.json
}

atf_test_case on_a_terminal_it_asks
on_a_terminal_it_asks_body()
{
	start
	echo n | script -qec 'snapmgr delete p0/v --recursive' /dev/null >answer &&
		atf_fail "deleted after a no: $(cat answer)"
	grep -q 'delete volume p0/v and 2 snapshots? \[y/N\]' answer || atf_fail "$(cat answer)"
	snapmgr show p0/v@s1 >/dev/null || atf_fail 'it is gone'
	echo y | script -qec 'snapmgr delete p0/v --recursive' /dev/null >answer ||
		atf_fail "$(cat answer)"
	refuses not_found 3 show p0/v
}

atf_test_case properties_are_set_and_got
properties_are_set_and_got_body()
{
	start
	atf_check -o ignore snapmgr set p0/v undo_keep=5 tag:role= 'tag:a b=c=d' 'description=long text'
	atf_check -o inline:'5\n' snapmgr get p0/v undo_keep
	atf_check -o inline:'c=d\n' snapmgr get p0/v 'tag:a b'
	atf_check -o inline:'long text\n' snapmgr get p0/v description
	atf_check -o inline:'67108864\n' snapmgr get p0/v size
	refuses not_found 3 get p0/v tag:role
	refuses usage 2 get p0/v colour
	refuses usage 2 set p0/v colour=red
	refuses usage 2 set p0/v undo_keep=-1
	snapmgr get p0/v --json >all.json
	holds '.undo_keep == 5 and .tags == {"a b":"c=d"} and .label == "a \"label\""' all.json
}

atf_test_case a_pool_is_shown_by_name_and_uuid
a_pool_is_shown_by_name_and_uuid_body()
{
	start
	snapmgr pool show p0 --json >pool.json
	snapmgr show p0 --json | jq -S 'del(.used, .meta_used)' >by_name
	snapmgr show "$(jq -r .uuid pool.json)" --json | jq -S 'del(.used, .meta_used)' >by_uuid
	jq -S 'del(.used, .meta_used)' pool.json | diff - by_name && diff by_name by_uuid ||
		atf_fail 'they differ'
	atf_check -o match:'^state: active$' -o match:'^metadata: .* used \([0-9]+%\)$' \
		-o match:"^member: $(disk 1), 2.0G, uuid " snapmgr pool show p0
	atf_check -o inline:'pool p0: clean\n' snapmgr pool check p0
	refuses not_found 3 show 11111111-1111-4111-8111-111111111111
}

atf_test_case a_closed_or_full_stdout_is_told
a_closed_or_full_stdout_is_told_body()
{
	start
	atf_check -s exit:1 -e match:'standard output is closed' sh -c 'snapmgr snapshot p0/v@s3 >&-'
	refuses not_found 3 show p0/v@s3
	atf_check -s exit:0 sh -c 'snapmgr snapshot p0/v@s3 --quiet >&- <&- 2>&-'
	atf_check -s exit:1 -e inline:'snapmgr: list: cannot write to standard output: No space left on device\n' \
		sh -c 'snapmgr list >/dev/full'
	atf_check -s exit:1 -e match:'cannot write' sh -c 'snapmgr list --json >/dev/full'
	atf_check -s exit:1 -e match:'cannot write' sh -c 'snapmgr revert p0/v@s1 >/dev/full'
	[ "$(snapmgr show p0/v --json | jq -r .parent_name)" = v@s1 ] || atf_fail 'it was not done'
}

atf_init_test_cases()
{
	atf_add_test_case json_has_the_fields_that_were_promised
	atf_add_test_case empty_lists_are_lists
	atf_add_test_case a_revert_ends_with_what_it_did_and_the_way_back
	atf_add_test_case the_tree_shows_branches_undo_points_and_the_head
	atf_add_test_case what_destroys_needs_yes_where_there_is_no_terminal
	atf_add_test_case on_a_terminal_it_asks
	atf_add_test_case properties_are_set_and_got
	atf_add_test_case a_pool_is_shown_by_name_and_uuid
	atf_add_test_case a_closed_or_full_stdout_is_told
}
