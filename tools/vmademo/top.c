// SPDX-License-Identifier: GPL-2.0-only
/*
 * The verb top: looks at a buffer again and again, and shows it on the whole terminal.
 */
#include <curses.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "top.h"

/* More would take longer than between two looks */
#define MOST_DRAWN (1ULL << 24)
/* Of one look: whoever is told more sees the newest */
#define MOST_TOLD 20000
/* How soon it is seen that the target is gone, in seconds */
#define SOON 0.5

static const double intervals[] = { 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60 };

static volatile sig_atomic_t got_signal;

/* What is asked of debugfs and tracefs, besides what is shown. */
struct feed {
	uint64_t times_before[NR_TIMES][NR_BUCKETS];
	FILE *pipe;
	struct names names;
	double then;
};

/* ---- times --------------------------------------------------------------- */

/* A buffer gets its directory in debugfs with its first rule. */
static bool have_times(int fd, uint64_t ino,
		       uint64_t counts[NR_TIMES][NR_BUCKETS])
{
	struct vmademo_rule rule = {
		.op = VMADEMO_OP_FLUSH,
		.skip = UINT64_MAX,
		.delay_us = 1,
	};
	struct vmademo_rule_id id = { 0 };
	char *path;

	if (latency_counts(ino, counts))
		return true;
	path = must_print("/proc/self/fd/%d", fd);
	fd = open(path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	free(path);
	if (fd < 0)
		return false;
	if (!ioctl(fd, VMADEMO_IOC_RULE_ADD, &rule)) {
		id.id = rule.id;
		ioctl(fd, VMADEMO_IOC_RULE_DEL, &id);
	}
	close(fd);
	return latency_counts(ino, counts);
}

static void begin_times(struct top *top, struct feed *feed)
{
	if (top->is_dir)
		top->no_times = "of a directory there are none";
	else if (!latency_begin())
		top->no_times = "debugfs cannot be used";
	else if (!have_times(top->fd, top->info.ino, feed->times_before))
		top->no_times = "the buffer has none in debugfs";
	top->show_times = true;
}

static void look_at_times(struct top *top, const struct feed *feed)
{
	if (top->no_times || !latency_counts(top->info.ino, top->times))
		return;
	for (int i = 0; i < NR_TIMES; i++)
		for (int j = 0; j < NR_BUCKETS; j++) {
			uint64_t before = feed->times_before[i][j];

			/* Somebody may have cleared them */
			if (top->times[i][j] >= before)
				top->times[i][j] -= before;
		}
}

/* ---- events -------------------------------------------------------------- */

static void begin_events(struct top *top, struct feed *feed)
{
	static const char *const names[] = {
		"fault",     "map_pages",     "mkwrite",   "read_in",
		"write_out", "flush",	      "rule_hit",  "discard",
		"lose",	     "crash",	      "power_off", "power_on",
		"mmap",	     "revoke_buffer", "restore",
	};
	struct trace_event events[ARRAY_SIZE(names)];
	char *filter = NULL;

	/* In a directory, each file has another number */
	if (!top->is_dir)
		filter = must_print("ino == %llu",
				    (unsigned long long)top->info.ino);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		events[i] = (struct trace_event){
			.name = must_print("vmademo/vmademo_%s", names[i]),
			.filter = filter,
		};
	if (trace_begin(events, ARRAY_SIZE(events)))
		feed->pipe = trace_open("trace_pipe", O_NONBLOCK);
	if (!feed->pipe)
		top->no_events = "tracefs cannot be used";
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		free((char *)events[i].name);
	free(filter);
}

static void add_field(struct happening *to, const char *field)
{
	size_t n = strlen(to->what);

	snprintf(to->what + n, sizeof(to->what) - n, " %s", field);
}

/*
 * The fields, but the inode and addresses, and flags last; of a directory, with the name of the
 * file.
 */
static void tell(struct happening *to, const struct trace_line *line,
		 const char *name)
{
	char *rest = line->fields, *flags = NULL, *field;

	snprintf(to->what, sizeof(to->what), "%-9s",
		 line->name + strlen("vmademo_"));
	if (name)
		add_field(to, name);
	while ((field = strsep(&rest, " "))) {
		if (!strncmp(field, "flags=", 6))
			flags = field;
		else if (strncmp(field, "ino=", 4) &&
			 strncmp(field, "address=", 8))
			add_field(to, field);
	}
	if (flags)
		add_field(to, flags);
	snprintf(to->when, sizeof(to->when), "%s", line->when);
	snprintf(to->who, sizeof(to->who), "%s-%d", line->command, line->thread);
	to->bad = strstr(to->what, "SIGBUS") || strstr(to->what, "HWPOISON") ||
		  strstr(to->what, "err=-") ||
		  !strcmp(line->name, "vmademo_lose") ||
		  !strcmp(line->name, "vmademo_rule_hit");
}

/* What happened since the last look. */
static void look_at_events(struct top *top, struct feed *feed)
{
	bool walked = false;
	char *text = NULL;
	size_t room = 0;
	int told = 0;

	if (!feed->pipe)
		return;
	while (told < MOST_TOLD && getline(&text, &room, feed->pipe) > 0) {
		unsigned long long ino;
		struct trace_line line;
		const char *name = NULL;

		told++;
		if (!trace_parse(text, &line) ||
		    sscanf(line.fields, "ino=%llu", &ino) != 1)
			continue;
		if (top->is_dir) {
			name = names_of(&feed->names, ino);
			if (!name && !walked) {
				names_walk(&feed->names, top->target);
				walked = true;
				name = names_of(&feed->names, ino);
			}
			/* It is another's, or gone already */
			if (!name)
				continue;
		}
		tell(&top->events[top->nr_events++ % KEPT], &line, name);
	}
	if (told == MOST_TOLD)
		trace_clear();
	clearerr(feed->pipe);
	free(text);
}

/* ---- a look -------------------------------------------------------------- */

static void look_at_pages(struct top *top)
{
	struct picture *picture = &top->picture;
	size_t rows;

	top->no_picture = NULL;
	if (top->is_dir) {
		top->no_picture = "a directory has no picture, its files have";
		return;
	}
	choose_range(picture, top->info.size, top->offset, top->length);
	if (!picture->pages)
		top->no_picture = "there is no page to show";
	else if (picture->pages > MOST_DRAWN)
		top->no_picture =
			"too large for a picture: show a part, with --offset and --length";
	if (top->no_picture)
		return;
	top->across = cells_across(picture, view_width());
	/* How many there are room for depends on how many are wanted */
	picture->per_cell = 1;
	picture->cells = picture->pages;
	rows = view_picture_rows(top);
	fit_cells(picture, top->across * (rows ? rows : 1));
	if (!take_picture(picture, NULL, NULL))
		top->no_picture = errno == ENODEV ? "it is revoked"
						  : "it does not tell its pages";
}

static void look(struct top *top, struct feed *feed)
{
	double at = now();

	top->before = top->stats;
	get_info(top->fd, &top->info);
	get_stats(top->fd, &top->stats);
	top->seconds = feed->then > 0 ? at - feed->then : 0;
	feed->then = at;
	look_at_times(top, feed);
	look_at_events(top, feed);
	look_at_pages(top);
}

/* ---- keys, and the end --------------------------------------------------- */

static void on_signal(int sig)
{
	got_signal = sig;
}

/* They come while ppoll() waits, and not before; returns the mask for that. */
static sigset_t catch_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGWINCH };
	struct sigaction action = { .sa_handler = on_signal };
	sigset_t mask, waiting;

	sigemptyset(&mask);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		sigaddset(&mask, signals[i]);
		/* A change of the size is for curses */
		if (signals[i] != SIGWINCH)
			sigaction(signals[i], &action, NULL);
	}
	sigprocmask(SIG_BLOCK, &mask, &waiting);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigdelset(&waiting, signals[i]);
	return waiting;
}

static void change_interval(struct top *top, bool longer)
{
	int n = ARRAY_SIZE(intervals), i;

	if (longer) {
		for (i = 0; i < n - 1 && intervals[i] <= top->interval; i++)
			;
		if (intervals[i] > top->interval)
			top->interval = intervals[i];
	} else {
		for (i = n - 1; i > 0 && intervals[i] >= top->interval; i--)
			;
		if (intervals[i] < top->interval)
			top->interval = intervals[i];
	}
}

/* Returns whether it goes on. */
static bool obey(struct top *top, int key)
{
	switch (key) {
	case 'q':
	case 'Q':
		return false;
	case 'p':
	case ' ':
		top->paused = !top->paused;
		break;
	case '+':
	case '=':
		change_interval(top, true);
		break;
	case '-':
		change_interval(top, false);
		break;
	case 'h':
		top->show_times = !top->show_times;
		if (!top->paused)
			look_at_pages(top);
		break;
	case KEY_RESIZE:
		if (!top->paused)
			look_at_pages(top);
		break;
	}
	return true;
}

static bool is_gone(const char *path, const struct stat *was)
{
	struct stat is;

	return stat(path, &is) || is.st_ino != was->st_ino ||
	       is.st_dev != was->st_dev;
}

/* Until it ends; returns whether that is because the target is gone. */
static bool watch(struct top *top, struct feed *feed, const char *path,
		  const struct stat *named, const sigset_t *waiting)
{
	double next = now();

	for (;;) {
		struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
		struct timespec pause;
		double left;
		int key;

		if (!top->paused && now() >= next) {
			look(top, feed);
			next = now() + top->interval;
		}
		view_draw(top);
		left = next - now();
		left = top->paused || left > SOON ? SOON : left > 0 ? left : 0;
		pause = (struct timespec){ .tv_nsec = left * 1e9 };
		if (ppoll(&input, 1, &pause, waiting) < 0 && errno != EINTR)
			die_errno("the terminal");
		/* It went away */
		if (got_signal || input.revents & (POLLHUP | POLLERR))
			return false;
		while ((key = getch()) != ERR) {
			double interval = top->interval;

			if (!obey(top, key))
				return false;
			if (interval != top->interval)
				next = now() + top->interval;
		}
		if (is_gone(path, named))
			return true;
	}
}

static int verb_top(int argc, char **argv)
{
	static const struct option options[] = {
		{ "interval", required_argument, NULL, 'i' },
		{ "offset", required_argument, NULL, 'o' },
		{ "length", required_argument, NULL, 'l' },
		COMMON_OPTIONS,
		{ 0 }
	};
	struct top top = { .interval = 1, .length = UINT64_MAX };
	struct feed feed = { 0 };
	struct stat named, open;
	sigset_t waiting;
	const char *target;
	char *path;
	int opt;
	bool gone;

	while ((opt = next_option(argc, argv, options)) != -1) {
		if (opt == 'i')
			top.interval = parse_seconds("--interval", optarg);
		else if (opt == 'o')
			top.offset = parse_size("--offset", optarg);
		else
			top.length = parse_size("--length", optarg);
	}
	if (!top.length)
		bad_usage("--length: at least one byte");
	target = one_argument(argc, argv, NULL);
	no_more_arguments(argc, argv);
	top.target = target ? target : NODE;
	top.fd = open_target(top.target, 0);
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		die("this needs a terminal; elsewhere, use vmademo stat --watch 1");
	path = target_path(top.target);
	if (stat(path, &named) || fstat(top.fd, &open))
		die_errno("%s", top.target);
	top.is_dir = S_ISDIR(open.st_mode);
	get_info(top.fd, &top.info);
	top.picture.fd = top.fd;
	begin_times(&top, &feed);
	begin_events(&top, &feed);
	waiting = catch_signals();
	view_begin();
	gone = watch(&top, &feed, path, &named, &waiting);
	view_end();
	free(path);
	if (feed.pipe)
		fclose(feed.pipe);
	names_free(&feed.names);
	free(top.picture.look);
	if (gone)
		complain("%s is gone", top.target);
	return got_signal && got_signal != SIGINT ? 128 + got_signal : 0;
}

const struct verb top_verbs[] = {
	{ "top", "[TARGET]", "show a buffer live, on the whole terminal",
	  "  -i, --interval SECONDS\n"
	  "                        how often it is looked at (1)\n"
	  "  -o, --offset BYTES    the picture is from here on (from the beginning)\n"
	  "  -l, --length BYTES    so much (to the end)\n",
	  false, verb_top },
	{ 0 },
};
