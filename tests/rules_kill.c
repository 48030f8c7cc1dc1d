// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules that cut the power: at a fault, and with the program killed; and which there cannot be,
 * by the request and in words.
 */
#include <sys/prctl.h>

#include "rules_crash.h"

KEEP_A_RULE

/* ---- faults -------------------------------------------------------------- */

/* A touch of the last page, which was not mapped, or to be written for the first time. */
static void touch_last(FIXTURE_DATA(store) * self, unsigned int op)
{
	unsigned char *last = self->map + (PAGES - 1) * PAGE;

	if (op == VMADEMO_OP_COW_FAULT)
		last = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE,
			    self->fd, (PAGES - 1) * PAGE);
	if (op == VMADEMO_OP_READ_FAULT)
		touch(last);
	else
		put(last, 'x');
}

TEST_F(store, faults)
{
	RUN_IF_READY();

	for (unsigned int op = 0; op <= VMADEMO_OP_MKWRITE; op++) {
		for (int off = 0; off < 2; off++) {
			int status, i;
			pid_t pid;

			old_and_new(_metadata, self);
			ASSERT_EQ(0, msync(self->map + (PAGES - 1) * PAGE, PAGE,
					   MS_SYNC));
			i = ADD_RULE(self->fd, .op = op, .start = PAGES - 1,
				     .times = 1,
				     .flags = CRASH | KILL | (off ? OFF : 0));
			ASSERT_LT(0, i);
			pid = fork();
			ASSERT_LE(0, pid);
			if (!pid) {
				touch_last(self, op);
				_exit(0);
			}
			ASSERT_EQ(pid, waitpid(pid, &status, 0));
			EXPECT_TRUE(WIFSIGNALED(status));
			EXPECT_EQ(SIGKILL, WTERMSIG(status))
			TH_LOG("op %u off %d", op, off);
			ASSERT_EQ(0, power_on(self->fd));
			for (i = 0; i < PAGES - 1; i++)
				EXPECT_EQ(0, new_parts(self->map + i * PAGE));
			EXPECT_EQ(PARTS, new_parts(self->map + i * PAGE));
			ASSERT_EQ(0, del_rule(self->fd, 0));
		}
	}
}

/* A fault that write(2) takes, with the lock that the cut needs. */
TEST_F(store, fault_of_a_write)
{
	RUN_IF_READY();

	memset(self->map, 'a', SIZE);
	ASSERT_EQ(0, fsync(self->fd));
	for (int i = 0; i < 20; i++) {
		size_t from = 1 + i % (PAGES - 1);
		int64_t id;
		ssize_t n;

		madvise(self->map, SIZE, MADV_DONTNEED);
		id = ADD_RULE(self->fd, .op = VMADEMO_OP_READ_FAULT,
			      .start = from, .times = 1, .flags = CRASH);
		ASSERT_LT(0, id);
		n = pwrite(self->fd, self->map + from * PAGE, PAGE, 0);
		EXPECT_EQ(PAGE, n);
		EXPECT_EQ(1, hits_of(self->fd, id));
		ASSERT_EQ(0, power_on(self->fd));
		ASSERT_EQ(0, del_rule(self->fd, 0));
		EXPECT_EQ('a', touch(self->map));
	}
}

/* ---- who is killed ------------------------------------------------------- */

/* The n-th write-out is the last thing that happens in this program's life. */
TEST_F(store, kill)
{
	RUN_IF_READY();
	NEED_SMALL_FOLIOS();

	static const uint32_t ops[] = { VMADEMO_OP_WRITE_OUT, VMADEMO_OP_FLUSH,
					VMADEMO_OP_WRITE };

	for (size_t i = 0; i < 3; i++) {
		int ready[2], go[2], status;
		char byte = 0;
		pid_t pid;

		ASSERT_EQ(0, pipe(ready));
		ASSERT_EQ(0, pipe(go));
		old_and_new(_metadata, self);
		ASSERT_EQ(0, power_cut(self->fd));
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			if (read(go[0], &byte, 1) != 1)
				_exit(1);
			for (size_t n = 0; n < PAGES; n++) {
				memset(self->map + n * PAGE, 'n', PAGE);
				msync(self->map + n * PAGE, PAGE, MS_SYNC);
				if (pwrite(self->fd, "n", 1, n * PAGE) != 1)
					_exit(2);
			}
			_exit(0);
		}
		ASSERT_LT(0,
			  ADD_RULE(self->fd, .op = ops[i], .skip = 4,
				   .times = 1, .flags = CRASH | KILL,
				   .pid = ops[i] == VMADEMO_OP_FLUSH ? 0 : pid));
		ASSERT_EQ(1, write(go[1], "x", 1));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		TH_LOG("op %u: %x", ops[i], status);
		ASSERT_EQ(0, power_on(self->fd));
		if (ops[i] == VMADEMO_OP_FLUSH)
			EXPECT_NEW(5);
		/* Each page is written out by msync, then dirty once more */
		EXPECT_EQ(PARTS, new_parts(self->map + PAGE));
		EXPECT_EQ(0, new_parts(self->map + 6 * PAGE));
		ASSERT_EQ(0, del_rule(self->fd, 0));
		for (int j = 0; j < 2; j++) {
			close(ready[j]);
			close(go[j]);
		}
	}
}

/* Nobody is killed whom the maker of the rule could not kill. */
TEST(may_kill)
{
	int fd = create_with(VMADEMO_STORE_RAM, SIZE, 0), status;
	pid_t pid;

	ASSERT_GE(fd, 0);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		int bad = 0;

		if (setgid(1000) || setuid(1000))
			_exit(100);
#define TRY(err, op_, pid_)                                                  \
	(bad |= (ADD_RULE(fd, .op = VMADEMO_OP_##op_, .flags = CRASH | KILL, \
			  .pid = pid_) > 0                                   \
			 ? 0                                                 \
			 : errno) != (err))
		TRY(EPERM, WRITE_OUT, 1);
		TRY(EPERM, WRITE_OUT, getppid());
		TRY(EPERM, READ, getppid());
		TRY(0, READ, getpid());
		TRY(0, WRITE_OUT, getpid());
		_exit(bad);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(2, count_rules(fd));
	/* The process is gone: nobody is killed, and the power is cut */
	ASSERT_EQ(1, pwrite(fd, "x", 1, 0));
	EXPECT_EQ(EIO, told(fd));
	ASSERT_EQ(0, power_on(fd));
	EXPECT_EQ(1, account_of(fd).crashes);
	/* The first process of all is never killed: there would be no machine */
	ASSERT_EQ(0, del_rule(fd, 0));
	ASSERT_LT(0, ADD_RULE(fd, .op = VMADEMO_OP_WRITE_OUT, .pid = 1,
			      .flags = CRASH | KILL));
	ASSERT_EQ(1, pwrite(fd, "x", 1, 0));
	EXPECT_EQ(EIO, told(fd));
	EXPECT_EQ(0, kill(1, 0));
	close(fd);
}

/* ---- a session ----------------------------------------------------------- */

/* Who is in it, and one who has left it. */
enum { LEADER, CALLER, SIBLING, OUTSIDER, PEOPLE };

struct people {
	pid_t pid[PEOPLE];
	int ready;
};

static void wait_for_all(struct people *people)
{
	__atomic_add_fetch(&people->ready, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&people->ready, __ATOMIC_SEQ_CST) < PEOPLE)
		usleep(1000);
}

/* `go` is closed when the rule is there; then the caller does what it is about. */
static void be(struct people *people, int who, int fd, int go, uid_t user)
{
	char byte;

	if (who == OUTSIDER)
		setsid();
	if (who == CALLER && setresuid(user, user, user))
		_exit(1);
	wait_for_all(people);
	if (who == CALLER && !read(go, &byte, 1))
		told(fd);
	pause();
}

/* A new session; the leader starts the others. */
static void start_people(struct people *people, int fd, int go[2], uid_t user)
{
	pid_t pid = fork();

	if (pid) {
		people->pid[LEADER] = pid;
		return;
	}
	close(go[1]);
	setsid();
	for (int i = CALLER; i < PEOPLE; i++) {
		pid = fork();
		if (!pid)
			be(people, i, fd, go[0], user);
		people->pid[i] = pid;
	}
	be(people, LEADER, fd, go[0], user);
}

/* A bit for each of them that was killed by the rule; then all are. */
static int who_was_killed(struct people *people)
{
	int killed = 0, status;
	pid_t pid;

	for (int i = 0; i < PEOPLE; i++) {
		for (int n = 0; n < 200; n++) {
			pid = waitpid(people->pid[i], &status, WNOHANG);
			if (pid || i == OUTSIDER)
				break;
			/* Not yet; or it is not going to be */
			usleep(5000);
		}
		if (pid == people->pid[i] && WIFSIGNALED(status) &&
		    WTERMSIG(status) == SIGKILL)
			killed |= 1 << i;
		kill(people->pid[i], SIGKILL);
		if (!pid)
			waitpid(people->pid[i], NULL, 0);
	}
	return killed;
}

/* The maker of the rule is `by`, the caller in it is `user`, all others are root. */
static int kill_people(struct __test_metadata *_metadata, uint32_t flags,
		       bool named, uid_t by, uid_t user)
{
	struct people *people = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int fd = create_with(VMADEMO_STORE_RAM, SIZE, 0), go[2], killed;
	int64_t id;

	ASSERT_NE(MAP_FAILED, people);
	ASSERT_EQ(1, pwrite(fd, "x", 1, 0));
	ASSERT_EQ(0, pipe(go));
	/* Who loses his parent is ours */
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
	start_people(people, fd, go, user);
	close(go[0]);
	while (__atomic_load_n(&people->ready, __ATOMIC_SEQ_CST) < PEOPLE)
		usleep(1000);
	ASSERT_EQ(0, seteuid(by));
	id = ADD_RULE(fd, .op = VMADEMO_OP_FLUSH,
		      .flags = CRASH | KILL | OFF | flags,
		      .pid = named ? people->pid[LEADER] : 0);
	ASSERT_EQ(0, seteuid(0));
	ASSERT_LT(0, id);
	close(go[1]);
	killed = who_was_killed(people);
	ASSERT_EQ(0, del_rule(fd, 0));
	ASSERT_EQ(0, power_on(fd));
	close(fd);
	munmap(people, PAGE);
	return killed;
}

#define KILLED(...) kill_people(_metadata, __VA_ARGS__)

TEST(session)
{
	const int all = 1 << LEADER | 1 << CALLER | 1 << SIBLING;

	EXPECT_EQ(1 << CALLER, KILLED(0, false, 0, 0));
	EXPECT_EQ(1 << LEADER, KILLED(0, true, 0, 0));
	EXPECT_EQ(all, KILLED(SESSION, false, 0, 0));
	EXPECT_EQ(all, KILLED(SESSION, true, 0, 0));
}

/* Somebody without CAP_KILL has his own killed, and nobody else. */
TEST(session_of_others)
{
	EXPECT_EQ(0, KILLED(0, false, 1000, 0));
	EXPECT_EQ(1 << CALLER, KILLED(0, false, 1000, 1000));
	EXPECT_EQ(0, KILLED(SESSION, false, 1000, 0));
	EXPECT_EQ(1 << CALLER, KILLED(SESSION, false, 1000, 1000));
}

/* ---- what is asked for --------------------------------------------------- */

TEST(refused)
{
	int fd = create_with(VMADEMO_STORE_RAM, PAGE, 0),
	    none = create_buffer(PAGE);

	ASSERT_GE(fd, 0);
	ASSERT_GE(none, 0);
#define BAD(...) EXPECT_FAILS(EINVAL, ADD_RULE(fd, __VA_ARGS__))
	for (unsigned int op = 0; op <= VMADEMO_OP_TRUNCATE; op++) {
		bool last = (op >= VMADEMO_OP_READ_IN && op <= VMADEMO_OP_FLUSH) ||
			    op == VMADEMO_OP_TRUNCATE;

		EXPECT_LT(0, ADD_RULE(fd, .op = op, .flags = CRASH));
		EXPECT_LT(0, ADD_RULE(fd, .op = op, .flags = CRASH | OFF,
				      .share = 1000, .cut_torn = UINT32_MAX));
		EXPECT_EQ(last,
			  ADD_RULE(fd, .op = op, .flags = CRASH | AFTER) > 0);
		EXPECT_EQ(op != VMADEMO_OP_WRITE_OUT,
			  ADD_RULE(fd, .op = op, .flags = CRASH | KILL) > 0);
		EXPECT_LT(0, ADD_RULE(fd, .op = op, .flags = CRASH | KILL,
				      .pid = getpid()));
		ASSERT_EQ(0, del_rule(fd, 0));
		BAD(.op = op, .flags = OFF);
		BAD(.op = op, .flags = KILL);
		BAD(.op = op, .flags = KILL | OFF, .delay_us = 1);
		BAD(.op = op, .flags = AFTER, .delay_us = 1);
		BAD(.op = op, .share = 1, .delay_us = 1);
		BAD(.op = op, .cut_torn = 1, .delay_us = 1);
		BAD(.op = op, .flags = CRASH, .share = VMADEMO_WRITTEN_ONE + 1);
		BAD(.op = op, .flags = CRASH | 64);
		BAD(.op = op, .flags = CRASH | SESSION);
		EXPECT_FAILS(EOPNOTSUPP,
			     ADD_RULE(none, .op = op, .flags = CRASH));
	}
	BAD(.op = VMADEMO_OP_WRITE_OUT, .flags = CRASH, .pid = getpid());
	BAD(.op = VMADEMO_OP_FLUSH, .flags = CRASH, .pid = getpid());
	BAD(.op = VMADEMO_OP_WRITE_OUT, .flags = CRASH | AFTER, .status = EIO);
	BAD(.op = VMADEMO_OP_WRITE_OUT, .flags = KILL, .pid = getpid(),
	    .status = EIO);
	EXPECT_FAILS(ESRCH, ADD_RULE(fd, .op = VMADEMO_OP_WRITE_OUT,
				     .flags = CRASH | KILL, .pid = 0x3fffffff));
	EXPECT_EQ(0, count_rules(fd));
	close(none);
	close(fd);
}

/* In words, and the words are told again. */
TEST(words)
{
	static const char *const good[] = {
		"op=write_out,skip=5,times=1,seed=7,share=300,cut_torn=2,crash,off,when=after",
		"op=read,crash",
		"op=flush,crash,kill,off",
		"op=flush,crash,kill,session",
		"op=write_out,torn=500,status=EIO,crash",
	};
	static const char *const bad[] = {
		"op=read,off",
		"op=read,kill,status=EIO",
		"op=read,crash,when=after",
		"op=flush,when=before,crash,when=before",
		"op=flush,crash,crash",
		"op=flush,crash,when=later",
		"op=flush,crash,when=",
		"op=flush,crash,share=1002",
		"op=flush,share=1,status=EIO",
		"op=flush,crash=1",
		"op=flush,cras",
		"op=write_out,crash,kill",
		"op=flush,crash,session",
	};
	int fd = create_with(VMADEMO_STORE_RAM, PAGE, 0);
	char text[256];

	if (access(DEBUGFS, F_OK))
		SKIP(return, "there is no debugfs");
	ASSERT_GE(fd, 0);
	/* Then there is a file */
	ASSERT_LT(0, ADD_RULE(fd, .op = VMADEMO_OP_READ, .status = EIO));
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ASSERT_EQ(0, say(fd, "removeall"));
		snprintf(text, sizeof(text), "add,%s", good[i]);
		ASSERT_EQ(0, say(fd, text)) TH_LOG("%s", text);
		snprintf(text, sizeof(text), ",%s,hits=0\n", good[i]);
		EXPECT_NE(NULL, strstr(rules_text(fd), text))
		TH_LOG("%s: %s", good[i], rules_text(fd));
	}
	ASSERT_EQ(0, say(fd, "removeall"));
	ASSERT_EQ(0, say(fd, "add,op=flush,crash,when=before"));
	EXPECT_EQ(CRASH, get_rule(fd, 6).flags);
	ASSERT_EQ(0, say(fd, "removeall"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "add,%s", bad[i]);
		EXPECT_EQ(-1, say(fd, text)) TH_LOG("%s", text);
		EXPECT_EQ(EINVAL, errno);
	}
	EXPECT_EQ(0, count_rules(fd));
	close(fd);
}

TEST_HARNESS_MAIN
