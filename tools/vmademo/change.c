// SPDX-License-Identifier: GPL-2.0-only
/*
 * Verbs that change a buffer: resize, discard, sync, crash, power, revoke, restore.
 */
#include <sys/ioctl.h>

#include "vmademo.h"

/* ---- size and holes ------------------------------------------------------ */

static const struct option no_options[] = { COMMON_OPTIONS, { 0 } };

static int verb_resize(int argc, char **argv)
{
	struct vmademo_resize resize = { 0 };
	const char *target;

	while (next_option(argc, argv, no_options) != -1)
		;
	target = one_argument(argc, argv, "TARGET");
	resize.size = parse_size("SIZE", one_argument(argc, argv, "SIZE"));
	no_more_arguments(argc, argv);
	if (ioctl(open_target(target, TARGET_CHANGE), VMADEMO_IOC_RESIZE,
		  &resize)) {
		if (errno == EINVAL)
			die("%s: it cannot have that size: over the largest, or what stands behind it cannot change",
			    target);
		die_errno("%s", target);
	}
	return 0;
}

static int verb_discard(int argc, char **argv)
{
	static const struct option options[] = {
		{ "offset", required_argument, NULL, 'o' },
		{ "length", required_argument, NULL, 'l' },
		COMMON_OPTIONS,
		{ 0 }
	};
	struct vmademo_discard discard = { 0 };
	struct vmademo_info info;
	bool has_length = false;
	const char *target;
	int opt, fd;

	while ((opt = next_option(argc, argv, options)) != -1) {
		if (opt == 'o') {
			discard.offset = parse_size("--offset", optarg);
		} else {
			discard.length = parse_size("--length", optarg);
			has_length = true;
		}
	}
	target = one_argument(argc, argv, "TARGET");
	no_more_arguments(argc, argv);
	fd = open_target(target, TARGET_CHANGE);
	get_info(fd, &info);
	if (!has_length && discard.offset >= info.size)
		die("%s: nothing is behind byte %llu: it has %llu bytes",
		    target, (unsigned long long)discard.offset,
		    (unsigned long long)info.size);
	if (!has_length)
		discard.length = info.size - discard.offset;
	if (ioctl(fd, VMADEMO_IOC_DISCARD, &discard)) {
		if (errno == EINVAL)
			die("%s: the range must have at least one byte, and lie in the buffer",
			    target);
		die_errno("%s", target);
	}
	return 0;
}

static int verb_sync(int argc, char **argv)
{
	static const struct option options[] = {
		{ "data", no_argument, NULL, 'd' }, COMMON_OPTIONS, { 0 }
	};
	const char *target;
	bool data = false;
	int fd;

	while (next_option(argc, argv, options) != -1)
		data = true;
	target = one_argument(argc, argv, "TARGET");
	no_more_arguments(argc, argv);
	fd = open_target(target, TARGET_CHANGE);
	if (data ? fdatasync(fd) : fsync(fd)) {
		if (errno == EIO || errno == ENOSPC || errno == EDQUOT)
			die("%s: not all of it got to the store (%s): what failed is lost, see write_errors in vmademo stat",
			    target, strerrorname_np(errno));
		die_errno("%s", target);
	}
	return 0;
}

/* ---- power --------------------------------------------------------------- */

static void print_cut(const struct vmademo_crash *crash, bool json)
{
	if (json) {
		json_open(NULL, '{');
		json_number("lost_folios", crash->lost_folios);
		json_number("lost_bytes", crash->lost_bytes);
		json_number("written_folios", crash->written_folios);
		json_number("torn_folios", crash->torn_folios);
		json_number("lost_names", crash->lost_names);
		json_close('}');
		return;
	}
	printf("lost     %llu folios, %llu bytes%s",
	       (unsigned long long)crash->lost_folios,
	       (unsigned long long)crash->lost_bytes,
	       crash->torn_folios ? ", " : "\n");
	if (crash->torn_folios)
		printf("%llu of them written in part\n",
		       (unsigned long long)crash->torn_folios);
	printf("written  %llu folios\n",
	       (unsigned long long)crash->written_folios);
	if (crash->lost_names)
		printf("undone   %llu operations on names or sizes\n",
		       (unsigned long long)crash->lost_names);
}

struct cut {
	uint64_t seed;
	uint32_t share, torn;
	bool json;
};

static void cut_options(int argc, char **argv, struct cut *cut)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, OPT_SEED },
		{ "share", required_argument, NULL, OPT_SHARE },
		{ "torn", required_argument, NULL, OPT_TORN },
		{ "json", no_argument, NULL, OPT_JSON },
		COMMON_OPTIONS,
		{ 0 }
	};
	int opt;

	memset(cut, 0, sizeof(*cut));
	while ((opt = next_option(argc, argv, options)) != -1) {
		if (opt == OPT_SEED)
			cut->seed = parse_number("--seed", optarg, 0, UINT64_MAX);
		else if (opt == OPT_SHARE)
			cut->share = parse_number("--share", optarg, 0,
						  VMADEMO_WRITTEN_ONE);
		else if (opt == OPT_TORN)
			cut->torn = parse_number("--torn", optarg, 0, UINT32_MAX);
		else
			cut->json = true;
	}
}

static int verb_crash(int argc, char **argv)
{
	struct vmademo_crash crash = { 0 };
	const char *target;
	struct cut cut;

	cut_options(argc, argv, &cut);
	target = one_argument(argc, argv, "TARGET");
	no_more_arguments(argc, argv);
	crash.seed = cut.seed;
	crash.written_permille = cut.share;
	crash.torn = cut.torn;
	if (ioctl(open_target(target, TARGET_CHANGE), VMADEMO_IOC_CRASH, &crash))
		die_errno("%s", target);
	print_cut(&crash, cut.json);
	return 0;
}

/* One TARGET or several, which the request takes as one. */
static void switch_power(int argc, char **argv, struct vmademo_power *power)
{
	int32_t fds[VMADEMO_POWER_MAX];
	int first = open_target(one_argument(argc, argv, "TARGET"),
				TARGET_CHANGE);

	for (; optind < argc; optind++) {
		if (power->count == VMADEMO_POWER_MAX)
			die("at most %u buffers at a time",
			    VMADEMO_POWER_MAX + 1);
		fds[power->count++] = open_target(argv[optind], TARGET_CHANGE);
	}
	if (power->count)
		power->fds = (uintptr_t)fds;
	if (ioctl(first, VMADEMO_IOC_POWER, power)) {
		if (errno == EINVAL)
			die("a buffer is named twice");
		die_errno("the power cannot be switched");
	}
}

static int verb_power_off(int argc, char **argv)
{
	struct vmademo_power power = { .flags = VMADEMO_POWER_OFF };
	struct cut cut;

	cut_options(argc, argv, &cut);
	power.seed = cut.seed;
	power.written_permille = cut.share;
	power.torn = cut.torn;
	switch_power(argc, argv, &power);
	print_cut(
		&(struct vmademo_crash){
			.lost_folios = power.lost_folios,
			.lost_bytes = power.lost_bytes,
			.written_folios = power.written_folios,
			.torn_folios = power.torn_folios,
			.lost_names = power.lost_names,
		},
		cut.json);
	return 0;
}

static int verb_power_on(int argc, char **argv)
{
	struct vmademo_power power = { 0 };

	while (next_option(argc, argv, no_options) != -1)
		;
	switch_power(argc, argv, &power);
	return 0;
}

/* ---- taken away, given back ---------------------------------------------- */

static int take(int argc, char **argv, unsigned long request, unsigned int flags)
{
	const char *target;

	while (next_option(argc, argv, no_options) != -1)
		;
	target = one_argument(argc, argv, "TARGET");
	no_more_arguments(argc, argv);
	if (ioctl(open_target(target, TARGET_CHANGE | flags), request))
		die_errno("%s", target);
	return 0;
}

static int verb_revoke(int argc, char **argv)
{
	return take(argc, argv, VMADEMO_IOC_REVOKE, TARGET_WINDOW);
}

static int verb_restore(int argc, char **argv)
{
	return take(argc, argv, VMADEMO_IOC_RESTORE, 0);
}

#define CUT_OPTIONS                                                             \
	"      --seed N          chooses which dirty folios were written (0)\n" \
	"      --share N         how many of them were, in thousandths (0)\n"   \
	"      --torn N          how many of the others, in part (0)\n"         \
	"      --json            print JSON\n"

const struct verb change_verbs[] = {
	{ "resize", "TARGET SIZE", "make a buffer longer or shorter", "", false,
	  verb_resize },
	{ "discard", "TARGET", "make a range zero and free its pages",
	  "  -o, --offset BYTES    from here on (from the beginning)\n"
	  "  -l, --length BYTES    so many (to the end)\n",
	  false, verb_discard },
	{ "sync", "TARGET", "write back what is dirty, and flush the store",
	  "  -d, --data            as fdatasync, not as fsync\n", false,
	  verb_sync },
	{ "crash", "TARGET", "cut the power; it is back at once", CUT_OPTIONS,
	  false, verb_crash },
	{ "power off", "TARGET...", "cut the power of buffers at one moment",
	  CUT_OPTIONS, false, verb_power_off },
	{ "power on", "TARGET...", "switch the power of buffers on again", "",
	  false, verb_power_on },
	{ "revoke", "TARGET", "take a buffer or a window away from everybody",
	  "", false, verb_revoke },
	{ "restore", "TARGET", "give a revoked buffer back", "", false,
	  verb_restore },
	{ 0 },
};
