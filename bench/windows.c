// SPDX-License-Identifier: GPL-2.0-only
/* Windows on the memory of a device, mapped at once or page by page, and /dev/mem on the same. */
#include "../lib/lib.h"
#include "../lib/window.h"

#include "bench.h"

/*
 * A mapping at the next address that suits entries of 2 MiB, or one page behind it, where
 * none fits.
 */
static unsigned char *map_window(enum subject s, int fd, uint64_t offset,
				 bool small)
{
	const size_t large = 2 * MIB;
	unsigned char *p = mmap(NULL, len + 2 * large, PROT_NONE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct cost start;

	p += -(uintptr_t)p % large + (small ? PAGE : 0);
	/* What is there must not be unmapped at our cost */
	munmap(p, len);
	start = begin();
	p = mmap(p, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		 offset);
	if (p == MAP_FAILED)
		fail("mmap of a window");
	keep(s, WINDOW_MAP, since(start), 0, pages);
	return p;
}

static void measure_window(enum subject s, const char *path, uint64_t offset)
{
	static const enum figure figure[] = { WINDOW_READ, WINDOW_WRITE,
					      WINDOW_READ_SMALL,
					      WINDOW_WRITE_SMALL };
	int fd = open(path, O_RDWR);

	if (fd < 0)
		fail(path);
	for (int i = 0; i < 2 * 4; i++) {
		enum way way = i % 2 ? WRITING : READING;
		unsigned char *p = map_window(s, fd, offset, i % 4 >= 2);
		struct cost all = touch_all(p, way);

		keep(s, figure[i % 4], all, loop(p, way), pages);
		munmap(p, len);
	}
	close(fd);
}

void measure_windows(void)
{
	const uint64_t bar = ivshmem_bar();
	char phys[64];

	if (!bar)
		fail("no memory of a device");
	/* While the module has not claimed it, or /dev/mem would refuse */
	if (unload_module())
		fail("rmmod");
	measure_window(DEV_MEM, "/dev/mem", bar);
	snprintf(phys, sizeof(phys), "64M@0x%" PRIx64, bar);
	if (!use_window(phys, 0))
		fail("insmod");
	measure_window(EAGER, WINDOW, 0);
	if (!use_window(phys, 1))
		fail("insmod");
	measure_window(LAZY, WINDOW, 0);
}
