#! /usr/bin/env atf-sh
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh disable=SC2154 # refusal: see lib.sh
#
# Damaged thin metadata is rebuilt in the spare, and what was lost is named.
. "$(atf_get_srcdir)/../../lib.sh"
. "$(atf_get_srcdir)/../../pool.sh"

META=$((17 * 256)) # its first block of 4 KiB: behind the header and 16 MiB of catalogue

# objects - what has contents: "OBJECT SUM" a line each
objects()
{
	for object in p0/v p0/w p0/v@s1 p0/v@s2 p0/w@t; do
		snapmgr activate "$object" >/dev/null 2>&1 || continue
		echo "$object $(sum_device "$(snapmgr show "$object" --json | jq -r .device)")"
		case $object in *@*) ok snapmgr deactivate "$object" ;; esac
	done
}

random()
{
	dd if=/dev/urandom of="/dev/snapmgr/$1" bs=64K count="$2" seek="$3" oflag=direct conv=notrunc \
		status=none || atf_fail "cannot write to $1"
}

# make_pool - several leaves of mappings, shared and unshared; sets $a $m, leaves sums in "sums"
make_pool()
{
	fresh
	a=$(loop a 256M) m=$(loop m 64M)
	ok snapmgr pool create p0 "$a" --meta "$m"
	ok snapmgr create p0/v --size 64M
	ok snapmgr create p0/w --size 64M
	random p0/v 600 0
	ok snapmgr snapshot p0/v@s1
	random p0/v 200 300
	ok snapmgr snapshot p0/v@s2
	random p0/v 50 0
	random p0/w 100 700
	ok snapmgr snapshot p0/w@t
	random p0/w 10 900
	random p0/v 5 0
	objects >sums
	[ "$(wc -l <sums)" = 5 ] || atf_fail "not five: $(tr '\n' ' ' <sums)"
	ok snapmgr pool deactivate p0
	dd if="$m" of=meta bs=4096 skip=$META count=2048 status=none
}

# spoil FILE BLOCK - it says something else in the middle
spoil()
{
	printf 'spoilt by the test %d' "$2" | dd of="$1" bs=1 seek=$(($2 * 4096 + 1000)) conv=notrunc status=none
}

# damage BLOCK... - of the pool's metadata
damage()
{
	for block; do
		spoil "$m" $((META + block))
	done
	blockdev --flushbufs "$m"
}

# try BLOCK - the metadata with this one spoilt, on $try: the tools open nothing on a tmpfs
try()
{
	[ -n "${try-}" ] || try=$(loop try 8M)
	dd if=meta of="$try" bs=1M conv=notrunc status=none
	spoil "$try" "$1"
}

# used_blocks BLOCK... - those of the metadata that thin_check minds
used_blocks()
{
	for block; do
		try "$block"
		thin_check -q "$try" >/dev/null 2>&1 || echo "$block"
	done
}

# survivors FINDINGS - each object whose loss was not told reads as before; of the others we know
survivors()
{
	local object sum name

	objects >now
	while read -r object sum; do
		name=${object#p0/}
		grep -q "'$name' (id [0-9]*) \(is lost\|lost [0-9]* of\)" "$1" && continue
		grep -q "^$object $sum\$" now ||
			atf_fail "$object has changed, and nobody said so: $(cat "$1" now | tr '\n' ' ')"
		survived=$((survived + 1))
	done <sums
}

atf_test_case wherever_a_block_of_the_metadata_is_spoilt_the_rest_survives
wherever_a_block_of_the_metadata_is_spoilt_the_rest_survives_head()
{
	atf_set timeout 600
}
wherever_a_block_of_the_metadata_is_spoilt_the_rest_survives_body()
{
	local block status n=0 mended=0

	survived=0
	make_pool
	used_blocks 5 37 40 47 49 56 59 63 >blocks # trees of all kinds
	[ "$(wc -l <blocks)" -ge 4 ] || atf_fail "few blocks: $(cat blocks)"
	dd if="$m" of=m.before bs=1M status=none
	for block in $(head -n 5 blocks); do
		n=$((n + 1))
		damage "$block"
		snapmgr pool check p0 >found 2>&1 && atf_fail "block $block: not found"
		grep -q -- "--repair rebuilds it" found || atf_fail "block $block: $(tr '\n' ' ' <found)"
		status=0
		snapmgr pool check p0 --repair >found 2>&1 || status=$?
		if grep -q "it stays as it is" found; then # all ids lay in that block
			[ $status = 1 ] || atf_fail "block $block: status $status"
			refuses damaged 1 pool check p0
		else
			grep -q "rebuilt in the spare region" found || atf_fail "block $block: $(tr '\n' ' ' <found)"
			grep -q " lost" found && expected=1 || expected=0
			[ "$status" = "$expected" ] || atf_fail "block $block: status $status: $(tr '\n' ' ' <found)"
			snapmgr pool activate p0 >/dev/null 2>&1 || atf_fail "block $block: not active"
			survivors found
			[ -s now ] || atf_fail "block $block: nothing is left"
			grep -q "lost" found || ok snapmgr pool check p0
			ok snapmgr snapshot p0/w@new
			ok snapmgr pool deactivate p0
			mended=$((mended + 1))
		fi
		echo "block $block: $(tr '\n' ' ' <found)"
		dd if=m.before of="$m" bs=1M conv=notrunc status=none
		blockdev --flushbufs "$m"
	done
	[ $mended -ge 3 ] || atf_fail "only $mended of $n were mended"
	[ $survived -ge $((2 * mended)) ] || atf_fail "only $survived survived $mended repairs"
}

atf_test_case the_damaged_metadata_is_kept_and_the_roles_are_swapped_once
the_damaged_metadata_is_kept_and_the_roles_are_swapped_once_body()
{
	make_pool
	damage 5 # counts of blocks, which the trees tell anew
	dd if="$m" of=bad bs=4096 skip=$META count=1024 status=none
	snapmgr pool check p0 --repair >found 2>&1 || atf_fail "$(tr '\n' ' ' <found)"
	grep -q "rebuilt in the spare region" found || atf_fail "$(tr '\n' ' ' <found)"
	dd if="$m" of=kept bs=4096 skip=$META count=1024 status=none
	cmp bad kept || atf_fail "the damaged metadata was changed"
	ok snapmgr pool activate p0
	objects >now
	cmp sums now || atf_fail "contents differ"
	ok snapmgr pool check p0
	ok snapmgr pool deactivate p0
	ok snapmgr pool check p0 --repair
	ok snapmgr pool activate p0
	ok snapmgr pool extend p0 "$(loop b 64M)"
	ok snapmgr pool deactivate p0
	# A second repair goes back the other way.
	damage 2048 2049 # nothing of ours: the region that is the spare again does not matter
	ok snapmgr pool check p0
	ok snapmgr pool activate p0
	objects >now
	cmp sums now || atf_fail "contents differ after all that"
}

atf_test_case a_volume_whose_contents_are_lost_comes_back_from_its_snapshot
a_volume_whose_contents_are_lost_comes_back_from_its_snapshot_body()
{
	local block

	make_pool
	mended=$(loop mended 8M)
	# A block whose loss costs p0/v something and its snapshot s1 nothing.
	for block in $(seq 50 75) none; do
		[ "$block" != none ] || break
		try "$block"
		thin_repair -i "$try" -o "$mended" >/dev/null 2>&1 || continue
		thin_ls --no-headers -o DEV,MAPPED_BYTES "$mended" >lists 2>/dev/null || continue
		awk '$1 == 1 { v = $2 } $1 == 3 { s = $2 } END { exit !(v < 39321600 && s == 39321600) }' lists &&
			break
	done
	[ "$block" != none ] || atf_fail "no block is of that volume alone: $(tr '\n' ' ' <lists)"
	damage "$block"
	snapmgr pool check p0 --repair >found 2>&1 && atf_fail "nothing was lost"
	grep -q "volume 'v' (id 1)" found || atf_fail "not told: $(tr '\n' ' ' <found)"
	snapmgr pool activate p0 >/dev/null 2>&1 || atf_fail "not active"
	ok snapmgr revert p0/v@s1
	sum=$(sum_device /dev/snapmgr/p0/v)
	grep -q "p0/v@s1 $sum" sums || atf_fail "the revert did not bring it back"
}

# The tools have to guess then; they find all of it, or nothing is changed.
atf_test_case a_lost_superblock_of_the_metadata_never_passes_for_a_repair
a_lost_superblock_of_the_metadata_never_passes_for_a_repair_body()
{
	make_pool
	damage 0
	dd if="$m" of=bad bs=4096 skip=$META count=1024 status=none
	snapmgr pool check p0 --repair >found 2>&1 && atf_fail "as if nothing had been lost"
	dd if="$m" of=kept bs=4096 skip=$META count=1024 status=none
	cmp bad kept || atf_fail "the damaged metadata was changed"
	if grep -q "rebuilt in the spare region" found; then
		grep -q "superblock was lost" found || atf_fail "not told: $(tr '\n' ' ' <found)"
		ok snapmgr pool activate p0
		survived=0
		survivors found
	else
		grep -q "it stays as it is" found || atf_fail "$(tr '\n' ' ' <found)"
		refuses damaged 1 pool activate p0
	fi
}

atf_test_case metadata_beyond_repair_stays_as_it_is
metadata_beyond_repair_stays_as_it_is_body()
{
	local before

	make_pool
	dd if=/dev/urandom of="$m" bs=4096 seek=$META count=1024 conv=notrunc,fsync status=none
	blockdev --flushbufs "$m"
	dd if="$m" of=before bs=4096 skip=$META count=1024 status=none
	before=$(snapmgr pool show p0 --json | jq -c .members)
	snapmgr pool check p0 --repair >found 2>&1 && atf_fail "it was mended: $(tr '\n' ' ' <found)"
	grep -q "it stays as it is" found || atf_fail "$(tr '\n' ' ' <found)"
	dd if="$m" of=after bs=4096 skip=$META count=1024 status=none
	cmp before after || atf_fail "the metadata was changed"
	[ "$(snapmgr pool show p0 --json | jq -c .members)" = "$before" ] || atf_fail "members"
	[ "$(dmsetup ls)" = "No devices found" ] || atf_fail "left: $(dmsetup ls)"
	refuses damaged 1 pool activate p0
}

atf_test_case metadata_and_catalogue_lost_at_once_come_back
metadata_and_catalogue_lost_at_once_come_back_body()
{
	make_pool
	ok snapmgr pool dump p0 p0.json
	dd if=/dev/zero of="$m" bs=1M seek=1 count=16 conv=notrunc,fsync status=none
	damage 5
	snapmgr pool check p0 --repair >found 2>&1 && atf_fail "clean"
	grep -q "rebuilt in the spare region" found || atf_fail "$(tr '\n' ' ' <found)"
	grep -q "pool restore p0 FILE" found || atf_fail "no way out: $(tr '\n' ' ' <found)"
	snapmgr pool restore p0 p0.json --force >/dev/null 2>err || atf_fail "$(cat err)"
	ok snapmgr pool activate p0
	objects >now
	cmp sums now || atf_fail "contents differ"
	ok snapmgr pool check p0
}

atf_init_test_cases()
{
	atf_add_test_case wherever_a_block_of_the_metadata_is_spoilt_the_rest_survives
	atf_add_test_case the_damaged_metadata_is_kept_and_the_roles_are_swapped_once
	atf_add_test_case a_volume_whose_contents_are_lost_comes_back_from_its_snapshot
	atf_add_test_case a_lost_superblock_of_the_metadata_never_passes_for_a_repair
	atf_add_test_case metadata_beyond_repair_stays_as_it_is
	atf_add_test_case metadata_and_catalogue_lost_at_once_come_back
}
