/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A program with a database of SQLite's: transactions that can be counted afterwards.
 */
#ifndef VMADEMO_SQLITE_H
#define VMADEMO_SQLITE_H

#if __SIZEOF_POINTER__ == 8 && __has_include(<sqlite3.h>)
#include <sqlite3.h>
#define HAVE_SQLITE 1

#include <stdarg.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "vmademo_test.h"

#define COMMITS 40

static const char *const journals[] = { "DELETE", "WAL", "TRUNCATE", "PERSIST" };

static inline int say_sql(sqlite3 *db, const char *format, ...)
{
	char sql[256];
	va_list args;

	va_start(args, format);
	vsnprintf(sql, sizeof(sql), format, args);
	va_end(args);
	return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static inline sqlite3 *open_db(const char *path, const char *journal,
			       const char *synchronous)
{
	sqlite3 *db;

	if (sqlite3_open(path, &db) ||
	    say_sql(db, "PRAGMA journal_mode=%s", journal) ||
	    say_sql(db, "PRAGMA synchronous=%s", synchronous))
		return NULL;
	return db;
}

/* Row n is there if and only if transaction n is, and each has changed row 0. */
static inline int commit_one(sqlite3 *db, int n)
{
	return say_sql(db, "BEGIN") ||
	       say_sql(db, "INSERT INTO t VALUES (%d, %d, hex(zeroblob(%d)))",
		       n, n, n * 37 % 900) ||
	       say_sql(db, "UPDATE t SET v = %d WHERE k = 0", n) ||
	       say_sql(db, "COMMIT");
}

/* In a process of its own: when it is told to go, it commits, and says which it has. */
static inline void commit_until_killed(const char *path, const char *journal,
				       const char *synchronous,
				       atomic_int *acknowledged, int go[2])
{
	sqlite3 *db;
	char byte;

	close(go[1]);
	if (read(go[0], &byte, 1) != 1)
		_exit(1);
	db = open_db(path, journal, synchronous);
	for (int n = 1; db && n <= COMMITS && !commit_one(db, n); n++)
		atomic_store(acknowledged, n);
	pause();
	_exit(1);
}

static inline int make_db(const char *path, const char *journal)
{
	sqlite3 *db = open_db(path, journal, "FULL");
	int err = !db ||
		  say_sql(db, "CREATE TABLE t(k INTEGER PRIMARY KEY, v, b)") ||
		  say_sql(db, "INSERT INTO t VALUES (0, 0, '')");

	sqlite3_close(db);
	sync();
	return err;
}

static inline int take_number(void *arg, int columns, char **values, char **names)
{
	*(int *)arg = columns == 1 && values[0] ? atoi(values[0]) : -1;
	return 0;
}

static inline int ask(sqlite3 *db, const char *sql)
{
	int n = -1;

	return sqlite3_exec(db, sql, take_number, &n, NULL) ? -1 : n;
}

#define BROKEN \
	"SELECT count(*) FROM pragma_integrity_check() WHERE integrity_check <> 'ok'"
#define WHOLE \
	"SELECT count(*) FROM t WHERE k > 0 AND k = v AND length(b) = 2 * (k * 37 % 900)"

/* How many transactions are there; -1 if it is broken. */
static inline int look(const char *path, const char *journal)
{
	sqlite3 *db = open_db(path, journal, "FULL");
	int commits;

	if (!db || ask(db, BROKEN))
		return -1;
	commits = ask(db, "SELECT v FROM t WHERE k = 0");
	if (commits != ask(db, WHOLE) ||
	    commits != ask(db, "SELECT count(*) - 1 FROM t") ||
	    commit_one(db, commits + 1))
		commits = -1;
	sqlite3_close(db);
	return commits;
}

static inline int look_apart(const char *path, const char *journal)
{
	int *found = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = fork();
	int commits;

	if (pid == 0) {
		*found = -1;
		alarm(120);
		*found = look(path, journal);
		_exit(0);
	}
	commits = waitpid(pid, &commits, 0) == pid && WIFEXITED(commits) ? *found
									 : -1;
	munmap(found, PAGE);
	return commits;
}

#endif /* __has_include */
#endif /* VMADEMO_SQLITE_H */
