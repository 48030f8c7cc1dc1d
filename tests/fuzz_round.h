/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A round: the module is loaded, files are opened that all workers have, the workers are
 * watched, and afterwards everything must be as it was.
 *
 * After the last close, no mapping may be left, the module must go, and with it
 * its mount and its memory.  Memory is compared between rounds: one may warm caches up, a
 * leak grows.
 */
#ifndef VMADEMO_FUZZ_ROUND_H
#define VMADEMO_FUZZ_ROUND_H

#include <sys/mount.h>

#include "../lib/window.h"
#include "fuzz_files.h"
#include "fuzz_kcov.h"
#include "fuzz_maps.h"
#include "fuzz_model.h"
#include "fuzz_tree.h"
#include "rules.h"

#define NODE_STORE "/tmp/vmademo-fuzz-node"

static unsigned int rounds_for(uint64_t count)
{
	uint64_t rounds = count / 5000;

	if (rounds > 40)
		rounds = 40;
	return rounds < 3 ? 3 : rounds;
}

static void open_verbose(void)
{
	const char *where = getenv("VMADEMO_FUZZ_VERBOSE");

	if (!where || !*where)
		return;
	verbose = strcmp(where, "1")
			  ? open(where, O_WRONLY | O_APPEND | O_CLOEXEC)
			  : STDERR_FILENO;
}

/* Its memory comes when it is first written to, and then stays. */
static void fill_block_device(void)
{
	static const char zeroes[64 * 1024];
	int fd = open(BLOCK_DEVICE, O_WRONLY | O_CLOEXEC);

	while (fd >= 0 && write(fd, zeroes, sizeof(zeroes)) > 0)
		;
	if (fd >= 0)
		close(fd);
}

static void make_cgroup(void)
{
	mkdir(CGROUPS, 0700);
	if (mount("cgroup2", CGROUPS, "cgroup2", 0, NULL))
		return;
	write_text(CGROUPS "/cgroup.subtree_control", "+memory");
	mkdir(CGROUP, 0700);
	printf("# memory cgroup: %s\n",
	       access(CGROUP "/memory.reclaim", W_OK) ? "no" : "yes");
}

static void clean_up(void)
{
	char path[256];

	unlink(direct_path(path, sizeof(path)));
	rmdir(CGROUP);
	umount(CGROUPS);
	rmdir(CGROUPS);
}

/* ---- before -------------------------------------------------------------- */

/* Loads the module with parameters that differ from round to round. */
static bool load_for_round(uint64_t seed, unsigned int round)
{
	static const char *const stores[] = { "none", "ram", NODE_STORE };
	static const char *const ahead[] = { "auto", "auto", "1p", "512p" };
	static const char *const folio[] = { "1p", "1p", "64K", "2M" };
	uint64_t random = scramble(seed + round * 77);
	const char *store = stores[(random >> 8) % COUNT(stores)];
	uint64_t base = reserved_memory();
	char more[64] = "", parameters[256];
	int fd;

	/* Without a module to load, with what is loaded */
	if (!getenv("VMADEMO_KO"))
		return module_is_loaded();
	if (module_is_loaded() && unload_module()) {
		failure("the module cannot be unloaded: %s", strerror(errno));
		return false;
	}
	fd = open(NODE_STORE, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, 64 * MIB))
		failure("no store for the node: %s", strerror(errno));
	close(fd);
	if (base)
		snprintf(more, sizeof(more), ",1M@0x%llx", LLU(base + 8 * MIB));
	snprintf(parameters, sizeof(parameters),
		 "size=64M store=%s phys=4M%s phys_map=%s map_ahead=%s folio_size=%s",
		 store, more, random & 1 ? "lazy" : "eager",
		 ahead[random >> 4 & 3], folio[random >> 12 & 3]);
	printf("# round %u: %s\n", round, parameters);
	if (load_module(parameters)) {
		failure("the module cannot be loaded (%s): %s", parameters,
			strerror(errno));
		return false;
	}
	return true;
}

/* See rules.h. */
static int patched;

static void common_file(unsigned int at, int fd, enum kind kind)
{
	common[at] = (struct file){ .fd = fd, .kind = fd < 0 ? CLOSED : kind };
}

/* A buffer on each kind of store, the node, a window, and a file that is not ours. */
static void open_common(void)
{
	const char *plain = ext4_folder() ? ext4_folder() : "/tmp";
	unsigned int n = 0;

	common_file(n++, open(NODE, O_RDWR | O_CLOEXEC), NODE_FILE);
	common_file(n++, open(NODE, O_RDWR | O_CLOEXEC), NODE_FILE);
	common_file(n++, open(WINDOW, O_RDWR | O_CLOEXEC), WINDOW_FILE);
	common_file(n++, nameless(plain, 1000, 0), PLAIN_FILE);
	for (enum below_it kind = NOTHING; kind < NR_BELOW; kind++) {
		int lower = open_below(kind, 1000 + n, 16 * PAGE), fd = -1;

		if (kind < ON_TMPFS)
			fd = create_with(kind, 16 * PAGE + 100, 0);
		else if (lower >= 0)
			fd = create_with(VMADEMO_STORE_FILE, 0, lower);
		if (lower >= 0)
			close(lower);
		common_file(n++, fd, BUFFER_FILE);
	}
	common_file(n++, open(TREE "/a", O_RDWR | O_CREAT | O_CLOEXEC, 0600),
		    BUFFER_FILE);
	patched = keep_code_patched();
	if (patched >= 0) {
		ioctl(patched, VMADEMO_IOC_REVOKE);
		write_text(LATENCY_ON, "1");
	}
	common_file(COMMON - 1, open(SECOND_WINDOW, O_RDWR | O_CLOEXEC),
		    WINDOW_FILE);
}

static bool begin_round(uint64_t seed, unsigned int round)
{
	if (!load_for_round(seed, round))
		return false;
	kcov_new_module();
	mount_fuzz_tree(round);
	open_common();
	if (common[0].kind == CLOSED || common[4].kind == CLOSED ||
	    common[5].kind == CLOSED)
		failure("no buffer: %s", strerror(errno));
	return !shared->failed;
}

/* ---- meanwhile ----------------------------------------------------------- */

static void show_file(const char *format, int pid, int tid)
{
	char path[64], line[256];
	FILE *f;

	snprintf(path, sizeof(path), format, pid, tid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		printf("#     %s", line);
	if (f)
		fclose(f);
}

static void show_workers(void)
{
	for (int i = 0; i < MAX_WORKERS; i++) {
		const struct slot *slots[] = { &shared->slots[i],
					       &shared->children[i] };

		show_slot(slots[0], "worker", i);
		show_slot(slots[1], "the child of worker", i);
		for (int n = 0; n < 2; n++)
			if (slots[n]->pid && !slots[n]->gone)
				show_file("/proc/%d/task/%d/stack",
					  slots[n]->pid, slots[n]->tid);
	}
	/* Those who wait, to the kernel's log */
	write_text("/proc/sysrq-trigger", "w");
}

/* The one that has made no call for so long, or -1. */
static int who_hangs(uint64_t seen[MAX_WORKERS], time_t since[MAX_WORKERS])
{
	time_t now = time(NULL),
	       patience = number_from("VMADEMO_FUZZ_PATIENCE", 300);

	for (int i = 0; i < MAX_WORKERS; i++) {
		uint64_t n = shared->slots[i].calls + shared->children[i].calls;

		if (!shared->slots[i].pid || shared->slots[i].gone ||
		    n != seen[i] || !since[i]) {
			seen[i] = n;
			since[i] = now;
		} else if (now - since[i] > patience) {
			return i;
		}
	}
	return -1;
}

static const char *last_call(int worker)
{
	const struct slot *slot = &shared->slots[worker];
	const struct line *line = &slot->last[slot->calls % LAST];

	/* Arguments are chosen by asking for sizes: see its stack */
	return line->done || !line->text[0] ? "what it asks between calls"
					    : line->text;
}

/* Until all have ended.  One that hangs in the kernel cannot be waited for. */
static void watch_workers(const pid_t *pids, unsigned int count)
{
	uint64_t seen[MAX_WORKERS] = { 0 };
	time_t since[MAX_WORKERS] = { 0 };
	unsigned int left = count;
	int status, hung;
	bool shown = false;

	while (left) {
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid > 0) {
			left--;
			if (status)
				failure("process %d of the workers ended with status %#x",
					pid, status);
		} else {
			usleep(50000);
		}
		hung = who_hangs(seen, since);
		if (hung >= 0)
			failure("worker %d hangs in: %s", hung, last_call(hung));
		if (shared->failed && !shown) {
			shown = true;
			printf("# %s\n", shared->failure);
			show_workers();
			fflush(stdout);
		}
		if (hung < 0)
			continue;
		for (unsigned int i = 0; i < count; i++)
			kill(pids[i], SIGKILL);
		return;
	}
}

/* ---- after --------------------------------------------------------------- */

static bool file_has(const char *path, const char *word)
{
	char line[1024];
	bool has = false;
	FILE *f = fopen(path, "r");

	while (f && !has && fgets(line, sizeof(line), f))
		has = !!strstr(line, word);
	if (f)
		fclose(f);
	return has;
}

/* Processes that are gone may still be let go of: what must become 0, within reason. */
static void must_become_none(int64_t (*value)(int), int argument, const char *what)
{
	int64_t n = -1;

	for (int i = 0; i < 300 && !shared->failed; i++) {
		n = value(argument);
		if (n == 0)
			return;
		usleep(100000);
	}
	failure("%s: %lld are left", what, (long long)n);
}

static int64_t mappings_of(int fd)
{
	return fd_value(fd, "mappings");
}

static int64_t mappings_of_node(int unused)
{
	return node_value("mappings");
}

static int64_t mappings_of_window(int unused)
{
	return window_value("mappings");
}

static int64_t module_holders(int unused)
{
	return read_number("/sys/module/vmademo/refcnt");
}

/* What is neither free nor cached, in bytes, when nothing is needed any more. */
static int64_t memory_in_use(void)
{
	sync();
	write_text("/proc/sys/vm/drop_caches", "3");
	usleep(500000);
	write_text("/proc/sys/vm/drop_caches", "3");
	return meminfo("MemTotal") - meminfo("MemFree") - meminfo("Buffers") -
	       meminfo("Cached") - meminfo("KReclaimable");
}

/* Where it may be. */
static void show_memory(void)
{
	static const char *const names[] = {
		"MemFree",    "Cached",	      "Mlocked",    "Shmem",
		"AnonPages",  "SReclaimable", "SUnreclaim", "KernelStack",
		"PageTables", "Percpu",	      "VmallocUsed"
	};

	for (size_t i = 0; i < COUNT(names); i++)
		printf("#   %s: %lld KiB\n", names[i],
		       (long long)meminfo(names[i]) / 1024);
}

/* What has once been enough must be enough again. */
static void memory_is_back(unsigned int round)
{
	/*
	 * Each processor keeps some free memory of 2 MiB at hand, and the kernel a page of
	 * zeroes of that size; debug kernels keep what was freed, and where it came from
	 */
	const int64_t margin = access("/sys/kernel/debug/kmemleak", F_OK)
				       ? 32 * MIB
				       : 64 * MIB;
	static int64_t least;
	int64_t now = memory_in_use();

	if (round == 0)
		least = now;
	/* What is freed later, by RCU and kernel threads, takes its time */
	for (int i = 0; i < 20 && now > least + margin; i++)
		now = memory_in_use();
	printf("# round %u: %lld KiB of memory in use\n", round,
	       (long long)now / 1024);
	if (now < least)
		least = now;
	if (now <= least + margin)
		return;
	show_memory();
	failure("after round %u, %lld KiB more are in use than after another",
		round, (long long)(now - least) / 1024);
}

/*
 * Memory types that x86 keeps for this range, which belongs to nobody any more: the next who
 * maps it would get them, whatever he asks for.
 */
static int memory_types_left(uint64_t base, uint64_t len)
{
	FILE *f = fopen("/sys/kernel/debug/x86/pat_memtype_list", "r");
	unsigned long long start;
	char line[256];
	int n = 0;

	while (f && fgets(line, sizeof(line), f)) {
		const char *at = strstr(line, "[mem 0x");

		if (at && sscanf(at, "[mem %llx-", &start) == 1 &&
		    start >= base && start - base < len)
			n++;
	}
	if (f)
		fclose(f);
	return n;
}

static void end_round(unsigned int round)
{
	char whose[64];

	if (shared->failed) {
		umount2(TREE, MNT_DETACH);
		return;
	}
	for (int i = 0; i < COMMON && !shared->failed; i++) {
		if (common[i].kind != BUFFER_FILE)
			continue;
		snprintf(whose, sizeof(whose), "the buffer with store %s",
			 i < 4 + NR_BELOW ? below_names[i - 4] : "of a tree");
		counters_add_up(common[i].fd, whose);
		must_become_none(mappings_of, common[i].fd,
				 "mappings of a buffer");
		/* A store that refuses says so, and then nothing is dirty either */
		fsync(common[i].fd);
		counters_add_up(common[i].fd, whose);
	}
	counters_add_up(-1, "the node");
	for (int i = 0; i < COMMON; i++)
		if (common[i].kind != CLOSED)
			close(common[i].fd);
	umount_fuzz_tree();
	/* Only now: what is done to names looks for rules, too */
	close(patched);
	must_become_none(mappings_of_node, 0, "mappings of the node");
	must_become_none(mappings_of_window, 0, "mappings of the window");
	must_become_none(module_holders, 0, "holders of the module");
	if (shared->failed || !getenv("VMADEMO_KO"))
		return;
	if (unload_module())
		failure("the module cannot be unloaded: %s", strerror(errno));
	if (file_has("/proc/mounts", " vmademo ") ||
	    file_has("/proc/filesystems", "vmademo"))
		failure("the module is gone, but not its file system");
	if (reserved_memory() && !avoided("memtype") &&
	    memory_types_left(reserved_memory(), 16 * MIB))
		failure("the window is gone, but not the memory type of its memory");
	unlink(NODE_STORE);
	memory_is_back(round);
}

#endif /* VMADEMO_FUZZ_ROUND_H */
