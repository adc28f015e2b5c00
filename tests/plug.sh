# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# Guests whose plug is pulled at random moments, and who find everything again that the host knows of.
# Wants: plug_work, the program's path; sandbox in PATH; a folder of its own as current directory.

# plug_random BELOW - the next number of a series that $plug_seed begins
plug_random()
{
	plug_seed=$(((plug_seed * 1103515245 + 12345) % 2147483648))
	plug_answer=$((plug_seed / 65536 % $1))
}

# plug_make SIZE... - disks of these sizes, and a pool on them
plug_make()
{
	local i=0 size

	rm -rf state notes
	mkdir -p state notes
	for size; do
		truncate -s "$size" "state/disk$i"
		i=$((i + 1))
	done
	SANDBOX_SCRATCH="$PWD/notes" sandbox --state state --timeout 120 "$plug_work" make >out 2>err </dev/null &&
		grep -q '^made$' out || { plug_said="pool not made: $(cat out err)"; return 1; }
}

# now_ms
now_ms()
{
	local up

	read -r up _ </proc/uptime
	echo "${up%.*}${up#*.}0"
}

# What the guest said since, into the notes. Its lines count once they are here.
plug_note()
{
	local whole acks

	whole=$(sed -n 's/^whole //p' out)
	if [ -n "$whole" ]; then
		echo "$whole" >>notes/history
		rm -f notes/last
		plug_states=$((plug_states + 1))
	fi
	[ -e "notes/go.$1" ] || return 0
	acks=$(sed -n 's/^ack \([0-9]*\)$/\1/p' out | tail -n 1)
	plug_acks=$((plug_acks + ${acks:-0}))
	echo "$1 ${acks:-0}" >notes/last
}

# plug_once SEED MS - boot, look at what the last pull left, work, and pull the plug MS after the start of that
plug_once()
{
	local seed="$1" end='' pid status=0

	rm -f out
	: >out
	SANDBOX_SCRATCH="$PWD/notes" sandbox --state state --timeout 200 "$plug_work" go "$PWD/notes" "$seed" \
		>out 2>err </dev/null &
	pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		if [ -z "$end" ] && grep -q '^up$' out; then
			end=$(($(now_ms) + $2))
		fi
		if [ ! -e "notes/go.$seed" ] && { grep -q '^whole ' out || [ ! -e notes/last ]; }; then
			: >"notes/go.$seed"
		fi
		if [ -n "$end" ] && [ "$(now_ms)" -ge "$end" ]; then
			kill -TERM "$pid" # which it answers by SIGKILL for all of the guest
			break
		fi
		sleep 0.02
	done
	wait "$pid" 2>/dev/null || status=$?
	if grep -q '^lost' out || [ "$status" != 143 ]; then
		plug_said="pull $seed: status $status: $(grep '^lost' out || tail -n 5 out err)"
		return 1
	fi
	plug_note "$seed"
}

# plug_pulls N SEED - pull the plug so often. Answers: plug_states looked at, plug_acks in all; plug_said on failure
plug_pulls()
{
	local i=0

	plug_seed=$2 plug_states=0 plug_acks=0
	plug_make 160M 96M || return 1
	while [ $i -lt "$1" ]; do
		i=$((i + 1))
		plug_random 2500
		plug_once "$i" "$plug_answer" || return 1
	done
	# And a last look.
	SANDBOX_SCRATCH="$PWD/notes" sandbox --state state --timeout 200 "$plug_work" go "$PWD/notes" >out 2>err \
		</dev/null || { plug_said="last look: $(tail -n 5 out err)"; return 1; }
	! grep -q '^whole ' out || plug_states=$((plug_states + 1))
}
