#!/usr/bin/env atf-sh
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh disable=SC2016 # what guests expand
#
# Pools that outlive the machine they were made on: only the disks go on.

# guest SCRIPT - run it in a guest with the disks of before, with the helpers of the guest tests
guest()
{
	cat >script - <<-END
		atf_fail() { echo "\$*" >&2; exit 1; }
		. "$(atf_get_srcdir)/../lib.sh"
		. "$(atf_get_srcdir)/../pool.sh"
		cd /tmp || exit 1
		$1
	END
	status=0
	sandbox --state state --timeout 120 sh "$PWD/script" >out 2>err </dev/null || status=$?
}
works()
{
	guest "$1" </dev/null
	[ $status = 0 ] || atf_fail "guest: $status: $(cat out err)"
}
# dies SCRIPT - the guest ends like a machine whose plug is pulled
dies()
{
	guest "$1
		echo b >/proc/sysrq-trigger; sleep 10" </dev/null
	[ $status = 125 ] || atf_fail "guest: $status: $(cat out err)"
}

disks()
{
	rm -rf state
	mkdir state
	for i in 0 1 2; do
		truncate -s 256M state/disk$i
	done
}

atf_test_case a_pool_is_found_on_its_disks_alone_in_any_order
a_pool_is_found_on_its_disks_alone_in_any_order_body()
{
	disks
	dies 'ok snapmgr pool create p0 /dev/ubda /dev/ubdb /dev/ubdc --chunk 128K
		use_it p0
		ok snapmgr snapshot p0/v@s
		ok snapmgr set p0/v label=moved
		snapmgr show p0/v@s --json | json .uuid >"$SANDBOX_SCRATCH/uuid"'
	# The same host after a crash, its disks under other names.
	mv state/disk0 state/x && mv state/disk1 state/disk0 && mv state/disk2 state/disk1 && mv state/x state/disk2
	dies 'snapmgr pool show p0 --json >show
		expect inactive .state <show
		expect "/dev/ubdc /dev/ubda /dev/ubdb" "[.members[].device] | join(\" \")" <show
		refuses bad_state 4 list p0
		says "snapmgr pool activate p0"
		ok snapmgr pool activate p0
		used_it p0
		snapmgr show p0/v --json | expect moved .label
		snapmgr show p0/v@s --json | expect "$(cat "$SANDBOX_SCRATCH/uuid")" .uuid
		ok snapmgr revert p0/v@s
		ok snapmgr pool check p0'
	# Another host, which lacks a disk: first nothing but that is wrong, then it has it.
	mv state/disk1 away
	mv state/disk2 state/disk1
	works 'echo 0123456789abcdef0123456789abcdef >/etc/machine-id
		hostname other
		refuses not_found 3 pool import p0 --force
		says "member 3 of 3" "0.2 GiB"
		snapmgr pool list --json >list
		expect incomplete ".pools[0].state" <list
		expect true ".pools[0].members[2].missing" <list
		[ "$(dmsetup ls)" = "No devices found" ]'
	mv state/disk1 state/disk2
	mv away state/disk1
	dies 'echo 0123456789abcdef0123456789abcdef >/etc/machine-id
		before=$(sum_device /dev/ubda)
		snapmgr pool show p0 --json | expect foreign .state
		refuses bad_state 4 pool activate p0
		says "belongs to host"
		refuses in_use 4 pool import p0
		says --force
		refuses in_use 4 pool check p0 --repair
		refuses in_use 4 pool destroy p0 --yes
		refuses bad_state 4 pool export p0
		[ "$before" = "$(sum_device /dev/ubda)" ] || atf_fail "something was written"
		hostname other
		ok snapmgr pool import p0 --force
		used_it p0
		snapmgr pool show p0 --json | expect other .host
		ok snapmgr pool export p0'
	# The first one again: it was exported, so that nobody needs force.
	works 'refuses bad_state 4 pool activate p0
		ok snapmgr pool import p0
		used_it p0
		ok snapmgr pool check p0'
}

# Earlier and later moments of a command that takes about 0.2 s.
atf_test_case a_create_cut_short_leaves_a_pool_or_free_disks
a_create_cut_short_leaves_a_pool_or_free_disks_body()
{
	disks
	for delay in 0.03 0.06 0.1; do
		dies "snapmgr pool create p0 /dev/ubda /dev/ubdb /dev/ubdc >/dev/null 2>&1 &
			sleep $delay"
		works 'snapmgr pool list --json >list
			case $(jq -r "[.pools[].state] | join(\" \")" list) in
			inactive) ok snapmgr pool activate p0; echo whole ;;
			"") ok snapmgr pool create p0 /dev/ubda /dev/ubdb /dev/ubdc; echo none ;;
			*) atf_fail "$(cat list)" ;;
			esac
			use_it p0
			ok snapmgr pool check p0
			ok snapmgr pool destroy p0 --yes'
		cat out >>outcomes
	done
	echo "outcomes: $(sort outcomes | uniq -c | tr '\n' ' ')"
}

atf_test_case an_extend_cut_short_is_done_or_never_was
an_extend_cut_short_is_done_or_never_was_body()
{
	disks
	works 'ok snapmgr pool create p0 /dev/ubda
		use_it p0'
	for delay in 0.05 0.09; do
		dies "ok snapmgr pool activate p0
			snapmgr pool extend p0 /dev/ubdb /dev/ubdc >/dev/null 2>&1 &
			sleep $delay"
		works 'ok snapmgr pool activate p0
			used_it p0
			ok snapmgr pool check p0
			n=$(snapmgr pool show p0 --json | json ".members | length")
			echo $n
			if [ $n = 1 ]; then
				ok snapmgr pool extend p0 /dev/ubdb
				snapmgr pool show p0 --json | expect 2 ".members | length"
			else
				[ $n = 3 ] || atf_fail "$n members"
				snapmgr pool show p0 --json | expect true ".size > 700 * 1024 * 1024"
			fi
			ok snapmgr pool destroy p0 --yes
			ok snapmgr pool create p0 /dev/ubda
			use_it p0'
	done
}

atf_init_test_cases()
{
	atf_add_test_case a_pool_is_found_on_its_disks_alone_in_any_order
	atf_add_test_case a_create_cut_short_leaves_a_pool_or_free_disks
	atf_add_test_case an_extend_cut_short_is_done_or_never_was
}
