// SPDX-License-Identifier: GPL-2.0-only
/*
 * LMDB: lmdb_work work|careless|check DIR [ACK].  The keys 1, 2, 3 ... are promised in ACK, one a
 * line, and must be there as they were written.
 */
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEYS 20

static int must(const char *what, int err)
{
	if (err && err != MDB_NOTFOUND) {
		printf("%s: %s\n", what, mdb_strerror(err));
		exit(1);
	}
	return err;
}

static MDB_val value_of(int n)
{
	static char text[4000];
	int len = 0;

	while (len < 1500)
		len += sprintf(text + len, "%d", n);
	return (MDB_val){ len, text };
}

static int promised(const char *path)
{
	FILE *f = fopen(path, "r");
	int n = 0;

	while (f && fscanf(f, "%d", &n) == 1)
		;
	return n;
}

static void work(MDB_env *env, const char *dir)
{
	/* The file itself, and its name, are LMDB's user's to make durable */
	if (fsync(open(dir, O_RDONLY)))
		exit(1);
	for (int n = 1; n < KEYS; n++) {
		MDB_val key = { sizeof(n), &n }, value = value_of(n);
		MDB_txn *txn;
		MDB_dbi dbi;

		must("begin", mdb_txn_begin(env, NULL, 0, &txn));
		must("open", mdb_dbi_open(txn, NULL, 0, &dbi));
		must("put", mdb_put(txn, dbi, &key, &value, 0));
		must("commit", mdb_txn_commit(txn));
		dprintf(3, "%d\n", n);
	}
}

static void check(MDB_env *env, int number)
{
	MDB_txn *txn;
	MDB_dbi dbi;

	must("begin", mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
	must("open", mdb_dbi_open(txn, NULL, 0, &dbi));
	for (int n = 1; n <= number; n++) {
		MDB_val key = { sizeof(n), &n }, want = value_of(n), value;

		if (must("get", mdb_get(txn, dbi, &key, &value)) ||
		    value.mv_size != want.mv_size ||
		    memcmp(value.mv_data, want.mv_data, want.mv_size)) {
			printf("promised %d missing %d\n", number, n);
			exit(1);
		}
	}
	mdb_txn_abort(txn);
}

int main(int argc, char **argv)
{
	int careless = !strcmp(argv[1], "careless");
	int number = !strcmp(argv[1], "check") ? promised(argv[3]) : -1;
	MDB_env *env;
	char *path;

	/* Before the first promise it may be anything */
	if (!number)
		return 0;
	if (argc < 3 || asprintf(&path, "%s/db", argv[2]) < 0)
		return 1;
	if (number < 0 && mkdir(path, 0700))
		return 1;
	must("create", mdb_env_create(&env));
	must("mapsize", mdb_env_set_mapsize(env, 1 << 20));
	must("open",
	     mdb_env_open(env, path, careless ? MDB_WRITEMAP | MDB_NOSYNC : 0,
			  0600));
	if (number < 0)
		work(env, argv[2]);
	else
		check(env, number);
	mdb_env_close(env);
	return 0;
}
