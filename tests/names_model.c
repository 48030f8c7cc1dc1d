// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random operations on the names of a tree, and power cuts, against a model in memory.  With
 * names=ordered a cut must leave what was there at some moment since the last fsync, sizes as
 * well; with names=posix, any operations that can stand without the others.  Directories stay
 * open over the cuts, and are used by their descriptors when they are there again.
 *
 * VMADEMO_SEED replays a run, VMADEMO_STEPS says how many operations: a third of them, for each
 * way.  A failure tells both.
 */
#include "kselftest_harness.h"
#include "names_model.h"

FIXTURE(names_model)
{
	struct model m;
	int fd[OBJECTS]; /* of each directory, and of each file */
	unsigned int seed, first_seed;
	int64_t step, lost, kept, cuts;
	bool posix, is_off;
	char why[200];
};

FIXTURE_VARIANT(names_model)
{
	const char *options;
	bool posix;
};

FIXTURE_VARIANT_ADD(names_model, ordered){
	.options = "store=ram",
};

FIXTURE_VARIANT_ADD(names_model, posix){
	.options = "store=ram,names=posix",
	.posix = true,
};

#define SELF struct __test_metadata *_metadata, FIXTURE_DATA(names_model) * self

#define TOLD(...)                                                        \
	TH_LOG("VMADEMO_SEED=%u step %" PRId64 ": %s", self->first_seed, \
	       self->step, self->why)

static unsigned int below(FIXTURE_DATA(names_model) * self, unsigned int n)
{
	return rand_r(&self->seed) / 7 % n;
}

/* A new tree; what was open in the old one is closed. */
static void start(SELF, const char *options)
{
	struct model *m = &self->m;
	struct stat st;

	memset(m, 0, sizeof(*m));
	ASSERT_EQ(0, mount_tree(options));
	self->fd[1] = open(TREE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_LE(0, self->fd[1]);
	ASSERT_EQ(0, fstat(self->fd[1], &st));
	m->objects = 2;
	m->type[1] = DIRECTORY;
	m->ino[1] = st.st_ino;
}

static void end(SELF)
{
	for (int i = 1; i < self->m.objects; i++)
		close(self->fd[i]);
	EXPECT_EQ(0, umount_tree()) TH_LOG("umount: %s", strerror(errno));
}

FIXTURE_SETUP(names_model)
{
	const char *seed = getenv("VMADEMO_SEED");

	umask(0);
	self->first_seed = seed && *seed ? strtoul(seed, NULL, 0) : 1;
	self->seed = self->first_seed;
	self->posix = variant->posix;
	start(_metadata, self, variant->options);
}

FIXTURE_TEARDOWN(names_model)
{
	end(_metadata, self);
}

/* ---- operations ---------------------------------------------------------- */

static int any_dir(FIXTURE_DATA(names_model) * self)
{
	int dir;

	do
		dir = 1 + below(self, self->m.objects - 1);
	while (self->m.type[dir] != DIRECTORY ||
	       !is_there(&self->m, &self->m.now, dir));
	return dir;
}

static int fd_of_new(FIXTURE_DATA(names_model) * self, const struct op *op)
{
	int dir = self->fd[op->dir];
	const char *name = name_of(op->name);

	if (op->kind == LINK)
		return open(TREE, O_TMPFILE | O_RDWR, op->mode);
	if (self->m.type[op->obj] == FILE_)
		return openat(dir, name, O_CREAT | O_EXCL | O_RDWR, op->mode);
	return mkdirat(dir, name, op->mode)
		       ? -1
		       : openat(dir, name, O_RDONLY | O_DIRECTORY);
}

/* A file or directory that comes with this operation. */
static int try_new(FIXTURE_DATA(names_model) * self, struct op *op)
{
	struct model *m = &self->m;
	char link[40];
	struct stat st;
	int fd, ret = 0;

	fd = fd_of_new(self, op);
	if (fd < 0)
		return -1;
	if (op->kind == LINK) {
		sprintf(link, "/proc/self/fd/%d", fd);
		ret = linkat(AT_FDCWD, link, self->fd[op->dir],
			     name_of(op->name), AT_SYMLINK_FOLLOW);
	}
	if (ret || fstat(fd, &st)) {
		close(fd);
		return -1;
	}
	m->ino[op->obj] = st.st_ino;
	/* It has that from the start, by whichever name it is found */
	m->now.mode[op->obj] = op->mode;
	m->durable.mode[op->obj] = op->mode;
	self->fd[op->obj] = fd;
	m->objects++;
	return 0;
}

/* Nothing is written: with its data, a size is durable as well. */
static int set_size(int fd, const struct op *op)
{
	if (op->mode & 1 && op->size)
		return fallocate(fd, 0, 0, op->size * PAGE);
	return ftruncate(fd, op->size * PAGE);
}

static int try_it(FIXTURE_DATA(names_model) * self, struct op *op)
{
	int dir = self->fd[op->dir], to = self->fd[op->to_dir];
	const char *name = name_of(op->name), *to_name = name_of(op->to_name);

	switch (op->kind) {
	case CREATE:
		return try_new(self, op);
	case LINK:
		if (op->obj == self->m.objects)
			return try_new(self, op);
		return linkat(to, to_name, dir, name, 0);
	case UNLINK:
		return unlinkat(dir, name,
				self->m.type[op->obj] == DIRECTORY ? AT_REMOVEDIR
								   : 0);
	case RENAME:
		return renameat(dir, name, to, to_name);
	case EXCHANGE:
		return renameat2(dir, name, to, to_name, RENAME_EXCHANGE);
	case CHMOD:
		return fchmodat(dir, name, op->mode, 0);
	case TRUNCATE:
		return set_size(self->fd[op->obj], op);
	}
	return -1;
}

static struct op choose(FIXTURE_DATA(names_model) * self)
{
	static const enum kind kinds[] = { CREATE,   CREATE,  CREATE,	LINK,
					   UNLINK,   UNLINK,  RENAME,	RENAME,
					   RENAME,   CHMOD,   EXCHANGE, LINK,
					   TRUNCATE, TRUNCATE };
	struct model *m = &self->m;
	struct op op = {
		.kind = kinds[below(self, ARRAY_SIZE(kinds))],
		.dir = any_dir(self),
		.name = below(self, NAMES),
		.to_name = below(self, NAMES),
		.mode = 0600 + below(self, 0100),
	};
	int other = any_dir(self);

	if (op.kind == TRUNCATE && self->posix)
		op.kind = CREATE;
	op.obj = m->now.entry[op.dir][op.name];
	if (op.kind == RENAME || op.kind == EXCHANGE) {
		op.to_dir = other;
		op.victim = m->now.entry[other][op.to_name];
	}
	/* To be linked: another name's file, or a new one that has none */
	if (op.kind == LINK) {
		op.to_dir = other;
		op.obj = m->now.entry[other][op.to_name];
	}
	if (op.kind == CHMOD)
		op.old_mode = m->now.mode[op.obj];
	if (op.kind == TRUNCATE) {
		/* Whether it has a name or not */
		op.obj = 1 + below(self, m->objects - 1);
		op.size = below(self, 8);
	}
	if (op.kind == CREATE || (op.kind == LINK && !op.obj)) {
		op.obj = m->objects;
		m->type[op.obj] = op.kind == CREATE && below(self, 2) ? DIRECTORY
								      : FILE_;
	}
	return op;
}

static bool should_work(const struct model *m, const struct op *op)
{
	if (!op->obj || (op->kind == EXCHANGE && !op->victim))
		return false;
	if (op->kind == LINK && m->type[op->obj] == DIRECTORY)
		return false;
	if (op->kind == TRUNCATE && m->type[op->obj] == DIRECTORY)
		return false;
	/* Two names of one file, or the same name: nothing is done */
	if (op->obj == op->victim)
		return true;
	return is_valid(m, &m->now, op, ALL);
}

static void do_one(SELF)
{
	struct op op = choose(self);
	struct model *m = &self->m;
	bool works = should_work(m, &op);
	int ret;

	/* The size that it has already; fallocate does not make it smaller */
	if (op.kind == TRUNCATE && works && m->now.size[op.obj] > op.size)
		op.mode &= ~1;
	if (op.kind == TRUNCATE && op.size == m->now.size[op.obj])
		return;
	if (op.kind == TRUNCATE && self->is_off)
		works = false;
	ret = try_it(self, &op);

	sprintf(self->why, "operation %d: %s", op.kind, strerror(errno));
	ASSERT_EQ(works ? 0 : -1, ret) TOLD();
	if (!works ||
	    ((op.kind == RENAME || op.kind == EXCHANGE) && op.obj == op.victim))
		return;
	if (op.kind == LINK)
		op.to_dir = 0;
	add(m, &op);
}

/* ---- what makes it durable ----------------------------------------------- */

static void all_durable(struct model *m)
{
	m->durable = m->now;
	m->ops = 0;
}

static void force(struct model *m, int obj)
{
	for (int i = 0; i < m->ops; i++) {
		struct op *op = &m->op[i];

		if (op->kind == CHMOD) {
			op->forced |= op->obj == obj ? ALL : 0;
			continue;
		}
		if (m->type[obj] != DIRECTORY)
			continue;
		if (op->dir == obj)
			op->forced |= op->kind == RENAME ? FROM : ALL;
		if (op->to_dir == obj)
			op->forced |= op->kind == RENAME ? TO : ALL;
	}
}

static void sync_something(SELF, bool posix)
{
	struct model *m = &self->m;
	int obj = 1 + below(self, m->objects - 1);

	/* A directory in which something was done, or there is little to see */
	if (m->ops && below(self, 2)) {
		const struct op *op = &m->op[below(self, m->ops)];

		obj = op->to_dir && below(self, 2) ? op->to_dir : op->dir;
	}
	if (!below(self, 4) || m->ops == PENDING) {
		ASSERT_EQ(0, syncfs(self->fd[1]));
		all_durable(m);
		return;
	}
	ASSERT_EQ(0, fsync(self->fd[obj]));
	if (posix)
		force(m, obj);
	else
		all_durable(m);
}

/* ---- power cuts ---------------------------------------------------------- */

static void tell_names(SELF, int dir, int fd)
{
	struct stat st;

	for (int n = 0; n < NAMES; n++) {
		int sub, obj = 1;

		if (fstatat(fd, name_of(n), &st, 0))
			continue;
		while (obj < self->m.objects && self->m.ino[obj] != st.st_ino)
			obj++;
		TH_LOG("%d/%s is %d", dir, name_of(n), obj);
		sub = openat(fd, name_of(n), O_RDONLY | O_DIRECTORY);
		if (sub >= 0)
			tell_names(_metadata, self, obj, sub);
		close(sub);
	}
}

/* What was not durable, and what there is. */
static void tell(SELF)
{
	static const char *const kinds[] = { "create", "link",	   "unlink",
					     "rename", "exchange", "chmod",
					     "size" };
	struct model *m = &self->m;

	for (int d = 1; d < m->objects; d++)
		for (int n = 0; n < NAMES; n++)
			if (m->durable.entry[d][n])
				TH_LOG("durable: %d/%s was %d", d, name_of(n),
				       m->durable.entry[d][n]);
	for (int i = 0; i < m->ops; i++) {
		const struct op *op = &m->op[i];

		TH_LOG("%s %s%d: %d/%s -> %d/%s, there: %d%s%s", kinds[op->kind],
		       m->type[op->obj] == DIRECTORY ? "directory " : "",
		       op->obj, op->dir, name_of(op->name), op->to_dir,
		       name_of(op->to_name), op->victim,
		       op->forced & FROM ? ", from is durable" : "",
		       op->forced & TO ? ", to is durable" : "");
	}
	tell_names(_metadata, self, 1, self->fd[1]);
}

/* Compares; and what was not kept may not have been, so from here on it is not. */
static void compare(SELF, bool posix, uint32_t permille, uint64_t lost)
{
	struct model *m = &self->m;
	int kept = m->ops - (int)lost;

	if (posix && permille < 1000) {
		/* Even of 0: an fsync makes what it needs durable as well */
		ASSERT_TRUE(is_any_subset(m, self->fd[1], self->why))
		{
			TOLD();
			tell(_metadata, self);
		}
	} else if (posix) {
		ASSERT_TRUE(is_so(m, &m->now, self->fd[1], self->why)) TOLD();
		ASSERT_EQ(0, lost);
	} else {
		ASSERT_LE(0, kept);
		ASSERT_TRUE(is_prefix(m, kept, self->fd[1], self->why)) TOLD();
		if (!permille || permille == 1000)
			ASSERT_EQ(permille ? 0 : m->ops, lost);
	}
	self->lost += lost;
	self->kept += m->ops - lost;
	self->cuts++;
	all_durable(m);
}

static uint32_t share(FIXTURE_DATA(names_model) * self)
{
	static const uint32_t shares[] = { 0, 500, 500, 300, 800, 1000 };

	return shares[below(self, ARRAY_SIZE(shares))];
}

static void crash(SELF, bool posix)
{
	struct vmademo_crash c = {
		.seed = below(self, 1U << 30),
		.written_permille = share(self),
	};
	const uint32_t permille = c.written_permille;

	ASSERT_EQ(0, ioctl(self->fd[1], VMADEMO_IOC_CRASH, &c));
	compare(_metadata, self, posix, permille, c.lost_names);
}

/* What is done while it is off is gone when it is on. */
static void switch_off_and_on(SELF, bool posix)
{
	struct vmademo_power p = {
		.flags = VMADEMO_POWER_OFF,
		.seed = below(self, 1U << 30),
		.written_permille = share(self),
	};
	struct vmademo_power on = { 0 };
	const uint32_t permille = p.written_permille;
	int n = below(self, PENDING);

	ASSERT_EQ(0, ioctl(self->fd[1], VMADEMO_IOC_POWER, &p));
	compare(_metadata, self, posix, permille, p.lost_names);
	self->is_off = true;
	while (n--)
		do_one(_metadata, self);
	self->is_off = false;
	ASSERT_EQ(-1, fsync(self->fd[1]));
	ASSERT_EQ(EIO, errno);
	ASSERT_EQ(0, ioctl(self->fd[1], VMADEMO_IOC_POWER, &on));
	self->m.now = self->m.durable;
	ASSERT_TRUE(is_so(&self->m, &self->m.now, self->fd[1], self->why))
	TOLD();
	self->m.ops = 0;
}

static void one_step(SELF, const char *options, bool posix)
{
	struct model *m = &self->m;
	unsigned int n = below(self, 40);

	if (m->objects > OBJECTS - PENDING - 2) {
		end(_metadata, self);
		start(_metadata, self, options);
	}
	if (n < 3)
		crash(_metadata, self, posix);
	else if (n == 3)
		switch_off_and_on(_metadata, self, posix);
	else if (n < 8 || m->ops == PENDING)
		sync_something(_metadata, self, posix);
	else
		do_one(_metadata, self);
	if (n == 39)
		ASSERT_TRUE(is_so(m, &m->now, self->fd[1], self->why)) TOLD();
}

TEST_F(names_model, random)
{
	const char *steps = getenv("VMADEMO_STEPS");
	int64_t n = (steps && *steps ? atoll(steps) : 60000) / 3;

	TH_LOG("VMADEMO_SEED=%u VMADEMO_STEPS=%" PRId64, self->first_seed, n);
	for (self->step = 0; self->step < n; self->step++)
		one_step(_metadata, self, variant->options, variant->posix);
	EXPECT_LT(0, self->lost);
	EXPECT_LT(0, self->kept);
	TH_LOG("%" PRId64 " cuts, %" PRId64 " operations lost, %" PRId64 " kept",
	       self->cuts, self->lost, self->kept);
}

TEST_HARNESS_MAIN
