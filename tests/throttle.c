// SPDX-License-Identifier: GPL-2.0-only
/*
 * A writer that is faster than the store is made to wait, so that not all of memory
 * becomes dirty: balance_dirty_pages() in the kernel, called after each first write by
 * a mapping, and by write(2).  How much may be dirty is the administrator's to say: for
 * the machine in /proc/sys/vm, for the device in /sys/class/bdi.
 */
#include <pthread.h>
#include <sys/mount.h>

#include "kselftest_harness.h"
#include "stores.h"

#define SIZE  (32 * MIB)
#define LIMIT (int64_t)(4 * MIB)

static const char dirty_bytes[] = "/proc/sys/vm/dirty_bytes";
static const char dirty_ratio[] = "/proc/sys/vm/dirty_ratio";
static const char tracing[] = "/sys/kernel/tracing";

FIXTURE(throttle)
{
	const char *skip;
	int fd, lower;
	unsigned char *map;
	int64_t ratio;
};

FIXTURE_VARIANT(throttle)
{
	enum store_kind kind;
	bool by_write;
};

FIXTURE_VARIANT_ADD(throttle, ram_mapping){
	.kind = STORE_RAM,
};

FIXTURE_VARIANT_ADD(throttle, ram_write){
	.kind = STORE_RAM,
	.by_write = true,
};

FIXTURE_VARIANT_ADD(throttle, ext4_mapping){
	.kind = STORE_EXT4,
};

FIXTURE_SETUP(throttle)
{
	self->ratio = read_number(dirty_ratio);
	self->fd = create_store(variant->kind, SIZE, &self->lower);
	if (self->fd < 0 && errno == ENODEV) {
		self->skip = "no such store on this machine";
		return;
	}
	ASSERT_GE(self->fd, 0) TH_LOG("create: %s", strerror(errno));
	self->map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
	sync();
}

FIXTURE_TEARDOWN(throttle)
{
	char text[24];

	if (self->skip)
		return;
	snprintf(text, sizeof(text), "%" PRId64, self->ratio);
	write_text(dirty_ratio, text); /* this clears dirty_bytes */
	write_text("/sys/kernel/tracing/events/writeback/balance_dirty_pages/enable",
		   "0");
	/* At rest: the flusher may still be at work */
	EXPECT_EQ(0, fsync(self->fd));
	EXPECT_ACCOUNT_ADDS_UP(self->fd);
	EXPECT_EQ(0, account_of(self->fd).dirty_folios);
	munmap(self->map, SIZE);
	end_store(variant->kind, self->fd, self->lower);
}

struct watch {
	int fd;
	int stop;
	int64_t most; /* that was dirty of the buffer, in bytes */
	int64_t machine; /* and of the whole machine: Dirty: */
};

/* A second pair of eyes on the account. */
static void *watch_dirty(void *arg)
{
	struct watch *w = arg;

	while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
		int64_t dirty = fd_value(w->fd, "dirty_bytes");
		int64_t machine = meminfo("Dirty");

		if (dirty > w->most)
			w->most = dirty;
		if (machine > w->machine)
			w->machine = machine;
		usleep(20000);
	}
	return NULL;
}

/* Writes to every page, and returns what was dirty at most. */
static struct watch most_dirty(struct __test_metadata *_metadata,
			       FIXTURE_DATA(throttle) * self, bool by_write)
{
	struct watch w = { .fd = self->fd };
	char page[PAGE_MAX] = { 1 };
	pthread_t thread;

	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, pthread_create(&thread, NULL, watch_dirty, &w));
	for (size_t at = 0; at < SIZE; at += PAGE) {
		if (by_write) {
			ASSERT_EQ(PAGE, pwrite(self->fd, page, PAGE, at));
		} else {
			put(self->map + at, 1);
		}
	}
	__atomic_store_n(&w.stop, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	TH_LOG("at most %" PRId64 " KiB dirty, %" PRId64 " in the machine",
	       w.most / 1024, w.machine / 1024);
	return w;
}

/*
 * With the limits as they are, much of it may be dirty.  (All of it, if no test before
 * this one has lowered them: the kernel follows slowly.)
 */
TEST_F(throttle, not_below_the_limits)
{
	RUN_IF_READY();

	struct watch w = most_dirty(_metadata, self, variant->by_write);

	/* A buffer on a file is limited to its share from 1/64 of the memory on */
	EXPECT_LT(variant->kind == STORE_RAM ? 3 * LIMIT : LIMIT / 4, w.most);
	EXPECT_LT(variant->kind == STORE_RAM ? 3 * LIMIT : LIMIT / 4, w.machine);
}

/* The machine's limit: the flusher starts, and the writer waits for it. */
TEST_F(throttle, by_dirty_bytes)
{
	RUN_IF_READY();

	struct watch w;

	ASSERT_EQ(0, write_text(dirty_bytes, "4194304"));
	w = most_dirty(_metadata, self, variant->by_write);
	EXPECT_GE(LIMIT + (int64_t)MIB, w.most);
	/* What the file below has dirty counts too */
	EXPECT_GE(LIMIT + (int64_t)MIB, w.machine);
	EXPECT_LT(0, account_of(self->fd).written_bytes);
}

/*
 * How often the kernel wanted somebody to wait who wrote to this device; -1: no telling.  On
 * a slow machine the pause may be over by then, and less than 0 is left of it.
 */
static int pauses(void)
{
	char line[1024];
	int count = 0;
	FILE *f = fopen("/sys/kernel/tracing/trace", "r");

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		if (strstr(line, "bdi vmademo") && strstr(line, " pause="))
			count++;
	}
	fclose(f);
	return count;
}

static void trace_pauses(void)
{
	if (access("/sys/kernel/tracing/events", F_OK))
		mount("tracefs", tracing, "tracefs", 0, NULL);
	write_text("/sys/kernel/tracing/trace", "0");
	write_text("/sys/kernel/tracing/events/writeback/balance_dirty_pages/enable",
		   "1");
}

/* The device's own limit: a share of the machine's, and strict. */
TEST_F(throttle, by_strict_limit)
{
	RUN_IF_READY();

	struct watch w, more;
	int64_t limit;

	if (access(bdi_file(self->fd, "strict_limit"), W_OK))
		SKIP(return, "this kernel has no strict_limit for devices (6.2)");
	ASSERT_EQ(0, write_text(dirty_bytes, "268435456"));
	ASSERT_EQ(0, write_text(bdi_file(self->fd, "strict_limit"), "1"));
	ASSERT_EQ(0, write_text(bdi_file(self->fd, "max_ratio"), "2"));
	limit = 268435456 / 100 * 2;
	trace_pauses();
	w = most_dirty(_metadata, self, variant->by_write);
	EXPECT_GE(limit + (int64_t)MIB, w.most);
	/* The limit is the device's: a disk below it has its own */
	if (variant->kind == STORE_RAM)
		EXPECT_GE(limit + (int64_t)MIB, w.machine);
	EXPECT_LT(0, account_of(self->fd).written_bytes);
	if (pauses() >= 0)
		EXPECT_LT(0, pauses());

	/* A larger share, and more may be dirty; if write-back is not as fast as who writes */
	ASSERT_EQ(0, write_text(bdi_file(self->fd, "max_ratio"), "50"));
	for (int i = 0; i < 3; i++) {
		more = most_dirty(_metadata, self, variant->by_write);
		if (w.most < more.most)
			break;
	}
	/* Large folios are so few that it depends on when one looks */
	if (folios_are_pages(self->fd))
		EXPECT_LT(w.most, more.most);
}

TEST_HARNESS_MAIN
