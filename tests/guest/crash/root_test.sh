#! /usr/bin/env atf-sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A machine whose root filesystem lies on a volume: the program that snapshots it, its guard and the
# recovery that this one starts are all read from what is suspended.

. "$(atf_get_srcdir)/../../lib.sh"
. "$(atf_get_srcdir)/../../pool.sh"

built=$(atf_get_srcdir)/../../../failpoints/bin/snapmgr

# begin - p0/root, mounted below "root", with all that the program needs; nothing of it in memory
begin()
{
	local dir lib

	fresh
	ok snapmgr pool create p0 "$(disk 1)"
	ok snapmgr create p0/root --size 256M
	mkfs.ext4 -q /dev/snapmgr/p0/root
	mkdir root
	mount /dev/snapmgr/p0/root root
	mkdir root/bin root/tmp
	cp "$built" root/bin/snapmgr
	for lib in $(ldd "$built" | grep -o '/[^ ]*'); do
		mkdir -p "root$(dirname "$lib")"
		cp -L "$lib" "root$lib"
	done
	for dir in dev proc sys run; do
		mkdir root/$dir
		mount --rbind /$dir root/$dir
	done
	chroot root /bin/snapmgr list >/dev/null || atf_fail "the program does not run there"
	forget
}

forget()
{
	sync
	echo 3 >/proc/sys/vm/drop_caches
}

# write_soon TEXT - into a file there, for which it does not wait for ever
write_soon()
{
	local i

	(echo "$1" >root/tmp/new && sync root/tmp/new && echo "$1" >written) &
	for i in $(seq 150); do
		[ "$(cat written 2>/dev/null)" != "$1" ] || return 0
		sleep 0.1
	done
	return 1
}

# state - "Active" or "Suspended"
state()
{
	dmsetup info -c --noheadings -o suspended snapmgr-p0-root
}

atf_test_case who_dies_while_its_root_is_suspended_leaves_it_running
who_dies_while_its_root_is_suspended_leaves_it_running_body()
{
	local n=0 point

	begin
	SM_FAIL_LOG=/run/log chroot root /bin/snapmgr snapshot p0/root@all || atf_fail "no snapshot"
	# All from the freeze to the thaw, each with its number.
	awk '{ print $1 ":" ++seen[$1] }' /run/log >points
	grep -E '^(freeze|thaw|dm|guard|thawer)' points >inside || atf_fail "points: $(cat points)"
	while read -r point; do
		forget
		SM_FAIL=$point chroot root /bin/snapmgr snapshot "p0/root@s$n" 2>/dev/null </dev/null &&
			continue # the guard's, or not reached
		n=$((n + 1))
		write_soon $n || atf_fail "$point: a write hangs"
		[ "$(state)" = Active ] || atf_fail "$point: it is $(state)"
	done <inside
	echo "killed $n times"
	[ $n -ge 6 ] || atf_fail "killed $n times only: $(cat inside)"
	chroot root /bin/snapmgr recover || atf_fail "no recovery"
	chroot root /bin/snapmgr snapshot p0/root@last || atf_fail "no snapshot afterwards"
	[ "$(cat root/tmp/new)" = $n ] || atf_fail "a write is lost"
	umount -R root
	ok snapmgr pool check p0
}

atf_init_test_cases()
{
	atf_add_test_case who_dies_while_its_root_is_suspended_leaves_it_running
}
