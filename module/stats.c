// SPDX-License-Identifier: GPL-2.0-only
/*
 * The account of a buffer, and how it is shown: one value a file, under
 * /sys/class/misc/NODE/.  Counting is in vmademo.h, inline: one per-CPU
 * addition.  The sums are made here, when somebody reads.
 *
 * What is dirty or cached now is not counted but looked up in the page cache,
 * so that the counters can be checked against it:
 *
 *   dirtied - written = dirty,  in folios and in bytes, when nothing runs.
 *
 * Locks: none of its own; the page cache is walked under RCU.
 */
#include <linux/device.h>
#include <linux/pagemap.h>
#include <linux/sysfs.h>

#include "compat.h"
#include "vmademo.h"

static struct vmademo_buffer *buffer_of_device(struct device *dev)
{
	/* misc_register() makes the miscdevice the device's driver data */
	struct miscdevice *misc = dev_get_drvdata(dev);

	return container_of(misc, struct vmademo_node, misc)->buf;
}

struct stat_attribute {
	struct device_attribute attr;
	enum vmademo_stat stat;
};

static ssize_t stat_show(struct device *dev, struct device_attribute *attr,
			 char *page)
{
	struct vmademo_buffer *buf = buffer_of_device(dev);
	struct stat_attribute *sa =
		container_of(attr, struct stat_attribute, attr);
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += per_cpu_ptr(buf->stats, cpu)->count[sa->stat];
	return sysfs_emit(page, "%llu\n", sum);
}

#define STAT_ATTR(_name, _stat)						\
	static struct stat_attribute stat_attr_##_name = {		\
		.attr = __ATTR(_name, 0444, stat_show, NULL),		\
		.stat = _stat,						\
	}

STAT_ATTR(read_faults, VMADEMO_READ_FAULTS);
STAT_ATTR(write_faults, VMADEMO_WRITE_FAULTS);
STAT_ATTR(cow_faults, VMADEMO_COW_FAULTS);
STAT_ATTR(fault_around, VMADEMO_FAULT_AROUND);
STAT_ATTR(fault_around_hits, VMADEMO_FAULT_AROUND_HITS);
STAT_ATTR(first_writes, VMADEMO_FIRST_WRITES);
STAT_ATTR(dirtied_folios, VMADEMO_DIRTIED_FOLIOS);
STAT_ATTR(dirtied_bytes, VMADEMO_DIRTIED_BYTES);
STAT_ATTR(written_folios, VMADEMO_WRITTEN_FOLIOS);
STAT_ATTR(written_bytes, VMADEMO_WRITTEN_BYTES);
STAT_ATTR(sigbus, VMADEMO_SIGBUS);

/* Walks the folios that the page cache holds as dirty at this moment. */
static void count_dirty(struct address_space *mapping, u64 *folios, u64 *bytes)
{
	struct folio_batch batch;
	pgoff_t index = 0;
	unsigned int i;

	*folios = 0;
	*bytes = 0;
	folio_batch_init(&batch);
	while (filemap_get_folios_tag(mapping, &index, ULONG_MAX,
				      PAGECACHE_TAG_DIRTY, &batch)) {
		for (i = 0; i < folio_batch_count(&batch); i++) {
			/* Cleaned since it was found: no longer counts */
			if (folio_test_dirty(batch.folios[i])) {
				*folios += 1;
				*bytes += folio_size(batch.folios[i]);
			}
		}
		folio_batch_release(&batch);
		cond_resched();
	}
}

static ssize_t dirty_folios_show(struct device *dev,
				 struct device_attribute *attr, char *page)
{
	u64 folios, bytes;

	count_dirty(buffer_of_device(dev)->inode->i_mapping, &folios, &bytes);
	return sysfs_emit(page, "%llu\n", folios);
}
static DEVICE_ATTR_RO(dirty_folios);

static ssize_t dirty_bytes_show(struct device *dev,
				struct device_attribute *attr, char *page)
{
	u64 folios, bytes;

	count_dirty(buffer_of_device(dev)->inode->i_mapping, &folios, &bytes);
	return sysfs_emit(page, "%llu\n", bytes);
}
static DEVICE_ATTR_RO(dirty_bytes);

static ssize_t cached_bytes_show(struct device *dev,
				 struct device_attribute *attr, char *page)
{
	u64 pages = buffer_of_device(dev)->inode->i_mapping->nrpages;

	return sysfs_emit(page, "%llu\n", pages << PAGE_SHIFT);
}
static DEVICE_ATTR_RO(cached_bytes);

static ssize_t mappings_show(struct device *dev, struct device_attribute *attr,
			     char *page)
{
	return sysfs_emit(page, "%ld\n",
			  atomic_long_read(&buffer_of_device(dev)->mappings));
}
static DEVICE_ATTR_RO(mappings);

static ssize_t size_show(struct device *dev, struct device_attribute *attr,
			 char *page)
{
	return sysfs_emit(page, "%lld\n",
			  i_size_read(buffer_of_device(dev)->inode));
}
static DEVICE_ATTR_RO(size);

static ssize_t store_show(struct device *dev, struct device_attribute *attr,
			  char *page)
{
	return sysfs_emit(page, "none\n");
}
static DEVICE_ATTR_RO(store);

static struct attribute *vmademo_stats_attrs[] = {
	&dev_attr_size.attr,
	&dev_attr_store.attr,
	&dev_attr_mappings.attr,
	&stat_attr_read_faults.attr.attr,
	&stat_attr_write_faults.attr.attr,
	&stat_attr_cow_faults.attr.attr,
	&stat_attr_fault_around.attr.attr,
	&stat_attr_fault_around_hits.attr.attr,
	&stat_attr_first_writes.attr.attr,
	&stat_attr_dirtied_folios.attr.attr,
	&stat_attr_dirtied_bytes.attr.attr,
	&stat_attr_written_folios.attr.attr,
	&stat_attr_written_bytes.attr.attr,
	&stat_attr_sigbus.attr.attr,
	&dev_attr_dirty_folios.attr,
	&dev_attr_dirty_bytes.attr,
	&dev_attr_cached_bytes.attr,
	NULL
};

static const struct attribute_group vmademo_stats_group = {
	.attrs = vmademo_stats_attrs,
};

/* For miscdevice.groups: the device appears with its files, not before them. */
const struct attribute_group *vmademo_stats_groups[] = {
	&vmademo_stats_group,
	NULL
};
