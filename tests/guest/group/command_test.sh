#! /usr/bin/env atf-sh
# SPDX-License-Identifier: GPL-2.0-or-later
. "$(atf_get_srcdir)/../../lib.sh"
. "$(atf_get_srcdir)/../../pool.sh"

# start - a pool p0 with volumes a, b and c, the first two in group g
start()
{
	fresh
	ok snapmgr pool create p0 "$(disk 1)"
	for v in a b c; do
		ok snapmgr create "p0/$v" --size 16M
	done
	ok snapmgr group create p0/g a p0/b
}

# group EXPRESSION FILTER - of what list says of groups
group()
{
	snapmgr group list p0 --json | expect "$1" "$2"
}

atf_test_case volumes_and_groups_share_one_name_space
volumes_and_groups_share_one_name_space_head() { :; }
volumes_and_groups_share_one_name_space_body()
{
	start
	refuses exists 4 group create p0/a
	refuses exists 4 group create p0/g
	refuses exists 4 create p0/g --size 1M
	refuses exists 4 rename p0/c g
	refuses exists 4 rename p0/g c
	refuses usage 2 group create p0/.x
	refuses usage 2 group create p0
	refuses usage 2 group create p0/x@y
	ok snapmgr rename p0/g h
	ok snapmgr rename p0/c g
	group 'h a b' '.groups[] | .name + " " + ([.members[].name] | join(" "))'
	ok snapmgr pool check p0
}

atf_test_case members_come_and_go_all_or_none
members_come_and_go_all_or_none_head() { :; }
members_come_and_go_all_or_none_body()
{
	start
	refuses not_found 3 group add p0/g c nobody
	refuses exists 4 group add p0/g c a
	says "in group 'p0/g' already"
	refuses exists 4 group create p0/h c a
	says 'snapmgr group remove p0/g a'
	refuses not_found 3 group remove p0/g a c
	refuses not_found 3 group add p0/h c
	refuses usage 2 group add p0/a c
	says 'names a volume where a group is wanted'
	group 'a b' '[.groups[].members[].name] | join(" ")'
	snapmgr group add p0/g c --json | expect 'g 3 50331648' '"\(.name) \(.members | length) \(.size)"'
	snapmgr show p0/c --json | expect g .group
	snapmgr group remove p0/g a b >out || atf_fail "remove failed"
	grep -qx 'p0/g has 1 volume now' out || atf_fail "$(cat out)"
	snapmgr show p0/a --json | expect null .group
	ok snapmgr delete p0/c --yes
	group 0 '.groups[].members | length'
	refuses bad_state 4 snapshot p0/g@s1
	ok snapmgr group add p0/g "$(snapmgr show p0/a --json | json .uuid)"
	ok snapmgr group delete p0/g
	group 0 '.groups | length'
	snapmgr show p0/a --json | expect null .group
	ok snapmgr pool check p0
}

atf_test_case a_snapshot_of_a_group_is_one_of_each_volume
a_snapshot_of_a_group_is_one_of_each_volume_head() { :; }
a_snapshot_of_a_group_is_one_of_each_volume_body()
{
	local set

	start
	snapmgr snapshot p0/g@s1 --label night --json >taken.json || atf_fail "$(cat taken.json)"
	set=$(json .group_snapshot.uuid <taken.json)
	expect 'a@s1 b@s1' '[.group_snapshot.members[].name] | join(" ")' <taken.json
	expect "$set" '[.snapshots[].taken_with] | unique | join(" ")' <taken.json
	expect 'night night' '[.snapshots[].label] | join(" ")' <taken.json
	expect true '.suspended_ms >= 0' <taken.json
	refuses exists 4 snapshot p0/g@s1
	ok snapmgr snapshot p0/b@s2
	refuses exists 4 snapshot p0/g@s2 # nothing is taken of a, either
	refuses not_found 3 show p0/a@s2
	refuses usage 2 snapshot p0/g@s3 p0/c@s3
	refuses not_found 3 snapshot p0/x@s3
	ok snapmgr snapshot p0/g@s3
	snapmgr show p0/g@latest --json | expect s3 .name
	snapmgr show p0/g@latest~1 --json | expect "s1 2 2 $set" \
		'"\(.name) \(.members | length) \(.members_taken) \(.uuid)"'
	snapmgr show "$set" --json | expect 's1 g' '.name + " " + .group'
	snapmgr show p0/g@s1 >shown || atf_fail "show failed"
	grep -qx 'group_snapshot: p0/g@s1' shown && grep -qx 'members: a@s1 b@s1' shown ||
		atf_fail "$(cat shown)"
	snapmgr snapshot p0/g@s4 >said || atf_fail "snapshot failed"
	grep -qE '^at one instant; suspended for [0-9.]+ ms$' said || atf_fail "$(cat said)"
	snapmgr list p0/g >listed || atf_fail "list failed"
	grep -qE '^p0/g@s4 .* latest,2 of 2$' listed && ! grep -q '^p0/c' listed ||
		atf_fail "$(cat listed)"
	snapmgr tree p0/g | grep -q '^p0/a (in g)' || atf_fail "$(snapmgr tree p0/g)"
	ok snapmgr pool check p0
}

# put WORD VOL... / holds WORD VOL... - the first 4 KiB of the volumes say so
put()
{
	local word="$1"

	shift
	for v; do
		printf '%-4096s' "$word" | dd of="/dev/snapmgr/p0/$v" bs=4096 oflag=direct \
			iflag=fullblock conv=fsync status=none || atf_fail "cannot write to $v"
	done
}
holds()
{
	local word="$1" found

	shift
	for v; do
		found=$(dd if="/dev/snapmgr/p0/$v" bs=4096 count=1 iflag=direct status=none)
		[ "${found%% *}" = "$word" ] || atf_fail "$v holds ${found%% *}, not $word"
	done
}

atf_test_case a_revert_is_of_all_and_says_who_was_left_alone
a_revert_is_of_all_and_says_who_was_left_alone_head() { :; }
a_revert_is_of_all_and_says_who_was_left_alone_body()
{
	start
	put one a b c
	ok snapmgr create p0/d --size 1M
	ok snapmgr group add p0/g d
	ok snapmgr snapshot p0/g@s1
	ok snapmgr group remove p0/g d
	ok snapmgr group add p0/g c
	put two a b c
	snapmgr revert p0/g@s1 --dry-run >said || atf_fail "dry run failed"
	grep -qx 'p0/g would become s1' said || atf_fail "$(cat said)"
	holds two a b c
	snapmgr revert p0/g@s1 >said || atf_fail "revert failed"
	grep -qE '^p0/g is now s1 \(repoint, .*back: snapmgr undo p0/g$' said &&
		grep -qx '2 volumes: a, b' said &&
		grep -qx 'p0/c was left alone: it was not in the group when the snapshot was taken' said &&
		grep -qx 'p0/d was left alone: it is no longer in the group' said ||
		atf_fail "$(cat said)"
	holds one a b
	holds two c
	snapmgr undo p0/g --json >undone || atf_fail "$(cat undone)"
	holds two a b c
	expect 'g null a,b c true' \
		'"\(.group.name) \(.snapshot) \([.volumes[].name] | join(",")) \(.left_alone[0].volume.name) \(.undo)"' <undone
	snapmgr undo p0/g --json | expect 'repoint true' '"\(.strategy) \(.suspended_ms > 0)"'
	holds one a b
	snapmgr revert p0/g@s1 --json >reverted || atf_fail "$(cat reverted)"
	expect 'g s1 group_snapshot a,b c,d' '"\(.group.name) \(.snapshot.name) \(.snapshot.kind) \([.volumes[].name] | join(",")) \([.left_alone[].volume.name] | join(","))"' <reverted
	expect 'g 3' '"\(.object | if . then "" else "g" end) \(.group.members | length)"' <reverted
	snapmgr messages p0 --json | grep -q "group 'p0/g' was reverted to snapshot 's1' (2 volumes)" ||
		atf_fail "no message"
	ok snapmgr pool check p0
}

atf_test_case a_volume_in_use_refuses_the_whole
a_volume_in_use_refuses_the_whole_head() { :; }
a_volume_in_use_refuses_the_whole_body()
{
	start
	put one a
	mkfs.ext4 -q /dev/snapmgr/p0/b || atf_fail mkfs
	ok snapmgr snapshot p0/g@s1
	put two a
	mkdir -p m && mount /dev/snapmgr/p0/b m || atf_fail mount
	echo new >m/file
	refuses in_use 4 revert p0/g@s1
	says "'p0/b' is in use" "mounted on"
	refuses in_use 4 revert p0/g@s1 --dry-run
	refuses in_use 4 revert p0/g@s1 --online
	holds two a
	refuses not_found 3 undo p0/g
	snapmgr list p0 --undo --json | expect 0 '.undo_points | length'
	snapmgr revert p0/g@s1 --remount >said || atf_fail "$(cat said)"
	holds one a
	[ ! -e m/file ] || atf_fail "the file is there"
	refuses in_use 4 undo p0/g
	holds one a
	ok snapmgr undo p0/g --remount
	[ "$(cat m/file)" = new ] || atf_fail "the file is not there"
	holds two a
	umount m
	exec 9<>/dev/snapmgr/p0/a
	refuses in_use 4 revert p0/g@s1
	says "'p0/a' is in use"
	ok snapmgr revert p0/g@s1 --online
	exec 9>&-
	holds one a
	ok snapmgr activate p0/b@undo
	refuses in_use 4 undo p0/g
	ok snapmgr deactivate p0/b@undo
	ok snapmgr set p0/b revert_to_snapshot_support=off
	refuses unsupported 6 revert p0/g@s1
	holds one a
	ok snapmgr pool check p0
}

atf_test_case a_set_that_is_not_whole_is_refused
a_set_that_is_not_whole_is_refused_head() { :; }
a_set_that_is_not_whole_is_refused_body()
{
	start
	put one a b
	ok snapmgr group add p0/g c
	ok snapmgr snapshot p0/g@s1
	ok snapmgr snapshot p0/g@s2
	ok snapmgr snapshot p0/g@s3
	put two a b c
	ok snapmgr snapshot p0/b@later
	refuses not_latest 4 revert p0/g@s3 --latest-only
	ok snapmgr delete p0/b@later
	ok snapmgr delete p0/a@s1
	refuses bad_state 4 revert p0/g@s1
	says 'lost 1 of its 3 snapshots'
	ok snapmgr delete p0/c --keep-snapshots --yes
	refuses bad_state 4 revert p0/g@s2
	says 'is gone'
	holds two a b
	snapmgr group list p0 --json | expect '2 of 3,3 of 3,3 of 3' \
		'[.group_snapshots[] | "\(.members | length) of \(.members_taken)"] | join(",")'
	ok snapmgr hold p0/b@s2
	refuses held 4 delete p0/g@s2
	snapmgr show p0/a@s2 --json | expect s2 .name
	ok snapmgr release p0/g@s2
	snapmgr delete p0/g@s2 >said || atf_fail "delete failed"
	grep -qx 'deleted p0/g@s2' said && grep -qx 'deleted p0/a@s2' said || atf_fail "$(cat said)"
	refuses not_found 3 show p0/g@s2
	refuses not_found 3 show p0/b@s2
	ok snapmgr delete p0/b@s1 # the orphan of c keeps the set
	refuses exists 4 snapshot p0/g@s1
	ok snapmgr delete p0/g@s1
	ok snapmgr snapshot p0/g@s1
	ok snapmgr hold p0/g@s1
	refuses held 4 delete p0/a@s1
	ok snapmgr release p0/g@s1
	ok snapmgr rename p0/g@s1 night
	snapmgr show p0/g@night --json | expect 'a@night,b@night' '[.members[].name] | join(",")'
	refuses exists 4 rename p0/g@night s3
	ok snapmgr revert p0/g@night
	ok snapmgr set p0/g label=db tag:vm=1
	snapmgr get p0/g label | grep -qx db || atf_fail label
	snapmgr show p0/g --json | expect 1 .tags.vm
	refuses usage 2 set p0/g undo_keep=3
	refuses usage 2 delete p0/g --yes
	says 'snapmgr group delete p0/g'
	refuses usage 2 resize p0/g 1G
	ok snapmgr pool check p0
}

atf_test_case an_undo_is_of_all_or_refused
an_undo_is_of_all_or_refused_head() { :; }
an_undo_is_of_all_or_refused_body()
{
	start
	put one a b
	ok snapmgr snapshot p0/g@s1
	put two a b
	ok snapmgr revert p0/g@s1
	put three a b
	ok snapmgr undo p0/a # by itself: its point of that revert is used up
	refuses not_found 3 undo p0/g
	holds two a
	holds three b
	ok snapmgr revert p0/g@s1 --no-undo
	refuses not_found 3 undo p0/g
	put four a b
	ok snapmgr revert p0/g@s1
	ok snapmgr revert p0/a@s1 # a newer one of its own does no harm
	ok snapmgr undo p0/g
	holds four a b
	ok snapmgr set p0/b undo_keep=0
	snapmgr revert p0/g@s1 --json | expect false .undo
	refuses not_found 3 undo p0/g
	ok snapmgr set p0/b undo_keep=3
	ok snapmgr undo p0/g --drop --yes
	snapmgr list p0 --undo --json | expect 0 '.undo_points | length'
	refuses not_found 3 undo p0/g --drop --yes
	refuses usage 2 undo p0/g@undo~1
	ok snapmgr pool check p0
}

atf_test_case groups_are_in_a_dump
groups_are_in_a_dump_head() { :; }
groups_are_in_a_dump_body()
{
	start
	put one a b
	ok snapmgr snapshot p0/g@s1
	put two a b
	ok snapmgr revert p0/g@s1
	ok snapmgr pool dump p0 p0.json
	ok snapmgr pool deactivate p0
	ok snapmgr pool restore p0 p0.json
	ok snapmgr pool activate p0
	snapmgr show p0/g@s1 --json | expect '2 2' '"\(.members | length) \(.members_taken)"'
	ok snapmgr undo p0/g
	holds two a b
	ok snapmgr revert p0/g@s1
	holds one a b
	ok snapmgr pool check p0
}

atf_init_test_cases()
{
	atf_add_test_case volumes_and_groups_share_one_name_space
	atf_add_test_case members_come_and_go_all_or_none
	atf_add_test_case a_snapshot_of_a_group_is_one_of_each_volume
	atf_add_test_case a_revert_is_of_all_and_says_who_was_left_alone
	atf_add_test_case a_volume_in_use_refuses_the_whole
	atf_add_test_case a_set_that_is_not_whole_is_refused
	atf_add_test_case an_undo_is_of_all_or_refused
	atf_add_test_case groups_are_in_a_dump
}
