// SPDX-License-Identifier: GPL-2.0-only
/*
 * The counters of a buffer (counters.h), and how they are shown: the node's as one
 * value a file under /sys/class/misc/NODE/; those of any buffer in
 * /proc/PID/fdinfo/N, under the same names.  Counting is in vmademo.h, inline: one
 * addition.  The sums are made here, when somebody reads.
 *
 * What is dirty or cached now is not counted but looked up in the page cache,
 * so that the counters can be checked against it:
 *
 *   dirtied = written + discarded + lost + dirty,
 *
 * at rest: in bytes, and in folios where none is large.
 *
 * Locks: the mapping's i_mmap_rwsem, to count mappings; the page cache is walked
 * under RCU.  past_lock, alone: around what trees keep of files that are gone.
 */
#include <linux/backing-dev.h>
#include <linux/device.h>
#include <linux/pagemap.h>
#include <linux/seq_file.h>
#include <linux/spinlock.h>
#include <linux/sysfs.h>
#include <linux/vmademo.h>

#include "compat.h"
#include "power.h"
#include "rules.h"
#include "store/store.h"
#include "vmademo.h"

static DEFINE_SPINLOCK(past_lock);

static struct vmademo_buffer *buffer_of_device(struct device *dev)
{
	/* misc_register() makes the miscdevice the device's driver data */
	struct miscdevice *misc = dev_get_drvdata(dev);

	return container_of(misc, struct vmademo_node, misc)->buf;
}

/**
 * vmademo_counter_sum() - one counter of a buffer
 * @buf: the buffer
 * @counter: which
 *
 * Context: Any.
 * Return: folios, bytes or events, as the counter says.
 */
u64 vmademo_counter_sum(const struct vmademo_buffer *buf,
			enum vmademo_counter counter)
{
	u64 sum = 0;
	int i;

	if (counter >= VMADEMO_NR_OFTEN)
		return atomic64_read(&buf->seldom[counter - VMADEMO_NR_OFTEN]);
	for (i = 0; i < VMADEMO_STRIPES; i++)
		sum += atomic64_read(&buf->often[i].count[counter]);
	return sum;
}

/**
 * vmademo_mappings() - how many VMAs map a buffer at this moment
 * @buf: the buffer
 *
 * Walks the kernel's own tree of them: each VMA of each process, shared or private.
 *
 * Context: May sleep.  Takes the mapping's i_mmap_rwsem.
 * Return: their number.
 */
long vmademo_mappings(const struct vmademo_buffer *buf)
{
	struct address_space *mapping = buf->inode->i_mapping;
	struct rb_node *node;
	long n = 0;

	i_mmap_lock_read(mapping);
	for (node = rb_first_cached(&mapping->i_mmap); node; node = rb_next(node))
		n++;
	i_mmap_unlock_read(mapping);
	return n;
}

#define FIELD(NAME, name)							\
	[VMADEMO_##NAME] = offsetof(struct vmademo_stats, name),
#define FIELDS(NAME, name)							\
	FIELD(NAME, name##_folios) FIELD(NAME##_BYTES, name##_bytes)

static const u16 stats_fields[VMADEMO_NR_COUNTERS] = {
	VMADEMO_COUNTERS(FIELD, FIELDS)
};

/**
 * vmademo_stats_fill() - all counters of a buffer
 * @buf: the buffer
 * @stats: filled, but for its size and flags
 *
 * Context: Any.
 */
void vmademo_stats_fill(const struct vmademo_buffer *buf, struct vmademo_stats *stats)
{
	int i;

	stats->last_crash_lost_folios = READ_ONCE(buf->last_crash_lost_folios);
	stats->last_crash_lost_bytes = READ_ONCE(buf->last_crash_lost_bytes);
	for (i = 0; i < VMADEMO_NR_COUNTERS; i++)
		*(__u64 *)((void *)stats + stats_fields[i]) = vmademo_counter_sum(buf, i);
}

static void add(const struct vmademo_buffer *buf, struct vmademo_stats *to)
{
	int i;

	for (i = 0; i < VMADEMO_NR_COUNTERS; i++)
		*(__u64 *)((void *)to + stats_fields[i]) += vmademo_counter_sum(buf, i);
}

/**
 * vmademo_stats_keep() - a file of a tree has ended: its counters stay with the tree
 * @buf: its buffer, which nobody else knows
 *
 * Context: Any but an interrupt.
 */
void vmademo_stats_keep(const struct vmademo_buffer *buf)
{
	spin_lock(&past_lock);
	add(buf, &buf->tree->past);
	spin_unlock(&past_lock);
}

/**
 * vmademo_stats_name_hit() - a rule has acted on an operation on names of a tree
 * @tree: the tree
 *
 * Context: Any but an interrupt.
 */
void vmademo_stats_name_hit(struct vmademo_tree *tree)
{
	spin_lock(&past_lock);
	tree->past.rule_hits++;
	spin_unlock(&past_lock);
}

/**
 * vmademo_stats_of_tree() - all counters of all files of a tree, together
 * @tree: the tree
 * @stats: filled, but for its size and flags.  A file that is just ending may be missing
 *
 * Context: May sleep.
 */
void vmademo_stats_of_tree(struct vmademo_tree *tree, struct vmademo_stats *stats)
{
	struct vmademo_buffer *buf = NULL;
	u32 size = stats->size;

	spin_lock(&past_lock);
	*stats = tree->past;
	spin_unlock(&past_lock);
	stats->size = size;
	stats->last_crash_lost_folios = READ_ONCE(tree->cut.lost_folios);
	stats->last_crash_lost_bytes = READ_ONCE(tree->cut.lost_bytes);
	while ((buf = vmademo_power_next(tree, buf)))
		add(buf, stats);
}

static ssize_t counter_show(struct device *dev, struct device_attribute *attr,
			    char *page);

#define EVENT_ATTR(NAME, name)						\
	[VMADEMO_##NAME] = __ATTR(name, 0444, counter_show, NULL),
#define FOLIOS_ATTRS(NAME, name)					\
	[VMADEMO_##NAME] = __ATTR(name##_folios, 0444, counter_show, NULL), \
	[VMADEMO_##NAME##_BYTES] =					\
		__ATTR(name##_bytes, 0444, counter_show, NULL),

static struct device_attribute counter_attrs[VMADEMO_NR_COUNTERS] = {
	VMADEMO_COUNTERS(EVENT_ATTR, FOLIOS_ATTRS)
};

static ssize_t counter_show(struct device *dev, struct device_attribute *attr,
			    char *page)
{
	return sysfs_emit(page, "%llu\n",
			  vmademo_counter_sum(buffer_of_device(dev),
					      attr - counter_attrs));
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

/* For root: to look walks all of the page cache that is dirty */
static DEVICE_ATTR_ADMIN_RO(dirty_folios);

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
static DEVICE_ATTR_ADMIN_RO(dirty_bytes);

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
	return sysfs_emit(page, "%ld\n", vmademo_mappings(buffer_of_device(dev)));
}
static DEVICE_ATTR_ADMIN_RO(mappings);

/* Of all buffers, against the parameter ram_limit */
static ssize_t ram_used_show(struct device *dev, struct device_attribute *attr,
			     char *page)
{
	return sysfs_emit(page, "%llu\n",
			  (u64)atomic_long_read(&vmademo_room_used) << PAGE_SHIFT);
}
static DEVICE_ATTR_RO(ram_used);

static ssize_t size_show(struct device *dev, struct device_attribute *attr,
			 char *page)
{
	return sysfs_emit(page, "%lld\n",
			  i_size_read(buffer_of_device(dev)->inode));
}
static DEVICE_ATTR_RO(size);

static ssize_t revoked_show(struct device *dev, struct device_attribute *attr,
			    char *page)
{
	return sysfs_emit(page, "%d\n", READ_ONCE(buffer_of_device(dev)->revoked));
}
static DEVICE_ATTR_RO(revoked);

static ssize_t power_off_show(struct device *dev, struct device_attribute *attr,
			      char *page)
{
	return sysfs_emit(page, "%d\n", vmademo_is_off(buffer_of_device(dev)));
}
static DEVICE_ATTR_RO(power_off);

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

static ssize_t features_show(struct device *dev, struct device_attribute *attr,
			     char *page)
{
	return vmademo_features(page);
}
static DEVICE_ATTR_RO(features);

#define EVENT_POINTER(NAME, name)					\
	&counter_attrs[VMADEMO_##NAME].attr,
#define FOLIOS_POINTERS(NAME, name)					\
	EVENT_POINTER(NAME, name) EVENT_POINTER(NAME##_BYTES, name)

static struct attribute *vmademo_stats_attrs[] = {
	&dev_attr_size.attr,
	&dev_attr_store.attr,
	&dev_attr_mappings.attr,
	&dev_attr_revoked.attr,
	&dev_attr_power_off.attr,
	VMADEMO_COUNTERS(EVENT_POINTER, FOLIOS_POINTERS)
	&dev_attr_last_crash_lost_folios.attr,
	&dev_attr_last_crash_lost_bytes.attr,
	&dev_attr_dirty_folios.attr,
	&dev_attr_dirty_bytes.attr,
	&dev_attr_cached_bytes.attr,
	&dev_attr_ram_used.attr,
	&dev_attr_features.attr,
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
 * vmademo_show_fdinfo() - .show_fdinfo: the counters of the buffer behind a file
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
	seq_printf(m, "folio_size:\t%lu\n", PAGE_SIZE << buf->order);
	seq_printf(m, "bdi:\t%s\n", bdi_dev_name(buf->inode->i_sb->s_bdi));
	seq_printf(m, "mappings:\t%ld\n", vmademo_mappings(buf));
	seq_printf(m, "revoked:\t%d\n", READ_ONCE(buf->revoked));
	seq_printf(m, "power_off:\t%d\n", vmademo_is_told_off(buf));
	for (i = 0; i < VMADEMO_NR_COUNTERS; i++)
		seq_printf(m, "%s:\t%llu\n", counter_attrs[i].attr.name,
			   vmademo_counter_sum(buf, i));
	seq_printf(m, "last_crash_lost_folios:\t%llu\n",
		   READ_ONCE(buf->last_crash_lost_folios));
	seq_printf(m, "last_crash_lost_bytes:\t%llu\n",
		   READ_ONCE(buf->last_crash_lost_bytes));
	count_dirty(buf, &folios, &bytes);
	seq_printf(m, "dirty_folios:\t%llu\n", folios);
	seq_printf(m, "dirty_bytes:\t%llu\n", bytes);
	seq_printf(m, "cached_bytes:\t%llu\n", vmademo_cached_bytes(buf));
}
