#! /usr/bin/env atf-sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What scripts/sandbox promises to whoever runs a command in it.

atf_test_case status_and_streams_come_back_unmangled
status_and_streams_come_back_unmangled_body()
{
	head -c 3000000 /dev/urandom >both
	atf_check -s exit:7 -o file:both -e inline:"it's \$HOME\n" \
		sandbox sh -c 'cat both; echo "$1" >&2; exit 7' sh "it's \$HOME"
	atf_check -s exit:137 sandbox sh -c 'kill -KILL $$'
}

atf_test_case the_host_is_out_of_reach
the_host_is_out_of_reach_body()
{
	mkdir scratch
	export SANDBOX_SCRATCH="$PWD/scratch"
	touch mine
	atf_check -e ignore sandbox --disk 64M sh -c '
		mount -o remount,rw /
		touch /usr/strange "$SANDBOX_SCRATCH/../strange" /usr/bin/env && exit 1
		mkdir /tmp/root && mount -t hostfs none /tmp/root && touch /tmp/root/usr/strange && exit 1
		echo ours >"$SANDBOX_SCRATCH/made"'
	atf_check -o inline:"ours\n" cat scratch/made
	atf_check test ! -e strange
	atf_check test ! -e /usr/strange
}

atf_test_case disks_live_on_in_the_state_folder
disks_live_on_in_the_state_folder_body()
{
	atf_check -o inline:"/dev/ubda /dev/ubdb\n" sandbox --state state --disk 1G --disk 2G \
		sh -c 'echo $SANDBOX_DISKS; echo buffered >/dev/ubdb; echo kept >$SANDBOX_SCRATCH/f'
	atf_check -o inline:"buffered\nkept\n" sandbox --state state \
		sh -c 'head -n 1 /dev/ubdb; cat $SANDBOX_SCRATCH/f'
	atf_check -s exit:125 -e match:'without an answer' sandbox --state state \
		sh -c 'echo b >/proc/sysrq-trigger; sleep 10'
}

atf_test_case nothing_outlives_it
nothing_outlives_it_body()
{
	export TMPDIR="$PWD/tmp"
	mkdir tmp
	# One that hangs, in a guest with a device that hangs.
	atf_check -s exit:124 -e match:'after 4 seconds' sandbox --timeout 4 --disk 64M sh -c '
		dmsetup create d --table "0 64 linear /dev/ubda 0"; dmsetup suspend d; cat /dev/mapper/d'
	# One whose command leaves others behind, one of them stuck in the kernel.
	atf_check -o inline:"out\n" sandbox --disk 64M sh -c '
		dmsetup create d --table "0 64 linear /dev/ubda 0"; dmsetup suspend d
		cat /dev/mapper/d & sleep 1000 & echo out'
	for signal in TERM HUP KILL; do
		sandbox sleep 1000 &
		sleep 2
		kill -$signal $!
		wait $! && atf_fail "ended well after SIG$signal"
	done
	sleep 1
	unset TMPDIR
	atf_check -o empty ls tmp
	atf_check -s exit:1 -o empty pgrep -f "[l]inux.uml.*$PWD/tmp"
}

atf_test_case filesystems_and_targets_load_by_themselves
filesystems_and_targets_load_by_themselves_body()
{
	atf_check -o inline:"ext4 xfs btrfs \n" -e ignore sandbox --disk 1G sh -c '
		mkdir /tmp/m
		for fs in ext4 xfs btrfs; do
			wipefs -qa /dev/ubda && mkfs.$fs -q /dev/ubda >&2 && mount /dev/ubda /tmp/m &&
				umount /tmp/m && printf "$fs "
		done
		echo
		for m in dm-thin-pool dm-snapshot dm-flakey dm-delay dm-raid dm-log-writes raid1 loop brd \
			scsi_debug; do modprobe $m || echo "no $m"; done
		dmsetup create e --table "0 8 error" || echo "no error"'
}

atf_init_test_cases()
{
	atf_add_test_case status_and_streams_come_back_unmangled
	atf_add_test_case the_host_is_out_of_reach
	atf_add_test_case disks_live_on_in_the_state_folder
	atf_add_test_case nothing_outlives_it
	atf_add_test_case filesystems_and_targets_load_by_themselves
}
