// SPDX-License-Identifier: GPL-2.0-only
/*
 * The parts of the demo in which something fails on demand: a program that nobody here wrote
 * meets a page that cannot be read, and a store of keys and values with one msync too few
 * meets the power cut that shows it.
 */
#include "../examples/kvstore.h"

#include <stdatomic.h>

#include "demo.h"

#define PROGRAM "/usr/bin/b3sum"
#define FAILS	40 /* the page that does */

static int64_t add_rule(int fd, struct vmademo_rule rule)
{
	if (ioctl(fd, VMADEMO_IOC_RULE_ADD, &rule))
		die("VMADEMO_IOC_RULE_ADD");
	return rule.id;
}

static struct vmademo_rule get_rule(int fd, int64_t id)
{
	struct vmademo_rule rule = { .id = id - 1 };

	if (ioctl(fd, VMADEMO_IOC_RULE_LIST, &rule))
		die("VMADEMO_IOC_RULE_LIST");
	return rule;
}

/* ---- somebody else's program --------------------------------------------- */

/* Runs it on the buffer; what became of it. */
static const char *run_program(int fd)
{
	static char text[64];
	char path[64];
	int status;
	pid_t pid;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), fd);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, STDOUT_FILENO);
		execl(PROGRAM, PROGRAM, path, NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		die("fork");
	if (WIFSIGNALED(status))
		snprintf(text, sizeof(text), "killed by %s",
			 WTERMSIG(status) == SIGBUS
				 ? "SIGBUS"
				 : strsignal(WTERMSIG(status)));
	else
		snprintf(text, sizeof(text), "exit status %d",
			 WEXITSTATUS(status));
	return text;
}

static void somebody_elses_program(void)
{
	int fd = create_buffer(64 * PAGE);
	int64_t id;

	title("A rule: b3sum, unmodified, sums up a file of which one page fails");
	if (fd < 0)
		die("VMADEMO_IOC_CREATE");
	line("without the rule", "%s", run_program(fd));
	id = add_rule(fd,
		      (struct vmademo_rule){ .op = VMADEMO_OP_READ_FAULT,
					     .start = FAILS,
					     .nr = 1,
					     .status = VMADEMO_STATUS_SIGBUS });
	line("page 40 raises SIGBUS when it is touched", "%s", run_program(fd));
	line("faults that met the rule (module)", "%" PRIu64,
	     (uint64_t)get_rule(fd, id).hits);
	close(fd);
}

/* ---- the cut that shows it ----------------------------------------------- */

#define KV_SIZE (6 * PAGE)
#define KEYS	3
#define PUTS	30
#define LENGTH	700

/* Puts one value after the other, until it is killed; says which are promised. */
static void put_values(int fd, unsigned int left_out, atomic_int *promised)
{
	struct kv kv = { .left_out = left_out };
	unsigned char value[LENGTH];

	if (kv_open(&kv, fd, KV_SIZE))
		_exit(1);
	for (int i = 1; i <= PUTS; i++) {
		unsigned char key = i % KEYS;

		memset(value, i, LENGTH);
		if (kv_put(&kv, &key, 1, value, LENGTH))
			_exit(1);
		atomic_store(promised, i);
	}
	_exit(0);
}

/* Of the values that were promised, so many are not there; all, if nothing can be read. */
static int lost(int fd, int promised)
{
	struct kv kv = { 0 };
	int missing = 0;

	if (kv_open(&kv, fd, KV_SIZE))
		return KEYS;
	for (int i = promised; i > promised - KEYS && i > 0; i--) {
		unsigned char key = i % KEYS;
		size_t len;
		const unsigned char *value = kv_get(&kv, &key, 1, &len);

		/* Or the next one, which was not promised any more */
		if (!value || len != LENGTH ||
		    (value[0] != i &&
		     (i + KEYS != promised + 1 || value[0] != promised + 1)))
			missing++;
	}
	kv_close(&kv);
	return missing;
}

/*
 * The program once, from an empty store; the power goes at its n-th write-out.  Returns how
 * much is lost, and in *write_outs how many there were.
 */
static int run_and_cut(unsigned int left_out, uint64_t n, uint64_t *write_outs)
{
	atomic_int *promised = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct vmademo_power on = { 0 };
	int fd = create_with(VMADEMO_STORE_RAM, KV_SIZE, 0), go[2], result;
	int64_t id;
	char byte;
	pid_t pid;

	if (fd < 0 || kv_format(fd, KV_SIZE) || fsync(fd) || pipe(go))
		die("a new store");
	pid = fork();
	if (pid == 0) {
		if (read(go[0], &byte, 1) == 1)
			put_values(fd, left_out, promised);
		_exit(1);
	}
	id = add_rule(fd, (struct vmademo_rule){ .op = VMADEMO_OP_WRITE_OUT,
						 .skip = n - 1,
						 .times = 1,
						 .pid = pid,
						 .flags = VMADEMO_RULE_CRASH |
							  VMADEMO_RULE_OFF |
							  VMADEMO_RULE_KILL });
	if (write(go[1], "x", 1) != 1 || waitpid(pid, NULL, 0) != pid)
		die("the program");
	*write_outs = get_rule(fd, id).matches;
	if (ioctl(fd, VMADEMO_IOC_POWER, &on))
		die("VMADEMO_IOC_POWER");
	result = lost(fd, atomic_load(promised));
	close(fd);
	close(go[0]);
	close(go[1]);
	munmap(promised, PAGE);
	return result;
}

static void find_the_cut(const char *what, unsigned int left_out)
{
	uint64_t n = 0, write_outs;
	int missing;

	do
		missing = run_and_cut(left_out, ++n, &write_outs);
	while (!missing && write_outs >= n);
	if (missing)
		line(what, "%d of %d values lost at n = %" PRIu64, missing,
		     KEYS, n);
	else
		line(what, "nothing lost, up to n = %" PRIu64, n - 1);
}

static void missing_msync(void)
{
	title("Power cuts: a key-value store, cut at its n-th write-out, n = 1, 2, 3 ...");
	find_the_cut("with all its msyncs", 0);
	find_the_cut("one msync left out, that of the copied log", KV_MSYNC_COPY);
}

void demo_rules(void)
{
	if (access(PROGRAM, X_OK) == 0)
		somebody_elses_program();
	missing_msync();
}
