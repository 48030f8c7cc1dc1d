/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A model of the names in a tree: which directory has which name for which file, what was done
 * to them since when, and what a power cut may leave of it.
 */
#ifndef VMADEMO_NAMES_MODEL_H
#define VMADEMO_NAMES_MODEL_H

#include <dirent.h>

#include "../lib/tree.h"
#include "vmademo_test.h"

#define OBJECTS \
	160 /* files and directories of a round; 0 is none, 1 the root */
#define NAMES 4 /* in each directory: a, b, c, d */
#define PENDING \
	10 /* operations that are not durable, so that all subsets can be tried */

enum type { NONE, FILE_, DIRECTORY };

enum kind { CREATE, LINK, UNLINK, RENAME, EXCHANGE, CHMOD, TRUNCATE };

/* Parts of a rename or an exchange. */
#define FROM 1
#define TO   2
#define ALL  (FROM | TO)

struct op {
	enum kind kind;
	int dir, name, obj;
	int to_dir, to_name, victim;
	mode_t old_mode, mode;
	int size; /* pages; never the one that it has */
	int forced; /* parts that are durable by an fsync */
};

struct names {
	short entry[OBJECTS][NAMES];
	short mode[OBJECTS];
	short size[OBJECTS]; /* pages */
};

struct model {
	enum type type[OBJECTS];
	ino_t ino[OBJECTS];
	int objects;
	struct names now, durable;
	struct op op[PENDING];
	int ops;
	/* After the cut: how many operations are missing */
	int missing;
};

static inline const char *name_of(int name)
{
	static const char *const names[NAMES] = { "a", "b", "c", "d" };

	return names[name];
}

/* ---- what is there ------------------------------------------------------- */

static inline bool is_empty(const struct names *s, int dir)
{
	for (int n = 0; n < NAMES; n++)
		if (s->entry[dir][n])
			return false;
	return true;
}

static inline int parent_of(const struct model *m, const struct names *s, int dir)
{
	for (int d = 1; d < m->objects; d++)
		for (int n = 0; n < NAMES; n++)
			if (m->type[d] == DIRECTORY && s->entry[d][n] == dir)
				return d;
	return 0;
}

/* Is the one the other, or above it? */
static inline bool is_above(const struct model *m, const struct names *s,
			    int above, int dir)
{
	for (int depth = 0; dir && depth < OBJECTS; depth++) {
		if (dir == above)
			return true;
		dir = parent_of(m, s, dir);
	}
	return false;
}

static inline bool is_there(const struct model *m, const struct names *s, int dir)
{
	return is_above(m, s, 1, dir);
}

static inline int links_to(const struct names *s, int obj)
{
	int links = 0;

	for (int d = 1; d < OBJECTS; d++)
		for (int n = 0; n < NAMES; n++)
			links += s->entry[d][n] == obj;
	return links;
}

/* ---- operations ---------------------------------------------------------- */

/* May this name become one for that file, which was where it was before? */
static inline bool may_replace(const struct model *m, const struct names *s,
			       const struct op *op)
{
	int victim = op->victim;
	bool over_dir, is_dir;

	if (!victim)
		return true;
	over_dir = m->type[victim] == DIRECTORY;
	is_dir = m->type[op->obj] == DIRECTORY;
	return over_dir == is_dir && (!is_dir || is_empty(s, victim));
}

static inline bool may_move(const struct model *m, const struct names *s,
			    int obj, int to_dir)
{
	return m->type[obj] != DIRECTORY || !is_above(m, s, obj, to_dir);
}

/* Can this part of the operation be done? */
static inline bool is_valid(const struct model *m, const struct names *s,
			    const struct op *op, int part)
{
	if (op->kind == CHMOD)
		return s->mode[op->obj] == op->old_mode;
	if (part & FROM && !is_there(m, s, op->dir))
		return false;
	if (part & TO && op->to_dir && !is_there(m, s, op->to_dir))
		return false;
	switch (op->kind) {
	case CREATE:
	case LINK:
		return !s->entry[op->dir][op->name];
	case UNLINK:
		return s->entry[op->dir][op->name] == op->obj &&
		       (m->type[op->obj] != DIRECTORY || is_empty(s, op->obj));
	case RENAME:
		if (part & FROM && s->entry[op->dir][op->name] != op->obj)
			return false;
		return !(part & TO) ||
		       (s->entry[op->to_dir][op->to_name] == op->victim &&
			may_replace(m, s, op) &&
			may_move(m, s, op->obj, op->to_dir));
	case EXCHANGE:
		return s->entry[op->dir][op->name] == op->obj &&
		       s->entry[op->to_dir][op->to_name] == op->victim &&
		       may_move(m, s, op->obj, op->to_dir) &&
		       may_move(m, s, op->victim, op->dir);
	case TRUNCATE:
		return s->size[op->obj] != op->size;
	case CHMOD:
		break;
	}
	return false;
}

static inline void apply(struct names *s, const struct op *op, int part)
{
	switch (op->kind) {
	case CREATE:
	case LINK:
		s->entry[op->dir][op->name] = op->obj;
		break;
	case UNLINK:
		s->entry[op->dir][op->name] = 0;
		break;
	case RENAME:
		if (part & FROM)
			s->entry[op->dir][op->name] = 0;
		if (part & TO)
			s->entry[op->to_dir][op->to_name] = op->obj;
		break;
	case EXCHANGE:
		s->entry[op->dir][op->name] = op->victim;
		s->entry[op->to_dir][op->to_name] = op->obj;
		break;
	case CHMOD:
		s->mode[op->obj] = op->mode;
		break;
	case TRUNCATE:
		s->size[op->obj] = op->size;
		break;
	}
}

/* With names=ordered: the operations up to this one are durable. */
static inline void commit(struct model *m, int last)
{
	for (int i = 0; i <= last; i++)
		apply(&m->durable, &m->op[i], ALL);
	m->ops -= last + 1;
	memmove(m->op, m->op + last + 1, m->ops * sizeof(*m->op));
}

/* An operation has been done.  Only the last size of a file can be undone. */
static inline void add(struct model *m, const struct op *op)
{
	apply(&m->now, op, ALL);
	for (int i = m->ops - 1; i >= 0 && op->kind == TRUNCATE; i--) {
		if (m->op[i].kind != TRUNCATE || m->op[i].obj != op->obj)
			continue;
		if (i == m->ops - 1) {
			m->op[i].size = op->size;
			return;
		}
		commit(m, i);
		break;
	}
	m->op[m->ops++] = *op;
}

/* ---- what the tree has --------------------------------------------------- */

static inline bool walk(const struct model *m, const struct names *s, int dir,
			int fd, int *seen, char *why)
{
	int subdirs = 0;
	struct stat st;

	for (int n = 0; n < NAMES; n++) {
		int obj = s->entry[dir][n], sub;
		bool same;

		if (fstatat(fd, name_of(n), &st, AT_SYMLINK_NOFOLLOW)) {
			if (!obj)
				continue;
			sprintf(why, "%d/%s: %s, not %d", dir, name_of(n),
				strerror(errno), obj);
			return false;
		}
		if (!obj || st.st_ino != m->ino[obj]) {
			sprintf(why, "%d/%s: inode %lu, not %d", dir,
				name_of(n), (long)st.st_ino, obj);
			return false;
		}
		(*seen)++;
		if ((st.st_mode & 07777) != s->mode[obj]) {
			sprintf(why, "%d/%s: mode %o, not %o", dir, name_of(n),
				st.st_mode & 07777, s->mode[obj]);
			return false;
		}
		if (m->type[obj] != DIRECTORY &&
		    st.st_size != (off_t)s->size[obj] * PAGE) {
			sprintf(why, "%d/%s: %ld bytes, not %d pages", dir,
				name_of(n), (long)st.st_size, s->size[obj]);
			return false;
		}
		if (m->type[obj] != DIRECTORY) {
			if ((int)st.st_nlink == links_to(s, obj))
				continue;
			sprintf(why, "%d/%s: %d links, not %d", dir, name_of(n),
				(int)st.st_nlink, links_to(s, obj));
			return false;
		}
		subdirs++;
		sub = openat(fd, name_of(n), O_RDONLY | O_DIRECTORY);
		if (sub < 0) {
			sprintf(why, "%d/%s: open: %s", dir, name_of(n),
				strerror(errno));
			return false;
		}
		same = walk(m, s, obj, sub, seen, why);
		close(sub);
		if (!same)
			return false;
	}
	fstat(fd, &st);
	if ((int)st.st_nlink == 2 + subdirs)
		return true;
	sprintf(why, "%d: %d links, not %d", dir, (int)st.st_nlink, 2 + subdirs);
	return false;
}

/* What readdir(3) lists, which is not asked name by name. */
static inline int listed(int fd)
{
	int sub = openat(fd, ".", O_RDONLY | O_DIRECTORY), count = 0;
	DIR *dir = fdopendir(sub);
	struct dirent *e;

	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		count++;
		if (e->d_type == DT_DIR) {
			int inner = openat(fd, e->d_name, O_RDONLY | O_DIRECTORY);

			count += listed(inner);
			close(inner);
		}
	}
	closedir(dir);
	return count;
}

/* Is this what there is in the tree?  If not, why says what is not so. */
static inline bool is_so(const struct model *m, const struct names *s, int root,
			 char *why)
{
	int seen = 0;

	if (!walk(m, s, 1, root, &seen, why))
		return false;
	if (listed(root) == seen)
		return true;
	sprintf(why, "%d names are listed, not %d", listed(root), seen);
	return false;
}

/* ---- what a cut may leave ------------------------------------------------ */

/* With names=ordered: so many of the operations, the first ones. */
static inline bool is_prefix(struct model *m, int kept, int root, char *why)
{
	struct names s = m->durable;

	for (int i = 0; i < kept; i++)
		apply(&s, &m->op[i], ALL);
	if (!is_so(m, &s, root, why))
		return false;
	m->now = s;
	return true;
}

/* With names=posix: these, and what was made durable; if that can be so at all. */
static inline bool is_subset(const struct model *m, unsigned int kept,
			     struct names *s)
{
	*s = m->durable;
	for (int i = 0; i < m->ops; i++) {
		const struct op *op = &m->op[i];
		int part = kept & 1U << i ? ALL : op->forced;

		if (!part)
			continue;
		if (!is_valid(m, s, op, part))
			return false;
		apply(s, op, part);
	}
	return true;
}

/* Any of them, as long as none takes a name away that was not there. */
static inline bool is_any_subset(struct model *m, int root, char *why)
{
	for (unsigned int kept = 0; kept < 1U << m->ops; kept++) {
		struct names s;

		if (!is_subset(m, kept, &s) || !is_so(m, &s, root, why))
			continue;
		m->now = s;
		m->missing = m->ops - __builtin_popcount(kept);
		return true;
	}
	sprintf(why, "none of %u subsets", 1U << m->ops);
	return false;
}

#endif /* VMADEMO_NAMES_MODEL_H */
