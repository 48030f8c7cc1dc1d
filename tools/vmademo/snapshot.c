// SPDX-License-Identifier: GPL-2.0-only
/*
 * The verb snapshot: what a power cut at this moment would leave, as a buffer for a program to
 * look at, or as a file.
 */
#include <fcntl.h>
#include <sys/ioctl.h>

#include "vmademo.h"

/* Zeros become a hole. */
static void write_out(int fd, const char *path)
{
	int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	static char bytes[1 << 16], zeros[sizeof(bytes)];
	struct vmademo_info info;
	uint64_t at = 0;
	ssize_t n;

	if (to < 0)
		die_errno("--output: %s", path);
	get_info(fd, &info);
	while ((n = pread(fd, bytes, sizeof(bytes), at)) > 0) {
		if (memcmp(bytes, zeros, n) && pwrite(to, bytes, n, at) != n)
			die_errno("--output: %s", path);
		at += n;
	}
	if (n < 0)
		die_errno("the snapshot cannot be read");
	if (ftruncate(to, info.size) || close(to))
		die_errno("--output: %s", path);
}

int verb_snapshot(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, OPT_SEED },
		{ "share", required_argument, NULL, OPT_SHARE },
		{ "torn", required_argument, NULL, OPT_TORN },
		{ "output", required_argument, NULL, 'o' },
		COMMON_OPTIONS,
		{ 0 }
	};
	struct vmademo_crash crash = { .flags = VMADEMO_FD_CLOEXEC };
	const char *target, *output = NULL;
	int opt, fd;

	while ((opt = next_option(argc, argv, options)) != -1) {
		if (opt == OPT_SEED)
			crash.seed = parse_number("--seed", optarg, 0,
						  UINT64_MAX);
		else if (opt == OPT_SHARE)
			crash.written_permille = parse_number(
				"--share", optarg, 0, VMADEMO_WRITTEN_ONE);
		else if (opt == OPT_TORN)
			crash.torn = parse_number("--torn", optarg, 0,
						  UINT32_MAX);
		else
			output = optarg;
	}
	target = one_argument(argc, argv, "TARGET");
	if (optind < argc && !strcmp(argv[optind], "--"))
		optind++;
	if (output)
		no_more_arguments(argc, argv);
	fd = ioctl(open_target(target, TARGET_CHANGE), VMADEMO_IOC_SNAPSHOT,
		   &crash);
	if (fd < 0)
		die_errno("%s", target);
	fprintf(stderr,
		"A cut now loses %llu folios, of which %llu are torn; %llu happen to be written.\n",
		(unsigned long long)crash.lost_folios,
		(unsigned long long)crash.torn_folios,
		(unsigned long long)crash.written_folios);
	if (!output)
		return run_on(fd, argv + optind);
	write_out(fd, output);
	return 0;
}
