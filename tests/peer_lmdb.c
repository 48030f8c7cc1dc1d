// SPDX-License-Identifier: GPL-2.0-only
/*
 * LMDB, a database that nobody here wrote, in a buffer whose power is cut at any of its
 * writes, write-outs and flushes.  With what it does by default, and with WRITEMAP, each
 * transaction that it acknowledged is there afterwards, and not a half of another one.  NOMETASYNC
 * loses one at most.  NOSYNC, and WRITEMAP with MAPASYNC, promise nothing: there the cut that
 * breaks them is found.
 *
 * VMADEMO_STEPS: a hundred for each cut.  VMADEMO_SEED: of the first one.
 */
#if __SIZEOF_POINTER__ == 8 && __has_include(<lmdb.h>)
#include <lmdb.h>
#define HAVE_LMDB 1
#endif

#include <stdatomic.h>

#include "kselftest_harness.h"
#include "rules.h"

KEEP_A_RULE

#ifndef HAVE_LMDB
TEST(lmdb)
{
	SKIP(return, "built without LMDB");
}
#else

#define COMMITS	 24
#define KEYS	 40
#define PER_TXN	 4
#define MAP_SIZE (4 * MIB)

/* What a transaction does: a key, and how long its value is; 0 deletes it. */
static uint32_t mix(uint32_t n)
{
	n = (n ^ (n >> 16)) * 0x45d9f3bU;
	n = (n ^ (n >> 16)) * 0x45d9f3bU;
	return n ^ (n >> 16);
}

static uint32_t key_of(int commit, int i)
{
	return mix(commit * 31 + i) % KEYS;
}

static size_t length_of(int commit, int i)
{
	return mix(commit * 77 + i) % 5 ? mix(commit * 13 + i) % 700 + 8 : 0;
}

/* ---- the program --------------------------------------------------------- */

static MDB_env *open_env(int fd, unsigned int flags)
{
	char path[64];
	MDB_env *env;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (mdb_env_create(&env))
		return NULL;
	mdb_env_set_mapsize(env, MAP_SIZE);
	if (mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOLOCK | flags, 0600)) {
		mdb_env_close(env);
		return NULL;
	}
	return env;
}

/* One transaction; it is number `commit`, and says so.  0 if it is acknowledged. */
static int commit_one(MDB_env *env, int commit)
{
	unsigned char bytes[1024];
	uint32_t key = KEYS;
	MDB_val k = { sizeof(key), &key }, v = { sizeof(commit), &commit };
	MDB_txn *txn;
	MDB_dbi dbi;
	int err = mdb_txn_begin(env, NULL, 0, &txn);

	if (err)
		return err;
	err = mdb_dbi_open(txn, NULL, 0, &dbi);
	if (!err)
		err = mdb_put(txn, dbi, &k, &v, 0);
	for (int i = 0; i < PER_TXN && !err; i++) {
		size_t len = length_of(commit, i);

		key = key_of(commit, i);
		memset(bytes, commit, len);
		v = (MDB_val){ len, bytes };
		err = len ? mdb_put(txn, dbi, &k, &v, 0)
			  : mdb_del(txn, dbi, &k, NULL);
		if (err == MDB_NOTFOUND)
			err = 0;
	}
	if (!err)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return err;
}

/* ---- what must be there -------------------------------------------------- */

struct model {
	int commit[KEYS]; /* whose value it is; 0: none */
	size_t length[KEYS];
};

static void replay(struct model *m, int commits)
{
	memset(m, 0, sizeof(*m));
	for (int c = 1; c <= commits; c++) {
		for (int i = 0; i < PER_TXN; i++) {
			uint32_t key = key_of(c, i);

			m->length[key] = length_of(c, i);
			m->commit[key] = m->length[key] ? c : 0;
		}
	}
}

/* Every byte as the model has it. */
static int is_whole(MDB_txn *txn, MDB_dbi dbi, int commits)
{
	struct model m;
	MDB_stat stat;
	size_t keys = 1;

	replay(&m, commits);
	for (uint32_t key = 0; key < KEYS; key++) {
		MDB_val k = { sizeof(key), &key }, v;
		int err = mdb_get(txn, dbi, &k, &v);

		if (!m.commit[key]) {
			if (err != MDB_NOTFOUND)
				return 0;
			continue;
		}
		keys++;
		if (err || v.mv_size != m.length[key])
			return 0;
		for (size_t i = 0; i < v.mv_size; i++)
			if (((unsigned char *)v.mv_data)[i] != m.commit[key])
				return 0;
	}
	return !mdb_stat(txn, dbi, &stat) && stat.ms_entries == keys;
}

/* How many transactions are there; -1 if what is there is broken. */
static int look(int fd, unsigned int flags)
{
	MDB_env *env = open_env(fd, flags);
	uint32_t key = KEYS;
	MDB_val k = { sizeof(key), &key }, v;
	MDB_txn *txn;
	MDB_dbi dbi;
	int commits = -1;

	if (!env || mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) ||
	    mdb_dbi_open(txn, NULL, 0, &dbi))
		return -1;
	if (!mdb_get(txn, dbi, &k, &v) && v.mv_size == sizeof(commits)) {
		memcpy(&commits, v.mv_data, sizeof(commits));
		if (commits < 1 || commits > COMMITS + 1 ||
		    !is_whole(txn, dbi, commits))
			commits = -1;
	}
	mdb_txn_abort(txn);
	/* And it takes another one */
	if (commits > 0 && commit_one(env, commits + 1))
		commits = -1;
	mdb_env_close(env);
	return commits;
}

/* In a process of its own: a broken database can make it crash. */
static int look_apart(int fd, unsigned int flags)
{
	int *found = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = fork();
	int commits;

	if (pid == 0) {
		*found = -1;
		alarm(60);
		*found = look(fd, flags);
		_exit(0);
	}
	commits = waitpid(pid, &commits, 0) == pid && WIFEXITED(commits) ? *found
									 : -1;
	munmap(found, PAGE);
	return commits;
}

/* ---- the cut ------------------------------------------------------------- */

static const uint32_t ops[] = { VMADEMO_OP_WRITE, VMADEMO_OP_MKWRITE,
				VMADEMO_OP_WRITE_OUT, VMADEMO_OP_FLUSH };

#define OPS (sizeof(ops) / sizeof(ops[0]))

FIXTURE(lmdb)
{
	unsigned int events[OPS];
};

FIXTURE_VARIANT(lmdb)
{
	unsigned int flags;
	int may_lose; /* acknowledged ones; or that many is found: */
	bool breaks;
};

FIXTURE_VARIANT_ADD(lmdb, by_default){};
FIXTURE_VARIANT_ADD(lmdb, writemap){ .flags = MDB_WRITEMAP };
FIXTURE_VARIANT_ADD(lmdb, nometasync){ .flags = MDB_NOMETASYNC, .may_lose = 1 };
FIXTURE_VARIANT_ADD(lmdb, nosync){ .flags = MDB_NOSYNC, .breaks = true };
FIXTURE_VARIANT_ADD(lmdb, mapasync){ .flags = MDB_WRITEMAP | MDB_MAPASYNC,
				     .breaks = true };

/* A buffer with one transaction in it, and nothing dirty. */
static int new_database(unsigned int flags)
{
	int fd = create_with(VMADEMO_STORE_RAM, 0, 0);
	MDB_env *env = open_env(fd, flags);

	if (fd < 0 || !env || commit_one(env, 1) || mdb_env_sync(env, 1))
		return -1;
	mdb_env_close(env);
	return fd;
}

/* The program runs until it is killed, or has done; how many were acknowledged. */
struct run {
	int go[2];
	pid_t pid;
	atomic_int *acknowledged;
};

static int start(struct run *r, int fd, unsigned int flags)
{
	if (pipe(r->go))
		return -1;
	r->acknowledged = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	atomic_store(r->acknowledged, 1);
	r->pid = fork();
	if (r->pid == 0) {
		MDB_env *env;
		char byte;

		close(r->go[1]);
		if (read(r->go[0], &byte, 1) != 1)
			_exit(1);
		env = open_env(fd, flags);
		for (int c = 2; env && c <= COMMITS; c++) {
			if (commit_one(env, c))
				break;
			atomic_store(r->acknowledged, c);
		}
		_exit(0);
	}
	close(r->go[0]);
	return r->pid < 0 ? -1 : 0;
}

static int finish(struct run *r)
{
	int acknowledged, status;

	if (write(r->go[1], "x", 1) != 1)
		return -1;
	close(r->go[1]);
	waitpid(r->pid, &status, 0);
	acknowledged = atomic_load(r->acknowledged);
	munmap(r->acknowledged, PAGE);
	return acknowledged;
}

/* Without a cut: how many events of each kind there are. */
FIXTURE_SETUP(lmdb)
{
	int64_t ids[OPS];
	struct run r;
	int fd = new_database(variant->flags);

	ASSERT_GE(fd, 0);
	for (size_t i = 0; i < OPS; i++) {
		ids[i] = ADD_RULE(fd, .op = ops[i], .skip = UINT64_MAX,
				  .delay_us = 1);
		ASSERT_LT(0, ids[i]);
	}
	ASSERT_EQ(0, start(&r, fd, variant->flags));
	ASSERT_EQ(COMMITS, finish(&r));
	for (size_t i = 0; i < OPS; i++)
		self->events[i] = get_rule(fd, ids[i]).matches;
	ASSERT_EQ(0, del_rule(fd, 0));
	ASSERT_EQ(COMMITS, look_apart(fd, variant->flags));
	TH_LOG("%u writes, %u first writes, %u write-outs, %u flushes",
	       self->events[0], self->events[1], self->events[2],
	       self->events[3]);
	close(fd);
}

FIXTURE_TEARDOWN(lmdb)
{
}

/* Which cut follows from the seed. */
static struct vmademo_rule cut_of(const unsigned int events[], unsigned int seed)
{
	static const uint32_t shares[] = { 0, 300, 500, 1000 };
	struct vmademo_rule rule = { .times = 1, .seed = seed };
	size_t op;

	do
		op = rand_r(&seed) % OPS;
	while (!events[op]);
	rule.op = ops[op];
	rule.skip = rand_r(&seed) % events[op];
	rule.share = shares[rand_r(&seed) % 4];
	rule.cut_torn = rand_r(&seed) % 3;
	rule.flags = VMADEMO_RULE_CRASH | VMADEMO_RULE_OFF | VMADEMO_RULE_KILL;
	if (op >= 2 && rand_r(&seed) % 2)
		rule.flags |= VMADEMO_RULE_AFTER;
	return rule;
}

TEST_F_TIMEOUT(lmdb, cut, 3000)
{
	const char *steps = getenv("VMADEMO_STEPS"),
		   *given = getenv("VMADEMO_SEED");
	const int rounds = steps && *steps ? atoi(steps) / 100 + 10 : 200;
	unsigned int first = given && *given ? strtoul(given, NULL, 0) : 1;
	int broken = 0, cuts = 0;

	for (int round = 0; round < rounds; round++) {
		unsigned int seed = first + round;
		struct vmademo_rule rule = cut_of(self->events, seed);
		int fd = new_database(variant->flags), acknowledged, left;
		struct run r;

		ASSERT_GE(fd, 0);
		ASSERT_EQ(0, start(&r, fd, variant->flags));
		rule.pid = r.pid;
		ASSERT_LT(0, add_rule(fd, rule)) TH_LOG("%s", strerror(errno));
		acknowledged = finish(&r);
		cuts += is_off(fd);
		ASSERT_EQ(0, power_on(fd));
		ASSERT_EQ(0, del_rule(fd, 0));
		left = look_apart(fd, variant->flags);
		close(fd);
		if (left <= acknowledged + 1 &&
		    left >= acknowledged - variant->may_lose)
			continue;
		if (!broken++)
			TH_LOG("seed %u: %d acknowledged, %d left", seed,
			       acknowledged, left);
		if (variant->breaks)
			break;
	}
	TH_LOG("%d cuts", cuts);
	EXPECT_LT(0, cuts);
	EXPECT_EQ(variant->breaks, broken > 0);
}
#endif /* HAVE_LMDB */

TEST_HARNESS_MAIN
