// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls at random, by several processes of several threads, on the node, on buffers of
 * every store and on windows; with arguments that are mostly right, at the borders, and
 * sometimes absurd.  Any errno of a generous set will do.  What may not be: a call
 * that does not return, a worker that dies, a counter that does not add up, a byte that
 * is wrong in a buffer whose bytes are known, a module that cannot be unloaded,
 * memory that does not come back.  (Warnings in the kernel's log are looked for outside.)
 *
 * The calls are made in rounds; before each the module is loaded afresh, with other
 * parameters.  Files: fuzz.h has the frame, fuzz_choose.h arguments, fuzz_files.h,
 * fuzz_io.h, fuzz_maps.h, fuzz_rules.h and fuzz_tree.h the calls, fuzz_model.h the known
 * bytes, fuzz_kcov.h guidance, fuzz_round.h what is checked after a round.
 *
 *   VMADEMO_SEED          decimal.  What a worker calls follows from it and the worker's
 *                         number; how workers meet does not.  With one worker, all does
 *                         (but for what KCOV adds)
 *   VMADEMO_CALLS         how many calls, all together
 *   VMADEMO_FUZZ_WORKERS  how many workers, 1 to 16
 *   VMADEMO_KCOV          1: the module is built for KCOV; be guided by it
 *   VMADEMO_FUZZ_VERBOSE  1: each call is written to stderr before it is made; or
 *                         the file to write it to, say /dev/kmsg, if the machine dies
 *   VMADEMO_FUZZ_AVOID    names of calls not to make; or, of what is known to be wrong:
 *                         large, sizes and offsets over 2^40; sealed and rest, known
 *                         buffers on a file that refuses to change its size, and on the
 *                         beginning of one; blocks, storesize and memtype, to look at
 *                         st_blocks, at the size of a store, at memory types
 *   VMADEMO_FUZZ_PATIENCE seconds without a call after which a worker hangs
 */
#include <malloc.h>
#include <pthread.h>

#include "kselftest_harness.h"
#include "fuzz_files.h"
#include "fuzz_io.h"
#include "fuzz_kcov.h"
#include "fuzz_maps.h"
#include "fuzz_model.h"
#include "fuzz_round.h"
#include "fuzz_rules.h"
#include "fuzz_tree.h"

/* The workers themselves watch that no call hangs. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT (7 * 24 * 3600)

/* ---- the calls ----------------------------------------------------------- */

static const struct {
	const char *name;
	unsigned int weight;
	void (*make)(struct worker *w);
} calls[] = {
	{ "create", 8, do_create },
	{ "open", 4, do_open },
	{ "reopen", 5, do_reopen },
	{ "open_file", 2, do_open_file },
	{ "dup", 2, do_dup },
	{ "close", 6, do_close },
	{ "resize", 4, do_resize },
	{ "discard", 5, do_discard },
	{ "info", 2, do_info },
	{ "crash", 4, do_crash },
	{ "revoke", 4, do_revoke },
	{ "power", 4, do_power },
	{ "snapshot", 3, do_snapshot },
	{ "pages", 3, do_pages },
	{ "stats", 2, do_stats },
	{ "ioctl", 2, do_ioctl },
	{ "rule_add", 4, do_rule_add },
	{ "rule_del", 4, do_rule_del },
	{ "rule_list", 2, do_rule_list },
	{ "rule_text", 2, do_rule_text },
	{ "pread", 6, do_pread },
	{ "pwrite", 10, do_pwrite },
	{ "read_write", 4, do_read_write },
	{ "preadv2", 4, do_preadv2 },
	{ "pwritev2", 6, do_pwritev2 },
	{ "lseek", 4, do_lseek },
	{ "splice", 6, do_splice },
	{ "vmsplice", 3, do_vmsplice },
	{ "tee", 1, do_tee },
	{ "pipe", 3, do_pipe },
	{ "sendfile", 3, do_sendfile },
	{ "copy_file_range", 4, do_copy_file_range },
	{ "fallocate", 10, do_fallocate },
	{ "ftruncate", 8, do_ftruncate },
	{ "fadvise", 4, do_fadvise },
	{ "sync", 6, do_sync },
	{ "attributes", 4, do_attributes },
	{ "tell", 3, do_tell },
	{ "switch", 1, do_switch },
	{ "mmap", 30, do_mmap },
	{ "mmap_anywhere", 3, do_mmap_anywhere },
	{ "munmap", 3, do_munmap },
	{ "mremap", 5, do_mremap },
	{ "mprotect", 6, do_mprotect },
	{ "remap_file_pages", 1, do_remap_file_pages },
	{ "madvise", 16, do_madvise },
	{ "msync", 6, do_msync },
	{ "mlock", 4, do_mlock },
	{ "mincore", 2, do_mincore },
	{ "userfaultfd", 1, do_userfaultfd },
	{ "touch", 50, do_touch },
	{ "process_vm", 4, do_process_vm },
	{ "direct", 4, do_direct },
	{ "memory", 1, do_memory },
	{ "fork", 2, do_fork },
	{ "tree_open", 8, do_tree_open },
	{ "tree_rename", 4, do_tree_rename },
	{ "tree_names", 8, do_tree_names },
	{ "tree_ask", 6, do_tree_ask },
	{ "model", 20, do_model },
};

static unsigned int weights[COUNT(calls)], all_weights;

static void weigh_calls(void)
{
	_Static_assert(COUNT(calls) <= MAX_CALLS, "too many calls");
	all_weights = 0;
	for (size_t i = 0; i < COUNT(calls); i++) {
		weights[i] = avoided(calls[i].name) ? 0 : calls[i].weight;
		all_weights += weights[i];
	}
	if (avoided("large"))
		largest = 1ULL << 40;
}

static int some_call(struct worker *w)
{
	unsigned int n = next_random(&w->random) % all_weights, i = 0;

	while (n >= weights[i])
		n -= weights[i++];
	return i;
}

static void make_call(struct worker *w, int which, const struct tape *follows)
{
	w->tape.call = which;
	w->tape.length = 0;
	w->follows = follows;
	kcov_forget(w);
	calls[which].make(w);
	/* It, and the calls before it */
	if (w->chain.length == CHAIN)
		memmove(w->chain.calls, w->chain.calls + 1,
			--w->chain.length * sizeof(w->tape));
	w->chain.calls[w->chain.length++] = w->tape;
	kcov_collect(w);
}

static void make_calls(struct worker *w, uint64_t count)
{
	for (uint64_t i = 0; i < count && !shared->stop; i++) {
		const struct input *again = w->is_child ? NULL : kcov_choose(w);

		if (!again) {
			make_call(w, some_call(w), NULL);
			continue;
		}
		for (int n = 0; n < again->length && i < count; n++, i++)
			make_call(w, again->calls[n].call, &again->calls[n]);
	}
}

/* ---- the workers --------------------------------------------------------- */

struct plan {
	uint64_t seed, calls; /* of one worker in one round */
	unsigned int round, workers;
};

static const struct plan *plan;
static pthread_barrier_t all_set_up; /* of one process */

static void *work(void *number)
{
	static struct model models[MAX_WORKERS];
	static unsigned char scratch[MAX_WORKERS][SCRATCH];
	static struct worker workers[MAX_WORKERS];
	struct worker *w = &workers[(intptr_t)number];

	myself = w;
	w->number = (intptr_t)number;
	w->alone = plan->workers == 1;
	w->random = scramble(plan->seed) ^
		    scramble(plan->round * 1000 + w->number + 1);
	w->slot = &shared->slots[w->number];
	w->scratch = scratch[w->number];
	w->model = &models[w->number];
	memset(w->scratch, w->number + 1, SCRATCH);
	w->slot->pid = getpid();
	w->slot->tid = syscall(SYS_gettid);
	if (pipe2(w->pipe, O_NONBLOCK | O_CLOEXEC))
		failure("no pipe: %s", strerror(errno));
	for (size_t i = 0; i < COUNT(w->mapped); i++)
		was_mapped(w, arena + below(w, COMMON) * 64 * PAGE, 64 * PAGE);
	model_begin(w, w->number + plan->round + plan->seed);
	kcov_start(w);
	/* From now on there are holes in the arena, where mmap() may put anything */
	pthread_barrier_wait(&all_set_up);
	make_calls(w, plan->calls);
	model_end(w);
	__atomic_store_n(&w->slot->gone, true, __ATOMIC_SEQ_CST);
	return NULL;
}

/* One process: its threads share mappings, not files of their own. */
static void work_process(unsigned int first, unsigned int count)
{
	pthread_t threads[MAX_WORKERS];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Who eats all memory dies first */
	write_text("/proc/self/oom_score_adj", "900");
	/* No heap of a thread's own, which could be put into a hole of the arena */
	mallopt(M_ARENA_MAX, 1);
	if (make_arena())
		_exit(8);
	map_common();
	if (!first)
		write_text(CGROUP "/cgroup.procs", "0");
	pthread_barrier_init(&all_set_up, NULL, count + 1);
	catch_touches();
	for (unsigned int i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, work,
				   (void *)(intptr_t)(first + i)))
			_exit(7);
	pthread_barrier_wait(&all_set_up);
	for (unsigned int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	_exit(0);
}

static void run_workers(const struct plan *this_plan)
{
	unsigned int a_process = this_plan->workers > 2 ? 2 : 1;
	pid_t pids[MAX_WORKERS];
	unsigned int n = 0;

	plan = this_plan;
	memset(shared->slots, 0, sizeof(shared->slots));
	memset(shared->children, 0, sizeof(shared->children));
	fflush(NULL);
	for (unsigned int i = 0; i < plan->workers; i += a_process) {
		unsigned int count = plan->workers - i;

		pids[n] = fork();
		if (!pids[n])
			work_process(i, count < a_process ? count : a_process);
		n++;
	}
	watch_workers(pids, n);
}

/* ---- the tests ----------------------------------------------------------- */

static void show_tally(uint64_t *made, uint64_t *worked)
{
	*made = 0;
	*worked = 0;
	printf("# calls that worked / made:");
	for (size_t i = 0; i < COUNT(calls); i++) {
		if (i % 6 == 0)
			printf("\n#  ");
		printf(" %s %llu/%llu", calls[i].name,
		       LLU(shared->tally[i].worked), LLU(shared->tally[i].made));
		*made += shared->tally[i].made;
		*worked += shared->tally[i].worked;
	}
	printf("\n# %llu calls made, %llu worked; %llu signals caught\n",
	       LLU(*made), LLU(*worked), LLU(shared->signals));
	printf("# %llu children killed, %llu times bytes compared\n",
	       LLU(shared->children_killed), LLU(shared->models_checked));
	if (kcov_wanted())
		printf("# KCOV: %u places of the module reached, %u inputs kept\n",
		       shared->pc_count, shared->input_count);
	else
		printf("# KCOV: not asked for, or not there\n");
}

static void run(struct __test_metadata *_metadata, uint64_t count,
		unsigned int workers)
{
	struct plan p = { .seed = number_from("VMADEMO_SEED", 1),
			  .workers = workers };
	unsigned int rounds = rounds_for(count);
	uint64_t made, worked;

	/* The harness ends a test without flushing */
	setvbuf(stdout, NULL, _IOLBF, 0);
	p.calls = count / rounds / workers + 1;
	printf("# VMADEMO_SEED=%llu VMADEMO_CALLS=%llu: %u rounds, %u workers, %llu calls each\n",
	       LLU(p.seed), LLU(count), rounds, workers, LLU(p.calls));
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, shared);
	open_verbose();
	weigh_calls();
	fill_block_device();
	make_cgroup();
	/* Who looks for what can be put together is to come by while it lasts */
	if (!wish_huge_pages(true))
		write_text(THP "khugepaged/scan_sleep_millisecs", "20");
	for (p.round = 0; p.round < rounds && !shared->failed; p.round++) {
		if (begin_round(p.seed, p.round)) {
			run_workers(&p);
			end_round(p.round);
		}
	}
	clean_up();
	write_text(THP "khugepaged/scan_sleep_millisecs", "10000");
	wish_huge_pages(false);
	show_tally(&made, &worked);
	EXPECT_FALSE(shared->failed)
	TH_LOG("VMADEMO_SEED=%llu VMADEMO_FUZZ_WORKERS=%u, round %u: %s",
	       LLU(p.seed), workers, p.round - 1, shared->failure);
	/* Or it would prove nothing */
	EXPECT_GT(worked, made / 3);
	EXPECT_GT(shared->models_checked, 0);
}

static uint64_t calls_wanted(void)
{
	/* On a kernel with all its checks on, everything takes long */
	bool slow = access("/sys/kernel/debug/kmemleak", F_OK) == 0;

	return number_from("VMADEMO_CALLS", slow ? 10000 : 50000);
}

/* One worker: the same seed is the same calls in the same order. */
TEST(alone)
{
	run(_metadata, calls_wanted() / 4, 1);
}

TEST(together)
{
	unsigned int workers = number_from("VMADEMO_FUZZ_WORKERS", 6);

	if (workers < 2 || workers > MAX_WORKERS)
		SKIP(return, "VMADEMO_FUZZ_WORKERS says not to");
	run(_metadata, calls_wanted() - calls_wanted() / 4, workers);
}

TEST_HARNESS_MAIN
