// SPDX-License-Identifier: GPL-2.0-only
/*
 * A disk whose sectors fail when they are told to: a device mapper device that passes
 * everything on to the RAM disk /dev/ram0, but for ranges that answer EIO.  Needs the
 * kernel's device mapper, and none of its tools.  /dev/ram0 is overwritten.
 *
 * On it a file: the disk itself, or a file of an ext4 file system, of which only the
 * data fails, so that the file system stays in order.
 */
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <linux/dm-ioctl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>

#include "failing_disk.h"

#define DISK_NAME "vmademo-failing"

struct disk_request {
	struct dm_ioctl head;
	char tail[(2 * DISK_PIECES + 1) * 64];
};

/* One request to the device mapper; 0, or -1 and errno. */
static int disk_ioctl(struct failing_disk *d, struct disk_request *r,
		      unsigned long request)
{
	r->head.version[0] = DM_VERSION_MAJOR;
	r->head.data_size = sizeof(*r);
	r->head.data_start = sizeof(r->head);
	snprintf(r->head.name, sizeof(r->head.name), "%s", DISK_NAME);
	return ioctl(d->control, request, r);
}

/* One line of the table: sectors from *at up to end pass, or fail. */
static void disk_line(struct disk_request *r, uint64_t *at, uint64_t end,
		      bool fails)
{
	struct dm_target_spec *spec = (void *)&r->tail[64 * r->head.target_count];

	if (*at == end)
		return;
	*spec = (struct dm_target_spec){ .sector_start = *at,
					 .length = end - *at,
					 .next = 64 };
	strcpy(spec->target_type, fails ? "error" : "linear");
	if (!fails)
		snprintf((char *)(spec + 1), 64 - sizeof(*spec), "%s %" PRIu64,
			 BLOCK_DEVICE, *at);
	r->head.target_count++;
	*at = end;
}

/* From now on these bytes of the file fail, and no others; 0, or -1 and errno. */
int disk_fails(struct failing_disk *d, uint64_t start, uint64_t length)
{
	struct disk_request table = { 0 }, resume = { 0 };
	uint64_t at = 0, end = start + length;

	/* The pieces are in the order of the file, and ext4 lays them out so, too */
	for (size_t i = 0; i < d->n; i++) {
		const struct disk_piece *p = &d->pieces[i];
		uint64_t from = start > p->in_file ? start : p->in_file;
		uint64_t to = end < p->in_file + p->length
				      ? end
				      : p->in_file + p->length;

		if (from >= to)
			continue;
		disk_line(&table, &at, (from - p->in_file + p->on_disk) / 512,
			  false);
		disk_line(&table, &at, (to - p->in_file + p->on_disk) / 512,
			  true);
	}
	disk_line(&table, &at, DISK_SECTORS, false);
	if (disk_ioctl(d, &table, DM_TABLE_LOAD))
		return -1;
	/* To freeze the file system first would write back what is dirty */
	resume.head.flags = DM_SKIP_LOCKFS_FLAG;
	return disk_ioctl(d, &resume, DM_DEV_SUSPEND);
}

/* Whoever reads or writes waits, until disk_fails() or disk_is_good() is called. */
int disk_hangs(struct failing_disk *d)
{
	struct disk_request suspend = { 0 };

	suspend.head.flags = DM_SUSPEND_FLAG | DM_SKIP_LOCKFS_FLAG |
			     DM_NOFLUSH_FLAG;
	return disk_ioctl(d, &suspend, DM_DEV_SUSPEND);
}

int disk_is_good(struct failing_disk *d)
{
	return disk_fails(d, 0, 0);
}

/* Takes away what there is of it. */
void disk_end(struct failing_disk *d)
{
	struct disk_request remove = { 0 };

	umount(DISK_MOUNT);
	rmdir(DISK_MOUNT);
	if (d->control < 0)
		d->control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	disk_ioctl(d, &remove, DM_DEV_REMOVE);
	close(d->control);
	close(d->ram);
}

/* Why this machine can have no such disk; NULL if it can. */
const char *disk_missing(void)
{
	if (access(BLOCK_DEVICE, R_OK | W_OK))
		return "there is no " BLOCK_DEVICE;
	if (access("/dev/mapper/control", F_OK)) {
		system("modprobe -q dm_mod");
		if (access("/dev/mapper/control", F_OK))
			return "the kernel has no device mapper";
	}
	return NULL;
}

/* Makes a good disk; 0, or -1 and errno. */
int disk_make(struct failing_disk *d)
{
	struct disk_request create = { 0 };

	*d = (struct failing_disk){ .control = -1, .ram = -1 };
	/* What a test left that was aborted */
	disk_end(d);
	d->control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	d->ram = open(BLOCK_DEVICE, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (d->control < 0 || d->ram < 0 || disk_ioctl(d, &create, DM_DEV_CREATE))
		return -1;
	snprintf(d->path, sizeof(d->path), "/dev/dm-%u", minor(create.head.dev));
	d->pieces[0].length = DISK_SECTORS * 512;
	d->n = 1;
	return disk_is_good(d);
}

/* Puts ext4 on it and mounts that; 0, or -1 and errno, ENODEV if there is no ext4. */
int disk_format(struct failing_disk *d)
{
	/* Busybox makes the older format only, which ext4 takes, too */
	static const char *const programs[] = { "mke2fs -q -t ext4", "mke2fs" };
	char command[128];
	int status = 1;

	for (int i = 0; i < 2 && status; i++) {
		snprintf(command, sizeof(command), "%s -F -b 4096 %s %s",
			 programs[i], d->path, ">/dev/null 2>&1");
		status = system(command);
	}
	if (status) {
		errno = ENODEV;
		return -1;
	}
	mkdir(DISK_MOUNT, 0700);
	return mount(d->path, DISK_MOUNT, "ext4", MS_NOATIME, NULL);
}

/* Asks ext4 where on the disk a file is; 0, or -1. */
int disk_locate(struct failing_disk *d, int fd)
{
	struct {
		struct fiemap map;
		struct fiemap_extent extents[DISK_PIECES];
	} f = {
		.map = { .fm_length = FIEMAP_MAX_OFFSET,
			 .fm_flags = FIEMAP_FLAG_SYNC,
			 .fm_extent_count = DISK_PIECES },
	};

	if (ioctl(fd, FS_IOC_FIEMAP, &f))
		return -1;
	d->n = f.map.fm_mapped_extents;
	for (size_t i = 0; i < d->n; i++) {
		const struct fiemap_extent *e = &f.extents[i];

		if (i && e->fe_physical < f.extents[i - 1].fe_physical)
			return -1;
		d->pieces[i] = (struct disk_piece){ e->fe_logical, e->fe_physical,
						    e->fe_length };
	}
	return d->n ? 0 : -1;
}

/* The byte of the file at an offset that is on the disk now; -1 if there is none. */
int disk_byte(struct failing_disk *d, uint64_t at)
{
	static unsigned char page[PAGE_MAX] __attribute__((aligned(PAGE_MAX)));

	for (size_t i = 0; i < d->n; i++) {
		const struct disk_piece *p = &d->pieces[i];
		uint64_t where = at - p->in_file + p->on_disk;

		if (at - p->in_file >= p->length)
			continue;
		if (pread(d->ram, page, PAGE, where & ~(PAGE - 1)) != PAGE)
			return -1;
		return page[where % PAGE];
	}
	return -1;
}
