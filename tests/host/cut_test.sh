#!/usr/bin/env atf-sh
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh disable=SC2016 # what guests expand
#
# Reverts that move bytes, by each kind of pool at once, when the plug of their guest is pulled; looked at in
# the next guest, on the same disks. One of a kind is enough here: drivers/fault_test has many places.

# guest - run stdin in a guest with the disks of before, with the helpers of the guest tests
guest()
{
	{
		cat - <<-END
			atf_fail() { echo "\$*" >&2; exit 1; }
			. "$(atf_get_srcdir)/../lib.sh"
			. "$(atf_get_srcdir)/../pool.sh"
			cd "\$SANDBOX_SCRATCH" || exit 1
			cut_work=$(atf_get_srcdir)/cut_work
			export SNAPMGR_POOLS_DIR="\$SANDBOX_SCRATCH/pools"
			volumes="/dev/snapmgr/thin/v /dev/snapmgr/cow/v /tmp/fs/pool/v.img"
		END
		cat
	} >script
	status=0
	SANDBOX_SCRATCH=$PWD/notes sandbox --no-udev --state state --timeout 250 \
		sh "$PWD/script" >out 2>err </dev/null || status=$?
}

atf_test_case what_was_being_moved_when_the_plug_was_pulled_is_done_or_as_before
what_was_being_moved_when_the_plug_was_pulled_is_done_or_as_before_head()
{
	atf_set timeout 600
}
what_was_being_moved_when_the_plug_was_pulled_is_done_or_as_before_body()
{
	mkdir state notes
	for i in 0 1 2; do
		truncate -s 256M state/disk$i
	done
	guest <<'END'
		n=0
		for disk in $SANDBOX_DISKS; do
			n=$((n + 1))
			dmsetup create slow$n --table "0 $(blockdev --getsz "$disk") linear $disk 0"
		done
		mkfs.ext4 -q /dev/mapper/slow3
		mkdir /tmp/fs && mount /dev/mapper/slow3 /tmp/fs
		ok snapmgr pool create thin /dev/mapper/slow1
		ok snapmgr pool create cow --driver cow /dev/mapper/slow2
		ok snapmgr pool create file --driver file /tmp/fs/pool
		for pool in thin cow file; do
			ok snapmgr create $pool/v --size 16M
		done
		for name in a b head; do
			head -c 16M /dev/urandom >$name
			for volume in $volumes; do
				dd if=$name of="$volume" bs=1M conv=notrunc,fsync status=none || exit 1
			done
			[ $name = head ] || for pool in thin cow file; do
				if [ $pool = cow ]; then
					ok snapmgr snapshot cow/v@$name --cow-size 48M
				else
					ok snapmgr snapshot $pool/v@$name
				fi
			done
		done
		n=0
		for disk in $SANDBOX_DISKS; do
			n=$((n + 1))
			dmsetup reload slow$n --table "0 $(blockdev --getsz "$disk") delay $disk 0 200"
			dmsetup resume slow$n
		done
		# stopped ARGS... - it has stopped in the middle of a revert; of the last one the kernel goes on
		stopped()
		{
			local i stat

			"$cut_work" "$@" &
			for i in $(seq 2000); do
				read -r stat </proc/$!/stat || atf_fail "$*: it has ended"
				case $stat in *') T '*) return ;; esac
				sleep 0.05
			done
			atf_fail "$*: it does not get there"
		}
		stopped thin/v@a copy 3
		stopped file/v@a copy 3 no-undo
		stopped cow/v@a merge 1
		snapmgr list --operations --json | jq -r '.operations[] | "under way: \(.object)"' >cut
		echo b >/proc/sysrq-trigger
		sleep 10
END
	[ $status = 125 ] || atf_fail "guest: $status: $(cat out err)"
	cat notes/cut
	[ "$(wc -l <notes/cut)" = 3 ] || atf_fail "under way was: $(cat notes/cut)"
	guest <<'END'
		mkdir /tmp/fs && mount "$(disk 3)" /tmp/fs || exit 1
		for pool in thin cow file; do
			snapmgr pool activate $pool
		done
		for i in $(seq 400); do
			snapmgr recover cow
			snapmgr show cow/v --json | jq -e '.state == "available"' >/dev/null && break
			sleep 0.05
		done
		snapmgr recover
		# is VOLUME-OR-PATH NAME - it reads as that
		is() { cmp -s "$1" "$2"; }
		is /dev/snapmgr/thin/v head || atf_fail "a copy was not thrown away"
		is /dev/snapmgr/cow/v a || atf_fail "a merge did not go on"
		is /tmp/fs/pool/v.img a || atf_fail "a mixture did not become the snapshot"
		for pool in thin cow file; do
			snapmgr show $pool/v --json | expect available .state
			ok snapmgr pool check $pool
			for name in a b; do
				ok snapmgr activate $pool/v@$name
				is /dev/snapmgr/$pool/v@$name $name || atf_fail "$pool/v@$name has changed"
				ok snapmgr deactivate $pool/v@$name
			done
			ok snapmgr revert $pool/v@a
		done
		# What its head held when the merge began.
		ok snapmgr activate cow/v@undo~1
		is "$(snapmgr show cow/v@undo~1 --json | json .device)" head || atf_fail "the way back is lost"
		for volume in $volumes; do
			is "$volume" a || atf_fail "$volume is not the snapshot"
		done
		exit 0
END
	[ $status = 0 ] || atf_fail "guest: $status: $(cat out err)"
	cat out
}

atf_init_test_cases()
{
	atf_add_test_case what_was_being_moved_when_the_plug_was_pulled_is_done_or_as_before
}
