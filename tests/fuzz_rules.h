/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's calls about rules.  Those that it makes act a few times, most of them, or all
 * other calls would only fail; and delay for a moment.
 */
#ifndef VMADEMO_FUZZ_RULES_H
#define VMADEMO_FUZZ_RULES_H

#include "fuzz_choose.h"

static const uint32_t rule_statuses[] = {
	VMADEMO_STATUS_SIGBUS,
	VMADEMO_STATUS_HWPOISON,
	EIO,
	EIO,
	ENOSPC,
	EDQUOT,
	ENOMEM,
	ENODATA,
	ETIMEDOUT,
	EAGAIN,
	EINTR,
	EPERM,
	EROFS,
	ENODEV,
	EOPNOTSUPP,
	0,
	0,
};

static void do_rule_add(struct worker *w)
{
	static const uint64_t few[] = { 0, 1, 2, 3, 10, UINT64_MAX };
	static const uint32_t torn[] = { 0, 1, 500, 999, 1000, 1001 };
	static const uint32_t parts[] = { 0, 1, 64, 512, 4096, 3 };
	struct file f = some_file(w, BUFFERS);
	struct vmademo_rule r = {
		.op = below(w, one_in(w, 16) ? 20 : VMADEMO_OP_TRUNCATE + 1),
		.start = below(w, 64),
		.nr = below(w, 16),
		.skip = ANY_OF(w, few),
		.times = 1 + below(w, 3),
		.status = ANY_OF(w, rule_statuses),
		.seed = draw(w),
	};

	if (r.op == VMADEMO_OP_FLUSH)
		r.start = 0, r.nr = 0;
	/* What it can have, more often than not */
	if (one_in(w, 2))
		r.status = r.op < VMADEMO_OP_MKWRITE ? VMADEMO_STATUS_SIGBUS
			   : r.op == VMADEMO_OP_MMAP ? ENODEV
						     : EIO;
	if (one_in(w, 4))
		r.one_in = below(w, 5);
	if (one_in(w, 3))
		r.delay_us = below(w, 3000);
	if (one_in(w, 6))
		r.pid = getpid();
	if (one_in(w, r.op == VMADEMO_OP_WRITE_OUT ? 2 : 24)) {
		r.flags = VMADEMO_RULE_TORN;
		r.torn = ANY_OF(w, torn);
		r.granularity = ANY_OF(w, parts);
	}
	/* No KILL that is right: it would kill a worker */
	if (one_in(w, 4)) {
		r.flags |= VMADEMO_RULE_CRASH;
		r.share = ANY_OF(w, torn);
		r.cut_torn = below(w, 3);
		if (one_in(w, 4))
			r.flags |= VMADEMO_RULE_OFF;
		if (one_in(w, 4))
			r.flags |= VMADEMO_RULE_AFTER;
		if (one_in(w, 2))
			r.status = 0;
	} else if (one_in(w, 24)) {
		r.flags |= draw(w) & ~VMADEMO_RULE_CRASH;
	}
	if (one_in(w, 16))
		r.start = draw(w);
	if (one_in(w, 16))
		r.nr = draw(w);
	if (one_in(w, 24))
		r.op = draw(w);
	if (one_in(w, 24))
		r.status = draw(w);
	if (one_in(w, 24))
		r.pid = draw(w);
	if (one_in(w, 24))
		r.reserved[below(w, 7)] = draw(w);
	CALL(w, ioctl(f.fd, VMADEMO_IOC_RULE_ADD, one_in(w, 32) ? NULL : &r),
	     "RULE_ADD on " FILE_FORMAT
	     ": op %u, flags %#x, pages %#llx, %#llx, status %#x, skip %llu, times %llu, delay %u",
	     FILE_ARGS(f), r.op, r.flags, LLU(r.start), LLU(r.nr), r.status,
	     LLU(r.skip), LLU(r.times), r.delay_us);
}

static void do_rule_del(struct worker *w)
{
	struct file f = some_file(w, BUFFERS);
	struct vmademo_rule next = { .id = below(w, 50) };
	struct vmademo_rule_id r = { 0 };

	/* One that is there; or any, or all */
	if (!ioctl(f.fd, VMADEMO_IOC_RULE_LIST, &next))
		r.id = next.id;
	if (one_in(w, 8))
		r.id = draw(w);
	if (one_in(w, 4))
		r.id = 0;
	if (one_in(w, 24))
		r.reserved = draw(w);
	CALL(w, ioctl(f.fd, VMADEMO_IOC_RULE_DEL, &r),
	     "RULE_DEL %llu on " FILE_FORMAT, LLU(r.id), FILE_ARGS(f));
}

static void do_rule_list(struct worker *w)
{
	struct file f = some_file(w, OURS);
	struct vmademo_rule r = { .id = one_in(w, 4) ? draw(w) : 0 };

	if (one_in(w, 24))
		r.hits = draw(w);
	CALL(w, ioctl(f.fd, VMADEMO_IOC_RULE_LIST, one_in(w, 32) ? NULL : &r),
	     "RULE_LIST on " FILE_FORMAT ", after %llu", FILE_ARGS(f), LLU(r.id));
}

/* Words, put together as they come, to the file of the node. */
static void do_rule_text(struct worker *w)
{
	static const char *const words[] = {
		"op=read",
		"op=mkwrite",
		"op=read_fault",
		"op=flush",
		"op=write_out",
		"op=truncate",
		"op=rename",
		"op=",
		"status=EIO",
		"status=SIGBUS",
		"status=ENOSPC",
		"skip=1",
		"times=1",
		"delay_us=10",
		"torn=500",
		"one_in=3",
		"start=99",
		"nr=1",
		"id=1",
		"pid=0",
		"seed=0x7",
		"=",
		"granularity=1",
		"crash",
		"off",
		"when=after",
		"when=before",
		"share=500",
		"cut_torn=1",
		"skip=-1",
		"",
		"add",
	};
	static const char *const commands[] = { "add",
						"add",
						"add",
						"del",
						"removeall",
						"",
						",",
						"add,op=read,status=EIO,times=1",
						"add,op=mmap,delay_us=5,times=2" };
	char text[512];
	size_t len = snprintf(text, sizeof(text), "%s", ANY_OF(w, commands));
	int fd = open("/sys/kernel/debug/vmademo/vmademo/rules",
		      O_RDWR | O_CLOEXEC);

	for (unsigned int n = below(w, 5); n; n--)
		len += snprintf(text + len, sizeof(text) - len, ",%s",
				ANY_OF(w, words));
	if (one_in(w, 2))
		CALL(w, write(fd, text, len), "write(rules, \"%s\")", text);
	else
		CALL(w, read(fd, w->scratch, SCRATCH), "read(rules)");
	close(fd);
}

/* What a cut would leave: one more buffer. */
static void do_snapshot(struct worker *w)
{
	static const uint32_t permille[] = { 0, 1, 500, 1000, 1001, 1002 };
	struct file f = some_file(w, OURS);
	struct vmademo_crash c = { .seed = draw(w),
				   .written_permille = ANY_OF(w, permille),
				   .torn = below(w, 4),
				   .flags = below(w, 4) };
	int fd;

	if (one_in(w, 24))
		c.flags = draw(w);
	if (one_in(w, 24))
		c.reserved[below(w, 4)] = draw(w);
	fd = CALL(w, ioctl(f.fd, VMADEMO_IOC_SNAPSHOT, one_in(w, 32) ? NULL : &c),
		  "SNAPSHOT of " FILE_FORMAT ", seed %#llx, %u permille, %u torn",
		  FILE_ARGS(f), LLU(c.seed), c.written_permille, c.torn);
	keep_file(w, fd, BUFFER_FILE);
}

#endif /* VMADEMO_FUZZ_RULES_H */
