# SPDX-License-Identifier: GPL-2.0-or-later
#
# For the atf-sh tests:  . "$(atf_get_srcdir)/../../lib.sh"  (from tests/host: ../lib.sh).
# Starting a program costs 20 to 40 ms in a guest: be frugal.

# disk N - the N-th disk of the guest, counted from 1
disk()
{
	local n="$1"

	# shellcheck disable=SC2086 # a list
	set -- $SANDBOX_DISKS
	[ $# -ge "$n" ] || atf_fail "this guest has $# disks, not $n"
	shift $((n - 1))
	echo "$1"
}

# unmount_all - everything that has a device; fails while something is left
unmount_all()
{
	local name point rest

	set --
	while read -r name point rest; do
		case $name in /dev/*) set -- "$point" "$@" ;; esac
	done </proc/mounts
	for point; do # the last mounted first
		umount "$(printf '%b' "$point")" || set -- failed
	done
	[ "${1-}" != failed ]
}

# wipe_ends MIB - zero both ends of each disk, in one process; where they are already, udevd sees nothing
wipe_ends()
{
	# shellcheck disable=SC2016,SC2086 # perl's variables; a list
	perl -e 'my $n = shift() << 20; my $zero = "\0" x $n;
		for my $disk (@ARGV) {
			for my $at ([0, 0], [-$n, 2]) {
				my $f;
				open($f, "<", $disk) && sysseek($f, $at->[0], $at->[1]) or die "$disk: $!\n";
				sysread($f, my $old, $n) == $n or die "$disk: $!\n";
				next if $old eq $zero;
				open($f, "+<", $disk) && sysseek($f, $at->[0], $at->[1]) or die "$disk: $!\n";
				syswrite($f, $zero) == $n or die "$disk: $!\n";
			}
		}' "$1" $SANDBOX_DISKS
}

# fresh - the guest as it was at its start: nothing mounted or mapped, no signature on a disk
fresh()
{
	local name rest

	[ -n "${SANDBOX_DISKS-}" ] || atf_fail "outside of a guest"
	while read -r name rest; do
		case $name in /*) swapoff "$name" || return 1 ;; esac
	done </proc/swaps
	# What is left after the first round lies under a loop device.
	unmount_all 2>/dev/null || { losetup -D && unmount_all; } || return 1
	for name in /sys/block/loop*/loop; do
		[ ! -e "$name" ] || losetup -D
	done
	for name in /sys/block/md*; do
		[ ! -e "$name" ] || mdadm --quiet --stop "/dev/${name##*/}"
	done
	for name in '' --force; do
		set -- /sys/block/dm-*
		[ ! -e "$1" ] || dmsetup remove_all $name
	done
	set -- /sys/block/dm-*
	[ ! -e "$1" ] || return 1
	rm -rf /run/snapmgr /dev/snapmgr
	wipe_ends 2 || return 1
	settle
}

# settle - wait until udevd, where one runs, has seen everything
settle()
{
	[ -n "${DM_DISABLE_UDEV-}" ] || udevadm settle
}

# sum_device DEVICE - checksum of what the device itself holds, past every cache
sum_device()
{
	dd if="$1" bs=4M iflag=direct status=none | sha256sum | cut -c1-64
}

# json FILTER - one value out of the JSON on stdin; fails where it is null or missing
json()
{
	jq -er "$1"
}

# refuses CODE EXIT [--] ARG... - "snapmgr ARG... --json" must end so; leaves the answer in $refusal
refuses()
{
	local code="$1" exit="$2" status=0

	shift 2
	[ "$1" != -- ] || shift
	[ "$1" != snapmgr ] || shift
	refusal=$(snapmgr "$@" --json) || status=$?
	[ "$status" = "$exit" ] ||
		atf_fail "snapmgr $*: exit status $status, not $exit: $refusal"
	case $refusal in
	*'"code":"'"$code"'"'* | *'"code": "'"$code"'"'*) ;;
	*) atf_fail "snapmgr $*: code is not $code: $refusal" ;;
	esac
}
