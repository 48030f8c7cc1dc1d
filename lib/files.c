// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files that hold one value, as those of sysfs; and text in which sizes are said in pages.
 */
#include "lib.h"

/* The first number in a file that holds one value; -1 if there is none. */
int64_t read_number(const char *path)
{
	long long value = -1;
	FILE *f = fopen(path, "r");

	if (!f)
		return -1;
	if (fscanf(f, "%lld", &value) != 1)
		value = -1;
	fclose(f);
	return value;
}

int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = write(fd, text, strlen(text));
	close(fd);
	return n < 0 ? -1 : 0;
}

/* Whether the first line of a file is this one. */
bool file_says(const char *path, const char *expected)
{
	char text[64] = "";
	FILE *f = fopen(path, "r");

	if (!f)
		return false;
	if (!fgets(text, sizeof(text), f))
		text[0] = '\0';
	fclose(f);
	return !strcmp(text, expected);
}

/* The same text, in a static place, with bytes for pages: "phys=2p" becomes "phys=8192". */
const char *in_bytes(const char *text)
{
	static char bytes[512];
	size_t len = 0;

	while (text && *text && len < sizeof(bytes) - 24) {
		size_t digits = strspn(text, "0123456789");

		if (digits && text[digits] == 'p' &&
		    strchr(", @\n", text[digits + 1])) {
			len += sprintf(bytes + len, "%lu",
				       strtoul(text, NULL, 10) * PAGE);
			text += digits + 1;
		} else {
			digits = digits ? digits : 1;
			memcpy(bytes + len, text, digits);
			len += digits;
			text += digits;
		}
	}
	bytes[len] = '\0';
	return text ? bytes : NULL;
}
