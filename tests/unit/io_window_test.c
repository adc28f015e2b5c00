/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How many requests are in flight, on devices that are made of arithmetic. */
#include <atf-c.h>

#include "io/window.h"

#define DEPTH 64
#define SPANS 400

/* MiB/s with so many requests in flight. */
typedef double rate_fn(uint32_t requests);

static double never_full(uint32_t requests)
{
	return 100.0 * requests;
}

/* Four are enough for it, and more only push each other out of the cache. */
static double full_with_four(uint32_t requests)
{
	return requests <= 4 ? 250.0 * requests : 1000.0 - requests;
}

static double full_with_thirty(uint32_t requests)
{
	return requests <= 30 ? 40.0 * requests : 1200.0;
}

/* What is handed over as long as it runs, in spans of the window's own choice. */
static void run(struct sio_window *w, uint64_t *done, uint64_t *ns, rate_fn *rate,
		unsigned int spans)
{
	for (unsigned int i = 0; i < spans * 8; i++) {
		*done += SIO_WINDOW_BYTES / 4;
		*ns += (uint64_t)(SIO_WINDOW_BYTES / 4 / 1048576.0 / rate(w->now) * 1e9);
		if (sio_window_due(w, *done))
			sio_window_judge(w, *done, *ns);
		ATF_REQUIRE(w->now >= 1 && w->now <= DEPTH);
	}
}

/* Where it mostly is, after a time: trials last one span. */
static uint32_t settles_at(rate_fn *rate, rate_fn *before)
{
	unsigned int seen[DEPTH + 1] = { 0 };
	struct sio_window w;
	uint64_t done = 0, ns = 0;
	uint32_t most = 0;

	sio_window_start(&w, DEPTH, 0);
	if (before)
		run(&w, &done, &ns, before, SPANS);
	run(&w, &done, &ns, rate, SPANS);
	for (int i = 0; i < SPANS; i++) {
		run(&w, &done, &ns, rate, 1);
		seen[w.now]++;
	}
	for (uint32_t i = 0; i <= DEPTH; i++)
		most = seen[i] > seen[most] ? i : most;
	return most;
}

ATF_TC_WITHOUT_HEAD(a_device_that_wants_many_requests_gets_them);
ATF_TC_BODY(a_device_that_wants_many_requests_gets_them, tc)
{
	(void)tc;
	ATF_CHECK_EQ(DEPTH, settles_at(never_full, NULL));
	ATF_CHECK_EQ(32, settles_at(full_with_thirty, NULL));
}

ATF_TC_WITHOUT_HEAD(a_device_that_is_busy_with_few_gets_no_more);
ATF_TC_BODY(a_device_that_is_busy_with_few_gets_no_more, tc)
{
	(void)tc;
	ATF_CHECK_EQ(SIO_WINDOW_LEAST, settles_at(full_with_four, NULL));
}

ATF_TC_WITHOUT_HEAD(a_device_that_has_become_another_is_found_out);
ATF_TC_BODY(a_device_that_has_become_another_is_found_out, tc)
{
	(void)tc;
	ATF_CHECK_EQ(SIO_WINDOW_LEAST, settles_at(full_with_four, never_full));
	ATF_CHECK_EQ(DEPTH, settles_at(never_full, full_with_four));
}

ATF_TC_WITHOUT_HEAD(no_more_are_in_flight_than_were_asked_for);
ATF_TC_BODY(no_more_are_in_flight_than_were_asked_for, tc)
{
	struct sio_window w;

	(void)tc;
	for (uint32_t most = 1; most <= 12; most++) {
		uint64_t done = 0, ns = 0;

		sio_window_start(&w, most, 0);
		for (int i = 0; i < SPANS; i++) {
			run(&w, &done, &ns, never_full, 1);
			ATF_REQUIRE(w.now <= most);
		}
		/* Nine are hardly more than eight: no gain that could be told from noise. */
		ATF_CHECK_EQ(most == SIO_WINDOW_LEAST + 1 ? SIO_WINDOW_LEAST : most, w.now);
	}
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_device_that_wants_many_requests_gets_them);
	ATF_TP_ADD_TC(tp, a_device_that_is_busy_with_few_gets_no_more);
	ATF_TP_ADD_TC(tp, a_device_that_has_become_another_is_found_out);
	ATF_TP_ADD_TC(tp, no_more_are_in_flight_than_were_asked_for);
	return atf_no_error();
}
