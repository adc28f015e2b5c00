#!/usr/bin/env atf-sh
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# Damage done to pools, found and mended by "pool check", and refused by everything else.

. "$(atf_get_srcdir)/../../lib.sh"
. "$(atf_get_srcdir)/../../pool.sh"

# finds TEXT EXIT [--repair] - "pool check p0" must end so and say this
finds()
{
	local text="$1" exit="$2" status=0

	shift 2
	snapmgr pool check p0 "$@" >found 2>&1 || status=$?
	grep -q -e "$text" found || atf_fail "'$text' is not in: $(cat found)"
	[ "$status" = "$exit" ] || atf_fail "exit status $status, not $exit: $(cat found)"
}

# flip DEVICE OFFSET - turn the bits of one byte
flip()
{
	perl -e 'open(F, "+<", $ARGV[0]) && sysseek(F, $ARGV[1], 0) && sysread(F, $b, 512) or die "$!";
		substr($b, 0, 1) = ~substr($b, 0, 1);
		sysseek(F, $ARGV[1], 0) && syswrite(F, $b) == 512 or die "$!"; close F or die' "$@" ||
		atf_fail "cannot flip a byte of $1"
}

# A byte of a superblock's middle; copy B begins at 512 KiB.
A=100 B=524388

atf_test_case a_damaged_copy_of_a_superblock_is_found_and_mended
a_damaged_copy_of_a_superblock_is_found_and_mended_body()
{
	local a b

	fresh
	a=$(loop a 64M) b=$(loop b 64M)
	ok snapmgr pool create p0 "$a" "$b"
	finds "pool p0: clean" 0
	flip "$a" $A
	finds "superblock of '$a': one of its two copies is damaged" 1
	finds "1 problem" 1 # still: nobody asked for a repair
	snapmgr pool show p0 --json | expect "$a" '.members[] | select(.bad_copy) | .device'
	refuses damaged 1 pool check p0
	snapmgr pool check p0 --json >found || [ $? = 1 ] || atf_fail "$(cat found)"
	finds "rewritten from the good one (repaired)" 0 --repair
	finds "pool p0: clean" 0
	cmp -n 131072 "$a" "$a" 0 524288 || atf_fail "the copies differ"
	# Inactive, and the other copy of the other member.
	ok snapmgr pool deactivate p0
	flip "$b" $B
	finds "superblock of '$b'" 1
	finds "repaired" 0 --repair
	finds "pool p0: clean" 0
	ok snapmgr pool activate p0
}

atf_test_case activation_uses_the_good_copy_and_says_so
activation_uses_the_good_copy_and_says_so_body()
{
	local a

	fresh
	a=$(loop a 64M)
	ok snapmgr pool create p0 "$a"
	use_it p0
	# As after a crash: it stays marked as ours, so that activation has nothing to write.
	crash p0
	flip "$a" $A
	warns "'$a' is damaged: 'snapmgr pool check p0 --repair' rewrites it" snapmgr pool activate p0
	used_it p0
	finds "one of its two copies is damaged" 1
	# Who writes the superblocks anyway mends it, and says so.
	warns "'$a' was rewritten from the good one" snapmgr pool deactivate p0
	finds "pool p0: clean" 0
}

# crash POOL - unmap it behind snapmgr's back
crash()
{
	dmsetup remove_all >/dev/null 2>&1
	dmsetup remove_all >/dev/null 2>&1
	[ ! -e "/dev/mapper/snapmgr-$1-_cat" ] || atf_fail "not unmapped: $(dmsetup ls)"
	rm -rf /run/snapmgr /dev/snapmgr
}

atf_test_case a_superblock_without_a_good_copy_is_refused
a_superblock_without_a_good_copy_is_refused_body()
{
	local a b before

	fresh
	a=$(loop a 64M) b=$(loop b 64M)
	ok snapmgr pool create p0 "$a" "$b"
	ok snapmgr pool deactivate p0
	flip "$b" $A
	flip "$b" $B
	before=$(sum_device "$a")$(sum_device "$b")
	refuses not_found 3 pool activate p0
	says "member 2 of 2" "'$b'"
	refuses not_found 3 pool check p0 --repair
	refuses foreign_device 4 pool create p1 "$b" --force
	says "'$b'" blkdiscard
	snapmgr pool list --json | expect incomplete '.pools[0].state'
	flip "$a" $A
	flip "$a" $B
	refuses damaged 1 pool activate p0
	says "both copies of the superblock on '/dev/loop"
	flip "$a" $A
	flip "$a" $B
	[ "$before" = "$(sum_device "$a")$(sum_device "$b")" ] || atf_fail "something was written"
	# What the message advises does free the device.
	blkdiscard -f -z -l 1M "$b"
	ok snapmgr pool create p1 "$b"
	# And a member of an incomplete pool is freed by destroying that.
	ok snapmgr pool destroy p0 --yes --force
	ok snapmgr pool create p0 "$a"
}

atf_test_case a_cut_off_or_newer_superblock_is_refused
a_cut_off_or_newer_superblock_is_refused_body()
{
	local a

	fresh
	a=$(loop a 64M)
	ok snapmgr pool create p0 "$a"
	ok snapmgr pool deactivate p0
	# The device ends early: it is not the one that joined.
	losetup -d "$a"
	truncate -s 50M a.img
	losetup "$a" a.img
	refuses damaged 1 pool activate p0
	says "'$a'" shrunk
	losetup -d "$a"
	truncate -s 64M a.img
	losetup "$a" a.img
	ok snapmgr pool activate p0
	ok snapmgr pool deactivate p0
	# A version above ours, in both copies.
	patch "$a" 24 V 99
	refuses newer_version 1 pool activate p0
	says "'$a'"
	refuses foreign_device 4 pool create p1 "$a" --force
}

# patch DEVICE FIELD TYPE VALUE - in both copies of its superblock, with a checksum that fits
patch()
{
	# shellcheck disable=SC2016 # perl's variables; the fields: doc/CATALOGUE.md
	perl -e 'sub crc { my $c = 0xffffffff; for (unpack "C*", shift) { $c ^= $_;
			$c = $c & 1 ? ($c >> 1) ^ 0x82f63b78 : $c >> 1 for 1..8 } $c ^ 0xffffffff }
		my ($device, $field, $type, $value) = @ARGV;
		open(F, "+<", $device) or die "$!";
		for my $at (0, 512 << 10) {
			sysseek(F, $at, 0) && sysread(F, $b, 131072) or die "$!";
			my $length = unpack "V", substr($b, 20, 4);
			my $new = pack $type, $value;
			substr($b, $field, length $new) = $new;
			substr($b, 16, 4) = pack "V", crc(substr($b, 20, $length - 20));
			sysseek(F, $at, 0) && syswrite(F, $b) or die "$!";
		}
		close F or die' "$@" || atf_fail "patch"
}

atf_test_case what_a_create_left_that_was_cut_short_counts_for_nothing
what_a_create_left_that_was_cut_short_counts_for_nothing_body()
{
	local a b

	fresh
	a=$(loop a 64M) b=$(loop b 64M)
	ok snapmgr pool create p0 "$a" "$b"
	ok snapmgr pool deactivate p0
	# Its first member was never written, and the second one only for the first time.
	blkdiscard -f -z -l 1M "$a"
	snapmgr pool list --json | expect incomplete '.pools[0].state'
	patch "$b" 32 'Q<' 1
	snapmgr pool list --json | expect 0 '.pools | length'
	refuses not_found 3 pool activate p0
	ok snapmgr pool create p1 "$b"
	ok snapmgr pool extend p1 "$a"
	# An extend that was cut short leaves the same.
	ok snapmgr pool create p2 "$(loop c 64M)"
	ok snapmgr pool deactivate p2
	cp c.img before.img
	ok snapmgr pool activate p2
	ok snapmgr pool extend p2 "$(loop d 64M)"
	ok snapmgr pool deactivate p2
	dd if=before.img of=c.img bs=1M conv=notrunc,fsync status=none
	blockdev --flushbufs "$(losetup -n -O NAME -j c.img)"
	snapmgr pool show p2 --json | expect 1 '.members | length'
	ok snapmgr pool activate p2
	ok snapmgr pool extend p2 "$(losetup -n -O NAME -j d.img)"
	snapmgr pool show p2 --json | expect 2 '.members | length'
}

atf_test_case metadata_and_catalogue_of_different_times_are_refused
metadata_and_catalogue_of_different_times_are_refused_body()
{
	local a m before

	fresh
	a=$(loop a 64M) m=$(loop m 64M)
	ok snapmgr pool create p0 "$a" --meta "$m"
	use_it p0
	ok snapmgr pool deactivate p0
	cp m.img old.img
	ok snapmgr pool activate p0
	ok snapmgr pool deactivate p0
	ok snapmgr pool activate p0
	ok snapmgr pool deactivate p0
	cp m.img new.img
	# The old metadata under the new catalogue: both lie on this device, the catalogue first.
	dd if=old.img of="$m" bs=1M skip=17 seek=17 conv=notrunc,fsync status=none
	before=$(sum_device "$a")$(sum_device "$m")
	refuses stale 4 pool activate p0
	says "'p0'" "different times" "transaction 0" "of 2"
	finds "different times" 1
	[ "$(sum_device "$a")$(sum_device "$m")" = "$before" ] || atf_fail "something was written"
	[ "$(dmsetup ls)" = "No devices found" ] || atf_fail "left: $(dmsetup ls)"
	# And the other way round.
	dd if=old.img of="$m" bs=1M conv=notrunc,fsync status=none
	dd if=new.img of="$m" bs=1M skip=17 seek=17 conv=notrunc,fsync status=none
	refuses stale 4 pool activate p0
	dd if=new.img of="$m" bs=1M conv=notrunc,fsync status=none
	ok snapmgr pool activate p0
	used_it p0
	ok snapmgr pool check p0
}

atf_test_case damaged_metadata_is_found_active_and_inactive
damaged_metadata_is_found_active_and_inactive_body()
{
	local a m at

	fresh
	a=$(loop a 64M) m=$(loop m 64M)
	ok snapmgr pool create p0 "$a" --meta "$m"
	use_it p0
	ok snapmgr pool deactivate p0
	# Every block of the trees: those after the superblock that are not empty.
	for at in 1 2 3 4 5 6; do
		flip "$m" $((17 * 1048576 + at * 4096 + 200))
	done
	finds "metadata: .*thin_check.*--repair rebuilds it" 1
	refuses damaged 1 pool check p0
	[ "$(dmsetup ls)" = "No devices found" ] || atf_fail "left: $(dmsetup ls)"
}

atf_test_case an_id_that_nothing_names_is_found_and_deleted
an_id_that_nothing_names_is_found_and_deleted_body()
{
	fresh
	ok snapmgr pool create p0 "$(loop a 64M)"
	use_it p0
	dmsetup message snapmgr-p0-_pool 0 "create_thin 4711" || atf_fail "create_thin"
	finds "id 4711 is in the pool and nothing names it" 1
	ok snapmgr pool deactivate p0
	finds "id 4711 is in the pool and nothing names it" 1
	finds "activate the pool" 1 --repair
	ok snapmgr pool activate p0
	finds "id 4711 .*; deleted (repaired)" 0 --repair
	finds "pool p0: clean" 0
	# The other way: one that the catalogue names is gone.
	ok snapmgr snapshot p0/v@s
	ok snapmgr pool deactivate p0
	ok snapmgr pool activate p0
	ok snapmgr create p0/w --size 1M --inactive
	dmsetup message snapmgr-p0-_pool 0 "delete 2"
	finds "id 2 is named by the catalogue and not in the pool" 1 --repair
}

atf_test_case a_held_metadata_snapshot_is_let_go_of_by_activation
a_held_metadata_snapshot_is_let_go_of_by_activation_body()
{
	fresh
	ok snapmgr pool create p0 "$(loop a 64M)"
	use_it p0
	dmsetup message snapmgr-p0-_pool 0 reserve_metadata_snap
	finds "pool p0: clean" 0 # it makes its own
	dmsetup message snapmgr-p0-_pool 0 reserve_metadata_snap
	crash p0
	ok snapmgr pool activate p0
	[ "$(dmsetup status snapmgr-p0-_pool | cut -d' ' -f7)" = - ] ||
		atf_fail "held: $(dmsetup status snapmgr-p0-_pool)"
	used_it p0
}

atf_test_case metadata_that_needs_a_check_is_lifted_by_repair
metadata_that_needs_a_check_is_lifted_by_repair_body()
{
	local m

	fresh
	m=$(loop m 64M)
	ok snapmgr pool create p0 "$(loop a 64M)" --meta "$m"
	use_it p0
	ok snapmgr pool deactivate p0
	dd if="$m" of=meta bs=1M skip=17 count=4 status=none
	needs_check meta
	dd if=meta of="$m" bs=1M seek=17 conv=notrunc,fsync status=none
	warns "read-only.*pool check p0 --repair" snapmgr pool activate p0
	snapmgr pool show p0 --json | expect needs_check .mode
	used_it p0 # reads are fine
	refuses bad_state 4 snapshot p0/v@s
	refuses bad_state 4 pool extend p0 "$(loop b 64M)"
	finds "read-only" 1
	ok snapmgr pool deactivate p0
	finds "needed a check, and is whole: --repair" 1
	finds "(repaired)" 0 --repair
	ok snapmgr pool activate p0
	ok snapmgr snapshot p0/v@s
	finds "pool p0: clean" 0
}

# needs_check FILE - as the kernel marks metadata that it could not write
needs_check()
{
	perl -e 'sub crc { my $c = 0xffffffff; for (unpack "C*", shift) { $c ^= $_;
			$c = $c & 1 ? ($c >> 1) ^ 0x82f63b78 : $c >> 1 for 1..8 } $c }
		open(F, "+<", $ARGV[0]) && sysread(F, $b, 4096) or die "$!";
		substr($b, 4, 4) = pack "V", 1;
		substr($b, 0, 4) = pack "V", crc(substr($b, 4)) ^ 160774; # SUPERBLOCK_CSUM_XOR
		sysseek(F, 0, 0); syswrite(F, $b) or die; close F or die' "$1" || atf_fail "needs_check"
}

atf_test_case a_corrupted_page_of_the_catalogue_is_found
a_corrupted_page_of_the_catalogue_is_found_body()
{
	local a i

	fresh
	a=$(loop a 64M)
	ok snapmgr pool create p0 "$a"
	for i in 1 2 3; do
		ok snapmgr create "p0/v$i" --size 16M --inactive
	done
	ok snapmgr pool deactivate p0
	# All of the database but its first page, which says that it is one.
	perl -e 'open(F, "+<", $ARGV[0]) or die; sysseek(F, 1 << 20, 0); sysread(F, $r, 16 << 20);
		my $db = index($r, "SQLite format 3\0"); $db >= 0 or die "no database";
		for (1 .. 60) { my $at = (1 << 20) + $db + $_ * 4096;
			sysseek(F, $at, 0); syswrite(F, "\xa5" x 4096); }
		close F or die' "$a" || atf_fail "cannot damage it"
	finds "catalogue" 1
	finds "catalogue" 1 --repair
	refuses damaged 1 pool check p0
	refuses damaged 1 pool activate p0
	refuses damaged 1 pool destroy p0 --yes
	[ "$(dmsetup ls)" = "No devices found" ] || atf_fail "left: $(dmsetup ls)"
	ok snapmgr pool destroy p0 --yes --force
}

atf_test_case an_active_pool_with_a_lost_catalogue_comes_down
an_active_pool_with_a_lost_catalogue_comes_down_body()
{
	fresh
	ok snapmgr pool create p0 "$(loop a 64M)"
	use_it p0
	mkfs.ext4 -q /dev/snapmgr/p0/v
	mkdir -p m
	mount /dev/snapmgr/p0/v m
	dd if=/dev/zero of=/dev/mapper/snapmgr-p0-_cat bs=1M count=16 conv=notrunc,fsync status=none
	rm -rf /run/snapmgr/*/
	refuses damaged 1 list p0
	snapmgr pool list --json 2>/dev/null | expect active '.pools[0].state'
	refuses in_use 4 pool deactivate p0
	says "$PWD/m"
	umount m
	warns catalogue snapmgr pool deactivate p0
	[ "$(dmsetup ls)" = "No devices found" ] || atf_fail "left: $(dmsetup ls)"
	refuses damaged 1 pool activate p0
	ok snapmgr pool destroy p0 --yes --force
}

atf_init_test_cases()
{
	atf_add_test_case a_damaged_copy_of_a_superblock_is_found_and_mended
	atf_add_test_case activation_uses_the_good_copy_and_says_so
	atf_add_test_case a_superblock_without_a_good_copy_is_refused
	atf_add_test_case a_cut_off_or_newer_superblock_is_refused
	atf_add_test_case what_a_create_left_that_was_cut_short_counts_for_nothing
	atf_add_test_case metadata_and_catalogue_of_different_times_are_refused
	atf_add_test_case damaged_metadata_is_found_active_and_inactive
	atf_add_test_case an_id_that_nothing_names_is_found_and_deleted
	atf_add_test_case a_held_metadata_snapshot_is_let_go_of_by_activation
	atf_add_test_case metadata_that_needs_a_check_is_lifted_by_repair
	atf_add_test_case a_corrupted_page_of_the_catalogue_is_found
	atf_add_test_case an_active_pool_with_a_lost_catalogue_comes_down
}
