// SPDX-License-Identifier: GPL-2.0-only
/*
 * The parameter store=: what stands behind the node.  Good values do what they say,
 * bad ones refuse the load with one line in the log; and what was written to a node
 * with a file is in the file.
 */
#include <sys/mount.h>
#include <sys/stat.h>

#include "params_fixture.h"
#include "stores.h"

#define FOLDER "/tmp/vmademo-params"
#define FILE_A FOLDER "/a"
#define KIND   "/sys/class/misc/vmademo/store"

/* A file of so many bytes, which are all 5; -1 if it cannot be made. */
static int make_file(size_t size)
{
	char bytes[PAGE];
	int fd;

	mkdir(FOLDER, 0700);
	fd = open(FILE_A, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	memset(bytes, 5, sizeof(bytes));
	for (size_t n; size; size -= n) {
		n = size < PAGE ? size : PAGE;
		if (write(fd, bytes, n) != n)
			return -1;
	}
	return fd;
}

static int byte_at(int fd, off_t at)
{
	unsigned char byte;

	return pread(fd, &byte, 1, at) == 1 ? byte : -1;
}

static off_t size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) ? -1 : st.st_size;
}

static void remove_file(void)
{
	unlink(FILE_A);
	rmdir(FOLDER);
}

TEST_F(params, kinds)
{
	RUN_IF_READY();

	char line[256];

	ASSERT_EQ(0, load_module("store=none"));
	EXPECT_EQ(1, log_lines(self->kmsg, line, sizeof(line)));
	EXPECT_NE(NULL, strstr(line, "67108864 bytes, store none"))
	TH_LOG("%s", line);
	EXPECT_TRUE(file_says(KIND, "none\n"));
	ASSERT_EQ(0, unload_module());

	ASSERT_EQ(0, load_module("store=ram size=1M"));
	EXPECT_EQ(1, log_lines(self->kmsg, line, sizeof(line)));
	EXPECT_NE(NULL, strstr(line, "1048576 bytes, store ram"))
	TH_LOG("%s", line);
	EXPECT_TRUE(file_says(KIND, "ram\n"));
	EXPECT_EQ(MIB, node_value("size"));
}

/* The node is cut off from the power like any buffer. */
TEST_F(params, power_cut_of_the_node)
{
	RUN_IF_READY();

	struct vmademo_crash c = { 0 };
	unsigned char *p;
	int fd;

	ASSERT_EQ(0, load_module("store=ram size=1M folio_size=1p"));
	fd = open(NODE, O_RDWR | O_CLOEXEC);
	ASSERT_GE(fd, 0);
	p = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	memset(p, 1, 4 * PAGE);
	ASSERT_EQ(0, msync(p, 2 * PAGE, MS_SYNC));
	ASSERT_EQ(0, ioctl(fd, VMADEMO_IOC_CRASH, &c));
	EXPECT_EQ(2, c.lost_folios);
	EXPECT_EQ(1, touch(p + PAGE));
	EXPECT_EQ(0, touch(p + 2 * PAGE));
	EXPECT_EQ(1, node_value("crashes"));
	EXPECT_EQ(2, node_value("lost_folios"));
	EXPECT_EQ(2, node_value("last_crash_lost_folios"));
	EXPECT_EQ(2 * (int64_t)PAGE, node_value("last_crash_lost_bytes"));
	EXPECT_EQ(1, node_value("data_flushes"));
	EXPECT_LT(0, node_value("read_in_folios"));
	EXPECT_EQ(0, node_value("power_off"));
	ASSERT_EQ(0, power_off(fd));
	EXPECT_EQ(1, node_value("power_off"));
	ASSERT_EQ(0, power_on(fd));
	EXPECT_EQ(0, node_value("power_off"));
	munmap(p, MIB);
	close(fd);
}

/* How many with a store there may be beside the node's; those without are not counted. */
TEST_F(params, how_many_stores)
{
	RUN_IF_READY();

	int fds[4], file;

	ASSERT_EQ(0, load_module("store=ram size=1M max_stores=2"));
	for (int i = 0; i < 2; i++) {
		fds[i] = create_with(VMADEMO_STORE_RAM, MIB, 0);
		ASSERT_GE(fds[i], 0);
	}
	file = make_file(3 * PAGE);
	ASSERT_GE(file, 0);
	for (int i = 0; i < 3; i++) {
		EXPECT_FAILS(ENFILE, create_with(VMADEMO_STORE_RAM, MIB, 0));
		EXPECT_FAILS(ENFILE, create_with(VMADEMO_STORE_FILE, MIB, file));
	}
	/* Refused, the file is as it was */
	EXPECT_EQ(3 * (off_t)PAGE, size_of(FILE_A));
	fds[2] = create_buffer(MIB);
	fds[3] = create_buffer(MIB);
	EXPECT_GE(fds[2], 0);
	EXPECT_GE(fds[3], 0);
	close(fds[1]);
	fds[1] = create_with(VMADEMO_STORE_FILE, MIB, file);
	EXPECT_GE(fds[1], 0);
	EXPECT_FAILS(ENFILE, create_with(VMADEMO_STORE_RAM, MIB, 0));
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	ASSERT_EQ(0, unload_module());

	ASSERT_EQ(0, load_module("max_stores=0"));
	EXPECT_FAILS(ENFILE, create_with(VMADEMO_STORE_RAM, MIB, 0));
	fds[0] = create_buffer(MIB);
	EXPECT_GE(fds[0], 0);
	close(fds[0]);
	close(file);
	remove_file();
}

/* Without size= it is that of the file, whatever that is. */
TEST_F(params, size_of_a_file)
{
	RUN_IF_READY();

	static const struct {
		const char *text;
		off_t has, node, then;
	} cases[] = {
		{ "store=" FILE_A, 192 * KIB, 192 * KIB, 192 * KIB },
		{ "store=" FILE_A, 100, 100, 100 },
		{ "store=" FILE_A " size=64K", 192 * KIB, 64 * KIB, 192 * KIB },
		{ "store=" FILE_A " size=192K", 192 * KIB, 192 * KIB, 192 * KIB },
		{ "size=256K store=" FILE_A, 192 * KIB, 256 * KIB, 256 * KIB },
		{ "size=256K store=" FILE_A, 0, 256 * KIB, 256 * KIB },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int file = make_file(cases[i].has), node;
		char line[256];

		ASSERT_GE(file, 0);
		ASSERT_EQ(0, load_module(cases[i].text))
		TH_LOG("%s: %s", cases[i].text, strerror(errno));
		EXPECT_EQ(1, log_lines(self->kmsg, line, sizeof(line)));
		EXPECT_NE(NULL, strstr(line, "store " FILE_A))
		TH_LOG("%s", line);
		EXPECT_TRUE(file_says(KIND, "file\n"));
		EXPECT_EQ(cases[i].node, node_value("size"));
		EXPECT_EQ(cases[i].then, size_of(FILE_A));
		node = open(NODE, O_RDWR | O_CLOEXEC);
		ASSERT_GE(node, 0);
		EXPECT_EQ(cases[i].has ? 5 : 0, byte_at(node, 0));
		/* The node's size is as fixed as without a file */
		EXPECT_FAILS(ENOSPC, pwrite(node, "x", 1, cases[i].node));
		close(node);
		close(file);
		ASSERT_EQ(0, unload_module());
		EXPECT_EQ(cases[i].then, size_of(FILE_A));
	}
	remove_file();
}

/* What is written to the node outlives the module, synced or not. */
TEST_F(params, durable)
{
	RUN_IF_READY();

	const char *const stores[] = { FILE_A, BLOCK_DEVICE };

	for (int i = 0; i < 2; i++) {
		const char *path = stores[i];
		char text[128];
		unsigned char *map;
		int node, file = make_file(16 * PAGE);

		ASSERT_GE(file, 0);
		close(file);
		if (access(path, R_OK | W_OK))
			continue;
		snprintf(text, sizeof(text), "store=%s", path);
		ASSERT_EQ(0, load_module(text));
		node = open(NODE, O_RDWR | O_CLOEXEC);
		ASSERT_GE(node, 0);
		map = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			   node, 0);
		ASSERT_NE(MAP_FAILED, map);
		memset(map, 77, PAGE);
		EXPECT_EQ(0, msync(map, PAGE, MS_SYNC));
		memset(map + 3 * PAGE, 78, PAGE);
		munmap(map, 16 * PAGE);
		ASSERT_EQ(4, pwrite(node, "data", 4, 5 * PAGE));
		close(node);
		ASSERT_EQ(0, unload_module());

		file = open(path, O_RDONLY | O_CLOEXEC);
		ASSERT_GE(file, 0);
		EXPECT_EQ(77, byte_at(file, 0)) TH_LOG("%s", path);
		EXPECT_EQ(78, byte_at(file, 4 * PAGE - 1)) TH_LOG("%s", path);
		EXPECT_EQ('d', byte_at(file, 5 * PAGE)) TH_LOG("%s", path);
		close(file);

		ASSERT_EQ(0, load_module(text));
		node = open(NODE, O_RDONLY | O_CLOEXEC);
		ASSERT_GE(node, 0);
		EXPECT_EQ(77, byte_at(node, 0));
		EXPECT_EQ(78, byte_at(node, 4 * PAGE - 1));
		EXPECT_EQ('d', byte_at(node, 5 * PAGE));
		close(node);
		ASSERT_EQ(0, unload_module());
	}
	remove_file();
}

/* What cannot be written to is a node to be read. */
TEST_F(params, read_only)
{
	RUN_IF_READY();

	struct vmademo_info info;
	int file = make_file(2 * PAGE), node, view;

	ASSERT_GE(file, 0);
	close(file);
	ASSERT_EQ(0, mount(FOLDER, FOLDER, NULL, MS_BIND, NULL));
	ASSERT_EQ(0, mount(NULL, FOLDER, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY,
			   NULL));
	ASSERT_EQ(0, load_module("store=" FILE_A));
	EXPECT_FAILS(EROFS, open(NODE, O_RDWR));
	EXPECT_FAILS(EROFS, open(NODE, O_WRONLY));
	node = open(NODE, O_RDONLY | O_CLOEXEC);
	ASSERT_GE(node, 0);
	EXPECT_EQ(5, byte_at(node, 2 * PAGE - 1));
	ASSERT_EQ(0, ioctl(node, VMADEMO_IOC_INFO, &info));
	EXPECT_EQ(VMADEMO_INFO_READ_ONLY, info.flags);
	EXPECT_EQ(MAP_FAILED,
		  mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, node, 0));
	EXPECT_EQ(EACCES, errno);
	view = open_file_view(node);
	ASSERT_GE(view, 0);
	EXPECT_FAILS(EROFS, reopen(view, O_RDWR));
	close(view);
	close(node);
	ASSERT_EQ(0, unload_module());
	EXPECT_EQ(0, umount(FOLDER));
	remove_file();
}

TEST_F(params, bad_stores)
{
	RUN_IF_READY();

	static const char *const path = "must be none, ram, or a path";
	static const char *const kind = "not a file or block device";
	static const char *const less = "and cannot grow";
	static const char *const open_it = "cannot be opened";
	const struct bad_parameters bad[] = {
		{ "store=", path, EINVAL },
		{ "store=disk", path, EINVAL },
		{ "store=RAM", path, EINVAL },
		{ "store=none,ram", path, EINVAL },
		{ "store=./a", path, EINVAL },
		{ "store=" FOLDER "/missing", open_it, ENOENT },
		{ "store=" FOLDER "/missing size=1p", open_it, ENOENT },
		{ "store=" FILE_A "/b", open_it, ENOTDIR },
		{ "store=" FOLDER, kind, EINVAL },
		{ "store=/", kind, EINVAL },
		{ "store=/dev/null", kind, EINVAL },
		{ "store=/proc/version", kind, EINVAL },
		{ "store=/proc/self/maps size=1p", kind, EINVAL },
		{ "store=" FILE_A, "is empty", EINVAL },
		{ "store=" BLOCK_DEVICE " size=1G", less, EINVAL },
	};
	int file = make_file(0);

	ASSERT_GE(file, 0);
	close(file);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (strstr(bad[i].text, BLOCK_DEVICE) &&
		    access(BLOCK_DEVICE, R_OK))
			continue;
		expect_refused(_metadata, self->kmsg, &bad[i]);
	}
	EXPECT_EQ(0, size_of(FILE_A));
	remove_file();
}

/* A block device that is in use, and a file that may not be written to and is too small. */
TEST_F(params, stores_that_others_have)
{
	RUN_IF_READY();

	char line[256];
	int file;

	if (!access(BLOCK_DEVICE, R_OK | W_OK)) {
		file = open(BLOCK_DEVICE, O_RDWR | O_EXCL | O_CLOEXEC);
		ASSERT_GE(file, 0);
		EXPECT_FAILS(EBUSY, load_module("store=" BLOCK_DEVICE));
		EXPECT_EQ(1, log_lines(self->kmsg, line, sizeof(line)));
		EXPECT_NE(NULL, strstr(line, "cannot be opened: -"))
		TH_LOG("%s", line);
		close(file);
	}
	file = make_file(PAGE);
	ASSERT_GE(file, 0);
	close(file);
	ASSERT_EQ(0, mount(FOLDER, FOLDER, NULL, MS_BIND, NULL));
	ASSERT_EQ(0, mount(NULL, FOLDER, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY,
			   NULL));
	EXPECT_FAILS(EINVAL, load_module("store=" FILE_A " size=2p"));
	EXPECT_EQ(1, log_lines(self->kmsg, line, sizeof(line)));
	EXPECT_NE(NULL, strstr(line, in_bytes("has less than size=2p")))
	TH_LOG("%s", line);
	EXPECT_EQ(0, umount(FOLDER));
	remove_file();
}

/* A file that may not grow, which only growing it tells. */
TEST_F(params, sealed_store)
{
	RUN_IF_READY();

	char text[64];
	struct bad_parameters bad = { text, "failed to make /dev/vmademo: -",
				      EPERM };
	int file = memfd_create("sealed", MFD_ALLOW_SEALING | MFD_CLOEXEC);

	ASSERT_GE(file, 0);
	ASSERT_EQ(0, ftruncate(file, PAGE));
	ASSERT_EQ(0, fcntl(file, F_ADD_SEALS, F_SEAL_GROW));
	snprintf(text, sizeof(text), "store=/proc/self/fd/%d size=2p", file);
	expect_refused(_metadata, self->kmsg, &bad);
	snprintf(text, sizeof(text), "store=/proc/self/fd/%d size=1p", file);
	EXPECT_EQ(0, load_module(text));
	EXPECT_EQ((int64_t)PAGE, node_value("size"));
	EXPECT_EQ(0, unload_module());
	close(file);
}

TEST_HARNESS_MAIN
