// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buffers: a TARGET is opened here, and a new one made.
 */
#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "../../module/counters.h"
#include "vmademo.h"

/* ---- those that are there ------------------------------------------------ */

/* PID:FD as a path; NULL if it is none. */
static char *path_of_pair(const char *target)
{
	size_t pid = strspn(target, "0123456789");
	size_t fd;

	if (!pid || target[pid] != ':')
		return NULL;
	fd = strspn(target + pid + 1, "0123456789");
	if (!fd || target[pid + 1 + fd])
		return NULL;
	return must_print("/proc/%.*s/fd/%s", (int)pid, target, target + pid + 1);
}

__attribute__((noreturn)) void no_module(void)
{
	die("no " NODE ": load the module with modprobe vmademo");
}

__attribute__((noreturn)) static void cannot_open(const char *target,
						  const char *path)
{
	int err = errno, len;

	if (err == ENOENT && !strncmp(path, NODE, strlen(NODE)))
		no_module();
	if (err == ENOENT && sscanf(path, "/proc/%*d%n", &len) == 0 &&
	    !strncmp(path, "/proc/", 6)) {
		char *dir = must_print("%.*s", len, path);

		if (access(dir, F_OK))
			die("%s: there is no such process", target);
		die("%s: the process has no such descriptor", target);
	}
	if (err == EACCES || err == EPERM)
		die("%s: permission denied: be root, or ask its owner for access (%s)",
		    target, strerrorname_np(err));
	die("%s: %s", target, strerror(err));
}

/* Is it the node of a window?  Its device says its name. */
static bool is_window(int fd)
{
	char link[64], name[PATH_MAX], *base;
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) || !S_ISCHR(st.st_mode))
		return false;
	snprintf(link, sizeof(link), "/sys/dev/char/%u:%u", major(st.st_rdev),
		 minor(st.st_rdev));
	n = readlink(link, name, sizeof(name) - 1);
	if (n < 0)
		return false;
	name[n] = '\0';
	base = strrchr(name, '/');
	return base && !strncmp(base, "/vmademo-phys", 13);
}

/* By which it is opened; to be freed. */
char *target_path(const char *target)
{
	char *pair = path_of_pair(target);

	return pair ? pair : must_print("%s", target);
}

/**
 * open_target() - open a buffer that somebody named
 * @target: the node, PID:FD, or a path
 * @flags: TARGET_...
 *
 * Return: a descriptor.  Ends the command if there is none, or if it is something else.
 */
int open_target(const char *target, unsigned int flags)
{
	char *path = target_path(target);
	int mode = O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	struct vmademo_info info;
	int fd;

	fd = open(path, mode | (flags & TARGET_CHANGE ? O_RDWR : O_RDONLY));
	/* A read only buffer can still be ruled and revoked; a directory stands for its tree */
	if (fd < 0 && (errno == EROFS || errno == EISDIR))
		fd = open(path, mode | O_RDONLY);
	if (fd < 0)
		cannot_open(target, path);
	memset(&info, 0, sizeof(info));
	if (ioctl(fd, VMADEMO_IOC_INFO, &info)) {
		bool window = is_window(fd);

		if (window && flags & TARGET_WINDOW)
			goto good;
		if (window)
			die("%s: this is a physical window, which can be revoked only",
			    target);
		if (errno == ENOTTY || errno == EBADF || errno == EINVAL)
			die("%s: this is not a buffer of vmademo", target);
		die_errno("%s", target);
	}
good:
	free(path);
	return fd;
}

void get_info(int fd, struct vmademo_info *info)
{
	memset(info, 0, sizeof(*info));
	if (ioctl(fd, VMADEMO_IOC_INFO, info))
		die_errno("VMADEMO_IOC_INFO");
}

void get_stats(int fd, struct vmademo_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	stats->size = sizeof(*stats);
	if (ioctl(fd, VMADEMO_IOC_STATS, stats))
		die_errno("VMADEMO_IOC_STATS");
}

static const char *const stores[] = { "none", "ram", "file" };

const char *store_name(uint32_t store)
{
	return store < ARRAY_SIZE(stores) ? stores[store] : "?";
}

#define EVENT(NAME, name)  { #name, offsetof(struct vmademo_stats, name) },
#define FOLIOS(NAME, name) EVENT(NAME, name##_folios) EVENT(NAME, name##_bytes)

/* The module's own list. */
const struct counter counters[] = { VMADEMO_COUNTERS(EVENT, FOLIOS)
					    FOLIOS(, last_crash_lost) };

const size_t nr_counters = ARRAY_SIZE(counters);

/* ---- new ones ------------------------------------------------------------ */

static void parse_store(struct buffer_options *options, const char *text)
{
	options->path = NULL;
	if (!strncmp(text, "file:", 5) && text[5]) {
		options->store = VMADEMO_STORE_FILE;
		options->path = text + 5;
	} else if (!strcmp(text, "none")) {
		options->store = VMADEMO_STORE_NONE;
	} else if (!strcmp(text, "ram")) {
		options->store = VMADEMO_STORE_RAM;
	} else {
		bad_usage("--store: \"%s\" is not none, ram, or file:PATH", text);
	}
}

/* Is it one of BUFFER_OPTIONS?  Then it is taken. */
bool buffer_option(struct buffer_options *options, int opt)
{
	uint64_t size;
	size_t most;

	switch (opt) {
	case OPT_SIZE:
		options->size = parse_size("--size", optarg);
		return true;
	case OPT_STORE:
		parse_store(options, optarg);
		return true;
	case OPT_FOLIO_SIZE:
		size = parse_size("--folio-size", optarg);
		/* What a page table maps, which has entries of 8 bytes */
		most = page_size() * page_size() / 8;
		if (size < page_size() || size > most || size & (size - 1))
			bad_usage("--folio-size: \"%s\" is not a power of two from a page to %zuM",
				  optarg, most >> 20);
		options->folio_size = size;
		return true;
	case OPT_RULE:
		options->rules = must_alloc(options->rules,
					    (options->nr_rules + 1) *
						    sizeof(*options->rules));
		parse_rule(&options->rules[options->nr_rules++], optarg);
		return true;
	default:
		return false;
	}
}

/* What is there when a program begins goes by another option in a directory. */
void check_start(const struct buffer_options *options)
{
	if (options->seed_from && !options->dir)
		bad_usage("--seed-from is for --dir: a buffer has --init");
	if (options->init && options->dir)
		bad_usage("--init is for a buffer: --dir has --seed-from");
	if (options->names && !options->dir)
		bad_usage("--names is for --dir");
	if (options->names && strcmp(options->names, "ordered") &&
	    strcmp(options->names, "posix") && strcmp(options->names, "durable"))
		bad_usage("--names: %s is none of ordered, posix and durable",
			  options->names);
}

static int open_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0 && (errno == EROFS || errno == EACCES))
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die_errno("--store: %s", path);
	return fd;
}

static void fill(int fd, const char *path)
{
	int from = open(path, O_RDONLY | O_CLOEXEC);
	static char bytes[1 << 16];
	ssize_t n;

	if (from < 0)
		die_errno("--init: %s", path);
	while ((n = read(from, bytes, sizeof(bytes))) > 0)
		if (write(fd, bytes, n) != n)
			die_errno("--init: the buffer does not take it");
	if (n < 0 || fsync(fd))
		die_errno("--init: %s", path);
	close(from);
}

/**
 * create_buffer() - make a new buffer
 * @options: what it is to be like; its rules are not made yet
 *
 * Return: a descriptor, which programs do not inherit.
 */
int create_buffer(const struct buffer_options *options)
{
	struct vmademo_create create = {
		.size = options->size,
		.flags = VMADEMO_FD_CLOEXEC,
		.store = options->store,
		.folio_size = options->folio_size,
	};
	int node = open(NODE, O_RDWR | O_CLOEXEC), fd;

	if (node < 0)
		cannot_open(NODE, NODE);
	if (options->path)
		create.store_fd = open_file(options->path);
	fd = ioctl(node, VMADEMO_IOC_CREATE, &create);
	if (fd < 0)
		die_errno("no buffer can be made");
	close(node);
	if (options->path)
		close(create.store_fd);
	if (options->init)
		fill(fd, options->init);
	return fd;
}

void add_rules(int fd, struct buffer_options *options)
{
	for (size_t i = 0; i < options->nr_rules; i++)
		add_rule(fd, &options->rules[i]);
}

/* By which others open it; as long as this process lives. */
char *path_of(int fd)
{
	return must_print("/proc/%d/fd/%d", getpid(), fd);
}
