#! /usr/bin/env atf-sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Volumes and snapshots as the command line shows them.

. "$(atf_get_srcdir)/../../lib.sh"

pool()
{
	fresh || atf_fail "cannot begin"
	snapmgr pool create -q p0 "$(disk 1)" "$(disk 2)" || atf_fail "no pool"
}

# shows OBJECT FILTER - jq's FILTER holds for what "show OBJECT --json" prints
shows()
{
	snapmgr show "$1" --json >shown || atf_fail "show $1 failed"
	jq -e "$2" shown >/dev/null || atf_fail "show $1: not true: $2: $(cat shown)"
}

atf_test_case json_has_the_promised_fields_and_types
json_has_the_promised_fields_and_types_body()
{
	pool
	atf_check -o match:'created p0/v' snapmgr create p0/v --size 64M --project web --label 'Läbel "1"' \
		--tag role=db --tag 'a b=c=d' --description 'two words'
	atf_check -o ignore snapmgr snapshot p0/v@s1 --label first --tag kept=yes
	atf_check -o ignore snapmgr snapshot p0/v@s2
	atf_check -o ignore snapmgr revert p0/v@s1
	atf_check -o save:list snapmgr list p0 --undo --json
	cat >types.jq <<'END'
def s: type == "string"; def n: type == "number"; def b: type == "boolean"; def sn: s or . == null;
def uuid: s and test("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$");
def time: s and test("^2[0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]{6}Z$");
def common: (.name | s) and (.uuid | uuid) and .pool == "p0" and (.size == 67108864) and
	(.used | n) and .state == "available" and (.created_at | time) and (.sequence | n) and
	(.parent == null or (.parent | uuid)) and (.project | sn) and (.label | sn) and
	(.description | sn) and (.tags | type == "object") and .driver == "thin" and
	(.revert_to_snapshot_support | b);
def mapped: (.device | s) and (.dm_name | s) and (.major | n) and (.minor | n);
def unmapped: .device == null and .dm_name == null and .major == null and .minor == null;
(.volumes | length) == 1 and (.snapshots | length) == 2 and
(.volumes[0] | common and mapped and .snapshot_of == null and .latest == null and .hold == null and
	.project == "web" and .label == "Läbel \"1\"" and .description == "two words" and
	.tags == {"role": "db", "a b": "c=d"} and .device == "/dev/snapmgr/p0/v" and .sequence == 2) and
(.volumes[0].uuid as $v | .snapshots | all(common and unmapped and .snapshot_of == $v and (.hold | b) and
	(.latest | b) and .project == "web")) and
(.snapshots | map(.name) == ["s1", "s2"] and map(.latest) == [false, true] and
	map(.sequence) == [1, 2] and .[1].parent == .[0].uuid and .[0].parent == null and
	.[0].tags == {"kept": "yes"} and .[0].label == "first" and .[0].created_at < .[1].created_at) and
.volumes[0].parent == .snapshots[0].uuid and
(.undo_points | length) == 1 and (.undo_points[0] | .name == "undo" and unmapped)
END
	jq -e -f types.jq list >/dev/null || atf_fail "$(jq . list)"
	shows p0/v@latest '.name == "s2"'
	shows p0/v@latest~1 '.name == "s1"'
	shows p0/v@undo '.kind == "undo" and .size == 67108864'
	uuid=$(jq -r '.snapshots[0].uuid' list)
	shows "$uuid" '.name == "s1"'
	shows "p0/v@$uuid" '.name == "s1"'
	shows "p0/$(jq -r '.volumes[0].uuid' list)@s1" '.name == "s1"'
}

atf_test_case flags_of_create_are_kept
flags_of_create_are_kept_body()
{
	pool
	atf_check -o ignore snapmgr create p0/off --size 64M --inactive
	atf_check -o ignore snapmgr create p0/vm --size 64M --guest --no-revert
	shows p0/off '.active == false and .autostart == false and .device == null'
	shows p0/vm '.guest and .active and .revert_to_snapshot_support == false'
	atf_check -o ignore snapmgr snapshot p0/vm@s1
	refuses unsupported 6 revert p0/vm@s1
	atf_check -o ignore snapmgr pool deactivate p0
	atf_check -o ignore snapmgr pool activate p0
	shows p0/off '.active == false'
	shows p0/vm '.active'
	# A clone is the virtual machine's, too; larger where that was asked for.
	atf_check -o ignore snapmgr create p0/big --from p0/vm@s1 --size 128M
	shows p0/big '.guest and .size == 134217728 and .parent_name == "vm@s1"'
	atf_check -o ignore snapmgr create p0/same --from p0/vm@s1 --inactive
	shows p0/same '.size == 67108864 and .active == false'
	refuses usage 2 create p0/small --from p0/vm@s1 --size 32M
	atf_check -o ignore snapmgr create p0/of-volume --from p0/vm --inactive
	shows p0/of-volume '.size == 67108864'
	refuses not_found 3 show p0/small
}

atf_test_case properties_are_set_all_or_none
properties_are_set_all_or_none_body()
{
	pool
	atf_check -o ignore snapmgr create p0/v --size 64M
	atf_check -o ignore snapmgr snapshot p0/v@s1
	atf_check -o ignore snapmgr set p0/v label=L description='D d' project=web undo_keep=7 \
		autostart=off revert_to_snapshot_support=off tag:role=db tag:x=1
	shows p0/v '.label == "L" and .description == "D d" and .project == "web" and .undo_keep == 7 and
		.autostart == false and .revert_to_snapshot_support == false and .tags == {"role":"db","x":"1"}'
	refuses in_use 4 set p0/v label=changed guest=on
	refuses usage 2 set p0/v@s1 label=changed undo_keep=1
	refuses usage 2 set p0/v label=changed nonsense=1
	shows p0/v '.label == "L" and .undo_keep == 7 and .guest == false'
	shows p0/v@s1 '.label == null'
	atf_check -o inline:'db\n' snapmgr get p0/v tag:role
	atf_check -o inline:'7\n' snapmgr get p0/v undo_keep
	atf_check -o match:'^undo_keep: 7$' -o match:'^tag:x: 1$' snapmgr get p0/v
	refuses not_found 3 get p0/v tag:none
	refuses usage 2 get p0/v nonsense
	atf_check -o ignore snapmgr set p0/v tag:role= label=
	shows p0/v '.tags == {"x":"1"} and .label == null'
	atf_check -o ignore snapmgr set p0/v@s1 label='of s1' tag:y=2
	shows p0/v@s1 '.label == "of s1" and .tags == {"y":"2"}'
	atf_check -o ignore snapmgr deactivate p0/v
	atf_check -o ignore snapmgr set p0/v guest=on
	shows p0/v '.guest'
}

atf_test_case bad_values_of_properties_change_nothing
bad_values_of_properties_change_nothing_body()
{
	pool
	atf_check -o ignore snapmgr create p0/v --size 64M
	long=$(printf 'x%.0s' $(seq 129))
	for pair in undo_keep=-1 undo_keep=65 undo_keep=x undo_keep= guest=perhaps autostart= size=1G \
		state=available nonsense=1 =x tag:=x "label=$long" "tag:$long=x" "tag:x=$long" novalue; do
		refuses usage 2 set p0/v label=changed "$pair"
	done
	shows p0/v '.label == null and .undo_keep == 3 and .tags == {}'
}

atf_test_case a_tree_shows_heads_undo_points_and_clones
a_tree_shows_heads_undo_points_and_clones_body()
{
	pool
	atf_check -o ignore snapmgr create p0/v --size 64M
	atf_check -o ignore snapmgr snapshot p0/v@s1
	atf_check -o ignore snapmgr snapshot p0/v@s2
	atf_check -o ignore snapmgr revert p0/v@s1
	atf_check -o ignore snapmgr snapshot p0/v@s3
	atf_check -o ignore snapmgr clone p0/v@s2 p0/c
	atf_check -o ignore snapmgr clone p0/v@undo p0/u
	LC_ALL=C atf_check -o save:ascii snapmgr tree p0
	LC_ALL=C.UTF-8 atf_check -o save:utf8 snapmgr tree p0
	grep -q '^p0/c (from v@s2)' ascii || atf_fail "the clone: $(cat ascii)"
	grep -q '^p0/u (from v@s2)' ascii || atf_fail "the clone of an undo point: $(cat ascii)"
	for word in s1 s2 s3 @undo head; do
		grep -q "$word .*64.0M" ascii || atf_fail "no $word: $(cat ascii)"
	done
	LC_ALL=C grep -q '[^ -~]' ascii && atf_fail "not ASCII: $(cat ascii)"
	grep -q '●.*head' utf8 || atf_fail "$(cat utf8)"
	grep -q "$(printf '\033')" ascii utf8 && atf_fail "colours, and no terminal"
	snapmgr tree p0/v --json | jq -e '.objects | map(.name) | contains(["v", "s1", "s2", "s3", "undo"])' \
		>/dev/null || atf_fail "tree --json"
	shows p0/u '.parent_name == "v@s2"'
}

atf_test_case a_mounted_filesystem_grows
a_mounted_filesystem_grows_body()
{
	pool
	mkdir mnt
	atf_check -o ignore snapmgr create p0/v --size 64M
	atf_check mkfs.ext4 -q /dev/snapmgr/p0/v
	atf_check mount /dev/snapmgr/p0/v mnt
	atf_check cp /usr/share/common-licenses/GPL-3 mnt
	atf_check -o ignore snapmgr snapshot p0/v@small
	atf_check -o match:'128.0M' snapmgr resize p0/v 128M
	atf_check -o ignore -e ignore resize2fs /dev/snapmgr/p0/v
	atf_check cmp /usr/share/common-licenses/GPL-3 mnt/GPL-3
	atf_check_equal 134217728 "$(blockdev --getsize64 /dev/snapmgr/p0/v)"
	shows p0/v '.size == 134217728'
	shows p0/v@small '.size == 67108864'
	refuses usage 2 resize p0/v 64M
	case $refusal in *--shrink*) ;; *) atf_fail "no way out in: $refusal" ;; esac
	refuses in_use 4 resize p0/v 64M --shrink
	refuses in_use 4 resize p0/v 64M --shrink --online
	shows p0/v '.size == 134217728'
	atf_check umount mnt
	atf_check -o ignore snapmgr resize p0/v 64M --shrink
	atf_check_equal 67108864 "$(blockdev --getsize64 /dev/snapmgr/p0/v)"
	atf_check -o ignore snapmgr deactivate p0/v
	atf_check -o ignore snapmgr resize p0/v 96M
	atf_check -o ignore snapmgr activate p0/v
	atf_check_equal 100663296 "$(blockdev --getsize64 /dev/snapmgr/p0/v)"
	atf_check -o ignore snapmgr resize p0/v 96M
	atf_check -o match:'.' snapmgr revert p0/v@small
	atf_check_equal 67108864 "$(blockdev --getsize64 /dev/snapmgr/p0/v)"
}

atf_test_case active_snapshots_are_read_only_and_hidden
active_snapshots_are_read_only_and_hidden_body()
{
	uuid=01234567-89ab-cdef-0123-456789abcdef
	pool
	atf_check -o ignore snapmgr create p0/v --size 64M
	atf_check mkfs.ext4 -q -U $uuid /dev/snapmgr/p0/v
	settle
	atf_check -o ignore snapmgr snapshot p0/v@s1
	atf_check -o match:'/dev/snapmgr/p0/v@s1' snapmgr activate p0/v@s1
	atf_check -o ignore snapmgr activate p0/v@s1 # twice is once
	settle
	of_volume=$(readlink -f /dev/snapmgr/p0/v)
	atf_check_equal 1 "$(blockdev --getro /dev/snapmgr/p0/v@s1)"
	atf_check_equal "$of_volume" "$(readlink -f /dev/disk/by-uuid/$uuid)"
	atf_check -s not-exit:0 -e ignore dd if=/dev/zero of=/dev/snapmgr/p0/v@s1 bs=4096 count=1 conv=notrunc
	udevadm trigger --action=change --subsystem-match=block
	settle
	atf_check_equal "$of_volume" "$(readlink -f /dev/disk/by-uuid/$uuid)"
	mkdir mnt
	atf_check mount -o ro /dev/snapmgr/p0/v@s1 mnt
	refuses in_use 4 deactivate p0/v@s1
	case $refusal in *"$PWD/mnt"*) ;; *) atf_fail "no mount point in: $refusal" ;; esac
	atf_check umount mnt
	atf_check -o ignore snapmgr deactivate p0/v@s1
	atf_check -o ignore snapmgr deactivate p0/v@s1
	atf_check test ! -e /dev/snapmgr/p0/v@s1
	atf_check -o ignore snapmgr revert p0/v@s1
	atf_check -o ignore snapmgr activate p0/v@undo
	shows p0/v@undo '.active and (.device | startswith("/dev/snapmgr/p0/v@"))'
	settle
	atf_check_equal "$of_volume" "$(readlink -f /dev/disk/by-uuid/$uuid)"
	# Clones of both, while they are active.
	atf_check -o ignore snapmgr activate p0/v@s1
	atf_check -o ignore snapmgr clone p0/v@undo p0/u --guest
	atf_check -o ignore snapmgr clone p0/v@s1 p0/c --inactive
	atf_check cmp /dev/snapmgr/p0/u /dev/snapmgr/p0/v@s1
	atf_check -o ignore snapmgr deactivate p0/v@undo p0/v@s1
}

atf_test_case two_long_names_together_work
two_long_names_together_work_body()
{
	pool
	a=$(printf 'a%.0s' $(seq 64)) b=b$(printf -- '-%.0s' $(seq 63)) c=$(printf 'c%.0s' $(seq 64))
	atf_check -o ignore snapmgr create "p0/$a" --size 64M
	atf_check -o ignore snapmgr create "p0/$b" --size 64M
	atf_check -o ignore snapmgr snapshot "p0/$a@$a" "p0/$b@$b"
	atf_check -o ignore snapmgr activate "p0/$a@$a" "p0/$b@$b"
	atf_check test -b "/dev/snapmgr/p0/$a@$a" -a -b "/dev/snapmgr/p0/$b@$b" -a -b "/dev/snapmgr/p0/$b"
	snapmgr show "p0/$b" --json >shown
	jq -e '.dm_name == "snapmgr-" + .uuid' shown >/dev/null || atf_fail "$(cat shown)"
	atf_check dd if=/usr/share/common-licenses/GPL-3 of="/dev/snapmgr/p0/$b" status=none
	atf_check -o ignore snapmgr revert "p0/$b@$b"
	atf_check -o ignore snapmgr undo "p0/$b"
	atf_check cmp -n 30000 /usr/share/common-licenses/GPL-3 "/dev/snapmgr/p0/$b"
	# The dm names are UUIDs and stay; the links move.
	atf_check -o ignore snapmgr rename "p0/$b" "$c"
	settle
	atf_check test -b "/dev/snapmgr/p0/$c" -a -b "/dev/snapmgr/p0/$c@$b" -a ! -e "/dev/snapmgr/p0/$b" \
		-a ! -e "/dev/snapmgr/p0/$b@$b"
	atf_check -o ignore snapmgr rename "p0/$c@$b" "$c"
	atf_check -o match:"p0/$c@$c" -o match:"p0/$a@$a" snapmgr list p0
	atf_check -o ignore snapmgr delete --yes "p0/$c" --recursive
	atf_check -o ignore snapmgr delete "p0/$a@$a"
	atf_check -o not-match:"$c" -o match:"p0/$a " snapmgr list p0
	atf_check -o ignore snapmgr pool check p0
}

atf_test_case capabilities_and_recover_answer
capabilities_and_recover_answer_body()
{
	pool
	snapmgr capabilities p0 --json | jq -e '.capabilities[0] | .driver == "thin" and .pool == "p0" and
		.snapshot_support and .revert_to_snapshot_support and .create_share_from_snapshot_support and
		.in_place and .online and .strategies == ["repoint", "merge", "copy"]' >/dev/null || atf_fail "of a pool"
	snapmgr capabilities --json | jq -e '.capabilities[0].pool == null' >/dev/null || atf_fail "of drivers"
	refuses not_found 3 capabilities nopool
	atf_check -o ignore snapmgr recover
	atf_check -o ignore snapmgr recover p0
	refuses not_found 3 recover nopool
	atf_check -o ignore snapmgr list
	snapmgr list --json | jq -e '.volumes == [] and .snapshots == []' >/dev/null || atf_fail "empty"
}

atf_test_case delete_asks_or_wants_yes
delete_asks_or_wants_yes_body()
{
	pool
	atf_check -o ignore snapmgr create p0/v --size 64M
	atf_check -o ignore snapmgr snapshot p0/v@s1
	refuses has_snapshots 4 delete p0/v
	refuses usage 2 delete p0/v --recursive
	case $refusal in *--yes*) ;; *) atf_fail "no way out in: $refusal" ;; esac
	refuses usage 2 delete p0/v --recursive --keep-snapshots --yes
	atf_check -o match:'would delete p0/v' snapmgr delete p0/v --recursive --dry-run
	shows p0/v '.state == "available" and .active'
	snapmgr delete --yes --recursive p0/v --json | jq -e '.deleted | length == 2' >/dev/null ||
		atf_fail "delete --json"
	refuses not_found 3 delete --yes p0/v
}

atf_init_test_cases()
{
	for name in json_has_the_promised_fields_and_types flags_of_create_are_kept \
		properties_are_set_all_or_none bad_values_of_properties_change_nothing \
		a_tree_shows_heads_undo_points_and_clones a_mounted_filesystem_grows \
		active_snapshots_are_read_only_and_hidden two_long_names_together_work \
		capabilities_and_recover_answer delete_asks_or_wants_yes; do
		atf_add_test_case $name
	done
}
