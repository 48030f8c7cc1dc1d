// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module's account: what sysfs says of a node, and fdinfo of the buffer behind a descriptor.
 */
#include "lib.h"

int64_t node_value(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/class/misc/vmademo/%s", name);
	return read_number(path);
}

/* One value of the buffer behind fd, by its name; -1 if there is none. */
int64_t fd_value(int fd, const char *name)
{
	size_t len = strlen(name);
	int64_t value = -1;
	char path[64], line[128];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	if (!f)
		return -1;
	while (value < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, len) && line[len] == ':')
			value = strtoll(line + len + 1, NULL, 10);
	fclose(f);
	return value;
}

/* The largest size of a folio of the buffer behind fd, or of the node's if that is -1. */
int64_t largest_folio(int fd)
{
	return fd < 0 ? read_number("/sys/module/vmademo/parameters/folio_size")
		      : fd_value(fd, "folio_size");
}

/* Has each page of it a folio of its own?  Then pages can be counted by folios. */
bool folios_are_pages(int fd)
{
	return largest_folio(fd) == (int64_t)PAGE;
}

/*
 * How many bytes a folio at its beginning has: the largest size, or less if the buffer ends
 * before.
 */
int64_t folio_size_of(int fd)
{
	int64_t size = fd < 0 ? node_value("size") : fd_value(fd, "size");
	int64_t page = PAGE, bytes = largest_folio(fd);

	while (bytes > page && bytes - page >= size)
		bytes /= 2;
	return bytes;
}

/* How many of them so many bytes take, from a border between two on. */
int64_t in_folios(int fd, uint64_t bytes)
{
	uint64_t size = folio_size_of(fd);

	return (bytes + size - 1) / size;
}

/* ... and how many bytes these have. */
int64_t whole_folios(int fd, uint64_t bytes)
{
	return in_folios(fd, bytes) * folio_size_of(fd);
}

/* A file of the backing device of the buffer behind fd, in a static place. */
const char *bdi_file(int fd, const char *name)
{
	static char path[128];
	char line[128], bdi[32] = "?";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "bdi: %31s", bdi);
	if (f)
		fclose(f);
	snprintf(path, sizeof(path), "/sys/class/bdi/%s/%s", bdi, name);
	return path;
}

/* The account of the buffer behind fd; of the node's by sysfs if fd is -1. */
struct account account_of(int fd)
{
	static const char *const names[] = {
#define EVENT(NAME, name)  #name,
#define FOLIOS(NAME, name) #name "_folios", #name "_bytes",
		VMADEMO_COUNTERS(EVENT, FOLIOS) "dirty_folios", "dirty_bytes",
		"cached_bytes"
#undef EVENT
#undef FOLIOS
	};
	struct account a;
	int64_t *n = (int64_t *)&a;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		n[i] = fd < 0 ? node_value(names[i]) : fd_value(fd, names[i]);
	return a;
}

struct account account_now(void)
{
	return account_of(-1);
}

struct account account_minus(struct account now, const struct account *before)
{
	int64_t *n = (int64_t *)&now;
	const int64_t *b = (const int64_t *)before;

	for (size_t i = 0; i < sizeof(now) / sizeof(*n); i++)
		n[i] -= b[i];
	return now;
}

/* What has changed since; dirty_... and cached_... may be negative. */
struct account account_since(const struct account *before)
{
	return account_minus(account_now(), before);
}

struct account account_of_since(int fd, const struct account *before)
{
	return account_minus(account_of(fd), before);
}
