#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# steps_reboot SEED SECONDS - each round cuts a guest's power at one step of a verb, and looks at its disks
# in the next one: nothing of the kernel, of a guard or of /run is left. See tests/guest/steps.
set -u
steps=$(dirname "$(realpath "$0")")/../guest/steps
seed=$1 end=$(($(date +%s) + $2)) lost=0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
mkdir notes

# guest HALF - the status of that half, and what it said in "out"
guest()
{
	SANDBOX_SCRATCH=$work/notes sandbox --no-udev --state state --mem 1G --timeout 200 \
		-- "$steps" "$seed" "$1" "$work/notes/pictures" >out 2>&1 </dev/null
}

while :; do
	rm -rf state
	mkdir state
	truncate -s 2G state/disk0 state/disk1 state/disk2
	guest cut
	case $? in
	0) echo "round $seed: ok, its point was not reached" ;;
	125)
		if guest up; then
			echo "round $seed: ok $(grep ', cut at' out)"
		else
			echo "round $seed: lost $(tr '\n' ' ' <out)"
			lost=1
		fi
		;;
	*)
		echo "round $seed: lost $(tr '\n' ' ' <out)"
		lost=1
		;;
	esac
	seed=$((seed + 1))
	[ "$(date +%s)" -lt "$end" ] || break
done
exit $lost
