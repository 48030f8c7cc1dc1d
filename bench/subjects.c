// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is measured: buffers, and files and memory of other kinds.  Where a machine lacks one of
 * the others, it is left out.
 */
#include "../lib/lib.h"

#include "bench.h"

const char *const subjects[SUBJECTS] = {
	[NONE] = "none",
	[NONE_64K] = "none 64K",
	[NONE_2M] = "none 2M",
	[RAM] = "ram",
	[RAM_64K] = "ram 64K",
	[TMPFS] = "tmpfs",
	[TMPFS_2M] = "tmpfs 2M",
	[HUGETLB] = "hugetlb",
	[SHARED] = "shared",
	[PRIVATE] = "private",
	[PRIVATE_2M] = "private 2M",
	[EXT4] = "ext4",
	[EXT4_DAX] = "ext4 DAX",
	[DEV_DAX] = "dev DAX",
	[DEV_DAX_2M] = "dev DAX 2M",
	[EAGER] = "eager",
	[LAZY] = "lazy",
	[DEV_MEM] = "/dev/mem",
};

/* Where the others are: scripts/bench has mounted and made them. */
#define EXT4_DIR	"/ext4"
#define EXT4_DAX_DIR	"/ext4-dax"
#define TMPFS_2M_DIR	"/tmpfs-2M"
#define DEV_DAX_FILE	"/dev/dax1.0"
#define DEV_DAX_2M_FILE "/dev/dax2.0"

/* What is on a disk or a device of the machine is for 64 MiB and less. */
static bool fits(void)
{
	return len <= 64 * MIB;
}

bool is_there(enum subject s)
{
	switch (s) {
	case HUGETLB:
		return fits() && len >= 2 * MIB;
	case EXT4:
		return fits() && !access(EXT4_DIR "/lost+found", F_OK);
	case EXT4_DAX:
		return fits() && !access(EXT4_DAX_DIR "/lost+found", F_OK);
	case DEV_DAX:
		return fits() && !access(DEV_DAX_FILE, F_OK);
	case DEV_DAX_2M:
		return fits() && len >= 2 * MIB && !access(DEV_DAX_2M_FILE, F_OK);
	default:
		return true;
	}
}

/* It is found again by another mapping, as all but private memory is. */
bool has_pages(enum subject s)
{
	return s != PRIVATE && s != PRIVATE_2M;
}

/* It is made anew, and synced. */
bool is_file(enum subject s)
{
	return has_pages(s) && s != SHARED && s != DEV_DAX && s != DEV_DAX_2M;
}

/* read(2) and write(2) */
bool has_calls(enum subject s)
{
	return is_file(s) && s != HUGETLB;
}

/* Something that its pages can be read in from; that of DAX is the memory itself. */
bool has_store(enum subject s)
{
	return s == RAM || s == RAM_64K || s == EXT4;
}

static int new_file(const char *dir)
{
	return open(dir, O_RDWR | O_TMPFILE, 0600);
}

/**
 * make() - something to map
 * @s: of which kind
 *
 * Return: a descriptor; that of memory which no file is behind is -1.
 */
int make(enum subject s)
{
	int fd = -1;

	folio_size_wanted = s == NONE_64K || s == RAM_64K ? 64 * 1024
			    : s == NONE_2M		  ? 2 * MIB
							  : PAGE;
	switch (s) {
	case NONE:
	case NONE_64K:
	case NONE_2M:
		fd = create_buffer(len);
		break;
	case RAM:
	case RAM_64K:
		fd = create_with(VMADEMO_STORE_RAM, len, 0);
		break;
	case TMPFS:
		fd = memfd_create("tmpfs", 0);
		break;
	case TMPFS_2M:
		fd = new_file(TMPFS_2M_DIR);
		break;
	case HUGETLB:
		fd = memfd_create("hugetlb", MFD_HUGETLB);
		break;
	case EXT4:
		fd = new_file(EXT4_DIR);
		break;
	case EXT4_DAX:
		fd = new_file(EXT4_DAX_DIR);
		break;
	case DEV_DAX:
		fd = open(DEV_DAX_FILE, O_RDWR);
		break;
	case DEV_DAX_2M:
		fd = open(DEV_DAX_2M_FILE, O_RDWR);
		break;
	default:
		return -1;
	}
	if (fd < 0 || (s >= TMPFS && is_file(s) && ftruncate(fd, len)))
		fail(subjects[s]);
	return fd;
}

/**
 * map() - map all of it
 * @s: which kind
 * @fd: what make() returned
 * @flags: more flags for mmap(2)
 *
 * Return: where; not NULL.
 */
unsigned char *map(enum subject s, int fd, int flags)
{
	unsigned char *p;

	flags |= fd < 0 ? MAP_ANONYMOUS : 0;
	flags |= has_pages(s) ? MAP_SHARED : MAP_PRIVATE;
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (p == MAP_FAILED)
		fail(subjects[s]);
	/* The machine's default is huge pages for whoever asks */
	if (s == PRIVATE_2M)
		madvise(p, len, MADV_HUGEPAGE);
	return p;
}
