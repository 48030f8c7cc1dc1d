// SPDX-License-Identifier: GPL-2.0-only
/*
 * What this kernel and this machine are like.
 */
#include "lib.h"

/*
 * Has the kernel ask .huge_fault, and khugepaged look, where MADV_HUGEPAGE is said: with little
 * memory both are off.  With false, it is again as it was.
 */
int wish_huge_pages(bool on)
{
	static char before[16];
	char words[64] = "";
	FILE *f = fopen(THP "enabled", "r");

	if (!f)
		return -1;
	if (on && fgets(words, sizeof(words), f) && strchr(words, '['))
		sscanf(strchr(words, '[') + 1, "%15[a-z]", before);
	fclose(f);
	return write_text(THP "enabled", on ? "madvise" : before);
}

/* What one entry of a higher table maps: 2 MiB with pages of 4 KiB, 32 MiB with 16 KiB. */
size_t pmd_size(void)
{
	static size_t bytes;

	if (!bytes) {
		int64_t said = read_number(
			"/sys/kernel/mm/transparent_hugepage/hpage_pmd_size");

		bytes = said > 0 ? said : 2 * MIB;
	}
	return bytes;
}

uint32_t folio_bytes(uint32_t size)
{
	return size == PMD_FOLIO ? PMD_SIZE : size;
}

/* Whether the kernel has a function of this name. */
int kernel_has(const char *function)
{
	FILE *f = fopen("/proc/kallsyms", "r");
	char line[256], end[64];
	int has = 0;

	snprintf(end, sizeof(end), " %s\n", function);
	while (f && !has && fgets(line, sizeof(line), f))
		has = !!strstr(line, end);
	if (f)
		fclose(f);
	return has;
}

/*
 * Whether this kernel makes entries of 2 MiB for bare page frames.  That came with
 * Linux 6.12, together with this function.
 */
int huge_entries(void)
{
	return kernel_has("follow_pfnmap_start");
}

/*
 * Whether remap_pfn_range() marks a VMA on this kernel (x86, up to Linux 6.15): then
 * no device's memory is mapped privately.
 */
int remap_marks_vma(void)
{
	return kernel_has("track_pfn_copy");
}

/*
 * Emulated processors that really run at once may execute what is half patched (QEMU 7.2; a
 * real one does not).  So on such a machine a test does not switch, while others run, what the
 * module has in its code: whether there are rules, revocations, or times are noted.
 */
bool code_is_patched_at_once(void)
{
	const char *parallel = getenv("VMADEMO_PARALLEL");

	return !parallel || !*parallel;
}
