/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Progress of long work: a bar on a terminal, lines with --progress, JSON lines with --json
 * --progress. Ctrl-C asks the work to stop; a second one ends the program.
 */
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "snapmgr/cli/cli.h"
#include "snapmgr/cli/text.h"

#define BAR	   30u
#define EVERY_NS   200000000u  /* between redraws of the bar */
#define LINE_EVERY 2000000000u /* between lines */

static volatile sig_atomic_t interrupted;
static uint64_t shown_ns;
static bool bar_drawn;

static void on_interrupt(int signum)
{
	(void)signum;
	interrupted = 1;
}

static void catch_interrupt(void)
{
	struct sigaction sa = { .sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND };
	static bool caught;

	if (!caught)
		(void)sigaction(SIGINT, &sa, NULL);
	caught = true;
}

static void draw_bar(const char *what, uint64_t done, uint64_t todo)
{
	char bar[BAR + 1], percent[TEXT_SIZE];
	unsigned full = todo ? (unsigned)((double)done / (double)todo * BAR) : 0;

	memset(bar, '.', BAR);
	memset(bar, '#', full < BAR ? full : BAR);
	bar[BAR] = '\0';
	(void)fprintf(stderr, "\r%s [%s] %4s\033[K", what, bar, text_percent(done, todo, percent));
	(void)fflush(stderr);
	bar_drawn = true;
}

static void json_line(const char *what, uint64_t done, uint64_t todo)
{
	struct json j = { .to = stdout };

	json_object(&j);
	json_key(&j, "progress");
	json_text(&j, what);
	json_key(&j, "done");
	json_uint(&j, done);
	json_key(&j, "todo");
	json_uint(&j, todo);
	json_end(&j);
	(void)fflush(stdout);
}

static void text_line(const char *what, uint64_t done, uint64_t todo)
{
	char percent[TEXT_SIZE];

	(void)fprintf(stderr, "%s: %s (%" PRIu64 " of %" PRIu64 ")\n", what,
		      text_percent(done, todo, percent), done, todo);
}

int progress_report(const char *what, uint64_t done, uint64_t todo, void *data)
{
	const struct cmd *cmd = data;
	bool bar = !cmd->flags.json && !cmd->flags.quiet && isatty(STDERR_FILENO);
	uint64_t now_ns = sm_monotonic_ns();

	catch_interrupt();
	if (interrupted)
		return 1;
	if (done < todo && shown_ns && now_ns - shown_ns < (bar ? EVERY_NS : LINE_EVERY))
		return 0;
	shown_ns = now_ns;
	if (bar)
		draw_bar(what, done, todo);
	else if (cmd->flags.progress && cmd->flags.json && !cmd->json.depth)
		json_line(what, done, todo); /* a document that is open stays whole */
	else if (cmd->flags.progress && !cmd->flags.json)
		text_line(what, done, todo);
	return 0;
}

void progress_end(void)
{
	if (!bar_drawn)
		return;
	(void)fputs("\r\033[K", stderr);
	(void)fflush(stderr);
	bar_drawn = false;
}
