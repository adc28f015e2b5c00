/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A thread that holds devices suspended: its memory, its signals, its timer. */
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "dm/critical.h"

#define STACK_BYTES  (64 * 1024)
#define REPEAT_MS    50
#define TIMER_SIGNAL (SIGRTMIN + 11)

/* glibc has the field, but not always this name for it. */
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static struct {
	pthread_mutex_t lock;
	unsigned int users;
	struct sigaction before;
} handler = { .lock = PTHREAD_MUTEX_INITIALIZER };

static bool holds(const struct dl_phdr_info *object, uintptr_t address)
{
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &object->dlpi_phdr[i];

		if (p->p_type == PT_LOAD && address - (object->dlpi_addr + p->p_vaddr) < p->p_memsz)
			return true;
	}
	return false;
}

static bool wanted(const struct dl_phdr_info *object)
{
	static const char *const names[] = { "/libdevmapper.so", "/libsqlite3.so", "/libc.so",
					     "/libpthread.so",	 "/libudev.so",	   "/ld-linux" };

	for (size_t i = 0; i < SM_ARRAY(names); i++)
		if (strstr(object->dlpi_name, names[i]))
			return true;
	return holds(object, (uintptr_t)sdm_pin);
}

static int pin_object(struct dl_phdr_info *object, size_t size, void *data)
{
	(void)size;
	(void)data;
	if (!wanted(object))
		return 0;
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &object->dlpi_phdr[i];

		if (p->p_type == PT_LOAD)
			(void)mlock((const void *)(object->dlpi_addr + p->p_vaddr), p->p_memsz);
	}
	return 0;
}

__attribute__((noinline)) static void touch_stack(void)
{
	volatile char room[STACK_BYTES];

	for (size_t i = 0; i < sizeof(room); i += 1024)
		room[i] = 0;
}

void sdm_pin(void)
{
	static atomic_flag done = ATOMIC_FLAG_INIT;

	if (!atomic_flag_test_and_set(&done))
		(void)dl_iterate_phdr(pin_object, NULL);
	touch_stack();
}

static void nothing(int signal)
{
	(void)signal;
}

static void use_handler(void)
{
	/* No SA_RESTART: to interrupt is the point. */
	const struct sigaction ours = { .sa_handler = nothing };

	(void)pthread_mutex_lock(&handler.lock);
	if (handler.users++ == 0)
		(void)sigaction(TIMER_SIGNAL, &ours, &handler.before);
	(void)pthread_mutex_unlock(&handler.lock);
}

static void unuse_handler(void)
{
	(void)pthread_mutex_lock(&handler.lock);
	if (--handler.users == 0)
		(void)sigaction(TIMER_SIGNAL, &handler.before, NULL);
	(void)pthread_mutex_unlock(&handler.lock);
}

static void block_signals(struct sdm_critical *c)
{
	sigset_t all;

	(void)sigfillset(&all);
	(void)sigdelset(&all, TIMER_SIGNAL);
	(void)pthread_sigmask(SIG_SETMASK, &all, &c->before);
}

void sdm_critical_enter(struct sdm_critical *c)
{
	*c = (struct sdm_critical){ .entered = true };
	block_signals(c);
}

/* Repeated, because the first may come just before the call that it is to interrupt. */
int sdm_critical_alarm(struct sdm_critical *c, uint32_t ms, struct snapmgr_err *err)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = TIMER_SIGNAL };
	const struct itimerspec when = {
		.it_value = { ms / 1000, (long)(ms % 1000) * 1000000 },
		.it_interval = { 0, REPEAT_MS * 1000000L },
	};

	c->flusher = prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) == 0;
	event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &event, &c->timer) < 0)
		return sm_fail(err, SNAPMGR_KERNEL, errno, "cannot make a timer");
	use_handler();
	c->timed = true;
	(void)timer_settime(c->timer, 0, &when, NULL);
	return 0;
}

/* A signal that is still on its way arrives, at the latest, when timer_delete() returns. */
void sdm_critical_alarm_off(struct sdm_critical *c)
{
	if (!c->timed)
		return;
	(void)timer_delete(c->timer);
	unuse_handler();
	c->timed = false;
}

void sdm_critical_leave(struct sdm_critical *c)
{
	if (!c->entered)
		return;
	sdm_critical_alarm_off(c);
	if (c->flusher)
		(void)prctl(PR_SET_IO_FLUSHER, 0, 0, 0, 0);
	(void)pthread_sigmask(SIG_SETMASK, &c->before, NULL);
	*c = (struct sdm_critical){ 0 };
}
