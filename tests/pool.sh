# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh disable=SC2154 # refusal: see lib.sh
#
# For the atf-sh tests of pools, after lib.sh.

# ok COMMAND... - must succeed, and say nothing on stderr
ok()
{
	"$@" >ok.out 2>ok.err || atf_fail "$*: $(cat ok.err ok.out)"
	[ ! -s ok.err ] || atf_fail "$*: said $(cat ok.err)"
}

# warns TEXT COMMAND... - must succeed, and have TEXT on stderr
warns()
{
	local text="$1"

	shift
	"$@" >ok.out 2>ok.err || atf_fail "$*: $(cat ok.err ok.out)"
	grep -q -e "$text" ok.err || atf_fail "$*: not '$text' but: $(cat ok.err)"
}

# expect VALUE FILTER - what jq finds on stdin
expect()
{
	local found

	found=$(jq -r "$2") || atf_fail "$2: no JSON"
	[ "$found" = "$1" ] || atf_fail "$2 is '$found', not '$1'"
}

# says TEXT... - each is in the message of the last refusal
says()
{
	for text; do
		case $refusal in
		*"$text"*) ;;
		*) atf_fail "no \"$text\" in: $refusal" ;;
		esac
	done
}

# loop NAME SIZE [OPTION]... - a loop device on a new file
loop()
{
	local name="$1" size="$2"

	shift 2
	rm -f "$name.img"
	truncate -s "$size" "$name.img" && losetup --show "$@" -f "$name.img"
}

# use_it POOL - a volume "v" with a known content; used_it POOL - has it that still?
use_it()
{
	ok snapmgr create "$1/v" --size 16M
	seq 1 1000000 | head -c 4194304 | dd of="/dev/snapmgr/$1/v" bs=1M oflag=direct iflag=fullblock \
		conv=fsync status=none || atf_fail "cannot write to $1/v"
}
used_it()
{
	seq 1 1000000 | head -c 4194304 | cmp -n 4194304 - "/dev/snapmgr/$1/v" || atf_fail "$1/v has changed"
}
