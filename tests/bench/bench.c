/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Start and end, figures and targets. */
#include "tests/bench/bench.h"

#include <string.h>

struct bench bench;

void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)fprintf(stderr, "bench: ");
	(void)vfprintf(stderr, fmt, ap);
	(void)fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

void must(int r, const struct snapmgr_err *err)
{
	if (r < 0)
		die("%s", err->message);
}

void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)fprintf(stderr, "  ");
	(void)vfprintf(stderr, fmt, ap);
	(void)fputc('\n', stderr);
	va_end(ap);
}

double now_ms(void)
{
	return (double)sm_monotonic_ns() / 1e6;
}

/* ---- start ---- */

static void add_device(const char *name)
{
	if (bench.n_devices == SM_ARRAY(bench.devices) ||
	    sm_copy_text(bench.devices[bench.n_devices], sizeof(bench.devices[0]), name) < 0)
		die("too many devices, or too long a name: '%s'", name);
	bench.n_devices++;
}

/* Two RAM disks; BENCH_RAM_MIB each. */
static void add_ram(void)
{
	const char *mib = getenv("BENCH_RAM_MIB");
	char size[32];

	(void)snprintf(size, sizeof(size), "rd_size=%lu",
		       strtoul(mib ? mib : "512", NULL, 10) << 10);
	(void)command_ms(ARGV("modprobe", "brd", "rd_nr=2", size));
	settle();
	add_device("/dev/ram0");
	add_device("/dev/ram1");
}

static void find_devices(int argc, char **argv)
{
	char *save = NULL, *disks = getenv("SANDBOX_DISKS");

	for (int i = 1; i < argc; i++)
		add_device(argv[i]);
	if (argc > 1)
		return;
	if (strcmp(bench.backing, "ram") == 0) {
		add_ram();
		return;
	}
	if (!disks)
		die("neither devices named nor in the sandbox");
	disks = strdup(disks);
	for (char *d = disks ? strtok_r(disks, " ", &save) : NULL; d;
	     d = strtok_r(NULL, " ", &save))
		add_device(d);
	free(disks);
}

void bench_start(int row, bool udev, int argc, char **argv)
{
	const char *backing = getenv("BENCH_BACKING"), *reps = getenv("BENCH_REPS"),
		   *quick = getenv("BENCH_QUICK");
	struct snapmgr_err err;

	bench = (struct bench){ .row = row, .backing = backing ? backing : "disk" };
	bench.quick = quick && *quick;
	bench.start_ms = now_ms();
	bench.reps = reps ? (int)strtoul(reps, NULL, 10) : bench.quick ? 5 : 15;
	if (bench.reps < 1 || bench.reps > BENCH_SAMPLES)
		die("BENCH_REPS is %d", bench.reps);
	if (!udev)
		(void)setenv("DM_DISABLE_UDEV", "1", 1);
	find_devices(argc, argv);
	must(snapmgr_open(&(struct snapmgr_open_opts){ .size = sizeof(struct snapmgr_open_opts),
						       .wait_ms = 30000,
						       .backup_dir = "" },
			  &bench.sm, &err),
	     &err);
}

bool time_for(double round_ms)
{
	const char *limit = getenv("BENCH_LIMIT");
	const double rest_ms = 20e3; /* to take down, and to write the results */

	return !limit || now_ms() - bench.start_ms + 1.2 * round_ms + rest_ms < 1e3 * atof(limit);
}

/* ---- results ---- */

static FILE *results(void)
{
	const char *path = getenv("BENCH_OUT");
	FILE *f = fopen(path ? path : "/dev/stdout", "ae");

	if (!f)
		die("cannot write to '%s'", path);
	return f;
}

/* A text of ours or a message: quoted for JSON. */
static void put_text(FILE *f, const char *key, const char *text)
{
	(void)fprintf(f, ",\"%s\":\"", key);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			(void)fputc('\\', f);
		if ((unsigned char)*text >= ' ')
			(void)fputc(*text, f);
	}
	(void)fputc('"', f);
}

static FILE *begin_line(int row)
{
	FILE *f = results();

	(void)fprintf(f, "{\"row\":%d", row);
	put_text(f, "backing", bench.backing);
	return f;
}

static void end_line(FILE *f)
{
	(void)fputs("}\n", f);
	if (fclose(f) != 0)
		die("cannot write the results");
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void sorted(const struct series *s, double v[BENCH_SAMPLES])
{
	if (s->n == 0)
		die("'%s' has no figures", s->name);
	memcpy(v, s->v, s->n * sizeof(*v));
	qsort(v, s->n, sizeof(*v), by_value);
}

double series_median(const struct series *s)
{
	double v[BENCH_SAMPLES];

	sorted(s, v);
	return s->n % 2 ? v[s->n / 2] : (v[s->n / 2 - 1] + v[s->n / 2]) / 2;
}

double series_max(const struct series *s)
{
	double v[BENCH_SAMPLES];

	sorted(s, v);
	return v[s->n - 1];
}

static void put_series(const struct series *s)
{
	FILE *f = begin_line(s->row);
	double v[BENCH_SAMPLES];

	sorted(s, v);
	put_text(f, "series", s->name);
	put_text(f, "unit", s->unit);
	if (s->x != BENCH_NO_X)
		(void)fprintf(f, ",\"x\":%.12g", s->x);
	(void)fprintf(f, ",\"n\":%zu,\"median\":%.6g,\"min\":%.6g,\"max\":%.6g,\"values\":[", s->n,
		      series_median(s), v[0], v[s->n - 1]);
	for (size_t i = 0; i < s->n; i++)
		(void)fprintf(f, "%s%.6g", i ? "," : "", s->v[i]);
	(void)fputc(']', f);
	end_line(f);
	say("%-52s %10.3f %-5s (%.3f to %.3f, %zu)", s->name, series_median(s), s->unit, v[0],
	    v[s->n - 1], s->n);
}

void bench_flush(void)
{
	for (size_t i = 0; i < bench.n_series; i++) {
		put_series(bench.series[i]);
		free(bench.series[i]);
	}
	bench.n_series = 0;
}

void bench_end(void)
{
	bench_flush();
	if (strcmp(bench.backing, "device") == 0) {
		if (bench.has_lvm)
			lvm_end();
		if (bench.has_pool)
			pool_destroy();
	}
	snapmgr_free(bench.sm);
}

struct series *series_at(const char *unit, double x, const char *fmt, ...)
{
	struct series *s;
	char name[sizeof(s->name)];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	for (size_t i = 0; i < bench.n_series; i++) {
		s = bench.series[i];
		if (s->x == x && s->row == bench.row && strcmp(s->name, name) == 0)
			return s;
	}
	s = calloc(1, sizeof(*s));
	if (!s || bench.n_series == BENCH_SERIES)
		die("no room for '%s'", name);
	s->x = x;
	s->row = bench.row;
	(void)sm_copy_text(s->name, sizeof(s->name), name);
	(void)sm_copy_text(s->unit, sizeof(s->unit), unit);
	return bench.series[bench.n_series++] = s;
}

void series_add(struct series *s, double value)
{
	if (s->n == BENCH_SAMPLES)
		die("too many figures in '%s'", s->name);
	s->v[s->n++] = value;
}

static void put_target(const char *what, double value, const char *sense, double limit, bool met)
{
	FILE *f = begin_line(bench.row);

	put_text(f, "target", what);
	put_text(f, "sense", sense);
	(void)fprintf(f, ",\"value\":%.6g,\"limit\":%.6g,\"met\":%s", value, limit,
		      met ? "true" : "false");
	end_line(f);
	say("%-52s %10.3f %s %g: %s", what, value, sense, limit, met ? "met" : "MISSED");
}

void at_most(const char *what, double value, double limit)
{
	put_target(what, value, "at most", limit, value <= limit);
}

void at_least(const char *what, double value, double limit)
{
	put_target(what, value, "at least", limit, value >= limit);
}

void not_measured(const char *what, const char *fmt, ...)
{
	FILE *f = begin_line(bench.row);
	char why[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	put_text(f, "target", what);
	put_text(f, "not_measured", why);
	(void)fputs(",\"met\":false", f);
	end_line(f);
	say("%s: not measured: %s", what, why);
}

void note(const char *fmt, ...)
{
	FILE *f = begin_line(bench.row);
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	put_text(f, "note", text);
	end_line(f);
	say("%s", text);
}
