// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Preloaded into the User-Mode Linux kernel by scripts/sandbox.
 *
 * A kernel takes a process's extended registers only as a whole, and UML up to 6.1 has room for
 * 2696 bytes of them: on a processor with more (AMX: 11008) each PTRACE_SETREGSET fails with
 * EFAULT and the guest dies. The part that UML knows is put at the head of a buffer of the full
 * size; what lies behind is declared to be in its initial state, which it is, since a guest
 * cannot ask for the permission to use it.
 */
#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define XSTATE_MAX    65536
#define XSTATE_HEADER 512 /* offset of the bit mask of the components that follow */

static unsigned char whole[XSTATE_MAX];

static size_t whole_bytes(void)
{
	static size_t bytes;
	unsigned int a, b, c, d;

	if (!bytes && __get_cpuid_count(0xd, 0, &a, &b, &c, &d) && b <= XSTATE_MAX)
		bytes = b;
	return bytes;
}

/* The components that end within @len bytes; those below 2 are in the first 512. */
static uint64_t components_within(size_t len)
{
	static uint64_t mask;
	unsigned int i, size, offset, c, d;

	if (mask)
		return mask;
	mask = 3;
	for (i = 2; i < 63; i++)
		if (__get_cpuid_count(0xd, i, &size, &offset, &c, &d) && size &&
		    offset + size <= len)
			mask |= UINT64_C(1) << i;
	return mask;
}

static long set_xstate(long pid, const struct iovec *part)
{
	struct iovec iov = { whole, whole_bytes() };
	uint64_t present;

	memcpy(whole, part->iov_base, part->iov_len);
	memcpy(&present, whole + XSTATE_HEADER, sizeof(present));
	present &= components_within(part->iov_len);
	memcpy(whole + XSTATE_HEADER, &present, sizeof(present));
	return syscall(SYS_ptrace, (long)PTRACE_SETREGSET, pid, (long)NT_X86_XSTATE, &iov);
}

__attribute__((visibility("default"))) long ptrace(enum __ptrace_request request, ...)
{
	const struct iovec *iov;
	long pid, addr, data, peeked, r;
	va_list ap;

	va_start(ap, request);
	pid = va_arg(ap, int);
	addr = va_arg(ap, long);
	data = va_arg(ap, long);
	va_end(ap);

	iov = (const struct iovec *)data;
	if (request == PTRACE_SETREGSET && addr == NT_X86_XSTATE && iov->iov_len < whole_bytes() &&
	    iov->iov_len > XSTATE_HEADER + sizeof(uint64_t))
		return set_xstate(pid, iov);
	if (request < PTRACE_PEEKTEXT || request > PTRACE_PEEKUSER)
		return syscall(SYS_ptrace, (long)request, pid, addr, data);
	r = syscall(SYS_ptrace, (long)request, pid, addr, &peeked);
	if (r < 0)
		return r;
	errno = 0;
	return peeked;
}
