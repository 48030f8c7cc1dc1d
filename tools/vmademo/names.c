// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names of files by the number of their inode: most tracepoints tell the number only.
 */
#include <fts.h>
#include <sys/stat.h>

#include "names.h"

static void add(struct names *names, uint64_t ino, const char *name)
{
	names->name = must_alloc(names->name,
				 (names->nr + 1) * sizeof(*names->name));
	names->name[names->nr++] =
		(struct name){ .ino = ino, .name = must_print("%s", name) };
}

/**
 * names_walk() - learn the names of all files and directories below a directory
 * @names: gets those that it does not have yet; what has a name keeps it
 * @dir: the directory; names are told from there, and its own is ""
 */
void names_walk(struct names *names, const char *dir)
{
	char *const dirs[] = { (char *)dir, NULL };
	size_t len = strlen(dir) + 1;
	FTSENT *entry;
	FTS *walk = fts_open(dirs, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);

	while (walk && (entry = fts_read(walk)))
		if ((entry->fts_info == FTS_F || entry->fts_info == FTS_D) &&
		    !names_of(names, entry->fts_statp->st_ino))
			add(names, entry->fts_statp->st_ino,
			    entry->fts_pathlen < len ? ""
						     : entry->fts_path + len);
	if (walk)
		fts_close(walk);
}

/**
 * names_learn() - a file or directory has got a name
 * @names: learns it if the directory is known
 * @dir: the directory's inode
 * @ino: that of the file
 * @name: its name there
 */
void names_learn(struct names *names, uint64_t dir, uint64_t ino, const char *name)
{
	const char *parent = names_of(names, dir);
	char *path;

	if (!parent)
		return;
	path = must_print("%s%s%s", parent, *parent ? "/" : "", name);
	for (size_t i = 0; i < names->nr; i++)
		if (names->name[i].ino == ino) {
			free(names->name[i].name);
			names->name[i].name = path;
			return;
		}
	add(names, ino, path);
	free(path);
}

/* NULL: it is not known. */
const char *names_of(const struct names *names, uint64_t ino)
{
	for (size_t i = 0; i < names->nr; i++)
		if (names->name[i].ino == ino)
			return names->name[i].name;
	return NULL;
}

void names_free(struct names *names)
{
	for (size_t i = 0; i < names->nr; i++)
		free(names->name[i].name);
	free(names->name);
	*names = (struct names){ 0 };
}
