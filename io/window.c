/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Twice as many requests are tried now and then, or half as many: kept where they are clearly faster,
 * or hardly slower.
 */
#include "io/window.h"

#define FASTER 1.25 /* devices that want more gain nearly twice; less may be noise */
#define HARDLY 0.97

static uint32_t least(const struct sio_window *w)
{
	return w->most < SIO_WINDOW_LEAST ? w->most : SIO_WINDOW_LEAST;
}

void sio_window_start(struct sio_window *w, uint32_t most, uint64_t now_ns)
{
	*w = (struct sio_window){ .most = most, .from_ns = now_ns, .rest = 1 };
	w->now = least(w);
}

bool sio_window_due(const struct sio_window *w, uint64_t done_bytes)
{
	return w->most > SIO_WINDOW_LEAST && done_bytes - w->from_bytes >= SIO_WINDOW_BYTES;
}

static void try_another(struct sio_window *w, double rate)
{
	uint32_t other = w->down ? w->now / 2 : w->now * 2;

	if (other > w->most)
		other = w->most;
	if (other < least(w))
		other = least(w);
	if (other == w->now) {
		w->down = !w->down;
		w->rest = SIO_WINDOW_REST;
		return;
	}
	w->before = w->now;
	w->rate = rate;
	w->now = other;
}

/* What was good is tried further; what was not ends the trials for a while. */
static void end_trial(struct sio_window *w, double rate)
{
	if (rate < w->rate * (w->now > w->before ? FASTER : HARDLY)) {
		w->now = w->before;
		w->down = !w->down;
		w->rest = SIO_WINDOW_REST;
	}
	w->before = 0;
}

void sio_window_judge(struct sio_window *w, uint64_t done_bytes, uint64_t now_ns)
{
	double rate;

	if (now_ns - w->from_ns < SIO_WINDOW_NS)
		return;
	rate = (double)(done_bytes - w->from_bytes) / (double)(now_ns - w->from_ns);
	w->from_bytes = done_bytes;
	w->from_ns = now_ns;
	if (w->rest)
		w->rest--;
	else if (w->before)
		end_trial(w, rate);
	else
		try_another(w, rate);
}
