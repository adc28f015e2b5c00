#! /usr/bin/env atf-sh
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh disable=SC2154 # refusal: see lib.sh
#
# A catalogue that was lost comes back from a dump.
. "$(atf_get_srcdir)/../../lib.sh"
. "$(atf_get_srcdir)/../../pool.sh"

# lose_catalogue DEVICE - as if the region had been reformatted; it begins behind the header
lose_catalogue()
{
	dd if=/dev/zero of="$1" bs=1M seek=1 count=16 conv=notrunc,fsync status=none
	blockdev --flushbufs "$1"
}

# make_pool - p0 with a tree, an undo point, a tag and a held snapshot; sets $a and $sums
make_pool()
{
	a=$(loop a 128M)
	ok snapmgr pool create p0 "$a"
	use_it p0
	ok snapmgr snapshot p0/v@s1
	dd if=/dev/urandom of=/dev/snapmgr/p0/v bs=1M count=2 oflag=direct status=none
	ok snapmgr snapshot p0/v@s2
	ok snapmgr revert p0/v@s1
	ok snapmgr clone p0/v@s2 p0/c
	ok snapmgr hold p0/v@s1
	ok snapmgr set p0/v tag:role=db 'description=a "quoted" text'
	ok snapmgr set p0 reserve=7%
	sums
}

# sums - of all contents, by name, into $sums
sums()
{
	sums=
	for object in p0/v p0/c p0/v@s1 p0/v@s2 p0/v@undo; do
		ok snapmgr activate "$object"
		sums="$sums $(sum_device "$(snapmgr show "$object" --json | jq -r .device)")"
	done
	ok snapmgr deactivate p0/v@s1
	ok snapmgr deactivate p0/v@s2
	ok snapmgr deactivate p0/v@undo
}

atf_test_case a_lost_catalogue_comes_back_from_a_dump
a_lost_catalogue_comes_back_from_a_dump_body()
{
	local before

	fresh
	make_pool
	before=$sums
	ok snapmgr pool dump p0 p0.json
	snapmgr pool dump p0 | jq 'del(.dumped_at)' >again || atf_fail "no JSON"
	jq 'del(.dumped_at)' p0.json | cmp - again || atf_fail "two dumps differ"
	refuses in_use 4 pool restore p0 p0.json
	ok snapmgr pool deactivate p0
	snapmgr pool dump p0 | jq -e '.tables.snapshots | length == 2' >/dev/null || atf_fail "inactive"
	lose_catalogue "$a"
	refuses damaged 1 pool activate p0
	refuses damaged 1 pool dump p0
	ok snapmgr pool restore p0 p0.json --dry-run
	refuses damaged 1 pool activate p0
	ok snapmgr pool restore p0 p0.json
	ok snapmgr pool activate p0
	ok snapmgr pool check p0
	snapmgr list p0 --json | expect 'c v s1 s2' \
		'[.volumes[].name, .snapshots[].name] | join(" ")'
	snapmgr show p0/v --json | expect 'a "quoted" text db' '"\(.description) \(.tags.role)"'
	snapmgr get p0 reserve | grep -q 7% || atf_fail "the pool's properties"
	refuses held 4 delete p0/v@s1
	sums
	[ "$sums" = "$before" ] || atf_fail "contents differ: $before now: $sums"
	# It can be worked with: no id is handed out twice.
	ok snapmgr snapshot p0/v@s3
	ok snapmgr revert p0/v@s2
	ok snapmgr undo p0/v
	ok snapmgr create p0/new --size 8M
	ok snapmgr pool check p0
	[ "$(dmsetup ls | grep -c _spare)" = 0 ] || atf_fail "left: $(dmsetup ls)"
}

atf_test_case what_does_not_match_is_named_and_nothing_changed_without_force
what_does_not_match_is_named_and_nothing_changed_without_force_body()
{
	local before

	fresh
	make_pool
	ok snapmgr pool dump p0 old.json
	ok snapmgr snapshot p0/v@later
	ok snapmgr delete p0/c --yes
	ok snapmgr pool deactivate p0
	lose_catalogue "$a"
	before=$(sum_device "$a")
	snapmgr pool restore p0 old.json >out 2>err && atf_fail "it was taken"
	grep -q "volume 'c' (id [0-9]*) is in the dump and not in the metadata" out ||
		atf_fail "no 'c': $(cat out)"
	grep -q "is in the metadata and not in the dump" out || atf_fail "no orphan: $(cat out)"
	grep -q "nothing was changed; --force" err || atf_fail "no way out: $(cat err)"
	refuses stale 4 pool restore p0 old.json
	[ "$(sum_device "$a")" = "$before" ] || atf_fail "something was written"
	[ "$(dmsetup ls)" = "No devices found" ] || atf_fail "left: $(dmsetup ls)"
	ok snapmgr pool restore p0 old.json --force
	warns "'p0/c' stays inactive" snapmgr pool activate p0
	used_it p0
	snapmgr show p0/c --json | expect error .state
	ok snapmgr delete p0/c --yes
	ok snapmgr snapshot p0/v@s3 # with an id that the metadata has not
	snapmgr pool check p0 >out 2>&1 && atf_fail "the orphan is not found"
	grep -q "nothing names it" out || atf_fail "not: $(cat out)"
	[ "$(wc -l <out)" -le 3 ] || atf_fail "more: $(cat out)"
}

atf_test_case garbled_dumps_change_nothing
garbled_dumps_change_nothing_body()
{
	local before

	fresh
	make_pool
	ok snapmgr pool dump p0 p0.json
	ok snapmgr pool create p1 "$(loop b 64M)"
	ok snapmgr pool dump p1 p1.json
	ok snapmgr pool deactivate p0
	before=$(sum_device "$a")
	head -c 1000 p0.json >cut.json
	sed 's/"available"/"evil"/' p0.json >state.json
	sed 's/"size":16777216/"size":16777217/' p0.json >size.json
	sed 's/"parent":1/"parent":77/' p0.json >parent.json
	sed 's/"sequence":2/"sequence":1/g' p0.json >sequence.json
	sed 's/"thin":[0-9]*/"thin":1/g' p0.json >thin.json
	sed 's/"chunk_sectors":128/"chunk_sectors":256/' p0.json >chunk.json
	sed 's/"schema":1/"schema":2/' p0.json >newer.json
	: >empty.json
	for file in cut state size parent sequence thin chunk empty; do
		refuses damaged 1 pool restore p0 $file.json --force
	done
	refuses newer_version 1 pool restore p0 newer.json --force
	refuses usage 2 pool restore p0 p1.json --force
	refuses not_found 3 pool restore p0 no-such.json
	refuses not_found 3 pool restore p7 p0.json
	[ "$(sum_device "$a")" = "$before" ] || atf_fail "something was written"
	ok snapmgr pool activate p0
	ok snapmgr pool check p0
	refuses usage 2 pool dump p0 /dev/null
	refuses io 1 pool dump p0 no/such/folder
}

atf_test_case a_dump_is_kept_after_changes_of_structure_and_ten_of_them
a_dump_is_kept_after_changes_of_structure_and_ten_of_them_body()
{
	local dir i n

	fresh
	rm -rf /var/lib/snapmgr
	ok snapmgr pool create p0 "$(loop a 64M)"
	dir=/var/lib/snapmgr/backup/$(snapmgr pool show p0 --json | jq -r .uuid)
	set -- "$dir"/*.json
	[ -e "$1" ] || atf_fail "none after create"
	[ $# = 1 ] || atf_fail "after create: $*"
	[ "$(stat -c %a "$dir") $(stat -c %a "$1")" = "700 600" ] || atf_fail "modes"
	use_it p0
	ok snapmgr snapshot p0/v@s
	ok snapmgr revert p0/v@s
	set -- "$dir"/*.json
	[ $# = 2 ] || atf_fail "a snapshot or revert made one, or a volume none: $*"
	for i in 1 2 3 4 5; do
		ok snapmgr create p0/w$i --size 1M --inactive
		ok snapmgr rename p0/w$i x$i
	done
	ok snapmgr delete p0/x5 --yes
	ok snapmgr pool extend p0 "$(loop b 64M)"
	set -- "$dir"/*
	[ $# = 10 ] || atf_fail "not ten: $*"
	shift 9
	jq -e '.tables.names | map(.name) | sort == ["v","x1","x2","x3","x4"]' "$1" >/dev/null ||
		atf_fail "not the newest: $(cat "$1")"
	# It brings the catalogue back; the one that is there is kept first.
	ok snapmgr pool deactivate p0
	ok snapmgr pool restore p0 "$1"
	n=$(find "$dir" -newer "$1" -name '*.json' | wc -l)
	[ "$n" = 1 ] || atf_fail "the present one was not kept"
	ok snapmgr pool activate p0
	used_it p0
	# Where it cannot be written, the work is done all the same.
	warns "was not backed up" env SNAPMGR_BACKUP_DIR=/proc/none snapmgr create p0/y --size 1M
	ok snapmgr pool destroy p0 --yes
	set -- "$dir"/*
	shift $(($# - 1))
	jq -e '.tables.volumes | length == 6' "$1" >/dev/null || atf_fail "none before the end"
}

atf_init_test_cases()
{
	atf_add_test_case a_lost_catalogue_comes_back_from_a_dump
	atf_add_test_case what_does_not_match_is_named_and_nothing_changed_without_force
	atf_add_test_case garbled_dumps_change_nothing
	atf_add_test_case a_dump_is_kept_after_changes_of_structure_and_ten_of_them
}
