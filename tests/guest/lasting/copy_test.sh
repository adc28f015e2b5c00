#! /usr/bin/env atf-sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Copies while they last: what others see, how they are stopped, and what those leave who die in one.

. "$(atf_get_srcdir)/../../lib.sh"
. "$(atf_get_srcdir)/../../pool.sh"

# Two pools, a volume with a snapshot, and a device that takes its time: 300 MiB in some 3 s.
begin()
{
	local img

	fresh
	ok snapmgr pool create p0 "$(disk 1)"
	ok snapmgr pool create p1 "$(disk 2)"
	ok snapmgr create p0/v --size 32M --project web
	dd if=/dev/urandom of=/dev/snapmgr/p0/v bs=1M count=8 oflag=direct status=none
	ok snapmgr snapshot p0/v@s1
	img=$(loop slow 300M)
	for at in 0 100 200 290; do
		dd if=/dev/urandom of=slow.img bs=1M count=8 seek=$at conv=notrunc status=none
	done
	echo "0 $((300 * 2048)) delay $img 0 250" | dmsetup create slow
	slow=/dev/mapper/slow
}

# start ARG... - "snapmgr copy ARG..." in the background, seen to be under way
start()
{
	snapmgr copy "$@" >copy.out 2>copy.err &
	pid=$!
	under_way p1 || atf_fail "it does not begin: $(cat copy.err)"
}

# under_way POOL [BYTES] - wait until an operation is listed that has done so much
under_way()
{
	local i

	for i in $(seq 200); do
		op=$(snapmgr list "$1" --operations --json |
			jq -er ".operations[] | select(.lasting and .done_bytes > ${2-0}) | .uuid") && return
		kill -0 "$pid" || return 1
		sleep 0.05
	done
	return 1
}

# nothing_left - no operation, no device of one, no volume that is half there; the pools are sound
nothing_left()
{
	[ "$(snapmgr list --operations --json | jq '.operations | length')" = 0 ] ||
		atf_fail "operations: $(snapmgr list --operations)"
	! dmsetup ls | grep -E '_(source|target)' || atf_fail "devices are left"
	! ls /run/snapmgr/*/operation.* 2>/dev/null || atf_fail "progress files are left"
	ok snapmgr recover
	for pool in p0 p1; do
		ok snapmgr pool check $pool
		snapmgr pool show $pool --json | expect 0 .garbage
	done
}

atf_test_case others_see_it_and_are_refused_what_it_works_on
others_see_it_and_are_refused_what_it_works_on_body()
{
	begin
	ok snapmgr quota p1 --project web --volume-size 1G
	start $slow p1/new --project web --size 700M
	kill -STOP $pid # so that it takes long enough
	snapmgr list p1 --operations --json >ops
	expect "copy new $pid snapmgr true false" \
		'.operations[] | "\(.verb) \(.object) \(.pid) \(.program) \(.lasting) \(.dead)"' <ops
	snapmgr show p1/new --json | expect 'creating false' '"\(.state) \(.active)"'
	for change in "rename p1/new other" "delete p1/new --yes" "activate p1/new" \
		"snapshot p1/new@s" "resize p1/new 1G" "set p1/new label=x" "reset-state p1/new" \
		"copy p0/v p1/new"; do
		# shellcheck disable=SC2086 # words
		refuses bad_state 4 $change
		says "$op (copy) of process $pid" "creating" "snapmgr cancel"
	done
	refuses in_use 4 pool deactivate p1
	# Its size is reserved, and nobody gets it meanwhile.
	snapmgr quota p1 --project web --json |
		expect "0 $((700 << 20))" '.quotas[0].volume_size | "\(.in_use) \(.reserved)"'
	refuses over_quota 5 create p1/too --size 400M --project web
	# All else goes on.
	ok snapmgr create p1/small --size 100M --project web
	ok snapmgr snapshot p1/small@s
	ok snapmgr revert p1/small@s
	kill -CONT $pid
	wait $pid || atf_fail "copy: $(cat copy.err)"
	snapmgr quota p1 --project web --json |
		expect "$((800 << 20)) 0" '.quotas[0].volume_size | "\(.in_use) \(.reserved)"'
	cmp -n $((300 << 20)) slow.img /dev/snapmgr/p1/new || atf_fail "it is another"
	nothing_left
}

atf_test_case cancelled_it_is_gone_at_once
cancelled_it_is_gone_at_once_body()
{
	local before after

	begin
	for what in op p1/new; do
		start $slow p1/new
		[ $what != op ] || what=$op
		before=$(date +%s%N)
		ok snapmgr cancel "$what"
		after=$(date +%s%N)
		! wait $pid || atf_fail "it says that it succeeded"
		grep -q "was stopped" copy.err || atf_fail "it says: $(cat copy.err)"
		# A quarter of a second on a machine that has nothing else to do.
		[ $((after - before)) -lt 4000000000 ] ||
			atf_fail "it took $(((after - before) / 1000000)) ms"
		refuses not_found 3 show p1/new
		nothing_left
	done
	refuses not_found 3 cancel p0/v
	refuses not_found 3 cancel "$op"
}

atf_test_case killed_anywhere_it_is_undone_by_the_next_change
killed_anywhere_it_is_undone_by_the_next_change_body()
{
	local sum

	begin
	ok snapmgr create p1/old --size 300M
	dd if=/dev/urandom of=/dev/snapmgr/p1/old bs=1M count=8 oflag=direct status=none
	sum=$(sum_device /dev/snapmgr/p1/old)
	for target in new old; do
		start $slow p1/$target
		sleep "$(shuf -i 0-15 -n 1 | sed 's/..$/1.&/; s/^.$/0.&/')"
		kill -9 $pid
		wait $pid
		snapmgr list p1 --operations --json | expect "true $op" '.operations[] | "\(.dead) \(.uuid)"'
		warns "recovered: the copy of 'p1/$target' that process $pid began" \
			snapmgr create "p1/other$(date +%N)" --size 1M
		snapmgr show p1/old --json | expect available .state
		refuses not_found 3 show p1/new
		[ "$(sum_device /dev/snapmgr/p1/old)" = "$sum" ] || atf_fail "old has changed"
		nothing_left
	done
	snapmgr messages p1/old --json | expect 1 '[.messages[] | select(.action == "recover")] | length'
}

atf_test_case a_slow_owner_is_left_alone
a_slow_owner_is_left_alone_body()
{
	begin
	start $slow p1/new
	kill -STOP $pid
	ok snapmgr recover
	ok snapmgr create p1/other --size 1M
	snapmgr show p1/new --json | expect creating .state
	refuses locked 4 cancel p1/new --wait 1
	says "process $pid has not answered"
	refuses bad_state 4 reset-state p1/new
	snapmgr list p1 --operations --json | expect 'false true' '.operations[] | "\(.dead) \(.stopping)"'
	kill -CONT $pid
	! wait $pid || atf_fail "it was not stopped when it went on"
	nothing_left
	start $slow p1/new
	kill -STOP $pid
	ok snapmgr recover
	kill -CONT $pid
	wait $pid || atf_fail "copy: $(cat copy.err)"
	cmp slow.img /dev/snapmgr/p1/new || atf_fail "it is another"
	nothing_left
}

atf_test_case what_may_be_resumed_is_kept_and_goes_on
what_may_be_resumed_is_kept_and_goes_on_body()
{
	begin
	ok snapmgr create p1/old --size 700M
	for target in new old; do
		start $slow p1/$target --resume --checkpoint 64M
		under_way p1 100000000 || atf_fail "it ended too soon"
		kill -9 $pid
		wait $pid
		ok snapmgr recover
		snapmgr list p1 --operations --json | expect 'true true true' \
			'.operations[] | "\(.dead) \(.resumable) \(.done_bytes >= 67108864)"'
		refuses bad_state 4 copy $slow p1/$target
		refuses bad_state 4 copy p0/v@s1 p1/$target --resume # another source
		# A reboot in between: no device, nothing in /run.
		dmsetup remove_all
		dmsetup remove_all
		losetup -D
		rm -rf /run/snapmgr /dev/snapmgr
		ok snapmgr pool activate p0
		ok snapmgr pool activate p1
		[ ! -e /dev/snapmgr/p1/new ] || [ $target = old ] || atf_fail "what is half there is mapped"
		echo "0 $((300 * 2048)) linear $(losetup --show -f slow.img) 0" | dmsetup create slow
		snapmgr copy $slow p1/$target --resume --json >out || atf_fail "$(cat out)"
		expect 'copy true' '"\(.strategy) \(.moved_bytes <= 25165824)"' <out
		cmp -n $((300 << 20)) slow.img /dev/snapmgr/p1/$target || atf_fail "it is another"
		nothing_left
		dmsetup remove slow
		echo "0 $((300 * 2048)) delay $(losetup --show -f slow.img) 0 250" | dmsetup create slow
	done
	# Cancelled, it goes for good.
	start $slow p1/third --resume
	kill -9 $pid
	wait $pid
	ok snapmgr cancel p1/third
	refuses not_found 3 show p1/third
	nothing_left
}

atf_test_case into_a_volume_that_is_there_it_can_be_undone
into_a_volume_that_is_there_it_can_be_undone_body()
{
	local was now

	begin
	ok snapmgr create p1/t --size 64M
	ok snapmgr create p1/small --size 16M
	mkfs.ext4 -q /dev/snapmgr/p1/t
	now=$( (dd if=/dev/snapmgr/p0/v bs=1M iflag=direct status=none
		head -c 32M /dev/zero) | sha256sum | cut -c1-64)
	number=$(snapmgr show p1/t --json | json '"\(.uuid) \(.major):\(.minor)"')
	refuses usage 2 copy p0/v p1/small
	refuses usage 2 copy p0/v p0/v
	refuses usage 2 copy p0/v p1/new --resume
	refuses not_found 3 copy /no/such/file p1/new
	refuses usage 2 copy /tmp p1/new
	mkdir -p mnt && mount /dev/snapmgr/p1/t mnt
	refuses in_use 4 copy p0/v p1/t # before anything is copied
	refuses in_use 4 copy /dev/snapmgr/p1/t p1/new
	umount mnt
	was=$(sum_device /dev/snapmgr/p1/t)
	ok snapmgr copy p0/v p1/t --verify
	[ "$(sum_device /dev/snapmgr/p1/t)" = "$now" ] || atf_fail "it is another"
	snapmgr show p1/t --json | expect "$number available" '"\(.uuid) \(.major):\(.minor) \(.state)"'
	ok snapmgr undo p1/t
	[ "$(sum_device /dev/snapmgr/p1/t)" = "$was" ] || atf_fail "undo does not lead back"
	# Within a pool it is a switch.
	ok snapmgr create p0/t --size 64M
	snapmgr copy p0/v@s1 p0/t --json | expect 'repoint 0 true' '"\(.strategy) \(.moved_bytes) \(.undo)"'
	[ "$(sum_device /dev/snapmgr/p0/t)" = "$now" ] || atf_fail "within the pool it is another"
	snapmgr copy p0/v p0/twin --json | expect 'clone web' '"\(.strategy) \(.volume.project)"'
	snapmgr copy p0/v@s1 p0/bytes --full --json | expect 'copy 8388608' '"\(.strategy) \(.moved_bytes)"'
	[ "$(sum_device /dev/snapmgr/p0/bytes)" = "$(sum_device /dev/snapmgr/p0/twin)" ] ||
		atf_fail "shared and copied differ"
	nothing_left
}

atf_test_case a_source_that_cannot_be_read_leaves_nothing
a_source_that_cannot_be_read_leaves_nothing_body()
{
	local img

	begin
	img=$(losetup -j slow.img | cut -d: -f1)
	printf '0 204800 linear %s 0\n204800 8 error\n204808 %d linear %s 204808\n' \
		"$img" $((300 * 2048 - 204808)) "$img" | dmsetup create broken
	refuses io 1 copy /dev/mapper/broken p1/new
	says /dev/mapper/broken 104857600
	refuses not_found 3 show p1/new
	dd if=/dev/zero of=slow.img bs=1M count=1 seek=3000 status=none # larger than the pool, but empty
	ok snapmgr copy ./slow.img p1/sparse
	snapmgr show p1/sparse --json | expect "3147776000 true" '"\(.size) \(.used < 40000000)"'
	nothing_left
}

atf_init_test_cases()
{
	atf_add_test_case others_see_it_and_are_refused_what_it_works_on
	atf_add_test_case cancelled_it_is_gone_at_once
	atf_add_test_case killed_anywhere_it_is_undone_by_the_next_change
	atf_add_test_case a_slow_owner_is_left_alone
	atf_add_test_case what_may_be_resumed_is_kept_and_goes_on
	atf_add_test_case into_a_volume_that_is_there_it_can_be_undone
	atf_add_test_case a_source_that_cannot_be_read_leaves_nothing
}
