#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Guests whose plug is pulled while they work, ten times a round. See tests/plug.sh.
# shellcheck disable=SC2034,SC2154 # variables that it shares with us
set -u
built=$(dirname "$(realpath "$0")")/../..
plug_work=$built/host/plug_work
# shellcheck source=tests/plug.sh
. "$built/plug.sh"
seed=$1 end=$(($(now_ms) + $2 * 1000)) lost=0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
while :; do
	if plug_pulls 10 "$seed"; then
		echo "round $seed: ok 10 pulls, $plug_states states looked at, $plug_acks changes acknowledged"
	else
		echo "round $seed: lost $plug_said"
		lost=1
	fi
	seed=$((seed + 1))
	[ "$(now_ms)" -lt "$end" ] || break
done
exit $lost
