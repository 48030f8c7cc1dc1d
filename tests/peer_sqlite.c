// SPDX-License-Identifier: GPL-2.0-only
/*
 * SQLite on ext4 on a loop device on a buffer, none of which anybody here wrote.  The power of
 * the buffer is cut, and stays off until the file system is unmounted: so what that has in its
 * own memory is lost, too.  With synchronous=FULL each transaction that was acknowledged is there
 * afterwards, but for the last one with journal_mode=DELETE: there it is committed when the
 * journal is unlinked, and only EXTRA syncs the directory.  With OFF, and with FULL on a file
 * system without barriers, more are lost.
 *
 * VMADEMO_STEPS: a thousand for each cut.  VMADEMO_SEED: of the first one.
 * VMADEMO_EXT4_IMAGE: an empty ext4 file system with a journal.
 */
#include <stdatomic.h>
#include <sys/mount.h>

#include <linux/loop.h>

#include "kselftest_harness.h"
#include "rules.h"
#include "sqlite.h"

KEEP_A_RULE

#ifndef HAVE_SQLITE
TEST(sqlite)
{
	SKIP(return, "built without SQLite");
}
#else

#define MOUNT	"/tmp/vmademo-sqlite"
#define FILE_DB MOUNT "/db"

/* ---- the file system ----------------------------------------------------- */

struct tree {
	int fd; /* the buffer */
	int loop;
	char device[32];
	const char *options;
};

/* 0, or -1 and errno. */
static int mount_tree(struct tree *t)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), n;
	struct loop_config c = { .fd = t->fd };

	if (control < 0)
		return -1;
	n = ioctl(control, LOOP_CTL_GET_FREE);
	close(control);
	snprintf(t->device, sizeof(t->device), "/dev/loop%d", n);
	t->loop = open(t->device, O_RDWR | O_CLOEXEC);
	if (t->loop < 0 || ioctl(t->loop, LOOP_CONFIGURE, &c))
		return -1;
	mkdir(MOUNT, 0700);
	if (!mount(t->device, MOUNT, "ext4", MS_NOATIME, t->options))
		return 0;
	ioctl(t->loop, LOOP_CLR_FD);
	close(t->loop);
	return -1;
}

static int unmount_tree(struct tree *t)
{
	int err = umount(MOUNT);

	ioctl(t->loop, LOOP_CLR_FD);
	close(t->loop);
	return err;
}

/* ---- the cut ------------------------------------------------------------- */

FIXTURE(sqlite)
{
	const char *skip;
	int images[4]; /* with a database, by its journal */
};

FIXTURE_VARIANT(sqlite)
{
	const char *options, *synchronous;
	bool breaks;
};

FIXTURE_VARIANT_ADD(sqlite, full){ .synchronous = "FULL" };
FIXTURE_VARIANT_ADD(sqlite, off){ .synchronous = "OFF", .breaks = true };
FIXTURE_VARIANT_ADD(sqlite, nobarrier){ .synchronous = "FULL",
					.options = "barrier=0",
					.breaks = true };

FIXTURE_SETUP(sqlite)
{
	const char *image = getenv("VMADEMO_EXT4_IMAGE");
	int from = image && *image ? open(image, O_RDONLY | O_CLOEXEC) : -1;
	struct stat st;
	unsigned char *bytes;

	system("modprobe -q loop; modprobe -q ext4");
	if (from < 0 || access("/dev/loop-control", R_OK | W_OK)) {
		self->skip = "no VMADEMO_EXT4_IMAGE, or no loop device";
		return;
	}
	ASSERT_EQ(0, fstat(from, &st));
	bytes = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, from, 0);
	ASSERT_NE(MAP_FAILED, bytes);
	for (int i = 0; i < 4; i++) {
		struct tree t = { .options = variant->options };

		t.fd = create_with(VMADEMO_STORE_RAM, st.st_size, 0);
		ASSERT_GE(t.fd, 0);
		ASSERT_EQ(st.st_size, pwrite(t.fd, bytes, st.st_size, 0));
		ASSERT_EQ(0, mount_tree(&t)) TH_LOG("%s", strerror(errno));
		ASSERT_EQ(0, make_db(FILE_DB, journals[i]));
		ASSERT_EQ(0, unmount_tree(&t));
		ASSERT_EQ(0, fsync(t.fd));
		self->images[i] = t.fd;
	}
	munmap(bytes, st.st_size);
	close(from);
}

FIXTURE_TEARDOWN(sqlite)
{
	for (int i = 0; i < 4 && !self->skip; i++)
		close(self->images[i]);
}

/* Commits until it is killed. */
static pid_t start(struct tree *t, const char *journal, const char *synchronous,
		   atomic_int *acknowledged, int go[2])
{
	pid_t pid = fork();

	if (pid)
		return pid;
	close(t->fd);
	close(t->loop);
	commit_until_killed(FILE_DB, journal, synchronous, acknowledged, go);
	return 0;
}

/*
 * One cut, that follows from the seed: at a write-out or flush of the loop device, or when so
 * many transactions are acknowledged.  The process is killed then.  Sets how many it was told
 * of before; returns how many are there, -1 if all is broken, -2 if the test is.
 */
static int cut_one(int image, const char *journal, const char *synchronous,
		   const char *options, unsigned int seed, int *told_of)
{
	atomic_int *acknowledged = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
					MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct tree t = { .options = options };
	struct vmademo_power off = { .flags = VMADEMO_POWER_OFF, .seed = seed };
	const int after = rand_r(&seed) % (COMMITS - 1) + 1,
		  by_rule = rand_r(&seed) % 2;
	struct vmademo_rule rule = {
		.op = rand_r(&seed) % 3 ? VMADEMO_OP_WRITE_OUT : VMADEMO_OP_FLUSH,
		.times = 1,
		.seed = seed,
		.flags = VMADEMO_RULE_CRASH | VMADEMO_RULE_OFF | VMADEMO_RULE_KILL,
	};
	int go[2], left = -2, status;
	pid_t pid;

	rule.share = rand_r(&seed) % 4 * 333;
	rule.cut_torn = rand_r(&seed) % 3;
	off.written_permille = rule.share;
	off.torn = rule.cut_torn;
	rule.skip = rand_r(&seed) % (rule.op == VMADEMO_OP_FLUSH ? 40 : 300);
	t.fd = take_snapshot(image, NULL);
	if (t.fd < 0 || pipe(go) || mount_tree(&t))
		return -2;
	pid = start(&t, journal, synchronous, acknowledged, go);
	rule.pid = pid;
	/* Without barriers, and without sync, these events do not come */
	if (!by_rule || options || !strcmp(synchronous, "OFF") ||
	    add_rule(t.fd, rule) > 0) {
		close(go[0]);
		write(go[1], "x", 1);
		close(go[1]);
		while (!is_off(t.fd) && atomic_load(acknowledged) < after &&
		       !waitpid(pid, &status, WNOHANG))
			usleep(500);
		*told_of = atomic_load(acknowledged);
		power(t.fd, off);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		unmount_tree(&t);
		if (!power_on(t.fd) && !del_rule(t.fd, 0)) {
			left = -1;
			if (!mount_tree(&t)) {
				left = look_apart(FILE_DB, journal);
				unmount_tree(&t);
			}
		}
	}
	close(t.fd);
	munmap(acknowledged, PAGE);
	return left;
}

TEST_F_TIMEOUT(sqlite, cut, 3000)
{
	RUN_IF_READY();

	const char *steps = getenv("VMADEMO_STEPS"),
		   *given = getenv("VMADEMO_SEED");
	const int rounds = steps && *steps ? atoi(steps) / 1000 + 6 : 30;
	unsigned int first = given && *given ? strtoul(given, NULL, 0) : 1;
	int broken = 0;

	for (int round = 0; round < rounds && !(variant->breaks && broken);
	     round++) {
		unsigned int seed = first + round;
		int acknowledged = 0;
		int left = cut_one(self->images[seed % 4], journals[seed % 4],
				   variant->synchronous, variant->options, seed,
				   &acknowledged);

		ASSERT_NE(-2, left) TH_LOG("%s", strerror(errno));
		/* One more may be there, that was not told of any more */
		if (left >= acknowledged - (seed % 4 == 0) && left <= COMMITS)
			continue;
		if (!broken++)
			TH_LOG("seed %u, journal %s: %d acknowledged, %d left",
			       seed, journals[seed % 4], acknowledged, left);
	}
	EXPECT_EQ(variant->breaks, broken > 0);
}
#endif /* HAVE_SQLITE */

TEST_HARNESS_MAIN
