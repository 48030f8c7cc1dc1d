// SPDX-License-Identifier: GPL-2.0-only
/*
 * A physical window: the module is loaded with it, and it is asked.
 */
#include <sys/utsname.h>

#include "window.h"

int64_t window_value(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/class/misc/vmademo-phys0/%s", name);
	return read_number(path);
}

uint64_t window_base(void)
{
	unsigned long long base = 0;
	FILE *f = fopen("/sys/class/misc/vmademo-phys0/base", "r");

	if (f && fscanf(f, "%llx", &base) != 1)
		base = 0;
	if (f)
		fclose(f);
	return base;
}

/* How the memory of a BAR can be cached: on x86 as the firmware says, elsewhere not. */
const char *bar_memtype(void)
{
	struct utsname here;

	return !uname(&here) && !strncmp(here.machine, "x86", 3) ? "wb" : "wc";
}

/* Loads the module with this window, if it is not so loaded; whether it is. */
int use_window(const char *phys, int lazy)
{
	const char *map = lazy ? "lazy" : "eager";
	const char *memtype = strchr(phys, '@') ? bar_memtype() : "wb";
	char parameters[256];

	if (parameter_is("phys", phys) && parameter_is("phys_map", map))
		return 1;
	snprintf(parameters, sizeof(parameters),
		 "phys=%s phys_map=%s phys_memtype=%s", phys, map, memtype);
	if (module_is_loaded() && unload_module())
		return 0;
	return load_module(parameters) == 0;
}
