#! /usr/bin/env atf-sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Sizes that change before and after snapshots, under filesystems with real files.

. "$(atf_get_srcdir)/../../lib.sh"
. "$(atf_get_srcdir)/../../pool.sh"

M=1048576
dev=/dev/snapmgr/p0/v

# use SIZE SNAPSHOTS - what project "web" has of volumes, and of snapshots, in MiB
use()
{
	snapmgr quota p0 --project web --json |
		expect "$1 $2" ".quotas[0] | \"\(.volume_size.in_use / $M) \(.snapshot_size.in_use / $M)\""
}

# has SIZE - the volume and its device agree, in MiB
has()
{
	[ "$(blockdev --getsize64 $dev)" = $(($1 * M)) ] ||
		atf_fail "the device has $(blockdev --getsize64 $dev) bytes, not $1 MiB"
	snapmgr show p0/v --json | expect $(($1 * M)) .size
}

# put NAME MIB - a file of known contents; whole NAME... - are they as they were?
put()
{
	{ head -c $(($2 * M)) /dev/urandom >"m/$1" && sync -f m; } || atf_fail "cannot write $1"
	sha256sum "m/$1" >"$1.sum"
}
whole()
{
	for name; do
		sha256sum --status -c "$name.sum" || atf_fail "'$name' has changed"
	done
}
absent()
{
	[ ! -e "m/$1" ] || atf_fail "'$1' is still there"
}

# quietly COMMAND... - with its output only where it fails
quietly()
{
	"$@" >quietly.out 2>&1 || atf_fail "$*: $(tr '\n' ' ' <quietly.out)"
}

begin()
{
	fresh
	ok snapmgr pool create p0 "$(disk 1)" "$(disk 2)"
	ok snapmgr create p0/v --size "$1" --project web
	mkdir -p m
}

back_to()
{
	ok snapmgr revert "p0/v@$1" --remount
}

atf_test_case ext4_grows_and_shrinks_and_comes_back
ext4_grows_and_shrinks_and_comes_back_body()
{
	begin 48M
	quietly mkfs.ext4 -q $dev
	mount $dev m
	put one 20
	ok snapmgr snapshot p0/v@small
	ok snapmgr resize p0/v 128M # mounted
	quietly resize2fs $dev
	put two 70 # more than the small one had room for
	ok snapmgr snapshot p0/v@large
	has 128
	use 128 176
	# Smaller, larger, and the same by way of undo.
	back_to small
	has 48
	use 48 176
	whole one
	absent two
	put of_small 8
	back_to large
	has 128
	use 128 176
	whole one two
	absent of_small
	ok snapmgr undo p0/v --remount
	has 48
	use 48 176
	whole one of_small
	ok snapmgr undo p0/v --remount
	has 128
	whole one two
	# A filesystem that was shrunk, a volume that was shrunk after it.
	rm m/two
	umount m
	quietly e2fsck -fp $dev
	quietly resize2fs $dev 80M
	refuses usage 2 resize p0/v 80M
	says --shrink
	ok snapmgr resize p0/v 80M --shrink
	mount $dev m
	put three 25
	ok snapmgr snapshot p0/v@middle
	has 80
	use 80 256
	for round in large:128 middle:80 small:48 middle:80 large:128; do
		back_to "${round%:*}"
		has "${round#*:}"
		use "${round#*:}" 256
		whole one
	done
	whole two
	umount m
	for name in small middle large; do
		ok snapmgr revert "p0/v@$name"
		{ mount $dev m && umount m; } || atf_fail "$name cannot be mounted" # its log
		quietly e2fsck -fn $dev
	done
	ok snapmgr pool check p0
}

atf_test_case xfs_grows_and_comes_back
xfs_grows_and_comes_back_body()
{
	begin 320M
	quietly mkfs.xfs -q $dev
	mount $dev m
	put one 30
	ok snapmgr snapshot p0/v@small
	ok snapmgr resize p0/v 512M
	quietly xfs_growfs m
	put two 60
	ok snapmgr snapshot p0/v@large
	use 512 832
	back_to small
	has 320
	use 320 832
	whole one
	absent two
	# Grown once more from there, otherwise than the first time.
	ok snapmgr resize p0/v 400M
	quietly xfs_growfs m
	put three 40
	back_to large
	has 512
	use 512 832
	whole one two
	absent three
	ok snapmgr undo p0/v --remount
	has 400
	use 400 832
	whole one three
	ok snapmgr undo p0/v --remount
	has 512
	whole one two
	umount m
	for name in small large; do
		ok snapmgr revert "p0/v@$name"
		{ mount $dev m && umount m; } || atf_fail "$name cannot be mounted" # its log
		quietly xfs_repair -n $dev
	done
	# A clone has a size of its own.
	ok snapmgr create p0/w --from p0/v@small --size 384M
	mount -o nouuid /dev/snapmgr/p0/w m
	whole one
	quietly xfs_growfs m
	use $((512 + 384)) 832
	umount m
	ok snapmgr pool check p0
}

atf_test_case an_inactive_volume_changes_its_size_too
an_inactive_volume_changes_its_size_too_body()
{
	local sum

	begin 16M
	dd if=/dev/urandom of=$dev bs=1M count=16 oflag=direct status=none
	sum=$(sum_device $dev)
	ok snapmgr snapshot p0/v@s16
	ok snapmgr deactivate p0/v
	ok snapmgr resize p0/v 24M
	use 24 16
	ok snapmgr snapshot p0/v@s24
	ok snapmgr resize p0/v 8M --shrink
	use 8 40
	for round in s16:16 s24:24 s16:16; do
		ok snapmgr revert "p0/v@${round%:*}"
		use "${round#*:}" 40
	done
	ok snapmgr undo p0/v
	use 24 40
	ok snapmgr undo p0/v
	use 16 40
	ok snapmgr activate p0/v
	has 16
	[ "$sum" = "$(sum_device $dev)" ] || atf_fail "the contents have changed"
	ok snapmgr revert p0/v@s24
	has 24
	[ "$sum" = "$(head -c 16M $dev | sha256sum | cut -c1-64)" ] || atf_fail "the first 16 MiB have changed"
	tail -c 8M $dev | cmp -n 8388608 - /dev/zero || atf_fail "what was added is not zero"
}

atf_test_case what_is_cut_off_is_in_the_snapshot_still
what_is_cut_off_is_in_the_snapshot_still_body()
{
	local sum

	begin 8M
	dd if=/dev/urandom of=$dev bs=1M count=8 oflag=direct status=none
	sum=$(sum_device $dev)
	ok snapmgr snapshot p0/v@s
	ok snapmgr resize p0/v 4M --shrink
	ok snapmgr resize p0/v 8M
	dd if=/dev/urandom of=$dev bs=1M count=4 seek=4 oflag=direct conv=notrunc status=none
	ok snapmgr resize p0/v 1M --shrink
	has 1
	ok snapmgr revert p0/v@s
	has 8
	[ "$sum" = "$(sum_device $dev)" ] || atf_fail "the snapshot has changed"
}

atf_init_test_cases()
{
	atf_add_test_case ext4_grows_and_shrinks_and_comes_back
	atf_add_test_case xfs_grows_and_comes_back
	atf_add_test_case an_inactive_volume_changes_its_size_too
	atf_add_test_case what_is_cut_off_is_in_the_snapshot_still
}
