// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module: loaded and unloaded, its parameters, and what it logs.
 */
#include "lib.h"

/* Loads the module that is in a file; 0 or -1 and errno. */
int load_module_file(const char *path, const char *parameters)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), ret, err;

	if (fd < 0)
		return -1;
	ret = syscall(SYS_finit_module, fd, parameters, 0);
	err = errno;
	close(fd);
	errno = err;
	return ret;
}

/*
 * Loads the module that VMADEMO_KO names, with VMADEMO_PARAMS before the
 * parameters, in which 2p is the size of two pages; 0 or -1 and errno.
 */
int load_module(const char *parameters)
{
	const char *path = getenv("VMADEMO_KO"), *more = getenv("VMADEMO_PARAMS");
	char all[1024];

	snprintf(all, sizeof(all), "%s %s", more ? more : "",
		 in_bytes(parameters));
	return load_module_file(path ? path : "", all);
}

int unload_module(void)
{
	return syscall(SYS_delete_module, "vmademo", O_NONBLOCK);
}

int module_is_loaded(void)
{
	return access("/sys/module/vmademo/refcnt", F_OK) == 0;
}

/* How many bytes one fault maps, 2p is two pages; "auto" is what holds without it. */
int map_ahead(const char *bytes)
{
	return write_text("/sys/module/vmademo/parameters/map_ahead",
			  in_bytes(bytes));
}

int parameter_is(const char *name, const char *value)
{
	char path[128], text[128] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/sys/module/vmademo/parameters/%s", name);
	f = fopen(path, "r");
	if (f && !fgets(text, sizeof(text), f))
		text[0] = '\0';
	if (f)
		fclose(f);
	text[strcspn(text, "\n")] = '\0';
	return !strcmp(text, value);
}

/* Lines that the module logged since the last call; the last one in text. */
int log_lines(int kmsg, char *text, size_t size)
{
	char record[2048], *message;
	int lines = 0;
	ssize_t n;

	text[0] = '\0';
	while ((n = read(kmsg, record, sizeof(record) - 1)) > 0) {
		record[n] = '\0';
		message = strchr(record, ';');
		if (!message || strncmp(message + 1, "vmademo: ", 9))
			continue;
		/* The kernel's own words about modules that are not its own */
		if (strstr(message, "taints kernel"))
			continue;
		message[1 + strcspn(message + 1, "\n")] = '\0';
		snprintf(text, size, "%s", message + 1);
		lines++;
	}
	return lines;
}
