#! /usr/bin/env atf-sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Guests whose plug is pulled while they work. See tests/plug.sh.
plug_work=$(atf_get_srcdir)/plug_work
. "$(atf_get_srcdir)/../plug.sh"

atf_test_case nothing_is_lost_that_was_acknowledged_when_the_plug_is_pulled
nothing_is_lost_that_was_acknowledged_when_the_plug_is_pulled_body()
{
	plug_pulls 10 7 || atf_fail "$plug_said"
	echo "10 pulls, $plug_states states looked at, $plug_acks changes acknowledged"
	[ "$plug_states" -ge 5 ] || atf_fail "only $plug_states of 10 pulls came in the middle of work"
	[ "$plug_acks" -ge 20 ] || atf_fail "only $plug_acks changes were made"
}

# A history that did not come true, which must be noticed: the same test, told of changes that nobody made.
atf_test_case what_is_lost_is_noticed
what_is_lost_is_noticed_body()
{
	plug_make 160M 96M || atf_fail "$plug_said"
	echo "1 30" >notes/last
	plug_once 2 1000 && atf_fail "nobody missed 30 changes"
	case $plug_said in
	*'lost after change 30'*) ;;
	*) atf_fail "$plug_said" ;;
	esac
}

atf_init_test_cases()
{
	atf_add_test_case nothing_is_lost_that_was_acknowledged_when_the_plug_is_pulled
	atf_add_test_case what_is_lost_is_noticed
}
