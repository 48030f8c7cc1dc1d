// SPDX-License-Identifier: GPL-2.0-only
/*
 * The account of a buffer, and how it is shown: the node's as one value a file
 * under /sys/class/misc/NODE/; that of any buffer in /proc/PID/fdinfo/N, under the
 * same names.  Counting is in vmademo.h, inline: one per-CPU addition.  The sums
 * are made here, when somebody reads.
 *
 * What is dirty or cached now is not counted but looked up in the page cache,
 * so that the counters can be checked against it:
 *
 *   dirtied = written + discarded + lost + dirty,  in folios and in bytes, at rest.
 *
 * Locks: none of its own; the page cache is walked under RCU.
 */
#include <linux/device.h>
#include <linux/pagemap.h>
#include <linux/seq_file.h>
#include <linux/sysfs.h>

#include "compat.h"
#include "store/store.h"
#include "vmademo.h"

static struct vmademo_buffer *buffer_of_device(struct device *dev)
{
	/* misc_register() makes the miscdevice the device's driver data */
	struct miscdevice *misc = dev_get_drvdata(dev);

	return container_of(misc, struct vmademo_node, misc)->buf;
}

/**
 * vmademo_stat_sum() - one counter of a buffer, of all processors
 * @buf: the buffer
 * @stat: which
 *
 * Context: Any.
 * Return: the sum; folios, bytes or events, as the counter says.
 */
u64 vmademo_stat_sum(const struct vmademo_buffer *buf, enum vmademo_stat stat)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += per_cpu_ptr(buf->stats, cpu)->count[stat];
	return sum;
}

static ssize_t stat_show(struct device *dev, struct device_attribute *attr,
			 char *page);

#define STAT_ATTR(_name)	__ATTR(_name, 0444, stat_show, NULL)

static struct device_attribute stat_attrs[VMADEMO_NR_STATS] = {
	[VMADEMO_READ_FAULTS]		= STAT_ATTR(read_faults),
	[VMADEMO_WRITE_FAULTS]		= STAT_ATTR(write_faults),
	[VMADEMO_COW_FAULTS]		= STAT_ATTR(cow_faults),
	[VMADEMO_FAULT_AROUND]		= STAT_ATTR(fault_around),
	[VMADEMO_FAULT_AROUND_HITS]	= STAT_ATTR(fault_around_hits),
	[VMADEMO_FIRST_WRITES]		= STAT_ATTR(first_writes),
	[VMADEMO_DIRTIED_FOLIOS]	= STAT_ATTR(dirtied_folios),
	[VMADEMO_DIRTIED_BYTES]		= STAT_ATTR(dirtied_bytes),
	[VMADEMO_WRITTEN_FOLIOS]	= STAT_ATTR(written_folios),
	[VMADEMO_WRITTEN_BYTES]		= STAT_ATTR(written_bytes),
	[VMADEMO_LOST_FOLIOS]		= STAT_ATTR(lost_folios),
	[VMADEMO_LOST_BYTES]		= STAT_ATTR(lost_bytes),
	[VMADEMO_DISCARDED_FOLIOS]	= STAT_ATTR(discarded_folios),
	[VMADEMO_DISCARDED_BYTES]	= STAT_ATTR(discarded_bytes),
	[VMADEMO_READ_IN_FOLIOS]	= STAT_ATTR(read_in_folios),
	[VMADEMO_READ_IN_BYTES]		= STAT_ATTR(read_in_bytes),
	[VMADEMO_EVICTED_FOLIOS]	= STAT_ATTR(evicted_folios),
	[VMADEMO_EVICTED_BYTES]		= STAT_ATTR(evicted_bytes),
	[VMADEMO_READ_ERRORS]		= STAT_ATTR(read_errors),
	[VMADEMO_WRITE_ERRORS]		= STAT_ATTR(write_errors),
	[VMADEMO_FLUSHES]		= STAT_ATTR(flushes),
	[VMADEMO_DATA_FLUSHES]		= STAT_ATTR(data_flushes),
	[VMADEMO_CRASHES]		= STAT_ATTR(crashes),
	[VMADEMO_SIGBUS]		= STAT_ATTR(sigbus),
};

static ssize_t stat_show(struct device *dev, struct device_attribute *attr,
			 char *page)
{
	return sysfs_emit(page, "%llu\n",
			  vmademo_stat_sum(buffer_of_device(dev),
					   attr - stat_attrs));
}

/* Walks the folios that the page cache holds as dirty at this moment. */
static void count_dirty(const struct vmademo_buffer *buf, u64 *folios, u64 *bytes)
{
	struct address_space *mapping = buf->inode->i_mapping;
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

	count_dirty(buffer_of_device(dev), &folios, &bytes);
	return sysfs_emit(page, "%llu\n", folios);
}
static DEVICE_ATTR_RO(dirty_folios);

/**
 * vmademo_dirty_bytes() - what is dirty in a buffer at this moment
 * @buf: the buffer
 *
 * Context: May sleep.
 * Return: bytes; whole folios.
 */
u64 vmademo_dirty_bytes(const struct vmademo_buffer *buf)
{
	u64 folios, bytes;

	count_dirty(buf, &folios, &bytes);
	return bytes;
}

static ssize_t dirty_bytes_show(struct device *dev,
				struct device_attribute *attr, char *page)
{
	return sysfs_emit(page, "%llu\n",
			  vmademo_dirty_bytes(buffer_of_device(dev)));
}
static DEVICE_ATTR_RO(dirty_bytes);

/**
 * vmademo_cached_bytes() - what of a buffer is in the page cache at this moment
 * @buf: the buffer
 *
 * Context: Any.
 * Return: bytes; whole pages.
 */
u64 vmademo_cached_bytes(const struct vmademo_buffer *buf)
{
	return (u64)buf->inode->i_mapping->nrpages << PAGE_SHIFT;
}

static ssize_t cached_bytes_show(struct device *dev,
				 struct device_attribute *attr, char *page)
{
	return sysfs_emit(page, "%llu\n",
			  vmademo_cached_bytes(buffer_of_device(dev)));
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
	return sysfs_emit(page, "%s\n", buffer_of_device(dev)->store->name);
}
static DEVICE_ATTR_RO(store);

static ssize_t last_crash_lost_folios_show(struct device *dev,
					   struct device_attribute *attr,
					   char *page)
{
	return sysfs_emit(page, "%llu\n",
			  READ_ONCE(buffer_of_device(dev)->last_crash_lost_folios));
}
static DEVICE_ATTR_RO(last_crash_lost_folios);

static ssize_t last_crash_lost_bytes_show(struct device *dev,
					  struct device_attribute *attr,
					  char *page)
{
	return sysfs_emit(page, "%llu\n",
			  READ_ONCE(buffer_of_device(dev)->last_crash_lost_bytes));
}
static DEVICE_ATTR_RO(last_crash_lost_bytes);

static struct attribute *vmademo_stats_attrs[] = {
	&dev_attr_size.attr,
	&dev_attr_store.attr,
	&dev_attr_mappings.attr,
	&stat_attrs[VMADEMO_READ_FAULTS].attr,
	&stat_attrs[VMADEMO_WRITE_FAULTS].attr,
	&stat_attrs[VMADEMO_COW_FAULTS].attr,
	&stat_attrs[VMADEMO_FAULT_AROUND].attr,
	&stat_attrs[VMADEMO_FAULT_AROUND_HITS].attr,
	&stat_attrs[VMADEMO_FIRST_WRITES].attr,
	&stat_attrs[VMADEMO_DIRTIED_FOLIOS].attr,
	&stat_attrs[VMADEMO_DIRTIED_BYTES].attr,
	&stat_attrs[VMADEMO_WRITTEN_FOLIOS].attr,
	&stat_attrs[VMADEMO_WRITTEN_BYTES].attr,
	&stat_attrs[VMADEMO_LOST_FOLIOS].attr,
	&stat_attrs[VMADEMO_LOST_BYTES].attr,
	&stat_attrs[VMADEMO_DISCARDED_FOLIOS].attr,
	&stat_attrs[VMADEMO_DISCARDED_BYTES].attr,
	&stat_attrs[VMADEMO_READ_IN_FOLIOS].attr,
	&stat_attrs[VMADEMO_READ_IN_BYTES].attr,
	&stat_attrs[VMADEMO_EVICTED_FOLIOS].attr,
	&stat_attrs[VMADEMO_EVICTED_BYTES].attr,
	&stat_attrs[VMADEMO_READ_ERRORS].attr,
	&stat_attrs[VMADEMO_WRITE_ERRORS].attr,
	&stat_attrs[VMADEMO_FLUSHES].attr,
	&stat_attrs[VMADEMO_DATA_FLUSHES].attr,
	&stat_attrs[VMADEMO_CRASHES].attr,
	&stat_attrs[VMADEMO_SIGBUS].attr,
	&dev_attr_last_crash_lost_folios.attr,
	&dev_attr_last_crash_lost_bytes.attr,
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

/**
 * vmademo_show_fdinfo() - .show_fdinfo: the account of the buffer behind a file
 * @m: where to print
 * @file: any file whose f_mapping is a buffer's
 *
 * Context: May sleep.
 */
void vmademo_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct vmademo_buffer *buf = vmademo_buffer_of(file->f_mapping);
	u64 folios, bytes;
	int i;

	seq_printf(m, "size:\t%lld\n", i_size_read(buf->inode));
	seq_printf(m, "store:\t%s\n", buf->store->name);
	seq_printf(m, "mappings:\t%ld\n", atomic_long_read(&buf->mappings));
	for (i = 0; i < VMADEMO_NR_STATS; i++)
		seq_printf(m, "%s:\t%llu\n", stat_attrs[i].attr.name,
			   vmademo_stat_sum(buf, i));
	seq_printf(m, "last_crash_lost_folios:\t%llu\n",
		   READ_ONCE(buf->last_crash_lost_folios));
	seq_printf(m, "last_crash_lost_bytes:\t%llu\n",
		   READ_ONCE(buf->last_crash_lost_bytes));
	count_dirty(buf, &folios, &bytes);
	seq_printf(m, "dirty_folios:\t%llu\n", folios);
	seq_printf(m, "dirty_bytes:\t%llu\n", bytes);
	seq_printf(m, "cached_bytes:\t%llu\n", vmademo_cached_bytes(buf));
}
