#! /usr/bin/env atf-sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Quotas from the command line: each verb at the boundary, with nothing changed by a refusal.

. "$(atf_get_srcdir)/../../lib.sh"
. "$(atf_get_srcdir)/../../pool.sh"

# quota OPTION... - set, for project "web"
quota()
{
	ok snapmgr quota p0 --project web -q "$@"
}

# state - all that a change would change, in the catalogue and in the kernel
state()
{
	snapmgr list p0 --undo --json && dmsetup table && dmsetup info -c --noheadings -o name,major,minor,attr &&
		dmsetup message snapmgr-p0-_pool 0 "reserve_metadata_snap" &&
		thin_ls --metadata-snap --no-headers -o DEV,MAPPED,CREATE_TIME /dev/mapper/snapmgr-p0-_meta
	dmsetup message snapmgr-p0-_pool 0 "release_metadata_snap"
}

# over ARG... - refused as over quota, and nothing has changed
over()
{
	state >before || atf_fail "no state: $(cat before)"
	refuses over_quota 5 "$@"
	state >after
	cmp before after || atf_fail "$* changed: $(diff before after)"
}

atf_test_case each_verb_is_refused_beyond_its_limit_and_not_upon_it
each_verb_is_refused_beyond_its_limit_and_not_upon_it_body()
{
	fresh
	ok snapmgr pool create p0 "$(disk 1)" "$(disk 2)"
	ok snapmgr create p0/v --size 16M --project web
	ok snapmgr create p0/n --size 16M

	quota --volumes 2 --volume-size 32M
	over create p0/w --size 16385K --project web
	says "project 'web'" "limit 32M, in use 16M, reserved 0, asked for 16385K more" \
		"'snapmgr quota p0 --project web --volume-size 32769K'"
	ok snapmgr create p0/w --size 16M --project web
	over create p0/x --size 512 --project web
	ok snapmgr delete p0/w --yes

	quota --snapshots 2 --snapshot-size 32M
	ok snapmgr snapshot p0/v@s16
	ok snapmgr create p0/clone --from p0/v@s16
	over clone p0/v@s16 p0/clone2
	over create p0/clone2 --from p0/v@s16
	ok snapmgr clone p0/v@s16 p0/other --project other
	over snapshot p0/v@a p0/clone@a
	says "asked for 2 more"
	ok snapmgr snapshot p0/v@a p0/n@a
	over snapshot p0/v@b
	ok snapmgr delete p0/v@a p0/clone --yes

	over resize p0/v 33M
	ok snapmgr resize p0/v 32M
	quota --snapshots none --snapshot-size 100M
	ok snapmgr snapshot p0/v@s32
	ok snapmgr resize p0/v 8M --shrink
	quota --volume-size 31M
	over revert p0/v@s32
	over revert p0/v@s32 --dry-run
	quota --volume-size 32M
	ok snapmgr revert p0/v@s32
	ok snapmgr undo p0/v # 8M, and 32M as the way back
	quota --volume-size 31M
	over undo p0/v
	quota --volume-size 23M
	over set p0/n project=web label=x
	says "in use 8M, reserved 0, asked for 16M more" "'snapmgr quota p0 --project web --volume-size 24M'"
	quota --volume-size 24M
	ok snapmgr set p0/n project=web label=x
	over undo p0/v
	ok snapmgr set p0/n project=
	quota --volume-size 32M
	ok snapmgr undo p0/v

	# Below what is there: nothing goes, and only what adds is refused.
	quota --volumes 0 --volume-size 0 --snapshots 0 --snapshot-size 0
	over snapshot p0/v@c
	ok snapmgr rename p0/v v2
	ok snapmgr revert p0/v2@s16
	ok snapmgr snapshot p0/n@b
	ok snapmgr pool deactivate p0
	ok snapmgr pool activate p0
	over snapshot p0/v2@c # limits are the pool's, not this boot's
	ok snapmgr delete p0/v2 --recursive --yes
	snapmgr quota p0 --project web --json |
		expect "0 0 0 0" '.quotas[0] | [.volumes, .snapshots, .volume_size, .snapshot_size] | map(.in_use) | join(" ")'
	ok snapmgr pool check p0
}

atf_test_case limits_are_shown_and_set
limits_are_shown_and_set_body()
{
	fresh
	ok snapmgr pool create p0 "$(disk 1)"
	ok snapmgr create p0/v --size 16M --project web --inactive
	ok snapmgr create p0/n --size 8M --inactive
	snapmgr quota p0 --json >all || atf_fail "no quotas"
	jq -c . all | expect '{"pool":"p0","project":null,"volumes":{"limit":null,"in_use":2,"reserved":0},"snapshots":{"limit":null,"in_use":0,"reserved":0},"volume_size":{"limit":null,"in_use":25165824,"reserved":0},"snapshot_size":{"limit":null,"in_use":0,"reserved":0}}' '.quotas[0] | tojson'
	expect '["web"]' '.quotas[1:] | map(.project) | tojson' <all
	snapmgr quota p0 --volumes 3 --project web --json | expect 3 '.quotas[0].volumes.limit'
	snapmgr quota p0 --volume-size=1T --json | expect 'null 1099511627776' '.quotas[0] | "\(.project) \(.volume_size.limit)"'
	snapmgr quota p0 --project web --snapshots 0 --json | expect '3 0' '.quotas[0] | "\(.volumes.limit) \(.snapshots.limit)"'
	atf_check -o match:'^web +volumes +3 +1 +0$' -o match:'^\(whole pool\) +volume-size +1.0T +24.0M +0B$' \
		-o match:'^web +snapshot-size +- +0B +0B$' snapmgr quota p0
	atf_check -o empty snapmgr quota p0 --volumes -1 --volume-size none -q
	snapmgr quota p0 --project web --volumes -1 --snapshots none --json |
		expect 'null null' '.quotas[0] | "\(.volumes.limit) \(.snapshots.limit)"'
	refuses usage 2 quota p0 --volumes many
	says "--volumes" "'none'"
	refuses usage 2 quota p0 --volume-size 10KB
	refuses usage 2 quota p0 --snapshots -2
	refuses usage 2 quota p0 --volumes 9223372036854775808
	refuses usage 2 quota p0 --project '' --volumes 1
	refuses usage 2 quota p0/v
	refuses usage 2 quota
	refuses not_found 3 quota p1 --volumes 1
	snapmgr quota p0 --json | expect '0' '[.quotas[][] | objects | .limit | numbers] | length'
}

atf_init_test_cases()
{
	atf_add_test_case each_verb_is_refused_beyond_its_limit_and_not_upon_it
	atf_add_test_case limits_are_shown_and_set
}
